//! Token refresh under many callers.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing, clippy::panic)]

use async_trait::async_trait;
use ponte_domain::error::{CallError, ErrorClass};
use ponte_net::{FreshToken, Refresh, RefreshingToken, StaticToken, TokenSource};
use secrecy::{ExposeSecret, SecretString};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicI64, AtomicUsize, Ordering};
use std::time::Duration;

#[derive(Default)]
struct World {
    now: AtomicI64,
    refreshes: AtomicUsize,
    broken: AtomicBool,
}

struct Fake(Arc<World>);

#[async_trait]
impl Refresh for Fake {
    async fn refresh(&self) -> Result<FreshToken, CallError> {
        let n = self.0.refreshes.fetch_add(1, Ordering::SeqCst) + 1;
        tokio::time::sleep(Duration::from_millis(30)).await;
        if self.0.broken.load(Ordering::SeqCst) {
            return Err(CallError::new(ErrorClass::Auth, "invalid_grant", "the grant is gone"));
        }
        Ok(FreshToken { token: SecretString::from(format!("token-{n}")), expires_in_ms: 1_800_000 })
    }
}

fn source(world: &Arc<World>) -> Arc<RefreshingToken<Fake>> {
    let clock = world.clone();
    Arc::new(RefreshingToken::new(Fake(world.clone()), 60_000, Arc::new(move || clock.now.load(Ordering::SeqCst))))
}

async fn crowd(source: &Arc<RefreshingToken<Fake>>) -> Vec<Result<String, CallError>> {
    let tasks: Vec<_> = (0..100)
        .map(|_| {
            let source = source.clone();
            tokio::spawn(async move { source.token().await.map(|t| t.expose_secret().to_owned()) })
        })
        .collect();
    let mut results = Vec::new();
    for task in tasks {
        results.push(task.await.unwrap());
    }
    results
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_hundred_callers_cause_one_refresh_and_share_its_result() {
    let world = Arc::new(World::default());
    let source = source(&world);
    assert!(crowd(&source).await.iter().all(|r| r.as_deref() == Ok("token-1")));
    assert_eq!(world.refreshes.load(Ordering::SeqCst), 1);
    world.now.store(1_740_000, Ordering::SeqCst);
    assert!(crowd(&source).await.iter().all(|r| r.as_deref() == Ok("token-2")));
    assert_eq!(world.refreshes.load(Ordering::SeqCst), 2);
}

#[tokio::test]
async fn a_failed_refresh_is_shared_too_and_the_old_token_serves_to_its_end() {
    let world = Arc::new(World::default());
    let source = source(&world);
    world.broken.store(true, Ordering::SeqCst);
    let results = crowd(&source).await;
    assert!(results.iter().all(|r| r.as_ref().is_err_and(|e| e.class == ErrorClass::Auth)));
    assert_eq!(world.refreshes.load(Ordering::SeqCst), 1);
    world.broken.store(false, Ordering::SeqCst);
    assert_eq!(source.token().await.unwrap().expose_secret(), "token-2");
    world.broken.store(true, Ordering::SeqCst);
    world.now.store(1_790_000, Ordering::SeqCst);
    assert_eq!(source.token().await.unwrap().expose_secret(), "token-2", "past the margin, still valid");
    world.now.store(1_800_000, Ordering::SeqCst);
    assert!(source.token().await.is_err(), "past its end");
}

#[tokio::test]
async fn a_refused_token_is_replaced_once_and_its_replacement_not_at_once() {
    let world = Arc::new(World::default());
    let source = source(&world);
    let first = source.token().await.unwrap();
    assert!(source.invalidate(&first));
    let results = crowd(&source).await;
    assert!(results.iter().all(|r| r.as_deref() == Ok("token-2")));
    assert!(source.invalidate(&first), "replaced meanwhile");
    let second = source.token().await.unwrap();
    assert_eq!(second.expose_secret(), "token-2", "an old report doesn't touch the new token");
    assert!(!source.invalidate(&second), "refreshing didn't help");
    assert_eq!(source.token().await.unwrap().expose_secret(), "token-2");
    world.now.store(40_000, Ordering::SeqCst);
    assert!(source.invalidate(&second), "after a while it may");
    assert_eq!(source.token().await.unwrap().expose_secret(), "token-3");
    assert_eq!(world.refreshes.load(Ordering::SeqCst), 3);
}

#[tokio::test]
async fn a_refresh_ends_even_when_the_caller_gives_up() {
    let world = Arc::new(World::default());
    let source = source(&world);
    assert!(tokio::time::timeout(Duration::from_millis(5), source.token()).await.is_err());
    assert_eq!(source.token().await.unwrap().expose_secret(), "token-1");
    assert_eq!(world.refreshes.load(Ordering::SeqCst), 1);
}

#[tokio::test]
async fn nothing_shows_a_secret() {
    let world = Arc::new(World::default());
    let source = source(&world);
    source.token().await.unwrap();
    assert!(!format!("{source:?}").contains("token-1"));
    assert!(!format!("{:?}", StaticToken(SecretString::from("geheim"))).contains("geheim"));
}
