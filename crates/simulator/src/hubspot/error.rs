//! Refusals in HubSpot's words, and the shape of an answer.
//! May touch: nothing. Must not touch: the world; an error changes nothing.
//! The wire shapes follow HubSpot's error-handling guide: `status`, `message`, `correlationId`, `category`, `errors[]`.

use super::config::Policy;
use serde_json::{Map, Value, json};

/// A refusal: of a whole request, or of one row of a batch.
#[derive(Debug, Clone)]
pub(super) struct Refusal {
    pub(super) status: u16,
    pub(super) category: &'static str,
    pub(super) message: String,
    pub(super) errors: Vec<Value>,
    pub(super) context: Map<String, Value>,
    pub(super) policy: Option<Policy>,
    pub(super) retry_after_s: Option<u64>,
}

impl Refusal {
    pub(super) fn new(status: u16, category: &'static str, message: impl Into<String>) -> Self {
        Self {
            status,
            category,
            message: message.into(),
            errors: Vec::new(),
            context: Map::new(),
            policy: None,
            retry_after_s: None,
        }
    }

    pub(super) fn validation(message: impl Into<String>) -> Self {
        Self::new(400, "VALIDATION_ERROR", message)
    }

    /// Property values that do not fit the schema, all named at once.
    pub(super) fn properties(faults: Vec<PropertyFault>) -> Self {
        let listed: Vec<Value> = faults
            .iter()
            .map(|f| {
                json!({"isValid": false, "message": f.message, "error": f.code, "name": f.property,
                       "localizedErrorMessage": f.message})
            })
            .collect();
        let mut refusal = Self::validation(format!("Property values were not valid: {}", Value::Array(listed)));
        refusal.errors = faults
            .into_iter()
            .map(|f| json!({"message": f.message, "code": f.code, "context": {"propertyName": [f.property]}}))
            .collect();
        refusal
    }

    pub(super) fn not_found() -> Self {
        Self::new(404, "OBJECT_NOT_FOUND", "Object not found.  objectId are usually numeric.")
    }

    pub(super) fn no_such_path() -> Self {
        Self::new(404, "NOT_FOUND", "No such endpoint: this path and method are not part of the simulated contract.")
    }

    pub(super) fn not_simulated(what: &str) -> Self {
        Self::new(501, "NOT_SIMULATED", format!("{what} is not simulated."))
    }

    pub(super) fn bad_json(error: &serde_json::Error) -> Self {
        Self::validation(format!("Invalid input JSON on line {}, column {}: {error}", error.line(), error.column()))
    }

    pub(super) fn throttled(policy: Policy) -> Self {
        let limit = match policy {
            Policy::TenSecondlyRolling => "ten_secondly_rolling",
            Policy::Daily => "daily",
            Policy::Secondly => "secondly",
        };
        let mut refusal = Self::new(429, "RATE_LIMITS", format!("You have reached your {limit} limit."));
        refusal.policy = Some(policy);
        refusal
    }

    pub(super) fn with_context(mut self, key: &str, values: Vec<String>) -> Self {
        self.context.insert(key.to_owned(), json!(values));
        self
    }

    /// The body of a whole refused request.
    pub(super) fn body(&self, correlation_id: &str) -> Value {
        let mut body = json!({"status": "error", "message": self.message, "correlationId": correlation_id});
        let Some(fields) = body.as_object_mut() else { return body };
        if let Some(policy) = self.policy {
            // The 429 has its own fields: no category, but a type and the policy's name.
            fields.insert("errorType".to_owned(), json!("RATE_LIMIT"));
            fields.insert("policyName".to_owned(), json!(policy.name()));
            fields.insert("requestId".to_owned(), json!(correlation_id));
            return body;
        }
        fields.insert("category".to_owned(), json!(self.category));
        if !self.errors.is_empty() {
            fields.insert("errors".to_owned(), Value::Array(self.errors.clone()));
        }
        if !self.context.is_empty() {
            fields.insert("context".to_owned(), Value::Object(self.context.clone()));
        }
        body
    }

    /// The entry of one failed row in a multi-status answer.
    pub(super) fn row(&self) -> Value {
        json!({"status": "error", "category": self.category, "message": self.message, "context": self.context,
               "errors": self.errors})
    }
}

/// One property value that does not fit.
#[derive(Debug, Clone)]
pub(super) struct PropertyFault {
    pub(super) property: String,
    pub(super) code: &'static str,
    pub(super) message: String,
}

impl PropertyFault {
    pub(super) fn new(property: &str, code: &'static str, message: impl Into<String>) -> Self {
        Self { property: property.to_owned(), code, message: message.into() }
    }
}

/// An answer that is not a refusal.
#[derive(Debug)]
pub(super) struct Reply {
    pub(super) status: u16,
    pub(super) body: Option<Value>,
    /// Where the browser is sent.
    pub(super) location: Option<String>,
    /// True when something was changed: only then can an answer get lost *after* the change.
    pub(super) wrote: bool,
}

impl Reply {
    pub(super) fn read(body: Value) -> Self {
        Self { status: 200, body: Some(body), location: None, wrote: false }
    }

    /// Sends the browser elsewhere.
    pub(super) fn redirect(to: String) -> Self {
        Self { status: 302, body: None, location: Some(to), wrote: true }
    }

    pub(super) fn wrote(status: u16, body: Option<Value>) -> Self {
        Self { status, body, location: None, wrote: true }
    }
}

/// What every endpoint gives.
pub(super) type Answer = Result<Reply, Refusal>;
