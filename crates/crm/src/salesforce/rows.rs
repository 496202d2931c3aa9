//! Collection calls with a result per row: up to 200 rows, answered in the order of the input. Facts: crm-apis section 2, Write.
//! Failure story: a call refused as a whole has done nothing, so it is halved until the bad rows stand alone. A row that a cut-off
//! answer doesn't mention is safe to repeat (updates, upserts) or unknown (creates).

use super::client::{Ask, Client, unreadable};
use super::errors::{self, Effect};
use http::Method;
use ponte_domain::SECOND;
use ponte_domain::error::{CallError, ErrorClass};
use serde_json::{Map, Value, json};
use std::collections::{HashMap, HashSet};

/// Calls that halving one batch may cost; what is left then is given back to be tried later.
const MOST_SPLITS: usize = 16;
/// Parts of one composite call.
const PARTS: usize = 25;

/// Which call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Op {
    /// By record id.
    Update,
    /// By an external id.
    Upsert {
        /// The field's name.
        by: &'static str,
    },
    /// New records.
    Create,
}

impl Op {
    const fn effect(self) -> Effect {
        match self {
            Self::Update | Self::Upsert { .. } => Effect::Repeatable,
            Self::Create => Effect::Creates,
        }
    }
}

/// One row to write.
#[derive(Debug, Clone)]
pub(super) struct Row {
    /// The caller's number of the row; unique within a call.
    pub(super) index: usize,
    pub(super) object: &'static str,
    /// Record id (update), value of the external id (upsert), anything unique (create).
    pub(super) key: String,
    pub(super) fields: Map<String, Value>,
}

/// A row that was written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Done {
    pub(super) crm_id: String,
    pub(super) created: bool,
}

pub(super) type Outcome = Result<Done, CallError>;

/// What became of a row that was written alone.
pub(super) enum Alone {
    Done(Done),
    /// A duplicate rule objects; the records that it found.
    Matched(Vec<String>),
    Failed(CallError),
}

impl Client {
    /// Writes rows, as many calls as it takes. Gives an outcome for every row's index.
    pub(super) async fn write(&self, op: Op, rows: Vec<Row>) -> HashMap<usize, Outcome> {
        let mut done = HashMap::with_capacity(rows.len());
        let mut todo = batches(rows, self.config.rows());
        let mut splits = 0;
        while let Some(mut batch) = todo.pop() {
            let object = batch.first().map_or("", |row| row.object);
            let (method, path) = match op {
                Op::Update => (Method::PATCH, "/composite/sobjects".to_owned()),
                Op::Upsert { by } => (Method::PATCH, format!("/composite/sobjects/{object}/{by}")),
                Op::Create => (Method::POST, "/composite/sobjects".to_owned()),
            };
            let body = body(op, &batch);
            let ask = Ask { method: &method, path: &path, body: Some(&body), effect: op.effect() };
            match self.call(ask).await {
                Ok(answer) => assign(op, &batch, &answer, &mut done),
                Err(error) if batch.len() > 1 && may_be_one_row(&error) => {
                    splits += 1;
                    if splits > MOST_SPLITS {
                        let class = ErrorClass::Retryable { after_ms: Some(SECOND) };
                        let title = "Salesforce refused the batch; its rows are tried again in smaller ones";
                        let later = CallError::new(class, "batch_refused", title);
                        done.extend(batch.into_iter().map(|row| (row.index, Err(later.clone()))));
                        continue;
                    }
                    let rest = batch.split_off(batch.len() / 2);
                    todo.push(rest);
                    todo.push(batch);
                }
                Err(error) => done.extend(batch.into_iter().map(|row| (row.index, Err(error.clone())))),
            }
        }
        done
    }

    /// Upserts rows one by one, 25 in a call: only so a duplicate rule says which records it found. `save`: it is overruled where
    /// it allows that.
    pub(super) async fn upsert_alone(&self, by: &str, rows: &[Row], save: bool) -> HashMap<usize, Alone> {
        let mut done = HashMap::with_capacity(rows.len());
        for some in rows.chunks(PARTS) {
            let parts: Vec<Value> = some.iter().map(|row| self.part(by, row, save)).collect();
            let body = json!({"allOrNone": false, "compositeRequest": parts});
            match self.post("/composite", &body, Effect::Repeatable).await {
                Ok(answer) => {
                    let answers = answer.get("compositeResponse").and_then(Value::as_array);
                    let answers = answers.map(Vec::as_slice).unwrap_or_default();
                    for (at, row) in some.iter().enumerate() {
                        let part = answers.get(at).map_or_else(|| Alone::Failed(unreadable(Effect::Repeatable)), alone);
                        done.insert(row.index, part);
                    }
                }
                Err(error) => done.extend(some.iter().map(|row| (row.index, Alone::Failed(error.clone())))),
            }
        }
        done
    }

    fn part(&self, by: &str, row: &Row, save: bool) -> Value {
        let mut fields = row.fields.clone();
        // The external id stands in the address.
        fields.remove(by);
        let url = format!("/services/data/v{}/sobjects/{}/{by}/{}", self.config.api_version, row.object, row.key);
        let headers = if save { json!({"Sforce-Duplicate-Rule-Header": "allowSave=true"}) } else { json!({}) };
        json!({"method": "PATCH", "url": url, "referenceId": format!("r{}", row.index), "body": fields, "httpHeaders": headers})
    }
}

fn alone(part: &Value) -> Alone {
    let status = part.get("httpStatusCode").and_then(Value::as_u64).and_then(|s| u16::try_from(s).ok()).unwrap_or(500);
    let body = part.get("body").unwrap_or(&Value::Null);
    if (200..300).contains(&status) {
        return match body.get("id").and_then(Value::as_str) {
            Some(id) => {
                let created = body.get("created").and_then(Value::as_bool).unwrap_or(status == 201);
                Alone::Done(Done { crm_id: id.to_owned(), created })
            }
            None => Alone::Failed(unreadable(Effect::Repeatable)),
        };
    }
    let error = errors::of_answer(status, body, Effect::Repeatable);
    match body.as_array().and_then(|errors| errors.first()) {
        Some(first) if error.code == "DUPLICATES_DETECTED" => Alone::Matched(errors::matched_ids(first)),
        _ => Alone::Failed(error),
    }
}

/// True when the error may belong to one row only, so that sending the rows apart makes sense.
fn may_be_one_row(error: &CallError) -> bool {
    matches!(error.class, ErrorClass::Permanent | ErrorClass::Gone | ErrorClass::Conflict { .. })
}

/// Cuts rows into batches of one object in which no key appears twice: Salesforce refuses those.
fn batches(rows: Vec<Row>, most: usize) -> Vec<Vec<Row>> {
    let mut open: Vec<(HashSet<String>, Vec<Row>)> = Vec::new();
    for row in rows {
        // Upper and lower case are one in external ids.
        let key = row.key.to_lowercase();
        let same = |rows: &[Row]| rows.first().is_none_or(|first| first.object == row.object);
        match open.iter_mut().find(|(keys, rows)| rows.len() < most && same(rows) && !keys.contains(&key)) {
            Some((keys, rows)) => {
                keys.insert(key);
                rows.push(row);
            }
            None => open.push((HashSet::from([key]), vec![row])),
        }
    }
    // Taken from the end: the first batch goes first.
    open.into_iter().rev().map(|(_, rows)| rows).collect()
}

fn body(op: Op, rows: &[Row]) -> Value {
    let record = |row: &Row| {
        let mut record = row.fields.clone();
        record.insert("attributes".to_owned(), json!({"type": row.object}));
        match op {
            Op::Update => record.insert("id".to_owned(), json!(row.key)),
            Op::Upsert { by } => record.insert(by.to_owned(), json!(row.key)),
            Op::Create => None,
        };
        Value::Object(record)
    };
    json!({"allOrNone": false, "records": rows.iter().map(record).collect::<Vec<_>>()})
}

/// Results stand in the order of the rows.
fn assign(op: Op, rows: &[Row], answer: &Value, done: &mut HashMap<usize, Outcome>) {
    let results = answer.as_array().filter(|results| results.len() == rows.len());
    for (at, row) in rows.iter().enumerate() {
        let outcome = match results.and_then(|results| results.get(at)) {
            None => Err(unreadable(op.effect())),
            Some(result) if result.get("success").and_then(Value::as_bool) == Some(true) => {
                match result.get("id").and_then(Value::as_str) {
                    Some(id) => {
                        let created = result.get("created").and_then(Value::as_bool).unwrap_or(op == Op::Create);
                        Ok(Done { crm_id: id.to_owned(), created })
                    }
                    None => Err(unreadable(op.effect())),
                }
            }
            Some(result) => Err(errors::of_row(result, op.effect())),
        };
        done.insert(row.index, outcome);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn row(index: usize, object: &'static str, key: &str) -> Row {
        Row { index, object, key: key.into(), fields: Map::new() }
    }

    proptest! {
        #[test]
        fn batches_keep_order_per_key_and_hold_every_row_once(
            keys in proptest::collection::vec((0u8..6, prop::bool::ANY), 0..60), most in 1usize..8,
        ) {
            let object = |lead: bool| if lead { "Lead" } else { "Contact" };
            let rows = keys.iter().enumerate().map(|(n, (key, lead))| row(n, object(*lead), &key.to_string())).collect();
            let mut cut = batches(rows, most);
            let mut order: Vec<(String, &str, usize)> = Vec::new();
            while let Some(batch) = cut.pop() {
                prop_assert!(batch.len() <= most);
                let distinct: HashSet<_> = batch.iter().map(|r| r.key.clone()).collect();
                prop_assert_eq!(distinct.len(), batch.len());
                prop_assert!(batch.iter().all(|r| r.object == batch[0].object));
                order.extend(batch.into_iter().map(|r| (r.key, r.object, r.index)));
            }
            prop_assert_eq!(order.len(), keys.len());
            for (at, a) in order.iter().enumerate() {
                for b in &order[at + 1..] {
                    prop_assert!((a.0 != b.0 || a.1 != b.1) || a.2 < b.2);
                }
            }
        }
    }

    #[test]
    fn an_answer_of_another_length_says_nothing() {
        let rows = [row(0, "Task", "a"), row(1, "Task", "b")];
        let mut done = HashMap::new();
        assign(Op::Create, &rows, &json!([{"id": "1", "success": true}]), &mut done);
        assert_eq!(done[&0].as_ref().unwrap_err().class, ErrorClass::UnknownOutcome);
        assign(Op::Update, &rows, &json!([{"id": "1", "success": true}, {"success": false, "errors": []}]), &mut done);
        assert!(done[&0].is_ok());
        assert!(matches!(done[&1].as_ref().unwrap_err().class, ErrorClass::Retryable { .. }));
    }
}
