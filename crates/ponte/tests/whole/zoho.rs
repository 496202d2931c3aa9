//! Zoho CRM, both ways: contact, message and statuses are written once, on one access token; what people change there comes in at
//! once, by notification.

use crate::rig::{LONG, Rig, Setup, eventually, phone};
use ponte_simulator::whatsapp::CustomerMessage;
use ponte_simulator::zoho::{self, Faults, Outage, Zoho};
use ponte_testkit::Engine;
use ponte_testkit::http::request;
use serde_json::{Value, json};
use std::time::Duration;

const MODULE: &str = "Ponte_WhatsApp_Messages";

async fn start(engine: Engine) -> (Rig, Zoho) {
    let zoho = Zoho::start(zoho::Config::default()).await.unwrap();
    let oauth = zoho::Oauth::default();
    let mut setup = Setup::on(engine).no_crm().set("egress", "allow_private", "[\"127.0.0.0/8\"]").set(
        "secrets",
        "key",
        "\"MDEyMzQ1Njc4OTAxMjM0NTY3ODkwMTIzNDU2Nzg5MDE=\"",
    );
    setup.apps.push_str(&format!(
        "[[crm.connections]]\nname = \"zoho\"\nkind = \"zoho\"\ndata_centre = \"us\"\naccounts_url = \"{0}\"\napi_url = \"{0}\"\n\
         client_id = \"{1}\"\nclient_secret = \"{2}\"\nrefresh_token = \"{3}\"\n\
         credits_per_day = 60000\nconcurrency = 20\nnotification_token = \"a-word-of-twenty-chars\"\n\
         [crm.connections.sync]\ncountry = \"TW\"\nnotify_url = \"{{own}}\"\n",
        zoho.base_url(),
        oauth.client_id,
        oauth.client_secret,
        oauth.refresh_tokens[0]
    ));
    (setup.start().await, zoho)
}

/// A person in Zoho does something.
async fn person(zoho: &Zoho, method: &str, path: &str, body: &Value) -> Value {
    let headers = [("content-type", "application/json")];
    let path = format!("/_sim/{path}");
    let answer = request(zoho.addr(), method, &path, &headers, body.to_string().as_bytes()).await.unwrap();
    assert!(answer.status < 300, "{path}: {} {:?}", answer.status, answer.text());
    serde_json::from_slice(&answer.body).unwrap_or_default()
}

/// A channel for notifications, with the word of the configuration.
async fn listen(rig: &Rig, zoho: &Zoho) {
    let config = std::fs::read_to_string(rig.config()).unwrap();
    let own = config.lines().find_map(|l| l.strip_prefix("notify_url = ")).unwrap().trim_matches('"');
    let url = format!("{own}/webhooks/crm/zoho");
    let watch = json!({"watch": [{"channel_id": "7", "events": ["Contacts.all"], "notify_url": url,
                                  "token": "a-word-of-twenty-chars"}]});
    let token = format!("Zoho-oauthtoken {}", zoho::DEFAULT_TOKEN);
    let headers = [("content-type", "application/json"), ("authorization", token.as_str())];
    let body = watch.to_string();
    let answer = request(zoho.addr(), "POST", "/crm/v8/actions/watch", &headers, body.as_bytes()).await.unwrap();
    assert_eq!(answer.status, 201, "{:?}", answer.text());
}

fn value(zoho: &Zoho, id: &str, field: &str) -> Option<Value> {
    zoho.records("Contacts").into_iter().find(|c| c.id == id)?.fields.get(field).cloned()
}

async fn shows(zoho: &Zoho, id: &str, field: &str, wanted: &Value) {
    let what = format!("{field} of contact {id} becomes {wanted}");
    eventually(LONG, &what, || async { (value(zoho, id, field).as_ref() == Some(wanted)).then_some(()) }).await;
}

/// The person with this number as `contacts show` tells.
async fn card(rig: &Rig, phone: &str) -> Option<Value> {
    let ran = rig.cli(&["contacts", "show", phone, "--json"]).await;
    (ran.code == 0).then(|| ran.json())
}

async fn becomes(rig: &Rig, phone: &str, key: &str, wanted: &str) {
    eventually(LONG, &format!("{key} of {phone} becomes {wanted}"), || async {
        let card = card(rig, phone).await?;
        (card["profile"]["fields"][key]["v"] == wanted).then_some(())
    })
    .await;
}

/// `n` customers write, each gets an answer that is read.
async fn talk(rig: &Rig, from: usize, n: usize) {
    for i in from..from + n {
        let said = CustomerMessage::text(&phone(i), &format!("Customer {i}"), &format!("question {i}"));
        rig.graph.customer_sends(said).await.unwrap();
    }
    eventually(LONG, "the questions are stored", || async {
        (rig.messages().await.len() >= 2 * from + n).then_some(())
    })
    .await;
    let texts: Vec<(String, String)> = (from..from + n).map(|i| (phone(i), format!("answer {i}"))).collect();
    for id in rig.texts(&texts).await {
        rig.reaches(&id, &["read"]).await;
    }
}

/// Everything is there with its last status, each once, with its person.
async fn caught_up(rig: &Rig, zoho: &Zoho, people: usize, limit: Duration) {
    eventually(limit, "messages and statuses are in Zoho", || async {
        let there = zoho.records(MODULE);
        let done = |r: &zoho::Record| matches!(r.fields["Status"].as_str(), Some("read" | "received"));
        (there.len() == 2 * people && there.iter().all(done)).then_some(())
    })
    .await;
    let contacts = zoho.records("Contacts");
    assert_eq!(contacts.len(), people);
    for message in zoho.records(MODULE) {
        let contact = contacts.iter().find(|c| message.fields["Contact"]["id"] == c.id.as_str()).unwrap();
        let n = |record: &zoho::Record, field: &str| {
            let words = record.fields[field].as_str().unwrap().to_owned();
            words.rsplit(' ').next().unwrap().parse::<usize>().unwrap()
        };
        assert_eq!(n(&message, "Body"), n(contact, "Last_Name"));
    }
    for (module, field) in [("Contacts", "Ponte_Id"), ("Contacts", "Mobile"), (MODULE, "Message_Id")] {
        assert_eq!(zoho.duplicates(module, field).unwrap().sharing, 0);
    }
    assert_eq!(rig.status().await["dead_letters"], json!([]));
}

async fn written(engine: Engine) {
    let (mut rig, zoho) = start(engine).await;
    talk(&rig, 0, 8).await;
    caught_up(&rig, &zoho, 8, LONG).await;
    let checked = rig.cli(&["check"]).await;
    assert!(checked.out.contains("Zylker"), "{checked:?}");

    // An outage, and a restart in it: caught up, on the same token.
    zoho.set_faults(Faults { outage: Some(Outage::Unavailable), ..Faults::default() });
    talk(&rig, 8, 4).await;
    rig.program.terminate(LONG).await.unwrap();
    rig.program.restart().await.unwrap();
    zoho.set_faults(Faults::default());
    caught_up(&rig, &zoho, 12, Duration::from_secs(75)).await;
    let stats = zoho.stats();
    assert_eq!((stats.token_refreshes, stats.rate_limited), (1, 0), "{stats:?}");
    assert!(stats.workflows_run >= 24, "rules about messages and statuses run: {stats:?}");
    assert!(!rig.program.log().contains("1000."), "no token is in the log");
}

#[tokio::test]
async fn zoho_gets_everything_once_sqlite() {
    written(Engine::Sqlite).await;
}

#[tokio::test]
async fn zoho_gets_everything_once_postgres() {
    written(Engine::Postgres).await;
}

async fn both_ways(engine: Engine) {
    let (rig, zoho) = start(engine).await;
    eventually(LONG, "the first full run", || async {
        let runs = rig.cli(&["crm", "runs", "--json"]).await;
        runs.lines().iter().any(|r| r["kind"] == "full" && !r["finished_at"].is_null()).then_some(())
    })
    .await;
    listen(&rig, &zoho).await;
    let new = json!({"records": [{"First_Name": "Ana", "Last_Name": "Lima", "Mobile": "0912-345-678",
        "Email": "Ana@Example.com", "Mailing_City": "Taipei", "Date_of_Birth": "1990-05-01", "Title": "CEO"}]});
    let made = person(&zoho, "POST", "records/Contacts", &new).await;
    let ana = made["ids"][0].as_str().unwrap().to_owned();
    becomes(&rig, "+886912345678", "email", "ana@example.com").await;
    becomes(&rig, "+886912345678", "birthday", "1990-05-01").await;
    person(&zoho, "PATCH", &format!("records/Contacts/{ana}"), &json!({"fields": {"Mailing_City": "Kaohsiung"}})).await;
    becomes(&rig, "+886912345678", "city", "Kaohsiung").await;

    // And back: fields, tags by their difference, our id.
    let id = card(&rig, "+886912345678").await.unwrap()["id"].as_str().unwrap().to_owned();
    assert_eq!(rig.cli(&["contacts", "set", &id, "email=ana@example.org", "job_title=Chair"]).await.code, 0);
    assert_eq!(rig.cli(&["contacts", "tag", &id, "+vip"]).await.code, 0);
    shows(&zoho, &ana, "Email", &json!("ana@example.org")).await;
    shows(&zoho, &ana, "Title", &json!("Chair")).await;
    shows(&zoho, &ana, "Ponte_Id", &json!(id)).await;
    eventually(LONG, "the tag is in Zoho", || async { (value(&zoho, &ana, "Tag")?[0]["name"] == "vip").then_some(()) })
        .await;
    assert_eq!(value(&zoho, &ana, "Mobile"), Some(json!("0912-345-678")), "as their people wrote it");

    // Who writes is found there by number; the name there stays.
    let bea = json!({"records": [{"Last_Name": "Bea", "Mobile": format!("+{}", phone(1)), "Mailing_City": "Berlin"}]});
    let bea = person(&zoho, "POST", "records/Contacts", &bea).await["ids"][0].as_str().unwrap().to_owned();
    becomes(&rig, &phone(1), "city", "Berlin").await;
    rig.graph.customer_sends(CustomerMessage::text(&phone(1), "bea ✨", "hello")).await.unwrap();
    shows(&zoho, &bea, "Ponte_WhatsApp_Name", &json!("bea ✨")).await;
    assert_eq!(value(&zoho, &bea, "Last_Name"), Some(json!("Bea")));
    eventually(LONG, "the message is in Zoho", || async { (zoho.records(MODULE).len() == 1).then_some(()) }).await;

    // Nothing echoes: both sides agree, and a look costs next to nothing.
    eventually(LONG, "all is told", || async { (rig.waiting("crm").await == 0).then_some(()) }).await;
    tokio::time::sleep(Duration::from_millis(1_500)).await;
    let calm = zoho.records("Contacts");
    let run = rig.cli(&["crm", "sync", "zoho", "--wait", "--json"]).await.json();
    assert_eq!((&run["created"], &run["changed"], &run["told"]), (&json!(0), &json!(0), &json!(0)), "{run}");
    assert!(run["calls"].as_i64().unwrap() <= 3, "{run}");
    let compared = rig.cli(&["crm", "sync", "zoho", "--wait", "--json", "--reconcile"]).await.json();
    assert_eq!((&compared["differed"], &compared["seen"]), (&json!(0), &json!(2)), "{compared}");
    assert_eq!(zoho.records("Contacts"), calm);

    // Deleted there, the person stays here.
    person(&zoho, "DELETE", &format!("records/Contacts/{ana}"), &json!({})).await;
    eventually(LONG, "the deletion is told", || async {
        rig.cli(&["audit", "--json"]).await.out.contains("crm.record_gone").then_some(())
    })
    .await;
    assert!(card(&rig, "+886912345678").await.is_some());
    assert_eq!(rig.status().await["dead_letters"], json!([]));
    let stats = zoho.stats();
    assert_eq!((stats.rate_limited, stats.token_refreshes), (0, 1), "{stats:?}");
}

#[tokio::test]
async fn what_changes_in_zoho_comes_in_at_once_and_goes_back_sqlite() {
    both_ways(Engine::Sqlite).await;
}

#[tokio::test]
async fn what_changes_in_zoho_comes_in_at_once_and_goes_back_postgres() {
    both_ways(Engine::Postgres).await;
}
