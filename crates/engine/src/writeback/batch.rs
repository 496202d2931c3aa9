//! One batch of write-back: contacts first, then messages, then one settlement for all.

use super::{Subject, contacts};
use crate::World;
use crate::connection::Connection;
use ponte_domain::crm::{MessageWrite, RowResult};
use ponte_domain::error::{CallError, ErrorClass, ThrottleScope};
use ponte_domain::ids::{ConnectionId, MessageId, PersonId};
use ponte_domain::job::{ClaimedLane, Job, JobEnd, JobKind, Lane};
use ponte_domain::ports::store::{ContactEnd, CrmEnd, CrmView};
use ponte_domain::retry::Verdict;
use ponte_domain::{MINUTE, Millis, SECOND};
use sha2::{Digest, Sha256};
use std::collections::{HashMap, HashSet};

const LEASE_MS: Millis = 2 * MINUTE;
/// Jobs of one person in one batch.
const PER_LANE: usize = 20;

pub(super) async fn claim(world: &World, connection: &ConnectionId) -> Vec<ClaimedLane> {
    let (now, lanes) = (world.clock.now(), world.settings.crm_batch);
    let claim =
        world.store.claim_lanes(world.workspace, JobKind::Crm, connection.as_str(), now, LEASE_MS, lanes, PER_LANE);
    match claim.await {
        Ok(claimed) => claimed,
        Err(error) => {
            tracing::error!(error = %error, connection = %connection, "CRM lanes can't be claimed now");
            world.clock.sleep_ms(SECOND).await;
            Vec::new()
        }
    }
}

/// A job of the batch and what is known of it so far.
pub(super) struct Item {
    pub(super) lane: Lane,
    pub(super) job: Job,
    pub(super) view: Option<CrmView>,
    /// What was written of the contact, to be remembered with the end.
    pub(super) written: Option<ContactEnd>,
    pub(super) end: Option<CrmEnd>,
}

pub(super) async fn work(world: &World, connection: &Connection, claimed: Vec<ClaimedLane>) {
    let mut items = match look(world, connection, claimed).await {
        Ok(items) => items,
        Err(error) => {
            // Unsettled, the lanes run out and are claimed again.
            tracing::error!(error = %error, connection = %connection.id, "what to write can't be read now");
            return;
        }
    };
    for item in &mut items {
        if item.view.is_none() {
            item.end = Some(end(item, JobEnd::Done));
        }
    }
    contacts::write(world, connection, &mut items).await;
    write_messages(world, connection, &mut items).await;
    let ends: Vec<CrmEnd> =
        items.into_iter().map(|item| item.end.clone().unwrap_or_else(|| end(&item, JobEnd::Done))).collect();
    settle(world, connection, ends).await;
}

async fn look(
    world: &World,
    connection: &Connection,
    claimed: Vec<ClaimedLane>,
) -> Result<Vec<Item>, ponte_domain::error::StoreError> {
    let mut items = Vec::new();
    let mut subjects = Vec::new();
    for ClaimedLane { lane, jobs } in claimed {
        for job in jobs {
            let subject = serde_json::from_str::<Subject>(&job.payload).ok();
            subjects.push(subject.map_or((PersonId(uuid::Uuid::nil()), None), |s| (s.person, s.message)));
            items.push(Item { lane: lane.clone(), job, view: None, written: None, end: None });
        }
    }
    let views = world.store.crm_views(world.workspace, &connection.id, &subjects).await?;
    for (item, view) in items.iter_mut().zip(views) {
        item.view = view.map(|mut view| {
            if let Some(message) = &mut view.message {
                // Begun before and never settled: it may be there already.
                message.uncertain |= item.job.begun && message.crm_id.is_none();
            }
            view
        });
    }
    Ok(items)
}

pub(super) fn end(item: &Item, end: JobEnd) -> CrmEnd {
    CrmEnd {
        lane: item.lane.clone(),
        seq: item.job.seq,
        contact: None,
        contact_gone: None,
        message: None,
        message_uncertain: None,
        end,
    }
}

/// Writes the messages that are new or changed, each once.
async fn write_messages(world: &World, connection: &Connection, items: &mut [Item]) {
    let mut seen = HashSet::new();
    let mut rows: Vec<MessageWrite> = Vec::new();
    for item in items.iter().filter(|i| i.end.is_none()) {
        let Some(view) = &item.view else { continue };
        let Some(message) = &view.message else { continue };
        let changed = message.crm_id.is_none() || view.message_written.as_deref() != Some(&message_hash(message));
        if changed && seen.insert(message.message) {
            rows.push(MessageWrite {
                contact_crm_id: view.contact.crm_id.clone().unwrap_or_default(),
                ..message.clone()
            });
        }
    }
    let results =
        if rows.is_empty() { Vec::new() } else { row_results(rows.len(), connection.crm.write_messages(&rows).await) };
    let results: HashMap<MessageId, (RowResult, &MessageWrite)> =
        rows.iter().zip(results).map(|(row, result)| (row.message, (result, row))).collect();
    let now = world.clock.now();
    for item in items.iter_mut().filter(|i| i.end.is_none()) {
        let Some(view) = &item.view else { continue };
        let outcome = view.message.as_ref().and_then(|m| results.get(&m.message));
        let mut done = end(item, JobEnd::Done);
        match outcome {
            None => {}
            Some((RowResult::Written { crm_id, created }, row)) => {
                if *created {
                    let since = view.message_since.unwrap_or(item.job.created_at);
                    world.pulse.to_crm.record(now - since);
                }
                let statuses = i64::from(row.stamps.reported());
                done.message = Some((row.message, crm_id.clone(), message_hash(row), statuses));
                world.pulse.crm_messages.add(1);
            }
            Some((RowResult::Failed(error), row)) => {
                done = failed_end(world, connection, item, error.clone()).await;
                if matches!(error.class, ErrorClass::Gone) {
                    done.contact_gone = Some(view.contact.person);
                }
                if matches!(error.class, ErrorClass::UnknownOutcome) && row.crm_id.is_none() {
                    done.message_uncertain = Some(row.message);
                }
            }
        }
        if done.contact_gone.is_none() {
            done.contact = item.written.clone();
        }
        item.end = Some(done);
    }
}

/// One result per row, whatever the CRM gave.
pub(super) fn row_results(rows: usize, result: Result<Vec<RowResult>, CallError>) -> Vec<RowResult> {
    match result {
        Ok(results) if results.len() == rows => results,
        Ok(results) => {
            let title = format!("{} results for {rows} rows", results.len());
            vec![RowResult::Failed(CallError::new(ErrorClass::UnknownOutcome, "row_count", title)); rows]
        }
        Err(error) => {
            tracing::warn!(code = %error.code, rows, "a CRM batch failed: {}", error.title);
            vec![RowResult::Failed(error); rows]
        }
    }
}

/// Decides about a failed row. What concerns the whole connection holds the whole connection.
pub(super) async fn failed_end(world: &World, connection: &Connection, item: &Item, error: CallError) -> CrmEnd {
    world.pulse.crm_failures.add(1);
    let now = world.clock.now();
    // Writing again is safe: rows are upserts, and an uncertain creation is looked for first.
    let class = match &error.class {
        ErrorClass::UnknownOutcome => ErrorClass::Retryable { after_ms: None },
        other => other.clone(),
    };
    let failures = item.job.failures.saturating_add(1);
    let breaker_open = error.code == "breaker_open";
    let verdict = match &class {
        // The breaker says how long: what this row went through before must not keep a CRM waiting that is back.
        ErrorClass::Retryable { after_ms: Some(ms) } if breaker_open => Verdict::RetryAt(now.saturating_add(*ms)),
        _ => world.settings.crm_retry.decide(&class, failures, item.job.created_at, now, world.chance.draw()),
    };
    // A limit that concerns only this row (HubSpot's searches) lets the others go on and isn't held against it.
    let row_waits = matches!(class, ErrorClass::Throttled { scope: ThrottleScope::Recipient, .. });
    let whole = !row_waits
        && (matches!(class, ErrorClass::Throttled { .. } | ErrorClass::Auth | ErrorClass::Configuration)
            || breaker_open);
    let job_end = match verdict {
        Verdict::RetryAt(at) if whole => {
            world.pulse.throttled.add(1);
            let at = if class == ErrorClass::Auth { connection.again(world, at).await } else { at };
            let _ = world.store.hold(world.workspace, connection.id.as_str(), at.min(now + MINUTE)).await;
            // The connection failed, not this row: nothing is counted against it.
            JobEnd::PutBack(at.min(now + MINUTE))
        }
        Verdict::RetryAt(at) if row_waits => JobEnd::PutBack(at),
        Verdict::RetryAt(at) => JobEnd::Retry(at, error.clone()),
        Verdict::Settle | Verdict::DeadLetter => {
            world.pulse.dead_letters.add(1);
            JobEnd::Dead(error.clone())
        }
    };
    if !whole {
        tracing::warn!(connection = %connection.id, code = %error.code, failures, ?verdict, "a CRM row failed");
    }
    end(item, job_end)
}

async fn settle(world: &World, connection: &Connection, ends: Vec<CrmEnd>) {
    loop {
        let now = world.clock.now();
        match world.store.settle_crm(world.workspace, &connection.id, now, ends.clone()).await {
            Ok(fenced) => {
                world.pulse.fenced.add(fenced);
                return;
            }
            Err(error) => {
                tracing::error!(error = %error, connection = %connection.id, "what was written can't be recorded now");
                world.clock.sleep_ms(SECOND / 2).await;
            }
        }
    }
}

fn message_hash(m: &MessageWrite) -> String {
    short_hash(&format!("{:?}", (&m.kind, &m.text, m.at, &m.stamps, &m.error, m.withdrawn, m.edited)))
}

pub(super) fn short_hash(text: &str) -> String {
    Sha256::digest(text.as_bytes()).iter().take(16).map(|b| format!("{b:02x}")).collect()
}
