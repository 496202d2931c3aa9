//! How a record looks on the wire.
//! May touch: nothing; it reads the world. Must not touch: what is stored.

use super::clock::iso;
use super::object::{Object, type_entry};
use super::request::Generation;
use super::row::Row;
use serde_json::{Map, Value, json};
use std::collections::BTreeSet;

/// A record with the asked properties; asked ones without a value are null, unknown ones are left out.
pub(super) fn record(world: &super::world::World, object: Object, row: &Row, asked: &[String]) -> Value {
    let state = row.snapshot();
    let mut properties = Map::new();
    for name in object.defaults().iter().copied().chain(asked.iter().map(String::as_str)) {
        if world.schema.get(object, name).is_some() {
            properties.insert(name.to_owned(), json!(state.value(object, name)));
        }
    }
    let mut view = json!({
        "id": row.id.to_string(), "properties": properties, "archived": row.archived_at.is_some(),
        "createdAt": iso(row.created_at), "updatedAt": iso(state.updated_at),
    });
    if let (Some(at), Some(fields)) = (row.archived_at, view.as_object_mut()) {
        fields.insert("archivedAt".to_owned(), json!(iso(at)));
    }
    view
}

/// The answer to a write: everything that has a value.
pub(super) fn written(world: &super::world::World, object: Object, row: &Row) -> Value {
    let asked: Vec<String> = row.snapshot().values.keys().cloned().collect();
    record(world, object, row, &asked)
}

/// Adds `associations` to a record's view.
pub(super) fn add_associations(view: &mut Value, object: Object, row: &Row, asked: &[Object]) {
    let mut found = Map::new();
    for to in asked {
        let results: Vec<Value> =
            row.linked(*to).map(|(id, _)| json!({"id": id.to_string(), "type": type_name(object, *to)})).collect();
        if !results.is_empty() {
            found.insert(to.name().to_owned(), json!({"results": results}));
        }
    }
    if let Some(fields) = view.as_object_mut().filter(|_| !found.is_empty()) {
        fields.insert("associations".to_owned(), Value::Object(found));
    }
}

/// One entry of an association list.
pub(super) fn association(from: Object, to: Object, id: u64, types: &BTreeSet<u16>, how: Generation) -> Value {
    match how {
        Generation::V3 => json!({"id": id.to_string(), "type": type_name(from, to)}),
        Generation::V4 | Generation::Dated => {
            let types: Vec<Value> = types.iter().map(|type_id| type_entry(*type_id)).collect();
            json!({"toObjectId": id, "associationTypes": types})
        }
    }
}

fn type_name(from: Object, to: Object) -> String {
    format!("{}_to_{}", from.singular(), to.singular())
}
