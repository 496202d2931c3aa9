//! The CRM port: what write-back asks of any CRM.

use crate::crm::{ContactWrite, CrmCapabilities, CrmField, CrmPage, MessageWrite, RowResult};
use crate::error::CallError;
use async_trait::async_trait;

/// What write-back asks of a CRM. Every batch gives one result per row, in the order of the rows; the outer error means that
/// the whole batch failed in one way (and says whether the outcome is known).
#[async_trait]
pub trait Crm: Send + Sync {
    /// What this CRM can do.
    fn capabilities(&self) -> CrmCapabilities;

    /// Makes sure that everything the writes need (properties, custom fields) is there. Safe to repeat.
    ///
    /// # Errors
    /// Configuration or auth when someone has to act; retryable otherwise.
    async fn prepare(&self) -> Result<(), CallError>;

    /// Creates or updates contacts by our external id, matching existing ones by phone candidates first.
    ///
    /// # Errors
    /// When the batch failed as a whole.
    async fn upsert_contacts(&self, rows: &[ContactWrite]) -> Result<Vec<RowResult>, CallError>;

    /// Logs messages, or updates their record when `crm_id` is set, statuses included.
    ///
    /// # Errors
    /// When the batch failed as a whole.
    async fn write_messages(&self, rows: &[MessageWrite]) -> Result<Vec<RowResult>, CallError>;

    /// The fields of contacts that can be read, but for those that write-back made.
    ///
    /// # Errors
    /// Classified like any call.
    async fn contact_fields(&self) -> Result<Vec<CrmField>, CallError>;

    /// A page of all contacts with these fields. `after`: what the page before gave as next.
    ///
    /// # Errors
    /// Classified like any call.
    async fn contacts_page(&self, fields: &[String], after: Option<&str>) -> Result<CrmPage, CallError>;

    /// Asks something cheap that proves credentials and reach; a short description of the account.
    ///
    /// # Errors
    /// Classified like any call.
    async fn check(&self) -> Result<String, CallError>;
}
