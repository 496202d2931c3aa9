//! Contacts: known ones are updated by record id; new people are found by our id or adopted by phone number, and only then
//! made, by an upsert on our unique property, so that trying again never makes a second one.
//! Failure story: every step may be repeated. Between looking and adopting a contact is read once more, fresh from the
//! database, because search shows old values for a while.
//! Known limits: two new people with the same number and no contact yet become two contacts (they are two people of ours); two
//! nodes that adopt one contact in the same instant both link to it, and the later one's id stays on it.

use super::HubSpot;
use super::batch::{Done, Op, Outcome, Record, Row};
use super::body::iso_millis;
use super::matching::{CONTACT_PROPERTIES, Wanted, choose};
use super::schema::CONTACT_KEY;
use ponte_domain::SECOND;
use ponte_domain::crm::ContactWrite;
use ponte_domain::error::{CallError, ErrorClass};
use serde_json::{Map, Value, json};
use std::collections::HashMap;
use std::sync::atomic::Ordering;

const WHATSAPP_PHONE: &str = "hs_whatsapp_phone_number";

impl HubSpot {
    /// Gives an outcome for every row, in order.
    pub(super) async fn put_contacts(&self, rows: &[ContactWrite]) -> Vec<Outcome> {
        let (people, whose) = crate::rows::people(rows);
        let (known, new): (Vec<_>, Vec<_>) = people.iter().enumerate().partition(|(_, p)| p.crm_id.is_some());
        let (mut done, new) = tokio::join!(self.update_known(&known), self.find_or_make(&new));
        done.extend(new);
        whose.iter().map(|person| done.get(person).cloned().unwrap_or_else(|| Err(lost_row()))).collect()
    }

    async fn update_known(&self, known: &[(usize, &ContactWrite)]) -> HashMap<usize, Outcome> {
        let row = |(index, person): &(usize, &ContactWrite)| Row {
            index: *index,
            key: person.crm_id.clone().unwrap_or_default(),
            properties: self.properties(person, Known::Linked),
            associations: Vec::new(),
        };
        let mut done = self.write_contacts(Op::Update, known.iter().map(row).collect()).await;
        // Our id may sit on another contact still (contacts split or linked by hand): the link we were given decides.
        let again: Vec<Row> = known
            .iter()
            .filter(
                |(index, _)| matches!(done.get(index), Some(Err(e)) if matches!(e.class, ErrorClass::Conflict { .. })),
            )
            .map(row)
            .map(|mut row| {
                row.properties.remove(CONTACT_KEY);
                row
            })
            .collect();
        if !again.is_empty() {
            done.extend(self.write_contacts(Op::Update, again).await);
        }
        done
    }

    async fn find_or_make(&self, new: &[(usize, &ContactWrite)]) -> HashMap<usize, Outcome> {
        if new.is_empty() {
            return HashMap::new();
        }
        let keys: Vec<String> = new.iter().map(|(_, p)| p.person.to_string()).collect();
        let wanted: Vec<Wanted> =
            if self.client.config.match_existing { new.iter().filter_map(wanted).collect() } else { Vec::new() };
        let (ours, hits) = tokio::join!(
            self.client.read_many("contacts", Some(CONTACT_KEY), &keys, CONTACT_PROPERTIES),
            self.searches.find(&self.client, &wanted),
        );
        let ours: HashMap<String, Record> = match ours {
            Ok(records) => records.into_iter().filter_map(|r| Some((r.value(CONTACT_KEY)?.to_owned(), r))).collect(),
            Err(error) => return new.iter().map(|(index, _)| (*index, Err(error.clone()))).collect(),
        };
        let mut done = HashMap::new();
        let still: Vec<Wanted> = wanted.into_iter().filter(|w| !ours.contains_key(&w.key)).collect();
        let mut chosen = match hits {
            Ok(hits) => choose(&still, &hits),
            Err(error) => {
                done.extend(still.iter().map(|w| (w.index, Err(error.clone()))));
                HashMap::new()
            }
        };
        // Held until the contacts are written.
        let mut claims = Vec::with_capacity(chosen.len());
        chosen.retain(|index, id| {
            let claim = self.adopting.claim(id);
            if claim.is_none() {
                done.insert(*index, Err(taken_row()));
            }
            claim.map(|claim| claims.push(claim)).is_some()
        });
        let adopted = match self.read_again(&chosen).await {
            Ok(adopted) => adopted,
            Err(error) => {
                done.extend(chosen.keys().map(|index| (*index, Err(error.clone()))));
                HashMap::new()
            }
        };
        let (mut updates, mut upserts) = (Vec::new(), Vec::new());
        for (index, person) in new.iter().filter(|(index, _)| !done.contains_key(index)).copied().collect::<Vec<_>>() {
            let key = person.person.to_string();
            let there = ours.get(&key).or_else(|| adopted.get(&index).filter(|r| free_for(r, &key)));
            let known = there.map_or(Known::No, Known::Read);
            let properties = self.properties(person, known);
            match there {
                Some(record) => {
                    updates.push(Row { index, key: record.id.clone(), properties, associations: Vec::new() })
                }
                None => upserts.push(Row { index, key, properties, associations: Vec::new() }),
            }
        }
        let (updated, upserted) = tokio::join!(
            self.write_contacts(Op::Update, updates),
            self.write_contacts(Op::Upsert { by: CONTACT_KEY }, upserts)
        );
        done.extend(updated.into_iter().chain(upserted).map(|(index, outcome)| (index, outcome.map_err(settle))));
        drop(claims);
        done
    }

    /// The chosen contacts as they are now, by person.
    async fn read_again(&self, chosen: &HashMap<usize, String>) -> Result<HashMap<usize, Record>, CallError> {
        if chosen.is_empty() {
            return Ok(HashMap::new());
        }
        let ids: Vec<String> = chosen.values().cloned().collect();
        let records = self.client.read_many("contacts", None, &ids, CONTACT_PROPERTIES).await?;
        let by_id: HashMap<&str, &Record> = records.iter().map(|r| (r.id.as_str(), r)).collect();
        Ok(chosen.iter().filter_map(|(index, id)| Some((*index, (*by_id.get(id.as_str())?).clone()))).collect())
    }

    /// Writes rows; when HubSpot objects to its own WhatsApp number property, goes on without it from then on.
    async fn write_contacts(&self, op: Op, rows: Vec<Row>) -> HashMap<usize, Outcome> {
        if rows.is_empty() {
            return HashMap::new();
        }
        let mut done = self.client.write("contacts", op, rows.clone()).await;
        let objected = |outcome: Option<&Outcome>| match outcome {
            Some(Err(error)) => super::errors::names_property(error, WHATSAPP_PHONE),
            _ => false,
        };
        let again: Vec<Row> = rows
            .into_iter()
            .filter(|row| row.properties.contains_key(WHATSAPP_PHONE) && objected(done.get(&row.index)))
            .map(|mut row| {
                row.properties.remove(WHATSAPP_PHONE);
                row
            })
            .collect();
        if !again.is_empty() {
            tracing::warn!(target: "ponte::crm", crm = "hubspot", "hs_whatsapp_phone_number is not taken: going on without");
            self.whatsapp_phone.store(false, Ordering::Relaxed);
            done.extend(self.client.write("contacts", op, again).await);
        }
        done
    }

    fn properties(&self, person: &ContactWrite, known: Known<'_>) -> Map<String, Value> {
        let mut properties = Map::new();
        let mut put = |name: &str, value: Option<String>| {
            if let Some(value) = value {
                properties.insert(name.to_owned(), Value::String(value));
            }
        };
        let phone = person.phone.as_ref().map(|digits| format!("+{digits}"));
        put(CONTACT_KEY, Some(person.person.to_string()));
        put("ponte_wa_id", person.wa_id.clone());
        put("ponte_user_id", person.user_id.clone());
        put("ponte_username", person.username.clone());
        put("ponte_last_inbound_at", person.last_inbound_at.map(iso_millis));
        if self.whatsapp_phone.load(Ordering::Relaxed) {
            put(WHATSAPP_PHONE, phone.clone());
        }
        let nameless = match known {
            Known::No => true,
            Known::Read(record) => record.value("firstname").is_none() && record.value("lastname").is_none(),
            Known::Linked => false,
        };
        let phoneless = match known {
            Known::No => true,
            Known::Read(record) => record.value("phone").is_none(),
            Known::Linked => false,
        };
        if phoneless {
            put("phone", phone);
        }
        if nameless || (self.client.config.overwrite_names && person.name.is_some()) {
            let (first, last) = crate::rows::name_of(person);
            put("firstname", first);
            put("lastname", last);
        }
        if !matches!(known, Known::Read(record) if record.value(CONTACT_KEY).is_none()) {
            for (name, value) in &person.fields {
                properties.insert(name.clone(), property(value));
            }
        }
        properties
    }
}

/// A mapped value as HubSpot takes it: text; what is empty is an empty text.
fn property(value: &Value) -> Value {
    match value {
        Value::Null => Value::String(String::new()),
        Value::Array(items) => {
            let words: Vec<String> =
                items.iter().map(|i| i.as_str().map_or_else(|| i.to_string(), str::to_owned)).collect();
            Value::String(words.join(";"))
        }
        Value::String(_) => value.clone(),
        other => Value::String(other.to_string()),
    }
}

/// What is known of the contact that is written.
#[derive(Clone, Copy)]
enum Known<'a> {
    /// It doesn't exist yet.
    No,
    /// It exists, with these values.
    Read(&'a Record),
    /// It exists and was linked before; its names and numbers belong to those who work in the CRM.
    Linked,
}

fn wanted((index, person): &(usize, &ContactWrite)) -> Option<Wanted> {
    let phone = person.phone.as_deref().or(person.wa_id.as_deref())?;
    Wanted::new(*index, person.person.to_string(), phone)
}

fn free_for(record: &Record, key: &str) -> bool {
    record.value(CONTACT_KEY).is_none_or(|owner| owner == key)
}

/// A new person has no link that could be gone, and a conflict means that someone else was faster: looking again finds it.
fn settle(mut error: CallError) -> CallError {
    if matches!(error.class, ErrorClass::Gone | ErrorClass::Conflict { .. }) {
        error.class = ErrorClass::Retryable { after_ms: Some(SECOND) };
    }
    error
}

fn taken_row() -> CallError {
    let class = ErrorClass::Retryable { after_ms: Some(SECOND) };
    CallError::new(
        class,
        "being_adopted",
        "the contact found is just being linked to someone else with the same number",
    )
}

fn lost_row() -> CallError {
    CallError::new(ErrorClass::Retryable { after_ms: Some(SECOND) }, "row_unmentioned", "the row got no outcome")
}

impl From<Done> for ponte_domain::crm::RowResult {
    fn from(done: Done) -> Self {
        Self::Written { crm_id: done.crm_id, created: done.created }
    }
}

/// What the association of a message with its contact looks like.
pub(super) fn to_contact(contact: &str) -> Value {
    /// HubSpot's own type "communication to contact".
    const COMMUNICATION_TO_CONTACT: u16 = 81;
    json!({"to": {"id": contact},
           "types": [{"associationCategory": "HUBSPOT_DEFINED", "associationTypeId": COMMUNICATION_TO_CONTACT}]})
}
