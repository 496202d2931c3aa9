//! Marks: what people are listed by: tags, labels, and values of the fields that somebody defined. Worked out from the profile
//! alone, so that whoever writes a profile writes its marks in the same transaction.
//! Must not touch: how marks are stored.

use crate::fields::{Fields, Kind};
use crate::profile::{Label, Profile};
use std::collections::BTreeSet;

/// A mark of a person.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Mark {
    /// `tag`, `label` or `field:KEY`.
    pub kind: String,
    /// What is compared: without capitals, at most [`MAX_VALUE`] characters.
    pub value: String,
}

/// Characters of a value that are compared: longer texts are not for listing.
pub const MAX_VALUE: usize = 120;

/// The kind of a field's marks.
#[must_use]
pub fn field_kind(key: &str) -> String {
    format!("field:{key}")
}

fn mark(kind: impl Into<String>, value: &str) -> Mark {
    Mark { kind: kind.into(), value: value.to_lowercase().chars().take(MAX_VALUE).collect() }
}

impl Mark {
    /// Of a tag.
    #[must_use]
    pub fn tag(tag: &str) -> Self {
        mark("tag", tag)
    }

    /// Of a label.
    #[must_use]
    pub fn label(label: Label) -> Self {
        mark("label", label.as_str())
    }

    /// Of a field's value in canonical form; of a field with several choices, of one of them.
    #[must_use]
    pub fn field(key: &str, value: &str) -> Self {
        mark(field_kind(key), value)
    }
}

/// The marks of a profile.
#[must_use]
pub fn of(profile: &Profile, fields: &Fields) -> BTreeSet<Mark> {
    let mut marks: BTreeSet<Mark> = profile.tags.iter().map(|t| Mark::tag(t)).collect();
    marks.extend(profile.labels.iter().copied().map(Mark::label));
    for definition in fields.defined() {
        let Some(value) = profile.get(&definition.key) else { continue };
        match definition.kind {
            Kind::MultiChoice => marks.extend(value.split(';').map(|one| Mark::field(&definition.key, one))),
            _ => drop(marks.insert(Mark::field(&definition.key, value))),
        }
    }
    marks
}
