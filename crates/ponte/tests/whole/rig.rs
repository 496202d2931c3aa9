//! What every test needs: simulators, a database, a configuration, the running program, and ways to ask it.

use ponte_simulator::hubspot::{self, HubSpot};
use ponte_simulator::whatsapp::{self, CustomerMessage, Simulator, StatusBehaviour, WebhookTarget};
use ponte_testkit::http::{Answer, request, signature};
use ponte_testkit::{Engine, Place, Program, ProgramOptions, TestDatabase};
use serde_json::{Value, json};
use std::collections::{BTreeMap, HashMap};
use std::future::Future;
use std::net::{Ipv4Addr, TcpListener};
use std::path::Path;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

pub const APP_SECRET: &str = "simulated-app-secret";
pub const VERIFY_TOKEN: &str = "simulated-verify-token";
pub const ACCESS_TOKEN: &str = "simulated-token";
pub const API_KEY: &str = "test-key-test-key-test-key";
pub const NUMBER: &str = "106540352242922";
pub const SECOND_NUMBER: &str = "106540352242933";
pub const WABA: &str = "102290129340398";
pub const HOOK: &str = "/webhooks/whatsapp";
/// How long the slowest expected thing may take; what is awaited usually takes milliseconds.
pub const LONG: Duration = Duration::from_secs(30);

/// A free port outside the range that outgoing connections are given, so that nobody takes it before the program does.
pub fn port() -> u16 {
    static TAKEN: AtomicU32 = AtomicU32::new(0);
    loop {
        let step = TAKEN.fetch_add(1, Ordering::Relaxed);
        let port = 10_000 + (std::process::id() * 37 + step * 101) % 20_000;
        let port = u16::try_from(port).unwrap();
        if TcpListener::bind((Ipv4Addr::LOCALHOST, port)).is_ok() {
            return port;
        }
    }
}

/// Phone of the `n`-th customer: a German mobile number, which no platform rewrites.
pub fn phone(n: usize) -> String {
    format!("4915111{n:05}1")
}

/// How a test wants its world.
pub struct Setup {
    pub engine: Engine,
    pub whatsapp: whatsapp::Config,
    pub hubspot: hubspot::Config,
    /// Sections of the configuration by name; each line replaces the rig's own of the same key.
    pub settings: BTreeMap<&'static str, BTreeMap<&'static str, String>>,
    /// TOML of the CRM connections.
    pub crm: String,
    /// TOML of the apps.
    pub apps: String,
    pub env: Vec<(String, String)>,
}

impl Setup {
    pub fn on(engine: Engine) -> Self {
        let mut whatsapp = whatsapp::Config { status: StatusBehaviour::prompt(30), ..whatsapp::Config::default() };
        whatsapp.delivery.retry_first_ms = 100;
        whatsapp.delivery.retry_max_ms = 500;
        let mut hubspot = hubspot::Config::default();
        hubspot.limits.search_per_second = 50;
        Self {
            engine,
            whatsapp,
            hubspot,
            settings: BTreeMap::new(),
            crm: "token = \"sim-static-token\"".into(),
            apps: format!(
                "[[whatsapp.apps]]\nname = \"sim\"\napp_secrets = [\"{APP_SECRET}\"]\nverify_token = \"{VERIFY_TOKEN}\"\n"
            ),
            env: Vec::new(),
        }
    }

    pub fn sqlite() -> Self {
        Self::on(Engine::Sqlite)
    }

    pub fn postgres() -> Self {
        Self::on(Engine::Postgres)
    }

    pub fn set(mut self, section: &'static str, key: &'static str, value: impl Into<String>) -> Self {
        self.settings.entry(section).or_default().insert(key, value.into());
        self
    }

    pub fn no_crm(mut self) -> Self {
        self.crm = String::new();
        self
    }

    pub async fn start(self) -> Rig {
        let db = TestDatabase::of(self.engine).await.unwrap();
        self.start_on(db).await
    }

    /// The program's configuration as text.
    pub fn config(&self, port: u16, database: &str, graph: &Simulator, crm: &HubSpot) -> String {
        let (graph, crm_address) = (graph.addr(), crm.addr());
        let own = [
            ("server", "listen", format!("\"127.0.0.1:{port}\"")),
            ("database", "url", format!("\"{database}\"")),
            ("storage", "media_dir", "\"{dir}/media\"".to_owned()),
            ("log", "level", "\"info\"".to_owned()),
            ("whatsapp", "base_url", format!("\"http://{graph}\"")),
            ("whatsapp", "extra_media_hosts", format!("[\"{graph}\"]")),
            ("whatsapp", "send_timeout_ms", "1500".to_owned()),
            ("dispatch", "plan", "\"unlimited\"".to_owned()),
            ("dispatch", "start_per_second", "200.0".to_owned()),
            ("dispatch", "cpu_ceiling", "1.0".to_owned()),
            ("dispatch", "unknown_look_ms", "200".to_owned()),
            ("dispatch", "unknown_settle_ms", "2500".to_owned()),
            ("dispatch", "unknown_give_up_ms", "60000".to_owned()),
            ("retry", "first_ms", "200".to_owned()),
            ("retry", "second_ms", "400".to_owned()),
            ("retry", "later_ms", format!("[{}]", ["700"; 60].join(", "))),
            ("egress", "allow_private", format!("[\"{graph}\", \"{crm_address}\"]")),
        ];
        let mut sections = self.settings.clone();
        for (section, key, value) in own {
            sections.entry(section).or_default().entry(key).or_insert(value);
        }
        let mut text = String::new();
        for (name, lines) in &sections {
            text.push_str(&format!("[{name}]\n"));
            lines.iter().for_each(|(key, value)| text.push_str(&format!("{key} = {value}\n")));
        }
        text.push_str(&self.apps);
        for number in [NUMBER, SECOND_NUMBER] {
            text.push_str(&format!(
                "[[whatsapp.numbers]]\nphone_number_id = \"{number}\"\nwaba_id = \"{WABA}\"\naccess_token = \"{ACCESS_TOKEN}\"\n\
                 portfolio_id = \"506914307656634\"\npeople_per_day = 0\n"
            ));
        }
        text.push_str(&format!("[[api.keys]]\nname = \"test\"\ntoken = \"{API_KEY}\"\n"));
        if !self.crm.is_empty() {
            text.push_str(&format!(
                "[[crm.connections]]\nname = \"hubspot\"\nkind = \"hubspot\"\nbase_url = \"http://{crm_address}\"\n{}\n",
                self.crm
            ));
        }
        text
    }

    pub async fn start_on(self, db: TestDatabase) -> Rig {
        let graph = Simulator::start(self.whatsapp.clone()).await.unwrap();
        let port = port();
        // `{own}` in what a test sets is the program's own address.
        let own = format!("http://127.0.0.1:{port}");
        let mut crm = self.hubspot.clone();
        if let Some(webhooks) = &mut crm.webhooks {
            webhooks.target_url = webhooks.target_url.replace("{own}", &own);
        }
        crm.oauth.redirect_uri = crm.oauth.redirect_uri.replace("{own}", &own);
        let hubspot = HubSpot::start(crm).await.unwrap();
        let config = self.config(port, &url(db.place()), &graph, &hubspot).replace("{own}", &own);
        let program = Program::start(options(port, config, self.env)).await.unwrap();
        graph.set_webhook(WebhookTarget {
            url: format!("http://127.0.0.1:{port}{HOOK}"),
            verify_token: VERIFY_TOKEN.into(),
        });
        Rig { program, graph, hubspot, db }
    }
}

pub fn url(place: &Place) -> String {
    match place {
        Place::Sqlite(path) => format!("sqlite:{}", path.display()),
        Place::Postgres(url) => url.clone(),
    }
}

pub fn options(port: u16, config: String, env: Vec<(String, String)>) -> ProgramOptions {
    ProgramOptions { program: Some(env!("CARGO_BIN_EXE_ponte").into()), config, args: Vec::new(), env, port }
}

/// A running world. Fields are dropped in order: the program first.
pub struct Rig {
    pub program: Program,
    pub graph: Simulator,
    pub hubspot: HubSpot,
    pub db: TestDatabase,
}

/// What a command printed and how it ended.
#[derive(Debug)]
pub struct Ran {
    pub code: i32,
    pub out: String,
    pub err: String,
}

impl Ran {
    pub fn json(&self) -> Value {
        serde_json::from_str(&self.out).unwrap_or_else(|e| panic!("no JSON ({e}): {self:?}"))
    }

    pub fn lines(&self) -> Vec<Value> {
        self.out.lines().map(|l| serde_json::from_str(l).unwrap_or_else(|e| panic!("no JSON ({e}): {l}"))).collect()
    }
}

/// Runs `ponte`.
pub async fn ponte(args: &[&str], folder: &Path, env: &[(&str, &str)]) -> Ran {
    let mut command = tokio::process::Command::new(env!("CARGO_BIN_EXE_ponte"));
    command.args(args).current_dir(folder).envs(env.iter().copied()).kill_on_drop(true);
    let ended = tokio::time::timeout(LONG, command.output()).await.expect("the command doesn't end").unwrap();
    Ran {
        code: ended.status.code().unwrap_or(-1),
        out: String::from_utf8(ended.stdout).unwrap(),
        err: String::from_utf8(ended.stderr).unwrap(),
    }
}

/// Waits until `look` finds something; panics with `what` when it doesn't in time.
pub async fn eventually<T, F: Future<Output = Option<T>>>(
    limit: Duration,
    what: &str,
    mut look: impl FnMut() -> F,
) -> T {
    let begun = Instant::now();
    loop {
        if let Some(found) = look().await {
            return found;
        }
        assert!(begun.elapsed() < limit, "still not after {limit:?}: {what}");
        tokio::time::sleep(Duration::from_millis(25)).await;
    }
}

/// A signed webhook body for a receiver at `port`.
pub async fn deliver(program: &Program, body: &[u8]) -> Answer {
    deliver_signed(program, body, APP_SECRET).await
}

pub async fn deliver_signed(program: &Program, body: &[u8], secret: &str) -> Answer {
    let signature = signature(secret, body);
    let headers = [("content-type", "application/json"), ("x-hub-signature-256", signature.as_str())];
    program.post(HOOK, &headers, body).await.unwrap()
}

/// One change of the `messages` field.
pub fn envelope(value: Value) -> Vec<u8> {
    envelope_of("messages", value)
}

pub fn envelope_of(field: &str, value: Value) -> Vec<u8> {
    json!({"object": "whatsapp_business_account",
           "entry": [{"id": WABA, "changes": [{"field": field, "value": value}]}]})
    .to_string()
    .into_bytes()
}

pub fn value_of(number: &str, more: Value) -> Value {
    let mut value = json!({"messaging_product": "whatsapp",
                           "metadata": {"display_phone_number": "15550783881", "phone_number_id": number}});
    value.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    value
}

/// A webhook body with one text.
pub fn text_body(wamid: &str, from: &str, text: &str) -> Vec<u8> {
    envelope(value_of(
        NUMBER,
        json!({"contacts": [{"profile": {"name": "Ana"}, "wa_id": from}],
               "messages": [{"from": from, "id": wamid, "timestamp": seconds().to_string(), "type": "text", "text": {"body": text}}]}),
    ))
}

/// Now, as WhatsApp writes it.
pub fn seconds() -> i64 {
    whatsapp::now_ms() / 1_000
}

impl Rig {
    pub fn config(&self) -> String {
        self.program.folder().join("ponte.toml").to_string_lossy().into_owned()
    }

    /// Runs a command on the same configuration.
    pub async fn cli(&self, args: &[&str]) -> Ran {
        let config = self.config();
        let all: Vec<&str> = ["--config", &config].into_iter().chain(args.iter().copied()).collect();
        ponte(&all, self.program.folder(), &[]).await
    }

    /// Asks the API; status and body.
    pub async fn api(&self, method: &str, path: &str, body: Option<&Value>) -> (u16, Value) {
        self.api_with(method, path, body, &[]).await
    }

    pub async fn api_with(
        &self,
        method: &str,
        path: &str,
        body: Option<&Value>,
        more: &[(&str, &str)],
    ) -> (u16, Value) {
        ask(&self.program, method, path, body, more).await
    }

    pub async fn send(&self, body: Value) -> (u16, Value) {
        self.api("POST", "/api/v1/messages", Some(&body)).await
    }

    /// Queues a text to the phone; its id.
    pub async fn text(&self, to: &str, text: &str) -> String {
        let (status, body) =
            self.send(json!({"to": {"phone": format!("+{to}")}, "message": {"type": "text", "body": text}})).await;
        assert_eq!(status, 202, "{body}");
        body["id"].as_str().unwrap().to_owned()
    }

    /// Queues many texts, 200 a call; their ids in order. All recipients must have an open window.
    pub async fn texts(&self, texts: &[(String, String)]) -> Vec<String> {
        let mut ids = Vec::new();
        for chunk in texts.chunks(200) {
            let rows: Vec<Value> = chunk
                .iter()
                .map(|(to, text)| json!({"to": {"phone": format!("+{to}")}, "message": {"type": "text", "body": text}}))
                .collect();
            let (status, body) = self.api("POST", "/api/v1/messages/batch", Some(&json!({"messages": rows}))).await;
            assert_eq!(status, 202, "{body}");
            ids.extend(
                body["results"].as_array().unwrap().iter().map(|r| r["id"].as_str().expect("queued").to_owned()),
            );
        }
        ids
    }

    /// A message as the API shows it.
    pub async fn message(&self, id: &str) -> Value {
        let (status, body) = self.api("GET", &format!("/api/v1/messages/{id}"), None).await;
        assert_eq!(status, 200, "{body}");
        body
    }

    /// All messages, newest first.
    pub async fn messages(&self) -> Vec<Value> {
        let mut all: Vec<Value> = Vec::new();
        loop {
            let before = all.last().map(|m| format!("&before={}", m["id"].as_str().unwrap())).unwrap_or_default();
            let (status, page) = self.api("GET", &format!("/api/v1/messages?limit=500{before}"), None).await;
            assert_eq!(status, 200, "{page}");
            let page = page.as_array().unwrap().clone();
            if page.is_empty() {
                return all;
            }
            all.extend(page);
        }
    }

    pub async fn by_wamid(&self) -> HashMap<String, Value> {
        let all = self.messages().await;
        all.into_iter().filter_map(|m| Some((m["wamid"].as_str()?.to_owned(), m))).collect()
    }

    /// Waits until the message with this wamid is stored.
    pub async fn stored(&self, wamid: &str) -> Value {
        eventually(LONG, &format!("{wamid} is stored"), || async { self.by_wamid().await.remove(wamid) }).await
    }

    pub async fn events(&self, kind: &str) -> Vec<Value> {
        let (status, body) = self.api("GET", &format!("/api/v1/events?limit=500&kind={kind}"), None).await;
        assert_eq!(status, 200, "{body}");
        body.as_array().unwrap().clone()
    }

    pub async fn status(&self) -> Value {
        let (status, body) = self.api("GET", "/api/v1/status", None).await;
        assert_eq!(status, 200, "{body}");
        body
    }

    /// Waits until a message shows one of these states.
    pub async fn reaches(&self, id: &str, states: &[&str]) -> Value {
        let begun = Instant::now();
        loop {
            let message = self.message(id).await;
            if states.contains(&message["state"].as_str().unwrap()) {
                return message;
            }
            assert!(begun.elapsed() < LONG, "not {states:?}: {message}\n{}", self.tail());
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    /// The end of the program's log, for explanations.
    pub fn tail(&self) -> String {
        let log = self.program.log();
        let from = log.char_indices().rev().nth(4_000).map_or(0, |(at, _)| at);
        log[from..].to_owned()
    }

    /// Customers 0 to `n` write once; waits until all of it is stored.
    pub async fn open_windows(&self, n: usize) {
        let mut ids = Vec::new();
        for i in 0..n {
            let hello = CustomerMessage::text(&phone(i), &format!("Customer {i}"), "hello");
            ids.push(self.graph.customer_sends(hello).await.unwrap());
        }
        eventually(LONG, "the greetings are stored", || async {
            let known = self.by_wamid().await;
            ids.iter().all(|id| known.contains_key(id)).then_some(())
        })
        .await;
    }

    /// Waits until every message of `ids` was taken by WhatsApp and nothing waits to be sent.
    pub async fn all_sent(&self, ids: &[String], limit: Duration) {
        let begun = Instant::now();
        loop {
            let sent = self.graph.sent_messages();
            let taken: std::collections::HashSet<&str> = sent.iter().filter_map(|s| s.opaque.as_deref()).collect();
            let missing = ids.iter().filter(|id| !taken.contains(id.as_str())).count();
            if missing == 0 && self.waiting("send").await == 0 {
                return;
            }
            assert!(
                begun.elapsed() < limit,
                "{missing} not sent, {} jobs wait\n{}",
                self.waiting("send").await,
                self.tail()
            );
            tokio::time::sleep(Duration::from_millis(40)).await;
        }
    }

    /// Jobs of a kind that wait.
    pub async fn waiting(&self, kind: &str) -> i64 {
        let status = self.status().await;
        status["jobs"].as_array().unwrap().iter().find(|j| j[0] == kind).map_or(0, |j| j[1].as_i64().unwrap())
    }

    /// Nothing was sent twice.
    pub fn nothing_doubled(&self) {
        let stats = self.graph.stats();
        assert_eq!((stats.duplicates_by_opaque, stats.sends_without_opaque), (0, 0), "a message was sent twice");
        for (object, property) in
            [("communications", "ponte_message_id"), ("contacts", "ponte_id"), ("contacts", "ponte_wa_id")]
        {
            let doubles = self.hubspot.duplicates(object, property).unwrap();
            assert_eq!(doubles.sharing, 0, "{object} doubled: {doubles:?}");
        }
    }

    /// Waits until HubSpot has exactly these messages, each once and with its last status, and no job waits.
    pub async fn crm_has(&self, ids: &[String], limit: Duration) {
        let begun = Instant::now();
        loop {
            let there = self.in_crm();
            let missing: Vec<&String> = ids.iter().filter(|id| !there.contains_key(id.as_str())).collect();
            if missing.is_empty() && self.waiting("crm").await == 0 {
                break;
            }
            assert!(
                begun.elapsed() < limit,
                "{} not in the CRM: {:?}\n{}",
                missing.len(),
                missing.first(),
                self.tail()
            );
            tokio::time::sleep(Duration::from_millis(40)).await;
        }
        self.nothing_doubled();
    }

    /// `ponte_status` of every message in HubSpot.
    pub fn in_crm(&self) -> HashMap<String, String> {
        let read = |r: &hubspot::Record, name: &str| r.properties.get(name).cloned();
        self.hubspot
            .communications()
            .iter()
            .filter_map(|r| Some((read(r, "ponte_message_id")?, read(r, "ponte_status").unwrap_or_default())))
            .collect()
    }
}

/// Asks a program's API; status and body (null when there is none).
pub async fn ask(
    program: &Program,
    method: &str,
    path: &str,
    body: Option<&Value>,
    more: &[(&str, &str)],
) -> (u16, Value) {
    let bytes = body.map(ToString::to_string).unwrap_or_default();
    let authorization = format!("Bearer {API_KEY}");
    let mut headers = vec![("authorization", authorization.as_str())];
    if body.is_some() {
        headers.push(("content-type", "application/json"));
    }
    headers.extend(more);
    let answer = request(program.address(), method, path, &headers, bytes.as_bytes()).await.unwrap();
    (answer.status, serde_json::from_slice(&answer.body).unwrap_or(Value::Null))
}
