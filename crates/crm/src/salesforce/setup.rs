//! The fields that writes need. They come with the package in `integrations/salesforce`; where the integration user may customize the
//! org, missing fields of contacts and leads are made over the Tooling API and granted by a permission set of that user.
//! Failure story: safe to repeat; what is there already is left as it is. A field that exists and isn't granted doesn't exist as far
//! as the API tells, so making it again fails with its name taken, and granting it is what was missing.

use super::Salesforce;
use super::config::{SalesforceMessages, SalesforceObject};
use super::errors::Effect;
use super::messages::{MESSAGE, MESSAGE_KEY, Mode};
use super::shape::{KEY, SYSTEM, Shape};
use super::soql::{is_name, quoted};
use ponte_domain::crm::{CrmField, CrmKind};
use ponte_domain::error::{CallError, ErrorClass};
use serde_json::{Value, json};

/// Longest label of a field.
const LABEL: usize = 40;

impl Salesforce {
    /// The objects that hold people.
    pub(super) fn people(&self) -> &'static [SalesforceObject] {
        match self.client.config.object {
            SalesforceObject::Contact => &[SalesforceObject::Contact],
            SalesforceObject::Lead => &[SalesforceObject::Lead, SalesforceObject::Contact],
        }
    }

    /// Makes what is missing, or says what someone has to do.
    pub(super) async fn prepare_all(&self) -> Result<(), CallError> {
        self.shapes.forget().await;
        for object in self.people() {
            let object = object.name();
            let shape = self.shapes.of(&self.client, object).await?;
            if !SYSTEM.iter().all(|name| shape.has(name)) {
                self.make_system_fields(object, &shape).await?;
            }
            let shape = self.shapes.of(&self.client, object).await?;
            if !shape.is_key(KEY) {
                let title =
                    "the field Ponte_Id__c must be an external id with unique values: delete it and deploy the package";
                return Err(CallError::new(ErrorClass::Configuration, "key_not_unique", title).with_detail(object));
            }
        }
        self.mode().await.map(drop)
    }

    async fn make_system_fields(&self, object: &str, shape: &Shape) -> Result<(), CallError> {
        let missing: Vec<&str> = SYSTEM.iter().copied().filter(|name| !shape.has(name)).collect();
        for name in &missing {
            if let Err(error) = self.make_field(object, name, system_field(name)).await {
                if error.class != ErrorClass::Configuration {
                    return Err(error);
                }
                if *name == KEY {
                    let title = "fields are missing and may not be made by the integration user: deploy the package in \
                                 integrations/salesforce and assign its permission set";
                    return Err(CallError::new(ErrorClass::Configuration, "package_missing", title)
                        .with_detail(format!("{object}: {} ({})", missing.join(", "), error.code)));
                }
                tracing::warn!(target: "ponte::crm", crm = "salesforce", field = name, code = %error.code,
                    "a field is missing and can't be made: going on without");
            }
        }
        self.shapes.forget().await;
        Ok(())
    }

    /// Makes fields that a mapping needs.
    pub(super) async fn make_fields(&self, fields: &[CrmField]) -> Result<(), CallError> {
        let object = self.client.config.object.name();
        if let Some(bad) = fields.iter().find(|f| !is_name(&f.name) || !f.name.ends_with("__c")) {
            let title =
                "names of custom fields in Salesforce are letters, digits and single underscores, and end in __c";
            return Err(CallError::new(ErrorClass::Configuration, "field_name", title).with_detail(bad.name.as_str()));
        }
        self.shapes.forget().await;
        let shape = self.shapes.of(&self.client, object).await?;
        for field in fields.iter().filter(|f| !shape.has(&f.name)) {
            self.make_field(object, &field.name, definition(field)).await?;
        }
        self.shapes.forget().await;
        Ok(())
    }

    async fn make_field(&self, object: &str, name: &str, metadata: Value) -> Result<(), CallError> {
        let full = format!("{object}.{name}");
        let body = json!({"FullName": full, "Metadata": metadata});
        match self.client.post("/tooling/sobjects/CustomField", &body, Effect::Repeatable).await {
            Ok(_) => {}
            // It is there, and hidden.
            Err(error) if error.code == "DUPLICATE_DEVELOPER_NAME" => {}
            Err(error) => return Err(error),
        }
        let grant = json!({"ParentId": self.permission_set().await?, "SobjectType": object, "Field": full,
                           "PermissionsRead": true, "PermissionsEdit": true});
        match self.client.post("/sobjects/FieldPermissions", &grant, Effect::Repeatable).await {
            Ok(_) => Ok(()),
            Err(error) if matches!(error.class, ErrorClass::Conflict { .. }) => Ok(()),
            Err(error) => Err(error),
        }
    }

    /// A permission set of the integration user's: ours if it is among them.
    async fn permission_set(&self) -> Result<String, CallError> {
        let user = self.client.user().await?.unwrap_or_default();
        let soql = format!(
            "SELECT PermissionSetId, PermissionSet.Name, PermissionSet.IsOwnedByProfile FROM PermissionSetAssignment \
             WHERE AssigneeId = {}",
            quoted(&user)
        );
        let mut sets = self.client.query(&soql, false).await?.records;
        // A profile's own set can't be changed.
        sets.retain(|set| set.pointer("/PermissionSet/IsOwnedByProfile").and_then(Value::as_bool) != Some(true));
        let named =
            |set: &&Value| set.pointer("/PermissionSet/Name").and_then(Value::as_str) == Some("Ponte_Integration");
        let set = sets.iter().find(named).or_else(|| sets.first());
        set.and_then(|set| set.get("PermissionSetId")?.as_str()).map(str::to_owned).ok_or_else(|| {
            let title = "the integration user has no permission set that could grant the new field: assign one";
            CallError::new(ErrorClass::Configuration, "no_permission_set", title)
        })
    }

    /// Where messages go in this org; asks the org the first time.
    pub(super) async fn mode(&self) -> Result<Mode, CallError> {
        let wanted = self.client.config.messages;
        if wanted == SalesforceMessages::Task {
            return Ok(Mode::Task);
        }
        let shape = self.shapes.look(&self.client, MESSAGE).await?;
        let mode = match shape.filter(|shape| shape.is_key(MESSAGE_KEY)) {
            Some(shape) => Mode::Object(shape),
            None if wanted == SalesforceMessages::Auto => Mode::Task,
            None => {
                let title = "the object for messages is missing or not granted: deploy the package in \
                             integrations/salesforce and assign its permission set";
                return Err(CallError::new(ErrorClass::Configuration, "package_missing", title).with_detail(MESSAGE));
            }
        };
        self.upserts_messages.store(matches!(mode, Mode::Object(_)), std::sync::atomic::Ordering::Relaxed);
        Ok(mode)
    }
}

/// Our own fields, as in the package.
fn system_field(name: &str) -> Value {
    match name {
        KEY => json!({"label": "Ponte id", "type": "Text", "length": 64, "externalId": true, "unique": true,
                      "caseSensitive": false, "required": false}),
        "Ponte_Last_Inbound_At__c" => json!({"label": "Last WhatsApp message received", "type": "DateTime"}),
        "Ponte_WhatsApp_Id__c" => json!({"label": "WhatsApp id", "type": "Text", "length": 64}),
        "Ponte_User_Id__c" => json!({"label": "WhatsApp user id", "type": "Text", "length": 150}),
        _ => json!({"label": "WhatsApp username", "type": "Text", "length": 100}),
    }
}

/// A field of the mapping, as the Metadata API writes it.
fn definition(field: &CrmField) -> Value {
    let label: String = field.label.chars().take(LABEL).collect();
    let mut out = match field.kind {
        CrmKind::LongText => json!({"type": "LongTextArea", "length": 32_768, "visibleLines": 4}),
        CrmKind::Number => json!({"type": "Number", "precision": 18, "scale": 4, "unique": field.unique}),
        CrmKind::Boolean => json!({"type": "Checkbox", "defaultValue": false}),
        CrmKind::Date => json!({"type": "Date"}),
        CrmKind::Moment => json!({"type": "DateTime"}),
        CrmKind::Phone => json!({"type": "Phone"}),
        CrmKind::Email => json!({"type": "Email", "unique": field.unique}),
        CrmKind::Url => json!({"type": "Url"}),
        CrmKind::Choice => json!({"type": "Picklist", "valueSet": value_set(field)}),
        CrmKind::MultiChoice | CrmKind::Tags => {
            json!({"type": "MultiselectPicklist", "visibleLines": 4, "valueSet": value_set(field)})
        }
        _ => {
            let length = field.max_chars.unwrap_or(255).clamp(1, 255);
            json!({"type": "Text", "length": length, "unique": field.unique})
        }
    };
    if let Some(out) = out.as_object_mut() {
        out.insert("label".to_owned(), Value::String(label));
        if out.get("unique") == Some(&Value::Bool(false)) {
            out.remove("unique");
        }
    }
    out
}

fn value_set(field: &CrmField) -> Value {
    let choice = |value: &str, label: &str| json!({"fullName": value, "label": label, "default": false});
    let mut values: Vec<Value> = field.choices.iter().map(|c| choice(&c.value, &c.label)).collect();
    if values.is_empty() {
        // A list of values has at least one; others are taken as they come.
        values.push(choice("WhatsApp", "WhatsApp"));
    }
    let restricted = field.strict_choices && !field.choices.is_empty() && field.kind != CrmKind::Tags;
    json!({"restricted": restricted, "valueSetDefinition": {"sorted": false, "value": values}})
}
