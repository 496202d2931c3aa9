//! Values in addresses and forms, percent-encoded: what RFC 3986 calls unreserved stays, everything else is escaped, blanks too.
//! Must not touch: which parts of an address are values.

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, PercentEncode, utf8_percent_encode};

const ESCAPED: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');

/// A text as a value; to be shown or collected.
pub(crate) fn percent(text: &str) -> PercentEncode<'_> {
    utf8_percent_encode(text, ESCAPED)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn blanks_and_signs_are_escaped_byte_by_byte() {
        assert_eq!(percent("a b&c=\u{e9}/~-._").to_string(), "a%20b%26c%3D%C3%A9%2F~-._");
    }

    proptest! {
        #[test]
        fn an_address_holds_plain_characters(text in "(?s).{0,60}") {
            let encoded = percent(&text).to_string();
            prop_assert!(encoded.bytes().all(|b| b.is_ascii_alphanumeric() || b"-._~%".contains(&b)));
            prop_assert_eq!(percent_encoding::percent_decode_str(&encoded).decode_utf8().unwrap(), text);
        }
    }
}
