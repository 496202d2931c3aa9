//! The control interface `/_sim/`: scripts and load tests drive the simulator through it over plain HTTP.
//! May touch: everything the simulator offers. Must not touch: the Graph API's behaviour.

use super::config::WebhookTarget;
use super::content::inner;
use super::customers::CustomerMessage;
use super::errors::ApiError;
use super::faults::Faults;
use super::graph;
use super::hooks::{self, Update, What};
use super::inbound;
use super::server::{self, Answer};
use super::stats::Counters;
use super::traffic;
use super::world::World;
use bytes::Bytes;
use http::{Method, Request, StatusCode};
use hyper::body::Incoming;
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};
use std::collections::HashMap;
use std::sync::Arc;

const BODY_MAX: usize = 32 * 1_024 * 1_024;
const PAGE_MAX: usize = 10_000;

pub(crate) async fn answer(world: &Arc<World>, segments: &[&str], request: Request<Incoming>) -> Answer {
    let (status, value) = match route(world, segments, request).await {
        Ok(value) => (StatusCode::OK, value),
        Err(error) => (StatusCode::BAD_REQUEST, json!({"error": error.details})),
    };
    let mut answer = server::bare(status, Bytes::from(serde_json::to_vec(&value).unwrap_or_default()));
    answer.headers_mut().insert("content-type", http::HeaderValue::from_static("application/json"));
    answer
}

async fn route(world: &Arc<World>, segments: &[&str], request: Request<Incoming>) -> Result<Value, ApiError> {
    let method = request.method().clone();
    let query = graph::query(request.uri().query());
    match (segments.get(1).copied(), &method) {
        (None, &Method::GET) => Ok(index(world)),
        (Some("stats"), &Method::GET) => Ok(json!(world.stats())),
        (Some("messages"), &Method::GET) => Ok(messages(world, &query)),
        (Some("inbound"), &Method::GET) => Ok(inbound_ledger(world, &query)),
        (Some("inbound"), &Method::POST) => inbound_post(world, read(request).await?),
        (Some("faults"), &Method::GET) => Ok(json!(*world.faults())),
        (Some("faults"), &Method::PUT) => {
            world.set_faults(parse::<Faults>(read(request).await?)?);
            Ok(json!(*world.faults()))
        }
        (Some("webhook"), &Method::PUT) => webhook(world, read(request).await?).await,
        (Some("raw"), &Method::POST) => raw(world, read(request).await?),
        (Some("reset"), &Method::POST) => {
            world.reset();
            Ok(json!({"success": true}))
        }
        _ => Err(ApiError::new(2500, "unknown path; GET /_sim/ explains what there is")),
    }
}

async fn read(request: Request<Incoming>) -> Result<Value, ApiError> {
    let bytes = server::read(request.into_body(), BODY_MAX).await?;
    serde_json::from_slice(&bytes).map_err(|error| ApiError::new(100, format!("not JSON: {error}")))
}

fn parse<T: DeserializeOwned>(value: Value) -> Result<T, ApiError> {
    serde_json::from_value(value).map_err(|error| ApiError::new(100, error.to_string()))
}

fn index(world: &World) -> Value {
    let numbers: Vec<Value> = world
        .lines
        .iter()
        .map(|line| json!({"phone_number_id": line.id, "display_phone_number": line.display}))
        .collect();
    json!({
        "what": "A simulator of the WhatsApp Cloud API. Point your client's base URL here; the Graph API is under /{version}/.",
        "graph": format!("http://{}/{}", world.addr, world.config.graph_version),
        "access_token": world.config.access_token, "app_id": world.config.app_id, "app_secret": world.config.app_secret,
        "wabas": world.config.wabas.iter().map(|waba| &waba.id).collect::<Vec<_>>(), "numbers": numbers,
        "control": {
            "GET /_sim/stats": "counters",
            "GET /_sim/messages?after=0&limit=100": "accepted sends and their statuses, in order; go on with `next`",
            "GET /_sim/inbound?after=0&limit=100": "generated customer messages and whether their webhook was answered 200",
            "POST /_sim/inbound": "a customer message, an array of them, or {count, per_second, customers?, phone_number_id?}",
            "GET|PUT /_sim/faults": "injected trouble, replaced as a whole",
            "PUT /_sim/webhook": "{url, verify_token, verify?}: where webhooks go; verify (default true) does the challenge first",
            "POST /_sim/raw": "{field, value, waba_id?}: any webhook change as it is",
            "POST /_sim/reset": "forget messages, people and counters",
        },
        "customer_message_example": {"from": {"wa_id": "5511987654321", "name": "Ana"}, "message": {"type": "text", "body": "Oi"}},
        "faults": *world.faults(),
    })
}

fn page(query: &HashMap<String, String>) -> (usize, usize) {
    let number = |key: &str, other: usize| query.get(key).and_then(|text| text.parse().ok()).unwrap_or(other);
    (number("after", 0), number("limit", 100).min(PAGE_MAX))
}

fn messages(world: &World, query: &HashMap<String, String>) -> Value {
    let (after, limit) = page(query);
    let book = world.book();
    let shown: Vec<_> = book
        .records
        .iter()
        .skip(after)
        .take(limit)
        .map(|record| record.show(world.lines.get(record.number).map_or("", |line| line.id.as_str())))
        .collect();
    let next = after + shown.len();
    json!({"data": shown, "next": next, "total": book.records.len()})
}

fn inbound_ledger(world: &World, query: &HashMap<String, String>) -> Value {
    let (after, limit) = page(query);
    let book = world.book();
    let shown: Vec<_> = book.inbound.iter().skip(after).take(limit).collect();
    json!({"next": after + shown.len(), "total": book.inbound.len(), "data": shown})
}

/// Messages to generate at a steady rate.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Burst {
    count: usize,
    per_second: f64,
    #[serde(default = "hundred")]
    customers: usize,
    #[serde(default)]
    phone_number_id: Option<String>,
}

fn hundred() -> usize {
    100
}

fn inbound_post(world: &Arc<World>, value: Value) -> Result<Value, ApiError> {
    match value {
        Value::Array(list) => {
            let messages: Vec<CustomerMessage> = list.into_iter().map(parse).collect::<Result<_, _>>()?;
            let ids: Vec<String> =
                messages.iter().map(|message| inbound::take(world, message)).collect::<Result<_, _>>()?;
            Ok(json!({"wamids": ids}))
        }
        value if value.get("count").is_some() => {
            let burst: Burst = parse(value)?;
            if burst.per_second <= 0.0 {
                return Err(ApiError::new(100, "per_second must be above 0"));
            }
            if let Some(id) = &burst.phone_number_id {
                world.line(id)?;
            }
            let count = burst.count;
            world.tasks.spawn(traffic::steady(
                world.clone(),
                burst.count,
                burst.per_second,
                burst.customers,
                burst.phone_number_id,
            ));
            Ok(json!({"started": count}))
        }
        value => Ok(json!({"wamids": [inbound::take(world, &parse(value)?)?]})),
    }
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct NewWebhook {
    url: String,
    verify_token: String,
    #[serde(default = "yes")]
    verify: bool,
}

fn yes() -> bool {
    true
}

async fn webhook(world: &World, value: Value) -> Result<Value, ApiError> {
    if value.is_null() {
        world.set_webhook(None);
        return Ok(json!({"success": true}));
    }
    let new: NewWebhook = parse(value)?;
    let target = WebhookTarget { url: new.url, verify_token: new.verify_token };
    if new.verify {
        hooks::verify(world, &target).await.map_err(|reason| ApiError::new(2200, reason))?;
    }
    world.set_webhook(Some(target));
    Ok(json!({"success": true, "verified": new.verify}))
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct RawChange {
    field: String,
    value: Value,
    #[serde(default)]
    waba_id: Option<String>,
}

fn raw(world: &World, value: Value) -> Result<Value, ApiError> {
    let change: RawChange = parse(value)?;
    inject(world, &change.field, &change.value, change.waba_id.as_deref())?;
    Ok(json!({"success": true}))
}

/// Sends any change as a webhook. Account-type fields get a `time`.
///
/// # Errors
/// 100/33 for an unknown account.
pub(crate) fn inject(world: &World, field: &str, value: &Value, waba_id: Option<&str>) -> Result<(), ApiError> {
    let waba = match waba_id {
        None => 0,
        Some(id) => world.waba_by_id.get(id).copied().ok_or_else(|| ApiError::no_object(id))?,
    };
    let phone_id = inner(value, "/metadata/phone_number_id").as_str();
    let number = phone_id.and_then(|id| world.line_by_id.get(id).copied());
    let personal = ["messages", "user_preferences", "smb_message_echoes", "history", "smb_app_state_sync", "calls"]
        .contains(&field);
    Counters::one(&world.counters.changes_generated);
    let timed = (!personal).then(|| world.now_ms() / 1_000);
    let what = What::Change { field: field.to_owned(), value: Arc::from(value.to_string()), timed, inbound: None };
    world.emit(Update { waba, number, what });
    Ok(())
}
