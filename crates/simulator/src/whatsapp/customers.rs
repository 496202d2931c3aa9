//! What customers can do, as a script says it.
//! May touch: nothing. Must not touch: state; `inbound` turns it into webhooks.

use super::people::Customer;
use serde::{Deserialize, Serialize};
use serde_json::Value;

/// One thing a customer does.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CustomerMessage {
    /// Who.
    pub from: Customer,
    /// What.
    pub message: CustomerKind,
    /// To which business number; the first one by default.
    #[serde(default)]
    pub phone_number_id: Option<String>,
    /// The message it answers.
    #[serde(default)]
    pub reply_to: Option<String>,
    /// Whether it was forwarded.
    #[serde(default)]
    pub forwarded: bool,
    /// Whether it was forwarded many times.
    #[serde(default)]
    pub frequently_forwarded: bool,
    /// The `referral` object of a click-to-WhatsApp ad; `true` makes a believable one. Opens the free entry point.
    #[serde(default)]
    pub referral: Option<Value>,
    /// Leave out `from` and `wa_id`, as for people with a username who are not in the contact book.
    #[serde(default)]
    pub hide_phone: bool,
}

impl CustomerMessage {
    /// A message of a person known by telephone.
    #[must_use]
    pub fn from_phone(wa_id: &str, name: &str, message: CustomerKind) -> Self {
        let from = Customer { wa_id: Some(wa_id.to_owned()), name: Some(name.to_owned()), ..Customer::default() };
        Self::new(from, message)
    }

    /// A text of a person known by telephone.
    #[must_use]
    pub fn text(wa_id: &str, name: &str, body: &str) -> Self {
        Self::from_phone(wa_id, name, CustomerKind::Text { body: body.to_owned() })
    }

    /// A message to the first business number, nothing special about it.
    #[must_use]
    pub fn new(from: Customer, message: CustomerKind) -> Self {
        Self {
            from,
            message,
            phone_number_id: None,
            reply_to: None,
            forwarded: false,
            frequently_forwarded: false,
            referral: None,
            hide_phone: false,
        }
    }
}

/// Every kind of inbound event of the `messages` field, and the marketing preference.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case", deny_unknown_fields)]
#[expect(missing_docs, reason = "the fields carry the names of the wire format")]
pub enum CustomerKind {
    /// A text.
    Text { body: String },
    /// A generated picture.
    Image {
        #[serde(default)]
        caption: Option<String>,
    },
    /// A generated film.
    Video {
        #[serde(default)]
        caption: Option<String>,
    },
    /// A generated recording; `voice` for a voice note.
    Audio {
        #[serde(default)]
        voice: bool,
    },
    /// A generated sticker.
    Sticker {
        #[serde(default)]
        animated: bool,
    },
    /// A generated PDF.
    Document {
        filename: String,
        #[serde(default)]
        caption: Option<String>,
    },
    /// A place.
    Location {
        latitude: f64,
        longitude: f64,
        #[serde(default)]
        name: Option<String>,
        #[serde(default)]
        address: Option<String>,
    },
    /// Contact cards, as on the wire.
    Contacts { contacts: Value },
    /// The own card, as the answer to a request for contact information.
    SharedContact { phone: String },
    /// A tap on a reply button.
    ButtonReply { id: String, title: String },
    /// A choice from a list.
    ListReply {
        id: String,
        title: String,
        #[serde(default)]
        description: Option<String>,
    },
    /// A finished flow; `response_json` is a string.
    NfmReply {
        response_json: String,
        #[serde(default)]
        name: Option<String>,
        #[serde(default)]
        body: Option<String>,
    },
    /// An answer to a request to call.
    CallPermissionReply { accept: bool },
    /// An interactive answer that the platform could not show: no object, error 131000.
    InteractiveBroken,
    /// A tap on a quick reply of a template.
    Button { payload: String, text: String },
    /// An order from the catalogue.
    Order {
        catalog_id: String,
        #[serde(default)]
        text: Option<String>,
        product_items: Value,
    },
    /// A reaction; `emoji` missing or empty removes it.
    Reaction {
        message_id: String,
        #[serde(default)]
        emoji: Option<String>,
    },
    /// The person has a new number.
    ChangedNumber { new_wa_id: String },
    /// The person has a new business-scoped user id.
    ChangedUserId { new_user_id: String },
    /// The person's identity key changed.
    IdentityChanged { hash: String },
    /// Something the API cannot show; `of` as in `unsupported.type`.
    Unsupported { of: String },
    /// An edit of an earlier text.
    Edit { original_message_id: String, body: String },
    /// A withdrawn message.
    Revoke { original_message_id: String },
    /// A file above 100 MB: error 131052, no id.
    TooBig { kind: String },
    /// Stop or resume marketing (`user_preferences`).
    Preference { value: String },
    /// Any other message: the object as on the wire, without `from`, `id`, `timestamp`.
    Raw { message: Value },
}
