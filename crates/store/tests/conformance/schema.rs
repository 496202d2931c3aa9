//! The schema: the same on both engines, made once, refused when it isn't the program's.

use crate::support::{Raw, T0, World, open_as, options};
use ponte_store::{OpenError, SCHEMA_VERSION, SqlStore};
use ponte_testkit::{Engine, Place, TestDatabase, both_engines};

/// `table.column` with `?` where nothing may stand, and the names of the indexes.
async fn shape(db: &TestDatabase) -> Vec<String> {
    let mut raw = Raw::open(db).await;
    let (columns, indexes) = match db.engine() {
        Engine::Sqlite => (
            "SELECT m.name || '.' || p.name || CASE WHEN p.\"notnull\" = 1 OR p.pk > 0 THEN '' ELSE '?' END \
             FROM sqlite_master m, pragma_table_info(m.name) p WHERE m.type = 'table' AND m.name NOT LIKE 'sqlite_%'",
            "SELECT 'index ' || name FROM sqlite_master WHERE type = 'index' AND name NOT LIKE 'sqlite_autoindex%'",
        ),
        Engine::Postgres => (
            "SELECT table_name || '.' || column_name || CASE WHEN is_nullable = 'NO' THEN '' ELSE '?' END \
             FROM information_schema.columns WHERE table_schema = 'public'",
            "SELECT 'index ' || indexname FROM pg_indexes WHERE schemaname = 'public' AND indexname NOT LIKE '%_pkey'",
        ),
    };
    let mut shape = raw.texts(columns).await;
    shape.extend(raw.texts(indexes).await);
    shape
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn both_engines_have_the_same_tables_columns_and_indexes_as_on_postgres() {
    let [sqlite, postgres] = <[TestDatabase; 2]>::try_from(ponte_testkit::databases().await.unwrap()).unwrap();
    drop((World::open(&sqlite).await, World::open(&postgres).await));
    let (a, b) = (shape(&sqlite).await, shape(&postgres).await);
    assert!(a.len() > 100 && a.contains(&"message.wamid?".to_owned()));
    assert_eq!(a, b);
}

both_engines!(every_key_begins_with_the_workspace, |db| async move {
    drop(World::open(&db).await);
    // What belongs to the whole installation, and what is numbered by the database itself.
    let apart = ["schema_version", "node", "journal", "event", "audit"];
    let mut raw = Raw::open(&db).await;
    let first = match db.engine() {
        Engine::Sqlite => {
            "SELECT m.name || '.' || p.name FROM sqlite_master m, pragma_table_info(m.name) p \
             WHERE m.type = 'table' AND m.name NOT LIKE 'sqlite_%' AND p.pk = 1"
        }
        Engine::Postgres => {
            "SELECT t.relname || '.' || a.attname FROM pg_index i JOIN pg_class t ON t.oid = i.indrelid \
             JOIN pg_namespace n ON n.oid = t.relnamespace AND n.nspname = 'public' \
             JOIN pg_attribute a ON a.attrelid = t.oid AND a.attnum = i.indkey[0] WHERE i.indisprimary"
        }
    };
    for key in raw.texts(first).await {
        let (table, column) = key.split_once('.').unwrap();
        assert!(apart.contains(&table) || column == "workspace_id", "{key}");
    }
});

both_engines!(opening_again_changes_nothing, |db| async move {
    drop(open_as(&db, "node-a").await);
    let steps = "SELECT CAST(version AS TEXT) || ' ' || name || ' ' || CAST(applied_at AS TEXT) FROM schema_version";
    let (before, done) = (shape(&db).await, Raw::open(&db).await.texts(steps).await);
    assert!(done.iter().any(|step| step.starts_with(&format!("{SCHEMA_VERSION} "))), "{done:?}");
    for now in 1..4 {
        drop(SqlStore::open(options(&db, "node-a"), T0 + now).await.unwrap());
    }
    assert_eq!((shape(&db).await, Raw::open(&db).await.texts(steps).await), (before, done));
});

both_engines!(an_empty_database_is_refused_when_nobody_may_migrate, |db| async move {
    let mut options = options(&db, "node-a");
    options.migrate = false;
    let refused = SqlStore::open(options.clone(), T0).await.err().expect("refused");
    assert!(matches!(refused, OpenError::Outdated { found: 0, needed: SCHEMA_VERSION }), "{refused}");
    drop(open_as(&db, "node-a").await);
    assert!(SqlStore::open(options, T0).await.is_ok());
});

both_engines!(a_newer_schema_is_left_alone, |db| async move {
    drop(open_as(&db, "node-a").await);
    Raw::open(&db).await.run("INSERT INTO schema_version (version, name, applied_at) VALUES (999, 'later', 0)").await;
    for migrate in [true, false] {
        let mut options = options(&db, "node-a");
        options.migrate = migrate;
        assert!(SqlStore::open(options, T0).await.is_err());
    }
});

both_engines!(nodes_that_start_together_migrate_once, |db| async move {
    let nodes: Vec<_> = (0..4)
        .map(|i| {
            let options = options(&db, &format!("node-{i}"));
            tokio::spawn(async move { SqlStore::open(options, T0).await.map(drop) })
        })
        .collect();
    for node in nodes {
        node.await.unwrap().expect("every node starts");
    }
    assert!(matches!(db.place(), Place::Sqlite(_) | Place::Postgres(_)));
    let newest = Raw::open(&db).await.texts("SELECT CAST(MAX(version) AS TEXT) FROM schema_version").await;
    assert_eq!(newest, [SCHEMA_VERSION.to_string()]);
});
