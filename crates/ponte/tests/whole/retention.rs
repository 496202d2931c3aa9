//! Retention from outside: what is older than its period goes by itself, or at once by the command; the rest stays.

use crate::desk::Desk;
use crate::rig::{LONG, Rig, Setup, eventually, phone};
use ponte_simulator::whatsapp::{CustomerKind, CustomerMessage};
use ponte_testkit::{Engine, Raw, TestDatabase, both_engines};
use serde_json::Value;

const DAYS_60: i64 = 60 * 86_400_000;

/// A picture of 60 days ago and a text of today, both stored.
async fn old_and_new(engine: Engine) -> Rig {
    // Kept for ever while the past is made; the periods are for whoever reads the file next.
    let mut setup = Setup::on(engine).no_crm();
    for kind in ["content_days", "journal_days", "events_days"] {
        setup = setup.set("retention", kind, "0");
    }
    let rig = setup.start().await;
    let kind = CustomerKind::Image { caption: Some("an old caption".into()) };
    rig.graph.customer_sends(CustomerMessage::from_phone(&phone(1), "Ana", kind)).await.unwrap();
    eventually(LONG, "the picture is stored", || async {
        rig.messages().await.iter().any(|m| m["media_key"].is_string()).then_some(())
    })
    .await;
    let mut raw = Raw::connect(&rig.db).await.unwrap();
    raw.execute(&format!("UPDATE message SET created_at = created_at - {DAYS_60}, at = at - {DAYS_60}")).await.unwrap();
    raw.execute(&format!("UPDATE journal SET received_at = received_at - {DAYS_60}")).await.unwrap();
    let hello = CustomerMessage::text(&phone(2), "Bea", "a new text");
    let id = rig.graph.customer_sends(hello).await.unwrap();
    rig.stored(&id).await;
    let config = std::fs::read_to_string(rig.config()).unwrap();
    let config =
        config.replace("content_days = 0", "content_days = 30").replace("journal_days = 0", "journal_days = 30");
    std::fs::write(rig.config(), config).unwrap();
    rig
}

fn of<'a>(kinds: &'a [Value], kind: &str) -> &'a Value {
    kinds.iter().find(|k| k["kind"] == kind).unwrap()
}

fn files(rig: &Rig) -> usize {
    let folders = std::fs::read_dir(rig.program.folder().join("media")).unwrap();
    folders.map(|folder| std::fs::read_dir(folder.unwrap().path()).unwrap().count()).sum()
}

async fn texts(rig: &Rig) -> Vec<Option<String>> {
    rig.messages().await.iter().map(|m| m["text"].as_str().map(str::to_owned)).collect()
}

#[tokio::test]
async fn a_serving_program_removes_what_is_too_old_counts_it_and_says_so() {
    let mut rig = old_and_new(Engine::Sqlite).await;
    let status = rig.cli(&["status", "--json"]).await.json();
    let content = of(status["retention"].as_array().unwrap(), "content");
    assert_eq!(content["days"], 30);
    rig.program.terminate(LONG).await.unwrap();
    rig.program.restart().await.unwrap();
    eventually(LONG, "the job counts what it removed", || async {
        let answer = rig.program.get("/metrics").await.unwrap();
        let page = String::from_utf8_lossy(&answer.body).into_owned();
        page.contains("ponte_retention_removed_total{kind=\"content\"} 1").then_some(())
    })
    .await;
    assert_eq!(texts(&rig).await, [Some("a new text".to_owned()), None]);
    eventually(LONG, "the file is gone too", || async { (files(&rig) == 0).then_some(()) }).await;
    let audit = rig.cli(&["audit", "--json"]).await.lines();
    let told: Vec<_> = audit.iter().filter(|a| a["act"] == "retention").collect();
    for kind in ["content", "journal"] {
        let of: Vec<_> = told.iter().filter(|a| a["subject"] == kind).collect();
        assert_eq!((of.len(), of[0]["who"].as_str()), (1, Some("system")), "{told:?}");
        assert_eq!(of[0]["data"]["removed"], 1);
    }
}

async fn at_once(engine: Engine) {
    let rig = old_and_new(engine).await;
    let before = texts(&rig).await;
    let look = rig.cli(&["retention", "--dry-run", "--json"]).await.json();
    assert_eq!(of(look["kinds"].as_array().unwrap(), "content")["removed"], 1, "{look}");
    assert_eq!((texts(&rig).await, files(&rig)), (before, 1), "a look changes nothing");
    let done = rig.cli(&["retention", "--json"]).await;
    let kinds = done.json()["kinds"].as_array().unwrap().clone();
    for (kind, removed) in [("content", 1), ("journal", 1), ("events", 0), ("people", 0)] {
        assert_eq!(of(&kinds, kind)["removed"], removed, "{done:?}");
    }
    assert_eq!((texts(&rig).await, files(&rig)), (vec![Some("a new text".to_owned()), None], 0));
    let again = rig.cli(&["retention"]).await;
    assert!(again.code == 0 && again.out.contains("content") && again.out.contains("30 days"), "{again:?}");
}

#[tokio::test]
async fn the_command_shows_and_removes_at_once() {
    at_once(Engine::Sqlite).await;
}

#[tokio::test]
async fn the_command_shows_and_removes_at_once_postgres() {
    at_once(Engine::Postgres).await;
}

both_engines!(periods_that_contradict_each_other_are_refused_and_the_old_name_is_understood, |db| async move {
    let refused = |more: &'static str| {
        let db: &TestDatabase = &db;
        async move { Desk::with(db, more).ponte(&["retention", "--dry-run"]).await }
    };
    for (more, told) in [
        ("[retention]\ncontent_days = 5\njournal_days = 3\n", "content_days"),
        ("[retention]\ncontent_days = 20\n", "raw bodies"),
        ("[retention]\njournal_days = 500\n", "events_days"),
        ("[retention]\nconsent_days = 5\n", "consent_days"),
        ("[retention]\njournal_days = 5\n[journal]\nretention_days = 6\n", "by its old name"),
    ] {
        let ran = refused(more).await;
        assert!(ran.code != 0 && ran.err.contains(told), "{more}: {ran:?}");
    }
    let desk = Desk::with(&db, "[journal]\nretention_days = 7\n");
    let days = |ran: crate::rig::Ran| of(ran.json()["kinds"].as_array().unwrap(), "journal")["days"].clone();
    assert_eq!(days(desk.ponte(&["retention", "--dry-run", "--json"]).await), 7);
    let plain = Desk::with(&db, "");
    let env = [
        ("PONTE_CONFIG", "ponte.toml"),
        ("PONTE__JOURNAL__RETENTION_DAYS", "0"),
        ("PONTE__RETENTION__EVENTS_DAYS", "0"),
    ];
    let ran = crate::rig::ponte(&["retention", "--dry-run", "--json"], plain.path(), &env).await;
    assert_eq!(days(ran), Value::Null, "0 is for ever");
});
