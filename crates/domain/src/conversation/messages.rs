//! Folding messages: those of people, echoes from the Business app, and history.

use super::state::{State, digits_identity};
use super::{Located, News, Orphan};
use crate::Millis;
use crate::event::EventKind;
use crate::identity::IdentityKind;
use crate::ids::{MessageId, NumberId, PersonId};
use crate::inbound::{InboundMessage, SystemChange, Update};
use crate::job::{JobKind, NewJob};
use crate::message::{MessageHead, NewMessage, Origin, Phase, StoredReaction};
use crate::status::Stamps;
use serde_json::json;

/// How a message came to us.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Source {
    Customer,
    Phone,
    History,
}

impl Source {
    const fn origin(self) -> Origin {
        match self {
            Self::Customer | Self::History => Origin::Customer,
            Self::Phone => Origin::Phone,
        }
    }

    const fn event(self) -> EventKind {
        match self {
            Self::Customer => EventKind::MessageReceived,
            Self::Phone => EventKind::MessageEchoed,
            Self::History => EventKind::MessageImported,
        }
    }
}

impl State<'_> {
    pub(super) fn message(&mut self, located: &Located, number: &NumberId, m: &InboundMessage, source: Source) {
        let update = &located.update;
        if self.find(number, &m.wamid).is_some() {
            return;
        }
        let Some(person) = self.sender(update, m) else {
            self.anonymous(update, number, m);
            return;
        };
        self.known_number(number);
        let conversation = self.conversation(number, person, m.at);
        let id = MessageId(self.context.ids.next());
        // A history sync holds both sides; the parser marks the kind of what the business wrote.
        let (origin, kind) = match (source, m.kind.strip_prefix("business:")) {
            (Source::History, Some(kind)) => (Origin::Phone, kind),
            _ => (source.origin(), m.kind.as_str()),
        };
        let phase = if origin.is_inbound() { Phase::Received } else { Phase::Accepted };
        let waiting = self.add_message(NewMessage {
            head: MessageHead {
                id,
                conversation,
                person,
                number: number.clone(),
                wamid: Some(m.wamid.clone()),
                origin,
                class: None,
                phase,
                stamps: Stamps::default(),
                at: m.at,
                created_at: located.received_at,
                edited_at: None,
                withdrawn_at: None,
                error: m.errors.first().map(|e| (e.code.to_string(), e.title.clone())),
            },
            kind: kind.to_owned(),
            text: m.text.clone(),
            content: m.raw.clone(),
            reply_to: m.reply_to.clone().or_else(|| target_of(m)),
            forwarded: m.forwarded,
            media: m.media.clone(),
            idempotency_key: None,
            request_hash: None,
        });
        let data = json!({ "kind": m.kind, "group": m.group_id.is_some() }).to_string();
        self.event(source.event(), Some(person), Some(conversation), Some(id), Some(number.clone()), None, data);
        self.touch(number, person, m, source);
        self.effects(number, person, m, source);
        if source == Source::Customer {
            self.consent(number, person, id, m);
        }
        if origin.is_inbound() {
            self.heard(person, m);
        }
        self.file_media(number, id, m);
        for orphan in waiting {
            self.adopt(id, orphan);
        }
    }

    /// Who wrote; a change of number finds the person by the old identifiers and gives them the new ones.
    fn sender(&mut self, update: &Update, m: &InboundMessage) -> Option<PersonId> {
        if let Some(system) = &m.system {
            return self.system_change(update, m, system);
        }
        let person = self.resolve(update, &m.party, m.at)?;
        if let Some(phone) = &m.shared_phone {
            self.link(digits_identity(IdentityKind::Phone, phone), person, m.at);
        }
        Some(person)
    }

    fn system_change(&mut self, update: &Update, m: &InboundMessage, system: &SystemChange) -> Option<PersonId> {
        let old_user = system.previous_user_id.as_ref().map(|v| self.user_identity(update, v));
        let old_number = m.party.wa_id.as_ref().map(|v| digits_identity(IdentityKind::WaId, v));
        let known = old_user.iter().chain(&old_number).find_map(|identity| self.owner(identity));
        let person = match known {
            Some(person) => person,
            None => self.resolve(update, &m.party, m.at).or_else(|| {
                let party = crate::identity::Party {
                    wa_id: system.wa_id.clone(),
                    user_id: system.user_id.clone(),
                    ..crate::identity::Party::default()
                };
                self.resolve(update, &party, m.at)
            })?,
        };
        let old_user = old_user.filter(|_| system.user_id.is_some());
        let old_number = m.party.wa_id.as_ref().filter(|old| system.wa_id.as_ref().is_some_and(|new| new != *old));
        for old in old_user.into_iter().chain(
            old_number
                .into_iter()
                .flat_map(|digits| [IdentityKind::WaId, IdentityKind::Phone].map(|kind| digits_identity(kind, digits))),
        ) {
            self.end_identity(old, person);
        }
        if let Some(user_id) = &system.user_id {
            let identity = self.user_identity(update, user_id);
            self.move_identity(identity, person, m.at);
        }
        if let Some(wa_id) = &system.wa_id {
            self.move_identity(digits_identity(IdentityKind::WaId, wa_id), person, m.at);
        }
        Some(person)
    }

    fn anonymous(&mut self, update: &Update, number: &NumberId, m: &InboundMessage) {
        let dedup = super::state::said(&["anonymous", number.as_str(), m.wamid.as_str()]);
        let data = json!({ "reason": "the message names no sender", "field": update.field, "raw": m.raw }).to_string();
        self.event(EventKind::Unrecognised, None, None, None, Some(number.clone()), Some(dedup), data);
    }

    fn known_number(&mut self, number: &NumberId) {
        if !self.context.directory.knows(number) {
            let dedup = format!("number:{number}");
            let data =
                json!({ "reason": "this phone_number_id is not configured", "phone_number_id": number }).to_string();
            self.event(EventKind::Unrecognised, None, None, None, Some(number.clone()), Some(dedup), data);
        }
    }

    fn touch(&mut self, number: &NumberId, person: PersonId, m: &InboundMessage, source: Source) {
        let opens = m.opens_window && source == Source::Customer;
        self.change_conversation(number, person, |c| {
            let mut changed = false;
            if m.at > c.last_message_at {
                c.last_message_at = m.at;
                changed = true;
            }
            if opens && c.last_inbound_at.is_none_or(|known| m.at > known) {
                c.last_inbound_at = Some(m.at);
                changed = true;
            }
            if m.referral.is_some() && source == Source::Customer {
                c.referral.clone_from(&m.referral);
                changed = true;
            }
            changed
        });
    }

    fn effects(&mut self, number: &NumberId, person: PersonId, m: &InboundMessage, source: Source) {
        if let Some(reaction) = &m.reaction {
            let by_person = source.origin().is_inbound().then_some(person);
            self.changes.reactions.push(StoredReaction {
                number: number.clone(),
                target: reaction.target.clone(),
                person: by_person,
                emoji: reaction.emoji.clone(),
                at: m.at,
            });
            let target = self.find(number, &reaction.target);
            let data = json!({ "target": reaction.target, "removed": reaction.emoji.is_none() }).to_string();
            self.event(EventKind::ReactionChanged, Some(person), None, target, Some(number.clone()), None, data);
        }
        let news = match (&m.edit, &m.revoke) {
            (Some(edit), _) => {
                Some((edit.target.clone(), News::Edit { text: edit.text.clone(), content: edit.raw.clone() }))
            }
            (None, Some(target)) => Some((target.clone(), News::Withdrawn)),
            (None, None) => None,
        };
        if let Some((target, news)) = news {
            match self.find(number, &target) {
                Some(id) => self.apply_news(id, news, m.at),
                None => {
                    self.keep_orphan(Orphan { number: number.clone(), wamid: target, news, at: m.at });
                }
            }
        }
    }

    fn file_media(&mut self, number: &NumberId, id: MessageId, m: &InboundMessage) {
        let Some(media) = &m.media else { return };
        self.changes.jobs.push(NewJob {
            kind: JobKind::Media,
            lane: format!("{number}/{}", media.id),
            scope: number.to_string(),
            priority: 0,
            not_before: self.context.now,
            payload: json!({ "message": id, "media": media }).to_string(),
            dedup: Some(id.to_string()),
        });
    }

    pub(super) fn adopt(&mut self, id: MessageId, orphan: Orphan) {
        self.apply_news(id, orphan.news, orphan.at);
    }

    /// Applies news to a message that is known.
    pub(super) fn apply_news(&mut self, id: MessageId, news: News, at: Millis) {
        match news {
            News::Status { status, error, to } => {
                self.climb(id, status, at, error, to.as_deref());
            }
            News::Edit { text, content } => {
                let changed = self.change_message(id, |head| {
                    let newer = head.edited_at.is_none_or(|known| at > known);
                    if newer {
                        head.edited_at = Some(at);
                    }
                    newer
                });
                if changed {
                    self.change_text(id, text, content);
                    self.message_event(EventKind::MessageEdited, id, "{}".to_owned());
                }
            }
            News::Withdrawn => {
                // The text stays: it was said, and then taken back.
                let changed = self.change_message(id, |head| {
                    let earlier = head.withdrawn_at.is_none_or(|known| at < known);
                    if earlier {
                        head.withdrawn_at = Some(at);
                    }
                    earlier
                });
                if changed {
                    self.message_event(EventKind::MessageWithdrawn, id, "{}".to_owned());
                }
            }
        }
    }

    pub(super) fn message_event(&mut self, kind: EventKind, id: MessageId, data: String) {
        let Some(head) = self.head(id) else { return };
        let (person, conversation, number) = (head.person, head.conversation, head.number.clone());
        self.event(kind, Some(person), Some(conversation), Some(id), Some(number), None, data);
    }
}

fn target_of(m: &InboundMessage) -> Option<crate::ids::Wamid> {
    let reaction = m.reaction.as_ref().map(|r| r.target.clone());
    reaction.or_else(|| m.edit.as_ref().map(|e| e.target.clone())).or_else(|| m.revoke.clone())
}
