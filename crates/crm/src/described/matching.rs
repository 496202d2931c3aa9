//! Finds the record that a person has already: by our id, else by a phone number, carefully; and keeps two people with one number from
//! taking the same record at the same time.
//! Must not touch: how records are looked for.

use crate::phone::{Candidate, Fit, fit, phone_candidates};
use std::collections::{HashMap, HashSet};

/// Someone to be found.
#[derive(Debug, Clone)]
pub(crate) struct Wanted {
    pub(crate) index: usize,
    /// Our id of the person, as text.
    pub(crate) key: String,
    /// The ways in which the number may be written; none for people without number.
    pub(crate) candidates: Vec<Candidate>,
}

impl Wanted {
    pub(crate) fn new(index: usize, key: String, phone: Option<&str>) -> Self {
        Self { index, key, candidates: phone.map(phone_candidates).unwrap_or_default() }
    }
}

/// A record as it was found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Found {
    pub(crate) id: String,
    /// Our id, when the record bears one.
    pub(crate) key: Option<String>,
    pub(crate) named: bool,
    pub(crate) phones: Vec<String>,
}

/// Chooses a record for each person: the one that bears our id, else the same number with country code (the oldest, if several), else
/// the only one that has the same national number and no country code. Records of other people of ours are left alone; none is
/// chosen twice.
pub(crate) fn choose<'a>(wanted: &[Wanted], found: &'a [Found]) -> HashMap<usize, &'a Found> {
    let mut chosen: HashMap<usize, &Found> = HashMap::new();
    let mut taken: HashSet<&str> = HashSet::new();
    for person in wanted {
        let ours = found.iter().filter(|f| f.key.as_deref() == Some(&person.key)).min_by_key(|f| age(&f.id));
        if let Some(ours) = ours {
            taken.insert(&ours.id);
            chosen.insert(person.index, ours);
        }
    }
    for person in wanted.iter().filter(|p| !p.candidates.is_empty()) {
        if chosen.contains_key(&person.index) {
            continue;
        }
        let free = |f: &&Found| f.key.is_none() && !taken.contains(f.id.as_str());
        let fits: Vec<(Fit, &Found)> = found
            .iter()
            .filter(free)
            .filter_map(|f| Some((f.phones.iter().filter_map(|p| fit(p, &person.candidates)).max()?, f)))
            .collect();
        let full = fits.iter().filter(|(fit, _)| *fit == Fit::Full).map(|(_, f)| *f).min_by_key(|f| age(&f.id));
        let national: HashMap<&str, &Found> = fits.iter().map(|(_, f)| (f.id.as_str(), *f)).collect();
        let only = || national.values().next().copied().filter(|_| national.len() == 1);
        if let Some(pick) = full.or_else(only) {
            taken.insert(&pick.id);
            chosen.insert(person.index, pick);
        }
    }
    chosen
}

/// Ids are mostly numbers that grow.
fn age(id: &str) -> (u64, &str) {
    (id.parse().unwrap_or(u64::MAX), id)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(id: &str, phone: &str, key: &str) -> Found {
        let key = Some(key.to_owned()).filter(|k| !k.is_empty());
        Found { id: id.into(), key, named: true, phones: vec![phone.into()] }
    }

    fn choice(found: &[Found]) -> Option<String> {
        let person = [Wanted::new(0, "per_1".into(), Some("5511987654321"))];
        choose(&person, found).remove(&0).map(|f| f.id.clone())
    }

    #[test]
    fn our_id_decides_before_any_number() {
        let both = [found("9", "+55 11 98765 4321", ""), found("20", "+1 650 555 1234", "per_1")];
        assert_eq!(choice(&both).as_deref(), Some("20"));
    }

    #[test]
    fn the_choice_by_number_is_careful() {
        let two = [found("20", "+55 11 98765 4321", ""), found("9", "+55 11 8765-4321", "")];
        assert_eq!(choice(&two).as_deref(), Some("9"), "the oldest");
        assert_eq!(choice(&[found("1", "+351 11987654321", "")]), None, "another country");
        assert_eq!(choice(&[found("1", "(11) 98765-4321", "")]).as_deref(), Some("1"));
        assert_eq!(choice(&[found("1", "(11) 98765-4321", ""), found("2", "011987654321", "")]), None, "which one?");
        let same = found("1", "(11) 98765-4321", "");
        assert_eq!(choice(&[same.clone(), same]).as_deref(), Some("1"), "the same record told twice");
        assert_eq!(choice(&[found("1", "+5511987654321", "per_2")]), None, "someone else's");
    }

    #[test]
    fn no_record_is_chosen_twice() {
        let people = [1, 2].map(|n| Wanted::new(n, format!("per_{n}"), Some("16505551234")));
        let found = [found("7", "+16505551234", "")];
        assert_eq!(choose(&people, &found).into_keys().collect::<Vec<_>>(), [1]);
    }
}
