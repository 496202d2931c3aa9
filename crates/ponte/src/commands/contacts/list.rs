//! `ponte contacts list`.

use super::{card_json, open};
use crate::commands::print_json;
use crate::config::Settings;
use crate::wiring::WORKSPACE;
use anyhow::{Context, Result, bail};
use clap::Args;
use ponte_domain::fields::Fields;
use ponte_domain::ids::PersonId;
use ponte_domain::people::marks::Mark;
use ponte_domain::ports::people::People;
use std::process::ExitCode;

/// Options of `ponte contacts list`.
#[derive(Args)]
pub struct Options {
    /// Only who has this tag; once for each: all are needed.
    #[arg(long = "tag")]
    tags: Vec<String>,
    /// Only who has this label; once for each.
    #[arg(long = "label")]
    labels: Vec<String>,
    /// Only whose field has this value: key=value, of a field that was defined; once for each.
    #[arg(long = "field", value_name = "KEY=VALUE")]
    fields: Vec<String>,
    /// How many.
    #[arg(long, default_value_t = 50)]
    limit: i64,
    /// After this person (per_…): the last of the page before.
    #[arg(long)]
    after: Option<PersonId>,
    /// One JSON object a line.
    #[arg(long)]
    json: bool,
}

pub async fn run(settings: Settings, options: Options) -> Result<ExitCode> {
    let store = open(&settings).await?;
    // Fields first: they tell most apart.
    let mut marks = Vec::new();
    let fields = store.fields(WORKSPACE).await?;
    for text in &options.fields {
        marks.push(field(&fields, text)?);
    }
    marks.extend(options.tags.iter().map(|tag| Mark::tag(tag.trim())));
    for name in &options.labels {
        marks.push(Mark::label(super::label(name)?));
    }
    let page = store.people_marked(WORKSPACE, marks, options.after, options.limit.clamp(1, 10_000)).await?;
    store.close().await;
    for card in &page {
        if options.json {
            print_json(&card_json(card))?;
            continue;
        }
        let words: Vec<&str> = card.profile.labels.iter().map(|l| l.as_str()).collect();
        println!(
            "{}  {:<30} {:<16} {}",
            card.id,
            card.name().unwrap_or("(no name)"),
            card.phones().join(" "),
            words.join(", ")
        );
    }
    Ok(ExitCode::SUCCESS)
}

fn field(fields: &Fields, text: &str) -> Result<Mark> {
    let (key, value) = text.split_once('=').with_context(|| format!("--field {text:?}: write key=value"))?;
    if fields.get(key).is_none() {
        bail!("people can be listed by defined fields only: ponte fields define {key}");
    }
    Ok(Mark::field(key, &fields.read(key, value, None)?))
}
