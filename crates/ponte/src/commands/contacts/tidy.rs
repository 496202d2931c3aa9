//! `ponte contacts clean | duplicates | merge | unmerge | keep-apart | erase`.

use super::{note, open, person, who};
use crate::adapters::{DiskBlobs, TimeIds, now};
use crate::commands::print_json;
use crate::config::Settings;
use crate::contacts::report;
use crate::wiring::WORKSPACE;
use anyhow::{Context, Result, bail};
use clap::Args;
use ponte_domain::duplicates::Settings as Search;
use ponte_domain::ids::{IdSource, PersonId};
use ponte_domain::ports::people::{MergeFn, MergeOrder, People};
use ponte_domain::survivorship::{Outcome, Side, merge, survivor};
use ponte_engine::people::{Cleaned, Cleaning, Erasure};
use rand::RngCore;
use serde_json::json;
use std::io::IsTerminal;
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Instant;
use uuid::Uuid;

/// Options of `ponte contacts clean`.
#[derive(Args)]
pub struct Clean {
    /// Count only: merge nothing, file nothing.
    #[arg(long)]
    dry_run: bool,
    /// Also write the report as a page to look at.
    #[arg(long, value_name = "FILE")]
    html: Option<PathBuf>,
    /// One JSON object.
    #[arg(long)]
    json: bool,
}

pub async fn clean(settings: Settings, options: Clean) -> Result<ExitCode> {
    let begun = Instant::now();
    let store = open(&settings).await?;
    let cleaning = Cleaning {
        people: &store,
        workspace: WORKSPACE,
        ids: Arc::new(TimeIds),
        now: now(),
        by: who(),
        settings: Search { thresholds: settings.contacts.thresholds, ..Search::default() },
        rules: settings.contacts.rules.clone(),
        look_only: options.dry_run,
    };
    let on = !options.json && std::io::stderr().is_terminal();
    let cleaned = cleaning
        .run(|what, done, all| {
            if on {
                let of = if all > 0 { format!(" of {all}") } else { String::new() };
                eprint!("\r\x1b[K{what}   {done}{of}");
            }
        })
        .await?;
    if on {
        eprint!("\r\x1b[K");
    }
    if !options.dry_run {
        note(&store, "contacts.clean", None, json!({ "merged": cleaned.merged, "filed": cleaned.newly_filed })).await?;
    }
    let imports = store.import_runs(WORKSPACE, 20).await?;
    store.close().await;
    if let Some(path) = &options.html {
        std::fs::write(path, report::page(&cleaned, &imports, now())).with_context(|| path.display().to_string())?;
    }
    let seconds = (begun.elapsed().as_secs_f64() * 100.0).round() / 100.0;
    if options.json {
        let mut all = serde_json::to_value(&cleaned)?;
        if let Some(all) = all.as_object_mut() {
            all.insert("seconds".into(), seconds.into());
            all.insert("dry_run".into(), options.dry_run.into());
        }
        print_json(&all)?;
    } else {
        summary(&cleaned, seconds, options.dry_run);
    }
    Ok(ExitCode::SUCCESS)
}

fn summary(c: &Cleaned, seconds: f64, dry: bool) {
    let would = if dry { "would be " } else { "" };
    println!("{} people, {} with a number, looked at in {seconds:.1} s", c.people, c.with_number);
    println!("  {:>9}  {would}merged: {} people after it", c.merged, c.people_after);
    for (reason, n) in &c.reasons {
        println!("    {n:>9}  {reason}");
    }
    println!("  {:>9}  pairs for review ({} new): ponte contacts duplicates", c.for_review, c.newly_filed);
    for (label, n) in &c.labelled {
        println!("  {n:>9}  labelled {label}");
    }
}

/// Options of `ponte contacts duplicates`.
#[derive(Args)]
pub struct Duplicates {
    /// How many.
    #[arg(long, default_value_t = 50)]
    limit: i64,
    /// One JSON object a line.
    #[arg(long)]
    json: bool,
}

pub async fn duplicates(settings: Settings, options: Duplicates) -> Result<ExitCode> {
    let store = open(&settings).await?;
    for pair in store.open_pairs(WORKSPACE, options.limit).await? {
        if options.json {
            print_json(&pair)?;
            continue;
        }
        println!("{:>4} ‰  {}", pair.score, pair.reasons.join(", "));
        for card in store.cards(WORKSPACE, &[pair.a, pair.b]).await? {
            let email = card.profile.get("email").unwrap_or_default();
            println!(
                "    {}  {:<30} {:<16} {email}",
                card.id,
                card.name().unwrap_or("(no name)"),
                card.phones().join(" ")
            );
        }
    }
    store.close().await;
    Ok(ExitCode::SUCCESS)
}

/// Options of `ponte contacts merge`.
#[derive(Args)]
pub struct Merge {
    /// One of the two: per_…, a phone number or another identifier.
    a: String,
    /// The other.
    b: String,
    /// Show what would come of it, and end.
    #[arg(long)]
    preview: bool,
    /// One JSON object.
    #[arg(long)]
    json: bool,
}

pub async fn merge_two(settings: Settings, options: Merge) -> Result<ExitCode> {
    let store = open(&settings).await?;
    let (a, b) = (person(&store, &options.a).await?, person(&store, &options.b).await?);
    if a == b {
        bail!("both are {a}: nothing to merge");
    }
    let mut facts = store.facts(WORKSPACE, &[a, b]).await?;
    facts.sort_by(survivor);
    let [first, second] = facts.as_slice() else { bail!("one of the two is not there") };
    let cards = store.cards(WORKSPACE, &[a, b]).await?;
    let card = |id: PersonId| cards.iter().find(|c| c.id == id).context("one of the two is not there");
    let outcome = merge(&card(first.id)?.profile, &card(second.id)?.profile, &settings.contacts.rules);
    if options.preview {
        store.close().await;
        return shown(&options, first.id, second.id, &outcome);
    }
    let order = MergeOrder {
        id: TimeIds.next(),
        survivor: first.id,
        other: second.id,
        score: 1000,
        reasons: vec!["decided".into()],
    };
    let rules = settings.contacts.rules.clone();
    let profiles: MergeFn = Arc::new(move |kept, other| merge(kept, other, &rules).profile);
    let done = store.merge(WORKSPACE, now(), &who(), vec![order], profiles).await?;
    let Some(id) = done.first() else { bail!("one of the two was merged already") };
    note(&store, "contacts.merge", Some(first.id.to_string()), json!({ "merge": id, "other": second.id })).await?;
    store.close().await;
    if options.json {
        print_json(&json!({ "merge": id, "survivor": first.id, "other": second.id, "choices": outcome.choices }))?;
    } else {
        println!("{} is part of {} now; undo: ponte contacts unmerge {}", second.id, first.id, id.simple());
    }
    Ok(ExitCode::SUCCESS)
}

fn shown(options: &Merge, survivor: PersonId, other: PersonId, outcome: &Outcome) -> Result<ExitCode> {
    if options.json {
        print_json(&json!({ "preview": true, "survivor": survivor, "other": other, "choices": outcome.choices,
            "tags": outcome.profile.tags, "labels": outcome.profile.labels }))?;
        return Ok(ExitCode::SUCCESS);
    }
    println!("{survivor} would stay, {other} would become part of it:");
    for choice in &outcome.choices {
        let side = if choice.kept == Side::Survivor { "stays" } else { "from the other" };
        let lost = choice.lost.as_ref().map(|l| format!("   instead of {l}")).unwrap_or_default();
        println!("  {:<16} {:<30} {side}{lost}", choice.field, choice.value);
    }
    Ok(ExitCode::SUCCESS)
}

/// Options of `ponte contacts unmerge`.
#[derive(Args)]
pub struct Unmerge {
    /// The merge; see `ponte contacts merges`.
    merge: Uuid,
    /// One JSON object.
    #[arg(long)]
    json: bool,
}

pub async fn unmerge(settings: Settings, options: Unmerge) -> Result<ExitCode> {
    let store = open(&settings).await?;
    let record = store.unmerge(WORKSPACE, now(), &who(), options.merge).await?;
    let data = json!({ "merge": record.id, "other": record.other });
    note(&store, "contacts.unmerge", Some(record.survivor.to_string()), data).await?;
    store.close().await;
    if options.json {
        print_json(&record)?;
    } else {
        println!("{} and {} are two people again", record.survivor, record.other);
    }
    Ok(ExitCode::SUCCESS)
}

/// Options of `ponte contacts keep-apart`.
#[derive(Args)]
pub struct KeepApart {
    /// One of the two.
    a: String,
    /// The other.
    b: String,
}

pub async fn keep_apart(settings: Settings, options: KeepApart) -> Result<ExitCode> {
    let store = open(&settings).await?;
    let (a, b) = (person(&store, &options.a).await?, person(&store, &options.b).await?);
    let done = store.keep_apart(WORKSPACE, a, b, &who(), now()).await?;
    if done {
        note(&store, "contacts.keep_apart", Some(a.to_string()), json!({ "other": b })).await?;
    }
    store.close().await;
    if !done {
        bail!("no open pair of these two; see ponte contacts duplicates");
    }
    println!("{a} and {b} stay two people");
    Ok(ExitCode::SUCCESS)
}

/// Options of `ponte contacts erase`.
#[derive(Args)]
pub struct Erase {
    /// per_…, a phone number with country code, or another identifier.
    person: String,
    /// Really do it: it can't be undone.
    #[arg(long)]
    yes: bool,
    /// One JSON object.
    #[arg(long)]
    json: bool,
}

pub async fn erase(settings: Settings, options: Erase) -> Result<ExitCode> {
    let store = open(&settings).await?;
    let id = person(&store, &options.person).await?;
    if !options.yes {
        bail!(
            "this erases {id} for good: say --yes (ponte contacts export DIR --person {id} first, if they asked for their data)"
        );
    }
    let blobs = DiskBlobs::open(&settings.media_dir)?;
    let mut key = [0_u8; 32];
    rand::rng().fill_bytes(&mut key);
    let key: String = key.iter().map(|b| format!("{b:02x}")).collect();
    let by = who();
    let order = Erasure { workspace: WORKSPACE, person: id, key: &key, by: &by, now: now() };
    let erased = ponte_engine::people::erase(&store, &blobs, order).await?;
    store.close().await;
    if options.json {
        print_json(&json!({ "person": id, "erased": erased }))?;
    } else {
        println!(
            "{id} is erased: {} identifiers, {} messages' content, {} webhook bodies",
            erased.identities, erased.messages, erased.journal_bodies
        );
    }
    Ok(ExitCode::SUCCESS)
}
