//! Messages: one record each, by our id, whose status is updated in place.
//! Failure story: a create whose outcome is unknown is tried again with `uncertain`, and is then looked for first.

use super::Http;
use super::config::Operation;
use super::errors::Effect;
use super::paging::Page;
use super::read::{Reader, missing};
use crate::described::message::facts;
use crate::described::{Done, Outcome};
use ponte_domain::SECOND;
use ponte_domain::crm::MessageWrite;
use ponte_domain::error::{CallError, ErrorClass};
use serde_json::{Map, Value, json};

impl Http {
    /// Writes one message.
    pub(super) async fn put_message(&self, row: &MessageWrite) -> Outcome {
        let config = &self.plan.config;
        let key = row.message.to_string();
        if !config.log_messages {
            return Ok(Done { crm_id: row.crm_id.clone().unwrap_or(key), created: false });
        }
        if row.crm_id.is_none() && row.contact_crm_id.is_empty() {
            return Err(gone("contact_gone", "the message has no contact in the CRM"));
        }
        let all = &config.operations;
        if let Some(upsert) = &all.upsert_message {
            let facts = facts(row, row.crm_id.as_deref(), &self.plan.times);
            let created = row.crm_id.is_none();
            let id = row.crm_id.clone();
            let done = self.send("upsert_message", upsert, facts, id, created, Effect::Repeatable).await;
            return done.map_err(|error| named(error, "contact_gone")).map(|done| or_key(done, &key));
        }
        let find = all.find_message.as_ref().ok_or_else(|| missing("find_message"))?;
        let mut id = row.crm_id.clone();
        if id.is_none() && row.uncertain {
            id = self.find_message(find, row).await?;
        }
        if id.is_some() {
            return self.update_message(row, id).await;
        }
        let create = all.create_message.as_ref().ok_or_else(|| missing("create_message"))?;
        let facts = facts(row, None, &self.plan.times);
        match self.send("create_message", create, facts, None, true, Effect::Creates).await {
            Ok(done) if done.crm_id.is_empty() => match self.find_message(find, row).await? {
                Some(crm_id) => Ok(Done { crm_id, created: true }),
                None => Err(unsettled()),
            },
            Ok(done) => Ok(done),
            // Its own earlier copy is there.
            Err(CallError { class: ErrorClass::Conflict { .. }, .. }) => match self.find_message(find, row).await? {
                Some(crm_id) => self.update_message(row, Some(crm_id)).await,
                None => Err(unsettled()),
            },
            Err(error) => Err(named(error, "contact_gone")),
        }
    }

    async fn update_message(&self, row: &MessageWrite, id: Option<String>) -> Outcome {
        let update = self.plan.config.operations.update_message.as_ref().ok_or_else(|| missing("update_message"))?;
        let facts = facts(row, id.as_deref(), &self.plan.times);
        let done = self.send("update_message", update, facts, id, false, Effect::Repeatable).await;
        done.map_err(|error| named(error, "message_gone"))
    }

    async fn send(
        &self,
        name: &str,
        operation: &Operation,
        facts: Map<String, Value>,
        id: Option<String>,
        created: bool,
        effect: Effect,
    ) -> Outcome {
        let context = json!({"message": facts});
        let answer = self.client.call(name, operation, &context, &Page::First, effect).await?;
        let reader = Reader::new(&self.plan, operation, &[])?;
        let crm_id = id.or_else(|| reader.written_id(&answer.body, &answer)).unwrap_or_default();
        Ok(Done { crm_id, created: created && reader.created(&answer.body, &answer) })
    }

    async fn find_message(&self, operation: &Operation, row: &MessageWrite) -> Result<Option<String>, CallError> {
        let context = json!({"key": row.message.to_string(), "message": facts(row, None, &self.plan.times)});
        let answer = match self.client.call("find_message", operation, &context, &Page::First, Effect::Repeatable).await
        {
            Ok(answer) => answer,
            Err(error) if error.class == ErrorClass::Gone => return Ok(None),
            Err(error) => return Err(error),
        };
        let reader = Reader::new(&self.plan, operation, &[])?;
        Ok(reader.rows(&answer).first().and_then(|row| reader.written_id(row, &answer)))
    }
}

/// Where the CRM gives no id of its own, ours is it.
fn or_key(done: Done, key: &str) -> Done {
    if done.crm_id.is_empty() { Done { crm_id: key.to_owned(), ..done } } else { done }
}

/// Says what is gone.
fn named(mut error: CallError, what: &str) -> CallError {
    if error.class == ErrorClass::Gone {
        error.code = what.to_owned();
    }
    error
}

fn gone(code: &str, title: &str) -> CallError {
    CallError::new(ErrorClass::Gone, code, title)
}

fn unsettled() -> CallError {
    let class = ErrorClass::Retryable { after_ms: Some(SECOND) };
    CallError::new(class, "copy_not_found", "the message was written, but can't be found by our id yet")
}
