//! What is written into a CRM, what is read from it and what it can do.
//! Must not touch: any one CRM's words. Connectors translate them; which field of ours belongs to which of theirs is the mapping's
//! ([`crate::mapping`]).

use crate::Millis;
use crate::error::CallError;
use crate::ids::{MessageId, PersonId};
use crate::status::Stamps;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use std::collections::BTreeMap;

/// A person to be upserted by our external id.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ContactWrite {
    /// Our external id in the CRM; the text form is the key.
    pub person: PersonId,
    /// The CRM's record id, when linked before.
    pub crm_id: Option<String>,
    /// Profile name.
    pub name: Option<String>,
    /// E.164 digits without `+`; absent for username users.
    pub phone: Option<String>,
    /// WhatsApp id.
    pub wa_id: Option<String>,
    /// Business-scoped user id.
    pub user_id: Option<String>,
    /// Username.
    pub username: Option<String>,
    /// When the person last wrote.
    pub last_inbound_at: Option<Millis>,
    /// Values of mapped fields by the CRM's name, in its own form; `null` empties one. They go to the record that is linked
    /// (`crm_id`) or that this write makes. A record that is found and adopted keeps its own: both sides are compared first.
    pub fields: BTreeMap<String, Value>,
}

/// A message to be logged at a contact.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MessageWrite {
    /// Our external id in the CRM.
    pub message: MessageId,
    /// The CRM's record of the message, when logged before: then it is updated.
    pub crm_id: Option<String>,
    /// True when an earlier attempt may have created it: look before creating.
    pub uncertain: bool,
    /// The CRM's record of the contact.
    pub contact_crm_id: String,
    /// True when the person wrote it.
    pub inbound: bool,
    /// Message kind (text, image, …).
    pub kind: String,
    /// Full text.
    pub text: Option<String>,
    /// When, by WhatsApp's clock.
    pub at: Millis,
    /// Status stamps so far.
    pub stamps: Stamps,
    /// Why it failed, as code and title.
    pub error: Option<String>,
    /// The person took it back.
    pub withdrawn: bool,
    /// The person changed it.
    pub edited: bool,
}

/// What became of one row of a batch.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum RowResult {
    /// Written; the CRM's record id.
    Written {
        /// The CRM's record id.
        crm_id: String,
        /// True when the row made a new record.
        created: bool,
    },
    /// Not written, and why.
    Failed(CallError),
}

/// What kind of value a CRM's field takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum CrmKind {
    /// One line of text.
    Text,
    /// Text of several lines.
    LongText,
    /// A number, whole or decimal, money too.
    Number,
    /// Yes or no.
    Boolean,
    /// A day.
    Date,
    /// A point in time.
    Moment,
    /// One of the choices.
    Choice,
    /// Some of the choices.
    MultiChoice,
    /// A telephone number.
    Phone,
    /// An e-mail address.
    Email,
    /// A web address.
    Url,
    /// Another record, by its id.
    Reference,
    /// Free words that the CRM calls tags.
    Tags,
    /// Anything else: read as text, never written.
    Other,
}

/// One of a field's choices.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CrmChoice {
    /// What is stored.
    pub value: String,
    /// What people see.
    pub label: String,
}

/// A field of a CRM's contacts.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CrmField {
    /// Its name in the API.
    pub name: String,
    /// Its name for people.
    pub label: String,
    /// Read when no fields are named: it tells who somebody is, or the business made it.
    pub usual: bool,
    /// What kind of value it takes.
    pub kind: CrmKind,
    /// It may be written.
    pub writable: bool,
    /// A record can't be without it.
    pub required: bool,
    /// No two records have the same value.
    pub unique: bool,
    /// Most characters, when the CRM says.
    pub max_chars: Option<usize>,
    /// The choices, for kinds that have them.
    pub choices: Vec<CrmChoice>,
    /// The CRM takes no value that isn't among the choices.
    pub strict_choices: bool,
}

impl CrmField {
    /// A field that may be written, with its name for a label and no limits.
    #[must_use]
    pub fn new(name: impl Into<String>, kind: CrmKind) -> Self {
        let name = name.into();
        Self {
            label: name.clone(),
            name,
            usual: false,
            kind,
            writable: true,
            required: false,
            unique: false,
            max_chars: None,
            choices: Vec::new(),
            strict_choices: matches!(kind, CrmKind::Choice | CrmKind::MultiChoice),
        }
    }
}

/// A contact as it stands in the CRM.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CrmRecord {
    /// The CRM's record id.
    pub id: String,
    /// Our external id, when the record bears one that can be ours.
    pub person: Option<PersonId>,
    /// When it last changed, by the CRM's clock.
    pub modified_at: Option<Millis>,
    /// Values of the fields asked for, in their order and the CRM's own form; `null`: empty.
    pub values: Vec<Value>,
}

/// Some of a CRM's contacts.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct CrmPage {
    /// Contacts.
    pub records: Vec<CrmRecord>,
    /// Where the next page begins; `None` at the end.
    pub next: Option<String>,
}

/// Something that happened to a contact in the CRM.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum CrmChange {
    /// It is new or changed; as it is now.
    Record(CrmRecord),
    /// It was deleted.
    Gone {
        /// The CRM's record id.
        id: String,
    },
    /// It became part of another one, or was converted into it.
    Merged {
        /// The record id that was.
        from: String,
        /// The record id that is.
        into: String,
    },
}

/// Changes since a cursor. The same change may come again: overlaps are wanted, for CRMs show changes late and out of order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CrmChanges {
    /// Oldest first.
    pub changes: Vec<CrmChange>,
    /// Where to go on.
    pub next: String,
    /// There is more already.
    pub more: bool,
}

/// What a notification of the CRM speaks of. It is only a hint: the record is read again.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum CrmHint {
    /// This record is new or changed.
    Changed {
        /// The CRM's record id.
        id: String,
    },
    /// This record was deleted.
    Gone {
        /// The CRM's record id.
        id: String,
    },
    /// This record became part of another one.
    Merged {
        /// The record id that was.
        from: String,
        /// The record id that is.
        into: String,
    },
    /// Something changed, and the CRM doesn't say what: look for changes now.
    Look,
}

/// A request that came to our address for a CRM's notifications, as it came.
#[derive(Debug, Clone)]
pub struct CrmNotice<'a> {
    /// `POST`.
    pub method: &'a str,
    /// Our address as the CRM calls it, query included, as the CRM was told it.
    pub uri: &'a str,
    /// Headers, names in lower case.
    pub headers: &'a [(String, String)],
    /// The body's bytes, unread.
    pub body: &'a [u8],
    /// Our clock.
    pub now: Millis,
}

/// Why a notification is not believed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum NoticeRefused {
    /// This CRM sends none, or none were set up.
    #[error(
        "notifications of this connection are not set up: add what signs them to the connection in the configuration"
    )]
    NotSetUp,
    /// The signature or token is missing or wrong.
    #[error("the signature or token is missing or wrong")]
    Unsigned,
    /// It is too old: somebody may send it again.
    #[error("the notification is too old: compare the clocks")]
    TooOld,
    /// It can't be read.
    #[error("the body can't be read")]
    Unreadable,
}

/// Calls that a connection made and may make.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct CrmBudget {
    /// Calls since the program started.
    pub calls: u64,
    /// Calls that the longest limit allows (mostly: a day), when the CRM says.
    pub limit: Option<u64>,
    /// What is left of them.
    pub remaining: Option<u64>,
    /// Nothing is called before this, epoch milliseconds.
    pub held_until: Option<Millis>,
}

/// What a CRM can do, as data: the engine and the console read it instead of asking which CRM it is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CrmCapabilities {
    /// Name of the product.
    pub product: String,
    /// Rows in one contact batch.
    pub contact_batch: usize,
    /// Rows in one message batch.
    pub message_batch: usize,
    /// Messages are upserted by our id, so that trying again is always safe.
    pub message_upsert: bool,
    /// Calls a second the connection may use.
    pub calls_per_second: u32,
    /// Changes can be asked for since a cursor; otherwise every look reads all contacts.
    pub changes: bool,
    /// The changes asked for tell deletions too.
    pub tells_deletions: bool,
    /// It notifies us, when that is set up.
    pub notifies: bool,
    /// Fields can be created over its API.
    pub creates_fields: bool,
}
