//! The contacts of a batch: who is new, who changed, and who must first meet their record, because the CRM may have changed it too.
//! Failure story: a mapped value that the CRM refuses is left out and told; it holds up neither the contact nor its messages.

use super::batch::{Item, end, failed_end, row_results, short_hash};
use crate::World;
use crate::connection::{Connection, Loaded};
use crate::pull::meet_now;
use ponte_domain::HOUR;
use ponte_domain::crm::{ContactWrite, RowResult};
use ponte_domain::error::{CallError, ErrorClass};
use ponte_domain::ids::{MessageId, PersonId};
use ponte_domain::job::JobEnd;
use ponte_domain::mapping::{Base, Given, Skip};
use ponte_domain::ports::store::{ContactEnd, CrmView};
use ponte_domain::ports::sync::Sending;
use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::Arc;

/// What is to be written of a person.
struct Row {
    write: ContactWrite,
    base: Option<Base>,
    /// To be remembered before it is sent.
    sending: Option<Sending>,
    skips: Vec<Skip>,
}

/// Writes the contacts that are new or changed, each once; gives their CRM ids to the messages.
pub(super) async fn write(world: &World, connection: &Connection, items: &mut [Item]) {
    let loaded = connection.mapping(world).await.unwrap_or_default();
    // A record that was deleted in the CRM comes back with a message, not with a change of the person.
    for item in items.iter_mut().filter(|i| i.end.is_none()) {
        if item.view.as_ref().is_some_and(|v| v.gone && v.message.is_none()) {
            item.end = Some(end(item, JobEnd::Done));
        }
    }
    let met = meet_first(world, connection, &loaded, items, stranger).await;
    let mut outcome = HashMap::new();
    tell(world, connection, &loaded, items, &met, &mut outcome).await;
    // Records that were found by number are compared before anything is written over them.
    let adopted: HashSet<PersonId> =
        outcome.iter().filter(|(_, o)| matches!(o, Done::Adopted(_))).map(|(p, _)| *p).collect();
    if !adopted.is_empty() && !loaded.names.is_empty() {
        note(items, &outcome);
        let met = meet_first(world, connection, &loaded, items, |view, _| adopted.contains(&view.contact.person)).await;
        tell(world, connection, &loaded, items, &met, &mut outcome).await;
    }
    conclude(world, connection, items, outcome).await;
}

/// What became of a person's contact in this batch.
enum Done {
    Written(ContactEnd),
    /// Found by number and linked: mapped fields weren't written.
    Adopted(ContactEnd),
    Failed(CallError),
}

/// Linked and never compared, or something to tell that the CRM may have changed as well.
fn stranger(view: &CrmView, loaded: &Loaded) -> bool {
    if view.contact.crm_id.is_none() || loaded.names.is_empty() {
        return false;
    }
    match &view.base {
        None => true,
        Some(base) => {
            let news = loaded.mapping.news(&view.facts, base);
            news.presses && news.two_way
        }
    }
}

/// Lets people and records meet where `needed`, and looks at them again. The people whose meeting failed, with why.
async fn meet_first(
    world: &World,
    connection: &Connection,
    loaded: &Arc<Loaded>,
    items: &mut [Item],
    needed: impl Fn(&CrmView, &Loaded) -> bool,
) -> HashMap<PersonId, CallError> {
    let open = || items.iter().filter(|i| i.end.is_none()).filter_map(|i| i.view.as_ref());
    let mut ids: BTreeMap<PersonId, String> = BTreeMap::new();
    for view in open().filter(|view| needed(view, loaded)) {
        ids.extend(view.contact.crm_id.clone().map(|id| (view.contact.person, id)));
    }
    if ids.is_empty() {
        return HashMap::new();
    }
    let ids: Vec<(PersonId, String)> = ids.into_iter().collect();
    let failed = |error: CallError| ids.iter().map(|(person, _)| (*person, error.clone())).collect();
    if let Err(error) = meet_now(world, connection, loaded, &ids).await {
        connection.heard(&error);
        return failed(error);
    }
    let subjects: Vec<(PersonId, Option<MessageId>)> = ids.iter().map(|(person, _)| (*person, None)).collect();
    let views = match world.store.crm_views(world.workspace, &connection.id, &subjects).await {
        Ok(views) => views,
        Err(error) => return failed(error.into()),
    };
    let now: HashMap<PersonId, CrmView> =
        ids.iter().map(|(person, _)| *person).zip(views).filter_map(|(person, view)| Some((person, view?))).collect();
    for view in items.iter_mut().filter_map(|i| i.view.as_mut()) {
        if let Some(fresh) = now.get(&view.contact.person) {
            view.contact = fresh.contact.clone();
            view.facts = fresh.facts.clone();
            view.base.clone_from(&fresh.base);
            view.contact_written.clone_from(&fresh.contact_written);
        }
    }
    HashMap::new()
}

/// Writes what the CRM hasn't heard.
async fn tell(
    world: &World,
    connection: &Connection,
    loaded: &Loaded,
    items: &[Item],
    met: &HashMap<PersonId, CallError>,
    outcome: &mut HashMap<PersonId, Done>,
) {
    let mut seen = HashSet::new();
    let mut rows: Vec<Row> = Vec::new();
    for view in items.iter().filter(|i| i.end.is_none()).filter_map(|i| i.view.as_ref()) {
        if !seen.insert(view.contact.person) || matches!(outcome.get(&view.contact.person), Some(Done::Written(_))) {
            continue;
        }
        if let Some(error) = met.get(&view.contact.person) {
            outcome.insert(view.contact.person, Done::Failed(error.clone()));
            continue;
        }
        let Given { values, base, sending, skipped, presses, .. } =
            loaded.mapping.news(&view.facts, &view.base.clone().unwrap_or_default());
        connection.left_out(skipped.iter());
        let changed = view.contact_written.as_deref() != Some(&contact_hash(&view.contact));
        if view.contact.crm_id.is_none() || changed || presses {
            let write = ContactWrite { fields: values, ..view.contact.clone() };
            let before = write.crm_id.as_ref().and(view.base.clone());
            let sending = Sending { person: write.person, before, after: sending };
            let sending = (!write.fields.is_empty()).then_some(sending);
            rows.push(Row { write, base: (!loaded.names.is_empty()).then_some(base), sending, skips: skipped });
        }
    }
    let results = send(world, connection, &rows).await;
    // Refused for one of the mapped values, perhaps: the contact itself must not suffer from it.
    let refused = |error: &CallError| {
        matches!(error.class, ErrorClass::Permanent | ErrorClass::Configuration | ErrorClass::Conflict { .. })
            && error.code != "row_count"
    };
    let mut again: Vec<Row> = Vec::new();
    for (row, result) in rows.into_iter().zip(results) {
        match result {
            RowResult::Failed(error) if !row.write.fields.is_empty() && refused(&error) => {
                connection.heard(&error);
                let text = format!("The CRM refused what was to be written: {} ({}).", error.title, error.code);
                let skip = Skip {
                    item: String::new(),
                    field: error.detail.clone().unwrap_or_default(),
                    reason: ponte_domain::mapping::Reason { code: "refused".into(), text: text.into() },
                };
                let write = ContactWrite { fields: BTreeMap::new(), ..row.write };
                again.push(Row { write, base: row.base, sending: None, skips: [row.skips, vec![skip]].concat() });
            }
            result => concluded(outcome, row, result),
        }
    }
    let results = send(world, connection, &again).await;
    for (row, result) in again.into_iter().zip(results) {
        concluded(outcome, row, result);
    }
}

async fn send(world: &World, connection: &Connection, rows: &[Row]) -> Vec<RowResult> {
    if rows.is_empty() {
        return Vec::new();
    }
    // Known before it is sent: should the answer be lost, what the CRM shows afterwards is our own word.
    let known: Vec<Sending> = rows.iter().filter_map(|row| row.sending.clone()).collect();
    if !known.is_empty()
        && let Err(error) = world.sync.sending(world.workspace, &connection.id, known).await
    {
        let error = CallError::from(error);
        return rows.iter().map(|_| RowResult::Failed(error.clone())).collect();
    }
    let writes: Vec<ContactWrite> = rows.iter().map(|row| row.write.clone()).collect();
    let results = row_results(writes.len(), connection.crm.upsert_contacts(&writes).await);
    world.pulse.crm_contacts.add(results.iter().filter(|r| matches!(r, RowResult::Written { .. })).count() as u64);
    results
}

fn concluded(outcome: &mut HashMap<PersonId, Done>, row: Row, result: RowResult) {
    let done = match result {
        RowResult::Failed(error) => Done::Failed(error),
        RowResult::Written { crm_id, created } => {
            let adopted = row.write.crm_id.is_none() && !created;
            let written = ContactEnd {
                person: row.write.person,
                crm_id,
                hash: contact_hash(&row.write),
                base: row.base.filter(|_| !adopted),
                skips: row.skips,
            };
            if adopted { Done::Adopted(written) } else { Done::Written(written) }
        }
    };
    outcome.insert(row.write.person, done);
}

/// The items know the ids of what was adopted.
fn note(items: &mut [Item], outcome: &HashMap<PersonId, Done>) {
    for view in items.iter_mut().filter_map(|i| i.view.as_mut()) {
        if let Some(Done::Adopted(written)) = outcome.get(&view.contact.person) {
            view.contact.crm_id = Some(written.crm_id.clone());
        }
    }
}

async fn conclude(world: &World, connection: &Connection, items: &mut [Item], outcome: HashMap<PersonId, Done>) {
    for item in items.iter_mut().filter(|i| i.end.is_none()) {
        let Some(person) = item.view.as_ref().map(|v| v.contact.person) else { continue };
        match outcome.get(&person) {
            None => {}
            Some(Done::Failed(error)) => {
                let mut failed = failed_end(world, connection, item, error.clone()).await;
                if matches!(error.class, ErrorClass::Gone) {
                    failed.contact_gone = Some(person);
                }
                item.end = Some(failed);
            }
            Some(Done::Written(written) | Done::Adopted(written)) => {
                let is_person_only = item.view.as_ref().is_none_or(|v| v.message.is_none());
                if let Some(view) = &mut item.view {
                    view.contact.crm_id = Some(written.crm_id.clone());
                }
                item.written = Some(written.clone());
                let mut done = end(item, JobEnd::Done);
                done.contact = Some(written.clone());
                // A message of this person is still to be written; its end takes the contact along.
                item.end = is_person_only.then_some(done);
            }
        }
    }
}

/// What a contact row says besides mapped fields. The time of the last message counts by the hour, or every message would write the
/// contact.
fn contact_hash(c: &ContactWrite) -> String {
    let hour = c.last_inbound_at.map(|at| at / HOUR);
    short_hash(&format!("{:?}", (&c.name, &c.phone, &c.wa_id, &c.user_id, &c.username, hour)))
}
