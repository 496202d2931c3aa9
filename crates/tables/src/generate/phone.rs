//! Phones of messy tables: a number for every person, in every writing, and damaged ones.
//! Must not touch: anything but the line it is given.

use super::people::Country;
use super::{Damage, Person, Truth, Twin, pick};
use std::io::{self, Write};

/// Far from every row of a table: a person's second number is the first number of a row that isn't there.
const SECOND: u64 = 25_000_000;
/// Spreads neighbours over the plan; prime, so that no two rows below 50 million share a number.
const SPREAD: u64 = 1_000_003;

pub(super) struct Written {
    pub international: bool,
}

/// A national number: digits after the country's calling code.
fn national(country: &Country, row: u64) -> (String, u64) {
    let prefixes = country.prefixes.len() as u64;
    let unit = 10_u64.pow(country.rest - 1);
    let space = prefixes * country.span * unit;
    let spread = u64::try_from(u128::from(row) * u128::from(SPREAD) % u128::from(space)).unwrap_or(row);
    let prefix = pick(country.prefixes, spread).unwrap_or_default();
    (prefix.to_owned(), spread / prefixes + country.low * unit)
}

pub(super) fn write(line: &mut Vec<u8>, who: &Person, truth: &Truth, chance: u64) -> io::Result<Written> {
    let country = who.country;
    let other = matches!(truth.twin, Some(Twin::Typo | Twin::Swapped));
    let (prefix, rest) = national(country, if other { who.row + SECOND } else { who.row });
    let width = usize::try_from(country.rest).unwrap_or(8);
    let rest = format!("{rest:0width$}");
    if let Some(damage) = truth.damage {
        damaged(line, who, damage, &format!("{prefix}{rest}"), chance)?;
        return Ok(Written { international: true });
    }
    let variant = truth.twin == Some(Twin::Variant);
    // Argentina's mobiles have a 9 after the calling code, which variants lack; Mexico's had a 1, which variants have.
    let (calling, prefix) = match (country.code, variant) {
        ("AR", false) => (format!("{}9", country.calling), prefix),
        ("MX", true) => (format!("{}1", country.calling), prefix),
        ("BR", true) => (country.calling.to_owned(), prefix.get(..2).unwrap_or(&prefix).to_owned()),
        _ => (country.calling.to_owned(), prefix),
    };
    // A duplicate's writing is another one than the row's where the person came first.
    let first_style = super::chance(who.seed, who.row, 41) % 8;
    let style = if truth.twin.is_some() { (first_style + 1 + (chance >> 8) % 7) % 8 } else { first_style };
    let (prefix, rest) = (prefix.as_str(), rest.as_str());
    let international = variant || country.code == "AR" || style < 4;
    if !international {
        nationally(line, country, prefix, rest, style)?;
        return Ok(Written { international });
    }
    let (head, tail) = rest.split_at_checked(rest.len() - 4).unwrap_or((rest, ""));
    match style % 4 {
        0 => write!(line, "+{calling}{prefix}{rest}")?,
        1 => write!(line, "+{calling} {prefix} {head} {tail}")?,
        2 => write!(line, "00{calling}{prefix}{rest}")?,
        _ => write!(line, "+{calling} ({prefix}) {head}-{tail}")?,
    }
    Ok(Written { international })
}

fn nationally(line: &mut Vec<u8>, country: &Country, prefix: &str, rest: &str, style: u64) -> io::Result<()> {
    let trunk = if country.code == "BR" { "" } else { country.trunk };
    let (head, tail) = rest.split_at_checked(rest.len() - 4).unwrap_or((rest, ""));
    match style {
        4 => write!(line, "{trunk}{prefix}{rest}"),
        5 => write!(line, "{trunk}{prefix}-{head}-{tail}"),
        6 => write!(line, "{trunk}{prefix} {head} {tail}"),
        _ => {
            // Full-width digits, as an East Asian keyboard writes them.
            for digit in [trunk, prefix, rest].iter().flat_map(|part| part.bytes()) {
                let wide = char::from_u32(0xff10 + u32::from(digit.saturating_sub(b'0'))).unwrap_or('0');
                write!(line, "{wide}")?;
            }
            Ok(())
        }
    }
}

fn damaged(line: &mut Vec<u8>, who: &Person, damage: Damage, number: &str, chance: u64) -> io::Result<()> {
    let calling = who.country.calling;
    match damage {
        Damage::Missing => Ok(()),
        Damage::TooShort => write!(line, "+{calling} {}", number.get(..4).unwrap_or(number)),
        Damage::TooLong => write!(line, "+{calling} {number}{:07}", chance % 10_000_000),
        Damage::Words => {
            let words = ["n/a", "ask her husband", "não tem", "沒有", "see note", "-", "?"];
            line.extend_from_slice(pick(&words, chance).unwrap_or_default().as_bytes());
            Ok(())
        }
        Damage::Zeros => write!(line, "0000000000"),
        // No country has 999 or 210 (ITU-T E.164 assignments: spare).
        Damage::NoCountry => write!(line, "+{} {number}", if chance.is_multiple_of(2) { "999" } else { "210" }),
        Damage::Rounded => {
            let all = format!("{calling}{number}");
            let (first, more) = all.split_at_checked(1).unwrap_or((&all, ""));
            write!(line, "{first}.{}E+{}", more.get(..5).unwrap_or(more), more.len())
        }
        Damage::Email => who.email(line),
    }
}
