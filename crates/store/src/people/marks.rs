//! The marks by which people are listed. Whoever writes a profile calls [`write`] in the same transaction; somebody who is part
//! of somebody else, or was erased, has none.
//! Must not touch: what is a mark of what.

use super::{cards, fields};
use crate::conn::{Conn, vals};
use ponte_domain::Millis;
use ponte_domain::error::StoreError;
use ponte_domain::ids::{PersonId, WorkspaceId};
use ponte_domain::people::PersonCard;
use ponte_domain::people::marks::{Mark, of};
use ponte_domain::profile::{Label, Profile};
use std::collections::BTreeSet;
use uuid::Uuid;

/// Marks of people who are new.
pub(crate) async fn add(
    c: &mut Conn,
    workspace: WorkspaceId,
    profiles: &[(PersonId, Profile)],
) -> Result<(), StoreError> {
    let fields = fields::load(c, workspace).await?;
    let mut rows: Vec<(Mark, PersonId)> = Vec::new();
    for (id, profile) in profiles {
        rows.extend(of(profile, &fields).into_iter().map(|mark| (mark, *id)));
    }
    // In the order of the key, as it lies.
    rows.sort_unstable();
    c.insert_many(
        "INSERT INTO person_mark (workspace_id, kind, value, person_id)",
        "ON CONFLICT (workspace_id, kind, value, person_id) DO NOTHING",
        rows.into_iter().map(|(mark, id)| vals![workspace.0, mark.kind, mark.value, id.0]).collect(),
    )
    .await?;
    Ok(())
}

/// Marks of people whose profiles are these now.
pub(crate) async fn write(
    c: &mut Conn,
    workspace: WorkspaceId,
    profiles: &[(PersonId, Profile)],
) -> Result<(), StoreError> {
    let people: Vec<PersonId> = profiles.iter().map(|(id, _)| *id).collect();
    remove(c, workspace, &people).await?;
    add(c, workspace, profiles).await
}

/// These people are listed no more.
pub(crate) async fn remove(c: &mut Conn, workspace: WorkspaceId, people: &[PersonId]) -> Result<(), StoreError> {
    let rows = people.iter().map(|id| vals![id.0]).collect();
    c.change_many(
        "id",
        "DELETE FROM person_mark WHERE workspace_id = $1 AND person_id IN (SELECT id FROM v)",
        vals![workspace.0],
        rows,
    )
    .await?;
    Ok(())
}

/// Gives the label `unreachable` or takes it away.
pub(crate) async fn relabel(
    c: &mut Conn,
    workspace: WorkspaceId,
    now: Millis,
    labels: &[(PersonId, bool)],
) -> Result<(), StoreError> {
    let people: BTreeSet<PersonId> = labels.iter().map(|(id, _)| *id).collect();
    let mut changed = Vec::new();
    for card in cards::load(c, workspace, &people).await? {
        let mut profile = card.profile;
        let differs = match labels.iter().find(|(id, _)| *id == card.id) {
            Some((_, true)) => profile.labels.insert(Label::Unreachable),
            Some((_, false)) => profile.labels.remove(&Label::Unreachable),
            None => false,
        };
        if differs {
            changed.push((card.id, profile));
        }
    }
    super::import::write_profiles(c, workspace, now, &changed).await
}

/// People who have all of these marks, by id.
pub(crate) async fn page(
    c: &mut Conn,
    workspace: WorkspaceId,
    wanted: &[Mark],
    after: Option<PersonId>,
    limit: i64,
) -> Result<Vec<PersonCard>, StoreError> {
    let after = after.map_or_else(Uuid::nil, |id| id.0);
    let Some((first, others)) = wanted.split_first() else {
        return cards::page(c, workspace, Some(PersonId(after)), limit).await;
    };
    let mut sql = "SELECT f.person_id FROM person_mark f WHERE f.workspace_id = $1 AND f.kind = $4 AND f.value = $5 \
                   AND f.person_id > $2"
        .to_owned();
    let mut vals = vals![workspace.0, after, limit, first.kind.as_str(), first.value.as_str()];
    for mark in others {
        let n = vals.len();
        sql.push_str(&format!(
            " AND EXISTS (SELECT 1 FROM person_mark o WHERE o.workspace_id = $1 AND o.kind = ${} AND o.value = ${} \
             AND o.person_id = f.person_id)",
            n + 1,
            n + 2
        ));
        vals.extend(vals![mark.kind.as_str(), mark.value.as_str()]);
    }
    sql.push_str(" ORDER BY f.person_id LIMIT $3");
    let rows: Vec<(Uuid,)> = c.all(sql, vals).await?;
    let people = rows.into_iter().map(|(id,)| PersonId(id)).collect();
    cards::whole(c, workspace, &people, false).await
}
