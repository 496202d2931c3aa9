//! The driver: all likely pairs among many people, each once, in near linear time.
//!
//! Keys and the people who have them are one sorted list of numbers: a hash in the upper bits, the person in the lower, 8 bytes a
//! key. People with the same key are a block. Up to [`Settings::block`] of them are compared all with all. A larger block (a
//! switchboard, a birthday that a form fills in) is sorted by name, e-mail, birthday and phone, and each is compared with the
//! [`Settings::window`] that follow. That two hashes agree by chance costs one comparison and no mistake.

use super::keys::keys;
use super::prepared::Prepared;
use super::score::{Crowd, Score, Thresholds, Verdict, score_among};
use serde::{Deserialize, Serialize};

/// How duplicates are looked for. The defaults keep a million people within seconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Settings {
    /// What is done from which score on.
    pub thresholds: Thresholds,
    /// People in a block who are compared all with all. Default 50.
    pub block: usize,
    /// Neighbours each is compared with in a larger block. Default 10.
    pub window: usize,
    /// A phone or e-mail that more different names than this have in common says little. Default 4.
    pub crowd: usize,
}

impl Default for Settings {
    fn default() -> Self {
        Self { thresholds: Thresholds::default(), block: 50, window: 10, crowd: 4 }
    }
}

/// Two people, by their place in what was searched, and how sure it is that they are one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Pair {
    /// The lower place.
    pub a: u32,
    /// The higher place.
    pub b: u32,
    /// How sure, and why.
    pub score: Score,
}

/// What a search found.
#[derive(Debug, Clone, Default)]
pub struct Found {
    /// Every pair from the review threshold on, once, ascending.
    pub pairs: Vec<Pair>,
    /// Comparisons made; a pair with several keys in common counts several times.
    pub compared: u64,
    /// What many share, as it was weighed.
    pub crowd: Crowd,
}

/// Finds the likely pairs among `people`. Needs 8 bytes a key (about eight keys a person) and 16 a pair. Places are 32 bits: of
/// more people than that the rest is not searched.
#[must_use]
pub fn find(people: &[Prepared], settings: &Settings) -> Found {
    let bits = usize::BITS - people.len().leading_zeros();
    let places = (1_u64 << bits) - 1;
    let mut found = Found { crowd: Crowd::of(people, settings.crowd), ..Found::default() };
    let mut entries: Vec<u64> = Vec::with_capacity(people.len().saturating_mul(8));
    let mut own = Vec::new();
    for (place, person) in (0..u32::MAX).zip(people) {
        own.clear();
        keys(person, &mut own);
        entries.extend(own.iter().map(|key| (key & !places) | u64::from(place)));
    }
    entries.sort_unstable();
    entries.dedup();
    let mut search = Search { people, settings, found: &mut found, settled: 0 };
    let mut scratch = Vec::new();
    for block in entries.chunk_by(|a, b| a & !places == b & !places).filter(|block| block.len() > 1) {
        scratch.clear();
        scratch.extend(block.iter().filter_map(|entry| u32::try_from(entry & places).ok()));
        search.block(&mut scratch);
    }
    search.settle();
    found
}

struct Search<'a> {
    people: &'a [Prepared],
    settings: &'a Settings,
    found: &'a mut Found,
    settled: usize,
}

impl Search<'_> {
    fn block(&mut self, block: &mut [u32]) {
        let reach = if block.len() > self.settings.block.max(2) {
            let people = self.people;
            block.sort_by(|a, b| order(people, *a).cmp(&order(people, *b)));
            self.settings.window.max(1)
        } else {
            block.len()
        };
        for (n, a) in block.iter().enumerate() {
            block.iter().skip(n + 1).take(reach).for_each(|b| self.compare(*a, *b));
        }
        // The same pair comes from several blocks: put together now and then, so that memory follows the pairs.
        if self.found.pairs.len() > 2 * self.settled + 100_000 {
            self.settle();
        }
    }

    fn compare(&mut self, a: u32, b: u32) {
        let (a, b) = (a.min(b), a.max(b));
        let at = |place: u32| self.people.get(usize::try_from(place).ok()?);
        let (Some(x), Some(y)) = (at(a), at(b)) else { return };
        self.found.compared += 1;
        let score = score_among(x, y, &self.found.crowd);
        if score.verdict(&self.settings.thresholds) != Verdict::Apart {
            self.found.pairs.push(Pair { a, b, score });
        }
    }

    fn settle(&mut self) {
        self.found.pairs.sort_unstable();
        self.found.pairs.dedup();
        self.settled = self.found.pairs.len();
    }
}

/// What neighbours in a large block have in common: the name above all.
fn order(people: &[Prepared], place: u32) -> Option<(&str, [Option<u64>; 3])> {
    let person = people.get(usize::try_from(place).ok()?)?;
    Some((person.name(), [person.email(), person.birthday().map(u64::from), person.numbers().next()]))
}
