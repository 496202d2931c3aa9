//! Where CRMs tell of changes: `POST /webhooks/crm/{connection}`. What they tell is checked, filed, and only then answered 200.
//! Must not touch: what a notification says; the connection's port reads it.

use crate::App;
use crate::problem::Problem;
use axum::body::Bytes;
use axum::extract::{Path, State};
use axum::response::{IntoResponse, Response};
use http::{HeaderMap, Method, StatusCode, Uri, header};
use ponte_domain::crm::{CrmNotice, NoticeRefused};
use ponte_domain::error::{INVALID_REQUEST, NOT_FOUND, UNAUTHENTICATED};

/// Takes a notification.
pub(crate) async fn notice(
    State(app): State<App>,
    Path(name): Path<String>,
    method: Method,
    uri: Uri,
    headers: HeaderMap,
    body: Bytes,
) -> Result<Response, Problem> {
    let connection = app.crms.iter().find(|crm| crm.id.as_str() == name);
    let connection =
        connection.ok_or_else(|| Problem::new(NOT_FOUND, Some("there is no such connection".to_owned())))?;
    let now = app.world.clock.now();
    let text = |name: &header::HeaderName, value: &header::HeaderValue| {
        Some((name.as_str().to_owned(), value.to_str().ok()?.to_owned()))
    };
    let known: Vec<(String, String)> = headers.iter().filter_map(|(name, value)| text(name, value)).collect();
    let address = address(connection.settings.notify_url.as_deref(), &headers, &uri);
    let notice = CrmNotice { method: method.as_str(), uri: &address, headers: &known, body: &body, now };
    let hints = connection.crm.notice(&notice).map_err(|refused| {
        tracing::warn!(connection = %connection.id, "a notification was refused: {refused}");
        let code = match refused {
            NoticeRefused::NotSetUp => NOT_FOUND,
            NoticeRefused::Unsigned | NoticeRefused::TooOld => UNAUTHENTICATED,
            NoticeRefused::Unreadable => INVALID_REQUEST,
        };
        Problem::new(code, Some(refused.to_string()))
    })?;
    if connection.settings.pull && !hints.is_empty() {
        app.world.sync.file_notices(app.world.workspace, &connection.id, hints, now).await?;
    }
    Ok(StatusCode::OK.into_response())
}

/// Our address as the CRM calls it, which some sign: as configured, else as the request names it.
fn address(configured: Option<&str>, headers: &HeaderMap, uri: &Uri) -> String {
    let path = uri.path_and_query().map_or("/", |p| p.as_str());
    let host = || headers.get(header::HOST).and_then(|v| v.to_str().ok()).unwrap_or_default();
    configured.map_or_else(|| format!("https://{}{path}", host()), |base| format!("{base}{path}"))
}
