//! Reads the header of a change event: Avro, by the schema that the org gives. Every change event begins with its header, so the rest
//! of the payload isn't read. Format: Apache Avro specification, "Binary encoding".
//! Must not touch: anything but bytes. What can't be read is `None`, never a guess.

use bytes::{Buf as _, Bytes};
use serde_json::{Map, Value, json};

/// The name of the header, as a field and as a type.
const HEADER: &str = "ChangeEventHeader";
/// Items of one block of an array, at most: a header lists a few hundred records.
const MOST_ITEMS: u64 = 100_000;
/// Types within types.
const DEEPEST: usize = 16;

/// What happened to which records.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Change {
    /// `CREATE`, `UPDATE`, `DELETE`, `UNDELETE`, the same with `GAP_` before, `GAP_OVERFLOW`.
    pub(super) kind: String,
    /// Record ids.
    pub(super) ids: Vec<String>,
}

/// Reads the header of an event.
pub(super) fn change(schema: &Value, payload: &Bytes) -> Option<Change> {
    let first = schema.get("fields")?.as_array()?.first()?;
    if first.get("name").and_then(Value::as_str) != Some(HEADER) {
        return None;
    }
    let header = read(first.get("type")?, &mut payload.clone(), 0)?;
    let text = |value: &Value| value.as_str().map(str::to_owned);
    Some(Change {
        kind: text(header.get("changeType")?)?,
        ids: header.get("recordIds")?.as_array()?.iter().filter_map(text).collect(),
    })
}

fn read(schema: &Value, rest: &mut Bytes, depth: usize) -> Option<Value> {
    if depth > DEEPEST {
        return None;
    }
    match schema {
        Value::String(kind) => primitive(kind, rest),
        // One of several types: its number comes first.
        Value::Array(several) => read(several.get(usize::try_from(long(rest)?).ok()?)?, rest, depth + 1),
        Value::Object(complex) => match complex.get("type")? {
            Value::String(kind) if kind == "record" => {
                let mut record = Map::new();
                for field in complex.get("fields")?.as_array()? {
                    let value = read(field.get("type")?, rest, depth + 1)?;
                    record.insert(field.get("name")?.as_str()?.to_owned(), value);
                }
                Some(Value::Object(record))
            }
            Value::String(kind) if kind == "enum" => {
                complex.get("symbols")?.as_array()?.get(usize::try_from(long(rest)?).ok()?).cloned()
            }
            Value::String(kind) if kind == "array" => items(complex.get("items")?, rest, depth),
            // A primitive with attributes.
            inner => read(inner, rest, depth + 1),
        },
        _ => None,
    }
}

fn items(schema: &Value, rest: &mut Bytes, depth: usize) -> Option<Value> {
    let mut found = Vec::new();
    loop {
        let count = long(rest)?;
        if count == 0 {
            return Some(Value::Array(found));
        }
        if count < 0 {
            // The bytes of the block follow its count.
            long(rest)?;
        }
        if count.unsigned_abs() > MOST_ITEMS {
            return None;
        }
        for _ in 0..count.unsigned_abs() {
            // Items of no bytes would never end.
            if rest.is_empty() {
                return None;
            }
            found.push(read(schema, rest, depth + 1)?);
        }
    }
}

fn primitive(kind: &str, rest: &mut Bytes) -> Option<Value> {
    match kind {
        "null" => Some(Value::Null),
        "int" | "long" => long(rest).map(|number| json!(number)),
        "string" => {
            let length = usize::try_from(long(rest)?).ok().filter(|length| *length <= rest.len())?;
            String::from_utf8(rest.split_to(length).to_vec()).ok().map(Value::String)
        }
        "bytes" => {
            let length = usize::try_from(long(rest)?).ok().filter(|length| *length <= rest.len())?;
            rest.advance(length);
            Some(Value::Null)
        }
        "boolean" if !rest.is_empty() => Some(Value::Bool(rest.get_u8() == 1)),
        "float" if rest.len() >= 4 => Some(json!(rest.get_f32_le())),
        "double" if rest.len() >= 8 => Some(json!(rest.get_f64_le())),
        _ => None,
    }
}

/// A zigzag number.
fn long(rest: &mut Bytes) -> Option<i64> {
    let mut number = 0_u64;
    for shift in (0..64).step_by(7) {
        if rest.is_empty() {
            return None;
        }
        let byte = rest.get_u8();
        number |= u64::from(byte & 0x7f).checked_shl(shift)?;
        if byte & 0x80 == 0 {
            return Some((number >> 1).cast_signed() ^ -(number & 1).cast_signed());
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn schema() -> Value {
        json!({"type": "record", "name": "ContactChangeEvent", "fields": [
            {"name": "ChangeEventHeader", "type": {"type": "record", "name": "ChangeEventHeader", "fields": [
                {"name": "entityName", "type": "string"},
                {"name": "recordIds", "type": {"type": "array", "items": "string"}},
                {"name": "changeType", "type": {"type": "enum", "name": "ChangeType",
                    "symbols": ["CREATE", "UPDATE", "DELETE", "UNDELETE", "GAP_CREATE"]}},
                {"name": "changeOrigin", "type": "string"},
                {"name": "commitTimestamp", "type": {"type": "long", "doc": "x"}},
                {"name": "nulledFields", "type": {"type": "array", "items": ["null", "string"]}}]}},
            {"name": "Name", "type": ["null", {"type": "record", "name": "PersonName", "fields": []}]}]})
    }

    #[test]
    fn a_header_is_read_and_the_rest_is_left() {
        // Worked out by hand: "Co", two ids "a1" and "b2" in a block with its size, UPDATE, "", 64, no nulled fields, then anything.
        let payload = b"\x04Co\x03\x0c\x04a1\x04b2\x00\x02\x00\x80\x01\x00anything";
        let read = change(&schema(), &Bytes::from_static(payload)).unwrap();
        assert_eq!(read, Change { kind: "UPDATE".into(), ids: vec!["a1".into(), "b2".into()] });
        assert_eq!(change(&schema(), &Bytes::from_static(b"\x04Co\x03")), None, "cut off");
        assert_eq!(change(&json!({"fields": [{"name": "Other", "type": "string"}]}), &Bytes::new()), None);
    }

    proptest! {
        #[test]
        fn no_bytes_make_it_panic(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
            let _ = change(&schema(), &Bytes::from(bytes));
        }
    }
}
