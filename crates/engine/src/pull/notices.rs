//! What the CRM told of: hints that were filed as jobs are looked into, many in one call.

use super::Failed;
use super::pages::{Applying, Reading, became};
use crate::World;
use crate::connection::Connection;
use ponte_domain::crm::{CrmChange, CrmHint};
use ponte_domain::error::{CallError, ErrorClass};
use ponte_domain::job::{JobEnd, JobKind};
use ponte_domain::ports::sync::SyncPatch;
use ponte_domain::{MINUTE, Millis, SECOND};
use tokio_util::sync::CancellationToken;

const LEASE_MS: Millis = MINUTE;
/// Records looked into at once.
const AT_ONCE: usize = 100;

/// Looks into what is there. True when there was something.
pub(super) async fn work(world: &World, connection: &Connection, stop: &CancellationToken) -> Result<bool, Failed> {
    let now = world.clock.now();
    let id = connection.id.as_str();
    let claimed = world.store.claim_lanes(world.workspace, JobKind::Notice, id, now, LEASE_MS, AT_ONCE, 1).await?;
    if claimed.is_empty() || stop.is_cancelled() {
        return Ok(false);
    }
    let (mut changes, mut ids, mut look) = (Vec::new(), Vec::new(), false);
    for job in claimed.iter().flat_map(|lane| &lane.jobs) {
        match serde_json::from_str(&job.payload) {
            Ok(CrmHint::Changed { id }) => ids.push(id),
            Ok(CrmHint::Gone { id }) => changes.push(CrmChange::Gone { id }),
            Ok(CrmHint::Merged { from, into }) => changes.push(CrmChange::Merged { from, into }),
            Ok(CrmHint::Look) | Err(_) => look = true,
        }
    }
    ids.sort_unstable();
    ids.dedup();
    let outcome = async {
        let loaded = connection.mapping(world).await?;
        if !ids.is_empty() {
            let found = connection.crm.read_contacts(&ids, &loaded.names).await?;
            changes.extend(ids.iter().zip(found).flat_map(|(id, record)| became(id, record)));
        }
        let applying = Applying { world, connection, loaded: &loaded, run: None, kind: Reading::News, read_at: now };
        applying.apply(None, changes, SyncPatch::default(), 0).await.map_err(CallError::from)
    };
    let outcome = outcome.await;
    if let Err(error) = &outcome {
        connection.heard(error);
    }
    if look {
        let patch = SyncPatch { next_at: Some(now), ..SyncPatch::default() };
        world.sync.sync_patch(world.workspace, None, &connection.id, patch, now).await?;
    }
    let mut ends = Vec::new();
    for lane in claimed {
        for job in lane.jobs {
            let end = match &outcome {
                Ok(_) => JobEnd::Done,
                Err(error) => after(world, connection, error, job.failures, job.created_at),
            };
            ends.push((lane.lane.clone(), job.seq, end));
        }
    }
    world.sync.settle_jobs(world.workspace, world.clock.now(), ends).await?;
    Ok(true)
}

/// A hint that can't be looked into isn't lost, but it needn't be kept for days: the next look at changes finds what it meant.
fn after(world: &World, connection: &Connection, error: &CallError, failures: u32, created_at: Millis) -> JobEnd {
    let now = world.clock.now();
    tracing::warn!(connection = %connection.id, code = %error.code, "a notification can't be looked into now: {}", error.title);
    let waits = match &error.class {
        ErrorClass::Retryable { after_ms } | ErrorClass::Throttled { after_ms, .. } => after_ms.unwrap_or(5 * SECOND),
        _ => MINUTE,
    };
    let given_up = now - created_at > connection.settings.every_ms.max(10 * MINUTE) && failures > 3;
    if given_up { JobEnd::Done } else { JobEnd::Retry(now + waits, error.clone()) }
}
