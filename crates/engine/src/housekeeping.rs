//! # Housekeeping
//! Purpose: says that this node lives, frees what dead nodes held, removes what nobody needs: no more than a moment at a time,
//! for a node that says nothing for seconds is taken for dead.
//! May touch: the store's node verbs.
//! Must not touch: anything a customer could notice.

use crate::World;
use ponte_domain::{MINUTE, Millis, SECOND};
use tokio_util::sync::CancellationToken;

const HEARTBEAT_MS: Millis = SECOND;
const TIDY_EVERY_MS: Millis = 10 * MINUTE;

/// Runs until stopped.
pub async fn run(world: World, stop: CancellationToken) {
    let mut tidy_at = world.clock.now() + MINUTE;
    while !stop.is_cancelled() {
        let now = world.clock.now();
        if let Err(error) = world.store.heartbeat(now).await {
            tracing::error!(error = %error, "the database can't be reached");
        }
        if now >= tidy_at {
            tidy(&world, now).await;
            tidy_at = now + TIDY_EVERY_MS;
        }
        tokio::select! {
            () = world.clock.sleep_ms(HEARTBEAT_MS) => {}
            () = stop.cancelled() => {}
        }
    }
}

async fn tidy(world: &World, now: Millis) {
    while matches!(world.store.tidy(world.workspace, now).await, Ok(1..)) {}
}
