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
    let words = "Hello, where is my order? It was promised for yesterday and nobody answers the telephone. ";
    let text: String = words.chars().cycle().take(room).collect();
    format!("{before}{text}{after}").into_bytes()
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
