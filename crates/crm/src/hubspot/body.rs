//! How a message reads on a contact's timeline. HubSpot shows the text as HTML, so everything a person wrote is escaped.
//! Must not touch: anything but values.

use jiff::Timestamp;
use ponte_domain::Millis;
use ponte_domain::crm::MessageWrite;
use ponte_domain::ids::MessageId;
use ponte_domain::status::Status;
use std::fmt::Write as _;

/// Most characters HubSpot takes in a message text (counted in UTF-16 units to be on the safe side).
pub(super) const MOST: usize = 65_536;

/// Renders the text of a message. `marker`: the id goes into the text, for HubSpot accounts where it can't go elsewhere.
pub(super) fn render(message: &MessageWrite, marker: bool) -> String {
    let head = if message.inbound {
        "<p><strong>⬅ WhatsApp, received</strong>"
    } else {
        "<p><strong>➡ WhatsApp, sent</strong>"
    };
    let mut head = head.to_owned();
    if message.edited && !message.withdrawn {
        head.push_str(" <em>(edited)</em>");
    }
    head.push_str("</p><p>");
    let mut tail = String::from("</p>");
    if let Some(line) = status_line(message) {
        let _ = write!(tail, "<p><em>{line}</em></p>");
    }
    if marker {
        let _ = write!(tail, "<p><small>{}</small></p>", marker_of(message.message));
    }
    let room = MOST.saturating_sub(units(&head) + units(&tail));
    let mut text = head;
    push_escaped(&mut text, &content(message), room);
    text.push_str(&tail);
    text
}

/// The mark by which a message is found again in a text.
pub(super) fn marker_of(message: MessageId) -> String {
    format!("[ref {message}]")
}

/// What the person said, or a readable stand-in.
fn content(message: &MessageWrite) -> String {
    if message.withdrawn {
        return "🚫 This message was withdrawn.".to_owned();
    }
    let text = message.text.as_deref().map(str::trim).filter(|t| !t.is_empty());
    let Some(symbol) = symbol(&message.kind) else {
        return text.unwrap_or("(empty message)").to_owned();
    };
    let name = message.kind.replace('_', " ");
    text.map_or_else(|| format!("{symbol} {name}"), |text| format!("{symbol} {name}: {text}"))
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

/// Status and times of a message we sent, or why it failed.
fn status_line(message: &MessageWrite) -> Option<String> {
    if message.inbound {
        return None;
    }
    let stamps = message.stamps;
    let mut parts: Vec<String> = [
        ("✓ sent", stamps.sent),
        ("✓✓ delivered", stamps.delivered),
        ("👁 read", stamps.read),
        ("▶ played", stamps.played),
    ]
    .into_iter()
    .filter_map(|(word, at)| Some(format!("{word} {}", iso_seconds(at?))))
    .collect();
    if stamps.state() == Some(Status::Failed) || (message.error.is_some() && stamps.state().is_none()) {
        let at = stamps.failed.map(|at| format!(" {}", iso_seconds(at))).unwrap_or_default();
        let mut why = String::new();
        if let Some(error) = message.error.as_deref() {
            why.push_str(": ");
            push_escaped(&mut why, error, 500);
        }
        parts.push(format!("✗ failed{at}{why}"));
    }
    (!parts.is_empty()).then(|| parts.join(" · "))
}

/// `2026-11-23T02:30:00Z`.
fn iso_seconds(at: Millis) -> String {
    Timestamp::from_second(at.div_euclid(1_000)).map_or_else(|_| at.to_string(), |t| t.to_string())
}

/// `2026-11-23T02:30:00.123Z`, as HubSpot's datetime properties want it.
pub(super) fn iso_millis(at: Millis) -> String {
    Timestamp::from_millisecond(at).map_or_else(|_| at.to_string(), |t| format!("{t:.3}"))
}

/// Appends `text` as HTML, at most `room` UTF-16 units; what doesn't fit is cut off with an ellipsis.
fn push_escaped(out: &mut String, text: &str, room: usize) {
    let mut left = room;
    let mut buffer = [0; 4];
    for c in text.chars() {
        let piece: &str = match c {
            '&' => "&amp;",
            '<' => "&lt;",
            '>' => "&gt;",
            '"' => "&quot;",
            '\'' => "&#39;",
            '\n' => "<br>",
            '\r' => "",
            c if c.is_control() => " ",
            c => c.encode_utf8(&mut buffer),
        };
        // One unit is kept for the ellipsis.
        let need = units(piece);
        if need + 1 > left {
            out.push('…');
            return;
        }
        left -= need;
        out.push_str(piece);
    }
}

fn units(text: &str) -> usize {
    text.chars().map(char::len_utf16).sum()
}

#[cfg(test)]
mod tests {
    use super::*;
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
        let mut m = message("text", Some("Hi <b>\nyou & me"));
        let at = m.at;
        m.stamps =
            Stamps { sent: Some(at), delivered: Some(at + 1_500), read: Some(at + 300_000), ..Stamps::default() };
        assert_eq!(
            render(&m, false),
            "<p><strong>➡ WhatsApp, sent</strong></p><p>Hi &lt;b&gt;<br>you &amp; me</p><p><em>✓ sent 2026-11-23T02:30:00Z · \
             ✓✓ delivered 2026-11-23T02:30:01Z · 👁 read 2026-11-23T02:35:00Z</em></p>"
        );
        assert_eq!(iso_millis(at), "2026-11-23T02:30:00.000Z");
    }

    #[test]
    fn other_kinds_and_marks() {
        let mut m = message("image", Some("my cat"));
        m.inbound = true;
        m.edited = true;
        let text = render(&m, true);
        assert!(
            text.contains("⬅ WhatsApp, received") && text.contains("📷 image: my cat") && text.contains("(edited)")
        );
        assert!(text.contains(&marker_of(m.message)));
        m.withdrawn = true;
        let text = render(&m, false);
        assert!(text.contains("withdrawn") && !text.contains("my cat"));
        assert!(render(&message("location", None), false).contains("📍 location"));
    }

    #[test]
    fn a_failure_shows_unless_the_message_arrived() {
        let mut m = message("text", Some("x"));
        m.error = Some("131026: Message <undeliverable>".into());
        m.stamps.failed = Some(m.at);
        assert!(render(&m, false).contains("✗ failed 2026-11-23T02:30:00Z: 131026: Message &lt;undeliverable&gt;"));
        m.stamps.delivered = Some(m.at);
        assert!(!render(&m, false).contains("failed"));
    }

    proptest! {
        #[test]
        fn never_too_long_never_markup(text in "(?s).{0,300}", times in 0usize..400) {
            let m = message("text", Some(&text.repeat(times)));
            let html = render(&m, true);
            prop_assert!(units(&html) <= MOST);
            prop_assert!(html.contains(&marker_of(m.message)));
            for tag in html.split('<').skip(1) {
                let name = tag.trim_start_matches('/').split('>').next().unwrap_or_default();
                prop_assert!(["p", "strong", "br", "em", "small"].contains(&name), "{name}");
            }
        }
    }
}
