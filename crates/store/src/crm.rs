//! Write-back: what a CRM should hold of a person and a message, what it was told last, and settling.
//! Must not touch: any CRM. The hash of a row as last written tells whether there is anything to write.

use crate::conn::{Conn, Val, vals};
use crate::lanes;
use crate::load;
use crate::rows::HeadRow;
use crate::sync;
use ponte_domain::Millis;
use ponte_domain::crm::{ContactWrite, MessageWrite};
use ponte_domain::error::StoreError;
use ponte_domain::ids::{ConnectionId, MessageId, PersonId, WorkspaceId};
use ponte_domain::mapping::{Base, Facts};
use ponte_domain::ports::store::{ContactEnd, CrmEnd, CrmView};
use ponte_domain::profile::core;
use sqlx::FromRow;
use std::collections::{BTreeMap, BTreeSet, HashMap};
use uuid::Uuid;

#[derive(FromRow)]
struct MessageRow {
    #[sqlx(flatten)]
    head: HeadRow,
    kind: String,
    body: Option<String>,
}

#[derive(FromRow)]
struct ContactLinkRow {
    person_id: Uuid,
    crm_id: String,
    written: String,
    base: Option<String>,
    gone_at: Option<Millis>,
}

#[derive(FromRow)]
struct MessageLinkRow {
    message_id: Uuid,
    crm_id: Option<String>,
    written: Option<String>,
    uncertain: bool,
}

pub(crate) async fn views(
    c: &mut Conn,
    workspace: WorkspaceId,
    connection: &ConnectionId,
    subjects: &[(PersonId, Option<MessageId>)],
) -> Result<Vec<Option<CrmView>>, StoreError> {
    let standing = standing(c, workspace, subjects.iter().map(|(p, _)| *p).collect()).await?;
    let contacts = contacts(c, workspace, connection, standing.values().copied().collect()).await?;
    let messages = messages(c, workspace, connection, subjects.iter().filter_map(|(_, m)| *m).collect()).await?;
    Ok(subjects
        .iter()
        .map(|(person, message)| {
            let contact = contacts.get(standing.get(person)?)?;
            let found = match message {
                None => None,
                Some(id) => Some(messages.get(id)?),
            };
            Some(CrmView {
                contact: contact.write.clone(),
                facts: contact.facts.clone(),
                base: contact.base.clone(),
                gone: contact.gone,
                contact_written: contact.written.clone(),
                message: found.map(|(m, ..)| MessageWrite {
                    contact_crm_id: contact.write.crm_id.clone().unwrap_or_default(),
                    ..m.clone()
                }),
                message_since: found.map(|(_, _, since)| *since),
                message_written: found.and_then(|(_, written, _)| written.clone()),
            })
        })
        .collect())
}

/// Who each of these people is now: whoever was merged is the survivor. Nobody, for whom was erased.
async fn standing(
    c: &mut Conn,
    workspace: WorkspaceId,
    people: BTreeSet<PersonId>,
) -> Result<HashMap<PersonId, PersonId>, StoreError> {
    let mut standing: HashMap<PersonId, PersonId> = people.iter().map(|p| (*p, *p)).collect();
    let mut asked = people;
    while !asked.is_empty() {
        let rows: Vec<(Uuid, Uuid)> = c
            .select_in(
                "SELECT id, merged_into FROM person WHERE workspace_id = $1 AND merged_into IS NOT NULL AND ",
                &["id"],
                "",
                vals![workspace.0],
                load::ids(&asked),
            )
            .await?;
        let merged: HashMap<PersonId, PersonId> =
            rows.into_iter().map(|(id, into)| (PersonId(id), PersonId(into))).collect();
        standing.retain(|_, now| merged.get(now) != Some(&*now));
        for now in standing.values_mut() {
            *now = merged.get(now).copied().unwrap_or(*now);
        }
        asked = merged.into_iter().filter(|(id, into)| id != into).map(|(_, into)| into).collect();
    }
    Ok(standing)
}

/// A person as write-back sees them.
struct ContactView {
    write: ContactWrite,
    facts: Facts,
    written: Option<String>,
    base: Option<Base>,
    gone: bool,
}

async fn contacts(
    c: &mut Conn,
    workspace: WorkspaceId,
    connection: &ConnectionId,
    wanted: BTreeSet<PersonId>,
) -> Result<HashMap<PersonId, ContactView>, StoreError> {
    let facts = sync::facts(c, workspace, &wanted, true, false).await?;
    let rows: Vec<ContactLinkRow> = c
        .select_in(
            "SELECT person_id, crm_id, written, base, gone_at FROM crm_contact WHERE workspace_id = $1 AND connection = $2 \
             AND ",
            &["person_id"],
            "",
            vals![workspace.0, connection.as_str()],
            load::ids(&wanted),
        )
        .await?;
    let mut sent = sync::sent(c, workspace, connection, &wanted).await?;
    let mut links: HashMap<Uuid, ContactLinkRow> = rows.into_iter().map(|l| (l.person_id, l)).collect();
    facts
        .into_iter()
        .map(|(person, facts)| {
            let link = links.remove(&person.0);
            let gone = link.as_ref().is_some_and(|l| l.gone_at.is_some());
            let link = link.filter(|_| !gone);
            let base = link.as_ref().and_then(|l| l.base.as_deref()).map(serde_json::from_str).transpose();
            let view = ContactView {
                write: contact(&facts, link.as_ref().map(|l| l.crm_id.clone())),
                facts,
                base: match &link {
                    Some(_) => base.map_err(|_| StoreError::Corrupt("crm_contact.base".into()))?,
                    None => sent.remove(&person),
                },
                written: link.map(|l| l.written),
                gone,
            };
            Ok((person, view))
        })
        .collect()
}

fn contact(facts: &Facts, crm_id: Option<String>) -> ContactWrite {
    let name = facts.profile.get(core::NAME).map(str::to_owned).or_else(|| facts.whatsapp_name.clone());
    ContactWrite {
        person: facts.person,
        crm_id,
        name,
        phone: facts.phones.first().cloned(),
        wa_id: facts.wa_id.clone(),
        user_id: facts.user_id.clone(),
        username: facts.username.clone(),
        last_inbound_at: facts.last_inbound_at,
        fields: BTreeMap::new(),
    }
}

/// The row, what was written last, and since when the message is known.
type Messages = HashMap<MessageId, (MessageWrite, Option<String>, Millis)>;

async fn messages(
    c: &mut Conn,
    workspace: WorkspaceId,
    connection: &ConnectionId,
    wanted: BTreeSet<MessageId>,
) -> Result<Messages, StoreError> {
    let keys: Vec<Vec<Val>> = wanted.iter().map(|m| vals![m.0]).collect();
    let rows: Vec<MessageRow> = c
        .select_in(
            &format!(
                "SELECT {}, t.kind, t.body FROM message m JOIN message_content t ON t.workspace_id = m.workspace_id \
                 AND t.message_id = m.id WHERE m.workspace_id = $1 AND ",
                HeadRow::COLUMNS
            ),
            &["m.id"],
            "",
            vals![workspace.0],
            keys.clone(),
        )
        .await?;
    let links: Vec<MessageLinkRow> = c
        .select_in(
            "SELECT message_id, crm_id, written, uncertain FROM crm_message WHERE workspace_id = $1 AND connection = $2 \
             AND ", &["message_id"],
            "",
            vals![workspace.0, connection.as_str()],
            keys,
        )
        .await?;
    let links: HashMap<Uuid, MessageLinkRow> = links.into_iter().map(|l| (l.message_id, l)).collect();
    let mut messages = HashMap::with_capacity(rows.len());
    for row in rows {
        let head = row.head.read()?;
        let link = links.get(&head.id.0);
        let write = MessageWrite {
            message: head.id,
            crm_id: link.and_then(|l| l.crm_id.clone()),
            uncertain: link.is_some_and(|l| l.uncertain),
            contact_crm_id: String::new(),
            inbound: head.origin.is_inbound(),
            kind: row.kind,
            text: row.body,
            at: head.at,
            stamps: head.stamps,
            error: head.error.map(|(code, title)| format!("{code}: {title}")),
            withdrawn: head.withdrawn_at.is_some(),
            edited: head.edited_at.is_some(),
        };
        messages.insert(head.id, (write, link.and_then(|l| l.written.clone()), head.created_at));
    }
    Ok(messages)
}

pub(crate) async fn settle(
    c: &mut Conn,
    workspace: WorkspaceId,
    connection: &ConnectionId,
    node: &str,
    now: Millis,
    ends: &[CrmEnd],
) -> Result<u64, StoreError> {
    // What the CRM now holds is true whoever has the lane: it is remembered even when the lane was lost.
    remember(c, workspace, connection, now, ends).await?;
    let held = lanes::fenced(c, workspace, node, ends.iter().map(|e| &e.lane)).await?;
    let (ours, lost): (Vec<_>, Vec<_>) = ends.iter().partition(|e| lanes::is_ours(&held, &e.lane));
    let jobs = ours.into_iter().map(|e| (e.lane.clone(), e.seq, e.end.clone())).collect();
    lanes::settle(c, workspace, now, jobs).await?;
    Ok(lost.len() as u64)
}

async fn remember(
    c: &mut Conn,
    workspace: WorkspaceId,
    connection: &ConnectionId,
    now: Millis,
    ends: &[CrmEnd],
) -> Result<(), StoreError> {
    let mut contacts: HashMap<PersonId, Vec<Val>> = HashMap::new();
    let mut messages: HashMap<MessageId, Vec<Val>> = HashMap::new();
    let (mut skipped, mut met) = (Vec::new(), Vec::new());
    for end in ends {
        let at = || vals![workspace.0, connection.as_str()];
        if let Some(ContactEnd { person, crm_id, hash, base, skips }) = &end.contact {
            let base = base.as_ref().map(serde_json::to_string).transpose();
            let base = base.map_err(|_| StoreError::Corrupt("crm_contact.base".into()))?;
            met.extend(base.is_some().then_some(*person));
            let row = at().into_iter().chain(vals![person.0, crm_id.as_str(), hash.as_str(), now, base]).collect();
            contacts.insert(*person, row);
            if !skips.is_empty() {
                skipped.push((crm_id.clone(), Some(*person), skips.clone()));
            }
        }
        if let Some(person) = end.contact_gone {
            // The link is kept as one of a record that is gone: the CRM may still tell that the record was merged into another.
            let key = at().into_iter().chain(vals![person.0, now]).collect();
            c.exec(
                "UPDATE crm_contact SET gone_at = $4 WHERE workspace_id = $1 AND connection = $2 AND person_id = $3",
                key,
            )
            .await?;
        }
        if let Some((message, crm_id, hash, statuses)) = &end.message {
            let row = at()
                .into_iter()
                .chain(vals![message.0, crm_id.as_str(), hash.as_str(), *statuses, false, now])
                .collect();
            messages.insert(*message, row);
        }
        if let Some(message) = end.message_uncertain {
            let row = at().into_iter().chain(vals![message.0, true, now]).collect();
            c.exec(
                "INSERT INTO crm_message (workspace_id, connection, message_id, statuses, uncertain, written_at) \
                 VALUES ($1, $2, $3, 0, $4, $5) ON CONFLICT (workspace_id, connection, message_id) \
                 DO UPDATE SET uncertain = (crm_message.crm_id IS NULL)",
                row,
            )
            .await?;
        }
    }
    let mut contacts: Vec<_> = contacts.into_iter().collect();
    contacts.sort_by_key(|(id, _)| *id);
    c.insert_many(
        "INSERT INTO crm_contact (workspace_id, connection, person_id, crm_id, written, written_at, base)",
        "ON CONFLICT (workspace_id, connection, person_id) DO UPDATE SET crm_id = excluded.crm_id, \
         written = excluded.written, written_at = excluded.written_at, gone_at = NULL, base = COALESCE(excluded.base, \
         CASE WHEN crm_contact.crm_id = excluded.crm_id THEN crm_contact.base END)",
        contacts.into_iter().map(|(_, row)| row).collect(),
    )
    .await?;
    sync::forget_sending(c, workspace, connection, met.into_iter()).await?;
    if !skipped.is_empty() {
        sync::file_skips(c, workspace, connection, &skipped, now).await?;
    }
    let mut messages: Vec<_> = messages.into_iter().collect();
    messages.sort_by_key(|(id, _)| *id);
    c.insert_many(
        "INSERT INTO crm_message (workspace_id, connection, message_id, crm_id, written, statuses, uncertain, written_at)",
        "ON CONFLICT (workspace_id, connection, message_id) DO UPDATE SET crm_id = excluded.crm_id, \
         written = excluded.written, statuses = excluded.statuses, uncertain = excluded.uncertain, \
         written_at = excluded.written_at",
        messages.into_iter().map(|(_, row)| row).collect(),
    )
    .await?;
    Ok(())
}
