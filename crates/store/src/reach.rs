//! What is known of phone lines to which sends failed. Read and written in the transaction of whoever found out; the rows of the
//! people are locked before, so that two writers never work from the same past.
//! Must not touch: when a line counts as dead. That is the domain's.

use crate::conn::{Conn, vals};
use crate::load::{self, ids};
use ponte_domain::Millis;
use ponte_domain::error::StoreError;
use ponte_domain::event::{EventKind, NewEvent};
use ponte_domain::identity::{Identity, IdentityKind};
use ponte_domain::ids::{PersonId, WorkspaceId};
use ponte_domain::message::{MessageHead, Person};
use ponte_domain::profile::Unreachable;
use ponte_domain::reach::{Book, Failure, Reach, Settings, line, told};
use sqlx::FromRow;
use std::collections::{BTreeSet, HashMap};
use uuid::Uuid;

#[derive(FromRow)]
struct ReachRow {
    line: String,
    failures: String,
    alive_at: Option<Millis>,
    dead_at: Option<Millis>,
}

impl ReachRow {
    fn read(self) -> Result<(String, Reach), StoreError> {
        let failures: Vec<Failure> =
            serde_json::from_str(&self.failures).map_err(|_| StoreError::Corrupt("phone_reach.failures".into()))?;
        Ok((self.line, Reach { failures, alive_at: self.alive_at, dead_at: self.dead_at }))
    }
}

/// What is known of these lines; most are not there.
pub(crate) async fn lines(
    c: &mut Conn,
    workspace: WorkspaceId,
    wanted: &BTreeSet<String>,
) -> Result<HashMap<String, Reach>, StoreError> {
    let rows: Vec<ReachRow> = c
        .select_in(
            "SELECT line, failures, alive_at, dead_at FROM phone_reach WHERE workspace_id = $1 AND ",
            &["line"],
            "",
            vals![workspace.0],
            wanted.iter().map(|l| vals![l.as_str()]).collect(),
        )
        .await?;
    rows.into_iter().map(ReachRow::read).collect()
}

/// The line of an identifier that is a number.
pub(crate) fn line_of(identity: &Identity) -> Option<String> {
    matches!(identity.kind, IdentityKind::Phone | IdentityKind::WaId).then(|| line(&identity.value))
}

/// What a fold needs: of the lines named, and of all lines of those for whom it matters.
pub(crate) async fn book(
    c: &mut Conn,
    workspace: WorkspaceId,
    named: &BTreeSet<String>,
    people: &[Person],
    failures: bool,
) -> Result<Book, StoreError> {
    let mut book = Book::default();
    let matters: BTreeSet<PersonId> =
        people.iter().filter(|p| failures || p.unreachable != Unreachable::No).map(|p| p.id).collect();
    let mut wanted = named.clone();
    for link in load::identities_of(c, workspace, &matters).await? {
        if let Some(line) = line_of(&link.identity) {
            wanted.insert(line.clone());
            book.of.entry(link.person).or_default().insert(line);
        }
    }
    book.heard = heard(c, workspace, &matters).await?;
    book.lines = lines(c, workspace, &wanted).await?;
    Ok(book)
}

/// The last sign of life of people: what they wrote, what reached their phones.
async fn heard(
    c: &mut Conn,
    workspace: WorkspaceId,
    people: &BTreeSet<PersonId>,
) -> Result<HashMap<PersonId, Millis>, StoreError> {
    let last = |what: &str, which: &str| {
        format!(
            "(SELECT MAX(m.{what}) FROM message m WHERE m.workspace_id = p.workspace_id AND m.person_id = p.id{which})"
        )
    };
    type Row = (Uuid, Option<Millis>, Option<Millis>, Option<Millis>);
    let rows: Vec<Row> = c
        .select_in(
            &format!(
                "SELECT p.id, {}, {}, {} FROM person p WHERE p.workspace_id = $1 AND ",
                last("at", " AND m.origin = 'customer'"),
                last("delivered_at", ""),
                last("read_at", "")
            ),
            &["p.id"],
            "",
            vals![workspace.0],
            ids(people),
        )
        .await?;
    let at = |(id, said, delivered, read): Row| Some((PersonId(id), said.max(delivered).max(read)?));
    Ok(rows.into_iter().filter_map(at).collect())
}

pub(crate) async fn write(
    c: &mut Conn,
    workspace: WorkspaceId,
    now: Millis,
    changed: &[(String, Reach)],
) -> Result<(), StoreError> {
    let mut rows = Vec::with_capacity(changed.len());
    for (line, reach) in changed {
        let failures = serde_json::to_string(&reach.failures).map_err(|e| StoreError::Corrupt(e.to_string()))?;
        rows.push(vals![workspace.0, line.as_str(), failures, reach.alive_at, reach.dead_at, now]);
    }
    c.insert_many(
        "INSERT INTO phone_reach (workspace_id, line, failures, alive_at, dead_at, changed_at)",
        "ON CONFLICT (workspace_id, line) DO UPDATE SET failures = excluded.failures, alive_at = excluded.alive_at, \
         dead_at = excluded.dead_at, changed_at = excluded.changed_at",
        rows,
    )
    .await?;
    Ok(())
}

/// One of our people says that somebody can be reached after all: what was known of their lines counts no more.
pub(crate) async fn forgive(
    c: &mut Conn,
    workspace: WorkspaceId,
    now: Millis,
    identities: &[Identity],
) -> Result<(), StoreError> {
    let wanted: BTreeSet<String> = identities.iter().filter_map(line_of).collect();
    let known = lines(c, workspace, &wanted).await?;
    let fresh = Reach { alive_at: Some(now), ..Reach::default() };
    let all: Vec<(String, Reach)> = known.into_keys().map(|line| (line, fresh.clone())).collect();
    write(c, workspace, now, &all).await
}

/// The lines of an erased person are not kept.
pub(crate) async fn forget(c: &mut Conn, workspace: WorkspaceId, identities: &[Identity]) -> Result<(), StoreError> {
    let wanted: BTreeSet<String> = identities.iter().filter_map(line_of).collect();
    for line in wanted {
        c.exec("DELETE FROM phone_reach WHERE workspace_id = $1 AND line = $2", vals![workspace.0, line]).await?;
    }
    Ok(())
}

/// A send that WhatsApp refused at once, in a way that is evidence against the line. The events of it.
pub(crate) async fn refused(
    c: &mut Conn,
    workspace: WorkspaceId,
    now: Millis,
    head: &MessageHead,
    code: &str,
    digits: &str,
    settings: Settings,
) -> Result<Vec<NewEvent>, StoreError> {
    let people = load::persons(c, workspace, &BTreeSet::from([head.person])).await?;
    let mut book = book(c, workspace, &BTreeSet::from([line(digits)]), &people, true).await?;
    let failure = Failure { at: now, code: code.to_owned(), message: head.id };
    let turns: Vec<_> = book.failed(head.person, digits, failure, settings).into_iter().collect();
    let known = people.first().map_or(Unreachable::No, |p| p.unreachable);
    if let Some(unreachable) = book.label(head.person, known, &turns, false) {
        crate::people::relabel(c, workspace, now, &[(head.person, unreachable)]).await?;
    }
    write(c, workspace, now, &book.into_changed()).await?;
    Ok(turns
        .iter()
        .map(|turn| NewEvent {
            kind: if turn.dead { EventKind::LineDead } else { EventKind::LineAlive },
            at: now,
            person: Some(head.person),
            conversation: None,
            message: Some(head.id),
            number: None,
            dedup: None,
            data: told(turn).to_string(),
        })
        .collect())
}
