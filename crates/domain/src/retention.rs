//! How long data is kept, by kind. What isn't named is kept for ever.
//! The consent ledger is no kind: its words are the proof of what was allowed, and go with the person's erasure only.

use crate::{DAY, Millis};
use std::collections::BTreeMap;

macro_rules! kinds {
    ($($(#[$doc:meta])* $name:ident = $text:literal, $days:literal;)*) => {
        /// Data with a period of its own.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum Kind { $($(#[$doc])* $name,)* }

        impl Kind {
            /// All of them, in the order in which they are told.
            pub const ALL: &[Self] = &[$(Self::$name),*];

            /// The public text: the setting `[retention] TEXT_days`, the label of the metric, the subject in the audit log.
            #[must_use]
            pub const fn as_str(self) -> &'static str {
                match self { $(Self::$name => $text,)* }
            }

            /// Days it is kept by default; 0: for ever.
            #[must_use]
            pub const fn default_days(self) -> u32 {
                match self { $(Self::$name => $days,)* }
            }
        }
    };
}

kinds! {
    /// Raw webhook bodies, once read.
    Journal = "journal", 30;
    /// Texts, captions and files of messages. The rows stay, with times and states.
    Content = "content", 0;
    /// What happened.
    Events = "events", 400;
    /// Dead letters that were retried, discarded or settled. Those that wait for a person are kept.
    DeadLetters = "dead_letters", 90;
    /// Runs of imports with their reports.
    Imports = "imports", 400;
    /// Records of merges: what both sides were. Without its record a merge can't be undone.
    Merges = "merges", 400;
    /// Who did what.
    Audit = "audit", 1095;
    /// People of whom there is nothing but a line in a list.
    People = "people", 0;
}

/// A shorter period would end before the last try of fetching a file (6 days) or of writing to a CRM (3 days).
const SHORTEST_CONTENT: u32 = 7;
/// Longer than any record is asked for.
const LONGEST: u32 = 36_500;

/// The periods of an installation.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Periods(BTreeMap<Kind, u32>);

impl Default for Periods {
    fn default() -> Self {
        Self::new(Kind::ALL.iter().map(|kind| (*kind, kind.default_days())))
    }
}

/// A period that can't be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    /// Of which kind.
    pub kind: Kind,
    /// What is wrong with it.
    pub problem: String,
    /// What to write instead.
    pub mend: String,
}

impl Periods {
    /// From days by kind; 0 is for ever.
    pub fn new(days: impl IntoIterator<Item = (Kind, u32)>) -> Self {
        Self(days.into_iter().filter(|(_, days)| *days > 0).collect())
    }

    /// Days a kind is kept; `None`: for ever.
    #[must_use]
    pub fn days(&self, kind: Kind) -> Option<u32> {
        self.0.get(&kind).copied()
    }

    /// Before when data of a kind is too old; `None`: never.
    #[must_use]
    pub fn before(&self, kind: Kind, now: Millis) -> Option<Millis> {
        self.days(kind).map(|days| now - i64::from(days) * DAY)
    }

    /// Periods that contradict what a running program needs, or each other.
    #[must_use]
    pub fn problems(&self) -> Vec<Problem> {
        let mut found = Vec::new();
        let mut add = |kind, problem: String, mend: String| found.push(Problem { kind, problem, mend });
        for (kind, days) in &self.0 {
            if *days > LONGEST {
                add(*kind, format!("is {days} days"), format!("give at most {LONGEST}, or 0 for ever"));
            }
        }
        if let Some(days) = self.days(Kind::Content).filter(|days| *days < SHORTEST_CONTENT) {
            let problem = format!("is {days} days: files are fetched and CRMs written to for up to 6");
            add(Kind::Content, problem, format!("give at least {SHORTEST_CONTENT}, or 0 for ever"));
        }
        for (kind, why) in [
            (Kind::Content, "the texts would still stand in the raw bodies"),
            (Kind::Events, "a replay would say again what was forgotten"),
        ] {
            let Some(days) = self.days(kind) else { continue };
            match self.days(Kind::Journal) {
                Some(journal) if journal <= days => {}
                Some(journal) => add(
                    kind,
                    format!("is {days} days, the journal is kept for {journal}: {why}"),
                    format!("give at least {journal}, or shorten journal_days"),
                ),
                None => add(
                    kind,
                    format!("is {days} days, the journal is kept for ever: {why}"),
                    "give journal_days a period too, or 0 here".to_owned(),
                ),
            }
        }
        found
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn with(changes: &[(Kind, u32)]) -> Periods {
        let changed = |kind: Kind| changes.iter().find(|(k, _)| *k == kind).map_or(kind.default_days(), |(_, d)| *d);
        Periods::new(Kind::ALL.iter().map(|kind| (*kind, changed(*kind))))
    }

    #[test]
    fn the_defaults_agree_with_each_other() {
        assert_eq!(Periods::default().problems(), []);
        assert_eq!(Periods::default().before(Kind::People, 7), None);
        assert_eq!(Periods::default().before(Kind::Journal, 31 * DAY), Some(DAY));
    }

    #[test]
    fn what_a_running_program_needs_is_not_removed() {
        let wrong =
            |changes: &[(Kind, u32)]| -> Vec<Kind> { with(changes).problems().into_iter().map(|p| p.kind).collect() };
        assert_eq!(wrong(&[(Kind::Content, 6), (Kind::Journal, 1)]), [Kind::Content]);
        assert_eq!(wrong(&[(Kind::Content, 29)]), [Kind::Content]);
        assert_eq!(wrong(&[(Kind::Content, 30)]), []);
        assert_eq!(wrong(&[(Kind::Events, 29)]), [Kind::Events]);
        assert_eq!(wrong(&[(Kind::Journal, 0)]), [Kind::Events]);
        assert_eq!(wrong(&[(Kind::Journal, 0), (Kind::Events, 0)]), []);
        assert_eq!(wrong(&[(Kind::Audit, 40_000)]), [Kind::Audit]);
    }
}
