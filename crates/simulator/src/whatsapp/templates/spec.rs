//! What a template demands of a send, worked out of its definition.
//! May touch: nothing. Must not touch: state.

use super::Template;
use crate::whatsapp::content::inner;
use serde_json::Value;

/// The demands of a template (or of one carousel card).
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Spec {
    /// Header, if any.
    pub header: Header,
    /// Body parameters.
    pub body: Slots,
    /// Buttons in order.
    pub buttons: Vec<Button>,
    /// Carousel cards in order.
    pub cards: Vec<Spec>,
    /// Whether a limited-time offer needs its expiry.
    pub offer: bool,
    /// Whether parameters are named.
    pub named: bool,
    /// Whether this is a one-time code.
    pub authentication: bool,
}

/// A template's header.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum Header {
    /// None.
    #[default]
    None,
    /// Text with at most one parameter.
    Text(Slots),
    /// `image`, `video`, `document` or `location`: one parameter of that type.
    Of(String),
}

/// The parameters of a text.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Slots {
    /// Names (`1`, `2` … when positional) in order of appearance, each once.
    pub names: Vec<String>,
    /// Characters of the text without its placeholders.
    pub fixed: usize,
}

/// A template button.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Button {
    /// A link; `true` when it ends in a variable.
    Url(bool),
    /// A quick reply: payload optional.
    QuickReply,
    /// A coupon code: parameter needed.
    CopyCode,
    /// A flow: parameters optional.
    Flow,
    /// A catalogue or products: parameters optional here.
    Catalog,
    /// A phone call or anything without parameters.
    Plain,
}

impl Spec {
    /// The demands of a template.
    #[must_use]
    pub fn of(template: &Template) -> Self {
        let mut spec = components(&template.components);
        spec.named = template.parameter_format.eq_ignore_ascii_case("NAMED");
        spec.authentication = template.category.eq_ignore_ascii_case("AUTHENTICATION");
        for card in &mut spec.cards {
            card.named = spec.named;
        }
        spec
    }
}

fn components(list: &[Value]) -> Spec {
    let mut spec = Spec::default();
    for component in list {
        let text = component["text"].as_str().unwrap_or_default();
        match component["type"].as_str().unwrap_or_default().to_ascii_uppercase().as_str() {
            "HEADER" => {
                spec.header = match component["format"].as_str().unwrap_or("TEXT").to_ascii_uppercase().as_str() {
                    "TEXT" => Header::Text(slots(text)),
                    format => Header::Of(format.to_ascii_lowercase()),
                }
            }
            "BODY" => spec.body = slots(text),
            "BUTTONS" => spec.buttons = component["buttons"].as_array().into_iter().flatten().map(button).collect(),
            "CAROUSEL" => {
                spec.cards = component["cards"]
                    .as_array()
                    .into_iter()
                    .flatten()
                    .map(|card| components(card["components"].as_array().map_or(&[][..], Vec::as_slice)))
                    .collect();
            }
            "LIMITED_TIME_OFFER" => {
                spec.offer = inner(component, "/limited_time_offer/has_expiration").as_bool().unwrap_or(false);
            }
            _ => {}
        }
    }
    spec
}

fn button(button: &Value) -> Button {
    match button["type"].as_str().unwrap_or_default().to_ascii_uppercase().as_str() {
        "URL" => Button::Url(button["url"].as_str().is_some_and(|url| url.contains("{{"))),
        "OTP" => Button::Url(true),
        "QUICK_REPLY" => Button::QuickReply,
        "COPY_CODE" => Button::CopyCode,
        "FLOW" => Button::Flow,
        "CATALOG" | "MPM" | "SPM" => Button::Catalog,
        _ => Button::Plain,
    }
}

/// The placeholders `{{…}}` of a text, each name once, in order of appearance.
#[must_use]
pub fn slots(text: &str) -> Slots {
    let mut found = Slots { names: Vec::new(), fixed: 0 };
    let mut rest = text;
    while let Some((before, after)) = rest.split_once("{{") {
        found.fixed += before.chars().count();
        let Some((name, tail)) = after.split_once("}}") else {
            rest = after;
            continue;
        };
        let name = name.trim().to_owned();
        if !found.names.contains(&name) {
            found.names.push(name);
        }
        rest = tail;
    }
    found.fixed += rest.chars().count();
    found
}
