//! Text to canonical form, type by type. What could mean two things is refused, not guessed: 03/04/1990 is a day in March or in
//! April.
//! Must not touch: what becomes of a value that doesn't fit.

use super::Kind;
use crate::phone::{self, Region};
use jiff::{Timestamp, civil::Date};
use serde::Serialize;
use std::borrow::Cow;

/// Why a value doesn't fit a type. Without the value: it may be personal data.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Unfit {
    /// Stable code.
    pub code: &'static str,
    /// One sentence.
    pub reason: Cow<'static, str>,
    /// How to mend it.
    pub suggestion: Cow<'static, str>,
}

const fn unfit(code: &'static str, reason: &'static str, suggestion: &'static str) -> Unfit {
    Unfit { code, reason: Cow::Borrowed(reason), suggestion: Cow::Borrowed(suggestion) }
}

/// The canonical form of a value. Canonical forms are read as they are. `choices`: of the types that have some. `country`: of
/// phone numbers without country code.
///
/// # Errors
/// The value doesn't fit.
pub fn read(kind: Kind, choices: &[String], text: &str, country: Option<Region>) -> Result<String, Unfit> {
    let text = text.trim();
    if text.is_empty() {
        return Err(unfit("empty", "There is no value.", "Give one, or take the field away."));
    }
    match kind {
        Kind::Text => Ok(text.to_owned()),
        Kind::Number => number(text).ok_or_else(|| {
            unfit(
                "number_invalid",
                "This is no number, or could be two.",
                "Write digits with a point before the decimals, as in 1234.5.",
            )
        }),
        Kind::Date => day(text).ok_or_else(|| {
            unfit(
                "date_unclear",
                "This is no date, or day and month can't be told apart.",
                "Write the year first: 1990-12-31.",
            )
        }),
        Kind::Moment => moment(text).ok_or_else(|| {
            unfit(
                "moment_unclear",
                "This is no point in time, or it doesn't tell the time zone.",
                "Write date, time and offset: 2026-01-31T08:00:00+08:00, or Z for UTC.",
            )
        }),
        Kind::Boolean => boolean(text)
            .map(|yes| yes.to_string())
            .ok_or_else(|| unfit("boolean_unclear", "It says neither yes nor no.", "Write true or false.")),
        Kind::Choice => choice(choices, text),
        Kind::MultiChoice => several(choices, text),
        Kind::Email => email(text).ok_or_else(|| {
            unfit("email_invalid", "This is no e-mail address.", "Write it as name@example.com, or leave it empty.")
        }),
        Kind::Phone => match phone::parse(text, country) {
            Ok(phone) => Ok(format!("+{}", phone.e164)),
            Err(p) => Err(Unfit { code: p.code(), reason: p.reason().into(), suggestion: p.suggestion().into() }),
        },
        Kind::Url => url(text).ok_or_else(|| {
            unfit(
                "url_invalid",
                "This is no web address.",
                "Write it with https:// in front: https://example.com/page.",
            )
        }),
    }
}

/// Runs of blanks as one.
pub(super) fn squeezed(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

/// For comparing choices.
pub(super) fn folded(text: &str) -> String {
    squeezed(text).to_lowercase()
}

/// Digits with at most one decimal mark. A comma before exactly three digits may separate thousands as well as decimals: not
/// guessed. A single point is a decimal mark, as programs write it.
fn number(text: &str) -> Option<String> {
    let (minus, rest) = match text.strip_prefix(['-', '−', '+']) {
        Some(rest) => (!text.starts_with('+'), rest),
        None => (false, text),
    };
    let plain: String = rest.chars().filter(|c| !matches!(c, ' ' | '\u{a0}' | '\u{202f}' | '\'' | '’')).collect();
    if !plain.chars().all(|c| c.is_ascii_digit() || matches!(c, '.' | ',')) || plain.len() > 40 {
        return None;
    }
    let grouped = |text: &str, mark: char| {
        let mut groups = text.split(mark);
        let first = groups.next().unwrap_or_default();
        (1..=3).contains(&first.len()) && groups.all(|g| g.len() == 3) && text.chars().all(|c| c != other(mark))
    };
    let (whole, decimals) = match (plain.matches('.').count(), plain.matches(',').count()) {
        (0, 0) => (plain.clone(), ""),
        (1, 0) => plain.split_once('.').map(|(w, d)| (w.to_owned(), d))?,
        (0, 1) => match plain.split_once(',')? {
            (_, decimals) if decimals.len() == 3 => return None,
            (whole, decimals) => (whole.to_owned(), decimals),
        },
        (_, 0) if grouped(&plain, '.') => (plain.replace('.', ""), ""),
        (0, _) if grouped(&plain, ',') => (plain.replace(',', ""), ""),
        (points, commas) if points > 0 && commas > 0 => {
            let last = plain.rfind(['.', ','])?;
            let (whole, decimals) = plain.split_at_checked(last)?;
            let mark = if decimals.starts_with('.') { ',' } else { '.' };
            if !grouped(whole, mark) {
                return None;
            }
            (whole.replace(mark, ""), decimals.get(1..)?)
        }
        _ => return None,
    };
    if whole.is_empty() && decimals.is_empty() {
        return None;
    }
    let whole = whole.trim_start_matches('0');
    let decimals = decimals.trim_end_matches('0');
    let sign = if minus && !(whole.is_empty() && decimals.is_empty()) { "-" } else { "" };
    let whole = if whole.is_empty() { "0" } else { whole };
    let mark = if decimals.is_empty() { "" } else { "." };
    Some(format!("{sign}{whole}{mark}{decimals}"))
}

const fn other(mark: char) -> char {
    if mark == '.' { ',' } else { '.' }
}

/// `YYYY-MM-DD` of a date with the year first, or with a day that can't be a month; `None` where day and month can't be told
/// apart or there is no such day.
fn day(text: &str) -> Option<String> {
    let text = text.split([' ', 'T']).next().unwrap_or_default();
    let parts: Vec<&str> = text.split(['-', '/', '.', '年', '月', '日']).filter(|p| !p.is_empty()).collect();
    let number = |s: &&str| s.parse::<i16>().ok();
    let [a, b, c] = parts.as_slice() else { return None };
    let (year, month, day) = match (a.len(), c.len()) {
        (4, _) => (number(a)?, number(b)?, number(c)?),
        (_, 4) if number(a)? > 12 => (number(c)?, number(b)?, number(a)?),
        (_, 4) if number(b)? > 12 => (number(c)?, number(a)?, number(b)?),
        // A dot is written only where the day comes first.
        (_, 4) if text.contains('.') || a == b => (number(c)?, number(b)?, number(a)?),
        _ => return None,
    };
    let date = Date::new(year, i8::try_from(month).ok()?, i8::try_from(day).ok()?).ok()?;
    Some(date.to_string())
}

/// With a time and an offset: a moment without a zone is 26 moments.
fn moment(text: &str) -> Option<String> {
    let at: Timestamp = text.parse().ok()?;
    Timestamp::from_millisecond(at.as_millisecond()).ok().map(|at| at.to_string())
}

fn boolean(text: &str) -> Option<bool> {
    match text.to_lowercase().as_str() {
        "true" | "yes" | "1" => Some(true),
        "false" | "no" | "0" => Some(false),
        _ => None,
    }
}

fn find<'a>(choices: &'a [String], text: &str) -> Option<&'a String> {
    let wanted = folded(text);
    choices.iter().find(|c| folded(c) == wanted)
}

fn not_a_choice(choices: &[String]) -> Unfit {
    let first: Vec<&str> = choices.iter().take(20).map(String::as_str).collect();
    let more = if choices.len() > first.len() { ", …" } else { "" };
    Unfit {
        code: "not_a_choice",
        reason: Cow::Borrowed("It is none of the choices."),
        suggestion: Cow::Owned(format!("Take one of: {}{more}.", first.join(", "))),
    }
}

fn choice(choices: &[String], text: &str) -> Result<String, Unfit> {
    find(choices, text).cloned().ok_or_else(|| not_a_choice(choices))
}

fn several(choices: &[String], text: &str) -> Result<String, Unfit> {
    let mut named = Vec::new();
    for part in text.split([';', ',', '|', '\n']).map(str::trim).filter(|p| !p.is_empty()) {
        named.push(find(choices, part).ok_or_else(|| not_a_choice(choices))?);
    }
    if named.is_empty() {
        return Err(not_a_choice(choices));
    }
    Ok(choices.iter().filter(|c| named.contains(c)).map(String::as_str).collect::<Vec<_>>().join(";"))
}

fn email(text: &str) -> Option<String> {
    let text = text.to_lowercase();
    let (name, host) = text.rsplit_once('@')?;
    let plain = |s: &str| !s.is_empty() && !s.contains(char::is_whitespace) && !s.contains([',', ';', '<', '>', '"']);
    let good = plain(name)
        && plain(host)
        && host.contains('.')
        && !host.starts_with('.')
        && !host.ends_with('.')
        && !host.contains("..")
        && text.len() <= 254;
    good.then_some(text)
}

/// Scheme and host in lower case; a missing scheme is https. Length as in browsers' address bars.
fn url(text: &str) -> Option<String> {
    if text.contains(char::is_whitespace) || text.contains(['<', '>', '"']) || text.len() > 2_048 {
        return None;
    }
    let (scheme, rest) = text.split_once("://").unwrap_or(("https", text));
    let scheme = scheme.to_ascii_lowercase();
    if !matches!(scheme.as_str(), "http" | "https") {
        return None;
    }
    let end = rest.find(['/', '?', '#']).unwrap_or(rest.len());
    let (place, path) = rest.split_at_checked(end)?;
    let (host, port) = place.split_once(':').unwrap_or((place, "443"));
    let label = |l: &str| {
        !l.is_empty() && !l.starts_with('-') && !l.ends_with('-') && l.chars().all(|c| c.is_alphanumeric() || c == '-')
    };
    let good = host.contains('.') && host.split('.').all(label) && port.parse::<u16>().is_ok();
    good.then(|| format!("{scheme}://{}{path}", place.to_lowercase()))
}
