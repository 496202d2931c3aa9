//! Where a message goes, of all the identifiers that a person has.
//! Must not touch: when a line counts as dead.

use crate::conn::Conn;
use crate::reach;
use ponte_domain::error::StoreError;
use ponte_domain::identity::{Identity, IdentityKind};
use ponte_domain::ids::{PersonId, WorkspaceId};
use ponte_domain::ports::channel::Address;
use std::collections::{BTreeSet, HashMap};

/// Of people with several lines, those that count as dead.
pub(crate) async fn dead_lines(
    c: &mut Conn,
    workspace: WorkspaceId,
    people: &HashMap<PersonId, Vec<Identity>>,
) -> Result<BTreeSet<String>, StoreError> {
    let mut several = BTreeSet::new();
    for identities in people.values() {
        let lines: BTreeSet<String> = identities.iter().filter_map(reach::line_of).collect();
        if lines.len() > 1 {
            several.extend(lines);
        }
    }
    let known = reach::lines(c, workspace, &several).await?;
    Ok(known.into_iter().filter(|(_, r)| r.is_dead()).map(|(line, _)| line).collect())
}

/// Where a message goes: the WhatsApp id, which surely has an account, else the phone, else the user id; of several numbers
/// one that isn't dead, where there is one.
pub(crate) fn choose(known: &[Identity], portfolio: &str, dead: &BTreeSet<String>) -> Option<Address> {
    let of = |kind| known.iter().filter(move |i| i.kind == kind);
    let mut phones: Vec<&Identity> = of(IdentityKind::WaId).chain(of(IdentityKind::Phone)).collect();
    if !dead.is_empty() {
        phones.sort_by_key(|i| reach::line_of(i).is_some_and(|line| dead.contains(&line)));
    }
    let phone = phones.first().map(|i| Address::Phone(i.value.clone()));
    let scoped = |kind| of(kind).find(|i| i.scope == portfolio).or_else(|| of(kind).next());
    phone.or_else(|| {
        scoped(IdentityKind::UserId)
            .or_else(|| scoped(IdentityKind::ParentUserId))
            .map(|i| Address::UserId(i.value.clone()))
    })
}
