//! Settings of a HubSpot connection. Facts: crm-apis section 1.

use crate::keeper::TokenKeeper;
use ponte_net::BreakerConfig;
use secrecy::SecretString;
use std::fmt;
use std::sync::Arc;

/// The dated API version the paths are built on. HubSpot supports a version for 18 months.
pub const API_VERSION: &str = "2026-09";

/// How the connection signs in.
#[derive(Clone)]
pub enum HubSpotAuth {
    /// A service key, or the static token of a project or legacy private app.
    Static {
        /// The token, sent as `Bearer`.
        token: SecretString,
    },
    /// An OAuth app, installed before: its refresh token gives access tokens of about 30 minutes.
    OAuth {
        /// The app's client id.
        client_id: String,
        /// The app's client secret.
        client_secret: SecretString,
        /// Keeps the installation's refresh token.
        keeper: Arc<dyn TokenKeeper>,
    },
}

impl fmt::Debug for HubSpotAuth {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Static { .. } => "Static",
            Self::OAuth { .. } => "OAuth",
        })
    }
}

/// Settings of a HubSpot connection.
#[derive(Debug, Clone)]
pub struct HubSpotConfig {
    /// Where the API is; no slash at the end.
    pub base_url: String,
    /// Dated API version.
    pub api_version: String,
    /// How to sign in.
    pub auth: HubSpotAuth,
    /// Calls in ten seconds that the account's plan allows (100 Free and Starter, 190 Pro and Enterprise, 110 OAuth apps).
    pub calls_per_10s: u32,
    /// Share of every limit that is used, in percent, so that other users of the same app and clocks that differ don't
    /// make us break it.
    pub budget_percent: u32,
    /// Searches in a second (HubSpot: 5 per account, shared by everyone who searches).
    pub searches_per_second: u32,
    /// Milliseconds for one call.
    pub request_timeout_ms: u64,
    /// Milliseconds a call may wait for its turn within the limits before it is given back as throttled.
    pub max_wait_ms: i64,
    /// Rows in one batch call (HubSpot: at most 100).
    pub batch: usize,
    /// Looks for existing contacts by phone number before making a new one.
    pub match_existing: bool,
    /// Writes `hs_whatsapp_phone_number`. Switches itself off where HubSpot refuses to take it.
    pub write_whatsapp_phone: bool,
    /// Lets the WhatsApp profile name replace names that are in the CRM already.
    pub overwrite_names: bool,
    /// IANA time zone of the HubSpot account: the daily limit ends at its midnight.
    pub time_zone: String,
    /// The app's client secret, which signs its webhooks.
    pub webhook_secret: Option<SecretString>,
    /// When the breaker opens.
    pub breaker: BreakerConfig,
}

impl HubSpotConfig {
    /// The defaults with a way to sign in.
    #[must_use]
    pub fn new(auth: HubSpotAuth) -> Self {
        Self {
            base_url: "https://api.hubapi.com".to_owned(),
            api_version: API_VERSION.to_owned(),
            auth,
            calls_per_10s: 190,
            budget_percent: 97,
            searches_per_second: 5,
            request_timeout_ms: 15_000,
            max_wait_ms: 3_000,
            batch: 100,
            match_existing: true,
            write_whatsapp_phone: true,
            overwrite_names: false,
            time_zone: "UTC".to_owned(),
            webhook_secret: None,
            breaker: BreakerConfig::default(),
        }
    }

    /// Rows in one batch call, within what HubSpot takes.
    pub(crate) fn rows(&self) -> usize {
        self.batch.clamp(1, 100)
    }

    /// The share of a limit that is ours; at least one.
    pub(crate) fn share(&self, limit: u32) -> u32 {
        (limit.saturating_mul(self.budget_percent.clamp(1, 100)) / 100).max(1)
    }
}
