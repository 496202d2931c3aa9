//! Two-way sync with a CRM: what changes on either side comes to the other once, by notification or by a look, and nothing echoes.

use crate::rig::{LONG, Rig, Setup, eventually, phone};
use ponte_simulator::hubspot::{DEFAULT_TOKEN, Record, Webhooks};
use ponte_simulator::whatsapp::{CustomerMessage, SentMessage};
use ponte_testkit::Engine;
use ponte_testkit::http::request;
use serde_json::{Value, json};
use std::time::Duration;

const SECRET: &str = "the-app-secret-of-the-tests";

async fn crm(rig: &Rig, method: &str, path: &str, body: &Value) -> Value {
    let bearer = format!("Bearer {DEFAULT_TOKEN}");
    let headers = [("authorization", bearer.as_str()), ("content-type", "application/json")];
    let answer = request(rig.hubspot.addr(), method, path, &headers, body.to_string().as_bytes()).await.unwrap();
    assert!(answer.status < 300, "{method} {path}: {} {:?}", answer.status, answer.text());
    serde_json::from_slice(&answer.body).unwrap_or_default()
}

async fn made(rig: &Rig, properties: Value) -> String {
    let made = crm(rig, "POST", "/crm/objects/2026-09/contacts", &json!({ "properties": properties })).await;
    made["id"].as_str().unwrap().to_owned()
}

async fn changed(rig: &Rig, id: &str, properties: Value) {
    crm(rig, "PATCH", &format!("/crm/objects/2026-09/contacts/{id}"), &json!({ "properties": properties })).await;
}

fn record(rig: &Rig, id: &str) -> Option<Record> {
    rig.hubspot.contacts().into_iter().find(|c| c.id == id)
}

fn property(rig: &Rig, id: &str, name: &str) -> Option<String> {
    record(rig, id)?.properties.get(name).cloned().filter(|v| !v.is_empty())
}

/// The person with this number as `contacts show` tells.
async fn person(rig: &Rig, phone: &str) -> Option<Value> {
    let ran = rig.cli(&["contacts", "show", phone, "--json"]).await;
    (ran.code == 0).then(|| ran.json())
}

async fn field(rig: &Rig, phone: &str, key: &str) -> Option<String> {
    let person = person(rig, phone).await?;
    person["profile"]["fields"][key]["v"].as_str().map(str::to_owned)
}

async fn becomes(rig: &Rig, phone: &str, key: &str, value: &str) {
    eventually(LONG, &format!("{key} of {phone} becomes {value}"), || async {
        (field(rig, phone, key).await.as_deref() == Some(value)).then_some(())
    })
    .await;
}

async fn shows(rig: &Rig, id: &str, name: &str, value: &str) {
    eventually(LONG, &format!("{name} of record {id} becomes {value}"), || async {
        (property(rig, id, name).as_deref() == Some(value)).then_some(())
    })
    .await;
}

/// Has the connection read, and tells what it came to.
async fn sync(rig: &Rig, how: &[&str]) -> Value {
    let args = [&["crm", "sync", "hubspot", "--wait", "--json"], how].concat();
    let ran = rig.cli(&args).await;
    assert_eq!(ran.code, 0, "{ran:?}\n{}", rig.tail());
    ran.json()
}

fn setup(engine: Engine, notifies: bool) -> Setup {
    let mut setup = Setup::on(engine);
    setup.hubspot.flags.search_lag_ms = 0;
    setup.crm = format!(
        "token = \"{DEFAULT_TOKEN}\"\nwebhook_secret = \"{SECRET}\"\n[crm.connections.sync]\ncountry = \"TW\"\n"
    );
    if notifies {
        setup.crm.push_str("notify_url = \"{own}\"\n");
        let webhooks = json!({ "target_url": "{own}/webhooks/crm/hubspot", "client_secret": SECRET, "flush_ms": 20 });
        setup.hubspot.webhooks = Some(serde_json::from_value::<Webhooks>(webhooks).unwrap());
    }
    setup
}

async fn both_ways(engine: Engine) {
    let rig = setup(engine, true).start().await;
    eventually(LONG, "the first full run", || async {
        let runs = rig.cli(&["crm", "runs", "--json"]).await;
        runs.lines().iter().any(|r| r["kind"] == "full" && !r["finished_at"].is_null()).then_some(())
    })
    .await;

    // What is new in the CRM is new here, with a number as people write it there.
    let ana = made(
        &rig,
        json!({"firstname": "Ana", "lastname": "Lima", "phone": "0912-345-678", "email": "Ana@Example.com",
        "city": "Taipei", "jobtitle": "CEO"}),
    )
    .await;
    becomes(&rig, "+886912345678", "name", "Ana Lima").await;
    becomes(&rig, "+886912345678", "email", "ana@example.com").await;
    let card = person(&rig, "+886912345678").await.unwrap();
    assert_eq!(card["profile"]["fields"]["job_title"]["s"], "crm:hubspot");

    // Changes come by themselves, in both directions.
    changed(&rig, &ana, json!({"city": "Kaohsiung"})).await;
    becomes(&rig, "+886912345678", "city", "Kaohsiung").await;
    let id = card["id"].as_str().unwrap();
    let set = rig.cli(&["contacts", "set", id, "email=ana@example.org", "company=Acme"]).await;
    assert_eq!(set.code, 0, "{set:?}");
    shows(&rig, &ana, "email", "ana@example.org").await;
    shows(&rig, &ana, "company", "Acme").await;
    assert_eq!(property(&rig, &ana, "ponte_id").as_deref(), Some(id));
    assert_eq!(property(&rig, &ana, "phone").as_deref(), Some("0912-345-678"), "written as their people wrote it");
    let tagged = rig.cli(&["contacts", "tag", id, "+vip"]).await;
    assert_eq!(tagged.code, 0, "{tagged:?}");
    shows(&rig, &ana, "ponte_tags", "vip").await;
    changed(&rig, &ana, json!({"ponte_tags": "vip; fair"})).await;
    eventually(LONG, "the tag comes in", || async {
        let card = person(&rig, "+886912345678").await?;
        card["profile"]["tags"].as_array()?.contains(&json!("fair")).then_some(())
    })
    .await;

    // Nothing echoes: once calm, a look finds nothing and costs next to nothing.
    tokio::time::sleep(Duration::from_millis(1_500)).await;
    let calm = record(&rig, &ana).unwrap().properties;
    for _ in 0..2 {
        let run = sync(&rig, &[]).await;
        assert_eq!((&run["created"], &run["changed"], &run["told"]), (&json!(0), &json!(0), &json!(0)), "{run}");
        assert!(run["calls"].as_i64().unwrap() <= 3, "{run}");
    }
    assert_eq!(record(&rig, &ana).unwrap().properties, calm);
    let compared = sync(&rig, &["--reconcile"]).await;
    assert_eq!((&compared["differed"], &compared["seen"]), (&json!(0), &json!(1)), "{compared}");

    // Somebody who writes is found in the CRM by number and both sides fill each other's gaps.
    let bea = made(&rig, json!({"firstname": "Bea", "phone": format!("+{}", phone(1)), "city": "Berlin"})).await;
    becomes(&rig, &phone(1), "city", "Berlin").await;
    let wamid = rig.graph.customer_sends(CustomerMessage::text(&phone(1), "bea ✨", "hello")).await.unwrap();
    rig.stored(&wamid).await;
    let ids: Vec<String> = rig.messages().await.iter().map(|m| m["id"].as_str().unwrap().to_owned()).collect();
    rig.crm_has(&ids, LONG).await;
    shows(&rig, &bea, "ponte_whatsapp_name", "bea ✨").await;
    assert_eq!(property(&rig, &bea, "firstname").as_deref(), Some("Bea"), "the CRM's name stays");
    assert_eq!(rig.hubspot.contacts().len(), 2);

    // Unticked consent is a withdrawal, with the record as its proof.
    changed(&rig, &bea, json!({"ponte_marketing_consent": "true"})).await;
    eventually(LONG, "the opt-in is told as left out", || async {
        let skipped = rig.cli(&["crm", "skipped", "--json"]).await;
        skipped.out.contains("opt_in_needs_source").then_some(())
    })
    .await;
    changed(&rig, &bea, json!({"ponte_marketing_consent": "false"})).await;
    let words = eventually(LONG, "the withdrawal", || async {
        let shown = rig.cli(&["consent", "show", &phone(1), "--json"]).await;
        shown.out.contains("withdrawn").then_some(shown.out)
    })
    .await;
    assert!(words.contains("crm_field") && words.contains(&format!("record {bea}")), "{words}");

    // A merge there is a merge here; a deletion leaves the person and tells so.
    let twin = made(&rig, json!({"firstname": "Bea2", "phone": format!("+{}", phone(2))})).await;
    becomes(&rig, &phone(2), "name", "Bea2").await;
    let merge = json!({"primaryObjectId": bea, "objectIdToMerge": twin});
    crm(&rig, "POST", "/crm/objects/2026-09/contacts/merge", &merge).await;
    eventually(LONG, "they are one person", || async {
        let (one, other) = (person(&rig, &phone(1)).await?, person(&rig, &phone(2)).await?);
        (one["id"] == other["id"]).then_some(())
    })
    .await;
    crm(&rig, "DELETE", &format!("/crm/objects/2026-09/contacts/{ana}"), &Value::Null).await;
    eventually(LONG, "the deletion is told", || async {
        rig.cli(&["audit", "--json"]).await.out.contains("crm.record_gone").then_some(())
    })
    .await;
    assert!(person(&rig, "+886912345678").await.is_some(), "the person stays");
    assert_eq!(rig.cli(&["contacts", "set", id, "company=Other"]).await.code, 0);
    tokio::time::sleep(Duration::from_secs(1)).await;
    assert!(rig.hubspot.contacts().iter().all(|c| c.properties.get("ponte_id").map(String::as_str) != Some(id)));
    assert_eq!(rig.status().await["dead_letters"], json!([]));
}

#[tokio::test]
async fn what_changes_on_either_side_comes_to_the_other_once_sqlite() {
    both_ways(Engine::Sqlite).await;
}

#[tokio::test]
async fn what_changes_on_either_side_comes_to_the_other_once_postgres() {
    both_ways(Engine::Postgres).await;
}

#[tokio::test]
async fn without_notifications_a_look_finds_what_changed_and_a_full_one_what_is_gone() {
    let rig = setup(Engine::Sqlite, false).start().await;
    let rows: Vec<Value> = (0..250)
        .map(|n| json!({"properties": {"firstname": "Lead", "lastname": format!("N{n}"), "phone": format!("+88691200{n:04}")}}))
        .collect();
    let mut ids = Vec::new();
    for some in rows.chunks(100) {
        let made = crm(&rig, "POST", "/crm/objects/2026-09/contacts/batch/create", &json!({ "inputs": some })).await;
        ids.extend(made["results"].as_array().unwrap().iter().map(|r| r["id"].as_str().unwrap().to_owned()));
    }
    ids.push(made(&rig, json!({"firstname": "Nobody", "phone": "12"})).await);
    let full = sync(&rig, &["--full"]).await;
    assert_eq!((&full["seen"], &full["skipped"]), (&json!(251), &json!(1)), "{full}");
    assert_eq!(rig.cli(&["contacts", "list", "--limit", "1000", "--json"]).await.lines().len(), 250);
    let skipped = rig.cli(&["crm", "skipped", "--json"]).await.lines();
    assert_eq!((&skipped[0]["record"], &skipped[0]["skips"][0]["code"]), (&json!(ids[250]), &json!("no_number")));

    changed(&rig, &ids[7], json!({"city": "Tainan"})).await;
    changed(&rig, &ids[250], json!({"phone": "+886912009999"})).await;
    let run = sync(&rig, &[]).await;
    assert_eq!((&run["created"], &run["changed"], &run["skipped"]), (&json!(1), &json!(1), &json!(0)), "{run}");
    assert_eq!(field(&rig, "+886912000007", "city").await.as_deref(), Some("Tainan"));
    assert!(rig.cli(&["crm", "skipped", "--json"]).await.lines().is_empty(), "mended, it is off the list");

    // Dry run: a preview says what would change, and changes nothing.
    changed(&rig, &ids[8], json!({"city": "Hualien", "phone": "12"})).await;
    let preview = rig.cli(&["crm", "preview", "hubspot", "--record", &ids[8], "--json"]).await.json();
    assert_eq!(preview["changes"]["city"], json!([null, "Hualien"]), "{preview}");
    assert_eq!(preview["left_out"][0]["code"], "phone_invalid");
    assert_eq!(field(&rig, "+886912000008", "city").await, None);

    // Paused, nothing is read; resumed, it goes on where it stood.
    assert_eq!(rig.cli(&["crm", "pause", "hubspot"]).await.code, 0);
    let refused = rig.cli(&["crm", "sync", "hubspot"]).await;
    assert!(refused.code != 0 && refused.err.contains("resume"), "{refused:?}");
    let (status, body) = rig.api("POST", "/api/v1/crm/hubspot/sync?kind=full", None).await;
    assert!(status == 400 && body["detail"].as_str().unwrap().contains("resume"), "{body}");
    assert_eq!(rig.api("POST", "/api/v1/crm/hubspot/resume", None).await.0, 200);
    let run = sync(&rig, &[]).await;
    assert_eq!((&run["changed"], &run["skipped"]), (&json!(1), &json!(1)), "{run}");

    crm(&rig, "DELETE", &format!("/crm/objects/2026-09/contacts/{}", ids[9]), &Value::Null).await;
    let full = sync(&rig, &["--reconcile"]).await;
    assert_eq!((&full["gone"], &full["differed"]), (&json!(1), &json!(0)), "{full}");
    let mapping = rig.cli(&["crm", "mapping", "hubspot", "--json"]).await;
    assert_eq!(mapping.code, 0, "{mapping:?}");
    assert!(mapping.json()["rules"].as_array().unwrap().len() >= 15, "{mapping:?}");
}

#[tokio::test]
async fn a_value_that_the_crm_refuses_holds_up_nothing() {
    let rig = setup(Engine::Sqlite, false).start().await;
    let wamid = rig.graph.customer_sends(CustomerMessage::text(&phone(1), "Ana", "hello")).await.unwrap();
    rig.stored(&wamid).await;
    let ids: Vec<String> = rig.messages().await.iter().map(|m| m["id"].as_str().unwrap().to_owned()).collect();
    rig.crm_has(&ids, LONG).await;
    // Another record has this e-mail address already: HubSpot takes no second one.
    made(&rig, json!({"firstname": "Other", "email": "taken@example.com"})).await;
    let id = person(&rig, &phone(1)).await.unwrap()["id"].as_str().unwrap().to_owned();
    assert_eq!(rig.cli(&["contacts", "set", &id, "email=taken@example.com"]).await.code, 0);
    let wamid = rig.graph.customer_sends(CustomerMessage::text(&phone(1), "Ana", "are you there?")).await.unwrap();
    rig.stored(&wamid).await;
    let ids: Vec<String> = rig.messages().await.iter().map(|m| m["id"].as_str().unwrap().to_owned()).collect();
    rig.crm_has(&ids, LONG).await;
    assert_eq!(rig.status().await["dead_letters"], json!([]));
    eventually(LONG, "what was refused is told", || async {
        rig.cli(&["crm", "skipped", "--json"]).await.out.contains("refused").then_some(())
    })
    .await;
}

/// The texts of the templates that the simulated WhatsApp took.
fn templates(rig: &Rig) -> Vec<String> {
    let text = |m: &SentMessage| {
        m.body.as_ref()?.pointer("/template/components/0/parameters/0/text").and_then(Value::as_str).map(str::to_owned)
    };
    rig.graph.sent_messages().iter().filter_map(text).collect()
}

async fn events_of_the_crm(engine: Engine) {
    let mut setup = setup(engine, true);
    // Two fields of every account stand for an order's state and number.
    setup.apps.push_str(
        r#"
[[crm.triggers]]
name = "order-confirmed"
connection = "hubspot"
when = "state == 'confirmed'"
key = "{{ zip }}"
[crm.triggers.message]
type = "template"
[crm.triggers.message.template]
name = "TEMPLATE"
language = { code = "en_US" }
components = [{ type = "body", parameters = [{ type = "text", text = "{{ name }}: {{ zip }}" }, { type = "text", text = "{{ zip }}" }] }]
[[crm.triggers]]
name = "parcel-sent"
key = "{{ parcel }}"
[crm.triggers.message]
type = "template"
[crm.triggers.message.template]
name = "TEMPLATE"
language = { code = "en_US" }
components = [{ type = "body", parameters = [{ type = "text", text = "Parcel {{ parcel }} for {{ name }}" }, { type = "text", text = "{{ parcel }}" }] }]
"#,
    );
    setup.apps = setup.apps.replace("TEMPLATE", "appointment_reminder");
    let rig = setup.start().await;
    eventually(LONG, "the first full run", || async {
        let runs = rig.cli(&["crm", "runs", "--json"]).await;
        runs.lines().iter().any(|r| r["kind"] == "full" && !r["finished_at"].is_null()).then_some(())
    })
    .await;
    let ana = made(&rig, json!({"firstname": "Ana", "phone": "0912000001", "zip": "A1"})).await;
    becomes(&rig, "+886912000001", "name", "Ana").await;
    let begun = std::time::Instant::now();
    changed(&rig, &ana, json!({"state": "confirmed"})).await;
    eventually(LONG, "the confirmation is sent", || async { (templates(&rig) == ["Ana: A1"]).then_some(()) }).await;
    // The rest of the record may change as it likes; the next order is the next message.
    assert!(begun.elapsed() < Duration::from_secs(10), "{:?}", begun.elapsed());
    changed(&rig, &ana, json!({"city": "Taipei"})).await;
    becomes(&rig, "+886912000001", "city", "Taipei").await;
    changed(&rig, &ana, json!({"zip": "A2"})).await;
    eventually(LONG, "the second order", || async { (templates(&rig).len() == 2).then_some(()) }).await;
    for how in [&[][..], &["--full"], &["--reconcile"]] {
        sync(&rig, how).await;
    }

    // A program tells the same kind of thing; said twice it is sent once.
    let parcel = json!({"to": {"phone": "+886912000001"}, "data": {"parcel": "P1"}});
    for again in [false, true] {
        let (status, body) = rig.api("POST", "/api/v1/triggers/parcel-sent", Some(&parcel)).await;
        assert_eq!((status, &body["again"]), (if again { 200 } else { 202 }, &json!(again)), "{body}");
    }
    let (status, body) =
        rig.api("POST", "/api/v1/triggers/parcel-sent", Some(&json!({"to": {"phone": "+886912000001"}}))).await;
    assert_eq!((status, body["detail"].as_str().is_some_and(|d| d.contains("empty"))), (400, true), "{body}");
    let (status, _) = rig.api("POST", "/api/v1/triggers/nothing", Some(&parcel)).await;
    assert_eq!(status, 404);
    eventually(LONG, "the parcel is told", || async { (templates(&rig).len() == 3).then_some(()) }).await;
    tokio::time::sleep(Duration::from_secs(1)).await;
    let mut sent = templates(&rig);
    sent.sort();
    assert_eq!(sent, ["Ana: A1", "Ana: A2", "Parcel P1 for Ana"]);
    let messages = rig.messages().await;
    assert!(messages.iter().all(|m| m["origin"] == "crm"), "{messages:?}");
}

#[tokio::test]
async fn events_of_a_crm_ask_for_a_message_once_sqlite() {
    events_of_the_crm(Engine::Sqlite).await;
}

#[tokio::test]
async fn events_of_a_crm_ask_for_a_message_once_postgres() {
    events_of_the_crm(Engine::Postgres).await;
}

/// People who were here before the CRM was: a list, one of them in the CRM already.
async fn everybody_is_written(engine: Engine) {
    let rig = setup(engine, false).start().await;
    let there = made(&rig, json!({"firstname": "Zed", "phone": "+886 912 000 007"})).await;
    let folder = tempfile::tempdir().unwrap();
    let list = folder.path().join("people.csv");
    let rows: String = (0..1_500).map(|n| format!("+886912{n:06},Ana{n},ana{n}@example.com\n")).collect();
    std::fs::write(&list, format!("phone,name,email\n{rows}")).unwrap();
    assert_eq!(rig.cli(&["contacts", "import", list.to_str().unwrap()]).await.code, 0);
    assert_eq!(rig.hubspot.contacts().len(), 1, "a list alone writes nobody");
    let pushed = rig.cli(&["crm", "sync", "hubspot", "--push", "--wait", "--json"]).await;
    assert_eq!(pushed.code, 0, "{pushed:?}");
    let filed = pushed.json()["told"].as_u64().unwrap();
    // The one who is there may have been linked by the first reading.
    assert!((1_499..=1_500).contains(&filed), "{}", pushed.json());
    eventually(LONG, "everybody is there", || async { (rig.hubspot.contacts().len() == 1_500).then_some(()) }).await;
    assert_eq!(rig.hubspot.duplicates("contacts", "phone").unwrap().sharing, 0);
    // Who was linked before is compared, not written anew.
    assert_eq!(rig.cli(&["crm", "sync", "hubspot", "--reconcile", "--wait"]).await.code, 0);
    shows(&rig, &there, "email", "ana7@example.com").await;
    let again = rig.cli(&["crm", "sync", "hubspot", "--push", "--wait", "--json"]).await;
    assert_eq!(again.json()["told"], 0);
    assert_eq!(rig.status().await["dead_letters"], json!([]));
}

#[tokio::test]
async fn everybody_who_is_not_in_the_crm_is_written_there_when_it_is_asked_for_sqlite() {
    Box::pin(everybody_is_written(Engine::Sqlite)).await;
}

#[tokio::test]
async fn everybody_who_is_not_in_the_crm_is_written_there_when_it_is_asked_for_postgres() {
    Box::pin(everybody_is_written(Engine::Postgres)).await;
}
