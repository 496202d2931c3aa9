//! Settings of a Salesforce connection. Facts: crm-apis section 2.

use crate::keeper::TokenKeeper;
use ponte_net::BreakerConfig;
use secrecy::SecretString;
use std::fmt;
use std::sync::Arc;

/// The version of the REST API that the paths are built on. Salesforce supports a version for several years.
pub const SALESFORCE_API_VERSION: &str = "66.0";

/// What new people become, and which records are read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum SalesforceObject {
    /// Contacts.
    Contact,
    /// Leads. One that was converted is followed to its contact.
    Lead,
}

impl SalesforceObject {
    /// The name in the API.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Contact => "Contact",
            Self::Lead => "Lead",
        }
    }

    /// What the ids of its records begin with.
    pub(super) const fn prefix(self) -> &'static str {
        match self {
            Self::Contact => "003",
            Self::Lead => "00Q",
        }
    }

    /// The object that a record id belongs to, when it is one of the two.
    pub(super) fn of_id(id: &str) -> Option<Self> {
        [Self::Contact, Self::Lead].into_iter().find(|object| id.starts_with(object.prefix()))
    }
}

/// Where messages are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SalesforceMessages {
    /// Into the custom object of our package where it is there, otherwise as tasks.
    Auto,
    /// Into the custom object; without it nothing is written.
    Object,
    /// As tasks.
    Task,
}

/// What happens when a duplicate rule of the org objects to a new record.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SalesforceDuplicates {
    /// The record that the rule found is adopted, unless its numbers say that it is somebody else: then a new one is saved.
    Adopt,
    /// A new record is saved, where the rule allows it.
    Save,
    /// The row fails.
    Refuse,
}

/// How the connection signs in: an external client app of the org.
#[derive(Clone)]
pub enum SalesforceAuth {
    /// Client credentials, with a user to run as set in the app. Only at the org's own address (My Domain).
    ClientCredentials {
        /// Consumer key.
        client_id: String,
        /// Consumer secret.
        client_secret: SecretString,
    },
    /// JWT bearer: the app trusts a certificate, and the user is allowed to use it beforehand.
    Jwt {
        /// Consumer key.
        client_id: String,
        /// User name of the integration user.
        username: String,
        /// RSA private key (PEM, `PRIVATE KEY` or `RSA PRIVATE KEY`), 2,048 bits or more.
        private_key: SecretString,
        /// `https://login.salesforce.com`, or `https://test.salesforce.com` for a sandbox.
        audience: String,
    },
    /// A refresh token that somebody's consent gave. Where the app rotates them, each is good for one refresh.
    Refresh {
        /// Consumer key.
        client_id: String,
        /// Consumer secret, unless the app does without.
        client_secret: Option<SecretString>,
        /// Keeps the newest refresh token, the first one included.
        keeper: Arc<dyn TokenKeeper>,
    },
}

impl fmt::Debug for SalesforceAuth {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::ClientCredentials { .. } => "ClientCredentials",
            Self::Jwt { .. } => "Jwt",
            Self::Refresh { .. } => "Refresh",
        })
    }
}

/// Settings of a Salesforce connection.
#[derive(Debug, Clone)]
pub struct SalesforceConfig {
    /// Where tokens are asked for: the org's own address (`https://NAME.my.salesforce.com`); no slash at the end.
    pub login_url: String,
    /// Where the API is. When absent, where the token answer says (`instance_url`), which must then be a Salesforce host.
    pub instance_url: Option<String>,
    /// Version of the REST API, as `66.0`.
    pub api_version: String,
    /// How to sign in.
    pub auth: SalesforceAuth,
    /// What new people become.
    pub object: SalesforceObject,
    /// `Company` of new leads, which Salesforce wants.
    pub lead_company: String,
    /// Where messages go.
    pub messages: SalesforceMessages,
    /// What happens when a duplicate rule objects.
    pub duplicates: SalesforceDuplicates,
    /// Share of the org's daily calls that is used, percent: the rest is others'.
    pub budget_percent: u32,
    /// Calls a second that Ponte makes at most. Salesforce sets no such limit.
    pub calls_per_second: u32,
    /// Calls under way at the same time. Salesforce allows 25 that take 20 s or more, to all users together.
    pub concurrent: usize,
    /// Milliseconds for one call. An org's own automation runs within a write.
    pub request_timeout_ms: u64,
    /// Milliseconds a call may wait for its turn before it is given back as throttled.
    pub max_wait_ms: i64,
    /// Rows in one collection call (Salesforce: at most 200).
    pub batch: usize,
    /// Looks for existing records by phone number before making a new one.
    pub match_existing: bool,
    /// Lets the WhatsApp profile name replace names that are in the CRM already.
    pub overwrite_names: bool,
    /// What a flow of the org sends as `Authorization: Bearer …` when it notifies us.
    pub notice_secret: Option<SecretString>,
    /// Listens to change data capture. The org must have selected the objects for it.
    pub change_data_capture: bool,
    /// Where the Pub/Sub API is; no slash at the end.
    pub pubsub_url: String,
    /// When the breaker opens.
    pub breaker: BreakerConfig,
}

impl SalesforceConfig {
    /// The defaults with an address and a way to sign in.
    #[must_use]
    pub fn new(login_url: impl Into<String>, auth: SalesforceAuth) -> Self {
        Self {
            login_url: login_url.into(),
            instance_url: None,
            api_version: SALESFORCE_API_VERSION.to_owned(),
            auth,
            object: SalesforceObject::Contact,
            lead_company: "[not provided]".to_owned(),
            messages: SalesforceMessages::Auto,
            duplicates: SalesforceDuplicates::Adopt,
            budget_percent: 80,
            calls_per_second: 50,
            concurrent: 10,
            request_timeout_ms: 30_000,
            max_wait_ms: 3_000,
            batch: 200,
            match_existing: true,
            overwrite_names: false,
            notice_secret: None,
            change_data_capture: false,
            pubsub_url: "https://api.pubsub.salesforce.com:7443".to_owned(),
            breaker: BreakerConfig::default(),
        }
    }

    /// Rows in one collection call, within what Salesforce takes.
    pub(super) fn rows(&self) -> usize {
        self.batch.clamp(1, 200)
    }
}
