//! One call to a described CRM: turn within the limits, breaker, signing in, request, answer or classified error.
//! Failure story: a refused sign-in is answered by one new session and one more try (a refused call did nothing); all else is the
//! caller's.

use super::auth::{Draft, Signer};
use super::config::Operation;
use super::errors::{Effect, Told, date_of};
use super::paging::{Page, origin};
use super::plan::Plan;
use super::template::Purpose;
use crate::pace::{Pacer, Window};
use crate::percent::percent;
use http::header::{CONTENT_TYPE, HeaderName, HeaderValue};
use http::{HeaderMap, Method};
use ponte_domain::crm::CrmBudget;
use ponte_domain::error::{CallError, ErrorClass, ThrottleScope};
use ponte_domain::{Millis, SECOND};
use ponte_net::{Breaker, Clock, Egress, NetError, Request, Response, classify_read, classify_transport};
use serde_json::Value;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};
use std::time::Duration;
use tokio::sync::Semaphore;

/// What was answered.
#[derive(Debug, Clone, Default)]
pub(super) struct Answer {
    pub(super) body: Value,
    /// The header `Link`.
    pub(super) link: Option<String>,
}

pub(super) struct Client {
    pub(super) plan: Arc<Plan>,
    egress: Egress,
    signer: Signer,
    breaker: Breaker,
    calls: Pacer,
    at_once: Semaphore,
    clock: Clock,
    made: AtomicU64,
    /// How far the CRM's clock is before ours, milliseconds, as its answers' dates tell.
    ahead: AtomicI64,
}

impl Client {
    pub(super) fn new(plan: Arc<Plan>, egress: Egress, clock: Clock) -> Self {
        let config = &plan.config;
        let window = Window::new(config.calls, 100, config.per_ms);
        Self {
            signer: Signer::new(&plan, &egress, &clock),
            breaker: Breaker::new("http", config.breaker, clock.clone()),
            calls: Pacer::new(window, config.max_wait_ms, clock.clone()),
            at_once: Semaphore::new(config.at_once),
            plan,
            egress,
            clock,
            made: AtomicU64::new(0),
            ahead: AtomicI64::new(0),
        }
    }

    pub(super) fn now(&self) -> Millis {
        (self.clock)()
    }

    /// The CRM's clock, microseconds; a second behind, for its dates have no more.
    pub(super) fn crm_now_us(&self) -> i64 {
        (self.now() + self.ahead.load(Ordering::Relaxed) - SECOND).saturating_mul(1_000)
    }

    /// Calls made.
    pub(super) fn budget(&self) -> CrmBudget {
        CrmBudget {
            calls: self.made.load(Ordering::Relaxed),
            held_until: self.calls.held_until(),
            ..CrmBudget::default()
        }
    }

    /// Calls an operation. `page`: a link of the page before takes the place of path and query.
    pub(super) async fn call(
        &self,
        name: &str,
        operation: &Operation,
        context: &Value,
        page: &Page,
        effect: Effect,
    ) -> Result<Answer, CallError> {
        let draft = self.draft(name, operation, context, page)?;
        let sign = self.signer.sign(&draft, self.now()).await?;
        match self.once(operation, &draft, &sign, effect).await {
            Err(error) if error.class == ErrorClass::Auth && self.signer.renews(&sign) => {
                let sign = self.signer.sign(&draft, self.now()).await?;
                self.once(operation, &draft, &sign, effect).await
            }
            result => result,
        }
    }

    fn draft(&self, name: &str, operation: &Operation, context: &Value, page: &Page) -> Result<Draft, CallError> {
        let config = &self.plan.config;
        let templates = &self.plan.templates;
        let text = |name: &str| templates.render(name, Purpose::Text, context);
        let target = match page {
            Page::Link(link) => format!("{}{link}", origin(&config.base_url).unwrap_or_default()),
            _ => {
                let path = templates.render(name, Purpose::Path, context)?;
                let mut url = format!("{}{path}", config.base_url.trim_end_matches('/'));
                let mut query = Vec::new();
                for key in operation.query.keys() {
                    query.push((key.as_str(), text(&format!("{name}.query.{key}"))?));
                }
                let query = encoded(query.iter().filter(|(_, value)| !value.is_empty()));
                if !query.is_empty() {
                    url.push(if url.contains('?') { '&' } else { '?' });
                    url.push_str(&query);
                }
                url
            }
        };
        let mut headers = HeaderMap::new();
        for key in config.headers.keys() {
            put(&mut headers, key, &text(&format!("headers.{key}"))?)?;
        }
        for key in operation.headers.keys() {
            put(&mut headers, key, &text(&format!("{name}.header.{key}"))?)?;
        }
        let body = match (&operation.body, &operation.form) {
            (Some(_), _) => Some(("application/json", templates.render(name, Purpose::Json, context)?)),
            (None, Some(form)) => {
                let mut fields = Vec::new();
                for key in form.keys() {
                    fields.push((key.as_str(), text(&format!("{name}.form.{key}"))?));
                }
                let form = encoded(fields.iter().filter(|(_, value)| !value.is_empty()));
                Some(("application/x-www-form-urlencoded", form))
            }
            (None, None) => None,
        };
        let method = Method::from_bytes(operation.method.to_ascii_uppercase().as_bytes()).unwrap_or(Method::GET);
        Ok(Draft { method, url: target, headers, body })
    }

    async fn once(
        &self,
        operation: &Operation,
        draft: &Draft,
        sign: &super::auth::Sign,
        effect: Effect,
    ) -> Result<Answer, CallError> {
        let Ok(_place) = self.at_once.acquire().await else { return Err(waits(SECOND)) };
        self.calls.turn().await.map_err(waits)?;
        let permit = self.breaker.admit().map_err(|ms| {
            let title = "the CRM has failed several times in a row: waiting before the next try";
            CallError::new(ErrorClass::Retryable { after_ms: Some(ms) }, "breaker_open", title)
        })?;
        self.made.fetch_add(1, Ordering::Relaxed);
        match self.egress.call(self.request(draft, sign)).await {
            Ok(response) => {
                if response.status.is_server_error() {
                    permit.failure();
                } else {
                    permit.success();
                }
                self.read(operation, &response, effect)
            }
            Err(error) => {
                if !matches!(error, NetError::Refused(_) | NetError::Invalid(_)) {
                    permit.failure();
                }
                Err(match effect {
                    Effect::Repeatable => classify_read(&error),
                    Effect::Creates => classify_transport(&error),
                })
            }
        }
    }

    fn request(&self, draft: &Draft, sign: &super::auth::Sign) -> Request {
        let url = match &sign.query {
            Some(query) => format!("{}{}{query}", draft.url, if draft.url.contains('?') { '&' } else { '?' }),
            None => draft.url.clone(),
        };
        let mut request = Request::new("http", draft.method.clone(), url)
            .timeout(Duration::from_millis(self.plan.config.request_timeout_ms));
        if let Some((kind, body)) = &draft.body {
            request = request.body(kind, body.clone());
        }
        let own = draft.headers.iter().map(|(name, value)| (name.clone(), value.clone()));
        let own = own.filter(|(name, _)| name != CONTENT_TYPE || draft.body.is_some());
        for (name, value) in own.chain(sign.headers.iter().cloned()) {
            request = request.header(name, value);
        }
        request
    }

    fn read(&self, operation: &Operation, response: &Response, effect: Effect) -> Result<Answer, CallError> {
        let now = self.now();
        if let Some(date) = response.header("date").and_then(date_of) {
            self.ahead.store(date - now, Ordering::Relaxed);
        }
        let status = response.status.as_u16();
        let success = match operation.success.as_slice() {
            [] => response.status.is_success(),
            some => some.contains(&status),
        };
        let empty = response.body.iter().all(u8::is_ascii_whitespace);
        let body = if empty { Ok(Value::Null) } else { response.json::<Value>() };
        let known = body.as_ref().unwrap_or(&Value::Null);
        let told = Told { status, success, retry_after: response.header("retry-after"), now, body: known };
        if let Some(error) = self.plan.error_of(told, effect) {
            if let ErrorClass::Throttled { after_ms: Some(ms), .. } = error.class {
                tracing::warn!(target: "ponte::crm", crm = "http", code = %error.code, after_ms = ms, "limit reached");
                self.calls.hold(ms);
            }
            return Err(error);
        }
        let link = response.header("link").map(str::to_owned);
        body.map(|body| Answer { body, link }).map_err(|_| {
            let class = match effect {
                Effect::Repeatable => ErrorClass::Retryable { after_ms: None },
                Effect::Creates => ErrorClass::UnknownOutcome,
            };
            CallError::new(class, "answer_unreadable", "the CRM's answer is not JSON").with_status(status)
        })
    }
}

/// `a=1&b=2`, percent-encoded as forms are.
pub(super) fn encoded<'a>(pairs: impl Iterator<Item = &'a (&'a str, String)>) -> String {
    pairs.map(|(name, value)| format!("{}={}", percent(name), percent(value))).collect::<Vec<_>>().join("&")
}

/// Puts a header in; what comes out empty is left out.
pub(super) fn put(headers: &mut HeaderMap, name: &str, value: &str) -> Result<(), CallError> {
    if value.is_empty() {
        return Ok(());
    }
    let name = HeaderName::from_bytes(name.as_bytes()).map_err(|_| bad_header(name))?;
    let value = HeaderValue::from_str(value).map_err(|_| bad_header(name.as_str()))?;
    headers.insert(name, value);
    Ok(())
}

fn bad_header(name: &str) -> CallError {
    let title = "a header's value holds characters that a header can't carry";
    CallError::new(ErrorClass::Configuration, "header", title).with_detail(name)
}

fn waits(ms: Millis) -> CallError {
    let class = ErrorClass::Throttled { scope: ThrottleScope::Account, after_ms: Some(ms) };
    CallError::new(class, "budget", "the CRM's limit of calls is used up for the moment")
}
