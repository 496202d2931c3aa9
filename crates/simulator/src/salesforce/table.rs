//! The records of one object type and what they are found by.
//! May touch: its own rows and indexes. Must not touch: rules; what comes in was checked.
//! Failure story: `replace` is the one way in. It takes the old row out of every index and puts the new one in, so an index
//! cannot disagree with the rows, and putting the old row back undoes a change.

use super::cell::Cell;
use super::ids::RecordId;
use super::schema::{Field, SObject, System};
use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet, HashMap};

/// Who wrote.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Actor {
    /// The integration user, over an API.
    Api,
    /// A person in the CRM.
    Person,
}

/// One record, in the recycle bin or not.
#[derive(Debug, Clone)]
pub(super) struct Row {
    pub(super) id: RecordId,
    /// Field number and value, by number. Empty fields are absent.
    values: Vec<(u16, Cell)>,
    pub(super) created_at: i64,
    pub(super) created_by: Actor,
    pub(super) modified_at: i64,
    pub(super) modified_by: Actor,
    /// SystemModstamp: what incremental readers follow.
    pub(super) stamp: i64,
    pub(super) deleted_at: Option<i64>,
    /// The winner of a merge.
    pub(super) master: Option<RecordId>,
    pub(super) writes: u64,
}

impl Row {
    pub(super) fn new(id: RecordId, now: i64, actor: Actor) -> Self {
        Self {
            id,
            values: Vec::new(),
            created_at: now,
            created_by: actor,
            modified_at: now,
            modified_by: actor,
            stamp: now,
            deleted_at: None,
            master: None,
            writes: 0,
        }
    }

    pub(super) fn get(&self, field: u16) -> Option<&Cell> {
        let at = self.values.binary_search_by_key(&field, |(number, _)| *number).ok()?;
        self.values.get(at).map(|(_, cell)| cell)
    }

    pub(super) fn put(&mut self, field: u16, cell: Option<Cell>) {
        match (self.values.binary_search_by_key(&field, |(number, _)| *number), cell) {
            (Ok(at), Some(cell)) => {
                if let Some(slot) = self.values.get_mut(at) {
                    slot.1 = cell;
                }
            }
            (Ok(at), None) => drop(self.values.remove(at)),
            (Err(at), Some(cell)) => self.values.insert(at, (field, cell)),
            (Err(_), None) => {}
        }
    }

    pub(super) fn values(&self) -> &[(u16, Cell)] {
        &self.values
    }

    /// The value of any field, the computed ones included.
    pub(super) fn cell(&self, object: &SObject, number: u16, field: &Field, users: Users) -> Option<Cow<'_, Cell>> {
        let Some(system) = field.system else { return self.get(number).map(Cow::Borrowed) };
        let by = |actor| match actor {
            Actor::Api => users.api,
            Actor::Person => users.person,
        };
        let cell = match system {
            System::Id => Cell::Id(self.id),
            System::IsDeleted => Cell::Bool(self.deleted_at.is_some()),
            System::MasterRecordId => Cell::Id(self.master?),
            System::CreatedDate => Cell::Moment(self.created_at),
            System::CreatedById => Cell::Id(by(self.created_by)),
            System::LastModifiedDate => Cell::Moment(self.modified_at),
            System::LastModifiedById => Cell::Id(by(self.modified_by)),
            System::Modstamp => Cell::Moment(self.stamp),
            System::PersonName => {
                let part = |name| match object.number(name).and_then(|number| self.get(number)) {
                    Some(Cell::Text(text)) => Some(text.as_ref()),
                    _ => None,
                };
                let parts: Vec<&str> = ["FirstName", "LastName"].into_iter().filter_map(part).collect();
                Cell::text(&parts.join(" "))
            }
        };
        Some(Cow::Owned(cell))
    }
}

/// The ids of the two users that records are written by.
#[derive(Debug, Clone, Copy)]
pub(super) struct Users {
    pub(super) api: RecordId,
    pub(super) person: RecordId,
}

/// The records that share one value. Nearly always there is one, so that one costs no tree.
#[derive(Debug, Clone)]
enum Postings {
    One(RecordId),
    Many(BTreeSet<RecordId>),
}

/// Records by value.
#[derive(Debug, Clone, Default)]
pub(super) struct Index(HashMap<Box<str>, Postings>);

impl Index {
    pub(super) fn insert(&mut self, key: &str, id: RecordId) {
        match self.0.get_mut(key) {
            None => drop(self.0.insert(key.into(), Postings::One(id))),
            Some(Postings::Many(ids)) => drop(ids.insert(id)),
            Some(one) => {
                if let Postings::One(other) = *one
                    && other != id
                {
                    *one = Postings::Many(BTreeSet::from([other, id]));
                }
            }
        }
    }

    fn remove(&mut self, key: &str, id: RecordId) {
        let empty = match self.0.get_mut(key) {
            None => return,
            Some(Postings::One(other)) => *other == id,
            Some(Postings::Many(ids)) => {
                ids.remove(&id);
                ids.is_empty()
            }
        };
        if empty {
            self.0.remove(key);
        }
    }

    /// The records with this value, by id.
    pub(super) fn get(&self, key: &str) -> impl Iterator<Item = RecordId> + '_ {
        let (one, many) = match self.0.get(key) {
            None => (None, None),
            Some(Postings::One(id)) => (Some(*id), None),
            Some(Postings::Many(ids)) => (None, Some(ids)),
        };
        one.into_iter().chain(many.into_iter().flatten().copied())
    }
}

/// The records of one object type.
#[derive(Debug, Default)]
pub(super) struct Table {
    rows: BTreeMap<RecordId, Row>,
    /// Live and deleted records by SystemModstamp.
    by_stamp: BTreeSet<(i64, RecordId)>,
    /// Deleted records by the time of deletion.
    by_deletion: BTreeSet<(i64, RecordId)>,
    /// Live records by the values of the indexed fields.
    indexes: HashMap<u16, Index>,
    live: usize,
    pub(super) serial: u64,
}

impl Table {
    pub(super) fn row(&self, id: RecordId) -> Option<&Row> {
        self.rows.get(&id)
    }

    pub(super) fn live_row(&self, id: RecordId) -> Option<&Row> {
        self.rows.get(&id).filter(|row| row.deleted_at.is_none())
    }

    pub(super) fn live(&self) -> usize {
        self.live
    }

    pub(super) fn deleted(&self) -> usize {
        self.by_deletion.len()
    }

    /// All records, those in the recycle bin included, by id.
    pub(super) fn rows(&self) -> impl DoubleEndedIterator<Item = &Row> {
        self.rows.values()
    }

    /// Records by id, after one.
    pub(super) fn after(&self, id: Option<RecordId>) -> impl Iterator<Item = &Row> {
        use std::ops::Bound::{Excluded, Unbounded};
        self.rows.range((id.map_or(Unbounded, Excluded), Unbounded)).map(|(_, row)| row)
    }

    /// Records whose SystemModstamp is not before `from`, by stamp and id.
    pub(super) fn stamped_since(&self, from: i64) -> impl Iterator<Item = &Row> {
        let first = RecordId::new([0; 3], 0);
        self.by_stamp.range((from, first)..).filter_map(|(_, id)| self.rows.get(id))
    }

    /// Records deleted from `from` on, by time.
    pub(super) fn deleted_since(&self, from: i64) -> impl Iterator<Item = (i64, RecordId)> + '_ {
        let first = RecordId::new([0; 3], 0);
        self.by_deletion.range((from, first)..).copied()
    }

    /// Live records with this value of an indexed field.
    pub(super) fn with_value(&self, number: u16, field: &Field, cell: &Cell) -> Vec<RecordId> {
        let Some(key) = index_key(field, cell) else { return Vec::new() };
        self.indexes.get(&number).map(|index| index.get(&key).collect()).unwrap_or_default()
    }

    /// Puts a record in the place of the one with its id, or takes it out; gives what was there.
    pub(super) fn replace(&mut self, object: &SObject, id: RecordId, row: Option<Row>) -> Option<Row> {
        let before = self.rows.remove(&id);
        self.reindex(object, id, before.as_ref(), row.as_ref());
        for (row, present) in [(&before, false), (&row, true)] {
            let Some(row) = row else { continue };
            let change = |set: &mut BTreeSet<(i64, RecordId)>, at| match present {
                true => drop(set.insert((at, id))),
                false => drop(set.remove(&(at, id))),
            };
            change(&mut self.by_stamp, row.stamp);
            match (row.deleted_at, present) {
                (Some(at), _) => change(&mut self.by_deletion, at),
                (None, true) => self.live += 1,
                (None, false) => self.live -= 1,
            }
        }
        if let Some(row) = row {
            self.rows.insert(id, row);
        }
        before
    }

    fn reindex(&mut self, object: &SObject, id: RecordId, before: Option<&Row>, after: Option<&Row>) {
        let old = before.filter(|row| row.deleted_at.is_none()).map(Row::values).unwrap_or_default();
        let new = after.filter(|row| row.deleted_at.is_none()).map(Row::values).unwrap_or_default();
        let unchanged = |values: &[(u16, Cell)], entry: &(u16, Cell)| {
            values.binary_search_by_key(&entry.0, |(n, _)| *n).ok().and_then(|at| values.get(at)) == Some(entry)
        };
        for (gone, values, others) in [(true, old, new), (false, new, old)] {
            for entry in values.iter().filter(|entry| !unchanged(others, entry)) {
                let Some(field) = object.field(entry.0).filter(|field| field.indexed) else { continue };
                let Some(key) = index_key(field, &entry.1) else { continue };
                let index = self.indexes.entry(entry.0).or_default();
                if gone { index.remove(&key, id) } else { index.insert(&key, id) }
            }
        }
    }
}

fn index_key(field: &Field, cell: &Cell) -> Option<String> {
    match cell {
        Cell::Text(text) => Some(field.key(text)),
        Cell::Id(id) => Some(id.to_string()),
        // Numbers as external ids: their plain writing.
        Cell::Number(number) => Some(number.to_string()),
        _ => None,
    }
}
