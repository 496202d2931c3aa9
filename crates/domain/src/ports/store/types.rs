//! What goes in and out of the store port: keys, views, decided outcomes.
//! Must not touch: how anything is stored.

use crate::Millis;
use crate::consent::{Entry, OpenRequest, Standings, Thanks};
use crate::conversation::{Changes, Snapshot};
use crate::crm::{ContactWrite, MessageWrite};
use crate::error::CallError;
use crate::event::NewEvent;
use crate::identity::Identity;
use crate::ids::{ConsentId, ConversationId, MessageId, NumberId, PersonId, WorkspaceId};
use crate::job::{Class, Job, JobEnd, Lane, NewJob};
use crate::mapping::{Base, Facts, Skip};
use crate::message::{Conversation, MessageHead, NewIdentity, NewMessage, Person, Phase};
use crate::policy::Recent;
use crate::ports::channel::Address;
use crate::profile::Label;
use crate::rate::Limit;
use bytes::Bytes;
use serde::Serialize;
use std::sync::Arc;

/// One webhook body as it came.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct JournalEntry {
    /// When it was received, our clock.
    pub received_at: Millis,
    /// Raw bytes.
    pub body: Bytes,
}

/// Entries that were committed together.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Segment {
    /// Place in the journal; grows.
    pub seq: i64,
    /// In order of arrival.
    pub entries: Vec<JournalEntry>,
}

/// A job that only one node does at a time, held for a while.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Lease {
    /// What is held.
    pub name: String,
    /// Fencing number.
    pub fence: i64,
    /// Until when, our clock.
    pub until: Millis,
}

/// A pure fold: what is stored in, what changes out. May be called again when the database asks for a repetition.
pub type FoldFn = Arc<dyn Fn(Snapshot) -> Changes + Send + Sync>;

/// A pure decision of the gate over what is stored. May be called again when the database asks for a repetition.
pub type AdmitFn = Arc<dyn Fn(Vec<AdmitView>) -> Vec<Admission> + Send + Sync>;

/// What the gate needs to look up for one request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AdmitKey {
    /// The number it goes from.
    pub number: NumberId,
    /// Identifiers of the recipient, strongest first; any of them finds the person.
    pub identities: Vec<Identity>,
    /// The recipient, when named by our id.
    pub person: Option<PersonId>,
    /// Key under which the caller may ask again.
    pub idempotency_key: Option<String>,
    /// How far to look for the policy: a reply needs no look at the consent ledger. What may go outside the window is never
    /// looked at as a reply.
    pub class: Class,
}

/// What is stored about one request of the gate.
#[derive(Debug, Clone, Default)]
pub struct AdmitView {
    /// The recipient, when known.
    pub person: Option<Person>,
    /// Their identifiers.
    pub identities: Vec<Identity>,
    /// Their conversation with the number.
    pub conversation: Option<Conversation>,
    /// The message that was let in under the same key before, and the hash of what was asked then.
    pub earlier: Option<(MessageHead, Option<String>)>,
    /// WhatsApp restricted the number until then.
    pub number_blocked_until: Option<Millis>,
    /// What the policy looks at beyond that.
    pub policy: PolicyView,
}

/// What is stored about a recipient that only the policy needs.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct PolicyView {
    /// What the person allowed; loaded for everything but replies.
    pub standings: Standings,
    /// What may not be done with the person.
    pub labels: Vec<Label>,
    /// The person wrote, or WhatsApp took a message for them; looked up for marketing only, else true.
    pub contacted: bool,
    /// Marketing messages to the person, on their way or taken by WhatsApp; looked up for marketing only.
    pub recent: Recent,
}

/// What the gate decided for one request.
#[derive(Debug, Clone, Default)]
pub struct Admission {
    /// A recipient seen for the first time.
    pub new_person: Option<Person>,
    /// Their identifiers.
    pub identities: Vec<NewIdentity>,
    /// A conversation that begins.
    pub new_conversation: Option<Conversation>,
    /// The message, let in or refused.
    pub message: Option<NewMessage>,
    /// The job that sends it.
    pub job: Option<NewJob>,
    /// What happened.
    pub events: Vec<NewEvent>,
    /// A question to be kept: its word in the ledger, and that it is open. An open one of the same scope is replaced.
    pub asked: Option<(Entry, OpenRequest)>,
    /// Handed back to the caller once all is committed.
    pub answer: Option<Answer>,
}

/// The gate's answer to its caller.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Answer {
    /// Let in (or was before, under the same key).
    Queued {
        /// The message.
        message: MessageId,
        /// The recipient.
        person: PersonId,
        /// The conversation.
        conversation: ConversationId,
        /// True when the same request was let in before: nothing was added.
        again: bool,
    },
    /// A receipt was filed; it has no message of its own.
    Filed,
    /// Refused by a rule; the refusal is recorded under this id when the recipient is known.
    Refused {
        /// The rule.
        rule: crate::error::PublicCode,
        /// The record of the refusal.
        message: Option<MessageId>,
        /// More, in English.
        detail: Option<String>,
    },
}

/// The limits of a number, as data.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SendLimits {
    /// Messages a second of the number.
    pub number: Limit,
    /// Messages of the workspace's plan (300 or 1,500 a minute), when there is one.
    pub plan: Option<Limit>,
    /// Messages to one person.
    pub pair: Limit,
    /// The portfolio that counts people.
    pub portfolio: String,
    /// People outside the window in any 24 hours; `None`: unlimited.
    pub portfolio_per_day: Option<i64>,
}

/// A claim of send lanes of one number.
#[derive(Debug, Clone)]
pub struct SendClaim {
    /// Tenant.
    pub workspace: WorkspaceId,
    /// The number.
    pub number: NumberId,
    /// Our clock.
    pub now: Millis,
    /// How long the lanes are ours, milliseconds.
    pub lease_ms: Millis,
    /// At most so many messages.
    pub max: usize,
    /// The number's limits.
    pub limits: SendLimits,
    /// Since when this node works. While it was away reports could not come: what came before says nothing about silence.
    pub working_since: Millis,
}

/// A message whose turn it is.
#[derive(Debug, Clone)]
pub struct SendTask {
    /// The lane, leased.
    pub lane: Lane,
    /// The job.
    pub job: Job,
    /// What to send and to whom.
    pub what: SendWhat,
}

/// What a send job is about.
#[derive(Debug, Clone)]
pub enum SendWhat {
    /// A message.
    Message(Box<OutMessage>),
    /// A read receipt or typing indicator; the payload of the job says which.
    Receipt,
    /// The message isn't stored any more (erased): nothing to do.
    Missing,
}

/// A message to go out, with what the policy looks at.
#[derive(Debug, Clone)]
pub struct OutMessage {
    /// The message without content.
    pub head: MessageHead,
    /// `Outbound` as JSON.
    pub content: String,
    /// Name of the template, when it is one.
    pub template: Option<String>,
    /// Message it answers, by wamid.
    pub reply_to: Option<String>,
    /// Where it goes: phone or WhatsApp id first, else user id.
    pub to: Option<Address>,
    /// When the person last wrote.
    pub last_inbound_at: Option<Millis>,
    /// When the person stopped marketing.
    pub marketing_stopped_at: Option<Millis>,
    /// What the policy looks at beyond that, as it stands at the claim.
    pub policy: PolicyView,
    /// WhatsApp restricted the number until then.
    pub number_blocked_until: Option<Millis>,
    /// When the first attempt began.
    pub first_attempt_at: Option<Millis>,
    /// WhatsApp reported on messages of this number (for a template: of the same template) that were sent after
    /// `job.begun_at` and after the node began to work, and no report waits to be read: reports are flowing, so silence about
    /// this one says that it was never taken.
    pub later_ones_reported: bool,
}

/// The lanes claimed, and when to look again.
#[derive(Debug, Clone, Default)]
pub struct ClaimedSends {
    /// In order of priority. Their messages are marked as being sent, where they are to be.
    pub tasks: Vec<SendTask>,
    /// When a budget or a lane becomes free, if known.
    pub next_at: Option<Millis>,
    /// True when more waited than was claimed.
    pub more: bool,
}

/// What became of a send, decided by dispatch.
#[derive(Debug, Clone)]
pub struct SendSettlement {
    /// The lane, with its fence.
    pub lane: Lane,
    /// The job.
    pub seq: i64,
    /// The message; `None` for receipts.
    pub message: Option<MessageId>,
    /// What became of it.
    pub end: SendEnd,
}

/// How a send ended.
#[derive(Debug, Clone)]
pub enum SendEnd {
    /// WhatsApp took it.
    Accepted {
        /// Meta's id.
        wamid: Option<String>,
        /// Identifiers the answer gave.
        identities: Vec<Identity>,
        /// `held_for_quality_assessment` and the like.
        held: Option<String>,
    },
    /// Settled before (by a status): only the job ends.
    AlreadyAccepted,
    /// The policy's second look said no.
    Refused(crate::error::PublicCode),
    /// Not begun: put back until then, with nothing counted.
    PutBack(Millis),
    /// Failed, will be tried again.
    Retry(Millis, CallError),
    /// The outcome is unknown: look again at this time.
    Unknown(Millis, CallError),
    /// Given up.
    Dead(CallError),
    /// Given up, in a way that is evidence against the line with these digits.
    Undeliverable(CallError, String, crate::reach::Settings),
    /// Nothing to do: the job is removed.
    Drop,
}

/// A file that was fetched, or not.
#[derive(Debug, Clone)]
pub struct MediaEnd {
    /// The lane, with its fence.
    pub lane: Lane,
    /// The job.
    pub seq: i64,
    /// The message it belongs to.
    pub message: MessageId,
    /// Key of the stored bytes, their number and type; `None` when it failed.
    pub stored: Option<(String, i64, Option<String>)>,
    /// How the job ended.
    pub end: JobEnd,
}

/// What write-back needs to know of a message to be written to a CRM.
#[derive(Debug, Clone)]
pub struct CrmView {
    /// The person, as the CRM should see them; mapped fields are still to be worked out.
    pub contact: ContactWrite,
    /// What is known of the person, for the mapping.
    pub facts: Facts,
    /// What both sides agreed on; `None` when they never met. Of who isn't linked: what was sent of them and not settled.
    pub base: Option<Base>,
    /// The record was deleted in the CRM: only a message makes a new one.
    pub gone: bool,
    /// Hash of the contact row as last written.
    pub contact_written: Option<String>,
    /// The message, when the job is about one.
    pub message: Option<MessageWrite>,
    /// When the message was received or let in, our clock.
    pub message_since: Option<Millis>,
    /// Hash of the message row as last written.
    pub message_written: Option<String>,
}

/// A contact that was written, and what is remembered of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ContactEnd {
    /// Whose.
    pub person: PersonId,
    /// The CRM's record id.
    pub crm_id: String,
    /// Hash of what was written besides mapped fields.
    pub hash: String,
    /// What both sides agree on now; `None`: as before.
    pub base: Option<Base>,
    /// Mapped fields that the CRM refused, and why.
    pub skips: Vec<Skip>,
}

/// What became of a write-back job and what is remembered of it.
#[derive(Debug, Clone)]
pub struct CrmEnd {
    /// The lane, with its fence.
    pub lane: Lane,
    /// The job.
    pub seq: i64,
    /// Contact written.
    pub contact: Option<ContactEnd>,
    /// The CRM says this contact is gone: the link is dropped.
    pub contact_gone: Option<PersonId>,
    /// Message written: message, CRM id, hash, how many reported rungs it shows.
    pub message: Option<(MessageId, String, String, i64)>,
    /// The CRM may hold this message already.
    pub message_uncertain: Option<MessageId>,
    /// How the job ended.
    pub end: JobEnd,
}

/// Counts for `ponte status`, the demo and the metrics.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Overview {
    /// Journal segments not yet read.
    pub journal_pending: i64,
    /// Age of the oldest of them, milliseconds.
    pub journal_lag_ms: i64,
    /// Messages by direction and phase: `("in","received",n)`.
    pub messages: Vec<(String, String, i64)>,
    /// Jobs waiting by kind.
    pub jobs: Vec<(String, i64)>,
    /// Dead letters by kind.
    pub dead_letters: Vec<(String, i64)>,
    /// People known.
    pub people: i64,
    /// Conversations.
    pub conversations: i64,
    /// Messages written to CRMs.
    pub crm_messages: i64,
    /// Reported rungs shown in CRMs.
    pub crm_statuses: i64,
    /// Things received that were not understood.
    pub unrecognised: i64,
    /// Nodes seen within the last ten seconds.
    pub nodes: i64,
}

/// What waits, cheap to ask however much is stored.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Queues {
    /// Journal segments not yet read.
    pub journal_pending: i64,
    /// Age of the oldest of them, milliseconds.
    pub journal_lag_ms: i64,
    /// Jobs waiting by kind.
    pub jobs: Vec<(String, i64)>,
    /// Dead letters by kind.
    pub dead_letters: Vec<(String, i64)>,
    /// Nodes seen within the last ten seconds.
    pub nodes: i64,
}

/// A message as the API shows it.
#[derive(Debug, Clone, Serialize)]
pub struct MessageView {
    /// Our id.
    pub id: MessageId,
    /// Conversation.
    pub conversation_id: ConversationId,
    /// Person.
    pub person_id: PersonId,
    /// Our number.
    pub number_id: NumberId,
    /// Meta's id.
    pub wamid: Option<String>,
    /// Who wrote.
    pub origin: crate::message::Origin,
    /// Kind.
    pub kind: String,
    /// One line to read.
    pub text: Option<String>,
    /// As it came, or as it goes.
    pub content: Box<serde_json::value::RawValue>,
    /// One word.
    pub state: &'static str,
    /// Our own handling.
    pub phase: Phase,
    /// WhatsApp's reports.
    pub stamps: crate::status::Stamps,
    /// Priority class.
    pub class: Option<Class>,
    /// Message it answers.
    pub reply_to: Option<String>,
    /// When.
    pub at: Millis,
    /// When it was changed.
    pub edited_at: Option<Millis>,
    /// When it was taken back.
    pub withdrawn_at: Option<Millis>,
    /// Error code and title.
    pub error: Option<(String, String)>,
    /// Key of the stored file.
    pub media_key: Option<String>,
    /// Type of the stored file, as its sender named it.
    pub media_type: Option<String>,
}

/// What to list of the journal, events, dead letters or messages: newest first, a page.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Page {
    /// Before this sequence; `None`: from the newest.
    pub before: Option<i64>,
    /// At most so many.
    pub limit: i64,
}

/// What a fold applied.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct IngestCounts {
    /// Messages added.
    pub messages: u64,
    /// Messages changed.
    pub changed: u64,
    /// Events added.
    pub events: u64,
    /// Of these: what was not understood.
    pub unrecognised: u64,
}

/// What a worker waits for. A wake-up is a hint; the periodic look is the truth.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Topic {
    /// The journal has something.
    Journal,
    /// Send lanes have something.
    Sends,
    /// Media lanes have something.
    Media,
    /// CRM lanes have something.
    Crm,
    /// There are new events.
    Events,
    /// Lanes of subscriptions have something, or there is a new subscription.
    Hooks,
}

impl Topic {
    /// All of them.
    pub const ALL: [Self; 6] = [Self::Journal, Self::Sends, Self::Media, Self::Crm, Self::Events, Self::Hooks];
}

/// The consent ledger of one person.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ConsentFile {
    /// All words, oldest first.
    pub entries: Vec<Entry>,
    /// What stands.
    pub standings: Standings,
    /// Questions that wait for an answer.
    pub open: Vec<OpenRequest>,
    /// When the person stopped marketing in WhatsApp.
    pub marketing_stopped_at: Option<Millis>,
}

/// What is due in the consent flow.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ConsentDue {
    /// Acknowledgements owed.
    pub thanks: Vec<Thanks>,
    /// Questions to be repeated.
    pub reminders: Vec<OpenRequest>,
    /// Questions that ran out.
    pub expired: Vec<OpenRequest>,
}

/// What was done of it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ConsentDone {
    /// Acknowledged, or not to be: owed no more.
    pub thanked: Vec<ConsentId>,
    /// Repeated, or not to be: never again.
    pub reminded: Vec<ConsentId>,
    /// Closed.
    pub expired: Vec<ConsentId>,
    /// What happened.
    pub events: Vec<NewEvent>,
}
