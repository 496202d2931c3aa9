//! The working state of a fold: what was loaded, changed in place, with a mark on everything that changed.

use super::{Changes, Context, News, Orphan, Snapshot, user_identity};
use crate::Millis;
use crate::consent::{OpenRequest, Standings};
use crate::event::{EventKind, NewEvent};
use crate::identity::{Identity, IdentityKind, Party};
use crate::ids::{ConversationId, MessageId, NumberId, PersonId, Wamid};
use crate::inbound::Update;
use crate::job::Class;
use crate::message::{Conversation, MessageHead, NewIdentity, NewMessage, Person};
use crate::profile::Unreachable;
use crate::reach::Book;
use sha2::{Digest, Sha256};
use std::collections::{HashMap, HashSet};

/// The lane of a send: order is kept within one person, number and class, so that a reply never waits for a campaign.
#[must_use]
pub fn send_lane(number: &NumberId, person: PersonId, class: Class) -> String {
    format!("{number}/{}/{}", person.0.simple(), class.as_str())
}

pub(super) struct State<'a> {
    pub(super) context: &'a Context<'a>,
    identities: HashMap<Identity, PersonId>,
    people: HashMap<PersonId, Person>,
    conversations: HashMap<(NumberId, PersonId), Conversation>,
    messages: HashMap<MessageId, MessageHead>,
    by_wamid: HashMap<(NumberId, Wamid), MessageId>,
    orphans: HashMap<(NumberId, Wamid), Vec<Orphan>>,
    fresh_messages: HashMap<MessageId, usize>,
    erased: HashSet<Identity>,
    new_people: Vec<PersonId>,
    changed_people: HashSet<PersonId>,
    new_conversations: Vec<(NumberId, PersonId)>,
    changed_conversations: HashSet<(NumberId, PersonId)>,
    changed_messages: HashSet<MessageId>,
    pub(super) standings: HashMap<PersonId, Standings>,
    pub(super) requests: Vec<OpenRequest>,
    pub(super) reach: Book,
    pub(super) changes: Changes,
}

impl<'a> State<'a> {
    pub(super) fn new(snapshot: Snapshot, context: &'a Context<'a>) -> Self {
        let mut orphans: HashMap<_, Vec<_>> = HashMap::new();
        for orphan in snapshot.orphans {
            orphans.entry((orphan.number.clone(), orphan.wamid.clone())).or_default().push(orphan);
        }
        let by_wamid = snapshot
            .messages
            .iter()
            .filter_map(|m| m.wamid.clone().map(|wamid| ((m.number.clone(), wamid), m.id)))
            .collect();
        Self {
            context,
            identities: snapshot.identities.into_iter().map(|l| (l.identity, l.person)).collect(),
            people: snapshot.people.into_iter().map(|p| (p.id, p)).collect(),
            conversations: snapshot.conversations.into_iter().map(|c| ((c.number.clone(), c.person), c)).collect(),
            messages: snapshot.messages.into_iter().map(|m| (m.id, m)).collect(),
            by_wamid,
            orphans,
            fresh_messages: HashMap::new(),
            erased: snapshot.erased,
            new_people: Vec::new(),
            changed_people: HashSet::new(),
            new_conversations: Vec::new(),
            changed_conversations: HashSet::new(),
            changed_messages: HashSet::new(),
            standings: snapshot.standings,
            requests: snapshot.requests,
            reach: snapshot.reach,
            changes: Changes::default(),
        }
    }

    /// Whose update this is: found by any identifier, or made. All identifiers named belong to them afterwards.
    pub(super) fn resolve(&mut self, update: &Update, party: &Party, at: Millis) -> Option<PersonId> {
        if party.is_anonymous() {
            return None;
        }
        let portfolio = self.context.directory.portfolio(&update.waba_id);
        let named = party.identities(&portfolio);
        let mut lookup = named.clone();
        lookup.extend(party.wa_id.as_ref().map(|digits| digits_identity(IdentityKind::Phone, digits)));
        let found: Vec<PersonId> = lookup.iter().filter_map(|i| self.identities.get(i).copied()).collect();
        let person = match found.first() {
            Some(first) => {
                if found.iter().any(|other| other != first) {
                    self.conflict(*first, &found);
                }
                *first
            }
            None => {
                let person = self.create_person(at);
                // Not unseen: somebody may have to be told, or asked again.
                if lookup.iter().any(|i| self.is_erased(i)) {
                    self.event(EventKind::PersonReturned, Some(person), None, None, None, None, "{}".to_owned());
                }
                person
            }
        };
        for identity in named {
            self.link(identity, person, at);
        }
        self.profile(person, party, at);
        Some(person)
    }

    /// Gives an identifier to a person, unless it is somebody's already.
    pub(super) fn link(&mut self, identity: Identity, person: PersonId, at: Millis) {
        if self.identities.contains_key(&identity) {
            return;
        }
        self.identities.insert(identity.clone(), person);
        self.changes.identities.push(NewIdentity { identity, person, at });
        if !self.new_people.contains(&person) {
            self.event(EventKind::PersonChanged, Some(person), None, None, None, None, "{}".to_owned());
        }
    }

    /// Takes an identifier from whoever has it and gives it to `person`.
    pub(super) fn move_identity(&mut self, identity: Identity, person: PersonId, at: Millis) {
        match self.identities.get(&identity) {
            Some(owner) if *owner == person => return,
            Some(_) => {
                self.identities.remove(&identity);
                self.changes.ended_identities.push(identity.clone());
            }
            None => {}
        }
        self.link(identity, person, at);
    }

    /// From now on the identifier is no longer the person's: whoever has it next is somebody else.
    pub(super) fn end_identity(&mut self, identity: Identity, person: PersonId) {
        if self.identities.get(&identity) == Some(&person) {
            self.identities.remove(&identity);
            self.changes.identities.retain(|n| n.identity != identity);
            self.changes.ended_identities.push(identity);
        }
    }

    /// Whether nobody has this identifier and somebody had it who was erased.
    pub(super) fn is_erased(&self, identity: &Identity) -> bool {
        self.erased.contains(identity)
    }

    /// Who has this identifier.
    pub(super) fn owner(&self, identity: &Identity) -> Option<PersonId> {
        self.identities.get(identity).copied()
    }

    pub(super) fn user_identity(&self, update: &Update, value: &str) -> Identity {
        user_identity(&self.context.directory.portfolio(&update.waba_id), value)
    }

    fn conflict(&mut self, kept: PersonId, found: &[PersonId]) {
        let mut others: Vec<String> = found.iter().filter(|p| **p != kept).map(ToString::to_string).collect();
        others.sort_unstable();
        others.dedup();
        let dedup = format!("conflict:{kept}:{}", others.join(","));
        let data = serde_json::json!({ "others": others }).to_string();
        self.event(EventKind::IdentityConflict, Some(kept), None, None, None, Some(dedup), data);
    }

    fn create_person(&mut self, _at: Millis) -> PersonId {
        let id = PersonId(self.context.ids.next());
        self.people.insert(
            id,
            Person {
                id,
                name: None,
                username: None,
                marketing_stopped_at: None,
                preference_at: None,
                profile_at: None,
                unreachable: Unreachable::No,
                created_at: self.context.now,
            },
        );
        self.new_people.push(id);
        self.event(EventKind::PersonCreated, Some(id), None, None, None, None, "{}".to_owned());
        id
    }

    fn profile(&mut self, id: PersonId, party: &Party, at: Millis) {
        let Some(person) = self.people.get_mut(&id) else { return };
        if person.profile_at.is_some_and(|known| known > at) || (party.name.is_none() && party.username.is_none()) {
            return;
        }
        let differs = |new: &Option<String>, old: &Option<String>| new.is_some() && new != old;
        if differs(&party.name, &person.name) || differs(&party.username, &person.username) {
            person.name = party.name.clone().or_else(|| person.name.take());
            person.username = party.username.clone().or_else(|| person.username.take());
            person.profile_at = Some(at);
            self.changed_people.insert(id);
            if !self.new_people.contains(&id) {
                self.event(EventKind::PersonChanged, Some(id), None, None, None, None, "{}".to_owned());
            }
        }
    }

    /// The person as known so far.
    pub(super) fn person(&self, id: PersonId) -> Option<&Person> {
        self.people.get(&id)
    }

    /// Remembers who bears the label `unreachable`; the row as such doesn't change.
    pub(super) fn relabel(&mut self, id: PersonId, unreachable: bool) {
        if let Some(person) = self.people.get_mut(&id) {
            person.unreachable = if unreachable { Unreachable::Found } else { Unreachable::No };
        }
        self.changes.labels.retain(|(known, _)| *known != id);
        self.changes.labels.push((id, unreachable));
    }

    /// The person's row, to be changed.
    pub(super) fn person_mut(&mut self, id: PersonId) -> Option<&mut Person> {
        self.changed_people.insert(id);
        self.people.get_mut(&id)
    }

    /// The conversation of a person with a number, made when missing.
    pub(super) fn conversation(&mut self, number: &NumberId, person: PersonId, at: Millis) -> ConversationId {
        let key = (number.clone(), person);
        if let Some(known) = self.conversations.get(&key) {
            return known.id;
        }
        let id = ConversationId(self.context.ids.next());
        let conversation = Conversation {
            id,
            number: number.clone(),
            person,
            last_inbound_at: None,
            last_message_at: at,
            free_entry_until: None,
            referral: None,
            created_at: self.context.now,
        };
        self.conversations.insert(key.clone(), conversation);
        self.new_conversations.push(key);
        id
    }

    /// The conversation's row, to be changed by `change`, which says whether it did.
    pub(super) fn change_conversation(
        &mut self,
        number: &NumberId,
        person: PersonId,
        change: impl FnOnce(&mut Conversation) -> bool,
    ) {
        let key = (number.clone(), person);
        if let Some(conversation) = self.conversations.get_mut(&key)
            && change(conversation)
        {
            self.changed_conversations.insert(key);
        }
    }

    pub(super) fn find(&self, number: &NumberId, wamid: &Wamid) -> Option<MessageId> {
        self.by_wamid.get(&(number.clone(), wamid.clone())).copied()
    }

    pub(super) fn head(&self, id: MessageId) -> Option<&MessageHead> {
        self.messages.get(&id)
    }

    /// A message's row, to be changed by `change`, which says whether it did.
    pub(super) fn change_message(&mut self, id: MessageId, change: impl FnOnce(&mut MessageHead) -> bool) -> bool {
        let Some(head) = self.messages.get_mut(&id) else { return false };
        if !change(head) {
            return false;
        }
        if let Some(wamid) = head.wamid.clone() {
            self.by_wamid.insert((head.number.clone(), wamid), id);
        }
        self.changed_messages.insert(id);
        true
    }

    /// Adds a message; what came for it before is handed back.
    pub(super) fn add_message(&mut self, message: NewMessage) -> Vec<Orphan> {
        let id = message.head.id;
        let mut waiting = Vec::new();
        if let Some(wamid) = message.head.wamid.clone() {
            let key = (message.head.number.clone(), wamid);
            waiting = self.orphans.remove(&key).unwrap_or_default();
            if !waiting.is_empty() {
                self.changes.new_orphans.retain(|o| (&o.number, &o.wamid) != (&key.0, &key.1));
                self.changes.adopted.push(key.clone());
            }
            self.by_wamid.insert(key, id);
        }
        self.messages.insert(id, message.head.clone());
        self.fresh_messages.insert(id, self.changes.new_messages.len());
        self.changes.new_messages.push(message);
        waiting
    }

    /// Changes the text of a message, stored or new.
    pub(super) fn change_text(&mut self, id: MessageId, text: Option<String>, content: String) {
        if let Some(new) = self.fresh_messages.get(&id).and_then(|at| self.changes.new_messages.get_mut(*at)) {
            new.text = text;
            new.content = content;
            return;
        }
        self.changes.text_changes.retain(|c| c.message != id);
        self.changes.text_changes.push(super::TextChange { message: id, text, content });
    }

    /// Keeps news for a message that isn't known. False when the same news waits already.
    pub(super) fn keep_orphan(&mut self, orphan: Orphan) -> bool {
        let waiting = self.orphans.entry((orphan.number.clone(), orphan.wamid.clone())).or_default();
        if let Some(known) = waiting.iter_mut().find(|o| o.news.kind() == orphan.news.kind()) {
            // Of one kind the newest version counts, or the earliest time, as it would for a known message.
            let better = match orphan.news {
                News::Edit { .. } => orphan.at > known.at,
                News::Status { .. } | News::Withdrawn => orphan.at < known.at,
            };
            if !better {
                return false;
            }
            known.clone_from(&orphan);
            let same = |o: &Orphan| {
                o.number == orphan.number && o.wamid == orphan.wamid && o.news.kind() == orphan.news.kind()
            };
            self.changes.new_orphans.retain(|o| !same(o));
        } else {
            waiting.push(orphan.clone());
        }
        self.changes.new_orphans.push(orphan);
        true
    }

    #[expect(clippy::too_many_arguments, reason = "an event's subject has that many optional parts")]
    pub(super) fn event(
        &mut self,
        kind: EventKind,
        person: Option<PersonId>,
        conversation: Option<ConversationId>,
        message: Option<MessageId>,
        number: Option<NumberId>,
        dedup: Option<String>,
        data: String,
    ) {
        let at = self.context.now;
        self.changes.events.push(NewEvent { kind, at, person, conversation, message, number, dedup, data });
    }

    pub(super) fn into_changes(mut self) -> Changes {
        let mut changes = std::mem::take(&mut self.changes);
        let new_people: HashSet<_> = self.new_people.iter().copied().collect();
        changes.new_people.extend(self.new_people.iter().filter_map(|id| self.people.get(id).cloned()));
        let changed = self.changed_people.iter().filter(|id| !new_people.contains(id));
        changes.changed_people.extend(changed.filter_map(|id| self.people.get(id).cloned()));
        let new: HashSet<_> = self.new_conversations.iter().cloned().collect();
        changes
            .new_conversations
            .extend(self.new_conversations.iter().filter_map(|k| self.conversations.get(k).cloned()));
        let changed = self.changed_conversations.iter().filter(|k| !new.contains(*k));
        changes.changed_conversations.extend(changed.filter_map(|k| self.conversations.get(k).cloned()));
        for message in &mut changes.new_messages {
            if let Some(head) = self.messages.get(&message.head.id) {
                message.head = head.clone();
            }
        }
        let changed = self.changed_messages.iter().filter(|id| !self.fresh_messages.contains_key(id));
        changes.changed_messages.extend(changed.filter_map(|id| self.messages.get(id).cloned()));
        // Row locks are taken in one order everywhere, so that two nodes never wait for each other in a circle.
        changes.changed_people.sort_by_key(|p| p.id);
        changes.changed_conversations.sort_by_key(|c| c.id);
        changes.changed_messages.sort_by_key(|m| m.id);
        changes.labels.sort_unstable_by_key(|(id, _)| *id);
        changes.reach = self.reach.into_changed();
        changes
    }
}

pub(super) fn digits_identity(kind: IdentityKind, digits: &str) -> Identity {
    Identity { kind, scope: String::new(), value: digits.to_owned() }
}

/// A short key for "this was said before": a hash of the parts.
pub(super) fn said(parts: &[&str]) -> String {
    let mut hash = Sha256::new();
    for part in parts {
        hash.update(part.len().to_le_bytes());
        hash.update(part.as_bytes());
    }
    hex::encode(hash.finalize())
}
