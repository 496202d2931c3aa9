//! Forgetting what messages said: texts, captions, files, reactions. Their rows stay, with times and states. One way for a
//! person's erasure and for the end of a period.
//! A file is removed after the commit, by whoever reads [`unused`]: killed in between, it is still named there.

use crate::conn::{Conn, Val, vals};
use ponte_domain::Millis;
use ponte_domain::error::StoreError;
use ponte_domain::ids::WorkspaceId;
use uuid::Uuid;

/// That a row of `message_content` is `$2`'s and not forgotten: a late edit or file brings nothing back. `$1`: the workspace.
pub(crate) const STILL_KEPT: &str = "NOT EXISTS (SELECT 1 FROM message k WHERE k.workspace_id = $1 AND k.id = $2 \
     AND k.forgotten_at IS NOT NULL)";

/// Says that these files may not be used any more.
pub(crate) async fn not_used(c: &mut Conn, workspace: WorkspaceId, mut files: Vec<String>) -> Result<(), StoreError> {
    files.sort_unstable();
    files.dedup();
    c.insert_many(
        "INSERT INTO unused_file (workspace_id, key)",
        "ON CONFLICT (workspace_id, key) DO NOTHING",
        files.into_iter().map(|key| vals![workspace.0, key]).collect(),
    )
    .await?;
    Ok(())
}

/// Forgets the content of these messages; how many there were.
pub(crate) async fn forget(
    c: &mut Conn,
    workspace: WorkspaceId,
    messages: &[Uuid],
    now: Millis,
) -> Result<u64, StoreError> {
    let ids = || -> Vec<Vec<Val>> { messages.iter().map(|id| vals![*id]).collect() };
    let files: Vec<(String,)> = c
        .select_in(
            "SELECT media_key FROM message_content WHERE workspace_id = $1 AND media_key IS NOT NULL AND ",
            &["message_id"],
            "",
            vals![workspace.0],
            ids(),
        )
        .await?;
    not_used(c, workspace, files.into_iter().map(|(key,)| key).collect()).await?;
    for table in ["orphan|wamid", "reaction|target"] {
        let (table, column) = table.split_once('|').unwrap_or((table, ""));
        c.change_many(
            "id",
            &format!(
                "DELETE FROM {table} WHERE workspace_id = $1 AND (number_id, {column}) IN (SELECT m.number_id, m.wamid \
                 FROM message m WHERE m.workspace_id = $1 AND m.id IN (SELECT id FROM v) AND m.wamid IS NOT NULL)"
            ),
            vals![workspace.0],
            ids(),
        )
        .await?;
    }
    c.change_many(
        "id",
        "UPDATE message SET forgotten_at = $2 WHERE workspace_id = $1 AND id IN (SELECT id FROM v)",
        vals![workspace.0, now],
        ids(),
    )
    .await?;
    c.change_many(
        "id",
        "UPDATE message_content SET body = NULL, content = '{\"erased\":true}', reply_to = NULL, media = NULL, \
         media_key = NULL, media_bytes = NULL, media_type = NULL, pricing = NULL WHERE workspace_id = $1 \
         AND message_id IN (SELECT id FROM v)",
        vals![workspace.0],
        ids(),
    )
    .await
}

/// Whether any message still has this file.
pub(crate) async fn is_used(c: &mut Conn, workspace: WorkspaceId, file: &str) -> Result<bool, StoreError> {
    let row: Option<(i64,)> = c
        .first(
            "SELECT CAST(1 AS BIGINT) FROM message_content WHERE workspace_id = $1 AND media_key = $2 LIMIT 1",
            vals![workspace.0, file],
        )
        .await?;
    Ok(row.is_some())
}

/// Files that lost a message and wait to be removed, after `after`.
pub(crate) async fn unused(
    c: &mut Conn,
    workspace: WorkspaceId,
    after: &str,
    limit: i64,
) -> Result<Vec<String>, StoreError> {
    let rows: Vec<(String,)> = c
        .all(
            "SELECT key FROM unused_file WHERE workspace_id = $1 AND key > $2 ORDER BY key LIMIT $3",
            vals![workspace.0, after, limit],
        )
        .await?;
    Ok(rows.into_iter().map(|(key,)| key).collect())
}

/// A file needn't be removed any more: it is gone, or a message has it.
pub(crate) async fn settled(c: &mut Conn, workspace: WorkspaceId, file: &str) -> Result<(), StoreError> {
    c.exec("DELETE FROM unused_file WHERE workspace_id = $1 AND key = $2", vals![workspace.0, file]).await?;
    Ok(())
}
