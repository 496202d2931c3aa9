//! # News
//! Purpose: listens to the CRMs that have a stream of news ([`Crm::listen`]) and files what they tell, as a notification that was posted
//! to us would be. One node at a time listens to a connection: what is heard counts against the org's allowance.
//! May touch: the port's `listen`, the lease, `file_notices`. Must not touch: records; who reads the hints looks at them again.
//! Failure story: killed between hearing and filing, a hint is lost; after a start the first thing heard is to look for changes. When the
//! database is away filing is tried until it succeeds. Looks at changes go on whatever happens here.
//!
//! [`Crm::listen`]: ponte_domain::ports::crm::Crm::listen

use ponte_domain::crm::CrmHint;
use ponte_domain::error::ErrorClass;
use ponte_domain::{MINUTE, Millis, SECOND};
use ponte_engine::World;
use ponte_engine::connection::Connection;
use std::future::Future;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

const LEASE_MS: Millis = 30 * SECOND;

/// Starts a listener for each connection; they end with `stop`.
pub fn start(world: &World, crms: &[Connection], stop: &CancellationToken) -> TaskTracker {
    let listeners = TaskTracker::new();
    for crm in crms.iter().filter(|crm| crm.settings.pull) {
        let (world, crm, stop) = (world.clone(), crm.clone(), stop.clone());
        listeners.spawn(async move {
            let work = async { Box::pin(listen(&world, &crm)).await };
            stop.run_until_cancelled(work).await;
        });
    }
    listeners.close();
    listeners
}

async fn listen(world: &World, crm: &Connection) {
    let mut failures = 0_u32;
    loop {
        if !mine(world, crm).await {
            world.clock.sleep_ms(LEASE_MS / 2).await;
            continue;
        }
        // Never given up half-way: a stream may take minutes to say its first word.
        let told = held(world, crm, crm.crm.listen()).await;
        match told {
            None => {}
            Some(Ok(None)) => return,
            Some(Ok(Some(hints))) => {
                failures = 0;
                file(world, crm, hints).await;
            }
            Some(Err(error)) => {
                failures += 1;
                let asked = match &error.class {
                    ErrorClass::Retryable { after_ms } | ErrorClass::Throttled { after_ms, .. } => *after_ms,
                    _ => Some(5 * MINUTE),
                };
                // A stream that ends now and then is opened again at once; one that can't be had is left alone for a while.
                let wait = asked.unwrap_or(SECOND).max(SECOND << failures.saturating_sub(1).min(6));
                if failures > 1 {
                    tracing::warn!(connection = %crm.id, code = %error.code, wait_ms = wait, "the CRM can't be listened to: {}", error.title);
                }
                world.clock.sleep_ms(wait).await;
            }
        }
    }
}

/// Takes or renews the right to listen; false while another node has it or the database is away.
async fn mine(world: &World, crm: &Connection) -> bool {
    let name = format!("listen/{}", crm.id);
    matches!(world.store.lease(world.workspace, &name, world.clock.now(), LEASE_MS).await, Ok(Some(_)))
}

/// Waits, and holds the lease meanwhile; `None` when it was lost.
async fn held<T>(world: &World, crm: &Connection, work: impl Future<Output = T>) -> Option<T> {
    let mut work = std::pin::pin!(work);
    loop {
        tokio::select! {
            done = &mut work => return Some(done),
            () = world.clock.sleep_ms(LEASE_MS / 3) => {
                if !mine(world, crm).await {
                    return None;
                }
            }
        }
    }
}

async fn file(world: &World, crm: &Connection, hints: Vec<CrmHint>) {
    loop {
        let filed = world.sync.file_notices(world.workspace, &crm.id, hints.clone(), world.clock.now()).await;
        let Err(error) = filed else { return };
        tracing::warn!(connection = %crm.id, "what a CRM told can't be filed: {error}");
        world.clock.sleep_ms(SECOND).await;
    }
}
