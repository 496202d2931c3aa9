//! Small ports: the clock, chance, files.

use crate::Millis;
use async_trait::async_trait;
use bytes::Bytes;

/// The time. Passed in, so that a simulated day runs in seconds.
#[async_trait]
pub trait Clock: Send + Sync {
    /// Now.
    fn now(&self) -> Millis;
    /// Waits; returns at once for times past.
    async fn sleep_ms(&self, ms: Millis);
}

/// Chance, for jitter and secrets. Passed in, so that a run can be repeated.
pub trait Chance: Send + Sync {
    /// A number in 0..1.
    fn draw(&self) -> f64;
    /// Bytes that nobody can guess, for a secret.
    fn secret(&self) -> [u8; 32];
}

/// Why a file can't be kept.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the file can't be kept: {0}")]
pub struct BlobError(pub String);

/// Files by content: the key is the lower-case hexadecimal SHA-256.
#[async_trait]
pub trait Blobs: Send + Sync {
    /// Keeps the bytes durably; the same bytes twice are kept once. Gives the key.
    ///
    /// # Errors
    /// When the bytes are not safely kept.
    async fn put(&self, bytes: Bytes) -> Result<String, BlobError>;

    /// The bytes of a key; `None` when there are none.
    ///
    /// # Errors
    /// When they can't be read.
    async fn get(&self, key: &str) -> Result<Option<Bytes>, BlobError>;

    /// Removes the bytes of a key; none there is fine.
    ///
    /// # Errors
    /// When they can't be removed.
    async fn remove(&self, key: &str) -> Result<(), BlobError>;
}
