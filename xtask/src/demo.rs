//! `cargo xtask demo`: the program as it would be released, showing itself.

use crate::run;
use anyhow::{Result, bail};
use std::ffi::OsString;
use std::process::{Command, ExitCode};

pub fn run(arguments: &[OsString]) -> Result<ExitCode> {
    if !run::well(&mut run::cargo(&["build", "--release", "--package", "ponte"]))? {
        bail!("the program can't be built");
    }
    let target = run::target_folder();
    let mut demo = Command::new(target.join("release/ponte"));
    demo.arg("demo").args(arguments);
    run::replace(demo)
}
