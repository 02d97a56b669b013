//! The log of what admins did: what stands in it, and who is shown what weighs much.

use super::*;
use crate::domain::role::AccountRole;
use crate::service::permission::{RecentlyConfirmed, Staff};
use crate::service::{classes, people};
use crate::testing::{Server, refused};

/// An admin with an account; the password of these opens nothing.
async fn admin(server: &Server, name: &'static str) -> Admin {
    let now = server.app().clock.now();
    let added = move |tx: &mut WriteTx<'_>| tx.insert_account(name, "", AccountRole::Admin, now);
    assert!(server.app().store.write(added).await.unwrap());
    Staff::authenticated(name.into(), AccountRole::Admin, Vec::new()).admin().unwrap()
}

async fn grave(server: &Server, by: &str, subject: &str) {
    note(server.app(), by, Action::KeysReset, subject).await.unwrap();
}

/// What an admin is shown whose session began at `begun`.
async fn shown(server: &Server, to: &Admin, begun: UnixMillis) -> Vec<String> {
    let rows = unread(server.app(), to, begun, 10).await.unwrap();
    rows.into_iter().map(|row| row.subject).collect()
}

async fn last_line(server: &Server) -> i64 {
    let machine = RecentlyConfirmed::at_the_machine();
    list(server.app(), &machine, String::new(), Vec::new(), None, 1).await.unwrap()[0].id
}

#[tokio::test]
async fn what_weighs_much_is_shown_to_every_other_admin_until_they_read_it() {
    let server = Server::open("").await;
    let (grete, paul) = (admin(&server, "grete").await, admin(&server, "paul").await);
    let begun = server.app().clock.now();
    // Whoever is new need not read what was before them; so one line comes first.
    note(server.app(), "grete", Action::ClassAdded, "7b").await.unwrap();
    note(server.app(), "grete", Action::ClassAdded, "7c").await.unwrap();
    grave(&server, "grete", "Ada").await;
    assert_eq!(shown(&server, &paul, begun).await, ["Ada"]);
    assert!(shown(&server, &grete, begun).await.is_empty(), "she knows");
    note_read(server.app(), &paul, last_line(&server).await).await.unwrap();
    assert!(shown(&server, &paul, begun).await.is_empty());
    grave(&server, "grete", "Ben").await;
    assert_eq!(shown(&server, &paul, begun).await, ["Ben"]);
}

#[tokio::test]
async fn what_was_done_in_ones_own_name_in_an_earlier_session_is_shown() {
    let server = Server::open("").await;
    let grete = admin(&server, "grete").await;
    note(server.app(), "grete", Action::ClassAdded, "7b").await.unwrap();
    grave(&server, "grete", "Ada").await;
    server.advance(std::time::Duration::from_secs(1));
    assert_eq!(shown(&server, &grete, server.app().clock.now()).await, ["Ada"]);
}

#[tokio::test]
async fn nobody_has_read_what_is_not_there_yet_nor_unreads_what_they_read() {
    let server = Server::open("").await;
    let paul = admin(&server, "paul").await;
    let begun = server.app().clock.now();
    note(server.app(), "grete", Action::ClassAdded, "7b").await.unwrap();
    grave(&server, "grete", "Ada").await;
    note_read(server.app(), &paul, i64::MAX).await.unwrap();
    grave(&server, "grete", "Ben").await;
    assert_eq!(shown(&server, &paul, begun).await, ["Ben"]);
    note_read(server.app(), &paul, 0).await.unwrap();
    assert_eq!(shown(&server, &paul, begun).await, ["Ben"]);
}

#[tokio::test]
async fn whoever_is_new_need_not_read_what_was_before_them() {
    let server = Server::open("").await;
    grave(&server, "grete", "Ada").await;
    let paul = admin(&server, "paul").await;
    note(server.app(), "grete", Action::AccountAdded, "paul").await.unwrap();
    grave(&server, "grete", "Ben").await;
    assert_eq!(shown(&server, &paul, server.app().clock.now()).await, ["Ben"]);
}

#[tokio::test]
async fn what_was_refused_leaves_no_line_and_what_was_done_leaves_one() {
    let server = Server::open("").await;
    let (app, machine) = (server.app(), RecentlyConfirmed::at_the_machine());
    classes::add(app, &machine, "7b".into()).await.unwrap();
    assert_eq!(refused(classes::add(app, &machine, "7b".into()).await), "class-exists");
    let nobody = people::Who::Person(PersonId(9));
    assert_eq!(refused(people::delete(app, &machine, nobody).await), "unknown-person");
    let all = list(app, &machine, String::new(), Vec::new(), None, 10).await.unwrap();
    let lines: Vec<_> = all.iter().map(|row| (row.account.as_str(), row.action.as_str())).collect();
    assert_eq!(lines, [("momedo admin", "class-added")]);
}

#[tokio::test]
async fn the_log_is_read_page_by_page_and_searched() {
    let server = Server::open("").await;
    let (app, machine) = (server.app(), RecentlyConfirmed::at_the_machine());
    for (account, action, subject) in [
        ("grete", Action::ClassAdded, "7b"),
        ("paul", Action::PersonAdded, "Müller"),
        ("grete", Action::KeysReset, "Mueller"),
    ] {
        note(app, account, action, subject).await.unwrap();
    }
    let found = async |search: &str, actions: Vec<&'static str>, before| {
        let rows = list(app, &machine, search.into(), actions, before, 2).await.unwrap();
        rows.into_iter().map(|row| (row.id, row.subject)).collect::<Vec<_>>()
    };
    let first = found("", Vec::new(), None).await;
    assert_eq!(first.iter().map(|row| row.1.as_str()).collect::<Vec<_>>(), ["Mueller", "Müller"]);
    let second = found("", Vec::new(), Some(first[1].0)).await;
    assert_eq!(second.iter().map(|row| row.1.as_str()).collect::<Vec<_>>(), ["7b"]);
    assert_eq!(found("GRETE", Vec::new(), None).await.len(), 2);
    assert_eq!(found("class added", Vec::new(), None).await[0].1, "7b");
    assert_eq!(found("Schlüssel", vec!["keys-reset"], None).await[0].1, "Mueller");
}
