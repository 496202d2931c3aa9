//! Sends and their rules over real HTTP: strict errors, windows, limits, templates, lost answers, repeatability.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing, clippy::panic)]

mod support;

use ponte_simulator::whatsapp::{Clock, CustomerKind, CustomerMessage, ErrorPlace, Faults, MissingPlus, signature};
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;
use support::{Bench, NUMBER, quick, text};

const ANA: &str = "+5511987654321";

fn long(length: usize) -> String {
    "x".repeat(length)
}

#[tokio::test]
async fn wrong_sends_get_the_documented_errors() {
    let bench = Bench::start(quick()).await;
    bench.open("5511987654321").await;
    let button = |title: &str, id: &str| json!({"type": "reply", "reply": {"id": id, "title": title}});
    let buttons = |list: Value| json!({"type": "interactive", "interactive": {"type": "button", "body": {"text": "?"}, "action": {"buttons": list}}});
    let list = |rows: usize| {
        let rows: Vec<Value> =
            (0..rows).map(|at| json!({"id": at.to_string(), "title": format!("row {at}")})).collect();
        json!({"type": "interactive", "interactive": {"type": "list", "body": {"text": "?"}, "action": {"button": "Pick", "sections": [{"rows": rows}]}}})
    };
    let cases: Vec<(&str, Value, u64)> = vec![
        ("no product", json!({"messaging_product": null, "type": "text", "text": {"body": "x"}}), 100),
        ("no recipient", json!({"to": null, "type": "text", "text": {"body": "x"}}), 131_008),
        ("junk recipient", json!({"to": "nobody", "type": "text", "text": {"body": "x"}}), 131_009),
        (
            "number as recipient",
            json!({"to": null, "recipient": "5511987654321", "type": "text", "text": {"body": "x"}}),
            131_009,
        ),
        ("no type", json!({}), 131_008),
        ("unknown type", json!({"type": "hologram"}), 100),
        ("no body", json!({"type": "text", "text": {}}), 131_008),
        ("empty body", text(""), 131_008),
        ("long body", text(&long(4_097)), 100),
        ("body of the wrong type", json!({"type": "text", "text": {"body": 7}}), 100),
        ("opaque too long", json!({"type": "text", "text": {"body": "x"}, "biz_opaque_callback_data": long(513)}), 100),
        ("context without id", json!({"type": "text", "text": {"body": "x"}, "context": {}}), 131_008),
        ("group", json!({"recipient_type": "group", "type": "text", "text": {"body": "x"}}), 131_000),
        ("image without source", json!({"type": "image", "image": {}}), 131_008),
        (
            "image with two sources",
            json!({"type": "image", "image": {"id": "1", "link": "https://a.example/b.png"}}),
            100,
        ),
        ("unknown media", json!({"type": "image", "image": {"id": "42"}}), 131_009),
        ("bad link", json!({"type": "image", "image": {"link": "ftp://a.example/b.png"}}), 131_009),
        (
            "long caption",
            json!({"type": "video", "video": {"link": "https://a.example/b.mp4", "caption": long(1_025)}}),
            100,
        ),
        (
            "caption on audio",
            json!({"type": "audio", "audio": {"link": "https://a.example/b.ogg", "caption": "x"}}),
            100,
        ),
        ("place off the globe", json!({"type": "location", "location": {"latitude": 91, "longitude": 0}}), 131_009),
        ("no longitude", json!({"type": "location", "location": {"latitude": 1}}), 131_008),
        (
            "contact with one name",
            json!({"type": "contacts", "contacts": [{"name": {"formatted_name": "A"}}]}),
            131_009,
        ),
        ("reaction to nothing", json!({"type": "reaction", "reaction": {"emoji": "👍"}}), 131_008),
        (
            "reaction with words",
            json!({"type": "reaction", "reaction": {"message_id": "wamid.x", "emoji": "ok"}}),
            131_009,
        ),
        ("no buttons", buttons(json!([])), 131_009),
        (
            "four buttons",
            buttons(json!([button("a", "1"), button("b", "2"), button("c", "3"), button("d", "4")])),
            131_009,
        ),
        ("same titles", buttons(json!([button("a", "1"), button("a", "2")])), 131_009),
        ("long title", buttons(json!([button(&long(21), "1")])), 100),
        ("eleven rows", list(11), 131_009),
        ("no rows", list(0), 131_009),
        (
            "link without address",
            json!({"type": "interactive", "interactive": {"type": "cta_url", "body": {"text": "x"},
            "action": {"name": "cta_url", "parameters": {"display_text": "go"}}}}),
            131_008,
        ),
        (
            "flow of an old version",
            json!({"type": "interactive", "interactive": {"type": "flow", "body": {"text": "x"},
            "action": {"name": "flow", "parameters": {"flow_message_version": "2", "flow_id": "1", "flow_cta": "go"}}}}),
            131_009,
        ),
        (
            "header on a list",
            json!({"type": "interactive", "interactive": {"type": "list", "header": {"type": "image"}, "body": {"text": "x"},
            "action": {"button": "b", "sections": [{"rows": [{"id": "1", "title": "t"}]}]}}}),
            131_009,
        ),
        ("read receipt for nothing", json!({"status": "read", "message_id": "wamid.none"}), 131_009),
    ];
    for (name, body, code) in &cases {
        let answer = bench.send(ANA, body.clone()).await;
        assert_eq!(answer.code(), *code, "{name}: {}", answer.body);
        let error = &answer.body["error"];
        assert!(
            answer.status >= 400 && error["message"].as_str().unwrap().starts_with(&format!("(#{code}) ")),
            "{name}"
        );
        assert_eq!(
            (&error["type"], &error["error_data"]["messaging_product"]),
            (&json!("OAuthException"), &json!("whatsapp")),
            "{name}"
        );
        assert_eq!(error["fbtrace_id"].as_str(), answer.headers["x-fb-trace-id"].to_str().ok(), "{name}");
    }
    let stats = bench.sim.stats();
    assert_eq!((stats.sends_accepted, stats.sends_refused.values().sum::<u64>()), (0, cases.len() as u64));
    assert!(bench.sim.sent_messages().is_empty());
}

#[tokio::test]
async fn valid_sends_of_every_kind_are_accepted() {
    let bench = Bench::start(quick()).await;
    let inbound = bench.open("5511987654321").await;
    let interactive = |kind: &str, more: Value, action: Value| {
        let mut object = json!({"type": kind, "body": {"text": "Hi"}, "action": action});
        object.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        json!({"type": "interactive", "interactive": object})
    };
    let bodies = [
        text("hello"),
        json!({"text": {"body": "no type, as the API tolerates"}, "context": {"message_id": inbound}}),
        json!({"type": "image", "image": {"link": "https://a.example/b.png", "caption": "c"}}),
        json!({"type": "audio", "audio": {"link": "https://a.example/b.ogg", "voice": true}}),
        json!({"type": "document", "document": {"link": "https://a.example/b.pdf", "filename": "b.pdf"}}),
        json!({"type": "sticker", "sticker": {"link": "https://a.example/b.webp"}}),
        json!({"type": "location", "location": {"latitude": -23.5, "longitude": "-46.6", "name": "SP"}}),
        json!({"type": "contacts", "contacts": [{"name": {"formatted_name": "A B", "first_name": "A"}, "phones": [{"phone": "+1650"}]}]}),
        json!({"type": "reaction", "reaction": {"message_id": inbound, "emoji": "👍🏽"}}),
        json!({"type": "reaction", "reaction": {"message_id": inbound, "emoji": ""}}),
        interactive(
            "button",
            json!({"footer": {"text": "f"}}),
            json!({"buttons": [{"type": "reply", "reply": {"id": "1", "title": "Yes"}}]}),
        ),
        interactive(
            "list",
            json!({"header": {"type": "text", "text": "h"}}),
            json!({"button": "Pick", "sections": [{"rows": [{"id": "1", "title": "t", "description": "d"}]}]}),
        ),
        interactive(
            "cta_url",
            json!({}),
            json!({"name": "cta_url", "parameters": {"display_text": "go", "url": "https://a.example"}}),
        ),
        interactive("location_request_message", json!({}), json!({"name": "send_location"})),
        interactive("request_contact_info", json!({}), json!({"name": "request_contact_info"})),
        interactive(
            "flow",
            json!({}),
            json!({"name": "flow", "parameters": {"flow_message_version": "3", "flow_id": "1", "flow_cta": "go", "flow_action": "navigate"}}),
        ),
        interactive("product", json!({}), json!({"catalog_id": "1", "product_retailer_id": "2"})),
        interactive(
            "product_list",
            json!({"header": {"type": "text", "text": "h"}}),
            json!({"catalog_id": "1", "sections": [{"title": "t", "product_items": [{"product_retailer_id": "1"}]}]}),
        ),
    ];
    let count = bodies.len();
    for body in bodies {
        let answer = bench.send(ANA, body.clone()).await;
        assert_eq!(answer.status, 200, "{body}: {}", answer.body);
        assert!(answer.wamid().starts_with("wamid."));
        assert_eq!(answer.body["contacts"], json!([{"input": ANA, "wa_id": "5511987654321"}]));
    }
    let receipt = bench
        .send(ANA, json!({"to": null, "status": "read", "message_id": inbound, "typing_indicator": {"type": "text"}}))
        .await;
    assert_eq!(receipt.body, json!({"success": true}));
    bench.send(ANA, json!({"type": "text", "text": {"body": "x"}, "made_up": 1})).await.wamid();
    let stats = bench.sim.stats();
    assert_eq!((stats.sends_accepted, stats.read_receipts, stats.unknown_fields), (count as u64 + 1, 1, 1));
    let voice = bench.sim.sent_messages().into_iter().find(|sent| sent.kind == "audio").unwrap().wamid;
    bench.hook.until("played", |hook| hook.statuses_of(&voice).contains(&"played".to_owned())).await;
    let reaction = bench.sim.sent_messages().into_iter().find(|sent| sent.kind == "reaction").unwrap().wamid;
    assert_eq!(bench.hook.statuses_of(&reaction), ["sent"]);
}

#[tokio::test]
async fn template_parameters_are_checked_against_the_definition() {
    let bench = Bench::start(quick()).await;
    let send = |name: &str, language: &str, components: Value| json!({"type": "template", "template": {"name": name, "language": {"code": language}, "components": components}});
    let p = |value: &str| json!({"type": "text", "text": value});
    let n = |name: &str, value: &str| json!({"type": "text", "parameter_name": name, "text": value});
    let order = |body: Value, url: Value| {
        send(
            "order_confirmation",
            "en_US",
            json!([{"type": "header", "parameters": [p("1")]}, {"type": "body", "parameters": body},
            {"type": "button", "sub_type": "url", "index": "0", "parameters": url}]),
        )
    };
    let good = json!([p("Ana"), p("#1"), p("Friday")]);
    let named = |body: Value| send("order_confirmation_named", "pt_BR", json!([{"type": "body", "parameters": body}]));
    let named_good = json!([n("delivery_date", "amanhã"), n("first_name", "Ana"), n("order_number", "1")]);
    let sale = |header: Value, code: &str| {
        send(
            "spring_sale",
            "en_US",
            json!([{"type": "header", "parameters": [header]},
        {"type": "body", "parameters": [p("Ana"), p("25OFF")]}, {"type": "button", "sub_type": "copy_code", "index": 0, "parameters": [{"type": "coupon_code", "coupon_code": code}]}]),
        )
    };
    let image = json!({"type": "image", "image": {"link": "https://a.example/b.png"}});
    let login = |code: &str, button: &str| {
        send(
            "login_code",
            "en_US",
            json!([{"type": "body", "parameters": [p(code)]},
        {"type": "button", "sub_type": "url", "index": "0", "parameters": [p(button)]}]),
        )
    };
    let cases = [
        ("positional", order(good.clone(), json!([p("1")])), 0),
        ("named, any order", named(named_good), 0),
        ("media and coupon", sale(image.clone(), "25OFF"), 0),
        ("one-time code", login("123456", "123456"), 0),
        ("no parameters", send("hello_world", "en_US", json!([])), 0),
        ("unknown name", send("nothing", "en_US", json!([])), 132_001),
        ("unknown language", send("order_confirmation", "fr", json!([])), 132_001),
        ("paused", send("win_back", "en_US", json!([{"type": "body", "parameters": [p("Ana")]}])), 132_015),
        ("too few", order(json!([p("Ana")]), json!([p("1")])), 132_000),
        ("none", send("appointment_reminder", "en_US", json!([])), 132_000),
        ("too many", send("hello_world", "en_US", json!([{"type": "body", "parameters": [p("x")]}])), 132_000),
        ("line break", order(json!([p("A\nna"), p("#1"), p("Friday")]), json!([p("1")])), 132_018),
        ("five spaces", order(json!([p("A     na"), p("#1"), p("Friday")]), json!([p("1")])), 132_018),
        ("empty value", order(json!([p(""), p("#1"), p("Friday")]), json!([p("1")])), 131_008),
        ("too long", order(json!([p(&long(1_000)), p("#1"), p("Friday")]), json!([p("1")])), 132_005),
        ("name in a positional one", order(json!([n("a", "Ana"), p("#1"), p("Friday")]), json!([p("1")])), 132_012),
        ("no button parameter", order(good, json!([])), 131_008),
        ("names missing", named(json!([p("a"), p("b"), p("c")])), 100),
        ("unknown parameter name", named(json!([n("x", "a"), n("first_name", "b"), n("order_number", "c")])), 132_012),
        (
            "wrong header kind",
            sale(json!({"type": "video", "video": {"link": "https://a.example/b.mp4"}}), "25OFF"),
            132_012,
        ),
        ("long coupon", sale(image, &long(21)), 131_009),
        ("code of 16", login(&long(16), &long(16)), 132_005),
        ("two different codes", login("123456", "654321"), 132_012),
        (
            "no such button",
            send(
                "hello_world",
                "en_US",
                json!([{"type": "button", "sub_type": "url", "index": "0", "parameters": [p("1")]}]),
            ),
            132_012,
        ),
    ];
    for (name, body, code) in cases {
        let answer = bench.send(ANA, body).await;
        assert_eq!(answer.code(), code, "{name}: {}", answer.body);
    }
    assert!(bench.sim.set_template_status("564750795574507", "DISABLED"));
    assert_eq!(bench.send(ANA, send("hello_world", "en_US", json!([]))).await.code(), 132_016);
    let person = json!({"from": {"user_id": "BR.123", "username": "ana"}, "message": {"type": "text", "body": "oi"}});
    bench.call("POST", "/_sim/inbound", Some(person)).await;
    let mut by_id = login("123456", "123456");
    by_id["to"] = Value::Null;
    by_id["recipient"] = json!("BR.123");
    assert_eq!(bench.send("", by_id).await.code(), 131_062);
}

#[tokio::test]
async fn policies_fail_marketing_and_count_management_calls() {
    let mut config = quick();
    config.rules.management_per_hour = 3;
    let bench = Bench::start(config).await;
    let sale = json!({"type": "template", "template": {"name": "spring_sale", "language": {"code": "en_US"}, "components": [
        {"type": "header", "parameters": [{"type": "image", "image": {"link": "https://a.example/b.png"}}]},
        {"type": "body", "parameters": [{"type": "text", "text": "Ana"}, {"type": "text", "text": "25OFF"}]},
        {"type": "button", "sub_type": "copy_code", "index": 0, "parameters": [{"type": "coupon_code", "coupon_code": "25OFF"}]}]}});
    let outcome = async |to: &str| {
        let wamid = bench.send(to, sale.clone()).await.wamid();
        bench
            .hook
            .until("an end", |hook| {
                hook.statuses_of(&wamid).iter().any(|status| status == "failed" || status == "read")
            })
            .await;
        let last = bench.hook.statuses().into_iter().rfind(|status| status["id"] == wamid.as_str()).unwrap();
        last["errors"][0]["code"].as_u64().unwrap_or(0)
    };
    assert_eq!((outcome(ANA).await, outcome("+16505551234").await, outcome("+14165551234").await), (0, 131_049, 0));
    let preference = |value: &str| {
        CustomerMessage::from_phone("5511987654321", "Ana", CustomerKind::Preference { value: value.into() })
    };
    bench.sim.customer_sends(preference("stop")).await.unwrap();
    assert_eq!(outcome(ANA).await, 131_050);
    bench.sim.customer_sends(preference("resume")).await.unwrap();
    assert_eq!(outcome(ANA).await, 0);
    let priced = bench.hook.statuses().into_iter().find_map(|status| status.get("pricing").cloned()).unwrap();
    assert_eq!(priced, json!({"billable": true, "pricing_model": "PMP", "type": "regular", "category": "marketing"}));

    let hello = json!({"messaging_product": "whatsapp", "to": ANA, "type": "template", "template": {"name": "hello_world", "language": {"code": "en_US"}}});
    assert_eq!(bench.call("POST", &format!("/v26.0/{NUMBER}/marketing_messages"), Some(hello)).await.code(), 134_100);
    let path = format!("/v26.0/{}/message_templates", support::WABA);
    for _ in 0..3 {
        assert_eq!(bench.call("GET", &path, None).await.status, 200);
    }
    let beyond = bench.call("GET", &path, None).await;
    assert_eq!((beyond.code(), beyond.status), (80_007, 400));
}

#[tokio::test]
async fn the_window_opens_with_a_message_and_closes_after_a_day() {
    let time = Arc::new(AtomicI64::new(1_795_000_000_000));
    let read = time.clone();
    let mut config = quick();
    config.clock = Clock::from_fn(move || read.load(Ordering::Relaxed));
    let bench = Bench::start(config).await;
    let cold = bench.send(ANA, text("too early")).await.wamid();
    bench.hook.until("failed", |hook| hook.statuses_of(&cold) == ["failed"]).await;
    let failed = bench.hook.statuses().into_iter().find(|status| status["id"] == cold.as_str()).unwrap();
    assert_eq!(failed["errors"][0]["code"], 131_047);
    assert!(failed.get("pricing").is_none() && failed.get("recipient_user_id").is_none());
    bench.open("5511987654321").await;
    let warm = bench.send(ANA, text("now")).await.wamid();
    bench.hook.until("read", |hook| hook.statuses_of(&warm).len() == 3).await;
    time.fetch_add(24 * 3_600_000, Ordering::Relaxed);
    let late = bench.send(ANA, text("too late")).await.wamid();
    bench.hook.until("failed", |hook| hook.statuses_of(&late) == ["failed"]).await;
    bench
        .sim
        .customer_sends(CustomerMessage::from_phone(
            "5511987654321",
            "Ana",
            CustomerKind::Reaction { message_id: warm, emoji: None },
        ))
        .await
        .unwrap();
    let after = bench.send(ANA, text("a reaction opens nothing")).await.wamid();
    bench.hook.until("failed", |hook| hook.statuses_of(&after) == ["failed"]).await;

    let mut config = quick();
    config.rules.window_error = ErrorPlace::Sync;
    let strict = Bench::start(config).await;
    assert_eq!(strict.send(ANA, text("x")).await.code(), 131_047);
}

#[tokio::test]
async fn recipients_are_read_as_documented() {
    let bench = Bench::start(quick()).await;
    bench.open("553187654321").await;
    let brazil = bench.send("+55 (31) 98765-4321", text("x")).await;
    assert_eq!(brazil.body["contacts"], json!([{"input": "+55 (31) 98765-4321", "wa_id": "553187654321"}]));
    assert_eq!(bench.send("+525512345678", text("x")).await.body["contacts"][0]["wa_id"], "5215512345678");
    assert_eq!(
        bench.send("6505551234", text("x")).await.body["contacts"][0]["wa_id"],
        "16505551234",
        "own country in front"
    );
    for to in ["US.13491208655302741918", "+16505550000"] {
        let wamid = bench.send(to, text("x")).await.wamid();
        bench.hook.until("failed", |hook| hook.statuses_of(&wamid) == ["failed"]).await;
        let failed = bench.hook.statuses().into_iter().find(|status| status["id"] == wamid.as_str()).unwrap();
        assert_eq!(failed["errors"][0]["code"], 131_026, "{to}");
    }
    assert_eq!(bench.send("+15550783881", text("x")).await.code(), 131_021);
    let mut config = quick();
    config.rules.missing_plus = MissingPlus::Tolerate;
    let tolerant = Bench::start(config).await;
    assert_eq!(tolerant.send("5511987654321", text("x")).await.body["contacts"][0]["wa_id"], "5511987654321");
}

#[tokio::test]
async fn pair_number_and_portfolio_limits_hold() {
    let mut config = quick();
    config.wabas[0].numbers[0].throughput_per_s = 200;
    config.wabas[0].numbers[0].messaging_limit = "TIER_50".into();
    config.wabas[0].numbers[1].messaging_limit = "TIER_50".into();
    let bench = Bench::start(config).await;
    bench.open("5511987654321").await;
    let mut codes = BTreeMap::<u64, u32>::new();
    for _ in 0..50 {
        *codes.entry(bench.send(ANA, text("x")).await.code()).or_default() += 1;
    }
    assert_eq!(codes, BTreeMap::from([(0, 45), (131_056, 5)]));
    let hello = json!({"type": "template", "template": {"name": "hello_world", "language": {"code": "en_US"}}});
    for person in 0..60 {
        bench.send(&format!("+55119000010{person:02}"), hello.clone()).await.wamid();
    }
    bench
        .hook
        .until("ten refused by the portfolio limit", |_| bench.sim.stats().failed_by_code.get(&131_048) == Some(&10))
        .await;

    let mut config = quick();
    config.wabas[0].numbers[0].throughput_per_s = 5;
    let slow = Bench::start(config).await;
    let mut refused = 0;
    for person in 0..12 {
        let answer = slow.send(&format!("+55119000010{person:02}"), hello.clone()).await;
        if answer.code() == 130_429 {
            assert_eq!(answer.status, 400);
            refused += 1;
        }
    }
    assert!((4..=7).contains(&refused), "{refused}");
}

#[tokio::test]
async fn a_lost_answer_is_not_a_lost_message_and_a_second_send_is_seen_as_doubled() {
    let bench = Bench::start(quick()).await;
    bench.open("5511987654321").await;
    let url = format!("{}/v26.0/{NUMBER}/messages", bench.sim.base_url());
    let post = |opaque: &str| {
        let body = json!({"messaging_product": "whatsapp", "to": ANA, "type": "text", "text": {"body": "x"}, "biz_opaque_callback_data": opaque});
        bench.http.post(&url).bearer_auth(support::TOKEN).timeout(Duration::from_millis(300)).json(&body).send()
    };
    bench.sim.set_faults(Faults { timeout_after_accept: 1.0, ..Faults::default() });
    assert!(post("a").await.unwrap_err().is_timeout());
    bench.sim.set_faults(Faults { reset_after_accept: 1.0, ..Faults::default() });
    let error = post("b").await.unwrap_err();
    assert!(!error.is_timeout() && error.is_request(), "{error:?}");
    bench.sim.set_faults(Faults { timeout_before_accept: 1.0, ..Faults::default() });
    assert!(post("c").await.unwrap_err().is_timeout());
    bench.sim.set_faults(Faults { http_500_after_accept: 1.0, ..Faults::default() });
    assert_eq!(post("d").await.unwrap().status(), 500);
    let opaque = |hook: &support::Receiver, key: &str| {
        hook.statuses().iter().filter(|status| status["biz_opaque_callback_data"] == key).count()
    };
    bench.hook.until("statuses of a, b and d", |hook| ["a", "b", "d"].iter().all(|key| opaque(hook, key) == 3)).await;
    assert_eq!(opaque(&bench.hook, "c"), 0);
    assert_eq!(bench.sim.stats().duplicates_by_opaque, 0);
    bench.sim.set_faults(Faults::default());
    assert_eq!(post("a").await.unwrap().status(), 200);
    let stats = bench.sim.stats();
    assert_eq!(
        (stats.duplicates_by_opaque, stats.answers_lost, stats.sends_dropped, stats.sends_accepted),
        (1, 3, 1, 4)
    );
}

#[tokio::test]
async fn injected_errors_outages_and_tokens() {
    let bench = Bench::start(quick()).await;
    bench.open("5511987654321").await;
    bench.sim.set_faults(Faults { errors: BTreeMap::from([(131_016, 1.0)]), ..Faults::default() });
    let answer = bench.send(ANA, text("x")).await;
    assert_eq!((answer.code(), answer.status, &answer.body["error"]["is_transient"]), (131_016, 500, &json!(true)));
    bench.sim.set_faults(Faults { outage: true, ..Faults::default() });
    let answer = bench.send(ANA, text("x")).await;
    assert_eq!((answer.code(), answer.status), (2, 503));
    bench.sim.set_faults(Faults { outage: true, outage_refuses: true, ..Faults::default() });
    let url = format!("{}/v26.0/{NUMBER}", bench.sim.base_url());
    assert!(bench.http.get(&url).bearer_auth(support::TOKEN).send().await.is_err());
    assert_eq!(
        bench.call("GET", "/_sim/stats", None).await.body["refused_by_outage"],
        2,
        "the control interface stays up"
    );
    bench.sim.set_faults(Faults { late_errors: BTreeMap::from([(130_472, 1.0)]), ..Faults::default() });
    let wamid = bench.send(ANA, text("x")).await.wamid();
    bench.hook.until("experiment", |hook| hook.statuses_of(&wamid) == ["failed"]).await;
    bench.sim.set_faults(Faults::default());
    let stranger = bench.call_as("wrong", "GET", &format!("/v26.0/{NUMBER}"), None).await;
    assert_eq!((stranger.code(), stranger.status), (190, 401));
    let nobody = bench.call("POST", "/v26.0/999/messages", Some(json!({"messaging_product": "whatsapp"}))).await;
    assert_eq!((nobody.code(), &nobody.body["error"]["error_subcode"]), (100, &json!(33)));
    for (path, version) in [("/v24.0/", "v24.0"), ("/v19.0/", "v21.0"), ("/", "v26.0")] {
        let answer = bench.call("GET", &format!("{path}{NUMBER}"), None).await;
        assert_eq!(answer.headers["facebook-api-version"], version);
    }
}

#[test]
fn signatures_are_the_published_vectors() {
    let compact = br#"{"object":"whatsapp_business_account","entry":[]}"#;
    let spaced = br#"{"object": "whatsapp_business_account", "entry": []}"#;
    assert_eq!(
        signature("test_app_secret", compact),
        "sha256=dec6a680679a968e7e0319355b23599cbfc54502c0784668e9618baa0c633756"
    );
    assert_eq!(
        signature("test_app_secret", spaced),
        "sha256=56cbbaf4961c6cfdae48b7f116c047e5eb513d2c931baae63a2bc1afd26f803a"
    );
    assert_eq!(
        signature("otro_secreto", compact),
        "sha256=769b03d8c2ae6498f2d1e1f7299c0ba55448c69d741e7b0bb243d852d8a8d8c7"
    );
}
