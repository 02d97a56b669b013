//! What travels between servers besides plain messages: photos, groups, reports; and from whom nothing is taken.

use std::time::Duration;

use momedo_client::groups::membership::Membership;
use momedo_client::profile::Profile;
use momedo_client::receiving::Received;
use momedo_client::sending::{Destination, Draft, send};
use momedo_protocol::api::groups::GroupMessageRequest;
use momedo_protocol::encoding::Base64Bytes;
use momedo_protocol::group::GroupId;
use momedo_protocol::group::entry::{Access, Encryption, GroupRole, Posting, Settings};
use momedo_protocol::message_id::MessageId;
use momedo_protocol::random;
use rusqlite::Connection;

use crate::harness::{self, PATIENCE, Server};
use crate::hostile_neighbour::group_envelope;
use crate::neighbours::{neighbour, receive_until, row_of_three, say, until};

fn files_of(server: &Server) -> usize {
    std::fs::read_dir(server.data().join("blobs")).map_or(0, Iterator::count)
}

/// How many rows a table of a server has.
pub(crate) fn count(server: &Server, table: &str) -> u64 {
    let database = Connection::open(server.data().join("momedo.db")).unwrap();
    database.query_row(&format!("SELECT count(*) FROM {table}"), [], |row| row.get(0)).unwrap()
}

fn shows(all: &[Received], text: &str) -> bool {
    all.iter().any(|received| received.verified && received.text.as_deref() == Some(text))
}

#[tokio::test(flavor = "multi_thread")]
async fn a_photo_travels_over_a_server_between_both_ways_and_is_kept_by_nobody_afterwards() {
    let [a, b, c] = row_of_three();
    let (ada, carl) = (a.register_profile(0, "ada").await, c.register_profile(1, "carl").await);
    let ends = [(&a, "ada", ada.id().unwrap()), (&c, "carl", carl.id().unwrap())];
    for (from, to) in [(0, 1), (1, 0)] {
        let ((here, sender, _), (there, recipient, id)) = (ends[from], ends[to]);
        // Several megabytes, so that it takes several pieces, the last one not full.
        let mut photo = vec![0; 2_500_000];
        random::fill(&mut photo);
        std::fs::write(here.folder.path().join("foto.bin"), &photo).unwrap();
        let text =
            ["send", "--profile", sender, "--to", &id.to_string(), "--file", "foto.bin", "--json", "Schau"];
        assert_eq!(here.json(&text)[0]["status"], "accepted");
        let receive = ["receive", "--profile", recipient, "--save-files", "fotos", "--json"];
        let mut lines = Vec::new();
        until("it arrives", || {
            lines.extend(there.json(&receive));
            lines.iter().any(|line| line["kind"] == "file")
        });
        let line = lines.iter().find(|line| line["kind"] == "file").unwrap();
        assert_eq!((&line["verified"], &line["text"]), (&true.into(), &"Schau".into()));
        let saved = there.folder.path().join(line["files"][0]["saved"].as_str().unwrap());
        assert_eq!(std::fs::read(saved).unwrap(), photo);
    }
    until("no server keeps what everybody has", || [&a, &c].iter().all(|server| files_of(server) == 0));
    assert_eq!(files_of(&b), 0);
    // The server between saw envelopes and pieces, and kept none.
    for table in ["bodies", "outbox", "blobs", "participants"] {
        assert_eq!(count(&b, table), 0, "{table}");
    }
    until("the batches are over, too", || count(&b, "relayed") == 0);
}

async fn membership(profile: &Profile) -> Membership<'_> {
    Membership::begin(profile, "en", &|_| {}).await.unwrap()
}

async fn post(profile: &Profile, group: GroupId, text: &str) {
    let draft = Draft::text(text);
    send(profile, Destination::Group(group), &draft, PATIENCE, "en", &|_| {}).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_group_has_members_on_three_servers_and_its_rules_hold_on_all() {
    let [a, b, c] = row_of_three();
    let (ada, ben) = (a.register_profile(0, "ada").await, b.register_profile(1, "ben").await);
    let (carl, dora) = (c.register_profile(2, "carl").await, c.register_profile(3, "dora").await);
    let everybody = [&ben, &carl, &dora].map(|profile| profile.id().unwrap());
    for encryption in [Encryption::Asymmetric, Encryption::Symmetric] {
        let settings =
            Settings { name: "Projekt".into(), posting: Posting::Everyone, access: Access::Closed };
        let mut moderator = membership(&ada).await;
        let state = moderator.create(settings, encryption).await.unwrap();
        let group = state.id();
        moderator.add(group, &everybody, GroupRole::Member).await.unwrap();
        post(&ada, group, "von Ada").await;
        for member in [&ben, &carl, &dora] {
            let all = receive_until(member, |all| shows(all, "von Ada")).await;
            assert!(all.iter().any(|received| received.group == Some(group)));
        }
        post(&carl, group, "von Carl").await;
        for member in [&ada, &ben, &dora] {
            receive_until(member, |all| shows(all, "von Carl")).await;
        }
        if encryption == Encryption::Asymmetric {
            // What follows does not depend on how messages are sealed.
            continue;
        }
        // Whoever is removed is out at once, also on another server.
        moderator.remove(group, &[everybody[1]]).await.unwrap();
        let draft = Draft::text("noch einmal");
        let to = Destination::Group(group);
        let refused = send(&carl, to, &draft, Duration::from_secs(5), "en", &|_| {}).await;
        assert!(refused.is_err());
        // Nor does the group's home take what a client sends that did not ask before.
        let request = GroupMessageRequest {
            id: MessageId([2; 16]),
            number: 1,
            envelope: Base64Bytes(group_envelope(&state)),
            slots: Vec::new(),
            blobs: Vec::new(),
        };
        let posted = carl.log_in("en").await.unwrap().post_to_group(group, &request).await;
        assert_eq!(harness::refused(posted), "unknown-group");
        post(&dora, group, "ohne Carl").await;
        for member in [&ada, &ben] {
            let all = receive_until(member, |all| shows(all, "ohne Carl")).await;
            assert!(!shows(&all, "noch einmal"));
        }
        let gone = |all: &[Received]| {
            let about =
                |received: &&Received| received.kind == "group-changed" && received.group == Some(group);
            all.iter().filter(about).any(|received| {
                received
                    .text
                    .as_deref()
                    .is_some_and(|text| text.contains("not belong") || text.contains("removed"))
            })
        };
        let all = receive_until(&carl, gone).await;
        assert!(!shows(&all, "ohne Carl"));
        // Members leave and join with a link from elsewhere.
        membership(&dora).await.leave(group).await.unwrap();
        let link = membership(&ada).await.open_link(group, 1).await.unwrap();
        membership(&carl).await.join_by_link(&link).await.unwrap();
        post(&carl, group, "wieder da").await;
        receive_until(&ada, |all| shows(all, "wieder da")).await;
    }
    until("nothing is kept of what arrived", || count(&a, "outbox") + count(&a, "outbox_bodies") == 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_photo_in_a_group_reaches_members_on_other_servers() {
    let [a, _b, c] = row_of_three();
    let (ada, carl) = (a.register_profile(0, "ada").await, c.register_profile(1, "carl").await);
    let ben = a.register_profile(2, "ben").await;
    let settings = Settings { name: "Hof".into(), posting: Posting::Everyone, access: Access::Closed };
    let mut moderator = membership(&ada).await;
    let group = moderator.create(settings, Encryption::Symmetric).await.unwrap().id();
    let others = [carl.id().unwrap(), ben.id().unwrap()];
    moderator.add(group, &others, GroupRole::Member).await.unwrap();
    post(&ada, group, "Hallo").await;
    receive_until(&carl, |all| shows(all, "Hallo")).await;
    // From another server into the group, whose home fetches it and hands it on.
    let photo = random::bytes::<4096>();
    std::fs::write(c.folder.path().join("schaden.bin"), photo).unwrap();
    let to = group.to_string();
    let sent = c.json(&["send", "--profile", "carl", "--to", &to, "--file", "schaden.bin", "--json"]);
    assert_eq!(sent[0]["status"], "accepted");
    for who in ["ada", "ben"] {
        let receive = ["receive", "--profile", who, "--save-files", "fotos", "--json"];
        let mut lines = Vec::new();
        until("it arrives", || {
            lines.extend(a.json(&receive));
            lines.iter().any(|line| line["kind"] == "file")
        });
        let line = lines.iter().find(|line| line["kind"] == "file").unwrap();
        let saved = a.folder.path().join(line["files"][0]["saved"].as_str().unwrap());
        assert_eq!((line["verified"].as_bool(), std::fs::read(saved).unwrap()), (Some(true), photo.to_vec()));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_report_reaches_the_staff_of_both_homes_and_a_blocked_id_is_not_heard() {
    let [a, b, _c] = row_of_three();
    let (ada, ben) = (a.register_profile(0, "ada").await, b.register_profile(1, "ben").await);
    say(&ben, &ada, "du Doofe").await;
    let all = receive_until(&ada, |all| shows(all, "du Doofe")).await;
    let id = all.iter().find(|received| received.kind == "text").unwrap().id.to_string();
    a.json(&["message", "report", &id, "--profile", "ada", "--reason", "beleidigt mich", "--json"]);
    assert_eq!((count(&a, "reports"), count(&b, "reports")), (1, 1));
    let who = ben.id().unwrap().to_string();
    neighbour(&a, &["block-participant", &who]);
    assert_eq!(neighbour(&a, &["blocked-participants"])[0]["id"], who.as_str());
    let lost = say(&ben, &ada, "hörst du?").await;
    let back = receive_until(&ben, |all| all.iter().any(|received| received.kind == "undeliverable")).await;
    let back = back.iter().find(|received| received.kind == "undeliverable").unwrap();
    assert_eq!((back.id, back.about.as_deref()), (lost, Some("hörst du?")));
    assert_eq!(back.reason.as_deref(), Some("not-allowed-across"));
    assert_eq!(back.text.as_deref(), Some("they, or their server, take no messages from you"));
    let denied = a.failure(&["send", "--profile", "ada", "--to", &who, "--json", "nein"]);
    assert!(denied.contains("not allowed"), "{denied}");
    neighbour(&a, &["unblock-participant", &who]);
    assert!(neighbour(&a, &["blocked-participants"]).is_empty());
    say(&ben, &ada, "wieder gut").await;
    receive_until(&ada, |all| shows(all, "wieder gut")).await;
    let own = ada.id().unwrap().to_string();
    let refused =
        a.failure(&["admin", "neighbour", "block-participant", &own, "--data-dir", "data", "--json"]);
    assert!(refused.contains("this server"), "{refused}");
}
