//! # WhatsApp
//! Purpose: Meta's Cloud API: verify and parse webhooks, messages to requests, errors to classes, media.
//! May touch: the network, through the egress door only.
//! Must not touch: storage, the clock, retries (the engine decides by [`ponte_domain::error::ErrorClass`]).
//! Failure story: a call either is answered, fails with a class, or has an unknown outcome; nothing is remembered here.

#![allow(clippy::result_large_err, reason = "the port's error says much and is made once per failed call")]

mod client;
pub mod errors;
mod json;
pub mod request;
pub mod verify;
pub mod webhook;

pub use client::{CloudApi, CloudApiConfig, ConfigError, NumberAccess};
