//! How fast one number may be worked by this node: the adaptive rate, as an allowance for each claim. What the number itself
//! may do is decided in the claim, where all nodes share it.

use super::CpuMeter;
use super::outcome::Tally;
use crate::World;
use crate::directory::Number;
use ponte_domain::Millis;
use ponte_domain::rate::{AdaptiveRate, Observed};

/// Time between adjustments, milliseconds.
const ADJUST_MS: Millis = 500;
/// An idle allowance grows to at most this many seconds of the rate.
const SAVED_SECONDS: f64 = 0.25;

pub(super) struct Pace {
    rate: AdaptiveRate,
    cpu: CpuMeter,
    saved: f64,
    counted_at: Millis,
    adjusted_at: Millis,
}

impl Pace {
    pub(super) fn new(world: &World, number: &Number, cpu: CpuMeter) -> Self {
        let ceiling = 1_000_000.0 / (number.limits.number.interval_us.max(1) as f64);
        let now = world.clock.now();
        let start = world.settings.start_per_second;
        Self {
            rate: AdaptiveRate::new(start, 5.0, ceiling.max(5.0) * 1.25, world.settings.cpu_ceiling),
            cpu,
            saved: 1.0,
            counted_at: now,
            adjusted_at: now,
        }
    }

    /// Adjusts to what was answered since the last time.
    pub(super) fn adjust(&mut self, now: Millis, tally: &Tally) {
        let elapsed = now - self.adjusted_at;
        if elapsed < ADJUST_MS {
            return;
        }
        self.adjusted_at = now;
        let (succeeded, throttled, timed_out) = tally.take();
        self.rate.observe(Observed {
            seconds: (elapsed as f64 / 1000.0).min(2.0),
            succeeded,
            throttled,
            timed_out,
            cpu: (self.cpu)(),
        });
    }

    /// How many messages may be claimed now.
    pub(super) fn allowance(&mut self, now: Millis) -> usize {
        let elapsed = (now - self.counted_at).max(0) as f64 / 1000.0;
        self.counted_at = now;
        let most = (self.rate.per_second() * SAVED_SECONDS).max(1.0);
        self.saved = (self.saved + elapsed * self.rate.per_second()).min(most);
        self.saved.floor().max(0.0) as usize
    }

    pub(super) fn spend(&mut self, n: usize) {
        self.saved -= n as f64;
    }
}
