//! A connection of the kind `hubspot`.

use super::super::check::{ConfigErrors, Secrets};
use super::optional;
use secrecy::SecretString;
use serde::Deserialize;

/// As written.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Raw {
    token: Option<String>,
    oauth: Option<RawOauth>,
    base_url: Option<String>,
    api_version: Option<String>,
    match_existing: Option<bool>,
    calls_per_10s: Option<u32>,
    webhook_secret: Option<String>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct RawOauth {
    client_id: String,
    client_secret: String,
    refresh_token: Option<String>,
}

/// How a HubSpot account is reached.
#[derive(Debug, Clone)]
pub struct HubspotSettings {
    /// How to sign in.
    pub auth: HubspotAuth,
    /// Where, when not the default.
    pub base_url: Option<String>,
    /// Which version, when not the default.
    pub api_version: Option<String>,
    /// Look for contacts by phone first.
    pub match_existing: bool,
    /// The account's limit, when not the default.
    pub calls_per_10s: Option<u32>,
    /// The app's client secret, which signs webhooks.
    pub webhook_secret: Option<SecretString>,
}

/// How to sign in.
#[derive(Debug, Clone)]
pub enum HubspotAuth {
    /// A fixed token.
    Token(SecretString),
    /// A refresh token.
    Oauth {
        /// Client id.
        client_id: String,
        /// Client secret.
        client_secret: SecretString,
        /// Refresh token; none: a person authorises the connection.
        refresh_token: Option<SecretString>,
    },
}

pub(super) fn check(
    place: &str,
    raw: Raw,
    secrets: &Secrets<'_>,
    errors: &mut ConfigErrors,
) -> Option<HubspotSettings> {
    let auth = match (&raw.token, &raw.oauth) {
        (Some(token), None) => secrets.get(&format!("{place} token"), token, errors).map(HubspotAuth::Token),
        (None, Some(oauth)) => {
            let secret = secrets.get(&format!("{place} oauth.client_secret"), &oauth.client_secret, errors);
            let at = format!("{place} oauth.refresh_token");
            let refresh = optional(oauth.refresh_token.as_deref(), &at, secrets, errors);
            secret.zip(refresh).map(|(client_secret, refresh_token)| HubspotAuth::Oauth {
                client_id: oauth.client_id.clone(),
                client_secret,
                refresh_token,
            })
        }
        _ => {
            let mend = "give a service key as token, or an OAuth app";
            errors.add(place, "exactly one of token and oauth is needed", mend);
            None
        }
    };
    let webhook_secret = raw.webhook_secret.and_then(|s| secrets.get(&format!("{place} webhook_secret"), &s, errors));
    Some(HubspotSettings {
        auth: auth?,
        base_url: raw.base_url,
        api_version: raw.api_version,
        match_existing: raw.match_existing.unwrap_or(true),
        calls_per_10s: raw.calls_per_10s,
        webhook_secret,
    })
}
