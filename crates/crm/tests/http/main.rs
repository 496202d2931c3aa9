//! The HTTP connector against a little CRM of these tests, strict in what it takes: what is not described there is refused.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing, clippy::panic, clippy::result_large_err)]

mod calls;
mod reads;
mod shop;
mod writes;
