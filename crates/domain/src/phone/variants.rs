//! The same line is written with and without Brazil's ninth digit, Mexico's `1` and Argentina's `9`. Used to find a person by
//! number; the number itself is never changed. Facts: WhatsApp ids of these countries were given out in both forms.
//! Must not touch: anything but digits.

use std::borrow::Cow;

/// The ways in which the same line is known, in E.164 digits without `+`; the given one comes first, unchanged.
pub fn candidates(e164: &str) -> impl Iterator<Item = Cow<'_, str>> {
    std::iter::once(Cow::Borrowed(e164)).chain(variant(e164).map(Cow::Owned))
}

/// The number without its country code; `None` when `digits` is no E.164 number: 7 to 15 digits, no leading zero.
#[must_use]
pub fn national(digits: &str) -> Option<&str> {
    if !(7..=15).contains(&digits.len()) || digits.starts_with('0') || !digits.bytes().all(|b| b.is_ascii_digit()) {
        return None;
    }
    digits.get(country_code_length(digits)..)
}

/// Calling codes are prefix-free: 1 and 7 stand alone, those below have two digits, all others three (ITU-T E.164 list).
fn country_code_length(digits: &str) -> usize {
    const TWO: [&str; 44] = [
        "20", "27", "30", "31", "32", "33", "34", "36", "39", "40", "41", "43", "44", "45", "46", "47", "48", "49",
        "51", "52", "53", "54", "55", "56", "57", "58", "60", "61", "62", "63", "64", "65", "66", "81", "82", "84",
        "86", "90", "91", "92", "93", "94", "95", "98",
    ];
    match digits.get(..2) {
        _ if digits.starts_with(['1', '7']) => 1,
        Some(two) if TWO.contains(&two) => 2,
        _ => 3,
    }
}

/// The other way of writing a mobile number in Brazil, Mexico and Argentina.
fn variant(digits: &str) -> Option<String> {
    let rest = |prefix: &str, length: usize| {
        digits.strip_prefix(prefix).filter(|rest| rest.len() == length && rest.bytes().all(|b| b.is_ascii_digit()))
    };
    // Lines that begin with 2 to 5 are landlines and never had a ninth digit.
    let mobile = |line: &str| line.starts_with(['6', '7', '8', '9']);
    if let Some(rest) = rest("55", 11) {
        let (area, line) = rest.split_at_checked(2)?;
        return line.strip_prefix('9').filter(|line| mobile(line)).map(|line| format!("55{area}{line}"));
    }
    if let Some(rest) = rest("55", 10) {
        let (area, line) = rest.split_at_checked(2)?;
        return mobile(line).then(|| format!("55{area}9{line}"));
    }
    if let Some(rest) = rest("521", 10) {
        return Some(format!("52{rest}"));
    }
    if let Some(rest) = rest("52", 10) {
        return Some(format!("521{rest}"));
    }
    if let Some(rest) = rest("549", 10) {
        return Some(format!("54{rest}"));
    }
    rest("54", 10).map(|rest| format!("549{rest}"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn forms(digits: &str) -> Vec<String> {
        candidates(digits).map(Cow::into_owned).collect()
    }

    #[test]
    fn the_three_countries_have_two_forms_and_each_leads_to_the_other() {
        for (one, other) in
            [("5511987654321", "551187654321"), ("5215512345678", "525512345678"), ("5491123456789", "541123456789")]
        {
            assert_eq!(forms(one), [one, other]);
            assert_eq!(forms(other), [other, one]);
        }
        assert_eq!(forms("551132654321"), ["551132654321"], "a landline has one form");
        assert_eq!(forms("16505551234"), ["16505551234"]);
    }

    #[test]
    fn national_numbers() {
        assert_eq!(national("33644444444"), Some("644444444"));
        assert_eq!(national("16505551234"), Some("6505551234"));
        assert_eq!(national("352621123456"), Some("621123456"));
        assert_eq!(national("0912345678"), None);
        assert_eq!(national("US.134"), None);
    }

    proptest! {
        #[test]
        fn candidates_are_symmetric_and_the_given_one_comes_first(digits in "5[245][0-9]{9,12}|[1-9][0-9]{6,14}") {
            let forms = forms(&digits);
            prop_assert_eq!(forms.first(), Some(&digits));
            for other in &forms {
                prop_assert!(self::forms(other).contains(&digits), "{other} doesn't lead back to {digits}");
            }
        }

        #[test]
        fn nothing_panics(text in ".{0,40}") {
            let _ = (forms(&text), national(&text));
        }
    }
}
