//! Undoing a merge from its record: identifiers, conversations, messages, consent and CRM links go back to whom they came from.
//! What was said about the survivor since stays with the survivor.

use super::merge::{Before, RecordRow, Side, told};
use super::moves::{CONSENT, THREAD, Thread, move_contact, stand_anew, write_thread};
use super::{cards, marks, packed};
use crate::conn::{Conn, vals};
use crate::events;
use ponte_domain::Millis;
use ponte_domain::error::StoreError;
use ponte_domain::event::EventKind;
use ponte_domain::ids::{PersonId, WorkspaceId};
use ponte_domain::ports::people::MergeRecord;
use ponte_domain::profile::Profile;
use std::collections::BTreeSet;
use uuid::Uuid;

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
    for (place, id) in &before.consent {
        if let Some(table) = CONSENT.get(*place) {
            c.exec(
                format!("UPDATE {table} SET person_id = $3 WHERE workspace_id = $1 AND id = $2"),
                vals![workspace.0, *id, other.0],
            )
            .await?;
        }
    }
    if !before.consent.is_empty() {
        stand_anew(c, workspace, survivor, other).await?;
    }
    let kept = since(&before, current);
    // What the merge made of the survivor's preference; the other one's row was not touched.
    let said = before.survivor.preference_at.max(before.other.preference_at);
    restore(c, workspace, survivor, &before.survivor, said, &kept).await?;
    restore(c, workspace, other, &before.other, before.other.preference_at, &before.other.profile).await?;
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
    // After a merge only the survivor is left to be written to a CRM; after its undoing both are.
    let told = [survivor, other].map(|person| told(EventKind::PeopleUnmerged, now, person, survivor, other, merge));
    events::append(c, workspace, told.into()).await?;
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
    said: Option<Millis>,
    profile: &Profile,
) -> Result<(), StoreError> {
    c.exec(
        "UPDATE person SET profile = $3, labels = $4, changed_at = $5, merged_into = NULL WHERE workspace_id = $1 AND id = $2",
        vals![workspace.0, person.0, packed::pack(profile), packed::labels(profile), was.changed_at],
    )
    .await?;
    marks::write(c, workspace, &[(person, profile.clone())]).await?;
    // A stop that was said after the merge stays.
    c.exec(
        "UPDATE person SET marketing_stopped_at = $3, preference_at = $4 WHERE workspace_id = $1 AND id = $2 \
         AND COALESCE(preference_at, 0) = $5",
        vals![workspace.0, person.0, was.stopped_at, was.preference_at, said.unwrap_or(0)],
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
