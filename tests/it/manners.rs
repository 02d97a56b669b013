//! Blocking, and reporting a message to the staff.

use momedo_client::connection::Payload;
use momedo_protocol::api;
use momedo_protocol::jws::Jws;
use momedo_protocol::kind;
use momedo_protocol::limits::{MAX_BLOCKS, MAX_REASON_CHARACTERS};
use momedo_protocol::message::Message;
use momedo_protocol::message_id::MessageId;
use serde_json::{Value, json};

use crate::harness::{Inside, Person, Server, refused, request};
use crate::raw::Raw;
use crate::visitor::{Visitor, set_up};

fn register(server: &Server, profile: &str) -> String {
    let line = ["admin", "participant", "add", profile, "--class", "7b", "--data-dir", "data", "--json"];
    let link = server.json(&line)[0]["link"].as_str().unwrap().to_owned();
    server.join(&link, profile, None)
}

fn receive(server: &Server, profile: &str) -> Vec<Value> {
    server.json(&["receive", "--profile", profile, "--json"])
}

fn class(server: &Server, name: &str) {
    server.json(&["admin", "class", "create", name, "--data-dir", "data", "--json"]);
}

#[test]
fn the_blocked_are_refused_on_every_device_and_what_waits_already_is_dropped() {
    let server = Server::start();
    class(&server, "7b");
    let (ada, ben) = (register(&server, "Ada"), register(&server, "Ben"));
    server.json(&["user", "add-device", "--profile", "Ada", "--new-profile", "tablet", "--json"]);
    server.json(&["send", "--profile", "Ben", "--to", &ada, "wartet schon", "--json"]);
    let line = server.json(&["user", "block", "--profile", "Ada", &ben, "--json"]).remove(0);
    assert_eq!(line, json!({ "id": ben, "blocked": true }));
    let said = server.failure(&["send", "--profile", "Ben", "--to", &ada, "noch etwas", "--json"]);
    assert!(said.contains("does not take messages from you"), "{said}");
    // Blocked people can be written to.
    server.json(&["send", "--profile", "Ada", "--to", &ben, "lass das", "--json"]);
    assert_eq!(receive(&server, "Ben")[0]["text"], "lass das");
    // Nothing is shown on either device, though it was there before; the tablet shows what Ada wrote herself.
    assert_eq!(receive(&server, "Ada"), Vec::<Value>::new());
    let tablet = receive(&server, "tablet");
    assert_eq!(tablet.iter().map(|message| &message["text"]).collect::<Vec<_>>(), ["lass das"]);
    assert_eq!(server.status()["ozone_envelopes"], 0);
    let listed = server.json(&["user", "blocked", "--profile", "tablet", "--json"]);
    assert_eq!(listed[0]["id"], ben.as_str());
    server.json(&["user", "unblock", "--profile", "tablet", &ben, "--json"]);
    server.json(&["send", "--profile", "Ben", "--to", &ada, "Entschuldigung", "--json"]);
    assert_eq!(receive(&server, "Ada")[0]["text"], "Entschuldigung");
}

#[tokio::test]
async fn blocks_have_a_limit_and_what_was_accepted_before_stays_accepted() {
    let server = Server::start();
    let (ada, mut ben) = (server.register(0).await, server.register(1).await);
    let token = ada.session.token().to_owned();
    let mut raw = Raw::new(&server);
    let sent = request(&ada.bundle, 512);
    ben.session.submit(&sent).await.unwrap();
    let block = |id: &str| format!("/me/blocks/{id}");
    raw.call("PUT", &block(&ben.id().to_string()), Some(&token), Payload::None).await.unwrap();
    // The same bytes again get the same answer; others are refused.
    ben.session.submit(&sent).await.unwrap();
    assert_eq!(refused(ben.submit(&ada.bundle, 512).await), "blocked");
    assert_eq!(
        refused(raw.call("PUT", &block(&ada.id().to_string()), Some(&token), Payload::None).await),
        "malformed"
    );
    for number in 1..MAX_BLOCKS as u64 {
        let id = momedo_protocol::id::ParticipantId::from_number(number).unwrap().to_string();
        raw.call("PUT", &block(&id), Some(&token), Payload::None).await.unwrap();
    }
    let full = raw.call("PUT", &block("ZZZZZZZZ"), Some(&token), Payload::None).await;
    assert_eq!(refused(full), "too-many-blocks");
    // Who is blocked already is not one more.
    raw.call("PUT", &block(&ben.id().to_string()), Some(&token), Payload::None).await.unwrap();
    let listed = raw.call("GET", "/me/blocks", Some(&token), Payload::None).await.unwrap();
    assert_eq!(listed["blocks"].as_array().unwrap().len(), MAX_BLOCKS);
}

#[test]
fn a_reported_message_reaches_the_leads_of_the_reporters_class_and_nobody_else() {
    let server = Server::start();
    set_up(&server);
    for name in ["7b", "8a"] {
        class(&server, name);
    }
    let (ada, ben) = (register(&server, "Ada"), register(&server, "Ben"));
    server.json(&["send", "--profile", "Ben", "--to", &ada, "du <b>Doofe</b>", "--json"]);
    let id = receive(&server, "Ada")[0]["id"].as_str().unwrap().to_owned();
    // Ben's keys change meanwhile, all of them.
    let extra = server.json(&["user", "add-device", "--profile", "Ben", "--new-profile", "t", "--json"]);
    let extra = extra[0]["device"].as_str().unwrap();
    server.json(&["user", "revoke-device", "--profile", "Ben", extra, "--json"]);
    let report = ["message", "report", &id, "--profile", "Ada", "--reason", "beleidigt mich", "--json"];
    assert_eq!(server.json(&report)[0], json!({ "report": 1 }));
    assert_eq!(server.json(&report)[0], json!({ "report": 1 }), "the same again is the same report");
    let unknown =
        server.failure(&["message", "report", &"0".repeat(32), "--profile", "Ada", "--reason", "x"]);
    assert!(unknown.contains("no such message"), "{unknown}");
    std::fs::write(server.folder.path().join("pw"), "Kreide an der Tafel\n").unwrap();
    for (account, class) in [("weiss", "7b"), ("schwarz", "8a")] {
        let line = ["admin", "account", "add", account, "--password-file", "pw", "--leads", class];
        server.json(&[&line[..], &["--data-dir", "data", "--json"]].concat());
    }
    let mut admin = Visitor::admin(&server);
    let mut own = Visitor::logged_in(&server, "weiss", "Kreide an der Tafel");
    let mut other = Visitor::logged_in(&server, "schwarz", "Kreide an der Tafel");
    for visitor in [&mut admin, &mut own] {
        let page = visitor.get("/admin/reports").body;
        assert!(page.contains("beleidigt mich") && page.contains(&ben), "{page}");
        assert!(page.contains("Doofe") && !page.contains("<b>Doofe"), "it is escaped: {page}");
    }
    let page = other.get("/admin/reports").body;
    assert!(!page.contains("Doofe") && !page.contains(&ben), "{page}");
    let foreign = other.submit("/admin/account", "/admin/reports", &[("report", "1"), ("closed", "1")]);
    assert_eq!(foreign.status, 422);
    let closed = own.submit("/admin/reports", "/admin/reports", &[("report", "1"), ("closed", "1")]);
    assert_eq!(closed.status, 303, "{}", closed.body);
    assert!(admin.get("/admin/reports").body.contains("weiss"));
    // The log has neither content nor names.
    let log = server.json(&["admin", "log", "--search", "report", "--data-dir", "data", "--json"]);
    let lines: Vec<_> = log.iter().map(|line| (&line["action"], &line["subject"])).collect();
    assert_eq!(lines.len(), 2, "{log:?}");
    assert!(lines.iter().all(|(_, subject)| *subject == "#1"));
    assert!(!server.log().contains("Doofe"));
}

fn message(from: &Person, to: &Person, of_kind: &str) -> Message {
    Message {
        from: from.id(),
        to: Some(to.id()),
        group: None,
        id: MessageId::new(momedo_client::now()),
        sent_at: momedo_client::now(),
        conversation: None,
        log: None,
        kind: of_kind.into(),
        body: "x".into(),
    }
}

#[tokio::test]
async fn a_forged_report_is_refused() {
    let server = Server::start();
    let people = [server.register(0).await, server.register(1).await, server.register(2).await];
    let [ada, ben, carl] = &people;
    let mut raw = Raw::new(&server);
    let token = ada.session.token().to_owned();
    let body = |inner: &[u8], reason: &str| {
        let message: Jws = serde_json::from_slice(inner).unwrap();
        let request = api::ReportRequest { message, reason: reason.into() };
        Payload::Json(serde_json::to_vec(&request).unwrap())
    };
    let bens = &ben.keys.signature_key;
    let right = message(ben, ada, kind::TEXT);
    for (inner, why) in [
        (right.sign(&carl.keys.signature_key), "somebody else signed it"),
        (message(ben, carl, kind::TEXT).sign(bens), "it went to somebody else"),
        (message(ada, ada, kind::TEXT).sign(&ada.keys.signature_key), "it is the reporter's own"),
        (
            Message { from: momedo_protocol::id::ParticipantId::random(), ..right.clone() }.sign(bens),
            "nobody wrote it",
        ),
    ] {
        let said = refused(raw.call("POST", "/reports", Some(&token), body(&inner, "")).await);
        assert_eq!(said, "report-refused", "{why}");
    }
    let inner = right.sign(bens);
    let long = "x".repeat(MAX_REASON_CHARACTERS + 1);
    assert_eq!(refused(raw.call("POST", "/reports", Some(&token), body(&inner, &long)).await), "malformed");
    assert_eq!(refused(raw.call("POST", "/reports", None, body(&inner, "")).await), "not-logged-in");
    let longest = "ü".repeat(MAX_REASON_CHARACTERS);
    raw.call("POST", "/reports", Some(&token), body(&inner, &longest)).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn reports_are_erased_after_ninety_days_of_service() {
    let Inside { server, app, clock, .. } = &Inside::start().await;
    let (ada, ben) = (server.register(0).await, server.register(1).await);
    let inner = message(&ben, &ada, kind::TEXT).sign(&ben.keys.signature_key);
    let request = api::ReportRequest { message: serde_json::from_slice(&inner).unwrap(), reason: "x".into() };
    let body = Payload::Json(serde_json::to_vec(&request).unwrap());
    let token = ada.session.token().to_owned();
    Raw::new(server).call("POST", "/reports", Some(&token), body).await.unwrap();
    let open = async || app.store.read(|tx| tx.count_open_reports()).await.unwrap();
    clock.advance(std::time::Duration::from_secs(90 * 86_400));
    momedo::service::upkeep::expire(app).await.unwrap();
    assert_eq!(open().await, 1);
    clock.advance(std::time::Duration::from_secs(1));
    momedo::service::upkeep::expire(app).await.unwrap();
    assert_eq!(open().await, 0);
}
