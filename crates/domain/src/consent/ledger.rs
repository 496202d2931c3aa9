//! The ledger: entries that are only ever added, and the fold that tells what stands.

use crate::Millis;
use crate::ids::{ConsentId, MessageId, NumberId, PersonId};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use std::collections::BTreeMap;
use std::fmt;
use uuid::Uuid;

/// For which messages a word counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ScopeKind {
    /// Orders, appointments, codes.
    Transactional,
    /// Offers and campaigns.
    Marketing,
}

/// From whom.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ScopeOf {
    /// All numbers of the workspace.
    Everything,
    /// One number.
    Number(NumberId),
    /// The numbers of one brand, by its configured name.
    Brand(String),
}

/// What a word of the ledger is about: which messages, from whom.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Scope {
    /// Which messages.
    pub kind: ScopeKind,
    /// From whom.
    pub of: ScopeOf,
}

impl Scope {
    /// Marketing from any number: what a keyword withdraws.
    pub const MARKETING: Self = Self { kind: ScopeKind::Marketing, of: ScopeOf::Everything };

    /// Reads the text form: `marketing`, `marketing/number/1064…`, `transactional/brand/shop`.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let (kind, of) = text.split_once('/').map_or((text, None), |(kind, of)| (kind, Some(of)));
        let kind = match kind {
            "transactional" => ScopeKind::Transactional,
            "marketing" => ScopeKind::Marketing,
            _ => return None,
        };
        let of = match of.map(|of| of.split_once('/')) {
            None => ScopeOf::Everything,
            Some(Some(("number", id))) if !id.is_empty() => ScopeOf::Number(id.into()),
            Some(Some(("brand", name))) if !name.is_empty() => ScopeOf::Brand(name.to_owned()),
            Some(_) => return None,
        };
        Some(Self { kind, of })
    }

    /// True when a message of this kind from this number and brand is meant.
    #[must_use]
    pub fn covers(&self, kind: ScopeKind, number: &NumberId, brand: Option<&str>) -> bool {
        self.kind == kind
            && match &self.of {
                ScopeOf::Everything => true,
                ScopeOf::Number(id) => id == number,
                ScopeOf::Brand(name) => brand == Some(name.as_str()),
            }
    }

    /// True when every message of `other` is meant here too. Which numbers a brand has is not known here.
    fn includes(&self, other: &Self) -> bool {
        self.kind == other.kind && (self.of == ScopeOf::Everything || self.of == other.of)
    }
}

impl fmt::Display for Scope {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self.kind {
            ScopeKind::Transactional => "transactional",
            ScopeKind::Marketing => "marketing",
        })?;
        match &self.of {
            ScopeOf::Everything => Ok(()),
            ScopeOf::Number(id) => write!(f, "/number/{id}"),
            ScopeOf::Brand(name) => write!(f, "/brand/{name}"),
        }
    }
}

impl Serialize for Scope {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Scope {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        Self::parse(&text).ok_or_else(|| {
            serde::de::Error::custom("scope: marketing or transactional, then nothing, /number/ID or /brand/NAME")
        })
    }
}

macro_rules! texts {
    ($(#[$doc:meta])* $name:ident { $($(#[$each:meta])* $variant:ident = $text:literal,)* }) => {
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
        #[serde(rename_all = "snake_case")]
        pub enum $name { $($(#[$each])* $variant,)* }

        impl $name {
            /// All of them.
            pub const ALL: &[Self] = &[$(Self::$variant),*];

            /// The stored text.
            #[must_use]
            pub const fn as_str(self) -> &'static str {
                match self { $(Self::$variant => $text,)* }
            }

            /// Reads the stored text.
            #[must_use]
            pub fn parse(text: &str) -> Option<Self> {
                Self::ALL.iter().copied().find(|v| v.as_str() == text)
            }
        }
    };
}

texts! {
    /// What was said.
    Action {
        /// We asked, and showed a text.
        Requested = "requested",
        /// The person agreed, or has lifted a stop of their own.
        Confirmed = "confirmed",
        /// The person refused.
        Withdrawn = "withdrawn",
    }
}

texts! {
    /// By which way it was said.
    Source {
        /// A word of the configured lists, in a message.
        Keyword = "keyword",
        /// An answer to our question.
        Reply = "reply",
        /// A button of ours.
        Button = "button",
        /// WhatsApp's own preference, or its error 131050.
        Preference = "preference",
        /// A field of a CRM record.
        CrmField = "crm_field",
        /// One of our people.
        Agent = "agent",
        /// A program.
        Api = "api",
        /// An import of old consent.
        Import = "import",
        /// Ponte itself.
        System = "system",
    }
}

/// What proves an entry. Which parts are there depends on the source.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Proof {
    /// The exact text the person was shown.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub text_shown: Option<String>,
    /// Our message: the question, or the one that said it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub message_id: Option<MessageId>,
    /// WhatsApp's id of the message that said it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub wamid: Option<String>,
    /// Address from which a form was sent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ip: Option<String>,
    /// Who entered it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub user: Option<String>,
    /// Where old consent comes from, as the importer stated it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stated_source: Option<String>,
    /// In words.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub note: Option<String>,
}

fn said(text: Option<&String>) -> bool {
    text.is_some_and(|t| !t.trim().is_empty())
}

/// One word of the ledger. Never changed, never removed but with the person.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Entry {
    /// Its id: the same fact heard twice has the same one.
    pub id: ConsentId,
    /// Whose word.
    pub person: PersonId,
    /// About what.
    pub scope: Scope,
    /// What.
    pub action: Action,
    /// How.
    pub source: Source,
    /// Why it is believed.
    pub proof: Proof,
    /// When it was said, epoch milliseconds.
    pub at: Millis,
    /// For a question: until when an answer counts, epoch milliseconds.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub until: Option<Millis>,
    /// Who says so: `whatsapp`, `api:KEY`, `agent:NAME`, `import:NAME`, `cli`.
    pub said_by: String,
}

/// An entry as someone outside states it.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Draft {
    /// About what.
    pub scope: Scope,
    /// What.
    pub action: Action,
    /// How; the door sets its own when left out.
    #[serde(default)]
    pub source: Option<Source>,
    /// Why it is to be believed.
    #[serde(default)]
    pub proof: Proof,
    /// When it was said; `None`: now. Never later than now.
    #[serde(default)]
    pub at: Option<Millis>,
}

/// Why a statement can't become an entry.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum InvalidEntry {
    /// Nothing proves a confirmation.
    #[error("a confirmation needs proof: proof.text_shown or proof.note, and for an import proof.stated_source")]
    NoProof,
    /// Only the person or WhatsApp can be this source.
    #[error("source: {0} can't be stated from outside; use agent, api, crm_field or import")]
    NotYours(&'static str),
    /// A question is asked, not stated.
    #[error("action: requested comes from asking the person; use the ask call")]
    AskInstead,
}

impl Draft {
    /// Checks what someone outside may state and makes the entry. `now` is our clock; the future is cut off, because a word
    /// from the future would beat every withdrawal until then.
    ///
    /// # Errors
    /// See [`InvalidEntry`].
    pub fn check(self, id: Uuid, person: PersonId, door: Source, by: &str, now: Millis) -> Result<Entry, InvalidEntry> {
        let source = self.source.unwrap_or(door);
        if self.action == Action::Requested {
            return Err(InvalidEntry::AskInstead);
        }
        if !matches!(source, Source::Agent | Source::Api | Source::CrmField | Source::Import) {
            return Err(InvalidEntry::NotYours(source.as_str()));
        }
        let at = self.at.unwrap_or(now).min(now);
        let entry = Entry {
            id: ConsentId(id),
            person,
            scope: self.scope,
            action: self.action,
            source,
            proof: self.proof,
            at,
            until: None,
            said_by: by.to_owned(),
        };
        if entry.action == Action::Confirmed && !entry.proves_itself() {
            return Err(InvalidEntry::NoProof);
        }
        Ok(entry)
    }
}

impl Entry {
    /// A confirmation that counts without a question of ours.
    fn proves_itself(&self) -> bool {
        match self.source {
            Source::Import => said(self.proof.stated_source.as_ref()),
            Source::Agent | Source::Api => said(self.proof.text_shown.as_ref()) || said(self.proof.note.as_ref()),
            _ => false,
        }
    }

    /// Said by the person in answer to a question.
    const fn answers(&self) -> bool {
        matches!(self.source, Source::Keyword | Source::Reply | Source::Button)
    }
}

/// The id of a fact: the same parts give the same id, so that a fact heard twice is one entry.
#[must_use]
pub fn entry_id(parts: &[&str]) -> ConsentId {
    let mut hash = Sha256::new();
    for part in parts {
        hash.update(part.len().to_le_bytes());
        hash.update(part.as_bytes());
    }
    let mut bytes = [0; 16];
    for (to, from) in bytes.iter_mut().zip(hash.finalize()) {
        *to = from;
    }
    ConsentId(uuid::Builder::from_custom_bytes(bytes).into_uuid())
}

/// What stands for one scope: the newest word of each action that counts, epoch milliseconds.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct Standing {
    /// The newest confirmation that counts.
    pub confirmed_at: Option<Millis>,
    /// The newest withdrawal that wasn't lifted.
    pub withdrawn_at: Option<Millis>,
    /// The newest question.
    pub requested_at: Option<Millis>,
}

impl Standing {
    fn and(self, other: Self) -> Self {
        Self {
            confirmed_at: self.confirmed_at.max(other.confirmed_at),
            withdrawn_at: self.withdrawn_at.max(other.withdrawn_at),
            requested_at: self.requested_at.max(other.requested_at),
        }
    }

    /// The newest word is a withdrawal. At the same time as a confirmation, it wins.
    #[must_use]
    pub fn is_withdrawn(&self) -> bool {
        self.withdrawn_at.is_some() && self.withdrawn_at >= self.confirmed_at
    }

    /// There is a confirmation, and no withdrawal since.
    #[must_use]
    pub fn is_confirmed(&self) -> bool {
        self.confirmed_at.is_some() && !self.is_withdrawn()
    }

    /// One word for people.
    #[must_use]
    pub fn word(&self) -> &'static str {
        match self {
            s if s.is_withdrawn() => "withdrawn",
            s if s.is_confirmed() => "confirmed",
            s if s.requested_at.is_some() => "requested",
            _ => "none",
        }
    }
}

/// What stands, scope by scope.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Standings(pub BTreeMap<Scope, Standing>);

impl Standings {
    /// What stands for a message of this kind from this number: every scope that covers it counts, the newest word wins. So a
    /// withdrawal of everything covers the number, and a later confirmation for the number lifts it there.
    #[must_use]
    pub fn on(&self, kind: ScopeKind, number: &NumberId, brand: Option<&str>) -> Standing {
        let covering = self.0.iter().filter(|(scope, _)| scope.covers(kind, number, brand));
        covering.fold(Standing::default(), |sum, (_, standing)| sum.and(*standing))
    }
}

/// Tells what stands, scope by scope, from the entries of one person in any order, with any repetition.
///
/// - Withdrawals count by their time. One by WhatsApp's preference is lifted by a later resumption there, and by nothing less
///   than a confirmation otherwise.
/// - A confirmation counts when it proves itself (an import with its stated source, an agent or a program with proof), or when
///   the person answers a question that showed a text, within its time, and that wasn't answered with a no before.
/// - A resumption in WhatsApp lifts the stop there. It is no opt-in of its own.
#[must_use]
pub fn fold(entries: &[Entry]) -> Standings {
    // The latest time of each kind counts, so that repetition changes nothing by itself.
    let entries: Vec<&Entry> = entries.iter().collect();
    let mut standings = BTreeMap::<Scope, Standing>::new();
    for entry in &entries {
        let standing = standings.entry(entry.scope.clone()).or_default();
        let at = Some(entry.at);
        match entry.action {
            Action::Requested => standing.requested_at = standing.requested_at.max(at),
            Action::Confirmed if entry.proves_itself() || answered(entry, &entries) => {
                standing.confirmed_at = standing.confirmed_at.max(at);
            }
            Action::Confirmed => {}
            Action::Withdrawn if !lifted(entry, &entries) => {
                standing.withdrawn_at = standing.withdrawn_at.max(at);
            }
            Action::Withdrawn => {}
        }
    }
    Standings(standings)
}

/// A stop in WhatsApp that was resumed there later.
fn lifted(stop: &Entry, entries: &[&Entry]) -> bool {
    stop.source == Source::Preference
        && entries.iter().any(|e| {
            e.source == Source::Preference
                && e.action == Action::Confirmed
                && e.at > stop.at
                && e.scope.includes(&stop.scope)
        })
}

/// The person's yes to a question that was open: asked with a text, not run out, not answered with a no.
fn answered(yes: &Entry, entries: &[&Entry]) -> bool {
    let no_between = |question: &Entry| {
        entries.iter().any(|e| {
            e.action == Action::Withdrawn
                && (question.at..=yes.at).contains(&e.at)
                && (e.scope.includes(&question.scope) || question.scope.includes(&e.scope))
        })
    };
    yes.answers()
        && entries.iter().any(|q| {
            q.action == Action::Requested
                && q.scope == yes.scope
                && said(q.proof.text_shown.as_ref())
                && q.at <= yes.at
                && q.until.is_some_and(|until| yes.at <= until)
                && !no_between(q)
        })
}

/// A question that waits for its answer.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct OpenRequest {
    /// Its entry in the ledger.
    pub id: ConsentId,
    /// Who was asked.
    pub person: PersonId,
    /// About what.
    pub scope: Scope,
    /// From which number.
    pub number: NumberId,
    /// When, epoch milliseconds.
    pub asked_at: Millis,
    /// When to remind, once; `None`: done, or not wanted.
    pub remind_at: Option<Millis>,
    /// Until when an answer counts.
    pub expires_at: Millis,
    /// The question as it went out, to be repeated (`Outbound`, JSON).
    #[serde(skip)]
    pub message: String,
}

/// An acknowledgement owed to a person for a withdrawal.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Thanks {
    /// The withdrawal.
    pub id: ConsentId,
    /// To whom.
    pub person: PersonId,
    /// From which number: the one they wrote to.
    pub number: NumberId,
    /// Language of the word they used, or empty.
    pub language: String,
    /// When it was said, epoch milliseconds.
    pub at: Millis,
}

#[cfg(test)]
mod tests;
