//! Merging people; `unmerge` undoes it. A merge keeps both rows: the other one points to the survivor. What is moved is written down,
//! so that undoing restores both sides whole; identifiers, conversations, messages and CRM links follow.
//! Reactions and past events keep the id they were made with; whoever reads them follows `merged_into`.
//! Failure story: a merge is one transaction, so killed anywhere it happened or it didn't.

use super::{cards, packed};
use crate::conn::{Conn, vals};
use crate::events;
use ponte_domain::Millis;
use ponte_domain::error::StoreError;
use ponte_domain::event::{EventKind, NewEvent};
use ponte_domain::ids::{PersonId, WorkspaceId};
use ponte_domain::people::PersonCard;
use ponte_domain::ports::people::{MergeFn, MergeOrder, MergeRecord};
use ponte_domain::profile::Profile;
use serde::{Deserialize, Serialize};
use serde_json::json;
use sqlx::FromRow;
use std::collections::BTreeSet;
use uuid::Uuid;

/// What both sides were, as far as a merge changes it.
#[derive(Serialize, Deserialize)]
pub(super) struct Before {
    pub(super) survivor: Side,
    pub(super) other: Side,
    pub(super) merged: Profile,
    pub(super) identities: Vec<(String, String, String)>,
    pub(super) past: Vec<(String, String, String, Millis)>,
    pub(super) conversations: Vec<Moved>,
    pub(super) contacts: Vec<String>,
    pub(super) consent: Vec<(usize, Uuid)>,
}

/// Where what was said about consent stands by person.
pub(super) const CONSENT: [&str; 3] = ["consent_entry", "consent_request", "consent_thanks"];

#[derive(Clone, Serialize, Deserialize)]
pub(super) struct Side {
    pub(super) profile: Profile,
    pub(super) stopped_at: Option<Millis>,
    pub(super) preference_at: Option<Millis>,
    pub(super) changed_at: Millis,
}

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

#[derive(FromRow)]
struct StopRow {
    marketing_stopped_at: Option<Millis>,
    preference_at: Option<Millis>,
}

pub(crate) async fn merge(
    c: &mut Conn,
    workspace: WorkspaceId,
    now: Millis,
    by: &str,
    orders: &[MergeOrder],
    profiles: &MergeFn,
) -> Result<Vec<Uuid>, StoreError> {
    let mut done = Vec::with_capacity(orders.len());
    for order in orders {
        if one(c, workspace, now, by, order, profiles).await? {
            done.push(order.id);
        }
    }
    Ok(done)
}

async fn one(
    c: &mut Conn,
    workspace: WorkspaceId,
    now: Millis,
    by: &str,
    order: &MergeOrder,
    profiles: &MergeFn,
) -> Result<bool, StoreError> {
    let Some((survivor, other)) = both(c, workspace, order).await? else { return Ok(false) };
    let merged = profiles(&survivor.profile, &other.profile);
    let (of_survivor, of_other) = (side(c, workspace, &survivor).await?, side(c, workspace, &other).await?);
    let before = Before {
        identities: other.identities.iter().map(key).collect(),
        past: past(c, workspace, other.id).await?,
        conversations: conversations(c, workspace, order).await?,
        contacts: contacts(c, workspace, order).await?,
        consent: consent(c, workspace, order).await?,
        survivor: of_survivor.clone(),
        other: of_other.clone(),
        merged: merged.clone(),
    };
    for table in ["identity", "identity_past"] {
        c.exec(
            format!("UPDATE {table} SET person_id = $3 WHERE workspace_id = $1 AND person_id = $2"),
            vals![workspace.0, other.id.0, survivor.id.0],
        )
        .await?;
    }
    // Whoever of the two stopped marketing did so for the one person they are.
    let stopped = of_survivor.stopped_at.max(of_other.stopped_at);
    let preference = of_survivor.preference_at.max(of_other.preference_at);
    c.exec(
        "UPDATE person SET profile = $3, labels = $4, changed_at = $5, marketing_stopped_at = $6, preference_at = $7 \
         WHERE workspace_id = $1 AND id = $2",
        vals![workspace.0, survivor.id.0, packed::pack(&merged), packed::labels(&merged), now, stopped, preference],
    )
    .await?;
    c.exec(
        "UPDATE person SET merged_into = $3, changed_at = $4 WHERE workspace_id = $1 AND id = $2",
        vals![workspace.0, other.id.0, survivor.id.0, now],
    )
    .await?;
    if !before.consent.is_empty() {
        stand_anew(c, workspace, survivor.id, other.id).await?;
    }
    record(c, workspace, now, by, order, &before).await?;
    decide_pair(c, workspace, survivor.id, other.id, "merged", by, now).await?;
    told(c, workspace, EventKind::PeopleMerged, now, order.survivor, order.other, order.id).await?;
    Ok(true)
}

fn key(identity: &ponte_domain::identity::Identity) -> (String, String, String) {
    (identity.kind.as_str().to_owned(), identity.scope.clone(), identity.value.clone())
}

/// Both sides, when the merge can still be made.
async fn both(
    c: &mut Conn,
    workspace: WorkspaceId,
    order: &MergeOrder,
) -> Result<Option<(PersonCard, PersonCard)>, StoreError> {
    let wanted: BTreeSet<PersonId> = [order.survivor, order.other].into();
    let mut found = cards::whole(c, workspace, &wanted, true).await?.into_iter().filter(|p| p.merged_into.is_none());
    let (Some(a), Some(b)) = (found.next(), found.next()) else { return Ok(None) };
    Ok(Some(if a.id == order.survivor { (a, b) } else { (b, a) }))
}

async fn side(c: &mut Conn, workspace: WorkspaceId, card: &PersonCard) -> Result<Side, StoreError> {
    let row: Option<StopRow> = c
        .first(
            "SELECT marketing_stopped_at, preference_at FROM person WHERE workspace_id = $1 AND id = $2",
            vals![workspace.0, card.id.0],
        )
        .await?;
    let (stopped_at, preference_at) = row.map_or((None, None), |r| (r.marketing_stopped_at, r.preference_at));
    Ok(Side { profile: card.profile.clone(), stopped_at, preference_at, changed_at: card.changed_at })
}

async fn past(
    c: &mut Conn,
    workspace: WorkspaceId,
    person: PersonId,
) -> Result<Vec<(String, String, String, Millis)>, StoreError> {
    c.all(
        "SELECT kind, scope, value, ended_at FROM identity_past WHERE workspace_id = $1 AND person_id = $2",
        vals![workspace.0, person.0],
    )
    .await
}

async fn threads(c: &mut Conn, workspace: WorkspaceId, person: PersonId) -> Result<Vec<Thread>, StoreError> {
    // Sorted here: asked for in this order, SQLite would read every conversation of the workspace.
    let mut threads: Vec<Thread> = c
        .all(
            format!("SELECT {THREAD} FROM conversation WHERE workspace_id = $1 AND person_id = $2"),
            vals![workspace.0, person.0],
        )
        .await?;
    threads.sort_unstable_by_key(|t| t.id);
    Ok(threads)
}

/// Moves the conversations. One with a number that the survivor has a conversation with is emptied into that.
async fn conversations(c: &mut Conn, workspace: WorkspaceId, order: &MergeOrder) -> Result<Vec<Moved>, StoreError> {
    let theirs = threads(c, workspace, order.other).await?;
    if theirs.is_empty() {
        return Ok(Vec::new());
    }
    let ours = threads(c, workspace, order.survivor).await?;
    c.exec(
        "INSERT INTO merge_message (workspace_id, merge_id, message_id, conversation_id) \
         SELECT workspace_id, $3, id, conversation_id FROM message WHERE workspace_id = $1 AND person_id = $2",
        vals![workspace.0, order.other.0, order.id],
    )
    .await?;
    let mut moved = Vec::with_capacity(theirs.len());
    for row in theirs {
        let Some(was) = ours.iter().find(|t| t.number_id == row.number_id).cloned() else {
            c.exec(
                "UPDATE conversation SET person_id = $3 WHERE workspace_id = $1 AND id = $2",
                vals![workspace.0, row.id, order.survivor.0],
            )
            .await?;
            moved.push(Moved { row, into: None });
            continue;
        };
        let became = Thread {
            last_inbound_at: was.last_inbound_at.max(row.last_inbound_at),
            last_message_at: was.last_message_at.max(row.last_message_at),
            free_entry_until: was.free_entry_until.max(row.free_entry_until),
            referral: was.referral.clone().or_else(|| row.referral.clone()),
            ..was.clone()
        };
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
async fn contacts(c: &mut Conn, workspace: WorkspaceId, order: &MergeOrder) -> Result<Vec<String>, StoreError> {
    let rows: Vec<(String,)> = c
        .all(
            "SELECT connection FROM crm_contact WHERE workspace_id = $1 AND person_id = $2 AND connection NOT IN \
             (SELECT connection FROM crm_contact WHERE workspace_id = $1 AND person_id = $3)",
            vals![workspace.0, order.other.0, order.survivor.0],
        )
        .await?;
    let moved: Vec<String> = rows.into_iter().map(|(name,)| name).collect();
    for connection in &moved {
        move_contact(c, workspace, connection, order.other, order.survivor).await?;
    }
    Ok(moved)
}

/// Moves what was said about consent: it was said by the one person they are.
async fn consent(c: &mut Conn, workspace: WorkspaceId, order: &MergeOrder) -> Result<Vec<(usize, Uuid)>, StoreError> {
    let mut moved = Vec::new();
    for (place, table) in CONSENT.iter().enumerate() {
        let rows: Vec<(Uuid,)> = c
            .all(
                format!("SELECT id FROM {table} WHERE workspace_id = $1 AND person_id = $2"),
                vals![workspace.0, order.other.0],
            )
            .await?;
        if !rows.is_empty() {
            c.exec(
                format!("UPDATE {table} SET person_id = $3 WHERE workspace_id = $1 AND person_id = $2"),
                vals![workspace.0, order.other.0, order.survivor.0],
            )
            .await?;
        }
        moved.extend(rows.into_iter().map(|(id,)| (place, id)));
    }
    Ok(moved)
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

async fn record(
    c: &mut Conn,
    workspace: WorkspaceId,
    now: Millis,
    by: &str,
    order: &MergeOrder,
    before: &Before,
) -> Result<(), StoreError> {
    let before = serde_json::to_string(before).map_err(|e| StoreError::Corrupt(e.to_string()))?;
    c.exec(
        "INSERT INTO merge_record (workspace_id, id, survivor, other, merged_at, merged_by, score, reasons, before) \
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9)",
        vals![
            workspace.0,
            order.id,
            order.survivor.0,
            order.other.0,
            now,
            by,
            order.score,
            order.reasons.join(","),
            before
        ],
    )
    .await?;
    Ok(())
}

pub(crate) async fn decide_pair(
    c: &mut Conn,
    workspace: WorkspaceId,
    x: PersonId,
    y: PersonId,
    state: &str,
    by: &str,
    now: Millis,
) -> Result<u64, StoreError> {
    c.exec(
        "UPDATE duplicate_pair SET state = $4, decided_at = $5, decided_by = $6 \
         WHERE workspace_id = $1 AND a = $2 AND b = $3 AND state <> $4",
        vals![workspace.0, x.min(y).0, x.max(y).0, state, now, by],
    )
    .await
}

pub(super) async fn told(
    c: &mut Conn,
    workspace: WorkspaceId,
    kind: EventKind,
    now: Millis,
    survivor: PersonId,
    other: PersonId,
    merge: Uuid,
) -> Result<(), StoreError> {
    let data = json!({ "merge": merge, "survivor": survivor, "other": other }).to_string();
    let event = |person| NewEvent {
        kind,
        at: now,
        person: Some(person),
        conversation: None,
        message: None,
        number: None,
        dedup: None,
        data: data.clone(),
    };
    // After a merge only the survivor is left to be written to a CRM; after its undoing both are.
    let mut all = vec![event(survivor)];
    if kind == EventKind::PeopleUnmerged {
        all.push(event(other));
    }
    events::append(c, workspace, all).await
}

#[derive(FromRow)]
pub(crate) struct RecordRow {
    id: Uuid,
    survivor: Uuid,
    other: Uuid,
    merged_at: Millis,
    merged_by: String,
    score: i64,
    reasons: String,
    undone_at: Option<Millis>,
}

pub(crate) fn words(text: &str) -> Vec<String> {
    text.split(',').filter(|w| !w.is_empty()).map(str::to_owned).collect()
}

impl RecordRow {
    pub(super) const COLUMNS: &'static str = "id, survivor, other, merged_at, merged_by, score, reasons, undone_at";

    pub(super) fn read(self) -> MergeRecord {
        MergeRecord {
            id: self.id,
            survivor: PersonId(self.survivor),
            other: PersonId(self.other),
            merged_at: self.merged_at,
            merged_by: self.merged_by,
            score: self.score,
            reasons: words(&self.reasons),
            undone_at: self.undone_at,
        }
    }
}

pub(crate) async fn list(
    c: &mut Conn,
    workspace: WorkspaceId,
    person: Option<PersonId>,
    limit: i64,
) -> Result<Vec<MergeRecord>, StoreError> {
    let rows: Vec<RecordRow> = c
        .all(
            format!(
                "SELECT {} FROM merge_record WHERE workspace_id = $1 AND ($2 OR survivor = $3 OR other = $3) \
                 ORDER BY merged_at DESC, id DESC LIMIT $4",
                RecordRow::COLUMNS
            ),
            vals![workspace.0, person.is_none(), person.map_or_else(Uuid::nil, |p| p.0), limit],
        )
        .await?;
    Ok(rows.into_iter().map(RecordRow::read).collect())
}
