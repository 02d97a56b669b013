//! Participants of the load: registered through the API, with envelopes prepared before timing.

use momedo_client::session::Session;
use momedo_client_native::stream::Stream;
use momedo_protocol::envelope::SEAL_BYTES;
use momedo_protocol::key_bundle::KeyBundle;
use momedo_protocol::mceliece::McEliecePrivateKey;
use momedo_protocol::message_id::MessageId;
use momedo_protocol::ml_kem_key::MlKemPrivateKey;
use momedo_protocol::rsa_private_key::RsaPrivateKey;
use momedo_protocol::seal::PrivateKeys;
use momedo_protocol::stream::ClientFrame;
use momedo_testing::keys::{DeviceKeys, NewKeys, ParticipantKeys};
use momedo_testing::{envelopes, people};

use crate::keys::keys;
use crate::subject::Subject;

/// A registered participant with one device.
pub(crate) struct Person {
    pub(crate) bundle: KeyBundle,
    pub(crate) session: Session,
    pub(crate) login_key: RsaPrivateKey,
}

pub(crate) fn copy(key: &RsaPrivateKey) -> RsaPrivateKey {
    RsaPrivateKey::from_pkcs8(key.pkcs8()).unwrap()
}

/// The signature key they share.
pub(crate) fn signature_key() -> RsaPrivateKey {
    keys(2).remove(1)
}

/// Registers `count` people; they share encryption and signature keys, which nobody here looks at.
pub(crate) async fn register(subject: &Subject, count: usize) -> Vec<Person> {
    let mut stored = keys(count + 2);
    let (encryption_key, signature_key) = (stored.remove(0), stored.remove(0));
    let (mceliece_private, mceliece) = McEliecePrivateKey::generate();
    let mut registered = Vec::with_capacity(count);
    for login_key in stored {
        let private = |mceliece| PrivateKeys {
            rsa: copy(&encryption_key),
            ml_kem: MlKemPrivateKey::generate(),
            mceliece,
        };
        let keys = ParticipantKeys {
            signature_key: copy(&signature_key),
            device: DeviceKeys { login: copy(&login_key), private: private(None) },
            encryption: NewKeys {
                private: private(Some(mceliece_private.clone())),
                mceliece: mceliece.clone(),
            },
        };
        let connection = momedo_client_native::connection(subject.address.clone(), "en");
        let (session, bundle) = people::join(connection, subject.invite().code, None, &keys).await.unwrap();
        registered.push(Person { bundle, session, login_key });
    }
    registered
}

impl Person {
    pub(crate) async fn stream(&self, subject: &Subject, window: usize) -> Stream {
        Stream::open(&subject.address, self.session.token(), None, window).await.unwrap()
    }

    pub(crate) async fn log_in(&mut self, subject: &Subject) {
        let connection = momedo_client_native::connection(subject.address.clone(), "en");
        self.session =
            momedo_testing::people::log_in(connection, self.session.device, &self.login_key).await.unwrap();
    }
}

/// Size of the opaque envelopes: the smallest there can be for keys of 3072 bits, suite 2 with 512 padded
/// bytes. An envelope of 1 KiB, which the goals speak of, does not exist.
pub(crate) const ENVELOPE_BYTES: usize = 86 + 2 + 1088 + 2 + 384 + 512 + SEAL_BYTES;

/// A message with an opaque envelope to `to`.
pub(crate) fn message(to: &KeyBundle) -> (MessageId, Vec<u8>) {
    let id = MessageId::new(momedo_client::now());
    let envelope = envelopes::opaque(to, id, 512);
    assert_eq!(envelope.len(), ENVELOPE_BYTES);
    (id, envelope)
}

/// The text of a `send` frame with an opaque envelope to `to`.
pub(crate) fn send_frame(to: &KeyBundle) -> String {
    let request = envelopes::request(to, 512, momedo_client::now());
    serde_json::to_string(&ClientFrame::Send(request)).unwrap()
}
