//! `ponte events`: what happened, newest first. What wasn't understood is here too, with its raw JSON.

use super::{print_json, when};
use crate::config::Settings;
use crate::wiring::{self, WORKSPACE};
use clap::Args;
use ponte_domain::ports::store::{Page, Store};
use std::process::ExitCode;

/// Options of `ponte events`.
#[derive(Args)]
pub struct Options {
    /// Only this kind, for example webhook.unrecognised or account.notice.
    #[arg(long)]
    kind: Option<String>,
    /// How many.
    #[arg(long, default_value_t = 50)]
    limit: i64,
    /// Before this sequence.
    #[arg(long)]
    before: Option<i64>,
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
    let page = Page { before: options.before, limit: options.limit };
    let events = store.recent_events(WORKSPACE, options.kind.as_deref(), page).await?;
    store.close().await;
    for event in events {
        if options.json {
            print_json(&event)?;
        } else {
            let subject = event.message.map(|m| m.to_string()).or_else(|| event.person.map(|p| p.to_string()));
            println!(
                "{:>8}  {}  {:<24} {:<37} {}",
                event.cursor.seq,
                when(event.at),
                event.kind,
                subject.unwrap_or_default(),
                event.data
            );
        }
    }
    Ok(ExitCode::SUCCESS)
}
