//! `POST /{phone_number_id}/messages`: from the request body to an accepted message or a documented error.
//! May touch: the book, templates, media, the agenda. Must not touch: sockets and HTTP.
//! Failure story: an error answered here means that nothing was sent. What Meta reports later comes as a `failed` status.

use super::config::{ErrorPlace, MissingPlus};
use super::content::{self, Content, inner};
use super::errors::ApiError;
use super::faults::Faults;
use super::ids::{self, Series};
use super::ledger::{Book, Record};
use super::people::Person;
use super::phone;
use super::stats::Counters;
use super::status::Plan;
use super::templates::{self, Entry};
use super::world::{Line, World, purpose};
use serde_json::{Map, Value, json};
use std::sync::{Arc, PoisonError};

/// Who a send is meant for.
enum Recipient {
    /// A dialled number: as given, and its digits.
    Number { input: String, dialled: String },
    /// A business-scoped user id.
    UserId(String),
}

/// Handles one send; the answer's body.
///
/// # Errors
/// The documented error; nothing was sent then.
pub(crate) fn message(world: &World, phone_number_id: &str, body: Map<String, Value>) -> Result<Value, ApiError> {
    let (number, line) = world.line(phone_number_id)?;
    Counters::many(&world.counters.unknown_fields, content::unknown_fields(&body));
    if body.get("messaging_product").and_then(Value::as_str) != Some("whatsapp") {
        return Err(ApiError::new(100, "The parameter messaging_product is required and must be \"whatsapp\"."));
    }
    if body.contains_key("status") {
        return receipt(world, &body);
    }
    match body.get("recipient_type").and_then(Value::as_str) {
        None | Some("individual") => {}
        Some("group") => return Err(ApiError::new(131_000, "Groups are not enabled for this number")),
        Some(_) => return Err(ApiError::new(100, "Param recipient_type must be one of {individual, group}")),
    }
    let recipient = recipient(world, line, &body)?;
    let content = content::check(&body)?;
    let opaque = opaque(&body)?;
    context(&body)?;
    let template = template(world, line, &body, &content, &recipient)?;
    let media = template.as_ref().map_or(&content.media, |(_, media)| media);
    let wrong_media = wrong_media(world, media)?;
    if !world.office().registered(number) {
        return Err(ApiError::new(133_010, "The phone number is not registered on the platform"));
    }
    let order =
        Order { number, line, recipient, content, opaque, template: template.map(|(entry, _)| entry), wrong_media };
    accept(world, order, body)
}

struct Order<'a> {
    number: usize,
    line: &'a Line,
    recipient: Recipient,
    content: Content,
    opaque: Option<Arc<str>>,
    template: Option<Arc<Entry>>,
    wrong_media: bool,
}

fn recipient(world: &World, line: &Line, body: &Map<String, Value>) -> Result<Recipient, ApiError> {
    let text = |key: &str| match body.get(key) {
        None | Some(Value::Null) => Ok(None),
        Some(Value::String(text)) => Ok(Some(text.trim())),
        Some(_) => Err(ApiError::new(100, format!("Param {key} must be a string."))),
    };
    if let Some(input) = text("to")? {
        let own = line.calling_code.filter(|_| world.config.rules.missing_plus == MissingPlus::PrependCountry);
        // A user id in `to` loses everything but its digits and is accepted; it fails later, as documented.
        let dialled = phone::dialled(input, own.filter(|_| !phone::is_user_id(input)));
        if phone::digits(input).is_empty() {
            return Err(ApiError::new(131_009, "Param to is not a phone number"));
        }
        return Ok(Recipient::Number { input: input.to_owned(), dialled });
    }
    match text("recipient")? {
        Some(id) if phone::is_user_id(id) => Ok(Recipient::UserId(id.to_owned())),
        Some(_) => Err(ApiError::new(131_009, "Param recipient is not a business-scoped user id")),
        None => Err(content::missing("to")),
    }
}

fn opaque(body: &Map<String, Value>) -> Result<Option<Arc<str>>, ApiError> {
    match body.get("biz_opaque_callback_data") {
        None | Some(Value::Null) => Ok(None),
        Some(Value::String(text)) if text.chars().count() <= 512 => Ok(Some(Arc::from(text.as_str()))),
        Some(_) => {
            Err(ApiError::new(100, "Param biz_opaque_callback_data must be a string of at most 512 characters."))
        }
    }
}

fn context(body: &Map<String, Value>) -> Result<(), ApiError> {
    match body.get("context") {
        None | Some(Value::Null) => Ok(()),
        Some(context) => match context.get("message_id").and_then(Value::as_str) {
            Some(id) if !id.is_empty() => Ok(()),
            _ => Err(content::missing("context['message_id']")),
        },
    }
}

type Checked = (Arc<Entry>, Vec<(String, String)>);

fn template(
    world: &World,
    line: &Line,
    body: &Map<String, Value>,
    content: &Content,
    recipient: &Recipient,
) -> Result<Option<Checked>, ApiError> {
    if content.kind != "template" {
        return Ok(None);
    }
    let sent = body.get("template").unwrap_or(&Value::Null);
    let name = sent["name"].as_str().ok_or_else(|| content::missing("template['name']"))?;
    let language =
        inner(sent, "/language/code").as_str().ok_or_else(|| content::missing("template['language']['code']"))?;
    let shelf = world.shelves.get(line.waba).ok_or_else(|| ApiError::no_object(name))?;
    let entry = shelf.read().unwrap_or_else(PoisonError::into_inner).find(name, language);
    let entry =
        entry.ok_or_else(|| ApiError::new(132_001, format!("template name ({name}) does not exist in {language}")))?;
    let media = templates::check::send(&entry, sent, matches!(recipient, Recipient::UserId(_)))?;
    Ok(Some((entry, media)))
}

/// True when a media id is known but does not fit the message type (fails later with 131053).
fn wrong_media(world: &World, wanted: &[(String, String)]) -> Result<bool, ApiError> {
    if wanted.is_empty() {
        return Ok(false);
    }
    let now = world.now_ms();
    let store = world.media();
    let mut wrong = false;
    for (kind, id) in wanted {
        let mime = store
            .mime(id, now)
            .ok_or_else(|| ApiError::new(131_009, format!("Media id {id} does not exist or has expired")))?;
        wrong |= !super::media::fits(kind, mime);
    }
    Ok(wrong)
}

fn receipt(world: &World, body: &Map<String, Value>) -> Result<Value, ApiError> {
    if body.get("status").and_then(Value::as_str) != Some("read") {
        return Err(ApiError::new(100, "Param status must be one of {read}"));
    }
    let id = body.get("message_id").and_then(Value::as_str).ok_or_else(|| content::missing("message_id"))?;
    if let Some(indicator) = body.get("typing_indicator")
        && indicator["type"].as_str() != Some("text")
    {
        return Err(ApiError::new(100, "Param typing_indicator['type'] must be text"));
    }
    let book = world.book();
    let known = book.inbound_by_wamid.get(id).and_then(|index| book.inbound.get(*index));
    let fresh = known.is_some_and(|message| world.now_ms() - message.at_ms < 30 * 86_400_000);
    if !fresh {
        return Err(ApiError::new(131_009, "Param message_id is not a message received in the last 30 days"));
    }
    Counters::one(&world.counters.read_receipts);
    Ok(json!({"success": true}))
}

/// The part that needs the book: limits, windows, the record.
fn accept(world: &World, order: Order<'_>, body: Map<String, Value>) -> Result<Value, ApiError> {
    let number = order.number;
    let faults = world.faults();
    let serial = world.next(purpose::SEND);
    let mut draw = world.draw(purpose::SEND, serial);
    if let Some(code) = Faults::pick(&faults.errors, draw.unit()) {
        return Err(ApiError::new(code, "Injected by the simulator"));
    }
    let (now, elapsed) = (world.now_ms(), i64::try_from(world.elapsed_ms()).unwrap_or(i64::MAX));
    let mut guard = world.book();
    let book = &mut *guard;
    let throttled = faults.throttle_per_s.is_some_and(|rate| !book.limits.throttle(rate, elapsed));
    if throttled || !book.limits.number(number, order.line.throughput_per_s, elapsed) {
        return Err(ApiError::new(130_429, "Cloud API message throughput has been reached."));
    }
    let target = Target::of(world, book, &order.recipient);
    let mut late = target.failure;
    if let Some(person) = target.person {
        late = late.or(refusal(world, book, &order, person, &body, now)?);
    }
    if late.is_none() && order.wrong_media {
        late = Some(131_053);
    }
    late = late.or_else(|| Faults::pick(&faults.late_errors, draw.unit()));

    let plan = match late {
        Some(_) => Plan::failing(world, &mut draw),
        None => Plan::passing(world, &mut draw, order.content.kind, order.content.voice),
    };
    let (category, pricing) = price(world, book, &order, target.person, now, late.is_some());
    let peer = target.person.and_then(|person| book.people.get(person)).map_or("0", Person::peer).to_owned();
    let wamid: Arc<str> = Arc::from(ids::wamid(world.config.seed, Series::Outbound, book.records.len() as u64, &peer));
    let contact = match &order.recipient {
        Recipient::Number { input, .. } => json!({"input": input, "wa_id": target.wa_id}),
        Recipient::UserId(id) => json!({"input": id, "user_id": id}),
    };
    let without_opaque = order.opaque.is_none();
    let record = Record {
        wamid: wamid.clone(),
        number,
        person: target.person,
        by_user_id: matches!(order.recipient, Recipient::UserId(_)),
        to: match order.recipient {
            Recipient::Number { input, .. } => input,
            Recipient::UserId(id) => id,
        },
        wa_id: target.wa_id,
        kind: order.content.kind,
        template: order.template.as_ref().map(|entry| entry.template.name.clone()),
        category,
        pricing,
        priced_at: plan.priced_at(&mut draw),
        opaque: order.opaque,
        accepted_at_ms: now,
        at_ms: [0; 5],
        acknowledged_ms: [0; 5],
        error: late.unwrap_or(0),
        body: (world.config.keep_bodies > 0).then(|| Box::new(Value::Object(body))),
    };
    let (index, doubled) = book.accept(record, world.config.keep_bodies);
    drop(guard);
    plan.schedule(world, index);
    Counters::one(&world.counters.sends_accepted);
    Counters::many(&world.counters.duplicates_by_opaque, usize::from(doubled));
    Counters::many(&world.counters.sends_without_opaque, usize::from(without_opaque));
    let sent = json!({"id": &*wamid, "message_status": "accepted"});
    Ok(json!({"messaging_product": "whatsapp", "contacts": [contact], "messages": [sent]}))
}

/// The person behind a recipient, or why the message cannot reach anyone.
struct Target {
    person: Option<usize>,
    wa_id: Option<String>,
    failure: Option<u32>,
}

impl Target {
    fn of(world: &World, book: &mut Book, recipient: &Recipient) -> Self {
        match recipient {
            Recipient::UserId(id) => {
                let person = book.people.by_user_id(id);
                let wa_id = person.and_then(|person| book.people.get(person)).and_then(|person| person.wa_id.clone());
                Self { person, wa_id, failure: person.is_none().then_some(131_026) }
            }
            Recipient::Number { dialled, .. } => {
                let rules = &world.config.rules;
                let wa_id = if rules.rewrite_wa_id { phone::wa_id(dialled) } else { dialled.clone() };
                let no_whatsapp = !phone::plausible(&wa_id)
                    || (!rules.unreachable_suffix.is_empty() && dialled.ends_with(&rules.unreachable_suffix))
                    || rules.unreachable.iter().any(|number| number == dialled || *number == wa_id);
                if no_whatsapp {
                    return Self { person: None, wa_id: Some(wa_id), failure: Some(131_026) };
                }
                let person = book.people.with_wa_id(world.config.seed, &wa_id);
                Self { person: Some(person), wa_id: Some(wa_id), failure: None }
            }
        }
    }
}

/// Rules about this person: an `Err` is answered at once, `Some(code)` fails later.
fn refusal(
    world: &World,
    book: &mut Book,
    order: &Order<'_>,
    index: usize,
    body: &Map<String, Value>,
    now: i64,
) -> Result<Option<u32>, ApiError> {
    let rules = &world.config.rules;
    let number = order.number;
    let Some(person) = book.people.get(index) else { return Ok(None) };
    if person.wa_id.as_deref() == Some(order.line.own_wa_id.as_str()) {
        return Err(ApiError::new(131_021, "Sender and recipient phone number are the same"));
    }
    if book.blocked.contains(&(number, index)) {
        return Err(ApiError::new(130_403, "The business has blocked this user"));
    }
    let wanted = body.get("recipient_identity_key_hash").and_then(Value::as_str);
    if let (Some(wanted), Some(known)) = (wanted, person.identity_hash.as_deref())
        && wanted != known
    {
        return Err(ApiError::new(137_000, "The identity of this user has changed"));
    }
    if rules.pair_burst > 0 && !book.limits.pair(number, index, rules.pair_burst, rules.pair_refill_ms, now) {
        return Err(ApiError::new(131_056, "Too many messages from this number to the same recipient in a short time"));
    }
    let open = person.window_open(number, now, rules.window_ms);
    let marketing = order.template.as_ref().is_some_and(|entry| entry.template.category == "MARKETING");
    if let Some(target) = &order.content.reacts_to
        && !reaction_target(book, target, now)
    {
        return Ok(Some(131_009));
    }
    if order.template.is_none() && !open {
        return match rules.window_error {
            ErrorPlace::Webhook => Ok(Some(131_047)),
            ErrorPlace::Sync => Err(ApiError::new(131_047, super::status::failure_details(131_047))),
        };
    }
    if marketing && person.stopped_marketing {
        return Ok(Some(131_050));
    }
    if marketing && rules.us_marketing_blocked && person.wa_id.as_deref().is_some_and(phone::is_us) {
        return Ok(Some(131_049));
    }
    if !open
        && let Some(Some(limit)) = world.portfolio_limit.get(order.line.waba)
        && let Some(waba) = world.config.wabas.get(order.line.waba)
        && !book.limits.portfolio(&waba.portfolio_id, index, *limit, now)
    {
        return Ok(Some(rules.portfolio_limit_code));
    }
    Ok(None)
}

/// A reaction needs a message of the last 30 days that is not a reaction itself.
fn reaction_target(book: &Book, target: &str, now: i64) -> bool {
    let fresh = |at_ms: i64| now - at_ms < 30 * 86_400_000;
    let ours = book.by_wamid.get(target).and_then(|index| book.records.get(*index));
    let theirs = book.inbound_by_wamid.get(target).and_then(|index| book.inbound.get(*index));
    ours.is_some_and(|message| fresh(message.accepted_at_ms) && message.kind != "reaction")
        || theirs.is_some_and(|message| fresh(message.at_ms) && message.kind != "reaction")
}

/// Category and type of the price (rules since 2026-10-01). Months count in UTC.
fn price(
    world: &World,
    book: &mut Book,
    order: &Order<'_>,
    person: Option<usize>,
    now: i64,
    failing: bool,
) -> (&'static str, &'static str) {
    let category = match order.template.as_ref().map(|entry| entry.template.category.as_str()) {
        None => "service",
        Some("MARKETING") => "marketing",
        Some("AUTHENTICATION") => "authentication",
        Some(_) => "utility",
    };
    if failing {
        return (category, "regular");
    }
    if person.and_then(|person| book.people.get(person)).is_some_and(|person| person.free_entry(order.number, now)) {
        return (category, "free_entry_point");
    }
    if category != "service" {
        return (category, "regular");
    }
    let used = book.service.entry((order.number, month(now))).or_default();
    *used += 1;
    (category, if *used <= world.config.status.free_service_messages { "free_customer_service" } else { "regular" })
}

/// Months since the epoch.
fn month(now_ms: i64) -> i64 {
    jiff::Timestamp::from_millisecond(now_ms).map_or(0, |at| {
        let date = at.to_zoned(jiff::tz::TimeZone::UTC).date();
        i64::from(date.year()) * 12 + i64::from(date.month())
    })
}
