//! What goes wrong on purpose. All of it can be changed while the simulator runs.
//! May touch: nothing. Must not touch: state; this is data.

use crate::chance::Latency;
use serde::{Deserialize, Deserializer, Serialize};
use std::collections::BTreeMap;

/// Trouble to inject. Shares are 0.0 (never) to 1.0 (always); the default is no trouble at all.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Faults {
    /// Added to every API answer (not to `/_sim/`).
    pub latency: Latency,
    /// Send errors by code: `{"131000": 0.01, "130429": 0.02}`; nothing is sent for them.
    #[serde(deserialize_with = "by_code")]
    pub errors: BTreeMap<u32, f64>,
    /// Failures by `failed` status after an accepted send, by code.
    #[serde(deserialize_with = "by_code")]
    pub late_errors: BTreeMap<u32, f64>,
    /// At most this many accepted sends per second over all numbers; more get 130429.
    pub throttle_per_s: Option<u32>,
    /// The send is accepted and its statuses come, but the HTTP answer never does.
    pub timeout_after_accept: f64,
    /// The send is accepted and its statuses come, but the connection is reset instead of an answer.
    pub reset_after_accept: f64,
    /// The send is not accepted and no answer comes.
    pub timeout_before_accept: f64,
    /// The send is not accepted and the connection is reset.
    pub reset_before_accept: f64,
    /// The send is accepted and its statuses come, but the answer is an HTTP 500 without a usable body.
    pub http_500_after_accept: f64,
    /// Share of webhook updates that are delivered a second time.
    pub webhook_duplicates: f64,
    /// Share of webhook updates that are held back, so that later ones overtake them.
    pub webhook_reordered: f64,
    /// How long a held-back update waits at most, milliseconds.
    pub webhook_reorder_window_ms: u64,
    /// Added to every webhook update.
    pub webhook_delay: Latency,
    /// Share of webhook posts signed with a wrong secret (a receiver must refuse them; the right one follows).
    pub webhook_bad_signatures: f64,
    /// Share of media
    /// calls (upload, address, download) that fail with 131000 / HTTP 500.
    pub media_failures: f64,
    /// Whether the API is down now: HTTP 503 with code 2, or refused connections.
    pub outage: bool,
    /// During an outage connections are dropped instead of being answered with 503.
    pub outage_refuses: bool,
    /// Outages by time since start.
    pub outages: Vec<Span>,
    /// Whether webhooks cannot leave now. They wait and are retried.
    pub webhook_outage: bool,
    /// Webhook outages by time since start.
    pub webhook_outages: Vec<Span>,
}

/// From (inclusive) and to (exclusive), milliseconds since the simulator started.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Span {
    /// Begin.
    pub from_ms: u64,
    /// End.
    pub to_ms: u64,
}

impl Default for Faults {
    fn default() -> Self {
        Self {
            latency: Latency::NONE,
            errors: BTreeMap::new(),
            late_errors: BTreeMap::new(),
            throttle_per_s: None,
            timeout_after_accept: 0.0,
            reset_after_accept: 0.0,
            timeout_before_accept: 0.0,
            reset_before_accept: 0.0,
            http_500_after_accept: 0.0,
            webhook_duplicates: 0.0,
            webhook_reordered: 0.0,
            webhook_reorder_window_ms: 2_000,
            webhook_delay: Latency::NONE,
            webhook_bad_signatures: 0.0,
            media_failures: 0.0,
            outage: false,
            outage_refuses: false,
            outages: Vec::new(),
            webhook_outage: false,
            webhook_outages: Vec::new(),
        }
    }
}

impl Faults {
    /// Whether the API is down at this time since start.
    #[must_use]
    pub fn api_down(&self, elapsed_ms: u64) -> bool {
        self.outage || within(&self.outages, elapsed_ms)
    }

    /// Whether webhooks are stuck at this time since start.
    #[must_use]
    pub fn webhooks_down(&self, elapsed_ms: u64) -> bool {
        self.webhook_outage || within(&self.webhook_outages, elapsed_ms)
    }

    /// The code whose share `roll` (uniform in 0.0..1.0) falls into.
    #[must_use]
    pub fn pick(mix: &BTreeMap<u32, f64>, roll: f64) -> Option<u32> {
        let mut edge = 0.0;
        mix.iter().find_map(|(code, share)| {
            edge += share;
            (roll < edge).then_some(*code)
        })
    }
}

/// Codes are written as texts in TOML tables and JSON objects alike.
fn by_code<'de, D: Deserializer<'de>>(from: D) -> Result<BTreeMap<u32, f64>, D::Error> {
    let shares = BTreeMap::<String, f64>::deserialize(from)?;
    let number = |(code, share): (String, f64)| match code.parse() {
        Ok(code) if (0.0..=1.0).contains(&share) => Ok((code, share)),
        _ => Err(serde::de::Error::custom(format!("`{code}`: expected an error code and a share from 0.0 to 1.0"))),
    };
    shares.into_iter().map(number).collect()
}

fn within(spans: &[Span], elapsed_ms: u64) -> bool {
    spans.iter().any(|span| (span.from_ms..span.to_ms).contains(&elapsed_ms))
}
