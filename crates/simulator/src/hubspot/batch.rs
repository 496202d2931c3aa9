//! Batch endpoints: up to a hundred rows, each with its own outcome.
//! May touch: the world, one lock at a time. Must not touch: sockets.
//! Failure story: a write whose inputs all carry `objectWriteTraceId` fails row by row (207, `numErrors`, `errors`);
//! without the ids one bad row refuses the whole batch and nothing is applied. A row that names no record (update,
//! read) is reported by itself either way.

use super::Sim;
use super::clock::iso;
use super::config::Faults;
use super::error::{Answer, Refusal, Reply};
use super::object::Object;
use super::objects::{NewRecord, links, text_or_number};
use super::request::Call;
use super::view;
use super::world::{Claims, Draft, Link, Source, World};
use serde::Deserialize;
use serde_json::{Map, Value, json};
use std::collections::HashSet;

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Inputs<T> {
    inputs: Vec<T>,
}

/// A row of an update or an upsert.
#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Keyed {
    #[serde(deserialize_with = "text_or_number")]
    id: String,
    #[serde(default)]
    id_property: Option<String>,
    properties: Map<String, Value>,
    #[serde(default)]
    object_write_trace_id: Option<String>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Key {
    #[serde(deserialize_with = "text_or_number")]
    id: String,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Read {
    inputs: Vec<Key>,
    #[serde(default)]
    properties: Vec<String>,
    #[serde(default)]
    properties_with_history: Vec<String>,
    #[serde(default)]
    id_property: Option<String>,
}

/// One row on its way: checked or refused, and what its answer has to show.
struct Row {
    outcome: Result<Draft, Refusal>,
    trace: Option<String>,
    key: Option<String>,
}

/// Serves `…/{object}/batch/{verb}`.
pub(super) fn serve(sim: &Sim, call: &Call, object: Object, verb: &str) -> Answer {
    match verb {
        "create" => create(sim, call, object),
        "update" => keyed(sim, call, object, false),
        "upsert" => keyed(sim, call, object, true),
        "read" => read(sim, call, object),
        "archive" => archive(sim, call, object),
        _ => Err(Refusal::no_such_path()),
    }
}

fn sized<T>(sim: &Sim, inputs: Vec<T>, most: usize) -> Result<Vec<T>, Refusal> {
    let most = most.min(sim.config.limits.batch);
    if (1..=most).contains(&inputs.len()) {
        return Ok(inputs);
    }
    Err(Refusal::validation(format!("A batch has between 1 and {most} inputs, this one has {}.", inputs.len())))
}

fn create(sim: &Sim, call: &Call, object: Object) -> Answer {
    let inputs = sized(sim, call.json::<Inputs<NewRecord>>()?.inputs, usize::MAX)?;
    let faults = sim.faults();
    let mut world = sim.world();
    let mut claims = Claims::new();
    let rows = inputs
        .into_iter()
        .map(|new| {
            let outcome = chance_of_failure(sim, &faults)
                .and_then(|()| links(object, &new.associations))
                .and_then(|links| world.prepare(object, None, &new.properties, links, &mut claims));
            Row { outcome, trace: new.object_write_trace_id, key: None }
        })
        .collect();
    finish(sim, &mut world, object, rows, false)
}

fn keyed(sim: &Sim, call: &Call, object: Object, upsert: bool) -> Answer {
    let inputs = sized(sim, call.json::<Inputs<Keyed>>()?.inputs, usize::MAX)?;
    refuse_repeated(inputs.iter().map(|input| (input.id_property.as_deref(), input.id.as_str())))?;
    let faults = sim.faults();
    let mut world = sim.world();
    let mut claims = Claims::new();
    let rows = inputs
        .into_iter()
        .map(|input| {
            let outcome = chance_of_failure(sim, &faults).and_then(|()| match upsert {
                true => prepare_upsert(&world, object, &input, &mut claims),
                false => prepare_update(&world, object, &input, &mut claims),
            });
            Row { outcome, trace: input.object_write_trace_id, key: Some(input.id) }
        })
        .collect();
    finish(sim, &mut world, object, rows, upsert)
}

fn refuse_repeated<'a>(keys: impl Iterator<Item = (Option<&'a str>, &'a str)>) -> Result<(), Refusal> {
    let mut seen = HashSet::new();
    for key in keys {
        if !seen.insert(key) {
            return Err(Refusal::validation("Duplicate IDs found in batch input. IDs must be unique."));
        }
    }
    Ok(())
}

fn prepare_update(world: &World, object: Object, input: &Keyed, claims: &mut Claims) -> Result<Draft, Refusal> {
    let id = world.find(object, &input.id, input.id_property.as_deref())?.ok_or_else(Refusal::not_found)?;
    world.prepare(object, Some(id), &input.properties, Vec::<Link>::new(), claims)
}

fn prepare_upsert(world: &World, object: Object, input: &Keyed, claims: &mut Claims) -> Result<Draft, Refusal> {
    let property = input.id_property.as_deref().filter(|p| *p != "hs_object_id");
    let property = property.ok_or_else(|| Refusal::validation("An upsert needs a unique property as idProperty."))?;
    let target = world.find(object, &input.id, Some(property))?;
    let mut properties = input.properties.clone();
    if target.is_none() {
        // The key becomes a value of the new record even when it is not repeated among the properties.
        properties.entry(property).or_insert_with(|| json!(input.id));
    }
    world.prepare(object, target, &properties, Vec::new(), claims)
}

/// The injected row faults.
fn chance_of_failure(sim: &Sim, faults: &Faults) -> Result<(), Refusal> {
    if sim.chance.happens(faults.row_failure) {
        return Err(Refusal::new(500, "INTERNAL_ERROR", "This row could not be written. Try again."));
    }
    if sim.chance.happens(faults.row_rejection) {
        return Err(Refusal::validation("A validation rule of this account rejected the row."));
    }
    Ok(())
}

/// Applies what can be applied and answers 200/201, or 207 when some rows failed.
fn finish(sim: &Sim, world: &mut World, object: Object, rows: Vec<Row>, upsert: bool) -> Answer {
    let now = sim.clock.now_ms();
    let creating = rows.iter().all(|row| row.key.is_none());
    let traced = rows.iter().all(|row| row.trace.as_deref().is_some_and(|t| !t.is_empty()));
    if !traced {
        let fatal = rows.iter().filter_map(|row| row.outcome.as_ref().err()).find(|refusal| refusal.status != 404);
        if let Some(refusal) = fatal {
            return Err(refusal.clone());
        }
    }
    let (mut results, mut errors) = (Vec::new(), Vec::new());
    for row in rows {
        match row.outcome {
            Ok(draft) => {
                let new = draft.target.is_none();
                let id = world.apply(object, draft, now, Source::Integration);
                let Some(stored) = world.row(object, id) else { continue };
                let mut view = view::written(world, object, stored);
                if let Some(fields) = view.as_object_mut() {
                    if upsert {
                        fields.insert("new".to_owned(), json!(new));
                    }
                    if let Some(trace) = row.trace {
                        fields.insert("objectWriteTraceId".to_owned(), json!(trace));
                    }
                }
                results.push(view);
            }
            Err(mut refusal) => {
                if let Some(trace) = row.trace {
                    refusal = refusal.with_context("objectWriteTraceId", vec![trace]);
                }
                if let Some(key) = row.key {
                    refusal = refusal.with_context("ids", vec![key]);
                }
                errors.push(refusal.row());
            }
        }
    }
    let wrote = !results.is_empty();
    if sim.config.flags.shuffle_batch_results {
        shuffle(sim, &mut results);
    }
    let whole = if creating { 201 } else { 200 };
    Ok(answer(world, results, errors, whole, wrote, now))
}

fn shuffle(sim: &Sim, results: &mut [Value]) {
    for end in (1..results.len()).rev() {
        results.swap(end, sim.chance.below(end + 1));
    }
}

/// The common body of batch answers.
pub(super) fn answer(
    world: &mut World,
    results: Vec<Value>,
    errors: Vec<Value>,
    whole: u16,
    wrote: bool,
    now: i64,
) -> Reply {
    let mut body = json!({"status": "COMPLETE", "results": results, "startedAt": iso(now), "completedAt": iso(now)});
    let failed = errors.len();
    world.tally.row_errors += failed as u64;
    if let Some(fields) = body.as_object_mut().filter(|_| failed > 0) {
        fields.insert("numErrors".to_owned(), json!(failed));
        fields.insert("errors".to_owned(), Value::Array(errors));
    }
    Reply { status: if failed > 0 { 207 } else { whole }, body: Some(body), location: None, wrote }
}

fn read(sim: &Sim, call: &Call, object: Object) -> Answer {
    let read: Read = call.json()?;
    // History halves the batch; the values themselves are not kept.
    let most = if read.properties_with_history.is_empty() { usize::MAX } else { 50 };
    let inputs = sized(sim, read.inputs, most)?;
    if !read.properties_with_history.is_empty() {
        return Err(Refusal::not_simulated("Property history"));
    }
    let mut world = sim.world();
    let (mut results, mut missing) = (Vec::new(), Vec::new());
    let mut seen = HashSet::new();
    for key in inputs {
        match world.find(object, &key.id, read.id_property.as_deref())?.and_then(|id| world.row(object, id)) {
            Some(row) if seen.insert(row.id) => results.push(view::record(&world, object, row, &read.properties)),
            Some(_) => {}
            None => missing.push(key.id),
        }
    }
    let errors: Vec<Value> = missing
        .into_iter()
        .map(|id| {
            let message = "Could not get some objects, they may be deleted or not exist. Check that ids are valid.";
            Refusal::new(404, "OBJECT_NOT_FOUND", message).with_context("ids", vec![id]).row()
        })
        .collect();
    Ok(answer(&mut world, results, errors, 200, false, sim.clock.now_ms()))
}

fn archive(sim: &Sim, call: &Call, object: Object) -> Answer {
    let inputs = sized(sim, call.json::<Inputs<Key>>()?.inputs, usize::MAX)?;
    let now = sim.clock.now_ms();
    let mut world = sim.world();
    for key in inputs {
        if let Ok(id) = key.id.parse() {
            world.archive(object, id, now, Source::Integration);
        }
    }
    Ok(Reply::wrote(204, None))
}
