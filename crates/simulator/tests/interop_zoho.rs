//! Zoho's own SDK drives the simulator: what the vendor's client sends must be taken, and what it reads must parse.
//!
//! `PONTE_INTEROP` names a folder for the vendor's packages; they are installed there once, in the versions and with the
//! hashes of `interop/zoho/requirements.txt` and `package-lock.json`. Without it the tests are skipped, and say so.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing, clippy::panic)]

use ponte_simulator::zoho::{Config, Zoho};
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

/// The Python of an environment that has the packages of the lock file.
fn python(folder: &Path, scripts: &Path) -> PathBuf {
    let lock = scripts.join("requirements.txt");
    let wanted = std::fs::read_to_string(&lock).unwrap();
    let (environment, stamp) = (folder.join("zoho-python"), folder.join("zoho-python/installed.txt"));
    let python = environment.join("bin/python");
    if std::fs::read_to_string(&stamp).is_ok_and(|there| there == wanted) {
        return python;
    }
    std::fs::create_dir_all(folder).unwrap();
    ran(Command::new("python3").args(["-m", "venv", "--clear"]).arg(&environment));
    ran(Command::new(&python).args(["-m", "pip", "install", "--quiet", "--require-hashes", "-r"]).arg(&lock));
    std::fs::write(stamp, wanted).unwrap();
    python
}

/// The folder that has the packages of `package-lock.json`.
fn node(folder: &Path, scripts: &Path) -> PathBuf {
    let (environment, lock) = (folder.join("zoho-node"), scripts.join("package-lock.json"));
    let (wanted, stamp) = (std::fs::read_to_string(&lock).unwrap(), environment.join("installed.json"));
    if std::fs::read_to_string(&stamp).is_ok_and(|there| there == wanted) {
        return environment;
    }
    std::fs::create_dir_all(&environment).unwrap();
    for name in ["package.json", "package-lock.json"] {
        std::fs::copy(scripts.join(name), environment.join(name)).unwrap();
    }
    let install = ["ci", "--ignore-scripts", "--no-audit", "--no-fund"];
    ran(Command::new("npm").args(install).current_dir(&environment));
    std::fs::write(stamp, wanted).unwrap();
    environment
}

fn ran(command: &mut Command) -> Output {
    let output = command.output().unwrap();
    let (out, err) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "{command:?}\n{out}\n{err}");
    output
}

/// Lets the script that `command` makes drive a simulator; its last line says that it came to its end.
async fn driven(command: fn(&Path, &Path) -> Command, end: &str) {
    let Some(folder) = std::env::var_os("PONTE_INTEROP") else {
        eprintln!("skipped: PONTE_INTEROP names no folder for the vendor's packages");
        return;
    };
    let scripts = Path::new(env!("CARGO_MANIFEST_DIR")).join("interop/zoho");
    let zoho = Zoho::start(Config::default()).await.unwrap();
    let base = zoho.base_url();
    let output = tokio::task::spawn_blocking(move || ran(command(Path::new(&folder), &scripts).arg(base)));
    let output = output.await.unwrap();
    assert!(String::from_utf8_lossy(&output.stdout).trim_end().ends_with(end));
    let stats = zoho.stats();
    assert_eq!((stats.ignored_fields, stats.token_refreshes), (0, 1), "{stats:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_python_sdk_writes_reads_and_watches() {
    let command = |folder: &Path, scripts: &Path| {
        let mut command = Command::new(python(folder, scripts));
        command.arg(scripts.join("drive.py"));
        command
    };
    driven(command, "refreshed").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_node_sdk_writes_and_reads() {
    let command = |folder: &Path, scripts: &Path| {
        let mut command = Command::new("node");
        command.arg(scripts.join("drive.mjs")).current_dir(node(folder, scripts));
        command
    };
    driven(command, "deleted").await;
}
