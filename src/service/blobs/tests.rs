//! What may be uploaded, who may fetch it, and when it goes: over the API, without a socket.

use std::time::Duration;

use axum::http::{Method, StatusCode};
use momedo_protocol::blob::{BlobId, MIN_BLOB_BYTES, sealed_length};
use momedo_protocol::group::entry::Action;
use serde_json::{Value, json};

use crate::testing::group::{Group, add};
use crate::testing::{Answer, Person, Server, word};

const DAY: Duration = Duration::from_secs(24 * 3600);

async fn announce(server: &Server, by: &Person, id: BlobId, size: u64) -> Answer {
    server.call(by, Method::POST, "/blobs", json!({ "id": id, "size": size })).await
}

async fn append(server: &Server, by: &Person, id: BlobId, offset: u64, bytes: &[u8]) -> Answer {
    let path = format!("/blobs/{id}?offset={offset}");
    let (status, bytes) = server.bytes(Some(&by.token), Method::PATCH, &path, bytes.to_vec()).await;
    (status, serde_json::from_slice(&bytes).unwrap())
}

async fn uploaded(server: &Server, by: &Person, bytes: &[u8]) -> BlobId {
    let id = BlobId::random();
    let announced = announce(server, by, id, bytes.len() as u64).await;
    assert_eq!(announced.0, StatusCode::CREATED, "{announced:?}");
    assert_eq!(append(server, by, id, 0, bytes).await.0, StatusCode::OK);
    id
}

async fn send(server: &Server, by: &Person, to: &Person, blobs: &[BlobId]) -> Answer {
    let mut request = server.envelope(to);
    request.blobs = blobs.to_vec();
    server.call(by, Method::POST, "/messages", serde_json::to_value(request).unwrap()).await
}

/// The bytes as text, or the word of the refusal.
async fn fetched(server: &Server, by: &Person, id: BlobId) -> String {
    let (status, bytes) =
        server.bytes(Some(&by.token), Method::GET, &format!("/blobs/{id}"), Vec::new()).await;
    match status {
        StatusCode::OK => String::from_utf8(bytes.to_vec()).unwrap(),
        _ => word(&(status, serde_json::from_slice(&bytes).unwrap())).to_owned(),
    }
}

async fn delete(server: &Server, by: &Person, path: String) -> Answer {
    server.call(by, Method::DELETE, &path, Value::Null).await
}

const TEXT: &[u8] = b"a photo of the class, sealed and longer than the least that a file has";

#[tokio::test]
async fn an_upload_goes_on_where_it_stopped_and_nowhere_else() {
    let server = Server::open("").await;
    let ada = server.register("Ada").await;
    let id = BlobId::random();
    announce(&server, &ada, id, TEXT.len() as u64).await;
    assert_eq!(append(&server, &ada, id, 0, &TEXT[..20]).await.1["offset"], 20);
    for offset in [0, 19, 21] {
        assert_eq!(word(&append(&server, &ada, id, offset, &TEXT[20..]).await), "wrong-offset");
    }
    assert_eq!(fetched(&server, &ada, id).await, "blob-incomplete");
    let path = format!("/blobs/{id}/upload");
    assert_eq!(server.call(&ada, Method::GET, &path, Value::Null).await.1["offset"], 20);
    append(&server, &ada, id, 20, &TEXT[20..]).await;
    assert_eq!(fetched(&server, &ada, id).await.as_bytes(), TEXT);
}

#[tokio::test]
async fn no_more_bytes_come_than_were_announced() {
    let server = Server::open("").await;
    let ada = server.register("Ada").await;
    let id = BlobId::random();
    announce(&server, &ada, id, 50).await;
    assert_eq!(word(&append(&server, &ada, id, 0, TEXT).await), "malformed");
    append(&server, &ada, id, 0, &TEXT[..50]).await;
    assert_eq!(word(&append(&server, &ada, id, 50, b"!").await), "malformed");
    assert_eq!(fetched(&server, &ada, id).await.as_bytes(), &TEXT[..50]);
}

#[tokio::test]
async fn a_file_is_neither_smaller_than_a_sealed_one_nor_larger_than_the_server_takes() {
    let server = Server::open("[blobs]\nmax_blob_bytes = 100000\n").await;
    let ada = server.register("Ada").await;
    let try_size = async |size| announce(&server, &ada, BlobId::random(), size).await;
    assert_eq!(word(&try_size(MIN_BLOB_BYTES - 1).await), "malformed");
    assert_eq!(word(&try_size(sealed_length(100_000) + 1).await), "blob-too-large");
    for size in [MIN_BLOB_BYTES, sealed_length(100_000)] {
        assert_eq!(try_size(size).await.0, StatusCode::CREATED);
    }
}

#[tokio::test]
async fn an_id_stands_for_one_file_of_one_person() {
    let server = Server::open("").await;
    let (ada, ben) = (server.register("Ada").await, server.register("Ben").await);
    let id = BlobId::random();
    let first = announce(&server, &ada, id, 50).await;
    assert_eq!(announce(&server, &ada, id, 50).await, first);
    assert_eq!(word(&announce(&server, &ada, id, 51).await), "blob-conflict");
    assert_eq!(word(&announce(&server, &ben, id, 50).await), "blob-conflict");
    assert_eq!(word(&append(&server, &ben, id, 0, TEXT).await), "unknown-blob");
}

#[tokio::test]
async fn everybody_has_so_many_files_and_bytes_and_gets_them_back_by_erasing() {
    let server = Server::open("[blobs]\nmax_participant_files = 3\nmax_participant_bytes = 16384\n").await;
    let (ada, ben) = (server.register("Ada").await, server.register("Ben").await);
    // Each takes whole blocks of 4096 bytes.
    let large = BlobId::random();
    assert_eq!(announce(&server, &ada, large, 8193).await.0, StatusCode::CREATED);
    assert_eq!(word(&announce(&server, &ada, BlobId::random(), 4097).await), "blob-quota-full");
    assert_eq!(announce(&server, &ada, BlobId::random(), 4096).await.0, StatusCode::CREATED);
    assert_eq!(announce(&server, &ben, BlobId::random(), 50).await.0, StatusCode::CREATED);
    assert!(delete(&server, &ada, format!("/blobs/{large}")).await.0.is_success());
    for _ in 0..2 {
        assert_eq!(announce(&server, &ada, BlobId::random(), 50).await.0, StatusCode::CREATED);
    }
    assert_eq!(word(&announce(&server, &ada, BlobId::random(), 50).await), "blob-quota-full", "a fourth");
}

#[tokio::test]
async fn everybodys_files_together_have_a_limit() {
    let server = Server::open("[blobs]\nmax_server_bytes = 8192\n").await;
    let (ada, ben) = (server.register("Ada").await, server.register("Ben").await);
    let first = uploaded(&server, &ada, TEXT).await;
    assert_eq!(announce(&server, &ben, BlobId::random(), 50).await.0, StatusCode::CREATED);
    assert_eq!(word(&announce(&server, &ben, BlobId::random(), 50).await), "blob-store-full");
    delete(&server, &ada, format!("/blobs/{first}")).await;
    assert_eq!(announce(&server, &ben, BlobId::random(), 50).await.0, StatusCode::CREATED);
}

#[tokio::test]
async fn nothing_is_uploaded_to_a_disk_without_room() {
    let server = Server::open("[blobs]\nmin_free_bytes = 1000000000000000\n").await;
    let ada = server.register("Ada").await;
    assert_eq!(word(&announce(&server, &ada, BlobId::random(), 50).await), "storage-full");
}

#[tokio::test]
async fn a_file_is_fetched_by_its_owner_and_by_whoever_it_was_sent_to() {
    let server = Server::open("").await;
    let [ada, ben, carl] =
        [server.register("Ada").await, server.register("Ben").await, server.register("Carl").await];
    let id = uploaded(&server, &ada, TEXT).await;
    assert_eq!(fetched(&server, &ben, id).await, "unknown-blob");
    assert!(send(&server, &ada, &ben, &[id]).await.0.is_success());
    for who in [&ada, &ben] {
        assert_eq!(fetched(&server, who, id).await.as_bytes(), TEXT);
    }
    assert_eq!(fetched(&server, &carl, id).await, "unknown-blob");
    assert_eq!(word(&delete(&server, &carl, format!("/blobs/{id}")).await), "unknown-blob");
    assert_eq!(word(&send(&server, &ben, &carl, &[id]).await), "unknown-blob", "it is not his to pass on");
}

#[tokio::test]
async fn a_message_refers_to_whole_files_of_its_sender_each_once_and_not_to_many() {
    let server = Server::open("").await;
    let (ada, ben) = (server.register("Ada").await, server.register("Ben").await);
    let half = BlobId::random();
    announce(&server, &ada, half, 50).await;
    append(&server, &ada, half, 0, &TEXT[..49]).await;
    assert_eq!(word(&send(&server, &ada, &ben, &[half]).await), "blob-incomplete");
    assert_eq!(word(&send(&server, &ada, &ben, &[BlobId::random()]).await), "unknown-blob");
    let whole = uploaded(&server, &ada, TEXT).await;
    assert_eq!(word(&send(&server, &ada, &ben, &[whole, whole]).await), "malformed");
    let many: Vec<_> = (0..17).map(|_| BlobId::random()).collect();
    assert_eq!(word(&send(&server, &ada, &ben, &many).await), "malformed");
    assert!(server.waiting(&ben).await.messages.is_empty());
}

#[tokio::test]
async fn a_file_goes_with_the_last_device_that_needs_it() {
    let server = Server::open("").await;
    let [ada, ben, carl] =
        [server.register("Ada").await, server.register("Ben").await, server.register("Carl").await];
    let id = uploaded(&server, &ada, TEXT).await;
    for to in [&ben, &carl] {
        assert!(send(&server, &ada, to, &[id]).await.0.is_success());
    }
    let hold = format!("/blobs/{id}/hold");
    assert!(delete(&server, &ben, hold.clone()).await.0.is_success());
    assert_eq!(word(&delete(&server, &ben, hold.clone()).await), "unknown-blob");
    assert_eq!(fetched(&server, &ben, id).await, "unknown-blob");
    assert_eq!(fetched(&server, &carl, id).await.as_bytes(), TEXT);
    assert_eq!(word(&delete(&server, &ada, hold).await), "unknown-blob", "the owner's device holds nothing");
    assert!(delete(&server, &carl, format!("/blobs/{id}")).await.0.is_success());
    assert_eq!(fetched(&server, &ada, id).await, "unknown-blob");
}

#[tokio::test]
async fn its_owner_erases_a_file_for_everybody() {
    let server = Server::open("").await;
    let (ada, ben) = (server.register("Ada").await, server.register("Ben").await);
    let id = uploaded(&server, &ada, TEXT).await;
    send(&server, &ada, &ben, &[id]).await;
    assert!(delete(&server, &ada, format!("/blobs/{id}")).await.0.is_success());
    assert_eq!(fetched(&server, &ben, id).await, "unknown-blob");
    assert_eq!(server.waiting(&ben).await.messages.len(), 1, "the message itself stays");
    assert_eq!(announce(&server, &ben, id, 50).await.0, StatusCode::CREATED, "the ID is free again");
}

#[tokio::test]
async fn what_is_sent_to_nobody_goes_after_a_day_and_what_is_sent_after_its_retention() {
    let server = Server::open("[blobs]\nretention_days = 3\n").await;
    let (ada, ben) = (server.register("Ada").await, server.register("Ben").await);
    let (unsent, sent) = (uploaded(&server, &ada, TEXT).await, uploaded(&server, &ada, TEXT).await);
    send(&server, &ada, &ben, &[sent]).await;
    server.advance(DAY - Duration::from_secs(60));
    server.upkeep().await;
    let ada = server.log_in_again(&ada);
    assert_eq!(fetched(&server, &ada, unsent).await.as_bytes(), TEXT);
    server.advance(Duration::from_secs(120));
    server.upkeep().await;
    assert_eq!(fetched(&server, &ada, unsent).await, "unknown-blob");
    server.advance(DAY);
    server.upkeep().await;
    let ben = server.log_in_again(&ben);
    assert_eq!(fetched(&server, &ben, sent).await.as_bytes(), TEXT);
    server.advance(DAY);
    server.upkeep().await;
    let ben = server.log_in_again(&ben);
    assert_eq!(fetched(&server, &ben, sent).await, "unknown-blob");
}

#[tokio::test]
async fn a_file_in_a_group_is_the_members_who_were_there() {
    let server = Server::open("").await;
    let [ada, ben, carl] =
        [server.register("Ada").await, server.register("Ben").await, server.register("Carl").await];
    let mut group = Group::with_key(&server, &ada, &[&ben]).await;
    let id = uploaded(&server, &ada, TEXT).await;
    let mut message = group.message(&ada, &[]);
    message.blobs = vec![id];
    assert!(group.post(&ada, &message).await.0.is_success());
    group.must(&ada, add(&[&carl])).await;
    group.must(&ben, Action::Leave {}).await;
    assert_eq!(fetched(&server, &ben, id).await.as_bytes(), TEXT, "leaving takes nothing back");
    assert_eq!(fetched(&server, &carl, id).await, "unknown-blob");
    let mut others = group.message(&carl, &[]);
    others.blobs = vec![id];
    assert_eq!(word(&group.post(&carl, &others).await), "group-refused", "there is no new key yet");
    group.must(&ada, group.epoch()).await;
    let mut others = group.message(&carl, &[]);
    others.blobs = vec![id];
    assert_eq!(word(&group.post(&carl, &others).await), "unknown-blob");
}
