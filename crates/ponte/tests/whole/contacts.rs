//! Contacts from the command line, as an operator does it: import, clean, merge, undo, export, erase.

use crate::desk::Desk;
use ponte_testkit::both_engines;
use std::fmt::Write as _;

const LIST: &str = "編號;姓名;手機;電子郵件;拒絕行銷\n\
    1;王小明;0912-345-678;ming@example.com;否\n\
    2;Ana Lima;+55 (11) 98765-4321;ana@example.com;\n\
    3;Broken;12;;\n\
    ;Nobody;;;\n\
    5;陳大文;8.86912E+11;;是\n\
    6;Ana Lima;5511987654321;ana@example.com;\n";

both_engines!(a_list_becomes_people_and_rejected_rows_say_why, |db| async move {
    let desk = Desk::new(&db);
    desk.file("list.csv", LIST.as_bytes());
    let look = desk.good(&["import", "list.csv", "--country", "TW", "--dry-run", "--json"]).await.json();
    assert_eq!((look["created"].as_u64(), look["rejected"].as_u64()), (Some(2), Some(3)));
    let nothing = desk.run(&["show", "0912345678"]).await;
    assert_ne!(nothing.code, 0, "a dry run changes nothing");
    let done = desk.good(&["import", "list.csv", "--country", "TW", "--json"]).await.json();
    assert_eq!(
        (done["rows"].as_u64(), done["created"].as_u64(), done["rejected"].as_u64()),
        (Some(6), Some(2), Some(3))
    );
    let rejected = std::fs::read_to_string(desk.path().join("list.csv.rejected.csv")).unwrap();
    assert_eq!(rejected.lines().count(), 4, "{rejected}");
    for code in ["too_short", "nobody", "digits_lost"] {
        assert!(rejected.contains(code), "{code}: {rejected}");
    }
    let ming = desk.good(&["show", "+886912345678", "--json"]).await.json();
    assert_eq!(ming["name"], "王小明");
    let again = desk.good(&["import", "list.csv", "--country", "TW", "--json"]).await.json();
    assert_eq!((again["created"].as_u64(), again["updated"].as_u64()), (Some(0), Some(0)));
    let wrong = desk.run(&["import", "list.csv", "--country", "Taiwan"]).await;
    assert!(wrong.code != 0 && wrong.err.contains("two letters"), "{wrong:?}");
    desk.file("map.toml", b"[[columns]]\ncolumn = \"phone\"\nuse = \"phone\"\n");
    let wrong = desk.run(&["import", "list.csv", "--mapping", "map.toml"]).await;
    assert!(wrong.code != 0 && wrong.err.contains("there is no column"), "{wrong:?}");
});

both_engines!(one_person_once_and_undone_and_erased, |db| async move {
    let desk = Desk::new(&db);
    let mut list = "id,name,phone,email,birthday,city\n".to_owned();
    let _ = writeln!(list, "1,Ana Lima Souza,+5511987654321,ana@example.com,1990-02-28,Recife");
    let _ = writeln!(list, "2,Souza Ana Lima,+5511976543210,ana@example.com,1990-02-28,Recife");
    let _ = writeln!(list, "3,Carl Fischer,+4915112345678,carl@example.com,1971-01-30,Kiel");
    desk.file("list.csv", list.as_bytes());
    desk.good(&["import", "list.csv"]).await;
    let look = desk.good(&["clean", "--dry-run", "--json"]).await.json();
    assert_eq!(look["people"].as_u64(), Some(3), "{look}");
    assert_eq!(look["merged"].as_u64().unwrap() + look["for_review"].as_u64().unwrap(), 1, "{look}");
    desk.good(&["merge", "+5511987654321", "+5511976543210", "--preview", "--json"]).await;
    let merged = desk.good(&["merge", "+5511987654321", "+5511976543210", "--json"]).await.json();
    let shown = desk.good(&["show", "+5511976543210", "--json"]).await.json();
    assert_eq!(shown["id"], merged["survivor"]);
    assert_eq!(desk.good(&["merges", "--json"]).await.lines().len(), 1);
    desk.good(&["unmerge", merged["merge"].as_str().unwrap()]).await;
    let shown = desk.good(&["show", "+5511976543210", "--json"]).await.json();
    let other = desk.good(&["show", "+5511987654321", "--json"]).await.json();
    assert_ne!(shown["id"], other["id"]);
    let clean = desk.good(&["clean", "--html", "report.html", "--json"]).await.json();
    assert_eq!(clean["merged"].as_u64(), Some(0), "what a person took apart stays apart: {clean}");
    assert!(std::fs::read_to_string(desk.path().join("report.html")).unwrap().contains("Cleaning report"));
    desk.good(&["export", "carl", "--person", "+4915112345678"]).await;
    let page = std::fs::read_to_string(desk.path().join("carl/person.html")).unwrap();
    assert!(page.contains("Carl Fischer") && desk.path().join("carl/person.json").is_file());
    assert_ne!(desk.run(&["erase", "+4915112345678"]).await.code, 0, "not without --yes");
    desk.good(&["erase", "+4915112345678", "--yes"]).await;
    assert_ne!(desk.run(&["show", "+4915112345678"]).await.code, 0);
    let again = desk.good(&["import", "list.csv", "--json", "--overwrite"]).await.json();
    assert_eq!((again["erased"].as_u64(), again["created"].as_u64()), (Some(1), Some(0)), "{again}");
    desk.good(&["export", "all.csv"]).await;
    let all = std::fs::read_to_string(desk.path().join("all.csv")).unwrap();
    assert!(all.contains("+5511987654321") && !all.contains("Carl"), "{all}");
    let audit = desk.ponte(&["audit", "--json"]).await.lines();
    let acts: Vec<&str> = audit.iter().filter_map(|e| e["act"].as_str()).collect();
    for act in ["contacts.import", "contacts.merge", "contacts.unmerge", "contacts.erase", "contacts.export"] {
        assert!(acts.contains(&act), "{act}: {acts:?}");
    }
});

const OLD_CONSENT: &str = "id,phone,opt in,opt in date,opt in source\n\
    1,+886912000001,yes,2024-05-03,web form\n\
    2,+886912000002,yes,,\n\
    3,+886912000003,no,,\n\
    4,+886912000004,maybe,,\n\
    5,+886912000005,,,\n";

both_engines!(old_consent_counts_with_where_and_when_it_was_given, |db| async move {
    let desk = Desk::new(&db);
    desk.file("list.csv", OLD_CONSENT.as_bytes());
    let done = desk.good(&["import", "list.csv", "--json"]).await.json();
    assert_eq!(done["created"].as_u64(), Some(5), "{done}");
    assert_eq!((done["consent"]["confirmed"].as_u64(), done["consent"]["withdrawn"].as_u64()), (Some(1), Some(1)));
    let kept = &done["consent_kept_as_fields"];
    assert_eq!(
        (kept["consent_without_source"].as_u64(), kept["consent_unclear"].as_u64()),
        (Some(1), Some(1)),
        "{done}"
    );
    let shown = desk.good(&["show", "+886912000002", "--json"]).await.json();
    assert_eq!(shown["profile"]["fields"]["consent"]["v"], "yes", "nothing is lost: {shown}");
    let ledger = async || {
        let entries = desk.ponte(&["consent", "export"]).await.lines();
        entries.iter().map(|e| format!("{} {}", e["action"], e["proof"])).collect::<Vec<_>>()
    };
    let first = ledger().await;
    assert_eq!(first.len(), 2, "{first:?}");
    assert!(first.iter().any(|e| e.contains("confirmed") && e.contains("web form")), "{first:?}");
    desk.good(&["import", "list.csv", "--json"]).await;
    assert_eq!(ledger().await, first, "the same list says nothing new");
    let stated = ["--consent-source", "export of the old CRM", "--consent-date", "2024-06-01"];
    let again = desk.good(&[&["import", "list.csv", "--json"], &stated[..]].concat()).await.json();
    assert_eq!(again["consent"]["confirmed"].as_u64(), Some(2), "{again}");
    assert!(ledger().await.iter().any(|e| e.contains("confirmed") && e.contains("old CRM")));
    let wrong = desk.run(&["import", "list.csv", "--consent-date", "last spring"]).await;
    assert!(wrong.code != 0 && wrong.err.contains("2024-05-01"), "{wrong:?}");
});
