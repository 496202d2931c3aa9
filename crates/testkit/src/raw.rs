//! A second connection beside the program's: raw SQL on either engine, to look at what it left and to make the past.
//! Must not touch: anything but the database of the test.

use crate::database::{Place, TestDatabase};
use sqlx::{AssertSqlSafe, Connection, Error, PgConnection, SqliteConnection};

/// A connection to a test's database.
#[derive(Debug)]
pub enum Raw {
    /// To the file.
    Sqlite(SqliteConnection),
    /// To the server.
    Postgres(PgConnection),
}

impl Raw {
    /// Connects.
    ///
    /// # Errors
    /// When the database can't be reached.
    pub async fn connect(db: &TestDatabase) -> Result<Self, Error> {
        Ok(match db.place() {
            Place::Sqlite(path) => {
                Self::Sqlite(SqliteConnection::connect(&format!("sqlite://{}", path.display())).await?)
            }
            Place::Postgres(url) => Self::Postgres(PgConnection::connect(url).await?),
        })
    }

    /// Runs statements; rows affected.
    ///
    /// # Errors
    /// When one fails.
    pub async fn execute(&mut self, sql: &str) -> Result<u64, Error> {
        let sql = sqlx::raw_sql(AssertSqlSafe(sql.to_owned()));
        match self {
            Self::Sqlite(c) => Ok(sql.execute(c).await?.rows_affected()),
            Self::Postgres(c) => Ok(sql.execute(c).await?.rows_affected()),
        }
    }

    /// The first column of every row, which must be text; sorted.
    ///
    /// # Errors
    /// When the query fails.
    pub async fn column(&mut self, sql: &str) -> Result<Vec<String>, Error> {
        let sql = AssertSqlSafe(sql.to_owned());
        let mut found: Vec<String> = match self {
            Self::Sqlite(c) => sqlx::query_scalar(sql).fetch_all(c).await?,
            Self::Postgres(c) => sqlx::query_scalar(sql).fetch_all(c).await?,
        };
        found.sort();
        Ok(found)
    }

    /// Every row of every table as text, with the table's name before it: to look for what must be nowhere.
    ///
    /// # Errors
    /// When a table can't be read.
    pub async fn everything(&mut self) -> Result<Vec<String>, Error> {
        let tables = match self {
            Self::Sqlite(_) => "SELECT name FROM sqlite_master WHERE type = 'table' AND name NOT LIKE 'sqlite_%'",
            Self::Postgres(_) => "SELECT tablename::text FROM pg_tables WHERE schemaname = current_schema()",
        };
        let mut all = Vec::new();
        for table in self.column(tables).await? {
            let row = match self {
                Self::Sqlite(_) => {
                    let names = format!("SELECT name FROM pragma_table_info('{table}')");
                    let columns = self.column(&names).await?;
                    columns.iter().map(|name| format!("quote({name})")).collect::<Vec<_>>().join(" || ' ' || ")
                }
                Self::Postgres(_) => "t::text".to_owned(),
            };
            all.extend(self.column(&format!("SELECT '{table} ' || {row} FROM {table} t")).await?);
        }
        Ok(all)
    }
}
