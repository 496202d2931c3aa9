//! A description of an HTTP connection, checked whole: every problem at once. Every template is read, its variables are known ones, and
//! every body is tried with a sample, so that what can't become JSON is told at start.
//! Must not touch: the CRM.

use super::auth::SIGNABLE;
use super::config::{Auth, HttpConfig, Operation, Paging, Walk};
use super::paging::origin;
use super::place::Place;
use super::template::{Purpose, Templates};
use crate::described::message::MESSAGE_FACTS;
use crate::described::person::PERSON_FACTS;
use crate::described::{Problem, Times, check_fields};
use http::{HeaderName, Method};
use jiff::tz::TimeZone;
use serde_json::{Map, Value, json};

/// A description that is ready to be used.
pub(super) struct Plan {
    pub(super) config: HttpConfig,
    pub(super) templates: Templates,
    pub(super) times: Times,
}

/// What templates know beside what their operation gives them.
pub(super) const SINCE: &[&str] = &[
    "raw",
    "text",
    "iso",
    "s",
    "ms",
    "us",
    "year",
    "month",
    "day",
    "hour",
    "minute",
    "second",
    "microsecond",
    "id",
    "id_number",
];
const PAGE: &[&str] = &["limit", "number", "offset", "after", "after_number", "cursor"];

impl Plan {
    /// Reads a description.
    ///
    /// # Errors
    /// Everything that is wrong with it.
    pub(super) fn new(config: HttpConfig) -> Result<Self, Vec<Problem>> {
        let zone = TimeZone::get(&config.time_zone);
        let mut checker = Checker { templates: Templates::new(), problems: check_fields(&config.fields) };
        if zone.is_err() {
            checker.tell("time_zone", "is no IANA zone", "write it like Europe/Lisbon, or leave it out");
        }
        checker.numbers(&config);
        checker.places(&config);
        checker.signing(&config.auth);
        for (name, text) in &config.headers {
            checker.header(&format!("headers.{name}"), name, text, &[]);
        }
        for (name, operation) in operations(&config) {
            checker.operation(name, operation);
        }
        checker.needs(&config);
        if !checker.problems.is_empty() {
            return Err(checker.problems);
        }
        let times = Times { form: config.time, zone: zone.unwrap_or(TimeZone::UTC) };
        Ok(Self { config, templates: checker.templates, times })
    }
}

/// The operations of a description with their names.
pub(super) fn operations(config: &HttpConfig) -> impl Iterator<Item = (&'static str, &Operation)> {
    let all = &config.operations;
    [
        ("check", &all.check),
        ("list", &all.list),
        ("changes", &all.changes),
        ("get", &all.get),
        ("find", &all.find),
        ("find_key", &all.find_key),
        ("create_contact", &all.create_contact),
        ("upsert_contact", &all.upsert_contact),
        ("update_contact", &all.update_contact),
        ("find_message", &all.find_message),
        ("create_message", &all.create_message),
        ("update_message", &all.update_message),
        ("upsert_message", &all.upsert_message),
        ("deleted", &all.deleted),
    ]
    .into_iter()
    .filter_map(|(name, operation)| Some((name, operation.as_ref()?)))
    .chain(all.describe.iter().map(|describe| ("describe", &describe.call)))
}

/// What an operation's templates know: names, and for each the names in it.
fn known(name: &str, batch: usize) -> Vec<(&'static str, &'static [&'static str])> {
    let one = batch <= 1;
    match name {
        "list" => vec![("page", PAGE)],
        "changes" | "deleted" => vec![("page", PAGE), ("since", SINCE)],
        "get" => vec![("id", &[]), ("ids", &[]), ("page", PAGE)],
        "find" | "find_key" => vec![
            ("key", &[]),
            ("keys", &[]),
            ("phone", &[]),
            ("phones", &[]),
            ("digits", &[]),
            ("national", &[]),
            ("page", PAGE),
        ],
        "find_message" => vec![("key", &[]), ("message", MESSAGE_FACTS)],
        _ if name.ends_with("_contact") && one => vec![("contact", PERSON_FACTS)],
        _ if name.ends_with("_contact") => vec![("contacts", &[])],
        _ if name.ends_with("_message") && one => vec![("message", MESSAGE_FACTS)],
        _ if name.ends_with("_message") => vec![("messages", &[])],
        _ => vec![("page", PAGE)],
    }
}

/// A context for trying templates.
fn sample(name: &str) -> Value {
    let facts =
        |names: &[&str]| -> Map<String, Value> { names.iter().map(|n| ((*n).to_owned(), json!("1"))).collect() };
    let mut contact = facts(PERSON_FACTS);
    contact.insert("fields".to_owned(), json!({}));
    let message = facts(MESSAGE_FACTS);
    let page = json!({"limit": 1, "number": 1, "offset": 0, "after": "1", "after_number": 1, "cursor": "1"});
    let since: Map<String, Value> = SINCE.iter().map(|n| ((*n).to_owned(), json!(1))).collect();
    let _ = name;
    json!({
        "page": page, "since": since, "id": "1", "ids": ["1"], "key": "1", "keys": ["1"], "phone": "+1", "phones": ["+1"],
        "digits": ["1"], "national": ["1"], "contact": contact, "contacts": [contact], "message": message, "messages": [message],
        "user": "u", "password": "p",
    })
}

struct Checker {
    templates: Templates,
    problems: Vec<Problem>,
}

impl Checker {
    fn tell(&mut self, place: impl Into<String>, problem: impl Into<String>, mend: impl Into<String>) {
        self.problems.push(Problem::new(place, problem, mend));
    }

    fn numbers(&mut self, config: &HttpConfig) {
        if !["http://", "https://"].iter().any(|s| config.base_url.starts_with(s)) || origin(&config.base_url).is_none()
        {
            self.tell("base_url", "is no address", "write it like https://crm.example/api");
        }
        for (place, fine) in [
            ("page", (2..=10_000).contains(&config.page)),
            ("calls", config.calls > 0),
            ("per_ms", (1..=86_400_000).contains(&config.per_ms)),
            ("at_once", (1..=100).contains(&config.at_once)),
            ("request_timeout_ms", (100..=600_000).contains(&config.request_timeout_ms)),
        ] {
            if !fine {
                self.tell(place, "is too small or too large", "leave it out, or see docs/crm/http.md");
            }
        }
    }

    fn place(&mut self, name: &str, place: Option<&Place>) {
        let problem = place.and_then(|place| place.lens(&self.templates).err());
        if let Some(problem) = problem {
            self.tell(
                name,
                format!("can't be read: {problem}"),
                "write a JSON pointer (/a/b), or an expression over `record`",
            );
        }
    }

    fn places(&mut self, config: &HttpConfig) {
        let shape = &config.contact;
        self.place("contact.id", Some(&shape.id));
        for (name, place) in [
            ("contact.key", &shape.key),
            ("contact.modified", &shape.modified),
            ("contact.name", &shape.name),
            ("contact.gone", &shape.gone),
            ("contact.merged_into", &shape.merged_into),
            ("errors.failed", &config.errors.failed),
            ("errors.code", &config.errors.code),
            ("errors.existing", &config.errors.existing),
        ] {
            self.place(name, place.as_ref());
        }
        for place in &shape.phones {
            self.place("contact.phones", Some(place));
        }
        for field in &config.fields {
            let place = field.at.clone().map(Place::from);
            self.place(&format!("fields {}", field.name), place.as_ref());
        }
        if let Some(hook) = &config.webhook {
            for (name, place) in [
                ("webhook.events", &hook.events),
                ("webhook.id", &hook.id),
                ("webhook.gone", &hook.gone),
                ("webhook.merged_into", &hook.merged_into),
                ("webhook.when", &hook.when),
            ] {
                self.place(name, place.as_ref());
            }
            if let super::config::Verify::Token { header: None, query: None, .. } = &hook.verify {
                self.tell("webhook.verify", "doesn't say where the token comes", "name a header or a query parameter");
            }
        }
        if let Some(describe) = &config.operations.describe {
            self.place("operations.describe.name", Some(&describe.name));
            self.place("operations.describe.label", describe.label.as_ref());
            self.place("operations.describe.kind", describe.kind.as_ref());
            self.place("operations.describe.read_only", describe.read_only.as_ref());
        }
    }

    fn signing(&mut self, auth: &Auth) {
        match auth {
            Auth::Hmac { signed, headers, .. } => {
                let names: Vec<(&str, &[&str])> = SIGNABLE.iter().map(|n| (*n, &[][..])).collect();
                self.template("auth.signed", Purpose::Text, signed, &names);
                let more = [names, vec![("signature", &[][..])]].concat();
                for (name, text) in headers {
                    self.header(&format!("auth.headers.{name}"), name, text, &more);
                }
            }
            Auth::Login { path, body, header, value, .. } => {
                let names: [(&str, &[&str]); 2] = [("user", &[]), ("password", &[])];
                self.template("auth.login", Purpose::Path, path, &names);
                self.template("auth.login", Purpose::Json, body, &names);
                self.header("auth.value", header, value, &[("user", &[]), ("answer", &[])]);
            }
            Auth::Header { name, .. } if HeaderName::from_bytes(name.as_bytes()).is_err() => {
                self.tell("auth.name", "can't be the name of a header", "write it like X-Api-Key");
            }
            _ => {}
        }
    }

    fn header(&mut self, place: &str, name: &str, text: &str, known: &[(&str, &[&str])]) {
        if HeaderName::from_bytes(name.as_bytes()).is_err() {
            self.tell(place, "can't be the name of a header", "write it like X-Api-Key");
        }
        self.template(place, Purpose::Text, text, known);
    }

    /// Reads a template, and looks whether its variables exist and what comes out is what it must be.
    fn template(&mut self, name: &str, purpose: Purpose, text: &str, known: &[(&str, &[&str])]) {
        let place = if purpose == Purpose::Json { format!("{name}.body") } else { name.to_owned() };
        let used = match self.templates.add(name, purpose, text) {
            Ok(used) => used,
            Err(problem) => return self.tell(place, format!("can't be read: {problem}"), "correct the template"),
        };
        for variable in used {
            let (first, rest) = variable.split_once('.').map_or((variable.as_str(), None), |(a, b)| (a, Some(b)));
            let second = rest.map(|rest| rest.split('.').next().unwrap_or(rest));
            let fine = known.iter().any(|(name, inner)| {
                *name == first && (inner.is_empty() || second.is_none_or(|second| inner.contains(&second)))
            });
            if !fine {
                let of = |(name, inner): &(&str, &[&str])| match inner {
                    [] => (*name).to_owned(),
                    inner => format!("{name}.({})", inner.join(", ")),
                };
                let names = known.iter().map(of).collect::<Vec<_>>().join(", ");
                self.tell(&place, format!("there is no {variable}"), format!("there are: {names}"));
            }
        }
        if purpose == Purpose::Json
            && let Err(error) = self.templates.render(name, purpose, &sample(name))
        {
            let why = error.detail.unwrap_or_default();
            let mend = "write {{ value }} without quotes around it: strings bring their own";
            self.tell(place, format!("tried with a sample, it fails: {why}"), mend);
        }
    }

    fn operation(&mut self, name: &str, operation: &Operation) {
        let place = format!("operations.{name}");
        let known = known(name, operation.batch);
        if Method::from_bytes(operation.method.to_ascii_uppercase().as_bytes()).is_err() {
            self.tell(format!("{place}.method"), "is no method", "write GET, POST, PATCH, PUT or DELETE");
        }
        if !operation.path.is_empty() && !operation.path.starts_with(['/', '?', '{']) {
            self.tell(format!("{place}.path"), "doesn't begin with /", "it follows base_url: begin it with /");
        }
        if operation.body.is_some() && operation.form.is_some() {
            self.tell(&place, "has both a body and a form", "keep one");
        }
        if operation.batch == 0 {
            self.tell(format!("{place}.batch"), "is 0", "leave it out for one row a call");
        }
        self.template(name, Purpose::Path, &operation.path, &known);
        for (key, text) in &operation.query {
            self.template(&format!("{name}.query.{key}"), Purpose::Text, text, &known);
        }
        for (key, text) in &operation.headers {
            self.header(&format!("{name}.header.{key}"), key, text, &known);
        }
        for (key, text) in operation.form.iter().flatten() {
            self.template(&format!("{name}.form.{key}"), Purpose::Text, text, &known);
        }
        if let Some(body) = &operation.body {
            self.template(name, Purpose::Json, body, &known);
        }
        for (what, found) in [
            ("list", &operation.list),
            ("id", &operation.id),
            ("created", &operation.created),
            ("row_failed", &operation.row_failed),
            ("row_code", &operation.row_code),
        ] {
            self.place(&format!("{place}.{what}"), found.as_ref());
        }
        let when = operation.when.clone().map(Place::Expression);
        self.place(&format!("{place}.when"), when.as_ref());
        match &operation.paging {
            Paging::Cursor { next } => self.place(&format!("{place}.paging.next"), Some(next)),
            Paging::Link { next } => self.place(&format!("{place}.paging.next"), next.as_ref()),
            Paging::Number { more, .. } | Paging::Offset { more } => {
                self.place(&format!("{place}.paging.more"), more.as_ref());
            }
            Paging::None | Paging::After => {}
        }
        if operation.walk == Walk::Time && matches!(operation.paging, Paging::Number { .. }) {
            let mend = "page by offset: the next page begins with the last row of this one, which tells whether rows have moved";
            self.tell(format!("{place}.paging"), "walk = \"time\" can't page by number", mend);
        }
        self.uses(name, operation, &place);
    }

    /// A request that doesn't say what it is about would ask or change the wrong thing.
    fn uses(&mut self, name: &str, operation: &Operation, place: &str) {
        let texts = std::iter::once(&operation.path)
            .chain(operation.query.values())
            .chain(operation.headers.values())
            .chain(operation.form.iter().flat_map(|form| form.values()))
            .chain(&operation.body);
        let all = texts.map(String::as_str).collect::<Vec<_>>().join("\n");
        let needed: &[&[&str]] = match (name, operation.batch > 1, &operation.paging) {
            ("changes" | "deleted", ..) if operation.walk == Walk::Keyset => &[&["since.id"]],
            ("changes" | "deleted", ..) => &[&["since."]],
            ("get", true, _) => &[&["ids"]],
            ("get", false, _) => &[&["id"]],
            ("find", true, _) => &[&["phones", "digits", "national"]],
            ("find", false, _) => &[&["phone", "digits", "national"]],
            ("find_key" | "find_message", ..) => &[&["key"]],
            ("update_contact", false, _) => &[&["contact.id"]],
            ("create_contact" | "upsert_contact", false, _) => &[&["contact.key"]],
            ("update_message", false, _) => &[&["message.id"]],
            ("create_message" | "upsert_message", false, _) => &[&["message.key", "message.line"]],
            _ => &[],
        };
        for names in needed.iter().filter(|names| !names.iter().any(|name| all.contains(name))) {
            self.tell(
                place,
                format!("doesn't use {}", names.join(" or ")),
                "use it, or the call isn't about its record",
            );
        }
        let paged: &[&str] = match &operation.paging {
            Paging::Number { .. } => &["page.number"],
            Paging::Offset { .. } => &["page.offset"],
            Paging::After => &["page.after"],
            Paging::Cursor { .. } => &["page.cursor"],
            Paging::None | Paging::Link { .. } => &[],
        };
        for missing in paged.iter().filter(|name| !all.contains(**name)) {
            self.tell(place, format!("pages by {missing} but doesn't use it"), "use it, or reading wouldn't go on");
        }
    }

    /// What belongs together.
    fn needs(&mut self, config: &HttpConfig) {
        let all = &config.operations;
        let makes = all.create_contact.is_some() || all.upsert_contact.is_some();
        if all.list.is_none() {
            self.tell("operations.list", "is missing", "describe how all contacts are read");
        }
        if all.create_contact.is_some() && all.upsert_contact.is_some() {
            self.tell("operations", "have both create_contact and upsert_contact", "keep upsert_contact");
        }
        if all.create_contact.is_some() && all.find_key.is_none() {
            let mend = "describe how a contact is found by our id: it is looked for before one is made";
            self.tell("operations.find_key", "is missing", mend);
        }
        if (all.find_key.is_some() || all.find.is_some()) && config.contact.key.is_none() {
            self.tell("contact.key", "is missing", "say where a record bears our id");
        }
        if makes && config.match_existing && all.find.is_none() {
            let mend = "describe how contacts are found by a number, or say match_existing = false";
            self.tell("operations.find", "is missing: contacts that are there would be made again", mend);
        }
        if all.find.is_some() && config.contact.phones.is_empty() {
            self.tell("contact.phones", "is missing", "say where a record has its numbers: what is found is compared");
        }
        if makes && all.update_contact.is_none() {
            self.tell("operations.update_contact", "is missing", "linked and adopted contacts are written by it");
        }
        if all.changes.is_some() && config.contact.modified.is_none() {
            self.tell("contact.modified", "is missing", "say where a record has the time of its last change");
        }
        if all.deleted.is_some() && all.changes.is_none() {
            self.tell("operations.deleted", "has no changes to go with", "describe changes, or leave it out");
        }
        if config.log_messages {
            let alone = all.create_message.is_some() && all.find_message.is_some() && all.update_message.is_some();
            if all.upsert_message.is_none() && !alone {
                let mend = "describe upsert_message, or create_message with find_message and update_message, or say log_messages = false";
                self.tell("operations", "don't say how messages are written", mend);
            }
        }
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    fn merge(base: &mut Value, over: Value) {
        match (base, over) {
            (Value::Object(base), Value::Object(over)) => {
                for (key, value) in over {
                    merge(base.entry(key).or_insert(Value::Null), value);
                }
            }
            (base, over) => *base = over,
        }
    }

    /// The smallest description, with these changes.
    fn described(over: Value) -> HttpConfig {
        let mut base = json!({"base_url": "https://crm.test", "log_messages": false,
                              "operations": {"list": {"path": "/contacts"}}});
        merge(&mut base, over);
        serde_json::from_value(base).unwrap()
    }

    /// A plan of the smallest description, with these changes.
    pub(in crate::http) fn plan_of(over: Value) -> Plan {
        Plan::new(described(over)).unwrap_or_else(|problems| panic!("{problems:?}"))
    }

    #[test]
    fn every_problem_of_a_description_is_told_at_once() {
        let config = described(json!({
            "base_url": "crm.test",
            "time_zone": "Mars/Base",
            "log_messages": true,
            "calls": 0,
            "contact": {"phones": ["record.("]},
            "headers": {"X Y": "1"},
            "operations": {
                "list": {"path": "contacts", "paging": {"kind": "offset"}},
                "changes": {"path": "/contacts", "query": {"since": "{{ sinse.iso }}"}},
                "create_contact": {"method": "POST", "path": "/contacts", "body": "{\"name\": \"{{ contact.name }}\", \"k\": {{ contact.kee }}}"},
                "update_contact": {"method": "PATCH", "path": "/contacts/{{ contact.id", "batch": 0},
            },
        }));
        let told: Vec<String> = Plan::new(config).err().unwrap().iter().map(ToString::to_string).collect();
        for part in [
            "base_url: is no address",
            "time_zone: is no",
            "calls: is too",
            "contact.phones: can't be read",
            "headers.X Y: can't be the name",
            "operations.list.path: doesn't begin",
            "operations.list: pages by page.offset",
            "there is no sinse.iso",
            "operations.changes: doesn't use since.",
            "create_contact.body: there is no contact.kee",
            "create_contact.body: tried with a sample",
            "operations.create_contact: doesn't use contact.key",
            "update_contact: can't be read",
            "update_contact.batch: is 0",
            "operations.find_key: is missing",
            "operations.find: is missing",
            "contact.modified: is missing",
            "don't say how messages",
        ] {
            assert!(told.iter().any(|line| line.contains(part)), "{part} isn't in {told:#?}");
        }
        assert_eq!(told.len(), 18, "{told:#?}");
    }
}
