//! What the simulated HubSpot is told before and during a run.
//! May touch: nothing; plain data with defaults. Must not touch: sockets, the clock.

use crate::chance::Latency;
use serde::{Deserialize, Serialize};
use std::net::{Ipv4Addr, SocketAddr};

/// The static token of a default [`Config`].
pub const DEFAULT_TOKEN: &str = "sim-static-token";

/// Every scope that some endpoint of the simulator asks for.
pub const ALL_SCOPES: [&str; 4] = [
    "crm.objects.contacts.read",
    "crm.objects.contacts.write",
    "crm.schemas.contacts.read",
    "crm.schemas.contacts.write",
];

fn all_scopes() -> Vec<String> {
    ALL_SCOPES.iter().map(ToString::to_string).collect()
}

/// Everything that is fixed for one run.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// Start of the random source: the same seed and the same requests in order give the same faults.
    pub seed: u64,
    /// Where to listen. Port 0 takes a free one.
    pub listen: SocketAddr,
    /// Account number shown by account-info and in webhooks.
    pub portal_id: u64,
    /// Epoch milliseconds the simulated clock starts at; the host's time when absent.
    pub start_at_ms: Option<i64>,
    /// Static bearer tokens: service keys and private apps.
    pub tokens: Vec<Token>,
    /// The OAuth app.
    pub oauth: Oauth,
    /// Rate and search limits.
    pub limits: Limits,
    /// Documented behaviours that differ between accounts, or that nobody documented.
    pub flags: Flags,
    /// Faults at the start; they can be replaced while running.
    pub faults: Faults,
    /// Outgoing webhooks; none when absent.
    pub webhooks: Option<Webhooks>,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            seed: 1,
            listen: SocketAddr::from((Ipv4Addr::LOCALHOST, 0)),
            portal_id: 62_515,
            start_at_ms: None,
            tokens: vec![Token { token: DEFAULT_TOKEN.to_owned(), scopes: all_scopes() }],
            oauth: Oauth::default(),
            limits: Limits::default(),
            flags: Flags::default(),
            faults: Faults::default(),
            webhooks: None,
        }
    }
}

/// A static bearer token. It never expires.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Token {
    /// What follows `Bearer `.
    pub token: String,
    /// Granted scopes; all when absent.
    #[serde(default = "all_scopes")]
    pub scopes: Vec<String>,
}

/// The OAuth app that clients authenticate as.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Oauth {
    /// `client_id` of the form.
    pub client_id: String,
    /// `client_secret` of the form, also the key of webhook signatures.
    pub client_secret: String,
    /// Redirect address that a code must be exchanged with.
    pub redirect_uri: String,
    /// Refresh tokens that are good from the start.
    pub refresh_tokens: Vec<String>,
    /// Authorization codes, each good for one exchange.
    pub authorization_codes: Vec<String>,
    /// Scopes that issued access tokens carry.
    pub scopes: Vec<String>,
    /// Life of an access token, seconds.
    pub expires_in: i64,
    /// True when each refresh replaces the refresh token and kills the old one.
    pub rotate_refresh_tokens: bool,
    /// Life of a code that a browser brings back, seconds. HubSpot doesn't publish it.
    pub code_life_s: i64,
    /// The person at the consent page says no.
    pub refuse_consent: bool,
}

impl Default for Oauth {
    fn default() -> Self {
        Self {
            client_id: "sim-client".to_owned(),
            client_secret: "sim-client-secret".to_owned(),
            redirect_uri: "http://127.0.0.1/oauth/callback".to_owned(),
            refresh_tokens: vec!["sim-refresh-token".to_owned()],
            authorization_codes: vec!["sim-code".to_owned()],
            scopes: all_scopes(),
            expires_in: 1800,
            rotate_refresh_tokens: false,
            code_life_s: 600,
            refuse_consent: false,
        }
    }
}

/// Rate and size limits of the account.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Limits {
    /// Requests per rolling ten seconds, search and OAuth not counted.
    pub burst: u32,
    /// Requests per UTC day.
    pub daily: u32,
    /// Search requests per second.
    pub search_per_second: u32,
    /// Results that one search query can page through.
    pub search_window: usize,
    /// Filter groups in one search.
    pub search_groups: usize,
    /// Filters in one group.
    pub search_filters_per_group: usize,
    /// Filters in one search.
    pub search_filters: usize,
    /// Inputs of one batch call.
    pub batch: usize,
    /// Unique properties per object type, `email` not counted.
    pub unique_properties: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            burst: 190,
            daily: 625_000,
            search_per_second: 5,
            search_window: 10_000,
            search_groups: 5,
            search_filters_per_group: 6,
            search_filters: 18,
            batch: 100,
            unique_properties: 10,
        }
    }
}

/// Behaviours that differ between accounts or are not documented: run a client against both values.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Flags {
    /// A new contact needs an email, first name or last name.
    pub require_name_or_email: bool,
    /// Communications take custom properties.
    pub communications_custom_properties: bool,
    /// Milliseconds until a write shows in search.
    pub search_lag_ms: i64,
    /// Reading a merged contact by its old id gives the winner; otherwise 404.
    pub merged_id_redirects: bool,
    /// A merge makes a third record; otherwise the primary one stays.
    pub merge_creates_new_id: bool,
    /// Batch results come in random order.
    pub shuffle_batch_results: bool,
}

impl Default for Flags {
    fn default() -> Self {
        Self {
            require_name_or_email: true,
            communications_custom_properties: true,
            search_lag_ms: 0,
            merged_id_redirects: false,
            merge_creates_new_id: true,
            shuffle_batch_results: false,
        }
    }
}

/// What a whole outage looks like from outside.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Outage {
    /// Every request is answered 503.
    Unavailable,
    /// Every connection is reset before an answer.
    Drop,
}

/// Faults to inject. Shares are 0.0 to 1.0 of the requests (of the rows, for the two row faults).
/// Token endpoints only know latency and outage.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Faults {
    /// Added to every answer.
    pub latency: Latency,
    /// Nothing works.
    pub outage: Option<Outage>,
    /// Answered with one of 500, 502, 503, 504, 521, 523, 524; nothing applied.
    pub server_error: f64,
    /// The same, but a write was applied.
    pub server_error_after_apply: f64,
    /// Answered 429 although the limits allow the request.
    pub too_many_requests: f64,
    /// Policy name of injected 429s: `TEN_SECONDLY_ROLLING` or `DAILY`. Searches always get `SECONDLY`.
    pub too_many_requests_policy: Policy,
    /// Answered 423 (lock, high volume).
    pub locked: f64,
    /// Answered 477 (account migration) with `Retry-After`.
    pub migrating: f64,
    /// `Retry-After` of a 477, seconds.
    pub migrating_retry_after_s: u64,
    /// A write is applied and its answer never comes.
    pub timeout_after_apply: f64,
    /// A write is applied and the connection is reset instead of an answer.
    pub reset_after_apply: f64,
    /// How long "never" is before the connection is reset, milliseconds.
    pub hang_ms: u64,
    /// A batch row fails with `INTERNAL_ERROR`; the same row may pass later.
    pub row_failure: f64,
    /// A batch row fails with `VALIDATION_ERROR`, as an account's own validation rule does.
    pub row_rejection: f64,
}

impl Default for Faults {
    fn default() -> Self {
        Self {
            latency: Latency::NONE,
            outage: None,
            server_error: 0.0,
            server_error_after_apply: 0.0,
            too_many_requests: 0.0,
            too_many_requests_policy: Policy::TenSecondlyRolling,
            locked: 0.0,
            migrating: 0.0,
            migrating_retry_after_s: 60,
            timeout_after_apply: 0.0,
            reset_after_apply: 0.0,
            hang_ms: 120_000,
            row_failure: 0.0,
            row_rejection: 0.0,
        }
    }
}

impl Faults {
    /// The name of a share outside 0.0 to 1.0, if there is one.
    #[must_use]
    pub fn out_of_range(&self) -> Option<&'static str> {
        [
            ("server_error", self.server_error),
            ("server_error_after_apply", self.server_error_after_apply),
            ("too_many_requests", self.too_many_requests),
            ("locked", self.locked),
            ("migrating", self.migrating),
            ("timeout_after_apply", self.timeout_after_apply),
            ("reset_after_apply", self.reset_after_apply),
            ("row_failure", self.row_failure),
            ("row_rejection", self.row_rejection),
        ]
        .into_iter()
        .find_map(|(name, share)| (!(0.0..=1.0).contains(&share)).then_some(name))
    }
}

/// Which limit a 429 speaks of.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum Policy {
    /// The burst limit.
    TenSecondlyRolling,
    /// The limit per day.
    Daily,
    /// The search limit.
    Secondly,
}

impl Policy {
    /// `policyName` of the answer.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::TenSecondlyRolling => "TEN_SECONDLY_ROLLING",
            Self::Daily => "DAILY",
            Self::Secondly => "SECONDLY",
        }
    }
}

/// Outgoing webhooks about contacts, signed with version 3.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Webhooks {
    /// Where events are posted.
    pub target_url: String,
    /// Signing key; the OAuth app's secret when absent.
    #[serde(default)]
    pub client_secret: Option<String>,
    /// `appId` of every event.
    #[serde(default = "app_id")]
    pub app_id: u64,
    /// What is sent; everything when empty.
    #[serde(default)]
    pub subscriptions: Vec<Subscription>,
    /// Waiting time before a batch is sent, milliseconds.
    #[serde(default = "flush_ms")]
    pub flush_ms: u64,
    /// Time the receiver has to answer, milliseconds.
    #[serde(default = "timeout_ms")]
    pub timeout_ms: u64,
    /// Repetitions after a first failed attempt.
    #[serde(default = "retries")]
    pub retries: u32,
    /// Pause before the first repetition, milliseconds; it doubles each time.
    #[serde(default = "retry_delay_ms")]
    pub retry_delay_ms: u64,
    /// Share of batches sent twice, 0.0 to 1.0.
    #[serde(default)]
    pub duplicates: f64,
}

/// One webhook subscription.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Subscription {
    /// `contact.creation`, `contact.propertyChange`, `contact.deletion`, `contact.privacyDeletion` or `contact.merge`.
    pub event_type: String,
    /// The property, for `contact.propertyChange`: one subscription each.
    #[serde(default)]
    pub property_name: Option<String>,
}

const fn app_id() -> u64 {
    54_321
}
const fn flush_ms() -> u64 {
    50
}
const fn timeout_ms() -> u64 {
    5_000
}
const fn retries() -> u32 {
    10
}
const fn retry_delay_ms() -> u64 {
    1_000
}
