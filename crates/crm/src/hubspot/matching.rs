//! Finds existing contacts by phone number: few searches for many people, and a careful choice among what they bring.
//! HubSpot's searchable phone properties drop the country code, so a hit is only a hint: the stored number is compared whole.
//! Known limit: a contact made elsewhere within the last moments isn't searchable yet, and is then not found.

use super::batch::{Record, records};
use super::client::Client;
use super::schema::CONTACT_KEY;
use crate::phone::{Candidate, Fit, fit, phone_candidates};
use ponte_domain::SECOND;
use ponte_domain::error::{CallError, ErrorClass, ThrottleScope};
use serde_json::{Value, json};
use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};

/// What is read of a contact before it is adopted or updated.
pub(super) const CONTACT_PROPERTIES: &[&str] =
    &[CONTACT_KEY, "firstname", "lastname", "phone", "mobilephone", "hs_whatsapp_phone_number"];

/// Values in one IN filter.
const MOST_VALUES: usize = 100;
/// Values that one way of writing a number takes in a filter.
const VALUES_PER_CANDIDATE: usize = 2;
/// Rows on a page of results, HubSpot's most.
const PAGE: usize = 200;
/// Pages read of one search: more than 600 contacts for some dozen numbers are no match but a mess.
const MOST_PAGES: usize = 3;

/// Someone to be found.
#[derive(Debug, Clone)]
pub(super) struct Wanted {
    pub(super) index: usize,
    /// Our id of the person, as text.
    pub(super) key: String,
    pub(super) candidates: Vec<Candidate>,
}

impl Wanted {
    pub(super) fn new(index: usize, key: String, phone: &str) -> Option<Self> {
        let candidates = phone_candidates(phone);
        (!candidates.is_empty()).then_some(Self { index, key, candidates })
    }
}

impl Client {
    /// Searches for contacts with any of these people's numbers; one search, so no more people than [`group_size`] says. The
    /// first page's turn has been taken already.
    pub(super) async fn search_phones(&self, group: &[&Wanted]) -> Result<Vec<Record>, CallError> {
        let mut found: BTreeMap<String, Record> = BTreeMap::new();
        let mut after: Option<String> = None;
        for _ in 0..MOST_PAGES {
            let answer = self.search(&self.objects("contacts/search"), &question(group, after.as_deref())).await;
            let answer = answer.map_err(only_these_rows)?;
            after = answer.pointer("/paging/next/after").and_then(text_of);
            found.extend(records(answer)?.into_iter().map(|record| (record.id.clone(), record)));
            if after.is_none() {
                break;
            }
            self.search_turn().await.map_err(only_these_rows)?;
        }
        Ok(found.into_values().collect())
    }
}

fn text_of(value: &Value) -> Option<String> {
    value.as_str().map(str::to_owned).or_else(|| value.as_u64().map(|n| n.to_string()))
}

/// The search limit concerns only those who must be searched for: the rest of the connection goes on.
pub(super) fn only_these_rows(mut error: CallError) -> CallError {
    if let ErrorClass::Throttled { after_ms, .. } = error.class
        && matches!(error.code.as_str(), "SECONDLY" | "budget")
    {
        error.class = ErrorClass::Throttled { scope: ThrottleScope::Recipient, after_ms: after_ms.or(Some(SECOND)) };
        error.code = "search_budget".to_owned();
    }
    error
}

/// How many of those who wait, from the first on, fit into one search.
pub(super) fn group_size<'a>(waiting: impl Iterator<Item = &'a Wanted>) -> usize {
    let mut used = 0;
    waiting
        .take_while(|person| {
            used += person.candidates.len() * VALUES_PER_CANDIDATE;
            used <= MOST_VALUES
        })
        .count()
}

fn question(group: &[&Wanted], after: Option<&str>) -> Value {
    let candidates = || group.iter().flat_map(|w| w.candidates.iter());
    let national: BTreeSet<String> = candidates().flat_map(|c| [c.national.clone(), c.e164.clone()]).collect();
    // Numbers that HubSpot couldn't read are kept as the digits that were written: as dialled at home, with a 0.
    let dialled: BTreeSet<String> = candidates().map(|c| format!("0{}", c.national)).collect();
    let full: BTreeSet<String> = candidates().map(|c| format!("+{}", c.e164)).collect();
    let filter = |property: &str, values: &BTreeSet<String>| json!({"filters": [{"propertyName": property, "operator": "IN", "values": values}]});
    // HubSpot takes five groups; two for each searchable property leave room for more people in one search.
    let mut body = json!({
        "filterGroups": [
            filter("hs_searchable_calculated_phone_number", &national),
            filter("hs_searchable_calculated_phone_number", &dialled),
            filter("hs_searchable_calculated_mobile_number", &national),
            filter("hs_searchable_calculated_mobile_number", &dialled),
            filter("hs_whatsapp_phone_number", &full),
        ],
        "properties": CONTACT_PROPERTIES,
        "sorts": [{"propertyName": "hs_object_id", "direction": "ASCENDING"}],
        "limit": PAGE,
    });
    if let (Some(after), Some(fields)) = (after, body.as_object_mut()) {
        fields.insert("after".to_owned(), json!(after));
    }
    body
}

/// Chooses a contact for each person: the same number with country code (the oldest, if several), or the only one that has the
/// same national number and no country code. Contacts of other people of ours are left alone; no contact is chosen twice.
pub(super) fn choose(wanted: &[Wanted], found: &[Record]) -> HashMap<usize, String> {
    let mut chosen = HashMap::new();
    let mut taken: HashSet<&str> = HashSet::new();
    for person in wanted {
        let free = |record: &&Record| {
            !taken.contains(record.id.as_str()) && record.value(CONTACT_KEY).is_none_or(|key| key == person.key)
        };
        let fits: Vec<(Fit, &Record)> =
            found.iter().filter(free).filter_map(|r| Some((best_fit(r, &person.candidates)?, r))).collect();
        let full = fits.iter().filter(|(f, _)| *f == Fit::Full).map(|(_, r)| *r);
        let pick = full.min_by_key(|r| age(r)).or(match fits.as_slice() {
            [(Fit::National, only)] => Some(*only),
            _ => None,
        });
        if let Some(record) = pick {
            taken.insert(&record.id);
            chosen.insert(person.index, record.id.clone());
        }
    }
    chosen
}

/// Ids are numbers that grow.
fn age(record: &Record) -> (u64, &str) {
    (record.id.parse().unwrap_or(u64::MAX), &record.id)
}

fn best_fit(record: &Record, candidates: &[Candidate]) -> Option<Fit> {
    let stored = ["phone", "mobilephone", "hs_whatsapp_phone_number"];
    stored.iter().filter_map(|name| fit(record.value(name)?, candidates)).max()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn record(id: &str, phone: &str, key: &str) -> Record {
        serde_json::from_value(json!({"id": id, "properties": {"phone": phone, CONTACT_KEY: key}})).unwrap()
    }

    fn wanted(index: usize, key: &str, phone: &str) -> Wanted {
        Wanted::new(index, key.into(), phone).unwrap()
    }

    #[test]
    fn the_choice_is_careful() {
        let person = [wanted(0, "per_1", "5511987654321")];
        let choice = |found: &[Record]| choose(&person, found).remove(&0);
        assert_eq!(
            choice(&[record("20", "+55 11 98765 4321", ""), record("9", "+55 11 8765-4321", "")]).as_deref(),
            Some("9")
        );
        assert_eq!(choice(&[record("1", "+351 11987654321", "")]), None, "another country");
        assert_eq!(choice(&[record("1", "(11) 98765-4321", "")]).as_deref(), Some("1"));
        assert_eq!(choice(&[record("1", "(11) 98765-4321", ""), record("2", "011987654321", "")]), None, "which one?");
        assert_eq!(choice(&[record("1", "+5511987654321", "per_2")]), None, "someone else's");
        assert_eq!(choice(&[record("1", "+5511987654321", "per_1")]).as_deref(), Some("1"));
    }

    #[test]
    fn no_contact_is_adopted_twice() {
        let people = [wanted(0, "per_1", "16505551234"), wanted(1, "per_2", "16505551234")];
        let chosen = choose(&people, &[record("7", "+16505551234", "")]);
        assert_eq!(chosen, HashMap::from([(0, "7".to_owned())]));
    }

    #[test]
    fn many_people_need_few_searches_within_the_limits() {
        let people: Vec<_> = (0..100).map(|i| wanted(i, "k", &format!("165055512{i:02}"))).collect();
        let refs: Vec<&Wanted> = people.iter().collect();
        let size = group_size(people.iter());
        assert_eq!(size, 50);
        let question = question(&refs[..size], None);
        for filters in question["filterGroups"].as_array().unwrap() {
            assert!(filters["filters"][0]["values"].as_array().unwrap().len() <= MOST_VALUES);
        }
    }
}
