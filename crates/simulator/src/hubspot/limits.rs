//! Rate limits: a rolling burst window, a day, and a second of searches.
//! May touch: its own counters. Must not touch: the clock; the time is passed in.

use super::config::{Limits, Policy};
use crate::window::Window;

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
        window.add(now, 1);
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
