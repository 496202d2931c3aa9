//! `ponte demo`, run as people run it: the real program, its end reconciled against what the simulators counted.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing, clippy::panic)]

use serde_json::Value;
use std::path::Path;
use std::process::{Command, Output, Stdio};

fn demo(args: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_ponte"));
    command.arg("demo").args(args).stdin(Stdio::null());
    command.output().unwrap()
}

/// The last line of standard output, with the exit status checked against it.
fn counted(output: &Output) -> Value {
    let (out, said) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    let counted: Value =
        serde_json::from_str(out.lines().last().unwrap_or_default()).unwrap_or_else(|e| panic!("{e}: {out}\n{said}"));
    let clean = counted["lost"] == 0 && counted["doubled"] == 0;
    assert_eq!(output.status.success(), clean, "{said}");
    assert!(clean, "{counted}\n{said}");
    counted
}

fn number(counted: &Value, name: &str) -> u64 {
    counted[name].as_u64().unwrap_or_else(|| panic!("{name} is missing: {counted}"))
}

#[test]
fn a_short_demo_loses_and_doubles_nothing() {
    let output = demo(&["--for", "6s", "--json", "--rate", "400"]);
    assert_eq!(String::from_utf8_lossy(&output.stdout).lines().count(), 1, "only the object on standard output");
    let counted = counted(&output);
    let stored = number(&counted, "messages_stored");
    assert!(number(&counted, "webhooks_acknowledged") > 0 && stored > 5 && number(&counted, "sends_accepted") > 3);
    assert!(number(&counted, "crm_records_written") > stored, "{counted}");
    assert!(number(&counted, "statuses_written_back") > 5, "{counted}");
    assert_eq!(counted["drained"], true, "{counted}");
    // Everything the simulator was told is safe is stored and shown.
    assert_eq!(counted["simulated"]["inbound_acknowledged"], stored, "{counted}");
    assert_eq!(counted["simulated"]["statuses_acknowledged"], counted["statuses_written_back"], "{counted}");
}

#[test]
fn trouble_shows_and_still_nothing_is_lost_or_doubled() {
    let folder = tempfile::tempdir().unwrap();
    let keep = folder.path().join("kept");
    let kept = keep.to_str().unwrap();
    let output = demo(&["--for", "8s", "--json", "--rate", "600", "--faults", "0.05", "--seed", "7", "--keep", kept]);
    let counted = counted(&output);
    let simulated = &counted["simulated"];
    let trouble = number(&counted, "retried") + number(&counted, "unknown") + number(&counted, "crm_rows_failed");
    assert!(trouble > 0 && number(simulated, "webhooks_repeated") > 0, "{counted}");
    assert!(number(&counted, "messages_stored") > 10 && number(&counted, "statuses_written_back") > 10, "{counted}");
    look_again(&keep, number(&counted, "messages_stored"));
    // A folder with a database in it isn't used twice: the books would not match.
    let again = demo(&["--for", "1s", "--keep", kept]);
    assert!(!again.status.success() && String::from_utf8_lossy(&again.stderr).contains("already holds a database"));
}

/// What the demo kept can be looked at with the configuration it wrote.
fn look_again(keep: &Path, stored: u64) {
    let config = keep.join("ponte.toml");
    let output = Command::new(env!("CARGO_BIN_EXE_ponte"))
        .args(["-c", config.to_str().unwrap(), "status", "--json"])
        .output()
        .unwrap();
    let status: Value = serde_json::from_slice(&output.stdout).unwrap();
    let rows = status["messages"].as_array().unwrap();
    let inbound: u64 = rows.iter().filter(|r| r[0] == "in").map(|r| r[2].as_u64().unwrap()).sum();
    assert_eq!(inbound, stored);
    assert!(keep.join("ponte.log").is_file());
}

#[test]
fn without_a_terminal_it_says_a_line_now_and_then_and_a_summary() {
    let output = demo(&["--for", "2s", "--faults", "0"]);
    let out = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{out}");
    assert!(!out.contains('\x1b'), "{out}");
    assert!(out.contains("/_sim/") && out.contains("messages stored") && out.contains("lost"), "{out}");
    let wrong = demo(&["--for", "soon"]);
    assert!(!wrong.status.success());
}
