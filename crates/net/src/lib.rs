//! The one door to the outside.
//! Purpose: every outgoing request goes through [`Egress`]: address policy, time-outs, size limits, metrics; plus what every
//! client of an API needs beside it: token refresh ([`RefreshingToken`]), a breaker ([`Breaker`]), and the one place that
//! decides what a failed transport means ([`classify_transport`]).
//! Must not touch: any one API's words; the clock (times are passed in; only sleeps and time-outs are the runtime's).
//! Failure story: each failure says whether anything can have reached the other side ([`NetError::nothing_sent`]). Nothing is
//! tried again here: who asked decides.

pub mod breaker;
mod egress;
pub mod error;
mod fault;
pub mod policy;
mod request;
mod sent;
pub mod token;

pub use breaker::{Breaker, BreakerConfig, BreakerState, Permit};
pub use egress::{Download, Egress, EgressConfig, Response, install_crypto};
pub use error::{NetError, classify_read, classify_transport};
pub use policy::{Policy, PolicyError, Refusal};
pub use request::Request;
pub use token::{FreshToken, Refresh, RefreshingToken, StaticToken, TokenSource};

/// Multipart forms for [`Request::multipart`].
pub use reqwest::multipart;

/// Where time comes from: milliseconds since 1970-01-01T00:00:00Z.
pub type Clock = std::sync::Arc<dyn Fn() -> ponte_domain::Millis + Send + Sync>;
