//! What the vectors are made with: keys, people and an instant. They make up `keys.json`.

use std::path::Path;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use momedo_protocol::digest::Fingerprint;
use momedo_protocol::encoding::{Base64Bytes, encode_base64};
use momedo_protocol::id::ParticipantId;
use momedo_protocol::mceliece::{McEliecePrivateKey, McEliecePublicKey};
use momedo_protocol::message_id::MessageId;
use momedo_protocol::ml_kem_key::MlKemPrivateKey;
use momedo_protocol::rsa_private_key::RsaPrivateKey;
use momedo_protocol::seal::PrivateKeys;
use momedo_protocol::suite::Suite;
use momedo_protocol::time::UnixMillis;
use serde_json::{Map, Value, json};
use zeroize::Zeroizing;

use super::Result;

/// 2026-09-21, an instant like any other.
pub(super) const NOW: UnixMillis = UnixMillis(1_790_000_000_000);

/// What the keys of the fixture file are used for here, in its order.
const RSA_KEYS: [&str; 9] = [
    "signature_key",
    "next_signature_key",
    "rsa_key",
    "login_key",
    "device_rsa_key",
    "second_login_key",
    "second_device_rsa_key",
    "identity_key",
    "sender_signature_key",
];

/// Every key that stands in `keys.json`.
pub(super) struct Keys {
    rsa: Vec<RsaPrivateKey>,
    pub(super) ml_kem: MlKemPrivateKey,
    pub(super) device_ml_kem: MlKemPrivateKey,
    pub(super) second_device_ml_kem: MlKemPrivateKey,
    mceliece: McEliecePrivateKey,
    pub(super) mceliece_public: McEliecePublicKey,
}

/// The DER of every block of a PEM file.
fn read_pem(file: &str, label: &str) -> Result<Vec<Vec<u8>>> {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/../../tests/fixtures");
    let pem = std::fs::read_to_string(Path::new(folder).join(file))?;
    let begin = format!("-----BEGIN {label}-----");
    pem.split(&begin)
        .skip(1)
        .map(|block| {
            let base64 = block.split("-----END").next().unwrap_or_default();
            Ok(STANDARD.decode(base64.split_whitespace().collect::<String>())?)
        })
        .collect()
}

impl Keys {
    pub(super) fn read() -> Result<Self> {
        let rsa = read_pem("rsa_keys.pem", "PRIVATE KEY")?
            .iter()
            .take(RSA_KEYS.len())
            .map(|der| Ok(RsaPrivateKey::from_pkcs8(der)?))
            .collect::<Result<Vec<_>>>()?;
        let seed = |first: u8| {
            let bytes: Vec<u8> = (0..64).map(|n| first + n).collect();
            MlKemPrivateKey::from_seed(Zeroizing::new(bytes.try_into().expect("64 bytes")))
        };
        let (mceliece, mceliece_public) = McEliecePrivateKey::generate();
        Ok(Self {
            rsa,
            ml_kem: seed(0),
            device_ml_kem: seed(64),
            second_device_ml_kem: seed(128),
            mceliece,
            mceliece_public,
        })
    }

    pub(super) fn rsa(&self, name: &str) -> &RsaPrivateKey {
        let index = RSA_KEYS.iter().position(|known| *known == name);
        &self.rsa[index.expect("a name of RSA_KEYS")]
    }

    pub(super) fn spki(&self, name: &str) -> Base64Bytes {
        Base64Bytes(self.rsa(name).public().spki().to_vec())
    }

    pub(super) fn home(&self) -> Fingerprint {
        self.rsa("identity_key").public().fingerprint()
    }

    /// What opens envelopes of `suite`.
    pub(super) fn private(&self, suite: Suite) -> Result<PrivateKeys> {
        Ok(PrivateKeys {
            rsa: RsaPrivateKey::from_pkcs8(self.rsa("rsa_key").pkcs8())?,
            ml_kem: MlKemPrivateKey::from_seed(Zeroizing::new(*self.ml_kem.seed())),
            mceliece: (suite == Suite::Full).then(|| self.mceliece.clone()),
        })
    }

    pub(super) fn vectors(&self) -> Result<Value> {
        let mut rsa = Map::new();
        for (name, key) in RSA_KEYS.iter().zip(&self.rsa) {
            let value = json!({
                "pkcs8": encode_base64(key.pkcs8()),
                "spki": encode_base64(key.public().spki()),
                "fingerprint": key.public().fingerprint(),
            });
            rsa.insert((*name).into(), value);
        }
        let ml_kem = |key: &MlKemPrivateKey| {
            json!({
                "seed": encode_base64(key.seed()),
                "public": encode_base64(key.public().bytes()),
            })
        };
        let small = read_pem("rsa_2048_public.pem", "PUBLIC KEY")?;
        let trailing = [self.rsa("rsa_key").public().spki(), &[0]].concat();
        Ok(json!({
            "about": "Private keys for the other files: RSA in PKCS #8 DER, ML-KEM-768 as the seed d, z, \
                      McEliece raw. Never use them for anything else.",
            "rsa": rsa,
            "ml_kem": {
                "ml_kem_key": ml_kem(&self.ml_kem),
                "device_ml_kem_key": ml_kem(&self.device_ml_kem),
                "second_device_ml_kem_key": ml_kem(&self.second_device_ml_kem),
            },
            "mceliece": { "mceliece_key": {
                "private": encode_base64(self.mceliece.bytes()),
                "public_digest": self.mceliece_public.digest(),
            }},
            "refused_rsa": [
                { "why": "2048 bits", "spki": encode_base64(&small[0]) },
                { "why": "a byte after the key", "spki": encode_base64(&trailing) },
            ],
        }))
    }
}

pub(super) fn anna() -> ParticipantId {
    "M8N22HT6".parse().expect("an ID")
}

pub(super) fn ben() -> ParticipantId {
    "7QK0M3ZD".parse().expect("an ID")
}

pub(super) fn message_id() -> MessageId {
    "01a0c4506c007b1f8a4c3e5d6f708192".parse().expect("a message ID")
}
