//! The simulated Salesforce: reading by query, search and replication, sessions, what people in the CRM do, jobs, packages.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing, clippy::panic)]

#[path = "salesforce/client.rs"]
mod client;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use client::{BASE, Client, plain, started};
use http::Method;
use ponte_simulator::salesforce::{Config, Faults, Flags, Limits, Token};
use serde_json::{Value, json};
use std::io::Write as _;
use std::time::Duration;

#[tokio::test]
async fn queries_compare_sort_and_reach_parents_as_the_language_says() {
    let (_salesforce, client) = started(plain()).await;
    let account = client.make("Account", json!({"Name": "Acme"})).await;
    client
        .make(
            "Contact",
            json!({"LastName": "Souza", "Email": "ana@example.org", "AccountId": account, "Birthdate": "2000-01-02"}),
        )
        .await;
    client.make("Contact", json!({"LastName": "berg", "Phone": "50%", "DoNotCall": true})).await;
    client.make("Contact", json!({"LastName": "O'Hara"})).await;
    for (filter, wanted) in [
        ("LastName = 'SOUZA'", "Souza"),
        ("LastName != 'souza' ORDER BY LastName", "berg O'Hara"),
        ("LastName LIKE 'b_r%'", "berg"),
        ("Phone LIKE '50\\%'", "berg"),
        ("LastName IN ('berg', 'O\\'Hara') ORDER BY LastName DESC", "O'Hara berg"),
        ("LastName NOT IN ('berg') ORDER BY LastName ASC", "O'Hara Souza"),
        ("Email = null ORDER BY LastName", "berg O'Hara"),
        ("(DoNotCall = true OR Email != null) AND NOT LastName = 'x' ORDER BY LastName", "berg Souza"),
        ("Account.Name = 'acme'", "Souza"),
        ("AccountId = null ORDER BY Phone NULLS LAST, Id", "berg O'Hara"),
        ("Birthdate > 2000-01-01 AND Birthdate <= 2000-01-02", "Souza"),
        ("CreatedDate = TODAY ORDER BY LastName LIMIT 1 OFFSET 1", "O'Hara"),
        ("CreatedDate > TODAY", ""),
    ] {
        let got = client.column(&format!("SELECT LastName FROM Contact WHERE {filter}"), "LastName").await;
        assert_eq!(got.join(" "), wanted, "{filter}");
    }
    let parent =
        client.query("SELECT Account.Name, Account.Owner.Name FROM Contact ORDER BY CreatedDate, Id").await.body;
    assert_eq!(parent["records"][0]["Account"]["Name"], "Acme");
    assert_eq!(parent["records"][0]["Account"]["Owner"]["Name"], "Integration User");
    assert_eq!(parent["records"][1]["Account"], Value::Null);
    assert_eq!(client.query("SELECT COUNT() FROM Contact").await.body["totalSize"], 3);
    assert_eq!(client.query("SELECT COUNT(Id) n FROM Contact").await.body["records"][0]["n"], 3);
    for (soql, code) in [
        ("SELECT Nothing FROM Contact", "INVALID_FIELD"),
        ("SELECT Id FROM Nothing", "INVALID_TYPE"),
        ("SELECT Id FROM CustomField", "INVALID_TYPE"),
        ("SELECT Id, Id FROM Contact", "INVALID_FIELD"),
        ("SELECT Id FROM Contact WHERE SystemModstamp > '2026-01-01T00:00:00Z'", "INVALID_FIELD"),
        ("SELECT Id FROM Contact WHERE LastName = 5", "INVALID_FIELD"),
        ("SELECT Id FROM Contact WHERE Description = 'x'", "INVALID_FIELD"),
        ("SELECT Id FROM Contact ORDER BY Description", "INVALID_FIELD"),
        ("SELECT Id FROM Contact WHERE Id = 'x'", "INVALID_QUERY_FILTER_OPERATOR"),
        ("SELECT Id FROM Contact WHERE DoNotCall > true", "INVALID_QUERY_FILTER_OPERATOR"),
        ("SELECT Id FROM Contact WHERE", "MALFORMED_QUERY"),
        ("SELECT FIELDS(ALL) FROM Contact", "MALFORMED_QUERY"),
        ("SELECT Id FROM Contact ALL ROWS", "MALFORMED_QUERY"),
        ("SELECT Id FROM Contact OFFSET 2001", "NUMBER_OUTSIDE_VALID_RANGE"),
        ("SELECT Nothing.Name FROM Contact", "INVALID_FIELD"),
    ] {
        let got = client.query(soql).await;
        assert_eq!((got.status, got.code()), (400, code), "{soql}: {}", got.text);
    }
}

#[tokio::test]
async fn cursors_page_expire_and_are_few() {
    let limits = Limits { query_cursors: 2, cursor_life_s: 60, ..Limits::default() };
    let (salesforce, mut client) = started(Config { limits, ..plain() }).await;
    let people: Vec<Value> = (0..450).map(|n| json!({"LastName": format!("{n:03}")})).collect();
    client.post("/_sim/records/Contact", json!({"records": people})).await;
    client.headers.push(("Sforce-Query-Options", "batchSize=200"));
    let soql = "SELECT LastName FROM Contact ORDER BY SystemModstamp, Id";
    let first = client.query(soql).await.body;
    assert_eq!((&first["totalSize"], &first["done"]), (&json!(450), &json!(false)));
    let second = client.get(first["nextRecordsUrl"].as_str().unwrap()).await.body;
    let last = client.get(second["nextRecordsUrl"].as_str().unwrap()).await.body;
    assert_eq!((&last["done"], last["records"].as_array().unwrap().len()), (&json!(true), 50));
    let names: Vec<&Value> = [&first, &second, &last].iter().flat_map(|p| p["records"].as_array().unwrap()).collect();
    assert!(names.windows(2).all(|pair| pair[0]["LastName"].as_str() < pair[1]["LastName"].as_str()));
    let next = async |client: &Client| client.query(soql).await.body["nextRecordsUrl"].as_str().unwrap().to_owned();

    let oldest = next(&client).await;
    next(&client).await;
    next(&client).await;
    assert_eq!(client.get(&oldest).await.code(), "INVALID_QUERY_LOCATOR", "a third closes the oldest");
    let stale = next(&client).await;
    salesforce.advance(Duration::from_secs(61));
    assert_eq!(client.get(&stale).await.code(), "INVALID_QUERY_LOCATOR");
    let own = next(&client).await;
    let app =
        [("grant_type", "client_credentials"), ("client_id", "sim-client"), ("client_secret", "sim-client-secret")];
    client.token = client.token_answer(&app).await.body["access_token"].as_str().unwrap().to_owned();
    assert_eq!(client.get(&own).await.code(), "INVALID_QUERY_LOCATOR", "another session's cursor");
    client.headers = vec![("Sforce-Query-Options", "batchSize=100")];
    assert_eq!(client.query(soql).await.code(), "INVALID_QUERY_OPTIONS");
}

#[tokio::test]
async fn sessions_come_by_every_flow_and_end() {
    let (salesforce, mut client) = started(plain()).await;
    let app = [("client_id", "sim-client"), ("client_secret", "sim-client-secret")];
    let flow = |fields: &[(&'static str, String)]| {
        let all: Vec<(String, String)> = app
            .iter()
            .map(|(k, v)| ((*k).to_owned(), (*v).to_owned()))
            .chain(fields.iter().map(|(k, v)| ((*k).to_owned(), v.clone())))
            .collect();
        let request = client.http.post(format!("{}/services/oauth2/token", client.base)).form(&all);
        async move { Client::got(request).await.unwrap() }
    };
    let own = flow(&[("grant_type", "client_credentials".into())]).await;
    assert_eq!((own.status, own.body.get("expires_in")), (200, None));
    assert_eq!(own.body["instance_url"], salesforce.base_url());

    let verifier = "a-verifier-that-is-long-enough-for-the-rule-of-43-characters";
    let challenge = URL_SAFE_NO_PAD.encode(<sha2::Sha256 as sha2::Digest>::digest(verifier));
    let page = format!(
        "/services/oauth2/authorize?response_type=code&client_id=sim-client&redirect_uri=http%3A%2F%2F127.0.0.1%2Foauth%2Fcallback&state=s&code_challenge={challenge}"
    );
    let back = client.get(&page).await;
    let to = back.headers["location"].to_str().unwrap().to_owned();
    assert!(back.status == 302 && to.ends_with("&state=s"), "{to}");
    let code = to.split("code=").nth(1).unwrap().split('&').next().unwrap().to_owned();
    let exchange = |code: &str, verifier: &str| {
        vec![
            ("grant_type", "authorization_code".to_owned()),
            ("code", code.to_owned()),
            ("redirect_uri", "http://127.0.0.1/oauth/callback".to_owned()),
            ("code_verifier", verifier.to_owned()),
        ]
    };
    let got = flow(&exchange(&code, verifier)).await;
    assert_eq!(got.status, 200, "{}", got.text);
    assert_eq!(flow(&exchange(&code, verifier)).await.body["error"], "invalid_grant", "a code works once");
    let other = client.get(&page).await.headers["location"].to_str().unwrap().to_owned();
    let other = other.split("code=").nth(1).unwrap().split('&').next().unwrap().to_owned();
    assert_eq!(flow(&exchange(&other, "wrong")).await.body["error_description"], "invalid code verifier");

    let refresh = got.body["refresh_token"].as_str().unwrap().to_owned();
    let again = |token: &str| vec![("grant_type", "refresh_token".to_owned()), ("refresh_token", token.to_owned())];
    let renewed = flow(&again(&refresh)).await;
    assert_ne!(renewed.body["refresh_token"], json!(refresh), "it rotates");
    assert_eq!(flow(&again(&refresh)).await.body["error_description"], "expired access/refresh token");
    client.token = got.body["access_token"].as_str().unwrap().to_owned();
    let ended = client.get("/limits").await;
    assert_eq!((ended.status, ended.code()), (401, "INVALID_SESSION_ID"), "rotation ends the old session");
    client.token = renewed.body["access_token"].as_str().unwrap().to_owned();
    assert_eq!(client.get("/limits").await.status, 200);

    let introspect = client.http.post(format!("{}/services/oauth2/introspect", client.base));
    let form = [("client_id", "sim-client"), ("client_secret", "sim-client-secret"), ("token", client.token.as_str())];
    assert_eq!(Client::got(introspect.form(&form)).await.unwrap().body["active"], json!(true));
    assert_eq!(client.get("/services/oauth2/userinfo").await.body["preferred_username"], "integration@ponte.example");
    salesforce.advance(Duration::from_secs(3_600));
    assert_eq!(client.get("/limits").await.status, 200, "use keeps a session open");
    salesforce.advance(Duration::from_secs(7_201));
    assert_eq!(client.get("/limits").await.status, 401);
    assert!(client.token_answer(&[("grant_type", "password")]).await.body["error"] == "unsupported_grant_type");
    let wrong = [("grant_type", "client_credentials"), ("client_id", "sim-client"), ("client_secret", "no")];
    assert_eq!(client.token_answer(&wrong).await.body["error"], "invalid_client");
    let revoke = client.http.post(format!("{}/services/oauth2/revoke", client.base));
    let last = renewed.body["refresh_token"].as_str().unwrap();
    assert_eq!(Client::got(revoke.form(&[("token", last)])).await.unwrap().status, 200);
    assert_eq!(flow(&again(last)).await.status, 400);
}

#[tokio::test]
async fn an_assertion_is_checked_claim_by_claim() {
    let (salesforce, client) = started(plain()).await;
    let key = include_str!("keys/salesforce_jwt.pem");
    let der = base64::engine::general_purpose::STANDARD
        .decode(key.lines().filter(|l| !l.starts_with('-')).collect::<String>())
        .unwrap();
    let pair = ring::signature::RsaKeyPair::from_pkcs8(&der).unwrap();
    let now = client.get("/_sim/clock").await.body["now_ms"].as_i64().unwrap() / 1_000;
    let good = json!({"iss": "sim-client", "sub": "integration@ponte.example", "aud": "https://login.salesforce.com", "exp": now + 120});
    let ask = async |claims: &Value, spoil: bool| {
        let signed =
            format!("{}.{}", URL_SAFE_NO_PAD.encode(r#"{"alg":"RS256"}"#), URL_SAFE_NO_PAD.encode(claims.to_string()));
        let mut signature = vec![0; pair.public().modulus_len()];
        let chance = ring::rand::SystemRandom::new();
        pair.sign(&ring::signature::RSA_PKCS1_SHA256, &chance, signed.as_bytes(), &mut signature).unwrap();
        signature[0] ^= u8::from(spoil);
        let assertion = format!("{signed}.{}", URL_SAFE_NO_PAD.encode(signature));
        client
            .token_answer(&[("grant_type", "urn:ietf:params:oauth:grant-type:jwt-bearer"), ("assertion", &assertion)])
            .await
    };
    let got = ask(&good, false).await;
    assert_eq!((got.status, got.body.get("refresh_token")), (200, None), "{}", got.text);
    assert_eq!(ask(&good, true).await.body["error_description"], "invalid assertion");
    for (claim, value, wanted) in [
        ("iss", json!("other"), "client identifier invalid"),
        ("aud", json!("https://example.org"), "audience is invalid"),
        ("exp", json!(now - 1), "expired authorization code"),
        ("exp", json!(now + 3_600), "expired authorization code"),
        ("sub", json!("other"), "user hasn't approved this consumer"),
    ] {
        let mut claims = good.clone();
        claims[claim] = value;
        assert_eq!(ask(&claims, false).await.body["error_description"], wanted, "{claim}");
    }
    assert_eq!(salesforce.stats().sessions["urn:ietf:params:oauth:grant-type:jwt-bearer"], 1);
}

#[tokio::test]
async fn a_token_without_the_scope_is_shut_out() {
    let mut config = plain();
    config.tokens.push(Token { token: "narrow".into(), scopes: vec!["id".into()] });
    let (_salesforce, mut client) = started(config).await;
    client.token = "narrow".into();
    assert_eq!(client.get("/limits").await.status, 403);
    client.token = "unknown".into();
    assert_eq!(client.get("/limits").await.status, 401);
    assert_eq!(client.get("/services/oauth2/userinfo").await.status, 403);
}

#[tokio::test]
async fn search_finds_phones_by_their_digits_and_lags() {
    let config = Config { flags: Flags { search_lag_ms: 60_000, ..Flags::default() }, ..plain() };
    let (salesforce, client) = started(config).await;
    client
        .make("Contact", json!({"LastName": "Souza", "MobilePhone": "(415) 555-1212", "Email": "ana@example.org"}))
        .await;
    client.make("Lead", json!({"LastName": "Berg", "Company": "C", "Phone": "4155551212"})).await;
    let find = async |term: &str| {
        let got = client.send(Method::GET, &format!("/search?q={term}"), None).await.unwrap();
        (got.code().to_owned(), got.body["searchRecords"].as_array().map_or(0, Vec::len))
    };
    let phones = "FIND+%7B4155551212%7D+IN+PHONE+FIELDS+RETURNING+Contact(Id,MobilePhone),Lead(Id)";
    assert_eq!(find(phones).await.1, 0, "not indexed yet");
    salesforce.advance(Duration::from_secs(60));
    assert_eq!(find(phones).await.1, 2);
    assert_eq!(find("FIND+%7Bana@example.org%7D+IN+EMAIL+FIELDS+RETURNING+Contact(Id)").await.1, 1);
    assert_eq!(find("FIND+%7Bsou*%7D+IN+NAME+FIELDS+RETURNING+Contact(Id+WHERE+Email+!=+null+LIMIT+5)").await.1, 1);
    assert_eq!(find("FIND+%7B%2B415%7D").await.0, "MALFORMED_SEARCH", "reserved characters");
    assert_eq!(find("FIND+souza").await.0, "MALFORMED_SEARCH");
    let plain = json!({"q": "+1 (415) 555-1212", "in": "PHONE", "sobjects": [{"name": "Contact", "fields": ["Id"]}]});
    assert_eq!(
        client.post("/parameterizedSearch", plain).await.body["searchRecords"].as_array().unwrap().len(),
        0,
        "1 is a word of its own"
    );
    let plain = json!({"q": "(415) 555-1212", "in": "PHONE", "sobjects": [{"name": "Contact", "fields": ["Id"]}]});
    assert_eq!(client.post("/parameterizedSearch", plain).await.body["searchRecords"].as_array().unwrap().len(), 1);
}

#[tokio::test]
async fn deletions_merges_and_conversions_can_be_followed() {
    let (salesforce, client) = started(Config { start_at_ms: Some(1_790_000_000_000), ..plain() }).await;
    let a = client.make("Contact", json!({"LastName": "A", "Phone": "1"})).await;
    let b = client.make("Contact", json!({"LastName": "B", "Email": "b@example.org"})).await;
    let task = client.make("Task", json!({"Subject": "x", "WhoId": b})).await;
    let lead = client.make("Lead", json!({"LastName": "L", "Company": "Acme", "Email": "l@example.org"})).await;
    assert_eq!(client.post(&format!("/_sim/records/Contact/{a}/merge"), json!({"losers": [b]})).await.status, 204);
    let converted = client.post(&format!("/_sim/records/Lead/{lead}/convert"), json!({})).await;
    let contact = converted.body["contactId"].as_str().unwrap();

    assert_eq!(client.get(&format!("/sobjects/Contact/{b}")).await.code(), "ENTITY_IS_DELETED");
    let rows = client.query_by("queryAll", "SELECT Id, MasterRecordId FROM Contact WHERE IsDeleted = true").await.body;
    assert_eq!((&rows["records"][0]["Id"], &rows["records"][0]["MasterRecordId"]), (&json!(b), &json!(a)));
    assert_eq!(client.query("SELECT Id FROM Contact WHERE IsDeleted = true").await.body["totalSize"], 0);
    assert_eq!(
        client.get(&format!("/sobjects/Contact/{a}")).await.body["Email"],
        "b@example.org",
        "filled from the loser"
    );
    assert_eq!(client.get(&format!("/sobjects/Task/{task}")).await.body["WhoId"], json!(a), "children follow");
    let led = client.get(&format!("/sobjects/Lead/{lead}")).await.body;
    assert_eq!((&led["IsConverted"], &led["ConvertedContactId"]), (&json!(true), &json!(contact)));
    let late = client.patch(&format!("/sobjects/Lead/{lead}"), json!({"Phone": "1"})).await;
    assert_eq!(late.code(), "CANNOT_UPDATE_CONVERTED_LEAD");

    let span = "start=2026-09-21T00:00:00Z&end=2026-09-22T12:00:00%2B00:00";
    let deleted = client.get(&format!("/sobjects/Contact/deleted?{span}")).await.body;
    assert_eq!(deleted["deletedRecords"][0]["id"], json!(b), "{deleted}");
    assert!(deleted["latestDateCovered"].as_str().is_some());
    let updated = client.get(&format!("/sobjects/Contact/updated?{span}")).await.body;
    assert_eq!(updated["ids"].as_array().unwrap().len(), 2);
    for bad in [
        "start=2026-08-01T00:00:00Z&end=2026-09-22T00:00:00Z",
        "start=2026-09-21T00:00:10Z&end=2026-09-21T00:00:50Z",
        "start=x&end=y",
    ] {
        assert_eq!(
            client.get(&format!("/sobjects/Contact/deleted?{bad}")).await.code(),
            "INVALID_REPLICATION_DATE",
            "{bad}"
        );
    }
    assert_eq!(client.post(&format!("/_sim/records/Contact/{b}/restore"), json!({})).await.status, 204);
    assert_eq!(client.get(&format!("/sobjects/Contact/{b}")).await.status, 200);
    assert_eq!(salesforce.stats().merged, 1);
}

#[tokio::test]
async fn a_person_can_write_with_an_older_stamp_than_its_commit() {
    let (salesforce, client) = started(Config { start_at_ms: Some(1_790_000_000_000), ..plain() }).await;
    let id = client.make("Contact", json!({"LastName": "A"})).await;
    salesforce.set_faults(Faults { late_stamp: 1.0, late_stamp_ms: 15_000, ..Faults::default() });
    salesforce.advance(Duration::from_secs(60));
    client.patch(&format!("/_sim/records/Contact/{id}"), json!({"values": {"LastName": "B"}})).await;
    let row = client.get(&format!("/sobjects/Contact/{id}")).await.body;
    assert!(row["SystemModstamp"].as_str() < row["LastModifiedDate"].as_str());
    assert_eq!(
        client.column("SELECT Id FROM Contact WHERE SystemModstamp >= 2026-09-21T13:33:00Z", "Id").await.len(),
        1
    );
    assert_ne!(row["LastModifiedById"], row["CreatedById"]);
}

#[tokio::test]
async fn bulk_jobs_take_csv_and_tell_each_row() {
    let (salesforce, client) =
        started(Config { flags: Flags { bulk_job_ms: 60_000, ..Flags::default() }, ..plain() }).await;
    client.key("Contact").await;
    let new =
        json!({"object": "Contact", "operation": "upsert", "externalIdFieldName": "WA_Key__c", "lineEnding": "LF"});
    let upload = async |id: &str, csv: &str| {
        let put = client.http.put(format!("{}{BASE}/jobs/ingest/{id}/batches", client.base)).bearer_auth(&client.token);
        Client::got(put.header("content-type", "text/csv").body(csv.to_owned())).await.unwrap()
    };
    let job = client.post("/jobs/ingest", new.clone()).await.body;
    let id = job["id"].as_str().unwrap();
    assert_eq!(job["state"], "Open");
    assert_eq!(upload(id, "WA_Key__c,LastName,Phone\n1,A,#N/A\n2,,5\n3,\"C, D\",\n").await.status, 201);
    assert_eq!(upload(id, "x\n").await.code(), "INVALIDJOBSTATE");
    let path = format!("/jobs/ingest/{id}");
    client.patch(&path, json!({"state": "UploadComplete"})).await;
    assert_eq!(client.get(&path).await.body["state"], "UploadComplete");
    salesforce.advance(Duration::from_secs(61));
    let done = client.get(&path).await.body;
    assert_eq!((&done["state"], &done["numberRecordsFailed"]), (&json!("JobComplete"), &json!(1)), "{done}");
    let good = client.get(&format!("{path}/successfulResults")).await.text;
    assert!(
        good.starts_with("sf__Id,sf__Created,WA_Key__c,LastName,Phone\n003") && good.contains("\"C, D\""),
        "{good}"
    );
    assert!(client.get(&format!("{path}/failedResults")).await.text.contains("REQUIRED_FIELD_MISSING:"));
    let broken = client.post("/jobs/ingest", new).await.body["id"].as_str().unwrap().to_owned();
    upload(&broken, "WA_Key__c,Nothing\n1,2\n").await;
    client.patch(&format!("/jobs/ingest/{broken}"), json!({"state": "UploadComplete"})).await;
    salesforce.advance(Duration::from_secs(61));
    let failed = client.get(&format!("/jobs/ingest/{broken}")).await.body;
    assert_eq!(failed["errorMessage"], "InvalidBatch : Field name not found : Nothing");
    let odd = json!({"object": "Nothing", "operation": "insert"});
    assert_eq!(client.post("/jobs/ingest", odd).await.code(), "INVALIDENTITY");

    let query = json!({"operation": "query", "query": "SELECT WA_Key__c, LastName FROM Contact ORDER BY WA_Key__c"});
    let job = client.post("/jobs/query", query).await.body["id"].as_str().unwrap().to_owned();
    assert_eq!(client.get(&format!("/jobs/query/{job}/results")).await.code(), "INVALIDJOBSTATE");
    salesforce.advance(Duration::from_secs(61));
    let page = client.get(&format!("/jobs/query/{job}/results?maxRecords=1")).await;
    assert_eq!(
        (page.text.as_str(), &page.headers["sforce-numberofrecords"]),
        ("\"WA_Key__c\",\"LastName\"\n\"1\",\"A\"\n", &http::HeaderValue::from_static("1"))
    );
    let locator = page.headers["sforce-locator"].to_str().unwrap();
    let rest = client.get(&format!("/jobs/query/{job}/results?locator={locator}")).await;
    assert_eq!((rest.headers["sforce-locator"].to_str().unwrap(), rest.text.lines().count()), ("null", 2));
}

/// A package with the object of messages, whose text has this length, and a permission set.
async fn deploy(client: &Client, length: usize, grants: &str) -> Value {
    let object = format!(
        "<?xml version=\"1.0\" encoding=\"UTF-8\"?><CustomObject xmlns=\"http://soap.sforce.com/2006/04/metadata\">\
         <label>WhatsApp Message</label><pluralLabel>WhatsApp Messages</pluralLabel>\
         <fields><fullName>Message_Id__c</fullName><label>Message</label><type>Text</type><length>{length}</length>\
         <externalId>true</externalId><unique>true</unique></fields>\
         <fields><fullName>Contact__c</fullName><label>Contact</label><type>Lookup</type>\
         <referenceTo>Contact</referenceTo><relationshipName>Messages</relationshipName></fields></CustomObject>"
    );
    let field = |name: &str| {
        format!(
            "<fieldPermissions><field>WhatsApp_Message__c.{name}</field><readable>true</readable>\
             <editable>true</editable></fieldPermissions>"
        )
    };
    let set = format!(
        "<PermissionSet xmlns=\"http://soap.sforce.com/2006/04/metadata\"><label>Ponte</label>{}{}{grants}</PermissionSet>",
        field("Message_Id__c"),
        field("Contact__c")
    );
    let mut zip = zip::ZipWriter::new(std::io::Cursor::new(Vec::new()));
    for (name, text) in [
        ("package.xml", "<Package/>"),
        ("objects/WhatsApp_Message__c.object", &object),
        ("permissionsets/Ponte.permissionset", &set),
    ] {
        zip.start_file(name, zip::write::SimpleFileOptions::default()).unwrap();
        zip.write_all(text.as_bytes()).unwrap();
    }
    let part = reqwest::multipart::Part::bytes(zip.finish().unwrap().into_inner()).file_name("p.zip");
    let options = r#"{"deployOptions":{"singlePackage":true}}"#;
    let form = reqwest::multipart::Form::new().text("json", options).part("file", part);
    let url = format!("{}{BASE}/metadata/deployRequest", client.base);
    let asked = Client::got(client.http.post(url).bearer_auth(&client.token).multipart(form)).await.unwrap();
    assert_eq!(asked.status, 201, "{}", asked.text);
    let id = asked.body["id"].as_str().unwrap();
    client.get(&format!("/metadata/deployRequest/{id}?includeDetails=true")).await.body
}

#[tokio::test]
async fn a_package_makes_an_object_its_fields_and_grants_or_nothing() {
    let (_salesforce, client) = started(plain()).await;
    let failed = deploy(&client, 999, "").await;
    assert_eq!(failed["deployResult"]["status"], "Failed", "{failed}");
    assert_eq!(client.get("/sobjects/WhatsApp_Message__c").await.status, 404, "nothing of a failed package stays");
    assert_eq!(deploy(&client, 100, "").await["deployResult"]["success"], json!(true));

    client.key("Contact").await;
    let contact = client.make("Contact", json!({"LastName": "A", "WA_Key__c": "per_1"})).await;
    let path = "/sobjects/WhatsApp_Message__c/Message_Id__c/msg_1";
    let made = client.patch(path, json!({"Contact__r": {"WA_Key__c": "per_1"}})).await;
    assert_eq!(made.status, 201, "{}", made.text);
    assert_eq!(client.get(path).await.body["Contact__c"], json!(contact));
    let lost = client.patch(path, json!({"Contact__r": {"WA_Key__c": "per_2"}})).await;
    assert_eq!(lost.code(), "INVALID_FIELD");
    let rows = client.query("SELECT Contact__r.LastName FROM WhatsApp_Message__c").await.body;
    assert_eq!(rows["records"][0]["Contact__r"]["LastName"], "A");
}

#[tokio::test]
async fn a_custom_object_needs_object_permissions_of_a_user_without_all_rights() {
    let flags = Flags { modify_all_data: false, ..Flags::default() };
    let (_salesforce, client) = started(Config { flags, ..plain() }).await;
    assert_eq!(deploy(&client, 100, "").await["deployResult"]["success"], json!(true));
    assert_eq!(client.query("SELECT Id FROM WhatsApp_Message__c").await.code(), "INVALID_TYPE");
    let grant = "<objectPermissions><object>WhatsApp_Message__c</object><allowRead>true</allowRead>\
                 <allowCreate>true</allowCreate></objectPermissions>";
    assert_eq!(deploy(&client, 100, grant).await["deployResult"]["success"], json!(true));
    let path = "/sobjects/WhatsApp_Message__c/Message_Id__c/msg_1";
    assert_eq!(client.patch(path, json!({})).await.status, 201);
    for refused in [client.patch(path, json!({})).await, client.delete(path).await] {
        assert_eq!((refused.status, refused.code()), (403, "INSUFFICIENT_ACCESS_OR_READONLY"));
    }
    let described = client.get("/sobjects/WhatsApp_Message__c/describe").await.body;
    assert_eq!((&described["createable"], &described["updateable"]), (&json!(true), &json!(false)));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_hundred_thousand_contacts_are_read_whole_and_by_their_changes() {
    let (salesforce, client) = started(Config { start_at_ms: Some(1_790_000_000_000), ..plain() }).await;
    let mut ids = Vec::new();
    for batch in 0..10 {
        let person = |n: u32| {
            let n = batch * 10_000 + n;
            json!({"LastName": format!("N{n}"), "MobilePhone": format!("+55119{n:08}"), "Email": format!("n{n}@example.org")})
        };
        let people: Vec<Value> = (0..10_000).map(person).collect();
        let made = client.post("/_sim/records/Contact", json!({"records": people})).await.body;
        ids.extend(made["ids"].as_array().unwrap().iter().map(|id| id.as_str().unwrap().to_owned()));
    }
    let began = std::time::Instant::now();
    let soql = "SELECT Id, LastName, MobilePhone, Email FROM Contact ORDER BY SystemModstamp, Id";
    let mut page = client.query(soql).await.body;
    let mut seen = page["records"].as_array().unwrap().len();
    while let Some(next) = page["nextRecordsUrl"].as_str() {
        page = client.get(next).await.body;
        seen += page["records"].as_array().unwrap().len();
    }
    let whole = began.elapsed();
    assert_eq!(seen, 100_000);
    salesforce.advance(Duration::from_secs(3_600));
    for id in ids.iter().step_by(1_000) {
        client.patch(&format!("/_sim/records/Contact/{id}"), json!({"values": {"Title": "T"}})).await;
    }
    let began = std::time::Instant::now();
    let changed = "SELECT Id FROM Contact WHERE SystemModstamp >= 2026-09-21T14:30:00Z ORDER BY SystemModstamp, Id";
    assert_eq!(client.column(changed, "Id").await.len(), 100);
    let found =
        client.column("SELECT LastName FROM Contact WHERE MobilePhone IN ('+5511900054321', 'x')", "LastName").await;
    assert_eq!(found, ["N54321"]);
    let looked = began.elapsed();
    eprintln!("all in {whole:?}, two look-ups in {looked:?}");
    // Far above what an idle core needs.
    assert!(whole < Duration::from_secs(60) && looked < Duration::from_secs(2));
}
