//! A second device by a link, and who would like to be that device.

use std::io::{BufRead, BufReader, Write};
use std::process::{Child, ChildStdin, ChildStdout, Stdio};
use std::time::Duration;

use momedo_client::connection::Payload;
use momedo_client::{linking, receiving, rotation};
use momedo_protocol::device_link::{LinkNonce, LinkOffer, LinkStep, commitment};
use momedo_protocol::encoding::Base64Bytes;
use momedo_protocol::envelope;
use momedo_protocol::limits::{MAX_HANDOVER_BYTES, MAX_LINK_STEP_BYTES};
use momedo_protocol::suite::Suite;
use serde_json::Value;

use crate::harness::{Inside, PATIENCE, Server, device_keys, program, refused, text};
use crate::raw::Raw;

/// A command that is talked with.
struct Talk {
    child: Child,
    input: ChildStdin,
    output: BufReader<ChildStdout>,
}

impl Talk {
    fn start(server: &Server, arguments: &[&str]) -> Self {
        let mut child = program()
            .args(arguments)
            .current_dir(server.folder.path())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let (input, output) = (child.stdin.take().unwrap(), BufReader::new(child.stdout.take().unwrap()));
        Self { child, input, output }
    }

    fn line(&mut self) -> Value {
        let mut line = String::new();
        self.output.read_line(&mut line).unwrap();
        serde_json::from_str(&line).unwrap_or_else(|_| panic!("no JSON: {line:?}"))
    }

    fn say(&mut self, line: &str) {
        writeln!(self.input, "{line}").unwrap();
    }

    fn end(self) -> (Option<i32>, String) {
        drop(self.input);
        let output = self.child.wait_with_output().unwrap();
        (output.status.code(), text(&output.stderr))
    }
}

fn register(server: &Server, profile: &str) -> String {
    server.join(&server.invite().to_string(), profile, None)
}

#[test]
fn a_second_device_is_linked_by_a_link_and_six_digits() {
    let server = Server::start();
    let (ada, ben) = (register(&server, "ada"), register(&server, "ben"));
    let mut old = Talk::start(&server, &["user", "link-device", "--profile", "ada", "--json"]);
    let link = old.line()["link"].as_str().unwrap().to_owned();
    let mut new = Talk::start(
        &server,
        &["user", "add-device", "--profile", "tablet", "--link", &link, "--device-name", "Tablet", "--json"],
    );
    let code = new.line()["code"].as_str().unwrap().to_owned();
    let asked = old.line();
    assert_eq!((asked["code"].as_str(), asked["name"].as_str()), (Some(code.as_str()), Some("Tablet")));
    old.say(&code.replace(' ', ""));
    assert_eq!(old.line()["status"], "linked");
    assert_eq!(new.line()["id"], ada.as_str());
    assert_eq!((old.end().0, new.end().0), (Some(0), Some(0)));

    server.json(&["send", "--profile", "ben", "--to", &ada, "an beide", "--json"]);
    for profile in ["ada", "tablet"] {
        let got = server.json(&["receive", "--profile", profile, "--json"]);
        assert_eq!((&got[0]["text"], &got[0]["verified"]), (&"an beide".into(), &true.into()), "{profile}");
    }
    server.json(&["send", "--profile", "tablet", "--to", &ben, "vom Tablet", "--json"]);
    assert_eq!(server.json(&["receive", "--profile", "ben", "--json"])[0]["verified"], true);
    // The link is of no use any more.
    let replayed = server.failure(&["user", "add-device", "--profile", "thief", "--link", &link]);
    assert!(replayed.contains("used this link already") || replayed.contains("has ended"), "{replayed}");
    assert!(!server.profile("thief").join("profile.db").exists());
    let devices = server.json(&["user", "devices", "--profile", "ada", "--json"]);
    assert_eq!(devices.len(), 2, "{devices:?}");
}

#[test]
fn whoever_photographed_the_link_and_was_faster_shows_another_code() {
    let server = Server::start();
    register(&server, "ada");
    let mut old = Talk::start(&server, &["user", "link-device", "--profile", "ada", "--json"]);
    let link = old.line()["link"].as_str().unwrap().to_owned();
    // The thief races, and the device on the table is refused.
    let mut thief =
        Talk::start(&server, &["user", "add-device", "--profile", "thief", "--link", &link, "--json"]);
    let thiefs = thief.line()["code"].as_str().unwrap().to_owned();
    let own = server.failure(&["user", "add-device", "--profile", "tablet", "--link", &link, "--json"]);
    assert!(own.contains("Another device has used this link already"), "{own}");
    assert_eq!(old.line()["code"].as_str(), Some(thiefs.as_str()));
    // So there is no code to be typed.
    old.say("");
    let (ended, said) = old.end();
    assert_eq!(ended, Some(1));
    assert!(said.contains("nothing was handed over"), "{said}");
    assert_eq!(thief.end().0, Some(1));
    for profile in ["thief", "tablet"] {
        assert!(!server.profile(profile).join("profile.db").exists(), "{profile}");
    }
    assert_eq!(server.json(&["user", "devices", "--profile", "ada", "--json"]).len(), 1);
}

/// A server that helps whoever photographed the link can be in between: it plays the old device to the new one
/// and a new device to the old one.
#[tokio::test]
async fn somebody_in_between_both_devices_makes_them_show_two_codes() {
    let server = Server::start();
    register(&server, "ada");
    let ada = momedo_client_native::profiles::open(&server.profile("ada"), None).unwrap();
    let mut session = ada.log_in("en").await.unwrap();
    let (link, _) = linking::open(&ada, &mut session).await.unwrap();
    let mut thief = Raw::new(&server);
    let path = |step: LinkStep| format!("/device-links/{}/{step}", link.link);
    let put = |step: LinkStep, message: &[u8]| (path(step), Payload::Binary(link.seal(step, message)));
    let nonce = |byte: u8| LinkNonce { nonce: Base64Bytes(vec![byte; 32]) };
    // To the old device: keys of the thief's own, under a commitment.
    let offer = LinkOffer { device: device_keys(7).entry("Tablet"), commitment: commitment(&[1; 32]) };
    let offer = serde_json::to_vec(&offer).unwrap();
    // The new device's, which never gets there.
    let victims = LinkOffer { device: device_keys(6).entry("Tablet"), commitment: commitment(&[2; 32]) };
    let victims = serde_json::to_vec(&victims).unwrap();
    let playing = async {
        let (path_of_offer, sealed) = put(LinkStep::Offer, &offer);
        thief.call("PUT", &path_of_offer, None, sealed).await.unwrap();
        let path = format!("{}?wait=50", path(LinkStep::Challenge));
        let answer = thief.connection.request("GET".parse().unwrap(), &path, None, Payload::None, PATIENCE);
        let challenge = link.open(LinkStep::Challenge, &answer.await.unwrap().body).unwrap();
        let challenge: LinkNonce = serde_json::from_slice(&challenge).unwrap();
        // Another nonce than the committed one, found after seeing the challenge, is noticed.
        let opening = serde_json::to_vec(&nonce(3)).unwrap();
        let (path, sealed) = put(LinkStep::Opening, &opening);
        thief.call("PUT", &path, None, sealed).await.unwrap();
        challenge.nonce.0
    };
    let (seen, challenge) = tokio::join!(linking::await_candidate(&mut session, &link), playing);
    let said = seen.expect_err("the commitment is broken").to_string();
    assert!(said.contains("somebody may be in between"), "{said}");
    // And with the committed one, what the two devices show differs, whatever nonce the new one is answered with.
    let old = link.code(&offer, &challenge, &[1; 32]);
    let others = (0..=255).filter(|answer| link.code(&victims, &[*answer; 32], &[2; 32]) == old);
    assert!(others.count() <= 1, "one in a million is equal by chance");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_link_lasts_two_minutes_is_written_once_and_has_limits() {
    let Inside { server, clock, .. } = &Inside::start().await;
    let (ada, ben) = (server.register(0).await, server.register(1).await);
    let (token, other) = (ada.session.token().to_owned(), ben.session.token().to_owned());
    let mut raw = Raw::new(server);
    let opened = raw.call("POST", "/device-links", Some(&token), Payload::None).await.unwrap();
    let link = opened["link"].as_str().unwrap().to_owned();
    assert_eq!(opened["expires_in"], 120);
    let path = |step: LinkStep| format!("/device-links/{link}/{step}");
    let bytes = |size: usize| Payload::Binary(vec![5; size]);
    assert_eq!(refused(raw.call("POST", "/device-links", None, Payload::None).await), "not-logged-in");
    let (offer, challenge) = (path(LinkStep::Offer), path(LinkStep::Challenge));
    assert_eq!(refused(raw.call("PUT", &challenge, Some(&token), bytes(9)).await), "malformed");
    let large = raw.call("PUT", &offer, None, bytes(MAX_LINK_STEP_BYTES + 1)).await;
    assert_eq!(refused(large), "body-too-large");
    assert_eq!(raw.call("GET", &offer, None, Payload::None).await.unwrap(), Value::Null);
    raw.call("PUT", &offer, None, bytes(MAX_LINK_STEP_BYTES)).await.unwrap();
    raw.call("PUT", &offer, None, bytes(MAX_LINK_STEP_BYTES)).await.unwrap();
    assert_eq!(refused(raw.call("PUT", &offer, None, bytes(9)).await), "link-used");
    assert_eq!(refused(raw.call("PUT", &challenge, None, bytes(9)).await), "not-yours");
    assert_eq!(refused(raw.call("PUT", &challenge, Some(&other), bytes(9)).await), "not-yours");
    raw.call("PUT", &challenge, Some(&token), bytes(9)).await.unwrap();
    raw.call("PUT", &path(LinkStep::Opening), None, bytes(9)).await.unwrap();
    let handover = path(LinkStep::Handover);
    let large = raw.call("PUT", &handover, Some(&token), bytes(MAX_HANDOVER_BYTES + 1)).await;
    assert_eq!(refused(large), "body-too-large");
    raw.call("PUT", &handover, Some(&token), bytes(MAX_HANDOVER_BYTES)).await.unwrap();
    // Another participant cannot end it, and time does.
    raw.call("DELETE", &format!("/device-links/{link}"), Some(&other), Payload::None).await.unwrap();
    raw.call("GET", &handover, None, Payload::None).await.unwrap();
    clock.advance(Duration::from_secs(120));
    assert_eq!(refused(raw.call("GET", &handover, None, Payload::None).await), "unknown-link");
    let unknown = raw.call("GET", "/device-links/000000000000/nonsense", None, Payload::None).await;
    assert_eq!(refused(unknown), "malformed");
}

#[tokio::test(flavor = "multi_thread")]
async fn new_keys_reach_another_device_under_all_three_schemes() {
    let server = Server::start();
    let ada = server.register_profile(0, "ada").await;
    let path = server.profile("tablet");
    let (tablet, device) = momedo_testing::people::add_device(&ada, &path, "Tablet").await.unwrap();
    let mut session = ada.log_in("en").await.unwrap();
    rotation::rotate(&ada, &mut session, &|_| {}).await.unwrap();
    let mut session = tablet.log_in("en").await.unwrap();
    let waiting = session.ozone(None, 10, Duration::ZERO).await.unwrap().messages;
    let carried = waiting.iter().find(|delivery| delivery.from == ada.id().unwrap()).unwrap();
    let envelope = envelope::decode(&carried.envelope.0).unwrap();
    assert_eq!(envelope.header.suite, Suite::Full, "a break of ML-KEM and RSA would give every key away");
    receiving::receive(&tablet, &mut session, Duration::ZERO, &mut |_| Ok(())).await.unwrap();
    assert_eq!(tablet.own_bundle().unwrap().digest, ada.own_bundle().unwrap().digest);
    // Another time, with the keys that came so; and back again from that device.
    for (from, to) in [(&ada, &tablet), (&tablet, &ada)] {
        let mut session = from.log_in("en").await.unwrap();
        rotation::rotate(from, &mut session, &|_| {}).await.unwrap();
        let mut session = to.log_in("en").await.unwrap();
        receiving::receive(to, &mut session, Duration::ZERO, &mut |_| Ok(())).await.unwrap();
        assert_eq!(to.own_bundle().unwrap().digest, from.own_bundle().unwrap().digest);
    }
    assert_eq!(tablet.device().unwrap(), device);
}
