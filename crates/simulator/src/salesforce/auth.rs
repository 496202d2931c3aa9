//! Sessions, refresh tokens, authorization codes.
//! May touch: its own tokens. Must not touch: records, allowances.
//! Failure story: an unknown or ended session is 401 `INVALID_SESSION_ID`, without a word on why.

use super::config::{Config, Oauth};
use super::error::Refusal;
use crate::chance::Chance;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use sha2::{Digest, Sha256};
use std::collections::{BTreeSet, HashMap};

/// An open session.
#[derive(Debug)]
pub(super) struct Session {
    pub(super) scopes: BTreeSet<String>,
    /// Epoch milliseconds of the last call; `None` for one that does not run out.
    used_at: Option<i64>,
    /// The refresh token that opened it.
    family: Option<u64>,
}

/// A code that a browser brought back.
#[derive(Debug)]
struct Code {
    made_at: i64,
    challenge: Option<String>,
    redirect_uri: String,
}

/// All tokens of the org.
#[derive(Debug)]
pub(super) struct Auth {
    sessions: HashMap<String, Session>,
    /// Refresh tokens and the grant that they belong to.
    refresh: HashMap<String, u64>,
    codes: HashMap<String, Code>,
    grants: u64,
}

impl Auth {
    pub(super) fn new(config: &Config) -> Self {
        let session =
            |scopes: &[String]| Session { scopes: scopes.iter().cloned().collect(), used_at: None, family: None };
        Self {
            sessions: config.tokens.iter().map(|t| (t.token.clone(), session(&t.scopes))).collect(),
            refresh: (0..).zip(&config.oauth.refresh_tokens).map(|(n, token)| (token.clone(), n)).collect(),
            codes: HashMap::new(),
            grants: config.oauth.refresh_tokens.len() as u64,
        }
    }

    /// The token of an `Authorization` header, if its session is open. Using it keeps it open.
    pub(super) fn check(&mut self, header: Option<&str>, oauth: &Oauth, now: i64) -> Result<String, Refusal> {
        let token = header.and_then(|h| h.strip_prefix("Bearer ").or_else(|| h.strip_prefix("OAuth ")));
        let token = token.unwrap_or_default().trim();
        if !self.is_open(token, oauth, now) {
            return Err(Refusal::session());
        }
        let session = self.sessions.get_mut(token).ok_or_else(Refusal::session)?;
        if session.used_at.is_some() {
            session.used_at = Some(now);
        }
        if session.scopes.contains("api") || session.scopes.contains("full") {
            return Ok(token.to_owned());
        }
        Err(Refusal::new(403, "INVALID_SESSION_ID", "This session is not valid for use with the REST API"))
    }

    fn is_open(&self, token: &str, oauth: &Oauth, now: i64) -> bool {
        let life = oauth.session_timeout_s.saturating_mul(1_000);
        self.sessions.get(token).is_some_and(|s| s.used_at.is_none_or(|used| now.saturating_sub(used) < life))
    }

    /// What introspection and the identity page show: scopes and the end, epoch seconds.
    pub(super) fn look(&self, token: &str, oauth: &Oauth, now: i64) -> Option<(&Session, i64)> {
        let session = self.sessions.get(token).filter(|_| self.is_open(token, oauth, now))?;
        Some((session, session.used_at.unwrap_or(now) / 1_000 + oauth.session_timeout_s))
    }

    pub(super) fn knows_refresh(&self, token: &str) -> bool {
        self.refresh.contains_key(token)
    }

    /// Opens a session.
    pub(super) fn open(
        &mut self,
        org: &str,
        config: &Config,
        chance: &Chance,
        family: Option<u64>,
        now: i64,
    ) -> String {
        let token = format!("{org}!{:016x}{:016x}{:016x}", chance.number(), chance.number(), chance.number());
        let scopes = config.oauth.scopes.iter().cloned().collect();
        self.sessions.insert(token.clone(), Session { scopes, used_at: Some(now), family });
        token
    }

    /// Takes a refresh token: its grant, and the token that replaces it when they rotate.
    pub(super) fn take_refresh(
        &mut self,
        given: &str,
        oauth: &Oauth,
        chance: &Chance,
    ) -> Result<(u64, Option<String>), Refusal> {
        let expired = || Refusal::oauth(400, "invalid_grant", "expired access/refresh token");
        let family = *self.refresh.get(given).ok_or_else(expired)?;
        if !oauth.rotate_refresh_tokens {
            return Ok((family, None));
        }
        self.refresh.remove(given);
        // With rotation the exchange also ends the session that the old token had opened.
        self.sessions.retain(|_, session| session.family != Some(family));
        Ok((family, Some(self.new_refresh(family, chance))))
    }

    fn new_refresh(&mut self, family: u64, chance: &Chance) -> String {
        let token = format!("5Aep{:016x}{:016x}{:016x}", chance.number(), chance.number(), chance.number());
        self.refresh.insert(token.clone(), family);
        token
    }

    /// A new code for a browser to bring back.
    pub(super) fn new_code(
        &mut self,
        redirect_uri: &str,
        challenge: Option<&str>,
        chance: &Chance,
        now: i64,
    ) -> String {
        let code = format!("aPrx{:016x}{:016x}", chance.number(), chance.number());
        let (challenge, redirect_uri) = (challenge.map(str::to_owned), redirect_uri.to_owned());
        self.codes.insert(code.clone(), Code { made_at: now, challenge, redirect_uri });
        code
    }

    /// Exchanges a code, once.
    pub(super) fn take_code(
        &mut self,
        code: &str,
        redirect_uri: &str,
        verifier: Option<&str>,
        oauth: &Oauth,
        chance: &Chance,
        now: i64,
    ) -> Result<(u64, String), Refusal> {
        let refuse = |description| Refusal::oauth(400, "invalid_grant", description);
        let known = self.codes.remove(code).ok_or_else(|| refuse("invalid authorization code"))?;
        if now.saturating_sub(known.made_at) > oauth.code_life_s.saturating_mul(1_000) {
            return Err(refuse("expired authorization code"));
        }
        if known.redirect_uri != redirect_uri {
            return Err(Refusal::oauth(400, "redirect_uri_mismatch", "redirect_uri must match configuration"));
        }
        if let Some(challenge) = known.challenge {
            let hash = URL_SAFE_NO_PAD.encode(Sha256::digest(verifier.unwrap_or_default().as_bytes()));
            if hash != challenge.trim_end_matches('=') {
                return Err(refuse("invalid code verifier"));
            }
        }
        let family = self.grants;
        self.grants += 1;
        Ok((family, self.new_refresh(family, chance)))
    }

    /// Ends a session, or a refresh token and its sessions; false when there is none.
    pub(super) fn revoke(&mut self, token: &str) -> bool {
        if let Some(family) = self.refresh.remove(token) {
            self.sessions.retain(|_, session| session.family != Some(family));
            return true;
        }
        self.sessions.remove(token).is_some()
    }

    /// Ends every session that can end.
    pub(super) fn end_all(&mut self) {
        self.sessions.retain(|_, session| session.used_at.is_none());
    }
}
