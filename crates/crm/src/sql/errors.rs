//! Errors of databases -> classes (crm-apis section 6). Decided here and nowhere else. Codes: PostgreSQL's SQLSTATE (its manual, appendix
//! A), MySQL's and MariaDB's error numbers (their manuals), SQLite's result codes (sqlite.org/rescode.html).
//! Must not touch: the texts databases give. They quote values (phone numbers, texts), so only codes and names of constraints are kept.
//! Failure story: whatever is written is written by our id, so nothing here has an unknown outcome: doing it again does no harm.

use super::Engine;
use ponte_domain::SECOND;
use ponte_domain::error::{CallError, ErrorClass, ThrottleScope};
use sqlx::error::ErrorKind;

const SOON: ErrorClass = ErrorClass::Retryable { after_ms: None };

/// Reads a driver's error.
pub(super) fn of(error: &sqlx::Error, engine: Engine) -> CallError {
    match error {
        sqlx::Error::Database(db) => {
            let code = db.code().unwrap_or_default().into_owned();
            let number = mysql_number(db.as_ref());
            let (class, title) = match engine {
                Engine::Postgres => postgres(&code),
                Engine::MySql => mysql(number.unwrap_or_default()),
                Engine::Sqlite => sqlite(code.parse().unwrap_or_default()),
            };
            // The drivers know best what a constraint is.
            let (class, title) = match db.kind() {
                ErrorKind::UniqueViolation => {
                    (ErrorClass::Conflict { existing: None }, "the database has this value already")
                }
                ErrorKind::ForeignKeyViolation => {
                    (ErrorClass::Gone, "what the row refers to is gone from the database")
                }
                ErrorKind::NotNullViolation | ErrorKind::CheckViolation => {
                    (ErrorClass::Permanent, "the database refuses the row by a constraint")
                }
                _ => (class, title),
            };
            let call = CallError::new(class, number.map_or(code, |n| n.to_string()), title);
            match db.constraint() {
                Some(name) => call.with_detail(format!("constraint={name}")),
                None => call,
            }
        }
        sqlx::Error::Configuration(_) => {
            CallError::new(ErrorClass::Configuration, "database_url", "the database's address can't be read")
        }
        sqlx::Error::Tls(_) => CallError::new(SOON, "tls", "no secure connection to the database"),
        sqlx::Error::Io(_) => CallError::new(SOON, "connect", "no connection to the database, or it broke"),
        sqlx::Error::PoolTimedOut => CallError::new(SOON, "connect_timeout", "no connection to the database in time"),
        sqlx::Error::ColumnNotFound(name) => {
            let title = "a column is missing in what the statement reads";
            CallError::new(ErrorClass::Configuration, "column_missing", title).with_detail(name.clone())
        }
        _ => CallError::new(SOON, "database", "the database's driver failed"),
    }
}

fn mysql_number(error: &dyn sqlx::error::DatabaseError) -> Option<u16> {
    error.try_downcast_ref::<sqlx::mysql::MySqlDatabaseError>().map(sqlx::mysql::MySqlDatabaseError::number)
}

const REFUSED: &str = "the database refuses the row";
const STATEMENT: &str = "the database can't run the statement: correct it in the description";
const RIGHTS: &str = "the database user lacks a right that the statement needs";
const SIGN_IN: &str = "the database refuses the user or the password";
const BUSY: &str = "the database is busy";
const AWAY: &str = "the database can't be reached now";

fn postgres(code: &str) -> (ErrorClass, &'static str) {
    match (code, code.get(..2).unwrap_or_default()) {
        ("42501", _) => (ErrorClass::Configuration, RIGHTS),
        ("3D000" | "3F000", _) => (ErrorClass::Configuration, "there is no such database or schema"),
        ("53300", _) => (throttled(), "the database has no connection left"),
        (_, "28") => (ErrorClass::Auth, SIGN_IN),
        (_, "42") => (ErrorClass::Configuration, STATEMENT),
        (_, "22" | "23" | "P0") => (ErrorClass::Permanent, REFUSED),
        ("57014", _) => (SOON, "the statement took too long"),
        (_, "40" | "55") => (ErrorClass::Retryable { after_ms: Some(SECOND / 10) }, BUSY),
        _ => (SOON, AWAY),
    }
}

fn mysql(number: u16) -> (ErrorClass, &'static str) {
    match number {
        1044 | 1045 | 1698 | 3118 => (ErrorClass::Auth, SIGN_IN),
        1142 | 1143 | 1227 | 1370 => (ErrorClass::Configuration, RIGHTS),
        1049 => (ErrorClass::Configuration, "there is no such database or schema"),
        1051 | 1052 | 1054 | 1064 | 1109 | 1136 | 1146 | 1149 | 1305 | 1318 => (ErrorClass::Configuration, STATEMENT),
        1040 | 1203 | 1226 => (throttled(), "the database has no connection left"),
        1205 | 1213 => (ErrorClass::Retryable { after_ms: Some(SECOND / 10) }, BUSY),
        1317 | 1969 | 3024 => (SOON, "the statement took too long"),
        1048 | 1264 | 1265 | 1292 | 1364 | 1366 | 1406 | 1411 | 1644 | 3140 | 3819 | 4025 => {
            (ErrorClass::Permanent, REFUSED)
        }
        _ => (SOON, AWAY),
    }
}

fn sqlite(code: u32) -> (ErrorClass, &'static str) {
    match code & 0xff {
        1 => (ErrorClass::Configuration, STATEMENT),
        3 | 8 | 23 => (ErrorClass::Configuration, RIGHTS),
        14 => (ErrorClass::Configuration, "the database file can't be opened"),
        5 | 6 => (ErrorClass::Retryable { after_ms: Some(SECOND / 10) }, BUSY),
        11 | 26 => (ErrorClass::Configuration, "the file is no SQLite database, or it is damaged"),
        18..=20 | 25 => (ErrorClass::Permanent, REFUSED),
        _ => (SOON, AWAY),
    }
}

const fn throttled() -> ErrorClass {
    ErrorClass::Throttled { scope: ThrottleScope::Account, after_ms: Some(SECOND) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_of_classes() {
        for (code, class) in [
            ("28P01", ErrorClass::Auth),
            ("42501", ErrorClass::Configuration),
            ("42P01", ErrorClass::Configuration),
            ("22001", ErrorClass::Permanent),
            ("P0001", ErrorClass::Permanent),
            ("57014", SOON),
            ("08006", SOON),
        ] {
            assert_eq!(postgres(code).0, class, "{code}");
        }
        for (number, class) in [
            (1045, ErrorClass::Auth),
            (1142, ErrorClass::Configuration),
            (1146, ErrorClass::Configuration),
            (1406, ErrorClass::Permanent),
            (2006, SOON),
        ] {
            assert_eq!(mysql(number).0, class, "{number}");
        }
        for (code, class) in
            [(1, ErrorClass::Configuration), (8, ErrorClass::Configuration), (275, ErrorClass::Permanent), (13, SOON)]
        {
            assert_eq!(sqlite(code).0, class, "{code}");
        }
        assert!(matches!(sqlite(517).0, ErrorClass::Retryable { after_ms: Some(_) }), "busy, in its extended form");
        assert!(matches!(mysql(1040).0, ErrorClass::Throttled { .. }));
    }
}
