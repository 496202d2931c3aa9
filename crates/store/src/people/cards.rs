//! Reading people with their profiles and identifiers, in pages and by id.

use super::packed;
use crate::conn::{Conn, vals};
use crate::load;
use ponte_domain::Millis;
use ponte_domain::error::StoreError;
use ponte_domain::identity::Identity;
use ponte_domain::ids::{PersonId, WorkspaceId};
use ponte_domain::people::PersonCard;
use ponte_domain::survivorship::Facts;
use sqlx::FromRow;
use std::collections::{BTreeSet, HashMap};
use uuid::Uuid;

#[derive(FromRow)]
struct CardRow {
    id: Uuid,
    name: Option<String>,
    profile: String,
    labels: String,
    created_at: Millis,
    changed_at: Millis,
    merged_into: Option<Uuid>,
}

const COLUMNS: &str = "id, name, profile, labels, created_at, changed_at, merged_into";

impl CardRow {
    fn read(self) -> Result<PersonCard, StoreError> {
        Ok(PersonCard {
            id: PersonId(self.id),
            whatsapp_name: self.name,
            profile: packed::unpack(&self.profile, &self.labels)?,
            identities: Vec::new(),
            created_at: self.created_at,
            changed_at: self.changed_at,
            merged_into: self.merged_into.map(PersonId),
        })
    }
}

/// These people, without identifiers, by id.
pub(crate) async fn load(
    c: &mut Conn,
    workspace: WorkspaceId,
    people: &BTreeSet<PersonId>,
) -> Result<Vec<PersonCard>, StoreError> {
    let lock = if c.is_postgres() { " FOR UPDATE" } else { "" };
    read(c, workspace, people, lock).await
}

async fn read(
    c: &mut Conn,
    workspace: WorkspaceId,
    people: &BTreeSet<PersonId>,
    lock: &str,
) -> Result<Vec<PersonCard>, StoreError> {
    let rows: Vec<CardRow> = c
        .select_in(
            &format!("SELECT {COLUMNS} FROM person WHERE workspace_id = $1 AND "),
            &["id"],
            lock,
            vals![workspace.0],
            load::ids(people),
        )
        .await?;
    let mut cards = rows.into_iter().map(CardRow::read).collect::<Result<Vec<_>, _>>()?;
    cards.sort_by_key(|card| card.id);
    cards.dedup_by_key(|card| card.id);
    Ok(cards)
}

/// These people with their identifiers, by id; locked on PostgreSQL when asked.
pub(crate) async fn whole(
    c: &mut Conn,
    workspace: WorkspaceId,
    people: &BTreeSet<PersonId>,
    locked: bool,
) -> Result<Vec<PersonCard>, StoreError> {
    let lock = if locked && c.is_postgres() { " FOR UPDATE" } else { "" };
    let mut cards = read(c, workspace, people, lock).await?;
    identify(c, workspace, &mut cards).await?;
    Ok(cards)
}

async fn identify(c: &mut Conn, workspace: WorkspaceId, cards: &mut [PersonCard]) -> Result<(), StoreError> {
    let people: BTreeSet<PersonId> = cards.iter().map(|card| card.id).collect();
    let mut found: HashMap<PersonId, Vec<Identity>> = HashMap::with_capacity(people.len());
    for link in load::identities_of(c, workspace, &people).await? {
        found.entry(link.person).or_default().push(link.identity);
    }
    for card in cards {
        card.identities = found.remove(&card.id).unwrap_or_default();
        card.identities.sort_unstable();
    }
    Ok(())
}

/// A page of everybody who isn't part of somebody else.
pub(crate) async fn page(
    c: &mut Conn,
    workspace: WorkspaceId,
    after: Option<PersonId>,
    limit: i64,
) -> Result<Vec<PersonCard>, StoreError> {
    let after = after.map_or_else(Uuid::nil, |id| id.0);
    let rows: Vec<CardRow> = c
        .all(
            format!(
                "SELECT {COLUMNS} FROM person WHERE workspace_id = $1 AND id > $2 AND merged_into IS NULL \
                 ORDER BY id LIMIT $3"
            ),
            vals![workspace.0, after, limit],
        )
        .await?;
    let mut cards = rows.into_iter().map(CardRow::read).collect::<Result<Vec<_>, _>>()?;
    let Some(last) = cards.last().map(|card| card.id) else { return Ok(cards) };
    // By range, not by id: a page is read as it lies.
    let rows: Vec<crate::rows::IdentityRow> = c
        .all(
            format!(
                "SELECT {} FROM identity WHERE workspace_id = $1 AND person_id > $2 AND person_id <= $3",
                crate::rows::IdentityRow::COLUMNS
            ),
            vals![workspace.0, after, last.0],
        )
        .await?;
    let mut found: HashMap<PersonId, Vec<Identity>> = HashMap::with_capacity(cards.len());
    for row in rows {
        let link = row.read()?;
        found.entry(link.person).or_default().push(link.identity);
    }
    for card in &mut cards {
        card.identities = found.remove(&card.id).unwrap_or_default();
        card.identities.sort_unstable();
    }
    Ok(cards)
}

pub(crate) async fn find(c: &mut Conn, workspace: WorkspaceId, value: &str) -> Result<Vec<PersonId>, StoreError> {
    let mut found = BTreeSet::new();
    for kind in ["phone", "wa_id", "user_id", "parent_user_id", "crm", "external"] {
        // Every kind and scope by itself, as they stand in the key; there are few scopes.
        let mut scope = if matches!(kind, "phone" | "wa_id") { Some(String::new()) } else { None };
        loop {
            scope = match scope {
                Some(scope) => Some(scope),
                None => next_scope(c, workspace, kind, None).await?,
            };
            let Some(here) = scope else { break };
            let rows: Vec<(Uuid,)> = c
                .all(
                    "SELECT person_id FROM identity WHERE workspace_id = $1 AND kind = $2 AND scope = $3 AND value = $4",
                    vals![workspace.0, kind, here.as_str(), value],
                )
                .await?;
            found.extend(rows.into_iter().map(|(id,)| PersonId(id)));
            let Some(next) = next_scope(c, workspace, kind, Some(&here)).await? else { break };
            scope = Some(next);
        }
    }
    Ok(found.into_iter().collect())
}

/// The scope that comes next in the key.
async fn next_scope(
    c: &mut Conn,
    workspace: WorkspaceId,
    kind: &str,
    after: Option<&str>,
) -> Result<Option<String>, StoreError> {
    let row: Option<(Option<String>,)> = match after {
        Some(after) => {
            c.first(
                "SELECT MIN(scope) FROM identity WHERE workspace_id = $1 AND kind = $2 AND scope > $3",
                vals![workspace.0, kind, after],
            )
            .await?
        }
        None => {
            c.first("SELECT MIN(scope) FROM identity WHERE workspace_id = $1 AND kind = $2", vals![workspace.0, kind])
                .await?
        }
    };
    Ok(row.and_then(|(scope,)| scope))
}

#[derive(FromRow)]
struct FactsRow {
    id: Uuid,
    created_at: Millis,
    profile: String,
    crm: i64,
    last_message_at: Option<Millis>,
}

pub(crate) async fn facts(
    c: &mut Conn,
    workspace: WorkspaceId,
    people: &BTreeSet<PersonId>,
) -> Result<Vec<Facts>, StoreError> {
    let rows: Vec<FactsRow> = c
        .select_in(
            "SELECT p.id, p.created_at, p.profile, \
             (SELECT CAST(COUNT(*) AS BIGINT) FROM crm_contact k WHERE k.workspace_id = p.workspace_id AND k.person_id = p.id) \
             AS crm, \
             (SELECT MAX(n.last_message_at) FROM conversation n WHERE n.workspace_id = p.workspace_id \
             AND n.person_id = p.id) AS last_message_at FROM person p WHERE p.workspace_id = $1 AND ",
            &["p.id"],
            "",
            vals![workspace.0],
            load::ids(people),
        )
        .await?;
    rows.into_iter()
        .map(|row| {
            let fields = packed::unpack(&row.profile, "")?.fields.len();
            Ok(Facts {
                created_at: row.created_at,
                has_crm_link: row.crm > 0,
                last_message_at: row.last_message_at,
                fields,
                id: PersonId(row.id),
            })
        })
        .collect()
}
