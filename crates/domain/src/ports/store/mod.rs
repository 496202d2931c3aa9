//! The store port: everything durable, each verb one transaction. Business rules are passed in as functions of values or as
//! decided outcomes; the store never decides.

mod types;

pub use types::*;

use crate::Millis;
use crate::consent::Entry;
use crate::conversation::Keys;
use crate::error::StoreError;
use crate::event::{Event, EventCursor, NewEvent};
use crate::identity::Identity;
use crate::ids::{ConnectionId, ConsentId, ConversationId, DeadLetterId, MessageId, PersonId, WorkspaceId};
use crate::job::{ClaimedLane, DeadLetter, EndedLetter, JobKind, NewJob};
use async_trait::async_trait;

/// Everything durable.
#[async_trait]
pub trait Store: Send + Sync {
    // --- journal ---

    /// Appends a body; durable when it returns. Bodies that wait together are committed together.
    async fn journal_append(&self, workspace: WorkspaceId, entry: JournalEntry) -> Result<(), StoreError>;

    /// The oldest segments not yet ingested, up to about `max_bytes`, at least one when there is any.
    async fn journal_pending(&self, workspace: WorkspaceId, max_bytes: usize) -> Result<Vec<Segment>, StoreError>;

    /// Segments from `after` on, oldest first, for a replay and for looking.
    async fn journal_read(&self, workspace: WorkspaceId, after: i64, limit: i64) -> Result<Vec<Segment>, StoreError>;

    // --- ingest ---

    /// Loads what `keys` name, folds, applies the changes and marks the segments as ingested: all or nothing.
    /// `lease`: refused when it is no longer ours; `None` for a replay.
    async fn ingest(
        &self,
        workspace: WorkspaceId,
        lease: Option<Lease>,
        segments: Vec<i64>,
        keys: Keys,
        fold: FoldFn,
    ) -> Result<IngestCounts, StoreError>;

    // --- gate ---

    /// Looks up, decides and stores a batch of requests: all or nothing. Answers in the order of the keys.
    async fn admit(
        &self,
        workspace: WorkspaceId,
        now: Millis,
        keys: Vec<AdmitKey>,
        decide: AdmitFn,
    ) -> Result<Vec<Answer>, StoreError>;

    // --- sends ---

    /// Claims the heads of due lanes of one number within its limits, marks their messages as being sent.
    async fn claim_sends(&self, claim: SendClaim) -> Result<ClaimedSends, StoreError>;

    /// Settles sends. A settlement with a lost fence is left out and counted.
    async fn settle_sends(
        &self,
        workspace: WorkspaceId,
        now: Millis,
        settlements: Vec<SendSettlement>,
    ) -> Result<u64, StoreError>;

    /// Holds everything of a scope (a number, a connection) back until then.
    async fn hold(&self, workspace: WorkspaceId, scope: &str, until: Millis) -> Result<(), StoreError>;

    // --- other lanes ---

    /// Claims up to `lanes` due lanes of a kind and scope, with up to `per_lane` jobs each, marked as begun.
    #[expect(clippy::too_many_arguments, reason = "a claim has that many independent bounds")]
    async fn claim_lanes(
        &self,
        workspace: WorkspaceId,
        kind: JobKind,
        scope: &str,
        now: Millis,
        lease_ms: Millis,
        lanes: usize,
        per_lane: usize,
    ) -> Result<Vec<ClaimedLane>, StoreError>;

    /// The scopes of a kind that have lanes.
    async fn scopes(&self, workspace: WorkspaceId, kind: JobKind) -> Result<Vec<String>, StoreError>;

    /// Settles media jobs.
    async fn settle_media(&self, workspace: WorkspaceId, now: Millis, ends: Vec<MediaEnd>) -> Result<u64, StoreError>;

    /// What write-back needs for these jobs: person and message each. `None` where nothing is stored any more.
    async fn crm_views(
        &self,
        workspace: WorkspaceId,
        connection: &ConnectionId,
        subjects: &[(PersonId, Option<MessageId>)],
    ) -> Result<Vec<Option<CrmView>>, StoreError>;

    /// Settles write-back jobs and remembers what was written.
    async fn settle_crm(
        &self,
        workspace: WorkspaceId,
        connection: &ConnectionId,
        now: Millis,
        ends: Vec<CrmEnd>,
    ) -> Result<u64, StoreError>;

    // --- events ---

    /// Events after a cursor, oldest first. Never passes a transaction that is still open.
    async fn events_after(
        &self,
        workspace: WorkspaceId,
        cursor: EventCursor,
        limit: i64,
    ) -> Result<Vec<Event>, StoreError>;

    /// The cursor a named reader committed.
    async fn cursor(&self, workspace: WorkspaceId, reader: &str) -> Result<Option<EventCursor>, StoreError>;

    /// Files jobs and moves a reader's cursor: all or nothing, under a lease.
    async fn advance(
        &self,
        workspace: WorkspaceId,
        lease: Lease,
        reader: &str,
        cursor: EventCursor,
        jobs: Vec<NewJob>,
    ) -> Result<(), StoreError>;

    // --- leases and nodes ---

    /// Takes or renews a lease; `None` when another node holds it.
    async fn lease(
        &self,
        workspace: WorkspaceId,
        name: &str,
        now: Millis,
        ttl_ms: Millis,
    ) -> Result<Option<Lease>, StoreError>;

    /// Gives back every lease and lane of this node, so that another need not wait for them to run out.
    async fn release_all(&self, now: Millis) -> Result<(), StoreError>;

    /// Serving nodes that live.
    async fn nodes(&self, now: Millis) -> Result<i64, StoreError>;

    /// Says that this node lives.
    async fn heartbeat(&self, now: Millis) -> Result<(), StoreError>;

    // --- looking ---

    /// What waits.
    async fn queues(&self, workspace: WorkspaceId, now: Millis) -> Result<Queues, StoreError>;

    /// Counts. Reads whole tables: for people who ask, not for every scrape.
    async fn overview(&self, workspace: WorkspaceId, now: Millis) -> Result<Overview, StoreError>;

    /// One message.
    async fn message(&self, workspace: WorkspaceId, id: MessageId) -> Result<Option<MessageView>, StoreError>;

    /// Messages, newest first by storing; optionally of one conversation.
    async fn messages(
        &self,
        workspace: WorkspaceId,
        conversation: Option<ConversationId>,
        limit: i64,
        before: Option<MessageId>,
    ) -> Result<Vec<MessageView>, StoreError>;

    /// Events, newest first, optionally of one kind.
    async fn recent_events(
        &self,
        workspace: WorkspaceId,
        kind: Option<&str>,
        page: Page,
    ) -> Result<Vec<Event>, StoreError>;

    /// Dead letters, newest first.
    async fn dead_letters(&self, workspace: WorkspaceId, limit: i64) -> Result<Vec<DeadLetter>, StoreError>;

    /// Puts dead letters back into their lanes; how many. `None`: all.
    async fn retry_dead(
        &self,
        workspace: WorkspaceId,
        id: Option<DeadLetterId>,
        now: Millis,
    ) -> Result<u64, StoreError>;

    /// Discards dead letters; how many. `None`: all.
    async fn discard_dead(
        &self,
        workspace: WorkspaceId,
        id: Option<DeadLetterId>,
        now: Millis,
    ) -> Result<u64, StoreError>;

    /// Dead letters that were put an end to, newest end first, for as long as they are kept.
    async fn ended_dead(&self, workspace: WorkspaceId, limit: i64) -> Result<Vec<EndedLetter>, StoreError>;

    /// Removes a bounded amount of what nobody needs any more: old idempotency keys, spent limiters, counted people of past
    /// days; how many rows.
    async fn tidy(&self, workspace: WorkspaceId, now: Millis) -> Result<u64, StoreError>;

    /// Proves that the store can write now.
    async fn check(&self) -> Result<(), StoreError>;

    // --- consent ---

    /// Adds words to the ledger and works out what stands, in one transaction. A word that is there already adds nothing;
    /// how many were new. Events are appended with them.
    async fn consent_record(
        &self,
        workspace: WorkspaceId,
        entries: Vec<Entry>,
        events: Vec<NewEvent>,
    ) -> Result<u64, StoreError>;

    /// The ledger of one person; `None` when there is no such person.
    async fn consent_of(&self, workspace: WorkspaceId, person: PersonId) -> Result<Option<ConsentFile>, StoreError>;

    /// All words of the ledger in the order of their ids, a page after `after`.
    async fn consent_export(
        &self,
        workspace: WorkspaceId,
        after: Option<ConsentId>,
        limit: i64,
    ) -> Result<Vec<Entry>, StoreError>;

    /// What is due in the consent flow, at most `limit` of each.
    async fn consent_due(&self, workspace: WorkspaceId, now: Millis, limit: i64) -> Result<ConsentDue, StoreError>;

    /// Takes off what was done.
    async fn consent_settle(&self, workspace: WorkspaceId, done: ConsentDone) -> Result<(), StoreError>;

    /// Who has one of these identifiers, the first that is known.
    async fn person_by(&self, workspace: WorkspaceId, identities: &[Identity]) -> Result<Option<PersonId>, StoreError>;

    /// Waits until something of this kind may have happened since `seen`, here or on another node, or until `ms` have
    /// passed. Gives what to pass as `seen` next time; start with 0.
    async fn wait(&self, topic: Topic, seen: u64, ms: Millis) -> u64;
}
