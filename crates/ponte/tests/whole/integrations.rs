//! The integrations under `integrations/`, tried with Node's own runner against the running program. Their functions are plain,
//! so no package is needed; without Node they are left out, and say so.

use crate::rig::{API_KEY, APP_SECRET, NUMBER, Rig, Setup};
use ponte_simulator::whatsapp::StatusBehaviour;
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
