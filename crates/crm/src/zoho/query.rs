//! COQL, Zoho's query language: it sees a write at once, where search lags. Facts: Zoho's page on its limits (v8): at most 500
//! columns, 2,000 rows a query, 100 values of one `in`; conditions in pairs of parentheses.
//! Must not touch: values that could end a quotation. Ids, keys, numbers and times are all that is asked for; anything else is
//! refused here.

use super::budget::Price;
use super::client::{Client, iso};
use super::errors::Effect;
use http::Method;
use ponte_domain::Millis;
use ponte_domain::error::{CallError, ErrorClass};
use serde_json::{Map, Value, json};

/// Rows of a query at most.
pub(super) const MOST_ROWS: usize = 2_000;
/// Rows of the cheapest query.
pub(super) const CHEAP_ROWS: usize = 200;
/// Values of one `in`, since version 7.
pub(super) const MOST_VALUES: usize = 100;
/// Columns of a query at most.
const MOST_COLUMNS: usize = 500;

/// A record as a query or a list shows it.
pub(super) type Found = Map<String, Value>;

/// A query to be.
#[derive(Debug)]
pub(super) struct Query<'a> {
    pub(super) module: &'a str,
    pub(super) columns: Vec<&'a str>,
    pub(super) filter: String,
    pub(super) order: &'a str,
    pub(super) rows: usize,
}

impl Client {
    /// The rows of a query; none when nothing is found.
    pub(super) async fn query(&self, query: &Query<'_>) -> Result<Vec<Found>, CallError> {
        if query.columns.len() > MOST_COLUMNS {
            let title = "more fields than one of Zoho's queries takes (500): name fewer";
            return Err(CallError::new(ErrorClass::Configuration, "fields_invalid", title));
        }
        let text = format!(
            "select {} from {} where {} order by {} limit 0, {}",
            query.columns.join(", "),
            query.module,
            query.filter,
            query.order,
            query.rows
        );
        let body = json!({"select_query": text});
        let price = Price::query(query.rows);
        let answer = self.send_body(&Method::POST, "/coql", &body, Effect::Repeatable, price).await?;
        Ok(rows(answer, "data"))
    }
}

/// The objects of an answer's array.
pub(super) fn rows(answer: Value, key: &str) -> Vec<Found> {
    let Value::Object(mut fields) = answer else { return Vec::new() };
    let Some(Value::Array(rows)) = fields.remove(key) else { return Vec::new() };
    rows.into_iter().filter_map(|row| if let Value::Object(row) = row { Some(row) } else { None }).collect()
}

/// `column in ('a', 'b')`; values that can't be quoted are left out.
pub(super) fn among<'a>(column: &str, values: impl IntoIterator<Item = &'a str>) -> String {
    let values: Vec<String> = values.into_iter().filter_map(quoted).collect();
    // A query needs a condition; no record has this id.
    if values.is_empty() { "id = '0'".to_owned() } else { format!("{column} in ({})", values.join(", ")) }
}

/// A value between quotes; `None` for one that could end them.
pub(super) fn quoted(value: &str) -> Option<String> {
    let plain = |c: char| c.is_ascii_alphanumeric() || "+-_:.".contains(c);
    (!value.is_empty() && value.chars().all(plain)).then(|| format!("'{value}'"))
}

/// A time as a condition takes it.
pub(super) fn time(at: Millis) -> String {
    format!("'{}'", iso(at))
}

/// Names of fields go into queries and addresses as they stand.
pub(super) fn checked(fields: &[String]) -> Result<(), CallError> {
    let plain = |c: char| c.is_ascii_alphanumeric() || c == '_';
    let fine = |f: &String| f.starts_with(|c: char| c.is_ascii_alphabetic()) && f.chars().all(plain) && f.len() <= 100;
    if fields.iter().all(fine) {
        return Ok(());
    }
    let title = "a name that no field of Zoho's can have";
    Err(CallError::new(ErrorClass::Configuration, "fields_invalid", title))
}

/// A field's text; empty counts as none.
pub(super) fn text<'a>(record: &'a Found, name: &str) -> Option<&'a str> {
    record.get(name)?.as_str().filter(|text| !text.is_empty())
}

/// A record's id.
pub(super) fn id(record: &Found) -> Option<String> {
    record.get("id").and_then(super::rows::text_of).filter(|id| !id.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn conditions_are_written_as_zoho_wants_them() {
        assert_eq!(among("Ponte_Id", ["per_1", "per_2"]), "Ponte_Id in ('per_1', 'per_2')");
        assert_eq!(among("Ponte_Id", ["x' or id > '0"]), "id = '0'");
        assert_eq!(time(1_795_401_000_999), "'2026-11-23T02:30:00+00:00'");
        assert!(checked(&["Last_Name".into(), "Field1".into()]).is_ok());
        for bad in ["", "a b", "1st", "x'", "A.B"] {
            assert!(checked(&[bad.to_owned()]).is_err(), "{bad}");
        }
    }

    proptest! {
        #[test]
        fn nothing_ends_a_quotation(value in ".{0,40}") {
            if let Some(text) = quoted(&value) {
                let inside = &text[1..text.len() - 1];
                prop_assert_eq!(inside, value);
                prop_assert!(!inside.contains(['\'', '"', '\\']));
            }
        }
    }
}
