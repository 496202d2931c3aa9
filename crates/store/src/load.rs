//! Loading what a fold or the gate looks at. On PostgreSQL the rows that may change are locked, in one order.

use crate::conn::{Conn, Val, vals};
use crate::consent;
use crate::reach;
use crate::rows::{ConversationRow, HeadRow, IdentityRow, OrphanRow, PersonRow};
use ponte_domain::conversation::{Keys, Snapshot};
use ponte_domain::error::StoreError;
use ponte_domain::identity::{Identity, IdentityLink};
use ponte_domain::ids::{PersonId, WorkspaceId};
use ponte_domain::message::{Conversation, MessageHead, Person};
use std::collections::{BTreeSet, HashSet};

/// Everything stored about the keys.
pub(crate) async fn snapshot(c: &mut Conn, workspace: WorkspaceId, keys: &Keys) -> Result<Snapshot, StoreError> {
    let identities = identities(c, workspace, keys.identities.iter()).await?;
    let messages = messages(c, workspace, keys).await?;
    let people: BTreeSet<PersonId> =
        identities.iter().map(|l| l.person).chain(messages.iter().map(|m| m.person)).collect();
    let wamids = keys.wamids.iter().map(|(n, w)| vals![n.as_str(), w.as_str()]).collect();
    let orphans: Vec<OrphanRow> = c
        .select_in(
            &format!("SELECT {} FROM orphan WHERE workspace_id = $1 AND ", OrphanRow::COLUMNS),
            &["number_id", "wamid"],
            "",
            vals![workspace.0],
            wamids,
        )
        .await?;
    let mut orphans = orphans.into_iter().map(OrphanRow::read).collect::<Result<Vec<_>, _>>()?;
    orphans.sort_by(|a, b| (&a.number, &a.wamid, a.news.kind()).cmp(&(&b.number, &b.wamid, b.news.kind())));
    orphans.dedup();
    let conversations = conversations(c, workspace, &people).await?;
    let persons = persons(c, workspace, &people).await?;
    // After the people are locked: what is decided on is what stands.
    let (standings, requests) = if keys.consent {
        (consent::standings(c, workspace, &people).await?, consent::requests(c, workspace, &people).await?)
    } else {
        Default::default()
    };
    let failures = keys.failures || orphans.iter().any(|o| o.news.is_evidence());
    let reach = reach::book(c, workspace, &keys.lines, &persons, failures).await?;
    let known: HashSet<&Identity> = identities.iter().map(|l| &l.identity).collect();
    let unknown = keys.identities.iter().filter(|i| !known.contains(i)).cloned().collect();
    let erased = crate::people::known_as_erased(c, workspace, &unknown).await?;
    Ok(Snapshot { reach, standings, requests, identities, conversations, people: persons, messages, orphans, erased })
}

pub(crate) async fn identities(
    c: &mut Conn,
    workspace: WorkspaceId,
    wanted: impl Iterator<Item = &Identity>,
) -> Result<Vec<IdentityLink>, StoreError> {
    let keys = wanted.map(|i| vals![i.kind.as_str(), i.scope.as_str(), i.value.as_str()]).collect();
    let rows: Vec<IdentityRow> = c
        .select_in(
            &format!("SELECT {} FROM identity WHERE workspace_id = $1 AND ", IdentityRow::COLUMNS),
            &["kind", "scope", "value"],
            "",
            vals![workspace.0],
            keys,
        )
        .await?;
    rows.into_iter().map(IdentityRow::read).collect()
}

pub(crate) async fn identities_of(
    c: &mut Conn,
    workspace: WorkspaceId,
    people: &BTreeSet<PersonId>,
) -> Result<Vec<IdentityLink>, StoreError> {
    let rows: Vec<IdentityRow> = c
        .select_in(
            &format!("SELECT {} FROM identity WHERE workspace_id = $1 AND ", IdentityRow::COLUMNS),
            &["person_id"],
            "",
            vals![workspace.0],
            ids(people),
        )
        .await?;
    // Sorted here: asked for in this order, SQLite reads every identifier of the workspace in the order of their key.
    let mut links = rows.into_iter().map(IdentityRow::read).collect::<Result<Vec<_>, _>>()?;
    links.sort_unstable_by(|a, b| a.identity.cmp(&b.identity));
    Ok(links)
}

async fn messages(c: &mut Conn, workspace: WorkspaceId, keys: &Keys) -> Result<Vec<MessageHead>, StoreError> {
    let lock = if c.is_postgres() { " FOR UPDATE" } else { "" };
    let select = format!("SELECT {} FROM message m WHERE m.workspace_id = $1 AND ", HeadRow::COLUMNS);
    let by_id = keys.messages.iter().map(|id| vals![id.0]).collect();
    let mut rows: Vec<HeadRow> = c.select_in(&format!("{select} "), &["m.id"], lock, vals![workspace.0], by_id).await?;
    let by_wamid = keys.wamids.iter().map(|(n, w)| vals![n.as_str(), w.as_str()]).collect();
    rows.extend(
        c.select_in::<HeadRow>(
            // Said twice: SQLite uses the index of those with a wamid only when it reads that there is one.
            &format!("{select} m.wamid IS NOT NULL AND "),
            &["m.number_id", "m.wamid"],
            lock,
            vals![workspace.0],
            by_wamid,
        )
        .await?,
    );
    let mut heads = rows.into_iter().map(HeadRow::read).collect::<Result<Vec<_>, _>>()?;
    heads.sort_by_key(|h| h.id);
    heads.dedup_by_key(|h| h.id);
    Ok(heads)
}

pub(crate) async fn persons(
    c: &mut Conn,
    workspace: WorkspaceId,
    people: &BTreeSet<PersonId>,
) -> Result<Vec<Person>, StoreError> {
    let lock = if c.is_postgres() { " FOR UPDATE" } else { "" };
    let rows: Vec<PersonRow> = c
        .select_in(
            &format!("SELECT {} FROM person WHERE workspace_id = $1 AND ", PersonRow::COLUMNS),
            &["id"],
            lock,
            vals![workspace.0],
            ids(people),
        )
        .await?;
    let mut people = rows.into_iter().map(PersonRow::read).collect::<Result<Vec<Person>, _>>()?;
    people.sort_by_key(|p| p.id);
    people.dedup_by_key(|p| p.id);
    Ok(people)
}

pub(crate) async fn conversations(
    c: &mut Conn,
    workspace: WorkspaceId,
    people: &BTreeSet<PersonId>,
) -> Result<Vec<Conversation>, StoreError> {
    let rows: Vec<ConversationRow> = c
        .select_in(
            &format!("SELECT {} FROM conversation WHERE workspace_id = $1 AND ", ConversationRow::COLUMNS),
            &["person_id"],
            "",
            vals![workspace.0],
            ids(people),
        )
        .await?;
    let mut conversations: Vec<Conversation> = rows.into_iter().map(ConversationRow::read).collect();
    conversations.sort_by_key(|c| c.id);
    conversations.dedup_by_key(|c| c.id);
    Ok(conversations)
}

pub(crate) fn ids(people: &BTreeSet<PersonId>) -> Vec<Vec<Val>> {
    people.iter().map(|id| vals![id.0]).collect()
}
