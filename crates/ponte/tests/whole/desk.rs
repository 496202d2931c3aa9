//! An operator's desk: a folder with a configuration, files, and the command line on one database; no server.

use crate::rig::{Ran, ponte, url};
use ponte_store::{Database, Options, SqlStore};
use ponte_testkit::{Place, TestDatabase};
use std::path::Path;
use std::process::Stdio;
use std::time::Duration;
use tokio::process::Command;

const ENV: [(&str, &str); 1] = [("PONTE_CONFIG", "ponte.toml")];

pub struct Desk {
    folder: tempfile::TempDir,
}

impl Desk {
    pub fn new(db: &TestDatabase) -> Self {
        Self::with(db, "")
    }

    /// With more sections of the configuration.
    pub fn with(db: &TestDatabase, more: &str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let config = format!(
            "[database]\nurl = \"{}\"\n[storage]\nmedia_dir = \"{}\"\n{more}",
            url(db.place()),
            folder.path().join("media").display()
        );
        std::fs::write(folder.path().join("ponte.toml"), config).unwrap();
        Self { folder }
    }

    pub fn path(&self) -> &Path {
        self.folder.path()
    }

    pub fn file(&self, name: &str, text: &[u8]) {
        std::fs::write(self.path().join(name), text).unwrap();
    }

    pub fn read(&self, name: &str) -> String {
        std::fs::read_to_string(self.path().join(name)).unwrap()
    }

    /// Any command.
    pub async fn ponte(&self, args: &[&str]) -> Ran {
        ponte(args, self.path(), &ENV).await
    }

    /// `ponte contacts …`.
    pub async fn run(&self, args: &[&str]) -> Ran {
        let all: Vec<&str> = [&["contacts"], args].concat();
        self.ponte(&all).await
    }

    pub async fn good(&self, args: &[&str]) -> Ran {
        let ran = self.run(args).await;
        assert_eq!(ran.code, 0, "{args:?}: {ran:?}");
        ran
    }

    /// Starts `ponte contacts …` and kills it after a time. True when it had ended by itself before.
    pub async fn killed(&self, args: &[&str], after: Duration) -> bool {
        let all: Vec<&str> = [&["contacts"], args].concat();
        killed(&all, self.path(), &ENV, after).await
    }
}

/// Starts `ponte` and kills it (SIGKILL) after a time. True when it had ended by itself, and well, before.
pub async fn killed(args: &[&str], folder: &Path, env: &[(&str, &str)], after: Duration) -> bool {
    let mut command = Command::new(env!("CARGO_BIN_EXE_ponte"));
    command.args(args).current_dir(folder).envs(env.iter().copied()).kill_on_drop(true);
    let mut child = command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
    match tokio::time::timeout(after, child.wait()).await {
        Ok(ended) => {
            assert!(ended.unwrap().success(), "{args:?} failed by itself");
            true
        }
        Err(_) => {
            child.kill().await.unwrap();
            false
        }
    }
}

/// Holds the lock of a SQLite file as a server does: what works beside it takes small steps then.
pub fn beside_a_server(db: &TestDatabase) -> Option<std::fs::File> {
    let Place::Sqlite(path) = db.place() else { return None };
    let lock = std::fs::File::create(format!("{}.lock", path.display())).unwrap();
    lock.lock().unwrap();
    Some(lock)
}

/// The database itself, as a second reader.
pub async fn store(db: &TestDatabase) -> SqlStore {
    let database = match db.place() {
        Place::Sqlite(path) => Database::Sqlite(path.clone()),
        Place::Postgres(url) => Database::Postgres(url.clone()),
    };
    let options = Options { database, node: "test".into(), serve: false, connections: 6, migrate: false };
    SqlStore::open(options, 1).await.unwrap()
}
