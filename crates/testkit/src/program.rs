//! The real program, run as operators run it: a configuration file in a folder of its own, its log in a file, signals.
//! Failure story: a program that is still running when its harness is dropped is killed.

use crate::http::{Answer, request};
use anyhow::{Context, Result, bail};
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};
use tempfile::TempDir;

/// A loopback port that is free now.
///
/// # Errors
/// When there is none.
pub fn free_port() -> Result<u16> {
    Ok(TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?.local_addr()?.port())
}

/// How to run the program.
#[derive(Debug, Clone, Default)]
pub struct ProgramOptions {
    /// The program; `None`: see [`find_program`].
    pub program: Option<PathBuf>,
    /// Text of the configuration file. `{dir}` stands for the program's folder.
    pub config: String,
    /// Arguments; `{config}` stands for the configuration file, `{dir}` for the folder.
    /// Empty: `serve --config {config}`.
    pub args: Vec<String>,
    /// Environment, besides what the test has.
    pub env: Vec<(String, String)>,
    /// Where the program will listen; `/readyz` is asked there.
    pub port: u16,
}

/// A program that was started.
#[derive(Debug)]
pub struct Program {
    options: ProgramOptions,
    program: PathBuf,
    folder: TempDir,
    child: Child,
}

/// The program: the one named by `CARGO_BIN_EXE_ponte`, else the one beside the running test, else `target/release/ponte` or
/// `target/debug/ponte`, whichever is there.
///
/// # Errors
/// When it isn't built.
pub fn find_program() -> Result<PathBuf> {
    if let Some(named) = std::env::var_os("CARGO_BIN_EXE_ponte") {
        return Ok(named.into());
    }
    // Tests lie in target/PROFILE/deps, the program in target/PROFILE.
    let test = std::env::current_exe()?;
    let profile = test.ancestors().nth(2);
    let target = test.ancestors().nth(3);
    let places = [
        profile.map(|p| p.join("ponte")),
        target.map(|t| t.join("release/ponte")),
        target.map(|t| t.join("debug/ponte")),
    ];
    places.into_iter().flatten().find(|p| p.is_file()).context("ponte isn't built: run `cargo build -p ponte` first")
}

impl Program {
    /// Starts the program and waits until `/readyz` says 200.
    ///
    /// # Errors
    /// When it isn't built, ends, or isn't ready within 30 seconds; with its log.
    pub async fn start(options: ProgramOptions) -> Result<Self> {
        let mut program = Self::spawn(options)?;
        program.wait_ready().await?;
        Ok(program)
    }

    /// Starts the program and doesn't wait.
    ///
    /// # Errors
    /// When it isn't built or can't be started.
    pub fn spawn(options: ProgramOptions) -> Result<Self> {
        let program = options.program.clone().map_or_else(find_program, Ok)?;
        let folder = tempfile::Builder::new().prefix("ponte-run-").tempdir()?;
        let config = options.config.replace("{dir}", &folder.path().to_string_lossy());
        std::fs::write(folder.path().join("ponte.toml"), config)?;
        let child = launch(&program, folder.path(), &options)?;
        Ok(Self { options, program, folder, child })
    }

    /// Starts it again in the same folder, after it ended.
    ///
    /// # Errors
    /// When it is still running or can't be started.
    pub async fn restart(&mut self) -> Result<()> {
        if self.child.try_wait()?.is_none() {
            bail!("the program is still running");
        }
        self.child = launch(&self.program, self.folder.path(), &self.options)?;
        self.wait_ready().await
    }

    /// Waits until `/readyz` says 200.
    ///
    /// # Errors
    /// When the program ends or isn't ready within 30 seconds; with its log.
    pub async fn wait_ready(&mut self) -> Result<()> {
        let begun = Instant::now();
        while begun.elapsed() < Duration::from_secs(30) {
            if let Some(status) = self.child.try_wait()? {
                bail!("the program ended with {status}:\n{}", self.log());
            }
            if self.get("/readyz").await.is_ok_and(|answer| answer.status == 200) {
                return Ok(());
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        bail!("the program isn't ready after 30 seconds:\n{}", self.log())
    }

    /// Where it listens.
    #[must_use]
    pub const fn address(&self) -> SocketAddr {
        SocketAddr::new(std::net::IpAddr::V4(Ipv4Addr::LOCALHOST), self.options.port)
    }

    /// Its folder: configuration, log and whatever it writes there.
    #[must_use]
    pub fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// Its process id.
    #[must_use]
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Everything it has written to standard output and standard error, over all its lives.
    #[must_use]
    pub fn log(&self) -> String {
        std::fs::read_to_string(self.folder.path().join("log")).unwrap_or_default()
    }

    /// Asks it something.
    ///
    /// # Errors
    /// See [`request`].
    pub async fn get(&self, path: &str) -> Result<Answer> {
        request(self.address(), "GET", path, &[], &[]).await
    }

    /// Sends it something.
    ///
    /// # Errors
    /// See [`request`].
    pub async fn post(&self, path: &str, headers: &[(&str, &str)], body: &[u8]) -> Result<Answer> {
        request(self.address(), "POST", path, headers, body).await
    }

    /// Kills it where it stands (SIGKILL).
    ///
    /// # Errors
    /// When it can't be waited for.
    pub fn kill(&mut self) -> Result<()> {
        self.child.kill()?;
        self.child.wait()?;
        Ok(())
    }

    /// Asks it to end (SIGTERM) and waits until it has.
    ///
    /// # Errors
    /// When it doesn't end within `limit`; with its log.
    pub async fn terminate(&mut self, limit: Duration) -> Result<ExitStatus> {
        let asked = Command::new("kill").args(["-TERM", &self.pid().to_string()]).status()?;
        if !asked.success() {
            bail!("the program couldn't be asked to end");
        }
        self.wait(limit).await
    }

    /// Waits until it ends by itself.
    ///
    /// # Errors
    /// When it doesn't within `limit`; with its log.
    pub async fn wait(&mut self, limit: Duration) -> Result<ExitStatus> {
        let begun = Instant::now();
        loop {
            if let Some(status) = self.child.try_wait()? {
                return Ok(status);
            }
            if begun.elapsed() > limit {
                bail!("the program is still running after {limit:?}:\n{}", self.log());
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        let _ = self.kill();
    }
}

fn launch(program: &Path, folder: &Path, options: &ProgramOptions) -> Result<Child> {
    let config = folder.join("ponte.toml");
    let fill =
        |arg: &str| arg.replace("{config}", &config.to_string_lossy()).replace("{dir}", &folder.to_string_lossy());
    let log = std::fs::File::options().create(true).append(true).open(folder.join("log"))?;
    let mut command = Command::new(program);
    if options.args.is_empty() {
        command.arg("serve").arg("--config").arg(&config);
    } else {
        command.args(options.args.iter().map(|a| fill(a)));
    }
    command.current_dir(folder).stdin(Stdio::null()).stdout(log.try_clone()?).stderr(log);
    command.envs(options.env.iter().map(|(k, v)| (k, fill(v))));
    command.spawn().with_context(|| format!("starting {}", program.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shell(script: &str) -> ProgramOptions {
        ProgramOptions {
            program: Some("/bin/sh".into()),
            config: "dir = '{dir}'\n".into(),
            args: vec!["-c".into(), script.into(), "{config}".into()],
            ..ProgramOptions::default()
        }
    }

    #[tokio::test]
    async fn what_it_writes_is_kept_over_its_lives_and_signals_reach_it() {
        let script =
            "[ -f once ] && exit 3; touch once; trap 'echo bye; exit 7' TERM; cat \"$0\"; while :; do sleep 0.02; done";
        let mut program = Program::spawn(shell(script)).unwrap();
        while !program.log().contains("dir") {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        assert!(program.log().contains(&*program.folder().to_string_lossy()));
        let ended = program.terminate(Duration::from_secs(5)).await.unwrap();
        assert_eq!((ended.code(), program.log().contains("bye")), (Some(7), true));
        let gone = program.restart().await.unwrap_err().to_string();
        assert!(gone.contains("ended with exit status: 3"), "{gone}");
    }

    #[tokio::test]
    async fn a_program_that_ends_is_not_waited_for() {
        let begun = Instant::now();
        let problem = Program::start(shell("echo no such setting; exit 2")).await.unwrap_err().to_string();
        assert!(problem.contains("no such setting") && begun.elapsed() < Duration::from_secs(5), "{problem}");
    }
}
