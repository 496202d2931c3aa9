//! # Server
//! Purpose: HTTP: Meta's webhook on a short path, the API for programs, health and metrics.
//! May touch: the engine's doors (receive, gate) and the store's looking verbs.
//! Must not touch: WhatsApp, CRMs, any database directly.
//! Invariants: a webhook is answered 200 only after its body is durable. Every API answer that isn't a success is problem+json
//! with a stable code; the door that speaks Meta's API tells it in Meta's form.
//! Failure story: a request under way when the program dies gets no answer; asked again with its key it is found.

mod api;
mod crm;
mod graph;
mod health;
mod listen;
mod oauth;
mod problem;
mod unread;
mod webhook;

pub use listen::{BODY_ROOM_KIB, Server, ServerConfig};
pub use oauth::wait_for_callback;

use ponte_domain::mapping::trigger::Trigger;
use ponte_engine::World;
use ponte_engine::connection::Connection;
use ponte_engine::receive::Receiver;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use tokio::sync::Semaphore;

/// Tells whether an API key is one of ours.
pub trait ApiKeys: Send + Sync {
    /// The name of the key's owner.
    fn owner(&self, token: &str) -> Option<String>;
}

/// What the handlers need.
#[derive(Clone)]
pub struct App {
    /// The engine's world.
    pub world: World,
    /// Webhook bodies go here.
    pub receiver: Arc<Receiver>,
    /// Where browsers reach this server; no slash at the end.
    pub public_url: Option<Arc<str>>,
    /// The CRM connections.
    pub crms: Arc<Vec<Connection>>,
    /// Messages that programs may ask for by name.
    pub triggers: Arc<Vec<Trigger>>,
    /// Who may use the API.
    pub keys: Arc<dyn ApiKeys>,
    /// Renders the metrics of the process in Prometheus' text format.
    pub metrics: Arc<dyn Fn() -> String + Send + Sync>,
    /// Room for webhook bodies in memory, KiB: beyond it bodies wait, then Meta is asked to come again.
    pub body_room: Arc<Semaphore>,
    /// Set once the program begins to stop: no longer ready.
    pub draining: Arc<AtomicBool>,
}
