//! `ponte demo`.
use clap::Args;
use std::process::ExitCode;
/// Options.
#[derive(Args)]
pub struct Options {}
/// Runs.
///
/// # Errors
/// never
pub async fn run(_: Options) -> anyhow::Result<ExitCode> {
    Ok(ExitCode::SUCCESS)
}
