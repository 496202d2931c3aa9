//! Clients that nobody here wrote, driven against a simulator: is it honest? `PONTE_INTEROP` names a folder for their packages; they
//! are installed there once, in the versions and with the hashes of the lock files under `interop/`. Without it the tests are left
//! out, and say so.

use std::path::{Path, PathBuf};
use std::process::{Command, Output};

/// Where packages are installed; `None`: left out.
pub fn folder() -> Option<PathBuf> {
    let folder = std::env::var_os("PONTE_INTEROP").map(PathBuf::from);
    if folder.is_none() {
        eprintln!("left out: PONTE_INTEROP names no folder for the vendors' packages");
    }
    folder
}

/// The scripts and lock files of a CRM.
pub fn scripts(crm: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("interop").join(crm)
}

/// The Python of an environment that has the packages of `requirements.txt`.
pub fn python(folder: &Path, crm: &str) -> PathBuf {
    let lock = scripts(crm).join("requirements.txt");
    let environment = folder.join(format!("{crm}-python"));
    let python = environment.join("bin/python");
    once(&environment, &lock, || {
        ran(Command::new("python3").args(["-m", "venv", "--clear"]).arg(&environment));
        ran(Command::new(&python).args(["-m", "pip", "install", "--quiet", "--require-hashes", "-r"]).arg(&lock));
    });
    python
}

/// The folder that has the packages of `package-lock.json`.
pub fn node(folder: &Path, crm: &str) -> PathBuf {
    let (environment, from) = (folder.join(format!("{crm}-node")), scripts(crm));
    once(&environment, &from.join("package-lock.json"), || {
        std::fs::create_dir_all(&environment).unwrap();
        for name in ["package.json", "package-lock.json"] {
            std::fs::copy(from.join(name), environment.join(name)).unwrap();
        }
        let install = ["ci", "--ignore-scripts", "--no-audit", "--no-fund"];
        ran(Command::new("npm").args(install).current_dir(&environment));
    });
    environment
}

/// Installs, unless it was done by the same lock file before. Tests are processes of their own: one installs, the others wait.
fn once(environment: &Path, lock: &Path, install: impl FnOnce()) {
    std::fs::create_dir_all(environment.parent().unwrap()).unwrap();
    let turn = std::fs::File::create(environment.with_extension("turn")).unwrap();
    turn.lock().unwrap();
    let (wanted, stamp) = (std::fs::read_to_string(lock).unwrap(), environment.join("installed.txt"));
    if std::fs::read_to_string(&stamp).is_ok_and(|there| there == wanted) {
        return;
    }
    install();
    std::fs::write(stamp, wanted).unwrap();
}

/// Runs it to its end, which must be a good one.
pub fn ran(command: &mut Command) -> Output {
    let output = command.output().unwrap();
    let (out, err) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "{command:?}\n{out}\n{err}");
    output
}
