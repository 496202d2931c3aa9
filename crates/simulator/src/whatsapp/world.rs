//! The shared state of one simulated platform.
//! May touch: its own memory. Must not touch: sockets; the server and the webhook poster do that.

use super::agenda::{Agenda, Event};
use super::config::{Config, WebhookTarget, tier_users};
use super::errors::ApiError;
use super::faults::Faults;
use super::hooks::{Hooks, Outbox, Update};
use super::ledger::Book;
use super::media::MediaStore;
use super::numbers::Office;
use super::stats::{Counters, Stats};
use super::templates::Shelf;
use crate::chance::Draw;
use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock};
use std::time::Duration;
use tokio::sync::{Semaphore, broadcast};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

/// Purposes of random streams and running numbers. Each counts alone, so that what one task does (a webhook's retry)
/// does not change what happens to another (the next send).
pub(crate) mod purpose {
    pub const CALL: u64 = 1;
    pub const SEND: u64 = 2;
    pub const HOOK: u64 = 3;
    pub const POST: u64 = 4;
    pub const MEDIA: u64 = 5;
    pub const TRAFFIC: u64 = 6;
    pub const MEDIA_ID: u64 = 7;
    pub const TEMPLATE_ID: u64 = 8;
    pub const UPLOAD_ID: u64 = 9;
    pub const TRACE: u64 = 10;
    pub const FILE: u64 = 11;
    pub const VERIFY: u64 = 12;
    pub const COUNT: usize = 13;
}

/// A business number, found by its id.
#[derive(Debug)]
pub(crate) struct Line {
    pub id: String,
    pub waba: usize,
    pub display: String,
    pub own_wa_id: String,
    pub calling_code: Option<&'static str>,
    pub throughput_per_s: u32,
}

/// Something a customer's device noticed; the traffic generator reacts to it.
#[derive(Debug, Clone)]
pub(crate) struct Arrival {
    pub person: usize,
    pub number: usize,
    pub wamid: Arc<str>,
    pub kind: &'static str,
}

#[derive(Debug)]
pub(crate) struct World {
    pub config: Config,
    pub addr: SocketAddr,
    pub lines: Vec<Line>,
    pub line_by_id: HashMap<String, usize>,
    pub waba_by_id: HashMap<String, usize>,
    /// Unique users a day, by account (the portfolio's highest tier).
    pub portfolio_limit: Vec<Option<usize>>,
    pub shelves: Vec<RwLock<Shelf>>,
    pub counters: Counters,
    pub agenda: Agenda,
    pub outbox: Outbox,
    pub hooks: RwLock<Hooks>,
    pub office: Mutex<Office>,
    pub media: Mutex<MediaStore>,
    pub client: reqwest::Client,
    pub in_flight: Semaphore,
    pub arrivals: broadcast::Sender<Arrival>,
    pub cancel: CancellationToken,
    pub tasks: TaskTracker,
    faults: RwLock<Arc<Faults>>,
    book: Mutex<Book>,
    started: Instant,
    series: [AtomicU64; purpose::COUNT],
    epoch: AtomicU64,
}

impl World {
    pub fn new(config: Config, addr: SocketAddr, client: reqwest::Client) -> anyhow::Result<Self> {
        let mut lines = Vec::new();
        let mut line_by_id = HashMap::new();
        let mut waba_by_id = HashMap::new();
        for (waba, account) in config.wabas.iter().enumerate() {
            anyhow::ensure!(waba_by_id.insert(account.id.clone(), waba).is_none(), "two accounts with one id");
            for number in &account.numbers {
                anyhow::ensure!(line_by_id.insert(number.id.clone(), lines.len()).is_none(), "two numbers with one id");
                let digits = super::phone::digits(&number.display_phone_number);
                lines.push(Line {
                    id: number.id.clone(),
                    waba,
                    display: number.display_phone_number.clone(),
                    calling_code: super::phone::country(&digits).map(|(code, _)| code),
                    own_wa_id: digits,
                    throughput_per_s: number.throughput_per_s,
                });
            }
        }
        anyhow::ensure!(!lines.is_empty(), "the configuration has no business number");
        let portfolio_limit = config.wabas.iter().map(|waba| portfolio_limit(&config, &waba.portfolio_id)).collect();
        Ok(Self {
            addr,
            line_by_id,
            waba_by_id,
            portfolio_limit,
            shelves: config.wabas.iter().map(|waba| RwLock::new(Shelf::of(&waba.templates))).collect(),
            counters: Counters::default(),
            agenda: Agenda::default(),
            outbox: Outbox::default(),
            hooks: RwLock::new(Hooks::of(&config)),
            office: Mutex::new(Office::of(&config)),
            media: Mutex::default(),
            client,
            in_flight: Semaphore::new(config.delivery.in_flight.max(1)),
            arrivals: broadcast::channel(4_096).0,
            cancel: CancellationToken::new(),
            tasks: TaskTracker::new(),
            faults: RwLock::new(Arc::new(config.faults.clone())),
            book: Mutex::default(),
            started: Instant::now(),
            series: Default::default(),
            epoch: AtomicU64::new(0),
            lines,
            config,
        })
    }

    /// Epoch milliseconds.
    pub fn now_ms(&self) -> i64 {
        self.config.clock.now_ms()
    }

    /// Milliseconds since start.
    pub fn elapsed_ms(&self) -> u64 {
        u64::try_from(self.started.elapsed().as_millis()).unwrap_or(u64::MAX)
    }

    /// The book of messages and people. Hold it briefly, never across an await.
    pub fn book(&self) -> MutexGuard<'_, Book> {
        self.book.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub fn office(&self) -> MutexGuard<'_, Office> {
        self.office.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub fn media(&self) -> MutexGuard<'_, MediaStore> {
        self.media.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub fn faults(&self) -> Arc<Faults> {
        self.faults.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    pub fn set_faults(&self, faults: Faults) {
        *self.faults.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(faults);
    }

    /// The next running number of one purpose.
    pub fn next(&self, purpose: u64) -> u64 {
        let counter = usize::try_from(purpose).ok().and_then(|purpose| self.series.get(purpose));
        counter.map_or(0, |counter| counter.fetch_add(1, Ordering::Relaxed))
    }

    pub fn draw(&self, purpose: u64, number: u64) -> Draw {
        Draw::of(self.config.seed, purpose, number)
    }

    /// A line by phone number id.
    pub fn line(&self, id: &str) -> Result<(usize, &Line), ApiError> {
        let index = self.line_by_id.get(id).copied();
        index.and_then(|index| self.lines.get(index).map(|line| (index, line))).ok_or_else(|| ApiError::no_object(id))
    }

    /// Hands an update to the webhooks, with the injected delays, reordering and duplicates.
    pub fn emit(&self, update: Update) {
        let faults = self.faults();
        let calm =
            faults.webhook_duplicates <= 0.0 && faults.webhook_reordered <= 0.0 && faults.webhook_delay.p99_ms == 0;
        if calm {
            return self.outbox.push(update);
        }
        let mut draw = self.draw(purpose::HOOK, self.next(purpose::HOOK));
        let window = Duration::from_millis(faults.webhook_reorder_window_ms);
        let mut delay = draw.latency(&faults.webhook_delay);
        if draw.happens(faults.webhook_reordered) {
            delay += window.mul_f64(draw.unit());
        }
        if draw.happens(faults.webhook_duplicates) {
            Counters::one(&self.counters.duplicates_injected);
            self.later(delay + window.mul_f64(draw.unit()), Event::Release(update.clone()));
        }
        if delay.is_zero() {
            self.outbox.push(update);
        } else {
            self.later(delay, Event::Release(update));
        }
    }

    /// Schedules an event after a delay.
    pub fn later(&self, delay: Duration, event: Event) {
        let at = self.started.elapsed() + delay;
        self.agenda.put(u64::try_from(at.as_millis()).unwrap_or(u64::MAX), event);
    }

    pub fn stats(&self) -> Stats {
        let mut stats = self.counters.read();
        stats.webhook_backlog = self.outbox.len() as u64;
        stats.webhook_open_batches = self.outbox.open_batches();
        stats.uptime_ms = self.elapsed_ms();
        stats
    }

    /// Where the app's webhooks go from now on, subscribed to everything.
    pub fn set_webhook(&self, target: Option<WebhookTarget>) {
        self.hooks.write().unwrap_or_else(PoisonError::into_inner).set_all(target);
    }

    /// How often everything was forgotten. A batch of an earlier epoch means messages that no longer exist.
    pub fn epoch(&self) -> u64 {
        self.epoch.load(Ordering::Relaxed)
    }

    /// Forgets messages, people and pending events; accounts, templates, webhook and faults stay.
    pub fn reset(&self) {
        self.epoch.fetch_add(1, Ordering::Relaxed);
        self.agenda.clear();
        self.outbox.clear();
        *self.book() = Book::default();
        self.counters.clear();
    }
}

fn portfolio_limit(config: &Config, portfolio: &str) -> Option<usize> {
    let tiers = config.wabas.iter().filter(|waba| waba.portfolio_id == portfolio).flat_map(|waba| &waba.numbers);
    tiers
        .map(|number| tier_users(&number.messaging_limit).unwrap_or(usize::MAX))
        .max()
        .filter(|limit| *limit != usize::MAX)
}
