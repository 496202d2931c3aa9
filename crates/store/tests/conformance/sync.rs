//! Reading from CRMs: where connections stand, runs, leases, pages with their cursor, what was agreed on, what is gone or left out.

use crate::lanes::crm;
use crate::people::draft;
use crate::support::{LEASE, Raw, T0, W, World, contact_end, crm_end, crm_job, open_as};
use ponte_domain::crm::{CrmChange, CrmHint, CrmRecord};
use ponte_domain::error::StoreError;
use ponte_domain::ids::{IdSource, PersonId};
use ponte_domain::job::{JobEnd, JobKind, NewJob};
use ponte_domain::mapping::pull::{Counts, Link, Pulled, Touched, View};
use ponte_domain::mapping::trigger::{Fired, Found};
use ponte_domain::mapping::{Base, Item, Reason, Skip};
use ponte_domain::ports::people::People;
use ponte_domain::ports::store::{CrmEnd, Lease, Store};
use ponte_domain::ports::sync::{CrmSync, PullPage, PushPage, Pushed, RunKind, Sending, SyncPatch};
use ponte_testkit::both_engines;
use serde_json::json;
use std::sync::{Arc, Mutex};

const ANA: &str = "5511999990001";
const BEA: &str = "5511999990002";
const READER: &str = "pull/crm";

fn page() -> PullPage {
    PullPage {
        connection: crm(),
        run: None,
        changes: Arc::default(),
        lookups: Default::default(),
        triggers: Vec::new(),
        consent: false,
        counts_differences: false,
        patch: SyncPatch::default(),
        calls: 0,
        now: T0,
    }
}

fn base(value: &str) -> Base {
    let mut base = Base::default();
    base.agree(&Item::Tags, Some(value), true);
    base
}

fn link(person: PersonId, record: &str, value: &str) -> Link {
    Link { person, record: record.into(), base: Some(base(value)), gone: false, written_at: 0 }
}

fn skip(code: &'static str) -> Skip {
    let reason = Reason { code: code.into(), text: "why".into() };
    Skip { item: "email".into(), field: "mail".into(), reason }
}

fn at(position: &str) -> SyncPatch {
    SyncPatch { cursor: Some(position.into()), ..SyncPatch::default() }
}

impl World {
    /// Two people who can be told apart.
    async fn ana_and_bea(&self) -> (PersonId, PersonId) {
        self.import(vec![draft(1, ANA, "Ana"), draft(2, BEA, "Bea")]).await;
        (self.who(ANA).await, self.who(BEA).await)
    }

    async fn reads(&self, now: i64) -> Option<Lease> {
        self.store.lease(W, READER, now, LEASE).await.unwrap()
    }

    async fn applied(&self, lease: Option<Lease>, page: PullPage, pulled: Pulled) -> Result<Counts, StoreError> {
        let decide = Arc::new(move |_: &[CrmChange], _| pulled.clone());
        self.store.pull(W, lease, page, decide).await.map(|(counts, _)| counts)
    }

    pub async fn links(&self, links: Vec<Link>) {
        self.applied(None, page(), Pulled { links, ..Pulled::default() }).await.unwrap();
    }

    /// What a decision about these records, people and numbers would see.
    async fn view(&self, records: &[&str], people: &[PersonId]) -> View {
        let lookups = (records.iter().map(ToString::to_string).collect(), people.to_vec(), Vec::new());
        let triggers = vec!["paid".to_owned()];
        let seen: Arc<Mutex<View>> = Arc::default();
        let decide = {
            let seen = Arc::clone(&seen);
            Arc::new(move |_: &[CrmChange], view| {
                *seen.lock().unwrap() = view;
                Pulled::default()
            })
        };
        self.store.pull_look(W, PullPage { lookups, triggers, ..page() }, decide).await.unwrap();
        seen.lock().unwrap().clone()
    }

    async fn link_of(&self, record: &str) -> Option<Link> {
        let found = self.view(&[record], &[]).await.links.into_iter().find(|l| l.record == record);
        // When it was written is the clock's word, not the test's.
        found.map(|link| Link { written_at: 0, ..link })
    }
}

both_engines!(a_run_is_counted_page_by_page_and_ends, |db| async move {
    let world = World::open(&db).await;
    let wanted = SyncPatch { wanted: Some(Some(RunKind::Reconcile)), next_at: Some(T0 + 9), ..SyncPatch::default() };
    world.store.sync_patch(W, None, &crm(), wanted, T0).await.unwrap();
    let lease = world.reads(T0).await.unwrap();
    let run = world.ids.next();
    world.store.run_begin(W, lease.clone(), &crm(), run, RunKind::Reconcile, T0).await.unwrap();
    let state = world.store.sync_state(W, &crm()).await.unwrap();
    assert_eq!((state.run, state.wanted, state.next_at), (Some(run), None, Some(T0 + 9)), "it was taken up");
    let (ana, bea) = world.ana_and_bea().await;
    let touched = |person, tell| Touched { person, changed: vec!["tag:x".into()], new: false, tell };
    let record = CrmRecord { id: "r".into(), person: None, modified_at: Some(T0 - 50), values: vec![] };
    for n in 0..2 {
        let page = PullPage {
            run: Some(run),
            counts_differences: true,
            calls: 3,
            changes: Arc::new(vec![CrmChange::Record(record.clone())]),
            now: T0 + n,
            ..page()
        };
        let counts = Counts { seen: 5, created: 1, changed: 2, skipped: 1, gone: 1 };
        let pulled = Pulled { touched: vec![touched(ana, true), touched(bea, false)], counts, ..Pulled::default() };
        assert_eq!(world.applied(Some(lease.clone()), page, pulled).await.unwrap(), counts);
    }
    world.store.run_end(W, &crm(), run, Some("it broke".into()), 4, T0 + 7).await.unwrap();
    let runs = world.store.sync_runs(W, Some(&crm()), 9).await.unwrap();
    let [found] = &runs[..] else { panic!("{runs:?}") };
    assert_eq!(
        (found.id, found.kind.as_str(), found.started_at, found.finished_at),
        (run, "reconcile", T0, Some(T0 + 7))
    );
    assert_eq!((found.seen, found.created, found.changed, found.skipped, found.gone), (10, 2, 4, 2, 2));
    assert_eq!((found.told, found.differed, found.calls, found.lag_ms), (2, 4, 10, Some(51)));
    assert_eq!(found.error.as_deref(), Some("it broke"));
    assert_eq!(world.store.sync_state(W, &crm()).await.unwrap().run, None);
    let later = world.ids.next();
    world.store.run_begin(W, lease, &crm(), later, RunKind::Changes, T0 + 8).await.unwrap();
    let newest: Vec<_> = world.store.sync_runs(W, None, 9).await.unwrap().into_iter().map(|r| r.id).collect();
    assert_eq!(newest, [later, run]);
    assert!(world.store.sync_runs(W, Some(&"second".into()), 9).await.unwrap().is_empty());
});

both_engines!(one_node_reads_a_connection_and_who_lost_it_changes_nothing, |db| async move {
    let a = World::open(&db).await;
    let b = World::on(open_as(&db, "node-b").await, 2);
    let asked: Vec<_> = (0..8)
        .map(|n| {
            let world = if n % 2 == 0 { a.clone() } else { b.clone() };
            tokio::spawn(async move { world.reads(T0).await.map(|lease| (n % 2, lease)) })
        })
        .collect();
    let mut held = Vec::new();
    for one in asked {
        held.extend(one.await.unwrap());
    }
    assert!(!held.is_empty() && held.iter().all(|(node, _)| *node == held[0].0), "both nodes read: {held:?}");
    let (slow, next) = if held[0].0 == 0 { (&a, &b) } else { (&b, &a) };
    let lost = held.pop().unwrap().1;
    let lease = next.reads(T0 + LEASE).await.expect("it ran out");
    let (ana, _) = a.ana_and_bea().await;
    let pulled = Pulled { links: vec![link(ana, "r1", "x")], ..Pulled::default() };
    let page = || PullPage { patch: at("after"), ..page() };
    let refused = slow.applied(Some(lost.clone()), page(), pulled.clone()).await;
    assert_eq!(refused, Err(StoreError::LeaseLost));
    assert_eq!(slow.store.sync_patch(W, Some(lost.clone()), &crm(), at("after"), T0).await, Err(StoreError::LeaseLost));
    let begun = slow.store.run_begin(W, lost, &crm(), a.ids.next(), RunKind::Full, T0).await;
    assert_eq!(begun, Err(StoreError::LeaseLost));
    let state = a.store.sync_state(W, &crm()).await.unwrap();
    assert_eq!((state.cursor, state.run), (None, None));
    assert_eq!(a.link_of("r1").await, None, "neither the link nor the cursor");
    assert!(a.store.sync_runs(W, None, 9).await.unwrap().is_empty());
    next.applied(Some(lease), page(), pulled).await.unwrap();
    assert_eq!(a.store.sync_state(W, &crm()).await.unwrap().cursor.as_deref(), Some("after"));
    assert_eq!(a.link_of("r1").await.map(|l| l.person), Some(ana), "both");
});

both_engines!(where_a_connection_stands_changes_by_what_is_said_alone, |db| async move {
    let world = World::open(&db).await;
    assert_eq!(world.store.sync_state(W, &crm()).await.unwrap(), Default::default());
    let all = SyncPatch {
        page: Some(Some("p3".into())),
        next_at: Some(T0),
        paused: Some(Some((T0, "eva".into()))),
        ..at("c1")
    };
    world.store.sync_patch(W, None, &crm(), all, T0).await.unwrap();
    world.store.sync_patch(W, None, &crm(), SyncPatch { page: Some(None), ..SyncPatch::default() }, T0).await.unwrap();
    let state = world.store.sync_state(W, &crm()).await.unwrap();
    assert_eq!((state.cursor.as_deref(), state.page, state.next_at), (Some("c1"), None, Some(T0)));
    assert_eq!((state.paused_at, state.paused_by.as_deref()), (Some(T0), Some("eva")));
    world
        .store
        .sync_patch(W, None, &crm(), SyncPatch { paused: Some(None), ..SyncPatch::default() }, T0)
        .await
        .unwrap();
    let state = world.store.sync_state(W, &crm()).await.unwrap();
    assert_eq!((state.cursor.as_deref(), state.paused_at, state.paused_by), (Some("c1"), None, None));
    assert_eq!(world.store.sync_state(W, &"second".into()).await.unwrap(), Default::default());
});

both_engines!(what_was_agreed_on_stands_with_the_link_and_is_sent_only_as_it_was_looked_up, |db| async move {
    let world = World::open(&db).await;
    let (ana, bea) = world.ana_and_bea().await;
    world.links(vec![link(ana, "r1", "x"), link(bea, "r2", "y")]).await;
    let mut all = Vec::new();
    let mut after: Option<String> = None;
    while let Some(one) = world.store.linked(W, &crm(), after.as_deref(), 1).await.unwrap().pop() {
        after = Some(one.record.clone());
        all.push((one.record, one.facts.person, one.base));
    }
    assert_eq!(all, [("r1".into(), ana, Some(base("x"))), ("r2".into(), bea, Some(base("y")))]);
    let mut sent = base("x");
    sent.sending(&Item::Tags, Some("z"), true);
    let sending = |person, before| Sending { person, before: Some(before), after: sent.clone() };
    world.store.sending(W, &crm(), vec![sending(ana, base("x")), sending(bea, base("another"))]).await.unwrap();
    assert_eq!(world.link_of("r1").await.unwrap().base, Some(sent));
    assert_eq!(world.link_of("r2").await.unwrap().base, Some(base("y")), "it changed meanwhile");
    assert_eq!(world.store.sync_counts(W, &crm()).await.unwrap(), (2, 0));
    assert!(world.view(&["r1"], &[ana]).await.sent.is_empty(), "the linked have it with their link");
});

both_engines!(what_is_sent_of_who_has_no_record_yet_is_known_until_they_met, |db| async move {
    let world = World::open(&db).await;
    let (ana, bea) = world.ana_and_bea().await;
    let sending = |person, after: &Base| Sending { person, before: None, after: after.clone() };
    let (first, both) = (base("x"), base("x;y"));
    world.store.sending(W, &crm(), vec![sending(ana, &first), sending(bea, &first)]).await.unwrap();
    world.store.sending(W, &crm(), vec![sending(ana, &both)]).await.unwrap();
    let known = async |person| {
        let view = world.store.crm_views(W, &crm(), &[(person, None)]).await.unwrap().remove(0).unwrap();
        (view.contact.crm_id, view.base, world.view(&[], &[person]).await.sent.remove(&person))
    };
    assert_eq!(known(ana).await, (None, Some(both.clone()), Some(both)), "the last word, for writing and for reading");
    assert!(
        world.store.crm_views(W, &"second".into(), &[(ana, None)]).await.unwrap()[0].as_ref().unwrap().base.is_none()
    );
    // One is linked without having met: it is still to be known.
    world.file(vec![crm_job("a", "0")]).await;
    let lane = world.take(T0, 1, 1).await.remove(0);
    let written = |base| {
        let contact = Some(ponte_domain::ports::store::ContactEnd { base, ..contact_end(ana, "r1", "h") });
        vec![CrmEnd { contact, ..crm_end(&lane.lane, lane.jobs[0].seq, JobEnd::PutBack(T0)) }]
    };
    world.store.settle_crm(W, &crm(), T0, written(None)).await.unwrap();
    let (record, agreed, sent) = known(ana).await;
    assert_eq!((record.as_deref(), agreed), (Some("r1"), None), "they never met");
    assert!(sent.is_some());
    world.store.settle_crm(W, &crm(), T0, written(Some(base("z")))).await.unwrap();
    assert_eq!(known(ana).await, (Some("r1".into()), Some(base("z")), None));
    world.links(vec![link(bea, "r2", "y")]).await;
    assert_eq!(known(bea).await, (Some("r2".into()), Some(base("y")), None));
    assert!(Raw::open(&db).await.texts("SELECT base FROM crm_sending").await.is_empty());
});

both_engines!(a_record_that_is_gone_keeps_its_link_as_gone_and_may_come_back_as_another, |db| async move {
    let world = World::open(&db).await;
    let (ana, bea) = world.ana_and_bea().await;
    world.links(vec![link(ana, "r1", "x"), link(bea, "r2", "y")]).await;
    world.applied(None, page(), Pulled { gone: vec!["r1".into()], ..Pulled::default() }).await.unwrap();
    assert_eq!(world.link_of("r1").await, Some(Link { gone: true, ..link(ana, "r1", "x") }));
    let linked: Vec<_> = world.store.linked(W, &crm(), None, 9).await.unwrap().into_iter().map(|l| l.record).collect();
    assert_eq!(linked, ["r2"]);
    let view = world.store.crm_views(W, &crm(), &[(ana, None)]).await.unwrap().remove(0).unwrap();
    assert_eq!((view.contact.crm_id, view.base, view.gone), (None, None, true));
    let told = world.store.audit_log(W, Some("r1"), 9).await.unwrap();
    assert_eq!(told.iter().map(|e| e.act.as_str()).collect::<Vec<_>>(), ["crm.record_gone"]);
    // It turns out to be part of another one: the link goes along, with what was agreed on.
    world.links(vec![link(ana, "r9", "x")]).await;
    assert_eq!(world.link_of("r1").await, None);
    assert_eq!(world.link_of("r9").await, Some(link(ana, "r9", "x")));
});

both_engines!(what_was_left_out_is_listed_until_it_fits_or_its_record_is_gone, |db| async move {
    let world = World::open(&db).await;
    let (ana, _) = world.ana_and_bea().await;
    let filed = async |now, skips: Vec<(&str, Vec<Skip>)>| {
        let skips = skips.into_iter().map(|(record, why)| (record.to_owned(), Some(ana), why)).collect();
        world.applied(None, PullPage { now, ..page() }, Pulled { skips, ..Pulled::default() }).await.unwrap();
    };
    filed(T0, vec![("r1", vec![skip("a")]), ("r2", vec![skip("a")]), ("r2", vec![skip("b")]), ("r3", vec![])]).await;
    filed(T0 + 5, vec![("r1", vec![skip("a")]), ("r2", vec![skip("c")])]).await;
    let listed = async || -> Vec<(String, i64, String)> {
        let found = world.store.skipped(W, Some(&crm()), 9).await.unwrap();
        found.into_iter().map(|s| (s.record, s.at, s.skips[0].reason.code.to_string())).collect()
    };
    assert_eq!(
        listed().await,
        [("r2".into(), T0 + 5, "c".into()), ("r1".into(), T0, "a".into())],
        "since when it is so"
    );
    assert_eq!(world.store.sync_counts(W, &crm()).await.unwrap(), (0, 2));
    filed(T0 + 6, vec![("r2", vec![])]).await;
    assert_eq!(listed().await.len(), 1);
    assert!(world.store.skipped(W, Some(&"second".into()), 9).await.unwrap().is_empty());
    world.applied(None, page(), Pulled { gone: vec!["r1".into()], ..Pulled::default() }).await.unwrap();
    assert!(listed().await.is_empty());
});

both_engines!(looking_changes_nothing_and_what_a_trigger_found_asks_once, |db| async move {
    let world = World::open(&db).await;
    let (ana, _) = world.ana_and_bea().await;
    let fired = Fired {
        trigger: "paid".into(),
        person: ana,
        key: "trigger/paid/r1/1".into(),
        number: None,
        message: json!({}),
    };
    let found = |key: &str| Found { trigger: "paid".into(), record: "r1".into(), key: key.into() };
    let pulled = Pulled {
        links: vec![link(ana, "r1", "x")],
        found: vec![found("1"), found("2")],
        fired: vec![fired.clone(), fired],
        ..Pulled::default()
    };
    let before = Raw::open(&db).await.everything().await;
    let decide = {
        let pulled = pulled.clone();
        Arc::new(move |_: &[CrmChange], _| pulled.clone())
    };
    world.store.pull_look(W, page(), decide).await.unwrap();
    assert_eq!(Raw::open(&db).await.everything().await, before);
    world.applied(None, page(), pulled.clone()).await.unwrap();
    world.applied(None, page(), pulled).await.unwrap();
    let known = world.view(&["r1"], &[]).await.found;
    assert_eq!(known.get(&("paid".to_owned(), "r1".to_owned())).map(String::as_str), Some("2"), "the last word");
    let claimed = world.store.claim_lanes(W, JobKind::Trigger, "crm", T0, LEASE, 9, 9).await.unwrap();
    assert_eq!(claimed.iter().map(|l| l.jobs.len()).collect::<Vec<_>>(), [1], "said twice, asked once");
    assert!(world.store.triggers_known(W, &crm()).await.unwrap().is_empty());
    world.store.triggers_read(W, &crm(), vec!["paid".into()], T0).await.unwrap();
    assert_eq!(world.store.triggers_known(W, &crm()).await.unwrap(), ["paid"]);
});

both_engines!(notices_wait_per_record_and_end_under_their_fence, |db| async move {
    let world = World::open(&db).await;
    let other = World::on(open_as(&db, "node-b").await, 2);
    let hints = ["1", "2", "1"].map(|id| CrmHint::Changed { id: id.into() });
    world.store.file_notices(W, &crm(), hints.to_vec(), T0).await.unwrap();
    world.store.file_notices(W, &crm(), hints[..1].to_vec(), T0).await.unwrap();
    let claim =
        async |world: &World, now| world.store.claim_lanes(W, JobKind::Notice, "crm", now, LEASE, 9, 9).await.unwrap();
    let lost = claim(&world, T0).await;
    assert_eq!(lost.iter().map(|l| l.jobs.len()).sum::<usize>(), 2, "what waits already isn't filed again");
    let found = claim(&other, T0 + LEASE).await;
    let ends = |claimed: &[ponte_domain::job::ClaimedLane]| -> Vec<_> {
        claimed.iter().map(|l| (l.lane.clone(), l.jobs[0].seq, JobEnd::Done)).collect()
    };
    world.store.settle_jobs(W, T0 + LEASE, ends(&lost)).await.unwrap();
    let waiting = "SELECT payload FROM job WHERE kind = 'notice'";
    assert_eq!(Raw::open(&db).await.texts(waiting).await.len(), 2, "the late one ends nothing");
    other.store.settle_jobs(W, T0 + LEASE, ends(&found)).await.unwrap();
    assert!(Raw::open(&db).await.texts(waiting).await.is_empty());
});

both_engines!(everybody_without_a_record_is_filed_once_page_by_page, |db| async move {
    let world = World::open(&db).await;
    let (ana, bea) = world.ana_and_bea().await;
    world.links(vec![link(ana, "r1", "x")]).await;
    let lease = |now| world.store.lease(W, "push/test", now, 60_000);
    let next = |people, most_waiting| PushPage {
        people,
        most_waiting,
        job: Arc::new(|person: PersonId| {
            Some(NewJob {
                kind: JobKind::Crm,
                lane: format!("{}/{}", crm(), person.0.simple()),
                scope: crm().to_string(),
                priority: 0,
                not_before: T0,
                payload: "{}".into(),
                dedup: Some(person.to_string()),
            })
        }),
    };
    let filed = |page| async {
        let held = lease(T0).await.unwrap().unwrap();
        world.store.push_page(W, held, &crm(), page, T0).await.unwrap()
    };
    assert_eq!(filed(next(10, 100)).await, Pushed::Nothing, "nobody asked for it");
    let run = world.store.push_begin(W, &crm(), world.ids.next(), T0).await.unwrap();
    assert_eq!(world.store.push_begin(W, &crm(), world.ids.next(), T0).await.unwrap(), run, "one at a time");
    assert_eq!(world.store.sync_state(W, &crm()).await.unwrap().pushing, Some(run));
    assert_eq!(filed(next(1, 100)).await, Pushed::Filed(1), "only who has no record");
    assert_eq!(filed(next(1, 1)).await, Pushed::Waits, "enough is waiting");
    for (until, left) in [(T0 - 1, 0), (T0, 1)] {
        assert_eq!(world.store.writes_left(W, &crm(), until).await.unwrap(), left, "filed until {until}");
    }
    assert_eq!(world.store.writes_left(W, &"another".into(), T0).await.unwrap(), 0);
    assert_eq!(filed(next(1, 100)).await, Pushed::Nothing, "that was all");
    let run = world.store.sync_runs(W, None, 1).await.unwrap().remove(0);
    assert_eq!((run.kind.as_str(), run.seen, run.told, run.finished_at), ("push", 1, 1, Some(T0)));
    assert_eq!(world.store.sync_state(W, &crm()).await.unwrap().pushing, None);
    let lanes = world.store.claim_lanes(W, JobKind::Crm, crm().as_str(), T0, 60_000, 9, 9).await.unwrap();
    let keys: Vec<&str> = lanes.iter().map(|l| l.lane.key.as_str()).collect();
    assert_eq!(keys, [format!("{}/{}", crm(), bea.0.simple())]);
});
