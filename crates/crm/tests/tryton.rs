//! A real CRM that nobody here wrote judges the HTTP connector: Tryton, started here on a SQLite file, reached by the description in
//! `examples/crm/tryton.toml`. `PONTE_INTEROP` names a folder for its packages; they are installed there once, in the versions and with
//! the hashes of `interop/tryton/requirements.txt`. Without it the test is left out, and says so.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing, clippy::panic, clippy::result_large_err)]

use ponte_crm::{Http, HttpConfig};
use ponte_domain::crm::{ContactWrite, CrmChange, CrmRecord, MessageWrite, RowResult};
use ponte_domain::error::ErrorClass;
use ponte_domain::ids::{MessageId, PersonId};
use ponte_domain::ports::crm::Crm;
use ponte_domain::status::Stamps;
use ponte_net::{Clock, Egress, EgressConfig};
use serde_json::{Value, json};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::time::Duration;
use tempfile::TempDir;
use uuid::Uuid;

/// A running Tryton; stopped when dropped.
struct Tryton {
    server: Child,
    port: u16,
    _folder: TempDir,
}

impl Drop for Tryton {
    fn drop(&mut self) {
        let _ = self.server.kill();
        let _ = self.server.wait();
    }
}

fn ran(command: &mut Command) {
    let output = command.output().unwrap();
    let (out, err) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "{command:?}\n{out}\n{err}");
}

/// The folder of an environment that has Tryton.
fn installed(folder: &Path) -> PathBuf {
    let lock = Path::new(env!("CARGO_MANIFEST_DIR")).join("interop/tryton/requirements.txt");
    let environment = folder.join("tryton-python");
    let (wanted, stamp) = (std::fs::read_to_string(&lock).unwrap(), environment.join("installed.txt"));
    if !std::fs::read_to_string(&stamp).is_ok_and(|there| there == wanted) {
        ran(Command::new("python3").args(["-m", "venv", "--clear"]).arg(&environment));
        let pip = ["-m", "pip", "install", "--quiet", "--require-hashes", "--only-binary=:all:", "-r"];
        ran(Command::new(environment.join("bin/python")).args(pip).arg(&lock));
        std::fs::write(stamp, wanted).unwrap();
    }
    environment.join("bin")
}

fn started() -> Option<Tryton> {
    let Some(interop) = std::env::var_os("PONTE_INTEROP").map(PathBuf::from) else {
        eprintln!("left out: PONTE_INTEROP names no folder for Tryton's packages");
        return None;
    };
    let programs = installed(&interop);
    let folder = tempfile::Builder::new().prefix("ponte-tryton-").tempdir().unwrap();
    let port = ponte_testkit::free_port().unwrap();
    let (config, password) = (folder.path().join("trytond.conf"), folder.path().join("password"));
    let data = folder.path().join("data");
    std::fs::create_dir(&data).unwrap();
    std::fs::write(data.join("tryton.sqlite"), "").unwrap();
    std::fs::write(&password, "a long secret").unwrap();
    let text = format!("[database]\nuri = sqlite://\npath = {}\n[web]\nlisten = 127.0.0.1:{port}\n", data.display());
    std::fs::write(&config, text).unwrap();
    let mut admin = Command::new(programs.join("trytond-admin"));
    admin.arg("-c").arg(&config).args(["-d", "tryton", "--all", "--email", "a@example.test"]);
    ran(admin.args(["-u", "party", "--activate-dependencies"]).env("TRYTONPASSFILE", &password));
    let mut server = Command::new(programs.join("trytond"));
    server.arg("-c").arg(&config).args(["-d", "tryton"]).stdout(Stdio::null()).stderr(Stdio::null());
    Some(Tryton { server: server.spawn().unwrap(), port, _folder: folder })
}

fn door() -> Egress {
    Egress::new(&EgressConfig { allow_loopback: true, ..EgressConfig::default() }).unwrap()
}

/// The description as it is shipped, with address, user and password of this Tryton.
fn described(tryton: &Tryton, password: &str) -> HttpConfig {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../examples/crm/tryton.toml");
    let table: toml::Table = std::fs::read_to_string(file).unwrap().parse().unwrap();
    let mut described: Value = serde_json::to_value(&table["crm"]["connections"][0]).unwrap();
    let map = described.as_object_mut().unwrap();
    for common in ["name", "kind"] {
        map.remove(common).unwrap();
    }
    map.insert("base_url".into(), json!(format!("http://127.0.0.1:{}/tryton/rpc", tryton.port)));
    map.insert("page".into(), json!(7));
    described["auth"]["user"] = json!("admin");
    described["auth"]["password"] = json!(password);
    serde_json::from_value(described).unwrap()
}

fn connected(tryton: &Tryton, password: &str) -> Http {
    let clock: Clock = Arc::new(|| jiff::Timestamp::now().as_millisecond());
    Http::new(described(tryton, password), door(), clock).unwrap_or_else(|problems| panic!("{problems:#?}"))
}

/// Somebody who works in Tryton, over a session of their own.
struct Clerk<'a>(&'a Tryton, String);

impl<'a> Clerk<'a> {
    async fn new(tryton: &'a Tryton) -> Self {
        let mut clerk = Self(tryton, String::new());
        let answer = clerk.call("common.db.login", json!(["admin", {"password": "a long secret"}, "en"])).await;
        let session = format!("admin:{}:{}", answer[0], answer[1].as_str().unwrap());
        use base64::Engine as _;
        clerk.1 = base64::engine::general_purpose::STANDARD.encode(session);
        clerk
    }

    async fn call(&self, method: &str, params: Value) -> Value {
        let url = format!("http://127.0.0.1:{}/tryton/rpc/", self.0.port);
        let request =
            ponte_net::Request::post("clerk", url).json(&json!({"id": 1, "method": method, "params": params}));
        let session = http::HeaderValue::from_str(&format!("Session {}", self.1)).unwrap();
        let response = door().call(request.unwrap().header(http::header::AUTHORIZATION, session)).await.unwrap();
        let answer: Value = response.json().unwrap();
        assert!(answer.get("error").is_none(), "{method}: {answer}");
        answer["result"].clone()
    }

    async fn party(&self, name: &str, phone: &str) -> String {
        let mechanisms = json!([["create", [{"type": "mobile", "value": phone}]]]);
        let made =
            self.call("model.party.party.create", json!([[{"name": name, "contact_mechanisms": mechanisms}], {}]));
        made.await[0].to_string()
    }
}

fn names() -> Vec<String> {
    ["name", "code", "phone", "email"].map(str::to_owned).into()
}

fn person(n: u128, phone: &str) -> ContactWrite {
    ContactWrite {
        person: PersonId(Uuid::from_u128(n)),
        crm_id: None,
        name: Some(format!("Person {n}")),
        phone: Some(phone.into()),
        wa_id: Some(phone.into()),
        user_id: None,
        username: None,
        last_inbound_at: None,
        fields: Default::default(),
    }
}

fn id(result: &RowResult) -> String {
    match result {
        RowResult::Written { crm_id, .. } => crm_id.clone(),
        RowResult::Failed(error) => panic!("{error:?}"),
    }
}

async fn changed(crm: &Http, mut cursor: String) -> (Vec<CrmChange>, String) {
    let mut all = Vec::new();
    for _ in 0..100 {
        let some = crm.changes(&names(), &cursor).await.unwrap();
        all.extend(some.changes);
        cursor = some.next;
        if !some.more {
            return (all, cursor);
        }
    }
    panic!("reading doesn't end");
}

fn of<'a>(changes: &'a [CrmChange], wanted: &str) -> Option<&'a CrmRecord> {
    changes.iter().rev().find_map(|change| match change {
        CrmChange::Record(record) if record.id == wanted => Some(record),
        _ => None,
    })
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn contacts_and_messages_go_both_ways_between_ponte_and_a_real_tryton() {
    let Some(tryton) = tokio::task::spawn_blocking(started).await.unwrap() else { return };
    let crm = connected(&tryton, "a long secret");
    let mut tries = 0;
    while let Err(error) = crm.check().await {
        assert!(matches!(error.class, ErrorClass::Retryable { .. }), "{error:?}");
        tries += 1;
        assert!(tries < 100, "{error:?}");
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
    let refused = connected(&tryton, "wrong").check().await.unwrap_err();
    assert_eq!(refused.class, ErrorClass::Auth, "{refused:?}");
    let clerk = Clerk::new(&tryton).await;
    let start = crm.cursor_now().await.unwrap();

    // From Tryton: all of it in pages, then what changed, a number that changed among it.
    let ana = clerk.party("Ana", "+34 600 111 222").await;
    for n in 0..20 {
        clerk.party(&format!("Somebody {n}"), &format!("+34 600 222 1{n:02}")).await;
    }
    let (mut all, mut after) = (Vec::new(), None);
    loop {
        let page = crm.contacts_page(&names(), after.as_deref()).await.unwrap();
        all.extend(page.records);
        after = page.next;
        if after.is_none() {
            break;
        }
    }
    assert_eq!(all.len(), 21);
    let (changes, cursor) = changed(&crm, start).await;
    let read = of(&changes, &ana).unwrap();
    assert_eq!((&read.values[0], &read.values[2]), (&json!("Ana"), &json!("+34 600 111 222")));
    assert!(read.modified_at.is_some() && read.person.is_none());
    assert_eq!(crm.read_contacts(&[ana.clone(), "9999".into()], &names()).await.unwrap()[1], None);

    // To Tryton: one is found by her number, one is made; again changes nothing.
    let rows = [person(1, "34600111222"), person(2, "5511987654321")];
    let results = crm.upsert_contacts(&rows).await.unwrap();
    assert_eq!(results[0], RowResult::Written { crm_id: ana.clone(), created: false });
    assert!(matches!(&results[1], RowResult::Written { created: true, .. }), "{results:?}");
    let again = crm.upsert_contacts(&rows).await.unwrap();
    assert_eq!(again.iter().map(id).collect::<Vec<_>>(), results.iter().map(id).collect::<Vec<_>>());
    let count = clerk.call("model.party.party.search_count", json!([[], 0, 100, {}])).await;
    assert_eq!(count, json!(22), "21 and one more");
    let read = crm.read_contacts(&[ana.clone(), id(&results[1])], &names()).await.unwrap();
    let (first, second) = (read[0].as_ref().unwrap(), read[1].as_ref().unwrap());
    assert_eq!((first.person, &first.values[0]), (Some(rows[0].person), &json!("Ana")), "she keeps her name");
    assert_eq!((second.person, &second.values[2]), (Some(rows[1].person), &json!("+5511987654321")));

    // A mapped field, once she is linked.
    let fields = [("name".to_owned(), json!("Ana \"d'Ávila\" {{ 7 * 7 }}"))].into();
    let linked = ContactWrite { crm_id: Some(ana.clone()), fields, ..rows[0].clone() };
    crm.upsert_contacts(std::slice::from_ref(&linked)).await.unwrap();
    let party = clerk
        .call("model.party.party.read", json!([[ana.parse::<i64>().unwrap()], ["name", "identifiers.code"], {}]))
        .await;
    assert_eq!(party[0]["name"], "Ana \"d'Ávila\" {{ 7 * 7 }}");
    assert_eq!(party[0]["identifiers."].as_array().unwrap().len(), 1, "our id stands there once");

    // Messages: one attachment each, whose status changes in place; an uncertain one is found.
    let mut message = MessageWrite {
        message: MessageId(Uuid::from_u128(77)),
        crm_id: None,
        uncertain: false,
        contact_crm_id: ana.clone(),
        inbound: false,
        kind: "text".into(),
        text: Some("Your parcel is on its way. \"100 %\" sure\nBye".into()),
        at: 1_795_401_000_000,
        stamps: Stamps::default(),
        error: None,
        withdrawn: false,
        edited: false,
    };
    let made = id(&crm.write_messages(std::slice::from_ref(&message)).await.unwrap()[0]);
    (message.uncertain, message.stamps.delivered) = (true, Some(1_795_401_002_000));
    assert_eq!(id(&crm.write_messages(std::slice::from_ref(&message)).await.unwrap()[0]), made);
    (message.crm_id, message.stamps.read) = (Some(made.clone()), Some(1_795_401_003_000));
    crm.write_messages(std::slice::from_ref(&message)).await.unwrap();
    let fields = json!([[], 0, 100, null, ["description", "resource"], {}]);
    let there = clerk.call("model.ir.attachment.search_read", fields).await;
    assert_eq!(there.as_array().unwrap().len(), 1, "{there}");
    let text = there[0]["description"].as_str().unwrap();
    assert!(text.contains("\"100 %\" sure\nBye") && text.contains("Status: read"), "{text}");
    assert_eq!(there[0]["resource"], format!("party.party,{ana}"));

    // What is gone.
    let lost = MessageWrite {
        message: MessageId(Uuid::from_u128(78)),
        crm_id: None,
        uncertain: false,
        contact_crm_id: "9999".into(),
        ..message
    };
    let results = crm.write_messages(&[lost]).await.unwrap();
    assert!(
        matches!(&results[0], RowResult::Failed(e) if e.class == ErrorClass::Gone && e.code == "contact_gone"),
        "{results:?}"
    );
    let gone = ContactWrite { crm_id: Some("9999".into()), ..linked };
    let results = crm.upsert_contacts(&[gone]).await.unwrap();
    assert!(matches!(&results[0], RowResult::Failed(e) if e.class == ErrorClass::Gone), "{results:?}");

    // From Tryton again: a number, a merge, an archived party.
    let number = clerk
        .call(
            "model.party.contact_mechanism.search",
            json!([[["party", "=", ana.parse::<i64>().unwrap()]], 0, 1, null, {}]),
        )
        .await;
    clerk.call("model.party.contact_mechanism.write", json!([[number[0]], {"value": "+34600999888"}, {}])).await;
    let other = clerk.party("Ana, twice", "+34600111333").await;
    let (one, two) = (ana.parse::<i64>().unwrap(), other.parse::<i64>().unwrap());
    // Tryton's own way of merging: its wizard, which wants both to have the same name.
    clerk.call("model.party.party.write", json!([[two], {"name": "Ana \"d'Ávila\" {{ 7 * 7 }}"}, {}])).await;
    let wizard = clerk.call("wizard.party.replace.create", json!([{}])).await;
    let context = json!({"active_model": "party.party", "active_id": two, "active_ids": [two]});
    let asked = json!({"ask": {"source": two, "destination": one}});
    clerk.call("wizard.party.replace.execute", json!([wizard[0], asked, "replace", context])).await;
    let third = clerk.party("Nobody", "+34600111444").await;
    clerk.call("model.party.party.write", json!([[third.parse::<i64>().unwrap()], {"active": false}, {}])).await;
    let (changes, _) = changed(&crm, cursor).await;
    assert_eq!(of(&changes, &ana).unwrap().values[2], json!("+34600999888"));
    assert!(changes.contains(&CrmChange::Merged { from: other.clone(), into: ana.clone() }), "{changes:?}");
    assert!(changes.contains(&CrmChange::Gone { id: third.clone() }));
    let read = crm.read_contacts(&[other, third], &names()).await.unwrap();
    assert_eq!((read[0].as_ref().map(|r| r.id.clone()), &read[1]), (Some(ana), &None));
}
