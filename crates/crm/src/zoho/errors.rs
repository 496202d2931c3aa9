//! Zoho's errors -> classes (crm-apis section 6). Decided here and nowhere else. One shape serves whole answers and single rows:
//! `{code, details: {api_name, json_path, …}, message, status}`.
//! Must not touch: values. Only codes and names of fields are kept of what Zoho says.
//! Failure story: a failed insert may have been done (unknown outcome); upserts, updates and reads may simply be tried again.

use ponte_domain::SECOND;
use ponte_domain::error::{CallError, ErrorClass, ThrottleScope};
use serde_json::Value;
use std::collections::BTreeSet;

/// What trying a call again would do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Effect {
    /// Nothing, or the same as before: reads, updates, upserts by a unique field.
    Repeatable,
    /// Perhaps a second record.
    Creates,
}

/// Reads a whole refused call.
pub(super) fn of_answer(status: u16, body: &Value, effect: Effect) -> CallError {
    let code = code_of(body);
    let (class, title) = match (status, known(code, body, effect)) {
        (_, Some(known)) => known,
        (401, None) => (ErrorClass::Auth, "Zoho refuses the access token"),
        (403, None) => (ErrorClass::Configuration, "Zoho refuses access"),
        (404 | 405, None) => (ErrorClass::Configuration, "Zoho doesn't know this path: wrong address or API version"),
        (408, None) => (after_failure(effect), "Zoho took too long"),
        (429, None) => throttled(),
        (500.., None) => (after_failure(effect), "Zoho has a fault of its own"),
        (_, None) => (ErrorClass::Permanent, "Zoho refuses the request"),
    };
    finish(CallError::new(class, code_or(code, status), title).with_status(status), body)
}

/// Reads the error of one row.
pub(super) fn of_row(body: &Value, effect: Effect) -> CallError {
    let code = code_of(body);
    let (class, title) =
        known(code, body, effect).unwrap_or((ErrorClass::Permanent, "Zoho refuses the record: mend it in Zoho"));
    finish(CallError::new(class, if code.is_empty() { "refused" } else { code }, title), body)
}

/// True when Zoho objects to this field.
pub(super) fn names_field(error: &CallError, field: &str) -> bool {
    error.detail.as_deref().is_some_and(|d| d.split([' ', ',', '=']).any(|word| word == field))
}

/// The fields that Zoho objects to.
pub(super) fn fields_of(error: &CallError) -> Vec<String> {
    let named = error.detail.as_deref().and_then(|d| d.split(' ').find_map(|part| part.strip_prefix("fields=")));
    named.map(|names| names.split(',').map(str::to_owned).collect()).unwrap_or_default()
}

pub(super) const fn after_failure(effect: Effect) -> ErrorClass {
    match effect {
        Effect::Repeatable => ErrorClass::Retryable { after_ms: None },
        Effect::Creates => ErrorClass::UnknownOutcome,
    }
}

const fn throttled() -> (ErrorClass, &'static str) {
    let class = ErrorClass::Throttled { scope: ThrottleScope::Account, after_ms: None };
    (class, "Zoho's limit of calls is reached")
}

/// What a code means by itself.
fn known(code: &str, body: &Value, effect: Effect) -> Option<(ErrorClass, &'static str)> {
    Some(match code {
        "INVALID_TOKEN" | "AUTHENTICATION_FAILURE" | "INVALID_OAUTHTOKEN" => {
            (ErrorClass::Auth, "Zoho refuses the access token: a wrong data centre looks the same")
        }
        "OAUTH_SCOPE_MISMATCH" => (ErrorClass::Configuration, "the token lacks a scope: connect again with all scopes"),
        "NO_PERMISSION" | "AUTHORIZATION_FAILED" | "CRM_API_ACCESS_DISABLED" => {
            (ErrorClass::Configuration, "the user who connected may not do this in Zoho: see the profile's permissions")
        }
        "INVALID_MODULE"
        | "INVALID_QUERY"
        | "SYNTAX_ERROR"
        | "INVALID_URL_PATTERN"
        | "INVALID_REQUEST_METHOD"
        | "REQUIRED_PARAM_MISSING"
        | "NOT_SUPPORTED"
        | "API_NOT_SUPPORTED"
        | "NOT_SIMULATED" => {
            (ErrorClass::Configuration, "Zoho doesn't know what is asked for: a module or field that isn't there?")
        }
        "TOO_MANY_REQUESTS" | "API_LIMIT_EXCEEDED" => throttled(),
        "RECORD_LOCKED" | "ALREADY_SCHEDULED" => {
            (ErrorClass::Retryable { after_ms: Some(2 * SECOND) }, "the record is locked for a moment")
        }
        "INTERNAL_ERROR" | "INTERNAL_SERVER_ERROR" | "SERVICE_UNAVAILABLE" => {
            (after_failure(effect), "Zoho has a fault of its own")
        }
        "DUPLICATE_DATA" => (ErrorClass::Conflict { existing: existing(body) }, "another record has this unique value"),
        "RECORD_NOT_FOUND" => (ErrorClass::Gone, "the record is gone from Zoho"),
        "INVALID_DATA" if names_record(body) => (ErrorClass::Gone, "the record is gone from Zoho"),
        "MULTIPLE_OR_MULTI_ERRORS" => {
            let all = inner(body).filter_map(|e| known(code_of(e), e, effect));
            let rank = |class: &ErrorClass| match class {
                ErrorClass::Gone => 0,
                ErrorClass::Conflict { .. } => 1,
                _ => 2,
            };
            return all.min_by_key(|(class, _)| rank(class));
        }
        _ => return None,
    })
}

/// True when the id of the record itself is what is wrong.
fn names_record(body: &Value) -> bool {
    let details = body.get("details");
    let name = details.and_then(|d| d.get("api_name")).and_then(Value::as_str);
    matches!(name, Some("id" | "ids")) || details.is_some_and(|d| d.get("resource_path_index").is_some())
}

/// The record that has the value: `details.duplicate_record.id`, or `details.id` in older answers.
fn existing(body: &Value) -> Option<String> {
    let id = body.pointer("/details/duplicate_record/id").or_else(|| body.pointer("/details/id"))?;
    id.as_str().map(str::to_owned).or_else(|| id.as_u64().map(|n| n.to_string()))
}

fn inner(body: &Value) -> impl Iterator<Item = &Value> {
    body.pointer("/details/errors").and_then(Value::as_array).into_iter().flatten()
}

fn code_of(body: &Value) -> &str {
    body.get("code").and_then(Value::as_str).unwrap_or_default()
}

fn code_or(code: &str, status: u16) -> &str {
    match (code, status) {
        ("", 401) => "unauthorized",
        ("", 403) => "forbidden",
        ("", 429) => "too_many_requests",
        ("", 500..) => "server_error",
        ("", _) => "refused",
        (code, _) => code,
    }
}

/// Adds the parts of the error that hold no values.
fn finish(mut error: CallError, body: &Value) -> CallError {
    error.code = error.code.chars().take(60).collect();
    let all = || std::iter::once(body).chain(inner(body));
    let codes: BTreeSet<&str> = inner(body).map(code_of).filter(|c| !c.is_empty()).collect();
    let text = |e: &Value, name: &str| {
        let text = e.get("details")?.get(name)?.as_str()?;
        let plain = text.len() <= 100 && text.chars().all(|c| c.is_ascii_alphanumeric() || c == '_');
        plain.then(|| text.to_owned())
    };
    let fields: BTreeSet<String> =
        all().filter_map(|e| text(e, "api_name").or_else(|| text(e, "column_name"))).collect();
    let kinds: BTreeSet<String> = all().filter_map(|e| text(e, "expected_data_type")).collect();
    let too_long = all().any(|e| e.pointer("/details/maximum_length").is_some());
    let mut parts: Vec<String> = codes.into_iter().map(str::to_owned).collect();
    let join = |set: BTreeSet<String>| set.into_iter().collect::<Vec<_>>().join(",");
    if !fields.is_empty() {
        parts.push(format!("fields={}", join(fields)));
    }
    if !kinds.is_empty() {
        parts.push(format!("expected={}", join(kinds)));
    }
    if too_long {
        parts.push("too_long".to_owned());
    }
    error.detail = (!parts.is_empty()).then(|| parts.join(" "));
    error
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn row(code: &str, details: Value) -> CallError {
        of_row(&json!({"code": code, "details": details, "message": "m", "status": "error"}), Effect::Repeatable)
    }

    #[test]
    fn the_table_of_classes() {
        let throttle = ErrorClass::Throttled { scope: ThrottleScope::Account, after_ms: None };
        for (status, code, class) in [
            (401, "INVALID_TOKEN", ErrorClass::Auth),
            (401, "OAUTH_SCOPE_MISMATCH", ErrorClass::Configuration),
            (403, "NO_PERMISSION", ErrorClass::Configuration),
            (400, "INVALID_MODULE", ErrorClass::Configuration),
            (404, "INVALID_URL_PATTERN", ErrorClass::Configuration),
            (429, "TOO_MANY_REQUESTS", throttle.clone()),
            (429, "", throttle),
            (400, "INVALID_DATA", ErrorClass::Permanent),
            (413, "", ErrorClass::Permanent),
            (503, "", ErrorClass::Retryable { after_ms: None }),
            (500, "INTERNAL_ERROR", ErrorClass::Retryable { after_ms: None }),
        ] {
            let error = of_answer(status, &json!({"code": code, "details": {}}), Effect::Repeatable);
            assert_eq!((error.class, error.http_status), (class, Some(status)), "{status} {code}");
        }
        assert_eq!(of_answer(502, &Value::Null, Effect::Creates).class, ErrorClass::UnknownOutcome);
    }

    #[test]
    fn rows_are_told_apart() {
        assert_eq!(row("INVALID_DATA", json!({"api_name": "id", "json_path": "$.data[0].id"})).class, ErrorClass::Gone);
        assert_eq!(row("INVALID_DATA", json!({"api_name": "Email"})).class, ErrorClass::Permanent);
        assert_eq!(row("MANDATORY_NOT_FOUND", json!({"api_name": "Last_Name"})).class, ErrorClass::Permanent);
        assert_eq!(row("RECORD_LOCKED", json!({})).class, ErrorClass::Retryable { after_ms: Some(2_000) });
        assert_eq!(row("RECORD_IN_BLUEPRINT", json!({})).class, ErrorClass::Permanent);
        let taken = |details| row("DUPLICATE_DATA", details).class;
        let conflict = |id: &str| ErrorClass::Conflict { existing: Some(id.into()) };
        assert_eq!(taken(json!({"api_name": "Email", "duplicate_record": {"id": "55"}})), conflict("55"));
        assert_eq!(taken(json!({"api_name": "Email", "id": "56"})), conflict("56"));
        let several = json!({"errors": [{"code": "INVALID_DATA", "details": {"api_name": "Title"}},
            {"code": "DUPLICATE_DATA", "details": {"api_name": "Email", "duplicate_record": {"id": "57"}}}]});
        let error = row("MULTIPLE_OR_MULTI_ERRORS", several);
        assert_eq!(error.class, conflict("57"));
        assert_eq!(fields_of(&error), ["Email", "Title"]);
    }

    #[test]
    fn values_stay_out_names_and_codes_come_along() {
        let details = json!({"api_name": "Mobile", "json_path": "$.data[0].Mobile", "expected_data_type": "phone",
                             "given": "+5511987654321", "supported_values": ["+5511987654321"]});
        let error = row("INVALID_DATA", details);
        assert_eq!(error.detail.as_deref(), Some("fields=Mobile expected=phone"));
        assert!(names_field(&error, "Mobile") && !names_field(&error, "Phone"));
        assert!(!format!("{error} {error:?}").contains("98765"));
        let odd = row("INVALID_DATA", json!({"api_name": "+55 11 98765"}));
        assert_eq!(odd.detail, None, "what can't be a name is none");
    }
}
