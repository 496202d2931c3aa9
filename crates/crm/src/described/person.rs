//! What a write says of a person, by the names that templates and statements use.
//! Must not touch: anything but values. Names and numbers that are in the CRM belong to those who work there: they are said only of a
//! record that is made, or found without.

use super::Times;
use ponte_domain::crm::ContactWrite;
use serde_json::{Map, Value, json};

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
    let (first, last) = crate::rows::name_of(person);
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::described::TimeForm;
    use jiff::tz::TimeZone;
    use ponte_domain::ids::PersonId;
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
}
