//! OAuth refresh: `POST /oauth/{version}/token`. Facts: crm-apis section 1, Auth.
//! Failure story: 400 and 401 mean that the grant is gone and someone must connect again; the rest is worth another try.

use super::config::{HubSpotAuth, HubSpotConfig};
use async_trait::async_trait;
use ponte_domain::error::{CallError, ErrorClass};
use ponte_net::{
    Clock, Egress, FreshToken, Refresh, RefreshingToken, Request, StaticToken, TokenSource, classify_read,
};
use secrecy::{ExposeSecret, SecretString};
use serde::Deserialize;
use std::sync::{Mutex, PoisonError};

/// How long before its end a token is replaced.
const MARGIN_MS: i64 = 120_000;
/// HubSpot's access tokens live 1,800 s; used when the answer doesn't say.
const USUAL_LIFE_S: i64 = 1_800;

pub(super) fn source(config: &HubSpotConfig, egress: &Egress, clock: &Clock) -> Box<dyn TokenSource> {
    match &config.auth {
        HubSpotAuth::Static { token } => Box::new(StaticToken(token.clone())),
        HubSpotAuth::OAuth { client_id, client_secret, refresh_token } => {
            let refresh = OAuth {
                url: format!("{}/oauth/{}/token", config.base_url.trim_end_matches('/'), config.api_version),
                egress: egress.clone(),
                client_id: client_id.clone(),
                client_secret: client_secret.clone(),
                refresh_token: Mutex::new(refresh_token.clone()),
            };
            Box::new(RefreshingToken::new(refresh, MARGIN_MS, clock.clone()))
        }
    }
}

struct OAuth {
    url: String,
    egress: Egress,
    client_id: String,
    client_secret: SecretString,
    refresh_token: Mutex<SecretString>,
}

#[derive(Deserialize)]
struct TokenAnswer {
    access_token: SecretText,
    expires_in: Option<i64>,
    refresh_token: Option<SecretText>,
}

/// Text that is a secret from the moment it is read.
#[derive(Deserialize)]
#[serde(from = "String")]
struct SecretText(SecretString);

impl From<String> for SecretText {
    fn from(text: String) -> Self {
        Self(SecretString::from(text))
    }
}

#[async_trait]
impl Refresh for OAuth {
    async fn refresh(&self) -> Result<FreshToken, CallError> {
        let refresh_token = self.refresh_token.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let request = Request::post("hubspot", self.url.as_str()).form(&[
            ("grant_type", "refresh_token"),
            ("client_id", &self.client_id),
            ("client_secret", self.client_secret.expose_secret()),
            ("refresh_token", refresh_token.expose_secret()),
        ]);
        let response = self.egress.call(request).await.map_err(|e| classify_read(&e))?;
        let status = response.status.as_u16();
        match status {
            200 => {}
            400 | 401 | 403 => {
                let title = "HubSpot refuses the refresh token: connect again";
                return Err(CallError::new(ErrorClass::Auth, "invalid_grant", title).with_status(status));
            }
            _ => {
                let class = ErrorClass::Retryable { after_ms: None };
                return Err(CallError::new(class, "token_endpoint", "HubSpot gave no access token").with_status(status));
            }
        }
        let answer: TokenAnswer = response.json().map_err(|_| {
            CallError::new(
                ErrorClass::Retryable { after_ms: None },
                "token_answer",
                "HubSpot's token answer can't be read",
            )
        })?;
        if let Some(SecretText(rotated)) = answer.refresh_token {
            *self.refresh_token.lock().unwrap_or_else(PoisonError::into_inner) = rotated;
        }
        let life_s = answer.expires_in.unwrap_or(USUAL_LIFE_S).max(1);
        Ok(FreshToken { token: answer.access_token.0, expires_in_ms: life_s.saturating_mul(1_000) })
    }
}
