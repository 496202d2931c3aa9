//! What a page of a CRM's changes does to people: whose each record is, who is new, what changes, what was left out. Pure; the store
//! loads the view and applies the outcome.
//! A record belongs to whom it is linked with, else to whom it names by our id, else to whoever has its number, in any way it may be
//! written; else, where that is wanted, to a new person. Nobody has two records of one CRM: the second is told, not followed.

use super::trigger::{self, Fired, Found, Trigger};
use super::{Base, Facts, Item, Mapping, Meeting, Met, Skip, Spoken, meet};
use crate::Millis;
use crate::consent::{Action, Entry, Proof, Scope, ScopeKind, ScopeOf, Source, entry_id};
use crate::crm::{CrmChange, CrmRecord};
use crate::fields::Fields;
use crate::identity::{Identity, IdentityKind};
use crate::ids::{IdSource, PersonId};
use crate::message::NewIdentity;
use crate::people::phone;
use crate::phone::{Region, candidates};
use crate::profile::Profile;
use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};

/// Who a record is linked with, and what was agreed on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Link {
    /// Whose.
    pub person: PersonId,
    /// The CRM's record id.
    pub record: String,
    /// What was agreed on; `None` when they never met.
    pub base: Option<Base>,
    /// The CRM said that the record is gone. It may come back, or turn out to be merged.
    pub gone: bool,
    /// When we last wrote to the record, or came to know it.
    pub written_at: Millis,
}

/// What is stored about the records of a page.
#[derive(Debug, Clone, Default)]
pub struct View {
    /// Links of the records and of the people.
    pub links: Vec<Link>,
    /// What was sent of people whose record was about to be made, and of which no answer was settled.
    pub sent: HashMap<PersonId, Base>,
    /// Owners of numbers.
    pub owners: HashMap<Identity, PersonId>,
    /// Everybody who may be meant.
    pub facts: HashMap<PersonId, Facts>,
    /// Keys that triggers found in the records last, by trigger and record.
    pub found: HashMap<(String, String), String>,
    /// Numbers of people who were erased.
    pub erased: HashSet<Identity>,
    /// Types of our fields.
    pub fields: Fields,
}

/// What decides.
pub struct Context<'a> {
    /// The rules.
    pub mapping: &'a Mapping,
    /// Names of the records' values.
    pub names: &'a [String],
    /// The connection.
    pub connection: &'a str,
    /// Of numbers without country code.
    pub country: Option<Region>,
    /// A record of somebody unknown makes a person.
    pub create: bool,
    /// Messages that records may ask for.
    pub triggers: &'a [Trigger],
    /// What is read may have been so for years: what is found for the first time asks for nothing.
    pub first_reading: bool,
    /// Our clock when the records were asked for: what was written to them since, they don't show.
    pub read_at: Millis,
    /// Our clock.
    pub now: Millis,
    /// New identifiers.
    pub ids: &'a dyn IdSource,
}

/// A person who changed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Touched {
    /// Who.
    pub person: PersonId,
    /// What changed, as edits name it.
    pub changed: Vec<String>,
    /// They are new.
    pub new: bool,
    /// The CRM they come from has to be told something.
    pub tell: bool,
}

/// Counts of a page.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Counts {
    /// Changes looked at.
    pub seen: u64,
    /// People who are new.
    pub created: u64,
    /// People who changed.
    pub changed: u64,
    /// Records of which something was left out.
    pub skipped: u64,
    /// Records that are gone or became part of others.
    pub gone: u64,
}

/// What a page does.
#[derive(Debug, Clone, Default)]
pub struct Pulled {
    /// New people.
    pub created: Vec<(PersonId, Profile)>,
    /// Changed profiles.
    pub profiles: Vec<(PersonId, Profile)>,
    /// New numbers.
    pub identities: Vec<NewIdentity>,
    /// Words about consent.
    pub consent: Vec<Entry>,
    /// Links to be written, each person once.
    pub links: Vec<Link>,
    /// Records that were deleted.
    pub gone: Vec<String>,
    /// Records to be read again: we wrote to them after they were read, so what they say may be what we replaced.
    pub again: Vec<String>,
    /// Who changed and how.
    pub touched: Vec<Touched>,
    /// What was left out, record by record; an empty list says that everything is fine again.
    pub skips: Vec<(String, Option<PersonId>, Vec<Skip>)>,
    /// What triggers found that is different from before.
    pub found: Vec<Found>,
    /// Messages that are asked for.
    pub fired: Vec<Fired>,
    /// Two people who are one, says the CRM: who stays first.
    pub same: Vec<(PersonId, PersonId)>,
    /// Counts.
    pub counts: Counts,
}

/// What has to be looked up for a page: record ids, our ids, numbers in E.164 digits.
#[must_use]
pub fn lookups(changes: &[CrmChange], context: &Context<'_>) -> (Vec<String>, Vec<PersonId>, Vec<String>) {
    let (mut records, mut people, mut phones) = (BTreeSet::new(), BTreeSet::new(), BTreeSet::new());
    for change in changes {
        match change {
            CrmChange::Record(record) => {
                records.insert(record.id.clone());
                people.extend(record.person);
                phones.extend(
                    number(record, context)
                        .iter()
                        .flat_map(|d| candidates(d).map(|c| c.into_owned()).collect::<Vec<_>>()),
                );
            }
            CrmChange::Gone { id } => {
                records.insert(id.clone());
            }
            CrmChange::Merged { from, into } => records.extend([from.clone(), into.clone()]),
        }
    }
    (records.into_iter().collect(), people.into_iter().collect(), phones.into_iter().collect())
}

/// The number of a record, E.164 digits.
fn number(record: &CrmRecord, context: &Context<'_>) -> Option<String> {
    let rule = context.mapping.rules().iter().find(|r| r.item == Item::Phone)?;
    let place = context.names.iter().position(|n| rule.theirs.first() == Some(n))?;
    let text = super::codec::plain(record.values.get(place)?)?;
    crate::phone::parse(&text, context.country).ok().map(|read| read.e164)
}

struct Room<'a> {
    context: &'a Context<'a>,
    view: View,
    by_record: HashMap<String, Link>,
    by_person: HashMap<PersonId, String>,
    created: BTreeSet<PersonId>,
    touched: BTreeMap<PersonId, Touched>,
    linked: BTreeMap<PersonId, Link>,
    pulled: Pulled,
}

/// Decides what a page does.
#[must_use]
pub fn decide(changes: &[CrmChange], view: View, context: &Context<'_>) -> Pulled {
    let by_person = view.links.iter().filter(|l| !l.gone).map(|l| (l.person, l.record.clone())).collect();
    let by_record = view.links.iter().map(|l| (l.record.clone(), l.clone())).collect();
    let mut room = Room {
        context,
        view,
        by_record,
        by_person,
        created: BTreeSet::new(),
        touched: BTreeMap::new(),
        linked: BTreeMap::new(),
        pulled: Pulled::default(),
    };
    for change in changes {
        room.pulled.counts.seen += 1;
        match change {
            CrmChange::Record(record) => room.record(record),
            CrmChange::Gone { id } => {
                if room.by_record.get(id).is_some_and(|l| !l.gone) {
                    room.pulled.gone.push(id.clone());
                }
                room.pulled.counts.gone += 1;
            }
            CrmChange::Merged { from, into } => room.merged(from, into),
        }
    }
    room.close()
}

impl Room<'_> {
    fn record(&mut self, record: &CrmRecord) {
        let digits = number(record, self.context);
        let owner = match self.owner(record, digits.as_deref()) {
            Ok(owner) => owner,
            Err(skip) => return self.left_out(record, None, vec![skip]),
        };
        let (person, new) = match owner {
            Some(person) => (person, false),
            None => match self.newcomer(digits.as_deref()) {
                Ok(person) => (person, true),
                Err(skip) => return self.left_out(record, None, vec![skip]),
            },
        };
        let known = self.by_record.get(&record.id);
        // They never met; but the record may be the one whose creation we never heard of, and then it says our own word.
        let base =
            known.and_then(|l| l.base.clone()).or_else(|| self.view.sent.get(&person).cloned()).unwrap_or_default();
        let (first_time, before) = (known.is_none_or(|l| l.base.is_none() || l.gone), base.clone());
        let Some(facts) = self.view.facts.get(&person) else { return };
        let source = format!("crm:{}", self.context.connection);
        let meeting = Meeting {
            mapping: self.context.mapping,
            names: self.context.names,
            fields: &self.view.fields,
            country: self.context.country,
            source: &source,
            now: self.context.now,
        };
        let mut met = meet(meeting, facts, &base, record);
        let written_at = known.map_or(Millis::MIN, |l| l.written_at);
        if written_at >= self.context.read_at && (!met.changed.is_empty() || !met.consent.is_empty()) {
            return self.pulled.again.push(record.id.clone());
        }
        let skips = std::mem::take(&mut met.given.skipped);
        let mut skips: Vec<Skip> = skips.into_iter().chain(self.phones(person, &met)).collect();
        self.consent(person, record, &met.consent);
        let tell = met.given.presses;
        if let Some(profile) = &met.profile
            && let Some(facts) = self.view.facts.get_mut(&person)
        {
            facts.profile = profile.clone();
        }
        let is_news = new || !met.changed.is_empty() || !met.phones.is_empty() || !met.consent.is_empty();
        if is_news || tell {
            let touched =
                self.touched.entry(person).or_insert_with(|| Touched { person, changed: Vec::new(), new, tell });
            touched.changed.extend(met.changed);
            touched.tell |= tell;
        }
        skips.extend(self.triggers(person, record));
        if first_time || before != met.base {
            let link = Link { person, record: record.id.clone(), base: Some(met.base), gone: false, written_at };
            self.link(link);
        }
        self.left_out(record, Some(person), skips);
    }

    fn link(&mut self, link: Link) {
        self.by_record.insert(link.record.clone(), link.clone());
        self.by_person.insert(link.person, link.record.clone());
        self.linked.insert(link.person, link);
    }

    /// Whose a record is; nobody's, or a reason to leave it alone.
    fn owner(&self, record: &CrmRecord, digits: Option<&str>) -> Result<Option<PersonId>, Skip> {
        if let Some(link) = self.by_record.get(&record.id) {
            return Ok(Some(link.person));
        }
        let by_id = record.person.filter(|id| self.view.facts.contains_key(id));
        let by_number = || {
            let forms = candidates(digits?).map(|c| c.into_owned()).collect::<Vec<_>>();
            let kinds = [IdentityKind::Phone, IdentityKind::WaId];
            forms.iter().find_map(|form| kinds.iter().find_map(|k| self.view.owners.get(&phone(*k, form)).copied()))
        };
        let Some(owner) = by_id.or_else(by_number) else { return Ok(None) };
        match self.by_person.get(&owner) {
            Some(other) if *other != record.id => {
                let text = format!(
                    "This person is linked with record {other} already: merge the two records in the CRM, or take the number from one."
                );
                Err(whole("second_record", text))
            }
            _ => Ok(Some(owner)),
        }
    }

    fn newcomer(&mut self, digits: Option<&str>) -> Result<PersonId, Skip> {
        let context = self.context;
        if !context.create {
            let text = "Nobody here has this record's number, and the connection makes no people of records.";
            return Err(whole("nobody", text.to_owned()));
        }
        let Some(digits) = digits else {
            let text = "The record has no number that can be read: WhatsApp reaches nobody without one.";
            return Err(whole("no_number", text.to_owned()));
        };
        let erased = |kind| candidates(digits).any(|c| self.view.erased.contains(&phone(kind, &c)));
        if erased(IdentityKind::Phone) || erased(IdentityKind::WaId) {
            let text = "Somebody with this number was erased: they come back when they write, not from the CRM.";
            return Err(whole("erased", text.to_owned()));
        }
        let person = PersonId(context.ids.next());
        let identity = phone(IdentityKind::Phone, digits);
        self.view.owners.insert(identity.clone(), person);
        self.pulled.identities.push(NewIdentity { identity, person, at: context.now });
        self.view.facts.insert(person, Facts::newcomer(person, digits, context.now));
        self.created.insert(person);
        Ok(person)
    }

    /// Further numbers, but for those that somebody else has.
    fn phones(&mut self, person: PersonId, met: &Met) -> Vec<Skip> {
        let mut skips = Vec::new();
        for digits in &met.phones {
            let identity = phone(IdentityKind::Phone, digits);
            let forms: Vec<Identity> = candidates(digits)
                .flat_map(|c| [phone(IdentityKind::Phone, &c), phone(IdentityKind::WaId, &c)])
                .collect();
            let other = forms.iter().find_map(|form| self.view.owners.get(form)).filter(|owner| **owner != person);
            if let Some(other) = other {
                let text = format!("{other} has this number already: merge the two, or correct it in the CRM.");
                skips.push(Skip { item: "phone".into(), ..whole("number_taken", text) });
            } else if forms.iter().any(|form| self.view.erased.contains(form)) {
                let text = "Somebody with this number was erased.".to_owned();
                skips.push(Skip { item: "phone".into(), ..whole("erased", text) });
            } else if !self.view.owners.contains_key(&identity) {
                self.view.owners.insert(identity.clone(), person);
                self.pulled.identities.push(NewIdentity { identity, person, at: self.context.now });
                if let Some(facts) = self.view.facts.get_mut(&person) {
                    facts.phones.push(digits.clone());
                }
            }
        }
        skips
    }

    /// Messages that the record asks for, of the person as they are now.
    fn triggers(&mut self, person: PersonId, record: &CrmRecord) -> Vec<Skip> {
        let context = self.context;
        let Some(facts) = self.view.facts.get(&person).filter(|_| !context.triggers.is_empty()) else {
            return Vec::new();
        };
        let known = |name: &str| self.view.found.get(&(name.to_owned(), record.id.clone())).cloned();
        let first = context.first_reading;
        let (found, fired, left_out) = trigger::look(context.triggers, facts, context.names, record, known, first);
        for one in &found {
            self.view.found.insert((one.trigger.clone(), one.record.clone()), one.key.clone());
        }
        self.pulled.found.extend(found);
        self.pulled.fired.extend(fired);
        let told = |(name, reason)| Skip { item: format!("trigger {name}"), field: String::new(), reason };
        left_out.into_iter().map(told).collect()
    }

    fn consent(&mut self, person: PersonId, record: &CrmRecord, words: &[Spoken]) {
        let connection = self.context.connection;
        for word in words {
            let scope = Scope { kind: word.kind, of: ScopeOf::Everything };
            let action = if word.granted { Action::Confirmed } else { Action::Withdrawn };
            let at = word.at.min(self.context.now);
            let id = entry_id(&[
                "crm",
                connection,
                &record.id,
                &scope.to_string(),
                action.as_str(),
                &word.field,
                &at.to_string(),
            ]);
            let proof = Proof {
                stated_source: word.stated_source.clone(),
                note: Some(format!("{connection}: field {} of record {}", word.field, record.id)),
                ..Proof::default()
            };
            self.pulled.consent.push(Entry {
                id,
                person,
                scope,
                action,
                source: if word.granted { Source::Import } else { Source::CrmField },
                proof,
                at,
                until: None,
                said_by: format!("crm:{connection}"),
            });
            if let Some(facts) = self.view.facts.get_mut(&person) {
                let say = Some(super::Say { granted: word.granted, at, source: Source::CrmField.as_str().to_owned() });
                match word.kind {
                    ScopeKind::Marketing => facts.marketing = say,
                    ScopeKind::Transactional => facts.transactional = say,
                }
            }
        }
    }

    /// One record became part of another.
    fn merged(&mut self, from: &str, into: &str) {
        self.pulled.counts.gone += 1;
        let Some(old) = self.by_record.remove(from) else { return };
        self.linked.remove(&old.person);
        match self.by_record.get(into) {
            // The link stays with whoever is merged: should that fail now, the next word of it finds both again.
            Some(stays) if stays.person != old.person => {
                self.pulled.same.push((stays.person, old.person));
                self.by_person.remove(&old.person);
            }
            Some(_) => {}
            None => self.link(Link { record: into.to_owned(), gone: false, ..old }),
        }
    }

    fn left_out(&mut self, record: &CrmRecord, person: Option<PersonId>, skips: Vec<Skip>) {
        self.pulled.counts.skipped += u64::from(!skips.is_empty());
        self.pulled.skips.push((record.id.clone(), person, skips));
    }

    fn close(self) -> Pulled {
        let Self { mut pulled, view, created, touched, linked, .. } = self;
        let profile = |id: &PersonId| view.facts.get(id).map(|f| (*id, f.profile.clone()));
        pulled.created = created.iter().filter_map(profile).collect();
        let changed = touched.values().filter(|t| !t.changed.is_empty() && !created.contains(&t.person));
        pulled.profiles = changed.filter_map(|t| profile(&t.person)).collect();
        pulled.links = linked.into_values().collect();
        pulled.counts.created = created.len() as u64;
        let is_change = |t: &&Touched| !created.contains(&t.person) && !t.changed.is_empty();
        pulled.counts.changed = touched.values().filter(is_change).count() as u64;
        pulled.touched = touched.into_values().collect();
        pulled
    }
}

/// Something that concerns the whole record.
fn whole(code: &'static str, text: String) -> Skip {
    Skip { item: String::new(), field: String::new(), reason: super::codec::reason(code, text) }
}

#[cfg(test)]
#[path = "pull_tests.rs"]
mod tests;
