//! The simulated clock of a CRM: starts where it is told, then follows the runtime's own monotonic time, and jumps when asked.
//! May touch: the host's clock, once. Must not touch: anything else.

use jiff::Timestamp;
use std::sync::atomic::{AtomicI64, Ordering};
use tokio::time::Instant;

/// Epoch milliseconds that never step back.
#[derive(Debug)]
pub(crate) struct Clock {
    start_ms: i64,
    started: Instant,
    jumped_ms: AtomicI64,
}

impl Clock {
    pub(crate) fn starting_at(start_ms: Option<i64>) -> Self {
        Self {
            start_ms: start_ms.unwrap_or_else(|| Timestamp::now().as_millisecond()),
            started: Instant::now(),
            jumped_ms: AtomicI64::new(0),
        }
    }

    pub(crate) fn now_ms(&self) -> i64 {
        let passed = i64::try_from(self.started.elapsed().as_millis()).unwrap_or(i64::MAX);
        self.start_ms.saturating_add(passed).saturating_add(self.jumped_ms.load(Ordering::SeqCst))
    }

    /// Jumps forward, so that tokens and budgets of a day can be seen to run out within a test.
    pub(crate) fn advance(&self, ms: u32) {
        self.jumped_ms.fetch_add(i64::from(ms), Ordering::SeqCst);
    }
}
