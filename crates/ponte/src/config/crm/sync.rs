//! `[crm.connections.sync]` and `[crm.connections.mapping]`: when and how a connection is read, and which fields belong together.

use super::super::check::ConfigErrors;
use ponte_domain::MINUTE;
use ponte_domain::mapping::{Codec, Conflict, Direction, Item, Rule, Template, defaults};
use ponte_domain::phone::Region;
use ponte_engine::connection::SyncSettings;
use serde::Deserialize;
use std::collections::BTreeMap;
use toml::{Table, Value};

/// `[crm.connections.sync]`, as written.
#[derive(Debug, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(super) struct RawSync {
    pull: bool,
    every_minutes: f64,
    create_people: bool,
    country: Option<String>,
    make_fields: bool,
    default_mapping: bool,
    notify_url: Option<String>,
}

impl Default for RawSync {
    fn default() -> Self {
        Self {
            pull: true,
            every_minutes: 15.0,
            create_people: true,
            country: None,
            make_fields: true,
            default_mapping: true,
            notify_url: None,
        }
    }
}

/// One rule of `[crm.connections.mapping]`, as written in full. In short: `email = "mail"`, or `email = false` for none.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct RawRule {
    field: OneOrTwo,
    direction: Option<Direction>,
    conflict: Option<Conflict>,
    codec: Option<Codec>,
    #[serde(default)]
    values: BTreeMap<String, String>,
    pull: Option<String>,
    push: Option<String>,
    stated_source: Option<String>,
}

#[derive(Debug, Deserialize)]
#[serde(untagged)]
enum OneOrTwo {
    One(String),
    Several(Vec<String>),
}

/// Checks both tables of a connection. `product`: whose default mapping it starts with.
pub(super) fn check(
    place: &str,
    raw: RawSync,
    mapping: Table,
    product: &str,
    errors: &mut ConfigErrors,
) -> SyncSettings {
    let country = raw.country.and_then(|code| {
        let region = Region::new(&code.to_uppercase());
        if region.is_none() {
            errors.add(format!("{place} sync.country"), format!("{code:?} is no country"), "write two letters: TW, BR");
        }
        region
    });
    if !(1.0..=10_080.0).contains(&raw.every_minutes) {
        errors.add(format!("{place} sync.every_minutes"), "must be between 1 and 10080", "write 15");
    }
    let reachable =
        |url: &str| ["https://", "http://127.0.0.1:", "http://localhost:"].iter().any(|s| url.starts_with(s));
    if raw.notify_url.as_deref().is_some_and(|url| !reachable(url)) {
        let mend = "write the public address of this server: https://ponte.example.com";
        errors.add(format!("{place} sync.notify_url"), "must begin with https://", mend);
    }
    let mut rules = if raw.default_mapping { defaults(product) } else { Vec::new() };
    for (name, value) in mapping {
        let place = format!("{place} mapping.{name}");
        let Some(change) = rule(&place, &name, value, errors) else { continue };
        rules.retain(|rule| rule.item != change.item);
        rules.extend(change.rule);
    }
    SyncSettings {
        pull: raw.pull,
        #[expect(clippy::cast_possible_truncation, reason = "checked to be at most a week")]
        every_ms: (raw.every_minutes.clamp(1.0, 10_080.0) * MINUTE as f64) as i64,
        create_people: raw.create_people,
        country,
        make_fields: raw.make_fields,
        rules,
        triggers: Vec::new(),
        notify_url: raw.notify_url.map(|url| url.trim_end_matches('/').to_owned()),
    }
}

/// What is said about one of our items; without a rule it isn't mapped.
struct Said {
    item: Item,
    rule: Option<Rule>,
}

fn rule(place: &str, name: &str, value: Value, errors: &mut ConfigErrors) -> Option<Said> {
    let item: Item = match name.parse() {
        Ok(item) => item,
        Err(problem) => {
            errors.add(place, problem, "name one of ours on the left: email = \"mail\"");
            return None;
        }
    };
    let raw: RawRule = match value {
        Value::Boolean(false) => return Some(Said { item, rule: None }),
        Value::String(field) => {
            let rule = usual(item.clone(), &field);
            return Some(Said { item, rule: Some(rule) });
        }
        value => match value.try_into() {
            Ok(raw) => raw,
            Err(error) => {
                let mend =
                    "write { field = \"their_name\", direction = \"both\", conflict = \"newest\" }, a name, or false";
                errors.add(place, error.to_string(), mend);
                return None;
            }
        },
    };
    let mut template = |key: &str, text: Option<String>| {
        text.and_then(|text| match Template::parse(&text) {
            Ok(template) => Some(template),
            Err(problem) => {
                errors.add(format!("{place}.{key}"), problem, "see docs/crm/mapping.md for templates");
                None
            }
        })
    };
    let (pull, push) = (template("pull", raw.pull), template("push", raw.push));
    let theirs = match raw.field {
        OneOrTwo::One(name) => vec![name],
        OneOrTwo::Several(names) => names,
    };
    let base = usual(item.clone(), "");
    let two = theirs.len() == 2;
    let rule = Rule {
        theirs,
        direction: raw.direction.unwrap_or(base.direction),
        conflict: raw.conflict.unwrap_or(base.conflict),
        codec: raw.codec.unwrap_or(if two { Codec::FirstLast } else { Codec::Auto }),
        values: raw.values,
        pull,
        push,
        stated_source: raw.stated_source,
        ..base
    };
    Some(Said { item, rule: Some(rule) })
}

/// The rule that a name alone means: both ways where the CRM may say it, else out.
fn usual(item: Item, field: &str) -> Rule {
    let direction = if item.can_be_pulled() { Direction::Both } else { Direction::ToCrm };
    let conflict = match item {
        Item::Phone => Conflict::CrmWins,
        Item::Tags => Conflict::Append,
        _ => Conflict::Newest,
    };
    Rule { direction, conflict, ..Rule::new(item, field) }
}
