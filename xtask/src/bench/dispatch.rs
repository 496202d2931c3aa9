//! Sending: whether a number's rate is reached and never passed, at 80 and at 1,000 a second, and how long a reply waits behind
//! a mailing of 100,000 messages that is already queued for the same number.
//! Rates are counted in the ledger of the Cloud API, by the time it accepted.

use super::Options;
use crate::rig::http::Client;
use crate::rig::process::{
    Ponte, Setup, Simulators, cpu_seconds, free_address, memory_mb, simulator_settings, template,
};
use crate::rig::webhook::{PATH, customer};
use crate::rig::{self, Machine, NUMBERS, Place, cores, now_ms, quantile};
use anyhow::{Context, Result, bail};
use serde_json::{Value, json};
use std::collections::HashMap;
use std::process::ExitCode;
use std::time::{Duration, Instant};

const CAMPAIGN: usize = 100_000;
/// Messages of one API call.
const AT_ONCE: usize = 200;
const RATES: [u32; 2] = [80, 1_000];
/// People who wrote and are answered.
const REPLIES: usize = 12;
/// How long filing the messages of the fast number may take.
const FILING_MS: i64 = 45_000;
/// The rate starts low and grows: so long until it counts.
const RAMP: Duration = Duration::from_secs(6);

pub async fn run(options: &Options) -> Result<ExitCode> {
    let seconds = options.seconds.unwrap_or(20);
    let mut place = Place::new(options.database, "dispatch")?;
    let address = free_address()?;
    let settings = simulator_settings(1, RATES, false, "");
    let simulators = Simulators::start(place.folder(), &settings, Some(&format!("http://{address}{PATH}")))?;
    let setup = Setup {
        database: place.database().await?,
        media: place.folder().join("media"),
        whatsapp: simulators.whatsapp,
        hubspot: None,
        connections: Vec::new(),
        per_second: RATES,
        more: "[dispatch]\nplan = \"unlimited\"\n".into(),
    };
    let mut ponte = Ponte::spawn(place.folder(), "node0", address, &setup)?;
    ponte.ready().await?;
    let mut client = ponte.client();
    let mut graph = Client::new(simulators.whatsapp);

    let fast = usize::try_from(u64::from(RATES[1]) * (seconds + RAMP.as_secs() + 4)).unwrap_or(0);
    // All due at one moment: filing them must neither compete with sending them nor be what limits it.
    let due = now_ms() + FILING_MS;
    enqueue(&mut client, NUMBERS[1], "order_ready", "transactional", 1_000_000, fast, Some(due)).await?;
    let early = due - now_ms();
    if early < 0 {
        bail!("filing {fast} messages took longer than {FILING_MS} ms");
    }
    tokio::time::sleep(Duration::from_millis(early.unsigned_abs())).await;
    let cpu = (cpu_seconds(ponte.pid()), Instant::now());
    let (fast_rate, fast_refused) = reached(&mut graph, NUMBERS[1], seconds).await?;
    let fast_cpu = (cpu_seconds(ponte.pid()) - cpu.0) / cpu.1.elapsed().as_secs_f64() / cores() as f64;
    finished(&mut graph, fast).await?;

    let writers: Vec<Value> = (0..REPLIES)
        .map(|n| {
            json!({ "from": { "wa_id": customer(n), "name": "Writer" }, "message": { "type": "text", "body": "Hello" },
            "phone_number_id": NUMBERS[0] })
        })
        .collect();
    graph.must("POST", "/_sim/inbound", Some(&json!(writers))).await?;
    // A hundred thousand strangers have given no consent: what they are sent at once is news of their orders. It waits behind
    // replies as marketing does.
    let enqueued = enqueue(&mut client, NUMBERS[0], "order_ready", "transactional", 2_000_000, CAMPAIGN, None).await?;
    let (slow_rate, slow_refused) = reached(&mut graph, NUMBERS[0], seconds).await?;
    let mut replies = replies(&mut client, &mut graph).await?;
    let (rss, peak) = memory_mb(ponte.pid());
    let tenth = |n: f64| (n * 10.0).round() / 10.0;
    let report = json!({
        "database": options.database,
        "rates": [
            { "target_per_s": RATES[0], "reached_per_s": tenth(slow_rate), "refused_130429": slow_refused },
            { "target_per_s": RATES[1], "reached_per_s": tenth(fast_rate), "refused_130429": fast_refused,
              "cpu_share": (fast_cpu * 1000.0).round() / 1000.0 },
        ],
        "target_per_s": RATES[0], "reached_per_s": tenth(slow_rate),
        "fast_target_per_s": RATES[1], "fast_reached_per_s": tenth(fast_rate),
        "reply_behind_backlog_ms": quantile(&mut replies, 0.5), "reply_behind_backlog_max_ms": quantile(&mut replies, 1.0),
        "replies": replies.len(), "backlog": CAMPAIGN, "enqueued_per_s": enqueued.round(), "measured_seconds": seconds,
        "rss_mb": rss, "peak_rss_mb": peak, "machine": Machine::here(),
    });
    rig::print("dispatch", &report, options.json)?;
    Ok(ExitCode::SUCCESS)
}

/// Files a campaign; messages a second let in.
async fn enqueue(
    client: &mut Client,
    number: &str,
    name: &str,
    class: &str,
    first: usize,
    count: usize,
    not_before: Option<i64>,
) -> Result<f64> {
    let begun = Instant::now();
    for from in (0..count).step_by(AT_ONCE) {
        let messages: Vec<Value> = (from..count.min(from + AT_ONCE))
            .map(|n| {
                json!({ "from": number, "to": { "phone": format!("+{}", customer(first + n)) }, "class": class,
                "not_before": not_before, "message": template(name, &format!("customer {n}")) })
            })
            .collect();
        let answer = client.must("POST", "/api/v1/messages/batch", Some(&json!({ "messages": messages }))).await?;
        let rows = answer.get("results").and_then(Value::as_array).cloned().unwrap_or_default();
        if let Some(refused) = rows.iter().find(|r| r.get("state").and_then(Value::as_str) != Some("queued")) {
            bail!("a message of the campaign was refused: {refused}");
        }
    }
    Ok(count as f64 / begun.elapsed().as_secs_f64())
}

/// Accepted sends of a number a second, over `seconds` after the ramp; and how many sends were refused for their rate.
async fn reached(graph: &mut Client, number: &str, seconds: u64) -> Result<(f64, u64)> {
    tokio::time::sleep(RAMP).await;
    let (from, throttled) = (now_ms(), throttled(graph).await?);
    tokio::time::sleep(Duration::from_secs(seconds)).await;
    let to = from + i64::try_from(seconds * 1000).unwrap_or(0);
    let refused = self::throttled(graph).await? - throttled;
    let accepted = accepted(graph).await?;
    let n = accepted.values().filter(|(at, by)| (from..to).contains(at) && by == number).count();
    Ok((n as f64 / seconds as f64, refused))
}

async fn throttled(graph: &mut Client) -> Result<u64> {
    let stats = graph.get("/_sim/stats").await?;
    Ok(stats.pointer("/sends_refused/130429").and_then(Value::as_u64).unwrap_or(0))
}

/// Waits until so many sends were accepted, so that the next part begins at rest.
async fn finished(graph: &mut Client, count: usize) -> Result<()> {
    let begun = Instant::now();
    while begun.elapsed() < Duration::from_secs(60) {
        let stats = graph.get("/_sim/stats").await?;
        if stats.get("sends_accepted").and_then(Value::as_u64).unwrap_or(0) >= count as u64 {
            return Ok(());
        }
        tokio::time::sleep(Duration::from_millis(250)).await;
    }
    bail!("the messages at {} a second were not sent within a minute", RATES[1])
}

/// When each message was accepted and from which number, by the program's id.
async fn accepted(graph: &mut Client) -> Result<HashMap<String, (i64, String)>> {
    let mut all = HashMap::new();
    let mut after = 0;
    loop {
        let page = graph.get(&format!("/_sim/messages?after={after}&limit=10000")).await?;
        let rows = page.get("data").and_then(Value::as_array).context("the ledger")?;
        if rows.is_empty() {
            return Ok(all);
        }
        after += rows.len();
        all.extend(rows.iter().filter_map(|row| {
            let text = |name: &str| row.get(name).and_then(Value::as_str).map(str::to_owned);
            Some((text("opaque")?, (row.get("accepted_at_ms")?.as_i64()?, text("phone_number_id")?)))
        }));
    }
}

/// Milliseconds from the call of each reply to its acceptance, one reply after the other.
async fn replies(client: &mut Client, graph: &mut Client) -> Result<Vec<i64>> {
    let mut asked = Vec::new();
    for n in 0..REPLIES {
        let wish = json!({ "from": NUMBERS[0], "to": { "phone": format!("+{}", customer(n)) }, "class": "reply",
            "message": { "type": "text", "body": "Thank you for waiting." } });
        let at = now_ms();
        let answer = client.must("POST", "/api/v1/messages", Some(&wish)).await?;
        asked.push((answer.get("id").and_then(Value::as_str).context("an id")?.to_owned(), at));
        tokio::time::sleep(Duration::from_millis(500 + 37 * n as u64)).await;
    }
    tokio::time::sleep(Duration::from_secs(2)).await;
    let accepted = accepted(graph).await?;
    asked.iter().map(|(id, at)| Ok(accepted.get(id).context("a reply was not sent within seconds")?.0 - at)).collect()
}
