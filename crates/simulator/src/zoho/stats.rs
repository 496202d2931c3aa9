//! Counters that a test asks for afterwards.
//! May touch: its own counters. Must not touch: records.

use super::world::{ModuleNo, World};
use crate::duplicates::Duplicates;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// What happened since the start or the last reset.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Stats {
    /// Requests by endpoint, ids left out (`POST Contacts/upsert`), control requests not counted.
    pub requests: BTreeMap<String, u64>,
    /// Answers by status; 0 for answers that never came.
    pub answers: BTreeMap<u16, u64>,
    /// Live records by module.
    pub records: BTreeMap<String, u64>,
    /// Records made, by module.
    pub created: BTreeMap<String, u64>,
    /// Changes of existing records, by module.
    pub updated: BTreeMap<String, u64>,
    /// Records deleted, by module.
    pub deleted: BTreeMap<String, u64>,
    /// Merged pairs.
    pub merged: u64,
    /// Credits spent within the last 24 hours.
    pub credits_spent: u32,
    /// Credits left.
    pub credits_left: u32,
    /// Most calls that were under way at once.
    pub most_active: u32,
    /// 429 answers, injected ones included.
    pub rate_limited: u64,
    /// 401 and 403 answers.
    pub auth_failures: u64,
    /// Access tokens given out for refresh tokens.
    pub token_refreshes: u64,
    /// Refreshes refused because there were too many.
    pub token_refreshes_refused: u64,
    /// Rows that failed.
    pub row_errors: u64,
    /// Values of fields that the module doesn't have, taken and forgotten. 0 proves that a mapping fits.
    pub ignored_fields: u64,
    /// Rows whose write let the organisation's workflows run, because `trigger` didn't say otherwise.
    pub workflows_run: u64,
    /// Writes that were applied although their answer was withheld or said the opposite.
    pub applied_unanswered: u64,
    /// Most writes that hit one record, its creation included.
    pub max_writes_per_record: u64,
    /// Notification channels that live.
    pub channels: u64,
    /// Notifications that the receiver took.
    pub notified: u64,
    /// Notifications that the receiver didn't take, or that were lost on purpose.
    pub notifications_failed: u64,
}

/// The counters while the run goes on.
#[derive(Debug, Default)]
pub(super) struct Tally {
    pub(super) requests: BTreeMap<String, u64>,
    answers: BTreeMap<u16, u64>,
    created: BTreeMap<String, u64>,
    updated: BTreeMap<String, u64>,
    deleted: BTreeMap<String, u64>,
    pub(super) merged: u64,
    pub(super) row_errors: u64,
    pub(super) ignored_fields: u64,
    pub(super) workflows_run: u64,
    pub(super) applied_unanswered: u64,
    max_writes: u64,
    pub(super) notified: u64,
    pub(super) notifications_failed: u64,
}

impl Tally {
    pub(super) fn wrote(&mut self, module: &str, created: bool) {
        let counts = if created { &mut self.created } else { &mut self.updated };
        count(counts, module);
    }

    pub(super) fn deleted(&mut self, module: &str) {
        count(&mut self.deleted, module);
    }

    pub(super) fn writes(&mut self, on_one_record: u64) {
        self.max_writes = self.max_writes.max(on_one_record);
    }

    pub(super) fn answered(&mut self, status: u16) {
        *self.answers.entry(status).or_default() += 1;
    }
}

fn count(counts: &mut BTreeMap<String, u64>, name: &str) {
    // A hundred thousand rows don't need as many copies of the module's name.
    match counts.get_mut(name) {
        Some(n) => *n += 1,
        None => {
            counts.insert(name.to_owned(), 1);
        }
    }
}

/// Puts the counters and the present sizes together.
pub(super) fn report(world: &mut World, now: i64) -> Stats {
    let spent = world.budget.spent(now);
    let tally = &world.tally;
    let answers = |wanted: &[u16]| wanted.iter().filter_map(|status| tally.answers.get(status)).sum();
    let sizes = world.stores.iter().map(|store| (store.module.api_name.to_string(), store.table.live.len() as u64));
    Stats {
        requests: tally.requests.clone(),
        answers: tally.answers.clone(),
        records: sizes.collect(),
        created: tally.created.clone(),
        updated: tally.updated.clone(),
        deleted: tally.deleted.clone(),
        merged: tally.merged,
        credits_spent: spent,
        credits_left: world.limits.credits.saturating_sub(spent),
        most_active: world.budget.most_active,
        rate_limited: answers(&[429]),
        auth_failures: answers(&[401, 403]),
        token_refreshes: world.auth.refreshes,
        token_refreshes_refused: world.auth.refreshes_refused,
        row_errors: tally.row_errors,
        ignored_fields: tally.ignored_fields,
        workflows_run: tally.workflows_run,
        applied_unanswered: tally.applied_unanswered,
        max_writes_per_record: tally.max_writes,
        channels: world.channels.living(now) as u64,
        notified: tally.notified,
        notifications_failed: tally.notifications_failed,
    }
}

/// Counts how often the values of `field` occur among the live records; `None` when there is no such field.
pub(super) fn duplicates(world: &World, no: ModuleNo, field: &str) -> Option<Duplicates> {
    let store = world.stores.get(no)?;
    let number = store.module.number(field)?;
    let rows = store.table.live.values();
    Some(Duplicates::of(rows.filter_map(|row| row.get(number)).map(ToString::to_string)))
}
