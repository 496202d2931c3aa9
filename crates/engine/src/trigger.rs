//! # Trigger
//! Purpose: brings messages that a CRM's events ask for to the send gate, in order per person, each once.
//! May touch: the lanes of the kind trigger, the gate.
//! Must not touch: what asks for a message and with which words; the mapping's pure function has decided that.
//! Failure story: asked again after a kill, the gate knows the key. What the gate refuses is recorded with the message, like any
//! refusal; what can't even be read as a message is a dead letter.

use crate::World;
use crate::connection::Connection;
use crate::gate::{self, SendRequest, To};
use ponte_domain::error::{CallError, ErrorClass};
use ponte_domain::job::{ClaimedLane, Job, JobEnd, JobKind};
use ponte_domain::mapping::trigger::Fired;
use ponte_domain::outbound::Outbound;
use ponte_domain::ports::store::{Answer, Topic};
use ponte_domain::{MINUTE, Millis, SECOND};
use tokio_util::sync::CancellationToken;

const LEASE_MS: Millis = MINUTE;
const LOOK_MS: Millis = SECOND / 2;
/// Lanes and jobs of one lane at once.
const AT_ONCE: (usize, usize) = (100, 10);

/// Works the lanes of a connection until stopped.
pub async fn run(world: World, connection: Connection, stop: CancellationToken) {
    if connection.settings.triggers.is_empty() {
        stop.cancelled().await;
        return;
    }
    let mut seen = 0;
    while !stop.is_cancelled() {
        if step(&world, &connection).await == 0 {
            tokio::select! {
                next = world.store.wait(Topic::Crm, seen, LOOK_MS) => seen = next,
                () = stop.cancelled() => {}
            }
        }
    }
}

async fn step(world: &World, connection: &Connection) -> usize {
    let now = world.clock.now();
    let (lanes, jobs) = AT_ONCE;
    let id = connection.id.as_str();
    let claim = world.store.claim_lanes(world.workspace, JobKind::Trigger, id, now, LEASE_MS, lanes, jobs);
    let claimed = match claim.await {
        Ok(claimed) => claimed,
        Err(error) => {
            tracing::error!(error = %error, connection = id, "what a CRM's events ask for can't be read now");
            world.clock.sleep_ms(SECOND).await;
            return 0;
        }
    };
    let count = claimed.len();
    if count == 0 {
        return 0;
    }
    let mut ends = Vec::new();
    let mut wishes = Vec::new();
    for ClaimedLane { lane, jobs } in claimed {
        for job in jobs {
            match wish(&job) {
                Ok(request) => wishes.push((lane.clone(), job, request)),
                Err(error) => {
                    world.pulse.dead_letters.add(1);
                    ends.push((lane.clone(), job.seq, JobEnd::Dead(error)));
                }
            }
        }
    }
    let requests = wishes.iter().map(|(.., request)| request.clone()).collect();
    match gate::admit(world, requests).await {
        Ok(answers) => {
            for ((lane, job, request), answer) in wishes.into_iter().zip(answers) {
                if let Answer::Refused { rule, .. } = &answer {
                    let key = request.idempotency_key.unwrap_or_default();
                    tracing::info!(
                        connection = id,
                        key,
                        rule = rule.code,
                        "a message that the CRM asked for was refused"
                    );
                }
                ends.push((lane, job.seq, JobEnd::Done));
            }
        }
        Err(error) => {
            tracing::error!(error = %error, connection = id, "what a CRM's events ask for can't be let in now");
            let again = now + SECOND;
            ends.extend(wishes.into_iter().map(|(lane, job, _)| (lane, job.seq, JobEnd::PutBack(again))));
        }
    }
    if let Err(error) = world.sync.settle_jobs(world.workspace, world.clock.now(), ends).await {
        // Asked again later: the gate knows the keys.
        tracing::error!(error = %error, connection = id, "what was let in can't be recorded now");
    }
    count
}

#[expect(clippy::result_large_err, reason = "the error says much and is made once per failed job")]
fn wish(job: &Job) -> Result<SendRequest, CallError> {
    let unreadable = |detail: String| {
        CallError::new(
            ErrorClass::Permanent,
            "message_unreadable",
            "The trigger's message can't be sent as it is written.",
        )
        .with_detail(detail)
    };
    let fired: Fired = serde_json::from_str(&job.payload).map_err(|e| unreadable(e.to_string()))?;
    let message: Outbound = serde_json::from_value(fired.message).map_err(|e| unreadable(e.to_string()))?;
    Ok(SendRequest {
        number: fired.number,
        to: Some(To::Person(fired.person)),
        message,
        class: None,
        origin: Fired::ORIGIN,
        reply_to: None,
        not_before: None,
        idempotency_key: Some(fired.key),
    })
}
