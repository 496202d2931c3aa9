//! Dead letters: jobs that were given up, from their burial to their end. An ended one moves to a table of its own, so that
//! whatever works on those that wait never meets it; it stays there for as long as its retention says.

use crate::conn::{Conn, Val, vals};
use crate::lanes::enqueue;
use ponte_domain::error::{CallError, ErrorClass, StoreError};
use ponte_domain::ids::{DeadLetterId, MessageId, WorkspaceId};
use ponte_domain::job::{DeadLetter, EndedLetter, JobKind, LetterEnd, NewJob};
use ponte_domain::{DAY, Millis};
use sqlx::FromRow;
use uuid::Uuid;

/// Moves dead letters that `which` names to the ended ones; `which` may use `$2`.
async fn end(
    c: &mut Conn,
    workspace: WorkspaceId,
    which: &str,
    value: Val,
    how: LetterEnd,
    now: Millis,
) -> Result<u64, StoreError> {
    c.exec(
        format!(
            "INSERT INTO dead_letter_done (workspace_id, id, kind, lane_key, scope, payload, message_id, failures, error, \
             created_at, died_at, ended_at, how) SELECT workspace_id, id, kind, lane_key, scope, payload, message_id, \
             failures, error, created_at, died_at, $3, $4 FROM dead_letter WHERE workspace_id = $1 AND {which} \
             ON CONFLICT (workspace_id, id) DO NOTHING"
        ),
        vals![workspace.0].into_iter().chain([value.clone()]).chain(vals![now, how.as_str()]).collect(),
    )
    .await?;
    c.exec(
        format!("DELETE FROM dead_letter WHERE workspace_id = $1 AND {which}"),
        vals![workspace.0].into_iter().chain([value]).collect(),
    )
    .await
}

/// A message turned out to be accepted: nobody need look at its dead letter.
pub(crate) async fn settled(
    c: &mut Conn,
    workspace: WorkspaceId,
    message: MessageId,
    now: Millis,
) -> Result<u64, StoreError> {
    // Almost always there is none: one look then, and nothing written.
    let some: Option<(Uuid,)> = c
        .first(
            "SELECT id FROM dead_letter WHERE workspace_id = $1 AND message_id = $2 LIMIT 1",
            vals![workspace.0, message.0],
        )
        .await?;
    if some.is_none() {
        return Ok(0);
    }
    end(c, workspace, "message_id = $2", Val::from(message.0), LetterEnd::Settled, now).await
}

/// Lets one go, or all.
pub(crate) async fn discard(
    c: &mut Conn,
    workspace: WorkspaceId,
    id: Option<DeadLetterId>,
    now: Millis,
) -> Result<u64, StoreError> {
    match id {
        Some(id) => end(c, workspace, "id = $2", Val::from(id.0), LetterEnd::Discarded, now).await,
        None => end(c, workspace, "died_at <= $2", Val::from(i64::MAX), LetterEnd::Discarded, now).await,
    }
}

/// Lets go those of a kind and scope that is no more.
pub(crate) async fn discard_scope(
    c: &mut Conn,
    workspace: WorkspaceId,
    kind: &'static str,
    scope: &str,
    now: Millis,
) -> Result<(), StoreError> {
    let rows: Vec<(Uuid,)> = c
        .all(
            "SELECT id FROM dead_letter WHERE workspace_id = $1 AND kind = $2 AND scope = $3",
            vals![workspace.0, kind, scope],
        )
        .await?;
    for (id,) in rows {
        end(c, workspace, "id = $2", Val::from(id), LetterEnd::Discarded, now).await?;
    }
    Ok(())
}

#[derive(FromRow)]
struct DeadRow {
    id: Uuid,
    kind: String,
    lane_key: String,
    scope: String,
    priority: i64,
    payload: String,
    message_id: Option<Uuid>,
}

/// Puts dead letters back at the end of their lanes.
pub(crate) async fn revive(
    c: &mut Conn,
    workspace: WorkspaceId,
    id: Option<DeadLetterId>,
    now: Millis,
) -> Result<u64, StoreError> {
    let mut revived = 0;
    loop {
        let rows: Vec<DeadRow> = c
            .all(
                "SELECT id, kind, lane_key, scope, priority, payload, message_id FROM dead_letter WHERE workspace_id = $1 \
                 AND ($2 OR id = $3) ORDER BY died_at, id LIMIT 200",
                vals![workspace.0, id.is_none(), id.map(|i| i.0)],
            )
            .await?;
        if rows.is_empty() {
            return Ok(revived);
        }
        for row in rows {
            let kind = JobKind::parse(&row.kind).ok_or_else(|| StoreError::Corrupt("dead_letter.kind".into()))?;
            let message = row.message_id.map(MessageId);
            if let (JobKind::Send, Some(message)) = (kind, message) {
                c.exec(
                    "UPDATE message SET phase = 'queued', error_code = NULL, error_title = NULL \
                     WHERE workspace_id = $1 AND id = $2 AND phase = 'dead'",
                    vals![workspace.0, message.0],
                )
                .await?;
            }
            let job = NewJob {
                kind,
                lane: row.lane_key,
                scope: row.scope,
                priority: row.priority,
                not_before: now,
                payload: row.payload,
                dedup: message.map(|m| m.to_string()),
            };
            enqueue(c, workspace, now, vec![job]).await?;
            revived += end(c, workspace, "id = $2", Val::from(row.id), LetterEnd::Retried, now).await?;
        }
    }
}

#[derive(FromRow)]
struct LetterRow {
    id: Uuid,
    kind: String,
    lane_key: String,
    scope: String,
    payload: String,
    message_id: Option<Uuid>,
    failures: i64,
    error: String,
    created_at: Millis,
    died_at: Millis,
}

impl LetterRow {
    const COLUMNS: &'static str =
        "id, kind, lane_key, scope, payload, message_id, failures, error, created_at, died_at";

    fn read(self) -> Result<DeadLetter, StoreError> {
        let error = serde_json::from_str(&self.error)
            .unwrap_or_else(|_| CallError::new(ErrorClass::Permanent, "unreadable", "the reason can't be read"));
        Ok(DeadLetter {
            id: DeadLetterId(self.id),
            kind: JobKind::parse(&self.kind).ok_or_else(|| StoreError::Corrupt("dead_letter.kind".into()))?,
            lane: self.lane_key,
            scope: self.scope,
            payload: self.payload,
            message: self.message_id.map(MessageId),
            failures: u32::try_from(self.failures).unwrap_or(u32::MAX),
            error,
            created_at: self.created_at,
            died_at: self.died_at,
            due_at: self.died_at + DAY,
        })
    }
}

/// Those that wait, newest first.
pub(crate) async fn waiting(c: &mut Conn, workspace: WorkspaceId, limit: i64) -> Result<Vec<DeadLetter>, StoreError> {
    let rows: Vec<LetterRow> = c
        .all(
            format!(
                "SELECT {} FROM dead_letter WHERE workspace_id = $1 ORDER BY died_at DESC, id DESC LIMIT $2",
                LetterRow::COLUMNS
            ),
            vals![workspace.0, limit],
        )
        .await?;
    rows.into_iter().map(LetterRow::read).collect()
}

#[derive(FromRow)]
struct EndedRow {
    #[sqlx(flatten)]
    letter: LetterRow,
    ended_at: Millis,
    how: String,
}

/// Those that ended, newest end first.
pub(crate) async fn ended(c: &mut Conn, workspace: WorkspaceId, limit: i64) -> Result<Vec<EndedLetter>, StoreError> {
    let rows: Vec<EndedRow> = c
        .all(
            format!(
                "SELECT {}, ended_at, how FROM dead_letter_done WHERE workspace_id = $1 ORDER BY ended_at DESC, id LIMIT $2",
                LetterRow::COLUMNS
            ),
            vals![workspace.0, limit],
        )
        .await?;
    rows.into_iter()
        .map(|row| {
            let how = LetterEnd::parse(&row.how).ok_or_else(|| StoreError::Corrupt("dead_letter_done.how".into()))?;
            Ok(EndedLetter { letter: row.letter.read()?, ended_at: row.ended_at, how })
        })
        .collect()
}
