//! Endpoints for one record: create, read, change, archive, list, merge, delete for good.
//! May touch: the world, one lock at a time. Must not touch: sockets, faults.

use super::Sim;
use super::error::{Answer, Refusal, Reply};
use super::object::{Object, association_type};
use super::request::Call;
use super::view;
use super::world::{Claims, Link, Source, World};
use http::Method;
use serde::{Deserialize, Deserializer};
use serde_json::{Map, Value, json};

/// A record to make.
#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct NewRecord {
    pub(super) properties: Map<String, Value>,
    #[serde(default)]
    pub(super) associations: Vec<NewLink>,
    #[serde(default)]
    pub(super) object_write_trace_id: Option<String>,
}

/// An association asked for while creating.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct NewLink {
    to: Target,
    types: Vec<LinkType>,
}

#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
struct Target {
    #[serde(deserialize_with = "text_or_number")]
    id: String,
}

/// An association type as clients send it.
#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct LinkType {
    pub(super) association_category: String,
    pub(super) association_type_id: u16,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Change {
    properties: Map<String, Value>,
    #[serde(default, rename = "objectWriteTraceId")]
    _object_write_trace_id: Option<String>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Merge {
    primary_object_id: String,
    object_id_to_merge: String,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Erase {
    object_id: String,
    #[serde(default)]
    id_property: Option<String>,
}

/// Text, or a number taken as its digits.
pub(super) fn text_or_number<'de, D: Deserializer<'de>>(from: D) -> Result<String, D::Error> {
    match Value::deserialize(from)? {
        Value::String(text) => Ok(text),
        Value::Number(number) => Ok(number.to_string()),
        _ => Err(serde::de::Error::custom("expected a string or a number")),
    }
}

/// Serves `…/{object}` and `…/{object}/{id}`.
pub(super) fn serve(sim: &Sim, call: &Call, object: Object, path: &[&str]) -> Answer {
    let now = sim.clock.now_ms();
    let mut world = sim.world();
    match (&call.method, path) {
        (&Method::GET, []) => list(&world, call, object),
        (&Method::POST, []) => create(&mut world, call, object, now),
        (&Method::POST, ["merge"]) if object == Object::Contacts => {
            merge(&mut world, call, sim.config.flags.merge_creates_new_id, now)
        }
        (&Method::POST, ["gdpr-delete"]) if object == Object::Contacts => erase(&mut world, call, now),
        (&Method::GET, [key]) => read(&world, call, object, key),
        (&Method::PATCH, [key]) => change(&mut world, call, object, key, now),
        (&Method::DELETE, [key]) => archive(&mut world, object, key, now),
        _ => Err(Refusal::no_such_path()),
    }
}

fn create(world: &mut World, call: &Call, object: Object, now: i64) -> Answer {
    let new: NewRecord = call.json()?;
    let links = links(object, &new.associations)?;
    let draft = world.prepare(object, None, &new.properties, links, &mut Claims::new())?;
    let id = world.apply(object, draft, now, Source::Integration);
    let row = world.row(object, id).ok_or_else(Refusal::not_found)?;
    Ok(Reply::wrote(201, Some(view::written(world, object, row))))
}

/// The links that an association list asks for. The type id tells the other object type.
pub(super) fn links(from: Object, asked: &[NewLink]) -> Result<Vec<Link>, Refusal> {
    let mut links = Vec::new();
    for link in asked {
        if link.types.is_empty() {
            return Err(Refusal::validation("Each association needs at least one type."));
        }
        for kind in &link.types {
            links.push(resolve_link(from, kind, &link.to.id)?);
        }
    }
    Ok(links)
}

fn resolve_link(from: Object, kind: &LinkType, id: &str) -> Result<Link, Refusal> {
    let type_id = kind.association_type_id;
    let to = Object::ALL.into_iter().find(|to| association_type(from, *to) == Some(type_id));
    match (kind.association_category.as_str(), to, id.parse()) {
        ("HUBSPOT_DEFINED", Some(to), Ok(id)) => Ok((to, id, type_id)),
        _ => {
            let message =
                format!("{} {type_id} is not an association type of {}.", kind.association_category, from.name());
            Err(Refusal::validation(message))
        }
    }
}

fn list(world: &World, call: &Call, object: Object) -> Answer {
    refuse_history(call)?;
    let limit = page_size(call.query.get("limit"), 10, 100)?;
    let after = match call.query.get("after") {
        None | Some("") => 0,
        Some(text) => text.parse::<u64>().map_err(|_| Refusal::validation("after is not a paging cursor."))?,
    };
    let table = world.table(object);
    let rows = if call.query.get("archived") == Some("true") { &table.archived } else { &table.live };
    let associations = asked_associations(call)?;
    let asked = call.query.list("properties");
    let mut page = rows.range(after.saturating_add(1)..).map(|(_, row)| row);
    let results: Vec<(u64, Value)> = page
        .by_ref()
        .take(limit)
        .map(|row| {
            let mut view = view::record(world, object, row, &asked);
            view::add_associations(&mut view, object, row, &associations);
            (row.id, view)
        })
        .collect();
    let next = page.next().and(results.last()).map(|(id, _)| id.to_string());
    let results: Vec<Value> = results.into_iter().map(|(_, view)| view).collect();
    let mut body = json!({"results": results});
    if let (Some(after), Some(fields)) = (next, body.as_object_mut()) {
        fields.insert("paging".to_owned(), json!({"next": {"after": after, "link": format!("?after={after}")}}));
    }
    Ok(Reply::read(body))
}

/// A page size between 1 and `most`.
pub(super) fn page_size(given: Option<&str>, default: usize, most: usize) -> Result<usize, Refusal> {
    let Some(given) = given else { return Ok(default) };
    match given.parse::<usize>() {
        Ok(size) if (1..=most).contains(&size) => Ok(size),
        _ => Err(Refusal::validation(format!("limit must be a number between 1 and {most}."))),
    }
}

fn asked_associations(call: &Call) -> Result<Vec<Object>, Refusal> {
    let names = call.query.list("associations");
    let unknown = || Refusal::validation("associations names an object type that is not simulated.");
    names.iter().map(|name| Object::parse(name).ok_or_else(unknown)).collect()
}

fn refuse_history(call: &Call) -> Result<(), Refusal> {
    if call.query.list("propertiesWithHistory").is_empty() {
        return Ok(());
    }
    Err(Refusal::not_simulated("Property history"))
}

fn read(world: &World, call: &Call, object: Object, key: &str) -> Answer {
    refuse_history(call)?;
    let row = if call.query.get("archived") == Some("true") {
        key.parse().ok().and_then(|id: u64| world.table(object).archived.get(&id))
    } else {
        world.find(object, key, call.query.get("idProperty"))?.and_then(|id| world.row(object, id))
    };
    let row = row.ok_or_else(Refusal::not_found)?;
    let mut view = view::record(world, object, row, &call.query.list("properties"));
    view::add_associations(&mut view, object, row, &asked_associations(call)?);
    Ok(Reply::read(view))
}

fn change(world: &mut World, call: &Call, object: Object, key: &str, now: i64) -> Answer {
    let change: Change = call.json()?;
    let id = world.find(object, key, call.query.get("idProperty"))?.ok_or_else(Refusal::not_found)?;
    let draft = world.prepare(object, Some(id), &change.properties, Vec::new(), &mut Claims::new())?;
    world.apply(object, draft, now, Source::Integration);
    let row = world.row(object, id).ok_or_else(Refusal::not_found)?;
    Ok(Reply::wrote(200, Some(view::written(world, object, row))))
}

fn archive(world: &mut World, object: Object, key: &str, now: i64) -> Answer {
    let id = key.parse().map_err(|_| Refusal::not_found())?;
    if world.archive(object, id, now, Source::Integration) {
        Ok(Reply::wrote(204, None))
    } else {
        Err(Refusal::not_found())
    }
}

fn merge(world: &mut World, call: &Call, new_id: bool, now: i64) -> Answer {
    let merge: Merge = call.json()?;
    let object = Object::Contacts;
    let primary = world.find(object, &merge.primary_object_id, None)?.ok_or_else(Refusal::not_found)?;
    let loser = world.find(object, &merge.object_id_to_merge, None)?.ok_or_else(Refusal::not_found)?;
    let id = world
        .merge(primary, loser, new_id, now)
        .ok_or_else(|| Refusal::validation("A record cannot be merged with itself."))?;
    let row = world.row(object, id).ok_or_else(Refusal::not_found)?;
    Ok(Reply::wrote(200, Some(view::written(world, object, row))))
}

fn erase(world: &mut World, call: &Call, now: i64) -> Answer {
    let erase: Erase = call.json()?;
    let object = Object::Contacts;
    let id = match erase.id_property.as_deref() {
        None => erase.object_id.parse().ok(),
        property => world.find(object, &erase.object_id, property)?,
    };
    if id.is_some_and(|id| world.purge(object, id, now)) {
        Ok(Reply::wrote(204, None))
    } else {
        Err(Refusal::not_found())
    }
}
