//! How connections, runs, mappings and previews look, for people and for machines.

use super::id;
use crate::commands::{print_json, when};
use crate::wiring::{Assembly, WORKSPACE};
use anyhow::{Context, Result};
use ponte_domain::crm::CrmRecord;
use ponte_domain::ids::PersonId;
use ponte_domain::mapping::pull::Pulled;
use ponte_domain::mapping::{Level, Rule};
use ponte_domain::ports::sync::{CrmSync, SyncRun};
use ponte_domain::profile::{Item, Profile};
use ponte_engine::World;
use ponte_engine::connection::{Connection, Loaded};
use serde_json::{Value, json};
use std::collections::{BTreeMap, BTreeSet};
use std::process::ExitCode;

pub(super) async fn list(assembly: &Assembly, json: bool) -> Result<ExitCode> {
    if assembly.crms.is_empty() && !json {
        println!("no CRM connection is configured: see [[crm.connections]] in config.default.toml");
    }
    for connection in &assembly.crms {
        let state = assembly.store.sync_state(WORKSPACE, &connection.id).await?;
        let (linked, skipped) = assembly.store.sync_counts(WORKSPACE, &connection.id).await?;
        let last = assembly.store.sync_runs(WORKSPACE, Some(&connection.id), 1).await?.into_iter().next();
        let product = connection.crm.capabilities().product;
        let authorisation = connection.standing().await?;
        if json {
            print_json(
                &json!({ "connection": connection.id, "product": product, "state": state, "authorisation": authorisation,
                 "linked": linked,
                "skipped": skipped, "last_run": last }),
            )?;
            continue;
        }
        let now = match (&state.paused_at, &state.run, state.next_at) {
            (Some(at), ..) => {
                format!("paused since {} by {}", when(*at), state.paused_by.as_deref().unwrap_or("?"))
            }
            (None, Some(_), _) => "reading now".to_owned(),
            (None, None, Some(at)) => format!("next look {}", when(at)),
            (None, None, None) => "not read yet".to_owned(),
        };
        println!(
            "{} ({product}): {now}; {linked} people linked, {skipped} records with something left out",
            connection.id
        );
        if let Some(trouble) = authorisation.trouble(connection.id.as_str()) {
            println!("  UNAUTHORISED: {trouble}");
        }
        if let Some(run) = last {
            println!("  last: {}", run_line(&run));
        }
    }
    Ok(ExitCode::SUCCESS)
}

fn run_line(run: &SyncRun) -> String {
    let state = match (&run.error, run.finished_at) {
        (Some(error), _) => format!("FAILED: {error}"),
        (None, Some(at)) => format!("done in {:.1} s", (at - run.started_at) as f64 / 1_000.0),
        (None, None) => "under way".to_owned(),
    };
    let differed = if run.kind == "reconcile" { format!(", {} differed", run.differed) } else { String::new() };
    format!(
        "{} {:<9} {} seen, {} new, {} changed, {} to tell, {} left out, {} gone{differed}, {} calls; {state}",
        when(run.started_at),
        run.kind,
        run.seen,
        run.created,
        run.changed,
        run.told,
        run.skipped,
        run.gone,
        run.calls
    )
}

pub(super) fn one_run(run: &SyncRun, json: bool) -> Result<()> {
    if json {
        return print_json(run);
    }
    println!("{}", run_line(run));
    Ok(())
}

pub(super) async fn runs(assembly: &Assembly, name: Option<&str>, limit: i64, json: bool) -> Result<ExitCode> {
    let name = name.map(id);
    for run in assembly.store.sync_runs(WORKSPACE, name.as_ref(), limit).await? {
        if json {
            print_json(&run)?;
        } else {
            println!("{:<12} {}", run.connection, run_line(&run));
        }
    }
    Ok(ExitCode::SUCCESS)
}

pub(super) async fn skipped(assembly: &Assembly, name: Option<&str>, limit: i64, json: bool) -> Result<ExitCode> {
    let name = name.map(id);
    let all = assembly.store.skipped(WORKSPACE, name.as_ref(), limit).await?;
    if all.is_empty() && !json {
        println!("nothing was left out");
    }
    for record in all {
        if json {
            print_json(&record)?;
            continue;
        }
        let whose = record.person.map_or_else(String::new, |p| format!(", {p}"));
        println!("{} record {}{whose}, since {}", record.connection, record.record, when(record.at));
        for skip in record.skips {
            let what = match (skip.item.as_str(), skip.field.as_str()) {
                ("", "") => "the record".to_owned(),
                ("", field) => field.to_owned(),
                (item, "") => item.to_owned(),
                (item, field) => format!("{item} <-> {field}"),
            };
            println!("  {what}: {} ({})", skip.reason.text, skip.reason.code);
        }
    }
    Ok(ExitCode::SUCCESS)
}

fn word<T: serde::Serialize>(value: T) -> String {
    serde_json::to_value(value).ok().and_then(|v| v.as_str().map(str::to_owned)).unwrap_or_default()
}

pub(super) fn mapping(loaded: &Loaded, json: bool) -> Result<()> {
    let rule = |r: &Rule| {
        json!({ "item": r.item, "fields": r.theirs, "direction": r.direction, "conflict": r.conflict, "codec": r.codec,
            "values": r.values, "pull": r.pull.as_ref().map(|t| t.source().to_owned()),
            "push": r.push.as_ref().map(|t| t.source().to_owned()), "stated_source": r.stated_source })
    };
    if json {
        let rules: Vec<Value> = loaded.mapping.rules().iter().map(rule).collect();
        return print_json(&json!({ "rules": rules, "findings": loaded.findings }));
    }
    for r in loaded.mapping.rules() {
        let arrow = match word(r.direction).as_str() {
            "to_crm" => "->",
            "from_crm" => "<-",
            _ => "<->",
        };
        println!("{:<28} {arrow:<3} {:<34} {}", r.item.to_string(), r.theirs.join(", "), word(r.conflict));
    }
    for f in &loaded.findings {
        let level = match f.level {
            Level::Error => "ERROR",
            Level::LeftOut => "left out",
            Level::Notice => "note",
        };
        println!("{level}: {} <-> {}: {}; {}", f.item, f.field, f.problem, f.mend);
    }
    let missing = loaded.findings.iter().filter(|f| f.proposal.is_some()).count();
    if missing > 0 {
        println!("{missing} fields are missing in the CRM: --create-fields makes them where the CRM allows it");
    }
    Ok(())
}

pub(super) async fn fields(connection: &Connection, json: bool) -> Result<ExitCode> {
    let fields = connection.crm.contact_fields().await.context("the CRM's schema can't be read")?;
    for field in fields {
        if json {
            print_json(&field)?;
            continue;
        }
        let mut notes = Vec::new();
        notes.extend((!field.writable).then_some("read only"));
        notes.extend(field.required.then_some("required"));
        notes.extend(field.unique.then_some("unique"));
        println!("{:<44} {:<12} {:<40} {}", field.name, word(field.kind), field.label, notes.join(", "));
    }
    Ok(ExitCode::SUCCESS)
}

/// What changes, person by person.
pub(super) async fn preview(
    world: &World,
    loaded: &Loaded,
    records: &[CrmRecord],
    pulled: &Pulled,
    json: bool,
) -> Result<()> {
    let ids: Vec<PersonId> = pulled.profiles.iter().map(|(id, _)| *id).collect();
    let before: BTreeMap<PersonId, Profile> =
        world.people.cards(WORKSPACE, &ids).await?.into_iter().map(|card| (card.id, card.profile)).collect();
    let new: BTreeSet<PersonId> = pulled.created.iter().map(|(id, _)| *id).collect();
    for (record, person, skips) in &pulled.skips {
        let read: BTreeMap<&str, &Value> = records
            .iter()
            .filter(|r| r.id == *record)
            .flat_map(|r| loaded.names.iter().map(String::as_str).zip(&r.values))
            .filter(|(_, value)| !value.is_null())
            .collect();
        let after = person.and_then(|p| pulled.profiles.iter().chain(&pulled.created).find(|(id, _)| *id == p));
        let was = person.and_then(|p| before.get(&p)).cloned().unwrap_or_default();
        let changes = after.map(|(_, profile)| differences(&was, profile)).unwrap_or_default();
        let is_new = person.is_some_and(|p| new.contains(&p));
        let tell = person.is_some_and(|p| pulled.touched.iter().any(|t| t.person == p && t.tell));
        if json {
            print_json(&json!({ "record": record, "person": person.filter(|_| !is_new), "new": is_new, "read": read,
                "changes": changes, "crm_is_told": tell, "left_out": skips }))?;
            continue;
        }
        let whose = match (person, is_new) {
            (_, true) => "a new person".to_owned(),
            (Some(person), _) => person.to_string(),
            (None, _) => "nobody".to_owned(),
        };
        println!("record {record}: {whose}{}", if tell { "; the CRM is told something too" } else { "" });
        for (what, [old, new]) in &changes {
            println!(
                "  {what}: {} -> {}",
                old.as_deref().unwrap_or("(nothing)"),
                new.as_deref().unwrap_or("(nothing)")
            );
        }
        for skip in skips {
            println!("  left out: {} {} ({})", skip.item, skip.reason.text, skip.reason.code);
        }
        if changes.is_empty() && skips.is_empty() {
            println!("  nothing changes here");
        }
    }
    Ok(())
}

type Differences = BTreeMap<String, [Option<String>; 2]>;

fn differences(before: &Profile, after: &Profile) -> Differences {
    let keys: BTreeSet<&String> = before.fields.keys().chain(after.fields.keys()).collect();
    let value = |profile: &Profile, key: &str| profile.get(key).map(str::to_owned);
    let mut all: Differences = keys
        .into_iter()
        .map(|key| (key.clone(), [value(before, key), value(after, key)]))
        .filter(|(_, [old, new])| old != new)
        .collect();
    let there = |profile: &Profile, item: &Item| profile.has(item).then(|| "yes".to_owned());
    let tags = before.tags.union(&after.tags).map(|t| (format!("tag {t}"), Item::Tag(t.clone())));
    let labels = before.labels.union(&after.labels).map(|l| (format!("label {}", l.as_str()), Item::Label(*l)));
    all.extend(
        tags.chain(labels)
            .map(|(name, item)| (name, [there(before, &item), there(after, &item)]))
            .filter(|(_, [old, new])| old != new),
    );
    all
}
