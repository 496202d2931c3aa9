//! People, conversations and messages as the store keeps them.

use crate::Millis;
use crate::identity::Identity;
use crate::ids::{ConversationId, MessageId, NumberId, PersonId, Wamid};
use crate::inbound::MediaRef;
use crate::job::Class;
use crate::profile::Unreachable;
use crate::status::{Stamps, Status};
use serde::{Deserialize, Serialize};

/// Who wrote.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Origin {
    /// The person.
    Customer,
    /// One of our people, in the inbox.
    Agent,
    /// A program, over the API or the command line.
    Api,
    /// A campaign.
    Campaign,
    /// A rule.
    Rule,
    /// An event in a CRM.
    Crm,
    /// Someone of the business, from the WhatsApp Business app.
    Phone,
}

impl Origin {
    /// All of them.
    pub const ALL: [Self; 7] =
        [Self::Customer, Self::Agent, Self::Api, Self::Campaign, Self::Rule, Self::Crm, Self::Phone];

    /// The stored text.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Customer => "customer",
            Self::Agent => "agent",
            Self::Api => "api",
            Self::Campaign => "campaign",
            Self::Rule => "rule",
            Self::Crm => "crm",
            Self::Phone => "phone",
        }
    }

    /// Reads the stored text.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|o| o.as_str() == text)
    }

    /// True when the person wrote it.
    #[must_use]
    pub const fn is_inbound(self) -> bool {
        matches!(self, Self::Customer)
    }
}

/// How far our own handling of a message is. What WhatsApp reports is in [`Stamps`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Phase {
    /// Came in.
    Received,
    /// Waits in its lane.
    Queued,
    /// A call is under way, or was when the program died.
    Sending,
    /// A call ended without telling whether WhatsApp took it.
    Unknown,
    /// WhatsApp took it.
    Accepted,
    /// The policy said no.
    Refused,
    /// Given up.
    Dead,
}

impl Phase {
    /// All of them.
    pub const ALL: [Self; 7] =
        [Self::Received, Self::Queued, Self::Sending, Self::Unknown, Self::Accepted, Self::Refused, Self::Dead];

    /// The stored text.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Received => "received",
            Self::Queued => "queued",
            Self::Sending => "sending",
            Self::Unknown => "unknown",
            Self::Accepted => "accepted",
            Self::Refused => "refused",
            Self::Dead => "dead",
        }
    }

    /// Reads the stored text.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|p| p.as_str() == text)
    }
}

/// The one word shown for a message's state: the highest rung WhatsApp reported, else our own phase.
#[must_use]
pub fn shown_state(phase: Phase, stamps: &Stamps) -> &'static str {
    match (phase, stamps.state()) {
        (Phase::Accepted | Phase::Sending | Phase::Unknown, Some(status)) => status.as_str(),
        (phase, _) => phase.as_str(),
    }
}

/// A person.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Person {
    /// Our id.
    pub id: PersonId,
    /// Profile name.
    pub name: Option<String>,
    /// Display data; changes.
    pub username: Option<String>,
    /// When they stopped marketing messages.
    pub marketing_stopped_at: Option<Millis>,
    /// When that was last said either way, by Meta's clock: older news is ignored.
    pub preference_at: Option<Millis>,
    /// When name and username were last reported, by Meta's clock.
    pub profile_at: Option<Millis>,
    /// Whether they are labelled as unreachable, and by whom. Written by [`crate::conversation::Changes::labels`] only.
    pub unreachable: Unreachable,
    /// When we first saw them.
    pub created_at: Millis,
}

/// One person's thread with one of our numbers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Conversation {
    /// Our id.
    pub id: ConversationId,
    /// Our number.
    pub number: NumberId,
    /// The person.
    pub person: PersonId,
    /// When the person last wrote something that opens the window, by Meta's clock.
    pub last_inbound_at: Option<Millis>,
    /// When anything was last said.
    pub last_message_at: Millis,
    /// End of the free entry point.
    pub free_entry_until: Option<Millis>,
    /// The ad or post the person last came from, JSON.
    pub referral: Option<String>,
    /// When it began.
    pub created_at: Millis,
}

/// A message to be stored.
#[derive(Debug, Clone, PartialEq)]
pub struct NewMessage {
    /// What is known of it without its content.
    pub head: MessageHead,
    /// `text`, `image`, …
    pub kind: String,
    /// One line to read.
    pub text: Option<String>,
    /// As it came, or as it goes (`Outbound`), JSON.
    pub content: String,
    /// Message it answers, by wamid.
    pub reply_to: Option<Wamid>,
    /// Passed on from another chat.
    pub forwarded: bool,
    /// File that belongs to it.
    pub media: Option<MediaRef>,
    /// Key under which the caller may ask again.
    pub idempotency_key: Option<String>,
    /// SHA-256 of what was asked, for the comparison.
    pub request_hash: Option<String>,
}

/// What the fold needs to know of a message that is stored.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MessageHead {
    /// Our id.
    pub id: MessageId,
    /// Its conversation.
    pub conversation: ConversationId,
    /// Its person.
    pub person: PersonId,
    /// Our number.
    pub number: NumberId,
    /// Meta's id, once known.
    pub wamid: Option<Wamid>,
    /// Who wrote.
    pub origin: Origin,
    /// Priority class, outbound only.
    pub class: Option<Class>,
    /// Our own handling.
    pub phase: Phase,
    /// WhatsApp's reports.
    pub stamps: Stamps,
    /// When, by WhatsApp's clock for inbound, ours for outbound.
    pub at: Millis,
    /// When it was stored.
    pub created_at: Millis,
    /// When it was last changed by who wrote it.
    pub edited_at: Option<Millis>,
    /// When it was taken back.
    pub withdrawn_at: Option<Millis>,
    /// Error code and title, once failed.
    pub error: Option<(String, String)>,
}

/// A reaction as stored: the newest of one person to one message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoredReaction {
    /// Our number.
    pub number: NumberId,
    /// The message reacted to; it may not be stored (yet).
    pub target: Wamid,
    /// Who reacted; `None` for us.
    pub person: Option<PersonId>,
    /// `None`: taken back.
    pub emoji: Option<String>,
    /// When, by Meta's clock: older news is ignored.
    pub at: Millis,
}

/// A status that came for a message not (yet) known.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OrphanStatus {
    /// Our number.
    pub number: NumberId,
    /// Meta's id of the message.
    pub wamid: Wamid,
    /// The rung.
    pub status: Status,
    /// When.
    pub at: Millis,
}

/// A person and the identifiers to be found or made.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewIdentity {
    /// The identifier.
    pub identity: Identity,
    /// Whose.
    pub person: PersonId,
    /// Since when.
    pub at: Millis,
}
