//! The rules, in the order in which they decide. A rule is a function of the question; a new one is a line in [`ALL`].

use super::{Finding, Question};
use crate::error::{
    CONSENT_MISSING, COUNTRY_RULE, FIRST_CONTACT, LABEL_FORBIDS_MARKETING, MARKETING_NEEDS_TEMPLATE, MESSAGES_REFUSED,
    NUMBER_BLOCKED, OPTED_OUT, PHONE_REQUIRED, QUIET_HOURS, RECIPIENT_BLOCKED, RECIPIENT_UNREACHABLE, SENDER_UNNAMED,
    TEMPLATE_NOT_APPROVED, TOO_FREQUENT, WINDOW_CLOSED,
};
use crate::job::Class;
use crate::outbound::Outbound;
use crate::profile::Label;

pub(super) type Rule = fn(&Question<'_>) -> Finding;

/// Refusals of people come first, so that they are what is told.
pub(super) const ALL: &[(&str, Rule)] = &[
    ("recipient_blocked", recipient_blocked),
    ("marketing_is_template", marketing_is_template),
    ("label", label),
    ("consent", consent),
    ("first_contact", first_contact),
    ("window", window),
    ("template_approved", template_approved),
    ("sender_named", sender_named),
    ("phone", phone),
    ("reachable", reachable),
    ("country", country),
    ("frequency", frequency),
    ("number_restricted", number_restricted),
    ("quiet_hours", quiet_hours),
];

/// A receipt is no message: it tells nobody anything they didn't begin themselves.
fn is_receipt(q: &Question<'_>) -> bool {
    q.message.is_receipt()
}

fn recipient_blocked(q: &Question<'_>) -> Finding {
    match q {
        q if is_receipt(q) => Finding::NotAsked,
        q if q.has_label(Label::Blocked) => Finding::Deny(RECIPIENT_BLOCKED),
        _ => Finding::Pass,
    }
}

fn marketing_is_template(q: &Question<'_>) -> Finding {
    match q {
        q if is_receipt(q) || !q.is_marketing() => Finding::NotAsked,
        q if q.message.is_template() => Finding::Pass,
        _ => Finding::Deny(MARKETING_NEEDS_TEMPLATE),
    }
}

fn label(q: &Question<'_>) -> Finding {
    match q {
        q if is_receipt(q) || !q.is_marketing() => Finding::NotAsked,
        q if q.has_label(Label::RefusesMarketing) || q.has_label(Label::Employee) => {
            Finding::Deny(LABEL_FORBIDS_MARKETING)
        }
        _ => Finding::Pass,
    }
}

/// Marketing needs a confirmation that wasn't withdrawn. Who withdrew even orders and appointments gets no marketing either,
/// and other messages only as answers. An answer to a person who waits needs no consent: they asked.
fn consent(q: &Question<'_>) -> Finding {
    if is_receipt(q) {
        return Finding::NotAsked;
    }
    let c = &q.consent;
    if q.is_marketing() {
        return if c.marketing_stopped_at.is_some() || c.marketing.is_withdrawn() || c.transactional.is_withdrawn() {
            Finding::Deny(OPTED_OUT)
        } else if c.marketing.is_confirmed() {
            Finding::Pass
        } else {
            Finding::Deny(CONSENT_MISSING)
        };
    }
    match q.class {
        Class::Reply if q.in_window() => Finding::NotAsked,
        _ if c.transactional.is_withdrawn() => Finding::Deny(MESSAGES_REFUSED),
        _ => Finding::Pass,
    }
}

/// Layered consent: who never heard of us first gets what they ordered, and offers later.
fn first_contact(q: &Question<'_>) -> Finding {
    match q {
        q if is_receipt(q) || !q.is_marketing() => Finding::NotAsked,
        q if q.first_contact => Finding::Deny(FIRST_CONTACT),
        _ => Finding::Pass,
    }
}

fn window(q: &Question<'_>) -> Finding {
    match q {
        q if is_receipt(q) || q.message.is_template() => Finding::NotAsked,
        q if q.in_window() => Finding::Pass,
        _ => Finding::Deny(WINDOW_CLOSED),
    }
}

fn template_approved(q: &Question<'_>) -> Finding {
    match q.template {
        _ if !q.message.is_template() => Finding::NotAsked,
        None => Finding::Unknown("Whether WhatsApp has approved the template, and its category, is not known here."),
        Some(facts) if facts.approved => Finding::Pass,
        Some(_) => Finding::Deny(TEMPLATE_NOT_APPROVED),
    }
}

fn sender_named(q: &Question<'_>) -> Finding {
    match q.sender_named {
        _ if is_receipt(q) || !q.is_marketing() => Finding::NotAsked,
        None => Finding::Unknown("Whether the number has a name that customers see is not known here."),
        Some(true) => Finding::Pass,
        Some(false) => Finding::Deny(SENDER_UNNAMED),
    }
}

/// Authentication templates with a one-tap, zero-tap or copy-code button can't go to a user id (131062). What a send shows of
/// that is a copy-code button.
fn phone(q: &Question<'_>) -> Finding {
    let Outbound::Template { template } = q.message else { return Finding::NotAsked };
    let parts = template.get("components").and_then(|c| c.as_array()).map(Vec::as_slice).unwrap_or_default();
    let needs = parts
        .iter()
        .any(|part| part.get("sub_type").and_then(|s| s.as_str()).is_some_and(|s| s.eq_ignore_ascii_case("copy_code")));
    match (needs, q.has_phone) {
        (false, _) => Finding::NotAsked,
        (true, true) => Finding::Pass,
        (true, false) => Finding::Deny(PHONE_REQUIRED),
    }
}

/// Whoever has just written is there, whatever was found out before.
fn reachable(q: &Question<'_>) -> Finding {
    match q {
        q if is_receipt(q) || q.in_window() => Finding::NotAsked,
        q if q.has_label(Label::Unreachable) => Finding::Deny(RECIPIENT_UNREACHABLE),
        _ => Finding::Pass,
    }
}

fn country(q: &Question<'_>) -> Finding {
    if is_receipt(q) || !q.is_marketing() {
        return Finding::NotAsked;
    }
    match q.place.country() {
        None => Finding::Unknown("The recipient's country is not known here."),
        Some(country) if q.settings.no_marketing_to.iter().any(|c| c.eq_ignore_ascii_case(country)) => {
            Finding::Deny(COUNTRY_RULE)
        }
        Some(_) => Finding::Pass,
    }
}

fn frequency(q: &Question<'_>) -> Finding {
    match q {
        q if is_receipt(q) || !q.is_marketing() => Finding::NotAsked,
        q if q.recent.day >= q.settings.marketing_per_day || q.recent.week >= q.settings.marketing_per_week => {
            Finding::Deny(TOO_FREQUENT)
        }
        _ => Finding::Pass,
    }
}

/// A restriction is for what the business begins; people who wrote are still answered.
fn number_restricted(q: &Question<'_>) -> Finding {
    match q.number_blocked_until {
        _ if is_receipt(q) || q.in_window() => Finding::NotAsked,
        Some(until) if until > q.now => Finding::Defer(until, NUMBER_BLOCKED),
        _ => Finding::Pass,
    }
}

fn quiet_hours(q: &Question<'_>) -> Finding {
    if is_receipt(q) || !q.is_marketing() {
        return Finding::NotAsked;
    }
    let Some(hours) = q.settings.quiet else { return Finding::NotAsked };
    match q.place.offsets {
        None => Finding::Unknown("The recipient's time zone is not known here."),
        Some(offsets) => match hours.quiet_until(q.now, offsets) {
            Some(until) => Finding::Defer(until, QUIET_HOURS),
            None => Finding::Pass,
        },
    }
}
