//! What is written into a CRM and what comes back, row by row.
//! Must not touch: any one CRM's words. Field names here are ours; connectors and mappings translate.

use crate::Millis;
use crate::error::CallError;
use crate::ids::{MessageId, PersonId};
use crate::status::Stamps;
use serde::{Deserialize, Serialize};

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

/// A field of a CRM's contacts.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CrmField {
    /// Its name in the API.
    pub name: String,
    /// Its name for people.
    pub label: String,
    /// Read when no fields are named: it tells who somebody is, or the business made it.
    pub usual: bool,
}

/// A contact as it stands in the CRM.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CrmRecord {
    /// The CRM's record id.
    pub id: String,
    /// Values of the fields asked for, in their order; `None`: empty.
    pub values: Vec<Option<String>>,
}

/// Some of a CRM's contacts.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct CrmPage {
    /// Contacts.
    pub records: Vec<CrmRecord>,
    /// Where the next page begins; `None` at the end.
    pub next: Option<String>,
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
}
