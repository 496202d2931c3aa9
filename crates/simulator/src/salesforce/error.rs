//! Refusals in Salesforce's words, and the shape of an answer.
//! May touch: nothing. Must not touch: the world; an error changes nothing.
//! The wire shapes follow the REST API guide: a list of `{message, errorCode, fields}`; `{error, error_description}` for OAuth;
//! `{statusCode, message, fields}` for one row of a collection.

use bytes::Bytes;
use serde_json::{Map, Value, json};

/// How a refusal is written.
#[derive(Debug, Clone, PartialEq)]
enum Shape {
    Api,
    Oauth,
    /// A body of its own, as the list of records that share an external id (300).
    Raw(Box<Value>),
}

/// A refusal: of a whole request, or of one row.
#[derive(Debug, Clone)]
pub(super) struct Refusal {
    pub(super) status: u16,
    pub(super) code: &'static str,
    pub(super) message: String,
    pub(super) fields: Vec<String>,
    /// `duplicateResult` of a duplicate rule.
    duplicates: Option<Box<Value>>,
    shape: Shape,
}

impl Refusal {
    pub(super) fn new(status: u16, code: &'static str, message: impl Into<String>) -> Self {
        let (message, fields) = (message.into(), Vec::new());
        Self { status, code, message, fields, duplicates: None, shape: Shape::Api }
    }

    /// 400 with this code.
    pub(super) fn bad(code: &'static str, message: impl Into<String>) -> Self {
        Self::new(400, code, message)
    }

    /// 400 about one field.
    pub(super) fn field(code: &'static str, field: &str, message: impl Into<String>) -> Self {
        let mut refusal = Self::bad(code, message);
        refusal.fields = vec![field.to_owned()];
        refusal
    }

    pub(super) fn oauth(status: u16, error: &'static str, description: &str) -> Self {
        Self { shape: Shape::Oauth, ..Self::new(status, error, description) }
    }

    /// 300: an external id that several records have.
    pub(super) fn several(paths: Vec<String>) -> Self {
        let refusal = Self::new(300, "DUPLICATE_EXTERNAL_ID", "More than one record has this external id.");
        Self { shape: Shape::Raw(Box::new(json!(paths))), ..refusal }
    }

    pub(super) fn not_found() -> Self {
        Self::new(404, "NOT_FOUND", "The requested resource does not exist")
    }

    pub(super) fn deleted() -> Self {
        Self::new(404, "ENTITY_IS_DELETED", "entity is deleted")
    }

    pub(super) fn method(allowed: &str) -> Self {
        Self::new(405, "METHOD_NOT_ALLOWED", format!("HTTP Method not allowed. Allowed are {allowed}"))
    }

    pub(super) fn not_simulated(what: &str) -> Self {
        Self::new(501, "NOT_SIMULATED", format!("{what} is not simulated."))
    }

    pub(super) fn session() -> Self {
        Self::new(401, "INVALID_SESSION_ID", "Session expired or invalid")
    }

    pub(super) fn parser(message: impl std::fmt::Display) -> Self {
        Self::bad("JSON_PARSER_ERROR", format!("{message}"))
    }

    pub(super) fn duplicates(rule: &str, object: &str, ids: &[String], allow_save: bool) -> Self {
        let mut refusal = Self::bad("DUPLICATES_DETECTED", "Use one of these records?");
        let records: Vec<Value> = ids
            .iter()
            .map(|id| {
                json!({"additionalInformation": [], "fieldDiffs": [], "matchConfidence": 100.0,
                             "record": {"Id": id, "attributes": {"type": object}}})
            })
            .collect();
        refusal.duplicates = Some(Box::new(json!({
            "allowSave": allow_save, "duplicateRule": rule, "duplicateRuleEntityType": object,
            "errorMessage": "Use one of these records?",
            "matchResults": [{"entityType": object, "errors": [], "matchEngine": "ExactMatchEngine", "matchRecords": records,
                              "rule": rule, "size": ids.len(), "success": true}],
        })));
        refusal
    }

    /// The body of a whole refused request.
    pub(super) fn body(&self) -> Value {
        match &self.shape {
            Shape::Raw(body) => body.as_ref().clone(),
            Shape::Oauth => json!({"error": self.code, "error_description": self.message}),
            Shape::Api => {
                let mut error = Map::new();
                error.insert("message".to_owned(), json!(self.message));
                error.insert("errorCode".to_owned(), json!(self.code));
                if !self.fields.is_empty() {
                    error.insert("fields".to_owned(), json!(self.fields));
                }
                if let Some(duplicates) = &self.duplicates {
                    error.insert("duplicateResult".to_owned(), duplicates.as_ref().clone());
                }
                json!([error])
            }
        }
    }

    /// The entry of one failed row of a collection.
    pub(super) fn row(&self) -> Value {
        json!({"success": false,
               "errors": [{"statusCode": self.code, "message": self.message, "fields": self.fields}]})
    }

    /// `CODE:message:fields --`, as Bulk API 2.0 writes it into `sf__Error`.
    pub(super) fn bulk(&self) -> String {
        format!("{}:{}:{} --", self.code, self.message, self.fields.join(","))
    }
}

/// What an answer carries.
#[derive(Debug)]
pub(super) enum Body {
    None,
    Json(Value),
    Csv(Vec<u8>),
    /// A page that a browser is sent to.
    Redirect(String),
}

/// An answer that is not a refusal.
#[derive(Debug)]
pub(super) struct Reply {
    pub(super) status: u16,
    pub(super) body: Body,
    pub(super) headers: Vec<(&'static str, String)>,
    /// True when something was changed: only then can an answer get lost *after* the change.
    pub(super) wrote: bool,
}

impl Reply {
    fn new(status: u16, body: Body, wrote: bool) -> Self {
        Self { status, body, headers: Vec::new(), wrote }
    }

    pub(super) fn read(body: Value) -> Self {
        Self::new(200, Body::Json(body), false)
    }

    pub(super) fn wrote(status: u16, body: Value) -> Self {
        Self::new(status, Body::Json(body), true)
    }

    /// 204 after a change.
    pub(super) fn done() -> Self {
        Self::new(204, Body::None, true)
    }

    pub(super) fn csv(body: Vec<u8>) -> Self {
        Self::new(200, Body::Csv(body), false)
    }

    pub(super) fn redirect(to: String) -> Self {
        Self::new(302, Body::Redirect(to), true)
    }

    pub(super) fn with(mut self, header: &'static str, value: String) -> Self {
        self.headers.push((header, value));
        self
    }

    /// The bytes, and their content type.
    pub(super) fn bytes(&self) -> (Bytes, Option<&'static str>) {
        match &self.body {
            Body::None | Body::Redirect(_) => (Bytes::new(), None),
            Body::Json(value) => (Bytes::from(value.to_string()), Some("application/json;charset=UTF-8")),
            Body::Csv(bytes) => (Bytes::from(bytes.clone()), Some("text/csv")),
        }
    }
}

/// What every endpoint gives.
pub(super) type Answer = Result<Reply, Refusal>;
