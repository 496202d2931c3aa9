//! Bearer tokens, scopes and the OAuth token endpoint.
//! May touch: its own tokens. Must not touch: records, limits.
//! Failure story: an unknown or expired token is 401, a missing scope 403 with `MISSING_SCOPES`.

use super::config::Config;
use super::error::{Answer, Refusal, Reply};
use crate::chance::Chance;
use crate::form::Form;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use std::collections::{BTreeSet, HashMap, HashSet};

#[derive(Debug)]
struct Access {
    scopes: BTreeSet<String>,
    /// Epoch milliseconds; `None` for static tokens.
    expires_at: Option<i64>,
}

/// A code that a browser brings back.
#[derive(Debug)]
struct Code {
    /// Epoch milliseconds; `None` for codes of the configuration.
    expires_at: Option<i64>,
    challenge: Option<String>,
    redirect_uri: String,
}

/// All tokens of the account.
#[derive(Debug)]
pub(super) struct Auth {
    access: HashMap<String, Access>,
    refresh: HashSet<String>,
    codes: HashMap<String, Code>,
}

impl Auth {
    pub(super) fn new(config: &Config) -> Self {
        let access = config
            .tokens
            .iter()
            .map(|t| (t.token.clone(), Access { scopes: t.scopes.iter().cloned().collect(), expires_at: None }))
            .collect();
        Self {
            access,
            refresh: config.oauth.refresh_tokens.iter().cloned().collect(),
            codes: config
                .oauth
                .authorization_codes
                .iter()
                .map(|code| {
                    let redirect_uri = config.oauth.redirect_uri.clone();
                    (code.clone(), Code { expires_at: None, challenge: None, redirect_uri })
                })
                .collect(),
        }
    }

    /// Checks the bearer token for one of `any_of` (empty: any token will do). True when it is an OAuth token.
    pub(super) fn check(&self, header: Option<&str>, any_of: &[&str], now: i64) -> Result<bool, Refusal> {
        let token = header.and_then(|h| h.strip_prefix("Bearer ")).unwrap_or_default();
        let Some(access) = self.access.get(token) else {
            let message = "Authentication credentials not found. This API supports OAuth 2.0 authentication.";
            return Err(Refusal::new(401, "INVALID_AUTHENTICATION", message));
        };
        if let Some(expired) = access.expires_at.filter(|at| *at <= now) {
            let ago = now.saturating_sub(expired) / 1000;
            let message = format!("The OAuth token used to make this call expired {ago} second(s) ago.");
            return Err(Refusal::new(401, "EXPIRED_AUTHENTICATION", message));
        }
        if any_of.is_empty() || any_of.iter().any(|scope| access.scopes.contains(*scope)) {
            return Ok(access.expires_at.is_some());
        }
        let mut refusal =
            Refusal::new(403, "MISSING_SCOPES", "This app hasn't been granted all required scopes to make this call.");
        refusal.errors = vec![json!({"message": "One or more of the following scopes are required.",
                                     "context": {"requiredGranularScopes": any_of}})];
        Err(refusal)
    }

    /// Ends every access token that can expire.
    pub(super) fn expire_all(&mut self, now: i64) {
        for access in self.access.values_mut().filter(|a| a.expires_at.is_some()) {
            access.expires_at = Some(now);
        }
    }

    /// `POST …/token`.
    pub(super) fn token(&mut self, form: &Form, config: &Config, chance: &Chance, now: i64) -> Answer {
        self.check_client(form, config)?;
        let refresh = match form.get("grant_type") {
            Some("refresh_token") => Some(self.take_refresh(form, config, chance)?),
            Some("authorization_code") => Some(self.take_code(form, chance, now)?),
            Some("client_credentials") => None,
            _ => return Err(oauth_refusal("UNSUPPORTED_GRANT_TYPE", "missing or unknown grant_type")),
        };
        let token = format!("sim-access-{:016x}{:016x}", chance.number(), chance.number());
        let asked = form.get("scope").map(|s| s.split(' ').map(ToOwned::to_owned).collect::<BTreeSet<String>>());
        let scopes = match (&refresh, asked) {
            // Client credentials carry the scopes they ask for, whatever the app's users granted.
            (None, Some(asked)) => asked,
            _ => config.oauth.scopes.iter().cloned().collect(),
        };
        let expires_at = now.saturating_add(config.oauth.expires_in.saturating_mul(1000));
        let body = json!({"token_type": "bearer", "access_token": token, "refresh_token": refresh,
                          "expires_in": config.oauth.expires_in, "hub_id": config.portal_id, "scopes": scopes});
        self.access.insert(token, Access { scopes, expires_at: Some(expires_at) });
        Ok(Reply::wrote(200, Some(body)))
    }

    fn check_client(&self, form: &Form, config: &Config) -> Result<(), Refusal> {
        let known = form.get("client_id") == Some(config.oauth.client_id.as_str())
            && form.get("client_secret") == Some(config.oauth.client_secret.as_str());
        if known { Ok(()) } else { Err(oauth_refusal("BAD_CLIENT_ID", "missing or invalid client id or secret")) }
    }

    fn take_refresh(&mut self, form: &Form, config: &Config, chance: &Chance) -> Result<String, Refusal> {
        let given = form.get("refresh_token").unwrap_or_default();
        if !self.refresh.contains(given) {
            return Err(oauth_refusal("BAD_REFRESH_TOKEN", "missing or invalid refresh token"));
        }
        if !config.oauth.rotate_refresh_tokens {
            return Ok(given.to_owned());
        }
        self.refresh.remove(given);
        Ok(self.new_refresh(chance))
    }

    /// `GET /oauth/authorize`: a person who says yes, or no where the configuration says so.
    pub(super) fn consent(&mut self, query: &Form, config: &Config, chance: &Chance, now: i64) -> Answer {
        let oauth = &config.oauth;
        let get = |name: &str| query.get(name).unwrap_or_default();
        if get("client_id") != oauth.client_id {
            return Err(oauth_refusal("BAD_CLIENT_ID", "missing or unknown client id"));
        }
        if get("redirect_uri") != oauth.redirect_uri {
            return Err(oauth_refusal("BAD_REDIRECT_URI", "redirect_uri is not one of the app's"));
        }
        if !get("scope").split(' ').any(|scope| !scope.is_empty()) {
            return Err(oauth_refusal("BAD_SCOPES", "missing scope"));
        }
        let challenge = query.get("code_challenge").map(str::to_owned);
        if challenge.is_some() && get("code_challenge_method") != "S256" {
            return Err(oauth_refusal("BAD_CODE_CHALLENGE", "only S256 is taken"));
        }
        let state = crate::form::escape(get("state"));
        if oauth.refuse_consent {
            let to = format!("{}?error=access_denied&error_description=refused&state={state}", oauth.redirect_uri);
            return Ok(Reply::redirect(to));
        }
        let code = format!("sim-code-{:016x}{:016x}", chance.number(), chance.number());
        let expires_at = Some(now.saturating_add(oauth.code_life_s.saturating_mul(1000)));
        self.codes.insert(code.clone(), Code { expires_at, challenge, redirect_uri: oauth.redirect_uri.clone() });
        Ok(Reply::redirect(format!("{}?code={code}&state={state}", oauth.redirect_uri)))
    }

    fn take_code(&mut self, form: &Form, chance: &Chance, now: i64) -> Result<String, Refusal> {
        let bad = |message| oauth_refusal("BAD_AUTH_CODE", message);
        // Used up by the first try, whatever comes of it.
        let code = self.codes.remove(form.get("code").unwrap_or_default());
        let code = code.ok_or_else(|| bad("missing or unknown auth code"))?;
        if code.expires_at.is_some_and(|at| at <= now) {
            return Err(bad("the auth code expired"));
        }
        if form.get("redirect_uri") != Some(code.redirect_uri.as_str()) {
            return Err(oauth_refusal("MISMATCH_REDIRECT_URI_AUTH_CODE", "redirect_uri does not match the code's"));
        }
        if let Some(challenge) = code.challenge {
            let verifier = form.get("code_verifier").unwrap_or_default();
            if URL_SAFE_NO_PAD.encode(Sha256::digest(verifier.as_bytes())) != challenge.trim_end_matches('=') {
                return Err(oauth_refusal("BAD_CODE_VERIFIER", "code_verifier does not match the code's challenge"));
            }
        }
        Ok(self.new_refresh(chance))
    }

    /// A person disconnects the app: refresh tokens and what was given for them end.
    pub(super) fn revoke_all(&mut self) {
        self.refresh.clear();
        self.access.retain(|_, access| access.expires_at.is_none());
    }

    fn new_refresh(&mut self, chance: &Chance) -> String {
        let token = format!("sim-refresh-{:016x}{:016x}", chance.number(), chance.number());
        self.refresh.insert(token.clone());
        token
    }

    /// `POST …/token/introspect`.
    pub(super) fn introspect(&self, form: &Form, config: &Config, now: i64) -> Answer {
        self.check_client(form, config)?;
        let token = form.get("token").unwrap_or_default();
        let body = match self.access.get(token) {
            Some(access) if access.expires_at.is_none_or(|at| at > now) => json!({
                "active": true, "token_type": "bearer", "token_use": "access_token", "hub_id": config.portal_id,
                "client_id": config.oauth.client_id, "scopes": access.scopes,
                "expires_in": access.expires_at.map(|at| at.saturating_sub(now) / 1000),
            }),
            _ if self.refresh.contains(token) => json!({
                "active": true, "token_use": "refresh_token", "hub_id": config.portal_id,
                "client_id": config.oauth.client_id, "scopes": config.oauth.scopes,
            }),
            _ => json!({"active": false}),
        };
        Ok(Reply::read(body))
    }

    /// `POST …/token/revoke`.
    pub(super) fn revoke(&mut self, form: &Form, config: &Config) -> Answer {
        self.check_client(form, config)?;
        let token = form.get("token").unwrap_or_default();
        self.refresh.remove(token);
        if self.access.get(token).is_some_and(|a| a.expires_at.is_some()) {
            self.access.remove(token);
        }
        Ok(Reply::wrote(200, Some(Value::Object(serde_json::Map::new()))))
    }
}

fn oauth_refusal(status: &'static str, message: &str) -> Refusal {
    Refusal::new(400, status, message)
}
