//! `ponte contacts show | timeline | merges | export`.

use super::{card_json, note, open, person};
use crate::adapters::DiskBlobs;
use crate::commands::{print_json, when};
use crate::config::Settings;
use crate::contacts::export as write;
use crate::wiring::WORKSPACE;
use anyhow::{Context, Result};
use clap::Args;
use ponte_domain::ports::people::People;
use serde_json::json;
use std::path::PathBuf;
use std::process::ExitCode;

/// Options of `ponte contacts export`.
#[derive(Args)]
pub struct Export {
    /// The CSV file; with --person the folder.
    to: PathBuf,
    /// Only this person, with everything: per_…, a phone number or another identifier.
    #[arg(long)]
    person: Option<String>,
    /// One JSON object.
    #[arg(long)]
    json: bool,
}

pub async fn export(settings: Settings, options: Export) -> Result<ExitCode> {
    let store = open(&settings).await?;
    let (what, n) = match &options.person {
        None => ("people", write::everybody(&store, WORKSPACE, &options.to).await?),
        Some(text) => {
            let id = person(&store, text).await?;
            let blobs = DiskBlobs::open(&settings.media_dir)?;
            let n = write::person(&store, &blobs, WORKSPACE, id, &options.to).await?;
            note(&store, "contacts.export_person", Some(id.to_string()), json!({ "messages": n })).await?;
            ("messages", n as u64)
        }
    };
    if options.person.is_none() {
        note(&store, "contacts.export", None, json!({ "people": n })).await?;
    }
    store.close().await;
    if options.json {
        print_json(&json!({ what: n, "to": options.to.display().to_string() }))?;
    } else {
        println!("{n} {what} written to {}", options.to.display());
    }
    Ok(ExitCode::SUCCESS)
}

/// Options of `ponte contacts merges`.
#[derive(Args)]
pub struct Merges {
    /// Only of this person.
    #[arg(long)]
    person: Option<String>,
    /// How many.
    #[arg(long, default_value_t = 50)]
    limit: i64,
    /// One JSON object a line.
    #[arg(long)]
    json: bool,
}

pub async fn merges(settings: Settings, options: Merges) -> Result<ExitCode> {
    let store = open(&settings).await?;
    let of = match &options.person {
        Some(text) => Some(person(&store, text).await?),
        None => None,
    };
    let found = store.merges(WORKSPACE, of, options.limit).await?;
    store.close().await;
    for merge in found {
        if options.json {
            print_json(&merge)?;
        } else {
            let undone = merge.undone_at.map(|at| format!("  undone {}", when(at))).unwrap_or_default();
            println!(
                "{}  {}  {} <- {}  {:>4} ‰  {}  by {}{undone}",
                merge.id.simple(),
                when(merge.merged_at),
                merge.survivor,
                merge.other,
                merge.score,
                merge.reasons.join(", "),
                merge.merged_by
            );
        }
    }
    Ok(ExitCode::SUCCESS)
}

/// Options of `ponte contacts show`.
#[derive(Args)]
pub struct Show {
    /// per_…, a phone number with country code, or another identifier.
    person: String,
    /// One JSON object.
    #[arg(long)]
    json: bool,
}

pub async fn show(settings: Settings, options: Show) -> Result<ExitCode> {
    let store = open(&settings).await?;
    let id = person(&store, &options.person).await?;
    let card = store.cards(WORKSPACE, &[id]).await?.into_iter().next().context("there is no such person")?;
    let reach = store.reach(WORKSPACE, id).await?;
    store.close().await;
    if options.json {
        let mut all = card_json(&card);
        let lines: Vec<_> = reach.iter().map(|(line, known)| json!({ "line": line, "reach": known })).collect();
        if let Some(all) = all.as_object_mut() {
            all.insert("lines".into(), lines.into());
        }
        print_json(&all)?;
        return Ok(ExitCode::SUCCESS);
    }
    println!("{}  {}", card.id, card.name().unwrap_or("(no name)"));
    if let Some(into) = card.merged_into {
        println!("  merged into {into}");
    }
    for identity in &card.identities {
        println!("  {:<16} {} {}", identity.kind.as_str(), identity.value, identity.scope);
    }
    for (line, known) in &reach {
        let Some(last) = known.failures.last() else { continue };
        let what = match known.dead_at {
            Some(at) => format!("dead since {}", when(at)),
            None => "sends failed".to_owned(),
        };
        let (n, code, message) = (known.failures.len(), &last.code, last.message);
        println!("  {line:<16} {what}: {n} failures, last {code} {} ({message})", when(last.at));
    }
    for (key, field) in &card.profile.fields {
        println!("  {key:<16} {}   ({}, {})", field.value, field.source, when(field.at));
    }
    let words: Vec<&str> = card.profile.tags.iter().map(String::as_str).collect();
    if !words.is_empty() {
        println!("  {:<16} {}", "tags", words.join(", "));
    }
    let words: Vec<&str> = card.profile.labels.iter().map(|l| l.as_str()).collect();
    if !words.is_empty() {
        println!("  {:<16} {}", "labels", words.join(", "));
    }
    Ok(ExitCode::SUCCESS)
}

/// Options of `ponte contacts timeline`.
#[derive(Args)]
pub struct Timeline {
    /// per_…, a phone number with country code, or another identifier.
    person: String,
    /// How many.
    #[arg(long, default_value_t = 100)]
    limit: i64,
    /// One JSON object a line.
    #[arg(long)]
    json: bool,
}

pub async fn timeline(settings: Settings, options: Timeline) -> Result<ExitCode> {
    let store = open(&settings).await?;
    let id = person(&store, &options.person).await?;
    let found = store.timeline(WORKSPACE, id, options.limit).await?;
    store.close().await;
    for event in found {
        if options.json {
            print_json(&event)?;
        } else {
            let message = event.message.map(|m| m.to_string()).unwrap_or_default();
            println!("{}  {:<24} {message}  {}", when(event.at), event.kind, event.data);
        }
    }
    Ok(ExitCode::SUCCESS)
}
