//! `ponte replay`: reads the journal again.

use super::print_json;
use crate::config::Settings;
use crate::{logging, wiring};
use clap::Args;
use ponte_engine::ingest;
use std::process::ExitCode;

/// Options of `ponte replay`.
#[derive(Args)]
pub struct Options {
    /// Start after this segment.
    #[arg(long, default_value_t = 0)]
    after: i64,
    /// One JSON object.
    #[arg(long)]
    json: bool,
}

/// Replays.
///
/// # Errors
/// When the store can't; what was replayed until then is kept.
pub async fn run(settings: Settings, options: Options) -> anyhow::Result<ExitCode> {
    logging::start(&settings)?;
    let assembly = wiring::assemble(settings, false).await?;
    let quiet = options.json;
    let done = ingest::replay(&assembly.world, options.after, |done| {
        if !quiet {
            eprint!("\r{} bodies, {} items read", done.bodies, done.updates);
        }
    })
    .await?;
    assembly.store.close().await;
    if quiet {
        print_json(&done)?;
    } else {
        eprintln!();
        println!(
            "{} bodies in {} segments, {} items: {} messages added, {} changed",
            done.bodies, done.segments, done.updates, done.messages_added, done.messages_changed
        );
    }
    Ok(ExitCode::SUCCESS)
}
