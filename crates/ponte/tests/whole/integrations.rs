//! What integrators hold in their hands. The integrations under `integrations/`, tried with Node's own runner against the running program. Their functions are plain,
//! so no package is needed; without Node they are left out, and say so. And the reference library verifies what is pushed.

use crate::interop;
use crate::rig::{API_KEY, APP_SECRET, LONG, NUMBER, Rig, Setup, deliver, eventually, phone, text_body};
use crate::target::Target;
use ponte_simulator::whatsapp::StatusBehaviour;
use serde_json::{Value, json};
use std::path::Path;
use std::process::Stdio;

/// Whether there is a Node to try them with.
fn node() -> bool {
    let asked =
        std::process::Command::new("node").arg("--version").stdout(Stdio::null()).stderr(Stdio::null()).status();
    let there = asked.is_ok_and(|status| status.success());
    if !there {
        eprintln!("left out: there is no node");
    }
    there
}

async fn driven(name: &str, held: usize) {
    if !node() {
        return;
    }
    let mut setup = Setup::sqlite().no_crm().set("egress", "allow_private", "[\"127.0.0.1\"]");
    setup.whatsapp.status = StatusBehaviour::prompt(30);
    let rig: Rig = setup.start().await;
    let tests = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../integrations").join(name).join("test");
    let mut files: Vec<_> = std::fs::read_dir(tests).unwrap().map(|entry| entry.unwrap().path()).collect();
    files.retain(|file| file.to_string_lossy().ends_with(".test.js"));
    files.sort();
    let mut command = tokio::process::Command::new("node");
    command.args(["--test", "--test-reporter=tap"]).args(files).kill_on_drop(true);
    command.env("PONTE_URL", format!("http://{}", rig.program.address())).env("PONTE_KEY", API_KEY);
    command.env("PONTE_NUMBER", NUMBER).env("PONTE_APP_SECRET", APP_SECRET);
    for proxy in ["HTTP_PROXY", "http_proxy", "HTTPS_PROXY", "https_proxy"] {
        command.env_remove(proxy);
    }
    let output = command.output().await.unwrap();
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(output.status.success(), "{said}\n{}\n{}", String::from_utf8_lossy(&output.stderr), rig.tail());
    assert!(said.contains(&format!("# pass {held}")) && said.contains("# skipped 0"), "{said}");
}

#[tokio::test]
async fn the_zapier_app_works_with_the_running_program() {
    driven("zapier", 10).await;
}

#[tokio::test]
async fn the_n8n_nodes_work_with_the_running_program() {
    driven("n8n", 6).await;
}

/// The reference library verifies what is pushed, also while a secret is rotated.
#[tokio::test]
async fn the_reference_library_of_standard_webhooks_verifies_what_is_pushed() {
    let Some(folder) = interop::folder() else { return };
    let target = Target::start().await;
    let rig = Setup::sqlite().no_crm().set("egress", "allow_private", "[\"127.0.0.1\"]").start().await;
    let wish = json!({ "target_url": target.url(), "event": "message.received" });
    let hook = rig.api("POST", "/api/v1/hooks", Some(&wish)).await.1;
    let path = |rest: &str| format!("/api/v1/hooks/{}{rest}", hook["id"].as_str().unwrap());
    let mut secrets = vec![hook["secret"].clone()];
    let mut calls = Vec::new();
    for (n, said) in ["hello", "Grüße, \"世界\" \u{1f44b}\n"].into_iter().enumerate() {
        assert_eq!(deliver(&rig.program, &text_body(&format!("wamid.{n}"), &phone(n), said)).await.status, 200);
        eventually(LONG, "it is pushed", || async { (target.taken().len() > n).then_some(()) }).await;
        let call = target.taken().pop().unwrap();
        let headers: serde_json::Map<String, Value> =
            call.headers.iter().map(|(name, value)| (name.clone(), json!(value))).collect();
        calls.push(json!({ "headers": headers, "body": call.body, "secrets": secrets }));
        secrets.push(rig.api("POST", &path("/rotate-secret"), None).await.1["secret"].clone());
    }
    let input = json!(calls).to_string();
    let output = tokio::task::spawn_blocking(move || {
        let place = interop::node(&folder, "standardwebhooks").join("verify.mjs");
        std::fs::copy(interop::scripts("standardwebhooks").join("verify.mjs"), &place).unwrap();
        let told = place.with_file_name("calls.json");
        std::fs::write(&told, input).unwrap();
        interop::ran(std::process::Command::new("node").arg(place).stdin(std::fs::File::open(told).unwrap()))
    });
    let said = String::from_utf8_lossy(&output.await.unwrap().stdout).into_owned();
    assert_eq!(said.lines().filter(|line| line.starts_with("ok: ")).count(), 2, "{said}");
}
