//! The whole program, from the outside: the real binary serves against simulators of WhatsApp and CRMs, on SQLite and on
//! PostgreSQL, and is only spoken to through its public doors: HTTP, signals and the command line.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing, clippy::panic, missing_docs)]

mod account;
mod authorize;
mod clients;
mod config;
mod consent;
mod contacts;
mod crm;
mod desk;
mod door;
mod durable;
mod failures;
mod graph;
mod hooks;
mod inbound;
mod integrations;
#[path = "../../../simulator/tests/support/interop.rs"]
mod interop;
mod kills;
mod nodes;
mod own;
mod people;
mod repeats;
mod retention;
mod rig;
mod salesforce;
mod sending;
mod server;
mod stops;
mod sync;
mod target;
mod unreachable;
mod watched;
mod zoho;
