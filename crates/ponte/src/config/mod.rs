//! # Configuration
//! Purpose: one documented file of defaults, one file of the operator, the environment; checked whole, every error at once.
//! May touch: files and the environment, at start only.
//! Must not touch: anything that runs.

mod check;
mod consent;
mod contacts;
mod crm;
mod hooks;
mod load;
mod sections;

pub use check::ConfigErrors;
pub use crm::{
    CrmConnection, CrmKind, Duplicates, HubspotAuth, HubspotSettings, Messages, People, SalesforceSettings,
    SalesforceSignIn,
};
pub use sections::{LogFormat, Settings};

use std::path::Path;

/// The defaults, as they stand in the documentation.
pub const DEFAULTS: &str = include_str!("../../config.default.toml");

/// Loads and checks the configuration.
///
/// # Errors
/// Everything that is wrong with it, each with where it stands and how to mend it.
pub fn load(file: Option<&Path>, environment: &[(String, String)]) -> Result<Settings, ConfigErrors> {
    load::load(file, environment)
}
