//! From an outbound message to the JSON of `POST /{number}/messages`. Facts: whatsapp-api 3.5 and 5.1 to 5.5.
//! May touch: values. Must not touch: the message's meaning; only what Meta refuses in template parameters is cleaned.
//! Failure story: none. What can't be written is refused before anything is sent.

use ponte_domain::error::{CallError, ErrorClass};
use ponte_domain::identity::{IdShape, shape_of};
use ponte_domain::outbound::{MediaOut, Outbound};
use ponte_domain::ports::channel::Address;
use serde_json::{Map, Value, json};

/// Most characters that `biz_opaque_callback_data` takes (facts 5.1).
pub const OPAQUE_MAX: usize = 512;

/// Why no request can be made of it. Nothing was sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum RequestError {
    /// Neither international digits nor a user id. A user id in `to` would be stripped of its letters by Meta.
    #[error("the recipient is neither a phone number in digits nor a user id")]
    Recipient,
    /// What travels along is longer than [`OPAQUE_MAX`].
    #[error("the data sent along is longer than {OPAQUE_MAX} characters")]
    Opaque,
}

impl From<RequestError> for CallError {
    fn from(error: RequestError) -> Self {
        let code = match error {
            RequestError::Recipient => "recipient_invalid",
            RequestError::Opaque => "opaque_too_long",
        };
        Self::new(ErrorClass::Permanent, code, error.to_string())
    }
}

/// The body for one message or receipt. `reply_to` quotes a message; reactions can't quote. `opaque` comes back in every
/// status of the message; empty: nothing travels along.
///
/// # Errors
/// See [`RequestError`].
pub fn body(to: &Address, message: &Outbound, reply_to: Option<&str>, opaque: &str) -> Result<Value, RequestError> {
    let mut body = Map::new();
    body.insert("messaging_product".into(), "whatsapp".into());
    if let Outbound::Read { message_id, typing } = message {
        body.insert("status".into(), "read".into());
        body.insert("message_id".into(), message_id.as_str().into());
        if *typing {
            body.insert("typing_indicator".into(), json!({"type": "text"}));
        }
        return Ok(Value::Object(body));
    }
    if opaque.chars().count() > OPAQUE_MAX {
        return Err(RequestError::Opaque);
    }
    body.insert("recipient_type".into(), "individual".into());
    let (key, value) = recipient(to)?;
    body.insert(key.into(), value.into());
    if let Some(wamid) = reply_to.filter(|id| !id.is_empty() && !matches!(message, Outbound::Reaction { .. })) {
        body.insert("context".into(), json!({"message_id": wamid}));
    }
    if !opaque.is_empty() {
        body.insert("biz_opaque_callback_data".into(), opaque.into());
    }
    body.insert("type".into(), message.kind().into());
    body.insert(message.kind().into(), content(message));
    Ok(Value::Object(body))
}

/// Phones go to `to` with `+`, or Meta puts the business's own country code in front. User ids go to `recipient`.
fn recipient(to: &Address) -> Result<(&'static str, String), RequestError> {
    match to {
        Address::Phone(digits) => {
            let digits = digits.strip_prefix('+').unwrap_or(digits);
            if shape_of(digits) != IdShape::Digits {
                return Err(RequestError::Recipient);
            }
            Ok(("to", format!("+{digits}")))
        }
        Address::UserId(id) => {
            let odd = id.is_empty() || id.chars().any(|c| c.is_whitespace() || c.is_control());
            if odd || shape_of(id) == IdShape::Digits {
                return Err(RequestError::Recipient);
            }
            Ok(("recipient", id.clone()))
        }
    }
}

fn content(message: &Outbound) -> Value {
    match message {
        Outbound::Text { body, preview_url } => {
            let mut text = Map::new();
            text.insert("body".into(), body.as_str().into());
            if *preview_url {
                text.insert("preview_url".into(), true.into());
            }
            Value::Object(text)
        }
        Outbound::Image(m) | Outbound::Video(m) | Outbound::Audio(m) | Outbound::Document(m) | Outbound::Sticker(m) => {
            media(m)
        }
        Outbound::Location { latitude, longitude, name, address } => {
            let mut place = Map::new();
            place.insert("latitude".into(), json!(latitude));
            place.insert("longitude".into(), json!(longitude));
            set(&mut place, "name", name.as_deref());
            set(&mut place, "address", address.as_deref());
            Value::Object(place)
        }
        Outbound::Contacts { contacts } => Value::Array(contacts.clone()),
        Outbound::Reaction { message_id, emoji } => json!({"message_id": message_id.as_str(), "emoji": emoji}),
        Outbound::Interactive { interactive } => interactive.clone(),
        Outbound::Template { template } => {
            let mut template = template.clone();
            if let Some(components) = template.get_mut("components") {
                clean_components(components);
            }
            template
        }
        Outbound::Read { .. } => Value::Null,
    }
}

fn media(file: &MediaOut) -> Value {
    let mut object = Map::new();
    set(&mut object, "id", file.id.as_deref());
    set(&mut object, "link", file.link.as_deref());
    set(&mut object, "caption", file.caption.as_deref());
    set(&mut object, "filename", file.filename.as_deref());
    if file.voice {
        object.insert("voice".into(), true.into());
    }
    Value::Object(object)
}

fn set(object: &mut Map<String, Value>, key: &str, text: Option<&str>) {
    if let Some(text) = text.filter(|text| !text.is_empty()) {
        object.insert(key.into(), text.into());
    }
}

/// Cleans the text parameters of all components, those of carousel cards included.
fn clean_components(components: &mut Value) {
    for component in components.as_array_mut().into_iter().flatten() {
        for parameter in component.get_mut("parameters").and_then(Value::as_array_mut).into_iter().flatten() {
            if parameter.get("type").and_then(Value::as_str) != Some("text") {
                continue;
            }
            if let Some(Value::String(text)) = parameter.get_mut("text") {
                *text = clean(text);
            }
        }
        for card in component.get_mut("cards").and_then(Value::as_array_mut).into_iter().flatten() {
            if let Some(components) = card.get_mut("components") {
                clean_components(components);
            }
        }
    }
}

/// Meta refuses line breaks, tabs and more than four spaces in a row in a parameter: breaks and tabs become one space each,
/// runs of more than four spaces one space.
#[must_use]
pub fn clean(text: &str) -> String {
    let mut cleaned = String::with_capacity(text.len());
    let mut spaces = 0usize;
    for c in text.replace("\r\n", "\n").chars() {
        match c {
            ' ' | '\n' | '\r' | '\t' | '\u{b}' | '\u{c}' | '\u{85}' | '\u{2028}' | '\u{2029}' => spaces += 1,
            c => {
                pad(&mut cleaned, spaces);
                spaces = 0;
                cleaned.push(c);
            }
        }
    }
    pad(&mut cleaned, spaces);
    cleaned
}

fn pad(text: &mut String, spaces: usize) {
    let spaces = if spaces > 4 { 1 } else { spaces };
    text.extend(std::iter::repeat_n(' ', spaces));
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn phone() -> Address {
        Address::Phone("16505551234".into())
    }

    fn out(message: Value) -> Outbound {
        serde_json::from_value(message).expect("an outbound message")
    }

    #[test]
    fn every_kind_has_metas_shape() {
        let sent = |message: Value| body(&phone(), &out(message), None, "msg_1").expect("a body");
        for (message, kind, expected) in [
            (json!({"type":"text","body":"hi"}), "text", json!({"body":"hi"})),
            (json!({"type":"text","body":"hi","preview_url":true}), "text", json!({"body":"hi","preview_url":true})),
            (json!({"type":"image","id":"9","caption":"c"}), "image", json!({"id":"9","caption":"c"})),
            (json!({"type":"video","link":"https://a.test/v"}), "video", json!({"link":"https://a.test/v"})),
            (json!({"type":"audio","id":"9","voice":true}), "audio", json!({"id":"9","voice":true})),
            (json!({"type":"document","id":"9","filename":"a.pdf"}), "document", json!({"id":"9","filename":"a.pdf"})),
            (json!({"type":"sticker","id":"9"}), "sticker", json!({"id":"9"})),
            (
                json!({"type":"location","latitude":1.5,"longitude":-2.0,"name":"n"}),
                "location",
                json!({"latitude":1.5,"longitude":-2.0,"name":"n"}),
            ),
            (
                json!({"type":"contacts","contacts":[{"name":{"formatted_name":"A"}}]}),
                "contacts",
                json!([{"name":{"formatted_name":"A"}}]),
            ),
            (
                json!({"type":"reaction","message_id":"wamid.1","emoji":""}),
                "reaction",
                json!({"message_id":"wamid.1","emoji":""}),
            ),
            (
                json!({"type":"interactive","interactive":{"type":"request_contact_info"}}),
                "interactive",
                json!({"type":"request_contact_info"}),
            ),
        ] {
            let body = sent(message);
            assert_eq!(body["type"], kind);
            assert_eq!(body[kind], expected);
            assert_eq!(body["messaging_product"], "whatsapp");
            assert_eq!(body["recipient_type"], "individual");
            assert_eq!(body["to"], "+16505551234");
            assert_eq!(body["biz_opaque_callback_data"], "msg_1");
            assert!(body.get("recipient").is_none() && body.get("context").is_none());
        }
    }

    #[test]
    fn receipts_have_a_shape_of_their_own() {
        let read =
            |typing| body(&phone(), &Outbound::Read { message_id: "wamid.1".into_wamid(), typing }, Some("x"), "y");
        assert_eq!(read(false), Ok(json!({"messaging_product":"whatsapp","status":"read","message_id":"wamid.1"})));
        assert_eq!(
            read(true),
            Ok(json!({"messaging_product":"whatsapp","status":"read","message_id":"wamid.1",
                "typing_indicator":{"type":"text"}}))
        );
    }

    trait IntoWamid {
        fn into_wamid(self) -> ponte_domain::ids::Wamid;
    }
    impl IntoWamid for &str {
        fn into_wamid(self) -> ponte_domain::ids::Wamid {
            ponte_domain::ids::Wamid::from(self)
        }
    }

    #[test]
    fn user_ids_never_travel_in_to() {
        let text = out(json!({"type":"text","body":"x"}));
        for id in ["US.13491208655302741918", "US.ENT.11815799212886844830"] {
            let body = body(&Address::UserId(id.into()), &text, None, "m").expect("a body");
            assert_eq!(body["recipient"], id);
            assert!(body.get("to").is_none());
        }
        for bad in [
            Address::Phone("US.13491208655302741918".into()),
            Address::Phone(String::new()),
            Address::Phone("+1 650".into()),
            Address::UserId("16505551234".into()),
            Address::UserId(String::new()),
            Address::UserId("US.1 2".into()),
        ] {
            assert_eq!(body(&bad, &text, None, "m"), Err(RequestError::Recipient), "{bad:?}");
        }
        assert_eq!(
            body(&Address::Phone("+5511987654321".into()), &text, None, "m").expect("a body")["to"],
            "+5511987654321"
        );
    }

    #[test]
    fn quotes_and_what_travels_along() {
        let text = out(json!({"type":"text","body":"x"}));
        let reaction = out(json!({"type":"reaction","message_id":"wamid.1","emoji":"👍"}));
        let quoted = body(&phone(), &text, Some("wamid.7"), "").expect("a body");
        assert_eq!(quoted["context"], json!({"message_id":"wamid.7"}));
        assert!(quoted.get("biz_opaque_callback_data").is_none());
        assert!(body(&phone(), &reaction, Some("wamid.7"), "").expect("a body").get("context").is_none());
        assert!(body(&phone(), &text, None, &"é".repeat(512)).is_ok());
        assert_eq!(body(&phone(), &text, None, &"é".repeat(513)), Err(RequestError::Opaque));
    }

    #[test]
    fn template_parameters_are_cleaned_and_nothing_else() {
        let template = json!({"name":"t","language":{"code":"en"},"components":[
            {"type":"body","parameters":[{"type":"text","parameter_name":"a","text":"l1\nl2\t3      4"}]},
            {"type":"button","sub_type":"quick_reply","index":"0","parameters":[{"type":"payload","payload":"a\nb"}]},
            {"type":"carousel","cards":[{"card_index":0,"components":[
                {"type":"body","parameters":[{"type":"text","text":"a\r\nb"}]}]}]}]});
        let body = body(&phone(), &Outbound::Template { template }, None, "m").expect("a body");
        let at = |path| body.pointer(path).and_then(Value::as_str);
        assert_eq!(at("/template/components/0/parameters/0/text"), Some("l1 l2 3 4"));
        assert_eq!(at("/template/components/1/parameters/0/payload"), Some("a\nb"));
        assert_eq!(at("/template/components/2/cards/0/components/0/parameters/0/text"), Some("a b"));
    }

    proptest! {
        #[test]
        fn cleaned_text_is_acceptable(text in "[a\\n\\t\\r \u{2028}é]{0,60}") {
            let cleaned = clean(&text);
            prop_assert!(!cleaned.contains(['\n', '\t', '\r']) && !cleaned.contains("     "));
            prop_assert_eq!(clean(&cleaned), cleaned.clone());
            let letters = |t: &str| t.chars().filter(|c| !c.is_whitespace()).collect::<String>();
            prop_assert_eq!(letters(&text), letters(&cleaned));
        }
    }
}
