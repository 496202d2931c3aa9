//! Editing and adding single people. What may be changed and how is decided by the domain's pure function, in the transaction
//! that writes it, with the person's row locked.
//! Failure story: one transaction with its event and its entry of the audit log: all of it happened or nothing.

use super::{cards, erase, fields, import, log, packed};
use crate::apply;
use crate::conn::{Conn, vals};
use crate::{events, load, reach};
use ponte_domain::error::StoreError;
use ponte_domain::event::{EventKind, NewEvent};
use ponte_domain::identity::{Identity, IdentityKind};
use ponte_domain::ids::{PersonId, WorkspaceId};
use ponte_domain::message::NewIdentity;
use ponte_domain::people::edit::{Edit, Edited, Refused, apply as decide};
use ponte_domain::people::{PersonCard, phone};
use ponte_domain::phone::candidates;
use ponte_domain::ports::people::NewAudit;
use ponte_domain::profile::{Label, Profile};
use serde_json::json;
use std::collections::{BTreeSet, HashSet};

pub(crate) async fn edit(
    c: &mut Conn,
    workspace: WorkspaceId,
    person: PersonId,
    edit: &Edit,
) -> Result<Result<Edited, Refused>, StoreError> {
    let card = match editable(c, workspace, person).await? {
        Ok(card) => card,
        Err(refused) => return Ok(Err(refused)),
    };
    let fields = fields::load(c, workspace).await?;
    let (profile, changed) = match decide(&card.profile, edit, &fields) {
        Ok(done) => done,
        Err(errors) => return Ok(Err(Refused::Values(errors))),
    };
    let reachable = card.profile.labels.contains(&Label::Unreachable) && !profile.labels.contains(&Label::Unreachable);
    if profile != card.profile {
        import::write_profiles(c, workspace, edit.at, &[(person, profile)]).await?;
    }
    if reachable {
        reach::forgive(c, workspace, edit.at, &card.identities).await?;
    }
    if !changed.is_empty() {
        told(c, workspace, EventKind::PersonChanged, person, edit, &changed).await?;
        note(c, workspace, "contacts.edit", person, edit, &changed).await?;
    }
    Ok(Ok(Edited { person, changed }))
}

/// The person, locked, or why they can't be edited.
async fn editable(
    c: &mut Conn,
    workspace: WorkspaceId,
    person: PersonId,
) -> Result<Result<PersonCard, Refused>, StoreError> {
    let mut at = person;
    // A survivor may have become part of somebody else since; a circle there isn't, but a broken database may have one.
    for _ in 0..64 {
        let card = cards::whole(c, workspace, &BTreeSet::from([at]), true).await?.into_iter().next();
        let Some(card) = card else { return Ok(Err(Refused::NotFound(person))) };
        match card.merged_into {
            None if at == person => return Ok(Ok(card)),
            None => return Ok(Err(Refused::Merged { person, survivor: at })),
            Some(into) if into == at => return Ok(Err(Refused::Erased(person))),
            Some(into) => at = into,
        }
    }
    Err(StoreError::Corrupt("person.merged_into".into()))
}

/// Adds a person with a number.
pub(crate) async fn add(
    c: &mut Conn,
    workspace: WorkspaceId,
    person: PersonId,
    digits: &str,
    edit: &Edit,
) -> Result<Result<Edited, Refused>, StoreError> {
    let forms: HashSet<Identity> = candidates(digits)
        .flat_map(|form| [IdentityKind::Phone, IdentityKind::WaId].map(|kind| phone(kind, &form)))
        .collect();
    if let Some(known) = load::identities(c, workspace, forms.iter()).await?.first() {
        return Ok(Err(Refused::Known(known.person)));
    }
    if !erase::known(c, workspace, &forms).await?.is_empty() {
        return Ok(Err(Refused::NumberErased));
    }
    let fields = fields::load(c, workspace).await?;
    let (profile, changed) = match decide(&Profile::default(), edit, &fields) {
        Ok(done) => done,
        Err(errors) => return Ok(Err(Refused::Values(errors))),
    };
    c.exec(
        "INSERT INTO person (workspace_id, id, profile, labels, created_at, changed_at) VALUES ($1, $2, $3, $4, $5, $5)",
        vals![workspace.0, person.0, packed::pack(&profile), packed::labels(&profile), edit.at],
    )
    .await?;
    let identity = NewIdentity { identity: phone(IdentityKind::Phone, digits), person, at: edit.at };
    apply::identities(c, workspace, &[identity]).await?;
    super::marks::add(c, workspace, &[(person, profile)]).await?;
    told(c, workspace, EventKind::PersonCreated, person, edit, &changed).await?;
    // Write-back looks at changes: a new person without a conversation is one.
    told(c, workspace, EventKind::PersonChanged, person, edit, &changed).await?;
    note(c, workspace, "contacts.add", person, edit, &changed).await?;
    Ok(Ok(Edited { person, changed }))
}

async fn told(
    c: &mut Conn,
    workspace: WorkspaceId,
    kind: EventKind,
    person: PersonId,
    edit: &Edit,
    changed: &[String],
) -> Result<(), StoreError> {
    let event = NewEvent {
        kind,
        at: edit.at,
        person: Some(person),
        conversation: None,
        message: None,
        number: None,
        dedup: None,
        data: json!({ "by": edit.source, "changed": changed }).to_string(),
    };
    events::append(c, workspace, vec![event]).await
}

async fn note(
    c: &mut Conn,
    workspace: WorkspaceId,
    act: &'static str,
    person: PersonId,
    edit: &Edit,
    changed: &[String],
) -> Result<(), StoreError> {
    // Kept after an erasure: which fields, not which values. A tag is a value.
    let what: BTreeSet<&str> = changed.iter().map(|c| if c.starts_with("tag:") { "tag" } else { c.as_str() }).collect();
    let entry = NewAudit {
        at: edit.at,
        who: edit.source.clone(),
        act,
        subject: Some(person.to_string()),
        data: json!({ "changed": what }).to_string(),
    };
    log::append(c, workspace, &entry).await
}
