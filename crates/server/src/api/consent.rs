//! What people may be sent: the ledger of a person, stating a word, asking them, and what the gate would say and why.

use super::{Caller, SendBody, answered, parse};
use crate::App;
use crate::problem::Problem;
use axum::Json;
use axum::extract::rejection::JsonRejection;
use axum::extract::{Path, State};
use axum::response::{IntoResponse, Response};
use http::StatusCode;
use ponte_domain::consent::{Draft, Source};
use ponte_domain::error::{INVALID_REQUEST, NOT_FOUND};
use ponte_domain::ids::PersonId;
use ponte_engine::consent::{self, Ask, NotRecorded};
use ponte_engine::gate::{self, To};

/// The ledger of one person: what stands, every word, the open questions.
pub(super) async fn show(_: Caller, State(app): State<App>, Path(id): Path<String>) -> Result<Response, Problem> {
    let person: PersonId = parse("id", &id)?;
    let Some(file) = app.world.store.consent_of(app.world.workspace, person).await? else {
        return Err(Problem::new(NOT_FOUND, None));
    };
    Ok(Json(consent::shown(person, &file)).into_response())
}

/// States a word of the ledger.
pub(super) async fn record(
    caller: Caller,
    State(app): State<App>,
    Path(id): Path<String>,
    body: Result<Json<Draft>, JsonRejection>,
) -> Result<Response, Problem> {
    let person: PersonId = parse("id", &id)?;
    let Json(draft) = body.map_err(|e| Problem::new(INVALID_REQUEST, e.body_text()))?;
    let by = format!("api:{}", caller.0);
    match consent::record(&app.world, person, draft, Source::Api, &by).await {
        Ok(entry) => Ok((StatusCode::CREATED, Json(entry)).into_response()),
        Err(NotRecorded::Unknown) => Err(Problem::new(NOT_FOUND, None)),
        Err(NotRecorded::Invalid(why)) => Err(Problem::new(INVALID_REQUEST, why.to_string())),
        Err(NotRecorded::Store(error)) => Err(error.into()),
    }
}

/// Asks a person for consent, through the gate.
pub(super) async fn ask(
    caller: Caller,
    State(app): State<App>,
    Path(id): Path<String>,
    body: Result<Json<Ask>, JsonRejection>,
) -> Result<Response, Problem> {
    let person: PersonId = parse("id", &id)?;
    let Json(wish) = body.map_err(|e| Problem::new(INVALID_REQUEST, e.body_text()))?;
    answered(consent::ask(&app.world, To::Person(person), wish, &format!("api:{}", caller.0)).await?)
}

/// What the gate would say to a message, and why. Nothing is sent.
pub(super) async fn explain(
    _: Caller,
    State(app): State<App>,
    body: Result<Json<SendBody>, JsonRejection>,
) -> Result<Response, Problem> {
    let Json(body) = body.map_err(|e| Problem::new(INVALID_REQUEST, e.body_text()))?;
    match gate::explain(&app.world, body.request(None)).await? {
        Ok(explained) => Ok(Json(explained).into_response()),
        Err((rule, detail)) => Err(Problem::new(rule, detail)),
    }
}
