//! Clients that integrators use with Salesforce drive the simulator: what they send must be taken, and what they read must parse.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing, clippy::panic, missing_docs)]

#[path = "support/interop.rs"]
mod interop;

use interop::{folder, node, python, ran, scripts};
use ponte_simulator::salesforce::{Config, DEFAULT_TOKEN, Salesforce};
use std::path::Path;
use std::process::Command;

/// Runs a script to its end; it prints a line for each thing that held.
async fn driven(command: fn(&Path) -> Command, held: usize) {
    let Some(folder) = folder() else { return };
    let salesforce = Salesforce::start(Config::default()).await.unwrap();
    let url = salesforce.base_url();
    let output = tokio::task::spawn_blocking(move || {
        let mut command = command(&folder);
        command.env("SALESFORCE_URL", url).env("SALESFORCE_TOKEN", DEFAULT_TOKEN);
        command.env_remove("HTTP_PROXY").env_remove("http_proxy").env("NO_PROXY", "127.0.0.1");
        ran(&mut command)
    });
    let said = String::from_utf8_lossy(&output.await.unwrap().stdout).into_owned();
    assert_eq!(said.lines().filter(|line| line.starts_with("ok: ")).count(), held, "{said}");
    salesforce.shutdown().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn jsforce_finds_the_salesforce_that_it_knows() {
    let command = |folder: &Path| {
        // Node looks for packages beside the script, so the script goes beside the packages.
        let place = node(folder, "salesforce").join("jsforce.mjs");
        std::fs::copy(scripts("salesforce").join("jsforce.mjs"), &place).unwrap();
        let mut command = Command::new("node");
        command.arg(place);
        command
    };
    driven(command, 11).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn simple_salesforce_finds_the_salesforce_that_it_knows() {
    let command = |folder: &Path| {
        let mut command = Command::new(python(folder, "salesforce"));
        command.arg(scripts("salesforce").join("simple_salesforce_check.py"));
        command
    };
    driven(command, 8).await;
}

/// Python's gRPC and Avro, by the vendor's contract: our own bytes on both sides could be wrong in the same way.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn grpc_and_avro_find_the_pub_sub_api_that_they_know() {
    let command = |folder: &Path| {
        let mut command = Command::new(python(folder, "salesforce-pubsub"));
        command.arg(scripts("salesforce-pubsub").join("drive.py"));
        command
    };
    driven(command, 5).await;
}
