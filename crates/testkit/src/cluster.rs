//! A PostgreSQL cluster of one's own: initdb and postgres in a temporary folder, on a free loopback port.
//! Failure story: the server hangs on a pipe of the process that started it; when that process ends, however it ends, the
//! server is told to quit.

use anyhow::{Context, Result, bail};
use std::io::Read;
use std::net::TcpListener;
use std::os::unix::fs::{MetadataExt, PermissionsExt, chown};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};
use tempfile::TempDir;

/// Where a test run finds its cluster: an administrator's `postgres://…` address.
pub const POSTGRES_ENV: &str = "PONTE_TEST_POSTGRES";

/// What to do where there is no PostgreSQL.
pub const HINT: &str = "PostgreSQL is needed: run `cargo xtask setup` (Debian, Ubuntu), or install it so that initdb and \
postgres are on the PATH, or set PONTE_TEST_POSTGRES to the postgres:// address of an administrator";

/// What a commit means.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Durability {
    /// No fsync: for tests of behaviour, fast.
    Memory,
    /// fsync as in production: for measurements and crash tests.
    Disk,
}

/// A running cluster; stopped and deleted when dropped.
#[derive(Debug)]
pub struct Cluster {
    server: Child,
    folder: TempDir,
    port: u16,
}

/// Folder of PostgreSQL's programs: that of the newest version installed, or the one on the PATH.
#[must_use]
pub fn programs() -> Option<PathBuf> {
    let complete = |folder: &PathBuf| folder.join("initdb").is_file() && folder.join("postgres").is_file();
    let mut versions: Vec<(u32, PathBuf)> = std::fs::read_dir("/usr/lib/postgresql")
        .into_iter()
        .flatten()
        .flatten()
        .filter_map(|entry| {
            let version = entry.file_name().to_str()?.parse().ok()?;
            Some((version, entry.path().join("bin")))
        })
        .filter(|(_, folder)| complete(folder))
        .collect();
    versions.sort();
    let newest = versions.pop().map(|(_, folder)| folder);
    newest.or_else(|| std::env::split_paths(&std::env::var_os("PATH")?).find(complete))
}

impl Cluster {
    /// Starts a cluster and waits until it answers.
    ///
    /// # Errors
    /// When PostgreSQL isn't installed, or doesn't start; the message says what to do.
    pub fn start(durability: Durability) -> Result<Self> {
        let programs = programs().context(HINT)?;
        let folder = tempfile::Builder::new().prefix("ponte-pg-").tempdir().context("a temporary folder")?;
        // The server refuses to run as root: then it runs as somebody without rights, who owns the folder.
        let user = if is_root(folder.path())? { Some(unprivileged()?) } else { None };
        if let Some((uid, gid)) = user {
            chown(folder.path(), Some(uid), Some(gid)).context("giving the folder away")?;
        }
        std::fs::set_permissions(folder.path(), std::fs::Permissions::from_mode(0o700))?;
        let data = folder.path().join("data");
        let mut initdb = as_user(&programs.join("initdb"), user);
        initdb.arg("-D").arg(&data).args(["-U", "ponte", "-A", "trust", "-E", "UTF8", "--locale=C", "--no-sync"]);
        let done = initdb.current_dir(folder.path()).output().context("initdb")?;
        if !done.status.success() {
            bail!("initdb failed: {}", String::from_utf8_lossy(&done.stderr));
        }
        let port = TcpListener::bind("127.0.0.1:0")?.local_addr()?.port();
        let server = serve(&programs, folder.path(), &data, port, durability, user)?;
        let mut cluster = Self { server, folder, port };
        cluster.wait_ready(&programs)?;
        Ok(cluster)
    }

    /// The administrator's address, to be passed on in [`POSTGRES_ENV`].
    #[must_use]
    pub fn url(&self) -> String {
        format!("postgres://ponte@127.0.0.1:{}/postgres?sslmode=disable", self.port)
    }

    #[expect(clippy::disallowed_methods, reason = "starting a server for tests, outside of any runtime's clock")]
    fn wait_ready(&mut self, programs: &Path) -> Result<()> {
        let begun = Instant::now();
        while begun.elapsed() < Duration::from_secs(60) {
            let mut ask = Command::new(programs.join("pg_isready"));
            ask.args(["-q", "-h", "127.0.0.1", "-U", "ponte", "-d", "postgres", "-p", &self.port.to_string()]);
            if ask.status().context("pg_isready")?.success() {
                return Ok(());
            }
            if let Some(status) = self.server.try_wait()? {
                bail!("postgres ended with {status}: {}", self.log());
            }
            std::thread::sleep(Duration::from_millis(25));
        }
        bail!("postgres didn't answer within a minute: {}", self.log())
    }

    fn log(&self) -> String {
        std::fs::read_to_string(self.folder.path().join("log")).unwrap_or_default()
    }
}

impl Drop for Cluster {
    fn drop(&mut self) {
        // Closing the pipe tells the shell to stop the server; it ends once the server has.
        drop(self.server.stdin.take());
        let _ = self.server.wait();
    }
}

/// The server under a shell that waits for its input to end and then stops it at once.
fn serve(
    programs: &Path,
    folder: &Path,
    data: &Path,
    port: u16,
    durability: Durability,
    user: Option<(u32, u32)>,
) -> Result<Child> {
    let log = folder.join("log");
    let script = r#"log="$1"; shift; "$@" >"$log" 2>&1 & server=$!
( wait_for_end() { while read -r _; do :; done; kill -QUIT "$server" 2>/dev/null; }; wait_for_end ) &
wait "$server""#;
    // The reader must read the pipe: a background job of a shell would read from nowhere.
    let script = script.replace("wait_for_end ) &", "wait_for_end ) <&3 &");
    let mut shell = as_user(Path::new("/bin/sh"), user);
    shell.arg("-c").arg(format!("exec 3<&0; {script}")).arg("sh").arg(&log);
    shell.arg(programs.join("postgres")).arg("-D").arg(data).arg("-k").arg(folder);
    shell.args(["-h", "127.0.0.1", "-p", &port.to_string()]);
    let mut settings = vec!["max_connections=400", "shared_buffers=128MB", "max_wal_size=2GB", "jit=off"];
    if durability == Durability::Memory {
        settings.extend(["fsync=off", "full_page_writes=off", "synchronous_commit=off"]);
    }
    for setting in settings {
        shell.args(["-c", setting]);
    }
    shell.current_dir(folder).stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::null()).process_group(0);
    shell.spawn().context("starting postgres")
}

pub(crate) fn as_user(program: &Path, user: Option<(u32, u32)>) -> Command {
    let mut command = Command::new(program);
    if let Some((uid, gid)) = user {
        command.uid(uid).gid(gid);
    }
    command
}

/// What we just made belongs to us.
pub(crate) fn is_root(ours: &Path) -> Result<bool> {
    Ok(std::fs::metadata(ours)?.uid() == 0)
}

/// User and group of `postgres`, else of `nobody`.
pub(crate) fn unprivileged() -> Result<(u32, u32)> {
    let mut text = String::new();
    std::fs::File::open("/etc/passwd")?.read_to_string(&mut text)?;
    let find = |name: &str| {
        text.lines().find_map(|line| {
            let mut parts = line.split(':');
            let found = parts.next() == Some(name);
            let uid = parts.nth(1)?.parse().ok()?;
            let gid = parts.next()?.parse().ok()?;
            found.then_some((uid, gid))
        })
    };
    find("postgres").or_else(|| find("nobody")).context("no user `postgres` or `nobody` to run the server as")
}
