//! The journal: webhook bodies as they came. Bodies that wait together make one segment, one row, one sync.
//! A segment's body: for each entry `received_at` (8 bytes, little end first), length (4 bytes), bytes.

use crate::conn::{Conn, vals};
use bytes::Bytes;
use ponte_domain::Millis;
use ponte_domain::error::StoreError;
use ponte_domain::ids::WorkspaceId;
use ponte_domain::ports::store::{JournalEntry, Segment, Topic};

/// Writes one segment; durable with the transaction.
pub(crate) async fn append(c: &mut Conn, workspace: WorkspaceId, entries: &[JournalEntry]) -> Result<(), StoreError> {
    let Some(first) = entries.first() else { return Ok(()) };
    let count = i64::try_from(entries.len()).unwrap_or(i64::MAX);
    let row: Option<(i64,)> = c
        .first(
            "INSERT INTO journal (workspace_id, received_at, entries, body) VALUES ($1, $2, $3, $4) RETURNING seq",
            vals![workspace.0, first.received_at, count, encode(entries)],
        )
        .await?;
    let seq = row.map(|(seq,)| seq).ok_or_else(|| StoreError::Corrupt("no sequence for a segment".into()))?;
    c.exec(
        "INSERT INTO journal_pending (workspace_id, seq, received_at) VALUES ($1, $2, $3)",
        vals![workspace.0, seq, first.received_at],
    )
    .await?;
    c.touch(Topic::Journal);
    Ok(())
}

/// Writes one segment in a transaction of its own, on SQLite, in one go: what a burst of webhooks needs most.
/// A failure leaves the transaction open; the caller rolls it back.
pub(crate) async fn commit_one(
    c: &mut Conn,
    workspace: WorkspaceId,
    entries: &[JournalEntry],
) -> Result<(), StoreError> {
    let Some(first) = entries.first() else { return Ok(()) };
    let count = i64::try_from(entries.len()).unwrap_or(i64::MAX);
    c.exec(
        "BEGIN IMMEDIATE; \
         INSERT INTO journal (workspace_id, received_at, entries, body) VALUES ($1, $2, $3, $4); \
         INSERT INTO journal_pending (workspace_id, seq, received_at) VALUES ($1, last_insert_rowid(), $2); \
         COMMIT",
        vals![workspace.0, first.received_at, count, encode(entries)],
    )
    .await?;
    c.touch(Topic::Journal);
    Ok(())
}

pub(crate) async fn pending(
    c: &mut Conn,
    workspace: WorkspaceId,
    max_bytes: usize,
) -> Result<Vec<Segment>, StoreError> {
    // Sizes first, so that a backlog of large bodies is not loaded at once.
    let sizes: Vec<(i64, i64)> = c
        .all(
            "SELECT p.seq, CAST(LENGTH(j.body) AS BIGINT) FROM journal_pending p JOIN journal j ON j.seq = p.seq \
             WHERE p.workspace_id = $1 ORDER BY p.seq LIMIT 64",
            vals![workspace.0],
        )
        .await?;
    let mut room = i64::try_from(max_bytes).unwrap_or(i64::MAX);
    let mut wanted = Vec::new();
    for (seq, size) in sizes {
        if room <= 0 {
            break;
        }
        room -= size;
        wanted.push(vals![seq]);
    }
    let rows: Vec<(i64, Vec<u8>)> =
        c.select_in("SELECT seq, body FROM journal WHERE seq IN (VALUES ", "", vec![], wanted).await?;
    let mut segments = rows.into_iter().map(|(seq, body)| segment(seq, body)).collect::<Result<Vec<_>, _>>()?;
    segments.sort_by_key(|s| s.seq);
    segments.dedup_by_key(|s| s.seq);
    Ok(segments)
}

pub(crate) async fn read(
    c: &mut Conn,
    workspace: WorkspaceId,
    after: i64,
    limit: i64,
) -> Result<Vec<Segment>, StoreError> {
    let rows: Vec<(i64, Vec<u8>)> = c
        .all(
            "SELECT seq, body FROM journal WHERE workspace_id = $1 AND seq > $2 ORDER BY seq LIMIT $3",
            vals![workspace.0, after, limit],
        )
        .await?;
    rows.into_iter().map(|(seq, body)| segment(seq, body)).collect()
}

/// Marks segments as ingested. Tells how many were still pending.
pub(crate) async fn mark(c: &mut Conn, workspace: WorkspaceId, segments: &[i64]) -> Result<u64, StoreError> {
    let mut marked = 0;
    for seq in segments {
        marked += c
            .exec("DELETE FROM journal_pending WHERE workspace_id = $1 AND seq = $2", vals![workspace.0, *seq])
            .await?;
    }
    Ok(marked)
}

/// Removes a bounded number of old, ingested segments.
pub(crate) async fn trim(c: &mut Conn, workspace: WorkspaceId, before: Millis) -> Result<u64, StoreError> {
    c.exec(
        "DELETE FROM journal WHERE seq IN (SELECT j.seq FROM journal j WHERE j.workspace_id = $1 AND j.received_at < $2 \
         AND NOT EXISTS (SELECT 1 FROM journal_pending p WHERE p.workspace_id = $1 AND p.seq = j.seq) \
         ORDER BY j.received_at LIMIT 500)",
        vals![workspace.0, before],
    )
    .await
}

fn encode(entries: &[JournalEntry]) -> Vec<u8> {
    let size = entries.iter().map(|e| e.body.len() + 12).sum();
    let mut out = Vec::with_capacity(size);
    for entry in entries {
        out.extend_from_slice(&entry.received_at.to_le_bytes());
        out.extend_from_slice(&u32::try_from(entry.body.len()).unwrap_or(u32::MAX).to_le_bytes());
        out.extend_from_slice(&entry.body);
    }
    out
}

fn segment(seq: i64, body: Vec<u8>) -> Result<Segment, StoreError> {
    let broken = || StoreError::Corrupt(format!("journal segment {seq}"));
    let mut rest = Bytes::from(body);
    let mut entries = Vec::new();
    while !rest.is_empty() {
        let (head, _) = rest.split_first_chunk::<12>().ok_or_else(broken)?;
        let (at, len) = head.split_at(8);
        let received_at = i64::from_le_bytes(at.try_into().map_err(|_| broken())?);
        let len = u32::from_le_bytes(len.try_into().map_err(|_| broken())?) as usize;
        let _ = rest.split_to(12);
        if rest.len() < len {
            return Err(broken());
        }
        entries.push(JournalEntry { received_at, body: rest.split_to(len) });
    }
    Ok(Segment { seq, entries })
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn segments_round_trip(bodies in proptest::collection::vec((any::<i64>(), proptest::collection::vec(any::<u8>(), 0..300)), 0..20)) {
            let entries: Vec<_> = bodies.into_iter()
                .map(|(received_at, body)| JournalEntry { received_at, body: body.into() }).collect();
            prop_assert_eq!(segment(1, encode(&entries)).unwrap().entries, entries);
        }

        #[test]
        fn broken_segments_are_refused_not_panicked_on(body in proptest::collection::vec(any::<u8>(), 0..200)) {
            let _ = segment(1, body);
        }
    }
}
