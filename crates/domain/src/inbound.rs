//! What a webhook body says, item by item: one [`Update`] for every message, status, echo or account notice in it.
//! Nothing is dropped: what isn't understood is [`UpdateKind::Unknown`] with its raw JSON.
//! Facts: whatsapp-api sections 2.3 to 2.6 and 3.

use crate::Millis;
use crate::identity::Party;
use crate::ids::{NumberId, Wamid};
use crate::status::Status;
use serde::{Deserialize, Serialize};

/// One item of a webhook body.
#[derive(Debug, Clone, PartialEq)]
pub struct Update {
    /// `entry[].id`: the WhatsApp Business (messaging) account.
    pub waba_id: String,
    /// `metadata.phone_number_id`, where the field has it.
    pub number: Option<NumberId>,
    /// `changes[].field`, as sent.
    pub field: String,
    /// When it happened, by Meta's clock, where said.
    pub at: Option<Millis>,
    /// What it is.
    pub kind: UpdateKind,
}

/// What one item of a webhook body is.
#[derive(Debug, Clone, PartialEq)]
pub enum UpdateKind {
    /// A person wrote to us, or changed something they wrote.
    Message(Box<InboundMessage>),
    /// What became of a message we sent.
    Status(Box<StatusUpdate>),
    /// Someone of the business wrote from the WhatsApp Business app (coexistence): ours, but not sent by us.
    Echo(Box<InboundMessage>),
    /// A message of the past, from a coexistence history sync: no automation, no window.
    History(Box<InboundMessage>),
    /// A person stopped or resumed marketing messages.
    Preference(Preference),
    /// A notice about templates, numbers or the account: kept whole, shown, acted on by name.
    Account(AccountNotice),
    /// Something this version doesn't know, or can't read: kept whole and shown.
    Unknown(Unknown),
}

/// A message as it came. Which optional part is present depends on `kind`.
#[derive(Debug, Clone, PartialEq)]
pub struct InboundMessage {
    /// Meta's id; with the number, the dedup key.
    pub wamid: Wamid,
    /// Who wrote. For an echo: to whom the business wrote.
    pub party: Party,
    /// When, by Meta's clock.
    pub at: Millis,
    /// `type` as sent: text, image, video, audio, voice, sticker, document, location, contacts, interactive, button, order,
    /// reaction, system, edit, revoke, unsupported, … An open list.
    pub kind: String,
    /// What a person reads of it in one line: body, caption, title of the button, name of the place, emoji.
    pub text: Option<String>,
    /// File that belongs to it.
    pub media: Option<MediaRef>,
    /// The message it answers.
    pub reply_to: Option<Wamid>,
    /// Passed on from another chat.
    pub forwarded: bool,
    /// Set for reactions.
    pub reaction: Option<Reaction>,
    /// Set for edits: the message changed and its new text, caption or type.
    pub edit: Option<Edit>,
    /// Set for deletions: the message withdrawn.
    pub revoke: Option<Wamid>,
    /// Set for system messages: a change of number or user id.
    pub system: Option<SystemChange>,
    /// Set when it was written in a group.
    pub group_id: Option<String>,
    /// The ad or post the person came from, raw JSON.
    pub referral: Option<String>,
    /// Phone that the person shared with us on request (`contacts` with `origin: contact_request`), digits.
    pub shared_phone: Option<String>,
    /// Errors that came with it (131051 unsupported, 131052 media, 131060 unavailable).
    pub errors: Vec<NoticeError>,
    /// True when it opens the 24-hour window: real content by the person. Not reactions, system notices, echoes,
    /// history, unsupported (facts 8, open point 1).
    pub opens_window: bool,
    /// The whole message object as sent, JSON.
    pub raw: String,
}

/// A file at Meta's.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct MediaRef {
    /// Meta's media id; valid 7 days.
    pub id: String,
    /// As sent: `audio/ogg; codecs=opus`.
    pub mime_type: Option<String>,
    /// Base64, as sent.
    pub sha256: Option<String>,
    /// Hostile input: for display only.
    pub filename: Option<String>,
    /// A voice note.
    #[serde(default)]
    pub voice: bool,
    /// An animated sticker.
    #[serde(default)]
    pub animated: bool,
}

/// A reaction to a message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reaction {
    /// The message reacted to.
    pub target: Wamid,
    /// `None`: the reaction was taken back (missing or empty emoji).
    pub emoji: Option<String>,
}

/// A message was changed by who wrote it.
#[derive(Debug, Clone, PartialEq)]
pub struct Edit {
    /// The message changed.
    pub target: Wamid,
    /// What a person reads of the new version.
    pub text: Option<String>,
    /// The new version as sent, JSON.
    pub raw: String,
}

/// A change of someone's identifiers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SystemChange {
    /// `user_changed_number`, `user_changed_user_id`, `customer_changed_number`, `customer_identity_changed`, … open list.
    pub kind: String,
    /// New WhatsApp id.
    pub wa_id: Option<String>,
    /// New user id.
    pub user_id: Option<String>,
    /// Old user id.
    pub previous_user_id: Option<String>,
}

/// What became of a message.
#[derive(Debug, Clone, PartialEq)]
pub struct StatusUpdate {
    /// Meta's id of the message.
    pub wamid: Wamid,
    /// The rung; `None` for a value this version doesn't know (kept in `raw`).
    pub status: Option<Status>,
    /// When, by Meta's clock.
    pub at: Millis,
    /// Who received it.
    pub recipient: Party,
    /// What we sent along: our message id.
    pub opaque: Option<String>,
    /// Set when the status is one member's of a group.
    pub group_participant: Option<String>,
    /// `pricing` and `conversation`, JSON, as sent.
    pub pricing: Option<String>,
    /// End of the free entry point, from `conversation.expiration_timestamp` of origin `referral_conversion`.
    pub free_entry_until: Option<Millis>,
    /// Why it failed.
    pub errors: Vec<NoticeError>,
    /// The whole status object, JSON.
    pub raw: String,
}

/// An error inside a webhook.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct NoticeError {
    /// Meta's code.
    pub code: i64,
    /// Meta's title.
    pub title: String,
    /// `error_data.details`.
    pub details: Option<String>,
}

/// A `user_preferences` item.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Preference {
    /// Who.
    pub party: Party,
    /// `marketing_messages`, open list.
    pub category: String,
    /// `stop`, `resume`, `signup`, open list.
    pub value: String,
    /// When.
    pub at: Millis,
    /// The item as sent, JSON.
    pub raw: String,
}

/// A notice about templates, numbers or the account.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AccountNotice {
    /// `value.event`, `decision` or similar, where there is one.
    pub event: Option<String>,
    /// The `value` as sent, JSON.
    pub raw: String,
}

/// An item that was not understood.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Unknown {
    /// Why, in a sentence without personal data.
    pub reason: String,
    /// The item as sent, JSON.
    pub raw: String,
}
