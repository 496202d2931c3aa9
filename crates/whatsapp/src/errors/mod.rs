//! What a failed call means: Meta's code decides, not the HTTP status (throttles come as 400). Facts: whatsapp-api 6 and 7.
//! May touch: values. Must not touch: texts of Meta's unfiltered; they can hold phone numbers.
//! Failure story: an answer that isn't Meta's JSON says nothing about whether the call was carried out.

pub mod table;

use crate::json::Object;
use http::HeaderMap;
use ponte_domain::error::{CallError, ErrorClass, ThrottleScope};
use ponte_domain::{MINUTE, Millis};

/// What it means that a call may have been carried out though we know nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Effect {
    /// Doing it twice would show (a message): the outcome must be settled first.
    Once,
    /// Doing it twice changes nothing that matters (reads, receipts, uploads): try again.
    Repeatable,
}

impl Effect {
    /// The class of "we don't know".
    #[must_use]
    pub const fn unknown(self) -> ErrorClass {
        match self {
            Self::Once => ErrorClass::UnknownOutcome,
            Self::Repeatable => ErrorClass::Retryable { after_ms: None },
        }
    }
}

/// The class of a code met in a status webhook; an unknown one goes to a person.
#[must_use]
pub fn class_of_code(code: i64) -> ErrorClass {
    table::row(code).map_or(ErrorClass::Permanent, table::Row::class)
}

/// What the code means, in our words.
#[must_use]
pub fn meaning_of_code(code: i64) -> Option<&'static str> {
    table::row(code).map(|row| row.meaning)
}

/// The `error` object of an answer.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct GraphError {
    /// Decides.
    pub code: i64,
    /// Deprecated, but template errors still say more here.
    pub subcode: Option<i64>,
    /// For display, may hold anything.
    pub message: Option<String>,
    /// `error_data.details` or `error_user_msg`: for display, may hold anything.
    pub details: Option<String>,
    /// Meta says that it will pass.
    pub is_transient: bool,
    /// For Meta's support.
    pub trace: Option<String>,
}

impl GraphError {
    /// Reads an answer's body; `None` when it isn't Meta's error JSON.
    #[must_use]
    pub fn read(body: &[u8]) -> Option<Self> {
        let body = Object::parse(std::str::from_utf8(body).ok()?)?;
        let error = body.object("error")?;
        let details = error.object("error_data").and_then(|data| data.string("details"));
        Some(Self {
            code: error.integer("code")?,
            subcode: error.integer("error_subcode"),
            message: error.string("message"),
            details: details.or_else(|| error.string("error_user_msg")),
            is_transient: error.flag("is_transient"),
            trace: error.string("fbtrace_id"),
        })
    }

    /// The class, with the HTTP status deciding over codes that the table doesn't know.
    #[must_use]
    pub fn class(&self, status: u16) -> ErrorClass {
        let class = self.row().map(table::Row::class);
        match class {
            None | Some(ErrorClass::Permanent) if self.is_transient => ErrorClass::Retryable { after_ms: None },
            Some(class) => class,
            None if status >= 500 => ErrorClass::Retryable { after_ms: None },
            None if status == 429 => ErrorClass::Throttled { scope: ThrottleScope::Number, after_ms: None },
            None => ErrorClass::Permanent,
        }
    }

    /// Template errors come as subcode of code 100.
    fn row(&self) -> Option<&'static table::Row> {
        let by_subcode = || self.subcode.filter(|code| *code >= 1_000_000).and_then(table::row);
        match self.code {
            100 => by_subcode().or_else(|| table::row(100)),
            code => table::row(code).or_else(by_subcode),
        }
    }
}

/// What an HTTP answer other than success means.
#[must_use]
pub fn classify(status: u16, headers: &HeaderMap, body: &[u8], effect: Effect) -> CallError {
    let Some(error) = GraphError::read(body) else { return without_error(status, effect) };
    let mut class = error.class(status);
    if let ErrorClass::Throttled { scope: ThrottleScope::Account, after_ms } = &mut class {
        *after_ms = after_ms.or_else(|| regain_access(headers));
    }
    let title = match error.row() {
        Some(row) => row.meaning.to_owned(),
        None => scrub(error.message.as_deref().unwrap_or("Meta gave no reason")),
    };
    let mut call = CallError::new(class, error.code.to_string(), title).with_status(status);
    call.detail = error.details.as_deref().or(error.message.as_deref()).map(scrub);
    call.trace = error.trace;
    call
}

/// No error of Meta's in it: something on the way answered, or Meta broke down in the middle.
fn without_error(status: u16, effect: Effect) -> CallError {
    let (class, title) = match status {
        401 => (ErrorClass::Auth, "not authorised"),
        408 => (effect.unknown(), "time was up at the other side"),
        429 => (
            ErrorClass::Throttled { scope: ThrottleScope::Number, after_ms: None },
            "too many requests, without a reason",
        ),
        300..=399 => (ErrorClass::Configuration, "the answer is a redirect: is the base address right?"),
        400..=499 => (ErrorClass::Permanent, "refused without a reason"),
        500.. => (effect.unknown(), "the server failed without a reason"),
        _ => (effect.unknown(), "the answer can't be understood"),
    };
    CallError::new(class, format!("http_{status}"), title).with_status(status)
}

/// The longest `estimated_time_to_regain_access` of the usage header. Its unit is minutes (facts 7).
#[must_use]
pub fn regain_access(headers: &HeaderMap) -> Option<Millis> {
    let header = headers.get("x-business-use-case-usage")?.to_str().ok()?;
    let accounts = Object::parse(header)?;
    let minutes = accounts
        .iter()
        .filter_map(|(_, uses)| crate::json::list(uses))
        .flatten()
        .filter_map(Object::read)
        .filter_map(|usage| usage.integer("estimated_time_to_regain_access"))
        .max()?;
    (minutes > 0).then(|| minutes.checked_mul(MINUTE)).flatten()
}

/// Takes out what could be a phone number: runs of seven or more digits. Keeps the first 300 characters.
#[must_use]
pub fn scrub(text: &str) -> String {
    let mut clean = String::with_capacity(text.len().min(300));
    let mut digits = String::new();
    for c in text.chars().take(300).chain(std::iter::once('\0')) {
        if c.is_ascii_digit() {
            digits.push(c);
            continue;
        }
        if digits.len() >= 7 {
            clean.push('…');
        } else {
            clean.push_str(&digits);
        }
        digits.clear();
        if !c.is_control() {
            clean.push(c);
        }
    }
    clean
}

#[cfg(test)]
mod tests {
    use super::*;
    use http::HeaderValue;
    use ponte_domain::{DAY, HOUR};
    use proptest::prelude::*;
    use serde_json::json;

    const AGAIN: ErrorClass = ErrorClass::Retryable { after_ms: None };

    fn classified(status: u16, error: serde_json::Value) -> CallError {
        classify(status, &HeaderMap::new(), json!({"error": error}).to_string().as_bytes(), Effect::Once)
    }

    #[test]
    fn rows_are_sorted_and_never_overlap() {
        let mut last = i64::MIN;
        for row in table::TABLE {
            assert!(row.first > last && row.last >= row.first, "{}", row.first);
            last = row.last;
        }
    }

    #[test]
    fn classes_follow_the_table() {
        let hold = |scope, after_ms| ErrorClass::Throttled { scope, after_ms };
        for (code, class) in [
            (0, ErrorClass::Auth),
            (190, ErrorClass::Auth),
            (10, ErrorClass::Configuration),
            (230, ErrorClass::Configuration),
            (131005, ErrorClass::Configuration),
            (133010, ErrorClass::Configuration),
            (131042, ErrorClass::Configuration),
            (2, AGAIN),
            (131000, AGAIN),
            (131057, ErrorClass::Retryable { after_ms: Some(60_000) }),
            (131056, hold(ThrottleScope::Recipient, None)),
            (131049, hold(ThrottleScope::RecipientMarketing, Some(DAY))),
            (130429, hold(ThrottleScope::Number, None)),
            (131048, hold(ThrottleScope::Number, Some(4 * HOUR))),
            (80007, hold(ThrottleScope::Account, None)),
            (131047, ErrorClass::Permanent),
            (131026, ErrorClass::Permanent),
            (131208, hold(ThrottleScope::Number, None)),
            (131210, ErrorClass::Permanent),
            (132001, ErrorClass::Permanent),
            (200006, ErrorClass::Permanent),
            (999_999, ErrorClass::Permanent),
        ] {
            assert_eq!(class_of_code(code), class, "{code}");
        }
    }

    #[test]
    fn the_code_decides_and_the_status_only_over_unknown_codes() {
        assert_eq!(classified(400, json!({"code": 131016})).class, AGAIN);
        assert_eq!(classified(500, json!({"code": 131026})).class, ErrorClass::Permanent);
        assert_eq!(classified(500, json!({"code": 424_242})).class, AGAIN);
        assert_eq!(classified(400, json!({"code": 424_242})).class, ErrorClass::Permanent);
        assert_eq!(classified(400, json!({"code": "424242", "is_transient": true})).class, AGAIN);
        assert_eq!(classified(400, json!({"code": 100, "is_transient": true})).class, AGAIN);
        assert_eq!(classified(401, json!({"code": 190, "is_transient": true})).class, ErrorClass::Auth);
        let template = classified(400, json!({"code": 100, "error_subcode": 2388293}));
        assert_eq!((template.code.as_str(), template.title.contains("too many parameters")), ("100", true));
    }

    #[test]
    fn answers_without_metas_error_leave_the_outcome_open() {
        let plain = |status, effect| classify(status, &HeaderMap::new(), b"<html>Bad Gateway</html>", effect).class;
        for status in [500, 502, 503, 504, 408] {
            assert_eq!(plain(status, Effect::Once), ErrorClass::UnknownOutcome, "{status}");
            assert_eq!(plain(status, Effect::Repeatable), AGAIN, "{status}");
        }
        assert_eq!(plain(404, Effect::Once), ErrorClass::Permanent);
        assert_eq!(plain(302, Effect::Once), ErrorClass::Configuration);
        assert_eq!(plain(401, Effect::Once), ErrorClass::Auth);
        assert!(matches!(plain(429, Effect::Once), ErrorClass::Throttled { .. }));
    }

    #[test]
    fn the_usage_header_says_how_long() {
        let mut headers = HeaderMap::new();
        let usage = r#"{"1022":[{"type":"whatsapp_business_management","call_count":101,"estimated_time_to_regain_access":7}]}"#;
        headers.insert("x-business-use-case-usage", HeaderValue::from_static(usage));
        let body = br#"{"error":{"message":"(#80007) limit","code":80007,"fbtrace_id":"Atrace"}}"#;
        let error = classify(400, &headers, body, Effect::Once);
        assert_eq!(error.class, ErrorClass::Throttled { scope: ThrottleScope::Account, after_ms: Some(7 * MINUTE) });
        assert_eq!(error.trace.as_deref(), Some("Atrace"));
        assert_eq!(error.http_status, Some(400));
    }

    #[test]
    fn no_phone_number_survives() {
        let error = classified(
            400,
            json!({"code": 424_242, "message": "to +16505551234 failed", "error_data": {
            "details": "recipient 5511987654321, at most 4096"}}),
        );
        let text = format!("{error} {error:?}");
        assert!(!text.contains("6505551234") && !text.contains("987654321"), "{text}");
        assert!(text.contains("at most 4096"));
    }

    proptest! {
        #[test]
        fn any_answer_gets_a_class(status in 100u16..600, body in proptest::collection::vec(any::<u8>(), 0..200)) {
            let error = classify(status, &HeaderMap::new(), &body, Effect::Once);
            prop_assert_eq!(error.http_status, Some(status));
        }

        #[test]
        fn scrubbed_text_has_no_long_runs(text in ".{0,400}") {
            let runs = scrub(&text);
            prop_assert!(runs.split(|c: char| !c.is_ascii_digit()).all(|run| run.len() < 7));
        }
    }
}
