//! Keeps calls within what a CRM is known to allow: a rolling window of our own, what the answers' headers say, and pauses after
//! it said that a limit was met.
//! Must not touch: the clock (times are passed in, sleeps are the runtime's).

use ponte_domain::Millis;
use std::collections::VecDeque;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

/// What an answer's headers say of the limit (HubSpot: `X-HubSpot-RateLimit-{Max,Remaining,Interval-Milliseconds}`).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Told {
    pub(crate) max: u32,
    pub(crate) remaining: u32,
    pub(crate) interval_ms: Millis,
}

/// The rules, pure.
#[derive(Debug)]
pub(crate) struct Window {
    /// As configured; the headers can only lower it.
    most: u32,
    limit: u32,
    percent: u32,
    width_ms: Millis,
    sent: VecDeque<Millis>,
    hold_until: Millis,
}

impl Window {
    pub(crate) const fn new(limit: u32, percent: u32, width_ms: Millis) -> Self {
        Self { most: limit, limit, percent, width_ms, sent: VecDeque::new(), hold_until: Millis::MIN }
    }

    /// Takes a place, or says how long to wait.
    pub(crate) fn take(&mut self, now: Millis) -> Result<(), Millis> {
        while self.sent.front().is_some_and(|at| at.saturating_add(self.width_ms) <= now) {
            self.sent.pop_front();
        }
        if now < self.hold_until {
            return Err(self.hold_until - now);
        }
        let used = self.sent.len();
        let limit = self.limit as usize;
        if used >= limit {
            let oldest = self.sent.front().copied().unwrap_or(now);
            return Err((oldest.saturating_add(self.width_ms) - now).max(1));
        }
        // The last quarter is given out evenly, so that a burst ends in a steady flow instead of a full stop.
        if used * 4 >= limit * 3 && limit >= 8 {
            let gap = self.width_ms / Millis::from(self.limit);
            let last = self.sent.back().copied().unwrap_or(Millis::MIN);
            if now - last < gap {
                return Err(gap - (now - last));
            }
        }
        self.sent.push_back(now);
        Ok(())
    }

    /// Nothing goes out for `ms` from `now`.
    pub(crate) fn hold(&mut self, now: Millis, ms: Millis) {
        self.hold_until = self.hold_until.max(now.saturating_add(ms));
    }

    /// Takes in what an answer said: a lower limit than configured is obeyed, and others' use of the same budget shows as
    /// fewer calls remaining than our own count leaves.
    pub(crate) fn told(&mut self, now: Millis, told: Told) {
        if told.max > 0 {
            self.limit = self.most.min((told.max.saturating_mul(self.percent) / 100).max(1));
        }
        // The rest of the budget belongs to the safety share: wait for a tenth of the window to pass before asking again.
        let reserve = told.max.saturating_mul(100 - self.percent.min(100)) / 100 / 2;
        if told.remaining <= reserve {
            self.hold(now, (told.interval_ms / 10).clamp(1, self.width_ms));
        }
    }
}

/// A window to share between tasks.
pub(crate) struct Pacer {
    window: Mutex<Window>,
    /// Who waits is served in the order of coming.
    queue: tokio::sync::Mutex<()>,
    clock: ponte_net::Clock,
    max_wait_ms: Millis,
}

impl Pacer {
    pub(crate) fn new(window: Window, max_wait_ms: Millis, clock: ponte_net::Clock) -> Self {
        Self { window: Mutex::new(window), queue: tokio::sync::Mutex::new(()), clock, max_wait_ms }
    }

    /// Waits for a place; gives up with the milliseconds still to wait when that is longer than allowed.
    pub(crate) async fn turn(&self) -> Result<(), Millis> {
        let came_at = (self.clock)();
        let _turn = self.queue.lock().await;
        loop {
            let wait = match self.with(Window::take) {
                Ok(()) => return Ok(()),
                Err(wait) => wait,
            };
            if (self.clock)() - came_at + wait > self.max_wait_ms {
                return Err(wait);
            }
            tokio::time::sleep(Duration::from_millis(wait.unsigned_abs())).await;
        }
    }

    pub(crate) fn hold(&self, ms: Millis) {
        self.with(|window, now| window.hold(now, ms));
    }

    pub(crate) fn told(&self, told: Told) {
        self.with(|window, now| window.told(now, told));
    }

    /// Until when nothing goes out, when that is in the future.
    pub(crate) fn held_until(&self) -> Option<Millis> {
        self.with(|window, now| (window.hold_until > now).then_some(window.hold_until))
    }

    fn with<T>(&self, act: impl FnOnce(&mut Window, Millis) -> T) -> T {
        let now = (self.clock)();
        act(&mut self.window.lock().unwrap_or_else(PoisonError::into_inner), now)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn what_the_headers_say_is_obeyed() {
        let mut window = Window::new(171, 90, 10_000);
        window.told(0, Told { max: 100, remaining: 50, interval_ms: 10_000 });
        let mut now = 0;
        let mut sent = 0;
        while now < 10_000 {
            match window.take(now) {
                Ok(()) => sent += 1,
                Err(wait) => now += wait,
            }
        }
        assert!((85..=90).contains(&sent), "{sent}");
        window.told(20_000, Told { max: 100, remaining: 4, interval_ms: 10_000 });
        assert_eq!(window.take(20_000), Err(1_000), "someone else used the budget");
        assert_eq!(window.take(21_000), Ok(()));
        window.hold(21_000, 5_000);
        assert_eq!(window.take(22_000), Err(4_000));
    }

    proptest! {
        #[test]
        fn no_window_ever_holds_more_than_the_limit(limit in 1u32..200, steps in proptest::collection::vec(0i64..400, 1..600)) {
            let mut window = Window::new(limit, 90, 10_000);
            let (mut now, mut sent) = (0, Vec::new());
            for step in steps {
                now += step;
                if window.take(now).is_ok() {
                    sent.push(now);
                }
                let inside = sent.iter().filter(|at| **at > now - 10_000).count();
                prop_assert!(inside <= limit as usize);
            }
        }

        #[test]
        fn waiting_as_told_always_leads_to_a_place(limit in 1u32..200, before in 0usize..300) {
            let mut window = Window::new(limit, 90, 10_000);
            let mut now = 0;
            for _ in 0..=before {
                let mut rounds = 0;
                while let Err(wait) = window.take(now) {
                    prop_assert!(wait > 0);
                    now += wait;
                    rounds += 1;
                    prop_assert!(rounds < 4);
                }
            }
        }
    }
}
