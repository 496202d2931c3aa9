//! An own, empty database for every test, on either engine.
//! PostgreSQL: in the cluster that `PONTE_TEST_POSTGRES` names; without it, in a cluster of this process, which ends with the
//! last database in it. Where PostgreSQL isn't installed, the test fails and says what to do: nothing is skipped in silence.

use crate::cluster::{Cluster, Durability, POSTGRES_ENV};
use anyhow::{Context, Result};
use sqlx::{AssertSqlSafe, Connection, PgConnection};
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError, Weak};
use tempfile::TempDir;
use uuid::Uuid;

/// A kind of database.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Engine {
    /// A file.
    Sqlite,
    /// A server.
    Postgres,
}

/// Where a database is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Place {
    /// A file that doesn't exist yet, in a folder of its own.
    Sqlite(PathBuf),
    /// An address of an empty database.
    Postgres(String),
}

/// A database for one test; gone when dropped.
#[derive(Debug)]
pub struct TestDatabase {
    place: Place,
    _folder: Option<TempDir>,
    server: Option<OnServer>,
}

impl TestDatabase {
    /// A database of the kind asked for.
    ///
    /// # Errors
    /// When it can't be made; for PostgreSQL with what to do about it.
    pub async fn of(engine: Engine) -> Result<Self> {
        match engine {
            Engine::Sqlite => Self::sqlite(),
            Engine::Postgres => Self::postgres().await,
        }
    }

    /// A SQLite file to be made in a folder of its own.
    ///
    /// # Errors
    /// When there is no place for temporary files.
    pub fn sqlite() -> Result<Self> {
        let folder = tempfile::Builder::new().prefix("ponte-db-").tempdir()?;
        let place = Place::Sqlite(folder.path().join("ponte.db"));
        Ok(Self { place, _folder: Some(folder), server: None })
    }

    /// A database in the cluster of this run.
    ///
    /// # Errors
    /// When there is no cluster and none can be started.
    pub async fn postgres() -> Result<Self> {
        let (admin, cluster) = match std::env::var(POSTGRES_ENV) {
            Ok(url) if !url.is_empty() => (url, None),
            _ => {
                let cluster = tokio::task::spawn_blocking(shared_cluster).await??;
                (cluster.url(), Some(cluster))
            }
        };
        let name = format!("ponte_{}", Uuid::now_v7().simple());
        let mut c = PgConnection::connect(&admin).await.with_context(|| format!("the server of {POSTGRES_ENV}"))?;
        sqlx::raw_sql(AssertSqlSafe(format!("CREATE DATABASE {name} TEMPLATE template0"))).execute(&mut c).await?;
        c.close().await?;
        let place = Place::Postgres(with_database(&admin, &name));
        Ok(Self { place, _folder: None, server: Some(OnServer { admin, name, _cluster: cluster }) })
    }

    /// Where it is.
    #[must_use]
    pub const fn place(&self) -> &Place {
        &self.place
    }

    /// The administrator's address of the server it is on; `None` for a file.
    #[must_use]
    pub fn admin_url(&self) -> Option<&str> {
        self.server.as_ref().map(|server| server.admin.as_str())
    }

    /// Its kind.
    #[must_use]
    pub const fn engine(&self) -> Engine {
        match self.place {
            Place::Sqlite(_) => Engine::Sqlite,
            Place::Postgres(_) => Engine::Postgres,
        }
    }
}

/// One database of each kind.
///
/// # Errors
/// See [`TestDatabase::of`].
pub async fn databases() -> Result<Vec<TestDatabase>> {
    Ok(vec![TestDatabase::sqlite()?, TestDatabase::postgres().await?])
}

/// One async test body on both engines: `both_engines!(name, |db| async move { … })` makes the tests `name::sqlite` and
/// `name::postgres`.
#[macro_export]
macro_rules! both_engines {
    ($(#[$meta:meta])* $name:ident, $body:expr) => {
        $(#[$meta])*
        mod $name {
            #[allow(unused_imports, reason = "the body may need what stands around it")]
            use super::*;

            async fn body(db: $crate::TestDatabase) {
                let body: fn($crate::TestDatabase) -> _ = $body;
                body(db).await
            }

            #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn sqlite() {
                body($crate::TestDatabase::of($crate::Engine::Sqlite).await.expect("a database")).await;
            }

            #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn postgres() {
                body($crate::TestDatabase::of($crate::Engine::Postgres).await.expect("a database")).await;
            }
        }
    };
}

/// The cluster of this process while somebody uses it.
fn shared_cluster() -> Result<Arc<Cluster>> {
    static SHARED: Mutex<Weak<Cluster>> = Mutex::new(Weak::new());
    let mut shared = SHARED.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some(running) = shared.upgrade() {
        return Ok(running);
    }
    let started = Arc::new(Cluster::start(Durability::Memory)?);
    *shared = Arc::downgrade(&started);
    Ok(started)
}

/// The same server, another database.
fn with_database(url: &str, name: &str) -> String {
    let (address, query) = url.split_once('?').map_or((url, None), |(a, q)| (a, Some(q)));
    let from = address.find("://").map_or(0, |at| at + 3);
    let end = address.get(from..).and_then(|rest| rest.find('/')).map_or(address.len(), |at| from + at);
    let server = address.get(..end).unwrap_or(address);
    query.map_or_else(|| format!("{server}/{name}"), |q| format!("{server}/{name}?{q}"))
}

/// A database on a server; dropped with all its connections.
#[derive(Debug)]
struct OnServer {
    admin: String,
    name: String,
    _cluster: Option<Arc<Cluster>>,
}

impl Drop for OnServer {
    fn drop(&mut self) {
        let (admin, sql) = (self.admin.clone(), format!("DROP DATABASE IF EXISTS {} WITH (FORCE)", self.name));
        // A thread of its own: the runtime of the test may be ending.
        let dropping = std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
            runtime.block_on(async move {
                let mut c = PgConnection::connect(&admin).await?;
                sqlx::raw_sql(AssertSqlSafe(sql)).execute(&mut c).await?;
                anyhow::Ok(())
            })
        });
        let _ = dropping.join();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_name_is_replaced_and_nothing_else() {
        for (url, wanted) in [
            ("postgres://a@b:1/postgres?sslmode=disable", "postgres://a@b:1/x?sslmode=disable"),
            ("postgres://a:p@b:1/postgres", "postgres://a:p@b:1/x"),
            ("postgres://a@b", "postgres://a@b/x"),
        ] {
            assert_eq!(with_database(url, "x"), wanted);
        }
    }

    both_engines!(every_test_has_a_place_of_its_own, |db| async move {
        let other = TestDatabase::of(db.engine()).await.unwrap();
        assert_ne!(db.place(), other.place());
        if let Place::Postgres(url) = other.place() {
            let url = url.clone();
            let mut c = PgConnection::connect(&url).await.unwrap();
            let (one,): (i32,) = sqlx::query_as("SELECT 1").fetch_one(&mut c).await.unwrap();
            assert_eq!(one, 1);
            drop(other);
            assert!(PgConnection::connect(&url).await.is_err(), "a dropped database is gone");
        }
    });
}
