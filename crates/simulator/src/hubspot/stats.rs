//! Counters that a test asks for afterwards.
//! May touch: its own counters. Must not touch: records.

use super::object::Object;
use crate::duplicates::Duplicates;
use serde::{Deserialize, Serialize};
use std::borrow::Cow;
use std::collections::BTreeMap;

/// What happened since the start or the last reset.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Stats {
    /// Requests by endpoint, ids left out (`POST contacts/batch/upsert`), control requests not counted.
    pub requests: BTreeMap<String, u64>,
    /// Answers by status; 0 for answers that never came.
    pub answers: BTreeMap<u16, u64>,
    /// Live records by object type.
    pub records: BTreeMap<String, u64>,
    /// Archived records by object type.
    pub archived: BTreeMap<String, u64>,
    /// Records made, by object type.
    pub created: BTreeMap<String, u64>,
    /// Changes of existing records, by object type.
    pub updated: BTreeMap<String, u64>,
    /// Merged pairs.
    pub merged: u64,
    /// 429 answers, injected ones included.
    pub rate_limited: u64,
    /// 401 and 403 answers.
    pub auth_failures: u64,
    /// Access tokens given out for refresh tokens.
    pub token_refreshes: u64,
    /// Failed rows in batches that were carried out.
    pub row_errors: u64,
    /// Writes that were applied although their answer was withheld or said the opposite.
    pub applied_unanswered: u64,
    /// Most writes that hit one record, its creation included.
    pub max_writes_per_key: u64,
    /// Webhook batches that the receiver took.
    pub webhooks_delivered: u64,
    /// Webhook attempts that failed.
    pub webhooks_failed: u64,
}

/// The counters while the run goes on.
#[derive(Debug, Default)]
pub(super) struct Tally {
    pub(super) requests: BTreeMap<String, u64>,
    pub(super) answers: BTreeMap<u16, u64>,
    created: BTreeMap<Object, u64>,
    updated: BTreeMap<Object, u64>,
    pub(super) merged: u64,
    pub(super) rate_limited: u64,
    pub(super) auth_failures: u64,
    pub(super) token_refreshes: u64,
    pub(super) row_errors: u64,
    pub(super) applied_unanswered: u64,
    max_writes: u64,
    pub(super) webhooks_delivered: u64,
    pub(super) webhooks_failed: u64,
}

impl Tally {
    pub(super) fn created(&mut self, object: Object) {
        *self.created.entry(object).or_default() += 1;
    }

    pub(super) fn updated(&mut self, object: Object) {
        *self.updated.entry(object).or_default() += 1;
    }

    pub(super) fn writes(&mut self, on_one_record: u64) {
        self.max_writes = self.max_writes.max(on_one_record);
    }

    pub(super) fn answered(&mut self, status: u16) {
        *self.answers.entry(status).or_default() += 1;
        match status {
            429 => self.rate_limited += 1,
            401 | 403 => self.auth_failures += 1,
            _ => {}
        }
    }
}

/// Puts the counters and the present sizes together.
pub(super) fn report(world: &super::world::World) -> Stats {
    let tally = &world.tally;
    let named = |counts: &BTreeMap<Object, u64>| counts.iter().map(|(o, n)| (o.name().to_owned(), *n)).collect();
    let sizes = |size: &dyn Fn(Object) -> usize| {
        Object::ALL.into_iter().map(|o| (o.name().to_owned(), size(o) as u64)).collect()
    };
    Stats {
        requests: tally.requests.clone(),
        answers: tally.answers.clone(),
        records: sizes(&|o| world.table(o).live.len()),
        archived: sizes(&|o| world.table(o).archived.len()),
        created: named(&tally.created),
        updated: named(&tally.updated),
        merged: tally.merged,
        rate_limited: tally.rate_limited,
        auth_failures: tally.auth_failures,
        token_refreshes: tally.token_refreshes,
        row_errors: tally.row_errors,
        applied_unanswered: tally.applied_unanswered,
        max_writes_per_key: tally.max_writes,
        webhooks_delivered: tally.webhooks_delivered,
        webhooks_failed: tally.webhooks_failed,
    }
}

/// Counts how often the values of `property` occur among the live records.
pub(super) fn duplicates(world: &super::world::World, object: Object, property: &str) -> Duplicates {
    let rows = world.table(object).live.values();
    Duplicates::of(rows.filter_map(|row| row.snapshot().value(object, property).map(Cow::into_owned)))
}
