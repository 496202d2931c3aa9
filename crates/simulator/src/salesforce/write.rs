//! One write of one record: checked in full against schema, permissions and rules, then carried out.
//! May touch: the world's records. Must not touch: sockets, the clock (time is passed in).
//! Failure story: the check comes first and names what is wrong; after it nothing can fail, so nothing is half written.

use super::access::Deed;
use super::cell::Cell;
use super::config::{Config, Faults};
use super::error::Refusal;
use super::ids::RecordId;
use super::rules;
use super::schema::{Field, ObjectNo, SObject};
use super::table::{Actor, Row};
use super::world::World;
use crate::chance::Chance;
use serde_json::{Map, Value};

/// Who writes, when, and in what weather.
#[derive(Debug, Clone, Copy)]
pub(super) struct Pen<'a> {
    pub(super) actor: Actor,
    pub(super) now: i64,
    /// `Sforce-Duplicate-Rule-Header: allowSave=true`.
    pub(super) allow_duplicates: bool,
    pub(super) config: &'a Config,
    pub(super) faults: &'a Faults,
    pub(super) chance: &'a Chance,
}

impl Pen<'_> {
    /// The present second: times of records have no milliseconds.
    pub(super) fn second(&self) -> i64 {
        self.now - self.now.rem_euclid(1_000)
    }

    /// SystemModstamp of a write: now, or earlier when a long transaction is being played.
    fn stamp(&self) -> i64 {
        if self.actor == Actor::Api || !self.chance.happens(self.faults.late_stamp) {
            return self.second();
        }
        let earlier = self.now.saturating_sub(self.faults.late_stamp_ms);
        earlier - earlier.rem_euclid(1_000)
    }

    /// Row faults: nothing was done.
    fn mishap(&self, id: Option<RecordId>) -> Result<(), Refusal> {
        if self.actor == Actor::Person {
            return Ok(());
        }
        if self.chance.happens(self.faults.row_lock) {
            let record = id.map(|id| format!(": {id}")).unwrap_or_default();
            let message = format!("unable to obtain exclusive access to this record or 1 records{record}");
            return Err(Refusal::bad("UNABLE_TO_LOCK_ROW", message));
        }
        if self.chance.happens(self.faults.row_failure) {
            return Err(Refusal::new(
                500,
                "UNKNOWN_EXCEPTION",
                "An unexpected error occurred. Please include this ErrorId",
            ));
        }
        if self.chance.happens(self.faults.row_rejection) {
            let message = "An admin's own validation rule refuses this record.";
            return Err(Refusal::bad("FIELD_CUSTOM_VALIDATION_EXCEPTION", message));
        }
        Ok(())
    }
}

/// Makes a record (`target` absent) or changes one. Gives its id.
pub(super) fn write(
    world: &mut World,
    pen: &Pen<'_>,
    number: ObjectNo,
    target: Option<RecordId>,
    written: &Map<String, Value>,
) -> Result<RecordId, Refusal> {
    let object = world.schema.get(number).ok_or_else(Refusal::not_found)?;
    let deed = if target.is_some() { Deed::Edit } else { Deed::Create };
    may(world, pen, number, object, deed)?;
    let before = match target {
        Some(id) => Some(world.table(number).and_then(|table| table.row(id)).ok_or_else(Refusal::not_found)?),
        None => None,
    };
    if let Some(row) = before {
        check_target(world, number, row)?;
    }
    let values = read(world, pen, number, object, before.is_none(), written)?;
    let id = target.unwrap_or_else(|| world.next_id(number, object));
    let mut row = before.cloned().unwrap_or_else(|| Row::new(id, pen.second(), pen.actor));
    if before.is_none() {
        fill_defaults(world, object, &mut row, &values);
    }
    for (field_no, cell) in values {
        row.put(field_no, cell);
    }
    derive(object, &mut row, pen.second());
    check_required(object, &row)?;
    rules::check(world, pen, number, object, before, &row)?;
    pen.mishap(target)?;
    if before.is_none() && world.storage_left(pen.config) == 0 {
        return Err(Refusal::new(403, "STORAGE_LIMIT_EXCEEDED", "storage limit exceeded"));
    }
    let before = before.cloned();
    commit(world, pen, number, before.as_ref(), row);
    Ok(id)
}

/// Carries out a checked change and tells search and counters.
pub(super) fn commit(world: &mut World, pen: &Pen<'_>, number: ObjectNo, before: Option<&Row>, mut row: Row) {
    row.modified_at = pen.second();
    row.modified_by = pen.actor;
    row.stamp = pen.stamp();
    row.writes += 1;
    let name = world.schema.get(number).map(|object| object.name.clone()).unwrap_or_default();
    match before {
        None => {
            world.take_id(number);
            world.tally.created(&name);
        }
        Some(_) => world.tally.updated(&name),
    }
    world.tally.writes(row.writes);
    let id = row.id;
    world.put(number, id, Some(row));
    world.search.touched(id, pen.now);
}

fn may(world: &World, pen: &Pen<'_>, number: ObjectNo, object: &SObject, deed: Deed) -> Result<(), Refusal> {
    if pen.actor == Actor::Person {
        return Ok(());
    }
    let verb = match deed {
        Deed::Create => "inserted",
        Deed::Edit => "updated",
        Deed::Delete => "deleted",
    };
    if object.fixed || object.tooling {
        let message = format!("entity type cannot be {verb}: {}", object.label);
        return Err(Refusal::bad("CANNOT_INSERT_UPDATE_ACTIVATE_ENTITY", message));
    }
    if !world.access.may(number, deed) {
        return Err(Refusal::new(
            403,
            "INSUFFICIENT_ACCESS_OR_READONLY",
            format!("entity type cannot be {verb}: {}", object.label),
        ));
    }
    Ok(())
}

fn check_target(world: &World, number: ObjectNo, row: &Row) -> Result<(), Refusal> {
    if row.deleted_at.is_some() {
        return Err(Refusal::deleted());
    }
    if world.value(number, row, "IsConverted") == Some(Cell::Bool(true)) {
        return Err(Refusal::bad("CANNOT_UPDATE_CONVERTED_LEAD", "cannot reference converted lead"));
    }
    Ok(())
}

/// The values of a body, each with its field's own rules.
fn read(
    world: &World,
    pen: &Pen<'_>,
    number: ObjectNo,
    object: &SObject,
    creating: bool,
    written: &Map<String, Value>,
) -> Result<Vec<(u16, Option<Cell>)>, Refusal> {
    let by_person = pen.actor == Actor::Person;
    let mut values = Vec::with_capacity(written.len());
    let mut closed: Vec<String> = Vec::new();
    for (name, value) in written {
        if name == "attributes" {
            continue;
        }
        let found = object.find(name).filter(|(no, _)| by_person || world.access.reads(number, *no));
        let (field_no, field, cell) = match found {
            Some((_, field)) if field.kind == super::schema::Kind::Id => {
                return Err(Refusal::bad("INVALID_FIELD", "The Id field should not be specified in the sobject data."));
            }
            Some((field_no, field)) => {
                // What cannot be written anyway is told as such, whatever its value.
                let open = if creating { field.createable } else { field.updateable };
                let cell = if open { field.read(value)? } else { None };
                (field_no, field, cell)
            }
            None => by_relationship(world, number, object, name, value)?,
        };
        let open = if creating { field.createable } else { field.updateable };
        if !open || (!by_person && !world.access.edits(number, field_no)) {
            closed.push(field.name.clone());
            continue;
        }
        if let Some(Cell::Id(id)) = &cell {
            check_reference(world, field, *id)?;
        }
        values.push((field_no, cell));
    }
    if closed.is_empty() {
        return Ok(values);
    }
    let mut refusal = Refusal::bad(
        "INVALID_FIELD_FOR_INSERT_UPDATE",
        format!(
            "Unable to create/update fields: {}. Please check the security settings of this field and verify that it is \
             read/write for your profile or permission set.",
            closed.join(", ")
        ),
    );
    refusal.fields = closed;
    Err(refusal)
}

/// `"Contact__r": {"WA_Key__c": "…"}`: a reference given by another record's external id.
fn by_relationship<'a>(
    world: &World,
    number: ObjectNo,
    object: &'a SObject,
    name: &str,
    value: &Value,
) -> Result<(u16, &'a Field, Option<Cell>), Refusal> {
    let unknown = || {
        let message = format!("No such column '{name}' on sobject of type {}", object.name);
        Refusal::bad("INVALID_FIELD", message)
    };
    let (field_no, field) =
        object.relationship(name).filter(|(no, _)| world.access.reads(number, *no)).ok_or_else(unknown)?;
    let Value::Object(given) = value else { return Err(unknown()) };
    let keys: Vec<(&String, &Value)> = given.iter().filter(|(key, _)| *key != "attributes").collect();
    let ([(key, value)], [target]) = (keys.as_slice(), field.reference_to.as_slice()) else {
        let message = format!("Exactly one external id must name the record of {name}.");
        return Err(Refusal::field("INVALID_FIELD", &field.name, message));
    };
    let value = match value {
        Value::String(text) => text.clone(),
        other => other.to_string(),
    };
    let (target, _) = world.schema.find(target).ok_or_else(unknown)?;
    match world
        .by_key(target, key, &value)
        .map_err(|refusal| Refusal::bad("INVALID_FIELD", refusal.message))?
        .as_slice()
    {
        [id] => Ok((field_no, field, Some(Cell::Id(*id)))),
        [] => {
            let message = format!(
                "Foreign key external ID: {} not found for field {key} in entity {}",
                value.to_lowercase(),
                object.name
            );
            Err(Refusal::bad("INVALID_FIELD", message))
        }
        _ => Err(Refusal::bad("DUPLICATE_VALUE", format!("Foreign key external ID: {value} is not unique"))),
    }
}

fn check_reference(world: &World, field: &Field, id: RecordId) -> Result<(), Refusal> {
    let target = world.schema.of_id(id).filter(|(_, target)| {
        // What custom object a task may be about is not limited by name.
        let any_custom = field.name == "WhatId" && target.custom;
        any_custom || field.reference_to.contains(&target.name)
    });
    let Some((number, _)) = target else {
        let message = format!("{}: id value of incorrect type: {id}", field.label);
        return Err(Refusal::field("MALFORMED_ID", &field.name, message));
    };
    match world.table(number).and_then(|table| table.row(id)) {
        None => Err(Refusal::field("INVALID_CROSS_REFERENCE_KEY", &field.name, "invalid cross reference id")),
        Some(row) if row.deleted_at.is_some() => {
            Err(Refusal::field("ENTITY_IS_DELETED", &field.name, "entity is deleted"))
        }
        Some(_) => Ok(()),
    }
}

fn fill_defaults(world: &World, object: &SObject, row: &mut Row, given: &[(u16, Option<Cell>)]) {
    for (field_no, field) in object.fields() {
        let absent = !given.iter().any(|(no, _)| *no == field_no);
        if absent && let Some(default) = &field.default {
            row.put(field_no, Some(default.clone()));
        }
        if absent && field.name == "OwnerId" {
            let owner = if row.created_by == Actor::Api { world.users.api } else { world.users.person };
            row.put(field_no, Some(Cell::Id(owner)));
        }
    }
}

/// Fields that follow from others.
fn derive(object: &SObject, row: &mut Row, now: i64) {
    let text = |row: &Row, name: &str| match object.number(name).and_then(|no| row.get(no)) {
        Some(Cell::Text(text)) => text.to_string(),
        _ => String::new(),
    };
    let set = |row: &mut Row, name: &str, cell: Option<Cell>| {
        if let Some(no) = object.number(name) {
            row.put(no, cell);
        }
    };
    match object.name.as_str() {
        "Task" => {
            let closed = text(row, "Status") == "Completed";
            let was = object.number("CompletedDateTime").and_then(|no| row.get(no)).cloned();
            set(row, "IsClosed", Some(Cell::Bool(closed)));
            set(row, "CompletedDateTime", closed.then(|| was.unwrap_or(Cell::Moment(now))));
        }
        "Opportunity" => {
            let stage = text(row, "StageName");
            set(row, "IsClosed", Some(Cell::Bool(stage.starts_with("Closed"))));
            set(row, "IsWon", Some(Cell::Bool(stage == "Closed Won")));
        }
        _ => {}
    }
}

fn check_required(object: &SObject, row: &Row) -> Result<(), Refusal> {
    let missing: Vec<String> = object
        .fields()
        .filter(|(no, field)| field.required && row.get(*no).is_none())
        .map(|(_, field)| field.name.clone())
        .collect();
    if missing.is_empty() {
        return Ok(());
    }
    let mut refusal =
        Refusal::bad("REQUIRED_FIELD_MISSING", format!("Required fields are missing: [{}]", missing.join(", ")));
    refusal.fields = missing;
    Err(refusal)
}

/// Puts a record into the recycle bin.
pub(super) fn delete(world: &mut World, pen: &Pen<'_>, number: ObjectNo, id: RecordId) -> Result<(), Refusal> {
    let object = world.schema.get(number).ok_or_else(Refusal::not_found)?;
    may(world, pen, number, object, Deed::Delete)?;
    let row = world.table(number).and_then(|table| table.row(id)).ok_or_else(Refusal::not_found)?;
    if row.deleted_at.is_some() {
        return Err(Refusal::deleted());
    }
    pen.mishap(Some(id))?;
    let (before, name) = (row.clone(), object.name.clone());
    bury(world, pen, number, &before, None);
    world.tally.deleted(&name);
    Ok(())
}

/// Marks a record as deleted, by itself or by a merge.
pub(super) fn bury(world: &mut World, pen: &Pen<'_>, number: ObjectNo, before: &Row, master: Option<RecordId>) {
    let mut row = before.clone();
    (row.deleted_at, row.master) = (Some(pen.second()), master);
    (row.modified_at, row.modified_by, row.stamp) = (pen.second(), pen.actor, pen.stamp());
    world.put(number, before.id, Some(row));
}

/// Takes a record out of the recycle bin.
pub(super) fn restore(world: &mut World, pen: &Pen<'_>, number: ObjectNo, id: RecordId) -> Result<(), Refusal> {
    let row = world.table(number).and_then(|table| table.row(id)).filter(|row| row.deleted_at.is_some());
    let mut row = row.cloned().ok_or_else(Refusal::not_found)?;
    (row.deleted_at, row.master) = (None, None);
    (row.modified_at, row.modified_by, row.stamp) = (pen.second(), pen.actor, pen.second());
    world.put(number, id, Some(row));
    world.search.touched(id, pen.now);
    Ok(())
}
