//! Pages of changes and what they do to people.

use super::*;
use crate::crm::{CrmField, CrmKind};
use crate::mapping::Rule;
use crate::profile::Field;
use serde_json::json;
use uuid::Uuid;

struct NoIds;

impl IdSource for NoIds {
    fn next(&self) -> Uuid {
        Uuid::nil()
    }
}

const WHO: PersonId = PersonId(Uuid::from_u128(7));

fn mapping() -> Mapping {
    let rules = vec![Rule::new("email".parse().unwrap(), "mail")];
    Mapping::new(rules, &[CrmField::new("mail", CrmKind::Text)], &Fields::default())
}

fn knows(email: &str, at: Millis) -> Facts {
    let mut facts = Facts::newcomer(WHO, "886912345678", 0);
    let field = Field { value: email.into(), at, source: "agent:eva".into() };
    facts.profile.fields.insert("email".into(), field);
    facts
}

/// Records were asked for at 50; now it is 100.
fn pulled(view: View, changes: &[CrmChange]) -> Pulled {
    let (mapping, names) = (mapping(), ["mail".to_owned()]);
    let context = Context {
        mapping: &mapping,
        names: &names,
        connection: "main",
        country: None,
        create: true,
        triggers: &[],
        first_reading: false,
        read_at: 50,
        now: 100,
        ids: &NoIds,
    };
    decide(changes, view, &context)
}

#[test]
fn a_record_that_was_read_before_we_wrote_to_it_is_read_again() {
    let agreed = |email| {
        let mut base = Base::default();
        base.agree(&"email".parse().unwrap(), Some(email), false);
        base
    };
    let record =
        |mail: &str| CrmRecord { id: "1".into(), person: Some(WHO), modified_at: Some(30), values: vec![json!(mail)] };
    let view = |written_at| {
        let link =
            Link { person: WHO, record: "1".into(), base: Some(agreed("new@example.com")), gone: false, written_at };
        View { facts: HashMap::from([(WHO, knows("new@example.com", 20))]), links: vec![link], ..View::default() }
    };
    let old = [CrmChange::Record(record("old@example.com"))];
    // Written at 60, read at 50: what it says may be what we replaced.
    let raced = pulled(view(60), &old);
    assert_eq!((raced.again.as_slice(), raced.profiles.len(), raced.links.len()), (["1".to_owned()].as_slice(), 0, 0));
    // Written before: somebody there changed it.
    let changed = pulled(view(40), &old);
    assert_eq!((changed.again.len(), changed.profiles.len()), (0, 1));
    // Nothing would be taken from it: no need to look again.
    let same = pulled(view(60), &[CrmChange::Record(record("new@example.com"))]);
    assert_eq!((same.again.len(), same.profiles.len()), (0, 0));
}

#[test]
fn a_record_whose_creation_was_never_answered_says_our_own_word() {
    // Made with the old address; then it changed here, and something touched the record there.
    let sent = mapping().news(&knows("old@example.com", 10), &Base::default()).sending;
    let record =
        CrmRecord { id: "1".into(), person: Some(WHO), modified_at: Some(30), values: vec![json!("old@example.com")] };
    let changes = [CrmChange::Record(record)];
    let facts = HashMap::from([(WHO, knows("new@example.com", 20))]);
    let stranger = pulled(View { facts: facts.clone(), ..View::default() }, &changes);
    assert_eq!(stranger.profiles.len(), 1, "who never wrote it takes the newer word");
    let known = pulled(View { facts, sent: HashMap::from([(WHO, sent)]), ..View::default() }, &changes);
    assert!(known.profiles.is_empty(), "{known:?}");
    assert_eq!(known.touched.iter().map(|t| t.tell).collect::<Vec<_>>(), [true], "the CRM hears the new address");
    let link = &known.links[0];
    assert_eq!((link.record.as_str(), link.gone), ("1", false));
    let base = link.base.as_ref().unwrap();
    assert!(base.was_sent(&"email".parse().unwrap(), Some("old@example.com"), false), "until the new one is there");
}
