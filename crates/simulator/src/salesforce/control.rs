//! The simulator's own API under `/_sim/`: look, count, change the weather, act as a person in the CRM.
//! May touch: everything. Must not touch: the client's allowances; nothing here is authenticated, counted or delayed.

use super::Sim;
use super::config::Faults;
use super::error::{Answer, Refusal, Reply};
use super::ids::RecordId;
use super::request::Call;
use super::schema::ObjectNo;
use super::stats;
use super::table::Actor;
use super::world::World;
use super::write::{self, Pen};
use super::{Record, people};
use http::Method;
use serde::Deserialize;
use serde_json::{Map, Value, json};

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct NewRecords {
    records: Vec<Map<String, Value>>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Change {
    values: Map<String, Value>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Losers {
    losers: Vec<String>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Jump {
    advance_ms: u32,
}

/// Serves `/_sim/…`. Bodies are taken whatever their content type.
pub(super) fn serve(sim: &Sim, call: &Call) -> Answer {
    let _turn = sim.turn();
    let path = call.path();
    let answer = match (&call.method, path.as_slice()) {
        (&Method::GET, []) => Ok(index()),
        (&Method::GET, ["stats"]) => {
            to_reply(&stats::report(&mut sim.world(), sim.config.limits.daily_requests, sim.clock.now_ms()))
        }
        (&Method::GET, ["faults"]) => to_reply(&sim.faults()),
        (&Method::PUT, ["faults"]) => {
            let faults: Faults = body(call)?;
            if let Some(name) = faults.out_of_range() {
                return Err(Refusal::bad("INVALID_INPUT", format!("{name} is a share between 0.0 and 1.0.")));
            }
            sim.set_faults(faults);
            Ok(Reply::done())
        }
        (&Method::GET, ["clock"]) => Ok(Reply::read(json!({"now_ms": sim.clock.now_ms()}))),
        (&Method::POST, ["clock"]) => {
            let jump: Jump = body(call)?;
            sim.clock.advance(jump.advance_ms);
            Ok(Reply::wrote(200, json!({"now_ms": sim.clock.now_ms()})))
        }
        (&Method::POST, ["reset"]) => {
            sim.reset();
            Ok(Reply::done())
        }
        (&Method::POST, ["end_sessions"]) => {
            sim.world().auth.end_all();
            Ok(Reply::done())
        }
        (&Method::POST, ["end_streams"]) => {
            sim.streams.fetch_add(1, std::sync::atomic::Ordering::SeqCst);
            Ok(Reply::done())
        }
        (&Method::POST, ["close_cursors"]) => {
            sim.world().cursors.close_all();
            Ok(Reply::done())
        }
        (&Method::GET, ["duplicates", object, field]) => {
            to_reply(&stats::duplicates(&sim.world(), object, field).ok_or_else(Refusal::not_found)?)
        }
        (method, ["records", object, rest @ ..]) => records(sim, call, method, object, rest),
        _ => Err(Refusal::not_found()),
    };
    sim.world().settle_access(&sim.config);
    answer
}

fn index() -> Reply {
    Reply::read(json!({
        "GET /_sim/stats": "counters, sizes, budget spent",
        "GET /_sim/records/{object}?after=&limit=": "records, those in the recycle bin included, by id",
        "POST /_sim/records/{object}": "a person makes records: {\"records\": [{field: value}]}, all at one time",
        "PATCH /_sim/records/{object}/{id}": "a person changes a record: {\"values\": {}}",
        "DELETE /_sim/records/{object}/{id}": "a person deletes a record",
        "POST /_sim/records/{object}/{id}/restore": "a person takes a record out of the recycle bin",
        "POST /_sim/records/{object}/{id}/merge": "a person merges records into this one: {\"losers\": [id]}",
        "POST /_sim/records/Lead/{id}/convert": "a person converts a lead into an account and a contact",
        "GET /_sim/duplicates/{object}/{field}": "records that share a value; sharing 0 proves nothing was doubled",
        "GET, PUT /_sim/faults": "faults in force",
        "GET, POST /_sim/clock": "the simulated time; {\"advance_ms\": n} lets it jump forward",
        "POST /_sim/end_sessions": "ends all sessions now",
        "POST /_sim/end_streams": "ends all streams of events now",
        "POST /_sim/close_cursors": "closes all query cursors now",
        "POST /_sim/reset": "forgets records, custom fields, sessions, counters and run-time faults",
    }))
}

fn body<T: serde::de::DeserializeOwned>(call: &Call) -> Result<T, Refusal> {
    serde_json::from_slice(&call.body).map_err(Refusal::parser)
}

fn to_reply<T: serde::Serialize>(value: &T) -> Answer {
    match serde_json::to_value(value) {
        Ok(value) => Ok(Reply::read(value)),
        Err(error) => Err(Refusal::new(500, "UNKNOWN_EXCEPTION", error.to_string())),
    }
}

fn records(sim: &Sim, call: &Call, method: &Method, object: &str, path: &[&str]) -> Answer {
    let mut world = sim.world();
    let (number, _) = world.schema.find(object).ok_or_else(Refusal::not_found)?;
    let faults = sim.faults();
    let pen = Pen {
        actor: Actor::Person,
        now: sim.clock.now_ms(),
        allow_duplicates: true,
        config: &sim.config,
        faults: &faults,
        chance: &sim.chance,
    };
    let id = |world: &World, text: &str| world.live(number, text).map(|row| row.id);
    match (method, path) {
        (&Method::GET, []) => list(&world, call, number),
        (&Method::POST, []) => create(&mut world, &pen, call, number),
        (&Method::PATCH, [text]) => {
            let (id, change) = (id(&world, text)?, body::<Change>(call)?);
            write::write(&mut world, &pen, number, Some(id), &change.values)?;
            Ok(Reply::done())
        }
        (&Method::DELETE, [text]) => {
            let id = id(&world, text)?;
            write::delete(&mut world, &pen, number, id)?;
            Ok(Reply::done())
        }
        (&Method::POST, [text, "restore"]) => {
            let id = RecordId::parse(text).ok_or_else(Refusal::not_found)?;
            write::restore(&mut world, &pen, number, id)?;
            Ok(Reply::done())
        }
        (&Method::POST, [text, "merge"]) => {
            let (winner, losers) = (id(&world, text)?, body::<Losers>(call)?.losers);
            let losers = losers.iter().map(|text| id(&world, text)).collect::<Result<Vec<_>, _>>()?;
            people::merge(&mut world, &pen, number, winner, &losers)?;
            Ok(Reply::done())
        }
        (&Method::POST, [text, "convert"]) if object == "Lead" => {
            let id = id(&world, text)?;
            let (account, contact) = people::convert(&mut world, &pen, id)?;
            Ok(Reply::wrote(200, json!({"accountId": account.to_string(), "contactId": contact.to_string()})))
        }
        _ => Err(Refusal::not_found()),
    }
}

fn list(world: &World, call: &Call, number: ObjectNo) -> Answer {
    let after = call.query.get("after").and_then(RecordId::parse);
    let limit: usize = call.query.get("limit").and_then(|text| text.parse().ok()).unwrap_or(1_000);
    let table = world.table(number).ok_or_else(Refusal::not_found)?;
    let mut rows = table.after(after);
    let results: Vec<Record> = rows.by_ref().take(limit).map(|row| world.export(number, row)).collect();
    let next = rows.next().and(results.last()).map(|record| record.id.clone());
    to_reply(&json!({"results": results, "next": next}))
}

fn create(world: &mut World, pen: &Pen<'_>, call: &Call, number: ObjectNo) -> Answer {
    let new: NewRecords = body(call)?;
    let mark = world.mark();
    let made: Result<Vec<String>, Refusal> =
        new.records.iter().map(|values| Ok(write::write(world, pen, number, None, values)?.to_string())).collect();
    match made {
        Ok(ids) => {
            world.keep(&mark);
            Ok(Reply::wrote(201, json!({"ids": ids})))
        }
        Err(refusal) => {
            world.roll_back(mark);
            Err(refusal)
        }
    }
}
