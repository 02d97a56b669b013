//! Names that are written in more than one way: found, listed and told apart alike on every page.

use momedo_client::groups::membership::Membership;
use momedo_protocol::group::entry::{Access, Encryption, Posting, Settings};
use serde_json::Value;

use crate::harness::Server;
use crate::visitor::{Visitor, encode, set_up};

/// What somebody may type who looks for "Müller": also as macOS writes it, in two characters.
const TYPED: &[&str] = &["müller", "MÜLLER", "Mu\u{308}ller", "MU\u{308}LL", "  üLL "];

fn admin(server: &Server, words: &[&str]) -> Vec<Value> {
    server.json(&[&["admin"], words, &["--data-dir", "data", "--json"]].concat())
}

fn import(server: &Server, list: &str) -> Value {
    std::fs::write(server.profile("list.csv"), list).unwrap();
    admin(server, &["participant", "import", "list.csv"]).remove(0)
}

fn names(rows: &[Value]) -> Vec<&str> {
    rows.iter().map(|row| row["name"].as_str().unwrap()).collect()
}

/// What a page shows for each way of typing the name.
fn assert_found(visitor: &mut Visitor<'_>, page: &str, shown: &str) {
    assert!(visitor.get(&format!("/admin/{page}?search=Niemand")).body.split(shown).count() == 1, "{page}");
    for typed in TYPED {
        let body = visitor.get(&format!("/admin/{page}?{}", encode(&[("search", typed)]))).body;
        assert!(body.contains(shown), "{page} {typed}: {body}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn every_search_finds_a_name_however_it_is_written() {
    let server = Server::start();
    set_up(&server);
    for name in ["Anna MÜLLER", "Ben Maier"] {
        admin(&server, &["participant", "add", name]);
    }
    admin(&server, &["class", "create", "MÜLLERBURSCHEN"]);
    admin(
        &server,
        &["smoke", "participant", "add", "2151a14f7894dbbf41c3fe8184ccaef7", "--name", "Kim MÜLLER"],
    );
    let profile = server.register_profile(0, "Cleo MÜLLER").await;
    let mut member = Membership::begin(&profile, "en", &|_| {}).await.unwrap();
    let settings =
        Settings { name: "Bei MÜLLERS".into(), posting: Posting::Everyone, access: Access::Closed };
    member.create(settings, Encryption::Symmetric).await.unwrap();
    let mut visitor = Visitor::admin(&server);
    for (page, shown) in [
        ("participants", "Anna MÜLLER"),
        ("classes", "MÜLLERBURSCHEN"),
        ("groups", "Bei MÜLLERS"),
        ("log", "Anna MÜLLER"),
        ("participants", "Kim MÜLLER"),
        ("ozones", "Cleo MÜLLER"),
        ("keys", "Cleo MÜLLER"),
    ] {
        assert_found(&mut visitor, page, shown);
    }
}

#[test]
fn a_search_forgives_what_a_keyboard_cannot_write() {
    let server = Server::start();
    import(&server, "Vorname;Nachname;Klasse\nLeyla;Çelik;7b\nAnna;Müller;10a\nŁukasz;Żak;10a\n");
    for (typed, found) in [
        ("celik", "Leyla Çelik"),
        ("mueller", "Anna Müller"),
        ("muller", "Anna Müller"),
        ("Müller, Anna", "Anna Müller"),
        ("lukasz zak", "Łukasz Żak"),
        ("07B", "Leyla Çelik"),
    ] {
        assert_eq!(names(&admin(&server, &["participant", "list", "--search", typed])), [found], "{typed}");
    }
    assert_eq!(admin(&server, &["participant", "list", "--search", "10 a"]).len(), 2);
    assert_eq!(names(&admin(&server, &["class", "list"])), ["7b", "10a"]);
}

#[test]
fn lists_stand_in_the_order_of_a_german_dictionary() {
    let server = Server::start();
    set_up(&server);
    for name in ["Zander", "Öztürk", "bauer", "Ärger", "Adler"] {
        admin(&server, &["participant", "add", name]);
    }
    for name in ["10a", "Ältestenrat", "7b", "Zirkus", "5a", "chor"] {
        admin(&server, &["class", "create", name]);
    }
    import(&server, "Nachname;Vorname\nGarcía Márquez;Ana\nvon der Heide;Max\n");
    admin(&server, &["participant", "add", "Zoë Bach"]);
    let list = admin(&server, &["participant", "list"]);
    assert_eq!(
        names(&list),
        [
            "Adler",
            "Ärger",
            "Zoë Bach",
            "bauer",
            "Ana García Márquez",
            "Max von der Heide",
            "Öztürk",
            "Zander"
        ]
    );
    let list = admin(&server, &["class", "list"]);
    assert_eq!(names(&list), ["5a", "7b", "10a", "Ältestenrat", "chor", "Zirkus"]);
    admin(&server, &["class", "add", "10a", "#1"]);
    admin(&server, &["class", "add", "5a", "#1"]);
    assert_eq!(admin(&server, &["participant", "list", "--search", "zander"])[0]["classes"], "5a, 10a");
}

#[test]
fn a_person_is_one_however_lists_write_the_name() {
    let server = Server::start();
    let first = import(&server, "Name;Klasse\nBjörn Weiß;7b\nBJO\u{308}RN WEISS;7b\n");
    assert_eq!((&first["added"], &first["faulty"]), (&1.into(), &1.into()));
    let second = import(&server, "Name;Klasse\nBjo\u{308}rn Weiß;7b\n");
    assert_eq!((&second["added"], &second["unchanged"]), (&0.into(), &1.into()));
    let third = import(&server, "Name;Klasse\nBJÖRN WEISS;7b\n");
    assert_eq!((&third["added"], &third["changed"]), (&0.into(), &1.into()));
    assert_eq!(names(&admin(&server, &["participant", "list"])), ["BJÖRN WEISS"]);
}

#[test]
fn who_was_imported_by_an_older_momedo_is_found_by_the_next_list() {
    let mut server = Server::start();
    admin(&server, &["participant", "add", "Björn Weiß"]);
    server.terminate();
    let path = server.data().join("momedo.db");
    let old = rusqlite::Connection::open(&path).unwrap();
    // As it was stored before names were kept composed.
    old.execute("UPDATE people SET name = 'Bjo\u{308}rn Weiß', folded_name = 'bjo\u{308}rn weiß'", [])
        .unwrap();
    old.execute("DELETE FROM settings WHERE name = 'folding'", []).unwrap();
    drop(old);
    server.launch();
    let imported = import(&server, "Name\nBjörn Weiß\n");
    assert_eq!((&imported["added"], &imported["changed"]), (&0.into(), &1.into()));
    assert_eq!(names(&admin(&server, &["participant", "list"])), ["Björn Weiß"]);
}
