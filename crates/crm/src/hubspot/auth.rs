//! OAuth refresh: `POST /oauth/{version}/token`. Facts: crm-apis section 1, Auth.
//! Failure story: 400 and 401 mean that the grant is gone and someone must connect again; the rest is worth another try.

use super::config::{HubSpotAuth, HubSpotConfig};
use crate::grant::code_of;
use crate::keeper::TokenKeeper;
use crate::secret::SecretText;
use async_trait::async_trait;
use ponte_domain::error::{CallError, ErrorClass};
use ponte_net::{
    Clock, Egress, FreshToken, Refresh, RefreshingToken, Request, StaticToken, TokenSource, classify_read,
};
use secrecy::{ExposeSecret, SecretString};
use serde::Deserialize;
use serde_json::Value;
use std::sync::{Arc, Mutex, PoisonError};

/// How long before its end a token is replaced.
const MARGIN_MS: i64 = 120_000;
/// HubSpot's access tokens live 1,800 s; used when the answer doesn't say.
const USUAL_LIFE_S: i64 = 1_800;

pub(super) fn source(config: &HubSpotConfig, egress: &Egress, clock: &Clock) -> Box<dyn TokenSource> {
    match &config.auth {
        HubSpotAuth::Static { token } => Box::new(StaticToken(token.clone())),
        HubSpotAuth::OAuth { client_id, client_secret, keeper } => {
            let refresh = OAuth {
                url: format!("{}/oauth/{}/token", config.base_url.trim_end_matches('/'), config.api_version),
                egress: egress.clone(),
                client_id: client_id.clone(),
                client_secret: client_secret.clone(),
                keeper: Arc::clone(keeper),
                unsaved: Mutex::default(),
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
    keeper: Arc<dyn TokenKeeper>,
    /// What was kept, and the token that replaced it and could not be kept.
    unsaved: Mutex<Option<[SecretString; 2]>>,
}

impl OAuth {
    /// What is kept, and what is good now.
    async fn newest(&self) -> Result<[SecretString; 2], CallError> {
        let kept = self.keeper.load().await.map_err(|why| {
            CallError::new(ErrorClass::Retryable { after_ms: None }, "token_not_kept", why.to_string())
        })?;
        let kept = kept.ok_or_else(|| {
            let title = "nobody has authorised the connection: `ponte crm authorize`";
            CallError::new(ErrorClass::Auth, "not_connected", title)
        })?;
        let unsaved = self.unsaved.lock().unwrap_or_else(PoisonError::into_inner).clone();
        Ok(match unsaved {
            Some([before, newer]) if before.expose_secret() == kept.expose_secret() => [kept, newer],
            _ => [kept.clone(), kept],
        })
    }

    /// Keeps a token that replaced ours; HubSpot mostly gives the same one again.
    async fn rotated(&self, [kept, used]: [SecretString; 2], newer: SecretString) {
        if newer.expose_secret() == used.expose_secret() {
            return;
        }
        let failed = self.keeper.save(&newer).await.err();
        if let Some(error) = &failed {
            tracing::error!(target: "ponte::crm", crm = "hubspot", %error, "a new refresh token is only in memory");
        }
        *self.unsaved.lock().unwrap_or_else(PoisonError::into_inner) = failed.map(|_| [kept, newer]);
    }
}

#[derive(Deserialize)]
struct TokenAnswer {
    access_token: SecretText,
    expires_in: Option<i64>,
    refresh_token: Option<SecretText>,
}

#[async_trait]
impl Refresh for OAuth {
    async fn refresh(&self) -> Result<FreshToken, CallError> {
        let tokens = self.newest().await?;
        let [_, refresh_token] = &tokens;
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
                // Also wrong credentials of the app are a 400: only the token's own refusal means that it was withdrawn.
                let code = code_of(&response.json::<Value>().unwrap_or(Value::Null)).unwrap_or_default();
                if matches!(code.as_str(), "BAD_REFRESH_TOKEN" | "invalid_grant") {
                    self.keeper.refused(refresh_token).await;
                }
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
            self.rotated(tokens, rotated).await;
        }
        let life_s = answer.expires_in.unwrap_or(USUAL_LIFE_S).max(1);
        Ok(FreshToken { token: answer.access_token.0, expires_in_ms: life_s.saturating_mul(1_000) })
    }
}
