//! A connection of the kind `zoho`.

use super::super::check::{ConfigErrors, Secrets};
use super::optional;
use ponte_crm::zoho::{DataCentre, MessagesIn, Workflows, ZohoConfig};
use secrecy::{ExposeSecret, SecretString};
use serde::Deserialize;

/// As written.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Raw {
    data_centre: Option<String>,
    client_id: String,
    client_secret: String,
    refresh_token: Option<String>,
    accounts_url: Option<String>,
    api_url: Option<String>,
    credits_per_day: Option<u32>,
    budget_percent: Option<u32>,
    concurrency: Option<u32>,
    match_existing: Option<bool>,
    phone_fields: Option<Vec<String>>,
    messages: Option<String>,
    run_workflows: Option<String>,
    notification_token: Option<String>,
}

/// How a Zoho CRM organisation is reached.
#[derive(Debug, Clone)]
pub struct ZohoSettings {
    /// Everything the connector needs.
    pub config: ZohoConfig,
}

pub(super) fn check(place: &str, raw: Raw, secrets: &Secrets<'_>, errors: &mut ConfigErrors) -> Option<ZohoSettings> {
    let centre = data_centre(place, raw.data_centre.as_deref(), errors);
    let secret = secrets.get(&format!("{place} client_secret"), &raw.client_secret, errors);
    let refresh = optional(raw.refresh_token.as_deref(), &format!("{place} refresh_token"), secrets, errors);
    let word = raw.notification_token.as_deref().map(|text| notification_token(place, text, secrets, errors));
    let messages = messages(place, raw.messages.as_deref(), errors);
    let workflows = workflows(place, raw.run_workflows.as_deref(), errors);
    let mut within = |key: &str, value: Option<u32>, least: u32, most: u32| {
        if value.is_some_and(|value| !(least..=most).contains(&value)) {
            errors.add(format!("{place} {key}"), "is out of range", format!("give {least} to {most}"));
        }
    };
    within("budget_percent", raw.budget_percent, 1, 100);
    within("concurrency", raw.concurrency, 1, 25);
    within("credits_per_day", raw.credits_per_day, 1_000, u32::MAX);
    for (key, url) in [("accounts_url", &raw.accounts_url), ("api_url", &raw.api_url)] {
        if url.as_ref().is_some_and(|url| !url.starts_with("https://") && !url.starts_with("http://")) {
            errors.add(format!("{place} {key}"), "is no address", "leave it out, or write https://…");
        }
    }
    let phones = raw.phone_fields.unwrap_or_else(|| vec!["Mobile".to_owned(), "Phone".to_owned()]);
    let is_field = |f: &String| !f.is_empty() && f.chars().all(|c| c.is_ascii_alphanumeric() || c == '_');
    if phones.is_empty() || phones.len() > 4 || !phones.iter().all(is_field) {
        let mend = "give one to four API names, as [\"Mobile\", \"Phone\"]";
        errors.add(format!("{place} phone_fields"), "names no field", mend);
    }
    let mut config = ZohoConfig::new(centre?, raw.client_id, secret?, String::new().into());
    config.refresh_token = refresh?;
    if let Some(url) = raw.accounts_url {
        config.accounts_url = url;
    }
    if let Some(url) = raw.api_url {
        config.api_url = url;
    }
    config.credits_per_day = raw.credits_per_day;
    config.budget_percent = raw.budget_percent.unwrap_or(config.budget_percent);
    config.concurrency = raw.concurrency.unwrap_or(config.concurrency);
    config.match_existing = raw.match_existing.unwrap_or(true);
    config.phone_fields = phones;
    config.messages = messages?;
    config.run_workflows = workflows?;
    config.notification_token = match word {
        Some(word) => Some(word?),
        None => None,
    };
    Some(ZohoSettings { config })
}

fn data_centre(place: &str, name: Option<&str>, errors: &mut ConfigErrors) -> Option<DataCentre> {
    let found = name.and_then(DataCentre::parse);
    if found.is_none() {
        let problem = if name.is_some() { "there is no such data centre" } else { "is missing" };
        let mend = "write us, eu, in, au, jp, cn, ca or sa: the end of the address where you sign in to Zoho";
        errors.add(format!("{place} data_centre"), problem, mend);
    }
    found
}

fn messages(place: &str, word: Option<&str>, errors: &mut ConfigErrors) -> Option<MessagesIn> {
    match word {
        None | Some("auto") => Some(MessagesIn::Auto),
        Some("module") => Some(MessagesIn::Module),
        Some("notes") => Some(MessagesIn::Notes),
        Some(_) => {
            errors.add(format!("{place} messages"), "is none of the ways", "write auto, module or notes");
            None
        }
    }
}

fn workflows(place: &str, word: Option<&str>, errors: &mut ConfigErrors) -> Option<Workflows> {
    match word {
        None | Some("messages") => Some(Workflows::Messages),
        Some("never") => Some(Workflows::Never),
        Some("always") => Some(Workflows::Always),
        Some(_) => {
            errors.add(format!("{place} run_workflows"), "is none of the ways", "write never, messages or always");
            None
        }
    }
}

fn notification_token(
    place: &str,
    text: &str,
    secrets: &Secrets<'_>,
    errors: &mut ConfigErrors,
) -> Option<SecretString> {
    let place = format!("{place} notification_token");
    let word = secrets.get(&place, text, errors)?;
    let length = word.expose_secret().chars().count();
    if !(16..=50).contains(&length) {
        errors.add(place, "has the wrong length", "give 16 to 50 characters, as from `openssl rand -hex 20`");
        return None;
    }
    Some(word)
}
