//! Classes larger than any list was made for: nothing is cut off without a word.

use serde_json::Value;

use crate::harness::Server;
use crate::visitor::{Visitor, set_up};

/// More than the 2,000 at which lists once ended.
const PEOPLE: usize = 2_500;

fn admin(server: &Server, words: &[&str]) -> Vec<Value> {
    server.json(&[&["admin"], words, &["--data-dir", "data", "--json"]].concat())
}

fn import(server: &Server, list: &str) -> Value {
    std::fs::write(server.profile("list.csv"), list).unwrap();
    admin(server, &["participant", "import", "list.csv"]).remove(0)
}

#[test]
fn everybody_of_a_large_class_gets_a_card_and_stands_on_its_page() {
    let server = Server::start();
    set_up(&server);
    let rows: String = (0..PEOPLE).map(|number| format!("Kind {number:04};Stufe;\n")).collect();
    let imported = import(&server, &format!("Name;Klasse;Kennung\n{rows}"));
    assert_eq!(imported["added"], PEOPLE);
    let mut links: Vec<String> = admin(&server, &["participant", "invite", "--class", "Stufe"])
        .iter()
        .map(|card| card["link"].as_str().unwrap().to_owned())
        .collect();
    links.sort_unstable();
    links.dedup();
    assert_eq!(links.len(), PEOPLE);
    let listed = admin(&server, &["participant", "list", "--class", "Stufe"]);
    assert_eq!(listed.len(), PEOPLE);
    assert!(listed.iter().all(|row| row["state"] == "invited"));
    let class = admin(&server, &["class", "list"]).remove(0);
    let page = Visitor::admin(&server).get(&format!("/admin/classes/{}", class["id"])).body;
    let shown = (0..PEOPLE).filter(|number| page.contains(&format!("Kind {number:04}"))).count();
    assert_eq!(shown, PEOPLE);
}

#[test]
fn every_class_of_many_can_be_chosen_where_classes_are_chosen() {
    let server = Server::start();
    set_up(&server);
    let rows: String = (0..1_100).map(|number| format!("Kind {number:04};Kurs {number:04};\n")).collect();
    import(&server, &format!("Name;Klasse;Kennung\n{rows}"));
    assert_eq!(admin(&server, &["class", "list"]).len(), 1_100);
    let other = Server::start();
    crate::neighbours::pair(&server, &other);
    let mut admin = Visitor::admin(&server);
    for path in ["/admin/participants", "/admin/participants/1", "/admin/account", "/admin/neighbours"] {
        let page = admin.get(path).body;
        let shown = (0..1_100).filter(|number| page.contains(&format!("Kurs {number:04}"))).count();
        assert_eq!(shown, 1_100, "{path}");
    }
}
