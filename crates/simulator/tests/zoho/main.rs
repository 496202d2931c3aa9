//! The simulated Zoho CRM over real HTTP: each test states one promise of the contract, one limit, or one fault.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing, clippy::panic)]

mod access;
mod client;
mod contract;
mod coql;
mod faults;
mod life;
mod pace;
mod reads;
mod search;
mod settings;
mod tags;
mod watch;
mod writes;
