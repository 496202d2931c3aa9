//! Bodies that an answer didn't wait for. Who is refused by the head alone (no key, no such number) may still be sending; hyper then
//! closes the connection after the answer, and a client that keeps connections would lose its next request on it. So the answer says
//! that the connection ends.
//! Must not touch: what a body says.

use axum::body::Body;
use bytes::Bytes;
use http::{HeaderValue, Response, header};
use hyper::body::{Body as _, Frame, Incoming, SizeHint};
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll, ready};

/// Whether a request's body was read to its end.
#[derive(Debug, Clone)]
pub(crate) struct Read(Arc<AtomicBool>);

impl Read {
    /// The answer, which says that the connection ends where the body wasn't read.
    pub(crate) fn told(&self, mut response: Response<Body>) -> Response<Body> {
        if !self.0.load(Ordering::Relaxed) {
            response.headers_mut().insert(header::CONNECTION, HeaderValue::from_static("close"));
        }
        response
    }
}

/// A body, and whether it was read.
pub(crate) fn watched(body: Incoming) -> (Body, Read) {
    let read = Arc::new(AtomicBool::new(body.is_end_stream()));
    (Body::new(Watched { body, read: Arc::clone(&read) }), Read(read))
}

struct Watched {
    body: Incoming,
    read: Arc<AtomicBool>,
}

impl hyper::body::Body for Watched {
    type Data = Bytes;
    type Error = hyper::Error;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, hyper::Error>>> {
        let frame = ready!(Pin::new(&mut self.body).poll_frame(cx));
        if frame.is_none() || self.body.is_end_stream() {
            self.read.store(true, Ordering::Relaxed);
        }
        Poll::Ready(frame)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}
