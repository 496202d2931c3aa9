//! The fields of contacts as Zoho describes them, and values in Zoho's form. Facts: crm-apis section 3, "fields".
//! Failure story: reads only; what Zoho described is kept for some minutes, so a field that was made a moment ago may be unknown
//! and is then written as it stands.

use super::client::{Client, iso, moment};
use super::query::{Found, rows};
use super::rows::text_of;
use super::schema::{OURS, SYSTEM};
use super::{CONTACTS, TAG, budget::Price};
use jiff::Timestamp;
use ponte_domain::crm::{CrmChoice, CrmField, CrmKind};
use ponte_domain::error::CallError;
use serde_json::{Map, Value, json};
use std::collections::HashMap;

/// Of Zoho's own fields those that tell who somebody is.
const USUAL: &[&str] = &[
    "First_Name",
    "Last_Name",
    "Mobile",
    "Phone",
    "Email",
    "Account_Name",
    "Title",
    "Date_of_Birth",
    "Lead_Source",
    "Mailing_Street",
    "Mailing_City",
    "Mailing_State",
    "Mailing_Zip",
    "Mailing_Country",
    "Owner",
    TAG,
];

/// Zoho's data types by field name.
pub(super) type Types = HashMap<String, String>;

impl Client {
    /// The fields of a module as Zoho describes them.
    pub(super) async fn described(&self, module: &str) -> Result<Vec<Found>, CallError> {
        let answer = self.get(&format!("/settings/fields?module={module}"), Price::ONE).await?;
        Ok(rows(answer, "fields"))
    }

    /// The fields of contacts, without those that carry our ids.
    pub(super) async fn contact_fields(&self) -> Result<Vec<CrmField>, CallError> {
        Ok(self.described(CONTACTS).await?.iter().filter_map(field).collect())
    }
}

/// The data types of described fields.
pub(super) fn types(described: &[Found]) -> Types {
    let of = |f: &Found| Some((word(f, "api_name")?.to_owned(), word(f, "data_type")?.to_owned()));
    described.iter().filter_map(of).collect()
}

fn word<'a>(field: &'a Found, name: &str) -> Option<&'a str> {
    field.get(name).and_then(Value::as_str)
}

fn flag(field: &Found, name: &str) -> bool {
    field.get(name).and_then(Value::as_bool) == Some(true)
}

/// A field that is said to be unique, by an object that isn't empty.
pub(super) fn is_unique(field: &Found) -> bool {
    field.get("unique").and_then(Value::as_object).is_some_and(|unique| !unique.is_empty())
}

fn field(described: &Found) -> Option<CrmField> {
    let name = word(described, "api_name")?;
    if name == "id" || SYSTEM.contains(&name) || described.get("visible") == Some(&Value::Bool(false)) {
        return None;
    }
    let kind = kind_of(name, word(described, "data_type").unwrap_or_default());
    let has_choices = matches!(kind, CrmKind::Choice | CrmKind::MultiChoice);
    let writes = |how: &str| described.get("operation_type").and_then(|o| o.get(how)).and_then(Value::as_bool);
    let read_only = flag(described, "read_only") || flag(described, "field_read_only");
    let length = described.get("length").and_then(Value::as_u64).and_then(|n| usize::try_from(n).ok());
    let texts = matches!(kind, CrmKind::Text | CrmKind::LongText | CrmKind::Phone | CrmKind::Email | CrmKind::Url);
    Some(CrmField {
        label: word(described, "field_label").or_else(|| word(described, "display_label")).unwrap_or(name).to_owned(),
        usual: USUAL.contains(&name) || (flag(described, "custom_field") && !name.starts_with(OURS)),
        writable: name == TAG || (kind != CrmKind::Other && !read_only && writes("api_update") != Some(false)),
        required: flag(described, "system_mandatory"),
        unique: is_unique(described),
        max_chars: length.filter(|n| texts && *n > 0),
        choices: if has_choices { choices(described) } else { Vec::new() },
        ..CrmField::new(name, kind)
    })
}

fn kind_of(name: &str, data_type: &str) -> CrmKind {
    match data_type {
        _ if name == TAG => CrmKind::Tags,
        "text" => CrmKind::Text,
        "textarea" => CrmKind::LongText,
        "email" => CrmKind::Email,
        "phone" => CrmKind::Phone,
        "website" => CrmKind::Url,
        "integer" | "bigint" | "double" | "currency" | "percent" => CrmKind::Number,
        "boolean" => CrmKind::Boolean,
        "date" => CrmKind::Date,
        "datetime" => CrmKind::Moment,
        "picklist" => CrmKind::Choice,
        "multiselectpicklist" => CrmKind::MultiChoice,
        "lookup" | "ownerlookup" | "userlookup" => CrmKind::Reference,
        _ => CrmKind::Other,
    }
}

/// The choices in use. `-None-` stands for an empty field, which `null` says.
fn choices(described: &Found) -> Vec<CrmChoice> {
    let all = described.get("pick_list_values").and_then(Value::as_array).into_iter().flatten();
    let choice = |value: &Value| {
        let shown = value.get("display_value").and_then(Value::as_str)?;
        let stored = value.get("actual_value").and_then(Value::as_str).unwrap_or(shown);
        let used = value.get("type").and_then(Value::as_str) != Some("unused");
        (used && stored != "-None-").then(|| CrmChoice { value: stored.to_owned(), label: shown.to_owned() })
    };
    all.filter_map(choice).collect()
}

/// A value as it is handed on: a reference is its id, tags are their names, what is empty is `null`.
pub(super) fn read(name: &str, value: Option<&Value>) -> Value {
    match value {
        None | Some(Value::Null) => Value::Null,
        Some(Value::String(text)) if text.is_empty() => Value::Null,
        Some(Value::Array(items)) if items.is_empty() => Value::Null,
        Some(Value::Array(items)) if name == TAG => items.iter().filter_map(|tag| tag.get("name")).cloned().collect(),
        Some(Value::Object(fields)) => match fields.get("id").and_then(text_of) {
            Some(id) => Value::String(id),
            None => json!(fields),
        },
        Some(other) => other.clone(),
    }
}

/// The fields of a row as Zoho takes them, by its data types. Tags are written by calls of their own.
pub(super) fn written(fields: &std::collections::BTreeMap<String, Value>, types: &Types) -> Map<String, Value> {
    let one = |(name, value): (&String, &Value)| {
        let data_type = types.get(name).map(String::as_str).unwrap_or_default();
        (name.clone(), cast(data_type, value))
    };
    fields.iter().filter(|(name, _)| *name != TAG).map(one).collect()
}

/// A value in the form of a data type; one that has none stays, and Zoho says what is wrong with it.
fn cast(data_type: &str, value: &Value) -> Value {
    if value.is_null() || value.as_str().is_some_and(|text| text.trim().is_empty()) {
        return Value::Null;
    }
    let text = value.as_str();
    let other = match data_type {
        "datetime" => text.and_then(moment).or_else(|| value.as_i64()).map(|at| Value::String(iso(at))),
        "date" => text.and_then(day).map(Value::String),
        "boolean" => match text {
            Some("true" | "yes" | "1") => Some(Value::Bool(true)),
            Some("false" | "no" | "0") => Some(Value::Bool(false)),
            _ => None,
        },
        "integer" => text.and_then(|t| t.trim().parse::<i64>().ok()).or_else(|| whole(value)).map(Value::from),
        "bigint" => value.as_i64().map(|n| Value::String(n.to_string())),
        "double" | "currency" | "percent" => text.and_then(|t| t.trim().parse::<f64>().ok()).map(Value::from),
        "multiselectpicklist" => {
            text.map(|t| t.split(';').map(str::trim).filter(|w| !w.is_empty()).map(Value::from).collect())
        }
        "lookup" | "ownerlookup" | "userlookup" => text.map(|id| json!({"id": id})),
        "text" | "textarea" | "email" | "phone" | "website" | "picklist" => match value {
            Value::Number(_) | Value::Bool(_) => Some(Value::String(value.to_string())),
            Value::Array(items) => {
                let words: Vec<String> =
                    items.iter().map(|i| i.as_str().map_or_else(|| i.to_string(), str::to_owned)).collect();
                let joined = words.join(";");
                // Nothing in it: the field is emptied, as by an empty text.
                Some(if joined.trim().is_empty() { Value::Null } else { Value::String(joined) })
            }
            _ => None,
        },
        _ => None,
    };
    other.unwrap_or_else(|| value.clone())
}

/// A whole number that is written with a point.
fn whole(value: &Value) -> Option<i64> {
    let number = value.as_f64().filter(|n| n.fract() == 0.0 && n.abs() < 9e15)?;
    format!("{number:.0}").parse().ok()
}

/// The day of a date or of a point in time.
fn day(text: &str) -> Option<String> {
    let day = text.get(..10)?;
    let is_day = day.parse::<jiff::civil::Date>().is_ok();
    let rest_is_time = text.len() == 10 || text.parse::<Timestamp>().is_ok();
    (is_day && rest_is_time).then(|| day.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn object(value: Value) -> Found {
        value.as_object().unwrap().clone()
    }

    #[test]
    fn fields_tell_what_they_take() {
        let picklist = field(&object(json!({
            "api_name": "Lead_Source", "field_label": "Lead Source", "data_type": "picklist", "length": 120,
            "system_mandatory": false, "custom_field": false, "unique": {}, "read_only": false,
            "operation_type": {"api_update": true}, "pick_list_values": [
                {"display_value": "-None-", "actual_value": "-None-", "type": "used"},
                {"display_value": "Chat", "actual_value": "chat", "type": "used"},
                {"display_value": "Old", "actual_value": "Old", "type": "unused"}]})))
        .unwrap();
        assert_eq!((picklist.kind, picklist.usual, picklist.writable), (CrmKind::Choice, true, true));
        assert_eq!(picklist.choices, [CrmChoice { value: "chat".into(), label: "Chat".into() }]);
        let own = field(&object(json!({"api_name": "VAT", "data_type": "text", "length": 20, "custom_field": true,
            "unique": {"casesensitive": false}, "system_mandatory": true, "read_only": true})))
        .unwrap();
        assert_eq!((own.max_chars, own.unique, own.required, own.writable), (Some(20), true, true, false));
        let tag = field(&object(json!({"api_name": "Tag", "data_type": "text", "read_only": true}))).unwrap();
        assert_eq!((tag.kind, tag.writable), (CrmKind::Tags, true));
        assert!(field(&object(json!({"api_name": "Ponte_Id", "data_type": "text"}))).is_none());
        let formula = field(&object(json!({"api_name": "F", "data_type": "formula"}))).unwrap();
        assert_eq!((formula.kind, formula.writable), (CrmKind::Other, false));
    }

    #[test]
    fn values_come_in_one_form_from_lists_and_queries() {
        assert_eq!(read("Account_Name", Some(&json!({"name": "Zylker", "id": "55"}))), json!("55"));
        assert_eq!(read("Account_Name", Some(&json!({"id": "55"}))), json!("55"));
        assert_eq!(read("Tag", Some(&json!([{"name": "vip", "id": "1", "color_code": null}]))), json!(["vip"]));
        for empty in [json!(null), json!(""), json!([])] {
            assert_eq!(read("X", Some(&empty)), Value::Null);
        }
        assert_eq!(read("Languages", Some(&json!(["de", "en"]))), json!(["de", "en"]));
    }

    #[test]
    fn values_go_in_the_form_of_their_type() {
        for (data_type, given, taken) in [
            ("datetime", json!("2026-11-23T02:30:00.123Z"), json!("2026-11-23T02:30:00+00:00")),
            ("datetime", json!("2026-11-23T02:30:00+05:30"), json!("2026-11-22T21:00:00+00:00")),
            ("date", json!("2026-11-23T02:30:00Z"), json!("2026-11-23")),
            ("date", json!("2026-11-23"), json!("2026-11-23")),
            ("boolean", json!("true"), json!(true)),
            ("integer", json!(3.0), json!(3)),
            ("integer", json!("12"), json!(12)),
            ("double", json!("1.5"), json!(1.5)),
            ("multiselectpicklist", json!("a; b"), json!(["a", "b"])),
            ("lookup", json!("55"), json!({"id": "55"})),
            ("text", json!(12), json!("12")),
            ("text", json!("2026-11-23T02:30:00Z"), json!("2026-11-23T02:30:00Z")),
            ("phone", json!(""), Value::Null),
            ("text", json!(["de", "en"]), json!("de;en")),
            ("text", json!([]), Value::Null),
            ("text", json!([""]), Value::Null),
        ] {
            assert_eq!(cast(data_type, &given), taken, "{data_type} {given}");
        }
    }

    proptest! {
        #[test]
        fn what_was_cast_once_stays(text in ".{0,30}", number in -1_000_000i64..1_000_000, kind in 0usize..9) {
            let kinds = ["datetime", "date", "boolean", "integer", "double", "multiselectpicklist", "lookup", "text", "unheard"];
            for value in [json!(text), json!(number), json!(null), json!([text])] {
                let once = cast(kinds[kind], &value);
                prop_assert_eq!(cast(kinds[kind], &once), once.clone());
            }
        }
    }
}
