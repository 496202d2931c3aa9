//! Checking `[[crm.connections]]`: what all kinds have here, what one kind has in its own file.

mod described;
mod hubspot;
mod salesforce;
mod sync;
mod triggers;
mod zoho;

pub use hubspot::{HubspotAuth, HubspotSettings};
pub use salesforce::{Duplicates, Messages, People, SalesforceSettings, SalesforceSignIn};
pub use zoho::ZohoSettings;

use super::check::{ConfigErrors, Secrets};
use ponte_crm::{HttpConfig, SqlConfig};
use ponte_engine::connection::SyncSettings;
use secrecy::SecretString;
use serde::Deserialize;
use serde::de::DeserializeOwned;
use std::collections::HashSet;
use toml::{Table, Value};

/// A CRM connection.
#[derive(Debug, Clone)]
pub struct CrmConnection {
    /// Its name: lanes, cursors and links are kept under it.
    pub name: String,
    /// Which CRM, and how it is reached.
    pub kind: CrmKind,
    /// How it is read, and its mapping.
    pub sync: SyncSettings,
}

impl CrmConnection {
    /// True when it gets tokens while it works that must outlive a restart.
    pub const fn keeps_tokens(&self) -> bool {
        match &self.kind {
            CrmKind::Salesforce(settings) => matches!(settings.auth, SalesforceSignIn::Refresh { .. }),
            CrmKind::Zoho(_) => true,
            CrmKind::Hubspot(settings) => matches!(settings.auth, HubspotAuth::Oauth { refresh_token: None, .. }),
            CrmKind::Http(_) | CrmKind::Sql(_) => false,
        }
    }
}

/// Which CRM, and how it is reached.
#[derive(Debug, Clone)]
pub enum CrmKind {
    /// HubSpot.
    Hubspot(HubspotSettings),
    /// An API described in the configuration.
    Http(Box<HttpConfig>),
    /// A database described in the configuration.
    Sql(Box<SqlConfig>),
    /// Salesforce.
    Salesforce(Box<SalesforceSettings>),
    /// Zoho CRM.
    Zoho(Box<ZohoSettings>),
}

/// What every kind has.
#[derive(Debug, Deserialize)]
struct Common {
    name: String,
    kind: Kind,
    #[serde(default)]
    sync: sync::RawSync,
    #[serde(default)]
    mapping: Table,
}

#[derive(Debug, Clone, Copy, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Kind {
    Hubspot,
    Http,
    Sql,
    Salesforce,
    Zoho,
}

impl Kind {
    /// The name under which the default mapping knows it.
    const fn product(self) -> &'static str {
        match self {
            Self::Hubspot => "HubSpot",
            // What their fields mean is for whoever describes them to say.
            Self::Http => "HTTP",
            Self::Sql => "SQL",
            Self::Salesforce => "Salesforce",
            Self::Zoho => "Zoho CRM",
        }
    }
}

/// The keys of [`Common`]; the others belong to the kind.
const COMMON: [&str; 4] = ["name", "kind", "sync", "mapping"];

pub(super) use triggers::{RawTrigger, check as check_triggers};

pub(super) fn check(all: Vec<Table>, secrets: &Secrets<'_>, errors: &mut ConfigErrors) -> Vec<CrmConnection> {
    let mut seen = HashSet::new();
    all.into_iter().enumerate().filter_map(|(number, table)| one(number, table, &mut seen, secrets, errors)).collect()
}

fn one(
    number: usize,
    mut table: Table,
    seen: &mut HashSet<String>,
    secrets: &Secrets<'_>,
    errors: &mut ConfigErrors,
) -> Option<CrmConnection> {
    let place = match table.get("name").and_then(Value::as_str) {
        Some(name) => format!("[[crm.connections]] {name}"),
        None => format!("[[crm.connections]] number {}", number + 1),
    };
    let common: Table = COMMON.iter().filter_map(|key| Some(((*key).to_owned(), table.remove(*key)?))).collect();
    let common: Common = read(&place, common, errors)?;
    let plain = common.name.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-');
    if common.name.is_empty() || !plain {
        errors.add(&place, "the name may hold a-z, 0-9 and -", "rename it; links are kept under the name");
    }
    if !seen.insert(common.name.clone()) {
        errors.add(&place, "this name stands twice", "rename one");
    }
    let sync = sync::check(&place, common.sync, common.mapping, common.kind.product(), errors);
    let kind = match common.kind {
        Kind::Hubspot => CrmKind::Hubspot(hubspot::check(&place, read(&place, table, errors)?, secrets, errors)?),
        Kind::Http => CrmKind::Http(described::http(&place, table, secrets, errors)?),
        Kind::Sql => CrmKind::Sql(described::sql(&place, table, secrets, errors)?),
        Kind::Salesforce => {
            let checked = salesforce::check(&place, read(&place, table, errors)?, secrets, errors)?;
            CrmKind::Salesforce(Box::new(checked))
        }
        Kind::Zoho => {
            let raw = read(&place, table, errors)?;
            CrmKind::Zoho(Box::new(zoho::check(&place, raw, secrets, errors)?))
        }
    };
    Some(CrmConnection { name: common.name, kind, sync })
}

/// A secret that may be left out. `None`: it is there and wrong.
fn optional(
    text: Option<&str>,
    place: &str,
    secrets: &Secrets<'_>,
    errors: &mut ConfigErrors,
) -> Option<Option<SecretString>> {
    match text {
        None => Some(None),
        Some(text) => secrets.get(place, text, errors).map(Some),
    }
}

/// Reads a part of a connection; what is wrong is told with its place.
fn read<T: DeserializeOwned>(place: &str, table: Table, errors: &mut ConfigErrors) -> Option<T> {
    match Value::Table(table).try_into() {
        Ok(read) => Some(read),
        Err(error) => {
            errors.add(place, error.to_string(), "compare with [[crm.connections]] in config.default.toml");
            None
        }
    }
}
