//! Writes of up to a hundred rows, each with its own result. Facts: crm-apis section 3: rows are answered by place, with status
//! 200, 201, 202, 207 or, when all failed, 400.
//! Failure story: rows that an answer doesn't mention are safe to repeat (updates, upserts) or unknown (inserts).

use super::budget::Price;
use super::client::Client;
use super::config::Workflows;
use super::errors::{self, Effect};
use super::schema::MESSAGES;
use http::Method;
use ponte_domain::SECOND;
use ponte_domain::error::{CallError, ErrorClass};
use serde_json::{Map, Value, json};
use std::collections::HashMap;

/// Which write.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Op {
    /// By record id; each row has its `id`.
    Update,
    /// By a unique field.
    Upsert {
        /// Its name.
        by: &'static str,
    },
    /// New records.
    Insert,
}

impl Op {
    pub(super) const fn effect(self) -> Effect {
        match self {
            Self::Update | Self::Upsert { .. } => Effect::Repeatable,
            Self::Insert => Effect::Creates,
        }
    }
}

/// One row to write.
#[derive(Debug, Clone)]
pub(super) struct Row {
    /// The caller's number of the row; unique within a call.
    pub(super) index: usize,
    pub(super) fields: Map<String, Value>,
}

/// A row that was written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Done {
    pub(super) crm_id: String,
    pub(super) created: bool,
}

pub(super) type Outcome = Result<Done, CallError>;

impl From<Done> for ponte_domain::crm::RowResult {
    fn from(done: Done) -> Self {
        Self::Written { crm_id: done.crm_id, created: done.created }
    }
}

impl Client {
    /// Writes rows, as many calls as it takes. Gives an outcome for every row's index.
    pub(super) async fn write(&self, module: &str, op: Op, rows: &[Row]) -> HashMap<usize, Outcome> {
        let mut done = HashMap::with_capacity(rows.len());
        let (method, path) = match op {
            Op::Update => (Method::PUT, format!("/{module}")),
            Op::Upsert { .. } => (Method::POST, format!("/{module}/upsert")),
            Op::Insert => (Method::POST, format!("/{module}")),
        };
        for rows in rows.chunks(self.config.rows()) {
            let body = body(op, rows, self.runs_workflows(module));
            match self.send_body(&method, &path, &body, op.effect(), Price::rows(rows.len())).await {
                Ok(answer) => done.extend(rows.iter().map(|row| row.index).zip(assign(op, rows.len(), &answer))),
                Err(error) => done.extend(rows.iter().map(|row| (row.index, Err(error.clone())))),
            }
        }
        done
    }

    fn runs_workflows(&self, module: &str) -> bool {
        match self.config.run_workflows {
            Workflows::Never => false,
            Workflows::Messages => module == MESSAGES,
            Workflows::Always => true,
        }
    }
}

fn body(op: Op, rows: &[Row], run_workflows: bool) -> Value {
    let data: Vec<&Map<String, Value>> = rows.iter().map(|row| &row.fields).collect();
    let mut body = json!({"data": data});
    if let Some(fields) = body.as_object_mut() {
        if let Op::Upsert { by } = op {
            fields.insert("duplicate_check_fields".to_owned(), json!([by]));
        }
        if !run_workflows {
            fields.insert("trigger".to_owned(), json!([]));
        }
    }
    body
}

/// The outcomes of an answer, in the order of the rows.
fn assign(op: Op, rows: usize, answer: &Value) -> Vec<Outcome> {
    let entries = answer.get("data").and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default();
    // Told by place only: an answer of another length tells nothing.
    let entries = if entries.len() == rows { entries } else { &[] };
    (0..rows)
        .map(|n| entries.get(n).map_or_else(|| Err(unmentioned(op.effect())), |entry| outcome(op, entry)))
        .collect()
}

fn outcome(op: Op, entry: &Value) -> Outcome {
    if entry.get("status").and_then(Value::as_str) == Some("error") {
        return Err(errors::of_row(entry, op.effect()));
    }
    let id = entry.pointer("/details/id").and_then(text_of);
    let inserted = entry.get("action").and_then(Value::as_str) == Some("insert");
    let created = matches!(op, Op::Insert) || inserted;
    id.map(|crm_id| Done { crm_id, created }).ok_or_else(|| unmentioned(op.effect()))
}

/// A text, or a number as text.
pub(super) fn text_of(value: &Value) -> Option<String> {
    value.as_str().map(str::to_owned).or_else(|| value.as_u64().map(|n| n.to_string()))
}

fn unmentioned(effect: Effect) -> CallError {
    let class = match effect {
        Effect::Repeatable => ErrorClass::Retryable { after_ms: Some(SECOND) },
        Effect::Creates => ErrorClass::UnknownOutcome,
    };
    CallError::new(class, "row_unmentioned", "Zoho's answer says nothing about this row")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_are_told_by_their_place() {
        let answer = json!({"data": [
            {"code": "SUCCESS", "status": "success", "action": "insert", "details": {"id": "11"}},
            {"code": "INVALID_DATA", "status": "error", "details": {"api_name": "Email"}, "message": "m"},
            {"code": "SUCCESS", "status": "success", "action": "update", "details": {"id": 12}}]});
        let outcomes = assign(Op::Upsert { by: "K" }, 3, &answer);
        assert_eq!(outcomes[0], Ok(Done { crm_id: "11".into(), created: true }));
        assert_eq!(outcomes[1].as_ref().unwrap_err().class, ErrorClass::Permanent);
        assert_eq!(outcomes[2], Ok(Done { crm_id: "12".into(), created: false }));
    }

    #[test]
    fn an_answer_of_another_length_tells_nothing() {
        let answer = json!({"data": [{"status": "success", "details": {"id": "11"}}]});
        let class = |op| assign(op, 2, &answer)[0].clone().unwrap_err().class;
        assert_eq!(class(Op::Insert), ErrorClass::UnknownOutcome);
        assert_eq!(class(Op::Update), ErrorClass::Retryable { after_ms: Some(SECOND) });
    }

    #[test]
    fn workflows_stay_out_unless_wanted() {
        let row = Row { index: 0, fields: Map::new() };
        let quiet = body(Op::Upsert { by: "Ponte_Id" }, std::slice::from_ref(&row), false);
        assert_eq!((&quiet["trigger"], &quiet["duplicate_check_fields"]), (&json!([]), &json!(["Ponte_Id"])));
        assert!(body(Op::Update, &[row], true).get("trigger").is_none());
    }
}
