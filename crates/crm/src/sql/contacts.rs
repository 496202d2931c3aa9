//! Contacts: found by our id and by number, written by the statements of the description.
//! Failure story: see [`crate::described::book`]; each contact is one transaction.

use super::database::Params;
use super::plan::assigned;
use super::statement::Statement;
use super::values::Record;
use super::{Sql, text_of};
use crate::described::book::{Book, Write};
use crate::described::matching::{Found, Wanted};
use crate::described::{Done, Outcome, unknown_field};
use async_trait::async_trait;
use futures_util::StreamExt;
use ponte_domain::error::{CallError, ErrorClass};
use serde_json::{Map, Value, json};
use std::collections::HashMap;

#[async_trait]
impl Book for Sql {
    async fn find(&self, people: &[Wanted]) -> (Vec<Found>, HashMap<usize, CallError>) {
        let look = |person: Wanted| async move { (person.index, self.look(&person).await) };
        let looks = futures_util::stream::iter(people.to_vec()).map(look);
        let looked: Vec<_> = looks.buffered(self.at_once()).collect().await;
        let (mut found, mut failed) = (Vec::new(), HashMap::new());
        for (index, result) in looked {
            match result {
                Ok(records) => found.extend(records),
                Err(error) => drop(failed.insert(index, error)),
            }
        }
        (found, failed)
    }

    async fn read(&self, id: &str) -> Result<Option<Found>, CallError> {
        Ok(self.row_of(id).await?.and_then(|row| self.found(&row)))
    }

    async fn write(&self, writes: Vec<Write>) -> HashMap<usize, Outcome> {
        let one = |write: Write| async move { (write.index, self.write_one(write).await) };
        futures_util::stream::iter(writes).map(one).buffer_unordered(self.at_once()).collect().await
    }
}

impl Sql {
    pub(super) fn at_once(&self) -> usize {
        usize::try_from(self.config.connections).unwrap_or(1).max(1)
    }

    async fn look(&self, person: &Wanted) -> Result<Vec<Found>, CallError> {
        let mut rows = self.database.rows(&self.plan.find_key, &params([("key", json!(person.key))])).await?;
        let Some(find) = self.plan.find.as_ref().filter(|_| rows.is_empty()) else {
            return Ok(rows.iter().filter_map(|row| self.found(row)).collect());
        };
        for candidate in &person.candidates {
            let values = params([
                ("e164", json!(format!("+{}", candidate.e164))),
                ("digits", json!(candidate.e164)),
                ("national", json!(candidate.national)),
                ("dialled", json!(format!("0{}", candidate.national))),
            ]);
            rows.extend(self.database.rows(find, &values).await?);
        }
        Ok(rows.iter().filter_map(|row| self.found(row)).collect())
    }

    /// A row that may be adopted: not one that counts as deleted, nor one that became part of another.
    fn found(&self, row: &Record) -> Option<Found> {
        let columns = &self.config.columns;
        let text = |name: &String| row.get(name).and_then(text_of).filter(|t| !t.trim().is_empty());
        if self.is_gone(row) || columns.merged_into.as_ref().and_then(text).is_some() {
            return None;
        }
        Some(Found {
            id: text(&columns.id)?,
            key: text(&columns.key),
            named: columns.name.as_ref().is_none_or(|name| text(name).is_some()),
            phones: columns.phones.iter().filter_map(text).collect(),
        })
    }

    async fn write_one(&self, write: Write) -> Outcome {
        let fields = write.facts.get("fields").and_then(Value::as_object).cloned().unwrap_or_default();
        let values = self.values(&write, &fields)?;
        let assigned = assigned(&self.config, fields.keys().cloned());
        let (statements, name): (&[Statement], _) = match &write.id {
            Some(_) => (&self.plan.update, "update_contact"),
            None if !self.plan.upsert.is_empty() => (&self.plan.upsert, "upsert_contact"),
            None => (&self.plan.create, "create_contact"),
        };
        if statements.is_empty() {
            let title = "the description has no statement for this write";
            return Err(CallError::new(ErrorClass::Configuration, "statement_missing", title).with_detail(name));
        }
        let written = self.database.write(statements, &assigned, &values).await?;
        let told = |name: &str| written.row.as_ref().and_then(|row| row.get(name));
        if let Some(id) = write.id {
            if written.affected == 0 && written.row.is_none() && self.row_of(&id).await?.is_none() {
                let title = "the contact is gone from the database";
                return Err(CallError::new(ErrorClass::Gone, "contact_gone", title));
            }
            return Ok(Done { crm_id: id, created: false });
        }
        let created = told("created").is_none_or(truthy);
        if let Some(id) = told("id").or_else(|| told(&self.config.columns.id)).and_then(text_of) {
            return Ok(Done { crm_id: id, created });
        }
        let key = params([("key", write.facts.get("key").cloned().unwrap_or_default())]);
        let rows = self.database.rows(&self.plan.find_key, &key).await?;
        let id = rows.first().and_then(|row| row.get(&self.config.columns.id)).and_then(text_of);
        id.map(|crm_id| Done { crm_id, created }).ok_or_else(|| {
            let title = "the contact was written, but can't be found by our id: the statement must write :key";
            CallError::new(ErrorClass::Configuration, "key_not_written", title)
        })
    }

    /// The parameters of a write.
    fn values(&self, write: &Write, fields: &Map<String, Value>) -> Result<Params, CallError> {
        let mut values = write.facts.clone();
        if let Some(id) = &write.id {
            values.insert("id".to_owned(), self.plan.id(id));
        }
        if let Some(unknown) = fields.keys().find(|name| !self.config.fields.iter().any(|f| f.name == **name)) {
            return Err(unknown_field(unknown));
        }
        for field in &self.config.fields {
            let given = fields.get(&field.name);
            if given.is_some() && !field.writable {
                let title = "the description says that this field isn't writable";
                let error = CallError::new(ErrorClass::Configuration, "field_read_only", title);
                return Err(error.with_detail(field.name.clone()));
            }
            values.insert(format!("field_{}", field.name), given.cloned().unwrap_or_default());
            values.insert(format!("given_{}", field.name), json!(given.is_some()));
        }
        Ok(values)
    }

    /// The row of a record, whatever is said of it.
    pub(super) async fn row_of(&self, id: &str) -> Result<Option<Record>, CallError> {
        let rows = self.database.rows(&self.plan.get, &params([("id", self.plan.id(id))])).await?;
        Ok(rows.into_iter().next())
    }

    pub(super) fn is_gone(&self, row: &Record) -> bool {
        self.config.columns.gone.as_ref().and_then(|name| row.get(name)).is_some_and(truthy)
    }
}

pub(super) fn params<const N: usize>(values: [(&str, Value); N]) -> Params {
    values.into_iter().map(|(name, value)| (name.to_owned(), value)).collect()
}

/// Not null, 0, false, or their spellings.
pub(super) fn truthy(value: &Value) -> bool {
    match value {
        Value::Null => false,
        Value::Bool(yes) => *yes,
        Value::Number(n) => n.as_f64() != Some(0.0),
        Value::String(text) => {
            !matches!(text.trim().to_ascii_lowercase().as_str(), "" | "0" | "f" | "false" | "n" | "no")
        }
        _ => true,
    }
}
