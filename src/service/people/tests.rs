//! What admins do about people, and what comes of it at once: the use cases of the pages and the API, without a socket.

use std::time::Duration;

use axum::http::{Method, StatusCode};
use momedo_protocol::blob::BlobId;
use momedo_protocol::countersignature::Countersignature;
use momedo_protocol::jws::Jws;
use serde_json::{Value, json};

use super::*;
use crate::domain::role::AccountRole;
use crate::service::classes;
use crate::testing::{Person, Server, refused, word};

fn machine() -> RecentlyConfirmed {
    RecentlyConfirmed::at_the_machine()
}

async fn add_with(
    server: &Server,
    name: &str,
    class: Option<i64>,
    key: Option<&str>,
) -> Result<PersonId, ServiceError> {
    add(server.app(), &machine(), name.into(), Role::Member, class, key.map(str::to_owned)).await
}

async fn names(server: &Server, staff: &Staff) -> Vec<String> {
    let (rows, _) = list(server.app(), staff, PeopleFilter::default(), 0, 10).await.unwrap();
    rows.into_iter().map(|row| row.name).collect()
}

async fn lines(server: &Server) -> Vec<(String, String)> {
    let rows = audit::list(server.app(), &machine(), String::new(), Vec::new(), None, 10).await.unwrap();
    rows.into_iter().map(|row| (row.action, row.subject)).collect()
}

/// Whom the server says somebody is.
async fn vouched_for(server: &Server, by: &Person, id: ParticipantId) -> String {
    let keys = server.call(by, Method::GET, &format!("/keys/{id}"), Value::Null).await.1;
    let jws: Jws = serde_json::from_value(keys["countersignature"].clone()).unwrap();
    Countersignature::verify(&jws, server.app().identity.public()).unwrap().name
}

#[tokio::test]
async fn whoever_cannot_be_added_whole_is_not_added() {
    let server = Server::open("").await;
    add_with(&server, "  Ada   Lovelace ", None, Some("17")).await.unwrap();
    assert_eq!(refused(add_with(&server, "Ben\u{7}", None, None).await), "unacceptable-name");
    assert_eq!(refused(add_with(&server, " ", None, None).await), "unacceptable-name");
    assert_eq!(refused(add_with(&server, "Ben", None, Some("17")).await), "key-taken");
    assert_eq!(refused(add_with(&server, "Ben", Some(99), None).await), "unknown-class");
    assert_eq!(names(&server, &machine().staff()).await, ["Ada Lovelace"]);
    assert_eq!(lines(&server).await, [("person-added".into(), "Ada Lovelace".into())]);
}

#[tokio::test]
async fn two_people_may_have_one_name() {
    let server = Server::open("").await;
    let (first, second) = (
        add_with(&server, "Ada", None, None).await.unwrap(),
        add_with(&server, "Ada", None, None).await.unwrap(),
    );
    assert_ne!(first, second);
}

#[tokio::test]
async fn a_number_and_an_id_name_somebody_and_nothing_else_does() {
    let server = Server::open("").await;
    let person = server.add_person("Ada").await;
    let ada = server.join_with(server.invite(person).await, 1).await.person;
    let staff = machine().staff();
    for text in [format!("#{}", person.0), ada.id.to_string(), ada.id.to_string().to_lowercase()] {
        let who: Who = text.parse().unwrap();
        assert_eq!(details(server.app(), &staff, who).await.unwrap().person.id, person, "{text}");
    }
    for text in ["", "#", "#x", "Ada"] {
        assert_eq!(refused(text.parse::<Who>()), "unknown-person", "{text:?}");
    }
    let nobody = details(server.app(), &staff, Who::Person(PersonId(99))).await;
    assert_eq!(refused(nobody), "unknown-person");
}

#[tokio::test]
async fn a_new_name_is_what_the_server_vouches_for_from_then_on() {
    let server = Server::open("").await;
    let (ada, ben) = (server.join("Ada", 1).await.person, server.register("Ben").await);
    assert_eq!(vouched_for(&server, &ben, ada.id).await, "Ada");
    let who = Who::Participant(ada.id);
    assert_eq!(
        refused(rename(server.app(), &machine(), who, "\u{202e}adA".into()).await),
        "unacceptable-name"
    );
    assert_eq!(vouched_for(&server, &ben, ada.id).await, "Ada");
    rename(server.app(), &machine(), who, " Ada  King ".into()).await.unwrap();
    assert_eq!(vouched_for(&server, &ben, ada.id).await, "Ada King");
    assert_eq!(lines(&server).await[0], ("person-renamed".into(), "Ada → Ada King".into()));
}

#[tokio::test]
async fn for_whoever_is_disabled_mail_waits_and_they_send_none() {
    let server = Server::open("").await;
    let (ada, ben) = (server.join("Ada", 1).await.person, server.register("Ben").await);
    let (who, app) = (Who::Participant(ada.id), server.app());
    set_enabled(app, &machine(), who, false).await.unwrap();
    assert_eq!(word(&server.send(&ada, &ben).await), "not-logged-in");
    // A session that began in that very moment.
    let late = server.log_in_again(&ada);
    assert_eq!(word(&server.send(&late, &ben).await), "participant-disabled");
    let blob = json!({ "id": BlobId::random(), "size": 50 });
    assert_eq!(word(&server.call(&late, Method::POST, "/blobs", blob).await), "participant-disabled");
    assert!(server.send(&ben, &ada).await.0.is_success());
    set_enabled(app, &machine(), who, true).await.unwrap();
    let again = server.log_in_again(&ada);
    assert_eq!(server.waiting(&again).await.messages.len(), 1);
    assert!(server.send(&again, &ben).await.0.is_success());
}

#[tokio::test]
async fn what_needs_a_registration_is_refused_before_it() {
    let server = Server::open("").await;
    let who = Who::Person(server.add_person("Ada").await);
    let app = server.app();
    assert_eq!(refused(set_enabled(app, &machine(), who, false).await), "not-registered");
    assert_eq!(refused(reset_keys(app, &machine(), who).await), "not-registered");
    let device = DeviceId::from_number(1).unwrap();
    assert_eq!(refused(revoke_device(app, &machine(), who, device).await), "unknown-device");
    assert_eq!(lines(&server).await.len(), 1, "nothing of it is told");
}

#[tokio::test]
async fn whoever_is_deleted_is_gone_for_everybody_and_named_no_more() {
    let server = Server::open("").await;
    let (ada, ben) = (server.join("Ada", 1).await.person, server.register("Ben").await);
    assert!(server.send(&ada, &ben).await.0.is_success());
    let who = Who::Participant(ada.id);
    let preview = preview_deletion(server.app(), &machine(), who).await.unwrap();
    assert_eq!((preview.devices, preview.waiting), (1, 0));
    let number = details(server.app(), &machine().staff(), who).await.unwrap().person.id.0;
    delete(server.app(), &machine(), who).await.unwrap();
    assert_eq!(refused(delete(server.app(), &machine(), who).await), "unknown-person");
    assert_eq!(word(&server.send(&ada, &ben).await), "not-logged-in");
    assert_eq!(word(&server.send(&server.log_in_again(&ada), &ben).await), "device-revoked");
    assert_eq!(word(&server.log_in(1).await), "login-refused");
    assert_eq!(word(&server.send(&ben, &ada).await), "unknown-participant");
    let keys = server.call(&ben, Method::GET, &format!("/keys/{}", ada.id), Value::Null).await;
    assert_eq!(word(&keys), "unknown-participant");
    let lines = lines(&server).await;
    assert_eq!(lines[0].0, "person-deleted");
    assert!(lines.iter().all(|(_, subject)| *subject == format!("#{number}")), "{lines:?}");
    let id = ada.id;
    let is_free = server.app().store.read(move |tx| tx.is_id_free(id)).await.unwrap();
    assert!(!is_free, "nobody is ever given this ID");
}

#[tokio::test]
async fn whose_keys_are_reset_is_out_until_they_register_anew_and_keeps_the_id() {
    let server = Server::open("").await;
    let person = server.add_person("Ada").await;
    let ada = server.join_with(server.invite(person).await, 1).await.person;
    let ben = server.register("Ben").await;
    assert!(server.send(&ben, &ada).await.0.is_success());
    reset_keys(server.app(), &machine(), Who::Person(person)).await.unwrap();
    let shown = details(server.app(), &machine().staff(), Who::Person(person)).await.unwrap();
    assert!(shown.awaits_keys && shown.devices.is_empty());
    assert_eq!(word(&server.send(&ada, &ben).await), "not-logged-in");
    assert_eq!(word(&server.log_in(1).await), "device-revoked");
    assert_eq!(word(&server.send(&ben, &ada).await), "no-device");
    let again = server.join_with(server.invite(person).await, 4).await.person;
    assert_eq!((again.id, again.bundle.payload.version), (ada.id, 2));
    assert!(server.waiting(&again).await.messages.is_empty(), "what was sealed to the lost keys is gone");
    assert!(server.send(&ben, &again).await.0.is_success());
    let shown = details(server.app(), &machine().staff(), Who::Person(person)).await.unwrap();
    assert!(!shown.awaits_keys && shown.bundle_version == 2);
}

#[tokio::test]
async fn a_class_lead_sees_and_invites_the_people_of_their_classes_alone() {
    let server = Server::open("").await;
    let app = server.app();
    let class = classes::add(app, &machine(), "7b".into()).await.unwrap();
    let own = add_with(&server, "Ada", Some(class), None).await.unwrap();
    let other = add_with(&server, "Ben", None, None).await.unwrap();
    let lead = Staff::authenticated("grete".into(), AccountRole::ClassLead, vec![class]);
    assert!(lead.admin().is_none());
    assert_eq!(names(&server, &lead).await, ["Ada"]);
    assert!(details(app, &lead, Who::Person(own)).await.is_ok());
    assert_eq!(refused(details(app, &lead, Who::Person(other)).await), "unknown-person");
    assert_eq!(refused(invite(app, &lead, vec![own, other]).await), "unknown-person");
    assert_eq!(open_cards(app, &lead, vec![own]).await.unwrap(), 0, "nobody is invited by half");
    assert_eq!(invite(app, &lead, vec![own]).await.unwrap()[0].name, "Ada");
    assert_eq!(open_cards(app, &lead, vec![own]).await.unwrap(), 1);
    assert_eq!(refused(open_cards(app, &lead, vec![other]).await), "unknown-person");
}

#[tokio::test]
async fn a_card_holds_as_long_as_it_says_and_is_open_until_then() {
    let server = Server::open("[rules]\ninvite_days = 3\n").await;
    let (app, staff) = (server.app(), machine().staff());
    let person = server.add_person("Ada").await;
    let card = invite(app, &staff, vec![person]).await.unwrap().remove(0);
    assert_eq!(card.expires_at, app.clock.now().plus_days(3));
    server.advance(Duration::from_secs(3 * 24 * 3600 - 1));
    assert_eq!(open_cards(app, &staff, vec![person]).await.unwrap(), 1);
    server.advance(Duration::from_secs(1));
    assert_eq!(open_cards(app, &staff, vec![person]).await.unwrap(), 0);
    let code = card.link.parse::<InviteLink>().unwrap().code;
    assert_eq!(word(&server.reserve(code).await), "invite-expired");
    assert_eq!(server.reserve(server.invite(person).await).await.0, StatusCode::CREATED);
}
