//! Sessions: client credentials, JWT bearer, or a refresh token that may rotate. Facts: crm-apis section 2, Auth. The answer doesn't
//! say when a session ends, so it is used until a call is refused.
//! Failure story: 400 and 401 mean that the app, its user or the grant is no longer good and someone must act; the rest is worth
//! another try. A rotated refresh token is kept before the session that came with it is used; when keeping fails, the pair waits in
//! memory and keeping is tried again before anything else. When the answer to a refresh is lost on its way and the app rotates its
//! tokens, the grant is lost with it: Salesforce has no second way, and someone must connect again.

use super::config::{SalesforceAuth, SalesforceConfig};
use super::jwt;
use crate::keeper::TokenKeeper;
use crate::secret::SecretText;
use async_trait::async_trait;
use ponte_domain::error::{CallError, ErrorClass};
use ponte_domain::{HOUR, MINUTE, SECOND};
use ponte_net::{Clock, Egress, FreshToken, Refresh, RefreshingToken, Request, classify_read};
use secrecy::{ExposeSecret, SecretString};
use serde::Deserialize;
use serde_json::Value;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

/// How long a session is taken for good: the longest that an org can set. Earlier ends show as refused calls.
const LIFE_MS: i64 = 24 * HOUR;

/// What the token answers said last.
#[derive(Debug, Default)]
pub(super) struct Session {
    /// Where the API is.
    pub(super) instance: Option<String>,
    /// Record id of the org.
    pub(super) org: Option<String>,
    /// Record id of the user whom the app runs as.
    pub(super) user: Option<String>,
}

pub(super) type SharedSession = Arc<Mutex<Session>>;

pub(super) fn source(
    config: &SalesforceConfig,
    egress: &Egress,
    clock: &Clock,
) -> (RefreshingToken<Grant>, SharedSession) {
    let session = SharedSession::default();
    let grant = Grant {
        url: format!("{}/services/oauth2/token", config.login_url.trim_end_matches('/')),
        secure: config.login_url.starts_with("https:"),
        timeout: Duration::from_millis(config.request_timeout_ms),
        auth: config.auth.clone(),
        egress: egress.clone(),
        clock: clock.clone(),
        session: session.clone(),
        unsaved: Mutex::new(None),
    };
    (RefreshingToken::new(grant, 5 * MINUTE, clock.clone()), session)
}

/// Gets sessions.
pub(super) struct Grant {
    url: String,
    /// The login address is https, so the instance must be, too.
    secure: bool,
    timeout: Duration,
    auth: SalesforceAuth,
    egress: Egress,
    clock: Clock,
    session: SharedSession,
    /// A session and the refresh token that came with it, which isn't kept yet.
    unsaved: Mutex<Option<Answer>>,
}

#[derive(Clone, Deserialize)]
struct Answer {
    access_token: SecretText,
    instance_url: String,
    #[serde(default)]
    id: Option<String>,
    #[serde(default)]
    refresh_token: Option<SecretText>,
}

#[async_trait]
impl Refresh for Grant {
    async fn refresh(&self) -> Result<FreshToken, CallError> {
        let waiting = self.unsaved.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let answer = match (waiting, &self.auth) {
            (Some(answer), _) => answer,
            (None, SalesforceAuth::ClientCredentials { client_id, client_secret }) => {
                let form = [
                    ("grant_type", "client_credentials"),
                    ("client_id", client_id),
                    ("client_secret", client_secret.expose_secret()),
                ];
                self.ask(&form).await?
            }
            (None, SalesforceAuth::Jwt { client_id, username, private_key, audience }) => {
                let assertion = jwt::assertion(client_id, username, audience, private_key, (self.clock)())
                    .map_err(|why| CallError::new(ErrorClass::Configuration, "private_key", why.to_string()))?;
                let grant = "urn:ietf:params:oauth:grant-type:jwt-bearer";
                self.ask(&[("grant_type", grant), ("assertion", assertion.expose_secret())]).await?
            }
            (None, SalesforceAuth::Refresh { client_id, client_secret, keeper }) => {
                self.refreshed(client_id, client_secret.as_ref(), keeper.as_ref()).await?
            }
        };
        self.keep(&answer).await?;
        let instance = answer.instance_url.trim_end_matches('/');
        if instance.is_empty() || (self.secure && !instance.starts_with("https://")) {
            let title = "Salesforce's token answer names no secure instance address";
            return Err(CallError::new(ErrorClass::Configuration, "instance_url", title));
        }
        let mut session = self.session.lock().unwrap_or_else(PoisonError::into_inner);
        session.instance = Some(instance.to_owned());
        // https://login.salesforce.com/id/ORG/USER
        let mut ends = answer.id.as_deref().unwrap_or_default().rsplit('/').map(str::to_owned);
        (session.user, session.org) = (ends.next(), ends.next());
        Ok(FreshToken { token: answer.access_token.0, expires_in_ms: LIFE_MS })
    }
}

impl Grant {
    async fn refreshed(
        &self,
        client_id: &str,
        client_secret: Option<&SecretString>,
        keeper: &dyn TokenKeeper,
    ) -> Result<Answer, CallError> {
        let mut token = self.load(keeper).await?;
        loop {
            let mut form = vec![
                ("grant_type", "refresh_token"),
                ("client_id", client_id),
                ("refresh_token", token.expose_secret()),
            ];
            form.extend(client_secret.map(|secret| ("client_secret", secret.expose_secret())));
            match self.ask(&form).await {
                Err(error) if error.class == ErrorClass::Auth => {
                    // Another node may have taken the token that we had, and kept the next one.
                    let newer = self.load(keeper).await?;
                    if newer.expose_secret() == token.expose_secret() {
                        if error.code == "invalid_grant" {
                            keeper.refused(&token).await;
                        }
                        return Err(error);
                    }
                    token = newer;
                }
                result => return result,
            }
        }
    }

    async fn load(&self, keeper: &dyn TokenKeeper) -> Result<SecretString, CallError> {
        keeper.load().await.map_err(|why| not_kept(&why.to_string()))?.ok_or_else(|| {
            let title = "nobody has authorised the connection: `ponte crm authorize`";
            CallError::new(ErrorClass::Auth, "not_connected", title)
        })
    }

    /// Keeps a rotated refresh token.
    async fn keep(&self, answer: &Answer) -> Result<(), CallError> {
        let (SalesforceAuth::Refresh { keeper, .. }, Some(SecretText(token))) = (&self.auth, &answer.refresh_token)
        else {
            return Ok(());
        };
        let kept = keeper.save(token).await;
        let mut unsaved = self.unsaved.lock().unwrap_or_else(PoisonError::into_inner);
        *unsaved = kept.is_err().then(|| answer.clone());
        kept.map_err(|why| not_kept(&why.to_string()))
    }

    async fn ask(&self, form: &[(&str, &str)]) -> Result<Answer, CallError> {
        let request = Request::post("salesforce", self.url.as_str()).form(form).timeout(self.timeout);
        let response = self.egress.call(request).await.map_err(|e| classify_read(&e))?;
        let status = response.status.as_u16();
        if status == 200 {
            return response.json().map_err(|_| {
                let class = ErrorClass::Retryable { after_ms: None };
                CallError::new(class, "token_answer", "Salesforce's token answer can't be read")
            });
        }
        let body = response.json::<Value>().unwrap_or(Value::Null);
        // Codes only: the description may name the user.
        let code = body.get("error").and_then(Value::as_str).filter(|c| c.len() <= 64).unwrap_or("token_endpoint");
        let (class, title) = match status {
            400 | 401 | 403 => (ErrorClass::Auth, "Salesforce refuses the app, its user or the grant: connect again"),
            404 => (ErrorClass::Configuration, "there is no Salesforce at this login address"),
            _ => (ErrorClass::Retryable { after_ms: None }, "Salesforce gave no session"),
        };
        Err(CallError::new(class, code, title).with_status(status))
    }
}

fn not_kept(why: &str) -> CallError {
    let class = ErrorClass::Retryable { after_ms: Some(10 * SECOND) };
    CallError::new(class, "token_not_kept", "the refresh token can't be kept, so its session isn't used")
        .with_detail(why)
}
