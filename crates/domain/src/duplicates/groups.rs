//! From pairs to merges. That A is B and B is C doesn't make A and C one person: who joins a merge without asking is linked to
//! its survivor himself, and contradicts nobody in it. The rest is for a person to look at.

use super::find::{Found, Pair};
use super::prepared::Prepared;
use super::score::{Thresholds, Verdict, score_among};
use std::cmp::Ordering;

/// A merge that may be made without asking.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Merge {
    /// Who stays.
    pub survivor: u32,
    /// Who becomes part of the survivor, with the pair that says why.
    pub others: Vec<Pair>,
}

/// What is to be done with the pairs of a search.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Grouped {
    /// Without asking. Nobody is in two of them.
    pub merges: Vec<Merge>,
    /// For a person to look at: every other pair, ascending, but for those whose two people are in one merge.
    pub review: Vec<Pair>,
}

/// Groups what [`super::find`] found. `stays` orders people: the lesser of two stays (see [`crate::survivorship::survivor`]); it
/// must be a total order.
pub fn groups(
    people: &[Prepared],
    found: &Found,
    thresholds: &Thresholds,
    mut stays: impl FnMut(u32, u32) -> Ordering,
) -> Grouped {
    let sure: Vec<Pair> =
        found.pairs.iter().filter(|p| p.score.verdict(thresholds) == Verdict::Automatic).copied().collect();
    let mut linked: Vec<(u32, u32, Pair)> = sure.iter().flat_map(|p| [(p.a, p.b, *p), (p.b, p.a, *p)]).collect();
    linked.sort_unstable();
    let mut members: Vec<u32> = linked.iter().map(|l| l.0).collect();
    members.dedup();
    let mut sets = Sets::new(members);
    sure.iter().for_each(|p| sets.unite(p.a, p.b));

    let at = |place: u32| people.get(usize::try_from(place).ok()?);
    let agree = |a: u32, b: u32| match (at(a), at(b)) {
        (Some(x), Some(y)) => score_among(x, y, &found.crowd).verdict(thresholds) != Verdict::Apart,
        _ => false,
    };
    // Who is in which merge, by the survivor.
    let mut taken: Vec<Option<u32>> = vec![None; sets.members.len()];
    let mut grouped = Grouped::default();
    for mut component in sets.components() {
        component.sort_by(|a, b| stays(*a, *b));
        for survivor in &component {
            if sets.slot(*survivor).and_then(|s| *taken.get(s)?).is_some() {
                continue;
            }
            let from = linked.partition_point(|l| l.0 < *survivor);
            let mut near: Vec<(u32, Pair)> =
                linked.iter().skip(from).take_while(|l| l.0 == *survivor).map(|l| (l.1, l.2)).collect();
            near.sort_by(|a, b| stays(a.0, b.0));
            let mut inside: Vec<u32> = Vec::new();
            let mut others = Vec::new();
            for (other, pair) in near {
                let Some(slot) = sets.slot(other).and_then(|s| taken.get_mut(s)).filter(|t| t.is_none()) else {
                    continue;
                };
                if inside.iter().all(|member| agree(*member, other)) {
                    *slot = Some(*survivor);
                    inside.push(other);
                    others.push(pair);
                }
            }
            if !others.is_empty() {
                if let Some(slot) = sets.slot(*survivor).and_then(|s| taken.get_mut(s)) {
                    *slot = Some(*survivor);
                }
                grouped.merges.push(Merge { survivor: *survivor, others });
            }
        }
    }
    let of = |place: u32| sets.slot(place).and_then(|s| *taken.get(s)?);
    grouped.review = found.pairs.iter().filter(|p| of(p.a).is_none() || of(p.a) != of(p.b)).copied().collect();
    grouped
}

/// Union-find over the people who are in some pair.
struct Sets {
    members: Vec<u32>,
    parent: Vec<usize>,
}

impl Sets {
    /// `members` ascending, each once.
    fn new(members: Vec<u32>) -> Self {
        let parent = (0..members.len()).collect();
        Self { members, parent }
    }

    fn slot(&self, member: u32) -> Option<usize> {
        self.members.binary_search(&member).ok()
    }

    fn root(&mut self, mut slot: usize) -> usize {
        while let Some(up) = self.parent.get(slot).copied().filter(|up| *up != slot) {
            let above = self.parent.get(up).copied().unwrap_or(up);
            if let Some(parent) = self.parent.get_mut(slot) {
                *parent = above;
            }
            slot = above;
        }
        slot
    }

    fn unite(&mut self, a: u32, b: u32) {
        let (Some(a), Some(b)) = (self.slot(a), self.slot(b)) else { return };
        let (a, b) = (self.root(a), self.root(b));
        // The lower one stays the root, so that the outcome doesn't depend on the order of pairs.
        if let Some(parent) = self.parent.get_mut(a.max(b)) {
            *parent = a.min(b);
        }
    }

    fn components(&mut self) -> Vec<Vec<u32>> {
        let mut rooted: Vec<(usize, u32)> = Vec::with_capacity(self.members.len());
        for slot in 0..self.members.len() {
            let root = self.root(slot);
            rooted.extend(self.members.get(slot).map(|m| (root, *m)));
        }
        rooted.sort_unstable();
        rooted.chunk_by(|a, b| a.0 == b.0).map(|c| c.iter().map(|(_, m)| *m).collect()).collect()
    }
}
