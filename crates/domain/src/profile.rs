//! What is known of a person beyond identifiers: named fields with a type, each with when and from where it was learnt, tags
//! and labels. Labels are tags with rules: they say what may not be done with a person.
//! Must not touch: how it is stored, and WhatsApp's own profile name, which is the person's word and kept apart.

use crate::Millis;
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};

/// The fields every installation has. Others are custom: any key of lower-case letters, digits and `_`.
pub mod core {
    /// Whole name as it is shown.
    pub const NAME: &str = "name";
    /// E-mail address, lower case.
    pub const EMAIL: &str = "email";
    /// Company.
    pub const COMPANY: &str = "company";
    /// Language, BCP 47 (`pt-BR`).
    pub const LANGUAGE: &str = "language";
    /// Country, ISO 3166-1 alpha-2.
    pub const COUNTRY: &str = "country";
    /// City.
    pub const CITY: &str = "city";
    /// Day of birth, `YYYY-MM-DD`.
    pub const BIRTHDAY: &str = "birthday";
    /// Who looks after the person, by name or e-mail.
    pub const OWNER: &str = "owner";
    /// Free text.
    pub const NOTE: &str = "note";
    /// All of them.
    pub const ALL: [&str; 9] = [NAME, EMAIL, COMPANY, LANGUAGE, COUNTRY, CITY, BIRTHDAY, OWNER, NOTE];
}

/// A field's value with its story.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Field {
    /// The value as text, in the canonical form of its type.
    #[serde(rename = "v")]
    pub value: String,
    /// When it was said, epoch milliseconds.
    #[serde(rename = "t")]
    pub at: Millis,
    /// Who said it: `import:NAME`, `crm:CONNECTION`, `agent:NAME`, `api:KEY`, `whatsapp`.
    #[serde(rename = "s")]
    pub source: String,
}

/// What is known of a person.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Profile {
    /// Fields by key.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub fields: BTreeMap<String, Field>,
    /// Free words.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    pub tags: BTreeSet<String>,
    /// Words with rules.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    pub labels: BTreeSet<Label>,
}

impl Profile {
    /// A field's value.
    #[must_use]
    pub fn get(&self, key: &str) -> Option<&str> {
        self.fields.get(key).map(|f| f.value.as_str())
    }
}

/// A special status: what it forbids is the policy's business.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Label {
    /// Gets no marketing, whatever the consent ledger says.
    RefusesMarketing,
    /// Gets nothing from us.
    Blocked,
    /// Works for us: no marketing, not counted in reports.
    Employee,
    /// Not a customer: for trying things out.
    Test,
    /// A number that can't have WhatsApp (a landline), or that WhatsApp said is not there.
    Unreachable,
}

impl Label {
    /// All of them.
    pub const ALL: [Self; 5] = [Self::RefusesMarketing, Self::Blocked, Self::Employee, Self::Test, Self::Unreachable];

    /// The stored text.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::RefusesMarketing => "refuses_marketing",
            Self::Blocked => "blocked",
            Self::Employee => "employee",
            Self::Test => "test",
            Self::Unreachable => "unreachable",
        }
    }

    /// Reads the stored text.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|l| l.as_str() == text)
    }
}
