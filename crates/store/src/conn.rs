//! One connection of either engine, and the few helpers that make one SQL text run on both.
//! Must not touch: what the statements mean.

use futures_util::future::join;
use ponte_domain::error::StoreError;
use ponte_domain::ports::store::Topic;
use sqlx::pool::PoolConnection;
use sqlx::postgres::PgRow;
use sqlx::sqlite::SqliteRow;
use sqlx::{AssertSqlSafe, FromRow, Postgres, SqlSafeStr, SqlStr, Sqlite, SqliteConnection};
use uuid::Uuid;

/// A value to bind. Typed even when absent, so that PostgreSQL knows what a NULL is.
#[derive(Debug, Clone)]
pub(crate) enum Val {
    Int(Option<i64>),
    Text(Option<String>),
    Bytes(Vec<u8>),
    Id(Option<Uuid>),
    Bool(bool),
}

impl From<i64> for Val {
    fn from(v: i64) -> Self {
        Self::Int(Some(v))
    }
}
impl From<Option<i64>> for Val {
    fn from(v: Option<i64>) -> Self {
        Self::Int(v)
    }
}
impl From<&str> for Val {
    fn from(v: &str) -> Self {
        Self::from(v.to_owned())
    }
}
impl From<String> for Val {
    /// PostgreSQL can't hold U+0000 in text: one in a name must not keep its webhook from being stored.
    fn from(v: String) -> Self {
        Self::Text(Some(if v.contains('\0') { v.replace('\0', "\u{fffd}") } else { v }))
    }
}
impl From<Option<String>> for Val {
    fn from(v: Option<String>) -> Self {
        v.map_or(Self::Text(None), Self::from)
    }
}
impl From<Vec<u8>> for Val {
    fn from(v: Vec<u8>) -> Self {
        Self::Bytes(v)
    }
}
impl From<Uuid> for Val {
    fn from(v: Uuid) -> Self {
        Self::Id(Some(v))
    }
}
impl From<Option<Uuid>> for Val {
    fn from(v: Option<Uuid>) -> Self {
        Self::Id(v)
    }
}
impl From<bool> for Val {
    fn from(v: bool) -> Self {
        Self::Bool(v)
    }
}

/// Values to bind, in order: `vals![a, b]`.
macro_rules! vals {
    ($($v:expr),* $(,)?) => { vec![$($crate::conn::Val::from($v)),*] };
}
pub(crate) use vals;

pub(crate) enum Inner {
    Sqlite(Box<SqliteConnection>),
    SqliteReader(PoolConnection<Sqlite>),
    Postgres(PoolConnection<Postgres>),
}

/// A connection, and what its transaction may have woken.
pub(crate) struct Conn {
    pub(crate) inner: Inner,
    touched: [bool; Topic::ALL.len()],
}

/// A row type that decodes from both engines.
pub(crate) trait Row: for<'r> FromRow<'r, SqliteRow> + for<'r> FromRow<'r, PgRow> + Send + Unpin {}
impl<T> Row for T where T: for<'r> FromRow<'r, SqliteRow> + for<'r> FromRow<'r, PgRow> + Send + Unpin {}

macro_rules! bound {
    ($query:expr, $vals:expr) => {{
        let mut query = $query;
        for val in $vals {
            query = match val {
                Val::Int(v) => query.bind(v),
                Val::Text(v) => query.bind(v),
                Val::Bytes(v) => query.bind(v),
                Val::Id(v) => query.bind(v),
                Val::Bool(v) => query.bind(v),
            };
        }
        query
    }};
}

/// SQL text: a constant, or put together from constants (never from values).
pub(crate) enum Sql {
    Fixed(&'static str),
    Built(String),
}

impl From<&'static str> for Sql {
    fn from(text: &'static str) -> Self {
        Self::Fixed(text)
    }
}
impl From<String> for Sql {
    fn from(text: String) -> Self {
        Self::Built(text)
    }
}

impl Sql {
    fn text(self) -> SqlStr {
        match self {
            Self::Fixed(text) => text.into_sql_str(),
            // Built from constants and numbers of places only; values are always bound.
            Self::Built(text) => AssertSqlSafe(text).into_sql_str(),
        }
    }
}

impl Conn {
    pub(crate) const fn new(inner: Inner) -> Self {
        Self { inner, touched: [false; Topic::ALL.len()] }
    }

    pub(crate) const fn is_postgres(&self) -> bool {
        matches!(self.inner, Inner::Postgres(_))
    }

    /// Says that the transaction made something to do for this topic.
    pub(crate) fn touch(&mut self, topic: Topic) {
        for (known, touched) in Topic::ALL.iter().zip(self.touched.iter_mut()) {
            *touched |= *known == topic;
        }
    }

    /// What was touched since last asked.
    pub(crate) fn take_touched(&mut self) -> Vec<Topic> {
        let touched = std::mem::take(&mut self.touched);
        Topic::ALL.iter().zip(touched).filter_map(|(topic, yes)| yes.then_some(*topic)).collect()
    }

    /// Runs a statement; rows affected.
    pub(crate) async fn exec(&mut self, sql: impl Into<Sql>, vals: Vec<Val>) -> Result<u64, StoreError> {
        let sql = sql.into().text();
        let done = match &mut self.inner {
            Inner::Sqlite(c) => {
                let query = bound!(sqlx::query::<Sqlite>(sql), vals);
                query.execute(&mut **c).await.map(|done| done.rows_affected())
            }
            Inner::SqliteReader(c) => {
                let query = bound!(sqlx::query::<Sqlite>(sql), vals);
                query.execute(&mut **c).await.map(|done| done.rows_affected())
            }
            Inner::Postgres(c) => {
                let query = bound!(sqlx::query::<Postgres>(sql), vals);
                query.execute(&mut **c).await.map(|done| done.rows_affected())
            }
        };
        done.map_err(|e| broken(&e))
    }

    /// Runs a query; all rows.
    pub(crate) async fn all<T: Row>(&mut self, sql: impl Into<Sql>, vals: Vec<Val>) -> Result<Vec<T>, StoreError> {
        let sql = sql.into().text();
        let rows = match &mut self.inner {
            Inner::Sqlite(c) => {
                let query = bound!(sqlx::query_as::<Sqlite, T>(sql), vals);
                query.fetch_all(&mut **c).await
            }
            Inner::SqliteReader(c) => {
                let query = bound!(sqlx::query_as::<Sqlite, T>(sql), vals);
                query.fetch_all(&mut **c).await
            }
            Inner::Postgres(c) => {
                let query = bound!(sqlx::query_as::<Postgres, T>(sql), vals);
                query.fetch_all(&mut **c).await
            }
        };
        rows.map_err(|e| broken(&e))
    }

    /// Runs a query; the first row.
    pub(crate) async fn first<T: Row>(&mut self, sql: impl Into<Sql>, vals: Vec<Val>) -> Result<Option<T>, StoreError> {
        Ok(self.all::<T>(sql, vals).await?.into_iter().next())
    }

    /// Runs several statements without values.
    pub(crate) async fn script(&mut self, text: String) -> Result<(), StoreError> {
        use sqlx::Executor;
        let sql = AssertSqlSafe(text);
        let done = match &mut self.inner {
            Inner::Sqlite(c) => c.execute(sqlx::raw_sql(sql)).await.map(|_| ()),
            Inner::SqliteReader(c) => c.execute(sqlx::raw_sql(sql)).await.map(|_| ()),
            Inner::Postgres(c) => c.execute(sqlx::raw_sql(sql)).await.map(|_| ()),
        };
        done.map_err(|e| broken(&e))
    }

    /// Inserts many rows: `head` up to VALUES, `tail` after them. Rows go in few statements of few different lengths, so
    /// that they stay prepared.
    pub(crate) async fn insert_many(&mut self, head: &str, tail: &str, rows: Vec<Vec<Val>>) -> Result<u64, StoreError> {
        let mut affected = 0;
        let mut rows = rows.into_iter().peekable();
        while let Some(width) = rows.peek().map(Vec::len) {
            let room = (MAX_VALUES / width.max(1)).max(1);
            let n = power_of_two_at_most(rows.len().min(room));
            let insert = |values: &str| format!("{head} VALUES {values} {tail}");
            let (sql, vals) = around(self.is_postgres(), insert, &pattern(width), &[], rows.by_ref().take(n));
            affected += self.exec(sql, vals).await?;
        }
        Ok(affected)
    }

    /// Inserts a row for each of many things: `pattern` is one row in which `$1` to `$n` are `fixed`, which all have in common,
    /// and every `?` is one of `row`'s values. While the database works on some, the next ones are made ready.
    pub(crate) async fn insert_each<T: Sync>(
        &mut self,
        head: &str,
        pattern: &str,
        fixed: Vec<Val>,
        things: &[T],
        row: fn(&T) -> Vec<Val>,
    ) -> Result<(), StoreError> {
        let room = (MAX_VALUES / pattern.matches('?').count().max(1)).max(1);
        let postgres = self.is_postgres();
        let insert = |things: &[T]| {
            let sql = |values: &str| format!("{head} VALUES {values}");
            (!things.is_empty()).then(|| around(postgres, sql, pattern, &fixed, things.iter().map(row)))
        };
        let mut rest = things;
        let mut split = || {
            let (some, others) = rest.split_at(power_of_two_at_most(rest.len().min(room)));
            rest = others;
            some
        };
        let mut ready = insert(split());
        while let Some((sql, vals)) = ready {
            let some = split();
            let (done, next) = join(self.exec(sql, vals), async { insert(some) }).await;
            done?;
            ready = next;
        }
        Ok(())
    }

    /// Like [`Self::insert_many`] for statements that give rows back.
    pub(crate) async fn insert_many_returning<T: Row>(
        &mut self,
        head: &str,
        tail: &str,
        rows: Vec<Vec<Val>>,
    ) -> Result<Vec<T>, StoreError> {
        let mut returned = Vec::with_capacity(rows.len());
        let mut rows = rows.into_iter().peekable();
        while let Some(width) = rows.peek().map(Vec::len) {
            let room = (MAX_VALUES / width.max(1)).max(1);
            let n = power_of_two_at_most(rows.len().min(room));
            let insert = |values: &str| format!("{head} VALUES {values} {tail}");
            let (sql, vals) = around(self.is_postgres(), insert, &pattern(width), &[], rows.by_ref().take(n));
            returned.extend(self.all::<T>(sql, vals).await?);
        }
        Ok(returned)
    }

    /// Queries by many keys: `head` ends in `WHERE … AND `, the `keys` are the columns that one row of `wanted` names, `tail`
    /// follows them. `fixed` are `$1` to `$n` of head and tail. No key is looked for twice.
    ///
    /// On PostgreSQL every key is a look of its own into the index. Written as `IN (VALUES …)` the planner may instead read
    /// the table from end to end, when its statistics say that it is small: those of a queue often do, for they were made
    /// while it was empty.
    pub(crate) async fn select_in<T: Row>(
        &mut self,
        head: &str,
        keys: &[&str],
        tail: &str,
        fixed: Vec<Val>,
        wanted: Vec<Vec<Val>>,
    ) -> Result<Vec<T>, StoreError> {
        let mut found = Vec::new();
        let mut wanted = wanted.into_iter().peekable();
        while let Some(width) = wanted.peek().map(Vec::len) {
            let room = match (width, self.is_postgres()) {
                (1, false) => MAX_VALUES,
                (1, true) => 4 * KEYS,
                _ => KEYS,
            };
            let mut chunk: Vec<Vec<Val>> = wanted.by_ref().take(power_of_two_at_most(room)).collect();
            // Few different lengths, so that the statements stay prepared; what is said twice changes no result.
            let n = chunk.len().next_power_of_two();
            if let Some(last) = chunk.last().cloned() {
                chunk.resize(n, last);
            }
            let postgres = self.is_postgres();
            let look = |values: &str| {
                if postgres {
                    each_by_itself(head, keys, tail, values)
                } else {
                    format!("{head}({}) IN (VALUES {values}){tail}", keys.join(", "))
                }
            };
            let (sql, vals) = around(postgres, look, &pattern(width), &fixed, chunk.into_iter());
            found.extend(self.all::<T>(sql, vals).await?);
        }
        Ok(found)
    }

    /// Changes many rows at once: `WITH v(columns) AS (VALUES …) rest`. `$1` to `$n` are `fixed`.
    pub(crate) async fn change_many(
        &mut self,
        columns: &str,
        rest: &str,
        fixed: Vec<Val>,
        rows: Vec<Vec<Val>>,
    ) -> Result<u64, StoreError> {
        let mut affected = 0;
        let mut rows = rows.into_iter().peekable();
        while let Some(width) = rows.peek().map(Vec::len) {
            let n = power_of_two_at_most(rows.len().min(KEYS));
            let change = |values: &str| format!("WITH v({columns}) AS (VALUES {values}) {rest}");
            let (sql, vals) = around(self.is_postgres(), change, &pattern(width), &fixed, rows.by_ref().take(n));
            affected += self.exec(sql, vals).await?;
        }
        Ok(affected)
    }
}

/// Values of one insert.
const MAX_VALUES: usize = 512;
/// Keys of one look-up or change. When there are more in a change, or in a look-up by several columns, SQLite's planner, which
/// doesn't know how many rows a workspace has, reads them all and looks for each among the keys.
const KEYS: usize = 32;

/// A statement around rows of values: its text and what to bind. `sql` makes the text of the rows' text, `fixed` are `$1` to
/// `$n` of it. On SQLite the rows' values have no numbers and come first: it would look up every number in the list of all.
fn around(
    postgres: bool,
    sql: impl FnOnce(&str) -> String,
    pattern: &str,
    fixed: &[Val],
    rows: impl ExactSizeIterator<Item = Vec<Val>>,
) -> (String, Vec<Val>) {
    let (n, width) = (rows.len(), pattern.matches('?').count());
    if postgres {
        return (sql(&tuples(fixed.len() + 1, n, pattern)), fixed.iter().cloned().chain(rows.flatten()).collect());
    }
    let text = moved(&sql(&vec![pattern; n].join(",")), n * width);
    (text, rows.flatten().chain(fixed.iter().cloned()).collect())
}

/// A look per key, in the order of the keys (row locks are taken in one order everywhere).
fn each_by_itself(head: &str, keys: &[&str], tail: &str, values: &str) -> String {
    let names: Vec<String> = (1..=keys.len()).map(|n| format!("k{n}")).collect();
    let order: Vec<String> = (1..=keys.len()).map(|n| n.to_string()).collect();
    let same: Vec<String> = keys.iter().zip(&names).map(|(key, name)| format!("{key} = k.{name}")).collect();
    format!(
        "SELECT r.* FROM (SELECT DISTINCT * FROM (VALUES {values}) u({columns}) ORDER BY {order}) k \
         CROSS JOIN LATERAL ({head}{same}{tail} OFFSET 0) r",
        columns = names.join(", "),
        order = order.join(", "),
        same = same.join(" AND "),
    )
}

fn power_of_two_at_most(n: usize) -> usize {
    if n == 0 { 0 } else { 1 << (usize::BITS - 1 - n.leading_zeros()) }
}

/// A row of so many values: `(?,?)`.
fn pattern(width: usize) -> String {
    format!("({})", vec!["?"; width].join(","))
}

/// Rows by a pattern, its `?` numbered from `first` on: `($1,$2),($3,$4)`.
fn tuples(first: usize, rows: usize, pattern: &str) -> String {
    use std::fmt::Write;
    let mut text = String::with_capacity(rows * pattern.len() * 4);
    let mut n = first;
    for row in 0..rows {
        text.push_str(if row == 0 { "" } else { "," });
        for c in pattern.chars() {
            if c == '?' {
                let _ = write!(text, "${n}");
                n += 1;
            } else {
                text.push(c);
            }
        }
    }
    text
}

/// The text with the numbers of its values moved up: `$1` is `$3` when moved by two.
fn moved(text: &str, by: usize) -> String {
    use std::fmt::Write;
    let mut parts = text.split('$');
    let mut moved = String::with_capacity(text.len() + 64);
    moved.push_str(parts.next().unwrap_or_default());
    for part in parts {
        let end = part.find(|c: char| !c.is_ascii_digit()).unwrap_or(part.len());
        let (number, rest) = part.split_at(end);
        let _ = match number.parse::<usize>() {
            Ok(number) => write!(moved, "${}{rest}", number + by),
            Err(_) => write!(moved, "${part}"),
        };
    }
    moved
}

/// A database error that is worth repeating the transaction for: a deadlock, a serialisation failure, a row that another
/// transaction just inserted.
pub(crate) const REPEAT: &str = "repeat: ";

/// PostgreSQL's code for a key that is there already: with others who write, it may be gone at the next try.
pub(crate) const UNIQUE: &str = "23505";

/// Whether an error is about what was given, and not about the database: its disk, its memory, its being there. Codes: of
/// PostgreSQL the class in the first two of five signs (22 data, 23 constraints, 42 the statement, 54 limits); of SQLite the
/// lowest byte (1 the statement, 18 too big, 19 constraint, 20 mismatch).
fn is_about_values(code: &str) -> bool {
    if code.len() == 5 {
        return ["22", "23", "42", "54"].iter().any(|class| code.starts_with(class));
    }
    code.parse::<u32>().is_ok_and(|code| matches!(code & 0xff, 1 | 18 | 19 | 20))
}

/// Names an error of the driver without its values.
pub(crate) fn broken(error: &sqlx::Error) -> StoreError {
    match error {
        sqlx::Error::Database(db) => {
            let code = db.code().unwrap_or_default();
            let repeat = matches!(&*code, "40001" | "40P01" | UNIQUE);
            let told = format!("{}{} ({code})", if repeat { REPEAT } else { "" }, db.message());
            if !repeat && is_about_values(&code) { StoreError::Refused(told) } else { StoreError::Unavailable(told) }
        }
        sqlx::Error::ColumnDecode { index, .. } => StoreError::Corrupt(format!("column {index}")),
        sqlx::Error::ColumnNotFound(name) => StoreError::Corrupt(format!("column {name} is missing")),
        other => StoreError::Unavailable(other.to_string()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tuples_count_on() {
        assert_eq!(tuples(1, 2, &pattern(2)), "($1,$2),($3,$4)");
        assert_eq!(tuples(3, 1, "(?,$1,?)"), "($3,$1,$4)");
    }

    #[test]
    fn a_statement_says_the_same_on_both_engines() {
        let rows = || [vals![7, 8], vals![9, 10]].into_iter();
        let fixed = vals!["x"];
        let sql = |values: &str| format!("a {values} b $1 c '$' $12");
        let (text, vals) = around(true, sql, "(?,$1,?)", &fixed, rows());
        assert_eq!((text.as_str(), vals.len()), ("a ($2,$1,$3),($4,$1,$5) b $1 c '$' $12", 5));
        let (text, vals) = around(false, sql, "(?,$1,?)", &fixed, rows());
        assert_eq!((text.as_str(), vals.len()), ("a (?,$5,?),(?,$5,?) b $5 c '$' $16", 5));
        assert!(matches!(vals.last(), Some(Val::Text(Some(x))) if x == "x"), "what all have in common comes last");
    }

    #[test]
    fn a_full_disk_is_not_the_fault_of_what_is_written() {
        for code in ["22021", "23502", "42804", "54000", "19", "2067", "1555", "275", "18"] {
            assert!(is_about_values(code), "{code}");
        }
        // Disk full, I/O errors, busy, read-only, no memory; PostgreSQL: resources, shutting down, connections, serialisation.
        for code in ["13", "778", "10", "5", "8", "7", "53100", "57P01", "08006", "40001", "58030", "XX000", ""] {
            assert!(!is_about_values(code), "{code}");
        }
    }

    #[test]
    fn powers() {
        let got: Vec<_> = [0, 1, 2, 3, 63, 64, 65].map(power_of_two_at_most).into();
        assert_eq!(got, [0, 1, 2, 2, 32, 64, 64]);
    }
}
