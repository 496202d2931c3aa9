//! Rules that look at a whole record: unique values, integrity, the admin's validation and duplicate rules.
//! May touch: nothing. Must not touch: the record; a rule only refuses.

use super::cell::Cell;
use super::config::{DuplicateAction, DuplicateRule};
use super::error::Refusal;
use super::ids::RecordId;
use super::schema::{ObjectNo, SObject};
use super::table::{Actor, Row};
use super::world::World;
use super::write::Pen;

/// Asks every rule, in Salesforce's order: integrity, unique values, validation rules, duplicate rules.
pub(super) fn check(
    world: &World,
    pen: &Pen<'_>,
    number: ObjectNo,
    object: &SObject,
    before: Option<&Row>,
    row: &Row,
) -> Result<(), Refusal> {
    integrity(object, row)?;
    unique(world, number, object, before, row)?;
    for rule in pen.config.validation_rules.iter().filter(|rule| rule.object == object.name) {
        let value = world.value(number, row, &rule.field).map(|cell| cell_text(&cell));
        if value == rule.value {
            return Err(Refusal::field("FIELD_CUSTOM_VALIDATION_EXCEPTION", &rule.field, rule.message.clone()));
        }
    }
    if pen.actor == Actor::Person {
        return Ok(());
    }
    for rule in pen.config.duplicate_rules.iter().filter(|rule| rule.object == object.name) {
        if pen.allow_duplicates && rule.action == DuplicateAction::Alert {
            continue;
        }
        let matches = matches(world, number, object, rule, before, row);
        if !matches.is_empty() {
            let ids: Vec<String> = matches.iter().map(ToString::to_string).collect();
            let allow_save = rule.action == DuplicateAction::Alert;
            return Err(Refusal::duplicates(&rule.name, &object.name, &ids, allow_save));
        }
    }
    Ok(())
}

fn cell_text(cell: &Cell) -> String {
    match cell {
        Cell::Text(text) => text.to_string(),
        other => other.csv(super::schema::Kind::Text),
    }
}

fn integrity(object: &SObject, row: &Row) -> Result<(), Refusal> {
    let given = |name: &str| object.number(name).and_then(|no| row.get(no));
    match object.name.as_str() {
        "Task" => {
            let lead = matches!(given("WhoId"), Some(Cell::Id(id)) if id.prefix() == *b"00Q");
            if lead && given("WhatId").is_some() {
                let message = "Related To ID: Cannot relate a task to a lead and to another record.";
                return Err(Refusal::field("FIELD_INTEGRITY_EXCEPTION", "WhatId", message));
            }
        }
        "CampaignMember" if given("ContactId").is_none() && given("LeadId").is_none() => {
            let message = "Required fields are missing: [ContactId or LeadId]";
            return Err(Refusal::bad("REQUIRED_FIELD_MISSING", message));
        }
        "FieldPermissions" => {
            let flag = |name| given(name) == Some(&Cell::Bool(true));
            if flag("PermissionsEdit") && !flag("PermissionsRead") {
                let message = "Can't save field permissions: edit needs read.";
                return Err(Refusal::field("FIELD_INTEGRITY_EXCEPTION", "PermissionsEdit", message));
            }
        }
        _ => {}
    }
    Ok(())
}

fn unique(world: &World, number: ObjectNo, object: &SObject, before: Option<&Row>, row: &Row) -> Result<(), Refusal> {
    let Some(table) = world.table(number) else { return Ok(()) };
    for (field_no, cell) in row.values() {
        let Some(field) = object.field(*field_no).filter(|field| field.unique) else { continue };
        if before.and_then(|before| before.get(*field_no)) == Some(cell) {
            continue;
        }
        if let Some(other) = table.with_value(*field_no, field, cell).into_iter().find(|id| *id != row.id) {
            let message = format!("duplicate value found: {} duplicates value on record with id: {other}", field.name);
            return Err(Refusal::bad("DUPLICATE_VALUE", message));
        }
    }
    Ok(())
}

/// Other live records with the same values. A change that leaves the compared fields alone is not looked at.
fn matches(
    world: &World,
    number: ObjectNo,
    object: &SObject,
    rule: &DuplicateRule,
    before: Option<&Row>,
    row: &Row,
) -> Vec<RecordId> {
    let fields: Vec<_> = rule.fields.iter().filter_map(|name| object.find(name)).collect();
    let same = |a: &Row, b: &Row| {
        fields.iter().all(|(no, _)| match (a.get(*no), b.get(*no)) {
            (Some(a), Some(b)) => a.order(b).is_eq(),
            _ => false,
        })
    };
    let Some(table) = world.table(number) else { return Vec::new() };
    if fields.is_empty() || before.is_some_and(|before| same(before, row)) {
        return Vec::new();
    }
    let Some((no, field, cell)) =
        fields.iter().find(|(_, f)| f.indexed).and_then(|(no, f)| Some((*no, *f, row.get(*no)?)))
    else {
        return Vec::new();
    };
    let others = table.with_value(no, field, cell).into_iter().filter(|id| *id != row.id);
    others.filter(|id| table.row(*id).is_some_and(|other| same(other, row))).take(10).collect()
}
