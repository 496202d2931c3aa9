//! # Receive
//! Purpose: a webhook body is checked over its raw bytes, made durable, and only then answered.
//! May touch: the journal (appends).
//! Must not touch: anything else. What a body says is read later.
//! Failure story: killed before the commit, no answer was given and Meta sends it again; killed after, it is in the journal.

use crate::World;
use bytes::Bytes;
use ponte_domain::error::StoreError;
use ponte_domain::ids::WorkspaceId;
use ponte_domain::ports::store::JournalEntry;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

/// Checks signatures; knows which app's secret belongs to which workspace.
pub trait Verifier: Send + Sync {
    /// Checks `X-Hub-Signature-256` over the raw bytes; whose body it is.
    ///
    /// # Errors
    /// Why it is refused.
    fn verify(&self, body: &[u8], signature: Option<&str>) -> Result<WorkspaceId, Refusal>;

    /// True when Meta's verification request carries one of our verify tokens.
    fn verify_subscription(&self, mode: &str, token: &str) -> bool;
}

/// Why a body is not taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// No signature.
    #[error("the X-Hub-Signature-256 header is missing")]
    Unsigned,
    /// A wrong signature.
    #[error("the signature does not belong to this body: is the app secret right?")]
    BadSignature,
    /// No JSON object.
    #[error("the body is not a JSON object")]
    Malformed,
    /// It could not be made durable.
    #[error("the body can't be stored safely now")]
    Unavailable,
}

/// Takes webhook bodies.
pub struct Receiver {
    world: World,
    verifier: Arc<dyn Verifier>,
    waiting: AtomicUsize,
    peak: AtomicUsize,
}

impl Receiver {
    /// A receiver for the bodies that `verifier` accepts.
    #[must_use]
    pub fn new(world: World, verifier: Arc<dyn Verifier>) -> Self {
        Self { world, verifier, waiting: AtomicUsize::new(0), peak: AtomicUsize::new(0) }
    }

    /// Answers Meta's verification request.
    #[must_use]
    pub fn verify_subscription(&self, mode: &str, token: &str) -> bool {
        self.verifier.verify_subscription(mode, token)
    }

    /// The most bodies that waited for the disk at once since this was last asked: ingest steps back while there are many.
    /// Not how many wait now, for right after a commit that is none, also in a flood.
    #[must_use]
    pub fn pressure(&self) -> usize {
        self.peak.swap(self.waiting.load(Ordering::Relaxed), Ordering::Relaxed)
    }

    /// Checks a body and makes it durable. Success is told only after the commit.
    ///
    /// # Errors
    /// See [`Refusal`]; nothing was stored then.
    pub async fn take(&self, body: Bytes, signature: Option<&str>) -> Result<(), Refusal> {
        let taken = self.check_and_append(body, signature).await;
        let pulse = &self.world.pulse;
        match taken {
            Ok(()) => pulse.webhooks_acknowledged.add(1),
            Err(Refusal::Unavailable) => pulse.webhooks_unavailable.add(1),
            Err(_) => pulse.webhooks_refused.add(1),
        }
        taken
    }

    async fn check_and_append(&self, body: Bytes, signature: Option<&str>) -> Result<(), Refusal> {
        let workspace = self.verifier.verify(&body, signature)?;
        if !is_json_object(&body) {
            return Err(Refusal::Malformed);
        }
        let entry = JournalEntry { received_at: self.world.clock.now(), body };
        let waiting = self.waiting.fetch_add(1, Ordering::Relaxed) + 1;
        self.peak.fetch_max(waiting, Ordering::Relaxed);
        let appended = self.world.store.journal_append(workspace, entry).await;
        self.waiting.fetch_sub(1, Ordering::Relaxed);
        appended.map_err(|error: StoreError| {
            tracing::error!(error = %error, "a webhook could not be stored and was answered 503");
            Refusal::Unavailable
        })
    }

    /// Counts a refusal that was decided before the body reached the receiver (too large, wrong type).
    pub fn refused_early(&self) {
        self.world.pulse.webhooks_refused.add(1);
    }
}

/// A full syntax check without building anything.
fn is_json_object(body: &[u8]) -> bool {
    let starts = body.iter().find(|b| !b.is_ascii_whitespace()) == Some(&b'{');
    // Texts that are skipped are not looked into: that they are UTF-8 is asked first.
    let text = std::str::from_utf8(body);
    starts && text.is_ok_and(|text| serde_json::from_str::<serde::de::IgnoredAny>(text).is_ok())
}

#[cfg(test)]
mod tests {
    use super::is_json_object;

    #[test]
    fn objects_only() {
        assert!(is_json_object(b" {\"a\":[1,2,{}]}"));
        for bad in [&b""[..], b"[]", b"{", b"{\"a\":1}x", b"null", b"\xff{}", b"{\"a\":\"\xff\"}"] {
            assert!(!is_json_object(bad), "{bad:?}");
        }
    }
}
