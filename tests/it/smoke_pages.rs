//! The Smoke part of the admin pages, without a browser: what is typed takes effect, what is refused says why.

use serde_json::Value;

use crate::harness::Server;
use crate::smoke_client::{SmokeClient, SmokeUser};
use crate::visitor::{Visitor, set_up};

const ID: &str = "2151-A14F-7894-DBBF-41C3-FE81-84CC-AEF7";

/// Enough of everything that the pages have something to show.
pub(crate) fn furnish(server: &Server) {
    for arguments in [
        &["participant", "add", ID, "--name", "Kim Müßig"][..],
        &["ozone", "add", "Hafenlaterne 7b"],
        &["listener", "add", "127.0.0.1:0", "--private"],
        &["neighbour", "add", "127.0.0.1:1"],
    ] {
        smoke(server, arguments);
    }
}

fn smoke(server: &Server, arguments: &[&str]) -> Vec<Value> {
    server.json(&[&["admin", "smoke"], arguments, &["--data-dir", "data", "--json"]].concat())
}

#[test]
fn participants_ozones_listeners_and_neighbours_are_changed_on_their_pages() {
    let server = Server::start();
    set_up(&server);
    let mut admin = Visitor::admin(&server);
    let mut submit = |page: &str, path: &str, fields: &[(&str, &str)]| {
        let answer = admin.submit(&format!("/admin/{page}"), &format!("/admin/smoke/{path}"), fields);
        (answer.status, answer.header("location").unwrap_or_default().to_owned(), answer.body)
    };
    let done = |(status, location, body): (u16, String, String)| {
        assert_eq!(status, 303, "{body}");
        location
    };
    // Participants.
    let typed = "2151a14f 7894dbbf 41c3fe81 84ccaef7";
    let (status, _, body) =
        submit("participants", "participants", &[("act", "add"), ("id", "2151"), ("name", "Kim")]);
    assert_eq!(status, 422);
    assert!(body.contains("32 hexadecimal digits") && body.contains("value=\"Kim\""), "{body}");
    let added = submit("participants", "participants", &[("act", "add"), ("id", typed), ("name", "Kim")]);
    assert_eq!(done(added), "/admin/participants#smoke");
    let own = format!("participants/{ID}");
    done(submit("participants", &own, &[("act", "rename"), ("name", "Kim M.")]));
    done(submit("participants", &own, &[("act", "unsigned"), ("allowed", "1")]));
    assert_eq!(submit("participants", &format!("{own}/keys"), &[("act", "approve")]).0, 422);
    let listed = smoke(&server, &["participant", "list"]);
    assert_eq!((&listed[0]["name"], &listed[0]["accepts_unsigned"]), (&"Kim M.".into(), &true.into()));
    done(submit("participants", "participants/sharing", &[]));
    assert_eq!(smoke(&server, &["status"])[0]["share_ids"], false);
    done(submit("participants", &own, &[("act", "remove")]));
    assert!(smoke(&server, &["participant", "list"]).is_empty());
    assert_eq!(submit("participants", &own, &[("act", "remove")]).0, 404);
    // Ozones, whose names the log does not tell.
    done(submit("ozones", "ozones", &[("act", "add"), ("ozone", " Hafenlaterne 7b ")]));
    assert_eq!(submit("ozones", "ozones", &[("act", "add"), ("ozone", "Hafenlaterne 7b")]).0, 422);
    let ozones = smoke(&server, &["ozone", "list"]);
    assert_eq!(ozones[0]["ozone"], "Hafenlaterne 7b");
    let number = format!("#{}", ozones[0]["number"]);
    done(submit("ozones", "ozones", &[("act", "remove"), ("ozone", &number)]));
    assert!(smoke(&server, &["ozone", "list"]).is_empty());
    // Listeners.
    let address = "127.0.0.1:0";
    let fields = [("act", "add"), ("address", address), ("max_clients", "0")];
    assert_eq!(submit("listeners", "listeners", &fields).0, 422);
    let fields = [("act", "add"), ("address", address), ("max_clients", "7"), ("private", "1")];
    done(submit("listeners", "listeners", &fields));
    let listener = smoke(&server, &["listener", "list"]).remove(0);
    assert_eq!((&listener["private"], &listener["max_clients"]), (&true.into(), &7.into()));
    let address = listener["address"].as_str().unwrap().to_owned();
    for (act, state) in [("stop", "stopped"), ("start", "running")] {
        done(submit("listeners", "listeners", &[("act", act), ("address", &address)]));
        assert_eq!(smoke(&server, &["listener", "list"])[0]["state"], state);
    }
    done(submit("listeners", "listeners", &[("act", "remove"), ("address", &address)]));
    assert!(smoke(&server, &["listener", "list"]).is_empty());
    done(submit("listeners", "listeners/shared-port", &[]));
    assert_eq!(smoke(&server, &["status"])[0]["shared_port"], false);
    // Neighbours.
    assert_eq!(submit("neighbours", "neighbours", &[("act", "add"), ("address", "nowhere")]).0, 422);
    let fields = [("act", "add"), ("address", "127.0.0.1:1"), ("kind", "spot-on-lite")];
    done(submit("neighbours", "neighbours", &fields));
    assert_eq!(smoke(&server, &["neighbour", "list"])[0]["kind"], "spot-on-lite");
    done(submit("neighbours", "neighbours", &[("act", "stop"), ("address", "127.0.0.1:1")]));
    assert_eq!(smoke(&server, &["neighbour", "list"])[0]["enabled"], false);
    done(submit("neighbours", "neighbours", &[("act", "remove"), ("address", "127.0.0.1:1")]));
    assert!(smoke(&server, &["neighbour", "list"]).is_empty());
    let log: String = server
        .json(&["admin", "log", "--data-dir", "data", "--json"])
        .iter()
        .map(|line| format!("{} {}\n", line["action"], line["subject"]))
        .collect();
    for action in
        ["smoke-participant-added", "smoke-ozone-removed", "smoke-neighbour-added", "listener-added"]
    {
        assert!(log.contains(action), "{action} is not in the log:\n{log}");
    }
    assert!(!log.contains("Hafenlaterne"), "an ozone is a shared password:\n{log}");
}

#[tokio::test]
async fn a_switched_off_door_lets_no_smoke_client_in() {
    let server = Server::start();
    let mut client = SmokeClient::connect(&server.address).await;
    server.json(&["admin", "rules", "--smoke-shared-port", "false", "--data-dir", "data", "--json"]);
    let mut late = SmokeClient::connect_silently(&server.address).await;
    late.send(&crate::smoke_client::unknown_frame()).await;
    assert!(late.any().await.is_none(), "the server closes");
    // Whoever is in stays in.
    let other = SmokeUser::stored(0);
    client.announce(&other.id.routing_identity()).await;
}
