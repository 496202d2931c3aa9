//! # Connections
//! Purpose: makes each configured CRM's port.
//! Must not touch: what a CRM does; the store.

mod salesforce;

use crate::adapters::now;
use crate::config::{CrmConnection, CrmKind, HubspotAuth, HubspotSettings};
use crate::token_file::TokenFile;
use ponte_crm::described::Problem;
use ponte_crm::hubspot::{HubSpot, HubSpotAuth, HubSpotConfig};
use ponte_crm::{Http, Salesforce, Sql, Zoho};
use ponte_domain::ports::crm::Crm;
use ponte_engine::connection::Connection;
use ponte_net::{Clock, Egress};
use std::sync::Arc;

/// The port of a configured CRM; calls nothing yet. Wants a tokio runtime around it.
///
/// # Errors
/// When a description is wrong, which the configuration's check has told before.
pub fn open(crm: &CrmConnection, egress: &Egress) -> anyhow::Result<Connection> {
    let clock: Clock = Arc::new(now);
    let port: Arc<dyn Crm> = match &crm.kind {
        CrmKind::Hubspot(settings) => Arc::new(HubSpot::new(hubspot(settings), egress.clone(), clock)),
        CrmKind::Http(config) => {
            let http = Http::new(config.as_ref().clone(), egress.clone(), clock);
            Arc::new(http.map_err(|problems| wrong(crm, &problems))?)
        }
        CrmKind::Sql(config) => {
            Arc::new(Sql::new(config.as_ref().clone(), clock).map_err(|problems| wrong(crm, &problems))?)
        }
        CrmKind::Salesforce(settings) => Arc::new(Salesforce::new(salesforce::config(settings), egress.clone(), clock)),
        CrmKind::Zoho(settings) => {
            let keeper = Arc::new(TokenFile::new(settings.token_file.clone()));
            Arc::new(Zoho::new(settings.config.clone(), egress.clone(), clock, keeper))
        }
    };
    Ok(Connection::new(crm.name.as_str().into(), port, crm.sync.clone()))
}

fn wrong(crm: &CrmConnection, problems: &[Problem]) -> anyhow::Error {
    let lines: Vec<String> = problems.iter().map(ToString::to_string).collect();
    anyhow::anyhow!("[[crm.connections]] {}: {}", crm.name, lines.join("; "))
}

fn hubspot(settings: &HubspotSettings) -> HubSpotConfig {
    let mut config = HubSpotConfig::new(match &settings.auth {
        HubspotAuth::Token(token) => HubSpotAuth::Static { token: token.clone() },
        HubspotAuth::Oauth { client_id, client_secret, refresh_token } => HubSpotAuth::OAuth {
            client_id: client_id.clone(),
            client_secret: client_secret.clone(),
            refresh_token: refresh_token.clone(),
        },
    });
    if let Some(url) = &settings.base_url {
        config.base_url.clone_from(url);
    }
    if let Some(version) = &settings.api_version {
        config.api_version.clone_from(version);
    }
    if let Some(calls) = settings.calls_per_10s {
        config.calls_per_10s = calls;
    }
    config.match_existing = settings.match_existing;
    config.webhook_secret.clone_from(&settings.webhook_secret);
    config
}
