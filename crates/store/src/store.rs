//! The store behind its port: opens a database of either kind and sends every verb to its room.

use crate::conn::{Conn, Inner};
use crate::vault::VaultKey;
use crate::wake::Wakes;
use crate::writer::Writer;
use crate::{apply, consent, crm, events, gate, journal, lanes, leases, letters, look, schema, sends};
use async_trait::async_trait;
use ponte_domain::Millis;
use ponte_domain::consent::Entry;
use ponte_domain::conversation::Keys;
use ponte_domain::error::StoreError;
use ponte_domain::event::{Event, EventCursor, NewEvent};
use ponte_domain::identity::Identity;
use ponte_domain::ids::{ConnectionId, ConsentId, ConversationId, DeadLetterId, MessageId, PersonId, WorkspaceId};
use ponte_domain::job::{ClaimedLane, DeadLetter, EndedLetter, JobKind, NewJob};
use ponte_domain::ports::store::{
    AdmitFn, AdmitKey, Answer, ClaimedSends, ConsentDone, ConsentDue, ConsentFile, CrmEnd, CrmView, FoldFn,
    IngestCounts, JournalEntry, Lease, MediaEnd, MessageView, Overview, Page, Queues, Segment, SendClaim,
    SendSettlement, Store, Topic,
};
use sqlx::postgres::{PgConnectOptions, PgPoolOptions};
use sqlx::sqlite::{SqliteConnectOptions, SqliteJournalMode, SqlitePoolOptions, SqliteSynchronous};
use sqlx::{ConnectOptions, PgPool, SqlitePool};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

/// Which database.
#[derive(Debug, Clone)]
pub enum Database {
    /// A file, for one node.
    Sqlite(PathBuf),
    /// `postgres://…`, for one node or several.
    Postgres(String),
}

/// How to open it.
#[derive(Debug, Clone)]
pub struct Options {
    /// Which database.
    pub database: Database,
    /// Name of this node; unique among those that live.
    pub node: String,
    /// True for the program that serves: on SQLite it must be the only one, and takes back what dead ones held.
    pub serve: bool,
    /// Connections for reading (SQLite) or for everything (PostgreSQL).
    pub connections: u32,
    /// Run missing migrations; else a database that isn't up to date is refused.
    pub migrate: bool,
}

/// Why a database can't be opened.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// Another program serves this file.
    #[error("another ponte serves {0}: stop it first, or use PostgreSQL for several nodes")]
    InUse(PathBuf),
    /// The file, its folder or the server can't be reached.
    #[error("the database can't be opened: {0}")]
    Unreachable(String),
    /// The schema is older than the program.
    #[error("the database has schema {found}, this program needs {needed}: run `ponte migrate`")]
    Outdated {
        /// Version found.
        found: i64,
        /// Version needed.
        needed: i64,
    },
    /// A statement failed.
    #[error(transparent)]
    Store(#[from] StoreError),
}

enum Readers {
    Sqlite(SqlitePool),
    Postgres(PgPool),
}

/// The store on SQLite or PostgreSQL.
pub struct SqlStore {
    pub(crate) vault_key: Option<VaultKey>,
    pub(crate) node: Arc<str>,
    readers: Readers,
    pub(crate) writer: Writer,
    wakes: Wakes,
    /// Held for as long as the store serves.
    _lock: Option<std::fs::File>,
}

impl SqlStore {
    /// Opens a database, runs missing migrations when asked, and starts its writer.
    ///
    /// # Errors
    /// See [`OpenError`].
    pub async fn open(options: Options, now: Millis) -> Result<Self, OpenError> {
        match options.database.clone() {
            Database::Sqlite(path) => Self::open_sqlite(path, options, now).await,
            Database::Postgres(url) => Self::open_postgres(&url, options, now).await,
        }
    }

    async fn open_sqlite(path: PathBuf, options: Options, now: Millis) -> Result<Self, OpenError> {
        let lock = if options.serve { Some(lock(&path)?) } else { None };
        let connect = SqliteConnectOptions::new()
            .filename(&path)
            .create_if_missing(true)
            .page_size(8192)
            .journal_mode(SqliteJournalMode::Wal)
            // Answered means on the disk: NORMAL may lose the last commits with the power.
            .synchronous(SqliteSynchronous::Full)
            .busy_timeout(Duration::from_secs(5))
            .statement_cache_capacity(400)
            // Pages. A command may be an import, which changes the same pages of an index again and again: seldom brought home,
            // they are written less often.
            .pragma("wal_autocheckpoint", if options.serve { "4000" } else { "16000" })
            .pragma("cache_size", "-16000")
            .pragma("temp_store", "MEMORY")
            .disable_statement_logging();
        let unreachable = |e: sqlx::Error| OpenError::Unreachable(format!("{}: {e}", path.display()));
        let connection = connect.clone().connect().await.map_err(unreachable)?;
        let mut c = Conn::new(Inner::Sqlite(Box::new(connection)));
        c.exec("BEGIN IMMEDIATE", vec![]).await?;
        prepare(&mut c, &options, now).await?;
        if options.serve {
            leases::release_everyone(&mut c, now).await?;
        }
        c.exec("COMMIT", vec![]).await?;
        let wakes = Wakes::local();
        let readers = SqlitePoolOptions::new()
            .max_connections(options.connections.max(1))
            .connect_lazy_with(connect.read_only(true).create_if_missing(false).pragma("cache_size", "-4000"));
        Ok(Self {
            node: options.node.into(),
            readers: Readers::Sqlite(readers),
            writer: Writer::sqlite(c, wakes.clone()),
            wakes,
            vault_key: None,
            _lock: lock,
        })
    }

    async fn open_postgres(url: &str, options: Options, now: Millis) -> Result<Self, OpenError> {
        let unreachable = |e: sqlx::Error| OpenError::Unreachable(e.to_string());
        let connect: PgConnectOptions = url.parse().map_err(unreachable)?;
        // Every hot statement goes by an index; a planner without statistics would read young tables whole.
        let connect = connect
            .application_name("ponte")
            .statement_cache_capacity(400)
            .options([
                ("enable_seqscan", "off"),
                ("enable_hashjoin", "off"),
                ("enable_mergejoin", "off"),
                ("jit", "off"),
            ])
            .disable_statement_logging();
        let pool = PgPoolOptions::new()
            .max_connections(options.connections.max(6))
            // While the server is away this is how long a webhook waits for its 503.
            .acquire_timeout(Duration::from_secs(2))
            .connect_with(connect)
            .await
            .map_err(unreachable)?;
        let connection = pool.acquire().await.map_err(unreachable)?;
        let mut c = Conn::new(Inner::Postgres(connection));
        c.exec("BEGIN", vec![]).await?;
        prepare(&mut c, &options, now).await?;
        c.exec("COMMIT", vec![]).await?;
        drop(c);
        let wakes = Wakes::shared(pool.clone());
        Ok(Self {
            node: options.node.into(),
            readers: Readers::Postgres(pool.clone()),
            writer: Writer::postgres(pool, wakes.clone(), 2),
            wakes,
            vault_key: None,
            _lock: None,
        })
    }

    /// With the key that secrets are encrypted with.
    #[must_use]
    pub fn with_vault_key(mut self, key: Option<VaultKey>) -> Self {
        self.vault_key = key;
        self
    }

    pub(crate) async fn reader(&self) -> Result<Conn, StoreError> {
        let inner = match &self.readers {
            Readers::Sqlite(pool) => Inner::SqliteReader(pool.acquire().await.map_err(|e| crate::conn::broken(&e))?),
            Readers::Postgres(pool) => Inner::Postgres(pool.acquire().await.map_err(|e| crate::conn::broken(&e))?),
        };
        Ok(Conn::new(inner))
    }

    /// The name of this node.
    pub(crate) fn node(&self) -> Arc<str> {
        Arc::clone(&self.node)
    }

    /// Waits until running transactions have ended and closes all connections.
    pub async fn close(&self) {
        match &self.readers {
            Readers::Sqlite(pool) => {
                pool.close().await;
                self.writer.close().await;
            }
            Readers::Postgres(pool) => pool.close().await,
        }
    }
}

async fn prepare(c: &mut Conn, options: &Options, now: Millis) -> Result<(), OpenError> {
    if options.migrate {
        schema::migrate(c, now).await?;
        return Ok(());
    }
    let found = schema::version(c).await?;
    if found == schema::SCHEMA_VERSION {
        return Ok(());
    }
    if found > schema::SCHEMA_VERSION {
        return Err(schema::newer(found).into());
    }
    Err(OpenError::Outdated { found, needed: schema::SCHEMA_VERSION })
}

/// One serving program per file: a lock that the system drops when the program dies, however it dies.
fn lock(path: &std::path::Path) -> Result<std::fs::File, OpenError> {
    let mut name = path.as_os_str().to_owned();
    name.push(".lock");
    let file = std::fs::File::options()
        .create(true)
        .truncate(false)
        .write(true)
        .open(&name)
        .map_err(|e| OpenError::Unreachable(format!("{}: {e}", path.display())))?;
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(_) => Err(OpenError::InUse(path.to_path_buf())),
    }
}

/// `write!(self, (captured, …) => |c| body)`: the captured values are shared with every repetition of the work.
macro_rules! write {
    ($self:ident, ($($name:ident),*), |$c:ident| $body:expr) => {{
        $(let $name = Arc::new($name);)*
        $self.writer.write(move |$c| {
            $(let $name = Arc::clone(&$name);)*
            Box::pin(async move { $body })
        }).await
    }};
}
pub(crate) use write;

#[async_trait]
impl Store for SqlStore {
    async fn journal_append(&self, workspace: WorkspaceId, entry: JournalEntry) -> Result<(), StoreError> {
        self.writer.append(workspace, entry).await
    }

    async fn journal_pending(&self, workspace: WorkspaceId, max_bytes: usize) -> Result<Vec<Segment>, StoreError> {
        journal::pending(&mut self.reader().await?, workspace, max_bytes).await
    }

    async fn journal_read(&self, workspace: WorkspaceId, after: i64, limit: i64) -> Result<Vec<Segment>, StoreError> {
        journal::read(&mut self.reader().await?, workspace, after, limit).await
    }

    async fn ingest(
        &self,
        workspace: WorkspaceId,
        lease: Option<Lease>,
        segments: Vec<i64>,
        keys: Keys,
        fold: FoldFn,
    ) -> Result<IngestCounts, StoreError> {
        write!(self, (lease, segments, keys, fold), |c| {
            apply::ingest(c, workspace, lease.as_ref().as_ref(), &segments, &keys, &fold).await
        })
    }

    async fn admit(
        &self,
        workspace: WorkspaceId,
        now: Millis,
        keys: Vec<AdmitKey>,
        decide: AdmitFn,
    ) -> Result<Vec<Answer>, StoreError> {
        write!(self, (keys, decide), |c| gate::admit(c, workspace, now, &keys, &decide).await)
    }

    async fn claim_sends(&self, claim: SendClaim) -> Result<ClaimedSends, StoreError> {
        let node = Arc::clone(&self.node);
        write!(self, (claim, node), |c| sends::claim(c, &node, &claim).await)
    }

    async fn settle_sends(
        &self,
        workspace: WorkspaceId,
        now: Millis,
        settlements: Vec<SendSettlement>,
    ) -> Result<u64, StoreError> {
        let node = Arc::clone(&self.node);
        write!(self, (settlements, node), |c| sends::settle(c, workspace, &node, now, &settlements).await)
    }

    async fn hold(&self, workspace: WorkspaceId, scope: &str, until: Millis) -> Result<(), StoreError> {
        let scope = scope.to_owned();
        write!(self, (scope), |c| sends::hold(c, workspace, &scope, until).await)
    }

    async fn claim_lanes(
        &self,
        workspace: WorkspaceId,
        kind: JobKind,
        scope: &str,
        now: Millis,
        lease_ms: Millis,
        lanes: usize,
        per_lane: usize,
    ) -> Result<Vec<ClaimedLane>, StoreError> {
        let (scope, node) = (scope.to_owned(), Arc::clone(&self.node));
        write!(self, (scope, node), |c| {
            let lease = lanes::Lease { workspace, node: &node, kind, scope: &scope, now, lease_ms };
            lanes::claim(c, &lease, lanes, per_lane).await
        })
    }

    async fn scopes(&self, workspace: WorkspaceId, kind: JobKind) -> Result<Vec<String>, StoreError> {
        lanes::scopes(&mut self.reader().await?, workspace, kind).await
    }

    async fn settle_media(&self, workspace: WorkspaceId, now: Millis, ends: Vec<MediaEnd>) -> Result<u64, StoreError> {
        let node = Arc::clone(&self.node);
        write!(self, (ends, node), |c| crate::media::settle(c, workspace, &node, now, &ends).await)
    }

    async fn crm_views(
        &self,
        workspace: WorkspaceId,
        connection: &ConnectionId,
        subjects: &[(PersonId, Option<MessageId>)],
    ) -> Result<Vec<Option<CrmView>>, StoreError> {
        crm::views(&mut self.reader().await?, workspace, connection, subjects).await
    }

    async fn settle_crm(
        &self,
        workspace: WorkspaceId,
        connection: &ConnectionId,
        now: Millis,
        ends: Vec<CrmEnd>,
    ) -> Result<u64, StoreError> {
        let (connection, node) = (connection.clone(), Arc::clone(&self.node));
        write!(self, (connection, ends, node), |c| crm::settle(c, workspace, &connection, &node, now, &ends).await)
    }

    async fn events_after(
        &self,
        workspace: WorkspaceId,
        cursor: EventCursor,
        limit: i64,
    ) -> Result<Vec<Event>, StoreError> {
        events::after(&mut self.reader().await?, workspace, cursor, limit).await
    }

    async fn cursor(&self, workspace: WorkspaceId, reader: &str) -> Result<Option<EventCursor>, StoreError> {
        events::cursor(&mut self.reader().await?, workspace, reader).await
    }

    async fn advance(
        &self,
        workspace: WorkspaceId,
        lease: Lease,
        reader: &str,
        cursor: EventCursor,
        jobs: Vec<NewJob>,
    ) -> Result<(), StoreError> {
        let reader = reader.to_owned();
        write!(self, (lease, reader, jobs), |c| {
            leases::still_ours(c, workspace, &lease).await?;
            let now = jobs.iter().map(|j| j.not_before).max().unwrap_or(0);
            lanes::enqueue(c, workspace, now, jobs.to_vec()).await?;
            events::move_cursor(c, workspace, &reader, cursor).await
        })
    }

    async fn lease(
        &self,
        workspace: WorkspaceId,
        name: &str,
        now: Millis,
        ttl_ms: Millis,
    ) -> Result<Option<Lease>, StoreError> {
        let (name, node) = (name.to_owned(), Arc::clone(&self.node));
        write!(self, (name, node), |c| leases::take(c, workspace, &node, &name, now, ttl_ms).await)
    }

    async fn release_all(&self, now: Millis) -> Result<(), StoreError> {
        let node = Arc::clone(&self.node);
        write!(self, (node), |c| leases::release(c, &node, now).await)
    }

    async fn nodes(&self, now: Millis) -> Result<i64, StoreError> {
        look::nodes(&mut self.reader().await?, now).await
    }

    async fn heartbeat(&self, now: Millis) -> Result<(), StoreError> {
        let node = Arc::clone(&self.node);
        write!(self, (node), |c| leases::heartbeat(c, &node, now).await)
    }

    async fn queues(&self, workspace: WorkspaceId, now: Millis) -> Result<Queues, StoreError> {
        look::queues(&mut self.reader().await?, workspace, now).await
    }

    async fn overview(&self, workspace: WorkspaceId, now: Millis) -> Result<Overview, StoreError> {
        look::overview(&mut self.reader().await?, workspace, now).await
    }

    async fn message(&self, workspace: WorkspaceId, id: MessageId) -> Result<Option<MessageView>, StoreError> {
        let found = look::messages(&mut self.reader().await?, workspace, None, Some(id), None, 1).await?;
        Ok(found.into_iter().next())
    }

    async fn messages(
        &self,
        workspace: WorkspaceId,
        conversation: Option<ConversationId>,
        limit: i64,
        before: Option<MessageId>,
    ) -> Result<Vec<MessageView>, StoreError> {
        look::messages(&mut self.reader().await?, workspace, conversation, None, before, limit).await
    }

    async fn recent_events(
        &self,
        workspace: WorkspaceId,
        kind: Option<&str>,
        page: Page,
    ) -> Result<Vec<Event>, StoreError> {
        events::recent(&mut self.reader().await?, workspace, kind, page).await
    }

    async fn dead_letters(&self, workspace: WorkspaceId, limit: i64) -> Result<Vec<DeadLetter>, StoreError> {
        letters::waiting(&mut self.reader().await?, workspace, limit).await
    }

    async fn retry_dead(
        &self,
        workspace: WorkspaceId,
        id: Option<DeadLetterId>,
        now: Millis,
    ) -> Result<u64, StoreError> {
        write!(self, (), |c| letters::revive(c, workspace, id, now).await)
    }

    async fn discard_dead(
        &self,
        workspace: WorkspaceId,
        id: Option<DeadLetterId>,
        now: Millis,
    ) -> Result<u64, StoreError> {
        write!(self, (), |c| letters::discard(c, workspace, id, now).await)
    }

    async fn ended_dead(&self, workspace: WorkspaceId, limit: i64) -> Result<Vec<EndedLetter>, StoreError> {
        letters::ended(&mut self.reader().await?, workspace, limit).await
    }

    async fn check(&self) -> Result<(), StoreError> {
        write!(self, (), |c| {
            // A page is really written: a full disk must be noticed.
            c.exec("UPDATE schema_version SET applied_at = applied_at", vec![]).await?;
            Ok(())
        })
    }

    async fn tidy(&self, workspace: WorkspaceId, now: Millis) -> Result<u64, StoreError> {
        write!(self, (), |c| crate::upkeep::tidy(c, workspace, now).await)
    }

    async fn consent_record(
        &self,
        workspace: WorkspaceId,
        entries: Vec<Entry>,
        events: Vec<NewEvent>,
    ) -> Result<u64, StoreError> {
        write!(self, (entries, events), |c| consent::record(c, workspace, &entries, events.to_vec()).await)
    }

    async fn consent_of(&self, workspace: WorkspaceId, person: PersonId) -> Result<Option<ConsentFile>, StoreError> {
        consent::file(&mut self.reader().await?, workspace, person).await
    }

    async fn consent_export(
        &self,
        workspace: WorkspaceId,
        after: Option<ConsentId>,
        limit: i64,
    ) -> Result<Vec<Entry>, StoreError> {
        consent::export(&mut self.reader().await?, workspace, after, limit).await
    }

    async fn consent_due(&self, workspace: WorkspaceId, now: Millis, limit: i64) -> Result<ConsentDue, StoreError> {
        consent::due(&mut self.reader().await?, workspace, now, limit).await
    }

    async fn consent_settle(&self, workspace: WorkspaceId, done: ConsentDone) -> Result<(), StoreError> {
        write!(self, (done), |c| consent::settle(c, workspace, &done).await)
    }

    async fn person_by(&self, workspace: WorkspaceId, identities: &[Identity]) -> Result<Option<PersonId>, StoreError> {
        let links = crate::load::identities(&mut self.reader().await?, workspace, identities.iter()).await?;
        Ok(identities.iter().find_map(|i| links.iter().find(|l| l.identity == *i)).map(|l| l.person))
    }

    async fn wait(&self, topic: Topic, seen: u64, ms: Millis) -> u64 {
        self.wakes.wait(topic, seen, ms).await
    }
}
