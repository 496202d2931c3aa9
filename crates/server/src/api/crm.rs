//! The CRM connections over the API: where they stand, runs, what was left out; read now, pause, resume.

use super::{Caller, Params};
use crate::App;
use crate::problem::Problem;
use axum::Json;
use axum::extract::{Path, State};
use ponte_domain::Millis;
use ponte_domain::error::{INVALID_REQUEST, NOT_FOUND, UNAVAILABLE};
use ponte_domain::ids::ConnectionId;
use ponte_domain::ports::access::{Access, AccessError};
use ponte_domain::ports::people::NewAudit;
use ponte_domain::ports::sync::{RunKind, Skipped, SyncPatch, SyncRun};
use ponte_engine::connection::Connection;
use serde::Deserialize;
use serde_json::{Value, json};
use std::sync::Arc;

fn find<'a>(app: &'a App, name: &str) -> Result<&'a Connection, Problem> {
    let found = app.crms.iter().find(|crm| crm.id.as_str() == name);
    found.ok_or_else(|| Problem::new(NOT_FOUND, Some(format!("there is no CRM connection {name}"))))
}

async fn standing(app: &App, connection: &Connection) -> Result<Value, Problem> {
    let workspace = app.world.workspace;
    let state = app.world.sync.sync_state(workspace, &connection.id).await?;
    let (linked, skipped) = app.world.sync.sync_counts(workspace, &connection.id).await?;
    let last = app.world.sync.sync_runs(workspace, Some(&connection.id), 1).await?.into_iter().next();
    let authorisation = connection.standing().await?;
    Ok(json!({ "name": connection.id, "authorisation": authorisation,
        "trouble": authorisation.trouble(connection.id.as_str()), "capabilities": connection.crm.capabilities(), "budget": connection.crm.budget(),
        "state": state, "linked": linked, "skipped": skipped, "last_run": last }))
}

pub(super) async fn list(_: Caller, State(app): State<App>) -> Result<Json<Vec<Value>>, Problem> {
    let mut all = Vec::new();
    for connection in app.crms.iter() {
        all.push(standing(&app, connection).await?);
    }
    Ok(Json(all))
}

pub(super) async fn show(_: Caller, State(app): State<App>, Path(name): Path<String>) -> Result<Json<Value>, Problem> {
    Ok(Json(standing(&app, find(&app, &name)?).await?))
}

/// The mapping as it holds, and what was found about it.
pub(super) async fn mapping(
    _: Caller,
    State(app): State<App>,
    Path(name): Path<String>,
) -> Result<Json<Value>, Problem> {
    let known = find(&app, &name)?.known();
    let rules = known.iter().flat_map(|l| l.mapping.rules()).map(|rule| {
        json!({ "item": rule.item, "fields": rule.theirs, "direction": rule.direction, "conflict": rule.conflict,
            "codec": rule.codec, "values": rule.values })
    });
    let rules: Vec<Value> = rules.collect();
    Ok(Json(json!({ "read_at": known.as_ref().map(|l| l.at), "rules": rules,
        "findings": known.as_ref().map(|l| l.findings.clone()).unwrap_or_default() })))
}

#[derive(Deserialize)]
pub(super) struct Wanted {
    kind: RunKind,
}

/// Asks for a run.
pub(super) async fn sync(
    _: Caller,
    State(app): State<App>,
    Path(name): Path<String>,
    Params(wanted): Params<Wanted>,
) -> Result<Json<Value>, Problem> {
    let connection = find(&app, &name)?;
    let refused = |why: String| Err(Problem::new(INVALID_REQUEST, Some(why)));
    let push = wanted.kind == RunKind::Push;
    if !push && (!connection.settings.pull || connection.settings.rules.is_empty()) {
        return refused(format!("{name} is not read from: sync.pull is off, or it has no mapping"));
    }
    if let Some(by) = app.world.sync.sync_state(app.world.workspace, &connection.id).await?.paused_by {
        return refused(format!("{name} is paused by {by}: resume it first"));
    }
    let now = app.world.clock.now();
    if push {
        app.world.sync.push_begin(app.world.workspace, &connection.id, app.world.ids.next(), now).await?;
    } else {
        let patch = SyncPatch { wanted: Some(Some(wanted.kind)), ..SyncPatch::default() };
        app.world.sync.sync_patch(app.world.workspace, None, &connection.id, patch, now).await?;
    }
    Ok(Json(standing(&app, connection).await?))
}

pub(super) async fn pause(
    caller: Caller,
    State(app): State<App>,
    Path(name): Path<String>,
) -> Result<Json<Value>, Problem> {
    change(&app, &caller, &name, true).await
}

pub(super) async fn resume(
    caller: Caller,
    State(app): State<App>,
    Path(name): Path<String>,
) -> Result<Json<Value>, Problem> {
    change(&app, &caller, &name, false).await
}

async fn change(app: &App, caller: &Caller, name: &str, paused: bool) -> Result<Json<Value>, Problem> {
    let connection = find(app, name)?;
    let now = app.world.clock.now();
    let who = format!("api:{}", caller.0);
    let patch = SyncPatch { paused: Some(paused.then(|| (now, who.clone()))), ..SyncPatch::default() };
    app.world.sync.sync_patch(app.world.workspace, None, &connection.id, patch, now).await?;
    let act = if paused { "crm.pause" } else { "crm.resume" };
    let entry = NewAudit { at: now, who, act, subject: Some(name.to_owned()), data: "{}".to_owned() };
    app.world.people.audit(app.world.workspace, entry).await?;
    Ok(Json(standing(app, connection).await?))
}

fn access<'a>(app: &'a App, name: &str) -> Result<&'a Arc<dyn Access>, Problem> {
    let none = || format!("{name} signs in with what stands in the configuration: there is nothing to authorise");
    find(app, name)?.access.as_ref().ok_or_else(|| Problem::new(INVALID_REQUEST, none()))
}

fn not_done(error: AccessError) -> Problem {
    match error {
        AccessError::Store(error) => error.into(),
        other => Problem::new(UNAVAILABLE, other.to_string()),
    }
}

async fn noted(app: &App, caller: &Caller, act: &'static str, name: String, at: Millis) -> Result<(), Problem> {
    let who = format!("api:{}", caller.0);
    let entry = NewAudit { at, who, act, subject: Some(name), data: "{}".to_owned() };
    Ok(app.world.people.audit(app.world.workspace, entry).await?)
}

/// The address at the vendor where a person authorises the connection.
pub(super) async fn authorize(
    caller: Caller,
    State(app): State<App>,
    Path(name): Path<String>,
) -> Result<Json<Value>, Problem> {
    let access = access(&app, &name)?;
    let mend = || Some("set [server] public_url, or run `ponte crm authorize` where a browser is".to_owned());
    let base = app.public_url.as_deref().ok_or_else(|| Problem::new(INVALID_REQUEST, mend()))?;
    let redirect_uri = format!("{base}/oauth/crm/{name}/callback");
    let now = app.world.clock.now();
    let url = access.begin(&redirect_uri, now).await.map_err(not_done)?;
    noted(&app, &caller, "crm.authorize_begin", name, now).await?;
    Ok(Json(json!({ "url": url, "redirect_uri": redirect_uri })))
}

/// Withdraws what was granted.
pub(super) async fn deauthorize(
    caller: Caller,
    State(app): State<App>,
    Path(name): Path<String>,
) -> Result<Json<Value>, Problem> {
    if access(&app, &name)?.withdraw().await.map_err(not_done)? {
        noted(&app, &caller, "crm.deauthorize", name.clone(), app.world.clock.now()).await?;
    }
    Ok(Json(standing(&app, find(&app, &name)?).await?))
}

#[derive(Deserialize)]
pub(super) struct Which {
    connection: Option<String>,
    #[serde(default = "fifty")]
    limit: i64,
}

const fn fifty() -> i64 {
    50
}

pub(super) async fn runs(
    _: Caller,
    State(app): State<App>,
    Params(which): Params<Which>,
) -> Result<Json<Vec<SyncRun>>, Problem> {
    let id = which.connection.as_deref().map(ConnectionId::from);
    let limit = which.limit.clamp(1, 500);
    Ok(Json(app.world.sync.sync_runs(app.world.workspace, id.as_ref(), limit).await?))
}

pub(super) async fn skipped(
    _: Caller,
    State(app): State<App>,
    Params(which): Params<Which>,
) -> Result<Json<Vec<Skipped>>, Problem> {
    let id = which.connection.as_deref().map(ConnectionId::from);
    let limit = which.limit.clamp(1, 500);
    Ok(Json(app.world.sync.skipped(app.world.workspace, id.as_ref(), limit).await?))
}
