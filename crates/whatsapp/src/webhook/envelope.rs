//! The shell around the items. Two readers with the same result: a quick one for what nearly every body is (messages and
//! statuses, well formed), one pass over the bytes; a thorough one, layer by layer, for everything else.

use super::{Change, fields, party, unreadable};
use crate::json::{self, Object};
use ponte_domain::Millis;
use ponte_domain::inbound::Update;
use serde::Deserialize;
use serde::de::IgnoredAny;
use serde_json::value::RawValue;
use std::borrow::Cow;

#[derive(Deserialize)]
struct QuickBody<'a> {
    #[serde(borrow)]
    entry: Vec<QuickEntry<'a>>,
}

#[derive(Deserialize)]
struct QuickEntry<'a> {
    #[serde(borrow, default)]
    id: Option<&'a RawValue>,
    #[serde(borrow, default)]
    time: Option<&'a RawValue>,
    #[serde(borrow)]
    changes: Vec<QuickChange<'a>>,
}

#[derive(Deserialize)]
struct QuickChange<'a> {
    #[serde(borrow)]
    field: &'a RawValue,
    #[serde(borrow)]
    value: QuickValue<'a>,
}

/// Anything not listed here sends the body to the thorough reader, so that nothing is passed over.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct QuickValue<'a> {
    #[serde(default, rename = "messaging_product")]
    _product: IgnoredAny,
    #[serde(borrow, default)]
    metadata: Option<QuickMetadata<'a>>,
    #[serde(borrow, default)]
    contacts: Vec<&'a RawValue>,
    #[serde(borrow, default)]
    messages: Vec<&'a RawValue>,
    #[serde(borrow, default)]
    statuses: Vec<&'a RawValue>,
}

#[derive(Deserialize)]
struct QuickMetadata<'a> {
    #[serde(borrow, default)]
    display_phone_number: Option<&'a RawValue>,
    #[serde(borrow, default)]
    phone_number_id: Option<&'a RawValue>,
}

/// True when it has read the whole body. False: nothing it wrote counts.
pub(super) fn quick(text: &str, received_at: Millis, updates: &mut Vec<Update>) -> bool {
    let Ok(body) = serde_json::from_str::<QuickBody<'_>>(text) else { return false };
    for entry in body.entry {
        for change in entry.changes {
            let value = change.value;
            let plain =
                change.field.get() == "\"messages\"" && !(value.messages.is_empty() && value.statuses.is_empty());
            if !plain {
                return false;
            }
            let mut context = shell(entry.id, entry.time, received_at);
            context.field = Cow::Borrowed("messages");
            if let Some(metadata) = value.metadata {
                context.set_metadata(metadata.display_phone_number, metadata.phone_number_id);
            }
            context.contacts = party::contacts(&value.contacts);
            fields::messages(&context, &value.messages, &[], updates);
            fields::statuses(&context, &value.statuses, updates);
        }
    }
    true
}

/// Reads whatever it is, layer by layer.
pub(super) fn thorough(text: &str, received_at: Millis, updates: &mut Vec<Update>) {
    let Some(body) = Object::parse(text) else {
        let reason = if json::is_json(text) { "the body is no JSON object" } else { "the body is no JSON" };
        updates.push(unreadable(text.as_bytes(), reason));
        return;
    };
    let mut lists = body.all("entry").peekable();
    if lists.peek().is_none() {
        updates.push(unreadable(text.as_bytes(), "the body has no entry"));
    }
    for raw in lists {
        match json::list(raw) {
            Some(entries) => entries.into_iter().for_each(|raw| entry(raw, received_at, updates)),
            None => updates.push(unreadable(raw.get().as_bytes(), "entry is no list")),
        }
    }
}

fn entry(raw: &RawValue, received_at: Millis, updates: &mut Vec<Update>) {
    let Some(entry) = Object::read(raw) else {
        updates.push(unreadable(raw.get().as_bytes(), "an entry is no object"));
        return;
    };
    let shell = || shell(entry.raw("id"), entry.raw("time"), received_at);
    let mut lists = entry.all("changes").peekable();
    if lists.peek().is_none() {
        updates.push(shell().unknown(raw.get(), "an entry has no changes"));
    }
    for raw in lists {
        match json::list(raw) {
            Some(changes) => changes.into_iter().for_each(|raw| change(shell(), raw, updates)),
            None => updates.push(shell().unknown(raw.get(), "changes is no list")),
        }
    }
}

fn change<'a>(mut context: Change<'a>, raw: &'a RawValue, updates: &mut Vec<Update>) {
    let Some(change) = Object::read(raw) else {
        updates.push(context.unknown(raw.get(), "a change is no object"));
        return;
    };
    let Some(field) = change.text("field") else {
        updates.push(context.unknown(raw.get(), "a change names no field"));
        return;
    };
    context.field = field;
    match change.raw("value") {
        Some(value) => fields::read(context, value, updates),
        None => updates.push(context.unknown(raw.get(), "a change has no value")),
    }
}

fn shell<'a>(id: Option<&'a RawValue>, time: Option<&'a RawValue>, received_at: Millis) -> Change<'a> {
    Change {
        waba_id: id.and_then(json::text).unwrap_or_default(),
        field: Cow::Borrowed(""),
        time: time.and_then(json::text).and_then(|t| super::millis(&t)),
        number: None,
        business: None,
        contacts: Vec::new(),
        received_at,
    }
}
