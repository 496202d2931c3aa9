//! Access tokens, scopes and the accounts server.
//! May touch: its own tokens. Must not touch: records, budgets.
//! Failure story: an unknown or expired token, or one of another data centre, is 401 `INVALID_TOKEN`; a missing scope 401
//! `OAUTH_SCOPE_MISMATCH`. Errors of the token endpoint come as an `error` in the body, with status 200.

use super::call::{Call, escape};
use super::config::Config;
use super::error::{Answer, Body, Refusal, Reply};
use crate::chance::Chance;
use crate::form::Form;
use crate::window::Window;
use http::Method;
use serde_json::{Value, json};
use std::collections::HashMap;

/// Ten minutes: the window in which one refresh token gives a limited number of access tokens.
const REFRESH_WINDOW_MS: i64 = 600_000;
/// A code of the redirect flow lives two minutes, whatever a self client's does.
const REDIRECT_CODE_S: i64 = 120;

/// A right that a call asks for: `ZohoCRM.modules.Contacts.READ` is group, name and operation.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Right {
    pub(super) group: &'static str,
    /// Module or kind of setting, lower case; empty for groups that have none.
    pub(super) name: String,
    pub(super) operation: &'static str,
}

impl Right {
    pub(super) fn new(group: &'static str, name: &str, operation: &'static str) -> Self {
        Self { group, name: name.to_lowercase(), operation }
    }

    /// True when a granted scope covers this right.
    pub(super) fn covered_by(&self, scope: &str) -> bool {
        let scope = scope.to_lowercase();
        let mut parts = scope.split('.');
        if parts.next() != Some("zohocrm") || parts.next() != Some(self.group) {
            return false;
        }
        let rest: Vec<&str> = parts.collect();
        let wanted = self.operation.to_lowercase();
        let grants = |word: &str| {
            word == "all" || word == wanted || (word == "write" && (wanted == "create" || wanted == "update"))
        };
        match rest.as_slice() {
            [operation] => grants(operation),
            [name, operation] => *name == self.name && grants(operation),
            _ => false,
        }
    }
}

#[derive(Debug)]
struct Access {
    scopes: Vec<String>,
    /// Epoch milliseconds; `None` for static tokens.
    expires_at: Option<i64>,
    /// The refresh token it was given for, and ends with.
    refresh: Option<String>,
}

#[derive(Debug)]
struct Refresh {
    scopes: Vec<String>,
    given: Window,
    made: u64,
}

#[derive(Debug)]
struct Code {
    scopes: Vec<String>,
    expires_at: i64,
    redirect_uri: Option<String>,
}

/// All tokens of the organisation.
#[derive(Debug)]
pub(super) struct Auth {
    access: HashMap<String, Access>,
    refresh: HashMap<String, Refresh>,
    codes: HashMap<String, Code>,
    given_refresh: Window,
    made: u64,
    pub(super) refreshes: u64,
    pub(super) refreshes_refused: u64,
}

impl Auth {
    pub(super) fn new(config: &Config, now: i64) -> Self {
        let access = config.tokens.iter().map(|token| {
            (token.token.clone(), Access { scopes: token.scopes.clone(), expires_at: None, refresh: None })
        });
        let scopes = &config.oauth.scopes;
        let refresh = config.oauth.refresh_tokens.iter().map(|token| {
            (token.clone(), Refresh { scopes: scopes.clone(), given: Window::new(REFRESH_WINDOW_MS), made: 0 })
        });
        let expires_at = now.saturating_add(config.oauth.code_life_s.saturating_mul(1000));
        let codes = config
            .oauth
            .self_client_codes
            .iter()
            .map(|code| (code.clone(), Code { scopes: scopes.clone(), expires_at, redirect_uri: None }));
        Self {
            access: access.collect(),
            refresh: refresh.collect(),
            codes: codes.collect(),
            given_refresh: Window::new(60_000),
            made: 0,
            refreshes: 0,
            refreshes_refused: 0,
        }
    }

    /// The scopes of the token in the `Authorization` header.
    pub(super) fn check(&self, header: Option<&str>, now: i64) -> Result<&[String], Refusal> {
        let Some(header) = header else {
            return Err(Refusal::new(401, "AUTHENTICATION_FAILURE", "Authentication failed"));
        };
        let token = header.strip_prefix("Zoho-oauthtoken ").ok_or_else(Refusal::bad_token)?;
        let access = self.access.get(token).filter(|access| access.expires_at.is_none_or(|at| at > now));
        access.map(|access| access.scopes.as_slice()).ok_or_else(Refusal::bad_token)
    }

    /// Ends every access token that can expire.
    pub(super) fn expire_all(&mut self, now: i64) {
        for access in self.access.values_mut().filter(|access| access.expires_at.is_some()) {
            access.expires_at = Some(now);
        }
    }

    /// Ends every refresh token and what was given for it, as a person does who disconnects the app.
    pub(super) fn revoke_all(&mut self) {
        self.refresh.clear();
        self.access.retain(|_, access| access.expires_at.is_none());
    }

    /// Serves `/oauth/v2/…` of the home data centre.
    pub(super) fn serve(&mut self, call: &Call, config: &Config, home: &str, chance: &Chance, now: i64) -> Answer {
        let form = call.form();
        match (&call.method, call.segments().as_slice()) {
            (&Method::GET, ["auth"]) => self.consent(&form, config, home, chance, now),
            (&Method::POST, ["token"]) => Ok(match self.token(&form, config, home, chance, now) {
                Ok(body) => Reply::wrote(200, body),
                Err(refusal) => refusal.reply(config),
            }),
            (&Method::POST, ["token", "revoke"]) => Ok(self.revoke(&form, config)),
            _ => Err(Refusal::no_such_path()),
        }
    }

    /// The consent page; the simulated user always agrees.
    fn consent(&mut self, form: &Form, config: &Config, home: &str, chance: &Chance, now: i64) -> Answer {
        let get = |name: &str| form.get(name).unwrap_or_default();
        if get("client_id") != config.oauth.client_id {
            return Err(Refusal::new(400, "INVALID_DATA", "Invalid Client ID"));
        }
        if get("redirect_uri") != config.oauth.redirect_uri {
            return Err(Refusal::new(400, "INVALID_DATA", "Invalid Redirect Uri"));
        }
        let scopes: Vec<String> =
            get("scope").split([',', ' ']).filter(|s| !s.is_empty()).map(ToOwned::to_owned).collect();
        if get("response_type") != "code" || scopes.is_empty() {
            return Err(Refusal::new(400, "INVALID_DATA", "Invalid OAuth scope or response type"));
        }
        if config.oauth.refuse_consent {
            let to = format!("{}?error=access_denied&state={}", config.oauth.redirect_uri, escape(get("state")));
            return Ok(Reply { status: 302, body: Body::Location(to), wrote: true });
        }
        let code = new_token(chance);
        let redirect_uri = Some(config.oauth.redirect_uri.clone());
        let expires_at = now.saturating_add(REDIRECT_CODE_S.saturating_mul(1000));
        self.codes.insert(code.clone(), Code { scopes, expires_at, redirect_uri });
        let (state, join) = (get("state"), if config.oauth.redirect_uri.contains('?') { '&' } else { '?' });
        let location = format!(
            "{}{join}state={}&code={code}&location={}&accounts-server={}",
            config.oauth.redirect_uri,
            escape(state),
            config.data_centre.name(),
            escape(home)
        );
        Ok(Reply { status: 302, body: Body::Location(location), wrote: true })
    }

    fn token(
        &mut self,
        form: &Form,
        config: &Config,
        home: &str,
        chance: &Chance,
        now: i64,
    ) -> Result<Value, TokenError> {
        let get = |name: &str| form.get(name).unwrap_or_default();
        if get("client_id") != config.oauth.client_id {
            return Err(TokenError::Client);
        }
        if get("client_secret") != config.oauth.client_secret {
            return Err(TokenError::Secret);
        }
        let (scopes, refresh) = match get("grant_type") {
            "refresh_token" => {
                let given = get("refresh_token");
                (self.take_refresh(given, config, now)?, given.to_owned())
            }
            "authorization_code" => {
                let scopes = self.take_code(get("code"), form.get("redirect_uri"), now)?;
                let token = self.new_refresh(&scopes, config, chance, now)?;
                (scopes, token)
            }
            _ => return Err(TokenError::Grant),
        };
        let access = new_token(chance);
        let mut body = json!({
            "access_token": access, "scope": scopes.join(" "), "api_domain": home, "token_type": "Bearer",
            "expires_in": config.oauth.expires_in,
        });
        if let (true, Some(fields)) = (get("grant_type") == "authorization_code", body.as_object_mut()) {
            fields.insert("refresh_token".to_owned(), json!(refresh));
        }
        let expires_at = Some(now.saturating_add(config.oauth.expires_in.saturating_mul(1000)));
        self.access.insert(access, Access { scopes, expires_at, refresh: Some(refresh) });
        Ok(body)
    }

    fn take_refresh(&mut self, token: &str, config: &Config, now: i64) -> Result<Vec<String>, TokenError> {
        let refresh = self.refresh.get_mut(token).ok_or(TokenError::Code)?;
        if refresh.given.used(now) >= config.limits.access_tokens_per_10_minutes {
            self.refreshes_refused += 1;
            return Err(TokenError::TooMany);
        }
        refresh.given.add(now, 1);
        self.refreshes += 1;
        Ok(refresh.scopes.clone())
    }

    fn take_code(&mut self, code: &str, redirect: Option<&str>, now: i64) -> Result<Vec<String>, TokenError> {
        // A code that was tried is used up, whatever comes of it.
        let code = self.codes.remove(code).ok_or(TokenError::Code)?;
        if code.expires_at <= now {
            return Err(TokenError::Code);
        }
        if code.redirect_uri.as_deref().is_some_and(|uri| redirect != Some(uri)) {
            return Err(TokenError::Redirect);
        }
        Ok(code.scopes)
    }

    fn new_refresh(
        &mut self,
        scopes: &[String],
        config: &Config,
        chance: &Chance,
        now: i64,
    ) -> Result<String, TokenError> {
        if self.given_refresh.used(now) >= config.limits.refresh_tokens_per_minute {
            return Err(TokenError::TooMany);
        }
        self.given_refresh.add(now, 1);
        if self.refresh.len() >= config.limits.refresh_tokens_per_user {
            let oldest = self.refresh.iter().min_by_key(|(_, refresh)| refresh.made).map(|(token, _)| token.clone());
            self.refresh.remove(&oldest.unwrap_or_default());
        }
        self.made += 1;
        let token = new_token(chance);
        let refresh = Refresh { scopes: scopes.to_vec(), given: Window::new(REFRESH_WINDOW_MS), made: self.made };
        self.refresh.insert(token.clone(), refresh);
        Ok(token)
    }

    fn revoke(&mut self, form: &Form, config: &Config) -> Reply {
        let token = form.get("token").unwrap_or_default();
        let known = self.refresh.remove(token).is_some() | self.access.remove(token).is_some();
        if !known {
            return TokenError::Code.reply(config);
        }
        self.access.retain(|_, access| access.refresh.as_deref() != Some(token));
        Reply::wrote(200, json!({"status": "success"}))
    }
}

/// What the token endpoint refuses.
#[derive(Debug, Clone, Copy)]
pub(super) enum TokenError {
    Client,
    Secret,
    Code,
    Redirect,
    Grant,
    TooMany,
}

impl TokenError {
    pub(super) fn reply(self, config: &Config) -> Reply {
        let body = match self {
            Self::Client => json!({"error": "invalid_client"}),
            Self::Secret => json!({"error": "invalid_client_secret"}),
            Self::Code => json!({"error": "invalid_code"}),
            Self::Redirect => json!({"error": "invalid_redirect_uri"}),
            Self::Grant => json!({"error": "unsupported_grant_type"}),
            Self::TooMany => json!({
                "error_description": "You have made too many requests continuously. Please try again after some time.",
                "error": "Access Denied", "status": "failure",
            }),
        };
        // Only the lock-out has a status of its own.
        let status = if matches!(self, Self::TooMany) { 400 } else { config.oauth.error_status };
        Reply { status, body: Body::Json(body), wrote: false }
    }
}

fn new_token(chance: &Chance) -> String {
    let half = || format!("{:016x}{:016x}", chance.number(), chance.number());
    format!("1000.{}.{}", half(), half())
}

#[cfg(test)]
mod tests {
    use super::Right;

    #[test]
    fn a_scope_covers_its_group_its_module_or_its_operation() {
        let read = Right::new("modules", "Contacts", "READ");
        for (scope, covered) in [
            ("ZohoCRM.modules.ALL", true),
            ("ZohoCRM.modules.READ", true),
            ("zohocrm.modules.contacts.read", true),
            ("ZohoCRM.modules.Contacts.ALL", true),
            ("ZohoCRM.modules.Leads.ALL", false),
            ("ZohoCRM.modules.contacts.CREATE", false),
            ("ZohoCRM.settings.ALL", false),
            ("ZohoCRM", false),
        ] {
            assert_eq!(read.covered_by(scope), covered, "{scope}");
        }
        assert!(Right::new("modules", "Leads", "UPDATE").covered_by("ZohoCRM.modules.leads.WRITE"));
    }
}
