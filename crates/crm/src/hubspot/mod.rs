//! HubSpot. Facts: crm-apis section 1; paths are dated (`/crm/objects/2026-09/…`), the version is one constant.
//! May touch: the egress door. Must not touch: the store, the clock (passed in).
//! Failure story: nothing is retried here except after a 401 (once, with a new token) and for rows that a refused batch held
//! up. Whatever a call may have done, doing it again is safe: contacts are upserted by our unique property, messages carry our
//! id and are looked for when an earlier create is `uncertain`.

mod auth;
mod batch;
mod body;
mod changes;
mod client;
mod config;
mod contacts;
mod errors;
mod matching;
mod messages;
mod notice;
mod read;
mod schema;
mod search;

pub use config::{API_VERSION, HubSpotAuth, HubSpotConfig};

use crate::adopting::Adopting;
use async_trait::async_trait;
use batch::Outcome;
use client::Client;
use ponte_domain::crm::{
    ContactWrite, CrmBudget, CrmCapabilities, CrmChanges, CrmField, CrmHint, CrmNotice, CrmPage, CrmRecord,
    MessageWrite, NoticeRefused, RowResult,
};
use ponte_domain::error::{CallError, ErrorClass};
use ponte_domain::ports::crm::Crm;
use ponte_net::{Clock, Egress};
use schema::MessageMode;
use search::Searches;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use tokio::sync::RwLock;

/// A HubSpot connection.
pub struct HubSpot {
    client: Arc<Client>,
    searches: Arc<Searches>,
    adopting: Adopting,
    /// Unknown until the account was asked.
    mode: RwLock<Option<MessageMode>>,
    /// Mirrors `mode` for [`Crm::capabilities`].
    upserts_messages: AtomicBool,
    whatsapp_phone: AtomicBool,
}

impl std::fmt::Debug for HubSpot {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("HubSpot").field("base_url", &self.client.config.base_url).finish_non_exhaustive()
    }
}

impl HubSpot {
    /// A connection; calls nothing yet.
    #[must_use]
    pub fn new(config: HubSpotConfig, egress: Egress, clock: Clock) -> Self {
        Self {
            whatsapp_phone: AtomicBool::new(config.write_whatsapp_phone),
            client: Arc::new(Client::new(config, egress, clock)),
            searches: Arc::new(Searches::new()),
            adopting: Adopting::default(),
            mode: RwLock::new(None),
            upserts_messages: AtomicBool::new(false),
        }
    }

    /// How messages carry our id in this account; asks the account the first time.
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
        self.upserts_messages.store(mode == MessageMode::Properties, Ordering::Relaxed);
        Ok(mode)
    }
}

#[async_trait]
impl Crm for HubSpot {
    fn capabilities(&self) -> CrmCapabilities {
        let config = &self.client.config;
        CrmCapabilities {
            product: "HubSpot".to_owned(),
            contact_batch: config.rows(),
            message_batch: config.rows(),
            message_upsert: self.upserts_messages.load(Ordering::Relaxed),
            calls_per_second: (config.share(config.calls_per_10s) / 10).max(1),
            changes: true,
            // Search never shows what was deleted; webhooks and a full look tell it.
            tells_deletions: false,
            notifies: config.webhook_secret.is_some(),
            creates_fields: true,
        }
    }

    async fn prepare(&self) -> Result<(), CallError> {
        self.client.prepare_contacts().await?;
        let mode = self.client.prepare_messages().await?;
        *self.mode.write().await = Some(mode);
        self.upserts_messages.store(mode == MessageMode::Properties, Ordering::Relaxed);
        Ok(())
    }

    async fn upsert_contacts(&self, rows: &[ContactWrite]) -> Result<Vec<RowResult>, CallError> {
        whole(Box::pin(self.put_contacts(rows)).await)
    }

    async fn write_messages(&self, rows: &[MessageWrite]) -> Result<Vec<RowResult>, CallError> {
        let mode = self.mode().await?;
        let bad = messages::without_contact(rows);
        if bad.is_empty() {
            return whole(Box::pin(self.put_messages(rows, mode)).await);
        }
        let good: Vec<MessageWrite> =
            rows.iter().enumerate().filter(|(index, _)| !bad.contains(index)).map(|(_, row)| row.clone()).collect();
        let mut results = Box::pin(self.put_messages(&good, mode)).await.into_iter();
        let no_contact = || CallError::new(ErrorClass::Gone, "contact_gone", "the message has no HubSpot contact");
        let outcomes = (0..rows.len()).map(|index| match bad.contains(&index) {
            true => Err(no_contact()),
            false => results.next().unwrap_or_else(|| Err(no_contact())),
        });
        whole(outcomes.collect())
    }

    async fn contact_fields(&self) -> Result<Vec<CrmField>, CallError> {
        self.client.contact_properties().await
    }

    async fn contacts_page(&self, fields: &[String], after: Option<&str>) -> Result<CrmPage, CallError> {
        self.client.contacts_after(fields, after).await
    }

    async fn cursor_now(&self) -> Result<String, CallError> {
        Ok(changes::cursor_at(self.client.now()))
    }

    async fn changes(&self, fields: &[String], cursor: &str) -> Result<CrmChanges, CallError> {
        self.client.changed_contacts(fields, cursor, self.client.now()).await
    }

    async fn read_contacts(&self, ids: &[String], fields: &[String]) -> Result<Vec<Option<CrmRecord>>, CallError> {
        self.client.contacts_by_id(ids, fields).await
    }

    async fn create_fields(&self, fields: &[CrmField]) -> Result<(), CallError> {
        self.client.create_properties(fields).await
    }

    fn notice(&self, notice: &CrmNotice<'_>) -> Result<Vec<CrmHint>, NoticeRefused> {
        notice::read(self.client.config.webhook_secret.as_ref(), notice)
    }

    fn reauthorised(&self) {
        self.client.reauthorised();
    }

    fn budget(&self) -> CrmBudget {
        self.client.budget()
    }

    async fn check(&self) -> Result<String, CallError> {
        self.client.get(&self.client.objects("contacts?limit=1")).await?;
        Ok(format!("HubSpot, API {}: contacts can be read", self.client.config.api_version))
    }
}

/// The outer error is for what concerns the connection and not the rows: then all rows have it, and it is said once.
fn whole(outcomes: Vec<Outcome>) -> Result<Vec<RowResult>, CallError> {
    if let Some(Err(first)) = outcomes.first() {
        let of_connection =
            matches!(first.class, ErrorClass::Auth | ErrorClass::Configuration | ErrorClass::Throttled { .. })
                || first.code == "breaker_open";
        let same = |o: &Outcome| matches!(o, Err(e) if e.class == first.class && e.code == first.code);
        if of_connection && outcomes.iter().all(same) {
            return Err(first.clone());
        }
    }
    Ok(outcomes.into_iter().map(|o| o.map_or_else(RowResult::Failed, RowResult::from)).collect())
}
