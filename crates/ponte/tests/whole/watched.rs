//! What those see who watch the program: metrics, health, and a log without anybody's words in it.

use crate::rig::{LONG, Setup, eventually, phone};
use ponte_simulator::whatsapp::{Customer, CustomerKind, CustomerMessage, Faults};
use serde_json::json;
use std::collections::{BTreeMap, HashSet};

#[tokio::test]
async fn a_busy_log_holds_nobodys_words_names_or_numbers() {
    let mut setup = Setup::sqlite().set("log", "level", "\"debug\"").set("whatsapp", "send_timeout_ms", "500");
    setup.whatsapp.faults = Faults {
        errors: [(131_000, 0.1), (131_026, 0.05), (130_429, 0.05), (100, 0.05)].into(),
        late_errors: [(131_026, 0.1)].into(),
        timeout_after_accept: 0.1,
        media_failures: 0.2,
        webhook_duplicates: 0.2,
        webhook_bad_signatures: 0.1,
        ..Faults::default()
    };
    setup.hubspot.faults.row_rejection = 0.05;
    setup.hubspot.faults.server_error = 0.05;
    let rig = setup.start().await;
    for i in 0..30 {
        let name = format!("Zebulon{i}");
        let kind = match i % 6 {
            0 => CustomerKind::Image { caption: Some(format!("quokka{i}")) },
            1 => CustomerKind::Document { filename: format!("quokka{i}.pdf"), caption: None },
            2 => CustomerKind::Raw { message: json!({"type": "quokka-kind", "x": format!("quokka{i}")}) },
            3 => CustomerKind::Location {
                latitude: 1.0,
                longitude: 2.0,
                name: Some(format!("quokka{i}")),
                address: None,
            },
            _ => CustomerKind::Text { body: format!("quokka{i}") },
        };
        let who = Customer {
            wa_id: Some(phone(i)),
            name: Some(name),
            username: Some(format!("zebulon.{i}")),
            ..Customer::default()
        };
        rig.graph.customer_sends(CustomerMessage::new(who, kind)).await.unwrap();
    }
    eventually(LONG, "all are stored", || async {
        (rig.messages().await.len() == 25 && rig.events("webhook.unrecognised").await.len() == 5).then_some(())
    })
    .await;
    let texts: Vec<(String, String)> =
        (0..30).filter(|i| i % 6 != 2).map(|i| (phone(i), format!("wombat{i}"))).collect();
    let ids = rig.texts(&texts).await;
    rig.send(json!({"to": {"phone": "+4915111888881"}, "message": {"type": "text", "body": "wombat to a stranger"}}))
        .await;
    rig.send(json!({"to": {"phone": "wombat 4915111888881"}, "message": {"type": "text", "body": "wombat"}})).await;
    rig.send(json!({"to": {"phone": "+4915111888881"}, "message": {"type": "text", "body": "wombat", "wombat": "4915111888881"}})).await;
    for id in &ids {
        rig.reaches(id, &["read", "dead", "failed"]).await;
    }
    let log = rig.program.log();
    assert!(log.contains("DEBUG") && log.contains("a send failed") && log.lines().count() > 20, "a busy log: {log}");
    let mut words: Vec<String> = ["quokka", "wombat", "Zebulon", "zebulon", "888881"].map(str::to_owned).into();
    words.extend((0..30).map(|i| phone(i)[2..].to_owned()));
    for word in words {
        let shown: Vec<&str> = log.lines().filter(|l| l.contains(&word)).take(3).collect();
        assert!(shown.is_empty(), "{word} stands in the log: {shown:#?}");
    }
}

/// Prometheus' text format, strictly: types before samples, names and labels well formed, numbers, no sample twice,
/// histograms cumulative.
fn parse(page: &str) -> BTreeMap<String, f64> {
    let mut kinds: BTreeMap<&str, &str> = BTreeMap::new();
    let mut samples = BTreeMap::new();
    let mut closed: HashSet<&str> = HashSet::new();
    let mut open = "";
    for line in page.lines().filter(|l| !l.is_empty()) {
        if let Some(comment) = line.strip_prefix('#') {
            let mut words = comment.split_whitespace();
            if words.next() == Some("TYPE") {
                let (name, kind) = (words.next().unwrap(), words.next().unwrap());
                assert!(["counter", "gauge", "histogram", "summary"].contains(&kind), "{line}");
                assert!(kinds.insert(name, kind).is_none(), "the type of {name} stands twice");
                assert!(closed.insert(name), "{name} comes in two places");
                open = name;
            }
            continue;
        }
        let (sample, value) = line.rsplit_once(' ').unwrap_or_else(|| panic!("no value: {line}"));
        let value: f64 = value.parse().unwrap_or_else(|e| panic!("{e}: {line}"));
        let name = sample.split('{').next().unwrap();
        let legal = |c: char| c.is_ascii_alphanumeric() || c == '_' || c == ':';
        assert!(
            !name.is_empty() && name.chars().all(legal) && !name.starts_with(|c: char| c.is_ascii_digit()),
            "{line}"
        );
        let family =
            ["_bucket", "_sum", "_count"].iter().find_map(|s| name.strip_suffix(s).filter(|n| kinds.contains_key(n)));
        assert_eq!(family.unwrap_or(name), open, "a sample outside of its family: {line}");
        if let Some(labels) = sample.strip_prefix(name).filter(|l| !l.is_empty()) {
            assert!(labels.starts_with('{') && labels.ends_with('}') && labels.contains("=\""), "{line}");
        }
        assert!(samples.insert(sample.to_owned(), value).is_none(), "twice: {line}");
    }
    for (name, _) in kinds.iter().filter(|(_, kind)| **kind == "histogram") {
        let plain: Vec<f64> = page
            .lines()
            .filter(|l| l.starts_with(&format!("{name}_bucket{{le=")))
            .map(|l| l.rsplit(' ').next().unwrap().parse().unwrap())
            .collect();
        assert!(plain.windows(2).all(|w| w[0] <= w[1]), "{name} is not cumulative");
        if let Some(last) = plain.last() {
            assert_eq!(samples.get(&format!("{name}_count")), Some(last), "{name}: +Inf is the count");
        }
    }
    samples
}

#[tokio::test]
async fn metrics_are_prometheus_and_count_what_happened() {
    let rig = Setup::sqlite().start().await;
    rig.open_windows(3).await;
    let id = rig.text(&phone(0), "counted").await;
    rig.reaches(&id, &["read"]).await;
    rig.crm_has(&[id], LONG).await;
    crate::rig::deliver_signed(&rig.program, b"{}", "wrong").await;
    let answer = rig.program.get("/metrics").await.unwrap();
    assert_eq!(answer.status, 200);
    assert!(answer.head.to_ascii_lowercase().contains("content-type: text/plain; version=0.0.4"), "{}", answer.head);
    let page = answer.text();
    let samples = parse(&page);
    let at = |name: &str| *samples.get(name).unwrap_or_else(|| panic!("no {name} in\n{page}"));
    assert_eq!(at("ponte_messages_stored_total"), 3.0);
    assert_eq!(at("ponte_sends_queued_total"), 1.0);
    assert_eq!(at("ponte_sends_accepted_total"), 1.0);
    assert_eq!(at("ponte_webhooks_refused_total"), 1.0);
    assert_eq!(at("ponte_to_whatsapp_seconds_count"), 1.0);
    assert_eq!(at("ponte_nodes"), 1.0);
    assert!(at("ponte_webhooks_acknowledged_total") >= 4.0 && at("ponte_crm_messages_written_total") >= 4.0);
    assert!(samples.keys().any(|k| k.starts_with("ponte_egress_requests_total{")), "{page}");
    assert!(!page.contains(&phone(0)), "nobody's number in the metrics");
    assert_eq!(rig.program.get("/healthz").await.unwrap().text(), "alive\n");
    assert_eq!(rig.program.get("/readyz").await.unwrap().text(), "ready\n");
}
