//! Who may depend on whom: domain <- net <- whatsapp, crm; domain <- store; domain <- engine <- server <- ponte. The simulator
//! and the tables depend on none of them; the testkit is for tests only.

use crate::run;
use anyhow::{Context, Result, bail};
use serde_json::Value;

/// Crate, what it may depend on, what its tests may depend on besides.
const ALLOWED: &[(&str, &[&str], &[&str])] = &[
    ("ponte-domain", &[], &["ponte-testkit"]),
    ("ponte-net", &["ponte-domain"], &["ponte-testkit"]),
    ("ponte-whatsapp", &["ponte-domain", "ponte-net"], &["ponte-testkit", "ponte-simulator"]),
    ("ponte-crm", &["ponte-domain", "ponte-net"], &["ponte-testkit", "ponte-simulator"]),
    ("ponte-store", &["ponte-domain"], &["ponte-testkit"]),
    ("ponte-engine", &["ponte-domain"], &["ponte-testkit", "ponte-store"]),
    ("ponte-server", &["ponte-domain", "ponte-engine"], &["ponte-testkit", "ponte-store"]),
    // What a wrong client gets wrong must not cancel out: no code of theirs, not even in tests.
    ("ponte-simulator", &[], &[]),
    ("ponte-tables", &[], &[]),
    (
        "ponte",
        &[
            "ponte-domain",
            "ponte-net",
            "ponte-whatsapp",
            "ponte-crm",
            "ponte-store",
            "ponte-engine",
            "ponte-server",
            "ponte-simulator",
            "ponte-tables",
        ],
        &["ponte-testkit"],
    ),
    ("ponte-testkit", &["ponte-domain"], &[]),
    // The domain for `bench duplicates` only: its rules are measured by themselves, and share nothing with what loads the program.
    ("xtask", &["ponte-testkit", "ponte-simulator", "ponte-tables", "ponte-domain"], &[]),
];

pub fn check() -> Result<Vec<String>> {
    let output = run::cargo(&["metadata", "--format-version", "1", "--no-deps", "--offline"]).output()?;
    if !output.status.success() {
        bail!("cargo metadata: {}", String::from_utf8_lossy(&output.stderr));
    }
    let metadata: Value = serde_json::from_slice(&output.stdout).context("cargo metadata")?;
    Ok(breaches(&metadata))
}

fn breaches(metadata: &Value) -> Vec<String> {
    let packages = metadata.get("packages").and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default();
    let names: Vec<&str> = packages.iter().filter_map(|p| p.get("name")?.as_str()).collect();
    let mut found = Vec::new();
    for package in packages {
        let Some(name) = package.get("name").and_then(Value::as_str) else { continue };
        let Some((_, normal, tests)) = ALLOWED.iter().find(|(n, ..)| *n == name) else {
            found.push(format!("{name}: a crate that the house doesn't know; give it its place in tidy/graph.rs"));
            continue;
        };
        let dependencies = package.get("dependencies").and_then(Value::as_array);
        for dependency in dependencies.map(Vec::as_slice).unwrap_or_default() {
            let Some(to) = dependency.get("name").and_then(Value::as_str) else { continue };
            let in_tests = dependency.get("kind").and_then(Value::as_str) == Some("dev");
            if names.contains(&to) && !normal.contains(&to) && !(in_tests && tests.contains(&to)) {
                let part = if in_tests { "tests of " } else { "" };
                found.push(format!("{part}{name} must not depend on {to}"));
            }
            // The CRM crate speaks to a business's own database, never to ours: which of its files is for `sources` to see.
            let may_sql = ["ponte-store", "ponte-crm", "ponte-testkit", "xtask"].contains(&name);
            if to == "sqlx" && !may_sql {
                found.push(format!("{name} must not depend on sqlx: the store is the one place that speaks our SQL"));
            }
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn metadata(from: &str, to: &str, kind: Option<&str>) -> Value {
        json!({ "packages": [
            { "name": from, "dependencies": [{ "name": to, "kind": kind }] },
            { "name": to, "dependencies": [] },
        ]})
    }

    #[test]
    fn arrows_point_one_way() {
        for (from, to, kind, good) in [
            ("ponte-engine", "ponte-domain", None, true),
            ("ponte-engine", "ponte-store", None, false),
            ("ponte-engine", "ponte-store", Some("dev"), true),
            ("ponte-domain", "ponte-engine", None, false),
            ("ponte-simulator", "ponte-whatsapp", Some("dev"), false),
            ("ponte-server", "ponte-testkit", None, false),
            ("ponte-server", "ponte-testkit", Some("dev"), true),
        ] {
            assert_eq!(breaches(&metadata(from, to, kind)).is_empty(), good, "{from} -> {to} {kind:?}");
        }
    }

    #[test]
    fn strangers_and_sql_elsewhere_are_seen() {
        assert_eq!(breaches(&json!({ "packages": [{ "name": "ponte-new", "dependencies": [] }] })).len(), 1);
        let sql =
            json!({ "packages": [{ "name": "ponte-engine", "dependencies": [{ "name": "sqlx", "kind": null }] }] });
        assert_eq!(breaches(&sql).len(), 1);
    }
}
