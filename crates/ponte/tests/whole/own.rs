//! A CRM of one's own beside a bought one: a database, reached by statements of the configuration, in both directions.

use crate::rig::{LONG, Rig, Setup, eventually, phone};
use ponte_simulator::hubspot::DEFAULT_TOKEN;
use ponte_simulator::whatsapp::CustomerMessage;
use ponte_testkit::{Engine, SqliteFile};
use serde_json::{Value, json};

const TABLES: &str = "
    CREATE TABLE customers (id INTEGER PRIMARY KEY, ponte_id TEXT UNIQUE, name TEXT, phone TEXT, email TEXT, city TEXT,
        updated_at TEXT NOT NULL DEFAULT (strftime('%Y-%m-%d %H:%M:%f', 'now')));
    CREATE TABLE whatsapp (ponte_id TEXT PRIMARY KEY, customer INTEGER NOT NULL REFERENCES customers(id), direction TEXT, body TEXT,
        status TEXT, at TEXT);";

fn connection(path: &std::path::Path) -> String {
    format!(
        r#"token = "{DEFAULT_TOKEN}"
[[crm.connections]]
name = "own"
kind = "sql"
product = "Our shop"
url = "sqlite:{path}"
columns = {{ modified = "updated_at", name = "name", phones = ["phone"] }}
fields = [
    {{ name = "name", writable = false }},
    {{ name = "phone", kind = "phone", writable = false }},
    {{ name = "email", kind = "email" }},
    {{ name = "city" }},
]
[crm.connections.statements]
contacts = "SELECT * FROM customers"
create_contact = """INSERT INTO customers (ponte_id, name, phone{{, columns}}) VALUES (:key, :name, :phone{{, values}}) RETURNING id"""
update_contact = """UPDATE customers SET ponte_id = :key, updated_at = strftime('%Y-%m-%d %H:%M:%f', 'now'){{, set}} WHERE id = :id"""
write_message = """INSERT INTO whatsapp VALUES (:key, :contact, :direction, :text, :status, :at)
    ON CONFLICT (ponte_id) DO UPDATE SET body = excluded.body, status = excluded.status"""
[crm.connections.mapping]
name = {{ field = "name", direction = "from_crm" }}
phone = {{ field = "phone", direction = "from_crm" }}
email = "email"
city = "city"
"#,
        path = path.display()
    )
}

async fn person(rig: &Rig, phone: &str) -> Option<Value> {
    let ran = rig.cli(&["contacts", "show", phone, "--json"]).await;
    (ran.code == 0).then(|| ran.json())
}

async fn sync(rig: &Rig) -> Value {
    let ran = rig.cli(&["crm", "sync", "own", "--wait", "--json"]).await;
    assert_eq!(ran.code, 0, "{ran:?}\n{}", rig.tail());
    ran.json()
}

#[tokio::test]
async fn an_own_database_is_written_and_read_like_a_bought_crm_sqlite() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("shop.db");
    let shop = SqliteFile::make(&path, TABLES).await.unwrap();
    let known = phone(3);
    shop.run(&format!("INSERT INTO customers (name, phone, email) VALUES ('Ana Lima', '+{known}', 'ana@x.test')"))
        .await
        .unwrap();
    let mut setup = Setup::on(Engine::Sqlite);
    setup.crm = connection(&path);
    let rig = setup.start().await;
    let checked = rig.cli(&["check", "--json"]).await;
    assert!(checked.out.contains("takes every statement"), "{checked:?}");

    // What is there comes in at first.
    eventually(LONG, "the customer is a person", || async {
        let card = person(&rig, &format!("+{known}")).await?;
        (card["profile"]["fields"]["email"]["v"] == "ana@x.test").then_some(())
    })
    .await;

    // She and a stranger write and are answered: she is found by her number, the stranger is made.
    for n in [3, 4] {
        let said = CustomerMessage::text(&phone(n), &format!("Customer {n}"), &format!("question '{n}'"));
        let wamid = rig.graph.customer_sends(said).await.unwrap();
        rig.stored(&wamid).await;
        for id in rig.texts(&[(phone(n), format!("answer {n}"))]).await {
            rig.reaches(&id, &["read"]).await;
        }
    }
    let rows = "SELECT direction || ' ' || status || ' ' || body || ' ' || c.name FROM whatsapp JOIN customers c ON c.id = customer ORDER BY body";
    let wanted = [
        "outbound read answer 3 Ana Lima",
        "outbound read answer 4 Customer 4",
        "inbound received question '3' Ana Lima",
        "inbound received question '4' Customer 4",
    ];
    eventually(LONG, "the messages with their last status", || async {
        (shop.texts(rows).await.unwrap() == wanted).then_some(())
    })
    .await;
    let count = shop.texts("SELECT CAST(COUNT(ponte_id) AS TEXT) || '/' || COUNT(*) FROM customers").await.unwrap();
    assert_eq!(count, ["2/2"]);

    // Changes go both ways.
    shop.run(&format!("UPDATE customers SET city = 'Porto', updated_at = strftime('%Y-%m-%d %H:%M:%f', 'now') WHERE phone = '+{known}'"))
        .await
        .unwrap();
    sync(&rig).await;
    let card = person(&rig, &format!("+{known}")).await.unwrap();
    assert_eq!(card["profile"]["fields"]["city"]["v"], "Porto", "{card}");
    let id = card["id"].as_str().unwrap();
    assert_eq!(rig.cli(&["contacts", "set", id, "email=ana@example.org"]).await.code, 0);
    eventually(LONG, "the address is in the database", || async {
        let email = shop.texts(&format!("SELECT email FROM customers WHERE ponte_id = '{id}'")).await.unwrap();
        (email == ["ana@example.org"]).then_some(())
    })
    .await;

    // Nothing echoes, and both sides agree.
    let run = sync(&rig).await;
    assert_eq!((&run["created"], &run["changed"]), (&json!(0), &json!(0)), "{run}");
    assert!(run["calls"].as_i64().unwrap() <= 3, "{run}");
    let ran = rig.cli(&["crm", "sync", "own", "--wait", "--json", "--reconcile"]).await;
    assert_eq!((&ran.json()["differed"], &ran.json()["seen"]), (&json!(0), &json!(2)), "{ran:?}");
    assert_eq!(rig.status().await["dead_letters"], json!([]));
}
