//! # People
//! Purpose: cleaning the list of people: finds who is probably one person, merges what is certain, files the rest for review;
//! looks again at values when a field's type changed; and erases whoever asks for it, the journal included.
//! May touch: the `People` port, files by their port.
//! Must not touch: what counts as a duplicate and what survives; those are pure rules of the domain.
//! Failure story: every portion of merges is one transaction. Killed in between, what was merged is merged, and the next cleaning
//! finds the rest. An erasure is open from before its first look until its last file is gone: killed in between, it is gone on
//! with by whoever erases again, or by retention on a serving node.

use ponte_domain::Millis;
use ponte_domain::duplicates::{Card, Found, Merge, Pair, Prepared, Settings, find, groups};
use ponte_domain::error::StoreError;
use ponte_domain::ids::{IdSource, PersonId, WorkspaceId};
use ponte_domain::people::PersonCard;
use ponte_domain::ports::people::{DuplicatePair, Erased, MergeFn, MergeOrder, NewAudit, People, Rechecked};
use ponte_domain::ports::world::Blobs;
use ponte_domain::profile::{Label, core};
use ponte_domain::survivorship::{Facts, Rules, merge, survivor};
use serde::Serialize;
use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::Arc;

/// People of one page.
const PAGE: i64 = 5_000;
/// Merges of one transaction.
const MERGES: usize = 500;
/// Pairs of one transaction.
const PAIRS: usize = 2_000;

/// What a cleaning is told.
pub struct Cleaning<'a> {
    /// The database.
    pub people: &'a dyn People,
    /// Tenant.
    pub workspace: WorkspaceId,
    /// New identifiers.
    pub ids: Arc<dyn IdSource>,
    /// Our clock.
    pub now: Millis,
    /// Who asked.
    pub by: String,
    /// How duplicates are looked for.
    pub settings: Settings,
    /// What survives a merge.
    pub rules: Rules,
    /// Only count: nothing is merged or filed.
    pub look_only: bool,
}

/// What a cleaning came to.
#[derive(Debug, Clone, Default, Serialize)]
pub struct Cleaned {
    /// People looked at.
    pub people: u64,
    /// People with at least one number.
    pub with_number: u64,
    /// People by label.
    pub labelled: BTreeMap<String, u64>,
    /// Comparisons made.
    pub compared: u64,
    /// Pairs that are probably one person.
    pub pairs: u64,
    /// People merged into others, or that would be.
    pub merged: u64,
    /// Pairs that wait for a person, or would.
    pub for_review: u64,
    /// Pairs that are new among those.
    pub newly_filed: u64,
    /// Why, of the merges: how often each reason was given.
    pub reasons: BTreeMap<String, u64>,
    /// People after it.
    pub people_after: u64,
}

impl Cleaning<'_> {
    /// Looks at everybody. `progress`: what is done, how much of how much.
    ///
    /// # Errors
    /// When the store can't; what was merged until then stays merged.
    pub async fn run(&self, mut progress: impl FnMut(&str, u64, u64)) -> Result<Cleaned, StoreError> {
        let mut cleaned = Cleaned::default();
        let (ids, prepared) = self.load(&mut cleaned, &mut progress).await?;
        let apart: HashSet<(PersonId, PersonId)> =
            self.people.decided_apart(self.workspace).await?.into_iter().collect();
        progress("comparing", 0, ids.len() as u64);
        let settings = self.settings;
        // Seconds of pure counting for a million people: not on a thread that others wait for.
        let searched = tokio::task::spawn_blocking(move || {
            let found = find(&prepared, &settings);
            (prepared, found)
        });
        let (prepared, mut found) = searched.await.map_err(|_| stopped())?;
        found.pairs.retain(|p| match (id_at(&ids, p.a), id_at(&ids, p.b)) {
            (Some(a), Some(b)) => !apart.contains(&(a.min(b), a.max(b))),
            _ => false,
        });
        cleaned.compared = found.compared;
        cleaned.pairs = found.pairs.len() as u64;
        let facts = self.facts(&ids, &found).await?;
        let stays = |a: u32, b: u32| match (facts.get(&a), facts.get(&b)) {
            (Some(x), Some(y)) => survivor(x, y),
            _ => a.cmp(&b),
        };
        let grouped = groups(&prepared, &found, &settings.thresholds, stays);
        drop(prepared);
        self.merge(&ids, &grouped.merges, &mut cleaned, &mut progress).await?;
        self.file(&ids, &grouped.review, &mut cleaned).await?;
        cleaned.people_after = cleaned.people.saturating_sub(cleaned.merged);
        Ok(cleaned)
    }

    async fn load(
        &self,
        cleaned: &mut Cleaned,
        progress: &mut impl FnMut(&str, u64, u64),
    ) -> Result<(Vec<PersonId>, Vec<Prepared>), StoreError> {
        let (mut ids, mut prepared) = (Vec::new(), Vec::new());
        let mut page = self.people.people(self.workspace, None, PAGE).await?;
        while let Some(last) = page.last().map(|person| person.id) {
            // On a thread of its own, while the next page is read.
            let preparing = tokio::task::spawn_blocking(move || prepare_all(&page));
            page = self.people.people(self.workspace, Some(last), PAGE).await?;
            let some = preparing.await.map_err(|_| stopped())?;
            cleaned.people += some.ids.len() as u64;
            cleaned.with_number += some.with_number;
            for label in some.labelled {
                *cleaned.labelled.entry(label.as_str().to_owned()).or_default() += 1;
            }
            ids.extend(some.ids);
            prepared.extend(some.prepared);
            progress("reading", cleaned.people, 0);
        }
        ids.shrink_to_fit();
        Ok((ids, prepared))
    }

    /// What decides who stays, of everybody in a pair.
    async fn facts(&self, ids: &[PersonId], found: &Found) -> Result<HashMap<u32, Facts>, StoreError> {
        let places: HashSet<u32> = found.pairs.iter().flat_map(|p| [p.a, p.b]).collect();
        let by_id: HashMap<PersonId, u32> =
            places.iter().filter_map(|place| Some((id_at(ids, *place)?, *place))).collect();
        let mut wanted: Vec<PersonId> = by_id.keys().copied().collect();
        wanted.sort_unstable();
        let mut facts = HashMap::with_capacity(wanted.len());
        for some in wanted.chunks(2_000) {
            for fact in self.people.facts(self.workspace, some).await? {
                if let Some(place) = by_id.get(&fact.id) {
                    facts.insert(*place, fact);
                }
            }
        }
        Ok(facts)
    }

    async fn merge(
        &self,
        ids: &[PersonId],
        merges: &[Merge],
        cleaned: &mut Cleaned,
        progress: &mut impl FnMut(&str, u64, u64),
    ) -> Result<(), StoreError> {
        let mut orders = Vec::new();
        for group in merges {
            let Some(stays) = id_at(ids, group.survivor) else { continue };
            for pair in &group.others {
                let other = if pair.a == group.survivor { pair.b } else { pair.a };
                let Some(other) = id_at(ids, other) else { continue };
                let reasons: Vec<String> = pair.score.reasons.codes().into_iter().map(Into::into).collect();
                for reason in &reasons {
                    *cleaned.reasons.entry(reason.clone()).or_default() += 1;
                }
                orders.push(MergeOrder {
                    id: self.ids.next(),
                    survivor: stays,
                    other,
                    score: i64::from(pair.score.permille),
                    reasons,
                });
            }
        }
        let all = orders.len() as u64;
        if self.look_only {
            cleaned.merged = all;
            return Ok(());
        }
        let rules = self.rules.clone();
        let profiles: MergeFn = Arc::new(move |kept, other| merge(kept, other, &rules).profile);
        for some in orders.chunks(MERGES) {
            let done =
                self.people.merge(self.workspace, self.now, &self.by, some.to_vec(), Arc::clone(&profiles)).await?;
            cleaned.merged += done.len() as u64;
            progress("merging", cleaned.merged, all);
        }
        Ok(())
    }

    async fn file(&self, ids: &[PersonId], review: &[Pair], cleaned: &mut Cleaned) -> Result<(), StoreError> {
        cleaned.for_review = review.len() as u64;
        if self.look_only {
            return Ok(());
        }
        for some in review.chunks(PAIRS) {
            let pairs = some.iter().filter_map(|pair| {
                let (a, b) = (id_at(ids, pair.a)?, id_at(ids, pair.b)?);
                Some(DuplicatePair {
                    a: a.min(b),
                    b: a.max(b),
                    score: i64::from(pair.score.permille),
                    reasons: pair.score.reasons.codes().into_iter().map(Into::into).collect(),
                    found_at: self.now,
                })
            });
            cleaned.newly_filed += self.people.file_pairs(self.workspace, pairs.collect()).await?;
        }
        Ok(())
    }
}

fn stopped() -> StoreError {
    StoreError::Unavailable("the search for duplicates stopped".into())
}

/// A page of people, ready for comparing.
struct PreparedPage {
    ids: Vec<PersonId>,
    prepared: Vec<Prepared>,
    with_number: u64,
    /// One a person and label.
    labelled: Vec<Label>,
}

fn prepare_all(page: &[PersonCard]) -> PreparedPage {
    PreparedPage {
        ids: page.iter().map(|person| person.id).collect(),
        prepared: page.iter().map(prepare).collect(),
        with_number: page.iter().filter(|person| !person.phones().is_empty()).count() as u64,
        labelled: page.iter().flat_map(|person| person.profile.labels.iter().copied()).collect(),
    }
}

fn id_at(ids: &[PersonId], place: u32) -> Option<PersonId> {
    ids.get(place as usize).copied()
}

fn prepare(person: &PersonCard) -> Prepared {
    let phones = person.phones();
    let profile = &person.profile;
    Prepared::new(&Card {
        name: person.name(),
        email: profile.get(core::EMAIL),
        phones: &phones,
        birthday: profile.get(core::BIRTHDAY),
        company: profile.get(core::COMPANY),
        city: profile.get(core::CITY),
    })
}

/// People looked at in one transaction when a field's type changed: others wait for so long.
const RECHECKED: i64 = 1_000;

/// Looks again at everybody's value of a field, after it was defined. `progress`: how many values so far.
///
/// # Errors
/// When the store can't; what was looked at until then is done, and the same call again does the rest.
pub async fn recheck(
    people: &dyn People,
    workspace: WorkspaceId,
    key: &str,
    now: Millis,
    mut progress: impl FnMut(u64),
) -> Result<Rechecked, StoreError> {
    let mut all = Rechecked::default();
    let mut after = None;
    loop {
        let page = people.recheck_field(workspace, key, after, RECHECKED, now).await?;
        all.fit += page.fit;
        all.as_written += page.as_written;
        all.changed += page.changed;
        progress(all.fit + all.as_written);
        match page.last {
            Some(last) => after = Some(last),
            None => return Ok(all),
        }
    }
}

/// Segments of the journal that are scrubbed at once.
const SCRUBBED_AT_ONCE: i64 = 64;

/// Files looked at in one page.
const FILES: i64 = 200;

/// An erasure to be made.
#[derive(Debug, Clone, Copy)]
pub struct Erasure<'a> {
    /// Tenant.
    pub workspace: WorkspaceId,
    /// Whose data; with everybody merged into them.
    pub person: PersonId,
    /// For remembering the identifiers when the workspace has no key yet; random.
    pub key: &'a str,
    /// Who asked, for the audit log.
    pub by: &'a str,
    /// Our clock.
    pub now: Millis,
}

/// Erases a person: in the journal, in the database, their files; and says so in the audit log. One that was killed is gone on
/// with, also when the person is gone from the database already.
///
/// # Errors
/// When the store can't; see the failure story.
pub async fn erase(people: &dyn People, blobs: &dyn Blobs, order: Erasure<'_>) -> Result<Erased, StoreError> {
    let Erasure { workspace, person, key, by, now } = order;
    let needles = people.erasure_begin(workspace, person, key, now).await?;
    let before = scrub(people, workspace, &needles).await?;
    let mut erased = people.erase(workspace, person, key, now).await?;
    // What came in while the first pass ran, by what was learnt of them meanwhile too.
    let needles = people.erasure_begin(workspace, person, key, now).await?;
    erased.journal_bodies = before + scrub(people, workspace, &needles).await?;
    remove_unused(people, blobs, workspace).await?;
    let data = serde_json::to_string(&erased).unwrap_or_default();
    let entry =
        NewAudit { at: now, who: by.to_owned(), act: "contacts.erase", subject: Some(person.to_string()), data };
    people.audit(workspace, entry).await?;
    people.erasure_end(workspace, person).await?;
    Ok(erased)
}

/// Removes the files that no message has any more; how many. A file that can't be removed now is tried again the next time.
///
/// # Errors
/// When the store or the folder of files can't.
pub async fn remove_unused(people: &dyn People, blobs: &dyn Blobs, workspace: WorkspaceId) -> Result<u64, StoreError> {
    let (mut after, mut removed) = (String::new(), 0);
    loop {
        let files = people.unused_files(workspace, &after, FILES).await?;
        let Some(last) = files.last() else { return Ok(removed) };
        after.clone_from(last);
        for file in &files {
            if !people.file_is_used(workspace, file).await? {
                blobs.remove(file).await.map_err(|e| StoreError::Unavailable(e.to_string()))?;
                removed += 1;
            }
            people.file_settled(workspace, file).await?;
        }
    }
}

async fn scrub(people: &dyn People, workspace: WorkspaceId, needles: &[String]) -> Result<u64, StoreError> {
    if needles.is_empty() {
        return Ok(0);
    }
    let (mut after, mut scrubbed) = (0, 0);
    loop {
        let (last, n) = people.scrub_journal(workspace, after, needles.to_vec(), SCRUBBED_AT_ONCE).await?;
        scrubbed += n;
        match last {
            Some(last) => after = last,
            None => return Ok(scrubbed),
        }
    }
}
