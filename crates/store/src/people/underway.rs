//! Jobs on their way that concern a person who is erased: what a trigger asked for, pushes to subscribers, files, sends, CRM writes and
//! notices; and dead letters of them. A send that was begun stays until it is known what became of it: its job holds ids alone.
//! Failure story: part of the erasing transaction. A worker that holds one of the lanes finds its job gone when it settles, and changes
//! nothing.

use crate::conn::{Conn, Val, vals};
use crate::lanes;
use ponte_domain::conversation::send_lane;
use ponte_domain::error::StoreError;
use ponte_domain::ids::{NumberId, PersonId, WorkspaceId};
use ponte_domain::inbound::MediaRef;
use ponte_domain::job::{Class, JobKind};

/// Removes them. To be called while the person's links and the content of their messages are still there.
pub(super) async fn remove(c: &mut Conn, workspace: WorkspaceId, person: PersonId) -> Result<(), StoreError> {
    let lanes = lanes_of(c, workspace, person).await?;
    let keys = || -> Vec<Vec<Val>> { lanes.iter().map(|(kind, key)| vals![kind.as_str(), key.as_str()]).collect() };
    // Locked, so that nobody adds to a lane that is about to go.
    let lock = if c.is_postgres() { " ORDER BY kind, key FOR UPDATE" } else { "" };
    let there: Vec<(String, String)> = c
        .select_in(
            "SELECT kind, key FROM lane WHERE workspace_id = $1 AND ",
            &["kind", "key"],
            lock,
            vals![workspace.0],
            keys(),
        )
        .await?;
    let there: Vec<Vec<Val>> = there.iter().map(|(kind, key)| vals![kind.as_str(), key.as_str()]).collect();
    c.change_many(
        "kind, key",
        "DELETE FROM job WHERE workspace_id = $1 AND (kind, lane_key) IN (SELECT kind, key FROM v) \
         AND (kind <> 'send' OR begun_at IS NULL)",
        vals![workspace.0],
        there.clone(),
    )
    .await?;
    // Whoever holds one closes it.
    c.change_many(
        "kind, key",
        "DELETE FROM lane WHERE workspace_id = $1 AND owner = '' AND (kind, key) IN (SELECT kind, key FROM v) AND NOT EXISTS \
         (SELECT 1 FROM job j WHERE j.workspace_id = $1 AND j.kind = lane.kind AND j.lane_key = lane.key)",
        vals![workspace.0],
        there,
    )
    .await?;
    let id = person.0.simple().to_string();
    for table in ["dead_letter", "dead_letter_done"] {
        c.change_many(
            "kind, key",
            &format!("DELETE FROM {table} WHERE workspace_id = $1 AND (kind, lane_key) IN (SELECT kind, key FROM v)"),
            vals![workspace.0],
            keys(),
        )
        .await?;
        // Of connections and subscriptions that have no lane now.
        let theirs = format!("DELETE FROM {table} WHERE workspace_id = $1 AND lane_key LIKE '%' || $2 || '%'");
        c.exec(theirs, vals![workspace.0, id.as_str()]).await?;
    }
    Ok(())
}

/// The lanes that concern nobody else.
async fn lanes_of(
    c: &mut Conn,
    workspace: WorkspaceId,
    person: PersonId,
) -> Result<Vec<(JobKind, String)>, StoreError> {
    let id = person.0.simple();
    let mut found = vec![(JobKind::Trigger, id.to_string())];
    for connection in lanes::scopes(c, workspace, JobKind::Crm).await? {
        found.push((JobKind::Crm, format!("{connection}/{id}")));
    }
    for hook in lanes::scopes(c, workspace, JobKind::Hook).await? {
        found.push((JobKind::Hook, format!("{hook}/{id}")));
        found.push((JobKind::Hook, format!("{hook}/again/{id}")));
    }
    for number in lanes::scopes(c, workspace, JobKind::Send).await? {
        let number = NumberId::from(number.as_str());
        found.extend(Class::ALL.map(|class| (JobKind::Send, send_lane(&number, person, class))));
    }
    let records: Vec<(String, String)> = c
        .all(
            "SELECT connection, crm_id FROM crm_contact WHERE workspace_id = $1 AND person_id = $2",
            vals![workspace.0, person.0],
        )
        .await?;
    found.extend(records.into_iter().map(|(connection, record)| (JobKind::Notice, format!("{connection}/{record}"))));
    let files: Vec<(String, String)> = c
        .all(
            "SELECT m.number_id, t.media FROM message m JOIN message_content t ON t.workspace_id = m.workspace_id \
             AND t.message_id = m.id WHERE m.workspace_id = $1 AND m.person_id = $2 AND t.media IS NOT NULL",
            vals![workspace.0, person.0],
        )
        .await?;
    found.extend(files.into_iter().filter_map(|(number, media)| {
        let media: MediaRef = serde_json::from_str(&media).ok()?;
        Some((JobKind::Media, format!("{number}/{}", media.id)))
    }));
    Ok(found)
}
