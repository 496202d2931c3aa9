//! Folding statuses: they climb a ladder, settle sends whose outcome was unknown, and wait when they come too early.

use super::state::State;
use super::{News, Orphan};
use crate::Millis;
use crate::event::EventKind;
use crate::ids::{MessageId, NumberId};
use crate::inbound::{StatusUpdate, Update};
use crate::message::Phase;
use crate::status::Status;
use serde_json::json;

impl State<'_> {
    pub(super) fn status(&mut self, update: &Update, number: &NumberId, s: &StatusUpdate) {
        let Some(status) = s.status else {
            let dedup = super::state::said(&["status", number.as_str(), &s.raw]);
            let data = json!({ "reason": "unknown status value", "field": update.field, "raw": s.raw }).to_string();
            self.event(EventKind::Unrecognised, None, None, None, Some(number.clone()), Some(dedup), data);
            return;
        };
        let error = s.errors.first().map(|e| (e.code.to_string(), e.title.clone()));
        let Some(id) = self.subject(number, s) else {
            self.unmatched(number, s, status, error);
            return;
        };
        self.settle(id, s);
        self.climb(id, status, s.at, error, s.recipient.wa_id.as_deref());
        if let Some(pricing) = &s.pricing {
            self.changes.pricing.push((id, pricing.clone()));
        }
        self.recipient(update, number, id, s);
    }

    /// The message a status is about: by our id, which is surest, else by Meta's.
    fn subject(&self, number: &NumberId, s: &StatusUpdate) -> Option<MessageId> {
        let by_ours = s.opaque.as_ref().and_then(|o| o.parse::<MessageId>().ok()).filter(|id| self.head(*id).is_some());
        by_ours.or_else(|| self.find(number, &s.wamid))
    }

    /// A status proves that WhatsApp took the message: nothing may send it again.
    fn settle(&mut self, id: MessageId, s: &StatusUpdate) {
        let changed = self.change_message(id, |head| {
            let mut changed = false;
            if head.wamid.is_none() {
                head.wamid = Some(s.wamid.clone());
                changed = true;
            }
            if matches!(head.phase, Phase::Queued | Phase::Sending | Phase::Unknown | Phase::Dead) {
                head.phase = Phase::Accepted;
                head.stamps.accepted = head.stamps.accepted.or(Some(s.at));
                head.error = None;
                changed = true;
            }
            changed
        });
        if changed && let Some(head) = self.head(id).cloned() {
            self.changes.settled.push(head);
            self.message_event(EventKind::MessageAccepted, id, json!({ "settled_by": "status" }).to_string());
        }
    }

    /// Takes one rung; says it once. `to`: the digits of whom it was sent to.
    pub(super) fn climb(
        &mut self,
        id: MessageId,
        status: Status,
        at: Millis,
        error: Option<(String, String)>,
        to: Option<&str>,
    ) {
        let code = error.as_ref().map(|(code, _)| code.clone());
        let changed = self.change_message(id, |head| {
            let changed = head.stamps.merge(status, at);
            if changed && status == Status::Failed {
                head.error = error;
            }
            changed
        });
        if changed {
            let data = json!({ "status": status, "at": at, "code": code }).to_string();
            self.message_event(EventKind::MessageStatus, id, data);
            self.reported(id, status, at, code, to);
        }
    }

    fn unmatched(&mut self, number: &NumberId, s: &StatusUpdate, status: Status, error: Option<(String, String)>) {
        let kept = self.keep_orphan(Orphan {
            number: number.clone(),
            wamid: s.wamid.clone(),
            news: News::Status { status, error, to: s.recipient.wa_id.clone() },
            at: s.at,
        });
        if kept {
            let dedup = super::state::said(&["unmatched", number.as_str(), s.wamid.as_str(), status.as_str()]);
            let data = json!({ "wamid": s.wamid, "status": status, "at": s.at }).to_string();
            self.event(EventKind::StatusUnmatched, None, None, None, Some(number.clone()), Some(dedup), data);
        }
    }

    /// What a status tells about the person: more identifiers, the end of the free entry point, a stop of marketing.
    fn recipient(&mut self, update: &Update, number: &NumberId, id: MessageId, s: &StatusUpdate) {
        let Some(person) = self.head(id).map(|head| head.person) else { return };
        if s.group_participant.is_none() {
            let portfolio = self.context.directory.portfolio(&update.waba_id);
            let named = s.recipient.identities(&portfolio);
            // A late report is no sign of life: it brings nobody back who was erased.
            if !named.iter().any(|identity| self.is_erased(identity)) {
                for identity in named {
                    self.link(identity, person, s.at);
                }
            }
        }
        if let Some(until) = s.free_entry_until {
            self.change_conversation(number, person, |c| {
                let later = c.free_entry_until.is_none_or(|known| until > known);
                if later {
                    c.free_entry_until = Some(until);
                }
                later
            });
        }
        // 131050: the person stopped marketing messages from this business.
        if s.errors.iter().any(|e| e.code == 131_050) {
            self.stop_marketing(person, true, s.at);
            self.preference_entry(person, true, s.at, &["131050", s.wamid.as_str()]);
        }
    }

    pub(super) fn stop_marketing(&mut self, person: crate::ids::PersonId, stopped: bool, at: Millis) -> bool {
        let Some(row) = self.person_mut(person) else { return false };
        if row.preference_at.is_some_and(|known| known >= at) {
            return false;
        }
        row.preference_at = Some(at);
        row.marketing_stopped_at = stopped.then_some(at);
        true
    }
}
