//! Guesses what columns are from their names and from samples of their values. A guess says how sure it is and why, so that a
//! person can judge it.
//! Must not touch: files.

use super::words::{self, Match};
use super::{Column, ColumnUse, Mapping, Rest, free, slug, values};
use serde::Serialize;
use std::collections::BTreeSet;

/// A guess about one column.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Guess {
    /// The column's name.
    pub column: String,
    /// What it seems to be.
    #[serde(rename = "use")]
    pub used_as: ColumnUse,
    /// How sure, in per cent. Below 50 a person should look.
    pub confidence: u8,
    /// Why, in one sentence. Without values of people.
    pub reason: String,
}

impl Mapping {
    /// The mapping that follows guesses.
    #[must_use]
    pub fn from_guesses(guesses: &[Guess]) -> Self {
        let column = |g: &Guess| Column { column: g.column.clone(), used_as: g.used_as.clone() };
        Self { rest: Rest::Field, columns: guesses.iter().map(column).collect() }
    }
}

/// What the values of a column look like: shares in per cent of those that aren't empty.
struct Look {
    filled: usize,
    phones: usize,
    emails: usize,
    dates: usize,
    answers: usize,
    bare: usize,
    different: bool,
}

fn look<'a>(cells: impl Iterator<Item = &'a str>) -> Look {
    let cells: Vec<&str> = cells.map(str::trim).filter(|c| !c.is_empty()).collect();
    let filled = cells.len();
    let share = |test: &dyn Fn(&str) -> bool| cells.iter().filter(|c| test(c)).count() * 100 / filled.max(1);
    Look {
        filled,
        phones: share(&values::is_phone),
        emails: share(&values::is_email),
        dates: share(&values::is_date),
        answers: share(&|c| words::yes(c).is_some()),
        bare: share(&values::is_bare_phone),
        different: cells.iter().collect::<BTreeSet<_>>().len() == filled,
    }
}

/// One guess per column, from the names and a sample of rows, some dozens or hundreds. A column that nothing is known about
/// becomes a field by its name.
#[must_use]
pub fn guess(header: &[String], samples: &[Vec<String>]) -> Vec<Guess> {
    let mut guesses: Vec<Guess> = Vec::with_capacity(header.len());
    for (place, name) in header.iter().enumerate() {
        let look = look(samples.iter().filter_map(|row| row.get(place)).map(String::as_str));
        let (used_as, confidence, reason) =
            by_name(name, &look).or_else(|| by_look(&look)).unwrap_or_else(|| unknown(name, place));
        guesses.push(Guess { column: name.clone(), used_as, confidence, reason });
    }
    first_as_key(&mut guesses, samples);
    settle(&mut guesses);
    guesses
}

fn unknown(name: &str, place: usize) -> (ColumnUse, u8, String) {
    (ColumnUse::Field(slug(name, place)), 20, "neither the name nor the values say what it is".to_owned())
}

fn by_name(name: &str, look: &Look) -> Option<(ColumnUse, u8, String)> {
    let (used_as, how, usual) = words::meaning(name)?;
    let (sure, reason) = match how {
        Match::Whole => (90, "the name is usual for it".to_owned()),
        Match::Numbered => (85, "the name, but for a number, is usual for it".to_owned()),
        Match::Part => (70, format!("{usual:?} is part of the name")),
    };
    // A name is confirmed or spoilt by values. Other uses have no look of their own.
    let (share, what) = match &used_as {
        ColumnUse::Phone => (look.phones.max(look.bare), "phone numbers"),
        ColumnUse::Field(key) if key == "email" => (look.emails, "e-mail addresses"),
        ColumnUse::Field(key) if key == "birthday" => (look.dates, "dates"),
        ColumnUse::Consent(super::ConsentPart::Date) => (look.dates, "dates"),
        ColumnUse::Label(_) | ColumnUse::Consent(super::ConsentPart::Given) => (look.answers, "yes or no"),
        ColumnUse::Field(_) if look.emails >= 80 => return None,
        _ => return Some((used_as, sure, reason)),
    };
    if look.filled == 0 {
        return Some((used_as, sure - 10, format!("{reason}; no values to look at")));
    }
    if share >= 50 {
        return Some((used_as, (sure + 9).min(99), format!("{reason}, and {share} % of the values look like {what}")));
    }
    // "Contact" with e-mail addresses in it, "mail" with phone numbers in it.
    let other = by_look(look).filter(|(_, other_sure, _)| *other_sure >= 60);
    Some(other.unwrap_or_else(|| (used_as, 40, format!("{reason}, but only {share} % of the values look like {what}"))))
}

fn by_look(look: &Look) -> Option<(ColumnUse, u8, String)> {
    // Three values may look like anything by chance.
    let doubt = if look.filled < 5 { 20 } else { 0 };
    if look.filled > 0 && look.emails >= 70 {
        let reason = format!("{} % of the values look like e-mail addresses", look.emails);
        return Some((ColumnUse::Field("email".to_owned()), 85 - doubt, reason));
    }
    if look.filled > 0 && look.phones >= 60 {
        return Some((
            ColumnUse::Phone,
            75 - doubt,
            format!("{} % of the values look like phone numbers", look.phones),
        ));
    }
    None
}

/// Without any column named for it, the first column is the key when it holds a different, short, single word in every row.
fn first_as_key(guesses: &mut [Guess], samples: &[Vec<String>]) {
    if guesses.iter().any(|g| g.used_as == ColumnUse::Key) || samples.len() < 5 {
        return;
    }
    let Some(first) = guesses.first_mut().filter(|g| g.confidence <= 20) else { return };
    let cells: Vec<&str> = samples.iter().filter_map(|row| row.first()).map(|c| c.trim()).collect();
    let like_key = |c: &&str| (1..=40).contains(&c.len()) && !c.contains(' ') && c.bytes().any(|b| b.is_ascii_digit());
    if cells.len() == samples.len() && cells.iter().all(like_key) && look(cells.iter().copied()).different {
        first.used_as = ColumnUse::Key;
        first.confidence = 50;
        first.reason = "the first column, and every value is different".to_owned();
    }
}

/// What only one column can be goes to the surest one, the first of equals. The others become fields.
fn settle(guesses: &mut [Guess]) {
    let mut order: Vec<usize> = (0..guesses.len()).collect();
    order.sort_by_key(|place| std::cmp::Reverse(guesses.get(*place).map_or(0, |g| g.confidence)));
    let mut taken: Vec<ColumnUse> = Vec::new();
    let mut keys = BTreeSet::new();
    for place in order {
        let Some(guess) = guesses.get_mut(place) else { continue };
        let many =
            matches!(guess.used_as, ColumnUse::Ignore | ColumnUse::Phone | ColumnUse::Tags | ColumnUse::Label(_));
        if !many && taken.contains(&guess.used_as) {
            let wanted = match &guess.used_as {
                ColumnUse::Field(key) => key.clone(),
                _ => slug(&guess.column, place),
            };
            guess.reason = format!("another column is more surely {}", guess.used_as);
            guess.used_as = ColumnUse::Field(free(&wanted, &mut keys));
            guess.confidence = guess.confidence.min(30);
        } else if let ColumnUse::Field(key) = &guess.used_as {
            keys.insert(key.clone());
        }
        taken.push(guess.used_as.clone());
    }
}
