//! Modules and their fields, and what a single value must be like.
//! May touch: nothing; definitions and checks. Must not touch: records. Whether an id exists or a value is taken, the
//! world decides.

use super::builtin;
use super::error::Refusal;
use super::time;
use serde_json::{Value, json};
use std::collections::HashMap;
use std::sync::Arc;

/// The data type of a field.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Text,
    TextArea,
    Email,
    Phone,
    Website,
    Picklist,
    MultiPicklist,
    Boolean,
    Integer,
    BigInt,
    Double,
    Currency,
    Percent,
    Date,
    DateTime,
    Lookup,
    /// A record of any module: `Parent_Id` of a note.
    Parent,
    Owner,
    Tags,
}

impl Kind {
    /// The kinds that the API can make fields of.
    pub(super) const CREATABLE: [Self; 16] = [
        Self::Text,
        Self::TextArea,
        Self::Email,
        Self::Phone,
        Self::Website,
        Self::Picklist,
        Self::MultiPicklist,
        Self::Boolean,
        Self::Integer,
        Self::BigInt,
        Self::Double,
        Self::Currency,
        Self::Percent,
        Self::Date,
        Self::DateTime,
        Self::Lookup,
    ];

    /// `data_type` of the field's description.
    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::Text | Self::Tags => "text",
            Self::TextArea => "textarea",
            Self::Email => "email",
            Self::Phone => "phone",
            Self::Website => "website",
            Self::Picklist => "picklist",
            Self::MultiPicklist => "multiselectpicklist",
            Self::Boolean => "boolean",
            Self::Integer => "integer",
            Self::BigInt => "bigint",
            Self::Double => "double",
            Self::Currency => "currency",
            Self::Percent => "percent",
            Self::Date => "date",
            Self::DateTime => "datetime",
            Self::Lookup | Self::Parent => "lookup",
            Self::Owner => "ownerlookup",
        }
    }

    /// `json_type` of the field's description.
    pub(super) const fn json(self) -> &'static str {
        match self {
            Self::Boolean => "boolean",
            Self::Integer => "integer",
            Self::Double | Self::Currency | Self::Percent => "double",
            Self::MultiPicklist | Self::Tags => "jsonarray",
            Self::Lookup | Self::Parent | Self::Owner => "jsonobject",
            _ => "string",
        }
    }

    pub(super) const fn is_number(self) -> bool {
        matches!(self, Self::Integer | Self::BigInt | Self::Double | Self::Currency | Self::Percent)
    }

    pub(super) const fn is_reference(self) -> bool {
        matches!(self, Self::Lookup | Self::Parent | Self::Owner)
    }

    /// Longest value when a field doesn't say: characters, or digits.
    pub(super) const fn default_length(self) -> usize {
        match self {
            Self::TextArea => 2_000,
            Self::Email => 100,
            Self::Phone => 30,
            Self::Website => 450,
            Self::Picklist => 120,
            Self::MultiPicklist => 100,
            Self::Boolean | Self::Percent => 5,
            Self::Integer => 9,
            Self::BigInt => 18,
            Self::Double | Self::Currency => 16,
            _ => 255,
        }
    }
}

/// A field that the system fills in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum System {
    Id,
    Owner,
    CreatedBy,
    ModifiedBy,
    CreatedTime,
    ModifiedTime,
    FullName,
    Tag,
}

/// Number of a field within its module; it never changes.
pub(super) type FieldNo = u16;

/// A field.
#[derive(Debug, Clone)]
pub(super) struct Field {
    pub(super) id: u64,
    pub(super) api_name: Arc<str>,
    pub(super) label: String,
    pub(super) kind: Kind,
    pub(super) length: usize,
    pub(super) mandatory: bool,
    pub(super) custom: bool,
    pub(super) unique: bool,
    /// Type of an external field (`org`, `user`).
    pub(super) external: Option<String>,
    /// Values of a pick list, as answers show them.
    pub(super) options: Vec<String>,
    /// Module that a lookup points to.
    pub(super) target: Option<String>,
    pub(super) system: Option<System>,
    pub(super) made_at: i64,
    pub(super) removed: bool,
}

impl Field {
    /// True when the values are kept in an index, because something looks them up.
    pub(super) fn indexed(&self, module: &Module) -> bool {
        self.unique
            || self.external.is_some()
            || matches!(self.kind, Kind::Lookup | Kind::Parent)
            || module.key.as_deref() == Some(&*self.api_name)
    }

    /// What `value` is stored as: `None` clears. References are checked for their shape only.
    pub(super) fn clean(&self, value: &Value, path: &str, closed_lists: bool) -> Result<Option<Value>, Refusal> {
        if value.is_null() || value.as_str().is_some_and(str::is_empty) {
            return Ok(None);
        }
        let wrong = || Refusal::wrong_type(self.kind.name(), &self.api_name, path);
        match self.kind {
            Kind::Text | Kind::TextArea | Kind::Email | Kind::Phone | Kind::Website => {
                let text = value.as_str().ok_or_else(wrong)?;
                if text.chars().count() > self.length {
                    return Err(Refusal::too_long(self.length, &self.api_name, path));
                }
                let fits = match self.kind {
                    Kind::Email => is_email(text),
                    Kind::Phone => is_phone(text),
                    Kind::Website => !text.contains(char::is_whitespace) && text.contains('.'),
                    _ => true,
                };
                if fits { Ok(Some(json!(text))) } else { Err(wrong()) }
            }
            Kind::Picklist => {
                let text = value.as_str().ok_or_else(wrong)?;
                self.listed(text, path, closed_lists)?;
                Ok(Some(json!(text)))
            }
            Kind::MultiPicklist => {
                let list = || Refusal::wrong_type("jsonarray", &self.api_name, path);
                let values = value.as_array().ok_or_else(list)?;
                for value in values {
                    self.listed(value.as_str().ok_or_else(wrong)?, path, closed_lists)?;
                }
                Ok((!values.is_empty()).then(|| value.clone()))
            }
            Kind::Boolean => value.as_bool().map(|b| Some(json!(b))).ok_or_else(wrong),
            Kind::Integer => {
                let number = value.as_i64().ok_or_else(wrong)?;
                let digits = number.unsigned_abs().to_string().len();
                if digits > self.length {
                    return Err(Refusal::too_long(self.length, &self.api_name, path));
                }
                Ok(Some(json!(number)))
            }
            Kind::BigInt => {
                let text = value.as_str().map(ToOwned::to_owned).or_else(|| value.as_i64().map(|n| n.to_string()));
                let text = text.filter(|text| text.parse::<i64>().is_ok()).ok_or_else(wrong)?;
                Ok(Some(json!(text)))
            }
            Kind::Double | Kind::Currency | Kind::Percent => {
                value.as_f64().map(|number| Some(json!(number))).ok_or_else(wrong)
            }
            Kind::Date => value.as_str().filter(|text| time::is_date(text)).map(|t| Some(json!(t))).ok_or_else(wrong),
            Kind::DateTime => {
                let ms = value.as_str().and_then(time::parse_field).ok_or_else(wrong)?;
                // Kept as a number, so that it can be compared and shown at any offset.
                Ok(Some(json!(ms)))
            }
            Kind::Lookup | Kind::Parent | Kind::Owner => {
                let object =
                    value.as_object().ok_or_else(|| Refusal::wrong_type("jsonobject", &self.api_name, path))?;
                let id = object.get("id").ok_or_else(|| Refusal::mandatory("id", &format!("{path}.id")))?;
                number(id).map(|id| Some(json!(id))).ok_or_else(|| Refusal::invalid("id", &format!("{path}.id")))
            }
            Kind::Tags => Ok(None),
        }
    }

    fn listed(&self, value: &str, path: &str, closed: bool) -> Result<(), Refusal> {
        if !closed || self.options.iter().any(|option| option == value) {
            return Ok(());
        }
        let options: Vec<&str> = self.options.iter().map(String::as_str).collect();
        Err(Refusal::unsupported(&options, &self.api_name, path))
    }

    /// The key under which a stored value is indexed: case doesn't count.
    pub(super) fn index_key(value: &Value) -> String {
        match value {
            Value::String(text) => text.to_lowercase(),
            other => other.to_string(),
        }
    }
}

/// An id in a request: digits in a string, as Zoho writes them, or a number, as its own SDKs send it.
pub(super) fn number(id: &Value) -> Option<u64> {
    id.as_u64().or_else(|| id.as_str()?.parse().ok())
}

fn is_email(text: &str) -> bool {
    let Some((local, domain)) = text.split_once('@') else { return false };
    !local.is_empty()
        && !text.contains(char::is_whitespace)
        && !domain.contains('@')
        && domain.split('.').count() > 1
        && domain.split('.').all(|part| !part.is_empty())
}

fn is_phone(text: &str) -> bool {
    let allowed = |c: char| c.is_ascii_alphanumeric() || "+-().,;# ".contains(c);
    text.chars().all(allowed) && text.chars().any(|c| c.is_ascii_digit()) && !text.get(1..).unwrap_or("").contains('+')
}

/// A module.
#[derive(Debug, Clone)]
pub(super) struct Module {
    pub(super) id: u64,
    pub(super) layout_id: u64,
    pub(super) api_name: Arc<str>,
    pub(super) singular: String,
    pub(super) plural: String,
    pub(super) custom: bool,
    /// The system-defined duplicate check field.
    pub(super) key: Option<String>,
    /// The field that names a record where another points to it.
    pub(super) display: String,
    pub(super) searchable: bool,
    pub(super) made_at: i64,
    pub(super) fields: Vec<Field>,
    by_name: HashMap<Arc<str>, FieldNo>,
}

impl Module {
    /// An empty module: only the fields that the system fills in.
    pub(super) fn new(api_name: &str, ids: &mut u64, made_at: i64) -> Self {
        let mut next = || {
            *ids += 1;
            *ids
        };
        let mut module = Self {
            id: next(),
            layout_id: next(),
            api_name: api_name.into(),
            singular: String::new(),
            plural: String::new(),
            custom: false,
            key: None,
            display: String::new(),
            searchable: true,
            made_at,
            fields: Vec::new(),
            by_name: HashMap::new(),
        };
        for (name, kind, system) in builtin::SYSTEM {
            module.add(plain(next(), name, kind, made_at, Some(system)));
        }
        module
    }

    /// All modules that an organisation begins with.
    pub(super) fn built_in(ids: &mut u64, now: i64) -> Vec<Self> {
        builtin::MODULES.iter().map(|definition| definition.build(ids, now)).collect()
    }

    pub(super) fn add(&mut self, field: Field) {
        let Ok(number) = FieldNo::try_from(self.fields.len()) else { return };
        self.by_name.insert(Arc::clone(&field.api_name), number);
        self.fields.push(field);
    }

    pub(super) fn number(&self, name: &str) -> Option<FieldNo> {
        let number = *self.by_name.get(name)?;
        self.field(number).filter(|field| !field.removed).map(|_| number)
    }

    pub(super) fn field(&self, number: FieldNo) -> Option<&Field> {
        self.fields.get(usize::from(number))
    }

    pub(super) fn named(&self, name: &str) -> Option<(FieldNo, &Field)> {
        let number = self.number(name)?;
        Some((number, self.field(number)?))
    }

    /// The fields that exist, with their numbers.
    pub(super) fn live(&self) -> impl Iterator<Item = (FieldNo, &Field)> {
        (0..).zip(&self.fields).filter(|(_, field)| !field.removed)
    }

    /// The name that scopes and rights use.
    pub(super) fn scope(&self) -> &str {
        if self.custom { "custom" } else { &self.api_name }
    }

    /// True for modules whose records have a computed full name.
    pub(super) fn has_full_name(&self) -> bool {
        matches!(&*self.api_name, "Contacts" | "Leads")
    }

    /// The fields of an upsert's duplicate check, in order: those asked for, or the system's first and then all unique ones.
    pub(super) fn duplicate_check(&self, asked: Option<&[String]>) -> Result<Vec<FieldNo>, Refusal> {
        let system = self.key.as_deref().and_then(|key| self.number(key));
        let unique = self.live().filter(|(n, field)| field.unique && Some(*n) != system).map(|(n, _)| n);
        let all: Vec<FieldNo> = system.into_iter().chain(unique).collect();
        let Some(asked) = asked else { return Ok(all) };
        let pick = |(n, name): (usize, &String)| {
            let number = self.number(name).filter(|number| all.contains(number));
            number.ok_or_else(|| Refusal::invalid("duplicate_check_fields", &format!("$.duplicate_check_fields[{n}]")))
        };
        asked.iter().enumerate().map(pick).collect()
    }
}

/// A field without any particulars.
pub(super) fn plain(id: u64, name: &str, kind: Kind, made_at: i64, system: Option<System>) -> Field {
    Field {
        id,
        api_name: name.into(),
        label: name.replace('_', " "),
        kind,
        length: kind.default_length(),
        mandatory: false,
        custom: false,
        unique: false,
        external: None,
        options: Vec::new(),
        target: None,
        system,
        made_at,
        removed: false,
    }
}

#[cfg(test)]
mod tests {
    use super::{Kind, plain};
    use serde_json::{Value, json};

    fn passes(kind: Kind, value: &Value) -> bool {
        let mut field = plain(1, "F", kind, 0, None);
        field.options = vec!["One".to_owned(), "Two".to_owned()];
        field.clean(value, "$.data[0].F", true).is_ok()
    }

    #[test]
    fn values_have_the_type_of_their_field() {
        for (kind, good, bad) in [
            (Kind::Text, json!("x"), json!(1)),
            (Kind::Email, json!("a@b.example"), json!("a@b")),
            (Kind::Phone, json!("+49 (30) 1234"), json!("n/a!")),
            (Kind::Picklist, json!("One"), json!("one")),
            (Kind::MultiPicklist, json!(["One", "Two"]), json!("One;Two")),
            (Kind::Boolean, json!(true), json!("true")),
            (Kind::Integer, json!(12), json!("12")),
            (Kind::BigInt, json!("123456789012"), json!("12x")),
            (Kind::Double, json!(1.5), json!("1.5")),
            (Kind::Date, json!("2026-01-31"), json!("31/01/2026")),
            (Kind::DateTime, json!("2026-01-31T10:00:00+01:00"), json!("2026-01-31T10:00:00Z")),
            (Kind::Lookup, json!({"id": "55"}), json!("55")),
        ] {
            assert!(passes(kind, &good), "{kind:?} {good}");
            assert!(!passes(kind, &bad), "{kind:?} {bad}");
            assert!(passes(kind, &Value::Null), "{kind:?} can be cleared");
        }
        assert!(!passes(Kind::Text, &json!("x".repeat(256))));
        assert!(!passes(Kind::Integer, &json!(1_234_567_890)));
    }
}
