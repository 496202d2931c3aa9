//! The demo's company as a program that uses Ponte: its public API over HTTP, with a key, as any other program would.
//! Failure story: no answer or a 5xx is asked again; messages carry an idempotency key, so that asking again sends nothing twice.

use anyhow::Context;
use ponte_net::{Egress, EgressConfig, Request};
use secrecy::SecretString;
use serde_json::Value;
use std::net::SocketAddr;
use std::time::Duration;

/// How often something is asked before it is given up.
const TRIES: u32 = 5;

/// The API's client.
pub struct Api {
    egress: Egress,
    base: String,
    key: SecretString,
}

impl Api {
    /// A client of the program at this address.
    ///
    /// # Errors
    /// When no HTTP client can be built.
    pub fn new(address: SocketAddr, key: &str) -> anyhow::Result<Self> {
        let egress = Egress::new(&EgressConfig { allow_loopback: true, ..EgressConfig::default() })?;
        Ok(Self { egress, base: format!("http://{address}/api/v1"), key: key.into() })
    }

    /// Reads.
    ///
    /// # Errors
    /// When there is no good answer, asked several times.
    pub async fn get(&self, path: &str) -> anyhow::Result<Value> {
        let (status, body) = self.ask(path, None).await?;
        anyhow::ensure!(status == 200, "GET {path} was answered {status}");
        Ok(body)
    }

    /// Writes; the status and the body of the answer, refusals included.
    ///
    /// # Errors
    /// When there is no answer, or only 5xx, asked several times.
    pub async fn post(&self, path: &str, body: &Value) -> anyhow::Result<(u16, Value)> {
        self.ask(path, Some(body)).await
    }

    async fn ask(&self, path: &str, body: Option<&Value>) -> anyhow::Result<(u16, Value)> {
        let mut tried = 0;
        loop {
            tried += 1;
            match self.once(path, body).await {
                Ok((status, answer)) if status < 500 || tried == TRIES => return Ok((status, answer)),
                Err(error) if tried == TRIES => return Err(error),
                _ => tokio::time::sleep(Duration::from_millis(200) * tried).await,
            }
        }
    }

    async fn once(&self, path: &str, body: Option<&Value>) -> anyhow::Result<(u16, Value)> {
        let url = format!("{}/{path}", self.base);
        let request = match body {
            Some(body) => Request::post("demo", url).json(body)?,
            None => Request::get("demo", url),
        };
        let response = self.egress.call(request.bearer(&self.key)?).await.context("the API gave no answer")?;
        Ok((response.status.as_u16(), response.json().unwrap_or(Value::Null)))
    }
}
