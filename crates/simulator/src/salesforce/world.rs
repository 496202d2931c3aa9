//! All records of the simulated org, and the one way in which they change.
//! May touch: tables, the search queue. Must not touch: sockets, the clock (time is passed in).
//! Failure story: every change goes through `put`, which a mark can undo. What belongs together (a collection or a composite
//! call that is all or none) is put back whole when one part is refused.

use super::access::Access;
use super::auth::Auth;
use super::builtin;
use super::bulk::Jobs;
use super::cell::Cell;
use super::changes::Log;
use super::config::Config;
use super::cursors::Cursors;
use super::error::Refusal;
use super::ids::RecordId;
use super::index::SearchIndex;
use super::limits::Limiter;
use super::metadata::Deployments;
use super::schema::{Field, ObjectNo, SObject, Schema};
use super::stats::Tally;
use super::table::{Actor, Row, Table, Users};
use std::collections::HashMap;

/// What most records take of the storage.
const RECORD_BYTES: u64 = 2_048;

/// Everything the org holds.
#[derive(Debug)]
pub(super) struct World {
    pub(super) schema: Schema,
    tables: Vec<Table>,
    pub(super) access: Access,
    pub(super) auth: Auth,
    pub(super) limiter: Limiter,
    pub(super) tally: Tally,
    pub(super) cursors: Cursors,
    pub(super) search: SearchIndex,
    pub(super) jobs: Jobs,
    pub(super) deployments: Deployments,
    pub(super) changes: Log,
    pub(super) users: Users,
    pub(super) org: RecordId,
    /// The permission set that is assigned to the integration user from the start.
    pub(super) permission_set: RecordId,
    undo: Option<Vec<(ObjectNo, RecordId, Option<Row>)>>,
}

/// A point that can be gone back to.
#[derive(Debug)]
pub(super) struct Mark {
    at: usize,
    outermost: bool,
    /// Events told of until then.
    events: u64,
    tally: Tally,
}

impl World {
    pub(super) fn new(config: &Config, now: i64) -> Self {
        let schema = builtin::schema();
        let user = |serial| RecordId::new(*b"005", serial);
        let mut world = Self {
            tables: schema.all().map(|_| Table::default()).collect(),
            schema,
            access: Access::default(),
            auth: Auth::new(config),
            limiter: Limiter::new(),
            tally: Tally::default(),
            cursors: Cursors::default(),
            search: SearchIndex::new(config.flags.search_lag_ms.max(0)),
            jobs: Jobs::default(),
            deployments: Deployments::default(),
            changes: Log::default(),
            users: Users { api: user(1), person: user(2) },
            org: RecordId::new(*b"00D", 1),
            permission_set: RecordId::new(*b"0PS", 1),
            undo: None,
        };
        world.found(config, now);
        world.settle_access(config);
        world.tally = Tally::default();
        world
    }

    /// The records of an org's first day.
    fn found(&mut self, config: &Config, now: i64) {
        let person = |first: &str, last: &str, username: &str| {
            vec![
                ("Username", Cell::text(username)),
                ("FirstName", Cell::text(first)),
                ("LastName", Cell::text(last)),
                ("Name", Cell::text(&format!("{first} {last}"))),
                ("Email", Cell::text(username)),
                ("IsActive", Cell::Bool(true)),
            ]
        };
        self.seed("User", now, person("Integration", "User", &config.oauth.username));
        self.seed("User", now, person("Alma", "Admin", "alma.admin@ponte.example"));
        let org =
            vec![("Name", Cell::text("Ponte Simulation")), ("OrganizationType", Cell::text("Enterprise Edition"))];
        self.seed("Organization", now, org);
        let set = vec![("Name", Cell::text("Integration")), ("Label", Cell::text("Integration"))];
        self.seed("PermissionSet", now, set);
        let (set, user) = (Cell::Id(self.permission_set), Cell::Id(self.users.api));
        self.seed("PermissionSetAssignment", now, vec![("PermissionSetId", set), ("AssigneeId", user)]);
    }

    /// Puts a record in without any check: what the API cannot make.
    pub(super) fn seed(&mut self, name: &str, now: i64, values: Vec<(&str, Cell)>) -> Option<RecordId> {
        let (number, object) = self.schema.find(name)?;
        let mut row = Row::new(self.next_id(number, object), now - now.rem_euclid(1_000), Actor::Api);
        for (field, cell) in values {
            row.put(object.number(field)?, Some(cell));
        }
        let id = row.id;
        self.put(number, id, Some(row));
        if let Some(table) = self.tables.get_mut(number.0) {
            table.serial += 1;
        }
        Some(id)
    }

    /// The id that the next record of this type gets.
    pub(super) fn next_id(&self, number: ObjectNo, object: &SObject) -> RecordId {
        RecordId::new(object.prefix, self.tables.get(number.0).map_or(0, |table| table.serial) + 1)
    }

    pub(super) fn take_id(&mut self, number: ObjectNo) {
        if let Some(table) = self.tables.get_mut(number.0) {
            // Ids are never used again, not even after an undone write.
            table.serial += 1;
        }
    }

    pub(super) fn table(&self, number: ObjectNo) -> Option<&Table> {
        self.tables.get(number.0)
    }

    /// Gives a new object type its table.
    pub(super) fn add_table(&mut self) {
        self.tables.push(Table::default());
    }

    /// Puts a record in the place of the one with its id, or takes it out.
    pub(super) fn put(&mut self, number: ObjectNo, id: RecordId, row: Option<Row>) {
        let (Some(object), Some(table)) = (self.schema.get(number), self.tables.get_mut(number.0)) else { return };
        let before = table.replace(object, id, row);
        self.changes.add(&object.name, id, before.as_ref(), table.row(id));
        if let Some(undo) = &mut self.undo {
            undo.push((number, id, before));
        }
        if matches!(object.name.as_str(), "FieldPermissions" | "ObjectPermissions" | "PermissionSetAssignment") {
            self.access.stale = true;
        }
    }

    /// Works out anew who may see what, when permissions or the schema have changed.
    pub(super) fn settle_access(&mut self, config: &Config) {
        if self.access.stale {
            self.access = Access::of(self, config);
        }
    }

    pub(super) fn mark(&mut self) -> Mark {
        let outermost = self.undo.is_none();
        let undo = self.undo.get_or_insert_default();
        Mark { at: undo.len(), outermost, events: self.changes.end(), tally: self.tally.clone() }
    }

    /// Undoes everything since the mark. Requests that were counted stay counted.
    pub(super) fn roll_back(&mut self, mark: Mark) {
        let undone = self.undo.as_mut().map(|undo| undo.split_off(mark.at)).unwrap_or_default();
        for (number, id, before) in undone.into_iter().rev() {
            if let (Some(object), Some(table)) = (self.schema.get(number), self.tables.get_mut(number.0)) {
                table.replace(object, id, before);
            }
        }
        self.changes.cut(mark.events);
        self.tally.restore_writes(&mark.tally);
        self.access.stale = true;
        self.keep(&Mark { outermost: mark.outermost, ..mark });
    }

    /// True when nothing that was done can still be undone.
    pub(super) fn settled(&self) -> bool {
        self.undo.is_none()
    }

    /// Lets everything since the mark stand.
    pub(super) fn keep(&mut self, mark: &Mark) {
        if mark.outermost {
            self.undo = None;
        }
    }

    /// The record behind an id, whatever its type, live or not.
    pub(super) fn any_row(&self, id: RecordId) -> Option<(ObjectNo, &SObject, &Row)> {
        let (number, object) = self.schema.of_id(id)?;
        Some((number, object, self.table(number)?.row(id)?))
    }

    /// The object type of a path or a body, if the user may see it.
    pub(super) fn visible(&self, name: &str) -> Option<(ObjectNo, &SObject)> {
        self.schema.find(name).filter(|(number, object)| !object.tooling && self.access.sees(*number))
    }

    /// The live record with this id, or why there is none.
    pub(super) fn live(&self, number: ObjectNo, id: &str) -> Result<&Row, Refusal> {
        let missing =
            || Refusal::new(404, "NOT_FOUND", "Provided external ID field does not exist or is not accessible: Id");
        let id = RecordId::parse(id)
            .ok_or_else(|| Refusal::bad("MALFORMED_ID", format!("Id: id value of incorrect type: {id}")))?;
        let row = self.table(number).and_then(|table| table.row(id)).ok_or_else(missing)?;
        if row.deleted_at.is_some() { Err(Refusal::deleted()) } else { Ok(row) }
    }

    /// Live records with this value of a field that names records.
    pub(super) fn by_key(&self, number: ObjectNo, name: &str, value: &str) -> Result<Vec<RecordId>, Refusal> {
        let no_such = || {
            let message = format!("Provided external ID field does not exist or is not accessible: {name}");
            Refusal::new(404, "NOT_FOUND", message)
        };
        let object = self.schema.get(number).ok_or_else(no_such)?;
        let (field_no, field) = object
            .find(name)
            .filter(|(n, field)| (field.external_id || field.id_lookup) && self.access.reads(number, *n))
            .ok_or_else(no_such)?;
        let Some(cell) = field.read_text(value)? else { return Ok(Vec::new()) };
        if let Cell::Id(id) = cell {
            return Ok(self.table(number).and_then(|t| t.live_row(id)).map(|row| row.id).into_iter().collect());
        }
        Ok(self.table(number).map(|table| table.with_value(field_no, field, &cell)).unwrap_or_default())
    }

    /// Records that point to `id`, with the field by which they do.
    pub(super) fn pointing_to(&self, id: RecordId) -> Vec<(ObjectNo, u16, RecordId)> {
        let mut found = Vec::new();
        for (number, object) in self.schema.all() {
            let Some(table) = self.table(number) else { continue };
            for (field_no, field) in object.fields().filter(|(_, field)| field.indexed && field.kind.is_id()) {
                found.extend(
                    table.with_value(field_no, field, &Cell::Id(id)).into_iter().map(|row| (number, field_no, row)),
                );
            }
        }
        found
    }

    /// Megabytes of storage that are left.
    pub(super) fn storage_left(&self, config: &Config) -> u64 {
        let records: u64 = self.tables.iter().map(|table| table.live() as u64).sum();
        config.limits.data_storage_mb.saturating_sub(records * RECORD_BYTES / (1 << 20))
    }

    /// The value of a field of a row.
    pub(super) fn value(&self, number: ObjectNo, row: &Row, name: &str) -> Option<Cell> {
        let object = self.schema.get(number)?;
        let (field_no, field) = object.find(name)?;
        row.cell(object, field_no, field, self.users).map(std::borrow::Cow::into_owned)
    }

    /// All values that are set, as the library shows them.
    pub(super) fn export(&self, number: ObjectNo, row: &Row) -> super::Record {
        let mut values = std::collections::BTreeMap::new();
        if let Some(object) = self.schema.get(number) {
            for (field_no, field) in object.fields() {
                if let Some(cell) = row.cell(object, field_no, field, self.users) {
                    values.insert(field.name.clone(), cell.csv(field.kind));
                }
            }
        }
        super::Record { id: row.id.to_string(), values, deleted: row.deleted_at.is_some(), writes: row.writes }
    }

    /// Live records by type, for the counters.
    pub(super) fn sizes(&self, deleted: bool) -> HashMap<String, u64> {
        let size = |number| {
            self.table(number).map_or(0, |table: &Table| if deleted { table.deleted() } else { table.live() } as u64)
        };
        self.schema.all().map(|(number, object)| (object.name.clone(), size(number))).collect()
    }

    /// Fields that the user may read.
    pub(super) fn readable(&self, number: ObjectNo) -> impl Iterator<Item = (u16, &Field)> {
        let fields = self.schema.get(number).map(SObject::fields).into_iter().flatten();
        fields.filter(move |(field_no, _)| self.access.reads(number, *field_no))
    }
}
