//! Somebody who registered with an invite, as clients do, and whose private keys the test has.

use axum::http::Method;
use momedo_protocol::api;
use momedo_protocol::device_list::{DeviceEntry, DeviceListPayload};
use momedo_protocol::encoding::Base64Bytes;
use momedo_protocol::id::{DeviceId, ParticipantId};
use momedo_protocol::invite::{InviteCode, InviteLink};
use momedo_protocol::jws::Jws;
use momedo_protocol::key_bundle::{KeyBundle, KeyBundlePayload};
use momedo_protocol::login::Login;
use momedo_protocol::ml_kem_key::MlKemPrivateKey;
use momedo_protocol::possession::PossessionContext;
use momedo_protocol::rsa_private_key::RsaPrivateKey;
use momedo_protocol::seal::PrivateKeys;
use momedo_protocol::suite::Suite;
use momedo_protocol::time::UnixMillis;
use momedo_testing::stored_keys::rsa_key;
use serde_json::{Value, json};

use super::{Answer, Person, Server};
use crate::domain::role::Role;
use crate::service::people;
use crate::service::permission::RecentlyConfirmed;
use crate::store::PersonId;

/// Every private key of somebody's bundle. RSA keys are named by their index among the stored ones.
pub(crate) struct Keys {
    pub(crate) signature: RsaPrivateKey,
    pub(crate) private: PrivateKeys,
}

/// Somebody who registered.
pub(crate) struct Joined {
    pub(crate) person: Person,
    pub(crate) keys: Keys,
}

impl Keys {
    /// Keys of these stored ones, with a new one of ML-KEM.
    pub(crate) fn new(signature: usize, encryption: usize) -> Self {
        let ml_kem = MlKemPrivateKey::generate();
        let private = PrivateKeys { rsa: rsa_key(encryption), ml_kem, mceliece: None };
        Self { signature: rsa_key(signature), private }
    }

    /// A bundle with these keys.
    pub(crate) fn bundle(&self, server: &Server, id: ParticipantId, version: u64) -> KeyBundlePayload {
        KeyBundlePayload {
            id,
            name: "Zoe".into(),
            homes: vec![server.app().fingerprint],
            version,
            issued_at: UnixMillis(1),
            expires_at: UnixMillis(2),
            signature_key: Base64Bytes(self.signature.public().spki().to_vec()),
            rsa_key: Base64Bytes(self.private.rsa.public().spki().to_vec()),
            ml_kem_key: Base64Bytes(self.private.ml_kem.public().bytes().to_vec()),
            mceliece_key: None,
            suites: vec![Suite::Small],
        }
    }
}

/// The device that logs in with the stored key of this index.
pub(crate) fn device(login: usize) -> DeviceEntry {
    DeviceEntry {
        name: "tablet".into(),
        login_key: Base64Bytes(rsa_key(login).public().spki().to_vec()),
        rsa_key: Base64Bytes(rsa_key(2).public().spki().to_vec()),
        ml_kem_key: Base64Bytes(MlKemPrivateKey::generate().public().bytes().to_vec()),
    }
}

/// The ID of that device.
pub(crate) fn device_id(login: usize) -> DeviceId {
    DeviceId::of_login_key(rsa_key(login).public().spki())
}

/// A signed list of these devices.
pub(crate) fn list(id: ParticipantId, version: u64, logins: &[usize], signature: &RsaPrivateKey) -> Jws {
    let devices = logins.iter().map(|login| device(*login)).collect();
    DeviceListPayload { id, version, issued_at: UnixMillis(1), devices }.sign(signature)
}

impl Server {
    /// Adds somebody to the list of people.
    pub(crate) async fn add_person(&self, name: &str) -> PersonId {
        let admin = RecentlyConfirmed::at_the_machine();
        people::add(self.app(), &admin, name.into(), Role::Member, None, None).await.unwrap()
    }

    /// The code of a new invite for somebody.
    pub(crate) async fn invite(&self, person: PersonId) -> InviteCode {
        let staff = RecentlyConfirmed::at_the_machine().staff();
        let cards = people::invite(self.app(), &staff, vec![person]).await.unwrap();
        cards[0].link.parse::<InviteLink>().unwrap().code
    }

    /// Asks for an ID.
    pub(crate) async fn reserve(&self, code: InviteCode) -> Answer {
        self.call_with(None, Method::POST, "/participants", json!({ "invite": code })).await
    }

    /// Offers a bundle.
    pub(crate) async fn offer(
        &self,
        token: &str,
        id: ParticipantId,
        bundle: &Jws,
        list: Option<&Jws>,
    ) -> Answer {
        let request = api::PublishRequest { bundle: bundle.clone(), device_list: list.cloned() };
        let request = serde_json::to_value(request).unwrap();
        self.call_with(Some(token), Method::PUT, &format!("/keys/{id}"), request).await
    }

    /// The proof that an offered bundle's keys can be opened.
    pub(crate) fn proof(&self, offered: &Answer, keys: &Keys, bundle: &Jws) -> Value {
        let asked: api::PublishChallenge = serde_json::from_value(offered.1.clone()).unwrap();
        let bundle = KeyBundle::verify(bundle).unwrap();
        let server = self.app().fingerprint;
        let context = PossessionContext { server, id: bundle.payload.id, bundle_digest: bundle.digest };
        let answer = asked.challenge.answer(&keys.private, &context).unwrap();
        let answer = Base64Bytes(answer.bytes().to_vec());
        json!({ "challenge_id": asked.challenge_id, "answer": answer })
    }

    /// Offers a bundle and proves it; what the first of them that is refused is told.
    pub(crate) async fn publish(&self, token: &str, keys: &Keys, bundle: &Jws, list: Option<&Jws>) -> Answer {
        let id = KeyBundle::verify(bundle).unwrap().payload.id;
        let offered = self.offer(token, id, bundle, list).await;
        if !offered.0.is_success() {
            return offered;
        }
        let proof = self.proof(&offered, keys, bundle);
        self.call_with(Some(token), Method::POST, &format!("/keys/{id}/proof"), proof).await
    }

    /// Registers somebody with an invite; their device logs in with the stored key of this index.
    pub(crate) async fn join(&self, name: &str, login: usize) -> Joined {
        let person = self.add_person(name).await;
        let code = self.invite(person).await;
        self.join_with(code, login).await
    }

    /// The same with an invite that is there.
    pub(crate) async fn join_with(&self, code: InviteCode, login: usize) -> Joined {
        let reserved = self.reserve(code).await;
        let reserved: api::Reservation = serde_json::from_value(reserved.1).unwrap();
        let keys = Keys::new(0, 3);
        let bundle = keys.bundle(self, reserved.id, reserved.bundle_version).sign(&[&keys.signature]);
        let list = list(reserved.id, reserved.device_list_version, &[login], &keys.signature);
        let published = self.publish(&reserved.token, &keys, &bundle, Some(&list)).await;
        assert!(published.0.is_success(), "{published:?}");
        let token = published.1["session"]["token"].as_str().unwrap().to_owned();
        let bundle = KeyBundle::verify(&bundle).unwrap();
        let person = Person { id: reserved.id, device: device_id(login), bundle, token };
        Joined { person, keys }
    }

    /// What a device signs that logs in with the stored key of this index.
    pub(crate) async fn login_of(&self, login: usize) -> Login {
        let device = device_id(login);
        let drawn =
            self.call_with(None, Method::POST, "/sessions/challenge", json!({ "device": device })).await;
        let nonce = serde_json::from_value(drawn.1["nonce"].clone()).unwrap();
        Login { device, nonce, server: self.app().fingerprint }
    }

    /// Logs in with what was signed.
    pub(crate) async fn log_in_with(&self, login: &Jws) -> Answer {
        self.call_with(None, Method::POST, "/sessions", json!({ "login": login })).await
    }

    /// Logs a device in.
    pub(crate) async fn log_in(&self, login: usize) -> Answer {
        let signed = self.login_of(login).await.sign(&rsa_key(login));
        self.log_in_with(&signed).await
    }
}
