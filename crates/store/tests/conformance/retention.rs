//! Retention: what is too old goes, a bounded amount at a time; what somebody still needs stays, however old it is.

use crate::people::{draft, labelled};
use crate::support::{Raw, T0, W, World, by_wa_id, crm_end, crm_job, failure, inbound, message, text};
use ponte_domain::consent::{Action, Entry, Proof, Scope, Source, entry_id};
use ponte_domain::event::EventCursor;
use ponte_domain::ids::ConnectionId;
use ponte_domain::inbound::Edit;
use ponte_domain::job::{Class, JobEnd, LetterEnd};
use ponte_domain::ports::people::{NewAudit, People};
use ponte_domain::ports::retention::{Cut, Place, Retention};
use ponte_domain::ports::store::{CrmEnd, MediaEnd, Store};
use ponte_domain::profile::Label;
use ponte_domain::retention::Kind;
use ponte_domain::{DAY, Millis};
use ponte_testkit::{Engine, TestDatabase, both_engines};

const ANA: &str = "5511999990001";
const BEA: &str = "5511999990002";
const NOW: Millis = T0 + 1_000 * DAY;

fn cut(before: Millis) -> Cut {
    Cut { before, read_to: None, after: Place::default() }
}

impl World {
    /// Trims a kind to its end; what each step removed.
    async fn trim(&self, kind: Kind, mut cut: Cut) -> Vec<u64> {
        let counted = self.store.too_old(W, kind, cut).await.unwrap();
        let mut steps = Vec::new();
        loop {
            let step = self.store.trim(W, kind, cut, NOW).await.unwrap();
            steps.push(step.removed);
            assert!(steps.len() < 100, "{kind:?} never ends");
            match step.next {
                Some(next) => cut.after = next,
                None => break,
            }
        }
        assert_eq!(steps.iter().sum::<u64>(), counted, "what was counted before is what is removed");
        assert_eq!(self.store.too_old(W, kind, Cut { after: Place::default(), ..cut }).await.unwrap(), 0);
        steps
    }
}

both_engines!(texts_and_files_of_old_messages_go_and_their_rows_stay, |db| async move {
    let world = World::open(&db).await;
    world.ingest_at(T0, &[text(ANA, "wamid.old", T0), text(BEA, "wamid.file", T0)]).await;
    world.ingest_at(T0 + 2 * DAY, &[text(ANA, "wamid.young", T0 + 2 * DAY)]).await;
    let waits = world.queue(ANA, Class::Reply).await;
    let mut raw = Raw::open(&db).await;
    raw.run("UPDATE message SET created_at = at").await;
    raw.run("UPDATE message_content SET media_key = 'ab12' WHERE body = 'text of wamid.file'").await;
    assert_eq!(world.store.oldest(W, Kind::Content).await.unwrap(), Some(T0));
    assert_eq!(world.trim(Kind::Content, cut(T0 + DAY)).await, [2, 0]);
    let all = world.store.messages(W, None, 10, None).await.unwrap();
    let of = |wamid: &str| all.iter().find(|m| m.wamid.as_deref() == Some(wamid)).unwrap();
    for gone in ["wamid.old", "wamid.file"] {
        let gone = of(gone);
        assert_eq!((gone.text.as_deref(), gone.content.get(), gone.at), (None, "{\"erased\":true}", T0));
        assert_eq!(gone.media_key, None);
    }
    assert_eq!(of("wamid.young").text.as_deref(), Some("text of wamid.young"));
    let waits = all.iter().find(|m| m.id == waits).unwrap();
    assert_eq!(waits.text.as_deref(), Some("hello"), "it is old and still to be sent");
    assert_eq!(world.store.unused_files(W, "", 10).await.unwrap(), ["ab12"]);
    assert!(!world.store.file_is_used(W, "ab12").await.unwrap());
    world.store.file_settled(W, "ab12").await.unwrap();
    assert!(world.store.unused_files(W, "", 10).await.unwrap().is_empty());
    assert_eq!(world.store.oldest(W, Kind::Content).await.unwrap(), Some(T0), "the one that waits");
});

both_engines!(an_edit_or_a_file_that_comes_late_brings_no_content_back, |db| async move {
    let world = World::open(&db).await;
    let mut picture = message(by_wa_id(ANA), "wamid.1", T0);
    picture.media = Some(crate::ingest::a_picture());
    world.ingest(&[inbound(picture)]).await;
    let lanes = world
        .store
        .claim_lanes(W, ponte_domain::job::JobKind::Media, crate::support::NUMBER, T0, crate::support::LEASE, 1, 1)
        .await
        .unwrap();
    let (lane, seq) = (lanes[0].lane.clone(), lanes[0].jobs[0].seq);
    let id = world.store.messages(W, None, 1, None).await.unwrap()[0].id;
    assert_eq!(world.trim(Kind::Content, cut(T0 + DAY)).await, [1, 0]);
    let stored = Some(("ab12".to_owned(), 3, None));
    world
        .store
        .settle_media(W, T0 + 1, vec![MediaEnd { lane, seq, message: id, stored, end: JobEnd::Done }])
        .await
        .unwrap();
    let mut edit = message(by_wa_id(ANA), "wamid.2", T0 + 1);
    edit.edit =
        Some(Edit { target: "wamid.1".to_owned().into(), text: Some("better".into()), raw: "{\"v\":2}".into() });
    world.ingest(&[inbound(edit)]).await;
    let seen = world.store.message(W, id).await.unwrap().unwrap();
    assert_eq!((seen.text, seen.media_key, seen.edited_at), (None, None, Some(T0 + 1)));
    assert_eq!(world.store.unused_files(W, "", 10).await.unwrap(), ["ab12"], "the file is to be removed again");
});

both_engines!(a_step_is_bounded_and_the_next_goes_on, |db| async move {
    let world = World::open(&db).await;
    let texts: Vec<_> = (0..450).map(|n| text(&format!("55119999{n:05}"), &format!("wamid.{n}"), T0)).collect();
    world.ingest(&texts).await;
    assert_eq!(world.trim(Kind::Content, cut(T0 + 1)).await, [200, 200, 50, 0]);
    for n in 0..1_500 {
        let data = "{}".to_owned();
        world.store.audit(W, NewAudit { at: T0 + n, who: "t".into(), act: "t", subject: None, data }).await.unwrap();
    }
    assert_eq!(world.trim(Kind::Audit, cut(T0 + 1_200)).await, [1_000, 200, 0]);
    assert_eq!(world.store.oldest(W, Kind::Audit).await.unwrap(), Some(T0 + 1_200));
});

both_engines!(an_event_that_somebody_has_to_read_is_kept_however_old, |db| async move {
    let world = World::open(&db).await;
    world.ingest_at(T0, &[text(ANA, "wamid.1", T0), text(BEA, "wamid.2", T0)]).await;
    world.ingest_at(T0 + DAY, &[text(ANA, "wamid.3", T0)]).await;
    let events = world.events(5).await;
    let third = events[2].cursor;
    let lease = world.store.lease(W, "reader", T0, 10_000).await.unwrap().unwrap();
    world.store.advance(W, lease, "reader", third, vec![]).await.unwrap();
    assert_eq!(world.store.cursors(W).await.unwrap(), [("reader".to_owned(), third)]);
    let unread = Cut { read_to: Some(EventCursor::default()), ..cut(NOW) };
    assert_eq!(world.trim(Kind::Events, unread).await, [0]);
    assert_eq!(world.trim(Kind::Events, Cut { read_to: Some(third), ..cut(NOW) }).await, [3, 0]);
    let left: Vec<EventCursor> = world.events(1).await.iter().map(|e| e.cursor).collect();
    assert_eq!(left, events[3..].iter().map(|e| e.cursor).collect::<Vec<_>>());
    assert_eq!(world.trim(Kind::Events, cut(T0 + 1)).await.iter().sum::<u64>(), 1, "nobody reads: only age counts");
});

both_engines!(a_merge_without_its_record_is_final_and_an_erasure_still_reaches_both, |db| async move {
    let world = World::open(&db).await;
    world.ingest(&[text(BEA, "wamid.1", T0)]).await;
    world.import(vec![draft(1, ANA, "Ana Lima"), draft(2, BEA, "Ana Maria Lima")]).await;
    world.import(vec![draft(3, "5511999990003", "Carl"), draft(4, "5511999990004", "Carlo")]).await;
    let (ana, bea) = (world.who(ANA).await, world.who(BEA).await);
    let merge = world.merge_two(ana, bea).await.unwrap();
    let (carl, carlo) = (world.who("5511999990003").await, world.who("5511999990004").await);
    let undone = world.merge_two(carl, carlo).await.unwrap();
    world.store.unmerge(W, T0 + 6, "test", undone).await.unwrap();
    assert_eq!(world.trim(Kind::Merges, cut(T0 + 5)).await, [0], "merged at T0 + 5");
    assert_eq!(world.trim(Kind::Merges, cut(T0 + 6)).await, [2, 0]);
    assert!(world.store.unmerge(W, T0 + 9, "test", merge).await.is_err(), "there is nothing to undo it with");
    let mut raw = Raw::open(&db).await;
    let all = raw.everything().await;
    let told = |name: &str| all.iter().any(|row| row.contains(name));
    assert!(told("\"Ana Lima\"") != told("\"Ana Maria Lima\""), "what the other side was went with the record");
    let names: Vec<_> = world.store.cards(W, &[carl, carlo]).await.unwrap();
    assert_eq!(names.iter().filter_map(|c| c.name()).count(), 2, "who was taken apart again is whole");
    assert!(world.store.timeline(W, ana, 100).await.unwrap().iter().any(|e| e.person == Some(bea)));
    world.store.erase(W, ana, "secret", T0 + 9).await.unwrap();
    world.store.erasure_end(W, ana).await.unwrap();
    for row in raw.everything().await.iter().filter(|row| !row.starts_with("journal")) {
        for told in [ANA, BEA, "Ana Lima", "text of wamid.1"] {
            assert!(!row.contains(told), "{told}: {row}");
        }
    }
});

both_engines!(who_is_only_a_line_in_a_list_goes_and_everybody_else_stays, |db| async move {
    let world = World::open(&db).await;
    let of = |n: u64| format!("551199999{n:04}");
    let mut drafts: Vec<_> = (1..=5).map(|n| draft(n, &of(n), &format!("Name {n}"))).collect();
    drafts.push(labelled(draft(6, &of(6), "Name 6"), Label::RefusesMarketing));
    world.import(drafts).await;
    world.ingest(&[text(&of(2), "wamid.1", T0)]).await;
    let word = Entry {
        id: entry_id(&["w"]),
        person: world.who(&of(3)).await,
        scope: Scope::MARKETING,
        action: Action::Withdrawn,
        source: Source::Agent,
        proof: Proof::default(),
        at: T0,
        until: None,
        said_by: "agent:test".into(),
    };
    world.store.consent_record(W, vec![word], vec![]).await.unwrap();
    world.file(vec![crm_job("a", "{}")]).await;
    let lanes = world.take(T0, 1, 1).await;
    let contact = Some(crate::support::contact_end(world.who(&of(4)).await, "crm-1", "hash"));
    let end = CrmEnd { contact, ..crm_end(&lanes[0].lane, lanes[0].jobs[0].seq, JobEnd::Done) };
    world.store.settle_crm(W, &ConnectionId::from("crm".to_owned()), T0, vec![end]).await.unwrap();
    assert_eq!(world.trim(Kind::People, cut(T0)).await.iter().sum::<u64>(), 0, "unchanged since is not before");
    assert_eq!(world.trim(Kind::People, cut(T0 + 1)).await.iter().sum::<u64>(), 2);
    for (n, there) in [(1, 0), (2, 1), (3, 1), (4, 1), (5, 0), (6, 1)] {
        assert_eq!(world.store.find_person(W, &of(n)).await.unwrap().len(), there, "{n}");
    }
    let left = Raw::open(&db).await.everything().await;
    assert!(!left.iter().any(|row| row.contains("Name 1") || row.contains(&of(1))));
    let again = world.import(vec![draft(1, &of(1), "Name 1")]).await;
    assert_eq!((again.created, again.erased_lines.len()), (1, 0), "nobody asked to be kept out");
});

both_engines!(an_ended_dead_letter_is_kept_for_its_period_and_a_waiting_one_for_ever, |db| async move {
    let world = World::open(&db).await;
    for lane in ["a", "b", "c"] {
        world.file(vec![crm_job(lane, "{}")]).await;
        let lanes = world.take(T0, 1, 1).await;
        let end = crm_end(&lanes[0].lane, lanes[0].jobs[0].seq, JobEnd::Dead(failure("x")));
        world.store.settle_crm(W, &ConnectionId::from("crm".to_owned()), T0, vec![end]).await.unwrap();
    }
    let letters = world.store.dead_letters(W, 10).await.unwrap();
    world.store.discard_dead(W, Some(letters[0].id), T0 + 1).await.unwrap();
    world.store.retry_dead(W, Some(letters[1].id), T0 + 2).await.unwrap();
    let ended = world.store.ended_dead(W, 10).await.unwrap();
    let how: Vec<_> = ended.iter().map(|e| (e.letter.id, e.how, e.ended_at)).collect();
    assert_eq!(how, [(letters[1].id, LetterEnd::Retried, T0 + 2), (letters[0].id, LetterEnd::Discarded, T0 + 1)]);
    assert_eq!(ended[0].letter, letters[1]);
    assert_eq!(world.trim(Kind::DeadLetters, cut(T0 + 2)).await, [1, 0]);
    assert_eq!(world.trim(Kind::DeadLetters, cut(NOW)).await, [1, 0]);
    assert_eq!(world.store.dead_letters(W, 10).await.unwrap(), [letters[2].clone()]);
});

both_engines!(an_import_under_way_is_kept_and_old_runs_go, |db| async move {
    let world = World::open(&db).await;
    world.import(vec![draft(1, ANA, "Ana")]).await;
    let open = world.store.import_begin(W, uuid::Uuid::from_u128(9), "long", "mark", T0).await.unwrap();
    Raw::open(&db).await.run(&format!("UPDATE import_run SET changed_at = {} WHERE source = 'long'", T0 + DAY)).await;
    assert_eq!(world.trim(Kind::Imports, cut(T0 + 5)).await, [1, 0]);
    let left: Vec<_> = world.store.import_runs(W, 10).await.unwrap().into_iter().map(|r| r.id).collect();
    assert_eq!(left, [open.id]);
});

both_engines!(words_of_the_consent_ledger_have_no_period, |db| async move {
    let world = World::open(&db).await;
    let mut stop = message(by_wa_id(ANA), "wamid.1", T0);
    stop.text = Some("STOP".into());
    world.ingest(&[inbound(stop)]).await;
    let ana = world.who(ANA).await;
    let before = world.store.consent_of(W, ana).await.unwrap().unwrap().entries;
    assert!(!before.is_empty());
    for kind in Kind::ALL {
        world.trim(*kind, cut(NOW)).await;
    }
    assert_eq!(world.store.consent_of(W, ana).await.unwrap().unwrap().entries, before);
});

both_engines!(an_erasure_stays_open_until_it_ends_and_knows_what_to_look_for, |db| async move {
    let world = World::open(&db).await;
    world.ingest(&[text(ANA, "wamid.1", T0)]).await;
    let ana = world.who(ANA).await;
    let needles = world.store.erasure_begin(W, ana, "secret", T0).await.unwrap();
    assert_eq!(needles, [ANA]);
    // A number learnt while the journal is looked through.
    let mut shared = message(by_wa_id(ANA), "wamid.2", T0 + 1);
    shared.shared_phone = Some(BEA.into());
    world.ingest(&[inbound(shared)]).await;
    world.store.erase(W, ana, "other", T0 + 2).await.unwrap();
    // Killed here: the identifiers are nowhere else any more.
    assert_eq!(world.store.erasures_open(W, T0).await.unwrap(), []);
    assert_eq!(world.store.erasures_open(W, T0 + 1).await.unwrap(), [ana]);
    assert_eq!(world.store.erasure_begin(W, ana, "secret", T0 + 3).await.unwrap(), [ANA, BEA]);
    world.store.erasure_end(W, ana).await.unwrap();
    let left = Raw::open(&db).await.everything().await;
    assert!(!left.iter().any(|row| row.contains(ANA) || row.contains(BEA)), "{left:#?}");
});

/// A PostgreSQL that knows nothing of its tables yet, and of which a tenth is too old.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_old_is_found_and_removed_by_keys_on_postgres() {
    let db = TestDatabase::of(Engine::Postgres).await.expect("a database");
    let world = World::open(&db).await;
    for batch in 0..30 {
        let at = T0 + batch * DAY;
        let texts = (0..200).map(|n| text(&format!("55119{batch:04}{n:04}"), &format!("wamid.{batch}.{n}"), at));
        world.ingest_at(at, &texts.collect::<Vec<_>>()).await;
    }
    Raw::open(&db).await.run("UPDATE message SET created_at = at").await;
    for kind in [Kind::Content, Kind::Events, Kind::People, Kind::Merges] {
        let mut cut = cut(T0 + 3 * DAY);
        while let Some(next) = world.store.trim(W, kind, cut, NOW).await.unwrap().next {
            cut.after = next;
        }
    }
    assert_eq!(world.store.oldest(W, Kind::Content).await.unwrap(), Some(T0 + 3 * DAY));
    world.store.close().await;
    let long = crate::flat::long_looks(&db).await;
    assert!(long.is_empty(), "read from end to end: {long:?}");
}
