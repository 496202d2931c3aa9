//! The SQL connector against real databases: SQLite, PostgreSQL, and MariaDB where it is installed (`cargo xtask setup`) or
//! `PONTE_MYSQL_URL` names a server.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing, clippy::panic, clippy::result_large_err)]

mod bench;
mod checks;
mod reads;
mod writes;
