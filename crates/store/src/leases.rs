//! Leases for what one node does at a time, with a fence that is checked in the transaction that commits the work.

use crate::conn::{Conn, vals};
use ponte_domain::Millis;
use ponte_domain::error::StoreError;
use ponte_domain::ids::WorkspaceId;
use ponte_domain::ports::store::{Lease, Topic};

pub(crate) async fn take(
    c: &mut Conn,
    workspace: WorkspaceId,
    node: &str,
    name: &str,
    now: Millis,
    ttl_ms: Millis,
) -> Result<Option<Lease>, StoreError> {
    let row: Option<(i64,)> = c
        .first(
            "INSERT INTO lease (workspace_id, name, owner, fence, until_ms) VALUES ($1, $2, $3, 1, $5) \
             ON CONFLICT (workspace_id, name) DO UPDATE SET \
             fence = CASE WHEN lease.owner = excluded.owner THEN lease.fence ELSE lease.fence + 1 END, \
             owner = excluded.owner, until_ms = excluded.until_ms \
             WHERE lease.owner = excluded.owner OR lease.until_ms <= $4 RETURNING fence",
            vals![workspace.0, name, node, now, now + ttl_ms],
        )
        .await?;
    Ok(row.map(|(fence,)| Lease { name: name.to_owned(), fence, until: now + ttl_ms }))
}

/// Refuses when another node took over since. Locks the lease until the transaction ends.
pub(crate) async fn still_ours(c: &mut Conn, workspace: WorkspaceId, lease: &Lease) -> Result<(), StoreError> {
    let changed = c
        .exec(
            "UPDATE lease SET until_ms = until_ms WHERE workspace_id = $1 AND name = $2 AND fence = $3",
            vals![workspace.0, lease.name.as_str(), lease.fence],
        )
        .await?;
    if changed == 0 { Err(StoreError::LeaseLost) } else { Ok(()) }
}

/// Gives back everything a node holds. A job begun by it stays begun: its outcome is unknown.
pub(crate) async fn release(c: &mut Conn, node: &str, now: Millis) -> Result<(), StoreError> {
    c.exec("UPDATE lease SET until_ms = 0 WHERE owner = $1", vals![node]).await?;
    c.exec("UPDATE lane SET owner = '', ready_at = $2 WHERE owner = $1 AND owner <> ''", vals![node, now]).await?;
    c.exec("DELETE FROM node WHERE id = $1", vals![node]).await?;
    Ok(())
}

/// Gives back what dead nodes hold. Only for a database of which we are the one node.
pub(crate) async fn release_everyone(c: &mut Conn, now: Millis) -> Result<(), StoreError> {
    c.exec("UPDATE lease SET until_ms = 0", vec![]).await?;
    c.exec("UPDATE lane SET owner = '', ready_at = $1 WHERE owner <> ''", vals![now]).await?;
    c.exec("DELETE FROM node", vec![]).await?;
    Ok(())
}

pub(crate) async fn heartbeat(c: &mut Conn, node: &str, now: Millis) -> Result<(), StoreError> {
    c.exec(
        "INSERT INTO node (id, started_at, seen_at) VALUES ($1, $2, $2) ON CONFLICT (id) DO UPDATE SET seen_at = excluded.seen_at",
        vals![node, now],
    )
    .await?;
    // What silent nodes hold is free again. One that is only slow finds its fence broken, and changes nothing.
    let silent: Vec<(String,)> = c.all("SELECT id FROM node WHERE seen_at < $1", vals![now - SILENT]).await?;
    for (id,) in silent {
        release(c, &id, now).await?;
        c.touch(Topic::Sends);
        c.touch(Topic::Crm);
        c.touch(Topic::Hooks);
    }
    Ok(())
}

/// A node that didn't say for so long that it lives is taken for dead.
const SILENT: Millis = 4_000;
