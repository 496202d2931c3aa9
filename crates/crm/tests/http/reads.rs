//! Reading: pages of every kind, changes while somebody works, looks through everything, records by id.

use crate::shop::{NOW, Shop, drained, ids, names};
use ponte_domain::crm::CrmChange;
use ponte_domain::error::ErrorClass;
use ponte_domain::ports::crm::Crm;
use proptest::prelude::*;
use serde_json::{Value, json};
use std::collections::BTreeSet;

async fn pages(shop: &Shop, over: Value) -> (Vec<u64>, usize) {
    let crm = shop.crm(over);
    let (mut all, mut after, mut pages) = (Vec::new(), None, 0);
    loop {
        let page = crm.contacts_page(&names(), after.as_deref()).await.unwrap();
        all.extend(page.records.iter().map(|r| r.id.parse::<u64>().unwrap()));
        (after, pages) = (page.next, pages + 1);
        if after.is_none() {
            return (all, pages);
        }
        assert!(pages < 50, "reading doesn't end");
    }
}

#[tokio::test]
async fn every_kind_of_paging_reads_every_contact_once() {
    let shop = Shop::open().await;
    (1..=25).for_each(|id| shop.add(id, "", NOW));
    let list = |query: Value, paging: Value| json!({"operations": {"list": {"query": query, "paging": paging}}});
    let nothing = json!({"offset": null});
    let mut after = nothing.clone();
    after["after"] = json!("{{ page.after_number }}");
    let mut cursor = nothing.clone();
    cursor["cursor"] = json!("{{ page.cursor }}");
    for over in [
        json!({}),
        list(json!({"offset": "{{ (page.number - 1) * page.limit }}"}), json!({"kind": "number", "more": "/next"})),
        list(json!({}), json!({"kind": "offset", "more": "/next"})),
        list(after, json!({"kind": "after"})),
        list(cursor, json!({"kind": "cursor", "next": "/next"})),
        list(nothing, json!({"kind": "link"})),
    ] {
        let (all, pages) = pages(&shop, over.clone()).await;
        assert_eq!((all, pages), ((1..=25).collect(), 3), "{over}");
    }
}

#[tokio::test]
async fn a_link_to_another_host_is_not_followed() {
    let shop = Shop::open().await;
    (1..=25).for_each(|id| shop.add(id, "", NOW));
    let elsewhere = "'https://elsewhere.test/api/contacts'";
    let over =
        json!({"operations": {"list": {"query": {"offset": null}, "paging": {"kind": "link", "next": elsewhere}}}});
    let error = shop.crm(over).contacts_page(&names(), None).await.unwrap_err();
    assert_eq!((error.class, error.code.as_str()), (ErrorClass::Configuration, "link_elsewhere"));
}

fn begun() -> String {
    json!({"at": (NOW - 3_600_000) * 1_000}).to_string()
}

#[tokio::test]
async fn contacts_that_change_while_they_are_read_push_none_out_of_sight() {
    let shop = Shop::open().await;
    (1..=40).for_each(|id| shop.add(id, "", NOW - 100_000 + i64::try_from(id).unwrap()));
    // By offsets alone, the first ones' moving to the end would make the second page begin too late.
    shop.world().restless = vec![vec![1, 2, 3, 4, 5]];
    let (changes, _) = drained(&shop.crm(json!({})), begun()).await;
    let seen: BTreeSet<u64> = ids(&changes).into_iter().collect();
    assert_eq!(seen, (1..=40).collect());
}

#[tokio::test]
async fn contacts_that_leave_a_time_while_it_is_paged_through_push_none_out_of_sight() {
    let shop = Shop::open().await;
    (1..=17).for_each(|id| shop.add(id, "", NOW - 5_000));
    // The first page tells the time, the second begins it; then five of its rows change.
    shop.world().restless = vec![vec![], vec![1, 2, 3, 4, 5]];
    let (changes, _) = drained(&shop.crm(json!({})), begun()).await;
    let seen: BTreeSet<u64> = ids(&changes).into_iter().collect();
    assert_eq!(seen, (1..=17).collect());
}

#[tokio::test]
async fn many_contacts_with_one_time_are_read_whole() {
    let shop = Shop::open().await;
    (1..=37).for_each(|id| shop.add(id, "", NOW - 5_000));
    let (changes, cursor) = drained(&shop.crm(json!({})), begun()).await;
    let seen: BTreeSet<u64> = ids(&changes).into_iter().collect();
    assert_eq!(seen, (1..=37).collect());
    let before = shop.count("");
    shop.advance(3_600_000);
    let crm = shop.crm(json!({}));
    crm.changes(&names(), &cursor).await.unwrap();
    assert!(
        shop.count("") - before <= 3 + 1,
        "a look that finds nothing: at most three calls, and one for the first token"
    );
}

/// The three ways of walking through changes that hold while somebody works.
fn walks() -> [Value; 3] {
    let query = json!({"since": "{{ since.ms }}", "behind": "{{ since.id_number }}", "offset": null});
    let keyset = json!({"query": query, "paging": {"kind": "none"}, "walk": "keyset"});
    let query = json!({"offset": null, "after": "{{ page.after_number }}"});
    let pages = json!({"query": query, "paging": {"kind": "after"}, "walk": "pages"});
    [json!({}), keyset, pages].map(|changes| json!({"operations": {"changes": changes}}))
}

#[tokio::test]
async fn a_keyset_goes_on_behind_the_last_row_whatever_its_time() {
    let shop = Shop::open().await;
    (1..=35).for_each(|id| shop.add(id, "", NOW - if id <= 30 { 5_000 } else { 1_000 }));
    let [_, keyset, _] = walks();
    let (changes, _) = drained(&shop.crm(keyset), begun()).await;
    assert_eq!(ids(&changes), (1..=35).collect::<Vec<_>>());
    assert_eq!(shop.count("GET /api/contacts"), 4);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    #[test]
    fn whatever_changes_while_it_is_read_everybody_is_seen(
        times in proptest::collection::vec(0i64..4, 1..60),
        restless in proptest::collection::vec(proptest::collection::vec(1u64..60, 0..8), 0..8),
        walk in 0usize..3,
    ) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let seen: BTreeSet<u64> = runtime.block_on(async {
            let shop = Shop::open().await;
            (1..).zip(&times).for_each(|(id, at)| shop.add(id, "", NOW - 20_000 + at * 10));
            shop.world().restless = restless;
            let (changes, _) = drained(&shop.crm(walks()[walk].clone()), begun()).await;
            ids(&changes).into_iter().collect()
        });
        // Ids don't move, so a walk by ids sees everybody; one by time sees those who moved where they are now.
        prop_assert_eq!(seen, (1..=times.len() as u64).collect());
    }
}

#[tokio::test]
async fn deletions_merges_and_purges_are_told() {
    let shop = Shop::open().await;
    (1..=4).for_each(|id| shop.add(id, "", NOW));
    {
        let mut world = shop.world();
        world.contacts.get_mut(&2).unwrap().deleted = true;
        world.contacts.get_mut(&3).unwrap().merged_into = Some(1);
        world.contacts.remove(&4);
        world.purged.push((4, NOW));
    }
    let crm = shop.crm(json!({}));
    let (changes, _) = drained(&crm, begun()).await;
    assert!(matches!(&changes[0], CrmChange::Record(record) if record.id == "1"));
    let gone = |id: &str| CrmChange::Gone { id: id.into() };
    assert_eq!(changes[1..], [gone("2"), CrmChange::Merged { from: "3".into(), into: "1".into() }, gone("4")]);
    let read = crm.read_contacts(&["3", "2", "9", "1"].map(str::to_owned), &names()).await.unwrap();
    let ids: Vec<_> = read.iter().map(|r| r.as_ref().map(|r| r.id.as_str())).collect();
    assert_eq!(ids, [Some("1"), None, None, Some("1")]);
    let old = json!({"at": 0}).to_string();
    let crm = shop.crm(json!({"keep_deletions_days": 30}));
    assert_eq!(crm.changes(&names(), &old).await.unwrap_err().class, ErrorClass::Gone);
}

#[tokio::test]
async fn without_a_filter_everything_is_looked_through_and_only_what_changed_is_told() {
    let shop = Shop::open().await;
    (1..=25).for_each(|id| shop.add(id, "", NOW));
    let crm = shop.crm(json!({"operations": {"changes": null, "deleted": null}}));
    assert!(!crm.capabilities().changes);
    let cursor = crm.cursor_now().await.unwrap();
    let (changes, cursor) = drained(&crm, cursor).await;
    assert_eq!(ids(&changes), (1..=25).collect::<Vec<_>>(), "at first nothing is known");
    let (changes, cursor) = drained(&crm, cursor).await;
    assert_eq!(changes, []);
    {
        let mut world = shop.world();
        world.contacts.get_mut(&7).unwrap().email = Some("seven@x.test".into());
        world.contacts.remove(&9);
    }
    let (changes, cursor) = drained(&crm, cursor).await;
    assert!(matches!(&changes[0], CrmChange::Record(record) if record.id == "7" && record.values[1] == "seven@x.test"));
    assert_eq!(changes[1..], [CrmChange::Gone { id: "9".into() }]);
    assert_eq!(drained(&crm, cursor).await.0, []);
}
