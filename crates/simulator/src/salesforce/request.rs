//! A request taken apart: which part of the API, which path segments, which query, headers and body.
//! May touch: nothing. Must not touch: the world.

use super::error::Refusal;
use crate::form::{Form, decode};
use bytes::Bytes;
use http::request::Parts;
use http::{HeaderMap, Method, header};
use serde::de::DeserializeOwned;
use serde_json::{Map, Value};

/// Oldest and newest version of the REST API, without the `.0`. The oldest are retired.
const VERSIONS: std::ops::RangeInclusive<u32> = 31..=68;

/// A part of the API.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Family {
    /// `/services/data`: which versions there are.
    Versions,
    /// `/services/data/vNN.0/…`
    Data,
    Oauth,
    Identity,
    Control,
}

/// One request.
#[derive(Debug, Clone)]
pub(super) struct Call {
    pub(super) method: Method,
    pub(super) family: Option<Family>,
    /// `/services/data/v66.0`
    pub(super) base: String,
    rest: Vec<String>,
    pub(super) query: Form,
    pub(super) authorization: Option<String>,
    headers: HeaderMap,
    pub(super) body: Bytes,
    /// Length of path and query as sent.
    pub(super) uri_length: usize,
}

/// All versions, oldest first.
pub(super) fn versions() -> impl Iterator<Item = u32> {
    VERSIONS
}

impl Call {
    pub(super) fn new(parts: Parts, body: Bytes) -> Self {
        let uri_length = parts.uri.path_and_query().map_or(0, |pq| pq.as_str().len());
        Self::of(parts.method, parts.uri.path(), parts.uri.query().unwrap_or_default(), parts.headers, body, uri_length)
    }

    /// A request within a composite one.
    pub(super) fn inner(&self, method: Method, url: &str, headers: HeaderMap, body: Bytes) -> Self {
        let (path, query) = url.split_once('?').unwrap_or((url, ""));
        let mut inner = Self::of(method, path, query, headers, body, url.len());
        inner.authorization.clone_from(&self.authorization);
        inner
    }

    fn of(method: Method, path: &str, query: &str, headers: HeaderMap, body: Bytes, uri_length: usize) -> Self {
        let path = path.trim_end_matches('/');
        let segments: Vec<String> = path.split('/').skip(1).map(|segment| decode(segment, false)).collect();
        let words: Vec<&str> = segments.iter().map(String::as_str).collect();
        let (family, skip) = match words.as_slice() {
            ["_sim", ..] => (Some(Family::Control), 1),
            ["services", "oauth2", ..] => (Some(Family::Oauth), 2),
            ["services", "data"] => (Some(Family::Versions), 2),
            ["services", "data", version, ..] if is_version(version) => (Some(Family::Data), 3),
            ["id", _, _] => (Some(Family::Identity), 1),
            _ => (None, 0),
        };
        let base = format!("/{}", words.iter().take(3).copied().collect::<Vec<_>>().join("/"));
        let authorization = headers.get(header::AUTHORIZATION).and_then(|v| v.to_str().ok()).map(str::to_owned);
        Self {
            method,
            family,
            base,
            rest: segments.into_iter().skip(skip).collect(),
            query: Form::parse(query),
            authorization,
            headers,
            body,
            uri_length,
        }
    }

    pub(super) fn path(&self) -> Vec<&str> {
        self.rest.iter().map(String::as_str).collect()
    }

    pub(super) fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).and_then(|value| value.to_str().ok())
    }

    /// A setting inside a header of the form `a=1, b=2`.
    pub(super) fn option(&self, header: &str, name: &str) -> Option<&str> {
        let pairs = self.header(header)?.split([',', ';']).filter_map(|pair| pair.trim().split_once('='));
        pairs.filter(|(key, _)| key.eq_ignore_ascii_case(name)).map(|(_, value)| value.trim()).next()
    }

    pub(super) fn allows_duplicates(&self) -> bool {
        self.option("sforce-duplicate-rule-header", "allowSave").is_some_and(|v| v.eq_ignore_ascii_case("true"))
    }

    pub(super) fn is_csv(&self) -> bool {
        self.header("content-type").is_some_and(|kind| kind.to_lowercase().starts_with("text/csv"))
    }

    pub(super) fn json<T: DeserializeOwned>(&self) -> Result<T, Refusal> {
        if !self.header("content-type").is_some_and(|kind| kind.to_lowercase().starts_with("application/json")) {
            return Err(Refusal::new(415, "UNSUPPORTED_MEDIA_TYPE", "Content-Type header must be application/json"));
        }
        serde_json::from_slice(&self.body)
            .map_err(|error| Refusal::parser(format!("{error} at [line:{}, column:{}]", error.line(), error.column())))
    }

    /// A body that is an object of fields.
    pub(super) fn fields(&self) -> Result<Map<String, Value>, Refusal> {
        self.json()
    }

    pub(super) fn form(&self) -> Result<Form, Refusal> {
        let kind = self.header("content-type").unwrap_or_default();
        if !kind.to_lowercase().starts_with("application/x-www-form-urlencoded") {
            return Err(Refusal::oauth(400, "unsupported_grant_type", "grant type not supported"));
        }
        Ok(Form::parse(&String::from_utf8_lossy(&self.body)))
    }

    /// The endpoint without ids and values, for the counters.
    pub(super) fn endpoint(&self) -> String {
        let family = match self.family {
            Some(Family::Versions) => "versions",
            Some(Family::Data) => "",
            Some(Family::Oauth) => "oauth2/",
            Some(Family::Identity) => "id",
            Some(Family::Control) => "_sim/",
            None => return format!("{} unknown", self.method),
        };
        let named = |segment: &&str| !segment.is_empty();
        let label = |(at, segment): (usize, &str)| {
            // Names of types and fields tell much, ids and values nothing.
            let value = segment.chars().any(|c| c.is_ascii_digit()) || segment.len() > 40 || at > 3;
            if value { "{}".to_owned() } else { segment.to_owned() }
        };
        let path = self.path();
        let external = matches!(path.as_slice(), ["sobjects", _, _, _]);
        let parts: Vec<String> = path.into_iter().filter(named).enumerate().map(label).collect();
        let shown = if external { parts.iter().take(3).cloned().chain(["{}".to_owned()]).collect() } else { parts };
        format!("{} {family}{}", self.method, shown.join("/"))
    }
}

fn is_version(text: &str) -> bool {
    let number = text.strip_prefix('v').and_then(|rest| rest.strip_suffix(".0"));
    number.and_then(|number| number.parse().ok()).is_some_and(|number| VERSIONS.contains(&number))
}
