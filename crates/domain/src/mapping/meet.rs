//! One person and one record meet: what changes with us, what the CRM is to be told, what was left out and why.
//! Consent and numbers have rules of their own: a withdrawal on either side wins whatever the conflict rule says, an opt-in counts only
//! with its stated source, a number is added to a person and never taken away.

use super::agree::{How, Side};
use super::codec::{self, Reason, reason};
use super::facts::Said;
use super::transform::view_of;
use super::{Base, Conflict, Facts, Item, Mapping, Rule, settle};
use crate::Millis;
use crate::consent::ScopeKind;
use crate::crm::{CrmField, CrmKind, CrmRecord};
use crate::fields::{Fields, Kind};
use crate::people::edit::{Change, Edit, apply};
use crate::phone::{Region, candidates};
use crate::profile::Profile;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};

/// Where two sides meet.
#[derive(Debug, Clone, Copy)]
pub struct Meeting<'a> {
    /// The rules.
    pub mapping: &'a Mapping,
    /// Names of the record's values, in their order.
    pub names: &'a [String],
    /// Types of our fields.
    pub fields: &'a Fields,
    /// Of numbers without country code.
    pub country: Option<Region>,
    /// Who says what the record says: `crm:CONNECTION`.
    pub source: &'a str,
    /// Our clock.
    pub now: Millis,
}

/// A value that was left out.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Skip {
    /// Our item.
    pub item: String,
    /// Their field.
    pub field: String,
    /// Why.
    #[serde(flatten)]
    pub reason: Reason,
}

impl Skip {
    /// True when it wouldn't have been left out, had the CRM's field other choices or more room: the schema may be an old one.
    #[must_use]
    pub fn doubts_schema(&self) -> bool {
        matches!(self.reason.code.as_ref(), "choice_unknown" | "too_long" | "refused")
    }
}

/// A word about consent that the CRM says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Spoken {
    /// For which messages.
    pub kind: ScopeKind,
    /// An opt-in; otherwise a withdrawal.
    pub granted: bool,
    /// Where opt-ins come from, as the rule states it.
    pub stated_source: Option<String>,
    /// Their field.
    pub field: String,
    /// When the record last changed.
    pub at: Millis,
}

/// What came of a meeting.
#[derive(Debug, Clone, Default)]
pub struct Met {
    /// The profile as it is now, when it changed.
    pub profile: Option<Profile>,
    /// What changed with us, as edits name it: `field:email`, `tag:vip`.
    pub changed: Vec<String>,
    /// Further numbers of the person, E.164 digits.
    pub phones: Vec<String>,
    /// What the CRM says about consent.
    pub consent: Vec<Spoken>,
    /// What both sides agree on now, before anything is written there.
    pub base: Base,
    /// What the CRM is to be told, and what both agree on once it was.
    pub given: Given,
}

/// What a CRM is to be told.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Given {
    /// By the CRM's name, in its form.
    pub values: BTreeMap<String, Value>,
    /// What both sides agree on once it is written.
    pub base: Base,
    /// What is to be remembered before it is sent.
    pub sending: Base,
    /// What can't be told.
    pub skipped: Vec<Skip>,
    /// One of the values goes both ways: the CRM may have changed it meanwhile.
    pub two_way: bool,
    /// One of the values is worth a call of its own. Others go along when there is one: since when we know somebody, and the like.
    pub presses: bool,
}

impl Given {
    fn add(&mut self, rule: &Rule, values: Vec<(String, Value)>) {
        self.two_way |= rule.reads();
        self.presses |= !rule.item.goes_along();
        self.values.extend(values);
    }
}

struct Room<'a> {
    meeting: Meeting<'a>,
    facts: &'a Facts,
    profile: Profile,
    met: Met,
}

/// Lets a person and a record meet. `base`: what was agreed on last, nothing when they never met.
#[must_use]
pub fn meet(meeting: Meeting<'_>, facts: &Facts, base: &Base, record: &CrmRecord) -> Met {
    let met = Met { base: base.clone(), given: Given { base: base.clone(), ..Given::default() }, ..Met::default() };
    let mut room = Room { meeting, facts, profile: facts.profile.clone(), met };
    for rule in &meeting.mapping.rules {
        room.one(rule, base, record);
    }
    let Room { mut met, profile, .. } = room;
    // What both agree on without being told is agreed on after telling, too.
    for (item, marks) in &met.base.0 {
        let given = met.given.base.0.get(item);
        if given.is_none() || base.0.get(item) == given {
            met.given.base.0.insert(item.clone(), marks.clone());
        }
    }
    // What was heard of is no longer under way.
    let heard = &met.base.0;
    met.given.base.0.retain(|key, _| !key.starts_with('~') || heard.contains_key(key));
    met.profile = (!met.changed.is_empty()).then_some(profile);
    met
}

impl Room<'_> {
    fn one(&mut self, rule: &Rule, base: &Base, record: &CrmRecord) {
        let theirs = match self.theirs(rule, record) {
            Ok(theirs) => theirs,
            Err(why) => return self.skip(rule, why),
        };
        let at = record.modified_at.unwrap_or(self.meeting.now).min(self.meeting.now);
        match rule.item {
            Item::Phone => self.phone(rule, base, theirs.as_deref()),
            Item::Marketing => self.consent(rule, ScopeKind::Marketing, base, theirs.as_deref(), at),
            Item::Transactional => self.consent(rule, ScopeKind::Transactional, base, theirs.as_deref(), at),
            _ => self.plain(rule, base, theirs.as_deref(), at),
        }
    }

    /// The record's value in our canonical form.
    fn theirs(&self, rule: &Rule, record: &CrmRecord) -> Result<Option<String>, Reason> {
        let Meeting { mapping, names, fields, country, .. } = self.meeting;
        let value = |name: &String| {
            let place = names.iter().position(|n| n == name)?;
            record.values.get(place)
        };
        let values: Vec<&Value> = rule.theirs.iter().filter_map(value).collect();
        let field = rule.theirs.first().and_then(|name| mapping.field(name));
        let mut text = codec::decode(rule, field, &values)?;
        if let Some(template) = &rule.pull {
            text = template.fill(text.as_deref(), view_of(names, &record.values))?;
        }
        match text {
            // What we only tell is compared as it stands there.
            Some(text) if !rule.reads() && !matches!(rule.item, Item::Tags | Item::Phone) => {
                Ok(codec::canonical(&rule.item, &text, fields, country).unwrap_or(Some(text)))
            }
            Some(text) => codec::canonical(&rule.item, &text, fields, country),
            None => Ok(None),
        }
    }

    fn plain(&mut self, rule: &Rule, base: &Base, theirs: Option<&str>, at: Millis) {
        let said = self.facts.said(&rule.item);
        let list = self.meeting.mapping.is_list(&rule.item);
        let flag = rule.item.kind(self.meeting.fields) == Kind::Boolean;
        let how = How { direction: rule.direction, conflict: rule.conflict, list, flag };
        let here = Side { value: said.value.as_deref(), at: said.at };
        // What we sent and the CRM shows is our own word: both agreed on it, whatever became of the answer.
        let mut heard = base.clone();
        if base.was_sent(&rule.item, theirs, list) {
            heard.agree(&rule.item, theirs, list);
        }
        let settled = settle(how, heard.of(&rule.item), here, Side { value: theirs, at: Some(at) });
        if let Some(new) = &settled.here
            && let Err(why) = self.take(&rule.item, said.value.as_deref(), new.as_deref(), at)
        {
            return self.skip(rule, why);
        }
        let now_here = settled.here.clone().unwrap_or(said.value);
        match settled.there {
            Some(value) => self.give(rule, value.as_deref(), now_here.as_deref()),
            None if now_here.as_deref() == theirs => self.met.base.agree(&rule.item, theirs, list),
            None => {}
        }
    }

    /// The record's word becomes ours.
    fn take(&mut self, item: &Item, old: Option<&str>, new: Option<&str>, at: Millis) -> Result<(), Reason> {
        let words = |text: Option<&str>| -> BTreeSet<String> {
            text.unwrap_or_default().split(';').filter(|t| !t.is_empty()).map(str::to_owned).collect()
        };
        let changes: Vec<Change> = match (item, new) {
            (Item::Field(key), Some(value)) => vec![Change::Set { key: key.clone(), value: value.to_owned() }],
            (Item::Field(key), None) => vec![Change::Unset(key.clone())],
            (Item::Label(label), Some(_)) => vec![Change::Label(*label)],
            (Item::Label(label), None) => vec![Change::Unlabel(*label)],
            (Item::Tags, _) => {
                let (old, new) = (words(old), words(new));
                let added = new.difference(&old).cloned().map(Change::Tag);
                added.chain(old.difference(&new).cloned().map(Change::Untag)).collect()
            }
            _ => return Err(reason("read_only", "This is not for the CRM to say.")),
        };
        let Meeting { source, country, fields, .. } = self.meeting;
        let edit = Edit { changes, source: source.to_owned(), at, country };
        let (profile, changed) = apply(&self.profile, &edit, fields).map_err(|errors| {
            let unfit = errors.into_iter().next().map(|e| e.unfit);
            unfit.map_or_else(
                || reason("unfit", "The value doesn't fit."),
                |u| Reason { code: u.code.into(), text: format!("{} {}", u.reason, u.suggestion).into() },
            )
        })?;
        self.profile = profile;
        self.met.changed.extend(changed);
        Ok(())
    }

    /// The CRM is told; `agreed`: what both have once it was.
    fn give(&mut self, rule: &Rule, value: Option<&str>, agreed: Option<&str>) {
        let list = self.meeting.mapping.is_list(&rule.item);
        match write(self.meeting.mapping, self.facts, rule, value) {
            Ok(values) => {
                let agreed = if rule.writes() && !rule.reads() { value } else { agreed };
                self.met.given.base.agree(&rule.item, agreed, list);
                self.met.given.add(rule, values);
            }
            Err(why) => self.skip(rule, why),
        }
    }

    fn phone(&mut self, rule: &Rule, base: &Base, theirs: Option<&str>) {
        let said = self.facts.said(&Item::Phone).value;
        let Some(theirs) = theirs else {
            let unheard = said.is_some() && !base.is(&Item::Phone, said.as_deref(), false);
            if rule.writes() && unheard {
                self.give(rule, said.as_deref(), said.as_deref());
            }
            return;
        };
        let digits = theirs.trim_start_matches('+');
        let known = self.facts.phones.iter().any(|ours| candidates(ours).any(|form| form == digits));
        if !known && rule.reads() {
            self.met.phones.push(digits.to_owned());
        } else if !known && rule.writes() && rule.conflict == Conflict::PonteWins && said.is_some() {
            return self.give(rule, said.as_deref(), said.as_deref());
        }
        let main = said.as_deref().or(Some(theirs));
        self.met.base.agree(&Item::Phone, main, false);
    }

    fn consent(&mut self, rule: &Rule, kind: ScopeKind, base: &Base, theirs: Option<&str>, at: Millis) {
        let item = &rule.item;
        let Said { value: ours, .. } = self.facts.said(item);
        let agreed = |value: Option<&str>| base.is(item, value, false);
        let never_met = base.of(item).is_none();
        if ours.as_deref() == theirs {
            return self.met.base.agree(item, theirs, false);
        }
        // A checkbox that nobody touched says nothing.
        let untouched = || {
            let kind = rule.theirs.first().and_then(|name| self.meeting.mapping.field(name)).map(|f| f.kind);
            never_met && kind == Some(CrmKind::Boolean)
        };
        let field = || rule.theirs.join(", ");
        let new_there = rule.reads() && !agreed(theirs) && !base.was_sent(item, theirs, false);
        match theirs {
            Some("false") if new_there && !untouched() => {
                self.met.consent.push(Spoken { kind, granted: false, stated_source: None, field: field(), at });
                return self.met.base.agree(item, theirs, false);
            }
            Some("true") if new_there && (ours.is_none() || agreed(ours.as_deref())) => {
                match &rule.stated_source {
                    Some(source) => {
                        let stated_source = Some(source.clone());
                        self.met.consent.push(Spoken { kind, granted: true, stated_source, field: field(), at });
                    }
                    None => self.skip(rule, reason("opt_in_needs_source", NEEDS_SOURCE)),
                }
                return self.met.base.agree(item, theirs, false);
            }
            // Seen before, and still without a source.
            Some("true") if rule.reads() && ours.is_none() && rule.stated_source.is_none() => {
                self.skip(rule, reason("opt_in_needs_source", NEEDS_SOURCE));
            }
            _ => {}
        }
        match ours {
            Some(_) if rule.writes() => self.give(rule, ours.as_deref(), ours.as_deref()),
            _ => self.met.base.agree(item, theirs, false),
        }
    }

    fn skip(&mut self, rule: &Rule, why: Reason) {
        self.met.given.skipped.push(skip(rule, why));
    }
}

const NEEDS_SOURCE: &str = "An opt-in in the CRM doesn't count by itself: state in the rule where such opt-ins come from, or ask the \
                            person.";

fn skip(rule: &Rule, why: Reason) -> Skip {
    Skip { item: rule.item.to_string(), field: rule.theirs.join(", "), reason: why }
}

/// What the CRM hasn't heard yet, by what was last agreed.
pub(super) fn news(mapping: &Mapping, facts: &Facts, base: &Base) -> Given {
    let mut given = Given { base: base.clone(), sending: base.clone(), ..Given::default() };
    for rule in mapping.rules.iter().filter(|rule| rule.writes()) {
        let value = facts.said(&rule.item).value;
        let list = mapping.is_list(&rule.item);
        let never = base.of(&rule.item).is_none();
        let quiet = match rule.item {
            Item::Phone => !never,
            Item::Marketing | Item::Transactional => value.is_none(),
            _ => never && value.is_none(),
        };
        if quiet || base.is(&rule.item, value.as_deref(), list) {
            continue;
        }
        match write(mapping, facts, rule, value.as_deref()) {
            Ok(values) => {
                given.sending.sending(&rule.item, value.as_deref(), list);
                given.base.agree(&rule.item, value.as_deref(), list);
                given.add(rule, values);
            }
            Err(why) => given.skipped.push(skip(rule, why)),
        }
    }
    given
}

/// A value in the CRM's form, by the names of its fields.
fn write(mapping: &Mapping, facts: &Facts, rule: &Rule, value: Option<&str>) -> Result<Vec<(String, Value)>, Reason> {
    let filled;
    let value = match &rule.push {
        Some(template) => {
            let items = template.variables();
            let names = items.iter().filter_map(|name| {
                let item: Item = name.parse().ok()?;
                Some((name.as_str(), facts.said(&item).value))
            });
            filled = template.fill(value, names)?;
            filled.as_deref()
        }
        None => value,
    };
    let fields: Vec<Option<&CrmField>> = rule.theirs.iter().map(|name| mapping.field(name)).collect();
    let values = codec::encode(rule, &fields, value)?;
    Ok(rule.theirs.iter().cloned().zip(values).collect())
}

#[cfg(test)]
#[path = "meet_tests.rs"]
mod tests;
