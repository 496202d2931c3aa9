//! A SQLite file as somebody else works in it: what a business's own CRM holds, for tests of the whole.

use anyhow::Result;
use sqlx::sqlite::SqliteConnectOptions;
use sqlx::{AssertSqlSafe, ConnectOptions, SqliteConnection};
use std::path::{Path, PathBuf};
use std::time::Duration;

/// A SQLite file; made when it isn't there.
#[derive(Debug, Clone)]
pub struct SqliteFile(PathBuf);

impl SqliteFile {
    /// The file at this place, with these statements run in it.
    ///
    /// # Errors
    /// When it can't be made, or a statement is refused.
    pub async fn make(path: &Path, statements: &str) -> Result<Self> {
        let file = Self(path.to_owned());
        file.run(statements).await?;
        Ok(file)
    }

    async fn open(&self) -> Result<SqliteConnection> {
        let options = SqliteConnectOptions::new().filename(&self.0).create_if_missing(true);
        Ok(options.busy_timeout(Duration::from_secs(10)).connect().await?)
    }

    /// Runs statements.
    ///
    /// # Errors
    /// When one is refused.
    pub async fn run(&self, statements: &str) -> Result<()> {
        let mut c = self.open().await?;
        sqlx::raw_sql(AssertSqlSafe(statements.to_owned())).execute(&mut c).await?;
        Ok(())
    }

    /// The texts of a query's first column; what is null is empty.
    ///
    /// # Errors
    /// When the query is refused.
    pub async fn texts(&self, query: &str) -> Result<Vec<String>> {
        let mut c = self.open().await?;
        let query = sqlx::query_scalar::<_, Option<String>>(AssertSqlSafe(query.to_owned()));
        Ok(query.fetch_all(&mut c).await?.into_iter().map(Option::unwrap_or_default).collect())
    }
}
