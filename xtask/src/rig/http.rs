//! HTTP/1.1 over a plain connection that is kept: requests are bytes built beforehand, answers are read with as little work as
//! possible, so that the load costs less than what it loads.

use anyhow::{Context, Result, bail};
use serde_json::Value;
use std::io::{Error, ErrorKind};
use std::net::SocketAddr;
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

/// A request as bytes.
#[must_use]
pub fn request(method: &str, path: &str, headers: &[(&str, &str)], body: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(256 + body.len());
    out.extend_from_slice(format!("{method} {path} HTTP/1.1\r\nhost: localhost\r\n").as_bytes());
    for (name, value) in headers {
        out.extend_from_slice(format!("{name}: {value}\r\n").as_bytes());
    }
    out.extend_from_slice(format!("content-length: {}\r\n\r\n", body.len()).as_bytes());
    out.extend_from_slice(body);
    out
}

/// A connection that is kept.
pub struct Connection {
    stream: TcpStream,
    buffer: Vec<u8>,
    body_from: usize,
    body_to: usize,
}

impl Connection {
    /// Connects.
    ///
    /// # Errors
    /// When nobody listens.
    pub async fn open(to: SocketAddr) -> std::io::Result<Self> {
        let stream = TcpStream::connect(to).await?;
        stream.set_nodelay(true)?;
        Ok(Self { stream, buffer: Vec::with_capacity(16 << 10), body_from: 0, body_to: 0 })
    }

    /// Sends a request and reads the answer whole; its status.
    ///
    /// # Errors
    /// When the connection ends, or what comes isn't HTTP.
    pub async fn exchange(&mut self, request: &[u8]) -> std::io::Result<u16> {
        self.stream.write_all(request).await?;
        self.buffer.clear();
        loop {
            if let Some((status, from, to)) = whole(&self.buffer)? {
                (self.body_from, self.body_to) = (from, to);
                return Ok(status);
            }
            if self.stream.read_buf(&mut self.buffer).await? == 0 {
                return Err(Error::from(ErrorKind::UnexpectedEof));
            }
        }
    }

    /// The body of the last answer.
    #[must_use]
    pub fn body(&self) -> &[u8] {
        self.buffer.get(self.body_from..self.body_to).unwrap_or_default()
    }
}

/// Status and place of the body once the answer is complete. Only answers with a length are understood: ours have one.
fn whole(bytes: &[u8]) -> std::io::Result<Option<(u16, usize, usize)>> {
    let Some(end) = bytes.windows(4).position(|w| w == b"\r\n\r\n") else { return Ok(None) };
    let bad = |what: &str| Error::new(ErrorKind::InvalidData, what.to_owned());
    let head = std::str::from_utf8(bytes.get(..end).unwrap_or_default()).map_err(|_| bad("a head that isn't text"))?;
    let status = head.get(9..12).and_then(|s| s.parse().ok()).ok_or_else(|| bad("no status"))?;
    let length = head.split("\r\n").skip(1).find_map(|line| {
        let (name, value) = line.split_once(':')?;
        name.eq_ignore_ascii_case("content-length").then(|| value.trim().parse::<usize>().ok())?
    });
    let length = match length {
        Some(length) => length,
        None if status == 204 => 0,
        None => return Err(bad("no content-length")),
    };
    let (from, to) = (end + 4, end + 4 + length);
    Ok((bytes.len() >= to).then_some((status, from, to)))
}

/// A client for one place: keeps a connection, opens a new one when it broke. Every call is bounded in time.
pub struct Client {
    to: SocketAddr,
    bearer: Option<String>,
    connection: Option<Connection>,
    limit: Duration,
}

impl Client {
    /// Without a key.
    #[must_use]
    pub const fn new(to: SocketAddr) -> Self {
        Self { to, bearer: None, connection: None, limit: Duration::from_secs(60) }
    }

    /// With a bearer token.
    #[must_use]
    pub fn with_key(to: SocketAddr, key: &str) -> Self {
        Self { bearer: Some(format!("Bearer {key}")), ..Self::new(to) }
    }

    /// Gives up on an answer after this long.
    #[must_use]
    pub const fn within(mut self, limit: Duration) -> Self {
        self.limit = limit;
        self
    }

    /// One exchange of prepared bytes.
    ///
    /// # Errors
    /// When nobody answers in time.
    pub async fn exchange(&mut self, request: &[u8]) -> std::io::Result<(u16, Vec<u8>)> {
        let answered = tokio::time::timeout(self.limit, async {
            let mut connection = match self.connection.take() {
                Some(connection) => connection,
                None => Connection::open(self.to).await?,
            };
            let status = connection.exchange(request).await?;
            std::io::Result::Ok((status, connection))
        });
        let (status, connection) = answered.await.map_err(|_| Error::from(ErrorKind::TimedOut))??;
        let body = connection.body().to_vec();
        self.connection = Some(connection);
        Ok((status, body))
    }

    /// A JSON call; status and body.
    ///
    /// # Errors
    /// When nobody answers in time.
    pub async fn call(
        &mut self,
        method: &str,
        path: &str,
        key: Option<&str>,
        body: Option<&Value>,
    ) -> Result<(u16, Value)> {
        let mut headers = vec![("content-type", "application/json")];
        let bearer = self.bearer.clone();
        if let Some(bearer) = &bearer {
            headers.push(("authorization", bearer));
        }
        if let Some(key) = key {
            headers.push(("idempotency-key", key));
        }
        let bytes = body.map(serde_json::to_vec).transpose()?.unwrap_or_default();
        let (status, body) = self.exchange(&request(method, path, &headers, &bytes)).await?;
        Ok((status, serde_json::from_slice(&body).unwrap_or(Value::Null)))
    }

    /// A JSON answer that must be a success.
    ///
    /// # Errors
    /// When it isn't.
    pub async fn get(&mut self, path: &str) -> Result<Value> {
        self.must("GET", path, None).await
    }

    /// A JSON call that must succeed.
    ///
    /// # Errors
    /// When it doesn't.
    pub async fn must(&mut self, method: &str, path: &str, body: Option<&Value>) -> Result<Value> {
        // The connection may have been closed while idle.
        let answered = match self.call(method, path, None, body).await {
            Err(_) => self.call(method, path, None, body).await,
            answered => answered,
        };
        let (status, value) = answered.with_context(|| format!("{method} {path}"))?;
        if !(200..300).contains(&status) {
            bail!("{method} {path}: {status} {value}");
        }
        Ok(value)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn answers_are_complete_with_their_last_byte() {
        let answer = b"HTTP/1.1 202 Accepted\r\nContent-Length: 2\r\nx: y\r\n\r\nhi";
        assert_eq!(whole(answer).unwrap(), Some((202, answer.len() - 2, answer.len())));
        for cut in 0..answer.len() {
            assert_eq!(whole(&answer[..cut]).unwrap(), None, "{cut}");
        }
        assert!(whole(b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n").is_err());
        assert!(whole(b"HTTP/1.1 204 No Content\r\n\r\n").unwrap().is_some());
    }
}
