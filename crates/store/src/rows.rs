//! Rows as they stand in the database, and their way to and from the domain's types.

use crate::conn::{Val, vals};
use ponte_domain::Millis;
use ponte_domain::conversation::{News, Orphan};
use ponte_domain::error::StoreError;
use ponte_domain::identity::{Identity, IdentityKind, IdentityLink};
use ponte_domain::ids::{ConversationId, MessageId, NumberId, PersonId, Wamid, WorkspaceId};
use ponte_domain::job::Class;
use ponte_domain::message::{Conversation, MessageHead, NewMessage, Origin, Person, Phase};
use ponte_domain::status::Stamps;
use sqlx::FromRow;
use uuid::Uuid;

fn corrupt(what: &str) -> StoreError {
    StoreError::Corrupt(what.to_owned())
}

#[derive(FromRow)]
pub(crate) struct IdentityRow {
    kind: String,
    scope: String,
    value: String,
    person_id: Uuid,
}

impl IdentityRow {
    pub(crate) const COLUMNS: &'static str = "kind, scope, value, person_id";

    pub(crate) fn read(self) -> Result<IdentityLink, StoreError> {
        let kind = IdentityKind::parse(&self.kind).ok_or_else(|| corrupt("identity.kind"))?;
        let identity = Identity { kind, scope: self.scope, value: self.value };
        Ok(IdentityLink { identity, person: PersonId(self.person_id) })
    }
}

#[derive(FromRow)]
pub(crate) struct PersonRow {
    id: Uuid,
    name: Option<String>,
    username: Option<String>,
    marketing_stopped_at: Option<Millis>,
    preference_at: Option<Millis>,
    profile_at: Option<Millis>,
    created_at: Millis,
    labels: String,
    decided: String,
}

impl PersonRow {
    // The profile only of the few whose label somebody may have decided about.
    pub(crate) const COLUMNS: &'static str = "id, name, username, marketing_stopped_at, preference_at, profile_at,          created_at, labels, CASE WHEN labels LIKE '%unreachable%' THEN profile ELSE '' END AS decided";

    pub(crate) fn read(self) -> Result<Person, StoreError> {
        let unreachable = crate::people::unpack(&self.decided, &self.labels)?.unreachable();
        Ok(Person {
            unreachable,
            id: PersonId(self.id),
            name: self.name,
            username: self.username,
            marketing_stopped_at: self.marketing_stopped_at,
            preference_at: self.preference_at,
            profile_at: self.profile_at,
            created_at: self.created_at,
        })
    }
}

pub(crate) fn person_vals(workspace: WorkspaceId, p: &Person) -> Vec<Val> {
    vals![
        workspace.0,
        p.id.0,
        p.name.clone(),
        p.username.clone(),
        p.marketing_stopped_at,
        p.preference_at,
        p.profile_at,
        p.created_at
    ]
}

#[derive(FromRow)]
pub(crate) struct ConversationRow {
    id: Uuid,
    number_id: String,
    person_id: Uuid,
    last_inbound_at: Option<Millis>,
    last_message_at: Millis,
    free_entry_until: Option<Millis>,
    referral: Option<String>,
    created_at: Millis,
}

impl ConversationRow {
    pub(crate) const COLUMNS: &'static str =
        "id, number_id, person_id, last_inbound_at, last_message_at, free_entry_until, referral, created_at";

    pub(crate) fn read(self) -> Conversation {
        Conversation {
            id: ConversationId(self.id),
            number: self.number_id.into(),
            person: PersonId(self.person_id),
            last_inbound_at: self.last_inbound_at,
            last_message_at: self.last_message_at,
            free_entry_until: self.free_entry_until,
            referral: self.referral,
            created_at: self.created_at,
        }
    }
}

pub(crate) fn conversation_vals(workspace: WorkspaceId, c: &Conversation) -> Vec<Val> {
    vals![
        workspace.0,
        c.id.0,
        c.number.as_str(),
        c.person.0,
        c.last_inbound_at,
        c.last_message_at,
        c.free_entry_until,
        c.referral.clone(),
        c.created_at
    ]
}

#[derive(FromRow)]
pub(crate) struct HeadRow {
    id: Uuid,
    conversation_id: Uuid,
    person_id: Uuid,
    number_id: String,
    wamid: Option<String>,
    origin: String,
    class: Option<String>,
    phase: String,
    at: Millis,
    created_at: Millis,
    accepted_at: Option<Millis>,
    sent_at: Option<Millis>,
    delivered_at: Option<Millis>,
    read_at: Option<Millis>,
    played_at: Option<Millis>,
    failed_at: Option<Millis>,
    edited_at: Option<Millis>,
    withdrawn_at: Option<Millis>,
    error_code: Option<String>,
    error_title: Option<String>,
}

impl HeadRow {
    pub(crate) const COLUMNS: &'static str = "m.id, m.conversation_id, m.person_id, m.number_id, m.wamid, m.origin, \
         m.class, m.phase, m.at, m.created_at, m.accepted_at, m.sent_at, m.delivered_at, m.read_at, m.played_at, \
         m.failed_at, m.edited_at, m.withdrawn_at, m.error_code, m.error_title";

    pub(crate) fn read(self) -> Result<MessageHead, StoreError> {
        Ok(MessageHead {
            id: MessageId(self.id),
            conversation: ConversationId(self.conversation_id),
            person: PersonId(self.person_id),
            number: self.number_id.into(),
            wamid: self.wamid.map(Wamid::from),
            origin: Origin::parse(&self.origin).ok_or_else(|| corrupt("message.origin"))?,
            class: match self.class {
                Some(text) => Some(Class::parse(&text).ok_or_else(|| corrupt("message.class"))?),
                None => None,
            },
            phase: Phase::parse(&self.phase).ok_or_else(|| corrupt("message.phase"))?,
            stamps: Stamps {
                accepted: self.accepted_at,
                sent: self.sent_at,
                delivered: self.delivered_at,
                read: self.read_at,
                played: self.played_at,
                failed: self.failed_at,
            },
            at: self.at,
            created_at: self.created_at,
            edited_at: self.edited_at,
            withdrawn_at: self.withdrawn_at,
            error: self.error_code.map(|code| (code, self.error_title.unwrap_or_default())),
        })
    }
}

pub(crate) fn head_vals(workspace: WorkspaceId, m: &MessageHead) -> Vec<Val> {
    let (code, title) = m.error.clone().unzip();
    vals![
        workspace.0,
        m.id.0,
        m.conversation.0,
        m.person.0,
        m.number.as_str(),
        m.wamid.as_ref().map(ToString::to_string),
        m.origin.as_str(),
        m.class.map(|c| c.as_str().to_owned()),
        m.phase.as_str(),
        m.at,
        m.created_at,
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
}

pub(crate) fn content_vals(workspace: WorkspaceId, m: &NewMessage) -> Vec<Val> {
    let media = m.media.as_ref().and_then(|media| serde_json::to_string(media).ok());
    vals![
        workspace.0,
        m.head.id.0,
        m.kind.as_str(),
        m.text.clone(),
        m.content.as_str(),
        m.reply_to.as_ref().map(ToString::to_string),
        m.forwarded,
        media
    ]
}

#[derive(FromRow)]
pub(crate) struct OrphanRow {
    number_id: String,
    wamid: String,
    news: String,
    at: Millis,
}

impl OrphanRow {
    pub(crate) const COLUMNS: &'static str = "number_id, wamid, news, at";

    pub(crate) fn read(self) -> Result<Orphan, StoreError> {
        let news: News = serde_json::from_str(&self.news).map_err(|_| corrupt("orphan.news"))?;
        Ok(Orphan { number: NumberId::from(self.number_id), wamid: self.wamid.into(), news, at: self.at })
    }
}
