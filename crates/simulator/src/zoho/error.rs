//! Refusals in Zoho's words, and the shape of an answer.
//! May touch: nothing. Must not touch: the world; an error changes nothing.
//! One shape serves whole requests and single rows: `code`, `details`, `message`, `status` (Zoho's OpenAPI files).

use serde_json::{Value, json};

/// A refusal: of a whole request, or of one row of it.
#[derive(Debug, Clone)]
pub(super) struct Refusal {
    /// HTTP status when it refuses the whole request.
    pub(super) status: u16,
    pub(super) code: &'static str,
    pub(super) message: String,
    pub(super) details: Value,
}

impl Refusal {
    pub(super) fn new(status: u16, code: &'static str, message: impl Into<String>) -> Self {
        Self { status, code, message: message.into(), details: json!({}) }
    }

    #[must_use]
    pub(super) fn with(mut self, details: Value) -> Self {
        self.details = details;
        self
    }

    pub(super) fn invalid(api_name: &str, path: &str) -> Self {
        Self::new(400, "INVALID_DATA", "invalid data").with(json!({"api_name": api_name, "json_path": path}))
    }

    pub(super) fn wrong_type(expected: &str, api_name: &str, path: &str) -> Self {
        Self::new(400, "INVALID_DATA", "invalid data")
            .with(json!({"expected_data_type": expected, "api_name": api_name, "json_path": path}))
    }

    pub(super) fn too_long(most: usize, api_name: &str, path: &str) -> Self {
        Self::new(400, "INVALID_DATA", "invalid data")
            .with(json!({"maximum_length": most, "api_name": api_name, "json_path": path}))
    }

    pub(super) fn unsupported(values: &[&str], api_name: &str, path: &str) -> Self {
        Self::new(400, "INVALID_DATA", "invalid data")
            .with(json!({"supported_values": values, "api_name": api_name, "json_path": path}))
    }

    pub(super) fn mandatory(api_name: &str, path: &str) -> Self {
        Self::new(400, "MANDATORY_NOT_FOUND", "required field not found")
            .with(json!({"api_name": api_name, "json_path": path}))
    }

    pub(super) fn parameter(name: &str) -> Self {
        Self::new(400, "INVALID_DATA", "Please check whether the input values are correct")
            .with(json!({"param_name": name}))
    }

    pub(super) fn parameter_missing(name: &str) -> Self {
        Self::new(400, "REQUIRED_PARAM_MISSING", "One of the expected parameter is missing")
            .with(json!({"param_name": name}))
    }

    pub(super) fn no_such_path() -> Self {
        Self::new(404, "INVALID_URL_PATTERN", "Please check if the URL trying to access is a correct one")
    }

    pub(super) fn wrong_method() -> Self {
        Self::new(400, "INVALID_REQUEST_METHOD", "The http request method type is not a valid one")
    }

    pub(super) fn no_such_module(index: usize) -> Self {
        Self::new(400, "INVALID_MODULE", "the module name given seems to be invalid")
            .with(json!({"resource_path_index": index}))
    }

    /// An id in the path that names nothing, or nothing any more.
    pub(super) fn no_such_id(index: usize) -> Self {
        Self::new(400, "INVALID_DATA", "the id given seems to be invalid").with(json!({"resource_path_index": index}))
    }

    pub(super) fn not_simulated(what: &str) -> Self {
        Self::new(501, "NOT_SIMULATED", format!("{what} is not simulated."))
    }

    pub(super) fn bad_token() -> Self {
        Self::new(401, "INVALID_TOKEN", "invalid oauth token")
    }

    pub(super) fn throttled() -> Self {
        Self::new(429, "TOO_MANY_REQUESTS", "The number of requests exceeds the limit. Please try again later.")
    }

    /// Several faults of one row are told together.
    pub(super) fn several(mut faults: Vec<Self>) -> Option<Self> {
        match faults.len() {
            0 | 1 => faults.pop(),
            _ => {
                let errors: Vec<Value> = faults.iter().map(Self::body).collect();
                let refusal = Self::new(400, "MULTIPLE_OR_MULTI_ERRORS", "multiple errors found");
                Some(refusal.with(json!({"errors": errors})))
            }
        }
    }

    pub(super) fn body(&self) -> Value {
        json!({"code": self.code, "details": self.details, "message": self.message, "status": "error"})
    }
}

/// The entry of a row that was carried out.
pub(super) fn success(message: &str, details: Value) -> Value {
    json!({"code": "SUCCESS", "details": details, "message": message, "status": "success"})
}

/// What an answer's body is.
#[derive(Debug)]
pub(super) enum Body {
    None,
    Json(Value),
    /// A redirect to this address.
    Location(String),
}

/// An answer that is not a refusal.
#[derive(Debug)]
pub(super) struct Reply {
    pub(super) status: u16,
    pub(super) body: Body,
    /// True when something was changed: only then can an answer get lost *after* the change.
    pub(super) wrote: bool,
}

impl Reply {
    pub(super) fn read(body: Value) -> Self {
        Self { status: 200, body: Body::Json(body), wrote: false }
    }

    pub(super) fn wrote(status: u16, body: Value) -> Self {
        Self { status, body: Body::Json(body), wrote: true }
    }

    pub(super) fn empty(status: u16) -> Self {
        Self { status, body: Body::None, wrote: false }
    }

    /// Rows under `key`: `whole` when all passed, 207 when some did, `failed` when none did.
    pub(super) fn rows(key: &str, rows: Vec<Result<Value, Refusal>>, whole: u16, failed: u16) -> Self {
        let good = rows.iter().filter(|row| row.is_ok()).count();
        let status = match good {
            0 => failed,
            n if n == rows.len() => whole,
            _ => 207,
        };
        let rows: Vec<Value> = rows.into_iter().map(|row| row.unwrap_or_else(|refusal| refusal.body())).collect();
        Self { status, body: Body::Json(json!({key: rows})), wrote: good > 0 }
    }
}

/// What every endpoint gives.
pub(super) type Answer = Result<Reply, Refusal>;
