//! The fields that a description names: there is no schema to ask, so kinds, limits and choices are said there.

use super::Problem;
use ponte_domain::crm::{CrmChoice, CrmField, CrmKind};
use serde::Deserialize;
use std::collections::HashSet;

/// A field of contacts, as a description names it.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FieldSpec {
    /// Its name: what the mapping calls it.
    pub name: String,
    /// Its name for people; the name when absent.
    pub label: Option<String>,
    /// What kind of value it takes.
    #[serde(default = "text")]
    pub kind: CrmKind,
    /// Where it stands in a record. HTTP: a JSON pointer (`/address/city`) or an expression over `record`; `/NAME` when absent.
    /// SQL: the column; the name when absent.
    pub at: Option<String>,
    /// It may be written.
    #[serde(default = "yes")]
    pub writable: bool,
    /// A record can't be without it.
    #[serde(default)]
    pub required: bool,
    /// No two records have the same value.
    #[serde(default)]
    pub unique: bool,
    /// Most characters.
    pub max_chars: Option<usize>,
    /// Its choices, for kinds that have them.
    #[serde(default)]
    pub choices: Vec<ChoiceSpec>,
    /// No value but the choices is taken; the default for kinds with choices.
    pub strict_choices: Option<bool>,
    /// Read when no fields are named.
    #[serde(default = "yes")]
    pub usual: bool,
}

/// A choice: its value alone, or with what people see.
#[derive(Debug, Clone, Deserialize)]
#[serde(untagged)]
pub enum ChoiceSpec {
    /// The value is what people see.
    Value(String),
    /// Both.
    Labelled {
        /// What is stored.
        value: String,
        /// What people see.
        label: String,
    },
}

const fn text() -> CrmKind {
    CrmKind::Text
}

const fn yes() -> bool {
    true
}

impl FieldSpec {
    /// As the port tells fields.
    #[must_use]
    pub fn field(&self) -> CrmField {
        let choice = |choice: &ChoiceSpec| match choice {
            ChoiceSpec::Value(value) => CrmChoice { value: value.clone(), label: value.clone() },
            ChoiceSpec::Labelled { value, label } => CrmChoice { value: value.clone(), label: label.clone() },
        };
        let plain = CrmField::new(self.name.clone(), self.kind);
        CrmField {
            label: self.label.clone().unwrap_or_else(|| self.name.clone()),
            usual: self.usual,
            writable: self.writable && self.kind != CrmKind::Other,
            required: self.required,
            unique: self.unique,
            max_chars: self.max_chars,
            choices: self.choices.iter().map(choice).collect(),
            strict_choices: self.strict_choices.unwrap_or(plain.strict_choices && !self.choices.is_empty()),
            ..plain
        }
    }
}

/// What is wrong with a list of fields.
#[must_use]
pub fn check_fields(fields: &[FieldSpec]) -> Vec<Problem> {
    let mut problems = Vec::new();
    let mut seen = HashSet::new();
    for (number, field) in fields.iter().enumerate() {
        let place = format!("fields number {} ({})", number + 1, field.name);
        if field.name.trim().is_empty() {
            problems.push(Problem::new(&place, "has no name", "name it"));
        }
        if !seen.insert(field.name.as_str()) {
            problems.push(Problem::new(&place, "this name stands twice", "remove or rename one"));
        }
        let takes_choices = matches!(field.kind, CrmKind::Choice | CrmKind::MultiChoice | CrmKind::Tags);
        if !takes_choices && !field.choices.is_empty() {
            let mend = "make it kind = \"choice\" or \"multi_choice\", or remove the choices";
            problems.push(Problem::new(&place, "has choices, which its kind doesn't take", mend));
        }
        if field.strict_choices == Some(true) && field.choices.is_empty() {
            problems.push(Problem::new(&place, "is strict about choices but has none", "give its choices"));
        }
        if field.max_chars == Some(0) {
            problems.push(Problem::new(&place, "max_chars is 0", "leave it out, or give the real limit"));
        }
    }
    problems
}

#[cfg(test)]
mod tests {
    use super::*;

    fn spec(text: &str) -> FieldSpec {
        serde_json::from_str(text).unwrap()
    }

    #[test]
    fn what_a_description_leaves_out_has_a_sensible_default() {
        let field = spec(r#"{"name": "email", "kind": "email"}"#).field();
        assert_eq!((field.label.as_str(), field.writable, field.usual, field.required), ("email", true, true, false));
        let stage =
            spec(r#"{"name": "stage", "kind": "choice", "choices": ["new", {"value": "won", "label": "Won!"}]}"#)
                .field();
        assert!(stage.strict_choices && stage.choices[0].label == "new" && stage.choices[1].label == "Won!");
        assert!(
            !spec(r#"{"name": "owner", "kind": "choice"}"#).field().strict_choices,
            "no choices, nothing to be strict about"
        );
    }

    #[test]
    fn every_problem_is_told_at_once() {
        let fields = [
            spec(r#"{"name": "a", "choices": ["x"]}"#),
            spec(r#"{"name": "a", "max_chars": 0}"#),
            spec(r#"{"name": " ", "kind": "choice", "strict_choices": true}"#),
        ];
        assert_eq!(check_fields(&fields).len(), 5);
    }
}
