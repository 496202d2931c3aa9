//! The door itself: one pooled HTTP client, kept-alive connections, policy before and at name resolution, limits, metrics.
//! Must not touch: proxies from the environment (a proxy would look names up past the policy).
//! Failure story: a call that fails says how far it got ([`NetError`]); a call that is dropped half-way closes its connection.

use crate::error::NetError;
use crate::fault::{self, RefusedAddress};
use crate::policy::{Policy, PolicyError};
use crate::request::{Content, Request};
use crate::sent::{Sent, Tracked};
use bytes::{Bytes, BytesMut};
use http::header::{AUTHORIZATION, CONTENT_LENGTH, COOKIE, LOCATION};
use http::{HeaderMap, Method, StatusCode};
use reqwest::Url;
use reqwest::dns::{Addrs, Name, Resolve, Resolving};
use serde::Deserialize;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;
use tokio::time::Instant;

/// How the door is set up. Every limit is a setting; the defaults suit Meta's and the CRMs' APIs.
#[derive(Debug, Clone, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct EgressConfig {
    /// Exceptions from the address policy: addresses, networks, host names, each of the first and last also with a port
    /// (see [`Policy::new`]).
    pub allow_private: Vec<String>,
    /// Allows this machine's own addresses (simulators, tests).
    pub allow_loopback: bool,
    /// Milliseconds for name resolution, connection and TLS together.
    pub connect_timeout_ms: u64,
    /// Milliseconds for a whole call, unless the request says otherwise.
    pub request_timeout_ms: u64,
    /// Idle connections kept per host.
    pub max_idle_per_host: usize,
    /// Milliseconds an idle connection is kept. Shorter than the usual 60 s of servers, so that they rarely close one
    /// just when it is used again, which would leave the outcome of a call unknown.
    pub idle_timeout_ms: u64,
    /// `User-Agent` of every request.
    pub user_agent: String,
    /// Bytes of an answer read by [`Egress::call`], unless the request says otherwise.
    pub max_body_bytes: usize,
    /// PEM texts of certificates to trust beside those of the system (a company's own authority).
    pub extra_root_pem: Vec<String>,
}

impl Default for EgressConfig {
    fn default() -> Self {
        Self {
            allow_private: Vec::new(),
            allow_loopback: false,
            connect_timeout_ms: 5_000,
            request_timeout_ms: 15_000,
            max_idle_per_host: 256,
            idle_timeout_ms: 45_000,
            user_agent: concat!("ponte/", env!("CARGO_PKG_VERSION")).to_owned(),
            max_body_bytes: 8 * 1024 * 1024,
            extra_root_pem: Vec::new(),
        }
    }
}

/// The door can't be built.
#[derive(Debug, thiserror::Error)]
pub enum SetupError {
    /// An entry of the allow list is wrong.
    #[error(transparent)]
    Policy(#[from] PolicyError),
    /// A certificate or the TLS set-up is wrong. Without any trusted certificate on the system, install `ca-certificates`
    /// or name a file in `SSL_CERT_FILE`.
    #[error("TLS can't be set up (are CA certificates installed, or named by SSL_CERT_FILE?): {0}")]
    Tls(String),
}

/// An answer, read whole. `Debug` shows neither headers nor body.
#[derive(Clone)]
pub struct Response {
    /// Status.
    pub status: StatusCode,
    /// Headers.
    pub headers: HeaderMap,
    /// Body.
    pub body: Bytes,
}

impl fmt::Debug for Response {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Response")
            .field("status", &self.status)
            .field("bytes", &self.body.len())
            .finish_non_exhaustive()
    }
}

impl Response {
    /// Reads the body as JSON.
    ///
    /// # Errors
    /// When it isn't the JSON expected.
    pub fn json<T: serde::de::DeserializeOwned>(&self) -> Result<T, serde_json::Error> {
        serde_json::from_slice(&self.body)
    }

    /// A header as text.
    #[must_use]
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).and_then(|v| v.to_str().ok())
    }
}

/// An answer whose body is read piece by piece, never more than the limit. `Debug` shows no address: media links are secrets.
pub struct Download {
    /// Status.
    pub status: StatusCode,
    /// Headers.
    pub headers: HeaderMap,
    response: reqwest::Response,
    left: usize,
    limit: usize,
    idle: Duration,
}

impl fmt::Debug for Download {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Download").field("status", &self.status).field("limit", &self.limit).finish_non_exhaustive()
    }
}

impl Download {
    /// The next piece, `None` at the end.
    ///
    /// # Errors
    /// When the other side falls silent for the time limit, the connection breaks, or the limit is passed.
    pub async fn chunk(&mut self) -> Result<Option<Bytes>, NetError> {
        let piece = tokio::time::timeout(self.idle, self.response.chunk())
            .await
            .map_err(|_| NetError::TimeoutAfter)?
            .map_err(|e| fault::read(&e, true))?;
        if let Some(piece) = &piece {
            self.left = self.left.checked_sub(piece.len()).ok_or(NetError::TooLarge { limit: self.limit })?;
        }
        Ok(piece)
    }
}

/// Installs the process-wide TLS provider (ring). Safe to call again.
pub fn install_crypto() {
    // An error says that one is installed already, which is all we want.
    let _ = rustls::crypto::ring::default_provider().install_default();
}

/// The one door to the outside. Cheap to clone; all clones share the connections.
#[derive(Debug, Clone)]
pub struct Egress {
    client: reqwest::Client,
    /// For the few calls that need HTTP/2. Apart, so that all others keep a connection to themselves: what became of a call is
    /// simpler to tell then.
    http2: reqwest::Client,
    policy: Arc<Policy>,
    timeout: Duration,
    max_body: usize,
}

impl Egress {
    /// Builds the door. Trusts the system's certificate authorities.
    ///
    /// # Errors
    /// When the allow list or the TLS set-up is wrong.
    pub fn new(config: &EgressConfig) -> Result<Self, SetupError> {
        install_crypto();
        let policy = Arc::new(Policy::new(config.allow_loopback, &config.allow_private)?);
        let tls = |e: reqwest::Error| SetupError::Tls(describe(&e));
        let roots = config
            .extra_root_pem
            .iter()
            .map(|pem| reqwest::Certificate::from_pem_bundle(pem.as_bytes()))
            .collect::<Result<Vec<_>, _>>()
            .map_err(tls)?;
        let builder = || {
            reqwest::Client::builder()
                .user_agent(&config.user_agent)
                .no_proxy()
                .redirect(reqwest::redirect::Policy::none())
                .retry(reqwest::retry::never())
                .tcp_nodelay(true)
                .connect_timeout(Duration::from_millis(config.connect_timeout_ms))
                .pool_max_idle_per_host(config.max_idle_per_host)
                .pool_idle_timeout(Duration::from_millis(config.idle_timeout_ms))
                .tls_certs_merge(roots.iter().flatten().cloned())
                .dns_resolver(Guarded(policy.clone()))
        };
        let client = builder().http1_only().build().map_err(tls)?;
        let http2 = builder().http2_prior_knowledge().build().map_err(tls)?;
        Ok(Self {
            client,
            http2,
            policy,
            timeout: Duration::from_millis(config.request_timeout_ms),
            max_body: config.max_body_bytes,
        })
    }

    /// Whether an address may be called, as far as can be told without looking its name up: that is done for every call.
    ///
    /// # Errors
    /// Why not.
    pub fn check(&self, url: &str) -> Result<(), NetError> {
        let url = Url::parse(url).map_err(|e| NetError::Invalid(format!("bad address: {e}")))?;
        self.policy.check_url(&url).map_err(NetError::Refused)
    }

    /// Sends a request and reads the whole answer. Any status is an answer.
    ///
    /// # Errors
    /// When there was no answer; the error says how far the request got.
    pub async fn call(&self, request: Request) -> Result<Response, NetError> {
        let seen = Seen::start(&request);
        let limit = request.timeout.unwrap_or(self.timeout);
        let most = request.max_body.unwrap_or(self.max_body);
        let sent = Sent::default();
        let whole = async {
            let response = self.send(request, &sent).await?;
            read_whole(response, most).await
        };
        let result = match tokio::time::timeout(limit, whole).await {
            Ok(result) => result,
            Err(_) if sent.get() => Err(NetError::TimeoutAfter),
            Err(_) => Err(NetError::TimeoutBefore),
        };
        seen.end(result.as_ref().map(|r| r.status));
        result
    }

    /// Sends a request and hands over the answer as soon as its head is there. The time limit holds for the head and then
    /// between two pieces, so that a large file may take its time.
    ///
    /// # Errors
    /// When there was no answer, or it announces more than the size limit.
    pub async fn download(&self, request: Request) -> Result<Download, NetError> {
        let seen = Seen::start(&request);
        let idle = request.timeout.unwrap_or(self.timeout);
        let limit = request.max_body.unwrap_or(self.max_body);
        let sent = Sent::default();
        let result = match tokio::time::timeout(idle, self.send(request, &sent)).await {
            Ok(result) => result.and_then(|response| check_announced(response, limit)),
            Err(_) if sent.get() => Err(NetError::TimeoutAfter),
            Err(_) => Err(NetError::TimeoutBefore),
        };
        seen.end(result.as_ref().map(reqwest::Response::status));
        result.map(|mut response| Download {
            status: response.status(),
            headers: std::mem::take(response.headers_mut()),
            response,
            left: limit,
            limit,
            idle,
        })
    }

    async fn send(&self, request: Request, sent: &Sent) -> Result<reqwest::Response, NetError> {
        let mut url = Url::parse(&request.url).map_err(|e| NetError::Invalid(format!("bad address: {e}")))?;
        let safe = matches!(request.method, Method::GET | Method::HEAD);
        let client = if request.http2 { &self.http2 } else { &self.client };
        let Request { method, mut headers, content, redirects, .. } = request;
        let mut response = self.hop(client, &method, url.clone(), headers.clone(), content, sent).await?;
        let mut hops = 0;
        while safe && redirects > 0 && response.status().is_redirection() {
            let Some(next) = next_hop(&url, &response)? else { break };
            hops += 1;
            if hops > redirects {
                return Err(NetError::Redirect(format!("more than {redirects}")));
            }
            if next.origin() != url.origin() {
                headers.remove(AUTHORIZATION);
                headers.remove(COOKIE);
            }
            url = next;
            response = self.hop(client, &method, url.clone(), headers.clone(), Content::Empty, sent).await?;
        }
        Ok(response)
    }

    async fn hop(
        &self,
        client: &reqwest::Client,
        method: &Method,
        url: Url,
        headers: HeaderMap,
        content: Content,
        sent: &Sent,
    ) -> Result<reqwest::Response, NetError> {
        self.policy.check_url(&url).map_err(NetError::Refused)?;
        let builder = client.request(method.clone(), url).headers(headers);
        let builder = match content {
            Content::Empty => builder,
            Content::Bytes(bytes) => builder.body(bytes),
            Content::Stream(body) => builder.body(body),
            Content::Multipart(form) => builder.multipart(form),
        };
        let mut request = builder.build().map_err(|e| fault::read(&e, false))?;
        match request.body_mut().take() {
            Some(body) if hyper::body::Body::size_hint(&body).exact() != Some(0) => {
                *request.body_mut() = Some(Tracked::wrap(body, sent.clone()));
            }
            // Without a body nothing reports when it leaves: it counts as sent from here on.
            empty => {
                *request.body_mut() = empty;
                sent.set();
            }
        }
        client.execute(request).await.map_err(|e| fault::read(&e, sent.get()))
    }
}

/// Where a redirect leads, `None` when it is not one to follow (304 and the like).
fn next_hop(from: &Url, response: &reqwest::Response) -> Result<Option<Url>, NetError> {
    if !matches!(response.status().as_u16(), 301 | 302 | 303 | 307 | 308) {
        return Ok(None);
    }
    let target = response.headers().get(LOCATION).and_then(|v| v.to_str().ok());
    let next = target
        .and_then(|t| from.join(t).ok())
        .ok_or_else(|| NetError::Redirect("without a readable target".to_owned()))?;
    if from.scheme() == "https" && next.scheme() != "https" {
        return Err(NetError::Redirect("from https to http".to_owned()));
    }
    Ok(Some(next))
}

fn check_announced(response: reqwest::Response, limit: usize) -> Result<reqwest::Response, NetError> {
    let announced = response.headers().get(CONTENT_LENGTH).and_then(|v| v.to_str().ok()?.parse::<u64>().ok());
    match announced {
        Some(length) if length > limit as u64 => Err(NetError::TooLarge { limit }),
        _ => Ok(response),
    }
}

async fn read_whole(response: reqwest::Response, limit: usize) -> Result<Response, NetError> {
    let mut response = check_announced(response, limit)?;
    let status = response.status();
    let headers = std::mem::take(response.headers_mut());
    let mut pieces = BytesMut::new();
    let mut single: Option<Bytes> = None;
    while let Some(piece) = response.chunk().await.map_err(|e| fault::read(&e, true))? {
        if pieces.len() + single.as_ref().map_or(0, Bytes::len) + piece.len() > limit {
            return Err(NetError::TooLarge { limit });
        }
        // Most answers come in one piece, which then needn't be copied.
        match single.take() {
            None if pieces.is_empty() => single = Some(piece),
            None => pieces.extend_from_slice(&piece),
            Some(first) => {
                pieces.extend_from_slice(&first);
                pieces.extend_from_slice(&piece);
            }
        }
    }
    Ok(Response { status, headers, body: single.unwrap_or_else(|| pieces.freeze()) })
}

fn describe(error: &reqwest::Error) -> String {
    let mut text = error.to_string();
    let mut next = std::error::Error::source(error);
    while let Some(error) = next {
        text = format!("{text}: {error}");
        next = error.source();
    }
    text
}

/// Looks names up and lets through only addresses that the policy allows.
#[derive(Debug)]
struct Guarded(Arc<Policy>);

impl Resolve for Guarded {
    fn resolve(&self, name: Name) -> Resolving {
        let policy = self.0.clone();
        Box::pin(async move {
            let found = tokio::net::lookup_host((name.as_str(), 0)).await?;
            let mut refused = None;
            let mut allowed = Vec::new();
            for address in found {
                match policy.check_resolved(name.as_str(), address.ip()) {
                    Ok(()) => allowed.push(address),
                    Err(why) => refused = Some(why),
                }
            }
            match refused {
                Some(why) if allowed.is_empty() => Err(RefusedAddress(why).into()),
                _ => Ok(Box::new(allowed.into_iter()) as Addrs),
            }
        })
    }
}

/// Counts a call.
struct Seen {
    target: std::borrow::Cow<'static, str>,
    start: Instant,
}

impl Seen {
    fn start(request: &Request) -> Self {
        Self { target: request.target.clone(), start: Instant::now() }
    }

    fn end(self, result: Result<StatusCode, &NetError>) {
        let outcome = match result {
            Ok(status) => match status.as_u16() / 100 {
                1 => "1xx",
                2 => "2xx",
                3 => "3xx",
                4 => "4xx",
                _ => "5xx",
            },
            Err(error) => {
                tracing::debug!(target: "ponte::net", to = %self.target, code = error.code(), "call failed");
                error.code()
            }
        };
        let seconds = self.start.elapsed().as_secs_f64();
        metrics::counter!("ponte_egress_requests_total", "target" => self.target.clone(), "outcome" => outcome)
            .increment(1);
        metrics::histogram!("ponte_egress_request_seconds", "target" => self.target).record(seconds);
    }
}
