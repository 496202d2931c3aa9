//! The fold over a small model of the store: in whatever order, however often and in whatever portions updates come, the same
//! is known in the end.

use super::{Changes, Context, Directory, Keys, Located, Orphan, Snapshot, fold, keys_of};
use crate::consent::{ConsentSettings, Entry, OpenRequest, Standings, Thanks};
use crate::event::{EventKind, NewEvent};
use crate::identity::{Identity, IdentityLink, Party};
use crate::ids::{ConsentId, IdSource, MessageId, NumberId, PersonId, Wamid};
use crate::inbound::{
    Edit, InboundMessage, MediaRef, NoticeError, Preference, Reaction, StatusUpdate, SystemChange, Update, UpdateKind,
};
use crate::message::{Conversation, MessageHead, NewMessage, Person, Phase};
use crate::profile::Unreachable;
use crate::reach::{self, Book, Reach};
use crate::status::Status;
use proptest::prelude::*;
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::atomic::{AtomicU64, Ordering};
use uuid::Uuid;

#[derive(Default)]
struct Counting(AtomicU64);

impl IdSource for Counting {
    fn next(&self) -> Uuid {
        Uuid::from_u128(u128::from(self.0.fetch_add(1, Ordering::Relaxed) + 1))
    }
}

struct OnePortfolio;

impl Directory for OnePortfolio {
    fn portfolio(&self, _: &str) -> String {
        "portfolio".into()
    }
    fn knows(&self, number: &NumberId) -> bool {
        number.as_str() == "100"
    }
}

/// What a store would hold.
#[derive(Default)]
struct Model {
    ids: Counting,
    consent: ConsentSettings,
    entries: BTreeMap<ConsentId, Entry>,
    requests: Vec<OpenRequest>,
    thanks: Vec<Thanks>,
    people: BTreeMap<PersonId, Person>,
    identities: HashMap<Identity, PersonId>,
    conversations: HashMap<(NumberId, PersonId), Conversation>,
    messages: BTreeMap<MessageId, (MessageHead, NewMessage)>,
    reactions: BTreeMap<(Wamid, Option<PersonId>), (Option<String>, i64)>,
    orphans: Vec<Orphan>,
    events: Vec<NewEvent>,
    reach: HashMap<String, Reach>,
    jobs: usize,
}

impl Model {
    fn snapshot(&self, keys: &Keys) -> Snapshot {
        let heads: Vec<MessageHead> = self
            .messages
            .values()
            .map(|(head, _)| head)
            .filter(|h| {
                let by_wamid = h.wamid.as_ref().is_some_and(|w| keys.wamids.contains(&(h.number.clone(), w.clone())));
                keys.messages.contains(&h.id) || by_wamid
            })
            .cloned()
            .collect();
        let links: Vec<IdentityLink> = self
            .identities
            .iter()
            .filter(|(i, _)| keys.identities.contains(i))
            .map(|(i, p)| IdentityLink { identity: i.clone(), person: *p })
            .collect();
        let people: Vec<PersonId> = links.iter().map(|l| l.person).chain(heads.iter().map(|h| h.person)).collect();
        Snapshot {
            people: self.people.values().filter(|p| people.contains(&p.id)).cloned().collect(),
            conversations: self.conversations.values().filter(|c| people.contains(&c.person)).cloned().collect(),
            erased: Default::default(),
            orphans: self
                .orphans
                .iter()
                .filter(|o| keys.wamids.contains(&(o.number.clone(), o.wamid.clone())))
                .cloned()
                .collect(),
            identities: links,
            messages: heads,
            standings: people.iter().map(|p| (*p, self.standings(*p))).collect(),
            reach: self.book(keys, &people),
            requests: self.requests.iter().filter(|r| people.contains(&r.person)).cloned().collect(),
        }
    }

    fn book(&self, keys: &Keys, people: &[PersonId]) -> Book {
        let mut book = Book::default();
        let evidence = |o: &&Orphan| keys.wamids.contains(&(o.number.clone(), o.wamid.clone())) && o.news.is_evidence();
        let all = keys.failures || self.orphans.iter().any(|o| evidence(&o));
        let mut wanted = keys.lines.clone();
        for id in people.iter().filter(|id| all || self.people[*id].unreachable != Unreachable::No) {
            let theirs = self.identities.iter().filter(|(i, o)| *o == id && i.scope.is_empty());
            let lines: BTreeSet<String> = theirs.map(|(i, _)| reach::line(&i.value)).collect();
            wanted.extend(lines.iter().cloned());
            book.of.insert(*id, lines);
            let signs = self.messages.values().filter(|(h, _)| h.person == *id).filter_map(|(h, _)| {
                let said = h.origin.is_inbound().then_some(h.at);
                said.max(h.stamps.delivered).max(h.stamps.read).max(h.stamps.played)
            });
            if let Some(at) = signs.max() {
                book.heard.insert(*id, at);
            }
        }
        book.lines =
            self.reach.iter().filter(|(l, _)| wanted.contains(*l)).map(|(l, r)| (l.clone(), r.clone())).collect();
        book
    }

    fn standings(&self, person: PersonId) -> Standings {
        let entries: Vec<Entry> = self.entries.values().filter(|e| e.person == person).cloned().collect();
        crate::consent::fold(&entries)
    }

    fn take(&mut self, updates: &[Located]) -> Changes {
        let keys = keys_of(updates, &OnePortfolio);
        let context = Context {
            now: 1_000_000,
            ids: &self.ids,
            directory: &OnePortfolio,
            consent: &self.consent,
            reach: reach::Settings { failures: 1 },
        };
        let changes = fold(self.snapshot(&keys), updates, &context);
        self.apply(changes.clone());
        changes
    }

    fn apply(&mut self, changes: Changes) {
        self.entries.extend(changes.consent.into_iter().map(|e| (e.id, e)));
        self.requests.retain(|r| !changes.answered.contains(&r.id));
        self.thanks.extend(changes.thanks);
        for person in changes.new_people {
            assert!(self.people.insert(person.id, person).is_none());
        }
        for person in changes.changed_people {
            assert!(self.people.insert(person.id, person).is_some());
        }
        self.reach.extend(changes.reach);
        for (id, unreachable) in changes.labels {
            let found = if unreachable { Unreachable::Found } else { Unreachable::No };
            self.people.get_mut(&id).unwrap().unreachable = found;
        }
        for identity in changes.ended_identities {
            self.identities.remove(&identity);
        }
        for new in changes.identities {
            assert!(self.identities.insert(new.identity, new.person).is_none(), "an identity twice");
        }
        for c in changes.new_conversations {
            assert!(self.conversations.insert((c.number.clone(), c.person), c).is_none());
        }
        for c in changes.changed_conversations {
            assert!(self.conversations.insert((c.number.clone(), c.person), c).is_some());
        }
        for m in changes.new_messages {
            let twice = self.messages.values().any(|(h, _)| h.wamid.is_some() && h.wamid == m.head.wamid);
            assert!(!twice, "a message twice");
            self.messages.insert(m.head.id, (m.head.clone(), m));
        }
        for head in changes.changed_messages {
            let id = head.id;
            self.messages.get_mut(&id).unwrap().0 = head;
        }
        for change in changes.text_changes {
            self.messages.get_mut(&change.message).unwrap().1.text = change.text;
        }
        for r in changes.reactions {
            let entry = self.reactions.entry((r.target, r.person)).or_insert((r.emoji.clone(), r.at));
            if entry.1 <= r.at {
                *entry = (r.emoji, r.at);
            }
        }
        for orphan in changes.new_orphans {
            self.orphans.retain(|o| (&o.wamid, o.news.kind()) != (&orphan.wamid, orphan.news.kind()));
            self.orphans.push(orphan);
        }
        for (_, wamid) in changes.adopted {
            self.orphans.retain(|o| o.wamid != wamid);
        }
        for event in changes.events {
            let said = event.dedup.is_some() && self.events.iter().any(|e| e.dedup == event.dedup);
            if !said {
                self.events.push(event);
            }
        }
        self.jobs += changes.jobs.len();
    }

    /// What matters, without identifiers of our own making.
    fn meaning(&self) -> Vec<String> {
        let who = |p: &PersonId| {
            let mut ids: Vec<_> =
                self.identities.iter().filter(|(_, o)| *o == p).map(|(i, _)| i.value.clone()).collect();
            ids.sort();
            ids.join("+")
        };
        let mut lines: Vec<String> = self
            .messages
            .values()
            .map(|(h, m)| {
                format!(
                    "message {:?} {} {} {:?} {:?} {:?} {:?} {:?}",
                    h.wamid,
                    who(&h.person),
                    m.kind,
                    h.phase,
                    h.stamps,
                    m.text,
                    h.edited_at,
                    h.withdrawn_at
                )
            })
            .collect();
        lines.extend(self.conversations.values().map(|c| format!("window {} {:?}", who(&c.person), c.last_inbound_at)));
        lines.extend(self.people.keys().map(|p| format!("allows {} {:?}", who(p), self.standings(*p))));
        lines.extend(self.people.values().map(|p| format!("stopped {} {:?}", who(&p.id), p.marketing_stopped_at)));
        lines.extend(
            self.reactions.iter().map(|((w, p), (e, _))| format!("reaction {w} {:?} {e:?}", p.as_ref().map(who))),
        );
        lines.extend(self.people.values().map(|p| format!("unreachable {} {:?}", who(&p.id), p.unreachable)));
        let dead = self.reach.iter().filter(|(_, r)| r.is_dead());
        lines.extend(dead.map(|(l, r)| format!("dead {l} {:?}", r.dead_at)));
        lines.extend(self.orphans.iter().map(|o| format!("orphan {} {} {}", o.wamid, o.news.kind(), o.at)));
        lines.sort();
        lines
    }
}

fn person(n: u8) -> Party {
    Party { wa_id: Some(format!("55119000000{n:02}")), user_id: Some(format!("BR.{n}")), ..Party::default() }
}

fn at(kind: UpdateKind) -> Located {
    let update = Update { waba_id: "1".into(), number: Some("100".into()), field: "messages".into(), at: None, kind };
    Located { segment: 1, entry: 0, received_at: 1_000_000, update }
}

fn plain(wamid: &str, n: u8, time: i64) -> InboundMessage {
    InboundMessage {
        wamid: wamid.into(),
        party: person(n),
        at: time,
        kind: "text".into(),
        text: Some(format!("text of {wamid}")),
        media: None,
        reply_to: None,
        forwarded: false,
        reaction: None,
        edit: None,
        revoke: None,
        system: None,
        group_id: None,
        referral: None,
        shared_phone: None,
        errors: Vec::new(),
        opens_window: true,
        raw: "{}".into(),
    }
}

fn message(m: InboundMessage) -> Located {
    at(UpdateKind::Message(Box::new(m)))
}

fn text(wamid: &str, n: u8, time: i64) -> Located {
    message(plain(wamid, n, time))
}

fn status(wamid: &str, n: u8, status: Status, time: i64) -> Located {
    at(UpdateKind::Status(Box::new(StatusUpdate {
        wamid: wamid.into(),
        status: Some(status),
        at: time,
        recipient: person(n),
        opaque: None,
        group_participant: None,
        pricing: None,
        free_entry_until: None,
        errors: if status == Status::Failed {
            vec![NoticeError { code: 131_026, title: "undeliverable".into(), details: None }]
        } else {
            Vec::new()
        },
        raw: "{}".into(),
    })))
}

fn echo(wamid: &str, n: u8, time: i64) -> Located {
    at(UpdateKind::Echo(Box::new(InboundMessage { opens_window: false, ..plain(wamid, n, time) })))
}

/// Everything that can be said about two people and a few messages. Times differ, so that "newest" is one.
fn story() -> Vec<Located> {
    let stop = InboundMessage { text: Some("please stop".into()), ..plain("stop", 2, 95_000) };
    let edit = |wamid: &str, target: &str, new: &str, time| {
        message(InboundMessage {
            kind: "edit".into(),
            opens_window: false,
            edit: Some(Edit { target: target.into(), text: Some(new.into()), raw: "{}".into() }),
            ..plain(wamid, 1, time)
        })
    };
    let react = |wamid: &str, emoji: Option<&str>, time| {
        message(InboundMessage {
            kind: "reaction".into(),
            opens_window: false,
            reaction: Some(Reaction { target: "e1".into(), emoji: emoji.map(Into::into) }),
            ..plain(wamid, 1, time)
        })
    };
    let prefer = |value: &str, time| {
        at(UpdateKind::Preference(Preference {
            party: person(2),
            category: "marketing_messages".into(),
            value: value.into(),
            at: time,
            raw: "{}".into(),
        }))
    };
    vec![
        message(stop),
        text("m1", 1, 10),
        text("m2", 2, 11),
        text("m3", 1, 12),
        edit("m4", "m1", "first edit", 20),
        edit("m5", "m1", "second edit", 21),
        message(InboundMessage {
            kind: "revoke".into(),
            opens_window: false,
            revoke: Some("m2".into()),
            ..plain("m6", 2, 22)
        }),
        react("m7", Some("👍"), 23),
        react("m8", None, 24),
        echo("e1", 1, 13),
        status("e1", 1, Status::Sent, 14),
        status("e1", 1, Status::Delivered, 15),
        status("e1", 1, Status::Read, 16),
        echo("e2", 2, 17),
        status("e2", 2, Status::Failed, 19),
        status("e2", 2, Status::Sent, 18),
        echo("e3", 2, 96_000),
        status("e3", 2, Status::Failed, 97_000),
        prefer("stop", 30),
        prefer("resume", 31),
        prefer("stop", 32),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]
    #[test]
    fn order_repetition_and_portions_change_nothing(
        order in proptest::collection::vec(any::<proptest::sample::Index>(), 0..60),
        portion in 1usize..9,
    ) {
        let story = story();
        let mut expected = Model::default();
        expected.take(&story);
        let mut updates: Vec<Located> = order.iter().map(|i| i.get(&story).clone()).collect();
        updates.extend(story.iter().rev().cloned());
        let mut model = Model::default();
        for part in updates.chunks(portion) {
            model.take(part);
        }
        prop_assert_eq!(model.meaning(), expected.meaning());
        prop_assert_eq!(model.orphans.len(), 0);
    }
}

#[test]
fn the_same_again_gives_no_changes() {
    let mut model = Model::default();
    model.take(&story());
    let (events, jobs) = (model.events.len(), model.jobs);
    let again = model.take(&story());
    assert!(again.new_messages.is_empty() && again.new_people.is_empty() && again.changed_messages.is_empty());
    assert_eq!((model.events.len(), model.jobs), (events, jobs));
}

#[test]
fn a_username_without_a_phone_is_a_person() {
    let mut model = Model::default();
    let party = Party { user_id: Some("BR.7".into()), username: Some("ana".into()), ..Party::default() };
    model.take(&[message(InboundMessage { party: party.clone(), ..plain("m1", 1, 1) })]);
    // Later the phone is known too: the same person.
    let both = Party { wa_id: Some("5511999990000".into()), ..party };
    model.take(&[message(InboundMessage { party: both, ..plain("m2", 1, 2) })]);
    assert_eq!(model.people.len(), 1);
    assert_eq!(model.identities.len(), 2);
    assert_eq!(model.people.values().next().unwrap().username.as_deref(), Some("ana"));
}

#[test]
fn a_change_of_number_keeps_the_person() {
    let mut model = Model::default();
    model.take(&[text("m1", 1, 1)]);
    let change = SystemChange {
        kind: "user_changed_number".into(),
        wa_id: Some("5511888880000".into()),
        user_id: Some("BR.99".into()),
        previous_user_id: Some("BR.1".into()),
    };
    let mut system =
        InboundMessage { kind: "system".into(), system: Some(change), opens_window: false, ..plain("m2", 1, 2) };
    system.party.user_id = None;
    model.take(&[message(system)]);
    let new = Party { wa_id: Some("5511888880000".into()), user_id: Some("BR.99".into()), ..Party::default() };
    model.take(&[message(InboundMessage { party: new, ..plain("m3", 1, 3) })]);
    assert_eq!(model.people.len(), 1);
    assert_eq!(model.conversations.len(), 1);
    // Whoever gets the old number next is somebody else.
    let next = Party { wa_id: person(1).wa_id, user_id: Some("BR.1000".into()), ..Party::default() };
    model.take(&[message(InboundMessage { party: next, ..plain("m4", 1, 4) })]);
    assert_eq!(model.people.len(), 2);
}

#[test]
fn two_people_of_one_message_are_a_conflict_that_is_shown() {
    let mut model = Model::default();
    let by_phone = Party { wa_id: Some("5511777770000".into()), ..Party::default() };
    let by_user = Party { user_id: Some("BR.5".into()), ..Party::default() };
    model.take(&[
        message(InboundMessage { party: by_phone.clone(), ..plain("m1", 1, 1) }),
        message(InboundMessage { party: by_user.clone(), ..plain("m2", 1, 2) }),
        message(InboundMessage { party: Party { wa_id: by_phone.wa_id, ..by_user }, ..plain("m3", 1, 3) }),
    ]);
    assert_eq!(model.people.len(), 2);
    assert_eq!(model.events.iter().filter(|e| e.kind == EventKind::IdentityConflict).count(), 1);
}

#[test]
fn a_status_settles_a_send_whose_outcome_was_unknown() {
    let mut model = Model::default();
    model.take(&[echo("x", 1, 1)]);
    let id = *model.messages.keys().next().unwrap();
    let head = &mut model.messages.get_mut(&id).unwrap().0;
    (head.phase, head.wamid) = (Phase::Unknown, None);
    let Located { update: Update { kind: UpdateKind::Status(mut s), .. }, .. } =
        status("wamid.new", 1, Status::Sent, 5)
    else {
        unreachable!()
    };
    s.opaque = Some(id.to_string());
    let changes = model.take(&[at(UpdateKind::Status(s))]);
    assert_eq!(changes.settled.len(), 1);
    let head = &model.messages[&id].0;
    assert_eq!((head.phase, head.wamid.as_ref().map(Wamid::as_str)), (Phase::Accepted, Some("wamid.new")));
}

#[test]
fn files_are_fetched_by_jobs_once() {
    let mut model = Model::default();
    let media =
        MediaRef { id: "9".into(), mime_type: None, sha256: None, filename: None, voice: false, animated: false };
    let photo = message(InboundMessage { kind: "image".into(), media: Some(media), ..plain("m1", 1, 1) });
    model.take(&[photo.clone(), photo.clone()]);
    model.take(&[photo]);
    assert_eq!(model.jobs, 1);
}

#[test]
fn what_is_not_understood_is_kept() {
    let mut model = Model::default();
    let unknown = crate::inbound::Unknown { reason: "new field".into(), raw: "{\"x\":1}".into() };
    model.take(&[at(UpdateKind::Unknown(unknown.clone())), at(UpdateKind::Unknown(unknown))]);
    assert_eq!(model.events.iter().filter(|e| e.kind == EventKind::Unrecognised).count(), 1);
    let mut elsewhere = text("m1", 1, 1);
    elsewhere.update.number = Some("999".into());
    model.take(&[elsewhere]);
    assert_eq!(model.messages.len(), 1, "a message to an unknown number is kept");
    assert_eq!(model.events.iter().filter(|e| e.kind == EventKind::Unrecognised).count(), 2, "and pointed out");
}

#[test]
fn a_restriction_holds_the_numbers_of_the_account() {
    struct TwoNumbers;
    impl Directory for TwoNumbers {
        fn portfolio(&self, waba_id: &str) -> String {
            waba_id.into()
        }
        fn knows(&self, _: &NumberId) -> bool {
            true
        }
        fn numbers_of(&self, waba_id: &str) -> Vec<NumberId> {
            if waba_id == "1" { vec!["100".into(), "101".into()] } else { Vec::new() }
        }
    }
    let raw = r#"{"event":"ACCOUNT_RESTRICTION","restriction_info":[
        {"restriction_type":"RESTRICTED_BIZ_INITIATED_MESSAGING","expiration":5000},
        {"restriction_type":"RESTRICTED_ADD_PHONE_NUMBER_ACTION","expiration":9000}]}"#;
    let notice = crate::inbound::AccountNotice { event: Some("ACCOUNT_RESTRICTION".into()), raw: raw.into() };
    let mut update = at(UpdateKind::Account(notice));
    update.update.field = "account_update".into();
    let ids = Counting::default();
    let context = Context {
        now: 1_000_000,
        ids: &ids,
        directory: &TwoNumbers,
        consent: &ConsentSettings::default(),
        reach: reach::Settings::default(),
    };
    let changes = fold(Snapshot::default(), &[update], &context);
    let expected: Vec<_> = ["restricted/100", "restricted/101"].map(|s| (s.to_owned(), 5_000_000)).into();
    assert_eq!(changes.restrictions, expected);
}

#[test]
fn a_stop_that_whatsapp_tells_by_an_error_is_in_the_ledger_once() {
    let mut model = Model::default();
    model.take(&[text("a", 1, 10), echo("b", 1, 20)]);
    let mut failed = status("b", 1, Status::Failed, 30);
    if let UpdateKind::Status(s) = &mut failed.update.kind {
        s.errors = vec![NoticeError { code: 131_050, title: "stopped".into(), details: None }];
    }
    model.take(&[failed.clone()]);
    model.take(&[failed]);
    let words: Vec<_> = model.entries.values().map(|e| (e.action, e.source)).collect();
    assert_eq!(words, [(crate::consent::Action::Withdrawn, crate::consent::Source::Preference)]);
    assert!(model.thanks.is_empty(), "WhatsApp has told them");
}

#[test]
fn what_is_said_in_a_group_or_by_the_business_withdraws_nothing() {
    let mut model = Model::default();
    let stop = |wamid: &str| InboundMessage { text: Some("STOP".into()), ..plain(wamid, 1, 10) };
    let in_group = InboundMessage { group_id: Some("g".into()), ..stop("a") };
    model.take(&[
        message(in_group),
        at(UpdateKind::Echo(Box::new(stop("b")))),
        at(UpdateKind::History(Box::new(stop("c")))),
    ]);
    assert!(model.entries.is_empty());
    model.take(&[message(stop("d"))]);
    assert_eq!((model.entries.len(), model.thanks.len()), (1, 1));
}

#[test]
fn a_person_who_can_not_be_reached_is_labelled_and_a_message_takes_the_label_away() {
    let mut model = Model::default();
    model.take(&[text("a", 1, 10_000), echo("b", 1, 20_000)]);
    model.take(&[status("b", 1, Status::Failed, 30_000)]);
    let marked = |model: &Model| model.people.values().next().unwrap().unreachable;
    assert_eq!(marked(&model), Unreachable::Found);
    model.take(&[status("b", 1, Status::Failed, 30_000), text("late", 1, 25_000)]);
    assert_eq!(marked(&model), Unreachable::Found, "what was said before the failure says nothing");
    let hidden = Party { wa_id: None, ..person(1) };
    model.take(&[message(InboundMessage { party: hidden, ..plain("c", 1, 40_000) })]);
    assert_eq!(marked(&model), Unreachable::No, "also from somebody who hides their number");
    let told = |kind| model.events.iter().filter(|e| e.kind == kind).count();
    assert_eq!((told(EventKind::LineDead), told(EventKind::LineAlive)), (1, 1));
}

#[test]
fn a_delivered_message_takes_the_label_away() {
    let mut model = Model::default();
    model.take(&[
        text("a", 1, 10_000),
        echo("b", 1, 20_000),
        echo("c", 1, 21_000),
        status("b", 1, Status::Failed, 30_000),
    ]);
    model.take(&[status("c", 1, Status::Delivered, 31_000)]);
    assert_eq!(model.people.values().next().unwrap().unreachable, Unreachable::No);
}
