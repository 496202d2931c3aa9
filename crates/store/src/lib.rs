//! # Store
//! Purpose: everything durable, behind the `Store` port: journal, events, lanes, people, conversations, messages, CRM links.
//! One body of SQL on SQLite (embedded) and PostgreSQL (several nodes).
//! May touch: its database.
//! Must not touch: the network otherwise, the clock (times are passed in), business rules (decided values and pure functions
//! are passed in).
//! Invariants: what a verb did is durable when it returns, whole or not at all; a lost lease or fence changes nothing.
//! Failure story: killed anywhere, the database holds whole transactions; leases run out and others go on.

mod account;
mod address;
mod apply;
mod conn;
mod consent;
mod content;
mod crm;
mod events;
mod gate;
mod hooks;
mod journal;
mod lanes;
mod leases;
mod letters;
mod limits;
mod load;
mod look;
mod media;
mod people;
mod reach;
mod retention;
mod rows;
mod schema;
mod sends;
mod store;
mod sync;
mod upkeep;
mod vault;
mod wake;
mod writer;

pub use schema::SCHEMA_VERSION;
pub use store::{Database, OpenError, Options, SqlStore};
pub use vault::VaultKey;
