//! The port through which is kept what WhatsApp says of the business accounts. Every verb is one transaction.

use crate::Millis;
use crate::account::{NumberState, Template};
use crate::error::StoreError;
use crate::ids::WorkspaceId;
use async_trait::async_trait;

/// What is kept, with the count of its changes.
#[derive(Debug, Clone, Default)]
pub struct Kept {
    /// Grows with every change.
    pub version: i64,
    /// Accounts that were read at least once, and when last, epoch milliseconds.
    pub read: Vec<(String, Millis)>,
    /// All templates, by account, name and language.
    pub templates: Vec<Template>,
    /// All numbers.
    pub numbers: Vec<NumberState>,
}

/// What WhatsApp says of the business accounts.
#[async_trait]
pub trait Accounts: Send + Sync {
    /// Of these accounts those that are due for reading; they are due again at `next`, so that one node reads them.
    async fn account_claim(
        &self,
        workspace: WorkspaceId,
        waba_ids: Vec<String>,
        now: Millis,
        next: Millis,
    ) -> Result<Vec<String>, StoreError>;

    /// Sets when an account is read again.
    async fn account_due(&self, workspace: WorkspaceId, waba_id: &str, at: Millis) -> Result<(), StoreError>;

    /// Keeps what was read of an account: these templates and no others, these numbers. What changed is an event each.
    async fn account_put(
        &self,
        workspace: WorkspaceId,
        waba_id: &str,
        templates: Vec<Template>,
        numbers: Vec<NumberState>,
        now: Millis,
    ) -> Result<(), StoreError>;

    /// What is kept, unless it is still what `version` was.
    async fn account_kept(&self, workspace: WorkspaceId, version: i64) -> Result<Option<Kept>, StoreError>;
}
