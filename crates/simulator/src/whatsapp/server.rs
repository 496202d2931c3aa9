//! The HTTP side: connections that can be reset, the token, the path, the answer's headers.
//! May touch: its sockets. Must not touch: what calls mean; `graph` and `control` know.
//! Failure story: a broken connection ends alone. Injected trouble happens here: latency, outages, answers that never come.

use super::control;
use super::errors::ApiError;
use super::graph;
use super::ids;
use super::media;
use super::send;
use super::stats::Counters;
use super::world::{World, purpose};
use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Method, Request, Response, StatusCode};
use http_body_util::{BodyExt, Full, Limited};
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use serde_json::{Map, Value};
use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Notify;

const JSON_MAX: usize = 4 * 1_024 * 1_024;
const OLDEST_LIVE: u32 = 21;

pub(crate) type Answer = Response<Full<Bytes>>;

/// Accepts connections until the simulator stops.
pub(crate) async fn run(world: Arc<World>, listener: TcpListener) {
    loop {
        let stream = tokio::select! {
            () = world.cancel.cancelled() => return,
            accepted = listener.accept() => accepted,
        };
        let Ok((stream, _)) = stream else {
            // Out of descriptors, mostly: wait a moment instead of spinning.
            tokio::time::sleep(Duration::from_millis(20)).await;
            continue;
        };
        let _ = stream.set_nodelay(true);
        world.tasks.spawn(connection(world.clone(), stream));
    }
}

async fn connection(world: Arc<World>, stream: TcpStream) {
    let reset = Arc::new(Notify::new());
    let service = {
        let (world, reset) = (world.clone(), reset.clone());
        service_fn(move |request| {
            let (world, reset) = (world.clone(), reset.clone());
            async move { Ok::<_, Infallible>(answer(world, reset, request).await) }
        })
    };
    let mut connection = http1::Builder::new().serve_connection(TokioIo::new(stream), service);
    tokio::select! {
        _ended = &mut connection => {}
        () = world.cancel.cancelled() => {}
        () = reset.notified() => {
            let _ = connection.into_parts().io.into_inner().set_zero_linger();
        }
    }
}

/// Drops the connection without an answer; never returns.
async fn hang_up(reset: &Notify) -> Answer {
    reset.notify_one();
    std::future::pending().await
}

async fn answer(world: Arc<World>, reset: Arc<Notify>, request: Request<Incoming>) -> Answer {
    let path = request.uri().path().to_owned();
    let mut segments: Vec<&str> = path.split('/').filter(|segment| !segment.is_empty()).collect();
    if segments.first() == Some(&"_sim") {
        return control::answer(&world, &segments, request).await;
    }
    let faults = world.faults();
    if faults.api_down(world.elapsed_ms()) {
        Counters::one(&world.counters.refused_by_outage);
        if faults.outage_refuses {
            return hang_up(&reset).await;
        }
        return refused(&world, &ApiError::new(2, "Service temporarily unavailable"), &Version::current(&world));
    }
    let mut draw = world.draw(purpose::CALL, world.next(purpose::CALL));
    let delay = draw.latency(&faults.latency);
    if !delay.is_zero() {
        tokio::time::sleep(delay).await;
    }
    if segments.first() == Some(&"whatsapp_business") {
        return download(&world, request.headers(), request.uri().query());
    }
    let version = match Version::taken(&world, &mut segments) {
        Ok(version) => version,
        Err(error) => return refused(&world, &error, &Version::current(&world)),
    };
    let sends =
        request.method() == Method::POST && matches!(segments.as_slice(), [_, "messages" | "marketing_messages"]);
    if !authorized(&world, &request, &segments) {
        Counters::one(&world.counters.unauthorized);
        return refused(&world, &ApiError::new(190, ""), &version);
    }
    if !sends {
        Counters::one(&world.counters.other_calls);
        return match graph::call(&world, &segments, request).await {
            Ok(found) => found.into_answer(&world, &version),
            Err(error) => refused(&world, &error, &version),
        };
    }
    if draw.happens(faults.reset_before_accept) {
        Counters::one(&world.counters.sends_dropped);
        return hang_up(&reset).await;
    }
    let silent = draw.happens(faults.timeout_before_accept);
    let body = match read_json(request.into_body()).await {
        Ok(body) => body,
        Err(error) => return refused(&world, &error, &version),
    };
    if silent {
        Counters::one(&world.counters.sends_dropped);
        return std::future::pending().await;
    }
    let receipt = body.contains_key("status");
    if !receipt {
        Counters::one(&world.counters.sends_requested);
    }
    let marketing = segments.get(1) == Some(&"marketing_messages");
    let number = segments.first().copied().unwrap_or_default();
    let outcome =
        graph::marketing_only(&world, number, &body, marketing).and_then(|()| send::message(&world, number, body));
    match outcome {
        Err(error) => {
            world.counters.refuse(error.code);
            refused(&world, &error, &version)
        }
        Ok(value) if receipt => json(&world, StatusCode::OK, &value, &version),
        Ok(value) => {
            let lost = [faults.timeout_after_accept, faults.reset_after_accept, faults.http_500_after_accept];
            let lost = lost.map(|share| share > 0.0 && draw.happens(share));
            if lost.contains(&true) {
                Counters::one(&world.counters.answers_lost);
            }
            match lost {
                [true, ..] => std::future::pending().await,
                [_, true, _] => hang_up(&reset).await,
                [_, _, true] => bare(StatusCode::INTERNAL_SERVER_ERROR, Bytes::from_static(b"Internal Server Error")),
                _ => json(&world, StatusCode::OK, &value, &version),
            }
        }
    }
}

/// The version an answer is given in.
pub(crate) struct Version(String);

impl Version {
    fn current(world: &World) -> Self {
        Self(world.config.graph_version.clone())
    }

    /// Takes `vN.M` off the path. Expired versions are served by the oldest live one, none by the app's setting.
    fn taken(world: &World, segments: &mut Vec<&str>) -> Result<Self, ApiError> {
        let Some(first) = segments.first().copied() else { return Err(ApiError::new(2500, "The path is empty")) };
        let numbers = first.strip_prefix('v').and_then(|rest| rest.split_once('.'));
        let Some((Ok(major), Ok(minor))) = numbers.map(|(major, minor)| (major.parse::<u32>(), minor.parse::<u32>()))
        else {
            return Ok(Self::current(world));
        };
        segments.remove(0);
        let newest = super::status::webhook_version(&world.config.graph_version);
        if major > newest {
            return Err(ApiError::new(2500, format!("Unknown version {first}")));
        }
        Ok(if major < OLDEST_LIVE { Self(format!("v{OLDEST_LIVE}.0")) } else { Self(format!("v{major}.{minor}")) })
    }
}

fn authorized(world: &World, request: &Request<Incoming>, segments: &[&str]) -> bool {
    let header = bearer(request.headers());
    let query = graph::query(request.uri().query());
    let token = header.or_else(|| query.get("access_token").map(String::as_str));
    let app_level = matches!(segments, ["debug_token"] | [_, "subscriptions"]);
    token.is_some_and(|token| {
        token == world.config.access_token
            || (app_level
                && token.split_once('|') == Some((world.config.app_id.as_str(), world.config.app_secret.as_str())))
    })
}

fn bearer(headers: &HeaderMap) -> Option<&str> {
    let value = headers.get("authorization")?.to_str().ok()?;
    value.strip_prefix("Bearer ").or_else(|| value.strip_prefix("OAuth "))
}

/// The bytes of a medium: Bearer token needed, 404 after the address's life.
fn download(world: &World, headers: &HeaderMap, query: Option<&str>) -> Answer {
    if bearer(headers) != Some(world.config.access_token.as_str()) {
        Counters::one(&world.counters.unauthorized);
        return bare(StatusCode::UNAUTHORIZED, Bytes::new());
    }
    if media::fails(world) {
        return bare(StatusCode::INTERNAL_SERVER_ERROR, Bytes::new());
    }
    let Some(item) = media::download(world, &graph::query(query)) else {
        return bare(StatusCode::NOT_FOUND, Bytes::new());
    };
    let mut answer = bare(StatusCode::OK, item.bytes);
    if let Ok(mime) = HeaderValue::from_str(&item.mime) {
        answer.headers_mut().insert("content-type", mime);
    }
    answer
}

/// A JSON object, or an empty one for an empty body.
///
/// # Errors
/// 100 for a body that is too long or not a JSON object.
pub(crate) async fn read_json(body: Incoming) -> Result<Map<String, Value>, ApiError> {
    let bytes = read(body, JSON_MAX).await?;
    if bytes.is_empty() {
        return Ok(Map::new());
    }
    serde_json::from_slice(&bytes).map_err(|_| ApiError::new(100, "The body is not a JSON object"))
}

/// The whole body up to a limit.
///
/// # Errors
/// 100 for a longer or broken body.
pub(crate) async fn read(body: Incoming, limit: usize) -> Result<Bytes, ApiError> {
    let collected = Limited::new(body, limit).collect().await;
    collected
        .map(http_body_util::Collected::to_bytes)
        .map_err(|_| ApiError::new(100, "The body is too long or incomplete"))
}

pub(crate) fn bare(status: StatusCode, body: Bytes) -> Answer {
    let mut answer = Response::new(Full::new(body));
    *answer.status_mut() = status;
    answer
}

pub(crate) fn json(world: &World, status: StatusCode, value: &Value, version: &Version) -> Answer {
    let mut answer = bare(status, Bytes::from(serde_json::to_vec(value).unwrap_or_default()));
    let headers = answer.headers_mut();
    headers.insert("content-type", HeaderValue::from_static("application/json; charset=UTF-8"));
    for (name, value) in [
        ("facebook-api-version", version.0.as_str()),
        ("x-fb-trace-id", &ids::trace(world.config.seed, world.next(purpose::TRACE))),
    ] {
        if let Ok(value) = HeaderValue::from_str(value) {
            headers.insert(name, value);
        }
    }
    answer
}

pub(crate) fn refused(world: &World, error: &ApiError, version: &Version) -> Answer {
    let trace = ids::trace(world.config.seed, world.next(purpose::TRACE));
    let status = StatusCode::from_u16(error.status).unwrap_or(StatusCode::BAD_REQUEST);
    let mut answer = json(world, status, &error.to_json(&trace), version);
    if let Ok(trace) = HeaderValue::from_str(&trace) {
        answer.headers_mut().insert("x-fb-trace-id", trace);
    }
    answer
}
