//! Messages: records of the custom object of our package, upserted by our id; where an org doesn't have it, tasks. A task has no field
//! for our id, so it stands at the end of the subject, and a task whose making is uncertain is looked for first.
//! Failure story: writing an object's record again changes nothing. A task whose making has an unknown outcome is tried again with
//! `uncertain`.

use super::Salesforce;
use super::config::SalesforceObject;
use super::read::id_of;
use super::rows::{Op, Outcome, Row};
use super::shape::Shape;
use super::soql::{list, long_id, time_millis};
use super::text::{content, cut, status_line};
use crate::rows::status_word;
use ponte_domain::SECOND;
use ponte_domain::crm::MessageWrite;
use ponte_domain::error::{CallError, ErrorClass};
use ponte_domain::ids::MessageId;
use serde_json::{Map, Value};
use std::collections::{BTreeSet, HashMap, HashSet};
use std::sync::Arc;

/// Our object for messages.
pub(super) const MESSAGE: &str = "Ponte_WhatsApp_Message__c";
/// Its external id: ours.
pub(super) const MESSAGE_KEY: &str = "Ponte_Message_Id__c";
/// Characters of the body.
const BODY: usize = 32_000;
/// Characters of a task's subject, and how many of them are the text's.
const SUBJECT_TEXT: usize = 120;
/// Contacts whose tasks are looked through in one query.
const CONTACTS: usize = 100;

/// Where messages go in this org.
#[derive(Debug, Clone)]
pub(super) enum Mode {
    /// The custom object, with these fields.
    Object(Arc<Shape>),
    /// Tasks.
    Task,
}

type Numbered<'a> = (usize, &'a MessageWrite);

impl Salesforce {
    /// Gives an outcome for every row, in order.
    pub(super) async fn put_messages(&self, rows: &[MessageWrite], mode: &Mode) -> Vec<Outcome> {
        let (messages, whose) = crate::rows::messages(rows);
        let mut done: HashMap<usize, Outcome> = HashMap::new();
        let whom = |m: &MessageWrite| long_id(&m.contact_crm_id).filter(|id| SalesforceObject::of_id(id).is_some());
        let (good, bad): (Vec<Numbered<'_>>, Vec<Numbered<'_>>) =
            messages.iter().enumerate().partition(|(_, m)| whom(m).is_some());
        done.extend(bad.into_iter().map(|(index, _)| (index, Err(no_contact()))));
        match mode {
            Mode::Object(shape) => {
                let rows = good.iter().map(|(index, m)| Row {
                    index: *index,
                    object: MESSAGE,
                    key: m.message.to_string(),
                    fields: fields(m, &whom(m).unwrap_or_default(), shape),
                });
                done.extend(self.client.write(Op::Upsert { by: MESSAGE_KEY }, rows.collect()).await);
            }
            Mode::Task => self.put_tasks(&good, &mut done).await,
        }
        self.recognise_gone_contacts(&good, &mut done).await;
        if done.values().any(|o| matches!(o, Err(e) if e.class == ErrorClass::Configuration)) {
            self.shapes.forget().await;
        }
        whose.iter().map(|message| done.get(message).cloned().unwrap_or_else(|| Err(lost()))).collect()
    }

    async fn put_tasks(&self, messages: &[Numbered<'_>], done: &mut HashMap<usize, Outcome>) {
        let uncertain: Vec<Numbered<'_>> =
            messages.iter().copied().filter(|(_, m)| m.crm_id.is_none() && m.uncertain).collect();
        let found = match self.find_tasks(&uncertain).await {
            Ok(found) => found,
            Err(error) => {
                done.extend(uncertain.iter().map(|(index, _)| (*index, Err(error.clone()))));
                HashMap::new()
            }
        };
        let (mut updates, mut creates) = (Vec::new(), Vec::new());
        for (index, message) in messages.iter().filter(|(index, _)| !done.contains_key(index)) {
            let row = |key: String, fields| Row { index: *index, object: "Task", key, fields };
            match message.crm_id.as_ref().or_else(|| found.get(&message.message)) {
                Some(id) => updates.push(row(id.clone(), task(message))),
                None => creates.push(row(message.message.to_string(), new_task(message))),
            }
        }
        let (updated, created) =
            tokio::join!(self.client.write(Op::Update, updates), self.client.write(Op::Create, creates));
        let gone = |mut error: CallError| {
            if error.class == ErrorClass::Gone {
                error.code = "message_gone".to_owned();
            }
            error
        };
        done.extend(updated.into_iter().map(|(index, outcome)| (index, outcome.map_err(gone))));
        done.extend(created);
    }

    /// Tasks that may have been made before, by our id.
    async fn find_tasks(&self, wanted: &[Numbered<'_>]) -> Result<HashMap<MessageId, String>, CallError> {
        let contacts: BTreeSet<&str> = wanted.iter().map(|(_, m)| m.contact_crm_id.as_str()).collect();
        let contacts: Vec<&str> = contacts.into_iter().collect();
        let mut found = HashMap::new();
        for some in contacts.chunks(CONTACTS) {
            let soql = format!(
                "SELECT Id, Subject FROM Task WHERE WhoId IN {} AND Subject LIKE '%[msg%' ORDER BY CreatedDate DESC LIMIT 2000",
                list(some.iter().copied())
            );
            for row in self.client.query(&soql, false).await?.records {
                let subject = row.get("Subject").and_then(Value::as_str).unwrap_or_default();
                let id =
                    subject.rsplit_once('[').and_then(|(_, id)| id.trim_end_matches(']').parse::<MessageId>().ok());
                if let (Some(message), Some(id)) = (id, id_of(&row)) {
                    found.insert(message, id);
                }
            }
        }
        Ok(found)
    }

    /// A new record can be refused for its contact alone; Salesforce says so in several ways, one of which it also says of records
    /// that are merely hidden. That one is looked into.
    async fn recognise_gone_contacts(&self, messages: &[Numbered<'_>], done: &mut HashMap<usize, Outcome>) {
        for (index, _) in messages {
            if let Some(Err(error)) = done.get_mut(index)
                && error.class == ErrorClass::Gone
                && error.code != "message_gone"
            {
                error.code = "contact_gone".to_owned();
            }
        }
        let hidden = |index: &usize| matches!(done.get(index), Some(Err(e)) if e.code == "INSUFFICIENT_ACCESS_ON_CROSS_REFERENCE_ENTITY");
        let doubtful: Vec<Numbered<'_>> = messages.iter().copied().filter(|(index, _)| hidden(index)).collect();
        if doubtful.is_empty() {
            return;
        }
        let ids: Vec<String> = doubtful.iter().map(|(_, m)| m.contact_crm_id.clone()).collect();
        match self.by_id(&ids, &[]).await {
            Ok(there) => {
                for ((index, _), _) in doubtful.iter().zip(there).filter(|(_, there)| there.is_none()) {
                    done.insert(*index, Err(no_contact()));
                }
            }
            // Not knowing is no reason to give a message up.
            Err(error) => done.extend(doubtful.iter().map(|(index, _)| (*index, Err(error.clone())))),
        }
    }
}

/// The fields of our object, as far as the user may write them.
fn fields(message: &MessageWrite, whom: &str, shape: &Shape) -> Map<String, Value> {
    let lookup = if whom.starts_with(SalesforceObject::Lead.prefix()) { "Lead__c" } else { "Contact__c" };
    let stamps = message.stamps;
    let at = |at: Option<i64>| at.map(|at| Value::String(time_millis(at)));
    let text = |text: String| Some(Value::String(text));
    let all = [
        (lookup, text(whom.to_owned())),
        ("Direction__c", text(if message.inbound { "inbound" } else { "outbound" }.to_owned())),
        ("Kind__c", text(cut(&message.kind, 40))),
        ("Body__c", text(content(message, BODY))),
        ("Status__c", text(status_word(message).to_owned())),
        ("Occurred_At__c", at(Some(message.at))),
        ("Sent_At__c", at(stamps.sent)),
        ("Delivered_At__c", at(stamps.delivered)),
        ("Read_At__c", at(stamps.read)),
        ("Failed_At__c", at(stamps.failed)),
        ("Error__c", message.error.as_deref().map(|error| Value::String(cut(error, 255)))),
        ("Edited__c", Some(Value::Bool(message.edited))),
        ("Withdrawn__c", Some(Value::Bool(message.withdrawn))),
    ];
    all.into_iter()
        .filter(|(name, _)| shape.takes(name, true))
        .filter_map(|(name, value)| Some((name.to_owned(), value?)))
        .collect()
}

/// What may change on a task.
fn task(message: &MessageWrite) -> Map<String, Value> {
    let arrow = if message.inbound { "WhatsApp received" } else { "WhatsApp sent" };
    let said = content(message, SUBJECT_TEXT).replace(['\n', '\r', '[', ']'], " ");
    let subject = format!("{arrow} ({}): {said} [{}]", status_word(message), message.message);
    let mut body = content(message, BODY - 1_000);
    if let Some(line) = status_line(message) {
        body.push_str("\n\n");
        body.push_str(&line);
    }
    [("Subject", subject), ("Description", body)]
        .map(|(name, value)| (name.to_owned(), Value::String(value)))
        .into_iter()
        .collect()
}

fn new_task(message: &MessageWrite) -> Map<String, Value> {
    let mut fields = task(message);
    let day: String = time_millis(message.at).chars().take(10).collect();
    let fixed = [
        ("WhoId", message.contact_crm_id.as_str()),
        ("Status", "Completed"),
        ("ActivityDate", &day),
        ("TaskSubtype", "Task"),
    ];
    fields.extend(fixed.map(|(name, value)| (name.to_owned(), Value::String(value.to_owned()))));
    fields
}

fn no_contact() -> CallError {
    CallError::new(ErrorClass::Gone, "contact_gone", "the message's contact is gone from Salesforce")
}

fn lost() -> CallError {
    CallError::new(ErrorClass::Retryable { after_ms: Some(SECOND) }, "row_unmentioned", "the row got no outcome")
}

/// Ids of records that a notification names, in their long form.
pub(super) fn distinct(ids: impl Iterator<Item = String>) -> Vec<String> {
    let mut seen = HashSet::new();
    ids.filter(|id| seen.insert(id.clone())).collect()
}
