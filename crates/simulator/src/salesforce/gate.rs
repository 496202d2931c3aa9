//! The way of every request: counted, delayed, authenticated, paid for, carried out, and then answered or not.
//! May touch: the world's counters, sessions and allowances; its own connection. Must not touch: records.
//! Failure story: faults before a write refuse it; faults after it withhold or falsify the answer of an applied write.

use super::config::{Faults, Outage};
use super::error::{Answer, Refusal, Reply};
use super::request::{Call, Family, versions};
use super::{
    Sim, bulk, bulk_query, collections, composite, control, describe, metadata, oauth, pubsub, query, replicate,
    search, sobjects,
};
use crate::listener::{Caller, pause};
use axum::body::Body;
use axum::extract::{ConnectInfo, Request, State};
use axum::response::Response;
use http::{HeaderName, HeaderValue, Method, StatusCode, header};
use serde_json::{Value, json};
use std::sync::Arc;
use std::time::Duration;

/// Larger bodies are refused with 413.
const MAX_BODY: usize = 160 << 20;
/// The longest path and query.
const MAX_URI: usize = 16_384;
const SERVER_ERRORS: [u16; 4] = [500, 502, 503, 504];

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
    if request.uri().path().starts_with("/eventbus.v1.PubSub/") {
        return pubsub::serve(&sim, request).await;
    }
    let (parts, body) = request.into_parts();
    let Ok(body) = axum::body::to_bytes(body, MAX_BODY).await else {
        return render(Err(Refusal::new(413, "REQUEST_TOO_LARGE", "The request entity is too large.")), None);
    };
    let call = Call::new(parts, body);
    if call.family == Some(Family::Control) {
        return render(control::serve(&sim, &call), None);
    }
    let ticket = {
        let mut world = sim.world();
        world.tally.request(&call.endpoint());
        let now = sim.clock.now_ms();
        if call.family == Some(Family::Data) { Some(world.limiter.begin(now)) } else { None }
    };
    let faults = sim.faults();
    let (answer, usage, fate) = match faults.outage {
        Some(Outage::Drop) => (Err(unavailable()), None, Fate::Cut),
        Some(_) => (Err(unavailable()), None, Fate::Send),
        None if call.family == Some(Family::Data) => {
            match admitted(&sim, &call, &faults) {
                // A slow answer is slow between being let in and being done.
                Ok((session, usage)) => {
                    pause(&sim.stop, faults.latency.draw(&sim.chance)).await;
                    let (answer, fate) = carried_out(&sim, &call, &session, &faults);
                    (answer, Some(usage), fate)
                }
                Err((refusal, usage)) => (Err(refusal), usage, Fate::Send),
            }
        }
        None => {
            pause(&sim.stop, faults.latency.draw(&sim.chance)).await;
            (open(&sim, &call), None, Fate::Send)
        }
    };
    if matches!(fate, Fate::Hang) {
        pause(&sim.stop, Duration::from_millis(faults.hang_ms)).await;
    }
    if let Some(ticket) = ticket {
        sim.world().limiter.end(ticket);
    }
    if matches!(fate, Fate::Send) {
        let page = faults.outage == Some(Outage::Maintenance);
        let response = if page { maintenance() } else { render(answer, usage) };
        sim.world().tally.answered(response.status().as_u16());
        return response;
    }
    sim.world().tally.answered(0);
    caller.cut();
    Response::new(Body::empty())
}

fn unavailable() -> Refusal {
    Refusal::new(503, "SERVER_UNAVAILABLE", "The HTTP request failed to get service from the server.")
}

fn maintenance() -> Response {
    let mut response = Response::new(Body::from("<html><body>We are down for maintenance.</body></html>"));
    *response.status_mut() = StatusCode::SERVICE_UNAVAILABLE;
    response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static("text/html"));
    response
}

/// What needs no session of the REST API.
fn open(sim: &Sim, call: &Call) -> Answer {
    match call.family {
        Some(Family::Oauth) => oauth::serve(sim, call),
        Some(Family::Identity) => oauth::identity(sim, call),
        Some(Family::Versions) => {
            let season = |n: u32| {
                format!("{} '{}", ["Winter", "Spring", "Summer"].get((n as usize + 1) % 3).unwrap_or(&""), 10 + n / 3)
            };
            let list: Vec<Value> = versions()
                .map(|n| json!({"label": season(n), "url": format!("/services/data/v{n}.0"), "version": format!("{n}.0")}))
                .collect();
            Ok(Reply::read(Value::Array(list)))
        }
        _ => Err(Refusal::not_found()),
    }
}

/// `api-usage=3/115000`
type Usage = String;

fn admitted(sim: &Sim, call: &Call, faults: &Faults) -> Result<(String, Usage), (Refusal, Option<Usage>)> {
    let now = sim.clock.now_ms();
    let mut world = sim.world();
    let session = world.auth.check(call.authorization.as_deref(), &sim.config.oauth, now).map_err(|r| (r, None))?;
    let limits = &sim.config.limits;
    let taken = world.limiter.take(limits, now);
    let usage = format!("api-usage={}/{}", world.limiter.requests.used(now), limits.daily_requests);
    let exceeded = |kind: super::config::Allowance| Refusal::new(403, "REQUEST_LIMIT_EXCEEDED", kind.message());
    let injected = || sim.chance.happens(faults.request_limit);
    let refusal = match taken {
        Err(kind) => exceeded(kind),
        Ok(()) if faults.api_disabled => {
            Refusal::new(403, "API_DISABLED_FOR_ORG", "API is not enabled for this Organization or Partner")
        }
        Ok(()) if injected() => exceeded(faults.request_limit_kind),
        Ok(()) if sim.chance.happens(faults.session_lost) => {
            world.auth.revoke(&session);
            return Err((Refusal::session(), None));
        }
        Ok(()) if sim.chance.happens(faults.server_error) => server_error(sim),
        Ok(()) if call.uri_length > MAX_URI => Refusal::new(414, "URI_TOO_LONG", "URI Too Long"),
        Ok(()) => return Ok((session, usage)),
    };
    if refusal.code == "REQUEST_LIMIT_EXCEEDED" {
        world.tally.rate_limited += 1;
    }
    Err((refusal, Some(usage)))
}

fn carried_out(sim: &Sim, call: &Call, session: &str, faults: &Faults) -> (Answer, Fate) {
    let answer = {
        let _turn = sim.turn();
        dispatch(sim, call, session)
    };
    if !answer.as_ref().is_ok_and(|reply| reply.wrote) {
        return (answer, Fate::Send);
    }
    let (answer, fate) = if sim.chance.happens(faults.timeout_after_apply) {
        (answer, Fate::Hang)
    } else if sim.chance.happens(faults.reset_after_apply) {
        (answer, Fate::Cut)
    } else if sim.chance.happens(faults.server_error_after_apply) {
        (Err(server_error(sim)), Fate::Send)
    } else {
        return (answer, Fate::Send);
    };
    sim.world().tally.applied_unanswered += 1;
    (answer, fate)
}

fn server_error(sim: &Sim) -> Refusal {
    let status = sim.chance.pick(&SERVER_ERRORS).copied().unwrap_or(500);
    Refusal::new(
        status,
        "UNKNOWN_EXCEPTION",
        "An unexpected error occurred. Please include this ErrorId if you contact support",
    )
}

/// Carries a request of the REST API out; also each part of a composite one.
pub(super) fn dispatch(sim: &Sim, call: &Call, session: &str) -> Answer {
    let now = sim.clock.now_ms();
    {
        let mut world = sim.world();
        world.settle_access(&sim.config);
        bulk::run_due(&mut world, sim, now);
    }
    let get = call.method == Method::GET;
    let answer = match call.path().as_slice() {
        [] if get => Ok(resources(call)),
        ["limits"] if get => Ok(limits(sim, now)),
        ["sobjects", "User", ..] if !get => Err(Refusal::not_simulated("Changing users")),
        ["sobjects"] if get => Ok(describe::global(sim, call)),
        ["sobjects", object, "describe"] if get => describe::one(sim, call, object),
        ["sobjects", object, "deleted"] if get => replicate::deleted(sim, call, object, now),
        ["sobjects", object, "updated"] if get => replicate::updated(sim, call, object, now),
        ["sobjects", object, rest @ ..] => sobjects::serve(sim, call, object, rest, now),
        ["composite"] => composite::serve(sim, call, session),
        ["composite", "batch"] => composite::batch(sim, call, session),
        ["composite", "sobjects", rest @ ..] => collections::serve(sim, call, rest, now),
        ["query"] if get => query::start(sim, call, session, false, now),
        ["queryAll"] if get => query::start(sim, call, session, true, now),
        ["query" | "queryAll", locator] if get => query::more(sim, call, session, locator, now),
        ["search"] if get => search::sosl(sim, call, now),
        ["parameterizedSearch"] => search::parameterized(sim, call, now),
        ["jobs", "ingest", rest @ ..] => bulk::serve(sim, call, rest, now),
        ["jobs", "query", rest @ ..] => bulk_query::serve(sim, call, rest, now),
        ["tooling", "query"] if get => query::tooling(sim, call, session, now),
        ["tooling", "sobjects", "CustomField", rest @ ..] => metadata::custom_field(sim, call, rest, now),
        ["metadata", "deployRequest", rest @ ..] => metadata::serve(sim, call, rest, now),
        _ => Err(Refusal::not_found()),
    };
    sim.world().settle_access(&sim.config);
    answer
}

fn resources(call: &Call) -> Reply {
    let names = [
        "sobjects",
        "query",
        "queryAll",
        "search",
        "parameterizedSearch",
        "limits",
        "composite",
        "jobs",
        "tooling",
        "metadata",
    ];
    Reply::read(
        names
            .iter()
            .map(|name| (name.to_string(), json!(format!("{}/{name}", call.base))))
            .collect::<serde_json::Map<_, _>>()
            .into(),
    )
}

fn limits(sim: &Sim, now: i64) -> Reply {
    let mut world = sim.world();
    let limits = &sim.config.limits;
    let entry = |max: u64, used: u64| json!({"Max": max, "Remaining": max.saturating_sub(used)});
    let storage_left = world.storage_left(&sim.config);
    Reply::read(json!({
        "DailyApiRequests": entry(limits.daily_requests.into(), world.limiter.requests.used(now).into()),
        "DailyBulkApiBatches": entry(limits.bulk_batches.into(), world.limiter.bulk_batches.used(now).into()),
        "DailyBulkV2QueryJobs": entry(limits.bulk_query_jobs.into(), world.limiter.bulk_queries.used(now).into()),
        "DataStorageMB": {"Max": limits.data_storage_mb, "Remaining": storage_left},
    }))
}

fn render(answer: Answer, usage: Option<Usage>) -> Response {
    let (status, reply) = match answer {
        Ok(reply) => (reply.status, reply),
        Err(refusal) => (refusal.status, Reply::read(refusal.body())),
    };
    let (bytes, kind) = reply.bytes();
    let mut response = Response::new(Body::from(bytes));
    *response.status_mut() = StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    let headers = response.headers_mut();
    if let Some(kind) = kind {
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(kind));
    }
    if let super::error::Body::Redirect(to) = &reply.body
        && let Ok(to) = HeaderValue::from_str(to)
    {
        headers.insert(header::LOCATION, to);
    }
    let usage = usage.map(|usage| ("sforce-limit-info", usage));
    for (name, value) in reply.headers.into_iter().chain(usage) {
        if let Ok(value) = HeaderValue::from_str(&value) {
            headers.insert(HeaderName::from_static(name), value);
        }
    }
    response
}
