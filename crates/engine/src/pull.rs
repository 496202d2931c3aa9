//! # Pull
//! Purpose: brings what changed in a CRM in: changes since a cursor every few minutes, everything when that is asked for or needed,
//! single records as soon as the CRM tells of them. One node at a time reads a connection.
//! May touch: the CRM port's reads, the `CrmSync` port, merges of people that the CRM says are one.
//! Must not touch: what a record does to a person; that is the mapping's pure function.
//! Invariants: a page and the cursor behind it are one transaction. Reading the same again changes nothing. What a connection can't
//! do now is tried again by itself; what it can't do at all is told in the run and leaves the others alone.
//! Failure story: killed in the middle, a full run goes on with the page it had reached, another one where its cursor stood.

mod notices;
mod pages;

pub use pages::look;
pub(crate) use pages::meet_now;

use crate::World;
use crate::connection::{Connection, Loaded};
use ponte_domain::error::{CallError, ErrorClass, StoreError};
use ponte_domain::ids::PersonId;
use ponte_domain::ports::people::{MergeFn, MergeOrder};
use ponte_domain::ports::store::{Lease, Topic};
use ponte_domain::ports::sync::{RunKind, SyncPatch, SyncState};
use ponte_domain::survivorship::merge;
use ponte_domain::{MINUTE, Millis, SECOND};
use std::sync::Arc;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

/// Longer than the slowest call. A node that dies loses its leases within seconds all the same.
const LEASE_MS: Millis = MINUTE;
/// How soon a run that somebody asked for begins.
const LOOK_MS: Millis = SECOND / 2;
/// After a run that failed, the next one waits so long, or until it is due anyway.
const AFTER_FAILURE_MS: Millis = MINUTE;
/// Tries of one page before a run gives up.
const TRIES: u32 = 6;

/// Why a run ended early.
#[derive(Debug, Clone, thiserror::Error)]
enum Failed {
    /// The CRM.
    #[error("{0}")]
    Call(CallError),
    /// The store, or another node has taken over.
    #[error("{0}")]
    Store(StoreError),
    /// We are to stop.
    #[error("stopped")]
    Stopped,
}

impl From<CallError> for Failed {
    fn from(error: CallError) -> Self {
        Self::Call(error)
    }
}

impl From<StoreError> for Failed {
    fn from(error: StoreError) -> Self {
        Self::Store(error)
    }
}

/// What the parts of a run need.
struct Run<'a> {
    world: &'a World,
    connection: &'a Connection,
    loaded: Arc<Loaded>,
    id: Uuid,
    kind: RunKind,
    stop: &'a CancellationToken,
}

fn lease_name(connection: &Connection) -> String {
    format!("pull/{}", connection.id)
}

/// Reads one connection until stopped.
pub async fn run(world: World, connection: Connection, stop: CancellationToken) {
    if !connection.settings.pull || connection.settings.rules.is_empty() {
        stop.cancelled().await;
        return;
    }
    let mut seen = 0;
    while stop.run_until_cancelled(connection.ready(&world)).await.is_some() {
        match turn(&world, &connection, &stop).await {
            Ok(true) => continue,
            Ok(false) | Err(Failed::Stopped) => {}
            Err(error) => {
                tracing::warn!(connection = %connection.id, error = %error, "reading of the CRM stands still");
                world.clock.sleep_ms(SECOND).await;
            }
        }
        tokio::select! {
            next = world.store.wait(Topic::Crm, seen, LOOK_MS) => seen = next,
            () = stop.cancelled() => {}
        }
    }
}

/// One look: what is due is done. True when there may be more right away.
async fn turn(world: &World, connection: &Connection, stop: &CancellationToken) -> Result<bool, Failed> {
    let now = world.clock.now();
    let Some(lease) = world.store.lease(world.workspace, &lease_name(connection), now, LEASE_MS).await? else {
        world.clock.sleep_ms(SECOND).await;
        return Ok(false);
    };
    let state = world.sync.sync_state(world.workspace, &connection.id).await?;
    if state.paused_at.is_some() {
        return Ok(false);
    }
    if notices::work(world, connection, stop).await? {
        return Ok(true);
    }
    let Some(mut kind) = due(&state, now) else { return Ok(false) };
    if kind == RunKind::Changes && !connection.settings.triggers.is_empty() {
        // A new trigger must know what is so already, before it takes a change for news.
        let known = world.sync.triggers_known(world.workspace, &connection.id).await?;
        if connection.settings.triggers.iter().any(|t| !known.contains(&t.name)) {
            kind = RunKind::Full;
        }
    }
    let loaded = match connection.mapping(world).await {
        Ok(loaded) => loaded,
        Err(error) => {
            put_off(world, connection, connection.again(world, now + AFTER_FAILURE_MS).await).await?;
            return Err(error.into());
        }
    };
    let run = Run { world, connection, loaded, id: world.ids.next(), kind, stop };
    run.world.sync.run_begin(world.workspace, lease.clone(), &connection.id, run.id, kind, now).await?;
    let outcome = run.through(&state, lease).await;
    run.close(outcome).await?;
    Ok(false)
}

/// What is to be done now, if anything.
fn due(state: &SyncState, now: Millis) -> Option<RunKind> {
    let waits = state.next_at.is_some_and(|at| at > now);
    match state.wanted {
        Some(kind) => Some(kind),
        None if waits => None,
        // A full run that was cut off, or none yet.
        None if state.page.is_some() || state.cursor.is_none() => Some(RunKind::Full),
        None => Some(RunKind::Changes),
    }
}

async fn put_off(world: &World, connection: &Connection, at: Millis) -> Result<(), StoreError> {
    let patch = SyncPatch { next_at: Some(at), ..SyncPatch::default() };
    world.sync.sync_patch(world.workspace, None, &connection.id, patch, world.clock.now()).await
}

impl Run<'_> {
    async fn through(&self, state: &SyncState, lease: Lease) -> Result<(), Failed> {
        match (self.kind, &state.cursor) {
            (RunKind::Changes, Some(cursor)) if self.connection.crm.capabilities().changes => {
                self.changes(cursor.clone(), lease).await
            }
            _ => self.everything(state, lease).await,
        }
    }

    async fn close(&self, outcome: Result<(), Failed>) -> Result<(), Failed> {
        let Self { world, connection, .. } = self;
        let now = world.clock.now();
        let every = connection.settings.every_ms;
        let (error, next_at, again) = match &outcome {
            Ok(()) => (None, now + every, None),
            Err(Failed::Stopped) => (Some("stopped".to_owned()), now, None),
            // Too old to go on from: everything is read.
            Err(Failed::Call(e)) if e.class == ErrorClass::Gone && self.kind == RunKind::Changes => {
                (Some(e.to_string()), now, Some(RunKind::Full))
            }
            Err(error) => {
                (Some(error.to_string()), connection.again(world, now + every.min(AFTER_FAILURE_MS)).await, None)
            }
        };
        if let Some(error) = &error {
            tracing::warn!(connection = %connection.id, kind = self.kind.as_str(), error, "a run ended early");
        }
        world.sync.run_end(world.workspace, &connection.id, self.id, error, 0, now).await?;
        let patch = SyncPatch { next_at: Some(next_at), wanted: again.map(Some), ..SyncPatch::default() };
        world.sync.sync_patch(world.workspace, None, &connection.id, patch, now).await?;
        Ok(())
    }

    /// Asks again after what passes by itself, and holds the lease meanwhile.
    async fn patiently<T, F>(&self, ask: impl Fn() -> F) -> Result<T, Failed>
    where
        F: Future<Output = Result<T, CallError>> + Send,
    {
        let mut tries = 1;
        loop {
            if self.stop.is_cancelled() {
                return Err(Failed::Stopped);
            }
            let error = match ask().await {
                Ok(answer) => return Ok(answer),
                Err(error) => error,
            };
            let wait = match &error.class {
                ErrorClass::Retryable { after_ms } => after_ms.unwrap_or(SECOND << tries.min(5)),
                ErrorClass::Throttled { after_ms, .. } => after_ms.unwrap_or(10 * SECOND),
                _ => {
                    self.connection.heard(&error);
                    return Err(error.into());
                }
            };
            // A limit isn't held against the run unless it is a long one.
            let is_limit = matches!(error.class, ErrorClass::Throttled { .. }) && wait <= MINUTE;
            tries += u32::from(!is_limit);
            if tries > TRIES || wait > 5 * MINUTE {
                return Err(error.into());
            }
            self.wait(wait).await?;
        }
    }

    /// Waits, and holds the lease meanwhile.
    async fn wait(&self, ms: Millis) -> Result<(), Failed> {
        let until = self.world.clock.now() + ms;
        loop {
            let left = until - self.world.clock.now();
            if left <= 0 {
                return Ok(());
            }
            tokio::select! {
                () = self.world.clock.sleep_ms(left.min(LEASE_MS / 3)) => {}
                () = self.stop.cancelled() => return Err(Failed::Stopped),
            }
            self.renewed().await?;
        }
    }

    async fn renewed(&self) -> Result<Lease, Failed> {
        let now = self.world.clock.now();
        let lease = self.world.store.lease(self.world.workspace, &lease_name(self.connection), now, LEASE_MS).await?;
        lease.ok_or(Failed::Store(StoreError::LeaseLost))
    }
}

/// Merges people of whom the CRM says that they are one.
async fn unite(world: &World, connection: &Connection, same: Vec<(PersonId, PersonId)>) -> Result<(), StoreError> {
    if same.is_empty() {
        return Ok(());
    }
    let orders = same.into_iter().map(|(survivor, other)| MergeOrder {
        id: world.ids.next(),
        survivor,
        other,
        score: 1_000,
        reasons: vec!["crm_merged".to_owned()],
    });
    let rules = world.settings.survivorship.clone();
    let profiles: MergeFn = Arc::new(move |kept, other| merge(kept, other, &rules).profile);
    let now = world.clock.now();
    world.people.merge(world.workspace, now, &connection.source(), orders.collect(), profiles).await?;
    Ok(())
}
