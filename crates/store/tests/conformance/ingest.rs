//! Ingest: what the fold decides is stored whole, and reading it again changes nothing.

use crate::support::{
    LEASE, Raw, T0, W, World, by_user_id, by_wa_id, inbound, message, number, open_as, status, text, update,
};
use ponte_domain::conversation::Keys;
use ponte_domain::error::StoreError;
use ponte_domain::identity::Party;
use ponte_domain::inbound::{AccountNotice, Edit, MediaRef, Preference, Reaction, SystemChange, Unknown, UpdateKind};
use ponte_domain::job::{Class, JobKind};
use ponte_domain::message::Phase;
use ponte_domain::ports::store::Store;
use ponte_domain::status::Status;
use ponte_testkit::both_engines;
use std::sync::Arc;

const ANA: &str = "5511999990001";

both_engines!(a_person_writes_and_writes_again, |db| async move {
    let world = World::open(&db).await;
    let first = world.ingest(&[text(ANA, "wamid.1", T0)]).await;
    assert_eq!((first.messages, first.changed, first.events), (1, 0, 2));
    world.ingest(&[text(ANA, "wamid.2", T0 + 1)]).await;
    let overview = world.store.overview(W, T0).await.unwrap();
    assert_eq!((overview.people, overview.conversations), (1, 1));
    let messages = world.store.messages(W, None, 10, None).await.unwrap();
    assert_eq!(messages.iter().filter_map(|m| m.wamid.as_deref()).collect::<Vec<_>>(), ["wamid.2", "wamid.1"]);
    assert_eq!(messages[1].text.as_deref(), Some("text of wamid.1"));
    assert_eq!(messages[1].content.get(), r#"{"id":"wamid.1"}"#);
    let older = world.store.messages(W, Some(messages[0].conversation_id), 10, Some(messages[0].id)).await.unwrap();
    assert_eq!(older.len(), 1);
});

both_engines!(the_same_updates_again_change_nothing, |db| async move {
    let world = World::open(&db).await;
    let mut reaction = message(by_wa_id(ANA), "wamid.2", T0 + 2);
    reaction.reaction = Some(Reaction { target: "wamid.1".to_owned().into(), emoji: Some("👍".into()) });
    let mut edit = message(by_wa_id(ANA), "wamid.3", T0 + 3);
    edit.edit = Some(Edit { target: "wamid.1".to_owned().into(), text: Some("new".into()), raw: "{}".into() });
    let preference = Preference {
        party: by_wa_id(ANA),
        category: "marketing_messages".into(),
        value: "stop".into(),
        at: T0 + 4,
        raw: "{}".into(),
    };
    let all = [
        text(ANA, "wamid.1", T0),
        inbound(reaction),
        inbound(edit),
        status("wamid.9", Status::Delivered, T0 + 5, ANA, None),
        update(T0 + 4, UpdateKind::Preference(preference)),
        update(T0 + 6, UpdateKind::Account(AccountNotice { event: Some("E".into()), raw: "{\"a\":1}".into() })),
        update(T0 + 6, UpdateKind::Unknown(Unknown { reason: "no idea".into(), raw: "{\"b\":1}".into() })),
    ];
    world.ingest(&all).await;
    let (kinds, messages) = (world.kinds().await, world.store.messages(W, None, 10, None).await.unwrap().len());
    assert_eq!(world.store.overview(W, T0).await.unwrap().unrecognised, 1);
    for again in [&all[..], &all[2..], &all[..3], &all[3..]] {
        let counts = world.ingest_at(T0 + 60_000, again).await;
        assert_eq!((counts.messages, counts.changed), (0, 0));
    }
    assert_eq!(world.kinds().await, kinds, "no second event");
    assert_eq!(world.store.messages(W, None, 10, None).await.unwrap().len(), messages);
});

both_engines!(a_username_user_without_a_phone_is_a_person_and_the_phone_comes_later, |db| async move {
    let world = World::open(&db).await;
    world.ingest(&[inbound(message(by_user_id("BR.1"), "wamid.1", T0))]).await;
    let both = Party { wa_id: Some(ANA.into()), ..by_user_id("BR.1") };
    world.ingest(&[inbound(message(both, "wamid.2", T0 + 1))]).await;
    world.ingest(&[text(ANA, "wamid.3", T0 + 2)]).await;
    let mut shared = message(by_user_id("BR.1"), "wamid.4", T0 + 3);
    shared.shared_phone = Some("5511888880001".into());
    world.ingest(&[inbound(shared)]).await;
    let overview = world.store.overview(W, T0).await.unwrap();
    assert_eq!((overview.people, overview.conversations), (1, 1));
    let found = Raw::open(&db).await.texts("SELECT kind || ' ' || scope || ' ' || value FROM identity").await;
    assert_eq!(found, ["phone  5511888880001", "user_id portfolio BR.1", &format!("wa_id  {ANA}")]);
});

both_engines!(a_change_of_number_moves_the_identifier_and_keeps_the_past, |db| async move {
    let world = World::open(&db).await;
    world.ingest(&[text(ANA, "wamid.1", T0), text("5511999990002", "wamid.2", T0)]).await;
    let mut change = message(by_wa_id(ANA), "wamid.3", T0 + 1);
    change.kind = "system".into();
    change.opens_window = false;
    change.system = Some(SystemChange {
        kind: "user_changed_number".into(),
        wa_id: Some("5511999990002".into()),
        user_id: None,
        previous_user_id: None,
    });
    world.ingest(&[inbound(change.clone())]).await;
    world.ingest(&[inbound(change)]).await;
    let mut raw = Raw::open(&db).await;
    let owners = raw.texts("SELECT CAST(COUNT(DISTINCT person_id) AS TEXT) FROM identity").await;
    assert_eq!(owners, ["1"], "the new number is Ana's");
    assert_eq!(raw.texts("SELECT value FROM identity WHERE kind = 'wa_id'").await, ["5511999990002"]);
    assert_eq!(raw.texts("SELECT value FROM identity_past").await, [ANA, "5511999990002"]);
    world.ingest(&[text("5511999990002", "wamid.4", T0 + 2)]).await;
    assert_eq!(world.store.overview(W, T0).await.unwrap().people, 2);
    world.ingest(&[text(ANA, "wamid.5", T0 + 3)]).await;
    assert_eq!(world.store.overview(W, T0).await.unwrap().people, 3, "whoever has the old number now is someone else");
});

both_engines!(statuses_that_come_first_wait_and_are_adopted, |db| async move {
    let world = World::open(&db).await;
    let id = world.queue(ANA, Class::Reply).await;
    let early = [
        status("wamid.out", Status::Delivered, T0 + 20, ANA, None),
        status("wamid.out", Status::Sent, T0 + 10, ANA, None),
    ];
    world.ingest(&early).await;
    assert_eq!(world.kinds().await.iter().filter(|k| *k == "status.unmatched").count(), 2);
    let task = world.claim(T0).await.tasks.remove(0);
    world.settle(T0 + 30, &task, crate::support::accepted("wamid.out")).await;
    let seen = world.store.message(W, id).await.unwrap().unwrap();
    assert_eq!((seen.state, seen.stamps.sent, seen.stamps.delivered), ("delivered", Some(T0 + 10), Some(T0 + 20)));
    assert!(Raw::open(&db).await.texts("SELECT wamid FROM orphan").await.is_empty());
});

both_engines!(an_edit_and_a_deletion_that_come_first_wait_too, |db| async move {
    let world = World::open(&db).await;
    let mut edit = message(by_wa_id(ANA), "wamid.2", T0 + 1);
    edit.edit = Some(Edit {
        target: "wamid.1".to_owned().into(),
        text: Some("as it should be".into()),
        raw: "{\"v\":2}".into(),
    });
    let mut revoke = message(by_wa_id(ANA), "wamid.3", T0 + 2);
    revoke.revoke = Some("wamid.1".to_owned().into());
    world.ingest(&[inbound(edit), inbound(revoke)]).await;
    world.ingest(&[text(ANA, "wamid.1", T0)]).await;
    let all = world.store.messages(W, None, 10, None).await.unwrap();
    let first = all.iter().find(|m| m.wamid.as_deref() == Some("wamid.1")).unwrap();
    assert_eq!((first.text.as_deref(), first.content.get()), (Some("as it should be"), "{\"v\":2}"));
    assert_eq!((first.edited_at, first.withdrawn_at), (Some(T0 + 1), Some(T0 + 2)));
});

both_engines!(edits_and_reactions_newest_wins, |db| async move {
    let world = World::open(&db).await;
    world.ingest(&[text(ANA, "wamid.1", T0)]).await;
    for (n, at, words) in [(2, T0 + 20, "second"), (3, T0 + 10, "first")] {
        let mut edit = message(by_wa_id(ANA), &format!("wamid.{n}"), at);
        edit.edit = Some(Edit { target: "wamid.1".to_owned().into(), text: Some(words.into()), raw: "{}".into() });
        world.ingest(&[inbound(edit)]).await;
    }
    for (n, at, emoji) in [(4, T0 + 1, Some("👍")), (5, T0 + 9, None), (6, T0 + 5, Some("❤"))] {
        let mut reaction = message(by_wa_id(ANA), &format!("wamid.{n}"), at);
        let target = "wamid.1".to_owned().into();
        reaction.reaction = Some(Reaction { target, emoji: emoji.map(Into::into) });
        reaction.opens_window = false;
        world.ingest(&[inbound(reaction)]).await;
    }
    let all = world.store.messages(W, None, 10, None).await.unwrap();
    let first = all.iter().find(|m| m.wamid.as_deref() == Some("wamid.1")).unwrap();
    assert_eq!((first.text.as_deref(), first.edited_at), (Some("second"), Some(T0 + 20)));
    let kept = Raw::open(&db).await.texts("SELECT COALESCE(emoji, 'none') FROM reaction").await;
    assert_eq!(kept, ["none"], "taken back at the latest time");
});

both_engines!(a_status_with_our_id_settles_a_send_of_unknown_outcome, |db| async move {
    let world = World::open(&db).await;
    let id = world.queue(ANA, Class::Reply).await;
    let task = world.claim(T0).await.tasks.remove(0);
    assert_eq!(world.phase(id).await, Phase::Sending);
    world.ingest(&[status("wamid.out", Status::Sent, T0 + 5, ANA, Some(id.to_string()))]).await;
    let seen = world.store.message(W, id).await.unwrap().unwrap();
    assert_eq!((seen.phase, seen.state, seen.wamid.as_deref()), (Phase::Accepted, "sent", Some("wamid.out")));
    // The call that timed out meanwhile must not lead to a second one.
    let late = crate::support::failure("timeout");
    world.settle(T0 + 6, &task, ponte_domain::ports::store::SendEnd::Unknown(T0 + 7, late)).await;
    assert_eq!(world.phase(id).await, Phase::Accepted);
    let found = world.claim(T0 + 10).await.tasks.remove(0);
    assert!(found.job.begun);
    world.settle(T0 + 11, &found, ponte_domain::ports::store::SendEnd::AlreadyAccepted).await;
    assert!(world.store.overview(W, T0).await.unwrap().jobs.is_empty());
});

both_engines!(a_status_voids_a_dead_letter, |db| async move {
    let world = World::open(&db).await;
    let id = world.queue(ANA, Class::Reply).await;
    let task = world.claim(T0).await.tasks.remove(0);
    let end = ponte_domain::ports::store::SendEnd::Dead(crate::support::failure("timeout"));
    world.settle(T0 + 1, &task, end).await;
    assert_eq!(world.store.dead_letters(W, 10).await.unwrap().len(), 1);
    world.ingest(&[status("wamid.out", Status::Delivered, T0 + 5, ANA, Some(id.to_string()))]).await;
    assert!(world.store.dead_letters(W, 10).await.unwrap().is_empty());
    assert_eq!(world.phase(id).await, Phase::Accepted);
    assert_eq!(world.store.retry_dead(W, None, T0 + 9).await.unwrap(), 0);
});

pub fn a_picture() -> MediaRef {
    MediaRef {
        id: "media-1".into(),
        mime_type: Some("image/jpeg".into()),
        sha256: None,
        filename: None,
        voice: false,
        animated: false,
    }
}

both_engines!(a_file_gets_one_job, |db| async move {
    let world = World::open(&db).await;
    let mut picture = message(by_wa_id(ANA), "wamid.1", T0);
    picture.kind = "image".into();
    picture.media = Some(a_picture());
    world.ingest(&[inbound(picture.clone())]).await;
    world.ingest(&[inbound(picture)]).await;
    let claimed = world.store.claim_lanes(W, JobKind::Media, number().as_str(), T0, LEASE, 10, 10).await.unwrap();
    assert_eq!((claimed.len(), claimed[0].jobs.len()), (1, 1));
    assert_eq!(world.store.scopes(W, JobKind::Media).await.unwrap(), [number().to_string()]);
    let job = &claimed[0].jobs[0];
    let message = world.store.messages(W, None, 1, None).await.unwrap()[0].id;
    let end = ponte_domain::ports::store::MediaEnd {
        lane: claimed[0].lane.clone(),
        seq: job.seq,
        message,
        stored: Some(("ab12".into(), 77, Some("image/jpeg".into()))),
        end: ponte_domain::job::JobEnd::Done,
    };
    assert_eq!(world.store.settle_media(W, T0 + 1, vec![end.clone()]).await.unwrap(), 0);
    assert_eq!(world.store.message(W, message).await.unwrap().unwrap().media_key.as_deref(), Some("ab12"));
    assert_eq!(world.kinds().await.last().map(String::as_str), Some("media.stored"));
    assert_eq!(world.store.settle_media(W, T0 + 2, vec![end]).await.unwrap(), 1, "its lane is gone");
});

both_engines!(texts_that_one_engine_could_not_hold, |db| async move {
    let world = World::open(&db).await;
    let mut odd = message(by_wa_id(ANA), "wamid.1", T0);
    odd.text = Some("a\u{0}b 👩‍👩‍👧 \u{202e}".into());
    odd.party.name = Some("An\u{0}a".into());
    odd.raw = r#"{"text":"a\u0000b"}"#.into();
    world.ingest(&[inbound(odd)]).await;
    let all = world.store.messages(W, None, 10, None).await.unwrap();
    assert_eq!(all[0].text.as_deref(), Some("a\u{fffd}b 👩‍👩‍👧 \u{202e}"));
    assert_eq!(all[0].content.get(), r#"{"text":"a\u0000b"}"#);
});

both_engines!(a_lost_lease_changes_nothing, |db| async move {
    let world = World::open(&db).await;
    let other = open_as(&db, "node-b").await;
    let ours = world.store.lease(W, "ingest", T0, LEASE).await.unwrap().unwrap();
    other.lease(W, "ingest", T0 + LEASE, LEASE).await.unwrap().expect("run out");
    let nothing = Arc::new(|_| panic!("the fold must not be asked"));
    let refused = world.store.ingest(W, Some(ours), vec![], Keys::default(), nothing).await;
    assert_eq!(refused, Err(StoreError::LeaseLost));
});
