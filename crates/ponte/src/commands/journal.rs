//! `ponte journal`: raw webhook bodies as they came.

use super::{print_json, when};
use crate::config::Settings;
use crate::wiring::{self, WORKSPACE};
use clap::Args;
use ponte_domain::ports::store::Store;
use serde_json::json;
use std::process::ExitCode;

/// Options of `ponte journal`.
#[derive(Args)]
pub struct Options {
    /// Start after this segment.
    #[arg(long, default_value_t = 0)]
    after: i64,
    /// Segments to read.
    #[arg(long, default_value_t = 10)]
    limit: i64,
    /// One JSON object a line.
    #[arg(long)]
    json: bool,
}

/// Shows.
///
/// # Errors
/// When the database can't be read.
pub async fn run(settings: Settings, options: Options) -> anyhow::Result<ExitCode> {
    let store = wiring::open_store(&settings, false, false).await?;
    let segments = store.journal_read(WORKSPACE, options.after, options.limit).await?;
    store.close().await;
    for segment in segments {
        for (place, entry) in segment.entries.iter().enumerate() {
            let body = String::from_utf8_lossy(&entry.body);
            if options.json {
                print_json(
                    &json!({ "segment": segment.seq, "entry": place, "received_at": entry.received_at, "body": body }),
                )?;
            } else {
                println!("{}.{place}  {}  {body}", segment.seq, when(entry.received_at));
            }
        }
    }
    Ok(ExitCode::SUCCESS)
}
