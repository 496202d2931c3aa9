//! # Conformance
//! Purpose: the whole `Store` port with the same bodies on SQLite and on PostgreSQL.
//! May touch: a database of its own per test, by the port and by raw SQL beside it.
//! Must not touch: the store's internals.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing, clippy::panic)]

mod support;

mod consent;
mod crm;
mod edits;
mod events;
mod failure;
mod flat;
mod gate;
mod hooks;
mod ingest;
mod journal;
mod lanes;
mod limits;
mod model;
mod nodes;
mod people;
mod retention;
mod schema;
mod sends;
mod shuffle;
mod sync;
mod vault;
