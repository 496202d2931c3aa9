//! The commands, one module each. They print for people; with `--json` for programs, one JSON value on standard output.

pub mod audit;
pub mod check;
pub mod consent;
pub mod contacts;
pub mod crm;
pub mod dead_letters;
pub mod demo;
pub mod events;
pub mod fields;
pub mod hooks;
pub mod journal;
pub mod messages;
pub mod migrate;
pub mod replay;
pub mod retention;
pub mod send;
pub mod serve;
pub mod simulate;
pub mod status;
pub mod templates;

use jiff::Timestamp;
use ponte_domain::Millis;
use serde::Serialize;

/// Prints one JSON value.
pub fn print_json(value: &impl Serialize) -> anyhow::Result<()> {
    println!("{}", serde_json::to_string(value)?);
    Ok(())
}

/// A time for people: UTC, to the second.
pub fn when(at: Millis) -> String {
    Timestamp::from_millisecond(at).map_or_else(|_| at.to_string(), |t| t.strftime("%Y-%m-%d %H:%M:%S").to_string())
}
