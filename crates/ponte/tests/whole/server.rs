//! A PostgreSQL server of a test's own that can be stopped and started again.

use crate::rig::{LONG, port};
use ponte_testkit::cluster;
use std::os::unix::fs::{PermissionsExt, chown};
use std::os::unix::process::CommandExt;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};
use tempfile::TempDir;

pub struct Server {
    programs: PathBuf,
    folder: TempDir,
    user: Option<(u32, u32)>,
    port: u16,
    child: Option<Child>,
}

impl Server {
    pub fn start() -> Self {
        let programs = cluster::programs().expect(cluster::HINT);
        let folder = tempfile::Builder::new().prefix("ponte-pg-").tempdir().unwrap();
        let user = unprivileged(&folder);
        std::fs::set_permissions(folder.path(), std::fs::Permissions::from_mode(0o700)).unwrap();
        let mut server = Self { programs, folder, user, port: port(), child: None };
        let mut initdb = server.command("initdb");
        initdb.arg("-D").arg(server.folder.path().join("data")).args([
            "-U",
            "ponte",
            "-A",
            "trust",
            "-E",
            "UTF8",
            "--locale=C",
            "--no-sync",
        ]);
        let made = initdb.output().unwrap();
        assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
        server.up();
        server
    }

    fn command(&self, program: &str) -> Command {
        let mut command = Command::new(self.programs.join(program));
        if let Some((uid, gid)) = self.user {
            command.uid(uid).gid(gid);
        }
        command.current_dir(self.folder.path());
        command
    }

    pub fn url(&self) -> String {
        format!("postgres://ponte@127.0.0.1:{}/postgres?sslmode=disable", self.port)
    }

    /// Starts it and waits until it answers.
    #[expect(clippy::disallowed_methods, reason = "a server for tests, outside of any runtime's clock")]
    pub fn up(&mut self) {
        assert!(self.child.is_none());
        let mut postgres = self.command("postgres");
        postgres.arg("-D").arg(self.folder.path().join("data")).arg("-k").arg(self.folder.path());
        postgres.args(["-h", "127.0.0.1", "-p", &self.port.to_string(), "-c", "fsync=off"]);
        self.child = Some(postgres.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap());
        let begun = Instant::now();
        let port = self.port.to_string();
        loop {
            let mut ask = self.command("pg_isready");
            ask.args(["-q", "-h", "127.0.0.1", "-U", "ponte", "-d", "postgres", "-p", &port]);
            if ask.status().unwrap().success() {
                return;
            }
            assert!(begun.elapsed() < LONG, "postgres doesn't start");
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    /// Stops it at once: connections are cut, nothing is lost that was committed.
    pub fn down(&mut self) {
        if let Some(mut child) = self.child.take() {
            let _ = Command::new("kill").args(["-INT", &child.id().to_string()]).status();
            let _ = child.wait();
        }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.down();
    }
}

/// The server refuses to run as root: then it runs as somebody without rights, who owns the folder.
fn unprivileged(folder: &TempDir) -> Option<(u32, u32)> {
    use std::os::unix::fs::MetadataExt;
    if std::fs::metadata(folder.path()).unwrap().uid() != 0 {
        return None;
    }
    let text = std::fs::read_to_string("/etc/passwd").unwrap();
    let find = |name: &str| {
        let line = text.lines().find(|l| l.split(':').next() == Some(name))?;
        let mut parts = line.split(':').skip(2).map(|n| n.parse::<u32>().ok());
        Some((parts.next()??, parts.next()??))
    };
    let (uid, gid) = find("postgres").or_else(|| find("nobody")).expect("a user `postgres` or `nobody`");
    chown(folder.path(), Some(uid), Some(gid)).unwrap();
    Some((uid, gid))
}
