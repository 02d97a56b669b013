//! Servers that are neighbours: pairing, mail across, and what happens while something is down.

use std::time::{Duration, Instant};

use momedo::service::upkeep;
use momedo_client::profile::Profile;
use momedo_client::receiving::{self, Received};
use momedo_client::sending::send_text;
use momedo_protocol::link::{MAX_BATCH_ITEMS, PairingLink};
use serde_json::Value;

use crate::harness::{Inside, PATIENCE, Server, refused, text};

/// One person writes as much as a whole school.
const BUSY: &str = "[rates]\nmessages = { per_minute = 10000, burst = 10000 }\n";

/// Runs `momedo admin neighbour …` and returns its lines.
pub(crate) fn neighbour(server: &Server, arguments: &[&str]) -> Vec<Value> {
    let mut all = vec!["admin", "neighbour"];
    all.extend(arguments);
    all.extend(["--data-dir", "data", "--json"]);
    server.json(&all)
}

pub(crate) fn failure(server: &Server, arguments: &[&str]) -> String {
    let mut all = vec!["admin", "neighbour"];
    all.extend(arguments);
    all.extend(["--data-dir", "data", "--json"]);
    server.failure(&all)
}

/// A server's ID.
pub(crate) fn id(server: &Server) -> String {
    server.status()["fingerprint"].as_str().unwrap().to_owned()
}

/// How `server` sees `other`.
pub(crate) fn state(server: &Server, other: &str) -> String {
    let rows = neighbour(server, &["list"]);
    let row = rows.iter().find(|row| row["id"] == other);
    row.map_or_else(|| "none".to_owned(), |row| row["state"].as_str().unwrap().to_owned())
}

/// Asks until it is so; the program on the other end has no way to tell a test.
pub(crate) fn until(what: &str, mut is_so: impl FnMut() -> bool) {
    let deadline = Instant::now() + PATIENCE;
    while !is_so() {
        assert!(Instant::now() < deadline, "never came: {what}");
        std::thread::yield_now();
    }
}

pub(crate) fn invite(server: &Server) -> String {
    neighbour(server, &["invite"])[0]["link"].as_str().unwrap().to_owned()
}

/// Makes two servers neighbours, `second` dialling, and waits until they are connected.
pub(crate) fn pair(first: &Server, second: &Server) {
    pair_over(first, second, &invite(first));
}

/// The same, over a link that leads somewhere else first.
pub(crate) fn pair_over(first: &Server, second: &Server, link: &str) {
    neighbour(second, &["add", link]);
    neighbour(first, &["confirm", &id(second)]);
    let (one, two) = (id(first), id(second));
    until("both are connected", || state(first, &two) == "connected" && state(second, &one) == "connected");
}

/// Three servers in a row, with everything allowed.
pub(crate) fn row_of_three() -> [Server; 3] {
    let servers = [Server::start(), Server::start(), Server::start()];
    pair(&servers[0], &servers[1]);
    pair(&servers[1], &servers[2]);
    servers.iter().for_each(|server| drop(neighbour(server, &["allow", "--all"])));
    servers
}

pub(crate) async fn say(
    profile: &Profile,
    to: &Profile,
    text: &str,
) -> momedo_protocol::message_id::MessageId {
    send_text(profile, to.id().unwrap(), text, PATIENCE, "en", &|_| {}).await.unwrap()
}

/// Receives until `enough` of what is shown is there.
pub(crate) async fn receive_until(
    profile: &Profile,
    mut enough: impl FnMut(&[Received]) -> bool,
) -> Vec<Received> {
    let deadline = Instant::now() + PATIENCE;
    let mut all = Vec::new();
    while !enough(&all) {
        assert!(Instant::now() < deadline, "never came; there was {all:?}");
        let mut session = profile.log_in("en").await.unwrap();
        let mut show = |received: &Received| {
            all.push(received.clone());
            Ok(())
        };
        receiving::receive(profile, &mut session, Duration::from_secs(5), &mut show).await.unwrap();
    }
    all
}

fn texts(received: &[Received]) -> Vec<&str> {
    let is_text = |received: &&Received| received.kind == "text";
    received.iter().filter(is_text).map(|received| received.text.as_deref().unwrap()).collect()
}

#[test]
fn two_servers_become_neighbours_when_both_admins_confirm() {
    let (school, town) = (Server::start(), Server::start());
    let link: PairingLink = invite(&school).parse().unwrap();
    assert_eq!(link.server.to_string(), id(&school));
    let added = neighbour(&town, &["add", &link.to_string()]);
    assert_eq!(added[0]["state"], "waiting-for-them");
    // The other server has recorded it before the command returns.
    assert_eq!(state(&school, &id(&town)), "waiting-for-us");
    for _ in 0..2 {
        neighbour(&school, &["confirm", &id(&town)]);
    }
    until("connected", || state(&school, &id(&town)) == "connected");
    until("connected", || state(&town, &id(&school)) == "connected");
    neighbour(&school, &["pause", &id(&town)]);
    assert_eq!(state(&school, &id(&town)), "paused");
    until("the other side hears of it", || state(&town, &id(&school)) == "unreachable");
    neighbour(&school, &["resume", &id(&town)]);
    until("connected again", || state(&town, &id(&school)) == "connected");
    neighbour(&school, &["block", &id(&town)]);
    assert_eq!(state(&school, &id(&town)), "blocked");
    until("the other side hears of it", || state(&town, &id(&school)) == "unreachable");
    neighbour(&school, &["remove", &id(&town)]);
    assert_eq!(state(&school, &id(&town)), "none");
}

#[test]
fn a_pairing_link_is_for_one_server_and_for_another_server_than_ones_own() {
    let servers = [Server::start(), Server::start(), Server::start()];
    let link = invite(&servers[0]);
    assert!(failure(&servers[0], &["add", &link]).contains("own link"));
    neighbour(&servers[1], &["add", &link]);
    assert!(failure(&servers[2], &["add", &link]).contains("does not take this link"));
    assert_eq!(state(&servers[2], &id(&servers[0])), "none");
    assert_eq!(neighbour(&servers[0], &["list"]).len(), 1);
    // Whoever used it may come again, for example after a lost answer.
    neighbour(&servers[1], &["add", &link]);
    // Another server at the address is not the one in the link.
    let elsewhere = invite(&servers[0]).replace(&servers[0].address, &servers[1].address);
    assert!(failure(&servers[2], &["add", &elsewhere]).contains("another server answers"));
}

#[tokio::test(flavor = "multi_thread")]
async fn ada_and_carl_write_over_a_server_between_them_and_hear_what_became_of_it() {
    let [a, b, c] = row_of_three();
    let (ada, carl) = (a.register_profile(0, "ada").await, c.register_profile(1, "carl").await);
    let id = say(&ada, &carl, "Hallo Carl").await;
    let received = receive_until(&carl, |all| !texts(all).is_empty()).await;
    assert_eq!(texts(&received), ["Hallo Carl"]);
    assert!(received[0].verified && received[0].from == ada.id().unwrap() && received[0].suite == 1);
    say(&carl, &ada, "Hallo Ada").await;
    let received = receive_until(&ada, |all| all.len() >= 2).await;
    assert_eq!(texts(&received), ["Hallo Ada"]);
    let told = received.iter().find(|received| received.kind == "delivered").unwrap();
    assert_eq!((told.id, told.to), (id, Some(carl.id().unwrap())));
    until("nothing waits anywhere", || {
        [&a, &b, &c].iter().all(|server| {
            neighbour(server, &["list"]).iter().all(|row| row["waiting"] == 0 && row["passing"] == 0)
        })
    });
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_passes_until_an_admin_allows_it() {
    let (a, b) = (Server::start(), Server::start());
    pair(&a, &b);
    let (mut ada, mut ben) = (a.register(0).await, b.register(1).await);
    assert_eq!(refused(ada.session.keys(ben.id(), 0).await), "not-allowed-across");
    // One side is not enough: Ben must be visible, too.
    neighbour(&a, &["allow", "--all"]);
    assert_eq!(refused(ada.session.keys(ben.id(), 0).await), "unknown-participant");
    neighbour(&b, &["allow", "--role", "member"]);
    neighbour(&a, &["allow", "--role", "employee"]);
    assert_eq!(refused(ada.session.keys(ben.id(), 0).await), "not-allowed-across");
    neighbour(&a, &["allow", "--role", "member", "--role", "employee"]);
    let keys = ada.session.keys(ben.id(), 0).await.unwrap();
    assert!(keys.home.is_some());
    let bundle = ben.bundle.clone();
    ada.submit(&bundle, 1024).await.unwrap();
    until_async("it arrives", async || !ben.waiting().await.messages.is_empty()).await;
    // Taken back: what was known is of no use any more.
    neighbour(&a, &["allow", "--nothing"]);
    assert_eq!(refused(ada.submit(&bundle, 1024).await), "not-allowed-across");
    assert_eq!(refused(ada.session.keys(ben.id(), 0).await), "not-allowed-across");
}

#[tokio::test(flavor = "multi_thread")]
async fn mail_after_a_pause_does_not_wait_for_the_next_round() {
    let (a, b) = (Server::start(), Server::start());
    pair(&a, &b);
    for server in [&a, &b] {
        neighbour(server, &["allow", "--all"]);
    }
    let (mut ada, mut ben) = (a.register(0).await, b.register(1).await);
    ada.session.keys(ben.id(), 0).await.unwrap();
    let begun = Instant::now();
    for _ in 0..5 {
        ada.submit(&ben.bundle, 1024).await.unwrap();
        let page = ben.session.ozone(None, 1, Duration::from_secs(30)).await.unwrap();
        assert_eq!(page.messages.len(), 1, "it has not arrived");
        ben.session.acknowledge(page.cursor).await.unwrap();
        // Its place in the outbox is free again.
        until("nothing waits", || neighbour(&a, &["list"])[0]["waiting"] == 0);
    }
    // A round is 20 s, and each message would wait for one of its own.
    assert!(begun.elapsed() < Duration::from_secs(40), "it took {:?}", begun.elapsed());
}

/// As [`until`], for what only a session can see.
pub(crate) async fn until_async(what: &str, mut is_so: impl AsyncFnMut() -> bool) {
    let deadline = Instant::now() + PATIENCE;
    while !is_so().await {
        assert!(Instant::now() < deadline, "never came: {what}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_known_serves_while_a_server_is_down_and_what_cannot_arrive_is_told() {
    let [a, mut b, c] = row_of_three();
    let (ada, carl) = (a.register_profile(0, "ada").await, c.register_profile(1, "carl").await);
    say(&ada, &carl, "eins").await;
    receive_until(&carl, |all| !texts(all).is_empty()).await;
    let middle = id(&b);
    b.kill();
    until("it is noticed", || state(&a, &middle) == "unreachable");
    say(&ada, &carl, "zwei").await;
    b.launch();
    let received = receive_until(&carl, |all| !texts(all).is_empty()).await;
    assert_eq!(texts(&received), ["zwei"]);
    b.kill();
    let last = say(&ada, &carl, "drei").await;
    neighbour(&a, &["remove", &middle]);
    let is_back = |all: &[Received]| all.iter().any(|received| received.kind == "undeliverable");
    let received = receive_until(&ada, is_back).await;
    let back = received.iter().find(|received| received.kind == "undeliverable").unwrap();
    assert_eq!((back.id, back.to, back.event), (last, Some(carl.id().unwrap()), false));
    assert_eq!((back.about.as_deref(), back.reason.as_deref()), (Some("drei"), None));
}

#[tokio::test(flavor = "multi_thread")]
async fn what_no_server_signed_for_until_it_expires_is_told_to_its_sender() {
    let here = Inside::start().await;
    let mut there = Server::start();
    pair(&here.server, &there);
    for server in [&here.server, &there] {
        neighbour(server, &["allow", "--all"]);
    }
    let ada = here.server.register_profile(0, "ada").await;
    let ben = there.register_profile(1, "ben").await;
    say(&ada, &ben, "eins").await;
    receive_until(&ada, |all| all.iter().any(|received| received.kind == "delivered")).await;
    there.kill();
    let lost = say(&ada, &ben, "zwei").await;
    here.clock.advance(Duration::from_secs(89 * 86_400));
    assert_eq!(upkeep::expire(&here.app).await.unwrap(), 0);
    here.clock.advance(Duration::from_secs(2 * 86_400));
    assert_eq!(upkeep::expire(&here.app).await.unwrap(), 1);
    // As people read it: which text, and why.
    let shown = here.server.run(&["receive", "--profile", "ada"]);
    let to = ben.id().unwrap();
    let why = "their server could not be reached, or had no room, for as long as messages wait";
    assert_eq!(text(&shown.stdout), format!("to ben ({to}): [undeliverable {lost} \"zwei\": {why}]\n"));
}

/// One side may sit behind a router that lets nobody in: it dials, and tells no address.
#[test]
fn a_server_that_nobody_can_dial_is_reached_over_the_link_it_dialled() {
    let school = Server::start();
    let mut town = Server::start_with("[neighbours]\nannounce = false\n");
    pair(&school, &town);
    let row = &neighbour(&school, &["list"])[0];
    assert_eq!(row["name"], "momedo");
    town.kill();
    until("it is noticed", || state(&school, &id_in(row)) == "unreachable");
    let row = &neighbour(&school, &["list"])[0];
    assert!(row["since"].as_u64().is_some() && row["next_try"].is_null(), "{row}");
    town.launch();
    until("it dials again", || state(&school, &id_in(row)) == "connected");
}

fn id_in(row: &Value) -> String {
    row["id"].as_str().unwrap().to_owned()
}

/// What a neighbour may bring is counted by the minute: the rest of this would arrive one by one.
#[tokio::test(flavor = "multi_thread")]
async fn a_raised_contract_counts_at_once() {
    let (here, there) = (Server::start_with(BUSY), Server::start());
    pair(&here, &there);
    neighbour(&here, &["allow", "--all"]);
    neighbour(&there, &["allow", "--all", "--per-minute", "1"]);
    let (mut ada, ben) = (here.register(0).await, there.register(1).await);
    // A whole batch may come at once, however low the rate is.
    let more = 20;
    for _ in 0..MAX_BATCH_ITEMS + more {
        ada.submit(&ben.bundle, 1024).await.unwrap();
    }
    let other = id(&there);
    until("a batch has arrived, and the rest waits", || {
        (1..=more as u64).contains(&waiting_for(&here, &other))
    });
    assert!(waiting_for(&here, &other) > more as u64 / 2);
    neighbour(&there, &["allow", "--per-minute", "600"]);
    until("the rest arrives", || waiting_for(&here, &other) == 0);
}

fn waiting_for(server: &Server, other: &str) -> u64 {
    let rows = neighbour(server, &["list"]);
    rows.iter().find(|row| row["id"] == other).unwrap()["waiting"].as_u64().unwrap()
}
