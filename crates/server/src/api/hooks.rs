//! Subscriptions to events, in the form that Zapier, n8n and Make expect of REST hooks: subscribe, unsubscribe, samples as an
//! array; and what their owner asks besides.

use super::{Caller, Params, parse};
use crate::App;
use crate::problem::Problem;
use axum::extract::rejection::JsonRejection;
use axum::extract::{Path, State};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use axum::{Json, Router};
use bytes::Bytes;
use http::{HeaderMap, StatusCode};
use ponte_domain::Millis;
use ponte_domain::error::{HOOK_LIMIT, HOOK_TARGET_REFUSED, IDEMPOTENCY_CONFLICT, INVALID_REQUEST, NOT_FOUND};
use ponte_domain::event::EventKind;
use ponte_domain::hook::{Filter, Hook, HookState, payload};
use ponte_domain::ids::{EventId, HookId};
use ponte_domain::ports::hooks::Added;
use ponte_engine::hooks::{self, Edit, NotMade, Replay, Wish};
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

pub(super) fn routes() -> Router<App> {
    Router::new()
        .route("/api/v1/hooks", post(add).get(list))
        .route("/api/v1/hooks/samples", get(samples))
        .route("/api/v1/hooks/{id}", get(show).patch(change).delete(remove))
        .route("/api/v1/hooks/{id}/rotate-secret", post(rotate))
        .route("/api/v1/hooks/{id}/deliveries", get(deliveries))
        .route("/api/v1/hooks/{id}/replay", post(replay))
        .route("/api/v1/hooks/{id}/test", post(try_out))
}

impl From<NotMade> for Problem {
    fn from(error: NotMade) -> Self {
        match error {
            NotMade::Invalid(why) => Self::new(INVALID_REQUEST, why.to_string()),
            NotMade::Refused(why) => Self::new(HOOK_TARGET_REFUSED, why),
            NotMade::Store(error) => error.into(),
        }
    }
}

/// A key of at most this many characters.
const LONGEST_KEY: usize = 255;

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Subscribe {
    #[serde(alias = "url")]
    target_url: String,
    /// One word instead of a list.
    #[serde(default)]
    event: Option<String>,
    #[serde(default)]
    events: Option<Vec<String>>,
    #[serde(default)]
    filter: Option<Filter>,
}

fn words(event: Option<String>, events: Option<Vec<String>>) -> Result<Option<Vec<String>>, Problem> {
    match (event, events) {
        (Some(_), Some(_)) => Err(Problem::new(INVALID_REQUEST, "give event or events, not both".to_owned())),
        (Some(event), None) => Ok(Some(vec![event])),
        (None, events) => Ok(events),
    }
}

async fn add(
    caller: Caller,
    State(app): State<App>,
    headers: HeaderMap,
    body: Result<Json<Subscribe>, JsonRejection>,
) -> Result<Response, Problem> {
    let Json(body) = body.map_err(|e| Problem::new(INVALID_REQUEST, e.body_text()))?;
    let key = headers.get("idempotency-key").and_then(|v| v.to_str().ok()).map(str::to_owned);
    if key.as_ref().is_some_and(|key| key.is_empty() || key.len() > LONGEST_KEY) {
        return Err(Problem::new(INVALID_REQUEST, format!("idempotency-key: 1 to {LONGEST_KEY} characters")));
    }
    let events = words(body.event, body.events)?.unwrap_or_default();
    let wish = Wish { target_url: body.target_url, events, filter: body.filter.unwrap_or_default() };
    match hooks::subscribe(&app.world, wish, &by(&caller), key).await? {
        Added::New(hook) => Ok((StatusCode::CREATED, Json(with_secret(&hook))).into_response()),
        Added::Again(hook) => Ok(Json(with_secret(&hook)).into_response()),
        Added::Different => Err(Problem::new(IDEMPOTENCY_CONFLICT, None)),
        Added::Full => Err(Problem::new(HOOK_LIMIT, None)),
    }
}

fn by(caller: &Caller) -> String {
    format!("api:{}", caller.0)
}

/// A subscription with its secret: for whoever made it, or made a new one.
fn with_secret(hook: &Hook) -> Value {
    let mut value = json!(hook);
    if let Some(map) = value.as_object_mut() {
        map.insert("secret".to_owned(), json!(hook.secrets.current.reveal()));
        map.extend(hook.secrets.previous.iter().map(|(_, until)| ("previous_secret_until".to_owned(), json!(until))));
    }
    value
}

async fn list(_: Caller, State(app): State<App>) -> Result<Response, Problem> {
    Ok(Json(app.world.hooks.hooks(app.world.workspace).await?).into_response())
}

async fn show(_: Caller, State(app): State<App>, Path(id): Path<String>) -> Result<Response, Problem> {
    let id: HookId = parse("id", &id)?;
    found(app.world.hooks.hook(app.world.workspace, id).await?)
}

fn found<T: serde::Serialize>(there: Option<T>) -> Result<Response, Problem> {
    there.map(|value| Json(value).into_response()).ok_or_else(|| Problem::new(NOT_FOUND, None))
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Change {
    #[serde(default)]
    state: Option<HookState>,
    #[serde(default)]
    event: Option<String>,
    #[serde(default)]
    events: Option<Vec<String>>,
    #[serde(default)]
    filter: Option<Filter>,
    #[serde(default, alias = "url")]
    target_url: Option<String>,
}

async fn change(
    caller: Caller,
    State(app): State<App>,
    Path(id): Path<String>,
    body: Result<Json<Change>, JsonRejection>,
) -> Result<Response, Problem> {
    let id: HookId = parse("id", &id)?;
    let Json(body) = body.map_err(|e| Problem::new(INVALID_REQUEST, e.body_text()))?;
    if !matches!(body.state, None | Some(HookState::Active | HookState::Paused)) {
        return Err(Problem::new(INVALID_REQUEST, "state: active or paused".to_owned()));
    }
    let events = words(body.event, body.events)?;
    let edit = Edit { state: body.state, events, filter: body.filter, target_url: body.target_url };
    found(hooks::change(&app.world, id, edit, &by(&caller)).await?)
}

/// Gone already is as good as removed now: an integration that is taken away asks once and doesn't look.
async fn remove(caller: Caller, State(app): State<App>, Path(id): Path<String>) -> Result<Response, Problem> {
    let id: HookId = parse("id", &id)?;
    hooks::remove(&app.world, id, &by(&caller)).await?;
    Ok(StatusCode::NO_CONTENT.into_response())
}

async fn rotate(caller: Caller, State(app): State<App>, Path(id): Path<String>) -> Result<Response, Problem> {
    let id: HookId = parse("id", &id)?;
    let rotated = hooks::rotate(&app.world, id, &by(&caller)).await?;
    found(rotated.as_ref().map(with_secret))
}

#[derive(Debug, Deserialize)]
struct Limit {
    limit: Option<i64>,
}

async fn deliveries(
    _: Caller,
    State(app): State<App>,
    Path(id): Path<String>,
    Params(list): Params<Limit>,
) -> Result<Response, Problem> {
    let id: HookId = parse("id", &id)?;
    let (world, limit) = (&app.world, list.limit.unwrap_or(50).clamp(1, 100));
    if world.hooks.hook(world.workspace, id).await?.is_none() {
        return Err(Problem::new(NOT_FOUND, None));
    }
    Ok(Json(world.hooks.hook_deliveries(world.workspace, id, limit).await?).into_response())
}

/// A time as programs give it.
#[derive(Debug, Deserialize)]
#[serde(untagged)]
enum Time {
    Millis(Millis),
    Text(String),
}

impl Time {
    fn read(self, name: &str) -> Result<Millis, Problem> {
        match self {
            Self::Millis(at) => Ok(at),
            Self::Text(text) => payload::read_time(&text).ok_or_else(|| {
                Problem::new(
                    INVALID_REQUEST,
                    format!("{name}: epoch milliseconds, or a text such as 2026-01-05T09:30:00Z"),
                )
            }),
        }
    }
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Again {
    since: Time,
    #[serde(default)]
    until: Option<Time>,
    #[serde(default)]
    after: Option<EventId>,
}

async fn replay(
    caller: Caller,
    State(app): State<App>,
    Path(id): Path<String>,
    body: Result<Json<Again>, JsonRejection>,
) -> Result<Response, Problem> {
    let id: HookId = parse("id", &id)?;
    let Json(body) = body.map_err(|e| Problem::new(INVALID_REQUEST, e.body_text()))?;
    let wish = Replay {
        since: body.since.read("since")?,
        until: body.until.map(|t| t.read("until")).transpose()?,
        after: body.after,
    };
    let replayed = hooks::replay(&app.world, id, wish, &by(&caller)).await?;
    replayed
        .map(|replayed| (StatusCode::ACCEPTED, Json(replayed)).into_response())
        .ok_or_else(|| Problem::new(NOT_FOUND, None))
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct Try {
    #[serde(default)]
    event: Option<String>,
}

async fn try_out(_: Caller, State(app): State<App>, Path(id): Path<String>, body: Bytes) -> Result<Response, Problem> {
    let id: HookId = parse("id", &id)?;
    let wish: Try = optional(&body)?;
    let kind = wish.event.map(|word| {
        EventKind::parse(&word).ok_or_else(|| {
            Problem::new(INVALID_REQUEST, "event: one kind of event, such as message.received".to_owned())
        })
    });
    found(hooks::try_out(&app.world, id, kind.transpose()?).await?)
}

/// A body that may be left out.
fn optional<T: DeserializeOwned + Default>(body: &Bytes) -> Result<T, Problem> {
    if body.is_empty() {
        return Ok(T::default());
    }
    serde_json::from_slice(body).map_err(|e| Problem::new(INVALID_REQUEST, e.to_string()))
}

#[derive(Debug, Deserialize)]
struct Sample {
    event: Option<String>,
    limit: Option<usize>,
}

/// An array, newest first, in the shape that is pushed.
async fn samples(_: Caller, State(app): State<App>, Params(wish): Params<Sample>) -> Result<Response, Problem> {
    let words = wish.event.unwrap_or_else(|| "*".to_owned()).split(',').map(|word| word.trim().to_owned()).collect();
    let samples = hooks::samples(&app.world, words, wish.limit.unwrap_or(3).clamp(1, 100)).await?;
    Ok(Json(samples).into_response())
}
