//! Reads the body of a send as the Cloud API takes it. Facts: whatsapp-api 3.5, 5.1, 5.2, 5.4. As Meta does, what isn't known is
//! passed over. `biz_opaque_callback_data` is Ponte's own on the way to WhatsApp and isn't passed on.
//! Must not touch: limits of contents; the gate checks them for everybody.

use super::error::GraphError;
use ponte_domain::ids::NumberId;
use ponte_domain::message::Origin;
use ponte_domain::outbound::{MediaOut, Outbound};
use ponte_engine::gate::{SendRequest, To};
use serde_json::{Map, Value};
use std::borrow::Cow;

/// What is asked for, and the recipient as the caller wrote it.
pub(super) struct Asked {
    pub(super) request: SendRequest,
    pub(super) input: Option<String>,
}

pub(super) fn request(body: &Value, number: NumberId, key: Option<String>) -> Result<Asked, GraphError> {
    let Value::Object(body) = body else { return Err(GraphError::parameter("the body must be a JSON object")) };
    if text(body, "messaging_product") != Some("whatsapp") {
        return Err(GraphError::parameter("The parameter messaging_product is required."));
    }
    // A check that the caller asked for: passed over, a message could reach whoever has the number now (facts 5.9).
    if body.get("recipient_identity_key_hash").is_some_and(|hash| !hash.is_null()) {
        let what = "Param recipient_identity_key_hash: the check of a recipient's identity is not taken here";
        return Err(GraphError::parameter(what));
    }
    let message = match text(body, "status") {
        Some("read") => Outbound::Read {
            message_id: needed(body, "message_id")?.into(),
            typing: body.get("typing_indicator").is_some_and(Value::is_object),
        },
        Some(other) => return Err(GraphError::parameter(&format!("Param status must be read, not {other}"))),
        None => content(body)?,
    };
    let to = if message.is_receipt() { None } else { Some(recipient(body)?) };
    // Told back as it was written.
    let input = to.as_ref().and_then(|_| text(body, "to").or_else(|| text(body, "recipient"))).map(str::to_owned);
    let reply_to = match body.get("context") {
        None | Some(Value::Null) => None,
        Some(context) => Some(
            unpacked(context)
                .get("message_id")
                .and_then(Value::as_str)
                .ok_or_else(|| GraphError::parameter("The parameter context['message_id'] is required."))?
                .to_owned(),
        ),
    };
    let request = SendRequest {
        number: Some(number),
        to,
        message,
        class: None,
        origin: Origin::Api,
        reply_to,
        not_before: None,
        idempotency_key: key,
    };
    Ok(Asked { request, input })
}

/// Given both, the phone number wins.
fn recipient(body: &Map<String, Value>) -> Result<To, GraphError> {
    match text(body, "recipient_type") {
        None | Some("individual") => {}
        Some(other) => {
            return Err(GraphError::parameter(&format!(
                "Param recipient_type: {other} is not taken here, only individual"
            )));
        }
    }
    let to = match body.get("to") {
        Some(Value::String(to)) if !to.trim().is_empty() => Some(to.trim().to_owned()),
        Some(Value::Number(to)) => Some(to.to_string()),
        _ => None,
    };
    // Meta takes a number with or without the plus sign.
    if let Some(to) = to {
        return Ok(To::Phone(if to.starts_with('+') { to } else { format!("+{to}") }));
    }
    match text(body, "recipient") {
        Some(user) if !user.trim().is_empty() => Ok(To::UserId(user.trim().to_owned())),
        _ => Err(GraphError::parameter("The parameter to is required.")),
    }
}

fn content(body: &Map<String, Value>) -> Result<Outbound, GraphError> {
    let kind = text(body, "type").unwrap_or("text");
    let part = body.get(kind).ok_or_else(|| GraphError::parameter(&format!("The parameter {kind} is required.")))?;
    let part = unpacked(part);
    let part = part.as_ref();
    let object = || part.as_object().ok_or_else(|| GraphError::parameter(&format!("Param {kind} must be an object")));
    Ok(match kind {
        "text" => {
            let object = object()?;
            let preview_url = object.get("preview_url").and_then(Value::as_bool).unwrap_or(false);
            Outbound::Text { body: needed(object, "body")?, preview_url }
        }
        "image" => Outbound::Image(media(object()?)),
        "video" => Outbound::Video(media(object()?)),
        "audio" => Outbound::Audio(media(object()?)),
        "document" => Outbound::Document(media(object()?)),
        "sticker" => Outbound::Sticker(media(object()?)),
        "location" => {
            let object = object()?;
            let degrees = |name: &str| {
                let value = object.get(name)?;
                value.as_f64().or_else(|| value.as_str()?.trim().parse().ok())
            };
            let need = |name: &str| {
                degrees(name)
                    .ok_or_else(|| GraphError::parameter(&format!("The parameter location['{name}'] is required.")))
            };
            Outbound::Location {
                latitude: need("latitude")?,
                longitude: need("longitude")?,
                name: text(object, "name").map(str::to_owned),
                address: text(object, "address").map(str::to_owned),
            }
        }
        "contacts" => {
            let cards = part.as_array().ok_or_else(|| GraphError::parameter("Param contacts must be an array"))?;
            Outbound::Contacts { contacts: cards.clone() }
        }
        "reaction" => {
            let object = object()?;
            let emoji = text(object, "emoji").unwrap_or_default().to_owned();
            Outbound::Reaction { message_id: needed(object, "message_id")?.into(), emoji }
        }
        "interactive" => Outbound::Interactive { interactive: Value::Object(object()?.clone()) },
        "template" => Outbound::Template { template: Value::Object(object()?.clone()) },
        other => return Err(GraphError::parameter(&format!("Param type: {other} is no type of message"))),
    })
}

/// Meta takes a JSON text where an object or an array belongs, and some clients send their parts so.
fn unpacked(part: &Value) -> Cow<'_, Value> {
    let text = part.as_str().and_then(|text| serde_json::from_str(text).ok());
    text.map_or(Cow::Borrowed(part), Cow::Owned)
}

fn media(object: &Map<String, Value>) -> MediaOut {
    let word = |name: &str| match object.get(name) {
        Some(Value::String(text)) if !text.is_empty() => Some(text.clone()),
        Some(Value::Number(id)) => Some(id.to_string()),
        _ => None,
    };
    MediaOut {
        id: word("id"),
        link: word("link"),
        caption: word("caption"),
        filename: word("filename"),
        voice: object.get("voice").and_then(Value::as_bool).unwrap_or(false),
    }
}

fn text<'a>(object: &'a Map<String, Value>, name: &str) -> Option<&'a str> {
    object.get(name).and_then(Value::as_str)
}

fn needed(object: &Map<String, Value>, name: &str) -> Result<String, GraphError> {
    let value = text(object, name).filter(|v| !v.is_empty());
    value.map(str::to_owned).ok_or_else(|| GraphError::parameter(&format!("The parameter {name} is required.")))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use serde_json::json;

    fn read(more: Value) -> Result<Asked, String> {
        let mut body = json!({ "messaging_product": "whatsapp", "to": "16505551234" });
        body.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        request(&body, "1".into(), None).map_err(|e| e.message().to_owned())
    }

    #[test]
    fn every_kind_is_read_as_meta_writes_it() {
        for (more, kind) in [
            (json!({"text": {"body": "hi"}}), "text"),
            (json!({"type": "image", "image": {"id": 123}}), "image"),
            (
                json!({"type": "document", "document": {"link": "https://a.example/b.pdf", "filename": "b.pdf"}}),
                "document",
            ),
            (json!({"type": "location", "location": {"latitude": "-1.5", "longitude": 2}}), "location"),
            (json!({"type": "contacts", "contacts": [{"name": {"formatted_name": "A"}}]}), "contacts"),
            (json!({"type": "contacts", "contacts": "[{\"name\": {\"formatted_name\": \"A\"}}]"}), "contacts"),
            (json!({"type": "reaction", "reaction": {"message_id": "wamid.1", "emoji": ""}}), "reaction"),
            (json!({"type": "interactive", "interactive": {"type": "button"}}), "interactive"),
            (json!({"type": "template", "template": {"name": "a", "language": {"code": "en"}}}), "template"),
            (json!({"status": "read", "message_id": "wamid.1", "typing_indicator": {"type": "text"}}), "read"),
        ] {
            let asked = read(more.clone()).unwrap_or_else(|e| panic!("{more}: {e}"));
            assert_eq!(asked.request.message.kind(), kind);
        }
    }

    #[test]
    fn recipients_are_numbers_with_or_without_plus_or_user_ids() {
        let to = |more: Value| read(more).map(|a| a.request.to.unwrap());
        let hi = json!({"body": "hi"});
        let phone = |text: &str| Ok(To::Phone(text.into()));
        assert_eq!(to(json!({"text": hi})), phone("+16505551234"));
        assert_eq!(to(json!({"text": hi, "to": "+49 151 1"})), phone("+49 151 1"));
        assert_eq!(to(json!({"text": hi, "to": null, "recipient": "US.13"})), Ok(To::UserId("US.13".into())));
        assert_eq!(to(json!({"text": hi, "recipient": "US.13"})), phone("+16505551234"), "the number wins");
        assert!(to(json!({"text": hi, "to": null})).unwrap_err().contains("to is required"));
        assert!(to(json!({"text": hi, "recipient_type": "group"})).unwrap_err().contains("group"));
    }

    #[test]
    fn what_is_missing_is_named() {
        for (more, part) in [
            (json!({"messaging_product": "sms"}), "messaging_product"),
            (json!({"type": "image"}), "image is required"),
            (json!({"text": {"body": ""}}), "body is required"),
            (json!({"type": "fax", "fax": {}}), "fax"),
            (json!({"text": {"body": "a"}, "recipient_identity_key_hash": "DF2l"}), "identity"),
            (json!({"status": "delivered"}), "delivered"),
            (json!({"status": "read"}), "message_id is required"),
            (json!({"type": "location", "location": {"latitude": 1}}), "longitude"),
            (json!({"text": {"body": "a"}, "context": {}}), "message_id"),
        ] {
            let error = read(more.clone()).err().unwrap_or_else(|| panic!("{more} was taken"));
            assert!(error.contains(part), "{more}: {error}");
        }
    }

    proptest! {
        #[test]
        fn nothing_panics(kind in "[a-z]{0,12}", word in ".{0,20}", n in any::<i64>()) {
            let _ = read(json!({"type": kind, kind.clone(): {word.clone(): n}, "context": word, "to": n}));
        }
    }
}
