//! What is about to be sent to a CRM, before it is: of linked people with their link, of others in rows of their own.
//! Failure story: written before the call, so a lost answer or a kill leaves it; removed with the transaction in which both sides meet.

use crate::conn::{Conn, Val, vals};
use crate::load;
use ponte_domain::error::StoreError;
use ponte_domain::ids::{ConnectionId, PersonId, WorkspaceId};
use ponte_domain::mapping::Base;
use ponte_domain::ports::sync::Sending;
use std::collections::{BTreeSet, HashMap};
use uuid::Uuid;

fn text(base: &Base) -> Result<String, StoreError> {
    serde_json::to_string(base).map_err(|_| StoreError::Corrupt("crm_contact.base".into()))
}

pub(super) async fn remember(
    c: &mut Conn,
    workspace: WorkspaceId,
    connection: &ConnectionId,
    rows: &[Sending],
) -> Result<(), StoreError> {
    let (mut linked, mut new) = (Vec::new(), Vec::new());
    for Sending { person, before, after } in rows {
        match before {
            Some(before) => linked.push(vals![person.0, text(before)?, text(after)?]),
            None => new.push(vals![workspace.0, person.0, connection.as_str(), text(after)?]),
        }
    }
    c.change_many(
        "person_id, before, after",
        "UPDATE crm_contact SET base = v.after FROM v WHERE crm_contact.workspace_id = $1 \
         AND crm_contact.connection = $2 AND crm_contact.person_id = v.person_id AND crm_contact.base = v.before",
        vals![workspace.0, connection.as_str()],
        linked,
    )
    .await?;
    c.insert_many(
        "INSERT INTO crm_sending (workspace_id, person_id, connection, base)",
        "ON CONFLICT (workspace_id, person_id, connection) DO UPDATE SET base = excluded.base",
        new,
    )
    .await?;
    Ok(())
}

/// What was sent of people who aren't linked.
pub(crate) async fn of_people(
    c: &mut Conn,
    workspace: WorkspaceId,
    connection: &ConnectionId,
    people: &BTreeSet<PersonId>,
) -> Result<HashMap<PersonId, Base>, StoreError> {
    let rows: Vec<(Uuid, String)> = c
        .select_in(
            "SELECT person_id, base FROM crm_sending WHERE workspace_id = $1 AND connection = $2 AND ",
            &["person_id"],
            "",
            vals![workspace.0, connection.as_str()],
            load::ids(people),
        )
        .await?;
    let read = |(person, base): (Uuid, String)| {
        let base = serde_json::from_str(&base).map_err(|_| StoreError::Corrupt("crm_sending.base".into()))?;
        Ok((PersonId(person), base))
    };
    rows.into_iter().map(read).collect()
}

/// They have met: what was agreed on stands with their link.
pub(crate) async fn forget(
    c: &mut Conn,
    workspace: WorkspaceId,
    connection: &ConnectionId,
    people: impl Iterator<Item = PersonId>,
) -> Result<(), StoreError> {
    let people: Vec<Vec<Val>> = people.map(|person| vals![person.0]).collect();
    c.change_many(
        "person_id",
        "DELETE FROM crm_sending WHERE workspace_id = $1 AND connection = $2 AND person_id IN (SELECT person_id FROM v)",
        vals![workspace.0, connection.as_str()],
        people,
    )
    .await?;
    Ok(())
}
