//! Chance and identifiers from a seed: the same seed, the same run.

use ponte_domain::ids::IdSource;
use ponte_domain::ports::world::Chance;
use std::sync::atomic::{AtomicU64, Ordering};
use uuid::Uuid;

/// The step of the SplitMix64 generator (Steele, Lea, Flood 2014).
const STEP: u64 = 0x9E37_79B9_7F4A_7C15;

fn mix(state: u64) -> u64 {
    let z = (state ^ (state >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    let z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    z ^ (z >> 31)
}

/// Chance from a seed.
#[derive(Debug)]
pub struct SeededChance(AtomicU64);

impl SeededChance {
    /// Starts at a seed.
    #[must_use]
    pub const fn new(seed: u64) -> Self {
        Self(AtomicU64::new(seed))
    }

    /// The next 64 bits.
    pub fn bits(&self) -> u64 {
        mix(self.0.fetch_add(STEP, Ordering::Relaxed).wrapping_add(STEP))
    }

    /// A number below `n`; 0 when `n` is 0.
    pub fn below(&self, n: u64) -> u64 {
        self.bits().checked_rem(n).unwrap_or(0)
    }

    /// Puts the items in another order.
    pub fn shuffle<T>(&self, items: &mut [T]) {
        for i in (1..items.len()).rev() {
            let j = usize::try_from(self.below(i as u64 + 1)).unwrap_or(0);
            items.swap(i, j);
        }
    }
}

impl Chance for SeededChance {
    fn draw(&self) -> f64 {
        // 53 bits fill the mantissa.
        (self.bits() >> 11) as f64 / (1_u64 << 53) as f64
    }

    fn secret(&self) -> [u8; 32] {
        let mut bytes = [0; 32];
        bytes.chunks_exact_mut(8).for_each(|chunk| chunk.copy_from_slice(&self.bits().to_le_bytes()));
        bytes
    }
}

/// Identifiers from a seed: version 7, growing, different for different seeds.
#[derive(Debug)]
pub struct SeededIds {
    seed: u64,
    next: AtomicU64,
}

impl SeededIds {
    /// Starts at a seed.
    #[must_use]
    pub const fn new(seed: u64) -> Self {
        Self { seed, next: AtomicU64::new(0) }
    }
}

impl IdSource for SeededIds {
    fn next(&self) -> Uuid {
        let n = self.next.fetch_add(1, Ordering::Relaxed);
        // 48 bits that grow, version 7, then bits of the seed and the number under the variant.
        let time = u128::from((1_700_000_000_000 + n) & 0xFFFF_FFFF_FFFF) << 80;
        let chance = u128::from(mix(self.seed.wrapping_mul(STEP) ^ n)) & 0x3FFF_FFFF_FFFF_FFFF;
        let seed = u128::from(mix(self.seed) & 0xFFF) << 64;
        Uuid::from_u128(time | (7 << 76) | seed | (0b10 << 62) | chance)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_seed_the_same_run() {
        let draw = |seed| {
            let chance = SeededChance::new(seed);
            (0..8).map(|_| chance.draw()).collect::<Vec<_>>()
        };
        assert_eq!(draw(7), draw(7));
        assert_ne!(draw(7), draw(8));
        assert!(draw(7).iter().all(|d| (0.0..1.0).contains(d)));
    }

    #[test]
    fn identifiers_grow_and_differ_between_seeds() {
        let (a, b) = (SeededIds::new(1), SeededIds::new(2));
        let mut all: Vec<Uuid> = (0..1000).map(|_| a.next()).collect();
        assert!(all.is_sorted());
        assert!(all.iter().all(|id| id.get_version_num() == 7));
        all.extend((0..1000).map(|_| b.next()));
        all.sort();
        all.dedup();
        assert_eq!(all.len(), 2000);
    }
}
