//! The demo's company at work: reads what customers write, answers in their language, confirms orders, runs a small campaign.
//! May touch: Ponte's public API only.
//! Failure story: each wish has its key, so that a wish repeated after a lost answer is one message.

use super::api::Api;
use super::phrases::{Language, Subject, answer, order_number, subject};
use super::stage::{CONFIRMATION, OFFER};
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};
use serde_json::{Value, json};
use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::sync::Semaphore;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

const LOOK: Duration = Duration::from_millis(250);
const FIRST_OFFER: Duration = Duration::from_secs(3);
const OFFERS_EVERY: Duration = Duration::from_secs(30);
/// How long before their first message the customers ticked the box.
const BEFORE_WRITING_MS: i64 = 60_000;
const OFFERS_AT_ONCE: usize = 12;
/// People of the team: so many answers are written at once.
const DESKS: usize = 64;
const PAGE: usize = 200;

/// What the team knows of someone.
#[derive(Debug, Clone)]
struct Known {
    language: Language,
    number: String,
    country: String,
    stopped: bool,
    offered: bool,
}

/// What the team has done.
#[derive(Debug, Default)]
pub struct Ledger {
    known: HashMap<String, Known>,
    /// Messages that Ponte said it queued.
    pub queued: HashSet<String>,
    /// Refusals by code.
    pub refused: BTreeMap<String, u64>,
    /// Wishes repeated on purpose under their key.
    pub asked_again: u64,
    /// Read receipts and typing indicators asked for.
    pub receipts: u64,
    /// Calls that got no good answer at all.
    pub unanswered: u64,
}

impl Ledger {
    /// The language of a person (`per_…`), when the team has met them.
    pub fn language(&self, person: &str) -> Option<Language> {
        self.known.get(person).map(|known| known.language)
    }
}

/// The team at work.
pub struct Team {
    desk: Arc<Desk>,
    stop: CancellationToken,
    work: tokio::task::JoinHandle<()>,
}

impl Team {
    /// Begins to work.
    pub fn start(api: Api, seed: u64) -> Self {
        let stop = CancellationToken::new();
        let desk = Arc::new(Desk {
            api,
            seed,
            ledger: Arc::default(),
            places: Semaphore::new(DESKS),
            stop: stop.clone(),
            tasks: TaskTracker::new(),
        });
        let work = tokio::spawn(watch(Arc::clone(&desk)));
        Self { desk, stop, work }
    }

    /// What was done so far, for those who watch.
    pub fn ledger(&self) -> Arc<Mutex<Ledger>> {
        Arc::clone(&self.desk.ledger)
    }

    /// Goes home: calls under way end, no new ones begin.
    pub async fn stop(self) -> Arc<Mutex<Ledger>> {
        self.stop.cancel();
        let _ = self.work.await;
        self.desk.tasks.close();
        self.desk.tasks.wait().await;
        Arc::clone(&self.desk.ledger)
    }
}

struct Desk {
    api: Api,
    seed: u64,
    ledger: Arc<Mutex<Ledger>>,
    places: Semaphore,
    stop: CancellationToken,
    tasks: TaskTracker,
}

async fn watch(desk: Arc<Desk>) {
    let mut seen = 0;
    let mut next_offers = Instant::now() + FIRST_OFFER;
    let mut round = 0;
    while desk.pause(LOOK).await {
        match desk.news(seen).await {
            Ok(news) => {
                for (seq, message) in news {
                    seen = seen.max(seq);
                    let worker = Arc::clone(&desk);
                    desk.tasks.spawn(async move { worker.handle(seq, &message).await });
                }
            }
            Err(error) => desk.unanswered(&error),
        }
        if Instant::now() >= next_offers {
            next_offers += OFFERS_EVERY;
            round += 1;
            desk.offer(round).await;
        }
    }
}

impl Desk {
    fn ledger(&self) -> MutexGuard<'_, Ledger> {
        self.ledger.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn unanswered(&self, error: &anyhow::Error) {
        tracing::warn!(error = %error, "the demo's team got no answer");
        self.ledger().unanswered += 1;
    }

    /// Waits; false once the team stops.
    async fn pause(&self, time: Duration) -> bool {
        tokio::select! {
            () = self.stop.cancelled() => false,
            () = tokio::time::sleep(time) => true,
        }
    }

    /// Messages received since, oldest first: sequence and id.
    async fn news(&self, seen: i64) -> anyhow::Result<Vec<(i64, String)>> {
        let mut news = Vec::new();
        let mut before = String::new();
        loop {
            let page = self.api.get(&format!("events?kind=message.received&limit={PAGE}{before}")).await?;
            let rows = page.as_array().map(Vec::as_slice).unwrap_or_default();
            let found: Vec<(i64, String)> = rows.iter().filter_map(seq_and_message).collect();
            let oldest = found.last().map(|(seq, _)| *seq);
            news.extend(found.into_iter().filter(|(seq, _)| *seq > seen));
            match oldest {
                Some(oldest) if oldest > seen && rows.len() == PAGE => before = format!("&before={oldest}"),
                _ => break,
            }
        }
        news.reverse();
        Ok(news)
    }

    async fn handle(&self, seq: i64, message: &str) {
        let mut chance = StdRng::seed_from_u64(self.seed ^ seq.unsigned_abs().wrapping_mul(0x9E37_79B9_7F4A_7C15));
        if !self.pause(Duration::from_millis(chance.random_range(200..1_800))).await {
            return;
        }
        let Ok(_place) = self.places.acquire().await else { return };
        if let Err(error) = self.answer(message, &mut chance).await {
            self.unanswered(&error);
        }
    }

    async fn answer(&self, id: &str, chance: &mut StdRng) -> anyhow::Result<()> {
        let message = self.api.get(&format!("messages/{id}")).await?;
        let text = |name: &str| message.get(name).and_then(Value::as_str).unwrap_or_default().to_owned();
        let (kind, said) = (text("kind"), text("text"));
        let (person, number, wamid) = (text("person_id"), text("number_id"), text("wamid"));
        let (known, new) = self.meet(&person, &number, &message);
        if new {
            self.agreed(&person, message.get("at").and_then(Value::as_i64).unwrap_or(0)).await?;
        }
        let about = match kind.as_str() {
            "text" => subject(&said),
            "image" | "video" | "document" | "audio" | "voice" | "sticker" | "location" | "order" => Subject::Picture,
            "button" | "interactive" => Subject::Thanks,
            // Reactions, edits and withdrawn messages need no answer.
            _ => return Ok(()),
        };
        let receipt = json!({ "from": number, "message": { "type": "read", "message_id": wamid, "typing": chance.random_bool(0.5) } });
        if chance.random_bool(0.8) {
            self.receipt(&receipt).await?;
        }
        if !self.pause(Duration::from_millis(chance.random_range(200..1_200))).await {
            return Ok(());
        }
        if about == Subject::Stop
            && let Some(known) = self.ledger().known.get_mut(&person)
        {
            known.stopped = true;
        }
        let order = order_number(&said).map(str::to_owned);
        let content = if about == Subject::Thanks && chance.random_bool(0.7) {
            json!({ "type": "reaction", "message_id": wamid, "emoji": if chance.random_bool(0.5) { "👍" } else { "🙏" } })
        } else {
            let body =
                answer(known.language, about, chance.random()).replace("{n}", order.as_deref().unwrap_or("#100200"));
            json!({ "type": "text", "body": body })
        };
        let mut wish = json!({ "from": number, "to": { "person": person }, "message": content,
            "idempotency_key": format!("answer-{id}") });
        if chance.random_bool(0.3) && kind == "text" {
            put(&mut wish, "reply_to", json!(wamid));
        }
        self.send(&wish, chance.random_bool(0.05)).await?;
        if about == Subject::Order && chance.random_bool(0.4) && self.pause(Duration::from_millis(400)).await {
            let order = order.unwrap_or_else(|| "#100200".to_owned());
            let wish = json!({ "from": number, "to": { "person": person }, "message": confirmation(known.language, &order),
                "idempotency_key": format!("confirmation-{id}") });
            self.send(&wish, false).await?;
        }
        Ok(())
    }

    /// Remembers who wrote and in which language, by the country in front of their user id; true when they are new.
    fn meet(&self, person: &str, number: &str, message: &Value) -> (Known, bool) {
        let user = message.pointer("/content/from_user_id").and_then(Value::as_str).unwrap_or_default();
        let country = user.split('.').next().unwrap_or_default();
        let known = Known {
            language: Language::of_country(country),
            number: number.to_owned(),
            country: country.to_owned(),
            stopped: false,
            offered: false,
        };
        let mut ledger = self.ledger();
        let new = !ledger.known.contains_key(person);
        (ledger.known.entry(person.to_owned()).or_insert(known).clone(), new)
    }

    /// The company's customers have ticked the box for offers in its shop, before they wrote for the first time: whatever they
    /// say in WhatsApp is newer.
    async fn agreed(&self, person: &str, wrote_at: i64) -> anyhow::Result<()> {
        let word = json!({ "scope": "marketing", "action": "confirmed", "at": wrote_at - BEFORE_WRITING_MS,
            "proof": { "text_shown": "Yes, send me offers on WhatsApp.", "note": "checkout of the demo shop" } });
        let (status, answer) = self.api.post(&format!("people/{person}/consent"), &word).await?;
        anyhow::ensure!(status == 201, "consent was not recorded: {answer}");
        Ok(())
    }

    async fn receipt(&self, wish: &Value) -> anyhow::Result<()> {
        let (status, answer) = self.api.post("messages", wish).await?;
        if status == 202 {
            self.ledger().receipts += 1;
        } else {
            self.refusal(&answer);
        }
        Ok(())
    }

    /// Sends a wish; `twice`: asks again under the same key, as after a lost answer.
    async fn send(&self, wish: &Value, twice: bool) -> anyhow::Result<()> {
        let (_, answer) = self.api.post("messages", wish).await?;
        self.note(&answer);
        if twice {
            let (_, answer) = self.api.post("messages", wish).await?;
            self.note(&answer);
            self.ledger().asked_again += 1;
        }
        Ok(())
    }

    fn note(&self, answer: &Value) {
        match answer.get("id").and_then(Value::as_str) {
            Some(id) => self.ledger().queued.extend([id.to_owned()]),
            None => self.refusal(answer),
        }
    }

    fn refusal(&self, answer: &Value) {
        let code = answer.get("code").and_then(Value::as_str).unwrap_or("no code").to_owned();
        *self.ledger().refused.entry(code).or_default() += 1;
    }

    /// A small campaign at low priority: nobody twice, nobody who said stop, nobody in the United States (Meta delivers no
    /// marketing templates there).
    async fn offer(&self, round: u32) {
        let chosen: Vec<(String, Known)> = {
            let mut ledger = self.ledger();
            let open = ledger.known.iter_mut().filter(|(_, k)| !k.stopped && !k.offered && k.country != "US");
            open.take(OFFERS_AT_ONCE)
                .map(|(person, known)| {
                    known.offered = true;
                    (person.clone(), known.clone())
                })
                .collect()
        };
        if chosen.is_empty() {
            return;
        }
        let wishes: Vec<Value> = chosen
            .iter()
            .map(|(person, known)| {
                let template = json!({ "name": OFFER, "language": { "code": known.language.template_code() } });
                json!({ "from": known.number, "to": { "person": person }, "class": "marketing",
                    "message": { "type": "template", "template": template },
                    "idempotency_key": format!("offer-{round}-{person}") })
            })
            .collect();
        match self.api.post("messages/batch", &json!({ "messages": wishes })).await {
            Ok((_, answer)) => {
                let rows = answer.get("results").and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default();
                rows.iter().for_each(|row| self.note(row));
            }
            Err(error) => self.unanswered(&error),
        }
    }
}

fn seq_and_message(event: &Value) -> Option<(i64, String)> {
    Some((event.pointer("/cursor/seq")?.as_i64()?, event.get("message")?.as_str()?.to_owned()))
}

fn put(object: &mut Value, key: &str, value: Value) {
    if let Some(object) = object.as_object_mut() {
        object.insert(key.to_owned(), value);
    }
}

fn confirmation(language: Language, order: &str) -> Value {
    let (friend, day) = language.friend_and_day();
    let parameters: Vec<Value> = [friend, order, day].iter().map(|t| json!({ "type": "text", "text": t })).collect();
    json!({ "type": "template", "template": { "name": CONFIRMATION, "language": { "code": language.template_code() },
        "components": [{ "type": "body", "parameters": parameters }] } })
}
