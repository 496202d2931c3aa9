//! The audit log: who did what, append-only.

use crate::conn::{Conn, vals};
use ponte_domain::Millis;
use ponte_domain::error::StoreError;
use ponte_domain::ids::WorkspaceId;
use ponte_domain::ports::people::{AuditEntry, NewAudit};
use serde_json::value::RawValue;
use sqlx::FromRow;

pub(crate) async fn append(c: &mut Conn, workspace: WorkspaceId, entry: &NewAudit) -> Result<(), StoreError> {
    c.exec(
        "INSERT INTO audit (workspace_id, at, who, act, subject, data) VALUES ($1, $2, $3, $4, $5, $6)",
        vals![workspace.0, entry.at, entry.who.as_str(), entry.act, entry.subject.clone(), entry.data.as_str()],
    )
    .await?;
    Ok(())
}

#[derive(FromRow)]
struct AuditRow {
    at: Millis,
    who: String,
    act: String,
    subject: Option<String>,
    data: String,
}

pub(crate) async fn list(
    c: &mut Conn,
    workspace: WorkspaceId,
    subject: Option<&str>,
    limit: i64,
) -> Result<Vec<AuditEntry>, StoreError> {
    let columns = "at, who, act, subject, data";
    let rows: Vec<AuditRow> = match subject {
        Some(subject) => {
            c.all(
                format!(
                    "SELECT {columns} FROM audit WHERE workspace_id = $1 AND subject = $2 ORDER BY seq DESC LIMIT $3"
                ),
                vals![workspace.0, subject, limit],
            )
            .await?
        }
        None => {
            c.all(
                format!("SELECT {columns} FROM audit WHERE workspace_id = $1 ORDER BY seq DESC LIMIT $2"),
                vals![workspace.0, limit],
            )
            .await?
        }
    };
    rows.into_iter()
        .map(|r| {
            let data = RawValue::from_string(r.data).map_err(|_| StoreError::Corrupt("audit.data".into()))?;
            Ok(AuditEntry { at: r.at, who: r.who, act: r.act, subject: r.subject, data })
        })
        .collect()
}
