//! How the client is set up: addresses, versions, limits, the numbers and their tokens.
//! May touch: values. Must not touch: files and the environment (the program reads those).
//! Failure story: a wrong setting is refused at start, by name.

use crate::verify::AppIndex;
use ponte_domain::ids::NumberId;
use reqwest::Url;
use secrecy::SecretString;
use std::collections::HashMap;
use std::time::Duration;

/// Hosts of Meta's that serve media: names under these (facts 5.3).
const META_MEDIA: &[&str] = &["fbsbx.com", "whatsapp.net", "facebook.com"];

/// Settings of the client. [`CloudApiConfig::default`] is right for Meta; numbers must be added.
#[derive(Debug, Clone)]
pub struct CloudApiConfig {
    /// Where the Graph API is. Default `https://graph.facebook.com`.
    pub base_url: String,
    /// Version of the Graph API in every path. Default `v26.0`.
    pub version: String,
    /// Our business numbers, by `phone_number_id`.
    pub numbers: HashMap<NumberId, NumberAccess>,
    /// Longest wait for the answer to a send or a small read. Default 3.5 s.
    pub send_timeout: Duration,
    /// Longest silence while a file is fetched. Default 15 s.
    pub media_idle_timeout: Duration,
    /// Longest time for a whole file, fetched or uploaded. Default 120 s.
    pub media_timeout: Duration,
    /// Largest file fetched, bytes. Default 100 MB, Meta's own limit.
    pub media_max_bytes: usize,
    /// Hosts beside Meta's that may serve media and get the token, `host` or `host:port`: for simulators only.
    pub extra_media_hosts: Vec<String>,
}

impl Default for CloudApiConfig {
    fn default() -> Self {
        Self {
            base_url: "https://graph.facebook.com".to_owned(),
            version: "v26.0".to_owned(),
            numbers: HashMap::new(),
            send_timeout: Duration::from_millis(3_500),
            media_idle_timeout: Duration::from_secs(15),
            media_timeout: Duration::from_secs(120),
            media_max_bytes: 100 * 1024 * 1024,
            extra_media_hosts: Vec::new(),
        }
    }
}

/// What is needed to speak for one number.
#[derive(Debug, Clone)]
pub struct NumberAccess {
    /// Token of a system user, with the account assigned to it.
    pub access_token: SecretString,
    /// The WhatsApp Business (messaging) account of the number.
    pub waba_id: String,
    /// The app that the webhooks of this number are signed by.
    pub app: AppIndex,
}

/// A setting that can't be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ConfigError {
    /// Not an `http(s)` address, or one with a query.
    #[error("base_url must be an http or https address without query")]
    BaseUrl,
    /// Not of the form `v26.0`.
    #[error("version must look like v26.0")]
    Version,
    /// A number id that can't stand in a path.
    #[error("the number id {0} must be letters and digits")]
    Number(String),
    /// A limit of zero would fail every call.
    #[error("{0} must be more than zero")]
    Zero(&'static str),
}

impl CloudApiConfig {
    /// The settings, checked; `base_url` without a slash at its end.
    pub(super) fn checked(mut self) -> Result<Self, ConfigError> {
        self.base_url.truncate(self.base_url.trim_end_matches('/').len());
        let url = Url::parse(&self.base_url).map_err(|_| ConfigError::BaseUrl)?;
        if !matches!(url.scheme(), "http" | "https") || url.query().is_some() || url.fragment().is_some() {
            return Err(ConfigError::BaseUrl);
        }
        let number = |text: &str| !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
        let version = self.version.strip_prefix('v').and_then(|v| v.split_once('.'));
        if !version.is_some_and(|(major, minor)| number(major) && number(minor)) {
            return Err(ConfigError::Version);
        }
        if let Some(odd) = self.numbers.keys().find(|id| !is_id(id.as_str())) {
            return Err(ConfigError::Number(odd.to_string()));
        }
        for (name, zero) in [
            ("send_timeout", self.send_timeout.is_zero()),
            ("media_idle_timeout", self.media_idle_timeout.is_zero()),
            ("media_timeout", self.media_timeout.is_zero()),
            ("media_max_bytes", self.media_max_bytes == 0),
        ] {
            if zero {
                return Err(ConfigError::Zero(name));
            }
        }
        Ok(self)
    }

    /// True when the token may go to this address: Meta's media hosts over https, and the extra ones.
    pub(super) fn may_have_token(&self, url: &Url) -> bool {
        let Some(host) = url.host_str().map(|h| h.trim_end_matches('.').to_ascii_lowercase()) else { return false };
        let with_port = format!("{host}:{}", url.port_or_known_default().unwrap_or_default());
        if self
            .extra_media_hosts
            .iter()
            .any(|extra| extra.eq_ignore_ascii_case(&host) || extra.eq_ignore_ascii_case(&with_port))
        {
            return true;
        }
        let under = |parent: &str| host.strip_suffix(parent).is_some_and(|rest| rest.ends_with('.'));
        url.scheme() == "https" && url.port().is_none() && META_MEDIA.iter().any(|parent| under(parent))
    }
}

/// An id that can stand in a path: ids of media come from outside.
pub(super) fn is_id(text: &str) -> bool {
    (1..=128).contains(&text.len()) && text.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_'))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn may(url: &str) -> bool {
        let config =
            CloudApiConfig { extra_media_hosts: vec!["127.0.0.1:8080".into(), "sim".into()], ..Default::default() };
        config.may_have_token(&Url::parse(url).expect("an address"))
    }

    #[test]
    fn the_token_goes_to_meta_only() {
        for good in [
            "https://lookaside.fbsbx.com/whatsapp_business/attachments/?mid=1",
            "https://mmg.whatsapp.net/x",
            "https://GRAPH.facebook.com./x",
            "http://127.0.0.1:8080/media",
            "http://sim:99/x",
        ] {
            assert!(may(good), "{good}");
        }
        for bad in [
            "http://lookaside.fbsbx.com/x",
            "https://lookaside.fbsbx.com:8443/x",
            "https://evilfbsbx.com/x",
            "https://fbsbx.com.evil.test/x",
            "https://evil.test/?fbsbx.com",
            "http://127.0.0.1:8081/media",
            "https://lookaside.fbsbx.com@evil.test/x",
        ] {
            assert!(!may(bad), "{bad}");
        }
    }

    #[test]
    fn wrong_settings_are_named() {
        let with = |change: fn(&mut CloudApiConfig)| {
            let mut config = CloudApiConfig::default();
            change(&mut config);
            config.checked().err()
        };
        assert_eq!(with(|_| ()), None);
        assert_eq!(with(|c| c.base_url = "http://127.0.0.1:1/".into()), None);
        assert_eq!(with(|c| c.base_url = "graph".into()), Some(ConfigError::BaseUrl));
        assert_eq!(with(|c| c.base_url = "https://a.test/?x".into()), Some(ConfigError::BaseUrl));
        for version in ["26.0", "v26", "v26.0/", "v.0", "vx.0"] {
            let config = CloudApiConfig { version: version.into(), ..Default::default() };
            assert_eq!(config.checked().err(), Some(ConfigError::Version), "{version}");
        }
        assert_eq!(with(|c| c.send_timeout = Duration::ZERO), Some(ConfigError::Zero("send_timeout")));
        let access = NumberAccess { access_token: "t".into(), waba_id: "1".into(), app: AppIndex(0) };
        let numbers = HashMap::from([(NumberId::from("../1"), access)]);
        let config = CloudApiConfig { numbers, ..Default::default() };
        assert_eq!(config.checked().err(), Some(ConfigError::Number("../1".into())));
    }
}
