//! The port through which reading from CRMs is kept: where each connection stands, its runs, what was left out. Every verb is one
//! transaction; what a page does is decided by the domain's pure function ([`crate::mapping::pull`]).

use crate::Millis;
use crate::crm::{CrmChange, CrmHint};
use crate::error::StoreError;
use crate::ids::{ConnectionId, PersonId, WorkspaceId};
use crate::job::{JobEnd, Lane, NewJob};
use crate::mapping::pull::{Counts, Pulled, View};
use crate::mapping::{Base, Facts, Skip};
use crate::ports::store::Lease;
use async_trait::async_trait;
use serde::{Deserialize, Serialize};
use std::sync::Arc;
use uuid::Uuid;

/// Decides what a page does. May be called again when the database asks for a repetition.
pub type PullFn = Arc<dyn Fn(&[CrmChange], View) -> Pulled + Send + Sync>;

/// What a run does.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RunKind {
    /// Reads what changed since the last one.
    Changes,
    /// Reads everything.
    Full,
    /// Reads everything, compares both sides and repairs what differs.
    Reconcile,
    /// Writes everybody who has no record there.
    Push,
}

impl RunKind {
    /// The stored text.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Changes => "changes",
            Self::Full => "full",
            Self::Reconcile => "reconcile",
            Self::Push => "push",
        }
    }

    /// Reads the stored text.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        [Self::Changes, Self::Full, Self::Reconcile, Self::Push].into_iter().find(|k| k.as_str() == text)
    }
}

/// Where a connection stands.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct SyncState {
    /// Where reading of changes goes on; `None` before the first full run.
    #[serde(skip)]
    pub cursor: Option<String>,
    /// Where a full run that was cut off goes on.
    #[serde(skip)]
    pub page: Option<String>,
    /// The run under way.
    pub run: Option<Uuid>,
    /// A run that somebody asked for.
    pub wanted: Option<RunKind>,
    /// The run that writes everybody who has no record there.
    pub pushing: Option<Uuid>,
    /// When the next look at changes is due, epoch milliseconds.
    pub next_at: Option<Millis>,
    /// Since when it is paused.
    pub paused_at: Option<Millis>,
    /// Who paused it.
    pub paused_by: Option<String>,
}

/// What changes in a [`SyncState`]; what is `None` stays.
#[derive(Debug, Clone, Default)]
pub struct SyncPatch {
    /// New cursor.
    pub cursor: Option<String>,
    /// New page; `Some(None)` when a full run has ended.
    pub page: Option<Option<String>>,
    /// The run under way; `Some(None)` when it ended.
    pub run: Option<Option<Uuid>>,
    /// Asked for; `Some(None)` when it was taken up.
    pub wanted: Option<Option<RunKind>>,
    /// When the next look is due.
    pub next_at: Option<Millis>,
    /// Paused, since when and by whom; `Some(None)`: resumed.
    pub paused: Option<Option<(Millis, String)>>,
}

/// A run and what it came to so far.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct SyncRun {
    /// Its id.
    pub id: Uuid,
    /// The connection.
    pub connection: String,
    /// What it does.
    pub kind: String,
    /// When it began, epoch milliseconds.
    pub started_at: Millis,
    /// When it last moved.
    pub changed_at: Millis,
    /// When it ended; `None` while it runs, or after it was cut off.
    pub finished_at: Option<Millis>,
    /// Changes looked at.
    pub seen: i64,
    /// New people.
    pub created: i64,
    /// People who changed.
    pub changed: i64,
    /// Records that the CRM has to be told something about.
    pub told: i64,
    /// Records of which something was left out.
    pub skipped: i64,
    /// Records gone or merged.
    pub gone: i64,
    /// Values that differed though both sides should have agreed (reconcile).
    pub differed: i64,
    /// Calls spent.
    pub calls: i64,
    /// Age of the newest change when it was applied, milliseconds.
    pub lag_ms: Option<Millis>,
    /// Why it ended early.
    pub error: Option<String>,
}

/// A page to be applied.
#[derive(Clone)]
pub struct PullPage {
    /// The connection.
    pub connection: ConnectionId,
    /// The run; `None` for single records that write-back looks at.
    pub run: Option<Uuid>,
    /// What happened.
    pub changes: Arc<Vec<CrmChange>>,
    /// What is looked up: record ids, our ids, numbers.
    pub lookups: (Vec<String>, Vec<PersonId>, Vec<String>),
    /// Names of triggers whose findings are looked up.
    pub triggers: Vec<String>,
    /// Consent is part of the mapping.
    pub consent: bool,
    /// Counts as a difference what changes (reconcile).
    pub counts_differences: bool,
    /// Where the connection stands afterwards.
    pub patch: SyncPatch,
    /// Calls spent on this page.
    pub calls: i64,
    /// Our clock.
    pub now: Millis,
}

/// A record of which something was left out.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Skipped {
    /// The connection.
    pub connection: String,
    /// The CRM's record id.
    pub record: String,
    /// Whose.
    pub person: Option<PersonId>,
    /// Since when.
    pub at: Millis,
    /// What and why.
    pub skips: Vec<Skip>,
}

/// A person as write-back and reconciliation see them.
#[derive(Debug, Clone)]
pub struct Linked {
    /// What we know.
    pub facts: Facts,
    /// The CRM's record id.
    pub record: String,
    /// What was agreed on.
    pub base: Option<Base>,
}

/// What is written next by a run that writes everybody.
#[derive(Clone)]
pub struct PushPage {
    /// So many people at once.
    pub people: i64,
    /// No more while so many jobs of the connection wait.
    pub most_waiting: i64,
    /// The job that writes a person.
    pub job: Arc<dyn Fn(PersonId) -> Option<NewJob> + Send + Sync>,
}

/// What came of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Pushed {
    /// Nobody asked for it, or all is filed.
    Nothing,
    /// Enough is waiting.
    Waits,
    /// Jobs for so many people were filed.
    Filed(usize),
}

/// What is about to be sent to a CRM of one person.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sending {
    /// Whose record.
    pub person: PersonId,
    /// What was agreed on as it was looked up; `None`: there is no link yet, the record is about to be made or found.
    pub before: Option<Base>,
    /// That, with what is sent.
    pub after: Base,
}

/// How reading from CRMs is kept.
#[async_trait]
pub trait CrmSync: Send + Sync {
    /// Where a connection stands.
    async fn sync_state(&self, workspace: WorkspaceId, connection: &ConnectionId) -> Result<SyncState, StoreError>;

    /// Changes where a connection stands. With a lease: refused when it is no longer ours.
    async fn sync_patch(
        &self,
        workspace: WorkspaceId,
        lease: Option<Lease>,
        connection: &ConnectionId,
        patch: SyncPatch,
        now: Millis,
    ) -> Result<(), StoreError>;

    /// Begins a run.
    async fn run_begin(
        &self,
        workspace: WorkspaceId,
        lease: Lease,
        connection: &ConnectionId,
        run: Uuid,
        kind: RunKind,
        now: Millis,
    ) -> Result<(), StoreError>;

    /// Ends a run.
    async fn run_end(
        &self,
        workspace: WorkspaceId,
        connection: &ConnectionId,
        run: Uuid,
        error: Option<String>,
        calls: i64,
        now: Millis,
    ) -> Result<(), StoreError>;

    /// Runs, newest first; of one connection when given.
    async fn sync_runs(
        &self,
        workspace: WorkspaceId,
        connection: Option<&ConnectionId>,
        limit: i64,
    ) -> Result<Vec<SyncRun>, StoreError>;

    /// Applies a page and moves the connection on: all or nothing. With a lease: refused when it is no longer ours.
    async fn pull(
        &self,
        workspace: WorkspaceId,
        lease: Option<Lease>,
        page: PullPage,
        decide: PullFn,
    ) -> Result<(Counts, Vec<(PersonId, PersonId)>), StoreError>;

    /// What applying a page would do; nothing is changed.
    async fn pull_look(&self, workspace: WorkspaceId, page: PullPage, decide: PullFn) -> Result<Pulled, StoreError>;

    /// Records of which something was left out, newest first.
    async fn skipped(
        &self,
        workspace: WorkspaceId,
        connection: Option<&ConnectionId>,
        limit: i64,
    ) -> Result<Vec<Skipped>, StoreError>;

    /// People linked with records of a connection, by record id after `after`.
    async fn linked(
        &self,
        workspace: WorkspaceId,
        connection: &ConnectionId,
        after: Option<&str>,
        limit: i64,
    ) -> Result<Vec<Linked>, StoreError>;

    /// Triggers of a connection for which everything was read once.
    async fn triggers_known(
        &self,
        workspace: WorkspaceId,
        connection: &ConnectionId,
    ) -> Result<Vec<String>, StoreError>;

    /// Says that everything was read once for these triggers.
    async fn triggers_read(
        &self,
        workspace: WorkspaceId,
        connection: &ConnectionId,
        names: Vec<String>,
        now: Millis,
    ) -> Result<(), StoreError>;

    /// Remembers what is about to be sent. Of linked people it is left out where what was agreed on has changed meanwhile; of others it is
    /// kept until they and their record have met.
    async fn sending(
        &self,
        workspace: WorkspaceId,
        connection: &ConnectionId,
        rows: Vec<Sending>,
    ) -> Result<(), StoreError>;

    /// Asks for everybody who has no record there to be written. The run, or the one that is under way.
    async fn push_begin(
        &self,
        workspace: WorkspaceId,
        connection: &ConnectionId,
        run: Uuid,
        now: Millis,
    ) -> Result<Uuid, StoreError>;

    /// Files jobs for the next people of such a run and notes how far it is; ends it behind the last one.
    async fn push_page(
        &self,
        workspace: WorkspaceId,
        lease: Lease,
        connection: &ConnectionId,
        page: PushPage,
        now: Millis,
    ) -> Result<Pushed, StoreError>;

    /// Jobs that write to the connection and were filed until then: how much of a run is still to be written, whatever happened since.
    async fn writes_left(
        &self,
        workspace: WorkspaceId,
        connection: &ConnectionId,
        until: Millis,
    ) -> Result<i64, StoreError>;

    /// Files what a CRM told of; durable when it returns.
    async fn file_notices(
        &self,
        workspace: WorkspaceId,
        connection: &ConnectionId,
        hints: Vec<CrmHint>,
        now: Millis,
    ) -> Result<(), StoreError>;

    /// Ends jobs of the kinds notice and trigger; those whose lane was lost are left out.
    async fn settle_jobs(
        &self,
        workspace: WorkspaceId,
        now: Millis,
        ends: Vec<(Lane, i64, JobEnd)>,
    ) -> Result<(), StoreError>;

    /// How many people are linked with records of a connection, and of how many something was left out.
    async fn sync_counts(&self, workspace: WorkspaceId, connection: &ConnectionId) -> Result<(i64, i64), StoreError>;
}
