//! Layers: defaults, the operator's file, the environment. Later ones win; lists are replaced whole.

use super::check::{self, ConfigErrors};
use super::sections::Settings;
use std::path::Path;
use toml::{Table, Value};

const PREFIX: &str = "PONTE__";

pub(super) fn load(file: Option<&Path>, environment: &[(String, String)]) -> Result<Settings, ConfigErrors> {
    let mut errors = ConfigErrors::default();
    let mut table: Table = match super::DEFAULTS.parse() {
        Ok(table) => table,
        Err(error) => {
            errors.add("config.default.toml", error.to_string(), "this is a bug in the program");
            return Err(errors);
        }
    };
    let known = table.clone();
    if let Some(path) = file {
        match read(path) {
            Ok(own) => overlay(&mut table, own),
            Err((problem, mend)) => errors.add(path.display().to_string(), problem, mend),
        }
    }
    for (name, text) in environment.iter().filter(|(name, _)| name.starts_with(PREFIX)) {
        set(&mut table, name, text, &known, &mut errors);
    }
    let settings = check::read(table, environment, &mut errors);
    match settings {
        Some(settings) if errors.is_empty() => Ok(settings),
        _ => Err(errors),
    }
}

fn read(path: &Path) -> Result<Table, (String, &'static str)> {
    let text = std::fs::read_to_string(path).map_err(|e| {
        (format!("can't be read: {e}"), "give the right path with --config, and make the file readable")
    })?;
    text.parse::<Table>().map_err(|e| (e.to_string(), "correct the TOML at the place shown"))
}

fn overlay(base: &mut Table, over: Table) {
    for (key, value) in over {
        match (base.get_mut(&key), value) {
            (Some(Value::Table(below)), Value::Table(above)) => overlay(below, above),
            (_, value) => {
                base.insert(key, value);
            }
        }
    }
}

/// `PONTE__SERVER__LISTEN=…` sets `[server] listen`. Only what the defaults name can be set; a number stays a number.
fn set(table: &mut Table, name: &str, text: &str, known: &Table, errors: &mut ConfigErrors) {
    let path: Vec<String> = name.trim_start_matches(PREFIX).split("__").map(str::to_lowercase).collect();
    let [section, key] = path.as_slice() else {
        errors.add(
            name,
            "does not name a section and a key",
            "write PONTE__SECTION__KEY, for example PONTE__SERVER__LISTEN",
        );
        return;
    };
    let default = known.get(section).and_then(|s| s.get(key));
    let Some(default) = default else {
        errors.add(name, format!("there is no setting [{section}] {key}"), "see config.default.toml for all settings");
        return;
    };
    let value = match default {
        Value::String(_) => Some(Value::String(text.to_owned())),
        Value::Integer(_) => text.parse().ok().map(Value::Integer),
        Value::Float(_) => text.parse().ok().map(Value::Float),
        Value::Boolean(_) => text.parse().ok().map(Value::Boolean),
        // Lists in TOML's own notation.
        _ => format!("value = {text}").parse::<Table>().ok().and_then(|mut t| t.remove("value")),
    };
    match value {
        Some(value) => {
            if let Some(Value::Table(section)) = table.get_mut(section) {
                section.insert(key.clone(), value);
            }
        }
        None => errors.add(name, format!("is no {}", default.type_str()), "give a value like the default's"),
    }
}
