//! Events by cursor: in order, once, and never past a transaction that is still open.

use crate::support::{LEASE, Raw, T0, W, World, crm_job, open_as, text};
use ponte_domain::error::StoreError;
use ponte_domain::event::EventCursor;
use ponte_domain::job::JobKind;
use ponte_domain::ports::store::{Page, Store};
use ponte_testkit::{Engine, TestDatabase, both_engines};
use std::time::Duration;

both_engines!(a_reader_sees_every_event_once_in_order, |db| async move {
    let world = World::open(&db).await;
    for i in 0..5 {
        world.ingest(&[text("5511999990001", &format!("wamid.{i}"), T0 + i)]).await;
    }
    let all = world.events(6).await;
    assert_eq!(all.len(), 6, "a person and five messages");
    assert!(all.is_sorted_by_key(|e| e.cursor));
    let (mut cursor, mut read) = (EventCursor::default(), Vec::new());
    loop {
        let page = world.store.events_after(W, cursor, 2).await.unwrap();
        let Some(last) = page.last() else { break };
        cursor = last.cursor;
        read.extend(page.iter().map(|e| e.cursor));
    }
    assert_eq!(read, all.iter().map(|e| e.cursor).collect::<Vec<_>>());
    let page = Page { before: None, limit: 2 };
    let newest = world.store.recent_events(W, Some("message.received"), page).await.unwrap();
    assert_eq!(newest.len(), 2);
    let before = Page { before: Some(newest[1].cursor.seq), limit: 10 };
    assert_eq!(world.store.recent_events(W, Some("message.received"), before).await.unwrap().len(), 3);
});

both_engines!(cursor_and_jobs_move_together_under_the_lease, |db| async move {
    let world = World::open(&db).await;
    let other = open_as(&db, "node-b").await;
    assert_eq!(world.store.cursor(W, "crm").await.unwrap(), None);
    let ours = world.store.lease(W, "crm", T0, LEASE).await.unwrap().unwrap();
    let here = EventCursor { tx: 0, seq: 7 };
    world.store.advance(W, ours.clone(), "crm", here, vec![crm_job("a", "1")]).await.unwrap();
    assert_eq!(world.store.cursor(W, "crm").await.unwrap(), Some(here));
    let theirs = other.lease(W, "crm", T0 + LEASE, LEASE).await.unwrap().expect("the lease has run out");
    assert!(theirs.fence > ours.fence);
    let late = world.store.advance(W, ours, "crm", EventCursor { tx: 0, seq: 9 }, vec![crm_job("a", "2")]).await;
    assert_eq!(late, Err(StoreError::LeaseLost));
    assert_eq!(world.store.cursor(W, "crm").await.unwrap(), Some(here));
    let claimed = other.claim_lanes(W, JobKind::Crm, "crm", T0 + LEASE, LEASE, 10, 10).await.unwrap();
    assert_eq!(claimed[0].jobs.len(), 1, "the late reader's job was not filed");
});

mod open_transactions {
    use super::*;

    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn are_not_passed_on_postgres() {
        let db = TestDatabase::of(Engine::Postgres).await.expect("a database");
        let world = World::open(&db).await;
        let mut slow = Raw::open(&db).await;
        slow.run("BEGIN; INSERT INTO event (workspace_id, kind, at, data) VALUES (1, 'slow', 1, '{}')").await;
        world.ingest(&[text("5511999990001", "wamid.1", T0)]).await;
        for _ in 0..15 {
            let seen = world.store.events_after(W, EventCursor::default(), 100).await.unwrap();
            assert!(seen.is_empty(), "passed an open transaction: {seen:?}");
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        slow.run("COMMIT").await;
        let kinds: Vec<String> = world.events(3).await.into_iter().map(|e| e.kind).collect();
        assert_eq!(kinds, ["slow", "person.created", "message.received"]);
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn writers_side_by_side_lose_no_reader_an_event_on_postgres() {
        let db = TestDatabase::of(Engine::Postgres).await.expect("a database");
        let world = World::open(&db).await;
        let writers = (0..4).map(|w| {
            let world = world.clone();
            tokio::spawn(async move {
                for i in 0..25 {
                    world.ingest(&[text(&format!("551199999000{w}"), &format!("wamid.{w}.{i}"), T0)]).await;
                }
            })
        });
        let writers: Vec<_> = writers.collect();
        let (mut cursor, mut read, mut idle) = (EventCursor::default(), 0, 0);
        while read < 104 && idle < 1000 {
            let page = world.store.events_after(W, cursor, 7).await.unwrap();
            match page.last() {
                Some(last) => {
                    cursor = last.cursor;
                    read += page.len();
                    idle = 0;
                }
                None => {
                    idle += 1;
                    tokio::time::sleep(Duration::from_millis(10)).await;
                }
            }
        }
        for writer in writers {
            writer.await.unwrap();
        }
        assert_eq!(read, 104, "four people and a hundred messages");
    }
}
