//! What the database itself can do: rows of webhook size in groups of 256, each group one durable commit, nothing else.

use crate::rig::webhook::{BODY, body, customer};
use crate::rig::{Engine, Place};
use anyhow::Result;
use sqlx::sqlite::{SqliteConnectOptions, SqliteJournalMode, SqliteSynchronous};
use sqlx::{AssertSqlSafe, ConnectOptions, Connection, PgConnection};
use std::time::{Duration, Instant};

/// Rows of one commit.
const GROUP: usize = 256;

/// Rows a second in group commits, with the durability the program uses.
pub async fn rows_per_second(place: &mut Place, length: Duration) -> Result<f64> {
    let rows: Vec<Vec<u8>> =
        (0..GROUP).map(|n| body(&format!("wamid.{n}"), &customer(n), 1_700_000_000, BODY)).collect();
    let url = place.database().await?;
    match place.engine {
        Engine::Sqlite => sqlite(url.trim_start_matches("sqlite:"), &rows, length).await,
        Engine::Postgres => postgres(&url, &rows, length).await,
    }
}

async fn sqlite(path: &str, rows: &[Vec<u8>], length: Duration) -> Result<f64> {
    let options = SqliteConnectOptions::new()
        .filename(path)
        .create_if_missing(true)
        .page_size(8192)
        .journal_mode(SqliteJournalMode::Wal)
        .synchronous(SqliteSynchronous::Full)
        .pragma("wal_autocheckpoint", "4000")
        .disable_statement_logging();
    let mut c = options.connect().await?;
    sqlx::query("CREATE TABLE raw (seq INTEGER PRIMARY KEY, body BLOB NOT NULL)").execute(&mut c).await?;
    let places: Vec<&str> = rows.iter().map(|_| "(?)").collect();
    let text = format!("INSERT INTO raw (body) VALUES {}", places.join(","));
    let (begun, mut written) = (Instant::now(), 0);
    while begun.elapsed() < length {
        // One statement outside of a transaction is one commit.
        let mut query = sqlx::query(AssertSqlSafe(text.clone()));
        for row in rows {
            query = query.bind(row.as_slice());
        }
        query.execute(&mut c).await?;
        written += rows.len();
    }
    let rate = written as f64 / begun.elapsed().as_secs_f64();
    c.close().await?;
    Ok(rate)
}

async fn postgres(url: &str, rows: &[Vec<u8>], length: Duration) -> Result<f64> {
    let mut c = PgConnection::connect(url).await?;
    sqlx::query("CREATE TABLE raw (seq BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY, body BYTEA NOT NULL)")
        .execute(&mut c)
        .await?;
    let (begun, mut written) = (Instant::now(), 0);
    while begun.elapsed() < length {
        sqlx::query("INSERT INTO raw (body) SELECT * FROM UNNEST($1::bytea[])").bind(rows).execute(&mut c).await?;
        written += rows.len();
    }
    let rate = written as f64 / begun.elapsed().as_secs_f64();
    c.close().await?;
    Ok(rate)
}
