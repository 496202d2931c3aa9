//! What the simulated Zoho CRM is told before and during a run.
//! May touch: nothing; plain data with defaults. Must not touch: sockets, the clock.

use crate::chance::Latency;
use serde::{Deserialize, Serialize};
use std::net::{Ipv4Addr, SocketAddr};

/// The access token of a default [`Config`] that never expires.
pub const DEFAULT_TOKEN: &str = "1000.sim-static-token";

/// Scopes that together open everything that is simulated. `ZohoSearch.securesearch.READ` is what search asks for besides
/// the module's own scope.
pub const ALL_SCOPES: [&str; 7] = [
    "ZohoCRM.modules.ALL",
    "ZohoCRM.settings.ALL",
    "ZohoCRM.users.READ",
    "ZohoCRM.org.READ",
    "ZohoCRM.coql.READ",
    "ZohoCRM.notifications.ALL",
    "ZohoSearch.securesearch.READ",
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
    /// Epoch milliseconds the simulated clock starts at; the host's time when absent.
    pub start_at_ms: Option<i64>,
    /// Data centre of the organisation. Others answer under `/@eu/…`, and refuse its tokens as real ones do.
    pub data_centre: DataCentre,
    /// Offset of the times in answers, minutes: the time zone of the user who authorised.
    pub utc_offset_minutes: i32,
    /// Access tokens that never expire.
    pub tokens: Vec<Token>,
    /// The OAuth client.
    pub oauth: Oauth,
    /// Budgets and sizes.
    pub limits: Limits,
    /// Behaviours that differ between organisations, or that nobody documented.
    pub flags: Flags,
    /// Faults at the start; they can be replaced while running.
    pub faults: Faults,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            seed: 1,
            listen: SocketAddr::from((Ipv4Addr::LOCALHOST, 0)),
            start_at_ms: None,
            data_centre: DataCentre::Us,
            utc_offset_minutes: 0,
            tokens: vec![Token { token: DEFAULT_TOKEN.to_owned(), scopes: all_scopes() }],
            oauth: Oauth::default(),
            limits: Limits::default(),
            flags: Flags::default(),
            faults: Faults::default(),
        }
    }
}

/// A data centre: accounts and API servers of their own.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum DataCentre {
    /// zoho.com
    Us,
    /// zoho.eu
    Eu,
    /// zoho.in
    In,
    /// zoho.com.au
    Au,
    /// zoho.jp
    Jp,
    /// zohocloud.ca
    Ca,
    /// zoho.sa
    Sa,
    /// zoho.com.cn
    Cn,
}

impl DataCentre {
    const ALL: [Self; 8] = [Self::Us, Self::Eu, Self::In, Self::Au, Self::Jp, Self::Ca, Self::Sa, Self::Cn];

    /// `location` of the authorisation redirect.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Us => "us",
            Self::Eu => "eu",
            Self::In => "in",
            Self::Au => "au",
            Self::Jp => "jp",
            Self::Ca => "ca",
            Self::Sa => "sa",
            Self::Cn => "cn",
        }
    }

    pub(super) fn parse(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|dc| dc.name() == name)
    }
}

/// An access token that never expires.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Token {
    /// What follows `Zoho-oauthtoken `.
    pub token: String,
    /// Granted scopes; all when absent.
    #[serde(default = "all_scopes")]
    pub scopes: Vec<String>,
}

/// The client of the accounts server: server-based and self client alike.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Oauth {
    /// `client_id`.
    pub client_id: String,
    /// `client_secret`.
    pub client_secret: String,
    /// Redirect address that was registered. A self client's codes are exchanged without one.
    pub redirect_uri: String,
    /// Refresh tokens that are good from the start.
    pub refresh_tokens: Vec<String>,
    /// Grant codes made in the API console (self client), each good for one exchange.
    pub self_client_codes: Vec<String>,
    /// Life of a grant code, seconds: 120 for a redirect, up to 600 for a self client.
    pub code_life_s: i64,
    /// The person at the consent page says no.
    pub refuse_consent: bool,
    /// Scopes of the starting refresh tokens and the self client's codes.
    pub scopes: Vec<String>,
    /// Life of an access token, seconds.
    pub expires_in: i64,
    /// HTTP status of errors of the token endpoint. Zoho answers 200 with an `error` in the body.
    pub error_status: u16,
}

impl Default for Oauth {
    fn default() -> Self {
        Self {
            client_id: "1000.SIMCLIENT".to_owned(),
            client_secret: "sim-client-secret".to_owned(),
            redirect_uri: "http://127.0.0.1/oauth/callback".to_owned(),
            refresh_tokens: vec!["1000.sim-refresh-token".to_owned()],
            self_client_codes: vec!["1000.sim-code".to_owned()],
            code_life_s: 600,
            refuse_consent: false,
            scopes: all_scopes(),
            expires_in: 3600,
            error_status: 200,
        }
    }
}

/// Budgets of the organisation and sizes of the API.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Limits {
    /// API credits per rolling 24 hours.
    pub credits: u32,
    /// Calls at the same time.
    pub concurrency: u32,
    /// Heavy calls at the same time: writes of more than ten rows, search, COQL, conversion.
    pub heavy_concurrency: u32,
    /// Access tokens that one refresh token gives within ten minutes.
    pub access_tokens_per_10_minutes: u32,
    /// Refresh tokens given within a minute.
    pub refresh_tokens_per_minute: u32,
    /// Refresh tokens of one user; one more ends the oldest.
    pub refresh_tokens_per_user: usize,
    /// Rows of one write.
    pub rows: usize,
    /// Rows that `page` reaches.
    pub discrete_rows: usize,
    /// Rows that `page_token` reaches.
    pub token_rows: usize,
    /// Life of a page token, seconds.
    pub page_token_life_s: i64,
    /// Names in `fields`.
    pub fields: usize,
    /// Rows that one search can page through.
    pub search_rows: usize,
    /// Conditions of a search.
    pub criteria: usize,
    /// Rows of one COQL query.
    pub coql_rows: usize,
    /// Rows that a COQL query reaches with `offset`.
    pub coql_reach: usize,
    /// Fields of `order by`.
    pub coql_order: usize,
    /// Custom fields of one module.
    pub custom_fields: usize,
    /// Custom modules.
    pub custom_modules: usize,
    /// Tags of one record.
    pub tags_per_record: usize,
    /// Tags of one module.
    pub tags_per_module: usize,
    /// Life of a notification channel at most, seconds.
    pub channel_life_s: i64,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            // Enterprise with ten users.
            credits: 60_000,
            concurrency: 20,
            heavy_concurrency: 10,
            access_tokens_per_10_minutes: 10,
            refresh_tokens_per_minute: 5,
            refresh_tokens_per_user: 20,
            rows: 100,
            discrete_rows: 2_000,
            token_rows: 100_000,
            page_token_life_s: 86_400,
            fields: 50,
            search_rows: 2_000,
            criteria: 10,
            coql_rows: 2_000,
            coql_reach: 100_000,
            coql_order: 10,
            custom_fields: 300,
            custom_modules: 200,
            tags_per_record: 10,
            tags_per_module: 100,
            channel_life_s: 604_800,
        }
    }
}

/// Behaviours that differ between organisations or are not documented: run a client against both values.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Flags {
    /// A field name that the module doesn't have refuses the row; otherwise it is ignored, silently, and counted.
    pub refuse_unknown_fields: bool,
    /// A value that a pick list doesn't have is taken; otherwise it refuses the row.
    pub open_pick_lists: bool,
    /// Milliseconds until a write shows in search. COQL and lists don't lag.
    pub search_lag_ms: i64,
    /// Search needs `ZohoSearch.securesearch.READ` besides the module's scope.
    pub search_needs_its_scope: bool,
    /// HTTP status when every row of a write failed: 400 by the present contract, 202 in older versions.
    pub all_failed_status: u16,
    /// Reading a record that is gone answers 204; otherwise 400 `INVALID_DATA`.
    pub gone_is_204: bool,
    /// `DUPLICATE_DATA` names the other record in `details.id` too, not only in `details.duplicate_record`.
    pub duplicate_flat_id: bool,
    /// Notifications say `create`, `edit`, `delete`; otherwise `insert`, `update`, `delete`.
    pub notify_with_event_names: bool,
    /// Records that lost a merge are among the permanently deleted ones; otherwise they are nowhere.
    pub merged_are_listed: bool,
}

impl Default for Flags {
    fn default() -> Self {
        Self {
            refuse_unknown_fields: false,
            open_pick_lists: false,
            search_lag_ms: 0,
            search_needs_its_scope: true,
            all_failed_status: 400,
            gone_is_204: false,
            duplicate_flat_id: false,
            notify_with_event_names: false,
            merged_are_listed: true,
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

/// Faults to inject. Shares are 0.0 to 1.0 of the requests (of the rows, for the row faults).
/// The accounts server only knows latency and outage.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Faults {
    /// Added to every answer; it also makes calls overlap, which concurrency limits count.
    pub latency: Latency,
    /// Nothing works.
    pub outage: Option<Outage>,
    /// Answered with 500 `INTERNAL_ERROR`, 502 or 503; nothing applied.
    pub server_error: f64,
    /// The same, but a write was applied.
    pub server_error_after_apply: f64,
    /// Answered 429 although the limits allow the request.
    pub too_many_requests: f64,
    /// Answered 401 `INVALID_TOKEN` although the token is good.
    pub token_refused: f64,
    /// A write is applied and its answer never comes.
    pub timeout_after_apply: f64,
    /// A write is applied and the connection is reset instead of an answer.
    pub reset_after_apply: f64,
    /// How long "never" is before the connection is reset, milliseconds.
    pub hang_ms: u64,
    /// A row fails with `INTERNAL_ERROR`; the same row may pass later.
    pub row_failure: f64,
    /// A row fails with `RECORD_LOCKED`; the same row may pass later.
    pub row_locked: f64,
    /// A row fails with `INVALID_DATA`, as an organisation's own validation rule does.
    pub row_rejection: f64,
    /// Notifications that are sent twice.
    pub notified_twice: f64,
    /// Notifications that are never sent.
    pub notification_lost: f64,
}

impl Default for Faults {
    fn default() -> Self {
        Self {
            latency: Latency::NONE,
            outage: None,
            server_error: 0.0,
            server_error_after_apply: 0.0,
            too_many_requests: 0.0,
            token_refused: 0.0,
            timeout_after_apply: 0.0,
            reset_after_apply: 0.0,
            hang_ms: 120_000,
            row_failure: 0.0,
            row_locked: 0.0,
            row_rejection: 0.0,
            notified_twice: 0.0,
            notification_lost: 0.0,
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
            ("token_refused", self.token_refused),
            ("timeout_after_apply", self.timeout_after_apply),
            ("reset_after_apply", self.reset_after_apply),
            ("row_failure", self.row_failure),
            ("row_locked", self.row_locked),
            ("row_rejection", self.row_rejection),
            ("notified_twice", self.notified_twice),
            ("notification_lost", self.notification_lost),
        ]
        .into_iter()
        .find_map(|(name, share)| (!(0.0..=1.0).contains(&share)).then_some(name))
    }
}
