//! Open query cursors: what is left of a result, for a while.
//! May touch: its own list. Must not touch: records; a cursor holds ids.

use super::config::Limits;
use super::ids::RecordId;
use super::soql::Query;
use std::collections::VecDeque;
use std::sync::Arc;

/// One open result.
#[derive(Debug, Clone)]
pub(super) struct Cursor {
    pub(super) name: String,
    pub(super) session: String,
    pub(super) query: Arc<Query>,
    pub(super) ids: Arc<Vec<RecordId>>,
    pub(super) batch: usize,
    used_at: i64,
}

/// All open results, the oldest first.
#[derive(Debug, Default)]
pub(super) struct Cursors {
    open: VecDeque<Cursor>,
    opened: u64,
}

impl Cursors {
    /// Opens one; when there are too many, the oldest is closed without a word.
    pub(super) fn open(
        &mut self,
        session: &str,
        query: Arc<Query>,
        ids: Arc<Vec<RecordId>>,
        batch: usize,
        limits: &Limits,
        now: i64,
    ) -> String {
        self.opened += 1;
        let name = RecordId::new(*b"01g", self.opened).to_string();
        let session = session.to_owned();
        self.open.push_back(Cursor { name: name.clone(), session, query, ids, batch, used_at: now });
        while self.open.len() > limits.query_cursors {
            self.open.pop_front();
        }
        name
    }

    /// The cursor of this name, if it still lives.
    pub(super) fn find(&mut self, name: &str, life_ms: i64, now: i64) -> Option<Cursor> {
        self.open.retain(|cursor| now.saturating_sub(cursor.used_at) < life_ms);
        let cursor = self.open.iter_mut().find(|cursor| cursor.name == name)?;
        cursor.used_at = now;
        Some(cursor.clone())
    }

    pub(super) fn close(&mut self, name: &str) {
        self.open.retain(|cursor| cursor.name != name);
    }

    /// Closes all: for a test.
    pub(super) fn close_all(&mut self) {
        self.open.clear();
    }
}
