//! Consent from outside: a word stops what waits, a button agrees, a refusal is explained, the command line states and shows.

use crate::rig::{LONG, NUMBER, Rig, Setup, eventually, phone};
use ponte_simulator::whatsapp::{CustomerKind, CustomerMessage, now_ms};
use ponte_testkit::Engine;
use serde_json::{Value, json};

/// Marketing at any hour: the clock of the machine is not what is tested.
fn setup(engine: Engine) -> Setup {
    let mut setup = Setup::on(engine);
    let components = json!([
        {"type": "BODY", "text": "May we send you offers?"},
        {"type": "BUTTONS", "buttons": [{"type": "QUICK_REPLY", "text": "Yes"}, {"type": "QUICK_REPLY", "text": "No"}]},
    ]);
    let question = json!({"id": "564750795574599", "name": "may_we", "language": "en", "category": "MARKETING",
        "components": components});
    setup.whatsapp.wabas[0].templates.push(serde_json::from_value(question).unwrap());
    setup.no_crm().set("policy", "quiet_from", "\"00:00\"").set("policy", "quiet_until", "\"00:00\"")
}

fn offer(to: &str) -> Value {
    json!({"to": {"phone": format!("+{to}")}, "class": "marketing",
        "message": {"type": "template", "template": {"name": "hello_world", "language": {"code": "en_US"}}}})
}

async fn person(rig: &Rig) -> String {
    let hello = rig.messages().await.into_iter().find(|m| m["origin"] == "customer").expect("somebody wrote");
    hello["person_id"].as_str().unwrap().to_owned()
}

async fn consent(rig: &Rig, person: &str) -> Value {
    let (status, body) = rig.api("GET", &format!("/api/v1/people/{person}/consent"), None).await;
    assert_eq!(status, 200, "{body}");
    body
}

async fn state(rig: &Rig, person: &str) -> String {
    consent(rig, person).await["standings"][0]["state"].as_str().unwrap_or("none").to_owned()
}

async fn becomes(rig: &Rig, person: &str, wanted: &str) {
    eventually(LONG, wanted, || async { (state(rig, person).await == wanted).then_some(()) }).await;
}

async fn agree(rig: &Rig, person: &str) {
    let word =
        json!({"scope": "marketing", "action": "confirmed", "proof": {"note": "signed form 7", "ip": "192.0.2.7"}});
    let (status, body) = rig.api("POST", &format!("/api/v1/people/{person}/consent"), Some(&word)).await;
    assert_eq!(status, 201, "{body}");
}

async fn says(rig: &Rig, words: &str) {
    rig.graph.customer_sends(CustomerMessage::text(&phone(0), "Customer 0", words)).await.unwrap();
}

fn texts_with(rig: &Rig, part: &str) -> usize {
    rig.graph.sent_messages().iter().filter(|s| s.body.as_ref().is_some_and(|b| b.to_string().contains(part))).count()
}

async fn a_word_stops(engine: Engine) {
    let rig = setup(engine).start().await;
    rig.open_windows(1).await;
    let ana = person(&rig).await;
    let (status, body) = rig.send(offer(&phone(0))).await;
    assert_eq!((status, &body["code"]), (422, &json!("consent_missing")), "{body}");
    agree(&rig, &ana).await;
    let mut campaign = offer(&phone(0));
    campaign["not_before"] = json!(now_ms() + 4_000);
    let (status, queued) = rig.send(campaign).await;
    assert_eq!(status, 202, "{queued}");
    let id = queued["id"].as_str().unwrap().to_owned();
    says(&rig, "Please stop!").await;
    becomes(&rig, &ana, "withdrawn").await;
    says(&rig, "SAIR").await;
    let refused = rig.reaches(&id, &["refused", "read", "delivered", "sent"]).await;
    assert_eq!((&refused["state"], &refused["error"][0]), (&json!("refused"), &json!("opted_out")), "{refused}");
    assert_eq!(texts_with(&rig, "hello_world"), 0, "nothing of the campaign was sent");
    eventually(LONG, "both words are in the ledger", || async {
        (consent(&rig, &ana).await["entries"].as_array().unwrap().len() == 3).then_some(())
    })
    .await;
    // Told once, in the language of the first word, and answers still go.
    eventually(LONG, "the acknowledgement", || async { (texts_with(&rig, "no more offers") == 1).then_some(()) }).await;
    let answer = rig.text(&phone(0), "your order is ready").await;
    rig.reaches(&answer, &["read"]).await;
    assert_eq!((texts_with(&rig, "no more offers"), texts_with(&rig, "ofertas")), (1, 0));
    rig.nothing_doubled();
}

#[tokio::test]
async fn a_word_stops_what_waits_and_is_acknowledged_once_sqlite() {
    a_word_stops(Engine::Sqlite).await;
}

#[tokio::test]
async fn a_word_stops_what_waits_and_is_acknowledged_once_postgres() {
    a_word_stops(Engine::Postgres).await;
}

async fn a_button_agrees(engine: Engine) {
    let rig = setup(engine).start().await;
    rig.open_windows(1).await;
    let ana = person(&rig).await;
    let ask = json!({"scope": format!("marketing/number/{NUMBER}"), "idempotency_key": "ask-7"});
    let path = format!("/api/v1/people/{ana}/consent/ask");
    let (status, asked) = rig.api("POST", &path, Some(&ask)).await;
    assert_eq!(status, 202, "{asked}");
    let (status, again) = rig.api("POST", &path, Some(&ask)).await;
    assert_eq!((status, &again["id"], &again["again"]), (200, &asked["id"], &json!(true)), "{again}");
    rig.reaches(asked["id"].as_str().unwrap(), &["read"]).await;
    assert_eq!(state(&rig, &ana).await, "requested");
    let sent = rig.graph.sent_messages();
    let question = sent[0].body.clone().unwrap();
    let button = &question["interactive"]["action"]["buttons"][0]["reply"];
    let kind = CustomerKind::ButtonReply {
        id: button["id"].as_str().unwrap().to_owned(),
        title: button["title"].as_str().unwrap().to_owned(),
    };
    rig.graph.customer_sends(CustomerMessage::from_phone(&phone(0), "Customer 0", kind)).await.unwrap();
    becomes(&rig, &ana, "confirmed").await;
    let file = consent(&rig, &ana).await;
    let (asked, said) = (&file["entries"][0], &file["entries"][1]);
    assert_eq!(asked["proof"]["text_shown"], question["interactive"]["body"]["text"], "the exact text shown is kept");
    assert_eq!((&said["source"], file["open_requests"].as_array().unwrap().len()), (&json!("button"), 0));
    let (status, queued) = rig.send(offer(&phone(0))).await;
    assert_eq!(status, 202, "{queued}");
    rig.reaches(queued["id"].as_str().unwrap(), &["read"]).await;
    // For the number asked for, and once a day.
    let mut elsewhere = offer(&phone(0));
    elsewhere["from"] = json!(crate::rig::SECOND_NUMBER);
    assert_eq!(rig.send(elsewhere).await.1["code"], "consent_missing");
    assert_eq!(rig.send(offer(&phone(0))).await.1["code"], "too_frequent");
}

#[tokio::test]
async fn a_button_agrees_for_the_number_asked_for_sqlite() {
    a_button_agrees(Engine::Sqlite).await;
}

#[tokio::test]
async fn a_button_agrees_for_the_number_asked_for_postgres() {
    a_button_agrees(Engine::Postgres).await;
}

#[tokio::test]
async fn a_refusal_is_explained_rule_by_rule_and_nothing_is_sent() {
    let rig = setup(Engine::Sqlite).start().await;
    let body = eventually(LONG, "the templates are known", || async {
        let (status, body) = rig.api("POST", "/api/v1/messages/explain", Some(&offer(&phone(7)))).await;
        assert_eq!(status, 200, "{body}");
        (!body.to_string().contains("unknown")).then_some(body)
    })
    .await;
    assert_eq!((&body["decision"], &body["code"]), (&json!("deny"), &json!("consent_missing")));
    let rule = |name: &str| {
        body["rules"].as_array().unwrap().iter().find(|r| r["rule"] == name).unwrap_or_else(|| panic!("{body}"))
    };
    assert_eq!(rule("first_contact")["code"], "first_contact");
    assert_eq!(
        (&rule("template_approved")["result"], &rule("sender_named")["result"]),
        (&json!("pass"), &json!("pass"))
    );
    assert_eq!(rule("country")["result"], "pass");
    let (status, body) = rig.api("POST", "/api/v1/messages/explain", Some(&offer("16505551234"))).await;
    assert_eq!(status, 200);
    let country = body["rules"].as_array().unwrap().iter().find(|r| r["rule"] == "country").unwrap().clone();
    assert_eq!(country["code"], "country_rule", "{body}");
    assert!(rig.messages().await.is_empty() && rig.status().await["people"] == 0, "nothing was stored");
    assert!(rig.graph.sent_messages().is_empty());
}

#[tokio::test]
async fn whatsapps_own_stop_is_in_the_ledger_and_not_answered() {
    let rig = setup(Engine::Sqlite).start().await;
    rig.open_windows(1).await;
    let ana = person(&rig).await;
    let kind = CustomerKind::Preference { value: "stop".into() };
    rig.graph.customer_sends(CustomerMessage::from_phone(&phone(0), "Customer 0", kind)).await.unwrap();
    becomes(&rig, &ana, "withdrawn").await;
    assert_eq!(consent(&rig, &ana).await["entries"][0]["source"], "preference");
    // A question is no way around it once the window is closed, and answers go on.
    let answer = rig.text(&phone(0), "your order is ready").await;
    rig.reaches(&answer, &["read"]).await;
    assert_eq!(rig.graph.sent_messages().len(), 1, "no acknowledgement");
}

#[tokio::test]
async fn the_command_line_states_shows_asks_and_exports() {
    let rig = setup(Engine::Sqlite).start().await;
    rig.open_windows(1).await;
    let to = format!("+{}", phone(0));
    let without = rig.cli(&["consent", "ask", "--to", &format!("+{}", phone(9))]).await;
    assert!(without.code == 2 && without.err.contains("window_closed"), "no template is configured: {without:?}");
    let bare = rig.cli(&["consent", "record", "--to", &to, "--action", "confirmed"]).await;
    assert_eq!(bare.code, 1, "{bare:?}");
    assert!(bare.err.contains("proof"), "{bare:?}");
    let proven =
        rig.cli(&["consent", "record", "--to", &to, "--action", "confirmed", "--proof", "form 7", "--json"]).await;
    assert_eq!(proven.code, 0, "{proven:?}");
    assert_eq!(proven.json()["said_by"], "cli");
    let shown = rig.cli(&["consent", "show", &to, "--json"]).await.json();
    assert_eq!(shown["standings"][0]["state"], "confirmed");
    let asked = rig.cli(&["consent", "ask", "--to", &to, "--json"]).await;
    assert_eq!(asked.code, 0, "{asked:?}");
    rig.reaches(asked.json()["id"].as_str().unwrap(), &["read"]).await;
    let scope = format!("marketing/number/{NUMBER}");
    let no = rig.cli(&["consent", "record", "--to", &to, "--scope", &scope, "--action", "withdrawn"]).await;
    assert_eq!(no.code, 0, "a no needs no proof: {no:?}");
    let all = rig.cli(&["consent", "export"]).await.lines();
    assert_eq!(all.len(), 3, "{all:?}");
    let unknown = rig.cli(&["consent", "show", "+4915999999999"]).await;
    assert_eq!(unknown.code, 1);
    assert_eq!(rig.send(offer(&phone(0))).await.1["code"], "opted_out");
}

#[tokio::test]
async fn outside_the_window_a_template_asks_and_a_word_answers() {
    let question = r#"{ name = "may_we", language = "en", text = "May we send you offers?" }"#;
    let rig = setup(Engine::Sqlite).set("consent", "ask_template", question).start().await;
    let to = format!("+{}", phone(0));
    let refused = eventually(LONG, "the templates are known", || async {
        let offer = r#"{"name":"spring_sale","language":"en_US","text":"May we?"}"#;
        let ran = rig.cli(&["consent", "ask", "--to", &to, "--template", offer, "--json"]).await;
        (ran.code == 2).then_some(ran)
    })
    .await;
    assert!(refused.out.contains("consent_missing"), "an offer is no question, whoever says so: {refused:?}");
    let asked = rig.cli(&["consent", "ask", "--to", &to, "--json"]).await;
    assert_eq!(asked.code, 0, "{asked:?}");
    let ana = asked.json()["person_id"].as_str().unwrap().to_owned();
    let file = consent(&rig, &ana).await;
    assert_eq!(file["entries"][0]["proof"]["text_shown"], "May we send you offers?");
    rig.reaches(asked.json()["id"].as_str().unwrap(), &["read"]).await;
    says(&rig, "yes please").await;
    becomes(&rig, &ana, "confirmed").await;
    assert_eq!(consent(&rig, &ana).await["entries"][1]["source"], "reply");
}

#[tokio::test]
async fn a_question_is_repeated_once_and_then_runs_out() {
    // A reminder after two seconds, the end after five.
    let setup = setup(Engine::Sqlite).set("consent", "remind_after_hours", "0.000556").set(
        "consent",
        "confirm_within_hours",
        "0.001389",
    );
    let rig = setup.start().await;
    rig.open_windows(1).await;
    let ana = person(&rig).await;
    let (status, asked) = rig.api("POST", &format!("/api/v1/people/{ana}/consent/ask"), Some(&json!({}))).await;
    assert_eq!(status, 202, "{asked}");
    eventually(LONG, "the reminder", || async { (texts_with(&rig, "May we send you") == 2).then_some(()) }).await;
    assert_eq!(consent(&rig, &ana).await["open_requests"][0]["remind_at"], Value::Null);
    eventually(LONG, "it runs out", || async { rig.events("consent.expired").await.pop() }).await;
    says(&rig, "yes").await;
    eventually(LONG, "the late yes is stored", || async {
        rig.messages().await.iter().any(|m| m["text"] == "yes").then_some(())
    })
    .await;
    assert_eq!(state(&rig, &ana).await, "requested", "too late");
    let file = consent(&rig, &ana).await;
    assert_eq!((file["entries"].as_array().unwrap().len(), file["open_requests"].as_array().unwrap().len()), (1, 0));
    assert_eq!(texts_with(&rig, "May we send you"), 2, "asked once more, not twice");
}

#[tokio::test]
async fn at_night_marketing_waits_and_the_reason_is_kept() {
    // Quiet from two hours ago until five hours from now, by a German clock: one or two hours ahead.
    let minute = now_ms() / 60_000 % 1_440;
    let clock = |minute: i64| format!("\"{:02}:{:02}\"", minute.rem_euclid(1_440) / 60, minute.rem_euclid(60));
    let rig = Setup::sqlite()
        .no_crm()
        .set("policy", "quiet_from", clock(minute - 60))
        .set("policy", "quiet_until", clock(minute + 360))
        .start()
        .await;
    rig.open_windows(1).await;
    let ana = person(&rig).await;
    agree(&rig, &ana).await;
    let (_, explained) = rig.api("POST", "/api/v1/messages/explain", Some(&offer(&phone(0)))).await;
    assert_eq!((&explained["decision"], &explained["code"]), (&json!("defer"), &json!("quiet_hours")), "{explained}");
    let until = explained["until"].as_i64().unwrap();
    assert!((now_ms() + 4 * 3_600_000..now_ms() + 6 * 3_600_000).contains(&until), "{explained}");
    let (status, queued) = rig.send(offer(&phone(0))).await;
    assert_eq!(status, 202, "{queued}");
    let answer = rig.text(&phone(0), "answers don't wait").await;
    rig.reaches(&answer, &["read"]).await;
    let waits = rig.message(queued["id"].as_str().unwrap()).await;
    assert_eq!(waits["state"], "queued");
    let kept = rig.events("message.queued").await;
    let kept = kept.iter().find(|e| e["message"] == queued["id"]).unwrap();
    assert_eq!(kept["data"]["policy"]["code"], "quiet_hours", "{kept}");
}
