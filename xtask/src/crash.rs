//! # Crash
//! Purpose: kills the real program (SIGKILL) at random moments under load and then compares the books of everybody: nothing may
//! be lost, nothing doubled, and work must go on within seconds. On PostgreSQL two nodes run and one of them is killed. The
//! commands for people are killed in rounds of their own ([`contacts`]).
//! May touch: what the rig offers; processes it started.
//! Must not touch: the product's crates.
//! Failure story: when something is lost or doubled, the folder with database, logs and ledgers stays and is named.

mod contacts;
mod kill;
mod load;

use crate::rig::http::Client;
use crate::rig::ledger::{Books, Findings, waiting};
use crate::rig::process::{Ponte, Setup, Simulators, free_address, simulator_settings};
use crate::rig::{self, Engine, Machine, Place, quantile};
use anyhow::{Context, Result};
use load::Load;
use serde_json::{Value, json};
use std::path::Path;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// A send of unknown outcome is looked at again after this long, may be sent again after this long, goes to a person after
/// this long. Much shorter than in production, so that all three happen within a run; the simulator's first status comes
/// within half a second.
const UNKNOWN_MS: [i64; 3] = [300, 6_000, 60_000];
/// How long the load goes on after the last kill.
const AFTERWARDS: Duration = Duration::from_secs(12);
/// How long the queues may take to run empty after the last kill.
const DRAIN: Duration = Duration::from_secs(420);

/// What is killed.
#[derive(Debug, Clone, Copy, clap::ValueEnum)]
enum What {
    /// `ponte serve`.
    Traffic,
    /// `ponte contacts import`, `clean`, `erase`.
    Contacts,
}

/// Options of `cargo xtask crash`.
#[derive(Debug, clap::Args)]
pub struct Arguments {
    /// What is killed: the serving program under traffic, or imports, cleanings and erasures of people.
    #[arg(long, value_enum, default_value = "traffic")]
    what: What,
    /// Rows of the table of people.
    #[arg(long, default_value_t = 60_000)]
    rows: u64,
    /// How often to kill.
    #[arg(long, default_value_t = 200)]
    kills: u32,
    /// On which database.
    #[arg(long, value_enum, default_value = "sqlite")]
    database: Engine,
    /// Moments of the kills, victims and traffic follow from this.
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// Customers' messages a second.
    #[arg(long, default_value_t = 40)]
    inbound_per_second: u32,
    /// API sends a second.
    #[arg(long, default_value_t = 15)]
    sends_per_second: u32,
    /// One JSON object on standard output.
    #[arg(long)]
    json: bool,
    /// Leave database, logs and ledgers behind even when all is well.
    #[arg(long)]
    keep: bool,
}

/// Runs; fails when anything is lost or doubled.
///
/// # Errors
/// When the run itself breaks.
pub fn run(arguments: &Arguments) -> Result<ExitCode> {
    rig::runtime()?.block_on(all(arguments))
}

async fn all(arguments: &Arguments) -> Result<ExitCode> {
    let begun = Instant::now();
    let mut place = Place::new(arguments.database, "crash")?;
    let done = match arguments.what {
        What::Traffic => crash(arguments, &mut place).await,
        What::Contacts => contacts::run(arguments, &mut place).await,
    };
    if done.is_err() {
        place.keep();
        eprintln!("database, logs and ledgers: {}", place.folder().display());
    }
    let (mut report, good) = done?;
    if let Some(fields) = report.as_object_mut() {
        fields.insert("seconds".into(), json!(begun.elapsed().as_secs()));
        if !good || arguments.keep {
            fields.insert("evidence".into(), json!(place.folder()));
        }
        fields.insert("machine".into(), json!(Machine::here()));
    }
    if !good || arguments.keep {
        place.keep();
    }
    rig::print("crash", &report, arguments.json)?;
    Ok(if good { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

async fn crash(arguments: &Arguments, place: &mut Place) -> Result<(Value, bool)> {
    let nodes = if arguments.database == Engine::Postgres { 2 } else { 1 };
    let addresses = (0..nodes).map(|_| free_address()).collect::<Result<Vec<_>>>()?;
    let simulators = simulators(arguments, place.folder())?;
    let setup = Setup {
        database: place.database().await?,
        media: place.folder().join("media"),
        whatsapp: simulators.whatsapp,
        hubspot: Some((simulators.hubspot, 190)),
        connections: Vec::new(),
        per_second: [80, 80],
        more: format!(
            "[dispatch]\nplan = \"unlimited\"\nunknown_look_ms = {}\nunknown_settle_ms = {}\nunknown_give_up_ms = {}\n",
            UNKNOWN_MS[0], UNKNOWN_MS[1], UNKNOWN_MS[2]
        ),
    };
    let mut ponte = Vec::new();
    for (n, address) in addresses.iter().enumerate() {
        // One after the other: the first one migrates.
        let mut node = Ponte::spawn(place.folder(), &format!("node{n}"), *address, &setup)?;
        node.ready().await?;
        ponte.push(node);
    }
    let front = load::Front::start(addresses.clone(), simulators.whatsapp).await?;
    let load = Load::start(Arc::new(addresses), simulators.whatsapp, arguments).await?;
    let mut recoveries = kill::run(arguments, &mut ponte, &load).await?;
    eprintln!("crash: {} kills done, running empty", recoveries.kills);
    // A send without an answer is sent again once later ones were reported on: there must be later ones after the last kill.
    tokio::time::sleep(AFTERWARDS).await;
    let load = load.stop().await;
    for node in &mut ponte {
        node.ready().await?;
    }
    let mut client = ponte.first().context("a node")?.client();
    let drained = drain(&simulators, &mut client).await?;
    drop(front);
    let books = Books::read(&simulators, &mut client).await?;
    let found = books.compare(&load.acknowledged, &load.accepted);
    let (lost, doubled) = (found.lost() + load.never_answered, found.doubled() + load.changed_ids);
    let good = lost == 0 && doubled == 0 && drained && recoveries.kills >= arguments.kills;
    if !good || arguments.keep {
        write_evidence(place.folder(), &books, &found)?;
    }
    let statuses: usize = books.sent.iter().map(|s| s.statuses.len()).sum();
    let report = json!({
        "database": arguments.database, "kills": recoveries.kills, "lost": lost, "doubled": doubled,
        "recovery_p95_ms": quantile(&mut recoveries.ms, 0.95), "recovery_p50_ms": quantile(&mut recoveries.ms, 0.5),
        "recovery_max_ms": quantile(&mut recoveries.ms, 1.0), "seed": arguments.seed, "nodes": nodes,
        "inbound": books.inbound.len() + load.acknowledged.len(), "sends": load.accepted.len(),
        "sends_refused": load.refused, "statuses": statuses, "messages": books.messages.len(),
        "in_crm": books.communications.len(), "dead_letters": found.in_dead_letters,
        "dead_letters_that_arrived": found.dead_but_sent, "drained": drained,
        "unknown_look_ms": UNKNOWN_MS[0], "unknown_settle_ms": UNKNOWN_MS[1], "unknown_give_up_ms": UNKNOWN_MS[2],
        "api_calls_never_answered": load.never_answered, "ids_changed_under_one_key": load.changed_ids,
        "found": found.counts(),
    });
    Ok((report, good))
}

/// Meta tries a webhook again for days with growing pauses; here the pauses are short, so that a run ends.
fn simulators(arguments: &Arguments, folder: &Path) -> Result<Simulators> {
    let more = "[whatsapp.delivery]\nretry_first_ms = 100\nretry_max_ms = 1000\ntimeout_ms = 5000\n";
    Simulators::start(folder, &simulator_settings(arguments.seed, [500, 500], true, more), None)
}

/// Waits until nobody has anything left to do, and stays so.
async fn drain(simulators: &Simulators, ponte: &mut Client) -> Result<bool> {
    let begun = Instant::now();
    let mut graph = Client::new(simulators.whatsapp);
    let (mut calm, mut before) = (0, Value::Null);
    while begun.elapsed() < DRAIN {
        let mut stats = graph.get("/_sim/stats").await?;
        let number = |name: &str| stats.get(name).and_then(Value::as_u64).unwrap_or(0);
        let told = number("webhook_backlog") == 0
            && number("webhook_open_batches") == 0
            && number("statuses_generated") == number("statuses_acknowledged");
        let left = waiting(ponte).await?;
        if let Some(fields) = stats.as_object_mut() {
            fields.remove("uptime_ms");
        }
        calm = if told && left == (0, 0) && stats == before { calm + 1 } else { 0 };
        // The last status of a message comes after a few seconds.
        if calm >= 8 {
            return Ok(true);
        }
        before = stats;
        if begun.elapsed().as_secs() % 10 == 9 {
            eprintln!("crash: waiting: {} journal segments, {} jobs", left.0, left.1);
        }
        tokio::time::sleep(Duration::from_secs(1)).await;
    }
    Ok(false)
}

fn write_evidence(folder: &Path, books: &Books, found: &Findings) -> Result<()> {
    let write = |name: &str, value: &Value| -> Result<()> {
        Ok(std::fs::write(folder.join(name), serde_json::to_vec_pretty(value)?)?)
    };
    write("found.json", &found.evidence())?;
    write("messages.json", &json!(books.messages))?;
    write("sent.json", &json!(books.sent))?;
    write("inbound.json", &json!(books.inbound))?;
    write("crm.json", &json!(books.communications))
}
