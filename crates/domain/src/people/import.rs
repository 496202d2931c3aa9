//! What an import decides: whose a row is, and what it changes. Pure; the store loads the view and applies the changes.
//! A row belongs to the person who has its key or one of its phones, in any way the number may be written. A row that changes
//! nothing changes nothing: importing a file again is safe.

use super::{Draft, OldConsent, phone};
use crate::Millis;
use crate::consent::{Entry, Proof, Source, entry_id};
use crate::identity::{Identity, IdentityKind};
use crate::ids::{IdSource, PersonId};
use crate::message::NewIdentity;
use crate::profile::{Field, Item, Profile, outranks_lists};
use std::collections::{BTreeMap, HashMap, HashSet};

/// What is stored about the identifiers of a batch of rows.
#[derive(Debug, Clone, Default)]
pub struct View {
    /// Whose an identifier is.
    pub owners: HashMap<Identity, PersonId>,
    /// The profiles of these people.
    pub profiles: HashMap<PersonId, Profile>,
    /// Identifiers of people who were erased.
    pub erased: HashSet<Identity>,
}

/// What the import is told.
pub struct Context<'a> {
    /// Name of the source: the scope of its keys.
    pub source: &'a str,
    /// Our clock.
    pub now: Millis,
    /// New identifiers.
    pub ids: &'a dyn IdSource,
    /// Also replace what an agent or a CRM said.
    pub overwrite: bool,
    /// The ways a number may be written, the given one first (numbering plans with variants).
    pub variants: &'a (dyn Fn(&str) -> Vec<String> + Send + Sync),
}

/// What became of a row.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// A new person.
    Created,
    /// Somebody known, changed.
    Updated,
    /// Somebody known, nothing new.
    Unchanged,
    /// The person asked to be erased: kept out, and told.
    Erased,
}

/// Everything a batch causes. Applied in one transaction.
#[derive(Debug, Clone, Default)]
pub struct Changes {
    /// New people.
    pub created: Vec<(PersonId, Profile)>,
    /// Profiles that changed.
    pub changed: Vec<(PersonId, Profile)>,
    /// New identifiers.
    pub identities: Vec<NewIdentity>,
    /// What the rows say about consent. The same row again gives entries of the same ids.
    pub consent: Vec<Entry>,
    /// Two people who share an identifier: certain duplicates, in the order found.
    pub same: Vec<(PersonId, PersonId)>,
    /// What became of each row, in the order of the rows, with its person.
    pub outcomes: Vec<(Outcome, Option<PersonId>)>,
}

/// Tells every identifier under which the person of a row may be known already: kind, scope, value.
pub fn lookups(
    draft: &Draft,
    source: &str,
    variants: &dyn Fn(&str) -> Vec<String>,
    mut tell: impl FnMut(IdentityKind, &str, &str),
) {
    if let Some(key) = &draft.key {
        tell(IdentityKind::External, source, key);
    }
    for digits in &draft.phones {
        for form in variants(digits) {
            tell(IdentityKind::Phone, "", &form);
            tell(IdentityKind::WaId, "", &form);
        }
    }
}

/// Decides for a batch of rows. What an earlier row made, a later one finds.
#[must_use]
pub fn decide(drafts: &[Draft], view: View, context: &Context<'_>) -> Changes {
    let View { owners, profiles, erased } = view;
    let mut room = Room {
        owners,
        profiles,
        created: BTreeMap::new(),
        touched: BTreeMap::new(),
        sought: phone(IdentityKind::Phone, ""),
    };
    let mut changes = Changes::default();
    for draft in drafts {
        if !erased.is_empty() && draft.identities(context.source).any(|i| erased.contains(&i)) {
            changes.outcomes.push((Outcome::Erased, None));
            continue;
        }
        let (outcome, person) = room.row(draft, context, &mut changes);
        changes.consent.extend(draft.consent.as_ref().zip(person).map(|(said, person)| entry(said, person, context)));
        changes.outcomes.push((outcome, person));
    }
    let Room { mut profiles, created, touched, .. } = room;
    changes.created.extend(created.into_keys().filter_map(|id| profiles.remove(&id).map(|p| (id, p))));
    changes.changed.extend(touched.into_keys().filter_map(|id| profiles.remove(&id).map(|p| (id, p))));
    changes
}

/// The ledger's entry of what a row says. Not known when, it counts from now on, but is the same fact in every import.
fn entry(said: &OldConsent, person: PersonId, context: &Context<'_>) -> Entry {
    let (scope, at) = (said.scope.to_string(), said.at.map(|at| at.min(context.now)));
    let when = at.map_or_else(|| "undated".to_owned(), |at| at.to_string());
    let stated = said.source.as_deref().unwrap_or_default();
    Entry {
        id: entry_id(&[
            "import",
            context.source,
            &person.to_string(),
            &scope,
            said.action.as_str(),
            &when,
            stated,
            said.proof.as_deref().unwrap_or_default(),
        ]),
        person,
        scope: said.scope.clone(),
        action: said.action,
        source: Source::Import,
        proof: Proof { stated_source: said.source.clone(), note: said.proof.clone(), ..Proof::default() },
        at: at.unwrap_or(context.now),
        until: None,
        said_by: format!("import:{}", context.source),
    }
}

struct Room {
    owners: HashMap<Identity, PersonId>,
    profiles: HashMap<PersonId, Profile>,
    created: BTreeMap<PersonId, ()>,
    touched: BTreeMap<PersonId, ()>,
    /// What is looked for, always the same one: a million rows ask for several each.
    sought: Identity,
}

impl Room {
    fn row(&mut self, draft: &Draft, context: &Context<'_>, changes: &mut Changes) -> (Outcome, Option<PersonId>) {
        let mut owner: Option<PersonId> = None;
        let Self { owners, sought, .. } = self;
        lookups(draft, context.source, &|digits| (context.variants)(digits), |kind, scope, value| {
            sought.kind = kind;
            sought.scope.replace_range(.., scope);
            sought.value.replace_range(.., value);
            match (owners.get(sought), owner) {
                (Some(found), None) => owner = Some(*found),
                (Some(found), Some(known)) if *found != known => changes.same.push((known, *found)),
                _ => {}
            }
        });
        let (id, new) = match owner {
            Some(id) => (id, false),
            None => (PersonId(context.ids.next()), true),
        };
        let mut changed = false;
        for identity in draft.identities(context.source) {
            if self.owners.contains_key(&identity) {
                continue;
            }
            self.owners.insert(identity.clone(), id);
            changes.identities.push(NewIdentity { identity, person: id, at: context.now });
            changed = true;
        }
        let profile = self.profiles.entry(id).or_default();
        changed |= write(profile, draft, context);
        if new {
            self.created.insert(id, ());
            return (Outcome::Created, Some(id));
        }
        if !changed {
            return (Outcome::Unchanged, Some(id));
        }
        if !self.created.contains_key(&id) {
            self.touched.insert(id, ());
        }
        (Outcome::Updated, Some(id))
    }
}

/// Writes a row's values into a profile. True when something is different now.
fn write(profile: &mut Profile, draft: &Draft, context: &Context<'_>) -> bool {
    let mut changed = false;
    let source = format!("import:{}", context.source);
    for (key, value) in &draft.fields {
        let replace = match profile.fields.get(key) {
            None => may_appear(profile, || Item::Field(key.clone()), context),
            Some(known) if known.value == *value => false,
            // What one of our people or the CRM said is not undone by a list, unless that is asked for.
            Some(known) => context.overwrite || !outranks_lists(&known.source),
        };
        if replace {
            let field = Field { value: value.clone(), at: context.now, source: source.clone() };
            profile.fields.insert(key.clone(), field);
            changed = true;
        }
    }
    for tag in &draft.tags {
        if !profile.tags.contains(tag) && may_appear(profile, || Item::Tag(tag.clone()), context) {
            changed |= profile.tags.insert(tag.clone());
        }
    }
    for label in &draft.labels {
        if !profile.labels.contains(label) && may_appear(profile, || Item::Label(*label), context) {
            changed |= profile.labels.insert(*label);
        }
    }
    changed
}

/// Whether a list may bring what isn't there: not where somebody took it away. Overwritten, that decision is gone.
fn may_appear(profile: &mut Profile, item: impl FnOnce() -> Item, context: &Context<'_>) -> bool {
    if profile.decided.is_empty() {
        return true;
    }
    let item = item();
    if context.overwrite {
        profile.decided.remove(&item);
    }
    !profile.decided.contains_key(&item)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::consent::{Action, Scope};
    use crate::profile::{Decided, Label};
    use proptest::prelude::*;
    use std::sync::atomic::{AtomicU64, Ordering};
    use uuid::Uuid;

    struct Counting(AtomicU64);
    impl IdSource for Counting {
        fn next(&self) -> Uuid {
            Uuid::from_u128(u128::from(self.0.fetch_add(1, Ordering::Relaxed)) + 1)
        }
    }

    fn brazil(digits: &str) -> Vec<String> {
        match digits.strip_prefix("55119") {
            Some(rest) if rest.len() == 8 => vec![digits.to_owned(), format!("5511{rest}")],
            _ => vec![digits.to_owned()],
        }
    }

    fn draft(line: u64, key: Option<&str>, phone: &str, name: &str) -> Draft {
        Draft {
            line,
            key: key.map(Into::into),
            phones: vec![phone.into()],
            fields: vec![("name".into(), name.into())],
            ..Draft::default()
        }
    }

    fn run(drafts: &[Draft], view: View) -> Changes {
        let ids = Counting(AtomicU64::new(100));
        decide(drafts, view, &Context { source: "list", now: 7, ids: &ids, overwrite: false, variants: &brazil })
    }

    /// What the store would hold after the changes.
    fn after(mut view: View, changes: &Changes) -> View {
        view.owners.extend(changes.identities.iter().map(|n| (n.identity.clone(), n.person)));
        view.profiles.extend(changes.created.iter().chain(&changes.changed).cloned());
        view
    }

    #[test]
    fn rows_of_one_phone_are_one_person_also_in_one_batch() {
        let rows = [draft(1, Some("a"), "5511987654321", "Ana"), draft(2, Some("b"), "5511987654321", "Ana Lima")];
        let changes = run(&rows, View::default());
        assert_eq!(changes.outcomes.iter().map(|o| o.0).collect::<Vec<_>>(), [Outcome::Created, Outcome::Updated]);
        assert_eq!((changes.created.len(), changes.changed.len(), changes.identities.len()), (1, 0, 3));
        assert_eq!(changes.created[0].1.get("name"), Some("Ana Lima"));
    }

    #[test]
    fn old_consent_is_an_entry_and_the_same_one_every_time() {
        let said = |action, at| {
            let consent = OldConsent {
                scope: Scope::MARKETING,
                action,
                at,
                source: Some("form of 2024".into()),
                proof: Some("ticked".into()),
            };
            Draft { consent: Some(consent), ..draft(1, None, "886912345678", "Ana") }
        };
        let rows = [said(Action::Confirmed, Some(5)), said(Action::Confirmed, Some(99)), said(Action::Withdrawn, None)];
        let first = run(&rows, View::default());
        let times: Vec<(Action, Millis)> = first.consent.iter().map(|e| (e.action, e.at)).collect();
        assert_eq!(
            times,
            [(Action::Confirmed, 5), (Action::Confirmed, 7), (Action::Withdrawn, 7)],
            "nothing is said in the future"
        );
        let entry = &first.consent[0];
        assert_eq!((entry.source, entry.said_by.as_str()), (Source::Import, "import:list"));
        assert_eq!(entry.proof.stated_source.as_deref(), Some("form of 2024"));
        let again = run(&rows, after(View::default(), &first));
        let ids = |changes: &Changes| changes.consent.iter().map(|e| e.id).collect::<Vec<_>>();
        assert_eq!(ids(&again), ids(&first));
    }

    #[test]
    fn a_whatsapp_id_without_the_ninth_digit_is_the_same_person() {
        let known = PersonId(Uuid::from_u128(1));
        let mut view = View::default();
        view.owners.insert(phone(IdentityKind::WaId, "551187654321"), known);
        view.profiles.insert(known, Profile::default());
        let changes = run(&[draft(1, None, "5511987654321", "Ana")], view);
        assert_eq!(changes.outcomes, [(Outcome::Updated, Some(known))]);
        assert_eq!(changes.identities.len(), 1, "the phone is kept as it was written, the WhatsApp id as it is");
    }

    #[test]
    fn two_people_who_share_a_row_are_certain_duplicates() {
        let (a, b) = (PersonId(Uuid::from_u128(1)), PersonId(Uuid::from_u128(2)));
        let mut view = View::default();
        view.owners.insert(Identity { kind: IdentityKind::External, scope: "list".into(), value: "k".into() }, a);
        view.owners.insert(phone(IdentityKind::Phone, "886912345678"), b);
        view.profiles.extend([(a, Profile::default()), (b, Profile::default())]);
        assert_eq!(run(&[draft(1, Some("k"), "886912345678", "王")], view).same, [(a, b)]);
    }

    #[test]
    fn a_list_does_not_undo_what_an_agent_or_the_crm_said() {
        let known = PersonId(Uuid::from_u128(1));
        let mut view = View::default();
        view.owners.insert(phone(IdentityKind::Phone, "886912345678"), known);
        let mut profile = Profile::default();
        profile.fields.insert("name".into(), Field { value: "Right".into(), at: 1, source: "agent:eva".into() });
        view.profiles.insert(known, profile);
        assert_eq!(run(&[draft(1, None, "886912345678", "Wrong")], view).outcomes, [(Outcome::Unchanged, Some(known))]);
    }

    #[test]
    fn a_list_does_not_bring_back_what_somebody_took_away_unless_it_overwrites() {
        let known = PersonId(Uuid::from_u128(1));
        let items = [Item::Field("name".into()), Item::Tag("vip".into()), Item::Label(Label::RefusesMarketing)];
        let decided = items.map(|item| (item, Decided { at: 1, source: "cli:eva".into() })).into();
        let row = Draft {
            tags: vec!["vip".into()],
            labels: vec![Label::RefusesMarketing],
            ..draft(1, None, "886912345678", "Gone")
        };
        let mut view = View::default();
        view.owners.insert(phone(IdentityKind::Phone, "886912345678"), known);
        view.profiles.insert(known, Profile { decided, ..Profile::default() });
        assert_eq!(run(std::slice::from_ref(&row), view.clone()).outcomes, [(Outcome::Unchanged, Some(known))]);
        let ids = Counting(AtomicU64::new(100));
        let context = Context { source: "list", now: 7, ids: &ids, overwrite: true, variants: &brazil };
        let changed = decide(&[row], view, &context).changed.remove(0).1;
        assert!(changed.tags.contains("vip") && changed.labels.contains(&Label::RefusesMarketing));
        assert!(changed.get("name") == Some("Gone") && changed.decided.is_empty());
    }

    #[test]
    fn who_was_erased_is_not_brought_back() {
        let mut view = View::default();
        view.erased.insert(phone(IdentityKind::Phone, "886912345678"));
        let changes = run(&[draft(1, None, "886912345678", "x"), draft(2, None, "886912345679", "y")], view);
        assert_eq!(changes.outcomes.iter().map(|o| o.0).collect::<Vec<_>>(), [Outcome::Erased, Outcome::Created]);
    }

    proptest! {
        #[test]
        fn importing_again_changes_nothing(rows in proptest::collection::vec((0u8..6, 0u32..6, 0u8..4, any::<bool>()), 1..30)) {
            // One value a key and phone: a source that contradicts itself is settled by its last row each time.
            let rows: Vec<Draft> = rows.into_iter().enumerate().map(|(n, (key, phone, name, refuses))| Draft {
                labels: if refuses { vec![Label::RefusesMarketing] } else { vec![] },
                fields: vec![(format!("f{name}"), "x".into())],
                ..draft(n as u64, (key > 0).then(|| format!("k{key}")).as_deref(), &format!("55119876543{phone:02}"), "")
            }).collect();
            let first = run(&rows, View::default());
            let stored = after(View::default(), &first);
            let again = run(&rows, stored);
            prop_assert!(again.created.is_empty() && again.changed.is_empty() && again.identities.is_empty());
            prop_assert!(again.outcomes.iter().all(|o| o.0 == Outcome::Unchanged));
        }

        #[test]
        fn batches_of_any_size_come_to_the_same_people(phones in proptest::collection::vec(0u32..8, 1..30), cut in 0usize..30) {
            let rows: Vec<Draft> = phones.iter().enumerate()
                .map(|(n, phone)| draft(n as u64, None, &format!("55119876543{phone:02}"), "n")).collect();
            let whole = run(&rows, View::default());
            let (a, b) = rows.split_at(cut.min(rows.len()));
            let first = run(a, View::default());
            let second = run(b, after(View::default(), &first));
            prop_assert_eq!(whole.created.len(), first.created.len() + second.created.len());
        }
    }
}
