//! Posting webhooks: who is subscribed, batches, signatures, retries.
//! May touch: the receiver's address over HTTP. Must not touch: what the updates mean; `envelope` renders them.
//! Failure story: whatever is not answered with 200 is posted again with growing pauses, up to seven days. Updates wait
//! in memory and are gone when the simulator ends, as is the simulated world.

use super::config::{Config, WebhookTarget};
use super::envelope;
use super::ledger::Status;
use super::stats::Counters;
use super::world::{World, purpose};
use bytes::Bytes;
use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;
use std::collections::{HashMap, HashSet, VecDeque};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio::sync::{Notify, Semaphore};
use tokio::time::Instant;

/// One thing to tell the receiver.
#[derive(Debug, Clone)]
pub(crate) struct Update {
    pub waba: usize,
    pub number: Option<usize>,
    pub what: What,
}

#[derive(Debug, Clone)]
pub(crate) enum What {
    Status {
        index: usize,
        status: Status,
    },
    /// A customer message, rendered when it was written.
    Message {
        inbound: usize,
        person: Option<usize>,
        contact: Option<Arc<str>>,
        message: Arc<str>,
        errors: Option<Arc<str>>,
    },
    /// Any other change, its value rendered; `timed` for account-type fields.
    Change {
        field: String,
        value: Arc<str>,
        timed: Option<i64>,
        inbound: Option<usize>,
    },
}

impl Update {
    fn field(&self) -> &str {
        match &self.what {
            What::Change { field, .. } => field,
            _ => "messages",
        }
    }

    /// Roughly how many bytes it will take in a body.
    fn size(&self) -> usize {
        match &self.what {
            What::Status { .. } => 900,
            What::Message { message, contact, .. } => message.len() + contact.as_ref().map_or(0, |c| c.len()) + 300,
            What::Change { value, .. } => value.len() + 300,
        }
    }
}

/// Updates waiting to be posted.
#[derive(Debug, Default)]
pub(crate) struct Outbox {
    queue: Mutex<VecDeque<Update>>,
    wake: Notify,
    open: AtomicU64,
}

impl Outbox {
    pub fn push(&self, update: Update) {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner).push_back(update);
        self.wake.notify_one();
    }

    pub fn len(&self) -> usize {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner).len()
    }

    pub fn open_batches(&self) -> u64 {
        self.open.load(Ordering::Relaxed)
    }

    pub fn clear(&self) {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner).clear();
    }
}

/// Where a batch goes. `App` is looked up at each try, so a receiver may move while updates wait.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Route {
    App,
    Override(String),
}

/// Subscriptions and overrides.
#[derive(Debug, Default)]
pub(crate) struct Hooks {
    /// The app's callback.
    pub app: Option<WebhookTarget>,
    /// Fields the app is subscribed to; empty means all.
    pub fields: Vec<String>,
    /// Accounts the app is subscribed to.
    pub wabas: HashSet<usize>,
    /// Overrides of accounts (`messages` only).
    pub waba_overrides: HashMap<usize, String>,
    /// Overrides of numbers (`messages` only); they win.
    pub number_overrides: HashMap<usize, String>,
    accounts: usize,
}

impl Hooks {
    pub fn of(config: &Config) -> Self {
        let mut hooks = Self { accounts: config.wabas.len(), ..Self::default() };
        if config.webhook.is_some() {
            hooks.set_all(config.webhook.clone());
        }
        hooks
    }

    pub fn set_all(&mut self, target: Option<WebhookTarget>) {
        self.fields.clear();
        self.wabas = if target.is_some() { (0..self.accounts).collect() } else { HashSet::new() };
        self.app = target;
    }

    fn route(&self, update: &Update) -> Option<Route> {
        if !self.wabas.contains(&update.waba) {
            return None;
        }
        if update.field() == "messages" {
            let number = update.number.and_then(|number| self.number_overrides.get(&number));
            if let Some(url) = number.or_else(|| self.waba_overrides.get(&update.waba)) {
                return Some(Route::Override(url.clone()));
            }
        }
        let wanted = self.fields.is_empty() || self.fields.iter().any(|field| field == update.field());
        (self.app.is_some() && wanted).then_some(Route::App)
    }
}

/// `X-Hub-Signature-256` of a body: `sha256=` and the hexadecimal HMAC-SHA256 with the app secret.
#[must_use]
pub fn signature(app_secret: &str, body: &[u8]) -> String {
    let Ok(mut mac) = Hmac::<Sha256>::new_from_slice(app_secret.as_bytes()) else { return String::new() };
    mac.update(body);
    format!("sha256={}", hex::encode(mac.finalize().into_bytes()))
}

/// The verification request a receiver must answer with the challenge.
///
/// # Errors
/// What the receiver answered instead.
pub(crate) async fn verify(world: &World, target: &WebhookTarget) -> Result<(), String> {
    let challenge = (world.draw(purpose::VERIFY, world.next(purpose::VERIFY)).number() % 2_000_000_000).to_string();
    let query = [
        ("hub.mode", "subscribe"),
        ("hub.challenge", challenge.as_str()),
        ("hub.verify_token", target.verify_token.as_str()),
    ];
    let request = world.client.get(&target.url).query(&query).timeout(Duration::from_secs(10));
    let answer = request.send().await.map_err(|_| "the callback could not be reached".to_owned())?;
    let status = answer.status();
    let body = answer.text().await.unwrap_or_default();
    if status.as_u16() == 200 && body == challenge {
        return Ok(());
    }
    Err(format!("the callback answered HTTP {} and not the challenge", status.as_u16()))
}

/// Forms and posts batches until the simulator stops.
pub(crate) async fn run(world: Arc<World>) {
    let room = Arc::new(Semaphore::new(world.config.delivery.open_max.max(1)));
    loop {
        tokio::select! {
            () = world.cancel.cancelled() => return,
            () = world.outbox.wake.notified() => {}
        }
        tokio::time::sleep(Duration::from_millis(world.config.delivery.gather_ms)).await;
        loop {
            let place = tokio::select! {
                () = world.cancel.cancelled() => return,
                place = room.clone().acquire_owned() => place,
            };
            let Ok(place) = place else { return };
            let Some((route, updates)) = next_batch(&world) else { break };
            world.outbox.open.fetch_add(1, Ordering::Relaxed);
            let shared = world.clone();
            world.tasks.spawn(async move {
                deliver(&shared, route, &updates).await;
                shared.outbox.open.fetch_sub(1, Ordering::Relaxed);
                drop(place);
            });
        }
    }
}

/// The next updates for one receiver: one alone when few wait, else as many as a body may hold.
fn next_batch(world: &World) -> Option<(Route, Vec<Update>)> {
    let rules = &world.config.delivery;
    let hooks = world.hooks.read().unwrap_or_else(PoisonError::into_inner);
    let mut queue = world.outbox.queue.lock().unwrap_or_else(PoisonError::into_inner);
    let most = if queue.len() >= rules.batch_from { rules.batch_max.max(1) } else { 1 };
    let (mut chosen, mut batch, mut aside, mut bytes) = (None, Vec::new(), Vec::new(), 0);
    while batch.len() < most
        && let Some(update) = queue.pop_front()
    {
        let Some(route) = hooks.route(&update) else {
            Counters::one(&world.counters.updates_unsubscribed);
            continue;
        };
        let fits = batch.is_empty() || bytes + update.size() <= rules.body_max;
        if !fits {
            queue.push_front(update);
            break;
        }
        if *chosen.get_or_insert_with(|| route.clone()) == route {
            bytes += update.size();
            batch.push(update);
        } else {
            aside.push(update);
        }
    }
    for update in aside.into_iter().rev() {
        queue.push_front(update);
    }
    chosen.map(|route| (route, batch))
}

async fn deliver(world: &World, route: Route, updates: &[Update]) {
    let body = Bytes::from(envelope::render(world, updates));
    let right = signature(&world.config.app_secret, &body);
    let mut draw = world.draw(purpose::POST, world.next(purpose::POST));
    let rules = &world.config.delivery;
    let (begin, epoch) = (Instant::now(), world.epoch());
    let mut pause = Duration::from_millis(rules.retry_first_ms.max(1));
    loop {
        let faults = world.faults();
        let down = faults.webhooks_down(world.elapsed_ms());
        if !down && draw.happens(faults.webhook_bad_signatures) {
            let wrong = signature("not the app secret", &body);
            Counters::one(&world.counters.bad_signatures_sent);
            if post(world, &route, &body, &wrong).await == Some(200) {
                Counters::one(&world.counters.bad_signatures_accepted);
            }
        }
        let answer = tokio::select! {
            () = world.cancel.cancelled() => return,
            answer = post(world, &route, &body, &right), if !down => answer,
            () = std::future::ready(()), if down => None,
        };
        if world.epoch() != epoch {
            return;
        }
        if answer == Some(200) {
            Counters::one(&world.counters.webhooks_acknowledged);
            return acknowledge(world, updates);
        }
        if matches!(answer, Some(401 | 403)) {
            Counters::one(&world.counters.invalid_signature_answers);
        }
        if !down {
            Counters::one(&world.counters.webhooks_failed);
        }
        if begin.elapsed() > Duration::from_millis(rules.give_up_ms) {
            return Counters::many(&world.counters.updates_given_up, updates.len());
        }
        tokio::select! {
            () = world.cancel.cancelled() => return,
            () = tokio::time::sleep(pause) => {}
        }
        pause = (pause * 2).min(Duration::from_millis(rules.retry_max_ms.max(1)));
    }
}

/// One POST; the status it was answered with, `None` for no answer.
async fn post(world: &World, route: &Route, body: &Bytes, signature: &str) -> Option<u16> {
    let url = match route {
        Route::Override(url) => url.clone(),
        Route::App => world.hooks.read().unwrap_or_else(PoisonError::into_inner).app.as_ref()?.url.clone(),
    };
    let _slot = world.in_flight.acquire().await.ok()?;
    Counters::one(&world.counters.webhooks_posted);
    let answer = world
        .client
        .post(url)
        .header("content-type", "application/json")
        .header("x-hub-signature-256", signature)
        .header("user-agent", "facebookexternalua")
        .timeout(Duration::from_millis(world.config.delivery.timeout_ms))
        .body(body.clone())
        .send()
        .await
        .ok()?;
    let status = answer.status().as_u16();
    // Read to its end so that the connection can be used again.
    let _rest = answer.bytes().await;
    Some(status)
}

fn acknowledge(world: &World, updates: &[Update]) {
    let now = world.now_ms();
    let mut book = world.book();
    for update in updates {
        match &update.what {
            What::Status { index, status } => {
                let mark =
                    book.records.get_mut(*index).and_then(|record| record.acknowledged_ms.get_mut(*status as usize));
                if let Some(mark) = mark
                    && *mark == 0
                {
                    *mark = now;
                    Counters::one(&world.counters.statuses_acknowledged);
                }
            }
            What::Message { inbound, .. } | What::Change { inbound: Some(inbound), .. } => {
                if let Some(record) = book.inbound.get_mut(*inbound)
                    && record.acknowledged_at_ms.is_none()
                {
                    record.acknowledged_at_ms = Some(now);
                    Counters::one(&world.counters.inbound_acknowledged);
                }
            }
            What::Change { .. } => Counters::one(&world.counters.changes_acknowledged),
        }
    }
}
