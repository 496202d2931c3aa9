//! What the simulated platform consists of: accounts, numbers, templates, rules and timing.
//! May touch: nothing. Must not touch: sockets; this is data, read from TOML or JSON.

use super::clock::Clock;
use super::faults::Faults;
use super::templates::Template;
use crate::chance::Latency;
use serde::{Deserialize, Serialize};
use std::net::SocketAddr;

/// The whole simulator. The default is believable: one account, two numbers, a handful of templates.
#[derive(Debug, Clone, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// Chance starts here: the same seed and the same calls in the same order give the same answers.
    pub seed: u64,
    /// Where to listen. Port 0 takes a free one.
    pub listen: SocketAddr,
    /// The current Graph API version, answered in `facebook-api-version`.
    pub graph_version: String,
    /// The one valid bearer token.
    pub access_token: String,
    /// App id, for `debug_token`, subscriptions and uploads.
    pub app_id: String,
    /// App secret: signs the webhooks.
    pub app_secret: String,
    /// Where webhooks go from the start, as if the app and every account were subscribed to all fields.
    pub webhook: Option<WebhookTarget>,
    /// WhatsApp Business accounts.
    pub wabas: Vec<Waba>,
    /// Trouble from the start.
    pub faults: Faults,
    /// What becomes of accepted messages.
    pub status: StatusBehaviour,
    /// Limits and rules that Meta enforces.
    pub rules: Rules,
    /// How webhooks are posted.
    pub delivery: Delivery,
    /// How many of the newest sent messages keep their whole body in the ledger.
    pub keep_bodies: usize,
    /// Time of day. Not part of a configuration file.
    #[serde(skip)]
    pub clock: Clock,
}

/// Where webhooks are posted to.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct WebhookTarget {
    /// Absolute `http://` or `https://` address.
    pub url: String,
    /// What the receiver expects in `hub.verify_token`.
    pub verify_token: String,
}

/// One WhatsApp Business account.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Waba {
    /// Account id.
    pub id: String,
    /// Business portfolio: messaging limits and business-scoped user ids belong to it.
    pub portfolio_id: String,
    /// Business phone numbers.
    pub numbers: Vec<Number>,
    /// Message templates.
    #[serde(default)]
    pub templates: Vec<Template>,
}

/// One business phone number.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Number {
    /// Phone number id, the one in paths.
    pub id: String,
    /// As shown, e.g. `+1 555-078-3881`.
    pub display_phone_number: String,
    /// Approved display name.
    pub verified_name: String,
    /// GREEN, YELLOW, RED or UNKNOWN.
    #[serde(default = "green")]
    pub quality: String,
    /// Messages per second before 130429.
    #[serde(default = "eighty")]
    pub throughput_per_s: u32,
    /// TIER_250, TIER_2K, TIER_10K, TIER_100K or TIER_UNLIMITED; the highest of a portfolio's numbers counts for all.
    #[serde(default = "tier")]
    pub messaging_limit: String,
    /// Whether the number is registered from the start (else 133010 until `register`).
    #[serde(default = "yes")]
    pub registered: bool,
    /// Whether the number was verified by code (else `register` gives 133006).
    #[serde(default = "yes")]
    pub verified: bool,
    /// Two-step PIN; `None` accepts the first one set.
    #[serde(default)]
    pub pin: Option<String>,
}

/// When and whether statuses come.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct StatusBehaviour {
    /// From accepted to `sent` (or `failed`).
    pub sent: Latency,
    /// From `sent` to `delivered`.
    pub delivered: Latency,
    /// From `delivered` to `read`.
    pub read: Latency,
    /// From `read` to `played` (voice messages only).
    pub played: Latency,
    /// Share of messages that reach a device at all; the others stay at `sent`.
    pub delivered_share: f64,
    /// Share of the delivered ones that are read (receipts on).
    pub read_share: f64,
    /// Share of the read ones whose `delivered` is skipped.
    pub skip_delivered_share: f64,
    /// Share of the read voice messages that are played.
    pub played_share: f64,
    /// Service messages per number and month that are free (since 2026-10-01).
    pub free_service_messages: u64,
}

/// Where an error that Meta reports after accepting shows up.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ErrorPlace {
    /// In the answer of the send.
    Sync,
    /// As a `failed` status.
    Webhook,
}

/// What happens to a `to` without `+`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum MissingPlus {
    /// The business number's own calling code is put in front, as documented.
    PrependCountry,
    /// Taken as if the `+` were there.
    Tolerate,
}

/// Limits and rules.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Rules {
    /// Where 131047 (outside the 24-hour window) is reported.
    pub window_error: ErrorPlace,
    /// Length of the customer service window, milliseconds.
    pub window_ms: i64,
    /// What a `to` without `+` means.
    pub missing_plus: MissingPlus,
    /// Whether Brazilian and Mexican numbers come back changed in `wa_id`.
    pub rewrite_wa_id: bool,
    /// Numbers (digits) ending so have no WhatsApp: accepted, then failed 131026. Empty switches the rule off.
    pub unreachable_suffix: String,
    /// More numbers (digits) without WhatsApp.
    pub unreachable: Vec<String>,
    /// Sends to one recipient that may be borrowed at once before 131056. 0 switches the rule off.
    pub pair_burst: u32,
    /// One more send to a recipient per this many milliseconds.
    pub pair_refill_ms: i64,
    /// Code reported when the portfolio's unique-user limit is used up (not documented by Meta).
    pub portfolio_limit_code: u32,
    /// Whether marketing templates to US numbers fail with 131049.
    pub us_marketing_blocked: bool,
    /// Management calls per hour and account before 80007.
    pub management_per_hour: u32,
    /// How long a created or edited template stays PENDING, milliseconds.
    pub template_review_ms: u64,
    /// Life of a media address, milliseconds.
    pub media_url_ms: i64,
    /// The code that `verify_code` accepts.
    pub verification_code: String,
}

/// Webhook posting.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Delivery {
    /// Updates in one POST at most (Meta: up to 1,000).
    pub batch_max: usize,
    /// From this many waiting updates on they are batched; fewer get a POST each. 0 batches always.
    pub batch_from: usize,
    /// Bytes of one body at most (Meta: 3 MB).
    pub body_max: usize,
    /// How long updates gather before posting, milliseconds.
    pub gather_ms: u64,
    /// POSTs at the same time.
    pub in_flight: usize,
    /// Batches that may be open (posting or waiting for a retry); beyond that updates wait unposted.
    pub open_max: usize,
    /// Time-out of one POST, milliseconds.
    pub timeout_ms: u64,
    /// First pause after a failure, milliseconds; doubles up to `retry_max_ms`.
    pub retry_first_ms: u64,
    /// Longest pause, milliseconds.
    pub retry_max_ms: u64,
    /// After this long a batch is given up (Meta: 7 days), milliseconds.
    pub give_up_ms: u64,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            seed: 1,
            listen: SocketAddr::from(([127, 0, 0, 1], 0)),
            graph_version: "v26.0".into(),
            access_token: "simulated-token".into(),
            app_id: "670843887433847".into(),
            app_secret: "simulated-app-secret".into(),
            webhook: None,
            wabas: vec![super::defaults::waba()],
            faults: Faults::default(),
            status: StatusBehaviour::default(),
            rules: Rules::default(),
            delivery: Delivery::default(),
            keep_bodies: 10_000,
            clock: Clock::default(),
        }
    }
}

impl Default for StatusBehaviour {
    fn default() -> Self {
        Self {
            sent: Latency { p50_ms: 250, p99_ms: 2_000 },
            delivered: Latency { p50_ms: 700, p99_ms: 8_000 },
            read: Latency { p50_ms: 8_000, p99_ms: 120_000 },
            played: Latency { p50_ms: 4_000, p99_ms: 60_000 },
            delivered_share: 0.98,
            read_share: 0.7,
            skip_delivered_share: 0.01,
            played_share: 0.8,
            free_service_messages: 1_000,
        }
    }
}

impl StatusBehaviour {
    /// Every message is sent, delivered and read, each after `ms` milliseconds. Handy in tests.
    #[must_use]
    pub fn prompt(ms: u64) -> Self {
        let step = Latency { p50_ms: ms, p99_ms: ms };
        Self {
            sent: step,
            delivered: step,
            read: step,
            played: step,
            delivered_share: 1.0,
            read_share: 1.0,
            skip_delivered_share: 0.0,
            played_share: 1.0,
            free_service_messages: 1_000,
        }
    }
}

impl Default for Rules {
    fn default() -> Self {
        Self {
            window_error: ErrorPlace::Webhook,
            window_ms: 24 * 3_600_000,
            missing_plus: MissingPlus::PrependCountry,
            rewrite_wa_id: true,
            unreachable_suffix: "0000".into(),
            unreachable: Vec::new(),
            pair_burst: 45,
            pair_refill_ms: 6_000,
            portfolio_limit_code: 131_048,
            us_marketing_blocked: true,
            management_per_hour: 5_000,
            template_review_ms: 2_000,
            media_url_ms: 300_000,
            verification_code: "123456".into(),
        }
    }
}

impl Default for Delivery {
    fn default() -> Self {
        Self {
            batch_max: 1_000,
            batch_from: 8,
            body_max: 3_000_000,
            gather_ms: 5,
            in_flight: 64,
            open_max: 256,
            timeout_ms: 10_000,
            retry_first_ms: 500,
            retry_max_ms: 60_000,
            give_up_ms: 7 * 86_400_000,
        }
    }
}

fn green() -> String {
    "GREEN".into()
}
fn eighty() -> u32 {
    80
}
fn tier() -> String {
    "TIER_10K".into()
}
fn yes() -> bool {
    true
}

/// Unique users per rolling 24 hours of a limit's name; `None` is unlimited.
#[must_use]
pub fn tier_users(tier: &str) -> Option<usize> {
    match tier {
        "TIER_50" => Some(50),
        "TIER_250" => Some(250),
        "TIER_1K" => Some(1_000),
        "TIER_2K" => Some(2_000),
        "TIER_10K" => Some(10_000),
        "TIER_100K" => Some(100_000),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_names_what_differs_and_nothing_unknown() {
        let config: Config = toml::from_str(
            r#"
            seed = 9
            listen = "127.0.0.1:8089"
            webhook = { url = "http://127.0.0.1:8080/hook", verify_token = "t" }
            [faults]
            errors = { 131000 = 0.01 }
            latency = { p50_ms = 20, p99_ms = 200 }
            outages = [{ from_ms = 1000, to_ms = 2000 }]
            [rules]
            window_error = "sync"
            [[wabas]]
            id = "1"
            portfolio_id = "2"
            numbers = [{ id = "3", display_phone_number = "+1 555 0100", verified_name = "Shop" }]
            "#,
        )
        .unwrap();
        assert_eq!(
            (config.seed, config.rules.window_error, config.wabas[0].numbers[0].throughput_per_s),
            (9, ErrorPlace::Sync, 80)
        );
        assert_eq!(Faults::pick(&config.faults.errors, 0.005), Some(131_000));
        assert!(config.faults.api_down(1_000) && !config.faults.api_down(2_000));
        assert!(toml::from_str::<Config>("sede = 9").is_err());
        assert!(toml::from_str::<Config>("[faults]\nerrors = { 131000 = 1.5 }").is_err());
    }
}
