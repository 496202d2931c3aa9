//! Finds existing contacts by phone number. Two ways together: a query for the number as we and most programs write it, which sees
//! everything at once; and a search, which knows the other ways of writing but lags behind (crm-apis section 3: "about a
//! minute"). What they bring is compared whole before anything is chosen.
//! Known limit: a number typed in with blanks within the last minute is found by neither.

use super::CONTACTS;
use super::budget::Price;
use super::client::Client;
use super::query::{CHEAP_ROWS, Found, MOST_VALUES, Query, among, id, rows, text};
use super::schema::CONTACT_KEY;
use crate::percent::percent;
use crate::phone::{Candidate, Fit, fit, phone_candidates};
use ponte_domain::error::CallError;
use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::Arc;

/// Values of one search, over all its fields; they travel in the address.
const MOST_SEARCHED: usize = 200;
/// Values of one condition of a search.
const MOST_LISTED: usize = 100;
/// Pages read of one search: more than 600 contacts for some dozen numbers are no match but a mess.
const MOST_PAGES: usize = 3;
/// Rows on a page of results, Zoho's most.
const PAGE: usize = 200;

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
    /// What is read of a contact before it is adopted or updated.
    fn contact_columns(&self) -> Vec<&str> {
        let own = ["id", CONTACT_KEY, "First_Name", "Last_Name"];
        own.into_iter().chain(self.config.phone_fields.iter().map(String::as_str)).collect()
    }

    /// Contacts by a column's values, as they are this moment.
    pub(super) async fn contacts_where(&self, column: &str, values: &[String]) -> Result<Vec<Found>, CallError> {
        let mut found = Vec::new();
        for some in values.chunks(MOST_VALUES) {
            let filter = among(column, some.iter().map(String::as_str));
            found.extend(self.query(&self.contact_query(filter)).await?);
        }
        Ok(found)
    }

    fn contact_query(&self, filter: String) -> Query<'_> {
        Query { module: CONTACTS, columns: self.contact_columns(), filter, order: "id", rows: CHEAP_ROWS }
    }

    /// Contacts whose number is written as `+E164` or as its digits.
    async fn plainly_written(&self, wanted: &[Wanted]) -> Result<Vec<Found>, CallError> {
        let mut found = Vec::new();
        for group in groups(wanted, MOST_VALUES) {
            let forms = group.iter().flat_map(|w| &w.candidates).flat_map(|c| [format!("+{}", c.e164), c.e164.clone()]);
            let forms: Vec<String> = forms.collect();
            let of = |field: &String| among(field, forms.iter().map(String::as_str));
            found.extend(self.query(&self.contact_query(either(self.config.phone_fields.iter().map(of)))).await?);
        }
        Ok(found)
    }

    /// Contacts that search finds by these numbers.
    async fn searched(&self, wanted: &[Wanted]) -> Result<Vec<Found>, CallError> {
        let mut found = Vec::new();
        let most = (MOST_SEARCHED / self.config.phone_fields.len().max(1)).min(MOST_LISTED);
        for group in groups(wanted, most) {
            let forms: Vec<String> =
                group.iter().flat_map(|w| &w.candidates).flat_map(|c| [c.national.clone(), c.e164.clone()]).collect();
            let criteria: Vec<String> =
                self.config.phone_fields.iter().map(|field| format!("({field}:in:{})", forms.join(","))).collect();
            let criteria = if criteria.len() == 1 { criteria.concat() } else { format!("({})", criteria.join("or")) };
            let fields = self.contact_columns().join(",");
            for page in 1..=MOST_PAGES {
                let path = format!(
                    "/{CONTACTS}/search?criteria={}&fields={fields}&per_page={PAGE}&page={page}",
                    percent(&criteria)
                );
                let hits = rows(self.get(&path, Price::SEARCH).await?, "data");
                let full = hits.len() >= PAGE;
                found.extend(hits);
                if !full {
                    break;
                }
            }
        }
        Ok(found)
    }
}

/// The contact of each person, as far as there is one; by the person's index.
pub(super) async fn find(client: &Arc<Client>, wanted: &[Wanted]) -> Result<HashMap<usize, String>, CallError> {
    if wanted.is_empty() {
        return Ok(HashMap::new());
    }
    let mut chosen = choose(client, wanted, &client.plainly_written(wanted).await?, &HashSet::new());
    let rest: Vec<Wanted> = wanted.iter().filter(|w| !chosen.contains_key(&w.index)).cloned().collect();
    if !rest.is_empty() {
        let taken = chosen.values().cloned().collect();
        let more = choose(client, &rest, &client.searched(&rest).await?, &taken);
        chosen.extend(more);
    }
    Ok(chosen)
}

fn choose(client: &Client, wanted: &[Wanted], found: &[Found], taken: &HashSet<String>) -> HashMap<usize, String> {
    let phones: Vec<&str> = client.config.phone_fields.iter().map(String::as_str).collect();
    pick(wanted, found, &phones, taken)
}

/// Conditions of which one must hold; more than two need parentheses of their own.
fn either(conditions: impl Iterator<Item = String>) -> String {
    conditions.reduce(|all, one| format!("({all} or {one})")).unwrap_or_else(|| "id = '0'".to_owned())
}

/// People in groups whose ways of writing fit into one question; two values for each way.
fn groups(wanted: &[Wanted], most: usize) -> Vec<Vec<&Wanted>> {
    let mut groups: Vec<(usize, Vec<&Wanted>)> = Vec::new();
    for person in wanted {
        let values = person.candidates.len() * 2;
        match groups.last_mut().filter(|(used, _)| used + values <= most) {
            Some((used, group)) => {
                *used += values;
                group.push(person);
            }
            None => groups.push((values, vec![person])),
        }
    }
    groups.into_iter().map(|(_, group)| group).collect()
}

/// Chooses a contact for each person: the same number with country code (the oldest, if several), or the only one that has the
/// same national number and no country code. Contacts of other people of ours are left alone; no contact is chosen twice.
fn pick(wanted: &[Wanted], found: &[Found], phones: &[&str], taken: &HashSet<String>) -> HashMap<usize, String> {
    let mut taken = taken.clone();
    let mut chosen = HashMap::new();
    for person in wanted {
        let mut full: BTreeMap<u64, String> = BTreeMap::new();
        let mut national: BTreeMap<u64, String> = BTreeMap::new();
        for contact in found {
            let Some(id) = id(contact).filter(|id| !taken.contains(id)) else { continue };
            if text(contact, CONTACT_KEY).is_some_and(|key| key != person.key) {
                continue;
            }
            let fits = phones.iter().filter_map(|name| fit(text(contact, name)?, &person.candidates)).max();
            // Ids are numbers that grow: the oldest comes first.
            let age = id.parse().unwrap_or(u64::MAX);
            match fits {
                Some(Fit::Full) => full.insert(age, id),
                Some(Fit::National) => national.insert(age, id),
                None => None,
            };
        }
        let only = if national.len() == 1 { national.into_values().next() } else { None };
        if let Some(id) = full.into_values().next().or(only) {
            taken.insert(id.clone());
            chosen.insert(person.index, id);
        }
    }
    chosen
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    const PHONES: &[&str] = &["Mobile", "Phone"];

    fn contact(id: &str, phone: &str, key: &str) -> Found {
        json!({"id": id, "Mobile": phone, CONTACT_KEY: key}).as_object().unwrap().clone()
    }

    fn wanted(index: usize, key: &str, phone: &str) -> Wanted {
        Wanted::new(index, key.into(), phone).unwrap()
    }

    #[test]
    fn the_choice_is_careful() {
        let person = [wanted(0, "per_1", "5511987654321")];
        let choice = |found: &[Found]| pick(&person, found, PHONES, &HashSet::new()).remove(&0);
        let two = [contact("20", "+55 11 98765 4321", ""), contact("9", "+55 11 8765-4321", "")];
        assert_eq!(choice(&two).as_deref(), Some("9"), "the oldest");
        assert_eq!(choice(&[contact("1", "+351 11987654321", "")]), None, "another country");
        assert_eq!(choice(&[contact("1", "(11) 98765-4321", "")]).as_deref(), Some("1"));
        assert_eq!(
            choice(&[contact("1", "(11) 98765-4321", ""), contact("2", "011987654321", "")]),
            None,
            "which one?"
        );
        assert_eq!(choice(&[contact("1", "+5511987654321", "per_2")]), None, "someone else's");
        assert_eq!(choice(&[contact("1", "+5511987654321", "per_1")]).as_deref(), Some("1"));
    }

    #[test]
    fn no_contact_is_chosen_twice() {
        let people = [wanted(0, "per_1", "16505551234"), wanted(1, "per_2", "16505551234")];
        let found = [contact("7", "+16505551234", "")];
        assert_eq!(pick(&people, &found, PHONES, &HashSet::new()), HashMap::from([(0, "7".to_owned())]));
        assert!(pick(&people, &found, PHONES, &HashSet::from(["7".to_owned()])).is_empty());
    }

    #[test]
    fn groups_stay_within_the_limit_and_lose_nobody() {
        let people: Vec<_> = (0..100).map(|i| wanted(i, "k", &format!("55119876543{i:02}"))).collect();
        let groups = groups(&people, MOST_VALUES);
        assert!(groups.iter().all(|g| g.iter().map(|w| w.candidates.len() * 2).sum::<usize>() <= MOST_VALUES));
        assert_eq!(groups.concat().len(), 100);
        assert_eq!(either(["a", "b", "c"].map(str::to_owned).into_iter()), "((a or b) or c)");
    }
}
