//! Everything a customer can do arrives, is linked to what it is about, and what nobody understands is kept and shown.

use crate::rig::{LONG, NUMBER, Rig, SECOND_NUMBER, Setup, deliver, envelope, eventually, phone, seconds, value_of};
use ponte_simulator::whatsapp::{Customer, CustomerKind, CustomerMessage, Faults};
use ponte_testkit::Engine;
use serde_json::{Value, json};

async fn customer(rig: &Rig, kind: CustomerKind) -> String {
    rig.graph.customer_sends(CustomerMessage::from_phone(&phone(1), "Bea", kind)).await.unwrap()
}

/// Every kind with a body of its own: what is sent, the kind and the text that must be stored.
fn plain_kinds() -> Vec<(CustomerKind, &'static str, Option<&'static str>)> {
    let some = |text: &str| Some(text.to_owned());
    vec![
        (CustomerKind::Text { body: "Oi 👋\nsecond line".into() }, "text", Some("Oi 👋\nsecond line")),
        (
            CustomerKind::Location { latitude: -23.5, longitude: -46.6, name: some("Shop"), address: None },
            "location",
            Some("Shop"),
        ),
        (
            CustomerKind::Contacts {
                contacts: json!([{"name": {"formatted_name": "Carl", "first_name": "Carl"}, "phones": []}]),
            },
            "contacts",
            Some("Carl"),
        ),
        (CustomerKind::SharedContact { phone: phone(77) }, "contacts", Some("Me")),
        (CustomerKind::ButtonReply { id: "b1".into(), title: "Yes please".into() }, "interactive", Some("Yes please")),
        (
            CustomerKind::ListReply { id: "l1".into(), title: "Green".into(), description: some("the plant") },
            "interactive",
            Some("Green"),
        ),
        (
            CustomerKind::NfmReply { response_json: "{\"a\":1}".into(), name: None, body: some("Sent") },
            "interactive",
            Some("Sent"),
        ),
        (
            CustomerKind::NfmReply { response_json: "not json".into(), name: None, body: None },
            "interactive",
            Some("Sent"),
        ),
        (CustomerKind::CallPermissionReply { accept: true }, "interactive", None),
        (CustomerKind::InteractiveBroken, "interactive", None),
        (CustomerKind::Button { payload: "p".into(), text: "Confirm".into() }, "button", Some("Confirm")),
        (
            CustomerKind::Order {
                catalog_id: "c".into(),
                text: some("two of these"),
                product_items: json!([{"product_retailer_id": "x", "quantity": 2, "item_price": 5, "currency": "BRL"}]),
            },
            "order",
            Some("two of these"),
        ),
        (CustomerKind::IdentityChanged { hash: "h4sh".into() }, "system", None),
        (CustomerKind::Unsupported { of: "poll_creation".into() }, "unsupported", None),
        (CustomerKind::TooBig { kind: "video".into() }, "video", None),
    ]
}

async fn every_kind(engine: Engine) {
    let rig = Setup::on(engine).no_crm().start().await;
    let mut expected = Vec::new();
    for (kind, stored_as, text) in plain_kinds() {
        let shown = format!("{kind:?}");
        expected.push((customer(&rig, kind).await, stored_as, text, shown));
    }
    let first = expected[0].0.clone();
    let reply =
        CustomerMessage { reply_to: Some(first.clone()), ..CustomerMessage::text(&phone(1), "Bea", "about that") };
    let reply = rig.graph.customer_sends(reply).await.unwrap();
    let forwarded = CustomerMessage { forwarded: true, ..CustomerMessage::text(&phone(1), "Bea", "passed on") };
    let forwarded = rig.graph.customer_sends(forwarded).await.unwrap();
    let often =
        CustomerMessage { frequently_forwarded: true, ..CustomerMessage::text(&phone(1), "Bea", "chain letter") };
    let often = rig.graph.customer_sends(often).await.unwrap();
    let ad =
        CustomerMessage { referral: Some(Value::Bool(true)), ..CustomerMessage::text(&phone(2), "Dan", "from an ad") };
    let ad = rig.graph.customer_sends(ad).await.unwrap();
    let other_number = CustomerMessage {
        phone_number_id: Some(SECOND_NUMBER.into()),
        ..CustomerMessage::text(&phone(1), "Bea", "other line")
    };
    let other_number = rig.graph.customer_sends(other_number).await.unwrap();
    let reaction = customer(&rig, CustomerKind::Reaction { message_id: first.clone(), emoji: Some("👍".into()) }).await;
    let no_reaction = customer(&rig, CustomerKind::Reaction { message_id: first.clone(), emoji: None }).await;
    let edited = customer(&rig, CustomerKind::Text { body: "helo".into() }).await;
    let edit = customer(&rig, CustomerKind::Edit { original_message_id: edited.clone(), body: "hello".into() }).await;
    let revoked = customer(&rig, CustomerKind::Text { body: "oops".into() }).await;
    let revoke = customer(&rig, CustomerKind::Revoke { original_message_id: revoked.clone() }).await;
    // These may come before what they are about.
    let late = "wamid.not-yet-here";
    customer(&rig, CustomerKind::Edit { original_message_id: late.into(), body: "better".into() }).await;
    customer(&rig, CustomerKind::Preference { value: "stop".into() }).await;

    for (wamid, stored_as, text, kind) in &expected {
        let message = eventually(LONG, kind, || async { rig.by_wamid().await.remove(wamid) }).await;
        assert_eq!(message["kind"], *stored_as, "{kind}");
        if let Some(text) = text {
            assert_eq!(message["text"], *text, "{kind}: {message}");
        }
        assert_eq!((&message["phase"], &message["origin"]), (&json!("received"), &json!("customer")));
        assert_eq!(message["content"]["id"], *wamid, "the message is kept as it came");
    }
    let known = rig.by_wamid().await;
    let broken = &known[&expected[9].0];
    assert_eq!(broken["error"][0], "131000", "{broken}");
    assert_eq!(known[&expected[13].0]["error"][0], "131051");
    assert_eq!(known[&expected[14].0]["error"][0], "131052");
    assert_eq!(rig.stored(&reply).await["reply_to"], first);
    assert_eq!(rig.stored(&forwarded).await["text"], "passed on");
    rig.stored(&often).await;
    rig.stored(&ad).await;
    let (one, two) = (rig.stored(&first).await, rig.stored(&other_number).await);
    assert_eq!(one["person_id"], two["person_id"], "one person on two numbers");
    assert_ne!(one["conversation_id"], two["conversation_id"], "a conversation for each number");
    assert_eq!(two["number_id"], SECOND_NUMBER);
    for (wamid, target) in [(&reaction, &first), (&no_reaction, &first), (&edit, &edited), (&revoke, &revoked)] {
        assert_eq!(rig.stored(wamid).await["reply_to"], *target);
    }
    assert_eq!(rig.stored(&reaction).await["text"], "👍");
    eventually(LONG, "edit and withdrawal are applied", || async {
        let known = rig.by_wamid().await;
        let (edited, revoked) = (&known[&edited], &known[&revoked]);
        (edited["text"] == "hello" && edited["edited_at"].is_i64() && revoked["withdrawn_at"].is_i64()).then(|| {
            assert_eq!(revoked["text"], "oops", "what was said is kept");
        })
    })
    .await;
    let removed: Vec<bool> =
        rig.events("message.reaction").await.iter().map(|e| e["data"]["removed"].as_bool().unwrap()).collect();
    assert_eq!(removed.len(), 2);
    assert!(removed.contains(&true) && removed.contains(&false));
    let wish = eventually(LONG, "the preference", || async { rig.events("consent.preference").await.pop() }).await;
    assert_eq!(wish["data"]["value"], "stop");
    // What was said about a message before it came applies when it comes.
    assert_eq!(deliver(&rig.program, &crate::rig::text_body(late, &phone(1), "worse")).await.status, 200);
    let adopted = rig.stored(late).await;
    assert!(adopted["text"] == "better" && adopted["edited_at"].is_i64(), "{adopted}");
}

#[tokio::test]
async fn every_kind_arrives_and_is_linked_sqlite() {
    every_kind(Engine::Sqlite).await;
}

#[tokio::test]
async fn every_kind_arrives_and_is_linked_postgres() {
    every_kind(Engine::Postgres).await;
}

#[tokio::test]
async fn files_are_fetched_by_content_though_fetching_fails_at_first() {
    let mut setup = Setup::sqlite().no_crm();
    setup.whatsapp.faults = Faults { media_failures: 1.0, ..Faults::default() };
    let rig = setup.start().await;
    let mut ids = Vec::new();
    for kind in [
        CustomerKind::Image { caption: Some("my cat".into()) },
        CustomerKind::Video { caption: None },
        CustomerKind::Audio { voice: true },
        CustomerKind::Audio { voice: false },
        CustomerKind::Sticker { animated: true },
        CustomerKind::Document { filename: "../../etc/passwd".into(), caption: Some("bill".into()) },
    ] {
        ids.push(customer(&rig, kind).await);
    }
    for id in &ids {
        let message = rig.stored(id).await;
        assert!(message["media_key"].is_null(), "nothing can be fetched yet");
    }
    // At least one attempt of each failed before it gets better.
    eventually(LONG, "attempts fail", || async { (rig.graph.stats().other_calls >= 6).then_some(()) }).await;
    rig.graph.set_faults(Faults::default());
    for id in &ids {
        let message = eventually(LONG, "the file is stored", || async {
            let message = rig.by_wamid().await.remove(id)?;
            message["media_key"].is_string().then_some(message)
        })
        .await;
        let key = message["media_key"].as_str().unwrap();
        let kind = message["kind"].as_str().unwrap();
        let media = message["content"][kind]["id"].as_str().unwrap();
        let token = format!("Bearer {}", crate::rig::ACCESS_TOKEN);
        let path = format!("/v26.0/{media}");
        let meta = ponte_testkit::http::request(rig.graph.addr(), "GET", &path, &[("authorization", &token)], &[])
            .await
            .unwrap();
        let meta: Value = serde_json::from_slice(&meta.body).unwrap();
        assert_eq!(meta["sha256"], key, "kept by content");
        let file = rig.program.folder().join("media").join(&key[..2]).join(&key[2..]);
        assert_eq!(std::fs::metadata(&file).unwrap().len(), meta["file_size"].as_u64().unwrap());
    }
    assert_eq!(rig.events("media.stored").await.len(), ids.len());
    assert_eq!(rig.waiting("media").await, 0);
    assert!(rig.cli(&["dead-letters", "list", "--json"]).await.out.is_empty());
}

#[tokio::test]
async fn what_nobody_understands_is_kept_and_shown() {
    let rig = Setup::sqlite().no_crm().start().await;
    rig.graph.inject("field_of_tomorrow", &json!({"secret_of_the_future": 42}), None).unwrap();
    rig.graph.inject("account_update", &json!({"event": "VERIFIED_ACCOUNT"}), None).unwrap();
    customer(&rig, CustomerKind::Raw { message: json!({"type": "hologram", "hologram": {"depth": 3}}) }).await;
    let from = phone(3);
    let text = |id: &str| json!({"from": from, "id": id, "timestamp": seconds().to_string(), "type": "text", "text": {"body": "hi"}});
    // A number nobody configured.
    let stranger = envelope(value_of("999999999999999", json!({"messages": [text("wamid.unknown-number")]})));
    assert_eq!(deliver(&rig.program, &stranger).await.status, 200);
    // A status value nobody knows, in one body with one that is known.
    let statuses = json!({"statuses": [
        {"id": "wamid.s1", "status": "teleported", "timestamp": seconds().to_string(), "recipient_id": from},
        {"id": "wamid.s1", "status": "delivered", "timestamp": seconds().to_string(), "recipient_id": from}]});
    assert_eq!(deliver(&rig.program, &envelope(value_of(NUMBER, statuses))).await.status, 200);
    // A message without a sender, and one in another shape.
    let nameless = json!({"messages": [
        {"id": "wamid.nobody", "timestamp": "1700000000", "type": "text", "text": {"body": "who am I"}},
        {"from": from, "id": "wamid.odd", "timestamp": [1], "type": "text", "text": "flat"}, text("wamid.after-odd")]});
    assert_eq!(deliver(&rig.program, &envelope(value_of(NUMBER, nameless))).await.status, 200);

    rig.stored("wamid.unknown-number").await;
    rig.stored("wamid.after-odd").await;
    let wanted =
        ["field_of_tomorrow", "secret_of_the_future", "999999999999999", "teleported", "wamid.nobody", "hologram"];
    let all = eventually(LONG, "all of it is shown", || async {
        let shown = rig.cli(&["events", "--kind", "webhook.unrecognised", "--json"]).await;
        wanted.iter().all(|w| shown.out.contains(w)).then(|| shown.lines())
    })
    .await;
    assert!(all.iter().all(|e| e["kind"] == "webhook.unrecognised" && e["data"]["reason"].is_string()), "{all:?}");
    let odd = rig.by_wamid().await.contains_key("wamid.odd") || all.iter().any(|e| e.to_string().contains("wamid.odd"));
    assert!(odd, "the odd message is stored or shown");
    assert_eq!(rig.events("status.unmatched").await.len(), 1);
    let notice = rig.events("account.notice").await;
    assert!(notice.iter().any(|e| e["data"]["event"] == "VERIFIED_ACCOUNT"), "{notice:?}");
    let text = rig.cli(&["events", "--kind", "webhook.unrecognised"]).await;
    assert!(text.out.contains("teleported"), "people can read it too: {}", text.out);
    assert!(rig.status().await["unrecognised"].as_i64().unwrap() >= 4);
}

#[tokio::test]
async fn someone_with_a_username_and_no_phone_can_be_answered() {
    let rig = Setup::sqlite().start().await;
    let user_id = "BR.13491208655302741918";
    let who = Customer {
        user_id: Some(user_id.into()),
        username: Some("bea.plants".into()),
        name: Some("Bea".into()),
        ..Customer::default()
    };
    let mut hello = CustomerMessage::new(who, CustomerKind::Text { body: "no phone here".into() });
    hello.hide_phone = true;
    let wamid = rig.graph.customer_sends(hello.clone()).await.unwrap();
    let message = rig.stored(&wamid).await;
    let person = message["person_id"].as_str().unwrap().to_owned();
    let (status, by_person) =
        rig.send(json!({"to": {"person": person}, "message": {"type": "text", "body": "hi Bea"}})).await;
    assert_eq!(status, 202, "{by_person}");
    let (status, by_user) =
        rig.send(json!({"to": {"user_id": user_id}, "message": {"type": "text", "body": "again"}})).await;
    assert_eq!(status, 202, "{by_user}");
    assert_eq!(by_user["person_id"], person.as_str(), "the same person");
    for sent in [&by_person, &by_user] {
        rig.reaches(sent["id"].as_str().unwrap(), &["read"]).await;
    }
    let sent = rig.graph.sent_messages();
    assert_eq!(sent.len(), 2);
    for message in &sent {
        let body = message.body.as_ref().unwrap();
        assert_eq!((&body["recipient"], body.get("to")), (&json!(user_id), None), "{body}");
    }
    // Later the same person shows their phone: still one person.
    let mut with_phone = hello;
    with_phone.hide_phone = false;
    with_phone.from.wa_id = Some(phone(5));
    let wamid = rig.graph.customer_sends(with_phone).await.unwrap();
    assert_eq!(rig.stored(&wamid).await["person_id"], person.as_str());
    let ids: Vec<String> = rig.messages().await.iter().map(|m| m["id"].as_str().unwrap().to_owned()).collect();
    rig.crm_has(&ids, LONG).await;
    assert_eq!(rig.hubspot.contacts().len(), 1);
}

#[tokio::test]
async fn people_who_change_their_number_stay_the_same_people() {
    let rig = Setup::sqlite().no_crm().start().await;
    let before = customer(&rig, CustomerKind::Text { body: "old number".into() }).await;
    let before = rig.stored(&before).await;
    customer(&rig, CustomerKind::ChangedNumber { new_wa_id: phone(9) }).await;
    eventually(LONG, "the change is known", || async {
        rig.by_wamid().await.values().find(|m| m["kind"] == "system").cloned()
    })
    .await;
    let after = CustomerMessage::text(&phone(9), "Bea", "new number");
    let after = rig.graph.customer_sends(after).await.unwrap();
    let after = rig.stored(&after).await;
    assert_eq!(before["person_id"], after["person_id"]);
    assert_eq!(before["conversation_id"], after["conversation_id"]);
    // An answer goes to the new number.
    let person = after["person_id"].as_str().unwrap();
    let (status, sent) =
        rig.send(json!({"to": {"person": person}, "message": {"type": "text", "body": "noted"}})).await;
    assert_eq!(status, 202);
    rig.reaches(sent["id"].as_str().unwrap(), &["read"]).await;
    assert_eq!(rig.graph.sent_messages()[0].wa_id.as_deref(), Some(phone(9).as_str()));
}
