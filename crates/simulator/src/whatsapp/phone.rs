//! Telephone numbers as the platform reads them: country codes, and the WhatsApp ids that differ from what was dialled.
//! May touch: nothing. Must not touch: state.

/// Calling code and ISO country, longest match first where codes overlap. Enough for believable people, not a directory.
const CALLING_CODES: &[(&str, &str)] = &[
    ("351", "PT"),
    ("353", "IE"),
    ("420", "CZ"),
    ("502", "GT"),
    ("506", "CR"),
    ("591", "BO"),
    ("593", "EC"),
    ("595", "PY"),
    ("598", "UY"),
    ("852", "HK"),
    ("886", "TW"),
    ("966", "SA"),
    ("971", "AE"),
    ("972", "IL"),
    ("234", "NG"),
    ("254", "KE"),
    ("20", "EG"),
    ("27", "ZA"),
    ("31", "NL"),
    ("33", "FR"),
    ("34", "ES"),
    ("39", "IT"),
    ("44", "GB"),
    ("49", "DE"),
    ("51", "PE"),
    ("52", "MX"),
    ("54", "AR"),
    ("55", "BR"),
    ("56", "CL"),
    ("57", "CO"),
    ("60", "MY"),
    ("61", "AU"),
    ("62", "ID"),
    ("65", "SG"),
    ("81", "JP"),
    ("82", "KR"),
    ("90", "TR"),
    ("91", "IN"),
    ("92", "PK"),
    ("1", "US"),
    ("7", "KZ"),
];

/// The digits of a text.
#[must_use]
pub fn digits(text: &str) -> String {
    text.chars().filter(char::is_ascii_digit).collect()
}

/// Calling code and ISO country of a number in digits; `None` when it is not in the small list.
#[must_use]
pub fn country(digits: &str) -> Option<(&'static str, &'static str)> {
    CALLING_CODES.iter().find(|(code, _)| digits.starts_with(code)).copied()
}

/// What `to` means to the platform: with `+` the digits as given; without it the business's own calling code is put in front.
#[must_use]
pub fn dialled(to: &str, business_calling_code: Option<&str>) -> String {
    let number = digits(to);
    match business_calling_code {
        Some(code) if !to.trim_start().starts_with('+') => format!("{code}{number}"),
        _ => number,
    }
}

/// The WhatsApp id of a dialled number: Brazilian mobiles of area codes above 30 lose the ninth digit, those up to 28 have
/// it, Mexican mobiles carry a 1 after the country code.
#[must_use]
pub fn wa_id(number: &str) -> String {
    if let Some(rest) = number.strip_prefix("55") {
        let (area, local) = rest.split_at_checked(2).unwrap_or((rest, ""));
        let high_area = area.parse::<u8>().is_ok_and(|area| area > 30);
        return match (local.len(), high_area) {
            (9, true) if local.starts_with('9') => format!("55{area}{}", local.get(1..).unwrap_or_default()),
            (8, false) if !area.is_empty() && local.starts_with(['6', '7', '8', '9']) => format!("55{area}9{local}"),
            _ => number.to_owned(),
        };
    }
    match number.strip_prefix("52") {
        Some(rest) if rest.len() == 10 => format!("521{rest}"),
        _ => number.to_owned(),
    }
}

/// Whether digits can be a telephone number at all (5 to 15 of them).
#[must_use]
pub fn plausible(digits: &str) -> bool {
    (5..=15).contains(&digits.len()) && digits.bytes().all(|byte| byte.is_ascii_digit()) && !digits.starts_with('0')
}

/// Whether a text has the shape of a business-scoped user id: `CC.` or `CC.ENT.` and up to 128 letters and digits.
#[must_use]
pub fn is_user_id(text: &str) -> bool {
    let Some((land, rest)) = text.split_once('.') else { return false };
    let id = rest.strip_prefix("ENT.").unwrap_or(rest);
    land.len() == 2
        && land.bytes().all(|byte| byte.is_ascii_uppercase())
        && (1..=128).contains(&id.len())
        && id.bytes().all(|byte| byte.is_ascii_alphanumeric())
}

/// Whether a WhatsApp id belongs to the United States: calling code 1, and not one of Canada's area codes.
#[must_use]
pub fn is_us(wa_id: &str) -> bool {
    const CANADA: &[&str] = &[
        "204", "226", "236", "249", "250", "263", "289", "306", "343", "354", "365", "367", "368", "382", "403", "416",
        "418", "428", "431", "437", "438", "450", "468", "474", "506", "514", "519", "548", "579", "581", "584", "587",
        "604", "613", "639", "647", "672", "683", "705", "709", "742", "753", "778", "780", "782", "807", "819", "825",
        "867", "873", "879", "902", "905", "942",
    ];
    wa_id.len() == 11 && wa_id.starts_with('1') && wa_id.get(1..4).is_some_and(|area| !CANADA.contains(&area))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_dialled_and_renamed_as_the_platform_does() {
        for (to, own, expected) in [
            ("+16505551234", Some("55"), "16505551234"),
            ("+1 (650) 555-1234", Some("55"), "16505551234"),
            ("1 (631) 555-1005", Some("91"), "9116315551005"),
            ("5511987654321", None, "5511987654321"),
            ("US.13491208655302741918", None, "13491208655302741918"),
        ] {
            assert_eq!(dialled(to, own), expected, "{to}");
        }
        for (dialled, expected) in [
            ("5531987654321", "553187654321"),
            ("5511987654321", "5511987654321"),
            ("551187654321", "5511987654321"),
            ("525512345678", "5215512345678"),
            ("5215512345678", "5215512345678"),
            ("16505551234", "16505551234"),
        ] {
            assert_eq!(wa_id(dialled), expected);
        }
        assert!(
            is_user_id("US.13491208655302741918")
                && is_user_id("US.ENT.118")
                && !is_user_id("us.1")
                && !is_user_id("US.")
        );
        assert!(is_us("16505551234") && !is_us("14165551234") && !is_us("5511987654321"));
    }
}
