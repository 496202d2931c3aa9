//! An in-house CRM over HTTP, described wholly in the configuration: operations, paging, signing in, what answers mean, notifications.
//! Facts: crm-apis section 10.
//! May touch: the egress door. Must not touch: the store, the clock (passed in).
//! Failure story: nothing is retried here except after a refused sign-in (once, with a new session) and for rows that a refused batch held
//! up. Whatever a call may have done, doing it again is safe: contacts and messages are upserted by our id, or looked for by it before
//! one is made.

mod auth;
mod changes;
mod client;
mod config;
mod contacts;
mod errors;
mod messages;
mod notice;
mod paging;
mod place;
mod plan;
mod read;
mod template;

pub use config::{
    Algorithm, Auth, Class, Describe, Encoding, Errors, HttpConfig, Operation, Operations, Paging, Shape, Verify, Walk,
    Webhook,
};
pub use place::Place;

use crate::adopting::Adopting;
use crate::described::book::put_contacts;
use crate::described::cursor::Cursor;
use crate::described::{Outcome, Problem, lost_row, whole};
use async_trait::async_trait;
use changes::Seen;
use client::Client;
use errors::Effect;
use futures_util::StreamExt;
use paging::Page;
use plan::Plan;
use ponte_domain::crm::{
    ContactWrite, CrmBudget, CrmCapabilities, CrmChanges, CrmField, CrmHint, CrmNotice, CrmPage, CrmRecord,
    MessageWrite, NoticeRefused, RowResult,
};
use ponte_domain::error::CallError;
use ponte_domain::ports::crm::Crm;
use ponte_net::{Clock, Egress};
use serde_json::json;
use std::sync::{Arc, Mutex};

/// An HTTP connection.
pub struct Http {
    plan: Arc<Plan>,
    client: Client,
    adopting: Adopting,
    seen: Mutex<Seen>,
}

impl std::fmt::Debug for Http {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Http").field("base_url", &self.plan.config.base_url).finish_non_exhaustive()
    }
}

impl Http {
    /// Reads the description. Calls nothing yet.
    ///
    /// # Errors
    /// Everything that is wrong with the description.
    pub fn new(config: HttpConfig, egress: Egress, clock: Clock) -> Result<Self, Vec<Problem>> {
        let plan = Arc::new(Plan::new(config)?);
        let client = Client::new(Arc::clone(&plan), egress, clock);
        Ok(Self { plan, client, adopting: Adopting::default(), seen: Mutex::default() })
    }

    /// What is wrong with a description.
    #[must_use]
    pub fn problems(config: &HttpConfig) -> Vec<Problem> {
        Plan::new(config.clone()).err().unwrap_or_default()
    }
}

#[async_trait]
impl Crm for Http {
    fn capabilities(&self) -> CrmCapabilities {
        let config = &self.plan.config;
        let all = &config.operations;
        let batch = |operation: &Option<Operation>| operation.as_ref().map_or(1, |operation| operation.batch);
        let contacts = batch(&all.upsert_contact).max(batch(&all.create_contact)).max(batch(&all.update_contact));
        let per_second = i64::from(config.calls).saturating_mul(1_000) / config.per_ms;
        CrmCapabilities {
            product: config.product.clone(),
            contact_batch: contacts.max(20),
            message_batch: 20,
            message_upsert: all.upsert_message.is_some() || !config.log_messages,
            calls_per_second: u32::try_from(per_second).unwrap_or(u32::MAX).max(1),
            changes: all.changes.is_some(),
            tells_deletions: match all.changes {
                Some(_) => all.deleted.is_some() || config.contact.gone.is_some(),
                None => all.get.is_some(),
            },
            notifies: config.webhook.is_some(),
            creates_fields: false,
        }
    }

    async fn prepare(&self) -> Result<(), CallError> {
        self.check().await.map(|_| ())
    }

    async fn upsert_contacts(&self, rows: &[ContactWrite]) -> Result<Vec<RowResult>, CallError> {
        whole(Box::pin(put_contacts(self, &self.adopting, rows, &self.plan.times)).await)
    }

    async fn write_messages(&self, rows: &[MessageWrite]) -> Result<Vec<RowResult>, CallError> {
        let (messages, whose) = crate::rows::messages(rows);
        let write = |row: MessageWrite| async move { self.put_message(&row).await };
        let writes = futures_util::stream::iter(messages).map(write);
        let done: Vec<Outcome> = writes.buffered(self.plan.config.at_once).collect().await;
        whole(whose.iter().map(|at| done.get(*at).cloned().unwrap_or_else(|| Err(lost_row()))).collect())
    }

    async fn contact_fields(&self) -> Result<Vec<CrmField>, CallError> {
        self.fields().await
    }

    async fn contacts_page(&self, fields: &[String], after: Option<&str>) -> Result<CrmPage, CallError> {
        self.page(fields, after).await
    }

    async fn cursor_now(&self) -> Result<String, CallError> {
        // An answer tells the CRM's clock.
        self.check().await?;
        Ok(Cursor::resting(self.client.crm_now_us()).text())
    }

    async fn changes(&self, fields: &[String], cursor: &str) -> Result<CrmChanges, CallError> {
        self.changed(fields, cursor).await
    }

    async fn read_contacts(&self, ids: &[String], fields: &[String]) -> Result<Vec<Option<CrmRecord>>, CallError> {
        self.by_id(ids, fields).await
    }

    fn notice(&self, notice: &CrmNotice<'_>) -> Result<Vec<CrmHint>, NoticeRefused> {
        self.plan.notice(notice)
    }

    fn budget(&self) -> CrmBudget {
        self.client.budget()
    }

    async fn check(&self) -> Result<String, CallError> {
        match &self.plan.config.operations.check {
            Some(check) => {
                let context = json!({"page": Page::First.context(&check.paging, 1)});
                self.client.call("check", check, &context, &Page::First, Effect::Repeatable).await?;
                Ok(format!("{}: the CRM answers", self.plan.config.product))
            }
            None => {
                let found = self.page(&[], None).await?.records.len();
                Ok(format!("{}: contacts can be read ({found} on the first page)", self.plan.config.product))
            }
        }
    }
}
