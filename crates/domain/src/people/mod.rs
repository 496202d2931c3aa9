//! People as lists: rows of a source that were read and normalised, cards of people who are stored, what an import or an edit
//! decides, and by what people are listed.
//! Must not touch: files and databases; rows and cards are passed in.

pub mod edit;
pub mod import;
pub mod marks;

use crate::Millis;
use crate::consent::{Action, Scope};
use crate::identity::{Identity, IdentityKind};
use crate::ids::PersonId;
use crate::profile::{Label, Profile};
use serde::{Deserialize, Serialize};

/// A row of a source, read and normalised: what an import applies.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Draft {
    /// Line of the source, from 1.
    pub line: u64,
    /// The source's own key of the row.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub key: Option<String>,
    /// Phone numbers, E.164 digits without `+`; the first is the main one.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub phones: Vec<String>,
    /// Fields: key and value in canonical form, no empty values.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub fields: Vec<(String, String)>,
    /// Tags.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub tags: Vec<String>,
    /// Labels.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub labels: Vec<Label>,
    /// What the source says of the person's consent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub consent: Option<OldConsent>,
}

/// Consent as a source states it: given or refused before, elsewhere. It becomes an entry of the ledger.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct OldConsent {
    /// About what.
    pub scope: Scope,
    /// Confirmed or withdrawn.
    pub action: Action,
    /// When it was said. `None`: the source doesn't tell; allowed for a withdrawal only, which then counts from the import on.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub at: Option<Millis>,
    /// Where it comes from, as stated.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub source: Option<String>,
    /// The text shown, or another proof, in words.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub proof: Option<String>,
}

impl Draft {
    /// The identifiers the row gives to its person: the source's key, then the phones.
    pub fn identities<'a>(&'a self, source: &'a str) -> impl Iterator<Item = Identity> + 'a {
        let key = self.key.iter().map(move |key| Identity {
            kind: IdentityKind::External,
            scope: source.to_owned(),
            value: key.clone(),
        });
        key.chain(self.phones.iter().map(|digits| phone(IdentityKind::Phone, digits)))
    }
}

/// A phone number or WhatsApp id as an identifier.
#[must_use]
pub fn phone(kind: IdentityKind, digits: &str) -> Identity {
    Identity { kind, scope: String::new(), value: digits.to_owned() }
}

/// A person as lists and comparisons need them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PersonCard {
    /// Our id.
    pub id: PersonId,
    /// WhatsApp profile name: the person's own word.
    pub whatsapp_name: Option<String>,
    /// What is known.
    pub profile: Profile,
    /// Current identifiers.
    pub identities: Vec<Identity>,
    /// When first seen.
    pub created_at: Millis,
    /// When profile, identifiers or labels last changed.
    pub changed_at: Millis,
    /// Into whom this person was merged.
    pub merged_into: Option<PersonId>,
}

impl PersonCard {
    /// The name to show: what the business knows, else what the person calls themselves.
    #[must_use]
    pub fn name(&self) -> Option<&str> {
        self.profile.get(crate::profile::core::NAME).or(self.whatsapp_name.as_deref())
    }

    /// Phone numbers and WhatsApp ids, digits, without repetition.
    #[must_use]
    pub fn phones(&self) -> Vec<&str> {
        let mut phones: Vec<&str> = Vec::with_capacity(2);
        for identity in &self.identities {
            if matches!(identity.kind, IdentityKind::Phone | IdentityKind::WaId)
                && !phones.contains(&identity.value.as_str())
            {
                phones.push(&identity.value);
            }
        }
        phones
    }
}
