//! What WhatsApp can do to a send, and what must come of it: nothing lost, nothing twice, and a person told when it is final.

use crate::rig::{LONG, Rig, Setup, eventually, phone};
use ponte_simulator::whatsapp::{CustomerMessage, Faults};
use ponte_testkit::Engine;
use serde_json::{Value, json};
use std::time::{Duration, Instant};

fn many(n: usize, people: usize) -> Vec<(String, String)> {
    (0..n).map(|i| (phone(i % people), format!("text {i}"))).collect()
}

/// Every one of them is read, each went out once.
async fn all_read_once(rig: &Rig, ids: &[String]) {
    for id in ids {
        rig.reaches(id, &["read"]).await;
    }
    assert_eq!(rig.graph.sent_messages().len(), ids.len());
    rig.nothing_doubled();
}

#[tokio::test]
async fn what_whatsapp_reports_later_is_shown() {
    let mut setup = Setup::sqlite().no_crm();
    setup.whatsapp.faults.late_errors = [(131_047, 1.0)].into();
    let rig = setup.start().await;
    rig.open_windows(1).await;
    let id = rig.text(&phone(0), "too late").await;
    let message = rig.reaches(&id, &["failed"]).await;
    assert_eq!(message["error"][0], "131047", "{message}");
    assert_eq!(message["phase"], "accepted", "WhatsApp took it: nothing sends it again");
    rig.graph.set_faults(Faults::default());
    // Someone without WhatsApp.
    let template = json!({"type": "template", "template": {"name": "hello_world", "language": {"code": "en_US"}}});
    let (_, queued) = rig.send(json!({"to": {"phone": "+4915111110000"}, "message": template})).await;
    let message = rig.reaches(queued["id"].as_str().unwrap(), &["failed"]).await;
    assert_eq!(message["error"][0], "131026");
    let told = rig.events("message.status").await;
    assert!(told.iter().any(|e| e["data"]["code"] == "131026" && e["message"] == queued["id"]), "{told:?}");
    assert_eq!(rig.graph.sent_messages().len(), 2, "not sent again");
    assert_eq!(rig.waiting("send").await, 0);
}

#[tokio::test]
async fn passing_refusals_are_tried_again() {
    let rig = Setup::sqlite().no_crm().start().await;
    rig.open_windows(10).await;
    // Graph bodies with HTTP 500 and 503, the number's limit, and two codes that only say "later".
    let errors = [(131_000, 0.1), (2, 0.1), (131_016, 0.1), (130_429, 0.1), (1, 0.05)];
    rig.graph.set_faults(Faults { errors: errors.into(), ..Faults::default() });
    let ids = rig.texts(&many(40, 10)).await;
    rig.all_sent(&ids, LONG).await;
    all_read_once(&rig, &ids).await;
    let refused = rig.graph.stats().sends_refused;
    assert!(errors.iter().filter(|(code, _)| refused.contains_key(code)).count() >= 3, "{refused:?}");
    assert!(!rig.events("message.retrying").await.is_empty());
    assert_eq!(rig.cli(&["dead-letters", "list", "--json"]).await.out, "");
}

#[tokio::test]
async fn a_throttle_slows_down_and_loses_nothing() {
    let rig = Setup::sqlite().no_crm().start().await;
    rig.open_windows(20).await;
    rig.graph.set_faults(Faults { throttle_per_s: Some(15), ..Faults::default() });
    let ids = rig.texts(&many(100, 20)).await;
    let begun = Instant::now();
    rig.all_sent(&ids, LONG).await;
    let took = begun.elapsed();
    all_read_once(&rig, &ids).await;
    let stats = rig.graph.stats();
    assert!(took > Duration::from_secs(4), "{took:?} is faster than the throttle");
    let refused = stats.sends_refused.get(&130_429).copied().unwrap_or(0);
    assert!(refused > 0, "the throttle was met");
    assert!(refused < 150, "it slows down instead of hammering: {refused} refusals for 100 messages");
}

#[tokio::test]
async fn the_limit_for_one_person_holds_only_that_person() {
    let mut setup = Setup::sqlite().no_crm();
    setup.whatsapp.rules.pair_burst = 3;
    setup.whatsapp.rules.pair_refill_ms = 700;
    let rig = setup.start().await;
    rig.open_windows(4).await;
    let mut texts: Vec<(String, String)> = (0..8).map(|i| (phone(0), format!("{i}"))).collect();
    texts.extend((0..3).flat_map(|_| (1..4).map(|p| (phone(p), "quick".to_owned()))));
    let ids = rig.texts(&texts).await;
    let quick = eventually(Duration::from_secs(10), "the others go on", || async {
        let sent = rig.graph.sent_messages();
        let others = sent.iter().filter(|s| s.wa_id.as_deref() != Some(&phone(0))).count();
        (others == 9).then_some(sent.len())
    })
    .await;
    assert!(quick < 17, "the person in question still waits");
    all_read_once(&rig, &ids).await;
    assert!(rig.graph.stats().sends_refused.get(&131_056).copied().unwrap_or(0) > 0, "the limit was met");
    let order: Vec<String> = rig
        .graph
        .sent_messages()
        .iter()
        .filter(|s| s.wa_id.as_deref() == Some(&phone(0)))
        .map(|s| s.body.as_ref().unwrap()["text"]["body"].as_str().unwrap().to_owned())
        .collect();
    assert_eq!(order, ["0", "1", "2", "3", "4", "5", "6", "7"]);
}

/// A token that isn't good any more, at WhatsApp and at the CRM, holds everything and loses nothing. The wait is the longest
/// that is fixed in the program, so both are looked at in one test.
#[tokio::test]
async fn a_dead_token_holds_everything_until_it_is_good_again() {
    let mut setup = Setup::sqlite();
    setup.crm = "oauth = { client_id = \"sim-client\", client_secret = \"sim-client-secret\", refresh_token = \"not-yet-known\" }".into();
    setup.hubspot.oauth.refresh_tokens = vec!["another".into()];
    let rig = setup.start().await;
    rig.open_windows(5).await;
    rig.graph.set_faults(Faults { errors: [(190, 1.0)].into(), ..Faults::default() });
    let ids = rig.texts(&many(20, 5)).await;
    eventually(LONG, "the refusal is seen", || async {
        (rig.graph.stats().sends_refused.contains_key(&190)).then_some(())
    })
    .await;
    let check = rig.cli(&["check", "--json"]).await;
    assert_eq!(check.code, 1, "the CRM's sign-in fails: {check:?}");
    tokio::time::sleep(Duration::from_millis(1_500)).await;
    let tries = rig.graph.stats().sends_refused[&190];
    assert!(tries < 20, "a dead token isn't hammered: {tries} tries");
    assert!(rig.graph.sent_messages().is_empty());
    for id in &ids {
        let message = rig.message(id).await;
        assert!(["queued", "sending"].contains(&message["state"].as_str().unwrap()), "{message}");
    }
    rig.graph.set_faults(Faults::default());
    let limit = Duration::from_secs(100);
    rig.all_sent(&ids, limit).await;
    all_read_once(&rig, &ids).await;
    assert!(rig.hubspot.communications().is_empty());
    assert_eq!(rig.status().await["dead_letters"], json!([]), "a wrong token is no reason to give up");
    assert!(rig.waiting("crm").await >= 25, "what couldn't be written waits");
}

/// Sends that WhatsApp took though the answer never came: a status settles them, nothing goes out twice.
async fn lost_answers(engine: Engine) {
    let mut setup = Setup::on(engine).no_crm().set("whatsapp", "send_timeout_ms", "400");
    setup.whatsapp.status.sent.p50_ms = 600;
    setup.whatsapp.status.sent.p99_ms = 600;
    let rig = setup.start().await;
    rig.open_windows(20).await;
    let faults =
        Faults { timeout_after_accept: 0.2, reset_after_accept: 0.2, http_500_after_accept: 0.2, ..Faults::default() };
    rig.graph.set_faults(faults);
    let ids = rig.texts(&many(60, 20)).await;
    rig.all_sent(&ids, LONG).await;
    rig.graph.set_faults(Faults::default());
    all_read_once(&rig, &ids).await;
    assert!(rig.graph.stats().answers_lost > 15, "{:?}", rig.graph.stats());
    let unknown = rig.events("message.unknown").await;
    assert!(!unknown.is_empty(), "their outcome was unknown for a while");
    assert_eq!(rig.status().await["dead_letters"], json!([]));
}

#[tokio::test]
async fn a_lost_answer_is_settled_by_a_status_sqlite() {
    lost_answers(Engine::Sqlite).await;
}

#[tokio::test]
async fn a_lost_answer_is_settled_by_a_status_postgres() {
    lost_answers(Engine::Postgres).await;
}

/// Sends that WhatsApp never took and never answered: the reports on later messages show it, then each goes out once.
async fn lost_requests(engine: Engine) {
    let setup = Setup::on(engine).no_crm().set("whatsapp", "send_timeout_ms", "400").set(
        "dispatch",
        "unknown_settle_ms",
        "2000",
    );
    let rig = setup.start().await;
    rig.open_windows(20).await;
    rig.graph.set_faults(Faults { timeout_before_accept: 0.25, reset_before_accept: 0.25, ..Faults::default() });
    let ids = rig.texts(&many(40, 10)).await;
    eventually(LONG, "several got lost", || async { (rig.graph.stats().sends_dropped >= 8).then_some(()) }).await;
    rig.graph.set_faults(Faults::default());
    // Life goes on: later messages to others, and reports on them.
    let later: Vec<(String, String)> = (0..10).map(|i| (phone(10 + i), "later".to_owned())).collect();
    let mut all = ids;
    all.extend(rig.texts(&later).await);
    rig.all_sent(&all, LONG).await;
    all_read_once(&rig, &all).await;
    assert_eq!(rig.status().await["dead_letters"], json!([]));
}

#[tokio::test]
async fn a_lost_request_is_sent_exactly_once_sqlite() {
    lost_requests(Engine::Sqlite).await;
}

#[tokio::test]
async fn a_lost_request_is_sent_exactly_once_postgres() {
    lost_requests(Engine::Postgres).await;
}

/// Silence alone proves nothing: without reports on later messages a person decides.
#[tokio::test]
async fn an_outcome_that_nothing_settles_goes_to_a_person() {
    let setup = Setup::sqlite()
        .no_crm()
        .set("whatsapp", "send_timeout_ms", "300")
        .set("dispatch", "unknown_settle_ms", "600")
        .set("dispatch", "unknown_give_up_ms", "1500");
    let rig = setup.start().await;
    rig.open_windows(1).await;
    rig.graph.set_faults(Faults { timeout_before_accept: 1.0, ..Faults::default() });
    let id = rig.text(&phone(0), "into the void").await;
    let message = rig.reaches(&id, &["dead"]).await;
    assert_eq!(message["error"][0], "unknown_outcome", "{message}");
    let letters = rig.cli(&["dead-letters", "list", "--json"]).await.lines();
    assert_eq!(letters.len(), 1);
    assert!(rig.graph.sent_messages().is_empty());
    // The person decides to send it.
    rig.graph.set_faults(Faults::default());
    let retried = rig.cli(&["dead-letters", "retry", letters[0]["id"].as_str().unwrap()]).await;
    assert_eq!((retried.code, &retried.json()["retried"]), (0, &json!(1)), "{retried:?}");
    rig.reaches(&id, &["read"]).await;
    assert_eq!(rig.graph.sent_messages().len(), 1);
}

#[tokio::test]
async fn what_is_final_goes_to_a_person_who_can_retry_or_discard() {
    let rig = Setup::sqlite().no_crm().start().await;
    rig.open_windows(3).await;
    rig.graph.set_faults(Faults { errors: [(131_008, 1.0)].into(), ..Faults::default() });
    let ids = rig.texts(&many(3, 3)).await;
    for id in &ids {
        let message = rig.reaches(id, &["dead"]).await;
        assert_eq!(message["error"][0], "131008");
    }
    assert_eq!(rig.graph.stats().sends_refused[&131_008], 3, "never tried again by itself");
    let letters = rig.cli(&["dead-letters", "list", "--json"]).await.lines();
    assert_eq!(letters.len(), 3);
    for letter in &letters {
        assert_eq!((&letter["kind"], &letter["error"]["code"]), (&json!("send"), &json!("131008")), "{letter}");
        assert!(!letter["error"]["title"].as_str().unwrap().is_empty());
        assert!(!letter.to_string().contains(&phone(0)[2..10]), "no phone number in it: {letter}");
    }
    let listed: Value = rig.api("GET", "/api/v1/dead-letters", None).await.1;
    assert_eq!(listed.as_array().unwrap().len(), 3);
    assert_eq!(rig.status().await["dead_letters"], json!([["send", 3]]));
    assert!(rig.cli(&["dead-letters", "list"]).await.out.contains("131008"));

    rig.graph.set_faults(Faults::default());
    let id_of = |n: usize| letters[n]["id"].as_str().unwrap().to_owned();
    let (status, _) = rig.api("POST", &format!("/api/v1/dead-letters/{}/retry", id_of(0)), None).await;
    assert_eq!(status, 204);
    let discarded = rig.cli(&["dead-letters", "discard", &id_of(1)]).await;
    assert_eq!((discarded.code, &discarded.json()["discarded"]), (0, &json!(1)));
    let gone = rig.cli(&["dead-letters", "discard", &id_of(1)]).await;
    assert_eq!((gone.code, &gone.json()["discarded"]), (1, &json!(0)), "it is gone already");
    let (status, _) = rig.api("POST", &format!("/api/v1/dead-letters/{}/discard", id_of(1)), None).await;
    assert_eq!(status, 404);
    let rest = rig.cli(&["dead-letters", "retry", "--all"]).await;
    assert_eq!(rest.json()["retried"], 1);
    assert_ne!(rig.cli(&["dead-letters", "retry"]).await.code, 0, "one or all must be said");
    eventually(LONG, "two of three are sent", || async { (rig.graph.sent_messages().len() == 2).then_some(()) }).await;
    eventually(LONG, "no letter is left", || async { (rig.status().await["dead_letters"] == json!([])).then_some(()) })
        .await;
    // What was discarded stays as it was: seen, not sent.
    let states: Vec<String> = {
        let mut all = Vec::new();
        for id in &ids {
            all.push(rig.reaches(id, &["read", "dead"]).await["state"].as_str().unwrap().to_owned());
        }
        all.sort();
        all
    };
    assert_eq!(states, ["dead", "read", "read"]);
    rig.nothing_doubled();
}

/// Ten seconds without WhatsApp, half of it refused connections, half 503 answers; webhooks are stuck as well.
async fn outage(engine: Engine) {
    let rig = Setup::on(engine).no_crm().start().await;
    rig.open_windows(25).await;
    rig.graph.set_faults(Faults { outage: true, outage_refuses: true, webhook_outage: true, ..Faults::default() });
    let mut ids = rig.texts(&many(60, 20)).await;
    let asked = rig.graph.customer_sends(CustomerMessage::text(&phone(1), "Hal", "are you there?")).await.unwrap();
    tokio::time::sleep(Duration::from_secs(5)).await;
    rig.graph.set_faults(Faults { outage: true, webhook_outage: true, ..Faults::default() });
    ids.extend(rig.texts(&many(40, 20)).await);
    tokio::time::sleep(Duration::from_secs(5)).await;
    assert!(rig.graph.sent_messages().is_empty());
    assert_eq!(rig.program.get("/readyz").await.unwrap().status, 200, "an outage of WhatsApp is none of ours");

    rig.graph.set_faults(Faults::default());
    // Connections that broke in the middle left it open whether WhatsApp took those texts: what goes to others now, and is
    // reported on, shows that it didn't.
    let others: Vec<(String, String)> = (20..25).map(|i| (phone(i), "to others".to_owned())).collect();
    ids.extend(rig.texts(&others).await);
    rig.all_sent(&ids, LONG).await;
    all_read_once(&rig, &ids).await;
    rig.stored(&asked).await;
    assert_eq!(rig.status().await["dead_letters"], json!([]));
}

#[tokio::test]
async fn after_an_outage_everything_is_delivered_once_sqlite() {
    outage(Engine::Sqlite).await;
}

#[tokio::test]
async fn after_an_outage_everything_is_delivered_once_postgres() {
    outage(Engine::Postgres).await;
}
