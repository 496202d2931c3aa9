//! The few messages of the Pub/Sub API that a listener needs, and how gRPC frames them. Field numbers: `pubsub_api.proto` of the
//! repository forcedotcom/pub-sub-api (CC0). A code generator and a gRPC stack would be more code than this.
//! Must not touch: anything but bytes. What can't be read is `None`, never a guess.

use bytes::{Buf as _, BufMut as _, Bytes, BytesMut};

/// The largest message that is taken: Salesforce's own limit of an answer is 4 MB.
const MOST: usize = 8 << 20;

/// Where a subscription begins.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Replay {
    /// With what happens from now on.
    Latest,
    /// Behind this event.
    After(Bytes),
}

/// `FetchRequest`: asks for so many events more. `replay`: in the first one only.
pub(super) fn fetch_request(topic: &str, replay: Option<&Replay>, count: u8) -> Bytes {
    let mut body = BytesMut::new();
    put_bytes(&mut body, 1, topic.as_bytes());
    if let Some(Replay::After(id)) = replay {
        put_varint(&mut body, 2 << 3);
        put_varint(&mut body, 2);
        put_bytes(&mut body, 3, id);
    }
    put_varint(&mut body, 4 << 3);
    put_varint(&mut body, u64::from(count));
    framed(&body)
}

/// `SchemaRequest`.
pub(super) fn schema_request(id: &str) -> Bytes {
    let mut body = BytesMut::new();
    put_bytes(&mut body, 1, id.as_bytes());
    framed(&body)
}

/// An event: the id of its schema and its payload.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Event {
    pub(super) schema: String,
    pub(super) payload: Bytes,
}

/// `FetchResponse`.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Fetched {
    pub(super) events: Vec<Event>,
    /// The place behind the last event, or behind what was looked through without finding one.
    pub(super) replay: Option<Bytes>,
    /// Events asked for and not delivered yet.
    pub(super) pending: i64,
}

/// Reads a `FetchResponse`.
pub(super) fn fetched(body: &Bytes) -> Option<Fetched> {
    let mut out = Fetched::default();
    for field in fields(body)? {
        match field {
            (1, Value::Bytes(consumer)) => {
                for field in fields(&consumer)? {
                    match field {
                        (1, Value::Bytes(producer)) => out.events.push(event(&producer)?),
                        (2, Value::Bytes(replay)) => out.replay = Some(replay),
                        _ => {}
                    }
                }
            }
            (2, Value::Bytes(replay)) if !replay.is_empty() => out.replay = Some(replay),
            (4, Value::Number(pending)) => out.pending = i64::try_from(pending).unwrap_or(0),
            _ => {}
        }
    }
    Some(out)
}

fn event(producer: &Bytes) -> Option<Event> {
    let mut event = Event { schema: String::new(), payload: Bytes::new() };
    for field in fields(producer)? {
        match field {
            (2, Value::Bytes(schema)) => event.schema = String::from_utf8(schema.to_vec()).ok()?,
            (3, Value::Bytes(payload)) => event.payload = payload,
            _ => {}
        }
    }
    Some(event)
}

/// Reads a `SchemaInfo`: the schema as JSON text.
pub(super) fn schema_info(body: &Bytes) -> Option<String> {
    let schema = fields(body)?.into_iter().find_map(|field| match field {
        (1, Value::Bytes(json)) => Some(json),
        _ => None,
    })?;
    String::from_utf8(schema.to_vec()).ok()
}

#[derive(Debug)]
enum Value {
    Number(u64),
    Bytes(Bytes),
}

/// The fields of a message, in their order; what has another form is left out.
fn fields(body: &Bytes) -> Option<Vec<(u64, Value)>> {
    let mut rest = body.clone();
    let mut found = Vec::new();
    while !rest.is_empty() {
        let tag = varint(&mut rest)?;
        match tag & 7 {
            0 => found.push((tag >> 3, Value::Number(varint(&mut rest)?))),
            2 => {
                let length = usize::try_from(varint(&mut rest)?).ok()?;
                if length > rest.len() {
                    return None;
                }
                found.push((tag >> 3, Value::Bytes(rest.split_to(length))));
            }
            kind @ (1 | 5) => {
                let length = if kind == 1 { 8 } else { 4 };
                if length > rest.len() {
                    return None;
                }
                rest.advance(length);
            }
            _ => return None,
        }
    }
    Some(found)
}

fn varint(rest: &mut Bytes) -> Option<u64> {
    let mut number = 0_u64;
    for shift in (0..64).step_by(7) {
        if rest.is_empty() {
            return None;
        }
        let byte = rest.get_u8();
        number |= u64::from(byte & 0x7f).checked_shl(shift)?;
        if byte & 0x80 == 0 {
            return Some(number);
        }
    }
    None
}

fn put_varint(out: &mut BytesMut, mut number: u64) {
    while number >= 0x80 {
        out.put_u8((number & 0x7f) as u8 | 0x80);
        number >>= 7;
    }
    out.put_u8(number as u8);
}

fn put_bytes(out: &mut BytesMut, field: u64, bytes: &[u8]) {
    put_varint(out, field << 3 | 2);
    put_varint(out, bytes.len() as u64);
    out.put_slice(bytes);
}

/// A message as gRPC sends it: not compressed, with its length before it.
fn framed(body: &[u8]) -> Bytes {
    let mut out = BytesMut::with_capacity(body.len() + 5);
    out.put_u8(0);
    out.put_u32(u32::try_from(body.len()).unwrap_or(u32::MAX));
    out.put_slice(body);
    out.freeze()
}

/// Puts messages together from pieces as they arrive.
#[derive(Debug, Default)]
pub(super) struct Frames(BytesMut);

/// What arrives is no gRPC.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct BadFrame;

impl Frames {
    pub(super) fn push(&mut self, piece: &[u8]) {
        self.0.put_slice(piece);
    }

    /// The next whole message, when it is there.
    pub(super) fn next(&mut self) -> Result<Option<Bytes>, BadFrame> {
        let Some((head, _)) = self.0.split_first_chunk::<5>() else { return Ok(None) };
        let [compressed, a, b, c, d] = *head;
        let length = u32::from_be_bytes([a, b, c, d]) as usize;
        // Nothing compressed was asked for.
        if compressed != 0 || length > MOST {
            return Err(BadFrame);
        }
        if self.0.len() < length + 5 {
            return Ok(None);
        }
        self.0.advance(5);
        Ok(Some(self.0.split_to(length).freeze()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn requests_have_the_contracts_bytes() {
        // Worked out by hand from the contract: 1: "/t", 4: 100.
        assert_eq!(&fetch_request("/t", Some(&Replay::Latest), 100)[..], b"\0\0\0\0\x06\x0a\x02/t\x20\x64");
        let after = Replay::After(Bytes::from_static(b"\x07"));
        assert_eq!(&fetch_request("/t", Some(&after), 1)[..], b"\0\0\0\0\x0b\x0a\x02/t\x10\x02\x1a\x01\x07\x20\x01");
        assert_eq!(&schema_request("ab")[..], b"\0\0\0\0\x04\x0a\x02ab");
    }

    #[test]
    fn the_numbers_are_those_of_the_vendors_contract() {
        let file = concat!(env!("CARGO_MANIFEST_DIR"), "/../simulator/interop/salesforce-pubsub/pubsub_api.proto");
        let contract = std::fs::read_to_string(file).unwrap();
        for (message, field) in [
            ("FetchRequest", "string topic_name = 1;"),
            ("FetchRequest", "ReplayPreset replay_preset = 2;"),
            ("FetchRequest", "bytes replay_id = 3;"),
            ("FetchRequest", "int32 num_requested = 4;"),
            ("FetchResponse", "repeated ConsumerEvent events = 1;"),
            ("FetchResponse", "bytes latest_replay_id = 2;"),
            ("FetchResponse", "int32 pending_num_requested = 4;"),
            ("ConsumerEvent", "ProducerEvent event = 1;"),
            ("ConsumerEvent", "bytes replay_id = 2;"),
            ("ProducerEvent", "string schema_id = 2;"),
            ("ProducerEvent", "bytes payload = 3;"),
            ("SchemaRequest", "string schema_id = 1;"),
            ("SchemaInfo", "string schema_json = 1;"),
        ] {
            let (_, block) = contract.split_once(&format!("message {message} {{")).unwrap();
            let (block, _) = block.split_once("\n }").or_else(|| block.split_once("\n}")).unwrap();
            assert!(block.contains(field), "{message}: {field}");
        }
        assert!(contract.contains("CUSTOM = 2;"));
    }

    #[test]
    fn answers_are_read_with_what_is_unknown_in_them() {
        let mut producer = BytesMut::new();
        put_bytes(&mut producer, 1, b"id");
        put_bytes(&mut producer, 2, b"schema");
        put_bytes(&mut producer, 3, b"payload");
        put_bytes(&mut producer, 9, b"new");
        let mut consumer = BytesMut::new();
        put_bytes(&mut consumer, 1, &producer);
        put_bytes(&mut consumer, 2, b"r1");
        let mut body = BytesMut::new();
        put_bytes(&mut body, 1, &consumer);
        put_bytes(&mut body, 2, b"r2");
        put_varint(&mut body, 4 << 3);
        put_varint(&mut body, 300);
        body.put_slice(&[7 << 3 | 5, 1, 2, 3, 4]);
        let read = fetched(&body.freeze()).unwrap();
        assert_eq!(read.events, [Event { schema: "schema".into(), payload: Bytes::from_static(b"payload") }]);
        assert_eq!((read.replay.as_deref(), read.pending), (Some(&b"r2"[..]), 300));
    }

    proptest! {
        #[test]
        fn messages_come_out_whole_however_they_are_cut(
            bodies in proptest::collection::vec(proptest::collection::vec(any::<u8>(), 0..40), 0..6), cut in 1usize..9,
        ) {
            let all: Vec<u8> = bodies.iter().flat_map(|b| framed(b).to_vec()).collect();
            let (mut frames, mut out) = (Frames::default(), Vec::new());
            for piece in all.chunks(cut) {
                frames.push(piece);
                while let Some(message) = frames.next().unwrap() {
                    out.push(message.to_vec());
                }
            }
            prop_assert_eq!(out, bodies);
        }

        #[test]
        fn no_bytes_make_it_panic(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
            let body = Bytes::from(bytes.clone());
            let _ = (fetched(&body), schema_info(&body));
            let mut frames = Frames::default();
            frames.push(&bytes);
            let _ = frames.next();
        }
    }
}
