//! All records of the simulated account, their unique indexes and links.
//! May touch: records, indexes, the event list. Must not touch: sockets, the clock (time is passed in).
//! Failure story: a write is checked in full by `prepare`; `apply` then cannot fail, so nothing is half written.

use super::auth::Auth;
use super::clock::iso;
use super::config::Config;
use super::error::{PropertyFault, Refusal};
use super::limits::Limiter;
use super::object::{Object, association_type};
use super::phone;
use super::row::Row;
use super::schema::Schema;
use super::stats::Tally;
use super::webhooks::Event;
use serde_json::{Map, Value};
use std::collections::{BTreeMap, HashMap, HashSet};

/// Where record ids start: long enough to be unlike row numbers and phone numbers.
const FIRST_ID: u64 = 50_000_000_001;

/// The calculated property of each phone property.
const CALCULATED: [(&str, &str); 2] =
    [("phone", "hs_searchable_calculated_phone_number"), ("mobilephone", "hs_searchable_calculated_mobile_number")];

/// The records of one object type.
#[derive(Debug, Default)]
pub(super) struct Table {
    pub(super) live: BTreeMap<u64, Row>,
    pub(super) archived: BTreeMap<u64, Row>,
    /// Unique property, then value, then the live record that has it.
    unique: HashMap<String, HashMap<String, u64>>,
    /// Merged ids and their winners.
    pub(super) merged: HashMap<u64, u64>,
}

/// Everything the account holds.
#[derive(Debug)]
pub(super) struct World {
    contacts: Table,
    communications: Table,
    notes: Table,
    pub(super) schema: Schema,
    pub(super) auth: Auth,
    pub(super) limiter: Limiter,
    pub(super) tally: Tally,
    pub(super) events: Vec<Event>,
    next_id: u64,
    lag_ms: i64,
    require_name_or_email: bool,
    redirects: bool,
}

/// A link from a record that is being written.
pub(super) type Link = (Object, u64, u16);

/// Unique values that earlier rows of the same batch took.
pub(super) type Claims = HashSet<(String, String)>;

/// A checked write.
#[derive(Debug)]
pub(super) struct Draft {
    /// The record to change; `None` makes one.
    pub(super) target: Option<u64>,
    pub(super) values: Vec<(String, Option<String>)>,
    links: Vec<Link>,
}

/// Who writes, as webhooks tell it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Source {
    Integration,
    User,
}

impl Source {
    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::Integration => "INTEGRATION",
            Self::User => "CRM_UI",
        }
    }
}

impl World {
    pub(super) fn new(config: &Config, now: i64) -> Self {
        Self {
            contacts: Table::default(),
            communications: Table::default(),
            notes: Table::default(),
            schema: Schema::built_in(now),
            auth: Auth::new(config),
            limiter: Limiter::new(),
            tally: Tally::default(),
            events: Vec::new(),
            next_id: FIRST_ID,
            lag_ms: config.flags.search_lag_ms.max(0),
            require_name_or_email: config.flags.require_name_or_email,
            redirects: config.flags.merged_id_redirects,
        }
    }

    pub(super) const fn table(&self, object: Object) -> &Table {
        match object {
            Object::Contacts => &self.contacts,
            Object::Communications => &self.communications,
            Object::Notes => &self.notes,
        }
    }

    pub(super) const fn table_mut(&mut self, object: Object) -> &mut Table {
        match object {
            Object::Contacts => &mut self.contacts,
            Object::Communications => &mut self.communications,
            Object::Notes => &mut self.notes,
        }
    }

    pub(super) fn row(&self, object: Object, id: u64) -> Option<&Row> {
        let table = self.table(object);
        table.live.get(&id).or_else(|| match self.redirects {
            true => table.live.get(table.merged.get(&id)?),
            false => None,
        })
    }

    /// The live record that `key` names, by id or by a unique property.
    pub(super) fn find(&self, object: Object, key: &str, id_property: Option<&str>) -> Result<Option<u64>, Refusal> {
        match id_property {
            None | Some("hs_object_id") => Ok(key.parse().ok().and_then(|id| self.row(object, id)).map(|row| row.id)),
            Some(property) if self.schema.is_unique(object, property) => Ok(self.by_unique(object, property, key)),
            Some(property) => {
                let message = format!("idProperty {property} is not a unique property of {}.", object.name());
                Err(Refusal::validation(message))
            }
        }
    }

    fn by_unique(&self, object: Object, property: &str, value: &str) -> Option<u64> {
        let index = self.table(object).unique.get(property)?;
        if property == "email" { index.get(&value.to_lowercase()).copied() } else { index.get(value).copied() }
    }

    /// Checks a write in full against the schema, the other records and the rest of its batch.
    pub(super) fn prepare(
        &self,
        object: Object,
        target: Option<u64>,
        written: &Map<String, Value>,
        links: Vec<Link>,
        claims: &mut Claims,
    ) -> Result<Draft, Refusal> {
        let before = target.and_then(|id| self.table(object).live.get(&id));
        let values = self.schema.clean(object, written, |name| before.and_then(|row| row.get(name).cloned()))?;
        check_required(object, before.is_none(), &values)?;
        if object == Object::Contacts && before.is_none() && self.require_name_or_email {
            check_named(&values)?;
        }
        let mut claimed = Vec::new();
        for (name, value) in &values {
            let Some(value) = value.as_ref().filter(|_| self.schema.is_unique(object, name)) else { continue };
            let holder = self.by_unique(object, name, value).filter(|id| Some(*id) != target);
            let claim = (name.clone(), value.clone());
            if holder.is_some() || claims.contains(&claim) {
                return Err(conflict(name, holder));
            }
            claimed.push(claim);
        }
        for (to, id, type_id) in &links {
            if association_type(object, *to) != Some(*type_id) || self.row(*to, *id).is_none() {
                let message = format!("Association type {type_id} to {} {id} is not valid.", to.singular());
                return Err(Refusal::validation(message));
            }
        }
        claims.extend(claimed);
        Ok(Draft { target, values, links })
    }

    /// Carries out a checked write and gives the record's id.
    pub(super) fn apply(&mut self, object: Object, draft: Draft, now: i64, source: Source) -> u64 {
        let created = draft.target.is_none();
        let id = draft.target.unwrap_or(self.next_id);
        let lag = self.lag_ms;
        if created {
            self.next_id += 1;
            self.table_mut(object).live.insert(id, Row::new(id, now, lag));
            self.tally.created(object);
            self.emit(object, Event::about("contact.creation", id, now, source));
        } else {
            if let Some(row) = self.table_mut(object).live.get_mut(&id) {
                row.touch(now, lag);
            }
            self.tally.updated(object);
        }
        for (name, value) in draft.values {
            self.set(object, id, &name, value, now, source);
        }
        if let Some(row) = self.table_mut(object).live.get_mut(&id) {
            row.writes += 1;
            let writes = row.writes;
            self.tally.writes(writes);
        }
        for (to, to_id, type_id) in draft.links {
            self.link((object, id), (to, to_id), type_id, now);
        }
        id
    }

    /// Sets one value, keeps the index and the calculated twin, and tells webhooks of a real change.
    fn set(&mut self, object: Object, id: u64, name: &str, value: Option<String>, now: i64, source: Source) {
        let unique = self.schema.is_unique(object, name);
        let table = self.table_mut(object);
        let Some(row) = table.live.get_mut(&id) else { return };
        let before = row.put(name, value.clone());
        if before == value {
            return;
        }
        if let Some((_, calculated)) = CALCULATED.iter().find(|(of, _)| object == Object::Contacts && *of == name) {
            row.put(calculated, value.as_deref().and_then(phone::searchable));
        }
        if unique {
            let index = table.unique.entry(name.to_owned()).or_default();
            if let Some(before) = before.filter(|b| index.get(b) == Some(&id)) {
                index.remove(&before);
            }
            if let Some(value) = &value {
                index.insert(value.clone(), id);
            }
        }
        let mut event = Event::about("contact.propertyChange", id, now, source);
        event.property = Some((name.to_owned(), value.unwrap_or_default()));
        self.emit(object, event);
    }

    pub(super) fn emit(&mut self, object: Object, event: Event) {
        if object == Object::Contacts {
            self.events.push(event);
        }
    }

    /// Links two live records both ways. Logging an activity moves the contact's last-modified time.
    pub(super) fn link(&mut self, from: (Object, u64), to: (Object, u64), type_id: u16, now: i64) {
        let lag = self.lag_ms;
        let back = association_type(to.0, from.0);
        for (here, there, type_id) in [(from, to, Some(type_id)), (to, from, back)] {
            let Some(row) = self.table_mut(here.0).live.get_mut(&here.1) else { continue };
            let types = row.links.entry(there).or_default();
            let new = type_id.is_some_and(|type_id| types.insert(type_id));
            if new && here.0 == Object::Contacts && there.0.is_activity() {
                row.touch(now, lag);
            }
        }
    }

    pub(super) fn unlink(&mut self, from: (Object, u64), to: (Object, u64)) {
        for (here, there) in [(from, to), (to, from)] {
            if let Some(row) = self.table_mut(here.0).live.get_mut(&here.1) {
                row.links.remove(&there);
            }
        }
    }

    /// Takes a live record out of the indexes and off its neighbours.
    pub(super) fn remove(&mut self, object: Object, id: u64) -> Option<Row> {
        let table = self.table_mut(object);
        let row = table.live.remove(&id)?;
        for (name, index) in &mut table.unique {
            // A merged contact answers to more emails than its own.
            let further = row.emails.iter().filter(|_| name == "email");
            for value in row.get(name).into_iter().chain(further) {
                if index.get(value) == Some(&id) {
                    index.remove(value);
                }
            }
        }
        for (other, neighbour) in row.links.keys() {
            if let Some(other) = self.table_mut(*other).live.get_mut(neighbour) {
                other.links.remove(&(object, id));
            }
        }
        Some(row)
    }

    /// Archives a record; false when there is none.
    pub(super) fn archive(&mut self, object: Object, id: u64, now: i64, source: Source) -> bool {
        let Some(mut row) = self.remove(object, id) else { return self.table(object).archived.contains_key(&id) };
        row.archived_at = Some(now);
        row.links.clear();
        self.table_mut(object).archived.insert(id, row);
        self.emit(object, Event::about("contact.deletion", id, now, source));
        true
    }

    /// Merges contact `loser` into `primary`. The primary's values win; links and emails are joined.
    pub(super) fn merge(&mut self, primary: u64, loser: u64, new_id: bool, now: i64) -> Option<u64> {
        let object = Object::Contacts;
        if primary == loser || !self.contacts.live.contains_key(&primary) || !self.contacts.live.contains_key(&loser) {
            return None;
        }
        let lag = self.lag_ms;
        let (mut winner, lost) = (self.remove(object, primary)?, self.remove(object, loser)?);
        let mut joined = winner.snapshot().values.clone();
        for (name, value) in lost.snapshot().values {
            joined.entry(name.clone()).or_insert_with(|| value.clone());
        }
        joined.insert("hs_merged_object_ids".to_owned(), format!("{primary};{loser}"));
        let mut emails = [std::mem::take(&mut winner.emails), lost.emails.clone()].concat();
        emails.extend([&winner, &lost].into_iter().filter_map(|row| row.get("email").cloned()));
        let links: Vec<(Object, u64)> = winner.links.keys().chain(lost.links.keys()).copied().collect();
        let id = if new_id { self.next_id } else { primary };
        if new_id {
            self.next_id += 1;
            winner = Row::new(id, now, lag);
        } else {
            winner.links.clear();
            winner.touch(now, lag);
        }
        for name in winner.snapshot().values.keys().cloned().collect::<Vec<_>>() {
            winner.put(&name, None);
        }
        self.contacts.live.insert(id, winner);
        for (name, value) in joined {
            let silent = self.events.len();
            self.set(object, id, &name, Some(value), now, Source::Integration);
            self.events.truncate(silent);
        }
        let index = self.contacts.unique.entry("email".to_owned()).or_default();
        index.extend(emails.iter().map(|email| (email.clone(), id)));
        if let Some(winner) = self.contacts.live.get_mut(&id) {
            winner.emails = emails;
        }
        for to in links {
            if let Some(type_id) = association_type(object, to.0) {
                self.link((object, id), to, type_id, now);
            }
        }
        for old in [primary, loser].into_iter().filter(|old| *old != id) {
            self.contacts.merged.insert(old, id);
        }
        for winner in self.contacts.merged.values_mut().filter(|w| **w == primary || **w == loser) {
            *winner = id;
        }
        self.tally.merged += 1;
        let mut event = Event::about("contact.merge", id, now, Source::Integration);
        event.merge = Some((primary, vec![loser], id));
        self.emit(object, event);
        Some(id)
    }

    /// Deletes a record for good.
    pub(super) fn purge(&mut self, object: Object, id: u64, now: i64) -> bool {
        let live = self.remove(object, id).is_some();
        let archived = self.table_mut(object).archived.remove(&id).is_some();
        if live || archived {
            self.emit(object, Event::about("contact.privacyDeletion", id, now, Source::Integration));
        }
        live || archived
    }

    /// The properties of a record as the library shows them.
    pub(super) fn export(&self, object: Object, row: &Row) -> super::Record {
        let state = row.snapshot();
        let mut properties = state.values.clone();
        properties.insert("hs_object_id".to_owned(), row.id.to_string());
        properties.insert(object.modified().to_owned(), iso(state.updated_at));
        properties.insert(object.created().to_owned(), iso(row.created_at));
        let associations = row
            .links
            .iter()
            .map(|((to, id), types)| super::Association {
                to_object: to.name().to_owned(),
                to_id: id.to_string(),
                type_ids: types.iter().copied().collect(),
            })
            .collect();
        super::Record {
            id: row.id.to_string(),
            properties,
            associations,
            created_at_ms: row.created_at,
            updated_at_ms: state.updated_at,
            archived: row.archived_at.is_some(),
            writes: row.writes,
        }
    }
}

fn check_required(object: Object, new: bool, values: &[(String, Option<String>)]) -> Result<(), Refusal> {
    let given = |name: &str| values.iter().find(|(n, _)| n == name).map(|(_, v)| v.is_some());
    let faults: Vec<PropertyFault> = object
        .required()
        .iter()
        // On create it must be there; on update it must not be cleared.
        .filter(|name| given(name) == Some(false) || (new && given(name).is_none()))
        .map(|name| PropertyFault::new(name, "MISSING_REQUIRED_PROPERTY", format!("{name} is required")))
        .collect();
    if faults.is_empty() { Ok(()) } else { Err(Refusal::properties(faults)) }
}

fn check_named(values: &[(String, Option<String>)]) -> Result<(), Refusal> {
    let named = values
        .iter()
        .any(|(name, value)| value.is_some() && matches!(name.as_str(), "email" | "firstname" | "lastname"));
    if named {
        return Ok(());
    }
    Err(Refusal::validation("A contact needs at least one of: email, firstname, lastname."))
}

fn conflict(property: &str, holder: Option<u64>) -> Refusal {
    let existing = holder.map(|id| format!(" Existing ID: {id}")).unwrap_or_default();
    if property == "email" {
        return Refusal::new(409, "CONFLICT", format!("Contact already exists.{existing}"));
    }
    let message = format!("Another record already has this value of {property}.{existing}");
    Refusal::properties(vec![PropertyFault::new(property, "CONFLICTING_UNIQUE_VALUE", message)])
}
