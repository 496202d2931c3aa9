//! Outgoing webhooks about contacts: gathered, signed, sent, repeated.
//! May touch: one receiver over HTTP, the webhook counters. Must not touch: records.
//! Failure story: an attempt that is not answered 2xx in time is repeated, with the pause doubled each time, and given
//! up after the configured number. Events still waiting at shutdown are lost, as a test double may.

use super::Sim;
use super::config::{Subscription, Webhooks};
use super::world::Source;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use hmac::{Hmac, KeyInit, Mac};
use serde_json::{Value, json};
use sha2::Sha256;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::{Semaphore, mpsc};

/// The largest batch of events.
const MAX_EVENTS: usize = 100;
/// Requests at the same time.
const MAX_CONCURRENT: usize = 10;
/// Escapes that the signed address holds in plain form.
const DECODED: [(&str, &str); 12] = [
    ("%3A", ":"),
    ("%2F", "/"),
    ("%3F", "?"),
    ("%40", "@"),
    ("%21", "!"),
    ("%24", "$"),
    ("%27", "'"),
    ("%28", "("),
    ("%29", ")"),
    ("%2A", "*"),
    ("%2C", ","),
    ("%3B", ";"),
];

/// Something that happened to a contact.
#[derive(Debug, Clone)]
pub(super) struct Event {
    kind: &'static str,
    object_id: u64,
    occurred_at: i64,
    source: Source,
    pub(super) property: Option<(String, String)>,
    /// Primary id, merged ids, new id.
    pub(super) merge: Option<(u64, Vec<u64>, u64)>,
}

impl Event {
    pub(super) const fn about(kind: &'static str, object_id: u64, occurred_at: i64, source: Source) -> Self {
        Self { kind, object_id, occurred_at, source, property: None, merge: None }
    }

    fn is_wanted(&self, by: &Subscription) -> bool {
        let property = self.property.as_ref().map(|(name, _)| name.as_str());
        self.kind == by.event_type && (self.kind != "contact.propertyChange" || by.property_name.as_deref() == property)
    }
}

/// The signature of version 3.
pub(super) fn sign(secret: &str, method: &str, uri: &str, body: &[u8], timestamp: i64) -> String {
    let mut plain = uri.to_owned();
    for (escaped, character) in DECODED {
        plain = plain.replace(escaped, character).replace(&escaped.to_lowercase(), character);
    }
    let Ok(mut mac) = Hmac::<Sha256>::new_from_slice(secret.as_bytes()) else {
        // HMAC takes keys of any length, so there is nothing to refuse.
        return String::new();
    };
    mac.update(method.as_bytes());
    mac.update(plain.as_bytes());
    mac.update(body);
    mac.update(timestamp.to_string().as_bytes());
    STANDARD.encode(mac.finalize().into_bytes())
}

/// Sends what comes in until the run ends.
pub(super) async fn run(sim: Arc<Sim>, hooks: Webhooks, mut events: mpsc::UnboundedReceiver<Event>) {
    let gate = Arc::new(Semaphore::new(MAX_CONCURRENT));
    let hooks = Arc::new(hooks);
    loop {
        let mut batch = Vec::new();
        tokio::select! {
            () = sim.stop.cancelled() => return,
            got = events.recv_many(&mut batch, MAX_EVENTS) => if got == 0 { return },
        }
        tokio::time::sleep(Duration::from_millis(hooks.flush_ms)).await;
        while batch.len() < MAX_EVENTS
            && let Ok(event) = events.try_recv()
        {
            batch.push(event);
        }
        let bodies: Vec<Value> = batch.iter().flat_map(|event| bodies(&sim, &hooks, event)).collect();
        for chunk in bodies.chunks(MAX_EVENTS) {
            let copies = if sim.chance.happens(hooks.duplicates) { 2 } else { 1 };
            for _ in 0..copies {
                let (sim, hooks, gate, chunk) =
                    (Arc::clone(&sim), Arc::clone(&hooks), Arc::clone(&gate), chunk.to_vec());
                tokio::spawn(async move {
                    tokio::select! {
                        () = sim.stop.cancelled() => {}
                        () = deliver(&sim, &hooks, &gate, chunk) => {}
                    }
                });
            }
        }
    }
}

/// The wire form of an event, once for each subscription that wants it.
fn bodies(sim: &Sim, hooks: &Webhooks, event: &Event) -> Vec<Value> {
    let subscriptions: Vec<usize> = if hooks.subscriptions.is_empty() {
        vec![0]
    } else {
        hooks.subscriptions.iter().enumerate().filter(|(_, s)| event.is_wanted(s)).map(|(i, _)| i).collect()
    };
    subscriptions.into_iter().map(|subscription| body(sim, hooks, event, subscription)).collect()
}

fn body(sim: &Sim, hooks: &Webhooks, event: &Event, subscription: usize) -> Value {
    let mut body = json!({
        "eventId": sim.chance.below(1 << 31), "subscriptionId": 1_000 + subscription, "portalId": sim.config.portal_id,
        "appId": hooks.app_id, "occurredAt": event.occurred_at, "subscriptionType": event.kind, "attemptNumber": 0,
        "objectId": event.object_id, "changeSource": event.source.name(), "sourceId": hooks.app_id.to_string(),
    });
    let Some(fields) = body.as_object_mut() else { return body };
    if event.kind == "contact.creation" {
        fields.insert("changeFlag".to_owned(), json!("NEW"));
    }
    if let Some((name, value)) = &event.property {
        fields.insert("propertyName".to_owned(), json!(name));
        fields.insert("propertyValue".to_owned(), json!(value));
    }
    if let Some((primary, merged, new)) = &event.merge {
        fields.insert("primaryObjectId".to_owned(), json!(primary));
        fields.insert("mergedObjectIds".to_owned(), json!(merged));
        fields.insert("newObjectId".to_owned(), json!(new));
    }
    body
}

async fn deliver(sim: &Sim, hooks: &Webhooks, gate: &Semaphore, mut events: Vec<Value>) {
    let mut pause = Duration::from_millis(hooks.retry_delay_ms);
    for attempt in 0..=hooks.retries {
        for event in &mut events {
            if let Some(fields) = event.as_object_mut() {
                fields.insert("attemptNumber".to_owned(), json!(attempt));
            }
        }
        let taken = {
            // Held for the request only: a batch that waits for its repetition keeps nobody else waiting.
            let _permit = gate.acquire().await;
            post(sim, hooks, Value::Array(events.clone()).to_string()).await
        };
        {
            let mut world = sim.world();
            let counter = if taken { &mut world.tally.webhooks_delivered } else { &mut world.tally.webhooks_failed };
            *counter += 1;
        }
        if taken || attempt == hooks.retries {
            return;
        }
        tokio::time::sleep(pause).await;
        pause = pause.saturating_mul(2);
    }
}

/// True when the receiver took it.
async fn post(sim: &Sim, hooks: &Webhooks, body: String) -> bool {
    let secret = hooks.client_secret.as_deref().unwrap_or(&sim.config.oauth.client_secret);
    let timestamp = sim.clock.now_ms();
    let request = sim
        .http
        .post(&hooks.target_url)
        .timeout(Duration::from_millis(hooks.timeout_ms))
        .header("content-type", "application/json")
        .header("x-hubspot-request-timestamp", timestamp.to_string())
        .header("x-hubspot-signature-v3", sign(secret, "POST", &hooks.target_url, body.as_bytes(), timestamp))
        .body(body);
    request.send().await.is_ok_and(|answer| answer.status().is_success())
}
