//! Finding duplicates, measured on people who don't exist. `cargo xtask bench duplicates` measures more of them and prints.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing, clippy::panic)]

use ponte_domain::duplicates::{Card, Found, Grouped, Prepared, Settings, find, groups};
use ponte_testkit::people::{Made, people};
use std::collections::{BTreeMap, BTreeSet};

fn prepared(cards: &[Made]) -> Vec<Prepared> {
    let one = |card: &Made| {
        let phones: Vec<&str> = card.phones.iter().map(String::as_str).collect();
        Prepared::new(&Card {
            name: card.name.as_deref(),
            email: card.email.as_deref(),
            phones: &phones,
            birthday: card.birthday.as_deref(),
            company: card.company.as_deref(),
            city: card.city.as_deref(),
        })
    };
    cards.iter().map(one).collect()
}

type Pairs = BTreeSet<(u32, u32)>;

fn all_pairs(members: &[u32]) -> Pairs {
    members.iter().flat_map(|a| members.iter().filter(move |b| *b > a).map(move |b| (*a, *b))).collect()
}

struct Searched {
    cards: Vec<Made>,
    found: Found,
    grouped: Grouped,
    /// Pairs of cards that are one person.
    truth: Pairs,
    /// Pairs of cards that a merge makes one.
    merged: Pairs,
}

fn search(count: usize, seed: u64) -> Searched {
    let cards = people(count, seed);
    let ready = prepared(&cards);
    let settings = Settings::default();
    let found = find(&ready, &settings);
    let grouped = groups(&ready, &found, &settings.thresholds, |a, b| a.cmp(&b));
    let mut owners: BTreeMap<u32, Vec<u32>> = BTreeMap::new();
    for (place, card) in (0..).zip(&cards) {
        owners.entry(card.person).or_default().push(place);
    }
    let truth = owners.values().flat_map(|cards| all_pairs(cards)).collect();
    let members = |m: &ponte_domain::duplicates::Merge| {
        let all: BTreeSet<u32> = m.others.iter().flat_map(|p| [p.a, p.b]).collect();
        all_pairs(&all.into_iter().collect::<Vec<_>>())
    };
    let merged = grouped.merges.iter().flat_map(members).collect();
    Searched { cards, found, grouped, truth, merged }
}

impl Searched {
    fn show(&self, pair: &(u32, u32)) -> String {
        let (a, b) = (&self.cards[pair.0 as usize], &self.cards[pair.1 as usize]);
        let score =
            self.found.pairs.iter().find(|p| (p.a, p.b) == *pair).map(|p| (p.score.permille, p.score.reasons.codes()));
        format!("{score:?}\n  {a:?}\n  {b:?}")
    }
}

#[test]
fn automatic_merges_are_right_and_few_duplicates_stay_unseen() {
    let searched = search(6_000, 4_242);
    let Searched { truth, merged, grouped, .. } = &searched;
    let wrong: Vec<_> = merged.difference(truth).collect();
    let precision = 1.0 - wrong.len() as f64 / merged.len() as f64;
    let shown: Vec<String> = wrong.iter().take(5).map(|p| searched.show(p)).collect();
    assert!(precision >= 0.99, "precision {precision:.4}: {}", shown.join("\n"));

    let review: Pairs = grouped.review.iter().map(|p| (p.a, p.b)).collect();
    let missed: Vec<_> = truth.iter().filter(|p| !merged.contains(p) && !review.contains(p)).collect();
    let recall = 1.0 - missed.len() as f64 / truth.len() as f64;
    let shown: Vec<String> = missed.iter().take(5).map(|p| searched.show(p)).collect();
    assert!(recall >= 0.9, "recall {recall:.4}: {}", shown.join("\n"));
}

#[test]
fn comparisons_grow_with_the_people_not_with_their_square() {
    let (few, many) = (search(2_000, 11), search(16_000, 11));
    let per_card = |s: &Searched| s.found.compared as f64 / s.cards.len() as f64;
    assert!(per_card(&many) < 12.0, "{}", per_card(&many));
    assert!(per_card(&many) < 3.0 * per_card(&few), "{} then {}", per_card(&few), per_card(&many));
}
