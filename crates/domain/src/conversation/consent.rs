//! Folding what people say about consent: words, buttons, WhatsApp's own preference. Entries have ids made of what was said,
//! so that reading it again adds nothing.

use super::state::State;
use crate::consent::{Action, Entry, OpenRequest, Proof, Scope, ScopeKind, Source, Thanks, button_of, entry_id};
use crate::event::EventKind;
use crate::ids::{MessageId, NumberId, PersonId};
use crate::inbound::{InboundMessage, UpdateKind};
use crate::{Millis, SECOND};
use serde_json::json;

/// WhatsApp's times are whole seconds (facts 2.3). What was said within one is dated at its end, so that a withdrawal is
/// never older than the word it takes back, nor an answer than its question.
const SECONDS_END: Millis = SECOND - 1;

/// Longest text that may be a word, bytes. Longer ones need no look at the ledger.
const SHORT: usize = 120;

/// True when the consent of whoever wrote may change by this.
pub(super) fn may_matter(kind: &UpdateKind) -> bool {
    match kind {
        UpdateKind::Message(m) => readable(m) && m.text.as_ref().is_some_and(|t| t.len() <= SHORT),
        _ => false,
    }
}

/// A group is not a person: what is said there is said to the group.
fn readable(m: &InboundMessage) -> bool {
    m.group_id.is_none() && matches!(m.kind.as_str(), "text" | "button" | "interactive")
}

impl State<'_> {
    /// What a new message of a person says about consent.
    pub(super) fn consent(&mut self, number: &NumberId, person: PersonId, message: MessageId, m: &InboundMessage) {
        if !readable(m) {
            return;
        }
        if let Some(button) = button_of(&m.kind, &m.raw) {
            let request = self.requests.iter().find(|r| r.id == button.request && r.person == person).cloned();
            match (button.yes, request) {
                (true, Some(request)) => self.agree(number, &request, Source::Button, message, m),
                // Answered before, or run out: a late yes is no consent, and the person is free to say so anew.
                (true, None) => {}
                (false, request) => {
                    let scope = request.map_or(Scope::MARKETING, |r| r.scope);
                    self.refuse(number, person, scope, Source::Button, "", message, m);
                }
            }
            return;
        }
        let settings = self.context.consent;
        let Some(said) = m.text.as_deref().and_then(|text| settings.words.read(text)) else { return };
        let source = said.source(&m.kind);
        if said.action == Action::Withdrawn {
            self.refuse(number, person, Scope::MARKETING, source, &said.language, message, m);
            return;
        }
        let open = |r: &&OpenRequest| {
            r.person == person && r.number == *number && (r.asked_at..=r.expires_at).contains(&(m.at + SECONDS_END))
        };
        if let Some(request) = self.requests.iter().filter(open).max_by_key(|r| r.asked_at).cloned() {
            self.agree(number, &request, source, message, m);
        }
    }

    fn agree(
        &mut self,
        number: &NumberId,
        request: &OpenRequest,
        source: Source,
        message: MessageId,
        m: &InboundMessage,
    ) {
        let mut entry = word(number, request.person, request.scope.clone(), Action::Confirmed, source, message, m);
        // An answer comes after its question, whatever the two clocks say.
        entry.at = entry.at.max(request.asked_at);
        self.requests.retain(|r| r.id != request.id);
        self.changes.answered.push(request.id);
        let standing = self.standings.entry(request.person).or_default().0.entry(entry.scope.clone()).or_default();
        standing.confirmed_at = standing.confirmed_at.max(Some(entry.at));
        self.changed(number, entry);
    }

    #[expect(clippy::too_many_arguments, reason = "a word has a speaker, an object, a way and a place")]
    fn refuse(
        &mut self,
        number: &NumberId,
        person: PersonId,
        scope: Scope,
        source: Source,
        language: &str,
        message: MessageId,
        m: &InboundMessage,
    ) {
        let entry = word(number, person, scope.clone(), Action::Withdrawn, source, message, m);
        let closed = |r: &OpenRequest| r.person == person && r.scope.kind == scope.kind && r.asked_at <= entry.at;
        self.changes.answered.extend(self.requests.iter().filter(|r| closed(r)).map(|r| r.id));
        self.requests.retain(|r| !closed(r));
        let standings = self.standings.entry(person).or_default();
        // Who says it twice is told once.
        let known = standings.on(ScopeKind::Marketing, number, None).is_withdrawn();
        let standing = standings.0.entry(scope).or_default();
        standing.withdrawn_at = standing.withdrawn_at.max(Some(entry.at));
        if !known {
            self.changes.thanks.push(Thanks {
                id: entry.id,
                person,
                number: number.clone(),
                language: language.to_owned(),
                at: m.at,
            });
        }
        self.changed(number, entry);
    }

    /// WhatsApp's own stop or resumption as a word of the ledger.
    pub(super) fn preference_entry(&mut self, person: PersonId, stopped: bool, at: Millis, told: &[&str]) {
        let action = if stopped { Action::Withdrawn } else { Action::Confirmed };
        let at = if stopped { at + SECONDS_END } else { at };
        let (who, when) = (person.to_string(), at.to_string());
        let mut parts = vec!["preference", who.as_str(), action.as_str(), when.as_str()];
        parts.extend(told);
        self.changes.consent.push(Entry {
            id: entry_id(&parts),
            person,
            scope: Scope::MARKETING,
            action,
            source: Source::Preference,
            proof: Proof { note: Some(told.join(" ")), ..Proof::default() },
            at,
            until: None,
            said_by: "whatsapp".to_owned(),
        });
    }

    fn changed(&mut self, number: &NumberId, entry: Entry) {
        let (person, message) = (Some(entry.person), entry.proof.message_id);
        let dedup = Some(format!("consent:{}", entry.id));
        let data = json!({ "id": entry.id, "scope": entry.scope, "action": entry.action, "source": entry.source });
        let number = Some(number.clone());
        self.event(EventKind::ConsentChanged, person, None, message, number, dedup, data.to_string());
        self.changes.consent.push(entry);
    }
}

fn word(
    number: &NumberId,
    person: PersonId,
    scope: Scope,
    action: Action,
    source: Source,
    message: MessageId,
    m: &InboundMessage,
) -> Entry {
    let proof = Proof { message_id: Some(message), wamid: Some(m.wamid.to_string()), ..Proof::default() };
    Entry {
        id: entry_id(&["said", number.as_str(), m.wamid.as_str(), action.as_str()]),
        person,
        scope,
        action,
        source,
        proof,
        at: m.at + SECONDS_END,
        until: None,
        said_by: "whatsapp".to_owned(),
    }
}
