//! The Zoho CRM connector against the simulated Zoho CRM, which knows Zoho's contract and shares no code with it: what is
//! in the CRM afterwards, what it cost, and that no limit was met that could be known.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing, clippy::panic, missing_docs)]

mod changes;
mod chaos;
mod limits;
mod notices;
mod people;
mod rig;
mod texts;
