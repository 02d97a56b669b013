//! Classes and who leads them: the use cases of the pages, without a socket.

use super::*;
use crate::domain::role::AccountRole;
use crate::service::permission::RecentlyConfirmed;
use crate::testing::{Server, refused};

fn machine() -> RecentlyConfirmed {
    RecentlyConfirmed::at_the_machine()
}

async fn names(server: &Server, staff: &Staff) -> Vec<String> {
    let (all, total) = list(server.app(), staff, String::new(), 0, 10).await.unwrap();
    assert_eq!(total, all.len() as u64);
    all.into_iter().map(|class| class.name).collect()
}

async fn actions(server: &Server) -> Vec<String> {
    let rows = audit::list(server.app(), &machine(), "class".into(), Vec::new(), None, 10).await.unwrap();
    rows.into_iter().map(|row| row.action).collect()
}

#[tokio::test]
async fn a_class_has_a_name_that_no_other_has() {
    let server = Server::open("").await;
    let app = server.app();
    add(app, &machine(), " 7b ".into()).await.unwrap();
    add(app, &machine(), "7c".into()).await.unwrap();
    assert_eq!(refused(add(app, &machine(), "7b".into()).await), "class-exists");
    assert_eq!(refused(add(app, &machine(), String::new()).await), "unacceptable-name");
    assert_eq!(refused(rename(app, &machine(), "7b".into(), "7c".into()).await), "class-exists");
    assert_eq!(refused(rename(app, &machine(), "7x".into(), "7y".into()).await), "unknown-class");
    rename(app, &machine(), "7b".into(), "7b".into()).await.unwrap();
    rename(app, &machine(), "7b".into(), "8b".into()).await.unwrap();
    assert_eq!(names(&server, &machine().staff()).await, ["7c", "8b"]);
}

#[tokio::test]
async fn a_class_is_found_by_its_name_and_by_its_number() {
    let server = Server::open("").await;
    let app = server.app();
    let number = add(app, &machine(), "7b".into()).await.unwrap();
    for name in ["7b".to_owned(), " 7b ".into(), format!("#{number}")] {
        assert_eq!(find(app, &machine(), name).await.unwrap().id, number);
    }
    for name in ["", "7", "#99", "#"] {
        assert_eq!(refused(find(app, &machine(), name.into()).await), "unknown-class", "{name}");
    }
}

#[tokio::test]
async fn people_stay_when_their_class_goes() {
    let server = Server::open("").await;
    let (app, person) = (server.app(), server.add_person("Ada").await);
    add(app, &machine(), "7b".into()).await.unwrap();
    set_membership(app, &machine(), "7b".into(), Who::Person(person), true).await.unwrap();
    let shown = async || people::details(app, &machine().staff(), Who::Person(person)).await.unwrap();
    assert_eq!(shown().await.person.classes, "7b");
    delete(app, &machine(), "7b".into()).await.unwrap();
    assert_eq!(refused(delete(app, &machine(), "7b".into()).await), "unknown-class");
    assert_eq!(shown().await.person.classes, "");
}

#[tokio::test]
async fn what_is_so_already_is_not_told_in_the_log() {
    let server = Server::open("").await;
    let (app, who) = (server.app(), Who::Person(server.add_person("Ada").await));
    add(app, &machine(), "7b".into()).await.unwrap();
    let set = async |who, is_member| set_membership(app, &machine(), "7b".into(), who, is_member).await;
    for is_member in [false, true, true, false, false] {
        set(who, is_member).await.unwrap();
    }
    assert_eq!(refused(set(Who::Person(crate::store::PersonId(99)), true).await), "unknown-person");
    assert_eq!(actions(&server).await, ["class-left", "class-joined", "class-added"]);
}

#[tokio::test]
async fn a_class_lead_sees_their_own_classes_alone() {
    let server = Server::open("").await;
    let app = server.app();
    let (own, other) =
        (add(app, &machine(), "7b".into()).await.unwrap(), add(app, &machine(), "7c".into()).await.unwrap());
    let lead = Staff::authenticated("grete".into(), AccountRole::ClassLead, vec![own]);
    assert_eq!(names(&server, &lead).await, ["7b"]);
    assert_eq!(one(app, &lead, own).await.unwrap().name, "7b");
    assert_eq!(refused(one(app, &lead, other).await), "unknown-class");
    let nobody = Staff::authenticated("paul".into(), AccountRole::ClassLead, Vec::new());
    assert!(names(&server, &nobody).await.is_empty());
    assert_eq!(refused(one(app, &nobody, own).await), "unknown-class");
    delete(app, &machine(), "7b".into()).await.unwrap();
    assert!(names(&server, &lead).await.is_empty());
}
