//! Files over the API: those that came in are served by their message, those to be sent are uploaded to WhatsApp first.
//! Files of strangers are hostile: they are handed over as downloads and never as pages.

use super::{Caller, Params, parse};
use crate::App;
use crate::problem::Problem;
use axum::Json;
use axum::body::Body;
use axum::extract::{Path, State};
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header};
use ponte_domain::error::{CallError, ErrorClass};
use ponte_domain::error::{INVALID_REQUEST, NOT_FOUND, NUMBER_UNKNOWN, UNAVAILABLE, UPSTREAM_REFUSED};
use ponte_domain::ids::{MessageId, NumberId};
use serde::Deserialize;
use serde_json::json;

/// Largest file to be uploaded, bytes: WhatsApp's limit for documents.
pub(crate) const LARGEST: usize = 100 << 20;

/// The file of a message.
pub(super) async fn of_message(_: Caller, State(app): State<App>, Path(id): Path<String>) -> Result<Response, Problem> {
    let id: MessageId = parse("id", &id)?;
    let view = app.world.store.message(app.world.workspace, id).await?;
    let found = view.and_then(|v| v.media_key.map(|key| (key, v.media_type)));
    let Some((key, kind)) = found else {
        return Err(Problem::new(NOT_FOUND, Some("the message has no stored file (yet)".to_owned())));
    };
    let bytes = app.world.blobs.get(&key).await.map_err(|e| {
        tracing::error!(error = %e, "a stored file can't be read");
        Problem::new(UNAVAILABLE, None)
    })?;
    let Some(bytes) = bytes else { return Err(Problem::new(NOT_FOUND, Some("the file is gone".to_owned()))) };
    let mut response = Response::new(Body::from(bytes));
    let kind = kind.and_then(|k| HeaderValue::from_str(&k).ok());
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, kind.unwrap_or(HeaderValue::from_static("application/octet-stream")));
    as_download(headers);
    Ok(response)
}

/// A stranger's file is saved, never shown as a page.
pub(crate) fn as_download(headers: &mut HeaderMap) {
    for (name, value) in DOWNLOAD {
        headers.insert(name, HeaderValue::from_static(value));
    }
}

const DOWNLOAD: [(HeaderName, &str); 4] = [
    (header::CONTENT_DISPOSITION, "attachment"),
    (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
    (header::CONTENT_SECURITY_POLICY, "default-src 'none'; sandbox"),
    (header::CACHE_CONTROL, "private, max-age=31536000, immutable"),
];

#[derive(Deserialize)]
pub(super) struct Upload {
    /// `phone_number_id`; default: the first configured.
    from: Option<NumberId>,
    /// Name of the file.
    filename: Option<String>,
}

/// Uploads the body to WhatsApp; the id it gives can be sent for 30 days.
pub(super) async fn upload(
    _: Caller,
    State(app): State<App>,
    Params(upload): Params<Upload>,
    headers: HeaderMap,
    body: Bytes,
) -> Result<Response, Problem> {
    let directory = &app.world.directory;
    let number = match &upload.from {
        Some(id) => directory.get(id),
        None => directory.default_number(),
    };
    let number = number.ok_or_else(|| Problem::new(NUMBER_UNKNOWN, None))?;
    let kind = headers.get(header::CONTENT_TYPE).and_then(|v| v.to_str().ok()).unwrap_or_default();
    if body.is_empty() || kind.is_empty() {
        let detail = "send the file as the body, with its Content-Type".to_owned();
        return Err(Problem::new(INVALID_REQUEST, Some(detail)));
    }
    let filename = upload.filename.as_deref().unwrap_or("file");
    let uploaded = app.world.channel.upload_media(&number.id, body, kind, filename).await;
    let id = uploaded.map_err(|error| refused(&error))?;
    Ok((StatusCode::CREATED, Json(json!({ "id": id }))).into_response())
}

fn refused(error: &CallError) -> Problem {
    let code = match error.class {
        ErrorClass::Permanent => INVALID_REQUEST,
        _ => UPSTREAM_REFUSED,
    };
    Problem::new(code, Some(error.to_string()))
}
