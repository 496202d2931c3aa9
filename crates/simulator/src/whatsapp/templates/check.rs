//! The parameters of a template send against the stored definition.
//! May touch: nothing. Must not touch: state.

use super::Entry;
use super::spec::{Button, Header, Slots, Spec};
use crate::whatsapp::content::{inner, media_ref};
use crate::whatsapp::errors::ApiError;
use serde_json::{Map, Value};

const BODY_MAX: usize = 1_024;
const HEADER_MAX: usize = 60;

/// Checks `template.components` of a send. Collects the media ids it refers to as (kind, id).
///
/// # Errors
/// 132000, 132005, 132012, 132015, 132016, 132018, 132001, 131008, 131009, 131062 or 100, as documented for each.
pub fn send(entry: &Entry, sent: &Value, to_user_id: bool) -> Result<Vec<(String, String)>, ApiError> {
    let name = &entry.template.name;
    match entry.template.status.as_str() {
        "APPROVED" | "PENDING_DELETION" | "FLAGGED" => {}
        "PAUSED" => return Err(ApiError::new(132_015, format!("Template ({name}) is paused due to low quality"))),
        "DISABLED" => return Err(ApiError::new(132_016, format!("Template ({name}) is disabled"))),
        _ => {
            return Err(ApiError::new(
                132_001,
                format!("template name ({name}) does not exist in {}", entry.template.language),
            ));
        }
    }
    if entry.spec.authentication && to_user_id && !entry.spec.buttons.is_empty() {
        return Err(ApiError::new(131_062, "Authentication templates need a phone number in `to`"));
    }
    let parts: &[Value] = match sent.get("components") {
        None | Some(Value::Null) => &[],
        Some(Value::Array(parts)) => parts,
        Some(_) => return Err(ApiError::new(100, "Param template['components'] must be an array")),
    };
    let mut media = Vec::new();
    components(&entry.spec, parts, &mut media)?;
    if entry.spec.authentication {
        one_time_code(parts)?;
    }
    Ok(media)
}

fn components(spec: &Spec, parts: &[Value], media: &mut Vec<(String, String)>) -> Result<(), ApiError> {
    let mut seen = Seen { buttons: vec![false; spec.buttons.len()], ..Seen::default() };
    for (at, part) in parts.iter().enumerate() {
        let parameters = parameters(part, at)?;
        match part["type"].as_str().map(str::to_ascii_lowercase).as_deref() {
            Some("header") => {
                once(&mut seen.header, "header")?;
                header(spec, parameters, media)?;
            }
            Some("body") => {
                once(&mut seen.body, "body")?;
                text_parameters("body", &spec.body, spec.named, parameters, BODY_MAX)?;
            }
            Some("button") => button(spec, part, parameters, &mut seen.buttons)?,
            Some("limited_time_offer") => {
                once(&mut seen.offer, "limited_time_offer")?;
                let expiry = parameters
                    .first()
                    .and_then(|first| inner(first, "/limited_time_offer/expiration_time_ms").as_i64());
                if expiry.is_none() {
                    return Err(ApiError::new(131_008, "limited_time_offer: expiration_time_ms is missing"));
                }
            }
            Some("carousel") => {
                once(&mut seen.carousel, "carousel")?;
                carousel(spec, part, media)?;
            }
            Some("footer") if parameters.is_empty() => {}
            _ => {
                return Err(ApiError::new(
                    100,
                    format!(
                        "Param template['components'][{at}]['type'] must be one of {{header, body, button, limited_time_offer, carousel}}"
                    ),
                ));
            }
        }
    }
    nothing_missing(spec, &seen)
}

#[derive(Default)]
struct Seen {
    header: bool,
    body: bool,
    offer: bool,
    carousel: bool,
    buttons: Vec<bool>,
}

fn once(flag: &mut bool, what: &str) -> Result<(), ApiError> {
    if std::mem::replace(flag, true) {
        return Err(ApiError::new(100, format!("Component {what} is given more than once")));
    }
    Ok(())
}

fn parameters(part: &Value, at: usize) -> Result<&[Value], ApiError> {
    match part.get("parameters") {
        None | Some(Value::Null) => Ok(&[]),
        Some(Value::Array(list)) => Ok(list),
        Some(_) => {
            Err(ApiError::new(100, format!("Param template['components'][{at}]['parameters'] must be an array")))
        }
    }
}

fn nothing_missing(spec: &Spec, seen: &Seen) -> Result<(), ApiError> {
    if !seen.body {
        count("body", &spec.body, 0)?;
    }
    match &spec.header {
        Header::Text(slots) if !seen.header => count("header", slots, 0)?,
        Header::Of(format) if !seen.header => {
            let format = format.to_ascii_uppercase();
            return Err(ApiError::new(
                132_012,
                format!("header: Format mismatch, expected {format}, received UNKNOWN"),
            ));
        }
        _ => {}
    }
    if spec.offer && !seen.offer {
        return Err(ApiError::new(131_008, "limited_time_offer: expiration_time_ms is missing"));
    }
    if !spec.cards.is_empty() && !seen.carousel {
        return Err(ApiError::new(132_012, "carousel: the cards are missing"));
    }
    for (index, (button, given)) in spec.buttons.iter().zip(&seen.buttons).enumerate() {
        let kind = match button {
            Button::Url(true) => "Url",
            Button::CopyCode => "CopyCode",
            _ => continue,
        };
        if !given {
            return Err(ApiError::new(
                131_008,
                format!("buttons: Button at index {index} of type {kind} requires a parameter"),
            ));
        }
    }
    Ok(())
}

fn header(spec: &Spec, parameters: &[Value], media: &mut Vec<(String, String)>) -> Result<(), ApiError> {
    match &spec.header {
        Header::None if parameters.is_empty() => Ok(()),
        Header::None => Err(ApiError::new(
            132_000,
            format!(
                "header: number of localizable_params ({}) does not match the expected number of params (0)",
                parameters.len()
            ),
        )),
        Header::Text(slots) => text_parameters("header", slots, spec.named, parameters, HEADER_MAX),
        Header::Of(format) => {
            let [parameter] = parameters else {
                return Err(ApiError::new(
                    132_012,
                    format!("header: expected one parameter of type {format}, received {}", parameters.len()),
                ));
            };
            let given = parameter["type"].as_str().unwrap_or("UNKNOWN").to_ascii_lowercase();
            if given != *format {
                let (expected, received) = (format.to_ascii_uppercase(), given.to_ascii_uppercase());
                return Err(ApiError::new(
                    132_012,
                    format!("header: Format mismatch, expected {expected}, received {received}"),
                ));
            }
            let Some(object) = parameter.get(format.as_str()).and_then(Value::as_object) else {
                return Err(ApiError::new(131_008, format!("header: parameter object {format} is missing")));
            };
            if format == "location" {
                return place(object);
            }
            if let Some(id) = media_ref(object, format)? {
                media.push((format.clone(), id));
            }
            Ok(())
        }
    }
}

fn place(object: &Map<String, Value>) -> Result<(), ApiError> {
    for field in ["latitude", "longitude"] {
        if !object.get(field).is_some_and(|value| value.is_number() || value.is_string()) {
            return Err(ApiError::new(131_008, format!("header: location {field} is missing")));
        }
    }
    Ok(())
}

fn text_parameters(place: &str, slots: &Slots, named: bool, given: &[Value], limit: usize) -> Result<(), ApiError> {
    count(place, slots, given.len())?;
    let mut total = slots.fixed;
    let mut used: Vec<&str> = Vec::with_capacity(given.len());
    for (at, parameter) in given.iter().enumerate() {
        let name = parameter["parameter_name"].as_str();
        match (named, name) {
            (true, None | Some("")) => {
                return Err(ApiError::new(100, format!("{place}: Parameter name is missing or empty")));
            }
            (true, Some(name)) if !slots.names.iter().any(|known| known == name) || used.contains(&name) => {
                return Err(ApiError::new(
                    132_012,
                    format!("{place}: parameter_name of parameter {at} is unknown or repeated"),
                ));
            }
            (false, Some(_)) => {
                return Err(ApiError::new(
                    132_012,
                    format!("{place}: this template is positional, parameter_name is not allowed"),
                ));
            }
            (_, name) => used.extend(name),
        }
        total += value_length(place, at, parameter)?;
    }
    if total > limit {
        return Err(ApiError::new(
            132_005,
            format!("{place}: translated text has {total} characters, at most {limit} allowed"),
        ));
    }
    Ok(())
}

fn value_length(place: &str, at: usize, parameter: &Value) -> Result<usize, ApiError> {
    let text = match parameter["type"].as_str() {
        Some("text") => parameter["text"].as_str(),
        Some("currency") => inner(parameter, "/currency/fallback_value").as_str(),
        Some("date_time") => inner(parameter, "/date_time/fallback_value").as_str(),
        _ => {
            return Err(ApiError::new(
                132_012,
                format!("{place}: parameter {at} must be of type text, currency or date_time"),
            ));
        }
    };
    match text {
        None | Some("") => Err(ApiError::new(131_008, format!("{place}: text of parameter {at} is missing or empty"))),
        Some(text) if text.contains(['\n', '\r', '\t']) || text.contains("     ") => Err(ApiError::new(
            132_018,
            format!(
                "{place}: Param text of parameter {at} cannot have new-line/tab characters or more than 4 consecutive spaces"
            ),
        )),
        Some(text) => Ok(text.chars().count()),
    }
}

fn count(place: &str, slots: &Slots, given: usize) -> Result<(), ApiError> {
    let expected = slots.names.len();
    if given == expected {
        return Ok(());
    }
    Err(ApiError::new(
        132_000,
        format!(
            "{place}: number of localizable_params ({given}) does not match the expected number of params ({expected})"
        ),
    ))
}

fn button(spec: &Spec, part: &Value, parameters: &[Value], seen: &mut [bool]) -> Result<(), ApiError> {
    let index = match &part["index"] {
        Value::String(text) => text.parse::<usize>().ok(),
        Value::Number(number) => number.as_u64().and_then(|number| usize::try_from(number).ok()),
        _ => None,
    };
    let Some(index) = index else { return Err(ApiError::new(131_008, "buttons: index is missing or not a number")) };
    let Some(kind) = spec.buttons.get(index) else {
        return Err(ApiError::new(132_012, format!("buttons: there is no button at index {index}")));
    };
    if seen.get_mut(index).is_some_and(|seen| std::mem::replace(seen, true)) {
        return Err(ApiError::new(100, format!("buttons: index {index} is given more than once")));
    }
    let sub_type = part["sub_type"].as_str().unwrap_or_default().to_ascii_lowercase();
    let first = parameters.first().unwrap_or(&Value::Null);
    let needed =
        |what: &str| ApiError::new(131_008, format!("buttons: {what} of the button at index {index} is missing"));
    match (kind, sub_type.as_str()) {
        (Button::Url(true), "url") => match first["text"].as_str() {
            Some(text) if !text.is_empty() && text.len() <= 2_000 => Ok(()),
            Some(text) if !text.is_empty() => Err(ApiError::new(132_005, "buttons: the link is too long")),
            _ => Err(needed("text")),
        },
        (Button::CopyCode, "copy_code") => match first["coupon_code"].as_str() {
            Some(code) if (1..=20).contains(&code.chars().count()) => Ok(()),
            Some(_) => Err(ApiError::new(131_009, "buttons: coupon_code must have 1 to 20 characters")),
            None => Err(needed("coupon_code")),
        },
        (Button::QuickReply, "quick_reply") => match first["payload"].as_str() {
            Some(payload) if payload.chars().count() > 256 => {
                Err(ApiError::new(131_009, "buttons: payload must have at most 256 characters"))
            }
            Some(_) => Ok(()),
            None if parameters.is_empty() => Ok(()),
            None => Err(needed("payload")),
        },
        (Button::Flow, "flow") | (Button::Catalog, "catalog" | "mpm" | "spm") => Ok(()),
        _ => Err(ApiError::new(
            132_012,
            format!("buttons: sub_type does not match the button at index {index}, or it takes no parameters"),
        )),
    }
}

fn carousel(spec: &Spec, part: &Value, media: &mut Vec<(String, String)>) -> Result<(), ApiError> {
    let cards = part["cards"].as_array().map_or(&[][..], Vec::as_slice);
    if cards.len() != spec.cards.len() {
        let (given, expected) = (cards.len(), spec.cards.len());
        return Err(ApiError::new(
            132_012,
            format!("carousel: number of cards ({given}) does not match the approved number ({expected})"),
        ));
    }
    for (card, spec) in cards.iter().zip(&spec.cards) {
        if card["card_index"].as_u64().is_none() {
            return Err(ApiError::new(131_008, "carousel: card_index is missing"));
        }
        components(spec, card["components"].as_array().map_or(&[][..], Vec::as_slice), media)?;
    }
    Ok(())
}

/// Body and button of a one-time code carry the same code of at most 15 characters.
fn one_time_code(parts: &[Value]) -> Result<(), ApiError> {
    let text_of = |kind: &str| {
        parts
            .iter()
            .find(|part| part["type"].as_str().is_some_and(|name| name.eq_ignore_ascii_case(kind)))
            .and_then(|part| inner(part, "/parameters/0/text").as_str())
    };
    let (body, button) = (text_of("body"), text_of("button"));
    if body.is_some_and(|code| code.chars().count() > 15) {
        return Err(ApiError::new(132_005, "body: a verification code has at most 15 characters"));
    }
    if button.is_some() && body != button {
        return Err(ApiError::new(132_012, "The code of the button must be the code of the body"));
    }
    Ok(())
}
