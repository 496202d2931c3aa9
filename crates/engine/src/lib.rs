//! # Engine
//! Purpose: the rooms of the one-way flow, one module each: receive, ingest, gate, dispatch, media, write-back, pull, push, triggers, hooks,
//! account; and their schedules.
//! May touch: the ports of the domain, tasks and time-outs of the runtime.
//! Must not touch: any database, WhatsApp's or a CRM's wire format, HTTP.
//! Invariants: every worker is a reconciler: a wake-up is a hint, the periodic look is the truth. No transaction is open during
//! an outside call. Nothing is answered or forgotten before what it caused is durable.

pub mod account;
pub mod connection;
pub mod consent;
pub mod directory;
pub mod dispatch;
pub mod gate;
pub mod hooks;
pub mod housekeeping;
pub mod ingest;
pub mod media;
pub mod news;
pub mod people;
pub mod pull;
pub mod pulse;
pub mod push;
mod question;
pub mod receive;
pub mod retention;
pub mod settings;
pub mod supervisor;
pub mod trigger;
pub mod writeback;

use ponte_domain::ids::{IdSource, WorkspaceId};
use ponte_domain::policy::Places;
use ponte_domain::ports::channel::Channel;
use ponte_domain::ports::hooks::{Hooks, Targets};
use ponte_domain::ports::people::People;
use ponte_domain::ports::retention::Retention;
use ponte_domain::ports::store::Store;
use ponte_domain::ports::sync::CrmSync;
use ponte_domain::ports::world::{Blobs, Chance, Clock};
use std::sync::Arc;

/// What every room may ask.
#[derive(Clone)]
pub struct World {
    /// The tenant.
    pub workspace: WorkspaceId,
    /// Everything durable.
    pub store: Arc<dyn Store>,
    /// People as lists, and the audit log: the same database.
    pub people: Arc<dyn People>,
    /// How reading from CRMs is kept: the same database.
    pub sync: Arc<dyn CrmSync>,
    /// What is too old: the same database.
    pub retention: Arc<dyn Retention>,
    /// Subscriptions to events: the same database.
    pub hooks: Arc<dyn Hooks>,
    /// The way to their targets.
    pub targets: Arc<dyn Targets>,
    /// WhatsApp.
    pub channel: Arc<dyn Channel>,
    /// Files.
    pub blobs: Arc<dyn Blobs>,
    /// Time.
    pub clock: Arc<dyn Clock>,
    /// Chance.
    pub chance: Arc<dyn Chance>,
    /// New identifiers.
    pub ids: Arc<dyn IdSource>,
    /// The configured numbers.
    pub directory: Arc<directory::Numbers>,
    /// What WhatsApp says of the accounts.
    pub accounts: Arc<account::Directory>,
    /// Where people may be, by their phone numbers.
    pub places: Arc<dyn Places>,
    /// Limits and schedules.
    pub settings: Arc<settings::Settings>,
    /// Counters for those who watch.
    pub pulse: Arc<pulse::Pulse>,
}
