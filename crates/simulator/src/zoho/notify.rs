//! Carries notifications to their receivers.
//! May touch: receivers over HTTP, the notification counters. Must not touch: records.
//! Failure story: a notification that isn't taken is lost, as Zoho promises neither order nor repetition. Some are lost,
//! and some sent twice, when the faults say so.

use super::Sim;
use super::watch::Notification;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::{Semaphore, mpsc};

/// Requests at the same time.
const MAX_CONCURRENT: usize = 10;
/// Time a receiver has to answer.
const PATIENCE: Duration = Duration::from_secs(5);

/// Sends what comes in until the run ends.
pub(super) async fn run(sim: Arc<Sim>, mut incoming: mpsc::UnboundedReceiver<Notification>) {
    let gate = Arc::new(Semaphore::new(MAX_CONCURRENT));
    loop {
        let next = tokio::select! {
            () = sim.stop.cancelled() => return,
            next = incoming.recv() => next,
        };
        let Some(notification) = next else { return };
        let faults = sim.faults();
        if sim.chance.happens(faults.notification_lost) {
            sim.world().tally.notifications_failed += 1;
            continue;
        }
        let copies = if sim.chance.happens(faults.notified_twice) { 2 } else { 1 };
        for _ in 0..copies {
            let request = sim.http.post(&notification.url).timeout(PATIENCE).json(&notification.body);
            let (sim, gate) = (Arc::clone(&sim), Arc::clone(&gate));
            tokio::spawn(async move {
                let _permit = gate.acquire().await;
                let taken = tokio::select! {
                    () = sim.stop.cancelled() => return,
                    answer = request.send() => answer.is_ok_and(|answer| answer.status().is_success()),
                };
                let mut world = sim.world();
                let counter = match taken {
                    true => &mut world.tally.notified,
                    false => &mut world.tally.notifications_failed,
                };
                *counter += 1;
            });
        }
    }
}
