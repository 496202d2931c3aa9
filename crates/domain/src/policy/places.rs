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
