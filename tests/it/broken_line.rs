//! Lines that fail at the worst moment: nothing is lost by it, nothing done twice, and nobody waits too long.

use std::time::{Duration, Instant};

use serde_json::Value;

use crate::harness::Server;
use crate::line::{Fault, Line};

fn register(server: &Server, line: &Line, profile: &str) -> Value {
    let link = line.lead(server.invite());
    server.json(&["user", "register", "--invite", &link, "--profile", profile, "--json"]).remove(0)
}

fn id(person: &Value) -> &str {
    person["id"].as_str().unwrap()
}

/// Sends a text from one profile and returns it as another receives it.
fn pass(server: &Server, from: &str, to: (&str, &Value), text: &str) -> Value {
    server.json(&["send", "--profile", from, "--to", id(to.1), text, "--json"]);
    let got = server.json(&["receive", "--profile", to.0, "--json"]);
    got.into_iter().find(|message| message["text"] == text).expect("the text cannot be read")
}

#[test]
fn a_registration_whose_last_answer_is_lost_counts() {
    let server = Server::start();
    let line = Line::to(&server.address);
    let count = server.counter("participants");
    line.fail_when(Fault::BreaksOnce, move || count() == 1);
    let ada = register(&server, &line, "ada");
    assert!(line.mend());
    let ben = register(&server, &line, "ben");
    assert_eq!(pass(&server, "ada", ("ben", &ben), "hin")["verified"], true);
    assert_eq!(pass(&server, "ben", ("ada", &ada), "zurück")["verified"], true);
}

#[test]
fn a_registration_whose_outcome_is_unknown_keeps_its_keys() {
    let server = Server::start();
    let line = Line::to(&server.address);
    let ben = register(&server, &line, "ben");
    let (link, count) = (line.lead(server.invite()), server.counter("participants"));
    line.fail_when(Fault::Breaks, move || count() == 2);
    let said = server.failure(&["user", "register", "--invite", &link, "--profile", "ada", "--json"]);
    assert!(said.contains("Cannot reach the server"), "{said}");
    assert!(line.mend());
    assert_eq!(pass(&server, "ada", ("ben", &ben), "doch dabei")["verified"], true);
}

#[test]
fn adding_a_device_is_finished_by_the_same_command_wherever_the_line_broke() {
    // Of the requests that count, the sixth is the new list: log-in begins with the end of the handshake,
    // two for itself, then what waits and the current list.
    const NEW_LIST: usize = 6;
    let server = Server::start();
    let line = Line::to(&server.address);
    let mut devices = 0;
    for fault in [Fault::Breaks, Fault::BreaksOnce] {
        let owner = format!("{fault:?}");
        register(&server, &line, &owner);
        devices += 1;
        for request in 1.. {
            let new = format!("{owner}-{request}");
            let add = ["user", "add-device", "--profile", &owner, "--new-profile", &new, "--json"];
            line.fail_at(fault, request);
            let added = server.run(&add).status.success();
            assert!(line.mend() || added, "{new}");
            if request == NEW_LIST {
                // The server has the device; whoever can ask again knows it at once.
                assert_eq!(server.status()["devices"], devices + 1);
                assert_eq!(added, fault == Fault::BreaksOnce);
            }
            if !added {
                server.json(&add);
            }
            devices += 1;
            assert_eq!(server.status()["devices"], devices, "{new}");
            server.json(&["receive", "--profile", &new, "--json"]);
            // What is finished is not begun again.
            assert!(server.failure(&add).contains("there is a profile already"));
            if added && request > NEW_LIST {
                break;
            }
        }
    }
}

#[test]
fn new_keys_are_in_force_on_both_sides_wherever_the_line_broke() {
    let server = Server::start();
    let line = Line::to(&server.address);
    let (ada, _) = (register(&server, &line, "ada"), register(&server, &line, "ben"));
    for request in 1.. {
        line.fail_at(Fault::Breaks, request);
        let rotated = server.run(&["keys", "rotate", "--profile", "ada"]).status.success();
        assert!(line.mend() || rotated, "at {request}");
        let text = format!("nach {request}");
        assert_eq!(pass(&server, "ben", ("ada", &ada), &text)["verified"], true, "at {request}");
        if rotated {
            // Log-in, the devices, the bundle and its proof.
            assert!(request > 6, "the line was to break at each of six requests");
            break;
        }
    }
    let own = server.json(&["keys", "show", "--profile", "ada", "--json"]).remove(0);
    let seen = server.json(&["keys", "show", "--profile", "ben", id(&ada), "--json"]).remove(0);
    assert_eq!(own["version"], seen["version"]);
}

#[test]
fn a_revocation_whose_last_answer_is_lost_signs_with_the_new_key() {
    let server = Server::start();
    let line = Line::to(&server.address);
    let (ada, ben) = (register(&server, &line, "ada"), register(&server, &line, "ben"));
    let lost = server.json(&["user", "add-device", "--profile", "ada", "--new-profile", "lost", "--json"]);
    assert_eq!(pass(&server, "ada", ("ben", &ben), "vorher")["verified"], true);
    let count = server.counter("devices");
    line.fail_when(Fault::Breaks, move || count() == 2);
    let device = lost[0]["device"].as_str().unwrap();
    server.failure(&["user", "revoke-device", "--profile", "ada", device, "--json"]);
    assert!(line.mend());
    assert_eq!(pass(&server, "ada", ("ben", &ben), "nachher")["verified"], true);
    assert_eq!(pass(&server, "ben", ("ada", &ada), "Antwort")["verified"], true);
}

#[test]
fn sending_takes_no_longer_than_asked_wherever_the_server_falls_silent() {
    let server = Server::start();
    let line = Line::to(&server.address);
    let (_, ben) = (register(&server, &line, "ada"), register(&server, &line, "ben"));
    let send = || {
        let start = Instant::now();
        let sent =
            server.run(&["send", "--profile", "ada", "--to", id(&ben), "--wait", "2", "hallo", "--json"]);
        // Without a limit, one request alone may take half a minute.
        assert!(start.elapsed() < Duration::from_secs(15), "{:?}", start.elapsed());
        sent.status.success()
    };
    for request in 1.. {
        line.fail_at(Fault::Silent, request);
        let sent = send();
        assert!(line.mend() || sent, "silent at {request}");
        if sent {
            // Log-in, the keys, who the server is, the McEliece key, the devices.
            assert!(request > 7, "the server was to fall silent at each of seven requests");
            break;
        }
    }
    let (arrived, before) = (server.counter("ozone_envelopes"), server.status()["ozone_envelopes"].clone());
    line.fail_when(Fault::Silent, move || arrived() > before.as_u64().unwrap());
    assert!(!send());
    assert!(line.mend());
}
