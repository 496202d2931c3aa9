//! The way of every request: counted, authenticated, paid for, delayed, carried out, and then answered or not.
//! May touch: the world's counters, tokens and budget; its own connection. Must not touch: records.
//! Failure story: faults before a write refuse it; faults after it withhold or falsify the answer of an applied write.

use super::Sim;
use super::auth::{Right, TokenError};
use super::budget::{self, Price};
use super::call::{Call, Family};
use super::config::{Faults, Outage};
use super::error::{Answer, Body, Refusal, Reply};
use super::world::World;
use super::{control, coql_run, routes};
use crate::listener::{Caller, pause};
use axum::body::Body as HttpBody;
use axum::extract::{ConnectInfo, Request, State};
use axum::response::Response;
use http::{HeaderValue, Method, StatusCode, header};
use std::sync::Arc;
use std::time::Duration;

/// Larger bodies are refused with 413.
const MAX_BODY: usize = 16 << 20;
/// What a failing server answers.
const SERVER_ERRORS: [u16; 3] = [500, 502, 503];

/// What becomes of an answer.
enum Fate {
    Send,
    Hang,
    Cut,
}

/// A place among the calls that are under way; it is given back when the call ends, whatever way it ends.
struct Place {
    sim: Arc<Sim>,
    price: Price,
}

impl Drop for Place {
    fn drop(&mut self) {
        self.sim.world().budget.leave(self.price);
    }
}

/// Serves one request.
pub(super) async fn handle(
    State(sim): State<Arc<Sim>>,
    ConnectInfo(caller): ConnectInfo<Caller>,
    request: Request,
) -> Response {
    let (parts, body) = request.into_parts();
    let Ok(body) = axum::body::to_bytes(body, MAX_BODY).await else {
        return render(Err(Refusal::new(413, "REQUEST_BODY_TOO_LARGE", "The body is too large.")), None);
    };
    let call = Call::new(parts, body);
    if call.family == Some(Family::Control) {
        let answer = control::serve(&sim, &call);
        sim.forward_events();
        return render(answer, None);
    }
    {
        let mut world = sim.world();
        let endpoint = call.endpoint(|name| world.module_no(name).is_some());
        *world.tally.requests.entry(endpoint).or_default() += 1;
    }
    let faults = sim.faults();
    let latency = faults.latency.draw(&sim.chance);
    let (answer, fate) = match (faults.outage, call.family) {
        (Some(outage), _) => {
            pause(&sim.stop, latency).await;
            let fate = if outage == Outage::Drop { Fate::Cut } else { Fate::Send };
            (Err(Refusal::new(503, "SERVICE_UNAVAILABLE", "The service is unavailable.")), fate)
        }
        (None, Some(Family::Accounts)) => {
            pause(&sim.stop, latency).await;
            (accounts(&sim, &call), Fate::Send)
        }
        (None, _) => match enter(&sim, &call) {
            Err(refusal) => (Err(refusal), Fate::Send),
            // The place is held through the wait: that is what makes calls overlap.
            Ok(_place) => {
                pause(&sim.stop, latency).await;
                carry_out(&sim, &call, &faults)
            }
        },
    };
    sim.forward_events();
    match fate {
        Fate::Send => {
            let shown = match call.family {
                Some(Family::Crm) => sim.world().budget.shown(&sim.config.limits, sim.clock.now_ms()),
                _ => None,
            };
            let response = render(answer, shown);
            sim.world().tally.answered(response.status().as_u16());
            return response;
        }
        Fate::Hang => pause(&sim.stop, Duration::from_millis(faults.hang_ms)).await,
        Fate::Cut => {}
    }
    sim.world().tally.answered(0);
    caller.cut();
    Response::new(HttpBody::empty())
}

fn accounts(sim: &Sim, call: &Call) -> Answer {
    if call.data_centre.is_some_and(|dc| dc != sim.config.data_centre) {
        // Another data centre's accounts server doesn't know this client.
        return Ok(TokenError::Client.reply(&sim.config));
    }
    let now = sim.clock.now_ms();
    sim.world().auth.serve(call, &sim.config, &sim.home(), &sim.chance, now)
}

/// Checks the token, its scopes and the budget, in the order that Zoho shows them.
fn enter(sim: &Arc<Sim>, call: &Call) -> Result<Place, Refusal> {
    if call.family.is_none() {
        return Err(Refusal::no_such_path());
    }
    let now = sim.clock.now_ms();
    let price = budget::price(call);
    let mut world = sim.world();
    let granted = world.auth.check(call.header("authorization"), now)?.to_vec();
    if call.data_centre.is_some_and(|dc| dc != sim.config.data_centre) {
        // The token is good, but not here.
        return Err(Refusal::bad_token());
    }
    let covered = |right: &Right| granted.iter().any(|scope| right.covered_by(scope));
    let searches = matches!(call.segments().as_slice(), [_, "search"]) && call.method == Method::GET;
    let search_scope = |scope: &String| scope.eq_ignore_ascii_case("ZohoSearch.securesearch.READ");
    let unsearchable = searches && world.flags.search_needs_its_scope && !granted.iter().any(search_scope);
    if unsearchable || !rights(&world, call).iter().all(covered) {
        return Err(Refusal::new(401, "OAUTH_SCOPE_MISMATCH", "invalid oauth scope to access this URL"));
    }
    world.budget.enter(price, &sim.config.limits, now)?;
    drop(world);
    Ok(Place { sim: Arc::clone(sim), price })
}

/// What a call needs to be allowed.
fn rights(world: &World, call: &Call) -> Vec<Right> {
    let operation = match call.method {
        Method::GET => "READ",
        Method::POST => "CREATE",
        Method::DELETE => "DELETE",
        _ => "UPDATE",
    };
    let module = |name: &str| world.module_no(name).and_then(|no| world.stores.get(no)).map(|store| &store.module);
    let of =
        |name: &str, operation| Right::new("modules", module(name).map_or(name, |module| module.scope()), operation);
    match call.segments().as_slice() {
        ["org"] => vec![Right::new("org", "", operation)],
        ["users", ..] => vec![Right::new("users", "", operation)],
        ["settings", kind, ..] => vec![Right::new("settings", kind, operation)],
        ["actions", "watch"] => vec![Right::new("notifications", "", operation)],
        ["coql"] => {
            let asked = coql_run::module_of(call).map(|name| of(&name, "READ"));
            [Right::new("coql", "", "READ")].into_iter().chain(asked).collect()
        }
        [name, "upsert"] => vec![of(name, "CREATE"), of(name, "UPDATE")],
        [name, "actions", "add_tags" | "remove_tags"] | [name, _, "actions", "add_tags" | "remove_tags"] => {
            vec![of(name, "UPDATE")]
        }
        [name, _, list] if module(list).is_some() => vec![of(name, "READ"), of(list, operation)],
        [name, ..] => vec![of(name, operation)],
        [] => Vec::new(),
    }
}

fn carry_out(sim: &Sim, call: &Call, faults: &Faults) -> (Answer, Fate) {
    if sim.chance.happens(faults.token_refused) {
        return (Err(Refusal::bad_token()), Fate::Send);
    }
    if sim.chance.happens(faults.too_many_requests) {
        return (Err(Refusal::throttled()), Fate::Send);
    }
    if sim.chance.happens(faults.server_error) {
        return (Err(server_error(sim)), Fate::Send);
    }
    let answer = routes::dispatch(sim, call);
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
    Refusal::new(status, "INTERNAL_ERROR", "Internal server error occurred.")
}

fn render(answer: Answer, credits: Option<u32>) -> Response {
    let Reply { status, body, .. } = answer.unwrap_or_else(|refusal| Reply {
        status: refusal.status,
        body: Body::Json(refusal.body()),
        wrote: false,
    });
    let (text, location) = match body {
        Body::None => (None, None),
        Body::Json(value) => (Some(value.to_string()), None),
        Body::Location(address) => (None, HeaderValue::from_str(&address).ok()),
    };
    let has_body = text.is_some();
    let mut response = Response::new(text.map_or_else(HttpBody::empty, HttpBody::from));
    *response.status_mut() = StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    let headers = response.headers_mut();
    if has_body {
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json;charset=utf-8"));
    }
    if let Some(location) = location {
        headers.insert(header::LOCATION, location);
    }
    if let Some(credits) = credits {
        headers.insert("x-api-credits-remaining", HeaderValue::from(credits));
    }
    response
}
