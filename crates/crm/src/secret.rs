//! Text of an answer that is a secret from the moment it is read.

use secrecy::SecretString;
use serde::Deserialize;

/// A secret in an answer; `Debug` doesn't show it.
#[derive(Debug, Clone, Deserialize)]
#[serde(from = "String")]
pub(crate) struct SecretText(pub(crate) SecretString);

impl From<String> for SecretText {
    fn from(text: String) -> Self {
        Self(SecretString::from(text))
    }
}
