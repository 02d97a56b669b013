//! A server whose address changed: it is found again, by what it proves and not by where it was.

use std::net::{SocketAddr, TcpListener};
use std::process::Command;

use serde_json::Value;

use crate::harness::Server;
use crate::own_network::{FAR, NEAR, is_inside};

fn register(server: &Server) -> String {
    let link = server.invite().to_string();
    let line = ["user", "register", "--invite", &link, "--profile", "ada", "--json"];
    server.json(&line)[0]["id"].as_str().unwrap().to_owned()
}

fn receive(server: &Server) -> Vec<Value> {
    server.json(&["receive", "--profile", "ada", "--json"])
}

fn homes(server: &Server) -> Vec<Value> {
    let homes = server.json(&["user", "homes", "--profile", "ada", "--json"]).remove(0);
    homes["first"]["addresses"].as_array().unwrap().clone()
}

#[test]
fn an_address_that_somebody_says_is_taken_when_the_server_there_proves_to_be_the_own_one() {
    let (mut server, other) = (Server::start(), Server::start());
    let own = register(&server);
    let before = server.address.clone();
    server.terminate();
    server.address = "127.0.0.1:0".into();
    // The old port stays taken, so that the new one is another.
    let taken = TcpListener::bind(before.parse::<SocketAddr>().unwrap()).unwrap();
    server.launch();
    drop(taken);
    assert_ne!(server.address, before);
    assert!(server.failure(&["receive", "--profile", "ada"]).contains(&before));
    let say = |address: &str| {
        ["user", "homes", "--profile", "ada", "--address", address, "--json"].map(str::to_owned)
    };
    let failure = |address: &str| {
        let line = say(address);
        server.failure(&line.iter().map(String::as_str).collect::<Vec<_>>())
    };
    let refused = failure(&other.address);
    assert!(refused.contains("not this profile's server"), "{refused}");
    failure(&before);
    let line = say(&format!("https://{}/", server.address));
    server.json(&line.iter().map(String::as_str).collect::<Vec<_>>());
    server.json(&["send", "--profile", "ada", "--to", &own, "an mich", "--json"]);
    receive(&server);
    // What worked comes first, and what was known stays.
    assert_eq!(homes(&server), [server.address.as_str(), before.as_str()]);
}

#[test]
fn a_program_learns_every_address_of_its_server_and_goes_on_when_one_is_gone() {
    if !is_inside("moved::a_program_learns_every_address_of_its_server_and_goes_on_when_one_is_gone") {
        return;
    }
    let mut server = Server::unstarted();
    server.address = format!("{}:0", NEAR[0]);
    server.launch();
    register(&server);
    let added = format!("{FAR}:0");
    let rows = server.json(&["admin", "listener", "add", &added, "--data-dir", "data", "--json"]);
    let mut addresses = rows.iter().filter_map(|row| row["address"].as_str());
    let second = addresses.find(|address| address.starts_with(FAR)).unwrap().to_owned();
    receive(&server);
    let known = homes(&server);
    assert_eq!(known[0], server.address.as_str());
    assert!(known.contains(&Value::from(second.as_str())), "{known:?}");
    // The network of the first address is no more.
    let gone = format!("address del {}/24 dev lan0", NEAR[0]);
    assert!(Command::new("ip").args(gone.split(' ')).status().unwrap().success());
    receive(&server);
    assert_eq!(homes(&server)[0], second.as_str());
}

#[test]
fn a_server_that_got_another_address_from_the_router_is_found_in_the_local_network() {
    if !is_inside("moved::a_server_that_got_another_address_from_the_router_is_found_in_the_local_network") {
        return;
    }
    let mut server = Server::unstarted();
    std::fs::write(server.data().join("momedo.toml"), "[server]\nname = 'Schule am See'\n").unwrap();
    server.address = format!("{}:0", NEAR[0]);
    server.launch();
    register(&server);
    receive(&server);
    server.terminate();
    server.address = format!("{}:0", NEAR[1]);
    server.launch();
    let found = (0..4).any(|_| {
        let output = server.run(&["receive", "--profile", "ada", "--json"]);
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(said.contains("looking for it nearby"), "{said}");
        output.status.success()
    });
    assert!(found, "never found");
    // It is remembered: nothing is looked for any more.
    let output = server.run(&["receive", "--profile", "ada", "--json"]);
    assert!(output.status.success() && output.stderr.is_empty(), "{output:?}");
    assert_eq!(homes(&server)[0], server.address.as_str());
}
