//! Meta's webhook: verification, and bodies that are durable before they are answered.
//! Facts: whatsapp-api sections 2.1 and 2.2.

use crate::App;
use crate::problem::text;
use axum::body::Body;
use http::{HeaderMap, Method, Request, Response, StatusCode, header};
use http_body_util::{BodyExt, LengthLimitError, Limited};
use hyper::body::Incoming;
use ponte_engine::receive::Refusal;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::OwnedSemaphorePermit;

/// Where Meta finds us.
pub(crate) const PATH: &str = "/webhooks/whatsapp";
/// How long a body may take to arrive.
const BODY_TIMEOUT: Duration = Duration::from_secs(20);
/// How long a body waits for room before Meta is asked to come again.
const ROOM_TIMEOUT: Duration = Duration::from_secs(5);

pub(crate) async fn handle(app: &App, limit: usize, request: Request<Incoming>) -> Response<Body> {
    match *request.method() {
        Method::GET => verification(app, request.uri().query().unwrap_or_default()),
        Method::POST => {
            let response = body(app, limit, request).await;
            if response.status().is_client_error() {
                metrics_refused(response.status());
            }
            response
        }
        _ => {
            let mut response = text(StatusCode::METHOD_NOT_ALLOWED, "use GET to verify and POST to deliver");
            response.headers_mut().insert(header::ALLOW, header::HeaderValue::from_static("GET, POST"));
            response
        }
    }
}

/// `hub.challenge` goes back as it came when mode and token are right.
fn verification(app: &App, query: &str) -> Response<Body> {
    let get = |name: &str| query_value(query, name).unwrap_or_default();
    let (mode, token, challenge) = (get("hub.mode"), get("hub.verify_token"), get("hub.challenge"));
    if challenge.is_empty() || !app.receiver.verify_subscription(&mode, &token) {
        return text(
            StatusCode::FORBIDDEN,
            "hub.mode must be subscribe and hub.verify_token one of the configured tokens",
        );
    }
    // Plain text, whatever the challenge holds.
    let mut response = text(StatusCode::OK, challenge);
    let headers = response.headers_mut();
    headers.insert(header::X_CONTENT_TYPE_OPTIONS, header::HeaderValue::from_static("nosniff"));
    response
}

async fn body(app: &App, limit: usize, request: Request<Incoming>) -> Response<Body> {
    let (head, incoming) = request.into_parts();
    if !is_json(&head.headers) {
        app.receiver.refused_early();
        return text(StatusCode::UNSUPPORTED_MEDIA_TYPE, "content-type must be application/json");
    }
    if declared_length(&head.headers).is_some_and(|n| n > limit as u64) {
        app.receiver.refused_early();
        return too_large(limit);
    }
    let Some(_room) = room_for(app, declared_length(&head.headers), limit).await else {
        return text(StatusCode::SERVICE_UNAVAILABLE, "too many large bodies at once");
    };
    let collected = tokio::time::timeout(BODY_TIMEOUT, Limited::new(incoming, limit).collect()).await;
    let bytes = match collected {
        Ok(Ok(collected)) => collected.to_bytes(),
        Ok(Err(error)) => {
            app.receiver.refused_early();
            return match error.downcast_ref::<LengthLimitError>() {
                Some(_) => too_large(limit),
                None => text(StatusCode::BAD_REQUEST, "the body broke off"),
            };
        }
        Err(_) => {
            app.receiver.refused_early();
            return text(StatusCode::REQUEST_TIMEOUT, "the body did not arrive in time");
        }
    };
    let signature = head.headers.get("x-hub-signature-256").and_then(|v| v.to_str().ok());
    match app.receiver.take(bytes, signature).await {
        Ok(()) => Response::new(Body::empty()),
        Err(refusal) => text(status_of(refusal), refusal.to_string()),
    }
}

/// Memory for the body, within what all bodies together may take. Held until the body is on the disk.
async fn room_for(app: &App, declared: Option<u64>, limit: usize) -> Option<OwnedSemaphorePermit> {
    let bytes = declared.and_then(|n| usize::try_from(n).ok()).unwrap_or(limit);
    let pages = u32::try_from(bytes / 1024 + 1).unwrap_or(u32::MAX);
    let room = Arc::clone(&app.body_room).acquire_many_owned(pages);
    tokio::time::timeout(ROOM_TIMEOUT, room).await.ok()?.ok()
}

const fn status_of(refusal: Refusal) -> StatusCode {
    match refusal {
        Refusal::Unsigned | Refusal::BadSignature => StatusCode::UNAUTHORIZED,
        Refusal::Malformed => StatusCode::BAD_REQUEST,
        Refusal::Unavailable => StatusCode::SERVICE_UNAVAILABLE,
    }
}

fn too_large(limit: usize) -> Response<Body> {
    text(StatusCode::PAYLOAD_TOO_LARGE, format!("at most {limit} bytes"))
}

fn metrics_refused(status: StatusCode) {
    metrics::counter!("ponte_webhooks_refused_by_status_total", "status" => status.as_str().to_owned()).increment(1);
}

fn is_json(headers: &HeaderMap) -> bool {
    let value = headers.get(header::CONTENT_TYPE).and_then(|v| v.to_str().ok()).unwrap_or_default();
    value.split(';').next().is_some_and(|kind| kind.trim().eq_ignore_ascii_case("application/json"))
}

fn declared_length(headers: &HeaderMap) -> Option<u64> {
    headers.get(header::CONTENT_LENGTH)?.to_str().ok()?.parse().ok()
}

/// The first value of a query parameter, decoded.
fn query_value(query: &str, name: &str) -> Option<String> {
    query.split('&').find_map(|pair| {
        let (key, value) = pair.split_once('=')?;
        (decode(key) == name).then(|| decode(value))
    })
}

/// Percent-decoding of a form value.
fn decode(text: &str) -> String {
    let mut out = Vec::with_capacity(text.len());
    let mut bytes = text.bytes();
    while let Some(byte) = bytes.next() {
        match byte {
            b'+' => out.push(b' '),
            b'%' => {
                let rest = bytes.clone();
                let hex: Option<u8> = {
                    let pair: Vec<u8> = rest.take(2).collect();
                    std::str::from_utf8(&pair)
                        .ok()
                        .filter(|p| p.len() == 2)
                        .and_then(|p| u8::from_str_radix(p, 16).ok())
                };
                match hex {
                    Some(value) => {
                        out.push(value);
                        bytes.nth(1);
                    }
                    None => out.push(b'%'),
                }
            }
            other => out.push(other),
        }
    }
    String::from_utf8_lossy(&out).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn query_values_are_decoded() {
        let query = "hub.mode=subscribe&hub%2Echallenge=11%2B2&hub.verify_token=a+b%zz%4";
        assert_eq!(query_value(query, "hub.mode").as_deref(), Some("subscribe"));
        assert_eq!(query_value(query, "hub.challenge").as_deref(), Some("11+2"));
        assert_eq!(query_value(query, "hub.verify_token").as_deref(), Some("a b%zz%4"));
        assert_eq!(query_value(query, "missing"), None);
    }
}
