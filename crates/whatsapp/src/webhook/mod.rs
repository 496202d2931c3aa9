//! Takes webhook bodies apart: every entry × change × item becomes one update. Pure, never fails, never drops: what isn't
//! understood stays as [`UpdateKind::Unknown`] with its JSON, and one bad item doesn't hurt the others.
//! Facts: whatsapp-api 2.3 to 2.6 and 3.
//! May touch: values. Must not touch: the clock (`received_at` is given), files, sockets.
//! Failure story: none. Reading the same body again gives the same updates.

mod content;
mod envelope;
mod fields;
mod message;
mod party;
mod status;

pub use message::{HISTORY_BY_BUSINESS, history_kind};

use crate::json::{self, Object};
use ponte_domain::Millis;
use ponte_domain::ids::NumberId;
use ponte_domain::inbound::{AccountNotice, NoticeError, Unknown, Update, UpdateKind};
use ponte_domain::ports::channel::Parsed;
use serde_json::value::RawValue;
use std::borrow::Cow;

/// Takes a webhook body apart. `received_at` stands in for times that are missing or can't be read.
/// A body that is no JSON gives one [`UpdateKind::Unknown`]; an empty `entry` list gives nothing.
#[must_use]
pub fn parse(body: &[u8], received_at: Millis) -> Parsed {
    let mut updates = Vec::with_capacity(1);
    match std::str::from_utf8(body) {
        Ok(text) => {
            if !envelope::quick(text, received_at, &mut updates) {
                updates.clear();
                envelope::thorough(text, received_at, &mut updates);
            }
        }
        Err(_) => updates.push(unreadable(body, "the body is not UTF-8")),
    }
    Parsed { updates }
}

/// What the items of one change have in common.
struct Change<'a> {
    waba_id: Cow<'a, str>,
    field: Cow<'a, str>,
    /// `entry[].time`.
    time: Option<Millis>,
    number: Option<NumberId>,
    /// `metadata.display_phone_number`, digits only.
    business: Option<String>,
    contacts: Vec<party::Contact<'a>>,
    received_at: Millis,
}

impl Change<'_> {
    fn update(&self, at: Option<Millis>, kind: UpdateKind) -> Update {
        Update {
            waba_id: self.waba_id.as_ref().to_owned(),
            number: self.number.clone(),
            field: self.field.as_ref().to_owned(),
            at,
            kind,
        }
    }

    fn unknown(&self, raw: &str, reason: impl Into<String>) -> Update {
        self.update(self.time, UpdateKind::Unknown(Unknown { reason: reason.into(), raw: raw.to_owned() }))
    }

    fn notice(&self, event: Option<String>, raw: &RawValue) -> Update {
        let raw = raw.get().to_owned();
        self.update(self.time, UpdateKind::Account(AccountNotice { event, raw }))
    }

    /// Meta's time of an item, and what stands in for it.
    fn times(&self, item: &Object<'_>) -> (Option<Millis>, Millis) {
        let said = item.text("timestamp").and_then(|t| millis(&t)).or(self.time);
        (said, said.unwrap_or(self.received_at))
    }

    fn set_metadata(&mut self, display: Option<&RawValue>, number: Option<&RawValue>) {
        self.number = number.and_then(json::text).map(|id| NumberId::from(id.as_ref()));
        self.business = display
            .and_then(json::text)
            .map(|text| text.chars().filter(char::is_ascii_digit).collect::<String>())
            .filter(|digits| !digits.is_empty());
    }
}

/// Seconds since 1970, as text, in milliseconds. Nothing negative, nothing beyond what can be counted.
fn millis(text: &str) -> Option<Millis> {
    let seconds: i64 = text.trim().parse().ok()?;
    (seconds >= 0).then(|| seconds.checked_mul(1_000)).flatten()
}

fn notice_errors(items: &[&RawValue]) -> Vec<NoticeError> {
    items.iter().filter_map(|raw| Object::read(raw)).map(|error| notice_error(&error)).collect()
}

/// A code that can't be read is -1, which Meta doesn't use: 0 would mean a bad token.
fn notice_error(error: &Object<'_>) -> NoticeError {
    NoticeError {
        code: error.integer("code").unwrap_or(-1),
        title: error.string("title").or_else(|| error.string("message")).unwrap_or_default(),
        details: error.object("error_data").and_then(|data| data.string("details")),
    }
}

/// A name of Meta's, fit for a sentence.
fn short(name: &str) -> String {
    name.chars().filter(|c| !c.is_control()).take(64).collect()
}

fn unreadable(body: &[u8], reason: &str) -> Update {
    Update {
        waba_id: String::new(),
        number: None,
        field: String::new(),
        at: None,
        kind: UpdateKind::Unknown(Unknown { reason: reason.to_owned(), raw: json::embeddable(body) }),
    }
}
