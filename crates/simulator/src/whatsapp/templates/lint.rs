//! The rules a new or edited template must keep.
//! May touch: nothing. Must not touch: state.

use super::spec::{Slots, slots};
use crate::whatsapp::content::inner;
use crate::whatsapp::errors::ApiError;
use serde_json::Value;

/// Checks name, category and language of a new template.
///
/// # Errors
/// Code 100 with the detail.
pub fn identity(name: &str, category: &str, language: &str) -> Result<(), ApiError> {
    if name.is_empty()
        || name.len() > 512
        || !name.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'_')
    {
        return Err(ApiError::new(100, "Param name must have 1 to 512 lowercase letters, digits and underscores"));
    }
    if !["AUTHENTICATION", "MARKETING", "UTILITY"].contains(&category) {
        return Err(ApiError::new(100, "Param category must be one of {AUTHENTICATION, MARKETING, UTILITY}"));
    }
    let mut parts = language.split(['_', '-']);
    let land = parts.next().unwrap_or_default();
    if !(2..=3).contains(&land.len()) || !land.bytes().all(|b| b.is_ascii_lowercase()) || parts.count() > 1 {
        return Err(ApiError::new(100, "Param language must be a supported locale such as en_US"));
    }
    Ok(())
}

/// Checks the components of a template.
///
/// # Errors
/// Code 100, mostly with the documented subcode (2388040 length, 2388047 header, 2388072 body, 2388073 footer,
/// 2388293 ratio, 2388299 parameter at an edge).
pub fn components(list: &[Value], category: &str, named: bool) -> Result<(), ApiError> {
    let mut bodies = 0;
    for component in list {
        match component["type"].as_str().unwrap_or_default().to_ascii_uppercase().as_str() {
            "HEADER" => header(component, named)?,
            "BODY" => {
                bodies += 1;
                if category != "AUTHENTICATION" {
                    body(component, named)?;
                }
            }
            "FOOTER" => {
                let text = component["text"].as_str().unwrap_or_default();
                if text.chars().count() > 60 || text.contains("{{") {
                    return Err(refuse(2_388_073, "A footer has at most 60 characters and no parameters"));
                }
            }
            "BUTTONS" => buttons(component["buttons"].as_array().map_or(&[][..], Vec::as_slice))?,
            "CAROUSEL" => {
                let cards = component["cards"].as_array().map_or(0, Vec::len);
                if !(2..=10).contains(&cards) {
                    return Err(ApiError::new(100, "A carousel has 2 to 10 cards"));
                }
            }
            "LIMITED_TIME_OFFER" => {}
            _ => return Err(ApiError::new(100, "Param components: unknown component type")),
        }
    }
    if bodies == 1 { Ok(()) } else { Err(refuse(2_388_072, "A template has exactly one body")) }
}

fn refuse(subcode: u32, details: &str) -> ApiError {
    ApiError::new(100, details).with_subcode(subcode)
}

fn header(component: &Value, named: bool) -> Result<(), ApiError> {
    match component["format"].as_str().unwrap_or_default().to_ascii_uppercase().as_str() {
        "TEXT" => {
            let text = component["text"].as_str().unwrap_or_default();
            let found = slots(text);
            if text.is_empty() || text.chars().count() > 60 || found.names.len() > 1 {
                return Err(refuse(2_388_047, "A text header has 1 to 60 characters and at most one parameter"));
            }
            if text.contains(['*', '~', '`', '\n']) {
                return Err(refuse(2_388_047, "A header has no formatting and no line breaks"));
            }
            names(&found, named)?;
            if !found.names.is_empty() && component["example"].is_null() {
                return Err(refuse(2_388_047, "The header's parameter needs an example"));
            }
            Ok(())
        }
        "IMAGE" | "VIDEO" | "DOCUMENT" if inner(component, "/example/header_handle/0").is_string() => Ok(()),
        "IMAGE" | "VIDEO" | "DOCUMENT" => Err(refuse(2_388_047, "A media header needs example.header_handle")),
        "LOCATION" => Ok(()),
        _ => Err(refuse(2_388_047, "Param format must be one of {TEXT, IMAGE, VIDEO, DOCUMENT, LOCATION}")),
    }
}

fn body(component: &Value, named: bool) -> Result<(), ApiError> {
    let text = component["text"].as_str().unwrap_or_default();
    let length = text.chars().count();
    if length == 0 || length > 1_024 {
        return Err(refuse(2_388_040, "A body has 1 to 1024 characters"));
    }
    let found = slots(text);
    names(&found, named)?;
    if text.trim_start().starts_with("{{") || text.trim_end().ends_with("}}") {
        return Err(refuse(2_388_299, "Variables can't be at the start or end of the template"));
    }
    if text.replace(char::is_whitespace, "").contains("}}{{") {
        return Err(refuse(2_388_072, "Parameters must not stand next to each other"));
    }
    let words = text.split_whitespace().filter(|word| !word.contains("{{")).count();
    if words < found.names.len() * 2 {
        return Err(refuse(2_388_293, "This template has too many variables for its length"));
    }
    let examples = if named {
        inner(component, "/example/body_text_named_params").as_array().map_or(0, Vec::len)
    } else {
        inner(component, "/example/body_text/0").as_array().map_or(0, Vec::len)
    };
    if examples != found.names.len() {
        return Err(refuse(2_388_072, "Every parameter needs an example"));
    }
    Ok(())
}

fn names(found: &Slots, named: bool) -> Result<(), ApiError> {
    for (at, name) in found.names.iter().enumerate() {
        let fits = if named {
            !name.is_empty() && name.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'_')
        } else {
            *name == (at + 1).to_string()
        };
        if !fits {
            return Err(refuse(
                2_388_072,
                "Parameters are {{1}}, {{2}} … without gaps, or names of lowercase letters, digits and _",
            ));
        }
    }
    Ok(())
}

fn buttons(list: &[Value]) -> Result<(), ApiError> {
    let kind_of = |button: &Value| button["type"].as_str().unwrap_or_default().to_ascii_uppercase();
    if list.is_empty() || list.len() > 10 {
        return Err(ApiError::new(100, "A template has 1 to 10 buttons"));
    }
    for (kind, most) in [("URL", 2), ("PHONE_NUMBER", 1), ("COPY_CODE", 1)] {
        if list.iter().filter(|button| kind_of(button) == kind).count() > most {
            return Err(ApiError::new(100, format!("At most {most} button(s) of type {kind}")));
        }
    }
    let replies: Vec<bool> = list.iter().map(|button| kind_of(button) == "QUICK_REPLY").collect();
    let changes = replies.windows(2).filter(|pair| pair.first() != pair.last()).count();
    if changes > 1 {
        return Err(ApiError::new(100, "Quick replies must form one contiguous group"));
    }
    for button in list {
        let kind = kind_of(button);
        let label = button["text"].as_str().unwrap_or_default().chars().count();
        if label > 25
            || (label == 0 && !["COPY_CODE", "OTP", "REQUEST_CONTACT_INFO", "CATALOG", "MPM"].contains(&kind.as_str()))
        {
            return Err(ApiError::new(100, "A button label has 1 to 25 characters"));
        }
        match kind.as_str() {
            "URL" => {
                let url = button["url"].as_str().unwrap_or_default();
                let variables = url.matches("{{").count();
                if url.is_empty() || url.len() > 2_000 || variables > 1 || (variables == 1 && !url.ends_with("}}")) {
                    return Err(ApiError::new(100, "A link has at most 2000 characters and one variable, at its end"));
                }
                if variables == 1 && button["example"].is_null() {
                    return Err(ApiError::new(100, "The link's variable needs an example"));
                }
            }
            "PHONE_NUMBER" if !(1..=20).contains(&button["phone_number"].as_str().unwrap_or_default().len()) => {
                return Err(ApiError::new(100, "A phone number has 1 to 20 characters"));
            }
            "PHONE_NUMBER"
            | "COPY_CODE"
            | "QUICK_REPLY"
            | "OTP"
            | "FLOW"
            | "CATALOG"
            | "MPM"
            | "SPM"
            | "REQUEST_CONTACT_INFO"
            | "VOICE_CALL" => {}
            _ => return Err(ApiError::new(100, "Param buttons: unknown button type")),
        }
    }
    Ok(())
}
