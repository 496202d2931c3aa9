//! `ponte contacts`: people as lists.

mod import;
mod look;
mod source;
mod tidy;

use crate::adapters::now;
use crate::config::Settings;
use crate::wiring::{self, WORKSPACE};
use anyhow::Context;
use clap::{Args, Subcommand};
use ponte_domain::ids::PersonId;
use ponte_domain::ports::people::{NewAudit, People};
use ponte_store::SqlStore;
use serde_json::Value;
use std::process::ExitCode;

/// Options of `ponte contacts`.
#[derive(Args)]
pub struct Options {
    #[command(subcommand)]
    what: What,
}

#[derive(Subcommand)]
enum What {
    /// Import a table (CSV, XLSX, ODS): columns are guessed, rejected rows go to a file with their reasons.
    Import(Box<import::Options>),
    /// Write everybody to a CSV file, or all that is known of one person to a folder.
    Export(look::Export),
    /// Look for duplicates: merge what is certain, file the rest for review. Prints the report.
    Clean(tidy::Clean),
    /// List pairs that wait for a decision, surest first.
    Duplicates(tidy::Duplicates),
    /// Merge two people, with a preview.
    Merge(tidy::Merge),
    /// Undo a merge: both sides are what they were.
    Unmerge(tidy::Unmerge),
    /// Decide that two people are two: no cleaning merges them.
    KeepApart(tidy::KeepApart),
    /// List merges, newest first.
    Merges(look::Merges),
    /// Erase a person's data for good; a keyed hash stays, so that nobody brings them back unseen.
    Erase(tidy::Erase),
    /// Show a person: identifiers, fields, tags, labels.
    Show(look::Show),
    /// Show what happened to a person, newest first.
    Timeline(look::Timeline),
}

/// Runs one of them.
///
/// # Errors
/// When a file can't be read or written, or the database can't.
pub async fn run(settings: Settings, options: Options) -> anyhow::Result<ExitCode> {
    match options.what {
        What::Import(options) => import::run(settings, *options).await,
        What::Export(options) => look::export(settings, options).await,
        What::Clean(options) => tidy::clean(settings, options).await,
        What::Duplicates(options) => tidy::duplicates(settings, options).await,
        What::Merge(options) => tidy::merge_two(settings, options).await,
        What::Unmerge(options) => tidy::unmerge(settings, options).await,
        What::KeepApart(options) => tidy::keep_apart(settings, options).await,
        What::Merges(options) => look::merges(settings, options).await,
        What::Erase(options) => tidy::erase(settings, options).await,
        What::Show(options) => look::show(settings, options).await,
        What::Timeline(options) => look::timeline(settings, options).await,
    }
}

/// Who runs this command, for the audit log.
pub(super) fn who() -> String {
    let user = std::env::var("USER").or_else(|_| std::env::var("LOGNAME")).unwrap_or_else(|_| "unknown".into());
    format!("cli:{user}")
}

async fn open(settings: &Settings) -> anyhow::Result<SqlStore> {
    wiring::open_store(settings, false, settings.database_section.migrate).await
}

async fn note(store: &SqlStore, act: &'static str, subject: Option<String>, data: Value) -> anyhow::Result<()> {
    let entry = NewAudit { at: now(), who: who(), act, subject, data: data.to_string() };
    Ok(store.audit(WORKSPACE, entry).await?)
}

/// A person by our id, a phone number or another identifier.
async fn person(store: &SqlStore, text: &str) -> anyhow::Result<PersonId> {
    if let Ok(id) = text.parse() {
        return Ok(id);
    }
    let digits = ponte_domain::phone::parse(text, None).map(|p| p.e164);
    let mut wanted: Vec<String> = vec![text.to_owned()];
    if let Ok(digits) = &digits {
        wanted.extend(ponte_domain::phone::candidates(digits).map(|c| c.into_owned()));
    }
    for value in wanted {
        if let [id] = store.find_person(WORKSPACE, &value).await?.as_slice() {
            return Ok(*id);
        }
    }
    Err(anyhow::anyhow!("nobody has {text:?}"))
        .context("give per_…, a phone number with country code, or an identifier")
}
