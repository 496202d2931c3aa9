//! Two nodes on one PostgreSQL: both receive, both send; when one dies the other takes over within seconds.

use crate::rig::{HOOK, LONG, Setup, VERIFY_TOKEN, ask, deliver, eventually, options, phone, port, text_body, url};
use ponte_simulator::whatsapp::{CustomerMessage, WebhookTarget};
use ponte_testkit::Program;
use serde_json::json;
use std::time::{Duration, Instant};

/// A counter of one node.
async fn counter(program: &Program, name: &str) -> f64 {
    let page = program.get("/metrics").await.unwrap().text();
    let line =
        page.lines().find(|l| l.starts_with(&format!("{name} "))).unwrap_or_else(|| panic!("no {name} in\n{page}"));
    line.rsplit(' ').next().unwrap().parse().unwrap()
}

#[tokio::test]
async fn two_nodes_share_the_work_and_take_over_from_each_other() {
    let mut setup = Setup::postgres().set("dispatch", "unknown_settle_ms", "1500");
    setup.whatsapp.faults.latency = serde_json::from_value(json!({"p50_ms": 60, "p99_ms": 150})).unwrap();
    let second_port = port();
    let second_setup = Setup::postgres().set("dispatch", "unknown_settle_ms", "1500");
    let mut rig = setup.start().await;
    let config = second_setup.config(second_port, &url(rig.db.place()), &rig.graph, &rig.hubspot);
    let second = Program::start(options(second_port, config, Vec::new())).await.unwrap();
    eventually(LONG, "both are seen", || async {
        (rig.cli(&["status", "--json"]).await.json()["nodes"] == 2).then_some(())
    })
    .await;

    // Both receive: what comes in here and there ends in the same conversations.
    rig.open_windows(30).await;
    for i in 0..30 {
        let body = text_body(&format!("wamid.second.{i}"), &phone(i), "to the second node");
        assert_eq!(deliver(&second, &body).await.status, 200);
        // And once more to the first, as Meta does after a failure.
        assert_eq!(deliver(&rig.program, &body).await.status, 200);
    }
    rig.stored("wamid.second.29").await;
    eventually(LONG, "sixty messages", || async { (rig.messages().await.len() == 60).then_some(()) }).await;
    assert_eq!(rig.status().await["people"], 30);

    // One key, asked at both doors at once: one message.
    let wish = json!({"to": {"phone": format!("+{}", phone(0))}, "message": {"type": "text", "body": "once"}});
    let key = [("idempotency-key", "both-doors")];
    let (one, two) = tokio::join!(
        ask(&rig.program, "POST", "/api/v1/messages", Some(&wish), &key),
        ask(&second, "POST", "/api/v1/messages", Some(&wish), &key)
    );
    assert_eq!(one.1["id"], two.1["id"], "{one:?} {two:?}");
    let mut ids = vec![one.1["id"].as_str().unwrap().to_owned()];

    // Both send.
    let texts: Vec<(String, String)> = (0..180).map(|i| (phone(i % 30), format!("shared {i}"))).collect();
    ids.extend(rig.texts(&texts).await);
    rig.all_sent(&ids, LONG).await;
    let shares = (
        counter(&rig.program, "ponte_sends_accepted_total").await,
        counter(&second, "ponte_sends_accepted_total").await,
    );
    assert!(shares.0 >= 10.0 && shares.1 >= 10.0, "both send: {shares:?}");

    // One dies in the middle of it; WhatsApp reaches the other.
    let texts: Vec<(String, String)> = (0..200).map(|i| (phone(i % 30), format!("taken over {i}"))).collect();
    ids.extend(rig.texts(&texts).await);
    tokio::time::sleep(Duration::from_millis(150)).await;
    let before = rig.graph.sent_messages().len();
    rig.program.kill().unwrap();
    rig.graph.set_webhook(WebhookTarget {
        url: format!("http://127.0.0.1:{second_port}{HOOK}"),
        verify_token: VERIFY_TOKEN.into(),
    });
    let begun = Instant::now();
    assert!(before < ids.len(), "it died before it was done");
    rig.program = second;
    rig.all_sent(&ids, LONG).await;
    assert!(begun.elapsed() < Duration::from_secs(20), "taking over took {:?}", begun.elapsed());
    for i in 0..10 {
        rig.graph.customer_sends(CustomerMessage::text(&phone(i), "Kim", "still there?")).await.unwrap();
    }
    eventually(LONG, "the rest is received", || async {
        let all = rig.messages().await;
        (all.len() == ids.len() + 70).then_some(())
    })
    .await;
    for id in &ids {
        rig.reaches(id, &["read"]).await;
    }
    assert_eq!(rig.graph.sent_messages().len(), ids.len());
    eventually(LONG, "one node is seen", || async {
        (rig.cli(&["status", "--json"]).await.json()["nodes"] == 1).then_some(())
    })
    .await;
    let all: Vec<String> = rig.messages().await.iter().map(|m| m["id"].as_str().unwrap().to_owned()).collect();
    rig.crm_has(&all, Duration::from_secs(75)).await;
    rig.nothing_doubled();
}
