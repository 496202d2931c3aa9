//! Contacts: a messy table of people, made on the spot, imported, normalised and cleaned of duplicates by the program's own
//! commands, as a user would. The same with a tenth of the rows, for the cost of a row at both sizes.

use super::Options;
use crate::rig::process::memory_mb;
use crate::rig::{self, Machine, Place, program};
use anyhow::{Context, Result, bail};
use ponte_tables::generate::{Planted, messy};
use serde_json::{Value, json};
use std::fs::File;
use std::io::{BufWriter, Write};
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode, Stdio};
use std::time::{Duration, Instant};

/// How many people, and of what seed.
#[derive(Debug, Clone, clap::Args)]
pub struct ContactOptions {
    #[command(flatten)]
    pub common: Options,
    /// Rows of the large table.
    #[arg(long, default_value_t = 1_000_000)]
    pub rows: u64,
    /// Seed of the table.
    #[arg(long, default_value_t = 1)]
    pub seed: u64,
}

/// What one table came to.
struct Ran {
    planted: Planted,
    import_s: f64,
    clean_s: f64,
    peak_mb: f64,
    imported: Value,
    cleaned: Value,
}

impl Ran {
    fn seconds(&self) -> f64 {
        self.import_s + self.clean_s
    }
}

pub async fn run(options: &ContactOptions) -> Result<ExitCode> {
    let mut place = Place::new(options.common.database, "contacts")?;
    let tenth = (options.rows / 10).max(1);
    let small = table(&mut place, tenth, options.seed).await?;
    let large = table(&mut place, options.rows, options.seed).await?;
    let per_row = |ran: &Ran, rows: u64| ran.seconds() / rows as f64;
    let hundredth = |n: f64| (n * 100.0).round() / 100.0;
    let report = json!({
        "database": options.common.database, "rows": options.rows, "seconds": hundredth(large.seconds()),
        "rows_per_s": (options.rows as f64 / large.seconds()).round(), "peak_rss_mb": large.peak_mb,
        "per_row_ratio_1m_to_100k": hundredth(per_row(&large, options.rows) / per_row(&small, tenth)),
        "import_seconds": hundredth(large.import_s), "clean_seconds": hundredth(large.clean_s),
        "small_rows": tenth, "small_seconds": hundredth(small.seconds()),
        "planted": { "people": large.planted.people, "missing": large.planted.missing, "invalid": large.planted.invalid,
            "duplicates": large.planted.duplicates },
        "import": large.imported, "clean": large.cleaned, "machine": Machine::here(),
    });
    rig::print("contacts", &report, options.common.json)?;
    Ok(ExitCode::SUCCESS)
}

async fn table(place: &mut Place, rows: u64, seed: u64) -> Result<Ran> {
    let file = place.folder().join(format!("people-{rows}.csv"));
    let mut out = BufWriter::with_capacity(1 << 20, File::create(&file)?);
    let planted = messy(rows, seed, &mut out)?;
    out.flush()?;
    drop(out);
    let config = place.folder().join(format!("people-{rows}.toml"));
    let media = place.folder().join("media");
    std::fs::write(
        &config,
        format!("[database]\nurl = \"{}\"\n[storage]\nmedia_dir = \"{}\"\n", place.database().await?, media.display()),
    )?;
    let import = ["contacts", "import", &file.display().to_string(), "--source", "messy", "--json"].map(str::to_owned);
    let (imported, import_s, peak) = timed(&config, &import).await?;
    let clean = ["contacts", "clean", "--json"].map(str::to_owned);
    let (cleaned, clean_s, peak_clean) = timed(&config, &clean).await?;
    eprintln!(
        "contacts: {rows} rows: imported in {import_s:.1} s, cleaned in {clean_s:.1} s, peak {:.0} MB",
        peak.max(peak_clean)
    );
    Ok(Ran { planted, import_s, clean_s, peak_mb: peak.max(peak_clean), imported, cleaned })
}

/// Runs the program's command to its end: what it printed, seconds, the most memory it had.
async fn timed(config: &Path, arguments: &[String]) -> Result<(Value, f64, f64)> {
    let ponte: PathBuf = program()?;
    let begun = Instant::now();
    let mut child = Command::new(ponte)
        .args(arguments)
        .env("PONTE_CONFIG", config)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .spawn()?;
    let mut peak = 0.0_f64;
    while child.try_wait()?.is_none() {
        peak = peak.max(memory_mb(child.id()).1);
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    let seconds = begun.elapsed().as_secs_f64();
    let output = child.wait_with_output()?;
    if !output.status.success() {
        bail!("ponte {} failed", arguments.join(" "));
    }
    let text = String::from_utf8(output.stdout)?;
    let last = text.lines().last().context("no output")?;
    Ok((serde_json::from_str(last)?, seconds, peak))
}
