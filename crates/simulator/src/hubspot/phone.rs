//! The calculated, searchable form of a phone number: the national number without country code when the number is
//! international, the bare digits otherwise.
//! May touch: nothing. Must not touch: the stored number.

/// Two-digit calling codes (ITU-T E.164 list); 1 and 7 are the one-digit ones, all others have three digits.
const TWO_DIGITS: [&str; 44] = [
    "20", "27", "30", "31", "32", "33", "34", "36", "39", "40", "41", "43", "44", "45", "46", "47", "48", "49", "51",
    "52", "53", "54", "55", "56", "57", "58", "60", "61", "62", "63", "64", "65", "66", "81", "82", "84", "86", "90",
    "91", "92", "93", "94", "95", "98",
];

/// The digits that HubSpot's `hs_searchable_calculated_*` properties hold for `number`; `None` without any digit.
pub(super) fn searchable(number: &str) -> Option<String> {
    let digits: String = number.chars().filter(char::is_ascii_digit).collect();
    if digits.is_empty() {
        return None;
    }
    let international = match (number.trim_start().starts_with('+'), digits.strip_prefix("00")) {
        (true, _) => Some(digits.as_str()),
        (false, rest) => rest,
    };
    Some(international.and_then(national).map_or_else(|| digits.clone(), ToOwned::to_owned))
}

fn national(digits: &str) -> Option<&str> {
    // E.164 allows 15 digits; below 7 it is a short code, not a subscriber.
    if !(7..=15).contains(&digits.len()) || digits.starts_with('0') {
        return None;
    }
    let length = match digits.get(..2) {
        _ if digits.starts_with(['1', '7']) => 1,
        Some(two) if TWO_DIGITS.contains(&two) => 2,
        _ => 3,
    };
    digits.get(length..).filter(|rest| rest.len() >= 4)
}

#[cfg(test)]
mod tests {
    use super::searchable;

    #[test]
    fn drops_the_country_code_only_when_international() {
        assert_eq!(searchable("+33644444444").as_deref(), Some("644444444"));
        assert_eq!(searchable("+1 (415) 555-0100").as_deref(), Some("4155550100"));
        assert_eq!(searchable("00352 621 123 456").as_deref(), Some("621123456"));
        assert_eq!(searchable("0644444444").as_deref(), Some("0644444444"));
        assert_eq!(searchable("+12").as_deref(), Some("12"));
        assert_eq!(searchable("n/a"), None);
    }
}
