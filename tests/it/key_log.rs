//! The log of key changes: clients and neighbours follow it, and a server with two faces is found out.

use std::time::Duration;

use momedo_client::contacts;
use momedo_client::profile::Profile;
use momedo_client::receiving::{self, Received};
use momedo_client::rotation;
use momedo_protocol::digest::{Fingerprint, Sha512Digest};
use momedo_protocol::encoding::Base64Bytes;
use momedo_protocol::key_bundle::KeyBundle;
use momedo_protocol::key_log::{KeyLogEntry, LogSubject};
use momedo_protocol::limits::MAX_KEY_LOG_PAGE;
use momedo_protocol::link::{FetchKeyLog, Frame, KeyLogPart};
use momedo_protocol::time::UnixMillis;
use serde_json::Value;

use crate::harness::{Server, refused, rsa_key};
use crate::hostile::Hostile;
use crate::neighbours::{id, neighbour, pair, receive_until, say, state, until};
use crate::two_faced::{Editor, FALSE, TRUE, TwoFaced};
use crate::visitor::{Visitor, set_up};

fn fingerprint(server: &Server) -> Fingerprint {
    id(server).parse().unwrap()
}

fn key_log(server: &Server, profile: &str) -> Value {
    server.json(&["keys", "log", "--profile", profile, "--json"]).remove(0)
}

async fn keys_of(seen_by: &Profile, of: &Profile) -> Result<Fingerprint, momedo_client::ClientError> {
    let mut session = seen_by.log_in("en").await?;
    Ok(contacts::fetch(seen_by, &mut session, of.id()?).await?.bundle.fingerprint())
}

/// Makes servers without participants neighbours; each then says in its log that it follows the other's.
fn pair_openly(first: &Server, second: &Server) {
    pair(first, second);
    for server in [first, second] {
        until("the log tells of the other server", || server.status()["key_log_number"] == 1);
    }
}

/// Everything that is shown now.
pub(crate) async fn shown(profile: &Profile) -> Vec<Received> {
    let mut session = profile.log_in("en").await.unwrap();
    let mut all = Vec::new();
    let mut show = |received: &Received| {
        all.push(received.clone());
        Ok(())
    };
    receiving::receive(profile, &mut session, Duration::ZERO, &mut show).await.unwrap();
    all
}

pub(crate) fn alarms(received: &[Received]) -> Vec<&str> {
    let is_alarm = |received: &&Received| received.kind == "alarm";
    received.iter().filter(is_alarm).map(|received| received.text.as_deref().unwrap()).collect()
}

fn is_text(received: &[Received]) -> bool {
    received.iter().any(|received| received.kind == "text")
}

#[tokio::test(flavor = "multi_thread")]
async fn registering_rotating_a_reset_and_restarts_stand_in_the_log_and_raise_no_alarm() {
    let mut server = Server::start();
    assert_eq!(server.status()["key_log_number"], 0);
    let ben = server.register_profile(1, "ben").await;
    let ada = server.register_profile(0, "ada").await;
    say(&ben, &ada, "eins").await;
    say(&ada, &ben, "zwei").await;
    let mut session = ada.log_in("en").await.unwrap();
    rotation::rotate(&ada, &mut session, &|_| {}).await.unwrap();
    server.terminate();
    server.launch();
    say(&ben, &ada, "drei").await;
    for profile in [&ada, &ben] {
        let all = shown(profile).await;
        assert!(is_text(&all) && alarms(&all).is_empty(), "{all:?}");
    }
    let (one, other) = (key_log(&server, "ada"), key_log(&server, "ben"));
    assert_eq!(one, other);
    assert_eq!((&one["number"], &one["alarms"]), (&3.into(), &Value::Array(Vec::new())));
    let status = server.status();
    assert_eq!((&status["key_log_number"], &status["key_log_hash"]), (&one["number"], &one["hash"]));
    // Anybody can look up what another one sees at a number.
    let earlier = server.json(&["keys", "log", "--profile", "ben", "--at", "2", "--json"]).remove(0);
    assert_ne!(earlier["hash"], one["hash"]);
    assert!(server.failure(&["keys", "log", "--profile", "ben", "--at", "4"]).contains("not reach"));
    // A reset is a new key, told in the open: contacts are warned of the key, not of the log.
    let who = ada.id().unwrap().to_string();
    server.json(&["admin", "participant", "reset-keys", &who, "--data-dir", "data", "--json"]);
    let line = ["admin", "participant", "invite", &who, "--data-dir", "data", "--json"];
    let link = server.json(&line)[0]["link"].as_str().unwrap().parse().unwrap();
    let anew = server.register_with(2, link, Some("Ada")).await;
    assert_eq!(anew.bundle.payload.version, 3);
    let reset = keys_of(&ben, &ada).await.unwrap_err();
    assert!(matches!(reset, momedo_client::ClientError::KeysReset { .. }), "{reset}");
    assert!(alarms(&shown(&ben).await).is_empty());
    assert_eq!(key_log(&server, "ben")["number"], 4);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_log_longer_than_a_page_is_followed_and_no_page_is_larger() {
    let mut server = Server::start();
    let (ada, ben) = (server.register_profile(0, "ada").await, server.register_profile(1, "ben").await);
    server.kill();
    let editor = Editor::open(&server);
    let mut log = editor.log();
    let stranger = |number: u16| KeyLogEntry {
        subject: LogSubject([number.to_be_bytes(); 16].concat().try_into().unwrap()),
        version: 1,
        digest: Sha512Digest([7; 64]),
        made_at: UnixMillis(1_790_000_000_000),
    };
    log.splice(1..1, (0..2 * MAX_KEY_LOG_PAGE as u16).map(stranger));
    editor.set_log(&log);
    drop(editor);
    server.launch();
    let mut session = ben.log_in("en").await.unwrap();
    let total = log.len() as u64;
    let first = session.key_log(None, 0).await.unwrap();
    assert_eq!(first.entries, log[..MAX_KEY_LOG_PAGE]);
    assert_eq!(session.key_log(None, total - 1).await.unwrap().entries, log[log.len() - 1..]);
    let end = session.key_log(None, total).await.unwrap();
    assert!(end.entries.is_empty() && end.hash.is_some());
    for beyond in [total + 1, u64::MAX] {
        let page = session.key_log(None, beyond).await.unwrap();
        assert!(page.entries.is_empty() && page.hash.is_none());
        assert_eq!(page.head.verify(fingerprint(&server)).unwrap().number, total);
    }
    assert_eq!(refused(session.key_log(Some(Fingerprint([1; 32])), 0).await), "unknown-key-log");
    assert_eq!(keys_of(&ben, &ada).await.unwrap(), ada.own_bundle().unwrap().fingerprint());
    assert_eq!(key_log(&server, "ben")["number"], total);
}

#[tokio::test(flavor = "multi_thread")]
async fn keys_that_do_not_stand_in_the_log_are_not_used() {
    let server = Server::start();
    let (ada, ben) = (server.register_profile(0, "ada").await, server.register_profile(1, "ben").await);
    let mut two_faced = TwoFaced::new(server, &ada);
    two_faced.show(FALSE, TRUE);
    let refused = keys_of(&ben, &ada).await.unwrap_err();
    assert!(matches!(refused, momedo_client::ClientError::UntrustedKeys { .. }), "{refused}");
    let all = shown(&ben).await;
    assert_eq!(alarms(&all).len(), 1, "{all:?}");
    assert!(alarms(&all)[0].contains("do not stand in its own log"));
    // Once is enough.
    assert!(keys_of(&ben, &ada).await.is_err());
    assert!(alarms(&shown(&ben).await).is_empty());
    two_faced.show(TRUE, TRUE);
    assert_eq!(keys_of(&ben, &ada).await.unwrap(), ada.own_bundle().unwrap().fingerprint());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_shows_different_keys_to_different_people_is_found_out() {
    let server = Server::start();
    let mut other = Server::start();
    other.expects_errors = true;
    pair_openly(&server, &other);
    let (ada, ben) = (server.register_profile(0, "ada").await, server.register_profile(1, "ben").await);
    let carl = server.register_profile(2, "carl").await;
    let mut two_faced = TwoFaced::new(server, &ada);
    // Carl sees the true face, and so does the neighbour.
    two_faced.show(TRUE, TRUE);
    assert_eq!(keys_of(&carl, &ada).await.unwrap(), two_faced.faces[TRUE].0.fingerprint());
    let traitor = id(&two_faced.server);
    let log = || {
        let row = neighbour(&other, &["list"]).remove(0);
        (row["log"]["number"].clone(), row["log"]["broken_at"].is_u64(), row["log"]["evidence"].clone())
    };
    until("the neighbour follows", || log().0 == 4);
    // Ben sees the false one, and has nothing to compare it with.
    two_faced.show(FALSE, FALSE);
    assert_eq!(keys_of(&ben, &ada).await.unwrap(), two_faced.faces[FALSE].0.fingerprint());
    say(&ben, &carl, "Hallo Carl").await;
    // The neighbour notices, and can prove it to anybody.
    until("the neighbour notices", || log().1);
    let heads: Vec<momedo_protocol::key_log::SignedHead> = serde_json::from_value(log().2).unwrap();
    let proved: Vec<_> = heads.iter().map(|head| head.verify(traitor.parse().unwrap()).unwrap()).collect();
    assert_eq!((proved[0].number, proved[1].number), (4, 4));
    assert_ne!(proved[0].hash, proved[1].hash);
    let overview = other.json(&["admin", "overview", "--data-dir", "data", "--json"]).remove(0);
    let told = overview["tasks"].as_array().unwrap().iter().any(|task| task["what"] == "log-broken");
    assert!(told && other.log().contains("does not go on where it was"), "{overview}");
    // Carl is shown the true face again, so his own log continues; what Ben saw does not fit it.
    two_faced.show(TRUE, TRUE);
    let received = receive_until(&carl, |all| !alarms(all).is_empty() && is_text(all)).await;
    let alarm = alarms(&received)[0];
    assert!(alarm.contains(&ben.id().unwrap().to_string()) && alarm.contains("another log"), "{alarm}");
    assert_eq!(alarms(&received).len(), 1);
    // And Ben finds that what he saw is not told any more.
    say(&carl, &ben, "Welchen Fingerabdruck hat Ada bei Dir?").await;
    let received = receive_until(&ben, |all| !alarms(all).is_empty() && is_text(all)).await;
    assert!(alarms(&received).iter().any(|alarm| alarm.contains("does not go on")), "{received:?}");
    assert!(alarms(&received).iter().all(|alarm| alarm.contains("restored from an older backup")));
    let kept = key_log(&two_faced.server, "ben");
    assert!(kept["alarms"].as_array().unwrap().iter().any(|alarm| alarm["heads"].is_array()), "{kept}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cut_or_rewritten_log_is_noticed_and_followed_anew_when_the_admin_says_so() {
    let mut server = Server::start();
    let mut other = Server::start();
    other.expects_errors = true;
    set_up(&other);
    pair_openly(&server, &other);
    let (ada, ben) = (server.register_profile(0, "ada").await, server.register_profile(1, "ben").await);
    server.register(2).await;
    let traitor = id(&server);
    keys_of(&ben, &ada).await.unwrap();
    server.kill();
    server.launch();
    let number = || neighbour(&other, &["list"])[0]["log"]["number"].clone();
    until("the neighbour follows", || number() == 4);
    server.kill();
    let editor = Editor::open(&server);
    let log = editor.log();
    editor.set_log(&log[..3]);
    drop(editor);
    server.launch();
    // Who had seen the last entry notices; it is no reason not to write to people one knows.
    say(&ben, &ada, "noch da?").await;
    let received = shown(&ben).await;
    assert_eq!(alarms(&received).len(), 1, "{received:?}");
    assert!(alarms(&received)[0].contains("shorter than it was"), "{received:?}");
    // Who had not seen so much, or compares what both saw, sees nothing wrong.
    let received = receive_until(&ada, is_text).await;
    assert!(alarms(&received).is_empty(), "{received:?}");
    let broken = || neighbour(&other, &["list"])[0]["log"]["broken_at"].is_u64();
    until("the neighbour notices", broken);
    let page = Visitor::admin(&other).get("/admin/neighbours").body;
    assert!(page.contains("shows another log of key changes") && page.contains("accept-log"), "{page}");
    let done = ["admin", "neighbour", "accept-log", &traitor, "--data-dir", "data", "--json"];
    other.json(&done);
    until("it is followed anew", || !broken() && number() == 3);
    // An entry in the past is exchanged.
    server.kill();
    let editor = Editor::open(&server);
    let mut log = editor.log();
    log[0].made_at.0 += 1;
    editor.set_log(&log);
    drop(editor);
    server.launch();
    until("the neighbour notices", broken);
    assert!(alarms(&shown(&ben).await)[0].contains("told differently"));
    assert_eq!(alarms(&shown(&ada).await).len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn somebody_is_told_of_keys_that_the_server_entered_in_their_name() {
    let mut server = Server::start();
    let ada = server.register_profile(0, "ada").await;
    assert!(alarms(&shown(&ada).await).is_empty());
    server.kill();
    let editor = Editor::open(&server);
    let mut log = editor.log();
    log.push(KeyLogEntry { version: 2, digest: Sha512Digest([9; 64]), ..log[0] });
    editor.set_log(&log);
    drop(editor);
    server.launch();
    // Another device of hers may have made them just now: its message comes first.
    assert!(alarms(&shown(&ada).await).is_empty());
    let received = shown(&ada).await;
    assert_eq!(alarms(&received).len(), 1, "{received:?}");
    assert!(alarms(&received)[0].contains("none of your devices"));
    assert!(alarms(&shown(&ada).await).is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_restored_server_has_its_log_back_unless_it_went_on_before_and_then_says_so() {
    let mut server = Server::start();
    let (ada, ben) = (server.register_profile(0, "ada").await, server.register_profile(1, "ben").await);
    let made = server.json(&["admin", "backup", "now", "--data-dir", "data", "--json"]).remove(0);
    server.register(2).await;
    keys_of(&ben, &ada).await.unwrap();
    assert_eq!(key_log(&server, "ben")["number"], 3);
    server.terminate();
    let from = format!("data/backups/{}.db", made["name"].as_str().unwrap());
    let restore = ["admin", "restore", &from, "--replace", "--data-dir", "data", "--json"];
    server.json(&restore);
    server.launch();
    // Ben brings back what he saw of it.
    say(&ben, &ada, "nach der Wiederherstellung").await;
    assert!(alarms(&shown(&ben).await).is_empty());
    assert!(alarms(&receive_until(&ada, is_text).await).is_empty());
    assert_eq!(key_log(&server, "ben")["number"], 3);
    assert_eq!(server.status()["key_log_number"], 3);
    // This time somebody else comes first, and it goes on without what he saw.
    server.terminate();
    server.json(&restore);
    server.launch();
    server.register(3).await;
    say(&ben, &ada, "noch einmal").await;
    let received = shown(&ben).await;
    assert_eq!(alarms(&received).len(), 1, "{received:?}");
    let words = alarms(&received)[0];
    assert!(words.contains("restored from an older backup") && words.contains("began a new life"), "{words}");
    assert_eq!(key_log(&server, "ben")["number"], 3);
    let heard = receive_until(&ada, is_text).await;
    assert_eq!(alarms(&heard).len(), 1, "she saw the other one, too: {heard:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn keys_of_before_the_log_are_entered_by_the_next_start() {
    let mut server = Server::start();
    let (ada, ben) = (server.register_profile(0, "ada").await, server.register_profile(1, "ben").await);
    // By chance two stand in the right order every other time.
    for number in 2..6 {
        server.register(number).await;
    }
    server.kill();
    let editor = Editor::open(&server);
    editor.database.execute_batch("DELETE FROM key_log; DELETE FROM key_log_subjects").unwrap();
    drop(editor);
    server.launch();
    assert_eq!(server.status()["key_log_number"], 6);
    assert_eq!(keys_of(&ben, &ada).await.unwrap(), ada.own_bundle().unwrap().fingerprint());
    server.kill();
    let log = Editor::open(&server).log();
    assert!(log.is_sorted_by_key(|entry| entry.subject.0), "the order tells nothing of the IDs");
    server.launch();
    assert_eq!(server.status()["key_log_number"], 6);
}

#[tokio::test(flavor = "multi_thread")]
async fn keys_from_a_neighbour_have_to_stand_in_its_log() {
    let (mut here, there) = (Server::start(), Server::start());
    pair_openly(&here, &there);
    for server in [&here, &there] {
        neighbour(server, &["allow", "--all"]);
    }
    let mut ada = here.register(0).await;
    let ben = there.register_profile(1, "ben").await;
    let mut two_faced = TwoFaced::new(there, &ben);
    two_faced.show(FALSE, TRUE);
    let traitor = id(&two_faced.server);
    until("they are connected", || state(&here, &traitor) == "connected");
    let ben_id = ben.id().unwrap();
    assert_eq!(refused(ada.session.keys(ben_id, 0).await), "unknown-participant");
    assert!(here.log().contains("do not stand in the log of their home"));
    two_faced.show(TRUE, TRUE);
    until("they are connected", || state(&here, &traitor) == "connected");
    // What nobody knew is asked for again only after a while, or by another run.
    here.kill();
    here.launch();
    ada.log_in(&here).await;
    until("they are connected", || state(&here, &traitor) == "connected");
    let keys = ada.session.keys(ben_id, 0).await.unwrap();
    assert_eq!(KeyBundle::verify(&keys.bundle).unwrap().digest, two_faced.faces[TRUE].0.digest);
    // Clients can ask their own server how far it followed the other's log.
    let page = ada.session.key_log(Some(traitor.parse().unwrap()), 0).await.unwrap();
    assert_eq!(page.entries, two_faced.logs[TRUE]);
}

#[tokio::test(flavor = "multi_thread")]
async fn people_of_two_servers_compare_what_one_server_showed_to_each() {
    let (here, there) = (Server::start(), Server::start());
    pair_openly(&here, &there);
    for server in [&here, &there] {
        neighbour(server, &["allow", "--all"]);
    }
    let ada = here.register_profile(0, "ada").await;
    let ben = there.register_profile(1, "ben").await;
    let carl = there.register_profile(2, "carl").await;
    say(&ada, &ben, "Hallo Ben").await;
    receive_until(&ben, is_text).await;
    let traitor = id(&there);
    let row = || neighbour(&here, &["list"]).remove(0);
    until("the log is followed", || row()["log"]["number"] == 3);
    // Ben alone is shown another log; nobody else connects meanwhile.
    let mut two_faced = TwoFaced::new(there, &carl);
    let paired = here.address.clone();
    neighbour(&here, &["pause", &traitor]);
    two_faced.show(FALSE, FALSE);
    keys_of(&ben, &carl).await.unwrap();
    say(&ben, &ada, "Hallo Ada").await;
    two_faced.show(TRUE, TRUE);
    neighbour(&here, &["resume", &traitor]);
    assert_eq!(here.address, paired);
    let received = receive_until(&ada, |all| is_text(all) && !alarms(all).is_empty()).await;
    let alarm = alarms(&received)[0];
    assert!(alarm.contains("their server") && alarm.contains(&ben.id().unwrap().to_string()), "{alarm}");
    assert!(row()["log"]["broken_at"].is_null());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_neighbours_pages_and_heads_are_checked() {
    let mut server = Server::start();
    server.expects_errors = true;
    let ann = server.register(1).await;
    let mut hostile = Hostile::paired(&server).await;
    let own = hostile.id().to_string();
    let entry = |number: u16| KeyLogEntry {
        subject: LogSubject([number.to_be_bytes(); 16].concat().try_into().unwrap()),
        version: 1,
        digest: ann.bundle.digest,
        made_at: UnixMillis(0),
    };
    let log: Vec<_> = (0..300).map(entry).collect();
    let followed = || neighbour(&server, &["list"])[0]["log"].clone();
    // A head that somebody else signed is not worth a question.
    let mut forged = hostile.log_head(&log);
    forged.identity_key = Base64Bytes(rsa_key(10).public().spki().to_vec());
    hostile.send(&Frame::KeyLogHead(Box::new(forged))).await;
    // A page with more entries than one may have is not taken, nor is one that does not lead to the head.
    for wrong in [true, false] {
        hostile.send(&Frame::KeyLogHead(Box::new(hostile.log_head(&log)))).await;
        loop {
            let question = match hostile.next().await.expect("the link goes on") {
                Frame::FetchKeyLog(question) => question,
                _ => continue,
            };
            assert!(question.after == 0 || !wrong);
            let mut part = hostile.log_part(question, &log);
            if wrong {
                part.page.as_mut().unwrap().entries = log[..MAX_KEY_LOG_PAGE + 1].to_vec();
            }
            let is_last = wrong || question.after > 0;
            hostile.send(&Frame::KeyLogPart(Box::new(part))).await;
            if is_last {
                break;
            }
        }
        if wrong {
            until("it is refused", || server.log().contains("makes no sense"));
            assert!(followed().is_null());
        }
    }
    until("the rest is followed", || followed()["number"] == 300);
    // Its own questions are answered page by page, and what nobody asked for is dropped.
    hostile.send(&Frame::KeyLogPart(Box::new(KeyLogPart { query: 7, page: None }))).await;
    hostile.send(&Frame::FetchKeyLog(FetchKeyLog { query: 8, after: u64::MAX })).await;
    let Some(Frame::KeyLogPart(part)) = hostile.next().await else { panic!("no answer") };
    let page = part.page.unwrap();
    assert!(part.query == 8 && page.hash.is_none() && page.entries.is_empty());
    // Ann's keys, and that it follows this neighbour's log.
    assert_eq!(page.head.verify(fingerprint(&server)).unwrap().number, 2);
    // Two heads of one number, both signed: that is the evidence, without another question.
    let mut rewritten = log.clone();
    rewritten[17].version = 2;
    hostile.send(&Frame::KeyLogHead(Box::new(hostile.log_head(&rewritten)))).await;
    until("it is noticed", || followed()["broken_at"].is_u64());
    assert_eq!(neighbour(&server, &["list"])[0]["id"], own);
    assert_eq!(followed()["evidence"].as_array().unwrap().len(), 2);
}
