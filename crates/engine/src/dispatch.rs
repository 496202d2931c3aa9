//! # Dispatch
//! Purpose: works the send lanes of one number: claims within the limits, asks the policy once more, calls WhatsApp, settles.
//! May touch: the store's claim, settle and hold verbs; the channel.
//! Must not touch: conversations, CRMs. No transaction is open during a call.
//! Invariants: `sending` is written before the call. An unknown outcome is settled, by a status or by evidence that it was never
//! taken, before anything is sent again; otherwise a person decides.
//! Failure story: killed before the call or after it, the job is found begun and treated as unknown.

mod outcome;
mod pace;

use crate::World;
use crate::directory::Number;
use outcome::Tally;
use pace::Pace;
use ponte_domain::ids::NumberId;
use ponte_domain::ports::store::{SendClaim, SendSettlement, SendTask, Topic};
use ponte_domain::{Millis, SECOND};
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

/// Time between claims when there is much to do: many messages a claim instead of many claims.
const BEAT_MS: Millis = 15;
/// Longest sleep without a wake-up.
const LOOK_MS: Millis = 250;
/// Settlements of one transaction.
const SETTLE_AT_ONCE: usize = 256;
/// How long a stop waits for calls under way.
const DRAIN: Duration = Duration::from_secs(10);

/// Share of all processors this program uses now, 0 to 1.
pub type CpuMeter = Arc<dyn Fn() -> f64 + Send + Sync>;

/// Works the lanes of one number until stopped, then waits for the calls under way.
pub async fn run(world: World, number: Number, cpu: CpuMeter, stop: CancellationToken) {
    let tally = Arc::new(Tally::default());
    let calls = TaskTracker::new();
    let (settle, settlements) = mpsc::channel(4096);
    let settler = tokio::spawn(run_settler(world.clone(), settlements));
    let mut pace = Pace::new(&world, &number, cpu);
    let mut seen = 0;
    let working_since = world.clock.now();
    while !stop.is_cancelled() {
        let began = world.clock.now();
        pace.adjust(began, &tally);
        let room = world.settings.max_in_flight.saturating_sub(calls.len());
        let allowance = pace.allowance(began).min(room);
        let claimed =
            if allowance == 0 { None } else { Some(claim(&world, &number, working_since, began, allowance).await) };
        let sleep = match claimed {
            None => BEAT_MS,
            Some(None) => SECOND,
            Some(Some(claimed)) => {
                pace.spend(claimed.tasks.len());
                for task in claimed.tasks {
                    let (world, id, tally, settle) =
                        (world.clone(), number.id.clone(), Arc::clone(&tally), settle.clone());
                    calls.spawn(async move { one(world, id, tally, settle, working_since, task).await });
                }
                sleep_until(claimed.next_at, claimed.more, began)
            }
        };
        // A short, fixed rest first: what comes in meanwhile is claimed together.
        world.clock.sleep_ms(BEAT_MS.min(sleep)).await;
        if sleep > BEAT_MS {
            tokio::select! {
                next = world.store.wait(Topic::Sends, seen, sleep - BEAT_MS) => seen = next,
                () = stop.cancelled() => {}
            }
        }
    }
    drop(settle);
    calls.close();
    let _ = tokio::time::timeout(DRAIN, calls.wait()).await;
    let _ = tokio::time::timeout(DRAIN, settler).await;
}

fn sleep_until(next_at: Option<Millis>, more: bool, now: Millis) -> Millis {
    let ready = next_at.map_or(LOOK_MS, |at| (at - now).clamp(0, LOOK_MS));
    if more { ready.min(BEAT_MS) } else { ready }.max(1)
}

async fn claim(
    world: &World,
    number: &Number,
    working_since: Millis,
    now: Millis,
    max: usize,
) -> Option<ponte_domain::ports::store::ClaimedSends> {
    let claim = SendClaim {
        workspace: world.workspace,
        number: number.id.clone(),
        now,
        lease_ms: world.settings.send_lease_ms,
        max,
        limits: number.limits.clone(),
        working_since,
    };
    match world.store.claim_sends(claim).await {
        Ok(claimed) => Some(claimed),
        Err(error) => {
            tracing::error!(error = %error, number = %number.id, "send lanes can't be claimed now");
            None
        }
    }
}

async fn one(
    world: World,
    number: NumberId,
    tally: Arc<Tally>,
    settle: mpsc::Sender<SendSettlement>,
    working_since: Millis,
    task: SendTask,
) {
    let end = outcome::of(&world, &number, &tally, working_since, &task).await;
    let message = match &task.what {
        ponte_domain::ports::store::SendWhat::Message(m) => Some(m.head.id),
        _ => None,
    };
    let settlement = SendSettlement { lane: task.lane, seq: task.job.seq, message, end };
    // The settler outlives every call; were it gone, the job would be found begun.
    let _ = settle.send(settlement).await;
}

/// Settles what comes in, much at once, and keeps at it until it is stored.
async fn run_settler(world: World, mut settlements: mpsc::Receiver<SendSettlement>) {
    let mut batch = Vec::new();
    while settlements.recv_many(&mut batch, SETTLE_AT_ONCE).await > 0 {
        loop {
            let now = world.clock.now();
            match world.store.settle_sends(world.workspace, now, batch.clone()).await {
                Ok(fenced) => {
                    world.pulse.fenced.add(fenced);
                    break;
                }
                Err(error) => {
                    tracing::error!(error = %error, sends = batch.len(), "outcomes can't be stored now, trying again");
                    world.clock.sleep_ms(SECOND / 2).await;
                }
            }
        }
        outcome::count(&world, &batch);
        batch.clear();
    }
}
