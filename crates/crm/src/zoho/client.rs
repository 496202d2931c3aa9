//! One call to Zoho CRM: place and credits within the limits, breaker, token, request, answer or classified error.
//! Failure story: a 401 is tried once more with the same token, for now and then a good token is refused; when it is refused
//! again, a new one is got, as long as Zoho gives some. A refused call did nothing. All else is the caller's.

use super::auth::{MARGIN, OAuth, TokenKeeper, TokenState};
use super::budget::{Credits, Price};
use super::config::{API_VERSION, ZohoConfig};
use super::errors::{self, Effect};
use http::header::HeaderName;
use http::{HeaderValue, Method};
use jiff::Timestamp;
use ponte_domain::crm::CrmBudget;
use ponte_domain::error::{CallError, ErrorClass, ThrottleScope};
use ponte_domain::{Millis, SECOND};
use ponte_net::{
    Breaker, Clock, Egress, NetError, RefreshingToken, Request, Response, TokenSource, classify_read,
    classify_transport,
};
use secrecy::SecretString;
use serde_json::Value;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio::sync::{Semaphore, SemaphorePermit};

/// Heavy calls at the same time (Zoho: 10 for an organisation, whatever its edition).
const HEAVY: u32 = 10;
/// Refusals in a row, without a success between, after which a token counts as dead; with few tokens left to ask for, more.
const DEAD_AFTER: [u32; 2] = [2, 10];
/// Access tokens asked for lately from which on few are left.
const FEW_LEFT: usize = 5;

/// Without a limit met for so long, one more call at the same time is tried.
const FASTER_AFTER: Millis = 30 * SECOND;

/// What is asked of Zoho.
#[derive(Debug, Clone, Copy)]
pub(super) struct Ask<'a> {
    pub(super) method: &'a Method,
    /// From the slash after the version on, query included.
    pub(super) path: &'a str,
    pub(super) body: Option<&'a Value>,
    pub(super) effect: Effect,
    pub(super) price: Price,
    /// `If-Modified-Since`.
    pub(super) since: Option<Millis>,
}

pub(super) struct Client {
    pub(super) config: ZohoConfig,
    egress: Egress,
    tokens: RefreshingToken<OAuth>,
    token_state: Arc<TokenState>,
    breaker: Breaker,
    credits: Mutex<Credits>,
    places: Semaphore,
    heavy: Semaphore,
    pace: Mutex<Pace>,
    clock: Clock,
    /// Tokens refused in a row.
    refused: AtomicU32,
}

impl Client {
    pub(super) fn new(config: ZohoConfig, egress: Egress, clock: Clock, keeper: Arc<dyn TokenKeeper>) -> Self {
        let token_state = Arc::new(TokenState::new(&config.api_url));
        let oauth = OAuth::new(&config, &egress, &clock, keeper, Arc::clone(&token_state));
        let places = config.concurrency.max(1);
        Self {
            tokens: RefreshingToken::new(oauth, MARGIN, clock.clone()),
            token_state,
            breaker: Breaker::new("zoho", config.breaker, clock.clone()),
            credits: Mutex::new(Credits::new(config.credits_per_day, config.budget_percent)),
            places: Semaphore::new(places as usize),
            pace: Mutex::new(Pace { most: places, lowered: 0, changed_at: clock() }),
            heavy: Semaphore::new(places.min(HEAVY) as usize),
            config,
            egress,
            clock,
            refused: AtomicU32::new(0),
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
        self.credits(Credits::report)
    }

    pub(super) async fn get(&self, path: &str, price: Price) -> Result<Value, CallError> {
        self.get_since(path, price, None).await
    }

    /// `null` when nothing changed since.
    pub(super) async fn get_since(&self, path: &str, price: Price, since: Option<Millis>) -> Result<Value, CallError> {
        let ask = Ask { method: &Method::GET, path, body: None, effect: Effect::Repeatable, price, since };
        self.call(ask).await
    }

    pub(super) async fn send_body(
        &self,
        method: &Method,
        path: &str,
        body: &Value,
        effect: Effect,
        price: Price,
    ) -> Result<Value, CallError> {
        self.call(Ask { method, path, body: Some(body), effect, price, since: None }).await
    }

    /// Calls; rows are an answer whatever the status says, `null` is an empty one.
    async fn call(&self, ask: Ask<'_>) -> Result<Value, CallError> {
        let token = self.tokens.token().await?;
        let mut error = match self.once(ask, &token).await {
            Err(error) if error.class == ErrorClass::Auth => error,
            result => return result,
        };
        let before = self.refused.load(Ordering::Relaxed);
        if before < self.dead_after() {
            match self.once(ask, &token).await {
                Err(again) if again.class == ErrorClass::Auth => error = again,
                result => return result,
            }
        }
        if self.refused.load(Ordering::Relaxed) < self.dead_after() {
            return Err(not_dead_yet(error));
        }
        if !self.tokens.invalidate(&token) {
            // It took the place of a refused one a moment ago: refreshing is no cure, but it may be chance still.
            let [_, many] = DEAD_AFTER;
            return Err(if self.refused.load(Ordering::Relaxed) < many { not_dead_yet(error) } else { error });
        }
        let token = self.tokens.token().await?;
        match self.once(ask, &token).await {
            Err(again) if again.class == ErrorClass::Auth => self.once(ask, &token).await,
            result => result,
        }
    }

    fn dead_after(&self) -> u32 {
        let [plenty, few] = DEAD_AFTER;
        if self.token_state.asked_lately(self.now()) < FEW_LEFT { plenty } else { few }
    }

    async fn once(&self, ask: Ask<'_>, token: &SecretString) -> Result<Value, CallError> {
        let _heavy = if ask.price.heavy { Some(self.place(&self.heavy).await?) } else { None };
        let place = self.place(&self.places).await?;
        let result = self.with_a_place(ask, token).await;
        let now = self.now();
        let mut pace = self.pace.lock().unwrap_or_else(PoisonError::into_inner);
        match &result {
            // All of Zoho's places were taken, by others too: one less of them is ours.
            Err(error) if error.http_status == Some(429) && pace.slower(now) => place.forget(),
            Ok(_) if pace.faster(now) => self.places.add_permits(1),
            _ => {}
        }
        result
    }

    async fn with_a_place(&self, ask: Ask<'_>, token: &SecretString) -> Result<Value, CallError> {
        let paid = self.pay(ask.price).await?;
        let permit = match self.breaker.admit() {
            Ok(permit) => permit,
            Err(ms) => {
                paid.ended(None, true);
                let class = ErrorClass::Retryable { after_ms: Some(ms) };
                let title = "Zoho has failed several times in a row: waiting before the next try";
                return Err(CallError::new(class, "breaker_open", title));
            }
        };
        match self.send(ask, token).await {
            Ok(response) => {
                if response.status.is_server_error() {
                    permit.failure();
                } else {
                    permit.success();
                }
                self.read(ask, &response, paid)
            }
            Err(error) => {
                if !matches!(error, NetError::Refused(_) | NetError::Invalid(_)) {
                    permit.failure();
                }
                paid.ended(None, error.nothing_sent());
                Err(match ask.effect {
                    Effect::Repeatable => classify_read(&error),
                    Effect::Creates => classify_transport(&error),
                })
            }
        }
    }

    async fn place<'a>(&self, places: &'a Semaphore) -> Result<SemaphorePermit<'a>, CallError> {
        let patience = Duration::from_millis(self.config.max_wait_ms.unsigned_abs());
        match tokio::time::timeout(patience, places.acquire()).await {
            Ok(Ok(permit)) => Ok(permit),
            _ => Err(waits(SECOND, "places", "all calls that Zoho takes at the same time are under way")),
        }
    }

    /// Takes the credits of a call, after a wait when it is short.
    async fn pay(&self, price: Price) -> Result<Paid<'_>, CallError> {
        let came_at = self.now();
        loop {
            let wait = match self.credits(|credits, now| credits.take(now, price)) {
                Ok(()) => return Ok(Paid { client: self, price, open: true }),
                Err(wait) => wait,
            };
            if self.now() - came_at + wait > self.config.max_wait_ms {
                return Err(waits(wait, "budget", "Zoho's credits are used up, or it asked for fewer calls"));
            }
            tokio::time::sleep(Duration::from_millis(wait.unsigned_abs())).await;
        }
    }

    async fn send(&self, ask: Ask<'_>, token: &SecretString) -> Result<Response, NetError> {
        let url = format!("{}/crm/{API_VERSION}{}", self.token_state.api_url(), ask.path);
        let mut request = Request::new("zoho", ask.method.clone(), url)
            .authorization("Zoho-oauthtoken", token)?
            .timeout(Duration::from_millis(self.config.request_timeout_ms));
        if let Some(since) = ask.since.and_then(|at| HeaderValue::from_str(&iso(at)).ok()) {
            request = request.header(HeaderName::from_static("if-modified-since"), since);
        }
        let request = match ask.body {
            Some(body) => request.json(body)?,
            None => request,
        };
        self.egress.call(request).await
    }

    fn read(&self, ask: Ask<'_>, response: &Response, paid: Paid<'_>) -> Result<Value, CallError> {
        let status = response.status.as_u16();
        let left = response.header("x-api-credits-remaining").and_then(|v| v.trim().parse::<i64>().ok());
        paid.ended(left, matches!(status, 401 | 429));
        if status < 400 {
            self.credits(|credits, _| credits.went_through());
        }
        let body = if response.body.is_empty() { Ok(Value::Null) } else { response.json::<Value>() };
        if response.status.is_success() || status == 304 {
            self.refused.store(0, Ordering::Relaxed);
            return body.map_err(|_| {
                let title = "Zoho's answer is not JSON";
                CallError::new(errors::after_failure(ask.effect), "answer_unreadable", title).with_status(status)
            });
        }
        let body = body.unwrap_or(Value::Null);
        if status == 400 && has_rows(&body) {
            return Ok(body);
        }
        let mut error = errors::of_answer(status, &body, ask.effect);
        match &mut error.class {
            ErrorClass::Auth => {
                self.refused.fetch_add(1, Ordering::Relaxed);
            }
            ErrorClass::Throttled { after_ms, .. } => {
                let pause = self.credits(|credits, now| credits.refused(now, left));
                *after_ms = Some(pause);
                tracing::warn!(target: "ponte::crm", crm = "zoho", after_ms = pause, "limit reached");
            }
            _ => self.refused.store(0, Ordering::Relaxed),
        }
        Err(error)
    }

    fn credits<T>(&self, act: impl FnOnce(&mut Credits, Millis) -> T) -> T {
        let now = self.now();
        act(&mut self.credits.lock().unwrap_or_else(PoisonError::into_inner), now)
    }
}

/// How many places are taken at most: as configured, less while limits are met.
#[derive(Debug)]
struct Pace {
    most: u32,
    lowered: u32,
    changed_at: Millis,
}

impl Pace {
    /// A limit was met: true when a place is to be given up.
    const fn slower(&mut self, now: Millis) -> bool {
        let lower = self.lowered + 1 < self.most;
        if lower {
            self.lowered += 1;
        }
        self.changed_at = now;
        lower
    }

    /// A call went through: true when a place may be taken back.
    const fn faster(&mut self, now: Millis) -> bool {
        let faster = self.lowered > 0 && now - self.changed_at >= FASTER_AFTER;
        if faster {
            self.lowered -= 1;
            self.changed_at = now;
        }
        faster
    }
}

/// Credits that were taken for a call. A call that is dropped half-way counts as spent.
struct Paid<'a> {
    client: &'a Client,
    price: Price,
    open: bool,
}

impl Paid<'_> {
    fn ended(mut self, left: Option<i64>, refused: bool) {
        self.open = false;
        self.client.credits(|credits, now| credits.ended(now, self.price, left, refused));
    }
}

impl Drop for Paid<'_> {
    fn drop(&mut self) {
        if self.open {
            self.client.credits(|credits, now| credits.ended(now, self.price, None, false));
        }
    }
}

/// True when an answer has an outcome for each row: then its status says nothing more.
fn has_rows(body: &Value) -> bool {
    body.get("code").is_none() && body.as_object().is_some_and(|fields| fields.values().any(Value::is_array))
}

/// A token that is refused while it works for others is not dead: only this call is given back.
fn not_dead_yet(mut error: CallError) -> CallError {
    error.class = ErrorClass::Retryable { after_ms: Some(SECOND) };
    error
}

fn waits(ms: Millis, code: &str, title: &str) -> CallError {
    let class = ErrorClass::Throttled { scope: ThrottleScope::Account, after_ms: Some(ms) };
    CallError::new(class, code, title)
}

/// `2026-11-23T02:30:00+00:00`: whole seconds with an offset is what Zoho takes everywhere.
pub(super) fn iso(at: Millis) -> String {
    match Timestamp::from_second(at.div_euclid(SECOND)) {
        Ok(at) => at.strftime("%Y-%m-%dT%H:%M:%S+00:00").to_string(),
        Err(_) => "1970-01-01T00:00:00+00:00".to_owned(),
    }
}

/// Epoch milliseconds of a time as Zoho writes it.
pub(super) fn moment(text: &str) -> Option<Millis> {
    text.parse::<Timestamp>().ok().map(Timestamp::as_millisecond)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn times_have_the_one_form_that_zoho_takes() {
        assert_eq!(iso(1_795_401_000_999), "2026-11-23T02:30:00+00:00");
        assert_eq!(moment("2026-11-23T08:00:00+05:30"), Some(1_795_401_000_000));
        assert_eq!(moment("yesterday"), None);
    }

    proptest! {
        #[test]
        fn there_is_always_a_place_and_never_more_than_configured(
            most in 1u32..25,
            steps in proptest::collection::vec((0i64..60_000, any::<bool>()), 0..200),
        ) {
            let mut pace = Pace { most, lowered: 0, changed_at: 0 };
            let (mut now, mut places) = (0, most);
            for (step, limit_met) in steps {
                now += step;
                if limit_met {
                    places -= u32::from(pace.slower(now));
                } else {
                    places += u32::from(pace.faster(now));
                }
                prop_assert!((1..=most).contains(&places));
            }
        }

        #[test]
        fn a_time_that_was_written_is_read_as_its_second(at in 0i64..4_000_000_000_000) {
            prop_assert_eq!(moment(&iso(at)), Some(at - at % 1_000));
        }
    }
}
