//! Endpoints for property definitions and property groups.
//! May touch: the world's schema. Must not touch: records.

use super::Sim;
use super::batch;
use super::error::{Answer, Refusal, Reply};
use super::object::Object;
use super::request::Call;
use super::schema::{NewProperty, PropertyChange, no_such_property};
use super::world::World;
use http::Method;
use serde::Deserialize;
use serde_json::{Value, json};

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct NewGroup {
    name: String,
    label: String,
    #[serde(default, rename = "displayOrder")]
    _display_order: Option<i64>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Batch {
    inputs: Vec<NewProperty>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct BatchRead {
    inputs: Vec<Name>,
    #[serde(default, rename = "archived")]
    _archived: bool,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Name {
    name: String,
}

/// Serves `/crm/properties/{version}/{object}…`.
pub(super) fn serve(sim: &Sim, call: &Call) -> Answer {
    let path = call.path();
    let (object, path) = match path.split_first() {
        Some((name, path)) => (Object::parse(name).ok_or_else(Refusal::no_such_path)?, path),
        None => return Err(Refusal::no_such_path()),
    };
    let now = sim.clock.now_ms();
    let mut world = sim.world();
    match (&call.method, path) {
        (&Method::GET, []) => {
            let results: Vec<Value> = world.schema.of(object).map(|p| p.view()).collect();
            Ok(Reply::read(json!({"results": results})))
        }
        (&Method::POST, []) => {
            let new: NewProperty = call.json()?;
            let view = create(sim, &mut world, object, new, now)?;
            Ok(Reply::wrote(201, Some(view)))
        }
        (&Method::GET, ["groups"]) => {
            Ok(Reply::read(json!({"results": world.schema.groups(object).collect::<Vec<_>>()})))
        }
        (&Method::POST, ["groups"]) => {
            let new: NewGroup = call.json()?;
            Ok(Reply::wrote(201, Some(world.schema.create_group(object, &new.name, &new.label)?)))
        }
        (&Method::POST, ["batch", "create"]) => create_batch(sim, &mut world, object, call.json()?, now),
        (&Method::POST, ["batch", "read"]) => read_batch(&mut world, object, call.json()?, now),
        (&Method::GET, [name]) => {
            let property = world.schema.get(object, name).ok_or_else(no_such_property)?;
            Ok(Reply::read(property.view()))
        }
        (&Method::PATCH, [name]) => {
            let change: PropertyChange = call.json()?;
            Ok(Reply::wrote(200, Some(world.schema.change(object, name, change, now)?.view())))
        }
        _ => Err(Refusal::no_such_path()),
    }
}

fn create(sim: &Sim, world: &mut World, object: Object, new: NewProperty, now: i64) -> Result<Value, Refusal> {
    if object == Object::Communications && !sim.config.flags.communications_custom_properties {
        return Err(Refusal::validation("This object type does not take custom properties."));
    }
    Ok(world.schema.create(object, new, &sim.config.limits, now)?.view())
}

fn create_batch(sim: &Sim, world: &mut World, object: Object, batch: Batch, now: i64) -> Answer {
    check_size(batch.inputs.len())?;
    let (mut results, mut errors) = (Vec::new(), Vec::new());
    for new in batch.inputs {
        match create(sim, world, object, new, now) {
            Ok(view) => results.push(view),
            Err(refusal) => errors.push(refusal.row()),
        }
    }
    let wrote = !results.is_empty();
    Ok(batch::answer(world, results, errors, 201, wrote, now))
}

fn read_batch(world: &mut World, object: Object, read: BatchRead, now: i64) -> Answer {
    check_size(read.inputs.len())?;
    let (mut results, mut errors) = (Vec::new(), Vec::new());
    for input in read.inputs {
        match world.schema.get(object, &input.name) {
            Some(property) => results.push(property.view()),
            None => errors.push(no_such_property().with_context("name", vec![input.name]).row()),
        }
    }
    Ok(batch::answer(world, results, errors, 200, false, now))
}

fn check_size(inputs: usize) -> Result<(), Refusal> {
    if (1..=100).contains(&inputs) {
        return Ok(());
    }
    Err(Refusal::validation("A batch has between 1 and 100 inputs."))
}
