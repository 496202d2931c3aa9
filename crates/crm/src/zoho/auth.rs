//! Access tokens: `POST {accounts}/oauth/v2/token`. Facts: crm-apis section 3, Auth. One refresh token gives at most ten access
//! tokens in ten minutes and is then locked, so asking is counted, kept across restarts, and refused by ourselves before Zoho
//! would have to.
//! May touch: the egress door, the keeper. Must not touch: logs with secrets.
//! Failure story: the count is kept before Zoho is asked, so that a restart in between forgets nothing. A token that can't be kept
//! is used all the same; only a restart then asks again. Errors of this endpoint mostly come with status 200.

use super::config::ZohoConfig;
use crate::secret::SecretText;
use async_trait::async_trait;
use ponte_domain::error::{CallError, ErrorClass, ThrottleScope};
use ponte_domain::{MINUTE, Millis, SECOND};
use ponte_net::{Clock, Egress, FreshToken, Refresh, Request, Response, classify_read};
use secrecy::{ExposeSecret, SecretString};
use serde::Deserialize;
use std::sync::{Arc, Mutex, PoisonError};

/// How long before its end a token is replaced.
pub(super) const MARGIN: Millis = 2 * MINUTE;
/// Zoho's access tokens live an hour; used when the answer doesn't say.
const USUAL_LIFE_S: i64 = 3_600;
/// Access tokens that one refresh token gives within [`WINDOW`].
const MOST: usize = 10;
/// Ten minutes, and some seconds for clocks that differ.
const WINDOW: Millis = 10 * MINUTE + 10 * SECOND;

/// What is kept of a connection's tokens.
#[derive(Debug, Clone, Default)]
pub struct KeptToken {
    /// The access token; none before the first.
    pub access_token: Option<SecretString>,
    /// Until when it is good, epoch milliseconds.
    pub expires_at: Millis,
    /// Where the API is, as Zoho said it last; no slash at the end.
    pub api_domain: Option<String>,
    /// When access tokens were asked for, epoch milliseconds, the last ten minutes.
    pub asked_at: Vec<Millis>,
}

/// Keeping went wrong.
#[derive(Debug, Clone, thiserror::Error)]
#[error("{0}")]
pub struct KeeperError(
    /// What went wrong, without the token.
    pub String,
);

/// Keeps a connection's tokens where they outlive the program. Each connection has its own.
#[async_trait]
pub trait TokenKeeper: Send + Sync + 'static {
    /// What was kept last.
    ///
    /// # Errors
    /// When it can't be read; nothing kept is no error.
    async fn load(&self) -> Result<Option<KeptToken>, KeeperError>;

    /// Keeps this in place of what was there.
    ///
    /// # Errors
    /// When it can't be kept.
    async fn save(&self, kept: &KeptToken) -> Result<(), KeeperError>;

    /// The refresh token that somebody granted, and the accounts server that gave it. `None`: nobody has, or it is no longer good.
    ///
    /// # Errors
    /// When it can't be read.
    async fn granted(&self) -> Result<Option<(SecretString, String)>, KeeperError> {
        Ok(None)
    }

    /// Told that Zoho refuses this refresh token for good.
    async fn refused(&self, token: &SecretString) {
        let _ = token;
    }
}

/// Keeps nothing beyond the program's life. For tests, and where a restart may cost a token.
#[derive(Debug, Default)]
pub struct MemoryKeeper(Mutex<Option<KeptToken>>);

#[async_trait]
impl TokenKeeper for MemoryKeeper {
    async fn load(&self) -> Result<Option<KeptToken>, KeeperError> {
        Ok(self.0.lock().unwrap_or_else(PoisonError::into_inner).clone())
    }

    async fn save(&self, kept: &KeptToken) -> Result<(), KeeperError> {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Some(kept.clone());
        Ok(())
    }
}

/// What the rest of the connector asks of the tokens.
#[derive(Debug)]
pub(super) struct TokenState {
    api_url: Mutex<String>,
    asked_at: Mutex<Vec<Millis>>,
}

impl TokenState {
    pub(super) fn new(api_url: &str) -> Self {
        let api_url = api_url.trim_end_matches('/').to_owned();
        Self { api_url: Mutex::new(api_url), asked_at: Mutex::default() }
    }

    /// Where the API is.
    pub(super) fn api_url(&self) -> String {
        self.api_url.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Access tokens asked for lately.
    pub(super) fn asked_lately(&self, now: Millis) -> usize {
        let asked = self.asked_at.lock().unwrap_or_else(PoisonError::into_inner);
        asked.iter().filter(|at| within(**at, now)).count()
    }
}

const fn within(at: Millis, now: Millis) -> bool {
    // A time ahead of the clock (it was set back) counts for one window from then on.
    at > now - WINDOW && at < now + WINDOW
}

/// Gets access tokens for the refresh token.
pub(super) struct OAuth {
    accounts: String,
    egress: Egress,
    clock: Clock,
    client_id: String,
    client_secret: SecretString,
    refresh_token: Option<SecretString>,
    timeout_ms: u64,
    keeper: Arc<dyn TokenKeeper>,
    state: Arc<TokenState>,
    /// The token given last: the same one again would be no help.
    given: Mutex<Option<SecretString>>,
    /// Stands in for a keeper that fails.
    memory: Mutex<KeptToken>,
}

impl OAuth {
    pub(super) fn new(
        config: &ZohoConfig,
        egress: &Egress,
        clock: &Clock,
        keeper: Arc<dyn TokenKeeper>,
        state: Arc<TokenState>,
    ) -> Self {
        Self {
            accounts: config.accounts_url.trim_end_matches('/').to_owned(),
            egress: egress.clone(),
            clock: clock.clone(),
            client_id: config.client_id.clone(),
            client_secret: config.client_secret.clone(),
            refresh_token: config.refresh_token.clone(),
            timeout_ms: config.request_timeout_ms,
            keeper,
            state,
            given: Mutex::default(),
            memory: Mutex::default(),
        }
    }

    async fn load(&self) -> KeptToken {
        match self.keeper.load().await {
            Ok(kept) => kept.unwrap_or_default(),
            Err(error) => {
                tracing::warn!(target: "ponte::crm", crm = "zoho", %error, "the kept token can't be read: going on without");
                self.memory.lock().unwrap_or_else(PoisonError::into_inner).clone()
            }
        }
    }

    async fn save(&self, kept: &KeptToken) {
        self.memory.lock().unwrap_or_else(PoisonError::into_inner).clone_from(kept);
        self.state.asked_at.lock().unwrap_or_else(PoisonError::into_inner).clone_from(&kept.asked_at);
        if let Err(error) = self.keeper.save(kept).await {
            tracing::warn!(target: "ponte::crm", crm = "zoho", %error,
                "the token can't be kept: each restart uses up one of Zoho's ten in ten minutes");
        }
    }

    fn given(&self) -> Option<SecretString> {
        self.given.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn give(&self, token: &SecretString, domain: Option<&str>, expires_in_ms: Millis) -> FreshToken {
        *self.given.lock().unwrap_or_else(PoisonError::into_inner) = Some(token.clone());
        if let Some(domain) = domain {
            domain.clone_into(&mut self.state.api_url.lock().unwrap_or_else(PoisonError::into_inner));
        }
        FreshToken { token: token.clone(), expires_in_ms }
    }

    /// The refresh token, and the accounts server that knows it.
    async fn grant(&self) -> Result<(SecretString, String), CallError> {
        if let Some(token) = &self.refresh_token {
            return Ok((token.clone(), self.accounts.clone()));
        }
        let granted = self.keeper.granted().await.map_err(|why| {
            CallError::new(ErrorClass::Retryable { after_ms: None }, "token_not_kept", why.to_string())
        })?;
        granted.ok_or_else(|| {
            let title = "nobody has authorised the connection: `ponte crm authorize`";
            CallError::new(ErrorClass::Auth, "not_connected", title)
        })
    }

    async fn ask(&self, refresh_token: &SecretString, accounts: &str) -> Result<Response, CallError> {
        let request = Request::post("zoho", format!("{accounts}/oauth/v2/token"))
            .form(&[
                ("grant_type", "refresh_token"),
                ("client_id", &self.client_id),
                ("client_secret", self.client_secret.expose_secret()),
                ("refresh_token", refresh_token.expose_secret()),
            ])
            .timeout(std::time::Duration::from_millis(self.timeout_ms));
        self.egress.call(request).await.map_err(|e| classify_read(&e))
    }

    /// `api_domain` as it may be used: an address, and no less safe than the accounts server.
    fn domain(&self, told: Option<String>) -> Option<String> {
        let told = told?.trim_end_matches('/').to_owned();
        let fine =
            told.starts_with("https://") || (self.accounts.starts_with("http://") && told.starts_with("http://"));
        fine.then_some(told)
    }
}

#[derive(Deserialize)]
struct TokenAnswer {
    access_token: Option<SecretText>,
    expires_in: Option<i64>,
    api_domain: Option<String>,
    error: Option<String>,
}

#[async_trait]
impl Refresh for OAuth {
    async fn refresh(&self) -> Result<FreshToken, CallError> {
        let now = (self.clock)();
        let (refresh_token, accounts) = self.grant().await?;
        let mut kept = self.load().await;
        // One from before the restart, or that another process got meanwhile.
        if let Some(token) = kept.access_token.as_ref().filter(|_| kept.expires_at > now + MARGIN) {
            let known = self.given().is_some_and(|given| given.expose_secret() == token.expose_secret());
            if !known {
                self.state.asked_at.lock().unwrap_or_else(PoisonError::into_inner).clone_from(&kept.asked_at);
                return Ok(self.give(token, kept.api_domain.as_deref(), kept.expires_at - now));
            }
        }
        kept.asked_at.retain(|at| within(*at, now));
        if kept.asked_at.len() >= MOST {
            let oldest = kept.asked_at.iter().copied().min().unwrap_or(now);
            return Err(token_budget((oldest + WINDOW - now).clamp(SECOND, WINDOW)));
        }
        kept.asked_at.push(now);
        self.save(&kept).await;
        let response = self.ask(&refresh_token, &accounts).await?;
        match read(&response) {
            Ok(answer) => {
                let life = answer.expires_in.unwrap_or(USUAL_LIFE_S).max(1).saturating_mul(SECOND);
                let Some(SecretText(token)) = answer.access_token else { return Err(unreadable()) };
                // An answer without a domain leaves the one that was.
                kept.api_domain = self.domain(answer.api_domain).or(kept.api_domain);
                kept.access_token = Some(token.clone());
                kept.expires_at = now.saturating_add(life);
                self.save(&kept).await;
                Ok(self.give(&token, kept.api_domain.as_deref(), life))
            }
            Err(error) => {
                if matches!(error.code.as_str(), "invalid_code" | "invalid_grant") {
                    self.keeper.refused(&refresh_token).await;
                }
                if let ErrorClass::Throttled { .. } = error.class {
                    // Others use the same refresh token: the window counts as full.
                    kept.asked_at = vec![now; MOST];
                    self.save(&kept).await;
                }
                Err(error)
            }
        }
    }
}

fn read(response: &Response) -> Result<TokenAnswer, CallError> {
    let status = response.status.as_u16();
    let answer = response.json::<TokenAnswer>();
    let told = answer.as_ref().ok().and_then(|a| a.error.clone()).unwrap_or_default();
    let auth = |title: &str| Err(CallError::new(ErrorClass::Auth, told.clone(), title).with_status(status));
    match told.as_str() {
        "" if response.status.is_success() => match answer {
            Ok(answer) if answer.access_token.is_some() => Ok(answer),
            _ => Err(unreadable()),
        },
        "" => {
            let class = ErrorClass::Retryable { after_ms: None };
            Err(CallError::new(class, "token_endpoint", "Zoho gave no access token").with_status(status))
        }
        "Access Denied" | "access_denied" => Err(token_budget(WINDOW)),
        "invalid_client" => auth("Zoho doesn't know this client: another data centre, or a wrong client id"),
        "invalid_client_secret" => auth("the client secret is wrong"),
        "invalid_code" | "invalid_grant" => auth("Zoho refuses the refresh token: connect again"),
        _ if response.status.is_server_error() => {
            let class = ErrorClass::Retryable { after_ms: None };
            Err(CallError::new(class, "token_endpoint", "Zoho gave no access token").with_status(status))
        }
        other => {
            // Words of Zoho's, never values; cut, should that change.
            let code: String = other.chars().filter(|c| c.is_ascii_alphanumeric() || *c == '_').take(40).collect();
            Err(CallError::new(ErrorClass::Auth, code, "Zoho refuses the refresh token").with_status(status))
        }
    }
}

fn token_budget(after_ms: Millis) -> CallError {
    let class = ErrorClass::Throttled { scope: ThrottleScope::Account, after_ms: Some(after_ms) };
    let title = "Zoho gives ten access tokens in ten minutes, and they are used up: does another program use this refresh \
                 token?";
    CallError::new(class, "token_budget", title)
}

fn unreadable() -> CallError {
    let title = "Zoho's token answer can't be read";
    CallError::new(ErrorClass::Retryable { after_ms: None }, "token_answer", title)
}
