//! # Vault
//! Purpose: the key that secrets in the database are encrypted with: as configured, or beside a SQLite database, made at first use.
//! May touch: the key's file.
//! Must not touch: secrets.
//! Failure story: a key that was lost makes the secrets unreadable: connections are authorised again.

use crate::config::Settings;
use anyhow::{Context, Result, bail};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use ponte_store::{Database, VaultKey};
use secrecy::ExposeSecret;
use std::io::Write;
use std::path::{Path, PathBuf};

/// The key. `None` on PostgreSQL without a configured one: nodes must share it, so none is made up.
///
/// # Errors
/// The file can't be read or made.
pub fn key(settings: &Settings) -> Result<Option<VaultKey>> {
    if let Some(text) = &settings.secrets_key {
        return read(text.expose_secret()).map(Some);
    }
    match &settings.database {
        Database::Sqlite(path) if !settings.crms.is_empty() => beside(path).map(Some),
        _ => Ok(None),
    }
}

/// Reads 32 bytes in base64.
///
/// # Errors
/// It is something else.
pub fn read(text: &str) -> Result<VaultKey> {
    let bytes = STANDARD.decode(text.trim()).ok();
    bytes
        .as_deref()
        .and_then(VaultKey::new)
        .context("this is no 32 bytes in base64: make some with openssl rand -base64 32")
}

/// The key in a file beside the database, readable by its owner alone.
fn beside(database: &Path) -> Result<VaultKey> {
    let mut name = database.as_os_str().to_owned();
    name.push(".key");
    let file = PathBuf::from(name);
    let shown = || file.display().to_string();
    match std::fs::read_to_string(&file) {
        Ok(text) => return read(&text).with_context(shown),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {}
        Err(error) => return Err(error).with_context(shown),
    }
    let mut bytes = [0; 32];
    getrandom(&mut bytes)?;
    let mut options = std::fs::OpenOptions::new();
    options.write(true).create(true).truncate(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    // Whole or not there: the name is given to a file that is written. When another program was faster, its key counts.
    let whole = file.with_extension(format!("key.{}", std::process::id()));
    let mut out = options.open(&whole).with_context(shown)?;
    out.write_all(STANDARD.encode(bytes).as_bytes()).with_context(shown)?;
    out.sync_all().with_context(shown)?;
    let named = std::fs::hard_link(&whole, &file);
    std::fs::remove_file(&whole).with_context(shown)?;
    match named {
        Err(error) if error.kind() != std::io::ErrorKind::AlreadyExists => return Err(error).with_context(shown),
        _ => {}
    }
    read(&std::fs::read_to_string(&file).with_context(shown)?).with_context(shown)
}

/// Fills with random bytes of the system.
///
/// # Errors
/// When it gives none.
pub fn getrandom(bytes: &mut [u8]) -> Result<()> {
    if rand::TryRngCore::try_fill_bytes(&mut rand::rngs::OsRng, bytes).is_err() {
        bail!("the system gives no random bytes");
    }
    Ok(())
}
