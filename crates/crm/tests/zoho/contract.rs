//! What is asked of Zoho against Zoho's published OpenAPI files, where they are at hand: `PONTE_SPECS` names the folder that has
//! `zoho/`. The files reuse the shapes of answers for requests and so call nearly everything required; that is not looked at.

use crate::server::{Answer, Ask, Server, echo, message, ok, person};
use ponte_crm::zoho::MessagesIn;
use ponte_domain::crm::{CrmField, CrmKind};
use ponte_domain::ports::crm::Crm;
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::path::PathBuf;

/// File, and what it says that isn't so: a channel's id is digits in a string, on Zoho's pages and in its own SDKs.
const WRONG: &[(&str, &str)] = &[("notifications.json", "channel_id: a string where an object should be")];

struct Specs {
    files: BTreeMap<String, Value>,
}

impl Specs {
    fn read(folder: PathBuf) -> Self {
        let read = |entry: std::io::Result<std::fs::DirEntry>| {
            let path = entry.unwrap().path();
            let name = path.file_name()?.to_str()?.to_owned();
            name.ends_with(".json").then(|| (name, serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap()))
        };
        Self { files: std::fs::read_dir(folder).unwrap().filter_map(read).collect() }
    }

    fn follow<'a>(&'a self, file: &'a str, schema: &'a Value) -> (&'a str, &'a Value) {
        let Some(reference) = schema["$ref"].as_str() else { return (file, schema) };
        let (name, pointer) = reference.split_once('#').unwrap();
        let name = name.trim_start_matches("./");
        let name = if name.is_empty() { file } else { name };
        let (name, content) = self.files.get_key_value(name).unwrap_or_else(|| panic!("no {name}"));
        self.follow(name, content.pointer(pointer).unwrap_or_else(|| panic!("no {reference}")))
    }

    /// The operations of a method and path, the most literal first.
    fn operations(&self, method: &str, path: &str) -> Vec<(&str, &Value)> {
        let mut found = Vec::new();
        for (file, spec) in &self.files {
            for (template, item) in spec["paths"].as_object().into_iter().flatten() {
                let operation = &item[method.to_lowercase()];
                if let (Some(literal), true) = (literal_parts(template, path), operation.is_object()) {
                    found.push((literal, file.as_str(), operation));
                }
            }
        }
        found.sort_by_key(|(literal, ..)| std::cmp::Reverse(*literal));
        found.into_iter().map(|(_, file, operation)| (file, operation)).collect()
    }

    /// What is wrong with a request by the operation that fits it best.
    fn judge(&self, ask: &Ask) -> Vec<String> {
        let all = self.operations(&ask.method, &ask.path);
        let faults = all.iter().map(|(file, operation)| self.faults_of(file, operation, ask));
        faults.min_by_key(Vec::len).unwrap_or_else(|| vec!["no such operation".to_owned()])
    }

    fn faults_of(&self, file: &str, operation: &Value, ask: &Ask) -> Vec<String> {
        let mut faults = Vec::new();
        let parameters = operation["parameters"].as_array().into_iter().flatten();
        let known: Vec<&str> = parameters.filter_map(|p| self.follow(file, p).1["name"].as_str()).collect();
        for name in ask.query.split('&').filter(|q| !q.is_empty()).map(|q| q.split('=').next().unwrap()) {
            if !known.contains(&name) {
                faults.push(format!("{file}: no parameter {name}"));
            }
        }
        if ask.body.is_null() {
            return faults;
        }
        let (file, body) = self.follow(file, &operation["requestBody"]);
        let schema = &body["content"]["application/json"]["schema"];
        self.faults(file, schema, &ask.body, "body", &mut faults);
        faults
    }

    fn faults(&self, file: &str, schema: &Value, value: &Value, place: &str, faults: &mut Vec<String>) {
        let (file, schema) = self.follow(file, schema);
        let is = match value {
            Value::Null => return,
            Value::Bool(_) => "boolean",
            Value::Number(n) if n.is_f64() => "number",
            Value::Number(_) => "integer",
            Value::String(_) => "string",
            Value::Array(_) => "array",
            Value::Object(_) => "object",
        };
        let should = schema["type"].as_str().unwrap_or(is);
        if should != is && !(should == "number" && is == "integer") {
            let fault = format!("{place}: a {is} where an {should} should be").replace("an string", "a string");
            if !WRONG.contains(&(file, fault.as_str())) {
                faults.push(format!("{file}: {fault}"));
            }
            return;
        }
        if schema["enum"].as_array().is_some_and(|allowed| !allowed.contains(value)) {
            faults.push(format!("{file}: {place} is none of {}", schema["enum"]));
        }
        let properties = schema["properties"].as_object();
        for (name, value) in value.as_object().into_iter().flatten() {
            match properties.and_then(|p| p.get(name)) {
                Some(schema) => self.faults(file, schema, value, name, faults),
                // A record has the fields that its organisation gave it.
                None if schema["additionalProperties"] == json!(true) || properties.is_none() => {}
                None => faults.push(format!("{file}: {place} has no {name}")),
            }
        }
        for value in value.as_array().into_iter().flatten() {
            self.faults(file, &schema["items"], value, place, faults);
        }
    }
}

/// How many parts of a path a template has word for word; `None` when it doesn't fit.
fn literal_parts(template: &str, path: &str) -> Option<usize> {
    let (template, path): (Vec<&str>, Vec<&str>) = (template.split('/').collect(), path.split('/').collect());
    let fits = template.len() == path.len() && template.iter().zip(&path).all(|(t, p)| t.starts_with('{') || t == p);
    fits.then(|| template.iter().zip(&path).filter(|(t, p)| t == p).count())
}

fn script(ask: &Ask) -> Answer {
    let one = |key: &str, row: Value| ok(json!({key: [row]}));
    let done = || json!({"code": "SUCCESS", "status": "success", "message": "m", "details": {"id": "1"}});
    let contact =
        || json!({"id": "501", "Modified_Time": "2026-11-23T02:30:00+00:00", "Last_Name": "X", "Mobile": "+1"});
    match (ask.method.as_str(), ask.path.trim_start_matches("/crm/v8")) {
        ("GET", "/settings/modules") => one("modules", json!({"api_name": "Contacts"})),
        ("GET", "/settings/profiles") => one("profiles", json!({"id": "26011"})),
        ("POST", "/settings/modules") => one("modules", done()),
        ("GET", "/settings/fields") => one("fields", json!({"api_name": "Last_Name", "data_type": "text"})),
        ("POST", "/settings/fields") => {
            let n = ask.body["fields"].as_array().unwrap().len();
            ok(json!({"fields": vec![done(); n]}))
        }
        ("POST", "/coql") if ask.body["select_query"].as_str().unwrap().contains("Mobile in") => {
            Answer::Now(204, Value::Null)
        }
        ("POST", "/coql") => one("data", contact()),
        ("GET", "/Contacts") => one("data", json!({"id": "501", "Tag": [{"name": "old", "id": "5"}]})),
        ("GET", "/actions/watch") if ask.earlier == 0 => Answer::Now(204, Value::Null),
        ("GET", "/actions/watch") => one("watch", json!({"channel_id": "7"})),
        (_, "/actions/watch") => one("watch", done()),
        (_, path) if path.ends_with("_tags") => one("data", done()),
        ("GET", _) => Answer::Now(204, Value::Null),
        _ => echo(ask),
    }
}

#[tokio::test]
async fn every_request_keeps_to_the_published_contract() {
    let Some(folder) = std::env::var_os("PONTE_SPECS") else {
        eprintln!("skipped: PONTE_SPECS names no folder with Zoho's OpenAPI files");
        return;
    };
    let specs = Specs::read(PathBuf::from(folder).join("zoho"));
    let server = Server::start(script).await;
    let mut config = server.config();
    config.notification_token = Some("a-word-of-twenty-chars".to_owned().into());
    let crm = server.crm_with(config.clone());
    crm.prepare().await.unwrap();
    let kinds = [
        CrmKind::Text,
        CrmKind::LongText,
        CrmKind::Number,
        CrmKind::Boolean,
        CrmKind::Date,
        CrmKind::Moment,
        CrmKind::Choice,
        CrmKind::MultiChoice,
        CrmKind::Phone,
        CrmKind::Email,
        CrmKind::Url,
    ];
    let choices = vec![ponte_domain::crm::CrmChoice { value: "a".into(), label: "A".into() }];
    let field = |(n, kind): (usize, &CrmKind)| CrmField {
        choices: choices.clone(),
        unique: n == 0,
        ..CrmField::new(format!("F{n}"), *kind)
    };
    crm.create_fields(&kinds.iter().enumerate().map(field).collect::<Vec<_>>()).await.unwrap();
    let mut rows = [person(1, None), person(2, Some("501"))];
    for row in &mut rows {
        row.fields.insert("Tag".to_owned(), json!(["new"]));
        row.fields.insert("Last_Name".to_owned(), json!("X"));
    }
    crm.upsert_contacts(&rows).await.unwrap();
    crm.write_messages(&[message(1)]).await.unwrap();
    config.messages = MessagesIn::Notes;
    let notes = server.crm_with(config);
    let mut again = message(2);
    again.uncertain = true;
    notes.write_messages(&[message(1), again]).await.unwrap();
    let mut known = message(3);
    known.crm_id = Some("77".to_owned());
    notes.write_messages(&[known]).await.unwrap();
    let fields = ["Last_Name".to_owned(), "Tag".to_owned()];
    crm.contacts_page(&fields, None).await.unwrap();
    crm.read_contacts(&["501".to_owned()], &fields).await.unwrap();
    crm.changes(&fields, &crm.cursor_now().await.unwrap()).await.unwrap();
    crm.subscribe("https://ponte.example/webhooks/crm/zoho").await.unwrap();
    crm.subscribe("https://ponte.example/webhooks/crm/zoho").await.unwrap();
    crm.check().await.unwrap();
    let asked: Vec<Ask> = server.asked().into_iter().filter(|a| a.path.starts_with("/crm/")).collect();
    let kinds: std::collections::BTreeSet<String> = asked.iter().map(|a| format!("{} {}", a.method, a.path)).collect();
    assert!(kinds.len() >= 20, "{kinds:#?}");
    let faults: Vec<String> = asked
        .iter()
        .flat_map(|a| specs.judge(a).into_iter().map(move |f| format!("{} {}?{}: {f}", a.method, a.path, a.query)))
        .collect();
    assert!(faults.is_empty(), "{faults:#?}");
}
