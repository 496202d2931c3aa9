//! Sending over the API and the command line: what is let in, what is refused and how it says so, and what arrives.

use crate::rig::{LONG, NUMBER, Rig, SECOND_NUMBER, Setup, eventually, phone};
use ponte_simulator::whatsapp::{CustomerKind, CustomerMessage};
use ponte_testkit::Engine;
use serde_json::{Value, json};

fn text(to: &str, body: &str) -> Value {
    json!({"to": {"phone": format!("+{to}")}, "message": {"type": "text", "body": body}})
}

fn hello_world() -> Value {
    json!({"type": "template", "template": {"name": "hello_world", "language": {"code": "en_US"}}})
}

async fn once_per_key(engine: Engine) {
    let rig = Setup::on(engine).no_crm().start().await;
    rig.open_windows(2).await;
    let key = [("idempotency-key", "order-4711")];
    let wish = text(&phone(0), "your order is on its way");
    let (status, first) = rig.api_with("POST", "/api/v1/messages", Some(&wish), &key).await;
    assert_eq!((status, &first["again"], &first["state"]), (202, &json!(false), &json!("queued")), "{first}");
    for _ in 0..3 {
        let (status, again) = rig.api_with("POST", "/api/v1/messages", Some(&wish), &key).await;
        assert_eq!((status, &again["again"], &again["id"]), (200, &json!(true), &first["id"]), "{again}");
    }
    // The same person written otherwise is another request; so is another text.
    for other in [text(&phone(0), "something else"), text(&phone(1), "your order is on its way")] {
        let (status, body) = rig.api_with("POST", "/api/v1/messages", Some(&other), &key).await;
        assert_eq!((status, &body["code"]), (409, &json!("idempotency_conflict")), "{body}");
    }
    // Many at once under one key: one message.
    let mut together = tokio::task::JoinSet::new();
    for _ in 0..20 {
        let (to, body) = (rig.program.address(), text(&phone(1), "together").to_string());
        together.spawn(async move {
            let authorization = format!("Bearer {}", crate::rig::API_KEY);
            let headers = [
                ("authorization", authorization.as_str()),
                ("content-type", "application/json"),
                ("idempotency-key", "together"),
            ];
            let answer =
                ponte_testkit::http::request(to, "POST", "/api/v1/messages", &headers, body.as_bytes()).await.unwrap();
            (answer.status, serde_json::from_slice::<Value>(&answer.body).unwrap()["id"].as_str().map(str::to_owned))
        });
    }
    let answers = together.join_all().await;
    assert_eq!(answers.iter().filter(|(status, _)| *status == 202).count(), 1, "{answers:?}");
    assert!(
        answers.iter().all(|(status, id)| [200, 202].contains(status) && *id == answers[0].1 && id.is_some()),
        "{answers:?}"
    );
    // The command line knows the same keys.
    let to = format!("+{}", phone(0));
    let cli = rig
        .cli(&["send", "--to", &to, "--text", "your order is on its way", "--idempotency-key", "cli-1", "--json"])
        .await;
    assert_eq!(cli.code, 0, "{cli:?}");
    let again = rig
        .cli(&["send", "--to", &to, "--text", "your order is on its way", "--idempotency-key", "cli-1", "--json"])
        .await;
    assert_eq!((&again.json()["id"], &again.json()["again"]), (&cli.json()["id"], &json!(true)));

    let ids = [
        first["id"].as_str().unwrap().to_owned(),
        answers[0].1.clone().unwrap(),
        cli.json()["id"].as_str().unwrap().to_owned(),
    ];
    for id in &ids {
        rig.reaches(id, &["read"]).await;
    }
    // After it was sent the key still stands.
    let (status, again) = rig.api_with("POST", "/api/v1/messages", Some(&wish), &key).await;
    assert_eq!((status, &again["id"]), (200, &first["id"]));
    assert_eq!(rig.graph.sent_messages().len(), 3);
    rig.nothing_doubled();
}

#[tokio::test]
async fn one_key_is_one_message_sqlite() {
    once_per_key(Engine::Sqlite).await;
}

#[tokio::test]
async fn one_key_is_one_message_postgres() {
    once_per_key(Engine::Postgres).await;
}

#[tokio::test]
async fn refusals_say_what_is_wrong() {
    let rig = Setup::sqlite().no_crm().start().await;
    rig.open_windows(1).await;
    let long = "x".repeat(4_097);
    let buttons = |n: usize| {
        let all: Vec<Value> = (0..n)
            .map(|i| json!({"type": "reply", "reply": {"id": format!("{i}"), "title": format!("B{i}")}}))
            .collect();
        json!({"type": "interactive", "interactive": {"type": "button", "body": {"text": "?"}, "action": {"buttons": all}}})
    };
    let to = json!({"phone": format!("+{}", phone(0))});
    let refused = [
        (json!({"to": to, "message": {"type": "text", "body": ""}}), 400, "invalid_request", "body"),
        (json!({"to": to, "message": {"type": "text", "body": long}}), 400, "invalid_request", "4097 characters"),
        (json!({"to": to, "message": buttons(4)}), 400, "invalid_request", "interactive.action.buttons"),
        (json!({"to": to, "message": {"type": "image"}}), 400, "invalid_request", "exactly one of `id` and `link`"),
        (json!({"to": to, "message": {"type": "image", "link": "ftp://x/y.png"}}), 400, "invalid_request", "link"),
        (
            json!({"to": to, "message": {"type": "sticker", "id": "1", "caption": "no"}}),
            400,
            "invalid_request",
            "caption",
        ),
        (
            json!({"to": to, "message": {"type": "location", "latitude": 91.0, "longitude": 0.0}}),
            400,
            "invalid_request",
            "latitude",
        ),
        (
            json!({"to": to, "message": {"type": "template", "template": {"name": "UPPER", "language": {"code": "en"}}}}),
            400,
            "invalid_request",
            "template.name",
        ),
        (
            json!({"to": to, "message": {"type": "text", "body": "x", "colour": "red"}}),
            400,
            "invalid_request",
            "colour",
        ),
        (json!({"to": to, "message": {"type": "telegram", "body": "x"}}), 400, "invalid_request", "telegram"),
        (json!({"to": to, "massage": {}}), 400, "invalid_request", "massage"),
        (json!({"to": to}), 400, "invalid_request", "message"),
        (json!({"message": {"type": "text", "body": "x"}}), 400, "recipient_invalid", "to"),
        (
            json!({"to": {"phone": "0171 123456"}, "message": {"type": "text", "body": "x"}}),
            400,
            "recipient_invalid",
            "to.phone",
        ),
        (
            json!({"to": {"phone": "call me"}, "message": {"type": "text", "body": "x"}}),
            400,
            "recipient_invalid",
            "to.phone",
        ),
        (
            json!({"to": {"user_id": "not an id"}, "message": {"type": "text", "body": "x"}}),
            400,
            "recipient_invalid",
            "to.user_id",
        ),
        (
            json!({"to": {"person": "per_0198c0de000070008000000000000000"}, "message": {"type": "text", "body": "x"}}),
            404,
            "recipient_unknown",
            "",
        ),
        (
            json!({"from": "1", "to": to, "message": {"type": "text", "body": "x"}}),
            404,
            "number_unknown",
            "whatsapp.numbers",
        ),
        (text(&phone(5), "a stranger"), 422, "window_closed", ""),
        (
            json!({"to": to, "class": "marketing", "message": {"type": "text", "body": "buy"}}),
            422,
            "marketing_needs_template",
            "",
        ),
    ];
    for (wish, status, code, detail) in refused {
        let (got, body) = rig.send(wish.clone()).await;
        assert_eq!((got, body["code"].as_str()), (status, Some(code)), "{wish}: {body}");
        assert_eq!(body["status"], status);
        assert!(body["title"].as_str().unwrap().len() > 10 && body["type"].as_str().unwrap().contains(code), "{body}");
        assert!(body["detail"].as_str().unwrap_or_default().contains(detail), "{wish}: {body}");
    }
    let (status, body) = rig.api("POST", "/api/v1/messages", Some(&json!("no object"))).await;
    assert_eq!((status, &body["code"]), (400, &json!("invalid_request")));

    // A window on one number opens none on the other.
    let mut other = text(&phone(0), "from the other number");
    other["from"] = json!(SECOND_NUMBER);
    let (status, body) = rig.send(other).await;
    assert_eq!((status, &body["code"]), (422, &json!("window_closed")));

    // Nobody without a key, nobody with half a one, and nothing about the key in the answer.
    for authorization in ["", "Bearer", "Bearer ", "Bearer test-key-test-key-test-ke", "Basic dGVzdA==", "bearer wrong"]
    {
        for (method, path) in [
            ("POST", "/api/v1/messages"),
            ("GET", "/api/v1/messages"),
            ("GET", "/api/v1/me"),
            ("GET", "/api/v1/journal"),
        ] {
            let headers = [("authorization", authorization), ("content-type", "application/json")];
            let answer =
                ponte_testkit::http::request(rig.program.address(), method, path, &headers, b"{}").await.unwrap();
            let body: Value = serde_json::from_slice(&answer.body).unwrap();
            assert_eq!(
                (answer.status, &body["code"]),
                (401, &json!("unauthenticated")),
                "{method} {path} {authorization:?}"
            );
            assert!(answer.head.contains("application/problem+json"), "{}", answer.head);
        }
    }
    assert_eq!(rig.api("GET", "/api/v1/me", None).await.1["name"], "test");
    let (status, body) = rig.api("GET", "/api/v1/nothing", None).await;
    assert_eq!((status, &body["code"]), (404, &json!("not_found")));
    for id in ["msg_0198c0de000070008000000000000000", "nonsense"] {
        let (status, _) = rig.api("GET", &format!("/api/v1/messages/{id}"), None).await;
        assert!([400, 404].contains(&status), "{id}: {status}");
    }
    // The command line refuses with a status of its own.
    let cli = rig.cli(&["send", "--to", &format!("+{}", phone(5)), "--text", "x", "--json"]).await;
    assert_eq!((cli.code, &cli.json()["code"]), (2, &json!("window_closed")));
    assert!(rig.graph.sent_messages().is_empty(), "nothing of it reached WhatsApp");
    assert_eq!(rig.waiting("send").await, 0);
}

#[tokio::test]
async fn a_batch_is_answered_row_by_row() {
    let rig = Setup::sqlite().no_crm().start().await;
    rig.open_windows(2).await;
    let mut keyed = text(&phone(0), "keyed");
    keyed["idempotency_key"] = json!("row-key");
    let rows = json!({"messages": [text(&phone(0), "one"), text(&phone(9), "closed"), {"to": {"phone": "bad"}, "message": {"type": "text", "body": "x"}},
        keyed, keyed, {"to": {"phone": format!("+{}", phone(8))}, "message": hello_world()}, text(&phone(1), "two")]});
    let (status, body) = rig.api("POST", "/api/v1/messages/batch", Some(&rows)).await;
    assert_eq!(status, 202, "{body}");
    let results = body["results"].as_array().unwrap();
    let codes: Vec<&str> = results.iter().map(|r| r["code"].as_str().or(r["state"].as_str()).unwrap()).collect();
    assert_eq!(codes, ["queued", "window_closed", "recipient_invalid", "queued", "queued", "queued", "queued"]);
    assert_eq!((&results[3]["id"], &results[4]["again"]), (&results[4]["id"], &json!(true)));
    for i in [0, 3, 5, 6] {
        rig.reaches(results[i]["id"].as_str().unwrap(), &["read"]).await;
    }
    assert_eq!(rig.graph.sent_messages().len(), 4);
    let many: Vec<Value> = (0..201).map(|_| text(&phone(0), "x")).collect();
    for wrong in [json!({"messages": []}), json!({"messages": many})] {
        let (status, body) = rig.api("POST", "/api/v1/messages/batch", Some(&wrong)).await;
        assert_eq!((status, &body["code"]), (400, &json!("invalid_request")));
        assert!(body["detail"].as_str().unwrap().contains("1 to 200"));
    }
}

/// Every kind, as WhatsApp's strict counterpart takes it.
#[tokio::test]
async fn every_kind_is_taken_by_whatsapp() {
    let rig = Setup::sqlite().no_crm().start().await;
    rig.open_windows(1).await;
    let greeting = rig.messages().await[0]["wamid"].as_str().unwrap().to_owned();
    let card =
        json!([{"name": {"formatted_name": "Shop", "first_name": "Shop"}, "phones": [{"phone": "+49 30 1234567"}]}]);
    let interactive = |value: Value| json!({"type": "interactive", "interactive": value});
    let body = json!({"text": "Choose"});
    let kinds = [
        json!({"type": "text", "body": "see https://example.com", "preview_url": true}),
        json!({"type": "image", "link": "https://example.com/a.png", "caption": "a"}),
        json!({"type": "video", "link": "https://example.com/a.mp4"}),
        json!({"type": "audio", "link": "https://example.com/a.ogg", "voice": true}),
        json!({"type": "document", "link": "https://example.com/a.pdf", "filename": "a.pdf", "caption": "bill"}),
        json!({"type": "sticker", "link": "https://example.com/a.webp"}),
        json!({"type": "location", "latitude": 52.5, "longitude": 13.4, "name": "Shop", "address": "Street 1"}),
        json!({"type": "contacts", "contacts": card}),
        json!({"type": "reaction", "message_id": greeting, "emoji": "👍"}),
        json!({"type": "reaction", "message_id": greeting, "emoji": ""}),
        interactive(json!({"type": "button", "body": body, "footer": {"text": "f"}, "action": {"buttons": [
            {"type": "reply", "reply": {"id": "y", "title": "Yes"}}, {"type": "reply", "reply": {"id": "n", "title": "No"}}]}})),
        interactive(json!({"type": "list", "body": body, "action": {"button": "Open", "sections": [
            {"title": "Plants", "rows": [{"id": "1", "title": "Fern", "description": "green"}]}]}})),
        interactive(json!({"type": "cta_url", "body": body, "action": {"name": "cta_url",
            "parameters": {"display_text": "Open", "url": "https://example.com"}}})),
        interactive(json!({"type": "location_request_message", "body": body, "action": {"name": "send_location"}})),
        hello_world(),
        json!({"type": "template", "template": {"name": "appointment_reminder", "language": {"code": "en_US"}, "components": [
            {"type": "body", "parameters": [{"type": "text", "text": "Monday"}, {"type": "text", "text": "9:00"}]}]}}),
    ];
    let mut ids = Vec::new();
    for message in &kinds {
        let (status, answer) = rig.send(json!({"to": {"phone": format!("+{}", phone(0))}, "message": message})).await;
        assert_eq!(status, 202, "{message}: {answer}");
        ids.push((answer["id"].as_str().unwrap().to_owned(), message["type"].as_str().unwrap()));
    }
    for ((id, kind), message) in ids.iter().zip(&kinds) {
        let state =
            rig.reaches(id, &["accepted", "sent", "delivered", "read", "played", "failed", "dead", "refused"]).await;
        assert!(!["failed", "dead", "refused"].contains(&state["state"].as_str().unwrap()), "{message}: {state}");
        assert_eq!(state["kind"], *kind);
    }
    let stats = rig.graph.stats();
    assert_eq!(
        (stats.sends_accepted, stats.validation_errors, stats.unknown_fields),
        (kinds.len() as u64, 0, 0),
        "{stats:?}"
    );
    let failed: Vec<_> = rig.graph.sent_messages().into_iter().filter(|m| m.error_code.is_some()).collect();
    assert!(failed.is_empty(), "{failed:?}");
    let (stored, sent) = (rig.message(&ids[3].0).await, rig.graph.sent_messages());
    let voice = sent.iter().find(|s| s.opaque.as_deref() == stored["id"].as_str()).unwrap();
    assert_eq!(voice.body.as_ref().unwrap()["audio"]["voice"], true);
    rig.reaches(&ids[3].0, &["played"]).await;
}

#[tokio::test]
async fn read_receipts_typing_quotes_and_later_sends() {
    let rig = Setup::sqlite().no_crm().start().await;
    let wamid = rig.graph.customer_sends(CustomerMessage::text(&phone(0), "Flo", "anyone there?")).await.unwrap();
    rig.stored(&wamid).await;
    for typing in [false, true] {
        let (status, body) =
            rig.send(json!({"message": {"type": "read", "message_id": wamid, "typing": typing}})).await;
        assert!(status == 202, "{status} {body}");
    }
    eventually(LONG, "both receipts arrive", || async { (rig.graph.stats().read_receipts == 2).then_some(()) }).await;
    let mut quote = text(&phone(0), "yes, we are");
    quote["reply_to"] = json!(wamid);
    let (_, queued) = rig.send(quote).await;
    let id = queued["id"].as_str().unwrap().to_owned();
    assert_eq!(rig.reaches(&id, &["read"]).await["reply_to"], wamid);
    assert_eq!(rig.graph.sent_messages()[0].body.as_ref().unwrap()["context"]["message_id"], wamid);

    // Not before its time, and not long after it.
    let at = ponte_simulator::whatsapp::now_ms() + 1_500;
    let mut later = text(&phone(0), "later");
    later["not_before"] = json!(at);
    let (status, queued) = rig.send(later).await;
    assert_eq!(status, 202);
    let id = queued["id"].as_str().unwrap().to_owned();
    rig.reaches(&id, &["read"]).await;
    let accepted = rig.graph.sent_messages().iter().find(|s| s.opaque.as_deref() == Some(&id)).unwrap().accepted_at_ms;
    assert!((at..at + 10_000).contains(&accepted), "{} ms after its time", accepted - at);

    // A person who stopped marketing gets none, but still gets answers.
    rig.graph
        .customer_sends(CustomerMessage::from_phone(
            &phone(0),
            "Flo",
            CustomerKind::Preference { value: "stop".into() },
        ))
        .await
        .unwrap();
    eventually(LONG, "the wish is known", || async { rig.events("consent.preference").await.pop() }).await;
    let marketing = json!({"to": {"phone": format!("+{}", phone(0))}, "class": "marketing", "message": hello_world()});
    let (status, body) = rig.send(marketing.clone()).await;
    assert_eq!((status, &body["code"]), (422, &json!("opted_out")), "{body}");
    assert!(body["message_id"].is_string(), "the refusal is on record: {body}");
    assert_eq!(rig.message(body["message_id"].as_str().unwrap()).await["state"], "refused");
    let id = rig.text(&phone(0), "an answer").await;
    rig.reaches(&id, &["read"]).await;
}

async fn in_order(engine: Engine) {
    let mut setup = Setup::on(engine).no_crm();
    // Answers of very different speed, and some refusals in between, must not change the order.
    setup.whatsapp.faults.latency = serde_json::from_value(json!({"p50_ms": 5, "p99_ms": 120})).unwrap();
    setup.whatsapp.faults.errors = [(131_000, 0.1)].into();
    let rig = setup.start().await;
    rig.open_windows(3).await;
    let texts: Vec<(String, String)> = (0..60).map(|i| (phone(i % 3), format!("{i:03}"))).collect();
    let ids = rig.texts(&texts).await;
    rig.all_sent(&ids, LONG).await;
    for customer in 0..3 {
        let said: Vec<String> = rig
            .graph
            .sent_messages()
            .iter()
            .filter(|s| s.wa_id.as_deref() == Some(&phone(customer)))
            .map(|s| s.body.as_ref().unwrap()["text"]["body"].as_str().unwrap().to_owned())
            .collect();
        let wanted: Vec<String> = (0..60).filter(|i| i % 3 == customer).map(|i| format!("{i:03}")).collect();
        assert_eq!(said, wanted, "twenty texts to one person arrive in order");
    }
    assert!(rig.graph.stats().sends_refused.contains_key(&131_000), "there were refusals in between");
    rig.nothing_doubled();
}

#[tokio::test]
async fn one_person_gets_texts_in_order_sqlite() {
    in_order(Engine::Sqlite).await;
}

#[tokio::test]
async fn one_person_gets_texts_in_order_postgres() {
    in_order(Engine::Postgres).await;
}

async fn status_of(rig: &Rig, id: &str) -> String {
    rig.reaches(id, &["read", "failed", "dead"]).await["state"].as_str().unwrap().to_owned()
}

#[tokio::test]
async fn templates_reach_strangers_from_any_number() {
    let rig = Setup::sqlite().no_crm().start().await;
    for (i, from) in [NUMBER, SECOND_NUMBER].into_iter().enumerate() {
        let wish = json!({"from": from, "to": {"phone": format!("+{}", phone(40 + i))}, "message": hello_world()});
        let (status, queued) = rig.send(wish).await;
        assert_eq!(status, 202, "{queued}");
        assert_eq!(status_of(&rig, queued["id"].as_str().unwrap()).await, "read");
    }
    let sent = rig.graph.sent_messages();
    assert_eq!(sent.iter().map(|s| s.phone_number_id.as_str()).collect::<Vec<_>>(), [NUMBER, SECOND_NUMBER]);
    // The stranger writes back: the same person, and the window is open.
    let answer = rig.graph.customer_sends(CustomerMessage::text(&phone(40), "Gil", "who is this?")).await.unwrap();
    let answer = rig.stored(&answer).await;
    let all = rig.messages().await;
    let first = all.iter().find(|m| m["wamid"] == sent[0].wamid.as_str()).unwrap();
    assert_eq!(first["person_id"], answer["person_id"]);
    let id = rig.text(&phone(40), "the shop").await;
    assert_eq!(status_of(&rig, &id).await, "read");
    // Brazil: dialled with the ninth digit, known to WhatsApp without it; still one person.
    let dialled = "5551987654321";
    let (_, queued) = rig.send(json!({"to": {"phone": format!("+{dialled}")}, "message": hello_world()})).await;
    assert_eq!(status_of(&rig, queued["id"].as_str().unwrap()).await, "read");
    let back = rig.graph.customer_sends(CustomerMessage::text("555187654321", "Joa", "oi")).await.unwrap();
    assert_eq!(rig.stored(&back).await["person_id"], queued["person_id"]);
    let (status, queued) = rig.send(text(dialled, "tudo bem")).await;
    assert_eq!(status, 202, "{queued}");
    assert_eq!(status_of(&rig, queued["id"].as_str().unwrap()).await, "read");
}
