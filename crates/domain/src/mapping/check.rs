//! Whether rules fit the CRM's own schema and our fields: everything at once, each with its mend, and the fields that could be made.

use super::{Codec, Direction, Item, Rule};
use crate::crm::{CrmChoice, CrmField, CrmKind};
use crate::fields::{Fields, Kind};
use serde::Serialize;
use std::collections::{BTreeMap, BTreeSet};

/// How bad it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Level {
    /// Worth knowing.
    Notice,
    /// A default rule that doesn't fit this CRM: it is left out.
    LeftOut,
    /// The rule can't work.
    Error,
}

/// Something found about a rule.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Finding {
    /// The rule's number.
    #[serde(skip)]
    pub rule: usize,
    /// How bad.
    pub level: Level,
    /// Our item.
    pub item: String,
    /// Their field.
    pub field: String,
    /// Stable code.
    pub code: &'static str,
    /// What is wrong.
    pub problem: String,
    /// How to mend it.
    pub mend: String,
    /// The field that could be made.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub proposal: Option<CrmField>,
}

/// What a rule's check found: code, problem, mend.
type Found = (Level, &'static str, String, String, Option<CrmField>);

pub(super) fn findings(rules: &[Rule], schema: &[CrmField], fields: &Fields) -> Vec<Finding> {
    let by_name: BTreeMap<&str, &CrmField> = schema.iter().map(|f| (f.name.as_str(), f)).collect();
    let (mut items, mut written) = (BTreeSet::new(), BTreeSet::new());
    let mut all = Vec::new();
    for (number, rule) in rules.iter().enumerate() {
        let mut found = one(rule, &by_name, fields);
        if !items.insert(&rule.item) {
            let mend = "leave one of them out, or make one value of both with push".to_owned();
            found.push((Level::Error, "item_twice", "this field of ours has two rules".to_owned(), mend, None));
        }
        for name in rule.theirs.iter().filter(|_| rule.writes()) {
            if !written.insert(name) {
                let problem = format!("{name} is written by two rules");
                found.push((
                    Level::Error,
                    "field_twice",
                    problem,
                    "let one of them only read: from_crm".to_owned(),
                    None,
                ));
            }
        }
        all.extend(found.into_iter().map(|(level, code, problem, mend, proposal)| Finding {
            rule: number,
            level: if rule.by_default && level == Level::Error { Level::LeftOut } else { level },
            item: rule.item.to_string(),
            field: rule.theirs.join(", "),
            code,
            problem,
            mend,
            proposal,
        }));
    }
    all
}

fn one(rule: &Rule, schema: &BTreeMap<&str, &CrmField>, fields: &Fields) -> Vec<Found> {
    let mut found = Vec::new();
    let mut error = |code, problem: String, mend: String| found.push((Level::Error, code, problem, mend, None));
    let names = matches!(rule.codec, Codec::FirstLast | Codec::FirstLastRequired);
    if rule.theirs.len() != if names { 2 } else { 1 } {
        let mend = if names { "name two: first and last name" } else { "name one" };
        error("field_count", format!("{} fields of the CRM are named", rule.theirs.len()), mend.to_owned());
    }
    if rule.reads() && !rule.item.can_be_pulled() {
        let mend = "let it go out only: direction = \"to_crm\"".to_owned();
        error("read_only", format!("{} is not for the CRM to say", rule.item), mend);
    }
    if rule.direction == Direction::Both && rule.push.is_some() != rule.pull.is_some() {
        let mend = "give both pull and push, or let it go one way".to_owned();
        error("one_template", "a template is there for one way only, but the rule goes both ways".to_owned(), mend);
    }
    if rule.stated_source.is_some() && !matches!(rule.item, Item::Marketing | Item::Transactional) {
        error("stated_source", "stated_source is for consent only".to_owned(), "leave it out".to_owned());
    }
    if let Some(template) = &rule.pull {
        for name in template.variables().iter().filter(|n| *n != "value" && !schema.contains_key(n.as_str())) {
            error("field_unknown", format!("pull uses {name}, which the CRM doesn't have"), like(name, schema.keys()));
        }
    }
    for name in &rule.theirs {
        match schema.get(name.as_str()) {
            Some(field) => found.extend(fits(rule, field, fields)),
            None => {
                let problem = format!("the CRM's contacts have no field {name}");
                let proposal = proposed(rule, name, fields);
                found.push((Level::Error, "field_unknown", problem, like(name, schema.keys()), Some(proposal)));
            }
        }
    }
    found
}

/// Whether values of ours fit a field of theirs.
fn fits(rule: &Rule, field: &CrmField, fields: &Fields) -> Vec<Found> {
    let mut found = Vec::new();
    let name = &field.name;
    if rule.writes() && (!field.writable || field.kind == CrmKind::Other) {
        let problem = format!("{name} can't be written over the CRM's API");
        let mend = "let it only read: direction = \"from_crm\"".to_owned();
        found.push((Level::Error, "field_read_only", problem, mend, None));
    }
    if rule.codec != Codec::Auto || rule.push.is_some() || !rule.writes() {
        return found;
    }
    let kind = rule.item.kind(fields);
    let text_like = matches!(
        field.kind,
        CrmKind::Text | CrmKind::LongText | CrmKind::Phone | CrmKind::Email | CrmKind::Url | CrmKind::Reference
    );
    let fit = text_like
        || match field.kind {
            CrmKind::Number => kind == Kind::Number,
            CrmKind::Boolean => kind == Kind::Boolean,
            CrmKind::Date => matches!(kind, Kind::Date | Kind::Moment),
            CrmKind::Moment => kind == Kind::Moment,
            CrmKind::Choice => kind != Kind::MultiChoice,
            CrmKind::MultiChoice | CrmKind::Tags => matches!(kind, Kind::MultiChoice | Kind::Choice | Kind::Text),
            _ => false,
        };
    if !fit {
        let problem = format!("{name} takes values of another type than {}", kind.as_str());
        let mend = "take another field, or a codec or template that makes what it takes".to_owned();
        found.push((Level::Error, "kind_mismatch", problem, mend, None));
    }
    let Item::Field(key) = &rule.item else { return found };
    if !matches!(field.kind, CrmKind::Choice | CrmKind::MultiChoice) || !field.strict_choices {
        return found;
    }
    let theirs: BTreeSet<String> =
        field.choices.iter().flat_map(|c| [c.value.to_lowercase(), c.label.to_lowercase()]).collect();
    let ours = fields.get(key).map(|d| d.choices.as_slice()).unwrap_or_default();
    let lacking: Vec<&str> = ours
        .iter()
        .filter(|c| !theirs.contains(&rule.values.get(*c).unwrap_or(c).to_lowercase()))
        .map(String::as_str)
        .collect();
    if !lacking.is_empty() {
        let problem = format!("{name} has no choice for {}", lacking.join(", "));
        let mend = "add them in the CRM, or name the CRM's words under values".to_owned();
        found.push((Level::Notice, "choices_lacking", problem, mend, None));
    }
    found
}

/// A field that would take the values of a rule.
fn proposed(rule: &Rule, name: &str, fields: &Fields) -> CrmField {
    let definition = match &rule.item {
        Item::Field(key) => fields.get(key),
        _ => None,
    };
    let kind = match (rule.item.kind(fields), &rule.codec) {
        (_, Codec::Joined(_)) => CrmKind::LongText,
        (Kind::Number, _) => CrmKind::Number,
        (Kind::Boolean, Codec::Auto) if rule.values.is_empty() => CrmKind::Boolean,
        (Kind::Date, Codec::Auto) => CrmKind::Date,
        (Kind::Moment, Codec::Auto) => CrmKind::Moment,
        (Kind::Choice, Codec::Auto) => CrmKind::Choice,
        (Kind::MultiChoice, Codec::Auto) if definition.is_some() => CrmKind::MultiChoice,
        (Kind::MultiChoice, _) => CrmKind::LongText,
        (Kind::Email, _) => CrmKind::Email,
        (Kind::Phone, _) => CrmKind::Phone,
        (Kind::Url, _) => CrmKind::Url,
        _ => CrmKind::Text,
    };
    let choice = |word: &String| {
        let value = rule.values.get(word).unwrap_or(word).clone();
        CrmChoice { label: value.clone(), value }
    };
    CrmField {
        label: definition.map_or_else(|| rule.item.to_string(), |d| d.label.clone()),
        choices: definition.map(|d| d.choices.iter().map(choice).collect()).unwrap_or_default(),
        ..CrmField::new(name, kind)
    }
}

/// The names most like one that isn't there.
fn like<'a, 'b: 'a>(name: &str, all: impl Iterator<Item = &'a &'b str>) -> String {
    let wanted = name.to_lowercase().replace('_', "");
    let near = |other: &&&str| {
        let other = other.to_lowercase().replace('_', "");
        other.contains(&wanted) || wanted.contains(&other)
    };
    let found: Vec<&str> = all.filter(near).take(5).copied().collect();
    match found.as_slice() {
        [] => "name one of the CRM's fields by its API name, or have it made".to_owned(),
        _ => format!("did you mean {}? Or have it made", found.join(", ")),
    }
}
