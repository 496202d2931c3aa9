//! A description of a SQL connection, checked whole: every problem at once. Statements that were left out are made of `contacts`.
//! Must not touch: the database. What only it can know (tables, rights) is asked by `check`.

use super::Engine;
use super::config::{Columns, IdKind, SqlConfig};
use super::statement::{Assigned, Statement};
use crate::described::message::MESSAGE_FACTS;
use crate::described::person::PERSON_FACTS;
use crate::described::{Problem, TimeForm, Times, check_fields};
use jiff::tz::TimeZone;
use ponte_domain::crm::CrmKind;
use secrecy::ExposeSecret;
use serde_json::{Value, json};

/// The statements, ready to run.
#[derive(Debug)]
pub(super) struct Plan {
    pub(super) engine: Engine,
    pub(super) times: Times,
    pub(super) id_kind: IdKind,
    pub(super) list: Statement,
    pub(super) changes: Statement,
    pub(super) get: Statement,
    pub(super) find: Option<Statement>,
    pub(super) find_key: Statement,
    pub(super) create: Vec<Statement>,
    pub(super) upsert: Vec<Statement>,
    pub(super) update: Vec<Statement>,
    pub(super) message: Vec<Statement>,
    pub(super) deleted: Option<Statement>,
}

const CURSOR: &[&str] = &["cursor_time", "cursor_id", "limit"];

impl Plan {
    /// Reads a description.
    ///
    /// # Errors
    /// Everything that is wrong with it.
    pub(super) fn new(config: &SqlConfig) -> Result<Self, Vec<Problem>> {
        let mut problems = check_fields(&config.fields);
        let engine = match engine(config.url.expose_secret()) {
            Some(engine) => engine,
            None => {
                let mend = "begin it with postgres://, mysql:// or sqlite:";
                problems.push(Problem::new("url", "is of no database that is known", mend));
                Engine::Sqlite
            }
        };
        let zone = TimeZone::get(&config.time_zone).unwrap_or_else(|_| {
            problems.push(Problem::new("time_zone", "is no IANA zone", "write it like Europe/Lisbon, or leave it out"));
            TimeZone::UTC
        });
        let form = config.time.unwrap_or(if engine == Engine::Postgres { TimeForm::Iso } else { TimeForm::Space });
        check_numbers(config, &mut problems);
        check_names(config, &mut problems);
        let mut reader = Reader { config, engine, problems };
        let statements = &config.statements;
        let columns = &config.columns;
        let list = reader.read(
            "list",
            statements.list.as_deref().unwrap_or(&default_list(columns, engine)),
            &["after", "limit"],
        );
        let changes =
            reader.read("changes", statements.changes.as_deref().unwrap_or(&default_changes(columns, engine)), CURSOR);
        let get =
            reader.read("get", statements.get.as_deref().unwrap_or(&default_by(&columns.id, "id", engine)), &["id"]);
        let by_key = default_by(&columns.key, "key", engine);
        let find_key = reader.read("find_key", statements.find_key.as_deref().unwrap_or(&by_key), &["key"]);
        let text =
            statements.find.clone().or_else(|| (!columns.phones.is_empty()).then(|| default_find(columns, engine)));
        let text = text.filter(|_| config.match_existing);
        let find = text.map(|text| reader.read("find", &text, &["e164", "digits", "national", "dialled"]));
        let deleted = statements.deleted.as_ref().map(|text| reader.read("deleted", text, CURSOR));
        let contact: Vec<String> = PERSON_FACTS.iter().map(|n| (*n).to_owned()).chain(field_names(config)).collect();
        let contact: Vec<&str> = contact.iter().map(String::as_str).collect();
        let create = reader.all("create_contact", statements.create_contact.texts(), &contact);
        let upsert = reader.all("upsert_contact", statements.upsert_contact.texts(), &contact);
        let update = reader.all("update_contact", statements.update_contact.texts(), &contact);
        let message = reader.all("write_message", statements.write_message.texts(), MESSAGE_FACTS);
        let mut problems = reader.problems;
        if message.is_empty() && config.log_messages {
            let mend = "give the statement, or say log_messages = false";
            problems.push(Problem::new("statements.write_message", "is missing: messages can't be written", mend));
        }
        if !create.is_empty() && !upsert.is_empty() {
            let mend = "keep upsert_contact";
            problems.push(Problem::new("statements", "have both create_contact and upsert_contact", mend));
        }
        let writes = !create.is_empty() || !upsert.is_empty();
        if writes && config.match_existing && find.is_none() {
            let mend = "name the columns.phones or give statements.find, or say match_existing = false";
            problems.push(Problem::new(
                "statements.find",
                "is missing: contacts that are there would be made again",
                mend,
            ));
        }
        if writes && update.is_empty() {
            let mend = "give the statement: linked and adopted contacts are written by it";
            problems.push(Problem::new("statements.update_contact", "is missing", mend));
        }
        let times = Times { form, zone };
        if !problems.is_empty() {
            return Err(problems);
        }
        let plan = || -> Option<Self> {
            Some(Self {
                engine,
                times,
                id_kind: config.id_kind,
                list: list?,
                changes: changes?,
                get: get?,
                find: find.flatten(),
                find_key: find_key?,
                create,
                upsert,
                update,
                message,
                deleted: deleted.flatten(),
            })
        };
        plan().ok_or_else(Vec::new)
    }

    /// All statements with their names.
    pub(super) fn all(&self) -> impl Iterator<Item = (&'static str, &Statement)> {
        let one = |name, statement| std::iter::once((name, statement));
        one("list", &self.list)
            .chain(one("changes", &self.changes))
            .chain(one("get", &self.get))
            .chain(one("find_key", &self.find_key))
            .chain(self.find.iter().map(|s| ("find", s)))
            .chain(self.deleted.iter().map(|s| ("deleted", s)))
            .chain(self.create.iter().map(|s| ("create_contact", s)))
            .chain(self.upsert.iter().map(|s| ("upsert_contact", s)))
            .chain(self.update.iter().map(|s| ("update_contact", s)))
            .chain(self.message.iter().map(|s| ("write_message", s)))
    }

    /// An id as the database takes it.
    pub(super) fn id(&self, id: &str) -> Value {
        match (self.id_kind, id.parse::<i64>()) {
            (IdKind::Integer, Ok(number)) => json!(number),
            _ => json!(id),
        }
    }

    /// Where reading by id begins.
    pub(super) fn lowest_id(&self) -> Value {
        match self.id_kind {
            IdKind::Integer => json!(0),
            IdKind::Text => json!(""),
            IdKind::Uuid => json!("00000000-0000-0000-0000-000000000000"),
        }
    }
}

fn engine(url: &str) -> Option<Engine> {
    match url.split(':').next()? {
        "postgres" | "postgresql" => Some(Engine::Postgres),
        "mysql" | "mariadb" => Some(Engine::MySql),
        "sqlite" => Some(Engine::Sqlite),
        _ => None,
    }
}

fn check_numbers(config: &SqlConfig, problems: &mut Vec<Problem>) {
    for (place, fine) in [
        ("page", (1..=10_000).contains(&config.page)),
        ("connections", (1..=100).contains(&config.connections)),
        ("calls_per_second", config.calls_per_second > 0),
        ("statement_timeout_ms", (100..=600_000).contains(&config.statement_timeout_ms)),
    ] {
        if !fine {
            problems.push(Problem::new(place, "is too small or too large", "leave it out, or see docs/crm/sql.md"));
        }
    }
}

fn check_names(config: &SqlConfig, problems: &mut Vec<Problem>) {
    for (number, field) in config.fields.iter().enumerate() {
        if !field.name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_') {
            let place = format!("fields number {} ({})", number + 1, field.name);
            let mend = "name it with a-z, 0-9 and _, and say the column in `at`";
            problems.push(Problem::new(place, "its name can't be a parameter", mend));
        }
    }
    let columns = &config.columns;
    let all =
        [Some(&columns.id), Some(&columns.key), Some(&columns.modified), columns.name.as_ref(), columns.gone.as_ref()];
    if all.into_iter().flatten().chain(&columns.phones).chain(&columns.merged_into).any(|name| name.trim().is_empty()) {
        problems.push(Problem::new("columns", "has an empty name", "name the column, or leave the key out"));
    }
}

/// `field_NAME` and `given_NAME` for every field.
fn field_names(config: &SqlConfig) -> impl Iterator<Item = String> {
    config.fields.iter().flat_map(|field| [format!("field_{}", field.name), format!("given_{}", field.name)])
}

struct Reader<'a> {
    config: &'a SqlConfig,
    engine: Engine,
    problems: Vec<Problem>,
}

impl Reader<'_> {
    /// Reads a statement and looks whether its parameters exist.
    fn read(&mut self, name: &str, text: &str, known: &[&str]) -> Option<Statement> {
        let place = format!("statements.{name}");
        let statement = match Statement::parse(text, &self.config.statements.contacts, self.engine) {
            Ok(statement) => statement,
            Err(problem) => {
                self.problems.push(Problem::new(place, problem, "correct the statement"));
                return None;
            }
        };
        for name in statement.names().filter(|name| !known.contains(name)) {
            let known = known.iter().map(|n| format!(":{n}")).collect::<Vec<_>>().join(", ");
            self.problems.push(Problem::new(
                &place,
                format!("there is no parameter :{name}"),
                format!("there are {known}"),
            ));
        }
        let needed: &[&str] = match name {
            "changes" | "deleted" => CURSOR,
            "list" => &["after", "limit"],
            "get" | "update_contact" => &["id"],
            "find_key" | "create_contact" | "upsert_contact" | "write_message" => &["key"],
            _ => &[],
        };
        // A write of several statements says its key in one of them.
        let alone = !matches!(name, "create_contact" | "upsert_contact" | "update_contact" | "write_message");
        for missing in needed.iter().filter(|n| alone && !statement.names().any(|have| have == **n)) {
            self.problems.push(Problem::new(
                &place,
                format!("doesn't use :{missing}"),
                "use it, or reading wouldn't end",
            ));
        }
        Some(statement)
    }

    fn all(&mut self, name: &str, texts: &[String], known: &[&str]) -> Vec<Statement> {
        let read: Vec<Statement> = texts.iter().filter_map(|text| self.read(name, text, known)).collect();
        let needed = if name == "update_contact" { "id" } else { "key" };
        if !read.is_empty() && !read.iter().any(|s| s.names().any(|n| n == needed)) {
            let place = format!("statements.{name}");
            let mend = "use it: without it the same row is written again and again, or all rows are";
            self.problems.push(Problem::new(place, format!("doesn't use :{needed}"), mend));
        }
        let writable = self.config.fields.iter().any(|f| f.writable && f.kind != CrmKind::Other);
        let takes = read.iter().any(|s| s.takes_fields() || s.names().any(|n| n.starts_with("field_")));
        if name == "update_contact" && writable && !read.is_empty() && !takes {
            let mend = "add {, set} after its SET list, or make the fields writable = false";
            self.problems.push(Problem::new("statements.update_contact", "writes none of the fields", mend));
        }
        read
    }
}

fn default_list(columns: &Columns, engine: Engine) -> String {
    let id = engine.quoted(&columns.id);
    format!("SELECT * FROM {{contacts}} c WHERE c.{id} > :after ORDER BY c.{id} LIMIT :limit")
}

fn default_changes(columns: &Columns, engine: Engine) -> String {
    let (id, at) = (engine.quoted(&columns.id), engine.quoted(&columns.modified));
    let behind = match engine {
        // MySQL uses no index for a comparison of rows.
        Engine::MySql => format!("c.{at} >= :cursor_time AND (c.{at} > :cursor_time OR c.{id} > :cursor_id)"),
        _ => format!("(c.{at}, c.{id}) > (:cursor_time, :cursor_id)"),
    };
    format!("SELECT * FROM {{contacts}} c WHERE {behind} ORDER BY c.{at}, c.{id} LIMIT :limit")
}

fn default_by(column: &str, name: &str, engine: Engine) -> String {
    format!("SELECT * FROM {{contacts}} c WHERE c.{} = :{name}", engine.quoted(column))
}

fn default_find(columns: &Columns, engine: Engine) -> String {
    let one = |column: &String| format!("c.{} IN (:e164, :digits, :national, :dialled)", engine.quoted(column));
    let any: Vec<String> = columns.phones.iter().map(one).collect();
    format!("SELECT * FROM {{contacts}} c WHERE {}", any.join(" OR "))
}

/// The mapped fields of a write: columns and the names of their parameters.
pub(super) fn assigned(config: &SqlConfig, names: impl Iterator<Item = String>) -> Vec<Assigned> {
    let column = |name: &str| config.fields.iter().find(|f| f.name == name).and_then(|f| f.at.clone());
    names
        .map(|name| Assigned { column: column(&name).unwrap_or_else(|| name.clone()), name: format!("field_{name}") })
        .collect()
}
