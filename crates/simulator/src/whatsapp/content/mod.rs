//! The content of an outgoing message, kind by kind, against the documented limits.
//! May touch: nothing. Must not touch: state; templates are checked against their definition elsewhere.

pub mod interactive;

use super::errors::ApiError;
use serde_json::{Map, Value};

/// What a valid message is, as far as the rest of the simulator cares.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Content {
    /// The `type`, one of the documented ones.
    pub kind: &'static str,
    /// Media ids it refers to, with the kind they must have.
    pub media: Vec<(String, String)>,
    /// A voice message (gets `played`).
    pub voice: bool,
    /// The message a reaction points to.
    pub reacts_to: Option<String>,
}

/// Top-level fields the API knows; others are ignored, as Graph does, and counted.
const KNOWN: &[&str] = &[
    "messaging_product",
    "recipient_type",
    "to",
    "recipient",
    "type",
    "context",
    "biz_opaque_callback_data",
    "recipient_identity_key_hash",
    "messaging_account_id",
    "text",
    "image",
    "video",
    "audio",
    "document",
    "sticker",
    "location",
    "contacts",
    "reaction",
    "interactive",
    "template",
    "status",
    "message_id",
    "typing_indicator",
    "product_policy",
    "message_activity_sharing",
    "ttl",
    "preview_url",
    "category",
    "access_token",
    "use_case",
];

/// How many top-level fields are not part of the API.
#[must_use]
pub fn unknown_fields(body: &Map<String, Value>) -> usize {
    body.keys().filter(|key| !KNOWN.contains(&key.as_str())).count()
}

/// Checks the type object of a message.
///
/// # Errors
/// 131008 for what is missing, 131009 for a value out of limits, 100 for a wrong type or length.
pub fn check(body: &Map<String, Value>) -> Result<Content, ApiError> {
    let kind = match body.get("type") {
        None | Some(Value::Null) if body.contains_key("text") => "text",
        None | Some(Value::Null) => return Err(missing("type")),
        Some(Value::String(kind)) => kind.as_str(),
        Some(_) => return Err(ApiError::new(100, "Param type must be a string")),
    };
    let Some(kind) = KINDS.iter().find(|known| **known == kind) else {
        return Err(ApiError::new(100, format!("Param type must be one of {{{}}}", KINDS.join(", "))));
    };
    let mut content = Content { kind, ..Content::default() };
    if *kind == "contacts" {
        contacts(body.get("contacts").and_then(Value::as_array).ok_or_else(|| missing("contacts"))?)?;
        return Ok(content);
    }
    let object = body.get(*kind).and_then(Value::as_object).ok_or_else(|| missing(kind))?;
    match *kind {
        "text" => {
            bounded(object, "body", 1, 4_096, "text")?;
            if object.get("preview_url").is_some_and(|flag| !flag.is_boolean()) {
                return Err(ApiError::new(100, "Param text['preview_url'] must be a boolean"));
            }
        }
        "image" | "video" | "audio" | "document" | "sticker" => {
            content.media.extend(media_ref(object, kind)?.map(|id| ((*kind).to_owned(), id)));
            caption(object, kind)?;
            content.voice = object.get("voice").and_then(Value::as_bool).unwrap_or(false);
        }
        "location" => location(object)?,
        "reaction" => {
            let target = object.get("message_id").and_then(Value::as_str).filter(|id| !id.is_empty());
            content.reacts_to = Some(target.ok_or_else(|| missing("reaction['message_id']"))?.to_owned());
            let emoji = object.get("emoji").and_then(Value::as_str).ok_or_else(|| missing("reaction['emoji']"))?;
            if emoji.chars().count() > 12 || emoji.chars().any(|c| c.is_ascii_alphanumeric()) {
                return Err(ApiError::new(131_009, "Param reaction['emoji'] must be one emoji"));
            }
        }
        "interactive" => content.media = interactive::check(object)?,
        _ => {}
    }
    Ok(content)
}

const KINDS: &[&str] = &[
    "text",
    "image",
    "video",
    "audio",
    "document",
    "sticker",
    "location",
    "contacts",
    "reaction",
    "interactive",
    "template",
];

/// The value at a JSON pointer, null when there is none.
pub(crate) fn inner<'a>(value: &'a Value, pointer: &str) -> &'a Value {
    value.pointer(pointer).unwrap_or(&Value::Null)
}

/// Sets a field of a JSON object; other values stay as they are.
pub(crate) fn put(object: &mut Value, key: &str, value: Value) {
    if let Some(fields) = object.as_object_mut() {
        fields.insert(key.to_owned(), value);
    }
}

/// 131008 for a named parameter.
#[must_use]
pub fn missing(what: &str) -> ApiError {
    ApiError::new(131_008, format!("The parameter {what} is required."))
}

/// A text of `low..=high` characters under `key`.
pub(crate) fn bounded<'a>(
    object: &'a Map<String, Value>,
    key: &str,
    low: usize,
    high: usize,
    path: &str,
) -> Result<&'a str, ApiError> {
    let text = match object.get(key) {
        Some(Value::String(text)) => text,
        None | Some(Value::Null) => return Err(missing(&format!("{path}['{key}']"))),
        Some(_) => return Err(ApiError::new(100, format!("Param {path}['{key}'] must be a string."))),
    };
    let length = text.chars().count();
    if text.trim().is_empty() && low > 0 {
        return Err(missing(&format!("{path}['{key}']")));
    }
    if length < low || length > high {
        return Err(ApiError::new(
            100,
            format!("Param {path}['{key}'] must be between {low} and {high} characters long."),
        ));
    }
    Ok(text)
}

/// The media id of a media object; `None` for a link.
pub(crate) fn media_ref(object: &Map<String, Value>, path: &str) -> Result<Option<String>, ApiError> {
    let text = |key: &str| object.get(key).and_then(Value::as_str).filter(|text| !text.is_empty());
    match (text("id"), text("link")) {
        (Some(_), Some(_)) => Err(ApiError::new(100, format!("Param {path}: give id or link, not both"))),
        (Some(id), None) => Ok(Some(id.to_owned())),
        (None, Some(link)) if link.starts_with("https://") || link.starts_with("http://") => Ok(None),
        (None, Some(_)) => Err(ApiError::new(131_009, format!("Param {path}['link'] is not a valid URL"))),
        (None, None) => Err(ApiError::new(131_008, format!("One of {path}['id'] and {path}['link'] is required"))),
    }
}

fn caption(object: &Map<String, Value>, kind: &str) -> Result<(), ApiError> {
    let Some(caption) = object.get("caption") else { return Ok(()) };
    if matches!(kind, "audio" | "sticker") {
        return Err(ApiError::new(100, format!("Unexpected key 'caption' on param '{kind}'.")));
    }
    match caption.as_str() {
        Some(text) if text.chars().count() <= 1_024 => Ok(()),
        _ => Err(ApiError::new(100, format!("Param {kind}['caption'] must be a string of at most 1024 characters."))),
    }
}

fn location(object: &Map<String, Value>) -> Result<(), ApiError> {
    for (key, bound) in [("latitude", 90.0), ("longitude", 180.0)] {
        let value = match object.get(key) {
            Some(Value::Number(number)) => number.as_f64(),
            Some(Value::String(text)) => text.parse().ok(),
            _ => return Err(missing(&format!("location['{key}']"))),
        };
        if !value.is_some_and(|value: f64| value.abs() <= bound) {
            return Err(ApiError::new(131_009, format!("Param location['{key}'] is out of range")));
        }
    }
    Ok(())
}

fn contacts(list: &[Value]) -> Result<(), ApiError> {
    if list.is_empty() || list.len() > 257 {
        return Err(ApiError::new(131_009, "Param contacts must have 1 to 257 elements"));
    }
    for (at, contact) in list.iter().enumerate() {
        let name = contact
            .get("name")
            .and_then(Value::as_object)
            .ok_or_else(|| missing(&format!("contacts[{at}]['name']")))?;
        bounded(name, "formatted_name", 1, 1_024, &format!("contacts[{at}]['name']"))?;
        let more = ["first_name", "last_name", "middle_name", "suffix", "prefix"];
        if !more.iter().any(|key| name.get(*key).and_then(Value::as_str).is_some_and(|part| !part.is_empty())) {
            return Err(ApiError::new(
                131_009,
                format!("contacts[{at}]['name'] needs one more name besides formatted_name"),
            ));
        }
    }
    Ok(())
}
