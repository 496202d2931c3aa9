//! Every public error code has its page, and every page its code.

use anyhow::{Context, Result};
use std::collections::BTreeSet;
use std::path::Path;

/// What every page tells, in this order.
const PARTS: [&str; 3] = ["## What it means", "## Why it happens", "## How to mend it"];

pub fn check(root: &Path) -> Result<Vec<String>> {
    let source = root.join("crates/domain/src/error.rs");
    let text = std::fs::read_to_string(&source).with_context(|| source.display().to_string())?;
    let codes = codes(&text);
    let mut found = Vec::new();
    if codes.is_empty() {
        found.push("crates/domain/src/error.rs: no public code was found; has the table changed its shape?".to_owned());
    }
    let mut pages = BTreeSet::new();
    for entry in std::fs::read_dir(root.join("docs/errors")).context("docs/errors")? {
        let name = entry?.file_name().to_string_lossy().into_owned();
        pages.extend(name.strip_suffix(".md").filter(|n| *n != "README").map(ToOwned::to_owned));
    }
    for code in &codes {
        let page = format!("docs/errors/{code}.md");
        match std::fs::read_to_string(root.join(&page)) {
            Ok(text) => found.extend(page_breaches(&page, code, &text)),
            Err(_) => found.push(format!("{page} is missing: what it means, why it happens, how to mend it")),
        }
    }
    found.extend(
        pages.difference(&codes).map(|code| format!("docs/errors/{code}.md explains a code that doesn't exist")),
    );
    Ok(found)
}

/// The codes of the table `public_codes!`: lines of the shape `NAME = "code", status, "title";`.
fn codes(source: &str) -> BTreeSet<String> {
    let table = source.rsplit("public_codes! {").next().unwrap_or_default();
    let table = table.split("\n}").next().unwrap_or_default();
    let code = |line: &str| Some(line.split_once(" = \"")?.1.split_once('"')?.0.to_owned());
    table.lines().map(str::trim).filter(|line| !line.starts_with("//")).filter_map(code).collect()
}

fn page_breaches(page: &str, code: &str, text: &str) -> Vec<String> {
    let mut found = Vec::new();
    if !text.starts_with(&format!("# {code}\n")) {
        found.push(format!("{page} must begin with `# {code}`"));
    }
    let places: Vec<Option<usize>> = PARTS.iter().map(|part| text.find(part)).collect();
    if places.iter().any(Option::is_none) || !places.is_sorted() {
        found.push(format!("{page} must have the parts {}", PARTS.join(", ")));
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_are_read_from_the_table() {
        let source = "macro_rules! public_codes {\n}\npublic_codes! {\n    // A = \"no\", 1, \"\";\n    A = \"a_b\", 400, \"T\";\n    \
                      B = \"c\", 500, \"U = \\\"x\\\"\";\n}\nX = \"later\"";
        assert_eq!(codes(source).into_iter().collect::<Vec<_>>(), ["a_b", "c"]);
    }

    #[test]
    fn pages_have_their_parts() {
        let good = "# c\n\n## What it means\nx\n## Why it happens\ny\n## How to mend it\nz\n";
        assert!(page_breaches("p", "c", good).is_empty());
        assert_eq!(page_breaches("p", "d", good).len(), 1);
        assert_eq!(page_breaches("p", "c", "# c\n").len(), 1);
    }
}
