//! Ingest: webhooks made durable and answered, beside a server that only checks signatures and beside the bare database.
//! Every round loads the bare server and the program one after the other with the same requests over the same number of
//! connections; the medians are compared. The program's backlog is read to its end before the next round begins.

use super::bare::BareServer;
use super::storm::{Saturation, saturate, steady};
use super::{Options, raw};
use crate::rig::http::Client;
use crate::rig::ledger::{stored, waiting};
use crate::rig::process::{Ponte, Setup, cpu_seconds, free_address, memory_mb};
use crate::rig::webhook::{BODY, Pool};
use crate::rig::{self, Machine, Place, cores, now_ms};
use anyhow::{Result, bail};
use serde_json::json;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// Connections of the rounds; the number that is better for the program is reported, for both.
const CONNECTIONS: [usize; 2] = [64, 256];
const ROUNDS: usize = 3;
/// Length of one saturation.
const ROUND: Duration = Duration::from_secs(3);
/// More than either can take in one round on one machine.
const POOL: usize = 90_000;
const PEOPLE: usize = 5_000;
/// Rate of the latency run.
const STEADY: f64 = 1_000.0;

pub async fn run(options: &Options) -> Result<ExitCode> {
    let seconds = options.seconds.unwrap_or(20);
    let mut place = Place::new(options.database, "ingest")?;
    let raw = raw::rows_per_second(&mut place, Duration::from_secs(3)).await?;
    let bare = BareServer::start()?;
    let address = free_address()?;
    let setup = Setup {
        database: place.database().await?,
        media: place.folder().join("media"),
        whatsapp: address,
        hubspot: None,
        connections: Vec::new(),
        per_second: [80, 80],
        more: String::new(),
    };
    let mut ponte = Ponte::spawn(place.folder(), "node0", address, &setup)?;
    ponte.ready().await?;
    tokio::time::sleep(Duration::from_secs(2)).await;
    let (idle_rss, _) = memory_mb(ponte.pid());
    let mut client = ponte.client();
    let mut total = 0;
    let mut rounds = Vec::new();
    for round in 0..ROUNDS {
        for (n, connections) in CONNECTIONS.into_iter().enumerate() {
            let pool = Arc::new(Pool::new(&format!("R{round}{n}"), POOL, PEOPLE, now_ms() / 1000));
            let yardstick = saturate(bare.address, &pool, connections, ROUND, true).await?;
            let ours = saturate(address, &pool, connections, ROUND, false).await?;
            total += ours.acknowledged;
            let folded = fold(&mut client, total).await?;
            eprintln!(
                "ingest: {connections} connections: ponte {:.0}/s, bare {:.0}/s, then read at {folded:.0}/s",
                ours.per_second, yardstick.per_second
            );
            rounds.push(Round { connections, ours, yardstick, folded });
        }
    }
    let pool = Arc::new(Pool::new("L", (STEADY * seconds as f64) as usize, PEOPLE, now_ms() / 1000));
    let (cpu, begun) = (cpu_seconds(ponte.pid()), Instant::now());
    let (latencies, acknowledged) = steady(address, &pool, STEADY, 128).await?;
    let share = (cpu_seconds(ponte.pid()) - cpu) / begun.elapsed().as_secs_f64() / cores() as f64;
    total += acknowledged;
    fold(&mut client, total).await?;
    let found = stored(&mut client, "in").await?;
    let (rss, peak) = memory_mb(ponte.pid());
    let best = CONNECTIONS.into_iter().max_by_key(|c| median(&rounds, *c, |r| r.ours.per_second) as u64).unwrap_or(64);
    let (ours, yardstick) =
        (median(&rounds, best, |r| r.ours.per_second), median(&rounds, best, |r| r.yardstick.per_second));
    let ms = |q: f64| (latencies.value_at_quantile(q) as f64 / 10.0).round() / 100.0;
    let whole = |n: f64| n.round();
    let report = json!({
        "database": options.database, "webhooks_per_s": whole(ours), "bare_http_per_s": whole(yardstick),
        "ratio_to_bare": (ours / yardstick * 1000.0).round() / 1000.0, "raw_commit_rows_per_s": whole(raw),
        "ratio_to_raw_commit": (ours / raw * 1000.0).round() / 1000.0,
        "connections": best, "rounds": ROUNDS, "p50_ms": ms(0.5), "p95_ms": ms(0.95), "p99_ms": ms(0.99),
        "max_ms": ms(1.0), "steady_per_s": STEADY, "steady_cpu_share": (share * 1000.0).round() / 1000.0,
        "ingested_per_s": whole(median(&rounds, best, |r| r.folded)), "acknowledged": total, "stored": found,
        "lost": total.saturating_sub(found), "rss_mb": rss, "peak_rss_mb": peak, "idle_rss_mb": idle_rss,
        "body_bytes": BODY, "machine": Machine::here(),
    });
    rig::print("ingest", &report, options.json)?;
    Ok(if found == total { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

struct Round {
    connections: usize,
    ours: Saturation,
    yardstick: Saturation,
    folded: f64,
}

fn median(rounds: &[Round], connections: usize, what: impl Fn(&Round) -> f64) -> f64 {
    let mut values: Vec<f64> = rounds.iter().filter(|r| r.connections == connections).map(what).collect();
    values.sort_unstable_by(f64::total_cmp);
    values.get(values.len() / 2).copied().unwrap_or(0.0)
}

/// Waits until the journal is read; messages stored a second meanwhile.
async fn fold(client: &mut Client, expected: u64) -> Result<f64> {
    let (begun, before) = (Instant::now(), stored(client, "in").await?);
    loop {
        if waiting(client).await?.0 == 0 {
            break;
        }
        if begun.elapsed() > Duration::from_secs(300) {
            bail!("the journal isn't read after five minutes");
        }
        // Looking counts all messages: seldom, or it would be what is measured.
        tokio::time::sleep(Duration::from_millis(500)).await;
    }
    let took = begun.elapsed().as_secs_f64();
    Ok(expected.saturating_sub(before) as f64 / took.max(0.001))
}
