//! Contacts: known ones are updated by record id; new people are found by our id or adopted by phone number, and only then made, by
//! an upsert on our unique field, so that trying again never makes a second one.
//! Failure story: every step may be repeated. Between choosing and adopting a contact is read once more.
//! Known limits: two new people with the same number and no contact yet become two contacts (they are two people of ours); two
//! nodes that adopt one contact in the same instant both link to it, and the later one's id stays on it.

use super::Zoho;
use super::client::iso;
use super::errors;
use super::fields::{Types, written};
use super::matching::{Wanted, find};
use super::query::{Found, id, text};
use super::rows::{Op, Outcome, Row};
use super::schema::CONTACT_KEY;
use super::tags::{self, TagWrite};
use super::{CONTACTS, TAG};
use crate::phone::{Fit, fit, phone_candidates};
use ponte_domain::SECOND;
use ponte_domain::crm::ContactWrite;
use ponte_domain::error::{CallError, ErrorClass};
use serde_json::{Map, Value, json};
use std::collections::HashMap;
use std::sync::Arc;

type Numbered<'a> = (usize, &'a ContactWrite);

/// What is known of the contact that is written.
#[derive(Clone, Copy)]
enum Known<'a> {
    /// It doesn't exist yet.
    No,
    /// It exists and bears our id, with these values.
    Ours(&'a Found),
    /// It was found by number and is taken over, with these values, which stay.
    Adopted(&'a Found),
    /// It exists and was linked before; its names and numbers belong to those who work in the CRM.
    Linked,
}

impl Zoho {
    /// Gives an outcome for every row, in order.
    pub(super) async fn put_contacts(&self, rows: &[ContactWrite]) -> Result<Vec<Outcome>, CallError> {
        let (people, whose) = crate::rows::people(rows);
        let names: Vec<&str> = people.iter().flat_map(|p| p.fields.keys()).map(String::as_str).collect();
        let types = if names.is_empty() { Arc::default() } else { self.types(&names).await? };
        let mut done: HashMap<usize, Outcome> = HashMap::new();
        for (index, person) in people.iter().enumerate() {
            if let Some(error) = tags::refused(person.fields.get(TAG)) {
                done.insert(index, Err(error));
            }
        }
        let open = || people.iter().enumerate().filter(|(index, _)| !done.contains_key(index));
        let known: Vec<Numbered<'_>> = open().filter(|(_, p)| p.crm_id.is_some()).collect();
        let new: Vec<Numbered<'_>> = open().filter(|(_, p)| p.crm_id.is_none()).collect();
        let (updated, made) = tokio::join!(self.update_known(&known, &types), self.find_or_make(&new, &types));
        let (made, adopted) = made;
        done.extend(updated.into_iter().chain(made));
        let tagged = people.iter().enumerate().filter(|(index, _)| !adopted.contains(index));
        let tagged = tagged.filter_map(|(index, person)| {
            let wanted = tags::names(person.fields.get(TAG)?);
            let Some(Ok(row)) = done.get(&index) else { return None };
            Some(TagWrite { index, crm_id: row.crm_id.clone(), wanted })
        });
        let tagged: Vec<TagWrite> = tagged.collect();
        for (index, error) in self.client.set_tags(&tagged).await {
            done.insert(index, Err(error));
        }
        Ok(whose.iter().map(|person| done.get(person).cloned().unwrap_or_else(|| Err(lost_row()))).collect())
    }

    async fn update_known(&self, known: &[Numbered<'_>], types: &Types) -> HashMap<usize, Outcome> {
        let row = |(index, person): &Numbered<'_>| {
            let crm_id = person.crm_id.clone().unwrap_or_default();
            Row { index: *index, fields: with_id(self.fields(person, Known::Linked, types), &crm_id) }
        };
        let rows: Vec<Row> = known.iter().map(row).collect();
        let mut done = self.client.write(CONTACTS, Op::Update, &rows).await;
        // Our id may sit on another contact still (linked by hand, merged): the link we were given decides.
        let taken = |row: &Row| matches!(done.get(&row.index), Some(Err(e)) if key_is_taken(e));
        let again: Vec<Row> =
            rows.into_iter().filter(taken).map(|row| without(row, &[CONTACT_KEY.to_owned()])).collect();
        done.extend(self.client.write(CONTACTS, Op::Update, &again).await);
        done
    }

    /// Outcomes by person, and who was adopted.
    async fn find_or_make(&self, new: &[Numbered<'_>], types: &Types) -> (HashMap<usize, Outcome>, Vec<usize>) {
        if new.is_empty() {
            return (HashMap::new(), Vec::new());
        }
        let all_failed =
            |error: CallError| (new.iter().map(|(index, _)| (*index, Err(error.clone()))).collect(), Vec::new());
        let keys: Vec<String> = new.iter().map(|(_, p)| p.person.to_string()).collect();
        let ours = match self.client.contacts_where(CONTACT_KEY, &keys).await {
            Ok(found) => found,
            Err(error) => return all_failed(error),
        };
        let ours: HashMap<&str, &Found> = ours.iter().filter_map(|r| Some((text(r, CONTACT_KEY)?, r))).collect();
        let unknown = new.iter().filter(|(_, p)| !ours.contains_key(p.person.to_string().as_str()));
        let wanted: Vec<Wanted> =
            if self.client.config.match_existing { unknown.filter_map(wanted).collect() } else { Vec::new() };
        let mut chosen = match find(&self.client, &wanted).await {
            Ok(chosen) => chosen,
            Err(error) => return all_failed(error),
        };
        let mut done: HashMap<usize, Outcome> = HashMap::new();
        // Held until the contacts are written.
        let mut claims = Vec::with_capacity(chosen.len());
        chosen.retain(|index, id| match self.adopting.claim(id) {
            Some(claim) => {
                claims.push(claim);
                true
            }
            None => {
                done.insert(*index, Err(taken_row()));
                false
            }
        });
        let fresh = match self.client.contacts_where("id", &chosen.values().cloned().collect::<Vec<_>>()).await {
            Ok(fresh) => fresh,
            Err(error) => return all_failed(error),
        };
        let fresh: HashMap<String, Found> = fresh.into_iter().filter_map(|r| Some((id(&r)?, r))).collect();
        let (mut updates, mut upserts, mut adopted) = (Vec::new(), Vec::new(), Vec::new());
        for (index, person) in new.iter().filter(|(index, _)| !done.contains_key(index)).copied().collect::<Vec<_>>() {
            let key = person.person.to_string();
            let adopt = chosen.get(&index).and_then(|id| fresh.get(id)).filter(|r| free_for(r, &key));
            let known = match (ours.get(key.as_str()), adopt) {
                (Some(record), _) => Known::Ours(record),
                (None, Some(record)) => Known::Adopted(record),
                (None, None) => Known::No,
            };
            let fields = self.fields(person, known, types);
            match known {
                Known::Ours(record) | Known::Adopted(record) => {
                    let id = id(record).unwrap_or_default();
                    updates.push(Row { index, fields: with_id(fields, &id) });
                    if matches!(known, Known::Adopted(_)) {
                        adopted.push(index);
                    }
                }
                Known::No | Known::Linked => upserts.push(Row { index, fields }),
            }
        }
        let (updated, upserted) =
            tokio::join!(self.client.write(CONTACTS, Op::Update, &updates), self.make(upserts, new, types));
        let (upserted, more_adopted) = upserted;
        adopted.extend(more_adopted);
        done.extend(updated.into_iter().chain(upserted).map(|(index, outcome)| (index, outcome.map_err(settle))));
        drop(claims);
        (done, adopted)
    }

    /// Makes contacts by our id. Where another contact has one of the unique values, that contact is adopted when nobody of ours
    /// has it; otherwise the new one is made without the value.
    async fn make(&self, rows: Vec<Row>, new: &[Numbered<'_>], types: &Types) -> (HashMap<usize, Outcome>, Vec<usize>) {
        let op = Op::Upsert { by: CONTACT_KEY };
        let mut done = self.client.write(CONTACTS, op, &rows).await;
        let taken = |row: &Row| match done.get(&row.index) {
            Some(Err(error)) if !key_is_taken(error) => match &error.class {
                ErrorClass::Conflict { existing } => Some((existing.clone(), errors::fields_of(error))),
                _ => None,
            },
            _ => None,
        };
        let refused: Vec<(Row, Option<String>, Vec<String>)> =
            rows.into_iter().filter_map(|row| taken(&row).map(|(id, fields)| (row, id, fields))).collect();
        if refused.is_empty() {
            return (done, Vec::new());
        }
        let ids: Vec<String> = refused.iter().filter_map(|(_, id, _)| id.clone()).collect();
        let there = if self.client.config.match_existing {
            self.client.contacts_where("id", &ids).await
        } else {
            Ok(Vec::new())
        };
        let there: HashMap<String, Found> = match there {
            Ok(found) => found.into_iter().filter_map(|r| Some((id(&r)?, r))).collect(),
            Err(error) => {
                done.extend(refused.iter().map(|(row, ..)| (row.index, Err(error.clone()))));
                return (done, Vec::new());
            }
        };
        let mut claims = Vec::new();
        let (mut updates, mut upserts) = (Vec::new(), Vec::new());
        for (row, existing, fields) in refused {
            let person = new.iter().find(|(index, _)| *index == row.index).map(|(_, person)| *person);
            let other = existing.as_ref().and_then(|id| there.get(id));
            match (person, other) {
                (Some(person), Some(other)) if free_for(other, &person.person.to_string()) => {
                    let id = id(other).unwrap_or_default();
                    let Some(claim) = self.adopting.claim(&id) else { continue };
                    claims.push(claim);
                    let fields = self.fields(person, Known::Adopted(other), types);
                    updates.push(Row { index: row.index, fields: with_id(fields, &id) });
                }
                _ => {
                    tracing::warn!(target: "ponte::crm", crm = "zoho", fields = %fields.join(","),
                        "another contact has this unique value: the new contact is made without");
                    upserts.push(without(row, &fields));
                }
            }
        }
        let (updated, upserted) =
            tokio::join!(self.client.write(CONTACTS, Op::Update, &updates), self.client.write(CONTACTS, op, &upserts));
        done.extend(updated.into_iter().chain(upserted));
        drop(claims);
        (done, updates.iter().map(|row| row.index).collect())
    }

    fn fields(&self, person: &ContactWrite, known: Known<'_>, types: &Types) -> Map<String, Value> {
        let config = &self.client.config;
        let mut fields = Map::new();
        let mut put = |name: &str, value: Option<String>| {
            if let Some(value) = value {
                fields.insert(name.to_owned(), Value::String(value));
            }
        };
        put(CONTACT_KEY, Some(person.person.to_string()));
        put("Ponte_WA_Id", person.wa_id.as_deref().map(|t| cut(t, 100)));
        put("Ponte_User_Id", person.user_id.as_deref().map(|t| cut(t, 150)));
        put("Ponte_Username", person.username.as_deref().map(|t| cut(t, 100)));
        put("Ponte_Last_Inbound_At", person.last_inbound_at.map(iso));
        let (nameless, phoneless) = match known {
            Known::No => (true, true),
            Known::Ours(record) | Known::Adopted(record) => {
                let named = text(record, "First_Name").is_some() || text(record, "Last_Name").is_some();
                (!named, !self.has_number(record, person))
            }
            Known::Linked => (false, false),
        };
        if phoneless {
            put(config.phone_field(), person.phone.as_ref().map(|digits| format!("+{digits}")));
        }
        if nameless || (config.overwrite_names && person.name.is_some()) {
            let (first, last) = crate::rows::full_name_of(person, (40, 80));
            put("First_Name", first);
            put("Last_Name", Some(last));
        }
        match known {
            Known::Adopted(_) => {}
            // A new contact has nothing that could be emptied.
            Known::No => {
                fields.extend(written(&person.fields, types).into_iter().filter(|(_, value)| !value.is_null()))
            }
            Known::Ours(_) | Known::Linked => fields.extend(written(&person.fields, types)),
        }
        fields
    }

    /// The field for the number is filled, or the number stands in another one.
    fn has_number(&self, record: &Found, person: &ContactWrite) -> bool {
        let config = &self.client.config;
        let candidates = person.phone.as_deref().map(phone_candidates).unwrap_or_default();
        let same = |name: &String| text(record, name).and_then(|stored| fit(stored, &candidates)) == Some(Fit::Full);
        text(record, config.phone_field()).is_some() || config.phone_fields.iter().any(same)
    }
}

fn with_id(mut fields: Map<String, Value>, id: &str) -> Map<String, Value> {
    fields.insert("id".to_owned(), json!(id));
    fields
}

fn without(mut row: Row, fields: &[String]) -> Row {
    row.fields.retain(|name, _| !fields.contains(name));
    row
}

fn key_is_taken(error: &CallError) -> bool {
    matches!(error.class, ErrorClass::Conflict { .. }) && errors::names_field(error, CONTACT_KEY)
}

fn wanted((index, person): &Numbered<'_>) -> Option<Wanted> {
    let phone = person.phone.as_deref().or(person.wa_id.as_deref())?;
    Wanted::new(*index, person.person.to_string(), phone)
}

fn free_for(record: &Found, key: &str) -> bool {
    text(record, CONTACT_KEY).is_none_or(|owner| owner == key)
}

/// At most so many characters.
pub(super) fn cut(text: &str, most: usize) -> String {
    text.chars().take(most).collect()
}

/// A new person has no link that could be gone, and a conflict on our id means that someone else was faster: looking again finds it.
fn settle(mut error: CallError) -> CallError {
    if error.class == ErrorClass::Gone || key_is_taken(&error) {
        error.class = ErrorClass::Retryable { after_ms: Some(SECOND) };
    }
    error
}

fn taken_row() -> CallError {
    let title = "the contact found is just being linked to someone else with the same number";
    CallError::new(ErrorClass::Retryable { after_ms: Some(SECOND) }, "being_adopted", title)
}

fn lost_row() -> CallError {
    CallError::new(ErrorClass::Retryable { after_ms: Some(SECOND) }, "row_unmentioned", "the row got no outcome")
}
