//! The channel port: what the engine asks of WhatsApp.

use crate::Millis;
use crate::account::{NumberState, Template};
use crate::error::CallError;
use crate::identity::Party;
use crate::ids::NumberId;
use crate::inbound::Update;
use crate::outbound::Outbound;
use async_trait::async_trait;
use bytes::Bytes;

/// To whom a message goes. A user id never travels in `to` (whatsapp-api 3.5).
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Address {
    /// E.164 digits without `+`.
    Phone(String),
    /// Business-scoped user id or parent user id.
    UserId(String),
}

/// The API took the message. Not delivered yet.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Accepted {
    /// Meta's id. Absent only for receipts.
    pub wamid: Option<String>,
    /// Meta's answer about who it is.
    pub party: Party,
    /// `held_for_quality_assessment` and the like, when not plainly accepted.
    pub held: Option<String>,
}

/// A webhook body, taken apart. A body that is no JSON object yields one [`crate::inbound::UpdateKind::Unknown`].
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Parsed {
    /// Every item, in the order of the body.
    pub updates: Vec<Update>,
}

/// A file fetched from Meta.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FetchedMedia {
    /// The bytes, checked against the hash when one was given.
    pub bytes: Bytes,
    /// The type the server named.
    pub mime_type: Option<String>,
}

/// What the engine asks of WhatsApp.
#[async_trait]
pub trait Channel: Send + Sync {
    /// Takes a webhook body apart. Pure, never fails, never drops. `received_at` stands in for times that can't be read.
    fn parse(&self, body: &[u8], received_at: Millis) -> Parsed;

    /// Sends one message. `opaque` comes back in every status. `reply_to` quotes a message by wamid.
    ///
    /// # Errors
    /// Classified: see [`CallError`]. A time-out or broken connection after the request began is an unknown outcome.
    async fn send(
        &self,
        number: &NumberId,
        to: &Address,
        message: &Outbound,
        reply_to: Option<&str>,
        opaque: &str,
    ) -> Result<Accepted, CallError>;

    /// Fetches a file by Meta's media id: asks for the address, follows it, checks size and hash.
    ///
    /// # Errors
    /// Classified like any call.
    async fn fetch_media(
        &self,
        number: &NumberId,
        media_id: &str,
        sha256_base64: Option<&str>,
    ) -> Result<FetchedMedia, CallError>;

    /// What Meta says of a file, as Meta says it: `{"id","url","mime_type","sha256","file_size"}`. The `url` lives five minutes and
    /// takes Meta's token only.
    ///
    /// # Errors
    /// Classified like any call; permanent when the number has no such file.
    async fn media_info(&self, number: &NumberId, media_id: &str) -> Result<serde_json::Value, CallError>;

    /// Deletes a file at Meta's.
    ///
    /// # Errors
    /// Classified like any call; permanent when the number has no such file.
    async fn delete_media(&self, number: &NumberId, media_id: &str) -> Result<(), CallError>;

    /// Uploads a file; the id lives 30 days.
    ///
    /// # Errors
    /// Classified like any call.
    async fn upload_media(
        &self,
        number: &NumberId,
        bytes: Bytes,
        mime_type: &str,
        filename: &str,
    ) -> Result<String, CallError>;

    /// Reads a number's health, for the preflight check: JSON as Meta gives it.
    ///
    /// # Errors
    /// Classified like any call.
    async fn number_health(&self, number: &NumberId) -> Result<serde_json::Value, CallError>;

    /// Reads the state of a number.
    ///
    /// # Errors
    /// Classified like any call.
    async fn number_state(&self, number: &NumberId) -> Result<NumberState, CallError>;

    /// Reads all templates of the account that a number belongs to. Whole or not at all.
    ///
    /// # Errors
    /// Classified like any call.
    async fn templates(&self, number: &NumberId) -> Result<Vec<Template>, CallError>;
}
