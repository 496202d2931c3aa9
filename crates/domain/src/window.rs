//! The 24-hour customer service window and the free entry point. Facts: whatsapp-api section 8.

use crate::{HOUR, MINUTE, Millis};

/// How long a person's message keeps the window open.
pub const SERVICE_WINDOW: Millis = 24 * HOUR;
/// What we stay away from the end, for clocks that differ.
pub const SAFETY_MARGIN: Millis = 2 * MINUTE;

/// End of the window opened by a message of the person at `at`.
#[must_use]
pub const fn closes_at(at: Millis) -> Millis {
    at.saturating_add(SERVICE_WINDOW)
}

/// True when a free-form message may be sent at `now`, given when the window ends.
#[must_use]
pub fn is_open(until: Option<Millis>, now: Millis) -> bool {
    until.is_some_and(|end| now < end.saturating_sub(SAFETY_MARGIN))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn open_until_shortly_before_the_end() {
        let end = closes_at(1_000);
        assert!(is_open(Some(end), 1_000));
        assert!(!is_open(Some(end), end - SAFETY_MARGIN));
        assert!(!is_open(None, 0));
    }
}
