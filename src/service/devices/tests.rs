//! Who adds devices, and what becomes of one that is locked out or forgotten: over the API, without a socket.

use std::time::Duration;

use axum::http::{Method, StatusCode};
use momedo_protocol::jws::Jws;
use momedo_testing::stored_keys::rsa_key;
use serde_json::{Value, json};

use crate::service::people::{self, Who};
use crate::service::permission::RecentlyConfirmed;
use crate::testing::joining::{device_id, list};
use crate::testing::{Answer, Person, Server, refused, word};

const DAY: Duration = Duration::from_secs(24 * 3600);

async fn update(server: &Server, by: &Person, list: &Jws) -> Answer {
    server.call(by, Method::PUT, "/devices", json!({ "device_list": list })).await
}

/// Somebody with a second device, which logs in with the stored key 4.
async fn two_devices(server: &Server) -> (Person, Person) {
    let ada = server.join("Ada", 1).await.person;
    let listed = update(server, &ada, &list(ada.id, 2, &[1, 4], &rsa_key(0))).await;
    assert!(listed.0.is_success(), "{listed:?}");
    let second = on(server, &ada, 4).await;
    (ada, second)
}

/// The same person at the device that logs in with this stored key.
async fn on(server: &Server, who: &Person, login: usize) -> Person {
    let session = server.log_in(login).await;
    assert_eq!(session.0, StatusCode::CREATED, "{session:?}");
    let token = session.1["token"].as_str().unwrap().to_owned();
    Person { device: device_id(login), bundle: who.bundle.clone(), token, ..*who }
}

async fn devices(server: &Server, by: &Person) -> Value {
    server.call(by, Method::GET, "/devices", Value::Null).await.1["devices"].clone()
}

#[tokio::test]
async fn a_listed_device_lists_another_one_and_it_is_told_who_did() {
    let server = Server::open("").await;
    let (ada, second) = two_devices(&server).await;
    let shown = devices(&server, &second).await;
    let of =
        |id: Value| shown.as_array().unwrap().iter().find(|one| one["id"] == id).unwrap()["joined"].clone();
    assert_eq!(of(json!(ada.device))["how"], "registered");
    let joined = of(json!(second.device));
    assert_eq!((&joined["how"], &joined["by"]), (&json!("linked"), &json!(ada.device)));
}

#[tokio::test]
async fn a_list_is_the_next_one_of_its_owner_and_signed_with_the_current_key() {
    let server = Server::open("").await;
    let (ada, ben) = (server.join("Ada", 1).await.person, server.join("Ben", 4).await.person);
    let key = rsa_key(0);
    for refused in [
        list(ada.id, 1, &[1], &key),
        list(ada.id, 3, &[1], &key),
        list(ben.id, 2, &[1], &key),
        list(ada.id, 2, &[1], &rsa_key(5)),
        list(ada.id, 2, &[1, 6, 6], &key),
        list(ada.id, 2, &[], &key),
    ] {
        assert_eq!(word(&update(&server, &ada, &refused).await), "device-list-refused");
    }
    assert!(update(&server, &ada, &list(ada.id, 2, &[1], &key)).await.0.is_success());
}

#[tokio::test]
async fn no_device_is_taken_off_a_list_without_new_keys_nor_is_somebody_elses_put_onto_it() {
    let server = Server::open("").await;
    let (ada, _) = two_devices(&server).await;
    server.join("Ben", 6).await;
    let try_list =
        async |logins: &[usize]| update(&server, &ada, &list(ada.id, 3, logins, &rsa_key(0))).await;
    assert_eq!(word(&try_list(&[1]).await), "revoking-needs-new-keys");
    assert_eq!(word(&try_list(&[1, 7]).await), "revoking-needs-new-keys", "one for another, neither");
    assert_eq!(word(&try_list(&[1, 4, 6]).await), "keys-refused");
    assert_eq!(devices(&server, &ada).await.as_array().map(Vec::len), Some(2));
}

#[tokio::test]
async fn each_device_has_a_queue_of_its_own() {
    let server = Server::open("").await;
    let (ada, second) = two_devices(&server).await;
    let ben = server.register("Ben").await;
    assert!(server.send(&ben, &ada).await.0.is_success());
    let page = server.waiting(&ada).await;
    server.call(&ada, Method::POST, "/ozone/ack", json!({ "cursor": page.cursor })).await;
    assert_eq!(
        (server.waiting(&ada).await.messages.len(), server.waiting(&second).await.messages.len()),
        (0, 1)
    );
    assert!(server.send(&ada, &ada).await.0.is_success(), "what somebody writes to themselves");
    assert_eq!(
        (server.waiting(&ada).await.messages.len(), server.waiting(&second).await.messages.len()),
        (0, 2)
    );
}

#[tokio::test]
async fn a_device_that_an_admin_locks_out_is_out_at_once_and_never_listed_again() {
    let server = Server::open("").await;
    let (ada, second) = two_devices(&server).await;
    let ben = server.register("Ben").await;
    let (admin, who) = (RecentlyConfirmed::at_the_machine(), Who::Participant(ada.id));
    let revoke = async |device| people::revoke_device(server.app(), &admin, who, device).await;
    assert_eq!(refused(revoke(ben.device).await), "unknown-device", "it is not hers");
    revoke(second.device).await.unwrap();
    assert_eq!(refused(revoke(second.device).await), "unknown-device");
    let asked = server.call(&second, Method::GET, "/ozone", Value::Null).await;
    assert_eq!((word(&asked), word(&server.log_in(4).await)), ("not-logged-in", "device-revoked"));
    assert_eq!(word(&update(&server, &ada, &list(ada.id, 3, &[1, 4], &rsa_key(0))).await), "keys-refused");
    assert!(server.send(&ben, &ada).await.0.is_success());
    assert_eq!(server.waiting(&ada).await.messages.len(), 1, "the other device goes on");
}

#[tokio::test]
async fn whose_every_device_is_locked_out_gets_no_mail_and_senders_are_told() {
    let server = Server::open("").await;
    let ada = server.join("Ada", 1).await.person;
    let ben = server.register("Ben").await;
    let (admin, who) = (RecentlyConfirmed::at_the_machine(), Who::Participant(ada.id));
    people::revoke_device(server.app(), &admin, who, ada.device).await.unwrap();
    assert_eq!(word(&server.send(&ben, &ada).await), "no-device");
}

#[tokio::test]
async fn a_device_unseen_for_a_month_is_parked_and_hears_what_it_missed_when_it_is_back() {
    let server = Server::open("").await;
    let (ada, tablet) = two_devices(&server).await;
    let ben = server.register("Ben").await;
    assert!(server.send(&ben, &ada).await.0.is_success());
    server.advance(29 * DAY);
    let phone = on(&server, &ada, 1).await;
    server.upkeep().await;
    assert!(devices(&server, &phone).await.as_array().unwrap().iter().all(|one| one["parked"] == false));
    server.advance(2 * DAY);
    server.upkeep().await;
    let (phone, ben) = (on(&server, &ada, 1).await, server.log_in_again(&ben));
    assert!(server.send(&ben, &ada).await.0.is_success());
    let shown = devices(&server, &phone).await;
    let parked: Vec<_> =
        shown.as_array().unwrap().iter().filter(|one| one["parked"] == true).map(|one| &one["id"]).collect();
    assert_eq!(parked, [&json!(tablet.device)]);
    assert_eq!(server.waiting(&phone).await.messages.len(), 2);
    let tablet = on(&server, &ada, 4).await;
    let page = server.waiting(&tablet).await;
    assert_eq!((page.messages.len(), page.missed), (0, 2));
    assert!(server.send(&ben, &ada).await.0.is_success());
    assert_eq!(server.waiting(&tablet).await.messages.len(), 1, "it is back");
}
