//! What limits attachments: sizes, the disk, time, and whose they are.

use std::time::Duration;

use momedo::service::upkeep;
use momedo::settings::config::Config;
use momedo_client::connection::Payload;
use momedo_protocol::api::blobs::BlobRequest;
use momedo_protocol::blob::{BlobId, sealed_length};
use serde_json::json;

use crate::blobs::{refer, upload, wait_until_gone, write_file};
use crate::harness::{Inside, Server, refused};
use crate::raw::Raw;

const DAY: Duration = Duration::from_secs(86_400);

#[tokio::test]
async fn every_limit_holds_on_both_sides() {
    let settings = "[blobs]\nmax_blob_bytes = 1000\nmax_participant_files = 18\n";
    let server = Server::start_with(settings);
    let (mut ada, mut ben) = (server.register(0).await, server.register(1).await);
    let mut announce =
        async |size| ada.session.announce_blob(&BlobRequest { id: BlobId::random(), size }).await;
    assert_eq!(refused(announce(47).await), "malformed");
    assert_eq!(refused(announce(sealed_length(1000) + 1).await), "blob-too-large");
    announce(sealed_length(1000)).await.unwrap();
    for _ in 1..18 {
        announce(48).await.unwrap();
    }
    assert_eq!(refused(announce(48).await), "blob-quota-full");
    let mut blobs = Vec::new();
    for _ in 0..17 {
        blobs.push(upload(&mut ben.session, 48).await);
    }
    assert_eq!(refused(refer(&mut ben, &ada, &blobs).await), "malformed");
    assert_eq!(refused(refer(&mut ben, &ada, &[blobs[0], blobs[0]]).await), "malformed");
    refer(&mut ben, &ada, &blobs[..16]).await.unwrap();
    let raw = Raw::new(&server).call("GET", "/server", None, Payload::None).await.unwrap();
    assert_eq!(raw["limits"]["max_blob_bytes"], 1000);
    // The command line says so before anything is sealed.
    let (ada, ben) = (server.register_profile(2, "carl").await, server.register_profile(3, "dora").await);
    write_file(&server, "viel.bin", 1001);
    write_file(&server, "knapp.bin", 1000);
    let to = ben.id().unwrap().to_string();
    drop((ada, ben));
    let said = server.failure(&["send", "--profile", "carl", "--to", &to, "--file", "viel.bin"]);
    assert!(said.contains("too large") && said.contains("1000"), "{said}");
    server.json(&["send", "--profile", "carl", "--to", &to, "--file", "knapp.bin", "--json"]);
}

#[tokio::test]
async fn everybodys_files_together_have_a_limit_that_admins_change() {
    let server = Server::start();
    let rules = |more: &[&str]| {
        server.json(&[&["admin", "rules", "--data-dir", "data", "--json"], more].concat()).remove(0)
    };
    let kept = rules(&["--file-mib", "1", "--person-files-mib", "2", "--server-files-mib", "3"]);
    assert_eq!((&kept["file_mib"], &kept["server_files_mib"]), (&json!(1), &json!(3)));
    let mut people = [server.register(0).await, server.register(1).await];
    let mut announce = async |who: usize, size| {
        people[who].session.announce_blob(&BlobRequest { id: BlobId::random(), size }).await
    };
    const MIB: u64 = 1024 * 1024;
    assert_eq!(refused(announce(0, sealed_length(MIB) + 1).await), "blob-too-large");
    announce(0, sealed_length(MIB)).await.unwrap();
    assert_eq!(refused(announce(0, MIB).await), "blob-quota-full");
    // Each takes whole blocks of 4,096 bytes.
    announce(0, MIB - 8192).await.unwrap();
    assert_eq!(refused(announce(0, 4097).await), "blob-quota-full");
    announce(0, 48).await.unwrap();
    assert_eq!(refused(announce(0, 48).await), "blob-quota-full");
    assert_eq!(refused(announce(1, MIB + 1).await), "blob-store-full");
    announce(1, MIB).await.unwrap();
    assert_eq!(refused(announce(1, 48).await), "blob-store-full");
    rules(&["--server-files-mib", "0"]);
    announce(1, 48).await.unwrap();
}

#[tokio::test]
async fn a_disk_with_too_little_room_takes_no_files() {
    let server = Server::start_with("[blobs]\nmin_free_bytes = 1000000000000000\n");
    let (mut ada, ben) = (server.register(0).await, server.register(1).await);
    let announced = ada.session.announce_blob(&BlobRequest { id: BlobId::random(), size: 48 }).await;
    assert_eq!(refused(announced), "storage-full");
    // Mail goes on.
    refer(&mut ada, &ben, &[]).await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn files_expire_by_served_time() {
    let Inside { server, app, clock, .. } = &Inside::start().await;
    let (mut ada, ben) = (server.register(0).await, server.register(1).await);
    let unsent = upload(&mut ada.session, 100).await;
    let sent = upload(&mut ada.session, 100).await;
    refer(&mut ada, &ben, &[sent]).await.unwrap();
    let there = async |id| app.store.read(move |tx| tx.find_blob(id)).await.unwrap().is_some();
    clock.advance(DAY - Duration::from_secs(60));
    upkeep::expire(app).await.unwrap();
    assert!(there(unsent).await && there(sent).await);
    clock.advance(Duration::from_secs(120));
    upkeep::expire(app).await.unwrap();
    assert!(!there(unsent).await && there(sent).await);
    server.json(&["admin", "rules", "--file-days", "40", "--data-dir", "data", "--json"]);
    assert!(Config::default().blobs.retention_days > 40 && Config::default().mail.retention_days > 40);
    clock.advance(DAY * 38);
    upkeep::expire(app).await.unwrap();
    assert!(there(sent).await);
    clock.advance(DAY * 2);
    upkeep::expire(app).await.unwrap();
    assert!(!there(sent).await);
    wait_until_gone(server);
}

#[tokio::test]
async fn a_device_that_is_locked_out_holds_nothing() {
    let server = Server::start();
    let (mut ada, ben) = (server.register(0).await, server.register(1).await);
    let id = upload(&mut ada.session, 100).await;
    refer(&mut ada, &ben, &[id]).await.unwrap();
    let (who, device) = (ben.id().to_string(), ben.session.device.to_string());
    let revoke = ["admin", "participant", "revoke-device", &who, &device, "--data-dir", "data", "--json"];
    server.json(&revoke);
    wait_until_gone(&server);
    assert_eq!(refused(ada.session.blob_upload(id).await), "unknown-blob");
}
