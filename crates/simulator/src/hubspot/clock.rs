//! Times as HubSpot writes and takes them.
//! May touch: nothing. Must not touch: the clock.

use jiff::Timestamp;

/// ISO 8601 in UTC, as HubSpot writes times.
pub(super) fn iso(ms: i64) -> String {
    Timestamp::from_millisecond(ms).unwrap_or(Timestamp::UNIX_EPOCH).to_string()
}

/// Epoch milliseconds of an ISO 8601 time or of a whole number of milliseconds.
pub(super) fn parse_ms(text: &str) -> Option<i64> {
    match text.parse::<i64>() {
        Ok(ms) => Timestamp::from_millisecond(ms).is_ok().then_some(ms),
        Err(_) => text.parse::<Timestamp>().ok().map(Timestamp::as_millisecond),
    }
}
