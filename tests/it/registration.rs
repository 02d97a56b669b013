//! Invites and registration: the way in, and everything that must not get in.

use momedo_client::registration::{self, Offered};
use momedo_protocol::api;
use momedo_protocol::device_list::DeviceListPayload;
use momedo_protocol::digest::Sha512Digest;
use momedo_protocol::encoding::Base64Bytes;
use momedo_protocol::invite::InviteCode;
use momedo_protocol::jws::{DocumentType, Jws};
use momedo_protocol::key_bundle::{KeyBundle, KeyBundlePayload};
use momedo_protocol::ml_kem_key::MlKemPrivateKey;
use momedo_protocol::possession::PossessionContext;
use momedo_protocol::time::UnixMillis;
use momedo_testing::keys::ParticipantKeys;

use crate::harness::{Server, refused, rsa_key, stored_keys};
use crate::raw::Raw;

/// Everything up to the bundle, with the bundle's payload changed before it is signed.
async fn publish(
    server: &Server,
    change: impl FnOnce(&mut KeyBundlePayload, &mut ParticipantKeys),
) -> Result<api::PublishChallenge, momedo_client::ClientError> {
    let mut raw = Raw::new(server);
    let reservation = registration::reserve(&mut raw.connection, server.invite().code).await.unwrap();
    let mut keys = stored_keys(0);
    let digest = keys.encryption.mceliece.digest();
    raw.put_mceliece(&reservation.token, &digest, keys.encryption.mceliece.bytes()).await.unwrap();
    let mut payload = KeyBundlePayload {
        id: reservation.id,
        name: "Test".into(),
        homes: vec![raw.connection.server().fingerprint],
        version: 1,
        issued_at: UnixMillis(1_790_000_000_000),
        expires_at: UnixMillis(1_890_000_000_000),
        signature_key: Base64Bytes(keys.signature_key.public().spki().to_vec()),
        rsa_key: Base64Bytes(keys.encryption.private.rsa.public().spki().to_vec()),
        ml_kem_key: Base64Bytes(keys.encryption.private.ml_kem.public().bytes().to_vec()),
        mceliece_key: Some(digest),
        suites: momedo_protocol::suite::Suite::ALL.to_vec(),
    };
    change(&mut payload, &mut keys);
    let list = DeviceListPayload {
        id: reservation.id,
        version: 1,
        issued_at: UnixMillis(1_790_000_000_000),
        devices: vec![keys.device.entry("test")],
    };
    let request = api::PublishRequest {
        bundle: payload.sign(&[&keys.signature_key]),
        device_list: Some(list.sign(&keys.signature_key)),
    };
    raw.publish(&reservation.token, reservation.id, &request).await
}

#[tokio::test]
async fn an_acceptable_bundle_is_asked_to_prove_itself() {
    let server = Server::start();
    publish(&server, |_, _| {}).await.unwrap();
}

#[tokio::test]
async fn an_unknown_invite_is_refused() {
    let server = Server::start();
    let mut connection = server.connect();
    let answer = registration::reserve(&mut connection, InviteCode::random()).await;
    assert_eq!(refused(answer), "unknown-invite");
}

#[tokio::test]
async fn an_invite_registers_one_person_and_is_spent_only_then() {
    let server = Server::start();
    let invite = server.invite();
    let mut connection = server.connect();
    // Two begin with it; a begun registration does not spend it.
    let first = registration::reserve(&mut connection, invite.code).await.unwrap();
    let second = registration::reserve(&mut connection, invite.code).await.unwrap();
    assert_ne!(first.id, second.id);
    let finish = async |number: usize, reservation: &api::Reservation| {
        let mut connection = server.connect();
        let keys = stored_keys(number);
        let offered = registration::offer(&mut connection, reservation, None, "test", &keys.client()).await?;
        registration::prove(&mut connection, reservation, offered).await
    };
    finish(0, &second).await.unwrap();
    // The other's reservation went with the invite.
    assert_eq!(refused(finish(1, &first).await), "reservation-ended");
    let again = registration::reserve(&mut connection, invite.code).await;
    assert_eq!(refused(again), "invite-used");
    assert_eq!(server.status()["participants"], 1);
}

#[tokio::test]
async fn a_wrong_proof_is_refused_and_ends_the_challenge() {
    let server = Server::start();
    let invite = server.invite();
    let mut connection = server.connect();
    let reservation = registration::reserve(&mut connection, invite.code).await.unwrap();
    let keys = stored_keys(0);
    let offered =
        registration::offer(&mut connection, &reservation, None, "test", &keys.client()).await.unwrap();
    let mut wrong = offered.proof.clone();
    wrong.answer.0[0] ^= 1;
    let with = |proof: api::ProofRequest| Offered {
        jws: offered.jws.clone(),
        bundle: offered.bundle.clone(),
        device: offered.device,
        list: offered.list.clone(),
        signed_list: offered.signed_list.clone(),
        proof,
    };
    let answer = registration::prove(&mut connection, &reservation, with(wrong)).await;
    assert_eq!(refused(answer), "wrong-proof");
    // The right answer comes too late: one answer per challenge.
    let answer = registration::prove(&mut connection, &reservation, with(offered.proof.clone())).await;
    assert_eq!(refused(answer), "challenge-gone");
    assert_eq!(server.status()["participants"], 0);
}

#[tokio::test]
async fn a_key_that_cannot_be_opened_is_found_at_upload() {
    let server = Server::start();
    let mut connection = server.connect();
    let reservation = registration::reserve(&mut connection, server.invite().code).await.unwrap();
    let mut keys = stored_keys(0);
    let offered =
        registration::offer(&mut connection, &reservation, None, "test", &keys.client()).await.unwrap();
    // What a client answers whose private ML-KEM key is not the published one's.
    keys.encryption.private.ml_kem = MlKemPrivateKey::generate();
    let request = api::PublishRequest { bundle: offered.jws.clone(), device_list: None };
    assert_eq!(
        refused(Raw::new(&server).publish(&reservation.token, reservation.id, &request).await),
        "keys-refused",
        "a registration needs a device list"
    );
    let mut raw = Raw::new(&server);
    let list = DeviceListPayload {
        id: reservation.id,
        version: 1,
        issued_at: UnixMillis(1),
        devices: vec![keys.device.entry("test")],
    };
    let request = api::PublishRequest {
        bundle: offered.jws.clone(),
        device_list: Some(list.sign(&keys.signature_key)),
    };
    let challenge = raw.publish(&reservation.token, reservation.id, &request).await.unwrap();
    let context = PossessionContext {
        server: raw.connection.server().fingerprint,
        id: reservation.id,
        bundle_digest: offered.bundle.digest,
    };
    let answer = challenge.challenge.answer(&keys.encryption.private, &context).unwrap();
    let proof = api::ProofRequest {
        challenge_id: challenge.challenge_id,
        answer: Base64Bytes(answer.bytes().to_vec()),
    };
    let offered = Offered { proof, ..offered };
    let answer = registration::prove(&mut connection, &reservation, offered).await;
    assert_eq!(refused(answer), "wrong-proof");
}

#[tokio::test]
async fn small_rsa_keys_are_refused() {
    let server = Server::start();
    let pem = include_str!("../fixtures/rsa_2048_public.pem");
    let small = {
        use rustls::pki_types::SubjectPublicKeyInfoDer;
        use rustls::pki_types::pem::PemObject;
        SubjectPublicKeyInfoDer::from_pem_slice(pem.as_bytes()).unwrap().to_vec()
    };
    let answer = publish(&server, |payload, _| payload.rsa_key = Base64Bytes(small)).await.unwrap_err();
    assert!(answer.to_string().contains("3000"), "{answer}");
    assert_eq!(answer.problem(), Some("bundle-refused"));
}

#[tokio::test]
async fn wrong_versions_names_homes_and_suites_are_refused() {
    let server = Server::start();
    assert_eq!(refused(publish(&server, |payload, _| payload.version = 2).await), "bundle-refused");
    assert_eq!(refused(publish(&server, |payload, _| payload.name = "\u{7}".into()).await), "bundle-refused");
    assert_eq!(refused(publish(&server, |payload, _| payload.homes[0].0[0] ^= 1).await), "keys-refused");
    assert_eq!(refused(publish(&server, |payload, _| payload.mceliece_key = None).await), "bundle-refused");
    let unknown = Some(Sha512Digest([7; 64]));
    assert_eq!(
        refused(publish(&server, |payload, _| payload.mceliece_key = unknown).await),
        "unknown-mceliece-key"
    );
    let truncated = publish(&server, |payload, _| {
        payload.ml_kem_key.0.pop();
    });
    assert_eq!(refused(truncated.await), "bundle-refused");
}

#[tokio::test]
async fn a_bundle_signed_by_another_key_or_for_another_purpose_is_refused() {
    let server = Server::start();
    let other = publish(&server, |_, keys| keys.signature_key = rsa_key(11)).await;
    assert_eq!(refused(other), "bundle-refused");

    let mut raw = Raw::new(&server);
    let reservation = registration::reserve(&mut raw.connection, server.invite().code).await.unwrap();
    let keys = stored_keys(0);
    let offered =
        registration::offer(&mut raw.connection, &reservation, None, "test", &keys.client()).await.unwrap();
    let payload = offered.jws.unverified_payload().unwrap();
    let request = api::PublishRequest {
        bundle: Jws::sign(DocumentType::DeviceList, &payload, &[&keys.signature_key]),
        device_list: None,
    };
    let answer = raw.publish(&reservation.token, reservation.id, &request).await.unwrap_err();
    assert!(answer.to_string().contains("type"), "{answer}");
}

#[tokio::test]
async fn a_mceliece_key_of_wrong_length_or_name_is_refused() {
    let server = Server::start();
    let mut raw = Raw::new(&server);
    let reservation = registration::reserve(&mut raw.connection, server.invite().code).await.unwrap();
    let short = vec![1; 1000];
    let answer = raw.put_mceliece(&reservation.token, &Sha512Digest::of(&short), &short).await;
    assert_eq!(refused(answer), "mceliece-length");
    let long = vec![1; 524_161];
    let answer = raw.put_mceliece(&reservation.token, &Sha512Digest::of(&long), &long).await;
    assert_eq!(refused(answer), "body-too-large");
    let key = vec![1; 524_160];
    let answer = raw.put_mceliece(&reservation.token, &Sha512Digest([9; 64]), &key).await;
    assert_eq!(refused(answer), "mceliece-digest");
    // One reservation cannot fill the disk with keys it does not use.
    for byte in 0..3 {
        let key = vec![byte; 524_160];
        raw.put_mceliece(&reservation.token, &Sha512Digest::of(&key), &key).await.unwrap();
    }
    let answer = raw.put_mceliece(&reservation.token, &Sha512Digest::of(&key), &key).await;
    assert!(matches!(refused(answer).as_str(), "too-often"));
}

#[tokio::test]
async fn nobody_publishes_for_somebody_else() {
    let server = Server::start();
    let ada = server.register(0).await;
    let mut eve = server.register(1).await;
    let request = api::PublishRequest {
        bundle: ada.bundle.payload.sign(&[&eve.keys.signature_key]),
        device_list: None,
    };
    let mut raw = Raw::new(&server);
    let answer = raw.publish(eve.session.token(), ada.id(), &request).await;
    assert_eq!(refused(answer), "not-yours");
    // Nor with a device that is somebody else's.
    let list = DeviceListPayload {
        id: eve.id(),
        version: 2,
        issued_at: UnixMillis(1),
        devices: vec![eve.keys.device.entry("own"), ada.keys.device.entry("stolen")],
    };
    let request = api::DeviceListRequest { device_list: list.sign(&eve.keys.signature_key) };
    assert_eq!(refused(eve.session.update_devices(&request).await), "keys-refused");
}

#[tokio::test]
async fn a_bundle_must_rise_by_one_and_follow_the_old_key() {
    let server = Server::start();
    let mut ada = server.register(0).await;
    let next = |version: u64| KeyBundlePayload { version, ..ada.bundle.payload.clone() };
    for version in [1, 3] {
        let bundle = next(version).sign(&[&ada.keys.signature_key]);
        let request = api::PublishRequest { bundle, device_list: None };
        assert_eq!(refused(ada.session.publish(&request).await), "bundle-refused", "version {version}");
    }
    // Another signature key without the old one's signature, although it signs the device list too.
    let new_key = rsa_key(10);
    let signature_key = Base64Bytes(new_key.public().spki().to_vec());
    let changed = KeyBundlePayload { signature_key, ..next(2) };
    let list = DeviceListPayload {
        id: ada.id(),
        version: 2,
        issued_at: UnixMillis(1),
        devices: vec![ada.keys.device.entry("test")],
    };
    let request =
        api::PublishRequest { bundle: changed.sign(&[&new_key]), device_list: Some(list.sign(&new_key)) };
    assert_eq!(refused(ada.session.publish(&request).await), "bundle-refused");
    // With both signatures it is followed, and told to whoever knows the version before.
    let request = api::PublishRequest {
        bundle: changed.sign(&[&new_key, &ada.keys.signature_key]),
        device_list: Some(list.sign(&new_key)),
    };
    let challenge = ada.session.publish(&request).await.unwrap();
    let bundle = KeyBundle::verify(&request.bundle).unwrap();
    let context = PossessionContext {
        server: ada.session.connection().server().fingerprint,
        id: ada.id(),
        bundle_digest: bundle.digest,
    };
    let answer = challenge.challenge.answer(&ada.keys.encryption.private, &context).unwrap();
    let proof = api::ProofRequest {
        challenge_id: challenge.challenge_id,
        answer: Base64Bytes(answer.bytes().to_vec()),
    };
    assert_eq!(ada.session.prove(&proof).await.unwrap().version, 2);
    let (id, known) = (ada.id(), ada.session.keys(ada.id(), 1).await.unwrap());
    assert_eq!(known.changes.len(), 1);
    assert!(ada.session.keys(id, 2).await.unwrap().changes.is_empty());
}

#[tokio::test]
async fn forty_people_register_and_four_hundred_log_in_within_a_minute_from_one_address() {
    let server = Server::start();
    // Work that needs no session is what the address's rate counts: reserve, key, offer, proof, one
    // look at the server each.
    for _ in 0..40 * 5 {
        momedo_client::session::server_information(&mut server.connect()).await.unwrap();
    }
    let ada = server.register(0).await;
    let mut connection = server.connect();
    for _ in 0..400 {
        connection = {
            let mut session =
                momedo_testing::people::log_in(connection, ada.session.device, &ada.keys.device.login)
                    .await
                    .unwrap();
            session.devices().await.unwrap();
            std::mem::replace(session.connection(), server.connect())
        };
    }
}
