//! # A simulator of Meta's WhatsApp Cloud API
//! Purpose: a strict, scriptable, repeatable counterpart for any integration: it accepts and refuses sends as documented,
//! moves messages through their statuses, posts signed webhooks with retries, lets customers write, and goes wrong on request.
//! May touch: its own sockets and memory, the receiver of its webhooks.
//! Must not touch: any other crate of this workspace, or the real platform.
//! Failure story: state lives in memory. What was not acknowledged when it stops is gone, as the simulated world is.

mod agenda;
mod apps;
mod clock;
mod config;
mod content;
mod control;
mod customers;
mod defaults;
mod envelope;
pub mod errors;
mod faults;
mod graph;
mod hooks;
mod ids;
mod inbound;
mod ledger;
mod limits;
mod manage;
mod media;
mod numbers;
mod people;
pub mod phone;
mod sample;
mod send;
mod server;
mod stats;
mod status;
pub mod templates;
pub mod traffic;
mod world;

pub use clock::{Clock, now_ms};
pub use config::{
    Config, Delivery, ErrorPlace, MissingPlus, Number, Rules, StatusBehaviour, Waba, WebhookTarget, tier_users,
};
pub use customers::{CustomerKind, CustomerMessage};
pub use errors::ApiError;
pub use faults::{Faults, Span};
pub use hooks::signature;
pub use ledger::{InboundRecord, SentMessage, StatusMark};
pub use people::Customer;
pub use stats::Stats;
pub use templates::Template;
pub use traffic::{Traffic, TrafficConfig};

use anyhow::Context;
use serde_json::Value;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;
use tokio::net::TcpListener;
use world::World;

/// A running simulator. Dropping it without [`Simulator::shutdown`] stops it as well, without waiting.
#[derive(Debug)]
pub struct Simulator {
    world: Arc<World>,
}

impl Simulator {
    /// Binds the address and starts answering.
    ///
    /// # Errors
    /// When the address cannot be bound or the configuration contradicts itself.
    pub async fn start(config: Config) -> anyhow::Result<Self> {
        let listener =
            TcpListener::bind(config.listen).await.with_context(|| format!("cannot listen on {}", config.listen))?;
        let addr = listener.local_addr().context("the socket has no address")?;
        let world = Arc::new(World::new(config, addr, client()?)?);
        world.tasks.spawn(server::run(world.clone(), listener));
        world.tasks.spawn(agenda::run(world.clone()));
        world.tasks.spawn(hooks::run(world.clone()));
        Ok(Self { world })
    }

    /// Where it listens.
    #[must_use]
    pub fn addr(&self) -> SocketAddr {
        self.world.addr
    }

    /// `http://address:port`, without a version.
    #[must_use]
    pub fn base_url(&self) -> String {
        format!("http://{}", self.world.addr)
    }

    /// Where webhooks go from now on, subscribed to all fields, without verification. Waiting updates follow.
    pub fn set_webhook(&self, target: WebhookTarget) {
        self.world.set_webhook(Some(target));
    }

    /// Replaces the injected trouble.
    pub fn set_faults(&self, faults: Faults) {
        self.world.set_faults(faults);
    }

    /// The injected trouble now.
    #[must_use]
    pub fn faults(&self) -> Faults {
        (*self.world.faults()).clone()
    }

    /// What happened so far.
    #[must_use]
    pub fn stats(&self) -> Stats {
        self.world.stats()
    }

    /// Every accepted send, oldest first. Clones all of it: page through `/_sim/messages` under load.
    #[must_use]
    pub fn sent_messages(&self) -> Vec<SentMessage> {
        let book = self.world.book();
        let id = |number: usize| self.world.lines.get(number).map_or("", |line| line.id.as_str());
        book.records.iter().map(|record| record.show(id(record.number))).collect()
    }

    /// Every generated customer message, oldest first.
    #[must_use]
    pub fn inbound_messages(&self) -> Vec<InboundRecord> {
        self.world.book().inbound.clone()
    }

    /// A customer does something; the id of the message.
    ///
    /// # Errors
    /// For an unknown business number or a customer without a valid id.
    pub async fn customer_sends(&self, message: CustomerMessage) -> Result<String, ApiError> {
        inbound::take(&self.world, &message)
    }

    /// Posts any webhook change (`account_update`, `history` …) as it is, for the first or the named account.
    ///
    /// # Errors
    /// For an unknown account.
    pub fn inject(&self, field: &str, value: &Value, waba_id: Option<&str>) -> Result<(), ApiError> {
        control::inject(&self.world, field, value, waba_id)
    }

    /// Changes a template's status (PAUSED, DISABLED, APPROVED …) and tells the receiver. False when there is no such id.
    pub fn set_template_status(&self, template_id: &str, status: &str) -> bool {
        let Some((waba, entry)) = manage::find(&self.world, template_id) else { return false };
        let template = Template { status: status.to_owned(), ..entry.template.clone() };
        if let Some(shelf) = self.world.shelves.get(waba) {
            shelf.write().unwrap_or_else(std::sync::PoisonError::into_inner).put(template.clone(), entry.edited_at_ms);
        }
        manage::announce(&self.world, waba, &template);
        true
    }

    /// Forgets messages, people and counters.
    pub fn reset(&self) {
        self.world.reset();
    }

    /// Waits until nothing is waiting to be posted, at most this long; whether it came true. Later statuses do not count.
    pub async fn webhooks_idle(&self, at_most: Duration) -> bool {
        let idle = async {
            loop {
                let stats = self.world.stats();
                if stats.webhook_backlog == 0 && stats.webhook_open_batches == 0 {
                    return;
                }
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
        };
        tokio::time::timeout(at_most, idle).await.is_ok()
    }

    /// Stops: no more answers, no more webhooks.
    pub async fn shutdown(self) {
        self.world.cancel.cancel();
        self.world.tasks.close();
        let _ = tokio::time::timeout(Duration::from_secs(5), self.world.tasks.wait()).await;
    }

    pub(crate) fn world(&self) -> &Arc<World> {
        &self.world
    }
}

impl Drop for Simulator {
    fn drop(&mut self) {
        self.world.cancel.cancel();
    }
}

fn client() -> anyhow::Result<reqwest::Client> {
    // An error only means that a provider is already installed.
    let _ = rustls::crypto::ring::default_provider().install_default();
    reqwest::Client::builder()
        .pool_max_idle_per_host(128)
        .connect_timeout(Duration::from_secs(5))
        .redirect(reqwest::redirect::Policy::none())
        .no_proxy()
        .build()
        .context("cannot build the webhook client")
}
