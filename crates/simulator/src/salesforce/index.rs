//! The search index: words of names, e-mail addresses and phone numbers, some time behind the records.
//! May touch: its own words. Must not touch: records; what is found is looked at again.
//! A word that a record no longer has stays here and is sorted out by that second look.

use super::ids::RecordId;
use super::schema::{Kind, SObject};
use super::table::{Index, Row};
use super::world::World;
use std::collections::{BTreeSet, VecDeque};

/// Which fields are searched.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Scope {
    All,
    Name,
    Email,
    Phone,
}

/// Words by record, and records that wait to be read.
#[derive(Debug)]
pub(super) struct SearchIndex {
    lag_ms: i64,
    waiting: VecDeque<(i64, RecordId)>,
    words: Index,
    /// All words in order, for beginnings.
    ordered: BTreeSet<Box<str>>,
}

/// Words of one value. A phone number is also found by all its digits, whatever stands between them.
pub(super) fn words(text: &str, kind: Kind) -> Vec<String> {
    let parts = |text: &str| -> Vec<String> {
        let words = text.split(|c: char| !c.is_alphanumeric()).filter(|word| !word.is_empty());
        words.map(str::to_lowercase).collect()
    };
    let mut words = parts(text);
    if kind == Kind::Phone {
        let digits: String = text.chars().filter(char::is_ascii_digit).collect();
        if !digits.is_empty() && !words.contains(&digits) {
            words.push(digits);
        }
    }
    words
}

/// The words of a record within a scope.
pub(super) fn words_of(world: &World, object: &SObject, row: &Row, scope: Scope) -> BTreeSet<String> {
    let mut found = BTreeSet::new();
    for (no, field) in object.fields() {
        let wanted = match scope {
            Scope::All => field.kind.is_text() || field.name_field,
            Scope::Name => field.name_field,
            Scope::Email => field.kind == Kind::Email,
            Scope::Phone => field.kind == Kind::Phone,
        };
        if !wanted {
            continue;
        }
        if let Some(cell) = row.cell(object, no, field, world.users)
            && let super::cell::Cell::Text(text) = cell.as_ref()
        {
            found.extend(words(text, field.kind));
        }
    }
    found
}

impl SearchIndex {
    pub(super) fn new(lag_ms: i64) -> Self {
        Self { lag_ms, waiting: VecDeque::new(), words: Index::default(), ordered: BTreeSet::new() }
    }

    /// A record was written.
    pub(super) fn touched(&mut self, id: RecordId, now: i64) {
        self.waiting.push_back((now.saturating_add(self.lag_ms), id));
    }

    /// Records that have a word, or one that begins so.
    pub(super) fn find(&self, word: &str, beginning: bool) -> BTreeSet<RecordId> {
        if !beginning {
            return self.words.get(word).collect();
        }
        let from = self.ordered.range::<str, _>((std::ops::Bound::Included(word), std::ops::Bound::Unbounded));
        from.take_while(|w| w.starts_with(word)).flat_map(|w| self.words.get(w)).collect()
    }
}

impl World {
    /// Reads what has waited long enough.
    pub(super) fn catch_up_search(&mut self, now: i64) {
        while let Some((_, id)) = self.search.waiting.front().filter(|(at, _)| *at <= now).copied() {
            self.search.waiting.pop_front();
            let Some((_, object, row)) = self.any_row(id) else { continue };
            for word in words_of(self, object, row, Scope::All) {
                self.search.words.insert(&word, id);
                self.search.ordered.insert(word.into());
            }
        }
    }
}
