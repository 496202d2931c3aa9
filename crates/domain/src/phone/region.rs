//! Countries and territories, by the two letters of ISO 3166-1 as libphonenumber uses them.

use super::plan;
use serde::{Deserialize, Serialize};
use std::fmt;

/// A country or territory with a numbering plan: two capitals of ISO 3166-1 (also `AC`, `TA`, `XK`), or [`Region::WORLD`].
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Region([u8; 2]);

impl Region {
    /// International networks (`+870`, `+883`) that belong to no country. Written `001`, as in Unicode's CLDR.
    pub const WORLD: Self = Self(*b"01");

    /// The region of that code, in capitals or not. `None` when there is no numbering plan for it.
    #[must_use]
    pub fn new(code: &str) -> Option<Self> {
        let code = code.trim();
        if code == "001" {
            return Some(Self::WORLD);
        }
        let region = Self::of_letters(code)?;
        region.calling_code().map(|_| region)
    }

    /// Without asking for a numbering plan.
    pub(super) fn of_letters(code: &str) -> Option<Self> {
        let letters: [u8; 2] = code.as_bytes().try_into().ok()?;
        letters.iter().all(u8::is_ascii_alphabetic).then(|| Self(letters.map(|b| b.to_ascii_uppercase())))
    }

    /// Two capitals, or `001`.
    #[must_use]
    pub fn as_str(&self) -> &str {
        if *self == Self::WORLD { "001" } else { std::str::from_utf8(&self.0).unwrap_or("001") }
    }

    /// Its country calling code, `886` for `TW`. Several regions may share one. `None` for [`Region::WORLD`].
    #[must_use]
    pub fn calling_code(self) -> Option<u16> {
        plan::calling_code(self)
    }
}

impl fmt::Display for Region {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl fmt::Debug for Region {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Region({self})")
    }
}

impl TryFrom<String> for Region {
    type Error = String;

    fn try_from(code: String) -> Result<Self, String> {
        Self::new(&code).ok_or_else(|| "expected a country code of two letters, such as TW".to_owned())
    }
}

impl From<Region> for String {
    fn from(region: Region) -> Self {
        region.as_str().to_owned()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_region_is_a_country_with_a_numbering_plan() {
        assert_eq!(Region::new("tw").map(|r| r.to_string()).as_deref(), Some("TW"));
        assert_eq!(Region::new("TW").and_then(Region::calling_code), Some(886));
        assert_eq!(Region::new("001"), Some(Region::WORLD));
        for odd in ["", "T", "TWN", "ZZ", "QQ", "台灣", "01", "1T"] {
            assert_eq!(Region::new(odd), None, "{odd}");
        }
    }

    #[test]
    fn a_region_is_stored_as_its_code() {
        for code in ["TW", "001"] {
            let region = Region::new(code).unwrap();
            let stored = serde_json::to_string(&region).unwrap();
            assert_eq!(stored, format!("\"{code}\""));
            assert_eq!(serde_json::from_str::<Region>(&stored).unwrap(), region);
        }
        assert!(serde_json::from_str::<Region>("\"Taiwan\"").is_err());
    }
}
