//! The accounts server's answers, and tokens that are refused.

use crate::server::{Answer, Server, ok, refusal};
use ponte_crm::zoho::TokenKeeper;
use ponte_domain::error::ErrorClass;
use ponte_domain::ports::crm::Crm;
use serde_json::json;

fn fields() -> Answer {
    ok(json!({"fields": []}))
}

fn refused() -> Answer {
    Answer::Now(401, refusal("INVALID_TOKEN", json!({})))
}

#[tokio::test]
async fn errors_come_with_status_200_and_say_what_to_do() {
    for (word, title) in [
        ("invalid_code", "connect again"),
        ("invalid_client", "another data centre"),
        ("invalid_client_secret", "secret is wrong"),
        ("something_new", "refuses the refresh token"),
    ] {
        let server = Server::with_tokens(move |_, _| ok(json!({"error": word})), |_| fields()).await;
        let error = server.crm().contact_fields().await.unwrap_err();
        assert_eq!((&error.class, error.code.as_str()), (&ErrorClass::Auth, word));
        assert!(error.title.contains(title), "{error}");
        assert_eq!(server.calls(), 0);
    }
    let locked = || Answer::Now(400, json!({"error": "Access Denied", "error_description": "too many requests"}));
    let server = Server::with_tokens(move |_, _| locked(), |_| fields()).await;
    let crm = server.crm();
    for _ in 0..3 {
        let error = crm.contact_fields().await.unwrap_err();
        assert!(matches!(error.class, ErrorClass::Throttled { .. }), "{error:?}");
    }
    assert_eq!(server.tokens(), 1, "once locked out, nobody asks again for ten minutes");
    let server = Server::with_tokens(|_, _| Answer::Text(502, "<html>"), |_| fields()).await;
    assert_eq!(server.crm().contact_fields().await.unwrap_err().class, ErrorClass::Retryable { after_ms: None });
}

#[tokio::test]
async fn a_token_is_sent_as_zoho_wants_it() {
    let server = Server::start(|_| fields()).await;
    server.crm().contact_fields().await.unwrap();
    assert_eq!(server.asked()[1].authorization, "Zoho-oauthtoken 1000.t0");
}

#[tokio::test]
async fn where_the_api_is_said_last_is_where_it_is() {
    // The second answer names no domain: the first one's stays.
    let server = Server::with_tokens(
        |base, n| match n {
            0 => ok(json!({"access_token": "1000.a", "api_domain": base, "expires_in": 3600})),
            _ => ok(json!({"access_token": "1000.b", "expires_in": 3600})),
        },
        |_| fields(),
    )
    .await;
    let mut config = server.config();
    config.api_url = "http://127.0.0.1:9".to_owned();
    let crm = server.crm_with(config.clone());
    crm.contact_fields().await.unwrap();
    server.advance(3_590_000);
    crm.contact_fields().await.unwrap();
    assert_eq!(server.tokens(), 2);
    // A restart knows it from what was kept.
    server.crm_with(config).contact_fields().await.unwrap();
    assert_eq!(server.tokens(), 2);
    let kept = server.keeper.load().await.unwrap().unwrap();
    assert_eq!(kept.asked_at.len(), 1, "an hour ago counts no more");
}

#[tokio::test]
async fn a_domain_that_is_no_address_is_not_called() {
    let server = Server::with_tokens(
        |_, _| ok(json!({"access_token": "1000.a", "api_domain": "ftp://evil.example", "expires_in": 3600})),
        |_| fields(),
    )
    .await;
    server.crm().contact_fields().await.unwrap();
    assert_eq!(server.calls(), 1, "the configured address holds");
}

#[tokio::test]
async fn a_good_token_that_is_refused_once_costs_no_new_one() {
    let server = Server::start(|ask| if ask.earlier == 0 { refused() } else { fields() }).await;
    server.crm().contact_fields().await.unwrap();
    assert_eq!((server.calls(), server.tokens()), (2, 1));
}

#[tokio::test]
async fn a_dead_token_is_replaced_and_a_dead_grant_is_told() {
    let server = Server::start(|ask| if ask.authorization.ends_with("t0") { refused() } else { fields() }).await;
    server.crm().contact_fields().await.unwrap();
    assert_eq!((server.calls(), server.tokens()), (3, 2));
    let server = Server::start(|_| refused()).await;
    let error = server.crm().contact_fields().await.unwrap_err();
    assert_eq!((error.class, error.code.as_str()), (ErrorClass::Auth, "INVALID_TOKEN"));
    assert_eq!(server.tokens(), 2);
}

#[tokio::test]
async fn ten_tokens_in_ten_minutes_are_the_most_across_restarts() {
    // Every token is dead at once, and every start of the program is a new connector.
    let server = Server::start(|_| refused()).await;
    for _ in 0..40 {
        assert!(server.crm().contact_fields().await.is_err());
    }
    assert!(server.tokens() <= 10, "{}", server.tokens());
    server.advance(611_000);
    let before = server.tokens();
    assert!(server.crm().contact_fields().await.is_err());
    assert!(server.tokens() > before, "then Zoho gives some again");
}
