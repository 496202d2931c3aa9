//! What becomes of an accepted message: when it is sent, delivered, read, played, or why it failed.
//! May touch: the book and the agenda. Must not touch: sockets.

use super::agenda::Event;
use super::hooks::{Update, What};
use super::ledger::{Record, Status};
use super::stats::Counters;
use super::world::{Arrival, World};
use crate::chance::Draw;
use std::time::Duration;

/// The major version of `v26.0`; 26 when it cannot be read.
pub(crate) fn webhook_version(graph_version: &str) -> u32 {
    graph_version.trim_start_matches('v').split('.').next().and_then(|major| major.parse().ok()).unwrap_or(26)
}

/// `error_data.details` of a failed status.
pub(crate) fn failure_details(code: u32) -> &'static str {
    match code {
        131_026 => {
            "Message undeliverable: the recipient has no WhatsApp, an old version, or has not accepted the terms."
        }
        131_047 => {
            "Message failed to send because more than 24 hours have passed since the customer last replied to this number."
        }
        131_049 => "In order to maintain a healthy ecosystem engagement, the message failed to be delivered.",
        131_050 => {
            "Message was not delivered: the recipient chose to stop receiving marketing messages from your business."
        }
        131_053 => "Media upload error: the file type does not fit the message type.",
        131_009 => {
            "Parameter value is not valid: the message reacted to is unknown, deleted, too old or itself a reaction."
        }
        131_048 => "Message failed to send because the messaging limit of this portfolio is used up.",
        _ => "",
    }
}

/// The times at which a message reaches its statuses, drawn from its own random stream.
pub(crate) struct Plan(Vec<(Duration, Status)>);

impl Plan {
    /// A message that only fails.
    pub fn failing(world: &World, draw: &mut Draw) -> Self {
        Self(vec![(draw.latency(&world.config.status.sent), Status::Failed)])
    }

    /// A message that goes through, as far as chance takes it. Reactions only get `sent`.
    pub fn passing(world: &World, draw: &mut Draw, kind: &str, voice: bool) -> Self {
        let rules = &world.config.status;
        let mut at = draw.latency(&rules.sent);
        let mut steps = vec![(at, Status::Sent)];
        if kind == "reaction" || !draw.happens(rules.delivered_share) {
            return Self(steps);
        }
        at += draw.latency(&rules.delivered);
        let delivered_at = at;
        let read = draw.happens(rules.read_share);
        if !(read && draw.happens(rules.skip_delivered_share)) {
            steps.push((delivered_at, Status::Delivered));
        }
        if read {
            at += draw.latency(&rules.read);
            steps.push((at, Status::Read));
            if voice && draw.happens(rules.played_share) {
                at += draw.latency(&rules.played);
                steps.push((at, Status::Played));
            }
        }
        Self(steps)
    }

    /// The status that carries `pricing`: `sent`, or the first that proves delivery. Meta promises only one of them.
    pub fn priced_at(&self, draw: &mut Draw) -> Status {
        let proof =
            self.0.iter().map(|(_, status)| *status).find(|status| matches!(status, Status::Delivered | Status::Read));
        match proof {
            Some(proof) if draw.happens(0.5) => proof,
            _ => Status::Sent,
        }
    }

    pub fn schedule(self, world: &World, index: usize) {
        for (delay, status) in self.0 {
            world.later(delay, Event::Status { index, status });
        }
    }
}

/// A message reaches a status: it is written down and told.
pub(crate) fn reach(world: &World, index: usize, status: Status) {
    let now = world.now_ms();
    let (number, error, arrival) = {
        let mut book = world.book();
        let Some(record) = book.records.get_mut(index) else { return };
        if let Some(at) = record.at_ms.get_mut(status as usize) {
            *at = now;
        }
        let reader = record.person.filter(|_| status == Status::Read);
        let arrival = reader.map(|person| arrival(record, person));
        (record.number, record.error, arrival)
    };
    Counters::one(&world.counters.statuses_generated);
    if status == Status::Failed {
        world.counters.fail(error);
    }
    if let Some(arrival) = arrival
        && world.arrivals.receiver_count() > 0
    {
        let _ = world.arrivals.send(arrival);
    }
    let waba = world.lines.get(number).map_or(0, |line| line.waba);
    world.emit(Update { waba, number: Some(number), what: What::Status { index, status } });
}

fn arrival(record: &Record, person: usize) -> Arrival {
    Arrival { person, number: record.number, wamid: record.wamid.clone(), kind: record.kind }
}
