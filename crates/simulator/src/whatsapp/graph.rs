//! Which object and edge a management or media call means.
//! May touch: the request body. Must not touch: messages; sends have their own way.

use super::apps;
use super::errors::ApiError;
use super::ids::{self, Series};
use super::manage;
use super::media;
use super::numbers;
use super::server::{self, Answer, Version};
use super::world::{World, purpose};
use axum::extract::{FromRequest, Multipart};
use bytes::Bytes;
use http::{HeaderValue, Method, Request, StatusCode, Uri};
use hyper::body::Incoming;
use serde_json::{Map, Value, json};
use std::collections::HashMap;
use std::sync::PoisonError;

const UPLOAD_MAX: usize = 101 * 1_024 * 1_024;

/// A call's outcome, with the share of the hourly limit it has used if it counts against one.
pub(crate) struct Found {
    value: Value,
    usage: Option<(String, u32, u32)>,
}

impl Found {
    fn plain(value: Value) -> Self {
        Self { value, usage: None }
    }

    pub fn into_answer(self, world: &World, version: &Version) -> Answer {
        let mut answer = server::json(world, StatusCode::OK, &self.value, version);
        let Some((waba, percent, minutes)) = self.usage else { return answer };
        let usage = json!({waba: [{"type": "whatsapp_business_management", "call_count": percent, "total_cputime": 1, "total_time": 1,
            "estimated_time_to_regain_access": minutes}]});
        let app = json!({"call_count": percent, "total_cputime": 1, "total_time": 1});
        for (name, value) in [("x-business-use-case-usage", usage), ("x-app-usage", app)] {
            if let Ok(value) = HeaderValue::from_str(&value.to_string()) {
                answer.headers_mut().insert(name, value);
            }
        }
        answer
    }
}

/// Handles any call but a send.
///
/// # Errors
/// The documented error of the call; 100/33 for unknown objects, 2500 for unknown edges, 80007 beyond the hourly limit.
pub(crate) async fn call(world: &World, segments: &[&str], request: Request<Incoming>) -> Result<Found, ApiError> {
    let method = request.method().clone();
    match segments {
        ["debug_token"] => {
            let query = params(request).await?;
            apps::debug_token(world, &query).map(Found::plain)
        }
        [app, "subscriptions"] if *app == world.config.app_id => match method {
            Method::GET => Ok(Found::plain(apps::subscriptions(world))),
            Method::POST => apps::subscribe(world, &params(request).await?).await.map(Found::plain),
            Method::DELETE => {
                world.set_webhook(None);
                Ok(Found::plain(json!({"success": true})))
            }
            _ => Err(ApiError::new(2500, "")),
        },
        [app, "uploads"] if *app == world.config.app_id && method == Method::POST => {
            let id = ids::object_id(world.config.seed, Series::Upload, world.next(purpose::UPLOAD_ID));
            Ok(Found::plain(json!({"id": format!("upload:{id}")})))
        }
        [upload] if upload.starts_with("upload:") && method == Method::POST => {
            let bytes = server::read(request.into_body(), UPLOAD_MAX).await?;
            let id = ids::object_id(world.config.seed, Series::Upload, world.next(purpose::UPLOAD_ID));
            Ok(Found::plain(json!({"h": format!("4:{id}:{}", bytes.len())})))
        }
        [id, edge @ ..] => {
            if let Some(waba) = world.waba_by_id.get(*id).copied() {
                let usage = count(world, waba)?;
                return account(world, waba, edge.first().copied(), &method, request)
                    .await
                    .map(|value| Found { value, usage });
            }
            if let Some(number) = world.line_by_id.get(*id).copied() {
                return number_call(world, number, edge.first().copied(), &method, request).await.map(Found::plain);
            }
            if edge.is_empty() {
                return object(world, id, &method, request).await.map(Found::plain);
            }
            Err(ApiError::no_object(id))
        }
        [] => Err(ApiError::new(2500, "The path is empty")),
    }
}

/// Counts a management call of an account.
fn count(world: &World, waba: usize) -> Result<Option<(String, u32, u32)>, ApiError> {
    let Some(account) = world.config.wabas.get(waba) else { return Ok(None) };
    let now = world.now_ms();
    match world.book().limits.management(&account.id, world.config.rules.management_per_hour, now) {
        Ok(percent) => Ok(Some((account.id.clone(), percent, 0))),
        Err(minutes) => Err(ApiError::new(
            80_007,
            format!("There have been too many calls to this account. Wait {minutes} minutes."),
        )),
    }
}

async fn account(
    world: &World,
    waba: usize,
    edge: Option<&str>,
    method: &Method,
    request: Request<Incoming>,
) -> Result<Value, ApiError> {
    let body = params(request).await?;
    let fields = body.get("fields").and_then(Value::as_str);
    match (edge, method.as_str()) {
        (None, "GET") => {
            let account = world.config.wabas.get(waba).ok_or_else(|| ApiError::no_object("waba"))?;
            let first = world.lines.iter().find(|line| line.waba == waba).map_or("", |line| line.id.as_str());
            let all = json!({
                "id": account.id, "name": "Simulated account", "currency": "USD", "timezone_id": "1", "account_review_status": "APPROVED",
                "message_template_namespace": "5fbd9f44_8c3b_4a1d_9ad5_0a2b3c4d5e6f", "business_verification_status": "verified",
                "owner_business_info": {"id": account.portfolio_id, "name": "Simulated business"},
                "health_status": numbers::health(world, waba, first, "AVAILABLE"),
            });
            Ok(numbers::select(&all, fields.unwrap_or("id,name,currency,timezone_id,message_template_namespace")))
        }
        (Some("message_templates"), "GET") => manage::list(world, waba, &body),
        (Some("message_templates"), "POST") => manage::create(world, waba, &body),
        (Some("message_templates"), "DELETE") => manage::delete(world, waba, &body),
        (Some("phone_numbers"), "GET") => numbers::list(world, waba, fields),
        (Some("subscribed_apps"), "GET") => Ok(apps::subscribed(world, waba)),
        (Some("subscribed_apps"), "POST") => apps::subscribe_waba(world, waba, &body).await,
        (Some("subscribed_apps"), "DELETE") => Ok(apps::unsubscribe_waba(world, waba)),
        _ => Err(ApiError::new(2500, "This edge does not exist on a WhatsApp Business account")),
    }
}

async fn number_call(
    world: &World,
    number: usize,
    edge: Option<&str>,
    method: &Method,
    request: Request<Incoming>,
) -> Result<Value, ApiError> {
    if (edge, method.as_str()) == (Some("media"), "POST") {
        return upload(world, request).await;
    }
    let body = params(request).await?;
    match (edge, method.as_str()) {
        (None, "GET") => {
            let waba = world.lines.get(number).map_or(0, |line| line.waba);
            count(world, waba)?;
            numbers::describe(world, number, body.get("fields").and_then(Value::as_str))
        }
        (None, "POST") => match body.get("webhook_configuration") {
            Some(configuration) => apps::configure_number(world, number, configuration).await,
            None => numbers::lifecycle(world, number, "pin", &body),
        },
        (Some(step @ ("register" | "deregister" | "request_code" | "verify_code")), "POST") => {
            numbers::lifecycle(world, number, step, &body)
        }
        (Some("whatsapp_business_profile"), "GET") => numbers::profile(world, number, None),
        (Some("whatsapp_business_profile"), "POST") => numbers::profile(world, number, Some(&body)),
        (Some("block_users"), "GET") => Ok(numbers::blocked(world, number)),
        (Some("block_users"), "POST") => numbers::block(world, number, &body, true),
        (Some("block_users"), "DELETE") => numbers::block(world, number, &body, false),
        (Some("settings"), "POST") => Ok(json!({"success": true})),
        _ => Err(ApiError::new(2500, "This edge does not exist on a phone number")),
    }
}

/// Media and templates are addressed by their id alone.
async fn object(world: &World, id: &str, method: &Method, request: Request<Incoming>) -> Result<Value, ApiError> {
    if let Some((waba, entry)) = manage::find(world, id) {
        let body = params(request).await?;
        return match method.as_str() {
            "GET" => Ok(manage::show(&entry, body.get("fields").and_then(Value::as_str))),
            "POST" => manage::edit(world, waba, &entry, &body),
            _ => Err(ApiError::new(2500, "This call does not exist on a template")),
        };
    }
    if media::fails(world) {
        return Err(ApiError::new(131_000, "Injected by the simulator"));
    }
    match method.as_str() {
        "GET" => media::describe(world, id).ok_or_else(|| ApiError::no_object(id)),
        "DELETE" if world.media().remove(id) => Ok(json!({"success": true})),
        _ => Err(ApiError::no_object(id)),
    }
}

async fn upload(world: &World, request: Request<Incoming>) -> Result<Value, ApiError> {
    let broken = |_| ApiError::new(100, "The body is not a valid multipart form");
    let mut request = request.map(axum::body::Body::new);
    axum::extract::DefaultBodyLimit::max(UPLOAD_MAX).apply(&mut request);
    let mut form = Multipart::from_request(request, &())
        .await
        .map_err(|_| ApiError::new(100, "The body is not a valid multipart form"))?;
    let (mut product, mut kind, mut file) = (None, None, None);
    while let Some(field) = form.next_field().await.map_err(broken)? {
        match field.name().unwrap_or_default() {
            "messaging_product" => product = Some(field.text().await.map_err(broken)?),
            "type" => kind = Some(field.text().await.map_err(broken)?),
            "file" => {
                let mime = field.content_type().map(str::to_owned);
                let bytes: Bytes = field.bytes().await.map_err(broken)?;
                file = Some((bytes, mime));
            }
            _ => {}
        }
    }
    if media::fails(world) {
        return Err(ApiError::new(131_000, "Injected by the simulator"));
    }
    if product.as_deref() != Some("whatsapp") {
        return Err(ApiError::new(100, "The parameter messaging_product is required."));
    }
    let Some((bytes, mime)) = file else { return Err(ApiError::new(100, "The parameter file is required.")) };
    let mime = mime.or(kind).ok_or_else(|| ApiError::new(100, "The parameter type is required."))?;
    media::upload(world, bytes, &mime)
}

/// Marketing Messages API: marketing templates only (134100).
pub(crate) fn marketing_only(
    world: &World,
    number: &str,
    body: &Map<String, Value>,
    marketing: bool,
) -> Result<(), ApiError> {
    if !marketing {
        return Ok(());
    }
    let (_, line) = world.line(number)?;
    let template = body.get("template").unwrap_or(&Value::Null);
    let key = (
        template["name"].as_str().unwrap_or_default(),
        template.pointer("/language/code").and_then(Value::as_str).unwrap_or_default(),
    );
    let shelf = world.shelves.get(line.waba).ok_or_else(|| ApiError::no_object(number))?;
    let found = shelf.read().unwrap_or_else(PoisonError::into_inner).find(key.0, key.1);
    match found {
        Some(entry) if entry.template.category == "MARKETING" => Ok(()),
        Some(_) => Err(ApiError::new(134_100, "Only marketing templates can be sent here")),
        None => Ok(()),
    }
}

/// Query text as a map.
pub(crate) fn query(text: Option<&str>) -> HashMap<String, String> {
    let Some(text) = text.filter(|text| !text.is_empty()) else { return HashMap::new() };
    let uri = Uri::builder().path_and_query(format!("/?{text}")).build();
    uri.ok().and_then(|uri| axum::extract::Query::try_from_uri(&uri).ok()).map_or_else(HashMap::new, |query| query.0)
}

/// Parameters of query and body (JSON or form) as one object; the body wins.
async fn params(request: Request<Incoming>) -> Result<Map<String, Value>, ApiError> {
    let mut all: Map<String, Value> =
        query(request.uri().query()).into_iter().map(|(key, value)| (key, Value::String(value))).collect();
    let form = request
        .headers()
        .get("content-type")
        .is_some_and(|kind| kind.as_bytes().starts_with(b"application/x-www-form-urlencoded"));
    if form {
        let bytes = server::read(request.into_body(), 1_024 * 1_024).await?;
        let text = String::from_utf8_lossy(&bytes);
        all.extend(query(Some(&text)).into_iter().map(|(key, value)| (key, Value::String(value))));
    } else {
        all.extend(server::read_json(request.into_body()).await?);
    }
    Ok(all)
}
