//! # Simulator
//! Purpose: a WhatsApp Cloud API and CRMs that run on loopback, to build and prove an integration against: anyone's, not
//! only Ponte's. Written from the published contracts.
//! May touch: its own memory and sockets.
//! Must not touch: any other crate of this workspace. A wrong client must fail here, so nothing is shared with the clients.
//! Failure story: state lives in memory. A simulator that dies forgets, as a test double may.

pub mod chance;
mod clock;
mod duplicates;
mod form;
pub mod hubspot;
mod listener;
pub mod salesforce;
pub mod whatsapp;
mod window;
pub mod zoho;
