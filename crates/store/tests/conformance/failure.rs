//! When the database can't: an error in bounded time, nothing half done, and on again when it can.

use crate::support::{Raw, T0, W, World, crm_job, entry, open_as, options, text};
use ponte_domain::error::StoreError;
use ponte_domain::job::JobKind;
use ponte_domain::ports::store::Store;
use ponte_store::{Database, OpenError, Options, SqlStore};
use ponte_testkit::{Engine, Place, TestDatabase};
use std::time::Duration;

const PATIENCE: Duration = Duration::from_secs(25);

fn path(db: &TestDatabase) -> std::path::PathBuf {
    match db.place() {
        Place::Sqlite(path) => path.clone(),
        Place::Postgres(_) => panic!("a file is wanted"),
    }
}

fn serving(db: &TestDatabase, node: &str) -> Options {
    Options { serve: true, ..options(db, node) }
}

mod sqlite {
    use super::*;

    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn a_second_serving_program_is_refused() {
        let db = TestDatabase::of(Engine::Sqlite).await.unwrap();
        let first = SqlStore::open(serving(&db, "a"), T0).await.unwrap();
        let second = SqlStore::open(serving(&db, "b"), T0).await.err().expect("refused");
        assert!(matches!(second, OpenError::InUse(_)), "{second}");
        assert!(SqlStore::open(options(&db, "cli"), T0).await.is_ok(), "a program that only looks is let in");
        drop(first);
        SqlStore::open(serving(&db, "b"), T0).await.expect("the lock went with its holder");
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn a_program_that_serves_takes_back_what_the_dead_one_held() {
        let db = TestDatabase::of(Engine::Sqlite).await.unwrap();
        let dead = World::on(SqlStore::open(serving(&db, "dead"), T0).await.unwrap().into(), 1);
        dead.file(vec![crm_job("a", "0")]).await;
        dead.take(T0, 10, 10).await;
        dead.store.lease(W, "ingest", T0, 1_000_000).await.unwrap().unwrap();
        drop(dead);
        let next = SqlStore::open(serving(&db, "next"), T0 + 1).await.unwrap();
        assert!(next.lease(W, "ingest", T0 + 1, 1_000).await.unwrap().is_some());
        let found = next.claim_lanes(W, JobKind::Crm, "crm", T0 + 1, 1_000, 10, 10).await.unwrap();
        assert!(found[0].jobs[0].begun);
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn a_file_that_somebody_locks_gives_an_error_and_then_goes_on() {
        let db = TestDatabase::of(Engine::Sqlite).await.unwrap();
        let store = open_as(&db, "node-a").await;
        let mut other = Raw::open(&db).await;
        other.run("BEGIN IMMEDIATE").await;
        let refused = tokio::time::timeout(PATIENCE, store.journal_append(W, entry("lost", T0))).await;
        assert!(matches!(refused, Ok(Err(StoreError::Unavailable(_)))), "{refused:?}");
        other.run("ROLLBACK").await;
        store.check().await.unwrap();
        store.journal_append(W, entry("kept", T0)).await.unwrap();
        let all = store.journal_read(W, 0, 10).await.unwrap();
        assert_eq!(all.len(), 1);
        assert_eq!(&*all[0].entries[0].body, b"kept");
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn what_is_no_database_or_out_of_reach_is_refused() {
        let db = TestDatabase::of(Engine::Sqlite).await.unwrap();
        std::fs::write(path(&db), "this is a text, and not a short one. ".repeat(1000)).unwrap();
        let garbage = tokio::time::timeout(PATIENCE, SqlStore::open(serving(&db, "a"), T0)).await.expect("no hang");
        assert!(garbage.is_err());
        assert_eq!(&std::fs::read(path(&db)).unwrap()[..14], b"this is a text", "it was left as it is");
        for wrong in ["missing/folder/ponte.db", "."] {
            let place = path(&db).parent().unwrap().join(wrong);
            let options = Options { database: Database::Sqlite(place), ..serving(&db, "a") };
            let refused = SqlStore::open(options, T0).await.err().expect("refused");
            assert!(matches!(refused, OpenError::Unreachable(_)), "{wrong}: {refused}");
        }
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn a_broken_file_is_reported_and_nothing_hangs() {
        let db = TestDatabase::of(Engine::Sqlite).await.unwrap();
        let world = World::open(&db).await;
        for i in 0..50 {
            world.ingest(&[text("5511999990001", &format!("wamid.{i}"), T0)]).await;
        }
        drop(world);
        Raw::open(&db).await.run("PRAGMA wal_checkpoint(TRUNCATE)").await;
        let mut bytes = std::fs::read(path(&db)).unwrap();
        // The first page stays good, so that it still looks like a database.
        bytes[8192..].fill(0xA5);
        std::fs::write(path(&db), &bytes).unwrap();
        let looked = async {
            let store = SqlStore::open(serving(&db, "a"), T0).await?;
            store.overview(W, T0).await?;
            store.journal_append(W, entry("x", T0)).await?;
            Ok::<(), OpenError>(())
        };
        let refused = tokio::time::timeout(PATIENCE, looked).await.expect("no hang");
        assert!(matches!(refused, Err(OpenError::Store(_) | OpenError::Unreachable(_))), "{refused:?}");
    }
}

mod postgres {
    use super::*;
    use sqlx::{AssertSqlSafe, Connection, PgConnection};

    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn a_server_that_went_away_gives_an_error_and_then_goes_on() {
        let db = TestDatabase::of(Engine::Postgres).await.expect("a database");
        let store = open_as(&db, "node-a").await;
        let Place::Postgres(url) = db.place() else { panic!() };
        let name = url.split('?').next().unwrap().rsplit('/').next().unwrap();
        let mut admin = PgConnection::connect(db.admin_url().unwrap()).await.unwrap();
        let shut = format!(
            "ALTER DATABASE {name} ALLOW_CONNECTIONS false; \
             SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = '{name}'"
        );
        sqlx::raw_sql(AssertSqlSafe(shut)).execute(&mut admin).await.unwrap();
        let refused = tokio::time::timeout(PATIENCE, store.journal_append(W, entry("lost", T0))).await;
        assert!(matches!(refused, Ok(Err(StoreError::Unavailable(_)))), "{refused:?}");
        let refused = tokio::time::timeout(PATIENCE, store.check()).await;
        assert!(matches!(refused, Ok(Err(StoreError::Unavailable(_)))), "{refused:?}");
        let open = format!("ALTER DATABASE {name} ALLOW_CONNECTIONS true");
        sqlx::raw_sql(AssertSqlSafe(open)).execute(&mut admin).await.unwrap();
        let begun = std::time::Instant::now();
        while store.check().await.is_err() {
            assert!(begun.elapsed() < PATIENCE, "it never came back");
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        store.journal_append(W, entry("kept", T0)).await.unwrap();
        assert_eq!(store.journal_read(W, 0, 10).await.unwrap().len(), 1);
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn a_server_that_only_reads_can_not_be_written_to() {
        let db = TestDatabase::of(Engine::Postgres).await.expect("a database");
        drop(open_as(&db, "node-a").await);
        let Place::Postgres(url) = db.place() else { panic!() };
        let name = url.split('?').next().unwrap().rsplit('/').next().unwrap();
        let mut raw = Raw::open(&db).await;
        raw.run(&format!("ALTER DATABASE {name} SET default_transaction_read_only = on")).await;
        let mut options = options(&db, "node-b");
        options.migrate = false;
        let Ok(store) = SqlStore::open(options, T0).await else { return };
        let refused = store.check().await;
        assert!(matches!(refused, Err(StoreError::Unavailable(_))), "{refused:?}");
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn nobody_at_the_address_is_said_soon() {
        let port = ponte_testkit::free_port().unwrap();
        let options = Options {
            database: Database::Postgres(format!("postgres://ponte@127.0.0.1:{port}/none")),
            node: "a".into(),
            serve: true,
            connections: 6,
            migrate: true,
        };
        let refused = tokio::time::timeout(PATIENCE, SqlStore::open(options, T0)).await.expect("no hang");
        assert!(matches!(refused.err(), Some(OpenError::Unreachable(_))));
    }
}
