//! Salesforce's errors -> classes (crm-apis section 6). Decided here and nowhere else.
//! Must not touch: the texts Salesforce gives. They quote field values, so only codes, field names and record ids are kept.
//! Failure story: a failed *create* may have been done (unknown outcome); updates, upserts and reads may simply be tried again.

use ponte_domain::error::{CallError, ErrorClass, ThrottleScope};
use ponte_domain::{HOUR, SECOND};
use serde_json::Value;

/// What trying a call again would do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Effect {
    /// Nothing, or the same as before: reads, updates, upserts by an external id.
    Repeatable,
    /// Perhaps a second record.
    Creates,
}

impl Effect {
    /// What a call that failed without a word means.
    pub(super) const fn failure(self) -> ErrorClass {
        match self {
            Self::Repeatable => ErrorClass::Retryable { after_ms: None },
            Self::Creates => ErrorClass::UnknownOutcome,
        }
    }
}

/// Reads a whole refused call: `[{"message","errorCode","fields"}]`.
pub(super) fn of_answer(status: u16, body: &Value, effect: Effect) -> CallError {
    let first = body.as_array().and_then(|errors| errors.first()).unwrap_or(body);
    let code = text(first, "errorCode").unwrap_or_default();
    // A proxy's page, maintenance: no codes, only a status.
    let error = match (status, code) {
        (_, code) if !code.is_empty() => of_code(first, code, status, effect),
        (300, _) => CallError::new(
            ErrorClass::Configuration,
            "DUPLICATE_EXTERNAL_ID",
            "several Salesforce records have the same external id: the field must be unique",
        ),
        (401, _) => CallError::new(ErrorClass::Auth, "INVALID_SESSION_ID", "Salesforce refuses the session"),
        (403, _) => CallError::new(ErrorClass::Configuration, "forbidden", "Salesforce refuses access"),
        (404, _) => CallError::new(ErrorClass::Configuration, "NOT_FOUND", "Salesforce doesn't know this path"),
        (status, _) if status >= 500 || status == 408 || status == 429 => {
            CallError::new(effect.failure(), "server_error", "Salesforce has a fault of its own")
        }
        _ => CallError::new(ErrorClass::Permanent, "refused", "Salesforce refuses the call"),
    };
    error.with_status(status)
}

/// Reads the first error of one row of a collection: `{"statusCode","message","fields"}`.
pub(super) fn of_row(row: &Value, effect: Effect) -> CallError {
    let first = row.get("errors").and_then(Value::as_array).and_then(|errors| errors.first());
    match first.and_then(|error| Some((error, text(error, "statusCode").or_else(|| text(error, "errorCode"))?))) {
        Some((error, code)) => of_code(error, code, 0, effect),
        None => CallError::new(effect.failure(), "row_unreadable", "Salesforce's answer says nothing about this row"),
    }
}

fn of_code(error: &Value, code: &str, status: u16, effect: Effect) -> CallError {
    let message = text(error, "message").unwrap_or_default();
    let later = |ms| ErrorClass::Retryable { after_ms: Some(ms) };
    let (class, title) = match code {
        "REQUEST_LIMIT_EXCEEDED" if message.contains("TotalRequests") => {
            (throttled(HOUR), "the org has used up its API calls of 24 hours")
        }
        "REQUEST_LIMIT_EXCEEDED" => (throttled(5 * SECOND), "the org has too many long calls at the same time"),
        "INVALID_SESSION_ID" if status == 403 => {
            (ErrorClass::Configuration, "the session may not use the REST API: the app's scope api is missing")
        }
        "INVALID_SESSION_ID" | "INVALID_AUTH_HEADER" => (ErrorClass::Auth, "Salesforce refuses the session"),
        "UNABLE_TO_LOCK_ROW" => (later(SECOND), "Salesforce has locked the record for a moment"),
        "QUERY_TIMEOUT" => (ErrorClass::Retryable { after_ms: None }, "Salesforce took too long"),
        "UNKNOWN_EXCEPTION" | "UNKNOWN_ERROR" | "SERVER_UNAVAILABLE" => {
            (effect.failure(), "Salesforce has a fault of its own")
        }
        // Another row of the same call was refused; this one was undone.
        "ALL_OR_NONE_OPERATION_ROLLED_BACK" | "PROCESSING_HALTED" => (later(SECOND), "Salesforce put the row off"),
        "STORAGE_LIMIT_EXCEEDED" => (ErrorClass::Configuration, "the org's data storage is full"),
        "API_DISABLED_FOR_ORG" | "API_CURRENTLY_DISABLED" => {
            (ErrorClass::Configuration, "the org's edition or user has no API access")
        }
        "ENTITY_IS_DELETED" | "ENTITY_IS_LOCKED_FOR_DELETE" | "CANNOT_UPDATE_CONVERTED_LEAD" => {
            (ErrorClass::Gone, "the record is gone from Salesforce")
        }
        "INVALID_CROSS_REFERENCE_KEY" | "NOT_FOUND" if status == 0 => {
            (ErrorClass::Gone, "the record is gone from Salesforce")
        }
        "NOT_FOUND" => (ErrorClass::Configuration, "Salesforce doesn't know this object or path, or doesn't show it"),
        "DUPLICATES_DETECTED" => (
            ErrorClass::Conflict { existing: matched(error) },
            "a duplicate rule of the org found the person there already",
        ),
        "DUPLICATE_VALUE" => {
            let existing = message.rsplit_once("record with id: ").map(|(_, id)| id.trim().to_owned());
            (ErrorClass::Conflict { existing }, "another Salesforce record has this value already")
        }
        "DUPLICATE_EXTERNAL_ID" => {
            (ErrorClass::Configuration, "several records have the same external id: the field must be unique")
        }
        "INSUFFICIENT_ACCESS_ON_CROSS_REFERENCE_ENTITY" => {
            (ErrorClass::Permanent, "the record that this one belongs to can't be reached")
        }
        "INVALID_FIELD"
        | "INVALID_TYPE"
        | "INVALID_FIELD_FOR_INSERT_UPDATE"
        | "MALFORMED_QUERY"
        | "INVALID_QUERY_FILTER_OPERATOR"
        | "CANNOT_INSERT_UPDATE_ACTIVATE_ENTITY"
        | "INVALID_QUERY_LOCATOR"
        | "FUNCTIONALITY_NOT_ENABLED"
        | "UNSUPPORTED_API_VERSION"
        | "EXCEEDED_ID_LIMIT" => {
            (ErrorClass::Configuration, "Salesforce doesn't take or show one of the fields or objects")
        }
        code if code.starts_with("INSUFFICIENT_ACCESS") => {
            (ErrorClass::Configuration, "the integration user may not do this")
        }
        _ if status >= 500 => (effect.failure(), "Salesforce has a fault of its own"),
        _ => (ErrorClass::Permanent, "Salesforce refuses the record"),
    };
    let mut out = CallError::new(class, code.chars().take(64).collect::<String>(), title);
    let names = names(error, message);
    if !names.is_empty() {
        out = out.with_detail(format!("fields={}", names.join(",")));
    }
    out
}

const fn throttled(ms: i64) -> ErrorClass {
    ErrorClass::Throttled { scope: ThrottleScope::Account, after_ms: Some(ms) }
}

/// Names of fields, which hold no values: those listed, and those in the fixed sentences about unknown and closed ones.
fn names(error: &Value, message: &str) -> Vec<String> {
    let listed = error.get("fields").and_then(Value::as_array).into_iter().flatten().filter_map(Value::as_str);
    let mut found: Vec<String> = listed.map(str::to_owned).collect();
    for (before, after) in [("No such column '", "'"), ("Unable to create/update fields: ", ".")] {
        let said = message.split_once(before).and_then(|(_, rest)| rest.split_once(after));
        found.extend(said.into_iter().flat_map(|(names, _)| names.split(", ")).map(str::to_owned));
    }
    found.retain(|name| super::soql::is_name(name));
    found.sort_unstable();
    found.dedup();
    found
}

/// Ids of the records that a duplicate rule matched.
pub(super) fn matched_ids(error: &Value) -> Vec<String> {
    let results = error.pointer("/duplicateResult/matchResults").and_then(Value::as_array).into_iter().flatten();
    let records = results.filter_map(|r| r.get("matchRecords")?.as_array()).flatten();
    records.filter_map(|r| r.pointer("/record/Id")?.as_str()).filter_map(super::soql::long_id).collect()
}

fn matched(error: &Value) -> Option<String> {
    match matched_ids(error).as_slice() {
        [only] => Some(only.clone()),
        _ => None,
    }
}

fn text<'a>(value: &'a Value, key: &str) -> Option<&'a str> {
    value.get(key).and_then(Value::as_str).filter(|t| !t.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn class(status: u16, code: &str, message: &str) -> ErrorClass {
        of_answer(status, &json!([{"errorCode": code, "message": message}]), Effect::Repeatable).class
    }

    #[test]
    fn the_table_of_classes() {
        let retry = |after_ms| ErrorClass::Retryable { after_ms };
        for (status, code, message, wanted) in [
            (403, "REQUEST_LIMIT_EXCEEDED", "TotalRequests Limit exceeded.", throttled(HOUR)),
            (
                403,
                "REQUEST_LIMIT_EXCEEDED",
                "ConcurrentRequests (Concurrent API Requests) Limit exceeded.",
                throttled(5_000),
            ),
            (401, "INVALID_SESSION_ID", "", ErrorClass::Auth),
            (403, "INVALID_SESSION_ID", "", ErrorClass::Configuration),
            (400, "UNABLE_TO_LOCK_ROW", "", retry(Some(1_000))),
            (400, "QUERY_TIMEOUT", "", retry(None)),
            (503, "SERVER_UNAVAILABLE", "", retry(None)),
            (500, "UNKNOWN_EXCEPTION", "", retry(None)),
            (502, "", "", retry(None)),
            (403, "API_DISABLED_FOR_ORG", "", ErrorClass::Configuration),
            (403, "INSUFFICIENT_ACCESS_OR_READONLY", "", ErrorClass::Configuration),
            (400, "INVALID_FIELD", "", ErrorClass::Configuration),
            (404, "NOT_FOUND", "", ErrorClass::Configuration),
            (404, "ENTITY_IS_DELETED", "", ErrorClass::Gone),
            (400, "REQUIRED_FIELD_MISSING", "", ErrorClass::Permanent),
            (400, "FIELD_CUSTOM_VALIDATION_EXCEPTION", "", ErrorClass::Permanent),
            (400, "STRING_TOO_LONG", "", ErrorClass::Permanent),
            (300, "", "", ErrorClass::Configuration),
        ] {
            assert_eq!(class(status, code, message), wanted, "{status} {code} {message}");
        }
        let duplicate = "duplicate value found: Ponte_Id__c duplicates value on record with id: 003000000000001AAA";
        let existing = Some("003000000000001AAA".to_owned());
        assert_eq!(class(400, "DUPLICATE_VALUE", duplicate), ErrorClass::Conflict { existing });
    }

    #[test]
    fn a_failed_create_has_an_unknown_outcome() {
        assert_eq!(of_answer(503, &Value::Null, Effect::Creates).class, ErrorClass::UnknownOutcome);
        let row = json!({"success": false, "errors": [{"statusCode": "UNKNOWN_EXCEPTION", "message": "x"}]});
        assert_eq!(of_row(&row, Effect::Creates).class, ErrorClass::UnknownOutcome);
        assert_eq!(of_row(&json!({"success": false}), Effect::Creates).class, ErrorClass::UnknownOutcome);
    }

    #[test]
    fn values_stay_out_names_and_codes_come_along() {
        let row = json!({"success": false, "errors": [{"statusCode": "INVALID_EMAIL_ADDRESS", "fields": ["Email", "a b"],
            "message": "Email: invalid email address: ana@@example.org +5511987654321"}]});
        let error = of_row(&row, Effect::Repeatable);
        assert_eq!((error.code.as_str(), error.detail.as_deref()), ("INVALID_EMAIL_ADDRESS", Some("fields=Email")));
        assert!(!format!("{error} {error:?}").contains("ana@"));
        let unknown = json!([{"errorCode": "INVALID_FIELD",
            "message": "\nSELECT Id, Nothing__c FROM\n  ^\nNo such column 'Nothing__c' on entity 'Contact'. If you are"}]);
        assert_eq!(of_answer(400, &unknown, Effect::Repeatable).detail.as_deref(), Some("fields=Nothing__c"));
    }

    #[test]
    fn a_duplicate_rule_names_what_it_found() {
        let record = |id: &str| json!({"record": {"Id": id}});
        let body = |ids: &[&str]| {
            json!([{"errorCode": "DUPLICATES_DETECTED", "message": "Use one of these records?",
            "duplicateResult": {"matchResults": [{"matchRecords": ids.iter().map(|id| record(id)).collect::<Vec<_>>()}]}}])
        };
        let class = |ids: &[&str]| of_answer(400, &body(ids), Effect::Repeatable).class;
        let one = "0035g00000000A1AAI";
        assert_eq!(class(&[one]), ErrorClass::Conflict { existing: Some(one.into()) });
        assert_eq!(class(&[one, "0035g00000000A2AAI"]), ErrorClass::Conflict { existing: None });
    }
}
