//! The settings of a Salesforce connection as the connector takes them.

use super::keeper::{Chain, Keeper};
use crate::config::{Duplicates, Messages, People, SalesforceSettings, SalesforceSignIn};
use ponte_crm::salesforce::{
    SalesforceAuth, SalesforceConfig, SalesforceDuplicates, SalesforceMessages, SalesforceObject,
};
use std::sync::Arc;

/// What the connector is told.
pub(super) fn config(settings: &SalesforceSettings, keeper: Keeper) -> SalesforceConfig {
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
        SalesforceSignIn::Refresh { client_id, client_secret, refresh_token } => SalesforceAuth::Refresh {
            client_id: client_id.clone(),
            client_secret: client_secret.clone(),
            keeper: Arc::new(Chain { keeper, first: refresh_token.clone() }),
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
