//! Messages that programs ask for by the name of a trigger: a shop says that an order is confirmed and gives its data; which message
//! that means is set in the configuration.

use super::{Caller, answered};
use crate::App;
use crate::problem::Problem;
use axum::Json;
use axum::extract::rejection::JsonRejection;
use axum::extract::{Path, State};
use axum::response::Response;
use http::HeaderMap;
use ponte_domain::error::{INVALID_REQUEST, NOT_FOUND};
use ponte_domain::ids::PersonId;
use ponte_domain::mapping::trigger::{Fired, Trigger, Values};
use ponte_domain::outbound::Outbound;
use ponte_engine::gate::{self, SendRequest, To};
use serde::Deserialize;
use serde_json::{Map, Value};

/// An event as a program tells it.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Told {
    /// Whom it is about, as in the send API.
    to: To,
    /// Values for the trigger's templates.
    #[serde(default)]
    data: Map<String, Value>,
    /// Under this key the message is asked for once; default: the header `Idempotency-Key`, then the trigger's own key.
    #[serde(default)]
    key: Option<String>,
}

pub(super) async fn fire(
    _: Caller,
    State(app): State<App>,
    Path(name): Path<String>,
    headers: HeaderMap,
    body: Result<Json<Told>, JsonRejection>,
) -> Result<Response, Problem> {
    let Json(told) = body.map_err(|e| Problem::new(INVALID_REQUEST, e.body_text()))?;
    let trigger = app.triggers.iter().find(|t| t.name == name);
    let trigger = trigger.ok_or_else(|| Problem::new(NOT_FOUND, Some(format!("there is no trigger {name}"))))?;
    let mut values = whose(&app, &told.to).await?;
    values.add(&told.data);
    let unfit = |why: &str| Problem::new(INVALID_REQUEST, Some(why.to_owned()));
    let header = headers.get("idempotency-key").and_then(|v| v.to_str().ok()).map(str::to_owned);
    let key = match told.key.or(header) {
        Some(key) => key,
        None => own_key(trigger, &values)?,
    };
    let message = trigger.message(&values).map_err(|e| unfit(&e.text))?;
    let message: Outbound = serde_json::from_value(message).map_err(|e| unfit(&e.to_string()))?;
    let request = SendRequest {
        number: trigger.number.clone(),
        to: Some(told.to),
        message,
        class: None,
        origin: Fired::ORIGIN,
        reply_to: None,
        not_before: None,
        idempotency_key: Some(format!("trigger/{name}/{key}")),
    };
    let answer = gate::admit(&app.world, vec![request]).await?.into_iter().next();
    answer.map_or_else(|| Err(Problem::new(INVALID_REQUEST, None)), answered)
}

/// The trigger's own key, when its condition holds.
fn own_key(trigger: &Trigger, values: &Values) -> Result<String, Problem> {
    let unfit = |why: String| Problem::new(INVALID_REQUEST, Some(why));
    let key = trigger.holds(values, "").map_err(|e| unfit(e.text.into_owned()))?;
    if key.is_empty() {
        let why = match trigger.has_key() {
            true => "the trigger's condition doesn't hold for these data",
            false => "give a key: without one, saying it twice would send it twice",
        };
        return Err(unfit(why.to_owned()));
    }
    Ok(key)
}

/// What is known of whoever is meant.
async fn whose(app: &App, to: &To) -> Result<Values, Problem> {
    let found = match to {
        To::Person(id) => vec![*id],
        To::Phone(text) => {
            let digits: String = text.chars().filter(char::is_ascii_digit).collect();
            app.world.people.find_person(app.world.workspace, &digits).await?
        }
        To::UserId(id) => app.world.people.find_person(app.world.workspace, id).await?,
    };
    let Some(person) = found.first() else { return Ok(Values::default()) };
    values(app, *person).await
}

async fn values(app: &App, person: PersonId) -> Result<Values, Problem> {
    let card = app.world.people.cards(app.world.workspace, &[person]).await?.into_iter().next();
    Ok(card.map(|card| Values::of_card(&card)).unwrap_or_default())
}
