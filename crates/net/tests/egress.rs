//! The door against real sockets on this machine.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing, clippy::panic)]

use axum::Router;
use axum::http::{HeaderMap, StatusCode};
use axum::response::Redirect;
use axum::routing::{any, get, post};
use bytes::Bytes;
use ponte_domain::error::ErrorClass;
use ponte_net::{Egress, EgressConfig, NetError, Refusal, Request, classify_transport};
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;

async fn serve(app: Router) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move { axum::serve(listener, app).await.unwrap() });
    address
}

fn config() -> EgressConfig {
    EgressConfig {
        allow_loopback: true,
        request_timeout_ms: 3_000,
        connect_timeout_ms: 1_000,
        ..EgressConfig::default()
    }
}

fn open_door() -> Egress {
    Egress::new(&config()).unwrap()
}

#[tokio::test]
async fn inside_addresses_are_refused_before_anything_is_sent() {
    let hits = Arc::new(AtomicUsize::new(0));
    let seen = hits.clone();
    let address = serve(Router::new().fallback(any(move || async move {
        seen.fetch_add(1, Ordering::SeqCst);
    })))
    .await;
    let port = address.port();
    let door = Egress::new(&EgressConfig::default()).unwrap();
    for (host, why) in [
        ("127.0.0.1", Refusal::Loopback),
        ("[::1]", Refusal::Loopback),
        ("2130706433", Refusal::Loopback),
        ("0x7f000001", Refusal::Loopback),
        ("[::ffff:127.0.0.1]", Refusal::Loopback),
        ("localhost", Refusal::Loopback),
        ("169.254.169.254", Refusal::LinkLocal),
        ("0.0.0.0", Refusal::Reserved),
    ] {
        let error = door.call(Request::get("test", format!("http://{host}:{port}/"))).await.unwrap_err();
        assert_eq!(error, NetError::Refused(why), "{host}");
    }
    let by_name = Egress::new(&EgressConfig { allow_private: vec![format!("localhost:{port}")], ..config() }).unwrap();
    assert_eq!(hits.load(Ordering::SeqCst), 0);
    assert!(by_name.call(Request::get("test", format!("http://localhost:{port}/"))).await.is_ok());
    let other = by_name.call(Request::get("test", "http://localhost:1/")).await.unwrap_err();
    assert_eq!(other, NetError::Refused(Refusal::Port));
    assert_eq!(hits.load(Ordering::SeqCst), 1);
}

#[tokio::test]
async fn a_body_and_its_length_arrive_and_the_answer_comes_back() {
    let app = Router::new().route(
        "/echo",
        post(|headers: HeaderMap, body: Bytes| async move {
            let length = headers.get("content-length").map(|v| v.to_str().unwrap().to_owned()).unwrap_or_default();
            (
                StatusCode::CREATED,
                [("x-length", length), ("x-auth", headers["authorization"].to_str().unwrap().to_owned())],
                body,
            )
        }),
    );
    let address = serve(app).await;
    let request = Request::post("test", format!("http://{address}/echo"))
        .bearer(&"t0k".to_owned().into())
        .unwrap()
        .json(&serde_json::json!({"a": 1}))
        .unwrap();
    let answer = open_door().call(request).await.unwrap();
    assert_eq!(
        (answer.status, answer.header("x-length"), answer.header("x-auth")),
        (StatusCode::CREATED, Some("7"), Some("Bearer t0k"))
    );
    assert_eq!(answer.json::<serde_json::Value>().unwrap()["a"], 1);
    let form = ponte_net::multipart::Form::new().text("k", "v");
    let request =
        Request::post("test", format!("http://{address}/echo")).bearer(&"x".to_owned().into()).unwrap().multipart(form);
    let answer = open_door().call(request).await.unwrap();
    assert!(String::from_utf8_lossy(&answer.body).contains("name=\"k\""));
}

#[tokio::test]
async fn redirects_are_answers_unless_asked_for_and_every_hop_is_checked() {
    let door =
        Egress::new(&EgressConfig { allow_loopback: false, allow_private: vec!["127.0.0.1".into()], ..config() })
            .unwrap();
    let other = serve(Router::new().route(
        "/end",
        get(|headers: HeaderMap| async move { if headers.contains_key("authorization") { "leaked" } else { "fine" } }),
    ))
    .await;
    let app = Router::new()
        .route("/out", get(move || async move { Redirect::temporary(&format!("http://{other}/end")) }))
        .route("/in", get(|| async { Redirect::temporary("http://169.254.169.254/latest") }))
        .route("/loop", get(|| async { Redirect::temporary("/loop") }));
    let address = serve(app).await;
    let ask = |path: &str| {
        Request::get("test", format!("http://{address}{path}")).bearer(&"secret".to_owned().into()).unwrap()
    };
    assert_eq!(door.call(ask("/out")).await.unwrap().status, StatusCode::TEMPORARY_REDIRECT);
    assert_eq!(&door.call(ask("/out").follow_redirects(2)).await.unwrap().body[..], b"fine");
    assert_eq!(door.call(ask("/in").follow_redirects(2)).await.unwrap_err(), NetError::Refused(Refusal::LinkLocal));
    assert!(matches!(door.call(ask("/loop").follow_redirects(3)).await.unwrap_err(), NetError::Redirect(_)));
}

#[tokio::test]
async fn no_listener_and_no_name_mean_nothing_was_sent() {
    let free = TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap();
    let error =
        open_door().call(Request::post("test", format!("http://{free}/")).body("text/plain", "x")).await.unwrap_err();
    assert!(matches!(error, NetError::Connect(_)), "{error:?}");
    assert_eq!(classify_transport(&error).class, ErrorClass::Retryable { after_ms: None });
    let error = open_door().call(Request::get("test", "http://no-such-host.invalid/")).await.unwrap_err();
    assert_eq!(error, NetError::Dns);
}

#[tokio::test]
async fn plain_text_where_tls_is_expected_is_a_tls_error() {
    let address = serve(Router::new()).await;
    let error = open_door().call(Request::post("test", format!("https://{address}/"))).await.unwrap_err();
    assert!(matches!(error, NetError::Tls(_)), "{error:?}");
}

#[tokio::test]
async fn a_connection_that_never_comes_is_a_timeout_before_sending() {
    // A listener that accepts nothing and whose queue is full leaves the handshake of TLS unanswered: TCP connects, TLS waits.
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let door = Egress::new(&EgressConfig { connect_timeout_ms: 200, ..config() }).unwrap();
    let error =
        door.call(Request::post("test", format!("https://{address}/")).body("text/plain", "x")).await.unwrap_err();
    assert_eq!(error, NetError::TimeoutBefore);
    // The same when the time of the whole call is up first.
    let door = open_door();
    let request = Request::post("test", format!("https://{address}/")).body("text/plain", "x");
    let request = request.timeout(Duration::from_millis(200));
    assert_eq!(door.call(request).await.unwrap_err(), NetError::TimeoutBefore);
}

#[tokio::test]
async fn silence_after_the_request_is_a_timeout_after_sending() {
    let app = Router::new().fallback(any(|| async { tokio::time::sleep(Duration::from_secs(30)).await }));
    let address = serve(app).await;
    for request in [
        Request::post("test", format!("http://{address}/")).body("text/plain", "x"),
        Request::post("test", format!("http://{address}/")),
        Request::get("test", format!("http://{address}/")),
    ] {
        let error = open_door().call(request.timeout(Duration::from_millis(200))).await.unwrap_err();
        assert_eq!(error, NetError::TimeoutAfter);
        assert_eq!(classify_transport(&error).class, ErrorClass::UnknownOutcome);
    }
}

/// Reads a request, then does what `then` says to the connection.
async fn rude(then: &'static [u8]) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        loop {
            let (mut socket, _) = listener.accept().await.unwrap();
            let mut buffer = [0; 4096];
            let _ = socket.read(&mut buffer).await.unwrap();
            socket.write_all(then).await.unwrap();
            drop(socket);
        }
    });
    address
}

#[tokio::test]
async fn a_connection_closed_after_the_request_leaves_the_outcome_unknown() {
    for half in [&b""[..], b"HTTP/1.1 20", b"HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\n{\"half\":"] {
        let address = rude(half).await;
        let error = open_door()
            .call(Request::post("test", format!("http://{address}/")).body("text/plain", "x"))
            .await
            .unwrap_err();
        assert!(matches!(error, NetError::Broken(_)), "{error:?}");
        assert!(!error.nothing_sent());
    }
}

#[tokio::test]
async fn answers_larger_than_the_limit_are_cut_off_announced_or_not() {
    let app = Router::new().route("/announced", get(|| async { vec![0u8; 5_000] })).route(
        "/chunked",
        get(|| async {
            let pieces = (0..100).map(|_| Ok::<_, std::io::Error>(Bytes::from(vec![0u8; 100])));
            axum::body::Body::from_stream(futures_util::stream::iter(pieces))
        }),
    );
    let address = serve(app).await;
    let door = open_door();
    for path in ["/announced", "/chunked"] {
        let ask = |most| Request::get("test", format!("http://{address}{path}")).max_body(most);
        assert_eq!(door.call(ask(4_999)).await.unwrap_err(), NetError::TooLarge { limit: 4_999 });
        assert!(door.call(ask(10_000)).await.is_ok());
        let piecewise = |most| {
            let request = ask(most);
            async {
                let mut download = door.download(request).await?;
                let mut total = 0;
                while let Some(piece) = download.chunk().await? {
                    total += piece.len();
                }
                Ok::<_, NetError>(total)
            }
        };
        assert_eq!(piecewise(4_999).await, Err(NetError::TooLarge { limit: 4_999 }));
        assert!(piecewise(10_000).await.unwrap() >= 5_000);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_thousand_calls_reuse_connections_and_are_quick() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let connections = Arc::new(AtomicUsize::new(0));
    let counted = connections.clone();
    let app = Router::new().route("/", post(|body: Bytes| async move { body }));
    tokio::spawn(async move {
        use axum::serve::ListenerExt;
        let listener = listener.tap_io(move |_| {
            counted.fetch_add(1, Ordering::SeqCst);
        });
        axum::serve(listener, app).await.unwrap();
    });
    let door = open_door();
    let start = Instant::now();
    let tasks: Vec<_> = (0..8)
        .map(|_| {
            let door = door.clone();
            tokio::spawn(async move {
                for _ in 0..250 {
                    let request = Request::post("test", format!("http://{address}/")).body("text/plain", "hello");
                    assert_eq!(&door.call(request).await.unwrap().body[..], b"hello");
                }
            })
        })
        .collect();
    for task in tasks {
        task.await.unwrap();
    }
    let took = start.elapsed();
    assert!(connections.load(Ordering::SeqCst) <= 16, "{} connections", connections.load(Ordering::SeqCst));
    // 2,000 calls in an unoptimised build beside other work: generous, but far from one connection per call.
    assert!(took < Duration::from_secs(8), "{took:?}");
    println!("2,000 calls in {took:?}");
}
