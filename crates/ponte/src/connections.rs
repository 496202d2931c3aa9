//! # Connections
//! Purpose: makes each configured CRM's port.
//! Must not touch: what a CRM does; the store.

mod access;
mod apps;
mod keeper;
mod salesforce;

use crate::adapters::now;
use crate::config::{CrmConnection, CrmKind, HubspotAuth, HubspotSettings};
use keeper::{Chain, Keeper};
use ponte_crm::described::Problem;
use ponte_crm::hubspot::{HubSpot, HubSpotAuth, HubSpotConfig};
use ponte_crm::{Http, Salesforce, Sql, Zoho};
use ponte_domain::ports::crm::Crm;
use ponte_domain::ports::vault::Vault;
use ponte_engine::connection::Connection;
use ponte_net::{Clock, Egress};
use std::sync::Arc;

/// The port of a configured CRM; calls nothing yet. Wants a tokio runtime around it.
///
/// # Errors
/// When a description is wrong, which the configuration's check has told before.
pub fn open(crm: &CrmConnection, egress: &Egress, vault: &Arc<dyn Vault>) -> anyhow::Result<Connection> {
    let keeper = || Keeper::new(Arc::clone(vault), &crm.name);
    let clock: Clock = Arc::new(now);
    let port: Arc<dyn Crm> = match &crm.kind {
        CrmKind::Hubspot(settings) => Arc::new(HubSpot::new(hubspot(settings, keeper()), egress.clone(), clock)),
        CrmKind::Http(config) => {
            let http = Http::new(config.as_ref().clone(), egress.clone(), clock);
            Arc::new(http.map_err(|problems| wrong(crm, &problems))?)
        }
        CrmKind::Sql(config) => {
            Arc::new(Sql::new(config.as_ref().clone(), clock).map_err(|problems| wrong(crm, &problems))?)
        }
        CrmKind::Salesforce(settings) => {
            Arc::new(Salesforce::new(salesforce::config(settings, keeper()), egress.clone(), clock))
        }
        CrmKind::Zoho(settings) => {
            Arc::new(Zoho::new(settings.config.clone(), egress.clone(), clock, Arc::new(keeper())))
        }
    };
    let access = apps::access(crm, keeper(), egress);
    Ok(Connection::new(crm.name.as_str().into(), port, crm.sync.clone()).with_access(access))
}

fn wrong(crm: &CrmConnection, problems: &[Problem]) -> anyhow::Error {
    let lines: Vec<String> = problems.iter().map(ToString::to_string).collect();
    anyhow::anyhow!("[[crm.connections]] {}: {}", crm.name, lines.join("; "))
}

fn hubspot(settings: &HubspotSettings, keeper: Keeper) -> HubSpotConfig {
    let mut config = HubSpotConfig::new(match &settings.auth {
        HubspotAuth::Token(token) => HubSpotAuth::Static { token: token.clone() },
        HubspotAuth::Oauth { client_id, client_secret, refresh_token } => HubSpotAuth::OAuth {
            client_id: client_id.clone(),
            client_secret: client_secret.clone(),
            keeper: Arc::new(Chain { keeper, first: refresh_token.clone() }),
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
