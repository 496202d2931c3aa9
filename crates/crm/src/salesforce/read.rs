//! Reading people: all of them page by page, some by their ids, and what a record that is gone became. Facts: crm-apis section 2. Pages
//! go by record id instead of Salesforce's cursors, which are few, end with the session, and are lost in a restart.
//! Failure story: reads only; what can't be read may be asked for again.

use super::Salesforce;
use super::config::SalesforceObject;
use super::shape::{KEY, Shape};
use super::soql::{MOST_ADDRESS, is_name, list, long_id, moment, quoted, time_millis};
use crate::percent::percent;
use ponte_domain::crm::{CrmKind, CrmPage, CrmRecord};
use ponte_domain::error::{CallError, ErrorClass};
use ponte_domain::{Millis, SECOND};
use serde_json::Value;
use std::collections::{BTreeSet, HashMap};

/// Records of one page, Salesforce's most.
pub(super) const PAGE: usize = 2_000;
/// How often a merged record is followed to one that was merged, too.
const MOST_STEPS: usize = 5;
/// What an id takes in an address: 18 characters, two encoded marks, an encoded comma.
const ID_BYTES: usize = 27;

impl Salesforce {
    /// A page of all people with these fields.
    pub(super) async fn page(&self, fields: &[String], after: Option<&str>) -> Result<CrmPage, CallError> {
        checked(fields)?;
        let after = after.and_then(long_id);
        let at = after.as_deref().and_then(SalesforceObject::of_id).unwrap_or(self.client.config.object);
        let shape = self.shapes.of(&self.client, at.name()).await?;
        let mut conditions: Vec<String> = after.iter().map(|id| format!("Id > {}", quoted(id))).collect();
        conditions.extend(self.whose(at).map(str::to_owned));
        let condition =
            if conditions.is_empty() { String::new() } else { format!(" WHERE {}", conditions.join(" AND ")) };
        let columns = columns(fields, at, self.client.config.object, &shape);
        let soql = format!("SELECT {columns} FROM {}{condition} ORDER BY Id LIMIT {PAGE}", at.name());
        let found = self.client.query(&soql, false).await?;
        let full = found.records.len() >= PAGE || !found.done;
        let last = found.records.last().and_then(id_of);
        let next = match last.filter(|_| full) {
            Some(id) => Some(id),
            // Behind the last lead come the contacts that leads became: no id of a contact is lower than its prefix alone.
            None if at == SalesforceObject::Lead => {
                Some(format!("{}000000000000AAA", SalesforceObject::Contact.prefix()))
            }
            None => None,
        };
        let next = next.filter(|next| after.as_ref() != Some(next));
        Ok(CrmPage {
            records: found.records.iter().filter_map(|r| record(r, fields, &shape, self.client.now())).collect(),
            next,
        })
    }

    /// Which records of an object are ours to read. Where people are leads, contacts count only when they were linked.
    pub(super) fn whose(&self, at: SalesforceObject) -> Option<&'static str> {
        match (self.client.config.object, at) {
            (SalesforceObject::Lead, SalesforceObject::Lead) => Some("IsConverted = false"),
            (SalesforceObject::Lead, SalesforceObject::Contact) => Some("Ponte_Id__c != null"),
            _ => None,
        }
    }

    /// These records as they are now, in the order of the ids; merged and converted ones as what they became.
    pub(super) async fn by_id(&self, ids: &[String], fields: &[String]) -> Result<Vec<Option<CrmRecord>>, CallError> {
        checked(fields)?;
        let long: Vec<Option<String>> = ids.iter().map(|id| long_id(id)).collect();
        let mut known: HashMap<String, Read> = HashMap::new();
        let mut wanted: BTreeSet<String> = long.iter().flatten().cloned().collect();
        for _ in 0..MOST_STEPS {
            let found = self.look_at(&wanted, fields).await?;
            wanted.clear();
            wanted.extend(found.values().filter_map(|read| match read {
                Read::Became(id) => Some(id.clone()),
                _ => None,
            }));
            known.extend(found);
            wanted.retain(|id| !known.contains_key(id));
            if wanted.is_empty() {
                break;
            }
        }
        let follow = |id: &String| {
            let mut id = id;
            for _ in 0..=MOST_STEPS {
                match known.get(id)? {
                    Read::There(record) => return Some(record.clone()),
                    Read::Became(next) => id = next,
                    Read::Gone => return None,
                }
            }
            None
        };
        Ok(long.iter().map(|id| id.as_ref().and_then(follow)).collect())
    }

    /// What records that are gone became; those without a successor are missing.
    pub(super) async fn successors(&self, ids: &[String]) -> Result<HashMap<String, String>, CallError> {
        let found = self.by_id(ids, &[]).await?;
        let pairs = ids.iter().zip(found).filter_map(|(id, now)| Some((id.clone(), now?.id)));
        Ok(pairs.filter(|(id, now)| long_id(id).as_ref() != Some(now)).collect())
    }

    async fn look_at(&self, ids: &BTreeSet<String>, fields: &[String]) -> Result<HashMap<String, Read>, CallError> {
        let mut known = HashMap::new();
        for object in [SalesforceObject::Contact, SalesforceObject::Lead] {
            let mine: Vec<&str> = ids.iter().map(String::as_str).filter(|id| id.starts_with(object.prefix())).collect();
            if mine.is_empty() {
                continue;
            }
            let shape = self.shapes.of(&self.client, object.name()).await?;
            let columns = columns(fields, object, self.client.config.object, &shape);
            let room = MOST_ADDRESS.saturating_sub(percent(&columns).map(str::len).sum::<usize>() + 200) / ID_BYTES;
            for some in mine.chunks(room.clamp(1, 400)) {
                let soql =
                    format!("SELECT {columns} FROM {} WHERE Id IN {}", object.name(), list(some.iter().copied()));
                for row in self.client.query(&soql, true).await?.records {
                    let Some(id) = id_of(&row) else { continue };
                    let read = match state(&row) {
                        State::Live => record(&row, fields, &shape, self.client.now()).map_or(Read::Gone, Read::There),
                        State::Became(id) => Read::Became(id),
                        State::Gone => Read::Gone,
                    };
                    known.insert(id, read);
                }
            }
        }
        Ok(known)
    }
}

enum Read {
    There(CrmRecord),
    Became(String),
    Gone,
}

/// What a row of a query over all records says of its record.
pub(super) enum State {
    Live,
    Gone,
    Became(String),
}

pub(super) fn state(row: &Value) -> State {
    let is = |name: &str| row.get(name).and_then(Value::as_bool) == Some(true);
    let id = |name: &str| row.get(name).and_then(Value::as_str).and_then(long_id);
    if is("IsConverted") {
        return id("ConvertedContactId").map_or(State::Gone, State::Became);
    }
    if is("IsDeleted") {
        return id("MasterRecordId").map_or(State::Gone, State::Became);
    }
    State::Live
}

/// The columns of a query: what is asked for, and what tells us about the record.
pub(super) fn columns(fields: &[String], object: SalesforceObject, main: SalesforceObject, shape: &Shape) -> String {
    let mut names: Vec<&str> = vec!["Id", "IsDeleted", "MasterRecordId", "SystemModstamp"];
    if object == SalesforceObject::Lead {
        names.extend(["IsConverted", "ConvertedContactId"]);
    }
    if shape.has(KEY) {
        names.push(KEY);
    }
    for field in fields {
        // A name twice is refused. What a converted lead's contact doesn't have reads as empty; else Salesforce may object.
        let there = object == main || shape.has(field);
        if there && !names.iter().any(|name| name.eq_ignore_ascii_case(field)) {
            names.push(field);
        }
    }
    names.join(", ")
}

pub(super) fn id_of(row: &Value) -> Option<String> {
    row.get("Id").and_then(Value::as_str).and_then(long_id)
}

/// A record with these fields. Salesforce's times have seconds. A change counts as one of the second's end, or of now when that isn't
/// over: of two changes within one second the one that is read later must not seem to be as old as the other.
pub(super) fn record(row: &Value, fields: &[String], shape: &Shape, now: Millis) -> Option<CrmRecord> {
    let value = |name: &String| match (row.get(name), shape.kind(name)) {
        (Some(Value::String(text)), Some(CrmKind::Moment)) => {
            moment(text).map_or_else(|| Value::from(text.as_str()), |at| Value::String(time_millis(at)))
        }
        (Some(compound @ (Value::Object(_) | Value::Array(_))), _) => Value::String(compound.to_string()),
        (Some(value), _) => value.clone(),
        (None, _) => Value::Null,
    };
    Some(CrmRecord {
        id: id_of(row)?,
        person: row.get(KEY).and_then(Value::as_str).and_then(|key| key.parse().ok()),
        modified_at: row
            .get("SystemModstamp")
            .and_then(Value::as_str)
            .and_then(moment)
            .map(|at| within_second(at, now)),
        values: fields.iter().map(value).collect(),
    })
}

fn within_second(at: Millis, now: Millis) -> Millis {
    (at + SECOND - 1).min(now.max(at))
}

/// Names of fields go into queries as they stand.
pub(super) fn checked(fields: &[String]) -> Result<(), CallError> {
    if fields.iter().all(|f| is_name(f)) {
        return Ok(());
    }
    let title = "a name that can't be a field's";
    Err(CallError::new(ErrorClass::Configuration, "fields_invalid", title))
}

#[cfg(test)]
mod tests {
    use super::within_second;

    #[test]
    fn a_change_is_as_late_in_its_second_as_it_can_be() {
        assert_eq!(within_second(5_000, 5_300), 5_300, "the second isn't over");
        assert_eq!(within_second(5_000, 9_000), 5_999);
        assert_eq!(within_second(5_000, 4_000), 5_000, "our clock is behind");
    }
}
