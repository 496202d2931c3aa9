//! The documented error codes and the exact JSON shape of a Graph API error.
//! May touch: nothing. Must not touch: state; an error here is a value.

use serde_json::{Value, json};

/// One refused call: everything that goes into the `error` object and its HTTP status.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ApiError {
    /// HTTP status. Clients are told to decide by `code`, not by this.
    pub status: u16,
    /// Graph / Cloud API error code, e.g. 131047.
    pub code: u32,
    /// `error_subcode`, e.g. 33 for an unknown object or 2388xxx for template creation.
    pub subcode: Option<u32>,
    /// Short title, the second half of `message`.
    pub title: String,
    /// `error_data.details`: what exactly was wrong.
    pub details: String,
    /// `is_transient`, where the platform says so.
    pub transient: bool,
}

impl std::fmt::Display for ApiError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "(#{}) {}", self.code, self.title)
    }
}

impl std::error::Error for ApiError {}

impl ApiError {
    /// The error `code` with its usual HTTP status and title.
    #[must_use]
    pub fn new(code: u32, details: impl Into<String>) -> Self {
        let (status, title) = known(code);
        Self {
            status,
            code,
            subcode: None,
            title: title.to_owned(),
            details: details.into(),
            transient: matches!(code, 1 | 2 | 131_016 | 133_004),
        }
    }

    /// An object id that does not exist for this token (code 100, subcode 33).
    #[must_use]
    pub fn no_object(id: &str) -> Self {
        let mut error = Self::new(100, String::new());
        error.subcode = Some(33);
        error.title = format!(
            "Unsupported request. Object with ID '{id}' does not exist, cannot be loaded due to missing permissions, or does not support this operation"
        );
        error
    }

    /// The same error with an `error_subcode`.
    #[must_use]
    pub fn with_subcode(mut self, subcode: u32) -> Self {
        self.subcode = Some(subcode);
        self
    }

    /// The body of the answer (`fbtrace_id` given by the caller).
    #[must_use]
    pub fn to_json(&self, fbtrace_id: &str) -> Value {
        let mut error = json!({
            "message": format!("(#{}) {}", self.code, self.title),
            "type": if self.subcode == Some(33) { "GraphMethodException" } else { "OAuthException" },
            "code": self.code,
            "fbtrace_id": fbtrace_id,
        });
        if let Some(fields) = error.as_object_mut() {
            if !self.details.is_empty() {
                fields.insert("error_data".into(), json!({"messaging_product": "whatsapp", "details": self.details}));
            }
            if let Some(subcode) = self.subcode {
                fields.insert("error_subcode".into(), json!(subcode));
                if subcode >= 2_388_000 {
                    fields.insert("error_user_title".into(), json!(self.title));
                    fields.insert("error_user_msg".into(), json!(self.details));
                }
            }
            if self.transient {
                fields.insert("is_transient".into(), json!(true));
            }
        }
        json!({ "error": error })
    }
}

/// The element of `statuses[].errors` or `messages[].errors` for a code.
#[must_use]
pub fn webhook_error(code: u32, details: &str) -> Value {
    let (_, title) = known(code);
    json!({
        "code": code, "title": title, "message": title,
        "error_data": {"details": if details.is_empty() { title } else { details }},
        "href": "https://developers.facebook.com/docs/whatsapp/cloud-api/support/error-codes/",
    })
}

/// HTTP status and title of a code. Unknown codes: 400 and a neutral title.
#[must_use]
pub fn known(code: u32) -> (u16, &'static str) {
    match code {
        0 => (401, "AuthException"),
        1 => (500, "API Unknown"),
        2 => (503, "API Service"),
        3 => (500, "API Method"),
        4 => (400, "Application request limit reached"),
        10 => (403, "Permission Denied"),
        33 => (400, "Parameter value is not valid"),
        100 => (400, "Invalid parameter"),
        190 => (401, "Error validating access token: the session is invalid or has expired"),
        200..=299 => {
            (403, "You do not have the necessary permissions required to send messages on behalf of this account")
        }
        368 => (403, "Temporarily blocked for policies violations"),
        2200 => (400, "Callback verification failed"),
        2500 => (400, "Unknown path components"),
        80_007 => (400, "Rate limit issues"),
        130_403 => (400, "User is blocked by the business"),
        130_429 => (400, "Rate limit hit"),
        130_472 => (400, "User's number is part of an experiment"),
        130_497 => (403, "Business account is restricted from messaging users in this country."),
        131_000 => (500, "Something went wrong"),
        131_005 => (403, "Access denied"),
        131_008 => (400, "Required parameter is missing"),
        131_009 => (400, "Parameter value is not valid"),
        131_016 => (500, "Service unavailable"),
        131_021 => (400, "Recipient cannot be sender"),
        131_026 => (400, "Message undeliverable"),
        131_030 => (400, "Recipient phone number not in allowed list"),
        131_031 => (403, "Account has been locked"),
        131_037 => (400, "WhatsApp provided number needs display name approval before message can be sent."),
        131_042 => (400, "Business eligibility payment issue"),
        131_045 => (500, "Incorrect certificate"),
        131_047 => (400, "Re-engagement message"),
        131_048 => (400, "Spam rate limit hit"),
        131_049 => (400, "This message was not delivered to maintain healthy ecosystem engagement."),
        131_050 => (400, "User has stopped marketing messages"),
        131_051 => (400, "Message type unknown"),
        131_052 => (400, "Media download error"),
        131_053 => (400, "Media upload error"),
        131_056 => (400, "(Business Account, Consumer Account) pair rate limit hit"),
        131_057 => (500, "Account in maintenance mode"),
        131_059 => (400, "Invalid cursor"),
        131_060 => (400, "This message is unavailable"),
        131_062 => (400, "Business-scoped user ids are not allowed for this template"),
        132_000 => (400, "Number of parameters does not match the expected number of params"),
        132_001 => (404, "Template name does not exist in the translation"),
        132_005 => (400, "Translated text too long"),
        132_007 => (400, "Template format character policy violated"),
        132_008 | 132_012 => (400, "Parameter format does not match format in the created template"),
        132_015 => (400, "Template is paused"),
        132_016 => (400, "Template is disabled"),
        132_018 => (400, "Template parameter value is not valid"),
        133_004 => (503, "Server temporarily unavailable"),
        133_005 => (400, "Two-step verification PIN mismatch"),
        133_006 => (400, "Phone number re-verification needed"),
        133_008 => (400, "Too many two-step verification PIN guesses"),
        133_010 => (400, "Phone number not registered"),
        133_016 => (400, "Account register deregister rate limit exceeded"),
        134_100 => (400, "Only marketing messages are supported"),
        135_000 => (400, "Generic user error"),
        136_024 => (400, "The phone number is already verified"),
        136_025 => (400, "The verification code is not valid"),
        137_000 => (400, "Recipient identity key hash mismatch"),
        139_100 => (400, "Failed to block/unblock some users"),
        139_101 => (400, "Block list limit reached"),
        _ => (400, "Request refused"),
    }
}
