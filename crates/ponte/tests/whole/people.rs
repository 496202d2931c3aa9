//! One person by hand: fields with types, tags, labels, lists of people.

use crate::desk::Desk;
use ponte_testkit::both_engines;
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
