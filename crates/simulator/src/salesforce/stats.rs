//! Counters that a test asks for afterwards.
//! May touch: its own counters. Must not touch: records.

use super::world::World;
use crate::duplicates::Duplicates;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// What happened since the start or the last reset.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Stats {
    /// Requests by endpoint, ids left out (`PATCH composite/sobjects/Contact/{}`), control requests not counted.
    pub requests: BTreeMap<String, u64>,
    /// Answers by status; 0 for answers that never came.
    pub answers: BTreeMap<u16, u64>,
    /// Requests that the daily allowance paid for, in the last 24 hours.
    pub budget_spent: u32,
    /// The daily allowance.
    pub budget: u32,
    /// Live records by object type.
    pub records: BTreeMap<String, u64>,
    /// Deleted records by object type.
    pub recycled: BTreeMap<String, u64>,
    /// Records made, by object type.
    pub created: BTreeMap<String, u64>,
    /// Changes of existing records, by object type.
    pub updated: BTreeMap<String, u64>,
    /// Deletions, by object type; merges not counted.
    pub deleted: BTreeMap<String, u64>,
    /// Records that were merged into another.
    pub merged: u64,
    /// `REQUEST_LIMIT_EXCEEDED` answers, injected ones included.
    pub rate_limited: u64,
    /// 401 answers.
    pub auth_failures: u64,
    /// Sessions given out, by grant type.
    pub sessions: BTreeMap<String, u64>,
    /// Failed rows in collections, composites and jobs.
    pub row_errors: u64,
    /// Rows refused by a duplicate rule.
    pub duplicates_refused: u64,
    /// Writes that were applied although their answer was withheld or said the opposite.
    pub applied_unanswered: u64,
    /// Most writes that hit one record, its creation included.
    pub max_writes_per_key: u64,
}

/// The counters while the run goes on.
#[derive(Debug, Clone, Default)]
pub(super) struct Tally {
    pub(super) requests: BTreeMap<String, u64>,
    answers: BTreeMap<u16, u64>,
    created: BTreeMap<String, u64>,
    updated: BTreeMap<String, u64>,
    deleted: BTreeMap<String, u64>,
    pub(super) merged: u64,
    pub(super) rate_limited: u64,
    pub(super) sessions: BTreeMap<String, u64>,
    pub(super) row_errors: u64,
    pub(super) duplicates_refused: u64,
    pub(super) applied_unanswered: u64,
    max_writes: u64,
}

fn count(counts: &mut BTreeMap<String, u64>, name: &str) {
    match counts.get_mut(name) {
        Some(n) => *n += 1,
        None => drop(counts.insert(name.to_owned(), 1)),
    }
}

impl Tally {
    pub(super) fn request(&mut self, endpoint: &str) {
        count(&mut self.requests, endpoint);
    }

    pub(super) fn created(&mut self, object: &str) {
        count(&mut self.created, object);
    }

    pub(super) fn updated(&mut self, object: &str) {
        count(&mut self.updated, object);
    }

    pub(super) fn deleted(&mut self, object: &str) {
        count(&mut self.deleted, object);
    }

    pub(super) fn session(&mut self, grant: &str) {
        count(&mut self.sessions, grant);
    }

    pub(super) fn writes(&mut self, on_one_record: u64) {
        self.max_writes = self.max_writes.max(on_one_record);
    }

    pub(super) fn answered(&mut self, status: u16) {
        *self.answers.entry(status).or_default() += 1;
    }

    pub(super) fn row_failed(&mut self, refusal: &super::error::Refusal) {
        self.row_errors += 1;
        if refusal.code == "DUPLICATES_DETECTED" {
            self.duplicates_refused += 1;
        }
    }

    /// Takes back what undone writes counted.
    pub(super) fn restore_writes(&mut self, earlier: &Self) {
        self.created.clone_from(&earlier.created);
        self.updated.clone_from(&earlier.updated);
        self.deleted.clone_from(&earlier.deleted);
        self.max_writes = earlier.max_writes;
    }
}

/// Puts the counters and the present sizes together.
pub(super) fn report(world: &mut World, daily: u32, now: i64) -> Stats {
    let nonzero = |sizes: std::collections::HashMap<String, u64>| sizes.into_iter().filter(|(_, n)| *n > 0).collect();
    let budget_spent = world.limiter.requests.used(now);
    let (records, recycled) = (nonzero(world.sizes(false)), nonzero(world.sizes(true)));
    let tally = &world.tally;
    Stats {
        requests: tally.requests.clone(),
        answers: tally.answers.clone(),
        budget_spent,
        budget: daily,
        records,
        recycled,
        created: tally.created.clone(),
        updated: tally.updated.clone(),
        deleted: tally.deleted.clone(),
        merged: tally.merged,
        rate_limited: tally.rate_limited,
        auth_failures: tally.answers.get(&401).copied().unwrap_or_default(),
        sessions: tally.sessions.clone(),
        row_errors: tally.row_errors,
        duplicates_refused: tally.duplicates_refused,
        applied_unanswered: tally.applied_unanswered,
        max_writes_per_key: tally.max_writes,
    }
}

/// Counts how often the values of a field occur among the live records; `None` when there is no such field.
pub(super) fn duplicates(world: &World, object: &str, field: &str) -> Option<Duplicates> {
    let (number, object) = world.schema.find(object)?;
    let (field_no, field) = object.find(field)?;
    let rows = world.table(number)?.rows().filter(|row| row.deleted_at.is_none());
    let cells = rows.filter_map(|row| row.cell(object, field_no, field, world.users));
    Some(Duplicates::of(cells.map(|cell| field.key(&cell.csv(field.kind)))))
}
