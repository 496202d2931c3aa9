//! A clock that stands still until a test moves it. Sleeping moves it, so that a simulated day runs in seconds.

use async_trait::async_trait;
use ponte_domain::Millis;
use ponte_domain::ports::world::Clock;
use std::sync::atomic::{AtomicI64, Ordering};

/// A manual clock; share it as `Arc<ManualClock>`.
#[derive(Debug)]
pub struct ManualClock(AtomicI64);

impl ManualClock {
    /// A clock that shows `now`.
    #[must_use]
    pub const fn at(now: Millis) -> Self {
        Self(AtomicI64::new(now))
    }

    /// Sets it, forwards or back.
    pub fn set(&self, now: Millis) {
        self.0.store(now, Ordering::SeqCst);
    }

    /// Moves it on; what it shows then.
    pub fn advance(&self, ms: Millis) -> Millis {
        self.0.fetch_add(ms, Ordering::SeqCst) + ms
    }
}

impl Default for ManualClock {
    /// A day in November 2023.
    fn default() -> Self {
        Self::at(1_700_000_000_000)
    }
}

#[async_trait]
impl Clock for ManualClock {
    fn now(&self) -> Millis {
        self.0.load(Ordering::SeqCst)
    }

    /// Moves the clock to where the sleep ends, unless it is there already: sleepers side by side don't add up.
    async fn sleep_ms(&self, ms: Millis) {
        let wake = self.now().saturating_add(ms.max(0));
        self.0.fetch_max(wake, Ordering::SeqCst);
        tokio::task::yield_now().await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn sleeping_moves_it_and_sleepers_side_by_side_share_the_time() {
        let clock = ManualClock::at(1_000);
        clock.sleep_ms(500).await;
        assert_eq!(clock.now(), 1_500);
        let (a, b) = (clock.sleep_ms(100), clock.sleep_ms(300));
        tokio::join!(a, b);
        assert!((1_800..=1_900).contains(&clock.now()), "{}", clock.now());
        clock.sleep_ms(-5).await;
        clock.set(10);
        assert_eq!(clock.advance(5), 15);
    }
}
