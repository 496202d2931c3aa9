//! `cargo xtask setup`: what the tests need and isn't there yet. Installs where it may (Debian, Ubuntu; root or sudo without
//! a password), else says what to do.

use crate::run::{cargo, silently, well};
use anyhow::{Result, bail};
use ponte_testkit::cluster::{HINT, POSTGRES_ENV, programs};
use ponte_testkit::mariadb::MYSQL_ENV;
use std::process::{Command, ExitCode};

pub fn run() -> Result<ExitCode> {
    postgres()?;
    mariadb();
    vendors();
    nextest();
    Ok(ExitCode::SUCCESS)
}

/// Makes sure that there is a PostgreSQL to test with.
pub fn postgres() -> Result<()> {
    if std::env::var_os(POSTGRES_ENV).is_some() || programs().is_some() {
        return Ok(());
    }
    install("PostgreSQL", &["postgresql"])?;
    if programs().is_none() {
        bail!("{HINT}");
    }
    Ok(())
}

/// Makes sure that there is a MariaDB to test the SQL connector with. False when it can't be: then those tests are left out, and say so.
pub fn mariadb() -> bool {
    let there = || std::env::var_os(MYSQL_ENV).is_some() || ponte_testkit::mariadb::programs().is_some();
    if !there() {
        // The server alone, without the service around it, and the program that its own set-up asks for defaults.
        let _ = install("MariaDB", &["mariadb-server-core", "mariadb-client-core"]);
    }
    there()
}

/// Makes sure that the vendors' own client packages can be installed, by which the simulators are judged: Python with its
/// environments, Node with npm. False when it can't be: then those tests are left out, and say so.
pub fn vendors() -> bool {
    let python = || silently("python3", &["-c", "import venv, ensurepip"]);
    let node = || silently("node", &["--version"]) && silently("npm", &["--version"]);
    if !python() {
        let _ = install("Python", &["python3", "python3-venv"]);
    }
    if !node() {
        let _ = install("Node", &["nodejs", "npm"]);
    }
    python() && node()
}

/// Installs packages of Debian or Ubuntu, where that may be done.
fn install(what: &str, packages: &[&str]) -> Result<()> {
    let Some(prefix) = apt() else { return Ok(()) };
    println!("xtask: installing {what}");
    let apt = |arguments: &[&str]| {
        let mut words = prefix.clone();
        words.extend(["env", "DEBIAN_FRONTEND=noninteractive", "apt-get", "-q"]);
        let (program, before) = words.split_first().unwrap_or((&"apt-get", &[]));
        well(Command::new(program).args(before).args(arguments))
    };
    let all = [&["install", "-y", "--no-install-recommends"], packages].concat();
    // Lists that are out of date, or absent, are the usual reason why the first try fails.
    if !apt(&all)? {
        apt(&["update"])?;
        apt(&all)?;
    }
    Ok(())
}

/// What must stand before apt-get, when it may be used.
fn apt() -> Option<Vec<&'static str>> {
    if !silently("apt-get", &["--version"]) {
        return None;
    }
    let output = Command::new("id").arg("-u").output().ok()?;
    if output.stdout.trim_ascii() == b"0" {
        return Some(vec![]);
    }
    silently("sudo", &["-n", "true"]).then(|| vec!["sudo", "-n"])
}

/// Makes sure that cargo-nextest is there; false when it can't be: then `cargo test` has to do.
pub fn nextest() -> bool {
    let there = || {
        let mut ask = cargo(&["nextest", "--version"]);
        ask.stdout(std::process::Stdio::null()).stderr(std::process::Stdio::null());
        well(&mut ask).unwrap_or(false)
    };
    if there() {
        return true;
    }
    println!("xtask: installing cargo-nextest");
    let _ = well(&mut cargo(&["install", "cargo-nextest", "--locked"]));
    there()
}
