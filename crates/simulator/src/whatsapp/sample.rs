//! Small valid files that customers send: a grey JPEG, a PNG, a second of silence, an empty PDF.
//! May touch: nothing. Must not touch: state; this is data.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;

/// Bytes and MIME type of a file of this kind (`image`, `video`, `audio`, `sticker`, `document`). Images and documents
/// carry `serial`, so that no two have the same hash.
pub(crate) fn file(kind: &str, serial: u64) -> (Bytes, &'static str) {
    let raw = |text: &str| STANDARD.decode(text).unwrap_or_default();
    match kind {
        "image" if serial % 5 == 4 => (Bytes::from(raw(PNG)), "image/png"),
        "image" => (Bytes::from(commented(raw(JPEG), serial)), "image/jpeg"),
        "video" => (Bytes::from(raw(MP4)), "video/mp4"),
        "audio" => (Bytes::from(raw(OGG)), "audio/ogg; codecs=opus"),
        "sticker" => (Bytes::from(raw(WEBP)), "image/webp"),
        _ => {
            let mut pdf = raw(PDF);
            pdf.extend_from_slice(format!("% {serial}\n").as_bytes());
            (Bytes::from(pdf), "application/pdf")
        }
    }
}

/// A JPEG with a comment segment right after its start marker.
fn commented(jpeg: Vec<u8>, serial: u64) -> Vec<u8> {
    let comment = format!("simulated {serial:020}");
    let Some((start, rest)) = jpeg.split_at_checked(2) else { return jpeg };
    let mut out = start.to_vec();
    out.extend_from_slice(&[0xFF, 0xFE]);
    out.extend_from_slice(&u16::try_from(comment.len() + 2).unwrap_or(2).to_be_bytes());
    out.extend_from_slice(comment.as_bytes());
    out.extend_from_slice(rest);
    out
}

const JPEG: &str = concat!(
    "/9j/4AAQSkZJRgABAQAAAQABAAD/2wBDAAEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQ",
    "EBAQEBAQH/wAALCAAIAAgBAREA/8QAFAABAAAAAAAAAAAAAAAAAAAAAP/EABQQAQAAAAAAAAAAAAAAAAAAAAD/2gAIAQEAAD8AP//Z",
);
const PNG: &str = "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAIAAACQd1PeAAAADElEQVR42mNQaHAAAAGkAOGTLnQtAAAAAElFTkSuQmCC";
const OGG: &str = concat!(
    "T2dnUwACAAAAAAAAAAABAAAAAAAAAIRs2SQBE09wdXNIZWFkAQEAAIC7AAAAAABPZ2dTAAAAAAAAAAAAAAEAAAABAAAAf7WAxgETT3B1c1RhZ3",
    "MDAAAAc2ltAAAAAE9nZ1MABIC7AAAAAAAAAQAAAAIAAADpVDPGMgMDAwMDAwMDAwMDAwMDAwMDAwMDAwMDAwMDAwMDAwMDAwMDAwMDAwMDAwMD",
    "AwMDAwMD+P/++P/++P/++P/++P/++P/++P/++P/++P/++P/++P/++P/++P/++P/++P/++P/++P/++P/++P/++P/++P/++P/++P/++P/++P/++P",
    "/++P/++P/++P/++P/++P/++P/++P/++P/++P/++P/++P/++P/++P/++P/++P/++P/++P/++P/++P/++P/++P/++P/++P/++P/+",
);
const MP4: &str = concat!(
    "AAAAHGZ0eXBpc29tAAACAGlzb21pc28ybXA0MQAAAHRtb292AAAAbG12aGQAAAAAAAAAAAAAAAAAAAPoAAAD6AABAAABAAAAAAAAAAAAAAAAAQ",
    "AAAAAAAAAAAAAAAAAAAAEAAAAAAAAAAAAAAAAAAEAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAABAAAACG1kYXQ=",
);
const WEBP: &str = "UklGRhoAAABXRUJQVlA4TA0AAAAvAAAAEAcQERGIiP4HAA==";
const PDF: &str = concat!(
    "JVBERi0xLjQKMSAwIG9iajw8L1R5cGUvQ2F0YWxvZy9QYWdlcyAyIDAgUj4+CmVuZG9iagoyIDAgb2JqPDwvVHlwZS9QYWdlcy9LaWRzWzMgMC",
    "BSXS9Db3VudCAxPj4KZW5kb2JqCjMgMCBvYmo8PC9UeXBlL1BhZ2UvUGFyZW50IDIgMCBSL01lZGlhQm94WzAgMCAyMDAgMjAwXT4+CmVuZG9i",
    "agp4cmVmCjAgNAowMDAwMDAwMDAwIDY1NTM1IGYgCjAwMDAwMDAwMDkgMDAwMDAgbiAKMDAwMDAwMDA1MyAwMDAwMCBuIAowMDAwMDAwMTAzID",
    "AwMDAwIG4gCnRyYWlsZXI8PC9TaXplIDQvUm9vdCAxIDAgUj4+CnN0YXJ0eHJlZgoxNjcKJSVFT0YK",
);
