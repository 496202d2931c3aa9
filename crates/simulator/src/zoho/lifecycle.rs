//! Ends of records: deletion, merge, and what points to them.
//! May touch: records of all modules. Must not touch: sockets, the clock (time is passed in).

use super::row::{Guard, whole_second};
use super::schema::{Field, FieldNo, Kind};
use super::table::Deleted;
use super::watch::{Event, Operation};
use super::world::{ModuleNo, Store, World};
use serde_json::{Value, json};

impl World {
    /// Fields of module `from` that can point to records of module `to`.
    pub(super) fn lookups_to(&self, to: ModuleNo, from: ModuleNo) -> Vec<FieldNo> {
        let (Some(target), Some(store)) = (self.stores.get(to), self.stores.get(from)) else { return Vec::new() };
        let name = &*target.module.api_name;
        let points = |field: &Field| {
            field.kind == Kind::Parent || (field.kind == Kind::Lookup && field.target.as_deref() == Some(name))
        };
        store.module.live().filter(|(_, field)| points(field)).map(|(number, _)| number).collect()
    }

    /// Live records that point to `id` by a lookup: their module, the field, and their id.
    pub(super) fn references(&self, no: ModuleNo, id: u64) -> Vec<(ModuleNo, FieldNo, u64)> {
        let key = json!(id).to_string();
        let mut found = Vec::new();
        for (other, store) in self.stores.iter().enumerate() {
            for number in self.lookups_to(no, other) {
                found.extend(store.table.holders(number, &key).map(|from| (other, number, from)));
            }
        }
        found
    }

    /// Deletes a live record; false when there is none. Its notes go with it, and lookups to it are emptied.
    pub(super) fn delete(&mut self, no: ModuleNo, id: u64, user: u64, now: i64, permanent: bool) -> bool {
        if !self.bury(no, id, user, now, permanent, true) {
            return false;
        }
        for (other, number, from) in self.references(no, id) {
            let owned =
                self.stores.get(other).and_then(|store| store.module.field(number)).is_some_and(|f| f.mandatory);
            if owned {
                self.bury(other, from, user, now, permanent, true);
            } else {
                self.point(other, number, from, None);
            }
        }
        true
    }

    fn bury(&mut self, no: ModuleNo, id: u64, user: u64, now: i64, permanent: bool, listed: bool) -> bool {
        let Some(store) = self.stores.get_mut(no) else { return false };
        let Some(row) = store.table.remove(id) else { return false };
        store.table.bury(Deleted { row, at: whole_second(now), by: user, permanent, listed });
        let name = store.module.api_name.clone();
        self.tally.deleted(&name);
        self.events.push(Event { module: no, operation: Operation::Delete, id, changed: Vec::new() });
        true
    }

    /// Lets a lookup point elsewhere, without counting as a change of the record.
    pub(super) fn point(&mut self, no: ModuleNo, number: FieldNo, id: u64, to: Option<u64>) {
        if let Some(Store { module, table }) = self.stores.get_mut(no) {
            table.set(module, id, number, to.map(|to| json!(to)));
        }
    }

    /// Merges `loser` into `master`, as a person does in the CRM: the master's values win, gaps are filled, what pointed to
    /// the loser points to the master. False when one of them isn't there.
    pub(super) fn merge(&mut self, no: ModuleNo, master: u64, loser: u64, user: u64, now: i64) -> bool {
        let lag = self.flags.search_lag_ms.max(0);
        let listed = self.flags.merged_are_listed;
        let references = self.references(no, loser);
        let Some(store) = self.stores.get(no) else { return false };
        let (Some(winner), Some(lost)) = (store.table.live.get(&master), store.table.live.get(&loser)) else {
            return false;
        };
        if master == loser {
            return false;
        }
        let gaps: Vec<(FieldNo, Value)> = lost
            .snapshot()
            .values
            .iter()
            .filter(|(number, _)| winner.get(*number).is_none())
            .map(|(number, value)| (number, value.clone()))
            .collect();
        let tags: Vec<u64> = lost.tags.iter().filter(|tag| !winner.tags.contains(tag)).copied().collect();
        // First gone, so that its unique values are free for the master.
        self.bury(no, loser, user, now, true, listed);
        if let Some(Store { module, table }) = self.stores.get_mut(no) {
            if let Some(row) = table.touch(master, user, now, lag) {
                row.tags.extend(tags);
            }
            for (number, value) in &gaps {
                table.set(module, master, *number, Some(value.clone()));
            }
        }
        for (other, number, from) in references {
            self.point(other, number, from, Some(master));
        }
        let changed = gaps.into_iter().map(|(number, value)| (number, Some(value))).collect();
        self.events.push(Event { module: no, operation: Operation::Edit, id: master, changed });
        self.tally.merged += 1;
        true
    }

    /// Sets or lifts what keeps a record from being written; false when there is none.
    pub(super) fn guard(&mut self, no: ModuleNo, id: u64, guard: Option<Guard>) -> bool {
        let row = self.stores.get_mut(no).and_then(|store| store.table.live.get_mut(&id));
        row.map(|row| row.guard = guard).is_some()
    }
}
