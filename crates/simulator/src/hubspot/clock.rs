//! The simulated clock: starts where it is told, then follows the runtime's own monotonic time.
//! May touch: the host's clock, once. Must not touch: anything else.

use jiff::Timestamp;
use tokio::time::Instant;

/// Epoch milliseconds that never step back.
#[derive(Debug)]
pub(super) struct Clock {
    start_ms: i64,
    started: Instant,
}

impl Clock {
    pub(super) fn starting_at(start_ms: Option<i64>) -> Self {
        Self { start_ms: start_ms.unwrap_or_else(|| Timestamp::now().as_millisecond()), started: Instant::now() }
    }

    pub(super) fn now_ms(&self) -> i64 {
        self.start_ms.saturating_add(i64::try_from(self.started.elapsed().as_millis()).unwrap_or(i64::MAX))
    }
}

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
