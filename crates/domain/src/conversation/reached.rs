//! Folding what messages and statuses tell about whether people can be reached.

use super::state::State;
use crate::Millis;
use crate::event::EventKind;
use crate::ids::{MessageId, PersonId};
use crate::inbound::InboundMessage;
use crate::profile::Unreachable;
use crate::reach::{self, Failure, Turn};
use crate::status::Status;
use serde_json::json;

impl State<'_> {
    /// A message of the person is a sign of life. Of a change of number, the new one lives, and of the old one nothing is known.
    pub(super) fn heard(&mut self, person: PersonId, m: &InboundMessage) {
        let from = match &m.system {
            Some(system) => match &system.wa_id {
                Some(new) => Some(new.as_str()),
                None => return,
            },
            None => m.party.wa_id.as_deref(),
        };
        let turns = self.reach.alive(person, from, m.at, self.context.reach);
        self.turn(person, None, &turns, true, m.at);
    }

    /// A status that is news: what reached the phone is a sign of life, what WhatsApp couldn't deliver is evidence.
    pub(super) fn reported(
        &mut self,
        id: MessageId,
        status: Status,
        at: Millis,
        code: Option<String>,
        to: Option<&str>,
    ) {
        let (Some(to), Some(person)) = (to, self.head(id).map(|head| head.person)) else { return };
        match (status, code) {
            (Status::Delivered | Status::Read | Status::Played, _) => {
                let turns = self.reach.alive(person, Some(to), at, self.context.reach);
                self.turn(person, Some(id), &turns, true, at);
            }
            (Status::Failed, Some(code)) if reach::is_evidence(&code) => {
                let failure = Failure { at, code, message: id };
                let turns = self.reach.failed(person, to, failure, self.context.reach);
                self.turn(person, Some(id), turns.as_slice(), false, at);
            }
            _ => {}
        }
    }

    fn turn(&mut self, person: PersonId, message: Option<MessageId>, turns: &[Turn], alive: bool, at: Millis) {
        let known = self.person(person).map_or(Unreachable::No, |p| p.unreachable);
        let label = self.reach.label(person, known, turns, alive);
        if let Some(unreachable) = label {
            self.relabel(person, unreachable);
        }
        for turn in turns {
            let kind = if turn.dead { EventKind::LineDead } else { EventKind::LineAlive };
            self.event(kind, Some(person), None, message, None, None, reach::told(turn).to_string());
        }
        if label == Some(false) && turns.is_empty() {
            let data = json!({ "alive_at": at }).to_string();
            self.event(EventKind::LineAlive, Some(person), None, message, None, None, data);
        }
    }
}
