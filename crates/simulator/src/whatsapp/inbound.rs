//! Customers' messages on their way to the business: opened windows, changed identities, rendered webhooks.
//! May touch: the book, media, the outbox. Must not touch: sockets.

use super::content::put;
use super::customers::{CustomerKind, CustomerMessage};
use super::envelope;
use super::errors::{ApiError, webhook_error};
use super::hooks::{Update, What};
use super::ids::{self, Series};
use super::ledger::{Book, InboundRecord};
use super::media;
use super::phone;
use super::stats::Counters;
use super::world::{Line, World};
use serde_json::{Map, Value, json};
use std::sync::Arc;

const FREE_ENTRY_MS: i64 = 72 * 3_600_000;

/// Takes a customer's message; its id.
///
/// # Errors
/// 100 for an unknown business number or a customer without a valid id.
pub(crate) fn take(world: &World, message: &CustomerMessage) -> Result<String, ApiError> {
    let (number, line) = match &message.phone_number_id {
        Some(id) => world.line(id)?,
        None => world.lines.first().map(|line| (0, line)).ok_or_else(|| ApiError::no_object("number"))?,
    };
    let from = &message.from;
    if from.wa_id.is_none() && from.user_id.is_none() {
        return Err(ApiError::new(100, "from needs wa_id or user_id"));
    }
    if from.wa_id.as_deref().is_some_and(|id| !phone::plausible(id))
        || from.user_id.as_deref().is_some_and(|id| !phone::is_user_id(id))
    {
        return Err(ApiError::new(100, "from.wa_id must be digits, from.user_id a business-scoped user id"));
    }
    // Files are made before the book is locked.
    let parts = parts(world, &message.message);
    Counters::one(&world.counters.inbound_generated);
    let (id, update) = write_down(world, message, number, line, parts);
    world.emit(update);
    Ok(id)
}

/// What a message consists of besides sender, id and time.
struct Parts {
    kind: String,
    fields: Map<String, Value>,
    /// `value.errors`, beside the message.
    outer_error: Option<Value>,
    /// System messages and preferences carry no contact.
    contact: bool,
    /// Whether it opens the customer service window.
    opens: bool,
}

fn write_down(
    world: &World,
    message: &CustomerMessage,
    number: usize,
    line: &Line,
    mut parts: Parts,
) -> (String, Update) {
    let now = world.now_ms();
    let seed = world.config.seed;
    let mut guard = world.book();
    let book = &mut *guard;
    let person = book.people.meet(seed, &message.from);
    let _in_and_out_share_the_rate =
        book.limits.number(number, line.throughput_per_s, i64::try_from(world.elapsed_ms()).unwrap_or(0));
    let sender_before = book.people.get(person).and_then(|person| person.wa_id.clone());
    identity(seed, book, person, &message.message, &mut parts, now);
    if let Some(sender) = book.people.get_mut(person) {
        if parts.opens {
            sender.wrote(number, now);
        }
        if message.referral.is_some() {
            sender.came_from_ad(number, now + FREE_ENTRY_MS);
        }
    }
    let inbound = book.inbound.len();
    let peer = book.people.get(person).map_or("0", |person| person.peer()).to_owned();
    let id = ids::wamid(seed, Series::Inbound, inbound as u64, &peer);
    book.inbound.push(InboundRecord {
        wamid: id.clone(),
        kind: parts.kind.clone(),
        phone_number_id: line.id.clone(),
        at_ms: now,
        acknowledged_at_ms: None,
    });
    book.inbound_by_wamid.insert(id.clone(), inbound);
    let what = render(book, message, person, sender_before, &id, inbound, now, parts, line);
    (id, Update { waba: line.waba, number: Some(number), what })
}

/// Changes of number, id, identity key and marketing preference take effect.
fn identity(seed: u64, book: &mut Book, person: usize, kind: &CustomerKind, parts: &mut Parts, now: i64) {
    match kind {
        CustomerKind::ChangedNumber { new_wa_id } => {
            let old = book.people.get(person).and_then(|person| person.wa_id.clone()).unwrap_or_default();
            if let Some((before, after)) = book.people.change_number(seed, person, new_wa_id) {
                let name = book.people.get(person).map_or("", |person| person.name.as_str());
                parts.fields.insert(
                    "system".into(),
                    json!({
                        "body": format!("User {name} changed from {old} to {new_wa_id}"), "type": "user_changed_number",
                        "wa_id": new_wa_id, "user_id": after, "previous_user_id": before,
                    }),
                );
            }
        }
        CustomerKind::ChangedUserId { new_user_id } => {
            if let Some(before) = book.people.change_user_id(person, new_user_id) {
                parts.fields.insert(
                    "system".into(),
                    json!({
                        "body": "User changed their user id", "type": "user_changed_user_id",
                        "user_id": new_user_id, "previous_user_id": before,
                    }),
                );
            }
        }
        CustomerKind::IdentityChanged { hash } => {
            if let Some(person) = book.people.get_mut(person) {
                person.identity_hash = Some(hash.clone());
                parts.fields.insert(
                    "system".into(),
                    json!({
                        "body": "User identity changed", "type": "customer_identity_changed", "wa_id": person.wa_id,
                    }),
                );
                parts.fields.insert(
                    "identity".into(),
                    json!({"acknowledged": true, "created_timestamp": (now / 1_000).to_string(), "hash": hash}),
                );
            }
        }
        CustomerKind::Preference { value } => {
            if let Some(person) = book.people.get_mut(person) {
                person.stopped_marketing = value == "stop";
            }
        }
        _ => {}
    }
}

#[expect(clippy::too_many_arguments, reason = "one call, all of it about one message")]
fn render(
    book: &Book,
    message: &CustomerMessage,
    person: usize,
    sender_before: Option<String>,
    id: &str,
    inbound: usize,
    now: i64,
    parts: Parts,
    line: &Line,
) -> What {
    let Some(sender) = book.people.get(person) else {
        return What::Change { field: "messages".into(), value: Arc::from("{}"), timed: None, inbound: Some(inbound) };
    };
    let contact = String::from_utf8(envelope::contact(sender, message.hide_phone, true)).unwrap_or_default();
    if let CustomerKind::Preference { value } = &message.message {
        let contact: Value = serde_json::from_str(&contact).unwrap_or(Value::Null);
        let value = json!({
            "messaging_product": "whatsapp",
            "metadata": {"display_phone_number": line.own_wa_id, "phone_number_id": line.id},
            "contacts": [contact],
            "user_preferences": [{
                "wa_id": sender.wa_id, "user_id": sender.user_id, "detail": format!("User requested to {value} marketing messages"),
                "category": "marketing_messages", "value": value, "timestamp": now / 1_000,
            }],
        });
        return What::Change {
            field: "user_preferences".into(),
            value: Arc::from(value.to_string()),
            timed: None,
            inbound: Some(inbound),
        };
    }
    let new_user_id = matches!(message.message, CustomerKind::ChangedUserId { .. });
    let mut out = Map::new();
    if let Some(wa_id) = sender_before.filter(|_| !message.hide_phone && !new_user_id) {
        out.insert("from".into(), wa_id.into());
    }
    out.insert("from_user_id".into(), sender.user_id.as_str().into());
    if let Some(parent) = &sender.parent_user_id {
        out.insert("from_parent_user_id".into(), parent.as_str().into());
    }
    out.insert("id".into(), id.into());
    out.insert("timestamp".into(), (now / 1_000).to_string().into());
    out.insert("type".into(), parts.kind.into());
    if let Some(context) = context(message, line) {
        out.insert("context".into(), context);
    }
    match &message.referral {
        None | Some(Value::Null | Value::Bool(false)) => {}
        Some(Value::Bool(true)) => drop(out.insert("referral".into(), advert(inbound))),
        Some(referral) => drop(out.insert("referral".into(), referral.clone())),
    }
    out.extend(parts.fields);
    What::Message {
        inbound,
        person: Some(person),
        contact: parts.contact.then(|| Arc::from(contact)),
        message: Arc::from(Value::Object(out).to_string()),
        errors: parts.outer_error.map(|error| Arc::from(error.to_string())),
    }
}

fn context(message: &CustomerMessage, line: &Line) -> Option<Value> {
    if message.frequently_forwarded {
        return Some(json!({"frequently_forwarded": true}));
    }
    if message.forwarded {
        return Some(json!({"forwarded": true}));
    }
    message.reply_to.as_ref().map(|id| json!({"from": line.own_wa_id, "id": id}))
}

fn advert(serial: usize) -> Value {
    json!({
        "source_url": "https://fb.me/3cr4Wqqkv", "source_id": format!("{}", 120_226_305_854_810_000_u64 + serial as u64),
        "source_type": "ad", "headline": "Chat with us", "body": "Summer plants are here!", "media_type": "image",
        "image_url": "https://scontent.xx.fbcdn.net/v/t45.1/plants.jpg", "ctwa_clid": format!("Aff-n8ZTODiE79d22KtAwQKj9e_{serial}"),
        "welcome_message": {"text": "Hi there! Let us know how we can help!"},
    })
}

/// The type object and its neighbours.
fn parts(world: &World, kind: &CustomerKind) -> Parts {
    let plain = |kind: &str, object: Value| Parts {
        kind: kind.into(),
        fields: Map::from_iter([(kind.to_owned(), object)]),
        outer_error: None,
        contact: true,
        opens: true,
    };
    let bare = |kind: &str, contact: bool, opens: bool| Parts {
        kind: kind.into(),
        fields: Map::new(),
        outer_error: None,
        contact,
        opens,
    };
    let file = |kind: &str, more: &[(&str, Value)]| {
        let mut object = media::from_customer(world, kind);
        for (key, value) in more {
            if !value.is_null() {
                put(&mut object, key, value.clone());
            }
        }
        plain(kind, object)
    };
    let some = |text: &Option<String>| text.clone().map_or(Value::Null, Value::String);
    let without_nulls = |mut value: Value| {
        if let Some(object) = value.as_object_mut() {
            object.retain(|_, value| !value.is_null());
        }
        value
    };
    match kind {
        CustomerKind::Text { body } => plain("text", json!({"body": body})),
        CustomerKind::Image { caption } => file("image", &[("caption", some(caption))]),
        CustomerKind::Video { caption } => file("video", &[("caption", some(caption))]),
        CustomerKind::Audio { voice } => file("audio", &[("voice", json!(voice))]),
        CustomerKind::Sticker { animated } => file("sticker", &[("animated", json!(animated))]),
        CustomerKind::Document { filename, caption } => {
            file("document", &[("filename", json!(filename)), ("caption", some(caption))])
        }
        CustomerKind::Location { latitude, longitude, name, address } => plain(
            "location",
            without_nulls(json!({"latitude": latitude, "longitude": longitude, "name": name, "address": address})),
        ),
        CustomerKind::Contacts { contacts } => plain("contacts", contacts.clone()),
        CustomerKind::SharedContact { phone } => plain(
            "contacts",
            json!([{
                "name": {"formatted_name": "Me", "first_name": "Me"}, "origin": "contact_request",
                "phones": [{"phone": format!("+{phone}"), "type": "CELL", "wa_id": phone}],
            }]),
        ),
        CustomerKind::ButtonReply { id, title } => {
            plain("interactive", json!({"type": "button_reply", "button_reply": {"id": id, "title": title}}))
        }
        CustomerKind::ListReply { id, title, description } => plain(
            "interactive",
            json!({
                "type": "list_reply", "list_reply": without_nulls(json!({"id": id, "title": title, "description": description})),
            }),
        ),
        CustomerKind::NfmReply { response_json, name, body } => plain(
            "interactive",
            json!({
                "type": "nfm_reply",
                "nfm_reply": {"name": name.as_deref().unwrap_or("flow"), "body": body.as_deref().unwrap_or("Sent"), "response_json": response_json},
            }),
        ),
        CustomerKind::CallPermissionReply { accept } => plain(
            "interactive",
            json!({
                "type": "call_permission_reply",
                "call_permission_reply": {"response": if *accept { "accept" } else { "reject" }, "response_source": "user_action"},
            }),
        ),
        CustomerKind::InteractiveBroken => {
            Parts { outer_error: Some(webhook_error(131_000, "")), ..bare("interactive", true, true) }
        }
        CustomerKind::Button { payload, text } => plain("button", json!({"payload": payload, "text": text})),
        CustomerKind::Order { catalog_id, text, product_items } => plain(
            "order",
            json!({
                "catalog_id": catalog_id, "text": text.as_deref().unwrap_or(""), "product_items": product_items,
            }),
        ),
        CustomerKind::Reaction { message_id, emoji } => Parts {
            opens: false,
            ..plain("reaction", without_nulls(json!({"message_id": message_id, "emoji": emoji})))
        },
        CustomerKind::ChangedNumber { .. }
        | CustomerKind::ChangedUserId { .. }
        | CustomerKind::IdentityChanged { .. } => bare("system", false, false),
        CustomerKind::Unsupported { of } => {
            let mut parts = plain("unsupported", json!({"type": of}));
            parts
                .fields
                .insert("errors".into(), json!([webhook_error(131_051, "Message type is currently not supported.")]));
            parts.opens = false;
            parts
        }
        CustomerKind::Edit { original_message_id, body } => plain(
            "edit",
            json!({
                "original_message_id": original_message_id, "message": {"type": "text", "text": {"body": body}},
            }),
        ),
        CustomerKind::Revoke { original_message_id } => {
            plain("revoke", json!({"original_message_id": original_message_id}))
        }
        CustomerKind::TooBig { kind } => {
            let mut parts = bare(kind, true, true);
            parts.fields.insert("errors".into(), json!([webhook_error(131_052, "The file is larger than 100 MB.")]));
            parts
        }
        CustomerKind::Preference { .. } => bare("user_preferences", false, false),
        CustomerKind::Raw { message } => {
            let fields = message.as_object().cloned().unwrap_or_default();
            let kind = fields.get("type").and_then(Value::as_str).unwrap_or("unknown").to_owned();
            Parts { kind, fields, outer_error: None, contact: true, opens: true }
        }
    }
}
