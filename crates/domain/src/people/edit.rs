//! Editing one person: what one of our people, a CRM or a program says about fields, tags and labels. It wins over lists, also
//! over later ones ([`crate::profile::outranks_lists`]).
//! Must not touch: how people are stored; who may edit.

use crate::Millis;
use crate::fields::{AS_WRITTEN, FieldError, Fields, Unfit, as_written, is_key};
use crate::ids::PersonId;
use crate::phone::Region;
use crate::profile::{Decided, Field, Item, Label, Profile, outranks_lists};
use serde::Serialize;
use std::borrow::Cow;

/// One change.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Change {
    /// A field gets a value; it is read by the field's type.
    Set {
        /// The field.
        key: String,
        /// The value as it was written.
        value: String,
    },
    /// A field has no value any more; lists don't bring one back.
    Unset(String),
    /// The person gets a tag.
    Tag(String),
    /// The person loses a tag.
    Untag(String),
    /// The person gets a label.
    Label(Label),
    /// The person loses a label.
    Unlabel(Label),
}

/// Changes to one person, all or nothing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Edit {
    /// The changes, in order.
    pub changes: Vec<Change>,
    /// Who says so, as in [`Field::source`].
    pub source: String,
    /// When, epoch milliseconds.
    pub at: Millis,
    /// Country of phone numbers without country code.
    pub country: Option<Region>,
}

/// What an edit came to.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Edited {
    /// The person.
    pub person: PersonId,
    /// What is different now: `field:city`, `tag:vip`, `label:blocked`. Nothing when all was so before.
    pub changed: Vec<String>,
}

/// Why a person can't be edited or added.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Refused {
    /// There is no such person.
    #[error("there is no person {0}")]
    NotFound(PersonId),
    /// They are part of somebody else.
    #[error("{person} was merged: edit {survivor} instead")]
    Merged {
        /// Who was named.
        person: PersonId,
        /// Who they are part of now.
        survivor: PersonId,
    },
    /// They were erased.
    #[error("{0} was erased: nothing may be kept about them")]
    Erased(PersonId),
    /// Somebody with this number was erased.
    #[error("somebody with this number was erased: they come back when they write, not by being added")]
    NumberErased,
    /// Somebody has the number already.
    #[error("{0} has this number already: edit them instead")]
    Known(PersonId),
    /// Values that don't fit: nothing was changed.
    #[error("nothing was changed: {}", .0.iter().map(ToString::to_string).collect::<Vec<_>>().join(" "))]
    Values(Vec<FieldError>),
}

/// The longest tag, characters.
pub const MAX_TAG: usize = 100;

fn wrong(key: &str, code: &'static str, reason: &'static str, suggestion: &'static str) -> FieldError {
    let unfit = Unfit { code, reason: Cow::Borrowed(reason), suggestion: Cow::Borrowed(suggestion) };
    FieldError { key: key.to_owned(), unfit }
}

/// The profile after an edit, and what is different.
///
/// # Errors
/// Every value that doesn't fit, with what is wrong and how to mend it. Nothing is changed then.
pub fn apply(profile: &Profile, edit: &Edit, fields: &Fields) -> Result<(Profile, Vec<String>), Vec<FieldError>> {
    let mut room = Room { profile: profile.clone(), edit, changed: Vec::new() };
    let mut errors = Vec::new();
    for change in &edit.changes {
        if let Err(error) = room.one(change, fields) {
            errors.push(error);
        }
    }
    if errors.is_empty() { Ok((room.profile, room.changed)) } else { Err(errors) }
}

struct Room<'a> {
    profile: Profile,
    edit: &'a Edit,
    changed: Vec<String>,
}

impl Room<'_> {
    fn one(&mut self, change: &Change, fields: &Fields) -> Result<(), FieldError> {
        match change {
            Change::Set { key, value } => self.set(key, value, fields)?,
            Change::Unset(key) => {
                if self.profile.fields.remove(key).is_some() {
                    self.changed(format!("field:{key}"));
                }
                self.decide(Item::Field(key.clone()));
            }
            Change::Tag(tag) => {
                let tag = tag.trim();
                if tag.is_empty() || tag.chars().count() > MAX_TAG || tag.contains([',', ';', '|', '\n']) {
                    let how = "Take 1 to 100 characters without , ; | and line breaks.";
                    return Err(wrong("tag", "tag_invalid", "This can't be a tag.", how));
                }
                if self.profile.tags.insert(tag.to_owned()) {
                    self.changed(format!("tag:{tag}"));
                }
                self.decide(Item::Tag(tag.to_owned()));
            }
            Change::Untag(tag) => {
                if self.profile.tags.remove(tag) {
                    self.changed(format!("tag:{tag}"));
                }
                self.decide(Item::Tag(tag.clone()));
            }
            Change::Label(label) => {
                if self.profile.labels.insert(*label) {
                    self.changed(format!("label:{}", label.as_str()));
                }
                self.decide(Item::Label(*label));
            }
            Change::Unlabel(label) => {
                if self.profile.labels.remove(label) {
                    self.changed(format!("label:{}", label.as_str()));
                }
                self.decide(Item::Label(*label));
            }
        }
        Ok(())
    }

    fn set(&mut self, key: &str, value: &str, fields: &Fields) -> Result<(), FieldError> {
        if !is_key(key) || key.ends_with(AS_WRITTEN) {
            let reason = "This can't be a field's key.";
            return Err(wrong(
                key,
                "key_invalid",
                reason,
                "Take 1 to 64 of a-z, 0-9 and _, not ending with _as_written.",
            ));
        }
        let value = fields.read(key, value, self.edit.country)?;
        let known = self.profile.fields.get(key);
        let same = known.is_some_and(|f| f.value == value);
        // A list's value that one of our people confirms is their word from now on.
        if !same || known.is_some_and(|f| !outranks_lists(&f.source)) {
            let field = Field { value, at: self.edit.at, source: self.edit.source.clone() };
            self.profile.fields.insert(key.to_owned(), field);
        }
        let aside = self.profile.fields.remove(&as_written(key)).is_some();
        self.profile.decided.remove(&Item::Field(key.to_owned()));
        if !same || aside {
            self.changed(format!("field:{key}"));
        }
        Ok(())
    }

    fn decide(&mut self, item: Item) {
        let decided = Decided { at: self.edit.at, source: self.edit.source.clone() };
        self.profile.decided.insert(item, decided);
    }

    fn changed(&mut self, what: String) {
        if !self.changed.contains(&what) {
            self.changed.push(what);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fields::{Definition, Kind};
    use proptest::prelude::*;

    fn edit(changes: Vec<Change>) -> Edit {
        Edit { changes, source: "cli:eva".into(), at: 9, country: None }
    }

    fn set(key: &str, value: &str) -> Change {
        Change::Set { key: key.into(), value: value.into() }
    }

    fn fields() -> Fields {
        let definition = |key: &str, kind| Definition {
            key: key.into(),
            label: String::new(),
            kind,
            choices: Vec::new(),
            source: String::new(),
            changed_at: 0,
        };
        Fields::new([definition("size", Kind::Number)])
    }

    #[test]
    fn values_are_read_by_type_and_what_does_not_fit_changes_nothing() {
        let (profile, changed) =
            apply(&Profile::default(), &edit(vec![set("size", "43,5"), set("nick", "Bea")]), &fields()).unwrap();
        assert_eq!((profile.get("size"), profile.get("nick")), (Some("43.5"), Some("Bea")));
        assert_eq!(changed, ["field:size", "field:nick"]);
        assert_eq!(profile.fields["size"].source, "cli:eva");
        let errors = apply(&profile, &edit(vec![set("nick", "B"), set("size", "big"), set("Nick", "x")]), &fields())
            .unwrap_err();
        assert_eq!(errors.iter().map(|e| e.unfit.code).collect::<Vec<_>>(), ["number_invalid", "key_invalid"]);
    }

    #[test]
    fn a_good_value_replaces_the_one_kept_as_it_was_written() {
        let mut profile = Profile::default();
        let field = |value: &str| Field { value: value.into(), at: 1, source: "import:list".into() };
        profile.fields.insert("birthday_as_written".into(), field("03/04/1990"));
        let (after, _) = apply(&profile, &edit(vec![set("birthday", "1990-04-03")]), &fields()).unwrap();
        assert_eq!(after.fields.keys().collect::<Vec<_>>(), ["birthday"]);
    }

    #[test]
    fn the_same_value_becomes_the_word_of_who_confirms_it() {
        let mut profile = Profile::default();
        profile.fields.insert("nick".into(), Field { value: "Bea".into(), at: 1, source: "import:list".into() });
        let (after, changed) = apply(&profile, &edit(vec![set("nick", "Bea")]), &fields()).unwrap();
        assert_eq!((after.fields["nick"].source.as_str(), changed.len()), ("cli:eva", 0));
    }

    proptest! {
        #[test]
        fn the_same_edit_again_changes_nothing(what in proptest::collection::vec((0u8..6, 0u8..3), 1..8)) {
            let changes: Vec<Change> = what.into_iter().map(|(kind, n)| match kind {
                0 => set(&format!("f{n}"), "x"),
                1 => Change::Unset(format!("f{n}")),
                2 => Change::Tag(format!("t{n}")),
                3 => Change::Untag(format!("t{n}")),
                4 => Change::Label(Label::ALL[usize::from(n)]),
                _ => Change::Unlabel(Label::ALL[usize::from(n)]),
            }).collect();
            let edit = edit(changes);
            let (once, _) = apply(&Profile::default(), &edit, &fields()).unwrap();
            let (again, _) = apply(&once, &edit, &fields()).unwrap();
            prop_assert_eq!(&again, &once);
            let emptied = once.decided.keys().filter(|i| matches!(i, Item::Field(_)));
            prop_assert!(emptied.into_iter().all(|i| !once.has(i)), "an emptied field has no value");
        }
    }
}
