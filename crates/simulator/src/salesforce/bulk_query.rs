//! Bulk API 2.0 query jobs: create, wait, page through CSV results by a locator.
//! May touch: jobs; records, to read them. Must not touch: sockets.

use super::Sim;
use super::bulk::invalid;
use super::cell::moment;
use super::error::{Answer, Refusal, Reply};
use super::ids::RecordId;
use super::request::Call;
use super::soql::{Bound, Query, find, parse, value};
use super::world::World;
use http::Method;
use serde::Deserialize;
use serde_json::{Value, json};

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct NewJob {
    operation: String,
    query: String,
    #[serde(default, rename = "contentType")]
    _content_type: Option<String>,
    #[serde(default, rename = "lineEnding")]
    _line_ending: Option<String>,
    #[serde(default, rename = "columnDelimiter")]
    _column_delimiter: Option<String>,
}

/// One query job: its records are those of the moment in which it was made.
#[derive(Debug)]
pub(super) struct Job {
    id: String,
    operation: String,
    query: Query,
    ids: Vec<RecordId>,
    created_at: i64,
    done_at: i64,
    aborted: bool,
}

impl Job {
    fn state(&self, now: i64) -> &'static str {
        match (self.aborted, now >= self.done_at) {
            (true, _) => "Aborted",
            (false, true) => "JobComplete",
            (false, false) => "InProgress",
        }
    }

    fn show(&self, now: i64) -> Value {
        let state = self.state(now);
        json!({"id": self.id, "operation": self.operation, "object": self.query.object, "state": state,
               "createdDate": moment(self.created_at), "systemModstamp": moment(self.created_at), "contentType": "CSV",
               "concurrencyMode": "Parallel", "lineEnding": "LF", "columnDelimiter": "COMMA", "jobType": "V2Query",
               "numberRecordsProcessed": if state == "JobComplete" { self.ids.len() } else { 0 }, "retries": 0,
               "totalProcessingTime": 0})
    }
}

/// Serves `/jobs/query/…`.
pub(super) fn serve(sim: &Sim, call: &Call, path: &[&str], now: i64) -> Answer {
    let mut world = sim.world();
    match (&call.method, path) {
        (&Method::POST, []) => create(&mut world, sim, call, now),
        (&Method::GET, []) => {
            let list: Vec<Value> = world.jobs.queries.values().map(|job| job.show(now)).collect();
            Ok(Reply::read(json!({"done": true, "nextRecordsUrl": null, "records": list})))
        }
        (&Method::GET, [id]) => Ok(Reply::read(job(&world, id)?.show(now))),
        (&Method::GET, [id, "results"]) => results(&world, call, job(&world, id)?, now),
        (&Method::PATCH, [id]) => {
            let job = world.jobs.queries.get_mut(*id).ok_or_else(Refusal::not_found)?;
            job.aborted = true;
            Ok(Reply::wrote(200, job.show(now)))
        }
        (&Method::DELETE, [id]) => {
            world.jobs.queries.remove(*id).ok_or_else(Refusal::not_found)?;
            Ok(Reply::done())
        }
        _ => Err(Refusal::not_found()),
    }
}

fn job<'a>(world: &'a World, id: &str) -> Result<&'a Job, Refusal> {
    world.jobs.queries.get(id).ok_or_else(Refusal::not_found)
}

fn create(world: &mut World, sim: &Sim, call: &Call, now: i64) -> Answer {
    let new: NewJob = call.json()?;
    if world.limiter.bulk_queries.used(now) >= sim.config.limits.bulk_query_jobs {
        return Err(Refusal::bad("EXCEEDEDQUOTA", "DailyBulkV2QueryJobs Limit exceeded."));
    }
    let mut query = parse(&new.query)?;
    query.all_rows = match new.operation.as_str() {
        "query" => false,
        "queryAll" => true,
        other => return Err(invalid(format!("Unknown operation: {other}"))),
    };
    let bound = Bound::of(&query, world, false, now)?;
    if bound.count.is_some() || query.offset > 0 {
        let message = "Aggregate Relationships and OFFSET are not supported in Bulk Query";
        return Err(Refusal::bad("FEATURENOTENABLED", message));
    }
    let ids = find(world, &query, &bound);
    let id = world.jobs.next_id();
    let done_at = now + sim.config.flags.bulk_job_ms;
    let job = Job { id: id.clone(), operation: new.operation, query, ids, created_at: now, done_at, aborted: false };
    let shown = job.show(now);
    world.jobs.queries.insert(id, job);
    world.limiter.bulk_queries.add(now, 1);
    Ok(Reply::wrote(200, shown))
}

fn results(world: &World, call: &Call, job: &Job, now: i64) -> Answer {
    if job.state(now) != "JobComplete" {
        return Err(Refusal::bad("INVALIDJOBSTATE", format!("The job is {}", job.state(now))));
    }
    let number =
        |name: &str| call.query.get(name).map(|text| text.parse::<usize>().map_err(|_| invalid(format!("bad {name}"))));
    // The locator is opaque; this one is written so that nobody takes it for a row number.
    let from = match call.query.get("locator") {
        None | Some("") => 0,
        Some(text) => {
            let at = text.strip_prefix("MTAw").and_then(|n| n.parse::<usize>().ok());
            at.filter(|at| *at < job.ids.len()).ok_or_else(|| Refusal::bad("INVALID_LOCATOR", "invalid locator"))?
        }
    };
    let most = number("maxRecords").transpose()?.filter(|n| *n > 0).unwrap_or(50_000);
    let bound = Bound::of(&job.query, world, false, now)?;
    let mut csv = csv::WriterBuilder::new().quote_style(csv::QuoteStyle::Always).from_writer(Vec::new());
    let name = |way: &super::soql::Way| {
        let steps = way.steps.iter().map(|(_, name)| name.as_str());
        steps.chain([way.name.as_str()]).collect::<Vec<_>>().join(".")
    };
    let mut written = csv.write_record(bound.select.iter().map(name));
    let rows = job.ids.iter().skip(from).take(most).filter_map(|id| world.table(bound.object)?.row(*id));
    let mut count = 0;
    for row in rows {
        count += 1;
        let cells = bound.select.iter().map(|way| {
            let kind =
                if let super::soql::Leaf::Field(_, kind) = &way.leaf { *kind } else { super::schema::Kind::Text };
            value(world, bound.object, row, way).map(|cell| cell.csv(kind)).unwrap_or_default()
        });
        written = written.and_then(|()| csv.write_record(cells));
    }
    let bytes = written.ok().and_then(|()| csv.into_inner().ok());
    let bytes = bytes.ok_or_else(|| Refusal::new(500, "UNKNOWN_EXCEPTION", "the results cannot be written"))?;
    let next = if from + most < job.ids.len() { format!("MTAw{}", from + most) } else { "null".to_owned() };
    Ok(Reply::csv(bytes).with("sforce-locator", next).with("sforce-numberofrecords", count.to_string()))
}
