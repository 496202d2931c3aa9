//! Clients that nobody here wrote, driven against the simulated Salesforce: is it honest? They come from registries, so they
//! run only when `PONTE_INTEROP` names the folder that they were installed into (`salesforce/node_modules`,
//! `salesforce/venv`); otherwise this says that it was left out.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing, clippy::panic)]

use ponte_simulator::salesforce::{Config, DEFAULT_TOKEN, Salesforce};
use std::path::{Path, PathBuf};
use tokio::process::Command;

fn installed() -> Option<PathBuf> {
    let folder = std::env::var_os("PONTE_INTEROP").map(|folder| Path::new(&folder).join("salesforce"));
    if folder.is_none() {
        eprintln!("left out: PONTE_INTEROP does not say where the client packages are");
    }
    folder
}

fn script(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("interop/salesforce").join(name)
}

/// Runs a script to its end; it prints a line for each thing that held.
async fn run(mut command: Command, held: usize) {
    let salesforce = Salesforce::start(Config::default()).await.unwrap();
    command.env("SALESFORCE_URL", salesforce.base_url()).env("SALESFORCE_TOKEN", DEFAULT_TOKEN).kill_on_drop(true);
    command.env_remove("HTTP_PROXY").env_remove("http_proxy").env("NO_PROXY", "127.0.0.1");
    let output = command.output().await.expect("the interpreter starts");
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(output.status.success(), "{said}\n{}", String::from_utf8_lossy(&output.stderr));
    assert_eq!(said.lines().filter(|line| line.starts_with("ok: ")).count(), held, "{said}");
    salesforce.shutdown().await;
}

#[tokio::test]
async fn jsforce_finds_the_salesforce_that_it_knows() {
    let Some(folder) = installed() else { return };
    // Node looks for packages beside the script, so the script goes beside the packages.
    let place = folder.join("jsforce.mjs");
    std::fs::copy(script("jsforce.mjs"), &place).unwrap();
    let mut command = Command::new("node");
    command.arg(place);
    run(command, 11).await;
}

#[tokio::test]
async fn simple_salesforce_finds_the_salesforce_that_it_knows() {
    let Some(folder) = installed() else { return };
    let mut command = Command::new(folder.join("venv/bin/python"));
    command.arg(script("simple_salesforce_check.py"));
    run(command, 8).await;
}
