//! The people on the other side: by telephone, by business-scoped user id, or both.
//! May touch: its own directory. Must not touch: sockets.

use super::ids;
use super::phone;
use serde::{Deserialize, Serialize};
use std::collections::HashMap;

/// Who a customer is. At least one of `wa_id` and `user_id` is needed; without `user_id` one is made from the number.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Customer {
    /// WhatsApp id (digits). Absent for people who hide their number behind a username.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub wa_id: Option<String>,
    /// Business-scoped user id.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub user_id: Option<String>,
    /// Parent business-scoped user id.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub parent_user_id: Option<String>,
    /// Username.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub username: Option<String>,
    /// Profile name.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// Language of their device, e.g. `pt_BR`. Not visible to the business.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub language: Option<String>,
}

#[derive(Debug, Clone)]
pub(crate) struct Person {
    pub wa_id: Option<String>,
    pub user_id: String,
    pub parent_user_id: Option<String>,
    pub username: Option<String>,
    pub name: String,
    pub identity_hash: Option<String>,
    pub stopped_marketing: bool,
    /// Last message to each business number: (number, epoch milliseconds).
    last_in: Vec<(usize, i64)>,
    /// Free entry point until: (number, epoch milliseconds).
    free_until: Vec<(usize, i64)>,
}

impl Person {
    pub fn window_open(&self, number: usize, now_ms: i64, window_ms: i64) -> bool {
        self.last_in.iter().any(|(known, at)| *known == number && now_ms - at < window_ms)
    }

    pub fn free_entry(&self, number: usize, now_ms: i64) -> bool {
        self.free_until.iter().any(|(known, until)| *known == number && now_ms < *until)
    }

    pub fn wrote(&mut self, number: usize, now_ms: i64) {
        set(&mut self.last_in, number, now_ms);
    }

    pub fn came_from_ad(&mut self, number: usize, until_ms: i64) {
        set(&mut self.free_until, number, until_ms);
    }

    /// What the platform puts in front of an id, and in wamids.
    pub fn peer(&self) -> &str {
        self.wa_id.as_deref().unwrap_or(&self.user_id)
    }

    pub fn wrote_within(&self, number: usize, now_ms: i64, span_ms: i64) -> bool {
        self.window_open(number, now_ms, span_ms)
    }
}

fn set(list: &mut Vec<(usize, i64)>, number: usize, value: i64) {
    match list.iter_mut().find(|(known, _)| *known == number) {
        Some(entry) => entry.1 = value,
        None => list.push((number, value)),
    }
}

/// Everyone met so far.
#[derive(Debug, Default)]
pub(crate) struct People {
    all: Vec<Person>,
    by_wa_id: HashMap<String, usize>,
    by_user_id: HashMap<String, usize>,
}

impl People {
    pub fn get(&self, index: usize) -> Option<&Person> {
        self.all.get(index)
    }

    pub fn get_mut(&mut self, index: usize) -> Option<&mut Person> {
        self.all.get_mut(index)
    }

    pub fn by_user_id(&self, user_id: &str) -> Option<usize> {
        self.by_user_id.get(user_id).copied()
    }

    pub fn by_wa_id(&self, wa_id: &str) -> Option<usize> {
        self.by_wa_id.get(wa_id).copied()
    }

    /// The person with this WhatsApp id, met now if need be.
    pub fn with_wa_id(&mut self, seed: u64, wa_id: &str) -> usize {
        if let Some(known) = self.by_wa_id(wa_id) {
            return known;
        }
        self.meet(seed, &Customer { wa_id: Some(wa_id.to_owned()), ..Customer::default() })
    }

    /// The person a customer description means; what it says is remembered.
    pub fn meet(&mut self, seed: u64, customer: &Customer) -> usize {
        let known = customer
            .user_id
            .as_deref()
            .and_then(|id| self.by_user_id(id))
            .or_else(|| customer.wa_id.as_deref().and_then(|id| self.by_wa_id(id)));
        let index = known.unwrap_or_else(|| self.add(seed, customer));
        if let Some(person) = self.all.get_mut(index) {
            if let Some(name) = &customer.name {
                person.name.clone_from(name);
            }
            if customer.username.is_some() {
                person.username.clone_from(&customer.username);
            }
            if customer.parent_user_id.is_some() {
                person.parent_user_id.clone_from(&customer.parent_user_id);
            }
            if person.wa_id.is_none()
                && let Some(wa_id) = &customer.wa_id
            {
                person.wa_id = Some(wa_id.clone());
                self.by_wa_id.insert(wa_id.clone(), index);
            }
        }
        index
    }

    fn add(&mut self, seed: u64, customer: &Customer) -> usize {
        let wa_id = customer.wa_id.clone();
        let land = wa_id.as_deref().and_then(phone::country).map_or("US", |(_, land)| land);
        let user_id =
            customer.user_id.clone().unwrap_or_else(|| ids::user_id(seed, wa_id.as_deref().unwrap_or_default(), land));
        let index = self.all.len();
        if let Some(wa_id) = &wa_id {
            self.by_wa_id.insert(wa_id.clone(), index);
        }
        self.by_user_id.insert(user_id.clone(), index);
        self.all.push(Person {
            wa_id,
            user_id,
            parent_user_id: None,
            username: None,
            name: String::new(),
            identity_hash: None,
            stopped_marketing: false,
            last_in: Vec::new(),
            free_until: Vec::new(),
        });
        index
    }

    /// Gives a person a new number and id; the old number is free again.
    pub fn change_number(&mut self, seed: u64, index: usize, wa_id: &str) -> Option<(String, String)> {
        let land = phone::country(wa_id).map_or("US", |(_, land)| land);
        let user_id = ids::user_id(seed, wa_id, land);
        let person = self.all.get_mut(index)?;
        let before = std::mem::replace(&mut person.user_id, user_id.clone());
        if let Some(old) = person.wa_id.replace(wa_id.to_owned()) {
            self.by_wa_id.remove(&old);
        }
        self.by_wa_id.insert(wa_id.to_owned(), index);
        self.by_user_id.remove(&before);
        self.by_user_id.insert(user_id.clone(), index);
        Some((before, user_id))
    }

    /// Gives a person a new business-scoped user id; answers the old one.
    pub fn change_user_id(&mut self, index: usize, user_id: &str) -> Option<String> {
        let person = self.all.get_mut(index)?;
        let before = std::mem::replace(&mut person.user_id, user_id.to_owned());
        self.by_user_id.remove(&before);
        self.by_user_id.insert(user_id.to_owned(), index);
        Some(before)
    }
}
