//! One record, with the older versions that search may still show.
//! May touch: its own fields. Must not touch: indexes and other records; the table keeps those.

use super::schema::FieldNo;
use serde_json::Value;
use std::collections::VecDeque;
use std::sync::Arc;

/// Stored values by the number of their field: few bytes for a hundred thousand records.
#[derive(Debug, Clone, Default)]
pub(super) struct Values(Vec<(FieldNo, Value)>);

impl Values {
    pub(super) fn get(&self, field: FieldNo) -> Option<&Value> {
        let at = self.0.binary_search_by_key(&field, |(n, _)| *n).ok()?;
        self.0.get(at).map(|(_, value)| value)
    }

    /// Sets or clears a value; gives the one before.
    fn put(&mut self, field: FieldNo, value: Option<Value>) -> Option<Value> {
        match (self.0.binary_search_by_key(&field, |(n, _)| *n), value) {
            (Ok(at), Some(value)) => self.0.get_mut(at).map(|(_, slot)| std::mem::replace(slot, value)),
            (Ok(at), None) => Some(self.0.remove(at).1),
            (Err(at), Some(value)) => {
                self.0.insert(at, (field, value));
                None
            }
            (Err(_), None) => None,
        }
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = (FieldNo, &Value)> {
        self.0.iter().map(|(n, value)| (*n, value))
    }
}

/// What keeps a record from being written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Guard {
    /// Another process or person holds it.
    Locked,
    /// It is in a blueprint.
    Blueprint,
    /// It waits for approval.
    Approval,
}

#[derive(Debug, Clone)]
struct Version {
    visible_at: i64,
    modified_at: i64,
    values: Arc<Values>,
}

/// One state of a record.
#[derive(Debug, Clone, Copy)]
pub(super) struct Snapshot<'a> {
    pub(super) row: &'a Row,
    pub(super) modified_at: i64,
    pub(super) values: &'a Values,
}

/// A record.
#[derive(Debug, Clone)]
pub(super) struct Row {
    pub(super) id: u64,
    /// Epoch milliseconds, whole seconds: Zoho keeps no finer time.
    pub(super) created_at: i64,
    pub(super) owner: u64,
    pub(super) created_by: u64,
    pub(super) modified_by: u64,
    /// Ids of tags, in the order they were set.
    pub(super) tags: Vec<u64>,
    pub(super) guard: Option<Guard>,
    /// True for a lead that was converted.
    pub(super) converted: bool,
    pub(super) writes: u64,
    current: Version,
    /// Versions that are still what search shows, oldest first. Empty without search lag.
    past: VecDeque<Version>,
}

/// A time as Zoho keeps it.
pub(super) const fn whole_second(ms: i64) -> i64 {
    ms - ms.rem_euclid(1000)
}

impl Row {
    pub(super) fn new(id: u64, user: u64, now: i64, lag_ms: i64) -> Self {
        let at = whole_second(now);
        Self {
            id,
            created_at: at,
            owner: user,
            created_by: user,
            modified_by: user,
            tags: Vec::new(),
            guard: None,
            converted: false,
            writes: 0,
            current: Version { visible_at: now.saturating_add(lag_ms), modified_at: at, values: Arc::default() },
            past: VecDeque::new(),
        }
    }

    pub(super) fn snapshot(&self) -> Snapshot<'_> {
        self.show(&self.current)
    }

    /// What search knows of this record at `now`; `None` while it is too new.
    pub(super) fn indexed(&self, now: i64) -> Option<Snapshot<'_>> {
        std::iter::once(&self.current).chain(self.past.iter().rev()).find(|v| v.visible_at <= now).map(|v| self.show(v))
    }

    fn show<'a>(&'a self, version: &'a Version) -> Snapshot<'a> {
        Snapshot { row: self, modified_at: version.modified_at, values: &version.values }
    }

    pub(super) fn modified_at(&self) -> i64 {
        self.current.modified_at
    }

    pub(super) fn get(&self, field: FieldNo) -> Option<&Value> {
        self.current.values.get(field)
    }

    /// Starts a new version. Within one second the modified time stays the same.
    pub(super) fn touch(&mut self, user: u64, now: i64, lag_ms: i64) {
        if lag_ms > 0 {
            // Everything older than the newest visible version will never be shown again.
            while self.past.get(1).is_some_and(|next| next.visible_at <= now) {
                self.past.pop_front();
            }
            self.past.push_back(self.current.clone());
            self.current.visible_at = now.saturating_add(lag_ms);
        }
        self.modified_by = user;
        self.current.modified_at = self.current.modified_at.max(whole_second(now));
    }

    /// Sets or clears a value; gives the one before.
    pub(super) fn put(&mut self, field: FieldNo, value: Option<Value>) -> Option<Value> {
        Arc::make_mut(&mut self.current.values).put(field, value)
    }
}
