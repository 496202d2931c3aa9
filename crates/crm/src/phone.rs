//! A phone number is a set of candidates: the same line is written with and without Brazil's ninth digit, Mexico's `1` and
//! Argentina's `9`. Used to find a person in a CRM; the number itself is never changed.
//! Must not touch: anything but values. Facts: crm-apis sections 0.6 and 7.

/// One way of writing a number.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Candidate {
    /// E.164 digits without `+`.
    pub e164: String,
    /// The same without country code.
    pub national: String,
}

/// The ways in which a number (E.164 digits without `+`) may be stored elsewhere; the number as given comes first. Empty when
/// `digits` is no E.164 number.
#[must_use]
pub fn phone_candidates(digits: &str) -> Vec<Candidate> {
    let mut forms = vec![digits.to_owned()];
    forms.extend(variant(digits));
    forms
        .into_iter()
        .filter_map(|e164| {
            let national = national(&e164)?.to_owned();
            Some(Candidate { e164, national })
        })
        .collect()
}

/// The number without its country code; `None` when `digits` is no E.164 number.
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
    let rest = |prefix: &str, length: usize| digits.strip_prefix(prefix).filter(|rest| rest.len() == length);
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

/// How well a number stored by people fits a person's candidates.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Fit {
    /// The stored number has no country code, and the national number is the same.
    National,
    /// The same number, country code included.
    Full,
}

/// Compares a stored number, written in any way, with the candidates of a person.
#[must_use]
pub fn fit(stored: &str, candidates: &[Candidate]) -> Option<Fit> {
    let digits: String = stored.chars().filter(char::is_ascii_digit).collect();
    let international = stored.trim_start().starts_with('+');
    let bare = if international { digits.as_str() } else { digits.strip_prefix("00").unwrap_or(&digits) };
    if candidates.iter().any(|c| c.e164 == bare) {
        return Some(Fit::Full);
    }
    // With a country code it is another country's number, whatever the rest says.
    if international || bare.len() < digits.len() {
        return None;
    }
    let local = bare.strip_prefix('0').unwrap_or(bare);
    candidates.iter().any(|c| c.national == local).then_some(Fit::National)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn forms(digits: &str) -> Vec<String> {
        phone_candidates(digits).into_iter().map(|c| c.e164).collect()
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
        assert_eq!(forms("US.134"), Vec::<String>::new());
    }

    #[test]
    fn national_numbers() {
        assert_eq!(national("33644444444"), Some("644444444"));
        assert_eq!(national("16505551234"), Some("6505551234"));
        assert_eq!(national("352621123456"), Some("621123456"));
        assert_eq!(national("0912345678"), None);
    }

    #[test]
    fn stored_numbers_fit_in_the_ways_people_write_them() {
        let person = phone_candidates("5511987654321");
        for full in ["+55 11 98765-4321", "5511987654321", "0055 11 98765 4321", "+55 11 8765-4321"] {
            assert_eq!(fit(full, &person), Some(Fit::Full), "{full}");
        }
        for local in ["(11) 98765-4321", "011 98765-4321", "11 8765 4321"] {
            assert_eq!(fit(local, &person), Some(Fit::National), "{local}");
        }
        for other in ["+351 11987654321", "+1 11987654321", "98765-4321", "", "n/a"] {
            assert_eq!(fit(other, &person), None, "{other}");
        }
    }

    proptest! {
        #[test]
        fn a_number_always_fits_itself(digits in "[1-9][0-9]{6,14}") {
            let candidates = phone_candidates(&digits);
            prop_assert_eq!(fit(&format!("+{digits}"), &candidates), Some(Fit::Full));
            prop_assert_eq!(candidates.first().map(|c| c.e164.clone()), Some(digits));
        }

        #[test]
        fn candidates_are_symmetric(digits in "5[245][0-9]{10,11}") {
            for other in forms(&digits) {
                prop_assert!(forms(&other).contains(&digits), "{other} doesn't lead back to {digits}");
            }
        }

        #[test]
        fn nothing_panics(text in ".{0,40}") {
            let _ = (phone_candidates(&text), fit(&text, &phone_candidates("16505551234")));
        }
    }
}
