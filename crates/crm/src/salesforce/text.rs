//! How a message reads in Salesforce: plain text, cut to what a field takes.
//! Must not touch: anything but values.

use super::soql::time;
use ponte_domain::crm::MessageWrite;
use ponte_domain::status::Status;

/// What the person said, or a readable stand-in; at most `most` characters.
pub(super) fn content(message: &MessageWrite, most: usize) -> String {
    if message.withdrawn {
        return "(withdrawn)".to_owned();
    }
    let text = message.text.as_deref().map(str::trim).filter(|t| !t.is_empty());
    let whole = if message.kind == "text" {
        text.unwrap_or("(empty message)").to_owned()
    } else {
        let name = message.kind.replace('_', " ");
        text.map_or_else(|| format!("[{name}]"), |text| format!("[{name}] {text}"))
    };
    cut(&whole, most)
}

/// At most `most` characters; what doesn't fit ends in an ellipsis.
pub(super) fn cut(text: &str, most: usize) -> String {
    // Control characters but line ends and tabs are refused or lost.
    let clean = |c: char| if c.is_control() && !matches!(c, '\n' | '\r' | '\t') { ' ' } else { c };
    if text.chars().count() <= most {
        return text.chars().map(clean).collect();
    }
    text.chars().take(most.saturating_sub(1)).map(clean).chain(['…']).collect()
}

/// Status and times of a message we sent, or why it failed; for tasks, which have no fields for it.
pub(super) fn status_line(message: &MessageWrite) -> Option<String> {
    if message.inbound {
        return None;
    }
    let stamps = message.stamps;
    let rungs =
        [("sent", stamps.sent), ("delivered", stamps.delivered), ("read", stamps.read), ("played", stamps.played)];
    let mut parts: Vec<String> =
        rungs.into_iter().filter_map(|(word, at)| Some(format!("{word} {}", time(at?)))).collect();
    if stamps.state() == Some(Status::Failed) || (message.error.is_some() && stamps.state().is_none()) {
        let why = message.error.as_deref().map(|error| format!(": {}", cut(error, 500))).unwrap_or_default();
        parts.push(format!("failed{why}"));
    }
    (!parts.is_empty()).then(|| parts.join(", "))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rows::status_word;
    use ponte_domain::ids::MessageId;
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
    fn kinds_read_well_and_a_failure_shows_unless_the_message_arrived() {
        assert_eq!(content(&message("image", Some("my cat")), 99), "[image] my cat");
        assert_eq!(content(&message("location", None), 99), "[location]");
        let mut m = message("text", Some("x"));
        m.error = Some("131026: undeliverable".into());
        m.stamps.failed = Some(m.at);
        assert_eq!((status_word(&m), status_line(&m).as_deref()), ("failed", Some("failed: 131026: undeliverable")));
        m.stamps.delivered = Some(m.at);
        assert_eq!(
            (status_word(&m), status_line(&m).as_deref()),
            ("delivered", Some("delivered 2026-11-23T02:30:00Z"))
        );
        m.withdrawn = true;
        assert_eq!((content(&m, 99).as_str(), status_word(&m)), ("(withdrawn)", "withdrawn"));
    }

    proptest! {
        #[test]
        fn never_longer_than_asked(text in "(?s).{0,80}", most in 1usize..60) {
            prop_assert!(content(&message("text", Some(&text)), most.max(20)).chars().count() <= most.max(20));
            prop_assert!(cut(&text, most).chars().count() <= most);
        }
    }
}
