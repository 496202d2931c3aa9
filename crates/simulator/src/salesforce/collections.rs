//! sObject collections: up to 200 records in one call, answered row by row in the order of the input.
//! May touch: the world, one lock at a time. Must not touch: sockets.
//! Failure story: with `allOrNone` a refused row undoes the others; without it each row stands for itself.

use super::Sim;
use super::error::{Answer, Refusal, Reply};
use super::ids::RecordId;
use super::request::Call;
use super::schema::ObjectNo;
use super::sobjects::{counted, pen, show};
use super::world::World;
use super::write::{self, Pen};
use http::Method;
use serde::Deserialize;
use serde_json::{Map, Value, json};
use std::collections::HashSet;

/// Ids of one retrieve call.
const RETRIEVE: usize = 2_000;

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Records {
    #[serde(default)]
    all_or_none: bool,
    records: Vec<Map<String, Value>>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Wanted {
    ids: Vec<String>,
    fields: Vec<String>,
}

/// Serves `/composite/sobjects/…`.
pub(super) fn serve(sim: &Sim, call: &Call, path: &[&str], now: i64) -> Answer {
    let faults = sim.faults();
    let pen = pen(sim, call, &faults, now);
    match (&call.method, path) {
        (&Method::POST, []) => {
            let given = records(sim, call)?;
            rows(sim, given.all_or_none, &given.records, |world, record| {
                let number = type_of(world, record)?;
                let id = write::write(world, &pen, number, None, record)?;
                Ok(json!({"id": id.to_string(), "success": true, "errors": []}))
            })
        }
        (&Method::PATCH, []) => {
            let given = records(sim, call)?;
            let mut seen = HashSet::new();
            rows(sim, given.all_or_none, &given.records, |world, record| update(world, &pen, record, &mut seen))
        }
        (&Method::PATCH, [object, field]) => upsert(sim, call, &pen, object, field),
        (&Method::DELETE, []) => {
            let ids: Vec<String> = call.query.list("ids");
            check_size(sim, ids.len())?;
            let all = call.query.get("allOrNone") == Some("true");
            rows(sim, all, &ids, |world, id| delete(world, &pen, id))
        }
        (&Method::GET, [object]) => {
            let wanted = Wanted { ids: call.query.list("ids"), fields: call.query.list("fields") };
            retrieve(sim, call, object, &wanted)
        }
        (&Method::POST, [object]) => retrieve(sim, call, object, &call.json()?),
        _ => Err(Refusal::method("DELETE,GET,HEAD,PATCH,POST")),
    }
}

fn check_size(sim: &Sim, rows: usize) -> Result<(), Refusal> {
    let most = sim.config.limits.collection;
    if rows > most {
        let message = format!("record limit reached. cannot submit more than {most} records into this call");
        return Err(Refusal::bad("EXCEEDED_ID_LIMIT", message));
    }
    Ok(())
}

fn records(sim: &Sim, call: &Call) -> Result<Records, Refusal> {
    let given: Records = call.json()?;
    check_size(sim, given.records.len())?;
    // A run of rows of one type is a chunk.
    let kind = |record: &Map<String, Value>| record.get("attributes").and_then(|a| a.get("type")).cloned();
    let kinds: Vec<Option<Value>> = given.records.iter().map(kind).collect();
    let chunks = kinds.chunk_by(|a, b| a == b).count();
    if chunks > sim.config.limits.collection_chunks {
        let most = sim.config.limits.collection_chunks;
        let message = format!(
            "Cannot have more than {most} chunks in a single operation. Please rearrange the data to reduce chunking."
        );
        return Err(Refusal::bad("INVALID_INPUT", message));
    }
    Ok(given)
}

fn type_of(world: &World, record: &Map<String, Value>) -> Result<ObjectNo, Refusal> {
    let name = record.get("attributes").and_then(|a| a.get("type")).and_then(Value::as_str);
    let name = name.ok_or_else(|| Refusal::bad("INVALID_INPUT", "The sobject type must be given in attributes."))?;
    let unknown = || Refusal::bad("INVALID_TYPE", format!("sObject type '{name}' is not supported."));
    world.visible(name).map(|(number, _)| number).ok_or_else(unknown)
}

/// Does all rows under one lock and puts the results together.
fn rows<T>(
    sim: &Sim,
    all_or_none: bool,
    given: &[T],
    mut work: impl FnMut(&mut World, &T) -> Result<Value, Refusal>,
) -> Answer {
    let mut world = sim.world();
    let mark = world.mark();
    let results: Vec<Result<Value, Refusal>> =
        given.iter().map(|row| counted(&mut world, |world| work(world, row))).collect();
    let failed = results.iter().any(Result::is_err);
    if all_or_none && failed {
        world.roll_back(mark);
    } else {
        world.keep(&mark);
    }
    let undone = || {
        let message =
            "Record rolled back because not all records were valid and the request was using AllOrNone header";
        Refusal::bad("ALL_OR_NONE_OPERATION_ROLLED_BACK", message).row()
    };
    let shown: Vec<Value> = results
        .iter()
        .map(|result| match result {
            Ok(_) if all_or_none && failed => undone(),
            Ok(done) => done.clone(),
            Err(refusal) => refusal.row(),
        })
        .collect();
    let mut reply = Reply::wrote(200, Value::Array(shown));
    reply.wrote = results.iter().any(Result::is_ok) && !(all_or_none && failed);
    Ok(reply)
}

fn update(
    world: &mut World,
    pen: &Pen<'_>,
    record: &Map<String, Value>,
    seen: &mut HashSet<RecordId>,
) -> Result<Value, Refusal> {
    let number = type_of(world, record)?;
    let mut fields = record.clone();
    let id = fields.remove("id").or_else(|| fields.remove("Id"));
    let id = id.as_ref().and_then(Value::as_str).unwrap_or_default().to_owned();
    if id.is_empty() {
        return Err(Refusal::field("MISSING_ARGUMENT", "Id", "Id not specified in an update call"));
    }
    let id = target(world, number, &id)?;
    if !seen.insert(id) {
        return Err(Refusal::bad("DUPLICATE_VALUE", format!("duplicate id in list: {id}")));
    }
    write::write(world, pen, number, Some(id), &fields)?;
    Ok(json!({"id": id.to_string(), "success": true, "errors": []}))
}

fn target(world: &World, number: ObjectNo, id: &str) -> Result<RecordId, Refusal> {
    // In a row the same faults are told with the codes of the row.
    world.live(number, id).map(|row| row.id).map_err(|refusal| match refusal.code {
        "NOT_FOUND" => Refusal::bad("INVALID_CROSS_REFERENCE_KEY", "invalid cross reference id"),
        _ => refusal,
    })
}

fn upsert(sim: &Sim, call: &Call, pen: &Pen<'_>, object: &str, field: &str) -> Answer {
    let given = records(sim, call)?;
    let (number, key) = {
        let world = sim.world();
        let (number, object) = world.visible(object).ok_or_else(Refusal::not_found)?;
        // Fails when the field names no records.
        world.by_key(number, field, "")?;
        let key = object.find(field).map(|(_, field)| field.name.clone()).unwrap_or_default();
        for record in &given.records {
            if type_of(&world, record)? != number {
                return Err(Refusal::bad("INVALID_INPUT", format!("All records must be of type {}.", object.name)));
            }
        }
        (number, key)
    };
    let text = |record: &Map<String, Value>| {
        let value = record.iter().find(|(name, _)| name.eq_ignore_ascii_case(&key)).map(|(_, value)| value);
        match value {
            Some(Value::String(text)) => text.trim().to_owned(),
            Some(Value::Number(number)) => number.to_string(),
            _ => String::new(),
        }
    };
    let mut seen = HashSet::new();
    rows(sim, given.all_or_none, &given.records, |world, record| {
        let value = text(record);
        if value.is_empty() {
            return Err(Refusal::bad("MISSING_ARGUMENT", format!("{key} not specified")));
        }
        if !seen.insert(value.to_lowercase()) {
            let message = format!("Duplicate external id specified: {value}");
            return Err(Refusal::field("DUPLICATE_VALUE", &key, message));
        }
        let target = match world.by_key(number, &key, &value)?.as_slice() {
            [] if key == "Id" => return Err(Refusal::bad("INVALID_CROSS_REFERENCE_KEY", "invalid cross reference id")),
            [] => None,
            [id] => Some(*id),
            several => {
                let message = format!("{key}: more than one record found for external id field: {several:?}");
                return Err(Refusal::field("DUPLICATE_EXTERNAL_ID", &key, message));
            }
        };
        let mut fields = record.clone();
        if target.is_some() {
            fields.retain(|name, _| !name.eq_ignore_ascii_case(&key));
        }
        let id = write::write(world, pen, number, target, &fields)?;
        Ok(json!({"id": id.to_string(), "success": true, "errors": [], "created": target.is_none()}))
    })
}

fn delete(world: &mut World, pen: &Pen<'_>, id: &str) -> Result<Value, Refusal> {
    let malformed = || Refusal::bad("MALFORMED_ID", format!("malformed id {id}"));
    let parsed = RecordId::parse(id).ok_or_else(malformed)?;
    let number = world.schema.of_id(parsed).map(|(number, _)| number).ok_or_else(malformed)?;
    let id = target(world, number, id)?;
    write::delete(world, pen, number, id)?;
    Ok(json!({"id": id.to_string(), "success": true, "errors": []}))
}

/// Records by id in the asked order; null for those that there are not.
fn retrieve(sim: &Sim, call: &Call, object: &str, wanted: &Wanted) -> Answer {
    if wanted.ids.len() > RETRIEVE {
        let message = format!("record limit reached. cannot submit more than {RETRIEVE} records into this call");
        return Err(Refusal::bad("EXCEEDED_ID_LIMIT", message));
    }
    if wanted.fields.is_empty() {
        return Err(Refusal::bad("MISSING_ARGUMENT", "fields must be specified"));
    }
    let world = sim.world();
    let (number, _) = world.visible(object).ok_or_else(Refusal::not_found)?;
    let mut shown = Vec::with_capacity(wanted.ids.len());
    for id in &wanted.ids {
        shown.push(match world.live(number, id) {
            Ok(row) => show(&world, number, row, &wanted.fields, &call.base)?,
            Err(refusal) if refusal.code == "MALFORMED_ID" => return Err(refusal),
            Err(_) => Value::Null,
        });
    }
    Ok(Reply::read(Value::Array(shown)))
}
