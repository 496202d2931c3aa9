//! How transactions run. SQLite: one writer that takes all that waits, webhook bodies first, and commits it with one sync.
//! PostgreSQL: every transaction on its own connection, webhook bodies gathered by a few committers.
//! Invariants: a caller hears of success only after the commit; a transaction that fails takes nobody else's work with it.
//! Failure story: a caller that goes away doesn't stop its transaction half-way, for it runs in a task of its own.

use crate::conn::{Conn, Inner, REPEAT, UNIQUE};
use crate::journal;
use crate::wake::Wakes;
use futures_util::future::BoxFuture;
use ponte_domain::error::StoreError;
use ponte_domain::ids::WorkspaceId;
use ponte_domain::ports::store::JournalEntry;
use sqlx::PgPool;
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::sync::{Mutex, mpsc, oneshot};

/// Bodies that may wait; beyond it the caller hears "not now" and answers 503.
const WAITING_BODIES: usize = 16_384;
/// Bodies of one commit.
const BODIES_A_COMMIT: usize = 1_024;
const BYTES_A_COMMIT: usize = 8 << 20;
/// Other work of one commit stops being added after this long, so that bodies don't wait.
const WORK_A_COMMIT: Duration = Duration::from_millis(8);
const REPETITIONS: u32 = 12;

/// A body to be appended and who waits for it.
pub(crate) struct Append {
    workspace: WorkspaceId,
    entry: JournalEntry,
    done: oneshot::Sender<Result<(), StoreError>>,
}

/// A transaction's work, from a connection to a result.
type Work<T> = Box<dyn for<'c> Fn(&'c mut Conn) -> BoxFuture<'c, Result<T, StoreError>> + Send + Sync>;

/// Work whose result waits for the commit.
pub(crate) trait Pending: Send {
    fn run<'a>(&'a mut self, c: &'a mut Conn) -> BoxFuture<'a, bool>;
    fn finish(self: Box<Self>, commit: Result<(), StoreError>);
}

struct PendingWork<T> {
    work: Work<T>,
    result: Option<Result<T, StoreError>>,
    done: oneshot::Sender<Result<T, StoreError>>,
}

impl<T: Send + 'static> Pending for PendingWork<T> {
    fn run<'a>(&'a mut self, c: &'a mut Conn) -> BoxFuture<'a, bool> {
        Box::pin(async move {
            let result = (self.work)(c).await;
            let good = result.is_ok();
            self.result = Some(result);
            good
        })
    }

    fn finish(self: Box<Self>, commit: Result<(), StoreError>) {
        let result = match (self.result, commit) {
            (Some(Ok(value)), Ok(())) => Ok(value),
            (Some(Err(error)), _) => Err(error),
            (_, Err(error)) => Err(error),
            (None, Ok(())) => Err(StoreError::Unavailable("the transaction was not run".into())),
        };
        let _ = self.done.send(result);
    }
}

/// The way in for everything that writes.
#[derive(Clone)]
pub(crate) enum Writer {
    Sqlite { bodies: mpsc::Sender<Append>, works: mpsc::Sender<Queued> },
    Postgres { bodies: mpsc::Sender<Append>, pool: PgPool, wakes: Wakes },
}

/// What stands in the queue of the SQLite writer.
pub(crate) enum Queued {
    Work(Box<dyn Pending>),
    Close(oneshot::Sender<()>),
}

impl Writer {
    /// Starts the one writer of a SQLite file. It ends when the last handle is dropped.
    pub(crate) fn sqlite(conn: Conn, wakes: Wakes) -> Self {
        let (bodies, waiting_bodies) = mpsc::channel(WAITING_BODIES);
        let (works, waiting_works) = mpsc::channel(1024);
        tokio::spawn(run_sqlite(conn, waiting_bodies, waiting_works, wakes));
        Self::Sqlite { bodies, works }
    }

    /// Starts the committers of a PostgreSQL database.
    pub(crate) fn postgres(pool: PgPool, wakes: Wakes, committers: usize) -> Self {
        let (bodies, waiting) = mpsc::channel(WAITING_BODIES);
        let waiting = Arc::new(Mutex::new(waiting));
        for _ in 0..committers.max(1) {
            tokio::spawn(run_committer(pool.clone(), Arc::clone(&waiting), wakes.clone()));
        }
        Self::Postgres { bodies, pool, wakes }
    }

    /// Ends the SQLite writer: what waits is still committed, then the file is left whole, without a log beside it.
    pub(crate) async fn close(&self) {
        if let Self::Sqlite { works, .. } = self {
            let (done, closed) = oneshot::channel();
            if works.send(Queued::Close(done)).await.is_ok() {
                let _ = closed.await;
            }
        }
    }

    /// Appends a body to the journal; durable when it returns.
    pub(crate) async fn append(&self, workspace: WorkspaceId, entry: JournalEntry) -> Result<(), StoreError> {
        let (Self::Sqlite { bodies, .. } | Self::Postgres { bodies, .. }) = self;
        let (done, answer) = oneshot::channel();
        bodies
            .try_send(Append { workspace, entry, done })
            .map_err(|_| StoreError::Unavailable("too many webhooks wait for the disk".into()))?;
        answer.await.unwrap_or_else(|_| Err(StoreError::Unavailable("the writer has stopped".into())))
    }

    /// Runs work in one transaction. It may be run again when the database asks for it.
    pub(crate) async fn write<T: Send + 'static>(
        &self,
        work: impl for<'c> Fn(&'c mut Conn) -> BoxFuture<'c, Result<T, StoreError>> + Send + Sync + 'static,
    ) -> Result<T, StoreError> {
        let stopped = || StoreError::Unavailable("the writer has stopped".into());
        match self {
            Self::Sqlite { works, .. } => {
                let (done, answer) = oneshot::channel();
                let pending = PendingWork { work: Box::new(work), result: None, done };
                works.send(Queued::Work(Box::new(pending))).await.map_err(|_| stopped())?;
                answer.await.unwrap_or_else(|_| Err(stopped()))
            }
            Self::Postgres { pool, wakes, .. } => {
                let (pool, wakes) = (pool.clone(), wakes.clone());
                tokio::spawn(async move { run_postgres(&pool, &wakes, &work).await })
                    .await
                    .unwrap_or_else(|_| Err(stopped()))
            }
        }
    }
}

/// What one commit takes along.
#[derive(Default)]
struct Round {
    appends: Vec<Append>,
    works: Vec<Box<dyn Pending>>,
    closing: Option<oneshot::Sender<()>>,
}

impl Round {
    fn add(&mut self, queued: Queued) {
        match queued {
            Queued::Work(work) => self.works.push(work),
            Queued::Close(done) => self.closing = Some(done),
        }
    }

    fn finish(self, commit: &Result<(), StoreError>) {
        for append in self.appends {
            let _ = append.done.send(commit.clone());
        }
        for work in self.works {
            work.finish(commit.clone());
        }
    }
}

async fn run_sqlite(mut c: Conn, mut bodies: mpsc::Receiver<Append>, mut works: mpsc::Receiver<Queued>, wakes: Wakes) {
    loop {
        let mut round = Round::default();
        tokio::select! {
            biased;
            n = bodies.recv_many(&mut round.appends, BODIES_A_COMMIT) => if n == 0 { return },
            queued = works.recv() => match queued {
                Some(queued) => round.add(queued),
                None => return,
            },
        }
        while round.appends.len() < BODIES_A_COMMIT
            && let Ok(append) = bodies.try_recv()
        {
            round.appends.push(append);
        }
        let commit = commit_sqlite(&mut c, &mut round, &mut works).await;
        let touched = c.take_touched();
        if commit.is_ok() {
            wakes.wake(&touched);
        }
        let closing = round.closing.take();
        round.finish(&commit);
        if let Some(done) = closing {
            // The file alone is whole then, and can be copied without the log beside it.
            let _ = c.exec("PRAGMA wal_checkpoint(TRUNCATE)", vec![]).await;
            drop(c);
            let _ = done.send(());
            return;
        }
    }
}

/// One transaction with all that waits. Work that fails is rolled back alone.
async fn commit_sqlite(c: &mut Conn, round: &mut Round, works: &mut mpsc::Receiver<Queued>) -> Result<(), StoreError> {
    if round.works.is_empty()
        && works.is_empty()
        && let [(workspace, _, entries)] = segments(&round.appends).as_slice()
    {
        let committed = journal::commit_one(c, *workspace, entries).await;
        if committed.is_err() {
            let _ = c.exec("ROLLBACK", vec![]).await;
        }
        return committed;
    }
    c.exec("BEGIN IMMEDIATE", vec![]).await?;
    let done = fill_sqlite(c, round, works).await;
    let ended = match done {
        Ok(()) => c.exec("COMMIT", vec![]).await.map(|_| ()),
        Err(error) => Err(error),
    };
    if ended.is_err() {
        // A failed COMMIT may or may not have left the transaction open; a second end of it does no harm.
        let _ = c.exec("ROLLBACK", vec![]).await;
    }
    ended
}

async fn fill_sqlite(c: &mut Conn, round: &mut Round, works: &mut mpsc::Receiver<Queued>) -> Result<(), StoreError> {
    append_all(c, &round.appends).await?;
    let begun = Instant::now();
    let mut next = 0;
    loop {
        while next == round.works.len() {
            if begun.elapsed() > WORK_A_COMMIT || round.closing.is_some() {
                return Ok(());
            }
            match works.try_recv() {
                Ok(queued) => round.add(queued),
                Err(_) => return Ok(()),
            }
        }
        let Some(work) = round.works.get_mut(next) else { return Ok(()) };
        next += 1;
        if next == 1 && round.appends.is_empty() {
            // Nothing else is in the transaction yet: it is rolled back whole instead. A savepoint keeps a copy of every page that
            // changes, in memory: for a batch of an import nearly the size of an index.
            if !work.run(c).await {
                // An error may have ended the transaction by itself.
                let _ = c.exec("ROLLBACK", vec![]).await;
                c.exec("BEGIN IMMEDIATE", vec![]).await?;
            }
            continue;
        }
        c.exec("SAVEPOINT work", vec![]).await?;
        if !work.run(c).await {
            c.exec("ROLLBACK TO work", vec![]).await?;
        }
        c.exec("RELEASE work", vec![]).await?;
    }
}

async fn append_all(c: &mut Conn, appends: &[Append]) -> Result<(), StoreError> {
    for (workspace, _, entries) in &segments(appends) {
        journal::append(c, *workspace, entries).await?;
    }
    Ok(())
}

/// One segment per workspace and eight megabytes: workspace, bytes, entries.
fn segments(appends: &[Append]) -> Vec<(WorkspaceId, usize, Vec<JournalEntry>)> {
    let mut segments: Vec<(WorkspaceId, usize, Vec<JournalEntry>)> = Vec::new();
    for append in appends {
        let size = append.entry.body.len();
        let open = segments.iter_mut().rev().find(|(w, ..)| *w == append.workspace);
        match open {
            Some((_, bytes, entries)) if *bytes + size <= BYTES_A_COMMIT => {
                *bytes += size;
                entries.push(append.entry.clone());
            }
            _ => segments.push((append.workspace, size, vec![append.entry.clone()])),
        }
    }
    segments
}

async fn run_committer(pool: PgPool, waiting: Arc<Mutex<mpsc::Receiver<Append>>>, wakes: Wakes) {
    let mut appends: Vec<Append> = Vec::new();
    loop {
        if waiting.lock().await.recv_many(&mut appends, BODIES_A_COMMIT).await == 0 {
            return;
        }
        let commit = commit_bodies(&pool, &wakes, &appends).await;
        for append in appends.drain(..) {
            let _ = append.done.send(commit.clone());
        }
    }
}

async fn commit_bodies(pool: &PgPool, wakes: &Wakes, appends: &[Append]) -> Result<(), StoreError> {
    let mut c = connect(pool).await?;
    c.exec("BEGIN", vec![]).await?;
    let done = append_all(&mut c, appends).await;
    end(&mut c, done, wakes).await
}

async fn run_postgres<T>(
    pool: &PgPool,
    wakes: &Wakes,
    work: &(impl for<'c> Fn(&'c mut Conn) -> BoxFuture<'c, Result<T, StoreError>> + Send + Sync),
) -> Result<T, StoreError> {
    let mut tries = 0;
    loop {
        let mut c = connect(pool).await?;
        c.exec("BEGIN", vec![]).await?;
        let mut value = None;
        let done = work(&mut c).await.map(|v| value = Some(v));
        match (end(&mut c, done, wakes).await, value) {
            (Ok(()), Some(value)) => return Ok(value),
            (Err(StoreError::Unavailable(why)), _) if why.starts_with(REPEAT) && tries < REPETITIONS => {
                tries += 1;
                tokio::time::sleep(Duration::from_millis(u64::from(2 * tries))).await;
            }
            // Nobody else's row: the same would clash again.
            (Err(StoreError::Unavailable(why)), _)
                if why.starts_with(REPEAT) && why.ends_with(&format!("({UNIQUE})")) =>
            {
                return Err(StoreError::Refused(why.trim_start_matches(REPEAT).to_owned()));
            }
            (Err(error), _) => return Err(error),
            (Ok(()), None) => return Err(StoreError::Unavailable("the transaction gave nothing".into())),
        }
    }
}

async fn connect(pool: &PgPool) -> Result<Conn, StoreError> {
    let connection = pool.acquire().await.map_err(|e| crate::conn::broken(&e))?;
    Ok(Conn::new(Inner::Postgres(connection)))
}

async fn end(c: &mut Conn, done: Result<(), StoreError>, wakes: &Wakes) -> Result<(), StoreError> {
    let ended = match done {
        Ok(()) => c.exec("COMMIT", vec![]).await.map(|_| ()),
        Err(error) => Err(error),
    };
    match &ended {
        Ok(()) => wakes.wake(&c.take_touched()),
        Err(_) => {
            if c.exec("ROLLBACK", vec![]).await.is_err()
                && let Inner::Postgres(connection) = &mut c.inner
            {
                // An unknown state must not go back to the pool.
                connection.close_on_drop();
            }
        }
    }
    ended
}
