//! Single records: create, read, change, delete, by id and by external id.
//! May touch: the world, one lock at a time. Must not touch: sockets.

use super::Sim;
use super::error::{Answer, Refusal, Reply};
use super::ids::RecordId;
use super::request::Call;
use super::schema::ObjectNo;
use super::table::{Actor, Row};
use super::world::World;
use super::write::{self, Pen};
use http::Method;
use serde_json::{Map, Value, json};

/// Serves `/sobjects/{object}/…`.
pub(super) fn serve(sim: &Sim, call: &Call, name: &str, path: &[&str], now: i64) -> Answer {
    let mut world = sim.world();
    let (number, object) = world.visible(name).ok_or_else(Refusal::not_found)?;
    let name = object.name.clone();
    let faults = sim.faults();
    let pen = pen(sim, call, &faults, now);
    match (&call.method, path) {
        (&Method::GET, []) => Ok(Reply::read(json!({
            "objectDescribe": super::describe::summary(&world, number, &call.base), "recentItems": [],
        }))),
        (&Method::POST, []) => {
            let fields = call.fields()?;
            let id = counted(&mut world, |world| write::write(world, &pen, number, None, &fields))?;
            Ok(Reply::wrote(201, json!({"id": id.to_string(), "success": true, "errors": []})))
        }
        (&Method::GET, [id]) => {
            let row = world.live(number, id)?;
            Ok(Reply::read(show(&world, number, row, &call.query.list("fields"), &call.base)?))
        }
        (&Method::PATCH, [id]) => {
            let id = world.live(number, id)?.id;
            let fields = call.fields()?;
            counted(&mut world, |world| write::write(world, &pen, number, Some(id), &fields))?;
            Ok(Reply::done())
        }
        (&Method::DELETE, [id]) => {
            let id = world.live(number, id)?.id;
            counted(&mut world, |world| write::delete(world, &pen, number, id))?;
            Ok(Reply::done())
        }
        (&Method::GET, [field, value]) => {
            let id = the_one(&world, number, &name, field, value, &call.base)?.ok_or_else(Refusal::not_found)?;
            let row = world.table(number).and_then(|t| t.live_row(id)).ok_or_else(Refusal::not_found)?;
            Ok(Reply::read(show(&world, number, row, &call.query.list("fields"), &call.base)?))
        }
        (&Method::PATCH, [field, value]) => {
            let mut fields = call.fields()?;
            if fields.keys().any(|key| key.eq_ignore_ascii_case(field)) {
                let message = format!("The {field} field should not be specified in the sobject data.");
                return Err(Refusal::bad("INVALID_FIELD", message));
            }
            let target = the_one(&world, number, &name, field, value, &call.base)?;
            if target.is_none() {
                fields.insert((*field).to_owned(), json!(value));
            }
            let id = counted(&mut world, |world| write::write(world, &pen, number, target, &fields))?;
            let created = target.is_none();
            let body = json!({"id": id.to_string(), "success": true, "errors": [], "created": created});
            Ok(Reply::wrote(if created { 201 } else { 200 }, body))
        }
        (&Method::DELETE, [field, value]) => {
            let id = the_one(&world, number, &name, field, value, &call.base)?.ok_or_else(Refusal::not_found)?;
            counted(&mut world, |world| write::delete(world, &pen, number, id))?;
            Ok(Reply::done())
        }
        (_, []) => Err(Refusal::method("GET,HEAD,POST")),
        (_, [_] | [_, _]) => Err(Refusal::method("DELETE,GET,HEAD,PATCH")),
        _ => Err(Refusal::not_found()),
    }
}

/// The integration user's pen.
pub(super) fn pen<'a>(sim: &'a Sim, call: &Call, faults: &'a super::config::Faults, now: i64) -> Pen<'a> {
    Pen {
        actor: Actor::Api,
        now,
        allow_duplicates: call.allows_duplicates(),
        config: &sim.config,
        faults,
        chance: &sim.chance,
    }
}

/// Does it and counts a refusal as that of a row.
pub(super) fn counted<T>(world: &mut World, work: impl FnOnce(&mut World) -> Result<T, Refusal>) -> Result<T, Refusal> {
    let done = work(world);
    if let Err(refusal) = &done {
        world.tally.row_failed(refusal);
    }
    done
}

/// The record with this external id. Several are answered 300 with their addresses.
fn the_one(
    world: &World,
    number: ObjectNo,
    name: &str,
    field: &str,
    value: &str,
    base: &str,
) -> Result<Option<RecordId>, Refusal> {
    match world.by_key(number, field, value)?.as_slice() {
        [] => Ok(None),
        [id] => Ok(Some(*id)),
        several => Err(Refusal::several(several.iter().map(|id| format!("{base}/sobjects/{name}/{id}")).collect())),
    }
}

/// A record with the asked fields, or with all that may be read.
pub(super) fn show(world: &World, number: ObjectNo, row: &Row, asked: &[String], base: &str) -> Result<Value, Refusal> {
    let object = world.schema.get(number).ok_or_else(Refusal::not_found)?;
    let mut record = Map::new();
    let url = format!("{base}/sobjects/{}/{}", object.name, row.id);
    record.insert("attributes".to_owned(), json!({"type": object.name, "url": url}));
    let mut add = |no: u16, field: &super::schema::Field| {
        let cell = row.cell(object, no, field, world.users).map_or(Value::Null, |cell| cell.json(field.kind));
        record.insert(field.name.clone(), cell);
    };
    if asked.is_empty() {
        world.readable(number).for_each(|(no, field)| add(no, field));
    }
    for name in asked {
        let found = object.find(name.trim()).filter(|(no, _)| world.access.reads(number, *no));
        let (no, field) = found.ok_or_else(|| {
            Refusal::bad("INVALID_FIELD", format!("No such column '{name}' on sobject of type {}", object.name))
        })?;
        add(no, field);
    }
    if !asked.is_empty()
        && let Some((no, field)) = object.find("Id")
    {
        add(no, field);
    }
    Ok(Value::Object(record))
}
