//! Everything goes wrong, and in the end everything is there, once, as it was written.

use crate::rig::{Rig, message, names, person, with};
use ponte_domain::crm::{ContactWrite, MessageWrite, RowResult};
use ponte_domain::error::ErrorClass;
use ponte_domain::ports::crm::Crm;
use ponte_simulator::zoho::{Config, Faults, Limits};
use serde_json::json;

fn weather() -> Faults {
    Faults {
        server_error: 0.03,
        server_error_after_apply: 0.03,
        too_many_requests: 0.02,
        token_refused: 0.05,
        reset_after_apply: 0.03,
        timeout_after_apply: 0.01,
        hang_ms: 100,
        row_failure: 0.02,
        row_locked: 0.02,
        ..Faults::default()
    }
}

/// True when trying again is what the class says.
fn again(class: &ErrorClass) -> bool {
    matches!(
        class,
        ErrorClass::Retryable { .. } | ErrorClass::Throttled { .. } | ErrorClass::UnknownOutcome | ErrorClass::Auth
    )
}

async fn runs(rig: &Rig, notes: bool) {
    let mut config = rig.config.clone();
    config.max_wait_ms = 0;
    config.breaker.failures = 1_000;
    let crm = rig.crm_with(config);
    crm.prepare().await.unwrap();
    rig.zoho.set_faults(weather());
    let field = |n: u128| {
        with(
            person(n, Some(&format!("55119876{n:05}"))),
            &[("Title", json!(format!("T{n}"))), ("Tag", json!([format!("t{}", n % 7)]))],
        )
    };
    let people: Vec<ContactWrite> = (10_001..10_201).map(field).collect();
    let mut links: Vec<Option<String>> = vec![None; people.len()];
    let mut open: Vec<usize> = (0..people.len()).collect();
    let mut rounds = 0;
    while !open.is_empty() {
        rounds += 1;
        assert!(rounds < 400, "{} rows are open still", open.len());
        let some: Vec<usize> = open.iter().copied().take(40).collect();
        let rows: Vec<ContactWrite> = some.iter().map(|n| people[*n].clone()).collect();
        match crm.upsert_contacts(&rows).await {
            Err(error) => assert!(again(&error.class), "{error:?}"),
            Ok(results) => {
                for (n, result) in some.iter().zip(results) {
                    match result {
                        RowResult::Written { crm_id, .. } => links[*n] = Some(crm_id),
                        RowResult::Failed(error) => assert!(again(&error.class), "{error:?}"),
                    }
                }
            }
        }
        open.retain(|n| links[*n].is_none());
        rig.advance(31_000);
    }
    let mut messages: Vec<MessageWrite> =
        links.iter().zip(1..).map(|(id, n)| message(n, id.as_deref().unwrap())).collect();
    let mut left: Vec<usize> = (0..messages.len()).collect();
    while !left.is_empty() {
        rounds += 1;
        assert!(rounds < 800, "{} messages are open still", left.len());
        let some: Vec<usize> = left.iter().copied().take(40).collect();
        let rows: Vec<MessageWrite> = some.iter().map(|n| messages[*n].clone()).collect();
        if let Ok(results) = crm.write_messages(&rows).await {
            for (n, result) in some.iter().zip(results) {
                match result {
                    RowResult::Written { crm_id, .. } => messages[*n].crm_id = Some(crm_id),
                    RowResult::Failed(error) => {
                        assert!(again(&error.class), "{error:?}");
                        messages[*n].uncertain |= error.class == ErrorClass::UnknownOutcome;
                    }
                }
            }
        }
        left.retain(|n| messages[*n].crm_id.is_none());
        rig.advance(31_000);
    }
    rig.zoho.set_faults(Faults::default());
    rig.advance(900_000);
    assert_eq!(rig.contacts().len(), people.len());
    let there: Vec<String> = links.into_iter().flatten().collect();
    let read = crm.read_contacts(&there, &names(&["Title", "Tag", "Mobile"])).await.unwrap();
    for (row, record) in people.iter().zip(read) {
        let record = record.unwrap();
        let phone = json!(format!("+{}", row.phone.as_deref().unwrap()));
        assert_eq!(record.values, [row.fields["Title"].clone(), row.fields["Tag"].clone(), phone]);
        assert_eq!(record.person, Some(row.person));
    }
    let (module, key) = if notes { ("Notes", "Note_Content") } else { ("Ponte_WhatsApp_Messages", "Message_Id") };
    assert_eq!(rig.zoho.records(module).len(), messages.len());
    for (module, key) in [("Contacts", "Ponte_Id"), ("Contacts", "Mobile"), (module, key)] {
        assert_eq!(rig.zoho.duplicates(module, key).unwrap().sharing, 0, "{module} {key}");
    }
    let stats = rig.zoho.stats();
    assert_eq!(stats.token_refreshes_refused, 0, "{stats:?}");
    assert!(stats.applied_unanswered > 0, "the weather was bad");
}

#[tokio::test]
async fn bad_weather_doubles_and_loses_nothing() {
    runs(&Rig::start(Config::default()).await, false).await;
}

#[tokio::test]
async fn bad_weather_doubles_no_note() {
    let limits = Limits { custom_modules: 0, ..Limits::default() };
    runs(&Rig::start(Config { limits, ..Config::default() }).await, true).await;
}
