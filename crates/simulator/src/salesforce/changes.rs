//! Change data capture: which records changed, in order, and the bytes of the events that tell it (Avro, by the Apache Avro
//! specification; headers as the Change Data Capture guide lists them).
//! May touch: its own log. Must not touch: records, sockets.
//! An event tells the header alone; all fields of the record are sent empty, and the bitmaps of changed fields, too.

use super::ids::RecordId;
use super::schema::SObject;
use super::table::Row;
use serde_json::{Value, json};
use std::collections::VecDeque;

/// How long events are kept.
const KEPT_MS: i64 = 72 * 3_600_000;
/// Events kept at most: none of our runs comes near what an org would keep.
const MOST: usize = 500_000;

/// A change of one record.
#[derive(Debug, Clone)]
pub(super) struct Event {
    pub(super) object: String,
    pub(super) kind: Kind,
    pub(super) id: RecordId,
    pub(super) at: i64,
}

/// What happened; the position is that of the schema's symbols.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Create,
    Update,
    Delete,
    Undelete,
}

const SYMBOLS: [&str; 9] = [
    "CREATE",
    "UPDATE",
    "DELETE",
    "UNDELETE",
    "GAP_CREATE",
    "GAP_UPDATE",
    "GAP_DELETE",
    "GAP_UNDELETE",
    "GAP_OVERFLOW",
];

/// All changes that are kept, oldest first.
#[derive(Debug, Default)]
pub(super) struct Log {
    /// The number of the oldest.
    first: u64,
    events: VecDeque<Event>,
}

impl Log {
    /// Takes in what a record was and is.
    pub(super) fn add(&mut self, object: &str, id: RecordId, before: Option<&Row>, after: Option<&Row>) {
        let Some(after) = after else { return };
        let was_gone = before.is_some_and(|row| row.deleted_at.is_some());
        let kind = match (before, after.deleted_at) {
            (None, _) => Kind::Create,
            (Some(_), Some(_)) if was_gone => return,
            (Some(_), Some(_)) => Kind::Delete,
            (Some(_), None) if was_gone => Kind::Undelete,
            (Some(_), None) => Kind::Update,
        };
        self.events.push_back(Event { object: object.to_owned(), kind, id, at: after.modified_at });
        let old = |event: &Event| event.at + KEPT_MS < after.modified_at;
        while self.events.len() > MOST || self.events.front().is_some_and(old) {
            self.events.pop_front();
            self.first += 1;
        }
    }

    /// The number that the next event will have.
    pub(super) fn end(&self) -> u64 {
        self.first + self.events.len() as u64
    }

    pub(super) fn first(&self) -> u64 {
        self.first
    }

    /// Forgets what came since: it was undone.
    pub(super) fn cut(&mut self, end: u64) {
        self.events.truncate(usize::try_from(end.saturating_sub(self.first)).unwrap_or(usize::MAX));
    }

    /// Events from a number on, with their numbers.
    pub(super) fn from(&self, number: u64) -> impl Iterator<Item = (u64, &Event)> {
        let skip = usize::try_from(number.saturating_sub(self.first)).unwrap_or(usize::MAX);
        (self.first..).zip(&self.events).skip(skip)
    }
}

/// The schema of an object's events when it had so many fields.
pub(super) fn schema(object: &SObject, count: usize) -> Value {
    let list = || json!({"type": "array", "items": "string"});
    let mut fields =
        vec![json!({"name": "ChangeEventHeader", "type": {"type": "record", "name": "ChangeEventHeader", "fields": [
        {"name": "entityName", "type": "string"}, {"name": "recordIds", "type": list()},
        {"name": "changeType", "type": {"type": "enum", "name": "ChangeType", "symbols": SYMBOLS}},
        {"name": "changeOrigin", "type": "string"}, {"name": "transactionKey", "type": "string"},
        {"name": "sequenceNumber", "type": "int"}, {"name": "commitTimestamp", "type": "long"},
        {"name": "commitNumber", "type": "long"}, {"name": "commitUser", "type": "string"},
        {"name": "nulledFields", "type": list()}, {"name": "diffFields", "type": list()},
        {"name": "changedFields", "type": list()}]}})];
    let told = object.fields().take(count).filter(|(_, field)| field.name != "Id");
    fields.extend(told.map(|(_, field)| json!({"name": field.name, "type": ["null", "string"], "default": null})));
    let name = event_name(&object.name);
    json!({"type": "record", "name": name, "namespace": "com.sforce.eventbus", "fields": fields})
}

/// `ContactChangeEvent`, `My_Object__ChangeEvent`.
pub(super) fn event_name(object: &str) -> String {
    match object.strip_suffix("__c") {
        Some(custom) => format!("{custom}__ChangeEvent"),
        None => format!("{object}ChangeEvent"),
    }
}

/// The bytes of an event by [`schema`].
pub(super) fn payload(event: &Event, number: u64, fields: usize, user: &str) -> Vec<u8> {
    let mut out = Vec::new();
    text(&mut out, &event.object);
    long(&mut out, 1);
    text(&mut out, &event.id.to_string());
    long(&mut out, 0);
    long(&mut out, event.kind as i64);
    text(&mut out, "com/salesforce/api/rest/66.0");
    text(&mut out, &format!("{number:08x}"));
    long(&mut out, 1);
    long(&mut out, event.at);
    long(&mut out, i64::try_from(number).unwrap_or(i64::MAX));
    text(&mut out, user);
    // Three empty lists, and every field left out.
    out.resize(out.len() + 3 + fields.saturating_sub(1), 0);
    out
}

fn long(out: &mut Vec<u8>, number: i64) {
    let mut rest = (number << 1 ^ number >> 63).cast_unsigned();
    while rest > 0x7f {
        out.push((rest & 0x7f) as u8 | 0x80);
        rest >>= 7;
    }
    out.push(rest as u8);
}

fn text(out: &mut Vec<u8>, text: &str) {
    long(out, i64::try_from(text.len()).unwrap_or(0));
    out.extend(text.as_bytes());
}

#[cfg(test)]
mod tests {
    use super::long;

    #[test]
    fn numbers_are_zigzag_as_in_the_specification() {
        let bytes = |n: i64| {
            let mut out = Vec::new();
            long(&mut out, n);
            out
        };
        assert_eq!(
            [bytes(0), bytes(-1), bytes(1), bytes(-64), bytes(64)],
            [vec![0x00], vec![0x01], vec![0x02], vec![0x7f], vec![0x80, 0x01]]
        );
    }
}
