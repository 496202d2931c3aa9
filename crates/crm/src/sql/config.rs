//! Settings of a SQL connection, as the configuration describes it.

use crate::described::{FieldSpec, TimeForm};
use ponte_net::BreakerConfig;
use secrecy::SecretString;
use serde::Deserialize;

/// Settings of a SQL connection.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SqlConfig {
    /// `postgres://…`, `mysql://…` (MariaDB too) or `sqlite:PATH`; may hold a password.
    #[serde(deserialize_with = "crate::described::secret")]
    pub url: SecretString,
    /// Name of the product, for people.
    #[serde(default = "product")]
    pub product: String,
    /// Connections to the database at most.
    #[serde(default = "four")]
    pub connections: u32,
    /// Milliseconds for one statement.
    #[serde(default = "ten_seconds")]
    pub statement_timeout_ms: u64,
    /// Statements run on every new connection (row-level security, search path).
    #[serde(default)]
    pub session: Vec<String>,
    /// Statements a second at most.
    #[serde(default = "hundred")]
    pub calls_per_second: u32,
    /// How long a call may wait for its turn, milliseconds.
    #[serde(default = "three_seconds")]
    pub max_wait_ms: i64,
    /// How the database's columns hold times, where it has no type of its own for them. `space` for SQLite when absent.
    pub time: Option<TimeForm>,
    /// IANA zone of times without a zone.
    #[serde(default = "utc")]
    pub time_zone: String,
    /// What ids of contacts are.
    #[serde(default)]
    pub id_kind: IdKind,
    /// Rows of a page.
    #[serde(default = "five_hundred")]
    pub page: usize,
    /// How far rounds of changes overlap, seconds: longer than the longest transaction that writes contacts.
    #[serde(default = "two_minutes")]
    pub overlap_seconds: u32,
    /// How long the table of deletions keeps them, days; an older cursor reads everything again.
    pub keep_deletions_days: Option<u32>,
    /// Looks for existing contacts by phone number before making a new one.
    #[serde(default = "yes")]
    pub match_existing: bool,
    /// Messages are written. False: `write_message` isn't needed, and messages stay here.
    #[serde(default = "yes")]
    pub log_messages: bool,
    /// Where a row of contacts has what.
    #[serde(default)]
    pub columns: Columns,
    /// The fields that can be mapped.
    #[serde(default)]
    pub fields: Vec<FieldSpec>,
    /// The statements.
    pub statements: Statements,
    /// When the breaker opens.
    #[serde(default)]
    pub breaker: BreakerConfig,
}

/// What ids of contacts are: it decides how they are handed to databases that don't tell the types of parameters.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum IdKind {
    /// Whole numbers.
    #[default]
    Integer,
    /// Text.
    Text,
    /// UUIDs.
    Uuid,
}

/// The names of columns in what the statements read.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Columns {
    /// The record's id.
    pub id: String,
    /// Our id of the person.
    pub key: String,
    /// When it last changed; never null (`COALESCE(updated_at, created_at)`).
    pub modified: String,
    /// A name: when it is empty, ours is written at adoption.
    pub name: Option<String>,
    /// Columns with phone numbers.
    pub phones: Vec<String>,
    /// True (not null, 0 or false): the record counts as deleted.
    pub gone: Option<String>,
    /// The id of the record that this one became part of.
    pub merged_into: Option<String>,
}

impl Default for Columns {
    fn default() -> Self {
        let name = |name: &str| name.to_owned();
        Self {
            id: name("id"),
            key: name("ponte_id"),
            modified: name("modified_at"),
            name: None,
            phones: Vec::new(),
            gone: None,
            merged_into: None,
        }
    }
}

/// The statements, with named parameters (`:cursor_time`). `contacts` alone is enough to read; the others have defaults made of it, or
/// are needed only for what they do.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Statements {
    /// `SELECT` of all contacts with the columns named under `columns` and `fields`; `{contacts}` in the others stands for it.
    pub contacts: String,
    /// A page of all contacts: `:after`, `:limit`.
    pub list: Option<String>,
    /// What changed: `:cursor_time`, `:cursor_id`, `:limit`, ordered by both.
    pub changes: Option<String>,
    /// One record: `:id`.
    pub get: Option<String>,
    /// Records with a number: `:e164` (with `+`), `:digits`, `:national`, `:dialled` (national with a 0).
    pub find: Option<String>,
    /// The record with our id: `:key`.
    pub find_key: Option<String>,
    /// Makes a record. One statement or several, in one transaction.
    #[serde(default)]
    pub create_contact: OneOrMany,
    /// Makes a record, or updates the one with our id; used instead of `create_contact`.
    #[serde(default)]
    pub upsert_contact: OneOrMany,
    /// Updates the record `:id`.
    #[serde(default)]
    pub update_contact: OneOrMany,
    /// Writes a message by our id, again and again.
    #[serde(default)]
    pub write_message: OneOrMany,
    /// What was deleted: `:cursor_time`, `:cursor_id`, `:limit`, ordered by both; columns `id` and `deleted_at`.
    pub deleted: Option<String>,
}

/// One statement, or several that go together.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(untagged)]
pub enum OneOrMany {
    /// None.
    #[default]
    None,
    /// One.
    One(String),
    /// Several, in one transaction.
    Many(Vec<String>),
}

impl OneOrMany {
    pub(super) fn texts(&self) -> &[String] {
        match self {
            Self::None => &[],
            Self::One(text) => std::slice::from_ref(text),
            Self::Many(texts) => texts,
        }
    }
}

fn product() -> String {
    "SQL".to_owned()
}

fn utc() -> String {
    "UTC".to_owned()
}

const fn four() -> u32 {
    4
}

const fn hundred() -> u32 {
    100
}

const fn five_hundred() -> usize {
    500
}

const fn two_minutes() -> u32 {
    120
}

const fn ten_seconds() -> u64 {
    10_000
}

const fn three_seconds() -> i64 {
    3_000
}

const fn yes() -> bool {
    true
}
