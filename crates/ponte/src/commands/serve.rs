//! `ponte serve`: runs until asked to stop, then drains.

use crate::config::Settings;
use crate::{logging, wiring};
use metrics_exporter_prometheus::PrometheusBuilder;
use std::process::ExitCode;
use std::sync::Arc;
use tokio::signal::unix::{SignalKind, signal};

/// Serves.
///
/// # Errors
/// When something needed at start isn't there.
pub async fn run(settings: Settings) -> anyhow::Result<ExitCode> {
    logging::start(&settings)?;
    let recorder = PrometheusBuilder::new().build_recorder();
    let handle = recorder.handle();
    metrics::set_global_recorder(recorder).map_err(|e| anyhow::anyhow!("metrics: {e}"))?;
    if settings.apps.is_empty() {
        tracing::warn!("no [[whatsapp.apps]] configured: every webhook will be refused");
    }
    let assembly = wiring::assemble(settings, true).await?;
    let upkeep = handle.clone();
    tokio::spawn(async move {
        loop {
            tokio::time::sleep(std::time::Duration::from_secs(5)).await;
            upkeep.run_upkeep();
        }
    });
    let running = wiring::start(assembly, Arc::new(move || handle.render())).await?;
    tracing::info!(address = %running.address, "ponte serves");
    stop_asked().await?;
    tracing::info!("stopping: no more requests, finishing what is under way");
    running.stop().await;
    tracing::info!("stopped");
    Ok(ExitCode::SUCCESS)
}

/// Waits for SIGTERM or SIGINT.
pub(super) async fn stop_asked() -> anyhow::Result<()> {
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    tokio::select! {
        _ = terminate.recv() => {}
        _ = interrupt.recv() => {}
    }
    Ok(())
}
