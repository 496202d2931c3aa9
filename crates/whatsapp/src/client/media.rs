//! Files: asking for the address, following it with the token to Meta's hosts only, checking size and hash; uploading.
//! Facts: whatsapp-api 5.3.
//! Failure story: nothing here changes anything that matters when repeated, so that every doubtful end may be tried again.

use super::CloudApi;
use super::config::is_id;
use crate::errors::{self, Effect};
use crate::json::Object;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::{Bytes, BytesMut};
use http::header::{CONTENT_TYPE, LOCATION};
use http::{HeaderMap, Method, StatusCode};
use ponte_domain::error::{CallError, ErrorClass};
use ponte_domain::ids::NumberId;
use ponte_domain::ports::channel::FetchedMedia;
use ponte_net::{Download, NetError, Request, classify_read, multipart};
use reqwest::Url;
use secrecy::SecretString;
use sha2::{Digest, Sha256};

/// Redirects followed between hosts that may have the token.
const MAX_HOPS: usize = 3;

const AGAIN: ErrorClass = ErrorClass::Retryable { after_ms: None };

/// What Meta says about a file.
struct Described {
    url: String,
    mime_type: Option<String>,
    sha256: Option<[u8; 32]>,
}

/// How an attempt to follow the address ended, when not with an error.
enum Followed {
    File {
        bytes: Bytes,
        mime_type: Option<String>,
        hash: [u8; 32],
    },
    /// The address is no longer good: it lives five minutes.
    Stale(StatusCode),
}

impl CloudApi {
    /// Asks for the address and follows it; once more when the address has gone stale in between.
    pub(super) async fn fetch(
        &self,
        number: &NumberId,
        media_id: &str,
        sha256_base64: Option<&str>,
    ) -> Result<FetchedMedia, CallError> {
        let token = self.access(number, media_id)?;
        let whole = async {
            let mut status = StatusCode::NOT_FOUND;
            for _ in 0..2 {
                let described = self.describe(number, media_id, token).await?;
                match self.follow(&described.url, token).await? {
                    Followed::File { bytes, mime_type, hash } => {
                        let given = sha256_base64.and_then(read_hash).or(described.sha256);
                        if given.is_some_and(|given| given != hash) {
                            let title = "the file isn't the one announced: its hash differs";
                            return Err(CallError::new(AGAIN, "media_hash", title));
                        }
                        return Ok(FetchedMedia { bytes, mime_type: mime_type.or(described.mime_type) });
                    }
                    Followed::Stale(answered) => status = answered,
                }
            }
            let title = "the file's address was refused twice";
            Err(CallError::new(AGAIN, format!("http_{}", status.as_u16()), title).with_status(status.as_u16()))
        };
        match tokio::time::timeout(self.config.media_timeout, whole).await {
            Ok(result) => result,
            Err(_) => Err(classify_read(&NetError::TimeoutAfter)),
        }
    }

    /// The token for a file of a number. What can't be an id would change the address that is asked.
    fn access(&self, number: &NumberId, media_id: &str) -> Result<&SecretString, CallError> {
        let token = self.token(number).ok_or_else(super::number_unknown)?;
        if !is_id(media_id) {
            let title = "the media id can't be one of Meta's";
            return Err(CallError::new(ErrorClass::Permanent, "media_id_invalid", title));
        }
        Ok(token)
    }

    /// The file itself, as an address of the API. The number keeps files of other numbers out.
    fn file_url(&self, number: &NumberId, media_id: &str) -> String {
        format!("{}?phone_number_id={number}", self.url(media_id))
    }

    /// What Meta says of a file, as it is.
    pub(super) async fn info(&self, number: &NumberId, media_id: &str) -> Result<serde_json::Value, CallError> {
        let token = self.access(number, media_id)?;
        let request = Request::get(super::TARGET, self.file_url(number, media_id)).timeout(self.config.send_timeout);
        super::any_json(&self.ask(request, token, Effect::Repeatable).await?)
    }

    /// Deletes a file.
    pub(super) async fn delete(&self, number: &NumberId, media_id: &str) -> Result<(), CallError> {
        let token = self.access(number, media_id)?;
        let request = Request::new(super::TARGET, Method::DELETE, self.file_url(number, media_id))
            .timeout(self.config.send_timeout);
        self.ask(request, token, Effect::Repeatable).await.map(drop)
    }

    async fn describe(&self, number: &NumberId, media_id: &str, token: &SecretString) -> Result<Described, CallError> {
        let request = Request::get(super::TARGET, self.file_url(number, media_id)).timeout(self.config.send_timeout);
        let answer = self.ask(request, token, Effect::Repeatable).await?;
        let unreadable = || CallError::new(AGAIN, "answer_unreadable", "the answer names no address of the file");
        let text = std::str::from_utf8(&answer).map_err(|_| unreadable())?;
        let described = Object::parse(text).ok_or_else(unreadable)?;
        let size = described.integer("file_size").and_then(|size| usize::try_from(size).ok());
        if size.is_some_and(|size| size > self.config.media_max_bytes) {
            return Err(CallError::new(ErrorClass::Permanent, "media_too_large", "the file is larger than allowed"));
        }
        Ok(Described {
            url: described.string("url").ok_or_else(unreadable)?,
            mime_type: described.string("mime_type"),
            sha256: described.text("sha256").and_then(|hash| read_hash(&hash)),
        })
    }

    async fn follow(&self, address: &str, token: &SecretString) -> Result<Followed, CallError> {
        let foreign = || {
            let title = "the file's address is not at Meta's: the token isn't sent there";
            CallError::new(ErrorClass::Permanent, "media_host", title)
        };
        let mut url = Url::parse(address).map_err(|_| foreign())?;
        for _ in 0..=MAX_HOPS {
            if !self.config.may_have_token(&url) {
                return Err(foreign());
            }
            let request = Request::get(super::TARGET, url.as_str())
                .bearer(token)
                .map_err(|e| classify_read(&e))?
                .timeout(self.config.media_idle_timeout)
                .max_body(self.config.media_max_bytes);
            let download = self.egress.download(request).await.map_err(|e| classify_read(&e))?;
            match download.status {
                StatusCode::OK => return read(download).await,
                status if status.is_redirection() => url = redirect(&url, &download.headers).ok_or_else(foreign)?,
                // With the token good a moment ago, these mean the address, not the account.
                status if matches!(status.as_u16(), 401 | 403 | 404 | 410) => return Ok(Followed::Stale(status)),
                status => return Err(errors::classify(status.as_u16(), &download.headers, b"", Effect::Repeatable)),
            }
        }
        Err(CallError::new(ErrorClass::Permanent, "redirect", "the file's address leads on and on"))
    }

    /// Uploads a file and gives its id.
    pub(super) async fn upload(
        &self,
        number: &NumberId,
        bytes: Bytes,
        mime_type: &str,
        filename: &str,
    ) -> Result<String, CallError> {
        let token = self.token(number).ok_or_else(super::number_unknown)?;
        let length = bytes.len() as u64;
        let file = multipart::Part::stream_with_length(bytes, length)
            .file_name(filename.to_owned())
            .mime_str(mime_type)
            .map_err(|_| CallError::new(ErrorClass::Permanent, "mime_type_invalid", "the file's type can't be sent"))?;
        let form = multipart::Form::new()
            .text("messaging_product", "whatsapp")
            .text("type", mime_type.to_owned())
            .part("file", file);
        let url = self.url(&format!("{number}/media"));
        let request = Request::post(super::TARGET, url).multipart(form).timeout(self.config.media_timeout);
        let answer = self.ask(request, token, Effect::Repeatable).await?;
        std::str::from_utf8(&answer)
            .ok()
            .and_then(Object::parse)
            .and_then(|answer| answer.string("id"))
            .ok_or_else(|| CallError::new(AGAIN, "answer_unreadable", "the answer names no media id"))
    }
}

async fn read(mut download: Download) -> Result<Followed, CallError> {
    let mime_type = download.headers.get(CONTENT_TYPE).and_then(|v| v.to_str().ok()).map(str::to_owned);
    let mut hash = Sha256::new();
    let mut bytes = BytesMut::new();
    while let Some(piece) = download.chunk().await.map_err(|e| classify_read(&e))? {
        hash.update(&piece);
        bytes.extend_from_slice(&piece);
    }
    Ok(Followed::File { bytes: bytes.freeze(), mime_type, hash: hash.finalize().into() })
}

fn redirect(from: &Url, headers: &HeaderMap) -> Option<Url> {
    from.join(headers.get(LOCATION)?.to_str().ok()?).ok()
}

/// A SHA-256 as Meta writes it: base64, in some places hexadecimal. `None` for anything else: nothing to check against.
fn read_hash(text: &str) -> Option<[u8; 32]> {
    let text = text.trim();
    let mut hash = [0; 32];
    if hex::decode_to_slice(text, &mut hash).is_ok() {
        return Some(hash);
    }
    STANDARD.decode(text).ok()?.try_into().ok()
}

#[cfg(test)]
mod tests {
    use super::read_hash;

    #[test]
    fn hashes_in_both_spellings() {
        let hash = [7u8; 32];
        assert_eq!(read_hash("BwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwc="), Some(hash));
        assert_eq!(read_hash(&"07".repeat(32)), Some(hash));
        assert_eq!(read_hash("a1b2c3..."), None);
    }
}
