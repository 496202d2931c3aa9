//! Salesforce. Facts: crm-apis section 2; the version of the REST API is a setting.
//! May touch: the egress door. Must not touch: the store, the clock (passed in).
//! Failure story: nothing is retried here except after a refused session (once, with a new one) and for rows that a refused call held
//! up. Whatever a call may have done, doing it again is safe: people and messages are upserted by our external ids; tasks, which have
//! none, are looked for when an earlier making is `uncertain`.
//! Changes are polled; change data capture or a flow of the org may tell of them at once.

mod allowance;
mod auth;
mod avro;
mod changes;
mod client;
mod config;
mod contacts;
mod errors;
mod jwt;
mod listen;
mod matching;
mod messages;
mod notice;
mod read;
mod rows;
mod setup;
mod shape;
mod soql;
mod text;
mod wire;

pub use crate::keeper::{KeeperError, TokenKeeper};
pub use config::{
    SALESFORCE_API_VERSION, SalesforceAuth, SalesforceConfig, SalesforceDuplicates, SalesforceMessages,
    SalesforceObject,
};
pub use jwt::{BadKey, check_private_key};

use crate::adopting::Adopting;
use async_trait::async_trait;
use client::Client;
use listen::Ear;
use ponte_domain::crm::{
    ContactWrite, CrmBudget, CrmCapabilities, CrmChanges, CrmField, CrmHint, CrmNotice, CrmPage, CrmRecord,
    MessageWrite, NoticeRefused, RowResult,
};
use ponte_domain::error::{CallError, ErrorClass};
use ponte_domain::ports::crm::Crm;
use ponte_net::{Clock, Egress};
use rows::Outcome;
use serde_json::Value;
use shape::Shapes;
use std::sync::atomic::{AtomicBool, Ordering};
use tokio::sync::Mutex;

/// A Salesforce connection.
pub struct Salesforce {
    client: Client,
    shapes: Shapes,
    adopting: Adopting,
    ear: Mutex<Ear>,
    /// Messages go into the custom object, for [`Crm::capabilities`].
    upserts_messages: AtomicBool,
}

impl std::fmt::Debug for Salesforce {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Salesforce").field("login_url", &self.client.config.login_url).finish_non_exhaustive()
    }
}

impl Salesforce {
    /// A connection; calls nothing yet.
    #[must_use]
    pub fn new(config: SalesforceConfig, egress: Egress, clock: Clock) -> Self {
        Self {
            upserts_messages: AtomicBool::new(config.messages != SalesforceMessages::Task),
            client: Client::new(config, egress, clock),
            shapes: Shapes::default(),
            adopting: Adopting::default(),
            ear: Mutex::default(),
        }
    }
}

#[async_trait]
impl Crm for Salesforce {
    fn capabilities(&self) -> CrmCapabilities {
        let config = &self.client.config;
        CrmCapabilities {
            product: "Salesforce".to_owned(),
            contact_batch: config.rows(),
            message_batch: config.rows(),
            message_upsert: self.upserts_messages.load(Ordering::Relaxed),
            calls_per_second: config.calls_per_second.max(1),
            changes: true,
            tells_deletions: true,
            notifies: config.notice_secret.is_some() || config.change_data_capture,
            creates_fields: true,
        }
    }

    async fn prepare(&self) -> Result<(), CallError> {
        Box::pin(self.prepare_all()).await
    }

    async fn upsert_contacts(&self, rows: &[ContactWrite]) -> Result<Vec<RowResult>, CallError> {
        whole(Box::pin(self.put_contacts(rows)).await?)
    }

    async fn write_messages(&self, rows: &[MessageWrite]) -> Result<Vec<RowResult>, CallError> {
        let mode = self.mode().await?;
        whole(Box::pin(self.put_messages(rows, &mode)).await)
    }

    async fn contact_fields(&self) -> Result<Vec<CrmField>, CallError> {
        // An administrator may just have made one.
        self.shapes.forget().await;
        Ok(self.shapes.of(&self.client, self.client.config.object.name()).await?.crm_fields())
    }

    async fn contacts_page(&self, fields: &[String], after: Option<&str>) -> Result<CrmPage, CallError> {
        self.page(fields, after).await
    }

    async fn cursor_now(&self) -> Result<String, CallError> {
        Ok(changes::cursor_at(self.client.now()))
    }

    async fn changes(&self, fields: &[String], cursor: &str) -> Result<CrmChanges, CallError> {
        self.changed(fields, cursor).await
    }

    async fn read_contacts(&self, ids: &[String], fields: &[String]) -> Result<Vec<Option<CrmRecord>>, CallError> {
        self.by_id(ids, fields).await
    }

    async fn create_fields(&self, fields: &[CrmField]) -> Result<(), CallError> {
        self.make_fields(fields).await
    }

    fn notice(&self, notice: &CrmNotice<'_>) -> Result<Vec<CrmHint>, NoticeRefused> {
        notice::read(self.client.config.notice_secret.as_ref(), notice)
    }

    async fn listen(&self) -> Result<Option<Vec<CrmHint>>, CallError> {
        Box::pin(self.hear()).await
    }

    fn reauthorised(&self) {
        self.client.reauthorised();
    }

    fn budget(&self) -> CrmBudget {
        self.client.budget()
    }

    async fn check(&self) -> Result<String, CallError> {
        let object = self.client.config.object.name();
        self.client.query(&format!("SELECT Id FROM {object} LIMIT 1"), false).await?;
        // Not every user sees this one, and it only makes the answer nicer.
        let about =
            self.client.query("SELECT Name, OrganizationType, IsSandbox FROM Organization LIMIT 1", false).await;
        let about = about.ok().and_then(|found| found.records.into_iter().next()).unwrap_or(Value::Null);
        let text = |name: &str| about.get(name).and_then(Value::as_str).unwrap_or("edition unknown").to_owned();
        let sandbox = if about.get("IsSandbox").and_then(Value::as_bool) == Some(true) { ", sandbox" } else { "" };
        let version = &self.client.config.api_version;
        Ok(format!("Salesforce ({}{sandbox}), API {version}: {object} records can be read", text("OrganizationType")))
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
