//! The Salesforce connector against the simulated Salesforce, which shares no code with it: the package of metadata as it is deployed,
//! people and messages written and read, changes followed, limits kept, faults outlived.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing, clippy::panic, missing_docs)]

mod chaos;
mod limits;
mod package;
mod people;
mod reads;
mod rig;
mod sessions;
mod stream;
mod written;
