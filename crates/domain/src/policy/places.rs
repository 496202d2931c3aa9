//! Where a recipient may be, by the phone number alone: country and possible time zones.
//! Must not touch: where the person said they are. A phone abroad keeps its number; that is why it is "may be".

use crate::Millis;

/// Possible offsets from UTC, minutes, now: the furthest behind and the furthest ahead.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Offsets {
    /// Furthest behind (west).
    pub west: i16,
    /// Furthest ahead (east); not less than `west`.
    pub east: i16,
}

/// Where a recipient may be.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Place {
    country: Option<[u8; 2]>,
    /// Possible offsets from UTC now; `None`: not known.
    pub offsets: Option<Offsets>,
}

impl Place {
    /// A place by its country (two letters, ISO 3166-1) and offsets.
    #[must_use]
    pub fn new(country: Option<&str>, offsets: Option<Offsets>) -> Self {
        let country = country.and_then(|c| <[u8; 2]>::try_from(c.as_bytes()).ok());
        Self { country: country.filter(|c| c.iter().all(u8::is_ascii_alphabetic)), offsets }
    }

    /// The country, two letters.
    #[must_use]
    pub fn country(&self) -> Option<&str> {
        self.country.as_ref().and_then(|c| std::str::from_utf8(c).ok())
    }
}

/// Knows places by phone number.
pub trait Places: Send + Sync {
    /// Where a phone with these digits (E.164 without `+`) may be at `now`.
    fn place_of(&self, digits: &str, now: Millis) -> Place;
}

/// Places by calling code: offsets in summer and in winter together, so that nobody is woken up for a guess. Countries not
/// listed are unknown. Source: ITU-T E.164 country codes; NANPA's list of area codes outside the United States.
#[derive(Debug, Clone, Copy, Default)]
pub struct CallingCodes;

impl Places for CallingCodes {
    fn place_of(&self, digits: &str, _now: Millis) -> Place {
        let (country, west, east) = match digits.strip_prefix('1') {
            Some(rest) => north_america(rest.get(..3).unwrap_or_default()),
            None => {
                let found = [3, 2, 1].into_iter().find_map(|n| {
                    let code = digits.get(..n)?;
                    CODES.iter().find(|(known, ..)| *known == code)
                });
                let Some((_, country, west, east)) = found else { return Place::default() };
                (Some(*country), *west, *east)
            }
        };
        Place::new(country, Some(Offsets { west, east }))
    }
}

fn north_america(area: &str) -> (Option<&'static str>, i16, i16) {
    if CANADA.contains(&area) {
        return (Some("CA"), -480, -150);
    }
    if ELSEWHERE.contains(&area) {
        return (None, -300, -180);
    }
    // The fifty states lie between Honolulu and the east coast in summer.
    (Some("US"), -600, -240)
}

const CANADA: &[&str] = &[
    "204", "226", "236", "249", "250", "257", "263", "289", "306", "343", "354", "365", "367", "368", "382", "403",
    "416", "418", "428", "431", "437", "438", "450", "460", "468", "474", "506", "514", "519", "548", "579", "581",
    "584", "587", "604", "613", "639", "647", "672", "683", "705", "709", "742", "753", "778", "780", "782", "807",
    "819", "825", "867", "873", "879", "902", "905", "942",
];

/// Caribbean countries of the same calling code.
const ELSEWHERE: &[&str] = &[
    "242", "246", "264", "268", "284", "345", "441", "473", "649", "658", "664", "721", "758", "767", "784", "809",
    "829", "849", "868", "869", "876",
];

/// Calling code, country, offsets in minutes: furthest behind, furthest ahead.
const CODES: &[(&str, &str, i16, i16)] = &[
    ("20", "EG", 120, 180),
    ("27", "ZA", 120, 120),
    ("30", "GR", 120, 180),
    ("31", "NL", 60, 120),
    ("32", "BE", 60, 120),
    ("33", "FR", 60, 120),
    ("34", "ES", 0, 120),
    ("351", "PT", -60, 60),
    ("353", "IE", 0, 60),
    ("36", "HU", 60, 120),
    ("39", "IT", 60, 120),
    ("40", "RO", 120, 180),
    ("41", "CH", 60, 120),
    ("420", "CZ", 60, 120),
    ("43", "AT", 60, 120),
    ("44", "GB", 0, 60),
    ("45", "DK", 60, 120),
    ("46", "SE", 60, 120),
    ("47", "NO", 60, 120),
    ("48", "PL", 60, 120),
    ("49", "DE", 60, 120),
    ("51", "PE", -300, -300),
    ("52", "MX", -480, -300),
    ("54", "AR", -180, -180),
    ("55", "BR", -300, -120),
    ("56", "CL", -360, -180),
    ("57", "CO", -300, -300),
    ("58", "VE", -240, -240),
    ("591", "BO", -240, -240),
    ("593", "EC", -360, -300),
    ("595", "PY", -240, -180),
    ("598", "UY", -180, -180),
    ("60", "MY", 480, 480),
    ("61", "AU", 480, 660),
    ("62", "ID", 420, 540),
    ("63", "PH", 480, 480),
    ("64", "NZ", 720, 825),
    ("65", "SG", 480, 480),
    ("66", "TH", 420, 420),
    ("81", "JP", 540, 540),
    ("82", "KR", 540, 540),
    ("84", "VN", 420, 420),
    ("852", "HK", 480, 480),
    ("853", "MO", 480, 480),
    ("86", "CN", 360, 480),
    ("886", "TW", 480, 480),
    ("880", "BD", 360, 360),
    ("90", "TR", 180, 180),
    ("91", "IN", 330, 330),
    ("92", "PK", 300, 300),
    ("94", "LK", 330, 330),
    ("966", "SA", 180, 180),
    ("971", "AE", 240, 240),
    ("972", "IL", 120, 180),
    ("212", "MA", 0, 60),
    ("213", "DZ", 60, 60),
    ("216", "TN", 60, 60),
    ("233", "GH", 0, 0),
    ("234", "NG", 60, 60),
    ("254", "KE", 180, 180),
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn countries_are_told_by_calling_code() {
        let country = |digits: &str| CallingCodes.place_of(digits, 0).country().map(str::to_owned);
        for (digits, wanted) in [
            ("4915112345678", Some("DE")),
            ("5511987654321", Some("BR")),
            ("886912345678", Some("TW")),
            ("85291234567", Some("HK")),
            ("16505551234", Some("US")),
            ("14165551234", Some("CA")),
            ("18765551234", None),
            ("99912345", None),
            ("", None),
        ] {
            assert_eq!(country(digits).as_deref(), wanted, "{digits}");
        }
    }
}
