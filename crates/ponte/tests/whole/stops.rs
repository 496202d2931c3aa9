//! Ends: asked to stop, killed where it stands, started twice.

use crate::rig::{
    LONG, NUMBER, Rig, Setup, VERIFY_TOKEN, ask, deliver, envelope, eventually, options, phone, ponte, port, seconds,
    url, value_of,
};
use ponte_simulator::whatsapp::{CustomerMessage, Faults, WebhookTarget};
use ponte_testkit::{Engine, Program};
use serde_json::{Value, json};
use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

const PEOPLE: usize = 25;

/// Programs and customers at work: sends with keys that are asked again until they are answered, and inbound texts.
struct Load {
    stop: Arc<AtomicBool>,
    taken: Arc<AtomicUsize>,
    sender: tokio::task::JoinHandle<HashMap<String, String>>,
}

impl Load {
    fn start(rig: &Rig) -> Self {
        let stop = Arc::new(AtomicBool::new(false));
        let taken = Arc::new(AtomicUsize::new(0));
        let (to, until, count) = (rig.program.address(), Arc::clone(&stop), Arc::clone(&taken));
        let sender = tokio::spawn(async move {
            let authorization = format!("Bearer {}", crate::rig::API_KEY);
            let mut queued = HashMap::new();
            for i in 0.. {
                if until.load(Ordering::Relaxed) {
                    break;
                }
                let key = format!("load-{i}");
                let wish = json!({"to": {"phone": format!("+{}", phone(i % PEOPLE))}, "message": {"type": "text", "body": format!("load {i}")}});
                let headers = [
                    ("authorization", authorization.as_str()),
                    ("content-type", "application/json"),
                    ("idempotency-key", key.as_str()),
                ];
                let begun = Instant::now();
                loop {
                    let answer = ponte_testkit::http::request(
                        to,
                        "POST",
                        "/api/v1/messages",
                        &headers,
                        wish.to_string().as_bytes(),
                    )
                    .await;
                    if let Ok(answer) = answer
                        && [200, 202].contains(&answer.status)
                    {
                        let body: Value = serde_json::from_slice(&answer.body).unwrap();
                        queued.insert(key, body["id"].as_str().unwrap().to_owned());
                        count.fetch_add(1, Ordering::Relaxed);
                        break;
                    }
                    assert!(begun.elapsed() < LONG, "no answer for {key}");
                    tokio::time::sleep(Duration::from_millis(50)).await;
                }
                tokio::time::sleep(Duration::from_millis(8)).await;
            }
            queued
        });
        Self { stop, taken, sender }
    }

    /// Ends the load once it was a load; the ids of all messages that were let in.
    async fn end(self) -> Vec<String> {
        eventually(LONG, "enough was sent", || async { (self.taken.load(Ordering::Relaxed) >= 120).then_some(()) })
            .await;
        self.stop.store(true, Ordering::Relaxed);
        self.sender.await.unwrap().into_values().collect()
    }
}

async fn customers_write(rig: &Rig, from: usize, n: usize) {
    for i in from..from + n {
        rig.graph.customer_sends(CustomerMessage::text(&phone(i % PEOPLE), "Ida", &format!("in {i}"))).await.unwrap();
        tokio::time::sleep(Duration::from_millis(6)).await;
    }
}

/// Everything that was acknowledged is there, everything let in went out once, and all of it is in the CRM once.
async fn nothing_lost_or_doubled(rig: &Rig, sent: &[String]) {
    let limit = Duration::from_secs(60);
    rig.all_sent(sent, limit).await;
    assert!(rig.graph.webhooks_idle(LONG).await);
    let inbound = rig.graph.inbound_messages();
    eventually(limit, "every customer's message is stored", || async {
        let known = rig.by_wamid().await;
        inbound.iter().all(|m| known.contains_key(&m.wamid)).then_some(())
    })
    .await;
    for id in sent {
        rig.reaches(id, &["read"]).await;
    }
    let all = rig.messages().await;
    assert_eq!(all.len(), inbound.len() + sent.len());
    let ids: Vec<String> = all.iter().map(|m| m["id"].as_str().unwrap().to_owned()).collect();
    rig.crm_has(&ids, Duration::from_secs(75)).await;
    assert_eq!(rig.graph.sent_messages().len(), sent.len());
    assert_eq!(rig.status().await["dead_letters"], json!([]));
}

async fn asked_to_stop(engine: Engine) {
    let mut setup = Setup::on(engine);
    setup.whatsapp.faults.latency = serde_json::from_value(json!({"p50_ms": 60, "p99_ms": 300})).unwrap();
    let mut rig = setup.start().await;
    rig.open_windows(PEOPLE).await;
    let load = Load::start(&rig);
    for round in 0..2 {
        customers_write(&rig, round * 200, 150).await;
        let begun = Instant::now();
        let ended = rig.program.terminate(Duration::from_secs(25)).await.unwrap();
        assert_eq!(ended.code(), Some(0), "{}", rig.tail());
        assert!(begun.elapsed() < Duration::from_secs(15), "stopping took {:?}", begun.elapsed());
        let left = rig.cli(&["messages", "--json", "--limit", "500"]).await.lines();
        let between: Vec<&Value> = left.iter().filter(|m| m["phase"] == "sending").collect();
        assert!(between.is_empty(), "left in the middle: {between:?}\n{}", rig.tail());
        let status = rig.cli(&["status", "--json"]).await.json();
        assert_eq!(status["nodes"], 0, "{status}");
        rig.program.restart().await.unwrap();
    }
    customers_write(&rig, 500, 20).await;
    let sent = load.end().await;
    nothing_lost_or_doubled(&rig, &sent).await;
    assert!(rig.program.log().contains("stopped"));
}

#[tokio::test]
async fn a_stop_finishes_what_is_under_way_sqlite() {
    asked_to_stop(Engine::Sqlite).await;
}

#[tokio::test]
async fn a_stop_finishes_what_is_under_way_postgres() {
    asked_to_stop(Engine::Postgres).await;
}

async fn killed(engine: Engine) {
    let mut setup = Setup::on(engine).set("dispatch", "unknown_settle_ms", "1500");
    setup.whatsapp.faults.latency = serde_json::from_value(json!({"p50_ms": 30, "p99_ms": 200})).unwrap();
    let mut rig = setup.start().await;
    rig.open_windows(PEOPLE).await;
    let load = Load::start(&rig);
    for round in 0..3 {
        customers_write(&rig, round * 100, 40).await;
        rig.program.kill().unwrap();
        // The port is silent for a moment; WhatsApp and the programs ask again.
        customers_write(&rig, round * 100 + 40, 10).await;
        rig.program.restart().await.unwrap();
    }
    // Life goes on: reports on later messages settle what was cut off.
    customers_write(&rig, 600, 100).await;
    let sent = load.end().await;
    nothing_lost_or_doubled(&rig, &sent).await;
}

#[tokio::test]
async fn killed_under_load_nothing_is_lost_or_doubled_sqlite() {
    killed(Engine::Sqlite).await;
}

#[tokio::test]
async fn killed_under_load_nothing_is_lost_or_doubled_postgres() {
    killed(Engine::Postgres).await;
}

/// Reports that came before the program died say nothing about a report that could not come while it was dead.
#[tokio::test]
async fn after_a_while_away_an_open_outcome_waits_for_its_late_report() {
    let setup =
        Setup::sqlite().no_crm().set("whatsapp", "send_timeout_ms", "300").set("dispatch", "unknown_settle_ms", "3000");
    let mut rig = setup.start().await;
    rig.open_windows(4).await;
    // From now on only this test reports.
    let nowhere = format!("http://127.0.0.1:{}/", port());
    rig.graph.set_webhook(WebhookTarget { url: nowhere, verify_token: VERIFY_TOKEN.into() });
    rig.graph.set_faults(Faults { timeout_after_accept: 1.0, ..Faults::default() });
    let open = rig.text(&phone(0), "taken, but the answer is lost").await;
    eventually(LONG, "its outcome is unknown", || async { rig.events("message.unknown").await.pop() }).await;
    rig.graph.set_faults(Faults::default());
    for n in 1..4 {
        let id = rig.text(&phone(n), "later").await;
        let wamid = rig.reaches(&id, &["accepted"]).await["wamid"].clone();
        assert_eq!(deliver(&rig.program, &sent_status(&wamid, &id)).await.status, 200);
        rig.reaches(&id, &["sent"]).await;
    }
    rig.program.kill().unwrap();
    tokio::time::sleep(Duration::from_secs(3)).await;
    rig.program.restart().await.unwrap();
    // What is waited for here is that nothing happens.
    tokio::time::sleep(Duration::from_millis(1_500)).await;
    let taken = rig.graph.sent_messages();
    assert_eq!(taken.len(), 4, "nothing is sent again on the word of old reports");
    let wamid = taken.iter().find(|m| m.opaque.as_deref() == Some(&open)).unwrap().wamid.clone();
    assert_eq!(deliver(&rig.program, &sent_status(&json!(wamid), &open)).await.status, 200);
    assert_eq!(rig.reaches(&open, &["sent"]).await["wamid"], wamid);
    assert_eq!(rig.graph.sent_messages().len(), 4);
    rig.nothing_doubled();
}

fn sent_status(wamid: &Value, opaque: &str) -> Vec<u8> {
    let status = json!({"id": wamid, "status": "sent", "timestamp": seconds().to_string(), "recipient_id": phone(0),
        "biz_opaque_callback_data": opaque});
    envelope(value_of(NUMBER, json!({"statuses": [status]})))
}

#[tokio::test]
async fn a_second_server_on_the_same_file_is_refused() {
    let rig = Setup::sqlite().no_crm().start().await;
    let port = port();
    let config = Setup::sqlite().no_crm().config(port, &url(rig.db.place()), &rig.graph, &rig.hubspot);
    let mut second = Program::spawn(options(port, config, Vec::new())).unwrap();
    let ended = second.wait(Duration::from_secs(10)).await.unwrap();
    assert!(!ended.success());
    let said = second.log();
    assert!(said.contains("another ponte serves") && said.contains("PostgreSQL for several nodes"), "{said}");
    // The first one never noticed, and commands work beside it.
    assert_eq!(ask(&rig.program, "GET", "/api/v1/status", None, &[]).await.0, 200);
    assert_eq!(rig.cli(&["status", "--json"]).await.json()["nodes"], 1);
    rig.open_windows(1).await;
}

#[tokio::test]
async fn a_port_in_use_and_a_missing_schema_are_said_clearly() {
    let rig = Setup::sqlite().no_crm().start().await;
    let taken = rig.program.address().port();
    let folder = tempfile::tempdir().unwrap();
    let database = format!("sqlite:{}", folder.path().join("other.db").display());
    let config = Setup::sqlite().no_crm().config(taken, &database, &rig.graph, &rig.hubspot);
    let mut second = Program::spawn(options(taken, config.clone(), Vec::new())).unwrap();
    assert!(!second.wait(Duration::from_secs(10)).await.unwrap().success());
    assert!(second.log().contains(&format!("127.0.0.1:{taken} can't be bound")), "{}", second.log());

    let fresh = folder.path().join("fresh.db");
    let config = config.replace("other.db", "fresh.db").replace("{dir}", &folder.path().to_string_lossy());
    let path = folder.path().join("ponte.toml");
    std::fs::write(&path, config).unwrap();
    let args = |command: &'static str| vec![command, "--config", path.to_str().unwrap()];
    let unready = ponte(&args("status"), folder.path(), &[]).await;
    assert!(unready.code != 0 && unready.err.contains("ponte migrate"), "{unready:?}");
    assert_eq!(ponte(&args("migrate"), folder.path(), &[]).await.code, 0);
    assert_eq!(ponte(&args("migrate"), folder.path(), &[]).await.code, 0, "again is no error");
    assert_eq!(ponte(&args("status"), folder.path(), &[]).await.code, 0);
    assert!(fresh.exists());
}
