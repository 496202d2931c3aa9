//! Bulk API 2.0 ingest jobs: create, upload CSV, close, read the results.
//! May touch: jobs; the world's records when a job runs. Must not touch: sockets.
//! Failure story: a job runs when its time has come and someone asks anything; a file that cannot be read fails the job as a
//! whole, a bad row fails alone. Headers such as the one that allows duplicates have no effect here, as in the real one.

use super::Sim;
use super::cell::moment;
use super::error::{Answer, Refusal, Reply};
use super::ids::RecordId;
use super::request::Call;
use super::table::Actor;
use super::world::World;
use super::write::{self, Pen};
use http::Method;
use serde::Deserialize;
use serde_json::{Map, Value, json};
use std::collections::BTreeMap;

/// All jobs of the org.
#[derive(Debug, Default)]
pub(super) struct Jobs {
    serial: u64,
    pub(super) ingest: BTreeMap<String, Ingest>,
    pub(super) queries: BTreeMap<String, super::bulk_query::Job>,
}

impl Jobs {
    pub(super) fn next_id(&mut self) -> String {
        self.serial += 1;
        RecordId::new(*b"750", self.serial).to_string()
    }
}

#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct NewJob {
    object: String,
    operation: String,
    #[serde(default)]
    external_id_field_name: Option<String>,
    #[serde(default)]
    content_type: Option<String>,
    #[serde(default)]
    line_ending: Option<String>,
    #[serde(default)]
    column_delimiter: Option<String>,
    #[serde(default, rename = "assignmentRuleId")]
    _assignment_rule_id: Option<String>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct StateChange {
    state: String,
}

/// One ingest job.
#[derive(Debug)]
pub(super) struct Ingest {
    id: String,
    new: NewJob,
    state: &'static str,
    error: Option<String>,
    created_at: i64,
    done_at: i64,
    data: Option<Vec<u8>>,
    header: Vec<String>,
    /// Id, whether it was made, and the row.
    good: Vec<(String, bool, Vec<String>)>,
    bad: Vec<(String, Vec<String>)>,
}

impl Ingest {
    fn show(&self, base: &str) -> Value {
        json!({
            "id": self.id, "object": self.new.object, "operation": self.new.operation, "state": self.state,
            "externalIdFieldName": self.new.external_id_field_name, "contentType": "CSV", "concurrencyMode": "Parallel",
            "lineEnding": self.new.line_ending.as_deref().unwrap_or("LF"), "jobType": "V2Ingest",
            "columnDelimiter": self.new.column_delimiter.as_deref().unwrap_or("COMMA"), "errorMessage": self.error,
            "createdDate": moment(self.created_at), "systemModstamp": moment(self.created_at),
            "apiVersion": base.rsplit_once('v').and_then(|(_, v)| v.parse::<f64>().ok()),
            "contentUrl": format!("{}/jobs/ingest/{}/batches", base.trim_start_matches('/'), self.id), "retries": 0,
            "numberRecordsProcessed": self.good.len() + self.bad.len(), "numberRecordsFailed": self.bad.len(),
            "totalProcessingTime": 0, "apiActiveProcessingTime": 0, "apexProcessingTime": 0,
        })
    }
}

pub(super) fn invalid(message: impl Into<String>) -> Refusal {
    Refusal::bad("INVALIDJOB", message)
}

/// Serves `/jobs/ingest/…`.
pub(super) fn serve(sim: &Sim, call: &Call, path: &[&str], now: i64) -> Answer {
    let mut world = sim.world();
    match (&call.method, path) {
        (&Method::POST, []) => create(&mut world, call, now),
        (&Method::GET, []) => {
            let list: Vec<Value> = world.jobs.ingest.values().map(|job| job.show(&call.base)).collect();
            Ok(Reply::read(json!({"done": true, "nextRecordsUrl": null, "records": list})))
        }
        (&Method::PUT, [id, "batches"]) => upload(&mut world, sim, call, id, now),
        (&Method::PATCH, [id]) => {
            let change: StateChange = call.json()?;
            let job = world.jobs.ingest.get_mut(*id).ok_or_else(Refusal::not_found)?;
            match (job.state, change.state.as_str()) {
                ("Open", "UploadComplete") => {
                    job.state = "UploadComplete";
                    job.done_at = now + sim.config.flags.bulk_job_ms;
                }
                ("Open" | "UploadComplete" | "InProgress", "Aborted") => job.state = "Aborted",
                (from, to) => {
                    return Err(Refusal::bad("INVALIDJOBSTATE", format!("Can't change state from {from} to {to}")));
                }
            }
            let shown = job.show(&call.base);
            Ok(Reply::wrote(200, shown))
        }
        (&Method::GET, [id]) => {
            Ok(Reply::read(world.jobs.ingest.get(*id).ok_or_else(Refusal::not_found)?.show(&call.base)))
        }
        (&Method::GET, [id, which]) => results(world.jobs.ingest.get(*id).ok_or_else(Refusal::not_found)?, which),
        (&Method::DELETE, [id]) => {
            let state = world.jobs.ingest.get(*id).ok_or_else(Refusal::not_found)?.state;
            if !matches!(state, "JobComplete" | "Failed" | "Aborted") {
                return Err(Refusal::bad("INVALIDJOBSTATE", format!("Can't delete a job that is {state}")));
            }
            world.jobs.ingest.remove(*id);
            Ok(Reply::done())
        }
        _ => Err(Refusal::not_found()),
    }
}

fn create(world: &mut World, call: &Call, now: i64) -> Answer {
    let new: NewJob = call.json()?;
    let (number, _) = world
        .visible(&new.object)
        .ok_or_else(|| Refusal::bad("INVALIDENTITY", format!("Unable to find object: {}", new.object)))?;
    match (new.operation.as_str(), &new.external_id_field_name) {
        ("insert" | "update" | "delete", _) => {}
        ("upsert", Some(field)) => {
            world.by_key(number, field, "").map_err(|refusal| invalid(refusal.message))?;
        }
        ("upsert", None) => return Err(invalid("ExternalIdFieldName is required for upsert")),
        ("hardDelete", _) => return Err(Refusal::bad("FEATURENOTENABLED", "hardDelete needs its own permission")),
        (other, _) => return Err(invalid(format!("Unknown operation: {other}"))),
    }
    let fits = |given: &Option<String>, known: &[&str]| given.as_deref().is_none_or(|g| known.contains(&g));
    let delimiters = ["COMMA", "SEMICOLON", "TAB", "PIPE", "CARET", "BACKQUOTE"];
    if !fits(&new.content_type, &["CSV"])
        || !fits(&new.line_ending, &["LF", "CRLF"])
        || !fits(&new.column_delimiter, &delimiters)
    {
        return Err(invalid("contentType is CSV, lineEnding LF or CRLF, columnDelimiter one of the known ones"));
    }
    let id = world.jobs.next_id();
    let job = Ingest {
        id: id.clone(),
        new,
        state: "Open",
        error: None,
        created_at: now,
        done_at: 0,
        data: None,
        header: Vec::new(),
        good: Vec::new(),
        bad: Vec::new(),
    };
    let shown = job.show(&call.base);
    world.jobs.ingest.insert(id, job);
    Ok(Reply::wrote(200, shown))
}

fn upload(world: &mut World, sim: &Sim, call: &Call, id: &str, now: i64) -> Answer {
    if !call.is_csv() {
        return Err(Refusal::new(415, "UNSUPPORTED_MEDIA_TYPE", "Content-Type header must be text/csv"));
    }
    if call.body.len() > sim.config.limits.bulk_upload_bytes {
        return Err(Refusal::new(413, "REQUEST_TOO_LARGE", "The upload is larger than 150 megabytes."));
    }
    // A batch is ten thousand rows.
    let batches =
        u32::try_from(call.body.iter().filter(|b| **b == b'\n').count() / 10_000).unwrap_or(u32::MAX).saturating_add(1);
    if world.limiter.bulk_batches.used(now).saturating_add(batches) > sim.config.limits.bulk_batches {
        return Err(Refusal::bad("EXCEEDEDQUOTA", "ApiBatchItems Limit exceeded."));
    }
    let job = world.jobs.ingest.get_mut(id).ok_or_else(Refusal::not_found)?;
    if job.state != "Open" || job.data.is_some() {
        return Err(Refusal::bad("INVALIDJOBSTATE", "Data is uploaded once, to an open job."));
    }
    job.data = Some(call.body.to_vec());
    world.limiter.bulk_batches.add(now, batches);
    let mut reply = Reply::done();
    reply.status = 201;
    Ok(reply)
}

fn results(job: &Ingest, which: &str) -> Answer {
    let mut csv = csv::Writer::from_writer(Vec::new());
    let mut write = |front: Vec<String>, row: &[String]| csv.write_record(front.iter().chain(row));
    let written = match which {
        "successfulResults" => {
            let mut done = write(vec!["sf__Id".into(), "sf__Created".into()], &job.header);
            for (id, created, row) in &job.good {
                done = done.and_then(|()| write(vec![id.clone(), created.to_string()], row));
            }
            done
        }
        "failedResults" => {
            let mut done = write(vec!["sf__Id".into(), "sf__Error".into()], &job.header);
            for (error, row) in &job.bad {
                done = done.and_then(|()| write(vec![String::new(), error.clone()], row));
            }
            done
        }
        "unprocessedrecords" => write(Vec::new(), &job.header),
        _ => return Err(Refusal::not_found()),
    };
    let bytes = written.ok().and_then(|()| csv.into_inner().ok());
    bytes.map(Reply::csv).ok_or_else(|| Refusal::new(500, "UNKNOWN_EXCEPTION", "the results cannot be written"))
}

/// Runs the jobs whose time has come.
pub(super) fn run_due(world: &mut World, sim: &Sim, now: i64) {
    let due = |job: &&mut Ingest| job.state == "UploadComplete" && job.done_at <= now;
    let Some(id) = world.jobs.ingest.values_mut().find(due).map(|job| job.id.clone()) else { return };
    let Some(mut job) = world.jobs.ingest.remove(&id) else { return };
    let faults = sim.faults();
    let pen = Pen {
        actor: Actor::Api,
        now,
        allow_duplicates: false,
        config: &sim.config,
        faults: &faults,
        chance: &sim.chance,
    };
    job.state = match run(world, &pen, &mut job) {
        Ok(()) => "JobComplete",
        Err(message) => {
            job.error = Some(message);
            "Failed"
        }
    };
    world.jobs.ingest.insert(id, job);
}

fn run(world: &mut World, pen: &Pen<'_>, job: &mut Ingest) -> Result<(), String> {
    let data = job.data.take().unwrap_or_default();
    let crlf = data.windows(2).any(|pair| pair == b"\r\n");
    if crlf != (job.new.line_ending.as_deref() == Some("CRLF")) {
        return Err("InvalidBatch : LineEnding is invalid on user data. Current LineEnding setting is LF".to_owned());
    }
    let delimiter = match job.new.column_delimiter.as_deref() {
        Some("SEMICOLON") => b';',
        Some("TAB") => b'\t',
        Some("PIPE") => b'|',
        Some("CARET") => b'^',
        Some("BACKQUOTE") => b'`',
        _ => b',',
    };
    let mut reader = csv::ReaderBuilder::new().delimiter(delimiter).from_reader(data.as_slice());
    let header = reader.headers().map_err(|error| format!("InvalidBatch : {error}"))?;
    job.header = header.iter().map(str::to_owned).collect();
    let (number, object) = world.visible(&job.new.object).ok_or("InvalidBatch : the object is gone")?;
    for name in &job.header {
        let known = match name.split_once('.') {
            Some((relationship, _)) => object.relationship(relationship).is_some(),
            None => object.find(name).is_some_and(|(no, _)| world.access.reads(number, no)),
        };
        if !known {
            return Err(format!("InvalidBatch : Field name not found : {name}"));
        }
    }
    for record in reader.records() {
        let row: Vec<String> =
            record.map_err(|error| format!("InvalidBatch : {error}"))?.iter().map(str::to_owned).collect();
        match one(world, pen, number, job, &row) {
            Ok((id, created)) => job.good.push((id.to_string(), created, row)),
            Err(refusal) => {
                world.tally.row_failed(&refusal);
                job.bad.push((refusal.bulk(), row));
            }
        }
    }
    Ok(())
}

fn one(
    world: &mut World,
    pen: &Pen<'_>,
    number: super::schema::ObjectNo,
    job: &Ingest,
    row: &[String],
) -> Result<(RecordId, bool), Refusal> {
    let mut fields: Map<String, Value> = Map::new();
    for (name, text) in job.header.iter().zip(row) {
        let value = match text.as_str() {
            // An empty cell leaves the field as it is; this text empties it.
            "" => continue,
            "#N/A" => Value::Null,
            text => json!(text),
        };
        match name.split_once('.') {
            Some((relationship, key)) => fields.insert(relationship.to_owned(), json!({key: value})),
            None => fields.insert(name.clone(), value),
        };
    }
    let mut take = |key: &str| {
        let name = fields.keys().find(|name| name.eq_ignore_ascii_case(key)).cloned();
        name.and_then(|name| fields.remove(&name))
            .and_then(|value| value.as_str().map(str::to_owned))
            .unwrap_or_default()
    };
    match job.new.operation.as_str() {
        "insert" => Ok((write::write(world, pen, number, None, &fields)?, true)),
        "upsert" => {
            let key = job.new.external_id_field_name.clone().unwrap_or_default();
            let value = take(&key);
            if value.is_empty() {
                return Err(Refusal::bad("MISSING_ARGUMENT", format!("{key} not specified")));
            }
            let target = match world.by_key(number, &key, &value)?.as_slice() {
                [] => None,
                [id] => Some(*id),
                _ => return Err(Refusal::bad("DUPLICATE_EXTERNAL_ID", format!("{key}: more than one record found"))),
            };
            if target.is_none() {
                fields.insert(key, json!(value));
            }
            Ok((write::write(world, pen, number, target, &fields)?, target.is_none()))
        }
        operation => {
            let id = take("Id");
            let id = world.live(number, &id)?.id;
            if operation == "delete" {
                write::delete(world, pen, number, id)?;
            } else {
                write::write(world, pen, number, Some(id), &fields)?;
            }
            Ok((id, false))
        }
    }
}
