//! What the simulated Salesforce is told before and during a run.
//! May touch: nothing; plain data with defaults. Must not touch: sockets, the clock.

use crate::chance::Latency;
use serde::{Deserialize, Serialize};
use std::net::{Ipv4Addr, SocketAddr};

/// The session token of a default [`Config`]. It does not run out.
pub const DEFAULT_TOKEN: &str = "sim-session-token";

/// The public half of the key that JWT bearer assertions are signed with by default; the other half is for tests only.
pub const DEFAULT_JWT_KEY: &str = include_str!("jwt_public.pem");

/// Everything that is fixed for one run.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// Start of the random source: the same seed and the same requests in order give the same faults.
    pub seed: u64,
    /// Where to listen. Port 0 takes a free one.
    pub listen: SocketAddr,
    /// `instance_url` of token answers; the bound address when absent.
    pub instance_url: Option<String>,
    /// Epoch milliseconds the simulated clock starts at; the host's time when absent.
    pub start_at_ms: Option<i64>,
    /// Session tokens that are good from the start and do not run out.
    pub tokens: Vec<Token>,
    /// The external client app.
    pub oauth: Oauth,
    /// Allowances of the org.
    pub limits: Limits,
    /// Behaviours that differ between orgs.
    pub flags: Flags,
    /// Duplicate rules in force.
    pub duplicate_rules: Vec<DuplicateRule>,
    /// Validation rules in force.
    pub validation_rules: Vec<ValidationRule>,
    /// Fields that field-level security hides from the integration user, as `Contact.Birthdate`.
    pub hidden_fields: Vec<String>,
    /// Fields that it shows but does not let change.
    pub read_only_fields: Vec<String>,
    /// Objects selected for change data capture.
    pub captured: Vec<String>,
    /// Faults at the start; they can be replaced while running.
    pub faults: Faults,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            seed: 1,
            listen: SocketAddr::from((Ipv4Addr::LOCALHOST, 0)),
            instance_url: None,
            start_at_ms: None,
            tokens: vec![Token { token: DEFAULT_TOKEN.to_owned(), scopes: scopes() }],
            oauth: Oauth::default(),
            limits: Limits::default(),
            flags: Flags::default(),
            duplicate_rules: vec![DuplicateRule::standard("Contact"), DuplicateRule::standard("Lead")],
            validation_rules: Vec::new(),
            hidden_fields: Vec::new(),
            read_only_fields: Vec::new(),
            captured: ["Contact", "Lead"].map(str::to_owned).to_vec(),
            faults: Faults::default(),
        }
    }
}

fn scopes() -> Vec<String> {
    ["api", "refresh_token"].map(str::to_owned).to_vec()
}

/// A session token that does not run out.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Token {
    /// What follows `Bearer `.
    pub token: String,
    /// Granted scopes. Without `api` (or `full`) the REST API is closed.
    #[serde(default = "scopes")]
    pub scopes: Vec<String>,
}

/// The external client app that clients authenticate as.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Oauth {
    /// `client_id`: the consumer key.
    pub client_id: String,
    /// `client_secret`: the consumer secret.
    pub client_secret: String,
    /// The callback address that a code must be exchanged with.
    pub redirect_uri: String,
    /// User name of the integration user: `sub` of an assertion.
    pub username: String,
    /// What an assertion's `aud` may be, besides the server's own address.
    pub jwt_audiences: Vec<String>,
    /// RSA key (PEM, `PUBLIC KEY`) that assertions are checked with.
    pub jwt_public_key: String,
    /// True when the app may use client credentials, with its own user to run as.
    pub client_credentials: bool,
    /// True when an authorization code needs a proof key (PKCE).
    pub require_pkce: bool,
    /// Refresh tokens that are good from the start.
    pub refresh_tokens: Vec<String>,
    /// Scopes that sessions carry.
    pub scopes: Vec<String>,
    /// Seconds without a call after which a session ends. The answer does not tell it.
    pub session_timeout_s: i64,
    /// True when each refresh gives a new refresh token, ends the old one, and ends the session that it had opened.
    pub rotate_refresh_tokens: bool,
    /// Life of an authorization code, seconds.
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
            username: "integration@ponte.example".to_owned(),
            jwt_audiences: ["https://login.salesforce.com", "https://test.salesforce.com"].map(str::to_owned).to_vec(),
            jwt_public_key: DEFAULT_JWT_KEY.to_owned(),
            client_credentials: true,
            require_pkce: true,
            refresh_tokens: vec!["sim-refresh-token".to_owned()],
            scopes: scopes(),
            session_timeout_s: 7_200,
            rotate_refresh_tokens: true,
            code_life_s: 600,
            refuse_consent: false,
        }
    }
}

/// Allowances of the org. The defaults are those of an Enterprise Edition with few users.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Limits {
    /// API requests in rolling 24 hours.
    pub daily_requests: u32,
    /// Long-running requests at the same time.
    pub concurrent_long: usize,
    /// Milliseconds after which a request counts as long-running.
    pub long_request_ms: i64,
    /// Data storage, megabytes; most records take two kilobytes.
    pub data_storage_mb: u64,
    /// Rows of one collection call.
    pub collection: usize,
    /// Object types' changes of one collection call: runs of rows of one type.
    pub collection_chunks: usize,
    /// Subrequests of one composite call.
    pub composite: usize,
    /// Most rows in one answer of a query.
    pub query_batch: usize,
    /// Open query cursors of the user; one more closes the oldest.
    pub query_cursors: usize,
    /// Seconds after which an unused cursor is gone.
    pub cursor_life_s: i64,
    /// Ingest batches in rolling 24 hours.
    pub bulk_batches: u32,
    /// Query jobs in rolling 24 hours.
    pub bulk_query_jobs: u32,
    /// Bytes of one upload of an ingest job, before base64.
    pub bulk_upload_bytes: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            daily_requests: 115_000,
            concurrent_long: 25,
            long_request_ms: 20_000,
            data_storage_mb: 10_240,
            collection: 200,
            collection_chunks: 10,
            composite: 25,
            query_batch: 2_000,
            query_cursors: 10,
            cursor_life_s: 900,
            bulk_batches: 15_000,
            bulk_query_jobs: 10_000,
            bulk_upload_bytes: 100_000_000,
        }
    }
}

/// Behaviours that differ between orgs: run a client against both values.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Flags {
    /// Milliseconds until a write shows in SOSL search.
    pub search_lag_ms: i64,
    /// Milliseconds that `latestDateCovered` of getUpdated and getDeleted stays behind.
    pub replication_lag_ms: i64,
    /// Milliseconds that a bulk job takes.
    pub bulk_job_ms: i64,
    /// The user sees and edits records of all object types.
    pub modify_all_data: bool,
    /// The user may deploy metadata.
    pub customize_application: bool,
    /// Milliseconds after which a stream of events without events shows a sign of life.
    pub keepalive_ms: u64,
    /// A query cursor dies with the session that opened it.
    pub cursors_end_with_session: bool,
}

impl Default for Flags {
    fn default() -> Self {
        Self {
            search_lag_ms: 0,
            replication_lag_ms: 0,
            bulk_job_ms: 0,
            modify_all_data: true,
            customize_application: true,
            keepalive_ms: 270_000,
            cursors_end_with_session: true,
        }
    }
}

/// What a duplicate rule does about a match.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum DuplicateAction {
    /// Refused, unless `Sforce-Duplicate-Rule-Header: allowSave=true`.
    Alert,
    /// Refused.
    Block,
}

/// A duplicate rule: a live record with the same values in all of `fields` is a match.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DuplicateRule {
    /// Developer name.
    pub name: String,
    /// Object type.
    pub object: String,
    /// Fields compared, upper and lower case alike; the first with an index is looked up.
    pub fields: Vec<String>,
    /// What happens.
    pub action: DuplicateAction,
}

impl DuplicateRule {
    /// Same last name and e-mail address: an exact form of the standard rule.
    fn standard(object: &str) -> Self {
        Self {
            name: format!("Standard_{object}_Duplicate_Rule"),
            object: object.to_owned(),
            fields: ["Email", "LastName"].map(str::to_owned).to_vec(),
            action: DuplicateAction::Alert,
        }
    }
}

/// A validation rule: a record whose field has this value is refused.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ValidationRule {
    /// Object type.
    pub object: String,
    /// Field looked at.
    pub field: String,
    /// The value that is refused; an absent one refuses an empty field.
    #[serde(default)]
    pub value: Option<String>,
    /// What the refusal says.
    pub message: String,
}

/// What a whole outage looks like from outside.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Outage {
    /// Every request is answered 503 `SERVER_UNAVAILABLE`.
    Unavailable,
    /// Every connection is reset before an answer.
    Drop,
    /// A web page with status 503, as during maintenance.
    Maintenance,
}

/// Which allowance an injected `REQUEST_LIMIT_EXCEEDED` speaks of.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Allowance {
    /// Long-running requests: passes in seconds.
    Concurrent,
    /// Requests of 24 hours: passes in hours.
    Total,
}

impl Allowance {
    pub(super) const fn message(self) -> &'static str {
        match self {
            Self::Concurrent => "ConcurrentRequests (Concurrent API Requests) Limit exceeded.",
            Self::Total => "TotalRequests Limit exceeded.",
        }
    }
}

/// Faults to inject. Shares are 0.0 to 1.0 of the requests (of the rows, for the three row faults).
/// Token endpoints only know latency and outage.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Faults {
    /// Added to every answer.
    pub latency: Latency,
    /// Nothing works.
    pub outage: Option<Outage>,
    /// Answered with one of 500, 502, 503, 504; nothing applied.
    pub server_error: f64,
    /// The same, but a write was applied.
    pub server_error_after_apply: f64,
    /// Answered 403 `REQUEST_LIMIT_EXCEEDED` although the allowance is not spent.
    pub request_limit: f64,
    /// Which allowance such an answer names.
    pub request_limit_kind: Allowance,
    /// The session is ended by an administrator: 401 from then on.
    pub session_lost: f64,
    /// A query is answered `QUERY_TIMEOUT`.
    pub query_timeout: f64,
    /// A write is applied and its answer never comes.
    pub timeout_after_apply: f64,
    /// A write is applied and the connection is reset instead of an answer.
    pub reset_after_apply: f64,
    /// How long "never" is before the connection is reset, milliseconds.
    pub hang_ms: u64,
    /// A row fails with `UNABLE_TO_LOCK_ROW`; the same row may pass later.
    pub row_lock: f64,
    /// A row fails with `UNKNOWN_EXCEPTION`; the same row may pass later.
    pub row_failure: f64,
    /// A row fails with `FIELD_CUSTOM_VALIDATION_EXCEPTION`.
    pub row_rejection: f64,
    /// A row that a person writes carries an older SystemModstamp than its commit, as a long transaction leaves it.
    pub late_stamp: f64,
    /// How much older, milliseconds.
    pub late_stamp_ms: i64,
    /// The org has lost its API: 403 `API_DISABLED_FOR_ORG`.
    pub api_disabled: bool,
}

impl Default for Faults {
    fn default() -> Self {
        Self {
            latency: Latency::NONE,
            outage: None,
            server_error: 0.0,
            server_error_after_apply: 0.0,
            request_limit: 0.0,
            request_limit_kind: Allowance::Concurrent,
            session_lost: 0.0,
            query_timeout: 0.0,
            timeout_after_apply: 0.0,
            reset_after_apply: 0.0,
            hang_ms: 120_000,
            row_lock: 0.0,
            row_failure: 0.0,
            row_rejection: 0.0,
            late_stamp: 0.0,
            late_stamp_ms: 15_000,
            api_disabled: false,
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
            ("request_limit", self.request_limit),
            ("session_lost", self.session_lost),
            ("query_timeout", self.query_timeout),
            ("timeout_after_apply", self.timeout_after_apply),
            ("reset_after_apply", self.reset_after_apply),
            ("row_lock", self.row_lock),
            ("row_failure", self.row_failure),
            ("row_rejection", self.row_rejection),
            ("late_stamp", self.late_stamp),
        ]
        .into_iter()
        .find_map(|(name, share)| (!(0.0..=1.0).contains(&share)).then_some(name))
    }
}
