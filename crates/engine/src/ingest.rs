//! # Ingest
//! Purpose: reads the journal in batches, takes every body apart, folds the updates into what is known.
//! May touch: the store's `ingest` verb, which folds and marks in one transaction.
//! Must not touch: the network; what follows from an update is a job.
//! Invariants: reading the journal again changes nothing. One node ingests at a time, under a lease whose fence is checked in
//! the transaction.
//! Failure story: killed anywhere, unmarked segments are read again. An update that can't be applied is kept as unrecognised
//! with its reason; the others of its body are not held up.

use crate::World;
use crate::receive::Receiver;
use ponte_domain::conversation::{Context, Located, fold, keys_of};
use ponte_domain::error::StoreError;
use ponte_domain::inbound::{Unknown, Update, UpdateKind};
use ponte_domain::ports::store::{FoldFn, IngestCounts, Lease, Segment, Topic};
use ponte_domain::{Millis, SECOND};
use std::sync::Arc;
use tokio_util::sync::CancellationToken;

const LEASE: &str = "ingest";
const LEASE_MS: Millis = 4 * SECOND;
/// Journal bytes read at once.
const BATCH_BYTES: usize = 2 << 20;
/// Bodies waiting for the disk from which ingest steps back: an answer to Meta is due in 250 ms, reading is not.
const PRESSURE: usize = 24;
/// Longest wait under pressure: this many steps of this length, before every portion.
const STEPS_BACK: usize = 40;
const STEP_MS: Millis = 10;
/// Under pressure that doesn't end, a portion is this many times smaller: it holds the writer, and with it every answer.
const SMALLER: usize = 8;

/// Reads the journal until stopped.
pub async fn run(world: World, receiver: Option<Arc<Receiver>>, stop: CancellationToken) {
    let mut seen = 0;
    let mut lease: Option<Lease> = None;
    while !stop.is_cancelled() {
        lease = hold(&world, lease).await;
        let Some(held) = &lease else {
            world.clock.sleep_ms(SECOND / 2).await;
            continue;
        };
        match step(&world, receiver.as_deref(), held).await {
            Ok(true) => {}
            Ok(false) => {
                tokio::select! {
                    next = world.store.wait(Topic::Journal, seen, SECOND / 2) => seen = next,
                    () = stop.cancelled() => break,
                }
            }
            Err(StoreError::LeaseLost) => lease = None,
            Err(error) => {
                tracing::error!(error = %error, "the journal can't be read now");
                world.clock.sleep_ms(SECOND / 2).await;
            }
        }
    }
}

/// Keeps the lease as long as it has more than half to run; renews or takes it otherwise.
async fn hold(world: &World, lease: Option<Lease>) -> Option<Lease> {
    let now = world.clock.now();
    match lease {
        Some(lease) if lease.until - now > LEASE_MS / 2 => Some(lease),
        _ => world.store.lease(world.workspace, LEASE, now, LEASE_MS).await.ok().flatten(),
    }
}

/// Ingests one batch. False when nothing was pending.
async fn step(world: &World, receiver: Option<&Receiver>, lease: &Lease) -> Result<bool, StoreError> {
    let segments = world.store.journal_pending(world.workspace, BATCH_BYTES).await?;
    if segments.is_empty() {
        return Ok(false);
    }
    let mut updates = Vec::new();
    let mut whole = Vec::new();
    for segment in &segments {
        updates.extend(take_apart(world, segment));
        whole.push(segment.seq);
        if updates.len() >= world.settings.ingest_chunk {
            ingest_chunks(world, receiver, Some(lease), &whole, std::mem::take(&mut updates)).await?;
            whole.clear();
        }
    }
    if !whole.is_empty() {
        ingest_chunks(world, receiver, Some(lease), &whole, updates).await?;
    }
    let now = world.clock.now();
    for entry in segments.iter().flat_map(|s| s.entries.first()) {
        world.pulse.to_fold.record(now - entry.received_at);
    }
    Ok(true)
}

fn take_apart(world: &World, segment: &Segment) -> Vec<Located> {
    let mut updates = Vec::with_capacity(segment.entries.len());
    for (place, entry) in segment.entries.iter().enumerate() {
        let parsed = world.channel.parse(&entry.body, entry.received_at);
        let place = i64::try_from(place).unwrap_or(i64::MAX);
        updates.extend(parsed.updates.into_iter().map(|update| Located {
            segment: segment.seq,
            entry: place,
            received_at: entry.received_at,
            update,
        }));
    }
    updates
}

/// Folds in transactions of bounded size. Only the last one marks the segments: killed in between, the first ones are folded
/// again, which changes nothing.
async fn ingest_chunks(
    world: &World,
    receiver: Option<&Receiver>,
    lease: Option<&Lease>,
    segments: &[i64],
    mut updates: Vec<Located>,
) -> Result<IngestCounts, StoreError> {
    let mut counts = IngestCounts::default();
    loop {
        let pressed = step_back(world, receiver).await;
        let portion = world.settings.ingest_chunk / if pressed { SMALLER } else { 1 };
        let rest = updates.split_off(updates.len().min(portion.max(1)));
        let marks = if rest.is_empty() { segments } else { &[] };
        // Also without any update: nothing to fold, but the bodies were read.
        add(&mut counts, one_chunk(world, lease, marks, Arc::new(updates)).await?);
        if rest.is_empty() {
            return Ok(counts);
        }
        updates = rest;
    }
}

const fn add(sum: &mut IngestCounts, one: IngestCounts) {
    sum.messages += one.messages;
    sum.changed += one.changed;
    sum.events += one.events;
    sum.unrecognised += one.unrecognised;
}

/// Waits while many bodies wait for the disk. True when they still do: under a flood that never ends, reading goes on at a
/// low rate.
async fn step_back(world: &World, receiver: Option<&Receiver>) -> bool {
    for _ in 0..STEPS_BACK {
        if receiver.is_none_or(|r| r.pressure() < PRESSURE) {
            return false;
        }
        world.clock.sleep_ms(STEP_MS).await;
    }
    true
}

async fn one_chunk(
    world: &World,
    lease: Option<&Lease>,
    marks: &[i64],
    chunk: Arc<Vec<Located>>,
) -> Result<IngestCounts, StoreError> {
    match apply(world, lease, marks, Arc::clone(&chunk)).await {
        Err(error) if is_about_an_update(&error) => {
            tracing::warn!(error = %error, updates = chunk.len(), "a batch could not be applied whole: trying one by one");
            one_by_one(world, lease, marks, &chunk).await
        }
        result => result,
    }
}

/// Whether it is one of the updates, and not the database: a disk that is full for a large row may have room for a small one.
const fn is_about_an_update(error: &StoreError) -> bool {
    matches!(error, StoreError::Refused(_) | StoreError::Corrupt(_) | StoreError::NotFound(_))
}

async fn one_by_one(
    world: &World,
    lease: Option<&Lease>,
    marks: &[i64],
    chunk: &[Located],
) -> Result<IngestCounts, StoreError> {
    let mut counts = IngestCounts::default();
    for located in chunk {
        let one = match apply(world, lease, &[], Arc::new(vec![located.clone()])).await {
            Err(error) if is_about_an_update(&error) => {
                apply(world, lease, &[], Arc::new(vec![unapplied(located.clone(), &error)])).await?
            }
            result => result?,
        };
        add(&mut counts, one);
    }
    apply(world, lease, marks, Arc::default()).await?;
    Ok(counts)
}

/// The update as something that is kept and shown, with why it could not be applied.
fn unapplied(located: Located, error: &StoreError) -> Located {
    let reason = format!("could not be applied: {error}");
    let raw = match &located.update.kind {
        UpdateKind::Message(m) | UpdateKind::Echo(m) | UpdateKind::History(m) => m.raw.clone(),
        UpdateKind::Status(s) => s.raw.clone(),
        UpdateKind::Preference(p) => p.raw.clone(),
        UpdateKind::Account(a) => a.raw.clone(),
        UpdateKind::Unknown(u) => u.raw.clone(),
    };
    let kind = UpdateKind::Unknown(Unknown { reason, raw });
    Located { update: Update { kind, ..located.update }, ..located }
}

async fn apply(
    world: &World,
    lease: Option<&Lease>,
    marks: &[i64],
    updates: Arc<Vec<Located>>,
) -> Result<IngestCounts, StoreError> {
    let count = updates.len() as u64;
    let keys = keys_of(&updates, world.directory.as_ref());
    let (now, ids, directory) = (world.clock.now(), Arc::clone(&world.ids), Arc::clone(&world.directory));
    let settings = Arc::clone(&world.settings);
    let fold: FoldFn = Arc::new(move |snapshot| {
        let (ids, directory, consent) = (ids.as_ref(), directory.as_ref(), &settings.consent);
        fold(snapshot, &updates, &Context { now, ids, directory, consent, reach: settings.reach })
    });
    let counts = world.store.ingest(world.workspace, lease.cloned(), marks.to_vec(), keys, fold).await?;
    world.pulse.updates_read.add(count);
    world.pulse.messages_stored.add(counts.messages);
    world.pulse.unrecognised.add(counts.unrecognised);
    Ok(counts)
}

/// What a replay did.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, serde::Serialize)]
pub struct Replayed {
    /// Segments read.
    pub segments: u64,
    /// Bodies read.
    pub bodies: u64,
    /// Items read.
    pub updates: u64,
    /// Messages that were missing and are stored now.
    pub messages_added: u64,
    /// Messages that changed.
    pub messages_changed: u64,
}

/// Reads the whole journal again from `after` on. What was applied before changes nothing.
///
/// # Errors
/// When the store can't; what was replayed until then is kept.
pub async fn replay(world: &World, after: i64, mut progress: impl FnMut(&Replayed)) -> Result<Replayed, StoreError> {
    let mut done = Replayed::default();
    let mut from = after;
    loop {
        let segments = world.store.journal_read(world.workspace, from, 16).await?;
        let Some(last) = segments.last() else { return Ok(done) };
        from = last.seq;
        for segment in &segments {
            let updates = take_apart(world, segment);
            done.updates += updates.len() as u64;
            done.bodies += segment.entries.len() as u64;
            done.segments += 1;
            // A segment that a server is about to read stays pending: only its content is folded.
            let counts = ingest_chunks(world, None, None, &[], updates).await?;
            done.messages_added += counts.messages;
            done.messages_changed += counts.changed;
        }
        progress(&done);
    }
}
