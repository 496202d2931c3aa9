//! One record, with the older versions that search may still show.
//! May touch: its own fields. Must not touch: indexes and other records; the world keeps those.

use super::clock::iso;
use super::object::Object;
use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;

/// Stored property values; computed ones (`hs_object_id`, the dates) are not among them.
pub(super) type Values = BTreeMap<String, String>;

#[derive(Debug, Clone)]
struct Version {
    visible_at: i64,
    updated_at: i64,
    values: Arc<Values>,
}

/// A record.
#[derive(Debug, Clone)]
pub(super) struct Row {
    pub(super) id: u64,
    pub(super) created_at: i64,
    pub(super) archived_at: Option<i64>,
    pub(super) writes: u64,
    pub(super) links: BTreeMap<(Object, u64), BTreeSet<u16>>,
    /// Emails that came with merged contacts and still find this one.
    pub(super) emails: Vec<String>,
    current: Version,
    /// Versions that are still what search shows, oldest first. Empty without search lag.
    past: VecDeque<Version>,
}

/// One state of a record.
#[derive(Debug, Clone, Copy)]
pub(super) struct Snapshot<'a> {
    pub(super) id: u64,
    pub(super) created_at: i64,
    pub(super) updated_at: i64,
    pub(super) values: &'a Values,
}

impl Snapshot<'_> {
    /// The value of any property, computed ones included.
    pub(super) fn value(&self, object: Object, name: &str) -> Option<Cow<'_, str>> {
        if name == "hs_object_id" {
            return Some(self.id.to_string().into());
        }
        match self.moment(object, name) {
            Some(ms) => Some(iso(ms).into()),
            None => self.values.get(name).map(|v| v.as_str().into()),
        }
    }

    /// Computed dates as epoch milliseconds.
    pub(super) fn moment(&self, object: Object, name: &str) -> Option<i64> {
        if name == object.modified() {
            Some(self.updated_at)
        } else if name == object.created() {
            Some(self.created_at)
        } else {
            None
        }
    }
}

impl Row {
    pub(super) fn new(id: u64, now: i64, lag_ms: i64) -> Self {
        Self {
            id,
            created_at: now,
            archived_at: None,
            writes: 0,
            links: BTreeMap::new(),
            emails: Vec::new(),
            current: Version { visible_at: now + lag_ms, updated_at: now, values: Arc::default() },
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

    fn show<'a>(&self, version: &'a Version) -> Snapshot<'a> {
        Snapshot { id: self.id, created_at: self.created_at, updated_at: version.updated_at, values: &version.values }
    }

    pub(super) fn get(&self, name: &str) -> Option<&String> {
        self.current.values.get(name)
    }

    /// Starts a new version: the last-modified time moves, even within one millisecond.
    pub(super) fn touch(&mut self, now: i64, lag_ms: i64) {
        if lag_ms > 0 {
            // Everything older than the newest visible version will never be shown again.
            while self.past.get(1).is_some_and(|next| next.visible_at <= now) {
                self.past.pop_front();
            }
            self.past.push_back(self.current.clone());
            self.current.visible_at = now + lag_ms;
        }
        self.current.updated_at = now.max(self.current.updated_at + 1);
    }

    /// Sets or clears a value; gives the one before.
    pub(super) fn put(&mut self, name: &str, value: Option<String>) -> Option<String> {
        let values = Arc::make_mut(&mut self.current.values);
        match value {
            Some(value) => values.insert(name.to_owned(), value),
            None => values.remove(name),
        }
    }

    pub(super) fn linked(&self, to: Object) -> impl Iterator<Item = (u64, &BTreeSet<u16>)> {
        self.links.range((to, 0)..=(to, u64::MAX)).map(|((_, id), types)| (*id, types))
    }
}
