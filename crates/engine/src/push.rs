//! # Push
//! Purpose: brings people who have no record in a CRM there, when somebody asks for it: files a job for each, as write-back does when
//! something happened, never more than a few thousand ahead of what is written. One node at a time does it for a connection.
//! May touch: the `CrmSync` port's `push_page`, the lease.
//! Must not touch: the CRM; write-back's lanes look each person up, look for their record first, and write.
//! Failure story: killed anywhere, it goes on behind the last page that was filed.

use crate::World;
use crate::connection::Connection;
use crate::writeback::person_job;
use ponte_domain::error::StoreError;
use ponte_domain::ports::store::Topic;
use ponte_domain::ports::sync::{PushPage, Pushed};
use ponte_domain::{Millis, SECOND};
use std::sync::Arc;
use tokio_util::sync::CancellationToken;

const LEASE_MS: Millis = 30 * SECOND;
/// How soon it begins when it is asked for, and how soon it looks again when enough waits.
const LOOK_MS: Millis = SECOND / 2;
/// People filed in one transaction: others wait so long on SQLite.
const AT_ONCE: i64 = 1_000;
/// Jobs that wait at most before more are filed: messages of the day are behind no more than these.
const MOST_WAITING: i64 = 4_000;

/// Works for one connection until stopped.
pub async fn run(world: World, connection: Connection, stop: CancellationToken) {
    let mut seen = 0;
    while !stop.is_cancelled() {
        match turn(&world, &connection).await {
            Ok(Pushed::Filed(_)) => continue,
            Ok(Pushed::Waits | Pushed::Nothing) => {}
            Err(error) => {
                tracing::warn!(connection = %connection.id, error = %error, "people can't be filed for the CRM now");
                world.clock.sleep_ms(SECOND).await;
            }
        }
        tokio::select! {
            next = world.store.wait(Topic::Crm, seen, LOOK_MS) => seen = next,
            () = stop.cancelled() => {}
        }
    }
}

async fn turn(world: &World, connection: &Connection) -> Result<Pushed, StoreError> {
    let state = world.sync.sync_state(world.workspace, &connection.id).await?;
    if state.pushing.is_none() || state.paused_at.is_some() {
        return Ok(Pushed::Nothing);
    }
    let (now, id) = (world.clock.now(), connection.id.clone());
    let Some(lease) = world.store.lease(world.workspace, &format!("push/{id}"), now, LEASE_MS).await? else {
        return Ok(Pushed::Waits);
    };
    let job = Arc::new(move |person| person_job(&id, person, now));
    let page = PushPage { people: AT_ONCE, most_waiting: MOST_WAITING, job };
    world.sync.push_page(world.workspace, lease, &connection.id, page, now).await
}
