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
            Ok(mut own) => {
                rename(&mut own, &mut errors);
                overlay(&mut table, own);
            }
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

/// Settings that got another name, as section and key: the old one is still understood.
const RENAMED: [([&str; 2], [&str; 2]); 1] = [(["journal", "retention_days"], ["retention", "journal_days"])];

fn rename(own: &mut Table, errors: &mut ConfigErrors) {
    for ([old_section, old], [section, key]) in RENAMED {
        let Some(Value::Table(from)) = own.get_mut(old_section) else { continue };
        let Some(value) = from.remove(old) else { continue };
        if from.is_empty() {
            own.remove(old_section);
        }
        let to = own.entry(section).or_insert_with(|| Value::Table(Table::new()));
        let Value::Table(to) = to else { continue };
        if to.insert(key.to_owned(), value).is_some() {
            let place = format!("[{old_section}] {old}");
            errors.add(place, format!("is [{section}] {key} too, by its old name"), "remove one of the two");
        }
    }
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
    let renamed = RENAMED.iter().find(|(old, _)| old == &[section.as_str(), key.as_str()]);
    let [section, key] = renamed.map_or([section.as_str(), key.as_str()], |(_, new)| *new);
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
                section.insert(key.to_owned(), value);
            }
        }
        None => errors.add(name, format!("is no {}", default.type_str()), "give a value like the default's"),
    }
}
