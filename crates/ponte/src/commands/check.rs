//! `ponte check`: the installation, looked at from every side. Each finding: what, why it matters, how to mend.

use super::print_json;
use crate::adapters::now;
use crate::config::Settings;
use crate::{logging, wiring};
use clap::Args;
use ponte_domain::error::CallError;
use ponte_domain::ports::store::Store;
use serde::Serialize;
use std::process::ExitCode;

/// Options of `ponte check`.
#[derive(Args)]
pub struct Options {
    /// One JSON object.
    #[arg(long)]
    json: bool,
}

#[derive(Serialize)]
#[serde(rename_all = "snake_case")]
enum State {
    Ok,
    Warning,
    Failed,
}

#[derive(Serialize)]
struct Finding {
    what: String,
    state: State,
    found: String,
    why: &'static str,
    mend: String,
}

/// Checks. Exit status 1 when something failed.
///
/// # Errors
/// When the checks themselves can't run.
pub async fn run(settings: Settings, options: Options) -> anyhow::Result<ExitCode> {
    logging::start(&settings)?;
    let mut findings = vec![ok("configuration", "read, no errors", "a wrong setting is found here, not in the night")];
    settings_findings(&settings, &mut findings);
    findings.push(media_finding(&settings.media_dir));
    match wiring::assemble(settings.clone(), false).await {
        Ok(assembly) => {
            store_finding(assembly.store.as_ref(), &mut findings).await;
            for number in assembly.world.directory.all() {
                let health = assembly.world.channel.number_health(&number.id).await;
                findings.push(number_finding(number.id.as_str(), health));
            }
            for crm in &assembly.crms {
                let standing = crm.standing().await.ok();
                if let Some(found) = standing.and_then(|standing| standing.trouble(crm.id.as_str())) {
                    findings.push(Finding {
                        what: format!("CRM {}", crm.id),
                        state: State::Failed,
                        found: format!("unauthorised: {found}"),
                        why: "nothing is read or written there until then; what is to be written waits",
                        mend: format!("run `ponte crm authorize {}`", crm.id),
                    });
                    continue;
                }
                let found = crm.crm.check().await;
                findings.push(call_finding(format!("CRM {}", crm.id), "messages are written there", found));
            }
            assembly.store.close().await;
        }
        Err(error) => findings.push(Finding {
            what: "database".into(),
            state: State::Failed,
            found: format!("{error:#}"),
            why: "nothing is answered before it is stored",
            mend: "mend what is said, then check again".into(),
        }),
    }
    show(&findings, options.json)
}

fn ok(what: &str, found: impl Into<String>, why: &'static str) -> Finding {
    Finding { what: what.into(), state: State::Ok, found: found.into(), why, mend: String::new() }
}

fn settings_findings(settings: &Settings, findings: &mut Vec<Finding>) {
    let empty = |n: usize| n == 0;
    for (what, missing, why, mend) in [
        (
            "webhook apps",
            empty(settings.apps.len()),
            "every webhook is refused without an app secret",
            "add [[whatsapp.apps]]",
        ),
        ("numbers", empty(settings.numbers.len()), "nothing can be sent without a number", "add [[whatsapp.numbers]]"),
        ("CRM", empty(settings.crms.len()), "messages are written to no CRM", "add [[crm.connections]]"),
        ("API keys", empty(settings.api_keys.len()), "no program can use the API", "add [[api.keys]]"),
    ] {
        let (state, found) = if missing { (State::Warning, "none configured") } else { (State::Ok, "configured") };
        let mend = if missing { mend.to_owned() } else { String::new() };
        findings.push(Finding { what: what.into(), state, found: found.into(), why, mend });
    }
}

/// The folder for files takes a file.
fn media_finding(dir: &std::path::Path) -> Finding {
    let why = "files of messages are kept there";
    let probe = dir.join(".check");
    let written = std::fs::create_dir_all(dir)
        .and_then(|()| std::fs::write(&probe, [0_u8; 65536]))
        .and_then(|()| std::fs::remove_file(&probe));
    match written {
        Ok(()) => ok("media folder", format!("{} can be written", dir.display()), why),
        Err(error) => Finding {
            what: "media folder".into(),
            state: State::Failed,
            found: format!("{}: {error}", dir.display()),
            why,
            mend: "make room on the disk, or give the folder to the user that runs ponte".into(),
        },
    }
}

async fn store_finding(store: &dyn Store, findings: &mut Vec<Finding>) {
    let why = "nothing is answered before it is stored";
    let started = std::time::Instant::now();
    match store.check().await {
        Ok(()) => {
            let found = format!("writes in {} ms, at {}", started.elapsed().as_millis(), super::when(now()));
            findings.push(ok("database", found, why));
        }
        Err(error) => findings.push(Finding {
            what: "database".into(),
            state: State::Failed,
            found: error.to_string(),
            why,
            mend: "is the disk full, or the server away?".into(),
        }),
    }
}

fn number_finding(id: &str, health: Result<serde_json::Value, CallError>) -> Finding {
    let what = format!("number {id}");
    let why = "this number sends and receives";
    let found = health.map(|value| {
        let part = |name: &str| value.get(name).and_then(|v| v.as_str()).unwrap_or("?").to_owned();
        format!("status {}, quality {}", part("status"), part("quality_rating"))
    });
    call_finding(what, why, found)
}

fn call_finding(what: String, why: &'static str, found: Result<String, CallError>) -> Finding {
    match found {
        Ok(found) => Finding { what, state: State::Ok, found, why, mend: String::new() },
        Err(error) => Finding {
            what,
            state: State::Failed,
            found: error.to_string(),
            why,
            mend: match error.class {
                ponte_domain::error::ErrorClass::Auth => "renew the token".into(),
                ponte_domain::error::ErrorClass::Configuration => "give the token the missing permission".into(),
                _ => error.detail.unwrap_or_else(|| "is the address right and reachable from here?".into()),
            },
        },
    }
}

fn show(findings: &[Finding], as_json: bool) -> anyhow::Result<ExitCode> {
    let failed = findings.iter().any(|f| matches!(f.state, State::Failed));
    if as_json {
        print_json(&serde_json::json!({ "ok": !failed, "findings": findings }))?;
    } else {
        for finding in findings {
            let mark = match finding.state {
                State::Ok => "ok     ",
                State::Warning => "warning",
                State::Failed => "FAILED ",
            };
            println!("{mark} {:<24} {}", finding.what, finding.found);
            if !finding.mend.is_empty() {
                println!("        why: {}\n        mend: {}", finding.why, finding.mend);
            }
        }
    }
    Ok(if failed { ExitCode::FAILURE } else { ExitCode::SUCCESS })
}
