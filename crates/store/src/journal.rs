//! The journal: webhook bodies as they came. Bodies that wait together make one segment, one row, one sync.
//! A segment: for each entry `received_at` (8 bytes, little end first), length (4 bytes), bytes; packed as one LZ4 block when
//! that makes it smaller. Webhooks repeat themselves, so the log, its checkpoints and the disk have a fraction to write.

use crate::conn::{Conn, vals};
use bytes::Bytes;
use ponte_domain::error::StoreError;
use ponte_domain::ids::WorkspaceId;
use ponte_domain::ports::store::{JournalEntry, Segment, Topic};

/// No segment is larger: the writer ends one at eight megabytes, a single body may be that large too.
const LARGEST_SEGMENT: usize = 64 << 20;

/// Writes one segment; durable with the transaction.
pub(crate) async fn append(c: &mut Conn, workspace: WorkspaceId, entries: &[JournalEntry]) -> Result<(), StoreError> {
    let Some(first) = entries.first() else { return Ok(()) };
    let count = i64::try_from(entries.len()).unwrap_or(i64::MAX);
    let (body, raw_size) = pack(encode(entries));
    let row: Option<(i64,)> = c
        .first(
            "INSERT INTO journal (workspace_id, received_at, entries, body, raw_size) VALUES ($1, $2, $3, $4, $5) RETURNING seq",
            vals![workspace.0, first.received_at, count, body, raw_size],
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
    let (body, raw_size) = pack(encode(entries));
    c.exec(
        "BEGIN IMMEDIATE; \
         INSERT INTO journal (workspace_id, received_at, entries, body, raw_size) VALUES ($1, $2, $3, $4, $5); \
         INSERT INTO journal_pending (workspace_id, seq, received_at) VALUES ($1, last_insert_rowid(), $2); \
         COMMIT",
        vals![workspace.0, first.received_at, count, body, raw_size],
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
            "SELECT p.seq, CASE WHEN j.raw_size > 0 THEN j.raw_size ELSE CAST(LENGTH(j.body) AS BIGINT) END FROM journal_pending p JOIN journal j ON j.seq = p.seq \
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
    let rows: Vec<(i64, Vec<u8>, i64)> =
        c.select_in("SELECT seq, body, raw_size FROM journal WHERE ", &["seq"], "", vec![], wanted).await?;
    let mut segments =
        rows.into_iter().map(|(seq, body, size)| segment(seq, body, size)).collect::<Result<Vec<_>, _>>()?;
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
    let rows: Vec<(i64, Vec<u8>, i64)> = c
        .all(
            "SELECT seq, body, raw_size FROM journal WHERE workspace_id = $1 AND seq > $2 ORDER BY seq LIMIT $3",
            vals![workspace.0, after, limit],
        )
        .await?;
    rows.into_iter().map(|(seq, body, size)| segment(seq, body, size)).collect()
}

/// Writes a segment anew, with other bodies.
pub(crate) async fn rewrite(
    c: &mut Conn,
    workspace: WorkspaceId,
    seq: i64,
    entries: &[JournalEntry],
) -> Result<(), StoreError> {
    let (body, raw_size) = pack(encode(entries));
    c.exec(
        "UPDATE journal SET body = $3, raw_size = $4 WHERE workspace_id = $1 AND seq = $2",
        vals![workspace.0, seq, body, raw_size],
    )
    .await?;
    Ok(())
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

/// Packed with its size before, or as it is with 0 where packing gains nothing.
fn pack(raw: Vec<u8>) -> (Vec<u8>, i64) {
    let packed = lz4_flex::block::compress(&raw);
    match i64::try_from(raw.len()) {
        Ok(size) if packed.len() < raw.len() => (packed, size),
        _ => (raw, 0),
    }
}

fn unpack(body: Vec<u8>, raw_size: i64) -> Option<Vec<u8>> {
    if raw_size <= 0 {
        return Some(body);
    }
    // A size that no writer makes is damage, not a reason to reserve memory.
    let size = usize::try_from(raw_size).ok().filter(|size| *size <= LARGEST_SEGMENT)?;
    lz4_flex::block::decompress(&body, size).ok().filter(|raw| raw.len() == size)
}

fn segment(seq: i64, body: Vec<u8>, raw_size: i64) -> Result<Segment, StoreError> {
    let broken = || StoreError::Corrupt(format!("journal segment {seq}"));
    let mut rest = Bytes::from(unpack(body, raw_size).ok_or_else(broken)?);
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
            let (body, size) = pack(encode(&entries));
            prop_assert_eq!(segment(1, body, size).unwrap().entries, entries);
        }

        #[test]
        fn broken_segments_are_refused_not_panicked_on(body in proptest::collection::vec(any::<u8>(), 0..200), size in any::<i64>()) {
            let _ = (segment(1, body.clone(), 0), segment(1, body.clone(), 300), segment(1, body, size));
        }
    }

    #[test]
    fn what_repeats_itself_is_packed_and_what_does_not_is_stored_as_it_is() {
        let entry = |body: Vec<u8>| JournalEntry { received_at: 1, body: body.into() };
        let (packed, size) = pack(encode(&vec![entry(b"{\"object\":\"whatsapp_business_account\"}".to_vec()); 100]));
        assert!(size > 0 && packed.len() * 10 < usize::try_from(size).unwrap());
        let odd: Vec<u8> = (0..200_u32).map(|n| (n.wrapping_mul(2_654_435_761) >> 24) as u8).collect();
        assert_eq!(pack(odd.clone()), (odd, 0));
    }
}
