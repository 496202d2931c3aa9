//! The load of a crash run: customers write through the simulator, a program sends through the API under idempotency keys and
//! asks until it is answered, and probes find out when work goes on.
//! May touch: the API and the webhook address of the nodes, the simulator's control API.
//! Must not touch: processes.

use super::Arguments;
use crate::rig::http::Client;
use crate::rig::process::template;
use crate::rig::webhook::{BODY, body, customer, signed};
use crate::rig::{API_KEY, NUMBERS, now_ms};
use anyhow::Result;
use serde_json::{Value, json};
use std::net::SocketAddr;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};
use tokio::io::copy_bidirectional;
use tokio::net::{TcpListener, TcpStream};
use tokio::task::{AbortHandle, JoinSet};

/// People who write and are written to.
const PEOPLE: usize = 600;
/// How long somebody asks under one key before the call counts as never answered.
const PATIENCE: Duration = Duration::from_secs(120);

/// What stands before the nodes of an installation: connections go to a node that takes them.
pub struct Front(AbortHandle);

impl Front {
    /// Starts it and tells the simulator its address.
    pub async fn start(nodes: Vec<SocketAddr>, simulator: SocketAddr) -> Result<Self> {
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let url = format!("http://{}{}", listener.local_addr()?, crate::rig::webhook::PATH);
        let turn = Arc::new(AtomicUsize::new(0));
        let task = tokio::spawn(async move {
            while let Ok((mut client, _)) = listener.accept().await {
                let (nodes, turn) = (nodes.clone(), Arc::clone(&turn));
                tokio::spawn(async move {
                    let first = turn.fetch_add(1, Ordering::Relaxed);
                    for n in 0..nodes.len() {
                        let Some(node) = nodes.get((first + n) % nodes.len()) else { return };
                        if let Ok(mut server) = TcpStream::connect(node).await {
                            let _ = (client.set_nodelay(true), server.set_nodelay(true));
                            let _ = copy_bidirectional(&mut client, &mut server).await;
                            return;
                        }
                    }
                });
            }
        });
        let target = json!({ "url": url, "verify_token": "simulated-verify-token" });
        Client::new(simulator).must("PUT", "/_sim/webhook", Some(&target)).await?;
        Ok(Self(task.abort_handle()))
    }
}

impl Drop for Front {
    fn drop(&mut self) {
        self.0.abort();
    }
}

/// What the load remembers.
#[derive(Debug, Default)]
pub struct Outcome {
    /// Wamids of our own webhooks that were answered 200.
    pub acknowledged: Vec<String>,
    /// Ids of messages the API let in.
    pub accepted: Vec<String>,
    /// Sends that a rule refused.
    pub refused: u64,
    /// Sends that nobody answered.
    pub never_answered: u64,
    /// Keys under which a second call gave another id.
    pub changed_ids: u64,
}

struct Shared {
    nodes: Arc<Vec<SocketAddr>>,
    turn: AtomicUsize,
    asked: AtomicU64,
    probes: AtomicU64,
    outcome: Mutex<Outcome>,
    sends: Mutex<JoinSet<()>>,
}

impl Shared {
    fn note(&self, change: impl FnOnce(&mut Outcome)) {
        change(&mut self.outcome.lock().unwrap_or_else(PoisonError::into_inner));
    }

    fn next_node(&self) -> Option<SocketAddr> {
        let turn = self.turn.fetch_add(1, Ordering::Relaxed);
        self.nodes.get(turn % self.nodes.len().max(1)).copied()
    }
}

/// Running load.
pub struct Load {
    shared: Arc<Shared>,
    writers: JoinSet<()>,
}

impl Load {
    /// Opens the conversations of everybody, then starts.
    pub async fn start(nodes: Arc<Vec<SocketAddr>>, simulator: SocketAddr, arguments: &Arguments) -> Result<Self> {
        let first: Vec<Value> = (0..PEOPLE).map(|n| says(n, "Hello")).collect();
        Client::new(simulator).must("POST", "/_sim/inbound", Some(&json!(first))).await?;
        let shared = Arc::new(Shared {
            nodes,
            turn: AtomicUsize::new(0),
            asked: AtomicU64::new(0),
            probes: AtomicU64::new(0),
            outcome: Mutex::new(Outcome::default()),
            sends: Mutex::new(JoinSet::new()),
        });
        // Their windows are open once their messages are read.
        tokio::time::sleep(Duration::from_secs(3)).await;
        let mut writers = JoinSet::new();
        writers.spawn(customers(simulator, arguments.inbound_per_second));
        writers.spawn(program(Arc::clone(&shared), arguments.sends_per_second, arguments.seed));
        Ok(Self { shared, writers })
    }

    /// Sends asked for and let in so far.
    pub fn progress(&self) -> (u64, usize) {
        let mut accepted = 0;
        self.shared.note(|outcome| accepted = outcome.accepted.len());
        (self.shared.asked.load(Ordering::Relaxed), accepted)
    }

    /// Milliseconds from `killed` until a webhook was answered 200 and a send was let in.
    pub async fn probe(&self, killed: Instant) -> i64 {
        let n = self.shared.probes.fetch_add(1, Ordering::Relaxed);
        let (hook, send) = tokio::join!(probe_webhook(&self.shared, n), send(&self.shared, format!("probe-{n}"), n));
        let last = hook.max(send);
        i64::try_from(last.duration_since(killed).as_millis()).unwrap_or(i64::MAX)
    }

    /// Writes no more, waits until everybody who asked is answered.
    pub async fn stop(mut self) -> Outcome {
        self.writers.abort_all();
        let mut sends = std::mem::take(&mut *self.shared.sends.lock().unwrap_or_else(PoisonError::into_inner));
        while sends.join_next().await.is_some() {}
        let mut outcome = Outcome::default();
        self.shared.note(|kept| outcome = std::mem::take(kept));
        outcome
    }
}

fn says(n: usize, text: &str) -> Value {
    json!({ "from": { "wa_id": customer(n % PEOPLE), "name": format!("Customer {}", n % PEOPLE) },
        "message": { "type": "text", "body": text }, "phone_number_id": NUMBERS[0] })
}

async fn customers(simulator: SocketAddr, per_second: u32) {
    let mut client = Client::new(simulator);
    let mut beat = tokio::time::interval(Duration::from_secs(1) / per_second.max(1));
    for n in 0.. {
        beat.tick().await;
        let _ = client.must("POST", "/_sim/inbound", Some(&says(n * 7, &format!("Message {n}")))).await;
    }
}

async fn program(shared: Arc<Shared>, per_second: u32, seed: u64) {
    let mut beat = tokio::time::interval(Duration::from_secs(1) / per_second.max(1));
    for n in 0.. {
        beat.tick().await;
        let task = Arc::clone(&shared);
        let mut sends = shared.sends.lock().unwrap_or_else(PoisonError::into_inner);
        while sends.try_join_next().is_some() {}
        sends.spawn(async move {
            send(&task, format!("key-{seed}-{n}"), n).await;
        });
    }
}

/// Asks under one key until answered; when it was.
async fn send(shared: &Shared, key: String, n: u64) -> Instant {
    shared.asked.fetch_add(1, Ordering::Relaxed);
    let to = format!("+{}", customer(usize::try_from(n * 11).unwrap_or(0) % PEOPLE));
    let message = if n.is_multiple_of(2) {
        json!({ "type": "text", "body": format!("Answer {n}") })
    } else {
        template("order_ready", &format!("number {n}"))
    };
    let wish = json!({ "to": { "phone": to }, "message": message });
    let Some((first, at)) = answered(shared, &key, &wish).await else { return Instant::now() };
    // A client that isn't sure asks again.
    if n % 10 == 3
        && let Some((second, _)) = answered(shared, &key, &wish).await
        && first != second
    {
        shared.note(|outcome| outcome.changed_ids += 1);
    }
    shared.note(|outcome| match first {
        Some(id) => outcome.accepted.push(id),
        None => outcome.refused += 1,
    });
    at
}

/// The id under which a send was let in; an inner `None` when a rule refused it, an outer one when nobody answered.
async fn answered(shared: &Shared, key: &str, wish: &Value) -> Option<(Option<String>, Instant)> {
    let begun = Instant::now();
    while begun.elapsed() < PATIENCE {
        let node = shared.next_node()?;
        let mut client = Client::with_key(node, API_KEY).within(Duration::from_secs(3));
        match client.call("POST", "/api/v1/messages", Some(key), Some(wish)).await {
            Ok((200 | 202, answer)) => {
                let id = answer.get("id").and_then(Value::as_str).map(str::to_owned);
                return Some((id, Instant::now()));
            }
            Ok((status, _)) if (400..500).contains(&status) && status != 429 => return Some((None, Instant::now())),
            _ => tokio::time::sleep(Duration::from_millis(10)).await,
        }
    }
    shared.note(|outcome| outcome.never_answered += 1);
    None
}

/// Posts a message until it is answered 200, as Meta does; when it was.
async fn probe_webhook(shared: &Shared, n: u64) -> Instant {
    let wamid = format!("wamid.HBgNUHJvYmU{n:010}AERg");
    let person = customer(usize::try_from(n).unwrap_or(0) % PEOPLE);
    let request = signed(&body(&wamid, &person, now_ms() / 1000, BODY));
    let begun = Instant::now();
    while begun.elapsed() < PATIENCE {
        let Some(node) = shared.next_node() else { break };
        let mut client = Client::new(node).within(Duration::from_secs(3));
        if let Ok((200, _)) = client.exchange(&request).await {
            shared.note(|outcome| outcome.acknowledged.push(wamid));
            return Instant::now();
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    Instant::now()
}
