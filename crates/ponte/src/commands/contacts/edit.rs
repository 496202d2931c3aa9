//! `ponte contacts add | set | tag | label`: one person, by hand. What is said here wins over lists.

use super::{open, person, who};
use crate::adapters::{TimeIds, now};
use crate::commands::print_json;
use crate::config::Settings;
use crate::wiring::WORKSPACE;
use anyhow::{Context, Result, bail};
use clap::Args;
use ponte_domain::ids::{IdSource, PersonId};
use ponte_domain::people::edit::{Change, Edit, Edited, Refused};
use ponte_domain::phone::{self, Region};
use ponte_domain::ports::people::People;
use ponte_domain::profile::Label;
use std::process::ExitCode;

/// Options of `ponte contacts add`.
#[derive(Args)]
pub struct Add {
    /// Phone number, with country code or with --country.
    phone: String,
    /// Fields: key=value.
    fields: Vec<String>,
    /// Country of numbers without country code, two letters (TW).
    #[arg(long)]
    country: Option<String>,
    /// A tag; once for each.
    #[arg(long = "tag")]
    tags: Vec<String>,
    /// One JSON object.
    #[arg(long)]
    json: bool,
}

pub async fn add(settings: Settings, options: Add) -> Result<ExitCode> {
    let country = region(options.country.as_deref())?;
    let number = phone::parse(&options.phone, country)
        .map_err(|p| anyhow::anyhow!("{} {}", p.reason(), p.suggestion()))
        .context("the phone number can't be read")?;
    let mut changes = pairs(&options.fields)?;
    changes.extend(options.tags.into_iter().map(Change::Tag));
    if !number.line.can_have_whatsapp() {
        eprintln!("this is a {} line: it can't have WhatsApp", number.line.as_str());
    }
    let store = open(&settings).await?;
    let id = PersonId(TimeIds.next());
    let done = store.add(WORKSPACE, id, &number.e164, edit(changes, country)).await?;
    store.close().await;
    shown(done, options.json, "added")
}

/// Options of `ponte contacts set`.
#[derive(Args)]
pub struct Set {
    /// per_…, a phone number with country code, or another identifier.
    person: String,
    /// Fields: key=value. Read by the field's type, see ponte fields list.
    fields: Vec<String>,
    /// A field that has no value any more; once for each. Lists don't bring one back.
    #[arg(long, value_name = "KEY")]
    unset: Vec<String>,
    /// Country of phone numbers without country code, two letters (TW).
    #[arg(long)]
    country: Option<String>,
    /// One JSON object.
    #[arg(long)]
    json: bool,
}

pub async fn set(settings: Settings, options: Set) -> Result<ExitCode> {
    let mut changes = pairs(&options.fields)?;
    changes.extend(options.unset.into_iter().map(Change::Unset));
    if changes.is_empty() {
        bail!("nothing to change: give key=value, or --unset KEY");
    }
    run(&settings, &options.person, edit(changes, region(options.country.as_deref())?), options.json).await
}

/// Options of `ponte contacts tag` and `ponte contacts label`.
#[derive(Args)]
pub struct Words {
    /// per_…, a phone number with country code, or another identifier.
    person: String,
    /// +WORD to give, -WORD to take away. --json: one JSON object.
    #[arg(required = true, allow_hyphen_values = true, value_name = "+WORD|-WORD")]
    words: Vec<String>,
}

impl Words {
    /// The changes, and whether JSON is wanted: what begins with a hyphen is a word here.
    fn read(self, change: impl Fn(bool, &str) -> Result<Change>) -> Result<(String, Vec<Change>, bool)> {
        let (mut changes, mut json) = (Vec::new(), false);
        for word in &self.words {
            match word.split_at_checked(1) {
                _ if word == "--json" => json = true,
                Some(("+", name)) if !name.is_empty() => changes.push(change(true, name)?),
                Some(("-", name)) if !name.is_empty() => changes.push(change(false, name)?),
                _ => bail!("{word:?}: write +WORD to give it, -WORD to take it away"),
            }
        }
        if changes.is_empty() {
            bail!("nothing to change: write +WORD to give it, -WORD to take it away");
        }
        Ok((self.person, changes, json))
    }
}

pub async fn tag(settings: Settings, options: Words) -> Result<ExitCode> {
    let (who, changes, json) = options.read(|give, name| {
        let name = name.to_owned();
        Ok(if give { Change::Tag(name) } else { Change::Untag(name) })
    })?;
    run(&settings, &who, edit(changes, None), json).await
}

pub async fn label(settings: Settings, options: Words) -> Result<ExitCode> {
    let (who, changes, json) = options.read(|give, name| {
        let label = super::label(name)?;
        Ok(if give { Change::Label(label) } else { Change::Unlabel(label) })
    })?;
    let stays = changes.contains(&Change::Label(Label::Unreachable));
    let done = run(&settings, &who, edit(changes, None), json).await;
    if stays && done.is_ok() && !json {
        println!("unreachable stays until you take it away: given by hand, a message from them doesn't");
    }
    done
}

fn edit(changes: Vec<Change>, country: Option<Region>) -> Edit {
    Edit { changes, source: who(), at: now(), country }
}

fn region(code: Option<&str>) -> Result<Option<Region>> {
    let Some(code) = code else { return Ok(None) };
    let region = Region::new(&code.to_uppercase());
    Ok(Some(region.with_context(|| format!("--country {code}: not a country's two letters, such as TW or BR"))?))
}

fn pairs(fields: &[String]) -> Result<Vec<Change>> {
    let pair = |text: &String| {
        let (key, value) = text.split_once('=').with_context(|| format!("{text:?}: write key=value"))?;
        Ok(Change::Set { key: key.trim().to_owned(), value: value.to_owned() })
    };
    fields.iter().map(pair).collect()
}

async fn run(settings: &Settings, who: &str, edit: Edit, json: bool) -> Result<ExitCode> {
    let store = open(settings).await?;
    let id = person(&store, who).await?;
    let done = store.edit(WORKSPACE, id, edit).await?;
    store.close().await;
    shown(done, json, "changed")
}

fn shown(done: Result<Edited, Refused>, json: bool, verb: &str) -> Result<ExitCode> {
    let done = done?;
    if json {
        print_json(&done)?;
    } else if done.changed.is_empty() && verb == "changed" {
        println!("{}: it was so before", done.person);
    } else {
        println!("{} {verb}  {}", done.person, done.changed.join(", "));
    }
    Ok(ExitCode::SUCCESS)
}
