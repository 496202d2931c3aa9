//! Clients of the Cloud API that nobody here wrote send through the door that speaks it, as their users would, and everything that
//! must be true of a send is looked at from outside: stored, taken once, logged in the CRM. Left out without `PONTE_INTEROP`.

use crate::interop;
use crate::rig::{API_KEY, LONG, NUMBER, Rig, Setup, eventually, phone};
use ponte_simulator::whatsapp::SentMessage;
use serde_json::{Value, json};
use std::path::{Path, PathBuf};
use std::process::Command;

/// The head of a PNG: what a picture is told by.
const PICTURE: &str = "89504e470d0a1a0a0000000d49484452";

/// What a client's errors are called by the client itself, by what was asked for.
type Names<'a> = &'a [(&'a str, &'a str)];

/// How a client's script is run, once what it needs is installed.
fn python(folder: &Path, client: &str) -> Command {
    let mut command = Command::new(interop::python(folder, client));
    command.arg("-B").arg(interop::scripts(client).join("drive.py"));
    command
}

/// Packages are found from where a script lies.
fn node(folder: &Path, client: &str) -> Command {
    let place = interop::node(folder, client).join("drive.mjs");
    std::fs::copy(interop::scripts(client).join("drive.mjs"), &place).unwrap();
    let mut command = Command::new("node");
    command.arg(place);
    command
}

/// Waits until a marketing template is known as one: templates are read from WhatsApp in the background.
async fn templates_are_known(rig: &Rig) {
    let explain = json!({"to": {"phone": format!("+{}", phone(0))}, "message":
        {"type": "template", "template": {"name": "spring_sale", "language": {"code": "en_US"}}}});
    eventually(LONG, "the templates are known", || async {
        let (_, told) = rig.api("POST", "/api/v1/messages/explain", Some(&explain)).await;
        told.to_string().contains("consent_missing").then_some(())
    })
    .await;
}

async fn sends_through_the_door(made: impl FnOnce(&Path) -> Command + Send + 'static, names: Names<'_>) {
    let Some(folder): Option<PathBuf> = interop::folder() else { return };
    let rig = Setup::sqlite().start().await;
    rig.open_windows(1).await;
    templates_are_known(&rig).await;
    let theirs = rig.messages().await[0]["wamid"].as_str().unwrap().to_owned();
    let own = format!("http://{}", rig.program.address());
    let run = move || {
        let mut command = made(&folder);
        command.env("PONTE_URL", own).env("PONTE_KEY", API_KEY).env("PONTE_NUMBER", NUMBER).env("PICTURE", PICTURE);
        command.env("TO", phone(0)).env("THEIRS", theirs).env("STRANGER", phone(7));
        for proxy in ["HTTP_PROXY", "http_proxy", "HTTPS_PROXY", "https_proxy", "ALL_PROXY", "all_proxy"] {
            command.env_remove(proxy);
        }
        interop::ran(&mut command)
    };
    let output = tokio::task::spawn_blocking(run).await.unwrap();
    let said: Value = serde_json::from_slice(&output.stdout).unwrap();
    let sent = said["sent"].as_object().unwrap();
    assert_eq!(sent.len(), 10, "{said}");
    // Each went through the gate, was taken once under our id, and is in the CRM.
    let taken: Vec<SentMessage> = rig.graph.sent_messages();
    assert_eq!(taken.len(), sent.len(), "nothing else was sent: {taken:?}");
    let mut ids = Vec::new();
    for (what, wamid) in sent {
        let stored = rig.stored(wamid.as_str().unwrap()).await;
        let body = once(&taken, wamid.as_str().unwrap(), stored["id"].as_str().unwrap());
        assert_eq!(stored["origin"], "api", "{what}: {stored}");
        told_as_meant(what, &body);
        // A reaction belongs to the message it is for and is no communication of its own.
        if what != "reaction" {
            ids.push(stored["id"].as_str().unwrap().to_owned());
        }
    }
    rig.crm_has(&ids, LONG).await;
    let listed = rig.cli(&["messages", "--limit", "50"]).await;
    assert_eq!(listed.code, 0, "{listed:?}");
    assert!(ids.iter().all(|id| listed.out.contains(id.as_str())), "{listed:?}");
    // Its own names for what was refused.
    let raised = said["raised"].as_object().unwrap();
    let expected: serde_json::Map<String, Value> =
        names.iter().map(|(what, name)| ((*what).to_owned(), json!(name))).collect();
    assert_eq!(raised, &expected);
}

/// The body with which WhatsApp took this message, which it did once.
fn once(taken: &[SentMessage], wamid: &str, id: &str) -> Value {
    let all: Vec<&SentMessage> = taken.iter().filter(|m| m.wamid == wamid).collect();
    assert_eq!(all.len(), 1, "{wamid}: {all:?}");
    assert_eq!(all[0].opaque.as_deref(), Some(id));
    all[0].body.clone().unwrap()
}

/// What was meant arrived, part by part.
fn told_as_meant(what: &str, body: &Value) {
    let parts: &[(&str, Value)] = match what {
        "text" => &[("/type", json!("text"))],
        "reply" => &[("/type", json!("text"))],
        "buttons" => &[("/interactive/type", json!("button")), ("/interactive/action/buttons/1/reply/id", json!("no"))],
        "list" => &[
            ("/interactive/type", json!("list")),
            ("/interactive/action/button", json!("Sizes")),
            ("/interactive/action/sections/0/rows/0/description", json!("30 cm")),
        ],
        "image by link" => &[("/image/link", json!("https://shop.example/a.png")), ("/image/caption", json!("linked"))],
        "image by id" => &[("/image/caption", json!("uploaded"))],
        "location" => &[("/location/latitude", json!(-33.45)), ("/location/longitude", json!(-70.66))],
        "contacts" => &[
            ("/contacts/0/name/formatted_name", json!("Ana Souza")),
            ("/contacts/0/phones/0/phone", json!("+4915111000001")),
        ],
        "reaction" => &[("/reaction/emoji", json!("\u{1f44d}"))],
        "template" => &[
            ("/template/name", json!("appointment_reminder")),
            ("/template/components/0/parameters/1/text", json!("10:30")),
        ],
        other => panic!("{other} was sent: {body}"),
    };
    for (at, value) in parts {
        assert_eq!(body.pointer(at), Some(value), "{what}: {body}");
    }
    let named = body.pointer("/context/message_id").or_else(|| body.pointer("/reaction/message_id"));
    assert_eq!(named.is_some_and(Value::is_string), matches!(what, "reply" | "reaction"), "{what}: {body}");
}

#[tokio::test]
async fn pywa_sends_through_the_door() {
    let names: Names<'_> = &[
        ("window", "ReEngagementMessage 131047"),
        ("marketing", "UserStoppedMarketingMessages 131050"),
        ("template", "TemplateParamCountMismatch 132000"),
        ("no such template", "TemplateNotExists 132001"),
        ("number", "WhatsAppError 100"),
        ("nobody", "MessageUndeliverable 131026"),
        ("key", "ExpiredAccessToken 190"),
        ("file", "WhatsAppError 100"),
        ("identity", "WhatsAppError 100"),
    ];
    sends_through_the_door(|folder| python(folder, "pywa"), names).await;
}

#[tokio::test]
async fn the_node_client_of_kapso_sends_through_the_door() {
    let names: Names<'_> = &[
        ("window", "reengagementWindow 131047"),
        ("marketing", "parameter 131050"),
        ("template", "template 132000"),
        ("no such template", "template 132001"),
        ("number", "parameter 100"),
        ("nobody", "parameter 131026"),
        ("key", "authorization 190"),
        ("file", "parameter 100"),
    ];
    sends_through_the_door(|folder| node(folder, "kapso"), names).await;
}

#[tokio::test]
async fn whatsapp_api_js_sends_through_the_door() {
    let names: Names<'_> = &[
        ("window", "OAuthException 131047"),
        ("marketing", "OAuthException 131050"),
        ("template", "OAuthException 132000"),
        ("no such template", "OAuthException 132001"),
        ("number", "GraphMethodException 100"),
        ("nobody", "OAuthException 131026"),
        ("key", "OAuthException 190"),
        ("file", "GraphMethodException 100"),
    ];
    sends_through_the_door(|folder| node(folder, "whatsapp-api-js"), names).await;
}
