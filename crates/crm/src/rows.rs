//! What every connector does with the rows that it is given before it turns them into its own words: one row for each person and
//! message, a name where there is none, a message's state in one word.
//! Must not touch: any one CRM's words.

use ponte_domain::crm::{ContactWrite, MessageWrite};
use std::collections::HashMap;
use std::hash::Hash;

/// One write per person; the later row wins where both say something. Gives the people and each row's person.
pub(crate) fn people(rows: &[ContactWrite]) -> (Vec<ContactWrite>, Vec<usize>) {
    one_each(
        rows,
        |row| row.person,
        |before, earlier| {
            before.crm_id = before.crm_id.take().or(earlier.crm_id);
            before.name = before.name.take().or(earlier.name);
            before.phone = before.phone.take().or(earlier.phone);
            before.wa_id = before.wa_id.take().or(earlier.wa_id);
            before.user_id = before.user_id.take().or(earlier.user_id);
            before.username = before.username.take().or(earlier.username);
            before.last_inbound_at = before.last_inbound_at.max(earlier.last_inbound_at);
            let later = std::mem::replace(&mut before.fields, earlier.fields);
            before.fields.extend(later);
        },
    )
}

/// One write per message: the last row wins, what any row knows about earlier attempts is kept.
pub(crate) fn messages(rows: &[MessageWrite]) -> (Vec<MessageWrite>, Vec<usize>) {
    one_each(
        rows,
        |row| row.message,
        |before, earlier| {
            before.crm_id = before.crm_id.take().or(earlier.crm_id);
            before.uncertain |= earlier.uncertain;
        },
    )
}

/// One row per key, the last; `keep` takes over what only an earlier one knows. Gives them and where each row went.
fn one_each<T: Clone, K: Eq + Hash>(
    rows: &[T],
    key: impl Fn(&T) -> K,
    keep: impl Fn(&mut T, T),
) -> (Vec<T>, Vec<usize>) {
    let mut all: Vec<T> = Vec::with_capacity(rows.len());
    let mut at: HashMap<K, usize> = HashMap::with_capacity(rows.len());
    let mut whose = Vec::with_capacity(rows.len());
    for row in rows {
        let position = *at.entry(key(row)).or_insert(all.len());
        whose.push(position);
        match all.get_mut(position) {
            Some(before) => {
                let earlier = std::mem::replace(before, row.clone());
                keep(before, earlier);
            }
            None => all.push(row.clone()),
        }
    }
    (all, whose)
}

/// First and last name, at least one: profile name, username, number, or at last our id. What stands in for a name is a last one.
pub(crate) fn name_of(person: &ContactWrite) -> (Option<String>, Option<String>) {
    let words: Vec<&str> = person.name.as_deref().unwrap_or_default().split_whitespace().collect();
    if let Some((first, rest)) = words.split_first() {
        return (Some((*first).to_owned()), Some(rest.join(" ")).filter(|rest| !rest.is_empty()));
    }
    let username = person.username.as_deref().map(str::trim).filter(|u| !u.is_empty());
    let username = username.map(|u| format!("@{}", u.trim_start_matches('@')));
    let number = || person.phone.as_ref().or(person.wa_id.as_ref()).map(|digits| format!("+{digits}"));
    (None, Some(username.or_else(number).unwrap_or_else(|| format!("WhatsApp {}", person.person))))
}

/// Likewise where a last name can't be left out: a name of one word is one. At most so many characters of each.
pub(crate) fn full_name_of(person: &ContactWrite, most: (usize, usize)) -> (Option<String>, String) {
    let cut = |text: String, most: usize| text.chars().take(most).collect::<String>();
    match name_of(person) {
        (first, Some(last)) => (first.map(|first| cut(first, most.0)), cut(last, most.1)),
        (first, None) => (None, cut(first.unwrap_or_default(), most.1)),
    }
}

/// A message's state in one word.
pub(crate) const fn status_word(message: &MessageWrite) -> &'static str {
    match message.stamps.state() {
        _ if message.withdrawn => "withdrawn",
        _ if message.inbound => "received",
        Some(status) => status.as_str(),
        None if message.error.is_some() => "failed",
        None => "accepted",
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use ponte_domain::ids::{MessageId, PersonId};
    use ponte_domain::status::Stamps;
    use serde_json::{Value, json};
    use uuid::Uuid;

    fn person(n: u128) -> ContactWrite {
        ContactWrite {
            person: PersonId(Uuid::from_u128(n)),
            crm_id: None,
            name: None,
            phone: None,
            wa_id: None,
            user_id: None,
            username: None,
            last_inbound_at: None,
            fields: Default::default(),
        }
    }

    #[test]
    fn there_is_always_a_name() {
        let whole = |change: fn(&mut ContactWrite)| {
            let mut p = person(1);
            change(&mut p);
            (name_of(&p), full_name_of(&p, (40, 80)))
        };
        let name = |change: fn(&mut ContactWrite)| whole(change).0;
        let full = |change: fn(&mut ContactWrite)| whole(change).1;
        let text = |t: &str| Some(t.to_owned());
        assert_eq!(name(|p| p.name = Some("  Ana  Maria de Souza ".into())), (text("Ana"), text("Maria de Souza")));
        assert_eq!(full(|p| p.name = Some("Ana Maria".into())), (text("Ana"), "Maria".into()));
        assert_eq!(name(|p| p.name = Some("Ana".into())), (text("Ana"), None));
        assert_eq!(full(|p| p.name = Some("Ana".into())), (None, "Ana".into()));
        assert_eq!(name(|p| (p.name, p.username) = (Some(" ".into()), Some("@ana".into()))), (None, text("@ana")));
        assert_eq!(full(|p| p.username = Some("ana".into())), (None, "@ana".into()));
        assert_eq!(name(|p| p.phone = Some("16505551234".into())), (None, text("+16505551234")));
        assert!(name(|_| {}).1.unwrap().starts_with("WhatsApp per_"));
        let (first, last) = full(|p| p.name = Some(format!("{} {}", "é".repeat(60), "ü".repeat(100))));
        assert_eq!((first.unwrap().chars().count(), last.chars().count()), (40, 80));
    }

    #[test]
    fn rows_of_one_person_become_one_and_the_later_says_more() {
        let (mut a, mut b) = (person(1), person(1));
        (a.crm_id, a.name, a.last_inbound_at) = (Some("7".into()), Some("Ana".into()), Some(9));
        (b.name, b.phone, b.last_inbound_at) = (Some("Bea".into()), Some("16505551234".into()), Some(5));
        a.fields = [("email".to_owned(), json!("a")), ("title".to_owned(), json!("Dr"))].into();
        b.fields = [("email".to_owned(), Value::Null)].into();
        let (people, whose) = people(&[a, person(2), b]);
        assert_eq!((people.len(), whose), (2, vec![0, 1, 0]));
        let one = &people[0];
        assert_eq!((one.crm_id.as_deref(), one.name.as_deref()), (Some("7"), Some("Bea")));
        assert_eq!((one.phone.as_deref(), one.last_inbound_at), (Some("16505551234"), Some(9)));
        assert_eq!((&one.fields["email"], &one.fields["title"]), (&Value::Null, &json!("Dr")));
    }

    #[test]
    fn rows_of_one_message_become_one() {
        let message = MessageWrite {
            message: MessageId(Uuid::from_u128(1)),
            crm_id: None,
            uncertain: false,
            contact_crm_id: "1".into(),
            inbound: false,
            kind: "text".into(),
            text: None,
            at: 0,
            stamps: Stamps::default(),
            error: None,
            withdrawn: false,
            edited: false,
        };
        let first = MessageWrite { crm_id: Some("5".into()), uncertain: true, ..message.clone() };
        let second = MessageWrite { inbound: true, ..message };
        let (messages, whose) = messages(&[first, second]);
        assert_eq!((messages.len(), whose), (1, vec![0, 0]));
        assert!(messages[0].uncertain && messages[0].inbound && messages[0].crm_id.as_deref() == Some("5"));
        assert_eq!(status_word(&messages[0]), "received");
    }
}
