//! The listener: connections, the short path of the webhook, everything else through the router, a graceful end.

use crate::{App, api, graph, health, oauth, unread, webhook};
use axum::Router;
use axum::body::Body;
use axum::extract::DefaultBodyLimit;
use http::{Request, Response};
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::server::graceful::GracefulShutdown;
use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;
use tokio::net::TcpListener;
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;
use tower::ServiceExt;

/// Limits of the listener.
#[derive(Debug, Clone)]
pub struct ServerConfig {
    /// Largest webhook body, bytes. Meta sends up to 3 MB.
    pub webhook_body_limit: usize,
    /// Largest API body, bytes.
    pub api_body_limit: usize,
    /// Connections at once; more wait.
    pub max_connections: usize,
}

impl Default for ServerConfig {
    fn default() -> Self {
        Self { webhook_body_limit: 4 << 20, api_body_limit: 2 << 20, max_connections: 4096 }
    }
}

/// Memory for webhook bodies under way, KiB.
pub const BODY_ROOM_KIB: usize = 64 * 1024;
/// How long a client may take for the head of a request.
const HEAD_TIMEOUT: Duration = Duration::from_secs(15);
/// How long the end waits for requests under way.
const DRAIN: Duration = Duration::from_secs(10);

/// The HTTP server, bound and ready to run.
pub struct Server {
    listener: TcpListener,
    app: App,
    config: ServerConfig,
}

impl Server {
    /// Binds the address.
    ///
    /// # Errors
    /// When the address can't be bound.
    pub async fn bind(listen: SocketAddr, app: App, config: ServerConfig) -> std::io::Result<Self> {
        Ok(Self { listener: TcpListener::bind(listen).await?, app, config })
    }

    /// The address it listens on.
    ///
    /// # Errors
    /// When the system can't tell.
    pub fn address(&self) -> std::io::Result<SocketAddr> {
        self.listener.local_addr()
    }

    /// Serves until stopped, then ends what is under way.
    pub async fn run(self, stop: CancellationToken) {
        let router = Router::new()
            .merge(health::routes())
            .merge(api::routes())
            .merge(graph::routes())
            .merge(oauth::routes())
            .fallback(api::not_found)
            .method_not_allowed_fallback(api::method_not_allowed)
            .layer(DefaultBodyLimit::max(self.config.api_body_limit))
            .with_state(self.app.clone());
        let doors = Arc::new(Doors { app: self.app, config: self.config, router });
        let graceful = GracefulShutdown::new();
        let places = Arc::new(Semaphore::new(doors.config.max_connections));
        loop {
            let Ok(place) = Arc::clone(&places).acquire_owned().await else { break };
            let accepted = tokio::select! {
                accepted = self.listener.accept() => accepted,
                () = stop.cancelled() => break,
            };
            let Ok((stream, _)) = accepted else {
                // Out of descriptors, most likely: let some connections end.
                tokio::time::sleep(Duration::from_millis(50)).await;
                continue;
            };
            let _ = stream.set_nodelay(true);
            let doors = Arc::clone(&doors);
            let service = service_fn(move |request| route(Arc::clone(&doors), request));
            let connection = hyper::server::conn::http1::Builder::new()
                .timer(TokioTimer::new())
                .header_read_timeout(HEAD_TIMEOUT)
                .serve_connection(TokioIo::new(stream), service);
            let connection = graceful.watch(connection);
            tokio::spawn(async move {
                let _ = connection.await;
                drop(place);
            });
        }
        let _ = tokio::time::timeout(DRAIN, graceful.shutdown()).await;
    }
}

/// What every request needs, shared: a webhook pays for one counter, not for one of each part.
struct Doors {
    app: App,
    config: ServerConfig,
    router: Router,
}

/// The webhook goes the short way: no router, no layers.
async fn route(doors: Arc<Doors>, request: Request<Incoming>) -> Result<Response<Body>, Infallible> {
    if request.uri().path() == webhook::PATH {
        return Ok(webhook::handle(&doors.app, doors.config.webhook_body_limit, request).await);
    }
    let (head, body) = request.into_parts();
    let (body, read) = unread::watched(body);
    match doors.router.clone().oneshot(Request::from_parts(head, body)).await {
        Ok(response) => Ok(read.told(response)),
        Err(never) => match never {},
    }
}
