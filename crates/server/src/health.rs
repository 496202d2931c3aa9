//! Health: alive, ready, measured.

use crate::App;
use crate::problem::text;
use axum::Router;
use axum::extract::State;
use axum::response::Response;
use axum::routing::get;
use http::{HeaderValue, StatusCode, header};
use ponte_engine::pulse::Lags;
use std::fmt::Write;
use std::sync::atomic::Ordering;

pub(crate) fn routes() -> Router<App> {
    Router::new().route("/healthz", get(healthz)).route("/readyz", get(readyz)).route("/metrics", get(render))
}

/// The process runs.
async fn healthz() -> Response {
    text(StatusCode::OK, "alive\n")
}

/// It can take webhooks now: the database writes, and no stop is under way.
async fn readyz(State(app): State<App>) -> Response {
    if app.draining.load(Ordering::Relaxed) {
        return text(StatusCode::SERVICE_UNAVAILABLE, "stopping\n");
    }
    match app.world.store.check().await {
        Ok(()) => text(StatusCode::OK, "ready\n"),
        Err(_) => text(StatusCode::SERVICE_UNAVAILABLE, "the database can't be written now\n"),
    }
}

async fn render(State(app): State<App>) -> Response {
    let mut page = (app.metrics)();
    let pulse = &app.world.pulse;
    for (name, value) in pulse.counters() {
        let _ = writeln!(page, "# TYPE {name} counter\n{name} {value}");
    }
    let name = "ponte_retention_removed_total";
    let _ = writeln!(page, "# TYPE {name} counter");
    for (kind, counter) in pulse.forgotten.all() {
        let _ = writeln!(page, "{name}{{kind=\"{}\"}} {}", kind.as_str(), counter.get());
    }
    histogram(&mut page, "ponte_to_crm_seconds", &pulse.to_crm);
    histogram(&mut page, "ponte_to_whatsapp_seconds", &pulse.to_whatsapp);
    histogram(&mut page, "ponte_to_fold_seconds", &pulse.to_fold);
    if let Ok(queues) = app.world.store.queues(app.world.workspace, app.world.clock.now()).await {
        let gauges = [
            ("ponte_journal_pending_segments", queues.journal_pending as f64),
            ("ponte_journal_lag_seconds", queues.journal_lag_ms as f64 / 1000.0),
            ("ponte_nodes", queues.nodes as f64),
        ];
        for (name, value) in gauges {
            let _ = writeln!(page, "# TYPE {name} gauge\n{name} {value}");
        }
        for (name, rows) in [("ponte_jobs_waiting", &queues.jobs), ("ponte_dead_letters_waiting", &queues.dead_letters)]
        {
            let _ = writeln!(page, "# TYPE {name} gauge");
            for (kind, n) in rows {
                let _ = writeln!(page, "{name}{{kind=\"{kind}\"}} {n}");
            }
        }
    }
    let mut response = text(StatusCode::OK, page);
    let kind = HeaderValue::from_static("text/plain; version=0.0.4; charset=utf-8");
    response.headers_mut().insert(header::CONTENT_TYPE, kind);
    response
}

fn histogram(page: &mut String, name: &str, lags: &Lags) {
    let (rows, sum, count) = lags.histogram();
    let _ = writeln!(page, "# TYPE {name} histogram");
    for (bound, n) in rows {
        let _ = writeln!(page, "{name}_bucket{{le=\"{bound:.4}\"}} {n}");
    }
    let _ = writeln!(page, "{name}_bucket{{le=\"+Inf\"}} {count}\n{name}_sum {sum}\n{name}_count {count}");
}
