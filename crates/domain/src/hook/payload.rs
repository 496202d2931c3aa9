//! What is pushed to subscribers: `{"type","id","timestamp","data"}`, the shape of the Standard Webhooks specification. It is a
//! promise to others: fields are only added. Times in it are RFC 3339 in UTC.
//! Must not touch: how things are kept. Message and person are shown as they are when the event is pushed, for a row of an event
//! holds no text, name or number, and who was erased is gone from what is pushed too.

use super::Direction;
use crate::Millis;
use crate::event::Event;
use crate::identity::IdentityKind;
use crate::ids::EventId;
use crate::message::Origin;
use crate::people::PersonCard;
use crate::ports::store::MessageView;
use serde_json::{Map, Value, json};

/// A time as it is pushed: RFC 3339, UTC, milliseconds.
#[must_use]
pub fn time(at: Millis) -> String {
    jiff::Timestamp::from_millisecond(at).map_or_else(|_| at.to_string(), |t| format!("{t:.3}"))
}

/// Reads a time in RFC 3339.
#[must_use]
pub fn read_time(text: &str) -> Option<Millis> {
    text.parse::<jiff::Timestamp>().ok().map(jiff::Timestamp::as_millisecond)
}

/// What is pushed for an event, as one JSON value.
#[must_use]
pub fn value(event: &Event, message: Option<&MessageView>, person: Option<&PersonCard>) -> Value {
    let id = EventId::of(event.at, event.cursor.seq);
    let change: Value = serde_json::from_str(event.data.get()).unwrap_or_else(|_| json!({}));
    envelope(id, &event.kind, event.at, data(event, message, person, change))
}

/// The envelope around what is told.
pub(super) fn envelope(id: EventId, kind: &str, at: Millis, data: Value) -> Value {
    json!({ "type": kind, "id": id, "timestamp": time(at), "data": data })
}

fn data(event: &Event, message: Option<&MessageView>, person: Option<&PersonCard>, change: Value) -> Value {
    json!({
        "person_id": person.map(|p| p.id).or(event.person),
        "conversation_id": event.conversation.or(message.map(|m| m.conversation_id)),
        "message_id": event.message,
        "number_id": event.number.as_ref().or(message.map(|m| &m.number_id)),
        "message": message.map(message_value),
        "person": person.map(person_value),
        "change": change,
    })
}

/// A message as it is pushed.
fn message_value(m: &MessageView) -> Value {
    let direction = match m.origin {
        Origin::Customer => Direction::Inbound,
        _ => Direction::Outbound,
    };
    let stamps = &m.stamps;
    let times: Map<String, Value> = [
        ("accepted", stamps.accepted),
        ("sent", stamps.sent),
        ("delivered", stamps.delivered),
        ("read", stamps.read),
        ("played", stamps.played),
        ("failed", stamps.failed),
    ]
    .into_iter()
    .filter_map(|(name, at)| at.map(|at| (name.to_owned(), json!(time(at)))))
    .collect();
    json!({
        "id": m.id,
        "direction": direction,
        "origin": m.origin,
        "kind": m.kind,
        "text": m.text,
        "state": m.state,
        "at": time(m.at),
        "wamid": m.wamid,
        "reply_to": m.reply_to,
        "class": m.class,
        "times": times,
        "edited_at": m.edited_at.map(time),
        "withdrawn_at": m.withdrawn_at.map(time),
        "error": m.error.as_ref().map(|(code, title)| json!({ "code": code, "title": title })),
        "media": m.media_key.as_ref().map(|_| {
            json!({ "type": m.media_type, "path": format!("/api/v1/messages/{}/media", m.id) })
        }),
        "content": serde_json::from_str::<Value>(m.content.get()).unwrap_or(Value::Null),
    })
}

/// A person as they are pushed.
fn person_value(p: &PersonCard) -> Value {
    let first = |kind: IdentityKind| p.identities.iter().find(|i| i.kind == kind).map(|i| i.value.as_str());
    let phone = first(IdentityKind::Phone).or(first(IdentityKind::WaId)).map(|digits| format!("+{digits}"));
    let fields: Map<String, Value> =
        p.profile.fields.iter().map(|(key, field)| (key.clone(), json!(field.value))).collect();
    json!({
        "id": p.id,
        "name": p.name(),
        "whatsapp_name": p.whatsapp_name,
        "phone": phone,
        "wa_id": first(IdentityKind::WaId),
        "user_id": first(IdentityKind::UserId),
        "fields": fields,
        "tags": p.profile.tags,
        "labels": p.profile.labels,
        "merged_into": p.merged_into,
    })
}
