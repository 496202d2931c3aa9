//! Writes people into a CRM that is described: linked records are updated; for the others the record is found or made. Never a second
//! record for the same person: what can't be upserted by our id is looked for before each create.
//! Must not touch: how the CRM is reached ([`Book`]).
//! Failure story: a create of unknown outcome is tried again, and the next try finds what it made, by our id. What can't be looked for
//! isn't made.

use super::matching::{Found, Wanted, choose};
use super::person::{Known, facts};
use super::{Outcome, Times, lost_row};
use crate::adopting::Adopting;
use async_trait::async_trait;
use ponte_domain::SECOND;
use ponte_domain::crm::ContactWrite;
use ponte_domain::error::{CallError, ErrorClass};
use serde_json::{Map, Value};
use std::collections::HashMap;

/// A write that is ready to go.
#[derive(Debug, Clone)]
pub(crate) struct Write {
    pub(crate) index: usize,
    /// The record to update; `None`: one is made, or upserted by our id.
    pub(crate) id: Option<String>,
    pub(crate) facts: Map<String, Value>,
}

/// How a described CRM's contacts are reached.
#[async_trait]
pub(crate) trait Book: Send + Sync {
    /// Records that bear these people's ids or may have their numbers; and for whom it couldn't be found out.
    async fn find(&self, people: &[Wanted]) -> (Vec<Found>, HashMap<usize, CallError>);

    /// The record with this id, if it may be adopted.
    async fn read(&self, id: &str) -> Result<Option<Found>, CallError>;

    /// An outcome for every write, by index.
    async fn write(&self, writes: Vec<Write>) -> HashMap<usize, Outcome>;
}

/// Gives an outcome for every row, in order.
pub(crate) async fn put_contacts(
    book: &dyn Book,
    adopting: &Adopting,
    rows: &[ContactWrite],
    times: &Times,
) -> Vec<Outcome> {
    let (people, whose) = crate::rows::people(rows);
    let mut done: HashMap<usize, Outcome> = HashMap::new();
    let mut writes = Vec::new();
    let mut new = Vec::new();
    for (index, person) in people.iter().enumerate() {
        match &person.crm_id {
            Some(id) => {
                let facts = facts(person, Some(id), Known::Linked, times);
                writes.push(Write { index, id: Some(id.clone()), facts });
            }
            None => {
                let phone = person.phone.as_deref().or(person.wa_id.as_deref());
                new.push(Wanted::new(index, person.person.to_string(), phone));
            }
        }
    }
    let (found, failed) = if new.is_empty() { Default::default() } else { book.find(&new).await };
    new.retain(|wanted| !failed.contains_key(&wanted.index));
    done.extend(failed.into_iter().map(|(index, error)| (index, Err(error))));
    let chosen = choose(&new, &found);
    // Held until the records are written.
    let mut claims = Vec::new();
    for wanted in &new {
        let Some(person) = people.get(wanted.index) else { continue };
        let Some(record) = chosen.get(&wanted.index) else {
            let facts = facts(person, None, Known::New, times);
            writes.push(Write { index: wanted.index, id: None, facts });
            continue;
        };
        let Some(claim) = adopting.claim(&record.id) else {
            done.insert(wanted.index, Err(taken()));
            continue;
        };
        claims.push(claim);
        let facts = facts(person, Some(&record.id), known(record), times);
        writes.push(Write { index: wanted.index, id: Some(record.id.clone()), facts });
    }
    let unlinked: HashMap<usize, &Wanted> = new.iter().map(|w| (w.index, w)).collect();
    for (index, outcome) in book.write(writes).await {
        let Some(wanted) = unlinked.get(&index) else {
            done.insert(index, outcome);
            continue;
        };
        let outcome = match (outcome, people.get(index)) {
            (Err(CallError { class: ErrorClass::Conflict { existing: Some(id) }, .. }), Some(person)) => {
                adopt(book, adopting, wanted, person, &id, times).await
            }
            (outcome, _) => outcome,
        };
        done.insert(index, outcome.map_err(settle));
    }
    drop(claims);
    whose.iter().map(|person| done.get(person).cloned().unwrap_or_else(|| Err(lost_row()))).collect()
}

/// The CRM said which record stands in the way of a new one: it is the person's, unless it is somebody else's of ours.
async fn adopt(
    book: &dyn Book,
    adopting: &Adopting,
    wanted: &Wanted,
    person: &ContactWrite,
    id: &str,
    times: &Times,
) -> Outcome {
    let gone = || CallError::new(ErrorClass::Gone, "existing_gone", "the record in the way of a new one can't be read");
    let record = book.read(id).await?.ok_or_else(gone)?;
    if record.key.as_ref().is_some_and(|key| *key != wanted.key) {
        let title = "the CRM takes no second record like that of somebody else";
        return Err(CallError::new(ErrorClass::Permanent, "taken_by_another", title));
    }
    let _claim = adopting.claim(&record.id).ok_or_else(taken)?;
    let known = known(&record);
    let facts = facts(person, Some(&record.id), known, times);
    let write = Write { index: wanted.index, id: Some(record.id), facts };
    book.write(vec![write]).await.remove(&wanted.index).unwrap_or_else(|| Err(lost_row()))
}

fn known(record: &Found) -> Known {
    let phoned = record.phones.iter().any(|p| !p.trim().is_empty());
    Known::Found { keyed: record.key.is_some(), named: record.named, phoned }
}

/// A new person has no link that could be gone, and a conflict means that someone else was faster: looking again finds it. So does it
/// after a create of which nobody knows.
fn settle(mut error: CallError) -> CallError {
    if matches!(error.class, ErrorClass::Gone | ErrorClass::Conflict { .. } | ErrorClass::UnknownOutcome) {
        error.class = ErrorClass::Retryable { after_ms: Some(SECOND) };
    }
    error
}

fn taken() -> CallError {
    let class = ErrorClass::Retryable { after_ms: Some(SECOND) };
    let title = "the record found is just being linked to someone else with the same number";
    CallError::new(class, "being_adopted", title)
}
