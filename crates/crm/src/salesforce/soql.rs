//! The query language, as far as we write it: literals, names, times, ids, and what goes into an address.
//! Must not touch: anything but values. No text of anyone goes into a query but through [`quoted`] or [`phrase`].

use jiff::Timestamp;
use ponte_domain::Millis;

/// Path and query may have 16,384 bytes; this leaves room for the base path.
pub(super) const MOST_ADDRESS: usize = 15_000;

/// A text literal.
pub(super) fn quoted(text: &str) -> String {
    let mut out = String::with_capacity(text.len() + 2);
    out.push('\'');
    for c in text.chars() {
        match c {
            '\'' | '\\' => {
                out.push('\\');
                out.push(c);
            }
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            '\t' => out.push_str("\\t"),
            c if c.is_control() => out.push(' '),
            c => out.push(c),
        }
    }
    out.push('\'');
    out
}

/// `('a','b')`.
pub(super) fn list<'a>(values: impl IntoIterator<Item = &'a str>) -> String {
    let quoted: Vec<String> = values.into_iter().map(quoted).collect();
    format!("({})", quoted.join(","))
}

/// Digits as a word of a search; anything else is left out.
pub(super) fn phrase(digits: &str) -> String {
    digits.chars().filter(char::is_ascii_digit).collect()
}

/// A name of a field or object: nothing else goes into a query as it stands.
pub(super) fn is_name(text: &str) -> bool {
    text.len() <= 100
        && text.starts_with(|c: char| c.is_ascii_alphabetic())
        && text.chars().all(|c| c.is_ascii_alphanumeric() || c == '_')
}

/// `2026-11-23T02:30:00Z`: what a query compares times with. Cut to the second, which is how precise Salesforce's times are.
pub(super) fn time(at: Millis) -> String {
    Timestamp::from_second(at.div_euclid(1_000)).unwrap_or(Timestamp::UNIX_EPOCH).to_string()
}

/// `2026-11-23T02:30:00.123Z`, as fields take it.
pub(super) fn time_millis(at: Millis) -> String {
    format!("{:.3}", Timestamp::from_millisecond(at).unwrap_or(Timestamp::UNIX_EPOCH))
}

/// Reads `2026-11-23T02:30:00.000+0000`.
pub(super) fn moment(text: &str) -> Option<Millis> {
    text.parse::<Timestamp>().ok().map(Timestamp::as_millisecond)
}

/// A record id in its long form: 15 characters get their three check characters, 18 stay. `None` for what is no id.
pub(super) fn long_id(id: &str) -> Option<String> {
    const CHECK: &[u8; 32] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZ012345";
    if !id.bytes().all(|b| b.is_ascii_alphanumeric()) {
        return None;
    }
    match id.len() {
        18 => Some(id.to_owned()),
        15 => {
            let check = id.as_bytes().chunks(5).map(|chunk| {
                let upper = chunk.iter().enumerate().filter(|(_, b)| b.is_ascii_uppercase());
                let bits = upper.fold(0_usize, |bits, (place, _)| bits | 1 << place);
                char::from(CHECK.get(bits).copied().unwrap_or(b'A'))
            });
            Some(id.chars().chain(check).collect())
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn ids_get_the_check_characters_of_the_documentation() {
        assert_eq!(long_id("001A0000006Vm9r").as_deref(), Some("001A0000006Vm9rIAC"));
        assert_eq!(long_id("001A0000006Vm9rIAC").as_deref(), Some("001A0000006Vm9rIAC"));
        assert_eq!(long_id("001A0000006Vm9"), None);
        assert_eq!(long_id("001A0000006Vm'r"), None);
    }

    #[test]
    fn times_are_written_and_read() {
        let at = 1_795_401_000_123;
        assert_eq!(time(at), "2026-11-23T02:30:00Z");
        assert_eq!(time_millis(at), "2026-11-23T02:30:00.123Z");
        assert_eq!(moment("2026-11-23T02:30:00.000+0000"), Some(at - 123));
        assert_eq!(moment("yesterday"), None);
    }

    #[test]
    fn names_are_names() {
        assert!(is_name("Ponte_Id__c") && is_name("LastName"));
        for bad in ["", "1a", "a b", "a'--", "Account.Name", "a)"] {
            assert!(!is_name(bad), "{bad}");
        }
    }

    proptest! {
        #[test]
        fn no_text_leaves_its_quotation_marks(text in "(?s).{0,60}") {
            let literal = quoted(&text);
            let inner = &literal[1..literal.len() - 1];
            let mut escaped = false;
            for c in inner.chars() {
                prop_assert!(escaped || c != '\'');
                escaped = c == '\\' && !escaped;
            }
            prop_assert!(!escaped, "the closing mark is escaped");
        }
    }
}
