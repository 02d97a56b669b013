//! Erasure that travels: servers that were told of somebody forget them, also those that were away, and say so.

use momedo_client::profile::Profile;
use rusqlite::Connection;
use serde_json::Value;

use crate::across::count;
use crate::harness::Server;
use crate::neighbours::{id, neighbour, receive_until, row_of_three, say, state, until};

const NAME: &str = "Zyxwvuta";

/// Whether a server keeps anything of somebody who lives elsewhere.
fn remembers(server: &Server, who: &Profile) -> bool {
    let database = Connection::open(server.data().join("momedo.db")).unwrap();
    let sql = "SELECT count(*) FROM remote_participants WHERE id = ?1";
    database.query_row(sql, [who.id().unwrap().number()], |row| row.get::<_, u64>(0)).unwrap() > 0
}

fn erase(server: &Server, profile: &Profile, name: &str) {
    let id = profile.id().unwrap().to_string();
    let output = server.run(&["user", "erase", "--profile", name, "--confirm", &id]);
    assert!(output.status.success(), "{}", crate::harness::text(&output.stderr));
}

fn told(server: &Server, profile: &Profile, name: &str) -> Vec<String> {
    let file = format!("{name}.zip");
    server.json(&["user", "export", "--profile", name, "--to", &file, "--json"]);
    let bytes = std::fs::read(server.profile(&file)).unwrap();
    std::fs::remove_file(server.profile(&file)).unwrap();
    let mut archive = zip::ZipArchive::new(std::io::Cursor::new(bytes)).unwrap();
    let data: Value = serde_json::from_reader(archive.by_name("data.json").unwrap()).unwrap();
    assert_eq!(data["id"], profile.id().unwrap().to_string());
    let rows = data["tables"]["servers_told"].as_array().cloned().unwrap_or_default();
    rows.iter().map(|row| row["server"].as_str().unwrap().to_owned()).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn every_server_that_was_told_forgets_whoever_erases_themselves() {
    let [a, b, mut c] = row_of_three();
    let (ada, carl) = (a.register_profile(0, NAME).await, c.register_profile(1, "carl").await);
    let ben = b.register_profile(2, "ben").await;
    assert!(told(&a, &ada, NAME).is_empty());
    // Ben and Carl fetch her keys, Carl over the server between.
    say(&carl, &ada, "hallo").await;
    say(&ben, &ada, "hallo").await;
    receive_until(&ada, |all| all.iter().filter(|received| received.kind == "text").count() == 2).await;
    assert!(remembers(&b, &ada) && remembers(&c, &ada));
    assert_eq!(told(&a, &ada, NAME).len(), 1, "the neighbour, which passes it on");
    // One of them is away meanwhile.
    let (middle, last) = (id(&b), id(&c));
    c.kill();
    until("it is noticed", || state(&b, &last) == "unreachable");
    erase(&a, &ada, NAME);
    until("the neighbour forgets her", || !remembers(&b, &ada));
    c.launch();
    until("connected again", || state(&c, &middle) == "connected");
    until("whoever was away hears of it", || !remembers(&c, &ada));
    until("nobody has anything left to tell", || {
        [&a, &b].iter().all(|server| count(server, "erasures") == 0)
    });
    assert_eq!(neighbour(&a, &["list"]).len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_admin_who_erases_somebody_has_the_neighbours_forget_them_too() {
    let [a, b, _c] = row_of_three();
    let (ada, ben) = (a.register_profile(0, NAME).await, b.register_profile(1, "ben").await);
    say(&ben, &ada, "hallo").await;
    assert!(remembers(&b, &ada));
    let who = ada.id().unwrap().to_string();
    a.json(&["admin", "participant", "delete", &who, "--data-dir", "data", "--json"]);
    until("the neighbour forgets her", || !remembers(&b, &ada));
    until("and says so", || count(&a, "erasures") == 0);
}
