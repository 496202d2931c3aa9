//! What a write says of a message, by the names that templates and statements use.
//! Must not touch: anything but values.

use super::Times;
use crate::rows::status_word;
use ponte_domain::crm::MessageWrite;
use serde_json::{Map, Value, json};

/// The names of [`facts`], for checking templates.
pub(crate) const MESSAGE_FACTS: &[&str] = &[
    "key",
    "id",
    "contact",
    "direction",
    "inbound",
    "kind",
    "text",
    "line",
    "at",
    "status",
    "sent_at",
    "delivered_at",
    "read_at",
    "played_at",
    "failed_at",
    "error",
    "withdrawn",
    "edited",
];

/// What is written of a message. Absent is `null`; the text of a withdrawn message is, too.
pub(crate) fn facts(message: &MessageWrite, id: Option<&str>, times: &Times) -> Map<String, Value> {
    let time = |at: Option<i64>| at.map(|at| times.write(at));
    let stamps = message.stamps;
    let Value::Object(facts) = json!({
        "key": message.message.to_string(),
        "id": id,
        "contact": message.contact_crm_id,
        "direction": if message.inbound { "inbound" } else { "outbound" },
        "inbound": message.inbound,
        "kind": message.kind,
        "text": message.text.as_ref().filter(|_| !message.withdrawn),
        "line": line(message),
        "at": times.write(message.at),
        "status": status_word(message),
        "sent_at": time(stamps.sent),
        "delivered_at": time(stamps.delivered),
        "read_at": time(stamps.read),
        "played_at": time(stamps.played),
        "failed_at": time(stamps.failed),
        "error": message.error,
        "withdrawn": message.withdrawn,
        "edited": message.edited,
    }) else {
        return Map::new();
    };
    facts
}

/// The message as one plain text for CRMs that have nothing but notes; it ends with our id, by which it is found again.
fn line(message: &MessageWrite) -> String {
    let who = if message.inbound { "WhatsApp, received" } else { "WhatsApp, sent" };
    let edited = if message.edited && !message.withdrawn { " (edited)" } else { "" };
    let text = message.text.as_deref().map(str::trim).filter(|t| !t.is_empty());
    let body = match text {
        _ if message.withdrawn => "(withdrawn)".to_owned(),
        Some(text) if message.kind == "text" => text.to_owned(),
        Some(text) => format!("[{}] {text}", message.kind),
        None => format!("[{}]", message.kind),
    };
    let status = if message.inbound { String::new() } else { format!("\nStatus: {}", status_word(message)) };
    let error = message.error.as_deref().map(|e| format!("\nError: {e}")).unwrap_or_default();
    format!("{who}{edited}: {body}{status}{error}\n[ref {}]", message.message)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::described::TimeForm;
    use jiff::tz::TimeZone;
    use ponte_domain::ids::MessageId;
    use ponte_domain::status::Stamps;
    use uuid::Uuid;

    fn message() -> MessageWrite {
        MessageWrite {
            message: MessageId(Uuid::from_u128(7)),
            crm_id: None,
            uncertain: false,
            contact_crm_id: "1".into(),
            inbound: false,
            kind: "text".into(),
            text: Some("my password".into()),
            at: 1_795_401_000_000,
            stamps: Stamps { sent: Some(1_795_401_001_000), ..Stamps::default() },
            error: None,
            withdrawn: false,
            edited: false,
        }
    }

    #[test]
    fn a_message_is_told_by_its_facts() {
        let times = Times { form: TimeForm::Ms, zone: TimeZone::UTC };
        let told = facts(&message(), Some("9"), &times);
        assert_eq!(
            (&told["direction"], &told["status"], &told["sent_at"]),
            (&json!("outbound"), &json!("sent"), &json!(1_795_401_001_000_i64))
        );
        assert_eq!((&told["delivered_at"], &told["id"]), (&Value::Null, &json!("9")));
        assert!(MESSAGE_FACTS.iter().all(|name| told.contains_key(*name)) && told.len() == MESSAGE_FACTS.len());
    }

    #[test]
    fn what_was_withdrawn_is_told_nowhere() {
        let mut m = message();
        m.withdrawn = true;
        let told = facts(&m, None, &Times { form: TimeForm::Iso, zone: TimeZone::UTC });
        assert!(!Value::Object(told).to_string().contains("password"));
    }

    #[test]
    fn the_line_ends_with_our_id() {
        let mut m = message();
        m.error = Some("131026".into());
        let line = line(&m);
        assert!(
            line.ends_with(&format!("[ref {}]", m.message)) && line.contains("Status: sent") && line.contains("131026")
        );
    }
}
