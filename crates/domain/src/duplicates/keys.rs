//! Blocking keys: people who share one are compared, others never. Each key alone is something that could carry a pair past
//! the review threshold; a name with a city alone can't, so it is no key.

use super::alike::Letters;
use super::hash::Hash;
use super::nicknames::usual;
use super::prepared::{Prepared, digits};
use super::text::is_han_word;

/// The modulus that leaves the last seven digits: the shortest subscriber number that is in wide use. It finds numbers without
/// or with a wrong country or area code.
pub(super) const TAIL: u64 = 10_000_000;

/// Appends a person's keys, at most 2 + 3 a phone + 3: e-mail, the part before its `@`, the last seven digits of each phone,
/// first and last name by their consonants with the last four digits of each phone and with the four before them (one wrong
/// digit leaves one of the two), birthday with the first name, birthday with the last name, first and last name with company.
/// Stable: equal cards have equal keys in every version of the program, or the stored keys are made anew.
pub fn keys(person: &Prepared, into: &mut Vec<u64>) {
    if let Some(email) = person.email() {
        into.push(Hash::of(b'E').number(email).end());
    }
    if let Some(local) = person.local() {
        into.push(Hash::of(b'L').number(local.into()).end());
    }
    let name = NameKey::of(person);
    for number in person.numbers().map(digits) {
        into.push(Hash::of(b'P').number(number % TAIL).end());
        if let Some(name) = &name {
            into.push(Hash::of(b'Q').number(number % 10_000).number(name.both).end());
            into.push(Hash::of(b'R').number(number / 10_000 % 10_000).number(name.both).end());
        }
    }
    let Some(name) = name else { return };
    if let Some(birthday) = person.birthday() {
        into.push(Hash::of(b'B').number(birthday.into()).number(name.first).end());
        if name.last != name.first {
            into.push(Hash::of(b'B').number(birthday.into()).number(name.last).end());
        }
    }
    if let Some(company) = person.company() {
        into.push(Hash::of(b'C').number(company.into()).number(name.both).end());
    }
}

/// First and last name, roughly.
struct NameKey {
    first: u64,
    last: u64,
    both: u64,
}

impl NameKey {
    fn of(person: &Prepared) -> Option<Self> {
        let (mut first, mut last, mut end) = (None, None, 0);
        for (n, word) in person.name().split(' ').enumerate() {
            let place = person.place(n);
            if place == 0 {
                first = Some(word);
            }
            if place >= end {
                (last, end) = (Some(word), place);
            }
        }
        let (first, last) = (first.filter(|w| !w.is_empty())?, last?);
        let (a, b) = (rough(first, 4), rough(last, 4));
        let both = Hash::of(b'n').number(a.min(b)).number(a.max(b)).end();
        Some(Self { first: rough(first, 2), last: rough(last, 2), both })
    }
}

/// A hash of the consonants; of a Chinese name its last character, which its pet form keeps.
fn rough(word: &str, most: usize) -> u64 {
    let hash = Hash::of(b'w');
    let one = |c: char, hash: Hash| hash.number(u64::from(u32::from(c)));
    if is_han_word(word) {
        return word.chars().next_back().map_or(hash, |c| one(c, hash)).end();
    }
    Letters::skeleton(usual(word), most).get().iter().fold(hash, |h, c| one(*c, h)).end()
}
