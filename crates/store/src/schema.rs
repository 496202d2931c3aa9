//! The schema, one text for both engines, and its migrations. What must differ stands between marks:
//! `{bytes}`, `{uuid}`, `{seq}` (a growing number), `{tx}` (the transaction's number, 0 on SQLite) and `{packed TABLE.COLUMN}`
//! (PostgreSQL shall not try to compress it once more).
//! Rules: the workspace first in every key; integers are BIGINT; times are integer milliseconds; JSON is text.
//! Steps are only ever added. A step runs in one transaction with its row in `schema_version`.

use crate::conn::{Conn, vals};
use ponte_domain::Millis;
use ponte_domain::error::StoreError;

const STEPS: &[(i64, &str, &str)] = &[
    (1, "the spine", include_str!("../migrations/0001_spine.sql")),
    (2, "packed journal", include_str!("../migrations/0002_packed_journal.sql")),
    (3, "consent", include_str!("../migrations/0003_consent.sql")),
    (4, "people", include_str!("../migrations/0004_people.sql")),
    (5, "account", include_str!("../migrations/0005_account.sql")),
    (6, "retention", include_str!("../migrations/0006_retention.sql")),
    (7, "fields", include_str!("../migrations/0007_fields.sql")),
    (8, "hooks", include_str!("../migrations/0008_hooks.sql")),
    (9, "sync", include_str!("../migrations/0009_sync.sql")),
    (10, "vault", include_str!("../migrations/0010_vault.sql")),
    (11, "push", include_str!("../migrations/0011_push.sql")),
    (12, "sending", include_str!("../migrations/0012_sending.sql")),
];

/// The newest schema this program knows.
pub const SCHEMA_VERSION: i64 = 12;

/// The database was migrated by a newer program.
pub(crate) fn newer(found: i64) -> StoreError {
    StoreError::Corrupt(format!("it has schema {found}, this program knows {SCHEMA_VERSION}: use the newer program"))
}

/// Which version the database has; 0 when it is empty.
pub(crate) async fn version(c: &mut Conn) -> Result<i64, StoreError> {
    c.script(
        "CREATE TABLE IF NOT EXISTS schema_version (version BIGINT PRIMARY KEY, name TEXT NOT NULL, applied_at BIGINT NOT NULL)"
            .to_owned(),
    )
    .await?;
    let row: Option<(Option<i64>,)> = c.first("SELECT MAX(version) FROM schema_version", vec![]).await?;
    Ok(row.and_then(|(v,)| v).unwrap_or(0))
}

/// Runs the missing steps inside the caller's transaction. Gives the version before.
pub(crate) async fn migrate(c: &mut Conn, now: Millis) -> Result<i64, StoreError> {
    if c.is_postgres() {
        // Two nodes that start together: one migrates, the other waits and finds nothing to do.
        c.exec("SELECT pg_advisory_xact_lock(7064010)", vec![]).await?;
    }
    let before = version(c).await?;
    if before > SCHEMA_VERSION {
        return Err(newer(before));
    }
    for (number, name, text) in STEPS.iter().filter(|(number, ..)| *number > before) {
        let text = dialect(text, c.is_postgres());
        c.script(text).await?;
        c.exec(
            "INSERT INTO schema_version (version, name, applied_at) VALUES ($1, $2, $3)",
            vals![*number, *name, now],
        )
        .await?;
    }
    if c.is_postgres() && before < SCHEMA_VERSION {
        c.script(STATISTICS.to_owned()).await?;
    }
    Ok(before)
}

/// What PostgreSQL's planner must know of a table before it has read it: that the leading columns of its keys tell little
/// apart and the last ones much. Without it a young table is read whole where one row is wanted (measured: 700 ms instead of
/// 1 ms for a claim among 50,000 lanes), until the first automatic ANALYZE. Statistics are only made of rows, so every empty
/// table gets some for as long as it takes; with every column filled, or the indexes of those that have a wamid or a
/// deduplication key would seem empty and be read from end to end for each batch.
const STATISTICS: &str = r"DO $$
DECLARE t record; a record; filled boolean;
BEGIN
    FOR t IN SELECT table_name AS name, string_agg(quote_ident(column_name), ', ') AS columns,
        string_agg(CASE data_type WHEN 'bigint' THEN 'g' WHEN 'text' THEN 'g::text' WHEN 'uuid' THEN 'gen_random_uuid()'
            WHEN 'boolean' THEN 'false' ELSE '''''' END, ', ') AS vals FROM information_schema.columns WHERE table_schema = current_schema()
        AND is_identity = 'NO' AND column_default IS NULL
        GROUP BY table_name HAVING bool_or(column_name = 'workspace_id')
    LOOP
        FOR a IN SELECT k.name, k.different FROM (VALUES ('workspace_id', 1), ('kind', 5), ('scope', 5), ('priority', 3),
            ('owner', 3), ('number_id', 5), ('connection', 2), ('portfolio', 2), ('phase', 5), ('origin', 5), ('reader', 5),
            ('by_whom', -0.5), ('person_id', -0.5), ('conversation_id', -0.5)) AS k(name, different)
            JOIN information_schema.columns c ON c.table_schema = current_schema() AND c.table_name = t.name
            AND c.column_name = k.name
        LOOP
            EXECUTE format('ALTER TABLE %I ALTER COLUMN %I SET (n_distinct = %s)', t.name, a.name, a.different);
        END LOOP;
        EXECUTE format('SELECT EXISTS (SELECT 1 FROM %I)', t.name) INTO filled;
        IF NOT filled THEN
            EXECUTE format('INSERT INTO %I (%s) SELECT %s FROM generate_series(1, 400) g', t.name, t.columns, t.vals);
        END IF;
        EXECUTE format('ANALYZE %I', t.name);
        IF NOT filled THEN
            EXECUTE format('DELETE FROM %I', t.name);
        END IF;
    END LOOP;
END $$";

fn dialect(text: &str, postgres: bool) -> String {
    let marks: [(&str, &str); 4] = if postgres {
        [
            ("{bytes}", "BYTEA"),
            ("{uuid}", "UUID"),
            ("{seq}", "BIGINT GENERATED BY DEFAULT AS IDENTITY PRIMARY KEY"),
            ("{tx}", "BIGINT NOT NULL DEFAULT (pg_current_xact_id()::text::bigint)"),
        ]
    } else {
        [
            ("{bytes}", "BLOB"),
            ("{uuid}", "BLOB"),
            ("{seq}", "INTEGER PRIMARY KEY AUTOINCREMENT"),
            ("{tx}", "BIGINT NOT NULL DEFAULT 0"),
        ]
    };
    let text = marks.iter().fold(text.to_owned(), |text, (mark, word)| text.replace(mark, word));
    text.lines().map(|line| packed(line, postgres) + "\n").collect()
}

/// A line `{packed TABLE.COLUMN}` in the engine's words.
fn packed(line: &str, postgres: bool) -> String {
    let place = line.strip_prefix("{packed ").and_then(|rest| rest.strip_suffix('}')).and_then(|p| p.split_once('.'));
    match place {
        Some((table, column)) if postgres => format!("ALTER TABLE {table} ALTER COLUMN {column} SET STORAGE EXTERNAL;"),
        Some(_) => String::new(),
        None => line.to_owned(),
    }
}
