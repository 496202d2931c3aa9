//! Makes messy tables of people, to measure and to show an import with: a dozen countries, phones in every writing, damage and
//! duplicates, and the truth about each row.
//! A person is a pure function of seed and number, so a row made long ago is made again for its duplicate: memory doesn't grow.
//! Must not touch: anything but the output.

mod people;
mod phone;

use people::{COUNTRIES, Country};
use std::io::{self, Write};

/// Rows in a hundred that repeat an earlier person.
const DUPLICATES: u64 = 18;
/// Of 10,000 rows that repeat nobody, those with a damaged or missing phone: 8 in a hundred of all rows.
const DAMAGED: u64 = 976;
/// The step of the SplitMix64 generator (Steele, Lea, Flood 2014).
const STEP: u64 = 0x9E37_79B9_7F4A_7C15;

/// What is wrong with a phone.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Damage {
    /// Empty.
    Missing,
    /// Too few digits.
    TooShort,
    /// Too many digits.
    TooLong,
    /// Words.
    Words,
    /// Nothing but zeros.
    Zeros,
    /// A country calling code that there isn't.
    NoCountry,
    /// Made short by a spreadsheet: `8.86912E+11`.
    Rounded,
    /// An e-mail address in the column of phones.
    Email,
}

/// How a row repeats an earlier person.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Twin {
    /// The same phone in another writing.
    Rewritten,
    /// A slip in the name, the same e-mail address, another phone.
    Typo,
    /// First and last name changed round, the same e-mail address, another phone.
    Swapped,
    /// A variant of the numbering plan: Brazil's ninth digit, Mexico's 1, Argentina's 9.
    Variant,
}

/// The truth about a row.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Truth {
    /// The row of data, from 1.
    pub row: u64,
    /// The row where this person came first.
    pub person: u64,
    /// What is wrong with the phone.
    pub damage: Option<Damage>,
    /// How it repeats an earlier row.
    pub twin: Option<Twin>,
}

/// What was planted.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub struct Planted {
    /// Rows of data.
    pub rows: u64,
    /// Different people.
    pub people: u64,
    /// Rows without a phone.
    pub missing: u64,
    /// Rows with a phone that can't be one.
    pub invalid: u64,
    /// Rows that repeat an earlier person.
    pub duplicates: u64,
    /// Of these: the same phone in another writing.
    pub rewritten: u64,
    /// Of these: a slip in the name.
    pub typos: u64,
    /// Of these: names changed round.
    pub swapped: u64,
    /// Of these: variants of the numbering plan.
    pub variants: u64,
    /// Rows of people who want no marketing.
    pub opted_out: u64,
}

/// Writes a table of so many rows: `id;name;phone;email;country;city;birthday;tags;opt_out;note`, UTF-8. The same seed and number of
/// rows make the same table; a longer table begins with the shorter one. `out` should be buffered.
///
/// # Errors
/// It can't be written.
pub fn messy(rows: u64, seed: u64, out: &mut impl Write) -> io::Result<Planted> {
    messy_with(rows, seed, out, |_| {})
}

/// As [`messy`], telling the truth about each row.
///
/// # Errors
/// It can't be written.
pub fn messy_with(rows: u64, seed: u64, out: &mut impl Write, mut tell: impl FnMut(&Truth)) -> io::Result<Planted> {
    out.write_all(b"id;name;phone;email;country;city;birthday;tags;opt_out;note\r\n")?;
    let mut planted = Planted { rows, ..Planted::default() };
    let mut line = Vec::with_capacity(512);
    for row in 1..=rows {
        let truth = truth(seed, row);
        count(&mut planted, &truth, Person::of(seed, truth.person).opts_out());
        line.clear();
        write_row(&mut line, seed, &truth)?;
        out.write_all(&line)?;
        tell(&truth);
    }
    out.flush()?;
    Ok(planted)
}

fn count(planted: &mut Planted, truth: &Truth, opted_out: bool) {
    match truth.damage {
        None => {}
        Some(Damage::Missing) => planted.missing += 1,
        Some(_) => planted.invalid += 1,
    }
    match truth.twin {
        None => planted.people += 1,
        Some(twin) => {
            planted.duplicates += 1;
            *match twin {
                Twin::Rewritten => &mut planted.rewritten,
                Twin::Typo => &mut planted.typos,
                Twin::Swapped => &mut planted.swapped,
                Twin::Variant => &mut planted.variants,
            } += 1;
        }
    }
    planted.opted_out += u64::from(opted_out);
}

/// SplitMix64's output for a state.
fn mix(state: u64) -> u64 {
    let z = (state ^ (state >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    let z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    z ^ (z >> 31)
}

/// Chance that belongs to a row and a purpose.
fn chance(seed: u64, row: u64, purpose: u64) -> u64 {
    mix(mix(seed ^ row.wrapping_mul(STEP)).wrapping_add(purpose.wrapping_mul(STEP)))
}

fn pick<'a, T: ?Sized>(list: &[&'a T], chance: u64) -> Option<&'a T> {
    let place = chance.checked_rem(list.len() as u64)?;
    list.get(usize::try_from(place).ok()?).copied()
}

fn is_first(seed: u64, row: u64) -> bool {
    row == 1 || chance(seed, row, 1) % 100 >= DUPLICATES
}

fn damage(seed: u64, row: u64) -> Option<Damage> {
    let chance = chance(seed, row, 2);
    (chance % 10_000 < DAMAGED).then_some(match (chance >> 32) % 20 {
        0..8 => Damage::Missing,
        8..10 => Damage::TooShort,
        10..12 => Damage::TooLong,
        12..14 => Damage::Words,
        14 => Damage::Zeros,
        15..17 => Damage::NoCountry,
        17..19 => Damage::Rounded,
        _ => Damage::Email,
    })
}

fn truth(seed: u64, row: u64) -> Truth {
    if !is_first(seed, row) {
        for attempt in 0..16 {
            let person = 1 + chance(seed, row, 16 + attempt) % (row - 1).max(1);
            if person >= row || !is_first(seed, person) {
                continue;
            }
            let who = Person::of(seed, person);
            let (phone, email) = (damage(seed, person).is_none(), who.has_email());
            let wish = chance(seed, row, 3) % 10;
            let variant = matches!(who.country.code, "BR" | "MX" | "AR");
            let twin = match (phone, email) {
                // Nothing would tell that it is the same person.
                (false, false) => continue,
                (_, true) if wish < 3 => Twin::Typo,
                (_, true) if wish < 5 || !phone => Twin::Swapped,
                _ if variant && wish < 9 => Twin::Variant,
                _ => Twin::Rewritten,
            };
            return Truth { row, person, damage: None, twin: Some(twin) };
        }
    }
    Truth { row, person: row, damage: damage(seed, row), twin: None }
}

/// Who stands in the row where they come first.
struct Person {
    seed: u64,
    row: u64,
    country: &'static Country,
}

impl Person {
    fn of(seed: u64, row: u64) -> Self {
        let place = chance(seed, row, 4) % COUNTRIES.len() as u64;
        let [first, ..] = &COUNTRIES;
        let country = usize::try_from(place).ok().and_then(|p| COUNTRIES.get(p)).unwrap_or(first);
        Self { seed, row, country }
    }

    fn chance(&self, purpose: u64) -> u64 {
        chance(self.seed, self.row, purpose)
    }

    fn has_email(&self) -> bool {
        self.chance(5) % 10 < 7
    }

    fn opts_out(&self) -> bool {
        self.chance(6) % 100 < 3
    }

    fn names(&self) -> (String, String) {
        let first = pick(self.country.first, self.chance(7)).unwrap_or_default().to_owned();
        let mut last = pick(self.country.last, self.chance(8)).unwrap_or_default().to_owned();
        if !self.country.joined && self.chance(9).is_multiple_of(2) {
            last.push(' ');
            last.push_str(pick(self.country.last, self.chance(10)).unwrap_or_default());
        }
        (first, last)
    }

    fn email(&self, line: &mut Vec<u8>) -> io::Result<()> {
        let (first, last) = self.names();
        let plain = |c: &u8| c.is_ascii_alphabetic();
        let before = line.len();
        line.extend(first.bytes().filter(plain).map(|b| b.to_ascii_lowercase()));
        line.extend(last.bytes().filter(plain).map(|b| b.to_ascii_lowercase()));
        if line.len() == before {
            line.extend_from_slice(b"user");
        }
        let host = pick(&["example.com", "example.org", "example.net"], self.chance(11)).unwrap_or_default();
        write!(line, "{}@{host}", self.row)
    }
}

fn write_row(line: &mut Vec<u8>, seed: u64, truth: &Truth) -> io::Result<()> {
    let who = Person::of(seed, truth.person);
    let own = |purpose| chance(seed, truth.row, purpose);
    write!(line, "C{:07};", truth.row)?;
    write_name(line, &who, truth.twin, own(40));
    line.push(b';');
    let written = phone::write(line, &who, truth, own(41))?;
    line.push(b';');
    if who.has_email() {
        who.email(line)?;
    }
    line.push(b';');
    // A number in national writing needs its country; where the number says it, people write what they like.
    let country = if written.international && own(42).is_multiple_of(20) { who.country.word } else { who.country.code };
    line.extend_from_slice(country.as_bytes());
    line.push(b';');
    line.extend_from_slice(pick(who.country.cities, who.chance(12)).unwrap_or_default().as_bytes());
    line.push(b';');
    if !who.chance(13).is_multiple_of(3) {
        let day = who.chance(14);
        write!(line, "{}-{:02}-{:02}", 1945 + day % 60, 1 + (day >> 16) % 12, 1 + (day >> 32) % 28)?;
    }
    line.push(b';');
    let tags = ["", "", "vip", "lead", "vip,newsletter", "cliente", "wholesale, 2024"];
    line.extend_from_slice(pick(&tags, own(43)).unwrap_or_default().as_bytes());
    line.push(b';');
    line.extend_from_slice(if who.opts_out() { b"yes" } else { b"" });
    line.push(b';');
    let notes = [
        "",
        "",
        "",
        "",
        "",
        "",
        "called twice",
        "\"prefers mornings; no calls\"",
        "\"says \"\"later\"\"\"",
        "\"two\nlines\"",
    ];
    line.extend_from_slice(pick(&notes, own(44)).unwrap_or_default().as_bytes());
    line.extend_from_slice(b"\r\n");
    Ok(())
}

fn write_name(line: &mut Vec<u8>, who: &Person, twin: Option<Twin>, chance: u64) {
    let (mut first, mut last) = who.names();
    match twin {
        Some(Twin::Typo) => slip(if chance.is_multiple_of(2) { &mut first } else { &mut last }, chance >> 8),
        Some(Twin::Swapped) => std::mem::swap(&mut first, &mut last),
        _ => {}
    }
    let text = if who.country.joined { format!("{last}{first}") } else { format!("{first} {last}") };
    // Some write in capitals, some leave blanks.
    match (chance >> 16) % 24 {
        0 => line.extend_from_slice(text.to_uppercase().as_bytes()),
        1 => line.extend_from_slice(text.to_lowercase().as_bytes()),
        2 => line.extend_from_slice(format!(" {text}  ").as_bytes()),
        _ => line.extend_from_slice(text.as_bytes()),
    }
}

/// A slip of the finger: two letters change places, or one is left out, or doubled.
fn slip(name: &mut String, chance: u64) {
    let mut letters: Vec<char> = name.chars().collect();
    let count = letters.len() as u64;
    if count < 3 {
        // In a short name one letter is doubled: in Chinese another character would be another name.
        if let Some(last) = letters.last().copied() {
            letters.push(last);
        }
    } else {
        let place = usize::try_from(1 + chance % (count - 2)).unwrap_or(1);
        match (chance >> 32) % 3 {
            0 if letters.get(place) != letters.get(place + 1) => letters.swap(place, place + 1),
            1 => drop(letters.remove(place)),
            _ => letters.insert(place, letters.get(place).copied().unwrap_or_default()),
        }
    }
    *name = letters.into_iter().collect();
}

#[cfg(test)]
mod tests;
