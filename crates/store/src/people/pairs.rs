//! Pairs of people who may be one, until a person or a merge decides.

use super::merge::words;
use crate::conn::{Conn, vals};
use ponte_domain::Millis;
use ponte_domain::error::StoreError;
use ponte_domain::ids::{PersonId, WorkspaceId};
use ponte_domain::ports::people::DuplicatePair;
use sqlx::FromRow;
use uuid::Uuid;

pub(crate) async fn file(c: &mut Conn, workspace: WorkspaceId, pairs: &[DuplicatePair]) -> Result<u64, StoreError> {
    let rows = pairs
        .iter()
        .map(|p| vals![workspace.0, p.a.0, p.b.0, p.score, p.reasons.join(","), "open", p.found_at])
        .collect();
    c.insert_many(
        "INSERT INTO duplicate_pair (workspace_id, a, b, score, reasons, state, found_at)",
        "ON CONFLICT (workspace_id, a, b) DO NOTHING",
        rows,
    )
    .await
}

#[derive(FromRow)]
struct PairRow {
    a: Uuid,
    b: Uuid,
    score: i64,
    reasons: String,
    found_at: Millis,
}

/// Open pairs whose people are both still there.
pub(crate) async fn open(c: &mut Conn, workspace: WorkspaceId, limit: i64) -> Result<Vec<DuplicatePair>, StoreError> {
    let rows: Vec<PairRow> = c
        .all(
            "SELECT d.a, d.b, d.score, d.reasons, d.found_at FROM duplicate_pair d \
             JOIN person x ON x.workspace_id = d.workspace_id AND x.id = d.a AND x.merged_into IS NULL \
             JOIN person y ON y.workspace_id = d.workspace_id AND y.id = d.b AND y.merged_into IS NULL \
             WHERE d.workspace_id = $1 AND d.state = 'open' ORDER BY d.score DESC, d.a, d.b LIMIT $2",
            vals![workspace.0, limit],
        )
        .await?;
    Ok(rows
        .into_iter()
        .map(|r| DuplicatePair {
            a: PersonId(r.a),
            b: PersonId(r.b),
            score: r.score,
            reasons: words(&r.reasons),
            found_at: r.found_at,
        })
        .collect())
}

/// Pairs that were decided to be two people.
pub(crate) async fn apart(c: &mut Conn, workspace: WorkspaceId) -> Result<Vec<(PersonId, PersonId)>, StoreError> {
    let rows: Vec<(Uuid, Uuid)> = c
        .all("SELECT a, b FROM duplicate_pair WHERE workspace_id = $1 AND state = 'apart'", vals![workspace.0])
        .await?;
    Ok(rows.into_iter().map(|(a, b)| (PersonId(a), PersonId(b))).collect())
}
