//! Webhook requests as Meta sends them: distinct, signed, as bytes.

use super::http::request;
use super::{APP_SECRET, NUMBERS, WABA};
use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;
use std::ops::Range;

/// Length of a body, bytes.
pub const BODY: usize = 1_500;
/// Where webhooks go.
pub const PATH: &str = "/webhooks/whatsapp";

/// `X-Hub-Signature-256` of a body.
#[must_use]
pub fn signature(body: &[u8]) -> String {
    Hmac::<Sha256>::new_from_slice(APP_SECRET.as_bytes()).map_or_else(
        |_| String::new(),
        |mut mac| {
            mac.update(body);
            format!("sha256={}", hex::encode(mac.finalize().into_bytes()))
        },
    )
}

/// The body of one text message, `at` in epoch seconds, padded by its text to `length` bytes.
#[must_use]
pub fn body(wamid: &str, wa_id: &str, at: i64, length: usize) -> Vec<u8> {
    let number = NUMBERS[0];
    let before = format!(
        "{{\"object\":\"whatsapp_business_account\",\"entry\":[{{\"id\":\"{WABA}\",\"changes\":[{{\"value\":{{\
         \"messaging_product\":\"whatsapp\",\"metadata\":{{\"display_phone_number\":\"15550783881\",\"phone_number_id\":\
         \"{number}\"}},\"contacts\":[{{\"profile\":{{\"name\":\"Customer {wa_id}\"}},\"wa_id\":\"{wa_id}\"}}],\
         \"messages\":[{{\"from\":\"{wa_id}\",\"id\":\"{wamid}\",\"timestamp\":\"{at}\",\"type\":\"text\",\"text\":{{\"body\":\""
    );
    let after = "\"}}]},\"field\":\"messages\"}]}]}";
    let room = length.saturating_sub(before.len() + after.len());
    format!("{before}{}{after}", prose(wamid, room)).into_bytes()
}

/// `length` characters of words in an order that no other seed repeats: a journal that packs what repeats itself must not be
/// measured with one sentence said over and over.
fn prose(seed: &str, length: usize) -> String {
    const WORDS: [&str; 48] = [
        "order",
        "yesterday",
        "please",
        "the",
        "address",
        "invoice",
        "can",
        "you",
        "tomorrow",
        "delivery",
        "size",
        "blue",
        "nobody",
        "answers",
        "telephone",
        "is",
        "wrong",
        "refund",
        "and",
        "when",
        "will",
        "it",
        "arrive",
        "I",
        "paid",
        "with",
        "card",
        "but",
        "never",
        "got",
        "a",
        "receipt",
        "obrigado",
        "pedido",
        "entrega",
        "hoje",
        "gracias",
        "mañana",
        "tienda",
        "number",
        "of",
        "my",
        "account",
        "changed",
        "could",
        "somebody",
        "look",
        "into",
    ];
    let mut state =
        seed.bytes().fold(0xcbf2_9ce4_8422_2325_u64, |h, b| (h ^ u64::from(b)).wrapping_mul(0x100_0000_01b3));
    let mut text = String::with_capacity(length + 16);
    while text.len() < length {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        text.push_str(WORDS.get((state >> 33) as usize % WORDS.len()).unwrap_or(&"and"));
        text.push_str(if state >> 60 == 0 { ", " } else { " " });
    }
    let end = (0..=length).rev().find(|n| text.is_char_boundary(*n)).unwrap_or(0);
    text.truncate(end);
    text.extend(std::iter::repeat_n('.', length - end));
    text
}

/// A signed webhook request.
#[must_use]
pub fn signed(body: &[u8]) -> Vec<u8> {
    let signature = signature(body);
    let headers = [
        ("user-agent", "facebookexternalua"),
        ("content-type", "application/json"),
        ("x-hub-signature-256", signature.as_str()),
    ];
    request("POST", PATH, &headers, body)
}

/// The `n`-th customer: a made-up number that belongs to nobody else.
#[must_use]
pub fn customer(n: usize) -> String {
    format!("4915{n:08}1")
}

/// Many requests, ready to be sent.
pub struct Pool {
    bytes: Vec<u8>,
    places: Vec<Range<usize>>,
}

impl Pool {
    /// `count` distinct messages of `people` customers; `series` tells pools apart.
    #[must_use]
    pub fn new(series: &str, count: usize, people: usize, at: i64) -> Self {
        let mut bytes = Vec::with_capacity(count * (BODY + 300));
        let mut places = Vec::with_capacity(count);
        for n in 0..count {
            let from = bytes.len();
            let wamid = format!("wamid.HBgN{series}{n:012}AERgSQkVOQ0g");
            bytes.extend_from_slice(&signed(&body(&wamid, &customer(n % people.max(1)), at, BODY)));
            places.push(from..bytes.len());
        }
        Self { bytes, places }
    }

    /// How many.
    #[must_use]
    pub const fn len(&self) -> usize {
        self.places.len()
    }

    /// The `n`-th request.
    #[must_use]
    pub fn get(&self, n: usize) -> Option<&[u8]> {
        self.bytes.get(self.places.get(n)?.clone())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bodies_are_json_of_the_wanted_length_and_distinct() {
        let one = body("wamid.A", &customer(7), 1_700_000_000, BODY);
        assert_eq!(one.len(), BODY);
        let value: serde_json::Value = serde_json::from_slice(&one).unwrap();
        assert_eq!(value["entry"][0]["changes"][0]["value"]["messages"][0]["id"], "wamid.A");
        let pool = Pool::new("T", 3, 2, 1_700_000_000);
        assert!(pool.get(0) != pool.get(1) && pool.get(3).is_none() && pool.len() == 3);
    }
}
