//! Ports: what the engine needs from the world, as traits. Adapters live in store, whatsapp, crm and ponte.

pub mod access;
pub mod account;
pub mod channel;
pub mod crm;
pub mod hooks;
pub mod people;
pub mod retention;
pub mod store;
pub mod sync;
pub mod vault;
pub mod world;
