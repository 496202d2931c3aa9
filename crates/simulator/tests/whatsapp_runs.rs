//! Whole runs: repeatability, believable traffic, thousands of messages.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing, clippy::panic)]

mod support;

use ponte_simulator::whatsapp::{Config, Faults, Traffic, TrafficConfig};
use serde_json::json;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;
use support::{Bench, quick, text};

const ANA: &str = "+5511987654321";

/// Wamids, codes and statuses of a run of fifty sends under trouble.
async fn run(seed: u64) -> Vec<(u64, String, Vec<&'static str>)> {
    let mut config = Config { seed, ..quick() };
    config.status.read_share = 0.5;
    config.status.delivered_share = 0.8;
    config.faults = Faults { errors: BTreeMap::from([(131_000, 0.3)]), ..Faults::default() };
    let bench = Bench::start(config).await;
    bench.open("5511987654321").await;
    let mut seen = Vec::new();
    for _ in 0..40 {
        let answer = bench.send(ANA, text("x")).await;
        seen.push((
            answer.code(),
            answer.body["messages"][0]["id"].as_str().unwrap_or_default().to_owned(),
            Vec::new(),
        ));
    }
    tokio::time::sleep(Duration::from_millis(300)).await;
    for sent in bench.sim.sent_messages() {
        let entry = seen.iter_mut().find(|(_, wamid, _)| *wamid == sent.wamid).unwrap();
        entry.2 = sent.statuses.iter().map(|mark| mark.status).collect();
    }
    seen
}

#[tokio::test]
async fn the_same_seed_repeats_a_run() {
    let (first, again, other) = tokio::join!(run(7), run(7), run(8));
    assert_eq!(first, again);
    assert_ne!(first, other);
    let refused = first.iter().filter(|(code, ..)| *code == 131_000).count();
    assert!((3..=25).contains(&refused), "{refused}");
}

#[tokio::test]
async fn believable_customers_write_and_answer() {
    let bench = Bench::start(quick()).await;
    let traffic = Traffic::believable(
        &bench.sim,
        TrafficConfig { messages_per_minute: 30_000.0, customers: 50, ..TrafficConfig::default() },
    );
    bench.hook.until("a hundred messages", |hook| hook.messages().len() >= 100).await;
    traffic.stop();
    assert!(traffic.written() >= 100);
    let scripts: Vec<String> = bench
        .hook
        .messages()
        .iter()
        .filter_map(|message| message["text"]["body"].as_str().map(str::to_owned))
        .collect();
    assert!(scripts.iter().any(|body| !body.is_ascii()) && scripts.iter().any(|body| body.is_ascii()));
    let people: std::collections::HashSet<String> =
        bench.hook.messages().iter().map(|message| message["from_user_id"].to_string()).collect();
    assert!(people.len() > 20, "{}", people.len());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn thousands_of_sends_keep_every_status() {
    let mut config = quick();
    config.wabas[0].numbers[0].throughput_per_s = 1_000_000;
    config.wabas[0].numbers[0].messaging_limit = "TIER_UNLIMITED".into();
    let bench = Arc::new(Bench::start(config).await);
    let begin = std::time::Instant::now();
    let hello = json!({"type": "template", "template": {"name": "hello_world", "language": {"code": "en_US"}}});
    let lanes = (0..32).map(|lane| {
        let (bench, hello) = (bench.clone(), hello.clone());
        tokio::spawn(async move {
            for number in 0..100 {
                let mut body = hello.clone();
                body["biz_opaque_callback_data"] = json!(format!("{lane}-{number}"));
                bench.send(&format!("+55119{lane:03}{number:04}1"), body).await.wamid();
            }
        })
    });
    for lane in lanes.collect::<Vec<_>>() {
        lane.await.unwrap();
    }
    let sends = begin.elapsed();
    for _ in 0..1_000 {
        if bench.sim.stats().statuses_acknowledged == 3 * 3_200 {
            break;
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    let stats = bench.sim.stats();
    println!("3200 sends in {sends:?}, all statuses after {:?}, {} posts", begin.elapsed(), stats.webhooks_posted);
    assert_eq!((stats.sends_accepted, stats.duplicates_by_opaque, stats.statuses_acknowledged), (3_200, 0, 9_600));
    assert_eq!(bench.hook.statuses().len(), 9_600, "each exactly once");
    assert!(begin.elapsed() < Duration::from_secs(40), "{:?}", begin.elapsed());
}
