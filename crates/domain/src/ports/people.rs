//! The port through which people are kept as lists: imports, duplicates, merges, erasure, the audit log. Every verb is one
//! transaction. Business rules are passed in as pure functions or decided values; the store never decides.

use crate::Millis;
use crate::error::StoreError;
use crate::event::Event;
use crate::fields::{Definition, Fields};
use crate::identity::Identity;
use crate::ids::{PersonId, WorkspaceId};
use crate::people::edit::{Edit, Edited, Refused};
use crate::people::import::{Changes, View};
use crate::people::marks::Mark;
use crate::people::{Draft, PersonCard};
use crate::ports::store::MessageView;
use crate::profile::Profile;
use crate::reach::Reach;
use crate::survivorship::Facts;
use async_trait::async_trait;
use serde::Serialize;
use std::sync::Arc;
use uuid::Uuid;

/// Decides what a batch of rows changes. May be called again when the database asks for a repetition.
pub type ImportFn = Arc<dyn Fn(&[Draft], View) -> Changes + Send + Sync>;

/// The forms in which a number may be written, the given one first.
pub type VariantsFn = Arc<dyn Fn(&str) -> Vec<String> + Send + Sync>;

/// A run of an import as it stands.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct ImportRun {
    /// Its id.
    pub id: Uuid,
    /// Name of the source.
    pub source: String,
    /// Of the file and how it is read: the same file read the same way has the same.
    pub fingerprint: String,
    /// Rows applied, in the run's own order.
    pub applied: u64,
    /// New people.
    pub created: u64,
    /// People changed.
    pub updated: u64,
    /// Rows that changed nothing.
    pub unchanged: u64,
    /// Rows of people who were erased: kept out.
    pub erased: u64,
    /// When it began.
    pub started_at: Millis,
    /// When it ended; `None` while it runs or after it was killed.
    pub finished_at: Option<Millis>,
}

/// What applying a batch came to.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Applied {
    /// The run after it.
    pub applied: u64,
    /// New people.
    pub created: u64,
    /// People changed.
    pub updated: u64,
    /// Rows that changed nothing.
    pub unchanged: u64,
    /// Lines of rows whose people were erased.
    pub erased_lines: Vec<u64>,
}

/// What looking again at a field's values came to, for one page of people or several.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct Rechecked {
    /// The last person looked at; `None` at the end.
    #[serde(skip)]
    pub last: Option<PersonId>,
    /// People whose value fits now.
    pub fit: u64,
    /// People whose value doesn't, and is kept as it was written.
    pub as_written: u64,
    /// People whose value was rewritten or moved.
    pub changed: u64,
}

/// Two people who may be one.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct DuplicatePair {
    /// The lower id.
    pub a: PersonId,
    /// The higher id.
    pub b: PersonId,
    /// How sure, per mille.
    pub score: i64,
    /// Why: stable words.
    pub reasons: Vec<String>,
    /// When it was found.
    pub found_at: Millis,
}

/// A wish to merge `other` into `survivor`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MergeOrder {
    /// Id of the merge.
    pub id: Uuid,
    /// Who stays.
    pub survivor: PersonId,
    /// Who becomes part of the survivor.
    pub other: PersonId,
    /// Per mille; 1000 for a person's decision.
    pub score: i64,
    /// Why: stable words.
    pub reasons: Vec<String>,
}

/// A merge that was made.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct MergeRecord {
    /// Its id.
    pub id: Uuid,
    /// Who stayed.
    pub survivor: PersonId,
    /// Who became part of the survivor.
    pub other: PersonId,
    /// When.
    pub merged_at: Millis,
    /// By whom.
    pub merged_by: String,
    /// How sure, per mille.
    pub score: i64,
    /// Why.
    pub reasons: Vec<String>,
    /// When it was undone.
    pub undone_at: Option<Millis>,
}

/// Merges two profiles: the survivor's, the other's. Pure.
pub type MergeFn = Arc<dyn Fn(&Profile, &Profile) -> Profile + Send + Sync>;

/// What an erasure removed.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct Erased {
    /// People: the person and those merged into them.
    pub people: u64,
    /// Identifiers, remembered only as keyed hashes.
    pub identities: u64,
    /// Messages whose content was removed.
    pub messages: u64,
    /// Webhook bodies of the journal in which they were named.
    pub journal_bodies: u64,
}

/// An entry of the audit log.
#[derive(Debug, Clone, Serialize)]
pub struct AuditEntry {
    /// When.
    pub at: Millis,
    /// Who: `cli:USER`, `api:KEY`, `system`.
    pub who: String,
    /// What was done: a stable word (`contacts.merge`).
    pub act: String,
    /// To whom or what.
    pub subject: Option<String>,
    /// More, JSON; no personal data.
    pub data: Box<serde_json::value::RawValue>,
}

/// A new entry of the audit log.
#[derive(Debug, Clone)]
pub struct NewAudit {
    /// When.
    pub at: Millis,
    /// Who.
    pub who: String,
    /// What.
    pub act: &'static str,
    /// To whom.
    pub subject: Option<String>,
    /// More, JSON; no personal data.
    pub data: String,
}

/// People as lists.
#[async_trait]
pub trait People: Send + Sync {
    /// Begins a run, or finds the unfinished one of the same source and fingerprint.
    async fn import_begin(
        &self,
        workspace: WorkspaceId,
        id: Uuid,
        source: &str,
        fingerprint: &str,
        now: Millis,
    ) -> Result<ImportRun, StoreError>;

    /// Applies the rows from number `from` of the run on: all or nothing, with the run's progress. Rows that were applied
    /// before (`from` is less than what the run says) are refused as [`StoreError::LeaseLost`]: somebody else works on it.
    #[expect(clippy::too_many_arguments, reason = "a batch, where it stands, and what decides")]
    async fn import_apply(
        &self,
        workspace: WorkspaceId,
        run: Uuid,
        source: &str,
        from: u64,
        drafts: Arc<Vec<Draft>>,
        variants: VariantsFn,
        decide: ImportFn,
        now: Millis,
    ) -> Result<Applied, StoreError>;

    /// What applying these rows would come to, with nothing changed.
    async fn import_look(
        &self,
        workspace: WorkspaceId,
        source: &str,
        drafts: Arc<Vec<Draft>>,
        variants: VariantsFn,
        decide: ImportFn,
    ) -> Result<Applied, StoreError>;

    /// Ends a run with its report, JSON.
    async fn import_finish(
        &self,
        workspace: WorkspaceId,
        run: Uuid,
        report: &str,
        now: Millis,
    ) -> Result<(), StoreError>;

    /// Runs of imports, newest first.
    async fn import_runs(&self, workspace: WorkspaceId, limit: i64) -> Result<Vec<ImportRun>, StoreError>;

    /// Everybody who isn't part of somebody else, by id, after `after`.
    async fn people(
        &self,
        workspace: WorkspaceId,
        after: Option<PersonId>,
        limit: i64,
    ) -> Result<Vec<PersonCard>, StoreError>;

    /// Those of [`Self::people`] who have all of these marks. Looked up, not searched for.
    async fn people_marked(
        &self,
        workspace: WorkspaceId,
        marks: Vec<Mark>,
        after: Option<PersonId>,
        limit: i64,
    ) -> Result<Vec<PersonCard>, StoreError>;

    /// Changes one person: all of it, or nothing and why. With a `person.changed` event and an entry of the audit log when
    /// anything is different.
    async fn edit(
        &self,
        workspace: WorkspaceId,
        person: PersonId,
        edit: Edit,
    ) -> Result<Result<Edited, Refused>, StoreError>;

    /// Adds a person, `person` being their new id, with a phone number in E.164 digits.
    async fn add(
        &self,
        workspace: WorkspaceId,
        person: PersonId,
        digits: &str,
        edit: Edit,
    ) -> Result<Result<Edited, Refused>, StoreError>;

    /// The fields that somebody defined.
    async fn fields(&self, workspace: WorkspaceId) -> Result<Fields, StoreError>;

    /// Defines a field, or changes its definition. It must have been checked. Stored values are looked at again by
    /// [`Self::recheck_field`].
    async fn define_field(&self, workspace: WorkspaceId, definition: Definition) -> Result<(), StoreError>;

    /// Looks again at the values of a field of up to `limit` people after `after`: those that don't fit are kept as they were
    /// written, those that fit now come back.
    async fn recheck_field(
        &self,
        workspace: WorkspaceId,
        key: &str,
        after: Option<PersonId>,
        limit: i64,
        now: Millis,
    ) -> Result<Rechecked, StoreError>;

    /// Takes a definition away; values stay as text. False when there was none.
    async fn remove_field(&self, workspace: WorkspaceId, key: &str) -> Result<bool, StoreError>;

    /// What is known of a person's lines, where sends failed.
    async fn reach(&self, workspace: WorkspaceId, person: PersonId) -> Result<Vec<(String, Reach)>, StoreError>;

    /// These people, whoever exists, merged ones too.
    async fn cards(&self, workspace: WorkspaceId, ids: &[PersonId]) -> Result<Vec<PersonCard>, StoreError>;

    /// Who has this identifier: phone digits, WhatsApp id, user id, CRM id or a source's key.
    async fn find_person(&self, workspace: WorkspaceId, value: &str) -> Result<Vec<PersonId>, StoreError>;

    /// What decides who stays of each of these people.
    async fn facts(&self, workspace: WorkspaceId, ids: &[PersonId]) -> Result<Vec<Facts>, StoreError>;

    /// Merges, in order; what can't be done any more (a side is gone or merged already) is left out.
    async fn merge(
        &self,
        workspace: WorkspaceId,
        now: Millis,
        by: &str,
        orders: Vec<MergeOrder>,
        profiles: MergeFn,
    ) -> Result<Vec<Uuid>, StoreError>;

    /// Undoes a merge: both sides are what they were. Refused when the survivor was merged or another merge came after it.
    async fn unmerge(
        &self,
        workspace: WorkspaceId,
        now: Millis,
        by: &str,
        merge: Uuid,
    ) -> Result<MergeRecord, StoreError>;

    /// Merges, newest first; of one person when given.
    async fn merges(
        &self,
        workspace: WorkspaceId,
        person: Option<PersonId>,
        limit: i64,
    ) -> Result<Vec<MergeRecord>, StoreError>;

    /// Files pairs for review; pairs that were decided stay decided. How many are new.
    async fn file_pairs(&self, workspace: WorkspaceId, pairs: Vec<DuplicatePair>) -> Result<u64, StoreError>;

    /// Pairs that wait for a person, surest first.
    async fn open_pairs(&self, workspace: WorkspaceId, limit: i64) -> Result<Vec<DuplicatePair>, StoreError>;

    /// Pairs that a person decided to be two people: no search merges them.
    async fn decided_apart(&self, workspace: WorkspaceId) -> Result<Vec<(PersonId, PersonId)>, StoreError>;

    /// Decides that two people are two. False when the pair isn't open.
    async fn keep_apart(
        &self,
        workspace: WorkspaceId,
        a: PersonId,
        b: PersonId,
        by: &str,
        now: Millis,
    ) -> Result<bool, StoreError>;

    /// Every identifier that a person, and those merged into them, have or had.
    async fn identifiers(&self, workspace: WorkspaceId, person: PersonId) -> Result<Vec<Identity>, StoreError>;

    /// Keys of the files in a person's messages.
    async fn files(&self, workspace: WorkspaceId, person: PersonId) -> Result<Vec<String>, StoreError>;

    /// Whether any message has this file.
    async fn file_is_used(&self, workspace: WorkspaceId, file: &str) -> Result<bool, StoreError>;

    /// Files that lost a message and are still to be removed, in the order of their keys after `after`.
    async fn unused_files(&self, workspace: WorkspaceId, after: &str, limit: i64) -> Result<Vec<String>, StoreError>;

    /// Says that such a file was removed, or that a message has it.
    async fn file_settled(&self, workspace: WorkspaceId, file: &str) -> Result<(), StoreError>;

    /// Begins an erasure, or goes on with one that was killed: what to look for in the journal. Kept until
    /// [`Self::erasure_end`]. `key` is used when the workspace has no erasure key yet.
    async fn erasure_begin(
        &self,
        workspace: WorkspaceId,
        person: PersonId,
        key: &str,
        now: Millis,
    ) -> Result<Vec<String>, StoreError>;

    /// Ends an erasure: nothing is looked for any more.
    async fn erasure_end(&self, workspace: WorkspaceId, person: PersonId) -> Result<(), StoreError>;

    /// People whose erasure was begun before `before` and didn't end.
    async fn erasures_open(&self, workspace: WorkspaceId, before: Millis) -> Result<Vec<PersonId>, StoreError>;

    /// Scrubs up to `limit` ingested journal segments after `after`: bodies that name one of `needles` say nothing afterwards.
    /// Gives the last segment looked at, `None` at the end, and how many bodies were scrubbed.
    async fn scrub_journal(
        &self,
        workspace: WorkspaceId,
        after: i64,
        needles: Vec<String>,
        limit: i64,
    ) -> Result<(Option<i64>, u64), StoreError>;

    /// Erases a person and all that was merged into them. `key` is used when the workspace has no erasure key yet.
    async fn erase(
        &self,
        workspace: WorkspaceId,
        person: PersonId,
        key: &str,
        now: Millis,
    ) -> Result<Erased, StoreError>;

    /// Adds to the audit log.
    async fn audit(&self, workspace: WorkspaceId, entry: NewAudit) -> Result<(), StoreError>;

    /// The audit log, newest first.
    async fn audit_log(
        &self,
        workspace: WorkspaceId,
        subject: Option<&str>,
        limit: i64,
    ) -> Result<Vec<AuditEntry>, StoreError>;

    /// All messages of a person, oldest first.
    async fn messages_of(&self, workspace: WorkspaceId, person: PersonId) -> Result<Vec<MessageView>, StoreError>;

    /// What happened to a person and to those merged into them, newest first.
    async fn timeline(&self, workspace: WorkspaceId, person: PersonId, limit: i64) -> Result<Vec<Event>, StoreError>;
}
