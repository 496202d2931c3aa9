//! # Duplicates
//! Purpose: which people are probably one person, how sure that is and why. Cards are prepared once, keys bring likely pairs
//! together without comparing everybody with everybody, a score weighs what speaks for and against, groups say what may be
//! merged without asking.
//! May touch: values in memory.
//! Must not touch: the store, and what survives a merge ([`crate::survivorship`]). Nothing here merges anybody.
//! Failure story: none. Where evidence contradicts itself the answer is "ask a person", never a merge.
//!
//! A store that compares one new person with those it has keeps the [`keys`] of everybody beside them: they are stable.

mod alike;
mod find;
mod groups;
mod hash;
mod keys;
mod names;
mod nicknames;
mod prepared;
mod reasons;
mod score;
mod text;

pub use find::{Found, Pair, Settings, find};
pub use groups::{Grouped, Merge, groups};
pub use keys::keys;
pub use prepared::{Card, Prepared};
pub use reasons::{Reason, Reasons};
pub use score::{Crowd, Score, Thresholds, Verdict, score, score_among};

#[cfg(test)]
mod tests;
