//! Answers -> classes (crm-apis section 6), by what the description says of codes and statuses, else by what HTTP means (RFC 9110).
//! Must not touch: texts of errors. They may quote values, so only codes are kept.
//! Failure story: a failed create may have been done (unknown outcome); all else may simply be tried again.

use super::config::Class;
use super::plan::Plan;
use ponte_domain::error::{CallError, ErrorClass, ThrottleScope};
use ponte_domain::{Millis, SECOND};
use serde_json::Value;

/// What trying a call again would do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Effect {
    /// Nothing, or the same as before: reads, updates, upserts.
    Repeatable,
    /// Perhaps a second record.
    Creates,
}

/// An answer, as far as errors are concerned.
#[derive(Debug, Clone, Copy)]
pub(super) struct Told<'a> {
    pub(super) status: u16,
    pub(super) success: bool,
    pub(super) retry_after: Option<&'a str>,
    pub(super) now: Millis,
    pub(super) body: &'a Value,
}

impl Plan {
    /// The error in an answer, when it is one.
    pub(super) fn error_of(&self, told: Told<'_>, effect: Effect) -> Option<CallError> {
        let errors = &self.config.errors;
        let look = |place: &Option<super::place::Place>| {
            Some(place.as_ref()?.lens(&self.templates).ok()?.look(told.body, told.body))
        };
        let failed = look(&errors.failed).is_some_and(|found| super::place::truthy(&found));
        if told.success && !failed {
            return None;
        }
        let code = look(&errors.code).and_then(|found| super::place::text_of(&found)).filter(|code| harmless(code));
        let class = self.class_of(code.as_deref(), told.status, told.success);
        let existing = look(&errors.existing).and_then(|found| super::place::text_of(&found));
        let asked = told.retry_after.and_then(|text| wait_of(text, told.now));
        let wait = asked.or(errors.throttle_ms).unwrap_or(5 * SECOND);
        let code = code.unwrap_or_else(|| format!("http_{}", told.status));
        Some(error(class, code, effect, wait, existing).with_status(told.status))
    }

    /// The error of one row of a batch.
    pub(super) fn error_of_row(&self, code: Option<String>, effect: Effect) -> CallError {
        let code = code.filter(|code| harmless(code));
        let class = self.class_of(code.as_deref(), 200, true);
        let wait = self.config.errors.throttle_ms.unwrap_or(5 * SECOND);
        error(class, code.unwrap_or_else(|| "row_failed".to_owned()), effect, wait, None)
    }

    fn class_of(&self, code: Option<&str>, status: u16, success: bool) -> Class {
        let classes = &self.config.errors.classes;
        let said = |key: &str| classes.get(key).copied();
        let of_code = code.and_then(said);
        let of_status = || said(&status.to_string()).or_else(|| said(&format!("{}xx", status / 100)));
        of_code.or_else(|| (!success).then(of_status).flatten()).unwrap_or(match status {
            401 => Class::Auth,
            403 => Class::Configuration,
            404 | 410 => Class::Gone,
            408 | 423 | 425 | 500.. => Class::Retry,
            409 => Class::Conflict,
            429 => Class::Throttled,
            _ => Class::Permanent,
        })
    }
}

fn error(class: Class, code: String, effect: Effect, wait: Millis, existing: Option<String>) -> CallError {
    let (class, title) = match class {
        Class::Auth => (ErrorClass::Auth, "the CRM refuses the credentials"),
        Class::Configuration => {
            (ErrorClass::Configuration, "the CRM refuses the call: a right is missing or the description is wrong")
        }
        Class::Throttled => {
            let scope = ThrottleScope::Account;
            (ErrorClass::Throttled { scope, after_ms: Some(wait) }, "the CRM's limit of calls is reached")
        }
        Class::Retry if effect == Effect::Creates => {
            (ErrorClass::UnknownOutcome, "the CRM failed while it made a record")
        }
        Class::Retry => (ErrorClass::Retryable { after_ms: None }, "the CRM has a fault of its own"),
        Class::Gone => (ErrorClass::Gone, "the record is gone from the CRM"),
        Class::Conflict => (ErrorClass::Conflict { existing }, "the CRM has this record already"),
        Class::Permanent => (ErrorClass::Permanent, "the CRM refuses the row"),
    };
    CallError::new(class, code, title)
}

/// A code, and no sentence with somebody's data in it.
fn harmless(code: &str) -> bool {
    let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '-' | '.' | ':' | '/');
    (1..=64).contains(&code.len()) && code.chars().all(plain) && code.chars().filter(char::is_ascii_digit).count() < 7
}

/// `Retry-After`: seconds, or a date (RFC 9110, section 10.2.3).
fn wait_of(text: &str, now: Millis) -> Option<Millis> {
    let text = text.trim();
    match text.parse::<f64>() {
        Ok(seconds) if (0.0..1e7).contains(&seconds) => Some((seconds * 1_000.0) as Millis),
        Ok(_) => None,
        Err(_) => date_of(text).map(|at| (at - now).max(0)),
    }
}

/// A date of HTTP, milliseconds.
pub(super) fn date_of(text: &str) -> Option<Millis> {
    jiff::fmt::rfc2822::parse(text.trim()).ok().map(|at| at.timestamp().as_millisecond())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::http::plan::tests::plan_of;
    use serde_json::json;

    fn told(status: u16, body: &Value) -> Told<'_> {
        Told { status, success: (200..300).contains(&status), retry_after: Some("7"), now: 0, body }
    }

    #[test]
    fn codes_come_before_statuses_and_statuses_before_what_http_means() {
        let plan = plan_of(json!({"errors": {
            "failed": "/error", "code": "/error/0", "existing": "/id",
            "classes": {"LoginException": "auth", "busy": "throttled", "418": "configuration", "4xx": "permanent", "there": "conflict"},
        }}));
        let class =
            |status, body: Value| plan.error_of(told(status, &body), Effect::Repeatable).map(|e| (e.class, e.code));
        assert_eq!(class(200, json!({"result": 1})), None);
        assert_eq!(
            class(200, json!({"error": ["LoginException", "secret 5511987654321"]})),
            Some((ErrorClass::Auth, "LoginException".into()))
        );
        assert_eq!(
            class(200, json!({"error": ["What ever, with words"]})),
            Some((ErrorClass::Permanent, "http_200".into()))
        );
        assert_eq!(class(401, json!(null)).unwrap().0, ErrorClass::Permanent, "as the description says");
        assert_eq!(class(418, json!(null)).unwrap().0, ErrorClass::Configuration);
        assert_eq!(
            class(503, json!({"error": ["busy"]})).unwrap().0,
            ErrorClass::Throttled { scope: ThrottleScope::Account, after_ms: Some(7_000) }
        );
        assert_eq!(
            class(409, json!({"error": ["there"], "id": 9})).unwrap().0,
            ErrorClass::Conflict { existing: Some("9".into()) }
        );
    }

    #[test]
    fn without_a_word_of_the_description_statuses_mean_what_http_says() {
        let plan = plan_of(json!({}));
        let class = |status| plan.error_of(told(status, &Value::Null), Effect::Repeatable).map(|e| e.class);
        assert_eq!((class(204), class(401), class(404)), (None, Some(ErrorClass::Auth), Some(ErrorClass::Gone)));
        assert_eq!(
            (class(422), class(502)),
            (Some(ErrorClass::Permanent), Some(ErrorClass::Retryable { after_ms: None }))
        );
        let created = plan.error_of(told(502, &Value::Null), Effect::Creates).unwrap();
        assert_eq!(created.class, ErrorClass::UnknownOutcome);
    }

    #[test]
    fn retry_after_is_seconds_or_a_date() {
        assert_eq!(wait_of("120", 0), Some(120_000));
        assert_eq!(wait_of("Mon, 23 Nov 2026 02:30:10 GMT", 1_795_401_000_000), Some(10_000));
        assert_eq!(wait_of("Mon, 23 Nov 2026 02:30:10 GMT", 1_795_402_000_000), Some(0));
        assert_eq!(wait_of("soon", 0), None);
    }

    #[test]
    fn a_number_in_the_place_of_a_code_is_not_kept() {
        assert!(harmless("DUPLICATE_DATA") && harmless("1062") && !harmless("5511987654321") && !harmless("Ana Souza"));
    }
}
