//! Rendering updates into one webhook body, grouped by account and number.
//! May touch: the book, for reading. Must not touch: sockets.

use super::errors::webhook_error;
use super::hooks::{Update, What};
use super::ledger::{Book, Record, Status};
use super::people::Person;
use super::world::World;
use serde::Serialize;
use serde_json::{Value, json};
use std::collections::HashSet;

/// What goes into one `change` of field `messages`.
#[derive(Default)]
struct Group {
    contacts: Vec<Vec<u8>>,
    people: HashSet<usize>,
    messages: Vec<Vec<u8>>,
    statuses: Vec<Vec<u8>>,
    errors: Vec<Vec<u8>>,
}

/// One `entry`: account, time for account-type fields, rendered changes.
type Entry = (usize, Option<i64>, Vec<Vec<u8>>);

/// The body for these updates, in their order within each number.
pub(crate) fn render(world: &World, updates: &[Update]) -> Vec<u8> {
    let mut groups: Vec<((usize, usize, bool), Group)> = Vec::new();
    let mut changes: Vec<(usize, Option<i64>, Vec<u8>)> = Vec::new();
    {
        let book = world.book();
        for update in updates {
            match &update.what {
                What::Change { field, value, timed, .. } => {
                    changes.push((update.waba, *timed, change(field, value.as_bytes())))
                }
                What::Status { index, status } => {
                    let Some(record) = book.records.get(*index) else { continue };
                    let at = place(&mut groups, (update.waba, record.number, true));
                    let Some((_, group)) = groups.get_mut(at) else { continue };
                    add_status(world, &book, record, *status, group);
                }
                What::Message { person, contact, message, errors, .. } => {
                    let at = place(&mut groups, (update.waba, update.number.unwrap_or(0), false));
                    let Some((_, group)) = groups.get_mut(at) else { continue };
                    if let Some(contact) = contact
                        && person.is_none_or(|person| group.people.insert(person))
                    {
                        group.contacts.push(contact.as_bytes().to_vec());
                    }
                    group.messages.push(message.as_bytes().to_vec());
                    group.errors.extend(errors.iter().map(|error| error.as_bytes().to_vec()));
                }
            }
        }
    }
    let mut entries: Vec<Entry> = Vec::new();
    for ((waba, number, _), group) in groups {
        push(&mut entries, waba, None, change("messages", &value(world, number, &group)));
    }
    for (waba, timed, change) in changes {
        push(&mut entries, waba, timed, change);
    }
    envelope(world, &entries)
}

/// Where the group of a key stands; a new one is made at the end.
fn place(groups: &mut Vec<((usize, usize, bool), Group)>, key: (usize, usize, bool)) -> usize {
    groups.iter().position(|(known, _)| *known == key).unwrap_or_else(|| {
        groups.push((key, Group::default()));
        groups.len() - 1
    })
}

fn push(entries: &mut Vec<Entry>, waba: usize, timed: Option<i64>, change: Vec<u8>) {
    match entries.iter_mut().find(|(known, time, _)| *known == waba && *time == timed) {
        Some((_, _, changes)) => changes.push(change),
        None => entries.push((waba, timed, vec![change])),
    }
}

fn change(field: &str, value: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(value.len() + 64);
    out.extend_from_slice(b"{\"field\":");
    text(&mut out, field);
    out.extend_from_slice(b",\"value\":");
    out.extend_from_slice(value);
    out.push(b'}');
    out
}

fn value(world: &World, number: usize, group: &Group) -> Vec<u8> {
    let mut out = Vec::with_capacity(1_024 + group.statuses.len() * 600 + group.messages.len() * 400);
    out.extend_from_slice(b"{\"messaging_product\":\"whatsapp\",\"metadata\":{\"display_phone_number\":");
    let (shown, id) = world.lines.get(number).map_or(("", ""), |line| (line.own_wa_id.as_str(), line.id.as_str()));
    text(&mut out, shown);
    out.extend_from_slice(b",\"phone_number_id\":");
    text(&mut out, id);
    out.push(b'}');
    for (key, items) in [
        ("contacts", &group.contacts),
        ("messages", &group.messages),
        ("statuses", &group.statuses),
        ("errors", &group.errors),
    ] {
        if !items.is_empty() {
            out.push(b',');
            text(&mut out, key);
            out.extend_from_slice(b":[");
            out.extend_from_slice(&items.join(&b","[..]));
            out.push(b']');
        }
    }
    out.push(b'}');
    out
}

fn envelope(world: &World, entries: &[Entry]) -> Vec<u8> {
    let mut out = b"{\"object\":\"whatsapp_business_account\",\"entry\":[".to_vec();
    for (at, (waba, timed, changes)) in entries.iter().enumerate() {
        if at > 0 {
            out.push(b',');
        }
        out.extend_from_slice(b"{\"id\":");
        text(&mut out, world.config.wabas.get(*waba).map_or("0", |waba| waba.id.as_str()));
        if let Some(time) = timed {
            out.extend_from_slice(format!(",\"time\":{time}").as_bytes());
        }
        out.extend_from_slice(b",\"changes\":[");
        out.extend_from_slice(&changes.join(&b","[..]));
        out.extend_from_slice(b"]}");
    }
    out.extend_from_slice(b"]}");
    out
}

fn text(out: &mut Vec<u8>, text: &str) {
    put(out, &text);
}

/// Serialising to memory cannot fail for these types.
fn put(out: &mut Vec<u8>, value: &impl Serialize) {
    let _ = serde_json::to_writer(out, value);
}

#[derive(Serialize)]
struct StatusOut<'a> {
    id: &'a str,
    status: &'static str,
    timestamp: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    recipient_id: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    recipient_user_id: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    recipient_parent_user_id: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    biz_opaque_callback_data: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    conversation: Option<Value>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pricing: Option<Pricing>,
    #[serde(skip_serializing_if = "Option::is_none")]
    errors: Option<[Value; 1]>,
}

#[derive(Serialize)]
struct Pricing {
    billable: bool,
    pricing_model: &'static str,
    #[serde(rename = "type")]
    kind: &'static str,
    category: &'static str,
}

fn add_status(world: &World, book: &Book, record: &Record, status: Status, group: &mut Group) {
    let person = record.person.and_then(|person| book.people.get(person));
    let failed = status == Status::Failed;
    let old = super::status::webhook_version(&world.config.graph_version) < 24;
    let priced = record.priced_at == status || (old && matches!(status, Status::Sent | Status::Delivered));
    let out = StatusOut {
        id: &record.wamid,
        status: status.name(),
        timestamp: (record.at_ms.get(status as usize).copied().unwrap_or(0) / 1_000).to_string(),
        recipient_id: if record.by_user_id { None } else { record.wa_id.as_deref() },
        recipient_user_id: person.filter(|_| record.by_user_id || !failed).map(|person| person.user_id.as_str()),
        recipient_parent_user_id: person
            .filter(|_| record.by_user_id || !failed)
            .and_then(|person| person.parent_user_id.as_deref()),
        biz_opaque_callback_data: record.opaque.as_deref(),
        conversation: (old && !failed)
            .then(|| json!({"id": conversation(record), "origin": {"type": record.category}})),
        pricing: (priced && !failed).then_some(Pricing {
            billable: record.pricing == "regular",
            pricing_model: "PMP",
            kind: record.pricing,
            category: record.category,
        }),
        errors: failed.then(|| [webhook_error(record.error, super::status::failure_details(record.error))]),
    };
    let mut bytes = Vec::with_capacity(512);
    put(&mut bytes, &out);
    group.statuses.push(bytes);
    if let (Some(index), Some(person), false) = (record.person, person, failed)
        && group.people.insert(index)
    {
        let with_username = matches!(status, Status::Delivered | Status::Read);
        group.contacts.push(contact(person, record.by_user_id, with_username));
    }
}

fn conversation(record: &Record) -> String {
    format!("{:x}", crate::chance::mix(record.accepted_at_ms.unsigned_abs()))
}

#[derive(Serialize)]
struct ContactOut<'a> {
    profile: Profile<'a>,
    #[serde(skip_serializing_if = "Option::is_none")]
    wa_id: Option<&'a str>,
    user_id: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    parent_user_id: Option<&'a str>,
}

#[derive(Serialize)]
struct Profile<'a> {
    name: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    username: Option<&'a str>,
}

/// The `contacts[]` element of a person.
pub(crate) fn contact(person: &Person, hide_phone: bool, with_username: bool) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(160);
    let out = ContactOut {
        profile: Profile { name: &person.name, username: person.username.as_deref().filter(|_| with_username) },
        wa_id: person.wa_id.as_deref().filter(|_| !hide_phone),
        user_id: &person.user_id,
        parent_user_id: person.parent_user_id.as_deref(),
    };
    put(&mut bytes, &out);
    bytes
}
