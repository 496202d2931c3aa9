//! The processes of a run: `ponte serve` and `ponte simulate`, and what the kernel says of them.
//! Failure story: whatever is still running when its handle is dropped is killed.

use super::http::Client;
use super::{ACCESS_TOKEN, API_KEY, APP_SECRET, NUMBERS, WABA, program};
use anyhow::{Context, Result, bail};
use serde_json::{Value, json};
use std::fmt::Write;
use std::fs::File;
use std::io::{BufRead, BufReader};
use std::net::{SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};

/// A loopback address that is free now.
///
/// # Errors
/// When there is none.
pub fn free_address() -> Result<SocketAddr> {
    Ok(TcpListener::bind("127.0.0.1:0")?.local_addr()?)
}

/// All simulators, in one process of their own.
pub struct Simulators {
    child: Child,
    /// Where the Cloud API is.
    pub whatsapp: SocketAddr,
    /// Where HubSpot is.
    pub hubspot: SocketAddr,
    /// Where Salesforce is.
    pub salesforce: SocketAddr,
    /// Where Zoho is.
    pub zoho: SocketAddr,
}

impl Simulators {
    /// Starts them. `settings` is the text of their TOML file.
    ///
    /// # Errors
    /// When they don't come up.
    pub fn start(folder: &Path, settings: &str, webhook: Option<&str>) -> Result<Self> {
        let file = folder.join("simulators.toml");
        std::fs::write(&file, settings)?;
        let mut command = Command::new(program()?);
        command.arg("simulate").arg("--json").arg("--settings").arg(&file);
        command.args(["--whatsapp-listen", "127.0.0.1:0", "--hubspot-listen", "127.0.0.1:0"]);
        if let Some(url) = webhook {
            command.args(["--webhook", url]);
        }
        let log = File::create(folder.join("simulators.log"))?;
        let mut child = command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(log).spawn()?;
        let mut line = String::new();
        if let Some(out) = child.stdout.take() {
            BufReader::new(out).read_line(&mut line)?;
        }
        let said: Value = serde_json::from_str(&line).with_context(|| {
            format!(
                "the simulators didn't start: {}",
                std::fs::read_to_string(folder.join("simulators.log")).unwrap_or_default()
            )
        })?;
        let address = |name: &str| -> Result<SocketAddr> {
            let url = said.get(name).and_then(Value::as_str).unwrap_or_default();
            url.trim_start_matches("http://")
                .trim_end_matches('/')
                .parse()
                .with_context(|| format!("address of {name}"))
        };
        let (whatsapp, hubspot) = (address("whatsapp")?, address("hubspot")?);
        Ok(Self { child, whatsapp, hubspot, salesforce: address("salesforce")?, zoho: address("zoho")? })
    }
}

impl Simulators {
    /// Its process id.
    #[must_use]
    pub fn pid(&self) -> u32 {
        self.child.id()
    }
}

impl Drop for Simulators {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// What differs between runs in the program's configuration.
#[derive(Debug, Clone)]
pub struct Setup {
    /// `[database] url`.
    pub database: String,
    /// `[storage] media_dir`.
    pub media: PathBuf,
    /// Where the Cloud API is.
    pub whatsapp: SocketAddr,
    /// Where HubSpot is and how many calls it allows in ten seconds; `None`: no CRM connection.
    pub hubspot: Option<(SocketAddr, u32)>,
    /// Further CRM connections: where the CRM is, and the text of the connection.
    pub connections: Vec<(SocketAddr, String)>,
    /// Messages a second of each number.
    pub per_second: [u32; 2],
    /// Text of further sections.
    pub more: String,
}

impl Setup {
    fn text(&self, listen: SocketAddr) -> String {
        let Self { database, media, whatsapp, hubspot, connections, per_second, more } = self;
        let mut text = format!(
            "[server]\nlisten = \"{listen}\"\n[database]\nurl = \"{database}\"\n[storage]\nmedia_dir = \"{}\"\n\
             [log]\nlevel = \"warn\"\n\
             [whatsapp]\nbase_url = \"http://{whatsapp}\"\nextra_media_hosts = [\"{whatsapp}\"]\n\
             [[whatsapp.apps]]\nname = \"sim\"\napp_secrets = [\"{APP_SECRET}\"]\nverify_token = \"simulated-verify-token\"\n\
             [[api.keys]]\nname = \"rig\"\ntoken = \"{API_KEY}\"\n",
            media.display()
        );
        for (number, rate) in NUMBERS.iter().zip(per_second) {
            let _ = write!(
                text,
                "[[whatsapp.numbers]]\nphone_number_id = \"{number}\"\nwaba_id = \"{WABA}\"\naccess_token = \
                 \"{ACCESS_TOKEN}\"\npeople_per_day = 0\nper_second = {rate}\n"
            );
        }
        let mut allowed = format!("\"{whatsapp}\"");
        if let Some((hubspot, calls)) = hubspot {
            let _ = write!(
                text,
                "[[crm.connections]]\nname = \"hubspot\"\nkind = \"hubspot\"\ntoken = \"sim-static-token\"\nbase_url = \
                 \"http://{hubspot}\"\ncalls_per_10s = {calls}\n"
            );
            let _ = write!(allowed, ", \"{hubspot}\"");
        }
        for (address, connection) in connections {
            text.push_str(connection);
            let _ = write!(allowed, ", \"{address}\"");
        }
        let _ = write!(text, "[egress]\nallow_private = [{allowed}]\n{more}\n");
        text
    }
}

/// One node of the program.
pub struct Ponte {
    config: PathBuf,
    log: PathBuf,
    child: Child,
    /// Where it listens.
    pub address: SocketAddr,
}

impl Ponte {
    /// Writes the configuration and starts the program; doesn't wait.
    ///
    /// # Errors
    /// When it can't be started.
    pub fn spawn(folder: &Path, name: &str, listen: SocketAddr, setup: &Setup) -> Result<Self> {
        let config = folder.join(format!("{name}.toml"));
        let log = folder.join(format!("{name}.log"));
        std::fs::write(&config, setup.text(listen))?;
        let child = launch(&config, &log)?;
        Ok(Self { config, log, child, address: listen })
    }

    /// Starts it again after it ended.
    ///
    /// # Errors
    /// When it can't be started.
    pub fn spawn_again(&mut self) -> Result<()> {
        self.child = launch(&self.config, &self.log)?;
        Ok(())
    }

    /// Kills it where it stands (SIGKILL).
    ///
    /// # Errors
    /// When it can't be waited for.
    pub fn kill(&mut self) -> Result<()> {
        self.child.kill()?;
        self.child.wait()?;
        Ok(())
    }

    /// Waits until it is ready.
    ///
    /// # Errors
    /// When it ends, or isn't ready in time; with its log.
    pub async fn ready(&mut self) -> Result<()> {
        let begun = Instant::now();
        let mut client = Client::new(self.address).within(Duration::from_secs(5));
        while begun.elapsed() < Duration::from_secs(60) {
            if let Some(status) = self.child.try_wait()? {
                bail!("ponte ended with {status}:\n{}", self.last_words());
            }
            if let Ok((200, _)) = client.call("GET", "/readyz", None, None).await {
                return Ok(());
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        bail!("ponte isn't ready after a minute:\n{}", self.last_words())
    }

    fn last_words(&self) -> String {
        let text = std::fs::read_to_string(&self.log).unwrap_or_default();
        let lines: Vec<&str> = text.lines().rev().take(12).collect();
        lines.into_iter().rev().collect::<Vec<_>>().join("\n")
    }

    /// A client for its API.
    #[must_use]
    pub fn client(&self) -> Client {
        Client::with_key(self.address, API_KEY)
    }

    /// Runs a command of the program with the node's configuration.
    ///
    /// # Errors
    /// When it can't be started.
    pub async fn command(&self, arguments: &[&str]) -> Result<Output> {
        let mut command = tokio::process::Command::new(program()?);
        command.args(arguments).arg("--config").arg(&self.config).stdin(Stdio::null());
        command.output().await.context("running ponte")
    }

    /// Its process id.
    #[must_use]
    pub fn pid(&self) -> u32 {
        self.child.id()
    }
}

impl Drop for Ponte {
    fn drop(&mut self) {
        let _ = self.kill();
    }
}

fn launch(config: &Path, log: &Path) -> Result<Child> {
    let log = File::options().create(true).append(true).open(log)?;
    let mut command = Command::new(program()?);
    command.arg("serve").arg("--config").arg(config);
    command.stdin(Stdio::null()).stdout(log.try_clone()?).stderr(log);
    command.spawn().context("starting ponte")
}

/// Processor seconds a process used so far.
#[must_use]
pub fn cpu_seconds(pid: u32) -> f64 {
    let Ok(stat) = std::fs::read_to_string(format!("/proc/{pid}/stat")) else { return 0.0 };
    // The name stands in brackets and may hold anything: count the fields behind it.
    let rest = stat.rsplit_once(')').map_or("", |(_, rest)| rest);
    let ticks: f64 = rest.split_whitespace().skip(11).take(2).filter_map(|n| n.parse::<f64>().ok()).sum();
    ticks / 100.0
}

/// Resident memory of a process now, and the most it ever had: megabytes.
#[must_use]
pub fn memory_mb(pid: u32) -> (f64, f64) {
    let text = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
    let field = |name: &str| {
        let line = text.lines().find(|line| line.starts_with(name))?;
        line.split_whitespace().nth(1)?.parse::<f64>().ok().map(|kb| (kb / 102.4).round() / 10.0)
    };
    (field("VmRSS").unwrap_or(0.0), field("VmHWM").unwrap_or(0.0))
}

/// Settings of the simulators, as TOML: both numbers with these rates, statuses with these times (median, 99th percentile).
#[must_use]
pub fn simulator_settings(seed: u64, per_second: [u32; 2], prompt: bool, more: &str) -> String {
    let latency = |p50: u32, p99: u32| format!("{{ p50_ms = {p50}, p99_ms = {p99} }}");
    let (sent, delivered, read) = if prompt {
        (latency(100, 400), latency(200, 800), latency(800, 2_500))
    } else {
        (latency(250, 2_000), latency(700, 8_000), latency(8_000, 30_000))
    };
    let mut text = format!(
        "[whatsapp]\nseed = {seed}\nkeep_bodies = 0\n[whatsapp.status]\nsent = {sent}\ndelivered = {delivered}\nread = {read}\n\
         [[whatsapp.wabas]]\nid = \"{WABA}\"\nportfolio_id = \"506914307656634\"\n"
    );
    for (number, rate) in NUMBERS.iter().zip(per_second) {
        let _ = write!(
            text,
            "[[whatsapp.wabas.numbers]]\nid = \"{number}\"\ndisplay_phone_number = \"+1 555-078-3881\"\nverified_name = \
             \"Rig\"\nthroughput_per_s = {rate}\nmessaging_limit = \"TIER_UNLIMITED\"\n"
        );
    }
    for (id, name, category) in [(1, "order_ready", "UTILITY"), (2, "spring_sale", "MARKETING")] {
        let _ = write!(
            text,
            "[[whatsapp.wabas.templates]]\nid = \"{id}\"\nname = \"{name}\"\nlanguage = \"en_US\"\ncategory = \
             \"{category}\"\ncomponents = [{{ type = \"BODY\", text = \"Hello {{{{1}}}}, your order is ready.\" }}]\n"
        );
    }
    text.push_str(more);
    text
}

/// A message by template, as the program's API takes it.
#[must_use]
pub fn template(name: &str, word: &str) -> Value {
    json!({ "type": "template", "template": { "name": name, "language": { "code": "en_US" },
        "components": [{ "type": "body", "parameters": [{ "type": "text", "text": word }] }] } })
}
