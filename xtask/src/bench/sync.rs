//! Both ways with a CRM: how fast everything is read without a limit and under one, what nothing new costs, how soon a hundredth
//! that changed is here, how soon a message is there (the pipeline's own measurement), and what both sides say after edits on
//! either while all goes wrong. The account's pages read by a client that drops them stand beside the first figure.
//! HubSpot's search shows changes late, so windows of time overlap by minutes: what nothing costs is measured once the records
//! are older than that.

mod account;
mod chaos;
mod site;

use super::{Options, PipelineOptions, pipeline};
use crate::rig::process::{cpu_seconds, free_address, memory_mb};
use crate::rig::webhook::PATH;
use crate::rig::{self, Machine, Place, now_ms};
use account::{Account, Crm, Terms, phone};
use anyhow::{Result, bail};
use serde_json::{Value, json};
use site::{Site, number};
use std::process::ExitCode;
use std::time::{Duration, Instant};

/// Calls in ten seconds where there is no limit.
const NO_LIMIT: u32 = 1_000_000;
/// Calls in ten seconds where the limit is low.
const LOW: u32 = 50;
/// Windows of changes overlap by five minutes; a little more.
const OVERLAP_MS: i64 = 5 * 60_000 + 5_000;

/// How much of everything.
#[derive(Debug, Clone, clap::Args)]
pub struct SyncOptions {
    #[command(flatten)]
    common: Options,
    /// Which CRM.
    #[arg(long, value_enum, default_value = "hubspot")]
    crm: Crm,
    /// Contacts of the account.
    #[arg(long, default_value_t = 100_000)]
    contacts: usize,
    /// Moments of kills and what is edited follow from this.
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// Fewer kills and a short outage: for a look, not for a verdict.
    #[arg(long)]
    quick: bool,
    /// Only the edits while all goes wrong.
    #[arg(long)]
    chaos_only: bool,
    /// Only people who are here first, written there.
    #[arg(long, conflicts_with = "chaos_only")]
    into_only: bool,
}

pub async fn run(options: &SyncOptions) -> Result<ExitCode> {
    let mut place = Place::new(options.common.database, "sync")?;
    let plan = chaos::Plan {
        people: if options.quick { 300 } else { 2_000 },
        outage: Duration::from_secs(if options.quick { 10 } else { 120 }),
        kills: if options.quick { 5 } else { 30 },
        seed: options.seed,
    };
    if options.into_only {
        let report = json!({ "into": into(options, &mut place).await?, "machine": Machine::here() });
        rig::print("sync", &report, options.common.json)?;
        return Ok(ExitCode::SUCCESS);
    }
    let done = if options.chaos_only {
        chaos::run(options.crm, &mut place, &plan).await.map(|chaos| json!({ "chaos": chaos }))
    } else {
        all(options, &mut place, &plan).await
    };
    let bad = |report: &Value| {
        let chaos = |name: &str| report.pointer(&format!("/chaos/{name}")).and_then(Value::as_f64).unwrap_or(1.0);
        chaos("differences_after_chaos") + chaos("doubled") + chaos("dropped") + chaos("differed_in_second") > 0.0
    };
    if done.as_ref().map_or(true, bad) {
        eprintln!("databases and logs: {}", place.folder().display());
        place.keep();
    }
    let mut report = done?;
    let good = !bad(&report);
    let chaos = report.get("chaos").cloned().unwrap_or_default();
    if let Some(fields) = report.as_object_mut() {
        for name in ["differences_after_chaos", "doubled", "dropped"] {
            fields.insert(name.into(), chaos.get(name).cloned().unwrap_or_default());
        }
        fields.insert("crm".into(), json!(options.crm));
        fields.insert("database".into(), json!(options.common.database));
        fields.insert("machine".into(), json!(Machine::here()));
    }
    rig::print("sync", &report, options.common.json)?;
    Ok(if good { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

async fn all(options: &SyncOptions, place: &mut Place, plan: &chaos::Plan) -> Result<Value> {
    let contacts = options.contacts;
    let (mut account, listen) = account_with(options.crm, place, "crm", NO_LIMIT)?;
    let ids = account.fill(0..contacts).await?;
    eprintln!("sync: {contacts} contacts are there");
    let bare = account.read_bare(contacts).await?;
    let mut site = Site::start(place, "node0", listen, &account, 10_080).await?;
    let first = site.ended(None).await?;
    let reading = (number(&first, "finished_at")? - number(&first, "started_at")?) / 1_000.0;
    let rate = number(&first, "seen")? / reading;
    eprintln!("sync: read in {reading:.1} s");
    let told = site.idle(Duration::from_secs(1_200)).await?;
    let (_, peak) = memory_mb(site.ponte.pid());
    let settled_ms = now_ms();
    let into = into(options, place).await?;
    let low = if options.crm.limits_speed() { low(options, place).await? } else { Value::Null };
    let chaos = chaos::run(options.crm, place, plan).await?;
    let busy = PipelineOptions {
        common: Options { seconds: Some(if options.quick { 20 } else { 60 }), ..options.common.clone() },
        crm_calls_per_10s: 190,
    };
    let (pipeline, _) = pipeline::measured(&busy).await?;
    let wait = u64::try_from(settled_ms + OVERLAP_MS - now_ms()).unwrap_or(0);
    tokio::time::sleep(Duration::from_millis(wait)).await;
    // The first look reads its own writes once more, for they lie behind the first run's beginning.
    let (echo, _) = site.sync("changes").await?;
    let before = account.calls().await?.0;
    let (idle, _) = site.sync("changes").await?;
    let idle_calls = account.calls().await?.0 - before;
    let some = (contacts / 100).max(1);
    for (n, id) in ids.iter().step_by(100).enumerate() {
        account.edit(id, &[("city", &format!("Moved {n}"))]).await?;
    }
    let before = account.calls().await?.0;
    let (delta, delta_s) = site.sync("changes").await?;
    let delta_calls = account.calls().await?.0 - before;
    let moved = site.people().await?.iter().filter(|person| person.get("city").starts_with("Moved ")).count();
    let shown = |n: f64| (n * 100.0).round() / 100.0;
    Ok(json!({
        "contacts": contacts, "records_per_s": rate.round(), "records_per_s_wanted": 5_000, "bare_records_per_s": bare.round(),
        "share_of_bare": shown(rate / bare), "initial": first, "written_back_s": shown(told), "peak_rss_mb": peak,
        "into": into, "low_limit": low, "echo": echo, "idle_calls": idle_calls, "idle_calls_allowed": 3, "idle": idle,
        "changed": some, "delta_seconds": shown(delta_s), "delta_seconds_allowed": 30, "delta_calls": delta_calls,
        "delta_arrived": moved, "delta": delta,
        "to_crm_p95_ms": pipeline.get("to_crm_p95_ms"), "to_crm_p95_ms_allowed": 1_000, "pipeline_429": pipeline.get("crm_429"),
        "chaos": chaos,
    }))
}

fn account_with(crm: Crm, place: &Place, name: &str, calls_per_10s: u32) -> Result<(Account, std::net::SocketAddr)> {
    let listen = free_address()?;
    let terms = Terms { calls_per_10s, tells: None, token_s: None };
    Ok((Account::start(crm, place.folder(), name, &format!("http://{listen}{PATH}"), terms)?, listen))
}

/// People who are here first: imported from a list, and written into an account that has no limit and nobody in it.
async fn into(options: &SyncOptions, place: &mut Place) -> Result<Value> {
    let contacts = options.contacts;
    let (mut account, listen) = account_with(options.crm, place, "into-crm", NO_LIMIT)?;
    let mut site = Site::start(place, "into", listen, &account, 10_080).await?;
    site.ended(None).await?;
    let list = place.folder().join("people.csv");
    let mut text = String::from("phone,first name,last name,email,city,job title\n");
    for n in 0..contacts {
        text.push_str(&format!("+{},Ana{n},Lima,ana{n}@example.com,City {},Buyer\n", phone(n), n % 300));
    }
    std::fs::write(&list, text)?;
    let before = account.calls().await?;
    let pids = [site.ponte.pid(), account.simulators.pid()];
    let begun = Instant::now();
    let done = site.ponte.command(&["contacts", "import", &list.display().to_string()]).await?;
    if !done.status.success() {
        bail!("contacts import: {}", String::from_utf8_lossy(&done.stderr));
    }
    let imported = begun.elapsed().as_secs_f64();
    let (begun, used) = (Instant::now(), pids.map(cpu_seconds));
    let done = site.ponte.command(&["crm", "sync", "crm", "--push", "--wait"]).await?;
    if !done.status.success() {
        bail!("crm sync --push: {}", String::from_utf8_lossy(&done.stderr));
    }
    let seconds = begun.elapsed().as_secs_f64();
    let [ours, theirs] = pids.map(cpu_seconds);
    let after = account.calls().await?;
    let there = account.records().await?.len();
    let shown = |n: f64| (n * 100.0).round() / 100.0;
    Ok(json!({ "contacts": contacts, "there": there, "import_s": shown(imported), "seconds": shown(seconds),
        "records_per_s": (contacts as f64 / seconds).round(), "records_per_s_wanted": 5_000,
        "cpu_s": { "ponte": shown(ours - used[0]), "simulators": shown(theirs - used[1]) }, "calls": after.0 - before.0, "refused": after.1 - before.1 }))
}

/// The share of a low limit that reading everything uses, while it reads.
async fn low(options: &SyncOptions, place: &mut Place) -> Result<Value> {
    let contacts = options.contacts.min(25_000);
    let (mut account, listen) = account_with(options.crm, place, "low-crm", LOW)?;
    account.fill(0..contacts).await?;
    let mut site = Site::start(place, "low", listen, &account, 10_080).await?;
    // The window's first calls come at once; the share is taken over what follows.
    tokio::time::sleep(Duration::from_secs(10)).await;
    let (begun, before) = (Instant::now(), account.calls().await?);
    while site.last_run().await?.is_none_or(|run| run.get("finished_at").is_none_or(Value::is_null)) {
        if begun.elapsed() >= Duration::from_secs(if options.quick { 10 } else { 30 }) {
            break;
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    let (seconds, after) = (begun.elapsed().as_secs_f64(), account.calls().await?);
    let used = (after.0 - before.0) as f64 / (seconds * f64::from(LOW) / 10.0);
    Ok(json!({ "calls_per_10s": LOW, "share_used": (used * 1_000.0).round() / 1_000.0, "share_wanted": 0.95,
        "refused_429": after.1, "seconds": seconds.round() }))
}
