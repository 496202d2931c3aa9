//! `cargo xtask tidy`: the rules of the house as code. Every breach is shown, with the mend.
//! Must not touch: what the compiler and clippy check already.

mod errors;
mod graph;
mod sources;

use crate::run;
use anyhow::{Context, Result};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

pub fn run() -> Result<ExitCode> {
    let root = run::root();
    let files = files(&root)?;
    let mut breaches = graph::check()?;
    for file in &files {
        breaches.extend(sources::check(file));
    }
    breaches.extend(errors::check(&root)?);
    for breach in &breaches {
        eprintln!("tidy: {breach}");
    }
    if breaches.is_empty() {
        println!("tidy: {} files, all rules hold", files.len());
        return Ok(ExitCode::SUCCESS);
    }
    eprintln!("tidy: {} breaches", breaches.len());
    Ok(ExitCode::FAILURE)
}

/// A file of text and its place from the root, with `/`.
pub struct File {
    pub place: String,
    pub text: String,
}

const TEXTS: [&str; 12] = ["rs", "toml", "md", "sql", "sh", "yml", "yaml", "json", "ts", "tsx", "css", "html"];

/// The project's own texts; what is built or fetched is left out.
fn files(root: &Path) -> Result<Vec<File>> {
    let mut found = Vec::new();
    let mut folders: Vec<PathBuf> = vec![root.to_path_buf()];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(&folder).with_context(|| folder.display().to_string())? {
            let entry = entry?;
            let (path, name) = (entry.path(), entry.file_name());
            if entry.file_type()?.is_dir() {
                if !["target", ".git", "node_modules", "dist"].iter().any(|n| name == *n) {
                    folders.push(path);
                }
                continue;
            }
            let wanted = path.extension().is_some_and(|e| TEXTS.iter().any(|t| e == *t)) || folder.ends_with(".ci");
            let Ok(place) = path.strip_prefix(root) else { continue };
            if let (true, Ok(text)) = (wanted, std::fs::read_to_string(&path)) {
                found.push(File { place: place.to_string_lossy().replace('\\', "/"), text });
            }
        }
    }
    found.sort_by(|a, b| a.place.cmp(&b.place));
    Ok(found)
}
