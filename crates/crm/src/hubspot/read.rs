//! Reading contacts: which properties there are, all contacts page by page, some by their ids. Facts: crm-apis section 1.
//! Failure story: reads only; what can't be read may be asked for again.

use super::batch::Record;
use super::client::Client;
use super::schema::{CONTACT_KEY, OURS, SYSTEM};
use jiff::Timestamp;
use ponte_domain::Millis;
use ponte_domain::crm::{CrmChoice, CrmField, CrmKind, CrmPage, CrmRecord};
use ponte_domain::error::{CallError, ErrorClass};
use serde::Deserialize;
use serde_json::Value;
use std::collections::HashMap;

/// Contacts of one page: as many as HubSpot gives.
const PAGE: usize = 100;
/// Names of properties travel in the address.
const MAX_NAMES: usize = 3_000;
/// What became part of this contact: ids, `;` between them.
const MERGED_IDS: &str = "hs_merged_object_ids";

/// Of HubSpot's own several hundred properties those that tell who somebody is.
const USUAL: &[&str] = &[
    "firstname",
    "lastname",
    "phone",
    "mobilephone",
    "hs_whatsapp_phone_number",
    "email",
    "company",
    "jobtitle",
    "city",
    "state",
    "zip",
    "country",
    "hs_language",
    "date_of_birth",
    "lifecyclestage",
    "hubspot_owner_id",
];

#[derive(Deserialize)]
struct List {
    results: Vec<Record>,
    #[serde(default)]
    paging: Option<Paging>,
}

#[derive(Deserialize)]
struct Paging {
    next: Option<Next>,
}

#[derive(Deserialize)]
struct Next {
    after: String,
}

/// A property as HubSpot describes it.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Described {
    name: String,
    #[serde(default)]
    label: Option<String>,
    #[serde(default, rename = "type")]
    kind: String,
    #[serde(default)]
    field_type: String,
    #[serde(default)]
    hidden: bool,
    #[serde(default)]
    archived: bool,
    #[serde(default)]
    calculated: bool,
    #[serde(default)]
    hubspot_defined: Option<bool>,
    #[serde(default)]
    has_unique_value: bool,
    #[serde(default)]
    options: Vec<Choice>,
    #[serde(default)]
    modification_metadata: Option<Metadata>,
}

#[derive(Deserialize)]
struct Choice {
    value: String,
    #[serde(default)]
    label: Option<String>,
    #[serde(default)]
    hidden: bool,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Metadata {
    #[serde(default)]
    read_only_value: bool,
}

impl Described {
    fn field(self) -> CrmField {
        let kind = match (self.kind.as_str(), self.field_type.as_str()) {
            ("string", "textarea" | "html") => CrmKind::LongText,
            ("string", "phonenumber") | ("phone_number", _) => CrmKind::Phone,
            ("string", _) if self.name == "email" => CrmKind::Email,
            ("string", _) if self.name == "website" => CrmKind::Url,
            ("string", _) => CrmKind::Text,
            ("number", _) => CrmKind::Number,
            ("bool", _) | ("enumeration", "booleancheckbox") => CrmKind::Boolean,
            ("enumeration", "checkbox") => CrmKind::MultiChoice,
            // Owners and the like: the choices are records of the account, which are not told here.
            ("enumeration", _) if self.options.is_empty() => CrmKind::Reference,
            ("enumeration", _) => CrmKind::Choice,
            ("date", _) => CrmKind::Date,
            ("datetime", _) => CrmKind::Moment,
            _ => CrmKind::Other,
        };
        let has_choices = matches!(kind, CrmKind::Choice | CrmKind::MultiChoice);
        CrmField {
            label: self.label.filter(|l| !l.is_empty()).unwrap_or_else(|| self.name.clone()),
            usual: USUAL.contains(&self.name.as_str())
                || (self.hubspot_defined != Some(true) && !self.name.starts_with(OURS)),
            writable: !self.calculated && !self.modification_metadata.is_some_and(|m| m.read_only_value),
            unique: self.has_unique_value || self.name == "email",
            choices: self
                .options
                .into_iter()
                .filter(|o| !o.hidden && has_choices)
                .map(|o| CrmChoice { label: o.label.unwrap_or_else(|| o.value.clone()), value: o.value })
                .collect(),
            max_chars: matches!(kind, CrmKind::Text | CrmKind::LongText).then_some(65_536),
            ..CrmField::new(self.name, kind)
        }
    }
}

impl Client {
    /// The properties of contacts, without those that carry our ids.
    pub(super) async fn contact_properties(&self) -> Result<Vec<CrmField>, CallError> {
        let answer = self.get(&self.properties("contacts")).await?;
        let all = answer.get("results").and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default();
        let field = |p: &Value| {
            let described = Described::deserialize(p).ok()?;
            let ours = SYSTEM.contains(&described.name.as_str());
            (!ours && !described.hidden && !described.archived).then(|| described.field())
        };
        Ok(all.iter().filter_map(field).collect())
    }

    /// A page of contacts with these properties.
    pub(super) async fn contacts_after(&self, fields: &[String], after: Option<&str>) -> Result<CrmPage, CallError> {
        let names = [fields, &[CONTACT_KEY.to_owned()]].concat().join(",");
        if names.len() > MAX_NAMES {
            return Err(bad_fields());
        }
        checked(fields)?;
        let mut path = self.objects(&format!("contacts?limit={PAGE}&archived=false&properties={names}"));
        if let Some(after) = after.filter(|after| after.chars().all(plain)) {
            path.push_str("&after=");
            path.push_str(after);
        }
        let answer = self.get(&path).await?;
        let list: List = serde_json::from_value(answer).map_err(|_| unreadable())?;
        Ok(CrmPage {
            records: list.results.iter().map(|r| record(r, fields)).collect(),
            next: list.paging.and_then(|p| p.next).map(|n| n.after),
        })
    }

    /// These contacts as they are now, in the order of the ids; a merged one as what it became.
    pub(super) async fn contacts_by_id(
        &self,
        ids: &[String],
        fields: &[String],
    ) -> Result<Vec<Option<CrmRecord>>, CallError> {
        checked(fields)?;
        let properties: Vec<&str> = fields.iter().map(String::as_str).chain([CONTACT_KEY, MERGED_IDS]).collect();
        let found = self.read_many("contacts", None, ids, &properties).await?;
        let mut by_id: HashMap<&str, &Record> = HashMap::new();
        for contact in &found {
            let merged = contact.value(MERGED_IDS).unwrap_or_default();
            for id in merged.split(';').map(str::trim).filter(|id| !id.is_empty()) {
                by_id.entry(id).or_insert(contact);
            }
        }
        by_id.extend(found.iter().map(|contact| (contact.id.as_str(), contact)));
        Ok(ids.iter().map(|id| by_id.get(id.as_str()).map(|contact| record(contact, fields))).collect())
    }
}

/// A contact with these fields.
pub(super) fn record(contact: &Record, fields: &[String]) -> CrmRecord {
    let value = |name: &String| contact.value(name).map_or(Value::Null, Value::from);
    CrmRecord {
        id: contact.id.clone(),
        person: contact.value(CONTACT_KEY).and_then(|key| key.parse().ok()),
        modified_at: contact.updated.as_deref().and_then(moment),
        values: fields.iter().map(value).collect(),
    }
}

/// `2026-11-23T02:30:00.123Z`.
fn moment(text: &str) -> Option<Millis> {
    text.parse::<Timestamp>().ok().map(Timestamp::as_millisecond)
}

/// Names of properties go into addresses and searches as they stand.
pub(super) fn checked(fields: &[String]) -> Result<(), CallError> {
    let fine = fields.iter().all(|f| !f.is_empty() && f.chars().all(plain));
    if fine { Ok(()) } else { Err(bad_fields()) }
}

const fn plain(c: char) -> bool {
    c.is_ascii_alphanumeric() || c == '_'
}

fn bad_fields() -> CallError {
    let title = "more properties than an address can hold, or a name that can't be one: name fewer fields";
    CallError::new(ErrorClass::Configuration, "fields_invalid", title)
}

fn unreadable() -> CallError {
    let class = ErrorClass::Retryable { after_ms: None };
    CallError::new(class, "answer_unreadable", "HubSpot's list of contacts doesn't have the form expected")
}
