//! Write-back: what a CRM should hold, what it was told, and what is known when a worker died half-way.

use crate::lanes::crm;
use crate::support::{
    LEASE, T0, W, World, by_user_id, contact_end, crm_end, crm_job, inbound, message, open_as, status, text,
};
use ponte_domain::ids::PersonId;
use ponte_domain::job::{Class, JobEnd};
use ponte_domain::ports::people::People;
use ponte_domain::ports::store::{CrmEnd, Store};
use ponte_domain::status::Status;
use ponte_testkit::both_engines;
use uuid::Uuid;

const ANA: &str = "5511999990001";
const BEA: &str = "5511999990002";

both_engines!(a_view_shows_the_person_and_the_message, |db| async move {
    let world = World::open(&db).await;
    world.ingest(&[text(ANA, "wamid.1", T0), inbound(message(by_user_id("BR.1"), "wamid.2", T0 + 1))]).await;
    let all = world.store.messages(W, None, 10, None).await.unwrap();
    let (user, ana) = (&all[0], &all[1]);
    let nobody = PersonId(Uuid::from_u128(5));
    let asked = [(ana.person_id, Some(ana.id)), (user.person_id, None), (nobody, None)];
    let views = world.store.crm_views(W, &crm(), &asked).await.unwrap();
    let first = views[0].as_ref().unwrap();
    assert_eq!((first.contact.phone.as_deref(), first.contact.wa_id.as_deref()), (Some(ANA), Some(ANA)));
    assert_eq!((first.contact.crm_id.as_deref(), first.contact.last_inbound_at), (None, Some(T0)));
    let written = first.message.as_ref().unwrap();
    assert_eq!((written.text.as_deref(), written.inbound, written.uncertain), (Some("text of wamid.1"), true, false));
    let second = views[1].as_ref().unwrap();
    assert_eq!((second.contact.phone.as_deref(), second.contact.user_id.as_deref()), (None, Some("BR.1")));
    assert!(second.message.is_none());
    assert!(views[2].is_none());
});

both_engines!(what_was_written_is_remembered_even_when_the_lane_was_lost, |db| async move {
    let world = World::open(&db).await;
    let other = World::on(open_as(&db, "node-b").await, 2);
    world.ingest(&[text(ANA, "wamid.1", T0)]).await;
    let m = world.store.messages(W, None, 1, None).await.unwrap().remove(0);
    world.file(vec![crm_job("a", "0")]).await;
    let lost = world.take(T0, 1, 1).await.remove(0);
    let found = other.take(T0 + LEASE, 1, 1).await.remove(0);
    let end = CrmEnd {
        contact: Some(contact_end(m.person_id, "c1", "hash c")),
        message: Some((m.id, "m1".into(), "hash m".into(), 2)),
        ..crm_end(&lost.lane, lost.jobs[0].seq, JobEnd::Done)
    };
    assert_eq!(world.store.settle_crm(W, &crm(), T0 + LEASE, vec![end]).await.unwrap(), 1);
    let view = other.store.crm_views(W, &crm(), &[(m.person_id, Some(m.id))]).await.unwrap().remove(0).unwrap();
    assert_eq!((view.contact.crm_id.as_deref(), view.contact_written.as_deref()), (Some("c1"), Some("hash c")));
    let message = view.message.unwrap();
    assert_eq!((message.crm_id.as_deref(), message.contact_crm_id.as_str()), (Some("m1"), "c1"));
    assert_eq!(view.message_written.as_deref(), Some("hash m"));
    assert_eq!(other.end(T0 + LEASE, &found, &[JobEnd::Done]).await, 0, "the job was the other node's to end");
    let overview = world.store.overview(W, T0).await.unwrap();
    assert_eq!((overview.crm_messages, overview.crm_statuses), (1, 2));
    // Another connection knows nothing of it.
    let elsewhere = world.store.crm_views(W, &"second".into(), &[(m.person_id, None)]).await.unwrap();
    assert_eq!(elsewhere[0].as_ref().unwrap().contact.crm_id, None);
});

both_engines!(uncertain_until_written_and_gone_means_matched_again, |db| async move {
    let world = World::open(&db).await;
    world.ingest(&[text(ANA, "wamid.1", T0)]).await;
    let m = world.store.messages(W, None, 1, None).await.unwrap().remove(0);
    world.file((0..4).map(|i| crm_job(&format!("lane{i}"), "0")).collect()).await;
    let claimed = world.take(T0, 4, 1).await;
    let end = |i: usize| crm_end(&claimed[i].lane, claimed[i].jobs[0].seq, JobEnd::Done);
    let subject = [(m.person_id, Some(m.id))];
    let settle = async |ends: Vec<CrmEnd>| {
        assert_eq!(world.store.settle_crm(W, &crm(), T0, ends).await.unwrap(), 0);
        world.store.crm_views(W, &crm(), &subject).await.unwrap().remove(0).unwrap()
    };
    let view = settle(vec![CrmEnd { message_uncertain: Some(m.id), ..end(0) }]).await;
    assert!(view.message.unwrap().uncertain);
    let written = Some((m.id, "m1".to_owned(), "h".to_owned(), 0));
    let contact = Some(contact_end(m.person_id, "c1", "h"));
    let view = settle(vec![CrmEnd { message: written, contact, ..end(1) }]).await;
    assert!(!view.message.unwrap().uncertain);
    let view = settle(vec![CrmEnd { message_uncertain: Some(m.id), ..end(2) }]).await;
    assert!(!view.message.unwrap().uncertain, "it is known where it is");
    let view = settle(vec![CrmEnd { contact_gone: Some(m.person_id), ..end(3) }]).await;
    assert_eq!((view.contact.crm_id, view.contact_written), (None, None));
});

both_engines!(statuses_reach_the_view, |db| async move {
    let world = World::open(&db).await;
    let id = world.queue(ANA, Class::Reply).await;
    world.ingest(&[status("wamid.out", Status::Read, T0 + 5, ANA, Some(id.to_string()))]).await;
    let person = world.store.message(W, id).await.unwrap().unwrap().person_id;
    let view = world.store.crm_views(W, &crm(), &[(person, Some(id))]).await.unwrap().remove(0).unwrap();
    let message = view.message.unwrap();
    assert_eq!((message.inbound, message.stamps.read, message.at), (false, Some(T0 + 5), T0));
});

both_engines!(jobs_of_who_was_merged_are_about_the_survivor_and_of_who_was_erased_about_nobody, |db| async move {
    let world = World::open(&db).await;
    world.ingest(&[text(ANA, "wamid.1", T0), text(BEA, "wamid.2", T0 + 1)]).await;
    let all = world.store.messages(W, None, 10, None).await.unwrap();
    let (of_bea, of_ana) = (&all[0], &all[1]);
    let merge = world.merge_two(of_ana.person_id, of_bea.person_id).await.unwrap();
    let asked = [(of_bea.person_id, Some(of_bea.id)), (of_bea.person_id, None)];
    let views = world.store.crm_views(W, &crm(), &asked).await.unwrap();
    assert!(views.iter().all(|v| v.as_ref().unwrap().contact.person == of_ana.person_id));
    assert_eq!(views[0].as_ref().unwrap().message.as_ref().unwrap().text.as_deref(), Some("text of wamid.2"));
    world.store.unmerge(W, T0 + 3, "test", merge).await.unwrap();
    let view = world.store.crm_views(W, &crm(), &asked).await.unwrap().remove(0).unwrap();
    assert_eq!(view.contact.person, of_bea.person_id);
    world.store.erase(W, of_bea.person_id, "secret", T0 + 4).await.unwrap();
    assert!(world.store.crm_views(W, &crm(), &asked).await.unwrap().iter().all(Option::is_none));
});
