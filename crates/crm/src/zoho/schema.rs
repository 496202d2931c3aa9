//! The fields and the module that the writes need, made once, and fields that a mapping needs. Zoho makes a field's name from its
//! label, so labels are chosen that give the name wanted.
//! Failure story: safe to repeat; what is there already is left as it is. Where the organisation lets us make no module (edition,
//! permission), messages go into notes.

use super::budget::Price;
use super::client::Client;
use super::config::MessagesIn;
use super::errors::{self, Effect};
use super::fields::is_unique;
use super::query::{Found, id, rows};
use super::{CONTACTS, TAG};
use http::Method;
use ponte_domain::crm::{CrmField, CrmKind};
use ponte_domain::error::{CallError, ErrorClass};
use serde_json::{Value, json};
use std::collections::HashSet;

/// How the names of our fields begin.
pub(super) const OURS: &str = "Ponte_";
/// Our external id of a contact.
pub(super) const CONTACT_KEY: &str = "Ponte_Id";
/// The module of messages.
pub(super) const MESSAGES: &str = "Ponte_WhatsApp_Messages";
/// Our external id of a message.
pub(super) const MESSAGE_KEY: &str = "Message_Id";

/// Fields that one call makes at most.
const FIELDS_PER_CALL: usize = 5;

/// The fields of contacts that write-back fills by itself: no mapping has them.
pub(super) const SYSTEM: &[&str] =
    &[CONTACT_KEY, "Ponte_WA_Id", "Ponte_User_Id", "Ponte_Username", "Ponte_Last_Inbound_At"];

/// Name and what Zoho is told of it, besides the label.
type Wanted = (&'static str, fn() -> Value);

const CONTACT: &[Wanted] = &[
    (CONTACT_KEY, || json!({"data_type": "text", "length": 100, "unique": {"casesensitive": false}})),
    ("Ponte_WA_Id", || json!({"data_type": "text", "length": 100})),
    ("Ponte_User_Id", || json!({"data_type": "text", "length": 150})),
    ("Ponte_Username", || json!({"data_type": "text", "length": 100})),
    ("Ponte_Last_Inbound_At", || json!({"data_type": "datetime"})),
];

const MESSAGE: &[Wanted] = &[
    (MESSAGE_KEY, || json!({"data_type": "text", "length": 100, "unique": {"casesensitive": false}})),
    ("Contact", || json!({"data_type": "lookup", "lookup": {"module": {"api_name": CONTACTS}}})),
    ("Direction", || json!({"data_type": "text", "length": 20})),
    ("Kind", || json!({"data_type": "text", "length": 50})),
    ("Body", || json!({"data_type": "textarea", "textarea": {"type": "large"}})),
    ("Message_Time", || json!({"data_type": "datetime"})),
    ("Status", || json!({"data_type": "text", "length": 30})),
    ("Delivered_Time", || json!({"data_type": "datetime"})),
    ("Read_Time", || json!({"data_type": "datetime"})),
    ("Error", || json!({"data_type": "text", "length": 255})),
];

/// Where messages go in this organisation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum MessageMode {
    /// Into a module of their own, by our id.
    Module,
    /// Into notes of the contact, our id in the text.
    Notes,
}

impl Client {
    /// Makes what contacts need.
    pub(super) async fn prepare_contacts(&self) -> Result<(), CallError> {
        self.ensure(CONTACTS, CONTACT).await
    }

    /// Makes what messages need, or finds out that the organisation doesn't allow it.
    pub(super) async fn prepare_messages(&self) -> Result<MessageMode, CallError> {
        if self.config.messages == MessagesIn::Notes {
            return Ok(MessageMode::Notes);
        }
        match self.ensure_module().await {
            Ok(()) => Ok(MessageMode::Module),
            Err(error) if self.config.messages == MessagesIn::Auto && refuses_module(&error) => {
                tracing::warn!(target: "ponte::crm", crm = "zoho", code = %error.code,
                    "no custom module can be made here: messages go into notes");
                Ok(MessageMode::Notes)
            }
            Err(error) => Err(error),
        }
    }

    async fn ensure_module(&self) -> Result<(), CallError> {
        let there = rows(self.get("/settings/modules", Price::ONE).await?, "modules");
        if !there.iter().any(|module| name_of(module) == Some(MESSAGES)) {
            self.make_module().await?;
        }
        self.ensure(MESSAGES, MESSAGE).await
    }

    async fn make_module(&self) -> Result<(), CallError> {
        let profiles = rows(self.get("/settings/profiles", Price::ONE).await?, "profiles");
        let profiles: Vec<Value> = profiles.iter().filter_map(|p| Some(json!({"id": id(p)?}))).collect();
        let module = json!({"singular_label": "Ponte WhatsApp Message", "plural_label": "Ponte WhatsApp Messages",
            "api_name": MESSAGES, "profiles": profiles,
            "display_field": {"field_label": "Message", "data_type": "text"}});
        let path = "/settings/modules";
        self.make(path, "modules", vec![module], Price::MODULE).await
    }

    /// Makes fields that a mapping needs.
    pub(super) async fn create_contact_fields(&self, fields: &[CrmField]) -> Result<(), CallError> {
        let there = self.described(CONTACTS).await?;
        let there: HashSet<&str> = there.iter().filter_map(name_of).collect();
        let missing = fields.iter().filter(|f| f.name != TAG && !there.contains(f.name.as_str()));
        let new: Vec<Value> = missing.map(definition).collect::<Result<_, _>>()?;
        self.make_fields(CONTACTS, new).await
    }

    async fn ensure(&self, module: &str, wanted: &[Wanted]) -> Result<(), CallError> {
        let there = self.described(module).await?;
        let find = |name: &str| there.iter().find(|f| name_of(f) == Some(name));
        let must_be_unique = |what: &Value| what.get("unique").is_some();
        if let Some((name, _)) =
            wanted.iter().find(|(name, what)| must_be_unique(&what()) && find(name).is_some_and(|f| !is_unique(f)))
        {
            let title =
                "a field that must not hold duplicates exists without: set \"Do not allow duplicate values\" in Zoho";
            return Err(CallError::new(ErrorClass::Configuration, "field_not_unique", title).with_detail(*name));
        }
        let missing = wanted.iter().filter(|(name, _)| find(name).is_none());
        let new = missing.map(|(name, what)| with_label(what(), &name.replace('_', " ")));
        self.make_fields(module, new.collect()).await
    }

    async fn make_fields(&self, module: &str, fields: Vec<Value>) -> Result<(), CallError> {
        let path = format!("/settings/fields?module={module}");
        for some in fields.chunks(FIELDS_PER_CALL) {
            self.make(&path, "fields", some.to_vec(), Price::ONE).await?;
        }
        Ok(())
    }

    /// Labels are unique, so a second try can't make a second one: a duplicate says that it is there.
    async fn make(&self, path: &str, key: &str, new: Vec<Value>, price: Price) -> Result<(), CallError> {
        let mut body = json!({});
        if let Some(fields) = body.as_object_mut() {
            fields.insert(key.to_owned(), Value::Array(new));
        }
        let answer = match self.send_body(&Method::POST, path, &body, Effect::Repeatable, price).await {
            Err(error) if matches!(error.class, ErrorClass::Conflict { .. }) => return Ok(()),
            answer => answer?,
        };
        for entry in rows(answer, key) {
            if entry.get("status").and_then(Value::as_str) != Some("error") {
                continue;
            }
            let mut error = errors::of_row(&Value::Object(entry), Effect::Repeatable);
            match error.class {
                ErrorClass::Conflict { .. } => {}
                ErrorClass::Permanent => {
                    "Zoho doesn't make this field or module: an administrator has to".clone_into(&mut error.title);
                    error.class = ErrorClass::Configuration;
                    return Err(error);
                }
                _ => return Err(error),
            }
        }
        Ok(())
    }
}

fn name_of(described: &Found) -> Option<&str> {
    described.get("api_name").and_then(Value::as_str)
}

fn with_label(mut definition: Value, label: &str) -> Value {
    if let Some(fields) = definition.as_object_mut() {
        fields.insert("field_label".to_owned(), json!(label));
    }
    definition
}

/// The name that Zoho makes of a label.
fn name_from(label: &str) -> String {
    label.chars().map(|c| if c.is_ascii_alphanumeric() { c } else { '_' }).collect()
}

fn definition(field: &CrmField) -> Result<Value, CallError> {
    let refuse = |title: &str| {
        Err(CallError::new(ErrorClass::Configuration, "field_by_hand", title).with_detail(field.name.clone()))
    };
    let options = || -> Value {
        let option = |c: &ponte_domain::crm::CrmChoice| json!({"display_value": c.label, "actual_value": c.value});
        field.choices.iter().map(option).collect()
    };
    let mut definition = match field.kind {
        CrmKind::Text | CrmKind::Other => {
            json!({"data_type": "text", "length": field.max_chars.unwrap_or(255).clamp(1, 255)})
        }
        CrmKind::LongText => json!({"data_type": "textarea", "textarea": {"type": "large"}}),
        CrmKind::Number => json!({"data_type": "double"}),
        CrmKind::Boolean => json!({"data_type": "boolean"}),
        CrmKind::Date => json!({"data_type": "date"}),
        CrmKind::Moment => json!({"data_type": "datetime"}),
        CrmKind::Choice => json!({"data_type": "picklist", "pick_list_values": options()}),
        CrmKind::MultiChoice => json!({"data_type": "multiselectpicklist", "pick_list_values": options()}),
        CrmKind::Phone => json!({"data_type": "phone"}),
        CrmKind::Email => json!({"data_type": "email"}),
        CrmKind::Url => json!({"data_type": "website"}),
        CrmKind::Reference => return refuse("an administrator makes lookups: Zoho must be told to which module"),
        CrmKind::Tags => return refuse("Zoho keeps tags in its own field Tag: map that one"),
    };
    if let (true, Some(fields)) = (field.unique, definition.as_object_mut()) {
        fields.insert("unique".to_owned(), json!({"casesensitive": false}));
    }
    // The label makes the name; where the one for people doesn't, the name itself does.
    let spaced = field.name.replace('_', " ");
    let label = if name_from(field.label.trim()) == field.name { field.label.trim() } else { spaced.trim() };
    if label.chars().count() > 50 || name_from(label) != field.name {
        return refuse("Zoho takes names of at most 50 letters, digits and _: choose another");
    }
    Ok(with_label(definition, label))
}

/// A plain no, as opposed to a fault or a limit.
fn refuses_module(error: &CallError) -> bool {
    let plain_no = matches!(error.class, ErrorClass::Configuration | ErrorClass::Permanent | ErrorClass::Gone);
    plain_no && !matches!(error.code.as_str(), "field_not_unique" | "OAUTH_SCOPE_MISMATCH")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn labels_give_the_names_wanted() {
        for (name, _) in CONTACT.iter().chain(MESSAGE) {
            assert_eq!(name_from(&name.replace('_', " ")), *name);
        }
        let mut field = CrmField::new("Opt_In", CrmKind::Boolean);
        field.label = "Opt In".into();
        assert_eq!(definition(&field).unwrap()["field_label"], "Opt In");
        field.label = "Einwilligung".into();
        assert_eq!(definition(&field).unwrap()["field_label"], "Opt In");
        field.name = "Ärger".into();
        assert_eq!(definition(&field).unwrap_err().code, "field_by_hand");
        assert!(definition(&CrmField::new("Boss", CrmKind::Reference)).is_err());
    }

    #[test]
    fn our_fields_are_the_ones_no_mapping_sees() {
        let made: Vec<&str> = CONTACT.iter().map(|(name, _)| *name).collect();
        assert_eq!(made, SYSTEM);
    }
}
