//! # Conversation
//! Purpose: folds what webhooks say into people, identities, conversations, messages, statuses and windows, together with the
//! events and jobs that follow. `fold(snapshot, updates) -> changes`: the same updates again give no changes.
//! May touch: the values passed in.
//! Must not touch: the store, the clock, chance.
//! Failure story: none; whoever applies the changes does so in one transaction with marking the updates as read.

mod consent;
mod messages;
mod notices;
mod reached;
mod state;
mod statuses;

use crate::Millis;
use crate::consent::{ConsentSettings, Entry, OpenRequest, Standings, Thanks};
use crate::event::NewEvent;
use crate::identity::{Identity, IdentityKind, IdentityLink, Party};
use crate::ids::{ConsentId, IdSource, MessageId, NumberId, PersonId, Wamid};
use crate::inbound::{InboundMessage, Update, UpdateKind};
use crate::job::{Class, NewJob};
use crate::message::{Conversation, MessageHead, NewIdentity, NewMessage, Person, StoredReaction};
use crate::reach::{self, Book, Reach};
use crate::status::Status;
use serde::{Deserialize, Serialize};
use std::collections::HashSet;
use std::collections::{BTreeSet, HashMap};

pub use state::send_lane;

/// An update and where in the journal it stands.
#[derive(Debug, Clone, PartialEq)]
pub struct Located {
    /// Journal segment.
    pub segment: i64,
    /// Entry within the segment.
    pub entry: i64,
    /// When it was received, by our clock.
    pub received_at: Millis,
    /// What it says.
    pub update: Update,
}

/// What must be loaded before a fold.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Keys {
    /// Identifiers named.
    pub identities: BTreeSet<Identity>,
    /// Messages named by Meta's id.
    pub wamids: BTreeSet<(NumberId, Wamid)>,
    /// Messages named by our id.
    pub messages: BTreeSet<MessageId>,
    /// Phone lines named, see [`reach::line`].
    pub lines: BTreeSet<String>,
    /// A send failed in a way that is evidence against a line: what is known of all lines of its person matters.
    pub failures: bool,
    /// Something short was said or tapped: what stands in the consent ledger, and which questions are open, may matter.
    pub consent: bool,
}

/// What is stored about the [`Keys`].
#[derive(Debug, Clone, Default)]
pub struct Snapshot {
    /// Whose the identifiers are.
    pub identities: Vec<IdentityLink>,
    /// These people, and the people of the messages.
    pub people: Vec<Person>,
    /// All conversations of these people.
    pub conversations: Vec<Conversation>,
    /// The messages named.
    pub messages: Vec<MessageHead>,
    /// What came for the messages named before they were known.
    pub orphans: Vec<Orphan>,
    /// Identifiers that nobody has and somebody had who was erased.
    pub erased: HashSet<Identity>,
    /// What is known of the lines named, and of all lines of people who are labelled as unreachable; when
    /// [`Keys::failures`], or one of the orphans [`News::is_evidence`], of all lines of these people.
    pub reach: Book,
    /// What these people allowed; loaded when [`Keys::consent`].
    pub standings: HashMap<PersonId, Standings>,
    /// The questions to them that are open; loaded when [`Keys::consent`].
    pub requests: Vec<OpenRequest>,
}

/// News of a message that is not known (yet).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Orphan {
    /// Our number.
    pub number: NumberId,
    /// The message it is about.
    pub wamid: Wamid,
    /// What it says.
    pub news: News,
    /// When, by Meta's clock.
    pub at: Millis,
}

/// What an [`Orphan`] says.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "news", rename_all = "snake_case")]
pub enum News {
    /// A status.
    Status {
        /// The rung.
        status: Status,
        /// Code and title when it failed.
        error: Option<(String, String)>,
        /// Whom it was sent to, digits, as WhatsApp says.
        #[serde(default)]
        to: Option<String>,
    },
    /// A new version.
    Edit {
        /// One line to read.
        text: Option<String>,
        /// As it came, JSON.
        content: String,
    },
    /// It was taken back.
    Withdrawn,
}

impl News {
    /// Distinguishes news of one message: two of the same kind are the same news.
    #[must_use]
    pub const fn kind(&self) -> &'static str {
        match self {
            Self::Status { status, .. } => status.as_str(),
            Self::Edit { .. } => "edit",
            Self::Withdrawn => "withdrawn",
        }
    }

    /// True when it is evidence against the recipient's line.
    #[must_use]
    pub fn is_evidence(&self) -> bool {
        matches!(self, Self::Status { error: Some((code, _)), .. } if reach::is_evidence(code))
    }
}

/// A message's text was changed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TextChange {
    /// The message.
    pub message: MessageId,
    /// One line to read.
    pub text: Option<String>,
    /// As it came, JSON.
    pub content: String,
}

/// Everything a fold causes. Applied in one transaction.
#[derive(Debug, Clone, Default)]
pub struct Changes {
    /// New people.
    pub new_people: Vec<Person>,
    /// People whose row changed.
    pub changed_people: Vec<Person>,
    /// New identifiers.
    pub identities: Vec<NewIdentity>,
    /// Identifiers that belong to nobody from now on.
    pub ended_identities: Vec<Identity>,
    /// New conversations.
    pub new_conversations: Vec<Conversation>,
    /// Conversations whose row changed.
    pub changed_conversations: Vec<Conversation>,
    /// New messages.
    pub new_messages: Vec<NewMessage>,
    /// Messages whose phase, stamps, wamid, error or marks changed.
    pub changed_messages: Vec<MessageHead>,
    /// Messages whose text changed.
    pub text_changes: Vec<TextChange>,
    /// Prices reported: message and JSON.
    pub pricing: Vec<(MessageId, String)>,
    /// Reactions, newest first wins by time.
    pub reactions: Vec<StoredReaction>,
    /// News for messages not known.
    pub new_orphans: Vec<Orphan>,
    /// Messages whose orphans were taken in.
    pub adopted: Vec<(NumberId, Wamid)>,
    /// Messages that turned out to be accepted: their dead letters are void and their lanes may go on.
    pub settled: Vec<MessageHead>,
    /// What happened.
    pub events: Vec<NewEvent>,
    /// What happens later.
    pub jobs: Vec<NewJob>,
    /// Scopes that WhatsApp restricted, and until when.
    pub restrictions: Vec<(String, Millis)>,
    /// Accounts of which something changed: to be read again.
    pub accounts: BTreeSet<String>,
    /// Words for the consent ledger; one that is there already adds nothing.
    pub consent: Vec<Entry>,
    /// Questions that have their answer.
    pub answered: Vec<ConsentId>,
    /// Acknowledgements owed.
    pub thanks: Vec<Thanks>,
    /// What is known of lines now.
    pub reach: Vec<(String, Reach)>,
    /// Who gets the label `unreachable`, and who loses it.
    pub labels: Vec<(PersonId, bool)>,
}

/// What the fold may ask.
pub struct Context<'a> {
    /// Our clock, once for the whole fold.
    pub now: Millis,
    /// New identifiers.
    pub ids: &'a dyn IdSource,
    /// The portfolio of an account or number, in whose scope user ids are unique; and whether the number is configured.
    pub directory: &'a dyn Directory,
    /// Words by which people withdraw and confirm.
    pub consent: &'a ConsentSettings,
    /// When a line counts as dead.
    pub reach: reach::Settings,
}

/// What the configuration knows about numbers.
pub trait Directory: Send + Sync {
    /// The business portfolio of a WhatsApp account; its own id when not configured.
    fn portfolio(&self, waba_id: &str) -> String;
    /// True when the number is configured.
    fn knows(&self, number: &NumberId) -> bool;
    /// The configured numbers of a WhatsApp account.
    fn numbers_of(&self, _waba_id: &str) -> Vec<NumberId> {
        Vec::new()
    }
}

/// Tells what must be loaded for these updates.
#[must_use]
pub fn keys_of(updates: &[Located], directory: &dyn Directory) -> Keys {
    let mut keys = Keys::default();
    for located in updates {
        let update = &located.update;
        let portfolio = directory.portfolio(&update.waba_id);
        match &update.kind {
            UpdateKind::Message(m) | UpdateKind::Echo(m) | UpdateKind::History(m) => {
                keys.add_party(&m.party, &portfolio);
                keys.consent |= consent::may_matter(&update.kind);
                if let Some(system) = &m.system {
                    let user = |v: &Option<String>| v.as_ref().map(|v| user_identity(&portfolio, v));
                    keys.identities.extend(user(&system.user_id));
                    keys.identities.extend(user(&system.previous_user_id));
                    if let Some(wa_id) = &system.wa_id {
                        keys.add_number(wa_id);
                    }
                }
                if let Some(phone) = &m.shared_phone {
                    keys.add_number(phone);
                }
                if let Some(number) = &update.number {
                    keys.add_message(number, m);
                }
            }
            UpdateKind::Status(s) => {
                keys.add_party(&s.recipient, &portfolio);
                keys.failures |= s.errors.iter().any(|e| reach::is_evidence(&e.code.to_string()));
                keys.messages.extend(s.opaque.as_ref().and_then(|o| o.parse::<MessageId>().ok()));
                keys.wamids.extend(update.number.clone().map(|n| (n, s.wamid.clone())));
            }
            UpdateKind::Preference(p) => keys.add_party(&p.party, &portfolio),
            UpdateKind::Account(_) | UpdateKind::Unknown(_) => {}
        }
    }
    keys
}

impl Keys {
    fn add_party(&mut self, party: &Party, portfolio: &str) {
        self.identities.extend(party.identities(portfolio));
        if let Some(wa_id) = &party.wa_id {
            self.add_number(wa_id);
        }
    }

    fn add_number(&mut self, digits: &str) {
        self.lines.insert(reach::line(digits));
        for kind in [IdentityKind::WaId, IdentityKind::Phone] {
            self.identities.insert(Identity { kind, scope: String::new(), value: digits.to_owned() });
        }
    }

    fn add_message(&mut self, number: &NumberId, m: &InboundMessage) {
        let reacted = m.reaction.as_ref().map(|r| &r.target);
        let targets = [Some(&m.wamid), m.edit.as_ref().map(|e| &e.target), m.revoke.as_ref(), reacted];
        self.wamids.extend(targets.into_iter().flatten().map(|w| (number.clone(), w.clone())));
    }
}

fn user_identity(portfolio: &str, value: &str) -> Identity {
    Identity { kind: IdentityKind::UserId, scope: portfolio.to_owned(), value: value.to_owned() }
}

/// Folds the updates, in order, over what is stored.
#[must_use]
pub fn fold(snapshot: Snapshot, updates: &[Located], context: &Context<'_>) -> Changes {
    let mut state = state::State::new(snapshot, context);
    for located in updates {
        let update = &located.update;
        match (&update.kind, &update.number) {
            (UpdateKind::Message(m), Some(number)) => state.message(located, number, m, messages::Source::Customer),
            (UpdateKind::Echo(m), Some(number)) => state.message(located, number, m, messages::Source::Phone),
            (UpdateKind::History(m), Some(number)) => state.message(located, number, m, messages::Source::History),
            (UpdateKind::Status(s), Some(number)) => state.status(update, number, s),
            (UpdateKind::Preference(p), _) => state.preference(update, p),
            (UpdateKind::Account(notice), _) => state.account(located, notice),
            (UpdateKind::Unknown(unknown), _) => state.unrecognised(located, &unknown.reason, &unknown.raw),
            (UpdateKind::Message(m) | UpdateKind::Echo(m) | UpdateKind::History(m), None) => {
                state.unrecognised(located, "the update names no phone_number_id", &m.raw);
            }
            (UpdateKind::Status(s), None) => {
                state.unrecognised(located, "the update names no phone_number_id", &s.raw);
            }
        }
    }
    state.into_changes()
}

/// Under which name a number's restriction by WhatsApp is kept.
#[must_use]
pub fn restriction_scope(number: &NumberId) -> String {
    format!("restricted/{number}")
}

/// The class of what goes out when nobody says otherwise.
#[must_use]
pub const fn class_of_origin(is_template: bool) -> Class {
    if is_template { Class::Transactional } else { Class::Reply }
}

#[cfg(test)]
mod tests;
