//! The Zoho CRM connector against a scripted server: what each odd answer means, and whether what is asked keeps to Zoho's published
//! contract. What ends up in the CRM is judged by the simulated one (`crates/ponte/tests/zoho`).
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing, clippy::panic, clippy::result_large_err)]

mod contract;
mod edges;
mod server;
mod tokens;
