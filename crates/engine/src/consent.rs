//! # Consent
//! Purpose: asks people for consent, records what is stated about it, acknowledges withdrawals once, reminds once, closes what
//! ran out.
//! May touch: the store's consent verbs, the send gate.
//! Must not touch: the network. Whatever is said to a person goes through the gate.
//! Invariants: what is due is a row; an acknowledgement and a reminder have a key of their own in the gate, so that they are
//! let in once however often they are tried.
//! Failure story: killed between the gate and taking the row off, the same is asked of the gate again, and it answers that it
//! has it already.

use crate::World;
use crate::gate::{self, Asking, SendRequest, To};
use ponte_domain::consent::{
    AskTemplate, ConsentSettings, Draft, Entry, InvalidEntry, OpenRequest, Scope, Source, button_id, entry_id,
};
use ponte_domain::error::StoreError;
use ponte_domain::event::{EventKind, NewEvent};
use ponte_domain::ids::{ConsentId, NumberId, PersonId};
use ponte_domain::job::Class;
use ponte_domain::message::Origin;
use ponte_domain::outbound::Outbound;
use ponte_domain::ports::store::{Answer, ConsentDone, ConsentDue, ConsentFile};
use ponte_domain::{Millis, SECOND};
use serde::{Deserialize, Serialize};
use serde_json::json;
use tokio_util::sync::CancellationToken;

const LOOK_MS: Millis = SECOND;
/// Due things of one look.
const AT_ONCE: i64 = 100;

/// Why a statement wasn't recorded.
#[derive(Debug, thiserror::Error)]
pub enum NotRecorded {
    /// There is no such person.
    #[error("there is no such person")]
    Unknown,
    /// It can't be an entry.
    #[error(transparent)]
    Invalid(#[from] InvalidEntry),
    /// The store can't now.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// Records what someone outside states about a person's consent. `door`: the source when none is stated; `by`: who states it.
///
/// # Errors
/// See [`NotRecorded`]; nothing was recorded then.
pub async fn record(
    world: &World,
    person: PersonId,
    draft: Draft,
    door: Source,
    by: &str,
) -> Result<Entry, NotRecorded> {
    let now = world.clock.now();
    let entry = draft.check(world.ids.next(), person, door, by, now)?;
    if world.store.consent_of(world.workspace, person).await?.is_none() {
        return Err(NotRecorded::Unknown);
    }
    let data =
        json!({ "id": entry.id, "scope": entry.scope, "action": entry.action, "source": entry.source, "by": by });
    let event = NewEvent {
        kind: EventKind::ConsentChanged,
        at: now,
        person: Some(person),
        conversation: None,
        message: None,
        number: None,
        dedup: Some(format!("consent:{}", entry.id)),
        data: data.to_string(),
    };
    world.store.consent_record(world.workspace, vec![entry.clone()], vec![event]).await?;
    Ok(entry)
}

/// The ledger of a person as doors show it.
#[must_use]
pub fn shown(person: PersonId, file: &ConsentFile) -> serde_json::Value {
    let standings: Vec<_> = file
        .standings
        .0
        .iter()
        .map(|(scope, s)| {
            json!({ "scope": scope, "state": s.word(), "confirmed_at": s.confirmed_at, "withdrawn_at": s.withdrawn_at,
                "requested_at": s.requested_at })
        })
        .collect();
    json!({ "person_id": person, "marketing_stopped_at": file.marketing_stopped_at, "standings": standings,
        "open_requests": file.open, "entries": file.entries })
}

/// A wish to ask someone for consent.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Ask {
    /// From which number; `None`: the first configured.
    #[serde(default)]
    pub from: Option<NumberId>,
    /// For what; `None`: marketing from all numbers.
    #[serde(default)]
    pub scope: Option<Scope>,
    /// Language of the configured question; `None`: English.
    #[serde(default)]
    pub language: Option<String>,
    /// Template for outside the window, instead of the configured one.
    #[serde(default)]
    pub template: Option<AskTemplate>,
    /// Under this key the question is asked once.
    #[serde(default)]
    pub idempotency_key: Option<String>,
}

/// A question in both of its forms, kept to be repeated.
#[derive(Serialize, Deserialize)]
struct Forms {
    inside: Outbound,
    inside_text: String,
    outside: Option<(Outbound, String)>,
}

/// Asks someone for consent, through the gate: inside the window with buttons, outside it with a template. Let in, it stands
/// in the ledger as requested.
///
/// # Errors
/// When the store can't: nothing was let in then.
pub async fn ask(world: &World, to: To, ask: Ask, by: &str) -> Result<Answer, StoreError> {
    let settings = &world.settings.consent;
    let Some(texts) = settings.question(ask.language.as_deref().unwrap_or("en")) else {
        let detail = Some("set a question under [consent.ask.en]".to_owned());
        return Ok(Answer::Refused { rule: ponte_domain::error::INVALID_REQUEST, message: None, detail });
    };
    // Under the same key it is the same question, button by button.
    let id = match &ask.idempotency_key {
        Some(key) => entry_id(&["asked", key]),
        None => ConsentId(world.ids.next()),
    };
    let forms = Forms {
        inside: buttons(id, texts),
        inside_text: texts.text.clone(),
        outside: outside(settings, ask.template.as_ref()).map(|t| (template(id, t), t.text.clone())),
    };
    let scope = ask.scope.unwrap_or(Scope::MARKETING);
    let wish = wish(ask.from, to, &forms, ask.idempotency_key);
    let asking = forms.asking(id, scope, by, false);
    let mut answers = gate::admit_all(world, vec![(wish, Some(asking))]).await?;
    Ok(answers.pop().unwrap_or(Answer::Filed))
}

/// The template outside the window. Named with the request, the configured one keeps the text that was configured: what is kept
/// as proof is not the caller's to say.
fn outside<'a>(settings: &'a ConsentSettings, named: Option<&'a AskTemplate>) -> Option<&'a AskTemplate> {
    let configured = settings.ask_template.as_ref();
    match named {
        Some(named) if !configured.is_some_and(|c| c.name == named.name && c.language == named.language) => Some(named),
        _ => configured,
    }
}

impl Forms {
    fn asking(self, request: ConsentId, scope: Scope, by: &str, again: bool) -> Asking {
        let again_as = serde_json::to_string(&self).unwrap_or_default();
        let (text, outside) = (self.inside_text, self.outside);
        Asking { request, scope, text, outside, again, again_as, by: by.to_owned() }
    }
}

fn wish(number: Option<NumberId>, to: To, forms: &Forms, idempotency_key: Option<String>) -> SendRequest {
    SendRequest {
        number,
        to: Some(to),
        message: forms.inside.clone(),
        class: Some(Class::Reply),
        origin: Origin::Rule,
        reply_to: None,
        not_before: None,
        idempotency_key,
    }
}

fn buttons(id: ConsentId, texts: &ponte_domain::consent::AskTexts) -> Outbound {
    let button = |yes, title: &str| json!({ "type": "reply", "reply": { "id": button_id(id, yes), "title": title } });
    Outbound::Interactive {
        interactive: json!({ "type": "button", "body": { "text": texts.text },
            "action": { "buttons": [button(true, &texts.yes), button(false, &texts.no)] } }),
    }
}

/// Quick-reply buttons get their payload when the template is sent (facts 5.5).
fn template(id: ConsentId, template: &AskTemplate) -> Outbound {
    let button = |index: &str, yes| {
        json!({ "type": "button", "sub_type": "quick_reply", "index": index,
            "parameters": [{ "type": "payload", "payload": button_id(id, yes) }] })
    };
    Outbound::Template {
        template: json!({ "name": template.name, "language": { "code": template.language },
            "components": [button("0", true), button("1", false)] }),
    }
}

/// Does what is due until stopped.
pub async fn run(world: World, stop: CancellationToken) {
    while !stop.is_cancelled() {
        if let Err(error) = step(&world).await {
            tracing::error!(error = %error, "what is due about consent can't be done now");
        }
        tokio::select! {
            () = world.clock.sleep_ms(LOOK_MS) => {}
            () = stop.cancelled() => {}
        }
    }
}

/// Does what is due now, a bounded amount. Public for tests of the flow without waiting.
///
/// # Errors
/// When the store can't; what wasn't done stays due.
pub async fn step(world: &World) -> Result<(), StoreError> {
    let now = world.clock.now();
    let due = world.store.consent_due(world.workspace, now, AT_ONCE).await?;
    if due == ConsentDue::default() {
        return Ok(());
    }
    let mut wishes = Vec::new();
    for thanks in &due.thanks {
        if let Some(text) = world.settings.consent.acknowledgement(&thanks.language) {
            let request = SendRequest {
                number: Some(thanks.number.clone()),
                to: Some(To::Person(thanks.person)),
                message: Outbound::Text { body: text.to_owned(), preview_url: false },
                class: Some(Class::Reply),
                origin: Origin::Rule,
                reply_to: None,
                not_before: None,
                idempotency_key: Some(format!("consent-thanks-{}", thanks.id)),
            };
            wishes.push((request, None));
        }
    }
    for open in &due.reminders {
        let Ok(forms) = serde_json::from_str::<Forms>(&open.message) else { continue };
        let key = Some(format!("consent-reminder-{}", open.id));
        let request = wish(Some(open.number.clone()), To::Person(open.person), &forms, key);
        wishes.push((request, Some(forms.asking(open.id, open.scope.clone(), "ponte", true))));
    }
    // A refusal is an answer too: who can't be reached now isn't reminded later.
    gate::admit_all(world, wishes).await?;
    let done = ConsentDone {
        thanked: due.thanks.iter().map(|t| t.id).collect(),
        reminded: due.reminders.iter().map(|r| r.id).collect(),
        expired: due.expired.iter().map(|r| r.id).collect(),
        events: due.expired.iter().map(|r| expired(r, now)).collect(),
    };
    world.store.consent_settle(world.workspace, done).await
}

fn expired(request: &OpenRequest, now: Millis) -> NewEvent {
    NewEvent {
        kind: EventKind::ConsentExpired,
        at: now,
        person: Some(request.person),
        conversation: None,
        message: None,
        number: Some(request.number.clone()),
        dedup: Some(format!("consent-expired:{}", request.id)),
        data: json!({ "id": request.id, "scope": request.scope }).to_string(),
    }
}
