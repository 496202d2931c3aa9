//! # The project's own chores
//! Purpose: `cargo xtask test` and what it consists of, `demo`, and the rules of the house as code. One module per command.
//! May touch: the source tree (reading), the build, what is needed to test (installing it where it may).
//! Must not touch: the product; nothing of it depends on this.

#[cfg(feature = "load")]
mod bench;
#[cfg(feature = "load")]
mod crash;
mod demo;
#[cfg(feature = "load")]
mod rig;
mod run;
mod setup;
mod test;
mod tidy;

use anyhow::{Result, bail};
use clap::{Parser, Subcommand};
use std::ffi::OsString;
use std::process::ExitCode;

#[derive(Debug, Parser)]
#[command(name = "cargo xtask", about = "The project's own chores", disable_help_subcommand = true)]
struct Arguments {
    #[command(subcommand)]
    chore: Chore,
}

#[derive(Debug, Subcommand)]
enum Chore {
    /// Everything that must hold: format, rules of the house, lints, all tests on SQLite and PostgreSQL.
    Test(test::Arguments),
    /// The rules of the house: who may depend on whom, module headers, sizes, error pages.
    Tidy,
    /// Installs what the tests need (Debian, Ubuntu): PostgreSQL, cargo-nextest, Python and Node.
    Setup,
    /// Builds the program for release and runs its demo; arguments are passed on.
    Demo {
        /// Arguments of `ponte demo`.
        #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
        arguments: Vec<OsString>,
    },
    /// Measures the real program, with the limit each figure is compared with.
    #[cfg(feature = "load")]
    Bench(bench::Arguments),
    /// Kills the real program at random moments under load; nothing may be lost or doubled.
    #[cfg(feature = "load")]
    Crash(crash::Arguments),
    /// Chores that need clients and servers (bench, crash) are compiled when they are asked for.
    #[command(external_subcommand)]
    Other(Vec<OsString>),
}

/// What is compiled only with the feature `load`.
const LOADED: [&str; 2] = ["bench", "crash"];

fn main() -> ExitCode {
    match chore(Arguments::parse().chore) {
        Ok(code) => code,
        Err(problem) => {
            eprintln!("xtask: {problem:#}");
            ExitCode::FAILURE
        }
    }
}

fn chore(chore: Chore) -> Result<ExitCode> {
    match chore {
        Chore::Test(arguments) => test::run(&arguments),
        Chore::Tidy => tidy::run(),
        Chore::Setup => setup::run(),
        Chore::Demo { arguments } => demo::run(&arguments),
        #[cfg(feature = "load")]
        Chore::Bench(arguments) => bench::run(&arguments),
        #[cfg(feature = "load")]
        Chore::Crash(arguments) => crash::run(&arguments),
        Chore::Other(words) => other(&words),
    }
}

fn other(words: &[OsString]) -> Result<ExitCode> {
    let name = words.first().map(|w| w.to_string_lossy().into_owned()).unwrap_or_default();
    if cfg!(feature = "load") || !LOADED.contains(&name.as_str()) {
        bail!("there is no chore `{name}`: see `cargo xtask --help`");
    }
    // Both the program and what loads it are measured as they are released. Duplicates are measured without the program.
    let alone = words.get(1).is_some_and(|w| w == "duplicates");
    if !alone && !run::well(&mut run::cargo(&["build", "--quiet", "--release", "--package", "ponte"]))? {
        bail!("ponte can't be built");
    }
    let mut again = run::cargo(&["run", "--quiet", "--release", "--package", "xtask", "--features", "load", "--"]);
    again.args(words);
    run::replace(again)
}
