//! The ports of subscriptions: what is kept of them, and the call to a target. Every verb of the store is one transaction.

use crate::Millis;
use crate::error::{CallError, StoreError};
use crate::event::{Event, NewEvent};
use crate::hook::{Delivery, Filter, Hook, HookState, Secret, Selection};
use crate::ids::{HookId, WorkspaceId};
use crate::job::{JobEnd, Lane, NewJob};
use crate::ports::people::NewAudit;
use async_trait::async_trait;

/// A subscription to be made.
#[derive(Debug, Clone)]
pub struct NewHook {
    /// Its id.
    pub id: HookId,
    /// Where events are posted.
    pub target_url: String,
    /// Which events.
    pub events: Selection,
    /// Narrower than that.
    pub filter: Filter,
    /// What signs.
    pub secret: Secret,
    /// Who makes it.
    pub created_by: String,
    /// When.
    pub at: Millis,
    /// Key under which the caller may ask again.
    pub idempotency_key: Option<String>,
    /// Hash of what was asked: the same key with another wish is refused.
    pub request_hash: String,
}

/// What became of a wish for a subscription.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Added {
    /// It was made.
    New(Hook),
    /// It was made before under the same key: nothing was added.
    Again(Hook),
    /// The key was used before for another wish.
    Different,
    /// There are as many as are allowed.
    Full,
}

/// What is to be different of a subscription.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct HookChange {
    /// The state and why. Resumed, it has never failed.
    pub state: Option<(HookState, Option<String>)>,
    /// Which events.
    pub events: Option<Selection>,
    /// Narrower than that.
    pub filter: Option<Filter>,
    /// Where events are posted.
    pub target_url: Option<String>,
    /// A new secret; until when the one before signs too.
    pub secret: Option<(Secret, Millis)>,
}

/// How a job of a subscription ended.
#[derive(Debug, Clone)]
pub struct HookEnd {
    /// The lane, with its fence.
    pub lane: Lane,
    /// The job.
    pub seq: i64,
    /// How it ended.
    pub end: JobEnd,
    /// The call, when one was made. Its number is given when it is kept.
    pub delivery: Option<Delivery>,
}

/// What calls to a target came to, to be settled together.
#[derive(Debug, Clone)]
pub struct HookNews {
    /// How the jobs ended, in the order of the calls.
    pub ends: Vec<HookEnd>,
    /// Nothing is to be tried before this time; 0: nothing to wait for.
    pub hold_until: Millis,
    /// A target that has taken nothing since before this time disables its subscription.
    pub disable_before: Millis,
    /// The target is gone: the subscription is removed, with this entry of the audit log and this event.
    pub gone: Option<(NewAudit, NewEvent)>,
}

/// Events of a time, to be pushed again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Span {
    /// From this time on, our clock.
    pub since: Millis,
    /// Before this time.
    pub until: Millis,
    /// After this place; `None`: from the beginning of the span.
    pub after: Option<i64>,
}

/// Subscriptions and what is owed to them.
#[async_trait]
pub trait Hooks: Send + Sync {
    /// Makes a subscription that hears of what happens from now on, unless there are `limit` already. With an entry of the audit
    /// log.
    async fn hook_add(&self, workspace: WorkspaceId, new: NewHook, limit: i64) -> Result<Added, StoreError>;

    /// All subscriptions, oldest first, but for removed ones.
    async fn hooks(&self, workspace: WorkspaceId) -> Result<Vec<Hook>, StoreError>;

    /// One of them.
    async fn hook(&self, workspace: WorkspaceId, id: HookId) -> Result<Option<Hook>, StoreError>;

    /// Changes one; as it then is. `None`: there is none. With an entry of the audit log.
    async fn hook_change(
        &self,
        workspace: WorkspaceId,
        id: HookId,
        change: HookChange,
        audit: NewAudit,
    ) -> Result<Option<Hook>, StoreError>;

    /// Removes one; false when there was none. What is owed to it is removed by [`Self::hooks_purge`].
    async fn hook_remove(&self, workspace: WorkspaceId, id: HookId, audit: NewAudit) -> Result<bool, StoreError>;

    /// Removes up to `limit` jobs of removed subscriptions, then the subscriptions; true when there may be more.
    async fn hooks_purge(&self, workspace: WorkspaceId, limit: i64, now: Millis) -> Result<bool, StoreError>;

    /// Active subscriptions that have something ready to be pushed now.
    async fn hooks_due(&self, workspace: WorkspaceId, now: Millis) -> Result<Vec<Hook>, StoreError>;

    /// Files jobs.
    async fn hook_file(&self, workspace: WorkspaceId, now: Millis, jobs: Vec<NewJob>) -> Result<(), StoreError>;

    /// Events by their places; those that are gone are left out.
    async fn events_at(&self, workspace: WorkspaceId, places: &[i64]) -> Result<Vec<Event>, StoreError>;

    /// Events of a time in the order of their places, at most `limit`.
    async fn events_between(&self, workspace: WorkspaceId, span: Span, limit: i64) -> Result<Vec<Event>, StoreError>;

    /// Settles calls, keeps the newest of them, and how the subscription fares; the subscription as it then is, `None` when it is
    /// gone, and how many settlements were refused for a lost fence. When it is disabled, that is an event.
    async fn hook_settle(
        &self,
        workspace: WorkspaceId,
        id: HookId,
        now: Millis,
        news: HookNews,
    ) -> Result<(Option<Hook>, u64), StoreError>;

    /// Keeps a call that belongs to no job.
    async fn hook_note(&self, workspace: WorkspaceId, id: HookId, delivery: Delivery) -> Result<(), StoreError>;

    /// The newest calls, newest first. How many are kept is bounded.
    async fn hook_deliveries(
        &self,
        workspace: WorkspaceId,
        id: HookId,
        limit: i64,
    ) -> Result<Vec<Delivery>, StoreError>;
}

/// An answer of a target. Any status is an answer; what it says besides is not read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TargetAnswer {
    /// HTTP status.
    pub status: u16,
    /// Its header `Retry-After`, as it came.
    pub retry_after: Option<String>,
}

/// A call to a target. `Debug` shows neither address nor body.
pub struct Push {
    /// Where.
    pub url: String,
    /// `webhook-id`.
    pub id: String,
    /// `webhook-timestamp`, seconds since 1970.
    pub timestamp: i64,
    /// `webhook-signature`.
    pub signature: String,
    /// JSON.
    pub body: String,
    /// How long it may take, milliseconds.
    pub timeout_ms: Millis,
}

impl std::fmt::Debug for Push {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Push").field("id", &self.id).finish_non_exhaustive()
    }
}

/// The way to targets.
#[async_trait]
pub trait Targets: Send + Sync {
    /// Whether this address may be pushed to, as far as can be told without looking up its name.
    ///
    /// # Errors
    /// Why not, a sentence for whoever asked.
    fn check(&self, url: &str) -> Result<(), String>;

    /// Posts. Redirects are not followed.
    ///
    /// # Errors
    /// When there was no answer.
    async fn push(&self, push: Push) -> Result<TargetAnswer, CallError>;
}
