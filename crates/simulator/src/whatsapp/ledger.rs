//! What was accepted and what was generated, and whether the receiver has acknowledged it: the proof of "not lost, not doubled".
//! May touch: its own memory. Must not touch: sockets.

use super::limits::Limits;
use super::people::People;
use serde::Serialize;
use serde_json::Value;
use std::collections::{HashMap, HashSet};
use std::sync::Arc;

/// A delivery status, in the order in which they normally come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Status {
    Sent = 0,
    Delivered = 1,
    Read = 2,
    Played = 3,
    Failed = 4,
}

impl Status {
    pub const ALL: [Self; 5] = [Self::Sent, Self::Delivered, Self::Read, Self::Played, Self::Failed];

    pub fn name(self) -> &'static str {
        match self {
            Self::Sent => "sent",
            Self::Delivered => "delivered",
            Self::Read => "read",
            Self::Played => "played",
            Self::Failed => "failed",
        }
    }
}

/// One accepted send.
#[derive(Debug)]
pub(crate) struct Record {
    pub wamid: Arc<str>,
    pub number: usize,
    pub person: Option<usize>,
    pub to: String,
    pub wa_id: Option<String>,
    pub by_user_id: bool,
    pub kind: &'static str,
    pub template: Option<String>,
    pub category: &'static str,
    pub pricing: &'static str,
    /// The status that carries `pricing`.
    pub priced_at: Status,
    pub opaque: Option<Arc<str>>,
    pub accepted_at_ms: i64,
    pub at_ms: [i64; 5],
    pub acknowledged_ms: [i64; 5],
    pub error: u32,
    pub body: Option<Box<Value>>,
}

/// A status of a sent message in the ledger.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct StatusMark {
    /// `sent`, `delivered`, `read`, `played` or `failed`.
    pub status: &'static str,
    /// When it was generated, epoch milliseconds.
    pub at_ms: i64,
    /// When its webhook was first answered 200, epoch milliseconds.
    pub acknowledged_at_ms: Option<i64>,
}

/// An accepted send in the ledger.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct SentMessage {
    /// `biz_opaque_callback_data` as given.
    pub opaque: Option<String>,
    /// The message id answered.
    pub wamid: String,
    /// `to` or `recipient` as given.
    pub to: String,
    /// The WhatsApp id it went to, for sends by number.
    pub wa_id: Option<String>,
    /// Message type.
    #[serde(rename = "type")]
    pub kind: &'static str,
    /// Template name.
    pub template: Option<String>,
    /// The business number it was sent from.
    pub phone_number_id: String,
    /// When it was accepted, epoch milliseconds.
    pub accepted_at_ms: i64,
    /// Statuses so far.
    pub statuses: Vec<StatusMark>,
    /// Code of the `failed` status, if it failed.
    pub error_code: Option<u32>,
    /// The request body, for the newest messages only.
    pub body: Option<Value>,
}

impl Record {
    pub fn show(&self, phone_number_id: &str) -> SentMessage {
        let marks = Status::ALL.iter().zip(self.at_ms.iter().zip(&self.acknowledged_ms));
        SentMessage {
            opaque: self.opaque.as_deref().map(str::to_owned),
            wamid: self.wamid.to_string(),
            to: self.to.clone(),
            wa_id: self.wa_id.clone(),
            kind: self.kind,
            template: self.template.clone(),
            phone_number_id: phone_number_id.to_owned(),
            accepted_at_ms: self.accepted_at_ms,
            statuses: marks
                .filter(|(_, (at, _))| **at != 0)
                .map(|(status, (at, ack))| StatusMark {
                    status: status.name(),
                    at_ms: *at,
                    acknowledged_at_ms: (*ack != 0).then_some(*ack),
                })
                .collect(),
            error_code: (self.error != 0).then_some(self.error),
            body: self.body.as_deref().cloned(),
        }
    }
}

/// One generated customer message in the ledger.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct InboundRecord {
    /// Message id; for preference changes an id of our own.
    pub wamid: String,
    /// Message type.
    #[serde(rename = "type")]
    pub kind: String,
    /// Business number it went to.
    pub phone_number_id: String,
    /// When it was written, epoch milliseconds.
    pub at_ms: i64,
    /// When its webhook was first answered 200, epoch milliseconds.
    pub acknowledged_at_ms: Option<i64>,
}

/// Everything about messages and people, under one lock that is only held briefly.
#[derive(Debug, Default)]
pub(crate) struct Book {
    pub records: Vec<Record>,
    pub by_wamid: HashMap<Arc<str>, usize>,
    pub opaques: HashSet<Arc<str>>,
    pub people: People,
    pub inbound: Vec<InboundRecord>,
    pub inbound_by_wamid: HashMap<String, usize>,
    pub limits: Limits,
    /// Delivered service messages: (number, month since epoch) to count.
    pub service: HashMap<(usize, i64), u64>,
    pub blocked: HashSet<(usize, usize)>,
}

impl Book {
    /// Adds an accepted send; true when its opaque data was already used.
    pub fn accept(&mut self, record: Record, keep_bodies: usize) -> (usize, bool) {
        let index = self.records.len();
        self.by_wamid.insert(record.wamid.clone(), index);
        let doubled = record.opaque.as_ref().is_some_and(|opaque| !self.opaques.insert(opaque.clone()));
        self.records.push(record);
        if let Some(old) = index.checked_sub(keep_bodies)
            && let Some(old) = self.records.get_mut(old)
        {
            old.body = None;
        }
        (index, doubled)
    }
}
