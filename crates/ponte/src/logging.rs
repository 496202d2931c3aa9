//! Logs: structured, without personal data; to standard error, or into a file where the terminal is taken.

use crate::config::{LogFormat, Settings};
use std::fs::File;
use std::sync::Mutex;
use tracing_subscriber::EnvFilter;
use tracing_subscriber::fmt::MakeWriter;

/// Starts logging as configured.
///
/// # Errors
/// When the filter can't be read.
pub fn start(settings: &Settings) -> anyhow::Result<()> {
    start_to(settings, std::io::stderr)
}

/// Starts logging as configured, into a file.
///
/// # Errors
/// When the filter can't be read.
pub fn start_in(settings: &Settings, file: File) -> anyhow::Result<()> {
    start_to(settings, Mutex::new(file))
}

fn start_to<W>(settings: &Settings, writer: W) -> anyhow::Result<()>
where
    W: for<'a> MakeWriter<'a> + Send + Sync + 'static,
{
    let filter = EnvFilter::try_new(&settings.log.level)
        .map_err(|e| anyhow::anyhow!("[log] level {:?} can't be read: {e}; write info", settings.log.level))?;
    let builder = tracing_subscriber::fmt().with_env_filter(filter).with_writer(writer);
    // A second start (demo and tests in one process) keeps the first.
    let _ = match settings.log.format {
        LogFormat::Text => builder.with_ansi(false).try_init(),
        LogFormat::Json => builder.json().flatten_event(true).try_init(),
    };
    Ok(())
}
