//! Zoho's own SDK drives the simulator: what the vendor's client sends must be taken, and what it reads must parse.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing, clippy::panic, missing_docs)]

#[path = "support/interop.rs"]
mod interop;

use interop::{folder, node, python, ran, scripts};
use ponte_simulator::zoho::{Config, Zoho};
use std::path::Path;
use std::process::Command;

/// Lets the script that `command` makes drive a simulator; its last line says that it came to its end.
async fn driven(command: fn(&Path) -> Command, end: &str) {
    let Some(folder) = folder() else { return };
    let zoho = Zoho::start(Config::default()).await.unwrap();
    let base = zoho.base_url();
    let output = tokio::task::spawn_blocking(move || ran(command(&folder).arg(base)));
    let output = output.await.unwrap();
    assert!(String::from_utf8_lossy(&output.stdout).trim_end().ends_with(end));
    let stats = zoho.stats();
    assert_eq!((stats.ignored_fields, stats.token_refreshes), (0, 1), "{stats:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_python_sdk_writes_reads_and_watches() {
    let command = |folder: &Path| {
        let mut command = Command::new(python(folder, "zoho"));
        command.arg(scripts("zoho").join("drive.py"));
        command
    };
    driven(command, "refreshed").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_node_sdk_writes_and_reads() {
    let command = |folder: &Path| {
        let mut command = Command::new("node");
        command.arg(scripts("zoho").join("drive.mjs")).current_dir(node(folder, "zoho"));
        command
    };
    driven(command, "deleted").await;
}
