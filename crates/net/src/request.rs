//! One outgoing request, as a value.
//! Must not touch: logs. Headers and bodies hold secrets and personal data; `Debug` shows neither.

use crate::error::NetError;
use bytes::Bytes;
use http::header::{AUTHORIZATION, CONTENT_TYPE, HeaderName, HeaderValue};
use http::{HeaderMap, Method};
use secrecy::{ExposeSecret, SecretString};
use serde::Serialize;
use std::borrow::Cow;
use std::fmt;
use std::time::Duration;

pub(crate) enum Content {
    Empty,
    Bytes(Bytes),
    Stream(reqwest::Body),
    Multipart(reqwest::multipart::Form),
}

/// One outgoing request. `target` names whom it goes to in metrics and logs (`whatsapp`, `hubspot`): few values, no hosts.
pub struct Request {
    pub(crate) target: Cow<'static, str>,
    pub(crate) method: Method,
    pub(crate) url: String,
    pub(crate) headers: HeaderMap,
    pub(crate) content: Content,
    pub(crate) timeout: Option<Duration>,
    pub(crate) max_body: Option<usize>,
    pub(crate) redirects: u8,
    pub(crate) http2: bool,
}

impl fmt::Debug for Request {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Request").field("target", &self.target).field("method", &self.method).finish_non_exhaustive()
    }
}

impl Request {
    /// A request without headers and body.
    pub fn new(target: impl Into<Cow<'static, str>>, method: Method, url: impl Into<String>) -> Self {
        Self {
            target: target.into(),
            method,
            url: url.into(),
            headers: HeaderMap::new(),
            content: Content::Empty,
            timeout: None,
            max_body: None,
            redirects: 0,
            http2: false,
        }
    }

    /// A GET request.
    pub fn get(target: impl Into<Cow<'static, str>>, url: impl Into<String>) -> Self {
        Self::new(target, Method::GET, url)
    }

    /// A POST request.
    pub fn post(target: impl Into<Cow<'static, str>>, url: impl Into<String>) -> Self {
        Self::new(target, Method::POST, url)
    }

    /// Sets a header.
    #[must_use]
    pub fn header(mut self, name: HeaderName, value: HeaderValue) -> Self {
        self.headers.insert(name, value);
        self
    }

    /// Sets `Authorization: SCHEME TOKEN` (`Bearer`, `Zoho-oauthtoken`), marked as sensitive.
    ///
    /// # Errors
    /// When the token holds characters a header can't carry.
    pub fn authorization(mut self, scheme: &str, token: &SecretString) -> Result<Self, NetError> {
        let mut value = HeaderValue::from_str(&format!("{scheme} {}", token.expose_secret()))
            .map_err(|_| NetError::Invalid("the token holds characters that a header can't carry".to_owned()))?;
        value.set_sensitive(true);
        self.headers.insert(AUTHORIZATION, value);
        Ok(self)
    }

    /// Sets `Authorization: Bearer TOKEN`.
    ///
    /// # Errors
    /// As [`Request::authorization`].
    pub fn bearer(self, token: &SecretString) -> Result<Self, NetError> {
        self.authorization("Bearer", token)
    }

    /// Sets a body of bytes.
    #[must_use]
    pub fn body(mut self, content_type: &'static str, body: impl Into<Bytes>) -> Self {
        self.headers.insert(CONTENT_TYPE, HeaderValue::from_static(content_type));
        self.content = Content::Bytes(body.into());
        self
    }

    /// Sets a body that is streamed, such as a file. Set `Content-Type` with [`Request::header`].
    #[must_use]
    pub fn stream(mut self, body: reqwest::Body) -> Self {
        self.content = Content::Stream(body);
        self
    }

    /// Sets a body whose pieces come as long as the sender lives: a call that is spoken on both sides at once, see
    /// [`Request::http2`].
    #[must_use]
    pub fn pieces(mut self, content_type: &'static str, pieces: tokio::sync::mpsc::Receiver<Bytes>) -> Self {
        self.headers.insert(CONTENT_TYPE, HeaderValue::from_static(content_type));
        self.content = Content::Stream(crate::sent::Pieces::wrap(pieces));
        self
    }

    /// Sends it by HTTP/2, without asking whether the other side speaks it. What is streamed both ways at once needs that.
    #[must_use]
    pub const fn http2(mut self) -> Self {
        self.http2 = true;
        self
    }

    /// Sets a JSON body.
    ///
    /// # Errors
    /// When the value can't be written as JSON.
    pub fn json<T: Serialize + ?Sized>(self, value: &T) -> Result<Self, NetError> {
        let body = serde_json::to_vec(value).map_err(|e| NetError::Invalid(format!("not writable as JSON: {e}")))?;
        Ok(self.body("application/json", body))
    }

    /// Sets a form body (`application/x-www-form-urlencoded`), as OAuth token endpoints want it.
    #[must_use]
    pub fn form(self, fields: &[(&str, &str)]) -> Self {
        // The URL type's query writer is the form encoder.
        let mut writer = match reqwest::Url::parse("form:/") {
            Ok(url) => url,
            Err(_) => return self,
        };
        writer.query_pairs_mut().extend_pairs(fields);
        let body = writer.query().unwrap_or_default().to_owned();
        self.body("application/x-www-form-urlencoded", body)
    }

    /// Sets a multipart body.
    #[must_use]
    pub fn multipart(mut self, form: reqwest::multipart::Form) -> Self {
        self.content = Content::Multipart(form);
        self
    }

    /// Gives it another time limit than the default: for the whole call, or with [`crate::Egress::download`] for the head and
    /// between two pieces.
    #[must_use]
    pub const fn timeout(mut self, timeout: Duration) -> Self {
        self.timeout = Some(timeout);
        self
    }

    /// Gives it another limit for the size of the answer, in bytes.
    #[must_use]
    pub const fn max_body(mut self, bytes: usize) -> Self {
        self.max_body = Some(bytes);
        self
    }

    /// Follows up to `hops` redirects. Only for GET and HEAD; every hop passes the address policy, and `Authorization` and
    /// `Cookie` stay behind when the host changes. Off by default.
    #[must_use]
    pub const fn follow_redirects(mut self, hops: u8) -> Self {
        self.redirects = hops;
        self
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn debug_shows_no_secret() {
        let request = Request::post("hubspot", "https://x.example/?token=geheim")
            .bearer(&SecretString::from("geheim"))
            .unwrap()
            .form(&[("client_secret", "geheim & mehr")]);
        assert!(!format!("{request:?}").contains("geheim"));
        let Content::Bytes(body) = &request.content else { panic!("no bytes") };
        assert_eq!(&body[..], b"client_secret=geheim+%26+mehr");
        assert!(Request::get("t", "u").bearer(&SecretString::from("a\nb")).is_err());
    }
}
