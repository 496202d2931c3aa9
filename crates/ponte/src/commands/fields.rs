//! `ponte fields`: fields of people with types.

use super::contacts::{note, open, who};
use super::print_json;
use crate::adapters::now;
use crate::config::Settings;
use crate::wiring::WORKSPACE;
use anyhow::{Context, bail};
use clap::{Args, Subcommand};
use ponte_domain::fields::{Definition, Kind, core_kind};
use ponte_domain::ports::people::People;
use ponte_domain::profile::core;
use ponte_engine::people::recheck;
use serde_json::json;
use std::io::IsTerminal;
use std::process::ExitCode;

/// Options of `ponte fields`.
#[derive(Args)]
pub struct Options {
    #[command(subcommand)]
    what: What,
}

#[derive(Subcommand)]
enum What {
    /// List the fields that every person can have, and those that were defined.
    List {
        /// One JSON object a line.
        #[arg(long)]
        json: bool,
    },
    /// Define a field, or change its type: stored values are read again, what doesn't fit is kept as it was written.
    Define(Define),
    /// Take a definition away; values stay as text.
    Remove {
        /// The field.
        key: String,
        /// One JSON object.
        #[arg(long)]
        json: bool,
    },
}

#[derive(Args)]
struct Define {
    /// Key: a-z, 0-9 and _. People can be listed by a defined field, also by one that every person can have (city).
    key: String,
    /// text, number, date, moment, boolean, choice, multi_choice, email, phone or url. Default: text, or as it was.
    #[arg(long = "type", value_parser = |s: &str| Kind::parse(s).ok_or("text, number, date, moment, boolean, choice, multi_choice, email, phone or url"))]
    kind: Option<Kind>,
    /// What people see. Default: the key.
    #[arg(long)]
    label: Option<String>,
    /// A choice, in the order in which they are shown; once for each.
    #[arg(long = "choice")]
    choices: Vec<String>,
    /// One JSON object.
    #[arg(long)]
    json: bool,
}

/// Lists, defines or removes.
///
/// # Errors
/// When a definition makes no sense, or the database can't.
pub async fn run(settings: Settings, options: Options) -> anyhow::Result<ExitCode> {
    match options.what {
        What::List { json } => list(settings, json).await,
        What::Define(define) => self::define(settings, define).await,
        What::Remove { key, json } => remove(settings, &key, json).await,
    }
}

async fn list(settings: Settings, json: bool) -> anyhow::Result<ExitCode> {
    let store = open(&settings).await?;
    let fields = store.fields(WORKSPACE).await?;
    store.close().await;
    for key in core::ALL.into_iter().filter(|key| fields.get(key).is_none()) {
        let kind = core_kind(key).unwrap_or(Kind::Text);
        if json {
            print_json(&json!({ "key": key, "type": kind, "core": true, "listed": false }))?;
        } else {
            println!("{key:<24} {:<13} every installation has it", kind.as_str());
        }
    }
    for d in fields.defined() {
        let is_core = core_kind(&d.key).is_some();
        if json {
            print_json(
                &json!({ "key": d.key, "type": d.kind, "label": d.label, "choices": d.choices, "source": d.source,
                "changed_at": d.changed_at, "core": is_core, "listed": true }),
            )?;
        } else {
            println!("{:<24} {:<13} {}  {}", d.key, d.kind.as_str(), d.label, d.choices.join(", "));
        }
    }
    Ok(ExitCode::SUCCESS)
}

async fn define(settings: Settings, options: Define) -> anyhow::Result<ExitCode> {
    let store = open(&settings).await?;
    let before = store.fields(WORKSPACE).await?.get(&options.key).cloned();
    let kind = options.kind.or(before.as_ref().map(|d| d.kind)).or(core_kind(&options.key)).unwrap_or(Kind::Text);
    let keeps_choices = options.choices.is_empty() && before.as_ref().is_some_and(|d| d.kind == kind);
    let definition = Definition {
        kind,
        label: options.label.or(before.as_ref().map(|d| d.label.clone())).unwrap_or_else(|| options.key.clone()),
        choices: match &before {
            Some(d) if keeps_choices => d.choices.clone(),
            _ => options.choices,
        },
        key: options.key,
        source: who(),
        changed_at: now(),
    };
    definition.check()?;
    store.define_field(WORKSPACE, definition.clone()).await?;
    let on = !options.json && std::io::stderr().is_terminal();
    let done = recheck(&store, WORKSPACE, &definition.key, now(), |looked_at| {
        if on {
            eprint!("\r\x1b[Klooking again at {looked_at} values");
        }
    })
    .await
    .with_context(|| format!("{} is defined; define it again to look at the rest of the values", definition.key))?;
    if on {
        eprint!("\r\x1b[K");
    }
    let data =
        json!({ "type": definition.kind, "fit": done.fit, "as_written": done.as_written, "changed": done.changed });
    note(&store, "fields.define", Some(definition.key.clone()), data).await?;
    store.close().await;
    if options.json {
        print_json(&json!({ "field": definition, "values": done }))?;
        return Ok(ExitCode::SUCCESS);
    }
    println!("{} is {} now", definition.key, definition.kind.as_str());
    println!("  {:>9}  people have a value that fits ({} rewritten or moved)", done.fit, done.changed);
    if done.as_written > 0 {
        println!("  {:>9}  values don't fit: kept as {}_as_written", done.as_written, definition.key);
    }
    Ok(ExitCode::SUCCESS)
}

async fn remove(settings: Settings, key: &str, json: bool) -> anyhow::Result<ExitCode> {
    let store = open(&settings).await?;
    let gone = store.remove_field(WORKSPACE, key).await?;
    if gone {
        note(&store, "fields.remove", Some(key.to_owned()), json!({})).await?;
    }
    store.close().await;
    if !gone {
        bail!("no field {key:?} is defined; see ponte fields list");
    }
    if json {
        print_json(&json!({ "removed": key }))?;
    } else {
        println!("{key} is not defined any more; its values stay as text");
    }
    Ok(ExitCode::SUCCESS)
}
