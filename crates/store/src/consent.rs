//! The consent ledger: adding words, working out what stands, what is due.
//! Invariants: `consent_state` is worked out from all entries of a person in the transaction that added one, with the person's
//! row locked, so that two writers never work from half of them.
//! Must not touch: what counts. That is the domain's fold.

mod policies;

pub(crate) use policies::Policies;

use crate::conn::{Conn, Val, vals};
use crate::events;
use crate::load::ids;
use ponte_domain::Millis;
use ponte_domain::consent::{Action, Entry, OpenRequest, Proof, Scope, Source, Standing, Standings, Thanks, fold};
use ponte_domain::conversation::Changes;
use ponte_domain::error::StoreError;
use ponte_domain::event::NewEvent;
use ponte_domain::ids::{ConsentId, PersonId, WorkspaceId};
use ponte_domain::ports::store::{ConsentDone, ConsentDue, ConsentFile};
use sqlx::FromRow;
use std::collections::{BTreeMap, BTreeSet, HashMap};
use uuid::Uuid;

fn corrupt(what: &str) -> StoreError {
    StoreError::Corrupt(what.to_owned())
}

#[derive(FromRow)]
struct EntryRow {
    id: Uuid,
    person_id: Uuid,
    scope: String,
    action: String,
    source: String,
    proof: String,
    at: Millis,
    until: Option<Millis>,
    said_by: String,
}

const ENTRY: &str = "id, person_id, scope, action, source, proof, at, until, said_by";

impl EntryRow {
    fn read(self) -> Result<Entry, StoreError> {
        let proof: Proof = serde_json::from_str(&self.proof).map_err(|_| corrupt("consent_entry.proof"))?;
        Ok(Entry {
            id: ConsentId(self.id),
            person: PersonId(self.person_id),
            scope: Scope::parse(&self.scope).ok_or_else(|| corrupt("consent_entry.scope"))?,
            action: Action::parse(&self.action).ok_or_else(|| corrupt("consent_entry.action"))?,
            source: Source::parse(&self.source).ok_or_else(|| corrupt("consent_entry.source"))?,
            proof,
            at: self.at,
            until: self.until,
            said_by: self.said_by,
        })
    }
}

#[derive(FromRow)]
struct RequestRow {
    id: Uuid,
    person_id: Uuid,
    number_id: String,
    scope: String,
    asked_at: Millis,
    remind_at: Option<Millis>,
    expires_at: Millis,
    message: String,
}

const REQUEST: &str = "id, person_id, number_id, scope, asked_at, remind_at, expires_at, message";

impl RequestRow {
    fn read(self) -> Result<OpenRequest, StoreError> {
        Ok(OpenRequest {
            id: ConsentId(self.id),
            person: PersonId(self.person_id),
            scope: Scope::parse(&self.scope).ok_or_else(|| corrupt("consent_request.scope"))?,
            number: self.number_id.into(),
            asked_at: self.asked_at,
            remind_at: self.remind_at,
            expires_at: self.expires_at,
            message: self.message,
        })
    }
}

/// Adds words and works out what stands for the people they are of; how many were new.
pub(crate) async fn append(c: &mut Conn, workspace: WorkspaceId, entries: &[Entry]) -> Result<u64, StoreError> {
    if entries.is_empty() {
        return Ok(0);
    }
    let people: BTreeSet<PersonId> = entries.iter().map(|e| e.person).collect();
    lock(c, workspace, &people).await?;
    let added = insert(c, workspace, entries).await?;
    for person in people {
        recompute(c, workspace, person).await?;
    }
    Ok(added)
}

/// Adds what an import says. `fresh`: people of the same transaction, of whom nothing is known yet: what stands for them is
/// worked out without a look, for there may be hundreds of thousands.
pub(crate) async fn import(
    c: &mut Conn,
    workspace: WorkspaceId,
    entries: &[Entry],
    fresh: &BTreeSet<PersonId>,
) -> Result<(), StoreError> {
    let (new, old): (Vec<Entry>, Vec<Entry>) = entries.iter().cloned().partition(|e| fresh.contains(&e.person));
    insert(c, workspace, &new).await?;
    let mut by_person: BTreeMap<PersonId, Vec<Entry>> = BTreeMap::new();
    for entry in new {
        by_person.entry(entry.person).or_default().push(entry);
    }
    let states = by_person.iter().flat_map(|(person, entries)| state_rows(workspace, *person, entries)).collect();
    c.insert_many(STATE, "", states).await?;
    // A list that is imported again says nothing new.
    let known: Vec<(Uuid,)> = c
        .select_in(
            "SELECT id FROM consent_entry WHERE workspace_id = $1 AND ",
            &["id"],
            "",
            vals![workspace.0],
            old.iter().map(|e| vals![e.id.0]).collect(),
        )
        .await?;
    let known: BTreeSet<Uuid> = known.into_iter().map(|(id,)| id).collect();
    let unsaid: Vec<Entry> = old.into_iter().filter(|e| !known.contains(&e.id.0)).collect();
    append(c, workspace, &unsaid).await?;
    Ok(())
}

async fn insert(c: &mut Conn, workspace: WorkspaceId, entries: &[Entry]) -> Result<u64, StoreError> {
    let mut rows = Vec::with_capacity(entries.len());
    for e in entries {
        let proof = serde_json::to_string(&e.proof).map_err(|_| corrupt("a proof can't be written"))?;
        rows.push(vals![
            workspace.0,
            e.id.0,
            e.person.0,
            e.scope.to_string(),
            e.action.as_str(),
            e.source.as_str(),
            proof,
            e.at,
            e.until,
            e.said_by.as_str()
        ]);
    }
    c.insert_many(
        "INSERT INTO consent_entry (workspace_id, id, person_id, scope, action, source, proof, at, until, said_by)",
        "ON CONFLICT (workspace_id, id) DO NOTHING",
        rows,
    )
    .await
}

async fn lock(c: &mut Conn, workspace: WorkspaceId, people: &BTreeSet<PersonId>) -> Result<(), StoreError> {
    if c.is_postgres() {
        let _: Vec<(Uuid,)> = c
            .select_in(
                "SELECT id FROM person WHERE workspace_id = $1 AND ",
                &["id"],
                " ORDER BY id FOR UPDATE",
                vals![workspace.0],
                ids(people),
            )
            .await?;
    }
    Ok(())
}

/// Works out what stands for a person from all their entries. To be called when entries were moved to them, in the same
/// transaction, with the person's row locked.
pub(crate) async fn recompute(c: &mut Conn, workspace: WorkspaceId, person: PersonId) -> Result<(), StoreError> {
    let entries = entries_of(c, workspace, person).await?;
    c.exec("DELETE FROM consent_state WHERE workspace_id = $1 AND person_id = $2", vals![workspace.0, person.0])
        .await?;
    c.insert_many(STATE, "", state_rows(workspace, person, &entries)).await?;
    Ok(())
}

const STATE: &str =
    "INSERT INTO consent_state (workspace_id, person_id, scope, confirmed_at, withdrawn_at, requested_at)";

fn state_rows(workspace: WorkspaceId, person: PersonId, entries: &[Entry]) -> Vec<Vec<Val>> {
    let row = |(scope, s): (Scope, Standing)| {
        vals![workspace.0, person.0, scope.to_string(), s.confirmed_at, s.withdrawn_at, s.requested_at]
    };
    fold(entries).0.into_iter().map(row).collect()
}

async fn entries_of(c: &mut Conn, workspace: WorkspaceId, person: PersonId) -> Result<Vec<Entry>, StoreError> {
    let rows: Vec<EntryRow> = c
        .all(
            format!("SELECT {ENTRY} FROM consent_entry WHERE workspace_id = $1 AND person_id = $2 ORDER BY at, id"),
            vals![workspace.0, person.0],
        )
        .await?;
    rows.into_iter().map(EntryRow::read).collect()
}

/// What stands for these people; who isn't there never said anything.
pub(crate) async fn standings(
    c: &mut Conn,
    workspace: WorkspaceId,
    people: &BTreeSet<PersonId>,
) -> Result<HashMap<PersonId, Standings>, StoreError> {
    type Row = (Uuid, String, Option<Millis>, Option<Millis>, Option<Millis>);
    let rows: Vec<Row> = c
        .select_in(
            "SELECT person_id, scope, confirmed_at, withdrawn_at, requested_at FROM consent_state \
             WHERE workspace_id = $1 AND ",
            &["person_id"],
            "",
            vals![workspace.0],
            ids(people),
        )
        .await?;
    let mut found: HashMap<PersonId, Standings> = HashMap::new();
    for (person, scope, confirmed_at, withdrawn_at, requested_at) in rows {
        let scope = Scope::parse(&scope).ok_or_else(|| corrupt("consent_state.scope"))?;
        let standing = Standing { confirmed_at, withdrawn_at, requested_at };
        found.entry(PersonId(person)).or_default().0.insert(scope, standing);
    }
    Ok(found)
}

/// The questions to these people that are open.
pub(crate) async fn requests(
    c: &mut Conn,
    workspace: WorkspaceId,
    people: &BTreeSet<PersonId>,
) -> Result<Vec<OpenRequest>, StoreError> {
    let rows: Vec<RequestRow> = c
        .select_in(
            &format!("SELECT {REQUEST} FROM consent_request WHERE workspace_id = $1 AND "),
            &["person_id"],
            "",
            vals![workspace.0],
            ids(people),
        )
        .await?;
    let mut found = rows.into_iter().map(RequestRow::read).collect::<Result<Vec<_>, _>>()?;
    found.sort_by_key(|r| r.id);
    found.dedup_by_key(|r| r.id);
    Ok(found)
}

/// A question that was asked: an open one of the same person and scope is replaced.
pub(crate) async fn ask(
    c: &mut Conn,
    workspace: WorkspaceId,
    asked: &[(Entry, OpenRequest)],
) -> Result<(), StoreError> {
    for (_, r) in asked {
        let scope = r.scope.to_string();
        c.exec(
            "DELETE FROM consent_request WHERE workspace_id = $1 AND person_id = $2 AND scope = $3",
            vals![workspace.0, r.person.0, scope.as_str()],
        )
        .await?;
        c.exec(
            "INSERT INTO consent_request (workspace_id, id, person_id, number_id, scope, asked_at, remind_at, due_at, \
             expires_at, message) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)",
            vals![
                workspace.0,
                r.id.0,
                r.person.0,
                r.number.as_str(),
                scope,
                r.asked_at,
                r.remind_at,
                r.remind_at.unwrap_or(r.expires_at),
                r.expires_at,
                r.message.as_str()
            ],
        )
        .await?;
    }
    let entries: Vec<Entry> = asked.iter().map(|(entry, _)| entry.clone()).collect();
    append(c, workspace, &entries).await?;
    Ok(())
}

/// What a fold found people to have said.
pub(crate) async fn folded(c: &mut Conn, workspace: WorkspaceId, changes: &Changes) -> Result<(), StoreError> {
    append(c, workspace, &changes.consent).await?;
    remove(c, workspace, "consent_request", &changes.answered).await?;
    let rows = changes
        .thanks
        .iter()
        .map(|t| vals![workspace.0, t.id.0, t.person.0, t.number.as_str(), t.language.as_str(), t.at])
        .collect();
    c.insert_many(
        "INSERT INTO consent_thanks (workspace_id, id, person_id, number_id, language, at)",
        "ON CONFLICT (workspace_id, id) DO NOTHING",
        rows,
    )
    .await?;
    Ok(())
}

async fn remove(c: &mut Conn, workspace: WorkspaceId, table: &str, gone: &[ConsentId]) -> Result<(), StoreError> {
    for id in gone {
        c.exec(format!("DELETE FROM {table} WHERE workspace_id = $1 AND id = $2"), vals![workspace.0, id.0]).await?;
    }
    Ok(())
}

pub(crate) async fn record(
    c: &mut Conn,
    workspace: WorkspaceId,
    entries: &[Entry],
    happened: Vec<NewEvent>,
) -> Result<u64, StoreError> {
    let added = append(c, workspace, entries).await?;
    for e in entries {
        // A question that has its answer isn't asked again.
        let scope = e.scope.to_string();
        c.exec(
            "DELETE FROM consent_request WHERE workspace_id = $1 AND person_id = $2 AND (scope = $3 OR scope LIKE $4)",
            vals![workspace.0, e.person.0, scope.as_str(), format!("{scope}/%")],
        )
        .await?;
    }
    events::append(c, workspace, happened).await?;
    Ok(added)
}

pub(crate) async fn file(
    c: &mut Conn,
    workspace: WorkspaceId,
    person: PersonId,
) -> Result<Option<ConsentFile>, StoreError> {
    let row: Option<(Option<Millis>,)> = c
        .first(
            "SELECT marketing_stopped_at FROM person WHERE workspace_id = $1 AND id = $2",
            vals![workspace.0, person.0],
        )
        .await?;
    let Some((marketing_stopped_at,)) = row else { return Ok(None) };
    let who = BTreeSet::from([person]);
    Ok(Some(ConsentFile {
        entries: entries_of(c, workspace, person).await?,
        standings: standings(c, workspace, &who).await?.remove(&person).unwrap_or_default(),
        open: requests(c, workspace, &who).await?,
        marketing_stopped_at,
    }))
}

pub(crate) async fn export(
    c: &mut Conn,
    workspace: WorkspaceId,
    after: Option<ConsentId>,
    limit: i64,
) -> Result<Vec<Entry>, StoreError> {
    let rows: Vec<EntryRow> = c
        .all(
            format!("SELECT {ENTRY} FROM consent_entry WHERE workspace_id = $1 AND id > $2 ORDER BY id LIMIT $3"),
            vec![Val::from(workspace.0), Val::from(after.map_or(Uuid::nil(), |a| a.0)), Val::from(limit)],
        )
        .await?;
    rows.into_iter().map(EntryRow::read).collect()
}

pub(crate) async fn due(
    c: &mut Conn,
    workspace: WorkspaceId,
    now: Millis,
    limit: i64,
) -> Result<ConsentDue, StoreError> {
    let rows: Vec<(Uuid, Uuid, String, String, Millis)> = c
        .all(
            "SELECT id, person_id, number_id, language, at FROM consent_thanks WHERE workspace_id = $1 LIMIT $2",
            vals![workspace.0, limit],
        )
        .await?;
    let thanks = rows.into_iter().map(|(id, person, number, language, at)| Thanks {
        id: ConsentId(id),
        person: PersonId(person),
        number: number.into(),
        language,
        at,
    });
    let requests: Vec<RequestRow> = c
        .all(
            format!(
                "SELECT {REQUEST} FROM consent_request WHERE workspace_id = $1 AND due_at <= $2 ORDER BY due_at LIMIT $3"
            ),
            vals![workspace.0, now, limit],
        )
        .await?;
    let requests = requests.into_iter().map(RequestRow::read).collect::<Result<Vec<_>, _>>()?;
    let (expired, reminders) = requests.into_iter().partition(|r| r.expires_at <= now);
    Ok(ConsentDue { thanks: thanks.collect(), reminders, expired })
}

pub(crate) async fn settle(c: &mut Conn, workspace: WorkspaceId, done: &ConsentDone) -> Result<(), StoreError> {
    remove(c, workspace, "consent_thanks", &done.thanked).await?;
    for id in &done.reminded {
        c.exec(
            "UPDATE consent_request SET remind_at = NULL, due_at = expires_at WHERE workspace_id = $1 AND id = $2",
            vals![workspace.0, id.0],
        )
        .await?;
    }
    remove(c, workspace, "consent_request", &done.expired).await?;
    events::append(c, workspace, done.events.clone()).await
}
