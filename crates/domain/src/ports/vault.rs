//! The port for secrets that the program itself comes to know: refresh tokens that change with every use, access tokens that must outlive
//! a restart. Encrypted at rest.

use crate::Millis;
use crate::error::StoreError;
use crate::ids::WorkspaceId;
use async_trait::async_trait;

/// Keeps secrets by name.
#[async_trait]
pub trait Vault: Send + Sync {
    /// The secret of this name.
    async fn secret(&self, workspace: WorkspaceId, name: &str) -> Result<Option<Vec<u8>>, StoreError>;

    /// Keeps a secret in place of what was there; durable when it returns.
    async fn keep_secret(
        &self,
        workspace: WorkspaceId,
        name: &str,
        secret: Vec<u8>,
        now: Millis,
    ) -> Result<(), StoreError>;

    /// Takes a secret away and gives it, to one caller only, whoever asks at the same time.
    async fn take_secret(&self, workspace: WorkspaceId, name: &str) -> Result<Option<Vec<u8>>, StoreError>;

    /// Forgets a secret.
    async fn forget_secret(&self, workspace: WorkspaceId, name: &str) -> Result<(), StoreError>;
}
