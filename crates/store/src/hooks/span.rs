//! Events of a time. They are numbered in about the order of their times, so the first is found by halving, without an index by
//! time that every event would have to be entered in.

use crate::conn::{Conn, vals};
use crate::events::{self, EventRow};
use ponte_domain::error::StoreError;
use ponte_domain::event::Event;
use ponte_domain::ids::WorkspaceId;
use ponte_domain::ports::hooks::Span;
use ponte_domain::{MINUTE, Millis};

/// Numbers and times may disagree by so much: transactions take their time, and clocks of nodes differ.
const SLACK: Millis = MINUTE;

pub(super) async fn between(
    c: &mut Conn,
    workspace: WorkspaceId,
    span: Span,
    limit: i64,
) -> Result<Vec<Event>, StoreError> {
    let after = match span.after {
        Some(after) => after,
        None => first(c, workspace, span.since.saturating_sub(SLACK)).await? - 1,
    };
    let Some(last) = edge(c, workspace, "DESC").await? else { return Ok(Vec::new()) };
    let end = first(c, workspace, span.until.saturating_add(SLACK)).await?.min(last + 1);
    let rows: Vec<EventRow> = c
        .all(
            format!(
                "SELECT {} FROM event WHERE workspace_id = $1 AND seq > $2 AND seq < $3 AND at >= $4 AND at < $5 \
                 ORDER BY seq LIMIT $6",
                events::COLUMNS
            ),
            vals![workspace.0, after, end, span.since, span.until, limit],
        )
        .await?;
    rows.into_iter().map(EventRow::read).collect()
}

/// The number of the first or last event.
async fn edge(c: &mut Conn, workspace: WorkspaceId, way: &str) -> Result<Option<i64>, StoreError> {
    let row: Option<(i64,)> = c
        .first(
            format!("SELECT seq FROM event WHERE workspace_id = $1 ORDER BY tx {way}, seq {way} LIMIT 1"),
            vals![workspace.0],
        )
        .await?;
    Ok(row.map(|(seq,)| seq))
}

/// A number below which all events are older than `at`, as far as numbers follow times; above the last when all are.
async fn first(c: &mut Conn, workspace: WorkspaceId, at: Millis) -> Result<i64, StoreError> {
    let (Some(mut low), Some(last)) = (edge(c, workspace, "ASC").await?, edge(c, workspace, "DESC").await?) else {
        return Ok(0);
    };
    let mut high = last + 1;
    while low < high {
        let middle = low + (high - low) / 2;
        let next: Option<(i64, Millis)> = c
            .first(
                "SELECT seq, at FROM event WHERE workspace_id = $1 AND seq >= $2 ORDER BY seq LIMIT 1",
                vals![workspace.0, middle],
            )
            .await?;
        match next {
            Some((seq, then)) if then < at && seq < high => low = seq + 1,
            _ => high = middle,
        }
    }
    Ok(low)
}
