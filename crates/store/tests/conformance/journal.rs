//! The journal: what was answered is there, in order, until it was ingested and is old.

use crate::support::{T0, W, World, entry, text};
use ponte_domain::ids::WorkspaceId;
use ponte_domain::ports::retention::{Cut, Place, Retention};
use ponte_domain::ports::store::{Segment, Store};
use ponte_domain::retention::Kind;
use ponte_testkit::both_engines;

fn bodies(segments: &[Segment]) -> Vec<String> {
    segments.iter().flat_map(|s| &s.entries).map(|e| String::from_utf8(e.body.to_vec()).unwrap()).collect()
}

both_engines!(one_after_the_other_keeps_order, |db| async move {
    let world = World::open(&db).await;
    for i in 0..20 {
        world.store.journal_append(W, entry(&format!("body {i}"), T0 + i)).await.unwrap();
    }
    let pending = world.store.journal_pending(W, 1 << 20).await.unwrap();
    assert_eq!(bodies(&pending), (0..20).map(|i| format!("body {i}")).collect::<Vec<_>>());
    assert!(pending.is_sorted_by_key(|s| s.seq));
    assert_eq!(pending[0].entries[0].received_at, T0);
    let other = WorkspaceId(2);
    assert!(world.store.journal_pending(other, 1 << 20).await.unwrap().is_empty(), "tenants are apart");
    assert_eq!(world.store.overview(W, T0 + 500).await.unwrap().journal_lag_ms, 500);
});

both_engines!(what_waits_together_is_committed_together_and_nothing_is_lost, |db| async move {
    let world = World::open(&db).await;
    let appends = (0..500).map(|i| {
        let store = world.store.clone();
        tokio::spawn(async move { store.journal_append(W, entry(&format!("{i:04}"), T0)).await })
    });
    for append in appends.collect::<Vec<_>>() {
        append.await.unwrap().unwrap();
    }
    let all = world.store.journal_read(W, 0, 10_000).await.unwrap();
    let mut found = bodies(&all);
    found.sort();
    assert_eq!(found, (0..500).map(|i| format!("{i:04}")).collect::<Vec<_>>());
    assert!(all.len() < 250, "{} commits for 500 bodies", all.len());
});

both_engines!(empty_odd_and_large_bodies_come_back_as_they_were, |db| async move {
    let world = World::open(&db).await;
    let large = "x".repeat(3 << 20);
    for body in ["", "\u{0}\u{1}", "{\"a\":\"\\u0000\"}", &large] {
        world.store.journal_append(W, entry(body, T0)).await.unwrap();
    }
    let all = world.store.journal_read(W, 0, 100).await.unwrap();
    assert_eq!(bodies(&all), ["", "\u{0}\u{1}", "{\"a\":\"\\u0000\"}", &*large]);
});

both_engines!(pending_is_bounded_by_bytes_and_ends_with_ingest, |db| async move {
    let world = World::open(&db).await;
    for i in 0..6 {
        world.store.journal_append(W, entry(&"y".repeat(10_000), T0 + i)).await.unwrap();
    }
    let one = world.store.journal_pending(W, 1).await.unwrap();
    assert_eq!(one.len(), 1, "at least one, however small the room");
    let some = world.store.journal_pending(W, 25_000).await.unwrap();
    assert_eq!(some.len(), 3);
    let seqs: Vec<i64> = some.iter().map(|s| s.seq).collect();
    world.ingest_segments(T0, seqs.clone(), &[text("5511999990001", "wamid.1", T0)]).await;
    let rest = world.store.journal_pending(W, 1 << 20).await.unwrap();
    assert_eq!(rest.len(), 3);
    assert!(rest.iter().all(|s| !seqs.contains(&s.seq)));
    assert_eq!(world.store.overview(W, T0).await.unwrap().journal_pending, 3);
});

both_engines!(only_what_is_ingested_and_old_is_trimmed, |db| async move {
    let world = World::open(&db).await;
    for i in 0..4 {
        world.store.journal_append(W, entry(&format!("{i}"), T0 + i)).await.unwrap();
    }
    let seqs: Vec<i64> = world.store.journal_pending(W, 1 << 20).await.unwrap().iter().map(|s| s.seq).collect();
    world.ingest_segments(T0, vec![seqs[0], seqs[2], seqs[3]], &[]).await;
    let cut = Cut { before: T0 + 3, read_to: None, after: Place::default() };
    let step = world.store.trim(W, Kind::Journal, cut, T0 + 9).await.unwrap();
    assert_eq!(step.removed, 2, "not the pending one, not the young one");
    assert_eq!(bodies(&world.store.journal_read(W, 0, 10).await.unwrap()), ["1", "3"]);
    assert_eq!(bodies(&world.store.journal_read(W, seqs[1], 10).await.unwrap()), ["3"]);
});
