//! People on lists and cards: moved by a newer list, named on fresh cards, forgotten when they are deleted.

use serde_json::Value;

use crate::harness::Server;
use crate::visitor::{Visitor, set_up};

fn admin(server: &Server, words: &[&str]) -> Vec<Value> {
    server.json(&[&["admin"], words, &["--data-dir", "data", "--json"]].concat())
}

/// Imports a list; its number.
fn import(server: &Server, list: &str) -> String {
    std::fs::write(server.profile("list.csv"), list).unwrap();
    admin(server, &["participant", "import", "list.csv"])[0]["id"].to_string()
}

/// The classes somebody is in.
fn classes(server: &Server, name: &str) -> Value {
    let list = admin(server, &["participant", "list"]);
    list.into_iter().find(|line| line["name"] == name).unwrap()["classes"].clone()
}

#[test]
fn a_newer_list_moves_pupils_and_leaves_what_admins_did() {
    let server = Server::start();
    import(&server, "Name;Klasse;Kennung\nAda;7b;1\nBen;7b;2\n");
    admin(&server, &["class", "create", "Chor"]);
    admin(&server, &["class", "add", "Chor", "#1"]);
    assert_eq!(classes(&server, "Ada"), "7b, Chor");
    // The same list again changes nothing, and one without classes moves nobody.
    import(&server, "Name;Klasse;Kennung\nAda;7b;1\n");
    import(&server, "Name;Kennung\nAda;1\n");
    assert_eq!(classes(&server, "Ada"), "7b, Chor");
    let second = import(&server, "Name;Klasse;Kennung\nAda;8b;1\n");
    assert_eq!((classes(&server, "Ada"), classes(&server, "Ben")), ("8b, Chor".into(), "7b".into()));
    admin(&server, &["participant", "undo-import", &second]);
    assert_eq!(classes(&server, "Ada"), "7b, Chor");
}

#[test]
fn who_is_deleted_is_named_no_more_in_what_undoing_needs_nor_in_the_line_that_tells_it() {
    let server = Server::start();
    import(&server, "Name;Klasse;Kennung\nAda;7b;1\nBen;7b;2\n");
    let renamed = import(&server, "Name;Klasse;Kennung\nAda Lovelace;7b;1\nBenno;7b;2\n");
    let memory = || -> String {
        let database = rusqlite::Connection::open(server.data().join("momedo.db")).unwrap();
        database.query_row("SELECT group_concat(before) FROM imports", [], |row| row.get(0)).unwrap()
    };
    assert!(memory().contains("Lovelace"));
    admin(&server, &["participant", "delete", "#1"]);
    assert!(!memory().contains("Ada") && memory().contains("Benno"), "{}", memory());
    let line = admin(&server, &["log", "--search", "person deleted"]).remove(0);
    assert_eq!((line["action"].as_str(), line["subject"].as_str()), (Some("person-deleted"), Some("#1")));
    // The others can still be put back.
    admin(&server, &["participant", "undo-import", &renamed]);
    let list = admin(&server, &["participant", "list"]);
    assert_eq!(list.iter().map(|line| &line["name"]).collect::<Vec<_>>(), ["Ben"]);
}

#[test]
fn fresh_cards_end_earlier_ones_only_after_somebody_said_so() {
    let server = Server::start();
    set_up(&server);
    let first = admin(&server, &["participant", "add", "Ada"]).remove(0);
    admin(&server, &["participant", "add", "Ben"]);
    let mut visitor = Visitor::admin(&server);
    let (page, path) = ("/admin/participants", "/admin/sheets");
    let asked = visitor.submit(page, path, &[("person", "1"), ("person", "2")]);
    assert!(
        asked.body.contains("Open cards of those chosen: 2") && !asked.body.contains("class=\"invite\""),
        "{}",
        asked.body
    );
    let still = admin(&server, &["participant", "list", "--search", "Ada"]).remove(0);
    assert_eq!(still["state"], "invited");
    let code = first["link"].as_str().unwrap().to_owned();
    let printed = visitor.submit(page, path, &[("person", "1"), ("person", "2"), ("again", "1")]);
    let printed = visitor.follow(&printed);
    assert_eq!(printed.body.matches("class=\"invite\"").count(), 2, "{}", printed.body);
    assert!(!printed.body.contains(code.split('#').nth(1).unwrap()));
    // On somebody's own page, too.
    let asked = visitor.submit("/admin/participants/1", "/admin/participants/1/invite", &[]);
    assert!(asked.body.contains("Open cards of those chosen: 1"), "{}", asked.body);
}

#[test]
fn the_log_is_searched_by_the_words_it_is_shown_in() {
    let server = Server::start();
    set_up(&server);
    admin(&server, &["participant", "add", "Ada"]);
    let mut visitor = Visitor::admin(&server);
    let found = |visitor: &mut Visitor<'_>, words: &str| {
        visitor.get(&format!("/admin/log?search={words}")).body.matches("<tr>").count()
    };
    assert_eq!(found(&mut visitor, "put+into+class"), 0);
    assert_eq!(found(&mut visitor, "person+added"), 2);
    visitor.headers.push("Accept-Language: de".into());
    assert_eq!(found(&mut visitor, "person+hinzu"), 2);
    // On the command line, with hyphens or spaces.
    for words in ["person added", "person-added"] {
        assert_eq!(admin(&server, &["log", "--search", words]).len(), 1, "{words}");
    }
    // For people to read, times are no milliseconds.
    let output = server.run(&["admin", "log", "--data-dir", "data"]);
    let first = crate::harness::text(&output.stdout).lines().next().unwrap().to_owned();
    let time = first.split('\t').next().unwrap();
    assert!(time.len() == 20 && time.ends_with('Z') && &time[10..11] == "T", "{first}");
}

#[tokio::test(flavor = "multi_thread")]
async fn people_are_shown_by_the_name_the_school_gave_and_a_chosen_one_as_such() {
    let server = Server::start();
    import(&server, "Name;Klasse;Kennung\nBen Roth;7b;1\n");
    let ada = server.register_profile(0, "ada").await;
    let invite = admin(&server, &["participant", "invite", "#1"]).remove(0);
    let link = invite["link"].as_str().unwrap();
    let register =
        ["user", "register", "--invite", link, "--profile", "ben", "--name", "Frau Direktor", "--json"];
    let ben = server.json(&register).remove(0)["id"].as_str().unwrap().to_owned();
    let shown = || server.json(&["keys", "show", "--profile", "ada", &ben, "--json"]).remove(0);
    let first = shown();
    assert_eq!((&first["name"], &first["own_name"]), (&"Ben Roth".into(), &"Frau Direktor".into()));
    admin(&server, &["participant", "rename", "#1", "Benno Roth"]);
    assert_eq!(shown()["name"], "Benno Roth");
    assert_eq!(shown()["name"], "Benno Roth");
    let told = server.json(&["receive", "--profile", "ada", "--json"]);
    let told: Vec<_> = told.iter().filter(|line| line["kind"] == "renamed").collect();
    assert_eq!(told.len(), 2, "{told:?}");
    assert!(
        told.iter()
            .all(|line| line["from"] == *ben && line["text"].as_str().unwrap().contains("calls themselves"))
    );
    drop(ada);
}
