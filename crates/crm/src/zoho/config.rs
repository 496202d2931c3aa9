//! Settings of a Zoho CRM connection. Facts: crm-apis section 3.

use ponte_net::BreakerConfig;
use secrecy::SecretString;

/// The API version the paths are built on.
pub const API_VERSION: &str = "v8";

/// Where an organisation lives. Accounts server and API go together; tokens of one are unknown to the others.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DataCentre {
    /// United States: `zoho.com`.
    Us,
    /// Europe: `zoho.eu`.
    Eu,
    /// India: `zoho.in`.
    In,
    /// Australia: `zoho.com.au`.
    Au,
    /// Japan: `zoho.jp`.
    Jp,
    /// China: `zoho.com.cn`.
    Cn,
    /// Canada: `zohocloud.ca`.
    Ca,
    /// Saudi Arabia: `zoho.sa`.
    Sa,
}

impl DataCentre {
    /// All of them.
    pub const ALL: [Self; 8] = [Self::Us, Self::Eu, Self::In, Self::Au, Self::Jp, Self::Cn, Self::Ca, Self::Sa];

    /// Its short name: `us`, `eu`, …
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Us => "us",
            Self::Eu => "eu",
            Self::In => "in",
            Self::Au => "au",
            Self::Jp => "jp",
            Self::Cn => "cn",
            Self::Ca => "ca",
            Self::Sa => "sa",
        }
    }

    /// The data centre of a short name.
    #[must_use]
    pub fn parse(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|dc| dc.name() == name)
    }

    /// Its accounts server; no slash at the end.
    #[must_use]
    pub const fn accounts(self) -> &'static str {
        match self {
            Self::Us => "https://accounts.zoho.com",
            Self::Eu => "https://accounts.zoho.eu",
            Self::In => "https://accounts.zoho.in",
            Self::Au => "https://accounts.zoho.com.au",
            Self::Jp => "https://accounts.zoho.jp",
            Self::Cn => "https://accounts.zoho.com.cn",
            Self::Ca => "https://accounts.zohocloud.ca",
            Self::Sa => "https://accounts.zoho.sa",
        }
    }

    /// Where its API is, until a token says better; no slash at the end.
    #[must_use]
    pub const fn api(self) -> &'static str {
        match self {
            Self::Us => "https://www.zohoapis.com",
            Self::Eu => "https://www.zohoapis.eu",
            Self::In => "https://www.zohoapis.in",
            Self::Au => "https://www.zohoapis.com.au",
            Self::Jp => "https://www.zohoapis.jp",
            Self::Cn => "https://www.zohoapis.com.cn",
            Self::Ca => "https://www.zohoapis.ca",
            Self::Sa => "https://www.zohoapis.sa",
        }
    }
}

/// Where messages are kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum MessagesIn {
    /// In the custom module where the organisation has it or lets us make it, otherwise in notes.
    #[default]
    Auto,
    /// In the custom module `Ponte_WhatsApp_Messages`; without it nothing is written.
    Module,
    /// In notes of the contact.
    Notes,
}

/// Which of our writes start the organisation's workflows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Workflows {
    /// None.
    Never,
    /// Messages and their statuses, in their module: a rule there is meant for them. Contacts stay quiet, for a rule that writes to
    /// contacts would answer each of our writes with a change of its own.
    #[default]
    Messages,
    /// All.
    Always,
}

/// Settings of a Zoho CRM connection.
#[derive(Debug, Clone)]
pub struct ZohoConfig {
    /// Accounts server, no slash at the end.
    pub accounts_url: String,
    /// Where the API is until a token says where (`api_domain`); no slash at the end.
    pub api_url: String,
    /// Client id of the self client or server-based client.
    pub client_id: String,
    /// Its secret.
    pub client_secret: SecretString,
    /// The refresh token that the grant code was exchanged for; none: the keeper has it.
    pub refresh_token: Option<SecretString>,
    /// API credits of the organisation in 24 hours, when known. Without it only what the answers say is obeyed.
    pub credits_per_day: Option<u32>,
    /// Share of the credits that is used, in percent; the rest is left to other apps of the organisation.
    pub budget_percent: u32,
    /// Calls at the same time (Zoho: 5 Free, 10 Standard, 15 Professional, 20 Enterprise, 25 Ultimate).
    pub concurrency: u32,
    /// Milliseconds for one call.
    pub request_timeout_ms: u64,
    /// Milliseconds a call may wait for its turn within the limits before it is given back as throttled.
    pub max_wait_ms: i64,
    /// Rows in one write (Zoho: at most 100).
    pub batch: usize,
    /// Looks for existing contacts by phone number before making a new one.
    pub match_existing: bool,
    /// Phone fields of contacts that are looked through; the first one takes the number of a new contact.
    pub phone_fields: Vec<String>,
    /// Lets the WhatsApp profile name replace names that are in the CRM already.
    pub overwrite_names: bool,
    /// Which of our writes start the organisation's workflows; the others go with `"trigger": []`.
    pub run_workflows: Workflows,
    /// Where messages are kept.
    pub messages: MessagesIn,
    /// The word that notifications must carry, 16 to 50 characters; without it there are none.
    pub notification_token: Option<SecretString>,
    /// When the breaker opens.
    pub breaker: BreakerConfig,
}

impl ZohoConfig {
    /// The defaults for a data centre with a way to sign in.
    #[must_use]
    pub fn new(
        data_centre: DataCentre,
        client_id: String,
        client_secret: SecretString,
        refresh_token: SecretString,
    ) -> Self {
        Self {
            accounts_url: data_centre.accounts().to_owned(),
            api_url: data_centre.api().to_owned(),
            client_id,
            client_secret,
            refresh_token: Some(refresh_token),
            credits_per_day: None,
            budget_percent: 90,
            concurrency: 10,
            request_timeout_ms: 30_000,
            max_wait_ms: 3_000,
            batch: 100,
            match_existing: true,
            phone_fields: vec!["Mobile".to_owned(), "Phone".to_owned()],
            overwrite_names: false,
            run_workflows: Workflows::Messages,
            messages: MessagesIn::Auto,
            notification_token: None,
            breaker: BreakerConfig::default(),
        }
    }

    /// Rows in one write, within what Zoho takes.
    pub(crate) fn rows(&self) -> usize {
        self.batch.clamp(1, 100)
    }

    /// The phone field that takes the number of a new contact.
    pub(crate) fn phone_field(&self) -> &str {
        self.phone_fields.first().map_or("Mobile", String::as_str)
    }
}
