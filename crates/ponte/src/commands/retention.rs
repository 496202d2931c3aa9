//! `ponte retention`: shows how long each kind of data is kept, and removes what is too old at once instead of within hours.
//! Beside a running server it takes the same small steps; one of the two does it.

use super::{print_json, when};
use crate::adapters::{DiskBlobs, SystemClock};
use crate::commands::contacts::who;
use crate::config::Settings;
use crate::wiring::{self, WORKSPACE};
use anyhow::{Context, Result};
use clap::Args;
use ponte_domain::error::StoreError;
use ponte_engine::retention::{Keeping, Kept};
use ponte_engine::writeback;
use serde_json::json;
use std::process::ExitCode;
use tokio_util::sync::CancellationToken;

/// Options of `ponte retention`.
#[derive(Args)]
pub struct Options {
    /// Show what would be removed, change nothing.
    #[arg(long)]
    dry_run: bool,
    /// One JSON object.
    #[arg(long)]
    json: bool,
}

/// Shows and removes.
///
/// # Errors
/// When the database or the files can't, or a server does it just now.
pub async fn run(settings: Settings, options: Options) -> Result<ExitCode> {
    let store = wiring::open_store(&settings, false, settings.database_section.migrate).await?;
    let blobs = DiskBlobs::open(&settings.media_dir).with_context(|| settings.media_dir.display().to_string())?;
    let readers: Vec<String> = settings.crms.iter().map(|crm| writeback::reader(&crm.name.as_str().into())).collect();
    let by = who();
    let keeping = Keeping {
        store: &store,
        people: &store,
        retention: &store,
        blobs: &blobs,
        clock: &SystemClock,
        workspace: WORKSPACE,
        periods: &settings.retention,
        readers: &readers,
        by: &by,
        count: &|_, _| {},
    };
    let done = if options.dry_run { keeping.look().await } else { keeping.run(&CancellationToken::new()).await };
    // Another need not wait until the lease runs out.
    ponte_domain::ports::store::Store::release_all(&store, crate::adapters::now()).await?;
    store.close().await;
    let kept = match done {
        Err(StoreError::LeaseLost) => anyhow::bail!("a running server, or another command, does it just now"),
        other => other?,
    };
    if options.json {
        print_json(&json!({ "dry_run": options.dry_run, "kinds": kept }))?;
    } else {
        let verb = if options.dry_run { "to be removed" } else { "removed" };
        kept.iter().for_each(|one| println!("{}   {} {verb}", line(one), one.removed));
    }
    Ok(ExitCode::SUCCESS)
}

/// A kind, its period and its oldest thing, for people.
pub(super) fn line(kept: &Kept) -> String {
    let period = kept.days.map_or_else(|| "for ever".to_owned(), |days| format!("{days} days"));
    let oldest = kept.oldest.map_or_else(|| "nothing".to_owned(), |at| format!("since {}", when(at)));
    format!("{:<14} kept {period:<10} there: {oldest}", kept.kind.as_str())
}
