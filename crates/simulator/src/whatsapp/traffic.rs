//! Believable customers: they write about orders, deliveries, complaints and appointments, send pictures, and answer what
//! the business sends them.
//! May touch: the simulator's customer side. Must not touch: the Graph API.

mod dialogue;
mod names;

use super::Simulator;
use super::customers::{CustomerKind, CustomerMessage};
use super::inbound;
use super::people::Customer;
use super::world::{Arrival, World, purpose};
use crate::chance::Draw;
use dialogue::Step;
use serde::{Deserialize, Serialize};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;
use tokio_util::sync::CancellationToken;

/// How much traffic, and whose.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct TrafficConfig {
    /// How many different people.
    pub customers: usize,
    /// Messages per minute that customers start on their own, over all.
    pub messages_per_minute: f64,
    /// Their languages: `en`, `pt-BR`, `es`, `zh-TW`, `de`, `hi`; others speak English.
    pub languages: Vec<String>,
    /// Share of messages of the business that are answered after reading.
    pub reply_share: f64,
    /// Share of people with a username and no visible number.
    pub username_share: f64,
    /// People and their words follow from this.
    pub seed: u64,
    /// The business number they write to; the first one by default.
    pub phone_number_id: Option<String>,
}

impl Default for TrafficConfig {
    fn default() -> Self {
        Self {
            customers: 200,
            messages_per_minute: 60.0,
            languages: ["en", "pt-BR", "es", "zh-TW"].map(str::to_owned).to_vec(),
            reply_share: 0.4,
            username_share: 0.05,
            seed: 1,
            phone_number_id: None,
        }
    }
}

/// Running traffic. Stops with [`Traffic::stop`], when dropped, or with the simulator.
#[derive(Debug)]
pub struct Traffic {
    stop: CancellationToken,
    sent: Arc<AtomicU64>,
}

impl Traffic {
    /// Starts the customers of a believable company.
    #[must_use]
    pub fn believable(simulator: &Simulator, config: TrafficConfig) -> Self {
        let world = simulator.world().clone();
        let stop = world.cancel.child_token();
        let sent = Arc::new(AtomicU64::new(0));
        let crowd = Arc::new(Crowd { config, sent: sent.clone() });
        world.tasks.spawn(talk(world.clone(), crowd.clone(), stop.clone()));
        world.tasks.spawn(listen(world.clone(), crowd, stop.clone()));
        Self { stop, sent }
    }

    /// Messages written by customers so far.
    #[must_use]
    pub fn written(&self) -> u64 {
        self.sent.load(Ordering::Relaxed)
    }

    /// Stops writing; what was written stays on its way.
    pub fn stop(&self) {
        self.stop.cancel();
    }
}

impl Drop for Traffic {
    fn drop(&mut self) {
        self.stop.cancel();
    }
}

#[derive(Debug)]
struct Crowd {
    config: TrafficConfig,
    sent: Arc<AtomicU64>,
}

impl Crowd {
    fn draw(&self, number: u64) -> Draw {
        Draw::of(self.config.seed, purpose::TRAFFIC, number)
    }

    fn language(&self, person: u64) -> &str {
        let languages = &self.config.languages;
        let at = usize::try_from(person).unwrap_or(0) % languages.len().max(1);
        languages.get(at).map_or("en", String::as_str)
    }

    /// The n-th person, always the same one.
    fn person(&self, person: u64) -> Customer {
        let mut draw = Draw::of(self.config.seed ^ 0x5EED, purpose::TRAFFIC, person);
        let language = self.language(person);
        let name = names::of(language, &mut draw);
        let wa_id = names::number(language, person, &mut draw);
        if draw.happens(self.config.username_share) {
            let land = super::phone::country(&wa_id).map_or("US", |(_, land)| land);
            let username = name.to_lowercase().replace(|c: char| !c.is_ascii_alphanumeric(), ".");
            return Customer {
                user_id: Some(super::ids::user_id(self.config.seed, &wa_id, land)),
                username: Some(format!("{}.{person}", username.trim_matches('.'))),
                name: Some(name),
                language: Some(language.to_owned()),
                ..Customer::default()
            };
        }
        Customer { wa_id: Some(wa_id), name: Some(name), language: Some(language.to_owned()), ..Customer::default() }
    }

    fn write(&self, world: &World, mut message: CustomerMessage) -> Option<String> {
        message.phone_number_id.clone_from(&self.config.phone_number_id);
        let id = inbound::take(world, &message).ok()?;
        self.sent.fetch_add(1, Ordering::Relaxed);
        Some(id)
    }
}

/// Customers start small dialogues, message after message with pauses between.
async fn talk(world: Arc<World>, crowd: Arc<Crowd>, stop: CancellationToken) {
    let rate = crowd.config.messages_per_minute.max(0.001);
    let mut turn = 0_u64;
    let mut next = tokio::time::Instant::now();
    loop {
        let mut draw = crowd.draw(turn);
        turn += 1;
        let person = draw.number() % (crowd.config.customers.max(1) as u64);
        let script = dialogue::script(crowd.language(person), &mut draw);
        // One script counts as its messages, so the rate over all holds; pauses vary around it.
        let pause = 60.0 / rate * script.len().max(1) as f64 * (0.5 + draw.unit());
        world.tasks.spawn(perform(world.clone(), crowd.clone(), stop.clone(), crowd.person(person), script, draw));
        next += Duration::from_secs_f64(pause);
        tokio::select! {
            () = stop.cancelled() => return,
            () = tokio::time::sleep_until(next) => {}
        }
    }
}

async fn perform(
    world: Arc<World>,
    crowd: Arc<Crowd>,
    stop: CancellationToken,
    person: Customer,
    script: Vec<Step>,
    mut draw: Draw,
) {
    let mut last = None;
    for (at, step) in script.into_iter().enumerate() {
        if at > 0 {
            let pause = Duration::from_secs_f64(1.0 + draw.unit() * 6.0);
            tokio::select! {
                () = stop.cancelled() => return,
                () = tokio::time::sleep(pause) => {}
            }
        }
        let kind = match step {
            Step::Say(kind) => kind,
            Step::TakeBack => match last.take() {
                Some(original_message_id) => CustomerKind::Revoke { original_message_id },
                None => continue,
            },
        };
        let mut message = CustomerMessage::new(person.clone(), kind);
        if at == 0 && draw.happens(0.05) {
            message.referral = Some(serde_json::Value::Bool(true));
        }
        last = crowd.write(&world, message);
    }
}

/// Customers answer some of what they read.
async fn listen(world: Arc<World>, crowd: Arc<Crowd>, stop: CancellationToken) {
    let mut arrivals = world.arrivals.subscribe();
    loop {
        let arrival = tokio::select! {
            () = stop.cancelled() => return,
            arrival = arrivals.recv() => arrival,
        };
        let arrival = match arrival {
            Ok(arrival) => arrival,
            // Too much at once: nobody answers everything.
            Err(tokio::sync::broadcast::error::RecvError::Lagged(_)) => continue,
            Err(tokio::sync::broadcast::error::RecvError::Closed) => return,
        };
        let mut draw = crowd.draw(crate::chance::mix(world.next(purpose::TRAFFIC)));
        if draw.happens(crowd.config.reply_share) {
            world.tasks.spawn(react(world.clone(), crowd.clone(), stop.clone(), arrival, draw));
        }
    }
}

async fn react(world: Arc<World>, crowd: Arc<Crowd>, stop: CancellationToken, arrival: Arrival, mut draw: Draw) {
    let pause = Duration::from_secs_f64(1.0 + draw.unit() * 8.0);
    tokio::select! {
        () = stop.cancelled() => return,
        () = tokio::time::sleep(pause) => {}
    }
    let person = {
        let book = world.book();
        let Some(person) = book.people.get(arrival.person) else { return };
        Customer { wa_id: person.wa_id.clone(), user_id: Some(person.user_id.clone()), ..Customer::default() }
    };
    let language = match person.wa_id.as_deref().and_then(super::phone::country) {
        Some((_, "BR" | "PT")) => "pt-BR",
        Some((_, "ES" | "MX" | "AR" | "CO" | "CL" | "PE")) => "es",
        Some((_, "TW" | "HK")) => "zh-TW",
        Some((_, "DE")) => "de",
        Some((_, "IN")) => "hi",
        _ => "en",
    };
    let kind = if arrival.kind != "reaction" && draw.happens(0.2) {
        CustomerKind::Reaction { message_id: arrival.wamid.to_string(), emoji: Some(dialogue::emoji(&mut draw)) }
    } else {
        dialogue::answer(language, arrival.kind, &mut draw)
    };
    let mut message = CustomerMessage::new(person, kind);
    message.phone_number_id = world.lines.get(arrival.number).map(|line| line.id.clone());
    if draw.happens(0.3) && !matches!(message.message, CustomerKind::Reaction { .. }) {
        message.reply_to = Some(arrival.wamid.to_string());
    }
    if inbound::take(&world, &message).is_ok() {
        crowd.sent.fetch_add(1, Ordering::Relaxed);
    }
}

/// `count` texts at a steady rate, for load tests.
pub(crate) async fn steady(
    world: Arc<World>,
    count: usize,
    per_second: f64,
    customers: usize,
    phone_number_id: Option<String>,
) {
    let seed = world.config.seed;
    let crowd = Crowd {
        config: TrafficConfig { seed, customers, username_share: 0.0, phone_number_id, ..TrafficConfig::default() },
        sent: Arc::new(AtomicU64::new(0)),
    };
    let start = tokio::time::Instant::now();
    for number in 0..count {
        let due = start + Duration::from_secs_f64(number as f64 / per_second);
        if due > tokio::time::Instant::now() {
            tokio::select! {
                () = world.cancel.cancelled() => return,
                () = tokio::time::sleep_until(due) => {}
            }
        } else if number % 64 == 0 {
            tokio::task::yield_now().await;
        }
        let mut draw = crowd.draw(number as u64);
        let person = (number % customers.max(1)) as u64;
        let body = format!("{} ({number})", dialogue::line(crowd.language(person), &mut draw));
        crowd.write(&world, CustomerMessage::new(crowd.person(person), CustomerKind::Text { body }));
    }
}
