//! Knows whether a request has begun to leave: the HTTP client asks for the body only once it has a connection and has put the
//! head into the buffer of that connection. Before that, nothing can have reached the other side.

use bytes::Bytes;
use hyper::body::{Body, Frame, SizeHint};
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll};

/// Set once the request may have left.
#[derive(Debug, Clone, Default)]
pub(crate) struct Sent(Arc<AtomicBool>);

impl Sent {
    pub(crate) fn get(&self) -> bool {
        self.0.load(Ordering::Acquire)
    }

    pub(crate) fn set(&self) {
        self.0.store(true, Ordering::Release);
    }
}

/// A body that reports when it is first asked for.
pub(crate) struct Tracked {
    inner: reqwest::Body,
    sent: Sent,
}

impl Tracked {
    pub(crate) fn wrap(inner: reqwest::Body, sent: Sent) -> reqwest::Body {
        reqwest::Body::wrap(Self { inner, sent })
    }
}

/// A body that is handed over piece by piece.
pub(crate) struct Pieces(tokio::sync::mpsc::Receiver<Bytes>);

impl Pieces {
    pub(crate) fn wrap(pieces: tokio::sync::mpsc::Receiver<Bytes>) -> reqwest::Body {
        reqwest::Body::wrap(Self(pieces))
    }
}

impl Body for Pieces {
    type Data = Bytes;
    type Error = std::convert::Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, std::convert::Infallible>>> {
        self.0.poll_recv(cx).map(|piece| piece.map(|piece| Ok(Frame::data(piece))))
    }
}

impl Body for Tracked {
    type Data = Bytes;
    type Error = reqwest::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, reqwest::Error>>> {
        self.sent.set();
        Pin::new(&mut self.inner).poll_frame(cx)
    }

    fn is_end_stream(&self) -> bool {
        self.inner.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.inner.size_hint()
    }
}
