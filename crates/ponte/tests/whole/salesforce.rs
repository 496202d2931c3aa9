//! The whole program with a Salesforce: its configuration, `ponte check`, people and messages with their statuses in the org.

#[path = "../salesforce/package.rs"]
mod package;

use crate::rig::{LONG, Rig, Setup, eventually, phone};
use ponte_simulator::salesforce::{Config, Record, Salesforce};
use ponte_simulator::whatsapp::CustomerMessage;
use ponte_testkit::http::request;
use serde_json::{Value, json};

const MESSAGE: &str = "Ponte_WhatsApp_Message__c";

fn setup(org: &Salesforce, more: &str) -> Setup {
    let mut setup = Setup::sqlite().no_crm().set("egress", "allow_private", "[\"127.0.0.0/8\"]");
    setup.apps.push_str(&format!(
        "[[crm.connections]]\nname = \"salesforce\"\nkind = \"salesforce\"\nlogin_url = \"{}\"\n{more}\n",
        org.base_url()
    ));
    setup
}

const CLIENT: &str = "client_credentials = { client_id = \"sim-client\", client_secret = \"sim-client-secret\" }";

#[tokio::test]
async fn people_and_messages_reach_salesforce_with_their_last_status() {
    let org = Salesforce::start(Config::default()).await.unwrap();
    package::deploy(&org.base_url()).await;
    let rig = setup(&org, CLIENT).start().await;
    let check = rig.cli(&["check", "--json"]).await.json();
    let finding = check["findings"].as_array().unwrap().iter().find(|f| f["what"] == "CRM salesforce").unwrap();
    assert_eq!(finding["state"], "ok", "{finding}");

    let mut wamids = Vec::new();
    for n in 0..8 {
        let said = CustomerMessage::text(&phone(n), &format!("Customer {n}"), &format!("question {n}"));
        wamids.push(rig.graph.customer_sends(said).await.unwrap());
    }
    for wamid in &wamids {
        rig.stored(wamid).await;
    }
    let answers: Vec<(String, String)> = (0..8).map(|n| (phone(n), format!("answer {n}"))).collect();
    for id in rig.texts(&answers).await {
        rig.reaches(&id, &["read"]).await;
    }
    let all: Vec<Record> = eventually(LONG, "every answer shows as read in Salesforce", || async {
        let all = org.records(MESSAGE);
        let read = all.iter().filter(|m| m.values["Status__c"] == "read").count();
        (all.len() == 16 && read == 8).then_some(all)
    })
    .await;
    assert_eq!(org.records("Contact").len(), 8);
    assert_eq!(org.duplicates(MESSAGE, "Ponte_Message_Id__c").unwrap().sharing, 0);
    for contact in org.records("Contact") {
        let mine = all.iter().filter(|m| m.values.get("Contact__c") == Some(&contact.id)).count();
        assert_eq!(mine, 2, "question and answer at {}", contact.values["MobilePhone"]);
    }
    assert_eq!(rig.status().await["dead_letters"], json!([]));
}

#[tokio::test]
async fn a_rotating_refresh_token_outlives_restarts() {
    let org = Salesforce::start(Config::default()).await.unwrap();
    let refresh = "refresh = { client_id = \"sim-client\", client_secret = \"sim-client-secret\", \
                   refresh_token = \"sim-refresh-token\"}";
    let mut rig = setup(&org, refresh).start().await;
    rig.graph.customer_sends(CustomerMessage::text(&phone(1), "Ana", "hello")).await.unwrap();
    // The org has no object of ours: it is a task.
    eventually(LONG, "the message is in Salesforce", || async { (org.records("Task").len() == 1).then_some(()) }).await;
    for _ in 0..2 {
        rig.program.terminate(LONG).await.unwrap();
        rig.program.restart().await.unwrap();
        let check = rig.cli(&["check", "--json"]).await.json();
        let finding = check["findings"].as_array().unwrap().iter().find(|f| f["what"] == "CRM salesforce").unwrap();
        assert_eq!(finding["state"], "ok", "{finding}");
    }
    assert!(org.stats().sessions["refresh_token"] >= 3);
    assert!(!rig.program.log().contains("sim-client-secret"));
}

#[tokio::test]
async fn wrong_settings_are_told_with_what_to_do() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("ponte.toml");
    for (lines, said, mend) in [
        (
            "login_url = \"http://acme.my.salesforce.com\"\nclient_credentials = { client_id = \"a\", client_secret = \"b\" }",
            "login_url is no https address",
            "https://NAME.my.salesforce.com",
        ),
        (
            "login_url = \"https://login.salesforce.com\"\nclient_credentials = { client_id = \"a\", client_secret = \"b\" }",
            "not taken at this login_url",
            "My Domain",
        ),
        (
            "login_url = \"https://acme.my.salesforce.com\"",
            "exactly one of client_credentials, jwt and refresh",
            "simplest",
        ),
        (
            "login_url = \"https://acme.my.salesforce.com\"\njwt = { client_id = \"a\", username = \"u\", private_key = \"no key\" }",
            "no PEM text",
            "openssl genrsa",
        ),
        (
            "login_url = \"https://acme.my.salesforce.com\"\njwt = { client_id = \"a\", username = \"u\", private_key = \"file:/no/key\" }",
            "/no/key can't be read",
            "readable",
        ),
        (
            "login_url = \"https://acme.my.salesforce.com\"\nclient_credentials = { client_id = \"a\", client_secret = \"b\" }\napi_version = \"v66\"\nbudget_percent = 0\ncalls_per_second = 0",
            "api_version is no version",
            "budget_percent is not between",
        ),
        ("login_url = \"https://acme.my.salesforce.com\"\nobject = \"Account\"", "Account", "config.default.toml"),
    ] {
        let connection = format!("[[crm.connections]]\nname = \"sales\"\nkind = \"salesforce\"\n{lines}\n");
        std::fs::write(&path, connection).unwrap();
        let ran = crate::rig::ponte(&["status", "--config", path.to_str().unwrap()], folder.path(), &[]).await;
        assert!(
            ran.code != 0 && ran.err.contains(said) && ran.err.contains(mend),
            "{said} / {mend} missing in:\n{}",
            ran.err
        );
    }
}

/// A person in the org does something.
async fn acts(org: &Salesforce, method: &str, path: &str, body: &Value) -> Value {
    let (path, body) = (format!("/_sim/records/{path}"), body.to_string());
    let answer = request(org.addr(), method, &path, &[], body.as_bytes()).await.unwrap();
    assert!(answer.status < 300, "{method} {path}: {} {:?}", answer.status, answer.text());
    serde_json::from_slice(&answer.body).unwrap_or_default()
}

async fn made(org: &Salesforce, values: Value) -> String {
    let made = acts(org, "POST", "Contact", &json!({ "records": [values] })).await;
    made["ids"][0].as_str().unwrap().to_owned()
}

async fn look(rig: &Rig, how: &[&str]) -> Value {
    let args = [&["crm", "sync", "salesforce", "--wait", "--json"], how].concat();
    let ran = rig.cli(&args).await;
    assert_eq!(ran.code, 0, "{ran:?}\n{}", rig.tail());
    ran.json()
}

async fn person(rig: &Rig, phone: &str) -> Option<Value> {
    let ran = rig.cli(&["contacts", "show", phone, "--json"]).await;
    (ran.code == 0).then(|| ran.json())
}

async fn becomes(rig: &Rig, phone: &str, key: &str, value: &str) {
    eventually(LONG, &format!("{key} of {phone} becomes {value}"), || async {
        let card = person(rig, phone).await?;
        (card["profile"]["fields"][key]["v"].as_str() == Some(value)).then_some(())
    })
    .await;
}

fn of(org: &Salesforce, id: &str, name: &str) -> Option<String> {
    org.records("Contact").into_iter().find(|c| c.id == id)?.values.get(name).cloned()
}

#[tokio::test]
async fn both_sides_stay_in_step_through_changes_merges_and_deletions() {
    let org = Salesforce::start(Config::default()).await.unwrap();
    package::deploy(&org.base_url()).await;
    let sync =
        format!("{CLIENT}\nwebhook_secret = \"the-secret-of-the-flow\"\n[crm.connections.sync]\ncountry = \"TW\"");
    let rig = setup(&org, &sync).start().await;
    eventually(LONG, "the first full run", || async {
        let runs = rig.cli(&["crm", "runs", "--json"]).await;
        runs.lines().iter().any(|r| r["kind"] == "full" && !r["finished_at"].is_null()).then_some(())
    })
    .await;

    // What is new there is new here, and what changes comes over, both ways.
    let ana = made(
        &org,
        json!({"FirstName": "Ana", "LastName": "Lima", "MobilePhone": "0912-345-678", "Email": "ana@example.com",
               "MailingCity": "Taipei", "Title": "CEO", "Birthdate": "1990-12-31"}),
    )
    .await;
    look(&rig, &[]).await;
    for (key, value) in
        [("name", "Ana Lima"), ("email", "ana@example.com"), ("city", "Taipei"), ("birthday", "1990-12-31")]
    {
        becomes(&rig, "+886912345678", key, value).await;
    }
    let card = person(&rig, "+886912345678").await.unwrap();
    let id = card["id"].as_str().unwrap();
    let set = rig.cli(&["contacts", "set", id, "email=ana@example.org", "job_title=Founder"]).await;
    assert_eq!(set.code, 0, "{set:?}");
    let tagged = rig.cli(&["contacts", "tag", id, "+vip"]).await;
    assert_eq!(tagged.code, 0, "{tagged:?}");
    eventually(LONG, "what was set here is there", || async {
        let there = ["Email", "Title", "Ponte_Tags__c", "Ponte_Id__c"].map(|name| of(&org, &ana, name));
        let wanted = ["ana@example.org", "Founder", "vip", id].map(|v| Some(v.to_owned()));
        (there == wanted).then_some(())
    })
    .await;
    assert_eq!(of(&org, &ana, "MobilePhone").as_deref(), Some("0912-345-678"), "written as their people wrote it");

    // A flow tells, and the change is here at once.
    acts(&org, "PATCH", &format!("Contact/{ana}"), &json!({"values": {"MailingCity": "Kaohsiung"}})).await;
    let body = json!({ "id": ana }).to_string();
    let headers = [("content-type", "application/json"), ("authorization", "Bearer the-secret-of-the-flow")];
    let told = rig.program.post("/webhooks/crm/salesforce", &headers, body.as_bytes()).await.unwrap();
    assert!(told.status < 300, "{}", told.status);
    becomes(&rig, "+886912345678", "city", "Kaohsiung").await;
    let forged = [("content-type", "application/json"), ("authorization", "Bearer guessed")];
    assert_eq!(rig.program.post("/webhooks/crm/salesforce", &forged, body.as_bytes()).await.unwrap().status, 401);

    // Nothing echoes: a look finds nothing and costs next to nothing, and both sides agree.
    tokio::time::sleep(std::time::Duration::from_millis(1_500)).await;
    let run = look(&rig, &[]).await;
    assert_eq!((&run["created"], &run["changed"], &run["told"]), (&json!(0), &json!(0), &json!(0)), "{run}");
    assert!(run["calls"].as_i64().unwrap() <= 3, "{run}");
    let compared = look(&rig, &["--reconcile"]).await;
    assert_eq!((&compared["differed"], &compared["seen"]), (&json!(0), &json!(1)), "{compared}");

    // Merged there, the two people are one here; deleted there, the person stays.
    let twin = made(&org, json!({"LastName": "Lima", "MobilePhone": "0987-654-321"})).await;
    look(&rig, &[]).await;
    becomes(&rig, "+886987654321", "name", "Lima").await;
    acts(&org, "POST", &format!("Contact/{ana}/merge"), &json!({ "losers": [twin] })).await;
    look(&rig, &[]).await;
    eventually(LONG, "one person has both numbers", || async {
        let (a, b) = (person(&rig, "+886912345678").await?, person(&rig, "+886987654321").await?);
        (a["id"] == b["id"]).then_some(())
    })
    .await;
    acts(&org, "DELETE", &format!("Contact/{ana}"), &Value::Null).await;
    let run = look(&rig, &[]).await;
    // The merge before is told again: looks overlap.
    assert!(run["gone"].as_i64().unwrap() >= 1, "{run}");
    assert!(person(&rig, "+886912345678").await.is_some());
}

#[tokio::test]
async fn the_stream_of_changes_brings_them_without_an_address_of_ours() {
    let org = Salesforce::start(Config::default()).await.unwrap();
    package::deploy(&org.base_url()).await;
    let stream = format!("{CLIENT}\nchange_data_capture = true\npubsub_url = \"{}\"", org.base_url());
    let mut rig = setup(&org, &stream).start().await;
    eventually(LONG, "the stream is open", || async {
        (org.stats().requests.get("gRPC Subscribe") == Some(&1)).then_some(())
    })
    .await;
    let ana = made(&org, json!({"LastName": "Lima", "MobilePhone": "+886912345678", "MailingCity": "Taipei"})).await;
    becomes(&rig, "+886912345678", "city", "Taipei").await;
    acts(&org, "PATCH", &format!("Contact/{ana}"), &json!({"values": {"MailingCity": "Kaohsiung"}})).await;
    becomes(&rig, "+886912345678", "city", "Kaohsiung").await;
    // Away for a moment, ours or theirs.
    org.end_streams();
    acts(&org, "PATCH", &format!("Contact/{ana}"), &json!({"values": {"MailingCity": "Tainan"}})).await;
    becomes(&rig, "+886912345678", "city", "Tainan").await;
    rig.program.terminate(LONG).await.unwrap();
    acts(&org, "PATCH", &format!("Contact/{ana}"), &json!({"values": {"MailingCity": "Hsinchu"}})).await;
    rig.program.restart().await.unwrap();
    becomes(&rig, "+886912345678", "city", "Hsinchu").await;
}
