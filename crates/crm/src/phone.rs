//! Compares a person's number with what people wrote into a CRM. In which ways a line is known is the domain's knowledge
//! (`ponte_domain::phone`); the number itself is never changed.
//! Must not touch: anything but values. Facts: crm-apis sections 0.6 and 7.

use ponte_domain::phone::{candidates, national};

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
    candidates(digits)
        .filter_map(|e164| {
            let national = national(&e164)?.to_owned();
            Some(Candidate { e164: e164.into_owned(), national })
        })
        .collect()
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
