//! Receiving: what a message claims inside counts only where it fits what arrived.

use momedo_client::now;
use momedo_protocol::api::SubmitRequest;
use momedo_protocol::encoding::Base64Bytes;
use momedo_protocol::id::ParticipantId;
use momedo_protocol::key_bundle::KeyBundle;
use momedo_protocol::kind;
use momedo_protocol::message::Message;
use momedo_protocol::message_id::MessageId;
use momedo_protocol::rsa_private_key::RsaPrivateKey;
use momedo_protocol::seal::{RecipientKeys, seal};
use momedo_protocol::suite::Suite;
use serde_json::json;

use crate::harness::{Person, Server, rsa_key, text};

/// Seals whatever message to a participant's bundle and submits it as `person`.
async fn submit(person: &mut Person, to: &KeyBundle, id: MessageId, message: &Message, key: &RsaPrivateKey) {
    let keys = RecipientKeys {
        version: u32::try_from(to.payload.version).unwrap(),
        digest: to.digest,
        rsa: &to.rsa_key,
        ml_kem: &to.ml_kem_key,
        mceliece: None,
    };
    let envelope = seal(Suite::Small, &keys, id, &message.sign(key)).unwrap();
    let request = SubmitRequest {
        id,
        to: to.payload.id,
        device: None,
        envelope: Base64Bytes(envelope),
        own_devices: None,
        blobs: Vec::new(),
    };
    person.session.submit(&request).await.unwrap();
}

/// A participant with a profile on the command line, as others see them.
async fn register(server: &Server, profile: &str, seen_by: &mut Person) -> KeyBundle {
    let id: ParticipantId = server.join(&server.invite().to_string(), profile, None).parse().unwrap();
    KeyBundle::verify(&seen_by.session.keys(id, 0).await.unwrap().bundle).unwrap()
}

#[tokio::test]
async fn a_message_is_never_shown_as_somebody_elses_or_as_written_to_somebody_else() {
    let server = Server::start();
    let mut ben = server.register(1).await;
    let ada = register(&server, "ada", &mut ben).await;
    let (own, from, carl) = (ada.payload.id, ben.id(), ParticipantId::random());
    let honest = |body: &str| Message {
        from,
        to: Some(own),
        group: None,
        id: MessageId::new(now()),
        sent_at: now(),
        conversation: None,
        log: None,
        kind: kind::TEXT.into(),
        body: body.into(),
    };
    let key = rsa_key(2);
    assert_eq!(key.public().spki(), ben.keys.signature_key.public().spki());
    let messages = [
        (honest("ehrlich"), &key),
        (Message { conversation: Some(carl), ..honest("an Carl?") }, &key),
        (Message { from: carl, ..honest("von Carl?") }, &key),
        (Message { to: Some(carl), ..honest("umgeleitet") }, &key),
        // As a copy of what an own device wrote would look.
        (Message { from: own, conversation: Some(carl), ..honest("von mir?") }, &key),
        (honest("gefälscht"), &rsa_key(11)),
    ];
    for (message, key) in &messages {
        submit(&mut ben, &ada, message.id, message, key).await;
    }
    let other_id = honest("andere Nummer");
    submit(&mut ben, &ada, MessageId::new(now()), &other_id, &key).await;

    let got = server.json(&["receive", "--profile", "ada", "--json"]);
    let ben_id = json!(from);
    assert!(got.iter().all(|message| message["from"] == ben_id && message["to"].is_null()), "{got:?}");
    let shown: Vec<_> = got
        .iter()
        .map(|message| (message["kind"].as_str().unwrap(), message["text"].as_str(), &message["verified"]))
        .collect();
    let (yes, no) = (json!(true), json!(false));
    let unreadable = ("unreadable", None, &no);
    assert_eq!(
        shown,
        [
            ("text", Some("ehrlich"), &yes),
            ("text", Some("an Carl?"), &yes),
            unreadable,
            unreadable,
            unreadable,
            ("text", Some("gefälscht"), &no),
            unreadable,
        ]
    );
}

#[tokio::test]
async fn lines_of_a_text_do_not_look_like_messages_and_steer_no_terminal() {
    let server = Server::start();
    let mut ben = server.register(1).await;
    let ada = register(&server, "ada", &mut ben).await;
    let message = Message {
        from: ben.id(),
        to: Some(ada.payload.id),
        group: None,
        id: MessageId::new(now()),
        sent_at: now(),
        conversation: None,
        log: None,
        kind: kind::TEXT.into(),
        body: format!("eins\nto {}: zwei\u{1b}[2J", ParticipantId::random()).into(),
    };
    let key = rsa_key(2);
    submit(&mut ben, &ada, message.id, &message, &key).await;
    let output = server.run(&["receive", "--profile", "ada"]);
    let shown = text(&output.stdout);
    let lines: Vec<&str> = shown.lines().collect();
    assert_eq!(lines.len(), 2, "{shown:?}");
    assert!(
        lines[0].starts_with(&format!("Test ({}): eins", ben.id())) && lines[1].starts_with("    to "),
        "{shown:?}"
    );
    assert!(!shown.contains('\u{1b}'), "{shown:?}");
}
