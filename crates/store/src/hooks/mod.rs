//! Subscriptions to events, behind the `Hooks` port: the subscriptions, what is owed to them, how their targets fare.
//! May touch: the tables of migration 8, lanes of the kind `hook`, the reader `hooks` of events, the audit log.
//! Must not touch: what a target is told. That is put together by whoever pushes.
//! Failure story: a removed subscription is gone at once for everybody; what was owed to it is removed in portions, each a
//! transaction, and the next run goes on.

mod deliver;
mod rows;
mod span;

use crate::conn::{Conn, Val, vals};
use crate::store::{SqlStore, write};
use crate::{events, lanes, letters, people};
use async_trait::async_trait;
use ponte_domain::error::StoreError;
use ponte_domain::event::{Event, EventCursor};
use ponte_domain::hook::{Delivery, Hook, HookState};
use ponte_domain::ids::{HookId, WorkspaceId};
use ponte_domain::job::NewJob;
use ponte_domain::ports::hooks::{Added, HookChange, HookNews, Hooks, NewHook, Span};
use ponte_domain::ports::people::NewAudit;
use ponte_domain::ports::store::Topic;
use ponte_domain::{MINUTE, Millis};
use rows::{COLUMNS, HookRow, json_of};
use serde_json::json;
use std::sync::Arc;

/// The reader of events for all subscriptions. It stands somewhere only while there are subscriptions: else it would keep events
/// from ever being too old.
const READER: &str = "hooks";

#[async_trait]
impl Hooks for SqlStore {
    async fn hook_add(&self, workspace: WorkspaceId, new: NewHook, limit: i64) -> Result<Added, StoreError> {
        write!(self, (new), |c| add(c, workspace, &new, limit).await)
    }

    async fn hooks(&self, workspace: WorkspaceId) -> Result<Vec<Hook>, StoreError> {
        all(&mut self.reader().await?, workspace).await
    }

    async fn hook(&self, workspace: WorkspaceId, id: HookId) -> Result<Option<Hook>, StoreError> {
        one(&mut self.reader().await?, workspace, id).await
    }

    async fn hook_change(
        &self,
        workspace: WorkspaceId,
        id: HookId,
        change: HookChange,
        audit: NewAudit,
    ) -> Result<Option<Hook>, StoreError> {
        write!(self, (change, audit), |c| alter(c, workspace, id, &change, &audit).await)
    }

    async fn hook_remove(&self, workspace: WorkspaceId, id: HookId, audit: NewAudit) -> Result<bool, StoreError> {
        write!(self, (audit), |c| {
            let removed = remove(c, workspace, id, None, audit.at).await?;
            if removed {
                people::note(c, workspace, &audit).await?;
            }
            Ok(removed)
        })
    }

    async fn hooks_purge(&self, workspace: WorkspaceId, limit: i64, now: Millis) -> Result<bool, StoreError> {
        // Almost always there is nothing: one look then, and nothing written.
        let found = removed(&mut self.reader().await?, workspace, now).await?;
        match found {
            Some(id) => write!(self, (id), |c| purge(c, workspace, &id, limit, now).await),
            None => Ok(false),
        }
    }

    async fn hooks_due(&self, workspace: WorkspaceId, now: Millis) -> Result<Vec<Hook>, StoreError> {
        due(&mut self.reader().await?, workspace, now).await
    }

    async fn hook_file(&self, workspace: WorkspaceId, now: Millis, jobs: Vec<NewJob>) -> Result<(), StoreError> {
        write!(self, (jobs), |c| lanes::enqueue(c, workspace, now, jobs.to_vec()).await)
    }

    async fn events_at(&self, workspace: WorkspaceId, places: &[i64]) -> Result<Vec<Event>, StoreError> {
        events::at_places(&mut self.reader().await?, workspace, places).await
    }

    async fn events_between(&self, workspace: WorkspaceId, span: Span, limit: i64) -> Result<Vec<Event>, StoreError> {
        span::between(&mut self.reader().await?, workspace, span, limit).await
    }

    async fn hook_settle(
        &self,
        workspace: WorkspaceId,
        id: HookId,
        now: Millis,
        news: HookNews,
    ) -> Result<(Option<Hook>, u64), StoreError> {
        let node = self.node();
        write!(self, (news, node), |c| deliver::settle(c, workspace, id, &node, now, &news).await)
    }

    async fn hook_note(&self, workspace: WorkspaceId, id: HookId, delivery: Delivery) -> Result<(), StoreError> {
        write!(self, (delivery), |c| deliver::note(c, workspace, id, &delivery).await)
    }

    async fn hook_deliveries(
        &self,
        workspace: WorkspaceId,
        id: HookId,
        limit: i64,
    ) -> Result<Vec<Delivery>, StoreError> {
        deliver::list(&mut self.reader().await?, workspace, id, limit).await
    }
}

async fn all(c: &mut Conn, workspace: WorkspaceId) -> Result<Vec<Hook>, StoreError> {
    let rows: Vec<HookRow> = c
        .all(
            format!(
                "SELECT {COLUMNS} FROM hook WHERE workspace_id = $1 AND state <> 'removed' ORDER BY created_at, id"
            ),
            vals![workspace.0],
        )
        .await?;
    rows.into_iter().map(HookRow::read).collect()
}

async fn one(c: &mut Conn, workspace: WorkspaceId, id: HookId) -> Result<Option<Hook>, StoreError> {
    let row: Option<HookRow> = c
        .first(
            format!("SELECT {COLUMNS} FROM hook WHERE workspace_id = $1 AND id = $2 AND state <> 'removed'"),
            vals![workspace.0, id.to_string()],
        )
        .await?;
    row.map(HookRow::read).transpose()
}

async fn count(c: &mut Conn, workspace: WorkspaceId) -> Result<i64, StoreError> {
    let row: Option<(i64,)> = c
        .first(
            "SELECT CAST(COUNT(*) AS BIGINT) FROM hook WHERE workspace_id = $1 AND state <> 'removed'",
            vals![workspace.0],
        )
        .await?;
    Ok(row.map_or(0, |(n,)| n))
}

async fn add(c: &mut Conn, workspace: WorkspaceId, new: &NewHook, limit: i64) -> Result<Added, StoreError> {
    if let Some(key) = &new.idempotency_key {
        let before: Option<(String, String)> = c
            .first(
                "SELECT id, request_hash FROM hook WHERE workspace_id = $1 AND idempotency_key = $2",
                vals![workspace.0, key.as_str()],
            )
            .await?;
        if let Some((id, hash)) = before {
            let id = id.parse().map_err(|_| StoreError::Corrupt("hook.id".into()))?;
            let there = one(c, workspace, id).await?;
            return Ok(match there {
                Some(hook) if hash == new.request_hash => Added::Again(hook),
                _ => Added::Different,
            });
        }
    }
    let there = count(c, workspace).await?;
    if there >= limit {
        return Ok(Added::Full);
    }
    let start = head(c, workspace).await?;
    if there == 0 {
        events::move_cursor(c, workspace, READER, start).await?;
    }
    c.exec(
        "INSERT INTO hook (workspace_id, id, target_url, events, filter, secret, state, created_by, idempotency_key, \
         request_hash, start_tx, start_seq, failures, hold_until, attempts, created_at, changed_at) \
         VALUES ($1, $2, $3, $4, $5, $6, 'active', $7, $8, $9, $10, $11, 0, 0, 0, $12, $12)",
        vals![
            workspace.0,
            new.id.to_string(),
            new.target_url.as_str(),
            json_of(&new.events)?,
            json_of(&new.filter)?,
            new.secret.reveal(),
            new.created_by.as_str(),
            new.idempotency_key.clone(),
            new.request_hash.as_str(),
            start.tx,
            start.seq,
            new.at
        ],
    )
    .await?;
    let audit = NewAudit {
        at: new.at,
        who: new.created_by.clone(),
        act: "hooks.add",
        subject: Some(new.id.to_string()),
        data: json!({ "events": new.events, "filter": new.filter }).to_string(),
    };
    people::note(c, workspace, &audit).await?;
    c.touch(Topic::Hooks);
    let made = one(c, workspace, new.id).await?;
    made.map(Added::New).ok_or_else(|| StoreError::Corrupt("the subscription was not made".into()))
}

/// Where the events end that have happened. On PostgreSQL whatever a transaction does that is still open comes after it.
async fn head(c: &mut Conn, workspace: WorkspaceId) -> Result<EventCursor, StoreError> {
    let row: Option<(i64,)> = if c.is_postgres() {
        c.first("SELECT pg_snapshot_xmin(pg_current_snapshot())::text::bigint", vec![]).await?
    } else {
        c.first("SELECT seq FROM event WHERE workspace_id = $1 ORDER BY tx DESC, seq DESC LIMIT 1", vals![workspace.0])
            .await?
    };
    let at = row.map_or(0, |(at,)| at);
    Ok(if c.is_postgres() { EventCursor { tx: at - 1, seq: i64::MAX } } else { EventCursor { tx: 0, seq: at } })
}

async fn alter(
    c: &mut Conn,
    workspace: WorkspaceId,
    id: HookId,
    change: &HookChange,
    audit: &NewAudit,
) -> Result<Option<Hook>, StoreError> {
    if one(c, workspace, id).await?.is_none() {
        return Ok(None);
    }
    let set = async |c: &mut Conn, what: &str, vals: Vec<Val>| {
        let all = vals![workspace.0, id.to_string(), audit.at].into_iter().chain(vals).collect();
        c.exec(format!("UPDATE hook SET changed_at = $3, {what} WHERE workspace_id = $1 AND id = $2"), all).await
    };
    if let Some((state, reason)) = &change.state {
        set(c, "state = $4, reason = $5", vals![state.as_str(), reason.clone()]).await?;
        if *state == HookState::Active {
            set(c, "failures = 0, failing_since = NULL, hold_until = 0", vec![]).await?;
        }
    }
    if let Some(events) = &change.events {
        set(c, "events = $4", vals![json_of(events)?]).await?;
    }
    if let Some(filter) = &change.filter {
        set(c, "filter = $4", vals![json_of(filter)?]).await?;
    }
    if let Some(url) = &change.target_url {
        set(c, "target_url = $4, failures = 0, failing_since = NULL, hold_until = 0", vals![url.as_str()]).await?;
    }
    if let Some((secret, until)) = &change.secret {
        set(c, "old_secret = secret, old_secret_until = $5, secret = $4", vals![secret.reveal(), *until]).await?;
    }
    people::note(c, workspace, audit).await?;
    c.touch(Topic::Hooks);
    one(c, workspace, id).await
}

/// Takes a subscription away; false when there is none.
async fn remove(
    c: &mut Conn,
    workspace: WorkspaceId,
    id: HookId,
    reason: Option<&str>,
    now: Millis,
) -> Result<bool, StoreError> {
    let removed = c
        .exec(
            "UPDATE hook SET state = 'removed', reason = $3, changed_at = $4, idempotency_key = NULL \
             WHERE workspace_id = $1 AND id = $2 AND state <> 'removed'",
            vals![workspace.0, id.to_string(), reason.map(str::to_owned), now],
        )
        .await?;
    if removed > 0 {
        stop_reading(c, workspace).await?;
    }
    c.touch(Topic::Hooks);
    Ok(removed > 0)
}

/// Without subscriptions nobody reads.
async fn stop_reading(c: &mut Conn, workspace: WorkspaceId) -> Result<(), StoreError> {
    if count(c, workspace).await? == 0 {
        c.exec("DELETE FROM cursor_of WHERE workspace_id = $1 AND reader = $2", vals![workspace.0, READER]).await?;
    }
    Ok(())
}

/// A reader that found the subscription before it was removed has filed its jobs by then.
const GRACE: Millis = MINUTE;

/// A removed subscription of which something is to be removed now.
async fn removed(c: &mut Conn, workspace: WorkspaceId, now: Millis) -> Result<Option<String>, StoreError> {
    let row: Option<(String,)> = c
        .first(
            "SELECT id FROM hook WHERE workspace_id = $1 AND state = 'removed' AND (changed_at < $2 OR EXISTS \
             (SELECT 1 FROM lane l WHERE l.workspace_id = $1 AND l.kind = 'hook' AND l.scope = hook.id \
             AND l.priority IN (0, 1, 2))) LIMIT 1",
            vals![workspace.0, now - GRACE],
        )
        .await?;
    Ok(row.map(|(id,)| id))
}

/// The lanes of a subscription, by the index of ready lanes; `$1` is the workspace, `$2` the subscription.
const ITS_LANES: &str = "workspace_id = $1 AND kind = 'hook' AND scope = $2 AND priority IN (0, 1, 2)";

/// Removes a portion; true when there may be more.
async fn purge(c: &mut Conn, workspace: WorkspaceId, id: &str, limit: i64, now: Millis) -> Result<bool, StoreError> {
    let its = vals![workspace.0, id];
    let with_limit = || its.iter().cloned().chain(vals![limit]).collect();
    // Locked, so that nobody adds to a lane that is about to go.
    let lock = if c.is_postgres() { " ORDER BY key LIMIT $3 FOR UPDATE" } else { " LIMIT $3" };
    let lanes: Vec<(String,)> = c.all(format!("SELECT key FROM lane WHERE {ITS_LANES}{lock}"), with_limit()).await?;
    if lanes.is_empty() {
        letters::discard_scope(c, workspace, "hook", id, now).await?;
        c.exec("DELETE FROM hook_delivery WHERE workspace_id = $1 AND hook_id = $2", its.clone()).await?;
        c.exec("DELETE FROM hook WHERE workspace_id = $1 AND id = $2", its).await?;
        stop_reading(c, workspace).await?;
        return Ok(true);
    }
    let mut room = limit;
    for (key,) in lanes {
        let lane = vals![workspace.0, key.as_str()];
        let gone = c
            .exec(
                "DELETE FROM job WHERE workspace_id = $1 AND kind = 'hook' AND lane_key = $2 AND seq IN (SELECT seq FROM job \
                 WHERE workspace_id = $1 AND kind = 'hook' AND lane_key = $2 ORDER BY seq LIMIT $3)",
                lane.iter().cloned().chain(vals![room]).collect(),
            )
            .await?;
        room -= i64::try_from(gone).unwrap_or(room);
        if room <= 0 {
            break;
        }
        c.exec("DELETE FROM lane WHERE workspace_id = $1 AND kind = 'hook' AND key = $2", lane).await?;
    }
    Ok(true)
}

async fn due(c: &mut Conn, workspace: WorkspaceId, now: Millis) -> Result<Vec<Hook>, StoreError> {
    let rows: Vec<HookRow> = c
        .all(
            format!(
                "SELECT {COLUMNS} FROM hook WHERE workspace_id = $1 AND state = 'active' AND hold_until <= $2 AND EXISTS \
                 (SELECT 1 FROM lane l WHERE l.workspace_id = $1 AND l.kind = 'hook' AND l.scope = hook.id \
                 AND l.priority IN (0, 1, 2) AND l.ready_at <= $2)"
            ),
            vals![workspace.0, now],
        )
        .await?;
    rows.into_iter().map(HookRow::read).collect()
}
