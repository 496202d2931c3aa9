//! `ponte crm`: the CRM connections: where they stand, runs, what was left out, the mapping and its check, dry runs on real records.

mod authorize;
mod show;

use super::print_json;
use crate::adapters::TimeIds;
use crate::commands::contacts::who;
use crate::config::Settings;
use crate::logging;
use crate::wiring::{self, Assembly, WORKSPACE};
use anyhow::{Context, Result, bail};
use clap::{Args, Subcommand};
use ponte_domain::Millis;
use ponte_domain::crm::CrmField;
use ponte_domain::ids::{ConnectionId, IdSource};
use ponte_domain::mapping::Level;
use ponte_domain::ports::people::{NewAudit, People};
use ponte_domain::ports::sync::{CrmSync, RunKind, SyncPatch};
use ponte_engine::connection::Connection;
use ponte_engine::pull;
use serde_json::json;
use std::process::ExitCode;
use std::time::Duration;

/// Options of `ponte crm`.
#[derive(Args)]
pub struct Options {
    #[command(subcommand)]
    what: Option<What>,
    /// JSON instead of text.
    #[arg(long, global = true)]
    json: bool,
}

#[derive(Subcommand)]
enum What {
    /// Where each connection stands.
    List,
    /// Have a connection read now; a running server does it.
    Sync {
        /// The connection.
        name: String,
        /// Read everything, not only what changed.
        #[arg(long)]
        full: bool,
        /// Read everything, compare both sides and repair what differs.
        #[arg(long, conflicts_with = "full")]
        reconcile: bool,
        /// Write everybody who has no record there.
        #[arg(long, conflicts_with_all = ["full", "reconcile"])]
        push: bool,
        /// Wait until it is done and show what it came to.
        #[arg(long)]
        wait: bool,
    },
    /// Have a person authorise a connection at its CRM; keeps what that gives.
    Authorize(authorize::Options),
    /// Withdraw what was granted, at the CRM and here. The connection waits until it is authorised again.
    Deauthorize {
        /// The connection.
        name: String,
    },
    /// Stop reading from a connection until it is resumed. Messages are written on.
    Pause {
        /// The connection.
        name: String,
    },
    /// Read on.
    Resume {
        /// The connection.
        name: String,
    },
    /// Runs, newest first.
    Runs {
        /// Only of this connection.
        name: Option<String>,
        /// How many at most.
        #[arg(long, default_value_t = 20)]
        limit: i64,
    },
    /// Records of which something was left out, and why.
    Skipped {
        /// Only of this connection.
        name: Option<String>,
        /// How many at most.
        #[arg(long, default_value_t = 50)]
        limit: i64,
    },
    /// The mapping, checked against the CRM's own schema.
    Mapping {
        /// The connection.
        name: String,
        /// Make the fields that are missing in the CRM.
        #[arg(long)]
        create_fields: bool,
    },
    /// The fields of the CRM's contacts.
    Fields {
        /// The connection.
        name: String,
    },
    /// What reading real records would do; nothing is changed.
    Preview {
        /// The connection.
        name: String,
        /// This record; repeat for more. Without one, the first few.
        #[arg(long = "record")]
        records: Vec<String>,
        /// How many at most, without --record.
        #[arg(long, default_value_t = 10)]
        limit: usize,
    },
}

/// Does it.
///
/// # Errors
/// When there is no such connection, or the database or the CRM can't.
pub async fn run(settings: Settings, options: Options) -> Result<ExitCode> {
    let json = options.json;
    match options.what.unwrap_or(What::List) {
        What::List => with(settings, async |a| show::list(a, json).await).await,
        What::Sync { name, full, reconcile, push, wait } => {
            let kind = match (full, reconcile, push) {
                (true, ..) => RunKind::Full,
                (_, true, _) => RunKind::Reconcile,
                (.., true) => RunKind::Push,
                _ => RunKind::Changes,
            };
            with(settings, async |a| sync(a, &name, kind, wait, json).await).await
        }
        What::Authorize(options) => with(settings, async |a| authorize::run(a, options, json).await).await,
        What::Deauthorize { name } => with(settings, async |a| authorize::undo(a, &name, json).await).await,
        What::Pause { name } => with(settings, async |a| pause(a, &name, true).await).await,
        What::Resume { name } => with(settings, async |a| pause(a, &name, false).await).await,
        What::Runs { name, limit } => with(settings, async |a| show::runs(a, name.as_deref(), limit, json).await).await,
        What::Skipped { name, limit } => {
            with(settings, async |a| show::skipped(a, name.as_deref(), limit, json).await).await
        }
        What::Mapping { name, create_fields } => {
            with(settings, async |a| mapping(a, &name, create_fields, json).await).await
        }
        What::Fields { name } => with(settings, async |a| show::fields(find(a, &name)?, json).await).await,
        What::Preview { name, records, limit } => {
            with(settings, async |a| preview(a, &name, records, limit, json).await).await
        }
    }
}

async fn with(settings: Settings, work: impl AsyncFnOnce(&Assembly) -> Result<ExitCode>) -> Result<ExitCode> {
    logging::start(&settings)?;
    let assembly = wiring::assemble(settings, false).await?;
    let done = work(&assembly).await;
    assembly.store.close().await;
    done
}

fn find<'a>(assembly: &'a Assembly, name: &str) -> Result<&'a Connection> {
    let found = assembly.crms.iter().find(|crm| crm.id.as_str() == name);
    found.with_context(|| {
        let all: Vec<&str> = assembly.crms.iter().map(|crm| crm.id.as_str()).collect();
        match all.is_empty() {
            true => "no CRM connection is configured: see [[crm.connections]] in config.default.toml".to_owned(),
            false => format!("there is no connection {name}; there are {}", all.join(", ")),
        }
    })
}

async fn sync(assembly: &Assembly, name: &str, kind: RunKind, wait: bool, json: bool) -> Result<ExitCode> {
    let connection = find(assembly, name)?;
    if kind != RunKind::Push && (!connection.settings.pull || connection.settings.rules.is_empty()) {
        bail!("{name} is not read from: sync.pull is off, or it has no mapping");
    }
    let sync: &dyn CrmSync = assembly.store.as_ref();
    let state = sync.sync_state(WORKSPACE, &connection.id).await?;
    if let Some(by) = &state.paused_by {
        bail!("{name} is paused by {by}: `ponte crm resume {name}` first");
    }
    let before = sync.sync_runs(WORKSPACE, Some(&connection.id), 1).await?.first().map(|r| r.id);
    let now = crate::adapters::now();
    let pushed = match kind {
        RunKind::Push => Some(sync.push_begin(WORKSPACE, &connection.id, TimeIds.next(), now).await?),
        _ => {
            let patch = SyncPatch { wanted: Some(Some(kind)), ..SyncPatch::default() };
            sync.sync_patch(WORKSPACE, None, &connection.id, patch, now).await?;
            None
        }
    };
    if !wait {
        if json {
            print_json(&json!({ "connection": name, "wanted": kind }))?;
        } else {
            println!("{name}: asked for; `ponte crm runs {name}` shows it");
        }
        return Ok(ExitCode::SUCCESS);
    }
    let mut told = 0;
    for round in 0_u32.. {
        tokio::time::sleep(Duration::from_millis(250)).await;
        // Changes are read while people are written: the newest run needn't be this one.
        let runs = sync.sync_runs(WORKSPACE, Some(&connection.id), 20).await?;
        let mine = match pushed {
            Some(id) => runs.iter().find(|r| r.id == id),
            None => runs.first().filter(|r| Some(r.id) != before),
        };
        let Some(run) = mine else {
            if round == 40 {
                eprintln!("waiting for a running server to take it up …");
            }
            continue;
        };
        if let Some(finished) = run.finished_at {
            if pushed.is_some() {
                written(sync, connection, finished).await?;
            }
            show::one_run(run, json)?;
            return Ok(if run.error.is_some() { ExitCode::FAILURE } else { ExitCode::SUCCESS });
        }
        if run.seen >= told + 1_000 {
            told = run.seen;
            eprintln!("{name}: {told} records");
        }
    }
    Ok(ExitCode::SUCCESS)
}

/// Waits until what was filed by then is written, or given to a person. What is filed later isn't waited for.
async fn written(sync: &dyn CrmSync, connection: &Connection, filed: Millis) -> Result<()> {
    let mut told = i64::MAX;
    loop {
        let left = sync.writes_left(WORKSPACE, &connection.id, filed).await?;
        if left == 0 {
            return Ok(());
        }
        if left + 1_000 <= told {
            told = left;
            eprintln!("{}: {left} still to be written", connection.id);
        }
        tokio::time::sleep(Duration::from_millis(250)).await;
    }
}

async fn pause(assembly: &Assembly, name: &str, paused: bool) -> Result<ExitCode> {
    let connection = find(assembly, name)?;
    let now = crate::adapters::now();
    let by = who();
    let patch = SyncPatch { paused: Some(paused.then(|| (now, by.clone()))), ..SyncPatch::default() };
    assembly.store.sync_patch(WORKSPACE, None, &connection.id, patch, now).await?;
    let act = if paused { "crm.pause" } else { "crm.resume" };
    let entry = NewAudit { at: now, who: by, act, subject: Some(name.to_owned()), data: "{}".to_owned() };
    assembly.store.audit(WORKSPACE, entry).await?;
    println!("{name}: {}", if paused { "paused; messages are written on" } else { "resumed" });
    Ok(ExitCode::SUCCESS)
}

async fn mapping(assembly: &Assembly, name: &str, create: bool, json: bool) -> Result<ExitCode> {
    let connection = find(assembly, name)?;
    let mut loaded = connection.load(&assembly.world).await.context("the CRM's schema can't be read")?;
    if create {
        let missing: Vec<CrmField> = loaded.findings.iter().filter_map(|f| f.proposal.clone()).collect();
        if missing.is_empty() {
            eprintln!("no field is missing");
        } else {
            connection.crm.create_fields(&missing).await.context("the fields can't be made")?;
            let names: Vec<&str> = missing.iter().map(|f| f.name.as_str()).collect();
            let data = json!({ "fields": names }).to_string();
            let entry = NewAudit {
                at: crate::adapters::now(),
                who: who(),
                act: "crm.create_fields",
                subject: Some(name.to_owned()),
                data,
            };
            assembly.store.audit(WORKSPACE, entry).await?;
            loaded = connection.load(&assembly.world).await?;
        }
    }
    show::mapping(&loaded, json)?;
    let bad = loaded.findings.iter().any(|f| f.level == Level::Error);
    Ok(if bad { ExitCode::FAILURE } else { ExitCode::SUCCESS })
}

async fn preview(assembly: &Assembly, name: &str, records: Vec<String>, limit: usize, json: bool) -> Result<ExitCode> {
    let connection = find(assembly, name)?;
    let loaded = connection.load(&assembly.world).await.context("the CRM's schema can't be read")?;
    let found = if records.is_empty() {
        let mut page = connection.crm.contacts_page(&loaded.names, None).await.context("contacts can't be read")?;
        page.records.truncate(limit);
        page.records
    } else {
        let found = connection.crm.read_contacts(&records, &loaded.names).await.context("contacts can't be read")?;
        let gone: Vec<&String> = records.iter().zip(&found).filter(|(_, r)| r.is_none()).map(|(id, _)| id).collect();
        for id in gone {
            eprintln!("record {id} is not there");
        }
        found.into_iter().flatten().collect()
    };
    let seen = found.clone();
    let pulled = pull::look(&assembly.world, connection, &loaded, found).await?;
    show::preview(&assembly.world, &loaded, &seen, &pulled, json).await?;
    Ok(ExitCode::SUCCESS)
}

/// A connection's id.
pub(super) fn id(name: &str) -> ConnectionId {
    name.into()
}
