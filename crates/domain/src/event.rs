//! Events: what happened, append-only, read by cursor by write-back, live views and outgoing webhooks.

use crate::Millis;
use crate::ids::{ConversationId, MessageId, NumberId, PersonId};
use serde::{Deserialize, Serialize};

macro_rules! event_kinds {
    ($($(#[$doc:meta])* $name:ident = $text:literal;)*) => {
        /// What happened. The text is public and stable.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
        pub enum EventKind { $($(#[$doc])* $name,)* }

        impl EventKind {
            /// All of them.
            pub const ALL: &[Self] = &[$(Self::$name),*];

            /// The public text.
            #[must_use]
            pub const fn as_str(self) -> &'static str {
                match self { $(Self::$name => $text,)* }
            }

            /// Reads the public text.
            #[must_use]
            pub fn parse(text: &str) -> Option<Self> {
                Self::ALL.iter().copied().find(|k| k.as_str() == text)
            }
        }
    };
}

event_kinds! {
    /// A person wrote.
    MessageReceived = "message.received";
    /// A person changed a message.
    MessageEdited = "message.edited";
    /// A person took a message back.
    MessageWithdrawn = "message.withdrawn";
    /// A reaction was set or taken back.
    ReactionChanged = "message.reaction";
    /// The business wrote from the WhatsApp Business app.
    MessageEchoed = "message.echoed";
    /// A message of the past came in by history sync.
    MessageImported = "message.imported";
    /// The gate let a message in.
    MessageQueued = "message.queued";
    /// The gate, or its second look just before the call, said no.
    MessageRefused = "message.refused";
    /// WhatsApp took the message.
    MessageAccepted = "message.accepted";
    /// Nobody knows yet whether WhatsApp took it.
    MessageUnknown = "message.unknown";
    /// An attempt failed and will be repeated.
    MessageRetrying = "message.retrying";
    /// Given up; a dead letter waits for a person.
    MessageDead = "message.dead";
    /// WhatsApp reported what became of it.
    MessageStatus = "message.status";
    /// A file arrived and is stored.
    MediaStored = "media.stored";
    /// Someone was seen for the first time.
    PersonCreated = "person.created";
    /// Name, username or identifiers changed.
    PersonChanged = "person.changed";
    /// A phone line of a person counts as dead: sends to it failed on different days. With the evidence.
    LineDead = "person.line_dead";
    /// A line that counted as dead, or a person who was labelled as unreachable, gave a sign of life.
    LineAlive = "person.line_alive";
    /// Two people turned out to share an identifier.
    IdentityConflict = "person.identity_conflict";
    /// Two people were merged into one.
    PeopleMerged = "person.merged";
    /// A merge was undone.
    PeopleUnmerged = "person.unmerged";
    /// A person's data was erased.
    PersonErased = "person.erased";
    /// Somebody who was erased is back: a webhook names one of their identifiers.
    PersonReturned = "person.returned_after_erasure";
    /// A person stopped or resumed marketing.
    PreferenceChanged = "consent.preference";
    /// A word was added to the consent ledger: by the person, by one of our people, by a program.
    ConsentChanged = "consent.changed";
    /// A person was asked for consent.
    ConsentAsked = "consent.asked";
    /// A question for consent ran out without an answer.
    ConsentExpired = "consent.expired";
    /// A status for a message that this system doesn't know.
    StatusUnmatched = "status.unmatched";
    /// A notice about templates, numbers or the account.
    AccountNotice = "account.notice";
    /// A template's state, category or quality changed, or it is new or gone.
    TemplateChanged = "template.changed";
    /// A number's name, quality or limit changed.
    NumberChanged = "number.changed";
    /// Something that wasn't understood: kept and shown.
    Unrecognised = "webhook.unrecognised";
    /// A subscription to events was disabled: for days its target took nothing.
    HookDisabled = "hook.disabled";
    /// A subscription to events was removed because its target answered that it is gone (410).
    HookRemoved = "hook.removed";
}

/// Something that happened, to be appended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewEvent {
    /// What.
    pub kind: EventKind,
    /// When, by our clock.
    pub at: Millis,
    /// Whose.
    pub person: Option<PersonId>,
    /// Where.
    pub conversation: Option<ConversationId>,
    /// Which message.
    pub message: Option<MessageId>,
    /// Our number.
    pub number: Option<NumberId>,
    /// When set, a second event with the same key is not appended.
    pub dedup: Option<String>,
    /// More, JSON.
    pub data: String,
}

/// Where a reader stands. Opaque; grows. On PostgreSQL `tx` orders transactions, so that a reader never passes one that is
/// still open.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct EventCursor {
    /// Transaction, 0 on SQLite.
    pub tx: i64,
    /// Sequence.
    pub seq: i64,
}

/// Something that happened, as stored.
#[derive(Debug, Clone, Serialize)]
pub struct Event {
    /// Where it stands.
    pub cursor: EventCursor,
    /// What; an unknown text is a newer version's.
    pub kind: String,
    /// When, by our clock.
    pub at: Millis,
    /// Whose.
    pub person: Option<PersonId>,
    /// Where.
    pub conversation: Option<ConversationId>,
    /// Which message.
    pub message: Option<MessageId>,
    /// Our number.
    pub number: Option<NumberId>,
    /// More, JSON.
    pub data: Box<serde_json::value::RawValue>,
}
