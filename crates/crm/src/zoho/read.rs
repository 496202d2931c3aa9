//! Reading contacts: all page by page, some by their ids. By queries in the order of ids, so that no limit of pages is met (lists
//! end at 100,000 rows) and nothing is read twice. Tags are no column of queries and are read apart.
//! Failure story: reads only; what can't be read may be asked for again.

use super::client::{Client, moment};
use super::fields::read;
use super::query::{CHEAP_ROWS, Found, MOST_ROWS, MOST_VALUES, Query, among, checked, id, quoted, text};
use super::schema::CONTACT_KEY;
use super::{CONTACTS, TAG};
use ponte_domain::crm::{CrmPage, CrmRecord};
use ponte_domain::error::CallError;
use serde_json::{Value, json};
use std::collections::HashMap;

/// Values of one page at most: an answer stays within what the door lets in.
const MOST_CELLS: usize = 60_000;

impl Client {
    /// A page of contacts with these fields.
    pub(super) async fn contacts_after(&self, fields: &[String], after: Option<&str>) -> Result<CrmPage, CallError> {
        let rows = page_rows(fields);
        let after = after.and_then(quoted).unwrap_or_else(|| "'0'".to_owned());
        let found = self.contacts_found(fields, format!("id > {after}"), "id", rows).await?;
        let next = found.last().map(|r| r.id.clone()).filter(|_| found.len() >= rows);
        Ok(CrmPage { records: found, next })
    }

    /// These contacts as they are now, in the order of the ids.
    pub(super) async fn contacts_by_id(
        &self,
        ids: &[String],
        fields: &[String],
    ) -> Result<Vec<Option<CrmRecord>>, CallError> {
        let mut by_id: HashMap<String, CrmRecord> = HashMap::with_capacity(ids.len());
        for some in ids.chunks(MOST_VALUES) {
            let filter = among("id", some.iter().map(String::as_str));
            let found = self.contacts_found(fields, filter, "id", CHEAP_ROWS).await?;
            by_id.extend(found.into_iter().map(|record| (record.id.clone(), record)));
        }
        Ok(ids.iter().map(|id| by_id.get(id).cloned()).collect())
    }

    /// Contacts of a query, with their tags where those are asked for.
    pub(super) async fn contacts_found(
        &self,
        fields: &[String],
        filter: String,
        order: &str,
        rows: usize,
    ) -> Result<Vec<CrmRecord>, CallError> {
        checked(fields)?;
        let mut columns = vec!["id", "Modified_Time", CONTACT_KEY];
        for name in fields.iter().map(String::as_str).filter(|name| *name != TAG) {
            if !columns.contains(&name) {
                columns.push(name);
            }
        }
        let mut found = self.query(&Query { module: CONTACTS, columns, filter, order, rows }).await?;
        if fields.iter().any(|name| name == TAG) && !found.is_empty() {
            let ids: Vec<String> = found.iter().filter_map(id).collect();
            let tags = self.tags_of(&ids).await?;
            // One that went away between the two reads would come without its tags: it comes as gone next time.
            found.retain(|record| id(record).is_some_and(|id| tags.contains_key(&id)));
            for record in &mut found {
                let names = id(record).and_then(|id| tags.get(&id).cloned()).unwrap_or_default();
                let names: Value = names.into_iter().map(|name| json!({"name": name})).collect();
                record.insert(TAG.to_owned(), names);
            }
        }
        Ok(found.iter().filter_map(|found| record(found, fields)).collect())
    }
}

/// Rows of a page with so many fields.
pub(super) fn page_rows(fields: &[String]) -> usize {
    (MOST_CELLS / (fields.len() + 3)).clamp(CHEAP_ROWS, MOST_ROWS)
}

/// A contact with these fields.
fn record(found: &Found, fields: &[String]) -> Option<CrmRecord> {
    Some(CrmRecord {
        id: id(found)?,
        person: text(found, CONTACT_KEY).and_then(|key| key.parse().ok()),
        modified_at: text(found, "Modified_Time").and_then(moment),
        values: fields.iter().map(|name| read(name, found.get(name))).collect(),
    })
}
