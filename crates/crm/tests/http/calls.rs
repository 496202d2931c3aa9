//! Signing in, limits, faults.

use crate::shop::{NOW, Shop, names};
use ponte_domain::error::{ErrorClass, ThrottleScope};
use ponte_domain::ports::crm::Crm;
use serde_json::json;

#[tokio::test]
async fn a_refused_token_is_renewed_once_and_then_it_is_a_matter_of_auth() {
    let shop = Shop::open().await;
    let crm = shop.crm(json!({}));
    crm.check().await.unwrap();
    crm.check().await.unwrap();
    assert_eq!(shop.count("POST /token"), 1);
    shop.world().tokens += 1;
    crm.check().await.unwrap();
    assert_eq!(shop.count("POST /token"), 2, "the old one isn't good any more");
    shop.world().locked = true;
    let error = crm.check().await.unwrap_err();
    assert_eq!((error.class, error.code.as_str()), (ErrorClass::Auth, "unauthenticated"));
    let before = shop.count("POST /token");
    assert!(crm.check().await.is_err());
    assert!(shop.count("POST /token") - before <= 1, "no storm of tokens");
}

#[tokio::test]
async fn requests_are_signed_as_described() {
    let shop = Shop::open().await;
    shop.add(7, "", NOW);
    shop.world().signed = true;
    let over = |secret: &str| {
        let mut described = json!({"auth": null});
        described["auth"] = json!({"kind": "hmac", "secret": secret, "signed": "{{ method }}\n{{ path }}\n{{ body }}",
                                   "headers": {"X-Signature": "ponte:{{ signature }}"},
                                   "token_url": null, "client_id": null, "client_secret": null, "scope": null});
        described
    };
    let crm = shop.crm(over("key"));
    crm.check().await.unwrap();
    let write = ponte_domain::crm::ContactWrite { crm_id: Some("7".into()), ..crate::shop::person(1, None) };
    crm.upsert_contacts(&[write]).await.unwrap();
    assert_eq!(shop.crm(over("other")).check().await.unwrap_err().class, ErrorClass::Auth);
}

#[tokio::test]
async fn a_limit_stops_the_connection_for_as_long_as_the_crm_asks() {
    let shop = Shop::open().await;
    let crm = shop.crm(json!({}));
    shop.world().faults = vec![(429, Some("20"))];
    let error = crm.check().await.unwrap_err();
    assert_eq!(error.class, ErrorClass::Throttled { scope: ThrottleScope::Account, after_ms: Some(20_000) });
    let before = shop.count("");
    let error = crm.contacts_page(&names(), None).await.unwrap_err();
    assert!(matches!(error.class, ErrorClass::Throttled { after_ms: Some(20_000), .. }), "{error:?}");
    assert_eq!(shop.count(""), before, "nothing is sent meanwhile");
    assert_eq!(crm.budget().held_until, Some(shop.now() + 20_000));
    shop.advance(20_000);
    crm.check().await.unwrap();
}

#[tokio::test]
async fn calls_keep_within_the_budget_that_is_known() {
    let shop = Shop::open().await;
    let crm = shop.crm(json!({"calls": 5, "per_ms": 60_000, "max_wait_ms": 0}));
    let mut went = 0;
    for _ in 0..20 {
        went += usize::from(crm.check().await.is_ok());
        shop.advance(1_000);
    }
    assert_eq!((went, shop.count("GET")), (5, 5));
}

#[tokio::test]
async fn the_breaker_opens_and_lets_one_try_through_later() {
    let shop = Shop::open().await;
    let crm = shop.crm(json!({}));
    shop.world().faults = vec![(503, None); 5];
    for _ in 0..5 {
        assert!(matches!(crm.check().await.unwrap_err().class, ErrorClass::Retryable { .. }));
    }
    assert_eq!(crm.check().await.unwrap_err().code, "breaker_open");
    shop.advance(1_000);
    crm.check().await.unwrap();
}

#[tokio::test]
async fn the_crms_own_list_of_fields_is_read_where_it_has_one() {
    let shop = Shop::open().await;
    shop.add(7, "", NOW);
    // Each contact stands for a field here: its id is the name, its name the label.
    let describe = json!({"call": {"path": "/contacts", "list": "/data"}, "name": "/id", "label": "/name", "kind": "'txt'",
                          "kinds": {"txt": "long_text"}, "read_only": "/deleted", "at": "/attributes/"});
    let crm = shop.crm(json!({"operations": {"describe": describe}}));
    let fields = crm.contact_fields().await.unwrap();
    let described = fields.iter().find(|f| f.name == "7").unwrap();
    assert_eq!(
        (described.label.as_str(), described.kind, described.writable),
        ("Contact 7", ponte_domain::crm::CrmKind::LongText, true)
    );
    assert_eq!(fields.len(), 4);
    assert!(shop.crm(json!({})).contacts_page(&["7".to_owned()], None).await.unwrap_err().code == "field_unknown");
}
