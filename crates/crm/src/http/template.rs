//! Templates of requests and expressions over answers, by MiniJinja (crate `minijinja`, Apache-2.0). Values go into a body as JSON and
//! into a path percent-encoded, by what the template is for and not by what it says: none can end its place.
//! Must not touch: how requests are sent.

use crate::percent::percent;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use minijinja::value::{Value as Item, ValueKind};
use minijinja::{AutoEscape, Environment, Error, Expression, Output, State, UndefinedBehavior, escape_formatter};
use ponte_domain::error::{CallError, ErrorClass};
use serde_json::{Map, Value};
use std::collections::BTreeSet;

/// What a template is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Purpose {
    /// A JSON body.
    Json,
    /// A path.
    Path,
    /// A header, or a value that is encoded afterwards.
    Text,
}

impl Purpose {
    const fn ending(self) -> &'static str {
        match self {
            Self::Json => ".body",
            Self::Path => ".path",
            Self::Text => ".text",
        }
    }
}

/// The templates of a description.
pub(super) struct Templates {
    environment: Environment<'static>,
}

const PATH: &str = "path";

impl Templates {
    pub(super) fn new() -> Self {
        let mut environment = Environment::new();
        environment.set_undefined_behavior(UndefinedBehavior::Chainable);
        environment.set_auto_escape_callback(|name| match name.rsplit('.').next() {
            Some("body") => AutoEscape::Json,
            Some("path") => AutoEscape::Custom(PATH),
            _ => AutoEscape::None,
        });
        environment.set_formatter(write_value);
        environment.add_filter("given", given);
        environment.add_filter("with", with);
        environment.add_filter("base64", |text: String| STANDARD.encode(text));
        Self { environment }
    }

    /// Takes a template in, and gives the variables that it uses.
    ///
    /// # Errors
    /// What can't be read.
    pub(super) fn add(&mut self, name: &str, purpose: Purpose, text: &str) -> Result<BTreeSet<String>, String> {
        let name = format!("{name}{}", purpose.ending());
        self.environment.add_template_owned(name.clone(), text.to_owned()).map_err(|e| told(&e))?;
        let template = self.environment.get_template(&name).map_err(|e| told(&e))?;
        Ok(template.undeclared_variables(true).into_iter().collect())
    }

    /// Fills a template in.
    ///
    /// # Errors
    /// Configuration; the error holds no values.
    pub(super) fn render(&self, name: &str, purpose: Purpose, context: &Value) -> Result<String, CallError> {
        let name = format!("{name}{}", purpose.ending());
        let rendered = self.environment.get_template(&name).and_then(|template| template.render(context));
        let rendered = rendered.map_err(|e| refused(&name, &told(&e)))?;
        if purpose == Purpose::Json && serde_json::from_str::<serde::de::IgnoredAny>(&rendered).is_err() {
            return Err(refused(&name, "what comes out is no JSON"));
        }
        Ok(rendered)
    }

    /// Reads an expression.
    ///
    /// # Errors
    /// What can't be read.
    pub(super) fn expression<'a>(&'a self, text: &'a str) -> Result<Expression<'a, 'a>, String> {
        self.environment.compile_expression(text).map_err(|e| told(&e))
    }
}

/// Without values: MiniJinja's details may quote them.
fn told(error: &Error) -> String {
    let line = error.line().map(|line| format!(", line {line}")).unwrap_or_default();
    match error.kind() {
        // These speak of the template's own text.
        minijinja::ErrorKind::SyntaxError | minijinja::ErrorKind::UnknownFilter => {
            format!("{}{line}", error.detail().unwrap_or("syntax error"))
        }
        kind => format!("{kind}{line}"),
    }
}

fn refused(name: &str, why: &str) -> CallError {
    let title = "a template of the description can't be filled in";
    CallError::new(ErrorClass::Configuration, "template", title).with_detail(format!("{name}: {why}"))
}

fn write_value(out: &mut Output<'_>, state: &State<'_, '_>, value: &Item) -> Result<(), Error> {
    let nothing = value.is_undefined() || value.is_none();
    match state.auto_escape() {
        AutoEscape::Json if nothing && !value.is_safe() => out.write_str("null").map_err(Error::from),
        // A step up or none: addresses are tidied before they are called, whatever way the dots are written.
        AutoEscape::Custom(PATH) if matches!(value.to_string().as_str(), "." | "..") => {
            Err(Error::new(minijinja::ErrorKind::InvalidOperation, "dots are no part of a path"))
        }
        AutoEscape::Custom(PATH) if !nothing => write!(out, "{}", percent(&value.to_string())).map_err(Error::from),
        _ if nothing => Ok(()),
        _ => escape_formatter(out, state, value),
    }
}

fn json(value: &Item) -> Value {
    serde_json::to_value(value).unwrap_or_default()
}

/// A map or list without what is null.
fn given(value: Item) -> Item {
    let kept = match json(&value) {
        Value::Object(map) => Value::Object(map.into_iter().filter(|(_, v)| !v.is_null()).collect()),
        Value::Array(items) => Value::Array(items.into_iter().filter(|v| !v.is_null()).collect()),
        other => other,
    };
    Item::from_serialize(kept)
}

/// Two maps as one; the second says more.
fn with(value: Item, more: Item) -> Result<Item, Error> {
    let both =
        [&value, &more].iter().all(|v| matches!(v.kind(), ValueKind::Map | ValueKind::Undefined | ValueKind::None));
    if !both {
        return Err(Error::new(minijinja::ErrorKind::InvalidOperation, "with takes two maps"));
    }
    let mut map: Map<String, Value> = json(&value).as_object().cloned().unwrap_or_default();
    map.extend(json(&more).as_object().cloned().unwrap_or_default());
    Ok(Item::from_serialize(map))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use serde_json::json;

    fn rendered(purpose: Purpose, text: &str, context: Value) -> Result<String, CallError> {
        let mut templates = Templates::new();
        templates.add("t", purpose, text).unwrap();
        templates.render("t", purpose, &context)
    }

    #[test]
    fn maps_are_built_without_what_is_absent() {
        let text = "{{ contact.fields | with({'ponte_id': contact.key, 'name': contact.name}) | given }}";
        let context = json!({"contact": {"key": "per_1", "name": null, "fields": {"email": "a@b.test", "city": null}}});
        let body: Value = serde_json::from_str(&rendered(Purpose::Json, text, context).unwrap()).unwrap();
        assert_eq!(body, json!({"ponte_id": "per_1", "email": "a@b.test"}));
    }

    #[test]
    fn absent_is_null_in_json_and_nothing_elsewhere() {
        assert_eq!(rendered(Purpose::Json, r#"{"a": {{ x.y.z }}}"#, json!({})).unwrap(), r#"{"a": null}"#);
        assert_eq!(rendered(Purpose::Text, "a{{ x }}b", json!({"x": null})).unwrap(), "ab");
        assert_eq!(
            rendered(Purpose::Path, "/c/{{ id }}", json!({"id": "../a?b/ü"})).unwrap(),
            "/c/..%2Fa%3Fb%2F%C3%BC"
        );
    }

    #[test]
    fn errors_hold_no_values() {
        let error = rendered(Purpose::Json, r#"{"a": "{{ x }}"}"#, json!({"x": "geheim"})).unwrap_err();
        assert_eq!(error.class, ErrorClass::Configuration);
        assert!(!format!("{error:?}").contains("geheim"));
        let error = rendered(Purpose::Json, "{{ x | with(1) }}", json!({"x": "geheim"})).unwrap_err();
        assert!(!format!("{error:?}").contains("geheim"));
    }

    #[test]
    fn what_a_template_uses_is_known() {
        let used = Templates::new()
            .add("t", Purpose::Text, "{{ contact.key }}{% for x in page.y %}{{ x }}{% endfor %}")
            .unwrap();
        assert_eq!(used, BTreeSet::from(["contact.key".to_owned(), "page.y".to_owned()]));
        assert!(Templates::new().add("t", Purpose::Text, "{{ x").is_err());
    }

    proptest! {
        #[test]
        fn no_value_ends_its_place(value in "(?s).{0,60}") {
            let body = rendered(Purpose::Json, r#"{"a": {{ x }}, "b": 1}"#, json!({"x": value})).unwrap();
            let body: Value = serde_json::from_str(&body).unwrap();
            prop_assert_eq!(&body, &json!({"a": value, "b": 1}));
            let path = rendered(Purpose::Path, "/c/{{ x }}/d", json!({"x": value}));
            if matches!(value.as_str(), "." | "..") {
                prop_assert!(path.is_err());
                return Ok(());
            }
            let path = path.unwrap();
            prop_assert_eq!(path.matches('/').count(), 3);
            prop_assert!(!path.contains(['?', '#', ' ', '\n']));
        }

        #[test]
        fn no_value_steps_out_of_its_folder(value in "[.]{1,3}") {
            let path = rendered(Purpose::Path, "/c/{{ x }}/d", json!({"x": value}));
            prop_assert_eq!(path.is_err(), value.len() < 3);
        }
    }
}
