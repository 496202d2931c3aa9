//! How a message reads in Zoho: plain text, for both the module's field and a note show it as it is.
//! Must not touch: anything but values.

use super::client::iso;
use ponte_domain::crm::MessageWrite;
use ponte_domain::ids::MessageId;
use ponte_domain::status::Status;

/// Most characters of the module's large text field.
const MOST_BODY: usize = 32_000;
/// Most characters of a note that we write; Zoho takes 65,535.
const MOST_NOTE: usize = 32_000;
/// Most characters of a record's name, and of a note's title.
const MOST_NAME: usize = 120;

/// What the person said, or a readable stand-in.
pub(super) fn content(message: &MessageWrite) -> String {
    if message.withdrawn {
        return "🚫 This message was withdrawn.".to_owned();
    }
    let edited = if message.edited { " (edited)" } else { "" };
    let text = message.text.as_deref().map(str::trim).filter(|t| !t.is_empty());
    let said = match (symbol(&message.kind), text) {
        (None, Some(text)) => text.to_owned(),
        (None, None) => "(empty message)".to_owned(),
        (Some(symbol), text) => {
            let name = message.kind.replace('_', " ");
            text.map_or_else(|| format!("{symbol} {name}"), |text| format!("{symbol} {name}: {text}"))
        }
    };
    format!("{}{edited}", cut(&said, MOST_BODY - 20))
}

/// The name of a message's record: direction, kind, time.
pub(super) fn title(message: &MessageWrite) -> String {
    let direction = if message.inbound { "⬅ WhatsApp, received" } else { "➡ WhatsApp, sent" };
    cut(&format!("{direction}: {} · {}", message.kind.replace('_', " "), iso(message.at)), MOST_NAME)
}

/// The text of a note: what was said, its status, our id.
pub(super) fn note(message: &MessageWrite) -> String {
    let mut tail = String::new();
    if let Some(line) = status_line(message) {
        tail.push_str("\n\n");
        tail.push_str(&line);
    }
    tail.push_str("\n\n");
    tail.push_str(&marker_of(message.message));
    let room = MOST_NOTE.saturating_sub(tail.chars().count());
    format!("{}{tail}", cut(&content(message), room))
}

/// The mark by which a message is found again in a note.
pub(super) fn marker_of(message: MessageId) -> String {
    format!("[ref {message}]")
}

/// Status and times of a message we sent, or why it failed.
fn status_line(message: &MessageWrite) -> Option<String> {
    if message.inbound {
        return None;
    }
    let stamps = message.stamps;
    let times = [
        ("✓ sent", stamps.sent),
        ("✓✓ delivered", stamps.delivered),
        ("👁 read", stamps.read),
        ("▶ played", stamps.played),
    ];
    let mut parts: Vec<String> =
        times.into_iter().filter_map(|(word, at)| Some(format!("{word} {}", iso(at?)))).collect();
    if stamps.state() == Some(Status::Failed) || (message.error.is_some() && stamps.state().is_none()) {
        let at = stamps.failed.map(|at| format!(" {}", iso(at))).unwrap_or_default();
        let why = message.error.as_deref().map(|error| format!(": {}", cut(error, 500))).unwrap_or_default();
        parts.push(format!("✗ failed{at}{why}"));
    }
    (!parts.is_empty()).then(|| parts.join(" · "))
}

/// Symbol of a kind that isn't plain text; `None` for text.
fn symbol(kind: &str) -> Option<&'static str> {
    Some(match kind {
        "text" => return None,
        "image" => "📷",
        "video" => "🎬",
        "audio" | "voice" => "🎤",
        "document" => "📄",
        "sticker" => "🏷",
        "location" => "📍",
        "contacts" => "👤",
        "reaction" => "💬",
        "interactive" | "button" => "🔘",
        "template" => "📋",
        "order" => "🛒",
        _ => "✉",
    })
}

/// At most so many characters; what is cut off shows as an ellipsis.
fn cut(text: &str, most: usize) -> String {
    if text.chars().nth(most).is_none() {
        return text.to_owned();
    }
    text.chars().take(most.saturating_sub(1)).chain(['…']).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rows::status_word;
    use ponte_domain::status::Stamps;
    use proptest::prelude::*;
    use uuid::Uuid;

    fn message(kind: &str, text: Option<&str>) -> MessageWrite {
        MessageWrite {
            message: MessageId(Uuid::from_u128(7)),
            crm_id: None,
            uncertain: false,
            contact_crm_id: "1".into(),
            inbound: false,
            kind: kind.into(),
            text: text.map(str::to_owned),
            at: 1_795_401_000_000,
            stamps: Stamps::default(),
            error: None,
            withdrawn: false,
            edited: false,
        }
    }

    #[test]
    fn a_sent_message_with_its_times() {
        let mut m = message("text", Some("Hi <b>\nyou"));
        m.stamps = Stamps { sent: Some(m.at), read: Some(m.at + 300_000), ..Stamps::default() };
        assert_eq!(content(&m), "Hi <b>\nyou");
        let note = note(&m);
        assert!(note.starts_with("Hi <b>\nyou\n\n✓ sent 2026-11-23T02:30:00+00:00 · 👁 read 2026-11-23T02:35:00+00:00"));
        assert!(note.ends_with(&marker_of(m.message)));
        assert_eq!(status_word(&m), "read");
        assert_eq!(title(&m), "➡ WhatsApp, sent: text · 2026-11-23T02:30:00+00:00");
    }

    #[test]
    fn what_was_taken_back_or_changed_shows_so() {
        let mut m = message("image", Some("my cat"));
        (m.inbound, m.edited) = (true, true);
        assert_eq!((content(&m).as_str(), status_word(&m)), ("📷 image: my cat (edited)", "received"));
        m.withdrawn = true;
        assert!(!note(&m).contains("my cat") && status_word(&m) == "withdrawn");
    }

    #[test]
    fn a_failure_shows_unless_the_message_arrived() {
        let mut m = message("text", Some("x"));
        m.error = Some("131026: undeliverable".into());
        m.stamps.failed = Some(m.at);
        assert!(note(&m).contains("✗ failed 2026-11-23T02:30:00+00:00: 131026: undeliverable"));
        m.stamps.delivered = Some(m.at);
        assert!(!note(&m).contains("failed"));
    }

    proptest! {
        #[test]
        fn never_too_long_and_never_without_its_mark(text in "(?s).{0,300}", times in 0usize..300, edited: bool) {
            let mut m = message("text", Some(&text.repeat(times)));
            m.edited = edited;
            prop_assert!(content(&m).chars().count() <= MOST_BODY);
            let note = note(&m);
            prop_assert!(note.chars().count() <= MOST_NOTE);
            prop_assert!(note.ends_with(&marker_of(m.message)));
        }
    }
}
