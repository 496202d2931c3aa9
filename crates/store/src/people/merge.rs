//! Merging people and undoing it. A merge keeps both rows: the other one points to the survivor. What is moved is written down,
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
struct Before {
    survivor: Side,
    other: Side,
    merged: Profile,
    identities: Vec<(String, String, String)>,
    past: Vec<(String, String, String, Millis)>,
    conversations: Vec<Moved>,
    contacts: Vec<String>,
}

#[derive(Clone, Serialize, Deserialize)]
struct Side {
    profile: Profile,
    stopped_at: Option<Millis>,
    preference_at: Option<Millis>,
    changed_at: Millis,
}

/// A conversation of the other side: moved whole, or emptied into the survivor's with the same number.
#[derive(Serialize, Deserialize)]
struct Moved {
    row: Thread,
    into: Option<Into>,
}

/// The survivor's conversation: what it was, and what the merge made of it.
#[derive(Serialize, Deserialize)]
struct Into {
    was: Thread,
    became: Thread,
}

#[derive(Clone, PartialEq, Serialize, Deserialize, FromRow)]
struct Thread {
    id: Uuid,
    number_id: String,
    last_inbound_at: Option<Millis>,
    last_message_at: Millis,
    free_entry_until: Option<Millis>,
    referral: Option<String>,
    created_at: Millis,
}

const THREAD: &str = "id, number_id, last_inbound_at, last_message_at, free_entry_until, referral, created_at";

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

async fn write_thread(c: &mut Conn, workspace: WorkspaceId, t: &Thread) -> Result<(), StoreError> {
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

async fn move_contact(
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

async fn told(
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
    const COLUMNS: &'static str = "id, survivor, other, merged_at, merged_by, score, reasons, undone_at";

    fn read(self) -> MergeRecord {
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

/// Undoes a merge; both sides are what they were, with what was changed since on the survivor.
pub(crate) async fn unmerge(
    c: &mut Conn,
    workspace: WorkspaceId,
    now: Millis,
    by: &str,
    merge: Uuid,
) -> Result<MergeRecord, StoreError> {
    let rows: Vec<RecordRow> = c
        .all(
            format!("SELECT {} FROM merge_record WHERE workspace_id = $1 AND id = $2", RecordRow::COLUMNS),
            vals![workspace.0, merge],
        )
        .await?;
    let record = rows.into_iter().next().map(RecordRow::read).filter(|r| r.undone_at.is_none());
    let record = record.ok_or_else(|| StoreError::NotFound("a merge with this id that isn't undone".into()))?;
    let (survivor, other) = (record.survivor, record.other);
    let later: Option<(Uuid,)> = c
        .first(
            "SELECT id FROM merge_record WHERE workspace_id = $1 AND undone_at IS NULL AND id <> $2 \
             AND ((survivor = $3 AND (merged_at > $4 OR (merged_at = $4 AND id > $2))) OR other = $3) \
             ORDER BY merged_at DESC, id DESC LIMIT 1",
            vals![workspace.0, merge, survivor.0, record.merged_at],
        )
        .await?;
    if let Some((later,)) = later {
        return Err(StoreError::NotFound(format!("it can't be undone before the later merge {later} is")));
    }
    let text: Option<(String,)> = c
        .first("SELECT before FROM merge_record WHERE workspace_id = $1 AND id = $2", vals![workspace.0, merge])
        .await?;
    let before: Before = text
        .and_then(|(text,)| serde_json::from_str(&text).ok())
        .ok_or_else(|| StoreError::Corrupt(format!("merge_record {merge}")))?;
    let wanted: BTreeSet<PersonId> = [survivor, other].into();
    let now_there = cards::whole(c, workspace, &wanted, true).await?;
    let current = now_there.iter().find(|p| p.id == survivor).map(|p| p.profile.clone()).unwrap_or_default();
    for (kind, scope, value) in &before.identities {
        c.exec(
            "UPDATE identity SET person_id = $5 WHERE workspace_id = $1 AND kind = $2 AND scope = $3 AND value = $4 \
             AND person_id = $6",
            vals![workspace.0, kind.as_str(), scope.as_str(), value.as_str(), other.0, survivor.0],
        )
        .await?;
    }
    for (kind, scope, value, ended_at) in &before.past {
        c.exec(
            "UPDATE identity_past SET person_id = $6 WHERE workspace_id = $1 AND person_id = $7 AND kind = $2 \
             AND scope = $3 AND value = $4 AND ended_at = $5",
            vals![workspace.0, kind.as_str(), scope.as_str(), value.as_str(), *ended_at, other.0, survivor.0],
        )
        .await?;
    }
    give_back_threads(c, workspace, &record, &before).await?;
    for connection in &before.contacts {
        move_contact(c, workspace, connection, survivor, other).await?;
    }
    let kept = since(&before, current);
    restore(c, workspace, survivor, &before.survivor, &kept).await?;
    restore(c, workspace, other, &before.other, &before.other.profile).await?;
    c.exec(
        "UPDATE merge_record SET undone_at = $3, undone_by = $4 WHERE workspace_id = $1 AND id = $2",
        vals![workspace.0, merge, now, by],
    )
    .await?;
    c.exec("DELETE FROM merge_message WHERE workspace_id = $1 AND merge_id = $2", vals![workspace.0, merge]).await?;
    // A person said that they are two: no search merges them again by itself.
    c.exec(
        "INSERT INTO duplicate_pair (workspace_id, a, b, score, reasons, state, found_at, decided_at, decided_by) \
         VALUES ($1, $2, $3, $4, $5, 'apart', $6, $6, $7) ON CONFLICT (workspace_id, a, b) DO UPDATE SET \
         state = 'apart', decided_at = excluded.decided_at, decided_by = excluded.decided_by",
        vals![
            workspace.0,
            survivor.min(other).0,
            survivor.max(other).0,
            record.score,
            record.reasons.join(","),
            now,
            by
        ],
    )
    .await?;
    told(c, workspace, EventKind::PeopleUnmerged, now, survivor, other, merge).await?;
    Ok(MergeRecord { undone_at: Some(now), ..record })
}

/// The survivor's profile from before, with what was said about them after the merge.
fn since(before: &Before, current: Profile) -> Profile {
    let mut kept = before.survivor.profile.clone();
    for (key, field) in current.fields {
        if before.merged.fields.get(&key) != Some(&field) {
            kept.fields.insert(key, field);
        }
    }
    kept.tags.extend(current.tags.into_iter().filter(|t| !before.merged.tags.contains(t)));
    kept.labels.extend(current.labels.into_iter().filter(|l| !before.merged.labels.contains(l)));
    kept
}

async fn restore(
    c: &mut Conn,
    workspace: WorkspaceId,
    person: PersonId,
    was: &Side,
    profile: &Profile,
) -> Result<(), StoreError> {
    c.exec(
        "UPDATE person SET profile = $3, labels = $4, changed_at = $5, merged_into = NULL WHERE workspace_id = $1 AND id = $2",
        vals![workspace.0, person.0, packed::pack(profile), packed::labels(profile), was.changed_at],
    )
    .await?;
    // A stop that was said after the merge stays.
    c.exec(
        "UPDATE person SET marketing_stopped_at = $3, preference_at = $4 WHERE workspace_id = $1 AND id = $2 \
         AND COALESCE(preference_at, 0) <= $5",
        vals![workspace.0, person.0, was.stopped_at, was.preference_at, was.preference_at.unwrap_or(i64::MAX)],
    )
    .await?;
    Ok(())
}

async fn give_back_threads(
    c: &mut Conn,
    workspace: WorkspaceId,
    record: &MergeRecord,
    before: &Before,
) -> Result<(), StoreError> {
    for moved in &before.conversations {
        let row = &moved.row;
        match &moved.into {
            None => {
                c.exec(
                    "UPDATE conversation SET person_id = $3 WHERE workspace_id = $1 AND id = $2",
                    vals![workspace.0, row.id, record.other.0],
                )
                .await?;
            }
            Some(into) => {
                c.exec(
                    "INSERT INTO conversation (workspace_id, id, number_id, person_id, last_inbound_at, last_message_at, \
                     free_entry_until, referral, created_at) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9)",
                    vals![
                        workspace.0,
                        row.id,
                        row.number_id.as_str(),
                        record.other.0,
                        row.last_inbound_at,
                        row.last_message_at,
                        row.free_entry_until,
                        row.referral.clone(),
                        row.created_at
                    ],
                )
                .await?;
                let here: Option<Thread> = c
                    .first(
                        format!("SELECT {THREAD} FROM conversation WHERE workspace_id = $1 AND id = $2"),
                        vals![workspace.0, into.was.id],
                    )
                    .await?;
                // What was said since the merge stays with the survivor.
                if here.as_ref() == Some(&into.became) {
                    write_thread(c, workspace, &into.was).await?;
                }
            }
        }
    }
    if before.conversations.is_empty() {
        return Ok(());
    }
    c.exec(
        "UPDATE message SET person_id = $3, conversation_id = (SELECT m.conversation_id FROM merge_message m \
         WHERE m.workspace_id = $1 AND m.merge_id = $2 AND m.message_id = message.id) WHERE workspace_id = $1 \
         AND id IN (SELECT m.message_id FROM merge_message m WHERE m.workspace_id = $1 AND m.merge_id = $2)",
        vals![workspace.0, record.id, record.other.0],
    )
    .await?;
    Ok(())
}
