//! People as lists, behind the `People` port: imports, pages, merges, pairs for review, erasure, the audit log.
//! May touch: person, identity, conversation and message rows by person, and the tables of migrations 4 and 7.
//! Must not touch: lanes and limits; whoever follows a merge reads its event.

pub(crate) mod cards;
mod edit;
pub(crate) mod erase;
pub(crate) mod fields;
pub(crate) mod import;
mod links;
pub(crate) mod log;
mod marks;
mod merge;
mod moves;
mod packed;
pub(crate) mod pairs;
mod underway;
mod unmerge;

pub(crate) use erase::known as known_as_erased;
pub(crate) use erase::remove;
pub(crate) use log::append as note;
pub(crate) use marks::relabel;
pub(crate) use packed::unpack;

use crate::content;
use crate::store::{SqlStore, write};
use async_trait::async_trait;
use ponte_domain::Millis;
use ponte_domain::error::StoreError;
use ponte_domain::event::Event;
use ponte_domain::fields::{Definition, Fields};
use ponte_domain::identity::Identity;
use ponte_domain::ids::{PersonId, WorkspaceId};
use ponte_domain::people::edit::{Edit, Edited, Refused};
use ponte_domain::people::marks::Mark;
use ponte_domain::people::{Draft, PersonCard};
use ponte_domain::ports::people::{
    Applied, AuditEntry, DuplicatePair, Erased, ImportFn, ImportRun, MergeFn, MergeOrder, MergeRecord, NewAudit,
    People, Rechecked, VariantsFn,
};
use ponte_domain::ports::store::MessageView;
use ponte_domain::reach::Reach;
use ponte_domain::survivorship::Facts;
use std::sync::Arc;
use uuid::Uuid;

#[async_trait]
impl People for SqlStore {
    async fn import_begin(
        &self,
        workspace: WorkspaceId,
        id: Uuid,
        source: &str,
        fingerprint: &str,
        now: Millis,
    ) -> Result<ImportRun, StoreError> {
        let (source, fingerprint) = (source.to_owned(), fingerprint.to_owned());
        write!(self, (source, fingerprint), |c| import::begin(c, workspace, id, &source, &fingerprint, now).await)
    }

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
    ) -> Result<Applied, StoreError> {
        let source = source.to_owned();
        write!(self, (source, drafts, variants, decide), |c| {
            let batch = import::Batch {
                run,
                source: &source,
                from,
                drafts: &drafts,
                variants: &variants,
                decide: &decide,
                now,
            };
            import::apply(c, workspace, &batch).await
        })
    }

    async fn import_look(
        &self,
        workspace: WorkspaceId,
        source: &str,
        drafts: Arc<Vec<Draft>>,
        variants: VariantsFn,
        decide: ImportFn,
    ) -> Result<Applied, StoreError> {
        import::look(&mut self.reader().await?, workspace, source, &drafts, &variants, &decide).await
    }

    async fn import_finish(
        &self,
        workspace: WorkspaceId,
        run: Uuid,
        report: &str,
        now: Millis,
    ) -> Result<(), StoreError> {
        let report = report.to_owned();
        write!(self, (report), |c| import::finish(c, workspace, run, &report, now).await)
    }

    async fn import_runs(&self, workspace: WorkspaceId, limit: i64) -> Result<Vec<ImportRun>, StoreError> {
        import::runs(&mut self.reader().await?, workspace, limit).await
    }

    async fn people(
        &self,
        workspace: WorkspaceId,
        after: Option<PersonId>,
        limit: i64,
    ) -> Result<Vec<PersonCard>, StoreError> {
        cards::page(&mut self.reader().await?, workspace, after, limit).await
    }

    async fn people_marked(
        &self,
        workspace: WorkspaceId,
        wanted: Vec<Mark>,
        after: Option<PersonId>,
        limit: i64,
    ) -> Result<Vec<PersonCard>, StoreError> {
        marks::page(&mut self.reader().await?, workspace, &wanted, after, limit).await
    }

    async fn edit(
        &self,
        workspace: WorkspaceId,
        person: PersonId,
        edit: Edit,
    ) -> Result<Result<Edited, Refused>, StoreError> {
        write!(self, (edit), |c| edit::edit(c, workspace, person, &edit).await)
    }

    async fn add(
        &self,
        workspace: WorkspaceId,
        person: PersonId,
        digits: &str,
        edit: Edit,
    ) -> Result<Result<Edited, Refused>, StoreError> {
        let digits = digits.to_owned();
        write!(self, (digits, edit), |c| edit::add(c, workspace, person, &digits, &edit).await)
    }

    async fn fields(&self, workspace: WorkspaceId) -> Result<Fields, StoreError> {
        fields::load(&mut self.reader().await?, workspace).await
    }

    async fn define_field(&self, workspace: WorkspaceId, definition: Definition) -> Result<(), StoreError> {
        write!(self, (definition), |c| fields::define(c, workspace, &definition).await)
    }

    async fn recheck_field(
        &self,
        workspace: WorkspaceId,
        key: &str,
        after: Option<PersonId>,
        limit: i64,
        now: Millis,
    ) -> Result<Rechecked, StoreError> {
        let key = key.to_owned();
        write!(self, (key), |c| fields::recheck_page(c, workspace, &key, after, limit, now).await)
    }

    async fn remove_field(&self, workspace: WorkspaceId, key: &str) -> Result<bool, StoreError> {
        let key = key.to_owned();
        write!(self, (key), |c| fields::remove(c, workspace, &key).await)
    }

    async fn reach(&self, workspace: WorkspaceId, person: PersonId) -> Result<Vec<(String, Reach)>, StoreError> {
        let mut c = self.reader().await?;
        let links = crate::load::identities_of(&mut c, workspace, &[person].into()).await?;
        let lines = links.iter().filter_map(|l| crate::reach::line_of(&l.identity)).collect();
        let mut found: Vec<_> = crate::reach::lines(&mut c, workspace, &lines).await?.into_iter().collect();
        found.sort_unstable_by(|a, b| a.0.cmp(&b.0));
        Ok(found)
    }

    async fn cards(&self, workspace: WorkspaceId, ids: &[PersonId]) -> Result<Vec<PersonCard>, StoreError> {
        let ids = ids.iter().copied().collect();
        cards::whole(&mut self.reader().await?, workspace, &ids, false).await
    }

    async fn find_person(&self, workspace: WorkspaceId, value: &str) -> Result<Vec<PersonId>, StoreError> {
        cards::find(&mut self.reader().await?, workspace, value).await
    }

    async fn facts(&self, workspace: WorkspaceId, ids: &[PersonId]) -> Result<Vec<Facts>, StoreError> {
        let ids = ids.iter().copied().collect();
        cards::facts(&mut self.reader().await?, workspace, &ids).await
    }

    async fn merge(
        &self,
        workspace: WorkspaceId,
        now: Millis,
        by: &str,
        orders: Vec<MergeOrder>,
        profiles: MergeFn,
    ) -> Result<Vec<Uuid>, StoreError> {
        let by = by.to_owned();
        write!(self, (by, orders, profiles), |c| merge::merge(c, workspace, now, &by, &orders, &profiles).await)
    }

    async fn unmerge(
        &self,
        workspace: WorkspaceId,
        now: Millis,
        by: &str,
        merge: Uuid,
    ) -> Result<MergeRecord, StoreError> {
        let by = by.to_owned();
        write!(self, (by), |c| unmerge::unmerge(c, workspace, now, &by, merge).await)
    }

    async fn merges(
        &self,
        workspace: WorkspaceId,
        person: Option<PersonId>,
        limit: i64,
    ) -> Result<Vec<MergeRecord>, StoreError> {
        merge::list(&mut self.reader().await?, workspace, person, limit).await
    }

    async fn file_pairs(&self, workspace: WorkspaceId, pairs: Vec<DuplicatePair>) -> Result<u64, StoreError> {
        write!(self, (pairs), |c| pairs::file(c, workspace, &pairs).await)
    }

    async fn open_pairs(&self, workspace: WorkspaceId, limit: i64) -> Result<Vec<DuplicatePair>, StoreError> {
        pairs::open(&mut self.reader().await?, workspace, limit).await
    }

    async fn decided_apart(&self, workspace: WorkspaceId) -> Result<Vec<(PersonId, PersonId)>, StoreError> {
        pairs::apart(&mut self.reader().await?, workspace).await
    }

    async fn keep_apart(
        &self,
        workspace: WorkspaceId,
        a: PersonId,
        b: PersonId,
        by: &str,
        now: Millis,
    ) -> Result<bool, StoreError> {
        let by = by.to_owned();
        write!(self, (by), |c| Ok(merge::decide_pairs(c, workspace, &[(a, b)], "apart", &by, now).await? > 0))
    }

    async fn identifiers(&self, workspace: WorkspaceId, person: PersonId) -> Result<Vec<Identity>, StoreError> {
        let mut c = self.reader().await?;
        let family = erase::family(&mut c, workspace, person).await?;
        erase::identifiers(&mut c, workspace, &family).await
    }

    async fn files(&self, workspace: WorkspaceId, person: PersonId) -> Result<Vec<String>, StoreError> {
        let mut c = self.reader().await?;
        let family = erase::family(&mut c, workspace, person).await?;
        erase::files(&mut c, workspace, &family).await
    }

    async fn file_is_used(&self, workspace: WorkspaceId, file: &str) -> Result<bool, StoreError> {
        content::is_used(&mut self.reader().await?, workspace, file).await
    }

    async fn unused_files(&self, workspace: WorkspaceId, after: &str, limit: i64) -> Result<Vec<String>, StoreError> {
        content::unused(&mut self.reader().await?, workspace, after, limit).await
    }

    async fn file_settled(&self, workspace: WorkspaceId, file: &str) -> Result<(), StoreError> {
        let file = file.to_owned();
        write!(self, (file), |c| content::settled(c, workspace, &file).await)
    }

    async fn erasure_begin(
        &self,
        workspace: WorkspaceId,
        person: PersonId,
        key: &str,
        now: Millis,
    ) -> Result<Vec<String>, StoreError> {
        let key = key.to_owned();
        write!(self, (key), |c| erase::begin(c, workspace, person, &key, now).await)
    }

    async fn erasure_end(&self, workspace: WorkspaceId, person: PersonId) -> Result<(), StoreError> {
        write!(self, (), |c| erase::end(c, workspace, person).await)
    }

    async fn erasures_open(&self, workspace: WorkspaceId, before: Millis) -> Result<Vec<PersonId>, StoreError> {
        erase::open(&mut self.reader().await?, workspace, before).await
    }

    async fn scrub_journal(
        &self,
        workspace: WorkspaceId,
        after: i64,
        needles: Vec<String>,
        limit: i64,
    ) -> Result<(Option<i64>, u64), StoreError> {
        write!(self, (needles), |c| erase::scrub(c, workspace, after, &needles, limit).await)
    }

    async fn erase(
        &self,
        workspace: WorkspaceId,
        person: PersonId,
        key: &str,
        now: Millis,
    ) -> Result<Erased, StoreError> {
        let key = key.to_owned();
        write!(self, (key), |c| erase::erase(c, workspace, person, &key, now).await)
    }

    async fn audit(&self, workspace: WorkspaceId, entry: NewAudit) -> Result<(), StoreError> {
        write!(self, (entry), |c| log::append(c, workspace, &entry).await)
    }

    async fn audit_log(
        &self,
        workspace: WorkspaceId,
        subject: Option<&str>,
        limit: i64,
    ) -> Result<Vec<AuditEntry>, StoreError> {
        log::list(&mut self.reader().await?, workspace, subject, limit).await
    }

    async fn messages_of(&self, workspace: WorkspaceId, person: PersonId) -> Result<Vec<MessageView>, StoreError> {
        crate::look::messages_of(&mut self.reader().await?, workspace, person).await
    }

    async fn timeline(&self, workspace: WorkspaceId, person: PersonId, limit: i64) -> Result<Vec<Event>, StoreError> {
        let mut c = self.reader().await?;
        let family = erase::family(&mut c, workspace, person).await?;
        crate::events::of_people(&mut c, workspace, &family, limit).await
    }
}
