//! HubSpot's errors -> classes (crm-apis section 6). Decided here and nowhere else.
//! Must not touch: the texts HubSpot gives. They quote property values (phone numbers, message texts), so only their codes,
//! categories and property names are kept.
//! Failure story: a failed *create* may have been done (unknown outcome); updates, upserts and reads may simply be tried again.

use jiff::{Timestamp, ToSpan, tz::TimeZone};
use ponte_domain::error::{CallError, ErrorClass, ThrottleScope};
use ponte_domain::{HOUR, MINUTE, Millis, SECOND};
use serde_json::Value;
use std::collections::BTreeSet;

/// What trying a call again would do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Effect {
    /// Nothing, or the same as before: reads, updates, upserts by a unique property.
    Repeatable,
    /// Perhaps a second record.
    Creates,
}

/// What an answer said, besides its body.
#[derive(Debug, Clone, Copy)]
pub(super) struct Told<'a> {
    pub(super) status: u16,
    pub(super) retry_after: Option<&'a str>,
    pub(super) now: Millis,
    pub(super) time_zone: &'a str,
}

/// Reads a whole refused call.
pub(super) fn of_answer(told: Told<'_>, body: &Value, effect: Effect) -> CallError {
    let category = text(body, "category").unwrap_or_default();
    let (class, code, title) = match told.status {
        401 => (ErrorClass::Auth, "unauthorized", "HubSpot refuses the access token"),
        403 => (ErrorClass::Configuration, or(category, "forbidden"), "HubSpot refuses access: a scope is missing"),
        408 => (after_failure(effect), "timeout", "HubSpot took too long"),
        423 => (
            ErrorClass::Retryable { after_ms: Some(2 * SECOND) },
            "locked",
            "HubSpot has locked the record for a moment",
        ),
        429 => return throttled(told, body),
        477 => {
            let after_ms = told
                .retry_after
                .and_then(|s| s.trim().parse::<Millis>().ok())
                .map_or(HOUR, |s| s.saturating_mul(SECOND));
            let class = ErrorClass::Throttled { scope: ThrottleScope::Account, after_ms: Some(after_ms) };
            (class, "migration_in_progress", "HubSpot is moving the account to another data centre")
        }
        status if status >= 500 => {
            (after_failure(effect), or(category, "server_error"), "HubSpot has a fault of its own")
        }
        _ => of_content(told.status, body),
    };
    finish(CallError::new(class, code, title).with_status(told.status), body)
}

/// Reads the error of one row of a batch that was answered with 207.
pub(super) fn of_row(body: &Value, effect: Effect) -> CallError {
    let category = text(body, "category").unwrap_or_default();
    let (class, code, title) = match category {
        "RATE_LIMITS" | "RATE_LIMIT" => {
            (ErrorClass::Retryable { after_ms: Some(SECOND) }, category, "HubSpot put the row off")
        }
        "MISSING_SCOPES" => (ErrorClass::Configuration, category, "HubSpot refuses access: a scope is missing"),
        "INTERNAL_ERROR" | "SERVER_ERROR" | "INTERNAL_SERVER_ERROR" => {
            (after_failure(effect), category, "HubSpot has a fault of its own")
        }
        _ => of_content(0, body),
    };
    finish(CallError::new(class, code, title), body)
}

/// True when the error may belong to one row only, so that sending the rows apart makes sense.
pub(super) fn may_be_one_row(error: &CallError) -> bool {
    matches!(error.class, ErrorClass::Permanent | ErrorClass::Gone | ErrorClass::Conflict { .. })
}

/// True when HubSpot objects to this property.
pub(super) fn names_property(error: &CallError, property: &str) -> bool {
    error.detail.as_deref().is_some_and(|d| d.split([' ', ',', '=']).any(|word| word == property))
}

const fn after_failure(effect: Effect) -> ErrorClass {
    match effect {
        Effect::Repeatable => ErrorClass::Retryable { after_ms: None },
        Effect::Creates => ErrorClass::UnknownOutcome,
    }
}

fn of_content(status: u16, body: &Value) -> (ErrorClass, &str, &'static str) {
    let category = text(body, "category").unwrap_or_default();
    let message = text(body, "message").unwrap_or_default().to_ascii_lowercase();
    let codes = codes(body);
    let has = |code: &str| codes.contains(code) || category == code;
    let missing = ["not found", "not exist", "doesn't exist", "deleted", "not be found", "could not get"];
    let gone = missing.iter().any(|m| message.contains(m));
    if status == 409
        || has("CONFLICT")
        || has("OBJECT_ALREADY_EXISTS")
        || has("CONFLICTING_UNIQUE_VALUE")
        || message.contains("already has that value")
    {
        let existing = existing_id(text(body, "message").unwrap_or_default());
        (ErrorClass::Conflict { existing }, or(category, "conflict"), "HubSpot has this record already")
    } else if has("PROPERTY_DOESNT_EXIST") || has("READ_ONLY_VALUE") {
        (ErrorClass::Configuration, "property", "HubSpot doesn't take one of the properties")
    } else if has("OBJECT_NOT_FOUND") || (gone && message.contains("associat")) {
        (ErrorClass::Gone, or(category, "gone"), "the record is gone from HubSpot")
    } else if status == 404 {
        (
            ErrorClass::Configuration,
            or(category, "not_found"),
            "HubSpot doesn't know this path: wrong address or API version",
        )
    } else {
        (ErrorClass::Permanent, or(category, "refused"), "HubSpot refuses the record")
    }
}

fn throttled(told: Told<'_>, body: &Value) -> CallError {
    let policy = text(body, "policyName").unwrap_or_default();
    let message = text(body, "message").unwrap_or_default().to_ascii_lowercase();
    let asked = told.retry_after.and_then(|s| s.trim().parse::<Millis>().ok()).map(|s| s.saturating_mul(SECOND));
    let (after_ms, code) = if policy == "DAILY" || message.contains("daily limit") {
        (until_midnight(told.now, told.time_zone), "DAILY")
    } else if policy == "SECONDLY" || message.contains("secondly limit") && !message.contains("ten_secondly") {
        (SECOND, "SECONDLY")
    } else {
        (10 * SECOND, or(policy, "RATE_LIMIT"))
    };
    let class = ErrorClass::Throttled { scope: ThrottleScope::Account, after_ms: Some(asked.unwrap_or(after_ms)) };
    finish(CallError::new(class, code, "HubSpot's limit of calls is reached").with_status(told.status), body)
}

/// Milliseconds until the account's next midnight, plus a minute for clocks that differ. An unknown zone counts as UTC.
fn until_midnight(now: Millis, time_zone: &str) -> Millis {
    let zone = TimeZone::get(time_zone).unwrap_or(TimeZone::UTC);
    let midnight = Timestamp::from_millisecond(now)
        .map(|at| at.to_zoned(zone))
        .and_then(|at| at.start_of_day()?.checked_add(1.day()))
        .map(|at| at.timestamp().as_millisecond());
    midnight.map_or(HOUR, |at| (at - now).max(0)) + MINUTE
}

/// The id in `Contact already exists. Existing ID: 123`.
fn existing_id(message: &str) -> Option<String> {
    let (_, rest) = message.split_once("xisting ID")?;
    let id: String = rest.trim_start_matches([':', ' ']).chars().take_while(char::is_ascii_digit).collect();
    (!id.is_empty()).then_some(id)
}

/// Adds the trace id and the parts of the error that hold no values.
fn finish(mut error: CallError, body: &Value) -> CallError {
    error.trace = text(body, "correlationId").map(str::to_owned);
    let mut parts: Vec<String> = Vec::new();
    parts.extend(text(body, "subCategory").map(str::to_owned));
    parts.extend(codes(body));
    let names = property_names(body);
    if !names.is_empty() {
        parts.push(format!("properties={}", names.into_iter().collect::<Vec<_>>().join(",")));
    }
    let scopes =
        context(body, "requiredGranularScopes").chain(context(body, "requiredScopes")).collect::<BTreeSet<_>>();
    if !scopes.is_empty() {
        parts.push(format!("scopes={}", scopes.into_iter().collect::<Vec<_>>().join(",")));
    }
    error.detail = (!parts.is_empty()).then(|| parts.join(" "));
    error
}

fn text<'a>(body: &'a Value, key: &str) -> Option<&'a str> {
    body.get(key).and_then(Value::as_str).filter(|t| !t.is_empty())
}

fn or<'a>(text: &'a str, otherwise: &'a str) -> &'a str {
    if text.is_empty() { otherwise } else { text }
}

/// All values under `context.KEY`, of the error and of the errors inside it.
pub(super) fn context<'a>(body: &'a Value, key: &'a str) -> impl Iterator<Item = String> + 'a {
    let inner = body.get("errors").and_then(Value::as_array).into_iter().flatten();
    std::iter::once(body).chain(inner).filter_map(move |e| e.get("context")?.get(key)).flat_map(|found| match found {
        Value::Array(items) => items.iter().filter_map(plain).collect::<Vec<_>>(),
        one => plain(one).into_iter().collect(),
    })
}

fn plain(value: &Value) -> Option<String> {
    match value {
        Value::String(text) => Some(text.clone()),
        Value::Number(number) => Some(number.to_string()),
        _ => None,
    }
}

/// Codes of the errors inside, and of the JSON list that HubSpot hides in `Property values were not valid: [...]`.
fn codes(body: &Value) -> BTreeSet<String> {
    let inner = body.get("errors").and_then(Value::as_array).into_iter().flatten();
    let listed = inner.filter_map(|e| text(e, "code").or_else(|| text(e, "subCategory")));
    let hidden = hidden_list(body);
    let hidden = hidden.iter().filter_map(|e| text(e, "error"));
    listed.chain(hidden).filter(|c| c.len() <= 64).map(str::to_owned).collect()
}

fn property_names(body: &Value) -> BTreeSet<String> {
    let hidden = hidden_list(body);
    let hidden = hidden.iter().filter_map(|e| text(e, "name")).map(str::to_owned);
    context(body, "propertyName").chain(hidden).filter(|n| n.len() <= 100).collect()
}

fn hidden_list(body: &Value) -> Vec<Value> {
    text(body, "message")
        .and_then(|m| m.split_once('[').map(|(_, list)| format!("[{list}")))
        .and_then(|list| serde_json::from_str(&list).ok())
        .unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn classify(status: u16, body: Value) -> CallError {
        of_answer(Told { status, retry_after: None, now: 1_000, time_zone: "UTC" }, &body, Effect::Repeatable)
    }

    const fn throttle(ms: Millis) -> ErrorClass {
        ErrorClass::Throttled { scope: ThrottleScope::Account, after_ms: Some(ms) }
    }

    #[test]
    fn the_table_of_classes() {
        let limit = |policy: &str| json!({"status": "error", "errorType": "RATE_LIMIT", "policyName": policy, "correlationId": "c-1"});
        let not_valid = r#"Property values were not valid: [{"isValid":false,"message":"+5511987654321 is bad","error":"INVALID_OPTION","name":"wa_tags"}]"#;
        for (status, body, class, code) in [
            (401, json!({}), ErrorClass::Auth, "unauthorized"),
            (403, json!({"category": "MISSING_SCOPES"}), ErrorClass::Configuration, "MISSING_SCOPES"),
            (404, json!({"category": "OBJECT_NOT_FOUND"}), ErrorClass::Gone, "OBJECT_NOT_FOUND"),
            (404, json!({}), ErrorClass::Configuration, "not_found"),
            (
                400,
                json!({"category": "VALIDATION_ERROR", "message": not_valid}),
                ErrorClass::Permanent,
                "VALIDATION_ERROR",
            ),
            (
                400,
                json!({"category": "VALIDATION_ERROR", "errors": [{"code": "PROPERTY_DOESNT_EXIST"}]}),
                ErrorClass::Configuration,
                "property",
            ),
            (
                400,
                json!({"category": "VALIDATION_ERROR", "message": "Association target 7 does not exist"}),
                ErrorClass::Gone,
                "VALIDATION_ERROR",
            ),
            (
                409,
                json!({"category": "CONFLICT", "message": "Contact already exists. Existing ID: 451"}),
                ErrorClass::Conflict { existing: Some("451".into()) },
                "CONFLICT",
            ),
            (423, json!({}), ErrorClass::Retryable { after_ms: Some(2_000) }, "locked"),
            (429, limit("TEN_SECONDLY_ROLLING"), throttle(10_000), "TEN_SECONDLY_ROLLING"),
            (429, limit("SECONDLY"), throttle(1_000), "SECONDLY"),
            (429, json!({"message": "You have reached your secondly limit."}), throttle(1_000), "SECONDLY"),
            (429, limit("DAILY"), throttle(24 * HOUR - 1_000 + MINUTE), "DAILY"),
            (414, json!({}), ErrorClass::Permanent, "refused"),
            (502, json!({}), ErrorClass::Retryable { after_ms: None }, "server_error"),
        ] {
            let error = classify(status, body);
            assert_eq!((&error.class, error.code.as_str()), (&class, code), "{status}");
            assert_eq!(error.http_status, Some(status));
        }
    }

    #[test]
    fn a_failed_create_has_an_unknown_outcome() {
        let told = Told { status: 503, retry_after: None, now: 0, time_zone: "UTC" };
        assert_eq!(of_answer(told, &json!({}), Effect::Creates).class, ErrorClass::UnknownOutcome);
        assert_eq!(of_row(&json!({"category": "INTERNAL_ERROR"}), Effect::Creates).class, ErrorClass::UnknownOutcome);
    }

    #[test]
    fn retry_after_of_a_migration_is_in_seconds() {
        let told = Told { status: 477, retry_after: Some("3600"), now: 0, time_zone: "UTC" };
        assert_eq!(of_answer(told, &json!({}), Effect::Creates).class, throttle(HOUR));
    }

    #[test]
    fn the_day_ends_at_the_accounts_midnight() {
        // 2026-11-23T02:30:00Z is 21:30 of the day before in New York.
        let now = 1_795_401_000_000;
        assert_eq!(until_midnight(now, "America/New_York"), 150 * MINUTE + MINUTE);
        assert_eq!(until_midnight(now, "no/where"), 21 * HOUR + 30 * MINUTE + MINUTE);
    }

    #[test]
    fn values_stay_out_names_and_codes_come_along() {
        let message = r#"Property values were not valid: [{"message":"+5511987654321 isn't valid","error":"INVALID_PHONE","name":"phone"}]"#;
        let error = classify(400, json!({"category": "VALIDATION_ERROR", "message": message, "correlationId": "c-9"}));
        assert_eq!(error.detail.as_deref(), Some("INVALID_PHONE properties=phone"));
        assert_eq!(error.trace.as_deref(), Some("c-9"));
        assert!(names_property(&error, "phone") && !names_property(&error, "hs_phone"));
        assert!(!format!("{error} {error:?}").contains("98765"));
    }
}
