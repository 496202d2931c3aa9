//! What a message holds, by type: the line a person reads of it, its file, the phone it shares. Facts: whatsapp-api 2.4.

use crate::json::{self, Object};
use ponte_domain::identity::phone_digits;
use ponte_domain::inbound::MediaRef;
use serde_json::value::RawValue;

/// What a person reads of it in one line.
pub(super) fn text(kind: &str, item: &Object<'_>) -> Option<String> {
    if kind == "contacts" {
        return names(&item.list(kind));
    }
    let object = item.object(kind)?;
    match kind {
        "text" | "system" => object.string("body"),
        "image" | "video" | "sticker" => object.string("caption"),
        "document" => object.string("caption").or_else(|| object.string("filename")),
        "location" => object.string("name").or_else(|| object.string("address")).or_else(|| degrees(&object)),
        "interactive" => answer(&object),
        "button" => object.string("text").or_else(|| object.string("payload")),
        "order" => object.string("text").or_else(|| goods(&object)),
        "reaction" => object.string("emoji"),
        _ => None,
    }
}

/// The file that belongs to it; `None` without a media id (too large: error 131052).
pub(super) fn media(kind: &str, item: &Object<'_>) -> Option<MediaRef> {
    if !matches!(kind, "image" | "video" | "audio" | "voice" | "sticker" | "document") {
        return None;
    }
    let object = item.object(kind)?;
    Some(MediaRef {
        id: object.string("id")?,
        mime_type: object.string("mime_type"),
        sha256: object.string("sha256"),
        filename: object.string("filename"),
        voice: kind == "voice" || object.flag("voice"),
        animated: object.flag("animated"),
    })
}

/// Digits of the phone a person sent because we asked for it (`origin: contact_request`).
pub(super) fn shared_phone(kind: &str, item: &Object<'_>) -> Option<String> {
    if kind != "contacts" {
        return None;
    }
    let cards = item.list(kind);
    let card =
        cards.into_iter().filter_map(Object::read).find(|c| c.text("origin").as_deref() == Some("contact_request"))?;
    let phones: Vec<_> = card.list("phones").into_iter().filter_map(Object::read).collect();
    let digits = |key| phones.iter().filter_map(|phone| phone.text(key)).find_map(|text| phone_digits(&text));
    digits("wa_id").or_else(|| digits("phone"))
}

/// The answer to a request to call is a choice about calls: no text, and whether it opens the window isn't documented.
pub(super) fn is_permission_reply(kind: &str, item: &Object<'_>) -> bool {
    kind == "interactive"
        && item.object(kind).and_then(|o| o.text("type").map(|t| t == "call_permission_reply")).unwrap_or(false)
}

fn names(cards: &[&RawValue]) -> Option<String> {
    let names: Vec<String> = cards
        .iter()
        .filter_map(|raw| Object::read(raw)?.object("name"))
        .filter_map(|name| name.string("formatted_name").or_else(|| name.string("first_name")))
        .collect();
    (!names.is_empty()).then(|| names.join(", "))
}

fn degrees(place: &Object<'_>) -> Option<String> {
    Some(format!("{}, {}", place.text("latitude")?, place.text("longitude")?))
}

fn answer(interactive: &Object<'_>) -> Option<String> {
    let kind = interactive.text("type")?;
    let reply = interactive.object(&kind)?;
    match kind.as_ref() {
        "nfm_reply" => reply.string("body").or_else(|| reply.string("name")),
        "call_permission_reply" => reply.string("response"),
        _ => reply.string("title").or_else(|| reply.string("id")),
    }
}

fn goods(order: &Object<'_>) -> Option<String> {
    let items: Vec<String> = order
        .list("product_items")
        .into_iter()
        .filter_map(Object::read)
        .filter_map(|item| {
            let product = item.text("product_retailer_id")?;
            let quantity = item.raw("quantity").and_then(json::text);
            Some(quantity.map_or_else(|| product.as_ref().to_owned(), |n| format!("{n} × {product}")))
        })
        .collect();
    (!items.is_empty()).then(|| items.join(", "))
}
