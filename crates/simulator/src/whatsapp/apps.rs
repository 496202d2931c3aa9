//! App level: token inspection, webhook subscriptions of the app, of accounts and of numbers.
//! May touch: the hooks; calls the receiver once to verify it. Must not touch: messages.

use super::config::WebhookTarget;
use super::content::put;
use super::errors::ApiError;
use super::hooks;
use super::world::World;
use serde_json::{Map, Value, json};
use std::sync::PoisonError;

/// `GET /debug_token?input_token=`.
pub(crate) fn debug_token(world: &World, query: &Map<String, Value>) -> Result<Value, ApiError> {
    let token = query
        .get("input_token")
        .and_then(Value::as_str)
        .ok_or_else(|| ApiError::new(100, "The parameter input_token is required."))?;
    let app = &world.config.app_id;
    if token != world.config.access_token {
        return Ok(json!({"data": {"app_id": app, "is_valid": false, "scopes": [],
            "error": {"code": 190, "message": "Invalid OAuth access token."}}}));
    }
    let wabas: Vec<&str> = world.config.wabas.iter().map(|waba| waba.id.as_str()).collect();
    let scopes = ["whatsapp_business_management", "whatsapp_business_messaging"];
    Ok(json!({"data": {
        "app_id": app, "type": "SYSTEM_USER", "application": "Simulated app", "is_valid": true, "expires_at": 0,
        "data_access_expires_at": 0, "issued_at": world.now_ms() / 1_000 - 3_600, "user_id": "122100000000000001", "scopes": scopes,
        "granular_scopes": scopes.map(|scope| json!({"scope": scope, "target_ids": wabas})),
    }}))
}

/// `GET /{app_id}/subscriptions`.
pub(crate) fn subscriptions(world: &World) -> Value {
    let hooks = world.hooks.read().unwrap_or_else(PoisonError::into_inner);
    let Some(target) = &hooks.app else { return json!({"data": []}) };
    let version = &world.config.graph_version;
    let fields = if hooks.fields.is_empty() { vec!["messages".to_owned()] } else { hooks.fields.clone() };
    let fields: Vec<Value> = fields.iter().map(|field| json!({"name": field, "version": version})).collect();
    json!({"data": [{"object": "whatsapp_business_account", "callback_url": target.url, "active": true, "fields": fields}]})
}

/// `POST /{app_id}/subscriptions`: verifies the callback, then takes it.
///
/// # Errors
/// 100 for a missing parameter, 2200 when the callback does not answer with the challenge.
pub(crate) async fn subscribe(world: &World, body: &Map<String, Value>) -> Result<Value, ApiError> {
    let text = |key: &str| {
        body.get(key)
            .and_then(Value::as_str)
            .ok_or_else(|| ApiError::new(100, format!("The parameter {key} is required.")))
    };
    if text("object")? != "whatsapp_business_account" {
        return Err(ApiError::new(100, "Param object must be whatsapp_business_account"));
    }
    let target =
        WebhookTarget { url: text("callback_url")?.to_owned(), verify_token: text("verify_token")?.to_owned() };
    let fields = match body.get("fields") {
        Some(Value::String(list)) => {
            list.split(',').map(|field| field.trim().to_owned()).filter(|field| !field.is_empty()).collect()
        }
        Some(Value::Array(list)) => list.iter().filter_map(Value::as_str).map(str::to_owned).collect(),
        _ => Vec::new(),
    };
    if fields.is_empty() {
        return Err(ApiError::new(100, "The parameter fields is required."));
    }
    verified(world, &target).await?;
    let mut hooks = world.hooks.write().unwrap_or_else(PoisonError::into_inner);
    hooks.app = Some(target);
    hooks.fields = fields;
    Ok(json!({"success": true}))
}

async fn verified(world: &World, target: &WebhookTarget) -> Result<(), ApiError> {
    hooks::verify(world, target)
        .await
        .map_err(|reason| ApiError::new(2200, format!("URL couldn't be validated: {reason}")))
}

/// `GET /{waba_id}/subscribed_apps`.
pub(crate) fn subscribed(world: &World, waba: usize) -> Value {
    let hooks = world.hooks.read().unwrap_or_else(PoisonError::into_inner);
    if !hooks.wabas.contains(&waba) {
        return json!({"data": []});
    }
    let id = &world.config.app_id;
    let mut app = json!({"whatsapp_business_api_data": {"id": id, "name": "Simulated app", "link": format!("https://www.facebook.com/games/?app_id={id}")}});
    if let Some(url) = hooks.waba_overrides.get(&waba) {
        put(&mut app, "override_callback_uri", json!(url));
    }
    json!({"data": [app]})
}

/// `POST /{waba_id}/subscribed_apps`, with or without an override for `messages`.
///
/// # Errors
/// 100 for half an override, 2200 when the callback does not answer with the challenge.
pub(crate) async fn subscribe_waba(world: &World, waba: usize, body: &Map<String, Value>) -> Result<Value, ApiError> {
    let url = overriding(world, body).await?;
    let mut hooks = world.hooks.write().unwrap_or_else(PoisonError::into_inner);
    hooks.wabas.insert(waba);
    match url {
        Some(url) => hooks.waba_overrides.insert(waba, url),
        None => hooks.waba_overrides.remove(&waba),
    };
    Ok(json!({"success": true}))
}

/// `DELETE /{waba_id}/subscribed_apps`.
pub(crate) fn unsubscribe_waba(world: &World, waba: usize) -> Value {
    let mut hooks = world.hooks.write().unwrap_or_else(PoisonError::into_inner);
    hooks.wabas.remove(&waba);
    hooks.waba_overrides.remove(&waba);
    json!({"success": true})
}

/// `POST /{phone_number_id}` with `webhook_configuration`; an empty address clears it.
///
/// # Errors
/// As for accounts.
pub(crate) async fn configure_number(world: &World, number: usize, configuration: &Value) -> Result<Value, ApiError> {
    let empty = Map::new();
    let url = overriding(world, configuration.as_object().unwrap_or(&empty)).await?;
    let mut hooks = world.hooks.write().unwrap_or_else(PoisonError::into_inner);
    match url {
        Some(url) => hooks.number_overrides.insert(number, url),
        None => hooks.number_overrides.remove(&number),
    };
    Ok(json!({"success": true}))
}

async fn overriding(world: &World, body: &Map<String, Value>) -> Result<Option<String>, ApiError> {
    let url = body.get("override_callback_uri").and_then(Value::as_str).filter(|url| !url.is_empty());
    let Some(url) = url else { return Ok(None) };
    let token = body.get("verify_token").and_then(Value::as_str);
    let token = token.ok_or_else(|| ApiError::new(100, "The parameter verify_token is required."))?;
    if url.len() > 200 {
        return Err(ApiError::new(100, "Param override_callback_uri has at most 200 characters"));
    }
    verified(world, &WebhookTarget { url: url.to_owned(), verify_token: token.to_owned() }).await?;
    Ok(Some(url.to_owned()))
}
