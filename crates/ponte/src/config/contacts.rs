//! Checking `[contacts]`.

use super::check::ConfigErrors;
use ponte_domain::duplicates::{Score, Thresholds};
use ponte_domain::survivorship::{Rule, Rules};
use serde::Deserialize;
use std::collections::BTreeMap;

/// `[contacts]`, as written.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RawContacts {
    merge_from: u16,
    review_from: u16,
    survivorship: Rule,
    survivorship_of: BTreeMap<String, Rule>,
}

/// How duplicates are found and what a merge keeps.
#[derive(Debug, Clone, Default)]
pub struct Contacts {
    /// From which score on.
    pub thresholds: Thresholds,
    /// Which value of each field stays.
    pub rules: Rules,
}

pub(super) fn check(raw: RawContacts, errors: &mut ConfigErrors) -> Contacts {
    let lowest = Score::CONTRADICTED + 1;
    if !(lowest..=1000).contains(&raw.merge_from) {
        let mend = format!("give {lowest} to 1000; below, people are merged of whom something says that they are two");
        errors.add("[contacts] merge_from", format!("is {}", raw.merge_from), mend);
    }
    if raw.review_from == 0 || raw.review_from > raw.merge_from {
        let mend = "give 1 to what merge_from says; the same as merge_from: nothing waits for review";
        errors.add("[contacts] review_from", format!("is {}", raw.review_from), mend);
    }
    for key in raw.survivorship_of.keys().filter(|key| !ponte_tables::mapping::is_field_key(key)) {
        let problem = format!("{key:?} is no key of a field");
        errors.add("[contacts.survivorship_of]", problem, "write 1 to 64 of a-z, 0-9 and _");
    }
    Contacts {
        thresholds: Thresholds { automatic: raw.merge_from, review: raw.review_from },
        rules: Rules { per_field: raw.survivorship_of, default: raw.survivorship },
    }
}
