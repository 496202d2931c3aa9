//! A strict, scriptable, seeded Salesforce: OAuth, the REST API with collections and composite calls, queries with cursors,
//! search, replication, change data capture over the Pub/Sub API, Bulk API 2.0, custom fields and objects, with its allowances, rules and faults.
//! May touch: its own memory, one listening socket. Must not touch: other crates of the workspace.
//! Failure story: what a client sends wrong is refused as Salesforce would; what goes wrong on the way is in [`Faults`].
//!
//! ```no_run
//! # async fn demo() -> anyhow::Result<()> {
//! use ponte_simulator::salesforce::{Config, Salesforce};
//! let salesforce = Salesforce::start(Config::default()).await?;
//! println!("{}/_sim/", salesforce.base_url());
//! salesforce.shutdown().await;
//! # Ok(()) }
//! ```

mod access;
mod auth;
mod builtin;
mod bulk;
mod bulk_query;
mod cell;
mod changes;
mod collections;
mod composite;
mod config;
mod control;
mod cursors;
mod describe;
mod error;
mod gate;
mod ids;
mod index;
mod jwt;
mod limits;
mod metadata;
mod oauth;
mod package;
mod people;
mod pubsub;
mod query;
mod replicate;
mod request;
mod rules;
mod schema;
mod search;
mod sobjects;
mod soql;
mod stats;
mod table;
mod world;
mod write;

pub use crate::duplicates::Duplicates;
pub use config::{
    Allowance, Config, DEFAULT_JWT_KEY, DEFAULT_TOKEN, DuplicateAction, DuplicateRule, Faults, Flags, Limits, Oauth,
    Outage, Token, ValidationRule,
};
pub use stats::Stats;

use crate::chance::Chance;
use crate::clock::Clock;
use crate::listener;
use anyhow::Context as _;
use axum::Router;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::net::TcpListener;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;
use world::World;

/// A stored record, as a test looks at it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Record {
    /// Record id, 18 characters.
    pub id: String,
    /// All values that are set, the computed ones included, as Bulk API 2.0 writes them.
    pub values: BTreeMap<String, String>,
    /// True while it lies in the recycle bin.
    pub deleted: bool,
    /// Writes that hit this record, its creation included.
    pub writes: u64,
}

/// What all requests of one run share.
#[derive(Debug)]
struct Sim {
    config: Config,
    addr: SocketAddr,
    clock: Clock,
    chance: Chance,
    world: Mutex<World>,
    /// One request of the API after the other: a composite one must be undone without undoing others.
    turn: Mutex<()>,
    faults: Mutex<Faults>,
    /// Grows when all open streams are to end.
    streams: AtomicU64,
    stop: CancellationToken,
}

impl Sim {
    fn world(&self) -> MutexGuard<'_, World> {
        self.world.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn turn(&self) -> MutexGuard<'_, ()> {
        self.turn.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn faults(&self) -> Faults {
        self.faults.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn set_faults(&self, faults: Faults) {
        *self.faults.lock().unwrap_or_else(PoisonError::into_inner) = faults;
    }

    fn streams(&self) -> u64 {
        self.streams.load(Ordering::SeqCst)
    }

    fn reset(&self) {
        *self.world() = World::new(&self.config, self.clock.now_ms());
        self.set_faults(self.config.faults.clone());
    }

    fn instance_url(&self) -> String {
        self.config.instance_url.clone().unwrap_or_else(|| format!("http://{}", self.addr))
    }
}

/// A running simulator. Dropping it ends it; [`Salesforce::shutdown`] also waits for the end.
#[derive(Debug)]
pub struct Salesforce {
    sim: Arc<Sim>,
    server: JoinHandle<()>,
}

impl Salesforce {
    /// Binds the address and serves.
    ///
    /// # Errors
    /// When a fault share is out of range or the address cannot be bound.
    pub async fn start(config: Config) -> anyhow::Result<Self> {
        if let Some(name) = config.faults.out_of_range() {
            anyhow::bail!("fault share {name} is not between 0.0 and 1.0");
        }
        let listener = TcpListener::bind(config.listen).await.context("binding the Salesforce simulator")?;
        let addr = listener.local_addr().context("reading the bound address")?;
        let clock = Clock::starting_at(config.start_at_ms);
        let sim = Arc::new(Sim {
            addr,
            chance: Chance::seeded(config.seed),
            world: Mutex::new(World::new(&config, clock.now_ms())),
            turn: Mutex::new(()),
            faults: Mutex::new(config.faults.clone()),
            clock,
            streams: AtomicU64::new(0),
            stop: CancellationToken::new(),
            config,
        });
        let server = tokio::spawn(listener::serve(
            "Salesforce",
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

    /// `http://address:port`: login host and instance in one.
    #[must_use]
    pub fn base_url(&self) -> String {
        format!("http://{}", self.sim.addr)
    }

    /// Replaces the faults for all requests from now on.
    pub fn set_faults(&self, faults: Faults) {
        self.sim.set_faults(faults);
    }

    /// Counters and sizes.
    #[must_use]
    pub fn stats(&self) -> Stats {
        stats::report(&mut self.sim.world(), self.sim.config.limits.daily_requests, self.sim.clock.now_ms())
    }

    /// All live records of an object type, oldest first; none of a type that there is not.
    #[must_use]
    pub fn records(&self, object: &str) -> Vec<Record> {
        let world = self.sim.world();
        let Some((number, _)) = world.schema.find(object) else { return Vec::new() };
        let rows = world.table(number).into_iter().flat_map(table::Table::rows);
        rows.filter(|row| row.deleted_at.is_none()).map(|row| world.export(number, row)).collect()
    }

    /// How often the values of a field occur; `None` when there is no such field.
    #[must_use]
    pub fn duplicates(&self, object: &str, field: &str) -> Option<Duplicates> {
        stats::duplicates(&self.sim.world(), object, field)
    }

    /// Ends all open streams of events now.
    pub fn end_streams(&self) {
        self.sim.streams.fetch_add(1, Ordering::SeqCst);
    }

    /// Ends all sessions now. Static tokens stay.
    pub fn end_sessions(&self) {
        self.sim.world().auth.end_all();
    }

    /// Lets the simulated clock jump forward.
    pub fn advance(&self, by: Duration) {
        self.sim.clock.advance(u32::try_from(by.as_millis()).unwrap_or(u32::MAX));
    }

    /// Forgets records, custom fields, sessions, counters and run-time faults.
    pub fn reset(&self) {
        self.sim.reset();
    }

    /// Stops listening and waits, at most two seconds, for open requests.
    pub async fn shutdown(mut self) {
        listener::ended(&self.sim.stop, &mut self.server).await;
    }
}

impl Drop for Salesforce {
    fn drop(&mut self) {
        self.sim.stop.cancel();
    }
}
