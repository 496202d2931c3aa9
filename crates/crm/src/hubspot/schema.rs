//! The properties that the writes need, made once. Whether communications (HubSpot's record of a WhatsApp message) take
//! properties of one's own is not documented, so it is found out by trying; without them the message id travels in the text.
//! Failure story: safe to repeat; what is there already is left as it is.

use super::client::Client;
use super::errors::Effect;
use ponte_domain::crm::{CrmField, CrmKind};
use ponte_domain::error::{CallError, ErrorClass};
use serde_json::{Value, json};

const GROUP: &str = "ponte";

/// How the names of our properties begin.
pub(super) const OURS: &str = "ponte_";
/// Our external id of a contact.
pub(super) const CONTACT_KEY: &str = "ponte_id";
/// Our external id of a message.
pub(super) const MESSAGE_KEY: &str = "ponte_message_id";

/// Name, label, type, field type, unique.
type Property = (&'static str, &'static str, &'static str, &'static str, bool);

const CONTACT: &[Property] = &[
    (CONTACT_KEY, "Ponte id", "string", "text", true),
    ("ponte_wa_id", "WhatsApp id", "string", "text", false),
    ("ponte_user_id", "WhatsApp user id", "string", "text", false),
    ("ponte_username", "WhatsApp username", "string", "text", false),
    ("ponte_last_inbound_at", "Last WhatsApp message from the contact", "datetime", "date", false),
];

/// The properties of contacts that write-back fills by itself: no mapping has them.
pub(super) const SYSTEM: &[&str] =
    &[CONTACT_KEY, "ponte_wa_id", "ponte_user_id", "ponte_username", "ponte_last_inbound_at"];

const MESSAGE: &[Property] = &[
    (MESSAGE_KEY, "Ponte message id", "string", "text", true),
    ("ponte_status", "WhatsApp status", "string", "text", false),
    ("ponte_direction", "WhatsApp direction", "string", "text", false),
    ("ponte_kind", "WhatsApp message kind", "string", "text", false),
    ("ponte_error", "WhatsApp error", "string", "text", false),
    ("ponte_delivered_at", "WhatsApp delivered", "datetime", "date", false),
    ("ponte_read_at", "WhatsApp read", "datetime", "date", false),
];

/// How messages carry our id.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum MessageMode {
    /// In properties of their own.
    Properties,
    /// In the text.
    Marker,
}

impl Client {
    /// Makes what contacts need.
    pub(super) async fn prepare_contacts(&self) -> Result<(), CallError> {
        self.ensure("contacts", CONTACT).await
    }

    /// Makes what messages need, or finds out that HubSpot doesn't allow it.
    pub(super) async fn prepare_messages(&self) -> Result<MessageMode, CallError> {
        match self.ensure("communications", MESSAGE).await {
            Ok(()) => Ok(MessageMode::Properties),
            Err(error) if refuses_properties(&error) => {
                tracing::warn!(target: "ponte::crm", crm = "hubspot", code = %error.code,
                    "messages take no properties here: the message id goes into the text");
                Ok(MessageMode::Marker)
            }
            Err(error) => Err(error),
        }
    }

    /// Makes properties that a mapping needs.
    pub(super) async fn create_properties(&self, fields: &[CrmField]) -> Result<(), CallError> {
        self.make_group("contacts").await?;
        for field in fields {
            let (kind, shown) = match field.kind {
                CrmKind::LongText => ("string", "textarea"),
                CrmKind::Phone => ("string", "phonenumber"),
                CrmKind::Number => ("number", "number"),
                CrmKind::Boolean => ("bool", "booleancheckbox"),
                CrmKind::Date => ("date", "date"),
                CrmKind::Moment => ("datetime", "date"),
                CrmKind::Choice => ("enumeration", "select"),
                CrmKind::MultiChoice | CrmKind::Tags => ("enumeration", "checkbox"),
                _ => ("string", "text"),
            };
            let mut property = json!({"groupName": GROUP, "name": field.name, "label": field.label, "type": kind,
                                      "fieldType": shown, "hasUniqueValue": field.unique});
            let options: Vec<Value> = match field.kind {
                CrmKind::Boolean => ["true", "false"].map(|v| option(v, if v == "true" { "Yes" } else { "No" })).into(),
                _ => field.choices.iter().map(|c| option(&c.value, &c.label)).collect(),
            };
            if let (false, Some(property)) = (options.is_empty(), property.as_object_mut()) {
                property.insert("options".to_owned(), Value::Array(options));
            }
            self.make(&self.properties("contacts"), property).await?;
        }
        Ok(())
    }

    async fn make_group(&self, object: &str) -> Result<(), CallError> {
        let group = json!({"name": GROUP, "label": "Ponte", "displayOrder": -1});
        self.make(&self.properties(&format!("{object}/groups")), group).await
    }

    async fn ensure(&self, object: &str, wanted: &[Property]) -> Result<(), CallError> {
        let there = self.get(&self.properties(object)).await?;
        let there = there.get("results").and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default();
        let find = |name: &str| there.iter().find(|p| p.get("name").and_then(Value::as_str) == Some(name));
        let unique = |p: &Value| p.get("hasUniqueValue").and_then(Value::as_bool) == Some(true);
        if let Some((name, ..)) = wanted.iter().find(|(name, .., must)| *must && find(name).is_some_and(|p| !unique(p)))
        {
            let title = "a property that must have unique values exists without: delete it in HubSpot and try again";
            return Err(CallError::new(ErrorClass::Configuration, "property_not_unique", title).with_detail(*name));
        }
        let missing: Vec<_> = wanted.iter().filter(|(name, ..)| find(name).is_none()).collect();
        if missing.is_empty() {
            return Ok(());
        }
        self.make_group(object).await?;
        for (name, label, kind, field, unique) in missing {
            let property = json!({"groupName": GROUP, "name": name, "label": label, "type": kind, "fieldType": field,
                                  "hasUniqueValue": unique});
            self.make(&self.properties(object), property).await?;
        }
        Ok(())
    }

    /// Names are unique, so a second try can't make a second one: 409 says that it is there.
    async fn make(&self, path: &str, body: Value) -> Result<(), CallError> {
        match self.post(path, &body, Effect::Repeatable).await {
            Ok(_) => Ok(()),
            Err(error) if matches!(error.class, ErrorClass::Conflict { .. }) => Ok(()),
            Err(error) => Err(error),
        }
    }
}

fn option(value: &str, label: &str) -> Value {
    json!({"value": value, "label": label, "hidden": false})
}

/// A plain no, as opposed to a fault or a limit.
fn refuses_properties(error: &CallError) -> bool {
    matches!(error.http_status, Some(400 | 403 | 404 | 405 | 422)) && error.code != "property_not_unique"
}
