//! Allowances: requests, bulk jobs and events of 24 hours; long requests at the same time.
//! May touch: its own counters. Must not touch: the clock; the time is passed in.

use super::config::{Allowance, Limits};
use crate::window::Window;
use std::collections::HashMap;

const DAY_MS: i64 = 86_400_000;

/// The counters of the org.
#[derive(Debug)]
pub(super) struct Limiter {
    pub(super) requests: Window,
    pub(super) bulk_batches: Window,
    pub(super) bulk_queries: Window,
    /// Requests under way and when they began.
    running: HashMap<u64, i64>,
    tickets: u64,
}

impl Limiter {
    pub(super) fn new() -> Self {
        let day = || Window::new(DAY_MS);
        Self { requests: day(), bulk_batches: day(), bulk_queries: day(), running: HashMap::new(), tickets: 0 }
    }

    /// Counts one request of the API. A refused one is not counted.
    pub(super) fn take(&mut self, limits: &Limits, now: i64) -> Result<(), Allowance> {
        if self.requests.used(now) >= limits.daily_requests {
            return Err(Allowance::Total);
        }
        let long = self.running.values().filter(|began| now.saturating_sub(**began) >= limits.long_request_ms).count();
        if long >= limits.concurrent_long {
            return Err(Allowance::Concurrent);
        }
        self.requests.add(now, 1);
        Ok(())
    }

    /// A request begins; the ticket ends it.
    pub(super) fn begin(&mut self, now: i64) -> u64 {
        self.tickets += 1;
        self.running.insert(self.tickets, now);
        self.tickets
    }

    pub(super) fn end(&mut self, ticket: u64) {
        self.running.remove(&ticket);
    }
}

#[cfg(test)]
mod tests {
    use super::{Allowance, Limiter, Limits};

    #[test]
    fn long_requests_close_the_door_until_one_ends_and_a_day_rolls() {
        let limits = Limits { daily_requests: 3, concurrent_long: 1, long_request_ms: 20_000, ..Limits::default() };
        let mut limiter = Limiter::new();
        let ticket = limiter.begin(0);
        assert_eq!(limiter.take(&limits, 19_999), Ok(()));
        assert_eq!(limiter.take(&limits, 20_000), Err(Allowance::Concurrent));
        limiter.end(ticket);
        assert_eq!(limiter.take(&limits, 20_000), Ok(()));
        assert_eq!(limiter.take(&limits, 20_000), Ok(()));
        assert_eq!(limiter.take(&limits, 30_000), Err(Allowance::Total));
        assert_eq!(limiter.take(&limits, 20_000 + 86_400_000), Ok(()));
    }
}
