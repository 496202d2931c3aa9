//! What is known of people under the names that mappings use, and their links with records.

use crate::conn::{Conn, vals};
use crate::load;
use crate::people::cards;
use ponte_domain::consent::{ScopeKind, ScopeOf, Standing, Standings};
use ponte_domain::error::StoreError;
use ponte_domain::identity::IdentityKind;
use ponte_domain::ids::{ConnectionId, PersonId, WorkspaceId};
use ponte_domain::mapping::pull::Link;
use ponte_domain::mapping::{Base, Facts, Say};
use ponte_domain::people::PersonCard;
use ponte_domain::ports::sync::Linked;
use std::collections::{BTreeSet, HashMap};
use uuid::Uuid;

/// Links by person.
pub(super) type Links = HashMap<PersonId, Link>;

/// Facts of these people, whoever exists and isn't part of somebody else. `locked`: their rows, on PostgreSQL.
pub(crate) async fn facts(
    c: &mut Conn,
    workspace: WorkspaceId,
    people: &BTreeSet<PersonId>,
    consent: bool,
    locked: bool,
) -> Result<HashMap<PersonId, Facts>, StoreError> {
    if people.is_empty() {
        return Ok(HashMap::new());
    }
    let standings = if consent { crate::consent::standings(c, workspace, people).await? } else { HashMap::new() };
    let conversations = load::conversations(c, workspace, people).await?;
    let mut last: HashMap<PersonId, i64> = HashMap::new();
    for (person, at) in conversations.iter().filter_map(|n| Some((n.person, n.last_inbound_at?))) {
        let newest = last.entry(person).or_insert(at);
        *newest = at.max(*newest);
    }
    let names: Vec<(Uuid, Option<String>)> = c
        .select_in(
            "SELECT id, username FROM person WHERE workspace_id = $1 AND username IS NOT NULL AND ",
            &["id"],
            "",
            vals![workspace.0],
            load::ids(people),
        )
        .await?;
    let names: HashMap<Uuid, Option<String>> = names.into_iter().collect();
    let cards = cards::whole(c, workspace, people, locked).await?;
    let known = cards.into_iter().filter(|card| card.merged_into.is_none());
    Ok(known
        .map(|card| {
            let id = card.id;
            let mut facts = of_card(card);
            facts.username = names.get(&id.0).cloned().flatten();
            facts.last_inbound_at = last.get(&id).copied();
            if let Some(standings) = standings.get(&id) {
                facts.marketing = say(standings, ScopeKind::Marketing);
                facts.transactional = say(standings, ScopeKind::Transactional);
            }
            (id, facts)
        })
        .collect())
}

fn of_card(card: PersonCard) -> Facts {
    let of = |kind| card.identities.iter().filter(move |i| i.kind == kind).map(|i| i.value.clone());
    Facts {
        person: card.id,
        phones: of(IdentityKind::Phone).chain(of(IdentityKind::WaId)).collect(),
        wa_id: of(IdentityKind::WaId).next(),
        user_id: of(IdentityKind::UserId).next(),
        profile: card.profile,
        whatsapp_name: card.whatsapp_name,
        username: None,
        last_inbound_at: None,
        created_at: card.created_at,
        marketing: None,
        transactional: None,
    }
}

/// What stands for all numbers.
fn say(standings: &Standings, kind: ScopeKind) -> Option<Say> {
    let (_, standing) = standings.0.iter().find(|(scope, _)| scope.kind == kind && scope.of == ScopeOf::Everything)?;
    let Standing { confirmed_at, withdrawn_at, .. } = *standing;
    let granted = standing.is_confirmed();
    let at = if granted { confirmed_at? } else { withdrawn_at? };
    Some(Say { granted, at, source: if granted { "confirmed" } else { "withdrawn" }.to_owned() })
}

type LinkRow = (Uuid, String, Option<String>, Option<i64>, i64);

fn link((person, record, base, gone_at, written_at): LinkRow) -> Result<Link, StoreError> {
    let base = base.map(|text| serde_json::from_str::<Base>(&text)).transpose();
    let base = base.map_err(|_| StoreError::Corrupt("crm_contact.base".into()))?;
    Ok(Link { person: PersonId(person), record, base, gone: gone_at.is_some(), written_at })
}

const LINKS: &str = "SELECT person_id, crm_id, base, gone_at, written_at FROM crm_contact WHERE workspace_id = $1 AND connection = $2 AND ";

/// Links of records.
pub(super) async fn links_of_records(
    c: &mut Conn,
    workspace: WorkspaceId,
    connection: &ConnectionId,
    records: &[String],
) -> Result<Vec<Link>, StoreError> {
    let fixed = vals![workspace.0, connection.as_str()];
    let keys = records.iter().map(|r| vals![r.as_str()]).collect();
    let rows: Vec<LinkRow> = c.select_in(LINKS, &["crm_id"], "", fixed, keys).await?;
    rows.into_iter().map(link).collect()
}

/// Links of people.
pub(super) async fn links_of_people(
    c: &mut Conn,
    workspace: WorkspaceId,
    connection: &ConnectionId,
    people: &BTreeSet<PersonId>,
) -> Result<Links, StoreError> {
    let fixed = vals![workspace.0, connection.as_str()];
    let rows: Vec<LinkRow> = c.select_in(LINKS, &["person_id"], "", fixed, load::ids(people)).await?;
    rows.into_iter().map(|row| link(row).map(|l| (l.person, l))).collect()
}

/// A page of people linked with records, by record id.
pub(super) async fn linked(
    c: &mut Conn,
    workspace: WorkspaceId,
    connection: &ConnectionId,
    after: Option<&str>,
    limit: i64,
) -> Result<Vec<Linked>, StoreError> {
    let rows: Vec<LinkRow> = c
        .all(
            "SELECT person_id, crm_id, base, gone_at, written_at FROM crm_contact WHERE workspace_id = $1 AND connection = $2 AND crm_id > $3 \
             AND gone_at IS NULL ORDER BY crm_id LIMIT $4",
            vals![workspace.0, connection.as_str(), after.unwrap_or_default(), limit],
        )
        .await?;
    let links = rows.into_iter().map(link).collect::<Result<Vec<_>, _>>()?;
    let people = links.iter().map(|l| l.person).collect();
    let mut known = facts(c, workspace, &people, true, false).await?;
    let linked = |link: Link| Some(Linked { facts: known.remove(&link.person)?, record: link.record, base: link.base });
    Ok(links.into_iter().filter_map(linked).collect())
}
