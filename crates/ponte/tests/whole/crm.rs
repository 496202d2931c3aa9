//! Write-back: contact, message and statuses reach the CRM, each once, whatever the CRM does meanwhile.

use crate::rig::{LONG, Rig, Setup, eventually, phone};
use ponte_simulator::hubspot::{DEFAULT_TOKEN, Faults, Outage};
use ponte_simulator::whatsapp::{CustomerKind, CustomerMessage};
use ponte_testkit::Engine;
use ponte_testkit::http::request;
use serde_json::{Value, json};
use std::time::Duration;

/// After a CRM failed, the breaker and the second retry decide how soon it goes on.
const CATCH_UP: Duration = Duration::from_secs(75);

async fn ids_of(rig: &Rig) -> Vec<String> {
    rig.messages().await.iter().map(|m| m["id"].as_str().unwrap().to_owned()).collect()
}

/// `n` customers write, each gets an answer that is read; everything there is then.
async fn talk(rig: &Rig, from: usize, n: usize) -> Vec<String> {
    let mut wamids = Vec::new();
    for i in from..from + n {
        let said = CustomerMessage::text(&phone(i), &format!("Customer {i}"), &format!("question {i}"));
        wamids.push(rig.graph.customer_sends(said).await.unwrap());
    }
    for wamid in &wamids {
        rig.stored(wamid).await;
    }
    let texts: Vec<(String, String)> = (from..from + n).map(|i| (phone(i), format!("answer {i}"))).collect();
    for id in rig.texts(&texts).await {
        rig.reaches(&id, &["read"]).await;
    }
    ids_of(rig).await
}

/// Everything is in the CRM with its last status, each once, on the timeline of its person.
async fn caught_up(rig: &Rig, ids: &[String], people: usize, limit: Duration) {
    rig.crm_has(ids, limit).await;
    eventually(limit, "every answer shows as read", || async {
        let there = rig.in_crm();
        there.values().all(|s| s == "read" || s == "received").then_some(())
    })
    .await;
    assert_eq!(rig.in_crm().len(), ids.len());
    assert_eq!(rig.hubspot.contacts().len(), people);
    assert_eq!(rig.hubspot.communications().len(), ids.len(), "none without our id, none twice");
    let contacts: Vec<String> = rig.hubspot.contacts().iter().map(|c| c.id.clone()).collect();
    for message in rig.hubspot.communications() {
        let linked: Vec<_> = message.associations.iter().filter(|a| a.to_object == "contacts").collect();
        assert!(linked.len() == 1 && contacts.contains(&linked[0].to_id), "{message:?}");
    }
    assert_eq!(rig.status().await["dead_letters"], json!([]));
    rig.nothing_doubled();
}

async fn written(engine: Engine) {
    let rig = Setup::on(engine).start().await;
    let ids = talk(&rig, 0, 12).await;
    caught_up(&rig, &ids, 12, LONG).await;
    let contact =
        rig.hubspot.contacts().into_iter().find(|c| c.properties.get("ponte_wa_id") == Some(&phone(3))).unwrap();
    let person = rig.messages().await.iter().find(|m| m["text"] == "question 3").unwrap()["person_id"].clone();
    assert_eq!(contact.properties["ponte_id"], person.as_str().unwrap());
    assert!(contact.properties.values().any(|v| v.contains("Customer")), "{contact:?}");
    let text = |part: &str| {
        let all = rig.hubspot.communications();
        all.iter().filter(|c| c.properties.values().any(|v| v.contains(part))).count()
    };
    assert_eq!((text("question 3<"), text("answer 3<")), (1, 1));

    // Edits, withdrawals and files change the record instead of adding one.
    let said = rig.graph.customer_sends(CustomerMessage::text(&phone(3), "Customer 3", "frist")).await.unwrap();
    let taken_back =
        rig.graph.customer_sends(CustomerMessage::text(&phone(3), "Customer 3", "my password")).await.unwrap();
    let picture = CustomerKind::Image { caption: Some("<b>cat</b> & dog".into()) };
    rig.graph.customer_sends(CustomerMessage::from_phone(&phone(3), "Customer 3", picture)).await.unwrap();
    rig.stored(&said).await;
    rig.stored(&taken_back).await;
    for kind in [
        CustomerKind::Edit { original_message_id: said, body: "first".into() },
        CustomerKind::Revoke { original_message_id: taken_back },
    ] {
        rig.graph.customer_sends(CustomerMessage::from_phone(&phone(3), "Customer 3", kind)).await.unwrap();
    }
    eventually(LONG, "the changes reach the CRM", || async {
        (text("(edited)") == 1 && text("was withdrawn") == 1 && text("&lt;b&gt;cat&lt;/b&gt; &amp; dog") == 1)
            .then_some(())
    })
    .await;
    assert_eq!(text("frist") + text("my password"), 0, "the old texts are gone from the CRM");
    let ids = ids_of(&rig).await;
    rig.crm_has(&ids, LONG).await;
}

#[tokio::test]
async fn people_messages_and_statuses_are_written_once_sqlite() {
    written(Engine::Sqlite).await;
}

#[tokio::test]
async fn people_messages_and_statuses_are_written_once_postgres() {
    written(Engine::Postgres).await;
}

async fn outage(engine: Engine, kind: Outage) {
    let rig = Setup::on(engine).start().await;
    let ids = talk(&rig, 0, 5).await;
    caught_up(&rig, &ids, 5, LONG).await;
    rig.hubspot.set_faults(Faults { outage: Some(kind), ..Faults::default() });
    // WhatsApp goes on as if nothing had happened.
    talk(&rig, 3, 12).await;
    tokio::time::sleep(Duration::from_secs(3)).await;
    let ids = talk(&rig, 15, 5).await;
    assert_eq!(rig.program.get("/readyz").await.unwrap().status, 200);
    rig.hubspot.set_faults(Faults::default());
    caught_up(&rig, &ids, 20, CATCH_UP).await;
}

#[tokio::test]
async fn a_crm_that_drops_connections_is_caught_up_with_sqlite() {
    outage(Engine::Sqlite, Outage::Drop).await;
}

#[tokio::test]
async fn a_crm_that_is_unavailable_is_caught_up_with_postgres() {
    outage(Engine::Postgres, Outage::Unavailable).await;
}

/// Writes that were applied though the answer never came, or said otherwise: found again, not doubled.
async fn lost_answers(faults: Faults) {
    let rig = Setup::sqlite().start().await;
    let ids = talk(&rig, 0, 3).await;
    caught_up(&rig, &ids, 3, LONG).await;
    rig.hubspot.set_faults(faults);
    talk(&rig, 0, 10).await;
    eventually(LONG, "answers got lost", || async { (rig.hubspot.stats().applied_unanswered >= 2).then_some(()) })
        .await;
    rig.hubspot.set_faults(Faults::default());
    let ids = talk(&rig, 10, 2).await;
    caught_up(&rig, &ids, 12, CATCH_UP).await;
}

#[tokio::test]
async fn a_crm_write_whose_answer_is_reset_is_not_doubled() {
    lost_answers(Faults { reset_after_apply: 1.0, ..Faults::default() }).await;
}

#[tokio::test]
async fn a_crm_write_that_says_500_after_it_was_applied_is_not_doubled() {
    lost_answers(Faults { server_error_after_apply: 1.0, ..Faults::default() }).await;
}

#[tokio::test]
async fn a_crm_write_whose_answer_never_comes_is_not_doubled() {
    lost_answers(Faults { timeout_after_apply: 1.0, hang_ms: 1_000, ..Faults::default() }).await;
}

/// Rows that fail for a moment come through; rows that an account's own rule rejects go to a person, and only those.
#[tokio::test]
async fn one_bad_row_does_not_hold_up_the_others() {
    let mut setup = Setup::sqlite();
    setup.hubspot.flags.shuffle_batch_results = true;
    let rig = setup.start().await;
    let ids = talk(&rig, 0, 3).await;
    caught_up(&rig, &ids, 3, LONG).await;
    rig.hubspot.set_faults(Faults { row_failure: 0.3, ..Faults::default() });
    talk(&rig, 3, 10).await;
    eventually(LONG, "rows fail", || async { (rig.hubspot.stats().row_errors >= 3).then_some(()) }).await;
    rig.hubspot.set_faults(Faults::default());
    let ids = ids_of(&rig).await;
    caught_up(&rig, &ids, 13, CATCH_UP).await;

    rig.hubspot.set_faults(Faults { row_rejection: 1.0, ..Faults::default() });
    let said = rig.graph.customer_sends(CustomerMessage::text(&phone(1), "Customer 1", "rejected")).await.unwrap();
    let said = rig.stored(&said).await["id"].as_str().unwrap().to_owned();
    let letters = eventually(LONG, "the rejected row goes to a person", || async {
        let letters = rig.cli(&["dead-letters", "list", "--json"]).await.lines();
        (!letters.is_empty()).then_some(letters)
    })
    .await;
    assert!(letters.iter().all(|l| l["kind"] == "crm"), "{letters:?}");
    rig.hubspot.set_faults(Faults::default());
    assert_eq!(rig.cli(&["dead-letters", "retry", "--all"]).await.code, 0);
    rig.crm_has(&[said], LONG).await;
}

/// Tokens that run out under load: one refresh for all that wait, nothing lost.
#[tokio::test]
async fn an_expired_token_is_refreshed_once_for_all() {
    let mut setup = Setup::sqlite();
    setup.crm = "oauth = { client_id = \"sim-client\", client_secret = \"sim-client-secret\", refresh_token = \"sim-refresh-token\" }".into();
    setup.hubspot.oauth.rotate_refresh_tokens = true;
    let rig = setup.start().await;
    let ids = talk(&rig, 0, 5).await;
    caught_up(&rig, &ids, 5, LONG).await;
    assert_eq!(rig.hubspot.stats().token_refreshes, 1);
    rig.hubspot.expire_tokens();
    let ids = talk(&rig, 5, 20).await;
    caught_up(&rig, &ids, 25, LONG).await;
    assert_eq!(rig.hubspot.stats().token_refreshes, 2, "one refresh, however many wait");
    assert!(rig.hubspot.stats().auth_failures >= 1);
}

/// Contacts that were there before are found by their phone, however it was written, and no second one is made.
#[tokio::test]
async fn contacts_known_by_phone_are_adopted() {
    let rig = Setup::sqlite().start().await;
    let existing = [
        ("4915111000011", json!({"firstname": "Plain", "phone": "+4915111000011"})),
        ("4915111000021", json!({"firstname": "Spaced", "phone": "+49 1511 1000021"})),
        ("4915111000031", json!({"firstname": "Zeros", "phone": "0049 1511-1000031"})),
        ("4915111000041", json!({"firstname": "Mobile", "mobilephone": "+49 (1511) 1000041"})),
        // Known to WhatsApp without the ninth digit, to the CRM with it.
        ("555187654321", json!({"firstname": "Brasil", "phone": "+55 51 98765-4321"})),
    ];
    let records: Vec<Value> = existing.iter().map(|(_, properties)| properties.clone()).collect();
    let body = json!({"records": records}).to_string();
    let made = request(
        rig.hubspot.addr(),
        "POST",
        "/_sim/records/contacts",
        &[("content-type", "application/json")],
        body.as_bytes(),
    )
    .await
    .unwrap();
    assert_eq!(made.status, 201, "{}", made.text());
    for (wa_id, _) in &existing {
        rig.graph.customer_sends(CustomerMessage::text(wa_id, "Profile name", "hello")).await.unwrap();
    }
    rig.graph.customer_sends(CustomerMessage::text("4915111999991", "New", "hello")).await.unwrap();
    eventually(LONG, "all six are stored", || async { (rig.messages().await.len() == 6).then_some(()) }).await;
    let ids = ids_of(&rig).await;
    rig.crm_has(&ids, LONG).await;
    let contacts = rig.hubspot.contacts();
    for (wa_id, properties) in &existing {
        let name = properties["firstname"].as_str().unwrap();
        let contact =
            contacts.iter().find(|c| c.properties.get("firstname").map(String::as_str) == Some(name)).unwrap();
        assert_eq!(contact.properties.get("ponte_wa_id").map(String::as_str), Some(*wa_id), "{contact:?}");
    }
    assert_eq!(contacts.len(), existing.len() + 1, "one new contact, for the one who was new");
}

/// Contacts as somebody in the CRM makes them.
async fn made_in_crm(rig: &Rig, rows: &[Value]) {
    let inputs: Vec<Value> = rows.iter().map(|properties| json!({ "properties": properties })).collect();
    let body = json!({ "inputs": inputs }).to_string();
    let token = format!("Bearer {DEFAULT_TOKEN}");
    let headers = [("authorization", token.as_str()), ("content-type", "application/json")];
    let path = "/crm/objects/2026-09/contacts/batch/create";
    let answer = request(rig.hubspot.addr(), "POST", path, &headers, body.as_bytes()).await.unwrap();
    assert_eq!(answer.status, 201, "{}", String::from_utf8_lossy(&answer.body));
}

async fn contacts_come_in(engine: Engine) {
    let mut setup = Setup::on(engine);
    // Read once, by hand.
    setup.crm.push_str("\n[crm.connections.sync]\npull = false\n");
    let rig = setup.start().await;
    let ids = talk(&rig, 0, 1).await;
    rig.crm_has(&ids, LONG).await;
    let mut rows: Vec<Value> = (0..230)
        .map(|n| {
            json!({"firstname": "Lead", "lastname": format!("N{n}"), "phone": format!("+88691200{n:04}"),
            "email": format!("lead{n}@example.com"), "city": "Taipei"})
        })
        .collect();
    rows.push(json!({"firstname": "Short", "lastname": "Number", "phone": "12", "email": "short@example.com"}));
    for some in rows.chunks(100) {
        made_in_crm(&rig, some).await;
    }
    let import = ["contacts", "import", "--from-crm", "hubspot", "--json"];
    let preview = rig.cli(&["contacts", "import", "--from-crm", "hubspot", "--preview"]).await;
    assert!(preview.code == 0 && preview.out.contains("Lead"), "{preview:?}");
    let done = rig.cli(&import).await;
    assert_eq!(done.code, 0, "{done:?}");
    let done = done.json();
    assert_eq!((done["rows"].as_u64(), done["created"].as_u64()), (Some(232), Some(230)), "{done}");
    assert_eq!(done["rejected_by_reason"]["too_short"].as_u64(), Some(1), "{done}");
    let lead = rig.cli(&["contacts", "show", "+886912000007", "--json"]).await.json();
    assert_eq!((&lead["name"], &lead["profile"]["fields"]["city"]["v"]), (&json!("Lead N7"), &json!("Taipei")));
    assert_eq!(lead["profile"]["fields"]["email"]["s"], "import:crm:hubspot");
    let again = rig.cli(&import).await.json();
    assert_eq!((again["created"].as_u64(), again["updated"].as_u64()), (Some(0), Some(0)), "{again}");
    // Known by their record: what they write is logged there, and no second contact is made.
    let before = rig.hubspot.contacts().len();
    let hello = CustomerMessage::text("886912000007", "Lead", "here I am");
    let wamid = rig.graph.customer_sends(hello).await.unwrap();
    rig.stored(&wamid).await;
    let ids = ids_of(&rig).await;
    rig.crm_has(&ids, LONG).await;
    assert_eq!(rig.hubspot.contacts().len(), before);
    let wrong = rig.cli(&["contacts", "import", "--from-crm", "salesforce"]).await;
    assert!(wrong.code != 0 && wrong.err.contains("there are: hubspot"), "{wrong:?}");
    let wrong = rig.cli(&["contacts", "import", "--from-crm", "hubspot", "--fields", "shoe_size"]).await;
    assert!(wrong.code != 0 && wrong.err.contains("have no shoe_size"), "{wrong:?}");
}

#[tokio::test]
async fn contacts_of_a_crm_come_in_on_sqlite() {
    contacts_come_in(Engine::Sqlite).await;
}

#[tokio::test]
async fn contacts_of_a_crm_come_in_on_postgres() {
    contacts_come_in(Engine::Postgres).await;
}
