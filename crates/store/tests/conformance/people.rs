//! People as lists: an import that is killed goes on, a merge that is undone leaves no trace, who was erased is gone.

use crate::support::{
    LEASE, Raw, T0, W, World, accepted, by_wa_id, crm_job, entry, failure, inbound, message, number, status, text,
    update,
};
use ponte_domain::error::StoreError;
use ponte_domain::identity::IdentityKind;
use ponte_domain::ids::{IdSource, PersonId};
use ponte_domain::inbound::{InboundMessage, MediaRef, Preference, UpdateKind};
use ponte_domain::job::{Class, JobEnd, JobKind, NewJob};
use ponte_domain::mapping::pull::Link;
use ponte_domain::people::import::{Context, decide};
use ponte_domain::people::{Draft, phone};
use ponte_domain::ports::people::{
    Applied, DuplicatePair, ImportFn, MergeFn, MergeOrder, NewAudit, People, VariantsFn,
};
use ponte_domain::ports::store::{AdmitKey, AdmitView, Store};
use ponte_domain::ports::sync::CrmSync;
use ponte_domain::profile::Label;
use ponte_domain::status::Status;
use ponte_domain::survivorship::{Rules, merge};
use ponte_testkit::{TestDatabase, both_engines};
use std::sync::Arc;
use std::time::{Duration, Instant};

const ANA: &str = "5511999990001";
const BEA: &str = "5511999990002";

fn variants() -> VariantsFn {
    Arc::new(|digits| vec![digits.to_owned()])
}

pub fn draft(line: u64, digits: &str, name: &str) -> Draft {
    Draft {
        line,
        key: Some(format!("k{line}")),
        phones: vec![digits.to_owned()],
        fields: vec![("name".into(), name.into()), ("city".into(), "Recife".into())],
        ..Draft::default()
    }
}

pub fn labelled(draft: Draft, label: Label) -> Draft {
    Draft { labels: vec![label], ..draft }
}

impl World {
    fn deciding(&self) -> ImportFn {
        let ids = Arc::clone(&self.ids);
        Arc::new(move |drafts, view| {
            let context = Context {
                source: "list",
                now: T0,
                ids: &*ids,
                overwrite: false,
                variants: &|digits: &str| vec![digits.to_owned()],
            };
            decide(drafts, view, &context)
        })
    }

    async fn apply(&self, run: uuid::Uuid, from: u64, drafts: Vec<Draft>) -> Result<Applied, StoreError> {
        self.store.import_apply(W, run, "list", from, Arc::new(drafts), variants(), self.deciding(), T0).await
    }

    pub async fn import(&self, drafts: Vec<Draft>) -> Applied {
        let run = self.store.import_begin(W, self.ids.next(), "list", "mark", T0).await.unwrap();
        let done = self.apply(run.id, run.applied, drafts).await.unwrap();
        self.store.import_finish(W, run.id, "{}", T0).await.unwrap();
        done
    }

    pub async fn who(&self, digits: &str) -> PersonId {
        self.store.find_person(W, digits).await.unwrap()[0]
    }

    pub async fn merge_two(&self, survivor: PersonId, other: PersonId) -> Option<uuid::Uuid> {
        self.merge_all(&[(survivor, other)]).await.pop()
    }

    /// Survivor and other of each, in one transaction.
    async fn merge_all(&self, pairs: &[(PersonId, PersonId)]) -> Vec<uuid::Uuid> {
        let order = |(survivor, other): &(PersonId, PersonId)| MergeOrder {
            id: self.ids.next(),
            survivor: *survivor,
            other: *other,
            score: 990,
            reasons: vec!["same_email".into()],
        };
        let profiles: MergeFn = Arc::new(|kept, other| merge(kept, other, &Rules::default()).profile);
        self.store.merge(W, T0 + 5, "test", pairs.iter().map(order).collect(), profiles).await.unwrap()
    }
}

both_engines!(a_killed_import_goes_on_and_the_same_rows_again_change_nothing, |db| async move {
    let world = World::open(&db).await;
    let rows: Vec<Draft> = (0..40).map(|n| draft(n, &format!("55119999{n:05}"), &format!("Name {n}"))).collect();
    let run = world.store.import_begin(W, world.ids.next(), "list", "mark", T0).await.unwrap();
    assert_eq!(world.apply(run.id, 0, rows[..25].to_vec()).await.unwrap().created, 25);
    // Killed here. The same file again finds the run and where it stood; the first part can't be applied twice.
    let again = world.store.import_begin(W, world.ids.next(), "list", "mark", T0 + 1).await.unwrap();
    assert_eq!((again.id, again.applied, again.created), (run.id, 25, 25));
    assert_eq!(world.apply(run.id, 0, rows[..25].to_vec()).await, Err(StoreError::LeaseLost));
    assert_eq!(world.apply(run.id, 25, rows[25..].to_vec()).await.unwrap().created, 15);
    world.store.import_finish(W, run.id, "{}", T0 + 2).await.unwrap();
    let second = world.import(rows).await;
    assert_eq!((second.created, second.updated, second.unchanged), (0, 0, 40));
    assert_eq!(world.store.people(W, None, 100).await.unwrap().len(), 40);
    assert_eq!(world.store.import_runs(W, 10).await.unwrap().len(), 2);
});

both_engines!(a_row_finds_who_wrote_before_and_two_who_share_a_row_are_told, |db| async move {
    let world = World::open(&db).await;
    world.ingest(&[text(ANA, "wamid.1", T0)]).await;
    let done = world.import(vec![draft(1, ANA, "Ana Lima")]).await;
    assert_eq!((done.created, done.updated), (0, 1));
    let ana = world.who(ANA).await;
    let card = world.store.cards(W, &[ana]).await.unwrap().remove(0);
    assert_eq!(card.name(), Some("Ana Lima"));
    assert_eq!(world.store.find_person(W, "k1").await.unwrap(), [ana], "by the source's key too");
    assert!(card.identities.contains(&phone(IdentityKind::WaId, ANA)), "the WhatsApp id is as it was");
});

/// Everything a merge touches, as text, without what only says that something happened.
async fn state(db: &TestDatabase) -> Vec<String> {
    let mut raw = Raw::open(db).await;
    let id = |column: &str| match db.engine() {
        ponte_testkit::Engine::Sqlite => format!("lower(hex({column}))"),
        ponte_testkit::Engine::Postgres => format!("replace({column}::text, '-', '')"),
    };
    let mut all = Vec::new();
    for (columns, table) in [
        (format!("{} || profile || labels || changed_at || COALESCE({}, '')", id("id"), id("merged_into")), "person"),
        (format!("kind || scope || value || {}", id("person_id")), "identity"),
        (
            format!("{} || {} || last_message_at || COALESCE(last_inbound_at, 0)", id("id"), id("person_id")),
            "conversation",
        ),
        (format!("{} || {} || {}", id("id"), id("person_id"), id("conversation_id")), "message"),
        (format!("{} || {}", id("id"), id("person_id")), "consent_entry"),
        (format!("{} || scope || COALESCE(withdrawn_at, 0)", id("person_id")), "consent_state"),
    ] {
        all.extend(raw.texts(&format!("SELECT '{table} ' || {columns} FROM {table}")).await);
    }
    all
}

both_engines!(undoing_a_merge_restores_both_sides_whole, |db| async move {
    let world = World::open(&db).await;
    world.ingest(&[text(ANA, "wamid.1", T0), text(BEA, "wamid.2", T0 + 1), text(BEA, "wamid.3", T0 + 2)]).await;
    world.ingest(&[text(BEA, "wamid.4", T0 + 3)]).await;
    let mut bea = draft(2, BEA, "Bea Souza");
    bea.labels = vec![Label::RefusesMarketing];
    bea.tags = vec!["vip".into()];
    world.import(vec![draft(1, ANA, "Ana Lima"), bea]).await;
    let (ana, bea) = (world.who(ANA).await, world.who(BEA).await);
    let before = state(&db).await;
    let id = world.merge_two(ana, bea).await.unwrap();
    assert_eq!(world.who(BEA).await, ana, "identifiers follow");
    assert_eq!(world.store.messages_of(W, ana).await.unwrap().len(), 4, "messages follow");
    let card = world.store.cards(W, &[ana]).await.unwrap().remove(0);
    assert!(card.profile.labels.contains(&Label::RefusesMarketing) && card.profile.tags.contains("vip"));
    assert_eq!(world.store.overview(W, T0).await.unwrap().conversations, 1);
    assert_eq!(world.merge_two(ana, bea).await, None, "who is part of somebody isn't merged again");
    world.store.unmerge(W, T0 + 9, "test", id).await.unwrap();
    assert_eq!(state(&db).await, before);
    assert!(world.store.unmerge(W, T0 + 9, "test", id).await.is_err(), "once");
    assert_eq!(world.store.decided_apart(W).await.unwrap(), [(ana.min(bea), ana.max(bea))]);
});

both_engines!(a_merge_under_a_later_one_is_not_undone_first, |db| async move {
    let world = World::open(&db).await;
    let third = "5511999990003";
    world.import(vec![draft(1, ANA, "A"), draft(2, BEA, "B"), draft(3, third, "C")]).await;
    let (a, b, c) = (world.who(ANA).await, world.who(BEA).await, world.who(third).await);
    let before = state(&db).await;
    let first = world.merge_two(a, b).await.unwrap();
    let second = world.merge_two(a, c).await.unwrap();
    assert!(world.store.unmerge(W, T0 + 9, "test", first).await.is_err());
    world.store.unmerge(W, T0 + 9, "test", second).await.unwrap();
    world.store.unmerge(W, T0 + 9, "test", first).await.unwrap();
    assert_eq!(state(&db).await, before);
});

both_engines!(merges_of_one_batch_follow_each_other_and_are_undone_one_by_one, |db| async move {
    let world = World::open(&db).await;
    let digits = |n: u64| format!("55119999900{n:02}");
    // Every third one wrote before: their conversations and messages follow through all merges.
    for n in (0..90).step_by(3) {
        world.ingest(&[text(&digits(n), &format!("wamid.{n}"), T0 + n as i64)]).await;
    }
    world.import((0..90).map(|n| draft(n, &digits(n), &format!("Name {n}"))).collect()).await;
    let mut who = Vec::new();
    for n in 0..90 {
        who.push(world.who(&digits(n)).await);
    }
    let before = state(&db).await;
    // Each pair, then each two survivors of pairs, then nine of those into one; and what can't be done in between.
    let mut pairs: Vec<(PersonId, PersonId)> = (0..45).map(|n| (who[2 * n], who[2 * n + 1])).collect();
    pairs.extend((0..22).map(|n| (who[4 * n + 2], who[4 * n])));
    pairs.extend([(who[1], who[2]), (who[2], who[2]), (who[2], who[1])]);
    pairs.extend((1..10).map(|n| (who[2], who[4 * n + 2])));
    let merges = world.merge_all(&pairs).await;
    assert_eq!(merges.len(), 45 + 22 + 9, "who is part of somebody is left out, and so is one person twice");
    for n in 0..40 {
        assert_eq!(world.who(&digits(n)).await, who[2], "identifiers end up with the last survivor: {n}");
    }
    assert_eq!(world.store.messages_of(W, who[2]).await.unwrap().len(), 14, "and so do messages");
    let told = world.kinds().await.iter().filter(|kind| *kind == "person.merged").count();
    assert_eq!(told, merges.len());
    for merge in merges.into_iter().rev() {
        world.store.unmerge(W, T0 + 9, "test", merge).await.unwrap();
    }
    assert_eq!(state(&db).await, before);
});

both_engines!(the_cost_of_a_merge_does_not_grow_with_the_number_of_people, |db| async move {
    let world = World::open(&db).await;
    let digits = |n: u64| format!("5511{n:09}");
    let draft = |n| draft(n, &digits(n), "Name");
    let mut best = Vec::new();
    for people in [0..1_000, 1_000..12_000] {
        let first = people.start;
        world.import(people.map(draft).collect()).await;
        let mut times = Vec::new();
        for round in 0..5 {
            let mut pairs = Vec::new();
            for n in (first + round * 100..first + round * 100 + 100).step_by(2) {
                pairs.push((world.who(&digits(n)).await, world.who(&digits(n + 1)).await));
            }
            let begun = Instant::now();
            assert_eq!(world.merge_all(&pairs).await.len(), 50);
            times.push(begun.elapsed());
        }
        times.sort();
        best.push(times[0]);
    }
    println!("50 merges: {best:?} among 1,000 and 12,000 people");
    assert!(best[1] < best[0] * 4 + Duration::from_millis(5), "{best:?} among 1,000 and 12,000 people");
});

both_engines!(who_was_erased_is_gone_and_does_not_come_back_unseen, |db| async move {
    let world = World::open(&db).await;
    world.store.journal_append(W, entry(&format!("{{\"from\":\"{ANA}\"}}"), T0)).await.unwrap();
    world.store.journal_append(W, entry(&format!("{{\"from\":\"{BEA}\"}}"), T0)).await.unwrap();
    let segments = world.store.journal_pending(W, 1 << 20).await.unwrap().iter().map(|s| s.seq).collect();
    world.ingest_segments(T0, segments, &[text(ANA, "wamid.1", T0), text(BEA, "wamid.2", T0)]).await;
    world.import(vec![draft(1, ANA, "Ana Lima")]).await;
    let ana = world.who(ANA).await;
    let (_, scrubbed) = world.store.scrub_journal(W, 0, vec![ANA.into()], 100).await.unwrap();
    assert_eq!(scrubbed, 1);
    let erased = world.store.erase(W, ana, "secret", T0 + 5).await.unwrap();
    assert_eq!((erased.people, erased.messages), (1, 1));
    let mut raw = Raw::open(&db).await;
    for (table, columns) in [
        ("identity", "value"),
        ("person", "COALESCE(name, '') || profile"),
        ("message_content", "COALESCE(body, '') || content"),
        ("event", "data"),
        ("erased_identity", "digest"),
    ] {
        let found = raw.texts(&format!("SELECT {columns} FROM {table}")).await;
        assert!(!found.iter().any(|t| t.contains(ANA) || t.contains("Ana Lima") || t.contains("wamid.1")), "{table}");
    }
    let bodies: Vec<String> = world
        .store
        .journal_read(W, 0, 100)
        .await
        .unwrap()
        .iter()
        .flat_map(|s| &s.entries)
        .map(|e| String::from_utf8_lossy(&e.body).into_owned())
        .collect();
    assert!(bodies.iter().all(|b| !b.contains(ANA)) && bodies.iter().any(|b| b.contains(BEA)));
    let listed = world.store.people(W, None, 100).await.unwrap();
    assert!(listed.iter().all(|p| p.id != ana), "no empty line in lists");
    let again = world.import(vec![draft(7, ANA, "Ana Lima"), draft(8, "5511999990009", "Else")]).await;
    assert_eq!((again.created, again.erased_lines), (1, vec![7]), "an import brings nobody back");
    world.ingest(&[text(ANA, "wamid.9", T0 + 9)]).await;
    assert!(world.kinds().await.contains(&"person.returned_after_erasure".to_owned()), "a webhook does, and says so");
    assert!(matches!(
        world.store.erase(W, PersonId(uuid::Uuid::from_u128(7)), "secret", T0).await,
        Err(StoreError::NotFound(_))
    ));
});

both_engines!(pairs_wait_until_somebody_decides, |db| async move {
    let world = World::open(&db).await;
    world.import(vec![draft(1, ANA, "A"), draft(2, BEA, "B")]).await;
    let (a, b) = (world.who(ANA).await, world.who(BEA).await);
    let pair =
        DuplicatePair { a: a.min(b), b: a.max(b), score: 800, reasons: vec!["names_alike".into()], found_at: T0 };
    assert_eq!(world.store.file_pairs(W, vec![pair.clone()]).await.unwrap(), 1);
    assert_eq!(world.store.file_pairs(W, vec![pair.clone()]).await.unwrap(), 0);
    assert_eq!(world.store.open_pairs(W, 10).await.unwrap(), std::slice::from_ref(&pair));
    assert!(world.store.keep_apart(W, a, b, "test", T0).await.unwrap());
    assert!(world.store.open_pairs(W, 10).await.unwrap().is_empty());
    assert_eq!(world.store.file_pairs(W, vec![pair]).await.unwrap(), 0, "decided stays decided");
});

both_engines!(what_was_done_is_in_the_audit_log, |db| async move {
    let world = World::open(&db).await;
    for (act, subject) in [("contacts.import", None), ("contacts.merge", Some("per_1".to_owned()))] {
        let new = NewAudit { at: T0, who: "cli:eva".into(), act, subject, data: "{\"n\":1}".into() };
        world.store.audit(W, new).await.unwrap();
    }
    let acts = |entries: Vec<ponte_domain::ports::people::AuditEntry>| -> Vec<String> {
        entries.into_iter().map(|e| e.act).collect()
    };
    assert_eq!(acts(world.store.audit_log(W, None, 10).await.unwrap()), ["contacts.merge", "contacts.import"]);
    assert_eq!(acts(world.store.audit_log(W, Some("per_1"), 10).await.unwrap()), ["contacts.merge"]);
});

both_engines!(a_late_report_brings_no_identifier_of_an_erased_person_back, |db| async move {
    let world = World::open(&db).await;
    world.ingest(&[text(ANA, "wamid.1", T0)]).await;
    world.queue(ANA, Class::Reply).await;
    let task = world.claim(T0).await.tasks.remove(0);
    world.settle(T0 + 1, &task, accepted("wamid.out")).await;
    let ana = world.who(ANA).await;
    world.store.erase(W, ana, "secret", T0 + 5).await.unwrap();
    world.ingest(&[status("wamid.out", Status::Read, T0 + 9, ANA, None)]).await;
    assert!(Raw::open(&db).await.texts("SELECT value FROM identity").await.is_empty());
});

both_engines!(a_stop_said_after_a_merge_survives_its_undoing, |db| async move {
    let world = World::open(&db).await;
    let stop = |who: &str, at| {
        let preference = Preference {
            party: by_wa_id(who),
            category: "marketing_messages".into(),
            value: "stop".into(),
            at,
            raw: "{}".into(),
        };
        update(at, UpdateKind::Preference(preference))
    };
    world.ingest(&[text(ANA, "wamid.1", T0), text(BEA, "wamid.2", T0)]).await;
    let (ana, bea) = (world.who(ANA).await, world.who(BEA).await);
    let id = world.merge_two(ana, bea).await.unwrap();
    world.ingest(&[stop(ANA, T0 + 7)]).await;
    world.store.unmerge(W, T0 + 9, "test", id).await.unwrap();
    let stopped = "SELECT CAST(marketing_stopped_at AS TEXT) FROM person WHERE marketing_stopped_at IS NOT NULL";
    assert_eq!(Raw::open(&db).await.texts(stopped).await, [(T0 + 7).to_string()]);
});

both_engines!(who_is_part_of_somebody_is_erased_with_them_not_alone, |db| async move {
    let world = World::open(&db).await;
    world.import(vec![draft(1, ANA, "A"), draft(2, BEA, "B")]).await;
    let (a, b) = (world.who(ANA).await, world.who(BEA).await);
    world.merge_two(a, b).await.unwrap();
    let refused = world.store.erase(W, b, "secret", T0).await;
    assert!(matches!(&refused, Err(StoreError::NotFound(why)) if why.contains(&a.to_string())), "{refused:?}");
    assert_eq!(world.who(BEA).await, a, "nothing was erased");
    assert_eq!(world.store.erase(W, a, "secret", T0).await.unwrap().people, 2);
    assert!(world.store.find_person(W, BEA).await.unwrap().is_empty());
});

both_engines!(what_is_on_its_way_for_who_was_erased_is_gone_too, |db| async move {
    let world = World::open(&db).await;
    let voice = |who: &str, wamid: &str, id: &str| {
        let media = MediaRef {
            id: id.into(),
            mime_type: None,
            sha256: None,
            filename: Some(format!("letter of {who}.pdf")),
            voice: false,
            animated: false,
        };
        inbound(InboundMessage { media: Some(media), ..message(by_wa_id(who), wamid, T0) })
    };
    world.ingest(&[voice(ANA, "wamid.1", "m1"), voice(BEA, "wamid.2", "m2")]).await;
    let (ana, bea) = (world.who(ANA).await, world.who(BEA).await);
    for (n, who) in [ana, bea].into_iter().enumerate() {
        let id = who.0.simple();
        let job = |kind, lane: String, scope: &str| NewJob {
            kind,
            lane,
            scope: scope.into(),
            payload: format!("{{\"text\":\"payload for {n}\"}}"),
            ..crm_job("", "")
        };
        let hook = "hook_1";
        let jobs = vec![
            job(JobKind::Trigger, id.to_string(), "crm"),
            job(JobKind::Crm, format!("crm/{id}"), "crm"),
            job(JobKind::Hook, format!("{hook}/{id}"), hook),
            job(JobKind::Hook, format!("{hook}/again/{id}"), hook),
            job(JobKind::Notice, format!("crm/r{n}"), "crm"),
        ];
        world.file(jobs).await;
        let link = Link { person: who, record: format!("r{n}"), base: None, gone: false, written_at: 0 };
        world.links(vec![link]).await;
        world.queue(if n == 0 { ANA } else { BEA }, Class::Reply).await;
    }
    // One send of each was begun: what became of it is still to be found out. Another waits behind it.
    assert_eq!(world.claim(T0).await.tasks.len(), 2);
    for who in [ANA, BEA] {
        world.queue(who, Class::Reply).await;
    }
    // What was given up says the same as what waits.
    let claimed = world.store.claim_lanes(W, JobKind::Trigger, "crm", T0, LEASE, 9, 9).await.unwrap();
    let dead = claimed.iter().map(|l| (l.lane.clone(), l.jobs[0].seq, JobEnd::Dead(failure("gone")))).collect();
    world.store.settle_jobs(W, T0, dead).await.unwrap();
    let held = world.store.claim_lanes(W, JobKind::Crm, "crm", T0, LEASE, 9, 9).await.unwrap();
    world.store.erase(W, ana, "secret", T0 + 5).await.unwrap();
    let mut raw = Raw::open(&db).await;
    let everything = raw.everything().await;
    for secret in ["payload for 0".to_owned(), format!("letter of {ANA}")] {
        let found: Vec<_> = everything.iter().filter(|row| row.contains(&secret)).collect();
        assert!(found.is_empty(), "{secret}: {found:?}");
    }
    assert_eq!(everything.iter().filter(|row| row.contains("payload for 1")).count(), 5, "another's is kept");
    let kinds = raw.texts("SELECT kind FROM job").await;
    assert_eq!(
        kinds,
        ["crm", "hook", "hook", "media", "notice", "send", "send", "send"],
        "one begun send of hers is left"
    );
    // Whoever holds a lane of hers settles nothing and closes it.
    for lane in &held {
        world.end(T0 + 6, lane, &[JobEnd::Done]).await;
    }
    assert!(world.store.claim_lanes(W, JobKind::Crm, "crm", T0 + 2 * LEASE, LEASE, 9, 9).await.unwrap().is_empty());
    assert!(raw.texts("SELECT key FROM lane WHERE kind = 'crm'").await.is_empty());
    // What is asked for by her id afterwards is asked for nobody.
    let key = AdmitKey {
        number: number(),
        identities: Vec::new(),
        person: Some(ana),
        idempotency_key: None,
        class: Class::Reply,
    };
    let decide = Arc::new(|views: Vec<AdmitView>| {
        assert!(views[0].person.is_none());
        Vec::new()
    });
    world.store.admit(W, T0 + 7, vec![key], decide).await.unwrap();
});
