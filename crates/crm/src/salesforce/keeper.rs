//! Where a refresh token lives between two starts. Salesforce ends a refresh token when it gives the next one, so the next one must be
//! durable before anything is done with what came beside it.
//! Must not touch: logs; the token is a secret.

use async_trait::async_trait;
use secrecy::SecretString;

/// The token could not be read or written. Says why, without the token.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the refresh token can't be kept: {0}")]
pub struct KeeperError(pub String);

/// Keeps one refresh token.
#[async_trait]
pub trait TokenKeeper: Send + Sync {
    /// The newest token; `None` when there has never been one.
    ///
    /// # Errors
    /// When it can't be known.
    async fn load(&self) -> Result<Option<SecretString>, KeeperError>;

    /// Replaces the token. Durable when this returns.
    ///
    /// # Errors
    /// When it isn't. The old one may still be there.
    async fn save(&self, token: &SecretString) -> Result<(), KeeperError>;
}
