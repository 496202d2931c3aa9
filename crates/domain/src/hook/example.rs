//! Well-made examples of what is pushed: for somebody who sets up an integration before anything happened, and for test
//! deliveries. The people and messages in them don't exist.

use super::payload;
use crate::Millis;
use crate::event::{Event, EventCursor, EventKind};
use crate::identity::{Identity, IdentityKind};
use crate::ids::{ConversationId, EventId, MessageId, PersonId};
use crate::job::Class;
use crate::message::{Origin, Phase, shown_state};
use crate::people::PersonCard;
use crate::ports::store::MessageView;
use crate::profile::{Field, Profile};
use crate::status::Stamps;
use serde_json::value::RawValue;
use serde_json::{Value, json};
use uuid::Uuid;

/// When the examples take place: 2026-01-05T09:30:00Z.
const AT: Millis = 1_767_605_400_000;

/// Up to `n` examples of a kind, newest first, each with an id of its own.
#[must_use]
pub fn examples(kind: EventKind, n: usize) -> Vec<Value> {
    (0..n.min(10)).map(|i| one(kind, i)).collect()
}

/// An example under an id of its own, marked as a test.
#[must_use]
pub fn test(kind: EventKind, id: EventId, now: Millis) -> Value {
    let mut value = one(kind, 0);
    if let Some(map) = value.as_object_mut() {
        map.insert("id".to_owned(), json!(id));
        map.insert("timestamp".to_owned(), json!(payload::time(now)));
        map.insert("test".to_owned(), json!(true));
    }
    value
}

const PEOPLE: [(&str, &str, &str); 3] = [
    ("Ana Souza", "5511987654321", "pt-BR"),
    ("Kai Lin", "886912345678", "zh-TW"),
    ("Mia Braun", "4915112345678", "de"),
];
const INBOUND: [&str; 3] = ["Do you have these in size 38?", "Is my order on its way?", "Thank you!"];
const OUTBOUND: [&str; 3] = ["Yes, in black and in red.", "It arrives tomorrow.", "Your order 1042 is ready."];

fn one(kind: EventKind, i: usize) -> Value {
    let place = i128::try_from(i).unwrap_or(0).unsigned_abs();
    let at = AT - i64::try_from(i).unwrap_or(0) * crate::MINUTE;
    let about_message = kind.as_str().starts_with("message.") || kind == EventKind::MediaStored;
    let about_person = about_message || kind.as_str().starts_with("person.") || kind.as_str().starts_with("consent.");
    let inbound = super::direction(kind) != Some(super::Direction::Outbound);
    let person = about_person.then(|| person(i, place, at));
    let message = about_message.then(|| message(kind, i, place, at, inbound));
    let event = Event {
        cursor: EventCursor { tx: 0, seq: number(kind) + i64::try_from(i).unwrap_or(0) },
        kind: kind.as_str().to_owned(),
        at,
        person: person.as_ref().map(|p| p.id),
        conversation: message.as_ref().map(|m| m.conversation_id),
        message: message.as_ref().map(|m| m.id),
        number: about_message.then(|| "106540352242922".into()),
        data: raw(&change(kind, at)),
    };
    payload::value(&event, message.as_ref(), person.as_ref())
}

/// Where the examples of a kind stand: no two kinds share an id.
fn number(kind: EventKind) -> i64 {
    let place = EventKind::ALL.iter().position(|k| *k == kind).and_then(|at| i64::try_from(at).ok());
    place.unwrap_or(0) * 10 + 1
}

/// Written from a value, so it is JSON.
fn raw(value: &Value) -> Box<RawValue> {
    serde_json::value::to_raw_value(value).unwrap_or_else(|_| RawValue::NULL.to_owned())
}

fn id(place: u128, of: u128) -> Uuid {
    Uuid::from_u128(0x019b_8d3a_0000_7000_8000_0000_0000_0000 + (place << 8) + of)
}

fn person(i: usize, place: u128, at: Millis) -> PersonCard {
    let (name, digits, language) = PEOPLE.get(i % PEOPLE.len()).copied().unwrap_or_default();
    let field = |value: &str| Field { value: value.to_owned(), at, source: "import:customers".to_owned() };
    let of = |kind, value: &str| Identity { kind, scope: String::new(), value: value.to_owned() };
    PersonCard {
        id: PersonId(id(place, 1)),
        whatsapp_name: name.split(' ').next().map(str::to_owned),
        profile: Profile {
            fields: [("name", name), ("language", language)].map(|(key, value)| (key.to_owned(), field(value))).into(),
            tags: ["newsletter".to_owned()].into(),
            ..Profile::default()
        },
        identities: vec![of(IdentityKind::Phone, digits), of(IdentityKind::WaId, digits)],
        created_at: at,
        changed_at: at,
        merged_into: None,
    }
}

fn message(kind: EventKind, i: usize, place: u128, at: Millis, inbound: bool) -> MessageView {
    let texts = if inbound { INBOUND } else { OUTBOUND };
    let text = texts.get(i % texts.len()).copied().unwrap_or_default();
    let picture = kind == EventKind::MediaStored;
    let phase = match kind {
        _ if inbound => Phase::Received,
        EventKind::MessageQueued | EventKind::MessageRetrying => Phase::Queued,
        EventKind::MessageRefused => Phase::Refused,
        EventKind::MessageUnknown => Phase::Unknown,
        EventKind::MessageDead => Phase::Dead,
        _ => Phase::Accepted,
    };
    let went = phase == Phase::Accepted;
    let stamps = Stamps {
        accepted: went.then_some(at),
        sent: went.then_some(at + 400),
        delivered: (kind == EventKind::MessageStatus).then_some(at + 1_200),
        ..Stamps::default()
    };
    let content = if picture {
        json!({ "type": "image", "image": { "mime_type": "image/jpeg", "caption": text } })
    } else if inbound {
        json!({ "type": "text", "text": { "body": text } })
    } else {
        json!({ "type": "text", "body": text })
    };
    MessageView {
        id: MessageId(id(place, 2)),
        conversation_id: ConversationId(id(place, 3)),
        person_id: PersonId(id(place, 1)),
        number_id: "106540352242922".into(),
        wamid: (inbound || went).then(|| format!("wamid.EXAMPLE{place:04}")),
        origin: if inbound { Origin::Customer } else { Origin::Api },
        kind: if picture { "image" } else { "text" }.to_owned(),
        text: Some(text.to_owned()),
        content: raw(&content),
        state: shown_state(phase, &stamps),
        phase,
        stamps,
        class: (!inbound).then_some(Class::Reply),
        reply_to: None,
        at,
        edited_at: (kind == EventKind::MessageEdited).then_some(at),
        withdrawn_at: (kind == EventKind::MessageWithdrawn).then_some(at),
        error: (kind == EventKind::MessageDead).then(|| ("131026".to_owned(), "Message undeliverable".to_owned())),
        media_key: picture.then(|| "0".repeat(64)),
        media_type: picture.then(|| "image/jpeg".to_owned()),
    }
}

fn change(kind: EventKind, at: Millis) -> Value {
    match kind {
        EventKind::MessageReceived => json!({ "kind": "text", "group": false }),
        EventKind::MessageStatus => json!({ "status": "delivered", "at": at + 1_200, "code": null }),
        EventKind::MessageRefused => json!({ "rule": "window_closed" }),
        EventKind::MessageDead | EventKind::MessageRetrying => {
            json!({ "code": "131026", "title": "Message undeliverable" })
        }
        EventKind::PersonChanged => json!({ "by": "api:shop", "changed": ["field:language"] }),
        EventKind::ConsentChanged => {
            json!({ "scope": "marketing", "action": "confirmed", "source": "button" })
        }
        EventKind::PreferenceChanged => json!({ "category": "marketing_messages", "value": "stop", "at": at }),
        EventKind::MediaStored => json!({ "bytes": 48_211, "mime_type": "image/jpeg" }),
        EventKind::TemplateChanged => {
            json!({ "name": "order_ready", "language": "en", "status": "APPROVED", "status_before": "PENDING" })
        }
        EventKind::NumberChanged => json!({ "quality": "YELLOW", "quality_before": "GREEN" }),
        _ => json!({}),
    }
}
