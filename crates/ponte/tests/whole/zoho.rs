//! Write-back into Zoho CRM, beside another CRM: contact, message and statuses, each once, on one access token.

use crate::rig::{LONG, Rig, Setup, eventually, phone};
use ponte_simulator::whatsapp::CustomerMessage;
use ponte_simulator::zoho::{self, Faults, Outage, Zoho};
use ponte_testkit::Engine;
use serde_json::{Value, json};
use std::os::unix::fs::PermissionsExt;
use std::time::Duration;

const MODULE: &str = "Ponte_WhatsApp_Messages";

async fn start(engine: Engine) -> (Rig, Zoho) {
    let zoho = Zoho::start(zoho::Config::default()).await.unwrap();
    let oauth = zoho::Oauth::default();
    let mut setup = Setup::on(engine).set("egress", "allow_private", "[\"127.0.0.0/8\"]");
    setup.crm.push_str(&format!(
        "\n[[crm.connections]]\nname = \"zoho\"\nkind = \"zoho\"\ndata_centre = \"us\"\naccounts_url = \"{0}\"\napi_url = \"{0}\"\n\
         client_id = \"{1}\"\nclient_secret = \"{2}\"\nrefresh_token = \"{3}\"\ntoken_file = \"{{dir}}/zoho.json\"\n\
         credits_per_day = 60000\nconcurrency = 20\n",
        zoho.base_url(),
        oauth.client_id,
        oauth.client_secret,
        oauth.refresh_tokens[0]
    ));
    (setup.start().await, zoho)
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
    let file = rig.program.folder().join("zoho.json");
    assert_eq!(std::fs::metadata(&file).unwrap().permissions().mode() & 0o777, 0o600);
    let kept: Value = serde_json::from_slice(&std::fs::read(file).unwrap()).unwrap();
    assert!(!rig.program.log().contains(kept["access_token"].as_str().unwrap()));
}

#[tokio::test]
async fn zoho_gets_everything_once_sqlite() {
    written(Engine::Sqlite).await;
}

#[tokio::test]
async fn zoho_gets_everything_once_postgres() {
    written(Engine::Postgres).await;
}
