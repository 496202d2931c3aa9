//! `ponte status`: counts, queues, lags, how long data is kept, from the database alone: it works while the server runs and while it doesn't.

use super::print_json;
use crate::adapters::now;
use crate::config::Settings;
use crate::wiring::{self, WORKSPACE};
use clap::Args;
use ponte_domain::ports::store::Store;
use ponte_domain::retention::Kind;
use std::process::ExitCode;

/// Options of `ponte status`.
#[derive(Args)]
pub struct Options {
    /// One JSON object.
    #[arg(long)]
    json: bool,
}

/// Shows.
///
/// # Errors
/// When the database can't be read.
pub async fn run(settings: Settings, options: Options) -> anyhow::Result<ExitCode> {
    let store = wiring::open_store(&settings, false, false).await?;
    let overview = store.overview(WORKSPACE, now()).await?;
    let mut kept = Vec::new();
    for kind in Kind::ALL {
        kept.push(ponte_engine::retention::kept(&store, WORKSPACE, &settings.retention, *kind).await?);
    }
    store.close().await;
    if options.json {
        let mut all = serde_json::to_value(&overview)?;
        if let Some(all) = all.as_object_mut() {
            all.insert("retention".into(), serde_json::to_value(&kept)?);
        }
        print_json(&all)?;
        return Ok(ExitCode::SUCCESS);
    }
    println!("nodes serving        {}", overview.nodes);
    println!("people               {}", overview.people);
    println!("conversations        {}", overview.conversations);
    for (direction, phase, n) in &overview.messages {
        println!("messages {direction:<4}{phase:<9} {n}");
    }
    println!("journal waiting      {} segments, oldest {} ms", overview.journal_pending, overview.journal_lag_ms);
    for (kind, n) in &overview.jobs {
        println!("jobs {kind:<16} {n}");
    }
    for (kind, n) in &overview.dead_letters {
        println!("dead letters {kind:<8} {n}   look: ponte dead-letters list");
    }
    println!("in CRMs              {} messages, {} statuses", overview.crm_messages, overview.crm_statuses);
    if overview.unrecognised > 0 {
        println!("not understood       {}   look: ponte events --kind webhook.unrecognised", overview.unrecognised);
    }
    kept.iter().for_each(|one| println!("{}", super::retention::line(one)));
    Ok(ExitCode::SUCCESS)
}
