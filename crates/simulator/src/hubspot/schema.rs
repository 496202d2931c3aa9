//! Properties: what exists on each object type and which values fit.
//! May touch: its own definitions. Must not touch: records.

use super::clock::{iso, parse_ms};
use super::config::Limits;
use super::error::{PropertyFault, Refusal};
use super::object::Object;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use std::collections::{BTreeMap, BTreeSet};

/// The longest text a property holds, and the longest communication body.
const MAX_TEXT: usize = 65_536;

/// Value type of a property.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum Kind {
    String,
    Number,
    Date,
    Datetime,
    Enumeration,
    Bool,
}

impl Kind {
    const fn field_types(self) -> &'static [&'static str] {
        match self {
            Self::String => &["text", "textarea", "html", "phonenumber", "file"],
            Self::Number => &["number"],
            Self::Date | Self::Datetime => &["date"],
            Self::Enumeration => &["select", "radio", "checkbox", "booleancheckbox"],
            Self::Bool => &["booleancheckbox"],
        }
    }
}

/// One choice of an enumeration.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct Choice {
    pub(super) label: String,
    pub(super) value: String,
    #[serde(default)]
    display_order: Option<i64>,
    #[serde(default)]
    hidden: bool,
    #[serde(default)]
    description: Option<String>,
}

/// A property definition.
#[derive(Debug, Clone)]
pub(super) struct Property {
    pub(super) name: String,
    label: String,
    pub(super) kind: Kind,
    field_type: String,
    group: String,
    description: String,
    pub(super) unique: bool,
    options: Vec<Choice>,
    built_in: bool,
    read_only: bool,
    created_at: i64,
    updated_at: i64,
}

/// The wire form of a new property.
#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct NewProperty {
    name: String,
    label: String,
    group_name: String,
    #[serde(rename = "type")]
    kind: Kind,
    field_type: String,
    #[serde(default)]
    description: Option<String>,
    #[serde(default)]
    has_unique_value: bool,
    #[serde(default)]
    options: Vec<Choice>,
    // Accepted and kept out of the model: they change only how the property looks.
    #[serde(default, rename = "hidden")]
    _hidden: Option<bool>,
    #[serde(default, rename = "displayOrder")]
    _display_order: Option<i64>,
    #[serde(default, rename = "formField")]
    _form_field: Option<bool>,
}

/// The wire form of a change. `name` and `hasUniqueValue` are absent on purpose: they cannot be changed.
#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct PropertyChange {
    #[serde(default)]
    label: Option<String>,
    #[serde(default)]
    group_name: Option<String>,
    #[serde(default, rename = "type")]
    kind: Option<Kind>,
    #[serde(default)]
    field_type: Option<String>,
    #[serde(default)]
    description: Option<String>,
    #[serde(default)]
    options: Option<Vec<Choice>>,
    #[serde(default, rename = "hidden")]
    _hidden: Option<bool>,
    #[serde(default, rename = "displayOrder")]
    _display_order: Option<i64>,
    #[serde(default, rename = "formField")]
    _form_field: Option<bool>,
}

impl Property {
    pub(super) fn view(&self) -> Value {
        json!({
            "name": self.name, "label": self.label, "type": self.kind, "fieldType": self.field_type,
            "groupName": self.group, "description": self.description, "hasUniqueValue": self.unique,
            "options": self.options, "hubspotDefined": self.built_in, "calculated": self.read_only,
            "hidden": false, "formField": false, "displayOrder": -1, "archived": false, "externalOptions": false,
            "createdAt": iso(self.created_at), "updatedAt": iso(self.updated_at),
            "modificationMetadata": {"archivable": !self.built_in, "readOnlyDefinition": self.built_in,
                                     "readOnlyValue": self.read_only},
        })
    }

    /// The stored form of `value`; `None` clears the property. `before` is what a multiple choice appends to.
    fn clean(&self, value: &Value, before: Option<&str>) -> Result<Option<String>, PropertyFault> {
        let fault = |code, message: String| Err(PropertyFault::new(&self.name, code, message));
        if self.read_only {
            return fault(
                "READ_ONLY_VALUE",
                format!("\"{}\" is a read only property; its value cannot be set", self.name),
            );
        }
        let text = match value {
            Value::Null => return Ok(None),
            Value::String(text) if text.is_empty() => return Ok(None),
            Value::String(text) => text.clone(),
            Value::Number(number) => number.to_string(),
            Value::Bool(truth) => truth.to_string(),
            Value::Array(_) | Value::Object(_) => {
                return fault("INVALID_VALUE", format!("\"{}\" takes a plain value", self.name));
            }
        };
        match self.kind {
            Kind::String if text.chars().count() > MAX_TEXT => {
                fault("VALUE_TOO_LONG", format!("{} takes at most {MAX_TEXT} characters", self.name))
            }
            Kind::String if self.name == "email" => match plausible_email(&text) {
                Some(email) => Ok(Some(email)),
                None => fault("INVALID_EMAIL", "Email address is invalid".to_owned()),
            },
            Kind::String => Ok(Some(text)),
            Kind::Number => match text.parse::<f64>() {
                Ok(number) if number.is_finite() => Ok(Some(text)),
                _ => fault("INVALID_NUMBER", format!("{} was not a valid number.", self.name)),
            },
            Kind::Bool => match text.as_str() {
                "true" | "false" => Ok(Some(text)),
                _ => fault("INVALID_BOOLEAN", format!("{} must be true or false", self.name)),
            },
            Kind::Datetime => match parse_ms(&text) {
                Some(ms) => Ok(Some(iso(ms))),
                None => fault("INVALID_DATE", format!("{} was not a valid datetime.", self.name)),
            },
            Kind::Date => match clean_date(&text) {
                Some(date) => Ok(Some(date)),
                None => fault("INVALID_DATE", format!("{} was not a valid date at midnight UTC.", self.name)),
            },
            Kind::Enumeration => self.clean_choice(&text, before),
        }
    }

    fn clean_choice(&self, text: &str, before: Option<&str>) -> Result<Option<String>, PropertyFault> {
        let multiple = self.field_type == "checkbox";
        let (appended, list) = match text.strip_prefix(';') {
            Some(rest) if multiple => (true, rest),
            _ => (false, text),
        };
        let mut chosen: Vec<&str> = if appended { before.unwrap_or("").split(';').collect() } else { Vec::new() };
        let added: Vec<&str> = if multiple { list.split(';').collect() } else { vec![list] };
        // Compared byte for byte: a blank after the semicolon makes another, unknown choice.
        if let Some(unknown) = added.iter().find(|v| !self.options.iter().any(|o| o.value == **v)) {
            let allowed: Vec<&str> = self.options.iter().map(|o| o.value.as_str()).collect();
            let message = format!("{unknown} was not one of the allowed options: {allowed:?}");
            return Err(PropertyFault::new(&self.name, "INVALID_OPTION", message));
        }
        for value in added {
            if !chosen.contains(&value) {
                chosen.push(value);
            }
        }
        chosen.retain(|v| !v.is_empty());
        Ok(Some(chosen.join(";")))
    }
}

fn plausible_email(text: &str) -> Option<String> {
    let (user, domain) = text.rsplit_once('@')?;
    let plausible = !user.is_empty()
        && domain.contains('.')
        && !domain.starts_with('.')
        && !domain.ends_with('.')
        && !text.contains(char::is_whitespace);
    plausible.then(|| text.to_lowercase())
}

fn clean_date(text: &str) -> Option<String> {
    if let Ok(date) = text.parse::<jiff::civil::Date>() {
        return Some(date.to_string());
    }
    let ms = text.parse::<i64>().ok().filter(|ms| ms.rem_euclid(86_400_000) == 0)?;
    iso(ms).split_once('T').map(|(date, _)| date.to_owned())
}

/// The properties and groups of every object type.
#[derive(Debug)]
pub(super) struct Schema {
    properties: BTreeMap<(Object, String), Property>,
    groups: BTreeMap<(Object, String), String>,
}

impl Schema {
    pub(super) fn built_in(now: i64) -> Self {
        let mut schema = Self { properties: BTreeMap::new(), groups: BTreeMap::new() };
        for object in Object::ALL {
            let group = format!("{}information", object.singular());
            schema.groups.insert((object, group.clone()), group.clone());
            for (name, kind, field_type, read_only, options) in super::builtin::properties(object) {
                let property = Property {
                    name: (*name).to_owned(),
                    label: (*name).to_owned(),
                    kind: *kind,
                    field_type: (*field_type).to_owned(),
                    group: group.clone(),
                    description: String::new(),
                    unique: *name == "email",
                    options: options.iter().map(|value| choice(value)).collect(),
                    built_in: true,
                    read_only: *read_only,
                    created_at: now,
                    updated_at: now,
                };
                schema.properties.insert((object, property.name.clone()), property);
            }
        }
        schema
    }

    pub(super) fn get(&self, object: Object, name: &str) -> Option<&Property> {
        self.properties.get(&(object, name.to_owned()))
    }

    pub(super) fn of(&self, object: Object) -> impl Iterator<Item = &Property> {
        self.properties.range((object, String::new())..).take_while(move |((o, _), _)| *o == object).map(|(_, p)| p)
    }

    /// True for a property that finds one record.
    pub(super) fn is_unique(&self, object: Object, name: &str) -> bool {
        self.get(object, name).is_some_and(|p| p.unique)
    }

    /// Checks the properties of one write. All faults are named, not just the first.
    pub(super) fn clean(
        &self,
        object: Object,
        written: &serde_json::Map<String, Value>,
        before: impl Fn(&str) -> Option<String>,
    ) -> Result<Vec<(String, Option<String>)>, Refusal> {
        let mut values = Vec::with_capacity(written.len());
        let mut faults = Vec::new();
        for (name, value) in written {
            let Some(property) = self.get(object, name) else {
                let message = format!("Property \"{name}\" does not exist");
                faults.push(PropertyFault::new(name, "PROPERTY_DOESNT_EXIST", message));
                continue;
            };
            match property.clean(value, before(name).as_deref()) {
                Ok(clean) => values.push((name.clone(), clean)),
                Err(fault) => faults.push(fault),
            }
        }
        if faults.is_empty() { Ok(values) } else { Err(Refusal::properties(faults)) }
    }

    pub(super) fn create(
        &mut self,
        object: Object,
        new: NewProperty,
        limits: &Limits,
        now: i64,
    ) -> Result<&Property, Refusal> {
        if !valid_name(&new.name) {
            return Err(Refusal::validation("Property names are lower case letters, digits and _, a letter first."));
        }
        if self.get(object, &new.name).is_some() {
            let message = format!("A property named '{}' already exists.", new.name);
            return Err(Refusal::new(409, "OBJECT_ALREADY_EXISTS", message));
        }
        self.check_definition(object, new.kind, &new.field_type, &new.group_name, &new.options)?;
        if new.has_unique_value {
            self.check_unique(object, new.kind, limits)?;
        }
        let options = match (new.kind, new.options.is_empty()) {
            (Kind::Bool, true) => vec![choice("true"), choice("false")],
            _ => new.options,
        };
        let property = Property {
            name: new.name,
            label: new.label,
            kind: new.kind,
            field_type: new.field_type,
            group: new.group_name,
            description: new.description.unwrap_or_default(),
            unique: new.has_unique_value,
            options,
            built_in: false,
            read_only: false,
            created_at: now,
            updated_at: now,
        };
        Ok(self.properties.entry((object, property.name.clone())).or_insert(property))
    }

    fn check_unique(&self, object: Object, kind: Kind, limits: &Limits) -> Result<(), Refusal> {
        if !matches!(kind, Kind::String | Kind::Number) {
            return Err(Refusal::validation("Only text and number properties can have unique values."));
        }
        if self.of(object).filter(|p| p.unique && !p.built_in).count() >= limits.unique_properties {
            return Err(Refusal::validation(format!(
                "At most {} unique properties per object.",
                limits.unique_properties
            )));
        }
        Ok(())
    }

    pub(super) fn change(
        &mut self,
        object: Object,
        name: &str,
        change: PropertyChange,
        now: i64,
    ) -> Result<&Property, Refusal> {
        let before = self.get(object, name).ok_or_else(no_such_property)?;
        if before.built_in && (change.kind.is_some() || change.field_type.is_some()) {
            return Err(Refusal::validation("The definition of a HubSpot property cannot be changed."));
        }
        let mut after = before.clone();
        after.label = change.label.unwrap_or(after.label);
        after.group = change.group_name.unwrap_or(after.group);
        after.kind = change.kind.unwrap_or(after.kind);
        after.field_type = change.field_type.unwrap_or(after.field_type);
        after.description = change.description.unwrap_or(after.description);
        after.options = change.options.unwrap_or(after.options);
        after.updated_at = now;
        self.check_definition(object, after.kind, &after.field_type, &after.group, &after.options)?;
        let slot = self.properties.get_mut(&(object, name.to_owned())).ok_or_else(no_such_property)?;
        *slot = after;
        Ok(slot)
    }

    fn check_definition(
        &self,
        object: Object,
        kind: Kind,
        field_type: &str,
        group: &str,
        options: &[Choice],
    ) -> Result<(), Refusal> {
        if !kind.field_types().contains(&field_type) {
            return Err(Refusal::validation(format!("fieldType {field_type} does not fit the property's type.")));
        }
        if !self.groups.contains_key(&(object, group.to_owned())) {
            return Err(Refusal::validation(format!("Property group {group} does not exist.")));
        }
        let distinct: BTreeSet<&str> = options.iter().map(|o| o.value.as_str()).collect();
        if distinct.len() != options.len() || distinct.contains("") {
            return Err(Refusal::validation("Option values must be present and distinct."));
        }
        match kind {
            Kind::Bool if !options.is_empty() && distinct != BTreeSet::from(["false", "true"]) => {
                Err(Refusal::validation("Boolean properties have exactly the options true and false."))
            }
            Kind::String | Kind::Number | Kind::Date | Kind::Datetime if !options.is_empty() => {
                Err(Refusal::validation("Only enumerations have options."))
            }
            _ => Ok(()),
        }
    }

    pub(super) fn groups(&self, object: Object) -> impl Iterator<Item = Value> {
        self.groups.iter().filter(move |((o, _), _)| *o == object).map(|((_, name), label)| group_view(name, label))
    }

    pub(super) fn create_group(&mut self, object: Object, name: &str, label: &str) -> Result<Value, Refusal> {
        if !valid_name(name) {
            return Err(Refusal::validation("Group names are lower case letters, digits and _, a letter first."));
        }
        if self.groups.insert((object, name.to_owned()), label.to_owned()).is_some() {
            return Err(Refusal::new(409, "OBJECT_ALREADY_EXISTS", format!("A group named '{name}' already exists.")));
        }
        Ok(group_view(name, label))
    }
}

pub(super) fn no_such_property() -> Refusal {
    Refusal::new(404, "OBJECT_NOT_FOUND", "No property with that name exists.")
}

fn valid_name(name: &str) -> bool {
    name.len() <= 100
        && name.starts_with(|c: char| c.is_ascii_lowercase())
        && name.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_')
}

fn group_view(name: &str, label: &str) -> Value {
    json!({"name": name, "label": label, "displayOrder": -1, "archived": false})
}

fn choice(value: &str) -> Choice {
    Choice { label: value.to_owned(), value: value.to_owned(), display_order: None, hidden: false, description: None }
}
