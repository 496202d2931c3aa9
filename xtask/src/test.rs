//! `cargo xtask test`: everything that must hold, step by step. All steps are run, so that one look shows all that is wrong.
//! The last lines are the test runner's own summary and `N passed, N failed`, taken from it.

use crate::{run, setup, tidy};
use anyhow::{Context, Result};
use ponte_testkit::cluster::{Cluster, Durability, POSTGRES_ENV};
use ponte_testkit::mariadb::{MYSQL_ENV, MariaServer};
use std::io::{BufRead, BufReader};
use std::process::{Command, ExitCode, Stdio};
use std::time::Instant;

/// Where the vendors' packages are installed, once, by the tests that use them.
const INTEROP_ENV: &str = "PONTE_INTEROP";

#[derive(Debug, clap::Args)]
pub struct Arguments {
    /// Leaves out what needs PostgreSQL: for a quick look, not for a verdict.
    #[arg(long)]
    quick: bool,
    /// Lints and tests only these packages: for a quick look, too.
    #[arg(short, long)]
    package: Vec<String>,
}

impl Arguments {
    /// The packages meant, as arguments of cargo.
    fn packages(&self) -> Vec<&str> {
        if self.package.is_empty() {
            return vec!["--workspace", "--all-features"];
        }
        self.package.iter().flat_map(|p| ["--package", p]).collect()
    }
}

pub fn run(arguments: &Arguments) -> Result<ExitCode> {
    let mut steps = Steps::default();
    if !arguments.quick {
        steps.step("setup", || setup::postgres().map(|()| true));
    }
    steps.step("format", || run::well(&mut run::cargo(&["fmt", "--all", "--check"])));
    steps.step("tidy", || tidy::run().map(|code| code == ExitCode::SUCCESS));
    steps.step("clippy", || {
        let mut lint = run::cargo(&["clippy", "--all-targets"]);
        run::well(lint.args(arguments.packages()).args(["--", "-D", "warnings"]))
    });
    let mut cluster = None;
    if !arguments.quick && std::env::var_os(POSTGRES_ENV).is_none() {
        steps.step("postgres", || {
            cluster = Some(Cluster::start(Durability::Memory)?);
            Ok(true)
        });
    }
    let mut mariadb = None;
    if !arguments.quick && std::env::var_os(MYSQL_ENV).is_none() {
        steps.step("mariadb", || {
            if setup::mariadb() {
                mariadb = Some(MariaServer::start()?);
            } else {
                println!("xtask: without MariaDB (mariadbd, mariadb-install-db) its tests are left out");
            }
            Ok(true)
        });
    }
    let nextest = setup::nextest();
    let mut verdict = None;
    steps.step("tests", || {
        let (good, counted) = tests(nextest, arguments, cluster.as_ref(), mariadb.as_ref())?;
        verdict = counted;
        Ok(good)
    });
    drop((cluster, mariadb));
    Ok(steps.report(verdict))
}

#[derive(Debug, Default)]
struct Steps(Vec<(&'static str, f64, bool)>);

impl Steps {
    fn step(&mut self, name: &'static str, work: impl FnOnce() -> Result<bool>) {
        println!("xtask: {name}");
        let begun = Instant::now();
        let good = work().unwrap_or_else(|problem| {
            eprintln!("xtask: {name}: {problem:#}");
            false
        });
        self.0.push((name, begun.elapsed().as_secs_f64(), good));
    }

    fn report(&self, verdict: Option<Verdict>) -> ExitCode {
        println!();
        for (name, seconds, good) in &self.0 {
            println!("{:>10} {seconds:>7.1} s  {}", name, if *good { "good" } else { "FAILED" });
        }
        let good = self.0.iter().all(|(.., good)| *good);
        match verdict {
            Some(Verdict { summary, passed, failed }) => {
                println!("\n{summary}\n{passed} passed, {failed} failed");
                // A run that tested nothing has proved nothing.
                if good && failed == 0 && passed > 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE }
            }
            None => {
                println!("\nThe tests were not run.");
                ExitCode::FAILURE
            }
        }
    }
}

/// What the runner said.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Verdict {
    summary: String,
    passed: u64,
    failed: u64,
}

fn tests(
    nextest: bool,
    arguments: &Arguments,
    cluster: Option<&Cluster>,
    mariadb: Option<&MariaServer>,
) -> Result<(bool, Option<Verdict>)> {
    let mut command = if nextest {
        run::cargo(&["nextest", "run", "--no-fail-fast"])
    } else {
        run::cargo(&["test", "--no-fail-fast", "--lib", "--bins", "--tests"])
    };
    command.args(arguments.packages());
    match (arguments.quick, nextest) {
        (true, true) => drop(command.args(["-E", "not test(postgres) and not test(mariadb)"])),
        (true, false) => drop(command.args(["--", "--skip", "postgres", "--skip", "mariadb"])),
        (false, _) => {}
    }
    if let Some(cluster) = cluster {
        command.env(POSTGRES_ENV, cluster.url());
    }
    if let Some(server) = mariadb {
        command.env(MYSQL_ENV, server.url());
    }
    if !arguments.quick && std::env::var_os(INTEROP_ENV).is_none() {
        if setup::vendors() {
            command.env(INTEROP_ENV, run::target_folder().join("interop"));
        } else {
            println!("xtask: without python3 (venv) and npm the vendors' own clients are left out");
        }
    }
    let (good, lines) = listen(command, nextest)?;
    Ok((good, if nextest { of_nextest(&lines) } else { of_cargo(&lines) }))
}

/// Runs it, shows what it says, and keeps the lines with a verdict. nextest speaks on standard error, cargo's tests on
/// standard output.
fn listen(mut command: Command, on_stderr: bool) -> Result<(bool, Vec<String>)> {
    if on_stderr {
        command.stderr(Stdio::piped())
    } else {
        command.stdout(Stdio::piped())
    };
    let mut child = command.spawn().context("the test runner")?;
    let output: Box<dyn std::io::Read> = match (child.stderr.take(), child.stdout.take()) {
        (Some(stderr), _) => Box::new(stderr),
        (None, Some(stdout)) => Box::new(stdout),
        (None, None) => Box::new(std::io::empty()),
    };
    let mut kept = Vec::new();
    for line in BufReader::new(output).split(b'\n') {
        let line = line?;
        let line = String::from_utf8_lossy(&line);
        println!("{line}");
        if line.contains("Summary [") || line.starts_with("test result: ") {
            kept.push(line.into_owned());
        }
    }
    Ok((child.wait()?.success(), kept))
}

/// `Summary [ 1.2s] 5 tests run: 4 passed (1 slow), 1 failed, 0 skipped`.
fn of_nextest(lines: &[String]) -> Option<Verdict> {
    let summary = lines.last()?.trim().to_owned();
    let failed = count(&summary, "failed") + count(&summary, "timed out") + count(&summary, "exec failed");
    Some(Verdict { passed: count(&summary, "passed"), failed, summary })
}

/// One `test result: ok. 4 passed; 1 failed; …` for every binary.
fn of_cargo(lines: &[String]) -> Option<Verdict> {
    lines.last()?;
    let sum = |what| lines.iter().map(|line| count(line, what)).sum::<u64>();
    let (passed, failed) = (sum("passed"), sum("failed"));
    let summary =
        format!("Summary {} binaries, {} tests run: {passed} passed, {failed} failed", lines.len(), passed + failed);
    Some(Verdict { summary, passed, failed })
}

/// The number that stands before a word; 0 when there is none.
fn count(line: &str, what: &str) -> u64 {
    let words: Vec<&str> = line.split([',', ';', ':', '.', '(', ')']).map(str::trim).collect();
    let number = |part: &str| part.strip_suffix(what)?.trim_end().rsplit(' ').next()?.parse().ok();
    words.into_iter().find_map(number).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_verdict_is_the_runners() {
        let lines = ["     Summary [  38.1s] 150 tests run: 144 passed (2 slow), 6 failed, 3 skipped".to_owned()];
        let verdict = of_nextest(&lines).unwrap();
        assert_eq!((verdict.passed, verdict.failed), (144, 6));
        let lines = ["     Summary [   0.1s] 10 tests run: 7 passed, 1 failed, 2 timed out, 0 skipped".to_owned()];
        assert_eq!(of_nextest(&lines).map(|v| (v.passed, v.failed)), Some((7, 3)));
        assert_eq!(of_nextest(&[]), None);
    }

    #[test]
    fn without_nextest_the_binaries_are_added_up() {
        let lines = [
            "test result: ok. 4 passed; 0 failed; 0 ignored; 0 measured; 0 filtered out; finished in 0.00s".to_owned(),
            "test result: FAILED. 2 passed; 1 failed; 0 ignored; 0 measured; 0 filtered out; finished in 0.00s"
                .to_owned(),
        ];
        assert_eq!(of_cargo(&lines).map(|v| (v.passed, v.failed)), Some((6, 1)));
        assert_eq!(of_cargo(&[]), None);
    }
}
