//! Values of fields: taken from JSON and CSV with the field's own rules, and written again.
//! May touch: nothing. Must not touch: records.
//! Failure story: a value that does not fit is refused with the code the REST API gives; nothing is guessed.

use super::error::Refusal;
use super::ids::RecordId;
use super::schema::{Field, Kind};
use jiff::Timestamp;
use jiff::civil::Date;
use serde_json::{Value, json};
use std::cmp::Ordering;

/// The largest number of a field: eighteen digits.
const MAX_NUMBER: f64 = 1e18;

/// One value. An empty field has none.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Cell {
    Text(Box<str>),
    Number(f64),
    Bool(bool),
    Date(Date),
    /// Epoch milliseconds, on the second.
    Moment(i64),
    Id(RecordId),
}

impl Cell {
    pub(super) fn text(text: &str) -> Self {
        Self::Text(text.into())
    }

    /// As the REST API writes it.
    pub(super) fn json(&self, kind: Kind) -> Value {
        match self {
            Self::Text(text) => json!(text),
            Self::Number(number) if kind == Kind::Int => json!(*number as i64),
            Self::Number(number) => json!(number),
            Self::Bool(truth) => json!(truth),
            Self::Date(date) => json!(date.to_string()),
            Self::Moment(ms) => json!(moment(*ms)),
            Self::Id(id) => json!(id.to_string()),
        }
    }

    /// As Bulk API 2.0 writes it.
    pub(super) fn csv(&self, kind: Kind) -> String {
        match self {
            Self::Moment(ms) => moment(*ms).replace("+0000", "Z"),
            other => match other.json(kind) {
                Value::String(text) => text,
                other => other.to_string(),
            },
        }
    }

    /// The order of a sort: texts without case, as the query language compares.
    pub(super) fn order(&self, other: &Self) -> Ordering {
        match (self, other) {
            (Self::Text(a), Self::Text(b)) => fold_order(a, b),
            (Self::Number(a), Self::Number(b)) => a.total_cmp(b),
            (Self::Bool(a), Self::Bool(b)) => a.cmp(b),
            (Self::Date(a), Self::Date(b)) => a.cmp(b),
            (Self::Moment(a), Self::Moment(b)) => a.cmp(b),
            (Self::Id(a), Self::Id(b)) => a.cmp(b),
            _ => Ordering::Equal,
        }
    }
}

fn fold_order(a: &str, b: &str) -> Ordering {
    if a.is_ascii() && b.is_ascii() {
        a.bytes().map(|b| b.to_ascii_lowercase()).cmp(b.bytes().map(|b| b.to_ascii_lowercase()))
    } else {
        a.to_lowercase().cmp(&b.to_lowercase())
    }
}

/// `2026-11-23T02:30:00.000+0000`.
pub(super) fn moment(ms: i64) -> String {
    let text = Timestamp::from_millisecond(ms).unwrap_or(Timestamp::UNIX_EPOCH).to_string();
    let plain = text.trim_end_matches('Z');
    let seconds = plain.split_once('.').map_or(plain, |(seconds, _)| seconds);
    format!("{seconds}.{:03}+0000", ms.rem_euclid(1_000))
}

/// Epoch milliseconds, cut to the second, of an ISO 8601 time with an offset.
pub(super) fn parse_moment(text: &str) -> Option<i64> {
    let has_time = text.contains('T');
    let ms = text.parse::<Timestamp>().ok().filter(|_| has_time)?.as_millisecond();
    Some(ms - ms.rem_euclid(1_000))
}

/// A date without a time.
pub(super) fn parse_date(text: &str) -> Option<Date> {
    if text.len() == 10 { text.parse().ok() } else { None }
}

impl Field {
    /// The value that JSON gives this field; `None` empties it. Reference fields are only read, not looked up.
    pub(super) fn read(&self, value: &Value) -> Result<Option<Cell>, Refusal> {
        let what = match value {
            Value::Null => return Ok(None),
            Value::String(text) => return self.read_text(text),
            Value::Bool(truth) if self.kind == Kind::Boolean => return Ok(Some(Cell::Bool(*truth))),
            Value::Number(number) if self.kind.is_number() => {
                return self.number(number.as_f64().unwrap_or(f64::MAX), &number.to_string());
            }
            Value::Bool(truth) => format!("VALUE_{} value {truth}", truth.to_string().to_uppercase()),
            Value::Number(number) if number.is_f64() => format!("VALUE_NUMBER_FLOAT value {number}"),
            Value::Number(number) => format!("VALUE_NUMBER_INT value {number}"),
            Value::Array(_) => "START_ARRAY value [".to_owned(),
            Value::Object(_) => "START_OBJECT value {".to_owned(),
        };
        Err(self.mistyped(&what))
    }

    fn mistyped(&self, what: &str) -> Refusal {
        let wanted = match self.kind {
            Kind::Boolean => "boolean",
            Kind::Int => "int",
            Kind::Double | Kind::Currency | Kind::Percent => "double",
            Kind::Date => "date",
            Kind::DateTime => "datetime",
            Kind::Id | Kind::Reference => "reference",
            _ => "string",
        };
        Refusal::parser(format!(
            "Cannot deserialize instance of {wanted} from {what} or request may be missing a required field at [line:1, column:1]"
        ))
    }

    /// The value that a text gives this field: what CSV always gives, and JSON for most types.
    pub(super) fn read_text(&self, text: &str) -> Result<Option<Cell>, Refusal> {
        // Blanks around a text are cut, which whoever compares what was written with what is read must know.
        let trimmed = text.trim();
        let mistyped = || self.mistyped(&format!("VALUE_STRING value {text}"));
        if trimmed.is_empty() {
            return if self.kind == Kind::Boolean { Err(mistyped()) } else { Ok(None) };
        }
        match self.kind {
            Kind::Boolean => match trimmed.to_lowercase().as_str() {
                "true" | "1" => Ok(Some(Cell::Bool(true))),
                "false" | "0" => Ok(Some(Cell::Bool(false))),
                _ => Err(mistyped()),
            },
            Kind::Int | Kind::Double | Kind::Currency | Kind::Percent => {
                self.number(trimmed.parse().map_err(|_| mistyped())?, trimmed)
            }
            Kind::Date => parse_date(trimmed).map(|date| Some(Cell::Date(date))).ok_or_else(mistyped),
            Kind::DateTime => parse_moment(trimmed).map(|ms| Some(Cell::Moment(ms))).ok_or_else(mistyped),
            Kind::Id | Kind::Reference => match RecordId::parse(trimmed) {
                Some(id) => Ok(Some(Cell::Id(id))),
                None => {
                    let message = format!("{}: id value of incorrect type: {trimmed}", self.label);
                    Err(Refusal::field("MALFORMED_ID", &self.name, message))
                }
            },
            _ => self.characters(trimmed),
        }
    }

    fn number(&self, number: f64, shown: &str) -> Result<Option<Cell>, Refusal> {
        let whole = self.kind != Kind::Int || (number.fract() == 0.0 && number.abs() <= f64::from(i32::MAX));
        if !number.is_finite() || number.abs() >= MAX_NUMBER || !whole {
            let message = format!("{}: value outside of valid range on numeric field: {shown}", self.label);
            return Err(Refusal::field("NUMBER_OUTSIDE_VALID_RANGE", &self.name, message));
        }
        let unit = 10_f64.powi(i32::try_from(self.scale).unwrap_or(0));
        // Digits beyond the scale are rounded, not refused.
        Ok(Some(Cell::Number(if self.kind == Kind::Int { number } else { (number * unit).round() / unit })))
    }

    fn characters(&self, text: &str) -> Result<Option<Cell>, Refusal> {
        if self.kind == Kind::Multipicklist {
            return self.chosen(text);
        }
        if text.chars().count() > self.length {
            let shown: String = text.chars().take(255).collect();
            let message = format!("{}: data value too large: {shown} (max length={})", self.label, self.length);
            return Err(Refusal::field("STRING_TOO_LONG", &self.name, message));
        }
        match self.kind {
            Kind::Email if !plausible_email(text) => {
                let message = format!("{}: invalid email address: {text}", self.label);
                Err(Refusal::field("INVALID_EMAIL_ADDRESS", &self.name, message))
            }
            Kind::Picklist if self.restricted && !self.choices.iter().any(|choice| choice == text) => {
                Err(self.bad_choice(text))
            }
            _ => Ok(Some(Cell::text(text))),
        }
    }

    /// A whole choice of several values replaces the old one. It is kept in the order of the definition.
    fn chosen(&self, text: &str) -> Result<Option<Cell>, Refusal> {
        let given: Vec<&str> = text.split(';').map(str::trim).filter(|value| !value.is_empty()).collect();
        if let Some(unknown) = given.iter().find(|value| self.restricted && !self.choices.iter().any(|c| c == *value)) {
            return Err(self.bad_choice(unknown));
        }
        let mut ordered: Vec<&str> = self.choices.iter().map(String::as_str).filter(|c| given.contains(c)).collect();
        for value in given {
            if !ordered.contains(&value) {
                ordered.push(value);
            }
        }
        Ok(if ordered.is_empty() { None } else { Some(Cell::text(&ordered.join(";"))) })
    }

    fn bad_choice(&self, value: &str) -> Refusal {
        let message = format!("{}: bad value for restricted picklist field: {value}", self.label);
        Refusal::field("INVALID_OR_NULL_FOR_RESTRICTED_PICKLIST", &self.name, message)
    }
}

fn plausible_email(text: &str) -> bool {
    let Some((user, domain)) = text.rsplit_once('@') else { return false };
    let dots = |part: &str| part.starts_with('.') || part.ends_with('.') || part.contains("..");
    !user.is_empty()
        && domain.contains('.')
        && !dots(user)
        && !dots(domain)
        && !text.contains(|c: char| c.is_whitespace() || matches!(c, ',' | ';' | '<' | '>' | '(' | ')'))
        && domain.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '.' | '-'))
        && text.matches('@').count() == 1
}

#[cfg(test)]
mod tests {
    use super::{Cell, moment, parse_moment};
    use crate::salesforce::schema::{Field, Kind};
    use serde_json::{Value, json};

    #[test]
    fn times_have_second_precision_and_salesforces_offset() {
        let ms = parse_moment("2026-11-23T03:30:00.987+01:00").unwrap();
        assert_eq!(moment(ms), "2026-11-23T02:30:00.000+0000");
        assert_eq!(parse_moment("2026-11-23T02:30:00.000+0000"), Some(ms), "its own writing is read again");
        assert_eq!(parse_moment("2026-11-23T02:30:00"), None);
        assert_eq!(parse_moment("2026-11-23"), None);
    }

    #[test]
    fn values_are_refused_with_the_code_of_their_fault() {
        let code = |field: &Field, value: Value| field.read(&value).err().map_or("", |refusal| refusal.code);
        let mut text = Field::new("A__c", "A", Kind::Text, 3);
        assert_eq!(code(&text, json!("abcd")), "STRING_TOO_LONG");
        assert_eq!(code(&text, json!(5)), "JSON_PARSER_ERROR");
        assert_eq!(text.read(&json!("  ab ")).unwrap(), Some(Cell::text("ab")));
        assert_eq!(text.read(&json!("")).unwrap(), None);
        text.kind = Kind::Email;
        text.length = 80;
        for bad in ["ana", "ana@", "ana@x", "a b@x.org", "a..b@x.org", "a@x..org", "a@b@x.org"] {
            assert_eq!(code(&text, json!(bad)), "INVALID_EMAIL_ADDRESS", "{bad}");
        }
        assert_eq!(code(&text, json!("ana.maria+x@mail.example.org")), "");
        let mut number = Field::new("N__c", "N", Kind::Double, 0);
        number.scale = 2;
        assert_eq!(number.read(&json!(1.005_9)).unwrap(), Some(Cell::Number(1.01)));
        assert_eq!(code(&number, json!(1e18)), "NUMBER_OUTSIDE_VALID_RANGE");
        assert_eq!(code(&number, json!("one")), "JSON_PARSER_ERROR");
        let mut tags = Field::new("T__c", "T", Kind::Multipicklist, 255);
        tags.restricted = true;
        tags.choices = vec!["a".into(), "b".into(), "c".into()];
        assert_eq!(tags.read(&json!("c; a;c")).unwrap(), Some(Cell::text("a;c")), "in the order of the definition");
        assert_eq!(code(&tags, json!("a;x")), "INVALID_OR_NULL_FOR_RESTRICTED_PICKLIST");
        assert_eq!(code(&Field::new("D__c", "D", Kind::Date, 0), json!("2026-02-30")), "JSON_PARSER_ERROR");
    }
}
