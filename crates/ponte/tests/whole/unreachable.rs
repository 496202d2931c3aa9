//! A number that WhatsApp says can't be reached: marked with the evidence, spared further messages, and back when it writes.

use crate::rig::{LONG, Rig, Setup, eventually};
use ponte_simulator::whatsapp::CustomerMessage;
use ponte_testkit::Engine;
use serde_json::{Value, json};

/// Without WhatsApp, by the simulator's rule.
const DEAD: &str = "4915111110000";

fn template() -> Value {
    json!({"to": {"phone": format!("+{DEAD}")}, "message": {"type": "template",
        "template": {"name": "hello_world", "language": {"code": "en_US"}}}})
}

async fn labels(rig: &Rig) -> Value {
    rig.cli(&["contacts", "show", &format!("+{DEAD}"), "--json"]).await.json()["profile"]["labels"].clone()
}

async fn marked_and_back(engine: Engine, at_once: bool) {
    // Days can't pass in a test: one failure is enough here; the rule of days is the domain's test.
    let mut setup = Setup::on(engine).no_crm().set("policy", "unreachable_after", "1");
    if at_once {
        setup.whatsapp.faults.errors = [(131_026, 1.0)].into();
    }
    let rig = setup.start().await;
    let (status, queued) = rig.send(template()).await;
    assert_eq!(status, 202, "{queued}");
    rig.reaches(queued["id"].as_str().unwrap(), &["failed", "dead"]).await;
    eventually(LONG, "the label", || async { (labels(&rig).await == json!(["unreachable"])).then_some(()) }).await;
    let told = rig.events("person.line_dead").await;
    assert_eq!((told.len(), &told[0]["data"]["failures"][0]["code"]), (1, &json!("131026")), "{told:?}");
    assert_eq!(told[0]["message"], queued["id"]);
    let shown = rig.cli(&["contacts", "show", &format!("+{DEAD}")]).await;
    assert!(shown.out.contains("dead since") && shown.out.contains("131026"), "{shown:?}");
    let timeline = rig.cli(&["contacts", "timeline", &format!("+{DEAD}")]).await;
    assert!(timeline.out.contains("person.line_dead"), "{timeline:?}");
    let (status, refused) = rig.send(template()).await;
    assert_eq!((status, &refused["code"]), (422, &json!("recipient_unreachable")), "{refused}");

    rig.graph.customer_sends(CustomerMessage::text(DEAD, "Somebody", "new phone!")).await.unwrap();
    eventually(LONG, "the label is gone", || async { labels(&rig).await.is_null().then_some(()) }).await;
    assert_eq!(rig.events("person.line_alive").await.len(), 1);
    let (status, queued) = rig.send(template()).await;
    assert_eq!(status, 202, "{queued}");
}

#[tokio::test]
async fn a_dead_number_is_marked_by_its_status_and_comes_back_sqlite() {
    marked_and_back(Engine::Sqlite, false).await;
}

#[tokio::test]
async fn a_dead_number_is_marked_by_its_status_and_comes_back_postgres() {
    marked_and_back(Engine::Postgres, false).await;
}

#[tokio::test]
async fn a_dead_number_is_marked_by_the_answer_and_comes_back() {
    marked_and_back(Engine::Sqlite, true).await;
}
