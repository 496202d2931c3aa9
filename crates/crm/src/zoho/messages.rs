//! Messages: records of a module of our own, upserted by our id; where the organisation has no such module, notes of the contact
//! with our id in the text. A status changes the same record.
//! Failure story: the upsert may be repeated at will. A note whose creation has an unknown outcome is looked for among the notes of
//! its contact when it is tried again with `uncertain`; lists don't lag.

use super::Zoho;
use super::body::{content, marker_of, note, title};
use super::budget::Price;
use super::client::{Client, iso};
use super::contacts::cut;
use super::errors::names_field;
use super::query::{id, rows, text};
use super::rows::{Op, Outcome, Row};
use super::schema::{MESSAGE_KEY, MESSAGES, MessageMode};
use super::{CONTACTS, NOTES};
use crate::rows::status_word;
use ponte_domain::SECOND;
use ponte_domain::crm::MessageWrite;
use ponte_domain::error::{CallError, ErrorClass};
use serde_json::{Map, Value, json};
use std::collections::{BTreeMap, HashMap};

/// Pages of a contact's notes that are looked through, newest first; 200 notes each. Zoho gives ten.
const MOST_PAGES: usize = 10;

/// The contact of a message isn't there.
const NO_CONTACT: &str = "contact_gone";

type Numbered<'a> = (usize, &'a MessageWrite);

impl Zoho {
    /// Gives an outcome for every row, in order.
    pub(super) async fn put_messages(&self, rows: &[MessageWrite], mode: MessageMode) -> Vec<Outcome> {
        let (messages, whose) = crate::rows::messages(rows);
        let mut done: HashMap<usize, Outcome> = HashMap::new();
        for (index, message) in messages.iter().enumerate() {
            if !is_id(&message.contact_crm_id) && (mode == MessageMode::Module || message.crm_id.is_none()) {
                done.insert(index, Err(no_contact()));
            }
        }
        let open: Vec<Numbered<'_>> = messages.iter().enumerate().filter(|(i, _)| !done.contains_key(i)).collect();
        match mode {
            MessageMode::Module => {
                let rows: Vec<Row> = open.iter().map(|(index, m)| Row { index: *index, fields: record(m) }).collect();
                done.extend(self.client.write(MESSAGES, Op::Upsert { by: MESSAGE_KEY }, &rows).await);
            }
            MessageMode::Notes => done.extend(self.put_notes(&open).await),
        }
        let named = |outcome: Outcome| outcome.map_err(say_what_is_gone);
        whose.iter().map(|m| done.get(m).cloned().map_or_else(|| Err(unsettled()), named)).collect()
    }

    async fn put_notes(&self, open: &[Numbered<'_>]) -> HashMap<usize, Outcome> {
        let mut done: HashMap<usize, Outcome> = HashMap::new();
        let uncertain = open.iter().copied().filter(|(_, m)| m.crm_id.is_none() && m.uncertain);
        let found = self.client.find_notes(uncertain, &mut done).await;
        let (mut updates, mut inserts, mut anew) = (Vec::new(), Vec::new(), HashMap::new());
        for (index, message) in open.iter().copied().filter(|(i, _)| !done.contains_key(i)).collect::<Vec<_>>() {
            let mut fields = Map::new();
            fields.insert("Note_Title".to_owned(), json!(title(message)));
            fields.insert("Note_Content".to_owned(), json!(note(message)));
            let parent = json!({"module": {"api_name": CONTACTS}, "id": message.contact_crm_id});
            match message.crm_id.as_ref().or_else(|| found.get(&index)) {
                Some(id) => {
                    let mut again = fields.clone();
                    again.insert("Parent_Id".to_owned(), parent);
                    anew.insert(index, Row { index, fields: again });
                    fields.insert("id".to_owned(), json!(id));
                    updates.push(Row { index, fields });
                }
                None => {
                    fields.insert("Parent_Id".to_owned(), parent);
                    inserts.push(Row { index, fields });
                }
            }
        }
        let (updated, inserted) = tokio::join!(
            self.client.write(NOTES, Op::Update, &updates),
            self.client.write(NOTES, Op::Insert, &inserts)
        );
        // A note that somebody deleted is made anew, when its contact is known.
        let lost = |(index, outcome): (&usize, &Outcome)| {
            matches!(outcome, Err(e) if e.class == ErrorClass::Gone).then_some(*index)
        };
        let lost: Vec<Row> = updated.iter().filter_map(lost).filter_map(|index| anew.remove(&index)).collect();
        let lost: Vec<Row> = lost.into_iter().filter(|row| has_parent(&row.fields)).collect();
        done.extend(updated.into_iter().chain(inserted));
        done.extend(self.client.write(NOTES, Op::Insert, &lost).await);
        done
    }
}

fn has_parent(fields: &Map<String, Value>) -> bool {
    fields.get("Parent_Id").and_then(|parent| parent.get("id")?.as_str()).is_some_and(is_id)
}

impl Client {
    /// Looks for notes that may have been made before. What can't be looked for gets its error in `done`.
    async fn find_notes<'a>(
        &self,
        wanted: impl Iterator<Item = Numbered<'a>>,
        done: &mut HashMap<usize, Outcome>,
    ) -> HashMap<usize, String> {
        let mut by_contact: BTreeMap<&str, Vec<Numbered<'_>>> = BTreeMap::new();
        for (index, message) in wanted {
            by_contact.entry(&message.contact_crm_id).or_default().push((index, message));
        }
        let mut found = HashMap::new();
        for (contact, messages) in by_contact {
            if let Err(error) = self.look_through(contact, &messages, &mut found).await {
                done.extend(messages.iter().map(|(index, _)| (*index, Err(error.clone()))));
            }
        }
        found
    }

    async fn look_through(
        &self,
        contact: &str,
        messages: &[Numbered<'_>],
        found: &mut HashMap<usize, String>,
    ) -> Result<(), CallError> {
        let markers: Vec<(usize, String)> = messages.iter().map(|(i, m)| (*i, marker_of(m.message))).collect();
        for page in 1..=MOST_PAGES {
            let path = format!("/{CONTACTS}/{contact}/{NOTES}?fields=Note_Content&per_page=200&page={page}");
            let notes = rows(self.get(&path, Price::ONE).await?, "data");
            for note in &notes {
                let (Some(id), Some(text)) = (id(note), text(note, "Note_Content")) else { continue };
                let mine = markers.iter().filter(|(_, marker)| text.contains(marker.as_str()));
                found.extend(mine.map(|(index, _)| (*index, id.clone())));
            }
            if notes.len() < 200 || markers.iter().all(|(index, _)| found.contains_key(index)) {
                break;
            }
        }
        Ok(())
    }
}

/// A message as the module keeps it.
fn record(message: &MessageWrite) -> Map<String, Value> {
    let mut fields = Map::new();
    let mut put = |name: &str, value: Value| fields.insert(name.to_owned(), value);
    put("Name", json!(title(message)));
    put(MESSAGE_KEY, json!(message.message.to_string()));
    put("Contact", json!({"id": message.contact_crm_id}));
    put("Direction", json!(if message.inbound { "inbound" } else { "outbound" }));
    put("Kind", json!(cut(&message.kind, 50)));
    put("Body", json!(content(message)));
    put("Message_Time", json!(iso(message.at)));
    put("Status", json!(status_word(message)));
    if let Some(at) = message.stamps.delivered {
        put("Delivered_Time", json!(iso(at)));
    }
    if let Some(at) = message.stamps.read {
        put("Read_Time", json!(iso(at)));
    }
    if let Some(error) = &message.error {
        put("Error", json!(cut(error, 255)));
    }
    fields
}

fn is_id(id: &str) -> bool {
    !id.is_empty() && id.bytes().all(|b| b.is_ascii_digit())
}

/// The contact that a message points to is gone, or the record of the message itself.
fn say_what_is_gone(mut error: CallError) -> CallError {
    let points_nowhere = matches!(error.class, ErrorClass::Permanent | ErrorClass::Gone)
        && error.code == "INVALID_DATA"
        && (names_field(&error, "Contact") || names_field(&error, "Parent_Id"));
    if points_nowhere {
        return CallError { http_status: error.http_status, ..no_contact() };
    }
    if error.class == ErrorClass::Gone && error.code != NO_CONTACT {
        error.code = "message_gone".to_owned();
    }
    error
}

fn no_contact() -> CallError {
    CallError::new(ErrorClass::Gone, NO_CONTACT, "the contact is gone from Zoho")
}

fn unsettled() -> CallError {
    CallError::new(ErrorClass::Retryable { after_ms: Some(SECOND) }, "row_unmentioned", "the row got no outcome")
}
