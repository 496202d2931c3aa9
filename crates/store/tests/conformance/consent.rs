//! The consent ledger: words are kept once, what stands follows from all of them, and gate and claim see it.

use crate::support::{T0, W, World, accepted, inbound, message, number, update, wa_id};
use crate::support::{by_wa_id, text};
use ponte_domain::consent::{Action, Entry, OpenRequest, Proof, Scope, ScopeKind, ScopeOf, Source, entry_id, fold};
use ponte_domain::ids::{ConsentId, PersonId};
use ponte_domain::inbound::{Preference, Update, UpdateKind};
use ponte_domain::job::Class;
use ponte_domain::policy::Recent;
use ponte_domain::ports::store::{Admission, AdmitKey, AdmitView, Answer, ConsentDone, PolicyView, SendWhat, Store};
use ponte_domain::{DAY, HOUR, Millis};
use ponte_testkit::both_engines;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

const ANA: &str = "5511999990001";
const BEA: &str = "5511999990002";

fn word(person: PersonId, action: Action, at: Millis) -> Entry {
    Entry {
        id: entry_id(&[&person.to_string(), action.as_str(), &at.to_string()]),
        person,
        scope: Scope::MARKETING,
        action,
        source: Source::Agent,
        proof: Proof { note: Some("signed form".into()), ..Proof::default() },
        at,
        until: None,
        said_by: "agent:test".into(),
    }
}

fn said(from: &str, words: &str, wamid: &str, at: Millis) -> Update {
    let mut m = message(by_wa_id(from), wamid, at);
    m.text = Some(words.into());
    inbound(m)
}

async fn person(world: &World, digits: &str) -> PersonId {
    world.store.person_by(W, &[wa_id(digits)]).await.unwrap().expect("known")
}

async fn word_of(world: &World, person: PersonId) -> &'static str {
    let file = world.store.consent_of(W, person).await.unwrap().expect("known");
    assert_eq!(file.standings, fold(&file.entries), "what is kept is what follows from the words");
    file.standings.on(ScopeKind::Marketing, &number(), None).word()
}

/// Asks for consent in the gate's transaction, as the engine does.
async fn asked(world: &World, who: PersonId, id: u128, scope: Scope) -> ConsentId {
    let id = ConsentId(uuid::Uuid::from_u128(id));
    let until = T0 + 72 * HOUR;
    let entry = Entry {
        id,
        scope: scope.clone(),
        source: Source::System,
        proof: Proof { text_shown: Some("May we?".into()), ..Proof::default() },
        until: Some(until),
        ..word(who, Action::Requested, T0)
    };
    let request = OpenRequest {
        id,
        person: who,
        scope,
        number: number(),
        asked_at: T0,
        remind_at: Some(T0 + DAY),
        expires_at: until,
        message: "{}".into(),
    };
    let decide = Arc::new(move |_: Vec<AdmitView>| {
        let asked = Some((entry.clone(), request.clone()));
        vec![Admission { asked, answer: Some(Answer::Filed), ..Admission::default() }]
    });
    world.store.admit(W, T0, vec![key(ANA, Class::Transactional)], decide).await.unwrap();
    id
}

fn key(digits: &str, class: Class) -> AdmitKey {
    AdmitKey { number: number(), identities: vec![wa_id(digits)], person: None, idempotency_key: None, class }
}

/// What the gate would see of each.
async fn seen(world: &World, now: Millis, keys: Vec<AdmitKey>) -> Vec<PolicyView> {
    let kept: Arc<Mutex<Vec<PolicyView>>> = Arc::default();
    let keep = Arc::clone(&kept);
    let decide = Arc::new(move |views: Vec<AdmitView>| {
        *keep.lock().unwrap() = views.iter().map(|v| v.policy.clone()).collect();
        views.iter().map(|_| Admission::default()).collect()
    });
    assert_eq!(world.store.admit(W, now, keys, decide).await.unwrap(), []);
    kept.lock().unwrap().clone()
}

both_engines!(a_word_is_kept_once_and_what_stands_follows, |db| async move {
    let world = World::open(&db).await;
    world.ingest(&[text(ANA, "wamid.1", T0)]).await;
    let ana = person(&world, ANA).await;
    assert_eq!(word_of(&world, ana).await, "none");
    let yes = word(ana, Action::Confirmed, T0 + 1);
    assert_eq!(world.store.consent_record(W, vec![yes.clone()], vec![]).await.unwrap(), 1);
    assert_eq!(world.store.consent_record(W, vec![yes.clone()], vec![]).await.unwrap(), 0);
    assert_eq!(word_of(&world, ana).await, "confirmed");
    let no = word(ana, Action::Withdrawn, T0 + 2);
    assert_eq!(world.store.consent_record(W, vec![no, yes], vec![]).await.unwrap(), 1);
    assert_eq!(word_of(&world, ana).await, "withdrawn");
    let file = world.store.consent_of(W, ana).await.unwrap().unwrap();
    let actions: Vec<Action> = file.entries.iter().map(|e| e.action).collect();
    assert_eq!(actions, [Action::Confirmed, Action::Withdrawn], "oldest first");
    assert_eq!(world.store.consent_of(W, PersonId(uuid::Uuid::nil())).await.unwrap(), None);
});

both_engines!(a_stop_word_is_an_entry_and_owes_one_acknowledgement, |db| async move {
    let world = World::open(&db).await;
    world.ingest(&[said(ANA, "STOP", "wamid.1", T0), said(ANA, "please stop", "wamid.2", T0 + 5)]).await;
    let ana = person(&world, ANA).await;
    assert_eq!(word_of(&world, ana).await, "withdrawn");
    // Read again, and said once more: no second acknowledgement, and nothing twice in the ledger.
    world.ingest(&[said(ANA, "STOP", "wamid.1", T0)]).await;
    world.ingest(&[said(ANA, "sair", "wamid.3", T0 + 9)]).await;
    let due = world.store.consent_due(W, T0 + 10, 10).await.unwrap();
    assert_eq!(due.thanks.iter().map(|t| (t.person, t.language.as_str())).collect::<Vec<_>>(), [(ana, "en")]);
    assert_eq!(world.store.consent_of(W, ana).await.unwrap().unwrap().entries.len(), 3);
    let done = ConsentDone { thanked: due.thanks.iter().map(|t| t.id).collect(), ..ConsentDone::default() };
    world.store.consent_settle(W, done).await.unwrap();
    assert!(world.store.consent_due(W, T0 + 10, 10).await.unwrap().thanks.is_empty());
    assert_eq!(world.kinds().await.iter().filter(|k| *k == "consent.changed").count(), 3);
});

both_engines!(whatsapps_own_stop_is_an_entry_without_acknowledgement, |db| async move {
    let world = World::open(&db).await;
    let preference = |value: &str, at| {
        let p = Preference {
            party: by_wa_id(ANA),
            category: "marketing_messages".into(),
            value: value.into(),
            at,
            raw: "{}".into(),
        };
        update(at, UpdateKind::Preference(p))
    };
    world.ingest(&[text(ANA, "wamid.1", T0)]).await;
    let ana = person(&world, ANA).await;
    world.store.consent_record(W, vec![word(ana, Action::Confirmed, T0)], vec![]).await.unwrap();
    world.ingest(&[preference("stop", T0 + 5), preference("stop", T0 + 5)]).await;
    assert_eq!(word_of(&world, ana).await, "withdrawn");
    assert!(world.store.consent_due(W, T0 + 10, 10).await.unwrap().thanks.is_empty());
    // Within one second of WhatsApp's clock the stop wins.
    world.ingest(&[preference("resume", T0 + 7)]).await;
    assert_eq!(word_of(&world, ana).await, "withdrawn");
    world.ingest(&[preference("resume", T0 + 2_000)]).await;
    assert_eq!(word_of(&world, ana).await, "confirmed");
});

both_engines!(an_answer_closes_the_question_and_confirms, |db| async move {
    let world = World::open(&db).await;
    world.ingest(&[text(ANA, "wamid.1", T0)]).await;
    let ana = person(&world, ANA).await;
    world.ingest(&[said(ANA, "yes", "wamid.2", T0 + 1)]).await;
    assert_eq!(word_of(&world, ana).await, "none", "nobody asked");
    let scope = Scope { kind: ScopeKind::Marketing, of: ScopeOf::Number(number()) };
    asked(&world, ana, 1, scope.clone()).await;
    asked(&world, ana, 2, scope).await;
    let open = world.store.consent_of(W, ana).await.unwrap().unwrap().open;
    assert_eq!(open.len(), 1, "a second question of the same scope replaces the first");
    world.ingest(&[said(ANA, "Yes!", "wamid.3", T0 + 2)]).await;
    assert_eq!(word_of(&world, ana).await, "confirmed");
    let file = world.store.consent_of(W, ana).await.unwrap().unwrap();
    assert!(file.open.is_empty());
    assert_eq!(file.standings.on(ScopeKind::Marketing, &"another".into(), None).word(), "none");
});

both_engines!(a_question_is_due_once_for_a_reminder_and_once_to_run_out, |db| async move {
    let world = World::open(&db).await;
    world.ingest(&[text(ANA, "wamid.1", T0)]).await;
    let ana = person(&world, ANA).await;
    let id = asked(&world, ana, 1, Scope::MARKETING).await;
    assert!(world.store.consent_due(W, T0 + DAY - 1, 10).await.unwrap().reminders.is_empty());
    let due = world.store.consent_due(W, T0 + DAY, 10).await.unwrap();
    assert_eq!((due.reminders.len(), due.expired.len()), (1, 0));
    world.store.consent_settle(W, ConsentDone { reminded: vec![id], ..ConsentDone::default() }).await.unwrap();
    assert!(world.store.consent_due(W, T0 + 2 * DAY, 10).await.unwrap().reminders.is_empty());
    let due = world.store.consent_due(W, T0 + 3 * DAY, 10).await.unwrap();
    assert_eq!((due.reminders.len(), due.expired.len()), (0, 1));
    world.store.consent_settle(W, ConsentDone { expired: vec![id], ..ConsentDone::default() }).await.unwrap();
    assert!(world.store.consent_of(W, ana).await.unwrap().unwrap().open.is_empty());
});

both_engines!(a_no_stated_by_others_closes_the_question_too, |db| async move {
    let world = World::open(&db).await;
    world.ingest(&[text(ANA, "wamid.1", T0)]).await;
    let ana = person(&world, ANA).await;
    asked(&world, ana, 1, Scope::MARKETING).await;
    world.store.consent_record(W, vec![word(ana, Action::Withdrawn, T0 + 1)], vec![]).await.unwrap();
    assert!(world.store.consent_of(W, ana).await.unwrap().unwrap().open.is_empty());
});

both_engines!(a_claim_sees_a_withdrawal_that_came_after_the_gate, |db| async move {
    let world = World::open(&db).await;
    let campaign = world.queue(ANA, Class::Marketing).await;
    let ana = person(&world, ANA).await;
    world.store.consent_record(W, vec![word(ana, Action::Confirmed, T0)], vec![]).await.unwrap();
    world.ingest(&[said(ANA, "STOP", "wamid.1", T0 + 5)]).await;
    let claimed = world.claim(T0 + 6).await;
    let SendWhat::Message(m) = &claimed.tasks[0].what else { panic!("{claimed:?}") };
    assert_eq!(m.head.id, campaign);
    assert!(m.policy.standings.on(ScopeKind::Marketing, &number(), None).is_withdrawn());
    assert!(m.policy.contacted, "Ana wrote");
});

both_engines!(the_policy_is_told_of_earlier_contact_and_marketing, |db| async move {
    let world = World::open(&db).await;
    let first = world.queue(ANA, Class::Marketing).await;
    let second = world.queue(ANA, Class::Marketing).await;
    world.ingest(&[text(BEA, "wamid.b", T0)]).await;
    let keys = || vec![key(ANA, Class::Marketing), key(BEA, Class::Marketing), key(ANA, Class::Reply)];
    let views = seen(&world, T0, keys()).await;
    assert!(!views[0].contacted && views[1].contacted && views[2].contacted);
    assert_eq!(views[0].recent, Recent { day: 2, week: 2 }, "those on their way count for one more");
    assert_eq!((views[1].recent, views[2].recent), (Recent::default(), Recent::default()));
    let claimed = world.claim(T0).await;
    let SendWhat::Message(m) = &claimed.tasks[0].what else { panic!("{claimed:?}") };
    assert_eq!((m.head.id, m.policy.recent), (first, Recent::default()), "each goes in its turn");
    world.settle(T0, &claimed.tasks[0], accepted("wamid.a")).await;
    let claimed = world.claim(T0 + 1).await;
    let SendWhat::Message(m) = &claimed.tasks[0].what else { panic!("{claimed:?}") };
    assert_eq!((m.head.id, m.policy.recent, m.policy.contacted), (second, Recent { day: 1, week: 1 }, true));
    let views = seen(&world, T0 + DAY + 1, keys()).await;
    assert_eq!(views[0].recent, Recent { day: 1, week: 2 }, "the one under way, and the one of yesterday");
});

both_engines!(writers_side_by_side_lose_no_word, |db| async move {
    let world = World::open(&db).await;
    world.ingest(&[text(ANA, "wamid.1", T0)]).await;
    let ana = person(&world, ANA).await;
    let writers = (0..12).map(|i| {
        let world = world.clone();
        tokio::spawn(async move {
            if i % 3 == 0 {
                world.ingest(&[said(ANA, "stop", &format!("wamid.s{i}"), T0 + i - 1_000)]).await;
            } else {
                world.store.consent_record(W, vec![word(ana, Action::Confirmed, T0 + i)], vec![]).await.unwrap();
            }
        })
    });
    for writer in writers.collect::<Vec<_>>() {
        writer.await.unwrap();
    }
    assert_eq!(word_of(&world, ana).await, "confirmed", "the last word was a yes");
    let all = world.store.consent_of(W, ana).await.unwrap().unwrap().entries;
    assert_eq!(all.len(), 12);
    let mut exported = Vec::new();
    while let Some(page) = Some(world.store.consent_export(W, exported.last().map(|e: &Entry| e.id), 5).await.unwrap())
        .filter(|p| !p.is_empty())
    {
        exported.extend(page);
    }
    assert_eq!(exported.len(), 12);
});

both_engines!(what_the_policy_asks_costs_the_same_however_much_is_stored, |db| async move {
    let world = World::open(&db).await;
    let strangers = |from: u32, to: u32| (from..to).map(|i| (format!("49151{i:08}"), Class::Marketing, None));
    let fill = async |from: u32, to: u32| {
        for chunk in strangers(from, to).collect::<Vec<_>>().chunks(500) {
            world.queue_many(chunk, T0).await;
        }
    };
    let best = async || {
        let mut times = Vec::new();
        for _ in 0..9 {
            let keys = strangers(0, 50).map(|(digits, ..)| key(&digits, Class::Marketing)).collect();
            let begun = Instant::now();
            assert_eq!(seen(&world, T0, keys).await.len(), 50);
            times.push(begun.elapsed());
        }
        times.into_iter().min().unwrap()
    };
    fill(0, 200).await;
    let few = best().await;
    fill(200, 8_000).await;
    let many = best().await;
    println!("50 looks: {few:?} of 200 messages, {many:?} of 8,000");
    assert!(many < few * 5 + Duration::from_millis(10), "{few:?} of 200 messages, {many:?} of 8,000");
});
