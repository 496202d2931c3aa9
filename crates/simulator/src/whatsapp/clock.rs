//! The one place where the simulator reads the wall clock.
//! May touch: the system clock. Must not touch: anything else.

use std::sync::Arc;

/// Epoch milliseconds from the machine's clock.
#[must_use]
#[expect(
    clippy::disallowed_methods,
    reason = "the single reading of the wall clock; everything else is handed a Clock"
)]
pub fn now_ms() -> i64 {
    std::time::SystemTime::now()
        .duration_since(std::time::UNIX_EPOCH)
        .map_or(0, |since| i64::try_from(since.as_millis()).unwrap_or(i64::MAX))
}

/// Where the simulator takes the time of day from. Replace it to move through windows and limits without waiting;
/// delays (latency, retries) always run on the runtime's own timer.
#[derive(Clone)]
pub struct Clock(Arc<dyn Fn() -> i64 + Send + Sync>);

impl Clock {
    /// A clock that asks `read` for epoch milliseconds.
    pub fn from_fn(read: impl Fn() -> i64 + Send + Sync + 'static) -> Self {
        Self(Arc::new(read))
    }

    /// Epoch milliseconds.
    #[must_use]
    pub fn now_ms(&self) -> i64 {
        (self.0)()
    }
}

impl Default for Clock {
    fn default() -> Self {
        Self::from_fn(now_ms)
    }
}

impl std::fmt::Debug for Clock {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Clock")
    }
}
