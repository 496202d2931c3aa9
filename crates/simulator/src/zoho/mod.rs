//! A strict, scriptable, seeded Zoho CRM (API v8): contacts, leads, accounts, deals, tasks, notes and custom modules, their
//! fields, search, COQL, tags, conversion, deleted records, notification channels, the accounts server with its token
//! limits, API credits and faults.
//! May touch: its own memory, one listening socket, receivers of notifications. Must not touch: other crates of the
//! workspace.
//! Failure story: what a client sends wrong is refused as Zoho would; what goes wrong on the way is in [`Faults`].
//!
//! ```no_run
//! # async fn demo() -> anyhow::Result<()> {
//! use ponte_simulator::zoho::{Config, Zoho};
//! let zoho = Zoho::start(Config::default()).await?;
//! println!("{}/_sim/", zoho.base_url());
//! zoho.shutdown().await;
//! # Ok(()) }
//! ```

mod auth;
mod budget;
mod builtin;
mod call;
mod config;
mod control;
mod convert;
mod coql;
mod coql_run;
mod criteria;
mod define;
mod error;
mod gate;
mod lifecycle;
mod list;
mod notify;
mod pages;
mod records;
mod routes;
mod row;
mod scalar;
mod schema;
mod search;
mod settings;
mod stats;
mod table;
mod tags;
#[cfg(test)]
mod tests;
mod time;
mod view;
mod watch;
mod words;
mod world;

pub use crate::duplicates::Duplicates;
pub use config::{ALL_SCOPES, Config, DEFAULT_TOKEN, DataCentre, Faults, Flags, Limits, Oauth, Outage, Token};
pub use stats::Stats;

use crate::chance::Chance;
use crate::clock::Clock;
use crate::listener;
use anyhow::Context as _;
use axum::Router;
use row::Row;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use tokio::net::TcpListener;
use tokio::sync::mpsc;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;
use watch::Notification;
use world::{Store, World};

/// A stored record, as a test looks at it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Record {
    /// Record id, decimal digits.
    pub id: String,
    /// All fields that have a value, as the API shows them, the system's own included.
    pub fields: Map<String, Value>,
    /// Epoch milliseconds, whole seconds.
    pub created_at_ms: i64,
    /// Epoch milliseconds of the last change, whole seconds.
    pub modified_at_ms: i64,
    /// True for a lead that was converted.
    pub converted: bool,
    /// Writes that hit this record, its creation included.
    pub writes: u64,
}

fn export(world: &World, store: &Store, row: &Row) -> Record {
    let mut view = view::record(world, store, row.snapshot(), None);
    let mut fields = view.as_object_mut().map(std::mem::take).unwrap_or_default();
    fields.retain(|name, value| !name.starts_with('$') && !value.is_null());
    Record {
        id: row.id.to_string(),
        fields,
        created_at_ms: row.created_at,
        modified_at_ms: row.modified_at(),
        converted: row.converted,
        writes: row.writes,
    }
}

/// What all requests of one run share.
#[derive(Debug)]
struct Sim {
    config: Config,
    addr: SocketAddr,
    clock: Clock,
    chance: Chance,
    world: Mutex<World>,
    faults: Mutex<Faults>,
    notifications: mpsc::UnboundedSender<Notification>,
    http: reqwest::Client,
    stop: CancellationToken,
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

    /// Address of the home data centre: what tokens come with as `api_domain`.
    fn home(&self) -> String {
        format!("http://{}", self.addr)
    }

    /// Hands what the last write has to tell to the notifications.
    fn forward_events(&self) {
        let mut world = self.world();
        if world.events.is_empty() {
            return;
        }
        for notification in watch::drain(&mut world, &self.home(), self.clock.now_ms()) {
            // A closed receiver means the run is ending; what it had to tell is forgotten like everything else.
            self.notifications.send(notification).ok();
        }
    }
}

/// A running simulator. Dropping it ends it; [`Zoho::shutdown`] also waits for the end.
#[derive(Debug)]
pub struct Zoho {
    sim: Arc<Sim>,
    server: JoinHandle<()>,
}

impl Zoho {
    /// Binds the address and serves.
    ///
    /// # Errors
    /// When a fault share is out of range, the HTTP client cannot be built, or the address cannot be bound.
    pub async fn start(config: Config) -> anyhow::Result<Self> {
        if let Some(name) = config.faults.out_of_range() {
            anyhow::bail!("fault share {name} is not between 0.0 and 1.0");
        }
        // The sender of notifications needs some TLS provider, even for plain HTTP. One that is already there serves as well.
        rustls::crypto::ring::default_provider().install_default().ok();
        let http = reqwest::Client::builder().build().context("building the notification client")?;
        let listener = TcpListener::bind(config.listen).await.context("binding the Zoho simulator")?;
        let addr = listener.local_addr().context("reading the bound address")?;
        let clock = Clock::starting_at(config.start_at_ms);
        let (sender, receiver) = mpsc::unbounded_channel();
        let sim = Arc::new(Sim {
            addr,
            chance: Chance::seeded(config.seed),
            world: Mutex::new(World::new(&config, clock.now_ms())),
            faults: Mutex::new(config.faults.clone()),
            notifications: sender,
            clock,
            http,
            stop: CancellationToken::new(),
            config,
        });
        tokio::spawn(notify::run(Arc::clone(&sim), receiver));
        let server = tokio::spawn(listener::serve(
            "Zoho",
            listener,
            Router::new().fallback(gate::handle).with_state(Arc::clone(&sim)),
            sim.stop.clone(),
        ));
        Ok(Self { sim, server })
    }

    /// The bound address.
    #[must_use]
    pub fn addr(&self) -> SocketAddr {
        self.sim.addr
    }

    /// `http://address:port`: accounts server and API of the home data centre. `…/@eu` is another one.
    #[must_use]
    pub fn base_url(&self) -> String {
        self.sim.home()
    }

    /// Replaces the faults for all requests from now on.
    pub fn set_faults(&self, faults: Faults) {
        self.sim.set_faults(faults);
    }

    /// Counters, sizes and credits.
    #[must_use]
    pub fn stats(&self) -> Stats {
        stats::report(&mut self.sim.world(), self.sim.clock.now_ms())
    }

    /// All live records of a module, oldest first; none for a module that isn't there.
    #[must_use]
    pub fn records(&self, module: &str) -> Vec<Record> {
        let world = self.sim.world();
        let store = world.module_no(module).and_then(|no| world.stores.get(no));
        let export = |store: &Store| store.table.live.values().map(|row| export(&world, store, row)).collect();
        store.map(export).unwrap_or_default()
    }

    /// How often the values of a field occur; `None` for a module or field that isn't there.
    #[must_use]
    pub fn duplicates(&self, module: &str, field: &str) -> Option<Duplicates> {
        let world = self.sim.world();
        stats::duplicates(&world, world.module_no(module)?, field)
    }

    /// Lets the simulated time jump forward, milliseconds.
    pub fn advance(&self, ms: u32) {
        self.sim.clock.advance(ms);
    }

    /// Ends all access tokens now, but for those that never expire.
    pub fn expire_tokens(&self) {
        let now = self.sim.clock.now_ms();
        self.sim.world().auth.expire_all(now);
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

impl Drop for Zoho {
    fn drop(&mut self) {
        self.sim.stop.cancel();
    }
}
