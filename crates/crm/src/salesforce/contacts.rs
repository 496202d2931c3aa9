//! People: known ones are updated by record id; new ones are found by our id or adopted by phone number, and only then made, by an
//! upsert on our external id, so that trying again never makes a second one.
//! Failure story: every step may be repeated. A linked record that was merged or converted is followed, and the row says what it is
//! now. What a duplicate rule found is adopted where it can be the same person, else a new record is saved over the rule.
//! Known limits: two new people with the same number and no record yet become two records (they are two people of ours); two nodes
//! that adopt one record in the same instant both link to it, and the later one's id stays on it.

use super::Salesforce;
use super::config::{SalesforceDuplicates, SalesforceObject};
use super::matching::{Person, Wanted, adoptable, choose};
use super::rows::{Alone, Done, Op, Outcome, Row};
use super::shape::{KEY, Shape};
use super::soql::{long_id, time_millis};
use ponte_domain::SECOND;
use ponte_domain::crm::{ContactWrite, CrmKind};
use ponte_domain::error::{CallError, ErrorClass};
use serde_json::{Map, Value};
use std::collections::HashMap;
use std::sync::Arc;

/// Characters of the name fields.
const FIRST: usize = 40;
const LAST: usize = 80;

type Numbered<'a> = (usize, &'a ContactWrite);
type ByObject = HashMap<SalesforceObject, Arc<Shape>>;

impl Salesforce {
    /// Gives an outcome for every row, in order.
    pub(super) async fn put_contacts(&self, rows: &[ContactWrite]) -> Result<Vec<Outcome>, CallError> {
        let mut shapes = ByObject::new();
        for object in [SalesforceObject::Contact, SalesforceObject::Lead] {
            // A link may lead to an object that is not read otherwise; it is asked about only then.
            let linked = |row: &ContactWrite| row.crm_id.as_deref().and_then(SalesforceObject::of_id) == Some(object);
            if self.people().contains(&object) || rows.iter().any(linked) {
                shapes.insert(object, self.shapes.of(&self.client, object.name()).await?);
            }
        }
        let (people, whose) = crate::rows::people(rows);
        let (known, new): (Vec<_>, Vec<_>) = people.iter().enumerate().partition(|(_, p)| p.crm_id.is_some());
        let (mut done, new) =
            tokio::join!(Box::pin(self.update_known(&known, &shapes)), Box::pin(self.find_or_make(&new, &shapes)));
        done.extend(new);
        let objected = |outcome: &Outcome| matches!(outcome, Err(e) if e.class == ErrorClass::Configuration);
        if done.values().any(objected) {
            // What is known of the fields may be old.
            self.shapes.forget().await;
        }
        Ok(whose.iter().map(|person| done.get(person).cloned().unwrap_or_else(|| Err(lost_row()))).collect())
    }

    async fn update_known(&self, known: &[Numbered<'_>], shapes: &ByObject) -> HashMap<usize, Outcome> {
        let mut done = HashMap::new();
        let mut rows = Vec::with_capacity(known.len());
        for (index, person) in known {
            let id = person.crm_id.as_deref().and_then(long_id);
            match id.as_deref().and_then(|id| self.update_row(*index, person, id, Known::Linked, shapes)) {
                Some(row) => rows.push(row),
                None => {
                    let title = "the link names no Salesforce contact or lead";
                    done.insert(*index, Err(CallError::new(ErrorClass::Gone, "bad_link", title)));
                }
            }
        }
        done.extend(self.update_rows(rows).await);
        self.follow(known, shapes, &mut done).await;
        done
    }

    /// Updates; a row whose id of ours sits on another record still (split or linked by hand) is written without it: the link that we
    /// were given decides.
    async fn update_rows(&self, rows: Vec<Row>) -> HashMap<usize, Outcome> {
        if rows.is_empty() {
            return HashMap::new();
        }
        let mut done = self.client.write(Op::Update, rows.clone()).await;
        let taken = |index: &usize| matches!(done.get(index), Some(Err(e)) if e.code == "DUPLICATE_VALUE");
        let again: Vec<Row> = rows
            .into_iter()
            .filter(|row| row.fields.contains_key(KEY) && taken(&row.index))
            .map(|mut row| {
                row.fields.remove(KEY);
                row
            })
            .collect();
        if !again.is_empty() {
            done.extend(self.client.write(Op::Update, again).await);
        }
        done
    }

    /// Linked records that are gone may have become another one.
    async fn follow(&self, known: &[Numbered<'_>], shapes: &ByObject, done: &mut HashMap<usize, Outcome>) {
        let gone = |index: &usize| matches!(done.get(index), Some(Err(e)) if e.class == ErrorClass::Gone);
        let lost: Vec<Numbered<'_>> = known.iter().filter(|(index, _)| gone(index)).copied().collect();
        let ids: Vec<String> = lost.iter().filter_map(|(_, p)| p.crm_id.as_deref().and_then(long_id)).collect();
        if ids.is_empty() {
            return;
        }
        match self.successors(&ids).await {
            Ok(now) => {
                let row = |(index, person): &Numbered<'_>| {
                    let id = person.crm_id.as_deref().and_then(long_id)?;
                    self.update_row(*index, person, now.get(&id)?, Known::Linked, shapes)
                };
                done.extend(self.update_rows(lost.iter().filter_map(row).collect()).await);
            }
            // Not knowing is no reason to drop a link.
            Err(error) => done.extend(lost.iter().map(|(index, _)| (*index, Err(error.clone())))),
        }
    }

    async fn find_or_make(&self, new: &[Numbered<'_>], shapes: &ByObject) -> HashMap<usize, Outcome> {
        if new.is_empty() {
            return HashMap::new();
        }
        let failed = |error: CallError| new.iter().map(|(index, _)| (*index, Err(error.clone()))).collect();
        let keys: Vec<String> = new.iter().map(|(_, p)| p.person.to_string()).collect();
        let ours = match self.ours(&keys).await {
            Ok(ours) => ours,
            Err(error) => return failed(error),
        };
        let strangers = new.iter().filter(|(_, p)| !ours.contains_key(&p.person.to_string()));
        let wanted: Vec<Wanted> =
            if self.client.config.match_existing { strangers.filter_map(wanted).collect() } else { Vec::new() };
        let mut chosen = match if wanted.is_empty() { Ok(Vec::new()) } else { self.search(&wanted).await } {
            Ok(found) => choose(&wanted, &found),
            Err(error) => return failed(error),
        };
        let mut done = HashMap::new();
        // Held until the records are written.
        let mut claims = Vec::with_capacity(chosen.len());
        chosen.retain(|index, there| {
            let claim = self.adopting.claim(&there.id);
            if claim.is_none() {
                done.insert(*index, Err(taken_row()));
            }
            claim.map(|claim| claims.push(claim)).is_some()
        });
        let (mut updates, mut upserts) = (Vec::new(), Vec::new());
        for (index, person) in new.iter().filter(|(index, _)| !done.contains_key(index)).copied().collect::<Vec<_>>() {
            let key = person.person.to_string();
            match ours.get(&key).or_else(|| chosen.get(&index)) {
                Some(there) => {
                    updates.extend(self.update_row(index, person, &there.id, Known::Read(there), shapes));
                }
                None => upserts.extend(self.new_row(index, person, key, shapes)),
            }
        }
        let (updated, upserted) =
            tokio::join!(self.update_rows(updates), self.client.write(Op::Upsert { by: KEY }, upserts.clone()));
        done.extend(updated.into_iter().chain(upserted));
        drop(claims);
        self.meet_rules(new, &upserts, shapes, &mut done).await;
        done.into_iter().map(|(index, outcome)| (index, outcome.map_err(settle))).collect()
    }

    /// Rows that a duplicate rule refused: what it found is adopted, or saved over.
    async fn meet_rules(
        &self,
        new: &[Numbered<'_>],
        rows: &[Row],
        shapes: &ByObject,
        done: &mut HashMap<usize, Outcome>,
    ) {
        let refused = |index: &usize| matches!(done.get(index), Some(Err(e)) if e.code == "DUPLICATES_DETECTED");
        let refused: Vec<Row> = rows.iter().filter(|row| refused(&row.index)).cloned().collect();
        if refused.is_empty() {
            return;
        }
        if self.client.config.duplicates != SalesforceDuplicates::Adopt {
            done.extend(refused.iter().map(|row| (row.index, Err(ruled_out()))));
            return;
        }
        let (mut matched, mut save) = (HashMap::new(), Vec::new());
        for (index, alone) in self.client.upsert_alone(KEY, &refused, false).await {
            match alone {
                Alone::Done(written) => drop(done.insert(index, Ok(written))),
                Alone::Failed(error) => drop(done.insert(index, Err(error))),
                Alone::Matched(ids) => drop(matched.insert(index, ids)),
            }
        }
        let ids: Vec<String> = matched.values().flatten().cloned().collect();
        let found = match self.people_by_id(&ids).await {
            Ok(found) => found,
            Err(error) => {
                done.extend(matched.keys().map(|index| (*index, Err(error.clone()))));
                return;
            }
        };
        let (mut updates, mut claims) = (Vec::new(), Vec::new());
        for (index, ids) in &matched {
            let Some((_, person)) = new.iter().find(|(at, _)| at == index) else { continue };
            let mine: Vec<Person> = found.iter().filter(|p| ids.contains(&p.id)).cloned().collect();
            let there = adoptable(wanted(&(*index, person)).as_ref(), &person.person.to_string(), &mine);
            match there.map(|there| (self.adopting.claim(&there.id), there)) {
                Some((Some(claim), there)) => {
                    claims.push(claim);
                    updates.extend(self.update_row(*index, person, &there.id, Known::Read(&there), shapes));
                }
                Some((None, _)) => drop(done.insert(*index, Err(taken_row()))),
                None => save.extend(refused.iter().find(|row| row.index == *index).cloned()),
            }
        }
        done.extend(self.update_rows(updates).await);
        drop(claims);
        for (index, alone) in self.client.upsert_alone(KEY, &save, true).await {
            done.insert(
                index,
                match alone {
                    Alone::Done(written) => Ok(written),
                    Alone::Failed(error) => Err(error),
                    Alone::Matched(_) => Err(ruled_out()),
                },
            );
        }
    }

    fn update_row(
        &self,
        index: usize,
        person: &ContactWrite,
        id: &str,
        known: Known<'_>,
        shapes: &ByObject,
    ) -> Option<Row> {
        let object = SalesforceObject::of_id(id)?;
        let mut fields = self.fields(person, known, object, shapes.get(&object)?);
        let key = Value::String(person.person.to_string());
        if shapes.get(&object)?.takes(KEY, false) {
            fields.insert(KEY.to_owned(), key);
        }
        Some(Row { index, object: object.name(), key: id.to_owned(), fields })
    }

    fn new_row(&self, index: usize, person: &ContactWrite, key: String, shapes: &ByObject) -> Option<Row> {
        let object = self.client.config.object;
        let fields = self.fields(person, Known::No, object, shapes.get(&object)?);
        Some(Row { index, object: object.name(), key, fields })
    }

    fn fields(
        &self,
        person: &ContactWrite,
        known: Known<'_>,
        object: SalesforceObject,
        shape: &Shape,
    ) -> Map<String, Value> {
        let creating = matches!(known, Known::No);
        let mut fields = Map::new();
        let mut put = |name: &str, value: Option<String>| {
            if let Some(value) = value.filter(|_| shape.takes(name, creating)) {
                fields.insert(name.to_owned(), Value::String(value));
            }
        };
        put("Ponte_WhatsApp_Id__c", person.wa_id.clone());
        put("Ponte_User_Id__c", person.user_id.clone());
        put("Ponte_Username__c", person.username.clone());
        put("Ponte_Last_Inbound_At__c", person.last_inbound_at.map(time_millis));
        let (nameless, phoneless) = match known {
            Known::No => (true, true),
            Known::Read(there) => (!there.named, there.phones.is_empty()),
            Known::Linked => (false, false),
        };
        if phoneless {
            put("MobilePhone", person.phone.as_ref().map(|digits| format!("+{digits}")));
        }
        if nameless || (self.client.config.overwrite_names && person.name.is_some()) {
            let (first, last) = crate::rows::full_name_of(person, (FIRST, LAST));
            put("FirstName", first);
            put("LastName", Some(last));
        }
        if creating && object == SalesforceObject::Lead {
            put("Company", Some(self.client.config.lead_company.clone()));
        }
        if !matches!(known, Known::Read(there) if there.key.is_none()) {
            for (name, value) in &person.fields {
                // The contact that a lead became has other fields.
                let elsewhere = object != self.client.config.object && !shape.takes(name, creating);
                if name != KEY && !elsewhere {
                    fields.insert(name.clone(), field(value, shape.kind(name)));
                }
            }
        }
        fields
    }
}

/// A mapped value as Salesforce takes it: several values with semicolons, a checkbox never empty.
fn field(value: &Value, kind: Option<CrmKind>) -> Value {
    match (value, kind) {
        (Value::Null, Some(CrmKind::Boolean)) => Value::Bool(false),
        (Value::Array(items), _) => {
            let words: Vec<String> =
                items.iter().map(|i| i.as_str().map_or_else(|| i.to_string(), str::to_owned)).collect();
            Value::String(words.join(";"))
        }
        (Value::Number(number), Some(kind)) if kind != CrmKind::Number => Value::String(number.to_string()),
        (other, _) => other.clone(),
    }
}

/// What is known of the record that is written.
#[derive(Clone, Copy)]
enum Known<'a> {
    /// It doesn't exist yet.
    No,
    /// It exists, with these values.
    Read(&'a Person),
    /// It exists and was linked before; its names and numbers belong to those who work in the CRM.
    Linked,
}

fn wanted((index, person): &Numbered<'_>) -> Option<Wanted> {
    let phone = person.phone.as_deref().or(person.wa_id.as_deref())?;
    Wanted::new(*index, person.person.to_string(), phone)
}

/// A new person has no link that could be gone, and a conflict means that someone else was faster: looking again finds it.
fn settle(mut error: CallError) -> CallError {
    if matches!(error.class, ErrorClass::Gone | ErrorClass::Conflict { .. }) {
        error.class = ErrorClass::Retryable { after_ms: Some(SECOND) };
    }
    error
}

fn ruled_out() -> CallError {
    let title = "a duplicate rule of the org refuses the record, and what it found can't be adopted: link them by hand, or let the \
                 rule warn the integration user only";
    CallError::new(ErrorClass::Permanent, "DUPLICATES_DETECTED", title)
}

fn taken_row() -> CallError {
    let class = ErrorClass::Retryable { after_ms: Some(SECOND) };
    let title = "the record found is just being linked to someone else with the same number";
    CallError::new(class, "being_adopted", title)
}

fn lost_row() -> CallError {
    CallError::new(ErrorClass::Retryable { after_ms: Some(SECOND) }, "row_unmentioned", "the row got no outcome")
}

impl From<Done> for ponte_domain::crm::RowResult {
    fn from(done: Done) -> Self {
        Self::Written { crm_id: done.crm_id, created: done.created }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn values_take_salesforces_form() {
        assert_eq!(field(&json!(["a", "b"]), Some(CrmKind::MultiChoice)), json!("a;b"));
        assert_eq!(field(&json!(null), Some(CrmKind::Boolean)), json!(false));
        assert_eq!(field(&json!(null), Some(CrmKind::Text)), json!(null));
        assert_eq!(field(&json!(5), Some(CrmKind::Text)), json!("5"));
        assert_eq!(field(&json!(5), Some(CrmKind::Number)), json!(5));
    }
}
