//! What the two connectors that are described in the configuration (HTTP and SQL) have in common: fields, points in time, cursors,
//! what a write says of a person or a message, and how a person is found before a record is made.
//! Must not touch: how a CRM is reached. That is the [`book::Book`]'s.

pub(crate) mod book;
pub(crate) mod cursor;
mod fields;
pub(crate) mod matching;
pub(crate) mod message;
pub(crate) mod person;
mod time;

pub use fields::{ChoiceSpec, FieldSpec, check_fields};
pub use time::TimeForm;
pub(crate) use time::Times;

use ponte_domain::crm::RowResult;
use ponte_domain::error::{CallError, ErrorClass};

/// Something wrong with a description: where, what, and how to mend it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    /// The key of the description.
    pub place: String,
    /// What is wrong.
    pub problem: String,
    /// What to do.
    pub mend: String,
}

impl Problem {
    pub(crate) fn new(place: impl Into<String>, problem: impl Into<String>, mend: impl Into<String>) -> Self {
        Self { place: place.into(), problem: problem.into(), mend: mend.into() }
    }
}

impl std::fmt::Display for Problem {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}: {}: {}", self.place, self.problem, self.mend)
    }
}

/// A row that was written: the CRM's id, and whether the row made a new record.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Done {
    pub(crate) crm_id: String,
    pub(crate) created: bool,
}

/// What became of a row.
pub(crate) type Outcome = Result<Done, CallError>;

/// The outer error is for what concerns the connection and not the rows: then all rows have it, and it is said once.
pub(crate) fn whole(outcomes: Vec<Outcome>) -> Result<Vec<RowResult>, CallError> {
    if let Some(Err(first)) = outcomes.first() {
        let of_connection =
            matches!(first.class, ErrorClass::Auth | ErrorClass::Configuration | ErrorClass::Throttled { .. })
                || first.code == "breaker_open";
        let same = |o: &Outcome| matches!(o, Err(e) if e.class == first.class && e.code == first.code);
        if of_connection && outcomes.iter().all(same) {
            return Err(first.clone());
        }
    }
    let row = |outcome: Outcome| match outcome {
        Ok(Done { crm_id, created }) => RowResult::Written { crm_id, created },
        Err(error) => RowResult::Failed(error),
    };
    Ok(outcomes.into_iter().map(row).collect())
}

/// The row got no outcome: a bug on our side or an answer that left it out.
pub(crate) fn lost_row() -> CallError {
    let class = ErrorClass::Retryable { after_ms: Some(ponte_domain::SECOND) };
    CallError::new(class, "row_unmentioned", "the row got no outcome")
}

/// A field was asked for that the description doesn't have.
pub(crate) fn unknown_field(name: &str) -> CallError {
    let title = "the connection's description has no such field: add it under fields";
    CallError::new(ErrorClass::Configuration, "field_unknown", title).with_detail(name)
}

/// Reads a secret of a description.
pub(crate) fn secret<'de, D: serde::Deserializer<'de>>(from: D) -> Result<secrecy::SecretString, D::Error> {
    serde::Deserialize::deserialize(from).map(|text: String| secrecy::SecretString::from(text))
}
