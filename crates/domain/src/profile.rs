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
    /// Who said it: `import:NAME`, `crm:CONNECTION`, `agent:NAME`, `cli:USER`, `api:KEY`, `whatsapp`.
    #[serde(rename = "s")]
    pub source: String,
}

/// True when a list doesn't undo what this source said: one of our people, a CRM, or a program over the API.
#[must_use]
pub fn outranks_lists(source: &str) -> bool {
    ["agent:", "crm:", "cli:", "api:"].iter().any(|kind| source.starts_with(kind))
}

/// What somebody can decide about besides a field's value.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Item {
    /// That a field has no value.
    Field(String),
    /// That a label is there or isn't.
    Label(Label),
    /// That a tag is there or isn't.
    Tag(String),
}

/// When and by whom it was decided that an [`Item`] is there, or that it isn't: whichever it is. Lists don't undo it.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Decided {
    /// When, epoch milliseconds.
    pub at: Millis,
    /// Who, as in [`Field::source`].
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
    /// What somebody decided about tags, labels and emptied fields; what isn't here was said by lists or found out.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty", with = "as_pairs")]
    pub decided: BTreeMap<Item, Decided>,
}

/// JSON has no keys but text.
mod as_pairs {
    use super::{Decided, Item};
    use serde::{Deserialize, Deserializer, Serializer};
    use std::collections::BTreeMap;

    pub(super) fn serialize<S: Serializer>(map: &BTreeMap<Item, Decided>, to: S) -> Result<S::Ok, S::Error> {
        to.collect_seq(map)
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<BTreeMap<Item, Decided>, D::Error> {
        Ok(Vec::<(Item, Decided)>::deserialize(from)?.into_iter().collect())
    }
}

impl Profile {
    /// A field's value.
    #[must_use]
    pub fn get(&self, key: &str) -> Option<&str> {
        self.fields.get(key).map(|f| f.value.as_str())
    }

    /// True when it is there now.
    #[must_use]
    pub fn has(&self, item: &Item) -> bool {
        match item {
            Item::Field(key) => self.fields.contains_key(key),
            Item::Label(label) => self.labels.contains(label),
            Item::Tag(tag) => self.tags.contains(tag),
        }
    }

    /// Whose word it is that the person can't be reached.
    #[must_use]
    pub fn unreachable(&self) -> Unreachable {
        match self.labels.contains(&Label::Unreachable) {
            false => Unreachable::No,
            true if self.decided.contains_key(&Item::Label(Label::Unreachable)) => Unreachable::Said,
            true => Unreachable::Found,
        }
    }
}

/// Whether a person has the label [`Label::Unreachable`], and whose word it is.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Unreachable {
    /// No label.
    #[default]
    No,
    /// Found out by failed sends, or said by a list: a sign of life takes the label away.
    Found,
    /// Said by one of our people: the label stays until they take it away.
    Said,
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
    /// No number of theirs can be reached on WhatsApp: by its kind (a pager), or because sends failed on different days
    /// ([`crate::reach`]). A message from them takes the label away, unless one of our people gave it.
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
