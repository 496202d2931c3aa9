//! Upkeep: removing what nobody needs any more, a bounded amount at a time, so that no table grows for ever unseen.
//! Must not touch: anything a person wrote or decided. That has its own retention.

use crate::conn::{Conn, vals};
use ponte_domain::error::StoreError;
use ponte_domain::ids::WorkspaceId;
use ponte_domain::{DAY, Millis};

/// Callers may repeat a request under its key for this long.
const IDEMPOTENCY: Millis = 30 * DAY;

pub(crate) async fn tidy(c: &mut Conn, workspace: WorkspaceId, now: Millis) -> Result<u64, StoreError> {
    let mut removed = c
        .exec(
            "DELETE FROM idempotency WHERE workspace_id = $1 AND key IN (SELECT key FROM idempotency \
             WHERE workspace_id = $1 AND created_at < $2 LIMIT 1000)",
            vals![workspace.0, now - IDEMPOTENCY],
        )
        .await?;
    // A limiter whose state lies a day back limits nothing.
    removed += c
        .exec(
            "DELETE FROM limiter WHERE workspace_id = $1 AND key IN (SELECT key FROM limiter \
             WHERE workspace_id = $1 AND tat < $2 LIMIT 1000)",
            vals![workspace.0, (now - DAY).saturating_mul(1000)],
        )
        .await?;
    removed += c
        .exec(
            "DELETE FROM portfolio_person WHERE workspace_id = $1 AND (portfolio, person_id) IN \
             (SELECT portfolio, person_id FROM portfolio_person WHERE workspace_id = $1 AND at < $2 LIMIT 1000)",
            vals![workspace.0, now - 2 * DAY],
        )
        .await?;
    Ok(removed)
}
