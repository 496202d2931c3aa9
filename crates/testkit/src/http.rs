//! The few lines of HTTP/1.1 a test needs to talk to the program on a loopback port, and the signature of a webhook.
//! Must not touch: the product's clients and servers. What they get wrong must not cancel out here.

use anyhow::{Context, Result, bail};
use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;
use std::net::SocketAddr;
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

/// An answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Answer {
    /// HTTP status.
    pub status: u16,
    /// Head as it came, status line first.
    pub head: String,
    /// Body, chunks joined.
    pub body: Vec<u8>,
}

impl Answer {
    /// The body as text.
    #[must_use]
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }
}

/// One request on a connection of its own; ten seconds for all of it.
///
/// # Errors
/// When nobody answers, not in time, or not in HTTP.
pub async fn request(
    to: SocketAddr,
    method: &str,
    path: &str,
    headers: &[(&str, &str)],
    body: &[u8],
) -> Result<Answer> {
    let asked = tokio::time::timeout(Duration::from_secs(10), exchange(to, method, path, headers, body));
    asked.await.with_context(|| format!("{method} {path}: no answer within ten seconds"))?
}

async fn exchange(to: SocketAddr, method: &str, path: &str, headers: &[(&str, &str)], body: &[u8]) -> Result<Answer> {
    let mut stream = TcpStream::connect(to).await?;
    let mut head = format!("{method} {path} HTTP/1.1\r\nhost: {to}\r\nconnection: close\r\n");
    for (name, value) in headers {
        head.push_str(&format!("{name}: {value}\r\n"));
    }
    head.push_str(&format!("content-length: {}\r\n\r\n", body.len()));
    stream.write_all(head.as_bytes()).await?;
    stream.write_all(body).await?;
    let mut all = Vec::new();
    stream.read_to_end(&mut all).await?;
    parse(&all)
}

fn parse(all: &[u8]) -> Result<Answer> {
    let end = all.windows(4).position(|w| w == b"\r\n\r\n").context("the answer has no end of head")?;
    let (head, rest) = all.split_at(end);
    let head = String::from_utf8_lossy(head).into_owned();
    let status = head.split(' ').nth(1).and_then(|s| s.parse().ok()).context("the answer has no status")?;
    let rest = rest.get(4..).unwrap_or_default();
    let chunked = head.to_ascii_lowercase().contains("\r\ntransfer-encoding: chunked");
    let body = if chunked { unchunk(rest)? } else { rest.to_vec() };
    Ok(Answer { status, head, body })
}

fn unchunk(mut rest: &[u8]) -> Result<Vec<u8>> {
    let mut body = Vec::new();
    loop {
        let line = rest.windows(2).position(|w| w == b"\r\n").context("a chunk without a length")?;
        let (length, after) = rest.split_at(line);
        let digits = std::str::from_utf8(length)?.split(';').next().unwrap_or_default().trim();
        let length = usize::from_str_radix(digits, 16).context("the length of a chunk")?;
        let after = after.get(2..).unwrap_or_default();
        if length == 0 {
            return Ok(body);
        }
        let Some(chunk) = after.get(..length) else { bail!("a chunk is shorter than it says") };
        body.extend_from_slice(chunk);
        rest = after.get(length + 2..).unwrap_or_default();
    }
}

/// `X-Hub-Signature-256` of a webhook body: `sha256=` and the hexadecimal HMAC-SHA256 under the app secret.
#[must_use]
pub fn signature(app_secret: &str, body: &[u8]) -> String {
    match Hmac::<Sha256>::new_from_slice(app_secret.as_bytes()) {
        Ok(mut mac) => {
            mac.update(body);
            format!("sha256={}", hex::encode(mac.finalize().into_bytes()))
        }
        // A key of any length is good for this MAC.
        Err(_) => String::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn answers_are_read_whole_and_in_chunks() {
        let plain = parse(b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nhi").unwrap();
        assert_eq!((plain.status, plain.text()), (200, "hi".to_owned()));
        let chunked =
            parse(b"HTTP/1.1 503 No\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nhi\r\n3;a=b\r\n yo\r\n0\r\n\r\n")
                .unwrap();
        assert_eq!((chunked.status, chunked.text()), (503, "hi yo".to_owned()));
        assert!(parse(b"nonsense").is_err());
    }

    #[test]
    fn the_signature_is_that_of_the_published_test_vector() {
        // RFC 4231, test case 2.
        assert_eq!(
            signature("Jefe", b"what do ya want for nothing?"),
            "sha256=5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843"
        );
    }
}
