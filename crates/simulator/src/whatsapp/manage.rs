//! Managing templates: list, create, edit, delete, and their review.
//! May touch: the template shelves, the agenda, the outbox. Must not touch: sockets.

use super::agenda::Event;
use super::content::put;
use super::errors::ApiError;
use super::hooks::{Update, What};
use super::ids::{self, Series};
use super::numbers::select;
use super::stats::Counters;
use super::templates::{Entry, Template, lint};
use super::world::{World, purpose};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Map, Value, json};
use std::sync::{Arc, PoisonError};
use std::time::Duration;

const DAY_MS: i64 = 86_400_000;
const MOST_TEMPLATES: usize = 6_000;

/// `GET /{waba_id}/message_templates` with `fields`, `limit`, `after` and the filters.
///
/// # Errors
/// 131059 for a bad cursor, 100 for a bad limit.
pub(crate) fn list(world: &World, waba: usize, query: &Map<String, Value>) -> Result<Value, ApiError> {
    let text = |key: &str| query.get(key).and_then(Value::as_str);
    let limit = match text("limit").map(str::parse::<usize>) {
        None => 25,
        Some(Ok(limit)) if (1..=1_000).contains(&limit) => limit,
        Some(_) => return Err(ApiError::new(100, "Param limit must be a number from 1 to 1000")),
    };
    let from = match text("after").filter(|after| !after.is_empty()) {
        None => 0,
        Some(after) => position(after).ok_or_else(|| ApiError::new(131_059, "The cursor in after is not valid"))?,
    };
    let wanted = |entry: &Arc<Entry>| {
        let template = &entry.template;
        let same = |key: &str, value: &str| text(key).is_none_or(|wanted| wanted.eq_ignore_ascii_case(value));
        same("language", &template.language)
            && same("status", &template.status)
            && same("category", &template.category)
            && text("name").is_none_or(|name| template.name.contains(name))
            && text("content")
                .is_none_or(|part| template.components.iter().any(|component| component.to_string().contains(part)))
    };
    let shelf = world.shelves.get(waba).ok_or_else(|| ApiError::no_object("waba"))?;
    let shelf = shelf.read().unwrap_or_else(PoisonError::into_inner);
    let all: Vec<&Arc<Entry>> = shelf.all().filter(|entry| wanted(entry)).collect();
    let page: Vec<Value> = all.iter().skip(from).take(limit).map(|entry| show(entry, text("fields"))).collect();
    let shown = page.len();
    if shown == 0 {
        return Ok(json!({"data": []}));
    }
    let mut paging = json!({"cursors": {"before": cursor(from), "after": cursor(from + shown)}});
    if from + shown < all.len() {
        let id = world.config.wabas.get(waba).map_or("", |waba| waba.id.as_str());
        let (addr, version, after) = (world.addr, &world.config.graph_version, cursor(from + shown));
        put(
            &mut paging,
            "next",
            json!(format!("http://{addr}/{version}/{id}/message_templates?limit={limit}&after={after}")),
        );
    }
    Ok(json!({"data": page, "paging": paging}))
}

fn cursor(position: usize) -> String {
    URL_SAFE_NO_PAD.encode(format!("at:{position}"))
}

fn position(cursor: &str) -> Option<usize> {
    let raw = URL_SAFE_NO_PAD.decode(cursor).ok()?;
    String::from_utf8(raw).ok()?.strip_prefix("at:")?.parse().ok()
}

/// A template as the API shows it.
pub(crate) fn show(entry: &Entry, fields: Option<&str>) -> Value {
    let template = &entry.template;
    let all = json!({
        "id": template.id, "name": template.name, "language": template.language, "status": template.status,
        "category": template.category, "components": template.components, "parameter_format": template.parameter_format,
        "quality_score": {"score": template.quality_score, "date": entry.edited_at_ms / 1_000},
        "rejected_reason": template.rejected_reason, "message_send_ttl_seconds": template.message_send_ttl_seconds,
        "health_status": {"can_send_message": if template.status == "APPROVED" { "AVAILABLE" } else { "BLOCKED" },
            "entities": [{"entity_type": "MESSAGE_TEMPLATE", "id": template.id,
                "can_send_message": if template.status == "APPROVED" { "AVAILABLE" } else { "BLOCKED" }}]},
    });
    select(&all, fields.unwrap_or("name,parameter_format,components,language,status,category"))
}

/// `POST /{waba_id}/message_templates`.
///
/// # Errors
/// 100 with the documented subcode for whatever breaks a rule.
pub(crate) fn create(world: &World, waba: usize, body: &Map<String, Value>) -> Result<Value, ApiError> {
    let text = |key: &str| body.get(key).and_then(Value::as_str);
    let need = |key: &str| text(key).ok_or_else(|| ApiError::new(100, format!("The parameter {key} is required.")));
    let (name, category, language) = (need("name")?, need("category")?.to_ascii_uppercase(), need("language")?);
    lint::identity(name, &category, language)?;
    let format = text("parameter_format").unwrap_or("POSITIONAL").to_ascii_uppercase();
    if !["NAMED", "POSITIONAL"].contains(&format.as_str()) {
        return Err(ApiError::new(100, "Param parameter_format must be one of {NAMED, POSITIONAL}"));
    }
    let components = body
        .get("components")
        .and_then(Value::as_array)
        .ok_or_else(|| ApiError::new(100, "The parameter components is required."))?;
    lint::components(components, &category, format == "NAMED")?;
    let ttl = ttl(body, &category)?;
    let shelf = world.shelves.get(waba).ok_or_else(|| ApiError::no_object("waba"))?;
    let mut shelf = shelf.write().unwrap_or_else(PoisonError::into_inner);
    if shelf.all().count() >= MOST_TEMPLATES {
        return Err(ApiError::new(100, "The account has reached its number of templates").with_subcode(2_388_019));
    }
    if shelf.find(name, language).is_some() {
        return Err(
            ApiError::new(100, "There is already content in this language for this template").with_subcode(2_388_024)
        );
    }
    let id = ids::object_id(world.config.seed, Series::Template, world.next(purpose::TEMPLATE_ID));
    shelf.put(
        Template {
            id: id.clone(),
            name: name.to_owned(),
            language: language.to_owned(),
            category: category.clone(),
            status: "PENDING".into(),
            parameter_format: format,
            components: components.clone(),
            quality_score: "UNKNOWN".into(),
            rejected_reason: "NONE".into(),
            message_send_ttl_seconds: ttl,
        },
        0,
    );
    review_later(world, waba, &id);
    Ok(json!({"id": id, "status": "PENDING", "category": category}))
}

fn ttl(body: &Map<String, Value>, category: &str) -> Result<Option<i64>, ApiError> {
    let Some(seconds) = body.get("message_send_ttl_seconds").filter(|value| !value.is_null()) else { return Ok(None) };
    let range = match category {
        "AUTHENTICATION" => 30..=900,
        "UTILITY" => 30..=43_200,
        _ => 43_200..=2_592_000,
    };
    match seconds.as_i64() {
        Some(value) if range.contains(&value) || (value == -1 && category == "UTILITY") => Ok(Some(value)),
        _ => Err(ApiError::new(100, "Param message_send_ttl_seconds is out of the range of its category")),
    }
}

fn review_later(world: &World, waba: usize, id: &str) {
    world.later(
        Duration::from_millis(world.config.rules.template_review_ms),
        Event::Review { waba, template: id.to_owned() },
    );
}

/// The review ends: approved, or rejected when the text asks for it (`reject` in the name) or looks like a scam.
pub(crate) fn decide(world: &World, waba: usize, id: &str) {
    let Some(shelf) = world.shelves.get(waba) else { return };
    let template = {
        let mut shelf = shelf.write().unwrap_or_else(PoisonError::into_inner);
        let Some(entry) = shelf.get(id).filter(|entry| entry.template.status == "PENDING") else { return };
        let mut template = entry.template.clone();
        let scam = template.components.iter().any(|component| {
            let text = component["text"].as_str().unwrap_or_default().to_ascii_lowercase();
            text.contains("card number") || text.contains("bit.ly/") || text.contains("wa.me/")
        });
        let (status, reason) = match (template.name.contains("reject"), scam) {
            (true, _) => ("REJECTED", "INVALID_FORMAT"),
            (_, true) => ("REJECTED", "SCAM"),
            _ => ("APPROVED", "NONE"),
        };
        template.status = status.into();
        template.rejected_reason = reason.into();
        shelf.put(template.clone(), entry.edited_at_ms);
        template
    };
    announce(world, waba, &template);
}

/// `message_template_status_update` for the template's present status.
pub(crate) fn announce(world: &World, waba: usize, template: &Template) {
    let id: u64 = template.id.parse().unwrap_or(0);
    let value = json!({
        "event": template.status, "message_template_id": id, "message_template_name": template.name,
        "message_template_language": template.language, "message_template_category": template.category,
        "reason": template.rejected_reason,
    });
    Counters::one(&world.counters.changes_generated);
    let what = What::Change {
        field: "message_template_status_update".into(),
        value: Arc::from(value.to_string()),
        timed: Some(world.now_ms() / 1_000),
        inbound: None,
    };
    world.emit(Update { waba, number: None, what });
}

/// The account and entry of a template id.
pub(crate) fn find(world: &World, id: &str) -> Option<(usize, Arc<Entry>)> {
    world.shelves.iter().enumerate().find_map(|(waba, shelf)| {
        shelf.read().unwrap_or_else(PoisonError::into_inner).get(id).map(|entry| (waba, entry))
    })
}

/// `POST /{template_id}`: replaces the components; a new review follows.
///
/// # Errors
/// 100 when the template may not be edited now or the components break a rule.
pub(crate) fn edit(world: &World, waba: usize, entry: &Entry, body: &Map<String, Value>) -> Result<Value, ApiError> {
    let now = world.now_ms();
    let mut template = entry.template.clone();
    if !["APPROVED", "REJECTED", "PAUSED"].contains(&template.status.as_str()) {
        return Err(ApiError::new(100, "Only approved, rejected and paused templates can be edited"));
    }
    if template.status == "APPROVED" && entry.edited_at_ms != 0 && now - entry.edited_at_ms < DAY_MS {
        return Err(ApiError::new(100, "An approved template can be edited once in 24 hours"));
    }
    if ["name", "language"].iter().any(|key| body.contains_key(*key)) {
        return Err(ApiError::new(100, "Name and language of a template cannot be edited"));
    }
    if let Some(category) = body.get("category").and_then(Value::as_str) {
        let category = category.to_ascii_uppercase();
        if template.status == "APPROVED" && category != template.category {
            return Err(ApiError::new(100, "The category of an approved template cannot be edited"));
        }
        lint::identity(&template.name, &category, &template.language)?;
        template.category = category;
    }
    if let Some(ttl) = ttl(body, &template.category)? {
        template.message_send_ttl_seconds = Some(ttl);
    }
    if let Some(components) = body.get("components") {
        let components =
            components.as_array().ok_or_else(|| ApiError::new(100, "Param components must be an array"))?;
        lint::components(components, &template.category, template.parameter_format == "NAMED")?;
        template.components.clone_from(components);
        template.status = "PENDING".into();
    }
    let id = template.id.clone();
    if let Some(shelf) = world.shelves.get(waba) {
        shelf.write().unwrap_or_else(PoisonError::into_inner).put(template, now);
    }
    review_later(world, waba, &id);
    Ok(json!({"success": true}))
}

/// `DELETE /{waba_id}/message_templates?name=` (every language), `?hsm_id=&name=` or `?hsm_ids=[…]`.
///
/// # Errors
/// 100 when nothing fits or a template is disabled.
pub(crate) fn delete(world: &World, waba: usize, query: &Map<String, Value>) -> Result<Value, ApiError> {
    let text = |key: &str| query.get(key).and_then(Value::as_str);
    let shelf = world.shelves.get(waba).ok_or_else(|| ApiError::no_object("waba"))?;
    let mut shelf = shelf.write().unwrap_or_else(PoisonError::into_inner);
    let doomed: Vec<String> = match (text("hsm_ids"), text("hsm_id"), text("name")) {
        (Some(ids), _, _) => {
            let ids: Vec<Value> =
                serde_json::from_str(ids).map_err(|_| ApiError::new(100, "Param hsm_ids must be an array"))?;
            if ids.len() > 100 {
                return Err(ApiError::new(100, "Param hsm_ids has at most 100 elements"));
            }
            ids.iter().map(|id| id.as_str().map_or_else(|| id.to_string(), str::to_owned)).collect()
        }
        (None, Some(id), Some(name)) => {
            shelf.get(id).filter(|entry| entry.template.name == name).map(|_| id.to_owned()).into_iter().collect()
        }
        (None, _, Some(name)) => {
            shelf.all().filter(|entry| entry.template.name == name).map(|entry| entry.template.id.clone()).collect()
        }
        _ => return Err(ApiError::new(100, "The parameter name is required.")),
    };
    if doomed.is_empty() || doomed.iter().any(|id| shelf.get(id).is_none()) {
        return Err(ApiError::new(100, "Message template not found").with_subcode(2_593_002));
    }
    if doomed.iter().any(|id| shelf.get(id).is_some_and(|entry| entry.template.status == "DISABLED")) {
        return Err(ApiError::new(100, "A disabled template cannot be deleted"));
    }
    for id in &doomed {
        shelf.remove(id);
    }
    Ok(json!({"success": true}))
}
