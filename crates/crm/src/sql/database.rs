//! The business's own database: pool, session statements, limits, breaker; statements run and their rows read.
//! May touch: the address that the connection's configuration names, which is mostly a private one: this is no way out for addresses that
//! come from elsewhere. Must not touch: what statements say.
//! Failure story: a write is one transaction. A connection that breaks undoes it, or leaves it done: it is by our id and may be repeated.

use super::Engine;
use super::config::SqlConfig;
use super::errors;
use super::statement::{Assigned, Statement};
use super::values::{Record, bind_mysql, bind_postgres, bind_sqlite, of_mysql, of_postgres, of_sqlite};
use crate::pace::{Pacer, Window};
use futures_util::TryStreamExt;
use ponte_domain::crm::CrmBudget;
use ponte_domain::error::{CallError, ErrorClass, ThrottleScope};
use ponte_domain::{Millis, SECOND};
use ponte_net::{Breaker, Clock};
use secrecy::ExposeSecret;
use serde_json::{Map, Value};
use sqlx::mysql::{MySqlConnectOptions, MySqlPoolOptions};
use sqlx::postgres::{PgConnectOptions, PgPoolOptions};
use sqlx::sqlite::{SqliteConnectOptions, SqlitePoolOptions};
use sqlx::{
    AssertSqlSafe, Either, Executor, MySqlPool, PgConnection, PgPool, SqlSafeStr, SqlitePool, Statement as _, TypeInfo,
};
use std::collections::HashMap;
use std::str::FromStr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

/// Values of parameters by name.
pub(super) type Params = Map<String, Value>;

/// What a write brought.
#[derive(Debug, Clone, Default)]
pub(super) struct Written {
    /// The last row that a statement gave back.
    pub(super) row: Option<Record>,
    /// Rows that the last statement changed.
    pub(super) affected: u64,
}

#[derive(Debug)]
enum Pool {
    Postgres(PgPool),
    MySql(MySqlPool),
    Sqlite(SqlitePool),
}

pub(super) struct Database {
    engine: Engine,
    pool: Pool,
    timeout: Duration,
    breaker: Breaker,
    calls: Pacer,
    clock: Clock,
    made: AtomicU64,
    /// The types of a statement's parameters, as PostgreSQL infers them.
    types: Mutex<HashMap<String, Arc<[String]>>>,
}

/// Runs a statement without parameters. A macro, because connections of different databases have no common trait that lives long enough.
macro_rules! plainly {
    ($connection:expr, $text:expr) => {
        $connection.execute(sqlx::raw_sql(AssertSqlSafe(String::from($text)))).await
    };
}

impl Database {
    /// Connects at the first use.
    pub(super) fn new(engine: Engine, config: &SqlConfig, clock: Clock) -> Result<Self, sqlx::Error> {
        let (most, waits) = (config.connections.max(1), Duration::from_millis(config.statement_timeout_ms));
        let (url, ms) = (config.url.expose_secret(), config.statement_timeout_ms);
        let mut statements = config.session.clone();
        let pool = match engine {
            Engine::Postgres => {
                statements.insert(0, format!("SET statement_timeout = {ms}"));
                let options = PgPoolOptions::new().max_connections(most).acquire_timeout(waits);
                let options = options.after_connect(move |c, _| {
                    let statements = statements.clone();
                    Box::pin(async move {
                        for text in &statements {
                            plainly!(c, text)?;
                        }
                        Ok(())
                    })
                });
                Pool::Postgres(options.connect_lazy_with(PgConnectOptions::from_str(url)?.application_name("ponte")))
            }
            Engine::MySql => {
                let options = MySqlPoolOptions::new().max_connections(most).acquire_timeout(waits);
                let options = options.after_connect(move |c, _| {
                    let statements = statements.clone();
                    Box::pin(async move {
                        // MariaDB has the first, MySQL the second, and only for reading; our own time limit stands behind both.
                        let seconds = format!("SET SESSION max_statement_time = {}.{:03}", ms / 1_000, ms % 1_000);
                        if plainly!(c, &seconds).is_err() {
                            let _ = plainly!(c, format!("SET SESSION max_execution_time = {ms}"));
                        }
                        for text in &statements {
                            plainly!(c, text)?;
                        }
                        Ok(())
                    })
                });
                Pool::MySql(options.connect_lazy_with(MySqlConnectOptions::from_str(url)?))
            }
            Engine::Sqlite => {
                let options = SqlitePoolOptions::new().max_connections(most).acquire_timeout(waits);
                let options = options.after_connect(move |c, _| {
                    let statements = statements.clone();
                    Box::pin(async move {
                        for text in &statements {
                            plainly!(c, text)?;
                        }
                        Ok(())
                    })
                });
                Pool::Sqlite(options.connect_lazy_with(SqliteConnectOptions::from_str(url)?.busy_timeout(waits)))
            }
        };
        let window = Window::new(config.calls_per_second.max(1), 100, SECOND);
        Ok(Self {
            engine,
            pool,
            timeout: waits,
            breaker: Breaker::new("sql", config.breaker, clock.clone()),
            calls: Pacer::new(window, config.max_wait_ms, clock.clone()),
            clock,
            made: AtomicU64::new(0),
            types: Mutex::default(),
        })
    }

    /// Calls made.
    pub(super) fn budget(&self) -> CrmBudget {
        CrmBudget {
            calls: self.made.load(Ordering::Relaxed),
            held_until: self.calls.held_until(),
            ..CrmBudget::default()
        }
    }

    /// The database's clock, microseconds.
    pub(super) async fn now_us(&self) -> Result<i64, CallError> {
        let asked = match self.engine {
            Engine::Postgres => "SELECT CAST(EXTRACT(EPOCH FROM clock_timestamp()) * 1000000 AS bigint) AS now",
            Engine::MySql => "SELECT CAST(UNIX_TIMESTAMP(NOW(6)) * 1000000 AS SIGNED) AS now",
            // A file has the clock of its machine, which is ours.
            Engine::Sqlite => return Ok((self.clock)().saturating_mul(1_000)),
        };
        let statement = Statement::parse(asked, "", self.engine).map_err(impossible)?;
        let rows = self.rows(&statement, &Params::new()).await?;
        rows.first().and_then(|row| row.get("now")?.as_i64()).ok_or_else(|| impossible("no time"))
    }

    /// Runs a reading statement.
    pub(super) async fn rows(&self, statement: &Statement, params: &Params) -> Result<Vec<Record>, CallError> {
        self.guarded(async {
            match &self.pool {
                Pool::Postgres(pool) => {
                    let mut c = pool.acquire().await?;
                    let types = self.types_of(&mut c, statement, &[]).await?;
                    let out = statement.render(self.engine, &[], Some(&types));
                    // The inner order stays: there is nothing that would sort the rows anew.
                    let sql = format!("SELECT row_to_json(ponte_row)::text FROM ({}\n) ponte_row", out.sql);
                    let mut query = sqlx::query(AssertSqlSafe(sql));
                    for (name, kind) in out.names.iter().zip(types.iter()) {
                        query = bind_postgres(query, params.get(name).unwrap_or(&Value::Null), kind);
                    }
                    let read = |row: sqlx::postgres::PgRow| -> Result<Record, sqlx::Error> {
                        let text: String = sqlx::Row::try_get(&row, 0)?;
                        serde_json::from_str(&text).map_err(|e| sqlx::Error::Decode(e.into()))
                    };
                    query.fetch_all(&mut *c).await?.into_iter().map(read).collect()
                }
                Pool::MySql(pool) => {
                    let out = statement.render(self.engine, &[], None);
                    let mut query = sqlx::query(AssertSqlSafe(out.sql));
                    for name in &out.names {
                        query = bind_mysql(query, params.get(name).unwrap_or(&Value::Null));
                    }
                    Ok(query.fetch_all(pool).await?.iter().map(of_mysql).collect())
                }
                Pool::Sqlite(pool) => {
                    let out = statement.render(self.engine, &[], None);
                    let mut query = sqlx::query(AssertSqlSafe(out.sql));
                    for name in &out.names {
                        query = bind_sqlite(query, params.get(name).unwrap_or(&Value::Null));
                    }
                    Ok(query.fetch_all(pool).await?.iter().map(of_sqlite).collect())
                }
            }
        })
        .await
    }

    /// Runs writing statements in one transaction.
    pub(super) async fn write(
        &self,
        statements: &[Statement],
        fields: &[Assigned],
        params: &Params,
    ) -> Result<Written, CallError> {
        /// Runs each statement, keeps the last row and what the last one changed.
        macro_rules! run {
            ($tx:expr, $statement:expr, $types:expr, $written:expr, $bind:expr, $read:path) => {{
                let out = $statement.render(self.engine, fields, $types);
                let mut query = sqlx::query(AssertSqlSafe(out.sql));
                for (at, name) in out.names.iter().enumerate() {
                    query = $bind(query, params.get(name).unwrap_or(&Value::Null), at);
                }
                $written.affected = 0;
                let mut results = (&mut **$tx).fetch_many(query);
                while let Some(result) = results.try_next().await? {
                    match result {
                        Either::Left(done) => $written.affected += done.rows_affected(),
                        Either::Right(row) => $written.row = Some($read(&row)),
                    }
                }
            }};
        }
        self.guarded(async {
            let mut written = Written::default();
            match &self.pool {
                Pool::Postgres(pool) => {
                    let mut tx = pool.begin().await?;
                    for statement in statements {
                        let types = self.types_of(&mut tx, statement, fields).await?;
                        let kind = |at: usize| types.get(at).map_or("text", String::as_str);
                        let bind = |query, value: &Value, at| bind_postgres(query, value, kind(at));
                        run!(&mut tx, statement, Some(&types), written, bind, of_postgres);
                    }
                    tx.commit().await?;
                }
                Pool::MySql(pool) => {
                    let mut tx = pool.begin().await?;
                    for statement in statements {
                        let bind = |query, value: &Value, _| bind_mysql(query, value);
                        run!(&mut tx, statement, None, written, bind, of_mysql);
                    }
                    tx.commit().await?;
                }
                Pool::Sqlite(pool) => {
                    // A transaction that begins by reading may find the file locked when it wants to write.
                    let mut tx = pool.begin_with("BEGIN IMMEDIATE").await?;
                    for statement in statements {
                        let bind = |query, value: &Value, _| bind_sqlite(query, value);
                        run!(&mut tx, statement, None, written, bind, of_sqlite);
                    }
                    tx.commit().await?;
                }
            }
            Ok(written)
        })
        .await
    }

    /// Lets the database read a statement without running it.
    pub(super) async fn verify(&self, statement: &Statement, fields: &[Assigned]) -> Result<(), CallError> {
        let text = || AssertSqlSafe(statement.render(self.engine, fields, None).sql).into_sql_str();
        self.guarded(async {
            match &self.pool {
                Pool::Postgres(pool) => {
                    let mut c = pool.acquire().await?;
                    self.types_of(&mut c, statement, fields).await.map(|_| ())
                }
                Pool::MySql(pool) => pool.acquire().await?.prepare(text()).await.map(|_| ()),
                Pool::Sqlite(pool) => pool.acquire().await?.prepare(text()).await.map(|_| ()),
            }
        })
        .await
    }

    /// Asks PostgreSQL once which types it wants for a statement's parameters.
    async fn types_of(
        &self,
        c: &mut PgConnection,
        statement: &Statement,
        fields: &[Assigned],
    ) -> Result<Arc<[String]>, sqlx::Error> {
        let sql = statement.render(self.engine, fields, None).sql;
        let known = || self.types.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(types) = known().get(&sql) {
            return Ok(Arc::clone(types));
        }
        let prepared = c.prepare(AssertSqlSafe(sql.clone()).into_sql_str()).await?;
        let types: Arc<[String]> = match prepared.parameters() {
            Some(Either::Left(types)) => types.iter().map(|t| t.name().to_owned()).collect(),
            _ => Arc::default(),
        };
        known().insert(sql, Arc::clone(&types));
        Ok(types)
    }

    /// A turn within the limits, the breaker, a time limit.
    async fn guarded<T>(&self, work: impl Future<Output = Result<T, sqlx::Error>>) -> Result<T, CallError> {
        self.calls.turn().await.map_err(waits)?;
        let permit = self.breaker.admit().map_err(|ms| {
            let title = "the database has failed several times in a row: waiting before the next try";
            CallError::new(ErrorClass::Retryable { after_ms: Some(ms) }, "breaker_open", title)
        })?;
        self.made.fetch_add(1, Ordering::Relaxed);
        // The database ends the statement first, and says so.
        match tokio::time::timeout(self.timeout + Duration::from_secs(1), work).await {
            Ok(Ok(result)) => {
                permit.success();
                Ok(result)
            }
            Ok(Err(error)) => {
                if matches!(error, sqlx::Error::Database(_)) {
                    permit.success()
                } else {
                    permit.failure()
                }
                Err(errors::of(&error, self.engine))
            }
            Err(_) => {
                permit.failure();
                let title = "the database took too long";
                Err(CallError::new(ErrorClass::Retryable { after_ms: None }, "timeout", title))
            }
        }
    }
}

fn waits(ms: Millis) -> CallError {
    let class = ErrorClass::Throttled { scope: ThrottleScope::Account, after_ms: Some(ms) };
    CallError::new(class, "budget", "the connection's limit of statements a second is used up for the moment")
}

fn impossible(what: impl std::fmt::Display) -> CallError {
    CallError::new(
        ErrorClass::Retryable { after_ms: None },
        "database",
        format!("the database's answer can't be read: {what}"),
    )
}
