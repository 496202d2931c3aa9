//! Change data capture over the Pub/Sub API: a call by gRPC that stays open and tells which records changed. Facts: crm-apis section 2,
//! "Real time". What comes is only a hint: the record is read again, and polling goes on beside it, for neither order nor completeness
//! is promised.
//! May touch: the egress door, by HTTP/2. Must not touch: the contents of events beyond their header.
//! Failure story: a stream that breaks is opened again where it stood (the last replay id, in memory); when Salesforce refuses that
//! place, or after a start, it begins with the present, and the first thing told is to look for changes. A refused session is
//! replaced. Whoever listens waits between two tries, as after any failed call.

use super::Salesforce;
use super::avro::{Change, change};
use super::client::Client;
use super::config::SalesforceObject;
use super::soql::long_id;
use super::wire::{Fetched, Frames, Replay, fetch_request, fetched, schema_info, schema_request};
use bytes::Bytes;
use http::{HeaderName, HeaderValue};
use ponte_domain::SECOND;
use ponte_domain::crm::CrmHint;
use ponte_domain::error::{CallError, ErrorClass};
use ponte_net::{Download, NetError, Request, classify_read};
use secrecy::{ExposeSecret, SecretString};
use serde_json::Value;
use std::collections::{BTreeSet, HashMap};
use std::time::Duration;
use tokio::sync::mpsc;

/// Events that may be under way: Salesforce's most.
const WINDOW: u8 = 100;
/// More are asked for when so few are left.
const LOW: i64 = 50;
/// Salesforce shows a sign of life within 270 s.
const SILENCE: Duration = Duration::from_secs(300);
/// Schemas kept; an org has one for each object and each change of its fields.
const MOST_SCHEMAS: usize = 64;
const GRPC: &str = "application/grpc";
/// gRPC's statuses.
const INVALID_ARGUMENT: &str = "3";
const NOT_FOUND: &str = "5";
const PERMISSION_DENIED: &str = "7";
const RESOURCE_EXHAUSTED: &str = "8";
const UNAUTHENTICATED: &str = "16";

/// What is known between two calls of [`Salesforce::hear`].
#[derive(Default)]
pub(super) struct Ear {
    open: Option<Open>,
    /// Behind the last event that was told.
    replay: Option<Bytes>,
    schemas: HashMap<String, Value>,
}

/// A subscription.
struct Open {
    answer: Download,
    frames: Frames,
    ask: mpsc::Sender<Bytes>,
}

impl Salesforce {
    /// Waits until something changed. `None`: this connection doesn't listen.
    pub(super) async fn hear(&self) -> Result<Option<Vec<CrmHint>>, CallError> {
        if !self.client.config.change_data_capture {
            return Ok(None);
        }
        let mut ear = self.ear.lock().await;
        let mut hints = BTreeSet::new();
        if ear.open.is_none() {
            let known = ear.replay.clone();
            match self.client.subscribe(known.clone().map_or(Replay::Latest, Replay::After)).await {
                Ok(open) => ear.open = Some(open),
                Err(error) => {
                    // A place that isn't taken any more would be refused for ever.
                    if error.class == ErrorClass::Gone {
                        ear.replay = None;
                    }
                    return Err(later(error));
                }
            }
            if known.is_none() {
                hints.insert(CrmHint::Look);
            }
        }
        while hints.is_empty() {
            match self.client.next(&mut ear, self.topic()).await {
                Ok(changes) => hints.extend(changes.into_iter().flat_map(told)),
                Err(error) => {
                    ear.open = None;
                    if error.class == ErrorClass::Gone {
                        ear.replay = None;
                    }
                    return Err(later(error));
                }
            }
        }
        Ok(Some(hints.into_iter().collect()))
    }

    /// Contacts alone have a topic of their own; with leads all selected objects are listened to.
    fn topic(&self) -> &'static str {
        topic(self.client.config.object)
    }
}

const fn topic(object: SalesforceObject) -> &'static str {
    match object {
        SalesforceObject::Contact => "/data/ContactChangeEvent",
        SalesforceObject::Lead => "/data/ChangeEvents",
    }
}

/// What a change says to whoever keeps records in step.
fn told(change: Change) -> Vec<CrmHint> {
    if change.kind == "GAP_OVERFLOW" {
        return vec![CrmHint::Look];
    }
    let ids = change.ids.iter().filter_map(|id| long_id(id)).filter(|id| SalesforceObject::of_id(id).is_some());
    let gone = change.kind.trim_start_matches("GAP_") == "DELETE";
    ids.map(|id| if gone { CrmHint::Gone { id } } else { CrmHint::Changed { id } }).collect()
}

/// A place that was refused is a matter of the stream; whoever listens simply goes on.
fn later(mut error: CallError) -> CallError {
    if error.class == ErrorClass::Gone {
        error.class = ErrorClass::Retryable { after_ms: Some(SECOND) };
    }
    error
}

impl Client {
    async fn subscribe(&self, replay: Replay) -> Result<Open, CallError> {
        let topic = topic(self.config.object);
        let (ask, pieces) = mpsc::channel(4);
        let first = fetch_request(topic, Some(&replay), WINDOW);
        ask.send(first).await.map_err(|_| broken())?;
        let token = self.token().await?;
        let request = self.grpc("Subscribe", &token)?.pieces(GRPC, pieces).timeout(SILENCE).max_body(usize::MAX);
        let answer = self.door().download(request).await.map_err(|e| classify_read(&e))?;
        let status = |name: &str| answer.headers.get(name).and_then(|v| v.to_str().ok()).unwrap_or_default().to_owned();
        self.check(answer.status.as_u16(), &status("grpc-status"), &status("error-code"), &token)?;
        Ok(Open { answer, frames: Frames::default(), ask })
    }

    /// The changes of the next message; none in a sign of life.
    async fn next(&self, ear: &mut Ear, topic: &str) -> Result<Vec<Change>, CallError> {
        let open = ear.open.as_mut().ok_or_else(broken)?;
        let message = loop {
            if let Some(message) = open.frames.next().map_err(|_| broken())? {
                break message;
            }
            match open.answer.chunk().await {
                Ok(Some(piece)) => open.frames.push(&piece),
                Ok(None) => return Err(broken()),
                Err(NetError::TimeoutAfter) => return Err(broken()),
                Err(error) => return Err(classify_read(&error)),
            }
        };
        let Fetched { events, replay, pending } = fetched(&message).ok_or_else(broken)?;
        if pending < LOW {
            let more = u8::try_from(i64::from(WINDOW) - pending.max(0)).unwrap_or(WINDOW);
            open.ask.send(fetch_request(topic, None, more)).await.map_err(|_| broken())?;
        }
        let mut changes = Vec::with_capacity(events.len());
        for event in events {
            if !ear.schemas.contains_key(&event.schema) {
                if ear.schemas.len() >= MOST_SCHEMAS {
                    ear.schemas.clear();
                }
                match self.schema(&event.schema).await {
                    Ok(schema) => drop(ear.schemas.insert(event.schema.clone(), schema)),
                    // A schema that isn't told must not hold up what comes behind.
                    Err(error) if error.class == ErrorClass::Configuration => {}
                    Err(error) => return Err(error),
                }
            }
            let schema = ear.schemas.get(&event.schema).unwrap_or(&Value::Null);
            // What can't be read says at least that something happened.
            changes.push(
                change(schema, &event.payload)
                    .unwrap_or_else(|| Change { kind: "GAP_OVERFLOW".to_owned(), ids: Vec::new() }),
            );
        }
        // Only now: had anything failed before, the events would come again.
        if replay.is_some() {
            ear.replay = replay;
        }
        Ok(changes)
    }

    async fn schema(&self, id: &str) -> Result<Value, CallError> {
        let token = self.token().await?;
        let (ask, pieces) = mpsc::channel(1);
        ask.send(schema_request(id)).await.map_err(|_| broken())?;
        drop(ask);
        let request = self
            .grpc("GetSchema", &token)?
            .pieces(GRPC, pieces)
            .timeout(Duration::from_millis(self.config.request_timeout_ms));
        let answer = self.door().call(request).await.map_err(|e| classify_read(&e))?;
        let status = |name: &str| answer.header(name).unwrap_or_default().to_owned();
        self.check(answer.status.as_u16(), &status("grpc-status"), &status("error-code"), &token)?;
        let mut frames = Frames::default();
        frames.push(&answer.body);
        let message = frames.next().ok().flatten().ok_or_else(broken)?;
        let json = schema_info(&message).ok_or_else(broken)?;
        serde_json::from_str(&json).map_err(|_| broken())
    }

    /// A call of the service; the session goes along as three fields of metadata.
    fn grpc(&self, method: &str, token: &SecretString) -> Result<Request, CallError> {
        let (instance, org) = self.instance_and_org();
        let url = format!("{}/eventbus.v1.PubSub/{method}", self.config.pubsub_url.trim_end_matches('/'));
        let mut request = Request::post("salesforce", url).http2();
        for (name, text) in
            [("accesstoken", token.expose_secret()), ("instanceurl", &instance), ("tenantid", &org), ("te", "trailers")]
        {
            let mut value = HeaderValue::from_str(text).map_err(|_| {
                let title = "Salesforce's token answer holds what a header can't carry";
                CallError::new(ErrorClass::Configuration, "token_answer", title)
            })?;
            value.set_sensitive(name == "accesstoken");
            request = request.header(HeaderName::from_static(name), value);
        }
        Ok(request)
    }

    fn check(&self, http: u16, grpc: &str, code: &str, token: &SecretString) -> Result<(), CallError> {
        let code: String = code.chars().filter(|c| c.is_ascii_alphanumeric() || ".-_".contains(*c)).take(100).collect();
        let (class, title) = match grpc {
            "" | "0" if http == 200 => return Ok(()),
            UNAUTHENTICATED if self.refused(token) => {
                (ErrorClass::Retryable { after_ms: None }, "the session has ended: the next try has a new one")
            }
            UNAUTHENTICATED => (ErrorClass::Auth, "Salesforce refuses the session for events"),
            INVALID_ARGUMENT if code.contains("replayid") => {
                (ErrorClass::Gone, "the place in the stream is not kept any more")
            }
            INVALID_ARGUMENT | NOT_FOUND | PERMISSION_DENIED => (
                ErrorClass::Configuration,
                "change data capture is not selected for the object, or the integration user may not see it",
            ),
            RESOURCE_EXHAUSTED => {
                (ErrorClass::Retryable { after_ms: Some(600 * SECOND) }, "the org's allowance of events is used up")
            }
            _ => (ErrorClass::Retryable { after_ms: None }, "Salesforce's stream of events can't be had now"),
        };
        let code = if code.is_empty() { format!("grpc_{grpc}") } else { code };
        Err(CallError::new(class, code, title).with_status(http))
    }
}

fn broken() -> CallError {
    let class = ErrorClass::Retryable { after_ms: Some(SECOND) };
    CallError::new(class, "stream_ended", "Salesforce's stream of events ended")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn changes_are_hints() {
        let (contact, account) = ("0035g00000000A1AAI", "0015g00000000A1AAI");
        let hints = |kind: &str, ids: &[&str]| {
            told(Change { kind: kind.into(), ids: ids.iter().map(ToString::to_string).collect() })
        };
        let id = || contact.to_owned();
        assert_eq!(hints("UPDATE", &[contact, account]), [CrmHint::Changed { id: id() }]);
        assert_eq!(hints("UNDELETE", &[contact]), [CrmHint::Changed { id: id() }]);
        assert_eq!(hints("GAP_DELETE", &[contact]), [CrmHint::Gone { id: id() }]);
        assert_eq!(hints("GAP_OVERFLOW", &["003000000000000AAA"]), [CrmHint::Look]);
    }
}
