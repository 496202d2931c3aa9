//! # Media
//! Purpose: fetches the files of inbound messages by jobs of their own, and keeps them by content.
//! May touch: the store's lanes, the channel, the blobs.
//! Must not touch: messages beyond where their file is kept.
//! Failure story: a file is stored before it is named; killed in between, it is fetched again and found to be the same.

use crate::World;
use ponte_domain::error::{CallError, ErrorClass};
use ponte_domain::ids::{MessageId, NumberId};
use ponte_domain::inbound::MediaRef;
use ponte_domain::job::{ClaimedLane, Job, JobEnd, JobKind};
use ponte_domain::ports::store::{MediaEnd, Topic};
use ponte_domain::retry::Verdict;
use ponte_domain::{MINUTE, Millis, SECOND};
use serde::Deserialize;
use tokio_util::sync::CancellationToken;

const LEASE_MS: Millis = 5 * MINUTE;
const LOOK_MS: Millis = SECOND;

/// Fetches until stopped.
pub async fn run(world: World, stop: CancellationToken) {
    let mut seen = 0;
    while !stop.is_cancelled() {
        if step(&world).await == 0 {
            tokio::select! {
                next = world.store.wait(Topic::Media, seen, LOOK_MS) => seen = next,
                () = stop.cancelled() => {}
            }
        }
    }
}

/// One round over all numbers; how many files were worked on.
async fn step(world: &World) -> usize {
    let scopes = match world.store.scopes(world.workspace, JobKind::Media).await {
        Ok(scopes) => scopes,
        Err(error) => {
            tracing::error!(error = %error, "media lanes can't be read now");
            world.clock.sleep_ms(SECOND).await;
            return 0;
        }
    };
    let mut worked = 0;
    for scope in scopes {
        let (now, parallel) = (world.clock.now(), world.settings.media_parallel);
        let claim = world.store.claim_lanes(world.workspace, JobKind::Media, &scope, now, LEASE_MS, parallel, 1);
        let Ok(lanes) = claim.await else { continue };
        worked += lanes.len();
        let number = NumberId::from(scope);
        let ends = futures_util::future::join_all(lanes.into_iter().map(|lane| one(world, &number, lane))).await;
        let ends = ends.into_iter().flatten().collect();
        // Unsettled, the lanes run out and the files are fetched again.
        if let Err(error) = world.store.settle_media(world.workspace, world.clock.now(), ends).await {
            tracing::error!(error = %error, "fetched files can't be recorded now");
        }
    }
    worked
}

#[derive(Deserialize)]
struct Payload {
    message: MessageId,
    media: MediaRef,
}

async fn one(world: &World, number: &NumberId, claimed: ClaimedLane) -> Option<MediaEnd> {
    let job = claimed.jobs.into_iter().next()?;
    let Ok(Payload { message, media }) = serde_json::from_str(&job.payload) else {
        let error = CallError::new(ErrorClass::Permanent, "unreadable", "The job can't be read.");
        let message = MessageId(world.ids.next());
        return Some(MediaEnd { lane: claimed.lane, seq: job.seq, message, stored: None, end: JobEnd::Dead(error) });
    };
    let (stored, end) = match fetch(world, number, &media).await {
        Ok(stored) => {
            world.pulse.media_stored.add(1);
            (Some(stored), JobEnd::Done)
        }
        Err(error) => (None, failed(world, &job, error)),
    };
    Some(MediaEnd { lane: claimed.lane, seq: job.seq, message, stored, end })
}

async fn fetch(world: &World, number: &NumberId, media: &MediaRef) -> Result<(String, i64, Option<String>), CallError> {
    let fetched = world.channel.fetch_media(number, &media.id, media.sha256.as_deref()).await?;
    let size = i64::try_from(fetched.bytes.len()).unwrap_or(i64::MAX);
    let key = world.blobs.put(fetched.bytes).await.map_err(|e| {
        CallError::new(ErrorClass::Retryable { after_ms: None }, "disk", "The file can't be stored.")
            .with_detail(e.to_string())
    })?;
    Ok((key, size, fetched.mime_type.or_else(|| media.mime_type.clone())))
}

fn failed(world: &World, job: &Job, error: CallError) -> JobEnd {
    let now = world.clock.now();
    // Fetching twice does no harm: an unknown outcome is just a failure.
    let class = match &error.class {
        ErrorClass::UnknownOutcome => ErrorClass::Retryable { after_ms: None },
        other => other.clone(),
    };
    let failures = job.failures.saturating_add(1);
    match world.settings.media_retry.decide(&class, failures, job.created_at, now, world.chance.draw()) {
        Verdict::RetryAt(at) => JobEnd::Retry(at, error),
        Verdict::Settle | Verdict::DeadLetter => {
            world.pulse.dead_letters.add(1);
            JobEnd::Dead(error)
        }
    }
}
