//! Connections of the kinds `http` and `sql`: what they do is described in the configuration. The description is read and checked by the
//! connectors; here its secrets are fetched.

use super::super::check::{ConfigErrors, Secrets};
use ponte_crm::described::Problem;
use ponte_crm::{Http, HttpConfig, Sql, SqlConfig};
use toml::{Table, Value};

/// Keys whose texts may say where a secret is: `env:NAME`, `file:PATH`.
const SECRETS: [&str; 5] = ["client_secret", "password", "secret", "token", "value"];

/// Reads and checks a connection over HTTP.
pub(super) fn http(
    place: &str,
    mut table: Table,
    secrets: &Secrets<'_>,
    errors: &mut ConfigErrors,
) -> Option<Box<HttpConfig>> {
    for part in ["auth", "webhook"] {
        if let Some(part) = table.get_mut(part) {
            fetch(place, part, secrets, errors)?;
        }
    }
    let config: HttpConfig = super::read(place, table, errors)?;
    told(place, Http::problems(&config), errors).then(|| Box::new(config))
}

/// Reads and checks a connection to a database.
pub(super) fn sql(
    place: &str,
    mut table: Table,
    secrets: &Secrets<'_>,
    errors: &mut ConfigErrors,
) -> Option<Box<SqlConfig>> {
    if let Some(Value::String(url)) = table.get_mut("url") {
        fetch_one(&format!("{place} url"), url, secrets, errors)?;
    }
    let config: SqlConfig = super::read(place, table, errors)?;
    told(place, Sql::problems(&config), errors).then(|| Box::new(config))
}

/// Adds what is wrong; true when nothing is.
fn told(place: &str, problems: Vec<Problem>, errors: &mut ConfigErrors) -> bool {
    let fine = problems.is_empty();
    for Problem { place: inner, problem, mend } in problems {
        errors.add(format!("{place} {inner}"), problem, mend);
    }
    fine
}

fn fetch(place: &str, part: &mut Value, secrets: &Secrets<'_>, errors: &mut ConfigErrors) -> Option<()> {
    let Value::Table(table) = part else { return Some(()) };
    for (key, value) in table.iter_mut() {
        match value {
            Value::String(text) if SECRETS.contains(&key.as_str()) => {
                fetch_one(&format!("{place} {key}"), text, secrets, errors)?;
            }
            inner => fetch(place, inner, secrets, errors)?,
        }
    }
    Some(())
}

fn fetch_one(place: &str, text: &mut String, secrets: &Secrets<'_>, errors: &mut ConfigErrors) -> Option<()> {
    use secrecy::ExposeSecret;
    *text = secrets.get(place, text, errors)?.expose_secret().to_owned();
    Some(())
}

#[cfg(test)]
mod tests {
    use super::super::{CrmConnection, CrmKind, check};
    use super::*;
    use secrecy::ExposeSecret;
    use std::path::Path;

    fn checked(text: &str) -> (Vec<CrmConnection>, ConfigErrors) {
        let table: Table = text.parse().unwrap();
        let all = table["crm"]["connections"].as_array().unwrap();
        let all = all.iter().map(|c| c.as_table().unwrap().clone()).collect();
        let mut errors = ConfigErrors::default();
        // Whatever an example takes from the environment is there.
        let names = text.split("env:").skip(1).filter_map(|rest| rest.split(['"', '\'']).next());
        let environment: Vec<(String, String)> = names.map(|name| (name.to_owned(), "sqlite:x".to_owned())).collect();
        let connections = check(all, &Secrets { environment: &environment }, &mut errors);
        (connections, errors)
    }

    #[test]
    fn every_example_is_a_good_description() {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../examples/crm");
        let mut seen = 0;
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.extension().is_some_and(|e| e == "toml") {
                let (connections, errors) = checked(&std::fs::read_to_string(&path).unwrap());
                assert!(errors.is_empty() && connections.len() == 1, "{}: {errors}", path.display());
                seen += 1;
            }
        }
        assert!(seen > 0);
    }

    #[test]
    fn secrets_are_fetched_and_every_problem_is_told() {
        let sql = r#"
            [[crm.connections]]
            name = "own"
            kind = "sql"
            url = "env:OWN_DATABASE"
            log_messages = false
            statements = { contacts = "SELECT * FROM customers" }
        "#;
        let (connections, errors) = checked(sql);
        assert!(errors.is_empty(), "{errors}");
        let [CrmConnection { kind: CrmKind::Sql(config), .. }] = &connections[..] else { panic!("no connection") };
        assert_eq!(config.url.expose_secret(), "sqlite:x");
        let wrong = r#"
            [[crm.connections]]
            name = "own"
            kind = "http"
            base_url = "crm"
            operations = { list = { path = "contacts" } }
        "#;
        let (_, errors) = checked(wrong);
        let told = errors.to_string();
        for part in [
            "base_url: is no address",
            "operations.list.path: doesn't begin",
            "don't say how messages",
            "[[crm.connections]] own",
        ] {
            assert!(told.contains(part), "{part}: {told}");
        }
    }
}
