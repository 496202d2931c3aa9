//! # Token file
//! Purpose: keeps a Zoho connection's access token across restarts, because Zoho gives only ten in ten minutes.
//! May touch: the file it was given, and one beside it while writing. Must not touch: logs with tokens.
//! Failure story: a file is written whole under another name and then renamed, so a kill leaves the old one. A file that can't be
//! read counts as an error and is written anew by the next token. Only its owner can read it.

use async_trait::async_trait;
use ponte_crm::zoho::{KeeperError, KeptToken, TokenKeeper};
use ponte_domain::Millis;
use secrecy::{ExposeSecret, SecretString};
use serde::{Deserialize, Serialize};
use std::io::Write as _;
use std::path::{Path, PathBuf};

/// Keeps a token in a file.
pub struct TokenFile(PathBuf);

impl TokenFile {
    /// A keeper in this file; nothing is touched yet.
    pub const fn new(path: PathBuf) -> Self {
        Self(path)
    }
}

/// As it stands in the file.
#[derive(Serialize, Deserialize)]
struct Written {
    access_token: Option<String>,
    expires_at: Millis,
    api_domain: Option<String>,
    #[serde(default)]
    asked_at: Vec<Millis>,
}

#[async_trait]
impl TokenKeeper for TokenFile {
    async fn load(&self) -> Result<Option<KeptToken>, KeeperError> {
        let text = match tokio::fs::read(&self.0).await {
            Ok(text) => text,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(failed(&self.0, &error)),
        };
        // The parser's words could quote the token.
        let written: Written =
            serde_json::from_slice(&text).map_err(|_| KeeperError(format!("{} holds no token", self.0.display())))?;
        Ok(Some(KeptToken {
            access_token: written.access_token.map(SecretString::from),
            expires_at: written.expires_at,
            api_domain: written.api_domain,
            asked_at: written.asked_at,
        }))
    }

    async fn save(&self, kept: &KeptToken) -> Result<(), KeeperError> {
        let written = Written {
            access_token: kept.access_token.as_ref().map(|token| token.expose_secret().to_owned()),
            expires_at: kept.expires_at,
            api_domain: kept.api_domain.clone(),
            asked_at: kept.asked_at.clone(),
        };
        let text = serde_json::to_vec(&written).map_err(|error| KeeperError(error.to_string()))?;
        let path = self.0.clone();
        let done =
            tokio::task::spawn_blocking(move || replace(&path, &text).map_err(|error| failed(&path, &error))).await;
        done.map_err(|_| KeeperError("the writer stopped".to_owned()))?
    }
}

fn replace(path: &Path, text: &[u8]) -> std::io::Result<()> {
    let folder = path.parent().filter(|f| !f.as_os_str().is_empty()).unwrap_or_else(|| Path::new("."));
    std::fs::create_dir_all(folder)?;
    // Made readable for its owner alone.
    let mut beside = tempfile::NamedTempFile::new_in(folder)?;
    beside.write_all(text)?;
    beside.as_file().sync_all()?;
    beside.persist(path).map_err(|error| error.error)?;
    Ok(())
}

fn failed(path: &Path, error: &std::io::Error) -> KeeperError {
    KeeperError(format!("{}: {error}", path.display()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt;

    #[tokio::test]
    async fn a_token_is_kept_for_its_owner_alone() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("deep/zoho.json");
        let keeper = TokenFile::new(path.clone());
        assert!(keeper.load().await.unwrap().is_none());
        let kept = KeptToken {
            access_token: Some("1000.a.b".to_owned().into()),
            expires_at: 5,
            api_domain: Some("https://www.zohoapis.eu".to_owned()),
            asked_at: vec![1, 2],
        };
        keeper.save(&kept).await.unwrap();
        keeper.save(&kept).await.unwrap();
        let again = TokenFile::new(path.clone()).load().await.unwrap().unwrap();
        assert_eq!(again.access_token.unwrap().expose_secret(), "1000.a.b");
        assert_eq!((again.expires_at, again.api_domain, again.asked_at), (5, kept.api_domain.clone(), vec![1, 2]));
        let mode = std::fs::metadata(&path).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
        assert_eq!(std::fs::read_dir(path.parent().unwrap()).unwrap().count(), 1, "nothing is left beside it");
        std::fs::write(&path, "1000.a.b").unwrap();
        let error = keeper.load().await.unwrap_err();
        assert!(!error.to_string().contains("1000.a.b"));
    }
}
