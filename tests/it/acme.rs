//! Certificates from a public authority, a local one that checks everything: ordered, renewed, refused.

use std::time::{Duration, Instant};

use momedo::service::acme::{self, Choice};
use momedo::service::administration::{self, AdminRequest, CertificateRequest};
use serde_json::Value;

use crate::authority::{Authority, Mood};
use crate::harness::{Inside, PATIENCE, Server};
use crate::visitor::{Visitor, set_up};

const NAME: &str = "chat.schule.example";

/// A server that trusts an authority, whose names lead to it.
fn pair() -> (Server, Authority) {
    let mut server = Server::unstarted();
    let authority = Authority::start(server.folder.path(), "127.0.0.1:9");
    server.environment =
        vec![("SSL_CERT_FILE", authority.root_file.clone()), ("SSL_CERT_DIR", "/nonexistent".into())];
    server.launch();
    authority.leads_to(&server.address);
    (server, authority)
}

fn command<'a>(words: &[&'a str]) -> Vec<&'a str> {
    [&["admin", "certificate"], words, &["--data-dir", "data", "--json"]].concat()
}

fn certificate(server: &Server, words: &[&str]) -> Value {
    server.json(&command(words)).remove(0)
}

fn switch_on(server: &Server, authority: &Authority) -> Value {
    let words = ["acme", "on", "--domain", NAME, "--directory", &authority.directory, "--agree-to-terms"];
    certificate(server, &words)
}

fn wait_until(what: &str, happened: impl Fn() -> bool) {
    let deadline = Instant::now() + PATIENCE;
    while !happened() {
        assert!(Instant::now() < deadline, "{what}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_certificate_is_obtained_serves_at_once_and_outlasts_a_restart() {
    let (mut server, authority) = pair();
    assert!(!authority.vouches(&server.address, NAME));
    let status = switch_on(&server, &authority);
    assert_eq!((&status["origin"], &status["names"]), (&"acme".into(), &vec![NAME].into()));
    assert_eq!(status["acme"]["challenge"], "tls-alpn-01");
    let (due, ends) = (status["acme"]["due_at"].as_u64().unwrap(), status["ends_at"].as_u64().unwrap());
    assert!((30..=34).contains(&((ends - due) / 86_400_000)), "{status}");
    assert!(authority.vouches(&server.address, NAME));
    assert!(!authority.vouches(&server.address, "other.example"));
    // Nobody may go on checking names afterwards.
    let checks = authority.requests();
    // Native clients pin the identity and not the certificate.
    let mut ada = server.register(0).await;
    let bundle = ada.bundle.clone();
    ada.submit(&bundle, 512).await.unwrap();
    server.terminate();
    server.launch();
    assert!(authority.vouches(&server.address, NAME));
    ada.log_in(&server).await;
    assert_eq!(certificate(&server, &["status"])["fingerprint"], status["fingerprint"]);
    assert_eq!(authority.requests(), checks, "nothing is due, and nobody was to be asked");
    // The same account orders again; nobody gave an address to write to.
    let renewed = certificate(&server, &["acme", "renew"]);
    assert_ne!(renewed["fingerprint"], status["fingerprint"]);
    assert_eq!((authority.accounts(), authority.contacts()), (1, vec![serde_json::json!([])]));
    let log = server.json(&["admin", "log", "--data-dir", "data", "--json"]);
    let actions: Vec<&str> = log.iter().rev().map(|line| line["action"].as_str().unwrap()).collect();
    assert!(actions.windows(2).any(|two| two == ["acme-on", "certificate-obtained"]), "{actions:?}");
    // Switched off it serves on, until it is put away.
    assert_eq!(certificate(&server, &["acme", "off"])["origin"], "acme");
    assert!(authority.vouches(&server.address, NAME));
    assert!(server.failure(&command(&["acme", "renew"])).contains("switched off"));
    assert_eq!(certificate(&server, &["remove"])["origin"], "issued");
    assert!(!authority.vouches(&server.address, NAME));
}

#[test]
fn a_name_can_be_checked_over_plain_http_too() {
    let (server, authority) = pair();
    let directory = authority.directory.clone();
    let words = [
        "acme",
        "on",
        "--domain",
        NAME,
        "--domain",
        "Zwei.schule.example",
        "--challenge",
        "http-01",
        "--contact",
        "it@schule.example",
        "--directory",
        &directory,
        "--agree-to-terms",
    ];
    let status = certificate(&server, &words);
    assert_eq!(status["names"], serde_json::json!([NAME, "zwei.schule.example"]));
    assert!(authority.vouches(&server.address, "zwei.schule.example"));
    assert_eq!(authority.contacts(), [serde_json::json!(["mailto:it@schule.example"])]);
}

#[test]
fn nobody_is_asked_before_somebody_agreed() {
    let (server, authority) = pair();
    let directory = authority.directory.as_str();
    let on = ["acme", "on", "--domain", NAME, "--directory", directory];
    assert!(server.failure(&command(&on)).contains("terms"));
    for (domain, directory) in
        [("localhost", directory), ("192.168.0.1", directory), (NAME, "http://127.0.0.1/directory")]
    {
        let words = ["acme", "on", "--domain", domain, "--directory", directory, "--agree-to-terms"];
        server.failure(&command(&words));
    }
    assert_eq!(certificate(&server, &["status"])["acme"]["enabled"], false);
    assert_eq!(authority.requests(), 0);
}

#[test]
fn whatever_goes_wrong_leaves_the_old_certificate_in_force_and_is_told() {
    let (mut server, authority) = pair();
    server.expects_errors = true;
    let before = switch_on(&server, &authority);
    let free = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().to_string();
    let failures = [
        (Mood::RateLimited, "too many certificates"),
        (Mood::WrongKey, "what was issued"),
        (Mood::WrongName, "other.example"),
        (Mood::Garbage, "what was issued"),
        (Mood::Good, "could not be checked"),
    ];
    for (mood, words) in failures {
        authority.is(mood);
        authority.leads_to(if mood == Mood::Good { &free } else { &server.address });
        let said = server.failure(&command(&["acme", "renew"]));
        assert!(said.contains(words), "{mood:?}: {said}");
        let status = certificate(&server, &["status"]);
        assert_eq!(status["fingerprint"], before["fingerprint"], "{mood:?}");
        assert!(status["acme"]["trouble"].as_str().unwrap().contains(words), "{status}");
        let pause =
            status["acme"]["again_at"].as_u64().unwrap() - status["acme"]["trouble_at"].as_u64().unwrap();
        // A quarter of an hour at least, and as long as the authority wants.
        let least = if mood == Mood::RateLimited { 90_000_000 } else { 900_000 };
        assert!(pause >= least, "{mood:?}: {pause}");
        assert!(authority.vouches(&server.address, NAME), "{mood:?}");
        let overview = server.json(&["admin", "overview", "--data-dir", "data", "--json"]).remove(0);
        let tasks = overview["tasks"].as_array().unwrap();
        assert!(tasks.iter().any(|task| task["what"] == "certificate-fails"), "{overview}");
    }
    // Nobody answers where the directory is said to be.
    let words =
        ["acme", "on", "--domain", NAME, "--directory", &format!("https://{free}/"), "--agree-to-terms"];
    assert!(server.failure(&command(&words)).contains(&free));
    assert!(authority.vouches(&server.address, NAME));
    // Over there the account is gone: it is made anew.
    authority.leads_to(&server.address);
    authority.is(Mood::Forgetful);
    let words = ["acme", "on", "--domain", NAME, "--directory", &authority.directory, "--agree-to-terms"];
    assert!(server.failure(&command(&words)).contains("accountDoesNotExist"));
    authority.is(Mood::Good);
    let after = certificate(&server, &["acme", "renew"]);
    assert_ne!(after["fingerprint"], before["fingerprint"]);
    assert!(after["acme"]["trouble"].is_null(), "{after}");
    assert!(authority.vouches(&server.address, NAME));
}

#[test]
fn a_certificate_near_its_end_is_renewed_by_itself() {
    let (mut server, authority) = pair();
    // Begun an hour ago, it ends in twenty minutes: less than a third is left.
    authority.issues_for(Duration::from_secs(80 * 60));
    let before = switch_on(&server, &authority);
    authority.issues_for(Duration::from_secs(90 * 86_400));
    server.terminate();
    server.launch();
    let fingerprint = || certificate(&server, &["status"])["fingerprint"].clone();
    wait_until("nothing was renewed", || fingerprint() != before["fingerprint"]);
    assert!(authority.vouches(&server.address, NAME));
}

#[test]
fn the_page_switches_it_on_and_shows_how_it_goes() {
    let (server, authority) = pair();
    set_up(&server);
    let mut admin = Visitor::admin(&server);
    let fields = [
        ("domains", NAME),
        ("challenge", "tls-alpn-01"),
        ("contact", ""),
        ("directory", authority.directory.as_str()),
    ];
    let (page, path) = ("/admin/certificates", "/admin/certificates/acme/on");
    let answer = admin.submit(page, path, &fields);
    assert_eq!(answer.status, 422, "{}", answer.body);
    assert!(answer.body.contains("agree to its terms") && answer.body.contains(NAME), "{}", answer.body);
    assert_eq!(authority.requests(), 0);
    let answer = admin.submit(page, path, &[&fields[..], &[("agrees", "1")]].concat());
    assert_eq!(answer.status, 303, "{}", answer.body);
    wait_until("no certificate came", || authority.vouches(&server.address, NAME));
    assert!(admin.get(page).body.contains("a public authority; renews itself"));
    // What went wrong stands on the page and on the overview.
    authority.is(Mood::RateLimited);
    let answer = admin.submit(page, "/admin/certificates/acme/renew", &[]);
    assert!(answer.body.contains("too many certificates"), "{}", answer.body);
    assert!(admin.get("/admin").body.contains("too many certificates"));
    assert_eq!(admin.submit(page, "/admin/certificates/remove", &[]).status, 303);
    assert!(!admin.get("/admin").body.contains("too many certificates"));
    assert!(!authority.vouches(&server.address, NAME));
}

#[tokio::test(flavor = "multi_thread")]
async fn after_a_failure_nobody_is_asked_until_the_pause_is_over() {
    let inside = Inside::start().await;
    // The test clock begins before this program was made, and then nobody is asked at all.
    inside.clock.advance(Duration::from_secs(60 * 86_400));
    let choice = Choice {
        domains: vec![NAME.into()],
        directory: "https://127.0.0.1:9/directory".into(),
        ..Choice::default()
    };
    let on = CertificateRequest::AcmeOn { choice, agrees_to_terms: true };
    let refused = administration::execute(&inside.app, AdminRequest::Certificate(on)).await.unwrap_err();
    assert!(refused.to_string().contains("No certificate was obtained"), "{refused}");
    let tried = || acme::keep_up(&inside.app);
    assert!(!tried().await.unwrap(), "it pauses");
    inside.clock.advance(Duration::from_secs(14 * 60));
    assert!(!tried().await.unwrap(), "it still pauses");
    // The background loop may have failed once more: that makes half an hour.
    inside.clock.advance(Duration::from_secs(23 * 60));
    assert!(tried().await.unwrap_err().to_string().contains("No certificate was obtained"));
}
