//! One call to Salesforce: turn within the limits, the day's allowance, breaker, session, request, answer or classified error.
//! Failure story: a refused session is answered by one new one and one more try (a refused call did nothing); all else is the
//! caller's.

use super::allowance::{Day, usage};
use super::auth::{self, Grant, SharedSession};
use super::config::SalesforceConfig;
use super::errors::{self, Effect};
use super::soql::MOST_ADDRESS;
use crate::pace::{Pacer, Window};
use crate::percent::percent;
use http::{HeaderName, HeaderValue, Method};
use ponte_domain::crm::CrmBudget;
use ponte_domain::error::{CallError, ErrorClass, ThrottleScope};
use ponte_domain::{Millis, SECOND};
use ponte_net::{
    Breaker, Clock, Egress, NetError, RefreshingToken, Request, Response, TokenSource, classify_read,
    classify_transport,
};
use secrecy::SecretString;
use serde_json::Value;
use std::sync::PoisonError;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;
use tokio::sync::Semaphore;

/// The largest answer, bytes: a page of 2,000 records with some hundred fields.
const MOST_BODY: usize = 64 << 20;

/// What is asked of Salesforce.
#[derive(Debug, Clone, Copy)]
pub(super) struct Ask<'a> {
    pub(super) method: &'a Method,
    /// What follows `/services/data/vNN.0`, from the slash on.
    pub(super) path: &'a str,
    pub(super) body: Option<&'a Value>,
    pub(super) effect: Effect,
}

/// Records of a query, and whether there are more.
#[derive(Debug)]
pub(super) struct Found {
    pub(super) records: Vec<Value>,
    pub(super) done: bool,
}

pub(super) struct Client {
    pub(super) config: SalesforceConfig,
    egress: Egress,
    tokens: RefreshingToken<Grant>,
    session: SharedSession,
    breaker: Breaker,
    calls: Pacer,
    places: Semaphore,
    day: Day,
    clock: Clock,
    made: AtomicU64,
}

impl Client {
    pub(super) fn new(config: SalesforceConfig, egress: Egress, clock: Clock) -> Self {
        let (tokens, session) = auth::source(&config, &egress, &clock);
        let window = Window::new(config.calls_per_second.max(1).saturating_mul(10), 100, 10 * SECOND);
        Self {
            tokens,
            session,
            breaker: Breaker::new("salesforce", config.breaker, clock.clone()),
            calls: Pacer::new(window, config.max_wait_ms, clock.clone()),
            places: Semaphore::new(config.concurrent.clamp(1, 100)),
            day: Day::new(config.budget_percent),
            config,
            egress,
            clock,
            made: AtomicU64::new(0),
        }
    }

    pub(super) fn now(&self) -> Millis {
        (self.clock)()
    }

    /// The token that is held is no longer ours.
    pub(super) fn reauthorised(&self) {
        self.tokens.forget();
    }

    /// Calls made and left.
    pub(super) fn budget(&self) -> CrmBudget {
        let (limit, remaining, held) = self.day.shown(self.now());
        let held_until = held.max(self.calls.held_until());
        CrmBudget { calls: self.made.load(Ordering::Relaxed), limit, remaining, held_until }
    }

    /// The user whom the app runs as, once a session is there.
    pub(super) async fn user(&self) -> Result<Option<String>, CallError> {
        self.tokens.token().await?;
        Ok(self.session.lock().unwrap_or_else(PoisonError::into_inner).user.clone())
    }

    /// A session that should be good.
    pub(super) async fn token(&self) -> Result<SecretString, CallError> {
        self.tokens.token().await
    }

    /// Says that a session was refused. True when the next may be taken.
    pub(super) fn refused(&self, token: &SecretString) -> bool {
        self.tokens.invalidate(token)
    }

    pub(super) const fn door(&self) -> &Egress {
        &self.egress
    }

    /// Where the API is, and the org's record id; known once there was a session.
    pub(super) fn instance_and_org(&self) -> (String, String) {
        let session = self.session.lock().unwrap_or_else(PoisonError::into_inner);
        let instance = self.config.instance_url.clone().or_else(|| session.instance.clone());
        (instance.unwrap_or_else(|| self.config.login_url.clone()), session.org.clone().unwrap_or_default())
    }

    pub(super) async fn get(&self, path: &str) -> Result<Value, CallError> {
        self.call(Ask { method: &Method::GET, path, body: None, effect: Effect::Repeatable }).await
    }

    pub(super) async fn post(&self, path: &str, body: &Value, effect: Effect) -> Result<Value, CallError> {
        self.call(Ask { method: &Method::POST, path, body: Some(body), effect }).await
    }

    /// Carries a query out; its first page. `deleted`: what lies in the recycle bin, too.
    pub(super) async fn query(&self, soql: &str, deleted: bool) -> Result<Found, CallError> {
        let path = format!("/{}?q={}", if deleted { "queryAll" } else { "query" }, percent(soql));
        if path.len() > MOST_ADDRESS {
            let title = "more fields than a query can hold: name fewer";
            return Err(CallError::new(ErrorClass::Configuration, "fields_invalid", title));
        }
        let mut answer = self.get(&path).await?;
        let done = answer.get("done").and_then(Value::as_bool).unwrap_or(true);
        match answer.get_mut("records").map(Value::take) {
            Some(Value::Array(records)) => Ok(Found { records, done }),
            _ => Err(unreadable(Effect::Repeatable)),
        }
    }

    /// Calls; any 2xx is an answer, its body read as JSON (`null` when empty).
    pub(super) async fn call(&self, ask: Ask<'_>) -> Result<Value, CallError> {
        self.read(ask, self.answer(ask).await?)
    }

    /// The answer, whatever its status.
    pub(super) async fn answer(&self, ask: Ask<'_>) -> Result<Response, CallError> {
        let token = self.tokens.token().await?;
        let response = self.once(ask, &token).await?;
        if response.status.as_u16() == 401 && self.tokens.invalidate(&token) {
            let token = self.tokens.token().await?;
            return self.once(ask, &token).await;
        }
        Ok(response)
    }

    async fn once(&self, ask: Ask<'_>, token: &SecretString) -> Result<Response, CallError> {
        self.calls.turn().await.map_err(waits_for_turn)?;
        let wait = Duration::from_millis(self.config.max_wait_ms.max(1).unsigned_abs());
        let Ok(Ok(_place)) = tokio::time::timeout(wait, self.places.acquire()).await else {
            return Err(waits_for_turn(SECOND));
        };
        let _open = self.day.take(self.now()).map_err(|ms| {
            let class = ErrorClass::Throttled { scope: ThrottleScope::Account, after_ms: Some(ms) };
            CallError::new(class, "budget", "Ponte's share of the org's API calls of 24 hours is used up")
        })?;
        let permit = self.breaker.admit().map_err(|ms| {
            let class = ErrorClass::Retryable { after_ms: Some(ms) };
            let title = "Salesforce has failed several times in a row: waiting before the next try";
            CallError::new(class, "breaker_open", title)
        })?;
        self.made.fetch_add(1, Ordering::Relaxed);
        match self.send(ask, token).await {
            Ok(response) => {
                if response.status.is_server_error() {
                    permit.failure();
                } else {
                    permit.success();
                }
                if let Some((used, limit)) = response.header("sforce-limit-info").and_then(usage) {
                    self.day.told(used, limit);
                }
                Ok(response)
            }
            Err(error) => {
                if !matches!(error, NetError::Refused(_) | NetError::Invalid(_)) {
                    permit.failure();
                }
                Err(match ask.effect {
                    Effect::Repeatable => classify_read(&error),
                    Effect::Creates => classify_transport(&error),
                })
            }
        }
    }

    async fn send(&self, ask: Ask<'_>, token: &SecretString) -> Result<Response, NetError> {
        let (base, _) = self.instance_and_org();
        let url = format!("{}/services/data/v{}{}", base.trim_end_matches('/'), self.config.api_version, ask.path);
        let mut request = Request::new("salesforce", ask.method.clone(), url)
            .bearer(token)?
            .timeout(Duration::from_millis(self.config.request_timeout_ms))
            .max_body(MOST_BODY);
        if self.config.duplicates == super::config::SalesforceDuplicates::Save {
            let name = HeaderName::from_static("sforce-duplicate-rule-header");
            request = request.header(name, HeaderValue::from_static("allowSave=true"));
        }
        let request = match ask.body {
            Some(body) => request.json(body)?,
            None => request,
        };
        self.egress.call(request).await
    }

    fn read(&self, ask: Ask<'_>, response: Response) -> Result<Value, CallError> {
        let status = response.status.as_u16();
        let body = if response.body.is_empty() { Ok(Value::Null) } else { response.json::<Value>() };
        if !response.status.is_success() {
            let error = errors::of_answer(status, &body.unwrap_or(Value::Null), ask.effect);
            self.obey(&error);
            return Err(error);
        }
        body.map_err(|_| unreadable(ask.effect).with_status(status))
    }

    /// Holds back the calls that a limit speaks of.
    fn obey(&self, error: &CallError) {
        let ErrorClass::Throttled { after_ms: Some(ms), .. } = error.class else { return };
        tracing::warn!(target: "ponte::crm", crm = "salesforce", code = %error.code, after_ms = ms, "limit reached");
        if ms > 60 * SECOND {
            self.day.spent(self.now());
        } else {
            self.calls.hold(ms);
        }
    }
}

pub(super) fn unreadable(effect: Effect) -> CallError {
    CallError::new(effect.failure(), "answer_unreadable", "Salesforce's answer doesn't have the form expected")
}

fn waits_for_turn(ms: Millis) -> CallError {
    let class = ErrorClass::Throttled { scope: ThrottleScope::Account, after_ms: Some(ms) };
    CallError::new(class, "pace", "as many calls as this connection may make are under way")
}
