//! Limits as physics: the generic cell rate algorithm on one integer per limiter, and the adaptive rate of dispatch.
//! Both pure; the store keeps the integer, so that nodes share a limit and it survives a restart.

use crate::Millis;
use serde::{Deserialize, Serialize};

/// A rate with a burst: one unit every `interval_us`, and `burst` units may come at once after a pause.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Limit {
    /// Microseconds between units in the long run; at least 1.
    pub interval_us: i64,
    /// Units at once after a long pause; at least 1.
    pub burst: i64,
}

impl Limit {
    /// `units` in every `seconds`, with a burst.
    #[must_use]
    pub fn new(units: u32, seconds: u32, burst: u32) -> Self {
        let interval_us = i64::from(seconds).saturating_mul(1_000_000) / i64::from(units.max(1));
        Self { interval_us: interval_us.max(1), burst: i64::from(burst.max(1)) }
    }

    /// Takes up to `wanted` units at `now`. `tat` is the limiter's state, microseconds (0 when new).
    #[must_use]
    pub fn take(&self, tat: i64, now: Millis, wanted: i64) -> Taken {
        let now_us = now.saturating_mul(1000);
        // No honest state is further ahead than the whole burst: a clock that went back must not stop everything.
        let furthest = now_us.saturating_add(self.burst.saturating_mul(self.interval_us));
        let tat = tat.min(furthest);
        let base = tat.max(now_us);
        let room_us = furthest.saturating_sub(base);
        let granted = (room_us / self.interval_us).clamp(0, wanted.max(0));
        let tat = if granted > 0 { base.saturating_add(granted.saturating_mul(self.interval_us)) } else { tat };
        // The next unit fits once the state is at most (burst - 1) intervals ahead of the clock.
        let next_us = tat.saturating_sub(self.burst.saturating_sub(1).saturating_mul(self.interval_us));
        Taken { granted, tat, next_at: next_us.saturating_add(999).div_euclid(1000).max(now) }
    }
}

/// What a limiter granted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Taken {
    /// Units granted.
    pub granted: i64,
    /// The state to keep.
    pub tat: i64,
    /// When at least one more unit is free.
    pub next_at: Millis,
}

/// How fast dispatch may call: starts low, doubles while all goes well, then creeps; shrinks on what the API and the
/// processor say (R16: from 50 a second, processor below 70 %).
#[derive(Debug, Clone, PartialEq)]
pub struct AdaptiveRate {
    rate: f64,
    floor: f64,
    ceiling: f64,
    cpu_ceiling: f64,
    /// Grows slowly since the last trouble; after some calm it doubles again.
    creeping: bool,
    calm_seconds: f64,
}

/// So much calm, seconds, ends the caution after a trouble.
const CALM: f64 = 5.0;

/// What was seen since the last adjustment.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Observed {
    /// Length of the interval, seconds.
    pub seconds: f64,
    /// Calls answered well.
    pub succeeded: u32,
    /// Calls answered with a throttle of the number or account.
    pub throttled: u32,
    /// Time-outs and broken connections.
    pub timed_out: u32,
    /// Share of all processors that this program used, 0 to 1.
    pub cpu: f64,
}

impl AdaptiveRate {
    /// Starts at `start` calls a second, never below `floor`, never above `ceiling`.
    #[must_use]
    pub fn new(start: f64, floor: f64, ceiling: f64, cpu_ceiling: f64) -> Self {
        let floor = floor.max(1.0);
        let ceiling = ceiling.max(floor);
        Self { rate: start.clamp(floor, ceiling), floor, ceiling, cpu_ceiling, creeping: false, calm_seconds: 0.0 }
    }

    /// Calls a second allowed now.
    #[must_use]
    pub const fn per_second(&self) -> f64 {
        self.rate
    }

    /// Takes in what was seen and adjusts.
    pub fn observe(&mut self, seen: Observed) {
        let answered = f64::from(seen.succeeded) + f64::from(seen.throttled) + f64::from(seen.timed_out);
        if answered == 0.0 {
            return;
        }
        let share = |n: u32| f64::from(n) / answered;
        let timeouts_hurt = share(seen.timed_out) > 0.1 && seen.timed_out > 1;
        let trouble = if share(seen.throttled) > 0.05 || timeouts_hurt {
            0.7
        } else if seen.throttled > 0 || seen.cpu > self.cpu_ceiling {
            0.9
        } else {
            1.0
        };
        if trouble < 1.0 {
            self.creeping = true;
            self.calm_seconds = 0.0;
            self.rate *= trouble;
            self.rate = self.rate.clamp(self.floor, self.ceiling);
            return;
        }
        self.calm_seconds += seen.seconds;
        self.creeping &= self.calm_seconds < CALM;
        if f64::from(seen.succeeded) >= 0.7 * self.rate * seen.seconds {
            // Only a rate that was used has proved anything.
            self.rate *= if self.creeping { 1.0 + 0.1 * seen.seconds } else { 2.0_f64.powf(seen.seconds) };
        }
        self.rate = self.rate.clamp(self.floor, self.ceiling);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn never_more_than_rate_plus_burst(units in 1u32..2000, burst in 1u32..100,
            steps in proptest::collection::vec((0i64..200, 0i64..50), 1..200)) {
            let limit = Limit::new(units, 1, burst);
            let (mut now, mut tat, mut total) = (1_700_000_000_000_i64, 0, 0);
            let start = now;
            for (pause, wanted) in steps {
                now += pause;
                let taken = limit.take(tat, now, wanted);
                tat = taken.tat;
                total += taken.granted;
                prop_assert!(taken.granted <= wanted);
                let allowed = (now - start) * 1000 / limit.interval_us + limit.burst;
                prop_assert!(total <= allowed, "{} > {}", total, allowed);
            }
        }

        #[test]
        fn next_at_tells_the_truth(units in 1u32..2000, burst in 1u32..50, take in 1i64..200) {
            let limit = Limit::new(units, 1, burst);
            let taken = limit.take(0, 1_000_000, take);
            prop_assert_eq!(limit.take(taken.tat, taken.next_at, 1).granted, 1);
            if taken.next_at > 1_000_000 + 1 {
                prop_assert_eq!(limit.take(taken.tat, taken.next_at - 2, 1).granted, 0);
            }
        }

        #[test]
        fn the_adaptive_rate_stays_in_bounds(seen in proptest::collection::vec((0u32..2000, 0u32..5, 0u32..50, 0.0f64..1.0), 0..100)) {
            let mut rate = AdaptiveRate::new(50.0, 5.0, 1000.0, 0.7);
            for (succeeded, throttled, timed_out, cpu) in seen {
                rate.observe(Observed { seconds: 0.5, succeeded, throttled, timed_out, cpu });
                prop_assert!((5.0..=1000.0).contains(&rate.per_second()));
            }
        }
    }

    #[test]
    fn a_clock_that_goes_back_stops_nothing_for_long() {
        let limit = Limit::new(80, 1, 8);
        let tat = limit.take(0, 2_000_000_000, 8).tat;
        let earlier = limit.take(tat, 1_000_000_000, 1);
        assert!(earlier.next_at <= 1_000_000_000 + 20);
    }

    #[test]
    fn the_adaptive_rate_climbs_fast_and_backs_off() {
        let mut rate = AdaptiveRate::new(50.0, 5.0, 1000.0, 0.7);
        let mut seconds = 0.0;
        while rate.per_second() < 999.0 {
            let done = rate.per_second() * 0.5;
            rate.observe(Observed { seconds: 0.5, succeeded: done.round() as u32, ..Observed::default() });
            seconds += 0.5;
        }
        assert!(seconds <= 5.0, "{seconds}");
        rate.observe(Observed { seconds: 0.5, succeeded: 400, throttled: 3, ..Observed::default() });
        assert!((rate.per_second() - 900.0).abs() < 1.0, "a few throttles cost a little");
        rate.observe(Observed { seconds: 0.5, succeeded: 300, throttled: 100, ..Observed::default() });
        assert!((rate.per_second() - 630.0).abs() < 1.0, "many cost much");
        for _ in 0..11 {
            let done = rate.per_second() * 0.5;
            rate.observe(Observed { seconds: 0.5, succeeded: done.round() as u32, ..Observed::default() });
        }
        assert!(rate.per_second() > 999.0, "calm brings it back");
    }
}
