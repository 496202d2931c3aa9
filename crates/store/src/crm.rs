//! Write-back: what a CRM should hold of a person and a message, what it was told last, and settling.
//! Must not touch: any CRM. The hash of a row as last written tells whether there is anything to write.

use crate::conn::{Conn, Val, vals};
use crate::lanes;
use crate::load;
use crate::rows::HeadRow;
use ponte_domain::Millis;
use ponte_domain::crm::{ContactWrite, MessageWrite};
use ponte_domain::error::StoreError;
use ponte_domain::identity::{Identity, IdentityKind};
use ponte_domain::ids::{ConnectionId, MessageId, PersonId, WorkspaceId};
use ponte_domain::message::Person;
use ponte_domain::ports::store::{CrmEnd, CrmView};
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
            let (contact, written) = contacts.get(standing.get(person)?)?;
            let found = match message {
                None => None,
                Some(id) => Some(messages.get(id)?),
            };
            Some(CrmView {
                contact: contact.clone(),
                contact_written: written.clone(),
                message: found.map(|(m, ..)| MessageWrite {
                    contact_crm_id: contact.crm_id.clone().unwrap_or_default(),
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

type Contacts = HashMap<PersonId, (ContactWrite, Option<String>)>;

async fn contacts(
    c: &mut Conn,
    workspace: WorkspaceId,
    connection: &ConnectionId,
    wanted: BTreeSet<PersonId>,
) -> Result<Contacts, StoreError> {
    let people = load::persons(c, workspace, &wanted).await?;
    let mut identities: HashMap<PersonId, Vec<Identity>> = HashMap::new();
    for link in load::identities_of(c, workspace, &wanted).await? {
        identities.entry(link.person).or_default().push(link.identity);
    }
    let last_inbound: HashMap<PersonId, Millis> = load::conversations(c, workspace, &wanted)
        .await?
        .into_iter()
        .filter_map(|n| n.last_inbound_at.map(|at| (n.person, at)))
        .fold(HashMap::new(), |mut newest, (person, at)| {
            let entry = newest.entry(person).or_insert(at);
            *entry = at.max(*entry);
            newest
        });
    let links: Vec<ContactLinkRow> = c
        .select_in(
            "SELECT person_id, crm_id, written FROM crm_contact WHERE workspace_id = $1 AND connection = $2 \
             AND ",
            &["person_id"],
            "",
            vals![workspace.0, connection.as_str()],
            load::ids(&wanted),
        )
        .await?;
    let links: HashMap<Uuid, ContactLinkRow> = links.into_iter().map(|l| (l.person_id, l)).collect();
    Ok(people
        .into_iter()
        .map(|person| {
            let known = identities.get(&person.id).map(Vec::as_slice).unwrap_or_default();
            let link = links.get(&person.id.0);
            let contact =
                contact(&person, known, link.map(|l| l.crm_id.clone()), last_inbound.get(&person.id).copied());
            (person.id, (contact, link.map(|l| l.written.clone())))
        })
        .collect())
}

fn contact(
    person: &Person,
    known: &[Identity],
    crm_id: Option<String>,
    last_inbound_at: Option<Millis>,
) -> ContactWrite {
    let of = |kind| known.iter().find(|i| i.kind == kind).map(|i| i.value.clone());
    ContactWrite {
        person: person.id,
        crm_id,
        name: person.name.clone(),
        phone: of(IdentityKind::Phone).or_else(|| of(IdentityKind::WaId)),
        wa_id: of(IdentityKind::WaId),
        user_id: of(IdentityKind::UserId),
        username: person.username.clone(),
        last_inbound_at,
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
    for end in ends {
        let at = || vals![workspace.0, connection.as_str()];
        if let Some((person, crm_id, hash)) = &end.contact {
            let row = at().into_iter().chain(vals![person.0, crm_id.as_str(), hash.as_str(), now]).collect();
            contacts.insert(*person, row);
        }
        if let Some(person) = end.contact_gone {
            let key = at().into_iter().chain(vals![person.0]).collect();
            c.exec("DELETE FROM crm_contact WHERE workspace_id = $1 AND connection = $2 AND person_id = $3", key)
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
        "INSERT INTO crm_contact (workspace_id, connection, person_id, crm_id, written, written_at)",
        "ON CONFLICT (workspace_id, connection, person_id) DO UPDATE SET crm_id = excluded.crm_id, \
         written = excluded.written, written_at = excluded.written_at",
        contacts.into_iter().map(|(_, row)| row).collect(),
    )
    .await?;
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
