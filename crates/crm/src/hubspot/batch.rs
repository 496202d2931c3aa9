//! Batch calls with a result per row. HubSpot answers 200 or 207 with results and errors mixed, or refuses a whole batch for
//! one bad row; here every row gets its own result, in any case.
//! Failure story: a batch refused as a whole has done nothing, so it is halved until the bad rows stand alone. Rows that an
//! answer doesn't mention are safe to repeat (updates, upserts) or unknown (creates).

use super::client::Client;
use super::errors::{self, Effect};
use ponte_domain::SECOND;
use ponte_domain::error::{CallError, ErrorClass};
use serde::Deserialize;
use serde_json::{Map, Value, json};
use std::collections::{HashMap, HashSet};

/// Calls that halving one batch may cost; what is left then is given back to be tried later.
const MOST_SPLITS: usize = 32;

/// A record as HubSpot shows it.
#[derive(Debug, Clone, Deserialize)]
pub(super) struct Record {
    pub(super) id: String,
    #[serde(default)]
    pub(super) properties: HashMap<String, Option<String>>,
    /// When it last changed, ISO 8601.
    #[serde(default, rename = "updatedAt")]
    pub(super) updated: Option<String>,
    #[serde(default)]
    new: Option<bool>,
    #[serde(default, rename = "objectWriteTraceId")]
    trace: Option<String>,
}

impl Record {
    /// A property's value; empty counts as none.
    pub(super) fn value(&self, name: &str) -> Option<&str> {
        self.properties.get(name)?.as_deref().filter(|v| !v.is_empty())
    }
}

#[derive(Debug, Deserialize)]
struct BatchAnswer {
    #[serde(default)]
    results: Vec<Record>,
    #[serde(default)]
    errors: Vec<Value>,
}

/// Which batch call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Op {
    /// By record id.
    Update,
    /// By a unique property.
    Upsert {
        /// Its name.
        by: &'static str,
    },
    /// New records. `key`: a property that tells the rows of the answer apart.
    Create {
        /// Its name.
        key: &'static str,
    },
}

impl Op {
    const fn word(self) -> &'static str {
        match self {
            Self::Update => "update",
            Self::Upsert { .. } => "upsert",
            Self::Create { .. } => "create",
        }
    }

    const fn effect(self) -> Effect {
        match self {
            Self::Update | Self::Upsert { .. } => Effect::Repeatable,
            Self::Create { .. } => Effect::Creates,
        }
    }
}

/// One row to write.
#[derive(Debug, Clone)]
pub(super) struct Row {
    /// The caller's number of the row; unique within a batch.
    pub(super) index: usize,
    /// Record id (update), value of the unique property (upsert) or of the key property (create).
    pub(super) key: String,
    pub(super) properties: Map<String, Value>,
    /// Record ids to associate (create only).
    pub(super) associations: Vec<Value>,
}

/// A row that was written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Done {
    pub(super) crm_id: String,
    pub(super) created: bool,
}

pub(super) type Outcome = Result<Done, CallError>;

impl Client {
    /// Writes rows, as many calls as it takes. Gives an outcome for every row's index.
    pub(super) async fn write(&self, object: &str, op: Op, rows: Vec<Row>) -> HashMap<usize, Outcome> {
        let path = self.objects(&format!("{object}/batch/{}", op.word()));
        let mut done = HashMap::with_capacity(rows.len());
        let mut todo = batches(rows, self.config.rows());
        let mut splits = 0;
        while let Some(mut batch) = todo.pop() {
            match self.post(&path, &body(op, &batch), op.effect()).await {
                Ok(answer) => assign(op, &batch, answer, &mut done),
                Err(error) if batch.len() > 1 && errors::may_be_one_row(&error) => {
                    splits += 1;
                    if splits > MOST_SPLITS {
                        let later = CallError::new(
                            ErrorClass::Retryable { after_ms: Some(SECOND) },
                            "batch_refused",
                            "HubSpot refused the batch; its rows are tried again in smaller ones",
                        );
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

    /// Reads records by a unique property, or by record id (`by` is `None`). What isn't there is simply missing.
    pub(super) async fn read_many(
        &self,
        object: &str,
        by: Option<&str>,
        keys: &[String],
        properties: &[&str],
    ) -> Result<Vec<Record>, CallError> {
        let path = self.objects(&format!("{object}/batch/read"));
        let mut found = Vec::with_capacity(keys.len());
        for keys in keys.chunks(self.config.rows()) {
            let inputs: Vec<Value> = keys.iter().map(|key| json!({"id": key})).collect();
            let mut body = json!({"inputs": inputs, "properties": properties, "propertiesWithHistory": []});
            if let (Some(by), Some(fields)) = (by, body.as_object_mut()) {
                fields.insert("idProperty".to_owned(), json!(by));
            }
            match self.post(&path, &body, Effect::Repeatable).await {
                Ok(answer) => found.extend(records(answer)?),
                // When none of the keys is there, the answer may be a 404 instead of an empty 207.
                Err(error) if error.class == ErrorClass::Gone => {}
                Err(error) => return Err(error),
            }
        }
        Ok(found)
    }
}
pub(super) fn records(answer: Value) -> Result<Vec<Record>, CallError> {
    serde_json::from_value::<BatchAnswer>(answer).map(|a| a.results).map_err(|_| unreadable(Effect::Repeatable))
}

fn unreadable(effect: Effect) -> CallError {
    let class = match effect {
        Effect::Repeatable => ErrorClass::Retryable { after_ms: None },
        Effect::Creates => ErrorClass::UnknownOutcome,
    };
    CallError::new(class, "answer_unreadable", "HubSpot's answer doesn't have the form expected")
}

/// Cuts rows into batches in which no key appears twice: HubSpot refuses those.
fn batches(rows: Vec<Row>, most: usize) -> Vec<Vec<Row>> {
    let mut open: Vec<(HashSet<String>, Vec<Row>)> = Vec::new();
    for row in rows {
        match open.iter_mut().find(|(keys, rows)| rows.len() < most && !keys.contains(&row.key)) {
            Some((keys, rows)) => {
                keys.insert(row.key.clone());
                rows.push(row);
            }
            None => open.push((HashSet::from([row.key.clone()]), vec![row])),
        }
    }
    // Taken from the end: the first batch goes first.
    open.into_iter().rev().map(|(_, rows)| rows).collect()
}

fn body(op: Op, rows: &[Row]) -> Value {
    let inputs: Vec<Value> = rows
        .iter()
        .map(|row| {
            // Without the trace id HubSpot refuses all rows of a create for one bad one.
            let trace = row.index.to_string();
            match op {
                Op::Update => json!({"id": row.key, "properties": row.properties, "objectWriteTraceId": trace}),
                Op::Upsert { by } => {
                    json!({"id": row.key, "idProperty": by, "properties": row.properties, "objectWriteTraceId": trace})
                }
                Op::Create { .. } => {
                    json!({"properties": row.properties, "associations": row.associations, "objectWriteTraceId": trace})
                }
            }
        })
        .collect();
    json!({"inputs": inputs})
}

/// Tells which row each result and error of an answer belongs to.
fn assign(op: Op, rows: &[Row], answer: Value, done: &mut HashMap<usize, Outcome>) {
    let Ok(answer) = serde_json::from_value::<BatchAnswer>(answer) else {
        done.extend(rows.iter().map(|row| (row.index, Err(unreadable(op.effect())))));
        return;
    };
    let mut open: Vec<&Row> = rows.iter().collect();
    let in_order = answer.errors.is_empty() && answer.results.len() == rows.len();
    for (position, record) in answer.results.iter().enumerate() {
        let row = find_row(op, &open, record).or_else(|| rows.get(position).filter(|_| in_order).map(|row| row.index));
        let Some(index) = row else { continue };
        open.retain(|row| row.index != index);
        let created = record.new.unwrap_or(matches!(op, Op::Create { .. }));
        done.insert(index, Ok(Done { crm_id: record.id.clone(), created }));
    }
    let mut nameless = Vec::new();
    for error in &answer.errors {
        let traces: HashSet<String> = errors::context(error, "objectWriteTraceId").collect();
        let ids: HashSet<String> = errors::context(error, "ids").chain(errors::context(error, "id")).collect();
        let mine =
            |row: &&Row| traces.contains(&row.index.to_string()) || (traces.is_empty() && ids.contains(&row.key));
        let error = errors::of_row(error, op.effect());
        let named: Vec<usize> = open.iter().filter(|row| mine(row)).map(|row| row.index).collect();
        if named.is_empty() {
            nameless.push(error);
            continue;
        }
        open.retain(|row| !named.contains(&row.index));
        done.extend(named.into_iter().map(|index| (index, Err(error.clone()))));
    }
    // Errors that name no row can only be told apart when there is one of them, or one for every row left.
    let same = nameless.windows(2).all(|pair| matches!(pair, [a, b] if a.class == b.class));
    let clear = !nameless.is_empty() && (open.len() == 1 || (same && nameless.len() >= open.len()));
    for (position, row) in open.into_iter().enumerate() {
        let error = match nameless.get(position).filter(|_| clear) {
            Some(error) => error.clone(),
            None => unmentioned(op.effect()),
        };
        done.insert(row.index, Err(error));
    }
}

fn unmentioned(effect: Effect) -> CallError {
    let class = match effect {
        Effect::Repeatable => ErrorClass::Retryable { after_ms: Some(SECOND) },
        Effect::Creates => ErrorClass::UnknownOutcome,
    };
    CallError::new(class, "row_unmentioned", "HubSpot's answer says nothing about this row")
}

fn find_row(op: Op, open: &[&Row], record: &Record) -> Option<usize> {
    if let Some(trace) = &record.trace {
        return open.iter().find(|row| row.index.to_string() == *trace).map(|row| row.index);
    }
    let key = match op {
        Op::Update => Some(record.id.as_str()),
        Op::Upsert { by: property } | Op::Create { key: property } => record.value(property),
    };
    open.iter().find(|row| Some(row.key.as_str()) == key).map(|row| row.index)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(index: usize, key: &str) -> Row {
        Row { index, key: key.into(), properties: Map::new(), associations: Vec::new() }
    }

    fn outcome(op: Op, rows: &[Row], answer: Value) -> Vec<Result<String, String>> {
        let mut done = HashMap::new();
        assign(op, rows, answer, &mut done);
        assert_eq!(done.len(), rows.len(), "every row has an outcome");
        rows.iter().map(|row| done[&row.index].clone().map(|d| d.crm_id).map_err(|e| e.code)).collect()
    }

    #[test]
    fn no_key_twice_in_one_batch_and_order_is_kept_per_key() {
        let rows = vec![row(0, "a"), row(1, "a"), row(2, "b"), row(3, "c"), row(4, "a")];
        let mut cut = batches(rows, 2);
        let mut order = Vec::new();
        while let Some(batch) = cut.pop() {
            assert!(batch.len() <= 2);
            let keys: HashSet<_> = batch.iter().map(|r| r.key.clone()).collect();
            assert_eq!(keys.len(), batch.len());
            order.extend(batch.into_iter().filter(|r| r.key == "a").map(|r| r.index));
        }
        assert_eq!(order, [0, 1, 4]);
    }

    #[test]
    fn results_find_their_rows_in_any_order_and_by_any_sign() {
        let rows = [row(0, "a"), row(1, "b"), row(2, "c")];
        let by = Op::Upsert { by: "k" };
        let answer = json!({"results": [
            {"id": "12", "objectWriteTraceId": "2"}, {"id": "10", "properties": {"k": "a"}, "new": true}],
            "errors": [{"category": "VALIDATION_ERROR", "context": {"objectWriteTraceId": ["1"]}}]});
        assert_eq!(outcome(by, &rows, answer), [Ok("10".into()), Err("VALIDATION_ERROR".into()), Ok("12".into())]);
        let answer = json!({"results": [{"id": "1"}, {"id": "2"}, {"id": "3"}]});
        assert_eq!(outcome(by, &rows, answer), [Ok("1".into()), Ok("2".into()), Ok("3".into())]);
        let answer = json!({"results": [{"id": "b"}],
            "errors": [{"category": "OBJECT_NOT_FOUND", "message": "x", "context": {"ids": ["a", "c"]}}]});
        assert_eq!(
            outcome(Op::Update, &rows, answer),
            [Err("OBJECT_NOT_FOUND".into()), Ok("b".into()), Err("OBJECT_NOT_FOUND".into())]
        );
    }

    #[test]
    fn silence_about_a_row_is_unknown_for_creates() {
        let rows = [row(0, "a"), row(1, "b")];
        let answer = json!({"results": [{"id": "1", "properties": {"k": "a"}}]});
        let mut done = HashMap::new();
        assign(Op::Create { key: "k" }, &rows, answer, &mut done);
        assert_eq!(done[&1].as_ref().unwrap_err().class, ErrorClass::UnknownOutcome);
    }
}
