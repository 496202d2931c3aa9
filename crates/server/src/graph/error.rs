//! Failures in Meta's words: `{"error": {"message", "type", "code", "error_data": {"details"}, "fbtrace_id"}}`. Programs decide by
//! the code, so a refusal of ours takes the code of the nearest refusal of Meta's; ours stands beside it. Facts: whatsapp-api 6.
//! Must not touch: whether something is refused.

use axum::Json;
use axum::response::{IntoResponse, Response};
use http::StatusCode;
use ponte_domain::error::{
    CONSENT_MISSING, COUNTRY_RULE, CallError, ErrorClass, FIRST_CONTACT, IDEMPOTENCY_CONFLICT, INTERNAL,
    LABEL_FORBIDS_MARKETING, MARKETING_NEEDS_TEMPLATE, MESSAGES_REFUSED, NUMBER_BLOCKED, OPTED_OUT, PHONE_REQUIRED,
    PublicCode, RECIPIENT_BLOCKED, RECIPIENT_INVALID, RECIPIENT_UNKNOWN, RECIPIENT_UNREACHABLE, SENDER_UNNAMED,
    StoreError, TEMPLATE_NOT_APPROVED, TOO_FREQUENT, UNAVAILABLE, WINDOW_CLOSED,
};
use serde_json::json;

/// A failure as Meta tells it.
#[derive(Debug)]
pub(super) struct GraphError {
    status: StatusCode,
    code: i64,
    kind: &'static str,
    message: String,
    details: Option<String>,
    ours: Option<&'static str>,
}

/// Our refusals, and Meta's nearest.
const TWINS: &[(PublicCode, i64)] = &[
    (WINDOW_CLOSED, 131_047),
    (MARKETING_NEEDS_TEMPLATE, 131_047),
    (OPTED_OUT, 131_050),
    (CONSENT_MISSING, 131_050),
    (FIRST_CONTACT, 131_050),
    (MESSAGES_REFUSED, 131_050),
    (LABEL_FORBIDS_MARKETING, 131_050),
    (COUNTRY_RULE, 131_049),
    (TOO_FREQUENT, 131_049),
    (TEMPLATE_NOT_APPROVED, 132_001),
    (RECIPIENT_INVALID, 131_026),
    (RECIPIENT_UNKNOWN, 131_026),
    (RECIPIENT_UNREACHABLE, 131_026),
    (RECIPIENT_BLOCKED, 131_026),
    (PHONE_REQUIRED, 131_062),
    (NUMBER_BLOCKED, 131_031),
    (SENDER_UNNAMED, 131_031),
];

impl GraphError {
    fn new(status: StatusCode, code: i64, message: String) -> Self {
        Self { status, code, kind: "OAuthException", message, details: None, ours: None }
    }

    /// No valid key.
    pub(super) fn token() -> Self {
        let message = "Invalid OAuth access token - Cannot parse access token".to_owned();
        let mut error = Self::new(StatusCode::UNAUTHORIZED, 190, message);
        error.details = Some("send Authorization: Bearer KEY with a key from [[api.keys]] of Ponte".to_owned());
        error
    }

    /// No such number or file, or not with this method; `details` says which.
    pub(super) fn no_object(id: &str, details: &str) -> Self {
        let message = format!(
            "Unsupported request. Object with ID '{id}' does not exist, cannot be loaded due to missing permissions, \
             or does not support this operation"
        );
        let error = Self::new(StatusCode::BAD_REQUEST, 100, message);
        Self { kind: "GraphMethodException", details: Some(details.to_owned()), ..error }
    }

    /// A part of the request is missing or wrong.
    pub(super) fn parameter(what: &str) -> Self {
        Self::new(StatusCode::BAD_REQUEST, 100, format!("(#100) {what}"))
    }

    /// The gate refused.
    pub(super) fn refused(rule: PublicCode, detail: Option<String>) -> Self {
        let code = TWINS.iter().find(|(ours, _)| *ours == rule).map_or(100, |(_, code)| *code);
        let status = if rule == IDEMPOTENCY_CONFLICT { StatusCode::CONFLICT } else { StatusCode::BAD_REQUEST };
        let error = Self::new(status, code, format!("(#{code}) {}", rule.title));
        Self { details: detail, ours: Some(rule.code), ..error }
    }

    /// WhatsApp refused, or the second look just before the call did.
    pub(super) fn failed(code: &str, title: &str) -> Self {
        let twin = TWINS.iter().find(|(ours, _)| ours.code == code);
        let number = code.parse().ok().or(twin.map(|(_, code)| *code)).unwrap_or(131_000);
        let error = Self::new(StatusCode::BAD_REQUEST, number, format!("(#{number}) {title}"));
        Self { ours: twin.map(|(ours, _)| ours.code), ..error }
    }

    /// A call to WhatsApp failed.
    pub(super) fn upstream(error: &CallError) -> Self {
        let code = error.code.parse().unwrap_or(match error.class {
            ErrorClass::Throttled { .. } => 130_429,
            ErrorClass::Permanent => 100,
            _ => 131_000,
        });
        let status = match error.class {
            ErrorClass::Permanent | ErrorClass::Throttled { .. } => StatusCode::BAD_REQUEST,
            _ => StatusCode::BAD_GATEWAY,
        };
        Self::new(status, code, format!("(#{code}) {}", error.title))
    }

    /// Nothing was stored.
    pub(super) fn store(error: &StoreError) -> Self {
        tracing::error!(error = %error, "a request failed in the store");
        let (status, code) = match error {
            StoreError::Unavailable(_) | StoreError::LeaseLost => (StatusCode::SERVICE_UNAVAILABLE, UNAVAILABLE),
            StoreError::NotFound(_) | StoreError::Corrupt(_) | StoreError::Refused(_) => {
                (StatusCode::INTERNAL_SERVER_ERROR, INTERNAL)
            }
        };
        // 131016: the service is unavailable, try again later.
        let error = Self::new(status, 131_016, format!("(#131016) {}", code.title));
        Self { ours: Some(code.code), ..error }
    }

    #[cfg(test)]
    pub(super) fn message(&self) -> &str {
        &self.message
    }
}

impl IntoResponse for GraphError {
    fn into_response(self) -> Response {
        let mut error = json!({ "message": self.message, "type": self.kind, "code": self.code,
            "fbtrace_id": "ponte" });
        if let Some(error) = error.as_object_mut() {
            if let Some(details) = &self.details {
                error.insert("error_data".into(), json!({ "messaging_product": "whatsapp", "details": details }));
            }
            if let Some(ours) = self.ours {
                error.insert("ponte".into(), json!({ "code": ours, "docs": format!("docs/errors/{ours}.md") }));
            }
        }
        (self.status, Json(json!({ "error": error }))).into_response()
    }
}
