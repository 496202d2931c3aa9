//! A strict, scriptable, seeded HubSpot: contacts, communications, notes, their properties, associations and search,
//! with OAuth, rate limits, outgoing webhooks and faults.
//! May touch: its own memory, one listening socket, one webhook receiver. Must not touch: other crates of the workspace.
//! Failure story: what a client sends wrong is refused as HubSpot would; what goes wrong on the way is in [`Faults`].
//!
//! ```no_run
//! # async fn demo() -> anyhow::Result<()> {
//! use ponte_simulator::hubspot::{Config, HubSpot};
//! let hubspot = HubSpot::start(Config::default()).await?;
//! println!("{}/_sim/", hubspot.base_url());
//! hubspot.shutdown().await;
//! # Ok(()) }
//! ```

mod associations;
mod auth;
mod batch;
mod builtin;
mod clock;
mod config;
mod control;
mod error;
mod filter;
mod gate;
mod limits;
mod object;
mod objects;
mod phone;
mod properties;
mod request;
mod row;
mod schema;
mod search;
mod stats;
#[cfg(test)]
mod tests;
mod view;
mod webhooks;
mod world;

pub use crate::duplicates::Duplicates;
pub use config::{
    ALL_SCOPES, Config, DEFAULT_TOKEN, Faults, Flags, Limits, Oauth, Outage, Policy, Subscription, Token, Webhooks,
};
pub use stats::Stats;

use crate::chance::Chance;
use crate::clock::Clock;
use crate::listener;
use anyhow::Context as _;
use axum::Router;
use object::Object;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::atomic::AtomicU64;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use tokio::net::TcpListener;
use tokio::sync::mpsc;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;
use world::World;

/// A stored record, as a test looks at it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Record {
    /// Record id, decimal digits.
    pub id: String,
    /// All property values that are set, the computed ones included.
    pub properties: BTreeMap<String, String>,
    /// Links to other records.
    pub associations: Vec<Association>,
    /// Epoch milliseconds.
    pub created_at_ms: i64,
    /// Epoch milliseconds of the last change or logged activity.
    pub updated_at_ms: i64,
    /// True once deleted.
    pub archived: bool,
    /// Writes that hit this record, its creation included.
    pub writes: u64,
}

/// A link to another record.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Association {
    /// Object type of the other record, plural (`contacts`).
    pub to_object: String,
    /// Id of the other record.
    pub to_id: String,
    /// HUBSPOT_DEFINED association type ids (81: communication to contact).
    pub type_ids: Vec<u16>,
}

/// What all requests of one run share.
#[derive(Debug)]
struct Sim {
    config: Config,
    clock: Clock,
    chance: Chance,
    world: Mutex<World>,
    faults: Mutex<Faults>,
    events: Option<mpsc::UnboundedSender<webhooks::Event>>,
    http: reqwest::Client,
    stop: CancellationToken,
    answers: AtomicU64,
}

impl Sim {
    fn world(&self) -> MutexGuard<'_, World> {
        self.world.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn faults(&self) -> Faults {
        self.faults.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn set_faults(&self, faults: Faults) {
        *self.faults.lock().unwrap_or_else(PoisonError::into_inner) = faults;
    }

    fn reset(&self) {
        *self.world() = World::new(&self.config, self.clock.now_ms());
        self.set_faults(self.config.faults.clone());
    }

    /// Hands the events of the last write to the webhooks, in the order they happened.
    fn forward_events(&self) {
        let mut world = self.world();
        for event in world.events.drain(..) {
            if let Some(sender) = &self.events {
                // A closed receiver means the run is ending; its events are forgotten like everything else.
                sender.send(event).ok();
            }
        }
    }

    fn export(&self, object: Object) -> Vec<Record> {
        let world = self.world();
        world.table(object).live.values().map(|row| world.export(object, row)).collect()
    }
}

/// A running simulator. Dropping it ends it; [`HubSpot::shutdown`] also waits for the end.
#[derive(Debug)]
pub struct HubSpot {
    sim: Arc<Sim>,
    addr: SocketAddr,
    server: JoinHandle<()>,
}

impl HubSpot {
    /// Binds the address and serves.
    ///
    /// # Errors
    /// When a fault share is out of range, the HTTP client cannot be built, or the address cannot be bound.
    pub async fn start(config: Config) -> anyhow::Result<Self> {
        if let Some(name) = config.faults.out_of_range() {
            anyhow::bail!("fault share {name} is not between 0.0 and 1.0");
        }
        // The webhook sender needs some TLS provider, even for plain HTTP. One that is already there serves as well.
        rustls::crypto::ring::default_provider().install_default().ok();
        let http = reqwest::Client::builder().build().context("building the webhook client")?;
        let listener = TcpListener::bind(config.listen).await.context("binding the HubSpot simulator")?;
        let addr = listener.local_addr().context("reading the bound address")?;
        let clock = Clock::starting_at(config.start_at_ms);
        let (sender, receiver) = mpsc::unbounded_channel();
        let hooks = config.webhooks.clone();
        let sim = Arc::new(Sim {
            chance: Chance::seeded(config.seed),
            world: Mutex::new(World::new(&config, clock.now_ms())),
            faults: Mutex::new(config.faults.clone()),
            events: hooks.as_ref().map(|_| sender),
            clock,
            http,
            stop: CancellationToken::new(),
            answers: AtomicU64::new(1),
            config,
        });
        if let Some(hooks) = hooks {
            tokio::spawn(webhooks::run(Arc::clone(&sim), hooks, receiver));
        }
        let server = tokio::spawn(listener::serve(
            "HubSpot",
            listener,
            Router::new().fallback(gate::handle).with_state(Arc::clone(&sim)),
            sim.stop.clone(),
        ));
        Ok(Self { sim, addr, server })
    }

    /// The bound address.
    #[must_use]
    pub fn addr(&self) -> SocketAddr {
        self.addr
    }

    /// `http://address:port`, what a client takes for `https://api.hubapi.com`.
    #[must_use]
    pub fn base_url(&self) -> String {
        format!("http://{}", self.addr)
    }

    /// Replaces the faults for all requests from now on.
    pub fn set_faults(&self, faults: Faults) {
        self.sim.set_faults(faults);
    }

    /// Counters and sizes.
    #[must_use]
    pub fn stats(&self) -> Stats {
        stats::report(&self.sim.world())
    }

    /// All live contacts, oldest first.
    #[must_use]
    pub fn contacts(&self) -> Vec<Record> {
        self.sim.export(Object::Contacts)
    }

    /// All live communications, oldest first.
    #[must_use]
    pub fn communications(&self) -> Vec<Record> {
        self.sim.export(Object::Communications)
    }

    /// All live notes, oldest first.
    #[must_use]
    pub fn notes(&self) -> Vec<Record> {
        self.sim.export(Object::Notes)
    }

    /// How often the values of a property occur; `None` for an object type that is not simulated.
    #[must_use]
    pub fn duplicates(&self, object: &str, property: &str) -> Option<Duplicates> {
        Object::parse(object).map(|object| stats::duplicates(&self.sim.world(), object, property))
    }

    /// Ends all OAuth access tokens now. Static tokens stay.
    pub fn expire_tokens(&self) {
        let now = self.sim.clock.now_ms();
        self.sim.world().auth.expire_all(now);
    }

    /// A person disconnects the app: its refresh tokens end, and the access tokens given for them.
    pub fn revoke_tokens(&self) {
        self.sim.world().auth.revoke_all();
    }

    /// Forgets records, tokens, counters and run-time faults.
    pub fn reset(&self) {
        self.sim.reset();
    }

    /// Stops listening and waits, at most two seconds, for open requests.
    pub async fn shutdown(mut self) {
        listener::ended(&self.sim.stop, &mut self.server).await;
    }
}

impl Drop for HubSpot {
    fn drop(&mut self) {
        self.sim.stop.cancel();
    }
}
