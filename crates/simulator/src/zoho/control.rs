//! The simulator's own API under `/_sim/`: look, count, change the weather, act as a person who works in the CRM.
//! May touch: everything. Must not touch: the client's budget, but for `burn`; nothing here is authenticated or delayed.

use super::Sim;
use super::call::Call;
use super::config::Faults;
use super::error::{Answer, Refusal, Reply};
use super::row::Guard;
use super::stats;
use super::world::{ModuleNo, World};
use http::Method;
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::{Map, Value, json};

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct NewRecords {
    records: Vec<Map<String, Value>>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Change {
    #[serde(default)]
    fields: Map<String, Value>,
    /// `locked`, `blueprint`, `approval`, or null to lift it.
    #[serde(default, with = "double_option")]
    guard: Option<Option<String>>,
}

/// Tells an absent field from null.
mod double_option {
    use serde::{Deserialize, Deserializer};

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<Option<Option<String>>, D::Error> {
        Option::deserialize(from).map(Some)
    }
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Merge {
    master: String,
    losers: Vec<String>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Advance {
    advance_ms: u32,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Burn {
    credits: u32,
}

fn read<T: DeserializeOwned>(call: &Call) -> Result<T, Refusal> {
    T::deserialize(call.json()?).map_err(|error| Refusal::new(400, "INVALID_DATA", error.to_string()))
}

fn done() -> Answer {
    Ok(Reply::empty(204))
}

/// Serves `/_sim/…`.
pub(super) fn serve(sim: &Sim, call: &Call) -> Answer {
    let now = sim.clock.now_ms();
    match (&call.method, call.segments().as_slice()) {
        (&Method::GET, [] | [""]) => Ok(index()),
        (&Method::GET, ["stats"]) => to_reply(&stats::report(&mut sim.world(), now)),
        (&Method::GET, ["faults"]) => to_reply(&sim.faults()),
        (&Method::PUT, ["faults"]) => {
            let faults: Faults = read(call)?;
            if let Some(name) = faults.out_of_range() {
                return Err(Refusal::invalid(name, "$"));
            }
            sim.set_faults(faults);
            done()
        }
        (&Method::POST, ["reset"]) => {
            sim.reset();
            done()
        }
        (&Method::POST, ["expire_tokens"]) => {
            sim.world().auth.expire_all(now);
            done()
        }
        (&Method::POST, ["revoke_tokens"]) => {
            sim.world().auth.revoke_all();
            done()
        }
        (&Method::GET, ["clock"]) => Ok(Reply::read(json!({"now_ms": now}))),
        (&Method::POST, ["clock"]) => {
            sim.clock.advance(read::<Advance>(call)?.advance_ms);
            Ok(Reply::read(json!({"now_ms": sim.clock.now_ms()})))
        }
        (&Method::POST, ["burn"]) => {
            sim.world().budget.burn(read::<Burn>(call)?.credits, now);
            done()
        }
        (method, ["records", module, rest @ ..]) => {
            let no = sim.world().module_no(module).ok_or_else(|| Refusal::no_such_module(1))?;
            match (method, rest) {
                (&Method::GET, []) => records(sim, call, no),
                (&Method::POST, []) => create(sim, call, no, now),
                (&Method::PATCH, [id]) => change(sim, call, no, id, now),
                (&Method::DELETE, [id]) => delete(sim, call, no, id, now),
                _ => Err(Refusal::no_such_path()),
            }
        }
        (&Method::POST, ["merge", module]) => merge(sim, call, module, now),
        (&Method::GET, ["duplicates", module, field]) => {
            let world = sim.world();
            let found = world.module_no(module).and_then(|no| stats::duplicates(&world, no, field));
            to_reply(&found.ok_or_else(|| Refusal::no_such_module(1))?)
        }
        _ => Err(Refusal::no_such_path()),
    }
}

fn index() -> Reply {
    Reply::read(json!({
        "GET /_sim/stats": "counters, sizes, credits spent",
        "GET /_sim/records/{module}?after=&limit=": "live records by id",
        "POST /_sim/records/{module}": "a person makes records: {\"records\": [{field: value}]}, all at one time",
        "PATCH /_sim/records/{module}/{id}":
            "a person changes a record: {\"fields\": {}, \"guard\": \"locked\" | \"blueprint\" | \"approval\" | null}",
        "DELETE /_sim/records/{module}/{id}?permanent=true": "a person deletes a record, into the recycle bin or for good",
        "POST /_sim/merge/{module}": "a person merges records: {\"master\": id, \"losers\": [id]}",
        "GET /_sim/duplicates/{module}/{field}": "records that share a value; sharing 0 proves nothing was doubled",
        "GET, PUT /_sim/faults": "faults in force",
        "GET, POST /_sim/clock": "the simulated time; {\"advance_ms\": n} lets it jump",
        "POST /_sim/burn": "another app spends credits: {\"credits\": n}",
        "POST /_sim/expire_tokens": "ends all access tokens now",
        "POST /_sim/revoke_tokens": "a person disconnects the app: refresh tokens end too",
        "POST /_sim/reset": "forgets records, tokens, counters and run-time faults",
    }))
}

fn to_reply<T: serde::Serialize>(value: &T) -> Answer {
    match serde_json::to_value(value) {
        Ok(value) => Ok(Reply::read(value)),
        Err(error) => Err(Refusal::new(500, "INTERNAL_ERROR", error.to_string())),
    }
}

fn records(sim: &Sim, call: &Call, no: ModuleNo) -> Answer {
    let after: u64 = call.query.get("after").and_then(|text| text.parse().ok()).unwrap_or_default();
    let limit: usize = call.query.get("limit").and_then(|text| text.parse().ok()).unwrap_or(1_000);
    let world = sim.world();
    let store = world.store(no)?;
    let mut rows = store.table.by_id(Some(after), true);
    let results: Vec<super::Record> = rows.by_ref().take(limit).map(|row| super::export(&world, store, row)).collect();
    let next = rows.next().and(results.last()).map(|record| record.id.clone());
    to_reply(&json!({"records": results, "next": next}))
}

fn create(sim: &Sim, call: &Call, no: ModuleNo, now: i64) -> Answer {
    let new: NewRecords = read(call)?;
    let mut world = sim.world();
    let mut ids = Vec::with_capacity(new.records.len());
    for (n, fields) in new.records.iter().enumerate() {
        let draft = world.prepare(no, None, fields, &format!("$.records[{n}]"))?;
        let person = world.person();
        ids.push(world.apply(no, draft, person, now).to_string());
    }
    Ok(Reply::wrote(201, json!({"ids": ids})))
}

fn change(sim: &Sim, call: &Call, no: ModuleNo, id: &str, now: i64) -> Answer {
    let change: Change = read(call)?;
    let mut world = sim.world();
    let id = live(&world, no, id)?;
    if let Some(guard) = change.guard {
        let guard = match guard.as_deref() {
            None => None,
            Some("locked") => Some(Guard::Locked),
            Some("blueprint") => Some(Guard::Blueprint),
            Some("approval") => Some(Guard::Approval),
            Some(_) => return Err(Refusal::invalid("guard", "$.guard")),
        };
        world.guard(no, id, guard);
    }
    if !change.fields.is_empty() {
        let draft = world.prepare(no, Some(id), &change.fields, "$.fields")?;
        let person = world.person();
        world.apply(no, draft, person, now);
    }
    let store = world.store(no)?;
    let row = store.table.live.get(&id).ok_or_else(|| Refusal::no_such_id(2))?;
    to_reply(&super::export(&world, store, row))
}

fn live(world: &World, no: ModuleNo, id: &str) -> Result<u64, Refusal> {
    let id = id.parse::<u64>().ok().filter(|id| world.stores.get(no).is_some_and(|s| s.table.live.contains_key(id)));
    id.ok_or_else(|| Refusal::no_such_id(2))
}

fn delete(sim: &Sim, call: &Call, no: ModuleNo, id: &str, now: i64) -> Answer {
    let mut world = sim.world();
    let id = live(&world, no, id)?;
    let person = world.person();
    world.delete(no, id, person, now, call.query.get("permanent") == Some("true"));
    done()
}

fn merge(sim: &Sim, call: &Call, module: &str, now: i64) -> Answer {
    let merge: Merge = read(call)?;
    let mut world = sim.world();
    let no = world.module_no(module).ok_or_else(|| Refusal::no_such_module(1))?;
    let master = live(&world, no, &merge.master)?;
    let losers = merge.losers.iter().map(|id| live(&world, no, id)).collect::<Result<Vec<u64>, _>>()?;
    for loser in losers {
        let person = world.person();
        if !world.merge(no, master, loser, person, now) {
            return Err(Refusal::invalid("losers", "$.losers"));
        }
    }
    done()
}
