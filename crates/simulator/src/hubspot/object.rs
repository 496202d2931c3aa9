//! The object types that are simulated and how they name themselves.
//! May touch: nothing. Must not touch: records.

use serde_json::{Value, json};

/// An object type.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) enum Object {
    Contacts,
    Communications,
    Notes,
}

impl Object {
    pub(super) const ALL: [Self; 3] = [Self::Contacts, Self::Communications, Self::Notes];

    /// By plural name or by type id; both work on the wire.
    pub(super) fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|o| o.name() == text || o.type_id() == text)
    }

    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::Contacts => "contacts",
            Self::Communications => "communications",
            Self::Notes => "notes",
        }
    }

    pub(super) const fn singular(self) -> &'static str {
        match self {
            Self::Contacts => "contact",
            Self::Communications => "communication",
            Self::Notes => "note",
        }
    }

    const fn type_id(self) -> &'static str {
        match self {
            Self::Contacts => "0-1",
            Self::Communications => "0-18",
            Self::Notes => "0-46",
        }
    }

    /// The last-modified property: contacts are the exception.
    pub(super) const fn modified(self) -> &'static str {
        match self {
            Self::Contacts => "lastmodifieddate",
            Self::Communications | Self::Notes => "hs_lastmodifieddate",
        }
    }

    pub(super) const fn created(self) -> &'static str {
        match self {
            Self::Contacts => "createdate",
            Self::Communications | Self::Notes => "hs_createdate",
        }
    }

    /// What an answer shows when nothing is asked for.
    pub(super) const fn defaults(self) -> &'static [&'static str] {
        match self {
            Self::Contacts => &["createdate", "email", "firstname", "hs_object_id", "lastmodifieddate", "lastname"],
            Self::Communications | Self::Notes => &["hs_createdate", "hs_lastmodifieddate", "hs_object_id"],
        }
    }

    /// What a record cannot be made without.
    pub(super) const fn required(self) -> &'static [&'static str] {
        match self {
            Self::Contacts => &[],
            Self::Communications => &["hs_communication_channel_type", "hs_communication_logged_from", "hs_timestamp"],
            Self::Notes => &["hs_timestamp"],
        }
    }

    /// What `query` of a search looks into.
    pub(super) const fn searched(self) -> &'static [&'static str] {
        match self {
            Self::Contacts => &[
                "email",
                "firstname",
                "lastname",
                "phone",
                "company",
                "hs_searchable_calculated_phone_number",
                "hs_searchable_calculated_mobile_number",
            ],
            Self::Communications => &["hs_communication_body"],
            Self::Notes => &["hs_note_body"],
        }
    }

    /// True for objects whose logging counts as activity on the contact.
    pub(super) const fn is_activity(self) -> bool {
        matches!(self, Self::Communications | Self::Notes)
    }
}

/// The HUBSPOT_DEFINED type id between two object types; `None` when they cannot be associated.
pub(super) const fn association_type(from: Object, to: Object) -> Option<u16> {
    match (from, to) {
        (Object::Communications, Object::Contacts) => Some(81),
        (Object::Contacts, Object::Communications) => Some(82),
        (Object::Contacts, Object::Notes) => Some(201),
        (Object::Notes, Object::Contacts) => Some(202),
        _ => None,
    }
}

/// An association type as the dated answers show it.
pub(super) fn type_entry(type_id: u16) -> Value {
    json!({"category": "HUBSPOT_DEFINED", "typeId": type_id, "label": null})
}
