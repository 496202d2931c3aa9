//! The CRM port: what write-back and pull ask of any CRM.

use crate::Millis;
use crate::crm::{
    ContactWrite, CrmBudget, CrmCapabilities, CrmChanges, CrmField, CrmHint, CrmNotice, CrmPage, CrmRecord,
    MessageWrite, NoticeRefused, RowResult,
};
use crate::error::{CallError, ErrorClass};
use async_trait::async_trait;

/// What write-back and pull ask of a CRM. Every batch gives one result per row, in the order of the rows; the outer error means that
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

    /// The fields of contacts that can be read, with all that the CRM tells of them, but for those that carry our ids.
    ///
    /// # Errors
    /// Classified like any call.
    async fn contact_fields(&self) -> Result<Vec<CrmField>, CallError>;

    /// A page of all contacts with these fields. `after`: what the page before gave as next.
    ///
    /// # Errors
    /// Classified like any call.
    async fn contacts_page(&self, fields: &[String], after: Option<&str>) -> Result<CrmPage, CallError>;

    /// A cursor for [`Self::changes`] that stands at this moment, less what the CRM may show late.
    ///
    /// # Errors
    /// Classified like any call.
    async fn cursor_now(&self) -> Result<String, CallError>;

    /// What changed since a cursor, with these fields, oldest first: some of it, and where to go on. A look that finds nothing
    /// costs at most three calls.
    ///
    /// # Errors
    /// Classified like any call; [`ErrorClass::Gone`]: the cursor is too old, everything has to be read.
    async fn changes(&self, fields: &[String], cursor: &str) -> Result<CrmChanges, CallError>;

    /// These records as they are now, in the order asked for; `None` for those that are gone. A record that was merged comes
    /// with the id of what it is now.
    ///
    /// # Errors
    /// Classified like any call.
    async fn read_contacts(&self, ids: &[String], fields: &[String]) -> Result<Vec<Option<CrmRecord>>, CallError>;

    /// Makes these fields on contacts; one that is there already is left as it is. Safe to repeat.
    ///
    /// # Errors
    /// Classified like any call; configuration where the CRM doesn't allow it, with what to do instead.
    async fn create_fields(&self, fields: &[CrmField]) -> Result<(), CallError> {
        let _ = fields;
        let title = "this CRM takes no new fields over its API: an administrator makes them";
        Err(CallError::new(ErrorClass::Configuration, "fields_by_hand", title))
    }

    /// Checks and reads a notification.
    ///
    /// # Errors
    /// Why it is not believed.
    fn notice(&self, notice: &CrmNotice<'_>) -> Result<Vec<CrmHint>, NoticeRefused> {
        let _ = notice;
        Err(NoticeRefused::NotSetUp)
    }

    /// Asks the CRM to notify this address, or to go on doing so. Until when it will, when that ends by itself; `None` where
    /// nothing has to be asked for. Safe to repeat.
    ///
    /// # Errors
    /// Classified like any call.
    async fn subscribe(&self, address: &str) -> Result<Option<Millis>, CallError> {
        let _ = address;
        Ok(None)
    }

    /// Waits until the CRM says that something changed, where it has a stream of such news that we open. `None`: it has none, or it
    /// wasn't set up, and asking again is of no use. One asks at a time; whoever gives up waiting misses nothing. What is told is a
    /// hint, as a notification's.
    ///
    /// # Errors
    /// Classified like any call; the next call opens the stream again.
    async fn listen(&self) -> Result<Option<Vec<CrmHint>>, CallError> {
        Ok(None)
    }

    /// Told that somebody authorised the connection anew, perhaps for another account: what it held to sign in with is forgotten.
    fn reauthorised(&self) {}

    /// Calls made and left.
    fn budget(&self) -> CrmBudget {
        CrmBudget::default()
    }

    /// Asks something cheap that proves credentials and reach; a short description of the account.
    ///
    /// # Errors
    /// Classified like any call.
    async fn check(&self) -> Result<String, CallError>;
}
