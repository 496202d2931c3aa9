//! A request taken apart: which server, which endpoint, which query, headers and body.
//! May touch: nothing. Must not touch: the world.

use super::config::DataCentre;
use super::error::Refusal;
use super::time;
pub(super) use crate::form::escape;
use crate::form::{Form, decode};
use bytes::Bytes;
use http::request::Parts;
use http::{HeaderMap, Method};
use serde_json::{Map, Value};

/// The version of the API that is simulated.
const VERSION: &str = "v8";

/// A part of Zoho.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Family {
    /// `/crm/v8/…`
    Crm,
    /// `/oauth/v2/…` of the accounts server.
    Accounts,
    /// `/_sim/…`
    Control,
}

/// One request.
#[derive(Debug)]
pub(super) struct Call {
    pub(super) method: Method,
    pub(super) family: Option<Family>,
    /// The data centre the request went to, when its address named one (`/@eu/…`).
    pub(super) data_centre: Option<DataCentre>,
    /// Path segments after the family and version, decoded.
    pub(super) path: Vec<String>,
    pub(super) query: Form,
    headers: HeaderMap,
    body: Bytes,
    json: Option<Result<Value, String>>,
}

/// The text fields of a body in parts, as a URL-encoded form.
fn parts(text: &str, boundary: &str) -> String {
    let field = |part: &str| {
        let (head, value) = part.split_once("\r\n\r\n")?;
        let name = head.split_once("name=\"")?.1.split_once('"')?.0;
        Some(format!("{}={}", escape(name), escape(value.strip_suffix("\r\n").unwrap_or(value))))
    };
    let fields: Vec<String> = text.split(&format!("--{boundary}")).filter_map(field).collect();
    fields.join("&")
}

impl Call {
    pub(super) fn new(parts: Parts, body: Bytes) -> Self {
        let mut path: Vec<String> = parts.uri.path().split('/').skip(1).map(|part| decode(part, false)).collect();
        let data_centre = path.first().and_then(|first| DataCentre::parse(first.strip_prefix('@')?));
        if data_centre.is_some() {
            path.remove(0);
        }
        let words: Vec<&str> = path.iter().take(2).map(String::as_str).collect();
        let (family, skip) = match words.as_slice() {
            ["_sim", ..] => (Some(Family::Control), 1),
            ["oauth", "v2"] => (Some(Family::Accounts), 2),
            ["crm", VERSION] => (Some(Family::Crm), 2),
            _ => (None, 0),
        };
        let json = match family {
            Some(Family::Crm | Family::Control) if !body.is_empty() => {
                Some(serde_json::from_slice(&body).map_err(|error| error.to_string()))
            }
            _ => None,
        };
        Self {
            method: parts.method,
            family,
            data_centre,
            path: path.into_iter().skip(skip).collect(),
            query: Form::parse(parts.uri.query().unwrap_or_default()),
            headers: parts.headers,
            body,
            json,
        }
    }

    pub(super) fn segments(&self) -> Vec<&str> {
        self.path.iter().map(String::as_str).collect()
    }

    pub(super) fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).and_then(|value| value.to_str().ok())
    }

    /// A header that holds a time, as epoch milliseconds.
    pub(super) fn time_header(&self, name: &str) -> Result<Option<i64>, Refusal> {
        let Some(text) = self.header(name) else { return Ok(None) };
        time::parse_any(text).map(Some).ok_or_else(|| Refusal::parameter(name))
    }

    /// The JSON body.
    pub(super) fn json(&self) -> Result<&Value, Refusal> {
        match &self.json {
            Some(Ok(value)) => Ok(value),
            Some(Err(error)) => Err(Refusal::new(400, "INVALID_DATA", format!("body: {error}"))),
            None => Err(Refusal::new(400, "INVALID_DATA", "body")),
        }
    }

    /// The JSON body as an object.
    pub(super) fn object(&self) -> Result<&Map<String, Value>, Refusal> {
        self.json()?.as_object().ok_or_else(|| Refusal::wrong_type("jsonobject", "body", "$"))
    }

    /// The objects of the body's array `key`: between one and `most`.
    pub(super) fn rows(&self, key: &str, most: usize) -> Result<Vec<&Map<String, Value>>, Refusal> {
        let path = format!("$.{key}");
        let Some(value) = self.object()?.get(key) else { return Err(Refusal::mandatory(key, &path)) };
        let Some(rows) = value.as_array() else { return Err(Refusal::wrong_type("jsonarray", key, &path)) };
        if rows.len() > most {
            return Err(Refusal::too_long(most, key, &path));
        }
        if rows.is_empty() {
            return Err(Refusal::mandatory(key, &path));
        }
        let row = |(n, row): (usize, &'_ Value)| match row.as_object() {
            Some(_) => Ok(()),
            None => Err(Refusal::wrong_type("jsonobject", key, &format!("{path}[{n}]"))),
        };
        rows.iter().enumerate().try_for_each(row)?;
        Ok(rows.iter().filter_map(Value::as_object).collect())
    }

    /// How many rows a write carries, for its price; 1 when it can't be told.
    pub(super) fn row_count(&self, key: &str) -> usize {
        match &self.json {
            Some(Ok(body)) => body.get(key).and_then(Value::as_array).map_or(1, Vec::len).max(1),
            _ => 1,
        }
    }

    /// The body as a form, URL-encoded or in parts, and the query: the token endpoint takes them all, and Zoho's own SDKs
    /// use both kinds of body.
    pub(super) fn form(&self) -> Form {
        let text = String::from_utf8_lossy(&self.body);
        let boundary = self.header("content-type").and_then(|kind| kind.strip_prefix("multipart/form-data"));
        let boundary =
            boundary.and_then(|rest| rest.split_once("boundary=")).map(|(_, boundary)| boundary.trim_matches('"'));
        let form = match boundary {
            Some(boundary) => Form::parse(&parts(&text, boundary)),
            None => Form::parse(&text),
        };
        form.and(&self.query)
    }

    /// A whole number of the query within bounds; `default` when absent.
    pub(super) fn number(&self, name: &str, default: usize, least: usize, most: usize) -> Result<usize, Refusal> {
        let Some(text) = self.query.get(name) else { return Ok(default) };
        match text.parse() {
            Ok(n) if (least..=most).contains(&n) => Ok(n),
            _ => Err(Refusal::parameter(name)),
        }
    }

    /// The field whose value stands for the record's id, when the header `X-EXTERNAL: Module.Field` names one of `module`.
    pub(super) fn external(&self, module: &str) -> Result<Option<&str>, Refusal> {
        let Some(header) = self.header("x-external") else { return Ok(None) };
        for entry in header.split(',') {
            match entry.trim().split('.').collect::<Vec<_>>().as_slice() {
                [of, field] if *of == module => return Ok(Some(*field)),
                [_, _] => {}
                [_, _, _] => return Err(Refusal::not_simulated("X-EXTERNAL for lookup fields")),
                _ => return Err(Refusal::parameter("X-EXTERNAL")),
            }
        }
        Ok(None)
    }

    /// The endpoint without ids and values, for the counters.
    pub(super) fn endpoint(&self, is_name: impl Fn(&str) -> bool) -> String {
        const WORDS: [&str; 24] = [
            "upsert",
            "search",
            "deleted",
            "actions",
            "add_tags",
            "remove_tags",
            "convert",
            "count",
            "settings",
            "modules",
            "fields",
            "tags",
            "related_lists",
            "users",
            "org",
            "coql",
            "watch",
            "oauth",
            "token",
            "revoke",
            "auth",
            "v2",
            "crm",
            "v8",
        ];
        let label = |part: &String| match WORDS.contains(&part.as_str()) || is_name(part) {
            true => part.clone(),
            false => "{}".to_owned(),
        };
        let parts: Vec<String> = self.path.iter().map(label).collect();
        let family = match self.family {
            Some(Family::Crm) => "",
            Some(Family::Accounts) => "oauth/",
            Some(Family::Control) => "_sim/",
            None => return format!("{} unknown", self.method),
        };
        format!("{} {family}{}", self.method, parts.join("/"))
    }
}
