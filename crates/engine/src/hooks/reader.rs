//! Turns events into jobs of the subscriptions that want them, on one node at a time. Without subscriptions nothing is read.

use super::job;
use crate::World;
use ponte_domain::error::StoreError;
use ponte_domain::hook::{Hook, HookState};
use ponte_domain::job::NewJob;
use ponte_domain::ports::store::{Lease, Topic};
use ponte_domain::{Millis, SECOND};
use tokio_util::sync::CancellationToken;

/// Under this name the cursor stands; the store knows it too.
const NAME: &str = "hooks";
const LEASE_MS: Millis = 4 * SECOND;
const EVENTS_AT_ONCE: i64 = 500;
const LOOK_MS: Millis = SECOND / 2;
/// Between looks for a first subscription.
const IDLE_MS: Millis = 2 * SECOND;

/// What there is to wait for after a round.
enum Round {
    /// Nothing: there is more.
    More,
    /// A new event.
    Events,
    /// A first subscription.
    Subscriptions,
}

/// Reads until stopped.
pub async fn run(world: World, stop: CancellationToken) {
    let (mut seen_events, mut seen_hooks) = (0, 0);
    let mut lease: Option<Lease> = None;
    while !stop.is_cancelled() {
        let round = match round(&world, &mut lease).await {
            Ok(round) => round,
            Err(error) => {
                lease = None;
                tracing::warn!(error = %error, "events can't be read for subscriptions now");
                world.clock.sleep_ms(SECOND / 2).await;
                continue;
            }
        };
        tokio::select! {
            () = async {
                match round {
                    Round::More => {}
                    Round::Events => seen_events = world.store.wait(Topic::Events, seen_events, LOOK_MS).await,
                    Round::Subscriptions => seen_hooks = world.store.wait(Topic::Hooks, seen_hooks, IDLE_MS).await,
                }
            } => {}
            () = stop.cancelled() => {}
        }
    }
}

async fn round(world: &World, lease: &mut Option<Lease>) -> Result<Round, StoreError> {
    // Nobody subscribed: then there is no cursor, and nothing to hold.
    if world.hooks.hooks(world.workspace).await?.is_empty() {
        return Ok(Round::Subscriptions);
    }
    let now = world.clock.now();
    if lease.as_ref().is_none_or(|l| l.until - now < LEASE_MS / 2) {
        *lease = world.store.lease(world.workspace, NAME, now, LEASE_MS).await?;
    }
    let Some(held) = lease else {
        // Another node reads.
        world.clock.sleep_ms(SECOND / 2).await;
        return Ok(Round::More);
    };
    let cursor = world.store.cursor(world.workspace, NAME).await?.unwrap_or_default();
    let events = world.store.events_after(world.workspace, cursor, EVENTS_AT_ONCE).await?;
    let Some(last) = events.last() else { return Ok(Round::Events) };
    let next = last.cursor;
    // Asked after the events were read: whoever subscribed before one of them happened is among these.
    let hooks = world.hooks.hooks(world.workspace).await?;
    let now = world.clock.now();
    let jobs: Vec<NewJob> = events
        .iter()
        .flat_map(|event| {
            let wanting =
                hooks.iter().filter(move |hook| gathers(hook) && event.cursor > hook.start && hook.wants(event));
            wanting.filter_map(move |hook| job(hook, event, now, false))
        })
        .collect();
    world.store.advance(world.workspace, held.clone(), NAME, next, jobs).await?;
    Ok(Round::More)
}

/// What happens while a subscription is paused is pushed once it is resumed; what happens while it is disabled is not.
const fn gathers(hook: &Hook) -> bool {
    matches!(hook.state, HookState::Active | HookState::Paused)
}
