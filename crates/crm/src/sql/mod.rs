//! A business's own database, by statements of the configuration: PostgreSQL, MySQL and MariaDB, SQLite. Facts: crm-apis section 10.
//! May touch: the database that the connection names, and nothing else. Must not touch: the store, the clock (passed in).
//! Failure story: reads leave nothing behind. Each contact and each message is written in a transaction of its own, by our id, so that
//! doing it again does no harm; nothing is retried here.

mod config;
mod contacts;
mod database;
mod errors;
mod plan;
mod read;
mod statement;
mod values;

pub use config::{Columns, IdKind, OneOrMany, SqlConfig, Statements};

use crate::adopting::Adopting;
use crate::described::book::put_contacts;
use crate::described::cursor::Cursor;
use crate::described::{Done, Outcome, Problem, lost_row, message, whole};
use async_trait::async_trait;
use database::Database;
use futures_util::StreamExt;
use plan::{Plan, assigned};
use ponte_domain::crm::{
    ContactWrite, CrmBudget, CrmCapabilities, CrmChanges, CrmField, CrmPage, CrmRecord, MessageWrite, RowResult,
};
use ponte_domain::error::{CallError, ErrorClass};
use ponte_domain::ports::crm::Crm;
use ponte_net::Clock;
use serde_json::Value;

/// The databases there are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Engine {
    /// PostgreSQL.
    Postgres,
    /// MySQL and MariaDB.
    MySql,
    /// SQLite.
    Sqlite,
}

impl Engine {
    /// A name as the database quotes it.
    pub(crate) fn quoted(self, name: &str) -> String {
        match self {
            Self::MySql => format!("`{}`", name.replace('`', "``")),
            Self::Postgres | Self::Sqlite => format!("\"{}\"", name.replace('"', "\"\"")),
        }
    }
}

/// A SQL connection.
pub struct Sql {
    config: SqlConfig,
    plan: Plan,
    database: Database,
    adopting: Adopting,
}

impl std::fmt::Debug for Sql {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Sql").field("engine", &self.plan.engine).finish_non_exhaustive()
    }
}

impl Sql {
    /// Reads the description. Connects at the first call. Wants a tokio runtime around it.
    ///
    /// # Errors
    /// Everything that is wrong with the description.
    pub fn new(config: SqlConfig, clock: Clock) -> Result<Self, Vec<Problem>> {
        let plan = Plan::new(&config)?;
        let database = Database::new(plan.engine, &config, clock)
            .map_err(|_| vec![Problem::new("url", "can't be read", "see docs/crm/sql.md for its form")])?;
        Ok(Self { config, plan, database, adopting: Adopting::default() })
    }

    /// What is wrong with a description, without a database.
    #[must_use]
    pub fn problems(config: &SqlConfig) -> Vec<Problem> {
        Plan::new(config).err().unwrap_or_default()
    }

    async fn write_message(&self, row: &MessageWrite) -> Outcome {
        let key = row.message.to_string();
        let done = |crm_id: Option<String>, created| Done {
            crm_id: crm_id.or_else(|| row.crm_id.clone()).unwrap_or_else(|| key.clone()),
            created,
        };
        if !self.config.log_messages {
            return Ok(done(None, false));
        }
        let contact_gone =
            || CallError::new(ErrorClass::Gone, "contact_gone", "the message's contact is gone from the database");
        if row.contact_crm_id.is_empty() {
            return Err(contact_gone());
        }
        let mut facts = message::facts(row, row.crm_id.as_deref(), &self.plan.times);
        facts.insert("contact".to_owned(), self.plan.id(&row.contact_crm_id));
        match self.database.write(&self.plan.message, &[], &facts).await {
            Ok(written) => {
                let id = written.row.as_ref().and_then(|row| row.get("id")).and_then(text_of);
                Ok(done(id, row.crm_id.is_none()))
            }
            Err(error) if error.class == ErrorClass::Gone => Err(contact_gone()),
            Err(mut error) => {
                // An upsert that met another one of the same message finds its row the next time.
                if matches!(error.class, ErrorClass::Conflict { .. }) {
                    error.class = ErrorClass::Retryable { after_ms: Some(ponte_domain::SECOND) };
                }
                Err(error)
            }
        }
    }

    /// Every statement that the database can't run, told at once.
    async fn verify(&self) -> Result<(), CallError> {
        let fields = assigned(&self.config, self.config.fields.iter().filter(|f| f.writable).map(|f| f.name.clone()));
        let mut wrong = Vec::new();
        for (name, statement) in self.plan.all() {
            match self.database.verify(statement, &fields).await {
                Err(error) if matches!(error.class, ErrorClass::Configuration | ErrorClass::Permanent) => {
                    wrong.push(format!("{name} ({})", error.code));
                }
                other => other?,
            }
        }
        if !wrong.is_empty() {
            let title = "the database can't run some of the description's statements";
            let error = CallError::new(ErrorClass::Configuration, "statements_refused", title);
            return Err(error.with_detail(wrong.join(", ")));
        }
        let missing = self.missing_columns().await?;
        if missing.is_empty() {
            return Ok(());
        }
        let title = "statements.contacts doesn't read some of the columns that the description names";
        Err(CallError::new(ErrorClass::Configuration, "columns_missing", title).with_detail(missing.join(", ")))
    }
}

/// An id or a text as text.
pub(crate) fn text_of(value: &Value) -> Option<String> {
    match value {
        Value::String(text) => Some(text.clone()),
        Value::Number(number) => Some(number.to_string()),
        _ => None,
    }
}

#[async_trait]
impl Crm for Sql {
    fn capabilities(&self) -> CrmCapabilities {
        CrmCapabilities {
            product: self.config.product.clone(),
            contact_batch: 100,
            message_batch: 100,
            message_upsert: true,
            calls_per_second: self.config.calls_per_second,
            changes: true,
            tells_deletions: self.plan.deleted.is_some() || self.config.columns.gone.is_some(),
            notifies: false,
            creates_fields: false,
        }
    }

    async fn prepare(&self) -> Result<(), CallError> {
        self.verify().await
    }

    async fn upsert_contacts(&self, rows: &[ContactWrite]) -> Result<Vec<RowResult>, CallError> {
        whole(Box::pin(put_contacts(self, &self.adopting, rows, &self.plan.times)).await)
    }

    async fn write_messages(&self, rows: &[MessageWrite]) -> Result<Vec<RowResult>, CallError> {
        let (messages, whose) = crate::rows::messages(rows);
        let write = |row: MessageWrite| async move { self.write_message(&row).await };
        let writes = futures_util::stream::iter(messages).map(write);
        let done: Vec<Outcome> = writes.buffered(self.at_once()).collect().await;
        whole(whose.iter().map(|at| done.get(*at).cloned().unwrap_or_else(|| Err(lost_row()))).collect())
    }

    async fn contact_fields(&self) -> Result<Vec<CrmField>, CallError> {
        Ok(self.config.fields.iter().map(crate::described::FieldSpec::field).collect())
    }

    async fn contacts_page(&self, fields: &[String], after: Option<&str>) -> Result<CrmPage, CallError> {
        self.page(fields, after).await
    }

    async fn cursor_now(&self) -> Result<String, CallError> {
        Ok(Cursor::resting(self.database.now_us().await?).text())
    }

    async fn changes(&self, fields: &[String], cursor: &str) -> Result<CrmChanges, CallError> {
        self.changed(fields, cursor).await
    }

    async fn read_contacts(&self, ids: &[String], fields: &[String]) -> Result<Vec<Option<CrmRecord>>, CallError> {
        self.by_id(ids, fields).await
    }

    async fn create_fields(&self, _fields: &[CrmField]) -> Result<(), CallError> {
        let title = "a database gets new columns by its administrator: add them there and under fields";
        Err(CallError::new(ErrorClass::Configuration, "fields_by_hand", title))
    }

    fn budget(&self) -> CrmBudget {
        self.database.budget()
    }

    async fn check(&self) -> Result<String, CallError> {
        self.verify().await?;
        Ok(format!("{}: the database answers and takes every statement", self.config.product))
    }
}
