//! What can be reported, and who sees it: over the API and the use cases of the pages, without a socket.

use std::time::Duration;

use axum::http::{Method, StatusCode};
use momedo_protocol::jws::Jws;
use momedo_protocol::limits::MAX_REASON_CHARACTERS;
use momedo_protocol::message::{GroupContext, Message};
use momedo_protocol::message_id::MessageId;
use momedo_protocol::time::UnixMillis;
use momedo_testing::stored_keys::rsa_key;
use serde_json::json;

use crate::domain::limits::REPORT_DAYS;
use crate::domain::role::AccountRole;
use crate::service::permission::{RecentlyConfirmed, Staff};
use crate::service::{audit, classes, people};
use crate::store::ReportId;
use crate::testing::group::{Group, add, remove};
use crate::testing::joining::{Joined, Keys, list};
use crate::testing::{Answer, Person, Server, refused, word};

const DAY: Duration = Duration::from_secs(24 * 3600);

fn message(from: &Person, to: &Person) -> Message {
    Message {
        from: from.id,
        to: Some(to.id),
        group: None,
        id: MessageId([from.device.number() as u8; 16]),
        sent_at: UnixMillis(1),
        conversation: None,
        log: None,
        kind: "text".into(),
        body: json!("that is not nice"),
    }
}

async fn report_signed(server: &Server, by: &Person, message: &Message, key: usize, reason: &str) -> Answer {
    let message: Jws = serde_json::from_slice(&message.sign(&rsa_key(key))).unwrap();
    server.call(by, Method::POST, "/reports", json!({ "message": message, "reason": reason })).await
}

async fn report(server: &Server, by: &Person, message: &Message) -> Answer {
    report_signed(server, by, message, 0, "insult").await
}

#[tokio::test]
async fn whoever_got_a_message_reports_it_once() {
    let server = Server::open("").await;
    let (ada, ben) = (server.register("Ada").await, server.register("Ben").await);
    let first = report(&server, &ben, &message(&ada, &ben)).await;
    assert_eq!(first.0, StatusCode::CREATED);
    assert_eq!(report(&server, &ben, &message(&ada, &ben)).await.1, first.1);
    let staff = RecentlyConfirmed::at_the_machine().staff();
    let (shown, total) = super::list(server.app(), &staff, 0, 10).await.unwrap();
    assert_eq!((total, shown[0].reporter, shown[0].sender), (1, ben.id, ada.id));
    assert_eq!((shown[0].text.as_str(), shown[0].reason.as_str()), ("that is not nice", "insult"));
}

#[tokio::test]
async fn nobody_reports_what_was_sent_to_somebody_else_or_by_themselves() {
    let server = Server::open("").await;
    let [ada, ben, carl] =
        [server.register("Ada").await, server.register("Ben").await, server.register("Carl").await];
    for (by, message) in [
        (&carl, message(&ada, &ben)),
        (&ada, message(&ada, &ben)),
        (&ada, Message { to: Some(ada.id), ..message(&ada, &ben) }),
        (&ben, Message { to: None, ..message(&ada, &ben) }),
    ] {
        assert_eq!(word(&report(&server, by, &message).await), "report-refused");
    }
}

#[tokio::test]
async fn nobody_puts_words_into_anybodys_mouth() {
    let server = Server::open("").await;
    let (ada, ben) = (server.register("Ada").await, server.register("Ben").await);
    let made_up = report_signed(&server, &ben, &message(&ada, &ben), 5, "").await;
    assert_eq!(word(&made_up), "report-refused");
    let other = json!({ "message": list(ada.id, 1, &[1], &rsa_key(0)), "reason": "" });
    assert_eq!(word(&server.call(&ben, Method::POST, "/reports", other).await), "report-refused");
}

#[tokio::test]
async fn a_message_signed_with_a_key_its_sender_had_once_is_reported_too() {
    let server = Server::open("").await;
    let ben = server.register("Ben").await;
    let Joined { person: ada, keys } = server.join("Ada", 1).await;
    let new = Keys::new(5, 3);
    let bundle = new.bundle(&server, ada.id, 2).sign(&[&new.signature, &keys.signature]);
    let devices = list(ada.id, 2, &[1], &new.signature);
    assert!(server.publish(&ada.token, &new, &bundle, Some(&devices)).await.0.is_success());
    let old = message(&ada, &ben);
    let newer = Message { id: MessageId([99; 16]), ..old.clone() };
    assert_eq!(report_signed(&server, &ben, &old, 0, "").await.0, StatusCode::CREATED);
    assert_eq!(report_signed(&server, &ben, &newer, 5, "").await.0, StatusCode::CREATED);
}

#[tokio::test]
async fn a_reason_has_a_thousand_characters_at_most() {
    let server = Server::open("").await;
    let (ada, ben) = (server.register("Ada").await, server.register("Ben").await);
    let with = async |reason: String| report_signed(&server, &ben, &message(&ada, &ben), 0, &reason).await;
    assert_eq!(word(&with("ä".repeat(MAX_REASON_CHARACTERS + 1)).await), "malformed");
    let fits = format!("  {}  ", "ä".repeat(MAX_REASON_CHARACTERS));
    assert_eq!(with(fits).await.0, StatusCode::CREATED, "what is around it does not count");
}

#[tokio::test]
async fn what_was_said_in_a_group_is_reported_by_whoever_belonged_to_it_once() {
    let server = Server::open("").await;
    let [ada, ben, carl] =
        [server.register("Ada").await, server.register("Ben").await, server.register("Carl").await];
    let mut group = Group::with_key(&server, &ada, &[&ben]).await;
    let (number, head) = (group.state.number, group.state.head);
    let context = GroupContext { id: group.state.group, number, head, epoch: 1 };
    let said = Message { to: None, group: Some(context), ..message(&ada, &ben) };
    assert_eq!(word(&report(&server, &carl, &said).await), "report-refused");
    group.must(&ada, remove(&[&ben])).await;
    assert_eq!(report(&server, &ben, &said).await.0, StatusCode::CREATED);
    group.must(&ada, add(&[&carl])).await;
    assert_eq!(report(&server, &carl, &said).await.0, StatusCode::CREATED);
}

#[tokio::test]
async fn a_class_lead_sees_and_closes_the_reports_of_their_classes_alone() {
    let server = Server::open("").await;
    let (ada, ben) = (server.join("Ada", 1).await.person, server.join("Ben", 4).await.person);
    let (app, admin) = (server.app(), RecentlyConfirmed::at_the_machine());
    let class = classes::add(app, &admin, "7b".into()).await.unwrap();
    let who = people::Who::Participant(ben.id);
    classes::set_membership(app, &admin, "7b".into(), who, true).await.unwrap();
    let of_ben = report(&server, &ben, &message(&ada, &ben)).await.1["report"].as_i64().unwrap();
    let of_ada = report(&server, &ada, &message(&ben, &ada)).await.1["report"].as_i64().unwrap();
    let lead = Staff::authenticated("grete".into(), AccountRole::ClassLead, vec![class]);
    let (shown, total) = super::list(app, &lead, 0, 10).await.unwrap();
    assert_eq!((total, shown[0].id), (1, ReportId(of_ben)));
    assert_eq!(refused(super::set_closed(app, &lead, ReportId(of_ada), true).await), "unknown-report");
    super::set_closed(app, &lead, ReportId(of_ben), true).await.unwrap();
    let (shown, _) = super::list(app, &admin.staff(), 0, 10).await.unwrap();
    let order: Vec<_> =
        shown.iter().map(|one| (one.id.0, one.closed.as_ref().map(|by| by.1.as_str()))).collect();
    assert_eq!(order, [(of_ada, None), (of_ben, Some("grete"))], "open ones come first");
    super::set_closed(app, &lead, ReportId(of_ben), false).await.unwrap();
    let lines = audit::list(app, &admin, "report".into(), Vec::new(), None, 10).await.unwrap();
    let words: Vec<_> = lines.iter().map(|line| (line.action.as_str(), line.account.as_str())).collect();
    let made = ("report-made", "momedo");
    assert_eq!(words, [("report-reopened", "grete"), ("report-closed", "grete"), made, made]);
}

#[tokio::test]
async fn a_report_is_kept_for_ninety_days_closed_or_not() {
    let server = Server::open("").await;
    let (ada, ben) = (server.register("Ada").await, server.register("Ben").await);
    report(&server, &ben, &message(&ada, &ben)).await;
    let staff = RecentlyConfirmed::at_the_machine().staff();
    let count = async || super::list(server.app(), &staff, 0, 10).await.unwrap().1;
    server.advance(u32::try_from(REPORT_DAYS).unwrap() * DAY);
    server.upkeep().await;
    assert_eq!(count().await, 1);
    server.advance(Duration::from_secs(1));
    server.upkeep().await;
    assert_eq!(count().await, 0);
}

#[tokio::test]
async fn the_staff_note_what_they_did_and_see_what_was_done_before() {
    let server = Server::open("").await;
    let (ada, ben) = (server.register("Ada").await, server.register("Ben").await);
    report(&server, &ben, &message(&ada, &ben)).await;
    let mut second = message(&ada, &ben);
    second.id = MessageId([9; 16]);
    report(&server, &ben, &second).await;
    let admin = RecentlyConfirmed::at_the_machine().staff();
    let (shown, _) = super::list(server.app(), &admin, 0, 10).await.unwrap();
    assert_eq!(shown.iter().map(|one| one.of_sender).collect::<Vec<_>>(), [2, 2]);
    let id = shown[0].id;
    super::set_note(server.app(), &admin, id, "  talked to both  ").await.unwrap();
    super::set_closed(server.app(), &admin, id, true).await.unwrap();
    let too_long = "x".repeat(super::MAX_NOTE_CHARACTERS + 1);
    assert_eq!(refused(super::set_note(server.app(), &admin, id, &too_long).await), "note-too-long");
    // Who looks after other classes neither reads nor writes it.
    let stranger = Staff::authenticated("lead".into(), AccountRole::ClassLead, vec![99]);
    assert_eq!(refused(super::set_note(server.app(), &stranger, id, "x").await), "unknown-report");
    let (shown, _) = super::list(server.app(), &admin, 0, 10).await.unwrap();
    let one = shown.iter().find(|one| one.id == id).unwrap();
    assert_eq!(one.note, "talked to both");
    let done: Vec<&str> = one.history.iter().map(|line| line.action.as_str()).collect();
    assert_eq!(done, ["report-made", "report-noted", "report-closed"]);
    let other = shown.iter().find(|one| one.id != id).unwrap();
    assert_eq!((other.note.as_str(), other.history.len()), ("", 1));
}
