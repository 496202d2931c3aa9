//! The way of every request: counted, delayed, authenticated, limited, carried out, and then answered or not.
//! May touch: the world's counters, tokens and limits; its own connection. Must not touch: records.
//! Failure story: faults before a write refuse it; faults after it withhold or falsify the answer of an applied write.

use super::config::{Faults, Outage, Policy};
use super::error::{Answer, Refusal, Reply};
use super::limits::Remaining;
use super::object::Object;
use super::request::{Call, Family, Generation};
use super::{Sim, associations, batch, control, objects, properties, search};
use crate::listener::{Caller, pause};
use axum::body::Body;
use axum::extract::{ConnectInfo, Request, State};
use axum::response::Response;
use http::{HeaderValue, Method, StatusCode, header};
use serde_json::json;
use std::sync::Arc;
use std::time::Duration;

/// Larger bodies are refused with 413.
const MAX_BODY: usize = 16 << 20;
/// What a failing gateway answers.
const SERVER_ERRORS: [u16; 7] = [500, 502, 503, 504, 521, 523, 524];

/// What becomes of an answer.
enum Fate {
    Send,
    Hang,
    Cut,
}

/// Serves one request.
pub(super) async fn handle(
    State(sim): State<Arc<Sim>>,
    ConnectInfo(caller): ConnectInfo<Caller>,
    request: Request,
) -> Response {
    let (parts, body) = request.into_parts();
    let Ok(body) = axum::body::to_bytes(body, MAX_BODY).await else {
        return render(&sim, Err(Refusal::new(413, "PAYLOAD_TOO_LARGE", "The body is too large.")), None);
    };
    let call = Call::new(parts, body);
    if call.family == Some(Family::Control) {
        let answer = control::serve(&sim, &call);
        sim.forward_events();
        return render(&sim, answer, None);
    }
    *sim.world().tally.requests.entry(call.endpoint()).or_default() += 1;
    let faults = sim.faults();
    pause(&sim.stop, faults.latency.draw(&sim.chance)).await;

    let (answer, headers, fate) = match faults.outage {
        Some(Outage::Drop) => (Err(unavailable()), None, Fate::Cut),
        Some(Outage::Unavailable) => (Err(unavailable()), None, Fate::Send),
        None if call.family == Some(Family::Oauth) => (oauth(&sim, &call), None, Fate::Send),
        None => admitted(&sim, &call, &faults),
    };
    sim.forward_events();
    match fate {
        Fate::Send => {
            let response = render(&sim, answer, headers);
            sim.world().tally.answered(response.status().as_u16());
            return response;
        }
        Fate::Hang => pause(&sim.stop, Duration::from_millis(faults.hang_ms)).await,
        Fate::Cut => {}
    }
    sim.world().tally.answered(0);
    caller.cut();
    Response::new(Body::empty())
}

fn unavailable() -> Refusal {
    Refusal::new(503, "SERVICE_UNAVAILABLE", "The service is unavailable.")
}

/// Headers of the rate limits; the daily ones are absent with OAuth.
type Headers = Option<(Remaining, bool)>;

fn admitted(sim: &Sim, call: &Call, faults: &Faults) -> (Answer, Headers, Fate) {
    let now = sim.clock.now_ms();
    let (entry, headers) = {
        let mut world = sim.world();
        match world.auth.check(call.bearer.as_deref(), scopes(call), now) {
            Err(refusal) => (Err(refusal), None),
            Ok(oauth) => {
                let taken = world.limiter.take(call.is_search(), &sim.config.limits, now).map_err(Refusal::throttled);
                let shown = (!call.is_search()).then(|| (world.limiter.remaining(&sim.config.limits, now), oauth));
                (taken, shown)
            }
        }
    };
    if let Err(refusal) = entry.and_then(|()| refused_by_fault(sim, call, faults)) {
        return (Err(refusal), headers, Fate::Send);
    }
    let answer = dispatch(sim, call);
    if !answer.as_ref().is_ok_and(|reply| reply.wrote) {
        return (answer, headers, Fate::Send);
    }
    let (answer, fate) = if sim.chance.happens(faults.timeout_after_apply) {
        (answer, Fate::Hang)
    } else if sim.chance.happens(faults.reset_after_apply) {
        (answer, Fate::Cut)
    } else if sim.chance.happens(faults.server_error_after_apply) {
        (Err(server_error(sim)), Fate::Send)
    } else {
        return (answer, headers, Fate::Send);
    };
    sim.world().tally.applied_unanswered += 1;
    (answer, headers, fate)
}

fn refused_by_fault(sim: &Sim, call: &Call, faults: &Faults) -> Result<(), Refusal> {
    if sim.chance.happens(faults.too_many_requests) {
        let policy = if call.is_search() { Policy::Secondly } else { faults.too_many_requests_policy };
        return Err(Refusal::throttled(policy));
    }
    if sim.chance.happens(faults.server_error) {
        return Err(server_error(sim));
    }
    if sim.chance.happens(faults.locked) {
        return Err(Refusal::new(423, "LOCKED", "The account is locked by a high volume of requests."));
    }
    if sim.chance.happens(faults.migrating) {
        let mut refusal = Refusal::new(477, "MIGRATION_IN_PROGRESS", "The account is moving to another data centre.");
        refusal.retry_after_s = Some(faults.migrating_retry_after_s);
        return Err(refusal);
    }
    Ok(())
}

fn server_error(sim: &Sim) -> Refusal {
    let status = sim.chance.pick(&SERVER_ERRORS).copied().unwrap_or(500);
    Refusal::new(status, "INTERNAL_ERROR", "internal error")
}

/// Scopes of which one is enough; none for calls that any token may make.
fn scopes(call: &Call) -> &'static [&'static str] {
    match (call.family, call.is_read()) {
        (Some(Family::Objects | Family::Associations), true) => &["crm.objects.contacts.read"],
        (Some(Family::Objects | Family::Associations), false) => &["crm.objects.contacts.write"],
        (Some(Family::Properties), true) => &["crm.schemas.contacts.read", "crm.objects.contacts.read"],
        (Some(Family::Properties), false) => &["crm.schemas.contacts.write"],
        (Some(Family::Account | Family::Oauth | Family::Control) | None, _) => &[],
    }
}

pub(super) fn dispatch(sim: &Sim, call: &Call) -> Answer {
    match call.family {
        Some(Family::Objects) => dispatch_object(sim, call),
        Some(Family::Properties) => properties::serve(sim, call),
        Some(Family::Associations) => associations::serve_batch(sim, call),
        Some(Family::Account) if call.method == Method::GET && call.path() == ["details"] => Ok(Reply::read(json!({
            "portalId": sim.config.portal_id, "accountType": "STANDARD", "timeZone": "UTC", "companyCurrency": "USD",
            "additionalCurrencies": [], "utcOffset": "+00:00", "utcOffsetMilliseconds": 0,
            "uiDomain": "app.hubspot.com", "dataHostingLocation": "na1",
        }))),
        _ => Err(Refusal::no_such_path()),
    }
}

fn dispatch_object(sim: &Sim, call: &Call) -> Answer {
    let path = call.path();
    let Some((name, path)) = path.split_first() else { return Err(Refusal::no_such_path()) };
    let object =
        Object::parse(name).ok_or_else(|| Refusal::validation(format!("Unable to infer object type from: {name}")))?;
    match path {
        [id, "associations", rest @ ..] => associations::serve_one(sim, call, object, id, rest),
        _ if call.generation == Generation::V4 => Err(Refusal::no_such_path()),
        ["batch", verb] if call.method == Method::POST => batch::serve(sim, call, object, verb),
        ["search"] if call.method == Method::POST => search::serve(sim, call, object),
        _ => objects::serve(sim, call, object, path),
    }
}

fn oauth(sim: &Sim, call: &Call) -> Answer {
    let now = sim.clock.now_ms();
    let path = call.path();
    if call.method == Method::GET && path == ["authorize"] {
        return sim.world().auth.consent(&call.query, &sim.config, &sim.chance, now);
    }
    if call.method != Method::POST {
        return Err(Refusal::no_such_path());
    }
    let form = call.form()?;
    let mut world = sim.world();
    match path.as_slice() {
        ["token"] => {
            let reply = world.auth.token(&form, &sim.config, &sim.chance, now)?;
            if form.get("grant_type") == Some("refresh_token") {
                world.tally.token_refreshes += 1;
            }
            Ok(reply)
        }
        ["token", "introspect"] => world.auth.introspect(&form, &sim.config, now),
        ["token", "revoke"] => world.auth.revoke(&form, &sim.config),
        _ => Err(Refusal::no_such_path()),
    }
}

fn render(sim: &Sim, answer: Answer, limits: Headers) -> Response {
    let correlation_id = correlation_id(sim);
    let (status, body, retry_after, location) = match answer {
        Ok(reply) => (reply.status, reply.body, None, reply.location),
        Err(refusal) => (refusal.status, Some(refusal.body(&correlation_id)), refusal.retry_after_s, None),
    };
    let text = body.map(|body| body.to_string());
    let has_body = text.is_some();
    let mut response = Response::new(text.map_or_else(Body::empty, Body::from));
    *response.status_mut() = StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    let headers = response.headers_mut();
    if has_body {
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json;charset=utf-8"));
    }
    if let Ok(id) = HeaderValue::from_str(&correlation_id) {
        headers.insert("x-hubspot-correlation-id", id);
    }
    if let Some(to) = location.and_then(|to| HeaderValue::from_str(&to).ok()) {
        headers.insert(header::LOCATION, to);
    }
    if let Some(seconds) = retry_after {
        headers.insert(header::RETRY_AFTER, HeaderValue::from(seconds));
    }
    if let Some((remaining, oauth)) = limits {
        headers.insert("x-hubspot-ratelimit-max", HeaderValue::from(sim.config.limits.burst));
        headers.insert("x-hubspot-ratelimit-remaining", HeaderValue::from(remaining.burst));
        headers.insert("x-hubspot-ratelimit-interval-milliseconds", HeaderValue::from(10_000));
        if !oauth {
            headers.insert("x-hubspot-ratelimit-daily", HeaderValue::from(sim.config.limits.daily));
            headers.insert("x-hubspot-ratelimit-daily-remaining", HeaderValue::from(remaining.daily));
        }
    }
    response
}

fn correlation_id(sim: &Sim) -> String {
    // Not drawn from the seeded source: what happens next must not hang on how many answers were written.
    let n = sim.answers.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
    format!("00000000-0000-4000-8000-{n:012x}")
}
