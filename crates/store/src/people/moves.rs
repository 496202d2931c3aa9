//! What follows a person into another besides identifiers: former identifiers, conversations with their messages, CRM links,
//! what was said about consent. Looked up for many people at once, for most of a list have none of it; moved merge by merge.
//! Must not touch: people and identifiers, which a merge writes itself.

use crate::conn::{Conn, vals};
use crate::load;
use ponte_domain::Millis;
use ponte_domain::error::StoreError;
use ponte_domain::ids::{PersonId, WorkspaceId};
use ponte_domain::ports::people::MergeOrder;
use serde::{Deserialize, Serialize};
use sqlx::FromRow;
use std::collections::{BTreeSet, HashMap};
use uuid::Uuid;

/// Where what was said about consent stands by person.
pub(super) const CONSENT: [&str; 3] = ["consent_entry", "consent_request", "consent_thanks"];

/// A conversation of the other side: moved whole, or emptied into the survivor's with the same number.
#[derive(Serialize, Deserialize)]
pub(super) struct Moved {
    pub(super) row: Thread,
    pub(super) into: Option<Into>,
}

/// The survivor's conversation: what it was, and what the merge made of it.
#[derive(Serialize, Deserialize)]
pub(super) struct Into {
    pub(super) was: Thread,
    pub(super) became: Thread,
}

#[derive(Clone, PartialEq, Serialize, Deserialize, FromRow)]
pub(super) struct Thread {
    pub(super) id: Uuid,
    pub(super) number_id: String,
    pub(super) last_inbound_at: Option<Millis>,
    pub(super) last_message_at: Millis,
    pub(super) free_entry_until: Option<Millis>,
    pub(super) referral: Option<String>,
    pub(super) created_at: Millis,
}

pub(super) const THREAD: &str =
    "id, number_id, last_inbound_at, last_message_at, free_entry_until, referral, created_at";

/// A former identifier: kind, scope, value, when it ended.
pub(super) type Past = (String, String, String, Millis);

/// What belongs to a person.
#[derive(Default)]
pub(super) struct Belongings {
    pub(super) past: Vec<Past>,
    threads: Vec<Thread>,
    contacts: Vec<String>,
    consent: Vec<(usize, Uuid)>,
}

#[derive(FromRow)]
struct ThreadOf {
    person_id: Uuid,
    #[sqlx(flatten)]
    thread: Thread,
}

/// What belongs to these people; who isn't there has nothing.
pub(super) async fn load(
    c: &mut Conn,
    workspace: WorkspaceId,
    people: &BTreeSet<PersonId>,
) -> Result<HashMap<PersonId, Belongings>, StoreError> {
    let mut found: HashMap<PersonId, Belongings> = HashMap::new();
    let wanted = || load::ids(people);
    let head = |columns: &str, table: &str| format!("SELECT {columns} FROM {table} WHERE workspace_id = $1 AND ");
    let past: Vec<(Uuid, String, String, String, Millis)> = c
        .select_in(
            &head("person_id, kind, scope, value, ended_at", "identity_past"),
            &["person_id"],
            "",
            vals![workspace.0],
            wanted(),
        )
        .await?;
    for (person, kind, scope, value, ended_at) in past {
        found.entry(PersonId(person)).or_default().past.push((kind, scope, value, ended_at));
    }
    let threads: Vec<ThreadOf> = c
        .select_in(
            &head(&format!("person_id, {THREAD}"), "conversation"),
            &["person_id"],
            "",
            vals![workspace.0],
            wanted(),
        )
        .await?;
    for ThreadOf { person_id, thread } in threads {
        found.entry(PersonId(person_id)).or_default().threads.push(thread);
    }
    let contacts: Vec<(Uuid, String)> = c
        .select_in(&head("person_id, connection", "crm_contact"), &["person_id"], "", vals![workspace.0], wanted())
        .await?;
    for (person, connection) in contacts {
        found.entry(PersonId(person)).or_default().contacts.push(connection);
    }
    for (place, table) in CONSENT.iter().enumerate() {
        let rows: Vec<(Uuid, Uuid)> =
            c.select_in(&head("person_id, id", table), &["person_id"], "", vals![workspace.0], wanted()).await?;
        for (person, id) in rows {
            found.entry(PersonId(person)).or_default().consent.push((place, id));
        }
    }
    for belongings in found.values_mut() {
        belongings.threads.sort_unstable_by_key(|t| t.id);
    }
    Ok(found)
}

/// Moves the conversations. One with a number that the survivor has a conversation with is emptied into that.
pub(super) async fn conversations(
    c: &mut Conn,
    workspace: WorkspaceId,
    order: &MergeOrder,
    ours: &mut Belongings,
    theirs: &Belongings,
) -> Result<Vec<Moved>, StoreError> {
    if theirs.threads.is_empty() {
        return Ok(Vec::new());
    }
    c.exec(
        "INSERT INTO merge_message (workspace_id, merge_id, message_id, conversation_id) \
         SELECT workspace_id, $3, id, conversation_id FROM message WHERE workspace_id = $1 AND person_id = $2",
        vals![workspace.0, order.other.0, order.id],
    )
    .await?;
    let mut moved = Vec::with_capacity(theirs.threads.len());
    for row in theirs.threads.iter().cloned() {
        let Some(here) = ours.threads.iter_mut().find(|t| t.number_id == row.number_id) else {
            c.exec(
                "UPDATE conversation SET person_id = $3 WHERE workspace_id = $1 AND id = $2",
                vals![workspace.0, row.id, order.survivor.0],
            )
            .await?;
            ours.threads.push(row.clone());
            moved.push(Moved { row, into: None });
            continue;
        };
        let was = here.clone();
        here.last_inbound_at = was.last_inbound_at.max(row.last_inbound_at);
        here.last_message_at = was.last_message_at.max(row.last_message_at);
        here.free_entry_until = was.free_entry_until.max(row.free_entry_until);
        here.referral = was.referral.clone().or_else(|| row.referral.clone());
        let became = here.clone();
        c.exec(
            "UPDATE message SET conversation_id = $3 WHERE workspace_id = $1 AND conversation_id = $2",
            vals![workspace.0, row.id, was.id],
        )
        .await?;
        c.exec("DELETE FROM conversation WHERE workspace_id = $1 AND id = $2", vals![workspace.0, row.id]).await?;
        write_thread(c, workspace, &became).await?;
        moved.push(Moved { row, into: Some(Into { was, became }) });
    }
    c.exec(
        "UPDATE message SET person_id = $3 WHERE workspace_id = $1 AND person_id = $2",
        vals![workspace.0, order.other.0, order.survivor.0],
    )
    .await?;
    Ok(moved)
}

pub(super) async fn write_thread(c: &mut Conn, workspace: WorkspaceId, t: &Thread) -> Result<(), StoreError> {
    c.exec(
        "UPDATE conversation SET last_inbound_at = $3, last_message_at = $4, free_entry_until = $5, referral = $6 \
         WHERE workspace_id = $1 AND id = $2",
        vals![workspace.0, t.id, t.last_inbound_at, t.last_message_at, t.free_entry_until, t.referral.clone()],
    )
    .await?;
    Ok(())
}

/// Moves the CRM links that the survivor doesn't have; the names of their connections.
pub(super) async fn contacts(
    c: &mut Conn,
    workspace: WorkspaceId,
    order: &MergeOrder,
    ours: &mut Belongings,
    theirs: &Belongings,
) -> Result<Vec<String>, StoreError> {
    let moved: Vec<String> = theirs.contacts.iter().filter(|name| !ours.contacts.contains(name)).cloned().collect();
    for connection in &moved {
        move_contact(c, workspace, connection, order.other, order.survivor).await?;
    }
    ours.contacts.extend(moved.iter().cloned());
    Ok(moved)
}

pub(super) async fn move_contact(
    c: &mut Conn,
    workspace: WorkspaceId,
    connection: &str,
    from: PersonId,
    to: PersonId,
) -> Result<(), StoreError> {
    c.exec(
        "UPDATE crm_contact SET person_id = $4 WHERE workspace_id = $1 AND connection = $2 AND person_id = $3",
        vals![workspace.0, connection, from.0, to.0],
    )
    .await?;
    Ok(())
}

/// Moves what was said about consent, for it was said by the one person they are, and says anew what stands.
pub(super) async fn consent(
    c: &mut Conn,
    workspace: WorkspaceId,
    order: &MergeOrder,
    ours: &mut Belongings,
    theirs: &Belongings,
) -> Result<Vec<(usize, Uuid)>, StoreError> {
    if theirs.consent.is_empty() {
        return Ok(Vec::new());
    }
    for table in CONSENT {
        c.exec(
            format!("UPDATE {table} SET person_id = $3 WHERE workspace_id = $1 AND person_id = $2"),
            vals![workspace.0, order.other.0, order.survivor.0],
        )
        .await?;
    }
    stand_anew(c, workspace, order.survivor, order.other).await?;
    ours.consent.extend_from_slice(&theirs.consent);
    Ok(theirs.consent.clone())
}

pub(super) async fn stand_anew(
    c: &mut Conn,
    workspace: WorkspaceId,
    survivor: PersonId,
    other: PersonId,
) -> Result<(), StoreError> {
    crate::consent::recompute(c, workspace, survivor).await?;
    crate::consent::recompute(c, workspace, other).await
}
