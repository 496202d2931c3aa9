//! Messages: HubSpot communications on the contact's timeline. A new one is created together with its association (an upsert
//! can't carry one), one written before is updated with its text rendered anew.
//! Failure story: a create whose outcome is unknown is tried again with `uncertain`, and is then looked for first: by our
//! unique property, or, where communications take no properties, by the mark in the texts of the contact's communications.
//! A create that meets its own earlier copy (conflict on our property) adopts it.

use super::HubSpot;
use super::batch::{Op, Outcome, Row};
use super::body::{iso_millis, marker_of, render};
use super::contacts::to_contact;
use super::schema::{MESSAGE_KEY, MessageMode};
use crate::rows::status_word;
use ponte_domain::SECOND;
use ponte_domain::crm::MessageWrite;
use ponte_domain::error::{CallError, ErrorClass};
use serde_json::{Map, Value};
use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};

const OBJECT: &str = "communications";
const BODY: &str = "hs_communication_body";

/// Newest communications of a contact that are looked through for a mark.
const MOST_LOOKED_AT: usize = 500;
/// Pages of 500 associations read of one contact.
const MOST_PAGES: usize = 20;

type Numbered<'a> = (usize, &'a MessageWrite);

impl HubSpot {
    /// Gives an outcome for every row, in order.
    pub(super) async fn put_messages(&self, rows: &[MessageWrite], mode: MessageMode) -> Vec<Outcome> {
        let (messages, whose) = crate::rows::messages(rows);
        let all: Vec<Numbered<'_>> = messages.iter().enumerate().collect();
        let uncertain: Vec<Numbered<'_>> =
            all.iter().copied().filter(|(_, m)| m.crm_id.is_none() && m.uncertain).collect();
        let mut done: HashMap<usize, Outcome> = HashMap::new();
        let found = self.find(&uncertain, mode, &mut done).await;
        let (mut updates, mut creates) = (Vec::new(), Vec::new());
        for (index, message) in all.iter().filter(|(index, _)| !done.contains_key(index)) {
            match message.crm_id.as_ref().or_else(|| found.get(index)) {
                Some(id) => updates.push(update(*index, message, id, mode)),
                None => creates.push(create(*index, message, mode)),
            }
        }
        let key = if mode == MessageMode::Properties { MESSAGE_KEY } else { BODY };
        let (updated, created) = tokio::join!(
            self.client.write(OBJECT, Op::Update, updates),
            self.client.write(OBJECT, Op::Create { key }, creates)
        );
        done.extend(updated.into_iter().map(|(index, outcome)| (index, outcome.map_err(|e| named(e, "message_gone")))));
        done.extend(created.into_iter().map(|(index, outcome)| (index, outcome.map_err(|e| named(e, "contact_gone")))));
        self.adopt_earlier(&all, mode, &mut done).await;
        self.recognise_gone_contacts(&all, &mut done).await;
        whose.iter().map(|message| done.get(message).cloned().unwrap_or_else(|| Err(unsettled()))).collect()
    }

    /// Rows that met their own earlier copy become updates of it.
    async fn adopt_earlier(&self, all: &[Numbered<'_>], mode: MessageMode, done: &mut HashMap<usize, Outcome>) {
        let met =
            |index: &usize| matches!(done.get(index), Some(Err(e)) if matches!(e.class, ErrorClass::Conflict { .. }));
        let conflicts: Vec<Numbered<'_>> = all.iter().copied().filter(|(index, _)| met(index)).collect();
        if conflicts.is_empty() {
            return;
        }
        let found = self.find(&conflicts, mode, done).await;
        let updates =
            conflicts.iter().filter_map(|(index, m)| Some(update(*index, m, found.get(index)?, mode))).collect();
        done.extend(self.client.write(OBJECT, Op::Update, updates).await);
        for (index, _) in conflicts.iter().filter(|(index, _)| !found.contains_key(index)) {
            // Refused as a copy, but the copy isn't there: created a moment ago, or taken away. Looked for again later.
            if matches!(done.get(index), Some(Err(e)) if matches!(e.class, ErrorClass::Conflict { .. })) {
                done.insert(*index, Err(unsettled()));
            }
        }
    }

    /// HubSpot has no fixed words for a create whose contact is gone. A refused create is therefore checked against the contact.
    async fn recognise_gone_contacts(&self, all: &[Numbered<'_>], done: &mut HashMap<usize, Outcome>) {
        let refused = |index: &usize| matches!(done.get(index), Some(Err(e)) if e.class == ErrorClass::Permanent);
        let refused: Vec<Numbered<'_>> =
            all.iter().copied().filter(|(i, m)| m.crm_id.is_none() && refused(i)).collect();
        if refused.is_empty() {
            return;
        }
        let contacts: BTreeSet<String> = refused.iter().map(|(_, m)| m.contact_crm_id.clone()).collect();
        let contacts: Vec<String> = contacts.into_iter().collect();
        match self.client.read_many("contacts", None, &contacts, &["hs_object_id"]).await {
            Ok(there) => {
                let there: HashSet<&str> = there.iter().map(|r| r.id.as_str()).collect();
                for (index, _) in refused.iter().filter(|(_, m)| !there.contains(m.contact_crm_id.as_str())) {
                    let title = "the contact is gone from HubSpot";
                    done.insert(*index, Err(CallError::new(ErrorClass::Gone, "contact_gone", title)));
                }
            }
            // Not knowing is no reason to give a message up.
            Err(error) => done.extend(refused.iter().map(|(index, _)| (*index, Err(error.clone())))),
        }
    }

    /// Looks for messages that may have been created before. What can't be looked for gets its error in `done`.
    async fn find(
        &self,
        wanted: &[Numbered<'_>],
        mode: MessageMode,
        done: &mut HashMap<usize, Outcome>,
    ) -> HashMap<usize, String> {
        if wanted.is_empty() {
            return HashMap::new();
        }
        match mode {
            MessageMode::Properties => self.find_by_property(wanted, done).await,
            MessageMode::Marker => self.find_by_marker(wanted, done).await,
        }
    }

    async fn find_by_property(
        &self,
        wanted: &[Numbered<'_>],
        done: &mut HashMap<usize, Outcome>,
    ) -> HashMap<usize, String> {
        let keys: Vec<String> = wanted.iter().map(|(_, m)| m.message.to_string()).collect();
        match self.client.read_many(OBJECT, Some(MESSAGE_KEY), &keys, &[MESSAGE_KEY]).await {
            Ok(records) => {
                let by_key: HashMap<&str, &str> =
                    records.iter().filter_map(|r| Some((r.value(MESSAGE_KEY)?, r.id.as_str()))).collect();
                let id_of = |m: &MessageWrite| by_key.get(m.message.to_string().as_str()).map(|id| (*id).to_owned());
                wanted.iter().filter_map(|(index, m)| Some((*index, id_of(m)?))).collect()
            }
            Err(error) => {
                done.extend(wanted.iter().map(|(index, _)| (*index, Err(error.clone()))));
                HashMap::new()
            }
        }
    }

    async fn find_by_marker(
        &self,
        wanted: &[Numbered<'_>],
        done: &mut HashMap<usize, Outcome>,
    ) -> HashMap<usize, String> {
        let mut by_contact: BTreeMap<&str, Vec<Numbered<'_>>> = BTreeMap::new();
        for (index, message) in wanted {
            by_contact.entry(&message.contact_crm_id).or_default().push((*index, message));
        }
        let mut found = HashMap::new();
        for (contact, messages) in by_contact {
            match self.texts_of(contact).await {
                Ok(texts) => found.extend(messages.iter().filter_map(|(index, m)| {
                    let marker = marker_of(m.message);
                    texts.iter().find(|(_, text)| text.contains(&marker)).map(|(id, _)| (*index, id.clone()))
                })),
                Err(error) => {
                    let error = named(error, "contact_gone");
                    done.extend(messages.iter().map(|(index, _)| (*index, Err(error.clone()))));
                }
            }
        }
        found
    }

    /// Id and text of a contact's newest communications.
    async fn texts_of(&self, contact: &str) -> Result<Vec<(String, String)>, CallError> {
        let mut ids: BTreeSet<u64> = BTreeSet::new();
        let mut after = String::new();
        for _ in 0..MOST_PAGES {
            let page = self.client.objects(&format!("contacts/{contact}/associations/{OBJECT}?limit=500{after}"));
            let page = self.client.get(&page).await?;
            let results = page.get("results").and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default();
            ids.extend(results.iter().filter_map(|r| number(r.get("toObjectId").or_else(|| r.get("id"))?)));
            let Some(next) = page.pointer("/paging/next/after").and_then(Value::as_str) else { break };
            after = format!("&after={next}");
        }
        // Ids grow with time: the newest are the highest.
        let newest: Vec<String> = ids.iter().rev().take(MOST_LOOKED_AT).map(u64::to_string).collect();
        let records = self.client.read_many(OBJECT, None, &newest, &[BODY]).await?;
        Ok(records.into_iter().map(|r| (r.id.clone(), r.value(BODY).unwrap_or_default().to_owned())).collect())
    }
}

fn number(value: &Value) -> Option<u64> {
    value.as_u64().or_else(|| value.as_str()?.parse().ok())
}

fn update(index: usize, message: &MessageWrite, id: &str, mode: MessageMode) -> Row {
    Row { index, key: id.to_owned(), properties: changing(message, mode), associations: Vec::new() }
}

fn create(index: usize, message: &MessageWrite, mode: MessageMode) -> Row {
    let mut properties = changing(message, mode);
    let fixed = [
        ("hs_communication_channel_type", "WHATS_APP".to_owned()),
        ("hs_communication_logged_from", "CRM".to_owned()),
        ("hs_timestamp", iso_millis(message.at)),
    ];
    properties.extend(fixed.map(|(name, value)| (name.to_owned(), Value::String(value))));
    let key = match mode {
        MessageMode::Properties => {
            let key = message.message.to_string();
            let direction = if message.inbound { "inbound" } else { "outbound" };
            for (name, value) in
                [(MESSAGE_KEY, key.as_str()), ("ponte_direction", direction), ("ponte_kind", &message.kind)]
            {
                properties.insert(name.to_owned(), Value::String(value.to_owned()));
            }
            key
        }
        MessageMode::Marker => properties.get(BODY).and_then(Value::as_str).unwrap_or_default().to_owned(),
    };
    Row { index, key, properties, associations: vec![to_contact(&message.contact_crm_id)] }
}

/// What may change after the message was first written.
fn changing(message: &MessageWrite, mode: MessageMode) -> Map<String, Value> {
    let mut properties = Map::new();
    let mut put = |name: &str, value: String| properties.insert(name.to_owned(), Value::String(value));
    put(BODY, render(message, mode == MessageMode::Marker));
    if mode == MessageMode::Marker {
        return properties;
    }
    put("ponte_status", status_word(message).to_owned());
    if let Some(error) = &message.error {
        put("ponte_error", error.chars().take(500).collect());
    }
    if let Some(at) = message.stamps.delivered {
        put("ponte_delivered_at", iso_millis(at));
    }
    if let Some(at) = message.stamps.read {
        put("ponte_read_at", iso_millis(at));
    }
    properties
}

/// Says what is gone.
fn named(mut error: CallError, gone: &str) -> CallError {
    if error.class == ErrorClass::Gone {
        error.code = gone.to_owned();
    }
    error
}

fn unsettled() -> CallError {
    let class = ErrorClass::Retryable { after_ms: Some(SECOND) };
    CallError::new(class, "copy_not_found", "HubSpot refused the message as a copy, but the copy can't be found yet")
}

/// Rows whose contact can't be known are no rows: kept apart so that one doesn't fail its batch.
pub(super) fn without_contact(rows: &[MessageWrite]) -> HashSet<usize> {
    let known = |id: &str| !id.is_empty() && id.bytes().all(|b| b.is_ascii_digit());
    let bad = |m: &MessageWrite| m.crm_id.is_none() && !known(&m.contact_crm_id);
    rows.iter().enumerate().filter(|(_, m)| bad(m)).map(|(index, _)| index).collect()
}
