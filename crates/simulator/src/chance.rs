//! Seeded chance and latency, so that a run can be repeated.
//! May touch: nothing but its own generator. Must not touch: the clock.

use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};
use serde::{Deserialize, Serialize};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

/// A shared random source. The same seed and the same order of questions give the same answers.
#[derive(Debug)]
pub struct Chance(Mutex<StdRng>);

impl Chance {
    /// A source that starts from `seed`.
    #[must_use]
    pub fn seeded(seed: u64) -> Self {
        Self(Mutex::new(StdRng::seed_from_u64(seed)))
    }

    fn with<T>(&self, draw: impl FnOnce(&mut StdRng) -> T) -> T {
        draw(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// True in the share `p` (0.0 to 1.0) of the calls.
    pub fn happens(&self, p: f64) -> bool {
        p > 0.0 && self.with(|rng| rng.random::<f64>()) < p
    }

    /// A whole number in `0..below`; 0 when `below` is 0.
    pub fn below(&self, below: usize) -> usize {
        if below == 0 { 0 } else { self.with(|rng| rng.random_range(0..below)) }
    }

    /// A random 64-bit number, for identifiers.
    pub fn number(&self) -> u64 {
        self.with(|rng| rng.random())
    }

    /// One of `items`; `None` only when there are none.
    pub fn pick<'a, T>(&self, items: &'a [T]) -> Option<&'a T> {
        items.get(self.below(items.len()))
    }
}

/// How long an answer takes: half are faster than `p50_ms`, one in a hundred slower than `p99_ms`.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Latency {
    /// Median, milliseconds.
    pub p50_ms: u64,
    /// 99th percentile, milliseconds. Below `p50_ms` it counts as `p50_ms`.
    pub p99_ms: u64,
}

impl Latency {
    /// No added latency.
    pub const NONE: Self = Self { p50_ms: 0, p99_ms: 0 };

    /// Draws one latency: log-normal through the two given percentiles.
    pub fn draw(&self, chance: &Chance) -> Duration {
        if self.p99_ms == 0 {
            return Duration::ZERO;
        }
        let (u, v) = chance.with(|rng| (rng.random::<f64>(), rng.random::<f64>()));
        self.at(u, v)
    }

    /// The latency that belongs to two uniform numbers in 0.0..1.0; the same two always give the same latency.
    #[must_use]
    pub fn at(&self, u: f64, v: f64) -> Duration {
        if self.p99_ms == 0 {
            return Duration::ZERO;
        }
        let median = (self.p50_ms.max(1)) as f64;
        let sigma = ((self.p99_ms.max(self.p50_ms).max(1)) as f64 / median).ln() / 2.326;
        let normal = (-2.0 * u.max(1e-12).ln()).sqrt() * (std::f64::consts::TAU * v).cos();
        Duration::from_secs_f64((median * (sigma * normal).exp() / 1000.0).min(600.0))
    }
}

/// A small random stream of its own, named by (seed, purpose, number): what happens to the n-th thing does not depend on
/// which of many concurrent tasks asked first, so runs repeat even under load. SplitMix64; not for secrets.
#[derive(Debug, Clone)]
pub struct Draw(u64);

impl Draw {
    /// The stream of the `number`-th thing of one `purpose`.
    #[must_use]
    pub fn of(seed: u64, purpose: u64, number: u64) -> Self {
        Self(mix(mix(mix(seed) ^ purpose.wrapping_mul(0x9E37_79B9_7F4A_7C15)).wrapping_add(number)))
    }

    /// The next 64 random bits.
    pub fn number(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        mix(self.0)
    }

    /// A uniform number in 0.0..1.0.
    pub fn unit(&mut self) -> f64 {
        (self.number() >> 11) as f64 / (1_u64 << 53) as f64
    }

    /// True in the share `p` (0.0 to 1.0) of the streams.
    pub fn happens(&mut self, p: f64) -> bool {
        self.unit() < p
    }

    /// A whole number in `0..below`; 0 when `below` is 0.
    pub fn below(&mut self, below: usize) -> usize {
        if below == 0 { 0 } else { (self.number() % below as u64) as usize }
    }

    /// One of `items`; `None` only when there are none.
    pub fn pick<'a, T>(&mut self, items: &'a [T]) -> Option<&'a T> {
        items.get(self.below(items.len()))
    }

    /// One latency of this kind.
    pub fn latency(&mut self, kind: &Latency) -> Duration {
        let (u, v) = (self.unit(), self.unit());
        kind.at(u, v)
    }
}

/// The SplitMix64 finaliser: one-to-one, so distinct inputs give distinct outputs (identifiers rely on that).
#[must_use]
pub fn mix(value: u64) -> u64 {
    let z = value.wrapping_add(0x9E37_79B9_7F4A_7C15);
    let z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    let z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    z ^ (z >> 31)
}
