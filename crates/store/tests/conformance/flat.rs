//! The cost of a claim doesn't grow with what is queued: not with the number of lanes, not with the length of one.

use crate::lanes::crm;
use crate::support::{LEASE, NUMBER, Raw, T0, W, World, crm_end, crm_job, status, text};
use ponte_domain::event::EventCursor;
use ponte_domain::job::{Class, JobEnd, JobKind, NewJob};
use ponte_domain::ports::store::{SendEnd, SendSettlement, Store};
use ponte_domain::status::Status;
use ponte_testkit::{Engine, TestDatabase, both_engines};
use std::time::{Duration, Instant};

impl World {
    async fn fill(&self, jobs: impl Iterator<Item = NewJob>) {
        let lease = self.store.lease(self.workspace, "reader", T0, LEASE).await.unwrap().unwrap();
        let mut jobs = jobs.peekable();
        while jobs.peek().is_some() {
            let some: Vec<NewJob> = jobs.by_ref().take(2_000).collect();
            self.store.advance(W, lease.clone(), "reader", EventCursor::default(), some).await.unwrap();
        }
    }

    /// The best of nine (a busy machine only adds): claiming a hundred heads and putting them back.
    async fn hundred_heads(&self) -> Duration {
        let mut times = Vec::new();
        for round in 0..9 {
            let begun = Instant::now();
            let claimed = self.claim(T0 + round).await;
            times.push(begun.elapsed());
            assert_eq!(claimed.tasks.len(), 100);
            let ends = claimed.tasks.iter().map(|t| SendSettlement {
                lane: t.lane.clone(),
                seq: t.job.seq,
                message: None,
                end: SendEnd::PutBack(T0 + round),
            });
            assert_eq!(self.store.settle_sends(W, T0 + round, ends.collect()).await.unwrap(), 0);
        }
        times.sort();
        times[0]
    }

    /// The best of nine (a busy machine only adds): claiming the head of lane `a` and putting it back.
    async fn one_head(&self) -> Duration {
        let mut times = Vec::new();
        for _ in 0..9 {
            let begun = Instant::now();
            let claimed = self.take(T0, 1, 2).await;
            let ends = claimed[0].jobs.iter().map(|j| crm_end(&claimed[0].lane, j.seq, JobEnd::PutBack(T0)));
            assert_eq!(self.store.settle_crm(W, &crm(), T0, ends.collect()).await.unwrap(), 0);
            times.push(begun.elapsed());
        }
        times.sort();
        times[0]
    }
}

fn sends(lanes: std::ops::Range<u32>) -> impl Iterator<Item = NewJob> {
    lanes.map(|i| NewJob {
        kind: JobKind::Send,
        lane: format!("{NUMBER}/{i:06}/reply"),
        scope: NUMBER.into(),
        priority: i64::from(i % 3),
        not_before: T0,
        payload: "{}".into(),
        dedup: None,
    })
}

both_engines!(in_the_number_of_lanes, |db| async move {
    let world = World::open(&db).await;
    world.fill(sends(0..1_000)).await;
    let few = world.hundred_heads().await;
    world.fill(sends(1_000..50_000)).await;
    let many = world.hundred_heads().await;
    println!("100 heads: {few:?} of 1,000 lanes, {many:?} of 50,000");
    assert!(many < few * 5 + Duration::from_millis(10), "{few:?} of 1,000 lanes, {many:?} of 50,000");
});

both_engines!(in_the_length_of_a_lane, |db| async move {
    let world = World::open(&db).await;
    world.fill((0..100).map(|i| crm_job("a", &i.to_string()))).await;
    let short = world.one_head().await;
    world.fill((100..20_000).map(|i| crm_job("a", &i.to_string()))).await;
    let long = world.one_head().await;
    println!("one head: {short:?} of 100 jobs, {long:?} of 20,000");
    assert!(long < short * 5 + Duration::from_millis(5), "{short:?} of 100 jobs, {long:?} of 20,000");
});

/// Counted, not timed: how many entries of each index are read for one look into it, while a database takes in what a busy
/// first minute brings.
async fn long_reads(db: &TestDatabase) -> Vec<String> {
    let world = World::open(db).await;
    for batch in 0..12 {
        let names = (0..200).map(|n| (format!("55119{batch:04}{n:04}"), format!("wamid.{batch}.{n}")));
        let texts: Vec<_> = names.clone().map(|(who, wamid)| text(&who, &wamid, T0 + batch)).collect();
        world.ingest(&texts).await;
        let statuses: Vec<_> =
            names.clone().map(|(who, wamid)| status(&format!("out.{wamid}"), Status::Sent, T0, &who, None)).collect();
        world.ingest(&statuses).await;
        let asked: Vec<_> = names.clone().map(|(who, wamid)| (who, Class::Reply, Some(wamid))).collect();
        world.queue_many(&asked, T0).await;
        let tasks = world.claim(T0).await.tasks;
        assert_eq!(tasks.len(), 100);
        for (n, task) in tasks.iter().enumerate() {
            world.settle(T0 + 30, task, crate::support::accepted(&format!("sent.{batch}.{n}"))).await;
        }
        world.fill(names.map(|(who, wamid)| crm_job(&who, &wamid))).await;
        assert_eq!(world.take(T0, 50, 2).await.len(), 50);
    }
    world.store.close().await;
    long_looks(db).await
}

/// Indexes of a PostgreSQL of which more was read than a look by key needs. The store must be closed: counts come with the end
/// of a connection.
pub async fn long_looks(db: &TestDatabase) -> Vec<String> {
    let looks = "SELECT indexrelname || ': ' || idx_tup_read || ' entries in ' || idx_scan || ' looks' \
                 FROM pg_stat_user_indexes WHERE idx_tup_read > 20 * idx_scan + 20000";
    Raw::open(db).await.texts(looks).await
}

/// A new PostgreSQL knows nothing of its tables until the first automatic ANALYZE, a minute later.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_young_database_is_read_by_keys_on_postgres() {
    let db = TestDatabase::of(Engine::Postgres).await.expect("a database");
    let long = long_reads(&db).await;
    assert!(long.is_empty(), "read from end to end: {long:?}");
}

/// Queues are empty most of the time, and so PostgreSQL's statistics say that they are, when a campaign comes.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn tables_that_were_empty_when_they_were_counted_are_read_by_keys_on_postgres() {
    let db = TestDatabase::of(Engine::Postgres).await.expect("a database");
    World::open(&db).await.store.close().await;
    Raw::open(&db).await.run("VACUUM ANALYZE lane, job, journal_pending, orphan, dead_letter, limiter").await;
    let long = long_reads(&db).await;
    assert!(long.is_empty(), "read from end to end: {long:?}");
}
