//! Composite calls: up to 25 requests in one, later ones with results of earlier ones.
//! May touch: the world, through the endpoints. Must not touch: sockets, allowances; the whole counts as one request.
//! Failure story: with `allOrNone` the first refused part undoes all before it, and the rest is not begun.

use super::Sim;
use super::error::{Answer, Body, Refusal, Reply};
use super::gate::dispatch;
use super::request::{Call, Family};
use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, Method};
use serde::Deserialize;
use serde_json::{Map, Value, json};
use std::collections::BTreeMap;

/// Queries and collections at most within one composite call.
const HEAVY: usize = 5;

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Composite {
    #[serde(default)]
    all_or_none: bool,
    // Taken and without effect: parts are done in order.
    #[serde(default, rename = "collateSubrequests")]
    _collate: bool,
    composite_request: Vec<Part>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Part {
    method: String,
    url: String,
    reference_id: String,
    #[serde(default)]
    body: Option<Value>,
    #[serde(default)]
    http_headers: BTreeMap<String, String>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Batch {
    #[serde(default)]
    halt_on_error: bool,
    batch_requests: Vec<BatchPart>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct BatchPart {
    method: String,
    url: String,
    #[serde(default)]
    rich_input: Option<Value>,
}

fn check_size(sim: &Sim, parts: usize) -> Result<(), Refusal> {
    let most = sim.config.limits.composite;
    if parts == 0 || parts > most {
        let message = format!("Composite requests have between 1 and {most} subrequests.");
        return Err(Refusal::bad("LIMIT_EXCEEDED", message));
    }
    Ok(())
}

/// Serves `/composite`.
pub(super) fn serve(sim: &Sim, call: &Call, session: &str) -> Answer {
    let given: Composite = call.json()?;
    check_size(sim, given.composite_request.len())?;
    let heavy = |part: &&Part| part.url.contains("/query") || part.url.contains("/composite/");
    if given.composite_request.iter().filter(heavy).count() > HEAVY {
        let message = format!("At most {HEAVY} subrequests may be queries or collections.");
        return Err(Refusal::bad("LIMIT_EXCEEDED", message));
    }
    let mut results: Map<String, Value> = Map::new();
    for part in &given.composite_request {
        let name = &part.reference_id;
        if name.is_empty() || !name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_') || results.contains_key(name)
        {
            return Err(Refusal::bad("INVALID_INPUT", format!("referenceId {name} is not a unique plain name.")));
        }
        results.insert(name.clone(), Value::Null);
    }
    results.clear();
    let mark = sim.world().mark();
    let (mut shown, mut failed, mut wrote) = (Vec::new(), false, false);
    for part in &given.composite_request {
        let answer = if failed && given.all_or_none { Err(halted()) } else { one(sim, call, session, part, &results) };
        wrote |= answer.as_ref().is_ok_and(|reply| reply.wrote);
        let (status, body) = outcome(answer);
        failed |= status >= 300;
        if status < 300 {
            results.insert(part.reference_id.clone(), body.clone());
        }
        shown
            .push(json!({"body": body, "httpHeaders": {}, "httpStatusCode": status, "referenceId": part.reference_id}));
    }
    let mut world = sim.world();
    let undo = failed && given.all_or_none;
    if undo {
        world.roll_back(mark);
        for entry in shown.iter_mut().filter(|entry| entry["httpStatusCode"].as_u64().is_some_and(|s| s < 300)) {
            entry["body"] = halted().body();
            entry["httpStatusCode"] = json!(400);
        }
    } else {
        world.keep(&mark);
    }
    let mut reply = Reply::wrote(200, json!({"compositeResponse": shown}));
    reply.wrote = wrote && !undo;
    Ok(reply)
}

fn halted() -> Refusal {
    let message = "The transaction was rolled back since another operation in the same transaction failed.";
    Refusal::bad("PROCESSING_HALTED", message)
}

fn outcome(answer: Answer) -> (u16, Value) {
    match answer {
        Ok(Reply { status, body: Body::Json(body), .. }) => (status, body),
        Ok(Reply { status, .. }) => (status, Value::Null),
        Err(refusal) => (refusal.status, refusal.body()),
    }
}

fn one(sim: &Sim, call: &Call, session: &str, part: &Part, results: &Map<String, Value>) -> Answer {
    let url = replaced(&part.url, results)?;
    let body = part.body.as_ref().map(|body| replace_in(body, results)).transpose()?;
    let mut headers = HeaderMap::new();
    for (name, value) in &part.http_headers {
        let pair = (HeaderName::from_bytes(name.as_bytes()).ok(), HeaderValue::from_str(value).ok());
        if let (Some(name), Some(value)) = pair {
            headers.insert(name, value);
        }
    }
    inner(sim, call, session, &part.method, &url, headers, body)
}

fn inner(
    sim: &Sim,
    call: &Call,
    session: &str,
    method: &str,
    url: &str,
    mut headers: HeaderMap,
    body: Option<Value>,
) -> Answer {
    let method = Method::from_bytes(method.as_bytes()).map_err(|_| Refusal::method("GET,POST,PATCH,PUT,DELETE"))?;
    headers.insert("content-type", HeaderValue::from_static("application/json"));
    let body = body.map(|body| Bytes::from(body.to_string())).unwrap_or_default();
    let inner = call.inner(method, url, headers, body);
    let nested = matches!(inner.path().as_slice(), ["composite"] | ["composite", "batch"]);
    if inner.family != Some(Family::Data) || nested {
        return Err(Refusal::bad("INVALID_INPUT", format!("{url} can't be part of a composite request.")));
    }
    dispatch(sim, &inner, session)
}

/// `@{ref.records[0].Id}` within a text.
fn replaced(text: &str, results: &Map<String, Value>) -> Result<String, Refusal> {
    let mut out = String::new();
    let mut rest = text;
    while let Some((before, after)) = rest.split_once("@{") {
        let Some((expression, tail)) = after.split_once('}') else { break };
        out.push_str(before);
        let value = looked_up(expression, results)?;
        match value {
            Value::String(text) => out.push_str(text),
            other => out.push_str(&other.to_string()),
        }
        rest = tail;
    }
    out.push_str(rest);
    Ok(out)
}

fn looked_up<'a>(expression: &str, results: &'a Map<String, Value>) -> Result<&'a Value, Refusal> {
    let unknown = || {
        let message = format!("Invalid reference specified. No value for {expression} found in the results so far.");
        Refusal::bad("PROCESSING_HALTED", message)
    };
    let mut parts = expression.split(['.', '[', ']']).filter(|part| !part.is_empty());
    let mut at = parts.next().and_then(|name| results.get(name)).ok_or_else(unknown)?;
    for part in parts {
        at = match at {
            Value::Array(items) => part.parse::<usize>().ok().and_then(|n| items.get(n)),
            other => other.get(part),
        }
        .ok_or_else(unknown)?;
    }
    Ok(at)
}

fn replace_in(value: &Value, results: &Map<String, Value>) -> Result<Value, Refusal> {
    Ok(match value {
        Value::String(text) => Value::String(replaced(text, results)?),
        Value::Array(items) => {
            Value::Array(items.iter().map(|item| replace_in(item, results)).collect::<Result<_, _>>()?)
        }
        Value::Object(fields) => {
            let fields = fields.iter().map(|(name, value)| Ok((name.clone(), replace_in(value, results)?)));
            Value::Object(fields.collect::<Result<_, Refusal>>()?)
        }
        other => other.clone(),
    })
}

/// Serves `/composite/batch`: independent requests.
pub(super) fn batch(sim: &Sim, call: &Call, session: &str) -> Answer {
    let given: Batch = call.json()?;
    check_size(sim, given.batch_requests.len())?;
    let (mut shown, mut failed) = (Vec::new(), false);
    for part in &given.batch_requests {
        let url = if part.url.starts_with('/') { part.url.clone() } else { format!("/services/data/{}", part.url) };
        let answer = if failed && given.halt_on_error {
            Err(Refusal::new(412, "BATCH_PROCESSING_HALTED", "Batch processing halted per request"))
        } else {
            inner(sim, call, session, &part.method, &url, HeaderMap::new(), part.rich_input.clone())
        };
        let (status, body) = outcome(answer);
        failed |= status >= 300;
        shown.push(json!({"statusCode": status, "result": body}));
    }
    Ok(Reply::wrote(200, json!({"hasErrors": failed, "results": shown})))
}
