//! The sections of the configuration, as checked values.

use super::contacts::Contacts;
use super::crm::CrmConnection;
use ponte_domain::Millis;
use ponte_domain::consent::{AskTemplate, AskTexts, ConsentSettings};
use ponte_domain::mapping::trigger::Trigger;
use ponte_domain::policy::PolicySettings;
use ponte_domain::ports::store::SendLimits;
use ponte_domain::rate::Limit;
use ponte_domain::retention::Periods;
use ponte_domain::retry::RetryPolicy;
use ponte_store::Database;
use secrecy::SecretString;
use serde::Deserialize;
use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::PathBuf;

/// Everything the program was told.
#[derive(Debug, Clone)]
pub struct Settings {
    /// `[server]`
    pub server: Server,
    /// Which database, from `[database] url`.
    pub database: Database,
    /// `[database]`
    pub database_section: DatabaseSection,
    /// `[storage] media_dir`
    pub media_dir: PathBuf,
    /// `[log]`
    pub log: Log,
    /// `[whatsapp]`
    pub whatsapp: WhatsApp,
    /// `[[whatsapp.apps]]`
    pub apps: Vec<AppSettings>,
    /// `[[whatsapp.numbers]]`
    pub numbers: Vec<NumberSettings>,
    /// `[dispatch]`
    pub dispatch: Dispatch,
    /// `[retry]`
    pub retry: RetryPolicy,
    /// `[retention]`
    pub retention: Periods,
    /// `[[api.keys]]`
    pub api_keys: Vec<ApiKey>,
    /// `[[crm.connections]]`
    pub crms: Vec<CrmConnection>,
    /// `[secrets] key`
    pub secrets_key: Option<SecretString>,
    /// `[[crm.triggers]]`
    pub triggers: Vec<Trigger>,
    /// `[egress] allow_private`
    pub allow_private: Vec<String>,
    /// `[consent]`
    pub consent: ConsentSettings,
    /// `[policy]`
    pub policy: PolicySettings,
    /// `[contacts]`
    pub contacts: Contacts,
    /// `[hooks]`
    pub hooks: ponte_engine::settings::HookSettings,
    /// `[policy]`: when a line counts as dead.
    pub reach: ponte_domain::reach::Settings,
}

/// `[server]`
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Server {
    /// Address and port.
    pub listen: SocketAddr,
    /// Where browsers reach this server; empty: nowhere. No slash at the end.
    pub public_url: String,
    /// Bytes.
    pub webhook_body_limit: usize,
    /// Bytes.
    pub api_body_limit: usize,
    /// Connections at once.
    pub max_connections: usize,
}

/// `[database]`
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DatabaseSection {
    /// `sqlite:PATH` or `postgres://…`; may hold a password.
    pub url: String,
    /// Connections.
    pub connections: u32,
    /// Migrate at start.
    pub migrate: bool,
}

/// `[log]`
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Log {
    /// Level or filter.
    pub level: String,
    /// Text or JSON.
    pub format: LogFormat,
}

/// How log lines look.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum LogFormat {
    /// For people.
    Text,
    /// For machines.
    Json,
}

/// `[whatsapp]` without its lists.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct WhatsApp {
    /// Meta's API.
    pub base_url: String,
    /// Its version.
    pub version: String,
    /// Milliseconds.
    pub send_timeout_ms: u64,
    /// Hosts besides Meta's that may see the token.
    pub extra_media_hosts: Vec<String>,
}

/// `[[whatsapp.apps]]`, as written.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RawApp {
    pub(super) name: String,
    pub(super) app_secrets: Vec<String>,
    pub(super) verify_token: String,
}

/// An app at Meta.
#[derive(Debug, Clone)]
pub struct AppSettings {
    /// For people.
    pub name: String,
    /// All are valid.
    pub app_secrets: Vec<SecretString>,
    /// For Meta's verification request.
    pub verify_token: SecretString,
}

/// `[[whatsapp.numbers]]`, as written.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RawNumber {
    pub(super) phone_number_id: String,
    pub(super) waba_id: String,
    pub(super) portfolio_id: Option<String>,
    pub(super) brand: Option<String>,
    pub(super) access_token: String,
    #[serde(default = "eighty")]
    pub(super) per_second: u32,
    #[serde(default = "two_hundred_fifty")]
    pub(super) people_per_day: i64,
    #[serde(default = "six")]
    pub(super) pair_seconds: u32,
    #[serde(default = "forty_five")]
    pub(super) pair_burst: u32,
}

const fn eighty() -> u32 {
    80
}
const fn two_hundred_fifty() -> i64 {
    250
}
const fn six() -> u32 {
    6
}
const fn forty_five() -> u32 {
    45
}

/// A business number.
#[derive(Debug, Clone)]
pub struct NumberSettings {
    /// Meta's id.
    pub phone_number_id: String,
    /// Its account.
    pub waba_id: String,
    /// Its brand.
    pub brand: Option<String>,
    /// Token for its calls.
    pub access_token: SecretString,
    /// Its limits.
    pub limits: SendLimits,
}

/// `[dispatch]`
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Dispatch {
    /// Ceiling of the workspace.
    pub plan: Plan,
    /// Calls a second to begin with.
    pub start_per_second: f64,
    /// Share of all processors.
    pub cpu_ceiling: f64,
    /// Calls at once.
    pub max_in_flight: usize,
    /// Milliseconds.
    pub unknown_look_ms: Millis,
    /// Milliseconds.
    pub unknown_settle_ms: Millis,
    /// Milliseconds.
    pub unknown_give_up_ms: Millis,
}

/// A workspace's plan.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Plan {
    /// 300 a minute.
    Standard,
    /// 1,500 a minute.
    Enterprise,
    /// Only Meta's limits.
    Unlimited,
}

impl Plan {
    /// Its limit: spread over the minute, with five seconds' worth at once.
    #[must_use]
    pub fn limit(self) -> Option<Limit> {
        match self {
            Self::Standard => Some(Limit::new(300, 60, 25)),
            Self::Enterprise => Some(Limit::new(1500, 60, 125)),
            Self::Unlimited => None,
        }
    }
}

/// `[retention]`, as written: days, 0 for ever.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(super) struct RawRetention {
    pub(super) journal_days: u32,
    pub(super) content_days: u32,
    pub(super) events_days: u32,
    pub(super) dead_letters_days: u32,
    pub(super) imports_days: u32,
    pub(super) merges_days: u32,
    pub(super) audit_days: u32,
    pub(super) people_days: u32,
}

/// `[secrets]`
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RawSecrets {
    pub(super) key: String,
}

/// `[storage]`
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Storage {
    pub(super) media_dir: PathBuf,
}

/// `[egress]`
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Egress {
    pub(super) allow_private: Vec<String>,
}

/// `[[api.keys]]`, as written.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RawKey {
    pub(super) name: String,
    pub(super) token: String,
}

/// A key for programs.
#[derive(Debug, Clone)]
pub struct ApiKey {
    /// Whose.
    pub name: String,
    /// The key.
    pub token: SecretString,
}

/// `[consent]`, as written.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RawConsent {
    pub(super) confirm_within_hours: f64,
    pub(super) remind_after_hours: f64,
    pub(super) withdraw: BTreeMap<String, Vec<String>>,
    pub(super) confirm: BTreeMap<String, Vec<String>>,
    pub(super) acknowledge: BTreeMap<String, String>,
    pub(super) ask: BTreeMap<String, AskTexts>,
    pub(super) ask_template: Option<AskTemplate>,
}

/// `[policy]`, as written.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RawPolicy {
    pub(super) marketing_per_day: u32,
    pub(super) marketing_per_week: u32,
    pub(super) quiet_from: String,
    pub(super) quiet_until: String,
    pub(super) no_marketing_to: Vec<String>,
    pub(super) unreachable_after: u8,
}
