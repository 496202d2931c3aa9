//! Rows of subscriptions.

use ponte_domain::Millis;
use ponte_domain::error::StoreError;
use ponte_domain::event::EventCursor;
use ponte_domain::hook::{Hook, HookState, Secret, Secrets, Selection};
use serde::Serialize;
use sqlx::FromRow;

pub(super) const COLUMNS: &str = "id, target_url, events, filter, secret, old_secret, old_secret_until, state, reason, created_by, \
     start_tx, start_seq, failures, failing_since, delivered_at, hold_until, attempts, created_at, changed_at";

#[derive(FromRow)]
pub(super) struct HookRow {
    id: String,
    target_url: String,
    events: String,
    filter: String,
    secret: String,
    old_secret: Option<String>,
    old_secret_until: Option<Millis>,
    state: String,
    reason: Option<String>,
    created_by: String,
    start_tx: i64,
    start_seq: i64,
    failures: i64,
    failing_since: Option<Millis>,
    delivered_at: Option<Millis>,
    hold_until: Millis,
    attempts: i64,
    created_at: Millis,
    changed_at: Millis,
}

impl HookRow {
    pub(super) fn read(self) -> Result<Hook, StoreError> {
        let corrupt = |what: &str| StoreError::Corrupt(format!("hook.{what}"));
        let secret = |text: &str| Secret::parse(text).ok_or_else(|| corrupt("secret"));
        let old = self.old_secret.as_deref().map(secret).transpose()?;
        Ok(Hook {
            id: self.id.parse().map_err(|_| corrupt("id"))?,
            target_url: self.target_url,
            events: Selection::stored(serde_json::from_str(&self.events).map_err(|_| corrupt("events"))?),
            filter: serde_json::from_str(&self.filter).map_err(|_| corrupt("filter"))?,
            state: HookState::parse(&self.state).ok_or_else(|| corrupt("state"))?,
            reason: self.reason,
            created_by: self.created_by,
            created_at: self.created_at,
            changed_at: self.changed_at,
            failures: self.failures,
            failing_since: self.failing_since,
            delivered_at: self.delivered_at,
            hold_until: self.hold_until,
            attempts: self.attempts,
            start: EventCursor { tx: self.start_tx, seq: self.start_seq },
            secrets: Secrets { current: secret(&self.secret)?, previous: old.zip(self.old_secret_until) },
        })
    }
}

pub(super) fn json_of(value: &impl Serialize) -> Result<String, StoreError> {
    serde_json::to_string(value).map_err(|e| StoreError::Corrupt(e.to_string()))
}
