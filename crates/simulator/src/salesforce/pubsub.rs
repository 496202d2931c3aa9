//! The Pub/Sub API: gRPC over HTTP/2 without TLS on the same port. Subscribe, GetSchema, GetTopic. Messages by `pubsub_api.proto` of the
//! repository forcedotcom/pub-sub-api (CC0), read and written by hand.
//! May touch: the world, to read it; its own connection. Must not touch: records, to change them.
//! Failure story: a stream ends with a status that says why; whoever subscribes again with the last replay id misses nothing that is
//! kept.

use super::Sim;
use super::changes::{self, Event};
use super::config::Outage;
use super::schema::SObject;
use super::world::World;
use crate::listener::pause;
use axum::body::Body;
use axum::extract::Request;
use axum::response::Response;
use bytes::{Buf as _, Bytes, BytesMut};
use futures_util::StreamExt as _;
use http::{HeaderMap, HeaderName, HeaderValue, header};
use http_body_util::StreamBody;
use hyper::body::Frame;
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::sync::mpsc;

/// Events under way at most.
const WINDOW: i64 = 100;
/// How often a stream looks for news.
const LOOK: Duration = Duration::from_millis(15);

/// What a call ends with: gRPC's status, and Salesforce's code.
#[derive(Debug, Clone, Copy)]
struct End(u8, &'static str);

const INVALID: End = End(3, "sfdc.platform.eventbus.grpc.topic.fetch.request.invalid");
const NO_TOPIC: End = End(5, "sfdc.platform.eventbus.grpc.topic.not.found");
const BAD_REPLAY: End = End(3, "sfdc.platform.eventbus.grpc.subscription.fetch.replayid.validation.failed");
const NO_SESSION: End = End(16, "sfdc.platform.eventbus.grpc.service.auth.error");
const AWAY: End = End(14, "sfdc.platform.eventbus.grpc.service.unavailable");

type Piece = Result<Frame<Bytes>, std::convert::Infallible>;

/// Serves a call of the service.
pub(super) async fn serve(sim: &Arc<Sim>, request: Request) -> Response {
    let method = request.uri().path().rsplit('/').next().unwrap_or_default().to_owned();
    sim.world().tally.request(&format!("gRPC {method}"));
    if sim.faults().outage.is_some() {
        return refused(AWAY);
    }
    let (parts, body) = request.into_parts();
    let proper = parts.version == http::Version::HTTP_2
        && parts.headers.get(header::CONTENT_TYPE).is_some_and(|kind| kind.as_bytes().starts_with(b"application/grpc"));
    if !proper || !may(sim, &parts.headers) {
        return refused(if proper { NO_SESSION } else { INVALID });
    }
    let mut inbox = Inbox { pieces: body.into_data_stream(), waiting: BytesMut::new() };
    let Some(first) = inbox.next().await else { return refused(INVALID) };
    match method.as_str() {
        "GetSchema" => unary(schema(&sim.world(), &first)),
        "GetTopic" => unary(topic(sim, &first)),
        "Subscribe" => subscribe(sim, parts.headers, first, inbox),
        _ => refused(End(12, "unimplemented")),
    }
}

/// The session, the instance and the org go along as metadata.
fn may(sim: &Sim, headers: &HeaderMap) -> bool {
    let text = |name: &str| headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let bearer = format!("Bearer {}", text("accesstoken"));
    let mut world = sim.world();
    let right_org = text("tenantid") == world.org.to_string() && text("instanceurl") == sim.instance_url();
    right_org && world.auth.check(Some(&bearer), &sim.config.oauth, sim.clock.now_ms()).is_ok()
}

/// The session is open still. Looking doesn't keep it open.
fn still(sim: &Sim, headers: &HeaderMap) -> bool {
    let token = headers.get("accesstoken").and_then(|value| value.to_str().ok()).unwrap_or_default();
    sim.world().auth.look(token, &sim.config.oauth, sim.clock.now_ms()).is_some()
}

/// Which objects' events a topic holds; none of an object that isn't selected.
fn objects(sim: &Sim, topic: &str) -> Vec<String> {
    let name = topic.strip_prefix("/data/").unwrap_or_default();
    let selected = sim.config.captured.iter();
    selected.filter(|object| name == "ChangeEvents" || changes::event_name(object) == name).cloned().collect()
}

fn schema_id(object: &SObject) -> String {
    format!("{}-{}", object.name, object.fields().count())
}

fn schema(world: &World, request: &Bytes) -> Result<Vec<u8>, End> {
    let asked = fields(request).and_then(|f| text_of(&f, 1)).ok_or(INVALID)?;
    // Fields are only added: a schema of before has the first ones of them.
    let unknown = End(5, "sfdc.platform.eventbus.grpc.schema.not.found");
    let (name, count) = asked.rsplit_once('-').ok_or(unknown)?;
    let count = count.parse::<usize>().map_err(|_| unknown)?;
    let (_, object) = world.schema.find(name).filter(|(_, o)| count <= o.fields().count()).ok_or(unknown)?;
    let mut out = Vec::new();
    put(&mut out, 1, changes::schema(object, count).to_string().as_bytes());
    put(&mut out, 2, asked.as_bytes());
    Ok(out)
}

fn topic(sim: &Sim, request: &Bytes) -> Result<Vec<u8>, End> {
    let name = fields(request).and_then(|f| text_of(&f, 1)).ok_or(INVALID)?;
    let object = objects(sim, &name).into_iter().next().ok_or(NO_TOPIC)?;
    let world = sim.world();
    let (_, object) = world.schema.find(&object).ok_or(NO_TOPIC)?;
    let mut out = Vec::new();
    put(&mut out, 1, name.as_bytes());
    put(&mut out, 2, world.org.to_string().as_bytes());
    out.extend([4 << 3, 1]);
    put(&mut out, 5, schema_id(object).as_bytes());
    Ok(out)
}

/// What a `FetchRequest` asks for.
struct Fetch {
    topic: String,
    preset: u64,
    replay: Bytes,
    count: i64,
}

fn fetch(request: &Bytes) -> Option<Fetch> {
    let all = fields(request)?;
    let number = |wanted: u64| {
        all.iter()
            .find_map(|(no, value)| if let (true, Given::Number(n)) = (*no == wanted, value) { Some(*n) } else { None })
    };
    let replay = all.iter().find_map(|(no, value)| match value {
        Given::Bytes(bytes) if *no == 3 => Some(bytes.clone()),
        _ => None,
    });
    Some(Fetch {
        topic: text_of(&all, 1)?,
        preset: number(2).unwrap_or(0),
        replay: replay.unwrap_or_default(),
        count: i64::try_from(number(4).unwrap_or(0)).ok()?,
    })
}

/// The number of the first event to be told.
fn begin(sim: &Sim, fetch: &Fetch) -> Result<u64, End> {
    let world = sim.world();
    let (first, end) = (world.changes.first(), world.changes.end());
    match (fetch.preset, <[u8; 8]>::try_from(&fetch.replay[..])) {
        (0, _) => Ok(end),
        (1, _) => Ok(first),
        (2, Ok(id)) => {
            let next = u64::from_be_bytes(id).saturating_add(1);
            if next < first || next > end { Err(BAD_REPLAY) } else { Ok(next) }
        }
        _ => Err(BAD_REPLAY),
    }
}

fn subscribe(sim: &Arc<Sim>, metadata: HeaderMap, first: Bytes, mut inbox: Inbox) -> Response {
    let Some(asked) = fetch(&first).filter(|f| (1..=WINDOW).contains(&f.count)) else { return refused(INVALID) };
    let objects = objects(sim, &asked.topic);
    if objects.is_empty() {
        return refused(NO_TOPIC);
    }
    let next = match begin(sim, &asked) {
        Ok(next) => next,
        Err(end) => return refused(end),
    };
    let (out, answer) = mpsc::channel::<Piece>(8);
    let sim = Arc::clone(sim);
    tokio::spawn(async move {
        let (more, mut wishes) = mpsc::channel::<Bytes>(8);
        let listener = tokio::spawn(async move {
            while let Some(message) = inbox.next().await {
                if more.send(message).await.is_err() {
                    return;
                }
            }
        });
        let end = stream(&sim, &metadata, &objects, next, asked.count, &mut wishes, &out).await;
        listener.abort();
        let mut trailers = HeaderMap::new();
        say(&mut trailers, end);
        let _ = out.send(Ok(Frame::trailers(trailers))).await;
    });
    let stream = futures_util::stream::unfold(answer, |mut answer| async { Some((answer.recv().await?, answer)) });
    let mut response = Response::new(Body::new(StreamBody::new(stream.boxed())));
    response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static("application/grpc"));
    response
}

async fn stream(
    sim: &Sim,
    metadata: &HeaderMap,
    objects: &[String],
    mut next: u64,
    mut pending: i64,
    wishes: &mut mpsc::Receiver<Bytes>,
    out: &mpsc::Sender<Piece>,
) -> End {
    let keepalive = Duration::from_millis(sim.config.flags.keepalive_ms);
    let mut spoke = Instant::now();
    let began = sim.streams();
    loop {
        while let Ok(wish) = wishes.try_recv() {
            let Some(more) = fetch(&wish).filter(|f| f.count > 0 && f.replay.is_empty() && f.preset == 0) else {
                return INVALID;
            };
            pending += more.count;
            if pending > WINDOW {
                return INVALID;
            }
        }
        if sim.stop.is_cancelled() || sim.streams() != began {
            return AWAY;
        }
        if matches!(sim.faults().outage, Some(Outage::Drop | Outage::Unavailable | Outage::Maintenance)) {
            return AWAY;
        }
        if !still(sim, metadata) {
            return NO_SESSION;
        }
        let (message, told) = news(sim, objects, &mut next, pending);
        if told > 0 || spoke.elapsed() >= keepalive {
            spoke = Instant::now();
            pending -= told;
            if out.send(Ok(Frame::data(framed(&message)))).await.is_err() {
                return AWAY;
            }
        }
        pause(&sim.stop, LOOK).await;
    }
}

/// A `FetchResponse` with what is new, at most so many events, and how many they are.
fn news(sim: &Sim, objects: &[String], next: &mut u64, most: i64) -> (Vec<u8>, i64) {
    let world = sim.world();
    let (mut out, mut told) = (Vec::new(), 0);
    let from = *next;
    // What may still be undone isn't told.
    let events = world.changes.from(from).take_while(|_| world.settled());
    for (number, event) in events {
        if told >= most {
            break;
        }
        *next = number + 1;
        if let (true, Some((_, object))) = (objects.contains(&event.object), world.schema.find(&event.object)) {
            put(&mut out, 1, &consumer(event, number, object, &world.users.api.to_string()));
            told += 1;
        }
    }
    put(&mut out, 2, &next.saturating_sub(1).to_be_bytes());
    put(&mut out, 3, b"rpc");
    out.push(4 << 3);
    varint(&mut out, u64::try_from(most - told).unwrap_or(0));
    (out, told)
}

fn consumer(event: &Event, number: u64, object: &SObject, user: &str) -> Vec<u8> {
    let mut producer = Vec::new();
    put(&mut producer, 1, format!("event-{number}").as_bytes());
    put(&mut producer, 2, schema_id(object).as_bytes());
    put(&mut producer, 3, &changes::payload(event, number, object.fields().count(), user));
    let mut out = Vec::new();
    put(&mut out, 1, &producer);
    put(&mut out, 2, &number.to_be_bytes());
    out
}

fn unary(answer: Result<Vec<u8>, End>) -> Response {
    let body = match answer {
        Ok(body) => body,
        Err(end) => return refused(end),
    };
    let mut trailers = HeaderMap::new();
    say(&mut trailers, End(0, ""));
    let pieces: [Piece; 2] = [Ok(Frame::data(framed(&body))), Ok(Frame::trailers(trailers))];
    let mut response = Response::new(Body::new(StreamBody::new(futures_util::stream::iter(pieces))));
    response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static("application/grpc"));
    response
}

/// An answer that is a status alone.
fn refused(end: End) -> Response {
    let mut response = Response::new(Body::empty());
    response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static("application/grpc"));
    say(response.headers_mut(), end);
    response
}

fn say(headers: &mut HeaderMap, End(status, code): End) {
    headers.insert(HeaderName::from_static("grpc-status"), HeaderValue::from(u16::from(status)));
    if !code.is_empty() {
        headers.insert(HeaderName::from_static("error-code"), HeaderValue::from_static(code));
    }
}

/// The client's messages as they come.
struct Inbox {
    pieces: axum::body::BodyDataStream,
    waiting: BytesMut,
}

impl Inbox {
    async fn next(&mut self) -> Option<Bytes> {
        loop {
            if let Some([0, a, b, c, d]) = self.waiting.first_chunk::<5>().copied() {
                let length = u32::from_be_bytes([a, b, c, d]) as usize;
                if self.waiting.len() >= length + 5 {
                    self.waiting.advance(5);
                    return Some(self.waiting.split_to(length).freeze());
                }
            }
            self.waiting.extend_from_slice(&self.pieces.next().await?.ok()?);
        }
    }
}

/// A field as it came.
enum Given {
    Number(u64),
    Bytes(Bytes),
}

fn fields(message: &Bytes) -> Option<Vec<(u64, Given)>> {
    let mut rest = message.clone();
    let mut found = Vec::new();
    while rest.has_remaining() {
        let tag = number(&mut rest)?;
        let value = match tag & 7 {
            0 => Given::Number(number(&mut rest)?),
            2 => {
                let length = usize::try_from(number(&mut rest)?).ok().filter(|n| *n <= rest.len())?;
                Given::Bytes(rest.split_to(length))
            }
            _ => return None,
        };
        found.push((tag >> 3, value));
    }
    Some(found)
}

fn number(rest: &mut Bytes) -> Option<u64> {
    let mut value = 0;
    for place in 0..10 {
        let byte = if rest.has_remaining() { rest.get_u8() } else { return None };
        value |= u64::from(byte & 0x7f) << (7 * place).min(63);
        if byte < 0x80 {
            return Some(value);
        }
    }
    None
}

fn text_of(fields: &[(u64, Given)], wanted: u64) -> Option<String> {
    fields.iter().find_map(|(no, value)| match value {
        Given::Bytes(bytes) if *no == wanted => String::from_utf8(bytes.to_vec()).ok(),
        _ => None,
    })
}

fn put(out: &mut Vec<u8>, field: u8, bytes: &[u8]) {
    out.push(field << 3 | 2);
    varint(out, bytes.len() as u64);
    out.extend(bytes);
}

fn varint(out: &mut Vec<u8>, mut value: u64) {
    while value > 0x7f {
        out.push((value & 0x7f) as u8 | 0x80);
        value >>= 7;
    }
    out.push(value as u8);
}

fn framed(message: &[u8]) -> Bytes {
    let length = u32::try_from(message.len()).unwrap_or(u32::MAX).to_be_bytes();
    [&[0], &length[..], message].concat().into()
}
