//! Events: appended in the transaction that caused them, read by cursor.
//! On PostgreSQL transactions commit out of order, so a sequence alone would let a reader pass events that become visible later.
//! Every event carries its transaction's number, and a reader stops below the oldest transaction still open.

use crate::conn::{Conn, vals};
use ponte_domain::Millis;
use ponte_domain::error::StoreError;
use ponte_domain::event::{Event, EventCursor, NewEvent};
use ponte_domain::ids::{ConversationId, MessageId, PersonId, WorkspaceId};
use ponte_domain::ports::store::{Page, Topic};
use serde_json::value::RawValue;
use sqlx::FromRow;
use std::collections::{BTreeSet, HashSet};
use uuid::Uuid;

pub(crate) async fn append(c: &mut Conn, workspace: WorkspaceId, events: Vec<NewEvent>) -> Result<(), StoreError> {
    if events.is_empty() {
        return Ok(());
    }
    let mut said = HashSet::new();
    let rows = events
        .into_iter()
        .filter(|e| e.dedup.as_ref().is_none_or(|d| said.insert(d.clone())))
        .map(|e| {
            vals![
                workspace.0,
                e.kind.as_str(),
                e.at,
                e.person.map(|p| p.0),
                e.conversation.map(|c| c.0),
                e.message.map(|m| m.0),
                e.number.map(|n| n.to_string()),
                e.dedup,
                e.data
            ]
        })
        .collect();
    c.insert_many(
        "INSERT INTO event (workspace_id, kind, at, person_id, conversation_id, message_id, number_id, dedup, data)",
        "ON CONFLICT (workspace_id, dedup) WHERE dedup IS NOT NULL DO NOTHING",
        rows,
    )
    .await?;
    c.touch(Topic::Events);
    Ok(())
}

#[derive(FromRow)]
pub(crate) struct EventRow {
    tx: i64,
    seq: i64,
    kind: String,
    at: Millis,
    person_id: Option<Uuid>,
    conversation_id: Option<Uuid>,
    message_id: Option<Uuid>,
    number_id: Option<String>,
    data: String,
}

pub(crate) const COLUMNS: &str = "tx, seq, kind, at, person_id, conversation_id, message_id, number_id, data";

impl EventRow {
    pub(crate) fn read(self) -> Result<Event, StoreError> {
        Ok(Event {
            cursor: EventCursor { tx: self.tx, seq: self.seq },
            kind: self.kind,
            at: self.at,
            person: self.person_id.map(PersonId),
            conversation: self.conversation_id.map(ConversationId),
            message: self.message_id.map(MessageId),
            number: self.number_id.map(Into::into),
            data: RawValue::from_string(self.data).map_err(|_| StoreError::Corrupt("event.data".into()))?,
        })
    }
}

pub(crate) async fn after(
    c: &mut Conn,
    workspace: WorkspaceId,
    cursor: EventCursor,
    limit: i64,
) -> Result<Vec<Event>, StoreError> {
    // Asked before the events are read: what opens later has a higher number and can't be passed either.
    let horizon = if c.is_postgres() {
        let row: Option<(i64,)> =
            c.first("SELECT pg_snapshot_xmin(pg_current_snapshot())::text::bigint", vec![]).await?;
        row.map_or(0, |(xmin,)| xmin)
    } else {
        i64::MAX
    };
    let rows: Vec<EventRow> = c
        .all(
            format!(
                "SELECT {COLUMNS} FROM event WHERE workspace_id = $1 AND (tx, seq) > ($2, $3) AND tx < $4 \
                 ORDER BY tx, seq LIMIT $5"
            ),
            vals![workspace.0, cursor.tx, cursor.seq, horizon, limit],
        )
        .await?;
    rows.into_iter().map(EventRow::read).collect()
}

pub(crate) async fn recent(
    c: &mut Conn,
    workspace: WorkspaceId,
    kind: Option<&str>,
    page: Page,
) -> Result<Vec<Event>, StoreError> {
    let before = page.before.unwrap_or(i64::MAX);
    let rows: Vec<EventRow> = match kind {
        Some(kind) => {
            c.all(
                format!(
                    "SELECT {COLUMNS} FROM event WHERE workspace_id = $1 AND kind = $2 AND seq < $3 ORDER BY seq DESC LIMIT $4"
                ),
                vals![workspace.0, kind, before, page.limit],
            )
            .await?
        }
        None => {
            c.all(
                format!("SELECT {COLUMNS} FROM event WHERE workspace_id = $1 AND seq < $2 ORDER BY seq DESC LIMIT $3"),
                vals![workspace.0, before, page.limit],
            )
            .await?
        }
    };
    rows.into_iter().map(EventRow::read).collect()
}

/// Those that stand at these places.
pub(crate) async fn at_places(c: &mut Conn, workspace: WorkspaceId, places: &[i64]) -> Result<Vec<Event>, StoreError> {
    let rows: Vec<EventRow> = c
        .select_in(
            &format!("SELECT {COLUMNS} FROM event WHERE workspace_id = $1 AND "),
            &["seq"],
            "",
            vals![workspace.0],
            places.iter().map(|seq| vals![*seq]).collect(),
        )
        .await?;
    rows.into_iter().map(EventRow::read).collect()
}

/// What happened to these people, newest first.
pub(crate) async fn of_people(
    c: &mut Conn,
    workspace: WorkspaceId,
    people: &BTreeSet<PersonId>,
    limit: i64,
) -> Result<Vec<Event>, StoreError> {
    let mut events = Vec::new();
    for person in people {
        let rows: Vec<EventRow> = c
            .all(
                format!(
                    "SELECT {COLUMNS} FROM event WHERE workspace_id = $1 AND person_id = $2 ORDER BY seq DESC LIMIT $3"
                ),
                vals![workspace.0, person.0, limit],
            )
            .await?;
        events.extend(rows.into_iter().map(EventRow::read).collect::<Result<Vec<_>, _>>()?);
    }
    events.sort_by_key(|e| std::cmp::Reverse(e.cursor.seq));
    events.truncate(usize::try_from(limit).unwrap_or(0));
    Ok(events)
}

pub(crate) async fn cursor(
    c: &mut Conn,
    workspace: WorkspaceId,
    reader: &str,
) -> Result<Option<EventCursor>, StoreError> {
    let row: Option<(i64, i64)> = c
        .first("SELECT tx, seq FROM cursor_of WHERE workspace_id = $1 AND reader = $2", vals![workspace.0, reader])
        .await?;
    Ok(row.map(|(tx, seq)| EventCursor { tx, seq }))
}

pub(crate) async fn move_cursor(
    c: &mut Conn,
    workspace: WorkspaceId,
    reader: &str,
    cursor: EventCursor,
) -> Result<(), StoreError> {
    c.exec(
        "INSERT INTO cursor_of (workspace_id, reader, tx, seq) VALUES ($1, $2, $3, $4) \
         ON CONFLICT (workspace_id, reader) DO UPDATE SET tx = excluded.tx, seq = excluded.seq",
        vals![workspace.0, reader, cursor.tx, cursor.seq],
    )
    .await?;
    Ok(())
}
