//! Works the lanes of subscriptions: one task for each that has something ready, calls side by side, the jobs of a lane one after
//! the other.

use super::{Owed, told};
use crate::World;
use ponte_domain::error::{CallError, ErrorClass, StoreError};
use ponte_domain::event::{Event, EventKind, NewEvent};
use ponte_domain::hook::{Delivery, Hook, HookState, retry_after_ms, signature};
use ponte_domain::ids::{EventId, HookId};
use ponte_domain::job::{ClaimedLane, Job, JobEnd, JobKind, Lane};
use ponte_domain::ports::hooks::{HookEnd, HookNews, Push, TargetAnswer};
use ponte_domain::ports::people::NewAudit;
use ponte_domain::ports::store::Topic;
use ponte_domain::retry::Verdict;
use ponte_domain::{DAY, MINUTE, Millis, SECOND};
use serde_json::{Value, json};
use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicI64, Ordering};
use std::time::Duration;
use tokio::task::{JoinHandle, JoinSet};
use tokio_util::sync::CancellationToken;

const LEASE_MS: Millis = 2 * MINUTE;
const LOOK_MS: Millis = SECOND / 2;
/// Jobs of one lane that are claimed at once.
const PER_LANE: usize = 10;
/// Calls that fail in a row until the target, and not what it is told, is taken to be the reason.
const SUSPECT: i64 = 5;
/// However long a target asks us to wait, it is asked again after this.
const LONGEST_WAIT: Millis = DAY;
/// Jobs of removed subscriptions that are removed at once.
const PURGED_AT_ONCE: i64 = 1_000;

/// Pushes until stopped, then waits for the calls under way.
pub async fn run(world: World, stop: CancellationToken) {
    let mut busy: HashMap<HookId, JoinHandle<()>> = HashMap::new();
    let mut seen = 0;
    while !stop.is_cancelled() {
        busy.retain(|_, task| !task.is_finished());
        match look(&world).await {
            Ok((due, more)) => {
                for hook in due {
                    busy.entry(hook.id)
                        .or_insert_with(|| tokio::spawn(Target::new(world.clone(), hook, stop.clone()).work()));
                }
                if more {
                    continue;
                }
            }
            Err(error) => tracing::error!(error = %error, "subscriptions can't be read now"),
        }
        tokio::select! {
            next = world.store.wait(Topic::Hooks, seen, LOOK_MS) => seen = next,
            () = stop.cancelled() => {}
        }
    }
    let all = futures_util::future::join_all(busy.into_values());
    let _ = tokio::time::timeout(Duration::from_secs(20), all).await;
}

/// What is due, and whether more of what removed subscriptions left is to be removed at once.
async fn look(world: &World) -> Result<(Vec<Hook>, bool), StoreError> {
    let now = world.clock.now();
    let more = world.hooks.hooks_purge(world.workspace, PURGED_AT_ONCE, now).await?;
    Ok((world.hooks.hooks_due(world.workspace, now).await?, more))
}

/// One subscription at work.
struct Target {
    world: World,
    hook: Hook,
    stop: CancellationToken,
    /// Failed calls since one was taken.
    failures: Arc<AtomicI64>,
    /// It answered that it is gone.
    gone: Arc<AtomicBool>,
}

/// What came of the jobs of a lane.
#[derive(Default)]
struct Done {
    ends: Vec<HookEnd>,
    hold_until: Millis,
    gone: bool,
}

impl Target {
    fn new(world: World, hook: Hook, stop: CancellationToken) -> Self {
        let failures = Arc::new(AtomicI64::new(hook.failures));
        Self { world, hook, stop, failures, gone: Arc::default() }
    }

    /// Works until nothing is ready, or nothing may be tried for a while.
    async fn work(mut self) {
        // Tasks, not futures of this one: a call under way may hold a connection of the database, and must get on while this task
        // waits for one.
        let mut calls = JoinSet::new();
        let mut going = true;
        loop {
            // A target that fails is tried with one lane, not with all.
            let places = if self.suspect() { 1 } else { self.world.settings.hooks.parallel.max(1) };
            let free = places.saturating_sub(calls.len());
            if going && free > 0 && !self.stop.is_cancelled() {
                for lane in self.claim(free).await {
                    calls.spawn(lane_of(self.caller(), lane));
                }
            }
            let Some(first) = calls.join_next().await else { return };
            let mut done = Done::default();
            for one in std::iter::once(first).chain(std::iter::from_fn(|| calls.try_join_next())) {
                match one {
                    Ok(one) => done.add(one),
                    // Unsettled, its lane runs out and is claimed again.
                    Err(error) => {
                        tracing::error!(error = %error, hook = %self.hook.id, "a lane was not worked to its end")
                    }
                }
            }
            going = self.settle(done).await;
        }
    }

    fn suspect(&self) -> bool {
        self.failures.load(Ordering::Relaxed) >= SUSPECT
    }

    fn caller(&self) -> Caller {
        Caller {
            world: self.world.clone(),
            hook: self.hook.clone(),
            stop: self.stop.clone(),
            failures: Arc::clone(&self.failures),
            gone: Arc::clone(&self.gone),
        }
    }

    async fn claim(&self, lanes: usize) -> Vec<ClaimedLane> {
        let (world, scope) = (&self.world, self.hook.scope());
        let now = world.clock.now();
        let claim = world.store.claim_lanes(world.workspace, JobKind::Hook, &scope, now, LEASE_MS, lanes, PER_LANE);
        claim.await.unwrap_or_else(|error| {
            tracing::error!(error = %error, hook = %self.hook.id, "lanes can't be claimed now");
            Vec::new()
        })
    }

    /// Records what came of calls; whether to go on.
    async fn settle(&mut self, done: Done) -> bool {
        let world = &self.world;
        loop {
            let now = world.clock.now();
            let news = HookNews {
                ends: done.ends.clone(),
                hold_until: done.hold_until,
                disable_before: now - world.settings.hooks.disable_after_ms,
                gone: done.gone.then(|| farewell(&self.hook, now)),
            };
            match world.hooks.hook_settle(world.workspace, self.hook.id, now, news).await {
                Ok((hook, fenced)) => {
                    world.pulse.fenced.add(fenced);
                    let Some(hook) = hook else {
                        tracing::info!(hook = %self.hook.id, "a subscription is gone");
                        return false;
                    };
                    let active = hook.state == HookState::Active;
                    if !active {
                        tracing::warn!(hook = %hook.id, state = hook.state.as_str(), "a subscription is not active any more");
                    }
                    let held = hook.hold_until > now;
                    self.hook = hook;
                    return active && !held;
                }
                Err(error) => {
                    tracing::error!(error = %error, hook = %self.hook.id, "what was pushed can't be recorded now");
                    world.clock.sleep_ms(SECOND / 2).await;
                }
            }
        }
    }
}

impl Done {
    fn add(&mut self, other: Self) {
        self.ends.extend(other.ends);
        self.hold_until = self.hold_until.max(other.hold_until);
        self.gone |= other.gone;
    }
}

/// What is said when a target is gone.
fn farewell(hook: &Hook, at: Millis) -> (NewAudit, NewEvent) {
    let data = json!({ "hook": hook.id, "reason": "410" }).to_string();
    let audit = NewAudit {
        at,
        who: "system".to_owned(),
        act: "hooks.remove",
        subject: Some(hook.id.to_string()),
        data: data.clone(),
    };
    let kind = EventKind::HookRemoved;
    let event = NewEvent { kind, at, person: None, conversation: None, message: None, number: None, dedup: None, data };
    (audit, event)
}

/// What a lane's calls need.
struct Caller {
    world: World,
    hook: Hook,
    stop: CancellationToken,
    failures: Arc<AtomicI64>,
    gone: Arc<AtomicBool>,
}

/// Pushes what a lane holds, in order, up to the first failure.
async fn lane_of(caller: Caller, claimed: ClaimedLane) -> Done {
    let world = &caller.world;
    let begun = world.clock.now();
    let ClaimedLane { lane, jobs } = claimed;
    let owed: Vec<Option<Owed>> = jobs.iter().map(|job| serde_json::from_str(&job.payload).ok()).collect();
    let places: Vec<i64> = owed.iter().flatten().map(|owed| owed.event.seq()).collect();
    let events = match world.hooks.events_at(world.workspace, &places).await {
        Ok(events) => events,
        Err(error) => return caller.put_back(&lane, &jobs, &error),
    };
    let mut done = Done::default();
    let mut open = true;
    for (job, owed) in jobs.iter().zip(owed) {
        let now = world.clock.now();
        // What can't be ended within the lease is left for the next claim.
        let late = now + world.settings.hooks.timeout_ms + 10 * SECOND > begun + LEASE_MS;
        if !open || late || caller.stop.is_cancelled() || caller.gone.load(Ordering::Relaxed) {
            done.ends.push(end(&lane, job, JobEnd::PutBack(now), None));
            open = false;
            continue;
        }
        let event = owed.and_then(|owed| events.iter().find(|event| is(event, owed.event)));
        let Some(event) = event else {
            // Too old for the period of events, or another database's.
            done.ends.push(end(&lane, job, JobEnd::Done, None));
            continue;
        };
        // Put together just before the call: who was erased while others were pushed isn't told of.
        open = match told(world, std::slice::from_ref(event)).await {
            Ok(bodies) => {
                let body = bodies.get(&event.cursor.seq).unwrap_or(&Value::Null);
                caller.push(&lane, job, EventId::of(event.at, event.cursor.seq), body, &mut done).await
            }
            Err(error) => {
                tracing::error!(error = %error, hook = %caller.hook.id, "what to push can't be read now");
                done.ends.push(end(&lane, job, JobEnd::PutBack(now + SECOND), None));
                false
            }
        };
    }
    done
}

/// Whether the event that stands at the place is the one that was owed: not when the database is an older one.
const fn is(event: &Event, owed: EventId) -> bool {
    EventId::of(event.at, event.cursor.seq).0.as_u128() == owed.0.as_u128()
}

fn end(lane: &Lane, job: &Job, end: JobEnd, delivery: Option<Delivery>) -> HookEnd {
    HookEnd { lane: lane.clone(), seq: job.seq, end, delivery }
}

impl Caller {
    fn put_back(&self, lane: &Lane, jobs: &[Job], error: &StoreError) -> Done {
        tracing::error!(error = %error, hook = %self.hook.id, "what to push can't be read now");
        let at = self.world.clock.now() + SECOND;
        Done { ends: jobs.iter().map(|job| end(lane, job, JobEnd::PutBack(at), None)).collect(), ..Done::default() }
    }

    /// Makes one call; whether the lane may go on.
    async fn push(&self, lane: &Lane, job: &Job, event: EventId, body: &Value, done: &mut Done) -> bool {
        let (world, hook) = (&self.world, &self.hook);
        let called = call(world, hook, event, body).await;
        let now = called.ended_at;
        let kind = body.get("type").and_then(Value::as_str).unwrap_or_default();
        let mut delivery = called.delivery(event, kind);
        delivery.attempt = i64::from(job.failures) + 1;
        let outcome = called.outcome(now);
        if matches!(outcome, Outcome::Taken) {
            self.failures.store(0, Ordering::Relaxed);
            world.pulse.hooks_taken.add(1);
            done.ends.push(end(lane, job, JobEnd::Done, Some(delivery)));
            return true;
        }
        world.pulse.hooks_failed.add(1);
        let in_a_row = self.failures.fetch_add(1, Ordering::Relaxed) + 1;
        tracing::warn!(hook = %hook.id, error = delivery.error.as_deref(), in_a_row, "an event was not taken");
        let (class, hold) = match &outcome {
            Outcome::Gone => {
                self.gone.store(true, Ordering::Relaxed);
                done.gone = true;
                // Its jobs go with the subscription.
                done.ends.push(end(lane, job, JobEnd::PutBack(now), Some(delivery)));
                return false;
            }
            Outcome::Wait(ms) => (ErrorClass::Retryable { after_ms: Some(*ms) }, Some(now + ms)),
            _ => (ErrorClass::Retryable { after_ms: None }, pause(world, in_a_row).map(|ms| now + ms)),
        };
        done.hold_until = done.hold_until.max(hold.unwrap_or(0));
        let failures = job.failures.saturating_add(1);
        let verdict = world.settings.hooks.retry.decide(&class, failures, job.created_at, now, world.chance.draw());
        let how = match (verdict, hold) {
            // The target fails or is busy: that isn't held against this event, so it needn't wait long once the target is back.
            (Verdict::RetryAt(_), Some(until)) => JobEnd::PutBack(until),
            (Verdict::RetryAt(at), None) => JobEnd::Retry(at, called.error()),
            (Verdict::Settle | Verdict::DeadLetter, _) => {
                world.pulse.dead_letters.add(1);
                JobEnd::Dead(called.error())
            }
        };
        done.ends.push(end(lane, job, how, Some(delivery)));
        false
    }
}

/// How long a target that failed so often in a row is left alone, milliseconds; nothing while it may be the event's fault.
fn pause(world: &World, in_a_row: i64) -> Option<Millis> {
    let over = u32::try_from(in_a_row - SUSPECT).ok()?;
    let ms = SECOND.saturating_mul(2_i64.saturating_pow(over.min(20))).min(world.settings.hooks.longest_pause_ms);
    Some(ms - (ms as f64 * world.chance.draw() / 10.0) as Millis)
}

/// A call that was made.
pub(super) struct Called {
    answer: Result<TargetAnswer, CallError>,
    begun_at: Millis,
    ended_at: Millis,
}

enum Outcome {
    Taken,
    Gone,
    /// It asks us to wait, milliseconds.
    Wait(Millis),
    Failed,
}

impl Called {
    fn outcome(&self, now: Millis) -> Outcome {
        let Ok(answer) = &self.answer else { return Outcome::Failed };
        match answer.status {
            200..=299 => Outcome::Taken,
            410 => Outcome::Gone,
            429 | 503 => match answer.retry_after.as_deref().and_then(|text| retry_after_ms(text, now)) {
                Some(ms) => Outcome::Wait(ms.clamp(SECOND, LONGEST_WAIT)),
                None => Outcome::Failed,
            },
            _ => Outcome::Failed,
        }
    }

    fn error(&self) -> CallError {
        match &self.answer {
            Err(error) => error.clone(),
            Ok(answer) => {
                let title = "The target answered something else than success.";
                let class = ErrorClass::Retryable { after_ms: None };
                CallError::new(class, format!("http_{}", answer.status), title).with_status(answer.status)
            }
        }
    }

    /// As it is remembered. The number is given when it is kept.
    pub(super) fn delivery(&self, event: EventId, kind: &str) -> Delivery {
        let taken = matches!(self.outcome(self.ended_at), Outcome::Taken);
        Delivery {
            number: 0,
            event,
            kind: kind.to_owned(),
            at: self.ended_at,
            attempt: 1,
            status: self.answer.as_ref().ok().map(|answer| i64::from(answer.status)),
            duration_ms: self.ended_at - self.begun_at,
            error: (!taken).then(|| self.error().code),
        }
    }
}

/// Pushes one event.
pub(super) async fn call(world: &World, hook: &Hook, event: EventId, body: &Value) -> Called {
    let begun_at = world.clock.now();
    let (id, timestamp, body) = (event.to_string(), begun_at / SECOND, body.to_string());
    let push = Push {
        url: hook.target_url.clone(),
        signature: signature::sign(hook.secrets.at(begun_at), &id, timestamp, &body),
        id,
        timestamp,
        body,
        timeout_ms: world.settings.hooks.timeout_ms,
    };
    let answer = world.targets.push(push).await;
    Called { answer, begun_at, ended_at: world.clock.now() }
}
