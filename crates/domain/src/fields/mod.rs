//! # Fields
//! Purpose: what fields of people are: definitions with types, and the one way in which text becomes a value in canonical form.
//! May touch: values.
//! Must not touch: where definitions and people are stored. Nothing is lost here: a value that doesn't fit is kept as it was
//! written ([`keep`], [`recheck`]).
//! Failure story: none.

mod keep;
mod parse;

pub use keep::{AS_WRITTEN, as_written, keep, recheck};
pub use parse::{Unfit, read};

use crate::Millis;
use crate::phone::Region;
use crate::profile::core;
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};

/// The longest key of a defined field, characters: with [`AS_WRITTEN`] behind it, it is still a key.
pub const MAX_KEY: usize = 64 - AS_WRITTEN.len();

/// The type of a field.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Kind {
    /// Any text.
    Text,
    /// A decimal number: `-1234.5`.
    Number,
    /// A day: `YYYY-MM-DD`.
    Date,
    /// A point in time, UTC: `2026-01-31T08:00:00Z`.
    Moment,
    /// `true` or `false`.
    Boolean,
    /// One of the choices.
    Choice,
    /// Some of the choices, in their order, `;` between them.
    MultiChoice,
    /// An e-mail address, lower case.
    Email,
    /// A phone number, E.164 with `+`.
    Phone,
    /// A web address with `http://` or `https://`.
    Url,
}

impl Kind {
    /// All of them.
    pub const ALL: [Self; 10] = [
        Self::Text,
        Self::Number,
        Self::Date,
        Self::Moment,
        Self::Boolean,
        Self::Choice,
        Self::MultiChoice,
        Self::Email,
        Self::Phone,
        Self::Url,
    ];

    /// The stored text.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Text => "text",
            Self::Number => "number",
            Self::Date => "date",
            Self::Moment => "moment",
            Self::Boolean => "boolean",
            Self::Choice => "choice",
            Self::MultiChoice => "multi_choice",
            Self::Email => "email",
            Self::Phone => "phone",
            Self::Url => "url",
        }
    }

    /// Reads the stored text.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|k| k.as_str() == text)
    }

    const fn has_choices(self) -> bool {
        matches!(self, Self::Choice | Self::MultiChoice)
    }
}

/// The type of a field that every installation has; `None` for custom fields.
#[must_use]
pub fn core_kind(key: &str) -> Option<Kind> {
    match key {
        core::EMAIL => Some(Kind::Email),
        core::BIRTHDAY => Some(Kind::Date),
        _ => core::ALL.contains(&key).then_some(Kind::Text),
    }
}

/// A key of a field: 1 to 64 of `a-z`, `0-9`, `_`.
#[must_use]
pub fn is_key(key: &str) -> bool {
    (1..=64).contains(&key.len()) && key.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'_')
}

/// A field that somebody defined. Core fields can be defined too: their type is given, but from then on people can be listed
/// by them.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Definition {
    /// Key, see [`is_key`], at most [`MAX_KEY`] characters.
    pub key: String,
    /// What people see.
    pub label: String,
    /// Its type.
    #[serde(rename = "type")]
    pub kind: Kind,
    /// The choices, in the order in which they are shown; empty for other types.
    pub choices: Vec<String>,
    /// Who defined it: `cli:USER`, `crm:CONNECTION`, `api:KEY`.
    pub source: String,
    /// When, epoch milliseconds.
    pub changed_at: Millis,
}

/// Why a field can't be defined so.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum DefinitionError {
    /// The key can't be one.
    #[error("{0:?} can't be a field's key: use 1 to {MAX_KEY} of a-z, 0-9 and _")]
    Key(String),
    /// The key is of a value kept as it was written.
    #[error("a key can't end with {AS_WRITTEN}: such keys are for values that don't fit; take another name")]
    Reserved,
    /// A core field has another type.
    #[error("the field {key} has the type {}: leave the type out, or take another key", .kind.as_str())]
    CoreKind {
        /// The field.
        key: String,
        /// Its type.
        kind: Kind,
    },
    /// A choice without choices.
    #[error("a field of this type needs choices: name them, in the order in which they are shown")]
    NoChoices,
    /// Choices for another type.
    #[error("only choice and multi_choice have choices, {} has none: leave them out", .0.as_str())]
    ChoicesOf(Kind),
    /// A choice that can't be one.
    #[error("{0:?} can't be a choice: 1 to 100 characters, no line break, and in multi_choice no ; , or |")]
    Choice(String),
    /// Two choices that can't be told apart.
    #[error("the choice {0:?} is named twice (capitals and blanks don't count): leave one out")]
    ChoiceTwice(String),
}

impl Definition {
    /// Checks it.
    ///
    /// # Errors
    /// The first thing that is wrong.
    pub fn check(&self) -> Result<(), DefinitionError> {
        if self.key.ends_with(AS_WRITTEN) {
            return Err(DefinitionError::Reserved);
        }
        if !is_key(&self.key) || self.key.len() > MAX_KEY {
            return Err(DefinitionError::Key(self.key.clone()));
        }
        match core_kind(&self.key) {
            Some(kind) if kind != self.kind => {
                return Err(DefinitionError::CoreKind { key: self.key.clone(), kind });
            }
            _ => {}
        }
        match (self.kind.has_choices(), self.choices.is_empty()) {
            (true, true) => return Err(DefinitionError::NoChoices),
            (false, false) => return Err(DefinitionError::ChoicesOf(self.kind)),
            _ => {}
        }
        let mut seen = BTreeSet::new();
        for choice in &self.choices {
            let separated = self.kind == Kind::MultiChoice && choice.contains([';', ',', '|']);
            let length = choice.chars().count();
            let whole = parse::squeezed(choice) == *choice && (1..=100).contains(&length);
            if separated || !whole || choice.contains(['\n', '\r']) {
                return Err(DefinitionError::Choice(choice.clone()));
            }
            if !seen.insert(parse::folded(choice)) {
                return Err(DefinitionError::ChoiceTwice(choice.clone()));
            }
        }
        Ok(())
    }
}

/// A value that doesn't fit its field.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, thiserror::Error)]
#[error("{key}: {} {}", .unfit.reason, .unfit.suggestion)]
pub struct FieldError {
    /// Which field.
    pub key: String,
    /// What is wrong, and how to mend it.
    #[serde(flatten)]
    pub unfit: Unfit,
}

/// The fields of a workspace.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Fields(BTreeMap<String, Definition>);

impl Fields {
    /// From their definitions.
    #[must_use]
    pub fn new(definitions: impl IntoIterator<Item = Definition>) -> Self {
        Self(definitions.into_iter().map(|d| (d.key.clone(), d)).collect())
    }

    /// Those that somebody defined, by key.
    pub fn defined(&self) -> impl Iterator<Item = &Definition> {
        self.0.values()
    }

    /// The definition of a field that somebody defined.
    #[must_use]
    pub fn get(&self, key: &str) -> Option<&Definition> {
        self.0.get(key)
    }

    /// The canonical form of a value. Fields that nobody defined are text. `country`: of phone numbers without country code.
    ///
    /// # Errors
    /// The value doesn't fit the field's type.
    pub fn read(&self, key: &str, text: &str, country: Option<Region>) -> Result<String, FieldError> {
        let text = text.trim();
        let (kind, choices) = match self.get(key) {
            Some(definition) => (definition.kind, definition.choices.as_slice()),
            None => (core_kind(key).unwrap_or(Kind::Text), [].as_slice()),
        };
        let read = read(kind, choices, text, country).map_err(|unfit| FieldError { key: key.to_owned(), unfit })?;
        Ok(if key == core::COUNTRY && read.len() == 2 { read.to_ascii_uppercase() } else { read })
    }
}

#[cfg(test)]
mod tests;
