//! Words and phone digits, as search compares them.
//! May touch: nothing. Must not touch: records.

use super::schema::{FieldNo, Kind};
use std::hash::{DefaultHasher, Hash, Hasher};

/// Last digits of a phone number under which it is found.
const DIGITS: usize = 7;

/// The words of a text, lower case: whatever separates them is not seen, so `sales-team` and `sales_team` are the same.
pub(super) fn words(text: &str) -> Vec<String> {
    text.split(|c: char| !c.is_alphanumeric()).filter(|word| !word.is_empty()).map(str::to_lowercase).collect()
}

/// The digits of a phone number.
pub(super) fn digits(text: &str) -> String {
    text.chars().filter(char::is_ascii_digit).collect()
}

/// True when `wanted` occurs in `words`, in order and without a gap.
pub(super) fn contains(words: &[String], wanted: &[String]) -> bool {
    !wanted.is_empty() && words.windows(wanted.len()).any(|window| window == wanted)
}

/// True when a stored number ends with the digits that are searched.
pub(super) fn phone_matches(stored: &str, wanted: &str) -> bool {
    let wanted = digits(wanted);
    !wanted.is_empty() && digits(stored).ends_with(&wanted)
}

/// Where the index keeps records whose `field` has this word or these last digits.
fn slot(field: FieldNo, word: &str) -> u64 {
    let mut hasher = DefaultHasher::new();
    (field, word).hash(&mut hasher);
    hasher.finish()
}

/// The slots of a value; none for kinds that are searched by looking at all records.
pub(super) fn slots(field: FieldNo, kind: Kind, text: &str) -> Vec<u64> {
    match kind {
        Kind::Phone => phone_slot(field, text).into_iter().collect(),
        Kind::Text | Kind::Email | Kind::Website => words(text).iter().map(|word| slot(field, word)).collect(),
        _ => Vec::new(),
    }
}

/// The slot of a phone number; `None` when it has too few digits to be found by its end.
pub(super) fn phone_slot(field: FieldNo, text: &str) -> Option<u64> {
    let digits = digits(text);
    let from = digits.len().checked_sub(DIGITS)?;
    Some(slot(field, digits.get(from..)?))
}

#[cfg(test)]
mod tests {
    use super::{contains, phone_matches, words};

    #[test]
    fn equals_behaves_like_contains_and_separators_do_not_count() {
        assert!(contains(&words("ABC Inc."), &words("abc")));
        assert!(contains(&words("sales-team@zoho.example"), &words("sales_team")));
        assert!(!contains(&words("ABCD"), &words("ABC")));
        assert!(!contains(&words("ABC"), &words("")));
    }

    #[test]
    fn a_number_is_found_by_its_end_and_not_by_more_than_is_stored() {
        assert!(phone_matches("+49 (30) 123-4567", "1234567"));
        assert!(phone_matches("5511999990000", "+55 11 99999-0000"));
        assert!(!phone_matches("(11) 99999-0000", "+5511999990000"));
        assert!(!phone_matches("123", "n/a"));
    }
}
