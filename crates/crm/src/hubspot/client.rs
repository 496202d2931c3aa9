//! One call to HubSpot: turn within the limits, breaker, token, request, answer or classified error.
//! Failure story: a 401 is answered by one refresh and one more try (a refused call did nothing); all else is the caller's.

use super::auth;
use super::config::HubSpotConfig;
use super::errors::{self, Effect};
use crate::pace::{self, Pacer, Window};
use http::Method;
use ponte_domain::crm::CrmBudget;
use ponte_domain::error::{CallError, ErrorClass, ThrottleScope};
use ponte_domain::{Millis, SECOND};
use ponte_net::{Breaker, Clock, Egress, NetError, Request, Response, TokenSource, classify_read, classify_transport};
use secrecy::SecretString;
use serde_json::Value;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

/// What is asked of HubSpot.
#[derive(Debug, Clone, Copy)]
pub(super) struct Ask<'a> {
    pub(super) method: &'a Method,
    /// From the slash after the host on.
    pub(super) path: &'a str,
    pub(super) body: Option<&'a Value>,
    pub(super) effect: Effect,
    /// Searches have a limit of their own.
    pub(super) search: bool,
}

pub(super) struct Client {
    pub(super) config: HubSpotConfig,
    egress: Egress,
    tokens: Box<dyn TokenSource>,
    breaker: Breaker,
    calls: Pacer,
    searches: Pacer,
    clock: Clock,
    made: AtomicU64,
    /// What the headers said last of the day: limit and rest; `u64::MAX` while they said nothing.
    day: [AtomicU64; 2],
}

impl Client {
    pub(super) fn new(config: HubSpotConfig, egress: Egress, clock: Clock) -> Self {
        let calls = Window::new(config.share(config.calls_per_10s), config.budget_percent, 10 * SECOND);
        let searches = Window::new(config.share(config.searches_per_second), config.budget_percent, SECOND);
        Self {
            tokens: auth::source(&config, &egress, &clock),
            breaker: Breaker::new("hubspot", config.breaker, clock.clone()),
            calls: Pacer::new(calls, config.max_wait_ms, clock.clone()),
            searches: Pacer::new(searches, config.max_wait_ms, clock.clone()),
            config,
            egress,
            clock,
            made: AtomicU64::new(0),
            day: [const { AtomicU64::new(u64::MAX) }; 2],
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
        let [limit, remaining] = [0, 1].map(|n| {
            let known = self.day.get(n).map_or(u64::MAX, |v| v.load(Ordering::Relaxed));
            (known != u64::MAX).then_some(known)
        });
        CrmBudget { calls: self.made.load(Ordering::Relaxed), limit, remaining, held_until: self.calls.held_until() }
    }

    /// Path of an object's endpoint: `/crm/objects/{version}/{rest}`.
    pub(super) fn objects(&self, rest: &str) -> String {
        format!("/crm/objects/{}/{rest}", self.config.api_version)
    }

    /// Path of a property endpoint: `/crm/properties/{version}/{rest}`.
    pub(super) fn properties(&self, rest: &str) -> String {
        format!("/crm/properties/{}/{rest}", self.config.api_version)
    }

    pub(super) async fn get(&self, path: &str) -> Result<Value, CallError> {
        self.call(Ask { method: &Method::GET, path, body: None, effect: Effect::Repeatable, search: false }).await
    }

    pub(super) async fn post(&self, path: &str, body: &Value, effect: Effect) -> Result<Value, CallError> {
        self.call(Ask { method: &Method::POST, path, body: Some(body), effect, search: false }).await
    }

    /// Waits until a search may be sent. Apart from [`Client::search`], so that what is searched for can be gathered meanwhile.
    pub(super) async fn search_turn(&self) -> Result<(), CallError> {
        self.searches.turn().await.map_err(waits_for_turn)
    }

    /// Searches; [`Client::search_turn`] comes first.
    pub(super) async fn search(&self, path: &str, body: &Value) -> Result<Value, CallError> {
        let effect = Effect::Repeatable;
        self.call(Ask { method: &Method::POST, path, body: Some(body), effect, search: true }).await
    }

    /// Calls; any 2xx is an answer, its body read as JSON (`null` when empty).
    async fn call(&self, ask: Ask<'_>) -> Result<Value, CallError> {
        let token = self.tokens.token().await?;
        match self.once(ask, &token).await {
            Err(error) if error.class == ErrorClass::Auth && self.tokens.invalidate(&token) => {
                let token = self.tokens.token().await?;
                self.once(ask, &token).await
            }
            result => result,
        }
    }

    async fn once(&self, ask: Ask<'_>, token: &SecretString) -> Result<Value, CallError> {
        if !ask.search {
            self.calls.turn().await.map_err(waits_for_turn)?;
        }
        let permit = self.breaker.admit().map_err(|ms| {
            let class = ErrorClass::Retryable { after_ms: Some(ms) };
            CallError::new(
                class,
                "breaker_open",
                "HubSpot has failed several times in a row: waiting before the next try",
            )
        })?;
        self.made.fetch_add(1, Ordering::Relaxed);
        match self.send(ask, token).await {
            Ok(response) => {
                if response.status.is_server_error() {
                    permit.failure();
                } else {
                    permit.success();
                }
                self.read(ask, &response)
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
        let url = format!("{}{}", self.config.base_url.trim_end_matches('/'), ask.path);
        let request = Request::new("hubspot", ask.method.clone(), url)
            .bearer(token)?
            .timeout(Duration::from_millis(self.config.request_timeout_ms));
        let request = match ask.body {
            Some(body) => request.json(body)?,
            None => request,
        };
        self.egress.call(request).await
    }
    fn read(&self, ask: Ask<'_>, response: &Response) -> Result<Value, CallError> {
        if let Some(told) = rate_headers(response) {
            self.calls.told(told);
        }
        for (name, known) in ["x-hubspot-ratelimit-daily", "x-hubspot-ratelimit-daily-remaining"].iter().zip(&self.day)
        {
            if let Some(number) = response.header(name).and_then(|v| v.trim().parse().ok()) {
                known.store(number, Ordering::Relaxed);
            }
        }
        let status = response.status.as_u16();
        let body = if response.body.is_empty() { Ok(Value::Null) } else { response.json::<Value>() };
        if !response.status.is_success() {
            let (retry_after, now) = (response.header("retry-after"), (self.clock)());
            let told = errors::Told { status, retry_after, now, time_zone: &self.config.time_zone };
            let error = errors::of_answer(told, &body.unwrap_or(Value::Null), ask.effect);
            self.obey(ask, &error);
            return Err(error);
        }
        body.map_err(|_| {
            let class = match ask.effect {
                Effect::Repeatable => ErrorClass::Retryable { after_ms: None },
                Effect::Creates => ErrorClass::UnknownOutcome,
            };
            CallError::new(class, "answer_unreadable", "HubSpot's answer is not JSON").with_status(status)
        })
    }

    /// Holds back the calls that a 429 or 477 speaks of.
    fn obey(&self, ask: Ask<'_>, error: &CallError) {
        let ErrorClass::Throttled { after_ms: Some(ms), .. } = error.class else { return };
        tracing::warn!(target: "ponte::crm", crm = "hubspot", code = %error.code, after_ms = ms, "limit reached");
        if !(ask.search && error.code == "SECONDLY") {
            self.calls.hold(ms);
        }
        if ask.search || error.code != "SECONDLY" {
            self.searches.hold(ms);
        }
    }
}

fn waits_for_turn(ms: Millis) -> CallError {
    let class = ErrorClass::Throttled { scope: ThrottleScope::Account, after_ms: Some(ms) };
    CallError::new(class, "budget", "HubSpot's limit of calls is used up for the moment")
}

fn rate_headers(response: &Response) -> Option<pace::Told> {
    let number = |name: &str| response.header(name)?.trim().parse::<u32>().ok();
    Some(pace::Told {
        max: number("x-hubspot-ratelimit-max")?,
        remaining: number("x-hubspot-ratelimit-remaining")?,
        interval_ms: number("x-hubspot-ratelimit-interval-milliseconds").map_or(10 * SECOND, Millis::from),
    })
}
