//! The settings of a Salesforce connection as the connector takes them, and the file that keeps a rotating refresh token.
//! Failure story: the file is replaced whole (written beside, synced, renamed), so a kill leaves the old token or the new one.

use crate::config::{Duplicates, Messages, People, SalesforceSettings, SalesforceSignIn};
use async_trait::async_trait;
use ponte_crm::salesforce::{
    KeeperError, SalesforceAuth, SalesforceConfig, SalesforceDuplicates, SalesforceMessages, SalesforceObject,
    TokenKeeper,
};
use secrecy::{ExposeSecret, SecretString};
use sha2::{Digest, Sha256};
use std::fs::File;
use std::io::{ErrorKind, Write as _};
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// What the connector is told.
pub(super) fn config(settings: &SalesforceSettings) -> SalesforceConfig {
    let auth = match &settings.auth {
        SalesforceSignIn::Client { client_id, client_secret } => {
            SalesforceAuth::ClientCredentials { client_id: client_id.clone(), client_secret: client_secret.clone() }
        }
        SalesforceSignIn::Jwt { client_id, username, private_key, audience } => SalesforceAuth::Jwt {
            client_id: client_id.clone(),
            username: username.clone(),
            private_key: private_key.clone(),
            audience: audience.clone(),
        },
        SalesforceSignIn::Refresh { client_id, client_secret, refresh_token, token_file } => SalesforceAuth::Refresh {
            client_id: client_id.clone(),
            client_secret: client_secret.clone(),
            keeper: Arc::new(TokenFile { path: token_file.clone(), first: refresh_token.clone() }),
        },
    };
    let mut config = SalesforceConfig::new(settings.login_url.clone(), auth);
    config.instance_url.clone_from(&settings.instance_url);
    if let Some(version) = &settings.api_version {
        config.api_version.clone_from(version);
    }
    config.object = match settings.object {
        People::Contact => SalesforceObject::Contact,
        People::Lead => SalesforceObject::Lead,
    };
    if let Some(company) = &settings.lead_company {
        config.lead_company.clone_from(company);
    }
    config.messages = match settings.messages {
        Messages::Auto => SalesforceMessages::Auto,
        Messages::Object => SalesforceMessages::Object,
        Messages::Task => SalesforceMessages::Task,
    };
    config.duplicates = match settings.duplicates {
        Duplicates::Adopt => SalesforceDuplicates::Adopt,
        Duplicates::Save => SalesforceDuplicates::Save,
        Duplicates::Refuse => SalesforceDuplicates::Refuse,
    };
    config.match_existing = settings.match_existing;
    if let Some(percent) = settings.budget_percent {
        config.budget_percent = percent;
    }
    if let Some(calls) = settings.calls_per_second {
        config.calls_per_second = calls;
    }
    config.change_data_capture = settings.change_data_capture;
    if let Some(url) = &settings.pubsub_url {
        config.pubsub_url.clone_from(url);
    }
    config.notice_secret.clone_from(&settings.webhook_secret);
    config
}

/// Keeps the newest refresh token in a file that only its owner reads. Its first line is a hash of the token from the configuration
/// that the chain began with: when somebody connected again and put a new one there, the file is of no use any more.
struct TokenFile {
    path: PathBuf,
    first: SecretString,
}

#[async_trait]
impl TokenKeeper for TokenFile {
    async fn load(&self) -> Result<Option<SecretString>, KeeperError> {
        let (path, first) = (self.path.clone(), self.first.clone());
        blocking(move || match std::fs::read_to_string(&path) {
            Ok(text) => match text.split_once('\n') {
                Some((origin, token)) if origin == hash(&first) && !token.trim().is_empty() => {
                    Ok(Some(token.trim().to_owned().into()))
                }
                _ => Ok(Some(first)),
            },
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(Some(first)),
            Err(error) => Err(failed(&path, &error)),
        })
        .await
    }

    async fn save(&self, token: &SecretString) -> Result<(), KeeperError> {
        let (path, first, token) = (self.path.clone(), self.first.clone(), token.clone());
        blocking(move || replace(&path, &format!("{}\n{}\n", hash(&first), token.expose_secret()))).await
    }
}

async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, KeeperError> + Send + 'static,
) -> Result<T, KeeperError> {
    tokio::task::spawn_blocking(work).await.map_err(|_| KeeperError("the program is stopping".to_owned()))?
}

fn replace(path: &Path, content: &str) -> Result<(), KeeperError> {
    let folder = path.parent().filter(|f| !f.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let write = || -> std::io::Result<()> {
        // Files made so are their owner's alone (0600).
        let mut file = tempfile::Builder::new().prefix(".ponte-token-").tempfile_in(folder)?;
        file.write_all(content.as_bytes())?;
        file.as_file().sync_all()?;
        file.persist(path).map_err(|error| error.error)?;
        // The name, too, must outlive a power cut.
        File::open(folder)?.sync_all()
    };
    write().map_err(|error| failed(path, &error))
}

fn failed(path: &Path, error: &std::io::Error) -> KeeperError {
    KeeperError(format!("{}: {error}", path.display()))
}

fn hash(token: &SecretString) -> String {
    Sha256::digest(token.expose_secret()).iter().map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt as _;

    #[tokio::test]
    async fn the_newest_token_outlives_a_restart_and_a_new_connection_replaces_it() {
        let folder = tempfile::tempdir().unwrap();
        let keeper = |first: &str| TokenFile { path: folder.path().join("token"), first: SecretString::from(first) };
        let load = async |first: &str| keeper(first).load().await.unwrap().unwrap().expose_secret().to_owned();
        assert_eq!(load("one").await, "one");
        keeper("one").save(&SecretString::from("two")).await.unwrap();
        assert_eq!(load("one").await, "two");
        assert_eq!(load("new").await, "new", "somebody connected again");
        let mode = std::fs::metadata(folder.path().join("token")).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 1, "nothing is left beside it");
        let nowhere = TokenFile { path: folder.path().join("no/such/token"), first: SecretString::from("one") };
        let error = nowhere.save(&SecretString::from("two")).await.unwrap_err();
        assert!(!error.to_string().contains("two"));
    }
}
