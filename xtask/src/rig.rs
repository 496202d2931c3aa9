//! # Rig
//! Purpose: what crash tests and benchmarks share: the real program, the simulators in a process of their own, a database with
//! production durability, a small HTTP client, the ledgers of both simulators.
//! May touch: processes it started, its own scratch folder, loopback.
//! Must not touch: the crates of the product. What they get wrong must not cancel out here.

pub mod http;
pub mod ledger;
pub mod process;
pub mod webhook;

use anyhow::{Context, Result, bail};
use clap::ValueEnum;
use ponte_testkit::cluster::{Cluster, Durability};
use serde::Serialize;
use sqlx::{AssertSqlSafe, Connection, PgConnection};
use std::path::{Path, PathBuf};
use std::time::{SystemTime, UNIX_EPOCH};

/// The simulators' defaults, repeated here on purpose.
pub const APP_SECRET: &str = "simulated-app-secret";
/// Token of the simulated Cloud API.
pub const ACCESS_TOKEN: &str = "simulated-token";
/// Key for the program's own API.
pub const API_KEY: &str = "rig-key-rig-key-rig-key-0001";
/// The simulated account.
pub const WABA: &str = "102290129340398";
/// The two numbers of the simulated account.
pub const NUMBERS: [&str; 2] = ["106540352242922", "106540352242933"];

/// Epoch milliseconds.
#[expect(clippy::disallowed_methods, reason = "compared with times that other processes wrote down")]
#[must_use]
pub fn now_ms() -> i64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.as_millis()).unwrap_or(i64::MAX)
}

/// Which database.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Engine {
    /// A file.
    Sqlite,
    /// A server of its own, started for the run.
    Postgres,
}

/// An empty database with production durability, and a folder for everything else of the run.
pub struct Place {
    /// Which.
    pub engine: Engine,
    folder: Option<tempfile::TempDir>,
    path: PathBuf,
    cluster: Option<Cluster>,
    databases: u32,
}

impl Place {
    /// Makes the folder and, for PostgreSQL, starts a cluster (fsync on).
    ///
    /// # Errors
    /// When there is no room or no PostgreSQL.
    pub fn new(engine: Engine, purpose: &str) -> Result<Self> {
        let folder = tempfile::Builder::new().prefix(&format!("ponte-{purpose}-")).tempdir()?;
        let path = folder.path().to_path_buf();
        let cluster = match engine {
            Engine::Sqlite => None,
            Engine::Postgres => Some(Cluster::start(Durability::Disk)?),
        };
        Ok(Self { engine, folder: Some(folder), path, cluster, databases: 0 })
    }

    /// The folder of the run.
    #[must_use]
    pub fn folder(&self) -> &Path {
        &self.path
    }

    /// A new, empty database; the address as the program's configuration takes it.
    ///
    /// # Errors
    /// When the server refuses.
    pub async fn database(&mut self) -> Result<String> {
        self.databases += 1;
        let name = format!("run{}", self.databases);
        match &self.cluster {
            None => Ok(format!("sqlite:{}", self.path.join(format!("{name}.db")).display())),
            Some(cluster) => {
                let admin = cluster.url();
                let mut c = PgConnection::connect(&admin).await?;
                sqlx::raw_sql(AssertSqlSafe(format!("CREATE DATABASE {name} TEMPLATE template0")))
                    .execute(&mut c)
                    .await?;
                c.close().await?;
                Ok(admin.replace("/postgres?", &format!("/{name}?")))
            }
        }
    }

    /// Leaves the folder behind as evidence.
    pub fn keep(&mut self) {
        if let Some(folder) = self.folder.take() {
            let _ = folder.keep();
        }
    }
}

/// The machine, for whoever reads the figures.
#[derive(Debug, Clone, Serialize)]
pub struct Machine {
    /// Processors this process may use.
    pub cores: usize,
    /// As the kernel names them.
    pub cpu: String,
    /// Megabytes.
    pub memory_mb: u64,
}

impl Machine {
    /// Looks.
    #[must_use]
    pub fn here() -> Self {
        let read = |path: &str| std::fs::read_to_string(path).unwrap_or_default();
        let field = |text: &str, name: &str| {
            let line = text.lines().find(|line| line.starts_with(name))?;
            line.split_once(':').map(|(_, value)| value.trim().to_owned())
        };
        let memory = field(&read("/proc/meminfo"), "MemTotal").unwrap_or_default();
        let kilobytes: u64 = memory.split_whitespace().next().and_then(|n| n.parse().ok()).unwrap_or(0);
        Self {
            cores: cores(),
            cpu: field(&read("/proc/cpuinfo"), "model name").unwrap_or_else(|| "unknown".into()),
            memory_mb: kilobytes / 1024,
        }
    }
}

/// Processors this process may use.
#[must_use]
pub fn cores() -> usize {
    std::thread::available_parallelism().map_or(1, std::num::NonZero::get)
}

/// The release build of the program, beside this one.
///
/// # Errors
/// When it isn't there.
pub fn program() -> Result<PathBuf> {
    let own = std::env::current_exe()?;
    let target = own.ancestors().nth(2).context("a target folder above this program")?;
    let ponte = target.join("release/ponte");
    if !ponte.is_file() {
        bail!("{} isn't built: run `cargo build --release -p ponte`", ponte.display());
    }
    Ok(ponte)
}

/// A runtime for one run.
///
/// # Errors
/// When the system refuses threads.
pub fn runtime() -> Result<tokio::runtime::Runtime> {
    Ok(tokio::runtime::Builder::new_multi_thread().enable_all().build()?)
}

/// A number for tables: thousands apart, few decimals.
#[must_use]
pub fn show(n: f64) -> String {
    if n.abs() >= 1000.0 {
        let digits = format!("{:.0}", n);
        let grouped: Vec<String> =
            digits.as_bytes().rchunks(3).rev().map(|c| String::from_utf8_lossy(c).into_owned()).collect();
        grouped.join(",")
    } else if n.fract() == 0.0 {
        format!("{n:.0}")
    } else {
        format!("{n:.2}")
    }
}

/// Prints a result: one JSON object, or a table of its fields.
///
/// # Errors
/// When it can't be written as JSON.
pub fn print(title: &str, result: &serde_json::Value, json: bool) -> Result<()> {
    if json {
        println!("{}", serde_json::to_string(result)?);
        return Ok(());
    }
    println!("\n{title}");
    rows(result, 2);
    Ok(())
}

fn rows(value: &serde_json::Value, indent: usize) {
    let Some(fields) = value.as_object() else { return };
    for (name, value) in fields {
        let text = match value {
            serde_json::Value::Object(_) => {
                println!("{:indent$}{name}", "");
                rows(value, indent + 2);
                continue;
            }
            serde_json::Value::Number(n) => show(n.as_f64().unwrap_or(0.0)),
            serde_json::Value::String(text) => text.clone(),
            other => other.to_string(),
        };
        let width = 34_usize.saturating_sub(indent);
        println!("{:indent$}{name:<width$} {text}", "");
    }
}

/// The value below which the share `q` of the values lies; 0 for none.
#[must_use]
pub fn quantile(values: &mut [i64], q: f64) -> i64 {
    values.sort_unstable();
    let at = ((values.len() as f64 * q).ceil() as usize).saturating_sub(1);
    values.get(at).copied().unwrap_or(0)
}
