//! A request taken apart: which endpoint, which path segments, which query and body.
//! May touch: nothing. Must not touch: the world.

use super::error::Refusal;
use super::object::Object;
use crate::form::{Form, decode};
use bytes::Bytes;
use http::request::Parts;
use http::{Method, header};
use serde::de::DeserializeOwned;

/// Versions of the dated paths.
const DATED: [&str; 2] = ["2026-03", "2026-09"];

/// A part of the API.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Family {
    Objects,
    Properties,
    Associations,
    Oauth,
    Account,
    Control,
}

/// The generation of a path; association answers differ between them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Generation {
    V3,
    V4,
    Dated,
}

/// One request.
#[derive(Debug)]
pub(super) struct Call {
    pub(super) method: Method,
    pub(super) family: Option<Family>,
    pub(super) generation: Generation,
    /// Path segments after family and version, decoded.
    pub(super) rest: Vec<String>,
    pub(super) query: Form,
    pub(super) bearer: Option<String>,
    content_type: String,
    body: Bytes,
}

impl Call {
    pub(super) fn new(parts: Parts, body: Bytes) -> Self {
        let segments: Vec<String> = parts.uri.path().split('/').skip(1).map(|segment| decode(segment, false)).collect();
        let (family, generation, skip) = classify(&segments);
        let text = |name| parts.headers.get(name).and_then(|v: &http::HeaderValue| v.to_str().ok()).map(str::to_owned);
        Self {
            method: parts.method,
            family,
            generation,
            rest: segments.into_iter().skip(skip).collect(),
            query: Form::parse(parts.uri.query().unwrap_or_default()),
            bearer: text(header::AUTHORIZATION),
            content_type: text(header::CONTENT_TYPE).unwrap_or_default().to_lowercase(),
            body,
        }
    }

    pub(super) fn path(&self) -> Vec<&str> {
        self.rest.iter().map(String::as_str).collect()
    }

    pub(super) fn is_search(&self) -> bool {
        self.family == Some(Family::Objects) && self.method == Method::POST && self.path().get(1) == Some(&"search")
    }

    /// True when the call changes nothing, which decides on the scope it needs.
    pub(super) fn is_read(&self) -> bool {
        self.method == Method::GET || self.is_search() || self.path().ends_with(&["batch", "read"])
    }

    pub(super) fn json<T: DeserializeOwned>(&self) -> Result<T, Refusal> {
        if !self.content_type.starts_with("application/json") {
            return Err(Refusal::new(415, "UNSUPPORTED_MEDIA_TYPE", "The body must be application/json."));
        }
        serde_json::from_slice(&self.body).map_err(|error| Refusal::bad_json(&error))
    }

    pub(super) fn form(&self) -> Result<Form, Refusal> {
        if !self.content_type.starts_with("application/x-www-form-urlencoded") {
            return Err(Refusal::new(415, "UNSUPPORTED_MEDIA_TYPE", "The body must be a URL-encoded form."));
        }
        Ok(Form::parse(&String::from_utf8_lossy(&self.body)))
    }

    /// The endpoint without ids, values and versions, for the counters.
    pub(super) fn endpoint(&self) -> String {
        let family = match self.family {
            Some(Family::Objects) => "",
            Some(Family::Properties) => "properties/",
            Some(Family::Associations) => "associations/",
            Some(Family::Oauth) => "oauth/",
            Some(Family::Account) => "account-info/",
            Some(Family::Control) => "_sim/",
            None => return format!("{} unknown", self.method),
        };
        let parts: Vec<&str> = self.rest.iter().map(|segment| label(segment)).collect();
        format!("{} {family}{}", self.method, parts.join("/"))
    }
}

fn label(segment: &str) -> &str {
    const WORDS: [&str; 20] = [
        "authorize",
        "batch",
        "create",
        "read",
        "update",
        "upsert",
        "archive",
        "search",
        "merge",
        "gdpr-delete",
        "associations",
        "default",
        "associate",
        "groups",
        "token",
        "introspect",
        "revoke",
        "details",
        "labels",
        "objects",
    ];
    match Object::parse(segment) {
        Some(object) => object.name(),
        None if WORDS.contains(&segment) => segment,
        None => "{}",
    }
}

/// The part of the API, its generation, and how many segments say so.
fn classify(segments: &[String]) -> (Option<Family>, Generation, usize) {
    let words: Vec<&str> = segments.iter().take(3).map(String::as_str).collect();
    let family = |word: &str| match word {
        "objects" => Some(Family::Objects),
        "properties" => Some(Family::Properties),
        "associations" => Some(Family::Associations),
        _ => None,
    };
    match words.as_slice() {
        ["_sim", ..] => (Some(Family::Control), Generation::V3, 1),
        ["oauth", version, ..] if DATED.contains(version) || *version == "v1" => {
            (Some(Family::Oauth), Generation::Dated, 2)
        }
        // The consent page is on a host of its own, without a version.
        ["oauth", "authorize"] => (Some(Family::Oauth), Generation::Dated, 1),
        ["account-info", version, ..] if DATED.contains(version) || *version == "v3" => {
            (Some(Family::Account), Generation::Dated, 2)
        }
        ["crm", "v3", word] => (family(word), Generation::V3, 3),
        // Version 4 knows nothing but associations.
        ["crm", "v4", word] => (family(word).filter(|f| *f != Family::Properties), Generation::V4, 3),
        ["crm", word, version] if DATED.contains(version) => (family(word), Generation::Dated, 3),
        _ => (None, Generation::V3, 0),
    }
}
