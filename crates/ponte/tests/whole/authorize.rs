//! Authorisation of CRM connections by a person: over the server's callback, over a port of the command line, by pasting; refused,
//! repeated, revoked, withdrawn. What was granted stands in no log and nowhere in clear.

use crate::rig::{LONG, Rig, Setup, eventually, phone, port};
use ponte_simulator::salesforce::{self, Salesforce};
use ponte_simulator::whatsapp::CustomerMessage;
use ponte_simulator::zoho::{self, Zoho};
use ponte_testkit::http::{Answer, request};
use ponte_testkit::{Engine, Place};
use serde_json::Value;
use std::net::SocketAddr;
use std::process::Stdio;
use tokio::io::{AsyncBufReadExt, BufReader};

const KEY: &str = "\"MDEyMzQ1Njc4OTAxMjM0NTY3ODkwMTIzNDU2Nzg5MDE=\"";

/// What a browser does with an address: the answer, redirects not followed.
async fn visit(address: &str, language: &str) -> Answer {
    let (host, path) = address.strip_prefix("http://").unwrap().split_once('/').unwrap();
    let to: SocketAddr = host.parse().unwrap();
    request(to, "GET", &format!("/{path}"), &[("accept-language", language)], b"").await.unwrap()
}

fn header<'a>(answer: &'a Answer, name: &str) -> &'a str {
    let mut lines = answer.head.lines().filter_map(|l| l.split_once(": "));
    lines.find(|(n, _)| n.eq_ignore_ascii_case(name)).map_or("", |(_, v)| v)
}

/// The person opens the address and agrees: where the CRM sends them.
async fn agree(url: &str) -> String {
    let answer = visit(url, "en").await;
    assert_eq!(answer.status, 302, "{}", answer.text());
    header(&answer, "location").to_owned()
}

fn hubspot(engine: Engine) -> Setup {
    let mut setup = Setup::on(engine).set("server", "public_url", "\"{own}\"").set("secrets", "key", KEY);
    setup.crm = "oauth = { client_id = \"sim-client\", client_secret = \"sim-client-secret\" }".into();
    setup.hubspot.oauth.redirect_uri = "{own}/oauth/crm/hubspot/callback".into();
    setup
}

async fn standing(rig: &Rig) -> Value {
    rig.api("GET", "/api/v1/crm/hubspot", None).await.1["authorisation"].clone()
}

async fn begin(rig: &Rig) -> String {
    let (status, begun) = rig.api("POST", "/api/v1/crm/hubspot/authorize", None).await;
    assert_eq!(status, 200, "{begun}");
    begun["url"].as_str().unwrap().to_owned()
}

async fn says(rig: &Rig, n: usize) {
    rig.graph.customer_sends(CustomerMessage::text(&phone(n), "Ana", "hello")).await.unwrap();
}

async fn written(rig: &Rig, n: usize) {
    eventually(LONG, "the messages are in HubSpot", || async { (rig.in_crm().len() == n).then_some(()) }).await;
}

/// The bytes of a SQLite database and its log.
fn file(rig: &Rig) -> Vec<u8> {
    let Place::Sqlite(path) = rig.db.place() else { return Vec::new() };
    let log = format!("{}-wal", path.display());
    [std::fs::read(path).unwrap(), std::fs::read(log).unwrap_or_default()].concat()
}

fn holds(bytes: &[u8], part: &str) -> bool {
    bytes.windows(part.len()).any(|w| w == part.as_bytes())
}

async fn granted_revoked_and_granted_again(engine: Engine) {
    let rig = hubspot(engine).start().await;
    says(&rig, 1).await;
    assert_eq!(standing(&rig).await["state"], "unauthorised");
    let check = rig.cli(&["check"]).await;
    assert!(check.code != 0 && check.out.contains("ponte crm authorize hubspot"), "{check:?}");
    assert!(rig.cli(&["crm", "list"]).await.out.contains("UNAUTHORISED"));
    assert!(rig.hubspot.stats().requests.is_empty(), "nothing was asked: {:?}", rig.hubspot.stats().requests);

    let back = agree(&begin(&rig).await).await;
    let wrong = back.replace("state=", "state=x");
    let page = visit(&wrong, "zh-TW").await;
    assert_eq!((page.status, page.text().contains("請重新開始")), (400, true), "a wrong state spoils nothing");
    let page = visit(&back, "pt-BR,en;q=0.5").await;
    assert_eq!((page.status, page.text().contains("Conectado")), (200, true), "{}", page.text());
    assert!(header(&page, "content-security-policy").starts_with("default-src 'none'"), "{}", page.head);
    assert_eq!(header(&page, "cache-control"), "no-store");
    assert_eq!(visit(&back, "en").await.status, 400, "a state is good once");
    written(&rig, 1).await;

    // Somebody disconnects the app at HubSpot.
    rig.hubspot.revoke_tokens();
    says(&rig, 2).await;
    eventually(LONG, "the revocation is told", || async {
        standing(&rig).await["refused_at"].is_number().then_some(())
    })
    .await;
    let list = rig.cli(&["crm", "list"]).await.out;
    assert!(list.contains("revoked") && list.contains("ponte crm authorize hubspot"), "{list}");
    assert_eq!(rig.program.log().matches("no longer takes what was granted").count(), 1, "said once");
    // What was under way has ended by then.
    tokio::time::sleep(std::time::Duration::from_millis(500)).await;
    let asked = rig.hubspot.stats().requests.values().sum::<u64>();
    tokio::time::sleep(std::time::Duration::from_millis(1_500)).await;
    assert_eq!(rig.hubspot.stats().requests.values().sum::<u64>(), asked, "a connection that waits asks nothing");

    // Begun and ended by hand.
    let begun = rig.cli(&["crm", "authorize", "hubspot", "--no-wait", "--json"]).await.json();
    let back = agree(begun["url"].as_str().unwrap()).await;
    let done = rig.cli(&["crm", "authorize", "hubspot", "--code", &back, "--json"]).await;
    assert_eq!(done.code, 0, "{done:?}");
    assert_eq!(done.json()["missing_scopes"], serde_json::json!([]));
    written(&rig, 2).await;
    assert_eq!(rig.status().await["dead_letters"], serde_json::json!([]));

    let log = rig.program.log();
    let state = back.split("state=").nth(1).unwrap();
    for secret in ["sim-code", "sim-refresh", "sim-access", "sim-client-secret", state] {
        assert!(!log.contains(secret), "{secret} is in the log");
        assert!(!holds(&file(&rig), secret), "{secret} is in the database in clear");
    }

    let gone = rig.cli(&["crm", "deauthorize", "hubspot", "--json"]).await;
    assert_eq!(gone.json()["withdrawn"], true, "{gone:?}");
    assert_eq!(rig.hubspot.stats().requests["POST oauth/token/revoke"], 1);
    assert_eq!(standing(&rig).await, serde_json::json!({"state": "unauthorised", "refused_at": null}));
}

#[tokio::test]
async fn a_connection_waits_until_it_is_authorised_and_again_after_it_was_revoked_sqlite() {
    Box::pin(granted_revoked_and_granted_again(Engine::Sqlite)).await;
}

#[tokio::test]
async fn a_connection_waits_until_it_is_authorised_and_again_after_it_was_revoked_postgres() {
    Box::pin(granted_revoked_and_granted_again(Engine::Postgres)).await;
}

#[tokio::test]
async fn who_says_no_gets_a_page_and_nothing_changes() {
    let mut setup = hubspot(Engine::Sqlite);
    setup.hubspot.oauth.refuse_consent = true;
    let rig = setup.start().await;
    let back = agree(&begin(&rig).await).await;
    let page = visit(&back, "en").await;
    assert_eq!((page.status, page.text().contains("Not allowed")), (403, true), "{}", page.text());
    assert_eq!(standing(&rig).await["state"], "unauthorised");
    assert_eq!(visit(&back, "en").await.status, 400, "that state is used");
    let old = begin(&rig).await;
    begin(&rig).await;
    assert_eq!(visit(&agree(&old).await, "en").await.status, 400, "beginning again ends what was begun before");
    let unknown = request(rig.program.address(), "POST", "/api/v1/crm/hubspot/authorize", &[], b"").await.unwrap();
    assert_eq!(unknown.status, 401);
}

#[tokio::test]
async fn scopes_that_were_not_granted_are_named() {
    let mut setup = hubspot(Engine::Sqlite);
    assert_eq!(setup.hubspot.oauth.scopes.pop().as_deref(), Some("crm.schemas.contacts.write"));
    let rig = setup.start().await;
    let page = visit(&agree(&begin(&rig).await).await, "en").await;
    assert_eq!((page.status, page.text().contains("crm.schemas.contacts.write")), (200, true), "{}", page.text());
    let audit = rig.cli(&["audit", "--json"]).await.out;
    assert!(audit.contains("crm.authorize") && audit.contains("crm.schemas.contacts.write"), "{audit}");
}

fn program(connection: &str, kind: &str, lines: &str) -> Setup {
    let mut setup = Setup::sqlite().no_crm().set("egress", "allow_private", "[\"127.0.0.0/8\"]");
    setup.apps.push_str(&format!("[[crm.connections]]\nname = \"{connection}\"\nkind = \"{kind}\"\n{lines}\n"));
    setup
}

/// `ponte crm authorize` on a port of this machine, with a person at the browser; what it says last.
async fn at_this_machine(rig: &Rig, connection: &str, port: u16) -> Value {
    let mut command = tokio::process::Command::new(env!("CARGO_BIN_EXE_ponte"));
    let config = rig.config();
    command.args(["--config", &config, "crm", "authorize", connection, "--json", "--port", &port.to_string()]);
    let mut child = command.stdout(Stdio::piped()).kill_on_drop(true).spawn().unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
    let begun: Value = serde_json::from_str(&lines.next_line().await.unwrap().unwrap()).unwrap();
    let back = agree(begun["url"].as_str().unwrap()).await;
    assert_eq!(visit(&back.replace("state=", "state=x"), "en").await.status, 400);
    let page = visit(&back, "en").await;
    assert_eq!((page.status, page.text().contains("Connected")), (200, true), "{}", page.text());
    let done = lines.next_line().await.unwrap().unwrap();
    assert!(child.wait().await.unwrap().success(), "{done}");
    serde_json::from_str(&done).unwrap()
}

#[tokio::test]
async fn salesforce_is_authorised_with_a_proof_key_on_this_machine_and_goes_on_after_a_restart() {
    let port = port();
    let mut config = salesforce::Config::default();
    config.oauth.redirect_uri = format!("http://127.0.0.1:{port}/callback");
    let org = Salesforce::start(config).await.unwrap();
    let lines = format!(
        "login_url = \"{}\"\noauth = {{ client_id = \"sim-client\", client_secret = \"sim-client-secret\" }}",
        org.base_url()
    );
    let mut rig = program("sales", "salesforce", &lines).start().await;
    let done = at_this_machine(&rig, "sales", port).await;
    assert_eq!((&done["works"], &done["missing_scopes"]), (&Value::Bool(true), &serde_json::json!([])), "{done}");
    // Its refresh tokens rotate: the newest one is kept.
    rig.program.terminate(LONG).await.unwrap();
    rig.program.restart().await.unwrap();
    says(&rig, 1).await;
    eventually(LONG, "the message is in Salesforce", || async { (org.records("Task").len() == 1).then_some(()) }).await;
    let gone = rig.cli(&["crm", "deauthorize", "sales", "--json"]).await;
    assert_eq!(gone.json()["withdrawn"], true, "{gone:?}");
}

#[tokio::test]
async fn zoho_is_authorised_in_a_browser_and_by_a_code_of_the_console() {
    let port = port();
    let mut config = zoho::Config::default();
    config.oauth.redirect_uri = format!("http://127.0.0.1:{port}/callback");
    let zoho = Zoho::start(config).await.unwrap();
    let lines = format!(
        "data_centre = \"us\"\naccounts_url = \"{0}\"\napi_url = \"{0}\"\nclient_id = \"1000.SIMCLIENT\"\n\
         client_secret = \"sim-client-secret\"",
        zoho.base_url()
    );
    let rig = program("zoho", "zoho", &lines).start().await;
    let done = at_this_machine(&rig, "zoho", port).await;
    assert_eq!(done["works"], true, "{done}");
    let gone = rig.cli(&["crm", "deauthorize", "zoho", "--json"]).await;
    assert_eq!(gone.json()["withdrawn"], true, "{gone:?}");
    let done = rig.cli(&["crm", "authorize", "zoho", "--code", "1000.sim-code", "--json"]).await;
    assert_eq!(done.json()["works"], true, "{done:?}");
    let again = rig.cli(&["crm", "authorize", "zoho", "--code", "1000.sim-code"]).await;
    assert!(again.code != 0 && again.err.contains("doesn't take this code"), "{again:?}");
}
