//! Contacts: found by our id and by number, written one by one or in batches.
//! Failure story: see [`crate::described::book`].

use super::Http;
use super::config::Operation;
use super::errors::Effect;
use super::paging::Page;
use super::place::{Place, text_of, truthy};
use super::read::Reader;
use crate::described::book::{Book, Write};
use crate::described::matching::{Found, Wanted};
use crate::described::{Done, Outcome, lost_row, unknown_field};
use async_trait::async_trait;
use futures_util::StreamExt;
use ponte_domain::error::{CallError, ErrorClass};
use serde_json::{Value, json};
use std::collections::HashMap;

#[async_trait]
impl Book for Http {
    async fn find(&self, people: &[Wanted]) -> (Vec<Found>, HashMap<usize, CallError>) {
        let mut failed = HashMap::new();
        let mut found = Vec::new();
        if let Some(operation) = &self.plan.config.operations.find_key {
            self.find_by("find_key", operation, people.to_vec(), &mut found, &mut failed).await;
        }
        let ours = |person: &Wanted| found.iter().any(|f: &Found| f.key.as_deref() == Some(&person.key));
        let still =
            |person: &&Wanted| !person.candidates.is_empty() && !failed.contains_key(&person.index) && !ours(person);
        let still: Vec<Wanted> = people.iter().filter(still).cloned().collect();
        if let Some(operation) = self.plan.config.operations.find.as_ref().filter(|_| self.plan.config.match_existing) {
            self.find_by("find", operation, still, &mut found, &mut failed).await;
        }
        (found, failed)
    }

    async fn read(&self, id: &str) -> Result<Option<Found>, CallError> {
        let Some(operation) = &self.plan.config.operations.get else { return Ok(None) };
        let mut context = json!({"id": id, "ids": [id]});
        self.plan.add_page(&mut context, operation, &Page::First);
        let answer = self.client.call("get", operation, &context, &Page::First, Effect::Repeatable).await?;
        let reader = Reader::new(&self.plan, operation, &[])?;
        Ok(reader.rows(&answer).iter().find_map(|row| reader.found(row, &answer)))
    }

    async fn write(&self, writes: Vec<Write>) -> HashMap<usize, Outcome> {
        let (updates, makes): (Vec<Write>, Vec<Write>) = writes.into_iter().partition(|write| write.id.is_some());
        let all = &self.plan.config.operations;
        let make = match &all.upsert_contact {
            Some(upsert) => ("upsert_contact", Some(upsert), Effect::Repeatable),
            None => ("create_contact", all.create_contact.as_ref(), Effect::Creates),
        };
        let update = ("update_contact", all.update_contact.as_ref(), Effect::Repeatable);
        let (mut done, made) = tokio::join!(self.write_by(update, updates), self.write_by(make, makes));
        done.extend(made);
        done
    }
}

type How<'a> = (&'static str, Option<&'a Operation>, Effect);

impl Http {
    async fn find_by(
        &self,
        name: &'static str,
        operation: &Operation,
        people: Vec<Wanted>,
        found: &mut Vec<Found>,
        failed: &mut HashMap<usize, CallError>,
    ) {
        let groups: Vec<Vec<Wanted>> = people.chunks(operation.batch.max(1)).map(<[Wanted]>::to_vec).collect();
        let look = |group: Vec<Wanted>| async move {
            let result = self.look(name, operation, &group).await;
            (group, result)
        };
        let looked: Vec<_> =
            futures_util::stream::iter(groups).map(look).buffered(self.plan.config.at_once).collect().await;
        for (group, result) in looked {
            match result {
                Ok(records) => found.extend(records),
                Err(error) => failed.extend(group.iter().map(|person| (person.index, error.clone()))),
            }
        }
    }

    async fn look(&self, name: &str, operation: &Operation, group: &[Wanted]) -> Result<Vec<Found>, CallError> {
        let candidates = || group.iter().flat_map(|person| &person.candidates);
        let keys: Vec<&str> = group.iter().map(|person| person.key.as_str()).collect();
        let phones: Vec<String> = candidates().map(|c| format!("+{}", c.e164)).collect();
        let context = json!({
            "key": keys.first(),
            "keys": keys,
            "phone": phones.first(),
            "phones": phones,
            "digits": candidates().map(|c| &c.e164).collect::<Vec<_>>(),
            "national": candidates().map(|c| &c.national).collect::<Vec<_>>(),
        });
        let reader = Reader::new(&self.plan, operation, &[])?;
        let mut found = Vec::new();
        let mut page = Page::First;
        // More pages than this for some numbers are no match but a mess.
        for _ in 0..5 {
            let mut context = context.clone();
            self.plan.add_page(&mut context, operation, &page);
            let answer = match self.client.call(name, operation, &context, &page, Effect::Repeatable).await {
                Ok(answer) => answer,
                // Some answer that nothing is there by 404.
                Err(error) if error.class == ErrorClass::Gone => break,
                Err(error) => return Err(error),
            };
            let rows = reader.rows(&answer);
            let last = rows.last().and_then(|row| reader.id(row, &answer));
            found.extend(rows.iter().filter_map(|row| reader.found(row, &answer)));
            match self.plan.next_page(&operation.paging, &page, &answer, rows.len(), last)? {
                Some(next) => page = next,
                None => break,
            }
        }
        Ok(found)
    }

    async fn write_by(&self, (name, operation, effect): How<'_>, writes: Vec<Write>) -> HashMap<usize, Outcome> {
        let mut done = HashMap::new();
        let Some(operation) = operation else {
            let title = "the description has no operation for this write";
            let error = CallError::new(ErrorClass::Configuration, "operation_missing", title).with_detail(name);
            return writes.into_iter().map(|write| (write.index, Err(error.clone()))).collect();
        };
        let mut ready = Vec::with_capacity(writes.len());
        for write in writes {
            match self.wanted(operation, &write) {
                Ok(true) => ready.push(write),
                Ok(false) => {
                    let crm_id = write.id.unwrap_or_default();
                    done.insert(write.index, Ok(Done { crm_id, created: false }));
                }
                Err(error) => drop(done.insert(write.index, Err(error))),
            }
        }
        let groups: Vec<Vec<Write>> = ready.chunks(operation.batch.max(1)).map(<[Write]>::to_vec).collect();
        let one = |group: Vec<Write>| async move { self.write_group(name, operation, effect, group).await };
        let written: Vec<_> =
            futures_util::stream::iter(groups).map(one).buffer_unordered(self.plan.config.at_once).collect().await;
        done.extend(written.into_iter().flatten());
        done
    }

    /// Whether there is something to write at all; an error when a field can't be written.
    fn wanted(&self, operation: &Operation, write: &Write) -> Result<bool, CallError> {
        let fields = write.facts.get("fields").and_then(Value::as_object);
        for name in fields.into_iter().flat_map(|fields| fields.keys()) {
            match self.plan.config.fields.iter().find(|f| f.name == *name) {
                Some(field) if field.writable => {}
                // What the CRM describes itself is known to it.
                None if self.plan.config.operations.describe.is_some() => {}
                None => return Err(unknown_field(name)),
                Some(_) => {
                    let title = "the description says that this field isn't writable";
                    let error = CallError::new(ErrorClass::Configuration, "field_read_only", title);
                    return Err(error.with_detail(name.clone()));
                }
            }
        }
        let Some(when) = operation.when.as_ref().filter(|_| write.id.is_some()) else { return Ok(true) };
        let expression = self.plan.templates.expression(when);
        let value = expression.ok().and_then(|e| e.eval(json!({"contact": write.facts})).ok());
        Ok(value.is_none_or(|value| truthy(&serde_json::to_value(value).unwrap_or_default())))
    }

    async fn write_group(
        &self,
        name: &str,
        operation: &Operation,
        effect: Effect,
        group: Vec<Write>,
    ) -> Vec<(usize, Outcome)> {
        let facts: Vec<&_> = group.iter().map(|write| &write.facts).collect();
        let context = json!({"contact": facts.first(), "contacts": facts});
        let answer = match self.client.call(name, operation, &context, &Page::First, effect).await {
            Ok(answer) => answer,
            Err(error) if group.len() > 1 && refuses_rows(&error) => {
                // One of them may be to blame for all: each by itself.
                let mut apart = Vec::with_capacity(group.len());
                for write in group {
                    apart.extend(Box::pin(self.write_group(name, operation, effect, vec![write])).await);
                }
                return apart;
            }
            Err(error) => return group.iter().map(|write| (write.index, Err(error.clone()))).collect(),
        };
        let reader = match Reader::new(&self.plan, operation, &[]) {
            Ok(reader) => reader,
            Err(error) => return group.iter().map(|write| (write.index, Err(error.clone()))).collect(),
        };
        if operation.batch <= 1 {
            let row = &answer.body;
            let mut outcomes = Vec::new();
            for write in &group {
                let id = write.id.clone().or_else(|| reader.written_id(row, &answer));
                let outcome = match id {
                    Some(crm_id) => Ok(Done { crm_id, created: write.id.is_none() && reader.created(row, &answer) }),
                    None => self.find_written(write).await,
                };
                outcomes.push((write.index, outcome));
            }
            return outcomes;
        }
        let rows = reader.rows(&answer);
        let outcome = |(at, write): (usize, &Write)| {
            let Some(row) = rows.get(at) else { return (write.index, Err(lost_row())) };
            if reader.row_failed(row, &answer) {
                return (write.index, Err(self.plan.error_of_row(reader.row_code(row, &answer), effect)));
            }
            let id = write.id.clone().or_else(|| reader.written_id(row, &answer));
            let created = write.id.is_none() && reader.created(row, &answer);
            (write.index, id.map(|crm_id| Done { crm_id, created }).ok_or_else(lost_row))
        };
        group.iter().enumerate().map(outcome).collect()
    }

    /// The id of a record whose write didn't give it.
    async fn find_written(&self, write: &Write) -> Outcome {
        let key = write.facts.get("key").and_then(text_of).unwrap_or_default();
        let lost = || {
            let title = "the contact was written, but its id is neither in the answer nor found by our id";
            CallError::new(ErrorClass::Configuration, "id_missing", title)
        };
        let operation = self.plan.config.operations.find_key.as_ref().ok_or_else(lost)?;
        let found = self.look("find_key", operation, &[Wanted::new(0, key.clone(), None)]).await?;
        let ours = found.into_iter().find(|f| f.key.as_deref() == Some(&key));
        ours.map(|f| Done { crm_id: f.id, created: true }).ok_or_else(lost)
    }
}

/// An error that may be one row's fault.
fn refuses_rows(error: &CallError) -> bool {
    matches!(error.class, ErrorClass::Permanent | ErrorClass::Gone | ErrorClass::Conflict { .. })
}

/// Where a write's answer has the id: as said, else where records have it.
pub(super) fn id_place<'a>(operation: &'a Operation, record: &'a Place) -> &'a Place {
    operation.id.as_ref().unwrap_or(record)
}
