//! What becomes of one message: the policy's second look, the call, the verdict on a failure, and what to believe of a send
//! whose outcome is unknown.

use crate::World;
use crate::question::{Facts, Rules};
use ponte_domain::consent::is_question;
use ponte_domain::error::{CallError, ErrorClass, ThrottleScope};
use ponte_domain::identity::{Identity, IdentityKind};
use ponte_domain::ids::NumberId;
use ponte_domain::job::Class;
use ponte_domain::message::Phase;
use ponte_domain::outbound::Outbound;
use ponte_domain::policy::{Decision, decide};
use ponte_domain::ports::channel::{Accepted, Address};
use ponte_domain::ports::store::{OutMessage, SendEnd, SendSettlement, SendTask, SendWhat};
use ponte_domain::reach;
use ponte_domain::retry::Verdict;
use ponte_domain::{MINUTE, Millis};
use std::sync::atomic::{AtomicU32, Ordering};

/// Answers of one number since the last adjustment of its pace.
#[derive(Debug, Default)]
pub(super) struct Tally {
    succeeded: AtomicU32,
    throttled: AtomicU32,
    timed_out: AtomicU32,
}

impl Tally {
    pub(super) fn take(&self) -> (u32, u32, u32) {
        let take = |n: &AtomicU32| n.swap(0, Ordering::Relaxed);
        (take(&self.succeeded), take(&self.throttled), take(&self.timed_out))
    }

    fn count(&self, result: &Result<Accepted, CallError>) {
        let counter = match result {
            Ok(_) => &self.succeeded,
            Err(error) => match &error.class {
                ErrorClass::Throttled { scope: ThrottleScope::Number | ThrottleScope::Account, .. } => &self.throttled,
                ErrorClass::UnknownOutcome => &self.timed_out,
                // No answer at all, not even a refusal.
                ErrorClass::Retryable { .. } if error.http_status.is_none() => &self.timed_out,
                // The API answered, promptly and about this message only.
                _ => &self.succeeded,
            },
        };
        counter.fetch_add(1, Ordering::Relaxed);
    }
}

pub(super) async fn of(
    world: &World,
    number: &NumberId,
    tally: &Tally,
    working_since: Millis,
    task: &SendTask,
) -> SendEnd {
    match &task.what {
        SendWhat::Missing => SendEnd::Drop,
        SendWhat::Receipt => receipt(world, number, tally, task).await,
        SendWhat::Message(m) => match m.head.phase {
            Phase::Accepted => SendEnd::AlreadyAccepted,
            Phase::Received | Phase::Refused | Phase::Dead => SendEnd::Drop,
            _ if task.job.begun => settle_unknown(world, working_since, task, m),
            _ => message(world, number, tally, task, m).await,
        },
    }
}

async fn receipt(world: &World, number: &NumberId, tally: &Tally, task: &SendTask) -> SendEnd {
    #[derive(serde::Deserialize)]
    struct Payload {
        receipt: Outbound,
    }
    let Ok(Payload { receipt }) = serde_json::from_str(&task.job.payload) else { return SendEnd::Drop };
    let nobody = Address::Phone(String::new());
    let result = world.channel.send(number, &nobody, &receipt, None, "").await;
    tally.count(&result);
    match result {
        Ok(_) => SendEnd::Accepted { wamid: None, identities: Vec::new(), held: None },
        // Twice read is read.
        Err(error) if error.class == ErrorClass::UnknownOutcome => {
            let error = CallError { class: ErrorClass::Retryable { after_ms: None }, ..error };
            verdict(world, number, task, error).await
        }
        Err(error) => verdict(world, number, task, error).await,
    }
}

async fn message(world: &World, number: &NumberId, tally: &Tally, task: &SendTask, m: &OutMessage) -> SendEnd {
    let Ok(outbound) = serde_json::from_str::<Outbound>(&m.content) else {
        return SendEnd::Dead(CallError::new(ErrorClass::Permanent, "unreadable", "The stored message can't be read."));
    };
    let Some(to) = &m.to else {
        let title = "The recipient has neither a phone number nor a user id any more.";
        return SendEnd::Dead(CallError::new(ErrorClass::Permanent, "no_address", title));
    };
    let rules = Rules::of(world);
    let question = rules.question(&Facts {
        message: &outbound,
        class: m.head.class.unwrap_or(Class::Reply),
        now: world.clock.now(),
        number,
        last_inbound_at: m.last_inbound_at,
        marketing_stopped_at: m.marketing_stopped_at,
        policy: &m.policy,
        phone: match to {
            Address::Phone(digits) => Some(digits),
            Address::UserId(_) => None,
        },
        number_blocked_until: m.number_blocked_until,
        // Only the gate lets questions in, and it knew.
        asks: matches!(&outbound, Outbound::Template { template } if is_question(template)),
    });
    match decide(&question) {
        Decision::Deny(rule) => return SendEnd::Refused(rule),
        Decision::Defer(until, _) => return SendEnd::PutBack(until),
        Decision::Allow => {}
    }
    let opaque = m.head.id.to_string();
    let result = world.channel.send(number, to, &outbound, m.reply_to.as_deref(), &opaque).await;
    tally.count(&result);
    match result {
        Ok(accepted) => {
            world.pulse.to_whatsapp.record(world.clock.now() - m.head.created_at);
            let portfolio = world.directory.get(number).map_or("", |n| n.limits.portfolio.as_str());
            SendEnd::Accepted {
                identities: identities(&accepted, portfolio),
                wamid: accepted.wamid,
                held: accepted.held,
            }
        }
        Err(error) => match (verdict(world, number, task, error).await, to) {
            (SendEnd::Dead(error), Address::Phone(digits)) if reach::is_evidence(&error.code) => {
                SendEnd::Undeliverable(error, digits.clone(), world.settings.reach)
            }
            (end, _) => end,
        },
    }
}

fn identities(accepted: &Accepted, portfolio: &str) -> Vec<Identity> {
    let mut found = accepted.party.identities(portfolio);
    found.retain(|i| matches!(i.kind, IdentityKind::WaId | IdentityKind::UserId | IdentityKind::ParentUserId));
    found
}

/// A hold longer than this would keep replies from people who wait: then only the message itself waits.
const LONGEST_HOLD: Millis = MINUTE;

async fn verdict(world: &World, number: &NumberId, task: &SendTask, error: CallError) -> SendEnd {
    let now = world.clock.now();
    let failures = task.job.failures.saturating_add(1);
    let chance = world.chance.draw();
    let verdict = world.settings.send_retry.decide(&error.class, failures, task.job.created_at, now, chance);
    tracing::warn!(number = %number, code = %error.code, trace = error.trace.as_deref(), failures, ?verdict, "a send failed");
    match verdict {
        Verdict::RetryAt(at) => {
            let whole_number = matches!(
                error.class,
                ErrorClass::Throttled { scope: ThrottleScope::Number | ThrottleScope::Account, .. }
                    | ErrorClass::Auth
                    | ErrorClass::Configuration
            );
            if whole_number {
                world.pulse.throttled.add(1);
                if at - now <= LONGEST_HOLD * 2 {
                    let _ = world.store.hold(world.workspace, number.as_str(), at).await;
                }
            }
            SendEnd::Retry(at, error)
        }
        Verdict::Settle => SendEnd::Unknown(now + world.settings.unknown_look_ms, error),
        Verdict::DeadLetter => SendEnd::Dead(error),
    }
}

/// A send that was begun and never settled. A status would have settled it. So: wait; believe silence only when WhatsApp has
/// meanwhile reported on later messages of the number; else let a person decide.
fn settle_unknown(world: &World, working_since: Millis, task: &SendTask, m: &OutMessage) -> SendEnd {
    let now = world.clock.now();
    let settings = &world.settings;
    let begun_at = task.job.begun_at.unwrap_or(now);
    // Reports that could not be delivered while this program was away come again in growing gaps, about as long as it was
    // away: they are waited for at least that long.
    let waited = now - begun_at.max(working_since);
    let settle_ms = settings.unknown_settle_ms.max(working_since - begun_at);
    if waited >= settle_ms && m.later_ones_reported {
        let title = "WhatsApp reported on later messages but never on this one: it was not taken.";
        return SendEnd::Retry(now, CallError::new(ErrorClass::Retryable { after_ms: None }, "not_taken", title));
    }
    let unknown =
        || CallError::new(ErrorClass::UnknownOutcome, "unknown_outcome", "Nobody knows whether WhatsApp took it.");
    if waited >= settings.unknown_give_up_ms {
        return SendEnd::Dead(unknown());
    }
    SendEnd::Unknown(now + settings.unknown_look_ms, unknown())
}

pub(super) fn count(world: &World, batch: &[SendSettlement]) {
    let pulse = &world.pulse;
    for settlement in batch {
        match &settlement.end {
            SendEnd::Accepted { .. } => pulse.sends_accepted.add(1),
            SendEnd::Refused(_) => pulse.sends_refused.add(1),
            SendEnd::Retry(..) => pulse.sends_retried.add(1),
            SendEnd::Unknown(..) => pulse.sends_unknown.add(1),
            SendEnd::Dead(_) | SendEnd::Undeliverable(..) => pulse.dead_letters.add(1),
            SendEnd::AlreadyAccepted | SendEnd::PutBack(_) | SendEnd::Drop => {}
        }
    }
}
