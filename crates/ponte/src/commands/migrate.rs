//! `ponte migrate`: brings the schema up to date.

use crate::config::Settings;
use crate::wiring;
use std::process::ExitCode;

/// Migrates.
///
/// # Errors
/// When the database can't be opened or a step fails; nothing is changed then.
pub async fn run(settings: Settings) -> anyhow::Result<ExitCode> {
    let store = wiring::open_store(&settings, false, true).await?;
    println!("the database has schema {}", ponte_store::SCHEMA_VERSION);
    store.close().await;
    Ok(ExitCode::SUCCESS)
}
