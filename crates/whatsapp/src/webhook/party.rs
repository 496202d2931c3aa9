//! Who it is: identifiers told apart by their shape, completed from `contacts` by identifier, never by position.
//! Facts: whatsapp-api 3.2 and 3.3.

use crate::json::Object;
use ponte_domain::identity::{IdShape, Party, shape_of};
use serde_json::value::RawValue;
use std::borrow::Cow;

/// One item of `value.contacts`.
pub(super) struct Contact<'a> {
    party: Party,
    name: Option<Cow<'a, str>>,
    username: Option<Cow<'a, str>>,
}

/// Reads `value.contacts`; items that are no objects identify no one.
pub(super) fn contacts<'a>(items: &[&'a RawValue]) -> Vec<Contact<'a>> {
    items.iter().filter_map(|raw| Object::read(raw)).map(|item| contact(&item)).collect()
}

fn contact<'a>(item: &Object<'a>) -> Contact<'a> {
    let mut party = Party::default();
    number(&mut party, item.text("wa_id"));
    user(&mut party, item.text("user_id"));
    parent(&mut party, item.text("parent_user_id"));
    let profile = item.object("profile").unwrap_or_default();
    Contact { party, name: profile.text("name"), username: profile.text("username") }
}

/// Takes in what stood where a phone number or WhatsApp id belongs: user ids have been seen there.
pub(super) fn number(party: &mut Party, text: Option<Cow<'_, str>>) {
    let Some(text) = text else { return };
    let text = text.trim();
    let digits = text.strip_prefix('+').unwrap_or(text);
    match shape_of(digits) {
        IdShape::Digits => fill(&mut party.wa_id, digits),
        IdShape::UserId => fill(&mut party.user_id, text),
        IdShape::ParentUserId => fill(&mut party.parent_user_id, text),
        IdShape::Other => {}
    }
}

/// Takes in what stood where a user id belongs.
pub(super) fn user(party: &mut Party, text: Option<Cow<'_, str>>) {
    let Some(text) = text else { return };
    match shape_of(&text) {
        IdShape::ParentUserId => fill(&mut party.parent_user_id, &text),
        IdShape::UserId => fill(&mut party.user_id, &text),
        IdShape::Other if opaque(&text) => fill(&mut party.user_id, &text),
        // A bare number here could be anything: to take it for a phone would send to a stranger.
        IdShape::Digits | IdShape::Other => {}
    }
}

/// Takes in what stood where a parent user id belongs.
pub(super) fn parent(party: &mut Party, text: Option<Cow<'_, str>>) {
    let Some(text) = text else { return };
    match shape_of(&text) {
        IdShape::UserId => fill(&mut party.user_id, &text),
        IdShape::ParentUserId => fill(&mut party.parent_user_id, &text),
        IdShape::Other if opaque(&text) => fill(&mut party.parent_user_id, &text),
        IdShape::Digits | IdShape::Other => {}
    }
}

/// User ids are opaque: one of a shape not seen yet still tells people apart, and losing its message would be worse.
fn opaque(text: &str) -> bool {
    text.len() <= 256 && !text.chars().any(|c| c.is_whitespace() || c.is_control())
}

/// Adds from the contact that shares an identifier with `party` what is missing. With `alone` (one item only), the only
/// contact there is also serves someone who has no identifier at all.
pub(super) fn complete(party: &mut Party, contacts: &[Contact<'_>], alone: bool) {
    let Some(contact) = matching(party, contacts, alone) else { return };
    fill_from(&mut party.wa_id, contact.party.wa_id.as_deref());
    fill_from(&mut party.user_id, contact.party.user_id.as_deref());
    fill_from(&mut party.parent_user_id, contact.party.parent_user_id.as_deref());
    display(party, contact);
}

/// Like [`complete`], but adds names only: around a change of identifiers, a contact may already hold the new ones.
pub(super) fn complete_names(party: &mut Party, contacts: &[Contact<'_>]) {
    if let Some(contact) = matching(party, contacts, false) {
        display(party, contact);
    }
}

fn display(party: &mut Party, contact: &Contact<'_>) {
    fill_from(&mut party.name, contact.name.as_deref());
    let username = contact.username.as_deref().map(|name| name.trim().trim_start_matches('@'));
    fill_from(&mut party.username, username.filter(|name| !name.is_empty()));
}

fn matching<'c, 'a>(party: &Party, contacts: &'c [Contact<'a>], alone: bool) -> Option<&'c Contact<'a>> {
    if party.is_anonymous() {
        return match contacts {
            [only] if alone => Some(only),
            _ => None,
        };
    }
    let same = |a: &Option<String>, b: &Option<String>| a.is_some() && a == b;
    // Strongest identifier first: a phone may have been passed on to someone else.
    contacts
        .iter()
        .find(|c| same(&c.party.user_id, &party.user_id))
        .or_else(|| contacts.iter().find(|c| same(&c.party.wa_id, &party.wa_id)))
        .or_else(|| contacts.iter().find(|c| same(&c.party.parent_user_id, &party.parent_user_id)))
}

fn fill(slot: &mut Option<String>, text: &str) {
    if slot.is_none() {
        *slot = Some(text.to_owned());
    }
}

fn fill_from(slot: &mut Option<String>, text: Option<&str>) {
    if let Some(text) = text {
        fill(slot, text);
    }
}
