//! Settling calls to targets: jobs end, the newest calls are kept, and the subscription learns how its target fares.

use super::{one, remove};
use crate::conn::{Conn, vals};
use crate::{events, lanes, people};
use ponte_domain::Millis;
use ponte_domain::error::StoreError;
use ponte_domain::event::{EventKind, NewEvent};
use ponte_domain::hook::{Delivery, Hook};
use ponte_domain::ids::{HookId, WorkspaceId};
use ponte_domain::ports::hooks::HookNews;
use serde_json::json;
use sqlx::FromRow;

/// Calls that are kept of each subscription.
const KEPT: i64 = 100;

pub(super) async fn settle(
    c: &mut Conn,
    workspace: WorkspaceId,
    id: HookId,
    node: &str,
    now: Millis,
    news: &HookNews,
) -> Result<(Option<Hook>, u64), StoreError> {
    // That a call was made is true whoever has the lane.
    let made: Vec<&Delivery> = news.ends.iter().filter_map(|e| e.delivery.as_ref()).collect();
    keep(c, workspace, id, &made).await?;
    fares(c, workspace, id, now, news, &made).await?;
    let held = lanes::fenced(c, workspace, node, news.ends.iter().map(|e| &e.lane)).await?;
    let (ours, lost): (Vec<_>, Vec<_>) = news.ends.iter().partition(|e| lanes::is_ours(&held, &e.lane));
    let jobs = ours.into_iter().map(|e| (e.lane.clone(), e.seq, e.end.clone())).collect();
    lanes::settle(c, workspace, now, jobs).await?;
    Ok((one(c, workspace, id).await?, lost.len() as u64))
}

/// What the calls say of the target: it takes what it is given, it fails, it has failed for too long, it is gone.
async fn fares(
    c: &mut Conn,
    workspace: WorkspaceId,
    id: HookId,
    now: Millis,
    news: &HookNews,
    made: &[&Delivery],
) -> Result<(), StoreError> {
    if let Some((audit, event)) = &news.gone {
        if remove(c, workspace, id, Some("its target answered 410: gone"), now).await? {
            people::note(c, workspace, audit).await?;
            events::append(c, workspace, vec![event.clone()]).await?;
        }
        return Ok(());
    }
    let taken = made.iter().rposition(|d| d.error.is_none());
    let failed_since = made.len() - taken.map_or(0, |at| at + 1);
    if taken.is_some() {
        c.exec(
            "UPDATE hook SET failures = 0, failing_since = NULL, delivered_at = $3 WHERE workspace_id = $1 AND id = $2",
            vals![workspace.0, id.to_string(), now],
        )
        .await?;
    }
    if failed_since == 0 && news.hold_until == 0 {
        return Ok(());
    }
    c.exec(
        "UPDATE hook SET failures = failures + $3, hold_until = CASE WHEN hold_until < $5 THEN $5 ELSE hold_until END, \
         failing_since = CASE WHEN failing_since IS NULL AND $3 > 0 THEN $4 ELSE failing_since END \
         WHERE workspace_id = $1 AND id = $2",
        vals![workspace.0, id.to_string(), failed_since as i64, now, news.hold_until],
    )
    .await?;
    let reason =
        "its target took nothing for so long that events are no longer gathered; resume it once the target answers";
    let disabled = c
        .exec(
            "UPDATE hook SET state = 'disabled', reason = $4, changed_at = $5 WHERE workspace_id = $1 AND id = $2 \
             AND state = 'active' AND failing_since <= $3",
            vals![workspace.0, id.to_string(), news.disable_before, reason, now],
        )
        .await?;
    if disabled > 0 {
        let hook = one(c, workspace, id).await?;
        let data = json!({ "hook": id, "failing_since": hook.as_ref().and_then(|h| h.failing_since),
            "failures": hook.as_ref().map(|h| h.failures), "last_error": made.last().and_then(|d| d.error.as_deref()) });
        events::append(c, workspace, vec![told(EventKind::HookDisabled, now, &data)]).await?;
    }
    Ok(())
}

fn told(kind: EventKind, at: Millis, data: &serde_json::Value) -> NewEvent {
    let data = data.to_string();
    NewEvent { kind, at, person: None, conversation: None, message: None, number: None, dedup: None, data }
}

pub(super) async fn note(
    c: &mut Conn,
    workspace: WorkspaceId,
    id: HookId,
    delivery: &Delivery,
) -> Result<(), StoreError> {
    keep(c, workspace, id, &[delivery]).await
}

async fn keep(c: &mut Conn, workspace: WorkspaceId, id: HookId, made: &[&Delivery]) -> Result<(), StoreError> {
    if made.is_empty() {
        return Ok(());
    }
    let counted: Option<(i64,)> = c
        .first(
            "UPDATE hook SET attempts = attempts + $3 WHERE workspace_id = $1 AND id = $2 AND state <> 'removed' \
             RETURNING attempts",
            vals![workspace.0, id.to_string(), made.len() as i64],
        )
        .await?;
    // Removed meanwhile: nobody will ask.
    let Some((last,)) = counted else { return Ok(()) };
    let newest = made.iter().rev().take(KEPT as usize).enumerate();
    let rows = newest.map(|(back, d)| {
        let number = last - back as i64;
        vals![
            workspace.0,
            id.to_string(),
            number.rem_euclid(KEPT),
            number,
            d.event.to_string(),
            d.kind.as_str(),
            d.at,
            d.attempt,
            d.status,
            d.duration_ms,
            d.error.clone()
        ]
    });
    c.insert_many(
        "INSERT INTO hook_delivery (workspace_id, hook_id, slot, number, event_id, kind, at, attempt, status, duration_ms, error)",
        "ON CONFLICT (workspace_id, hook_id, slot) DO UPDATE SET number = excluded.number, event_id = excluded.event_id, \
         kind = excluded.kind, at = excluded.at, attempt = excluded.attempt, status = excluded.status, \
         duration_ms = excluded.duration_ms, error = excluded.error",
        rows.collect(),
    )
    .await?;
    Ok(())
}

#[derive(FromRow)]
struct DeliveryRow {
    number: i64,
    event_id: String,
    kind: String,
    at: Millis,
    attempt: i64,
    status: Option<i64>,
    duration_ms: Millis,
    error: Option<String>,
}

pub(super) async fn list(
    c: &mut Conn,
    workspace: WorkspaceId,
    id: HookId,
    limit: i64,
) -> Result<Vec<Delivery>, StoreError> {
    let rows: Vec<DeliveryRow> = c
        .all(
            "SELECT number, event_id, kind, at, attempt, status, duration_ms, error FROM hook_delivery \
             WHERE workspace_id = $1 AND hook_id = $2 ORDER BY number DESC LIMIT $3",
            vals![workspace.0, id.to_string(), limit],
        )
        .await?;
    rows.into_iter()
        .map(|r| {
            Ok(Delivery {
                number: r.number,
                event: r.event_id.parse().map_err(|_| StoreError::Corrupt("hook_delivery.event_id".into()))?,
                kind: r.kind,
                at: r.at,
                attempt: r.attempt,
                status: r.status,
                duration_ms: r.duration_ms,
                error: r.error,
            })
        })
        .collect()
}
