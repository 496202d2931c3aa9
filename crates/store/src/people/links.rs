//! Contacts of a CRM that are imported, and the links that write-back keeps to their records.

use crate::conn::{Conn, vals};
use ponte_domain::Millis;
use ponte_domain::error::StoreError;
use ponte_domain::identity::IdentityKind;
use ponte_domain::ids::{PersonId, WorkspaceId};
use ponte_domain::people::import::Changes;
use std::collections::BTreeMap;
use uuid::Uuid;

/// Name of the CRM connection whose contacts are imported.
pub(super) fn connection_of(source: &str) -> Option<&str> {
    source.strip_prefix("crm:")
}

/// Records that write-back made or found belong to whom it says.
pub(super) async fn owners(
    c: &mut Conn,
    workspace: WorkspaceId,
    connection: &str,
    records: &[String],
) -> Result<Vec<(String, Uuid)>, StoreError> {
    c.select_in(
        "SELECT crm_id, person_id FROM crm_contact WHERE workspace_id = $1 AND connection = $2 AND ",
        &["crm_id"],
        "",
        vals![workspace.0, connection],
        records.iter().map(|record| vals![record.as_str()]).collect(),
    )
    .await
}

/// Links people to the records they came from, so that write-back makes no second ones. Who has a record keeps it.
pub(super) async fn add(
    c: &mut Conn,
    workspace: WorkspaceId,
    connection: &str,
    now: Millis,
    changes: &Changes,
) -> Result<(), StoreError> {
    let mut by_person: BTreeMap<PersonId, &str> = BTreeMap::new();
    for new in changes.identities.iter().filter(|n| n.identity.kind == IdentityKind::External) {
        by_person.entry(new.person).or_insert(&new.identity.value);
    }
    let rows =
        by_person.into_iter().map(|(person, id)| vals![workspace.0, connection, person.0, id, "", now]).collect();
    c.insert_many(
        "INSERT INTO crm_contact (workspace_id, connection, person_id, crm_id, written, written_at)",
        "ON CONFLICT (workspace_id, connection, person_id) DO NOTHING",
        rows,
    )
    .await?;
    Ok(())
}
