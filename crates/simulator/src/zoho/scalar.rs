//! Values in a form that can be compared: what search criteria and COQL work on.
//! May touch: nothing; it reads records. Must not touch: what is stored.

use super::row::Snapshot;
use super::schema::{Field, FieldNo, Kind, Module, System};
use super::{time, view};
use serde_json::Value;
use std::cmp::Ordering;

/// One comparable value.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Scalar {
    Number(f64),
    /// An id of a record or a person, or another long whole number.
    Id(u64),
    /// Epoch milliseconds.
    Time(i64),
    /// Texts compare without regard to case; dates are texts, which sort as dates do.
    Text(String),
    Flag(bool),
    List(Vec<String>),
}

impl Scalar {
    pub(super) fn compare(&self, other: &Self) -> Option<Ordering> {
        match (self, other) {
            (Self::Number(a), Self::Number(b)) => a.partial_cmp(b),
            (Self::Id(a), Self::Id(b)) => Some(a.cmp(b)),
            (Self::Time(a), Self::Time(b)) => Some(a.cmp(b)),
            (Self::Text(a), Self::Text(b)) => Some(a.to_lowercase().cmp(&b.to_lowercase())),
            (Self::Flag(a), Self::Flag(b)) => Some(a.cmp(b)),
            (Self::List(list), Self::Text(one)) => {
                let has = list.iter().any(|entry| entry.eq_ignore_ascii_case(one));
                Some(if has { Ordering::Equal } else { Ordering::Less })
            }
            _ => None,
        }
    }

    /// The value of a field; `None` when it is empty.
    pub(super) fn of(module: &Module, state: Snapshot<'_>, number: FieldNo, field: &Field) -> Option<Self> {
        let row = state.row;
        match field.system {
            Some(System::Id) => return Some(Self::Id(row.id)),
            Some(System::Owner) => return Some(Self::Id(row.owner)),
            Some(System::CreatedBy) => return Some(Self::Id(row.created_by)),
            Some(System::ModifiedBy) => return Some(Self::Id(row.modified_by)),
            Some(System::CreatedTime) => return Some(Self::Time(row.created_at)),
            Some(System::ModifiedTime) => return Some(Self::Time(state.modified_at)),
            Some(System::FullName) => return Some(Self::Text(view::full_name(module, state))),
            Some(System::Tag) => return None,
            None => {}
        }
        let value = match (state.values.get(number), field.kind) {
            (None, Kind::Boolean) => return Some(Self::Flag(false)),
            (value, _) => value?,
        };
        match (field.kind, value) {
            (Kind::DateTime, value) => value.as_i64().map(Self::Time),
            (kind, value) if kind.is_reference() => value.as_u64().map(Self::Id),
            (Kind::BigInt, Value::String(text)) => text.parse().ok().map(Self::Id),
            (_, Value::Bool(flag)) => Some(Self::Flag(*flag)),
            (_, Value::Number(number)) => number.as_f64().map(Self::Number),
            (_, Value::String(text)) => Some(Self::Text(text.clone())),
            (_, Value::Array(list)) => {
                Some(Self::List(list.iter().filter_map(Value::as_str).map(ToOwned::to_owned).collect()))
            }
            _ => None,
        }
    }

    /// A literal as a value of this field; `None` when it isn't one.
    pub(super) fn parse(field: &Field, text: &str) -> Option<Self> {
        match field.kind {
            Kind::DateTime => time::parse_field(text).map(Self::Time),
            Kind::Date => time::is_date(text).then(|| Self::Text(text.to_owned())),
            kind if kind == Kind::BigInt || kind.is_reference() => text.parse().ok().map(Self::Id),
            kind if kind.is_number() => text.parse().ok().map(Self::Number),
            Kind::Boolean => text.parse().ok().map(Self::Flag),
            _ => Some(Self::Text(text.to_owned())),
        }
    }
}

/// The order of two values, empty ones first.
pub(super) fn order(a: Option<&Scalar>, b: Option<&Scalar>) -> Ordering {
    match (a, b) {
        (None, None) => Ordering::Equal,
        (None, Some(_)) => Ordering::Less,
        (Some(_), None) => Ordering::Greater,
        (Some(a), Some(b)) => a.compare(b).unwrap_or(Ordering::Equal),
    }
}
