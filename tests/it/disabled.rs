//! Participants whom an admin disabled: their mail waits, whoever sent it, and they have it when they are back.

use momedo_client::groups::membership::Membership;
use momedo_client::profile::Profile;
use momedo_client::sending::{Destination, Draft, send, send_text};
use momedo_protocol::group::GroupId;
use momedo_protocol::group::entry::{Access, Encryption, GroupRole, Posting, Settings};
use momedo_protocol::id::ParticipantId;

use crate::harness::{PATIENCE, Server, refused};
use crate::neighbours::{id, neighbour, pair, receive_until, say, state, until};

fn set_enabled(server: &Server, who: &Profile, enabled: bool) {
    let word = if enabled { "enable" } else { "disable" };
    let id = who.id().unwrap().to_string();
    server.json(&["admin", "participant", word, &id, "--data-dir", "data", "--json"]);
}

async fn has_all(profile: &Profile, texts: &[&str]) {
    let has = |all: &[momedo_client::receiving::Received]| {
        texts.iter().all(|text| all.iter().any(|received| received.text.as_deref() == Some(text)))
    };
    receive_until(profile, has).await;
}

async fn group(moderator: &Profile, encryption: Encryption, members: &[&Profile]) -> GroupId {
    let settings = Settings { name: "Chor".into(), posting: Posting::Everyone, access: Access::Closed };
    let mut membership = Membership::begin(moderator, "en", &|_| {}).await.unwrap();
    let group = membership.create(settings, encryption).await.unwrap().id();
    let members: Vec<_> = members.iter().map(|profile| profile.id().unwrap()).collect();
    membership.add(group, &members, GroupRole::Member).await.unwrap();
    group
}

async fn post(profile: &Profile, group: GroupId, text: &str) {
    send(profile, Destination::Group(group), &Draft::text(text), PATIENCE, "en", &|_| {}).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn mail_for_somebody_disabled_waits_for_them() {
    let server = Server::start();
    let (ada, ben) = (server.register_profile(0, "ada").await, server.register_profile(1, "ben").await);
    let carl = server.register_profile(2, "carl").await;
    let mut groups = Vec::new();
    for encryption in [Encryption::Symmetric, Encryption::Asymmetric] {
        let id = group(&ada, encryption, &[&ben]).await;
        post(&ada, id, "vorher").await;
        groups.push(id);
    }
    has_all(&ben, &["vorher"]).await;
    set_enabled(&server, &ben, false);
    let session = ben.log_in("en").await;
    assert_eq!(refused(session.map(drop)), "participant-disabled");
    // Whoever has written before, and whoever has not and asks for the keys first.
    say(&ada, &ben, "direkt").await;
    say(&carl, &ben, "zum ersten Mal").await;
    for id in &groups {
        post(&ada, *id, "an alle").await;
    }
    // Groups made meanwhile have them in, too.
    let later = group(&ada, Encryption::Symmetric, &[&ben]).await;
    post(&ada, later, "in der neuen").await;
    set_enabled(&server, &ben, true);
    has_all(&ben, &["direkt", "zum ersten Mal", "an alle", "in der neuen"]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn mail_from_another_server_for_somebody_disabled_waits_for_them_too() {
    let (a, b) = (Server::start(), Server::start());
    pair(&a, &b);
    [&a, &b].iter().for_each(|server| drop(neighbour(server, &["allow", "--all"])));
    let (ada, ben) = (a.register_profile(0, "ada").await, b.register_profile(1, "ben").await);
    let carl = a.register_profile(2, "carl").await;
    let together = group(&ada, Encryption::Symmetric, &[&ben]).await;
    say(&ada, &ben, "vorher").await;
    has_all(&ben, &["vorher"]).await;
    set_enabled(&b, &ben, false);
    say(&ada, &ben, "direkt").await;
    say(&carl, &ben, "zum ersten Mal").await;
    post(&ada, together, "an alle").await;
    until("all has arrived there", || neighbour(&a, &["list"])[0]["waiting"] == 0);
    set_enabled(&b, &ben, true);
    has_all(&ben, &["direkt", "zum ersten Mal", "an alle"]).await;
    let arrived = |all: &[momedo_client::receiving::Received]| {
        assert!(all.iter().all(|received| received.kind != "undeliverable"), "{all:?}");
        all.iter().filter(|received| received.kind == "delivered").count() >= 2
    };
    receive_until(&ada, arrived).await;
}

/// What a sender hears when nobody of this server has an ID.
async fn heard(profile: &Profile, to: ParticipantId) -> (String, String) {
    let error = send_text(profile, to, "wer da?", PATIENCE, "en", &|_| {}).await.unwrap_err();
    (error.problem().unwrap().to_owned(), error.to_string())
}

#[tokio::test(flavor = "multi_thread")]
async fn nobody_has_this_id_is_said_for_that_alone() {
    let (a, mut b) = (Server::start(), Server::start());
    let (ada, ben) = (a.register_profile(0, "ada").await, b.register_profile(1, "ben").await);
    let (nobody, there) = (ParticipantId::random(), ben.id().unwrap());
    assert_eq!(heard(&ada, nobody).await.0, "unknown-participant", "there is nobody else to ask");
    pair(&a, &b);
    // Nothing is allowed yet, so nobody was asked.
    let (name, words) = heard(&ada, there).await;
    assert_eq!(name, "not-allowed-across");
    assert!(words.contains("not allowed") && !words.contains("Nobody has this ID"), "{words}");
    [&a, &b].iter().for_each(|server| drop(neighbour(server, &["allow", "--all"])));
    assert_eq!(heard(&ada, nobody).await.0, "unknown-participant", "everybody was asked");
    neighbour(&a, &["pause", &id(&b)]);
    let (name, words) = heard(&ada, there).await;
    assert_eq!(name, "unknown-here-paused");
    assert!(words.contains("paused"), "{words}");
    neighbour(&a, &["resume", &id(&b)]);
    let (one, two) = (id(&a), id(&b));
    until("connected", || state(&a, &two) == "connected" && state(&b, &one) == "connected");
    b.kill();
    until("it is noticed", || state(&a, &two) == "unreachable");
    let (name, words) = heard(&ada, there).await;
    assert_eq!(name, "unknown-here");
    assert!(words.contains("cannot be reached"), "{words}");
    b.launch();
    until("connected", || state(&a, &two) == "connected" && state(&b, &one) == "connected");
    say(&ada, &ben, "gefunden").await;
    has_all(&ben, &["gefunden"]).await;
}
