//! Several nodes on one database: leases, wake-ups, claims side by side.

use crate::support::{LEASE, T0, W, World, crm_job, entry, open_as};
use ponte_domain::job::JobEnd;
use ponte_domain::ports::store::{Store, Topic};
use ponte_testkit::{Engine, TestDatabase, both_engines};
use std::collections::{HashMap, HashSet};
use std::time::{Duration, Instant};

both_engines!(one_node_at_a_time_holds_a_lease, |db| async move {
    let (a, b) = (open_as(&db, "node-a").await, open_as(&db, "node-b").await);
    let first = a.lease(W, "ingest", T0, LEASE).await.unwrap().unwrap();
    assert_eq!(first.until, T0 + LEASE);
    assert_eq!(b.lease(W, "ingest", T0 + LEASE - 1, LEASE).await.unwrap(), None);
    let renewed = a.lease(W, "ingest", T0 + 5_000, LEASE).await.unwrap().unwrap();
    assert_eq!((renewed.fence, renewed.until), (first.fence, T0 + 5_000 + LEASE));
    assert!(b.lease(W, "other", T0, LEASE).await.unwrap().is_some());
    let taken = b.lease(W, "ingest", T0 + 5_000 + LEASE, LEASE).await.unwrap().unwrap();
    assert!(taken.fence > first.fence);
    b.release_all(T0 + 6_000 + LEASE).await.unwrap();
    let back = a.lease(W, "ingest", T0 + 6_000 + LEASE, LEASE).await.unwrap().expect("given back");
    assert!(back.fence > taken.fence);
});

both_engines!(nodes_that_live_are_counted, |db| async move {
    let (a, b) = (open_as(&db, "node-a").await, open_as(&db, "node-b").await);
    a.heartbeat(T0).await.unwrap();
    b.heartbeat(T0 + 2_000).await.unwrap();
    assert_eq!(a.overview(W, T0 + 3_000).await.unwrap().nodes, 2);
    assert_eq!(a.overview(W, T0 + 11_000).await.unwrap().nodes, 1);
    b.release_all(T0 + 2_001).await.unwrap();
    assert_eq!(a.overview(W, T0 + 3_000).await.unwrap().nodes, 1);
});

both_engines!(what_a_silent_node_holds_is_taken_over_within_seconds, |db| async move {
    let (a, b) = (World::open(&db).await, World::on(open_as(&db, "node-b").await, 2));
    b.store.heartbeat(T0).await.unwrap();
    a.file(vec![crm_job("a", "0")]).await;
    let lost = b.take(T0, 1, 1).await.remove(0);
    b.store.lease(W, "ingest", T0, 1_000_000).await.unwrap().unwrap();
    a.store.heartbeat(T0 + 3_000).await.unwrap();
    assert!(a.take(T0 + 3_000, 1, 1).await.is_empty(), "it may live");
    a.store.heartbeat(T0 + 5_000).await.unwrap();
    assert!(a.store.lease(W, "ingest", T0 + 5_000, LEASE).await.unwrap().is_some());
    let found = a.take(T0 + 5_000, 1, 1).await.remove(0);
    assert!(found.jobs[0].begun);
    assert_eq!(b.end(T0 + 5_001, &lost, &[JobEnd::Done]).await, 1, "it was only slow: its fence is broken");
});

both_engines!(nodes_side_by_side_never_hold_the_same_lane, |db| async move {
    let a = World::open(&db).await;
    let b = World::on(open_as(&db, "node-b").await, 2);
    a.file((0..120).map(|i| crm_job(&format!("lane{i:03}"), "{}")).collect()).await;
    let claims = [a.clone(), b.clone(), a.clone(), b.clone()].map(|world| {
        tokio::spawn(async move {
            let mut mine = Vec::new();
            let mut idle = 0;
            while idle < 5 {
                let claimed = world.take(T0, 7, 1).await;
                idle = if claimed.is_empty() { idle + 1 } else { 0 };
                mine.extend(claimed.into_iter().map(|l| l.lane.key));
            }
            mine
        })
    });
    let mut all = Vec::new();
    for claim in claims {
        all.extend(claim.await.unwrap());
    }
    let distinct: HashSet<&String> = all.iter().collect();
    assert_eq!((all.len(), distinct.len()), (120, 120));
});

both_engines!(nodes_side_by_side_do_every_job_once_and_in_order, |db| async move {
    let a = World::open(&db).await;
    let b = World::on(open_as(&db, "node-b").await, 2);
    let jobs = (0..200).map(|i| crm_job(&format!("lane{}", i % 10), &format!("{i}")));
    a.file(jobs.collect()).await;
    let workers = [a.clone(), b.clone(), a.clone(), b.clone()].map(|world| {
        tokio::spawn(async move {
            let (mut done, mut idle) = (Vec::new(), 0);
            while idle < 20 {
                let claimed = world.take(T0, 3, 4).await;
                idle = if claimed.is_empty() { idle + 1 } else { 0 };
                for lane in claimed {
                    let at = Instant::now();
                    done.extend(lane.jobs.iter().map(|j| (lane.lane.key.clone(), at, j.payload.clone())));
                    assert_eq!(world.end(T0, &lane, &vec![JobEnd::Done; lane.jobs.len()]).await, 0);
                }
                tokio::time::sleep(Duration::from_millis(1)).await;
            }
            done
        })
    });
    let mut by_lane: HashMap<String, Vec<(Instant, usize, u32)>> = HashMap::new();
    for worker in workers {
        for (place, (lane, at, payload)) in worker.await.unwrap().into_iter().enumerate() {
            by_lane.entry(lane).or_default().push((at, place, payload.parse().unwrap()));
        }
    }
    for (lane, mut seen) in by_lane.clone() {
        seen.sort();
        let order: Vec<u32> = seen.iter().map(|(.., n)| *n).collect();
        assert!(order.is_sorted(), "{lane}: {order:?}");
    }
    assert_eq!(by_lane.values().map(Vec::len).sum::<usize>(), 200);
});

both_engines!(whoever_waits_is_woken, |db| async move {
    let store = open_as(&db, "node-a").await;
    let seen = store.wait(Topic::Journal, 0, 10).await;
    let waiting = {
        let store = store.clone();
        tokio::spawn(async move {
            let begun = Instant::now();
            (store.wait(Topic::Journal, seen, 20_000).await, begun.elapsed())
        })
    };
    store.journal_append(W, entry("x", T0)).await.unwrap();
    let (now, after) = waiting.await.unwrap();
    assert!(now != seen && after < Duration::from_secs(10), "{after:?}");
    let begun = Instant::now();
    assert_eq!(store.wait(Topic::Media, store.wait(Topic::Media, 0, 10).await, 50).await, 1);
    assert!(begun.elapsed() >= Duration::from_millis(50), "nothing happened for files");
});

mod across {
    use super::*;

    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn nodes_wake_each_other_on_postgres() {
        let db = TestDatabase::of(Engine::Postgres).await.expect("a database");
        let (a, b) = (open_as(&db, "node-a").await, open_as(&db, "node-b").await);
        let mut seen = b.wait(Topic::Journal, 0, 10).await;
        // The listener connects in the background: the first notices may come too early for it.
        let mut woken = false;
        for _ in 0..100 {
            a.journal_append(W, entry("x", T0)).await.unwrap();
            let now = b.wait(Topic::Journal, seen, 200).await;
            woken = now != seen;
            seen = now;
            if woken {
                break;
            }
        }
        assert!(woken, "twenty seconds of notices and none was heard");
        // From now on every notice is heard, at once.
        tokio::time::sleep(Duration::from_millis(300)).await;
        let seen = b.wait(Topic::Journal, 0, 10).await;
        let begun = Instant::now();
        a.journal_append(W, entry("y", T0)).await.unwrap();
        assert_ne!(b.wait(Topic::Journal, seen, 10_000).await, seen);
        assert!(begun.elapsed() < Duration::from_secs(5), "{:?}", begun.elapsed());
    }
}
