//! # Write-back
//! Purpose: brings what happened into a CRM: reads events by cursor, files a job per person and message, and works those lanes
//! in batches.
//! May touch: the store's events, cursor, CRM lanes and links; the CRM port.
//! Must not touch: people and messages (it only reads them).
//! Invariants: cursor and jobs move together. A job says what to look at, not what to write: the worker writes the newest state,
//! so doing it twice or late changes nothing. A CRM that is down for a day holds up nothing else.
//! Failure story: killed between a write and its settlement, the row is found uncertain and looked for before it is created.

mod batch;
mod contacts;

use crate::World;
use crate::connection::Connection;
use ponte_domain::event::{Event, EventCursor, EventKind};
use ponte_domain::ids::{ConnectionId, MessageId, PersonId};
use ponte_domain::job::{JobKind, NewJob};
use ponte_domain::ports::store::{Lease, Topic};
use ponte_domain::{Millis, SECOND};
use serde::{Deserialize, Serialize};
use std::sync::Arc;
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

const READER_LEASE_MS: Millis = 4 * SECOND;
const EVENTS_AT_ONCE: i64 = 500;
const LOOK_MS: Millis = SECOND / 2;
/// Lanes gather between these times, so that rows share a call; how long depends on the calls the CRM allows.
const GATHER_MS: std::ops::RangeInclusive<Millis> = 20..=500;
/// Calls that one batch may need: contacts, new messages, changed messages.
const CALLS_A_BATCH: Millis = 3;

/// What a job is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
struct Subject {
    person: PersonId,
    message: Option<MessageId>,
}

/// What the names of write-back's readers of events begin with.
pub const READER: &str = "write-back/";

/// The reader of events of a connection.
#[must_use]
pub fn reader(connection: &ConnectionId) -> String {
    format!("{READER}{connection}")
}

/// Turns events into jobs of one connection, on one node at a time.
pub async fn run_reader(world: World, connection: ConnectionId, stop: CancellationToken) {
    let name = reader(&connection);
    let mut seen = 0;
    let mut lease: Option<Lease> = None;
    while !stop.is_cancelled() {
        let now = world.clock.now();
        if lease.as_ref().is_none_or(|l| l.until - now < READER_LEASE_MS / 2) {
            lease = world.store.lease(world.workspace, &name, now, READER_LEASE_MS).await.ok().flatten();
        }
        let Some(held) = &lease else {
            world.clock.sleep_ms(SECOND / 2).await;
            continue;
        };
        match read(&world, &connection, &name, held).await {
            Ok(true) => {}
            Ok(false) => {
                tokio::select! {
                    next = world.store.wait(Topic::Events, seen, LOOK_MS) => seen = next,
                    () = stop.cancelled() => {}
                }
            }
            Err(error) => {
                lease = None;
                tracing::warn!(error = %error, connection = %connection, "events can't be read now");
                world.clock.sleep_ms(SECOND / 2).await;
            }
        }
    }
}

/// Files jobs for one page of events. False when there were none.
async fn read(
    world: &World,
    connection: &ConnectionId,
    name: &str,
    lease: &Lease,
) -> Result<bool, ponte_domain::error::StoreError> {
    let cursor = world.store.cursor(world.workspace, name).await?.unwrap_or_default();
    let events = world.store.events_after(world.workspace, cursor, EVENTS_AT_ONCE).await?;
    let Some(last) = events.last() else { return Ok(false) };
    let next: EventCursor = last.cursor;
    let now = world.clock.now();
    let jobs = events.iter().filter_map(|event| job(connection, event, now)).collect();
    world.store.advance(world.workspace, lease.clone(), name, next, jobs).await?;
    Ok(true)
}

fn job(connection: &ConnectionId, event: &Event, now: Millis) -> Option<NewJob> {
    let person = event.person?;
    let message = match EventKind::parse(&event.kind)? {
        EventKind::MessageReceived
        | EventKind::MessageEchoed
        | EventKind::MessageImported
        | EventKind::MessageEdited
        | EventKind::MessageWithdrawn
        | EventKind::MessageAccepted
        | EventKind::MessageStatus
        | EventKind::MessageDead => Some(event.message?),
        EventKind::PersonChanged
        | EventKind::PeopleMerged
        | EventKind::PeopleUnmerged
        | EventKind::LineDead
        | EventKind::LineAlive
        | EventKind::ConsentChanged
        | EventKind::PreferenceChanged => None,
        _ => return None,
    };
    // What came from this CRM, and left nothing to tell it, is no news there.
    if message.is_none() && is_echo(connection, event) {
        return None;
    }
    job_about(connection, Subject { person, message }, now)
}

/// The job that writes a person.
pub(crate) fn person_job(connection: &ConnectionId, person: PersonId, now: Millis) -> Option<NewJob> {
    job_about(connection, Subject { person, message: None }, now)
}

fn job_about(connection: &ConnectionId, subject: Subject, now: Millis) -> Option<NewJob> {
    let Subject { person, message } = subject;
    Some(NewJob {
        kind: JobKind::Crm,
        lane: format!("{connection}/{}", person.0.simple()),
        scope: connection.to_string(),
        priority: 0,
        not_before: now,
        payload: serde_json::to_string(&subject).ok()?,
        dedup: Some(message.map_or_else(|| person.to_string(), |m| m.to_string())),
    })
}

fn is_echo(connection: &ConnectionId, event: &Event) -> bool {
    #[derive(Deserialize)]
    struct Told {
        by: String,
        told: bool,
    }
    let told = serde_json::from_str::<Told>(event.data.get()).ok();
    told.is_some_and(|t| t.told && t.by.strip_prefix("crm:") == Some(connection.as_str()))
}

/// Works the lanes of one connection until stopped, then waits for the calls under way.
pub async fn run_worker(world: World, connection: Connection, stop: CancellationToken) {
    prepare(&world, &connection, &stop).await;
    let places = Arc::new(Semaphore::new(world.settings.crm_parallel.max(1)));
    let calls = TaskTracker::new();
    let gather = gather_ms(connection.crm.capabilities().calls_per_second);
    let mut seen = 0;
    while stop.run_until_cancelled(connection.ready(&world)).await.is_some() {
        let Ok(place) = Arc::clone(&places).acquire_owned().await else { break };
        let claimed = batch::claim(&world, &connection.id).await;
        // A full batch gains nothing from waiting for more.
        let full = claimed.len() >= world.settings.crm_batch;
        if claimed.is_empty() {
            drop(place);
            tokio::select! {
                next = world.store.wait(Topic::Crm, seen, LOOK_MS) => seen = next,
                () = stop.cancelled() => {}
            }
        } else {
            let (world, connection) = (world.clone(), connection.clone());
            calls.spawn(async move {
                batch::work(&world, &connection, claimed).await;
                drop(place);
            });
        }
        if !full {
            world.clock.sleep_ms(gather).await;
        }
    }
    calls.close();
    let _ = tokio::time::timeout(std::time::Duration::from_secs(20), calls.wait()).await;
}

/// Batches as often as the CRM's calls allow, not more often: calls that wait for their turn carry fewer rows.
fn gather_ms(calls_per_second: u32) -> Millis {
    let ms = CALLS_A_BATCH * SECOND / i64::from(calls_per_second.max(1));
    ms.clamp(*GATHER_MS.start(), *GATHER_MS.end())
}

/// Makes sure that the CRM has the fields we write; asks again until it does.
async fn prepare(world: &World, connection: &Connection, stop: &CancellationToken) {
    let mut wait = SECOND;
    while stop.run_until_cancelled(connection.ready(world)).await.is_some() {
        let ready = match connection.crm.prepare().await {
            Ok(()) => connection.mapping(world).await.map(|_| ()),
            Err(error) => Err(error),
        };
        match ready {
            Ok(()) => return,
            Err(error) => {
                tracing::error!(connection = %connection.id, code = %error.code, "the CRM is not ready for writing: {}", error.title);
            }
        }
        tokio::select! {
            () = world.clock.sleep_ms(wait) => {}
            () = stop.cancelled() => {}
        }
        wait = (wait * 2).min(8 * SECOND);
    }
}
