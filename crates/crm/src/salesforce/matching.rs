//! Finds existing people by phone number, and chooses with care among what is found. Search (SOSL) knows all numbers in any spelling but
//! is some time behind; a query over what changed in the last minutes fills the gap; when that is much, by the last four digits, which
//! people write together. A hit is only a hint: the stored number is compared whole.
//! Failure story: reads only.

use super::Salesforce;
use super::client::Found;
use super::config::SalesforceObject;
use super::shape::{KEY, Shape};
use super::soql::{list, long_id, phrase, time};
use crate::percent::percent;
use crate::phone::{Candidate, Fit, fit, phone_candidates};
use ponte_domain::error::CallError;
use ponte_domain::{MINUTE, Millis};
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};

/// Characters of one search: longer ones lose their OR.
const MOST_SEARCH: usize = 3_600;
/// How far search may be behind.
const SEARCH_LAG: Millis = 15 * MINUTE;
/// Records that a query over what is new shows.
const MOST_FRESH: usize = 2_000;
/// People asked for in one query over what is new, when there is much of it.
const MOST_PEOPLE: usize = 60;
/// Fields that hold numbers.
const PHONES: &[&str] = &["MobilePhone", "Phone", "HomePhone", "OtherPhone"];

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

/// A contact or lead that may be someone's.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Person {
    pub(super) id: String,
    pub(super) object: SalesforceObject,
    pub(super) key: Option<String>,
    pub(super) named: bool,
    pub(super) phones: Vec<String>,
}

impl Person {
    /// From a row of a query or search; a converted lead is the contact that it became, of which nothing else is known.
    pub(super) fn read(row: &Value) -> Option<Self> {
        let text = |name: &str| row.get(name).and_then(Value::as_str).filter(|t| !t.is_empty());
        let successor = row.get("IsConverted").and_then(Value::as_bool) == Some(true);
        let id = long_id(if successor { text("ConvertedContactId")? } else { text("Id")? })?;
        Some(Self {
            object: SalesforceObject::of_id(&id)?,
            id,
            key: text(KEY).map(str::to_owned),
            named: text("FirstName").is_some() || text("LastName").is_some(),
            phones: PHONES.iter().filter_map(|name| text(name)).map(str::to_owned).collect(),
        })
    }

    /// Nobody's, or this person's.
    pub(super) fn free_for(&self, key: &str) -> bool {
        self.key.as_deref().is_none_or(|owner| owner.eq_ignore_ascii_case(key))
    }

    fn fit(&self, candidates: &[Candidate]) -> Option<Fit> {
        self.phones.iter().filter_map(|stored| fit(stored, candidates)).max()
    }
}

/// The columns that [`Person::read`] wants, as far as the user sees them.
fn columns(object: SalesforceObject, shape: &Shape) -> String {
    let mut names = vec!["Id"];
    names.extend([KEY, "FirstName", "LastName"].into_iter().chain(PHONES.iter().copied()).filter(|n| shape.has(n)));
    if object == SalesforceObject::Lead {
        names.extend(["IsConverted", "ConvertedContactId"]);
    }
    names.join(", ")
}

impl Salesforce {
    /// People whose number could be one of these.
    pub(super) async fn search(&self, wanted: &[Wanted]) -> Result<Vec<Person>, CallError> {
        let mut found: BTreeMap<String, Person> = BTreeMap::new();
        let mut take = |rows: &[Value]| {
            found.extend(rows.iter().filter_map(Person::read).map(|person| (person.id.clone(), person)));
        };
        let mut shapes = Vec::new();
        for object in self.people() {
            shapes.push((*object, self.shapes.of(&self.client, object.name()).await?));
        }
        let returning: Vec<String> = shapes
            .iter()
            .map(|(object, shape)| {
                let open = if *object == SalesforceObject::Lead { " WHERE IsConverted = false" } else { "" };
                format!("{}({}{open})", object.name(), columns(*object, shape))
            })
            .collect();
        for terms in searches(wanted) {
            let sosl = format!("FIND {{{terms}}} IN PHONE FIELDS RETURNING {}", returning.join(", "));
            let answer = self.client.get(&format!("/search?q={}", percent(&sosl))).await?;
            take(answer.get("searchRecords").and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default());
        }
        for (object, shape) in &shapes {
            let fresh = self.fresh(*object, shape, "").await?;
            if fresh.done && fresh.records.len() < MOST_FRESH {
                take(&fresh.records);
                continue;
            }
            // So much was changed that it has to be asked for by number.
            for some in wanted.chunks(MOST_PEOPLE) {
                take(&self.fresh(*object, shape, &by_ends(some, shape)).await?.records);
            }
        }
        Ok(found.into_values().collect())
    }

    /// Records that nobody of ours is linked to and that changed so lately that search may not know them.
    async fn fresh(&self, object: SalesforceObject, shape: &Shape, more: &str) -> Result<Found, CallError> {
        let since = time(self.client.now() - SEARCH_LAG);
        let unlinked = if shape.has(KEY) { format!(" AND {KEY} = null") } else { String::new() };
        let soql = format!(
            "SELECT {} FROM {} WHERE SystemModstamp >= {since}{unlinked}{more} LIMIT {MOST_FRESH}",
            columns(object, shape),
            object.name(),
        );
        self.client.query(&soql, false).await
    }

    /// People who bear these ids of ours, by id.
    pub(super) async fn ours(&self, keys: &[String]) -> Result<HashMap<String, Person>, CallError> {
        let mut found: HashMap<String, Person> = HashMap::new();
        for object in self.people() {
            let shape = self.shapes.of(&self.client, object.name()).await?;
            for some in keys.chunks(200) {
                let keys = list(some.iter().map(String::as_str));
                let soql = format!("SELECT {} FROM {} WHERE {KEY} IN {keys}", columns(*object, &shape), object.name());
                for row in &self.client.query(&soql, false).await?.records {
                    let Some(person) = Person::read(row) else { continue };
                    let Some(key) = person.key.clone() else { continue };
                    // The contact that a lead became counts more than the lead.
                    let better = found.get(&key).is_none_or(|known| known.object == SalesforceObject::Lead);
                    if better {
                        found.insert(key, person);
                    }
                }
            }
        }
        Ok(found)
    }

    /// These records.
    pub(super) async fn people_by_id(&self, ids: &[String]) -> Result<Vec<Person>, CallError> {
        let mut found = Vec::with_capacity(ids.len());
        for object in self.people() {
            let mine: Vec<&str> = ids.iter().map(String::as_str).filter(|id| id.starts_with(object.prefix())).collect();
            let shape = self.shapes.of(&self.client, object.name()).await?;
            for some in mine.chunks(400) {
                let ids = list(some.iter().copied());
                let soql = format!("SELECT {} FROM {} WHERE Id IN {ids}", columns(*object, &shape), object.name());
                found.extend(self.client.query(&soql, false).await?.records.iter().filter_map(Person::read));
            }
        }
        Ok(found)
    }
}

/// A condition: a number that ends as one of these people's.
fn by_ends(wanted: &[Wanted], shape: &Shape) -> String {
    let numbers = wanted.iter().flat_map(|w| &w.candidates);
    let ends: BTreeSet<&str> = numbers.filter_map(|c| c.e164.get(c.e164.len().checked_sub(4)?..)).collect();
    let tests: Vec<String> = PHONES
        .iter()
        .filter(|name| shape.has(name))
        .flat_map(|name| ends.iter().map(move |end| format!("{name} LIKE '%{}'", phrase(end))))
        .collect();
    if tests.is_empty() { String::new() } else { format!(" AND ({})", tests.join(" OR ")) }
}

/// The terms of as many searches as it takes: every way in which the digits may stand.
fn searches(wanted: &[Wanted]) -> Vec<String> {
    let mut searches: Vec<String> = Vec::new();
    let mut seen = HashSet::new();
    for candidate in wanted.iter().flat_map(|w| &w.candidates) {
        let (full, home) = (phrase(&candidate.e164), phrase(&candidate.national));
        for term in [format!("00{full}"), format!("0{home}"), full, home] {
            if term.len() < 4 || !seen.insert(term.clone()) {
                continue;
            }
            match searches.last_mut().filter(|s| s.len() + term.len() + 4 <= MOST_SEARCH) {
                Some(search) => {
                    search.push_str(" OR ");
                    search.push_str(&term);
                }
                None => searches.push(term),
            }
        }
    }
    searches
}

/// Chooses a record for each person: the same number with country code (a contact before a lead, then the oldest), or the only one
/// that has the same national number and no country code. Records of other people of ours are left alone; none is chosen twice.
pub(super) fn choose(wanted: &[Wanted], found: &[Person]) -> HashMap<usize, Person> {
    let mut chosen = HashMap::new();
    let mut taken: HashSet<&str> = HashSet::new();
    for person in wanted {
        let free = |there: &&Person| !taken.contains(there.id.as_str()) && there.free_for(&person.key);
        let fits: Vec<(Fit, &Person)> =
            found.iter().filter(free).filter_map(|p| Some((p.fit(&person.candidates)?, p))).collect();
        let full = fits.iter().filter(|(fit, _)| *fit == Fit::Full).map(|(_, p)| *p);
        // Ids of one object grow with time.
        let pick = full.min_by_key(|p| (p.object == SalesforceObject::Lead, p.id.as_str())).or(match fits.as_slice() {
            [(Fit::National, only)] => Some(*only),
            _ => None,
        });
        if let Some(there) = pick {
            taken.insert(&there.id);
            chosen.insert(person.index, there.clone());
        }
    }
    chosen
}

/// Of the records that a duplicate rule found the one to adopt: with the same number, or the only one without any.
pub(super) fn adoptable(wanted: Option<&Wanted>, key: &str, found: &[Person]) -> Option<Person> {
    if let Some(wanted) = wanted
        && let Some(person) = choose(std::slice::from_ref(wanted), found).remove(&wanted.index)
    {
        return Some(person);
    }
    let mut bare = found.iter().filter(|p| p.phones.is_empty() && p.free_for(key));
    match (bare.next(), bare.next()) {
        (Some(only), None) => Some(only.clone()),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use serde_json::json;

    fn contact(n: u32, phone: &str, key: &str) -> Person {
        Person::read(&json!({"Id": format!("0035g000000{n:04}AAA"), "MobilePhone": phone, KEY: key, "LastName": "X"}))
            .unwrap()
    }

    fn wanted(index: usize, key: &str, phone: &str) -> Wanted {
        Wanted::new(index, key.into(), phone).unwrap()
    }

    #[test]
    fn the_choice_is_careful() {
        let person = [wanted(0, "per_1", "5511987654321")];
        let choice = |found: &[Person]| choose(&person, found).remove(&0).map(|p| p.id);
        let id = |n: u32| Some(contact(n, "", "").id);
        assert_eq!(choice(&[contact(20, "+55 11 98765 4321", ""), contact(9, "+55 11 8765-4321", "")]), id(9));
        assert_eq!(choice(&[contact(1, "+351 11987654321", "")]), None, "another country");
        assert_eq!(choice(&[contact(1, "(11) 98765-4321", "")]), id(1));
        assert_eq!(choice(&[contact(1, "(11) 98765-4321", ""), contact(2, "011987654321", "")]), None, "which one?");
        assert_eq!(choice(&[contact(1, "+5511987654321", "per_2")]), None, "someone else's");
        assert_eq!(choice(&[contact(1, "+5511987654321", "PER_1")]), id(1));
        let lead = Person::read(&json!({"Id": "00Q5g0000000001AAA", "Phone": "+5511987654321"})).unwrap();
        assert_eq!(choice(&[lead.clone(), contact(5, "+5511987654321", "")]), id(5), "a contact before a lead");
        assert_eq!(choice(std::slice::from_ref(&lead)), Some(lead.id));
    }

    #[test]
    fn nobody_is_adopted_twice() {
        let people = [wanted(0, "per_1", "16505551234"), wanted(1, "per_2", "16505551234")];
        let chosen = choose(&people, &[contact(7, "+16505551234", "")]);
        assert_eq!(chosen.into_keys().collect::<Vec<_>>(), [0]);
    }

    #[test]
    fn a_duplicate_is_adopted_unless_its_number_says_otherwise() {
        let person = wanted(0, "per_1", "16505551234");
        let pick = |found: &[Person]| adoptable(Some(&person), "per_1", found).map(|p| p.id);
        assert_eq!(pick(&[contact(1, "(650) 555-1234", "")]), Some(contact(1, "", "").id));
        assert_eq!(pick(&[contact(1, "", "")]), Some(contact(1, "", "").id), "it has no number");
        assert_eq!(pick(&[contact(1, "+49 30 1234567", "")]), None, "somebody else of the same name");
        assert_eq!(pick(&[contact(1, "", ""), contact(2, "", "")]), None, "which one?");
        assert_eq!(pick(&[contact(1, "", "per_2")]), None);
    }

    #[test]
    fn a_converted_lead_is_its_contact() {
        let row = json!({"Id": "00Q5g0000000001AAA", "IsConverted": true, "ConvertedContactId": "0035g0000000002AAA"});
        let person = Person::read(&row).unwrap();
        assert_eq!((person.id.as_str(), person.object), ("0035g0000000002AAA", SalesforceObject::Contact));
    }

    proptest! {
        #[test]
        fn searches_are_short_and_hold_every_number(numbers in proptest::collection::hash_set("1650[2-9][0-9]{6}", 1..200)) {
            let people: Vec<Wanted> = numbers.iter().enumerate().filter_map(|(n, p)| Wanted::new(n, "k".into(), p)).collect();
            let searches = searches(&people);
            prop_assert!(searches.iter().all(|s| s.len() <= MOST_SEARCH));
            let terms: HashSet<&str> = searches.iter().flat_map(|s| s.split(" OR ")).collect();
            for number in &numbers {
                prop_assert!(terms.contains(number.as_str()) && terms.contains(&number[1..]));
            }
        }
    }
}
