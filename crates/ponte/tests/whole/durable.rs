//! A webhook is answered 200 only when its body is safe: a full disk and a database that is away are answered 503.

use crate::rig::{APP_SECRET, HOOK, LONG, Rig, Setup, deliver, eventually, options, phone, port, text_body};
use crate::server::Server;
use ponte_simulator::hubspot::HubSpot;
use ponte_simulator::whatsapp::Simulator;
use ponte_testkit::http::{request, signature};
use ponte_testkit::{Program, TestDatabase};
use serde_json::json;
use std::process::Command;
use std::time::Duration;

/// Delivers texts until none is taken any more; the wamids of those that were. One refusal alone means little: the log may be
/// folded into the database and have room again.
async fn until_full(program: &Program) -> Vec<String> {
    let filler = "y".repeat(60_000);
    let (mut taken, mut refused) = (Vec::new(), 0);
    for i in 0..3_000 {
        let wamid = format!("wamid.full.{i}");
        match deliver(program, &text_body(&wamid, &phone(i % 50), &filler)).await.status {
            200 => {
                taken.push(wamid);
                refused = 0;
            }
            503 if refused == 30 => return taken,
            503 => refused += 1,
            other => panic!("answered {other}\n{}", program.log()),
        }
    }
    panic!("the disk never filled up");
}

/// The file size limit of the process plays the full disk: it needs no rights and hits every file, the write-ahead log too.
#[tokio::test]
async fn a_full_disk_is_answered_503_and_nothing_acknowledged_is_lost() {
    let setup = Setup::sqlite().no_crm();
    let graph = Simulator::start(setup.whatsapp.clone()).await.unwrap();
    let hubspot = HubSpot::start(setup.hubspot.clone()).await.unwrap();
    let db = TestDatabase::sqlite().unwrap();
    let port = port();
    let config = setup.config(port, &crate::rig::url(db.place()), &graph, &hubspot);
    let mut shell = options(port, config, Vec::new());
    shell.program = Some("/bin/sh".into());
    // Blocks of 512 bytes; the signal is ignored so that the write fails instead.
    let script =
        format!("trap '' XFSZ; ulimit -S -f 24000; exec {} serve --config \"$0\"", env!("CARGO_BIN_EXE_ponte"));
    shell.args = vec!["-c".into(), script, "{config}".into()];
    let program = Program::start(shell).await.unwrap();
    let rig = Rig { program, graph, hubspot, db };

    let taken = until_full(&rig.program).await;
    assert!(taken.len() > 5, "only {} fitted", taken.len());
    // What is left may still take a few small writes.
    eventually(LONG, "not ready while nothing can be kept", || async {
        (rig.program.get("/readyz").await.unwrap().status == 503).then_some(())
    })
    .await;
    assert_eq!(rig.program.get("/healthz").await.unwrap().status, 200);
    eventually(LONG, "a send is not let in", || async {
        let text = json!({"type": "text", "body": "z".repeat(4_000)});
        let (status, body) = rig.send(json!({"to": {"phone": format!("+{}", phone(1))}, "message": text})).await;
        (status == 503 && body["code"] == "unavailable").then_some(())
    })
    .await;

    let more = Command::new("prlimit").args(["--pid", &rig.program.pid().to_string(), "--fsize=unlimited"]).status();
    assert!(more.expect("prlimit (util-linux) is needed for this test").success());
    eventually(LONG, "room again", || async {
        let body = text_body("wamid.after", &phone(1), "room again");
        (deliver(&rig.program, &body).await.status == 200).then_some(())
    })
    .await;
    eventually(LONG, "ready again", || async {
        (rig.program.get("/readyz").await.unwrap().status == 200).then_some(())
    })
    .await;
    eventually(LONG, "all that was acknowledged is stored", || async {
        let known = rig.by_wamid().await;
        (known.contains_key("wamid.after") && taken.iter().all(|id| known.contains_key(id))).then_some(())
    })
    .await;
}

#[tokio::test]
async fn a_database_that_is_away_is_answered_503_and_comes_back() {
    let mut server = Server::start();
    let setup = Setup::postgres().no_crm();
    let graph = Simulator::start(setup.whatsapp.clone()).await.unwrap();
    let hubspot = HubSpot::start(setup.hubspot.clone()).await.unwrap();
    let db = TestDatabase::sqlite().unwrap();
    let port = port();
    let config = setup.config(port, &server.url(), &graph, &hubspot);
    let program = Program::start(options(port, config, Vec::new())).await.unwrap();
    let rig = Rig { program, graph, hubspot, db };

    let mut taken = Vec::new();
    for round in 0..2 {
        for i in 0..20 {
            let wamid = format!("wamid.up.{round}.{i}");
            assert_eq!(deliver(&rig.program, &text_body(&wamid, &phone(i), "up")).await.status, 200);
            taken.push(wamid);
        }
        // While it goes down, bodies come in: each is answered 200 and kept, or 503.
        let mut coming = tokio::task::JoinSet::new();
        for i in 0..200 {
            let (to, wamid) = (rig.program.address(), format!("wamid.while.{round}.{i}"));
            coming.spawn(async move {
                tokio::time::sleep(Duration::from_millis(i)).await;
                let body = text_body(&wamid, &phone(3), "while");
                let signature = signature(APP_SECRET, &body);
                let headers = [("content-type", "application/json"), ("x-hub-signature-256", signature.as_str())];
                (wamid, request(to, "POST", HOOK, &headers, &body).await.map(|a| a.status))
            });
        }
        server = tokio::task::spawn_blocking(move || {
            server.down();
            server
        })
        .await
        .unwrap();
        let mut refused = 0;
        for (wamid, status) in coming.join_all().await {
            match status {
                Ok(200) => taken.push(wamid),
                Ok(503) => refused += 1,
                other => panic!("answered {other:?}"),
            }
        }
        assert!(refused > 0, "nothing came while it was away");
        let away = deliver(&rig.program, &text_body("wamid.away", &phone(1), "away")).await;
        assert_eq!(away.status, 503, "{}", away.text());
        assert_eq!(rig.program.get("/readyz").await.unwrap().status, 503);
        assert_eq!(rig.program.get("/healthz").await.unwrap().status, 200);
        let metrics = rig.program.get("/metrics").await.unwrap();
        assert_eq!(metrics.status, 200, "metrics are told without a database");
        let (status, body) = rig.api("GET", "/api/v1/messages", None).await;
        assert_eq!((status, body["code"].as_str()), (503, Some("unavailable")));

        server = tokio::task::spawn_blocking(move || {
            server.up();
            server
        })
        .await
        .unwrap();
        let limit = Duration::from_secs(15);
        eventually(limit, "ready again", || async {
            (rig.program.get("/readyz").await.unwrap().status == 200).then_some(())
        })
        .await;
        assert_eq!(
            deliver(&rig.program, &text_body(&format!("wamid.back.{round}"), &phone(1), "back")).await.status,
            200
        );
        taken.push(format!("wamid.back.{round}"));
    }
    eventually(LONG, "all that was acknowledged is stored", || async {
        let known = rig.by_wamid().await;
        taken.iter().all(|id| known.contains_key(id)).then_some(())
    })
    .await;
}
