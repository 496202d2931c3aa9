//! Configuration: every error at once, each with its mend; environment over file; secrets from outside and never shown.

use crate::rig::{ACCESS_TOKEN, APP_SECRET, LONG, Setup, VERIFY_TOKEN, eventually, options, phone, ponte, port, url};
use ponte_simulator::hubspot::HubSpot;
use ponte_simulator::whatsapp::{Simulator, WebhookTarget};
use ponte_testkit::{Program, TestDatabase};
use serde_json::Value;

#[tokio::test]
async fn every_error_is_told_at_once_with_its_mend() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("ponte.toml");
    let config = r#"
[server]
listen = "nowhere"
[database]
url = "mysql://someone@localhost/x"
[lag]
level = "info"
[whatsapp]
version = "v12"
base_url = "graph.facebook.com"
[[whatsapp.apps]]
name = "main"
app_secrets = ["env:PONTE_TEST_NOT_SET"]
verify_token = ""
[[whatsapp.numbers]]
phone_number_id = "1"
waba_id = "2"
access_token = "file:/no/such/file"
per_second = 0
[[whatsapp.numbers]]
phone_number_id = "1"
waba_id = "2"
access_token = "t"
colour = "red"
[dispatch]
cpu_ceiling = 7.0
unknown_settle_ms = 1
[contacts]
merge_from = 100
review_from = 0
[contacts.survivorship_of]
"First Name" = "newest"
[[api.keys]]
name = "shop"
token = "short"
[[crm.connections]]
name = "Hub Spot"
kind = "hubspot"
[[crm.connections]]
name = "sales"
kind = "salesfarce"
token = "t"
[[crm.connections]]
name = "books"
kind = "zoho"
data_centre = "uk"
client_id = "1000.X"
client_secret = "env:PONTE_TEST_NOT_SET"
refresh_token = "r"
concurrency = 99
messages = "mail"
run_workflows = "sometimes"
phone_fields = ["Mobile Phone"]
notification_token = "short"
api_url = "www.zohoapis.eu"
"#;
    std::fs::write(&path, config).unwrap();
    let env = [("PONTE__SERVER__LISTN", "x"), ("PONTE__JOURNAL__RETENTION_DAYS", "many")];
    for command in ["serve", "check", "status"] {
        let ran = ponte(&[command, "--config", path.to_str().unwrap()], folder.path(), &env).await;
        assert_ne!(ran.code, 0);
        for (place, mend) in [
            ("[server]", ""),
            ("[database] url", "write sqlite:"),
            ("[lag]", "there is no such section"),
            ("[contacts] merge_from", "give 800 to 1000"),
            ("[contacts] review_from", "give 1 to what merge_from says"),
            ("[contacts.survivorship_of]", "write 1 to 64 of a-z"),
            ("[whatsapp] version", "write v26.0"),
            ("[whatsapp] base_url", "write https://graph.facebook.com"),
            ("PONTE_TEST_NOT_SET", "before starting"),
            ("verify_token", "give the secret"),
            ("/no/such/file", "make the file readable"),
            ("per_second", "give at least 1"),
            ("[[whatsapp.numbers]] number 2", "colour"),
            ("[dispatch] cpu_ceiling", "write 0.70"),
            ("[dispatch] unknown_look_ms", "5000, 60000"),
            ("[[api.keys]] shop", "openssl rand"),
            ("[[crm.connections]] Hub Spot", "rename it"),
            ("exactly one of token and oauth", "service key"),
            ("[[crm.connections]] sales:", "salesfarce"),
            ("[[crm.connections]] books data_centre", "write us, eu"),
            ("[[crm.connections]] books client_secret", "set PONTE_TEST_NOT_SET"),
            ("[[crm.connections]] books concurrency", "give 1 to 25"),
            ("[[crm.connections]] books messages", "write auto, module or notes"),
            ("[[crm.connections]] books run_workflows", "write never, messages or always"),
            ("[[crm.connections]] books phone_fields", "API names"),
            ("[[crm.connections]] books notification_token", "openssl rand -hex 20"),
            ("[[crm.connections]] books api_url", "write https://"),
            ("PONTE__SERVER__LISTN", "there is no setting"),
            ("PONTE__JOURNAL__RETENTION_DAYS", "integer"),
        ] {
            assert!(
                ran.err.contains(place) && ran.err.contains(mend),
                "{command}: {place} / {mend} missing in:\n{}",
                ran.err
            );
        }
        assert!(!ran.err.contains("short\""), "what stands for a secret is not repeated");
    }
    let missing = ponte(&["serve", "--config", "/no/such.toml"], folder.path(), &[]).await;
    assert!(missing.code != 0 && missing.err.contains("/no/such.toml"), "{missing:?}");
    std::fs::write(&path, "[server\nlisten=").unwrap();
    let broken = ponte(&["serve", "--config", path.to_str().unwrap()], folder.path(), &[]).await;
    assert!(broken.code != 0 && broken.err.contains("correct the TOML"), "{broken:?}");
}

#[tokio::test]
async fn the_documented_defaults_are_the_defaults() {
    let folder = tempfile::tempdir().unwrap();
    let defaults = ponte(&["defaults"], folder.path(), &[]).await;
    assert_eq!(defaults.code, 0);
    let table: toml::Table = defaults.out.parse().unwrap();
    assert_eq!(table["server"]["listen"].as_str(), Some("127.0.0.1:8080"));
    // Given back as a configuration it is accepted, and gives a working database.
    let path = folder.path().join("ponte.toml");
    std::fs::write(&path, &defaults.out).unwrap();
    for args in [&["migrate", "--config", path.to_str().unwrap()][..], &["migrate"][..]] {
        let migrated = ponte(args, folder.path(), &[]).await;
        assert_eq!(migrated.code, 0, "{migrated:?}");
    }
    assert!(folder.path().join("ponte-data/ponte.db").exists());
    // Every documented setting has a reason beside it.
    let mut commented = false;
    for line in defaults.out.lines() {
        let is_setting = line.contains(" = ") && !line.starts_with('#');
        assert!(!is_setting || commented, "no word about {line}");
        // A comment may stand for the settings right below it.
        commented = line.starts_with('#') || (is_setting && commented);
    }
    let help = ponte(&["--help"], folder.path(), &[]).await;
    for command in [
        "serve",
        "demo",
        "simulate",
        "send",
        "replay",
        "journal",
        "events",
        "messages",
        "dead-letters",
        "consent",
        "migrate",
        "status",
        "check",
    ] {
        assert!(help.out.contains(command), "{command} missing in {}", help.out);
    }
}

#[tokio::test]
async fn environment_goes_over_the_file_and_secrets_come_from_outside() {
    let setup = Setup::sqlite();
    let graph = Simulator::start(setup.whatsapp.clone()).await.unwrap();
    let hubspot = HubSpot::start(setup.hubspot.clone()).await.unwrap();
    let db = TestDatabase::sqlite().unwrap();
    let secrets = tempfile::tempdir().unwrap();
    let file = secrets.path().join("token");
    // Editors end files with a line.
    std::fs::write(&file, format!("{ACCESS_TOKEN}\nnot this\n")).unwrap();
    let port = port();
    let config = setup
        .config(1, &url(db.place()), &graph, &hubspot)
        .replace(&format!("\"{ACCESS_TOKEN}\""), &format!("\"file:{}\"", file.display()))
        .replace(&format!("\"{APP_SECRET}\""), "\"env:TEST_APP_SECRET\"")
        .replace(&format!("\"{VERIFY_TOKEN}\""), "\"env:TEST_VERIFY\"")
        .replace("\"sim-static-token\"", "\"env:TEST_HUBSPOT\"");
    assert!(!config.contains(ACCESS_TOKEN) && !config.contains("sim-static-token"));
    let env = [
        ("TEST_APP_SECRET", APP_SECRET),
        ("TEST_VERIFY", VERIFY_TOKEN),
        ("TEST_HUBSPOT", "sim-static-token"),
        ("PONTE__SERVER__LISTEN", &format!("127.0.0.1:{port}")),
        ("PONTE__LOG__LEVEL", "trace"),
        ("PONTE__DISPATCH__START_PER_SECOND", "60"),
        ("PONTE__WHATSAPP__SEND_TIMEOUT_MS", "2000"),
        ("PONTE__EGRESS__ALLOW_PRIVATE", "[\"127.0.0.0/8\"]"),
    ];
    let own = env.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect();
    let program = Program::start(options(port, config, own)).await.unwrap();
    graph.set_webhook(WebhookTarget {
        url: format!("http://127.0.0.1:{port}/webhooks/whatsapp"),
        verify_token: VERIFY_TOKEN.into(),
    });
    let rig = crate::rig::Rig { program, graph, hubspot, db };
    rig.open_windows(2).await;
    let id = rig.text(&phone(0), "with secrets from outside").await;
    rig.reaches(&id, &["read"]).await;
    rig.crm_has(&[id], LONG).await;
    // An error is logged too: a wrong token at WhatsApp and a wrong signature.
    rig.graph.set_faults(ponte_simulator::whatsapp::Faults { errors: [(190, 1.0)].into(), ..Default::default() });
    rig.text(&phone(1), "refused").await;
    crate::rig::deliver_signed(&rig.program, b"{}", "wrong").await;
    eventually(LONG, "the refusal is logged", || async { rig.program.log().contains("a send failed").then_some(()) })
        .await;
    let config = rig.config();
    for command in [&["check", "--json"][..], &["status"][..], &["messages"][..]] {
        let args: Vec<&str> = command.iter().copied().chain(["--config", &config]).collect();
        let ran = ponte(&args, rig.program.folder(), &env).await;
        assert!(ran.code == 0 || command[0] == "check", "{ran:?}");
        shows_no_secret(&format!("{} {}", ran.out, ran.err));
    }
    let log = rig.program.log();
    assert!(log.contains("TRACE"), "the level of the environment holds");
    shows_no_secret(&log);
}

fn shows_no_secret(text: &str) {
    for secret in [ACCESS_TOKEN, APP_SECRET, VERIFY_TOKEN, "sim-static-token", crate::rig::API_KEY] {
        if let Some(at) = text.find(secret) {
            let start = text[..at].rfind('\n').map_or(0, |n| n + 1);
            panic!("{secret} is shown: {}", &text[start..(at + secret.len() + 200).min(text.len())]);
        }
    }
}

#[tokio::test]
async fn check_says_what_is_wrong_and_how_to_mend_it() {
    let rig = Setup::sqlite().start().await;
    let good = rig.cli(&["check", "--json"]).await;
    let report = good.json();
    assert_eq!((good.code, &report["ok"]), (0, &Value::Bool(true)), "{report}");
    let findings = report["findings"].as_array().unwrap();
    for what in ["configuration", "database", "number 106540352242922", "number 106540352242933", "CRM hubspot"] {
        let finding =
            findings.iter().find(|f| f["what"] == what).unwrap_or_else(|| panic!("{what} missing in {report}"));
        assert_eq!(finding["state"], "ok", "{finding}");
        assert!(!finding["why"].as_str().unwrap().is_empty());
    }
    let failed = |report: &Value| -> Vec<(String, String)> {
        let all = report["findings"].as_array().unwrap().iter().filter(|f| f["state"] == "failed");
        all.map(|f| (f["what"].as_str().unwrap().to_owned(), f["mend"].as_str().unwrap().to_owned())).collect()
    };

    // A wrong token.
    let text = std::fs::read_to_string(rig.config()).unwrap();
    let other = rig.program.folder().join("wrong.toml");
    std::fs::write(&other, text.replace(ACCESS_TOKEN, "expired").replace("sim-static-token", "revoked")).unwrap();
    let ran = ponte(&["check", "--json", "--config", other.to_str().unwrap()], rig.program.folder(), &[]).await;
    let wrong = failed(&ran.json());
    assert_eq!((ran.code, wrong.len()), (1, 3), "{ran:?}");
    assert!(wrong.iter().all(|(_, mend)| mend.contains("token")), "{wrong:?}");
    let people = ponte(&["check", "--config", other.to_str().unwrap()], rig.program.folder(), &[]).await;
    assert!(people.code == 1 && people.out.contains("FAILED") && people.out.contains("mend:"), "{people:?}");

    // Nobody there.
    let gone = format!("127.0.0.1:{}", port());
    std::fs::write(&other, text.replace(&rig.graph.addr().to_string(), &gone)).unwrap();
    let ran = ponte(&["check", "--json", "--config", other.to_str().unwrap()], rig.program.folder(), &[]).await;
    assert_eq!((ran.code, failed(&ran.json()).len()), (1, 2), "{ran:?}");

    // No database.
    std::fs::write(&other, text.replace("sqlite:/", "sqlite:/proc/no/")).unwrap();
    let ran = ponte(&["check", "--json", "--config", other.to_str().unwrap()], rig.program.folder(), &[]).await;
    let wrong = failed(&ran.json());
    assert_eq!(ran.code, 1);
    assert!(wrong.iter().any(|(what, _)| what == "database"), "{ran:?}");
}

/// Without apps nothing can be received; the program still starts, says so, and sends.
#[tokio::test]
async fn a_server_without_apps_starts_and_refuses_every_webhook() {
    let mut setup = Setup::sqlite().no_crm();
    setup.apps = String::new();
    let rig = setup.start().await;
    let refused = crate::rig::deliver(&rig.program, b"{}").await;
    assert_eq!(refused.status, 401);
    assert!(rig.program.log().contains("every webhook will be refused"), "{}", rig.program.log());
    let template =
        serde_json::json!({"type": "template", "template": {"name": "hello_world", "language": {"code": "en_US"}}});
    let (status, queued) = rig.send(serde_json::json!({"to": {"phone": "+491511100"}, "message": template})).await;
    assert_eq!(status, 202, "{queued}");
    rig.reaches(queued["id"].as_str().unwrap(), &["accepted"]).await;
}
