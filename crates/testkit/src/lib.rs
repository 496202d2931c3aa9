//! # Testkit
//! Purpose: for tests only: PostgreSQL clusters and databases, a MariaDB, a manual clock, seeded chance and identifiers, people who don't
//! exist, and a harness that runs the real program.
//! May touch: temporary folders, loopback ports, processes it started itself.
//! Must not touch: anything a test didn't make. Nothing of the product depends on it.
//! Failure story: what a test started ends with the test, also when the test is killed.

pub mod cluster;
pub mod mariadb;
pub mod people;

#[cfg(feature = "harness")]
pub mod chance;
#[cfg(feature = "harness")]
pub mod clock;
#[cfg(feature = "harness")]
pub mod database;
#[cfg(feature = "harness")]
pub mod file;
#[cfg(feature = "harness")]
pub mod http;
#[cfg(feature = "harness")]
pub mod program;
#[cfg(feature = "harness")]
pub mod raw;

#[cfg(feature = "harness")]
pub use chance::{SeededChance, SeededIds};
#[cfg(feature = "harness")]
pub use clock::ManualClock;
#[cfg(feature = "harness")]
pub use database::{Engine, Place, TestDatabase, databases};
#[cfg(feature = "harness")]
pub use file::SqliteFile;
#[cfg(feature = "harness")]
pub use program::{Program, ProgramOptions, free_port};
#[cfg(feature = "harness")]
pub use raw::Raw;
