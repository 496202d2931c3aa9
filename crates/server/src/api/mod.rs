//! The API for programs: send, look at messages, events, the journal and dead letters, subscribe to events.
//! Every call needs a key: `Authorization: Bearer …`.

mod consent;
mod crm;
mod hooks;
mod media;
mod triggers;

pub(crate) use media::{LARGEST as LARGEST_FILE, as_download};

use crate::App;
use crate::problem::Problem;
use axum::Json;
use axum::Router;
use axum::extract::rejection::JsonRejection;
use axum::extract::{DefaultBodyLimit, FromRequestParts, Path, Query, State};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use http::request::Parts;
use http::{HeaderMap, StatusCode, header};
use ponte_domain::error::{INVALID_REQUEST, METHOD_NOT_ALLOWED, NOT_FOUND, UNAUTHENTICATED};
use ponte_domain::ids::{ConversationId, DeadLetterId, MessageId, NumberId};
use ponte_domain::job::Class;
use ponte_domain::message::Origin;
use ponte_domain::outbound::Outbound;
use ponte_domain::ports::store::{Answer, Page};
use ponte_engine::gate::{self, SendRequest, To};
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

pub(crate) fn routes() -> Router<App> {
    Router::new()
        .route("/api/v1/me", get(me))
        .route("/api/v1/status", get(status))
        .route("/api/v1/messages", post(send).get(messages))
        .route("/api/v1/messages/batch", post(send_batch))
        .route("/api/v1/messages/{id}", get(message))
        .route("/api/v1/messages/{id}/media", get(media::of_message))
        .route("/api/v1/media", post(media::upload).layer(DefaultBodyLimit::max(media::LARGEST)))
        .route("/api/v1/messages/explain", post(consent::explain))
        .route("/api/v1/people/{id}/consent", get(consent::show).post(consent::record))
        .route("/api/v1/people/{id}/consent/ask", post(consent::ask))
        .route("/api/v1/triggers/{name}", post(triggers::fire))
        .route("/api/v1/crm", get(crm::list))
        .route("/api/v1/crm/runs", get(crm::runs))
        .route("/api/v1/crm/skipped", get(crm::skipped))
        .route("/api/v1/crm/{name}", get(crm::show))
        .route("/api/v1/crm/{name}/mapping", get(crm::mapping))
        .route("/api/v1/crm/{name}/sync", post(crm::sync))
        .route("/api/v1/crm/{name}/pause", post(crm::pause))
        .route("/api/v1/crm/{name}/resume", post(crm::resume))
        .route("/api/v1/crm/{name}/authorize", post(crm::authorize).delete(crm::deauthorize))
        .route("/webhooks/crm/{name}", post(crate::crm::notice))
        .route("/api/v1/events", get(events))
        .route("/api/v1/journal", get(journal))
        .route("/api/v1/dead-letters", get(dead_letters))
        .route("/api/v1/dead-letters/{id}/retry", post(retry))
        .route("/api/v1/dead-letters/{id}/discard", post(discard))
        .merge(hooks::routes())
}

pub(crate) async fn not_found() -> Problem {
    Problem::new(NOT_FOUND, None)
}

pub(crate) async fn method_not_allowed() -> Problem {
    Problem::new(METHOD_NOT_ALLOWED, None)
}

/// Query parameters, with problems told like all others.
pub(crate) struct Params<T>(pub(crate) T);

impl<T: DeserializeOwned> FromRequestParts<App> for Params<T> {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _: &App) -> Result<Self, Problem> {
        let query = Query::<T>::try_from_uri(&parts.uri);
        query.map(|Query(params)| Self(params)).map_err(|e| Problem::new(INVALID_REQUEST, e.body_text()))
    }
}

/// The owner of a valid key. A handler that takes it can't be reached without one.
pub(crate) struct Caller(String);

impl FromRequestParts<App> for Caller {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, app: &App) -> Result<Self, Problem> {
        let token = parts
            .headers
            .get(header::AUTHORIZATION)
            .and_then(|v| v.to_str().ok())
            .and_then(|v| v.strip_prefix("Bearer "))
            .unwrap_or_default();
        let hint = || Some("send Authorization: Bearer KEY with a key from [[api.keys]]".to_owned());
        app.keys.owner(token).map(Caller).ok_or_else(|| Problem::new(UNAUTHENTICATED, hint()))
    }
}

async fn me(caller: Caller) -> Json<Value> {
    Json(json!({ "name": caller.0 }))
}

async fn status(_: Caller, State(app): State<App>) -> Result<Response, Problem> {
    let overview = app.world.store.overview(app.world.workspace, app.world.clock.now()).await?;
    Ok(Json(overview).into_response())
}

/// A message to send, as a program asks for it.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct SendBody {
    /// `phone_number_id` to send from; default: the first configured.
    #[serde(default)]
    from: Option<NumberId>,
    /// `{"phone":"+55…"}`, `{"user_id":"US.…"}` or `{"person":"per_…"}`.
    #[serde(default)]
    to: Option<To>,
    message: Outbound,
    #[serde(default)]
    class: Option<Class>,
    /// Wamid of the message it answers.
    #[serde(default)]
    reply_to: Option<String>,
    /// Epoch milliseconds.
    #[serde(default)]
    not_before: Option<i64>,
    /// Instead of the header, for batches.
    #[serde(default)]
    idempotency_key: Option<String>,
}

impl SendBody {
    fn request(self, key: Option<String>) -> SendRequest {
        SendRequest {
            number: self.from,
            to: self.to,
            message: self.message,
            class: self.class,
            origin: Origin::Api,
            reply_to: self.reply_to,
            not_before: self.not_before,
            idempotency_key: self.idempotency_key.or(key),
        }
    }
}

async fn send(
    _: Caller,
    State(app): State<App>,
    headers: HeaderMap,
    body: Result<Json<SendBody>, JsonRejection>,
) -> Result<Response, Problem> {
    let Json(body) = body.map_err(|e| Problem::new(INVALID_REQUEST, e.body_text()))?;
    let key = headers.get("idempotency-key").and_then(|v| v.to_str().ok()).map(str::to_owned);
    let answers = gate::admit(&app.world, vec![body.request(key)]).await?;
    match answers.into_iter().next() {
        Some(answer) => answered(answer),
        None => Err(Problem::new(INVALID_REQUEST, None)),
    }
}

fn answered(answer: Answer) -> Result<Response, Problem> {
    match row(answer) {
        Ok((again, body)) => {
            let status = if again { StatusCode::OK } else { StatusCode::ACCEPTED };
            Ok((status, Json(body)).into_response())
        }
        Err(problem) => Err(problem),
    }
}

fn row(answer: Answer) -> Result<(bool, Value), Problem> {
    match answer {
        Answer::Queued { message, person, conversation, again } => Ok((
            again,
            json!({ "id": message, "person_id": person, "conversation_id": conversation, "state": "queued", "again": again }),
        )),
        Answer::Filed => Ok((false, json!({ "state": "queued" }))),
        Answer::Refused { rule, message, detail } => {
            let problem = Problem::new(rule, detail);
            Err(match message {
                Some(id) => problem.with("message_id", json!(id)),
                None => problem,
            })
        }
    }
}

const BATCH: usize = 200;

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct BatchBody {
    messages: Vec<SendBody>,
}

/// Up to 200 messages in one transaction; one answer each, in order.
async fn send_batch(
    _: Caller,
    State(app): State<App>,
    body: Result<Json<BatchBody>, JsonRejection>,
) -> Result<Response, Problem> {
    let Json(body) = body.map_err(|e| Problem::new(INVALID_REQUEST, e.body_text()))?;
    if !(1..=BATCH).contains(&body.messages.len()) {
        let detail = format!("messages: {} given; 1 to {BATCH} are allowed", body.messages.len());
        return Err(Problem::new(INVALID_REQUEST, detail));
    }
    let requests = body.messages.into_iter().map(|m| m.request(None)).collect();
    let answers = gate::admit(&app.world, requests).await?;
    let rows: Vec<Value> =
        answers.into_iter().map(|answer| row(answer).map_or_else(|problem| problem.body(), |(_, body)| body)).collect();
    Ok((StatusCode::ACCEPTED, Json(json!({ "results": rows }))).into_response())
}

fn parse<T: std::str::FromStr<Err: std::fmt::Display>>(name: &str, text: &str) -> Result<T, Problem> {
    text.parse().map_err(|e| Problem::new(INVALID_REQUEST, format!("{name}: {e}")))
}

async fn message(_: Caller, State(app): State<App>, Path(id): Path<String>) -> Result<Response, Problem> {
    let id: MessageId = parse("id", &id)?;
    match app.world.store.message(app.world.workspace, id).await? {
        Some(view) => Ok(Json(view).into_response()),
        None => Err(Problem::new(NOT_FOUND, None)),
    }
}

#[derive(Debug, Deserialize)]
struct List {
    limit: Option<i64>,
    before: Option<String>,
    conversation: Option<String>,
    kind: Option<String>,
    after: Option<i64>,
}

impl List {
    fn limit(&self) -> i64 {
        self.limit.unwrap_or(50).clamp(1, 500)
    }
}

async fn messages(_: Caller, State(app): State<App>, Params(list): Params<List>) -> Result<Response, Problem> {
    let conversation: Option<ConversationId> =
        list.conversation.as_deref().map(|t| parse("conversation", t)).transpose()?;
    let before: Option<MessageId> = list.before.as_deref().map(|t| parse("before", t)).transpose()?;
    let found = app.world.store.messages(app.world.workspace, conversation, list.limit(), before).await?;
    Ok(Json(found).into_response())
}

async fn events(_: Caller, State(app): State<App>, Params(list): Params<List>) -> Result<Response, Problem> {
    let before: Option<i64> = list.before.as_deref().map(|t| parse("before", t)).transpose()?;
    let page = Page { before, limit: list.limit() };
    let found = app.world.store.recent_events(app.world.workspace, list.kind.as_deref(), page).await?;
    Ok(Json(found).into_response())
}

/// Raw webhook bodies, oldest first, from `after` on.
async fn journal(_: Caller, State(app): State<App>, Params(list): Params<List>) -> Result<Response, Problem> {
    let limit = list.limit.unwrap_or(10).clamp(1, 100);
    let segments = app.world.store.journal_read(app.world.workspace, list.after.unwrap_or(0), limit).await?;
    let rows: Vec<Value> = segments
        .iter()
        .flat_map(|segment| {
            segment.entries.iter().enumerate().map(move |(place, entry)| {
                json!({ "segment": segment.seq, "entry": place, "received_at": entry.received_at,
                    "body": String::from_utf8_lossy(&entry.body) })
            })
        })
        .collect();
    Ok(Json(rows).into_response())
}

async fn dead_letters(_: Caller, State(app): State<App>, Params(list): Params<List>) -> Result<Response, Problem> {
    let found = app.world.store.dead_letters(app.world.workspace, list.limit()).await?;
    Ok(Json(found).into_response())
}

async fn retry(_: Caller, State(app): State<App>, Path(id): Path<String>) -> Result<Response, Problem> {
    let id: DeadLetterId = parse("id", &id)?;
    let now = app.world.clock.now();
    changed(app.world.store.retry_dead(app.world.workspace, Some(id), now).await?)
}

async fn discard(_: Caller, State(app): State<App>, Path(id): Path<String>) -> Result<Response, Problem> {
    let id: DeadLetterId = parse("id", &id)?;
    changed(app.world.store.discard_dead(app.world.workspace, Some(id), app.world.clock.now()).await?)
}

fn changed(n: u64) -> Result<Response, Problem> {
    if n == 0 { Err(Problem::new(NOT_FOUND, None)) } else { Ok(StatusCode::NO_CONTENT.into_response()) }
}
