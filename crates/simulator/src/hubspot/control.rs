//! The simulator's own API under `/_sim/`: look, count, change the weather, act as a user of the CRM.
//! May touch: everything. Must not touch: the client's rate limits; nothing here is authenticated, counted or delayed.

use super::Sim;
use super::config::Faults;
use super::error::{Answer, Refusal, Reply};
use super::object::Object;
use super::request::Call;
use super::stats;
use super::view;
use super::world::{Claims, Source};
use http::Method;
use serde::Deserialize;
use serde_json::{Map, Value, json};

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct UserRecords {
    records: Vec<Map<String, Value>>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct UserChange {
    properties: Map<String, Value>,
}

/// Serves `/_sim/…`.
pub(super) fn serve(sim: &Sim, call: &Call) -> Answer {
    let path = call.path();
    match (&call.method, path.as_slice()) {
        (&Method::GET, [] | [""]) => Ok(index()),
        (&Method::GET, ["stats"]) => to_reply(&stats::report(&sim.world())),
        (&Method::GET, ["faults"]) => to_reply(&sim.faults()),
        (&Method::PUT, ["faults"]) => {
            let faults: Faults = call.json()?;
            if let Some(name) = faults.out_of_range() {
                return Err(Refusal::validation(format!("{name} is a share between 0.0 and 1.0.")));
            }
            sim.set_faults(faults);
            Ok(Reply::wrote(204, None))
        }
        (&Method::POST, ["reset"]) => {
            sim.reset();
            Ok(Reply::wrote(204, None))
        }
        (&Method::POST, ["expire_tokens"]) => {
            let now = sim.clock.now_ms();
            sim.world().auth.expire_all(now);
            Ok(Reply::wrote(204, None))
        }
        (&Method::GET, ["records", object]) => records(sim, call, parse(object)?),
        (&Method::POST, ["records", object]) => user_creates(sim, call, parse(object)?),
        (&Method::PATCH, ["records", object, id]) => user_changes(sim, call, parse(object)?, id),
        (&Method::DELETE, ["records", object, id]) => user_archives(sim, parse(object)?, id),
        (&Method::GET, ["duplicates", object, property]) => {
            to_reply(&stats::duplicates(&sim.world(), parse(object)?, property))
        }
        _ => Err(Refusal::no_such_path()),
    }
}

fn index() -> Reply {
    Reply::read(json!({
        "GET /_sim/stats": "counters and sizes",
        "GET /_sim/records/{object}?after=&limit=": "live records with their associations, by id",
        "POST /_sim/records/{object}": "a user makes records: {\"records\": [{property: value}]}, all at one time",
        "PATCH /_sim/records/{object}/{id}": "a user changes a record: {\"properties\": {}}",
        "DELETE /_sim/records/{object}/{id}": "a user deletes a record",
        "GET /_sim/duplicates/{object}/{property}": "records that share a value; sharing 0 proves nothing was doubled",
        "GET, PUT /_sim/faults": "faults in force",
        "POST /_sim/expire_tokens": "ends all OAuth access tokens now",
        "POST /_sim/reset": "forgets records, tokens, counters and run-time faults",
    }))
}

fn parse(object: &str) -> Result<Object, Refusal> {
    Object::parse(object).ok_or_else(Refusal::no_such_path)
}

fn to_reply<T: serde::Serialize>(value: &T) -> Answer {
    match serde_json::to_value(value) {
        Ok(value) => Ok(Reply::read(value)),
        Err(error) => Err(Refusal::new(500, "INTERNAL_ERROR", error.to_string())),
    }
}

fn records(sim: &Sim, call: &Call, object: Object) -> Answer {
    let after: u64 = call.query.get("after").and_then(|text| text.parse().ok()).unwrap_or_default();
    let limit: usize = call.query.get("limit").and_then(|text| text.parse().ok()).unwrap_or(1_000);
    let world = sim.world();
    let mut rows = world.table(object).live.range(after.saturating_add(1)..).map(|(_, row)| row);
    let results: Vec<super::Record> = rows.by_ref().take(limit).map(|row| world.export(object, row)).collect();
    let next = rows.next().and(results.last()).map(|record| record.id.clone());
    to_reply(&json!({"results": results, "next": next}))
}

fn user_creates(sim: &Sim, call: &Call, object: Object) -> Answer {
    let new: UserRecords = call.json()?;
    let now = sim.clock.now_ms();
    let mut world = sim.world();
    let mut claims = Claims::new();
    let drafts = new
        .records
        .iter()
        .map(|properties| world.prepare(object, None, properties, Vec::new(), &mut claims))
        .collect::<Result<Vec<_>, _>>()?;
    let ids: Vec<String> =
        drafts.into_iter().map(|draft| world.apply(object, draft, now, Source::User).to_string()).collect();
    Ok(Reply::wrote(201, Some(json!({"ids": ids}))))
}

fn user_changes(sim: &Sim, call: &Call, object: Object, id: &str) -> Answer {
    let change: UserChange = call.json()?;
    let now = sim.clock.now_ms();
    let mut world = sim.world();
    let id = world.find(object, id, None)?.ok_or_else(Refusal::not_found)?;
    let draft = world.prepare(object, Some(id), &change.properties, Vec::new(), &mut Claims::new())?;
    world.apply(object, draft, now, Source::User);
    let row = world.row(object, id).ok_or_else(Refusal::not_found)?;
    Ok(Reply::wrote(200, Some(view::written(&world, object, row))))
}

fn user_archives(sim: &Sim, object: Object, id: &str) -> Answer {
    let now = sim.clock.now_ms();
    let id = id.parse().map_err(|_| Refusal::not_found())?;
    match sim.world().archive(object, id, now, Source::User) {
        true => Ok(Reply::wrote(204, None)),
        false => Err(Refusal::not_found()),
    }
}
