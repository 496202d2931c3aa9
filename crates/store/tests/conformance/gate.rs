//! The gate's transaction: all or nothing, and the same key twice is one message.

use crate::support::{NUMBER, T0, W, World, number, text, wa_id};
use ponte_domain::error::StoreError;
use ponte_domain::job::{Class, JobKind, NewJob};
use ponte_domain::ports::store::{Admission, AdmitKey, AdmitView, Answer, Store};
use ponte_testkit::both_engines;
use std::sync::{Arc, Mutex};

both_engines!(the_same_key_twice_is_one_message, |db| async move {
    let world = World::open(&db).await;
    let asked = [("5511999990001".to_owned(), Class::Reply, Some("order-7".to_owned()))];
    let first = world.queue_many(&asked, T0).await;
    let second = world.queue_many(&asked, T0 + 5).await;
    let (Answer::Queued { message: a, again: false, .. }, Answer::Queued { message: b, again: true, .. }) =
        (&first[0], &second[0])
    else {
        panic!("{first:?} {second:?}")
    };
    assert_eq!(a, b);
    let overview = world.store.overview(W, T0).await.unwrap();
    assert_eq!((overview.people, overview.jobs), (1, vec![("send".to_owned(), 1)]));
});

both_engines!(callers_side_by_side_with_one_key_get_one_message, |db| async move {
    let world = World::open(&db).await;
    let calls = (0..8).map(|_| {
        let world = world.clone();
        tokio::spawn(async move {
            let asked = [("5511999990001".to_owned(), Class::Reply, Some("order-7".to_owned()))];
            match world.queue_many(&asked, T0).await.remove(0) {
                Answer::Queued { message, again, .. } => (message, again),
                other => panic!("{other:?}"),
            }
        })
    });
    let mut answers = Vec::new();
    for call in calls.collect::<Vec<_>>() {
        answers.push(call.await.unwrap());
    }
    assert_eq!(answers.iter().filter(|(_, again)| !again).count(), 1);
    assert!(answers.iter().all(|(id, _)| *id == answers[0].0), "{answers:?}");
    assert_eq!(world.store.overview(W, T0).await.unwrap().jobs, vec![("send".to_owned(), 1)]);
});

both_engines!(newcomers_side_by_side_are_one_person, |db| async move {
    let world = World::open(&db).await;
    let calls = (0..12).map(|i| {
        let world = world.clone();
        tokio::spawn(async move {
            if i % 2 == 0 {
                world.queue("5511999990001", Class::Reply).await;
            } else {
                world.ingest(&[text("5511999990001", &format!("wamid.{i}"), T0 + i)]).await;
            }
        })
    });
    for call in calls.collect::<Vec<_>>() {
        call.await.unwrap();
    }
    let overview = world.store.overview(W, T0).await.unwrap();
    assert_eq!((overview.people, overview.conversations), (1, 1));
    assert_eq!(world.store.messages(W, None, 100, None).await.unwrap().len(), 12);
});

both_engines!(the_view_shows_what_is_stored, |db| async move {
    let world = World::open(&db).await;
    world.ingest(&[text("5511999990001", "wamid.1", T0 - 50)]).await;
    world.store.hold(W, &format!("restricted/{NUMBER}"), T0 + 9_000).await.unwrap();
    let seen: Arc<Mutex<Vec<AdmitView>>> = Arc::default();
    let keys = vec![
        AdmitKey {
            number: number(),
            identities: vec![wa_id("5511999990001")],
            person: None,
            idempotency_key: None,
            class: Class::Marketing,
        },
        AdmitKey {
            number: number(),
            identities: vec![wa_id("4712345678")],
            person: None,
            idempotency_key: None,
            class: Class::Marketing,
        },
    ];
    let keep = Arc::clone(&seen);
    let decide = Arc::new(move |views: Vec<AdmitView>| {
        *keep.lock().unwrap() = views.clone();
        views.iter().map(|_| Admission { answer: Some(Answer::Filed), ..Admission::default() }).collect()
    });
    assert_eq!(world.store.admit(W, T0, keys, decide).await.unwrap(), [Answer::Filed, Answer::Filed]);
    let seen = seen.lock().unwrap();
    assert_eq!(seen[0].person.as_ref().unwrap().name.as_deref(), Some("name of 5511999990001"));
    assert_eq!(seen[0].identities, [wa_id("5511999990001")]);
    assert_eq!(seen[0].conversation.as_ref().unwrap().last_inbound_at, Some(T0 - 50));
    assert_eq!(seen[0].number_blocked_until, Some(T0 + 9_000));
    assert!(seen[1].person.is_none() && seen[1].conversation.is_none() && seen[1].identities.is_empty());
});

both_engines!(all_or_nothing, |db| async move {
    let world = World::open(&db).await;
    let id = world.queue("5511999990001", Class::Reply).await;
    // A second message under an identifier that is taken can't be stored: its companions must not be either.
    let stored = world.store.message(W, id).await.unwrap().unwrap();
    let clash = world.clone();
    let keys = vec![
        AdmitKey {
            number: number(),
            identities: vec![],
            person: Some(stored.person_id),
            idempotency_key: None,
            class: Class::Marketing
        };
        2
    ];
    let decide = Arc::new(move |_: Vec<AdmitView>| {
        let job = |payload: &str| NewJob {
            kind: JobKind::Send,
            lane: format!("{NUMBER}/receipts"),
            scope: NUMBER.into(),
            priority: 0,
            not_before: T0,
            payload: payload.into(),
            dedup: None,
        };
        let bad = crate::support::person(stored.person_id, T0);
        let _ = &clash;
        vec![
            Admission { job: Some(job("{}")), answer: Some(Answer::Filed), ..Admission::default() },
            Admission { new_person: Some(bad), answer: Some(Answer::Filed), ..Admission::default() },
        ]
    });
    let refused = world.store.admit(W, T0, keys, decide).await;
    assert!(matches!(refused, Err(StoreError::Refused(_))), "{refused:?}");
    assert_eq!(world.store.overview(W, T0).await.unwrap().jobs, vec![("send".to_owned(), 1)]);
});

both_engines!(a_receipt_keeps_the_time_it_was_filed_at, |db| async move {
    let world = World::open(&db).await;
    let keys = vec![AdmitKey {
        number: number(),
        identities: vec![],
        person: None,
        idempotency_key: None,
        class: Class::Marketing,
    }];
    let decide = Arc::new(move |_: Vec<AdmitView>| {
        let job = NewJob {
            kind: JobKind::Send,
            lane: format!("{NUMBER}/receipts"),
            scope: NUMBER.into(),
            priority: 0,
            not_before: T0,
            payload: "{}".into(),
            dedup: None,
        };
        vec![Admission { job: Some(job), answer: Some(Answer::Filed), ..Admission::default() }]
    });
    world.store.admit(W, T0, keys, decide).await.unwrap();
    let claimed = world.claim(T0).await;
    assert_eq!(claimed.tasks[0].job.created_at, T0, "retries give up by this time");
});
