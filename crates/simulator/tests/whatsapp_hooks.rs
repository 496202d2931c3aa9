//! Webhooks, customers, media, templates and the control interface over real HTTP.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing, clippy::panic)]

mod support;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use ponte_simulator::whatsapp::{Customer, CustomerKind, CustomerMessage, Faults, Simulator, WebhookTarget};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use std::collections::HashSet;
use std::time::{Duration, Instant};
use support::{Bench, NUMBER, Receiver, TOKEN, WABA, quick, text};

const ANA: &str = "+5511987654321";

#[tokio::test]
async fn statuses_are_signed_and_complete() {
    let bench = Bench::start(quick()).await;
    bench.open("5511987654321").await;
    let wamid = bench
        .send(ANA, json!({"type": "text", "text": {"body": "x"}, "biz_opaque_callback_data": "our-1"}))
        .await
        .wamid();
    bench.hook.until("read", |hook| hook.statuses_of(&wamid).len() == 3).await;
    assert_eq!(bench.hook.statuses_of(&wamid), ["sent", "delivered", "read"]);
    let statuses: Vec<Value> = bench.hook.statuses();
    for status in &statuses {
        assert_eq!(
            (&status["recipient_id"], &status["biz_opaque_callback_data"]),
            (&json!("5511987654321"), &json!("our-1"))
        );
        assert!(status["timestamp"].is_string() && status["recipient_user_id"].as_str().unwrap().starts_with("BR."));
        assert!(status.get("conversation").is_none(), "gone since v24");
    }
    let priced: Vec<&Value> = statuses.iter().filter_map(|status| status.get("pricing")).collect();
    assert_eq!(
        priced,
        [&json!({"billable": false, "pricing_model": "PMP", "type": "free_customer_service", "category": "service"})]
    );
    let change = &bench.hook.changes("messages")[0];
    assert_eq!(change["value"]["metadata"], json!({"display_phone_number": "15550783881", "phone_number_id": NUMBER}));
    bench.hook.until("acknowledged", |_| bench.sim.stats().statuses_acknowledged == 3).await;
    let ledger = bench.sim.sent_messages();
    assert!(ledger[0].statuses.iter().all(|mark| mark.acknowledged_at_ms.is_some()));
    assert_eq!(bench.sim.stats().invalid_signature_answers, 0);
}

#[tokio::test]
async fn refused_webhooks_are_posted_again_until_200() {
    let mut config = quick();
    config.delivery.retry_first_ms = 40;
    let bench = Bench::start(config).await;
    bench.hook.answers.lock().unwrap().extend([500, 503, 404]);
    let begin = Instant::now();
    let wamid = bench.open("5511987654321").await;
    bench.hook.until("third retry", |hook| hook.messages().iter().any(|message| message["id"] == wamid.as_str())).await;
    assert!(begin.elapsed() >= Duration::from_millis(40 + 80 + 160), "the pauses double");
    assert_eq!(bench.hook.posts.lock().unwrap().len(), 4);
    bench.hook.until("acknowledged", |_| bench.sim.stats().inbound_acknowledged == 1).await;
    let stats = bench.sim.stats();
    assert_eq!((stats.webhooks_posted, stats.webhooks_failed, stats.webhooks_acknowledged), (4, 3, 1));
    assert!(bench.sim.inbound_messages()[0].acknowledged_at_ms.is_some());
}

#[tokio::test]
async fn a_webhook_outage_loses_nothing_and_the_receiver_may_move() {
    let bench = Bench::start(quick()).await;
    bench.sim.set_faults(Faults { webhook_outage: true, ..Faults::default() });
    for person in 10..40 {
        bench.open(&format!("55119876543{person}")).await;
    }
    tokio::time::sleep(Duration::from_millis(100)).await;
    assert_eq!(bench.sim.stats().webhooks_posted, 0);
    let moved = Receiver::start().await;
    bench.sim.set_webhook(WebhookTarget { url: moved.url.clone(), verify_token: "right".into() });
    bench.sim.set_faults(Faults::default());
    moved.until("all thirty", |hook| hook.messages().len() == 30).await;
    assert!(bench.hook.messages().is_empty());
    assert!(bench.sim.webhooks_idle(Duration::from_secs(5)).await);
    assert_eq!(bench.sim.stats().inbound_acknowledged, 30);
}

#[tokio::test]
async fn duplicates_disorder_and_bad_signatures_are_injected() {
    let bench = Bench::start(quick()).await;
    bench.sim.set_faults(Faults {
        webhook_duplicates: 1.0,
        webhook_reordered: 1.0,
        webhook_reorder_window_ms: 150,
        webhook_bad_signatures: 0.5,
        ..Faults::default()
    });
    let mut sent = Vec::new();
    for _ in 0..30 {
        sent.push(bench.open("5511987654321").await);
    }
    bench.hook.until("each twice", |hook| hook.messages().len() == 60).await;
    let order: Vec<String> =
        bench.hook.messages().iter().map(|message| message["id"].as_str().unwrap().to_owned()).collect();
    assert_eq!(order.iter().collect::<HashSet<_>>().len(), 30);
    let first_seen: Vec<&String> = order.iter().fold(Vec::new(), |mut seen, id| {
        if !seen.contains(&id) {
            seen.push(id);
        }
        seen
    });
    assert_ne!(first_seen, sent.iter().collect::<Vec<_>>(), "later ones overtake");
    let stats = bench.sim.stats();
    assert_eq!((stats.inbound_generated, stats.duplicates_injected), (30, 30));
    assert!(stats.bad_signatures_sent > 0 && stats.bad_signatures_accepted == 0);
    bench.hook.until("acknowledged once", |_| bench.sim.stats().inbound_acknowledged == 30).await;
}

#[tokio::test]
async fn many_waiting_updates_travel_together() {
    let mut config = quick();
    config.delivery.gather_ms = 100;
    config.delivery.body_max = 200_000;
    let bench = Bench::start(config).await;
    let burst: Vec<Value> = (0..1_500)
        .map(|at| json!({"from": {"wa_id": format!("5511987{at:06}"), "name": "Ana"}, "message": {"type": "text", "body": "oi"},
            "phone_number_id": if at % 2 == 0 { NUMBER } else { "106540352242933" }}))
        .collect();
    let answer = bench.call("POST", "/_sim/inbound", Some(json!(burst))).await;
    assert_eq!(answer.body["wamids"].as_array().unwrap().len(), 1_500);
    bench.hook.until("all", |hook| hook.messages().len() == 1_500).await;
    let posts = bench.hook.posts.lock().unwrap().clone();
    assert!((3..60).contains(&posts.len()), "{}", posts.len());
    assert!(posts.iter().all(|(_, body)| body.len() <= 260_000));
    for body in bench.hook.bodies() {
        for change in body["entry"][0]["changes"].as_array().unwrap() {
            let value = &change["value"];
            assert_eq!(value["contacts"].as_array().unwrap().len(), value["messages"].as_array().unwrap().len());
        }
    }
}

#[tokio::test]
async fn customers_do_everything_the_platform_reports() {
    let bench = Bench::start(quick()).await;
    let first = bench.open("16505551234").await;
    let kinds: Vec<(Value, &str)> = vec![
        (json!({"type": "image", "caption": "c"}), "image"),
        (json!({"type": "video"}), "video"),
        (json!({"type": "audio", "voice": true}), "audio"),
        (json!({"type": "sticker", "animated": true}), "sticker"),
        (json!({"type": "document", "filename": "../../etc/passwd"}), "document"),
        (json!({"type": "location", "latitude": 1.5, "longitude": 2.5, "name": "here"}), "location"),
        (json!({"type": "contacts", "contacts": [{"name": {"formatted_name": "A"}}]}), "contacts"),
        (json!({"type": "shared_contact", "phone": "16505551234"}), "contacts"),
        (json!({"type": "button_reply", "id": "1", "title": "Yes"}), "interactive"),
        (json!({"type": "list_reply", "id": "1", "title": "Row", "description": "d"}), "interactive"),
        (json!({"type": "nfm_reply", "response_json": "{\"flow_token\":\"x\"}"}), "interactive"),
        (json!({"type": "call_permission_reply", "accept": true}), "interactive"),
        (json!({"type": "interactive_broken"}), "interactive"),
        (json!({"type": "button", "payload": "p", "text": "t"}), "button"),
        (json!({"type": "order", "catalog_id": "1", "product_items": []}), "order"),
        (json!({"type": "reaction", "message_id": first, "emoji": "👍"}), "reaction"),
        (json!({"type": "reaction", "message_id": first}), "reaction"),
        (json!({"type": "unsupported", "of": "poll_creation"}), "unsupported"),
        (json!({"type": "edit", "original_message_id": first, "body": "better"}), "edit"),
        (json!({"type": "revoke", "original_message_id": first}), "revoke"),
        (json!({"type": "too_big", "kind": "video"}), "video"),
        (json!({"type": "identity_changed", "hash": "h"}), "system"),
        (json!({"type": "changed_number", "new_wa_id": "16505559999"}), "system"),
        (json!({"type": "raw", "message": {"type": "hologram", "hologram": {"x": 1}}}), "hologram"),
    ];
    for (at, (kind, shown)) in kinds.iter().enumerate() {
        let body = json!({"from": {"wa_id": if at == kinds.len() - 1 { "16505559999" } else { "16505551234" }, "name": "Bo"}, "message": kind});
        let answer = bench.call("POST", "/_sim/inbound", Some(body)).await;
        assert_eq!(answer.status, 200, "{kind}: {}", answer.body);
        let wamid = answer.body["wamids"][0].as_str().unwrap().to_owned();
        let find = |hook: &Receiver| hook.messages().into_iter().find(|message| message["id"] == wamid.as_str());
        bench.hook.until("arrival", |hook| find(hook).is_some()).await;
        let message = find(&bench.hook).unwrap();
        assert_eq!(message["type"], *shown, "{message}");
        assert!(message["timestamp"].is_string() && message["from_user_id"].is_string());
    }
    let of =
        |kind: &str| bench.hook.messages().into_iter().filter(|message| message["type"] == kind).collect::<Vec<_>>();
    assert_eq!(of("reaction")[1]["reaction"], json!({"message_id": first}), "a removal");
    assert_eq!(of("unsupported")[0]["errors"][0]["code"], 131_051);
    let moved = of("system").pop().unwrap();
    assert_eq!(
        (&moved["from"], &moved["system"]["wa_id"], &moved["system"]["type"]),
        (&json!("16505551234"), &json!("16505559999"), &json!("user_changed_number"))
    );
    assert_ne!(moved["system"]["user_id"], moved["system"]["previous_user_id"]);
    let broken =
        bench.hook.changes("messages").into_iter().find(|change| change["value"]["errors"].is_array()).unwrap();
    assert_eq!(broken["value"]["errors"][0]["code"], 131_000);
    let bad = bench
        .call("POST", "/_sim/inbound", Some(json!({"from": {"wa_id": "1650"}, "message": {"type": "nonsense"}})))
        .await;
    assert_eq!(bad.status, 400);
}

#[tokio::test]
async fn people_without_a_number_are_reached_by_their_id() {
    let bench = Bench::start(quick()).await;
    let from = Customer {
        user_id: Some("US.13491208655302741918".into()),
        username: Some("sheena.n".into()),
        name: Some("Sheena".into()),
        ..Customer::default()
    };
    let mut message = CustomerMessage::new(from, CustomerKind::Text { body: "hi".into() });
    message.referral = Some(json!(true));
    bench.sim.customer_sends(message).await.unwrap();
    bench.hook.until("message", |hook| !hook.messages().is_empty()).await;
    let value = bench.hook.changes("messages")[0]["value"].clone();
    assert_eq!(
        value["contacts"],
        json!([{"profile": {"name": "Sheena", "username": "sheena.n"}, "user_id": "US.13491208655302741918"}])
    );
    assert!(value["messages"][0].get("from").is_none() && value["messages"][0]["referral"]["ctwa_clid"].is_string());
    let mut body = text("hello");
    body["to"] = Value::Null;
    body["recipient"] = json!("US.13491208655302741918");
    let answer = bench.send("", body).await;
    assert_eq!(
        answer.body["contacts"],
        json!([{"input": "US.13491208655302741918", "user_id": "US.13491208655302741918"}])
    );
    let wamid = answer.wamid();
    bench.hook.until("read", |hook| hook.statuses_of(&wamid).len() == 3).await;
    let statuses = bench.hook.statuses();
    assert!(
        statuses
            .iter()
            .all(|status| status.get("recipient_id").is_none()
                && status["recipient_user_id"] == "US.13491208655302741918")
    );
    assert!(statuses.iter().any(|status| status["pricing"]["type"] == "free_entry_point"));
    let stop =
        json!({"from": {"user_id": "US.13491208655302741918"}, "message": {"type": "preference", "value": "stop"}});
    bench.call("POST", "/_sim/inbound", Some(stop)).await;
    bench.hook.until("stop", |hook| !hook.changes("user_preferences").is_empty()).await;
    let change = &bench.hook.changes("user_preferences")[0]["value"]["user_preferences"][0];
    assert_eq!((&change["value"], &change["category"]), (&json!("stop"), &json!("marketing_messages")));
}

#[tokio::test]
async fn media_go_round() {
    let mut config = quick();
    config.rules.media_url_ms = 1_000;
    let bench = Bench::start(config).await;
    bench.open("5511987654321").await;
    let upload = async |mime: &str, bytes: Vec<u8>| {
        let part = reqwest::multipart::Part::bytes(bytes).file_name("f").mime_str(mime).unwrap();
        let form = reqwest::multipart::Form::new().text("messaging_product", "whatsapp").part("file", part);
        let url = format!("{}/v26.0/{NUMBER}/media", bench.sim.base_url());
        let answer = bench.http.post(url).bearer_auth(TOKEN).multipart(form).send().await.unwrap();
        answer.json::<Value>().await.unwrap()
    };
    assert_eq!(upload("application/x-msdownload", vec![1]).await["error"]["code"], 100);
    assert_eq!(upload("image/png", vec![0; 5 * 1024 * 1024 + 1]).await["error"]["code"], 100);
    let bytes = vec![7_u8; 3_000_000];
    let id = upload("image/png", bytes.clone()).await["id"].as_str().unwrap().to_owned();
    let shown = bench.call("GET", &format!("/v26.0/{id}?phone_number_id={NUMBER}"), None).await.body;
    assert_eq!((&shown["mime_type"], &shown["file_size"]), (&json!("image/png"), &json!(3_000_000)));
    let url = shown["url"].as_str().unwrap().to_owned();
    assert_eq!(bench.http.get(&url).send().await.unwrap().status(), 401);
    assert_eq!(bench.http.get(url.replace("hash=", "hash=0")).bearer_auth(TOKEN).send().await.unwrap().status(), 404);
    let answer = bench.http.get(&url).bearer_auth(TOKEN).send().await.unwrap();
    assert_eq!(answer.headers()["content-type"], "image/png");
    assert_eq!(answer.bytes().await.unwrap().as_ref(), bytes.as_slice());
    bench.send(ANA, json!({"type": "image", "image": {"id": id}})).await.wamid();
    let wrong = bench.send(ANA, json!({"type": "video", "video": {"id": id}})).await.wamid();
    bench.hook.until("131053", |hook| hook.statuses_of(&wrong) == ["failed"]).await;
    tokio::time::sleep(Duration::from_millis(1_050)).await;
    assert_eq!(bench.http.get(&url).bearer_auth(TOKEN).send().await.unwrap().status(), 404, "the address has expired");
    assert_eq!(bench.call("DELETE", &format!("/v26.0/{id}"), None).await.body, json!({"success": true}));
    assert_eq!(bench.call("GET", &format!("/v26.0/{id}"), None).await.body["error"]["error_subcode"], 33);

    bench
        .sim
        .customer_sends(CustomerMessage::from_phone("5511987654321", "Ana", CustomerKind::Image { caption: None }))
        .await
        .unwrap();
    bench.hook.until("picture", |hook| hook.messages().iter().any(|message| message["type"] == "image")).await;
    let image = bench.hook.messages().into_iter().find(|message| message["type"] == "image").unwrap()["image"].clone();
    let answer = bench.http.get(image["url"].as_str().unwrap()).bearer_auth(TOKEN).send().await.unwrap();
    let file = answer.bytes().await.unwrap();
    assert_eq!(image["sha256"], STANDARD.encode(Sha256::digest(&file)));
}

#[tokio::test]
async fn templates_are_created_reviewed_paged_edited_and_deleted() {
    let bench = Bench::start(quick()).await;
    let path = format!("/v26.0/{WABA}/message_templates");
    let body = |text: &str| json!([{"type": "BODY", "text": text, "example": {"body_text": [["a"]]}}]);
    let new = |name: &str, text: &str| json!({"name": name, "category": "UTILITY", "language": "pt_BR", "components": body(text)});
    for (name, text, subcode) in [
        ("edge", "{{1}} is ready for you now", json!(2_388_299)),
        ("gap", "Your order {{2}} is ready now", json!(2_388_072)),
        ("dense", "Hi {{1}}.", json!(2_388_293)),
        ("Upper", "Your order {{1}} is ready now", Value::Null),
    ] {
        let answer = bench.call("POST", &path, Some(new(name, text))).await;
        assert_eq!((answer.code(), &answer.body["error"]["error_subcode"]), (100, &subcode), "{name}: {}", answer.body);
    }
    let created = bench.call("POST", &path, Some(new("pickup_ready", "Your order {{1}} is ready now"))).await.body;
    assert_eq!(created["status"], "PENDING");
    bench.call("POST", &path, Some(new("reject_me", "Your order {{1}} is ready now"))).await;
    bench.hook.until("two decisions", |hook| hook.changes("message_template_status_update").len() == 2).await;
    let changes = bench.hook.changes("message_template_status_update");
    let approved = changes.iter().find(|change| change["value"]["event"] == "APPROVED").unwrap();
    assert_eq!(approved["value"]["message_template_id"].to_string(), created["id"].as_str().unwrap());
    assert!(bench.hook.bodies()[0]["entry"][0]["time"].is_i64());
    let mut names = Vec::new();
    let mut after = String::new();
    loop {
        let page = bench.call("GET", &format!("{path}?limit=3&fields=id,name,status&after={after}"), None).await.body;
        names.extend(
            page["data"].as_array().unwrap().iter().map(|template| template["name"].as_str().unwrap().to_owned()),
        );
        if page["paging"]["next"].is_null() {
            break;
        }
        after = page["paging"]["cursors"]["after"].as_str().unwrap().to_owned();
    }
    assert_eq!((names.len(), names.iter().filter(|name| *name == "pickup_ready").count()), (10, 1));
    assert_eq!(bench.call("GET", &format!("{path}?after=nonsense"), None).await.code(), 131_059);
    assert_eq!(
        bench.call("GET", &format!("{path}?status=REJECTED"), None).await.body["data"].as_array().unwrap().len(),
        1
    );
    let id = created["id"].as_str().unwrap();
    let edited = bench
        .call("POST", &format!("/v26.0/{id}"), Some(json!({"components": body("Your parcel {{1}} is ready now")})))
        .await;
    assert_eq!(edited.body, json!({"success": true}));
    assert_eq!(bench.call("DELETE", &format!("{path}?name=pickup_ready"), None).await.body, json!({"success": true}));
    let gone = bench.call("DELETE", &format!("{path}?name=pickup_ready"), None).await;
    assert_eq!(gone.code(), 100);
    assert!(gone.headers.get("x-business-use-case-usage").is_none());
    let listed = bench.call("GET", &path, None).await;
    assert!(listed.headers["x-business-use-case-usage"].to_str().unwrap().contains(WABA));
}

#[tokio::test]
async fn subscriptions_are_verified_and_needed_on_both_levels() {
    let hook = Receiver::start().await;
    let bench = Bench::bare(quick(), hook.clone()).await;
    bench.open("5511987654321").await;
    bench.hook.until("nobody listens", |_| bench.sim.stats().updates_unsubscribed == 1).await;
    let app = "/v26.0/670843887433847/subscriptions";
    let app_token = "670843887433847|simulated-app-secret";
    let with = |token: &str, fields: &str| json!({"object": "whatsapp_business_account", "callback_url": hook.url, "verify_token": token, "fields": fields});
    assert_eq!(bench.call_as(app_token, "POST", app, Some(with("wrong", "messages"))).await.code(), 2200);
    assert_eq!(
        bench.call_as(app_token, "POST", app, Some(with("right", "messages"))).await.body,
        json!({"success": true})
    );
    assert_eq!(
        bench.call_as(app_token, "GET", app, None).await.body["data"][0]["fields"],
        json!([{"name": "messages", "version": "v26.0"}])
    );
    bench.open("5511987654321").await;
    bench.hook.until("the account is missing", |_| bench.sim.stats().updates_unsubscribed == 2).await;
    let account = format!("/v26.0/{WABA}/subscribed_apps");
    assert_eq!(bench.call("POST", &account, None).await.body, json!({"success": true}));
    bench.open("5511987654321").await;
    bench.hook.until("message", |hook| hook.messages().len() == 1).await;
    bench.sim.inject("account_update", &json!({"event": "ACCOUNT_RESTRICTION"}), None).unwrap();
    bench.hook.until("field not subscribed", |_| bench.sim.stats().updates_unsubscribed == 3).await;
    let other = Receiver::start().await;
    let over = json!({"webhook_configuration": {"override_callback_uri": other.url, "verify_token": "right"}});
    assert_eq!(bench.call("POST", &format!("/v26.0/{NUMBER}"), Some(over)).await.body, json!({"success": true}));
    bench.open("5511987654321").await;
    other.until("override", |hook| hook.messages().len() == 1).await;
    assert_eq!(bench.hook.messages().len(), 1);
    let token = bench.call_as(app_token, "GET", &format!("/v26.0/debug_token?input_token={TOKEN}"), None).await.body;
    assert_eq!((&token["data"]["is_valid"], &token["data"]["expires_at"]), (&json!(true), &json!(0)));
    assert_eq!(bench.call_as(app_token, "GET", &account, None).await.code(), 190, "an app token is for app calls");
}

#[tokio::test]
async fn numbers_register_block_and_show_themselves() {
    let mut config = quick();
    config.wabas[0].numbers[0].registered = false;
    config.wabas[0].numbers[0].verified = false;
    let bench = Bench::start(config).await;
    bench.open("5511987654321").await;
    let post = async |edge: &str, body: Value| bench.call("POST", &format!("/v26.0/{NUMBER}/{edge}"), Some(body)).await;
    assert_eq!(bench.send(ANA, text("x")).await.code(), 133_010);
    assert_eq!(post("register", json!({"messaging_product": "whatsapp", "pin": "123456"})).await.code(), 133_006);
    assert_eq!(post("request_code", json!({"code_method": "SMS", "language": "en_US"})).await.status, 200);
    assert_eq!(post("verify_code", json!({"code": "000000"})).await.code(), 136_025);
    assert_eq!(post("verify_code", json!({"code": "123456"})).await.status, 200);
    assert_eq!(post("request_code", json!({"code_method": "SMS", "language": "en_US"})).await.code(), 136_024);
    assert_eq!(post("register", json!({"pin": "12"})).await.code(), 131_009);
    assert_eq!(post("register", json!({"pin": "123456"})).await.status, 200);
    assert_eq!(post("register", json!({"pin": "654321"})).await.code(), 133_005);
    bench.send(ANA, text("x")).await.wamid();
    let shown =
        bench.call("GET", &format!("/v26.0/{NUMBER}?fields=status,quality_rating,health_status"), None).await.body;
    assert_eq!(
        (&shown["status"], &shown["id"], &shown["health_status"]["can_send_message"]),
        (&json!("CONNECTED"), &json!(NUMBER), &json!("AVAILABLE"))
    );
    assert_eq!(
        bench.call("GET", &format!("/v26.0/{WABA}/phone_numbers"), None).await.body["data"].as_array().unwrap().len(),
        2
    );
    let user = json!({"messaging_product": "whatsapp", "block_users": [{"user": ANA}]});
    assert_eq!(post("block_users", user.clone()).await.status, 200);
    assert_eq!(bench.send(ANA, text("x")).await.code(), 130_403);
    assert_eq!(bench.call("DELETE", &format!("/v26.0/{NUMBER}/block_users"), Some(user)).await.status, 200);
    bench.send(ANA, text("x")).await.wamid();
    assert_eq!(
        post("whatsapp_business_profile", json!({"messaging_product": "whatsapp", "about": ""})).await.code(),
        100
    );
    post("whatsapp_business_profile", json!({"messaging_product": "whatsapp", "about": "Plants"})).await;
    let profile = bench.call("GET", &format!("/v26.0/{NUMBER}/whatsapp_business_profile"), None).await.body;
    assert_eq!(profile["data"][0]["about"], "Plants");
}

#[tokio::test]
async fn the_control_interface_drives_everything() {
    let bench = Bench::start(quick()).await;
    assert!(bench.call("GET", "/_sim/", None).await.body["control"].is_object());
    let steady = json!({"count": 200, "per_second": 2_000.0, "customers": 20});
    assert_eq!(bench.call("POST", "/_sim/inbound", Some(steady)).await.body, json!({"started": 200}));
    bench.hook.until("two hundred", |hook| hook.messages().len() == 200).await;
    bench.hook.until("acknowledged", |_| bench.sim.stats().inbound_acknowledged == 200).await;
    let page = bench.call("GET", "/_sim/inbound?after=190&limit=50", None).await.body;
    assert_eq!((page["data"].as_array().unwrap().len(), &page["next"], &page["total"]), (10, &json!(200), &json!(200)));
    assert!(page["data"][0]["acknowledged_at_ms"].is_i64());
    assert_eq!(
        bench.call("PUT", "/_sim/faults", Some(json!({"tiemout": 1}))).await.status,
        400,
        "misspelt faults are refused"
    );
    let set = bench.call("PUT", "/_sim/faults", Some(json!({"errors": {"131000": 1.0}}))).await.body;
    assert_eq!(set["errors"]["131000"], 1.0);
    assert_eq!(bench.send(ANA, text("x")).await.code(), 131_000);
    bench.call("PUT", "/_sim/faults", Some(json!({}))).await;
    let raw = json!({"field": "account_update", "value": {"event": "DISABLED_UPDATE", "ban_info": {"waba_ban_state": "DISABLE"}}});
    bench.call("POST", "/_sim/raw", Some(raw)).await;
    bench.hook.until("raw", |hook| hook.changes("account_update").len() == 1).await;
    bench.open("5511987654321").await;
    bench.send(ANA, json!({"type": "text", "text": {"body": "x"}, "biz_opaque_callback_data": "k"})).await.wamid();
    let page = bench.call("GET", "/_sim/messages", None).await.body;
    assert_eq!(
        (&page["data"][0]["opaque"], &page["data"][0]["type"], &page["total"]),
        (&json!("k"), &json!("text"), &json!(1))
    );
    assert_eq!(page["data"][0]["body"]["text"]["body"], "x");
    let wrong = json!({"url": bench.hook.url, "verify_token": "wrong"});
    assert_eq!(bench.call("PUT", "/_sim/webhook", Some(wrong)).await.status, 400);
    let right = json!({"url": bench.hook.url, "verify_token": "right"});
    assert_eq!(bench.call("PUT", "/_sim/webhook", Some(right)).await.body["verified"], true);
    bench.call("POST", "/_sim/reset", None).await;
    assert_eq!(bench.call("GET", "/_sim/messages", None).await.body["total"], 0);
    let addr = bench.sim.addr();
    let Bench { sim, .. } = bench;
    Simulator::shutdown(sim).await;
    assert!(tokio::net::TcpStream::connect(addr).await.is_err());
}
