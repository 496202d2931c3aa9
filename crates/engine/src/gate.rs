//! # Send gate
//! Purpose: the only door to WhatsApp, for agents, rules, the API, campaigns and CRM events alike: checks, asks the policy,
//! stores one message row and one job in one transaction.
//! May touch: the store's `admit` verb.
//! Must not touch: the network. Dispatch sends.
//! Invariants: the same idempotency key lets in one message. A refusal names its rule and is recorded.
//! Failure story: whoever got no answer asks again with the same key and finds what was stored.

mod asking;
mod explain;

pub(crate) use asking::Asking;
use asking::refuses_questions;
use explain::record_of;
pub use explain::{Explained, Unanswerable, explain};

use crate::World;
use crate::question::{Facts, Rules};
use ponte_domain::Millis;
use ponte_domain::conversation::{class_of_origin, send_lane};
use ponte_domain::error::{
    IDEMPOTENCY_CONFLICT, INVALID_REQUEST, NUMBER_UNKNOWN, OPTED_OUT, PublicCode, RECIPIENT_INVALID, RECIPIENT_UNKNOWN,
    StoreError,
};
use ponte_domain::event::{EventKind, NewEvent};
use ponte_domain::identity::{IdShape, Identity, IdentityKind, phone_digits, shape_of};
use ponte_domain::ids::{ConversationId, MessageId, NumberId, PersonId};
use ponte_domain::job::{Class, JobKind, NewJob};
use ponte_domain::message::{Conversation, MessageHead, NewIdentity, NewMessage, Origin, Person, Phase};
use ponte_domain::outbound::Outbound;
use ponte_domain::policy::{Decision, decide};
use ponte_domain::ports::store::{Admission, AdmitFn, AdmitKey, AdmitView, Answer};
use ponte_domain::status::Stamps;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use std::collections::HashMap;
use std::sync::Arc;

/// To whom.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum To {
    /// Someone we know.
    Person(PersonId),
    /// A phone number with country code, as people write it.
    Phone(String),
    /// A business-scoped user id.
    UserId(String),
}

/// A wish to send.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct SendRequest {
    /// From which number; `None`: the first configured.
    pub number: Option<NumberId>,
    /// To whom; receipts need nobody.
    pub to: Option<To>,
    /// What.
    pub message: Outbound,
    /// Why; `None`: templates are transactional, the rest are replies.
    pub class: Option<Class>,
    /// Who asks.
    pub origin: Origin,
    /// Message it answers, by wamid.
    pub reply_to: Option<String>,
    /// Not before this time.
    pub not_before: Option<Millis>,
    /// Under this key the same wish is let in once.
    #[serde(skip)]
    pub idempotency_key: Option<String>,
}

/// Lets wishes in, in one transaction for all. Answers in their order.
///
/// # Errors
/// When the store can't: nothing was let in then.
pub async fn admit(world: &World, requests: Vec<SendRequest>) -> Result<Vec<Answer>, StoreError> {
    admit_all(world, requests.into_iter().map(|request| (request, None)).collect()).await
}

/// Like [`admit`]; a wish may be a question for consent.
pub(crate) async fn admit_all(
    world: &World,
    requests: Vec<(SendRequest, Option<Asking>)>,
) -> Result<Vec<Answer>, StoreError> {
    let mut answers: Vec<Option<Answer>> = Vec::with_capacity(requests.len());
    let mut keys = Vec::new();
    let mut wishes = Vec::new();
    for (request, asking) in requests {
        match prepare(world, request, asking) {
            Ok((key, wish)) => {
                keys.push(key);
                wishes.push(wish);
                answers.push(None);
            }
            Err(refusal) => answers.push(Some(refusal)),
        }
    }
    if !wishes.is_empty() {
        let wishes = Arc::new(wishes);
        let (now, ids, rules) = (world.clock.now(), Arc::clone(&world.ids), Rules::of(world));
        let decide: AdmitFn = Arc::new(move |views| {
            let mut room = Room::new(now, ids.as_ref(), &rules);
            wishes.iter().zip(views).map(|(wish, view)| room.decide(wish, view)).collect()
        });
        let mut decided = world.store.admit(world.workspace, now, keys, decide).await?.into_iter();
        for answer in answers.iter_mut().filter(|a| a.is_none()) {
            *answer = decided.next();
        }
    }
    let answers: Vec<Answer> = answers.into_iter().flatten().collect();
    for answer in &answers {
        match answer {
            Answer::Queued { again: false, .. } | Answer::Filed => world.pulse.sends_queued.add(1),
            Answer::Refused { .. } => world.pulse.sends_refused.add(1),
            Answer::Queued { .. } => {}
        }
    }
    Ok(answers)
}

/// A wish whose form was checked.
#[derive(Clone)]
struct Wish {
    asking: Option<Asking>,
    number: NumberId,
    identities: Vec<Identity>,
    by_id: bool,
    message: Outbound,
    class: Class,
    origin: Origin,
    reply_to: Option<String>,
    not_before: Millis,
    key: Option<String>,
    hash: String,
}

fn refused(rule: PublicCode, detail: impl Into<String>) -> Answer {
    Answer::Refused { rule, message: None, detail: Some(detail.into()) }
}

/// Checks what needs no look into the store.
fn prepare(world: &World, request: SendRequest, asking: Option<Asking>) -> Result<(AdmitKey, Wish), Answer> {
    let number = match &request.number {
        Some(id) => world.directory.get(id),
        None => world.directory.default_number(),
    };
    let Some(number) = number else {
        return Err(refused(NUMBER_UNKNOWN, "configure it under [[whatsapp.numbers]]"));
    };
    request.message.check().map_err(|e| refused(INVALID_REQUEST, e.to_string()))?;
    if request.idempotency_key.as_ref().is_some_and(|k| k.is_empty() || k.len() > 255) {
        return Err(refused(INVALID_REQUEST, "idempotency_key: 1 to 255 characters"));
    }
    let portfolio = &number.limits.portfolio;
    let (person, identities) = match &request.to {
        Some(To::Person(id)) => (Some(*id), Vec::new()),
        Some(To::Phone(text)) => (None, by_phone(text)?),
        Some(To::UserId(text)) => (None, vec![by_user_id(text, portfolio)?]),
        None if request.message.is_receipt() => (None, Vec::new()),
        None => return Err(refused(RECIPIENT_INVALID, "to: is needed")),
    };
    let hash = serde_json::to_vec(&request).map(|bytes| hex(&Sha256::digest(bytes))).unwrap_or_default();
    let class = request.class.unwrap_or(class_of_origin(request.message.is_template()));
    let key = AdmitKey {
        number: number.id.clone(),
        identities: identities.clone(),
        person,
        idempotency_key: request.idempotency_key.clone(),
        // What may go outside the window is for who didn't refuse it, whatever it is called: the ledger is needed for it.
        class: if asking.is_some() || request.message.is_template() { class.max(Class::Transactional) } else { class },
    };
    let wish = Wish {
        asking,
        number: number.id.clone(),
        identities,
        by_id: person.is_some(),
        class,
        message: request.message,
        origin: request.origin,
        reply_to: request.reply_to,
        not_before: request.not_before.unwrap_or(0),
        key: request.idempotency_key,
        hash,
    };
    Ok((key, wish))
}

fn by_phone(text: &str) -> Result<Vec<Identity>, Answer> {
    let Some(value) = phone_digits(text) else {
        return Err(refused(
            RECIPIENT_INVALID,
            "to.phone: a number with country code is needed, for example +55 11 98765 4321",
        ));
    };
    Ok([IdentityKind::Phone, IdentityKind::WaId]
        .map(|kind| Identity { kind, scope: String::new(), value: value.clone() })
        .into())
}

fn by_user_id(text: &str, portfolio: &str) -> Result<Identity, Answer> {
    let kind = match shape_of(text) {
        IdShape::UserId => IdentityKind::UserId,
        IdShape::ParentUserId => IdentityKind::ParentUserId,
        _ => return Err(refused(RECIPIENT_INVALID, "to.user_id: expected a form like US.13491208655302741918")),
    };
    Ok(Identity { kind, scope: portfolio.to_owned(), value: text.to_owned() })
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|b| format!("{b:02x}")).collect()
}

fn facts<'a>(wish: &'a Wish, view: &'a AdmitView, now: Millis) -> Facts<'a> {
    Facts {
        message: &wish.message,
        class: wish.class,
        now,
        number: &wish.number,
        last_inbound_at: view.conversation.as_ref().and_then(|c| c.last_inbound_at),
        marketing_stopped_at: view.person.as_ref().and_then(|p| p.marketing_stopped_at),
        policy: &view.policy,
        phone: phone_of(&view.identities).or_else(|| phone_of(&wish.identities)),
        number_blocked_until: view.number_blocked_until,
        asks: wish.asking.is_some(),
    }
}

/// The decisions of one batch. What an earlier wish of the batch made, a later one finds here.
struct Room<'a> {
    now: Millis,
    ids: &'a dyn ponte_domain::ids::IdSource,
    people: HashMap<Identity, PersonId>,
    threads: HashMap<(NumberId, PersonId), ConversationId>,
    keys: HashMap<String, (Answer, String)>,
    /// Marketing let in for a person by this batch: it counts for the next of the batch.
    marketing: HashMap<PersonId, u32>,
    rules: &'a Rules,
}

impl<'a> Room<'a> {
    fn new(now: Millis, ids: &'a dyn ponte_domain::ids::IdSource, rules: &'a Rules) -> Self {
        let (people, threads, keys, marketing) = Default::default();
        Self { now, ids, people, threads, keys, marketing, rules }
    }

    fn decide(&mut self, wish: &Wish, mut view: AdmitView) -> Admission {
        if let Some(answer) = self.said_before(wish, &view) {
            return Admission { answer: Some(answer), ..Admission::default() };
        }
        if wish.message.is_receipt() {
            return self.receipt(wish);
        }
        if wish.by_id && view.person.is_none() {
            let answer = Answer::Refused { rule: RECIPIENT_UNKNOWN, message: None, detail: None };
            return Admission { answer: Some(answer), ..Admission::default() };
        }
        if let Some(more) = view.person.as_ref().and_then(|p| self.marketing.get(&p.id)) {
            view.policy.recent.day += more;
            view.policy.recent.week += more;
        }
        let rules = self.rules;
        let swapped = wish.outside_the_window(&view, self.now);
        let wish = swapped.as_ref().unwrap_or(wish);
        let facts = facts(wish, &view, self.now);
        let question = rules.question(&facts);
        let decision = match &wish.asking {
            Some(asking) if refuses_questions(asking, &question) => Decision::Deny(OPTED_OUT),
            _ => decide(&question),
        };
        let record = record_of(&question, decision);
        match decision {
            Decision::Allow => self.let_in(wish, view, self.now.max(wish.not_before), record),
            Decision::Defer(until, _) => self.let_in(wish, view, until.max(wish.not_before), record),
            Decision::Deny(rule) => self.refuse(wish, view, rule, record),
        }
    }

    fn said_before(&self, wish: &Wish, view: &AdmitView) -> Option<Answer> {
        let key = wish.key.as_ref()?;
        let conflict = || refused(IDEMPOTENCY_CONFLICT, "use a new key for a different message");
        if let Some((answer, hash)) = self.keys.get(key) {
            return Some(if *hash == wish.hash { again(answer.clone()) } else { conflict() });
        }
        let (head, hash) = view.earlier.as_ref()?;
        if hash.as_deref() != Some(wish.hash.as_str()) {
            return Some(conflict());
        }
        Some(Answer::Queued { message: head.id, person: head.person, conversation: head.conversation, again: true })
    }

    fn receipt(&self, wish: &Wish) -> Admission {
        let Outbound::Read { message_id, .. } = &wish.message else { return Admission::default() };
        let job = NewJob {
            kind: JobKind::Send,
            lane: format!("{}/receipt/{message_id}", wish.number),
            scope: wish.number.to_string(),
            priority: Class::Reply.priority(),
            not_before: self.now,
            payload: json!({ "receipt": wish.message }).to_string(),
            dedup: None,
        };
        Admission { job: Some(job), answer: Some(Answer::Filed), ..Admission::default() }
    }

    /// The recipient and the thread, found or made.
    fn place(&mut self, wish: &Wish, view: &AdmitView, admission: &mut Admission) -> (PersonId, ConversationId) {
        let known = view.person.as_ref().map(|p| p.id);
        let person = known.or_else(|| wish.identities.iter().find_map(|i| self.people.get(i).copied()));
        let person = person.unwrap_or_else(|| {
            let id = PersonId(self.ids.next());
            admission.new_person = Some(new_person(id, self.now));
            // The phone asked for is kept as a phone; its WhatsApp id is what WhatsApp says it is.
            if let Some(first) = wish.identities.first() {
                admission.identities.push(NewIdentity { identity: first.clone(), person: id, at: self.now });
            }
            admission.events.push(self.event(EventKind::PersonCreated, id, None, None, wish, "{}".to_owned()));
            self.people.extend(wish.identities.iter().map(|i| (i.clone(), id)));
            id
        });
        let key = (wish.number.clone(), person);
        let known = view.conversation.as_ref().map(|c| c.id).or_else(|| self.threads.get(&key).copied());
        let conversation = known.unwrap_or_else(|| {
            let id = ConversationId(self.ids.next());
            admission.new_conversation = Some(Conversation {
                id,
                number: wish.number.clone(),
                person,
                last_inbound_at: None,
                last_message_at: self.now,
                free_entry_until: None,
                referral: None,
                created_at: self.now,
            });
            self.threads.insert(key, id);
            id
        });
        (person, conversation)
    }

    fn let_in(&mut self, wish: &Wish, view: AdmitView, not_before: Millis, record: Value) -> Admission {
        let mut admission = Admission::default();
        let (person, conversation) = self.place(wish, &view, &mut admission);
        let id = MessageId(self.ids.next());
        admission.message = Some(self.message(wish, id, person, conversation, Phase::Queued, None));
        admission.job = Some(NewJob {
            kind: JobKind::Send,
            lane: send_lane(&wish.number, person, wish.class),
            scope: wish.number.to_string(),
            priority: wish.class.priority(),
            not_before,
            payload: "{}".to_owned(),
            dedup: Some(id.to_string()),
        });
        if wish.class == Class::Marketing {
            *self.marketing.entry(person).or_default() += 1;
        }
        if let Some(asking) = wish.asking.as_ref().filter(|a| !a.again) {
            let (entry, request) = self.asked(wish, asking, person, id);
            let data = json!({ "id": entry.id, "scope": entry.scope, "until": entry.until }).to_string();
            admission.events.push(self.event(
                EventKind::ConsentAsked,
                person,
                Some(conversation),
                Some(id),
                wish,
                data,
            ));
            admission.asked = Some((entry, request));
        }
        let data = json!({ "class": wish.class, "kind": wish.message.kind(), "policy": record }).to_string();
        admission.events.push(self.event(EventKind::MessageQueued, person, Some(conversation), Some(id), wish, data));
        let answer = Answer::Queued { message: id, person, conversation, again: false };
        if let Some(key) = &wish.key {
            self.keys.insert(key.clone(), (answer.clone(), wish.hash.clone()));
        }
        admission.answer = Some(answer);
        admission
    }

    /// Records a refusal with the person's thread when there is one; strangers leave no trace.
    fn refuse(&mut self, wish: &Wish, view: AdmitView, rule: PublicCode, policy: Value) -> Admission {
        let mut admission = Admission::default();
        let mut message = None;
        if let (Some(person), Some(thread)) = (&view.person, &view.conversation) {
            let id = MessageId(self.ids.next());
            let error = Some((rule.code.to_owned(), rule.title.to_owned()));
            let mut record = self.message(wish, id, person.id, thread.id, Phase::Refused, error);
            // A refusal is not kept under the key: the same wish may be right later.
            record.idempotency_key = None;
            admission.message = Some(record);
            let data = json!({ "rule": rule.code, "policy": policy }).to_string();
            let event = self.event(EventKind::MessageRefused, person.id, Some(thread.id), Some(id), wish, data);
            admission.events.push(event);
            message = Some(id);
        }
        admission.answer = Some(Answer::Refused { rule, message, detail: None });
        admission
    }

    fn message(
        &self,
        wish: &Wish,
        id: MessageId,
        person: PersonId,
        conversation: ConversationId,
        phase: Phase,
        error: Option<(String, String)>,
    ) -> NewMessage {
        NewMessage {
            head: MessageHead {
                id,
                conversation,
                person,
                number: wish.number.clone(),
                wamid: None,
                origin: wish.origin,
                class: Some(wish.class),
                phase,
                stamps: Stamps::default(),
                at: self.now,
                created_at: self.now,
                edited_at: None,
                withdrawn_at: None,
                error,
            },
            kind: wish.message.kind().to_owned(),
            text: wish.message.text(),
            content: serde_json::to_string(&wish.message).unwrap_or_default(),
            reply_to: wish.reply_to.clone().map(Into::into),
            forwarded: false,
            media: None,
            idempotency_key: wish.key.clone(),
            request_hash: Some(wish.hash.clone()),
        }
    }

    fn event(
        &self,
        kind: EventKind,
        person: PersonId,
        conversation: Option<ConversationId>,
        message: Option<MessageId>,
        wish: &Wish,
        data: String,
    ) -> NewEvent {
        let number = Some(wish.number.clone());
        NewEvent { kind, at: self.now, person: Some(person), conversation, message, number, dedup: None, data }
    }
}

fn again(answer: Answer) -> Answer {
    match answer {
        Answer::Queued { message, person, conversation, .. } => {
            Answer::Queued { message, person, conversation, again: true }
        }
        other => other,
    }
}

fn phone_of(identities: &[Identity]) -> Option<&str> {
    let found = identities.iter().find(|i| matches!(i.kind, IdentityKind::Phone | IdentityKind::WaId));
    found.map(|i| i.value.as_str())
}

fn new_person(id: PersonId, now: Millis) -> Person {
    Person {
        id,
        name: None,
        username: None,
        marketing_stopped_at: None,
        preference_at: None,
        profile_at: None,
        unreachable: ponte_domain::profile::Unreachable::No,
        created_at: now,
    }
}
