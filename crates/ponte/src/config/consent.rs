//! Checking `[consent]` and `[policy]`.

use super::check::ConfigErrors;
use super::sections::{RawConsent, RawPolicy};
use ponte_domain::consent::{ConsentSettings, Words};
use ponte_domain::policy::{PolicySettings, QuietHours};
use ponte_domain::reach;
use ponte_domain::{HOUR, Millis};

/// WhatsApp's limit for the title of a reply button, characters.
const BUTTON: usize = 20;
/// No question stays open for longer.
const YEAR_HOURS: f64 = 8760.0;

pub(super) fn check(raw: RawConsent, errors: &mut ConfigErrors) -> ConsentSettings {
    if !(raw.confirm_within_hours > 0.0 && raw.confirm_within_hours <= YEAR_HOURS) {
        let problem = format!("is {}", raw.confirm_within_hours);
        errors.add("[consent] confirm_within_hours", problem, "give more than 0 and at most 8760 hours");
    }
    if !(0.0..=YEAR_HOURS).contains(&raw.remind_after_hours) {
        let problem = format!("is {}", raw.remind_after_hours);
        errors.add("[consent] remind_after_hours", problem, "give 0 (never) to 8760 hours");
    }
    for (language, ask) in &raw.ask {
        for (name, title) in [("yes", &ask.yes), ("no", &ask.no)] {
            if title.is_empty() || title.chars().count() > BUTTON {
                let place = format!("[consent.ask.{language}] {name}");
                errors.add(place, format!("{} characters", title.chars().count()), "give 1 to 20 characters");
            }
        }
        if ask.text.trim().is_empty() || ask.yes == ask.no {
            let place = format!("[consent.ask.{language}]");
            errors.add(place, "the text is empty, or both buttons are the same", "give a question and two answers");
        }
    }
    if raw.ask_template.as_ref().is_some_and(|t| t.text.trim().is_empty()) {
        errors.add(
            "[consent.ask_template] text",
            "is empty",
            "copy the template's text word for word: it is the proof of what was shown",
        );
    }
    ConsentSettings {
        words: Words::new(&raw.withdraw, &raw.confirm),
        confirm_within_ms: hours(raw.confirm_within_hours),
        remind_after_ms: hours(raw.remind_after_hours),
        acknowledge: raw.acknowledge,
        ask: raw.ask,
        ask_template: raw.ask_template,
    }
}

/// Hours as milliseconds.
#[expect(clippy::cast_possible_truncation, reason = "checked to be at most a year")]
fn hours(hours: f64) -> Millis {
    (hours * HOUR as f64) as Millis
}

pub(super) fn check_policy(raw: RawPolicy, errors: &mut ConfigErrors) -> Option<(PolicySettings, reach::Settings)> {
    let mut minute = |name: &str, text: &str| {
        let read = time_of_day(text);
        if read.is_none() {
            errors.add(
                format!("[policy] {name}"),
                format!("{text:?} is no time of day"),
                "write HH:MM, 00:00 to 23:59",
            );
        }
        read
    };
    let (from, until) = (minute("quiet_from", &raw.quiet_from), minute("quiet_until", &raw.quiet_until));
    for country in &raw.no_marketing_to {
        if country.len() != 2 || !country.bytes().all(|b| b.is_ascii_uppercase()) {
            let problem = format!("{country:?} is no country");
            errors.add("[policy] no_marketing_to", problem, "write two capital letters, ISO 3166-1: \"US\"");
        }
    }
    if !(1..=10).contains(&raw.unreachable_after) {
        errors.add("[policy] unreachable_after", format!("is {}", raw.unreachable_after), "give 1 to 10 failures");
    }
    let policy = PolicySettings {
        marketing_per_day: raw.marketing_per_day,
        marketing_per_week: raw.marketing_per_week,
        quiet: QuietHours::new(from?, until?),
        no_marketing_to: raw.no_marketing_to,
    };
    Some((policy, reach::Settings { failures: raw.unreachable_after }))
}

/// Minutes after midnight.
fn time_of_day(text: &str) -> Option<u16> {
    let (hours, minutes) = text.split_once(':')?;
    let (hours, minutes): (u16, u16) = (hours.parse().ok()?, minutes.parse().ok()?);
    (hours < 24 && minutes < 60).then_some(hours * 60 + minutes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_of_day() {
        assert_eq!(time_of_day("21:00"), Some(1260));
        assert_eq!(time_of_day("00:05"), Some(5));
        for odd in ["24:00", "9", "09:60", "", "a:b", "-1:00"] {
            assert_eq!(time_of_day(odd), None, "{odd}");
        }
    }
}
