//! Rate limits: a rolling burst window, a day, and a second of searches.
//! May touch: its own counters. Must not touch: the clock; the time is passed in.

use super::config::{Limits, Policy};
use std::collections::VecDeque;

/// A rolling window in steps, so that a large limit costs no more than a small one.
#[derive(Debug)]
struct Window {
    width_ms: i64,
    step_ms: i64,
    steps: VecDeque<(i64, u32)>,
    total: u32,
}

impl Window {
    fn new(width_ms: i64) -> Self {
        Self { width_ms, step_ms: (width_ms / 100).max(1), steps: VecDeque::new(), total: 0 }
    }

    fn used(&mut self, now: i64) -> u32 {
        while let Some((_, count)) = self.steps.front().filter(|(at, _)| at + self.width_ms <= now).copied() {
            self.total = self.total.saturating_sub(count);
            self.steps.pop_front();
        }
        self.total
    }

    fn add(&mut self, now: i64) {
        self.total += 1;
        match self.steps.back_mut().filter(|(at, _)| now - *at < self.step_ms) {
            // Requests of one step (a hundredth of the window) share its time.
            Some((_, count)) => *count += 1,
            None => self.steps.push_back((now, 1)),
        }
    }
}

/// What the rate limit headers of an answer show.
#[derive(Debug, Clone, Copy)]
pub(super) struct Remaining {
    pub(super) burst: u32,
    pub(super) daily: u32,
}

/// The counters of the account.
#[derive(Debug)]
pub(super) struct Limiter {
    burst: Window,
    search: Window,
    day: i64,
    today: u32,
}

impl Limiter {
    pub(super) fn new() -> Self {
        Self { burst: Window::new(10_000), search: Window::new(1_000), day: i64::MIN, today: 0 }
    }

    /// Counts one request, or says which limit it breaks. A refused request is not counted.
    pub(super) fn take(&mut self, search: bool, limits: &Limits, now: i64) -> Result<(), Policy> {
        let day = now.div_euclid(86_400_000);
        if day != self.day {
            (self.day, self.today) = (day, 0);
        }
        if self.today >= limits.daily {
            return Err(Policy::Daily);
        }
        let (window, limit, policy) = if search {
            (&mut self.search, limits.search_per_second, Policy::Secondly)
        } else {
            (&mut self.burst, limits.burst, Policy::TenSecondlyRolling)
        };
        if window.used(now) >= limit {
            return Err(policy);
        }
        window.add(now);
        self.today += 1;
        Ok(())
    }

    pub(super) fn remaining(&mut self, limits: &Limits, now: i64) -> Remaining {
        Remaining {
            burst: limits.burst.saturating_sub(self.burst.used(now)),
            daily: limits.daily.saturating_sub(self.today),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{Limiter, Limits, Policy};

    #[test]
    fn windows_roll_and_do_not_share() {
        let limits = Limits { burst: 2, search_per_second: 1, daily: 5, ..Limits::default() };
        let mut limiter = Limiter::new();
        assert!(limiter.take(false, &limits, 0).is_ok());
        assert!(limiter.take(false, &limits, 5_000).is_ok());
        assert_eq!(limiter.take(false, &limits, 9_999), Err(Policy::TenSecondlyRolling));
        assert!(limiter.take(true, &limits, 9_999).is_ok());
        assert_eq!(limiter.take(true, &limits, 10_500), Err(Policy::Secondly));
        assert!(limiter.take(false, &limits, 10_000).is_ok());
        assert_eq!(limiter.take(false, &limits, 14_999), Err(Policy::TenSecondlyRolling));
        assert!(limiter.take(false, &limits, 15_000).is_ok());
        assert_eq!(limiter.take(true, &limits, 30_000), Err(Policy::Daily));
        assert!(limiter.take(true, &limits, 86_400_000).is_ok());
    }
}
