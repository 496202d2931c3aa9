//! One person by hand: fields with types, tags, labels, lists of people, and numbers that are dead.

use crate::desk::Desk;
use crate::rig::{LONG, Setup, eventually};
use ponte_simulator::whatsapp::CustomerMessage;
use ponte_testkit::{Engine, both_engines};
use serde_json::{Value, json};

both_engines!(fields_have_types_and_what_is_said_by_hand_wins_over_lists, |db| async move {
    let desk = Desk::new(&db);
    let fields = async |args: &[&str]| desk.ponte(&[&["fields"], args].concat()).await;
    for define in [
        &["define", "points", "--type", "number", "--label", "Loyalty points"][..],
        &["define", "size", "--type", "choice", "--choice", "S", "--choice", "M", "--choice", "L"],
    ] {
        assert_eq!(fields(define).await.code, 0);
    }
    let wrong = fields(&["define", "colour", "--type", "choice"]).await;
    assert!(wrong.code != 0 && wrong.err.contains("choice"), "{wrong:?}");
    desk.file("list.csv", b"id,name,phone,points,size,tags\n1,Ana,+5511987654321,\"1.250,5\",m,vip\n2,Bo,+4915112345678,many,XXL,vip;new\n");
    let done = desk.good(&["import", "list.csv", "--json"]).await.json();
    assert_eq!((done["created"].as_u64(), done["as_written"]["points"].as_u64()), (Some(2), Some(1)), "{done}");
    let ana = desk.good(&["show", "+5511987654321", "--json"]).await.json();
    assert_eq!(
        (&ana["profile"]["fields"]["size"]["v"], &ana["profile"]["fields"]["points"]["v"]),
        (&json!("M"), &json!("1250.5"))
    );
    let bo = desk.good(&["show", "+4915112345678", "--json"]).await.json();
    assert_eq!(bo["profile"]["fields"]["points_as_written"]["v"], "many", "nothing is lost: {bo}");

    desk.good(&["set", "+4915112345678", "points=12", "size=L", "--json"]).await;
    desk.good(&["tag", "+4915112345678", "-vip", "+friend"]).await;
    desk.good(&["label", "+4915112345678", "+employee"]).await;
    let wrong = desk.run(&["set", "+4915112345678", "size=XXL"]).await;
    assert!(wrong.code != 0 && wrong.err.contains("size"), "{wrong:?}");
    desk.good(&["import", "list.csv", "--json"]).await;
    let bo = desk.good(&["show", "+4915112345678", "--json"]).await.json();
    assert_eq!(bo["profile"]["fields"]["points"]["v"], "12", "a list doesn't undo what was said by hand: {bo}");
    assert_eq!(bo["profile"]["tags"], json!(["friend", "new"]), "nor brings a tag back that was taken away");

    let listed = async |args: &[&str]| {
        let all = [&["list", "--json"], args].concat();
        let lines = desk.good(&all).await.lines();
        lines.iter().map(|l| l["name"].as_str().unwrap_or_default().to_owned()).collect::<Vec<_>>()
    };
    assert_eq!(listed(&["--tag", "vip"]).await, ["Ana"]);
    assert_eq!(listed(&["--label", "employee", "--field", "size=L"]).await, ["Bo"]);
    assert_eq!(listed(&["--field", "size=S"]).await, [""; 0]);
    desk.good(&["add", "0912-345-678", "name=Ming", "--country", "TW", "--tag", "vip"]).await;
    let mut vips = listed(&["--tag", "vip"]).await;
    vips.sort();
    assert_eq!(vips, ["Ana", "Ming"]);
    let audit = desk.ponte(&["audit", "--json"]).await.lines();
    let edits: Vec<&Value> =
        audit.iter().filter(|e| e["act"].as_str().is_some_and(|a| a.starts_with("contacts."))).collect();
    assert!(edits.len() >= 5, "{audit:?}");
});

/// A line without WhatsApp, as the simulator has it: what is sent to it is taken, and fails afterwards.
const NO_WHATSAPP: &str = "886912340000";

async fn a_dead_line_revives(engine: Engine) {
    let rig = Setup::on(engine).no_crm().set("policy", "unreachable_after", "1").start().await;
    let hello = json!({"to": {"phone": format!("+{NO_WHATSAPP}")},
        "message": {"type": "template", "template": {"name": "hello_world", "language": {"code": "en_US"}}}});
    let (status, sent) = rig.send(hello.clone()).await;
    assert_eq!(status, 202, "{sent}");
    let show = async || rig.cli(&["contacts", "show", NO_WHATSAPP, "--json"]).await.json();
    let marked = async |wanted: bool| {
        let shown = show().await;
        (shown["profile"]["labels"].to_string().contains("unreachable") == wanted).then_some(shown)
    };
    let dead = eventually(LONG, "the line counts as dead", || marked(true)).await;
    assert!(dead.to_string().contains("131026"), "with the evidence: {dead}");
    let (status, refused) = rig.send(hello.clone()).await;
    assert_eq!((status, &refused["code"]), (422, &json!("recipient_unreachable")), "{refused}");
    let here = CustomerMessage::text(NO_WHATSAPP, "Ming", "I have WhatsApp now");
    rig.graph.customer_sends(here).await.unwrap();
    eventually(LONG, "a message brings it back", || marked(false)).await;
    let (status, sent) = rig.send(hello).await;
    assert_eq!(status, 202, "{sent}");
    let told: Vec<String> = rig
        .cli(&["contacts", "timeline", NO_WHATSAPP, "--json"])
        .await
        .lines()
        .iter()
        .filter_map(|e| e["kind"].as_str().map(str::to_owned))
        .collect();
    let said = |kind: &str| told.iter().any(|k| k == kind);
    assert!(said("person.line_dead") && said("person.line_alive"), "{told:?}");
}

#[tokio::test]
async fn a_dead_line_revives_on_sqlite() {
    a_dead_line_revives(Engine::Sqlite).await;
}

#[tokio::test]
async fn a_dead_line_revives_on_postgres() {
    a_dead_line_revives(Engine::Postgres).await;
}
