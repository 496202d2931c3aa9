//! Rows of the three databases -> JSON, and JSON -> bind parameters. PostgreSQL makes the JSON of rows itself; the others' columns are read
//! by their types. Facts: MySQL's binary protocol (its internals manual, "Binary Protocol Resultset Row").
//! Must not touch: statements.

use serde_json::{Map, Number, Value, json};
use sqlx::mysql::{MySqlArguments, MySqlRow};
use sqlx::postgres::{PgArguments, PgRow};
use sqlx::query::Query;
use sqlx::sqlite::{SqliteArguments, SqliteRow};
use sqlx::{Column, MySql, Postgres, Row, Sqlite, TypeInfo, ValueRef};

/// A row: values by column.
pub(super) type Record = Map<String, Value>;

/// Binds a value as text; the statement casts it to the type that PostgreSQL wants there.
pub(super) fn bind_postgres<'q>(
    query: Query<'q, Postgres, PgArguments>,
    value: &Value,
    kind: &str,
) -> Query<'q, Postgres, PgArguments> {
    let text = match value {
        Value::Null => None,
        Value::String(text) => Some(text.clone()),
        Value::Array(items) if kind.ends_with("[]") => Some(array_literal(items)),
        other => Some(other.to_string()),
    };
    query.bind(text)
}

/// `{"a","b"}`, PostgreSQL's text form of an array.
fn array_literal(items: &[Value]) -> String {
    let item = |item: &Value| match item {
        Value::Null => "NULL".to_owned(),
        Value::String(text) => format!("\"{}\"", text.replace('\\', "\\\\").replace('"', "\\\"")),
        other => format!("\"{}\"", other.to_string().replace('\\', "\\\\").replace('"', "\\\"")),
    };
    format!("{{{}}}", items.iter().map(item).collect::<Vec<_>>().join(","))
}

macro_rules! bind_typed {
    ($query:expr, $value:expr) => {
        match $value {
            Value::Null => $query.bind(None::<String>),
            Value::Bool(yes) => $query.bind(i64::from(*yes)),
            Value::Number(n) => match (n.as_i64(), n.as_f64()) {
                (Some(whole), _) => $query.bind(whole),
                (None, Some(float)) => $query.bind(float),
                (None, None) => $query.bind(n.to_string()),
            },
            Value::String(text) => $query.bind(text.clone()),
            other => $query.bind(other.to_string()),
        }
    };
}

/// Binds a value by its own type.
pub(super) fn bind_mysql<'q>(
    query: Query<'q, MySql, MySqlArguments>,
    value: &Value,
) -> Query<'q, MySql, MySqlArguments> {
    bind_typed!(query, value)
}

/// Binds a value by its own type.
pub(super) fn bind_sqlite<'q>(
    query: Query<'q, Sqlite, SqliteArguments>,
    value: &Value,
) -> Query<'q, Sqlite, SqliteArguments> {
    bind_typed!(query, value)
}

/// What a writing statement gave back; types that ids don't have are left out.
pub(super) fn of_postgres(row: &PgRow) -> Record {
    let value = |at: usize, kind: &str| -> Option<Value> {
        Some(match kind {
            "INT2" => json!(row.try_get::<i16, _>(at).ok()?),
            "INT4" => json!(row.try_get::<i32, _>(at).ok()?),
            "INT8" => json!(row.try_get::<i64, _>(at).ok()?),
            "BOOL" => json!(row.try_get::<bool, _>(at).ok()?),
            "TEXT" | "VARCHAR" | "CHAR" | "NAME" => json!(row.try_get::<String, _>(at).ok()?),
            "UUID" => json!(row.try_get::<sqlx::types::Uuid, _>(at).ok()?.to_string()),
            _ => return None,
        })
    };
    let column = |(at, column): (usize, &sqlx::postgres::PgColumn)| {
        (column.name().to_owned(), value(at, column.type_info().name()).unwrap_or_default())
    };
    row.columns().iter().enumerate().map(column).collect()
}

/// A row of SQLite: every value has a type of its own.
pub(super) fn of_sqlite(row: &SqliteRow) -> Record {
    let value = |at: usize| -> Option<Value> {
        let raw = row.try_get_raw(at).ok()?;
        if raw.is_null() {
            return None;
        }
        let kind = raw.type_info().name().to_owned();
        drop(raw);
        Some(match kind.as_str() {
            "INTEGER" | "BOOLEAN" => json!(row.try_get_unchecked::<i64, _>(at).ok()?),
            "REAL" => json!(row.try_get_unchecked::<f64, _>(at).ok()?),
            "BLOB" => bytes(row.try_get_unchecked::<&[u8], _>(at).ok()?),
            _ => json!(row.try_get_unchecked::<String, _>(at).ok()?),
        })
    };
    let column =
        |(at, column): (usize, &sqlx::sqlite::SqliteColumn)| (column.name().to_owned(), value(at).unwrap_or_default());
    row.columns().iter().enumerate().map(column).collect()
}

/// A row of MySQL or MariaDB.
pub(super) fn of_mysql(row: &MySqlRow) -> Record {
    let value = |at: usize, kind: &str| -> Option<Value> {
        if row.try_get_raw(at).ok()?.is_null() {
            return None;
        }
        let all = || row.try_get_unchecked::<&[u8], _>(at).ok();
        Some(match kind {
            "BOOLEAN" | "TINYINT" | "SMALLINT" | "INT" | "MEDIUMINT" | "BIGINT" => {
                json!(row.try_get_unchecked::<i64, _>(at).ok()?)
            }
            "FLOAT" => json!(row.try_get_unchecked::<f32, _>(at).ok()?),
            "DOUBLE" => json!(row.try_get_unchecked::<f64, _>(at).ok()?),
            "DATETIME" | "TIMESTAMP" | "DATE" => json!(moment(all()?)?),
            "TIME" => json!(time_of_day(all()?)?),
            "BIT" => json!(all()?.iter().fold(0_u64, |n, byte| (n << 8) | u64::from(*byte))),
            "DECIMAL" => decimal(std::str::from_utf8(all()?).ok()?),
            "JSON" => serde_json::from_slice(all()?).ok()?,
            unsigned if unsigned.ends_with("UNSIGNED") || unsigned == "YEAR" => {
                json!(row.try_get_unchecked::<u64, _>(at).ok()?)
            }
            _ => bytes(all()?),
        })
    };
    let column = |(at, column): (usize, &sqlx::mysql::MySqlColumn)| {
        (column.name().to_owned(), value(at, column.type_info().name()).unwrap_or_default())
    };
    row.columns().iter().enumerate().map(column).collect()
}

/// Text where it is text, else hexadecimal digits.
fn bytes(raw: &[u8]) -> Value {
    std::str::from_utf8(raw).map_or_else(|_| json!(hex::encode(raw)), |text| json!(text))
}

/// A decimal is a number where that loses nothing, else text.
fn decimal(text: &str) -> Value {
    let digits = text.bytes().filter(u8::is_ascii_digit).count();
    let number = if text.contains('.') {
        text.parse().ok().filter(|_| digits <= 15).and_then(Number::from_f64)
    } else {
        text.parse::<i64>().ok().map(Number::from)
    };
    number.map_or_else(|| json!(text), Value::Number)
}

/// `2026-11-23 02:30:00.000000`, or the day alone. No bytes at all stand for `0000-00-00`, which is no day.
fn moment(raw: &[u8]) -> Option<String> {
    let [low, high, month, day, rest @ ..] = after_length(raw)? else { return None };
    let date = format!("{:04}-{month:02}-{day:02}", u16::from_le_bytes([*low, *high]));
    let [hour, minute, second, rest @ ..] = rest else { return Some(date) };
    let micros = <[u8; 4]>::try_from(rest).map_or(0, u32::from_le_bytes);
    Some(format!("{date} {hour:02}:{minute:02}:{second:02}.{micros:06}"))
}

/// `-26:30:00`: days count as hours.
fn time_of_day(raw: &[u8]) -> Option<String> {
    let [negative, d0, d1, d2, d3, hour, minute, second, ..] = after_length(raw)? else {
        return Some("00:00:00".to_owned());
    };
    let hours = u64::from(u32::from_le_bytes([*d0, *d1, *d2, *d3])) * 24 + u64::from(*hour);
    Some(format!("{}{hours:02}:{minute:02}:{second:02}", if *negative == 1 { "-" } else { "" }))
}

/// Temporal values begin with their length; the driver gives it along or not, by version.
fn after_length(raw: &[u8]) -> Option<&[u8]> {
    match raw.split_first() {
        Some((length, rest)) if usize::from(*length) == rest.len() => Some(rest),
        Some(_) => Some(raw),
        None => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn arrays_are_written_so_that_no_value_ends_its_element() {
        assert_eq!(array_literal(&[json!("a\"b"), json!(r"c\"), Value::Null, json!(5)]), r#"{"a\"b","c\\",NULL,"5"}"#);
    }

    #[test]
    fn mysqls_binary_times_are_read() {
        assert_eq!(moment(&[7, 0xEA, 7, 11, 23, 2, 30, 5]).as_deref(), Some("2026-11-23 02:30:05.000000"));
        assert_eq!(moment(&[4, 0xEA, 7, 11, 23]).as_deref(), Some("2026-11-23"));
        assert_eq!(
            moment(&[11, 0xEA, 7, 11, 23, 2, 30, 5, 64, 226, 1, 0]).as_deref(),
            Some("2026-11-23 02:30:05.123456")
        );
        assert_eq!(moment(&[0]), None);
        assert_eq!(time_of_day(&[8, 1, 1, 0, 0, 0, 2, 30, 0]).as_deref(), Some("-26:30:00"));
    }

    #[test]
    fn a_decimal_loses_no_digit() {
        assert_eq!(decimal("12.50"), json!(12.5));
        assert_eq!(decimal("12345678901234567.89"), json!("12345678901234567.89"));
        assert_eq!(decimal("9007199254740993"), json!(9_007_199_254_740_993_i64));
    }
}
