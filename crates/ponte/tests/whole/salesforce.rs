//! The whole program with a Salesforce: its configuration, `ponte check`, people and messages with their statuses in the org.

#[path = "../salesforce/package.rs"]
mod package;

use crate::rig::{LONG, Setup, eventually, phone};
use ponte_simulator::salesforce::{Config, Record, Salesforce};
use ponte_simulator::whatsapp::CustomerMessage;
use serde_json::json;

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
                   refresh_token = \"sim-refresh-token\", token_file = \"{dir}/salesforce.token\" }";
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
