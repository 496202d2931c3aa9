//! The webhook's door: verification, refusals, limits, big bodies, rotation of secrets.

use crate::rig::{
    APP_SECRET, HOOK, LONG, NUMBER, Rig, Setup, VERIFY_TOKEN, deliver, deliver_signed, envelope, eventually, phone,
    seconds, text_body, value_of,
};
use ponte_testkit::Engine;
use ponte_testkit::http::signature;
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

/// Sends bytes as they are and reads until the other side closes; the status, or `None` without an answer.
async fn raw(rig: &Rig, bytes: &[u8], half_close: bool) -> Option<u16> {
    let mut stream = TcpStream::connect(rig.program.address()).await.unwrap();
    // A refusal may come, and the connection be closed, before everything is written.
    let _ = stream.write_all(bytes).await;
    if half_close {
        let _ = stream.shutdown().await;
    }
    let mut answer = Vec::new();
    let mut buffer = [0; 4096];
    while !answer.windows(4).any(|w| w == b"\r\n\r\n") {
        match tokio::time::timeout(LONG, stream.read(&mut buffer)).await.expect("no answer in time") {
            Ok(n) if n > 0 => answer.extend_from_slice(&buffer[..n]),
            _ => break,
        }
    }
    String::from_utf8_lossy(&answer).split(' ').nth(1)?.parse().ok()
}

async fn refusals(engine: Engine) {
    let rig = Setup::on(engine).no_crm().start().await;
    let p = &rig.program;

    // Verification.
    let ask = |mode: &str, token: &str, challenge: &str| {
        let path = format!("{HOOK}?hub.mode={mode}&hub.challenge={challenge}&hub.verify_token={token}");
        async move { p.get(&path).await.unwrap() }
    };
    let good = ask("subscribe", VERIFY_TOKEN, "1158201444").await;
    assert_eq!((good.status, good.text().as_str()), (200, "1158201444"));
    assert!(good.head.to_ascii_lowercase().contains("content-type: text/plain"), "{}", good.head);
    assert_eq!(
        ask("subscribe", VERIFY_TOKEN, "%3Cb%3E+1").await.text(),
        "<b> 1",
        "the challenge goes back as it was meant"
    );
    for (mode, token) in [("subscribe", "wrong"), ("unsubscribe", VERIFY_TOKEN), ("subscribe", ""), ("", VERIFY_TOKEN)]
    {
        let refused = ask(mode, token, "77").await;
        assert_eq!(refused.status, 403, "{mode} {token}");
        assert!(!refused.text().contains("77"));
    }
    assert_eq!(p.get(HOOK).await.unwrap().status, 403);

    // Refusals.
    let body = text_body("wamid.refused", &phone(1), "must not be kept");
    let json_type = ("content-type", "application/json");
    assert_eq!(p.post(HOOK, &[json_type], &body).await.unwrap().status, 401, "unsigned");
    assert_eq!(deliver_signed(p, &body, "another secret").await.status, 401);
    let good = signature(APP_SECRET, &body);
    for wrong in [
        good.trim_start_matches("sha256=").to_owned(),
        good.replace("sha256", "sha1"),
        format!("{good}00"),
        good[..good.len() - 2].to_owned(),
        "sha256=".to_owned(),
        format!("sha256={}", "0".repeat(64)),
    ] {
        let refused = p.post(HOOK, &[json_type, ("x-hub-signature-256", &wrong)], &body).await.unwrap();
        assert_eq!(refused.status, 401, "{wrong}");
    }
    let mut changed = body.clone();
    let last = changed.len() - 3;
    changed[last] ^= 1;
    assert_eq!(p.post(HOOK, &[json_type, ("x-hub-signature-256", &good)], &changed).await.unwrap().status, 401);
    for malformed in [
        &b"{"[..],
        b"",
        b"{\"a\":1}{",
        b"{\"a\":tru}",
        b"\xff\xfe{}",
        b"{\"a\":\"\xff\"}",
        b"[]",
        b"null",
        b"\"text\"",
        b"[{\"object\":1}]",
    ] {
        assert_eq!(deliver(p, malformed).await.status, 400, "{malformed:?}");
    }
    let signed = ("x-hub-signature-256", good.as_str());
    for kind in ["text/plain", "application/x-www-form-urlencoded", "application/jsonp", ""] {
        assert_eq!(p.post(HOOK, &[("content-type", kind), signed], &body).await.unwrap().status, 415, "{kind}");
    }
    assert_eq!(p.post(HOOK, &[signed], &body).await.unwrap().status, 415, "no content type");
    for method in ["PUT", "DELETE", "PATCH"] {
        let answer =
            ponte_testkit::http::request(p.address(), method, HOOK, &[json_type, signed], &body).await.unwrap();
        assert_eq!(answer.status, 405, "{method}");
        assert!(answer.head.to_ascii_lowercase().contains("allow: get, post"), "{}", answer.head);
    }

    // Too large: as declared, before the body comes; and chunked, where only the bytes tell.
    let head = format!("POST {HOOK} HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\nconnection: close\r\n");
    let declared = format!("{head}content-length: 4194305\r\n\r\n");
    assert_eq!(raw(&rig, declared.as_bytes(), false).await, Some(413), "declared");
    let mut chunked = format!("{head}transfer-encoding: chunked\r\n\r\n").into_bytes();
    for _ in 0..65 {
        chunked.extend_from_slice(b"10000\r\n");
        chunked.resize(chunked.len() + 0x10000, b' ');
        chunked.extend_from_slice(b"\r\n");
    }
    chunked.extend_from_slice(b"0\r\n\r\n");
    assert_eq!(raw(&rig, &chunked, false).await, Some(413), "chunked");

    // Broken off: less than declared, and a chunk that ends early.
    let mut short =
        format!("{head}content-length: {}\r\nx-hub-signature-256: {good}\r\n\r\n", body.len() + 10).into_bytes();
    short.extend_from_slice(&body);
    let status = raw(&rig, &short, true).await;
    assert!(matches!(status, None | Some(400)), "{status:?}");
    let mut short =
        format!("{head}transfer-encoding: chunked\r\nx-hub-signature-256: {good}\r\n\r\nffff\r\n").into_bytes();
    short.extend_from_slice(&body);
    let status = raw(&rig, &short, true).await;
    assert!(matches!(status, None | Some(400)), "{status:?}");

    let journal = rig.cli(&["journal", "--json", "--limit", "100"]).await;
    assert_eq!((journal.code, journal.out.as_str()), (0, ""), "nothing that was refused is kept: {journal:?}");

    // The same door still takes what is right, with parameters in the content type and a signature in capitals.
    let upper = format!("sha256={}", good.trim_start_matches("sha256=").to_uppercase());
    let headers = [("content-type", "Application/JSON; charset=utf-8"), ("x-hub-signature-256", upper.as_str())];
    assert_eq!(p.post(HOOK, &headers, &body).await.unwrap().status, 200);
    rig.stored("wamid.refused").await;
    let journal = rig.cli(&["journal", "--json"]).await.lines();
    assert_eq!(journal.len(), 1);
    assert_eq!(journal[0]["body"].as_str().unwrap().as_bytes(), body, "the journal holds the bytes as they came");
}

#[tokio::test]
async fn what_is_not_right_is_refused_and_not_kept_sqlite() {
    refusals(Engine::Sqlite).await;
}

#[tokio::test]
async fn what_is_not_right_is_refused_and_not_kept_postgres() {
    refusals(Engine::Postgres).await;
}

/// About `bytes` with `n` mixed updates: texts and pictures of many people, reactions, statuses nobody asked for, account
/// notices, types and fields that nobody knows. Wamids of the messages, and the body.
fn mixed(n: usize, bytes: usize) -> (Vec<String>, Vec<u8>) {
    let filler = "x".repeat(bytes / n - 300);
    let (mut messages, mut statuses, mut changes, mut wamids) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
    for i in 0..n {
        let (from, at) = (phone(i % 300), seconds().to_string());
        let id = format!("wamid.mixed.{i}");
        match i % 10 {
            8 => statuses.push(json!({"id": format!("wamid.never.{i}"), "status": "delivered", "timestamp": at,
                "recipient_id": from, "note": filler})),
            9 if i % 20 == 9 => changes
                .push(json!({"field": "account_update", "value": {"event": format!("NEWS_{i}"), "note": filler}})),
            9 => changes.push(json!({"field": format!("field_of_tomorrow_{i}"), "value": {"note": filler}})),
            kind => {
                // What no version knows yet is kept as not understood, not as a message.
                if kind != 7 {
                    wamids.push(id.clone());
                }
                let mut message = json!({"from": from, "id": id, "timestamp": at});
                let more = match kind {
                    0..=4 => json!({"type": "text", "text": {"body": format!("{i} {filler}")}}),
                    5 => json!({"type": "location", "location": {"latitude": 1.0, "longitude": 2.0, "name": filler}}),
                    6 => json!({"type": "button", "button": {"payload": filler, "text": "Yes"}}),
                    _ => json!({"type": "hologram", "hologram": {"note": filler}}),
                };
                message.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
                messages.push(message);
            }
        }
    }
    let value = value_of(NUMBER, json!({"messages": messages, "statuses": statuses}));
    changes.push(json!({"field": "messages", "value": value}));
    let body = json!({"object": "whatsapp_business_account", "entry": [{"id": "102290129340398", "changes": changes}]});
    (wamids, body.to_string().into_bytes())
}

async fn three_megabytes(engine: Engine) {
    let rig = Setup::on(engine).no_crm().start().await;
    let (wamids, body) = mixed(1_000, 3_000_000);
    assert!((2_700_000..3_145_728).contains(&body.len()), "{} bytes", body.len());
    assert_eq!(deliver(&rig.program, &body).await.status, 200);
    let status = eventually(LONG, "all is read", || async {
        let status = rig.status().await;
        (status["journal_pending"] == 0).then_some(status)
    })
    .await;
    let known = rig.by_wamid().await;
    assert_eq!(known.len(), wamids.len(), "{status}");
    assert!(wamids.iter().all(|id| known.contains_key(id)));
    assert_eq!(rig.events("status.unmatched").await.len(), 100);
    assert_eq!(rig.events("account.notice").await.len(), 50);
    let fields = rig.events("webhook.unrecognised").await;
    let of_tomorrow =
        fields.iter().filter(|e| e["data"]["field"].as_str().unwrap_or("").starts_with("field_of")).count();
    assert_eq!(of_tomorrow, 50, "unknown fields are kept");
    let holograms = fields.iter().filter(|e| e["data"].to_string().contains("hologram")).count();
    assert_eq!(holograms, 100, "unknown types are kept");
}

#[tokio::test]
async fn three_megabytes_with_a_thousand_updates_are_kept_whole_sqlite() {
    three_megabytes(Engine::Sqlite).await;
}

#[tokio::test]
async fn three_megabytes_with_a_thousand_updates_are_kept_whole_postgres() {
    three_megabytes(Engine::Postgres).await;
}

#[tokio::test]
async fn two_secrets_of_one_app_and_two_apps_are_valid_at_once() {
    let mut setup = Setup::sqlite().no_crm();
    setup.apps = "[[whatsapp.apps]]\nname = \"one\"\napp_secrets = [\"new-secret\", \"old-secret\"]\nverify_token = \"token-one\"\n\
                  [[whatsapp.apps]]\nname = \"two\"\napp_secrets = [\"other-app\"]\nverify_token = \"token-two\"\n"
        .into();
    let rig = setup.start().await;
    for (i, secret) in ["new-secret", "old-secret", "other-app"].into_iter().enumerate() {
        let body = text_body(&format!("wamid.rotation.{i}"), &phone(i), "hi");
        assert_eq!(deliver_signed(&rig.program, &body, secret).await.status, 200, "{secret}");
        rig.stored(&format!("wamid.rotation.{i}")).await;
    }
    assert_eq!(deliver_signed(&rig.program, &text_body("wamid.x", &phone(1), "hi"), "token-one").await.status, 401);
    for token in ["token-one", "token-two"] {
        let path = format!("{HOOK}?hub.mode=subscribe&hub.challenge=5&hub.verify_token={token}");
        assert_eq!(rig.program.get(&path).await.unwrap().text(), "5");
    }
}

/// The vectors of Meta's documentation, recomputed: the header is given as published, not calculated here.
#[tokio::test]
async fn published_signatures_are_accepted() {
    let mut setup = Setup::sqlite().no_crm();
    setup.apps = "[[whatsapp.apps]]\nname = \"a\"\napp_secrets = [\"test_app_secret\"]\nverify_token = \"t\"\n\
                  [[whatsapp.apps]]\nname = \"b\"\napp_secrets = [\"otro_secreto\"]\nverify_token = \"u\"\n"
        .into();
    let rig = setup.start().await;
    let (tight, spaced) = (
        r#"{"object":"whatsapp_business_account","entry":[]}"#,
        r#"{"object": "whatsapp_business_account", "entry": []}"#,
    );
    let (a, b, c) = (
        "dec6a680679a968e7e0319355b23599cbfc54502c0784668e9618baa0c633756",
        "56cbbaf4961c6cfdae48b7f116c047e5eb513d2c931baae63a2bc1afd26f803a",
        "769b03d8c2ae6498f2d1e1f7299c0ba55448c69d741e7b0bb243d852d8a8d8c7",
    );
    for (body, tag, status) in
        [(tight, a, 200), (spaced, b, 200), (tight, c, 200), (spaced, a, 401), (tight, b, 401), (spaced, c, 401)]
    {
        let header = format!("sha256={tag}");
        let headers = [("content-type", "application/json"), ("x-hub-signature-256", header.as_str())];
        assert_eq!(rig.program.post(HOOK, &headers, body.as_bytes()).await.unwrap().status, status, "{tag}");
    }
}

/// A body that says nothing is kept, read and leaves nothing behind but the journal; what is odd inside is shown.
#[tokio::test]
async fn odd_but_signed_bodies_are_answered_200_and_shown() {
    let rig = Setup::sqlite().no_crm().start().await;
    let odd: Vec<Value> = vec![
        json!({}),
        json!({"object": "page", "entry": []}),
        json!({"object": "whatsapp_business_account", "entry": "none"}),
        json!({"object": "whatsapp_business_account", "entry": [7, null, {"id": 1}, {"id": "1", "changes": [null, {"value": {}}]}]}),
        json!({"object": "whatsapp_business_account", "entry": [{"id": "1", "changes": [{"field": "messages", "value": {
            "metadata": {"phone_number_id": NUMBER}, "messages": [null, 5, {"id": "wamid.half"}]}}]}]}),
    ];
    for body in &odd {
        assert_eq!(deliver(&rig.program, body.to_string().as_bytes()).await.status, 200, "{body}");
    }
    let good = envelope(value_of(
        NUMBER,
        json!({"messages": [
        {"from": phone(1), "id": "wamid.good", "timestamp": seconds().to_string(), "type": "text", "text": {"body": "ok"}}, null]}),
    ));
    assert_eq!(deliver(&rig.program, &good).await.status, 200);
    rig.stored("wamid.good").await;
    eventually(LONG, "all is read", || async { (rig.status().await["journal_pending"] == 0).then_some(()) }).await;
    let shown = rig.cli(&["events", "--kind", "webhook.unrecognised", "--json"]).await.lines();
    assert!(shown.len() >= 9, "{} shown: {shown:?}", shown.len());
    assert!(shown.iter().all(|e| e["data"]["reason"].is_string()));
    assert_eq!(rig.cli(&["journal", "--json", "--limit", "50"]).await.lines().len(), odd.len() + 1);
}
