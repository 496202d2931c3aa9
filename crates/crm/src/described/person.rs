//! What a write says of a person, by the names that templates and statements use.
//! Must not touch: anything but values. Names and numbers that are in the CRM belong to those who work there: they are said only of a
//! record that is made, or found without.

use super::Times;
use ponte_domain::crm::ContactWrite;
use ponte_domain::ids::PersonId;
use serde_json::{Map, Value, json};
use std::collections::HashMap;

/// What is known of the record that is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Known {
    /// It doesn't exist yet.
    New,
    /// It was linked before.
    Linked,
    /// It was found: does it have our id, a name, a phone number?
    Found { keyed: bool, named: bool, phoned: bool },
}

/// The names of [`facts`], for checking templates.
pub(crate) const PERSON_FACTS: &[&str] = &[
    "key",
    "id",
    "new",
    "adopting",
    "name",
    "first_name",
    "last_name",
    "phone",
    "digits",
    "whatsapp",
    "wa_id",
    "user_id",
    "username",
    "last_inbound_at",
    "fields",
];

/// What is written of a person. Absent is `null`.
pub(crate) fn facts(person: &ContactWrite, id: Option<&str>, known: Known, times: &Times) -> Map<String, Value> {
    let (named, phoned, adopting) = match known {
        Known::New => (false, false, false),
        Known::Linked => (true, true, false),
        Known::Found { keyed, named, phoned } => (named, phoned, !keyed),
    };
    let digits = person.phone.as_deref().or(person.wa_id.as_deref()).filter(|d| d.bytes().all(|b| b.is_ascii_digit()));
    let whatsapp = digits.map(|digits| format!("+{digits}"));
    let (first, last) = name_of(person);
    let full = [first.as_deref(), last.as_deref()].into_iter().flatten().collect::<Vec<_>>().join(" ");
    let unless = |there: bool, value: Option<String>| if there { Value::Null } else { json!(value) };
    let fields = if adopting { Map::new() } else { person.fields.clone().into_iter().collect() };
    let Value::Object(facts) = json!({
        "key": person.person.to_string(),
        "id": id,
        "new": known == Known::New,
        "adopting": adopting,
        "name": unless(named, Some(full)),
        "first_name": unless(named, first),
        "last_name": unless(named, last),
        "phone": unless(phoned, whatsapp.clone()),
        "digits": unless(phoned, digits.map(str::to_owned)),
        "whatsapp": whatsapp,
        "wa_id": person.wa_id,
        "user_id": person.user_id,
        "username": person.username,
        "last_inbound_at": person.last_inbound_at.map(|at| times.write(at)),
        "fields": fields,
    }) else {
        return Map::new();
    };
    facts
}

/// First and last name, at least one: profile name, username, number, or at last our id.
fn name_of(person: &ContactWrite) -> (Option<String>, Option<String>) {
    let words: Vec<&str> = person.name.as_deref().unwrap_or_default().split_whitespace().collect();
    if let Some((first, rest)) = words.split_first() {
        return (Some((*first).to_owned()), Some(rest.join(" ")).filter(|rest| !rest.is_empty()));
    }
    let given = |text: &Option<String>| text.as_deref().map(str::trim).filter(|t| !t.is_empty()).map(str::to_owned);
    let username = given(&person.username).map(|u| format!("@{}", u.trim_start_matches('@')));
    let number = || person.phone.as_ref().or(person.wa_id.as_ref()).map(|digits| format!("+{digits}"));
    (None, Some(username.or_else(number).unwrap_or_else(|| format!("WhatsApp {}", person.person))))
}

/// One write per person; the later row wins where both say something. Gives the people and each row's person.
pub(crate) fn merge(rows: &[ContactWrite]) -> (Vec<ContactWrite>, Vec<usize>) {
    let mut people: Vec<ContactWrite> = Vec::with_capacity(rows.len());
    let mut at: HashMap<PersonId, usize> = HashMap::with_capacity(rows.len());
    let mut whose = Vec::with_capacity(rows.len());
    for row in rows {
        let position = *at.entry(row.person).or_insert(people.len());
        whose.push(position);
        let Some(before) = people.get_mut(position) else {
            people.push(row.clone());
            continue;
        };
        let earlier = std::mem::replace(before, row.clone());
        before.crm_id = before.crm_id.take().or(earlier.crm_id);
        before.name = before.name.take().or(earlier.name);
        before.phone = before.phone.take().or(earlier.phone);
        before.wa_id = before.wa_id.take().or(earlier.wa_id);
        before.user_id = before.user_id.take().or(earlier.user_id);
        before.username = before.username.take().or(earlier.username);
        before.last_inbound_at = before.last_inbound_at.max(earlier.last_inbound_at);
        let later = std::mem::replace(&mut before.fields, earlier.fields);
        before.fields.extend(later);
    }
    (people, whose)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::described::TimeForm;
    use jiff::tz::TimeZone;
    use uuid::Uuid;

    fn person(n: u128) -> ContactWrite {
        ContactWrite {
            person: PersonId(Uuid::from_u128(n)),
            crm_id: None,
            name: Some("Ana Maria de Souza".into()),
            phone: Some("5511987654321".into()),
            wa_id: Some("551187654321".into()),
            user_id: None,
            username: None,
            last_inbound_at: Some(1_795_401_000_000),
            fields: [("email".to_owned(), json!("a@b.test"))].into(),
        }
    }

    fn said(known: Known) -> Map<String, Value> {
        facts(&person(1), Some("7"), known, &Times { form: TimeForm::Iso, zone: TimeZone::UTC })
    }

    #[test]
    fn a_new_record_gets_all_a_linked_one_keeps_its_name_and_number() {
        let new = said(Known::New);
        assert_eq!((&new["first_name"], &new["last_name"]), (&json!("Ana"), &json!("Maria de Souza")));
        assert_eq!((&new["phone"], &new["fields"]["email"]), (&json!("+5511987654321"), &json!("a@b.test")));
        assert_eq!(new["last_inbound_at"], "2026-11-23T02:30:00.000Z");
        let linked = said(Known::Linked);
        assert_eq!((&linked["name"], &linked["phone"]), (&Value::Null, &Value::Null));
        assert_eq!((&linked["whatsapp"], &linked["fields"]["email"]), (&json!("+5511987654321"), &json!("a@b.test")));
        assert!(PERSON_FACTS.iter().all(|name| new.contains_key(*name)) && new.len() == PERSON_FACTS.len());
    }

    #[test]
    fn an_adopted_record_keeps_its_own_fields_and_gets_what_it_lacks() {
        let adopted = said(Known::Found { keyed: false, named: true, phoned: false });
        assert_eq!((&adopted["adopting"], &adopted["fields"]), (&json!(true), &json!({})));
        assert_eq!((&adopted["name"], &adopted["digits"]), (&Value::Null, &json!("5511987654321")));
        let ours = said(Known::Found { keyed: true, named: false, phoned: true });
        assert_eq!((&ours["adopting"], &ours["fields"]["email"]), (&json!(false), &json!("a@b.test")));
        assert_eq!((&ours["name"], &ours["phone"]), (&json!("Ana Maria de Souza"), &Value::Null));
    }

    #[test]
    fn there_is_always_a_name() {
        let name = |change: fn(&mut ContactWrite)| {
            let mut p = person(1);
            p.name = None;
            change(&mut p);
            name_of(&p).1.unwrap()
        };
        assert_eq!(name(|p| p.username = Some("@ana".into())), "@ana");
        assert_eq!(name(|_| {}), "+5511987654321");
        assert!(name(|p| (p.phone, p.wa_id) = (None, None)).starts_with("WhatsApp per_"));
    }

    #[test]
    fn rows_of_one_person_become_one_and_the_later_says_more() {
        let (mut a, mut b) = (person(1), person(1));
        (a.crm_id, b.name, b.last_inbound_at) = (Some("7".into()), Some("Bea".into()), Some(5));
        b.fields = [("email".to_owned(), Value::Null), ("city".to_owned(), json!("Rio"))].into();
        let (people, whose) = merge(&[a, person(2), b]);
        assert_eq!((people.len(), whose), (2, vec![0, 1, 0]));
        assert_eq!((people[0].crm_id.as_deref(), people[0].name.as_deref()), (Some("7"), Some("Bea")));
        assert_eq!((people[0].last_inbound_at, &people[0].fields["email"]), (Some(1_795_401_000_000), &Value::Null));
    }
}
