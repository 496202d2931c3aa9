//! The records of one module and everything they are found by.
//! May touch: its own records and indexes. Must not touch: other modules, sockets, the clock.

use super::row::Row;
use super::schema::{Field, FieldNo, Module};
use super::words;
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::ops::Bound;

/// A record that is gone.
#[derive(Debug, Clone)]
pub(super) struct Deleted {
    pub(super) row: Row,
    /// Epoch milliseconds, whole seconds.
    pub(super) at: i64,
    pub(super) by: u64,
    /// True when it is not even in the recycle bin.
    pub(super) permanent: bool,
    /// True when lists of deleted records show it.
    pub(super) listed: bool,
}

/// The records of one module.
#[derive(Debug, Default)]
pub(super) struct Table {
    pub(super) live: BTreeMap<u64, Row>,
    /// Modified time and id of every live record.
    pub(super) by_modified: BTreeSet<(i64, u64)>,
    /// Indexed field, then value, then the live records that have it.
    index: HashMap<FieldNo, HashMap<String, BTreeSet<u64>>>,
    /// Word of a field, then records that have or once had it: whoever reads this looks at the record again.
    words: HashMap<u64, Vec<u64>>,
    pub(super) deleted: BTreeMap<u64, Deleted>,
    pub(super) by_deleted: BTreeSet<(i64, u64)>,
}

impl Table {
    /// Takes a new record in; its values come by [`Table::set`].
    pub(super) fn insert(&mut self, row: Row) {
        self.by_modified.insert((row.modified_at(), row.id));
        self.live.insert(row.id, row);
    }

    /// Changes what a record keeps besides its values, and moves its modified time.
    pub(super) fn touch(&mut self, id: u64, user: u64, now: i64, lag_ms: i64) -> Option<&mut Row> {
        let row = self.live.get_mut(&id)?;
        self.by_modified.remove(&(row.modified_at(), id));
        row.touch(user, now, lag_ms);
        self.by_modified.insert((row.modified_at(), id));
        Some(row)
    }

    /// Sets one value and keeps the indexes; true when it is another value than before.
    pub(super) fn set(&mut self, module: &Module, id: u64, number: FieldNo, value: Option<Value>) -> bool {
        let (Some(row), Some(field)) = (self.live.get_mut(&id), module.field(number)) else { return false };
        let before = row.put(number, value.clone());
        if before == value {
            return false;
        }
        if field.indexed(module) {
            let index = self.index.entry(number).or_default();
            if let Some(before) = &before {
                forget(index, &Field::index_key(before), id);
            }
            if let Some(value) = &value {
                index.entry(Field::index_key(value)).or_default().insert(id);
            }
        }
        for slot in
            value.as_ref().and_then(Value::as_str).map(|t| words::slots(number, field.kind, t)).unwrap_or_default()
        {
            let ids = self.words.entry(slot).or_default();
            if ids.last() != Some(&id) {
                ids.push(id);
            }
        }
        true
    }

    /// Makes the index of a field that became unique or external.
    pub(super) fn build_index(&mut self, number: FieldNo) {
        let mut index: HashMap<String, BTreeSet<u64>> = HashMap::new();
        for row in self.live.values() {
            if let Some(value) = row.get(number) {
                index.entry(Field::index_key(value)).or_default().insert(row.id);
            }
        }
        self.index.insert(number, index);
    }

    /// The live records that have a value of an indexed field, oldest first.
    pub(super) fn holders(&self, number: FieldNo, key: &str) -> impl Iterator<Item = u64> + '_ {
        self.index.get(&number).and_then(|index| index.get(key)).into_iter().flatten().copied()
    }

    /// Records that may have all of these slots; the shortest list of them, without repetition, oldest first.
    pub(super) fn candidates(&self, slots: &[u64]) -> Vec<u64> {
        let lists = slots.iter().map(|slot| self.words.get(slot).map_or(&[][..], Vec::as_slice));
        let mut ids = lists.min_by_key(|list| list.len()).unwrap_or_default().to_vec();
        ids.sort_unstable();
        ids.dedup();
        ids
    }

    /// Takes a live record out of everything.
    pub(super) fn remove(&mut self, id: u64) -> Option<Row> {
        let row = self.live.remove(&id)?;
        self.by_modified.remove(&(row.modified_at(), id));
        for (number, index) in &mut self.index {
            if let Some(value) = row.get(*number) {
                forget(index, &Field::index_key(value), id);
            }
        }
        Some(row)
    }

    /// Puts a record among the deleted ones.
    pub(super) fn bury(&mut self, deleted: Deleted) {
        self.by_deleted.insert((deleted.at, deleted.row.id));
        self.deleted.insert(deleted.row.id, deleted);
    }

    /// Live records modified after `since`, by time and id, from behind `from`.
    pub(super) fn modified_after(
        &self,
        since: Option<i64>,
        from: Option<(i64, u64)>,
        ascending: bool,
    ) -> Box<dyn Iterator<Item = &Row> + '_> {
        let low = since.map_or(Bound::Unbounded, |since| Bound::Excluded((since, u64::MAX)));
        let rows = |(_, id): &(i64, u64)| self.live.get(id);
        match (ascending, from) {
            // The place may lie before `since` when it comes from a longer list; the later of both counts.
            (true, Some(from)) if since.is_none_or(|since| from > (since, u64::MAX)) => {
                Box::new(self.by_modified.range((Bound::Excluded(from), Bound::Unbounded)).filter_map(rows))
            }
            (true, _) => Box::new(self.by_modified.range((low, Bound::Unbounded)).filter_map(rows)),
            (false, Some(from)) if since.is_some_and(|since| from <= (since, u64::MAX)) => Box::new(std::iter::empty()),
            (false, Some(from)) => {
                Box::new(self.by_modified.range((low, Bound::Excluded(from))).rev().filter_map(rows))
            }
            (false, None) => Box::new(self.by_modified.range((low, Bound::Unbounded)).rev().filter_map(rows)),
        }
    }

    /// Live records by id, from behind `from`.
    pub(super) fn by_id(&self, from: Option<u64>, ascending: bool) -> Box<dyn Iterator<Item = &Row> + '_> {
        match (ascending, from) {
            (true, Some(from)) => {
                Box::new(self.live.range((Bound::Excluded(from), Bound::Unbounded)).map(|(_, row)| row))
            }
            (true, None) => Box::new(self.live.values()),
            (false, Some(from)) => Box::new(self.live.range(..from).rev().map(|(_, row)| row)),
            (false, None) => Box::new(self.live.values().rev()),
        }
    }
}

fn forget(index: &mut HashMap<String, BTreeSet<u64>>, key: &str, id: u64) {
    if let Some(ids) = index.get_mut(key) {
        ids.remove(&id);
        if ids.is_empty() {
            index.remove(key);
        }
    }
}
