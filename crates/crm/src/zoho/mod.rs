//! Zoho CRM, API v8. Facts: crm-apis section 3.
//! May touch: the egress door, the keeper of its token. Must not touch: the store, the clock (passed in).
//! Failure story: nothing is retried here except after a refused token, and rows without what an answer objects to. Whatever a call
//! may have done, doing it again is safe: contacts and messages are upserted by our unique fields; a note carries our id and is
//! looked for when an earlier creation is `uncertain`. Limits are known and obeyed before a call goes out.

mod auth;
mod body;
mod budget;
mod changes;
mod client;
mod config;
mod contacts;
mod errors;
mod fields;
mod matching;
mod messages;
mod notice;
mod query;
mod read;
mod rows;
mod schema;
mod tags;

pub use auth::{KeeperError, KeptToken, MemoryKeeper, TokenKeeper};
pub use config::{API_VERSION, DataCentre, MessagesIn, Workflows, ZohoConfig};

use crate::adopting::Adopting;
use async_trait::async_trait;
use budget::Price;
use client::Client;
use fields::Types;
use ponte_domain::crm::{
    ContactWrite, CrmBudget, CrmCapabilities, CrmChanges, CrmField, CrmHint, CrmNotice, CrmPage, CrmRecord,
    MessageWrite, NoticeRefused, RowResult,
};
use ponte_domain::error::{CallError, ErrorClass};
use ponte_domain::ports::crm::Crm;
use ponte_domain::{MINUTE, Millis, SECOND};
use ponte_net::{Clock, Egress};
use rows::Outcome;
use schema::MessageMode;
use std::sync::Arc;
use tokio::sync::RwLock;

/// The module of people.
const CONTACTS: &str = "Contacts";
/// The module of notes.
const NOTES: &str = "Notes";
/// The field that holds tags.
const TAG: &str = "Tag";
/// How long the data types of fields are remembered, and how long that a field isn't there.
const TYPES_KEPT: Millis = 10 * MINUTE;
const UNKNOWN_KEPT: Millis = 30 * SECOND;

/// A Zoho CRM connection.
pub struct Zoho {
    client: Arc<Client>,
    adopting: Adopting,
    /// Unknown until the organisation was asked.
    mode: RwLock<Option<MessageMode>>,
    types: RwLock<Option<(Millis, Arc<Types>)>>,
}

impl std::fmt::Debug for Zoho {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Zoho").field("accounts_url", &self.client.config.accounts_url).finish_non_exhaustive()
    }
}

impl Zoho {
    /// A connection; calls nothing yet. `keeper`: keeps this connection's token across restarts.
    #[must_use]
    pub fn new(config: ZohoConfig, egress: Egress, clock: Clock, keeper: Arc<dyn TokenKeeper>) -> Self {
        Self {
            client: Arc::new(Client::new(config, egress, clock, keeper)),
            adopting: Adopting::default(),
            mode: RwLock::new(None),
            types: RwLock::new(None),
        }
    }

    /// Where messages go; asks the organisation the first time.
    async fn mode(&self) -> Result<MessageMode, CallError> {
        if let Some(mode) = *self.mode.read().await {
            return Ok(mode);
        }
        let mut held = self.mode.write().await;
        if let Some(mode) = *held {
            return Ok(mode);
        }
        let mode = self.client.prepare_messages().await?;
        *held = Some(mode);
        Ok(mode)
    }

    /// The data types of the contacts' fields, these among them as far as they exist.
    async fn types(&self, names: &[&str]) -> Result<Arc<Types>, CallError> {
        let fresh = |held: &Option<(Millis, Arc<Types>)>| {
            let (at, types) = held.as_ref()?;
            // A name that isn't known may be a field that was made since.
            let all = names.iter().all(|name| types.contains_key(*name));
            let kept = if all { TYPES_KEPT } else { UNKNOWN_KEPT };
            (self.client.now() - at < kept).then(|| Arc::clone(types))
        };
        if let Some(types) = fresh(&*self.types.read().await) {
            return Ok(types);
        }
        let mut held = self.types.write().await;
        if let Some(types) = fresh(&held) {
            return Ok(types);
        }
        let types = Arc::new(fields::types(&self.client.described(CONTACTS).await?));
        *held = Some((self.client.now(), Arc::clone(&types)));
        Ok(types)
    }
}

#[async_trait]
impl Crm for Zoho {
    fn capabilities(&self) -> CrmCapabilities {
        let config = &self.client.config;
        let mode = self.mode.try_read().ok().and_then(|mode| *mode);
        CrmCapabilities {
            product: "Zoho CRM".to_owned(),
            contact_batch: config.rows(),
            message_batch: config.rows(),
            message_upsert: mode == Some(MessageMode::Module),
            // Zoho limits calls at the same time, not by the second; one of ten rows and more takes about a second.
            calls_per_second: config.concurrency.max(1),
            changes: true,
            tells_deletions: true,
            notifies: config.notification_token.is_some(),
            creates_fields: true,
        }
    }

    async fn prepare(&self) -> Result<(), CallError> {
        self.client.prepare_contacts().await?;
        let mode = self.client.prepare_messages().await?;
        *self.mode.write().await = Some(mode);
        *self.types.write().await = None;
        Ok(())
    }

    async fn upsert_contacts(&self, rows: &[ContactWrite]) -> Result<Vec<RowResult>, CallError> {
        whole(Box::pin(self.put_contacts(rows)).await?)
    }

    async fn write_messages(&self, rows: &[MessageWrite]) -> Result<Vec<RowResult>, CallError> {
        let mode = self.mode().await?;
        let outcomes = Box::pin(self.put_messages(rows, mode)).await;
        // Somebody deleted the module: the next try looks again.
        if outcomes.iter().any(|o| matches!(o, Err(e) if e.code == "INVALID_MODULE")) {
            *self.mode.write().await = None;
        }
        whole(outcomes)
    }

    async fn contact_fields(&self) -> Result<Vec<CrmField>, CallError> {
        self.client.contact_fields().await
    }

    async fn contacts_page(&self, fields: &[String], after: Option<&str>) -> Result<CrmPage, CallError> {
        self.client.contacts_after(fields, after).await
    }

    async fn cursor_now(&self) -> Result<String, CallError> {
        Ok(changes::cursor_at(self.client.now()))
    }

    async fn changes(&self, fields: &[String], cursor: &str) -> Result<CrmChanges, CallError> {
        self.client.changed_contacts(fields, cursor).await
    }

    async fn read_contacts(&self, ids: &[String], fields: &[String]) -> Result<Vec<Option<CrmRecord>>, CallError> {
        self.client.contacts_by_id(ids, fields).await
    }

    async fn create_fields(&self, fields: &[CrmField]) -> Result<(), CallError> {
        let made = self.client.create_contact_fields(fields).await;
        *self.types.write().await = None;
        made
    }

    fn notice(&self, notice: &CrmNotice<'_>) -> Result<Vec<CrmHint>, NoticeRefused> {
        notice::read(self.client.config.notification_token.as_ref(), notice)
    }

    async fn subscribe(&self, address: &str) -> Result<Option<Millis>, CallError> {
        self.client.watch(address).await
    }

    fn reauthorised(&self) {
        self.client.reauthorised();
    }

    fn budget(&self) -> CrmBudget {
        self.client.budget()
    }

    async fn check(&self) -> Result<String, CallError> {
        let org = query::rows(self.client.get("/org", Price::ONE).await?, "org");
        let name =
            org.first().and_then(|org| query::text(org, "company_name")).unwrap_or("organisation without a name");
        // What search and queries need are scopes of their own: told now, not at the first message.
        self.client.contacts_after(&[], Some("9999999999999999999")).await?;
        self.client.get(&format!("/{CONTACTS}/search?phone=0000000&fields=id&per_page=1"), Price::SEARCH).await?;
        Ok(format!("Zoho CRM, API {API_VERSION}, {name}: contacts can be read and searched"))
    }
}

/// The outer error is for what concerns the connection and not the rows: then all rows have it, and it is said once.
fn whole(outcomes: Vec<Outcome>) -> Result<Vec<RowResult>, CallError> {
    let of_connection = |error: &CallError| {
        matches!(error.class, ErrorClass::Auth | ErrorClass::Configuration | ErrorClass::Throttled { .. })
            || error.code == "breaker_open"
    };
    if let Some(Err(first)) = outcomes.first() {
        let same = |o: &Outcome| matches!(o, Err(e) if e.class == first.class && e.code == first.code);
        // Rows that were refused one by one have no status of an answer.
        let one_by_one = first.http_status.is_none() && outcomes.len() == 1;
        if of_connection(first) && !one_by_one && outcomes.iter().all(same) {
            return Err(first.clone());
        }
    }
    Ok(outcomes.into_iter().map(|o| o.map_or_else(|e| RowResult::Failed(of_one_row(e)), RowResult::from)).collect())
}

/// A right that one record lacks (others' records, a territory) stops that row, not the connection.
fn of_one_row(mut error: CallError) -> CallError {
    if error.class == ErrorClass::Configuration && error.http_status.is_none() {
        error.class = ErrorClass::Permanent;
    }
    error
}
