//! Endpoints for links between records: of one record, and in batches.
//! May touch: the world, one lock at a time. Must not touch: sockets.

use super::Sim;
use super::batch;
use super::error::{Answer, Refusal, Reply};
use super::object::{Object, association_type, type_entry};
use super::objects::{LinkType, page_size, text_or_number};
use super::request::{Call, Generation};
use super::view;
use super::world::World;
use http::Method;
use serde::Deserialize;
use serde_json::{Value, json};

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Id {
    #[serde(deserialize_with = "text_or_number")]
    id: String,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Pairs {
    inputs: Vec<Pair>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Pair {
    from: Id,
    to: Id,
    #[serde(default)]
    types: Vec<LinkType>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Archive {
    inputs: Vec<ArchivePair>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct ArchivePair {
    from: Id,
    to: Vec<Id>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Reads {
    inputs: Vec<Id>,
}

/// Serves `…/{object}/{id}/associations/…`.
pub(super) fn serve_one(sim: &Sim, call: &Call, from: Object, key: &str, path: &[&str]) -> Answer {
    let now = sim.clock.now_ms();
    let mut world = sim.world();
    let new_style = call.generation != Generation::V3;
    match (&call.method, path) {
        (&Method::GET, [to]) => list(&world, call, from, key, object(to)?),
        (&Method::PUT, ["default", to, id]) if new_style => {
            let (here, there, type_id) = ends(&world, from, object(to)?, key, id)?;
            world.link(here, there, type_id, now);
            Ok(Reply::wrote(200, Some(json!({"status": "COMPLETE", "results": both_ways(here, there)}))))
        }
        (&Method::PUT, [to, id]) if new_style => {
            let types: Vec<LinkType> = call.json()?;
            let (here, there, type_id) = ends(&world, from, object(to)?, key, id)?;
            check_types(&types, type_id)?;
            world.link(here, there, type_id, now);
            let body = json!({"fromObjectTypeId": from.name(), "fromObjectId": here.1, "toObjectTypeId": there.0.name(),
                              "toObjectId": there.1, "labels": []});
            Ok(Reply::wrote(201, Some(body)))
        }
        (&Method::DELETE, [to, id]) if new_style => {
            let (here, there, _) = ends(&world, from, object(to)?, key, id)?;
            world.unlink(here, there);
            Ok(Reply::wrote(204, None))
        }
        _ => Err(Refusal::no_such_path()),
    }
}

/// Serves `/crm/associations/{version}/{from}/{to}/batch/…`.
pub(super) fn serve_batch(sim: &Sim, call: &Call) -> Answer {
    let path = call.path();
    let (&Method::POST, [from, to, "batch", verb @ ..]) = (&call.method, path.as_slice()) else {
        return Err(Refusal::no_such_path());
    };
    let (from, to) = (object(from)?, object(to)?);
    match verb {
        ["read"] => read(sim, call, from, to),
        ["create"] if call.generation != Generation::V3 => create(sim, call, from, to, true),
        ["associate", "default"] if call.generation != Generation::V3 => create(sim, call, from, to, false),
        ["archive"] if call.generation != Generation::V3 => archive(sim, call, from, to),
        _ => Err(Refusal::no_such_path()),
    }
}

fn object(name: &str) -> Result<Object, Refusal> {
    Object::parse(name).ok_or_else(|| Refusal::validation(format!("Unable to infer object type from: {name}")))
}

type End = (Object, u64);

/// Both ends, live and linkable.
fn ends(world: &World, from: Object, to: Object, key: &str, other: &str) -> Result<(End, End, u16), Refusal> {
    let type_id = association_type(from, to)
        .ok_or_else(|| Refusal::validation(format!("{} cannot be associated with {}.", from.name(), to.name())))?;
    let here = world.find(from, key, None)?.ok_or_else(Refusal::not_found)?;
    let there = world.find(to, other, None)?.ok_or_else(Refusal::not_found)?;
    Ok(((from, here), (to, there), type_id))
}

fn check_types(types: &[LinkType], type_id: u16) -> Result<(), Refusal> {
    let right = |kind: &LinkType| kind.association_category == "HUBSPOT_DEFINED" && kind.association_type_id == type_id;
    if !types.is_empty() && types.iter().all(right) {
        return Ok(());
    }
    Err(Refusal::validation(format!("Only HUBSPOT_DEFINED {type_id} links these objects.")))
}

fn both_ways(here: End, there: End) -> Vec<Value> {
    [(here, there), (there, here)]
        .into_iter()
        .filter_map(|(a, b)| {
            let type_id = association_type(a.0, b.0)?;
            Some(json!({"from": {"id": a.1.to_string()}, "to": {"id": b.1.to_string()},
                        "associationSpec": {"associationCategory": "HUBSPOT_DEFINED", "associationTypeId": type_id}}))
        })
        .collect()
}

fn list(world: &World, call: &Call, from: Object, key: &str, to: Object) -> Answer {
    let limit = page_size(call.query.get("limit"), 500, 500)?;
    let after: u64 = call.query.get("after").and_then(|text| text.parse().ok()).unwrap_or_default();
    let id = world.find(from, key, None)?.ok_or_else(Refusal::not_found)?;
    let row = world.row(from, id).ok_or_else(Refusal::not_found)?;
    let mut page = row.linked(to).filter(|(id, _)| *id > after);
    let shown: Vec<(u64, Value)> = page
        .by_ref()
        .take(limit)
        .map(|(id, types)| (id, view::association(from, to, id, types, call.generation)))
        .collect();
    let next = page.next().and(shown.last()).map(|(id, _)| id.to_string());
    let results: Vec<Value> = shown.into_iter().map(|(_, view)| view).collect();
    Ok(Reply::read(match next {
        Some(after) => json!({"results": results, "paging": {"next": {"after": after}}}),
        None => json!({"results": results}),
    }))
}

fn sized<T>(inputs: Vec<T>, most: usize) -> Result<Vec<T>, Refusal> {
    if (1..=most).contains(&inputs.len()) {
        return Ok(inputs);
    }
    Err(Refusal::validation(format!("This batch has between 1 and {most} inputs.")))
}

fn read(sim: &Sim, call: &Call, from: Object, to: Object) -> Answer {
    let inputs = sized(call.json::<Reads>()?.inputs, 1_000)?;
    let mut world = sim.world();
    let (mut results, mut errors) = (Vec::new(), Vec::new());
    for input in inputs {
        let row = world.find(from, &input.id, None)?.and_then(|id| world.row(from, id));
        let links: Vec<Value> = row
            .into_iter()
            .flat_map(|row| row.linked(to))
            .map(|(id, types)| view::association(from, to, id, types, call.generation))
            .collect();
        if links.is_empty() {
            let message = format!("No {} is associated with {} {}.", to.name(), from.name(), input.id);
            errors.push(
                Refusal::new(404, "OBJECT_NOT_FOUND", message).with_context("fromObjectId", vec![input.id]).row(),
            );
        } else {
            results.push(json!({"from": {"id": input.id}, "to": links}));
        }
    }
    Ok(batch::answer(&mut world, results, errors, 200, false, sim.clock.now_ms()))
}

fn create(sim: &Sim, call: &Call, from: Object, to: Object, typed: bool) -> Answer {
    let inputs = sized(call.json::<Pairs>()?.inputs, 2_000)?;
    let now = sim.clock.now_ms();
    let mut world = sim.world();
    let (mut results, mut errors) = (Vec::new(), Vec::new());
    for pair in inputs {
        let checked = ends(&world, from, to, &pair.from.id, &pair.to.id).and_then(|(here, there, type_id)| {
            if typed {
                check_types(&pair.types, type_id)?;
            }
            Ok((here, there, type_id))
        });
        match checked {
            Ok((here, there, type_id)) => {
                world.link(here, there, type_id, now);
                results.push(json!({"from": {"id": pair.from.id}, "to": {"id": pair.to.id},
                                    "associationTypes": [type_entry(type_id)]}));
            }
            Err(refusal) => errors.push(refusal.with_context("fromObjectId", vec![pair.from.id]).row()),
        }
    }
    let wrote = !results.is_empty();
    Ok(batch::answer(&mut world, results, errors, 201, wrote, now))
}

fn archive(sim: &Sim, call: &Call, from: Object, to: Object) -> Answer {
    let inputs = sized(call.json::<Archive>()?.inputs, 100)?;
    let mut world = sim.world();
    for pair in inputs {
        for other in pair.to {
            if let Ok((here, there, _)) = ends(&world, from, to, &pair.from.id, &other.id) {
                world.unlink(here, there);
            }
        }
    }
    Ok(Reply::wrote(204, None))
}
