//! What fields an object has, as the integration user sees them: asked once, and again after Salesforce objected to one.
//! Failure story: reads only. A field that the user may not see doesn't exist here, which is what writes must obey.

use super::client::{Client, unreadable};
use super::errors::Effect;
use ponte_domain::crm::{CrmChoice, CrmField, CrmKind};
use ponte_domain::error::{CallError, ErrorClass};
use serde::Deserialize;
use serde_json::Value;
use std::collections::HashMap;
use std::sync::Arc;
use tokio::sync::RwLock;

/// Our external id of a contact or lead.
pub(super) const KEY: &str = "Ponte_Id__c";

/// The fields of contacts and leads that write-back fills by itself: no mapping has them.
pub(super) const SYSTEM: &[&str] =
    &[KEY, "Ponte_WhatsApp_Id__c", "Ponte_User_Id__c", "Ponte_Username__c", "Ponte_Last_Inbound_At__c"];

/// Of the standard fields those that tell who somebody is.
const USUAL: &[&str] = &[
    "FirstName",
    "LastName",
    "Salutation",
    "Phone",
    "MobilePhone",
    "HomePhone",
    "Email",
    "Title",
    "Department",
    "Birthdate",
    "Company",
    "MailingStreet",
    "MailingCity",
    "MailingState",
    "MailingPostalCode",
    "MailingCountry",
    "Street",
    "City",
    "State",
    "PostalCode",
    "Country",
    "LeadSource",
    "Status",
    "AccountId",
    "OwnerId",
];

/// A field as Salesforce describes it.
#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Described {
    pub(super) name: String,
    #[serde(default)]
    label: Option<String>,
    #[serde(default, rename = "type")]
    kind: String,
    #[serde(default)]
    length: usize,
    #[serde(default)]
    custom: bool,
    #[serde(default)]
    createable: bool,
    #[serde(default)]
    updateable: bool,
    #[serde(default)]
    nillable: bool,
    #[serde(default)]
    defaulted_on_create: bool,
    #[serde(default)]
    unique: bool,
    #[serde(default)]
    external_id: bool,
    #[serde(default)]
    restricted_picklist: bool,
    #[serde(default)]
    picklist_values: Vec<Pick>,
}

#[derive(Debug, Clone, Deserialize)]
struct Pick {
    value: String,
    #[serde(default)]
    label: Option<String>,
    #[serde(default)]
    active: bool,
}

impl Described {
    fn kind(&self) -> CrmKind {
        match self.kind.as_str() {
            "string" | "encryptedstring" => CrmKind::Text,
            "textarea" => CrmKind::LongText,
            "int" | "long" | "double" | "currency" | "percent" => CrmKind::Number,
            "boolean" => CrmKind::Boolean,
            "date" => CrmKind::Date,
            "datetime" => CrmKind::Moment,
            "picklist" | "combobox" => CrmKind::Choice,
            "multipicklist" => CrmKind::MultiChoice,
            "phone" => CrmKind::Phone,
            "email" => CrmKind::Email,
            "url" => CrmKind::Url,
            "reference" => CrmKind::Reference,
            _ => CrmKind::Other,
        }
    }

    fn field(&self) -> CrmField {
        let kind = self.kind();
        let text = matches!(kind, CrmKind::Text | CrmKind::LongText | CrmKind::Phone | CrmKind::Email | CrmKind::Url);
        let choices = self
            .picklist_values
            .iter()
            .filter(|p| p.active)
            .map(|p| CrmChoice { value: p.value.clone(), label: p.label.clone().unwrap_or_else(|| p.value.clone()) });
        CrmField {
            label: self.label.clone().filter(|l| !l.is_empty()).unwrap_or_else(|| self.name.clone()),
            usual: self.custom || USUAL.contains(&self.name.as_str()),
            writable: self.createable && self.updateable && kind != CrmKind::Other,
            required: self.createable && !self.nillable && !self.defaulted_on_create,
            unique: self.unique,
            max_chars: (text && self.length > 0).then_some(self.length),
            choices: choices.collect(),
            strict_choices: self.restricted_picklist,
            ..CrmField::new(self.name.clone(), kind)
        }
    }
}

/// The fields of one object.
#[derive(Debug, Default)]
pub(super) struct Shape {
    fields: Vec<Described>,
    by_name: HashMap<String, usize>,
}

impl Shape {
    fn of(fields: Vec<Described>) -> Self {
        let by_name = fields.iter().enumerate().map(|(at, field)| (field.name.clone(), at)).collect();
        Self { fields, by_name }
    }

    fn find(&self, name: &str) -> Option<&Described> {
        self.fields.get(*self.by_name.get(name)?)
    }

    /// The user sees this field.
    pub(super) fn has(&self, name: &str) -> bool {
        self.by_name.contains_key(name)
    }

    /// The user may write this field: always, or when the record is made.
    pub(super) fn takes(&self, name: &str, creating: bool) -> bool {
        self.find(name).is_some_and(|f| if creating { f.createable } else { f.updateable })
    }

    pub(super) fn kind(&self, name: &str) -> Option<CrmKind> {
        self.find(name).map(Described::kind)
    }

    /// Upserts can go by this field.
    pub(super) fn is_key(&self, name: &str) -> bool {
        self.find(name).is_some_and(|f| f.external_id && f.unique)
    }

    /// All that can be read, without what carries our ids and what a query of many records can't show.
    pub(super) fn crm_fields(&self) -> Vec<CrmField> {
        let shown = |f: &&Described| !SYSTEM.contains(&f.name.as_str()) && f.kind != "base64";
        self.fields.iter().filter(shown).map(Described::field).collect()
    }
}

/// Shapes asked for so far. `None`: there is no such object, or the user doesn't see it.
#[derive(Default)]
pub(super) struct Shapes(RwLock<HashMap<&'static str, Option<Arc<Shape>>>>);

impl Shapes {
    /// An object's fields; `None` when there is no such object.
    pub(super) async fn look(&self, client: &Client, object: &'static str) -> Result<Option<Arc<Shape>>, CallError> {
        if let Some(known) = self.0.read().await.get(object) {
            return Ok(known.clone());
        }
        let mut held = self.0.write().await;
        if let Some(known) = held.get(object) {
            return Ok(known.clone());
        }
        let shape = match client.get(&format!("/sobjects/{object}/describe")).await {
            Ok(mut answer) => {
                let fields = answer.get_mut("fields").map(Value::take).unwrap_or_default();
                let fields: Vec<Described> =
                    serde_json::from_value(fields).map_err(|_| unreadable(Effect::Repeatable))?;
                Some(Arc::new(Shape::of(fields)))
            }
            Err(error) if error.http_status == Some(404) => None,
            Err(error) => return Err(error),
        };
        held.insert(object, shape.clone());
        Ok(shape)
    }

    /// The same, of an object that must be there.
    pub(super) async fn of(&self, client: &Client, object: &'static str) -> Result<Arc<Shape>, CallError> {
        self.look(client, object).await?.ok_or_else(|| {
            let title = "the integration user doesn't see this object: grant it in a permission set";
            CallError::new(ErrorClass::Configuration, "object_hidden", title).with_detail(object)
        })
    }

    /// Asks anew next time: something changed, or Salesforce objected.
    pub(super) async fn forget(&self) {
        self.0.write().await.clear();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn fields_are_told_with_their_limits() {
        let shape = Shape::of(
            serde_json::from_value(json!([
                {"name": "LastName", "type": "string", "length": 80, "createable": true, "updateable": true},
                {"name": "Name", "type": "string", "length": 121, "nillable": false},
                {"name": "LeadSource", "type": "picklist", "nillable": true, "createable": true, "updateable": true,
                 "length": 255, "picklistValues": [{"value": "Web", "label": "Net", "active": true},
                                                   {"value": "Old", "active": false}]},
                {"name": "Stage__c", "type": "picklist", "custom": true, "nillable": true, "restrictedPicklist": true},
                {"name": "MailingAddress", "type": "address", "nillable": true},
                {"name": "Photo", "type": "base64"},
                {"name": KEY, "type": "string", "unique": true, "externalId": true, "createable": true, "updateable": true},
            ]))
            .unwrap(),
        );
        let fields = shape.crm_fields();
        let find = |name: &str| fields.iter().find(|f| f.name == name);
        let last = find("LastName").unwrap();
        assert!(last.required && last.writable && last.usual && last.max_chars == Some(80));
        assert!(!find("Name").unwrap().writable && !find("Name").unwrap().required);
        let source = find("LeadSource").unwrap();
        assert_eq!((source.kind, source.max_chars, source.strict_choices), (CrmKind::Choice, None, false));
        assert_eq!(source.choices, [CrmChoice { value: "Web".into(), label: "Net".into() }]);
        assert!(find("Stage__c").unwrap().strict_choices && find("Stage__c").unwrap().usual);
        assert_eq!(find("MailingAddress").unwrap().kind, CrmKind::Other);
        assert!(find("Photo").is_none() && find(KEY).is_none() && shape.is_key(KEY));
    }
}
