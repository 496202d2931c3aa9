//! Duplicates: how many are found among people who don't exist but of whom it is known who is who, how many merges are wrong, and
//! how long it takes. Measures the rules alone, without a database; fails when they don't reach what is promised.

use crate::rig::process::memory_mb;
use crate::rig::{self, Machine};
use anyhow::Result;
use ponte_domain::duplicates::{Card, Merge, Pair, Prepared, Settings, find, groups};
use ponte_testkit::people::{Made, people};
use serde_json::json;
use std::collections::HashSet;
use std::process::ExitCode;
use std::time::Instant;

/// Share of merges without asking that must be right.
const PRECISION: f64 = 0.99;
/// Share of duplicates that must be merged or shown to a person.
const RECALL: f64 = 0.9;

/// How many people, and of what seed.
#[derive(Debug, Clone, clap::Args)]
pub struct DuplicateOptions {
    /// Cards, second ones included.
    #[arg(long, default_value_t = 20_000)]
    pub people: usize,
    /// Seed of the people. The rules were tuned on 1 to 3.
    #[arg(long, default_value_t = 1)]
    pub seed: u64,
    /// Show so many wrong merges and so many missed duplicates.
    #[arg(long, default_value_t = 0)]
    pub show: usize,
    /// One JSON object on standard output.
    #[arg(long)]
    pub json: bool,
}

type Two = (u32, u32);

pub fn run(options: &DuplicateOptions) -> Result<ExitCode> {
    let cards = people(options.people, options.seed);
    let truth = truth(&cards);
    let begun = Instant::now();
    let ready: Vec<Prepared> = cards.iter().map(prepared).collect();
    let prepare_s = begun.elapsed().as_secs_f64();
    let kept = if options.show > 0 { cards } else { Vec::new() };

    // The peak from here on: what the search needs comes on top of what is resident before it.
    let _ = std::fs::write("/proc/self/clear_refs", "5");
    let (before, _) = memory_mb(std::process::id());
    let settings = Settings::default();
    let begun = Instant::now();
    let found = find(&ready, &settings);
    let find_s = begun.elapsed().as_secs_f64();
    let grouped = groups(&ready, &found, &settings.thresholds, |a, b| a.cmp(&b));
    let search_s = begun.elapsed().as_secs_f64();
    let (_, peak) = memory_mb(std::process::id());

    let merged: HashSet<Two> = grouped.merges.iter().flat_map(together).collect();
    let review: HashSet<Two> = grouped.review.iter().map(two).collect();
    let right = merged.intersection(&truth).count();
    let seen = truth.iter().filter(|pair| merged.contains(pair) || review.contains(pair)).count();
    let share = |part: usize, whole: usize| if whole == 0 { 1.0 } else { part as f64 / whole as f64 };
    let short = |n: f64| (n * 10_000.0).round() / 10_000.0;
    let (precision, recall) = (share(right, merged.len()), share(seen, truth.len()));
    let good = precision >= PRECISION && recall >= RECALL;
    let report = json!({
        "people": options.people, "seed": options.seed, "true_pairs": truth.len(), "candidate_pairs": found.compared,
        "automatic_pairs": merged.len(), "automatic_precision": short(precision),
        "automatic_recall": short(share(right, truth.len())), "review_recall": short(recall),
        "review_pairs": review.len(), "review_precision": short(share(review.intersection(&truth).count(), review.len())),
        "precision_limit": PRECISION, "recall_limit": RECALL, "good": good,
        "prepare_seconds": short(prepare_s), "find_seconds": short(find_s), "seconds": short(prepare_s + search_s),
        "before_search_mb": before, "peak_rss_mb": peak, "machine": Machine::here(),
    });
    rig::print("duplicates", &report, options.json)?;
    let wrong: Vec<&Two> = merged.difference(&truth).take(options.show).collect();
    let missed = truth.iter().filter(|pair| !merged.contains(pair) && !review.contains(pair)).take(options.show);
    wrong.into_iter().for_each(|pair| show("wrong", *pair, &kept, &found.pairs));
    missed.for_each(|pair| show("missed", *pair, &kept, &found.pairs));
    Ok(if good { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

fn prepared(card: &Made) -> Prepared {
    let phones: Vec<&str> = card.phones.iter().map(String::as_str).collect();
    Prepared::new(&Card {
        name: card.name.as_deref(),
        email: card.email.as_deref(),
        phones: &phones,
        birthday: card.birthday.as_deref(),
        company: card.company.as_deref(),
        city: card.city.as_deref(),
    })
}

/// Pairs of cards that are one person.
fn truth(cards: &[Made]) -> HashSet<Two> {
    let mut owned: Vec<Two> = (0_u32..).zip(cards).map(|(place, card)| (card.person, place)).collect();
    owned.sort_unstable();
    let groups = owned.chunk_by(|a, b| a.0 == b.0);
    groups.flat_map(|group| all_pairs(group.iter().map(|(_, place)| *place).collect())).collect()
}

/// Pairs of cards that a merge makes one, also those that are linked by the survivor only.
fn together(merge: &Merge) -> Vec<Two> {
    let other = |pair: &Pair| if pair.a == merge.survivor { pair.b } else { pair.a };
    let mut all: Vec<u32> = merge.others.iter().map(other).chain([merge.survivor]).collect();
    all.sort_unstable();
    all_pairs(all)
}

fn all_pairs(ascending: Vec<u32>) -> Vec<Two> {
    let after = |n: usize| ascending.iter().skip(n + 1).copied();
    ascending.iter().enumerate().flat_map(|(n, a)| after(n).map(|b| (*a, b))).collect()
}

const fn two(pair: &Pair) -> Two {
    (pair.a, pair.b)
}

fn show(title: &str, pair: Two, cards: &[Made], pairs: &[Pair]) {
    let score = pairs.iter().find(|p| two(p) == pair).map(|p| (p.score.permille, p.score.reasons.codes()));
    eprintln!("{title} {score:?}");
    for place in [pair.0, pair.1] {
        eprintln!("    {:?}", usize::try_from(place).ok().and_then(|place| cards.get(place)));
    }
}
