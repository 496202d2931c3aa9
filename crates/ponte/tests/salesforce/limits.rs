//! What the org allows is known and kept.

use crate::rig::{Rig, message, person, written};
use ponte_domain::error::{ErrorClass, ThrottleScope};
use ponte_domain::ports::crm::Crm as _;
use ponte_simulator::salesforce::{Allowance, Config, Faults, Limits};

#[tokio::test]
async fn no_call_goes_out_that_the_known_budget_forbids() {
    let limits = Limits { daily_requests: 60, ..Limits::default() };
    let rig = Rig::bare(Config { limits, ..Config::default() }, |c| c.budget_percent = 50).await;
    let mut went = 0;
    let mut held = 0;
    for _ in 0..200 {
        match rig.crm.changes(&[], &rig.crm.cursor_now().await.unwrap()).await {
            Ok(_) => went += 1,
            Err(error) => {
                assert_eq!(error.code, "budget");
                assert!(matches!(error.class, ErrorClass::Throttled { scope: ThrottleScope::Account, .. }));
                held += 1;
            }
        }
    }
    assert!((28..=31).contains(&went) && held > 100, "{went} went, {held} held back");
    assert_eq!(rig.org.stats().rate_limited, 0);
    let budget = rig.crm.budget();
    assert_eq!((budget.limit, budget.calls), (Some(60), u64::from(rig.org.stats().budget_spent)));
    assert!(budget.held_until.is_some());
    // A day later the window has rolled on.
    rig.advance(25 * 3_600_000);
    rig.crm.check().await.unwrap();
    rig.crm.check().await.unwrap();
}

#[tokio::test]
async fn when_others_use_everything_up_one_call_in_a_while_looks() {
    let limits = Limits { daily_requests: 40, ..Limits::default() };
    let rig = Rig::bare(Config { limits, ..Config::default() }, |_| {}).await;
    let others = async |n: usize| {
        for _ in 0..n {
            let url = format!("{}/services/data/v66.0/limits", rig.org.base_url());
            rig.http.get(url).bearer_auth(ponte_simulator::salesforce::DEFAULT_TOKEN).send().await.unwrap();
        }
    };
    others(45).await;
    let error = rig.crm.check().await.unwrap_err();
    assert_eq!(error.code, "REQUEST_LIMIT_EXCEEDED");
    let refused = rig.org.stats().rate_limited;
    for _ in 0..50 {
        assert!(rig.crm.check().await.is_err());
    }
    assert_eq!(rig.org.stats().rate_limited, refused, "nothing went out");
}

#[tokio::test]
async fn limits_are_told_with_their_length() {
    let rig = Rig::start().await;
    rig.crm.prepare().await.unwrap();
    for (kind, ms) in [(Allowance::Concurrent, 5_000), (Allowance::Total, 3_600_000)] {
        rig.org.set_faults(Faults { request_limit: 1.0, request_limit_kind: kind, ..Faults::default() });
        let error = rig.crm.upsert_contacts(&[person(1, None)]).await.unwrap_err();
        assert_eq!(error.class, ErrorClass::Throttled { scope: ThrottleScope::Account, after_ms: Some(ms) });
        let refused = rig.org.stats().rate_limited;
        assert!(rig.crm.check().await.is_err());
        assert_eq!(rig.org.stats().rate_limited, refused, "what was said is obeyed");
        rig.org.set_faults(Faults::default());
        rig.advance(ms + 1);
        rig.crm.check().await.unwrap();
    }
}

#[tokio::test]
async fn many_people_and_messages_cost_few_calls() {
    let rig = Rig::start().await;
    rig.crm.prepare().await.unwrap();
    let people: Vec<_> = (0..200).map(|n| person(n, Some(&format!("1650555{n:04}")))).collect();
    let before = rig.calls();
    let made = rig.crm.upsert_contacts(&people).await.unwrap();
    assert!(rig.calls() - before <= 8, "{} calls for 200 new people", rig.calls() - before);
    let ids: Vec<String> = made.iter().map(|r| written(r).0).collect();
    let before = rig.calls();
    let linked: Vec<_> = people
        .iter()
        .zip(&ids)
        .map(|(p, id)| ponte_domain::crm::ContactWrite { crm_id: Some(id.clone()), ..p.clone() })
        .collect();
    rig.crm.upsert_contacts(&linked).await.unwrap();
    let messages: Vec<_> = ids.iter().enumerate().map(|(n, id)| message(n as u128, id)).collect();
    rig.crm.write_messages(&messages).await.unwrap();
    assert_eq!(rig.calls() - before, 2, "one for 200 linked people, one for 200 messages");
}

#[tokio::test]
async fn an_org_without_an_api_says_what_to_do() {
    let rig =
        Rig::bare(Config { faults: Faults { api_disabled: true, ..Faults::default() }, ..Config::default() }, |_| {})
            .await;
    let error = rig.crm.check().await.unwrap_err();
    assert_eq!((error.class, error.code.as_str()), (ErrorClass::Configuration, "API_DISABLED_FOR_ORG"));
}
