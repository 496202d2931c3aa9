//! Notifications: asked for, renewed, believed.

use crate::rig::{Rig, START};
use ponte_domain::crm::{CrmHint, CrmNotice, NoticeRefused};
use ponte_domain::ports::crm::Crm;
use ponte_simulator::zoho::Config;
use serde_json::json;
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;

type Bodies = Arc<Mutex<Vec<Vec<u8>>>>;

/// Takes what is posted and answers 200.
async fn receiver() -> (String, Bodies) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = format!("http://{}/webhooks/crm/zoho", listener.local_addr().unwrap());
    let bodies = Bodies::default();
    let seen = Arc::clone(&bodies);
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            let seen = Arc::clone(&seen);
            tokio::spawn(async move {
                let mut all = Vec::new();
                let mut piece = [0; 4_096];
                loop {
                    let n = stream.read(&mut piece).await.unwrap();
                    all.extend_from_slice(&piece[..n]);
                    let Some(at) = all.windows(4).position(|w| w == b"\r\n\r\n") else { continue };
                    let head = String::from_utf8_lossy(&all[..at]).to_ascii_lowercase();
                    let length =
                        head.lines().find_map(|l| l.strip_prefix("content-length:")?.trim().parse::<usize>().ok());
                    if all.len() >= at + 4 + length.unwrap_or(0) || n == 0 {
                        seen.lock().unwrap().push(all[at + 4..].to_vec());
                        stream
                            .write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\nconnection: close\r\n\r\n")
                            .await
                            .unwrap();
                        return;
                    }
                }
            });
        }
    });
    (address, bodies)
}

async fn told(bodies: &Bodies, n: usize) -> Vec<Vec<u8>> {
    for _ in 0..200 {
        if bodies.lock().unwrap().len() >= n {
            return bodies.lock().unwrap().clone();
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    panic!("only {} notifications came", bodies.lock().unwrap().len());
}

#[tokio::test]
async fn a_channel_is_made_renewed_and_believed() {
    let rig = Rig::start(Config::default()).await;
    let (address, bodies) = receiver().await;
    assert_eq!(rig.crm().subscribe(&address).await.unwrap(), None, "nothing is set up");
    let mut config = rig.config.clone();
    config.notification_token = Some("a-word-of-twenty-chars".to_owned().into());
    let crm = rig.crm_with(config);
    assert!(crm.capabilities().notifies);
    let until = crm.subscribe(&address).await.unwrap().unwrap();
    assert!(until > START + 5 * 86_400_000);
    assert_eq!(rig.zoho.stats().channels, 1);
    let read = |body: &[u8]| crm.notice(&CrmNotice { method: "POST", uri: &address, headers: &[], body, now: START });
    let id = rig.person_makes(vec![json!({"Last_Name": "New"})]).await.remove(0);
    let first = told(&bodies, 1).await;
    assert_eq!(read(&first[0]), Ok(vec![CrmHint::Changed { id: id.clone() }]));
    rig.person("DELETE", &format!("records/Contacts/{id}"), json!({})).await;
    let second = told(&bodies, 2).await;
    assert_eq!(read(&second[1]), Ok(vec![CrmHint::Gone { id }]));
    let forged =
        String::from_utf8(second[1].clone()).unwrap().replace("a-word-of-twenty-chars", "another-word-of-twenty");
    assert_eq!(read(forged.as_bytes()), Err(NoticeRefused::Unsigned));

    // Renewed before its end: one channel, that lives on.
    rig.advance(5 * 86_400_000);
    let later = crm.subscribe(&address).await.unwrap().unwrap();
    assert!(later > until);
    rig.advance(2 * 86_400_000);
    assert_eq!(rig.zoho.stats().channels, 1);
    // Ended: made anew.
    rig.advance(7 * 86_400_000);
    assert_eq!(rig.zoho.stats().channels, 0);
    crm.subscribe(&address).await.unwrap();
    assert_eq!(rig.zoho.stats().channels, 1);
}
