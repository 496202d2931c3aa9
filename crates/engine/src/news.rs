//! # News
//! Purpose: has the CRMs tell of changes as they happen: asks those that notify an address of ours to do so, again before that ends, and
//! listens to those that have a stream of news ([`Crm::listen`]). What is heard is filed as a notification that was posted to us would be.
//! One node at a time does it for a connection: what is heard may count against the account's allowance.
//! May touch: the port's `subscribe` and `listen`, the lease, `file_notices`.
//! Must not touch: records; who reads the hints looks at them again.
//! Failure story: killed between hearing and filing, a hint is lost; after a start the first thing heard is to look for changes. When the
//! database is away filing is tried until it succeeds. Looks at changes go on whatever happens here.
//!
//! [`Crm::listen`]: ponte_domain::ports::crm::Crm::listen

use crate::World;
use crate::connection::Connection;
use ponte_domain::crm::CrmHint;
use ponte_domain::error::ErrorClass;
use ponte_domain::{HOUR, MINUTE, Millis, SECOND};
use std::future::Future;
use tokio_util::sync::CancellationToken;

const LEASE_MS: Millis = 30 * SECOND;
/// A subscription is renewed when half of its time is over, and so often at least.
const RENEW_AT_LEAST: Millis = 24 * HOUR;
/// After a refusal.
const AGAIN_MS: Millis = 5 * MINUTE;

/// Has one connection tell of changes until stopped.
pub async fn run(world: World, connection: Connection, stop: CancellationToken) {
    if !connection.settings.pull {
        stop.cancelled().await;
        return;
    }
    let work = async { tokio::join!(Box::pin(listen(&world, &connection)), subscribe(&world, &connection)) };
    stop.run_until_cancelled(work).await;
    stop.cancelled().await;
}

/// Asks to be notified, again and again where that ends by itself.
async fn subscribe(world: &World, crm: &Connection) {
    let Some(base) = crm.settings.notify_url.as_deref().filter(|_| crm.crm.capabilities().notifies) else { return };
    let address = format!("{base}/webhooks/crm/{}", crm.id);
    loop {
        crm.ready(world).await;
        let now = world.clock.now();
        let name = format!("subscribe/{}", crm.id);
        let mine = world.store.lease(world.workspace, &name, now, LEASE_MS).await;
        let wait = match mine {
            Ok(Some(_)) => match crm.crm.subscribe(&address).await {
                Ok(None) => return,
                Ok(Some(until)) => {
                    tracing::info!(connection = %crm.id, until, "the CRM tells of changes");
                    ((until - now) / 2).clamp(MINUTE, RENEW_AT_LEAST)
                }
                Err(error) => {
                    tracing::warn!(connection = %crm.id, code = %error.code, "the CRM can't be asked to tell of changes: {}", error.title);
                    match error.class {
                        ErrorClass::Retryable { after_ms } | ErrorClass::Throttled { after_ms, .. } => {
                            after_ms.unwrap_or(30 * SECOND).max(5 * SECOND)
                        }
                        _ => AGAIN_MS,
                    }
                }
            },
            // Another node has asked; should it die, its turn comes here long before the subscription ends.
            Ok(None) => 10 * MINUTE,
            Err(_) => 5 * SECOND,
        };
        world.clock.sleep_ms(wait).await;
    }
}

async fn listen(world: &World, crm: &Connection) {
    let mut failures = 0_u32;
    loop {
        crm.ready(world).await;
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
