//! A door that speaks as Meta's Cloud API does, for programs that already send by it: they change the address and the token and
//! gain the send gate, its queue, consent and limits, retries and the log in the CRM. Facts: whatsapp-api 5.1 to 5.4, 6.
//! May touch: the gate, the channel's files and states. Must not touch: the rules; a refusal of the gate is told in Meta's words.
//! Invariants: an answer of success names a message that is stored. What the API had said of it in time is in the answer.
//! Failure story: who gets no answer may ask again with the same `Idempotency-Key`; Meta's own API has no such thing.

mod error;
mod media;
mod read;

use crate::App;
use axum::Json;
use axum::Router;
use axum::extract::rejection::JsonRejection;
use axum::extract::{FromRequestParts, Path, State};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use error::GraphError;
use http::request::Parts;
use http::{HeaderMap, Method, header};
use ponte_domain::ids::{MessageId, NumberId};
use ponte_domain::message::Phase;
use ponte_domain::ports::store::{Answer, MessageView};
use ponte_domain::{Millis, SECOND};
use ponte_engine::gate;
use serde_json::{Value, json};

/// How long an answer waits for WhatsApp's id of the message. Queued behind others it is longer on its way: then the answer
/// names ours.
const WAIT_MS: Millis = 4 * SECOND;

pub(crate) fn routes() -> Router<App> {
    Router::new()
        .route("/{version}/{id}/messages", post(send).fallback(no_such_call))
        .route("/{version}/{id}/media", media::uploads().fallback(no_such_call))
        .route("/{version}/{id}", get(media::object).delete(media::delete).fallback(no_such_call))
        .route("/{version}/{id}/file", get(media::file).fallback(no_such_call))
}

/// Who has a key, and what the address names. A handler that takes it can't be reached without a valid key.
struct Named {
    /// As the caller wrote it, `v26.0`: digits and a point.
    version: String,
    /// A number or a file.
    id: String,
}

impl FromRequestParts<App> for Named {
    type Rejection = Response;

    async fn from_request_parts(parts: &mut Parts, app: &App) -> Result<Self, Response> {
        let path = Path::<(String, String)>::from_request_parts(parts, app).await;
        let Ok(Path((version, id))) = path else { return Err(crate::api::not_found().await.into_response()) };
        let digits = |text: &str| !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
        let is_version =
            version.strip_prefix('v').and_then(|v| v.split_once('.')).is_some_and(|(a, b)| digits(a) && digits(b));
        if !is_version {
            // Not meant for this door: any two words would be an address of it.
            return Err(crate::api::not_found().await.into_response());
        }
        let header = parts.headers.get(header::AUTHORIZATION).and_then(|v| v.to_str().ok()).unwrap_or_default();
        let token = header.strip_prefix("Bearer ").or_else(|| header.strip_prefix("OAuth ")).unwrap_or_default();
        if app.keys.owner(token).is_none() {
            return Err(GraphError::token().into_response());
        }
        Ok(Self { version, id })
    }
}

/// Who has a key, and the number of ours that the address names.
struct Door {
    number: NumberId,
}

impl FromRequestParts<App> for Door {
    type Rejection = Response;

    async fn from_request_parts(parts: &mut Parts, app: &App) -> Result<Self, Response> {
        let number = NumberId::from(Named::from_request_parts(parts, app).await?.id.as_str());
        if app.world.directory.get(&number).is_none() {
            return Err(
                GraphError::no_object(number.as_str(), "it is no number of [[whatsapp.numbers]]").into_response()
            );
        }
        Ok(Self { number })
    }
}

/// The address is known, but not with this method.
async fn no_such_call(named: Named, method: Method) -> GraphError {
    let details = format!("there is no {method} of this address");
    GraphError::no_object(&named.id, &details)
}

async fn send(
    door: Door,
    State(app): State<App>,
    headers: HeaderMap,
    body: Result<Json<Value>, JsonRejection>,
) -> Result<Response, GraphError> {
    let Json(body) = body.map_err(|e| GraphError::parameter(&e.body_text()))?;
    let key = headers.get("idempotency-key").and_then(|v| v.to_str().ok()).map(str::to_owned);
    let asked = read::request(&body, door.number, key)?;
    let input = asked.input;
    let mut answers = gate::admit(&app.world, vec![asked.request]).await.map_err(|e| GraphError::store(&e))?;
    match answers.pop() {
        Some(Answer::Queued { message, .. }) => {
            let view = settled(&app, message).await?;
            sent(message, view.as_ref(), input.as_deref())
        }
        Some(Answer::Filed) => Ok(Json(json!({ "success": true })).into_response()),
        Some(Answer::Refused { rule, detail, .. }) => Err(GraphError::refused(rule, detail)),
        None => Err(GraphError::parameter("the request can't be read")),
    }
}

/// The message once WhatsApp has taken or refused it; as it stands when that takes too long.
async fn settled(app: &App, id: MessageId) -> Result<Option<MessageView>, GraphError> {
    let clock = &app.world.clock;
    let end = clock.now() + WAIT_MS;
    let mut pause = 20;
    loop {
        let view = app.world.store.message(app.world.workspace, id).await.map_err(|e| GraphError::store(&e))?;
        let done = view.as_ref().is_none_or(|v| matches!(v.phase, Phase::Accepted | Phase::Dead | Phase::Refused));
        if done || clock.now() >= end {
            return Ok(view);
        }
        clock.sleep_ms(pause).await;
        pause = (pause * 3 / 2).min(200);
    }
}

fn sent(id: MessageId, view: Option<&MessageView>, input: Option<&str>) -> Result<Response, GraphError> {
    let failure = view.filter(|v| matches!(v.phase, Phase::Dead | Phase::Refused)).and_then(|v| v.error.as_ref());
    if let Some((code, title)) = failure {
        return Err(GraphError::failed(code, title));
    }
    let named = view.and_then(|v| v.wamid.clone()).unwrap_or_else(|| id.to_string());
    let mut answer = json!({ "messaging_product": "whatsapp", "messages": [{ "id": named }] });
    if let (Some(input), Some(all)) = (input, answer.as_object_mut()) {
        let digits: String = input.chars().filter(char::is_ascii_digit).collect();
        let contact = if input.starts_with(|c: char| c.is_ascii_alphabetic()) {
            json!({ "input": input, "user_id": input })
        } else {
            json!({ "input": input, "wa_id": digits })
        };
        all.insert("contacts".to_owned(), json!([contact]));
    }
    // For whoever asks our own API about it.
    Ok(([("ponte-message-id", id.to_string())], Json(answer)).into_response())
}
