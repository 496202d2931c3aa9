//! Meta delivers at least once and in no order: the state is the same whatever comes twice, late or in another order.

use crate::rig::{LONG, NUMBER, Rig, Setup, deliver, envelope, eventually, phone, seconds, value_of};
use ponte_simulator::whatsapp::{CustomerKind, CustomerMessage, Faults};
use ponte_testkit::Engine;
use serde_json::json;

/// Everything that must not change by repetition.
async fn state(rig: &Rig) -> Vec<String> {
    eventually(LONG, "the journal is read", || async { (rig.status().await["journal_pending"] == 0).then_some(()) })
        .await;
    let mut rows: Vec<String> = rig.messages().await.iter().map(ToString::to_string).collect();
    rows.sort();
    for kind in [
        "message.received",
        "message.edited",
        "message.withdrawn",
        "message.reaction",
        "message.status",
        "message.accepted",
        "person.created",
        "consent.preference",
        "account.notice",
        "webhook.unrecognised",
        "status.unmatched",
    ] {
        rows.push(format!("{kind}: {}", rig.events(kind).await.len()));
    }
    let status = rig.status().await;
    rows.push(format!("{} people, {} conversations", status["people"], status["conversations"]));
    rows
}

async fn twice_and_in_disorder(engine: Engine) {
    let mut setup = Setup::on(engine).no_crm();
    setup.whatsapp.faults = Faults {
        webhook_duplicates: 0.5,
        webhook_reordered: 0.4,
        webhook_reorder_window_ms: 400,
        webhook_bad_signatures: 0.1,
        ..Faults::default()
    };
    let rig = setup.start().await;
    let mut wamids = Vec::new();
    for i in 0..40 {
        let from = phone(i % 10);
        let text = rig.graph.customer_sends(CustomerMessage::text(&from, "Eve", &format!("m{i}"))).await.unwrap();
        let more = match i % 4 {
            0 => Some(CustomerKind::Reaction { message_id: text.clone(), emoji: Some("👍".into()) }),
            1 => Some(CustomerKind::Edit { original_message_id: text.clone(), body: format!("e{i}") }),
            2 => Some(CustomerKind::Revoke { original_message_id: text.clone() }),
            _ => None,
        };
        wamids.push(text);
        if let Some(kind) = more {
            wamids.push(rig.graph.customer_sends(CustomerMessage::from_phone(&from, "Eve", kind)).await.unwrap());
        }
    }
    rig.graph.inject("field_of_tomorrow", &json!({"a": 1}), None).unwrap();
    rig.graph.inject("account_update", &json!({"event": "X"}), None).unwrap();
    eventually(LONG, "all is stored", || async {
        let known = rig.by_wamid().await;
        wamids.iter().all(|id| known.contains_key(id)).then_some(())
    })
    .await;
    let texts: Vec<(String, String)> = (0..40).map(|i| (phone(i % 10), format!("answer {i}"))).collect();
    let sent = rig.texts(&texts).await;
    for id in &sent {
        rig.reaches(id, &["read"]).await;
    }
    assert!(rig.graph.webhooks_idle(LONG).await);
    eventually(LONG, "every status is acknowledged", || async {
        let stats = rig.graph.stats();
        (stats.statuses_acknowledged == stats.statuses_generated && stats.statuses_generated >= 120).then_some(())
    })
    .await;
    let stats = rig.graph.stats();
    assert_eq!(stats.bad_signatures_accepted, 0);
    assert!(stats.bad_signatures_sent > 0 && stats.duplicates_injected > 0, "the faults happened: {stats:?}");
    let before = state(&rig).await;
    let inbound = rig.messages().await.iter().filter(|m| m["origin"] == "customer").count();
    assert_eq!(inbound, wamids.len());
    for message in rig.messages().await.iter().filter(|m| m["origin"] == "customer" && m["kind"] == "text") {
        let n: usize = message["content"]["text"]["body"].as_str().map_or(0, |t| t[1..].parse().unwrap());
        match n % 4 {
            1 if !message["edited_at"].is_i64() => panic!("not edited: {message}"),
            2 if !message["withdrawn_at"].is_i64() => panic!("not withdrawn: {message}"),
            _ => {}
        }
    }

    // The same signed bodies again, newest first, as after an outage.
    let journal = rig.cli(&["journal", "--json", "--limit", "100000"]).await.lines();
    assert!(journal.len() > 50);
    for entry in journal.iter().rev() {
        assert_eq!(deliver(&rig.program, entry["body"].as_str().unwrap().as_bytes()).await.status, 200);
    }
    assert_eq!(state(&rig).await, before);

    // Reading the whole journal again, while the server runs.
    let again = rig.cli(&["replay", "--json"]).await;
    assert_eq!(again.code, 0, "{again:?}");
    let again = again.json();
    assert_eq!((&again["messages_added"], &again["messages_changed"]), (&json!(0), &json!(0)), "{again}");
    assert!(again["bodies"].as_u64().unwrap() >= 2 * journal.len() as u64, "{again}");
    assert_eq!(state(&rig).await, before);
    rig.nothing_doubled();
}

#[tokio::test]
async fn twice_and_in_disorder_gives_the_same_state_sqlite() {
    twice_and_in_disorder(Engine::Sqlite).await;
}

#[tokio::test]
async fn twice_and_in_disorder_gives_the_same_state_postgres() {
    twice_and_in_disorder(Engine::Postgres).await;
}

/// All 24 orders of four statuses, each followed by all of them again: the highest rung shows, every rung keeps its time.
#[tokio::test]
async fn statuses_never_go_back_in_any_order() {
    let mut setup = Setup::sqlite().no_crm();
    // The simulator's own statuses would come too early: here they are told by hand.
    setup.whatsapp.status.sent.p50_ms = 3_600_000;
    setup.whatsapp.status.sent.p99_ms = 3_600_000;
    let rig = setup.start().await;
    rig.open_windows(6).await;
    let orders = permutations(&["sent", "delivered", "read", "failed"]);
    let texts: Vec<(String, String)> = (0..orders.len()).map(|i| (phone(i % 6), format!("order {i}"))).collect();
    let ids = rig.texts(&texts).await;
    rig.all_sent(&ids, LONG).await;
    let base = seconds();
    let at =
        |status: &str| base + ["sent", "delivered", "read", "failed"].iter().position(|s| *s == status).unwrap() as i64;
    for (id, order) in ids.iter().zip(&orders) {
        let wamid = rig.reaches(id, &["accepted"]).await["wamid"].as_str().unwrap().to_owned();
        for status in order.iter().chain(order.iter().rev()) {
            let mut row =
                json!({"id": wamid, "status": status, "timestamp": at(status).to_string(), "recipient_id": phone(0)});
            if *status == "failed" {
                row["errors"] = json!([{"code": 131_026, "title": "Message undeliverable"}]);
            }
            assert_eq!(
                deliver(&rig.program, &envelope(value_of(NUMBER, json!({"statuses": [row]})))).await.status,
                200
            );
        }
    }
    for (id, order) in ids.iter().zip(&orders) {
        let message = eventually(LONG, "all rungs are there", || async {
            let message = rig.message(id).await;
            let stamps = &message["stamps"];
            ["sent", "delivered", "read", "failed"].iter().all(|s| stamps[s].is_i64()).then_some(message)
        })
        .await;
        assert_eq!(message["state"], "read", "{order:?}: {message}");
        for status in ["sent", "delivered", "read", "failed"] {
            assert_eq!(message["stamps"][status], at(status) * 1_000, "{order:?}");
        }
    }
    assert_eq!(rig.events("message.status").await.len(), 4 * orders.len(), "each rung is told once");
}

fn permutations(of: &[&'static str]) -> Vec<Vec<&'static str>> {
    if of.is_empty() {
        return vec![Vec::new()];
    }
    let mut all = Vec::new();
    for (i, first) in of.iter().enumerate() {
        let rest: Vec<_> = of.iter().enumerate().filter(|(j, _)| *j != i).map(|(_, s)| *s).collect();
        for mut tail in permutations(&rest) {
            tail.insert(0, first);
            all.push(tail);
        }
    }
    all
}
