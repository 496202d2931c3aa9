//! Templates and numbers as WhatsApp has them: read at start, read again when a webhook says so, asked by the policy.

use crate::rig::{LONG, Rig, Setup, eventually, phone};
use ponte_testkit::Engine;
use serde_json::{Value, json};

fn offer(template: &str, class: &str) -> Value {
    json!({"to": {"phone": format!("+{}", phone(0))}, "class": class,
        "message": {"type": "template", "template": {"name": template, "language": {"code": "en_US"}}}})
}

async fn templates(rig: &Rig) -> Vec<Value> {
    rig.cli(&["templates", "--json"]).await.lines()
}

async fn read_once(rig: &Rig) {
    eventually(LONG, "the templates are read", || async { (!templates(rig).await.is_empty()).then_some(()) }).await;
}

async fn what_whatsapp_says_decides(engine: Engine) {
    let rig = Setup::on(engine).no_crm().start().await;
    read_once(&rig).await;
    let all = templates(&rig).await;
    let hello = all.iter().find(|t| t["name"] == "hello_world").expect("the simulator has it");
    assert_eq!((&hello["status"], &hello["category"]), (&json!("APPROVED"), &json!("UTILITY")), "{hello}");
    assert!(hello["components"].is_array());
    // The policy of every node hears of it within seconds.
    let refusal = async |template: &str| {
        let (status, body) = rig.send(offer(template, "transactional")).await;
        (status, body["code"].as_str().unwrap_or_default().to_owned())
    };
    eventually(LONG, "a template that isn't there is refused", || async {
        (refusal("no_such_template").await == (422, "template_not_approved".into())).then_some(())
    })
    .await;
    assert_eq!(
        refusal("spring_sale").await,
        (422, "consent_missing".into()),
        "its category counts, not the caller's word"
    );
    let (status, body) = rig.send(offer("hello_world", "transactional")).await;
    assert_eq!(status, 202, "{body}");
    let id = hello["id"].as_str().unwrap();
    assert!(rig.graph.set_template_status(id, "DISABLED"));
    eventually(LONG, "the webhook is heard", || async {
        (refusal("hello_world").await == (422, "template_not_approved".into())).then_some(())
    })
    .await;
    let changed = rig.events("template.changed").await;
    let told = changed.iter().find(|e| e["data"]["status"] == "DISABLED").expect("an event tells of it");
    assert_eq!((&told["data"]["name"], &told["data"]["status_before"]), (&json!("hello_world"), &json!("APPROVED")));
    assert!(rig.graph.set_template_status(id, "APPROVED"));
    let synced = rig.cli(&["templates", "sync", "--status", "approved"]).await;
    assert!(synced.code == 0 && synced.out.contains("hello_world") && !synced.out.contains("win_back"), "{synced:?}");
    eventually(LONG, "it may be sent again", || async {
        let (status, _) = rig.send(offer("hello_world", "transactional")).await;
        (status == 202).then_some(())
    })
    .await;
}

#[tokio::test]
async fn what_whatsapp_says_of_templates_decides_on_sqlite() {
    what_whatsapp_says_decides(Engine::Sqlite).await;
}

#[tokio::test]
async fn what_whatsapp_says_of_templates_decides_on_postgres() {
    what_whatsapp_says_decides(Engine::Postgres).await;
}
