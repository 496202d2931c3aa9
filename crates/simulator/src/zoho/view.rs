//! How a record looks on the wire.
//! May touch: nothing; it reads the world. Must not touch: what is stored.

use super::row::{Row, Snapshot};
use super::schema::{Field, FieldNo, Kind, Module, System};
use super::time;
use super::world::{Store, World};
use serde_json::{Map, Value, json};

/// A record with the asked fields, or with all; a field without a value is null.
pub(super) fn record(world: &World, store: &Store, state: Snapshot<'_>, asked: Option<&[FieldNo]>) -> Value {
    let mut view = Map::new();
    view.insert("id".to_owned(), json!(state.row.id.to_string()));
    let mut show = |number: FieldNo, field: &Field| {
        view.insert(field.api_name.to_string(), value(world, store, state, number, field));
    };
    match asked {
        Some(asked) => asked.iter().filter_map(|n| Some((*n, store.module.field(*n)?))).for_each(|(n, f)| show(n, f)),
        None => {
            store.module.live().for_each(|(n, f)| show(n, f));
            for (name, flag) in [("$editable", true), ("$approved", true), ("$converted", state.row.converted)] {
                view.insert(name.to_owned(), json!(flag));
            }
            view.insert("$state".to_owned(), json!("save"));
        }
    }
    Value::Object(view)
}

/// One value of a record.
pub(super) fn value(world: &World, store: &Store, state: Snapshot<'_>, number: FieldNo, field: &Field) -> Value {
    let row = state.row;
    match field.system {
        Some(System::Id) => json!(row.id.to_string()),
        Some(System::Owner) => user(world, row.owner, true),
        Some(System::CreatedBy) => user(world, row.created_by, true),
        Some(System::ModifiedBy) => user(world, row.modified_by, true),
        Some(System::CreatedTime) => json!(time::iso(row.created_at, world.offset)),
        Some(System::ModifiedTime) => json!(time::iso(state.modified_at, world.offset)),
        Some(System::FullName) => json!(full_name(&store.module, state)),
        Some(System::Tag) => super::tags::of_record(world, &store.module.api_name, &row.tags),
        None => match (state.values.get(number), field.kind) {
            (None, Kind::Boolean) => json!(false),
            (None, _) => Value::Null,
            (Some(value), Kind::DateTime) => json!(time::iso(value.as_i64().unwrap_or_default(), world.offset)),
            (Some(value), Kind::Lookup | Kind::Parent) => reference(world, field, value.as_u64().unwrap_or_default()),
            (Some(value), Kind::Owner) => user(world, value.as_u64().unwrap_or_default(), false),
            (Some(value), _) => value.clone(),
        },
    }
}

fn reference(world: &World, field: &Field, id: u64) -> Value {
    let no = match field.kind {
        Kind::Parent => world.home_of(id),
        _ => field.target.as_deref().and_then(|name| world.module_no(name)),
    };
    let store = no.and_then(|no| world.stores.get(no));
    let name = store.and_then(|store| Some(display_name(store, store.table.live.get(&id)?)));
    let mut view = json!({"name": name, "id": id.to_string()});
    if let (Kind::Parent, Some(store), Some(fields)) = (field.kind, store, view.as_object_mut()) {
        let module = json!({"api_name": &*store.module.api_name, "id": store.module.id.to_string()});
        fields.insert("module".to_owned(), module);
    }
    view
}

pub(super) fn user(world: &World, id: u64, with_email: bool) -> Value {
    match world.user(id) {
        Some(user) if with_email => json!({"name": user.name, "id": id.to_string(), "email": user.email}),
        Some(user) => json!({"name": user.name, "id": id.to_string()}),
        None => Value::Null,
    }
}

/// What names a record where others point to it.
pub(super) fn display_name(store: &Store, row: &Row) -> String {
    if store.module.has_full_name() {
        return full_name(&store.module, row.snapshot());
    }
    let name = store.module.number(&store.module.display).and_then(|number| row.get(number)).and_then(Value::as_str);
    name.unwrap_or_default().to_owned()
}

/// First and last name.
pub(super) fn full_name(module: &Module, state: Snapshot<'_>) -> String {
    let part = |name: &str| module.number(name).and_then(|n| state.values.get(n)).and_then(Value::as_str);
    let parts: Vec<&str> = [part("First_Name"), part("Last_Name")].into_iter().flatten().collect();
    parts.join(" ")
}

/// `details` of a row that was written.
pub(super) fn written(world: &World, row: &Row) -> Value {
    json!({
        "Modified_Time": time::iso(row.modified_at(), world.offset), "Modified_By": user(world, row.modified_by, false),
        "Created_Time": time::iso(row.created_at, world.offset), "id": row.id.to_string(),
        "Created_By": user(world, row.created_by, false), "$approval_state": "approved",
    })
}
