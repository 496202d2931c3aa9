//! `ponte contacts`: people as lists.

mod edit;
mod import;
mod list;
mod look;
mod source;
mod tidy;

use crate::adapters::now;
use crate::config::Settings;
use crate::wiring::{self, WORKSPACE};
use anyhow::Context;
use clap::{Args, Subcommand};
use ponte_domain::ids::PersonId;
use ponte_domain::people::PersonCard;
use ponte_domain::ports::people::{NewAudit, People};
use ponte_domain::profile::Label;
use ponte_store::SqlStore;
use serde_json::{Value, json};
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
    /// List people, page by page: all, or those with a tag, a label, a value of a defined field.
    List(list::Options),
    /// Add one person by number.
    Add(edit::Add),
    /// Change fields of a person: key=value, --unset key.
    Set(edit::Set),
    /// Give tags to a person (+vip) and take them away (-lead).
    Tag(edit::Words),
    /// Give labels to a person (+blocked) and take them away (-test): refuses_marketing, blocked, employee, test, unreachable.
    Label(edit::Words),
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
        What::List(options) => list::run(settings, options).await,
        What::Add(options) => edit::add(settings, options).await,
        What::Set(options) => edit::set(settings, options).await,
        What::Tag(options) => edit::tag(settings, options).await,
        What::Label(options) => edit::label(settings, options).await,
        What::Show(options) => look::show(settings, options).await,
        What::Timeline(options) => look::timeline(settings, options).await,
    }
}

/// Who runs this command, for the audit log and the story of fields.
pub(super) fn who() -> String {
    let user = std::env::var("USER").or_else(|_| std::env::var("LOGNAME")).unwrap_or_else(|_| "unknown".into());
    format!("cli:{user}")
}

pub(super) async fn open(settings: &Settings) -> anyhow::Result<SqlStore> {
    wiring::open_store(settings, false, settings.database_section.migrate).await
}

pub(super) async fn note(
    store: &SqlStore,
    act: &'static str,
    subject: Option<String>,
    data: Value,
) -> anyhow::Result<()> {
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

/// A label by its name.
fn label(name: &str) -> anyhow::Result<Label> {
    let names = Label::ALL.map(Label::as_str).join(", ");
    Label::parse(name).with_context(|| format!("there is no label {name:?}; there are {names}"))
}

/// A person for programs.
fn card_json(card: &PersonCard) -> Value {
    json!({ "id": card.id, "name": card.name(), "whatsapp_name": card.whatsapp_name, "profile": card.profile,
        "identities": card.identities, "created_at": card.created_at, "changed_at": card.changed_at,
        "merged_into": card.merged_into })
}
