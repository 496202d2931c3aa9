//! The port through which what is older than its period is removed, a bounded amount at a time. Every verb is one transaction.
//! When something is too old is decided by the caller.

use crate::Millis;
use crate::error::StoreError;
use crate::event::EventCursor;
use crate::ids::WorkspaceId;
use crate::retention::Kind;
use async_trait::async_trait;
use uuid::Uuid;

/// Where a walk over rows stands. Opaque.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Place {
    /// Time of the last row looked at.
    pub at: Millis,
    /// Its id.
    pub id: Uuid,
}

/// What is too old.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Cut {
    /// What is older than this.
    pub before: Millis,
    /// Events after this are kept, for somebody still has to read them; `None`: nobody reads.
    pub read_to: Option<EventCursor>,
    /// Where the last step of this run ended.
    pub after: Place,
}

/// What one step came to.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Trimmed {
    /// Things removed.
    pub removed: u64,
    /// Where the next step goes on; `None` at the end.
    pub next: Option<Place>,
}

/// Retention.
#[async_trait]
pub trait Retention: Send + Sync {
    /// Removes a bounded amount of a kind that is too old.
    async fn trim(&self, workspace: WorkspaceId, kind: Kind, cut: Cut, now: Millis) -> Result<Trimmed, StoreError>;

    /// How much a whole run would remove. Counts rows: for people who ask.
    async fn too_old(&self, workspace: WorkspaceId, kind: Kind, cut: Cut) -> Result<u64, StoreError>;

    /// Since when there is something of a kind; `None` when there is nothing.
    async fn oldest(&self, workspace: WorkspaceId, kind: Kind) -> Result<Option<Millis>, StoreError>;

    /// Where every reader of events stands, by name.
    async fn cursors(&self, workspace: WorkspaceId) -> Result<Vec<(String, EventCursor)>, StoreError>;
}
