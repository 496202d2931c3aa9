//! Where a refresh token lives between two starts. Salesforce ends a refresh token when it gives the next one, so the next one must be
//! durable before anything is done with what came beside it.
//! Must not touch: logs; the token is a secret.

use async_trait::async_trait;
use secrecy::SecretString;
use std::sync::{Mutex, PoisonError};

/// The token could not be read or written. Says why, without the token.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the refresh token can't be kept: {0}")]
pub struct KeeperError(pub String);

/// Keeps one refresh token.
#[async_trait]
pub trait TokenKeeper: Send + Sync {
    /// The newest token; `None` when there has never been one, or the last one is no longer good.
    ///
    /// # Errors
    /// When it can't be known.
    async fn load(&self) -> Result<Option<SecretString>, KeeperError>;

    /// Replaces the token. Durable when this returns.
    ///
    /// # Errors
    /// When it isn't. The old one may still be there.
    async fn save(&self, token: &SecretString) -> Result<(), KeeperError>;

    /// Told that the vendor refuses this token for good. A token that was replaced meanwhile is not meant.
    async fn refused(&self, token: &SecretString) {
        let _ = token;
    }
}

/// Keeps a token for the program's life: for tests.
#[derive(Debug)]
pub struct InMemory(Mutex<SecretString>);

impl InMemory {
    /// Begins with this token.
    #[must_use]
    pub const fn new(token: SecretString) -> Self {
        Self(Mutex::new(token))
    }
}

#[async_trait]
impl TokenKeeper for InMemory {
    async fn load(&self) -> Result<Option<SecretString>, KeeperError> {
        Ok(Some(self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()))
    }

    async fn save(&self, token: &SecretString) -> Result<(), KeeperError> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone_from(token);
        Ok(())
    }
}
