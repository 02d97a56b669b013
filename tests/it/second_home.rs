//! Participants with two homes: either server may be lost, and nothing with it.

use std::time::Duration;

use momedo_client::groups::membership::Membership;
use momedo_client::profile::Profile;
use momedo_client::receiving::{self, Received};
use momedo_client::sending::{Destination, Draft, send};
use momedo_protocol::group::entry::{Access, Encryption, GroupRole, Posting, Settings};
use rusqlite::Connection;
use serde_json::Value;

use crate::harness::{PATIENCE, Server, device_keys, refused};
use crate::neighbours::{failure, id, neighbour, pair, receive_until, say, state, until};

/// Lost lines are noticed soon.
const SETTINGS: &str = "[neighbours]\nheartbeat_seconds = 1\n";

/// Two servers whose admins want each to be a second home for the other's participants.
pub(crate) fn pair_of_servers() -> [Server; 2] {
    let servers = [Server::start_with(SETTINGS), Server::start_with(SETTINGS)];
    become_pair(&servers[0], &servers[1]);
    servers
}

fn become_pair(first: &Server, second: &Server) {
    pair(first, second);
    for (here, there) in [(first, second), (second, first)] {
        neighbour(here, &["allow", &id(there), "--second-home", "true"]);
    }
}

/// How many participants the two keep together, as `server` says.
fn shared(server: &Server, other: &str, which: &str) -> u64 {
    let rows = neighbour(server, &["list"]);
    let row = rows.iter().find(|row| row["id"] == other).unwrap();
    row["shared"][which].as_u64().unwrap()
}

pub(crate) fn homes(server: &Server, profile: &str) -> Value {
    server.json(&["user", "homes", "--profile", profile, "--json"]).remove(0)
}

/// Gives participants of `first` their second home, and waits until `second` knows all of them.
pub(crate) fn settle(first: &Server, second: &Server, profiles: &[&str]) {
    for profile in profiles {
        assert_eq!(homes(first, profile)["second"]["server"], id(second), "{profile}");
    }
    let count = profiles.len() as u64;
    until("the second home knows them", || {
        shared(first, &id(second), "waiting") == 0 && shared(second, &id(first), "theirs") == count
    });
}

/// A pair with Ada on it, and a server beside it that is a neighbour of both, with Zoe.
pub(crate) async fn pair_with_a_neighbour() -> ([Server; 2], Server, [Profile; 2]) {
    let [a, b] = pair_of_servers();
    let z = Server::start_with(SETTINGS);
    for home in [&a, &b] {
        pair(home, &z);
        neighbour(&z, &["allow", &id(home), "--all"]);
        neighbour(home, &["allow", &id(&z), "--all"]);
    }
    let (ada, zoe) = (a.register_profile(0, "ada").await, z.register_profile(1, "zoe").await);
    settle(&a, &b, &["ada"]);
    ([a, b], z, [ada, zoe])
}

/// How many rows a table of a server has.
fn count(server: &Server, table: &str) -> u64 {
    let database = Connection::open(server.data().join("momedo.db")).unwrap();
    database.query_row(&format!("SELECT count(*) FROM {table}"), [], |row| row.get(0)).unwrap()
}

fn shows(all: &[Received], text: &str) -> bool {
    all.iter().any(|received| received.verified && received.text.as_deref() == Some(text))
}

/// Everything that is there now.
async fn receive(profile: &Profile) -> Vec<Received> {
    let mut all = Vec::new();
    let mut session = profile.log_in("en").await.unwrap();
    let mut show = |received: &Received| {
        all.push(received.clone());
        Ok(())
    };
    receiving::receive(profile, &mut session, Duration::ZERO, &mut show).await.unwrap();
    all
}

fn texts(all: &[Received]) -> Vec<&str> {
    all.iter().filter(|one| one.kind == "text").filter_map(|one| one.text.as_deref()).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn either_home_may_fail_and_what_was_accepted_arrives_once() {
    let [mut a, mut b] = pair_of_servers();
    let (ada, ben) = (a.register_profile(0, "ada").await, a.register_profile(1, "ben").await);
    settle(&a, &b, &["ada", "ben"]);
    say(&ben, &ada, "vorher").await;
    // "Accepted" meant both disks: the first home dies with the answer.
    a.kill();
    let all = receive_until(&ada, |all| shows(all, "vorher")).await;
    assert_eq!(texts(&all), ["vorher"]);
    // Both go on at the second home, in both directions.
    say(&ada, &ben, "ohne den ersten").await;
    say(&ben, &ada, "auch ohne").await;
    receive_until(&ben, |all| shows(all, "ohne den ersten")).await;
    receive_until(&ada, |all| shows(all, "auch ohne")).await;
    // Keys and devices change only at the first home.
    let refusal = a.failure(&["keys", "rotate", "--profile", "ada"]);
    assert!(refusal.contains("stands in for the one you registered at"), "{refusal}");
    a.launch();
    until("the line is back", || state(&b, &id(&a)) == "connected");
    until("what the second home took goes to the first", || count(&b, "outbox") == 0);
    // The first home has all of it as well; nothing is shown again.
    say(&ben, &ada, "wieder da").await;
    let all = receive_until(&ada, |all| shows(all, "wieder da")).await;
    assert_eq!(texts(&all), ["wieder da"]);
    assert_eq!(texts(&receive(&ben).await), [""; 0]);
    // The other way round nobody notices anything.
    b.kill();
    say(&ada, &ben, "ohne den zweiten").await;
    let all = receive_until(&ben, |all| shows(all, "ohne den zweiten")).await;
    assert_eq!(texts(&all), ["ohne den zweiten"]);
    b.launch();
    until("the copy follows", || count(&a, "outbox") == 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_lost_server_is_replaced_from_the_other_without_losing_mail() {
    let [mut a, b] = pair_of_servers();
    let (ada, ben) = (a.register_profile(0, "ada").await, a.register_profile(1, "ben").await);
    settle(&a, &b, &["ada", "ben"]);
    say(&ben, &ada, "noch im alten Haus").await;
    assert!(failure(&b, &["take-over", &id(&a)]).contains("nothing to take over"));
    let lost = id(&a);
    a.kill();
    until("the line is lost", || state(&b, &lost) == "unreachable");
    // Whoever does not look would throw away what is left.
    assert!(failure(&b, &["remove", &lost]).contains("stands in"));
    assert_eq!(neighbour(&b, &["take-over", &lost])[0]["participants"], 2);
    let people = b.json(&["admin", "participant", "list", "--data-dir", "data", "--json"]);
    let names: Vec<_> = people.iter().map(|person| person["name"].as_str().unwrap()).collect();
    assert_eq!(names, ["ada", "ben"]);
    neighbour(&b, &["remove", &lost]);
    // The new machine takes the place of the second home.
    let c = Server::start_with(SETTINGS);
    become_pair(&b, &c);
    for profile in ["ada", "ben"] {
        // The first look finds who took over and leaves the lost one, the second finds the new one.
        until("the new homes are known", || {
            let homes = homes(&a, profile);
            homes["first"]["server"] == id(&b) && homes["second"]["server"] == id(&c)
        });
    }
    until("the new one knows them", || shared(&c, &id(&b), "theirs") == 2);
    let mut b = b;
    say(&ben, &ada, "im neuen").await;
    b.kill();
    let all = receive_until(&ada, |all| shows(all, "im neuen")).await;
    assert!(!texts(&all).is_empty());
    b.launch();
    let mut everything: Vec<String> = texts(&all).into_iter().map(str::to_owned).collect();
    until("the line is back", || state(&b, &id(&c)) == "connected");
    let rest = receive(&ada).await;
    everything.extend(texts(&rest).into_iter().map(str::to_owned));
    everything.sort();
    assert_eq!(everything, ["im neuen", "noch im alten Haus"]);
    // What only the first home could do works at the new one.
    let rotated = a.json(&["keys", "rotate", "--profile", "ada", "--json"]);
    assert_eq!(rotated.len(), 1);
    until("the second home hears of new keys", || shared(&b, &id(&c), "waiting") == 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_first_home_that_comes_back_after_it_was_replaced_is_the_second() {
    let [mut a, b] = pair_of_servers();
    let (ada, ben) = (a.register_profile(0, "ada").await, a.register_profile(1, "ben").await);
    settle(&a, &b, &["ada", "ben"]);
    let was_first = id(&a);
    a.kill();
    until("the line is lost", || state(&b, &was_first) == "unreachable");
    neighbour(&b, &["take-over", &was_first]);
    assert_eq!(homes(&a, "ada")["first"]["server"], id(&b));
    a.launch();
    until("its admin is told", || neighbour(&a, &["list"])[0]["says_first"] == true);
    assert_eq!(neighbour(&a, &["accept-take-over", &id(&b)])[0]["participants"], 2);
    until("they agree who is first", || {
        shared(&a, &id(&b), "theirs") == 2 && shared(&b, &was_first, "ours") == 2
    });
    until("and the second was told", || shared(&b, &was_first, "waiting") == 0);
    // Ben hears of it from the server he asks first.
    homes(&a, "ben");
    assert_eq!(homes(&a, "ben")["first"]["server"], id(&b));
    a.json(&["keys", "rotate", "--profile", "ben", "--json"]);
    until("new keys reach the former first home", || shared(&b, &was_first, "waiting") == 0);
    say(&ada, &ben, "vertauscht").await;
    receive_until(&ben, |all| shows(all, "vertauscht")).await;
    a.kill();
    say(&ben, &ada, "und noch einmal").await;
    receive_until(&ada, |all| shows(all, "und noch einmal")).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn people_of_other_servers_write_to_the_home_that_is_left() {
    let ([mut a, b], z, [ada, zoe]) = pair_with_a_neighbour().await;
    say(&zoe, &ada, "erste").await;
    receive_until(&ada, |all| shows(all, "erste")).await;
    // A photo goes over the first home to the second.
    let photo: Vec<u8> = (0..50_000u32).flat_map(u32::to_be_bytes).collect();
    std::fs::write(z.folder.path().join("foto.bin"), &photo).unwrap();
    let to = ada.id().unwrap().to_string();
    z.json(&["send", "--profile", "zoe", "--to", &to, "--file", "foto.bin", "--json", "Schau"]);
    until("the photo is announced", || count(&b, "blobs") == 1);
    until("the second home fetched it", || count(&b, "blob_sources") == 0);
    // The first home hangs: what is accepted for it waits, and goes to the other home when it stays away.
    a.signal("STOP");
    say(&zoe, &ada, "zweite").await;
    assert_eq!(count(&z, "outbox"), 1);
    a.kill();
    let mut lines = Vec::new();
    until("both arrive", || {
        lines.extend(a.json(&["receive", "--profile", "ada", "--save-files", "fotos", "--json"]));
        lines.iter().any(|line| line["text"] == "zweite")
    });
    let line =
        lines.iter().find(|line| line["kind"] == "file").unwrap_or_else(|| panic!("no photo: {lines:?}"));
    let saved = a.folder.path().join(line["files"][0]["saved"].as_str().unwrap());
    assert_eq!(std::fs::read(saved).unwrap(), photo);
    assert_eq!(lines.iter().filter(|line| line["text"] == "zweite").count(), 1);
    until("the sender's server has the receipt", || count(&z, "outbox") == 0);
    // The answer comes from the second home, and is believed.
    say(&ada, &zoe, "Antwort").await;
    let all = receive_until(&zoe, |all| shows(all, "Antwort")).await;
    assert!(all.iter().all(|received| received.verified));
    a.launch();
    until("the copies follow", || state(&b, &id(&a)) == "connected" && count(&b, "outbox") == 0);
    assert_eq!(texts(&receive(&ada).await), [""; 0]);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_lost_server_had_accepted_for_another_gets_there_from_the_second_home() {
    let ([mut a, b], mut z, [ada, zoe]) = pair_with_a_neighbour().await;
    say(&ada, &zoe, "angekommen").await;
    receive_until(&zoe, |all| shows(all, "angekommen")).await;
    receive_until(&ada, |all| all.iter().any(|one| one.kind == "delivered")).await;
    z.kill();
    say(&ada, &zoe, "noch unterwegs").await;
    let lost = id(&a);
    a.kill();
    until("the line is lost", || state(&b, &lost) == "unreachable");
    neighbour(&b, &["take-over", &lost]);
    z.launch();
    until("the line is back", || state(&b, &id(&z)) == "connected");
    homes(&a, "ada");
    let sent_again = receive(&ada).await;
    let all = receive_until(&zoe, |all| shows(all, "noch unterwegs")).await;
    // What was known to have arrived is not sent again.
    assert_eq!(texts(&all), ["noch unterwegs"]);
    let is_known = |all: &[Received]| all.iter().any(|one| one.kind == "delivered");
    // It may have arrived while its sender was still receiving.
    receive_until(&ada, |all| is_known(&sent_again) || is_known(all)).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn own_devices_groups_and_files_have_two_homes_too() {
    let [mut a, b] = pair_of_servers();
    let (ada, ben) = (a.register_profile(0, "ada").await, a.register_profile(1, "ben").await);
    let tablet = {
        let path = a.profile("tablet");
        let (tablet, _) = momedo_testing::people::add_device(&ada, &path, "tablet").await.unwrap();
        tablet
    };
    settle(&a, &b, &["ada", "ben"]);
    // The other device hears of the new homes with the keys, or by itself.
    receive(&tablet).await;
    homes(&a, "tablet");
    let settings = Settings { name: "Hof".into(), posting: Posting::Everyone, access: Access::Closed };
    let mut moderator = Membership::begin(&ben, "en", &|_| {}).await.unwrap();
    let group = moderator.create(settings, Encryption::Symmetric).await.unwrap().id();
    moderator.add(group, &[ada.id().unwrap()], GroupRole::Member).await.unwrap();
    let post = |text: &'static str| Draft::text(text);
    send(&ben, Destination::Group(group), &post("in der Gruppe"), PATIENCE, "en", &|_| {}).await.unwrap();
    receive_until(&ada, |all| shows(all, "in der Gruppe")).await;
    receive_until(&tablet, |all| shows(all, "in der Gruppe")).await;
    let photo: Vec<u8> = (0..150_000u32).flat_map(u32::to_be_bytes).collect();
    std::fs::write(a.folder.path().join("foto.bin"), &photo).unwrap();
    let to = ada.id().unwrap().to_string();
    a.json(&["send", "--profile", "ben", "--to", &to, "--file", "foto.bin", "--json", "Schau"]);
    send(&ben, Destination::Group(group), &post("nur dort"), PATIENCE, "en", &|_| {}).await.unwrap();
    say(&ada, &ben, "an Ben").await;
    // In this order: announced with the message, then fetched.
    until("the photo is announced", || count(&b, "blobs") == 1);
    until("the second home fetched it", || count(&b, "blob_sources") == 0);
    a.kill();
    let lines = a.json(&["receive", "--profile", "ada", "--save-files", "fotos", "--json"]);
    let line =
        lines.iter().find(|line| line["kind"] == "file").unwrap_or_else(|| panic!("no photo: {lines:?}"));
    let saved = a.folder.path().join(line["files"][0]["saved"].as_str().unwrap());
    assert_eq!(std::fs::read(saved).unwrap(), photo);
    assert!(lines.iter().any(|line| line["text"] == "nur dort" && line["verified"] == true));
    // Nobody gets a copy of what the same device sent.
    assert!(lines.iter().all(|line| line["text"] != "an Ben"), "{lines:?}");
    let all = receive_until(&tablet, |all| shows(all, "nur dort")).await;
    let copy = all.iter().find(|one| one.text.as_deref() == Some("an Ben")).unwrap();
    assert_eq!((copy.to, copy.verified), (Some(ben.id().unwrap()), true));
    receive_until(&ben, |all| shows(all, "an Ben")).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_is_kept_for_a_second_home_that_was_blocked() {
    let [a, b] = pair_of_servers();
    let (ada, ben) = (a.register_profile(0, "ada").await, a.register_profile(1, "ben").await);
    settle(&a, &b, &["ada", "ben"]);
    neighbour(&a, &["block", &id(&b)]);
    assert_eq!(shared(&a, &id(&b), "ours"), 0);
    say(&ada, &ben, "nur noch hier").await;
    assert_eq!(count(&a, "outbox"), 0);
    // The next look makes it official.
    assert_eq!(homes(&a, "ben")["second"], Value::Null);
    assert_eq!(ben.own_bundle().unwrap().payload.homes.len(), 1);
    receive_until(&ben, |all| shows(all, "nur noch hier")).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn who_wants_one_home_has_one_and_a_disabled_participant_is_disabled_at_both() {
    let [mut a, b] = pair_of_servers();
    let (ada, ben) = (a.register_profile(0, "ada").await, a.register_profile(1, "ben").await);
    settle(&a, &b, &["ada", "ben"]);
    assert_eq!(count(&b, "participants"), 2);
    let only = a.json(&["user", "homes", "--profile", "ada", "--second", "false", "--json"]).remove(0);
    assert_eq!((&only["second"], &only["wanted"]), (&Value::Null, &Value::Bool(false)));
    until("the second home forgets her", || count(&b, "participants") == 1);
    until("the first home knows that it has", || shared(&a, &id(&b), "ours") == 1);
    // Nobody takes the second home for a liar because of that, and nothing is copied any more.
    say(&ben, &ada, "nur hier").await;
    receive_until(&ada, |all| shows(all, "nur hier")).await;
    homes(&a, "ada");
    assert_eq!(homes(&a, "ada")["second"], Value::Null);
    let admin = ["admin", "participant", "disable", &ben.id().unwrap().to_string()];
    a.json(&[&admin[..], &["--data-dir", "data", "--json"]].concat());
    until("the second home hears of it", || shared(&a, &id(&b), "waiting") == 0);
    a.kill();
    let mut at_b = momedo_client_native::connection(b.server_address(), "en");
    momedo_client::session::server_information(&mut at_b).await.unwrap();
    let device = ben.device().unwrap();
    let session = momedo_testing::people::log_in(at_b, device, &device_keys(1).login).await;
    assert_eq!(refused(session.map(drop)), "participant-disabled");
}
