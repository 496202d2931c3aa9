//! Applying rows of an import: look up whose they are, let the pure decision decide, write people and identifiers, and move the
//! run on: one transaction, so that a killed run goes on where it stood.
//! Hot: a million rows go through here. Rows come sorted by their first number, so that the tables' indexes grow at their
//! ends; what can't exist yet isn't looked for.

use super::{links, marks, packed};
use crate::conn::{Conn, Val, vals};
use ponte_domain::Millis;
use ponte_domain::error::StoreError;
use ponte_domain::identity::{Identity, IdentityKind};
use ponte_domain::ids::{PersonId, WorkspaceId};
use ponte_domain::message::NewIdentity;
use ponte_domain::people::import::{Changes, Outcome, View, lookups};
use ponte_domain::people::{Draft, PersonCard};
use ponte_domain::ports::people::{Applied, ImportFn, ImportRun, VariantsFn};
use ponte_domain::profile::Profile;
use sqlx::FromRow;
use std::collections::BTreeSet;
use uuid::Uuid;

#[derive(FromRow)]
struct RunRow {
    id: Uuid,
    source: String,
    fingerprint: String,
    applied: i64,
    created: i64,
    updated: i64,
    unchanged: i64,
    erased: i64,
    started_at: Millis,
    finished_at: Option<Millis>,
}

fn count(n: i64) -> u64 {
    u64::try_from(n).unwrap_or(0)
}

impl RunRow {
    const COLUMNS: &'static str =
        "id, source, fingerprint, applied, created, updated, unchanged, erased, started_at, finished_at";

    fn read(self) -> ImportRun {
        ImportRun {
            id: self.id,
            source: self.source,
            fingerprint: self.fingerprint,
            applied: count(self.applied),
            created: count(self.created),
            updated: count(self.updated),
            unchanged: count(self.unchanged),
            erased: count(self.erased),
            started_at: self.started_at,
            finished_at: self.finished_at,
        }
    }
}

pub(crate) async fn begin(
    c: &mut Conn,
    workspace: WorkspaceId,
    id: Uuid,
    source: &str,
    fingerprint: &str,
    now: Millis,
) -> Result<ImportRun, StoreError> {
    let open: Option<RunRow> = c
        .first(
            format!(
                "SELECT {} FROM import_run WHERE workspace_id = $1 AND source = $2 AND fingerprint = $3 \
                 AND finished_at IS NULL ORDER BY started_at DESC LIMIT 1",
                RunRow::COLUMNS
            ),
            vals![workspace.0, source, fingerprint],
        )
        .await?;
    if let Some(open) = open {
        return Ok(open.read());
    }
    c.exec(
        "INSERT INTO import_run (workspace_id, id, source, fingerprint, applied, created, updated, unchanged, erased, \
         started_at, changed_at) VALUES ($1, $2, $3, $4, 0, 0, 0, 0, 0, $5, $5)",
        vals![workspace.0, id, source, fingerprint, now],
    )
    .await?;
    Ok(ImportRun {
        id,
        source: source.to_owned(),
        fingerprint: fingerprint.to_owned(),
        applied: 0,
        created: 0,
        updated: 0,
        unchanged: 0,
        erased: 0,
        started_at: now,
        finished_at: None,
    })
}

/// Runs, newest first.
pub(crate) async fn runs(c: &mut Conn, workspace: WorkspaceId, limit: i64) -> Result<Vec<ImportRun>, StoreError> {
    let rows: Vec<RunRow> = c
        .all(
            format!(
                "SELECT {} FROM import_run WHERE workspace_id = $1 ORDER BY started_at DESC, id DESC LIMIT $2",
                RunRow::COLUMNS
            ),
            vals![workspace.0, limit],
        )
        .await?;
    Ok(rows.into_iter().map(RunRow::read).collect())
}

/// A batch to apply.
pub(crate) struct Batch<'a> {
    pub(crate) run: Uuid,
    pub(crate) source: &'a str,
    pub(crate) from: u64,
    pub(crate) drafts: &'a [Draft],
    pub(crate) variants: &'a VariantsFn,
    pub(crate) decide: &'a ImportFn,
    pub(crate) now: Millis,
}

pub(crate) async fn apply(c: &mut Conn, workspace: WorkspaceId, batch: &Batch<'_>) -> Result<Applied, StoreError> {
    let rows = i64::try_from(batch.drafts.len()).unwrap_or(i64::MAX);
    let from = i64::try_from(batch.from).unwrap_or(i64::MAX);
    let moved = c
        .exec(
            "UPDATE import_run SET applied = applied + $4, changed_at = $5 WHERE workspace_id = $1 AND id = $2 \
             AND applied = $3 AND finished_at IS NULL",
            vals![workspace.0, batch.run, from, rows, batch.now],
        )
        .await?;
    if moved == 0 {
        return Err(StoreError::LeaseLost);
    }
    let view = view(c, workspace, batch.source, batch.drafts, batch.variants).await?;
    let changes = (batch.decide)(batch.drafts, view);
    write(c, workspace, batch.now, &changes).await?;
    if let Some(connection) = links::connection_of(batch.source) {
        links::add(c, workspace, connection, batch.now, &changes).await?;
    }
    let fresh: BTreeSet<PersonId> = changes.created.iter().map(|(id, _)| *id).collect();
    crate::consent::import(c, workspace, &changes.consent, &fresh).await?;
    let done = Applied { applied: batch.from + batch.drafts.len() as u64, ..counted(batch.drafts, &changes) };
    let n = |n: u64| i64::try_from(n).unwrap_or(i64::MAX);
    c.exec(
        "UPDATE import_run SET created = created + $3, updated = updated + $4, unchanged = unchanged + $5, \
         erased = erased + $6 WHERE workspace_id = $1 AND id = $2",
        vals![
            workspace.0,
            batch.run,
            n(done.created),
            n(done.updated),
            n(done.unchanged),
            n(done.erased_lines.len() as u64)
        ],
    )
    .await?;
    Ok(done)
}

fn counted(drafts: &[Draft], changes: &Changes) -> Applied {
    let mut done = Applied::default();
    for (draft, (outcome, _)) in drafts.iter().zip(&changes.outcomes) {
        match outcome {
            Outcome::Created => done.created += 1,
            Outcome::Updated => done.updated += 1,
            Outcome::Unchanged => done.unchanged += 1,
            Outcome::Erased => done.erased_lines.push(draft.line),
        }
    }
    done
}

/// What applying would come to.
pub(crate) async fn look(
    c: &mut Conn,
    workspace: WorkspaceId,
    source: &str,
    drafts: &[Draft],
    variants: &VariantsFn,
    decide: &ImportFn,
) -> Result<Applied, StoreError> {
    let view = view(c, workspace, source, drafts, variants).await?;
    Ok(counted(drafts, &decide(drafts, view)))
}

/// Values of one kind and scope that are looked for.
struct Sought {
    kind: IdentityKind,
    scope: String,
    values: Vec<String>,
}

impl Sought {
    /// Everything under which the people of the rows may be known, by kind and scope: there are three of them.
    fn of(drafts: &[Draft], source: &str, variants: &VariantsFn) -> Vec<Self> {
        let mut all: Vec<Self> = Vec::new();
        for draft in drafts {
            lookups(draft, source, &|digits| variants(digits), |kind, scope, value| {
                match all.iter_mut().find(|s| s.kind == kind && s.scope == scope) {
                    Some(sought) => sought.values.push(value.to_owned()),
                    None => all.push(Self { kind, scope: scope.to_owned(), values: vec![value.to_owned()] }),
                }
            });
        }
        all
    }

    fn identity(&self, value: String) -> Identity {
        Identity { kind: self.kind, scope: self.scope.clone(), value }
    }
}

/// What is stored about the rows. What lies beyond the highest stored value of its kind isn't there, and isn't looked for: the
/// rows of a first import all do.
async fn view(
    c: &mut Conn,
    workspace: WorkspaceId,
    source: &str,
    drafts: &[Draft],
    variants: &VariantsFn,
) -> Result<View, StoreError> {
    let all = Sought::of(drafts, source, variants);
    let mut view = View::default();
    if super::erase::remembers(c, workspace).await? {
        let wanted = all.iter().flat_map(|s| s.values.iter().map(|value| s.identity(value.clone()))).collect();
        view.erased = super::erase::known(c, workspace, &wanted).await?;
    }
    for sought in all {
        for (value, person) in owners(c, workspace, &sought).await? {
            view.owners.insert(sought.identity(value), PersonId(person));
        }
        if let Some(connection) = links::connection_of(source).filter(|_| sought.kind == IdentityKind::External) {
            for (value, person) in links::owners(c, workspace, connection, &sought.values).await? {
                view.owners.insert(sought.identity(value), PersonId(person));
            }
        }
    }
    let people: BTreeSet<PersonId> = view.owners.values().copied().collect();
    let cards = super::cards::load(c, workspace, &people).await?;
    view.profiles = cards.into_iter().map(|card: PersonCard| (card.id, card.profile)).collect();
    Ok(view)
}

/// Whose the values are, of those that are there.
async fn owners(c: &mut Conn, workspace: WorkspaceId, sought: &Sought) -> Result<Vec<(String, Uuid)>, StoreError> {
    let fixed = vals![workspace.0, sought.kind.as_str(), sought.scope.as_str()];
    let max: Option<(Option<String>,)> = c
        .first("SELECT MAX(value) FROM identity WHERE workspace_id = $1 AND kind = $2 AND scope = $3", fixed.clone())
        .await?;
    let Some(max) = max.and_then(|(max,)| max) else { return Ok(Vec::new()) };
    // PostgreSQL may sort text by a language's rules: only "there is none" is believed there.
    let near = |value: &&String| c.is_postgres() || **value <= max;
    let mut values: Vec<&String> = sought.values.iter().filter(near).collect();
    values.sort();
    values.dedup();
    c.select_in(
        "SELECT value, person_id FROM identity WHERE workspace_id = $1 AND kind = $2 AND scope = $3 AND ",
        &["value"],
        "",
        fixed,
        values.into_iter().map(|value| vals![value.as_str()]).collect(),
    )
    .await
}

async fn write(c: &mut Conn, workspace: WorkspaceId, now: Millis, changes: &Changes) -> Result<(), StoreError> {
    insert_people(c, workspace, now, &changes.created).await?;
    write_profiles(c, workspace, now, &changes.changed).await?;
    let mut identities: Vec<Vec<&NewIdentity>> = Vec::new();
    for new in &changes.identities {
        let same = |group: &&mut Vec<&NewIdentity>| {
            group
                .first()
                .is_some_and(|n| n.identity.kind == new.identity.kind && n.identity.scope == new.identity.scope)
        };
        match identities.iter_mut().find(same) {
            Some(group) => group.push(new),
            None => identities.push(vec![new]),
        }
    }
    for mut same in identities {
        // The rows come in the order of their first number: most are in order already, which this sort makes use of.
        same.sort_by(|a, b| a.identity.value.cmp(&b.identity.value));
        let Some(Identity { kind, scope, .. }) = same.first().map(|n| &n.identity) else { continue };
        c.insert_each(
            "INSERT INTO identity (workspace_id, kind, scope, value, person_id, since)",
            "($1, $2, $3, ?, ?, ?)",
            vals![workspace.0, kind.as_str(), scope.as_str()],
            &same,
            |n| vals![n.identity.value.as_str(), n.person.0, n.at],
        )
        .await?;
    }
    Ok(())
}

/// New people, without identifiers.
pub(crate) async fn insert_people(
    c: &mut Conn,
    workspace: WorkspaceId,
    now: Millis,
    people: &[(PersonId, Profile)],
) -> Result<(), StoreError> {
    c.insert_each(
        "INSERT INTO person (workspace_id, id, profile, labels, created_at, changed_at)",
        "($1, ?, ?, ?, $2, $2)",
        vals![workspace.0, now],
        people,
        |(id, profile)| vals![id.0, packed::pack(profile), packed::labels(profile)],
    )
    .await?;
    marks::add(c, workspace, people).await
}

pub(crate) async fn write_profiles(
    c: &mut Conn,
    workspace: WorkspaceId,
    now: Millis,
    profiles: &[(PersonId, Profile)],
) -> Result<(), StoreError> {
    let rows: Vec<Vec<Val>> =
        profiles.iter().map(|(id, profile)| vals![id.0, packed::pack(profile), packed::labels(profile)]).collect();
    c.change_many(
        "id, profile, labels",
        "UPDATE person SET profile = v.profile, labels = v.labels, changed_at = $2 FROM v \
         WHERE person.workspace_id = $1 AND person.id = v.id",
        vals![workspace.0, now],
        rows,
    )
    .await?;
    marks::write(c, workspace, profiles).await
}

/// From so many people on the planner is told: it costs a second where there are millions.
const MANY: i64 = 10_000;

pub(crate) async fn finish(
    c: &mut Conn,
    workspace: WorkspaceId,
    run: Uuid,
    report: &str,
    now: Millis,
) -> Result<(), StoreError> {
    let came: Option<(i64,)> = c
        .first(
            "UPDATE import_run SET finished_at = $3, changed_at = $3, report = $4 WHERE workspace_id = $1 AND id = $2 \
             RETURNING created + updated",
            vals![workspace.0, run, now, report],
        )
        .await?;
    // The planner of PostgreSQL would know nothing of the new people for a minute or more, and pages of them would each read all
    // that follow (measured: 52 s instead of 23 s for cleaning a million).
    if c.is_postgres() && came.is_some_and(|(people,)| people >= MANY) {
        c.script("ANALYZE person, identity, person_mark".to_owned()).await?;
    }
    Ok(())
}
