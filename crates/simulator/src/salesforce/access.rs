//! What the integration user may see and change: field-level security and object permissions.
//! May touch: permission records, to read them. Must not touch: them or others, to change them.
//! A new custom field is invisible to everyone until a permission set grants it, as after a real deployment; a required one is
//! always visible. What is invisible does not exist as far as the API tells.

use super::cell::Cell;
use super::config::Config;
use super::ids::RecordId;
use super::schema::ObjectNo;
use super::world::World;
use std::collections::{HashMap, HashSet};

/// The answers, worked out from the permission records.
#[derive(Debug)]
pub(super) struct Access {
    /// Fields with rules of their own: readable, editable. Others are both.
    fields: HashMap<(ObjectNo, u16), (bool, bool)>,
    /// Object types with rules of their own: read, create, edit, delete. Others are open.
    objects: HashMap<ObjectNo, [bool; 4]>,
    pub(super) stale: bool,
}

impl Default for Access {
    fn default() -> Self {
        Self { fields: HashMap::new(), objects: HashMap::new(), stale: true }
    }
}

/// What one wants to do with records of an object type.
#[derive(Debug, Clone, Copy)]
pub(super) enum Deed {
    Create = 1,
    Edit = 2,
    Delete = 3,
}

impl Access {
    pub(super) fn of(world: &World, config: &Config) -> Self {
        let mut access = Self { fields: HashMap::new(), objects: HashMap::new(), stale: false };
        let assigned = assigned(world);
        for (number, object) in world.schema.all() {
            for (field_no, field) in object.fields().filter(|(_, field)| field.custom && !field.required) {
                access.fields.insert((number, field_no), (false, false));
                let _ = field;
            }
            if object.custom && !config.flags.modify_all_data {
                access.objects.insert(number, [false; 4]);
            }
        }
        grants(world, &assigned, "FieldPermissions", |object, row| {
            let Some(Cell::Text(name)) = world.value(object, row, "Field") else { return };
            let Some((number, field_no)) = field_of(world, &name) else { return };
            let flag = |name| world.value(object, row, name) == Some(Cell::Bool(true));
            let (read, edit) = (flag("PermissionsRead"), flag("PermissionsEdit"));
            if let Some(entry) = access.fields.get_mut(&(number, field_no)) {
                *entry = (entry.0 || read || edit, entry.1 || edit);
            }
        });
        grants(world, &assigned, "ObjectPermissions", |object, row| {
            let Some(Cell::Text(name)) = world.value(object, row, "SobjectType") else { return };
            let Some((number, _)) = world.schema.find(&name) else { return };
            let Some(entry) = access.objects.get_mut(&number) else { return };
            for (slot, name) in entry.iter_mut().zip(["Read", "Create", "Edit", "Delete"]) {
                *slot |= world.value(object, row, &format!("Permissions{name}")) == Some(Cell::Bool(true));
            }
        });
        for (names, rule) in [(&config.hidden_fields, (false, false)), (&config.read_only_fields, (true, false))] {
            access.fields.extend(names.iter().filter_map(|name| field_of(world, name)).map(|place| (place, rule)));
        }
        access
    }

    pub(super) fn reads(&self, number: ObjectNo, field: u16) -> bool {
        self.fields.get(&(number, field)).is_none_or(|(read, _)| *read)
    }

    pub(super) fn edits(&self, number: ObjectNo, field: u16) -> bool {
        self.fields.get(&(number, field)).is_none_or(|(_, edit)| *edit)
    }

    pub(super) fn sees(&self, number: ObjectNo) -> bool {
        self.objects.get(&number).is_none_or(|[read, ..]| *read)
    }

    pub(super) fn may(&self, number: ObjectNo, deed: Deed) -> bool {
        self.objects.get(&number).is_none_or(|rights| rights.get(deed as usize) == Some(&true))
    }
}

fn field_of(world: &World, name: &str) -> Option<(ObjectNo, u16)> {
    let (object, field) = name.split_once('.')?;
    let (number, object) = world.schema.find(object)?;
    Some((number, object.number(field)?))
}

/// The permission sets of the integration user.
fn assigned(world: &World) -> HashSet<RecordId> {
    let mut sets = HashSet::new();
    let Some((number, _)) = world.schema.find("PermissionSetAssignment") else { return sets };
    for row in world.table(number).into_iter().flat_map(super::table::Table::rows) {
        let mine = world.value(number, row, "AssigneeId") == Some(Cell::Id(world.users.api));
        if let (true, None, Some(Cell::Id(set))) = (mine, row.deleted_at, world.value(number, row, "PermissionSetId")) {
            sets.insert(set);
        }
    }
    sets
}

fn grants(world: &World, sets: &HashSet<RecordId>, name: &str, mut take: impl FnMut(ObjectNo, &super::table::Row)) {
    let Some((number, _)) = world.schema.find(name) else { return };
    for row in world.table(number).into_iter().flat_map(super::table::Table::rows) {
        let parent = world.value(number, row, "ParentId");
        if row.deleted_at.is_none() && matches!(parent, Some(Cell::Id(set)) if sets.contains(&set)) {
            take(number, row);
        }
    }
}
