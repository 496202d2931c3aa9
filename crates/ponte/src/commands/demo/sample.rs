//! What the view shows, taken from where it happens: Ponte's pulse and store, and the team's notes on languages.
//! Must not touch: anything that flows; it only reads.

use super::phrases::Language;
use super::stage::CRM;
use super::team::Ledger;
use super::words;
use crate::wiring::WORKSPACE;
use ponte_domain::Millis;
use ponte_domain::error::StoreError;
use ponte_domain::ids::{ConnectionId, MessageId};
use ponte_domain::ports::store::{MessageView, Overview};
use ponte_engine::World;
use ponte_engine::pulse::Lags;
use std::collections::VecDeque;
use std::sync::{Arc, Mutex, PoisonError};

/// Seconds of history.
const HISTORY: usize = 60;
/// A message enters the ticker so often, so that its way can be followed: not every message is shown when many flow.
const TICK_MS: Millis = 600;
/// Newest messages that are looked at; older ones in the ticker stay as they were seen last.
const RECENT: i64 = 120;

/// One moment of the flow.
#[derive(Debug, Clone, Default)]
pub struct Sample {
    /// Since the demo began.
    pub seconds: u64,
    pub rows: [Row; 4],
    /// p50 and p95, milliseconds.
    pub lags: [Option<(f64, f64)>; 3],
    pub queues: [i64; 4],
    pub troubles: [u64; 5],
    pub dead_letters: i64,
    pub people: i64,
    pub conversations: i64,
    pub latest: Vec<Line>,
}

/// A count and its last minute.
#[derive(Debug, Clone, Default)]
pub struct Row {
    pub total: u64,
    pub per_minute: u64,
    /// By second, oldest first.
    pub history: Vec<u64>,
}

/// A message in the ticker.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Line {
    pub at: Millis,
    pub inbound: bool,
    pub language: &'static str,
    pub text: String,
    pub state: &'static str,
    pub in_crm: bool,
}

/// Takes samples and remembers the last minute.
pub struct Sampler {
    world: World,
    ledger: Arc<Mutex<Ledger>>,
    begun: Millis,
    taken: Option<Millis>,
    last: [u64; 4],
    history: [VecDeque<u64>; 4],
    ticker: VecDeque<(MessageId, Line)>,
    ticked: Millis,
    sample: Sample,
}

impl Sampler {
    /// Begins now.
    pub fn new(world: World, ledger: Arc<Mutex<Ledger>>) -> Self {
        let begun = world.clock.now();
        let (history, sample) = (Default::default(), Sample::default());
        Self { world, ledger, begun, taken: None, last: [0; 4], history, ticker: VecDeque::new(), ticked: 0, sample }
    }

    /// The newest sample with up to `lines` messages. Counts are taken once a second. A database that is busy leaves the
    /// sample before.
    pub async fn take(&mut self, lines: usize) -> &Sample {
        let now = self.world.clock.now();
        self.sample.seconds = u64::try_from((now - self.begun) / 1_000).unwrap_or(0);
        if self.taken.is_none_or(|at| now - at >= 1_000)
            && let Ok(overview) = self.world.store.overview(WORKSPACE, now).await
        {
            self.taken = Some(self.taken.map_or(now, |at| if now - at < 2_000 { at + 1_000 } else { now }));
            self.count(&overview);
        }
        if lines > 0 && self.tick(now, lines).await.is_ok() {
            self.sample.latest = self.ticker.iter().map(|(_, line)| line.clone()).collect();
        }
        &self.sample
    }

    fn count(&mut self, overview: &Overview) {
        let pulse = &self.world.pulse;
        let number = |n: i64| u64::try_from(n).unwrap_or(0);
        let accepted: i64 =
            overview.messages.iter().filter(|(d, phase, _)| d == "out" && phase == "accepted").map(|(.., n)| n).sum();
        let statuses = number(overview.crm_statuses);
        let totals = [pulse.messages_stored.get(), number(accepted), statuses, pulse.crm_messages.get()];
        for (i, total) in totals.into_iter().enumerate() {
            let (Some(last), Some(history), Some(row)) =
                (self.last.get_mut(i), self.history.get_mut(i), self.sample.rows.get_mut(i))
            else {
                continue;
            };
            history.push_back(total.saturating_sub(*last));
            if history.len() > HISTORY {
                history.pop_front();
            }
            *last = total;
            let sum: u64 = history.iter().sum();
            let per_minute = sum as f64 * HISTORY as f64 / history.len().max(1) as f64;
            *row = Row { total, per_minute: per_minute.round() as u64, history: history.iter().copied().collect() };
        }
        let lag = |lags: &Lags| lags.quantile(0.5).zip(lags.quantile(0.95));
        self.sample.lags = [lag(&pulse.to_fold), lag(&pulse.to_crm), lag(&pulse.to_whatsapp)];
        let waiting = |kind: &str| overview.jobs.iter().filter(|(k, _)| k == kind).map(|(_, n)| n).sum();
        self.sample.queues = [overview.journal_pending, waiting("send"), waiting("media"), waiting("crm")];
        self.sample.troubles = [
            pulse.sends_retried.get(),
            pulse.sends_unknown.get(),
            pulse.throttled.get(),
            pulse.sends_refused.get(),
            pulse.crm_failures.get(),
        ];
        self.sample.dead_letters = overview.dead_letters.iter().map(|(_, n)| n).sum();
        self.sample.people = overview.people;
        self.sample.conversations = overview.conversations;
    }

    /// Lets the newest message in when it is time, and brings those shown up to date.
    async fn tick(&mut self, now: Millis, lines: usize) -> Result<(), StoreError> {
        let store = &self.world.store;
        let recent = store.messages(WORKSPACE, None, RECENT, None).await?;
        let newest = recent.first().filter(|m| self.ticker.iter().all(|(id, _)| *id != m.id));
        if now - self.ticked >= TICK_MS
            && let Some(message) = newest
        {
            self.ticked = now;
            self.ticker.push_front((message.id, Line::default()));
        }
        self.ticker.truncate(lines);
        let shown: Vec<&MessageView> =
            recent.iter().filter(|m| self.ticker.iter().any(|(id, _)| *id == m.id)).collect();
        let subjects: Vec<_> = shown.iter().map(|m| (m.person_id, Some(m.id))).collect();
        let views = store.crm_views(WORKSPACE, &ConnectionId::from(CRM), &subjects).await?;
        for (message, view) in shown.into_iter().zip(views) {
            let in_crm = view.and_then(|v| v.message).is_some_and(|m| m.crm_id.is_some());
            let line = self.line(message, in_crm);
            if let Some((_, slot)) = self.ticker.iter_mut().find(|(id, _)| *id == message.id) {
                *slot = line;
            }
        }
        Ok(())
    }

    fn line(&self, message: &MessageView, in_crm: bool) -> Line {
        let ledger = self.ledger.lock().unwrap_or_else(PoisonError::into_inner);
        let language =
            ledger.language(&message.person_id.to_string()).or_else(|| Language::of_message(&message.content));
        Line {
            at: message.at,
            inbound: message.origin.is_inbound(),
            language: language.map_or("··", Language::short),
            text: spoken(message),
            state: words::state(message.state),
            in_crm,
        }
    }
}

/// What a message says in one line: its text, else its kind.
fn spoken(message: &MessageView) -> String {
    let text = message.text.as_deref().unwrap_or_default().trim();
    match (message.kind.as_str(), text) {
        ("text", text) => text.to_owned(),
        (kind, "") => format!("[{kind}]"),
        (kind, text) => format!("[{kind}] {text}"),
    }
}
