//! What can be sent. One type for agent, API, rule, campaign and CRM event alike, checked against Meta's published limits
//! before anything is stored.
//! Facts: whatsapp-api sections 5.1 to 5.5.

use crate::ids::Wamid;
use serde::{Deserialize, Serialize};
use serde_json::Value;

/// A message to send, in the shape of our own API: `{"type":"text","body":"…"}`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case", deny_unknown_fields)]
pub enum Outbound {
    /// Free text, at most 4,096 characters.
    Text {
        /// The text.
        body: String,
        /// Ask WhatsApp to render a preview of the first link.
        #[serde(default)]
        preview_url: bool,
    },
    /// A picture: jpeg or png, 5 MB.
    Image(MediaOut),
    /// A film: mp4 or 3gp, 16 MB.
    Video(MediaOut),
    /// Sound; `voice` shows it as a voice note (OGG/OPUS mono).
    Audio(MediaOut),
    /// Any file, 100 MB.
    Document(MediaOut),
    /// webp, 100 KB still, 500 KB animated.
    Sticker(MediaOut),
    /// A place.
    Location {
        /// Degrees, -90 to 90.
        latitude: f64,
        /// Degrees, -180 to 180.
        longitude: f64,
        /// Name of the place.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        name: Option<String>,
        /// Address of the place.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        address: Option<String>,
    },
    /// Contact cards, in Meta's shape, at most 257.
    Contacts {
        /// Meta's array of contacts.
        contacts: Vec<Value>,
    },
    /// A reaction to a message; an empty emoji takes it back.
    Reaction {
        /// The message reacted to.
        message_id: Wamid,
        /// One emoji or empty.
        emoji: String,
    },
    /// Buttons, lists, links, flows, products … in Meta's shape.
    Interactive {
        /// Meta's `interactive` object.
        interactive: Value,
    },
    /// An approved template, in Meta's shape.
    Template {
        /// Meta's `template` object: name, language, components.
        template: Value,
    },
    /// Marks a received message (and those before it) as read.
    Read {
        /// The message read.
        message_id: Wamid,
        /// Also show that we are typing, at most 25 s.
        #[serde(default)]
        typing: bool,
    },
}

/// A file to send: exactly one of `id` (uploaded before) and `link`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct MediaOut {
    /// Media id at Meta's, from an upload; lives 30 days.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub id: Option<String>,
    /// Address that Meta fetches.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub link: Option<String>,
    /// At most 1,024 characters; not for audio and stickers.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub caption: Option<String>,
    /// Documents only.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub filename: Option<String>,
    /// Audio only: a voice note.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub voice: bool,
}

/// Why an outbound message can't be sent as it is: where and what.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{field}: {problem}")]
pub struct InvalidOutbound {
    /// Path of the offending part, in our API's shape.
    pub field: &'static str,
    /// What is wrong and what is allowed.
    pub problem: String,
}

impl Outbound {
    /// Meta's `type`; `read` for receipts.
    #[must_use]
    pub const fn kind(&self) -> &'static str {
        match self {
            Self::Text { .. } => "text",
            Self::Image(_) => "image",
            Self::Video(_) => "video",
            Self::Audio(_) => "audio",
            Self::Document(_) => "document",
            Self::Sticker(_) => "sticker",
            Self::Location { .. } => "location",
            Self::Contacts { .. } => "contacts",
            Self::Reaction { .. } => "reaction",
            Self::Interactive { .. } => "interactive",
            Self::Template { .. } => "template",
            Self::Read { .. } => "read",
        }
    }

    /// True for what may be sent outside the 24-hour window.
    #[must_use]
    pub const fn is_template(&self) -> bool {
        matches!(self, Self::Template { .. })
    }

    /// Name and language of a template.
    #[must_use]
    pub fn template_key(&self) -> Option<(&str, &str)> {
        let Self::Template { template } = self else { return None };
        Some((template.get("name")?.as_str()?, template.get("language")?.get("code")?.as_str()?))
    }

    /// True for receipts: not a message of its own, and doing it twice changes nothing.
    #[must_use]
    pub const fn is_receipt(&self) -> bool {
        matches!(self, Self::Read { .. })
    }

    /// What a person reads of it in one line.
    #[must_use]
    pub fn text(&self) -> Option<String> {
        let string = |v: Option<&Value>| v.and_then(Value::as_str).map(str::to_owned);
        match self {
            Self::Text { body, .. } => Some(body.clone()),
            Self::Image(m) | Self::Video(m) | Self::Audio(m) | Self::Document(m) | Self::Sticker(m) => {
                m.caption.clone().or_else(|| m.filename.clone())
            }
            Self::Location { name, address, .. } => name.clone().or_else(|| address.clone()),
            Self::Contacts { contacts } => string(contacts.first().and_then(|c| c.pointer("/name/formatted_name"))),
            Self::Reaction { emoji, .. } => Some(emoji.clone()),
            Self::Interactive { interactive } => string(interactive.pointer("/body/text")),
            Self::Template { template } => string(template.get("name")),
            Self::Read { .. } => None,
        }
    }

    /// Checks everything that can be known without asking Meta.
    ///
    /// # Errors
    /// The first part that breaks a published limit.
    pub fn check(&self) -> Result<(), InvalidOutbound> {
        match self {
            Self::Text { body, .. } => length("body", body, 1, 4096),
            Self::Image(m) | Self::Video(m) => m.check(true, false, false),
            Self::Document(m) => m.check(true, true, false),
            Self::Audio(m) => m.check(false, false, true),
            Self::Sticker(m) => m.check(false, false, false),
            Self::Location { latitude, longitude, .. } => {
                within("latitude", *latitude, 90.0)?;
                within("longitude", *longitude, 180.0)
            }
            Self::Contacts { contacts } => check_contacts(contacts),
            Self::Reaction { message_id, emoji } => {
                length("message_id", message_id.as_str(), 1, 512)?;
                length("emoji", emoji, 0, 16)
            }
            Self::Interactive { interactive } => interactive::check(interactive),
            Self::Template { template } => check_template(template),
            Self::Read { message_id, .. } => length("message_id", message_id.as_str(), 1, 512),
        }
    }
}

impl MediaOut {
    fn check(&self, caption: bool, filename: bool, voice: bool) -> Result<(), InvalidOutbound> {
        match (&self.id, &self.link) {
            (Some(id), None) => length("id", id, 1, 512)?,
            (None, Some(link)) => {
                length("link", link, 8, 2048)?;
                if !link.starts_with("https://") && !link.starts_with("http://") {
                    return invalid("link", "must be an http or https address");
                }
            }
            _ => return invalid("id", "exactly one of `id` and `link` is needed"),
        }
        match &self.caption {
            Some(_) if !caption => invalid("caption", "this kind of file takes no caption"),
            Some(text) => length("caption", text, 0, 1024),
            None => Ok(()),
        }?;
        if self.filename.is_some() && !filename {
            return invalid("filename", "only documents take a file name");
        }
        if self.voice && !voice {
            return invalid("voice", "only audio can be a voice note");
        }
        Ok(())
    }
}

fn invalid<T>(field: &'static str, problem: impl Into<String>) -> Result<T, InvalidOutbound> {
    Err(InvalidOutbound { field, problem: problem.into() })
}

fn length(field: &'static str, text: &str, min: usize, max: usize) -> Result<(), InvalidOutbound> {
    let n = text.chars().count();
    if n < min {
        return invalid(
            field,
            if n == 0 { "must not be empty".to_owned() } else { format!("at least {min} characters") },
        );
    }
    if n > max {
        return invalid(field, format!("{n} characters; at most {max} are allowed"));
    }
    Ok(())
}

fn within(field: &'static str, degrees: f64, limit: f64) -> Result<(), InvalidOutbound> {
    if degrees.is_finite() && degrees.abs() <= limit {
        return Ok(());
    }
    invalid(field, format!("must be between -{limit} and {limit}"))
}

fn check_contacts(contacts: &[Value]) -> Result<(), InvalidOutbound> {
    if !(1..=257).contains(&contacts.len()) {
        return invalid("contacts", format!("{} cards; 1 to 257 are allowed", contacts.len()));
    }
    for card in contacts {
        let named = card.pointer("/name/formatted_name").and_then(Value::as_str).is_some_and(|n| !n.is_empty());
        if !named {
            return invalid("contacts", "every card needs name.formatted_name");
        }
    }
    Ok(())
}

fn check_template(template: &Value) -> Result<(), InvalidOutbound> {
    let Some(name) = template.get("name").and_then(Value::as_str) else {
        return invalid("template.name", "is needed");
    };
    length("template.name", name, 1, 512)?;
    if !name.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'_') {
        return invalid("template.name", "only a-z, 0-9 and _ are allowed");
    }
    if template.pointer("/language/code").and_then(Value::as_str).is_none_or(str::is_empty) {
        return invalid("template.language.code", "is needed, for example en_US");
    }
    if template.get("components").is_some_and(|c| !c.is_array()) {
        return invalid("template.components", "must be an array");
    }
    Ok(())
}

mod interactive {
    //! Limits of the interactive kinds that have published ones; the others are passed on as they are.

    use super::{InvalidOutbound, Value, invalid, length};

    pub(super) fn check(message: &Value) -> Result<(), InvalidOutbound> {
        match message.get("type").and_then(Value::as_str) {
            None => invalid("interactive.type", "is needed: button, list, cta_url, flow, …"),
            Some("button") => {
                body(message, 1024)?;
                footer(message)?;
                buttons(message)
            }
            Some("list") => {
                body(message, 4096)?;
                footer(message)?;
                list(message)
            }
            Some("cta_url") => {
                body(message, 1024)?;
                footer(message)?;
                match message.pointer("/action/parameters/display_text").and_then(Value::as_str) {
                    Some(text) => length("interactive.action.parameters.display_text", text, 1, 20)?,
                    None => return invalid("interactive.action.parameters.display_text", "is needed"),
                }
                match message.pointer("/action/parameters/url").and_then(Value::as_str) {
                    Some(url) if url.starts_with("https://") || url.starts_with("http://") => Ok(()),
                    _ => invalid("interactive.action.parameters.url", "an http or https address is needed"),
                }
            }
            Some("location_request_message" | "request_contact_info") => body(message, 1024),
            Some(_) => Ok(()),
        }
    }

    fn body(message: &Value, max: usize) -> Result<(), InvalidOutbound> {
        match message.pointer("/body/text").and_then(Value::as_str) {
            Some(text) => length("interactive.body.text", text, 1, max),
            None => invalid("interactive.body.text", "is needed"),
        }
    }

    fn footer(message: &Value) -> Result<(), InvalidOutbound> {
        match message.pointer("/footer/text").and_then(Value::as_str) {
            Some(text) => length("interactive.footer.text", text, 1, 60),
            None => Ok(()),
        }
    }

    fn buttons(message: &Value) -> Result<(), InvalidOutbound> {
        let Some(buttons) = message.pointer("/action/buttons").and_then(Value::as_array) else {
            return invalid("interactive.action.buttons", "is needed");
        };
        if !(1..=3).contains(&buttons.len()) {
            return invalid("interactive.action.buttons", format!("{} buttons; 1 to 3 are allowed", buttons.len()));
        }
        let mut titles = Vec::with_capacity(3);
        for button in buttons {
            let id = button.pointer("/reply/id").and_then(Value::as_str).unwrap_or_default();
            let title = button.pointer("/reply/title").and_then(Value::as_str).unwrap_or_default();
            length("interactive.action.buttons[].reply.id", id, 1, 256)?;
            length("interactive.action.buttons[].reply.title", title, 1, 20)?;
            if titles.contains(&title) {
                return invalid("interactive.action.buttons[].reply.title", "titles must differ");
            }
            titles.push(title);
        }
        Ok(())
    }

    fn list(message: &Value) -> Result<(), InvalidOutbound> {
        let label = message.pointer("/action/button").and_then(Value::as_str).unwrap_or_default();
        length("interactive.action.button", label, 1, 20)?;
        let Some(sections) = message.pointer("/action/sections").and_then(Value::as_array) else {
            return invalid("interactive.action.sections", "is needed");
        };
        if !(1..=10).contains(&sections.len()) {
            return invalid("interactive.action.sections", format!("{} sections; 1 to 10 are allowed", sections.len()));
        }
        let mut rows_in_all = 0;
        for section in sections {
            let title = section.get("title").and_then(Value::as_str).unwrap_or_default();
            length("interactive.action.sections[].title", title, usize::from(sections.len() > 1), 24)?;
            let rows = section.get("rows").and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default();
            rows_in_all += rows.len();
            for row in rows {
                let part = |name| row.get(name).and_then(Value::as_str).unwrap_or_default();
                length("interactive.action.sections[].rows[].id", part("id"), 1, 200)?;
                length("interactive.action.sections[].rows[].title", part("title"), 1, 24)?;
                length("interactive.action.sections[].rows[].description", part("description"), 0, 72)?;
            }
        }
        if !(1..=10).contains(&rows_in_all) {
            return invalid("interactive.action.sections", format!("{rows_in_all} rows in all; 1 to 10 are allowed"));
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use serde_json::json;

    fn check(message: Value) -> Result<(), String> {
        let message: Outbound = serde_json::from_value(message).map_err(|e| e.to_string())?;
        message.check().map_err(|e| e.to_string())
    }

    #[test]
    fn good_ones_pass() {
        for good in [
            json!({"type":"text","body":"hello"}),
            json!({"type":"image","id":"123","caption":"a"}),
            json!({"type":"document","link":"https://example.test/a.pdf","filename":"a.pdf"}),
            json!({"type":"audio","id":"1","voice":true}),
            json!({"type":"location","latitude":-23.5,"longitude":-46.6,"name":"Sé"}),
            json!({"type":"reaction","message_id":"wamid.1","emoji":""}),
            json!({"type":"template","template":{"name":"order_ok","language":{"code":"en_US"}}}),
            json!({"type":"interactive","interactive":{"type":"button","body":{"text":"?"},
                "action":{"buttons":[{"type":"reply","reply":{"id":"y","title":"Yes"}}]}}}),
            json!({"type":"read","message_id":"wamid.1","typing":true}),
        ] {
            assert_eq!(check(good.clone()), Ok(()), "{good}");
        }
    }

    #[test]
    fn bad_ones_say_where() {
        for (bad, part) in [
            (json!({"type":"text","body":""}), "body"),
            (json!({"type":"text","body":"x".repeat(4097)}), "4096"),
            (json!({"type":"image"}), "exactly one"),
            (json!({"type":"image","id":"1","link":"https://a.test/b"}), "exactly one"),
            (json!({"type":"sticker","id":"1","caption":"no"}), "caption"),
            (json!({"type":"location","latitude":91.0,"longitude":0.0}), "latitude"),
            (json!({"type":"template","template":{"name":"Order OK","language":{"code":"en"}}}), "template.name"),
            (json!({"type":"interactive","interactive":{"type":"list","body":{"text":"?"}}}), "action.button"),
            (json!({"type":"text","body":"x","colour":"red"}), "unknown field"),
            (json!({"type":"fax"}), "unknown variant"),
        ] {
            let problem = check(bad.clone()).expect_err(&bad.to_string());
            assert!(problem.contains(part), "{bad} gave: {problem}");
        }
    }

    proptest! {
        #[test]
        fn checking_never_panics(text in ".{0,60}", n in 0usize..14) {
            let rows: Vec<Value> = (0..n).map(|i| json!({"id": i.to_string(), "title": text})).collect();
            let _ = check(json!({"type":"interactive","interactive":{"type":"list","body":{"text":text},
                "action":{"button":"b","sections":[{"rows":rows}]}}}));
        }
    }
}
