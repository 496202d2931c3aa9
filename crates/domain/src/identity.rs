//! Identity is a set: phone numbers, WhatsApp ids, business-scoped user ids, usernames, CRM ids. Nothing is keyed by phone.
//! Facts: whatsapp-api sections 3.2 to 3.4.

use crate::ids::PersonId;
use crate::phone;
use serde::{Deserialize, Serialize};

/// Kind of an identifier.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum IdentityKind {
    /// Telephone number in E.164 without `+`.
    Phone,
    /// WhatsApp id: digits, often but not always the phone number.
    WaId,
    /// Business-scoped user id, unique within one business portfolio.
    UserId,
    /// Parent business-scoped user id, across linked portfolios.
    ParentUserId,
    /// Id of a CRM record; the scope is the connection.
    Crm,
    /// Key of a row in an imported source; the scope is the source's name.
    External,
}

impl IdentityKind {
    /// The stored text.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Phone => "phone",
            Self::WaId => "wa_id",
            Self::UserId => "user_id",
            Self::ParentUserId => "parent_user_id",
            Self::Crm => "crm",
            Self::External => "external",
        }
    }

    /// Reads the stored text.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        [Self::Phone, Self::WaId, Self::UserId, Self::ParentUserId, Self::Crm, Self::External]
            .into_iter()
            .find(|k| k.as_str() == text)
    }
}

/// One identifier: kind, the scope in which it is unique (empty, portfolio or CRM connection), value.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Identity {
    /// What it is.
    pub kind: IdentityKind,
    /// Portfolio for user ids, connection for CRM ids, empty for phones and WhatsApp ids.
    pub scope: String,
    /// Compared as it stands, case-sensitive.
    pub value: String,
}

/// A shorter identifier is part of too much else to be looked for in texts.
const SHORTEST_NEEDLE: usize = 6;

impl Identity {
    /// What to look for in raw webhook bodies to find this person; `None` where bodies don't name people so, or the text would
    /// be found everywhere. A number that is part of a longer one is found with it: rather one body too many.
    #[must_use]
    pub fn needle(&self) -> Option<&str> {
        let named = !matches!(self.kind, IdentityKind::External | IdentityKind::Crm);
        (named && self.value.len() >= SHORTEST_NEEDLE).then_some(self.value.as_str())
    }
}

/// An identifier and whose it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct IdentityLink {
    /// The identifier.
    pub identity: Identity,
    /// The person.
    pub person: PersonId,
}

/// What a webhook says about who someone is. Every part can be missing.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Party {
    /// Digits only.
    pub wa_id: Option<String>,
    /// Business-scoped user id.
    pub user_id: Option<String>,
    /// Parent business-scoped user id.
    pub parent_user_id: Option<String>,
    /// Display data, changes, never a key.
    pub username: Option<String>,
    /// Profile name as the person wrote it.
    pub name: Option<String>,
}

impl Party {
    /// True when nothing identifies the person.
    #[must_use]
    pub fn is_anonymous(&self) -> bool {
        self.wa_id.is_none() && self.user_id.is_none() && self.parent_user_id.is_none()
    }

    /// The identifiers, strongest first: user id, WhatsApp id, parent user id.
    #[must_use]
    pub fn identities(&self, portfolio: &str) -> Vec<Identity> {
        let scoped = |kind, value: &String| Identity { kind, scope: portfolio.to_owned(), value: value.clone() };
        let mut found = Vec::with_capacity(3);
        found.extend(self.user_id.as_ref().map(|v| scoped(IdentityKind::UserId, v)));
        found.extend(self.wa_id.as_ref().map(|v| Identity {
            kind: IdentityKind::WaId,
            scope: String::new(),
            value: v.clone(),
        }));
        found.extend(self.parent_user_id.as_ref().map(|v| scoped(IdentityKind::ParentUserId, v)));
        found
    }
}

/// What an identifier string of Meta's looks like. Anything else is kept raw and reported.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum IdShape {
    /// `^[0-9]{5,15}$`: a phone number or WhatsApp id.
    Digits,
    /// `^[A-Z]{2}\.[A-Za-z0-9]{1,128}$`.
    UserId,
    /// `^[A-Z]{2}\.ENT\.[A-Za-z0-9]{1,128}$`.
    ParentUserId,
    /// None of these.
    Other,
}

/// Tells what kind of identifier `text` is, by its shape alone.
#[must_use]
pub fn shape_of(text: &str) -> IdShape {
    let alphanumeric = |s: &str| (1..=128).contains(&s.len()) && s.bytes().all(|b| b.is_ascii_alphanumeric());
    if (5..=15).contains(&text.len()) && text.bytes().all(|b| b.is_ascii_digit()) {
        return IdShape::Digits;
    }
    let Some((country, rest)) = text.split_once('.') else { return IdShape::Other };
    if country.len() != 2 || !country.bytes().all(|b| b.is_ascii_uppercase()) {
        return IdShape::Other;
    }
    match rest.strip_prefix("ENT.") {
        Some(parent) if alphanumeric(parent) => IdShape::ParentUserId,
        None if alphanumeric(rest) => IdShape::UserId,
        _ => IdShape::Other,
    }
}

/// Reads the phone number that a program or WhatsApp names, into E.164 digits: with country code, whatever the separators
/// (`+55 (11) 98765-4321`). Bare digits are taken as they stand, for they may be a WhatsApp id, and a number that [`phone`]
/// knows in another way is not rewritten either. Numbers that no numbering plan has are let through: WhatsApp decides. `None`
/// when there is no country code (`+` missing and not already bare international digits of plausible length) or when the
/// text holds more than a number.
#[must_use]
pub fn phone_digits(text: &str) -> Option<String> {
    let text = text.trim();
    let strict = strict_digits(text);
    if strict.as_deref() == Some(text.strip_prefix('+').unwrap_or(text)) {
        return strict;
    }
    // "+44 (0) 20…" has a digit that isn't dialled, "tel:+…" and full-width digits aren't strict. Letters are refused: they
    // may be a user id.
    let bare = ["tel:", "whatsapp:"].into_iter().find_map(|scheme| text.strip_prefix(scheme)).unwrap_or(text);
    if bare.chars().any(char::is_alphabetic) {
        return None;
    }
    match phone::parse(bare, None) {
        Ok(read) if strict.as_ref().is_none_or(|s| phone::candidates(s).all(|c| c != read.e164)) => Some(read.e164),
        _ => strict,
    }
}

/// The digits as they stand, between the separators of phone numbers.
fn strict_digits(text: &str) -> Option<String> {
    let rest = text.strip_prefix('+').unwrap_or(text);
    let mut digits = String::with_capacity(rest.len());
    for c in rest.chars() {
        match c {
            '0'..='9' => digits.push(c),
            ' ' | '-' | '(' | ')' | '.' | '\u{a0}' => {}
            _ => return None,
        }
    }
    ((7..=15).contains(&digits.len()) && !digits.starts_with('0')).then_some(digits)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn shapes() {
        assert_eq!(shape_of("16505551234"), IdShape::Digits);
        assert_eq!(shape_of("US.13491208655302741918"), IdShape::UserId);
        assert_eq!(shape_of("US.ENT.11815799212886844830"), IdShape::ParentUserId);
        for odd in ["", "@sheena", "us.1", "US.", "US.ENT.", "1234", "US.a b", "+16505551234"] {
            assert_eq!(shape_of(odd), IdShape::Other, "{odd}");
        }
    }

    #[test]
    fn phones() {
        assert_eq!(phone_digits("+55 (11) 98765-4321").as_deref(), Some("5511987654321"));
        assert_eq!(phone_digits("16505551234").as_deref(), Some("16505551234"));
        for odd in ["", "0912345678", "+1", "US.134", "12345678901234567", "+55 11 abc"] {
            assert_eq!(phone_digits(odd), None, "{odd}");
        }
    }

    #[test]
    fn what_is_written_clearly_is_read_and_ids_stay_as_they_are() {
        for (text, wanted) in [
            ("+44 (0) 20 7946 0958", "442079460958"),
            ("tel:+886-912-345-678", "886912345678"),
            ("00886912345678", "886912345678"),
            ("＋８８６９１２３４５６７８", "886912345678"),
            ("551187654321", "551187654321"),
            ("+5215512345678", "5215512345678"),
            ("+55 11 8765-4321", "551187654321"),
            ("+1 (123) 456-7890", "11234567890"),
        ] {
            assert_eq!(phone_digits(text).as_deref(), Some(wanted), "{text}");
        }
        for odd in
            ["US.5511987654321", "US.13491208655302741918", "(202) 555-0123 ext 5", "+886912345678/+886912345679"]
        {
            assert_eq!(phone_digits(odd), None, "{odd}");
        }
    }

    proptest! {
        #[test]
        fn nothing_panics(text in ".{0,200}") {
            let _ = (shape_of(&text), phone_digits(&text));
        }
    }
}
