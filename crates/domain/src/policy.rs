//! The policy of the send gate: may this message go to this person now? Pure; asked once to let a message in and once more
//! just before the call. A refusal names its rule. Requirement R11; consent grows behind [`ConsentView`].

use crate::Millis;
use crate::consent::ConsentView;
use crate::error::{MARKETING_NEEDS_TEMPLATE, NUMBER_BLOCKED, OPTED_OUT, PHONE_REQUIRED, PublicCode, WINDOW_CLOSED};
use crate::job::Class;
use crate::outbound::Outbound;
use crate::window;

/// All that the decision looks at.
#[derive(Debug, Clone, Copy)]
pub struct Question<'a> {
    /// What is to be sent.
    pub message: &'a Outbound,
    /// Why it is sent.
    pub class: Class,
    /// The time of the decision.
    pub now: Millis,
    /// End of the service window, when the person ever wrote.
    pub window_until: Option<Millis>,
    /// What is known of the person's will.
    pub consent: ConsentView,
    /// The person can be reached by phone number.
    pub has_phone: bool,
    /// WhatsApp restricted the number until then.
    pub number_blocked_until: Option<Millis>,
}

/// The answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Decision {
    /// It may go.
    Allow,
    /// Not before this time, by this rule.
    Defer(Millis, PublicCode),
    /// It may not go, by this rule.
    Deny(PublicCode),
}

/// Decides. Every rule that says no is final for this message; none is skipped by any flag.
#[must_use]
pub fn decide(q: &Question<'_>) -> Decision {
    if q.message.is_receipt() {
        return Decision::Allow;
    }
    let in_window = window::is_open(q.window_until, q.now);
    if q.class == Class::Marketing {
        if !q.message.is_template() {
            return Decision::Deny(MARKETING_NEEDS_TEMPLATE);
        }
        if q.consent.marketing_stopped_at.is_some() {
            return Decision::Deny(OPTED_OUT);
        }
    }
    if !q.message.is_template() && !in_window {
        return Decision::Deny(WINDOW_CLOSED);
    }
    if !q.has_phone && needs_phone(q.message) {
        return Decision::Deny(PHONE_REQUIRED);
    }
    // A restriction is for what the business begins; people who wrote are still answered.
    if !in_window && let Some(until) = q.number_blocked_until.filter(|until| *until > q.now) {
        return Decision::Defer(until, NUMBER_BLOCKED);
    }
    Decision::Allow
}

/// Authentication templates with a one-tap, zero-tap or copy-code button can't go to a user id (131062). What a send shows of
/// that is a copy-code button.
fn needs_phone(message: &Outbound) -> bool {
    let Outbound::Template { template } = message else { return false };
    let parts = template.get("components").and_then(|c| c.as_array()).map(Vec::as_slice).unwrap_or_default();
    parts
        .iter()
        .any(|part| part.get("sub_type").and_then(|s| s.as_str()).is_some_and(|s| s.eq_ignore_ascii_case("copy_code")))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use serde_json::json;

    fn text() -> Outbound {
        Outbound::Text { body: "hello".into(), preview_url: false }
    }

    fn template() -> Outbound {
        Outbound::Template { template: json!({"name":"a","language":{"code":"en"}}) }
    }

    fn ask(message: &Outbound, class: Class) -> Question<'_> {
        Question {
            message,
            class,
            now: 1_000_000,
            window_until: None,
            consent: ConsentView::default(),
            has_phone: true,
            number_blocked_until: None,
        }
    }

    #[test]
    fn free_form_needs_the_window() {
        assert_eq!(decide(&ask(&text(), Class::Reply)), Decision::Deny(WINDOW_CLOSED));
        assert_eq!(decide(&Question { window_until: Some(9_000_000), ..ask(&text(), Class::Reply) }), Decision::Allow);
        assert_eq!(decide(&ask(&template(), Class::Transactional)), Decision::Allow);
    }

    #[test]
    fn a_restricted_number_defers_what_the_business_begins() {
        let template = template();
        let restricted = Question { number_blocked_until: Some(2_000_000), ..ask(&template, Class::Transactional) };
        assert_eq!(decide(&restricted), Decision::Defer(2_000_000, NUMBER_BLOCKED));
        assert_eq!(decide(&Question { window_until: Some(90_000_000), ..restricted }), Decision::Allow);
        assert_eq!(decide(&Question { now: 2_000_000, ..restricted }), Decision::Allow);
    }

    proptest! {
        #[test]
        fn marketing_never_passes_a_stop(window in proptest::option::of(0i64..10_000_000), stopped in 0i64..10_000_000, free in any::<bool>()) {
            let message = if free { text() } else { template() };
            let q = Question { window_until: window, consent: ConsentView { marketing_stopped_at: Some(stopped) },
                ..ask(&message, Class::Marketing) };
            prop_assert!(matches!(decide(&q), Decision::Deny(_)));
        }
    }
}
