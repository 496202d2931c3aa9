//! Every rule with its neighbours, and what no ledger may bring about.

use super::{
    ConsentView, Decision, Offsets, Place, PolicySettings, Question, QuietHours, Recent, TemplateFacts, decide, explain,
};
use crate::consent::{Action, Entry, Proof, Scope, ScopeKind, ScopeOf, Source, Standing, entry_id, fold};
use crate::error::{
    CONSENT_MISSING, COUNTRY_RULE, FIRST_CONTACT, LABEL_FORBIDS_MARKETING, MARKETING_NEEDS_TEMPLATE, MESSAGES_REFUSED,
    NUMBER_BLOCKED, OPTED_OUT, PUBLIC_CODES, PublicCode, QUIET_HOURS, RECIPIENT_BLOCKED, RECIPIENT_UNREACHABLE,
    SENDER_UNNAMED, TEMPLATE_NOT_APPROVED, TOO_FREQUENT, WINDOW_CLOSED,
};
use crate::ids::{NumberId, PersonId};
use crate::job::Class;
use crate::outbound::Outbound;
use crate::profile::Label;
use crate::{DAY, HOUR, Millis};
use proptest::prelude::*;
use serde_json::json;
use std::sync::LazyLock;
use uuid::Uuid;

static SETTINGS: LazyLock<PolicySettings> = LazyLock::new(PolicySettings::default);

const NOW: Millis = 20_000 * DAY + 12 * HOUR;
const YES: Standing = Standing { confirmed_at: Some(5), withdrawn_at: None, requested_at: None };
const NO: Standing = Standing { confirmed_at: Some(5), withdrawn_at: Some(5), requested_at: None };

fn text() -> Outbound {
    Outbound::Text { body: "hello".into(), preview_url: false }
}

fn template() -> Outbound {
    Outbound::Template { template: json!({"name":"a","language":{"code":"en"}}) }
}

/// Someone known, who agreed, at noon: nothing is against it but what a test changes.
fn ask(message: &Outbound, class: Class) -> Question<'_> {
    Question {
        message,
        class,
        now: NOW,
        window_until: None,
        consent: ConsentView { marketing_stopped_at: None, marketing: YES, transactional: Standing::default() },
        first_contact: false,
        labels: &[],
        template: None,
        sender_named: None,
        recent: Recent::default(),
        place: Place::new(Some("DE"), Some(Offsets { west: 60, east: 60 })),
        has_phone: true,
        number_blocked_until: None,
        asks: false,
        settings: &SETTINGS,
    }
}

fn marketing(change: impl FnOnce(&mut Question<'_>)) -> Decision {
    let message = template();
    let mut q = ask(&message, Class::Marketing);
    change(&mut q);
    decide(&q)
}

#[test]
fn free_form_needs_the_window() {
    let (text, template) = (text(), template());
    assert_eq!(decide(&ask(&text, Class::Reply)), Decision::Deny(WINDOW_CLOSED));
    assert_eq!(decide(&Question { window_until: Some(NOW + HOUR), ..ask(&text, Class::Reply) }), Decision::Allow);
    assert_eq!(decide(&ask(&template, Class::Transactional)), Decision::Allow);
}

#[test]
fn a_restricted_number_defers_what_the_business_begins() {
    let template = template();
    let restricted = Question { number_blocked_until: Some(NOW + 5), ..ask(&template, Class::Transactional) };
    assert_eq!(decide(&restricted), Decision::Defer(NOW + 5, NUMBER_BLOCKED));
    assert_eq!(decide(&Question { window_until: Some(NOW + HOUR), ..restricted }), Decision::Allow);
    assert_eq!(decide(&Question { now: NOW + 5, ..restricted }), Decision::Allow);
}

#[test]
fn marketing_goes_to_those_who_agreed_and_to_nobody_else() {
    assert_eq!(marketing(|_| {}), Decision::Allow);
    assert_eq!(marketing(|q| q.consent.marketing = Standing::default()), Decision::Deny(CONSENT_MISSING));
    assert_eq!(marketing(|q| q.consent.marketing = NO), Decision::Deny(OPTED_OUT));
    assert_eq!(marketing(|q| q.consent.transactional = NO), Decision::Deny(OPTED_OUT));
    assert_eq!(marketing(|q| q.consent.marketing_stopped_at = Some(1)), Decision::Deny(OPTED_OUT));
    assert_eq!(marketing(|q| q.first_contact = true), Decision::Deny(FIRST_CONTACT));
    let text = text();
    let free = Question { window_until: Some(NOW + HOUR), ..ask(&text, Class::Marketing) };
    assert_eq!(decide(&free), Decision::Deny(MARKETING_NEEDS_TEMPLATE));
}

#[test]
fn labels_say_who_gets_nothing_and_who_gets_no_marketing() {
    for (label, all, offers) in [
        (Label::Blocked, Decision::Deny(RECIPIENT_BLOCKED), Decision::Deny(RECIPIENT_BLOCKED)),
        (Label::RefusesMarketing, Decision::Allow, Decision::Deny(LABEL_FORBIDS_MARKETING)),
        (Label::Employee, Decision::Allow, Decision::Deny(LABEL_FORBIDS_MARKETING)),
        (Label::Test, Decision::Allow, Decision::Allow),
        (Label::Unreachable, Decision::Deny(RECIPIENT_UNREACHABLE), Decision::Deny(RECIPIENT_UNREACHABLE)),
    ] {
        let (template, labels) = (template(), [label]);
        assert_eq!(decide(&Question { labels: &labels, ..ask(&template, Class::Transactional) }), all, "{label:?}");
        assert_eq!(decide(&Question { labels: &labels, ..ask(&template, Class::Marketing) }), offers, "{label:?}");
    }
    // Whoever just wrote is there.
    let (text, labels) = (text(), [Label::Unreachable]);
    let answer = Question { window_until: Some(NOW + HOUR), labels: &labels, ..ask(&text, Class::Reply) };
    assert_eq!(decide(&answer), Decision::Allow);
}

#[test]
fn who_refused_everything_still_gets_answers() {
    let (text, template) = (text(), template());
    let refused = ConsentView { transactional: NO, ..ConsentView::default() };
    let order = Question { consent: refused, ..ask(&template, Class::Transactional) };
    assert_eq!(decide(&order), Decision::Deny(MESSAGES_REFUSED));
    let called_a_reply = Question { consent: refused, ..ask(&template, Class::Reply) };
    assert_eq!(decide(&called_a_reply), Decision::Deny(MESSAGES_REFUSED), "the class is the caller's word only");
    let answer = Question { consent: refused, window_until: Some(NOW + HOUR), ..ask(&text, Class::Reply) };
    assert_eq!(decide(&answer), Decision::Allow);
}

#[test]
fn the_category_of_the_template_counts_not_the_word_of_the_caller() {
    let template = template();
    let facts = |approved, marketing| Some(TemplateFacts { approved, marketing });
    let offer = Question { consent: ConsentView::default(), ..ask(&template, Class::Transactional) };
    assert_eq!(decide(&Question { template: facts(true, false), ..offer }), Decision::Allow);
    assert_eq!(decide(&Question { template: facts(true, true), ..offer }), Decision::Deny(CONSENT_MISSING));
    assert_eq!(decide(&Question { template: facts(true, true), asks: true, ..offer }), Decision::Allow);
    assert_eq!(decide(&Question { template: facts(false, false), ..offer }), Decision::Deny(TEMPLATE_NOT_APPROVED));
}

#[test]
fn limits_of_number_country_and_frequency() {
    assert_eq!(marketing(|q| q.sender_named = Some(false)), Decision::Deny(SENDER_UNNAMED));
    assert_eq!(marketing(|q| q.place = Place::new(Some("US"), None)), Decision::Deny(COUNTRY_RULE));
    assert_eq!(marketing(|q| q.recent = Recent { day: 1, week: 1 }), Decision::Deny(TOO_FREQUENT));
    assert_eq!(marketing(|q| q.recent = Recent { day: 0, week: 4 }), Decision::Deny(TOO_FREQUENT));
    assert_eq!(marketing(|q| q.recent = Recent { day: 0, week: 3 }), Decision::Allow);
}

#[test]
fn marketing_waits_for_the_morning_and_nothing_else_does() {
    let night = NOW + 11 * HOUR;
    let morning = NOW + 19 * HOUR;
    assert_eq!(marketing(|q| q.now = night), Decision::Defer(morning, QUIET_HOURS));
    let template = template();
    assert_eq!(decide(&Question { now: night, ..ask(&template, Class::Transactional) }), Decision::Allow);
    // Where the recipient is isn't known: it is said, and doesn't hold the message.
    assert_eq!(marketing(|q| (q.now, q.place) = (night, Place::default())), Decision::Allow);
}

#[test]
fn of_two_that_say_later_the_latest_counts() {
    let night = NOW + 11 * HOUR;
    let blocked = |until| marketing(|q| (q.now, q.number_blocked_until) = (night, Some(until)));
    assert_eq!(blocked(NOW + 12 * HOUR), Decision::Defer(NOW + 19 * HOUR, QUIET_HOURS));
    assert_eq!(blocked(NOW + 24 * HOUR), Decision::Defer(NOW + 24 * HOUR, NUMBER_BLOCKED));
}

#[test]
fn receipts_go_whatever_else_holds() {
    let read = Outbound::Read { message_id: "wamid.1".into(), typing: false };
    let labels = [Label::Blocked];
    let q = Question { labels: &labels, consent: ConsentView::default(), ..ask(&read, Class::Reply) };
    assert_eq!(decide(&q), Decision::Allow);
}

#[test]
fn an_explanation_names_every_rule_and_agrees_with_the_decision() {
    let message = template();
    let q = Question { first_contact: true, place: Place::default(), ..ask(&message, Class::Marketing) };
    let looked = explain(&q);
    let of = |rule| looked.iter().find(|l| l.rule == rule).copied();
    assert_eq!(of("first_contact").and_then(|l| l.code), Some("first_contact"));
    assert_eq!(of("quiet_hours").map(|l| l.result), Some("unknown"));
    assert_eq!(of("consent").map(|l| l.result), Some("pass"));
    let codes: Vec<&str> = looked.iter().filter(|l| l.result == "deny").filter_map(|l| l.code).collect();
    assert_eq!(decide(&q), Decision::Deny(FIRST_CONTACT));
    assert_eq!(codes, ["first_contact"]);
    let known = |code: &PublicCode| PUBLIC_CODES.iter().any(|c| c.code == code.code);
    assert!(known(&FIRST_CONTACT) && known(&QUIET_HOURS));
}

fn number() -> NumberId {
    "100".into()
}

fn any_entry() -> impl Strategy<Value = Entry> {
    let scopes = prop_oneof![
        4 => Just(ScopeOf::Everything),
        2 => Just(ScopeOf::Number(number())),
        1 => Just(ScopeOf::Number("200".into())),
        1 => Just(ScopeOf::Brand("shop".to_owned())),
    ];
    let texts = prop_oneof![1 => Just(None), 1 => Just(Some(String::new())), 3 => Just(Some("May we?".to_owned()))];
    (
        (
            0u32..6,
            0..Source::ALL.len(),
            prop_oneof![1 => Just(0usize), 2 => Just(1usize), 2 => Just(2usize)],
            scopes,
            prop::bool::weighted(0.85),
        ),
        // Times close together, so that they meet; some far in the future, as a wrong clock says them.
        (prop_oneof![9 => 0i64..6, 1 => NOW..NOW * 2], prop_oneof![Just(None), (0i64..16).prop_map(Some)]),
        (texts.clone(), texts.clone(), texts),
    )
        .prop_map(|((id, source, action, of, marketing), (at, until), (text_shown, stated_source, note))| Entry {
            id: entry_id(&[&id.to_string(), &at.to_string(), &source.to_string(), &action.to_string()]),
            person: PersonId(Uuid::nil()),
            scope: Scope { kind: if marketing { ScopeKind::Marketing } else { ScopeKind::Transactional }, of },
            action: Action::ALL[action],
            source: Source::ALL[source],
            proof: Proof { text_shown, stated_source, note, ..Proof::default() },
            at,
            until,
            said_by: "test".into(),
        })
}

/// Said without the fold: some confirmation is good on its own or answers a question, and no word after it takes it back.
fn agreed(entries: &[Entry]) -> bool {
    let full = |t: &Option<String>| t.as_ref().is_some_and(|t| !t.is_empty());
    let here = |e: &&Entry| e.scope.covers(ScopeKind::Marketing, &number(), Some("shop"));
    let good = |c: &&Entry| match c.source {
        Source::Import => full(&c.proof.stated_source),
        Source::Agent | Source::Api => full(&c.proof.text_shown) || full(&c.proof.note),
        Source::Keyword | Source::Reply | Source::Button => entries.iter().any(|q| {
            q.action == Action::Requested
                && q.scope == c.scope
                && full(&q.proof.text_shown)
                && q.at <= c.at
                && q.until.is_some_and(|until| c.at <= until)
        }),
        _ => false,
    };
    let resumed = |w: &Entry| {
        w.source == Source::Preference
            && entries
                .iter()
                .filter(here)
                .any(|r| r.source == Source::Preference && r.action == Action::Confirmed && r.at > w.at)
    };
    entries
        .iter()
        .filter(here)
        .filter(|c| c.action == Action::Confirmed)
        .filter(good)
        .any(|c| !entries.iter().filter(here).any(|w| w.action == Action::Withdrawn && w.at >= c.at && !resumed(w)))
}

/// Ids tell entries apart in the store. Should two facts ever bear one id, neither hides the other: least of all a withdrawal.
#[test]
fn a_withdrawal_counts_under_whatever_id() {
    let id = entry_id(&["the same"]);
    let entry = |scope: Scope, action, source, at| Entry {
        id,
        person: PersonId(Uuid::nil()),
        scope,
        action,
        source,
        proof: Proof { note: Some("form".into()), ..Proof::default() },
        at,
        until: None,
        said_by: "test".into(),
    };
    let transactional = Scope { kind: ScopeKind::Transactional, of: ScopeOf::Number(number()) };
    let entries = [
        entry(transactional, Action::Withdrawn, Source::Import, 5),
        entry(Scope::MARKETING, Action::Confirmed, Source::Agent, 0),
        entry(Scope::MARKETING, Action::Withdrawn, Source::Import, 5),
    ];
    assert!(fold(&entries).on(ScopeKind::Marketing, &number(), None).is_withdrawn());
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 2_000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn no_ledger_lets_marketing_pass_without_a_confirmation_that_stands(
        entries in proptest::collection::vec(any_entry(), 0..9), window in proptest::option::of(NOW - HOUR..NOW + DAY),
    ) {
        let standings = fold(&entries);
        // Nothing else is against it, so that the ledger alone decides.
        let message = template();
        let consent = ConsentView::of(None, &standings, &number(), Some("shop"));
        let q = Question { consent, window_until: window, ..ask(&message, Class::Marketing) };
        if !matches!(decide(&q), Decision::Deny(_)) {
            prop_assert!(agreed(&entries), "{entries:?}");
        }
    }

    #[test]
    fn order_and_repetition_change_no_standing(
        entries in proptest::collection::vec(any_entry(), 0..12).prop_flat_map(|e| (Just(e.clone()), Just(e).prop_shuffle())),
    ) {
        let (entries, shuffled) = entries;
        let unique: Vec<Entry> = {
            let mut seen = std::collections::BTreeSet::new();
            entries.iter().filter(|e| seen.insert(e.id)).cloned().collect()
        };
        let mut again: Vec<Entry> = shuffled.into_iter().filter(|e| unique.contains(e)).collect();
        again.extend(unique.iter().rev().cloned());
        prop_assert_eq!(fold(&unique), fold(&again));
    }

    #[test]
    fn marketing_never_passes_a_stop(window in proptest::option::of(0i64..NOW * 2), stopped in 0i64..10_000_000, free in any::<bool>()) {
        let message = if free { text() } else { template() };
        let consent = ConsentView { marketing_stopped_at: Some(stopped), marketing: YES, transactional: Standing::default() };
        let q = Question { window_until: window, consent, ..ask(&message, Class::Marketing) };
        prop_assert!(matches!(decide(&q), Decision::Deny(_)));
    }

    #[test]
    fn a_decision_is_what_the_explanation_says(
        now in NOW..NOW + 2 * DAY, first in any::<bool>(), stopped in proptest::option::of(0i64..9), day in 0u32..2,
        blocked in proptest::option::of(NOW..NOW + 2 * DAY), class in 0usize..3, quiet in (0u16..1440, 0u16..1440),
    ) {
        let message = template();
        let settings = PolicySettings { quiet: QuietHours::new(quiet.0, quiet.1), ..PolicySettings::default() };
        let base = ask(&message, Class::ALL[class]);
        let consent = ConsentView { marketing_stopped_at: stopped, ..base.consent };
        let q = Question { now, first_contact: first, consent, recent: Recent { day, week: day },
            number_blocked_until: blocked, settings: &settings, ..base };
        let looked = explain(&q);
        let denied = looked.iter().find(|l| l.result == "deny").and_then(|l| l.code);
        let deferred = looked.iter().filter(|l| l.result == "defer").filter_map(|l| l.until).max();
        match decide(&q) {
            Decision::Deny(code) => prop_assert_eq!(denied, Some(code.code)),
            Decision::Defer(until, _) => prop_assert!(denied.is_none() && deferred == Some(until)),
            Decision::Allow => prop_assert!(denied.is_none() && deferred.is_none()),
        }
    }
}
