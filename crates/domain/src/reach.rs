//! # Reach
//! Purpose: which phone lines can't be reached on WhatsApp. A send that fails with 131026 says "no WhatsApp, or an old app, or
//! terms not accepted" (facts 6.2): one failure proves nothing. A line is dead when sends to it failed on several different days
//! with no sign of life since: a message from it, or a delivered one. A sign of life revives it at once, whatever was known.
//! May touch: values.
//! Must not touch: how it is stored, what is done about it (the label, the policy).
//! Invariant: what is known of a line depends on what happened, not on the order in which it was told. Where nothing was kept
//! of a line, the last sign of life of its person stands in: with several lines that may excuse an old failure, never invent one.
//! Failure story: none.

use crate::ids::{MessageId, PersonId};
use crate::phone::candidates;
use crate::profile::Unreachable;
use crate::{HOUR, Millis, SECOND};
use serde::{Deserialize, Serialize};
use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet, HashMap};

/// Codes of WhatsApp that say that the recipient can't be reached. Others are about the message, the sender or the moment.
pub const CODES: [&str; 1] = ["131026"];

/// Failures count as different days when they lie so far apart: the same hour of the next day does, a few minutes around
/// midnight don't.
const APART: Millis = 20 * HOUR;
/// Failures kept of a line. A dead line is hardly written to.
const KEPT: usize = 16;

/// True when a failure with this code is evidence against the line.
#[must_use]
pub fn is_evidence(code: &str) -> bool {
    CODES.contains(&code)
}

/// One name for a line, whatever the way its number is written (Brazil's ninth digit). E.164 digits without `+`.
#[must_use]
pub fn line(digits: &str) -> String {
    candidates(digits).min().map_or_else(|| digits.to_owned(), Cow::into_owned)
}

/// How much evidence is needed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Settings {
    /// Failures on different days, at least 1.
    pub failures: u8,
}

impl Default for Settings {
    fn default() -> Self {
        Self { failures: 2 }
    }
}

/// A send that failed.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Failure {
    /// When, by WhatsApp's clock where it told, epoch milliseconds.
    pub at: Millis,
    /// WhatsApp's code.
    pub code: String,
    /// Our message.
    pub message: MessageId,
}

/// What is known of a line.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Reach {
    /// Failures since the last sign of life, in order of time.
    pub failures: Vec<Failure>,
    /// The last sign of life.
    pub alive_at: Option<Millis>,
    /// Since when it counts as dead: the failure that completed the evidence.
    pub dead_at: Option<Millis>,
}

impl Reach {
    /// True when it counts as dead.
    #[must_use]
    pub const fn is_dead(&self) -> bool {
        self.dead_at.is_some()
    }

    fn failed(&mut self, failure: Failure, settings: Settings) {
        if self.failures.iter().any(|f| f.message == failure.message) {
            return;
        }
        // WhatsApp tells the time of a message in whole seconds: of the same second, the sign of life wins.
        self.failures.push(Failure { at: failure.at - failure.at.rem_euclid(SECOND), ..failure });
        self.failures.sort_unstable();
        self.judge(settings);
    }

    fn alive(&mut self, at: Millis, settings: Settings) {
        if self.alive_at.is_none_or(|known| at > known) {
            self.alive_at = Some(at);
            self.judge(settings);
        }
    }

    fn judge(&mut self, settings: Settings) {
        let alive = self.alive_at;
        self.failures.retain(|f| alive.is_none_or(|at| f.at > at));
        let many = self.failures.len().saturating_sub(KEPT);
        self.failures.drain(..many);
        let (mut days, mut last) = (0_u8, None);
        self.dead_at = self.failures.iter().find_map(|f| {
            if last.is_none_or(|at| f.at - at >= APART) {
                days = days.saturating_add(1);
                last = Some(f.at);
            }
            (days >= settings.failures.max(1)).then_some(f.at)
        });
    }
}

/// What is known of lines and of the people whose they are, and what changes in it.
#[derive(Debug, Clone, Default)]
pub struct Book {
    /// By [`line`].
    pub lines: HashMap<String, Reach>,
    /// The lines of people, where they matter.
    pub of: HashMap<PersonId, BTreeSet<String>>,
    /// The last sign of life of people, where it matters.
    pub heard: HashMap<PersonId, Millis>,
    signs: HashMap<String, Millis>,
    changed: BTreeSet<String>,
}

/// What became of a line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Turn {
    /// The line.
    pub line: String,
    /// It counts as dead now; otherwise it is alive again.
    pub dead: bool,
    /// The evidence of a death; the sign of life.
    pub why: Reach,
}

impl Book {
    /// A send to a person's line failed with a code that [`is_evidence`]. What changed, if anything did.
    pub fn failed(&mut self, person: PersonId, digits: &str, failure: Failure, settings: Settings) -> Option<Turn> {
        let line = line(digits);
        let sign = self.signs.get(&line).copied().max(self.heard.get(&person).copied());
        let reach = self.lines.entry(line.clone()).or_insert_with(|| Reach { alive_at: sign, ..Reach::default() });
        let before = reach.clone();
        reach.failed(failure, settings);
        self.turned(person, line, &before)
    }

    /// A sign of life of a person: from this line, or, when WhatsApp doesn't tell which, from any of theirs.
    pub fn alive(&mut self, person: PersonId, digits: Option<&str>, at: Millis, settings: Settings) -> Vec<Turn> {
        let lines: Vec<String> = match digits {
            Some(digits) => vec![line(digits)],
            None => self.of.get(&person).into_iter().flatten().cloned().collect(),
        };
        let mut turns = Vec::new();
        for line in lines {
            let sign = self.signs.entry(line.clone()).or_insert(at);
            *sign = at.max(*sign);
            if let Some(reach) = self.lines.get_mut(&line) {
                let before = reach.clone();
                reach.alive(at, settings);
                turns.extend(self.turned(person, line, &before));
            }
        }
        turns
    }

    fn turned(&mut self, person: PersonId, line: String, before: &Reach) -> Option<Turn> {
        let now = self.lines.get(&line)?;
        if now == before {
            return None;
        }
        self.changed.insert(line.clone());
        let (was, why) = (before.is_dead(), now.clone());
        self.of.entry(person).or_default().insert(line.clone());
        (was != why.is_dead()).then(|| Turn { dead: why.is_dead(), line, why })
    }

    /// What is to be done about a person's label after these turns: `Some(true)` to give it, `Some(false)` to take it away.
    #[must_use]
    pub fn label(&self, person: PersonId, known: Unreachable, turns: &[Turn], sign_of_life: bool) -> Option<bool> {
        let lines = self.of.get(&person);
        let dead = |l: &String| self.lines.get(l).is_some_and(Reach::is_dead);
        let all_dead = lines.is_some_and(|lines| !lines.is_empty() && lines.iter().all(dead));
        match known {
            Unreachable::Found if sign_of_life && !all_dead => Some(false),
            Unreachable::No if all_dead && turns.iter().any(|t| t.dead) => Some(true),
            _ => None,
        }
    }

    /// The lines that changed, as they are now.
    #[must_use]
    pub fn into_changed(self) -> Vec<(String, Reach)> {
        let Self { mut lines, changed, .. } = self;
        changed.into_iter().filter_map(|line| lines.remove(&line).map(|reach| (line, reach))).collect()
    }
}

/// What an event tells of a turn. Without the number: evidence only.
#[must_use]
pub fn told(turn: &Turn) -> serde_json::Value {
    let evidence: BTreeMap<&str, serde_json::Value> = match turn.dead {
        true => [("failures", serde_json::json!(turn.why.failures)), ("dead_at", turn.why.dead_at.into())].into(),
        false => [("alive_at", turn.why.alive_at.into())].into(),
    };
    serde_json::json!(evidence)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::DAY;
    use proptest::prelude::*;
    use uuid::Uuid;

    const LINE: &str = "4915111110001";
    const OTHER: &str = "4915111110002";
    const WHO: PersonId = PersonId(Uuid::nil());

    fn failure(n: u128, at: Millis) -> Failure {
        Failure { at, code: "131026".into(), message: MessageId(Uuid::from_u128(n)) }
    }

    fn book(lines: &[&str]) -> Book {
        Book { of: [(WHO, lines.iter().map(|l| line(l)).collect())].into(), ..Book::default() }
    }

    fn fails(book: &mut Book, line: &str, n: u128, at: Millis) -> Option<Turn> {
        book.failed(WHO, line, failure(n, at), Settings::default())
    }

    #[test]
    fn one_failure_or_several_on_one_day_prove_nothing() {
        let mut book = book(&[LINE]);
        assert_eq!(fails(&mut book, LINE, 1, 0), None);
        assert_eq!(fails(&mut book, LINE, 2, HOUR), None);
        assert_eq!(fails(&mut book, LINE, 1, 2 * DAY), None, "the same message twice is one failure");
        let turn = fails(&mut book, LINE, 3, DAY).unwrap();
        assert!(turn.dead && turn.why.dead_at == Some(DAY));
        assert_eq!(book.label(WHO, Unreachable::No, &[turn], false), Some(true));
    }

    #[test]
    fn a_sign_of_life_between_failures_excuses_the_first() {
        let mut book = book(&[LINE]);
        fails(&mut book, LINE, 1, 0);
        assert!(book.alive(WHO, Some(LINE), HOUR, Settings::default()).is_empty());
        assert_eq!(fails(&mut book, LINE, 2, DAY), None);
        assert!(fails(&mut book, LINE, 3, 2 * DAY).is_some());
    }

    #[test]
    fn somebody_with_another_line_is_not_unreachable() {
        let mut book = book(&[LINE, OTHER]);
        fails(&mut book, LINE, 1, 0);
        let turn = fails(&mut book, LINE, 2, DAY).unwrap();
        assert_eq!(book.label(WHO, Unreachable::No, &[turn], false), None);
        fails(&mut book, OTHER, 3, 0);
        let turns = [fails(&mut book, OTHER, 4, DAY).unwrap()];
        assert_eq!(book.label(WHO, Unreachable::No, &turns, false), Some(true));
        assert_eq!(book.label(WHO, Unreachable::Said, &turns, true), None, "what one of our people said stays");
    }

    #[test]
    fn a_line_written_in_two_ways_is_one() {
        assert_eq!(line("5511987654321"), line("551187654321"));
        assert_ne!(line("5511987654321"), line("5511987654322"));
    }

    proptest! {
        #[test]
        fn an_inbound_message_always_revives(failed in proptest::collection::vec(0..20 * DAY, 0..12), later in 0..DAY, hidden in any::<bool>()) {
            let mut book = book(&[LINE]);
            for (n, at) in failed.iter().enumerate() {
                fails(&mut book, LINE, n as u128, *at);
            }
            let last = failed.iter().max().copied().unwrap_or(0);
            book.alive(WHO, (!hidden).then_some(LINE), last + later, Settings::default());
            prop_assert!(!book.lines.get(LINE).is_some_and(Reach::is_dead));
            prop_assert_eq!(book.label(WHO, Unreachable::Found, &[], true), Some(false));
        }

        #[test]
        fn the_order_in_which_it_is_told_does_not_matter(
            told in proptest::collection::vec((any::<bool>(), 0..10 * DAY), 1..10).prop_flat_map(|v| (Just(v.clone()), Just(v).prop_shuffle())),
            needed in 1u8..4,
        ) {
            let settings = Settings { failures: needed };
            let mut known = Vec::new();
            for story in [told.0, told.1] {
                let mut book = book(&[LINE]);
                // A message is known by its time here: the same in both stories.
                for (fails, at) in story {
                    if fails {
                        book.failed(WHO, LINE, failure(at as u128, at), settings);
                    } else {
                        book.alive(WHO, Some(LINE), at, settings);
                    }
                }
                let reach = book.lines.remove(LINE).unwrap_or_default();
                known.push((reach.failures, reach.dead_at));
            }
            prop_assert_eq!(&known[0], &known[1]);
        }
    }
}
