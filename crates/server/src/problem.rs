//! Answers that are not successes: problem+json (RFC 9457) with a stable code for the API, one plain line for Meta.

use axum::body::Body;
use axum::response::{IntoResponse, Response};
use http::{HeaderValue, StatusCode, header};
use ponte_domain::error::{INTERNAL, NOT_FOUND, PublicCode, StoreError, UNAVAILABLE};
use serde_json::json;

/// A problem to be told to a program.
#[derive(Debug)]
pub(crate) struct Problem {
    code: PublicCode,
    detail: Option<String>,
    extra: Option<(&'static str, serde_json::Value)>,
}

impl Problem {
    pub(crate) fn new(code: PublicCode, detail: impl Into<Option<String>>) -> Self {
        Self { code, detail: detail.into(), extra: None }
    }

    pub(crate) fn with(mut self, name: &'static str, value: serde_json::Value) -> Self {
        self.extra = Some((name, value));
        self
    }

    pub(crate) fn body(&self) -> serde_json::Value {
        let mut body = json!({
            "type": format!("docs/errors/{}.md", self.code.code),
            "title": self.code.title,
            "status": self.code.status,
            "code": self.code.code,
        });
        if let Some(map) = body.as_object_mut() {
            map.extend(self.detail.as_ref().map(|d| ("detail".to_owned(), json!(d))));
            map.extend(self.extra.as_ref().map(|(name, value)| ((*name).to_owned(), value.clone())));
        }
        body
    }
}

impl From<StoreError> for Problem {
    fn from(error: StoreError) -> Self {
        tracing::error!(error = %error, "a request failed in the store");
        let code = match error {
            StoreError::Unavailable(_) | StoreError::LeaseLost => UNAVAILABLE,
            StoreError::NotFound(_) => NOT_FOUND,
            StoreError::Corrupt(_) | StoreError::Refused(_) => INTERNAL,
        };
        Self::new(code, None)
    }
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let status = StatusCode::from_u16(self.code.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        let mut response = Response::new(Body::from(self.body().to_string()));
        *response.status_mut() = status;
        response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static("application/problem+json"));
        response
    }
}

/// One plain line.
pub(crate) fn text(status: StatusCode, line: impl Into<String>) -> http::Response<Body> {
    let mut response = http::Response::new(Body::from(line.into()));
    *response.status_mut() = status;
    response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static("text/plain; charset=utf-8"));
    response
}
