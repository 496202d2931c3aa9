//! What Meta's answer to a send says. Facts: whatsapp-api 5.1.

use crate::json::Object;
use ponte_domain::identity::{IdShape, Party, shape_of};
use ponte_domain::ports::channel::Accepted;

/// Reads the answer to a message; `None` when it names no message: then nobody knows what became of it.
pub(super) fn accepted(body: &[u8]) -> Option<Accepted> {
    let answer = Object::parse(std::str::from_utf8(body).ok()?)?;
    let messages = answer.list("messages");
    let message = Object::read(messages.first()?)?;
    let wamid = message.string("id")?;
    let contacts = answer.list("contacts");
    let contact = contacts.first().and_then(|raw| Object::read(raw));
    Some(Accepted {
        wamid: Some(wamid),
        party: contact.map(|contact| party(&contact)).unwrap_or_default(),
        held: message.string("message_status").filter(|status| status != "accepted"),
    })
}

fn party(contact: &Object<'_>) -> Party {
    let mut party =
        Party { wa_id: contact.string("wa_id").filter(|id| shape_of(id) == IdShape::Digits), ..Party::default() };
    match contact.string("user_id") {
        Some(id) if shape_of(&id) == IdShape::ParentUserId => party.parent_user_id = Some(id),
        Some(id) if shape_of(&id) != IdShape::Digits => party.user_id = Some(id),
        _ => {}
    }
    party
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn answers_say_who_it_is() {
        let by_phone =
            br#"{"messaging_product":"whatsapp","contacts":[{"input":"+5511987654321","wa_id":"551187654321"}],
            "messages":[{"id":"wamid.1","message_status":"accepted"}]}"#;
        let accepted_by_phone = accepted(by_phone).expect("accepted");
        assert_eq!(accepted_by_phone.party.wa_id.as_deref(), Some("551187654321"));
        assert_eq!((accepted_by_phone.wamid.as_deref(), accepted_by_phone.held), (Some("wamid.1"), None));
        let by_id =
            br#"{"contacts":[{"input":"US.1","user_id":"US.1"}],"messages":[{"id":"w","message_status":"paused"}]}"#;
        let accepted_by_id = accepted(by_id).expect("accepted");
        assert_eq!(accepted_by_id.party.user_id.as_deref(), Some("US.1"));
        assert_eq!(accepted_by_id.held.as_deref(), Some("paused"));
        for unclear in ["", "{}", "[]", r#"{"messages":[]}"#, r#"{"messages":[{}]}"#, r#"{"messages":[{"id":""}]}"#] {
            assert_eq!(accepted(unclear.as_bytes()), None, "{unclear}");
        }
    }
}
