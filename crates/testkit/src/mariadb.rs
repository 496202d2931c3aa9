//! A MariaDB server of one's own, for the SQL connector: in a temporary folder, on a free loopback port; each user gets a database.
//! Failure story: as the PostgreSQL cluster's: when the process that started it ends, however it ends, the server is told to quit.

use crate::cluster::{as_user, is_root, unprivileged};
use anyhow::{Context, Result, bail};
use std::net::{TcpListener, TcpStream};
use std::os::unix::fs::{PermissionsExt, chown};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Stdio};
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::time::{Duration, Instant};
use tempfile::TempDir;

/// Where a test run finds its server: an administrator's `mysql://…` address.
pub const MYSQL_ENV: &str = "PONTE_MYSQL_URL";

/// A running server; stopped and deleted when dropped.
#[derive(Debug)]
pub struct MariaServer {
    server: Child,
    folder: TempDir,
    port: u16,
}

/// MariaDB's own two programs; the first needs a third one, of the client's package.
#[must_use]
pub fn programs() -> Option<(PathBuf, PathBuf)> {
    let find = |name: &str| {
        let path = std::env::var_os("PATH").unwrap_or_default();
        let own = ["/usr/sbin", "/usr/bin", "/usr/local/bin"].map(PathBuf::from);
        std::env::split_paths(&path).chain(own).map(|folder| folder.join(name)).find(|file| file.is_file())
    };
    find("my_print_defaults")?;
    Some((find("mariadb-install-db")?, find("mariadbd")?))
}

impl MariaServer {
    /// Starts a server and waits until it answers.
    ///
    /// # Errors
    /// When MariaDB isn't installed, or doesn't start.
    pub fn start() -> Result<Self> {
        let (install, serve) = programs().context("MariaDB isn't installed: cargo xtask setup")?;
        let folder = tempfile::Builder::new().prefix("ponte-my-").tempdir().context("a temporary folder")?;
        let user = if is_root(folder.path())? { Some(unprivileged()?) } else { None };
        if let Some((uid, gid)) = user {
            chown(folder.path(), Some(uid), Some(gid)).context("giving the folder away")?;
        }
        std::fs::set_permissions(folder.path(), std::fs::Permissions::from_mode(0o700))?;
        let data = folder.path().join("data");
        let data = format!("--datadir={}", data.display());
        // Servers side by side would take each other's files from a common folder.
        let scratch = format!("--tmpdir={}", folder.path().display());
        let mut init = as_user(&install, user);
        init.args(["--no-defaults", &data, &scratch, "--auth-root-authentication-method=normal", "--skip-test-db"]);
        let done =
            init.env("TMPDIR", folder.path()).current_dir(folder.path()).output().context("mariadb-install-db")?;
        if !done.status.success() {
            bail!("mariadb-install-db failed: {}", String::from_utf8_lossy(&done.stderr));
        }
        let port = TcpListener::bind("127.0.0.1:0")?.local_addr()?.port();
        let log = folder.path().join("log");
        let script = r#"exec 3<&0; log="$1"; shift; "$@" >"$log" 2>&1 & server=$!
( while read -r _; do :; done; kill -KILL "$server" 2>/dev/null ) <&3 &
wait "$server""#;
        let mut shell = as_user(Path::new("/bin/sh"), user);
        shell.arg("-c").arg(script).arg("sh").arg(&log).arg(serve);
        let socket = format!("--socket={}", folder.path().join("socket").display());
        shell.args(["--no-defaults", &data, &scratch, &socket, "--bind-address=127.0.0.1", &format!("--port={port}")]);
        shell.args(["--innodb-flush-log-at-trx-commit=0", "--innodb-buffer-pool-size=32M", "--skip-log-bin"]);
        shell.current_dir(folder.path()).stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::null());
        let server = shell.process_group(0).spawn().context("starting mariadbd")?;
        let mut started = Self { server, folder, port };
        started.wait_ready()?;
        Ok(started)
    }

    /// The administrator's address.
    #[must_use]
    pub fn url(&self) -> String {
        format!("mysql://root@127.0.0.1:{}", self.port)
    }

    #[expect(clippy::disallowed_methods, reason = "starting a server for tests, outside of any runtime's clock")]
    fn wait_ready(&mut self) -> Result<()> {
        let begun = Instant::now();
        while begun.elapsed() < Duration::from_secs(60) {
            if TcpStream::connect(("127.0.0.1", self.port)).is_ok() {
                return Ok(());
            }
            if let Some(status) = self.server.try_wait()? {
                let log = std::fs::read_to_string(self.folder.path().join("log")).unwrap_or_default();
                bail!("mariadbd ended with {status}: {log}");
            }
            std::thread::sleep(Duration::from_millis(25));
        }
        bail!("mariadbd didn't answer within a minute")
    }
}

impl Drop for MariaServer {
    fn drop(&mut self) {
        drop(self.server.stdin.take());
        let _ = self.server.wait();
    }
}

/// The server of this process while somebody uses it; `None` where MariaDB isn't installed and no address is given, which is said.
///
/// # Errors
/// When it doesn't start.
pub fn shared() -> Result<Option<(String, Option<Arc<MariaServer>>)>> {
    static SHARED: Mutex<Weak<MariaServer>> = Mutex::new(Weak::new());
    if let Ok(url) = std::env::var(MYSQL_ENV)
        && !url.is_empty()
    {
        return Ok(Some((url.trim_end_matches('/').to_owned(), None)));
    }
    if programs().is_none() {
        eprintln!("left out: MariaDB isn't installed (cargo xtask setup), and {MYSQL_ENV} names no server");
        return Ok(None);
    }
    let mut shared = SHARED.lock().unwrap_or_else(PoisonError::into_inner);
    let running = match shared.upgrade() {
        Some(running) => running,
        None => {
            let started = Arc::new(MariaServer::start()?);
            *shared = Arc::downgrade(&started);
            started
        }
    };
    Ok(Some((running.url(), Some(running))))
}
