//! `ponte crm authorize`: sends a person to the CRM and keeps what they grant. The CRM sends them back to the running server, where
//! `[server] public_url` is set, otherwise to a port of this machine; or what their browser shows is pasted.
//! Failure story: interrupted, nothing is kept and it is begun again.

use super::find;
use crate::commands::contacts::who;
use crate::commands::print_json;
use crate::wiring::{Assembly, WORKSPACE};
use anyhow::{Context, Result, bail};
use clap::Args;
use ponte_domain::ports::access::{Access, AccessError, Callback, Granted, Standing};
use ponte_domain::ports::people::{NewAudit, People};
use ponte_engine::connection::Connection;
use ponte_server::wait_for_callback;
use serde_json::json;
use std::net::Ipv4Addr;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;
use tokio::net::TcpListener;

/// Options of `ponte crm authorize`.
#[derive(Args)]
pub(super) struct Options {
    /// The connection.
    name: String,
    /// Ends what was begun: the address that the browser was sent back to, or the code alone. For Zoho also a code of the API console
    /// (self client).
    #[arg(long, value_name = "CODE|URL")]
    code: Option<String>,
    /// Listen on this port of this machine, though the server has a public_url; 0 takes a free one. The address
    /// http://127.0.0.1:PORT/callback must be registered with the CRM's app. [default without public_url: 8976]
    #[arg(long, conflicts_with = "code")]
    port: Option<u16>,
    /// Only print the address; end it with --code, or let the server take the callback.
    #[arg(long, conflicts_with = "code")]
    no_wait: bool,
}

/// The port that docs/crm tells people to register.
const PORT: u16 = 8_976;
/// As long as what was begun is good.
const PATIENCE: Duration = Duration::from_secs(600);

fn access(connection: &Connection) -> Result<&Arc<dyn Access>> {
    let name = &connection.id;
    connection.access.as_ref().with_context(|| {
        format!("{name} signs in with what stands in the configuration: there is nothing to authorise")
    })
}

pub(super) async fn run(assembly: &Assembly, options: Options, json: bool) -> Result<ExitCode> {
    let connection = find(assembly, &options.name)?;
    let access = access(connection)?;
    if connection.standing().await? == Standing::Configured {
        bail!("a refresh_token of {} stands in the configuration: take it out, then authorise", options.name);
    }
    let granted = match &options.code {
        Some(code) => pasted(access, code).await,
        None => match browser(assembly, connection, access, &options, json).await? {
            Some(granted) => granted,
            None => return Ok(ExitCode::SUCCESS),
        },
    };
    let Granted { missing_scopes } = granted.context("not authorised")?;
    let data = json!({ "missing_scopes": missing_scopes }).to_string();
    note(assembly, "crm.authorize", &options.name, data).await?;
    connection.standing().await?;
    // What a server does at its start: without our fields a look at a CRM that has never seen us finds nothing.
    let checked = match connection.crm.prepare().await {
        Ok(()) => connection.crm.check().await,
        Err(error) => Err(error),
    };
    let works = checked.is_ok();
    let found = checked.unwrap_or_else(|error| error.to_string());
    if json {
        print_json(&json!({ "connection": options.name, "authorised": true, "missing_scopes": missing_scopes,
            "works": works, "account": found }))?;
    } else {
        println!("{}: authorised; {found}", options.name);
        if !missing_scopes.is_empty() {
            println!(
                "  not granted: {}; give them to the app at the CRM and authorise again",
                missing_scopes.join(", ")
            );
        }
    }
    Ok(if works { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// Sends a person there and waits. `None`: nobody waits.
async fn browser(
    assembly: &Assembly,
    connection: &Connection,
    access: &Arc<dyn Access>,
    options: &Options,
    json: bool,
) -> Result<Option<Result<Granted, AccessError>>> {
    let public = Some(assembly.settings.server.public_url.as_str()).filter(|url| !url.is_empty());
    let listener = match (public, options.port) {
        (Some(_), None) => None,
        (_, port) => {
            let port = port.unwrap_or(PORT);
            let bound = TcpListener::bind((Ipv4Addr::LOCALHOST, port)).await;
            Some(bound.with_context(|| format!("port {port} can't be opened: give another with --port"))?)
        }
    };
    let redirect_uri = match (&listener, public) {
        (Some(listener), _) => format!("http://127.0.0.1:{}/callback", listener.local_addr()?.port()),
        (None, base) => format!("{}/oauth/crm/{}/callback", base.unwrap_or_default(), options.name),
    };
    let before = connection.standing().await?;
    let clock = &assembly.world.clock;
    let url = access.begin(&redirect_uri, clock.now()).await?;
    if json {
        print_json(&json!({ "url": url, "redirect_uri": redirect_uri }))?;
    } else {
        println!("Open this address in a browser and agree; it is good for ten minutes:\n\n  {url}\n");
        println!("Registered with the CRM's app must be: {redirect_uri}");
    }
    if options.no_wait {
        return Ok(None);
    }
    let waiting = async {
        match listener {
            Some(listener) => wait_for_callback(listener, Arc::clone(access), Arc::clone(clock)).await,
            None => taken_by_server(access.as_ref(), before).await,
        }
    };
    let Ok(done) = tokio::time::timeout(PATIENCE, waiting).await else {
        bail!("nobody came back within ten minutes: begin again");
    };
    Ok(Some(done))
}

/// Waits until a running server has taken the callback. What it found missing is in its log and its audit entry.
async fn taken_by_server(access: &dyn Access, before: Standing) -> Result<Granted, AccessError> {
    loop {
        tokio::time::sleep(Duration::from_millis(250)).await;
        let now = access.standing().await?;
        if now.ready() && now != before {
            return Ok(Granted { missing_scopes: Vec::new() });
        }
    }
}

async fn pasted(access: &Arc<dyn Access>, text: &str) -> Result<Granted, AccessError> {
    let now = crate::adapters::now();
    match callback(text) {
        Some(callback) => access.finish(callback, now).await,
        None => access.finish_with(text.trim(), now).await,
    }
}

/// The query of an address that was pasted; `None` when it is a code.
fn callback(text: &str) -> Option<Callback> {
    let uri: http::Uri = text.trim().parse().ok().filter(|uri: &http::Uri| uri.scheme().is_some())?;
    let mut found = Callback::default();
    for (name, value) in form_urlencoded::parse(uri.query().unwrap_or_default().as_bytes()) {
        let value = Some(value.into_owned());
        match name.as_ref() {
            "state" => found.state = value,
            "code" => found.code = value,
            "error" => found.error = value,
            "accounts-server" => found.accounts_server = value,
            _ => {}
        }
    }
    Some(found)
}

pub(super) async fn undo(assembly: &Assembly, name: &str, json: bool) -> Result<ExitCode> {
    let connection = find(assembly, name)?;
    let withdrawn = access(connection)?.withdraw().await.context("nothing was forgotten")?;
    if withdrawn {
        note(assembly, "crm.deauthorize", name, "{}".to_owned()).await?;
    }
    if json {
        print_json(&json!({ "connection": name, "withdrawn": withdrawn }))?;
    } else if withdrawn {
        println!("{name}: withdrawn and forgotten; it waits until `ponte crm authorize {name}`");
    } else {
        println!("{name}: nobody has authorised it");
    }
    Ok(ExitCode::SUCCESS)
}

async fn note(assembly: &Assembly, act: &'static str, name: &str, data: String) -> Result<()> {
    let entry = NewAudit { at: crate::adapters::now(), who: who(), act, subject: Some(name.to_owned()), data };
    Ok(assembly.store.audit(WORKSPACE, entry).await?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_is_told_from_a_code() {
        let zoho = "http://127.0.0.1:8976/callback?state=s%2D1&code=1000.a.b&location=eu&accounts-server=https%3A%2F%2Faccounts.zoho.eu";
        let found = callback(zoho).unwrap();
        assert_eq!(found.state.as_deref(), Some("s-1"));
        assert_eq!(found.code.as_deref(), Some("1000.a.b"));
        assert_eq!(found.accounts_server.as_deref(), Some("https://accounts.zoho.eu"));
        assert_eq!(callback("https://x.example/?error=access_denied&state=%zz").unwrap().state.as_deref(), Some("%zz"));
        assert!(callback("1000.a.b").is_none());
        assert!(callback("aPrx=").is_none());
    }
}
