//! Editing people, fields with types, listing by marks, lines that are dead.

use crate::support::{Raw, T0, W, World, accepted, by_user_id, failure, inbound, message, status, text};
use ponte_domain::fields::{Definition, Kind};
use ponte_domain::ids::{IdSource, MessageId, PersonId};
use ponte_domain::inbound::{NoticeError, Update, UpdateKind};
use ponte_domain::job::Class;
use ponte_domain::people::edit::{Change, Edit, Refused};
use ponte_domain::people::marks::Mark;
use ponte_domain::ports::people::{MergeFn, MergeOrder, People, Rechecked};
use ponte_domain::ports::store::{SendEnd, SendWhat};
use ponte_domain::profile::Label;
use ponte_domain::reach::Settings;
use ponte_domain::status::Status;
use ponte_domain::survivorship::{Rules, merge};
use ponte_domain::{DAY, Millis};
use ponte_testkit::{TestDatabase, both_engines};
use std::sync::Arc;

const ANA: &str = "5511999990001";
const BEA: &str = "5511999990002";

fn edit(changes: Vec<Change>) -> Edit {
    Edit { changes, source: "cli:eva".into(), at: T0, country: None }
}

fn set(key: &str, value: &str) -> Change {
    Change::Set { key: key.into(), value: value.into() }
}

fn definition(key: &str, kind: Kind, choices: &[&str]) -> Definition {
    let choices = choices.iter().map(|c| (*c).to_owned()).collect();
    Definition { key: key.into(), label: key.into(), kind, choices, source: "cli:eva".into(), changed_at: T0 }
}

impl World {
    async fn added(&self, digits: &str, changes: Vec<Change>) -> PersonId {
        let id = PersonId(self.ids.next());
        self.store.add(W, id, digits, edit(changes)).await.unwrap().unwrap().person
    }

    async fn listed(&self, marks: &[Mark]) -> Vec<PersonId> {
        let page = self.store.people_marked(W, marks.to_vec(), None, 100).await.unwrap();
        page.into_iter().map(|p| p.id).collect()
    }

    async fn joined(&self, survivor: PersonId, other: PersonId) -> uuid::Uuid {
        let order = MergeOrder { id: self.ids.next(), survivor, other, score: 1000, reasons: vec!["decided".into()] };
        let profiles: MergeFn = Arc::new(|kept, other| merge(kept, other, &Rules::default()).profile);
        self.store.merge(W, T0 + 5, "test", vec![order], profiles).await.unwrap().remove(0)
    }

    async fn define(&self, definition: Definition) -> Rechecked {
        let key = definition.key.clone();
        self.store.define_field(W, definition).await.unwrap();
        self.store.recheck_field(W, &key, None, 1_000, T0).await.unwrap()
    }

    async fn value(&self, person: PersonId, key: &str) -> Option<String> {
        self.store.cards(W, &[person]).await.unwrap()[0].profile.get(key).map(str::to_owned)
    }

    async fn unreachable(&self, person: PersonId) -> bool {
        self.store.cards(W, &[person]).await.unwrap()[0].profile.labels.contains(&Label::Unreachable)
    }

    /// A send that WhatsApp took and could not deliver.
    async fn undelivered(&self, to: &str, n: i64) {
        let at = T0 + n * DAY;
        self.queue(to, Class::Reply).await;
        let task = self.claim(at).await.tasks.remove(0);
        let SendWhat::Message(m) = &task.what else { panic!("{task:?}") };
        let (id, wamid) = (m.head.id, format!("wamid.out.{n}"));
        self.settle(at, &task, accepted(&wamid)).await;
        self.ingest_at(at, &[failed(&wamid, at + 1, to, id)]).await;
    }
}

fn failed(wamid: &str, at: Millis, to: &str, id: MessageId) -> Update {
    let mut update = status(wamid, Status::Failed, at, to, Some(id.to_string()));
    if let UpdateKind::Status(s) = &mut update.kind {
        s.errors = vec![NoticeError { code: 131_026, title: "undeliverable".into(), details: None }];
    }
    update
}

async fn marks(db: &TestDatabase) -> Vec<String> {
    Raw::open(db).await.texts("SELECT kind || '=' || value FROM person_mark").await
}

both_engines!(an_edit_is_written_told_and_in_the_audit_log_or_nothing_happened, |db| async move {
    let world = World::open(&db).await;
    let ana = world.added(ANA, vec![set("name", "Ana"), Change::Tag("vip".into())]).await;
    let again = world.store.add(W, PersonId(world.ids.next()), "551199990001", edit(vec![])).await.unwrap();
    assert_eq!(again, Err(Refused::Known(ana)), "the same line, written without the ninth digit");
    let before = world.kinds().await;
    let wrong = edit(vec![Change::Untag("vip".into()), set("birthday", "03/04/1990")]);
    assert!(
        matches!(world.store.edit(W, ana, wrong).await.unwrap(), Err(Refused::Values(errors)) if errors.len() == 1)
    );
    assert_eq!((world.kinds().await, marks(&db).await), (before, vec!["tag=vip".to_owned()]));
    let changes = vec![Change::Untag("vip".into()), Change::Label(Label::Blocked), Change::Unset("name".into())];
    let done = world.store.edit(W, ana, edit(changes.clone())).await.unwrap().unwrap();
    assert_eq!(done.changed, ["tag:vip", "label:blocked", "field:name"]);
    assert_eq!(marks(&db).await, ["label=blocked"]);
    let kinds = world.kinds().await;
    assert_eq!(kinds.last().unwrap(), "person.changed");
    assert!(world.store.edit(W, ana, edit(changes)).await.unwrap().unwrap().changed.is_empty());
    assert_eq!(world.kinds().await.len(), kinds.len(), "the same again is not told");
    let audit = world.store.audit_log(W, Some(&ana.to_string()), 10).await.unwrap();
    assert_eq!(audit.iter().map(|a| a.act.as_str()).collect::<Vec<_>>(), ["contacts.edit", "contacts.add"]);
    assert!(!audit.iter().any(|a| a.data.get().contains("vip")), "which, not what: the log outlives an erasure");
});

both_engines!(who_is_merged_or_erased_is_not_edited_and_the_survivor_is_named, |db| async move {
    let world = World::open(&db).await;
    let (ana, bea) = (world.added(ANA, vec![]).await, world.added(BEA, vec![Change::Tag("vip".into())]).await);
    let undo = world.joined(ana, bea).await;
    let refused = world.store.edit(W, bea, edit(vec![set("city", "Recife")])).await.unwrap().unwrap_err();
    assert_eq!(refused, Refused::Merged { person: bea, survivor: ana });
    assert!(refused.to_string().contains(&ana.to_string()));
    assert_eq!(world.listed(&[Mark::tag("VIP")]).await, [ana], "listed once, as the survivor");
    world.store.unmerge(W, T0 + 9, "test", undo).await.unwrap();
    assert_eq!(world.listed(&[Mark::tag("vip")]).await, [bea]);
    world.store.erase(W, bea, "secret", T0 + 10).await.unwrap();
    assert_eq!(world.store.edit(W, bea, edit(vec![])).await.unwrap(), Err(Refused::Erased(bea)));
    assert_eq!(
        world.store.add(W, PersonId(world.ids.next()), BEA, edit(vec![])).await.unwrap(),
        Err(Refused::NumberErased)
    );
    assert!(world.listed(&[Mark::tag("vip")]).await.is_empty() && marks(&db).await.is_empty());
    let nobody = PersonId(world.ids.next());
    assert_eq!(world.store.edit(W, nobody, edit(vec![])).await.unwrap(), Err(Refused::NotFound(nobody)));
});

both_engines!(people_are_listed_page_by_page_by_all_marks_together, |db| async move {
    let world = World::open(&db).await;
    world.define(definition("plan", Kind::Choice, &["Gold", "Silver"])).await;
    let mut gold = Vec::new();
    for n in 0..7 {
        let plan = if n % 2 == 0 { "gold" } else { "silver" };
        let id = world.added(&format!("55119999900{n:02}"), vec![set("plan", plan), Change::Tag("all".into())]).await;
        gold.extend((n % 2 == 0).then_some(id));
    }
    gold.sort_unstable();
    assert_eq!(world.listed(&[Mark::field("plan", "Gold")]).await, gold);
    assert_eq!(world.listed(&[Mark::tag("all"), Mark::field("plan", "Gold")]).await, gold);
    assert!(world.listed(&[Mark::tag("all"), Mark::label(Label::Blocked)]).await.is_empty());
    let first = world.store.people_marked(W, vec![Mark::field("plan", "Gold")], None, 3).await.unwrap();
    let rest = world.store.people_marked(W, vec![Mark::field("plan", "Gold")], Some(first[2].id), 3).await.unwrap();
    assert_eq!(first.iter().chain(&rest).map(|p| p.id).collect::<Vec<_>>(), gold);
    assert_eq!(world.store.people_marked(W, vec![], None, 100).await.unwrap().len(), 7);
    assert!(world.store.remove_field(W, "plan").await.unwrap());
    assert!(world.listed(&[Mark::field("plan", "Gold")]).await.is_empty());
    assert_eq!(world.value(gold[0], "plan").await.as_deref(), Some("Gold"), "the value stays as text");
});

both_engines!(changing_a_type_keeps_what_does_not_fit_and_brings_it_back, |db| async move {
    let world = World::open(&db).await;
    let ana = world.added(ANA, vec![set("since", "31/12/1985")]).await;
    let bea = world.added(BEA, vec![set("since", "long ago")]).await;
    let done = world.define(definition("since", Kind::Date, &[])).await;
    assert_eq!((done.fit, done.as_written, done.changed), (1, 1, 2));
    assert_eq!(world.value(ana, "since").await.as_deref(), Some("1985-12-31"));
    assert_eq!(world.value(bea, "since_as_written").await.as_deref(), Some("long ago"));
    assert_eq!(world.listed(&[Mark::field("since", "1985-12-31")]).await, [ana]);
    let again = world.define(definition("since", Kind::Date, &[])).await;
    assert_eq!((again.fit, again.as_written, again.changed), (1, 1, 0));
    let back = world.define(definition("since", Kind::Text, &[])).await;
    assert_eq!((back.fit, back.as_written), (2, 0));
    assert_eq!(world.value(bea, "since").await.as_deref(), Some("long ago"));
    assert_eq!(world.store.fields(W).await.unwrap().get("since").unwrap().kind, Kind::Text);
});

both_engines!(two_failures_on_two_days_mark_a_line_and_a_message_revives_it, |db| async move {
    let world = World::open(&db).await;
    world.ingest(&[text(ANA, "wamid.in.1", T0)]).await;
    let ana = world.store.find_person(W, ANA).await.unwrap()[0];
    world.undelivered(ANA, 1).await;
    assert!(!world.unreachable(ana).await, "one failure proves nothing");
    world.undelivered(ANA, 2).await;
    assert!(world.unreachable(ana).await);
    let known = world.store.reach(W, ana).await.unwrap();
    assert_eq!((known.len(), known[0].1.failures.len()), (1, 2), "with the evidence");
    assert_eq!(known[0].1.failures[0].code, "131026");
    assert_eq!(world.listed(&[Mark::label(Label::Unreachable)]).await, [ana]);
    let hidden = ponte_domain::identity::Party { wa_id: Some("551199990001".into()), ..by_user_id("BR.1") };
    world.ingest_at(T0 + 3 * DAY, &[inbound(message(hidden, "wamid.in.2", T0 + 3 * DAY))]).await;
    // Without the ninth digit it is another WhatsApp id, but the same line.
    assert!(!world.store.reach(W, ana).await.unwrap()[0].1.is_dead());
    world.ingest_at(T0 + 3 * DAY, &[text(ANA, "wamid.in.3", T0 + 3 * DAY)]).await;
    assert!(!world.unreachable(ana).await);
    let kinds = world.kinds().await;
    // Alive twice: told of whoever wrote from the line first, and of whose label it was.
    for (kind, times) in [("person.line_dead", 1), ("person.line_alive", 2)] {
        assert_eq!(kinds.iter().filter(|k| *k == kind).count(), times, "{kind}");
    }
    world.undelivered(ANA, 4).await;
    assert!(!world.unreachable(ana).await, "evidence from before counts no more");
});

both_engines!(a_refusal_at_once_is_evidence_and_one_of_our_people_can_take_the_label_away, |db| async move {
    let world = World::open(&db).await;
    for day in [0, 1] {
        let at = T0 + day * DAY;
        world.queue(BEA, Class::Reply).await;
        let task = world.claim(at).await.tasks.remove(0);
        world.settle(at, &task, SendEnd::Undeliverable(failure("131026"), BEA.into(), Settings::default())).await;
    }
    let bea = world.store.find_person(W, BEA).await.unwrap()[0];
    assert!(world.unreachable(bea).await);
    assert_eq!(world.store.reach(W, bea).await.unwrap()[0].1.dead_at, Some(T0 + DAY));
    let away = Edit { at: T0 + 2 * DAY, ..edit(vec![Change::Unlabel(Label::Unreachable)]) };
    world.store.edit(W, bea, away).await.unwrap().unwrap();
    let known = world.store.reach(W, bea).await.unwrap();
    assert!(!known[0].1.is_dead() && known[0].1.failures.is_empty());
    let given = Edit { at: T0 + 3 * DAY, ..edit(vec![Change::Label(Label::Unreachable)]) };
    world.store.edit(W, bea, given).await.unwrap().unwrap();
    world.ingest_at(T0 + 4 * DAY, &[text(BEA, "wamid.in.1", T0 + 4 * DAY)]).await;
    assert!(world.unreachable(bea).await, "what one of our people said stays");
    world.store.erase(W, bea, "secret", T0 + 5 * DAY).await.unwrap();
    assert!(Raw::open(&db).await.texts("SELECT line FROM phone_reach").await.is_empty());
});

both_engines!(of_two_lines_the_living_one_is_written_to, |db| async move {
    let world = World::open(&db).await;
    world.ingest(&[text(ANA, "wamid.in.1", T0), text(BEA, "wamid.in.2", T0)]).await;
    let who = async |digits: &str| world.store.find_person(W, digits).await.unwrap()[0];
    let (ana, bea) = (who(ANA).await, who(BEA).await);
    world.joined(ana, bea).await;
    let to = async |at| {
        world.queue(ANA, Class::Reply).await;
        let task = world.claim(at).await.tasks.remove(0);
        let SendWhat::Message(m) = &task.what else { panic!("{task:?}") };
        let to = m.to.clone();
        world.settle(at, &task, SendEnd::Undeliverable(failure("131026"), ANA.into(), Settings::default())).await;
        format!("{to:?}")
    };
    assert!(to(T0 + DAY).await.contains(ANA) && to(T0 + 2 * DAY).await.contains(ANA));
    assert!(!world.unreachable(ana).await, "there is another line");
    assert!(to(T0 + 3 * DAY).await.contains(BEA));
});
