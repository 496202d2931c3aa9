//! What every source file keeps to: a header that says what it is for, a size one can read, doors that stay closed, and no
//! trace of the machine it was written on.

use super::File;

const MAX_LINES: usize = 600;

/// Beginnings of paths that exist on one machine only. Put together here, so that this file keeps to its own rule.
const MACHINE_PATHS: &[&str] =
    &[concat!("/ro", "ot/"), concat!("/wo", "rk/"), concat!("/ho", "me/"), concat!("/Us", "ers/")];

pub fn check(file: &File) -> Vec<String> {
    let mut found: Vec<String> = Vec::new();
    for (n, line) in file.text.lines().enumerate() {
        if MACHINE_PATHS.iter().any(|path| line.contains(path)) {
            found.push(format!("{}:{}: a path of somebody's machine", file.place, n + 1));
        }
    }
    if file.place.ends_with(".rs") {
        found.extend(rust(file));
    }
    found
}

fn rust(file: &File) -> Vec<String> {
    let place = &file.place;
    let mut found = Vec::new();
    if !file.text.starts_with("//!") {
        found.push(format!(
            "{place}: must begin with `//!`: what it is for, what it may touch, what happens when it dies"
        ));
    }
    let lines = file.text.lines().count();
    if lines > MAX_LINES {
        found.push(format!("{place}: {lines} lines, at most {MAX_LINES}: split it by reason to exist"));
    }
    let of = |crates: &[&str]| crates.iter().any(|c| place.starts_with(c));
    // A business's own database is read and written by statements of its configuration.
    let sql_here = of(&["crates/store/", "crates/crm/src/sql/", "crates/crm/tests/sql/", "crates/testkit/", "xtask/"]);
    let clients_here =
        of(&["crates/net/", "crates/simulator/", "crates/testkit/", "xtask/"]) || place.contains("/tests/");
    for (n, line) in code(&file.text) {
        if !sql_here && line.contains("sqlx") {
            found.push(format!("{place}:{n}: sqlx outside of the store"));
        }
        let makes_client = line.contains("reqwest") && ["Client", "get(", "blocking"].iter().any(|w| line.contains(w));
        if !clients_here && makes_client {
            found.push(format!("{place}:{n}: every request goes through the one door, ponte_net::Egress"));
        }
    }
    found
}

/// Lines of code with their numbers, up to the tests of the module, which stand last.
fn code(text: &str) -> impl Iterator<Item = (usize, &str)> {
    let lines = text.lines().take_while(|line| !line.starts_with("#[cfg(test)]")).enumerate();
    lines.map(|(n, line)| (n + 1, line.trim())).filter(|(_, line)| !line.starts_with("//"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn breaches(place: &str, text: &str) -> usize {
        check(&File { place: place.into(), text: text.into() }).len()
    }

    #[test]
    fn rules() {
        let long = format!("//! x\n{}", "\n".repeat(MAX_LINES));
        let path = format!("# see {}x", MACHINE_PATHS[0]);
        for (place, text, wanted) in [
            ("crates/engine/src/a.rs", "//! What for.\nuse std::io;\n", 0),
            ("crates/engine/src/a.rs", "use std::io;\n", 1),
            ("crates/engine/src/a.rs", &long, 1),
            ("crates/engine/src/a.rs", "//! x\nuse sqlx::Row;\n", 1),
            ("crates/engine/src/a.rs", "//! x\n// not sqlx::Row\n", 0),
            ("crates/store/src/a.rs", "//! x\nuse sqlx::Row;\n", 0),
            ("crates/crm/src/sql/a.rs", "//! x\nuse sqlx::Row;\n", 0),
            ("crates/crm/src/hubspot/a.rs", "//! x\nuse sqlx::Row;\n", 1),
            ("crates/crm/src/a.rs", "//! x\nuse reqwest::{Client, Url};\n", 1),
            ("crates/crm/src/a.rs", "//! x\nuse reqwest::multipart::Form;\n", 0),
            ("crates/crm/src/a.rs", "//! x\n#[cfg(test)]\nmod tests { use reqwest::Client; }\n", 0),
            ("crates/crm/tests/a.rs", "//! x\nuse reqwest::Client;\n", 0),
            ("docs/a.md", &path, 1),
        ] {
            assert_eq!(breaches(place, text), wanted, "{place}: {}", text.get(..40).unwrap_or(text));
        }
    }
}
