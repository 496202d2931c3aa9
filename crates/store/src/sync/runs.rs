//! Runs and what was left out.

use crate::conn::{Conn, Val, vals};
use ponte_domain::Millis;
use ponte_domain::error::StoreError;
use ponte_domain::ids::{ConnectionId, PersonId, WorkspaceId};
use ponte_domain::mapping::Skip;
use ponte_domain::mapping::pull::Counts;
use ponte_domain::ports::sync::{RunKind, Skipped, SyncRun};
use sqlx::FromRow;
use std::collections::HashSet;
use uuid::Uuid;

#[derive(FromRow)]
struct RunRow {
    id: Uuid,
    connection: String,
    kind: String,
    started_at: Millis,
    changed_at: Millis,
    finished_at: Option<Millis>,
    seen: i64,
    created: i64,
    changed: i64,
    told: i64,
    skipped: i64,
    gone: i64,
    differed: i64,
    calls: i64,
    lag_ms: Option<Millis>,
    error: Option<String>,
}

const RUN: &str = "id, connection, kind, started_at, changed_at, finished_at, seen, created, changed, told, skipped, gone, \
                   differed, calls, lag_ms, error";

pub(super) async fn begin(
    c: &mut Conn,
    workspace: WorkspaceId,
    connection: &ConnectionId,
    run: Uuid,
    kind: RunKind,
    now: Millis,
) -> Result<(), StoreError> {
    c.exec(
        "INSERT INTO crm_run (workspace_id, id, connection, kind, started_at, changed_at, seen, created, changed, told, skipped, \
         gone, differed, calls) VALUES ($1, $2, $3, $4, $5, $5, 0, 0, 0, 0, 0, 0, 0, 0)",
        vals![workspace.0, run, connection.as_str(), kind.as_str(), now],
    )
    .await?;
    Ok(())
}

/// A run moved on.
pub(super) async fn count(
    c: &mut Conn,
    workspace: WorkspaceId,
    run: Uuid,
    counts: &Counts,
    more: (i64, i64, i64, Option<Millis>),
    now: Millis,
) -> Result<(), StoreError> {
    let n = |n: u64| i64::try_from(n).unwrap_or(i64::MAX);
    let (told, differed, calls, lag) = more;
    c.exec(
        "UPDATE crm_run SET seen = seen + $3, created = created + $4, changed = changed + $5, told = told + $6, \
         skipped = skipped + $7, gone = gone + $8, differed = differed + $9, calls = calls + $10, \
         lag_ms = COALESCE($11, lag_ms), changed_at = $12 WHERE workspace_id = $1 AND id = $2",
        vals![
            workspace.0,
            run,
            n(counts.seen),
            n(counts.created),
            n(counts.changed),
            told,
            n(counts.skipped),
            n(counts.gone),
            differed,
            calls,
            lag,
            now
        ],
    )
    .await?;
    Ok(())
}

pub(super) async fn end(
    c: &mut Conn,
    workspace: WorkspaceId,
    run: Uuid,
    error: Option<&str>,
    calls: i64,
    now: Millis,
) -> Result<(), StoreError> {
    c.exec(
        "UPDATE crm_run SET finished_at = $3, changed_at = $3, error = $4, calls = calls + $5 \
         WHERE workspace_id = $1 AND id = $2",
        vals![workspace.0, run, now, error.map(str::to_owned), calls],
    )
    .await?;
    Ok(())
}

pub(super) async fn list(
    c: &mut Conn,
    workspace: WorkspaceId,
    connection: Option<&ConnectionId>,
    limit: i64,
) -> Result<Vec<SyncRun>, StoreError> {
    let rows: Vec<RunRow> = match connection {
        Some(connection) => {
            let sql = format!(
                "SELECT {RUN} FROM crm_run WHERE workspace_id = $1 AND connection = $2 ORDER BY started_at DESC LIMIT $3"
            );
            c.all(sql, vals![workspace.0, connection.as_str(), limit]).await?
        }
        None => {
            let sql = format!("SELECT {RUN} FROM crm_run WHERE workspace_id = $1 ORDER BY started_at DESC LIMIT $2");
            c.all(sql, vals![workspace.0, limit]).await?
        }
    };
    Ok(rows
        .into_iter()
        .map(|r| SyncRun {
            id: r.id,
            connection: r.connection,
            kind: r.kind,
            started_at: r.started_at,
            changed_at: r.changed_at,
            finished_at: r.finished_at,
            seen: r.seen,
            created: r.created,
            changed: r.changed,
            told: r.told,
            skipped: r.skipped,
            gone: r.gone,
            differed: r.differed,
            calls: r.calls,
            lag_ms: r.lag_ms,
            error: r.error,
        })
        .collect())
}

/// Files what was left out of records; those of which nothing was are taken off the list.
pub(crate) async fn file(
    c: &mut Conn,
    workspace: WorkspaceId,
    connection: &ConnectionId,
    skips: &[(String, Option<PersonId>, Vec<Skip>)],
    now: Millis,
) -> Result<(), StoreError> {
    let known: Vec<(String,)> = c
        .select_in(
            "SELECT crm_id FROM crm_skip WHERE workspace_id = $1 AND connection = $2 AND ",
            &["crm_id"],
            "",
            vals![workspace.0, connection.as_str()],
            skips.iter().map(|(record, ..)| vals![record.as_str()]).collect(),
        )
        .await?;
    let known: HashSet<String> = known.into_iter().map(|(record,)| record).collect();
    let (mut rows, mut fine): (Vec<Vec<Val>>, Vec<Vec<Val>>) = (Vec::new(), Vec::new());
    let mut said = HashSet::new();
    // Said twice in a page, the last word counts.
    for (record, person, reasons) in skips.iter().rev().filter(|(record, ..)| said.insert(record)) {
        if reasons.is_empty() {
            fine.extend(known.contains(record).then(|| vals![record.as_str()]));
            continue;
        }
        let text = serde_json::to_string(reasons).map_err(|_| StoreError::Corrupt("crm_skip.skips".into()))?;
        rows.push(vals![workspace.0, connection.as_str(), record.as_str(), person.map(|p| p.0), now, text]);
    }
    remove(c, workspace, connection, fine).await?;
    c.insert_many(
        "INSERT INTO crm_skip (workspace_id, connection, crm_id, person_id, at, skips)",
        "ON CONFLICT (workspace_id, connection, crm_id) DO UPDATE SET person_id = excluded.person_id, \
         at = CASE WHEN crm_skip.skips = excluded.skips THEN crm_skip.at ELSE excluded.at END, skips = excluded.skips",
        rows,
    )
    .await?;
    Ok(())
}

/// Takes records off the list.
pub(super) async fn remove(
    c: &mut Conn,
    workspace: WorkspaceId,
    connection: &ConnectionId,
    records: Vec<Vec<Val>>,
) -> Result<(), StoreError> {
    c.change_many(
        "crm_id",
        "DELETE FROM crm_skip WHERE workspace_id = $1 AND connection = $2 AND crm_id IN (SELECT crm_id FROM v)",
        vals![workspace.0, connection.as_str()],
        records,
    )
    .await?;
    Ok(())
}

pub(super) async fn skipped(
    c: &mut Conn,
    workspace: WorkspaceId,
    connection: Option<&ConnectionId>,
    limit: i64,
) -> Result<Vec<Skipped>, StoreError> {
    type Row = (String, String, Option<Uuid>, Millis, String);
    let rows: Vec<Row> = c
        .all(
            "SELECT connection, crm_id, person_id, at, skips FROM crm_skip WHERE workspace_id = $1 \
             AND ($2 = '' OR connection = $2) ORDER BY at DESC LIMIT $3",
            vals![workspace.0, connection.map_or("", ConnectionId::as_str), limit],
        )
        .await?;
    rows.into_iter()
        .map(|(connection, record, person, at, skips)| {
            let skips = serde_json::from_str(&skips).map_err(|_| StoreError::Corrupt("crm_skip.skips".into()))?;
            Ok(Skipped { connection, record, person: person.map(PersonId), at, skips })
        })
        .collect()
}
