//! The apps that people authorise, from a connection's settings. Facts: crm-apis sections 1 to 3, Auth.

use super::access::Grants;
use super::keeper::Keeper;
use crate::config::{CrmConnection, CrmKind, HubspotAuth, HubspotSettings, SalesforceSignIn};
use ponte_crm::grant::GrantApp;
use ponte_crm::hubspot::API_VERSION;
use ponte_crm::zoho::DataCentre;
use ponte_domain::ports::access::Access;
use ponte_net::Egress;
use std::sync::Arc;

/// Where people authorise HubSpot apps, and where its API is.
const HUBSPOT: [&str; 2] = ["https://app.hubspot.com/oauth/authorize", "https://api.hubapi.com"];

/// How the connection can be authorised by a person; `None` for those that sign in otherwise.
pub(super) fn access(crm: &CrmConnection, keeper: Keeper, egress: &Egress) -> Option<Arc<dyn Access>> {
    let (app, console_codes, configured) = match &crm.kind {
        CrmKind::Hubspot(settings) => hubspot(settings)?,
        CrmKind::Salesforce(settings) => match &settings.auth {
            SalesforceSignIn::Refresh { client_id, client_secret, refresh_token } => {
                let server = settings.login_url.trim_end_matches('/').to_owned();
                let app = GrantApp {
                    vendor: "salesforce",
                    client_id: client_id.clone(),
                    client_secret: client_secret.clone(),
                    authorize_url: format!("{server}/services/oauth2/authorize"),
                    token_server: server,
                    other_servers: Vec::new(),
                    token_path: "/services/oauth2/token".to_owned(),
                    revoke_path: "/services/oauth2/revoke".to_owned(),
                    scopes: ["api", "refresh_token"].map(str::to_owned).to_vec(),
                    scope_separator: " ",
                    pkce: true,
                    extra: Vec::new(),
                };
                (app, false, refresh_token.is_some())
            }
            SalesforceSignIn::Client { .. } | SalesforceSignIn::Jwt { .. } => return None,
        },
        CrmKind::Zoho(settings) => {
            let config = &settings.config;
            let server = config.accounts_url.trim_end_matches('/').to_owned();
            let scopes = ["modules.ALL", "settings.ALL", "notifications.ALL", "coql.READ", "users.READ", "org.READ"];
            let app = GrantApp {
                vendor: "zoho",
                client_id: config.client_id.clone(),
                client_secret: Some(config.client_secret.clone()),
                authorize_url: format!("{server}/oauth/v2/auth"),
                token_server: server,
                other_servers: DataCentre::ALL.map(|dc| dc.accounts().to_owned()).to_vec(),
                token_path: "/oauth/v2/token".to_owned(),
                revoke_path: "/oauth/v2/token/revoke".to_owned(),
                scopes: scopes
                    .iter()
                    .map(|scope| format!("ZohoCRM.{scope}"))
                    .chain(["ZohoSearch.securesearch.READ".to_owned()])
                    .collect(),
                scope_separator: ",",
                // Not among Zoho's parameters.
                pkce: false,
                extra: vec![("access_type", "offline"), ("prompt", "consent")],
            };
            (app, true, config.refresh_token.is_some())
        }
        CrmKind::Http(_) | CrmKind::Sql(_) => return None,
    };
    Some(Arc::new(Grants { app, keeper, egress: egress.clone(), console_codes, configured }))
}

fn hubspot(settings: &HubspotSettings) -> Option<(GrantApp, bool, bool)> {
    let HubspotAuth::Oauth { client_id, client_secret, refresh_token } = &settings.auth else { return None };
    let [authorize, api] = HUBSPOT;
    let version = settings.api_version.as_deref().unwrap_or(API_VERSION);
    let scopes = ["objects.contacts.read", "objects.contacts.write", "schemas.contacts.read", "schemas.contacts.write"];
    let app = GrantApp {
        vendor: "hubspot",
        client_id: client_id.clone(),
        client_secret: Some(client_secret.clone()),
        // Another address than HubSpot's own has its consent page beside its API.
        authorize_url: settings
            .base_url
            .as_ref()
            .map_or_else(|| authorize.to_owned(), |base| format!("{}/oauth/authorize", base.trim_end_matches('/'))),
        token_server: settings.base_url.as_deref().unwrap_or(api).trim_end_matches('/').to_owned(),
        other_servers: Vec::new(),
        token_path: format!("/oauth/{version}/token"),
        revoke_path: format!("/oauth/{version}/token/revoke"),
        scopes: scopes.map(|scope| format!("crm.{scope}")).to_vec(),
        scope_separator: " ",
        pkce: true,
        extra: Vec::new(),
    };
    Some((app, false, refresh_token.is_some()))
}
