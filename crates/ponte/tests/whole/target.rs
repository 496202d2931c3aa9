//! A subscriber's target: a real HTTP server on loopback that remembers what it was told and answers as a test wants.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use hmac::{Hmac, KeyInit, Mac};
use serde_json::Value;
use sha2::Sha256;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;

/// A call that came.
#[derive(Debug, Clone)]
pub struct Call {
    pub at: Instant,
    /// Header names in lower case.
    pub headers: Vec<(String, String)>,
    pub body: String,
    /// What it was answered; 0: nothing yet, or the caller went away.
    pub status: u16,
}

impl Call {
    pub fn header(&self, name: &str) -> &str {
        self.headers.iter().find(|(n, _)| n == name).map_or("", |(_, value)| value)
    }

    pub fn id(&self) -> &str {
        self.header("webhook-id")
    }

    pub fn json(&self) -> Value {
        serde_json::from_str(&self.body).unwrap_or_else(|e| panic!("no JSON ({e}): {}", self.body))
    }

    pub fn text(&self) -> String {
        self.json()["data"]["message"]["text"].as_str().unwrap_or_default().to_owned()
    }

    /// Whether one of its signatures is that of a secret, worked out here.
    pub fn is_signed_by(&self, secret: &str) -> bool {
        let key = STANDARD.decode(secret.strip_prefix("whsec_").unwrap()).unwrap();
        let mut mac = Hmac::<Sha256>::new_from_slice(&key).unwrap();
        mac.update(format!("{}.{}.{}", self.id(), self.header("webhook-timestamp"), self.body).as_bytes());
        let wanted = format!("v1,{}", STANDARD.encode(mac.finalize().into_bytes()));
        self.header("webhook-signature").split(' ').any(|one| one == wanted)
    }
}

/// What is answered: status, more head lines, after how long.
#[derive(Debug, Clone)]
pub struct Say {
    pub status: u16,
    pub head: String,
    pub after: Duration,
}

impl Say {
    pub fn status(status: u16) -> Self {
        Self { status, head: String::new(), after: Duration::ZERO }
    }
}

type Answering = Arc<Mutex<Box<dyn FnMut(&Call) -> Say + Send>>>;

/// The target. It goes with its value.
pub struct Target {
    pub address: SocketAddr,
    calls: Arc<Mutex<Vec<Call>>>,
    answering: Answering,
    listening: Option<JoinHandle<()>>,
}

impl Target {
    /// Takes everything.
    pub async fn start() -> Self {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
        let address = listener.local_addr().unwrap();
        let calls = Arc::default();
        let answering: Answering = Arc::new(Mutex::new(Box::new(|_| Say::status(204))));
        let mut target = Self { address, calls, answering, listening: None };
        target.listening = Some(target.listen(listener));
        target
    }

    fn listen(&self, listener: TcpListener) -> JoinHandle<()> {
        let (calls, answering) = (Arc::clone(&self.calls), Arc::clone(&self.answering));
        tokio::spawn(async move {
            let mut open = tokio::task::JoinSet::new();
            while let Ok((stream, _)) = listener.accept().await {
                open.spawn(serve(stream, Arc::clone(&calls), Arc::clone(&answering)));
            }
        })
    }

    /// Nobody listens any more; open connections are closed.
    pub async fn go_away(&mut self) {
        if let Some(listening) = self.listening.take() {
            listening.abort();
            let _ = listening.await;
        }
    }

    /// Listens again at the same address.
    pub async fn come_back(&mut self) {
        let listener = TcpListener::bind(self.address).await.unwrap();
        self.listening = Some(self.listen(listener));
    }

    pub fn url(&self) -> String {
        format!("http://{}/in", self.address)
    }

    pub fn answers(&self, how: impl FnMut(&Call) -> Say + Send + 'static) {
        *self.answering.lock().unwrap() = Box::new(how);
    }

    pub fn calls(&self) -> Vec<Call> {
        self.calls.lock().unwrap().clone()
    }

    /// The calls that it took.
    pub fn taken(&self) -> Vec<Call> {
        self.calls().into_iter().filter(|call| (200..300).contains(&call.status)).collect()
    }
}

impl Drop for Target {
    fn drop(&mut self) {
        if let Some(listening) = &self.listening {
            listening.abort();
        }
    }
}

async fn serve(mut stream: TcpStream, calls: Arc<Mutex<Vec<Call>>>, answering: Answering) {
    let mut buffer = Vec::new();
    while let Some((headers, body)) = read(&mut stream, &mut buffer).await {
        let call = Call { at: Instant::now(), headers, body, status: 0 };
        let say = (answering.lock().unwrap())(&call);
        let place = {
            let mut calls = calls.lock().unwrap();
            calls.push(call);
            calls.len() - 1
        };
        tokio::time::sleep(say.after).await;
        // Counted before it is said: whoever was told has been counted.
        calls.lock().unwrap()[place].status = say.status;
        let answer = format!("HTTP/1.1 {} x\r\n{}content-length: 2\r\n\r\nok", say.status, say.head);
        let answer = if say.status == 204 { "HTTP/1.1 204 x\r\n\r\n".to_owned() } else { answer };
        if stream.write_all(answer.as_bytes()).await.is_err() {
            return;
        }
    }
}

async fn read(stream: &mut TcpStream, buffer: &mut Vec<u8>) -> Option<(Vec<(String, String)>, String)> {
    loop {
        if let Some(end) = buffer.windows(4).position(|w| w == b"\r\n\r\n") {
            let head = String::from_utf8(buffer[..end].to_vec()).unwrap();
            let headers: Vec<(String, String)> = head
                .lines()
                .skip(1)
                .filter_map(|line| line.split_once(':'))
                .map(|(name, value)| (name.to_ascii_lowercase(), value.trim().to_owned()))
                .collect();
            let length = headers.iter().find(|(n, _)| n == "content-length").map_or(0, |(_, n)| n.parse().unwrap());
            if buffer.len() >= end + 4 + length {
                let body = String::from_utf8(buffer[end + 4..end + 4 + length].to_vec()).unwrap();
                buffer.drain(..end + 4 + length);
                return Some((headers, body));
            }
        }
        if stream.read_buf(buffer).await.ok()? == 0 {
            return None;
        }
    }
}
