//! What the demo consists of: both simulators, a configuration file that also works from another terminal, and Ponte itself,
//! joined by real HTTP on loopback ports.
//! Failure story: what was started before something failed stops with it; the folder goes unless it was asked for.

use crate::config::{self, Settings};
use crate::wiring::{self, Running};
use anyhow::{Context, bail};
use metrics_exporter_prometheus::PrometheusBuilder;
use ponte_simulator::chance::Latency;
use ponte_simulator::{hubspot, whatsapp};
use serde_json::{Value, json};
use std::fmt::Write;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use tempfile::TempDir;

/// The name of the CRM connection.
pub const CRM: &str = "hubspot";
/// The template of confirmed orders, and the campaign's.
pub const CONFIRMATION: &str = "order_on_its_way";
pub const OFFER: &str = "weekend_offer";

/// Where the demo keeps its files.
pub struct Folder {
    path: PathBuf,
    temporary: Option<TempDir>,
}

impl Folder {
    /// The folder asked for, which must not hold a database yet, or one that goes with the demo.
    ///
    /// # Errors
    /// When it can't be made or is in use.
    pub fn open(asked: Option<&Path>) -> anyhow::Result<Self> {
        let Some(path) = asked else {
            let temporary = tempfile::Builder::new().prefix("ponte-demo-").tempdir()?;
            return Ok(Self { path: temporary.path().to_path_buf(), temporary: Some(temporary) });
        };
        std::fs::create_dir_all(path).with_context(|| format!("--keep {}", path.display()))?;
        let path = path.canonicalize()?;
        if path.join("ponte.db").exists() {
            bail!("--keep {} already holds a database: give another folder, or remove it", path.display());
        }
        Ok(Self { path, temporary: None })
    }

    /// Where.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Whether it stays.
    pub const fn stays(&self) -> bool {
        self.temporary.is_none()
    }

    /// Lets it stay after all.
    pub fn keep(&mut self) {
        if let Some(temporary) = self.temporary.take() {
            self.path = temporary.keep();
        }
    }
}

/// Everything that runs.
pub struct Stage {
    pub whatsapp: whatsapp::Simulator,
    pub crm: hubspot::HubSpot,
    pub running: Running,
    pub config: PathBuf,
    pub key: String,
    pub numbers: Vec<String>,
}

/// Starts both simulators and Ponte.
///
/// # Errors
/// When an address can't be bound or the database can't be opened.
pub async fn set(folder: &Folder, listen: SocketAddr, seed: u64, trouble: f64) -> anyhow::Result<Stage> {
    let mut company = whatsapp::Config { seed, status: pace(), ..whatsapp::Config::default() };
    company.access_token = secret("token");
    company.app_secret = secret("app-secret");
    let Some(account) = company.wabas.first_mut() else { bail!("the simulator has no account") };
    account.templates.extend(templates());
    let numbers: Vec<String> = account.numbers.iter().map(|n| n.id.clone()).collect();
    let mut plan = Plan {
        folder: folder.path().to_path_buf(),
        listen,
        key: secret("key"),
        verify_token: secret("verify"),
        access_token: company.access_token.clone(),
        app_secret: company.app_secret.clone(),
        waba: account.id.clone(),
        portfolio: account.portfolio_id.clone(),
        numbers: numbers.clone(),
        graph: String::new(),
        crm: String::new(),
    };
    let graph = whatsapp::Simulator::start(company).await?;
    let crm = hubspot::HubSpot::start(hubspot::Config { seed, ..hubspot::Config::default() }).await?;
    plan.graph = graph.base_url();
    plan.crm = crm.base_url();
    let config = folder.path().join("ponte.toml");
    let settings = plan.write(&config)?;
    start_log(&settings, folder)?;
    let recorder = PrometheusBuilder::new().build_recorder();
    let handle = recorder.handle();
    metrics::set_global_recorder(recorder).map_err(|e| anyhow::anyhow!("metrics: {e}"))?;
    let assembly = wiring::assemble(settings, true).await?;
    // The properties are made before trouble begins, or a short demo would be over before the CRM takes anything.
    for connection in &assembly.crms {
        connection.crm.prepare().await.map_err(|e| anyhow::anyhow!("{}: {}", connection.id, e.title))?;
    }
    let (graph_faults, crm_faults) = faults(trouble);
    graph.set_faults(graph_faults);
    crm.set_faults(crm_faults);
    let running = wiring::start(assembly, Arc::new(move || handle.render())).await?;
    // Written again with the port that was free, for commands from another terminal.
    plan.listen = running.address;
    plan.write(&config)?;
    let url = format!("http://{}/webhooks/whatsapp", running.address);
    graph.set_webhook(whatsapp::WebhookTarget { url, verify_token: plan.verify_token });
    Ok(Stage { whatsapp: graph, crm, running, config, key: plan.key, numbers })
}

/// The terminal belongs to the view: the log goes into a file.
fn start_log(settings: &Settings, folder: &Folder) -> anyhow::Result<()> {
    let file = std::fs::File::create(folder.path().join("ponte.log"))?;
    crate::logging::start_in(settings, file)
}

fn secret(what: &str) -> String {
    format!("demo-{what}-{:016x}", rand::random::<u64>())
}

/// What goes into the configuration file.
struct Plan {
    folder: PathBuf,
    listen: SocketAddr,
    key: String,
    verify_token: String,
    access_token: String,
    app_secret: String,
    waba: String,
    portfolio: String,
    numbers: Vec<String>,
    graph: String,
    crm: String,
}

impl Plan {
    fn write(&self, path: &Path) -> anyhow::Result<Settings> {
        let text = self.text();
        let mut options = std::fs::File::options();
        options.write(true).create(true).truncate(true);
        // It holds keys, if only of simulators.
        #[cfg(unix)]
        std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
        let mut file = options.open(path).with_context(|| path.display().to_string())?;
        std::io::Write::write_all(&mut file, text.as_bytes())?;
        Ok(config::load(Some(path), &[])?)
    }

    fn text(&self) -> String {
        let quoted = |text: &str| toml::Value::String(text.to_owned()).to_string();
        let inside = |name: &str| self.folder.join(name).display().to_string();
        let host = self.graph.trim_start_matches("http://");
        let mut text = String::from("# Written by `ponte demo`. It joins two simulators; no real system is reached.\n");
        let mut put = |line: String| {
            let _ = writeln!(text, "{line}");
        };
        put(format!("[server]\nlisten = {}", quoted(&self.listen.to_string())));
        put(format!("[database]\nurl = {}", quoted(&format!("sqlite:{}", inside("ponte.db")))));
        put(format!("[storage]\nmedia_dir = {}", quoted(&inside("media"))));
        put(format!("[whatsapp]\nbase_url = {}\nextra_media_hosts = [{}]", quoted(&self.graph), quoted(host)));
        put(format!(
            "[[whatsapp.apps]]\nname = \"demo\"\napp_secrets = [{}]\nverify_token = {}",
            quoted(&self.app_secret),
            quoted(&self.verify_token)
        ));
        for number in &self.numbers {
            put(format!(
                "[[whatsapp.numbers]]\nphone_number_id = {}\nwaba_id = {}\nportfolio_id = {}\naccess_token = {}\npeople_per_day = 0",
                quoted(number),
                quoted(&self.waba),
                quoted(&self.portfolio),
                quoted(&self.access_token)
            ));
        }
        // The demo's day lasts minutes: its customers around the world are all awake. Its people answer a stop themselves.
        put("[policy]\nquiet_from = \"00:00\"\nquiet_until = \"00:00\"".to_owned());
        put(format!(
            "[consent.acknowledge]\n{}",
            ["en", "pt", "es", "zh", "fr", "de", "hi", "ar", "id"].map(|l| format!("{l} = \"\"\n")).concat()
        ));
        put("[dispatch]\nplan = \"unlimited\"\nunknown_look_ms = 1000".to_owned());
        put(format!("[[api.keys]]\nname = \"demo\"\ntoken = {}", quoted(&self.key)));
        put(format!(
            "[[crm.connections]]\nname = \"{CRM}\"\nkind = \"hubspot\"\ntoken = {}\nbase_url = {}",
            quoted(hubspot::DEFAULT_TOKEN),
            quoted(&self.crm)
        ));
        put("[egress]\nallow_private = [\"127.0.0.1\"]".to_owned());
        text
    }
}

/// Fine weather: answers take their time, nothing goes wrong.
pub fn calm() -> (whatsapp::Faults, hubspot::Faults) {
    faults(0.0)
}

/// What goes wrong, from the share of calls that do.
fn faults(share: f64) -> (whatsapp::Faults, hubspot::Faults) {
    let graph = whatsapp::Faults {
        latency: Latency { p50_ms: 60, p99_ms: 300 },
        // Something at Meta's, too fast, and a file that doesn't fit: the last is permanent and makes a dead letter.
        errors: [(131_000, share), (130_429, share / 2.0), (131_053, share / 4.0)].into(),
        late_errors: [(131_026, share / 2.0)].into(),
        timeout_after_accept: share / 2.0,
        reset_after_accept: share,
        webhook_duplicates: (share * 3.0).min(1.0),
        webhook_reordered: (share * 5.0).min(1.0),
        webhook_reorder_window_ms: 1_500,
        media_failures: share,
        ..whatsapp::Faults::default()
    };
    let crm = hubspot::Faults {
        latency: Latency { p50_ms: 80, p99_ms: 400 },
        server_error: share,
        server_error_after_apply: share / 2.0,
        // One of these stops all calls for ten seconds, as HubSpot asks.
        too_many_requests: share / 20.0,
        locked: share / 4.0,
        timeout_after_apply: share / 8.0,
        reset_after_apply: share / 2.0,
        hang_ms: 20_000,
        row_failure: share / 2.0,
        row_rejection: share / 20.0,
        ..hubspot::Faults::default()
    };
    (graph, crm)
}

/// People in a demo read sooner than in life.
fn pace() -> whatsapp::StatusBehaviour {
    whatsapp::StatusBehaviour {
        sent: Latency { p50_ms: 200, p99_ms: 900 },
        delivered: Latency { p50_ms: 400, p99_ms: 2_000 },
        read: Latency { p50_ms: 1_500, p99_ms: 10_000 },
        played: Latency { p50_ms: 1_500, p99_ms: 8_000 },
        ..whatsapp::StatusBehaviour::default()
    }
}

fn templates() -> Vec<whatsapp::Template> {
    let confirmations = [
        ("en_US", "Hi {{1}}, your order {{2}} is on its way and arrives on {{3}}. See you soon!"),
        ("pt_BR", "Olá {{1}}, seu pedido {{2}} está a caminho e chega na {{3}}. Até logo!"),
        ("es", "Hola {{1}}, su pedido {{2}} va en camino y llega {{3}}. ¡Hasta pronto!"),
        ("zh_TW", "{{1}}您好,您的訂單 {{2}} 已經出貨,預計{{3}}送達。謝謝您!"),
        ("de", "Hallo {{1}}, Ihre Bestellung {{2}} ist unterwegs und kommt am {{3}}. Bis bald!"),
    ];
    let offers = [
        ("en_US", "This weekend everything green is a quarter off 🌿 Reply STOP to hear no more of this."),
        ("pt_BR", "Neste fim de semana tudo que é verde com um quarto de desconto 🌿 Responda PARAR para sair."),
        ("es", "Este fin de semana todo lo verde con un cuarto de descuento 🌿 Responda BAJA para salir."),
        ("zh_TW", "本週末所有綠色植物七五折 🌿 回覆「停止」即可取消通知。"),
        ("de", "Dieses Wochenende alles Grüne ein Viertel günstiger 🌿 Mit STOPP abbestellen."),
    ];
    let example = json!({ "body_text": [["Ana", "#860198", "Friday"]] });
    let mut id = 564_750_795_575_000_u64;
    let mut make = |name: &str, category: &str, language: &str, body: Value| {
        id += 1;
        whatsapp::Template {
            id: id.to_string(),
            name: name.to_owned(),
            language: language.to_owned(),
            category: category.to_owned(),
            status: "APPROVED".to_owned(),
            parameter_format: "POSITIONAL".to_owned(),
            components: vec![body],
            quality_score: "GREEN".to_owned(),
            rejected_reason: "NONE".to_owned(),
            message_send_ttl_seconds: None,
        }
    };
    let mut all = Vec::new();
    for (language, text) in confirmations {
        let body = json!({ "type": "BODY", "text": text, "example": example });
        all.push(make(CONFIRMATION, "UTILITY", language, body));
    }
    for (language, text) in offers {
        all.push(make(OFFER, "MARKETING", language, json!({ "type": "BODY", "text": text })));
    }
    all
}
