//! Media: uploads by the business, files of customers, addresses that expire.
//! May touch: its own store. Must not touch: sockets; the server hands over bytes.

use super::errors::ApiError;
use super::ids::{self, Series};
use super::sample;
use super::stats::Counters;
use super::world::{World, purpose};
use crate::chance::mix;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use std::collections::HashMap;

const DAY_MS: i64 = 86_400_000;

#[derive(Debug, Clone)]
pub(crate) struct Item {
    pub bytes: Bytes,
    pub mime: String,
    digest: [u8; 32],
    expires_at_ms: i64,
}

impl Item {
    /// The hash as webhooks show it.
    pub fn base64(&self) -> String {
        STANDARD.encode(self.digest)
    }
}

#[derive(Debug, Default)]
pub(crate) struct MediaStore {
    items: HashMap<String, Item>,
}

impl MediaStore {
    /// A living medium.
    pub fn get(&self, id: &str, now_ms: i64) -> Option<&Item> {
        self.items.get(id).filter(|item| now_ms < item.expires_at_ms)
    }

    pub fn mime(&self, id: &str, now_ms: i64) -> Option<&str> {
        self.get(id, now_ms).map(|item| item.mime.as_str())
    }

    pub fn remove(&mut self, id: &str) -> bool {
        self.items.remove(id).is_some()
    }
}

/// Largest size in bytes and message kind of a MIME type; `None` when the platform does not take it.
fn accepted(mime: &str) -> Option<(usize, &'static str)> {
    const MB: usize = 1_024 * 1_024;
    match mime.split(';').next().unwrap_or_default().trim() {
        "audio/aac" | "audio/amr" | "audio/mpeg" | "audio/mp4" | "audio/ogg" => Some((16 * MB, "audio")),
        "video/mp4" | "video/3gpp" => Some((16 * MB, "video")),
        "image/jpeg" | "image/png" => Some((5 * MB, "image")),
        "image/webp" => Some((500 * 1_024, "sticker")),
        "text/plain"
        | "application/pdf"
        | "application/msword"
        | "application/vnd.ms-excel"
        | "application/vnd.ms-powerpoint"
        | "application/vnd.openxmlformats-officedocument.wordprocessingml.document"
        | "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet"
        | "application/vnd.openxmlformats-officedocument.presentationml.presentation" => Some((100 * MB, "document")),
        _ => None,
    }
}

/// Whether a file of this type can be sent as this kind of message. Documents take anything.
pub(crate) fn fits(kind: &str, mime: &str) -> bool {
    kind == "document" || accepted(mime).is_some_and(|(_, natural)| natural == kind)
}

/// Stores an upload; the answer's body.
///
/// # Errors
/// 100 for a MIME type or size that is not accepted.
pub(crate) fn upload(world: &World, bytes: Bytes, mime: &str) -> Result<Value, ApiError> {
    let Some((limit, _)) = accepted(mime) else {
        return Err(ApiError::new(
            100,
            format!("Param file must be a file with one of the supported types. Received file of type '{mime}'."),
        ));
    };
    if bytes.is_empty() || bytes.len() > limit {
        return Err(ApiError::new(100, format!("Param file must have 1 to {limit} bytes for type '{mime}'.")));
    }
    Counters::one(&world.counters.media_uploaded);
    Ok(json!({"id": store(world, bytes, mime, 30 * DAY_MS).0}))
}

/// Stores bytes for a time; id and item.
fn store(world: &World, bytes: Bytes, mime: &str, life_ms: i64) -> (String, Item) {
    let id = ids::object_id(world.config.seed, Series::Media, world.next(purpose::MEDIA_ID));
    let digest: [u8; 32] = Sha256::digest(&bytes).into();
    let item = Item { bytes, mime: mime.to_owned(), digest, expires_at_ms: world.now_ms() + life_ms };
    world.media().items.insert(id.clone(), item.clone());
    (id, item)
}

/// A customer's file, as `messages[].<kind>` shows it. Lives 7 days.
pub(crate) fn from_customer(world: &World, kind: &str) -> Value {
    let (bytes, mime) = sample::file(kind, world.next(purpose::FILE));
    let (id, item) = store(world, bytes, mime, 7 * DAY_MS);
    json!({"id": id, "mime_type": mime, "sha256": item.base64(), "url": address(world, &id)})
}

/// The temporary address of a medium. Everything needed to judge it later is in it.
fn address(world: &World, id: &str) -> String {
    let until = world.now_ms() + world.config.rules.media_url_ms;
    format!("http://{}/whatsapp_business/attachments/?mid={id}&ext={until}&hash={}", world.addr, seal(world, id, until))
}

fn seal(world: &World, id: &str, until: i64) -> String {
    let start = mix(world.config.seed ^ until.unsigned_abs());
    format!("{:016x}", id.bytes().fold(start, |hash, byte| mix(hash ^ u64::from(byte))))
}

/// `GET /{media_id}`; `None` when there is no such medium.
pub(crate) fn describe(world: &World, id: &str) -> Option<Value> {
    let store = world.media();
    let item = store.get(id, world.now_ms())?;
    Some(json!({
        "messaging_product": "whatsapp", "url": address(world, id), "mime_type": item.mime,
        "sha256": hex::encode(item.digest), "file_size": item.bytes.len(), "id": id,
    }))
}

/// The bytes behind an address, if it is genuine and still lives.
pub(crate) fn download(world: &World, query: &HashMap<String, String>) -> Option<Item> {
    let (id, hash) = (query.get("mid")?, query.get("hash")?);
    let until: i64 = query.get("ext")?.parse().ok()?;
    if *hash != seal(world, id, until) || world.now_ms() >= until {
        return None;
    }
    Counters::one(&world.counters.media_downloaded);
    world.media().get(id, world.now_ms()).cloned()
}

/// Whether this media call fails by injected trouble.
pub(crate) fn fails(world: &World) -> bool {
    let share = world.faults().media_failures;
    share > 0.0 && world.draw(purpose::MEDIA, world.next(purpose::MEDIA)).happens(share)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn types_fit_the_messages_they_are_for() {
        assert!(fits("image", "image/png") && fits("document", "image/png") && fits("audio", "audio/ogg; codecs=opus"));
        assert!(!fits("image", "video/mp4") && !fits("sticker", "image/png") && !fits("image", "image/webp"));
        let (jpeg, other) = (sample::file("image", 1), sample::file("image", 2));
        assert!(jpeg.0.starts_with(&[0xFF, 0xD8, 0xFF, 0xFE]) && jpeg.0.ends_with(&[0xFF, 0xD9]) && jpeg.0 != other.0);
    }
}
