//! Definitions of fields, and looking again at stored values when one changed.
//! Failure story: values are looked at again in portions, each a transaction. Killed between two, the definition holds, and
//! defining the field again goes over everybody again: what was done already changes nothing.

use super::{cards, import, marks};
use crate::conn::{Conn, vals};
use crate::events;
use ponte_domain::Millis;
use ponte_domain::error::StoreError;
use ponte_domain::event::{EventKind, NewEvent};
use ponte_domain::fields::{Definition, Fields, Kind, as_written, recheck};
use ponte_domain::ids::{PersonId, WorkspaceId};
use ponte_domain::people::marks::field_kind;
use ponte_domain::ports::people::Rechecked;
use ponte_domain::profile::Profile;
use serde_json::json;
use sqlx::FromRow;
use std::collections::BTreeSet;

#[derive(FromRow)]
struct FieldRow {
    key: String,
    label: String,
    #[sqlx(rename = "type")]
    kind: String,
    choices: String,
    source: String,
    changed_at: Millis,
}

impl FieldRow {
    fn read(self) -> Result<Definition, StoreError> {
        let corrupt = |what: &str| StoreError::Corrupt(format!("field_definition.{what}"));
        Ok(Definition {
            kind: Kind::parse(&self.kind).ok_or_else(|| corrupt("type"))?,
            choices: serde_json::from_str(&self.choices).map_err(|_| corrupt("choices"))?,
            key: self.key,
            label: self.label,
            source: self.source,
            changed_at: self.changed_at,
        })
    }
}

/// The fields that somebody defined.
pub(crate) async fn load(c: &mut Conn, workspace: WorkspaceId) -> Result<Fields, StoreError> {
    let rows: Vec<FieldRow> = c
        .all(
            "SELECT key, label, type, choices, source, changed_at FROM field_definition WHERE workspace_id = $1",
            vals![workspace.0],
        )
        .await?;
    Ok(Fields::new(rows.into_iter().map(FieldRow::read).collect::<Result<Vec<_>, _>>()?))
}

pub(crate) async fn define(c: &mut Conn, workspace: WorkspaceId, d: &Definition) -> Result<(), StoreError> {
    let choices = serde_json::to_string(&d.choices).map_err(|e| StoreError::Corrupt(e.to_string()))?;
    c.exec(
        "INSERT INTO field_definition (workspace_id, key, label, type, choices, source, changed_at) \
         VALUES ($1, $2, $3, $4, $5, $6, $7) ON CONFLICT (workspace_id, key) DO UPDATE SET label = excluded.label, \
         type = excluded.type, choices = excluded.choices, source = excluded.source, changed_at = excluded.changed_at",
        vals![workspace.0, d.key.as_str(), d.label.as_str(), d.kind.as_str(), choices, d.source.as_str(), d.changed_at],
    )
    .await?;
    Ok(())
}

/// Values stay; nobody is listed by them any more.
pub(crate) async fn remove(c: &mut Conn, workspace: WorkspaceId, key: &str) -> Result<bool, StoreError> {
    let gone =
        c.exec("DELETE FROM field_definition WHERE workspace_id = $1 AND key = $2", vals![workspace.0, key]).await?;
    c.exec("DELETE FROM person_mark WHERE workspace_id = $1 AND kind = $2", vals![workspace.0, field_kind(key)])
        .await?;
    Ok(gone > 0)
}

/// Looks again at a field's values of one page of everybody after `after`.
pub(crate) async fn recheck_page(
    c: &mut Conn,
    workspace: WorkspaceId,
    key: &str,
    after: Option<PersonId>,
    limit: i64,
    now: Millis,
) -> Result<Rechecked, StoreError> {
    let page = cards::page(c, workspace, after, limit).await?;
    let mut done = Rechecked { last: page.last().map(|p| p.id), ..Rechecked::default() };
    let beside = as_written(key);
    let concerned: BTreeSet<PersonId> = page
        .into_iter()
        .filter(|p| p.profile.fields.contains_key(key) || p.profile.fields.contains_key(&beside))
        .map(|p| p.id)
        .collect();
    let fields = load(c, workspace).await?;
    let (mut changed, mut told): (Vec<(PersonId, Profile)>, _) = (Vec::new(), Vec::new());
    let mut same: Vec<(PersonId, Profile)> = Vec::new();
    // Read again, locked: somebody may write to them at the same time.
    for card in cards::load(c, workspace, &concerned).await?.into_iter().filter(|p| p.merged_into.is_none()) {
        let after = recheck(&card.profile, key, &fields);
        let now_there = after.as_ref().unwrap_or(&card.profile);
        done.fit += u64::from(now_there.fields.contains_key(key));
        done.as_written += u64::from(now_there.fields.contains_key(&beside));
        match after {
            Some(profile) => {
                told.push(NewEvent {
                    kind: EventKind::PersonChanged,
                    at: now,
                    person: Some(card.id),
                    conversation: None,
                    message: None,
                    number: None,
                    dedup: None,
                    data: json!({ "changed": [format!("field:{key}")] }).to_string(),
                });
                changed.push((card.id, profile));
            }
            None => same.push((card.id, card.profile)),
        }
    }
    done.changed = changed.len() as u64;
    import::write_profiles(c, workspace, now, &changed).await?;
    marks::write(c, workspace, &same).await?;
    events::append(c, workspace, told).await?;
    Ok(done)
}
