//! Logs: structured, to standard error, without personal data.

use crate::config::{LogFormat, Settings};
use tracing_subscriber::EnvFilter;

/// Starts logging as configured.
///
/// # Errors
/// When the filter can't be read.
pub fn start(settings: &Settings) -> anyhow::Result<()> {
    let filter = EnvFilter::try_new(&settings.log.level)
        .map_err(|e| anyhow::anyhow!("[log] level {:?} can't be read: {e}; write info", settings.log.level))?;
    let builder = tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr);
    // A second start (demo and tests in one process) keeps the first.
    let _ = match settings.log.format {
        LogFormat::Text => builder.with_ansi(false).try_init(),
        LogFormat::Json => builder.json().flatten_event(true).try_init(),
    };
    Ok(())
}
