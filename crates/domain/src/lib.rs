//! # Domain
//! Purpose: what things are and what is allowed: pure types, rules and state machines, and the ports through which the
//! engine reaches the world.
//! May touch: values.
//! Must not touch: the clock, chance, files, sockets, threads. Nothing of this workspace is below it.
//! Failure story: none. A function of values either answers or says why not.

pub mod account;
pub mod consent;
pub mod conversation;
pub mod crm;
pub mod duplicates;
pub mod error;
pub mod event;
pub mod fields;
pub mod hook;
pub mod identity;
pub mod ids;
pub mod inbound;
pub mod job;
pub mod mapping;
pub mod message;
pub mod outbound;
pub mod people;
pub mod phone;
pub mod policy;
pub mod ports;
pub mod profile;
pub mod rate;
pub mod reach;
pub mod retention;
pub mod retry;
pub mod status;
pub mod survivorship;
pub mod window;

/// A point in time: milliseconds since 1970-01-01T00:00:00Z. Durations in milliseconds use it too, and say so in their name.
pub type Millis = i64;

/// One second in [`Millis`].
pub const SECOND: Millis = 1_000;
/// One minute in [`Millis`].
pub const MINUTE: Millis = 60 * SECOND;
/// One hour in [`Millis`].
pub const HOUR: Millis = 60 * MINUTE;
/// One day in [`Millis`].
pub const DAY: Millis = 24 * HOUR;
