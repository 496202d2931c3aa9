//! The query language, as much of it as a client that keeps records in step needs.
//! May touch: records, to read them. Must not touch: anything else.
//! What the real language knows and this does not (GROUP BY, subqueries, aggregates but COUNT) is answered 501, not guessed.

mod bind;
mod lex;
mod parse;
mod run;

pub(super) use bind::{Bound, Leaf, Way};
pub(super) use parse::parse;
pub(super) use run::{Row as FoundRow, find, render, value};

use jiff::civil::Date;

/// A field, perhaps of a parent record: `Account.Name`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Path {
    pub(super) parts: Vec<String>,
    /// Where it stands in the text, bytes.
    pub(super) at: usize,
}

/// What is selected.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Select {
    Field(Path),
    /// `FIELDS(ALL)`, `FIELDS(STANDARD)`, `FIELDS(CUSTOM)`.
    Fields(String),
    /// `COUNT()`.
    Count,
    /// `COUNT(field)` and its name in the answer.
    CountOf(Path, String),
}

/// A literal of a condition.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Literal {
    Null,
    Bool(bool),
    Text(String),
    Number(f64),
    Date(Date),
    Moment(i64),
    /// From so many days before today; how many days it lasts.
    Days(i64, i64),
}

/// How a field is compared.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Operator {
    Equal,
    NotEqual,
    Less,
    LessOrEqual,
    Greater,
    GreaterOrEqual,
    Like,
    In,
    NotIn,
    Includes,
    Excludes,
}

/// A condition.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Condition {
    And(Vec<Condition>),
    Or(Vec<Condition>),
    Not(Box<Condition>),
    Test { path: Path, operator: Operator, values: Vec<Literal> },
}

/// One sort.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Order {
    pub(super) path: Path,
    pub(super) descending: bool,
    /// Empty values first or last; first when nothing is said.
    pub(super) nulls_last: bool,
}

/// A query that is well formed; whether its names exist is another matter.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Query {
    pub(super) text: String,
    pub(super) object: String,
    pub(super) object_at: usize,
    pub(super) select: Vec<Select>,
    pub(super) filter: Option<Condition>,
    pub(super) order: Vec<Order>,
    pub(super) limit: Option<usize>,
    pub(super) offset: usize,
    /// `ALL ROWS`, or by way of queryAll: deleted records, too.
    pub(super) all_rows: bool,
}
