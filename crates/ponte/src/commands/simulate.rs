//! `ponte simulate`: a WhatsApp Cloud API and CRMs to develop and test against.

use super::print_json;
use clap::Args;
use ponte_simulator::{hubspot, salesforce, whatsapp, zoho};
use serde_json::json;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::ExitCode;

/// Options of `ponte simulate`.
#[derive(Args)]
pub struct Options {
    /// Settings of the simulators: a TOML file with [whatsapp], [hubspot], [salesforce] and [zoho]. See docs/simulator.md.
    #[arg(long, value_name = "FILE")]
    settings: Option<PathBuf>,
    /// Address of the Cloud API.
    #[arg(long)]
    whatsapp_listen: Option<SocketAddr>,
    /// Address of HubSpot.
    #[arg(long)]
    hubspot_listen: Option<SocketAddr>,
    /// Address of Zoho CRM: accounts server and API.
    #[arg(long)]
    zoho_listen: Option<SocketAddr>,
    /// Address of Salesforce.
    #[arg(long)]
    salesforce_listen: Option<SocketAddr>,
    /// Where webhooks are posted.
    #[arg(long, value_name = "URL")]
    webhook: Option<String>,
    /// Token given when the webhook is verified.
    #[arg(long, default_value = "simulated-verify-token")]
    verify_token: String,
    /// Let customers write: so many messages a minute.
    #[arg(long, value_name = "MESSAGES_A_MINUTE")]
    traffic: Option<f64>,
    /// One JSON object with the addresses.
    #[arg(long)]
    json: bool,
}

#[derive(serde::Deserialize, Default)]
#[serde(deny_unknown_fields, default)]
struct Settings {
    whatsapp: whatsapp::Config,
    hubspot: hubspot::Config,
    zoho: zoho::Config,
    salesforce: salesforce::Config,
}

/// Runs until asked to stop.
///
/// # Errors
/// When the settings can't be read or an address can't be bound.
pub async fn run(options: Options) -> anyhow::Result<ExitCode> {
    let mut settings = match &options.settings {
        Some(path) => {
            let text = std::fs::read_to_string(path).map_err(|e| anyhow::anyhow!("{}: {e}", path.display()))?;
            toml::from_str(&text).map_err(|e| anyhow::anyhow!("{}: {e}", path.display()))?
        }
        None => Settings::default(),
    };
    if let Some(listen) = options.whatsapp_listen {
        settings.whatsapp.listen = listen;
    }
    if let Some(listen) = options.hubspot_listen {
        settings.hubspot.listen = listen;
    }
    if let Some(listen) = options.zoho_listen {
        settings.zoho.listen = listen;
    }
    if let Some(listen) = options.salesforce_listen {
        settings.salesforce.listen = listen;
    }
    if let Some(url) = options.webhook {
        settings.whatsapp.webhook = Some(whatsapp::WebhookTarget { url, verify_token: options.verify_token });
    }
    let (token, app_secret) = (settings.whatsapp.access_token.clone(), settings.whatsapp.app_secret.clone());
    let numbers: Vec<String> =
        settings.whatsapp.wabas.iter().flat_map(|w| w.numbers.iter().map(|n| n.id.clone())).collect();
    let wabas: Vec<String> = settings.whatsapp.wabas.iter().map(|w| w.id.clone()).collect();
    let graph = whatsapp::Simulator::start(settings.whatsapp).await?;
    let crm = hubspot::HubSpot::start(settings.hubspot).await?;
    let zoho = zoho::Zoho::start(settings.zoho).await?;
    let salesforce = salesforce::Salesforce::start(settings.salesforce).await?;
    let traffic = match options.traffic {
        Some(messages_per_minute) => {
            let config = whatsapp::TrafficConfig { messages_per_minute, ..whatsapp::TrafficConfig::default() };
            Some(whatsapp::Traffic::believable(&graph, config))
        }
        None => None,
    };
    if options.json {
        print_json(&json!({ "whatsapp": graph.base_url(), "hubspot": crm.base_url(), "access_token": token,
            "app_secret": app_secret, "phone_number_ids": numbers, "waba_ids": wabas, "hubspot_token": hubspot::DEFAULT_TOKEN,
            "zoho": zoho.base_url(), "zoho_token": zoho::DEFAULT_TOKEN,
            "salesforce": salesforce.base_url(), "salesforce_token": salesforce::DEFAULT_TOKEN }))?;
    } else {
        println!("WhatsApp Cloud API  {}   control: {}/_sim/", graph.base_url(), graph.base_url());
        println!("  access token      {token}\n  app secret        {app_secret}");
        println!("  accounts          {}\n  numbers           {}", wabas.join(" "), numbers.join(" "));
        println!("HubSpot             {}   control: {}/_sim/", crm.base_url(), crm.base_url());
        println!("  token             {}", hubspot::DEFAULT_TOKEN);
        println!("Zoho CRM            {}   control: {}/_sim/", zoho.base_url(), zoho.base_url());
        println!("  token             {}", zoho::DEFAULT_TOKEN);
        println!("Salesforce          {}   control: {}/_sim/", salesforce.base_url(), salesforce.base_url());
        println!("  token             {}\nstop with Ctrl-C", salesforce::DEFAULT_TOKEN);
    }
    super::serve::stop_asked().await?;
    if let Some(traffic) = traffic {
        traffic.stop();
    }
    graph.shutdown().await;
    crm.shutdown().await;
    zoho.shutdown().await;
    salesforce.shutdown().await;
    Ok(ExitCode::SUCCESS)
}
