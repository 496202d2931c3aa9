//! # Housekeeping
//! Purpose: says that this node lives, frees what dead nodes held, trims the raw journal, removes what nobody needs.
//! May touch: the store's node and journal verbs.
//! Must not touch: anything a customer could notice.

use crate::World;
use ponte_domain::{MINUTE, Millis, SECOND};
use tokio_util::sync::CancellationToken;

const HEARTBEAT_MS: Millis = SECOND;
const TRIM_EVERY_MS: Millis = 10 * MINUTE;

/// Runs until stopped.
pub async fn run(world: World, stop: CancellationToken) {
    let mut trim_at = world.clock.now() + MINUTE;
    while !stop.is_cancelled() {
        let now = world.clock.now();
        if let Err(error) = world.store.heartbeat(now).await {
            tracing::error!(error = %error, "the database can't be reached");
        }
        if now >= trim_at {
            trim(&world, now).await;
            tidy(&world, now).await;
            trim_at = now + TRIM_EVERY_MS;
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

async fn trim(world: &World, now: Millis) {
    let before = now - world.settings.journal_retention_ms;
    loop {
        match world.store.journal_trim(world.workspace, before).await {
            Ok(0) => return,
            Ok(removed) => tracing::info!(segments = removed, "old journal segments were removed"),
            Err(error) => {
                tracing::error!(error = %error, "the journal can't be trimmed now");
                return;
            }
        }
    }
}
