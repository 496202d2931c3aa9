//! Applies a staged table to the database, batch by batch, each with the run's progress in one transaction.

use super::stage::{Counted, Staged};
use anyhow::Result;
use ponte_domain::Millis;
use ponte_domain::ids::{IdSource, WorkspaceId};
use ponte_domain::people::import::{Context, decide};
use ponte_domain::ports::people::{Applied, ImportFn, ImportRun, People, VariantsFn};
use serde::Serialize;
use std::borrow::Cow;
use std::sync::Arc;
use uuid::Uuid;

/// Where and how to apply.
pub struct Target<'a> {
    /// The database.
    pub people: &'a dyn People,
    /// Tenant.
    pub workspace: WorkspaceId,
    /// Name of the source.
    pub source: String,
    /// Also replace what an agent or a CRM said.
    pub overwrite: bool,
    /// New identifiers.
    pub ids: Arc<dyn IdSource>,
    /// Our clock.
    pub now: fn() -> Millis,
    /// Rows of one transaction.
    pub batch: usize,
}

/// What an import came to.
#[derive(Debug, Clone, Default, Serialize)]
pub struct Report {
    /// Id of the run.
    pub run: Option<Uuid>,
    /// What was read.
    #[serde(flatten)]
    pub counted: Counted,
    /// New people.
    pub created: u64,
    /// People changed.
    pub updated: u64,
    /// Rows that changed nothing.
    pub unchanged: u64,
    /// Rows of people who were erased: kept out.
    pub erased: u64,
    /// Lines of those, at most 1,000.
    pub erased_lines: Vec<u64>,
    /// Rows that an earlier run, killed, had applied already.
    pub resumed_after: u64,
}

impl Target<'_> {
    fn variants() -> VariantsFn {
        Arc::new(|digits| ponte_domain::phone::candidates(digits).map(Cow::into_owned).collect())
    }

    fn decide(&self, now: Millis) -> ImportFn {
        let (source, overwrite, ids) = (self.source.clone(), self.overwrite, Arc::clone(&self.ids));
        let variants = Self::variants();
        Arc::new(move |drafts, view| {
            let context = Context { source: &source, now, ids: ids.as_ref(), overwrite, variants: variants.as_ref() };
            decide(drafts, view, &context)
        })
    }

    /// Applies everything, or goes on where an earlier run was killed.
    ///
    /// # Errors
    /// The database can't; what was applied until then stays, and the same call goes on.
    pub async fn apply(
        &self,
        staged: &Staged,
        fingerprint: &str,
        mut progress: impl FnMut(u64, u64),
    ) -> Result<Report> {
        let begun =
            self.people.import_begin(self.workspace, self.ids.next(), &self.source, fingerprint, (self.now)()).await?;
        let mut report = Report {
            run: Some(begun.id),
            counted: staged.counted.clone(),
            created: begun.created,
            updated: begun.updated,
            unchanged: begun.unchanged,
            erased: begun.erased,
            resumed_after: begun.applied,
            ..Report::default()
        };
        let ImportRun { id, applied: mut at, .. } = begun;
        let batch = self.batch.max(1);
        let mut drafts = staged.batch(at, batch)?;
        while !drafts.is_empty() {
            let (now, next) = ((self.now)(), at + drafts.len() as u64);
            let applied = self.people.import_apply(
                self.workspace,
                id,
                &self.source,
                at,
                Arc::new(drafts),
                Self::variants(),
                self.decide(now),
                now,
            );
            // While the database works on a batch the next one is read.
            let (done, following) = tokio::join!(applied, async { staged.batch(next, batch) });
            let done = done?;
            at = done.applied;
            report.add(done);
            progress(at, staged.len());
            drafts = following?;
        }
        let text = serde_json::to_string(&report)?;
        self.people.import_finish(self.workspace, id, &text, (self.now)()).await?;
        Ok(report)
    }

    /// What applying would come to, with nothing changed. People who are in the table twice, far apart, count twice.
    ///
    /// # Errors
    /// The database can't.
    pub async fn look(&self, staged: &Staged, mut progress: impl FnMut(u64, u64)) -> Result<Report> {
        let mut report = Report { counted: staged.counted.clone(), ..Report::default() };
        let mut at = 0;
        while at < staged.len() {
            let drafts = Arc::new(staged.batch(at, self.batch.max(1))?);
            at += drafts.len() as u64;
            let now = (self.now)();
            let done = self
                .people
                .import_look(self.workspace, &self.source, drafts, Self::variants(), self.decide(now))
                .await?;
            report.add(done);
            progress(at, staged.len());
        }
        Ok(report)
    }
}

impl Report {
    fn add(&mut self, done: Applied) {
        self.created += done.created;
        self.updated += done.updated;
        self.unchanged += done.unchanged;
        self.erased += done.erased_lines.len() as u64;
        let room = 1_000_usize.saturating_sub(self.erased_lines.len());
        self.erased_lines.extend(done.erased_lines.into_iter().take(room));
    }
}
