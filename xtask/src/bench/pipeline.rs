//! The whole way under a company's busiest load: 5,000 customers' messages a minute through webhook, journal and database into
//! the CRM, while a program sends 1,000 messages a minute through the API to WhatsApp.
//! Times are those the simulators wrote down: from the moment a customer wrote to the moment the CRM made the record; from the
//! start of the API call to the moment the Cloud API accepted. Every message is accounted for afterwards.

use super::PipelineOptions;
use crate::rig::http::Client;
use crate::rig::ledger::{Books, waiting};
use crate::rig::process::{Ponte, Setup, Simulators, cpu_seconds, free_address, memory_mb, simulator_settings};
use crate::rig::webhook::{PATH, customer};
use crate::rig::{self, API_KEY, Machine, NUMBERS, Place, cores, now_ms, quantile};
use anyhow::{Result, bail};
use serde_json::{Value, json};
use std::collections::HashMap;
use std::net::SocketAddr;
use std::process::ExitCode;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};
use tokio::task::JoinSet;

/// Customers' messages a minute.
const INBOUND: f64 = 5_000.0;
/// API sends a minute: a fifth of what comes in is answered.
const SENDS: f64 = 1_000.0;
const PEOPLE: usize = 2_000;
/// Messages of the beginning that are not measured: connections open, the CRM's properties are made.
const WARM_UP: Duration = Duration::from_secs(5);

pub async fn run(options: &PipelineOptions) -> Result<ExitCode> {
    let (report, good) = measured(options).await?;
    rig::print("pipeline", &report, options.common.json)?;
    Ok(if good { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// The figures, and whether nothing was lost or doubled.
pub(super) async fn measured(options: &PipelineOptions) -> Result<(Value, bool)> {
    let length = Duration::from_secs(options.common.seconds.unwrap_or(60));
    let mut place = Place::new(options.common.database, "pipeline")?;
    let address = free_address()?;
    let latency = "[whatsapp.faults]\nlatency = { p50_ms = 40, p99_ms = 150 }\n[hubspot.faults]\nlatency = { p50_ms = 60, p99_ms = 250 }\n";
    let burst = options.crm_calls_per_10s;
    let limits = format!("{latency}[hubspot.limits]\nburst = {burst}\n");
    let settings = simulator_settings(1, [80, 80], false, &limits);
    let simulators = Simulators::start(place.folder(), &settings, Some(&format!("http://{address}{PATH}")))?;
    let setup = Setup {
        database: place.database().await?,
        media: place.folder().join("media"),
        whatsapp: simulators.whatsapp,
        hubspot: Some((simulators.hubspot, options.crm_calls_per_10s)),
        connections: Vec::new(),
        per_second: [80, 80],
        more: "[dispatch]\nplan = \"unlimited\"\n".into(),
    };
    let mut ponte = Ponte::spawn(place.folder(), "node0", address, &setup)?;
    ponte.ready().await?;
    tokio::time::sleep(WARM_UP).await;
    let (idle_rss, _) = memory_mb(ponte.pid());
    let mut client = ponte.client();
    open_conversations(&simulators, &mut client).await?;
    let calls_before = crm_calls(&simulators).await?;
    let (begun, began_ms, cpu) = (Instant::now(), now_ms(), cpu_seconds(ponte.pid()));
    let calls = Arc::new(Mutex::new(HashMap::new()));
    let mut load = JoinSet::new();
    load.spawn(customers(simulators.whatsapp, length));
    load.spawn(program(address, length, Arc::clone(&calls)));
    while let Some(done) = load.join_next().await {
        done??;
    }
    let share = (cpu_seconds(ponte.pid()) - cpu) / begun.elapsed().as_secs_f64() / cores() as f64;
    let (rss, peak) = memory_mb(ponte.pid());
    let seconds = begun.elapsed().as_secs_f64();
    let calls_after = crm_calls(&simulators).await?;
    settle(&simulators, &mut client).await?;
    let books = Books::read(&simulators, &mut client).await?;
    let calls = std::mem::take(&mut *calls.lock().unwrap_or_else(PoisonError::into_inner));
    let accepted: Vec<String> = calls.keys().cloned().collect();
    let found = books.compare(&[], &accepted);
    let (mut to_crm, mut from_200) = to_crm(&books, began_ms);
    let mut to_whatsapp: Vec<i64> =
        books.sent.iter().filter_map(|s| Some(s.accepted_at_ms - calls.get(s.opaque.as_ref()?)?)).collect();
    let rate = |n: usize| (n as f64 / seconds * 60.0).round();
    let report = json!({
        "database": options.common.database, "messages_per_min": rate(to_crm.len()), "sends_per_min": rate(to_whatsapp.len()),
        "to_crm_p50_ms": quantile(&mut to_crm, 0.5), "to_crm_p95_ms": quantile(&mut to_crm, 0.95),
        "to_crm_p99_ms": quantile(&mut to_crm, 0.99), "to_crm_from_200_p50_ms": quantile(&mut from_200, 0.5),
        "to_crm_from_200_p95_ms": quantile(&mut from_200, 0.95), "to_whatsapp_p50_ms": quantile(&mut to_whatsapp, 0.5),
        "to_whatsapp_p95_ms": quantile(&mut to_whatsapp, 0.95), "to_whatsapp_p99_ms": quantile(&mut to_whatsapp, 0.99),
        "cpu_share": (share * 1000.0).round() / 1000.0, "rss_mb": rss, "peak_rss_mb": peak, "idle_rss_mb": idle_rss,
        "lost": found.lost(), "doubled": found.doubled(), "dead_letters": found.in_dead_letters, "found": found.counts(),
        "crm_calls_per_s": ((calls_after.0 - calls_before.0) as f64 / seconds * 10.0).round() / 10.0,
        "crm_calls_allowed_per_s": options.crm_calls_per_10s / 10, "crm_429": calls_after.1 - calls_before.1,
        "seconds": seconds.round(), "whatsapp_latency_ms": "median 40, 99th percentile 150",
        "crm_latency_ms": "median 60, 99th percentile 250", "machine": Machine::here(),
    });
    Ok((report, found.lost() + found.doubled() == 0))
}

/// Calls that the CRM answered so far, and how many of them with 429.
async fn crm_calls(simulators: &Simulators) -> Result<(u64, u64)> {
    let stats = Client::new(simulators.hubspot).get("/_sim/stats").await?;
    let answers = stats.get("answers").and_then(Value::as_object).map(|a| a.values().filter_map(Value::as_u64).sum());
    Ok((answers.unwrap_or(0), stats.get("rate_limited").and_then(Value::as_u64).unwrap_or(0)))
}

/// Everybody writes once, so that answers may be free text.
async fn open_conversations(simulators: &Simulators, ponte: &mut Client) -> Result<()> {
    let first: Vec<Value> = (0..PEOPLE).map(|n| says(n, "Hello")).collect();
    Client::new(simulators.whatsapp).must("POST", "/_sim/inbound", Some(&json!(first))).await?;
    settle(simulators, ponte).await
}

fn says(n: usize, text: &str) -> Value {
    let n = n % PEOPLE;
    json!({ "from": { "wa_id": customer(n), "name": format!("Customer {n}") }, "message": { "type": "text", "body": text },
        "phone_number_id": NUMBERS.get(n % 2) })
}

/// Waits until all is told, read and written, and the statuses are through.
async fn settle(simulators: &Simulators, ponte: &mut Client) -> Result<()> {
    let (begun, mut calm) = (Instant::now(), 0);
    let mut graph = Client::new(simulators.whatsapp);
    let mut before = None;
    // The last status of a message comes after a few seconds: eight of calm, in halves.
    while calm < 16 {
        tokio::time::sleep(Duration::from_millis(500)).await;
        let stats = graph.get("/_sim/stats").await?;
        let number = |name: &str| stats.get(name).and_then(Value::as_u64).unwrap_or(0);
        let told = number("webhook_backlog") + number("webhook_open_batches") == 0
            && number("statuses_generated") == number("statuses_acknowledged");
        let generated = (number("statuses_generated"), number("inbound_generated"));
        let empty = waiting(ponte).await? == (0, 0);
        calm = if told && empty && before == Some(generated) { calm + 1 } else { 0 };
        before = Some(generated);
        if begun.elapsed() > Duration::from_secs(90) {
            if calm == 0 && !empty {
                bail!("the queues aren't empty after 90 seconds");
            }
            return Ok(());
        }
    }
    Ok(())
}

async fn customers(simulator: SocketAddr, length: Duration) -> Result<()> {
    let mut client = Client::new(simulator);
    let begun = tokio::time::Instant::now();
    for n in 0.. {
        let due = begun + Duration::from_secs_f64(n as f64 * 60.0 / INBOUND);
        if due - begun >= length {
            break;
        }
        tokio::time::sleep_until(due).await;
        client.must("POST", "/_sim/inbound", Some(&says(n * 7, &format!("Where is my order? ({n})")))).await?;
    }
    Ok(())
}

/// Sends at due moments; each call's message id with the moment it was due.
async fn program(ponte: SocketAddr, length: Duration, calls: Arc<Mutex<HashMap<String, i64>>>) -> Result<()> {
    let (begun, began_ms) = (tokio::time::Instant::now(), now_ms());
    let mut sends = JoinSet::new();
    for n in 0_usize.. {
        let after = Duration::from_secs_f64(n as f64 * 60.0 / SENDS);
        if after >= length {
            break;
        }
        tokio::time::sleep_until(begun + after).await;
        let due = began_ms + i64::try_from(after.as_millis()).unwrap_or(0);
        let calls = Arc::clone(&calls);
        sends.spawn(async move {
            let to = n * 13 % PEOPLE;
            let wish = json!({ "from": NUMBERS.get(to % 2), "to": { "phone": format!("+{}", customer(to)) },
                "message": { "type": "text", "body": format!("It is on its way ({n}).") } });
            let mut client = Client::with_key(ponte, API_KEY);
            let (status, answer) =
                client.call("POST", "/api/v1/messages", Some(&format!("send-{n}")), Some(&wish)).await?;
            let Some(id) = answer.get("id").and_then(Value::as_str).filter(|_| status == 202) else {
                bail!("a send was answered {status} {answer}");
            };
            calls.lock().unwrap_or_else(PoisonError::into_inner).insert(id.to_owned(), due);
            anyhow::Ok(())
        });
        while let Some(done) = sends.try_join_next() {
            done??;
        }
    }
    while let Some(done) = sends.join_next().await {
        done??;
    }
    Ok(())
}

/// Milliseconds from writing, and from the webhook's 200, to the record in the CRM, of what was written since `from`.
fn to_crm(books: &Books, from: i64) -> (Vec<i64>, Vec<i64>) {
    let ids: HashMap<&str, &str> =
        books.messages.iter().filter_map(|m| Some((m.wamid.as_deref()?, m.id.as_str()))).collect();
    let made: HashMap<&str, i64> = books
        .communications
        .iter()
        .filter_map(|r| Some((r.properties.get("ponte_message_id")?.as_str(), r.created_at_ms)))
        .collect();
    books
        .inbound
        .iter()
        .filter(|m| m.at_ms >= from)
        .filter_map(|m| {
            let made = made.get(ids.get(m.wamid.as_str())?)?;
            Some((made - m.at_ms, made - m.acknowledged_at_ms?))
        })
        .unzip()
}
