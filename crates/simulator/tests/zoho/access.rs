//! Tokens, data centres, scopes, credits, calls at the same time.

use super::client::{Client, started};
use http::Method;
use ponte_simulator::chance::Latency;
use ponte_simulator::zoho::{Config, DataCentre, Faults, Token};
use serde_json::{Value, json};

const ACCOUNTS: &str = "/Accounts?fields=Account_Name";

#[tokio::test]
async fn the_redirect_flow_gives_a_code_that_works_once_and_for_two_minutes() {
    let (_zoho, mut client) = started(Config { data_centre: DataCentre::Eu, ..Config::default() }).await;
    let ask = "scope=ZohoCRM.modules.ALL,ZohoCRM.org.READ&client_id=1000.SIMCLIENT&response_type=code\
               &access_type=offline&redirect_uri=http%3A%2F%2F127.0.0.1%2Foauth%2Fcallback&state=s%201";
    let consent = async |client: &Client| {
        let answer = client.http.get(format!("{}/oauth/v2/auth?{ask}", client.base)).send().await.unwrap();
        assert_eq!(answer.status().as_u16(), 302);
        answer.headers()["location"].to_str().unwrap().to_owned()
    };
    let location = consent(&client).await;
    let escaped = client.base.replace(':', "%3A").replace('/', "%2F");
    assert!(location.starts_with("http://127.0.0.1/oauth/callback?state=s%201&code=1000."), "{location}");
    assert!(location.ends_with(&format!("&location=eu&accounts-server={escaped}")), "{location}");
    let code = |location: &str| location.split("code=").nth(1).unwrap().split('&').next().unwrap().to_owned();
    let first = code(&location);
    let grant = |code: &str, uri: &str| {
        [
            ("grant_type".to_owned(), "authorization_code".to_owned()),
            ("code".to_owned(), code.to_owned()),
            ("redirect_uri".to_owned(), uri.to_owned()),
        ]
    };
    let exchange = async |client: &Client, code: &str, uri: &str| {
        let fields = grant(code, uri);
        let fields: Vec<(&str, &str)> = fields.iter().map(|(k, v)| (k.as_str(), v.as_str())).collect();
        client.token(&fields).await
    };
    let uri = "http://127.0.0.1/oauth/callback";
    let (status, token) = exchange(&client, &first, uri).await;
    assert_eq!((status, token["expires_in"].as_i64(), &token["api_domain"]), (200, Some(3600), &json!(client.base)));
    assert!(token["refresh_token"].is_string());
    assert_eq!(exchange(&client, &first, uri).await, (200, json!({"error": "invalid_code"})), "a code works once");

    let second = code(&consent(&client).await);
    assert_eq!(exchange(&client, &second, "http://evil").await, (200, json!({"error": "invalid_redirect_uri"})));
    let third = code(&consent(&client).await);
    client.advance(120_001).await;
    assert_eq!(exchange(&client, &third, uri).await, (200, json!({"error": "invalid_code"})), "two minutes");

    client.token = token["access_token"].as_str().unwrap().to_owned();
    assert_eq!(client.get("/org").await.status, 200);
    assert_eq!(client.get("/users").await.said(), (401, "OAUTH_SCOPE_MISMATCH"));
}

#[tokio::test]
async fn a_self_client_code_needs_no_redirect_and_errors_come_with_status_200() {
    let (_zoho, client) = started(Config::default()).await;
    let code = [("grant_type", "authorization_code"), ("code", "1000.sim-code")];
    let (status, token) = client.token(&code).await;
    assert_eq!((status, token["token_type"].as_str()), (200, Some("Bearer")));
    assert_eq!(client.token(&code).await.1, json!({"error": "invalid_code"}));
    let (status, refused) = client.token(&[("client_id", "other"), ("grant_type", "refresh_token")]).await;
    assert_eq!((status, refused), (200, json!({"error": "invalid_client"})));
    let (_, refused) = client.token(&[("client_secret", "other"), ("grant_type", "refresh_token")]).await;
    assert_eq!(refused, json!({"error": "invalid_client_secret"}));
    assert_eq!(client.token(&[("grant_type", "password")]).await.1, json!({"error": "unsupported_grant_type"}));
}

#[tokio::test]
async fn a_refresh_token_gives_ten_access_tokens_in_ten_minutes() {
    let (zoho, mut client) = started(Config::default()).await;
    let mut last = Value::Null;
    for _ in 0..10 {
        last = client.refresh().await.1;
        assert!(last["access_token"].is_string() && last["refresh_token"].is_null(), "{last}");
    }
    let (status, refused) = client.refresh().await;
    assert_eq!((status, refused["error"].as_str()), (400, Some("Access Denied")));
    client.token = last["access_token"].as_str().unwrap().to_owned();
    assert_eq!(client.get(ACCOUNTS).await.status, 204, "what was given goes on working");
    client.advance(600_001).await;
    assert!(client.refresh().await.1["access_token"].is_string());
    let stats = zoho.stats();
    assert_eq!((stats.token_refreshes, stats.token_refreshes_refused), (11, 1));
}

#[tokio::test]
async fn an_access_token_lives_an_hour_and_ends_when_it_is_revoked() {
    let (zoho, mut client) = started(Config::default()).await;
    client.token = client.refresh().await.1["access_token"].as_str().unwrap().to_owned();
    client.advance(3_599_000).await;
    assert_eq!(client.get(ACCOUNTS).await.status, 204);
    client.advance(1_001).await;
    assert_eq!(client.get(ACCOUNTS).await.said(), (401, "INVALID_TOKEN"));
    client.token = client.refresh().await.1["access_token"].as_str().unwrap().to_owned();
    zoho.expire_tokens();
    assert_eq!(client.get(ACCOUNTS).await.said(), (401, "INVALID_TOKEN"));
    assert_eq!(client.post("/_sim/revoke_tokens", json!({})).await.status, 204);
    assert_eq!(client.refresh().await.1, json!({"error": "invalid_code"}));
    let bare = client.http.get(format!("{}/crm/v8/org", client.base)).send().await.unwrap();
    let said: Value = bare.json().await.unwrap();
    assert_eq!(said["code"], "AUTHENTICATION_FAILURE");
    let bearer = client.http.get(format!("{}/crm/v8/org", client.base)).bearer_auth("1000.sim-static-token");
    assert_eq!(bearer.send().await.unwrap().status().as_u16(), 401, "the prefix is Zoho-oauthtoken");
}

#[tokio::test]
async fn the_token_endpoint_takes_a_form_in_parts_too() {
    let (_zoho, client) = started(Config::default()).await;
    let part = |name: &str, value: &str| {
        format!("--xyz\r\nContent-Disposition: form-data; name=\"{name}\"\r\n\r\n{value}\r\n")
    };
    let fields = [
        ("client_id", "1000.SIMCLIENT"),
        ("client_secret", "sim-client-secret"),
        ("grant_type", "refresh_token"),
        ("refresh_token", "1000.sim-refresh-token"),
    ];
    let body: String = fields.iter().map(|(name, value)| part(name, value)).chain(["--xyz--\r\n".to_owned()]).collect();
    let request = client.http.post(format!("{}/oauth/v2/token", client.base)).body(body);
    let answer = request.header("content-type", "multipart/form-data; boundary=xyz").send().await.unwrap();
    let token: Value = answer.json().await.unwrap();
    assert!(token["access_token"].is_string(), "{token}");
}

#[tokio::test]
async fn what_was_given_for_a_refresh_token_ends_with_it() {
    let (_zoho, mut client) = started(Config::default()).await;
    client.token = client.refresh().await.1["access_token"].as_str().unwrap().to_owned();
    let revoke = async |client: &Client, token: &str| {
        let url = format!("{}/oauth/v2/token/revoke?token={token}", client.base);
        client.http.post(url).send().await.unwrap().json::<Value>().await.unwrap()
    };
    assert_eq!(client.get(ACCOUNTS).await.status, 204);
    assert_eq!(revoke(&client, "1000.sim-refresh-token").await, json!({"status": "success"}));
    assert_eq!(revoke(&client, "1000.sim-refresh-token").await, json!({"error": "invalid_code"}));
    assert_eq!(client.get(ACCOUNTS).await.said(), (401, "INVALID_TOKEN"));
    assert_eq!(client.refresh().await.1, json!({"error": "invalid_code"}));
}

#[tokio::test]
async fn the_sixth_refresh_token_in_a_minute_is_refused_and_the_twenty_first_ends_the_oldest() {
    let mut config = Config::default();
    config.oauth.self_client_codes = (0..26).map(|n| format!("code-{n}")).collect();
    let (_zoho, client) = started(config).await;
    let grant = async |n: usize| {
        let code = format!("code-{n}");
        client.token(&[("grant_type", "authorization_code"), ("code", &code)]).await.1
    };
    for n in 0..5 {
        assert!(grant(n).await["refresh_token"].is_string());
    }
    assert_eq!(grant(5).await["error"], "Access Denied");
    assert!(client.refresh().await.1["access_token"].is_string(), "the first is still good");
    for round in 0..3 {
        client.advance(60_001).await;
        for n in 0..5 {
            assert!(grant(6 + round * 5 + n).await["refresh_token"].is_string());
        }
    }
    assert_eq!(client.refresh().await.1, json!({"error": "invalid_code"}), "it was the oldest of 21");
}

#[tokio::test]
async fn a_token_of_another_data_centre_is_refused() {
    let (_zoho, client) = started(Config::default()).await;
    assert_eq!(client.get("/@eu/crm/v8/org").await.said(), (401, "INVALID_TOKEN"));
    assert_eq!(client.get("/@us/crm/v8/org").await.status, 200);
    let fields = [("grant_type", "refresh_token"), ("refresh_token", "1000.sim-refresh-token")];
    assert_eq!(client.token_at("/@in", &fields).await.1, json!({"error": "invalid_client"}));
    assert!(client.token_at("/@us", &fields).await.1["access_token"].is_string());
}

#[tokio::test]
async fn every_endpoint_asks_for_its_own_scope() {
    let mut config = Config::default();
    let scopes = |scopes: &[&str]| scopes.iter().map(ToString::to_string).collect::<Vec<String>>();
    for (token, granted) in [
        ("reader", &["ZohoCRM.modules.contacts.READ", "ZohoCRM.settings.fields.READ"][..]),
        ("queries", &["ZohoCRM.coql.READ", "ZohoCRM.modules.contacts.READ"]),
        ("modules", &["ZohoCRM.modules.ALL"]),
        ("custom", &["ZohoCRM.modules.custom.ALL", "ZohoCRM.settings.ALL"]),
    ] {
        config.tokens.push(Token { token: token.to_owned(), scopes: scopes(granted) });
    }
    let (_zoho, mut client) = started(config).await;
    let module = json!({"modules": [{"singular_label": "Message", "plural_label": "Messages",
                                     "profiles": [{"id": "5725767000000026011"}]}]});
    assert_eq!(client.post("/settings/modules", module).await.said(), (201, "SUCCESS"));
    let query = |module: &str| json!({"select_query": format!("select id from {module} where id is not null")});
    let row = json!({"data": [{"Last_Name": "x", "Name": "x"}]});
    let denied = (401, "OAUTH_SCOPE_MISMATCH");

    client.token = "reader".to_owned();
    assert_eq!(client.get("/Contacts?fields=Email").await.status, 204);
    assert_eq!(client.get("/settings/fields?module=Contacts").await.status, 200);
    for path in
        ["/Leads?fields=Email", "/settings/modules", "/org", "/users", "/actions/watch", "/Contacts/search?word=xy"]
    {
        assert_eq!(client.get(path).await.said(), denied, "{path}");
    }
    assert_eq!(client.post("/Contacts", row.clone()).await.said(), denied);
    assert_eq!(client.post("/Contacts/upsert", row.clone()).await.said(), denied);
    assert_eq!(client.post("/coql", query("Contacts")).await.said(), denied);
    client.token = "queries".to_owned();
    assert_eq!(client.post("/coql", query("Contacts")).await.status, 204);
    assert_eq!(client.post("/coql", query("Leads")).await.said(), denied);
    client.token = "modules".to_owned();
    assert_eq!(client.get("/Contacts/search?word=xy").await.said(), denied, "search has a scope of its own");
    assert_eq!(client.post("/Contacts", row.clone()).await.status, 201);
    client.token = "custom".to_owned();
    assert_eq!(client.post("/Messages", row).await.status, 201);
    assert_eq!(client.get("/Contacts?fields=Email").await.said(), denied);
}

#[tokio::test]
async fn credits_are_spent_by_price_shown_from_half_on_and_come_back_after_a_day() {
    let mut config = Config::default();
    config.limits.credits = 100;
    let (zoho, client) = started(config).await;
    let rows: Vec<Value> = (0..100).map(|n| json!({"Last_Name": n.to_string()})).collect();
    let write = client.post("/Contacts", json!({"data": rows})).await;
    assert_eq!((write.status, write.headers.contains_key("x-api-credits-remaining")), (201, false));
    assert_eq!(zoho.stats().credits_spent, 10, "a credit for ten rows");
    let mut spent = 10;
    for (path, price) in
        [("/Contacts/deleted?type=all", 2), (ACCOUNTS, 1), ("/org", 1), ("/Contacts/search?word=xy", 1)]
    {
        client.get(path).await;
        spent += price;
        assert_eq!(zoho.stats().credits_spent, spent, "{path}");
    }
    let query = "select id from Contacts where id is not null limit 2000";
    client.post("/coql", json!({"select_query": query})).await;
    assert_eq!(zoho.stats().credits_spent, spent + 3);
    assert_eq!(client.post("/_sim/burn", json!({"credits": 32})).await.status, 204);
    let half = client.get(ACCOUNTS).await;
    assert_eq!(half.headers["x-api-credits-remaining"].to_str().unwrap(), "49");
    client.post("/_sim/burn", json!({"credits": 49})).await;
    let over = client.get(ACCOUNTS).await;
    assert_eq!((over.said(), over.headers.contains_key("retry-after")), ((429, "TOO_MANY_REQUESTS"), false));
    assert_eq!(over.headers["x-api-credits-remaining"].to_str().unwrap(), "0");
    client.advance(86_400_001).await;
    assert_eq!(client.get(ACCOUNTS).await.status, 204);
    assert_eq!(zoho.stats().rate_limited, 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn too_many_calls_at_once_are_refused_and_heavy_ones_sooner() {
    let mut config = Config::default();
    (config.limits.concurrency, config.limits.heavy_concurrency) = (4, 2);
    config.faults = Faults { latency: Latency { p50_ms: 300, p99_ms: 301 }, ..Faults::default() };
    let (zoho, client) = started(config).await;
    let light = futures_util::future::join_all((0..6).map(|_| client.get(ACCOUNTS))).await;
    let refused = light.iter().filter(|got| got.said() == (429, "TOO_MANY_REQUESTS")).count();
    assert_eq!(refused, 2);
    let query = json!({"select_query": "select id from Contacts where id is not null"});
    let heavy = futures_util::future::join_all((0..4).map(|_| client.post("/coql", query.clone()))).await;
    assert_eq!(heavy.iter().filter(|got| got.status == 429).count(), 2);
    assert_eq!(zoho.stats().most_active, 4);
    assert_eq!(client.send(Method::GET, ACCOUNTS, &[], None).await.unwrap().status, 204, "places come back");
}

#[tokio::test]
async fn unknown_addresses_methods_and_modules_have_codes_of_their_own() {
    let (_zoho, client) = started(Config::default()).await;
    assert_eq!(client.get("/@us/crm/v2/Contacts").await.said(), (404, "INVALID_URL_PATTERN"));
    assert_eq!(client.get("/Contacts/1/actions/nonsense").await.said(), (404, "INVALID_URL_PATTERN"));
    assert_eq!(client.get("/Nonsense?fields=id").await.said(), (400, "INVALID_MODULE"));
    assert_eq!(client.get("/Contacts/upsert").await.said(), (400, "INVALID_REQUEST_METHOD"));
    assert_eq!(client.post("/Contacts", json!([])).await.said(), (400, "INVALID_DATA"));
}
