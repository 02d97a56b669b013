//! What an invite is good for, how often and how long: over the API, without a socket.

use std::time::Duration;

use axum::http::{Method, StatusCode};
use momedo_protocol::api::Reservation;
use momedo_protocol::countersignature::Countersignature;
use momedo_protocol::invite::InviteCode;
use momedo_protocol::jws::Jws;
use serde_json::Value;

use crate::domain::limits::{MAX_RESERVATIONS_PER_INVITE, RESERVATION};
use crate::service::people::{self, Who};
use crate::service::permission::RecentlyConfirmed;
use crate::testing::joining::{Keys, list};
use crate::testing::{Answer, Server, word};

const DAY: Duration = Duration::from_secs(24 * 3600);

async fn reserved(server: &Server, code: InviteCode) -> Reservation {
    let answer = server.reserve(code).await;
    assert_eq!(answer.0, StatusCode::CREATED, "{answer:?}");
    serde_json::from_value(answer.1).unwrap()
}

/// Publishes the first bundle of a reservation.
async fn complete(server: &Server, reservation: &Reservation, login: usize) -> Answer {
    let keys = Keys::new(0, 3);
    let bundle = keys.bundle(server, reservation.id, reservation.bundle_version).sign(&[&keys.signature]);
    let list = list(reservation.id, reservation.device_list_version, &[login], &keys.signature);
    server.publish(&reservation.token, &keys, &bundle, Some(&list)).await
}

#[tokio::test]
async fn an_invite_is_used_once_and_only_by_whoever_completes_their_registration() {
    let server = Server::open("").await;
    let code = server.invite(server.add_person("Ada").await).await;
    let (first, second) = (reserved(&server, code).await, reserved(&server, code).await);
    assert_ne!(first.id, second.id);
    assert_eq!(complete(&server, &second, 1).await.0, StatusCode::CREATED);
    assert_eq!(word(&server.reserve(code).await), "invite-used");
    assert_eq!(word(&complete(&server, &first, 4).await), "reservation-ended");
}

#[tokio::test]
async fn an_unknown_invite_is_told_apart_from_one_that_was_used_or_is_too_old() {
    let server = Server::open("[rules]\ninvite_days = 2\n").await;
    let (ada, ben) = (server.add_person("Ada").await, server.add_person("Ben").await);
    let (used, old) = (server.invite(ada).await, server.invite(ben).await);
    server.join_with(used, 1).await;
    assert_eq!(word(&server.reserve(InviteCode::random()).await), "unknown-invite");
    server.advance(2 * DAY - Duration::from_secs(1));
    reserved(&server, old).await;
    server.advance(Duration::from_secs(1));
    server.upkeep().await;
    assert_eq!(word(&server.reserve(old).await), "invite-expired");
    assert_eq!(word(&server.reserve(used).await), "invite-used");
}

#[tokio::test]
async fn a_newer_card_ends_the_older_one_of_the_same_person() {
    let server = Server::open("").await;
    let (ada, ben) = (server.add_person("Ada").await, server.add_person("Ben").await);
    let (lost, of_ben) = (server.invite(ada).await, server.invite(ben).await);
    let newer = server.invite(ada).await;
    assert_eq!(word(&server.reserve(lost).await), "unknown-invite");
    server.join_with(newer, 1).await;
    server.join_with(of_ben, 4).await;
}

#[tokio::test]
async fn a_reservation_lasts_ten_minutes_and_the_invite_longer() {
    let server = Server::open("").await;
    let code = server.invite(server.add_person("Ada").await).await;
    let late = reserved(&server, code).await;
    server.advance(RESERVATION);
    assert_eq!(word(&complete(&server, &late, 1).await), "reservation-ended");
    let in_time = reserved(&server, code).await;
    server.advance(RESERVATION - Duration::from_millis(1));
    assert_eq!(complete(&server, &in_time, 1).await.0, StatusCode::CREATED);
}

#[tokio::test]
async fn five_may_try_an_invite_at_once_and_the_next_one_later() {
    let server = Server::open("").await;
    let code = server.invite(server.add_person("Ada").await).await;
    let mut tokens = Vec::new();
    for _ in 0..MAX_RESERVATIONS_PER_INVITE {
        tokens.push(reserved(&server, code).await.token);
    }
    let refused = server.reserve(code).await;
    assert_eq!((word(&refused), &refused.1["retry_after"]), ("too-often", &Value::from(600)));
    let other = server.invite(server.add_person("Ben").await).await;
    reserved(&server, other).await;
    server.advance(RESERVATION);
    reserved(&server, code).await;
}

#[tokio::test]
async fn a_reservation_publishes_keys_for_its_own_id_and_does_nothing_else() {
    let server = Server::open("").await;
    let ben = server.join("Ben", 4).await;
    let code = server.invite(server.add_person("Ada").await).await;
    let reservation = reserved(&server, code).await;
    let keys = Keys::new(0, 3);
    let bundle = keys.bundle(&server, ben.person.id, 2).sign(&[&keys.signature]);
    let stolen = server.offer(&reservation.token, ben.person.id, &bundle, None).await;
    assert_eq!(word(&stolen), "not-yours");
    for path in ["/ozone", "/groups", "/devices", "/me/blocks"] {
        let answer = server.call_with(Some(&reservation.token), Method::GET, path, Value::Null).await;
        assert_eq!(word(&answer), "not-logged-in", "{path}");
    }
}

#[tokio::test]
async fn the_server_vouches_for_the_name_that_an_admin_gave() {
    let server = Server::open("").await;
    let code = server.invite(server.add_person("Ada Lovelace").await).await;
    let reservation = reserved(&server, code).await;
    assert_eq!(reservation.name.as_deref(), Some("Ada Lovelace"));
    let published = complete(&server, &reservation, 1).await.1;
    let jws: Jws = serde_json::from_value(published["countersignature"].clone()).unwrap();
    let signed = Countersignature::verify(&jws, server.app().identity.public()).unwrap();
    assert_eq!((signed.name.as_str(), signed.id), ("Ada Lovelace", reservation.id));
}

#[tokio::test]
async fn whoever_registered_gets_a_card_again_only_after_a_reset_and_then_the_same_id() {
    let server = Server::open("").await;
    let person = server.add_person("Ada").await;
    let ada = server.join_with(server.invite(person).await, 1).await;
    let (admin, who) = (RecentlyConfirmed::at_the_machine(), Who::Person(person));
    let cards = async || people::invite(server.app(), &admin.staff(), vec![person]).await.unwrap().len();
    assert_eq!(cards().await, 0);
    people::reset_keys(server.app(), &admin, who).await.unwrap();
    assert_eq!(cards().await, 1);
    let again = reserved(&server, server.invite(person).await).await;
    assert_eq!((again.id, again.bundle_version, again.device_list_version), (ada.person.id, 2, 2));
    assert_eq!(word(&complete(&server, &again, 1).await), "keys-refused", "the old device was locked out");
    assert_eq!(complete(&server, &again, 4).await.0, StatusCode::CREATED);
    assert_eq!(cards().await, 0);
}

#[tokio::test]
async fn nobody_disabled_comes_back_with_a_card_of_a_reset() {
    let server = Server::open("").await;
    let person = server.add_person("Ada").await;
    server.join_with(server.invite(person).await, 1).await;
    let (admin, who) = (RecentlyConfirmed::at_the_machine(), Who::Person(person));
    people::reset_keys(server.app(), &admin, who).await.unwrap();
    let again = reserved(&server, server.invite(person).await).await;
    people::set_enabled(server.app(), &admin, who, false).await.unwrap();
    assert_eq!(word(&complete(&server, &again, 4).await), "participant-disabled");
    people::set_enabled(server.app(), &admin, who, true).await.unwrap();
    assert_eq!(complete(&server, &again, 4).await.0, StatusCode::CREATED);
}
