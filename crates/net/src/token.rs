//! Access tokens: one refresh at a time, everyone who waits gets its result.
//! Must not touch: the clock (passed in), any API's words (a [`Refresh`] knows those), logs with secrets.
//! Failure story: a refresh runs in a task of its own, so that it ends even when all who wait give up: a rotated refresh token
//! is never lost half-way. When a refresh fails while the old token still holds, the old one is used.

use crate::Clock;
use async_trait::async_trait;
use ponte_domain::Millis;
use ponte_domain::error::{CallError, ErrorClass};
use secrecy::{ExposeSecret, SecretString};
use std::sync::{Arc, Mutex, PoisonError};

/// Where a client gets its access token from.
#[async_trait]
pub trait TokenSource: Send + Sync {
    /// A token that should be good.
    ///
    /// # Errors
    /// Why there is none; [`ErrorClass::Auth`] when someone has to act.
    async fn token(&self) -> Result<SecretString, CallError>;

    /// Says that the API refused `token` (401). True when the next [`TokenSource::token`] may give another one, so that trying
    /// once more makes sense.
    fn invalidate(&self, token: &SecretString) -> bool;

    /// Drops the token that is held: somebody authorised the client anew, perhaps for another account.
    fn forget(&self) {}
}

/// A token that never changes (service keys, static app tokens).
#[derive(Debug, Clone)]
pub struct StaticToken(pub SecretString);

#[async_trait]
impl TokenSource for StaticToken {
    async fn token(&self) -> Result<SecretString, CallError> {
        Ok(self.0.clone())
    }

    fn invalidate(&self, _token: &SecretString) -> bool {
        false
    }
}

/// What a refresh brought.
#[derive(Debug, Clone)]
pub struct FreshToken {
    /// The access token.
    pub token: SecretString,
    /// Milliseconds it is good for.
    pub expires_in_ms: Millis,
}

/// How a new access token is got. Knows the API's words; called by one task at a time.
#[async_trait]
pub trait Refresh: Send + Sync + 'static {
    /// Gets a new access token, and keeps a rotated refresh token if the API gave one.
    ///
    /// # Errors
    /// Classified like any call; [`ErrorClass::Auth`] when the grant is no longer good.
    async fn refresh(&self) -> Result<FreshToken, CallError>;
}

#[derive(Debug, Clone)]
struct Held {
    token: SecretString,
    got_at: Millis,
    refresh_at: Millis,
    expires_at: Millis,
    refused: bool,
    /// It took the place of a refused one.
    replacement: bool,
}

/// Ended refreshes so far, and how the last one ended.
#[derive(Debug, Default)]
struct Attempts {
    ended: u64,
    last_error: Option<CallError>,
}

struct Shared<R> {
    refresh: R,
    clock: Clock,
    margin_ms: Millis,
    held: Mutex<Option<Held>>,
    attempts: Mutex<Attempts>,
    turn: tokio::sync::Mutex<()>,
}

/// A token that is refreshed before it ends, by one caller at a time.
pub struct RefreshingToken<R> {
    shared: Arc<Shared<R>>,
}

impl<R> std::fmt::Debug for RefreshingToken<R> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("RefreshingToken").field("margin_ms", &self.shared.margin_ms).finish_non_exhaustive()
    }
}

/// When a token that replaced a refused one is itself refused within this time, refreshing is not the cure: no more of it.
const YOUNG_MS: Millis = 30_000;

impl<R: Refresh> RefreshingToken<R> {
    /// `margin_ms`: how long before its end a token is replaced.
    pub fn new(refresh: R, margin_ms: Millis, clock: Clock) -> Self {
        let (held, attempts, turn) = (Mutex::new(None), Mutex::default(), tokio::sync::Mutex::new(()));
        Self { shared: Arc::new(Shared { refresh, clock, margin_ms, held, attempts, turn }) }
    }
}

#[async_trait]
impl<R: Refresh> TokenSource for RefreshingToken<R> {
    async fn token(&self) -> Result<SecretString, CallError> {
        if let Some(token) = self.shared.good() {
            return Ok(token);
        }
        let seen = self.shared.ended();
        let shared = self.shared.clone();
        match tokio::spawn(async move { shared.take_turn(seen).await }).await {
            Ok(result) => result,
            Err(_) => {
                Err(CallError::new(ErrorClass::Retryable { after_ms: None }, "refresh", "the refresh was stopped"))
            }
        }
    }

    fn invalidate(&self, token: &SecretString) -> bool {
        let now = (self.shared.clock)();
        let mut held = self.shared.held.lock().unwrap_or_else(PoisonError::into_inner);
        match held.as_mut() {
            Some(held) if held.token.expose_secret() == token.expose_secret() => {
                held.refused = held.refused || !held.replacement || now - held.got_at >= YOUNG_MS;
                held.refused
            }
            // Replaced meanwhile: the new one is worth a try.
            _ => true,
        }
    }

    fn forget(&self) {
        *self.shared.held.lock().unwrap_or_else(PoisonError::into_inner) = None;
    }
}

impl<R: Refresh> Shared<R> {
    /// The held token, when it needs no refresh.
    fn good(&self) -> Option<SecretString> {
        let now = (self.clock)();
        let held = self.held.lock().unwrap_or_else(PoisonError::into_inner);
        held.as_ref().filter(|h| !h.refused && now < h.refresh_at).map(|h| h.token.clone())
    }

    /// The held token, when it is past its margin but not past its end.
    fn still_valid(&self) -> Option<SecretString> {
        let now = (self.clock)();
        let held = self.held.lock().unwrap_or_else(PoisonError::into_inner);
        held.as_ref().filter(|h| !h.refused && now < h.expires_at).map(|h| h.token.clone())
    }

    fn ended(&self) -> u64 {
        self.attempts.lock().unwrap_or_else(PoisonError::into_inner).ended
    }

    async fn take_turn(&self, seen: u64) -> Result<SecretString, CallError> {
        let _turn = self.turn.lock().await;
        if let Some(token) = self.good() {
            return Ok(token);
        }
        // Someone else's refresh ended while this caller waited: its result is everyone's.
        let shared_error = {
            let attempts = self.attempts.lock().unwrap_or_else(PoisonError::into_inner);
            if attempts.ended > seen { attempts.last_error.clone() } else { None }
        };
        let result = match shared_error {
            Some(error) => Err(error),
            None => self.run().await,
        };
        match result {
            Ok(token) => Ok(token),
            Err(error) => self.still_valid().ok_or(error),
        }
    }

    async fn run(&self) -> Result<SecretString, CallError> {
        let asked_at = (self.clock)();
        let result = self.refresh.refresh().await;
        let mut attempts = self.attempts.lock().unwrap_or_else(PoisonError::into_inner);
        attempts.ended += 1;
        match result {
            Ok(FreshToken { token, expires_in_ms }) => {
                attempts.last_error = None;
                // A token that hardly outlives the margin is used for half its life, not refreshed for every call.
                let refresh_in = (expires_in_ms - self.margin_ms).max(expires_in_ms / 2);
                let mut held = self.held.lock().unwrap_or_else(PoisonError::into_inner);
                *held = Some(Held {
                    token: token.clone(),
                    got_at: asked_at,
                    refresh_at: asked_at.saturating_add(refresh_in),
                    expires_at: asked_at.saturating_add(expires_in_ms),
                    refused: false,
                    replacement: held.as_ref().is_some_and(|before| before.refused),
                });
                Ok(token)
            }
            Err(error) => {
                tracing::warn!(target: "ponte::net", code = %error.code, "token refresh failed");
                attempts.last_error = Some(error.clone());
                Err(error)
            }
        }
    }
}
