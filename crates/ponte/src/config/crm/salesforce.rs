//! A connection of the kind `salesforce`.

use super::super::check::{ConfigErrors, Secrets};
use super::optional;
use ponte_crm::salesforce::check_private_key;
use secrecy::SecretString;
use serde::Deserialize;

/// As written.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Raw {
    login_url: String,
    client_credentials: Option<RawClient>,
    jwt: Option<RawJwt>,
    #[serde(alias = "oauth")]
    refresh: Option<RawRefresh>,
    instance_url: Option<String>,
    api_version: Option<String>,
    #[serde(default)]
    object: People,
    lead_company: Option<String>,
    #[serde(default)]
    messages: Messages,
    #[serde(default)]
    duplicates: Duplicates,
    match_existing: Option<bool>,
    budget_percent: Option<u32>,
    calls_per_second: Option<u32>,
    webhook_secret: Option<String>,
    change_data_capture: Option<bool>,
    pubsub_url: Option<String>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct RawClient {
    client_id: String,
    client_secret: String,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct RawJwt {
    client_id: String,
    username: String,
    private_key: String,
    audience: Option<String>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct RawRefresh {
    client_id: String,
    client_secret: Option<String>,
    refresh_token: Option<String>,
}

/// What new people become.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
pub enum People {
    /// Contacts.
    #[default]
    Contact,
    /// Leads.
    Lead,
}

/// Where messages are written.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Messages {
    /// Into the custom object where it is there, otherwise as tasks.
    #[default]
    Auto,
    /// Into the custom object.
    Object,
    /// As tasks.
    Task,
}

/// What happens when a duplicate rule objects.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Duplicates {
    /// What it found is adopted, unless it is somebody else.
    #[default]
    Adopt,
    /// A new record is saved.
    Save,
    /// The row fails.
    Refuse,
}

/// How a Salesforce org is reached.
#[derive(Debug, Clone)]
pub struct SalesforceSettings {
    /// Where tokens are asked for.
    pub login_url: String,
    /// How to sign in.
    pub auth: SalesforceSignIn,
    /// Where the API is, when not where the token answer says.
    pub instance_url: Option<String>,
    /// Which version, when not the default.
    pub api_version: Option<String>,
    /// What new people become.
    pub object: People,
    /// `Company` of new leads, when not the default.
    pub lead_company: Option<String>,
    /// Where messages are written.
    pub messages: Messages,
    /// What happens when a duplicate rule objects.
    pub duplicates: Duplicates,
    /// Look for people by phone first.
    pub match_existing: bool,
    /// Share of the org's daily calls, when not the default.
    pub budget_percent: Option<u32>,
    /// Calls a second, when not the default.
    pub calls_per_second: Option<u32>,
    /// What a flow of the org sends when it notifies us.
    pub webhook_secret: Option<SecretString>,
    /// Listen to change data capture.
    pub change_data_capture: bool,
    /// Where the Pub/Sub API is, when not the default.
    pub pubsub_url: Option<String>,
}

/// How to sign in.
#[derive(Debug, Clone)]
pub enum SalesforceSignIn {
    /// Client credentials.
    Client {
        /// Consumer key.
        client_id: String,
        /// Consumer secret.
        client_secret: SecretString,
    },
    /// JWT bearer.
    Jwt {
        /// Consumer key.
        client_id: String,
        /// User name of the integration user.
        username: String,
        /// RSA private key, PEM.
        private_key: SecretString,
        /// Who takes the assertion.
        audience: String,
    },
    /// A refresh token.
    Refresh {
        /// Consumer key.
        client_id: String,
        /// Consumer secret, when the app has one.
        client_secret: Option<SecretString>,
        /// The first refresh token; none: a person authorises the connection.
        refresh_token: Option<SecretString>,
    },
}

pub(super) fn check(
    place: &str,
    raw: Raw,
    secrets: &Secrets<'_>,
    errors: &mut ConfigErrors,
) -> Option<SalesforceSettings> {
    check_address(place, "login_url", &raw.login_url, errors);
    if let Some(url) = &raw.instance_url {
        check_address(place, "instance_url", url, errors);
    }
    if let Some(url) = &raw.pubsub_url {
        check_address(place, "pubsub_url", url, errors);
    }
    let version = |v: &String| v.split_once('.').is_some_and(|(n, zero)| n.parse::<u32>().is_ok() && zero == "0");
    if raw.api_version.as_ref().is_some_and(|v| !version(v)) {
        errors.add(place, "api_version is no version of the REST API", "write it as \"66.0\"");
    }
    if raw.budget_percent.is_some_and(|p| !(1..=100).contains(&p)) {
        errors.add(place, "budget_percent is not between 1 and 100", "80 leaves a fifth of the org's calls to others");
    }
    if raw.calls_per_second == Some(0) {
        errors.add(place, "calls_per_second is 0", "leave it out for the default");
    }
    let auth = match (raw.client_credentials, raw.jwt, raw.refresh) {
        (Some(client), None, None) => {
            if ["login.salesforce.com", "test.salesforce.com"].iter().any(|host| raw.login_url.contains(host)) {
                let mend = "use the org's own address: Setup, My Domain, https://NAME.my.salesforce.com";
                errors.add(place, "client credentials are not taken at this login_url", mend);
            }
            let secret =
                secrets.get(&format!("{place} client_credentials.client_secret"), &client.client_secret, errors);
            secret.map(|client_secret| SalesforceSignIn::Client { client_id: client.client_id, client_secret })
        }
        (None, Some(jwt), None) => check_jwt(place, jwt, &raw.login_url, secrets, errors),
        (None, None, Some(refresh)) => {
            let at = |key: &str| format!("{place} refresh.{key}");
            let secret = refresh.client_secret.map(|s| secrets.get(&at("client_secret"), &s, errors));
            let token = optional(refresh.refresh_token.as_deref(), &at("refresh_token"), secrets, errors);
            match (secret, token) {
                (Some(None), _) | (_, None) => None,
                (secret, Some(refresh_token)) => Some(SalesforceSignIn::Refresh {
                    client_id: refresh.client_id,
                    client_secret: secret.flatten(),
                    refresh_token,
                }),
            }
        }
        _ => {
            let mend = "give one of them; client_credentials is the simplest: docs/crm/salesforce.md";
            errors.add(place, "exactly one of client_credentials, jwt and refresh is needed", mend);
            None
        }
    };
    let webhook_secret = raw.webhook_secret.and_then(|s| secrets.get(&format!("{place} webhook_secret"), &s, errors));
    Some(SalesforceSettings {
        login_url: raw.login_url,
        auth: auth?,
        instance_url: raw.instance_url,
        api_version: raw.api_version,
        object: raw.object,
        lead_company: raw.lead_company,
        messages: raw.messages,
        duplicates: raw.duplicates,
        match_existing: raw.match_existing.unwrap_or(true),
        budget_percent: raw.budget_percent,
        calls_per_second: raw.calls_per_second,
        webhook_secret,
        change_data_capture: raw.change_data_capture.unwrap_or(false),
        pubsub_url: raw.pubsub_url,
    })
}

fn check_jwt(
    place: &str,
    jwt: RawJwt,
    login_url: &str,
    secrets: &Secrets<'_>,
    errors: &mut ConfigErrors,
) -> Option<SalesforceSignIn> {
    let at = format!("{place} jwt.private_key");
    // A key has many lines, other secrets one.
    let private_key: SecretString = match jwt.private_key.strip_prefix("file:") {
        None => secrets.get(&at, &jwt.private_key, errors)?,
        Some(path) => match std::fs::read_to_string(path) {
            Ok(text) => text.into(),
            Err(error) => {
                errors.add(&at, format!("{path} can't be read: {error}"), "make the file readable");
                return None;
            }
        },
    };
    if let Err(why) = check_private_key(&private_key) {
        errors.add(&at, why.to_string(), "make one with: openssl genrsa -out ponte.key 2048");
        return None;
    }
    let sandbox = login_url.contains("test.salesforce.com") || login_url.contains(".sandbox.");
    let usual = if sandbox { "https://test.salesforce.com" } else { "https://login.salesforce.com" };
    let audience = jwt.audience.unwrap_or_else(|| usual.to_owned());
    Some(SalesforceSignIn::Jwt { client_id: jwt.client_id, username: jwt.username, private_key, audience })
}

/// Secrets go there, so it must be https, but for simulators on this machine.
fn check_address(place: &str, key: &str, url: &str, errors: &mut ConfigErrors) {
    let own = ["http://127.0.0.1:", "http://localhost:", "http://[::1]:"].iter().any(|start| url.starts_with(start));
    if !own && !url.starts_with("https://") {
        errors.add(place, format!("{key} is no https address"), "https://NAME.my.salesforce.com");
    }
}
