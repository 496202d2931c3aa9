//! Tags of contacts. A row says which tags a person should have; what others set meanwhile is only touched where it differs, by
//! adding and removing. Facts: crm-apis section 3: `add_tags`, `remove_tags`, names of at most 25 characters, 500 records a call.
//! Failure story: both calls may be repeated. A row whose tags failed has failed, though its other fields are written.

use super::budget::Price;
use super::client::Client;
use super::errors::{self, Effect};
use super::query::{Found, id, rows};
use super::{CONTACTS, TAG};
use http::Method;
use ponte_domain::SECOND;
use ponte_domain::error::{CallError, ErrorClass};
use serde_json::{Value, json};
use std::collections::{BTreeMap, BTreeSet, HashMap};

/// Longest name of a tag, characters.
const LONGEST: usize = 25;
/// Records of one call.
const MOST: usize = 500;
/// Ids of one list.
const IDS: usize = 100;

/// The tags that a contact should have.
#[derive(Debug)]
pub(super) struct TagWrite {
    /// The row's number.
    pub(super) index: usize,
    pub(super) crm_id: String,
    pub(super) wanted: Vec<String>,
}

/// The names in a value: a list, or words with `;` between them.
pub(super) fn names(value: &Value) -> Vec<String> {
    let words: Vec<&str> = match value {
        Value::Array(items) => items.iter().filter_map(Value::as_str).collect(),
        Value::String(text) => text.split(';').collect(),
        _ => Vec::new(),
    };
    let mut seen = BTreeSet::new();
    let trimmed = words.into_iter().map(str::trim).filter(|word| !word.is_empty());
    trimmed.filter(|word| seen.insert(word.to_lowercase())).map(str::to_owned).collect()
}

/// Why tags can't be written, before anything is.
pub(super) fn refused(value: Option<&Value>) -> Option<CallError> {
    let too_long = names(value?).iter().any(|name| name.chars().count() > LONGEST);
    let title = "a tag is longer than the 25 characters that Zoho takes: shorten it, or leave it out of the mapping";
    too_long.then(|| CallError::new(ErrorClass::Permanent, "tag_too_long", title).with_detail(format!("fields={TAG}")))
}

impl Client {
    /// The tags of contacts by record id; those that aren't there are missing.
    pub(super) async fn tags_of(&self, ids: &[String]) -> Result<HashMap<String, Vec<String>>, CallError> {
        let mut found = HashMap::with_capacity(ids.len());
        for some in ids.chunks(IDS) {
            let path = format!("/{CONTACTS}?ids={}&fields={TAG}&per_page=200", some.join(","));
            let list = rows(self.get(&path, Price::ONE).await?, "data");
            found.extend(list.iter().filter_map(|record| Some((id(record)?, tags(record)))));
        }
        Ok(found)
    }

    /// Sets tags by their difference; gives the rows that failed.
    pub(super) async fn set_tags(&self, writes: &[TagWrite]) -> HashMap<usize, CallError> {
        let mut failed = HashMap::new();
        if writes.is_empty() {
            return failed;
        }
        let ids: Vec<String> = writes.iter().map(|w| w.crm_id.clone()).collect();
        let now = match self.tags_of(&ids).await {
            Ok(now) => now,
            Err(error) => return writes.iter().map(|w| (w.index, error.clone())).collect(),
        };
        // Contacts with the same difference share a call.
        let mut steps: BTreeMap<(&str, Vec<String>), Vec<&TagWrite>> = BTreeMap::new();
        for write in writes {
            let (add, remove) = difference(&write.wanted, now.get(&write.crm_id).map_or(&[], Vec::as_slice));
            for (action, names) in [("add_tags", add), ("remove_tags", remove)] {
                if !names.is_empty() {
                    steps.entry((action, names)).or_default().push(write);
                }
            }
        }
        for ((action, names), group) in steps {
            for group in group.chunks(MOST) {
                failed.extend(self.change_tags(action, &names, group).await);
            }
        }
        failed
    }

    async fn change_tags(&self, action: &str, names: &[String], group: &[&TagWrite]) -> HashMap<usize, CallError> {
        let tags: Vec<Value> = names.iter().map(|name| json!({"name": name})).collect();
        let ids: Vec<&str> = group.iter().map(|w| w.crm_id.as_str()).collect();
        let mut body = json!({"tags": tags, "ids": ids});
        if let (true, Some(fields)) = (action == "add_tags", body.as_object_mut()) {
            fields.insert("over_write".to_owned(), json!(false));
        }
        let path = format!("/{CONTACTS}/actions/{action}");
        let price = Price::tags(group.len());
        match self.send_body(&Method::POST, &path, &body, Effect::Repeatable, price).await {
            Ok(answer) => {
                let entries = rows(answer, "data");
                let fate = |(n, write): (usize, &&TagWrite)| {
                    let entry = entries.get(n).filter(|_| entries.len() == group.len());
                    let error = match entry {
                        Some(entry) if entry.get("status").and_then(Value::as_str) != Some("error") => return None,
                        Some(entry) => errors::of_row(&Value::Object(entry.clone()), Effect::Repeatable),
                        None => unmentioned(),
                    };
                    Some((write.index, error))
                };
                group.iter().enumerate().filter_map(fate).collect()
            }
            Err(error) => group.iter().map(|w| (w.index, error.clone())).collect(),
        }
    }
}

fn tags(record: &Found) -> Vec<String> {
    let all = record.get(TAG).and_then(Value::as_array).into_iter().flatten();
    all.filter_map(|tag| tag.get("name")?.as_str().map(str::to_owned)).collect()
}

/// What to add and what to remove; case makes no other tag.
fn difference(wanted: &[String], there: &[String]) -> (Vec<String>, Vec<String>) {
    let missing = |from: &[String], name: &String| !from.iter().any(|n| n.to_lowercase() == name.to_lowercase());
    let mut add: Vec<String> = wanted.iter().filter(|name| missing(there, name)).cloned().collect();
    let mut remove: Vec<String> = there.iter().filter(|name| missing(wanted, name)).cloned().collect();
    add.sort();
    remove.sort();
    (add, remove)
}

fn unmentioned() -> CallError {
    let class = ErrorClass::Retryable { after_ms: Some(SECOND) };
    CallError::new(class, "row_unmentioned", "Zoho's answer says nothing about this contact's tags")
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn names_are_read_from_lists_and_texts() {
        assert_eq!(names(&json!(["vip", " VIP", "new"])), ["vip", "new"]);
        assert_eq!(names(&json!("vip; new;;")), ["vip", "new"]);
        assert_eq!(names(&Value::Null), [""; 0]);
        assert_eq!(refused(Some(&json!(["x".repeat(26)]))).unwrap().code, "tag_too_long");
        assert!(refused(Some(&json!(["x".repeat(25)]))).is_none() && refused(None).is_none());
    }

    proptest! {
        #[test]
        fn applying_the_difference_gives_what_is_wanted(
            wanted in proptest::collection::btree_set("[a-e]{1,2}", 0..6),
            there in proptest::collection::btree_set("[a-e]{1,2}", 0..6),
        ) {
            let (wanted_list, there_list): (Vec<String>, Vec<String>) =
                (wanted.iter().cloned().collect(), there.iter().cloned().collect());
            let (add, remove) = difference(&wanted_list, &there_list);
            let mut after: BTreeSet<String> = there.clone();
            after.extend(add.iter().cloned());
            after.retain(|name| !remove.contains(name));
            prop_assert_eq!(&after, &wanted);
            prop_assert!(add.iter().all(|n| !there.contains(n)) && remove.iter().all(|n| there.contains(n)));
        }
    }
}
