//! Interactive messages: buttons, lists, links, flows, products.
//! May touch: nothing. Must not touch: state.

use super::{bounded, media_ref, missing};
use crate::whatsapp::errors::ApiError;
use serde_json::{Map, Value};
use std::collections::HashSet;

type Object = Map<String, Value>;

/// Checks an `interactive` object; gives the media ids of its header.
///
/// # Errors
/// 131008 for what is missing, 131009 or 100 for a value out of limits.
pub fn check(object: &Object) -> Result<Vec<(String, String)>, ApiError> {
    let kind = object.get("type").and_then(Value::as_str).ok_or_else(|| missing("interactive['type']"))?;
    let mut media = Vec::new();
    if !matches!(kind, "catalog_message" | "carousel") || object.contains_key("header") {
        header(object, kind, &mut media)?;
    }
    if !matches!(kind, "product") || object.contains_key("body") {
        let body = child(object, "body")?;
        bounded(body, "text", 1, if kind == "list" { 4_096 } else { 1_024 }, "interactive['body']")?;
    }
    if let Some(footer) = object.get("footer").and_then(Value::as_object) {
        bounded(footer, "text", 1, 60, "interactive['footer']")?;
    }
    let action = child(object, "action")?;
    match kind {
        "button" => buttons(action)?,
        "list" => list(action)?,
        "cta_url" => {
            named(action, "cta_url")?;
            let parameters = child(action, "parameters")?;
            bounded(parameters, "display_text", 1, 20, "interactive['action']['parameters']")?;
            let url = bounded(parameters, "url", 1, 2_000, "interactive['action']['parameters']")?;
            if !url.starts_with("http://") && !url.starts_with("https://") {
                return Err(ApiError::new(
                    131_009,
                    "Param interactive['action']['parameters']['url'] is not a valid URL",
                ));
            }
        }
        "location_request_message" => named(action, "send_location")?,
        "request_contact_info" => named(action, "request_contact_info")?,
        "address_message" => named(action, "address_message")?,
        "call_permission_request" => named(action, "call_permission_request")?,
        "catalog_message" => named(action, "catalog_message")?,
        "flow" => flow(action)?,
        "product" => {
            for key in ["catalog_id", "product_retailer_id"] {
                bounded(action, key, 1, 256, "interactive['action']")?;
            }
        }
        "product_list" => products(action)?,
        "carousel" => {
            let cards = action.get("cards").and_then(Value::as_array).map_or(0, Vec::len);
            if !(2..=10).contains(&cards) {
                return Err(ApiError::new(131_009, "A carousel has 2 to 10 cards"));
            }
        }
        _ => return Err(ApiError::new(100, "Param interactive['type'] is not a known interactive type")),
    }
    Ok(media)
}

fn child<'a>(object: &'a Object, key: &str) -> Result<&'a Object, ApiError> {
    object.get(key).and_then(Value::as_object).ok_or_else(|| missing(&format!("interactive['{key}']")))
}

fn named(action: &Object, name: &str) -> Result<(), ApiError> {
    if action.get("name").and_then(Value::as_str) == Some(name) {
        return Ok(());
    }
    Err(ApiError::new(131_009, format!("Param interactive['action']['name'] must be {name}")))
}

fn header(object: &Object, kind: &str, media: &mut Vec<(String, String)>) -> Result<(), ApiError> {
    let Some(header) = object.get("header").filter(|header| !header.is_null()) else {
        return if kind == "product_list" { Err(missing("interactive['header']")) } else { Ok(()) };
    };
    let header =
        header.as_object().ok_or_else(|| ApiError::new(100, "Param interactive['header'] must be an object"))?;
    let format = header.get("type").and_then(Value::as_str).unwrap_or_default();
    match format {
        "text" => {
            bounded(header, "text", 1, 60, "interactive['header']")?;
        }
        "image" | "video" | "document" if !matches!(kind, "list" | "product_list") => {
            let inner =
                header.get(format).and_then(Value::as_object).ok_or_else(|| missing("interactive['header']"))?;
            media.extend(media_ref(inner, "interactive['header']")?.map(|id| (format.to_owned(), id)));
        }
        _ => {
            return Err(ApiError::new(
                131_009,
                format!("Param interactive['header']['type'] is not allowed for type {kind}"),
            ));
        }
    }
    Ok(())
}

fn buttons(action: &Object) -> Result<(), ApiError> {
    let list =
        action.get("buttons").and_then(Value::as_array).ok_or_else(|| missing("interactive['action']['buttons']"))?;
    if list.is_empty() || list.len() > 3 {
        return Err(ApiError::new(131_009, "Invalid buttons count. Min allowed buttons: 1, Max allowed buttons: 3"));
    }
    let (mut ids, mut titles) = (HashSet::new(), HashSet::new());
    for button in list {
        if button["type"].as_str() != Some("reply") {
            return Err(ApiError::new(131_009, "Param interactive['action']['buttons'][]['type'] must be reply"));
        }
        let reply = button.get("reply").and_then(Value::as_object).ok_or_else(|| missing("reply"))?;
        let id = bounded(reply, "id", 1, 256, "interactive['action']['buttons'][]['reply']")?;
        let title = bounded(reply, "title", 1, 20, "interactive['action']['buttons'][]['reply']")?;
        if !ids.insert(id) || !titles.insert(title) {
            return Err(ApiError::new(131_009, "Button ids and titles must be unique"));
        }
    }
    Ok(())
}

fn list(action: &Object) -> Result<(), ApiError> {
    bounded(action, "button", 1, 20, "interactive['action']")?;
    let sections =
        action.get("sections").and_then(Value::as_array).ok_or_else(|| missing("interactive['action']['sections']"))?;
    if sections.is_empty() || sections.len() > 10 {
        return Err(ApiError::new(131_009, "A list has 1 to 10 sections"));
    }
    let (mut rows_total, mut ids) = (0, HashSet::new());
    for section in sections {
        let object = section.as_object().ok_or_else(|| missing("section"))?;
        if sections.len() > 1 || object.contains_key("title") {
            bounded(object, "title", 1, 24, "interactive['action']['sections'][]")?;
        }
        let rows = object.get("rows").and_then(Value::as_array).ok_or_else(|| missing("rows"))?;
        rows_total += rows.len();
        for row in rows {
            let row = row.as_object().ok_or_else(|| missing("row"))?;
            let id = bounded(row, "id", 1, 200, "interactive['action']['sections'][]['rows'][]")?;
            bounded(row, "title", 1, 24, "interactive['action']['sections'][]['rows'][]")?;
            if row.contains_key("description") {
                bounded(row, "description", 0, 72, "interactive['action']['sections'][]['rows'][]")?;
            }
            if !ids.insert(id) {
                return Err(ApiError::new(131_009, "Row ids must be unique"));
            }
        }
    }
    if (1..=10).contains(&rows_total) {
        return Ok(());
    }
    Err(ApiError::new(131_009, "Total row count exceed max allowed count: 10, or no rows"))
}

fn flow(action: &Object) -> Result<(), ApiError> {
    named(action, "flow")?;
    let parameters = child(action, "parameters")?;
    if parameters.get("flow_message_version").and_then(Value::as_str) != Some("3") {
        return Err(ApiError::new(131_009, "Param flow_message_version must be \"3\""));
    }
    bounded(parameters, "flow_cta", 1, 30, "interactive['action']['parameters']")?;
    match (parameters.contains_key("flow_id"), parameters.contains_key("flow_name")) {
        (true, true) => return Err(ApiError::new(100, "Give flow_id or flow_name, not both")),
        (false, false) => return Err(missing("flow_id")),
        _ => {}
    }
    match parameters.get("flow_action").and_then(Value::as_str) {
        None | Some("navigate" | "data_exchange") => Ok(()),
        Some(_) => Err(ApiError::new(131_009, "Param flow_action must be one of {navigate, data_exchange}")),
    }
}

fn products(action: &Object) -> Result<(), ApiError> {
    bounded(action, "catalog_id", 1, 256, "interactive['action']")?;
    let sections =
        action.get("sections").and_then(Value::as_array).ok_or_else(|| missing("interactive['action']['sections']"))?;
    let items: usize = sections.iter().map(|section| section["product_items"].as_array().map_or(0, Vec::len)).sum();
    if (1..=10).contains(&sections.len()) && (1..=30).contains(&items) {
        return Ok(());
    }
    Err(ApiError::new(131_009, "A product list has 1 to 10 sections and 1 to 30 items"))
}
