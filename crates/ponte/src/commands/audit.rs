//! `ponte audit`: who did what, newest first.

use super::{print_json, when};
use crate::config::Settings;
use crate::wiring::{self, WORKSPACE};
use clap::Args;
use ponte_domain::ports::people::People;
use std::process::ExitCode;

/// Options of `ponte audit`.
#[derive(Args)]
pub struct Options {
    /// Only what was done to this person or thing.
    #[arg(long)]
    subject: Option<String>,
    /// How many.
    #[arg(long, default_value_t = 100)]
    limit: i64,
    /// One JSON object a line.
    #[arg(long)]
    json: bool,
}

/// Lists.
///
/// # Errors
/// When the database can't be read.
pub async fn run(settings: Settings, options: Options) -> anyhow::Result<ExitCode> {
    let store = wiring::open_store(&settings, false, false).await?;
    let found = store.audit_log(WORKSPACE, options.subject.as_deref(), options.limit).await?;
    store.close().await;
    for entry in found {
        if options.json {
            print_json(&entry)?;
        } else {
            let subject = entry.subject.as_deref().unwrap_or_default();
            println!("{}  {:<20} {:<22} {subject}  {}", when(entry.at), entry.who, entry.act, entry.data);
        }
    }
    Ok(ExitCode::SUCCESS)
}
