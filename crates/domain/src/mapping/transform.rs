//! Templates of rules: small expressions over the fields of a person or of a record, by the minijinja library. They can't call
//! anything, and a budget of steps ends those that don't come to an end.

use super::codec::{Reason, plain, reason};
use crate::crm::CrmField;
use crate::phone::{self, Region};
use minijinja::{Environment, UndefinedBehavior, Value as View};
use serde_json::Value;
use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

/// Steps that one template may take.
const FUEL: u64 = 20_000;
/// Longest outcome, bytes.
const LONGEST: usize = 65_536;
const NAME: &str = "rule";

/// A template, checked.
#[derive(Clone)]
pub struct Template {
    source: String,
    environment: Arc<Environment<'static>>,
}

impl fmt::Debug for Template {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Template").field(&self.source).finish()
    }
}

impl PartialEq for Template {
    fn eq(&self, other: &Self) -> bool {
        self.source == other.source
    }
}

impl Eq for Template {}

impl Template {
    /// Reads a template such as `{{ firstname }} {{ lastname | upper }}`.
    ///
    /// # Errors
    /// Where it can't be read, for people.
    pub fn parse(source: &str) -> Result<Self, String> {
        let mut environment = Environment::new();
        environment.set_undefined_behavior(UndefinedBehavior::Lenient);
        environment.set_fuel(Some(FUEL));
        environment.add_filter("digits", |text: &str| text.chars().filter(char::is_ascii_digit).collect::<String>());
        environment
            .add_filter("first_word", |text: &str| text.split_whitespace().next().unwrap_or_default().to_owned());
        environment
            .add_filter("last_word", |text: &str| text.split_whitespace().next_back().unwrap_or_default().to_owned());
        environment.add_filter("phone", |text: &str, country: Option<&str>| {
            let region = country.and_then(|c| Region::new(&c.to_uppercase()));
            phone::parse(text, region).map_or_else(|_| text.to_owned(), |read| format!("+{}", read.e164))
        });
        let told = |e: minijinja::Error| e.to_string().replace(&format!(" (in {NAME}:1)"), "");
        environment.add_template_owned(NAME, source.to_owned()).map_err(told)?;
        Ok(Self { source: source.to_owned(), environment: Arc::new(environment) })
    }

    /// The text as it was written.
    #[must_use]
    pub fn source(&self) -> &str {
        &self.source
    }

    /// Names that it uses and the schema has.
    pub(super) fn names(&self, schema: &BTreeMap<String, CrmField>) -> Vec<String> {
        self.variables().into_iter().filter(|name| schema.contains_key(name)).collect()
    }

    /// Names that it uses.
    pub(super) fn variables(&self) -> Vec<String> {
        let found = self.environment.get_template(NAME).map(|t| t.undeclared_variables(false)).unwrap_or_default();
        found.into_iter().collect()
    }

    /// Fills it in. `value`: what the rule would take without a template.
    pub(super) fn fill<'a>(
        &self,
        value: Option<&str>,
        names: impl Iterator<Item = (&'a str, Option<String>)>,
    ) -> Result<Option<String>, Reason> {
        let mut view: BTreeMap<&str, View> =
            names.map(|(name, text)| (name, View::from(text.unwrap_or_default()))).collect();
        view.insert("value", View::from(value.unwrap_or_default()));
        let filled = self.environment.get_template(NAME).and_then(|t| t.render(view));
        let text =
            filled.map_err(|e| reason("template_failed", format!("The template can't be filled in: {}.", e.kind())))?;
        if text.len() > LONGEST {
            return Err(reason("too_long", "The template makes more than 65,536 bytes."));
        }
        let text = text.trim();
        Ok((!text.is_empty()).then(|| text.to_owned()))
    }
}

/// A record's values by name, as text.
pub(super) fn view_of<'a>(names: &'a [String], values: &'a [Value]) -> impl Iterator<Item = (&'a str, Option<String>)> {
    names.iter().zip(values).map(|(name, value)| (name.as_str(), plain(value)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn filled(source: &str) -> Result<Option<String>, Reason> {
        let names = [("first", Some("ana".to_owned())), ("phone", Some("0912 345 678".to_owned())), ("blank", None)];
        Template::parse(source).unwrap().fill(Some("v"), names.into_iter())
    }

    #[test]
    fn templates_fill_in_with_filters() {
        let text = |source: &str| filled(source).unwrap();
        assert_eq!(text("{{ first | title }} {{ value }}").as_deref(), Some("Ana v"));
        assert_eq!(text("{{ phone | phone('tw') }}").as_deref(), Some("+886912345678"));
        assert_eq!(text("{{ phone | digits }}").as_deref(), Some("0912345678"));
        assert_eq!(text("{{ blank }} {{ unheard_of }}"), None);
        assert_eq!(text("{% if first == 'ana' %}yes{% else %}no{% endif %}").as_deref(), Some("yes"));
    }

    #[test]
    fn one_without_end_is_ended_and_one_that_is_wrong_is_told() {
        let endless = "{% for a in range(9999) %}{% for b in range(9999) %}x{% endfor %}{% endfor %}";
        assert_eq!(filled(endless).unwrap_err().code, "template_failed");
        assert!(Template::parse("{{ first ").is_err());
        assert!(Template::parse("{{ first | nope }}").is_err() || filled("{{ first | nope }}").is_err());
    }
}
