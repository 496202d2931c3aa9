//! Reading contacts: which properties there are, and all contacts page by page. Facts: crm-apis section 1.
//! Failure story: reads only; a page that can't be read may be asked for again.

use super::batch::Record;
use super::client::Client;
use super::schema::OURS;
use ponte_domain::crm::{CrmField, CrmPage, CrmRecord};
use ponte_domain::error::{CallError, ErrorClass};
use serde::Deserialize;
use serde_json::Value;

/// Contacts of one page: as many as HubSpot gives.
const PAGE: usize = 100;
/// Names of properties travel in the address.
const MAX_NAMES: usize = 3_000;

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

impl Client {
    /// The properties of contacts, ours left out.
    pub(super) async fn contact_properties(&self) -> Result<Vec<CrmField>, CallError> {
        let answer = self.get(&self.properties("contacts")).await?;
        let all = answer.get("results").and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default();
        let field = |p: &Value| {
            let text = |key: &str| p.get(key).and_then(Value::as_str).map(str::to_owned);
            let flag = |key: &str| p.get(key).and_then(Value::as_bool) == Some(true);
            let name = text("name")?;
            if name.starts_with(OURS) || flag("hidden") || flag("archived") {
                return None;
            }
            let usual =
                USUAL.contains(&name.as_str()) || p.get("hubspotDefined").and_then(Value::as_bool) != Some(true);
            Some(CrmField { label: text("label").unwrap_or_else(|| name.clone()), usual, name })
        };
        Ok(all.iter().filter_map(field).collect())
    }

    /// A page of contacts with these properties.
    pub(super) async fn contacts_after(&self, fields: &[String], after: Option<&str>) -> Result<CrmPage, CallError> {
        let names = fields.join(",");
        let plain = |c: char| c.is_ascii_alphanumeric() || c == '_';
        if names.len() > MAX_NAMES || !fields.iter().all(|f| !f.is_empty() && f.chars().all(plain)) {
            let title = "more properties than an address can hold, or a name that can't be one: name fewer fields";
            return Err(CallError::new(ErrorClass::Configuration, "fields_invalid", title));
        }
        let mut path = self.objects(&format!("contacts?limit={PAGE}&archived=false&properties={names}"));
        if let Some(after) = after.filter(|after| after.chars().all(plain)) {
            path.push_str("&after=");
            path.push_str(after);
        }
        let answer = self.get(&path).await?;
        let list: List = serde_json::from_value(answer).map_err(|_| {
            let class = ErrorClass::Retryable { after_ms: None };
            CallError::new(class, "answer_unreadable", "HubSpot's list of contacts doesn't have the form expected")
        })?;
        let record =
            |r: Record| CrmRecord { values: fields.iter().map(|f| r.value(f).map(str::to_owned)).collect(), id: r.id };
        Ok(CrmPage {
            records: list.results.into_iter().map(record).collect(),
            next: list.paging.and_then(|p| p.next).map(|n| n.after),
        })
    }
}
