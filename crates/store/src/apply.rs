//! Applying what a fold or the gate decided. Only writes; what to write was decided before.

use crate::conn::{Conn, Val, vals};
use crate::content::STILL_KEPT;
use crate::events;
use crate::journal;
use crate::lanes;
use crate::letters;
use crate::load;
use crate::rows::{content_vals, conversation_vals, head_vals, person_vals};
use ponte_domain::Millis;
use ponte_domain::conversation::{Changes, Keys, send_lane};
use ponte_domain::error::StoreError;
use ponte_domain::event::EventKind;
use ponte_domain::identity::Identity;
use ponte_domain::ids::WorkspaceId;
use ponte_domain::job::JobKind;
use ponte_domain::message::{Conversation, MessageHead, NewIdentity, NewMessage, Person};
use ponte_domain::ports::store::{FoldFn, IngestCounts, Lease, Topic};
use std::sync::Arc;

/// Loads, folds, applies, marks the segments: one transaction.
pub(crate) async fn ingest(
    c: &mut Conn,
    workspace: WorkspaceId,
    lease: Option<&Lease>,
    segments: &[i64],
    keys: &Keys,
    fold: &FoldFn,
) -> Result<IngestCounts, StoreError> {
    if let Some(lease) = lease {
        crate::leases::still_ours(c, workspace, lease).await?;
    }
    let snapshot = load::snapshot(c, workspace, keys).await?;
    let changes = Arc::clone(fold)(snapshot);
    let counts = IngestCounts {
        messages: changes.new_messages.len() as u64,
        changed: changes.changed_messages.len() as u64,
        events: changes.events.len() as u64,
        unrecognised: changes.events.iter().filter(|e| e.kind == EventKind::Unrecognised).count() as u64,
    };
    changes_of_fold(c, workspace, changes).await?;
    journal::mark(c, workspace, segments).await?;
    Ok(counts)
}

async fn changes_of_fold(c: &mut Conn, workspace: WorkspaceId, changes: Changes) -> Result<(), StoreError> {
    let now = changes.events.first().map_or(0, |e| e.at);
    people(c, workspace, &changes.new_people).await?;
    changed_people(c, workspace, &changes.changed_people).await?;
    end_identities(c, workspace, &changes.ended_identities, now).await?;
    identities(c, workspace, &changes.identities).await?;
    conversations(c, workspace, &changes.new_conversations).await?;
    changed_conversations(c, workspace, &changes.changed_conversations).await?;
    messages(c, workspace, &changes.new_messages, now).await?;
    changed_messages(c, workspace, &changes.changed_messages).await?;
    for change in &changes.text_changes {
        c.exec(
            format!(
                "UPDATE message_content SET body = $3, content = $4 WHERE workspace_id = $1 AND message_id = $2 \
                 AND {STILL_KEPT}"
            ),
            vals![workspace.0, change.message.0, change.text.clone(), change.content.as_str()],
        )
        .await?;
    }
    let pricing = changes.pricing.iter().map(|(id, json)| vals![id.0, json.as_str()]).collect();
    c.change_many(
        "id, pricing",
        "UPDATE message_content SET pricing = (SELECT v.pricing FROM v WHERE v.id = message_content.message_id LIMIT 1) \
         WHERE workspace_id = $1 AND message_id IN (SELECT id FROM v)",
        vals![workspace.0],
        pricing,
    )
    .await?;
    reactions(c, workspace, &changes).await?;
    orphans(c, workspace, &changes).await?;
    settled(c, workspace, &changes.settled, now).await?;
    crate::consent::folded(c, workspace, &changes).await?;
    crate::reach::write(c, workspace, now, &changes.reach).await?;
    crate::people::relabel(c, workspace, now, &changes.labels).await?;
    events::append(c, workspace, changes.events).await?;
    for waba_id in &changes.accounts {
        crate::account::due(c, workspace, waba_id, 0).await?;
    }
    for (scope, until) in &changes.restrictions {
        crate::sends::hold(c, workspace, scope, *until).await?;
    }
    lanes::enqueue(c, workspace, now, changes.jobs).await
}

pub(crate) async fn people(c: &mut Conn, workspace: WorkspaceId, people: &[Person]) -> Result<(), StoreError> {
    let rows = people.iter().map(|p| person_vals(workspace, p)).collect();
    c.insert_many(
        "INSERT INTO person (workspace_id, id, name, username, marketing_stopped_at, preference_at, profile_at, created_at)",
        "",
        rows,
    )
    .await?;
    Ok(())
}

async fn changed_people(c: &mut Conn, workspace: WorkspaceId, people: &[Person]) -> Result<(), StoreError> {
    let rows = people
        .iter()
        .map(|p| {
            vals![p.id.0, p.name.clone(), p.username.clone(), p.marketing_stopped_at, p.preference_at, p.profile_at]
        })
        .collect();
    c.change_many(
        "id, name, username, stopped, preference, profile",
        "UPDATE person SET name = v.name, username = v.username, marketing_stopped_at = v.stopped, \
         preference_at = v.preference, profile_at = v.profile FROM v WHERE person.workspace_id = $1 AND person.id = v.id",
        vals![workspace.0],
        rows,
    )
    .await?;
    Ok(())
}

pub(crate) async fn identities(
    c: &mut Conn,
    workspace: WorkspaceId,
    identities: &[NewIdentity],
) -> Result<(), StoreError> {
    let rows = identities
        .iter()
        .map(|n| {
            let Identity { kind, scope, value } = &n.identity;
            vals![workspace.0, kind.as_str(), scope.as_str(), value.as_str(), n.person.0, n.at]
        })
        .collect();
    c.insert_many("INSERT INTO identity (workspace_id, kind, scope, value, person_id, since)", "", rows).await?;
    Ok(())
}

async fn end_identities(
    c: &mut Conn,
    workspace: WorkspaceId,
    ended: &[Identity],
    now: Millis,
) -> Result<(), StoreError> {
    for identity in ended {
        let key = vals![workspace.0, identity.kind.as_str(), identity.scope.as_str(), identity.value.as_str()];
        let mut with_time = key.clone();
        with_time.push(Val::from(now));
        c.exec(
            "INSERT INTO identity_past (workspace_id, kind, scope, value, person_id, since, ended_at) \
             SELECT workspace_id, kind, scope, value, person_id, since, $5 FROM identity \
             WHERE workspace_id = $1 AND kind = $2 AND scope = $3 AND value = $4",
            with_time,
        )
        .await?;
        c.exec("DELETE FROM identity WHERE workspace_id = $1 AND kind = $2 AND scope = $3 AND value = $4", key).await?;
    }
    Ok(())
}

pub(crate) async fn conversations(
    c: &mut Conn,
    workspace: WorkspaceId,
    conversations: &[Conversation],
) -> Result<(), StoreError> {
    let rows = conversations.iter().map(|conversation| conversation_vals(workspace, conversation)).collect();
    c.insert_many(
        "INSERT INTO conversation (workspace_id, id, number_id, person_id, last_inbound_at, last_message_at, \
         free_entry_until, referral, created_at)",
        "",
        rows,
    )
    .await?;
    Ok(())
}

async fn changed_conversations(
    c: &mut Conn,
    workspace: WorkspaceId,
    conversations: &[Conversation],
) -> Result<(), StoreError> {
    let rows = conversations
        .iter()
        .map(|n| vals![n.id.0, n.last_inbound_at, n.last_message_at, n.free_entry_until, n.referral.clone()])
        .collect();
    c.change_many(
        "id, inbound, message, free, referral",
        "UPDATE conversation SET last_inbound_at = v.inbound, last_message_at = v.message, free_entry_until = v.free, \
         referral = v.referral FROM v WHERE conversation.workspace_id = $1 AND conversation.id = v.id",
        vals![workspace.0],
        rows,
    )
    .await?;
    Ok(())
}

pub(crate) async fn messages(
    c: &mut Conn,
    workspace: WorkspaceId,
    messages: &[NewMessage],
    now: Millis,
) -> Result<(), StoreError> {
    c.insert_many(
        "INSERT INTO message (workspace_id, id, conversation_id, person_id, number_id, wamid, origin, class, phase, at, \
         created_at, accepted_at, sent_at, delivered_at, read_at, played_at, failed_at, edited_at, withdrawn_at, \
         error_code, error_title)",
        "",
        messages.iter().map(|m| head_vals(workspace, &m.head)).collect(),
    )
    .await?;
    c.insert_many(
        "INSERT INTO message_content (workspace_id, message_id, kind, body, content, reply_to, forwarded, media)",
        "",
        messages.iter().map(|m| content_vals(workspace, m)).collect(),
    )
    .await?;
    let keys = messages
        .iter()
        .filter_map(|m| {
            let key = m.idempotency_key.clone()?;
            Some(vals![workspace.0, key, m.head.id.0, m.request_hash.clone(), now])
        })
        .collect();
    c.insert_many("INSERT INTO idempotency (workspace_id, key, message_id, request_hash, created_at)", "", keys)
        .await?;
    Ok(())
}

pub(crate) async fn changed_messages(
    c: &mut Conn,
    workspace: WorkspaceId,
    messages: &[MessageHead],
) -> Result<(), StoreError> {
    let rows = messages
        .iter()
        .map(|m| {
            let (code, title) = m.error.clone().unzip();
            vals![
                m.id.0,
                m.wamid.as_ref().map(ToString::to_string),
                m.phase.as_str(),
                m.stamps.accepted,
                m.stamps.sent,
                m.stamps.delivered,
                m.stamps.read,
                m.stamps.played,
                m.stamps.failed,
                m.edited_at,
                m.withdrawn_at,
                code,
                title
            ]
        })
        .collect();
    c.change_many(
        "id, wamid, phase, accepted, sent, delivered, seen, played, failed, edited, withdrawn, code, title",
        "UPDATE message SET wamid = v.wamid, phase = v.phase, accepted_at = v.accepted, sent_at = v.sent, \
         delivered_at = v.delivered, read_at = v.seen, played_at = v.played, failed_at = v.failed, \
         edited_at = v.edited, withdrawn_at = v.withdrawn, error_code = v.code, error_title = v.title \
         FROM v WHERE message.workspace_id = $1 AND message.id = v.id",
        vals![workspace.0],
        rows,
    )
    .await?;
    Ok(())
}

async fn reactions(c: &mut Conn, workspace: WorkspaceId, changes: &Changes) -> Result<(), StoreError> {
    for r in &changes.reactions {
        let by_whom = r.person.map_or_else(|| "us".to_owned(), |p| p.to_string());
        c.exec(
            "INSERT INTO reaction (workspace_id, number_id, target, by_whom, emoji, at) VALUES ($1, $2, $3, $4, $5, $6) \
             ON CONFLICT (workspace_id, number_id, target, by_whom) DO UPDATE SET emoji = excluded.emoji, at = excluded.at \
             WHERE reaction.at <= excluded.at",
            vals![workspace.0, r.number.as_str(), r.target.as_str(), by_whom, r.emoji.clone(), r.at],
        )
        .await?;
    }
    Ok(())
}

async fn orphans(c: &mut Conn, workspace: WorkspaceId, changes: &Changes) -> Result<(), StoreError> {
    let rows = changes
        .new_orphans
        .iter()
        .map(|o| {
            let news = serde_json::to_string(&o.news).unwrap_or_default();
            vals![workspace.0, o.number.as_str(), o.wamid.as_str(), o.news.kind(), news, o.at]
        })
        .collect();
    c.insert_many(
        "INSERT INTO orphan (workspace_id, number_id, wamid, kind, news, at)",
        "ON CONFLICT (workspace_id, number_id, wamid, kind) DO UPDATE SET news = excluded.news, at = excluded.at",
        rows,
    )
    .await?;
    for (number, wamid) in &changes.adopted {
        c.exec(
            "DELETE FROM orphan WHERE workspace_id = $1 AND number_id = $2 AND wamid = $3",
            vals![workspace.0, number.as_str(), wamid.as_str()],
        )
        .await?;
    }
    Ok(())
}

/// Messages that turned out to be accepted: nobody need look at their dead letters, and their lanes may go on now.
pub(crate) async fn settled(
    c: &mut Conn,
    workspace: WorkspaceId,
    heads: &[MessageHead],
    now: Millis,
) -> Result<(), StoreError> {
    for head in heads {
        letters::settled(c, workspace, head.id, now).await?;
        if let Some(class) = head.class {
            // Only a lane that nobody holds: a call still under way settles its lane itself.
            c.exec(
                "UPDATE lane SET ready_at = $4 WHERE workspace_id = $1 AND kind = $2 AND key = $3 AND owner = '' AND ready_at > $4",
                vals![workspace.0, JobKind::Send.as_str(), send_lane(&head.number, head.person, class), now],
            )
            .await?;
            c.touch(Topic::Sends);
        }
    }
    Ok(())
}
