//! Class lists put into force and taken back: the use cases of the pages, without a socket.

use super::*;
use crate::service::people::{self, Who};
use crate::service::permission::RecentlyConfirmed;
use crate::store::PeopleFilter;
use crate::testing::{Server, refused};

fn machine() -> RecentlyConfirmed {
    RecentlyConfirmed::at_the_machine()
}

async fn take(server: &Server, list: &str) -> Imported {
    import(server.app(), &machine(), "list.csv".into(), list.into(), Choices::default()).await.unwrap()
}

/// Name and classes of everybody.
async fn people(server: &Server) -> Vec<(String, String)> {
    let staff = machine().staff();
    let (rows, _) = people::list(server.app(), &staff, PeopleFilter::default(), 0, 50).await.unwrap();
    rows.into_iter().map(|row| (row.name, row.classes)).collect()
}

fn entry(name: &str, classes: &str) -> (String, String) {
    (name.into(), classes.into())
}

#[tokio::test]
async fn a_list_names_its_columns_and_somebody() {
    let server = Server::open("").await;
    let read = async |list: &str| {
        import(server.app(), &machine(), String::new(), list.into(), Choices::default()).await
    };
    assert_eq!(refused(read("1;2\n").await), "list-without-names");
    assert_eq!(refused(read("Name;Klasse\n").await), "empty-list");
    assert_eq!(refused(read("Ada Lovelace;7b\nBen Turing;7b\n").await), "list-is-uncertain");
    let planned = plan(server.app(), &machine(), b"Name;Klasse\n".to_vec(), Choices::default()).await;
    assert_eq!(refused(planned), "empty-list");
    assert!(people(&server).await.is_empty());
}

#[tokio::test]
async fn a_dry_run_says_what_each_row_would_do_and_does_nothing() {
    let server = Server::open("").await;
    take(&server, "Name;Klasse;Kennung\nAda;7b;1\nBen;7b;2\n").await;
    let list = "Name;Klasse;Kennung;Rolle\nAda;7b;1;\nBen;8b;2;\nCarl;7b;3;\nCarl;7b;3;\n;7b;4;\nDora;7b;5;king\n\"Eva\n";
    let rows = plan(server.app(), &machine(), list.into(), Choices::default()).await.unwrap().rows;
    let results: Vec<_> = rows.iter().map(|row| row.result).collect();
    assert_eq!(
        results,
        [
            Ok(Effect::Unchanged),
            Ok(Effect::Changes),
            Ok(Effect::Adds),
            Err(RowError::Repeated),
            Err(RowError::Name),
            Err(RowError::Role),
            Err(RowError::Unread(RowFault::OpenQuote)),
        ]
    );
    assert_eq!(people(&server).await, [entry("Ada", "7b"), entry("Ben", "7b")]);
    let done = take(&server, list).await;
    assert_eq!((done.added, done.changed, done.unchanged, done.faulty), (1, 1, 1, 4));
    assert_eq!(people(&server).await, [entry("Ada", "7b"), entry("Ben", "8b"), entry("Carl", "7b")]);
}

#[tokio::test]
async fn somebody_entered_by_hand_is_taken_for_the_same_person_and_gets_the_number() {
    let server = Server::open("").await;
    let by_hand = server.add_person("Ada").await;
    assert_eq!(take(&server, "Name;Kennung\nAda;17\n").await.changed, 1);
    let renamed = take(&server, "Name;Kennung\nAda Lovelace;17\n").await;
    assert_eq!((renamed.added, renamed.changed), (0, 1));
    let staff = machine().staff();
    let person = people::details(server.app(), &staff, Who::Person(by_hand)).await.unwrap().person;
    assert_eq!((person.name.as_str(), person.external_key.as_deref()), ("Ada Lovelace", Some("17")));
}

#[tokio::test]
async fn a_list_is_undone_once_and_keeps_whoever_registered_meanwhile() {
    let server = Server::open("").await;
    let first = take(&server, "Name;Klasse\nAda;7b\nBen;7b\n").await;
    let staff = machine().staff();
    let (rows, _) = people::list(server.app(), &staff, PeopleFilter::default(), 0, 50).await.unwrap();
    server.join_with(server.invite(rows[0].id).await, 1).await;
    let undone = undo(server.app(), &machine(), first.id).await.unwrap();
    assert_eq!((undone.deleted, undone.kept), (1, 1));
    assert_eq!(people(&server).await, [entry("Ada", "7b")]);
    assert_eq!(refused(undo(server.app(), &machine(), first.id).await), "already-undone");
    assert_eq!(refused(undo(server.app(), &machine(), ImportId(99)).await), "unknown-import");
}

#[tokio::test]
async fn undoing_puts_back_what_still_is_as_the_list_made_it() {
    let server = Server::open("").await;
    take(&server, "Name;Klasse;Kennung\nAda;7b;1\nBen;7b;2\n").await;
    let second = take(&server, "Name;Klasse;Kennung\nAda L;8b;1\nBen L;8b;2\n").await;
    let staff = machine().staff();
    let (rows, _) = people::list(server.app(), &staff, PeopleFilter::default(), 0, 50).await.unwrap();
    people::rename(server.app(), &machine(), Who::Person(rows[1].id), "Benno".into()).await.unwrap();
    assert_eq!(undo(server.app(), &machine(), second.id).await.unwrap().put_back, 2);
    assert_eq!(people(&server).await, [entry("Ada", "7b"), entry("Benno", "7b")]);
    let classes = crate::service::classes::list(server.app(), &staff, String::new(), 0, 10).await.unwrap().0;
    assert_eq!(classes.iter().map(|class| class.name.as_str()).collect::<Vec<_>>(), ["7b"]);
}

#[tokio::test]
async fn undoing_leaves_whom_an_admin_has_moved_since() {
    let server = Server::open("").await;
    take(&server, "Name;Klasse;Kennung\nAda;7b;1\n").await;
    let second = take(&server, "Name;Klasse;Kennung\nAda;8b;1\n").await;
    let staff = machine().staff();
    let (rows, _) = people::list(server.app(), &staff, PeopleFilter::default(), 0, 50).await.unwrap();
    let who = || Who::Person(rows[0].id);
    let classes = crate::service::classes::list(server.app(), &staff, "8b".into(), 0, 10).await.unwrap().0;
    let other = crate::service::classes::add(server.app(), &machine(), "9c".into()).await.unwrap();
    let set = async |class: i64, is_member| {
        let class = format!("#{class}");
        crate::service::classes::set_membership(server.app(), &machine(), class, who(), is_member)
            .await
            .unwrap();
    };
    set(classes[0].id, false).await;
    set(other, true).await;
    undo(server.app(), &machine(), second.id).await.unwrap();
    assert_eq!(people(&server).await, [entry("Ada", "9c")]);
}
